"""Candidate programs for one place of the paper: their numbers beside the printed ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from statsmodels.stats.proportion import proportion_confint

from humimp import paper
from humimp.figures.table1 import HEADINGS, Table

#: A candidate whose success rate is further from the printed one than this, in points, by more than
#: chance explains (the exact 95 % interval of Clopper and Pearson, 1934), is ruled out.
POINTS = 5.0
#: A candidate is favoured if the next one is farther from the paper by this factor, at least.
CLEARLY = 1.1
#: On fewer images than this, numbers favour nothing.
FEWEST = 5

_COLUMNS = ("success_rate", "l1", "l2", "linf", "lpips", "dists")


@dataclass(frozen=True)
class Candidate:
    """One way to read one place of the paper.

    Attributes
    ----------
    place
        What is read.
    name
        How.
    row
        The row of the paper's Table 1 that it should give.
    values
        What it gives: columns of Table 1, in its units.
    n
        Number of images.
    """

    place: str
    name: str
    row: str
    values: Mapping[str, float]
    n: int


def factor(candidate: Candidate) -> float:
    """Return by what factor a candidate's distances typically differ from the printed ones.

    It is exp of the mean of |ln(value / printed)| over the columns that the candidate has, so 1
    means agreement. It is infinite where the success rates are more than `POINTS` points apart, and
    not by chance.
    """
    printed = paper.TABLE1[candidate.row]
    values = dict(candidate.values)
    success = values.pop("success_rate", None)
    if success is not None and not _possible(success, candidate.n, printed["success_rate"]):
        return math.inf
    ratios = [abs(math.log(value / printed[column])) for column, value in values.items()]
    return math.exp(sum(ratios) / len(ratios))


def _possible(success: float, n: int, printed: float) -> bool:
    """Whether a rate of so many images may be within `POINTS` of the printed one, in percent."""
    if math.isnan(success):
        return False
    low, high = proportion_confint(round(success / 100 * n), n, method="beta")
    return 100 * low <= printed + POINTS and 100 * high >= printed - POINTS


def favoured(candidates: Sequence[Candidate]) -> str | None:
    """Return the name of the candidate nearest to the paper, or None if another is as near.

    As near is what differs by a factor of less than `CLEARLY`. None is favoured if there is none,
    none is possible at all, or the nearest was tried on fewer than `FEWEST` images.
    """
    if not candidates:
        return None
    ranked = sorted(candidates, key=factor)
    best = factor(ranked[0])
    if math.isinf(best) or ranked[0].n < FEWEST:
        return None
    if len(ranked) > 1 and factor(ranked[1]) < CLEARLY * best:
        return None
    return ranked[0].name


def readings(candidates: Sequence[Candidate]) -> Table:
    """Set candidates beside the paper, place by place.

    Parameters
    ----------
    candidates
        Those of one place follow each other and read the same row of the paper.

    Returns
    -------
    Table
        For each place the paper's row, in grey, and its candidates; the last column is `factor`,
        bold for the one that is `favoured`.
    """
    headings = ("Reading", "Images", *(HEADINGS[column][0] for column in _COLUMNS), "Factor")
    rows: list[tuple[tuple[str, ...], frozenset[int], bool]] = []
    for place in dict.fromkeys(one.place for one in candidates):
        group = [one for one in candidates if one.place == place]
        printed = paper.TABLE1[group[0].row]
        shown = [column for column in _COLUMNS if any(column in one.values for one in group)]
        theirs = tuple(_text(printed[c], c, 3) if c in shown else "" for c in _COLUMNS)
        rows.append(((f"{place}: the paper", str(paper.N_IMAGES), *theirs, ""), frozenset(), True))
        best = favoured(group)
        for one in group:
            cells = tuple(_text(one.values[c], c, 4) if c in one.values else "" for c in _COLUMNS)
            by = factor(one)
            last = "–" if math.isinf(by) else f"{by:.2f}"
            bold = frozenset({len(headings) - 1}) if one.name == best else frozenset[int]()
            rows.append(((f"  {one.name}", str(one.n), *cells, last), bold, False))
    return Table(headings, tuple(rows))


def _text(value: float, column: str, decimals: int) -> str:
    digits = decimals if column == "linf" else 1 if column in ("success_rate", "l1") else 2
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
