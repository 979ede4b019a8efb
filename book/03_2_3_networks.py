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
# # 3.2.3 Does it hold on other networks?
#
# {ref}`Table 1 <tab-1>` is about one classifier. This page repeats it on {glue:text}`n_networks`, {glue:text}`names`, asks of each what holds of the paper's first claim ({ref}`Table E8 <tab-networks>`, {ref}`Table E9 <tab-verdicts>`), and shows whether an image that was made to mislead one of them misleads the others, which the attack has never seen
# ({ref}`Figure E7 <fig-transfer>`). **The ground cost on this page is {glue:text}`cost`, {glue:text}`stand_in`.** Neither the tables nor the figure are in the paper.

# %% tags=["parameters"]
run = "yours"  # "yours" computes, "reference" shows the committed results
networks = ["mobilenet_v2", "efficientnet_lite2"]  # also "resnet50" and "resnet50_he2016"
images = "photographs"  # "photographs" (20, with the package) or "imagenet1000" (the paper's)
n_images = 3  # how many of them, from the first on
sample = 0  # attack a fixed random subset of so many of these; 0 for all
size = 224  # side of the square images in pixels, for all networks; the paper's is 299
cost = "PieAPP-small"  # ground cost: "PieAPP-small", the paper's "PieAPP", "HaarPSI" or "SSIM"
steps = 100  # N, the largest number of steps of ours, of PGD and of 8-bit aware
step_size = 0.1  # ε, the length of a step of ours and of PGD
lam = 1.0  # λ, the price of the ground cost
confidences = [0.0, 1.0, 5.0]  # a, a row of ours for each
later = ["DDN", "8-bit aware"]  # rows that the paper has not; there is also "ALMA (LPIPS)"
perc_al_steps = 40  # of PerC_AL; 1000 in its paper
ddn_steps = 40  # of DDN; 100 to 1000 in its paper
alma_steps = 30  # of ALMA; 100 or 1000 in its paper
rounds = 20  # of the 8-bit aware attack
batch_size = 3  # images at a time; NPTM's noise at the start depends on it

# %% tags=["nbval-ignore-output"]
from functools import cache, partial

import pandas as pd
from myst_nb import glue

from humimp import (
    attacks,
    book,
    classifiers,
    costs,
    datasets,
    evaluate,
    experiment,
    features,
    paper,
)
from humimp.distances import DISTS, LPIPS, Changed, l1, l2, linf
from humimp.figures import table_by_network, table_of_verdicts, transfer
from humimp.findings import networks as findings

here = book.start("03_2_3_networks")

# %% [markdown]
# ## What is run
#
# The attacks are those of {doc}`page 3.2 <03_2_pieapp>`, with the same settings: the paper's rows, and of the later ones {glue:text}`later`. (The paper's $a$, $N$, $\varepsilon$ and $\lambda$ are explained {ref}`there <alg-1>`; "8-bit aware" is this edition's, see {doc}`page 3.2.2 <03_2_2_eight_bit>`.)
#
# All networks get the same {glue:text}`n_images` photographs at {glue:text}`size` × {glue:text}`size` pixels, so that norms and images can be compared. The sizes that the networks were made for are others: {glue:text}`own_sizes`. As they take the mean over all places before the last layer, they accept any size.
# Each network is attacked on the photographs that it classifies correctly.
#
# **Transfer** is measured on the image files that the attack left: a second network is asked about the original and about the attacked image, and the attack has *transferred* if its two answers differ. Whether the first answer was right does not matter. So an image that nobody attacked counts as 0, and for the attacked network itself the
# share is the success rate.

# %% tags=["hide-input"]
price = experiment.COSTS[cost]()
titles = classifiers.TITLES
dataset = cache(partial(datasets.load, images, n_images, size=size, drawn=sample))


@cache
def model(name):
    return classifiers.load(name, device="auto")


def measures():
    norms = {"l1": l1, "l2": l2, "linf": linf, "lpips": LPIPS(), "dists": DISTS()}
    return norms | {f"changes_{name}": Changed(model(name)) for name in networks}


def folder(network, name, run=here):
    return run.folder / f"{network}-{book.slug(name)}"


def evaluated(network, name, attack, options):
    about = {
        "classifier": network, "networks": networks,
        "images": images, "n": n_images, "sample": sample, "size": size,
    }  # fmt: skip
    return evaluate.run(
        attack, partial(model, network), dataset, out=folder(network, name), options=options,
        about=about, measures=measures, batch_size=batch_size, name=name,
    )  # fmt: skip


# %% [markdown]
# Each row is run on each network. An attack of your own is one line more in `rows`, as on page 3.2.

# %%
device = next(model(networks[0]).parameters()).device
nptm = {"features": features.alexnet(device)}
common = {"steps": steps, "step_size": step_size}
ours = common | {"cost": price, "lam": lam}
alma = {
    "cost": costs.LPIPS("alex"),
    "steps": alma_steps,
    "init_cost": 1e-5,
    "alpha": 0.5 if alma_steps <= 100 else 0.9,
}
extra = {
    "DDN": (attacks.ddn, {"steps": ddn_steps}),
    "ALMA (LPIPS)": (attacks.alma, alma),
    "8-bit aware": (attacks.eight_bit, {"steps": steps, "rounds": rounds}),
}
rows = [
    ("PerC_AL", attacks.perc_al, {"steps": perc_al_steps}),
    ("PGD (L2)", attacks.pgd_l2, common),
    ("NPTM (PPGD)", attacks.ppgd, nptm),
    ("NPTM (LPA)", attacks.lpa, nptm),
    *((f"Ours (a = {a:g})", attacks.imperceptible, ours | {"confidence": a}) for a in confidences),
    *((name, *extra[name]) for name in later),
]

# %% tags=["nbval-ignore-output"]
records = {
    network: pd.concat((evaluated(network, *row) for row in rows), ignore_index=True)
    for network in networks
}

# %% [markdown]
# ## Table 1, network by network

# %% tags=["remove-output", "hide-input"]
found = findings.verdicts(records, confidences=confidences)
glue("tab_networks", table_by_network(records, titles), display=True)
glue("tab_verdicts", table_of_verdicts(found, titles), display=True)
book.tell(findings.settings(found, here.about["parameters"], known=extra))
book.tell(findings.claims(found))
book.tell(findings.transferred(found))
book.tell({"paper_images": paper.N_IMAGES, "paper_size": paper.IMAGE_SIZE})

# %% [markdown]
# ```{glue:figure} tab_networks
# :name: "tab-networks"
#
# **Table E8.** {ref}`Table 1 <tab-1>` on {glue:text}`n_networks`: success and mean distances on the photographs that each classifies correctly, of {glue:text}`n_images` ({glue:text}`n_correct`), {glue:text}`size` × {glue:text}`size` pixels. **What was reduced:** the paper has {glue:text}`paper_images` photographs at {glue:text}`paper_size` × {glue:text}`paper_size`. Ground cost of
# ours: **{glue:text}`cost`, {glue:text}`stand_in`**. Steps: {glue:text}`own_steps`. Left out: {glue:text}`left_out`. Bold: the smallest distance of a column on a network. Not in the paper.
# ```
#
# ```{glue:figure} tab_verdicts
# :name: "tab-verdicts"
#
# **Table E9.** The same records, asked what holds. *Attacked*: how many photographs. *Ours least of the paper's rows*: whether ours at $a = $ {glue:text}`a_least` has both the smallest LPIPS and the smallest DISTS among the paper's rows, as the paper claims. *Least*: which of all rows has the smallest mean. *8-bit aware ÷ ours*: its mean distance as a share of that of ours at
# $a = $ {glue:text}`a_least`. *Transfer*: the mean of ours over the other networks in {ref}`Figure E7 <fig-transfer>`, at $a = $ {glue:text}`a_least` and at $a = $ {glue:text}`a_most`. Ground cost of ours: {glue:text}`cost`, {glue:text}`stand_in`. Not in the paper.
# ```
#
# Photographs can refute "always" and cannot prove it: where all that were attacked are fooled, on the network with the fewest, the success rate among others is above {glue:text}`sure` %, with 95 % confidence. A mean over few follows the one photograph that was hardest.
#
# - **The paper's first claim.** Ours at $a = $ {glue:text}`a_least` always succeeds on {glue:text}`always` networks. It has the smallest LPIPS and DISTS of the paper's rows on {glue:text}`claim`.
# - **The nearest attack.** {glue:text}`nearest`.

# %% [markdown]
# ## Transfer

# %% tags=["remove-output", "hide-input"]
glue("fig_transfer", transfer(records, titles), display=True)

# %% [markdown]
# ```{glue:figure} fig_transfer
# :alt: "Grids of transfer rates from each attacked network to each other network"
# :name: "fig-transfer"
#
# **Figure E7.** Transfer: the share of attacked photographs, in percent, on which a network's answer to the saved attack differs from its answer to the original. A panel for each network that was attacked, a column for each that was asked; framed in orange: the network itself, where the share is the success rate. Unattacked photographs would be at 0. One photograph is
# {glue:text}`grain:.0f` percentage points. Photographs, sizes and ground cost as in {ref}`Table E8 <tab-networks>`. Not in the paper.
# ```
#
# An attack that stops at the boundary of one network has no reason to lie beyond that of another. Confidence takes it further: from $a = $ {glue:text}`a_least` to $a = $ {glue:text}`a_most` the transfer of ours goes from {glue:text}`weak:.0f` to {glue:text}`strong:.0f` %, on average over the networks, and it grows on {glue:text}`grows`. Most is transferred, of the attacks {glue:text}`most`. The mean
# transfer of 8-bit aware: {glue:text}`aware`.

# %% [markdown]
# ## The reference run at the paper's settings
#
# {glue:text}`scale_line`

# %% tags=["remove-output", "hide-input"]
scale = book.at_scale("03_2_3_networks")
book.tell({"scale_line": scale.plain()})
asked = scale.about["parameters"]
names = ["PerC_AL", "PGD (L2)", "NPTM (PPGD)", "NPTM (LPA)"]
names += [f"Ours (a = {a:g})" for a in asked["confidences"]] + asked["later"]
large = {
    network: pd.concat(
        (evaluate.load(folder(network, name, scale)) for name in names), ignore_index=True
    )
    for network in asked["networks"]
}
found = findings.verdicts(large, confidences=asked["confidences"])
glue("large_tab_networks", table_by_network(large, titles), display=True)
glue("large_tab_verdicts", table_of_verdicts(found, titles), display=True)
glue("large_fig_transfer", transfer(large, titles), display=True)
book.tell(findings.settings(found, asked, known=extra), prefix="large_")
book.tell(findings.claims(found), prefix="large_")
book.tell(findings.transferred(found), prefix="large_")

# %% [markdown]
# The tables and the figure above show the run that the first line of this page names. Those below always show the **reference run at the paper's settings**, on {glue:text}`large_n_networks`: {glue:text}`large_names`.
#
# ```{glue:figure} large_tab_networks
# :name: "tab-networks-large"
#
# **Table E8b.** Table 1 on {glue:text}`large_n_networks` in the **reference run at the paper's settings**: success and mean distances on the photographs that each network classifies correctly, of {glue:text}`large_n_images` of the paper's ({glue:text}`large_n_correct`), {glue:text}`large_size` × {glue:text}`large_size` pixels. **What was reduced:** the paper has {glue:text}`paper_images` photographs. Ground cost of ours:
# **{glue:text}`large_cost`, {glue:text}`large_stand_in`**. Steps: {glue:text}`large_own_steps`, the others as in {ref}`Table 1 <tab-1>`. Bold: the smallest distance of a column on a network. Not in the paper.
# ```
#
# ```{glue:figure} large_tab_verdicts
# :name: "tab-verdicts-large"
#
# **Table E9b.** The records of {ref}`Table E8b <tab-networks-large>`, the **reference run at the paper's settings**, asked what holds. *Attacked*: how many photographs. *Ours least of the paper's rows*: whether ours at $a = $ {glue:text}`large_a_least` has both the smallest LPIPS and the smallest DISTS among the paper's rows. *Least*: which of all rows has the smallest mean. *8-bit aware ÷ ours*: its mean distance as a
# share of that of ours at $a = $ {glue:text}`large_a_least`. *Transfer*: the mean of ours over the other networks in {ref}`Figure E7b <fig-transfer-large>`. Ground cost of ours: {glue:text}`large_cost`, {glue:text}`large_stand_in`. Not in the paper.
# ```
#
# ```{glue:figure} large_fig_transfer
# :alt: "Grids of transfer rates in the reference run at the paper's settings"
# :name: "fig-transfer-large"
#
# **Figure E7b.** Transfer in the **reference run at the paper's settings**: the share of attacked photographs, in percent, on which a network's answer to the saved attack differs from its answer to the original. A panel for each network that was attacked, a column for each that was asked; framed in orange: the network itself, where the share is the success rate. One photograph is
# {glue:text}`large_grain:.0f` percentage points. Photographs as in {ref}`Table E8b <tab-networks-large>`; ground cost of ours: {glue:text}`large_cost`, {glue:text}`large_stand_in`. Not in the paper.
# ```
#
# In this run ours at $a = $ {glue:text}`large_a_least` has the smallest LPIPS and DISTS of the paper's rows on {glue:text}`large_claim` networks. {glue:text}`large_nearest`. The transfer of ours goes from {glue:text}`large_weak:.0f` % at $a = $ {glue:text}`large_a_least` to {glue:text}`large_strong:.0f` % at $a = $ {glue:text}`large_a_most`.

# %% [markdown]
# ## What came out
#
# On {glue:text}`n_networks` and {glue:text}`n_images` photographs, ours at $a = $ {glue:text}`a_least` has the smallest LPIPS and DISTS of the paper's rows, as the paper claims of $a = 0$, on {glue:text}`claim` networks. {glue:text}`nearest`. Ours at the least confidence misleads another network on
# {glue:text}`weak:.0f` % of the photographs, at the greatest on {glue:text}`strong:.0f` %. A reader with more time raises `n_images`, or adds a network to `networks`. Next: {doc}`how geographic bias is measured <04_1_bias_metric>`.
