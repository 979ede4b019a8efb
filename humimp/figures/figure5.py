"""Figure 5a, accuracy and income by country, and the tables about its test."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredText
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from humimp import fairness, paper
from humimp.figures import style

# From light for few images to dark for many; the palest part would vanish on white.
_COLORS = LinearSegmentedColormap.from_list(
    "images", ["#F6D08A", "#F0A35E", "#D96B5B", "#A43B6E", "#5E2277", "#1B0F45"]
)
_DOLLARS = (250, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000)


def figure5a(countries: pd.DataFrame, fit: fairness.Slope, *, level: float = 0.95) -> Figure:
    """Draw accuracy against income, a dot per country, with the fitted line: Figure 5a.

    Parameters
    ----------
    countries
        A row per country with ``name``, ``n``, ``accuracy`` (0 to 1), ``gdp`` (US$) and
        ``log_gdp``, as :func:`humimp.fairness.accuracy_by_country` keeps it.
    fit
        The line, from :func:`humimp.fairness.slope`.
    level
        Of the confidence band around it.

    Returns
    -------
    Figure
        The axis of income is logarithmic and labelled in dollars. Colour is the number of images.
        The countries with the most images, the highest and lowest incomes, and the highest and
        lowest accuracies are named where there is room.
    """
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 4.7))
        FigureCanvasAgg(figure)  # measures text
        axes = figure.subplots()
        _line(axes, countries, fit, level)
        _dots(axes, countries)
        corner = "lower right" if fit.beta > 0 else "lower left"
        axes.add_artist(AnchoredText(_test(fit), corner, frameon=False, prop={"size": 10}))
        _frame(axes, countries)
        figure.draw_without_rendering()
        _names(axes, countries)
    return figure


def rejections(rates: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Lay out how often the F-test rejects, a row per assumed covariance.

    Parameters
    ----------
    rates
        Heading to what :func:`humimp.power.rejection_rates` returned.

    Returns
    -------
    pandas.DataFrame
        A column per heading with the percentage rejected and its standard error, as text, and one
        with the standard deviation of the slopes, of what stands under the first heading.
    """
    rows = {
        "1/sqrt(n)": "Σ = 1/√n, the paper's",
        "1/n": "Σ = 1/n, of a share of n images",
        "ols": "Σ = 1, the same for all (OLS)",
    }
    columns = {
        heading: [f"{100 * table.rate[row]:.1f} ± {100 * table.error[row]:.1f}" for row in rows]
        for heading, table in rates.items()
    }
    first = next(iter(rates.values()))
    columns["standard deviation of β"] = [f"{first.spread[row]:.4f}" for row in rows]
    return pd.DataFrame(columns, index=list(rows.values()))


def p_values() -> pd.DataFrame:
    """Recompute the probabilities of the paper's two t-tests under four readings of them.

    Returns
    -------
    pandas.DataFrame
        A column per test: what the paper prints, what each reading gives, and which degrees of
        freedom would give the printed number, all as text.
    """
    tests = {
        f"PGD, t = {paper.T_PGD}": (paper.T_PGD, paper.P_PGD),
        f"PerC, t = {paper.T_PERC}": (paper.T_PERC, paper.P_PERC),
    }
    pairs, both = paper.N_MODELS - 1, 2 * paper.N_MODELS - 2
    readings = {
        f"paired, one-sided: {pairs} degrees of freedom": (pairs, 1),
        f"unpaired, one-sided: {both}": (both, 1),
        f"paired, two-sided: {pairs}": (pairs, 2),
        f"unpaired, two-sided: {both}": (both, 2),
    }
    columns = {}
    for name, (t, p) in tests.items():
        cells = {"printed in the paper": f"{p:.5f}"}
        for reading, (df, sides) in readings.items():
            cells[reading] = f"{fairness.t_p_value(t, df, sides=sides):.5f}"
        for side, sides in (("one", 1), ("two", 2)):
            fitting = fairness.fitting_df(t, p, sides=sides)
            text = f"{fitting[0]} to {fitting[-1]}" if fitting else "none"
            cells[f"degrees of freedom that fit, {side}-sided"] = text
        columns[name] = cells
    return pd.DataFrame(columns)


def _line(axes: Axes, countries: pd.DataFrame, fit: fairness.Slope, level: float) -> None:
    ends = countries["log_gdp"].min(), countries["log_gdp"].max()
    band = fit.band(np.linspace(*ends, 101), level)
    dollars = np.exp(band["log_gdp"])
    blue = style.COLORS["blue"]
    axes.fill_between(
        dollars, 100 * band["low"], 100 * band["high"], color=blue, alpha=0.15, lw=0, zorder=1
    )
    axes.plot(dollars, 100 * band["accuracy"], color=blue, zorder=2)


def _dots(axes: Axes, countries: pd.DataFrame) -> None:
    few, many = countries["n"].min(), countries["n"].max()
    norm = LogNorm(few, max(many, few + 1))
    shown = countries.sort_values("n")  # countries of many images on top
    axes.scatter(
        shown["gdp"],
        100 * shown["accuracy"],
        c=shown["n"],
        norm=norm,
        cmap=_COLORS,
        s=42,
        edgecolors="#333333",
        linewidths=0.6,
        zorder=3,
    )
    bar = axes.figure.colorbar(ScalarMappable(norm, _COLORS), ax=axes, aspect=30, pad=0.02)
    bar.set_label("images of the country")
    ticks = [
        t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 20_000) if few <= t <= many
    ]
    bar.set_ticks(ticks or [few], labels=[f"{tick:,}" for tick in ticks or [few]])
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.outline.set_visible(False)


def _test(fit: fairness.Slope) -> str:
    p = f"p = {fit.p:.2g}" if fit.p >= 1e-4 else "p < 0.0001"
    return f"β = {fit.beta:.4f},  F({fit.df[0]}, {fit.df[1]}) = {fit.f:.2f},  {p}"


def _frame(axes: Axes, countries: pd.DataFrame) -> None:
    axes.set_xscale("log")
    low, high = countries["gdp"].min() / 1.25, countries["gdp"].max() * 1.7
    axes.set_xlim(low, high)
    axes.set_xticks([tick for tick in _DOLLARS if low <= tick <= high])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"${value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("GDP per capita (US$, logarithmic)")
    worst, best = 100 * countries["accuracy"].min(), 100 * countries["accuracy"].max()
    margin = 0.1 * (best - worst)
    axes.set_ylim(worst - 1.6 * margin, best + margin)
    axes.set_ylabel("accuracy (%)")


def _notable(countries: pd.DataFrame) -> list[int]:
    """Rows to name, the most important first."""
    picks = [
        countries["n"].nlargest(5),
        countries["gdp"].nlargest(1),
        countries["gdp"].nsmallest(1),
        countries["accuracy"].nsmallest(3),
        countries["accuracy"].nlargest(1),
    ]
    return list(dict.fromkeys(int(row) for pick in picks for row in pick.index))


def _names(axes: Axes, countries: pd.DataFrame) -> None:
    """Write names beside dots, each where it covers no dot and no other name, or not at all."""
    countries = countries.reset_index(drop=True)
    data = np.column_stack([countries["gdp"], 100 * countries["accuracy"]])
    points = axes.transData.transform(data)
    unit = axes.figure.dpi / 72
    taken = [_square(point, 5 * unit) for point in points]
    taken += [artist.get_window_extent() for artist in axes.artists]
    for row in _notable(countries):
        look: dict[str, Any] = {
            "textcoords": "offset points",
            "fontsize": 8.5,
            "path_effects": [withStroke(linewidth=2.5, foreground="white")],
        }
        text = axes.annotate(countries["name"][row], data[row], xytext=(0, 0), **look)
        room = _room(points[row], text.get_window_extent(), taken, axes.bbox, unit)
        if room is None:
            text.remove()
            continue
        text.set_position((room.min - points[row]) / unit)
        link = _link(points[row], room, unit)
        taken += [room.padded(2 * unit), *(_square(at, 2 * unit) for at in link)]
        if np.hypot(*(link[-1] - link[0])) > 2 * unit:
            line = {"arrowstyle": "-", "lw": 0.6, "color": "#666666", "shrinkB": 3, "shrinkA": 1}
            end = (link[-1] - points[row]) / unit
            axes.annotate("", data[row], end, textcoords="offset points", arrowprops=line)


def _room(
    point: NDArray[np.float64], size: Bbox, taken: list[Bbox], frame: Bbox, unit: float
) -> Bbox | None:
    """Find a free box of this size near a dot, with a free way to it."""
    x, y = point
    for gap in unit * np.array([7, 16, 26, 38, 52, 70]):
        sides = (x + gap, x - gap - size.width, x - size.width / 2)
        heights = (y - size.height / 2, y + gap, y - gap - size.height)
        for left, bottom in product(sides, heights):
            box = Bbox.from_bounds(left, bottom, size.width, size.height)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
            inside = inside and frame.y0 <= box.y0 and box.y1 <= frame.y1
            crossed = any(other.contains(*at) for at in _link(point, box, unit) for other in taken)
            if inside and not crossed and not box.count_overlaps(taken):
                return box
    return None


def _square(center: NDArray[np.float64], half: float) -> Bbox:
    return Bbox([center - half, center + half])


def _link(point: NDArray[np.float64], box: Bbox, unit: float) -> NDArray[np.float64]:
    """Points on the way from beside a dot to the nearest point of a box; shape (9, 2)."""
    end = np.clip(point, box.min, box.max)
    distance = max(np.hypot(*(end - point)), 1e-9)
    start = point + (end - point) * min(1.0, 7.2 * unit / distance)
    return np.linspace(start, end, 9)
