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
# # Appendix: readings of the paper
#
# In some places the paper's text admits more than one program. This page lists them, runs the candidates, and sets each one's numbers beside the printed ones (Table E22 at the paper's settings, Table E23 in your run). It says which reading the numbers favour, and where they cannot tell.
# The rows of PGD, PerC_AL and NPTM hang on no ground cost, so they can settle something although PieAPP itself cannot be had here. **Where a ground cost is needed, it is {glue:text}`cost`, {glue:text}`stand_in`.**

# %% tags=["parameters"]
run = "yours"  # "yours" computes, "reference" shows the committed results
classifier = "mobilenet_v2"  # "mobilenet_v2", "resnet50", "resnet50_he2016" or "efficientnet_lite2"
images = "photographs"  # "photographs" (20, with the package) or "imagenet1000" (the paper's)
n_images = 20  # how many of them, from the first on: PGD and ours, without confidence, run on all
n_sample = 8  # of these, a fixed random subset for other measures and other readings
n_slow = 2  # and a smaller one for PerC_AL, whose candidates take many passes
n_nptm = 2  # and another for NPTM
size = 224  # side of the square images in pixels; the paper's is 299
cost = "PieAPP-small"  # ground cost: "PieAPP-small", the paper's "PieAPP", "HaarPSI" or "SSIM"
steps = 100  # N, the largest number of steps of ours and of PGD
step_size = 0.1  # ε, the length of a step
lam = 1.0  # λ, the price of the ground cost
confidences = [0.0, 5.0]  # a, of ours
perc_al_steps = [20, 40]  # numbers of iterations of PerC_AL to try; 1000 in its paper
batch_size = 5  # images at a time; NPTM's noise at the start depends on it

# %% tags=["nbval-ignore-output"]
import inspect
from functools import cache, partial

from myst_nb import glue

from humimp import attacks, book, classifiers, datasets, evaluate, experiment, features, paper
from humimp.distances import DISTS, LPIPS, Resized, Unscaled, l1, l2, linf
from humimp.figures.readings import readings
from humimp.findings import readings as findings
from humimp.findings.words import FEWEST, stand_in

here = book.start("a2_readings")

# %% [markdown]
# ## The places
#
# (places)=
# | Where | What the text says | Candidates |
# | :-- | :-- | :-- |
# | Section 3.1 | "we derive a one-step solution", without a formula | one window or a sliding one; how far to step |
# | Algorithm 1, line 9 | "Validate $\mathbf{x}_\text{adv}$ as an RGB image"; "we truncate … to have the same precision as an RGB image" | cut fractions of a level off after every step; round after every step; keep them, and round once to save |
# | Algorithm 1, lines 7–8 | $\Delta$ is a gradient, and $\varepsilon\Delta$ the step; for PGD a normalised gradient is written out | $\Delta$ as it is; $\Delta/\lVert\Delta\rVert_2$ |
# | Algorithm 1, line 4 | the test stands before the step | before the first step; after each step |
# | Table 1, LPIPS | it is named and cited, without settings | VGG-16 or AlexNet; images handed over in $[-1, 1]$, as the package expects, or in $[0, 1]$; at full size or resized |
# | Table 1, DISTS | the same | at full size, the package's default; the shorter side resized to 256, as its authors evaluate |
# | Table 1, NPTM | PPGD and LPA are named, without settings | distance of AlexNet's features or of the classifier's own; bound 0.5 or smaller |
# | Table 1, PerC_AL | no settings | number of iterations; confidence $\kappa = 0$ or 40; which of the images that fool is returned: the one with the least colour difference, or, as in its authors' code, the one whose predecessor by a step has the least |
# | Section 4.1, test | "We test $\theta$ on $\mathcal{D}$" | on the images that it was trained on; on others |
# | Section 4.1, $\Sigma$ | $\Sigma_{ii} = 1/\sqrt{n_i}$ | a covariance of $1/\sqrt{n_i}$; a standard deviation of it, that is a covariance of $1/n_i$ |
# | Section 4.3, t-tests | two statistics and two probabilities | paired or unpaired, one-sided or two-sided |
# | Algorithm 2, $P_i$ | each image gets a weight | literal, or normalised |

# %% tags=["hide-input"]
price = experiment.COSTS[cost]()
common = {"steps": steps, "step_size": step_size, "validate": "truncate"}
ours = common | {"confidence": 0.0, "cost": price, "lam": lam}
whole = cache(partial(datasets.load, images, n_images, size=size))


@cache
def model():
    return classifiers.load(classifier, device="auto")


def evaluated(name, attack, options, n=n_images, measures=None):
    about = {"classifier": classifier, "images": images, "n": n_images, "size": size}
    if n < n_images:
        about |= {"sample": n}
    return evaluate.run(
        attack, model, lambda: datasets.sample(whole(), n), out=here.row(name),
        options=options, about=about, measures=measures or judges, batch_size=batch_size, name=name,
    )  # fmt: skip


norms = {"l1": l1, "l2": l2, "linf": linf}
judges = norms | {"lpips": LPIPS(), "dists": DISTS()}
other_judges = {
    "lpips": LPIPS(),
    "lpips_vgg_unscaled": Unscaled(LPIPS()),
    "lpips_vgg_256": Resized(LPIPS(), 256),
    "lpips_alex": LPIPS("alex"),
    "lpips_alex_unscaled": Unscaled(LPIPS("alex")),
    "dists": DISTS(),
    "dists_256": Resized(DISTS(), 256),
}
nptm = {
    "AlexNet, bound 0.5": lambda: {"features": features.alexnet(next(model().parameters()).device)},
    "own, bound 0.5": lambda: {"features": features.of(model())},
    "own, bound 0.25": lambda: {"features": features.of(model()), "bound": 0.25},
}

# %% tags=["nbval-ignore-output", "hide-input"]
ROUND_STEPS = 5  # an image that rounding has stopped would take them all
sampled, slow, middle = (min(n, n_images) for n in (n_sample, n_slow, n_nptm))
runs = [
    *(
        evaluated(f"Ours (a = {a:g}){', normalised' if normalized else ''}", attacks.imperceptible,
                  ours | {"confidence": a} | ({"normalized": True} if normalized else {}),
                  n_images if a == 0 and not normalized else sampled)
        for normalized in (False, True) for a in confidences
    ),
    evaluated("PGD, round", attacks.pgd_l2, common | {"validate": "round", "steps": ROUND_STEPS}, sampled),
    evaluated("PGD, none", attacks.pgd_l2, common | {"validate": "none"}, sampled),
    *(
        evaluated(f"PerC_AL, {k} iterations{', κ = 40' if kappa else ''}{told}", attacks.perc_al,
                  {"steps": k, "confidence": kappa} | keep, slow)
        for told, keep in (("", {}), (", kept as in the code", {"keep": "code"}))
        for kappa in (0.0, 40.0) for k in perc_al_steps
    ),
    *(
        evaluated(f"{kind}, {name}", attack, options(), middle)
        for name, options in nptm.items()
        for kind, attack in (("PPGD", attacks.ppgd), ("LPA", attacks.lpa))
    ),
    evaluated("PGD (L2)", attacks.pgd_l2, common),
]  # fmt: skip
judged = evaluated("PGD, other judges", attacks.pgd_l2, common, sampled, other_judges)

# %% [markdown]
# ## How near is near
#
# A row of Table 1 has several distances, of different sizes. A candidate's **factor** says by how much they typically differ from the printed ones: $\exp$ of the mean of $|\ln(\text{ours}/\text{paper})|$ over the row's columns. It is 1 where all agree and 2 where they are typically twice or half as large. A candidate whose success rate
# is more than {glue:text}`points:.0f` points from the printed one, and by more than chance explains, is ruled out (–). The nearest is **favoured** if the next one's factor is at least {glue:text}`clearly:.1f` times as large and it was tried on {glue:text}`fewest` images or more; otherwise the numbers cannot tell.
#
# LPIPS and DISTS under other conventions are measured on a subset only. Because they move together with the ordinary ones, their means over all images are estimated by the ratio on the subset times the ordinary mean over all.


# %% tags=["remove-output", "hide-input"]
def by_row(records):
    return {one["attack"].iloc[0]: one for one in records}


found = findings.candidates(by_row([*runs, judged]), confidences=confidences, nptm=nptm)
glue("yours_tab_readings", readings(found), display=True)
book.tell(findings.favours(found, confidences=confidences), prefix="yours_")
book.tell(findings.numbers(found, "line_9"), prefix="yours_")

scale = book.at_scale("a2_readings")
book.tell({"scale": scale.plain()})
asked = scale.about["parameters"]
large = by_row(
    evaluate.load(path.parent) for path in sorted(scale.folder.glob("*/provenance.json"))
)
found = findings.candidates(large, confidences=asked["confidences"], nptm=nptm)
glue("paper_tab_readings", readings(found), display=True)
book.tell(findings.favours(found, confidences=asked["confidences"]), prefix="paper_")
book.tell(findings.numbers(found, "line_9"), prefix="paper_")
book.tell(findings.numbers(found, "lpa"), prefix="paper_")
book.tell(findings.perc_al(found), prefix="paper_")
book.tell(findings.pgd(large["PGD (L2)"]), prefix="paper_")
book.tell(findings.ours(large, confidences=asked["confidences"]), prefix="paper_")
book.tell(findings.over(large["PGD (L2)"]))
book.tell({"paper_steps": asked["steps"]})

book.tell(findings.printed())
sigma = inspect.signature(attacks.lpa).parameters["noise"].default  # what NPTM starts from
book.tell(findings.noise(sigma, paper.IMAGE_SIZE))
book.tell({"points": findings.POINTS, "clearly": findings.CLEARLY, "fewest": FEWEST})
book.tell({"round_steps": ROUND_STEPS})
book.tell({"n_images": n_images, "size": size, "classifier": classifiers.TITLES[classifier]})
book.tell({"cost": experiment.TITLES[cost], "stand_in": stand_in(cost)})

# %% [markdown]
# ## At the paper's settings
#
# {glue:text}`scale`
#
# ```{glue:figure} paper_tab_readings
# :name: "tab-readings-paper"
#
# **Table E22.** Candidate readings beside the paper's Table 1, **reference run at the paper's settings**: ResNet-50 (He et al. 2016), 299 × 299 pixels, PGD on the {glue:text}`paper_n_pgd` of {glue:text}`paper_n_pgd_images` images that it classifies correctly, each other row on as many of these as its line says: all, or a fixed random subset. Ours has PieAPP-small as its ground cost, a stand-in for PieAPP. Both readings of ours are on the same photographs. *As coded*: the image that PerC_AL's authors' code keeps. Rows were added over some days; the record of each names its commit. Of the 1000, {glue:text}`a1_pieapp_small.ipynb::photographs_training:.0f` are among those that PieAPP-small learned from. Rounding after every step has {glue:text}`round_steps` steps, not {glue:text}`paper_steps`. LPIPS and DISTS under
# the conventions are estimated for all of PGD's images from those that the line says. Grey: the paper. Factor: how far a candidate is from the paper, 1 being agreement; bold: favoured; –: ruled out by its success rate.
# ```
#
# - **Line 9.** Favoured: {glue:text}`paper_line_9`. Rounding after every step fools {glue:text}`paper_line_9_1_success:.0f` % of the images in {glue:text}`round_steps` steps, rounding once {glue:text}`paper_line_9_2_success:.0f` %; the paper's 100 % excludes the latter. (With {glue:text}`paper_steps` steps, rounding may fool more; that was not computed.) Cutting off has $L_1$ {glue:text}`paper_pgd_l1:.0f` ± {glue:text}`paper_pgd_l1_error:.0f` (printed: {glue:text}`printed_l1:.0f`),
#   $L_2$ {glue:text}`paper_pgd_l2:.3f` ± {glue:text}`paper_pgd_l2_error:.3f` ({glue:text}`printed_l2`), $L_\infty$ {glue:text}`paper_pgd_linf:.4f` ({glue:text}`printed_linf`).
# - **LPIPS.** Favoured: {glue:text}`paper_lpips`. The ordinary one, VGG-16 on images as the package expects them, is {glue:text}`paper_pgd_lpips:.2f` ± {glue:text}`paper_pgd_lpips_error:.2f`, the paper's is {glue:text}`printed_lpips`. Its median is {glue:text}`paper_median_lpips:.2f`: few images have most of the mean.
# - **DISTS.** Favoured: {glue:text}`paper_dists`. At full size it is {glue:text}`paper_pgd_dists:.2f` ± {glue:text}`paper_pgd_dists_error:.2f`, the paper's {glue:text}`printed_dists`; the median is {glue:text}`paper_median_dists:.2f`.
# - **Raw or normalised gradient in ours.** Favoured: {glue:text}`paper_gradient` at $a = $ {glue:text}`paper_least_a`, {glue:text}`paper_gradient_most` at $a = $ {glue:text}`paper_most_a`. The ground cost is a stand-in, whose gradient is zero at the original, and at $a = 0$ most images take few steps. The reading matters: normalised, on the {glue:text}`paper_n_normal` photographs that it and PGD fool, ours at $a = $ {glue:text}`paper_least_a` has LPIPS {glue:text}`paper_normal_lpips:.2f` and PGD {glue:text}`paper_normal_lpips_pgd:.2f` (difference {glue:text}`paper_normal_lpips_off` ± {glue:text}`paper_normal_lpips_error:.2f`), DISTS
#   {glue:text}`paper_normal_dists:.2f` and {glue:text}`paper_normal_dists_pgd:.2f` ({glue:text}`paper_normal_dists_off` ± {glue:text}`paper_normal_dists_error:.2f`); as it is, on all {glue:text}`paper_n_ours`, ours has LPIPS {glue:text}`paper_ours_lpips:.2f` and PGD {glue:text}`paper_pgd_lpips:.2f`. The {doc}`scoreboard <05_conclusion>` gives both.
# - **The test before the first step, or after each.** On the images of Table 1 the two are the same program: only images that are classified correctly are attacked, and these fail the test at $a \ge 0$ before any step. They could differ only where an image takes all {glue:text}`paper_steps` steps. Of PGD's none does (at most {glue:text}`paper_most_passes:.1f` forward passes an image in any batch); of ours at $a = $ {glue:text}`paper_least_a` the {glue:text}`paper_lost` of {glue:text}`paper_n_ours` do that are never fooled.
# - **NPTM.** PPGD favours {glue:text}`paper_ppgd`, LPA {glue:text}`paper_lpa`. With AlexNet's features LPA's $L_2$ is {glue:text}`paper_lpa_0_l2:.2f`, with the classifier's own, at the same bound, {glue:text}`paper_lpa_1_l2:.2f` (printed: {glue:text}`printed_lpa_l2`); but with these it fools {glue:text}`paper_lpa_1_success:.0f` % of the images (printed: {glue:text}`printed_lpa_success`). A smaller bound is a free choice, so an agreement here says less than one without a choice.
#   Both attacks start from normal noise of standard deviation {glue:text}`noise`. At the paper's size that noise alone has an $L_1$ of {glue:text}`noise_l1:.0f`, an $L_2$ of {glue:text}`noise_l2:.2f` and, in every second image, an $L_\infty$ above {glue:text}`noise_linf:.3f`. The printed row of LPA, {glue:text}`printed_lpa_l1`, {glue:text}`printed_lpa_l2` and {glue:text}`printed_lpa_linf`, is hardly more: it looks as if the paper's LPA ended about where it started.
# - **PerC_AL.** With $\kappa = 40$ the factors are {glue:text}`paper_perc_40`, without it {glue:text}`paper_perc_plain`; where the image is kept that its authors' code keeps, {glue:text}`paper_perc_40_code` and {glue:text}`paper_perc_plain_code`. Favoured among all that were tried: {glue:text}`paper_perc_al`.

# %% [markdown]
# ## In your run
#
# ```{glue:figure} yours_tab_readings
# :name: "tab-readings-yours"
#
# **Table E23.** The same candidates in **the run that the first lines of this page name**: {glue:text}`classifier`, {glue:text}`size` × {glue:text}`size` pixels, {glue:text}`n_images` images for PGD as the paper reads it, for each other row as many as its line says; ground cost {glue:text}`cost`, {glue:text}`stand_in`; *as coded*: the image that PerC_AL's authors' code keeps. Smaller images and another network have other distances, so away from the paper's settings the factor says little; what does
# carry over is which success rates are possible.
# ```
#
# Here line 9 favours {glue:text}`yours_line_9`: rounding after every step fools {glue:text}`yours_line_9_1_success:.0f` %, rounding once {glue:text}`yours_line_9_2_success:.0f` %.

# %% [markdown]
# ## What the pages on fairness say
#
# - **$\Sigma$.** The printed $F$ and its probability fit each other whatever $\Sigma$ was, so they do not tell. On simulated countries without bias a test of level 5 % rejects in {glue:text}`04_1_bias_metric.ipynb::fair_paper:.1f` % of the cases with $1/\sqrt{n_i}$ as the covariance and in {glue:text}`04_1_bias_metric.ipynb::fair_binomial:.1f` % with $1/n_i$: both are honest tests, and
#   the second has the steadier slope ({doc}`4.1 <04_1_bias_metric>`). This book takes the text at its word.
# - **The t-tests.** Only a one-sided test with about 49 degrees of freedom gives the printed probabilities, which is a paired test of fifty pairs ({ref}`Table E11 <tab-p-values>`).
# - **$P_i$.** Taken literally, the weights want a learning rate that is $\mathbb{E}[P]$ times smaller; with that, they come to the same as when normalised ({doc}`4.2 <04_2_dro>`). No printed number depends on it in a way that could be checked here.

# %% [markdown]
# ## What came out
#
# The PGD row speaks for the text's "we truncate", in every step. Its $L_1$ and $L_2$ come out {glue:text}`over_l1:.0f` % and {glue:text}`over_l2:.0f` % larger than printed, its $L_\infty$ {glue:text}`over_linf:.0f` %. Of the conventions of LPIPS the numbers favour {glue:text}`paper_lpips`, of those of DISTS {glue:text}`paper_dists`. (Images handed over in $[0, 1]$ would make the paper's LPIPS another measure than the published one.) For the gradient of ours, they favour {glue:text}`paper_gradient` at $a = $ {glue:text}`paper_least_a` and {glue:text}`paper_gradient_most` at $a = $ {glue:text}`paper_most_a`. The t-tests were one-sided, and presumably paired. For $\Sigma$ and $P_i$ the text stands alone.
# Where two readings are as near, this book follows the listing to the letter, except for Algorithms 2 and 3, whose weights are normalised and whose images come in batches ({doc}`4.2 <04_2_dro>`).
