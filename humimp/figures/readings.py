"""Candidate programs for one place of the paper: their numbers beside the printed ones."""

import math
from collections.abc import Sequence

from humimp import paper
from humimp.figures.table1 import HEADINGS, Table
from humimp.findings.readings import Candidate, factor, favoured

_COLUMNS = ("success_rate", "l1", "l2", "linf", "lpips", "dists")


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
