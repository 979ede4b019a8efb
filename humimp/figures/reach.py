"""Success against distance: on how many images an attack succeeds within a given distance."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from humimp import evaluate
from humimp.figures import style

#: Measures that get a panel, and the labels of their axes.
PANELS = {"lpips": "LPIPS (×1000)", "dists": "DISTS (×1000)"}

_BY = 1000  # both are printed a thousandfold
_ROOM = 9.0  # least distance between two names, in per cent of the axis


def reach(records: pd.DataFrame) -> Figure:
    """Draw the share of images on which each attack succeeds within a distance.

    Parameters
    ----------
    records
        From :func:`humimp.evaluate.run`, of every attack to show (``pandas.concat``), with the
        measures ``lpips``, ``dists`` or both.

    Returns
    -------
    Figure
        A panel per measure and a step curve per attack: over a distance t, on a logarithmic axis,
        the share of the correctly classified images that it turns into misclassified ones at most
        t away. A curve ends at the attack's success rate, and the further to the left it is, the
        nearer to the originals the attack stays. A mark stands where it has half of its successes.
        Names stand beside each panel, from the attack whose mark is leftmost down; one that never
        succeeds has neither curve nor name.

    Raises
    ------
    ValueError
        If the records hold neither measure, or no success.
    """
    shown = [column for column in PANELS if column in records]
    if not shown:
        raise ValueError(
            f"records: no column {' or '.join(PANELS)}; give evaluate.run these measures"
        )
    rates = evaluate.table(records)["success_rate"]
    names = [str(name) for name in rates.index[rates > 0]]
    if not names:
        raise ValueError("records: no attack succeeds on any image; there is nothing to draw")
    looks = style.looks([str(name) for name in rates.index])
    attacked = records[records["correct"].astype(bool)]
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 3.1 * len(shown)))
        axes = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
        for panel, column in zip(axes, shown, strict=True):
            _panel(panel, attacked, column, names, looks)
    return figure


def _panel(
    axes: Axes,
    attacked: pd.DataFrame,
    column: str,
    names: list[str],
    looks: dict[str, style.Look],
) -> None:
    """Draw the curves of one measure, and name them."""
    curves = {name: _steps(attacked[attacked["attack"] == name], column) for name in names}
    ends = np.concatenate([distances for distances, _ in curves.values()])
    low, high = ends.min() / 1.3, ends.max() * 1.3
    for name, (distances, shares) in curves.items():
        look = looks[name]
        axes.step(
            [low, *distances, high],
            [0, *shares, shares[-1]],
            where="post",
            color=look.color,
            linestyle=look.linestyle,
            linewidth=1.6,
            label=name,
        )
        half = _half(shares)
        axes.plot(
            distances[half], shares[half], look.marker, color=look.color, clip_on=False, zorder=3
        )
    order = sorted(names, key=lambda name: curves[name][0][_half(curves[name][1])])
    room = min(_ROOM, 100 / len(order))
    heights = [50 + room * ((len(order) - 1) / 2 - k) for k in range(len(order))]
    beside = axes.get_yaxis_transform()  # across in widths of the panel, up in per cent
    for name, height in zip(order, heights, strict=True):
        look = looks[name]
        axes.plot(
            [1.015, 1.055], [height, height], color=look.color, linestyle=look.linestyle,
            linewidth=1.6, transform=beside, clip_on=False,
        )  # fmt: skip
        axes.plot([1.035], [height], look.marker, color=look.color, transform=beside, clip_on=False)
        axes.annotate(
            name, (1.07, height), xycoords=beside, va="center", color=look.color,
            annotation_clip=False,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set(xlim=(low, high), ylim=(0, 100), xlabel=f"{PANELS[column]} at most")
    axes.set_ylabel("success rate (%)")


def _half(shares: np.ndarray) -> int:
    """Return the place in a curve where it reaches half of its height."""
    return int(np.searchsorted(shares, shares[-1] / 2))


def _steps(attacked: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of an attack's successes, ascending, and the shares reached there.

    A distance of zero cannot be drawn on a logarithmic axis and stands at the least positive one.
    """
    won = attacked["success"].astype(bool)
    distances = np.sort(_BY * attacked.loc[won, column].to_numpy(float))
    positive = distances[distances > 0]
    distances = np.maximum(distances, positive.min() if len(positive) else 1)
    return distances, 100 * np.arange(1, len(distances) + 1) / len(attacked)
