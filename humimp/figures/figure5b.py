"""Figure 5b, the slopes of many models by training, and what the paper does not show beside it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from torch import Tensor

from humimp import paper
from humimp.color import mean_delta_e
from humimp.distances import l2
from humimp.dro import RobustDataset
from humimp.figures import style
from humimp.findings.words import DOUBLING, minus, probability

# Trainings that are not named like the attack of Table 1 that they go with.
_NAMES = {"PGD": "PGD (L2)", "Ours": "Ours (a = 0)", "Fine-tuning": "No attack"}
_BLACK = style.COLORS["black"]


def figure5b(models: Mapping[str, pd.DataFrame], beta0: float) -> Figure:
    """Draw the slopes of the models by training, a box with every point over it: Figure 5b.

    Parameters
    ----------
    models
        For each training a table with a row per model and a column ``beta``, as from
        :func:`humimp.fairness.by_model`. NaN marks a model that diverged.
    beta0
        The slope of the model that all training started from.

    Returns
    -------
    Figure
        A box holds the middle half of the slopes, with a line at the median; whiskers reach to
        the last point within 1.5 times the box's height. Models that diverged are counted in the
        labels. The axis on the right has percentage points per doubling of income.
    """
    looks = _looks(models)
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 4.3))
        axes = figure.subplots()
        for place, (name, table) in enumerate(models.items()):
            _box(axes, place, table["beta"].dropna().to_numpy(), looks[name])
        axes.axhline(beta0, color=style.COLORS["blue"], ls="--", lw=1.4, zorder=1)
        axes.annotate(
            "β₀", (0, beta0), xycoords=("axes fraction", "data"), xytext=(3, 3),
            textcoords="offset points", color=style.COLORS["blue"],
        )  # fmt: skip
        axes.axhline(0, color="#444444", lw=0.8, zorder=0)
        labels = [_label(name, table["beta"]) for name, table in models.items()]
        axes.set_xticks(range(len(models)), labels)
        axes.set_xlim(-0.6, len(models) - 0.4)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("slope β")
        axes.margins(y=0.08)
        points = axes.secondary_yaxis(
            "right",
            functions=(lambda beta: np.multiply(beta, DOUBLING), lambda y: np.divide(y, DOUBLING)),
        )
        points.set_ylabel("percentage points per doubling of income")
        points.spines["right"].set_visible(True)
    return figure


def beside_accuracy(models: Mapping[str, pd.DataFrame], theta0: pd.Series) -> Figure:
    """Draw accuracy beside the slopes, and accuracy by quarter of the countries' incomes.

    Parameters
    ----------
    models
        For each training a table with a row per model and the columns ``beta``, ``accuracy`` and
        ``quarter_1`` (poorest) to ``quarter_4``, as from :func:`humimp.fairness.by_model`.
    theta0
        The same of the model that all training started from.

    Returns
    -------
    Figure
        Left, a point per model. Right, the mean over the models of each training, with bars of
        one standard deviation, in percent.
    """
    looks = _looks(models)
    quarters = [str(key) for key in theta0.index if str(key).startswith("quarter_")]
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 3.7))
        left, right = figure.subplots(1, 2)
        shift = np.linspace(-0.12, 0.12, len(models)) if len(models) > 1 else [0.0]
        for (name, table), away in zip(models.items(), shift, strict=True):
            look = looks[name]
            left.plot(
                100 * table["accuracy"], table["beta"], look.marker, color=look.color, ms=4.5,
                mew=0.8 if look.marker == "x" else 0.4, mec=None if look.marker == "x" else "white",
            )  # fmt: skip
            values = 100 * table[quarters]
            right.errorbar(
                np.arange(1, len(quarters) + 1) + away, values.mean(), values.std(ddof=0),
                color=look.color, marker=look.marker, ls=look.linestyle, lw=1.4, ms=5,
                elinewidth=1, label=name,
            )  # fmt: skip
        left.plot(100 * theta0["accuracy"], theta0["beta"], "*", color=_BLACK, ms=11)
        right.plot(
            range(1, len(quarters) + 1), 100 * theta0[quarters].astype(float), "*:", color=_BLACK,
            ms=9, lw=1.2, label="θ₀",
        )  # fmt: skip
        left.axhline(0, color="#444444", lw=0.8, zorder=0)
        left.set(title="Slope and accuracy", xlabel="accuracy, all images (%)", ylabel="slope β")
        right.set(title="Accuracy by income", ylabel="accuracy (%)")
        names = ["poorest", *[""] * (len(quarters) - 2), "richest"]
        right.set_xticks(
            range(1, len(quarters) + 1),
            [f"{k}\n{name}" for k, name in enumerate(names, 1)],
        )
        right.set_xlabel("quarter of the countries")
        right.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        handles, labels = right.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def detection(
    panels: Mapping[str, Mapping[str, pd.DataFrame]],
    label: str,
    *,
    level: float = paper.SIGNIFICANCE,
) -> Figure:
    """Draw how often a test finds an effect, as a curve over the size of the effect.

    Parameters
    ----------
    panels
        Title to curves; a curve's name to a table with the columns ``size`` (of the effect),
        ``rate`` (share rejected, 0 to 1) and ``error`` (its standard error).
    label
        What the size is, with its unit.
    level
        Of the test, marked by a dashed line: what is to be expected where there is no effect.

    Returns
    -------
    Figure
        A panel beside the other; shades are two standard errors wide on either side.
    """
    names = ("vermillion", "blue", "black", "green", "purple")
    lines = ("-", "--", "-.", ":", "-")
    looks = [(style.COLORS[name], line) for name, line in zip(names, lines, strict=True)]
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 3.4))
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, curves) in zip(row, panels.items(), strict=True):
            axes.axhline(level, color="#444444", ls="--", lw=1)
            enough = style.enough(looks, len(curves), f"curves of {title}")
            for (name, table), (color, line) in zip(curves.items(), enough, strict=True):
                axes.plot(table["size"], table["rate"], color=color, ls=line, label=name)
                low, high = (table["rate"] + side * 2 * table["error"] for side in (-1, 1))
                axes.fill_between(table["size"], low, high, color=color, alpha=0.15, lw=0)
            axes.set(title=title, xlabel=label)
            axes.legend(frameon=True, framealpha=0.9, edgecolor="none")  # over the dashed line
        row[0].set(ylabel="share of tests that reject", ylim=(0, 1.02))
        row[0].set_yticks([level, 0.25, 0.5, 0.75, 1])
        row[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def t_tests(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out t-tests, a row per comparison and test, with text in the cells.

    Parameters
    ----------
    table
        From :func:`humimp.fairness.compare`.

    Returns
    -------
    pandas.DataFrame
        The difference and its confidence interval in percentage points per doubling of income.
    """
    rows = {}
    for (other, test), (_, row) in zip(table.index.tolist(), table.iterrows(), strict=True):
        ends = [minus(DOUBLING * row[key]) for key in ("difference", "low", "high")]
        left_out = f" ({row['excluded']:.0f} left out)" if row["excluded"] else ""
        rows[f"{other}, {test}"] = {
            "pairs": f"{row['pairs']:.0f}{left_out}",
            "difference": f"{ends[0]} ({ends[1]} to {ends[2]})",
            "effect": minus(row["effect"]),
            "t": minus(row["t"]),
            "df": f"{row['df']:.1f}".removesuffix(".0"),
            "p": probability(row["p"]),
            "Holm": probability(row["holm"]),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def by_income(models: Mapping[str, pd.DataFrame], theta0: pd.Series) -> pd.DataFrame:
    """Lay out accuracy by quarter of the countries' incomes, and overall, in percent.

    Parameters
    ----------
    models, theta0
        As in :func:`beside_accuracy`. A column ``worth``, as of
        :func:`humimp.findings.income.worth`, is laid out too.

    Returns
    -------
    pandas.DataFrame
        A row for θ₀ and for each training: mean ± standard deviation over its models, as text.
    """
    quarters = [str(key) for key in theta0.index if str(key).startswith("quarter_")]
    headings = {key: f"quarter {key[-1]}" for key in quarters}
    headings[quarters[0]] = f"poorest {headings[quarters[0]]}"
    headings[quarters[-1]] = f"richest {headings[quarters[-1]]}"
    headings["accuracy"] = "all images"
    if "worth" in theta0:
        headings["worth"] = "the pattern's worth"
    columns = list(headings)
    rows = {"θ₀": [minus(100 * theta0[column], 1) for column in columns]}
    for name, table in models.items():
        values = 100 * table[columns]
        rows[name] = [
            f"{minus(mean, 1)} ± {spread:.1f}"
            for mean, spread in zip(values.mean(), values.std(ddof=0), strict=True)
        ]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(headings.values()))


def pool(
    robust: RobustDataset, originals: Tensor, cost: Callable[[Tensor, Tensor], Tensor]
) -> pd.DataFrame:
    """Count what the data set of Algorithm 2 holds, round by round.

    Parameters
    ----------
    robust
        From :func:`humimp.dro.robust_dataset`.
    originals
        The images it was made from, (N, C, H, W).
    cost
        Ground cost, images × images → (N,).

    Returns
    -------
    pandas.DataFrame
        Indexed by ``round``, 0 being the originals: the number of images, the percentage of draws
        that fall on them, how many originals they go back to, and their mean distance from these.
    """
    rows = {}
    for number in robust.round.unique().tolist():
        own = robust.round == number
        origin = robust.origin[own]
        before, after = originals[origin], robust.images[own]
        rows[number] = {
            "images": int(own.sum()),
            "drawn (%)": round(float(100 * robust.weights[own].sum() / robust.weights.sum()), 2),
            "originals": len(origin.unique()),
            "L₂ from the original": round(float(l2(before, after).mean()), 2),
            "c₀ (× 1000)": round(1000 * float(_costs(cost, before, after).clamp(min=0).mean()), 1),
            "ΔE₀₀": round(float(_costs(mean_delta_e, before, after).mean()), 2),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("round")


def _costs(cost: Callable[[Tensor, Tensor], Tensor], before: Tensor, after: Tensor) -> Tensor:
    """Compute a distance of many images, a few at a time."""
    pairs = zip(before.split(50), after.split(50), strict=True)
    with torch.no_grad():
        return torch.cat([cost(one, other) for one, other in pairs])


def _looks(models: Mapping[str, pd.DataFrame]) -> dict[str, style.Look]:
    """Give each training the look of the attack that it goes with."""
    known = style.looks([_NAMES.get(name, name) for name in models])
    return {name: known[_NAMES.get(name, name)] for name in models}


def _label(name: str, betas: "pd.Series[float]") -> str:
    diverged = int(betas.isna().sum())
    return f"{name}\n({diverged} of {len(betas)} diverged)" if diverged else name


def _box(axes: Axes, place: int, betas: NDArray[np.float64], look: style.Look) -> None:
    if len(betas) == 0:
        return
    line: dict[str, Any] = {"color": look.color, "linewidth": 1.6}
    axes.boxplot(
        [betas], positions=[place], widths=0.5, showfliers=False, boxprops=line, whiskerprops=line,
        capprops=line, medianprops=line | {"linewidth": 2.6}, zorder=2,
    )  # fmt: skip
    # Points side by side: neighbours in value get places that lie far apart.
    ranks = np.argsort(np.argsort(betas, kind="stable"), kind="stable")
    across = place + 0.4 * ((ranks + 1) * 0.618034 % 1 - 0.5)
    edge: dict[str, Any] = {} if look.marker == "x" else {"edgecolors": "white", "linewidths": 0.4}
    axes.scatter(
        across, betas, s=22, color=look.color, marker=look.marker, alpha=0.75, zorder=3, **edge
    )
