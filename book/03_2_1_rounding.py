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
# # 3.2.1 What the rounding and the price do
#
# {doc}`Page 3.2 <03_2_pieapp>` runs Algorithm 1 as the paper has it. This page asks how much of its numbers is due to line 9 of the algorithm, which makes each step a valid image (Table E2), and what the price on the ground cost changes (Table E3). **The ground cost on this page is {glue:text}`cost`,
# {glue:text}`stand_in`.** Neither table is in the paper.

# %% tags=["parameters"]
run = "yours"  # "yours" computes, "reference" shows the committed results
classifier = "mobilenet_v2"  # "mobilenet_v2", "resnet50", "resnet50_he2016" or "efficientnet_lite2"
images = "photographs"  # "photographs" (20, with the package) or "imagenet1000" (the paper's)
n_images = 20  # how many of them, from the first on
sample = 0  # attack a fixed random subset of so many of these; 0 for all
size = 224  # side of the square images in pixels; the paper's is 299
cost = "PieAPP-small"  # ground cost: "PieAPP-small", the paper's "PieAPP", "HaarPSI" or "SSIM"
steps = 100  # N, the largest number of steps
step_size = 0.1  # ε, the length of a step
lam = 1.0  # λ, the price of the ground cost; Table E3 tries others too
confidence = 5.0  # a, in Table E3
batch_size = 5  # images at a time; does not change the results

# %% tags=["nbval-ignore-output"]
from functools import cache, partial

import pandas as pd
from myst_nb import glue

from humimp import attacks, book, classifiers, datasets, evaluate, experiment
from humimp.distances import l1, l2, linf
from humimp.figures import table1
from humimp.findings import rounding as findings
from humimp.findings.words import stand_in

here = book.start("03_2_1_rounding")

# %% tags=["hide-input"]
price = experiment.COSTS[cost]()
common = {"steps": steps, "step_size": step_size}
ours = common | {"cost": price, "lam": lam}
norms = {"l1": l1, "l2": l2, "linf": linf}
dataset = cache(partial(datasets.load, images, n_images, size=size, drawn=sample))


@cache
def model():
    return classifiers.load(classifier, device="auto")


def evaluated(name, attack, options, measures=norms):
    about = {
        "classifier": classifier,
        "images": images,
        "n": n_images,
        "sample": sample,
        "size": size,
    }
    return evaluate.run(
        attack, model, dataset, out=here.row(name), options=options, about=about,
        measures=measures, batch_size=batch_size, name=name,
    )  # fmt: skip


# %% [markdown]
# (sec-line-9)=
# ## Line 9: how much of the distance is rounding
#
# An image file holds whole levels from 0 to 255 per channel, so a gradient step has to be rounded at some point. "Validate $\mathbf{x}_\text{adv}$ as an RGB image", says line 9, and the text: "we truncate". That can be read in three ways:
# cut off the fraction of a level after every step (`"truncate"`), round to the nearest level after every step (`"round"`), or keep fractions while iterating (`"none"`) and round once, at the end, to save the image.
#
# The readings differ more than one would think. A step of length {glue:text}`step_size` spread over {glue:text}`n_values` values moves a typical one by {glue:text}`typical:.2f` levels. *Rounding* undoes every move of less than half a level. *Cutting off* turns it, where it points down, into a whole level, and undoes it where it points up.
# So one truncated step lowers about half of all values by one level, however short the step was. That alone makes
#
# $$
# L_1 \approx \frac{n}{2} \cdot \frac{1}{255}, \qquad L_2 \approx \sqrt{\frac{n}{2}} \cdot \frac{1}{255}, \qquad L_\infty = \frac{1}{255},
# $$
#
# which for $n = $ {glue:text}`n_values` values is {glue:text}`floor_l1:.0f`, {glue:text}`floor_l2:.3f` and 0.0039; and for the paper's {glue:text}`paper_values` values {glue:text}`paper_floor_l1:.0f`, {glue:text}`paper_floor_l2:.2f` and 0.0039, next to the {glue:text}`paper_pgd_l1:.0f`,
# {glue:text}`paper_pgd_l2:.2f` and 0.005 of its PGD row. PGD knows nothing of PieAPP, so its row tells how line 9 was meant. The table runs PGD under each reading, and once more with a step a hundredth as long.

# %% tags=["nbval-ignore-output"]
FEW = 20  # steps, at most, of a reading that undoes most of each step
few = min(steps, FEW)
readings = {
    "PGD, truncate": (attacks.pgd_l2, common | {"validate": "truncate"}),
    "PGD, truncate, ε/100": (
        attacks.pgd_l2,
        common | {"validate": "truncate", "step_size": step_size / 100},
    ),
    "PGD, round": (attacks.pgd_l2, common | {"validate": "round", "steps": few}),
    "PGD, none": (attacks.pgd_l2, common | {"validate": "none"}),
    "Ours (a = 0), truncate": (attacks.imperceptible, ours | {"validate": "truncate"}),
    "Ours (a = 0), none": (attacks.imperceptible, ours | {"validate": "none"}),
}
read = pd.concat(evaluated(name, attack, options) for name, (attack, options) in readings.items())

# %% tags=["remove-output", "hide-input"]
shown = findings.with_steps(read, few)
glue("tab_readings", table1(shown, printed={}, bold=False), display=True)
book.tell(
    {
        "size": size,
        "classifier": classifiers.TITLES[classifier],
        "cost": experiment.TITLES[cost],
        "stand_in": stand_in(cost),
        "few": few,
        "steps": steps,
        "step_size": f"{step_size:g}",
    }
)
book.tell(findings.floors(size, step_size))
book.tell(findings.readings(read, size))
book.tell(findings.without_truncation(read))

# %% [markdown]
# ```{glue:figure} tab_readings
# :name: "tab-readings"
#
# **Table E2.** The readings of line 9, on the {glue:text}`n_correct` of {glue:text}`n_images` photographs that {glue:text}`classifier` classifies correctly ({glue:text}`size` × {glue:text}`size` pixels; ground cost {glue:text}`cost`, {glue:text}`stand_in`). *None* means that the attack runs on fractions of levels, and its result is rounded once to be saved. Success is asked of the saved
# image. *PGD, round* has at most {glue:text}`few` steps, the other rows at most {glue:text}`steps`. Distances are means over the successes, so rows with few successes speak of easy images only. Not in the paper.
# ```

# %% [markdown]
# - **Truncation** succeeds, for PGD with an $L_2$ of {glue:text}`truncated_l2:.2f`, of which the floor of a single step accounts for {glue:text}`share_floor:.0f` %. In the paper's own PGD row it would be {glue:text}`paper_share_floor:.0f` %.
#   A step a hundredth as long gives a distance of {glue:text}`tiny_l2:.2f`, with {glue:text}`tiny_success:.0f` % success. Where the two agree, the length of the step hardly matters, and its signs do: truncated PGD is then, in effect, half of a sign-gradient step
#   {cite:p}`goodfellow2015explaining` of one level: the half that points down. For ours at $a = 0$, the same floor is {glue:text}`ours_share_floor:.0f` % of an $L_2$ of {glue:text}`ours_l2:.2f`.
# - **Rounding** in the loop undoes the small moves of each step. With {glue:text}`few` steps, {glue:text}`round_success:.0f` % of the images are fooled. Only values that move by half a level or more in one step are changed. In the images that are not fooled, {glue:text}`n_stuck` of {glue:text}`n_correct`, the largest change is {glue:text}`stuck_linf`,
#   and all changes of an image together come to {glue:text}`stuck_l1`, over {glue:text}`n_values` values. More steps may fool more of them.
# - **No rounding** in the loop finds a wrong answer after {glue:text}`none_passes:.1f` forward passes, with a change so small that saving the image takes it back: {glue:text}`none_success:.0f` % of the saved images still fool the classifier
#   ({glue:text}`ours_none_success:.0f` % for our attack, whose steps are longer where the loss is steep).
# - **No rounding, for ours:** keeping fractions {glue:text}`nearer` in $L_2$. On the {glue:text}`n_common` photographs on which ours succeeds both ways, its $L_2$ is {glue:text}`common_none_l2:.2f` without truncation and {glue:text}`common_truncate_l2:.2f` with it, its $L_1$ {glue:text}`common_none_l1:.0f` and {glue:text}`common_truncate_l1:.0f`, its $L_\infty$ {glue:text}`common_none_linf:.3f` and {glue:text}`common_truncate_linf:.3f`. Its steps are as long as the loss is steep, because its gradient
#   is not normalised. And what is left above the floor may be a small part of $L_2$ and still be seen: in {ref}`Table 1 <tab-1>`, ours at $a = $ {glue:text}`03_2_pieapp.ipynb::a_least:s` has {glue:text}`03_2_pieapp.ipynb::ours_beside_pgd_lpips:.1f` times PGD's LPIPS at {glue:text}`03_2_pieapp.ipynb::ours_beside_pgd_l2:.1f` times its $L_2$.
#
# So the paper's reading is the first. The floor of a truncated step would be {glue:text}`paper_share_floor:.0f` % of the $L_2$ that the paper's Table 1 reports for PGD, so that this distance says little about the attack, and {glue:text}`paper_ours_share_floor:.0f` % of that for ours at $a = 0$. How near ours would come without truncation is another question: here, keeping fractions {glue:text}`nearer` in $L_2$. {glue:text}`large_nearer` An attack that tries the rounded image on its way can do without: DDN and PerC_AL in {ref}`Table 1 <tab-1>` do so.

# %% [markdown]
# ## What the price does
#
# The ground costs 1 − SSIM, 1 − HaarPSI and PieAPP-small are zero at the original and nowhere smaller, so the gradient that Algorithm 1 gets there is zero: **the first step does not see the cost at all**, whatever $\lambda$. (PieAPP-small has a kink at the original, made by its ReLUs, and automatic differentiation takes the slope 0 there.) With $a = 0$, $N = 1$ is enough for {glue:text}`one_step:.0f` % of the images. Only later steps weigh the cost against the loss, and the weight
# depends on the scale of both. At $a = $ {glue:text}`confidence`, where more steps are taken, the table turns $\lambda$ up and down.


# %% tags=["nbval-ignore-output"]
def prices(lam):
    """Name the rows of the table of prices, each with its price."""
    return {f"lam = {times * lam:g}": times * lam for times in (0.0, 1, 100, 10_000)}


firm = ours | {"confidence": confidence}
judged = norms | {"cost": price}
priced = pd.concat(
    evaluated(name, attacks.imperceptible, firm | {"lam": value}, measures=judged)
    for name, value in prices(lam).items()
)
single = evaluated("One step", attacks.imperceptible, ours | {"confidence": 0.0, "steps": 1})

# %% tags=["remove-output", "hide-input"]
shown = findings.thousandfold(priced)
glue("tab_prices", table1(shown, printed={}, bold=False), display=True)
book.tell(findings.costs(priced, lam))
book.tell(
    {
        "confidence": f"{confidence:g}",
        "one_step": float(evaluate.table(single)["success_rate"].iloc[0]),
    }
)

# %% [markdown]
# ```{glue:figure} tab_prices
# :name: "tab-prices"
#
# **Table E3.** Algorithm 1 at $a = $ {glue:text}`confidence` at the prices 0, $\lambda$, $100\,\lambda$ and $10\,000\,\lambda$ with $\lambda = $ {glue:text}`lam`, on the photographs and the classifier of {ref}`Table E2 <tab-readings>`. $c_0$ is the ground cost at the saved image, {glue:text}`cost` ({glue:text}`stand_in`), times 1000. Not in the paper.
# ```

# %% [markdown]
# Without any price, $1000\,c_0$ ends at {glue:text}`cost_zero:.2f`; at $\lambda = $ {glue:text}`lam` it ends at {glue:text}`cost_one:.2f`, at {glue:text}`lam_hundred` at {glue:text}`cost_hundred:.2f`, and at {glue:text}`lam_many` at {glue:text}`cost_many:.1f`. Where a price changes nothing, the gradient of the cost is too
# small beside that of the loss to be heard; where it makes the cost *larger*, the steps against the cost are so long, at a fixed step size, that they overshoot. {doc}`Page 3.2 <03_2_pieapp>` keeps the paper's $\lambda$ all the same. Which price is right depends on the scale of the cost,
# because $\lambda$ trades loss for cost in the cost's own unit ({doc}`03_method`). {ref}`Table E20 <tab-lambda>` in the appendix looks at prices about 1, and asks LPIPS and DISTS.

# %% [markdown]
# ## The reference run at the paper's settings
#
# {glue:text}`scale_line`

# %% tags=["remove-output", "hide-input"]
scale = book.at_scale("03_2_1_rounding")
book.tell({"scale_line": scale.plain()})
asked = scale.about["parameters"]
large_read = pd.concat(evaluate.load(scale.row(name)) for name in readings)
large_priced = pd.concat(evaluate.load(scale.row(name)) for name in prices(asked["lam"]))
shown = findings.with_steps(large_read, min(asked["steps"], FEW))
glue("large_tab_readings", table1(shown, printed={}, bold=False), display=True)
shown = findings.thousandfold(large_priced)
glue("large_tab_prices", table1(shown, printed={}, bold=False), display=True)
told = findings.at_scale(large_read, large_priced, size=asked["size"], lam=asked["lam"])
book.tell(told, "large_")
large_cost = asked["cost"]
book.tell({"cost": experiment.TITLES[large_cost], "stand_in": stand_in(large_cost)}, "large_")

# %% [markdown]
# ```{glue:figure} large_tab_readings
# :name: "tab-readings-large"
#
# **Table E4.** The readings of line 9, as in {ref}`Table E2 <tab-readings>`, in the **reference run at the paper's settings**, whichever run is shown above. The ground cost of ours is {glue:text}`large_cost`, {glue:text}`large_stand_in`.
# ```
#
# {glue:text}`large_line_9`
#
# ```{glue:figure} large_tab_prices
# :name: "tab-prices-large"
#
# **Table E5.** Algorithm 1 under its prices, as in {ref}`Table E3 <tab-prices>`, in the **reference run at the paper's settings**. $c_0$ is {glue:text}`large_cost`, {glue:text}`large_stand_in`, times 1000.
# ```
#
# {glue:text}`large_price`

# %% [markdown]
# ## What came out
#
# A truncated step, however short, moves an image by about {glue:text}`floor_l2:.2f` in $L_2$. That is {glue:text}`share_floor:.0f` % of PGD's distance, and {glue:text}`ours_share_floor:.0f` % of ours at $a = 0$; how near ours comes without is another question. Keeping fractions {glue:text}`nearer` on this page's run ({glue:text}`common_none_l2:.2f` without truncation, {glue:text}`common_truncate_l2:.2f` with it, on {glue:text}`n_common` photographs on which both succeed). {glue:text}`large_nearer`
# And where one step is enough, as for {glue:text}`one_step:.0f` % of the images at $a = 0$, the cost has no say, since its gradient is zero at the original, as it is for every ground cost here but PieAPP: what the paper credits to the perceptual cost is not seen to come from it there. Where more steps are taken it is heard: with the ResNet-50 at $a = 5$, $1000\,c_0$ ends at {glue:text}`large_ends` ({ref}`Table E5 <tab-prices-large>`). What PieAPP-small does in the steps
# after the first is measured in {doc}`the appendix <a1_pieapp_small>`; what PieAPP itself would do is left open here. Next: {doc}`an attack that minds the rounding <03_2_2_eight_bit>`.
