"""Speed, side by side: what the benchmarks measured, and one dot for each comparison."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from humimp.figures import style
from humimp.figures.table1 import Table
from humimp.findings.speed import Comparison, Side, verdict

_LOOKS = {
    "ours": (style.COLORS["blue"], "o"),
    "other": (style.COLORS["vermillion"], "D"),
    "open": (style.COLORS["grey"], "s"),
}


def sides_table(found: Sequence[tuple[str, Side]]) -> Table:
    """Set sides in a table, each behind what was measured.

    Parameters
    ----------
    found
        What was measured, and the side. The name of the former is printed once.
    """
    headings = (
        "Measured",
        "Side",
        "s per item",
        "Ratio",
        "Peak (MB)",
        "Share of product’s rate (%)",
    )
    rows = []
    before = ""
    for what, side in found:
        numbers = (
            f"{side.seconds:.3g}",
            f"{side.ratio:.2f}",
            "–" if side.peak is None else f"{side.peak / 1e6:.0f}",
            "–" if side.share is None else f"{100 * side.share:.0f}",
        )
        name = what if what != before else ""
        rows.append(((name, side.name, *numbers), frozenset[int](), side.ratio == 1))
        before = what
    return Table(headings, tuple(rows), named=2)


def scaling_table(record: Mapping[str, Any]) -> Table:
    """Set time and memory in a table, a row for each number of images.

    Parameters
    ----------
    record
        What ``benchmarks/scaling.py`` writes.
    """
    headings = ("Images", "s per image", "Before (MB)", "Data in it (MB)", "The run (MB)")
    memory = ("before_bytes", "data_bytes", "work_bytes")
    rows = [
        (n, f"{one['seconds_median']:.4f}", *(f"{one[key] / 1e6:.0f}" for key in memory))
        for n, one in record["measured"].items()
    ]
    return Table(headings, tuple((cells, frozenset[int](), False) for cells in rows))


def rounding_table(pairs: Mapping[str, pd.DataFrame]) -> Table:
    """Set attacks that a GPU made with rounded factors beside the same in full.

    Parameters
    ----------
    pairs
        By attack, a row for each image that both attacked: ``success`` and ``l2`` in full, and with
        the suffix ``_gpu`` as the GPU made it.
    """
    headings = (
        "Attack",
        "Photographs",
        "Success, TF32 (%)",
        "Success, float32 (%)",
        "Agree",
        "L₂, TF32",
        "L₂, float32",
    )
    rows = []
    for name, both in pairs.items():
        won, full = both["success_gpu"], both["success"]
        cells = (
            name,
            str(len(both)),
            f"{100 * won.mean():.1f}",
            f"{100 * full.mean():.1f}",
            str(int((won == full).sum())),
            f"{both.loc[won, 'l2_gpu'].mean():.2f}",
            f"{both.loc[full, 'l2'].mean():.2f}",
        )
        rows.append((cells, frozenset[int](), False))
    return Table(headings, tuple(rows))


def ratios(rows: Sequence[Comparison]) -> Figure:
    """Draw how many times as long the other side takes, a dot for each comparison.

    Parameters
    ----------
    rows
        What is compared with what, and the ratio of each turn: above 1 where ours is the faster.

    Returns
    -------
    Figure
        A logarithmic axis with a line at 1; a dot at the median of the turns, and a thin line from
        the least to the greatest. Its colour and shape say whether in every turn ours was the
        faster, or the other, or neither.

    Raises
    ------
    ValueError
        If there is nothing to draw, or a ratio is not above 0.
    """
    if not rows or any(min(turns, default=0) <= 0 for _, turns in rows):
        raise ValueError(f"rows: expected at least one, with ratios above 0, got {rows!r}")
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 0.6 + 0.27 * len(rows)))
        axes = figure.subplots()
        for place, (_, turns) in enumerate(rows):
            ratio, ends = statistics.median(turns), (min(turns), max(turns))
            right = ratio >= 1
            color, marker = _LOOKS[verdict(turns)]
            axes.plot([1, ratio], [place, place], color=color, alpha=0.35, lw=3, zorder=1)
            axes.plot(ends, [place, place], "|-", color=style.COLORS["black"], lw=1, zorder=2)
            axes.plot(ratio, place, marker, color=color, zorder=3)
            axes.annotate(
                f"{ratio:.2f}×" if ratio < 10 else f"{ratio:.0f}×", (ends[right], place),
                xytext=(7 if right else -7, 0), textcoords="offset points",
                ha="left" if right else "right", va="center", fontsize=9,
            )  # fmt: skip
        axes.axvline(1, color=style.COLORS["black"], lw=1)
        axes.set_xscale("log")
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        every = [ratio for _, turns in rows for ratio in turns]
        low, high = min(every), max(every)
        axes.set_xlim(min(low, 1) / 3, max(high, 1) * 3)  # room for what is written beside
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda _value, _place: ""))
        axes.set_xlabel("time of the other side, as a multiple of ours")
        axes.grid(visible=False, axis="y")
    return figure
