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
# # 3.2.2 An attack that minds the rounding
#
# Cutting off fractions of a level, once, accounts for {glue:text}`03_2_1_rounding.ipynb::share_floor:.0f` % of PGD's $L_2$ distance and for {glue:text}`03_2_1_rounding.ipynb::ours_share_floor:.0f` % of ours at $a = 0$ ({doc}`last page <03_2_1_rounding>`). This page gives the attack that the paper could have had instead: it tries the image *as it will be saved*, and once that one fools the classifier, spends more passes on coming nearer to the original.
# It is set beside the paper's reading and the nearest rivals (Table E6, Figure E6), asked what a perceptual ground cost adds, and put under two mild defences. **The ground cost on this page is {glue:text}`cost`, {glue:text}`stand_in`, and {glue:text}`classifier` {glue:text}`is_classifier`.** The attack is not in the paper.

# %% tags=["parameters"]
run = "yours"  # "yours" computes, "reference" shows the committed results
classifier = "mobilenet_v2"  # "mobilenet_v2", "resnet50", "resnet50_he2016" or "efficientnet_lite2"
images = "photographs"  # "photographs" (20, with the package) or "imagenet1000" (the paper's)
n_images = 20  # how many of them, from the first on
sample = 10  # attack a fixed random subset of so many of these; 0 for all
size = 224  # side of the square images in pixels; the paper's is 299
cost = "PieAPP-small"  # ground cost: "PieAPP-small", the paper's "PieAPP", "HaarPSI" or "SSIM"
steps = 100  # N, the largest number of steps of ours, of PGD and of the climb
step_size = 0.1  # ε, the length of a step of ours and of PGD
lam = 1.0  # λ, the price of the ground cost in ours
climb = 0.05  # ε of the 8-bit aware attack
classes = 3  # K, to how many of the likeliest other classes it climbs as well
rounds = 20  # R, its rounds of averaging
masking = 0.25  # p, how much more a busy place may be changed than a calm one; 0: all alike
ddn_steps = 40  # of DDN; 100 to 1000 in its paper
perc_al_steps = 40  # of PerC_AL; 1000 in its paper
batch_size = 5  # images at a time; does not change the results

# %% tags=["nbval-ignore-output"]
from functools import cache, partial

import pandas as pd
from myst_nb import glue

from humimp import attacks, book, classifiers, datasets, defenses, evaluate, experiment
from humimp.distances import DISTS, LPIPS, l1, l2, linf
from humimp.figures import reach, table1
from humimp.findings import eight_bit as findings
from humimp.findings.rounding import thousandfold
from humimp.findings.words import kind, stand_in

here = book.start("03_2_2_eight_bit")

# %% tags=["hide-input"]
price = experiment.COSTS[cost]()
measures = {"l1": l1, "l2": l2, "linf": linf, "lpips": LPIPS(), "dists": DISTS(), "cost": price}
mild = {
    "jpeg_90": partial(defenses.jpeg, quality=90),
    "bits_7": partial(defenses.bit_depth, bits=7),
}
dataset = cache(partial(datasets.load, images, n_images, size=size, drawn=sample))


@cache
def model():
    return classifiers.load(classifier, device="auto")


def evaluated(name, attack, options):
    about = {
        "classifier": classifier,
        "images": images,
        "n": n_images,
        "sample": sample,
        "size": size,
    }
    return evaluate.run(
        attack, model, dataset, out=here.row(name), options=options, about=about,
        measures={} if name == "No attack" else measures, defenses=mild,
        batch_size=batch_size, name=name,
    )  # fmt: skip


# %% [markdown]
# ## Four ideas
#
# **Ask the image that is saved.** Algorithm 1 makes its iterate valid after each step, and so pays for the rounding each time. A gradient step need not be valid; only what is saved must be. So let the iterate $\mathbf{z}$ keep its fractions, and before each step round a copy of it, *to the nearest level*, and ask whether that copy fools the classifier.
# Values that the steps move by less than half a level are not changed at all. What is left is a change of few values, those where the gradient is large.
#
# **Then average.** When the saved image first fools the classifier it is seldom the nearest that does: its change is the sum of a few gradients from along the way, the first of them from where the classifier was still sure. The least change that crosses a boundary goes along the *normal* of the boundary, where it crosses. The margin $m = \max_{i \ne y} f_i - f_y$ of the logits $f$ is zero on the boundary, so its gradient is that normal; but it differs from one image near the boundary to the next, so a mean is taken, $\mathbf{w}$, over many. What is saved is
# $\mathbf{x} + s\,\mathbf{w}$, rounded, with the smallest scale $s$ that fools. As $\mathbf{w}$ gets better, $s$ gets smaller.
#
# Rounding *at the end* is more than a necessity here: of all images of whole levels that are as near in $L_2$, it picks the one that goes furthest along $\mathbf{w}$. The $k$-th level in a value adds $\lvert w_i \rvert$, and $2k - 1$ to the squared distance; rounding takes the levels that add at least $1/(2s)$ for each. A small entry of $\mathbf{w}$ is not lost by it. It is not worth a level.
#
# **Start several times.** The boundary that the climb comes to need not be the nearest. So the attack also climbs *towards* each of the likeliest other classes, averages for a few rounds from each start, and goes on from the nearest.
#
# **Hide the change.** A change is seen less where the image is busy already, which is why {cite:t}`croce2019sparse` bound it by the standard deviation of the pixels beside. Here that deviation sets a *price*: with $\sigma_i$ the standard deviation of the brightness in the 15 × 15 pixels around value $i$, a change $\delta_i$ costs $\delta_i^2 / r_i$, where $r_i = (\sigma_i + 0.02)^p$ divided by its mean over the image. The image that goes furthest along $\mathbf{w}$ for its price is $\mathbf{x} + s\,\mathbf{r}\,\mathbf{w}$, rounded, value by value.
#
# (alg-eight-bit)=
# | Line | The 8-bit aware attack | |
# | ---: | :--- | :--- |
# | 1 | $\mathbf{z} \leftarrow \mathbf{x}$ | |
# | 2 | **for** $k = 1, \dots, N$ | *climb* |
# | 3 | $\quad \mathbf{z} \leftarrow \mathbf{z} + \varepsilon\, \nabla \ell(\theta; \mathbf{z}, y) \,/\, \lVert \nabla \ell \rVert_2$ | fractions are kept, values stay in $[0, 1]$ |
# | 4 | $\quad \mathbf{x}_\text{adv} \leftarrow \operatorname{round}(255\, \mathbf{z}) / 255$ | what would be saved |
# | 5 | $\quad$ **if** $m(\mathbf{x}_\text{adv}) > a$ **go to** 6 | |
# | 6 | $\mathbf{w} \leftarrow (\mathbf{z} - \mathbf{x}) \,/\, \lVert \mathbf{z} - \mathbf{x} \rVert_2$, $\mathbf{x}' \leftarrow \mathbf{x}_\text{adv}$ | |
# | 7 | **for** $t = 0, \dots, R - 1$ | *average* |
# | 8 | $\quad \mathbf{w} \leftarrow (1 - \beta)\, \mathbf{w} + \beta\, \nabla m(\mathbf{x}') \,/\, \lVert \nabla m \rVert_2$ | $\beta = 2/(t + 4)$ |
# | 9 | $\quad$ $\mathbf{x}' \leftarrow \operatorname{round}(255\,(\mathbf{x} + s\,\mathbf{r}\,\mathbf{w})) / 255$, for three $s$ | from 1 % nearer than $\mathbf{x}_\text{adv}$, nearer after a success, further after a failure; $\mathbf{x}'$ is then the last of them that fools, or the first |
# | 10 | $\quad$ $\mathbf{x}_\text{adv} \leftarrow \mathbf{x}'$ **if** $m(\mathbf{x}') > a$ and $c_0$ is smaller | $c_0$ is $\sum_i \delta_i^2 / r_i$, or another ground cost |
# | 11 | **return** $\mathbf{x}_\text{adv}$ | |
#
# Lines 1 to 10 are done up to $t = 3$ from each start: as they stand, and for each of the $K$ likeliest other classes $j$ with $-\ell(\theta; \mathbf{z}, j)$ for $\ell$ in line 3. From $t = 4$ on only the start with the smallest $c_0$ is continued. A start whose climb fools at no step is left out; an image without any start is returned as the first climb left it.
#
# Here $N = $ {glue:text}`steps`, $\varepsilon = $ {glue:text}`climb`, $a = 0$, $K = $ {glue:text}`classes`, $R = $ {glue:text}`rounds` and $p = $ {glue:text}`masking:g`. Going from the start along a mean of gradients, into which each new one enters with a share that falls as $1/t$, is dual averaging {cite:p}`nesterov2009primal`. DDN {cite:p}`rony2019decoupling` and PerC_AL {cite:p}`zhao2020towards` also round on their way, and also go on once they have succeeded; what they vary is the *length* of a perturbation, or its colours. DDN's next step starts from the rounded image; PerC_AL's keeps its fractions. In the package the attack is
# `attacks.eight_bit`.

# %%
judged = f"8-bit aware ({cost})"
ours = {"steps": steps, "step_size": step_size, "lam": lam, "cost": price}
aware = {
    "steps": steps,
    "step_size": climb,
    "classes": classes,
    "rounds": rounds,
    "masking": masking,
}
rows = [
    ("No attack", attacks.no_attack, {}),
    ("Ours (a = 0)", attacks.imperceptible, ours),
    ("PGD (L2)", attacks.pgd_l2, {"steps": steps, "step_size": step_size}),
    ("PerC_AL", attacks.perc_al, {"steps": perc_al_steps}),
    ("DDN", attacks.ddn, {"steps": ddn_steps}),
    ("Climb alone", attacks.eight_bit, aware | {"rounds": 0}),
    ("All places alike", attacks.eight_bit, aware | {"masking": 0.0}),
    ("8-bit aware", attacks.eight_bit, aware),
    (judged, attacks.eight_bit, aware | {"cost": price}),
]

# %% tags=["nbval-ignore-output"]
records = pd.concat(evaluated(*row) for row in rows)

# %% [markdown]
# ## How near it comes

# %% tags=["remove-output", "hide-input"]
attacked = records[records["attack"] != "No attack"]
glue("tab_eight_bit", table1(thousandfold(attacked), printed={}), display=True)
glue("fig_reach", reach(attacked), display=True)
book.tell(
    {
        "size": size,
        "n_values": 3 * size**2,
        "classifier": classifiers.TITLES[classifier],
        "is_classifier": kind(classifier),
        "cost": experiment.TITLES[cost],
        "stand_in": stand_in(cost),
        "steps": steps,
        "climb": climb,
        "classes": classes,
        "rounds": rounds,
        "masking": masking,
        "ddn_steps": ddn_steps,
        "perc_al_steps": perc_al_steps,
    }
)
book.tell(findings.numbers(records))
book.tell(findings.beside_reading(records))
book.tell(findings.rivals(records))
book.tell(findings.judged(records, cost))
book.tell(findings.defended(records))

# %% [markdown]
# ```{glue:figure} tab_eight_bit
# :name: "tab-eight-bit"
#
# **Table E6.** The 8-bit aware attack, its first climb alone, the whole with all places alike ($p = 0$), and its rivals, on the {glue:text}`n` of {glue:text}`n_images` photographs that {glue:text}`classifier` classifies correctly ({glue:text}`size` × {glue:text}`size` pixels). *Ours (a = 0)* is Algorithm 1 as the paper reads it, with ground cost {glue:text}`cost`, {glue:text}`stand_in`; in the last row the same cost decides what is kept.
# DDN takes {glue:text}`ddn_steps` steps (its authors: 100 to 1000), PerC_AL {glue:text}`perc_al_steps` (1000). $c_0$ is {glue:text}`cost` at the saved image. Success is asked of the saved image; distances are means over the successes; bold: the smallest. Not in the paper.
# ```
#
# The climb alone changes {glue:text}`climb_levels:.0f` levels of {glue:text}`n_values` values, where the paper's reading changes {glue:text}`ours_levels:.0f`; its LPIPS is {glue:text}`climb_times_lpips:.1f` times smaller. Averaging takes $L_2$ from {glue:text}`climb_l2:.3f` to {glue:text}`alike_l2:.3f` where all places are alike and to {glue:text}`eight_l2:.3f` where the change is hidden in busy ones, LPIPS from {glue:text}`climb_lpips:.2f` to {glue:text}`alike_lpips:.2f` and {glue:text}`eight_lpips:.2f`, and DISTS from {glue:text}`climb_dists:.2f` to {glue:text}`alike_dists:.2f` and {glue:text}`eight_dists:.2f`. The whole pays with {glue:text}`eight_forwards:.0f`
# forward and {glue:text}`eight_backwards:.0f` backward passes an image; the climb alone takes {glue:text}`climb_forwards:.0f` and {glue:text}`climb_backwards:.0f`, the paper's reading {glue:text}`ours_forwards:.1f` and {glue:text}`ours_backwards:.1f`, and DDN {glue:text}`ddn_forwards:.0f` and {glue:text}`ddn_backwards:.0f`.
#
# Beside the paper's reading, with a success of {glue:text}`success:.0f` %:
#
# | Mean | Ours (a = 0) | 8-bit aware | times smaller | on half, at least |
# | :--- | ---: | ---: | ---: | ---: |
# | LPIPS (×1000) | {glue:text}`ours_lpips:.2f` | {glue:text}`eight_lpips:.2f` | {glue:text}`times_lpips:.1f` | {glue:text}`median_times_lpips:.1f` |
# | DISTS (×1000) | {glue:text}`ours_dists:.2f` | {glue:text}`eight_dists:.2f` | {glue:text}`times_dists:.1f` | {glue:text}`median_times_dists:.1f` |
# | $L_2$ | {glue:text}`ours_l2:.3f` | {glue:text}`eight_l2:.3f` | {glue:text}`times_l2:.1f` | {glue:text}`median_times_l2:.1f` |
#
# To compare the $L_2$ with: DDN, which minimises it and nothing else, ends at {glue:text}`ddn_l2:.3f`, and ours with all places alike, whose price is the squared $L_2$ itself, at {glue:text}`alike_l2:.3f`.
#
# Rivals whose LPIPS is as small, or smaller: {glue:text}`nearer_lpips`; whose DISTS is: {glue:text}`nearer_dists`. The nearest rival is {glue:text}`rival`, and against it the 8-bit aware attack has the smaller LPIPS on {glue:text}`closer_lpips` of {glue:text}`n_pairs` photographs, the smaller DISTS on {glue:text}`closer_dists`, and the smaller $L_2$ on {glue:text}`closer_l2`. {ref}`Table 1 <tab-1>` has more rivals.

# %% [markdown]
# ```{glue:figure} fig_reach
# :alt: "Curves of the share of photographs fooled over LPIPS and over DISTS, one for each attack"
# :name: "fig-reach"
#
# **Figure E6.** On how many of the {glue:text}`n` photographs of {ref}`Table E6 <tab-eight-bit>` each attack succeeds with an LPIPS (above) or DISTS (below) of at most what the axis says. Further to the left is nearer to the originals; the mark is where half of the successes are reached. One photograph is {glue:text}`grain:.1f` percentage points. Ground cost {glue:text}`cost`, {glue:text}`stand_in`.
# ```
#
# A mean over photographs is mostly that of the few hard ones; a curve shows all of them. At an LPIPS (×1000) of {glue:text}`eight_median_lpips:.2f`, where the 8-bit aware attack has half of its successes, {glue:text}`rival` has succeeded on {glue:text}`rival_share:.0f` % of the photographs and the paper's reading on {glue:text}`ours_share:.0f` %.

# %% [markdown]
# ## What a perceptual cost adds
#
# What is kept may be judged by any ground cost, since only its value is asked for. Judged by {glue:text}`cost` instead of the priced distance, $1000\,c_0$ changes by {glue:text}`judge_cost` ± {glue:text}`judge_cost_error:.2f` (mean over the same photographs, and its standard error), {glue:text}`judge_cost_word`. For LPIPS and DISTS, which have no say in it{glue:text}`sat_in_committee`, the change is {glue:text}`judge_lpips` ± {glue:text}`judge_lpips_error:.3f` in
# LPIPS ({glue:text}`judge_lpips_word`) and {glue:text}`judge_dists` ± {glue:text}`judge_dists_error:.3f` in DISTS ({glue:text}`judge_dists_word`), both times 1000. So the perceptual cost {glue:text}`adds` here. *Which* values are changed is decided by the gradients of the margin under either cost;
# the cost only has a veto.

# %% [markdown]
# ## How fragile it is
#
# An image that stops just past the decision boundary has nothing to spare. Success rates after two defences that few people would notice, with what the defence itself gets wrong in the first row:
#
# | | JPEG, quality 90 | 7 bits per channel |
# | :--- | ---: | ---: |
# | No attack | {glue:text}`none_jpeg:.0f` % | {glue:text}`none_bits:.0f` % |
# | Ours (a = 0) | {glue:text}`ours_jpeg:.0f` % | {glue:text}`ours_bits:.0f` % |
# | PerC_AL | {glue:text}`perc_al_jpeg:.0f` % | {glue:text}`perc_al_bits:.0f` % |
# | DDN | {glue:text}`ddn_jpeg:.0f` % | {glue:text}`ddn_bits:.0f` % |
# | Climb alone | {glue:text}`climb_jpeg:.0f` % | {glue:text}`climb_bits:.0f` % |
# | 8-bit aware | {glue:text}`eight_jpeg:.0f` % | {glue:text}`eight_bits:.0f` % |
#
# The two aims of the paper, not to be seen and to survive, are opposed, and its confidence $a$ is the price of one in the other ({ref}`Figure 4 <fig-4>`). The 8-bit aware attack takes the same $a$.

# %% [markdown]
# ## The reference run at the paper's settings
#
# {glue:text}`scale_line`

# %% tags=["remove-output", "hide-input"]
scale = book.at_scale("03_2_pieapp")
book.tell({"scale_line": scale.plain()})
asked = scale.about["parameters"]
there = [name for name, _, _ in rows if scale.row(name).exists()]
large = pd.concat(evaluate.load(scale.row(name)) for name in there)
shown = large[large["attack"] != "No attack"].drop(columns="saliency", errors="ignore")
glue("large_tab_eight_bit", table1(shown, printed={}), display=True)
book.tell(findings.at_scale(large, size=asked["size"], cost=asked["cost"]), "large_")
large_cost = asked["cost"]
book.tell({"cost": experiment.TITLES[large_cost], "stand_in": stand_in(large_cost)}, "large_")

# %% [markdown]
# ```{glue:figure} large_tab_eight_bit
# :name: "tab-eight-bit-large"
#
# **Table E7.** The 8-bit aware attack and its rivals in the **reference run at the paper's settings**, whichever run is shown above: rows of {ref}`Table E1 <tab-1-large>`, which has all of them. The ground cost of ours is {glue:text}`large_cost`, {glue:text}`large_stand_in`.
# ```
#
# {glue:text}`large_says`

# %% [markdown]
# ## What came out
#
# Asking the image that is saved, and then following a mean of gradients, fools {glue:text}`classifier` on {glue:text}`success:.0f` % of {glue:text}`n` photographs, nearer to the originals than Algorithm 1 with its truncation: half of them by factors of at least {glue:text}`median_times_lpips:.1f` in LPIPS, {glue:text}`median_times_dists:.1f` in DISTS and {glue:text}`median_times_l2:.1f` in $L_2$ (in the means, which follow the hardest, {glue:text}`times_lpips:.1f`, {glue:text}`times_dists:.1f` and {glue:text}`times_l2:.1f`). (If all are fooled, the rate among others is above {glue:text}`sure` %, with 95 % confidence.) With the ResNet-50, on {glue:text}`large_n` photographs, the means are {glue:text}`large_times_lpips:.1f`, {glue:text}`large_times_dists:.1f` and {glue:text}`large_times_l2:.1f` times smaller.
# What the attack does otherwise than Algorithm 1 is how it rounds, that it averages, from up to $1 + K$ starts ($K = $ {glue:text}`classes`), and how much it prefers to change busy places ($p = $ {glue:text}`masking:g`; 0: not at all). Judging what is kept by {glue:text}`cost` {glue:text}`adds`. Nearer in LPIPS: {glue:text}`nearer_lpips`; in DISTS: {glue:text}`nearer_dists`. What is so near is also soon undone: after JPEG compression of quality 90, {glue:text}`eight_jpeg:.0f` % are misclassified (of the unattacked {glue:text}`none_jpeg:.0f` %), of the paper's reading {glue:text}`ours_jpeg:.0f` %. Next: {doc}`whether it holds beyond one network <03_2_3_networks>`.
