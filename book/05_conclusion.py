# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5 Conclusion
#
# This page is the scoreboard: it sets every claim and every number of the paper's Sections 3 and 4 beside what this edition has, with a verdict in one word. Then it says what stands behind the words, and what is open. It runs no experiment; all it shows is computed from the records of
# the pages before.

# %% [markdown]
# (tab-scoreboard)=
# ## The scoreboard
#
# What follows is computed from the committed **reference runs**, whatever run the other pages show. Each line says which run it is: *paper's settings* has the paper's kind of network, its photographs and their size; *laptop* has a smaller network and few photographs; *reduced settings* has the paper's kind of network and its photographs, but smaller and trained for less long; *n* is how many images were attacked. Under each finding stands
# what was used in the place of what the paper used. A verdict about a stand-in is about the stand-in. A verdict leads to the page with the records that it is computed from.

# %% tags=["hide-input"]
from IPython.display import Markdown, display

from humimp import book, scoreboard
from humimp.pages import Project

project = Project.holding("05_conclusion")
board = scoreboard.scoreboard(scoreboard.reference(project.root))
display(scoreboard.summary(board), Markdown(scoreboard.rules()))

# %% tags=["remove-output", "hide-input"]
book.tell(scoreboard.told(board))

# %% [markdown]
# ### Claims

# %% tags=["hide-input"]
scoreboard.claims(board)

# %% [markdown]
# ### Numbers
#
# *Settings* are numbers that the authors chose. Whether a run has the same is stated here, so that nobody has to search for it; they are counted apart.

# %% tags=["hide-input"]
scoreboard.numbers(board)

# %% [markdown]
# ## Your own runs

# %% tags=["hide-input", "nbval-ignore-output"]
yours = scoreboard.own(project, before="05_conclusion")
if yours:
    own = scoreboard.scoreboard(yours)
    pages = ", ".join(source.page for source in yours)
    display(Markdown(f"The same, from **your runs** alone, as these pages show them: {pages}."))
    display(scoreboard.summary(own), scoreboard.claims(own), scoreboard.numbers(own))
else:
    display(Markdown("The pages of this book show no run of yours. `make book` computes them."))

# %% [markdown]
# ## What the paper concludes
#
# The paper joins two subjects. From attacks it takes a method: raise the loss, pay for what people would see. From robust optimisation it takes a use for the method: the attacks
# form the worst nearby data, and training on them is meant to make a classifier depend on what people see. Its test is geographic fairness, with accuracy regressed on income over countries, and an F-test for whether a bias exists,
# and t-tests for whether one training method leaves less of it than another.
#
# The authors name one limit themselves. The models that they compare differ by the randomness of training only; the data set is one and the same. Their tests therefore speak about models *given* that data set, and not about
# what would happen with another sample of photographs.

# %% [markdown]
# ## What stands behind the words
#
# Three things hold for every line: where a stand-in was used, the finding is about the stand-in; the photographs are few, except where *n* says otherwise; and no person was asked. The numbers here are those of the run that the linked pages show.
#
# - **The SSIM step keeps a digit's shape** ({doc}`3.1 <03_1_ssim>`), but it also fools less: at an $L_2$ distance of {glue:text}`03_1_ssim.ipynb::shown_distance:s`, {glue:text}`03_1_ssim.ipynb::ssim_success:.1f` % of the digits, and the PGD step {glue:text}`03_1_ssim.ipynb::pgd_success:.1f` %. Three chosen digits cannot show that.
# - **The least perceptible attack** ({doc}`3.2 <03_2_pieapp>`). Beside the paper's own rivals stand others: LPIPS (× 1000) is {glue:text}`03_2_pieapp.ipynb::ours_lpips:.2f` ± {glue:text}`03_2_pieapp.ipynb::ours_lpips_error:.2f` for ours at $a = $ {glue:text}`03_2_pieapp.ipynb::a_least:s`, {glue:text}`03_2_pieapp.ipynb::pgd_lpips:.2f` ± {glue:text}`03_2_pieapp.ipynb::pgd_lpips_error:.2f` for PGD,
#   {glue:text}`03_2_pieapp.ipynb::perc_al_lpips:.2f` for PerC_AL without confidence, {glue:text}`03_2_pieapp.ipynb::perc_al_40_lpips:.2f` with it, and {glue:text}`03_2_pieapp.ipynb::ddn_lpips:.2f` for DDN. Which PerC_AL the paper ran, and whether its gradients were normalised, decides more than one of its claims; the scoreboard has both readings.
# - **Defences** ({doc}`3.2 <03_2_pieapp>`). Among the paper's rows, ours at $a = $ {glue:text}`03_2_pieapp.ipynb::a_most:s` has the highest success rate, alone or with others, at {glue:text}`03_2_pieapp.ipynb::leads:s` of {glue:text}`03_2_pieapp.ipynb::levels:s` strengths of defence.
# - **Accuracy and income** ({doc}`4.1 <04_1_bias_metric>`) is not tested on photographs, for want of countries. The test itself is: on simulated countries without bias, at a level of 5 %, it rejects in {glue:text}`04_1_bias_metric.ipynb::fair_paper:.1f` % of the cases.
# - **Many models from one data set** ({doc}`4.2 <04_2_dro>`) come cheaply, but the listings cannot be meant literally: at the learning rate at which normalised weights work, {glue:text}`04_2_dro.ipynb::literal_short:s`, and {glue:text}`04_2_dro.ipynb::share_clean:.2f` % of what is drawn from our pool is clean.
# - **A lower slope** ({doc}`4.3 <04_3_results>`) is not yet fairness. After training on our attack, accuracy in the poorest quarter of the countries has {glue:text}`04_3_results.ipynb::poor_moved:s`, in the richest it has {glue:text}`04_3_results.ipynb::rich_moved:s`. And in {glue:text}`04_3_results.ipynb::n_deals:s` simulated geographies our slopes
#   are smaller than PGD's in {glue:text}`04_3_results.ipynb::lower:s` and larger in {glue:text}`04_3_results.ipynb::higher:s`.

# %% [markdown]
# ## Four findings that the paper does not have
#
# **Truncation makes much of the distance.** To write an 8-bit image after each step, the paper cuts off fractions of a level, and a cut lowers about half of all values by one whole level, however small the step. In {ref}`Table E2 <tab-readings>`, the floor of one such
# cut is {glue:text}`03_2_1_rounding.ipynb::share_floor:.0f` % of the $L_2$ distance of our PGD row, and it would be {glue:text}`03_2_1_rounding.ipynb::paper_share_floor:.0f` % of the paper's. So PGD's $L_2$ says little about the attack. For ours at $a = 0$ it is
# {glue:text}`03_2_1_rounding.ipynb::ours_share_floor:.0f` %, and keeping fractions {glue:text}`03_2_1_rounding.ipynb::nearer:s` ({glue:text}`03_2_1_rounding.ipynb::common_none_l2:.2f`, with truncation {glue:text}`03_2_1_rounding.ipynb::common_truncate_l2:.2f`, on {glue:text}`03_2_1_rounding.ipynb::n_common:.0f` photographs). {glue:text}`03_2_1_rounding.ipynb::large_nearer:s` Ours and PGD differ in the length of a step: PGD's is fixed, ours grows with the gradient, and LPIPS and DISTS tell the two apart where $L_2$ hardly does.
#
# **Minding the rounding brings more than a perceptual price.** An attack that asks for success of the image as it is saved, and then follows a mean of gradients, has, with the ResNet-50 on {glue:text}`03_2_2_eight_bit.ipynb::large_n:.0f` photographs, a mean LPIPS {glue:text}`03_2_2_eight_bit.ipynb::large_times_lpips:.0f` times, a mean DISTS {glue:text}`03_2_2_eight_bit.ipynb::large_times_dists:.1f` times and a mean $L_2$ {glue:text}`03_2_2_eight_bit.ipynb::large_times_l2:.1f` times smaller than the paper's reading at $a = 0$ ({doc}`3.2.2 <03_2_2_eight_bit>`). A few photographs decide such means: on half of them, the factors are below {glue:text}`03_2_2_eight_bit.ipynb::large_median_times_lpips:.1f`, {glue:text}`03_2_2_eight_bit.ipynb::large_median_times_dists:.1f` and {glue:text}`03_2_2_eight_bit.ipynb::large_median_times_l2:.1f`.
# Judging what it keeps by the perceptual cost {glue:text}`03_2_2_eight_bit.ipynb::adds:s`. After JPEG compression of quality 90, {glue:text}`03_2_2_eight_bit.ipynb::eight_jpeg:.0f` % of its images are still misclassified, where {glue:text}`03_2_2_eight_bit.ipynb::none_jpeg:.0f` % of the unattacked ones are.
#
# **At first, the price is not felt.** PieAPP-small, like 1 − SSIM, is flat at the original, so the first step follows the loss alone. (The slope of PieAPP itself there depends on its weights, which could not be had.) For {glue:text}`03_2_1_rounding.ipynb::one_step:.0f` % of the photographs one step is enough, and what decides is the classifier's gradient, not the perceptual measure.
# Where more steps are taken, the price is heard: at $a = 5$, with the ResNet-50, PieAPP-small's $1000\,c_0$ ends at {glue:text}`03_2_1_rounding.ipynb::large_ends:s` ({ref}`Table E5 <tab-prices-large>`).
#
# **A slope alone says little.** The paper's models share one data set. With {glue:text}`04_3_results.ipynb::n_models:s` models a side, PGD's slopes and ours are compared in {glue:text}`04_3_results.ipynb::n_deals:s` simulated geographies ({ref}`Table E16 <tab-deals>`). {glue:text}`04_3_results.ipynb::across:s`. And a slope also shrinks when accuracy is lost everywhere.
# The accuracy of rich and poor countries, a control that is only fine-tuned, and more than one data set belong beside it.

# %% [markdown]
# ## What is open
#
# - **PieAPP itself as the cost**, the paper's choice, in place of a small one (and of SSIM, in Section 4).
# - **Section 4 on photographs with real countries.** Public ones exist now ({doc}`page 2 <02_related_work>`), though not for ImageNet itself.
# - **The hypothesis itself.** The chain from unseen features to unfair ones has been tested at its end, and on a planted pattern one link before it ({doc}`4.3 <04_3_results>`). To test another, one could look at which countries' images an imperceptible attack fools most easily.
# - **Whether the trained models resist attacks.** Section 4 trains on attacks and asks about countries; no trained model was attacked here.
# - **People.** Every measure in this book stands in for somebody who looks.
# - **What the scoreboard calls not testable here**: each line says what it needs.
#
# ## What came out
#
# Of the paper's {glue:text}`claims_3` claims about the attack: {glue:text}`claims_3_told`; of its {glue:text}`numbers_3` numbers: {glue:text}`numbers_3_told`. Of its {glue:text}`claims_4` claims about fairness: {glue:text}`claims_4_told`; of its {glue:text}`numbers_4` numbers: {glue:text}`numbers_4_told`. {glue:text}`n_sure` of the claims hold by construction, so that no run could have found otherwise.
#
# Climbing the loss minus a price on distance does fool classifiers, with small changes, and the price has a clean meaning in robust optimisation. That the *perceptual* price is what makes the attack good is not shown here: in $L_2$, a single cut of line 9 accounts for {glue:text}`03_2_1_rounding.ipynb::share_floor:.0f` % of PGD's distance and {glue:text}`03_2_1_rounding.ipynb::ours_share_floor:.0f` % of ours at $a = 0$; what tells the two apart is the length of the first step ({ref}`Table E22 <tab-readings-paper>`: with normalised gradients, they all but agree); and an attack that tries the rounded image and goes on from there has, with the ResNet-50, an $L_2$ {glue:text}`03_2_2_eight_bit.ipynb::large_times_l2:.1f` times smaller than ours.
# Nor can a slope alone show that training on it makes classifiers fairer. {glue:text}`04_3_results.ipynb::together:s`; and our slopes are smaller than PGD's in {glue:text}`04_3_results.ipynb::lower:s` of {glue:text}`04_3_results.ipynb::n_deals:s` simulated geographies, larger in {glue:text}`04_3_results.ipynb::higher:s`. Every number can be computed again.
