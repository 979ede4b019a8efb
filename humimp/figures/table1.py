"""Table 1: success and distances of each attack, with the paper's own numbers beneath."""

import html
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from humimp import evaluate, paper

#: Columns of the table: heading, and how many decimals are printed.
HEADINGS = {
    "success_rate": ("Success rate (%)", 2),
    "l1": ("L₁", 2),
    "l2": ("L₂", 2),
    "linf": ("L∞", 4),
    "lpips": ("LPIPS (×1000)", 2),
    "dists": ("DISTS (×1000)", 2),
    "saliency": ("Saliency (×1000)", 2),
    "forwards": ("Forward passes", 1),
    "backwards": ("Backward passes", 1),
}
_COSTS = ("forwards", "backwards")


@dataclass(frozen=True)
class Table:
    """A table that a notebook shows as HTML and a terminal as text.

    Attributes
    ----------
    headings
        Of the columns; the first is that of the rows' names.
    rows
        A tuple per row: its cells as text, which of them are bold, and whether the row is a quiet
        one, printed in grey. In a cell of two numbers, ``"7.30 ± 0.52"``, the second is printed
        small, beneath the first.
    named
        How many columns, from the left, hold names; the others hold numbers.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], frozenset[int], bool], ...]
    named: int = 1

    def _repr_html_(self) -> str:
        align = "text-align: right; padding: 0.35em 0.3em 0; vertical-align: "
        first = align.replace("right", "left")
        names = [f"{first}top; white-space: nowrap"] * self.named
        styles = names + [f"{align}top"] * (len(self.headings) - self.named)
        pairs = zip(styles, self.headings, strict=True)
        head = "".join(
            f'<th style="{s.replace("top", "bottom")}">{html.escape(h)}</th>' for s, h in pairs
        )
        body = []
        for cells, bold, quiet in self.rows:
            marked = [_marked(cell, k in bold) for k, cell in enumerate(cells)]
            row = "".join(f'<td style="{s}">{c}</td>' for s, c in zip(styles, marked, strict=True))
            tone = ' style="opacity: 0.65"' if quiet else ""
            body.append(f"<tr{tone}>{row}</tr>")
        return (
            '<table style="margin: 0 auto; font-size: 0.8em; line-height: 1.25">'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
        )

    def __repr__(self) -> str:
        lines = [self.headings]
        for cells, bold, _ in self.rows:
            lines.append(tuple(_starred(c) if k in bold else c for k, c in enumerate(cells)))
        widths = [max(len(line[k]) for line in lines) for k in range(len(self.headings))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if k < self.named else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )


def table1(
    records: pd.DataFrame,
    printed: Mapping[str, Mapping[str, float]] = paper.TABLE1,
    bold: bool = True,
    errors: bool = False,
) -> Table:
    """Set the paper's Table 1 from records.

    Parameters
    ----------
    records
        From :func:`humimp.evaluate.run`, of every attack to show (``pandas.concat``).
    printed
        The paper's rows by name. An attack of the same name gets the paper's row beneath its own.
    bold
        Whether to mark the smallest distances.
    errors
        Whether to print the standard errors of the success rates and the distances, as
        :func:`humimp.evaluate.errors` finds them.

    Returns
    -------
    Table
        Distances are means over the images on which the attack succeeded. The smallest distance
        of each column is bold: among the rows of these records, and among the paper's rows as
        the paper set them (over all of its rows, shown here or not).
    """
    summary = evaluate.table(records)
    spread = evaluate.errors(records) if errors else None
    measures = [column for column in summary if column not in ("images", "n", "success_rate")]
    known = [column for column in HEADINGS if column in ("success_rate", *measures)]
    extra = [str(column) for column in measures if column not in HEADINGS]
    columns = [c for c in known if c not in _COSTS] + extra + [c for c in known if c in _COSTS]
    headings = [HEADINGS.get(column, (column, 2))[0] for column in columns]
    shown = summary[columns]
    text = shown.apply(lambda column: [_text(v, str(column.name)) for v in column])
    distances = [c for c in columns if c != "success_rate" and c not in _COSTS]
    rows = []
    for name in summary.index:
        smallest = {
            columns.index(c) + 1
            for c in distances
            if bold
            and len(summary) > 1
            and pd.notna(shown.loc[name, c])
            and text.loc[name, c] == _text(shown[c].min(), c)
        }
        cells = list(text.loc[name])
        if spread is not None:
            for k, c in enumerate(columns):
                if c not in _COSTS and not pd.isna(spread.loc[name, c]):
                    cells[k] += f" ± {spread.loc[name, c]:.{_digits(c)}f}"
        rows.append(((name, *cells), frozenset(smallest), False))
        if name in printed:
            theirs = [_text(printed[name].get(c), c, paper.TABLE1_DECIMALS) for c in columns]
            smallest = {columns.index(c) + 1 for c, best in paper.TABLE1_BOLD.items()
                    if best == name and c in columns}  # fmt: skip
            rows.append((("in the paper", *theirs), frozenset(smallest), True))
    return Table(("Approach", *headings), tuple(rows))


def _text(value: float | None, column: str, decimals: Mapping[str, int] | None = None) -> str:
    """Print a number as its column does; whole percentages without decimals."""
    if value is None or pd.isna(value):
        return "–"
    digits = (decimals or {}).get(column, _digits(column))
    if column == "success_rate" and value == round(value):
        digits = 0
    return f"{value:.{digits}f}"


def _digits(column: str) -> int:
    """Return how many decimals a column has."""
    return HEADINGS.get(column, ("", 2))[1]


def _marked(cell: str, bold: bool) -> str:
    """Set a cell as HTML."""
    value, sign, error = map(html.escape, cell.partition(" ± "))
    value = f"<b>{value}</b>" if bold else value
    if not sign:
        return value
    small = "font-size: 0.8em; opacity: 0.7; white-space: nowrap"
    return f'{value}<br/><span style="{small}">± {error}</span>'


def _starred(cell: str) -> str:
    """Mark the number of a cell, not its error, as bold."""
    value, sign, error = cell.partition(" ± ")
    return f"*{value}*{sign}{error}"
