"""The duality of Eq. (3) on one axis: a price per unit of distance stands for a budget."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from humimp import duality
from humimp.figures import style

Array = NDArray[np.float64]

_LOSS, _DATA, _ATTACK, _LIMIT = (
    style.COLORS[name] for name in ("grey", "blue", "vermillion", "black")
)


def price(candidates: Array, samples: Array, losses: Array, budget: float) -> Figure:
    """Draw the worst distribution within a budget, and the price that finds it.

    Parameters
    ----------
    candidates : ndarray of shape (m,)
        Points of one axis, ascending.
    samples : ndarray of shape (n,)
        The data, each of them a candidate.
    losses : ndarray of shape (m,)
        The classifier's loss at the candidates.
    budget : float
        Mean squared distance that may be moved, the delta of Eq. (2).

    Returns
    -------
    Figure
        Left: the loss, the samples, and where the worst distribution puts them. Right: the dual
        objective of Eq. (3) over prices, and the worst expected loss from the linear program.
    """
    costs = (samples[:, None] - candidates) ** 2
    worst = duality.worst_case(losses, costs, budget)
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 3.4))
        left, right = figure.subplots(1, 2)
        _moves(left, candidates, losses, costs, worst)
        _prices(right, losses, costs, budget, worst)
    return figure


def _moves(
    axes: Axes, candidates: Array, losses: Array, costs: Array, worst: duality.WorstCase
) -> None:
    start = costs.argmin(axis=1)
    _, end = duality.surrogate(losses, costs, worst.price)
    axes.plot(candidates, losses, color=_LOSS, zorder=1)
    axes.plot(candidates[start], losses[start], "o", color=_DATA, label="the data $P_0$")
    axes.plot(candidates[end], losses[end], "^", color=_ATTACK, label="their attacks")
    for i, j in zip(start, end, strict=True):
        if abs(candidates[j] - candidates[i]) < 0.05 * np.ptp(candidates):
            continue  # an arrow shorter than its own head
        axes.annotate(
            "",
            xy=(candidates[j], losses[j]),
            xytext=(candidates[i], losses[i]),
            arrowprops={"arrowstyle": "->", "color": _ATTACK, "connectionstyle": "arc3,rad=-0.45"},
        )
    axes.set(title="Each sample climbs the loss", xlabel="image $x$, on one axis", ylabel="loss")
    axes.legend(loc="upper left")


def _prices(
    axes: Axes, losses: Array, costs: Array, budget: float, worst: duality.WorstCase
) -> None:
    lams = np.linspace(worst.price / 4, worst.price * 3.5, 200)
    values = [duality.dual(losses, costs, budget, lam) for lam in lams]
    axes.plot(lams, values, color=_ATTACK, label="dual objective, Eq. (3)")
    axes.axhline(worst.value, color=_LIMIT, ls="--", lw=1.2, label="worst case, Eq. (2)")
    axes.plot(worst.price, worst.value, "o", color=_ATTACK)
    axes.annotate(
        "$\\lambda^*$", (worst.price, worst.value), xytext=(0, -14), textcoords="offset points",
        ha="center",
    )  # fmt: skip
    axes.set(title="The best price meets the worst case", xlabel="price $\\lambda$")
    axes.set(ylabel="expected loss")
    axes.margins(y=0.12)
    axes.legend(loc="upper center")
