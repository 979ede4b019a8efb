"""Words and numbers as the pages' sentences have them."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

#: From fewer images than this no standard error is estimated that could be trusted.
FEWEST = 10
#: Turns a slope, of accuracy (0 to 1) on log GDP, into percentage points per doubling of income.
DOUBLING = 100 * math.log(2)


def holds(claim: Any) -> str:
    """Say whether a claim holds."""
    return "holds" if claim else "does not hold"


def several(names: Sequence[str]) -> str:
    """Name several things as in a sentence: "A", "A and B", "A, B and C"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def with_values(rows: Iterable[tuple[Any, float]]) -> str:
    """List rows with their values: "DDN (2.00), PGD (L2) (0.50)"; "no row" if there is none."""
    return ", ".join(f"{name} ({value:.2f})" for name, value in rows) or "no row"


def how_many(claims: Iterable[Any]) -> str:
    """Say in how many cases something holds: "2 of 3"."""
    each = [bool(one) for one in claims]
    return f"{sum(each)} of {len(each)}"


def stand_in(cost: str) -> str:
    """Say whether a ground cost, by its name in `humimp.experiment.COSTS`, is the paper's."""
    return "as in the paper" if cost == "PieAPP" else "a stand-in for the paper's PieAPP"


def minus(value: float, digits: int = 2) -> str:
    """Write a number with a true minus sign; what rounds to zero has none."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−" if text.strip("-0.") else "")


def signed(value: float, digits: int = 2) -> str:
    """Write a change with its sign, also a plus; what rounds to zero has none."""
    text = minus(value, digits)
    return text if text.startswith("−") or not text.strip("0.") else f"+{text}"


def probability(p: float) -> str:
    """Write a probability as a paper prints it: "< 0.0001", "0.0123", "0.45"."""
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def equals(p: float) -> str:
    """Write what follows the letter p in a sentence: "< 0.0001", "= 0.0123"."""
    return probability(p) if p < 1e-4 else f"= {probability(p)}"


def sure(n: int) -> int:
    """Compute what rate, in percent, is ruled out at 95 % where all of n succeed: 100 · 0.05^(1/n).

    If a greater share than this could fail, n successes in a row would have a chance below 5 %.
    """
    return int(100 * 0.05 ** (1 / n))


def kind(classifier: str) -> str:
    """Say whether a classifier, by its name in `humimp.classifiers`, is a ResNet-50."""
    like_paper = classifier.startswith("resnet50")
    return "is the paper's kind" if like_paper else "stands in for ResNet-50"
