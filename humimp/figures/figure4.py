"""Figure 4: how many attacks survive JPEG compression and bit-depth reduction."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from humimp import evaluate
from humimp.figures import style

#: For each defence of the figure: title of its panel, and label of its axis.
PANELS = {
    "jpeg": ("JPEG compression", "quality (stronger to the right)"),
    "bits": ("Bit-depth reduction", "bits per channel"),
}


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
        Each curve starts at the success rate without a defence and goes on from the mildest to
        the strongest level. The success rate is the share of the correctly classified images that
        are misclassified once attacked and defended.

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
        figure = Figure(figsize=(style.COLUMN / 100, 4.0))
        axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for panel, defense in zip(axes, shown, strict=True):
            _panel(panel, curves[curves["defense"] == defense], bare, looks)
            panel.set(title=PANELS[defense][0], xlabel=PANELS[defense][1])
        axes[0].set_ylabel("success rate (%)")
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            names,
            loc="outside lower center",
            ncols=len(names) if len(names) <= 5 else 4,
            handlelength=2.6,
        )
    return figure


def _panel(axes: Axes, curves: pd.DataFrame, bare: pd.Series, looks: dict[str, style.Look]) -> None:
    """Draw one defence."""
    levels = sorted(curves["level"].unique(), reverse=True)
    for k, (name, curve) in enumerate(curves.groupby("attack", sort=False)):
        rates = curve.set_index("level")["success_rate"].reindex(levels)
        look = looks[str(name)]
        axes.plot(
            range(len(levels) + 1),
            [bare[name], *rates],
            color=look.color,
            marker=look.marker,
            linestyle=look.linestyle,
            markersize=max(8 - 0.8 * k, 4),  # where curves meet, the lower ones' rims stay visible
            label=name,
            clip_on=False,
        )
    axes.set_xticks(range(len(levels) + 1), ["none", *(f"{level:g}" for level in levels)])
    axes.set_ylim(0, 100)
    axes.grid(visible=False, axis="x")
