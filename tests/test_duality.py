import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from humimp import duality


def problem(seed: int, n: int = 4, m: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Random losses on candidates that contain the samples; squared distance as the cost."""
    rng = np.random.default_rng(seed)
    candidates = rng.normal(size=m)
    samples = candidates[rng.choice(m, size=n, replace=False)]
    return rng.normal(size=m), (samples[:, None] - candidates) ** 2


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), budget=st.floats(0.001, 5.0), lam=st.floats(0.0, 20.0))
def test_every_price_bounds_the_worst_case_and_the_best_price_attains_it(seed, budget, lam):
    losses, costs = problem(seed)
    worst = duality.worst_case(losses, costs, budget)
    assert duality.dual(losses, costs, budget, lam) >= worst.value - 1e-9
    assert duality.dual(losses, costs, budget, worst.price) == pytest.approx(worst.value, abs=1e-8)


def test_the_price_is_what_a_search_over_prices_finds():
    losses, costs = problem(seed=3)
    found = minimize_scalar(
        lambda lam: duality.dual(losses, costs, 0.4, lam), bounds=(0, 50), method="bounded"
    )
    assert duality.worst_case(losses, costs, 0.4).value == pytest.approx(found.fun, abs=1e-6)


def test_linear_loss_and_squared_cost_have_the_closed_form():
    # sup_x g x - lam (x - x0)^2 = g x0 + g^2 / (4 lam), attained at x0 + g / (2 lam)
    candidates = np.linspace(-10, 10, 20001)
    samples = np.array([-1.0, 0.5])
    phi, chosen = duality.surrogate(3.0 * candidates, (samples[:, None] - candidates) ** 2, lam=2.0)
    np.testing.assert_allclose(phi, 3 * samples + 9 / 8, atol=1e-6)
    np.testing.assert_allclose(candidates[chosen], samples + 3 / 4, atol=1e-3)


def test_the_plan_moves_each_sample_s_mass_within_the_budget():
    losses, costs = problem(seed=5)
    worst = duality.worst_case(losses, costs, 0.3)
    np.testing.assert_allclose(worst.plan.sum(axis=1), 1 / len(costs), atol=1e-9)
    assert worst.plan.min() >= 0
    assert (worst.plan * costs).sum() <= 0.3 + 1e-9
    assert (worst.plan * losses).sum() == pytest.approx(worst.value)


def test_no_budget_leaves_the_data_as_they_are():
    losses, costs = problem(seed=7)
    at_samples = losses[costs.argmin(axis=1)]
    assert duality.worst_case(losses, costs, 0.0).value == pytest.approx(at_samples.mean())


def test_a_high_price_leaves_every_sample_where_it_is():
    losses, costs = problem(seed=9)
    phi, chosen = duality.surrogate(losses, costs, lam=1e9)
    np.testing.assert_array_equal(chosen, costs.argmin(axis=1))
    np.testing.assert_array_equal(phi, losses[chosen])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: duality.surrogate(np.ones(3), np.ones((2, 4)), 1.0),
            r"expected \(m,\) and \(n, m\)",
        ),
        (lambda: duality.surrogate(np.ones(2), -np.ones((1, 2)), 1.0), "costs are not negative"),
        (lambda: duality.surrogate(np.ones(2), np.ones((1, 2)), -1.0), "a price is not negative"),
        (lambda: duality.dual(np.ones(2), np.ones((1, 2)), -0.1, 1.0), "cost is not negative"),
        (lambda: duality.worst_case(np.ones(2), np.zeros((1, 2)), -0.1), "cost is not negative"),
        (
            lambda: duality.worst_case(np.ones(2), np.ones((1, 2)), 0.1),
            "add the samples themselves",
        ),
        (  # the second sample alone cannot stay
            lambda: duality.worst_case(np.ones(2), np.array([[0.0, 1], [1, 2]]), 0.1),
            "add the samples themselves",
        ),
        (  # one cost alone is negative
            lambda: duality.worst_case(np.ones(2), np.array([[0.0, 1], [0, -1]]), 0.1),
            "costs are not negative",
        ),
        (lambda: duality.worst_case(np.ones(3), np.zeros((2, 4)), 0.1), r"shape \(3,\) and costs"),
        (lambda: duality.worst_case(np.ones((2, 1)), np.zeros((1, 2)), 0.1), r"shape \(2, 1\) and"),
        (lambda: duality.surrogate(np.ones(2), np.zeros(2), 1.0), r"costs \(2,\); expected"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
