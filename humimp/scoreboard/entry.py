"""One line of the scoreboard: what the paper says, and how it is judged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from humimp.scoreboard.evidence import Evidence
from humimp.scoreboard.verdicts import NOT_TESTABLE

Kind = Literal["claim", "number", "setting"]


class Finding(NamedTuple):
    """What this edition has for a line.

    Attributes
    ----------
    verdict
        One of :data:`humimp.scoreboard.verdicts.VERDICTS`.
    ours
        What was found, in a few words or numbers.
    run
        Where: which run, or by what means.
    stand_in
        What was used in the place of what the paper used.
    note
        What is missing for a verdict, or how to read one.
    page
        The page that shows it, where it is another than the entry's.
    otherwise
        What it comes to where the paper's text is read otherwise.
    """

    verdict: str
    ours: str = "–"
    run: str = "–"
    stand_in: str = ""
    note: str = ""
    page: str = ""
    otherwise: str = ""


@dataclass(frozen=True)
class Entry:
    """A line of the scoreboard.

    Attributes
    ----------
    kind
        ``"claim"``, ``"number"`` (a result), or ``"setting"`` (a number that the authors chose).
    section
        ``"3"`` or ``"4"``.
    what
        The claim in a sentence, or what the number is.
    place
        Where the paper has it.
    page
        The page that shows it, with the place on it: ``"03_2_pieapp#tab-1"``.
    judge
        From the evidence to a finding.
    paper
        The paper's number as it is printed; empty for a claim.
    rule
        The inequality that a claim is judged by.
    """

    kind: Kind
    section: str
    what: str
    place: str
    page: str
    judge: Callable[[Evidence], Finding]
    paper: str = ""
    rule: str = ""


def missing(note: str) -> Callable[[Evidence], Finding]:
    """Judge what no run could tell; ``note`` says what is missing."""
    return lambda _: Finding(NOT_TESTABLE, note=note)


class Line(NamedTuple):
    """An entry with its finding, all text: a row of the scoreboard; see :class:`Entry`."""

    kind: str
    section: str
    what: str
    rule: str
    place: str
    paper: str
    ours: str
    run: str
    stand_in: str
    note: str
    otherwise: str
    verdict: str
    page: str


def line(entry: Entry, evidence: Evidence) -> Line:
    """Judge an entry."""
    found = entry.judge(evidence)
    said = {key: value for key, value in found._asdict().items() if key != "page"}
    own = {
        key: getattr(entry, key) for key in ("kind", "section", "what", "rule", "place", "paper")
    }
    return Line(**own, **said, page=found.page or entry.page)
