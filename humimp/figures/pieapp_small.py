"""Figures and tables of the appendix on PieAPP-small: agreement, and how its error grows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from humimp.figures import style
from humimp.figures.table1 import Table
from humimp.findings.pieapp_small import faster

_NAMES = {"small": "PieAPP-small", "MSE": "squared error"}
_SETS = {"held-out types": ("vermillion", "o"), "trained types": ("blue", "s")}


def agreement(comparison: pd.DataFrame) -> Figure:
    """Pairwise accuracy with the committee, of PieAPP-small and of other measures.

    Parameters
    ----------
    comparison
        Columns ``set``, ``measure``, ``accuracy``, as ``training/evaluate_pieapp_small.py``
        writes them. The measure ``committee`` is left out.
    """
    wide = comparison.pivot_table(index="measure", columns="set", values="accuracy")
    wide = wide.drop("committee", errors="ignore").sort_values("held-out types")
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 3.6))
        axes = figure.subplots()
        for name, (color, marker) in _SETS.items():
            axes.plot(
                wide[name], np.arange(len(wide)), marker,
                color=style.COLORS[color], label=name, linestyle="none", markersize=7,
            )  # fmt: skip
        axes.set_yticks(np.arange(len(wide)), [_NAMES.get(one, one) for one in wide.index])
        for label, one in zip(axes.get_yticklabels(), wide.index, strict=True):
            label.set_fontweight("bold" if one == "small" else "normal")
        axes.set_xlabel("share of pairs ordered as the committee orders them")
        axes.legend(loc="lower right", title="photographs held out,")
    return figure


def growth(levels: pd.DataFrame, near_zero: pd.DataFrame) -> Figure:
    """How the error grows with the level of held-out types, and with a part of a distortion.

    Parameters
    ----------
    levels
        Columns ``distortion``, ``held_out``, ``level``, ``small``.
    near_zero
        Columns ``part`` and ``small``; rows with the same photograph, distortion and level belong
        to one distortion, of which ``part`` = 1 is all.
    """
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 4.2))
        left, right = figure.subplots(1, 2)
        shown = levels[levels["held_out"]]
        names = list(dict.fromkeys(shown["distortion"]))
        looks = style.looks([f"_{name}" for name in names[:6]]).values()
        plain = [(one.color, one.marker, one.linestyle) for one in looks]
        spare = zip(("blue", "orange", "sky"), "osD", strict=True)
        plain += [(style.COLORS[color], marker, "-") for color, marker in spare]
        enough = style.enough(plain, len(names), "distortions held out")
        for name, (color, marker, line) in zip(names, enough, strict=True):
            median = shown[shown["distortion"] == name].groupby("level")["small"].median()
            left.plot(
                median.index, median, color=color, marker=marker, linestyle=line,
                label=name.replace("_", " "), markersize=4,
            )  # fmt: skip
        left.set_yscale("log")
        left.set_xlabel("level: 0 just invisible, 1 gross")
        left.set_ylabel("error of PieAPP-small")
        left.set_title("types held out (medians)")
        left.legend(fontsize=8, loc="lower right")

        keys = ["photograph", "distortion", "level"]
        whole = near_zero[near_zero["part"] == 1].groupby(keys)["small"].first()
        joined = near_zero[near_zero["part"] > 0].join(whole.rename("whole"), on=keys)
        share = (joined["small"] / joined["whole"]).groupby(joined["part"])
        part = np.array(sorted(joined["part"].unique()))
        right.fill_between(
            part, share.quantile(0.1), share.quantile(0.9), color=style.COLORS["sky"], alpha=0.4,
            label="80 % of distortions", linewidth=0,
        )  # fmt: skip
        right.plot(part, share.median(), color=style.COLORS["blue"], marker="o", label="median")
        right.plot(part, part, color=style.COLORS["grey"], linestyle=":", label="in proportion")
        right.set_xscale("log")
        right.set_yscale("log")
        right.set_xlabel("part t of the distortion, x + t (y − x)")
        right.set_ylabel("error, relative to the whole's")
        right.set_title("near zero")
        right.legend(loc="upper left")
    return figure


def comparison(table: pd.DataFrame) -> Table:
    """Agreement of PieAPP-small with the committee, its members and others, as a table.

    Parameters
    ----------
    table
        As ``training/evaluate_pieapp_small.py`` writes it: one row per ``set`` and ``measure``,
        with ``small_accuracy`` (share of pairs that PieAPP-small and the measure order alike) and
        ``small_spearman``.
    """
    wide = table.set_index(["measure", "set"])[["small_accuracy", "small_spearman"]].unstack("set")
    columns = [(value, name) for name in _SETS for value in ("small_accuracy", "small_spearman")]
    headings = [
        f"{'pairs alike' if value == 'small_accuracy' else 'Spearman'}, {name}"
        for value, name in columns
    ]
    names = [one for one in dict.fromkeys(table["measure"]) if one != "small"]
    rows = tuple(
        (
            (_NAMES.get(name, name), *(f"{wide.loc[name, column]:.3f}" for column in columns)),
            frozenset[int](),
            False,
        )
        for name in names
    )
    return Table(("PieAPP-small with", *headings), rows)


def costs(timed: Sequence[Mapping[str, Any]]) -> Table:
    """Set what value and gradient of one image cost beside piq's.

    Parameters
    ----------
    timed
        Records of ``benchmarks/pieapp.py``.
    """
    rows = []
    for record in timed:
        asked = record["options"]
        network = "PieAPP-small" if asked["weights"] == "small" else f"width {asked['width']}"
        for name, found in record["measured"].items():
            alike = record["agreement"].get(name)
            cells = (
                name,
                network,
                f"{asked['size']} × {asked['size']}",
                f"{found['seconds_median']:.3f}",
                f"{faster(record, name):.2f}",
                f"{found['peak_bytes'] / 1e9:.2f}",
                f"{alike['gradient_cosine']:.4f}" if alike else "–",
            )
            rows.append((cells, frozenset[int](), False))
    headings = ("", "Network", "Image", "Seconds", "× piq's speed", "Memory (GB)", "Cosine")
    return Table(headings, tuple(rows))
