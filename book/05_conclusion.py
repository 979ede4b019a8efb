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
# This page sets what the paper concludes beside what this edition has found so far, and lists what is open. It computes nothing; its numbers come from the pages it links to.

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
# ## The six claims, so far
#
# The claims are those of {doc}`page 1 <01_introduction>`. Three things hold for every line: where a stand-in was used, the finding is about the stand-in; the photographs are few; and no person was asked.
#
# 1. **The SSIM attack keeps a digit's shape** ({doc}`3.1 <03_1_ssim>`). *Yes in part.* At an $L_2$ distance of {glue:text}`03_1_ssim.ipynb::shown_distance:s` the SSIM step leaves a mean SSIM of {glue:text}`03_1_ssim.ipynb::ssim_ssim:.3f`, the PGD step
#    {glue:text}`03_1_ssim.ipynb::pgd_ssim:.3f`. But the first fools {glue:text}`03_1_ssim.ipynb::ssim_success:.1f` % of the digits and the second {glue:text}`03_1_ssim.ipynb::pgd_success:.1f` %, which three chosen digits cannot show.
# 2. **At $a = 0$ the attack always succeeds, with the smallest LPIPS and DISTS** ({doc}`3.2 <03_2_pieapp>`). With {glue:text}`03_2_pieapp.ipynb::cost:s` for PieAPP, on {glue:text}`03_2_pieapp.ipynb::n_correct:s` photographs, the first half {glue:text}`03_2_pieapp.ipynb::always:s`. The second {glue:text}`03_2_pieapp.ipynb::least:s` among the paper's seven rows, and {glue:text}`03_2_pieapp.ipynb::least_of_all:s` beside two later
#    attacks: LPIPS (× 1000) is {glue:text}`03_2_pieapp.ipynb::ours_lpips:.2f` ± {glue:text}`03_2_pieapp.ipynb::ours_lpips_error:.2f` for the attack, {glue:text}`03_2_pieapp.ipynb::pgd_lpips:.2f` ± {glue:text}`03_2_pieapp.ipynb::pgd_lpips_error:.2f` for PGD, {glue:text}`03_2_pieapp.ipynb::perc_al_lpips:.2f` for PerC_AL (without confidence) and {glue:text}`03_2_pieapp.ipynb::ddn_lpips:.2f` for DDN.
# 3. **At $a = 5$ it survives both defences best, less visible than PPGD** ({doc}`3.2 <03_2_pieapp>`). The first half {glue:text}`03_2_pieapp.ipynb::leading:s`: among the paper's seven rows it has the highest success rate, alone or with others, at {glue:text}`03_2_pieapp.ipynb::leads:s` of {glue:text}`03_2_pieapp.ipynb::levels:s` strengths of defence. It {glue:text}`03_2_pieapp.ipynb::below_ppgd:s`.
# 4. **Accuracy rises with income** ({doc}`4.1 <04_1_bias_metric>`). *Not tested on photographs*, for want of countries. What could be checked is checked: the paper's F-statistic gives $p =$ {glue:text}`04_1_bias_metric.ipynb::f_again:.5f`, as printed, and on simulated countries
#    without bias the test of level 5 % rejects in {glue:text}`04_1_bias_metric.ipynb::fair_paper:.1f` % of the cases. With a planted bias, the claim {glue:text}`04_1_bias_metric.ipynb::holds:s` ($p =$ {glue:text}`04_1_bias_metric.ipynb::p:s`).
# 5. **Many robust models come cheaply from one adversarial data set** ({doc}`4.2 <04_2_dro>`). *Yes*, as a way to compute. But the listings cannot be meant literally: their weights fit no one learning rate, and {glue:text}`04_2_dro.ipynb::share_clean:.2f` % of what is drawn from our pool is clean.
# 6. **Training on the attack lowers the slope most** ({doc}`4.3 <04_3_results>`). On digits with simulated countries, by the paper's own tests, it {glue:text}`04_3_results.ipynb::holds:s` (t = {glue:text}`04_3_results.ipynb::t_PGD:s` against PGD and {glue:text}`04_3_results.ipynb::t_PerC_AL:s` against PerC_AL). But accuracy moves too: in the poorest quarter of
#    the countries it has {glue:text}`04_3_results.ipynb::poor_moved:s`, in the richest it has {glue:text}`04_3_results.ipynb::rich_moved:s`. And in {glue:text}`04_3_results.ipynb::n_deals:s` simulated geographies our slopes are smaller than PGD's in {glue:text}`04_3_results.ipynb::lower:s` and larger in {glue:text}`04_3_results.ipynb::higher:s`.

# %% [markdown]
# ## Three findings that the paper does not have
#
# **Truncation makes much of the distance.** To write an 8-bit image after each step, the paper cuts off fractions of a level, and a cut lowers about half of all values by one whole level, however small the step. In {ref}`Table E1 <tab-readings>`, the floor of one such
# cut is {glue:text}`03_2_1_rounding.ipynb::share_floor:.0f` % of the $L_2$ distance of our PGD row, and it would be {glue:text}`03_2_1_rounding.ipynb::paper_share_floor:.0f` % of the paper's. So at $a = 0$ the $L_2$ distances of PGD and of the paper's attack
# say little about either: {glue:text}`03_2_pieapp.ipynb::pgd_l2:.2f` and {glue:text}`03_2_pieapp.ipynb::ours_l2:.2f` in our run. What differs is the length of a step. PGD's is fixed, ours grows with the gradient, and LPIPS and DISTS tell the two apart where $L_2$ hardly does.
#
# **At first, the price is not felt.** The cost is flat at the original, so the first step follows the loss alone. For {glue:text}`03_2_1_rounding.ipynb::one_step:.0f` % of the photographs one step is enough, and what decides is the classifier's gradient, not the perceptual measure.
# {doc}`Page 3.2.1 <03_2_1_rounding>` shows from where on the price tells.
#
# **A slope alone says little.** Fifty models trained on one data set make a difference between two trainings significant that another deal of the same images to the countries may not repeat ({ref}`Table E9 <tab-deals>`), and a slope also shrinks when accuracy is lost everywhere.
# The accuracy of rich and poor countries, a control that is only fine-tuned, and more than one data set belong beside it.

# %% [markdown]
# ## What is open
#
# - **PieAPP itself as the cost**, the paper's choice, in place of a small one (and of SSIM, in Section 4): without it, claims 2, 3 and 6 are half answered.
# - **The paper's scale**: a thousand photographs at its size, and its classifier.
# - **Section 4 on photographs**: the training, its fifty models for each attack and the slopes are computed on digits only.
# - **Photographs with real countries.** Public ones exist now ({doc}`page 2 <02_related_work>`), though not for ImageNet itself.
# - **The hypothesis itself.** The chain from unseen features to unfair ones has been tested at its end only. To test a link before it, one could look at which countries' images an imperceptible attack fools most easily.
# - **People.** Every measure in this book stands in for somebody who looks.
#
# ## What came out
#
# Climbing the loss minus a price on distance does fool classifiers, with small changes, and the price has a clean meaning in robust optimisation. That the *perceptual* price is what makes the attack good is not seen here: line 9 decides most of the distance, and later attacks that mind the rounding go less far.
# That training on it makes classifiers fairer is not seen either: in the reference run a smaller slope came with less accuracy, and its sign hung on the deal. Both are said of stand-ins, at a laptop's scale; every number can be computed again.
