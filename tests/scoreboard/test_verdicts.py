import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from humimp.scoreboard.verdicts import (
    CLOSE,
    DIFFERS,
    NEAR,
    NOT_TESTABLE,
    REPRODUCED,
    VERDICTS,
    Difference,
    claim,
    interval,
    number,
    rate,
)

values = st.floats(0.1, 1000)


@pytest.mark.parametrize(
    ("ours", "error", "verdict"),
    [
        (100, 0, REPRODUCED),
        (105, 0, REPRODUCED),  # within 5 %
        (107, 0, CLOSE),
        (107, 4, REPRODUCED),  # within two standard errors, which stay within the factor
        (124, 0, CLOSE),
        (118, 5, CLOSE),  # the errors reach beyond the factor
        (126, 1, DIFFERS),
        (81, 0, CLOSE),
        (79, 0, DIFFERS),
        (100, 10, REPRODUCED),
        (100, 11, CLOSE),  # 100 − 22 is beyond the factor
        (100, 13, NOT_TESTABLE),  # wider than all that would be close
        (140, 30, NOT_TESTABLE),  # beyond the factor, and the paper's is within the errors
        (200, 30, DIFFERS),
        (math.nan, 1, NOT_TESTABLE),
        (100, math.nan, NOT_TESTABLE),
    ],
)
def test_a_number_is_judged_with_its_standard_error(ours, error, verdict):
    assert number(ours, error, 100, 2, 50) == verdict


def test_what_rounds_to_the_printed_number_is_the_printed_number():
    # L∞ of PGD is printed as 0.005: 0.0054 rounds to it, though it is 8 % more.
    assert number(0.0054, 0, 0.005, 3, 50) == REPRODUCED
    assert number(0.0054, 0, 0.005, 4, 50) == CLOSE


def test_few_images_have_no_verdict():
    assert number(100, 0, 100, 2, 9) == NOT_TESTABLE
    assert number(100, 0, 100, 2, 10) == REPRODUCED
    assert rate(9, 9, 100) == NOT_TESTABLE


@given(values, values, st.floats(0, 100))
def test_more_error_never_makes_a_number_reproduced_that_is_not_close(ours, printed, error):
    exact = number(ours, 0, printed, 6, 50)
    unsure = number(ours, error, printed, 6, 50)
    if exact == DIFFERS:
        assert unsure in (DIFFERS, NOT_TESTABLE)
    else:
        assert unsure != DIFFERS


@given(values, values, st.floats(0, 10))
def test_a_number_that_is_reproduced_cannot_be_far_off(ours, printed, error):
    if number(ours, error, printed, 6, 50) == REPRODUCED:
        for end in (ours - 2 * error, ours + 2 * error):
            assert printed / NEAR - 1e-5 <= end <= printed * NEAR + 1e-5


@given(st.integers(1, 500), st.data())
def test_the_interval_of_a_rate_is_wilson_s(n, data):
    successes = data.draw(st.integers(0, n))
    confidence = stats.norm.cdf(2) - stats.norm.cdf(-2)
    wanted = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert interval(successes, n) == pytest.approx((100 * wanted.low, 100 * wanted.high))


def test_all_images_that_there_are_leave_nothing_to_chance():
    assert interval(950, 990, 1.0) == (100 * 950 / 990,) * 2
    low, high = interval(16, 16, 0.0)
    assert low == pytest.approx(80, abs=1)
    assert high == 100
    assert interval(16, 16, 0.9)[0] > low


@pytest.mark.parametrize(
    ("successes", "n", "printed", "sampled", "verdict"),
    [
        (900, 900, 100, 1, REPRODUCED),
        (899, 900, 100, 1, REPRODUCED),
        (890, 900, 100, 1, CLOSE),
        (870, 900, 100, 1, DIFFERS),
        (16, 16, 100, 0.016, NOT_TESTABLE),  # it might as well be 80 %
        (15, 16, 95.75, 0.016, NOT_TESTABLE),
        (14, 16, 95.75, 0.016, NOT_TESTABLE),  # beyond two points, and it might as well be 95 %
        (5, 16, 100, 0.016, DIFFERS),
        (300, 300, 100, 0, REPRODUCED),
        (150, 150, 100, 0, CLOSE),
    ],
)
def test_a_rate_is_judged_in_points(successes, n, printed, sampled, verdict):
    assert rate(successes, n, printed, sampled) == verdict


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([(3, 1)], REPRODUCED),
        ([(1, 1)], CLOSE),
        ([(-1, 1)], NOT_TESTABLE),
        ([(-3, 1)], DIFFERS),
        ([(1, 0)], REPRODUCED),
        ([(0, 0)], DIFFERS),
        ([(3, 1), (1, 1)], CLOSE),
        ([(3, 1), (-1, 1)], NOT_TESTABLE),
        ([(3, 1), (-1, 1), (-3, 1)], DIFFERS),
        ([], NOT_TESTABLE),
        ([(math.nan, math.nan)], NOT_TESTABLE),
    ],
)
def test_a_claim_is_as_good_as_its_worst_inequality(differences, verdict):
    assert claim([Difference(*one) for one in differences]) == verdict


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(0, 3)), min_size=1, max_size=5))
def test_a_claim_has_one_of_the_four_words_in_any_order(pairs):
    differences = [Difference(*pair) for pair in pairs]
    assert claim(differences) == claim(differences[::-1])
    assert claim(differences) in VERDICTS
