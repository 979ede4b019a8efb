"""From a number or an inequality to one word, by tolerances that are stated here.

Verdicts allow for chance: what this edition measures on a sample of images is known up to a
standard error. So a number is judged as an interval of :data:`BEYOND` standard errors to either
side, and a claim by differences that must be larger than that. Where an interval is so wide that
the paper's number and one far from it lie in it, there is no verdict.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from humimp.findings import words

#: The four words, from the best to none.
VERDICTS = ("reproduced", "close", "differs", "not testable here")
REPRODUCED, CLOSE, DIFFERS, NOT_TESTABLE = VERDICTS

#: Within this share of the paper's number, ours is the same: about what two computers, two versions
#: of a library, or another checkpoint of the same network change in a mean over many images.
SAME = 0.05
#: Within this factor of the paper's number, up or down, ours is close: less than lies between the
#: rows of Table 1 of which the paper calls one less perceptible than the other (40.05 and 51.08 at
#: least), but for PGD and ours at a = 0, which it finds alike by eye.
NEAR = 1.25
#: The same two for success rates, in percentage points: five images of the paper's thousand, and
#: half of what lies between the two rows of Table 1 that differ, 95.75 and 99.78.
SAME_POINTS = 0.5
NEAR_POINTS = 2.0
#: So many standard errors are needed to speak of a difference: 19 of 20 samples lie within.
BEYOND = 2.0
#: From fewer images than this no standard error is estimated that could be trusted.
FEWEST = words.FEWEST
#: A claim about training that holds in fewer geographies than this is close at best: fifty models
#: from one deal of the images say nothing of another deal (page 4.3).
GEOGRAPHIES = 2


#: In the place of a run, where a claim holds whatever is computed: of the programs themselves.
BY_CONSTRUCTION = "by construction"


class Difference(NamedTuple):
    """One inequality of a claim: it holds if ``value`` is above 0; ``error`` is its standard error.

    An ``error`` of 0 means that nothing is left to chance, as in a count or in a proof.
    """

    value: float
    error: float = 0.0


def number(ours: float, error: float, printed: float, decimals: int, n: int) -> str:
    """Judge a measured number beside the paper's.

    Parameters
    ----------
    ours, error
        What was measured, and its standard error.
    printed
        The paper's number, above 0, rounded to ``decimals``. Any number that rounds to it is the
        paper's.
    decimals
        How many it is printed with.
    n
        How many images ours is a mean of.

    Returns
    -------
    str
        - ``"reproduced"``: ours is within :data:`SAME` of the paper's number or within
          :data:`BEYOND` standard errors, and all that lies within so many is within the factor
          :data:`NEAR`;
        - ``"close"``: ours is within the factor, and the standard errors do not reach further
          than the factor does;
        - ``"differs"``: ours is beyond the factor, and by more than the standard errors;
        - ``"not testable here"``: too few images to say, or fewer than :data:`FEWEST`.
    """
    half = 0.5 * 10.0**-decimals
    distance = max(abs(ours - printed) - half, 0.0)
    reach = BEYOND * error
    low, high = (printed - half) / NEAR, (printed + half) * NEAR
    if n < FEWEST or not (math.isfinite(ours) and math.isfinite(error)):
        return NOT_TESTABLE
    if not low <= ours <= high:
        return DIFFERS if distance > reach else NOT_TESTABLE
    inside = low <= ours - reach and ours + reach <= high
    if inside and distance <= max(SAME * printed, reach):
        return REPRODUCED
    return CLOSE if 2 * reach <= high - low else NOT_TESTABLE


def rate(successes: int, n: int, printed: float, sampled: float = 0.0) -> str:
    """Judge a success rate beside the paper's, in percent.

    Parameters
    ----------
    successes, n
        How many of how many images.
    printed
        The paper's rate, in percent.
    sampled
        Share of the paper's images that ours are, 0 to 1. At 1 nothing is left to chance.

    Returns
    -------
    str
        As :func:`number`, with :data:`SAME_POINTS` and :data:`NEAR_POINTS`, and Wilson's interval
        in the place of standard errors, which are 0 where all images agree.
    """
    if n < FEWEST:
        return NOT_TESTABLE
    ours = 100 * successes / n
    low, high = interval(successes, n, sampled)
    near = (printed - NEAR_POINTS, printed + NEAR_POINTS)
    if not near[0] <= ours <= near[1]:
        return NOT_TESTABLE if low <= printed <= high else DIFFERS
    if near[0] <= low and high <= near[1]:
        same = abs(ours - printed) <= SAME_POINTS or low <= printed <= high
        return REPRODUCED if same else CLOSE
    return CLOSE if high - low <= near[1] - near[0] else NOT_TESTABLE


def interval(successes: int, n: int, sampled: float = 0.0) -> tuple[float, float]:
    """Compute Wilson's interval (1927) for a rate, in percent, at :data:`BEYOND` standard errors.

    ``sampled`` is the share of all images there are that ``n`` are; the finite-population
    correction makes the interval a point where it is 1.
    """
    share = successes / n
    if sampled >= 1:
        return 100 * share, 100 * share
    z2 = BEYOND**2 * (1 - sampled)
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return 100 * max(centre - half, 0.0), 100 * min(centre + half, 1.0)


def claim(differences: Sequence[Difference]) -> str:
    """Judge a claim by its inequalities.

    Parameters
    ----------
    differences
        What should be above 0.

    Returns
    -------
    str
        - ``"reproduced"``: each is above 0 by more than :data:`BEYOND` standard errors;
        - ``"close"``: each is above 0, but not each by so much;
        - ``"differs"``: one is below 0 by more than that, or is not above 0 where nothing is left
          to chance;
        - ``"not testable here"``: one is not above 0, but by no more than chance explains; or
          there is none.
    """
    if not differences or any(math.isnan(one.value + one.error) for one in differences):
        return NOT_TESTABLE
    if any(wrong(one) for one in differences):
        return DIFFERS
    if all(one.value > BEYOND * one.error for one in differences):
        return REPRODUCED
    return CLOSE if all(one.value > 0 for one in differences) else NOT_TESTABLE


def wrong(one: Difference) -> bool:
    """Whether an inequality is violated by more than chance explains."""
    return one.value < -BEYOND * one.error or (one.error == 0 and one.value <= 0)


def equal(ours: object, printed: object) -> str:
    """Judge a setting: the run used the paper's, or another."""
    return REPRODUCED if ours == printed else DIFFERS
