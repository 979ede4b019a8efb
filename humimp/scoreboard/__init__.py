"""The scoreboard: every number and claim of the paper's Sections 3 and 4, ours, and a verdict.

Nothing in it is typed but what the paper says. What this edition has is computed from records on
disk (:mod:`~humimp.scoreboard.evidence`), and turned into one of four words by tolerances that
:mod:`~humimp.scoreboard.verdicts` states. ``python -m humimp.scoreboard`` writes it into README.md.
"""

from collections.abc import Sequence

import pandas as pd

from humimp.scoreboard import section3, section4
from humimp.scoreboard.entry import Entry, Finding, Line, line
from humimp.scoreboard.evidence import Evidence, Source, own, reference
from humimp.scoreboard.show import claims, counts, markdown, numbers, rules, summary, told
from humimp.scoreboard.verdicts import VERDICTS

__all__ = [
    "VERDICTS",
    "Entry",
    "Finding",
    "Source",
    "claims",
    "counts",
    "entries",
    "markdown",
    "numbers",
    "own",
    "reference",
    "rules",
    "scoreboard",
    "summary",
    "told",
]


def entries() -> list[Entry]:
    """List every line: claims, numbers and settings of Section 3, then those of Section 4."""
    return [
        entry
        for section in (section3, section4)
        for lines in (section.claims, section.numbers, section.settings)
        for entry in lines()
    ]


def scoreboard(sources: Sequence[Source]) -> pd.DataFrame:
    """Judge every line.

    Parameters
    ----------
    sources
        Where the records are, the preferred first: :func:`reference` or :func:`own`.

    Returns
    -------
    pandas.DataFrame
        A row per line, in the order of :func:`entries`, all text: ``kind`` ("claim", "number" or
        "setting"), ``section`` ("3" or "4"), ``what``, ``rule`` (the inequality of a claim),
        ``place`` (in the paper), ``paper`` (its number), ``ours`` (with a standard error where
        there is one), ``run``, ``stand_in`` (for what the paper used), ``note`` (what is missing),
        ``otherwise`` (what other readings of the text give), ``verdict`` (one of
        :data:`VERDICTS`) and ``page`` (with the place on it, after ``#``).
    """
    evidence = Evidence(sources)
    lines = [line(entry, evidence) for entry in entries()]
    return pd.DataFrame(lines, columns=list(Line._fields), dtype=str)
