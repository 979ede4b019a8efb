import numpy as np
import pytest

from humimp import duality
from humimp.figures.price import price


def test_the_curve_touches_the_worst_case_from_above_and_the_attacks_stay_within_the_budget():
    x = np.linspace(-3, 3, 301)
    samples, losses, budget = x[[60, 120, 150, 175]], np.log1p(np.exp(2 * x)), 0.3
    left, right = price(x, samples, losses, budget).axes

    curve, line, best = right.lines
    worst = duality.worst_case(losses, (samples[:, None] - x) ** 2, budget).value
    assert set(line.get_ydata()) == {worst}
    assert min(curve.get_ydata()) == pytest.approx(worst, rel=1e-3)
    assert min(curve.get_ydata()) >= worst - 1e-9
    assert best.get_ydata()[0] == worst

    _, data, attacks = (artist.get_xdata() for artist in left.lines)
    np.testing.assert_array_equal(data, samples)
    assert (attacks >= data).all()  # the loss rises to the right
    assert np.mean((attacks - data) ** 2) == pytest.approx(budget, rel=0.1)
