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
# # 4.2 DRO algorithms
#
# This page explains how the paper trains classifiers on its attacks: Algorithm 2 builds one adversarial data set, Algorithm 3 trains many models on it. It then builds the three data sets of {doc}`Section 4.3 <04_3_results>`, on {glue:text}`what_images` with a **simulated geography**,
# looks at what is in them ({ref}`Figure E11 <fig-pool>`), and tries the readings of what the listings leave open ({ref}`Table E13 <tab-weights>`).

# %% tags=["parameters"]
run = "yours"  # "yours" computes, "reference" shows the committed results
images = "digits"  # "digits" or "imagenet1000"
classifier = "mobilenet_v2"  # "mobilenet_v2", "resnet50", "resnet50_he2016" or "efficientnet_lite2"
size = 299  # side of photographs in pixels, as in the paper; digits have 28
n_images = 500  # how many images the models are tested on, 266 or more
n_train = 300  # N, how many images there are to learn from, 266 or more
epochs = 20  # how often θ₀ has seen each of them
first_rate = 0.001  # α of the fine-tuning by which photographs get their θ₀, for one image
strength = 8  # of the planted pattern, in levels of 255
gradient = 1.0  # how much oftener rich countries have it, 0 to 1
seed = 0  # of the simulated geography and of the training
cost = "SSIM"  # ground cost: "SSIM", or from 64 pixels on "HaarPSI", "PieAPP-small", "PieAPP"
steps = 100  # greatest number of steps of our attack and of PGD
step_size = 0.1  # ε of both
lam = 1.0  # λ, the price of the ground cost
perc_al_steps = 100  # steps of PerC_AL
learning_rate = 0.001  # α, for one image
rounds = 3  # T₁ of Algorithm 2
passes = 3  # T₂ of Algorithm 3
batch_size = 50  # images per step; 1 is the listings to the letter
n_models = 5  # how many models are trained with each reading

# %% tags=["nbval-ignore-output"]
import warnings

import pandas as pd
from myst_nb import glue

from humimp import book, dro, experiment, fairness, paper, runs
from humimp.figures.enlarged import enlarged
from humimp.figures.figure5b import pool as pool_table
from humimp.findings import robust as findings

here = book.start("04_2_dro")

# %% [markdown]
# ## Why two algorithms
#
# The problem to solve is {ref}`Eq. (3) <eq-3>`, with the price $\lambda$ held fixed: minimise the mean of the robust surrogate loss,
#
# $$
# \min_{\theta}\; \frac{1}{N} \sum_{i=1}^{N} \phi_\lambda(\theta; \mathbf{x}_i, y_i),
# \qquad \phi_\lambda(\theta; \mathbf{x}_i, y_i) = \sup_{\mathbf{x}} \big\{ \ell(\theta; \mathbf{x}, y_i) - \lambda\, c_0(\mathbf{x}_i, \mathbf{x}) \big\} .
# $$
#
# Where the supremum is reached at a single $\mathbf{x}_i^*(\theta)$, and under regularity conditions, the gradient of $\phi_\lambda$ in $\theta$ is the ordinary gradient of the loss *at the attacked image* (Danskin's theorem, as {cite:t}`sinha2018certifiable` use it). So robust
# training is training on attacks, made against the current model. The costly part is the attack: many gradient steps through the classifier and the ground cost for each image and each step of training.
#
# A hypothesis test needs many models. Fifty complete adversarial trainings would repeat that cost fifty times. The paper pays it once: one run of training produces attacks against a classifier that is being trained on them (Algorithm 2), all of them are kept, and each of the fifty
# models is then trained on samples from what was kept (Algorithm 3), which involves no attack at all. {cite:t}`volpi2018generalizing` also add attacked images to the training set in rounds; there each model makes its own.

# %% [markdown]
# ## Algorithm 2: build the adversarial data set
#
# *Given* a pretrained model $\theta_0$, a learning rate $\alpha$, $N$ labelled images and a number of rounds $T_1$ (the paper takes $T_1 = 3$).
#
# 1. Start from $\theta = \theta_0$ and a pool that holds the $N$ images, each with weight $P = 1$.
# 2. In round $k = 1, \dots, T_1$, draw $N$ triples $(x_i, y_i, P_i)$ from the pool, with replacement and with probabilities in proportion to their weights. Then for $i = 1, \dots, N$:
#    1. take a gradient step on the drawn image, $\theta \leftarrow \theta - \alpha P_i \nabla_\theta \ell(\theta; x_i, y_i)$;
#    2. attack that image, against the model as it is now, with Algorithm 1 ({doc}`3.2 <03_2_pieapp>`);
#    3. put the attacked image into the pool, under its old label and with weight $(k-1)N + i$.
# 3. Return the pool, $\mathcal{D}_{\text{rob}}$, with its weights. It holds $M = (T_1 + 1)N$ images.
#
# Weights grow with time, so later rounds draw mostly recent attacks, made against a model that has already learned from the earlier ones. The paper compares the two nested loops to stochastic approximation on two time scales
# {cite:p}`borkar1997stochastic` and leaves the analysis to future work.

# %% [markdown]
# ## Algorithm 3: train a model on it
#
# *Given* the same $\theta_0$ and $\alpha$, the data set $\mathcal{D}_{\text{rob}}$ and a number of passes $T_2$ (the paper takes $T_2 = 3$).
#
# 1. Start from $\theta = \theta_0$.
# 2. Repeat $T_2 M$ times: draw $(x_i, y_i)$ from $\mathcal{D}_{\text{rob}}$, with replacement and in proportion to $P_i$, and set $\theta \leftarrow \theta - \alpha P_i \nabla_\theta \ell(\theta; x_i, y_i)$.
# 3. Return $\theta$.
#
# Run fifty times, this gives fifty models that differ by the order and the choice of the drawn images. They share $\theta_0$ and they share $\mathcal{D}_{\text{rob}}$.

# %% [markdown]
# ## What the listings leave open
#
# A program has to decide each of these. The decisions matter, so here they are, with what this edition does.
#
# - **The weights count twice.** $P_i$ sets how often an image is drawn *and* multiplies its gradient step. The expected step is then in proportion to $\sum_i P_i^2 \nabla_\theta \ell_i$. If the weights were meant as probabilities of the worst distribution, once would be enough.
# - **The weights are huge.** They go up to $T_1 N$: for 50 000 images and three rounds, to 150 000. A learning rate times 150 000 is no learning rate, so $\alpha P_i$ cannot be meant literally with any usual $\alpha$.
#
#   Three readings of the weights are an option of the package, `weighting`. *Normalized*, the default: drawn in proportion to $P$, and steps multiplied by $P / \mathbb{E}[P]$, where $\mathbb{E}[P] = \sum P^2 / \sum P$ is the weight that a draw has on average. So they count twice, as in the listing, and a step is $\alpha\nabla\ell$ on average.
#   Within one pool this is the literal reading at another learning rate, $\alpha / \mathbb{E}[P]$; so is division by the greatest weight. *Literal*: as printed. *Sampling*: the weights decide the drawing alone. {ref}`Table E13 <tab-weights>` shows what each does.
# - **One letter, two things.** The appended triple is written $\{x_i', y_i, P_i\}$ while the text says "with weight $P_i = (k-1)N + i$"; a line above, $P_i$ is the weight of the image that was *drawn*. We read them as two: the old weight for the step, the new one for the pool.
# - **The originals all but disappear.** After $k$ rounds the $N$ originals have total weight $N$, and the attacks have $1 + 2 + \dots + kN \approx k^2N^2/2$. The chance to draw an original is about $2/(k^2 N)$. From the second round on, nearly everything drawn is an attack, so attacks are made on attacks, and the cost $c_0$ is measured
#   from an image that was already changed. Neither Eq. (4) nor a price on the *total* change covers that. Final models, too, see almost no clean image. {ref}`Table E12 <tab-pool>` counts.
# - **Weights grow within a round.** The last image of a round weighs $N - 1$ more than the first, only because of its place in the order.
# - **The attack is not the maximiser.** Algorithm 1 stops as soon as the label changes by the margin $a$ ({doc}`page 3 <03_method>`), so training sees attacks at the decision boundary, not the worst ones at price $\lambda$. The paper does not say which $a$ it trains with; here it is 0, as for PGD.
# - **Batches.** The listings take images one at a time. Here the images of a batch are attacked, and their gradients taken, at one and the same $\theta$, and the steps of a batch are added up. With a batch of one it is the listing, and the package's tests hold the one against the other.
# - **Unsaid settings.** The learning rate, batch sizes, momentum (none here, as the listing has none), and how batch normalisation is treated (its statistics stay as they are).

# %% [markdown]
# ## Three adversarial data sets
#
# The images to train on, their **simulated** countries and $\theta_0$ are those of {doc}`page 4.1 <04_1_bias_metric>`. Algorithm 2 runs with each of three attacks: PGD and PerC_AL {cite:p}`zhao2020towards`, which the paper compares with, and the paper's own (*Ours*, Algorithm 1). Its ground cost here is {glue:text}`cost`{glue:text}`why_cost`. PerC_AL takes {glue:text}`perc_al_steps` steps
# (its authors take 1000), the others at most {glue:text}`steps`.

# %%
data = experiment.by_country(
    images,
    n_train=n_train,
    n_test=n_images,
    strength=strength,
    gradient=gradient,
    seed=seed,
    size=size,
)
theta0 = experiment.theta0(
    images,
    data.train,
    classifier=classifier,
    strength=strength,
    epochs=epochs,
    learning_rate=first_rate,
    seed=seed,
    path=here.folder / "theta0.safetensors",
)
attacks = experiment.compared(
    cost, steps=steps, step_size=step_size, lam=lam, perc_steps=perc_al_steps
)
pools = {
    name: dro.robust_dataset(
        theta0,
        data.train.images,
        data.train.labels,
        attack,
        learning_rate=learning_rate,
        rounds=rounds,
        batch_size=batch_size,
        options=options,
        seed=seed,
        out=here.folder / f"robust-{name.lower()}",
    )
    for name, (attack, options) in attacks.items()
}

# %%
price = experiment.COSTS[cost]()
counts = {name: pool_table(robust, data.train.images, price) for name, robust in pools.items()}
rows = findings.followed(pools, data.train.images)

# %% tags=["remove-output", "hide-input"]
side = data.train.images.shape[-1]
glue("fig_pool", enlarged(rows, zoom=max(1, 160 // side)), display=True)
glue("tab_pool", pd.concat(counts, names=["attack"]), display=True)
book.tell({"steps": steps, "perc_al_steps": perc_al_steps, "n_train": n_train})
book.tell(findings.named(images, classifier=classifier, cost=cost, side=side))
book.tell(findings.pooled(pools["Ours"], counts))

# %% [markdown]
# ```{glue:figure} fig_pool
# :alt: "One training image and its attacks of each round, by attack"
# :name: "fig-pool"
#
# **Figure E11.** One training image with **simulated geography** and what the pools hold of it: the last attack made from it in each round, by attack. The same image was drawn each time, since the drawing depends on the weights alone. Ground cost of ours: {glue:text}`cost`{glue:text}`why_cost`. Not in the paper.
# ```

# %% [markdown]
# ```{glue:figure} tab_pool
# :name: "tab-pool"
#
# **Table E12.** What the three pools hold, round by round; round 0 are the {glue:text}`n_train` originals (**simulated geography**). *Drawn*: the share of Algorithm 3's draws that fall on the round, in percent. *Originals*: how many of the originals the round's images go back to. *$L_2$* and *$c_0$* (here {glue:text}`cost`, × 1000): mean distance from the
# original, so with the changes of all rounds added up; $\Delta E_{00}$: mean colour difference of a pixel.
# ```

# %% [markdown]
# Each pool has {glue:text}`n_pool` images. Only {glue:text}`share_clean:.2f` % of the draws of Algorithm 3 fall on an original, and {glue:text}`share_last:.0f` % on the last round. The {glue:text}`n_train` images of the last round go back to {glue:text}`kept_origins` originals; the others have dropped out, as drawing with replacement from a pool
# that is drawn from again loses some each time. {glue:text}`added_up`
# {glue:text}`seen` The mean $\Delta E_{00}$ of a pixel is {glue:text}`ours_delta_e:.1f` in the last round of ours, {glue:text}`pgd_delta_e:.1f` of PGD's and {glue:text}`perc_delta_e:.1f` of PerC_AL's (the planted pattern of {doc}`4.1 <04_1_bias_metric>`: {glue:text}`04_1_bias_metric.ipynb::delta_e:.1f`), and {ref}`Figure E11 <fig-pool>` lets the reader look.

# %% [markdown]
# ## What the readings do
#
# Algorithm 3 on one and the same pool, PGD's, with each reading of the weights and {glue:text}`n_models` seeds each. The models are tested on {glue:text}`n_images` images, dealt out to the countries for this page.

# %%
country = dict(zip(data.test.ids, data.test.countries, strict=True))
weights = pools["PGD"].weights
average = float((weights**2).sum() / weights.sum())  # E[P]
usual = {"weighting": "normalized", "learning_rate": learning_rate, "batch_size": batch_size}
literal = usual | {"weighting": "literal"}
readings = {
    "normalized": usual,
    "normalized, one image at a time": usual | {"batch_size": 1},
    "sampling": usual | {"weighting": "sampling"},
    "literal": literal,
    "literal, α / E[P]": literal | {"learning_rate": learning_rate / average},
}
models = {}
for number, (name, options) in enumerate(readings.items()):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*diverged", RuntimeWarning)  # counted below
        trained = dro.replicates(
            theta0,
            pools["PGD"],
            test=data.test[:3],
            out=here.folder / f"reading-{number}",
            seeds=range(n_models),
            passes=passes,
            **options,
        )
    models[name] = fairness.by_model(trained.assign(country=trained["id"].map(country)))

# %% tags=["remove-output", "hide-input"]
rates = {name: options["learning_rate"] for name, options in readings.items()}
glue("tab_readings", findings.laid_out(models, rates), display=True)
book.tell({"n_models": n_models, "n_images": n_images, "average": average})
book.tell(findings.readings(models))

# %% [markdown]
# ```{glue:figure} tab_readings
# :name: "tab-weights"
#
# **Table E13.** Algorithm 3 under five readings, on PGD's pool ({glue:text}`n_models` models each, tested on {glue:text}`n_images` images; **simulated geography**, {glue:text}`what_images`): how many models diverged, and means over the others.
# ```

# %% [markdown]
# With the literal reading at the same $\alpha$, {glue:text}`literal`. Divided by $\mathbb{E}[P] =$ {glue:text}`average:.0f`, its result is {glue:text}`same` as with normalized weights, as it should be. Apart from the literal reading at $\alpha$, the readings lie {glue:text}`apart:.1f` percentage points of accuracy apart, and {glue:text}`slopes_apart`. So within
# the pool of one run the choice matters less for accuracy than the learning rate that it implies. For the slope, the metric of Section 4, it has to be held against what is compared there: PGD's and ours differ by {glue:text}`04_3_results.ipynb::difference_PGD:s` points in {ref}`Table E14 <tab-tests>`. The paper prints neither the reading nor the learning rate.

# %% [markdown]
# ## The cost
#
# On one NVIDIA V100 the paper reports about {glue:text}`hours2` hours for Algorithm 2 and about {glue:text}`hours3` hours for fifty runs of Algorithm 3. So the attacks take about a quarter of the time; made anew for each model, they would take fifty times as long. That is the speed-up that the
# paper counts as its third contribution. The memory needed, it says, is that of ordinary adversarial training; beside it stands the pool of images itself. On this run ({glue:text}`what_images`, {glue:text}`what_network`) Algorithm 2 took {glue:text}`seconds`.

# %% tags=["remove-output", "hide-input", "nbval-ignore-output"]
diaries = {name: runs.read(here.folder / f"robust-{name.lower()}") for name in pools}
book.tell({"hours2": paper.HOURS_ALGORITHM2, "hours3": paper.HOURS_ALGORITHM3})
book.tell(findings.took(diaries))

# %% [markdown]
# ## What came out
#
# The idea is sound and cheap: keep the attacks of one robust training, and draw the training sets of many models from them. Taken to the letter, the weights want a learning rate that is $\mathbb{E}[P]$ times smaller, and $\mathbb{E}[P]$ grows with the pool: with the literal reading at the same $\alpha$, {glue:text}`literal`. And the pool is less what it is meant to be than it seems: {glue:text}`share_clean:.2f` % of
# what is drawn from it is clean, and {glue:text}`last_round`. Both bear on accuracy, hence on the slope of {doc}`4.1 <04_1_bias_metric>`. A result from these algorithms has to say how it read them. Next: {doc}`how the models compare <04_3_results>`.
