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
# # 3 Method
#
# This page derives the attack from robust training: Equations (2) to (4) of the paper, what the price $\lambda$ means, and what the duality
# asks of the cost. A toy problem on one axis, solved while the page runs, checks the duality in numbers. It uses no data and shows no run.

# %% [markdown]
# ## Training against the worst nearby distribution
#
# Ordinary training minimises the mean loss over the training data, that is, over their empirical distribution $P_0$. Data met later come from another
# distribution, and we do not know which. Distributionally robust optimisation (DRO) prepares for the worst one that is not far away:
#
# (eq-2)=
# $$
# \min_{\theta}\; \sup_{P:\, D(P, P_0) \le \delta}\; \mathbb{E}_{P}\big[\ell(\theta; X, Y)\big].
# \tag{2}
# $$
#
# Here $\theta$ are the classifier's parameters, $\ell$ is the loss, and $\delta$ says how far is not far. Distance between distributions
# is measured by *transport*: think of $P_0$ as piles of sand, one on each training image, and of $P$ as the piles after some sand was carried elsewhere.
# Carrying one unit from $(\mathbf{x}', y')$ to $(\mathbf{x}, y)$ costs $c$, the **ground cost**, and $D$ is the cheapest way to do the whole job:
#
# $$
# D(P, P_0) = \inf_{\gamma \in \Gamma(P, P_0)} \mathbb{E}_{\gamma}\big[c\big((X, Y), (X', Y')\big)\big],
# $$
#
# where $\Gamma(P, P_0)$ holds all transport plans: joint distributions that have $P$ and $P_0$ as their marginals. The paper's ground cost lets images move and forbids labels to change,
#
# $$
# c\big((\mathbf{x}, y), (\mathbf{x}', y')\big) = c_0(\mathbf{x}, \mathbf{x}') + \infty \cdot \mathbb{1}\{y \neq y'\},
# $$
#
# so the worst distribution consists of *changed pictures with their true labels*: adversarial examples. What counts as a small change is up to $c_0$.
# If $c_0$ measures what people notice, the ball around $P_0$ holds the data sets that people could hardly tell from the training set.

# %% [markdown]
# ## From a budget to a price
#
# The supremum in {ref}`Eq. (2) <eq-2>` ranges over distributions, which is hopeless to search directly. {cite:t}`blanchet2019quantifying` (Theorem 1) show that it equals a problem with
# one extra number, $\lambda$:
#
# (eq-3)=
# $$
# \min_{\theta}\; \inf_{\lambda \ge 0}\; \Big\{ \lambda\delta + \mathbb{E}_{P_0}\big[\phi_{\lambda}(\theta; X_0, Y_0)\big] \Big\},
# \tag{3}
# $$
#
# with the **robust surrogate loss**
#
# (eq-4)=
# $$
# \phi_{\lambda}(\theta; \mathbf{x}_0, y_0) = \sup_{\mathbf{x}}\; \Big\{ \ell(\theta; \mathbf{x}, y_0) - \lambda\, c_0(\mathbf{x}, \mathbf{x}_0) \Big\}.
# \tag{4}
# $$
#
# The economics behind it are short. An adversary has a budget of $\delta$ per image, on average over all images, and spends it where it buys most loss.
# Instead of policing the total, sell distance at a price $\lambda$ per unit. Now every image can be treated alone: move it as long as one more unit of distance raises
# the loss by more than $\lambda$, then stop. That is {ref}`Eq. (4) <eq-4>`, and its maximiser is **the attack on that image**. If the price is too low, the adversary buys more than the budget allows;
# if it is too high, budget is left over. At the right price the purchases add up to $\delta$, and $\lambda$ is then the loss gained per extra unit of budget.
#
# For any price, one direction takes a line: whatever $P$ within the budget does, its expected loss is at most
# $\mathbb{E}_P[\ell] + \lambda\,(\delta - D(P, P_0)) \le \lambda\delta + \mathbb{E}_{P_0}[\phi_\lambda]$, because no transport can do better than the best move for every image.
# The theorem says that the best price leaves no gap.

# %% [markdown]
# ## The duality in numbers
#
# Let an image be one number $x$, let the classifier's loss be $\log(1 + e^{2x})$, and let $c_0$ be the squared distance. With finitely many places for the sand, the inner problem of
# {ref}`Eq. (2) <eq-2>` is a linear program over transport plans. It knows nothing of prices, so it is an independent check of {ref}`Eq. (3) <eq-3>`.

# %% tags=["parameters"]
budget = 0.3  # δ, how far the samples may move: their mean squared distance

# %%
import numpy as np
from myst_nb import glue

from humimp import duality, figures

x = np.linspace(-3, 3, 601)
samples = x[[40, 120, 190, 240, 300, 350]]
losses = np.log1p(np.exp(2 * x))
costs = (samples[:, None] - x) ** 2

worst = duality.worst_case(losses, costs, budget)
value = duality.dual(losses, costs, budget, worst.price)
print(f"worst case, Eq. (2):               {worst.value:.6f}")
print(f"best price {worst.price:.3f}, dual of Eq. (3): {value:.6f}")

# %% tags=["remove-output", "hide-input"]
glue("budget", budget)
glue("price", worst.price)
glue("worst", worst.value)
glue("mean", float(losses[costs.argmin(axis=1)].mean()))
glue("fig_price", figures.price(x, samples, losses, budget), display=True)

# %% [markdown]
# ```{glue:figure} fig_price
# :alt: "Six samples moved along the loss within a budget, and the objective over the price"
# :name: "fig-e1"
#
# **Figure E1.** A price stands for a budget. Left: six samples on the curve of the loss, and where the worst distribution within a mean squared distance of
# {glue:text}`budget` puts them; an arrow marks each longer move. Distance buys most where the curve is steep, and next to nothing on its flat part.
# Right: the objective of Eq. (3) over the price $\lambda$. It lies above the worst expected loss of Eq. (2), found by linear programming (dashed), and touches it at $\lambda^* =$ {glue:text}`price:.2f`.
# A toy problem of this edition, not in the paper.
# ```

# %% [markdown]
# The budget raises the expected loss from {glue:text}`mean:.3f` to {glue:text}`worst:.3f`. It is spent unevenly, first on the samples at the boundary and beyond, where the loss is steep. An attack with
# one radius for every image, as in training with PGD, would spend it evenly, on samples where it buys nothing, too.

# %% [markdown]
# ## What Algorithm 1 does with this
#
# - **It fixes the price.** The paper sets $\lambda = 1$ and never chooses $\delta$. Nothing is lost: any $\lambda$ is the right price for *some* budget, namely the mean cost that the maximisers of {ref}`Eq. (4) <eq-4>` run up.
#   But then the budget is a result, and it depends on the scales of $\ell$ and $c_0$. A price of 1 means something else for PieAPP than for another cost.
# - **It climbs instead of maximising.** The supremum in {ref}`Eq. (4) <eq-4>` is replaced by gradient steps on the same difference
#   ({doc}`3.2 <03_2_pieapp>`), which may end in a local maximum, or by a single step with a closed form ({doc}`3.1 <03_1_ssim>`).
#   A smooth cost is flat at the original, where it is least. So the first gradient step sees the loss alone, and the price acts from the second step on.
# - **It stops early.** As soon as the label changes by the wanted margin $a$, Algorithm 1 returns, usually far below the maximum. The result is a weaker and less visible change than the maximiser of Eq. (4).
#   The margin, not $\lambda$ alone, then decides how far an image moves.
#
# ## What the duality asks of the cost
#
# The theorem is stated for a loss that is upper semicontinuous and a ground cost that is lower semicontinuous, never negative, and zero exactly when nothing has moved. The equality of (2) and (3) rests on the
# first half of the last condition: staying put must be free. Neither symmetry nor a triangle inequality is asked for, and perceptual measures have no need of them.
#
# - $1 - \mathrm{SSIM}$ meets all of it.
# - $1 - \mathrm{HaarPSI}$ is never negative and zero at the reference, but not only there: it compares differences between neighbouring pixels, so away from the border it does not notice when the whole image becomes a little brighter.
# - PieAPP's architecture guarantees neither: its last layers are linear with an offset, so nothing in them forbids a negative score, and whether an image scores zero against itself
#   depends on the trained weights. Where a cost falls below zero, it pays the adversary for moving.
#
# PieAPP has other virtues {cite:p}`prashnani2018pieapp`. It was fitted to answers to "which of these two is more like the original?", which people give more reliably than grades, and it borrows no features from
# a classification network, so it does not share the classifier's blind spots by construction. It takes images of at least $64 \times 64$ pixels.
# The small PieAPP of {doc}`the appendix <a1_pieapp_small>` is built so that it meets both conditions: its score is never negative, and zero at the reference.

# %% [markdown]
# ## What came out
#
# The attack is the inner problem of robust training, image by image, with distance sold at a price. On the toy problem the price reproduces the worst case of the linear program to the last digit shown.
# The pages below put two costs into {ref}`Eq. (4) <eq-4>`: $1 - \mathrm{SSIM}$ in {doc}`3.1 <03_1_ssim>`, and a perceptual measure for photographs in {doc}`3.2 <03_2_pieapp>`.
