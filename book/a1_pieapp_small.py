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
# # Appendix: PieAPP-small
#
# This page says how PieAPP-small was made, the ground cost of {doc}`page 3.2 <03_2_pieapp>` at the laptop profile. It shows how well it agrees with the measures that it learned from, on photographs and kinds of distortion that it never saw (Figure E15), how it behaves near zero (Figure E16),
# whether it helps Algorithm 1 (Table E20), and what it costs to compute (Table E21). **PieAPP-small is not PieAPP.** It has PieAPP's architecture, made slim, and none of PieAPP's weights; no person's opinion went into it directly.
#
# The numbers come from one training run, whose records are in `results/pieapp_small`; the scripts are in `training/`. This page only reads and draws them.

# %% tags=["hide-input"]
import json

import pandas as pd
from myst_nb import glue

from humimp import book, costs, paper
from humimp.figures import pieapp_small, table1
from humimp.findings import pieapp_small as findings
from humimp.pages import Project

results = Project.holding("a1_pieapp_small").root / "results"
folder = results / "pieapp_small"
about = json.loads((folder / "provenance.json").read_text("utf-8"))
photographs = json.loads((folder / "photographs.json").read_text("utf-8"))
names = ("comparison", "agreement", "levels", "near_zero", "monotone", "attacks")
tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in names}
whole, tested = (
    set(pd.read_parquet(results / "paper_cpu" / run / "records.parquet")["id"])
    for run in ("a2_readings/ours-a-0", "04_1_bias_metric/answers")
)
learnt = whole - tested  # page 4.3 learns from those that it does not test on

# %% tags=["remove-output", "hide-input"]
sizes = {"crop": 96, "laptop": 224, "paper": paper.IMAGE_SIZE}
book.tell(findings.made(about))
book.tell(findings.agreement(tables["comparison"]))
book.tell(findings.unseen(tables["agreement"], costs.PieAPP("small").stride, sizes))
book.tell(findings.rising(tables["monotone"]))
book.tell(findings.known(photographs["training"], {"whole": whole, "learnt": learnt}))

# %% [markdown]
# ## What it is
#
# PieAPP {cite:p}`prashnani2018pieapp` cuts two images into patches of 64 × 64 pixels and sends each through the same eleven convolutions. For every pair of patches, one layer pair turns the difference of their features into an error and another into a weight; the weighted mean over all patches is the error of the
# image. PieAPP-small is that network with {glue:text}`width` channels in its first layer, where the original has 64, and {glue:text}`hidden` instead of 512 units behind the features: {glue:text}`parameters` parameters, {glue:text}`megabytes:.2f` MB in half precision (`humimp/data/pieapp_small.safetensors`).
#
# Two things are built in, because the duality behind {ref}`Eq. (3) <eq-3>` asks for them. The layers that make the error have no biases, so an image has the error 0 with itself, whatever the weights. And their last weights are kept at or above 0, so the error is never negative.

# %% [markdown]
# ## How it was made
#
# **The principle** is PieAPP's own. Show two distortions $A$ and $B$ of one photograph, ask which is closer to it, and fit the errors $s_A$, $s_B$ to the answers by
#
# $$
# P(A \text{ preferred to } B) = \sigma(s_B - s_A), \qquad \sigma(t) = \frac{1}{1 + e^{-t}}.
# $$
#
# **The answers** are not people's, because opinion scores with their images could not be had. They come from a committee of eight published measures: MS-SSIM {cite:p}`wang2003multiscale`, FSIM {cite:p}`zhang2011fsim`, SR-SIM {cite:p}`zhang2012srsim`, HaarPSI {cite:p}`reisenhofer2018haar`,
# GMSD {cite:p}`xue2014gradient`, MDSI {cite:p}`nafchi2016mean`, DISTS {cite:p}`ding2022image` and LPIPS {cite:p}`zhang2018unreasonable`, all in piq's versions {cite:p}`kastryulin2022pytorch`. Some were fitted to human scores, the others were designed and then checked against them. Each measure's value becomes its rank
# among the training crops, from 0 to 1, which puts all on one scale; a difference of 0.05 in rank counts as a vote of $\sigma(1)$. The votes are weighted by $\rho / (1 - \rho^2)$, where $\rho$ is the measure's published Spearman correlation with people's scores, averaged over
# TID2013 {cite:p}`ponomarenko2015image` and KADID-10k {cite:p}`lin2019kadid`. So people speak here at two removes.
#
# **The questions.** Crops of 96 × 96 pixels were cut from {glue:text}`photographs_training` of the 1000 photographs of page 3.2's paper profile ({glue:text}`photographs_watched` more were only watched during training), and each was distorted in some ten of {glue:text}`n_training_types` ways at random strengths, from just invisible
# to gross: noise of several colours and spectra, blurs, JPEG and JPEG 2000, quantisation, changes of brightness, contrast and colour, local damage, shifts and warps, a classifier's gradient, and PGD's own perturbation. Some crops got two distortions, one after the other. In all there are {glue:text}`training_crops` distorted crops.
#
# **The training** took {glue:text}`steps` steps and {glue:text}`minutes:.0f` minutes of one CPU core (seed {glue:text}`seed`, commit {glue:text}`commit`). Beside the cross-entropy of the formula above, the loss has the same cross-entropy for $4 \log s$ in place of $s$, so that faint distortions are put in order as well as gross ones, and a small term that asks a part of a distortion to
# score lower than the whole.
#
# **Who may not be judged by it.** {glue:text}`photographs_held_out` photographs were held out, with {glue:text}`n_held_out_types` kinds of distortion: {glue:text}`held_out_types`. The twenty photographs of the laptop profile were not trained on; one of them is also among the 1000 and was left out for that reason. The paper profile attacks all 1000, and
# {glue:text}`photographs_training` of them were trained on here: another reason why that profile uses PieAPP itself. The committed runs at the profiles `paper_cpu` and `paper_gpu` have PieAPP-small all the same. Where all photographs are attacked ({ref}`Table E1b <tab-1-gpu>`), {glue:text}`n_whole_training` of the {glue:text}`n_whole` were trained on; of the {glue:text}`n_learnt` that {doc}`page 4.3 <04_3_results>` attacks, {glue:text}`n_learnt_training`. `results/pieapp_small/photographs.json` lists which.

# %% [markdown]
# ## How well it agrees

# %% tags=["remove-output", "hide-input"]
glue("fig_agreement", pieapp_small.agreement(tables["comparison"]), display=True)
glue("tab_agreement", pieapp_small.comparison(tables["comparison"]), display=True)

# %% [markdown]
# ```{glue:figure} fig_agreement
# :alt: "Dots of how often each measure orders two distortions as the committee does"
# :name: "fig-agreement"
#
# **Figure E15.** How often PieAPP-small, and other measures, put two distortions of one photograph in the committee's order, on {glue:text}`photographs_held_out` photographs that were held out: over {glue:text}`new_pairs` pairs of distortions of kinds that were held out too (circles), and {glue:text}`old_pairs` pairs of kinds that
# were trained on (squares). The eight members of the committee are at an advantage: they are compared with a majority in which they vote. VSI and the squared error have no vote.
# ```

# %% [markdown]
# ```{glue:figure} tab_agreement
# :name: "tab-agreement"
#
# **Table E19.** PieAPP-small beside each measure: the share of pairs that the two order alike, and the mean over photographs of Spearman's correlation between the two. Photographs held out, as in {ref}`Figure E15 <fig-agreement>`.
# ```

# %% [markdown]
# On kinds of distortion that it never saw, PieAPP-small agrees with the committee on {glue:text}`new_accuracy:.3f` of all pairs, near ties included. Where the committee is sure of its answer (its probability is above 0.75), it is {glue:text}`new_clear_accuracy:.3f`. On kinds that it was trained
# on, it is {glue:text}`old_accuracy:.3f`. On the same held-out pairs, VSI, which has no vote and learned nothing here, reaches {glue:text}`new_VSI:.3f`, squared error {glue:text}`new_MSE:.3f`, and MS-SSIM, a member, {glue:text}`new_MS-SSIM:.3f`. How PieAPP-small correlates with people's scores was not measured here: no such scores were at hand.

# %% [markdown]
# ## Near zero

# %% tags=["remove-output", "hide-input"]
glue("fig_growth", pieapp_small.growth(tables["levels"], tables["near_zero"]), display=True)

# %% [markdown]
# ```{glue:figure} fig_growth
# :alt: "Curves of measures over the strength of a distortion"
# :name: "fig-growth"
#
# **Figure E16.** Left: the error of PieAPP-small against the strength of the kinds of distortion that were held out, median of ten photographs held out. Right: the error of a part $t$ of a distortion, $x + t\,(y - x)$, relative to the error of the whole, over all distortions of the same photographs; the dotted line is
# proportional growth. All axes but that of the level are logarithmic.
# ```

# %% [markdown]
# Over all kinds, the error rises at {glue:text}`rising:.1f` % of the steps from one strength to the next. It follows *{glue:text}`worst_type`* least well, rising at {glue:text}`worst_rising:.0f` % of the steps, and of the kinds held out *{glue:text}`unseen_type`*, at {glue:text}`unseen_rising:.0f` %. The original itself has the error {glue:text}`at_reference:.0f`. Of the {glue:text}`n_crops`
# distorted crops, {glue:text}`n_blind` have the error 0 as well.
#
# The cause of such zeros is PieAPP's grid. Patches of 64 pixels are laid every {glue:text}`stride` pixels, as piq lays them, and what lies beyond the last whole patch is never looked at: the last {glue:text}`blind_crop` rows and columns of these crops, the last {glue:text}`blind_laptop` at {glue:text}`size_laptop` × {glue:text}`size_laptop` pixels, and the last {glue:text}`blind_paper` at the paper's
# {glue:text}`size_paper` × {glue:text}`size_paper`. Changes there are free, for PieAPP with any weights. For a ground cost that is a flaw: it is zero not only where nothing has moved.
#
# The error grows nearly in proportion to a small change, and not with its square. So it has a *kink* at the original, like a norm, where automatic differentiation takes the slope to be zero (largest norm of the gradient over ten originals: {glue:text}`slope:.0f`). The first step of Algorithm 1 does not feel this cost, whatever $\lambda$; the second does,
# with its full slope.

# %% [markdown]
# ## Does it help the attack?
#
# A ground cost should earn its price: with it, attacks that always succeed should look closer to the original than without it ($\lambda = 0$), in the eyes of two judges, LPIPS and DISTS. The attack does not see them, but they are not independent of its cost: both sat in the committee of eight measures that PieAPP-small learned from. The table runs Algorithm 1 on the laptop profile's photographs and classifier, under the paper's reading of
# line 9 at $a = 0$ and $a = 5$, and at $a = 5$ with fractions of levels kept while iterating. The paper's $\lambda$ is 1, for PieAPP's scale, which PieAPP-small's need not share.

# %% tags=["remove-output", "hide-input"]
attacked = findings.named(tables["attacks"])
shown = attacked.drop(columns=["validate", "confidence", "lam", "small"])
glue("tab_lambda", table1(shown, printed={}, bold=False), display=True)
book.tell(findings.prices(attacked))

# %% [markdown]
# ```{glue:figure} tab_lambda
# :name: "tab-lambda"
#
# **Table E20.** Algorithm 1 with PieAPP-small as its ground cost, by price: $\lambda = 0$ is no cost at all. {glue:text}`n_attacked` photographs that MobileNetV2 classifies correctly, 224 × 224 pixels; $N = 100$, $\varepsilon = 0.1$. Success is that of the saved 8-bit image; distances are means over the successes; LPIPS and DISTS are times 1000.
# ```

# %% [markdown]
# - **At $a = 0$**, with {glue:text}`first_success_1:.0f` % success, LPIPS and DISTS (× 1000) are {glue:text}`first_lpips_0:.2f` and {glue:text}`first_dists_0:.2f` without a cost, and {glue:text}`first_lpips_1:.2f` and {glue:text}`first_dists_1:.2f` at $\lambda = 1$. That is a very small gain: most photographs are fooled by the first step, which no cost can change.
# - **At $a = 5$**, with {glue:text}`firm_success_1:.0f` % success, they go from {glue:text}`firm_lpips_0:.2f` and {glue:text}`firm_dists_0:.2f` to {glue:text}`firm_lpips_1:.2f` and {glue:text}`firm_dists_1:.2f`. Here a second step is taken, and truncation still makes much of the distance.
# - **Without truncation** at $a = 5$, they go from {glue:text}`free_lpips_0:.2f` and {glue:text}`free_dists_0:.2f` to {glue:text}`free_lpips_0.3:.2f` and {glue:text}`free_dists_0.3:.2f` at $\lambda = 0.3$, with {glue:text}`free_success_0:.0f` % and {glue:text}`free_success_0.3:.0f` % success of the saved images.
#
# The prices that are better than none by both judges, at no loss of success, are {glue:text}`first_better` at $a = 0$, {glue:text}`firm_better` at $a = 5$ and {glue:text}`free_better` without truncation. A higher price does harm: at the paper's step size, the steps against the cost overshoot. With {glue:text}`n_attacked` photographs, differences of less than one per cent are no evidence about
# other photographs.

# %% [markdown]
# ## What it costs to compute
#
# PieAPP sits inside the attack, once an iteration, so its speed decides what can be run. The package's `pieapp.Distance` computes what piq's PieAPP computes, for any width, and keeps the original's features for the whole attack. The table times the value with its gradient, both on the same weights and images in the same process.

# %% tags=["remove-output", "hide-input"]
files = [results / "benchmarks" / f"{name}.json" for name in ("pieapp", "pieapp_small")]
timed = [json.loads(file.read_text("utf-8")) for file in files]
glue("tab_speed", pieapp_small.costs(timed), display=True)
book.tell(findings.speed(timed))

# %% [markdown]
# ```{glue:figure} tab_speed
# :name: "tab-speed"
#
# **Table E21.** Value and gradient of PieAPP for one image: median of {glue:text}`speed_repeats` turns, taken in alternation, on {glue:text}`speed_machine` ({glue:text}`speed_threads` threads, no GPU; commit {glue:text}`speed_commit`). Width 64 is PieAPP's size, with random weights. The cosine is that between the gradient and piq's. Memory is the peak of a
# process that does nothing else. `benchmarks/pieapp.py` makes the records.
# ```

# %% [markdown]
# In float32, `humimp` is {glue:text}`wide_ratio:.1f` times as fast as piq at PieAPP's size and {glue:text}`slim_ratio:.1f` times at PieAPP-small's. In bfloat16 it is {glue:text}`wide_reduced:.1f` and {glue:text}`slim_reduced:.1f` times, and the gradient turns (the cosines). {doc}`The appendix on speed <a3_speed>` shows what that does to attacks. The tests hold values and gradients against piq's for many sizes and strides with random weights, and, where PieAPP's own weights are on the machine, against the value
# that piq publishes; here they were not.

# %% [markdown]
# ## What came out
#
# A network of {glue:text}`megabytes:.1f` MB, trained on a committee's preferences, orders distortions that it never saw as the committee does in {glue:text}`new_accuracy:.2f` of the pairs. It is zero at the original, never negative, and grows with a distortion's strength nearly everywhere it was tried; like PieAPP, it does not see the last rows and columns. What it is not: PieAPP's weights, or a measure checked against people. What it does
# for the attack is in {ref}`Table E20 <tab-lambda>`, and truncation limits it there: where an attack keeps fractions of levels, the price has more to decide.
