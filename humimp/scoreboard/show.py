"""The scoreboard for readers: HTML for the book, Markdown for the README."""

import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from humimp import paper
from humimp.figures.style import COLORS
from humimp.figures.table1 import HEADINGS
from humimp.scoreboard.entry import Line
from humimp.scoreboard.verdicts import (
    BEYOND,
    BY_CONSTRUCTION,
    DIFFERS,
    FEWEST,
    NEAR,
    NEAR_POINTS,
    NOT_TESTABLE,
    REPRODUCED,
    SAME,
    SAME_POINTS,
    VERDICTS,
)

#: What is counted together, in order: kind of line, section, and heading.
GROUPS = (
    ("claim", "3", "Claims of Section 3: the attack"),
    ("number", "3", "Numbers of Section 3: Figure 2, Table 1"),
    ("claim", "4", "Claims of Section 4: fairness"),
    ("number", "4", "Numbers of Section 4"),
    ("setting", "3", "Settings of Section 3"),
    ("setting", "4", "Settings of Section 4"),
)

# Background and text of each verdict: Okabe and Ito's colours, with a contrast of 4.5 or more.
_RIM = "box-shadow: inset 0 0 0 1px #0004"  # tells grey from a panel as light, in dark mode
_LOOKS = dict(
    zip(
        VERDICTS,
        (
            (COLORS["blue"], "#FFFFFF"),
            (COLORS["sky"], "#000000"),
            (COLORS["orange"], "#000000"),
            ("#D9D9D9", "#000000"),
        ),
        strict=True,
    )
)
_WHOLE = "margin: 0; width: 100%; font-size: 0.8em; line-height: 1.3"
_SMALL = "font-size: 0.85em; opacity: 0.8"
_CELL = "text-align: left; vertical-align: top; padding: 0.35em 0.4em; white-space: normal"


def counts(board: pd.DataFrame) -> pd.DataFrame:
    """Count the verdicts of each group of lines.

    Parameters
    ----------
    board
        From :func:`humimp.scoreboard.scoreboard`.

    Returns
    -------
    pandas.DataFrame
        A row per group, named by its heading, and a column per verdict.
    """
    rows = {
        heading: [int((_group(board, kind, section)["verdict"] == word).sum()) for word in VERDICTS]
        for kind, section, heading in GROUPS
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(VERDICTS))


def told(board: pd.DataFrame) -> dict[str, int | str]:
    """Count a board's claims and numbers for a sentence.

    Parameters
    ----------
    board
        From :func:`humimp.scoreboard.scoreboard`.

    Returns
    -------
    dict
        ``claims_3``, ``numbers_3``, ``claims_4`` and ``numbers_4``: how many there are; and with
        ``_told`` behind it, their verdicts: "4 reproduced, 1 close, 2 differ, 0 not testable here".
        ``n_sure``: how many claims hold by construction.
    """
    facts: dict[str, int | str] = {}
    table = counts(board)
    for kind, section, heading in GROUPS:
        each = [(int(table[word][heading]), word) for word in VERDICTS]
        words = [f"{n} {'differ' if word == DIFFERS and n != 1 else word}" for n, word in each]
        total = sum(n for n, _ in each)
        facts |= {f"{kind}s_{section}": total, f"{kind}s_{section}_told": ", ".join(words)}
    sure = (board["kind"] == "claim") & (board["run"] == BY_CONSTRUCTION)
    return facts | {"n_sure": int((sure & (board["verdict"] == REPRODUCED)).sum())}


def rules() -> str:
    """Say in a few sentences how verdicts come about."""
    return (
        f"A number is *reproduced* within {100 * SAME:.0f} % of the paper's or {BEYOND:.0f} "
        f"standard errors, *close* within a factor of {NEAR:g}, and *differs* beyond it; a success "
        f"rate within {SAME_POINTS:g} and {NEAR_POINTS:g} percentage points. A claim is "
        f"*reproduced* if each of its inequalities holds by more than {BEYOND:.0f} standard "
        "errors, *close* if they hold by less (or in one simulated geography only), and *differs* "
        "if one fails by more. That training lowers something is judged where it is there before. "
        "*Not testable here* is what no run could tell, or none with enough images: fewer than "
        f"{FEWEST}, or errors too wide for a verdict. Numbers of Table 1 are compared with runs at "
        "the paper's settings only, claims with the best run that there is; in the place of a run, "
        f"*{BY_CONSTRUCTION}* stands where a claim holds in each."
    )


# ------------------------------------------------------------------------------------------- HTML


class Page(NamedTuple):
    """A piece of HTML that a notebook shows, and as text a terminal."""

    text: str
    plain: str

    def _repr_html_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.plain


def summary(board: pd.DataFrame) -> Page:
    """Draw how many lines of each group have which verdict, as bars with numbers.

    Parameters
    ----------
    board
        From :func:`humimp.scoreboard.scoreboard`.

    Returns
    -------
    Page
        A bar per group. Each verdict has a colour, a word above, and its number in the bar.
    """
    table = counts(board)
    key = " ".join(_chip(word) for word in VERDICTS)
    rows = []
    for heading, row in zip(table.index, table.to_numpy(), strict=True):
        parts = "".join(
            f'<span title="{word}" style="flex: {count} 0 1.4em; background: {_LOOKS[word][0]}; '
            f'color: {_LOOKS[word][1]}; {_RIM}; text-align: center">{count}</span>'
            for word, count in zip(VERDICTS, row, strict=True)
            if count
        )
        bar = f'<div style="display: flex; min-width: 9em; line-height: 1.6">{parts}</div>'
        rows.append(
            f'<tr><td style="{_CELL}">{html.escape(str(heading))}</td>'
            f'<td style="{_CELL}; text-align: right">{row.sum()}</td>'
            f'<td style="{_CELL}; width: 60%">{bar}</td></tr>'
        )
    body = f'<p style="margin: 0.5em 0">{key}</p>{_table((), rows)}'
    return Page(body, table.to_string())


def claims(board: pd.DataFrame) -> Page:
    """Lay out the claims, those of Section 3 first.

    Parameters
    ----------
    board
        From :func:`humimp.scoreboard.scoreboard`.

    Returns
    -------
    Page
        A line per claim with its inequality beneath. Each verdict leads to the page that shows it.
    """
    return _laid_out(board, ["claim"])


def numbers(board: pd.DataFrame) -> Page:
    """Lay out the numbers, results before settings.

    Parameters
    ----------
    board
        From :func:`humimp.scoreboard.scoreboard`.

    Returns
    -------
    Page
        Table 1 as in the paper, with ours and the verdict beneath each of its numbers; all others
        in lists. Each verdict leads to the page that shows it.
    """
    return _laid_out(board, ["number", "setting"])


def _laid_out(board: pd.DataFrame, kinds: Sequence[str]) -> Page:
    parts = []
    for kind, section, heading in GROUPS:
        if kind not in kinds:
            continue
        lines = _lines(_group(board, kind, section))
        table = [line for line in lines if kind == "number" and line.place == "Table 1"]
        rest = [line for line in lines if line not in table]
        parts.append(f'<p style="margin: 1.5em 0 0.3em"><b>{heading}</b></p>')
        parts += [_table1(table)] if table else []
        parts += [_claims(rest) if kind == "claim" else _numbers(rest)] if rest else []
    shown = board.loc[board["kind"].isin(kinds), ["section", "what", "paper", "ours", "verdict"]]
    return Page("".join(parts), shown.to_string(index=False))


def _claims(lines: Sequence[Line]) -> str:
    rows = [
        _row(
            _beneath(line.what, f"{line.place}{': ' if line.rule else ''}{line.rule}"),
            _ours(line),
            _chip(line.verdict, line.page),
        )
        for line in lines
    ]
    return _table(("Claim, where, and its inequality", "Here", "Verdict"), rows, (46, 34, 20))


def _numbers(lines: Sequence[Line]) -> str:
    rows = [
        _row(
            _beneath(line.what, line.place),
            html.escape(line.paper),
            _ours(line),
            _chip(line.verdict, line.page),
        )
        for line in lines
    ]
    return _table(("Number, and where", "Paper", "Here", "Verdict"), rows, (34, 12, 34, 20))


def _table1(lines: Sequence[Line]) -> str:
    """Set Table 1: the paper's number, ours and the verdict in each cell."""
    columns = list(paper.TABLE1_DECIMALS)
    rows = []
    for number, name in enumerate(paper.TABLE1):
        own = lines[number * len(columns) : (number + 1) * len(columns)]
        told = [line.run for line in own] + [line.stand_in for line in own]
        if len({line.note for line in own}) == 1 and own[0].note:
            told.append(f"needs {own[0].note}")
        cells = [
            f'<span style="{_SMALL}">{html.escape(line.paper)}</span><br/>'
            f"{_with_error(line.ours)}<br/>"
            f'<span style="font-size: 0.85em">{_chip(line.verdict, line.page)}</span>'
            + (f"<br/>{_beneath('', line.otherwise)}" if line.otherwise else "")
            for line in own
        ]
        rows.append(_row(_beneath(name, _once(told)), *cells))
    headings = ("Approach", *(HEADINGS[column][0] for column in columns))
    note = (
        f'<p style="{_SMALL}; margin: 0.3em 0">In each cell: the paper\'s number; ours ± its '
        "standard error (beside a success rate: Wilson's 95 % interval); the verdict; and what "
        "another reading of the text gives (appendix on readings).</p>"
    )
    return note + _table(headings, rows, (16, *[14] * len(columns)))


def _with_error(text: str) -> str:
    """Set what follows the value, its error or interval, small and beneath it."""
    value, _, rest = text.partition(" ")
    small = f'<br/><span style="{_SMALL}; white-space: nowrap">{html.escape(rest)}</span>'
    return html.escape(value) + (small if rest else "")


def _ours(line: Line) -> str:
    """Say what was found, and beneath it where and with what."""
    note = f"needs {line.note}" if line.note and line.verdict == NOT_TESTABLE else line.note
    parts = (line.run.strip("–"), line.stand_in, note, line.otherwise)
    more = "; ".join(part for part in parts if part)
    return _beneath("" if line.ours == "–" and more else line.ours, more)


def _beneath(first: str, second: str) -> str:
    """Set something small beneath something else."""
    small = f'<span style="{_SMALL}">{html.escape(second)}</span>' if second else ""
    return "<br/>".join(part for part in (html.escape(first), small) if part)


def _chip(word: str, page: str = "") -> str:
    back, front = _LOOKS[word]
    style = (
        f"background: {back}; color: {front}; {_RIM}; padding: 0.1em 0.45em; "
        "border-radius: 0.3em; "
        "text-decoration: none; display: inline-block; line-height: 1.3"
    )
    if not page:
        return f'<span style="{style}">{word}</span>'
    name, mark, place = page.partition("#")
    return f'<a style="{style}" href="{name}.html{mark}{place}">{word}</a>'


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _table(headings: Iterable[str], rows: Iterable[str], widths: Iterable[int] = ()) -> str:
    group = "".join(f'<col style="width: {width}%"/>' for width in widths)
    head = "".join(f'<th style="{_CELL}">{html.escape(h)}</th>' for h in headings)
    return (
        f'<table style="{_WHOLE}{"; min-width: 42em" if group else ""}">'
        + (f"<colgroup>{group}</colgroup>" if group else "")
        + (f"<thead><tr>{head}</tr></thead>" if head else "")
        + f"<tbody>{''.join(rows)}</tbody></table>"
    )


# --------------------------------------------------------------------------------------- Markdown


def markdown(board: pd.DataFrame) -> str:
    """Write the scoreboard for the README.

    Parameters
    ----------
    board
        From :func:`humimp.scoreboard.scoreboard`.

    Returns
    -------
    str
        The counts and the claims that could be tested, one line each, and folded up all that there
        is. Verdicts lead to the sources of the pages.
    """
    table = counts(board).rename_axis("").reset_index()
    lines = [*_grid(table), "", rules(), ""]
    tested = board[(board["kind"] == "claim") & (board["verdict"] != NOT_TESTABLE)]
    lines += _grid(_compact(tested, ("section", "what", "run", "verdict"), "†"), _TESTED)
    lines += ["", "† With a stand-in for what the paper used; it is named below."]
    lines += ["", "<details>", "<summary>Every claim, number and setting, with ours</summary>", ""]
    for kind, section, heading in GROUPS:
        own = _group(board, kind, section)
        first = ("what", "rule") if kind == "claim" else ("what", "paper")
        names = ("Claim", "Inequality") if kind == "claim" else ("Number", "Paper")
        shown = _compact(own, (*first, "place", "ours", "run", "note", "verdict"))
        headings = (
            *names,
            "Where",
            "Here",
            "Run",
            "Stand-in, what is missing, other readings",
            "Verdict",
        )
        lines += [f"**{heading}**", "", *_grid(shown, headings), ""]
    return "\n".join([*lines, "</details>"])


_TESTED = ("Section", "Claim", "Run", "Verdict")


def _compact(lines: pd.DataFrame, columns: Iterable[str], mark: str = "") -> pd.DataFrame:
    """Choose columns; join stand-ins with notes, link verdicts, and mark those with stand-ins."""
    links = [
        f"[{line.verdict}](book/{line.page.partition('#')[0]}.py)"
        + (f" {mark}" if mark and line.stand_in else "")
        for line in _lines(lines)
    ]
    notes = [_once((line.stand_in, line.note, line.otherwise)) for line in _lines(lines)]
    return lines.assign(verdict=links, note=notes)[list(columns)]


def _grid(table: pd.DataFrame, headings: Iterable[str] = ()) -> list[str]:
    """Write a table as Markdown."""
    names = list(headings) or [str(column) for column in table]
    rows = [[str(cell).replace("|", "\\|") for cell in row] for row in table.to_numpy()]
    return ["| " + " | ".join(row) + " |" for row in (names, ["---"] * len(names), *rows)]


def _once(parts: Iterable[str]) -> str:
    """Join what is said, each once."""
    return "; ".join(dict.fromkeys(part for part in parts if part and part != "–"))


def _group(board: pd.DataFrame, kind: str, section: str) -> pd.DataFrame:
    return board[(board["kind"] == kind) & (board["section"] == section)]


def _lines(board: pd.DataFrame) -> list[Line]:
    return [Line(*map(str, row)) for row in board.itertuples(index=False, name=None)]
