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
# This page explains how the paper trains classifiers on its attacks: Algorithm 2 builds one adversarial data set, Algorithm 3 trains many models on it. It also lists what the two listings leave open. This page computes nothing.
#
# :::{admonition} Not yet computed
# :class: warning
# The two algorithms are not part of this edition yet: no model in this book has been trained with them. What follows is a reading of the paper, without measurements.
# :::

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
# A hypothesis test needs many models. Fifty complete adversarial trainings would repeat that cost fifty times. The paper pays it once: one run of training produces attacks against a classifier that gets more robust as it goes (Algorithm 2), all of them are kept, and each of the fifty
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
# A program has to decide each of these. The decisions matter, so they belong on the page that will show results.
#
# - **The weights count twice.** $P_i$ sets how often an image is drawn *and* multiplies its gradient step. The expected step is then in proportion to $\sum_i P_i^2 \nabla_\theta \ell_i$. If the weights were meant as probabilities of the worst distribution, once would be enough.
# - **The weights are huge.** They go up to $T_1 N$: for 50 000 images and three rounds, to 150 000. A learning rate times 150 000 is no learning rate, so $\alpha P_i$ cannot be meant literally with any usual $\alpha$. Natural readings are to divide the weights by their mean or their greatest value, or to let them
#   decide the drawing alone. They are different algorithms.
# - **One letter, two things.** The appended triple is written $\{x_i', y_i, P_i\}$ while the text says "with weight $P_i = (k-1)N + i$"; a line above, $P_i$ is the weight of the image that was *drawn*. We read them as two: the old weight for the step, the new one for the pool.
# - **The originals all but disappear.** After $k$ rounds the $N$ originals have total weight $N$, and the attacks have $1 + 2 + \dots + kN \approx k^2N^2/2$. The chance to draw an original is about $2/(k^2 N)$, which for a thousand images is two in a thousand after the first round.
#   From the second round on, nearly everything drawn is an attack, so attacks are made on attacks, and the cost $c_0$ is measured from an image that was already changed. Neither Eq. (4) nor a price on the *total* change covers that. Final models, too, see almost no clean image.
# - **Weights grow within a round.** The last image of a round weighs $N - 1$ more than the first, only because of its place in the order.
# - **The attack is not the maximiser.** Algorithm 1 stops as soon as the label changes by the margin $a$ ({doc}`page 3 <03_method>`), so training sees attacks at the decision boundary, not the worst ones at price $\lambda$.
# - **Unsaid settings.** The learning rate, the confidence $a$ and the number of steps of the attack in training, batch sizes, momentum, how batch normalisation is treated, and how many images there are.
#
# The listings take images one at a time. On real hardware they have to be batched: the images of a batch are then attacked, and their gradients taken, at one and the same $\theta$. That is a small change, but a change, in both algorithms.

# %% [markdown]
# ## The cost
#
# On one NVIDIA V100 the paper reports about 9 hours for Algorithm 2 and about 25 hours for fifty runs of Algorithm 3. So the attacks take about a quarter of the time; made anew for each model, they would take $50 \times 9$ hours. That is the speed-up that the
# paper counts as its third contribution. The memory needed is that of ordinary adversarial training, beside the pool of images itself.

# %% [markdown]
# ## What came out
#
# The idea is sound and cheap: keep the attacks of one robust training, and draw the training sets of many models from them. The listings fix neither the size of a step nor the part that clean images play, and both bear on
# accuracy, hence on the slope of {doc}`4.1 <04_1_bias_metric>`. A result from these algorithms has to say how it read them. Next: {doc}`how the models are compared <04_3_results>`.
