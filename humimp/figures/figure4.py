"""Figure 4: how many attacks survive JPEG compression and bit-depth reduction."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

from humimp import evaluate
from humimp.figures import style

#: For each defence of the figure: title of its panel, and label of its axis.
PANELS = {
    "jpeg": ("JPEG compression", "quality (stronger to the right)"),
    "bits": ("Bit-depth reduction", "bits per channel (stronger to the right)"),
}

_BESIDE = 0.045  # how far apart the curves of a level stand, in levels
_ROOM = 6.5  # least distance between two names, in per cent of the axis


def figure4(records: pd.DataFrame) -> Figure:
    """Draw success rates under the defences, a panel per defence and a curve per attack.

    Parameters
    ----------
    records
        From :func:`humimp.evaluate.run`, of every attack to show (``pandas.concat``), with
        defences named ``jpeg_<quality>`` and ``bits_<bits>``.

    Returns
    -------
    Figure
        Each curve starts at the success rate without a defence, goes on from the mildest to the
        strongest level, and ends at its name. The success rate is the share of the correctly
        classified images that are misclassified once attacked and defended. The curves stand a
        little beside each other, and that of no attack lies on top.

    Raises
    ------
    ValueError
        If the records hold neither defence.
    """
    curves = evaluate.curves(records)
    shown = [defense for defense in PANELS if (curves["defense"] == defense).any()]
    if not shown:
        raise ValueError(
            "records: no defences jpeg_<quality> or bits_<bits>; name them so in evaluate.run"
        )
    bare = evaluate.table(records)["success_rate"]
    looks = style.looks(bare.index)
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 3.4 * len(shown)))
        axes = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
        for panel, defense in zip(axes, shown, strict=True):
            _panel(panel, curves[curves["defense"] == defense], bare, looks)
            panel.set(title=PANELS[defense][0], xlabel=PANELS[defense][1])
            panel.set_ylabel("success rate (%)")
    return figure


def _panel(axes: Axes, curves: pd.DataFrame, bare: pd.Series, looks: dict[str, style.Look]) -> None:
    """Draw one defence."""
    levels = sorted(curves["level"].unique(), reverse=True)
    names = [str(name) for name in curves["attack"].unique()]
    aside = _BESIDE * (np.arange(len(names)) - (len(names) - 1) / 2)
    ends = []
    for name, shift in zip(names, aside, strict=True):
        curve = curves[curves["attack"] == name].set_index("level")["success_rate"]
        rates = [bare[name], *curve.reindex(levels)]
        look = looks[name]
        axes.plot(
            np.arange(len(levels) + 1) + shift,
            rates,
            color=look.color,
            marker=look.marker,
            linestyle=look.linestyle,
            linewidth=1.4,
            label=name,
            clip_on=False,
            zorder=3 if name == "No attack" else 2,
        )
        ends.append(rates[-1])
    beside = axes.get_yaxis_transform()  # across in widths of the panel, up in per cent
    for name, x, y, height in zip(
        names, len(levels) + aside, ends, apart(ends, _ROOM, 0, 100), strict=True
    ):
        color = looks[name].color
        axes.scatter(
            [1.09], [height], color=color, marker=looks[name].marker, s=30, clip_on=False,
            transform=beside,
        )  # fmt: skip
        axes.annotate(
            name, xy=(x, y), xytext=(1.11, height), textcoords=beside, va="center",
            color=color, annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": color, "linewidth": 0.7, "alpha": 0.6,
                "relpos": (0, 0.5), "shrinkA": 12, "shrinkB": 4,
            },
        )  # fmt: skip
    axes.set_xlim(-0.5, len(levels) + 0.5)
    axes.set_xticks(range(len(levels) + 1), ["none", *(f"{level:g}" for level in levels)])
    axes.set_ylim(0, 100)
    axes.grid(visible=False, axis="x")


def apart(heights: Sequence[float], room: float, low: float, high: float) -> list[float]:
    """Move names apart that stand at one height.

    Parameters
    ----------
    heights
        Where the names would stand.
    room
        Least distance between two of them; less where they are too many.
    low, high
        Where the lowest and the highest may stand.

    Returns
    -------
    list of float
        Heights in the same order from top to bottom, those of equal height in the order given.
        Names that must move stand around the mean of their heights.
    """
    if not heights:
        return []
    order = sorted(range(len(heights)), key=lambda k: (-heights[k], k))
    room = min(room, (high - low) / max(len(heights) - 1, 1))
    # Below the k-th, k names want room: with that added, they need only not rise, and the nearest
    # that do not, kept between the bounds, are the nearest of all.
    taken = room * np.arange(len(heights))
    fitted = isotonic_regression(np.array(heights)[order] + taken, increasing=False).x
    placed = fitted.clip(low + taken[-1], high) - taken
    where = dict(zip(order, placed.tolist(), strict=True))
    return [where[k] for k in range(len(heights))]
