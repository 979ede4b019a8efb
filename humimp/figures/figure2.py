"""Figure 2 and its companions: the one-step attacks of Section 3.1 on digits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from humimp.figures import style

#: How the attacks of Section 3.1 are drawn, in the order in which a page names them.
_LOOKS = (style.LOOKS["Ours (a = 0)"], style.LOOKS["PGD (L2)"], style.LOOKS["No attack"])


def figure2(rows: Sequence[Mapping[str, Tensor]], captions: Sequence[Mapping[str, str]]) -> Figure:
    """Show digits and their attacks side by side.

    Parameters
    ----------
    rows
        For each digit its images by title, shape (1, H, W) each, values in [0, 1].
    captions
        For each digit what is written under each image, by title.

    Returns
    -------
    Figure
        One row per digit, one column per title; black is 0 and white is 1.
    """
    titles = list(rows[0])
    with style.use():
        figure = Figure(figsize=(6.4, 2.35 * len(rows)))
        grid = figure.subplots(len(rows), len(titles), squeeze=False)
        for line, images, texts in zip(grid, rows, captions, strict=True):
            for axes, title in zip(line, titles, strict=True):
                _picture(axes, images[title][0].numpy(), "gray", 0, 1)
                axes.set_xlabel(texts[title])
        for axes, title in zip(grid[0], titles, strict=True):
            axes.set_title(title, loc="center")
    return figure


def whereabouts(rows: Sequence[Mapping[str, Tensor]], shares: pd.DataFrame) -> Figure:
    """Show where a perturbation sits: on a few digits, and on average over all.

    Parameters
    ----------
    rows
        For each digit its images by title, the original first, shape (1, H, W) each.
    shares
        Per attack (index) and zone (column) the share of the squared perturbation, in percent.

    Returns
    -------
    Figure
        Left, the change of each pixel, blue where darker and red where lighter, with the outline
        of the digit; right, a bar per zone and attack.
    """
    original, *titles = rows[0]
    changes = [[images[t][0] - images[original][0] for t in titles] for images in rows]
    reach = max(float(change.abs().max()) for line in changes for change in line)
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 1.45 * len(rows) + 0.6))
        sides: Any = figure.subfigures(1, 2, width_ratios=(len(titles), 2.1))
        left, right = sides
        grid = left.subplots(len(rows), len(titles), squeeze=False)
        shown = None
        for line, images, row in zip(grid, rows, changes, strict=True):
            for axes, change in zip(line, row, strict=True):
                shown = _picture(axes, change.numpy(), "RdBu_r", -reach, reach)
                digit = images[original][0].numpy()
                axes.contour(digit, levels=[0.5], colors="black", linewidths=0.8)
        for axes, title in zip(grid[0], titles, strict=True):
            axes.set_title(title, loc="center", fontsize=10)
        left.colorbar(
            shown, ax=grid.ravel().tolist(), location="bottom", shrink=0.8, aspect=30,
            label="change of the pixel (full range 1)",
        )  # fmt: skip
        bars = right.subplots()
        height = 0.8 / len(shares)
        looks = style.enough(_LOOKS, len(shares), "attacks")
        for k, (name, look) in enumerate(zip(shares.index, looks, strict=True)):
            at = np.arange(shares.shape[1]) + (k - (len(shares) - 1) / 2) * height
            drawn = bars.barh(at, shares.loc[name], height * 0.92, color=look.color, label=name)
            bars.bar_label(drawn, fmt="%.0f", padding=2, fontsize=9)
        bars.set_yticks(range(shares.shape[1]), shares.columns)
        bars.invert_yaxis()
        bars.set(xlabel="share of the squared change (%)", xlim=(0, 112))
        bars.set_xticks([0, 25, 50, 75, 100])
        bars.grid(visible=False, axis="y")
        right.legend(*bars.get_legend_handles_labels(), loc="outside upper center", ncols=1)
    return figure


def tradeoff(table: pd.DataFrame) -> Figure:
    """Draw success rate and SSIM over the distance that the attacks may go.

    Parameters
    ----------
    table
        Columns ``attack``, ``l2``, ``success_rate`` (percent) and ``ssim`` (mean).

    Returns
    -------
    Figure
        Left success rate, right SSIM, a curve per attack.
    """
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 3.3))
        axes = figure.subplots(1, 2)
        curves = table.groupby("attack", sort=False)
        for (name, curve), look in zip(
            curves, style.enough(_LOOKS, len(curves), "attacks"), strict=True
        ):
            for panel, column in zip(axes, ("success_rate", "ssim"), strict=True):
                panel.plot(
                    curve["l2"], curve[column], color=look.color, marker=look.marker,
                    linestyle=look.linestyle, label=name,
                )  # fmt: skip
        axes[0].set(title="Success", xlabel="distance $L_2$", ylabel="success rate (%)")
        axes[0].set_ylim(0, None)
        axes[1].set(title="Structure kept", xlabel="distance $L_2$", ylabel="mean SSIM")
        axes[1].set_ylim(None, 1)
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure


def _picture(axes: Axes, values: np.ndarray, colors: str, low: float, high: float) -> AxesImage:
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes.imshow(values, cmap=colors, vmin=low, vmax=high, interpolation="nearest")
