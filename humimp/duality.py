"""Robust loss and its price: Eqs. (2) to (4) of the paper for data on a finite set of candidates.

With finitely many candidate points, the worst distribution within a transport budget is the
solution of a linear program, and the duality of Blanchet and Murthy (2019) can be looked at in
numbers.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

Array = NDArray[np.float64]


class WorstCase(NamedTuple):
    """The worst distribution within a budget.

    Attributes
    ----------
    value : float
        Its expected loss, the inner supremum of Eq. (2).
    plan : ndarray of shape (n, m)
        How much of the mass of sample i it puts on candidate j; rows sum to 1 / n.
    price : float
        The expected loss that one more unit of budget would add, the lambda of Eq. (3).
    """

    value: float
    plan: Array
    price: float


def surrogate(losses: Array, costs: Array, lam: float) -> tuple[Array, NDArray[np.intp]]:
    """Robust surrogate loss of every sample, Eq. (4).

    Parameters
    ----------
    losses : ndarray of shape (m,)
        Loss at each candidate point.
    costs : ndarray of shape (n, m)
        Ground cost of moving sample i to candidate j, not negative.
    lam : float
        Price of one unit of ground cost, not negative.

    Returns
    -------
    phi : ndarray of shape (n,)
        Largest value of loss minus priced cost.
    chosen : ndarray of shape (n,)
        The candidate that attains it: the attack on that sample.

    Raises
    ------
    ValueError
        If the shapes disagree, a cost is negative, or `lam` is negative.
    """
    _check(losses, costs)
    if lam < 0:
        raise ValueError(f"lam is {lam}; a price is not negative")
    gains = losses - lam * costs
    chosen = gains.argmax(axis=1)
    return gains[np.arange(len(gains)), chosen], chosen


def dual(losses: Array, costs: Array, budget: float, lam: float) -> float:
    """Objective of Eq. (3) at one price: ``lam * budget + mean(surrogate)``.

    It is an upper bound of the worst expected loss for every `lam`, and reaches it at the best one.
    See `surrogate` for the parameters.
    """
    _check_budget(budget)
    phi, _ = surrogate(losses, costs, lam)
    return float(lam * budget + phi.mean())


def worst_case(losses: Array, costs: Array, budget: float) -> WorstCase:
    """Inner problem of Eq. (2), solved as a linear program over transport plans.

    Parameters
    ----------
    losses : ndarray of shape (m,)
        Loss at each candidate point.
    costs : ndarray of shape (n, m)
        Ground cost of moving sample i to candidate j, not negative, zero somewhere in each row.
    budget : float
        Largest mean ground cost, the delta of Eq. (2), not negative.

    Returns
    -------
    WorstCase
        Value, plan and price.

    Raises
    ------
    ValueError
        If the shapes disagree, a cost or the budget is negative, or a sample cannot stay put.
    """
    _check(losses, costs)
    _check_budget(budget)
    if costs.min(axis=1).max() > 0:
        raise ValueError(
            "some sample has no candidate of cost 0; add the samples themselves to the candidates"
        )
    n, m = costs.shape
    result = linprog(
        -np.tile(losses, n),
        A_ub=costs.reshape(1, -1),
        b_ub=[budget],
        A_eq=sparse.kron(sparse.eye(n), np.ones((1, m))),
        b_eq=np.full(n, 1 / n),
        method="highs",
    )
    if not result.success:
        raise RuntimeError(f"the linear program was not solved: {result.message}")
    price = float(-result.ineqlin.marginals[0])
    return WorstCase(float(-result.fun), result.x.reshape(n, m), price)


def _check(losses: Array, costs: Array) -> None:
    if losses.ndim != 1 or costs.ndim != 2 or costs.shape[1] != len(losses):
        raise ValueError(
            f"losses have shape {losses.shape} and costs {costs.shape}; expected (m,) and (n, m)"
        )
    if costs.min() < 0:
        raise ValueError(f"the smallest cost is {costs.min()}; ground costs are not negative")


def _check_budget(budget: float) -> None:
    if budget < 0:
        raise ValueError(f"budget is {budget}; a mean ground cost is not negative")
