"""Page 4.1: how faint the planted pattern is, the slope and its test, and their trial."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from humimp import experiment, fairness, paper
from humimp.classifiers import TITLES
from humimp.findings.income import worth as worths
from humimp.findings.words import DOUBLING, minus

_OWN = "with simulated countries of their own"


def named(
    images: str, *, classifier: str, strength: int, n_train: int, zoom: int
) -> dict[str, str]:
    """Name the images and θ₀.

    Parameters
    ----------
    images, classifier, strength
        As for `humimp.experiment.by_country` and `humimp.experiment.theta0`.
    n_train
        How many images θ₀ was trained on.
    zoom
        How many times digits are enlarged before LPIPS and DISTS.
    """
    if images != experiment.DIGITS:
        return {
            "what_images": "photographs of ImageNet",
            "what_classifier": f"{TITLES[classifier]}, fine-tuned on {n_train} photographs {_OWN}"
            if strength
            else f"{TITLES[classifier]}, as it was pretrained",
            "zoomed": "",
            "flat": "",
        }
    return {
        "what_images": "test digits of MNIST",
        "what_classifier": "a network that sees all pixels at once, of 64 hidden units, "
        f"trained on {n_train} digits {_OWN}",
        "zoomed": f" {zoom} times enlarged, because both want larger images than digits are",
        "flat": ", while digits lie on flat black",
    }


def geography(places: pd.DataFrame, *, strength: int, gradient: float) -> dict[str, Any]:
    """Say how unevenly images are shared out, and how often the pattern is planted.

    Parameters
    ----------
    places
        As of `humimp.simulation.simulated_countries`.
    strength, gradient
        As for `humimp.simulation.plant`.

    Returns
    -------
    dict
        Shares in percent: of the images, and of images with the pattern in the poorest and the
        richest country.
    """
    n = places.set_index("country")["n"]
    ratio = n.max() / n.min()
    return {
        "share_us": float(100 * n["USA"] / n.sum()),
        "share_uk": float(100 * n["GBR"] / n.sum()),
        "ratio": float(ratio),
        "root_ratio": float(np.sqrt(ratio)),
        "least": float(100 * (1 - gradient) / 2),
        "most": float(100 * (1 + gradient) / 2),
        "what_bias": "a planted bias" if strength and gradient else "no planted bias",
    }


def faintness(*, lpips: float, dists: float, delta_e: float) -> dict[str, Any]:
    """Say how faint the pattern is, LPIPS and DISTS × 1000 as in Table 1."""
    printed = [row["lpips"] for row in paper.TABLE1.values()]
    if lpips > max(printed):
        beside = "is a larger change than any attack in that table"
    elif lpips < min(printed):
        beside = "is a smaller change than any attack in that table"
    else:
        beside = "lies within that range"
    return {
        "lpips": lpips,
        "dists": dists,
        "delta_e": delta_e,
        "noticed": "below" if delta_e < 1 else "not below",
        "as_colour": "faint" if delta_e < 1 else "not faint",
        "by_lpips": f"by LPIPS it {beside}",
        "ours_lpips": paper.TABLE1["Ours (a = 0)"]["lpips"],
        "most_lpips": max(printed),
    }


def worth(records: pd.DataFrame) -> tuple[float, float]:
    """Compute how much more often images are right with the pattern than without.

    Parameters
    ----------
    records
        A row per image, with ``correct`` and ``planted``.

    Returns
    -------
    tuple of float
        The difference of the shares (−1 to 1) and its standard error.
    """
    row: Any = worths(records.assign(replicate=0, diverged=False)).loc[0]
    return float(row["worth"]), float(row["worth_error"])


def planned(records: pd.DataFrame, places: pd.DataFrame, *, gradient: float) -> tuple[float, float]:
    """Compute the slope that the pattern alone makes: its `worth` times how much oftener it comes.

    Parameters
    ----------
    records
        As of `worth`.
    places
        As of `humimp.simulation.simulated_countries`.
    gradient
        From the poorest to the richest country the share of images with the pattern rises by this.

    Returns
    -------
    tuple of float
        In accuracy per unit of log GDP, and its standard error.
    """
    per_gap = float(gradient / np.ptp(places["log_gdp"]))
    gap, error = worth(records)
    return gap * per_gap, error * per_gap


def tested(records: pd.DataFrame, fit: fairness.Slope) -> dict[str, Any]:
    """Say what came of a classifier's answers, in percent, and of the F-test.

    Parameters
    ----------
    records
        As of `worth`.
    fit
        The line through the countries' accuracies.
    """
    gap, error = worth(records)
    return {
        "accuracy": float(100 * records["correct"].mean()),
        "f": fit.f,
        "df2": fit.df[1],
        "p": f"{fit.p:.2g}",
        "per_doubling": minus(DOUBLING * fit.beta),
        "verdict": "is rejected" if _significant(fit) else "is not rejected",
        "gap": minus(100 * gap, 1),
        "gap_error": 100 * error,
    }


def learnt(records: pd.DataFrame) -> dict[str, Any]:
    """Say of how many classes images are, and whether the pattern was learnt.

    It was if it is worth more than twice its standard error.

    Parameters
    ----------
    records
        As of `worth`, with ``label``.
    """
    gap, error = worth(records)
    return {
        "n_classes": int(records["label"].nunique()),
        "learnt": "so it has learnt the pattern"
        if gap > 2 * error
        else "so whether it has learnt the pattern cannot be told from these images",
    }


def found(
    records: pd.DataFrame, countries: pd.DataFrame, fit: fairness.Slope, *, chance: float
) -> dict[str, Any]:
    """Say what the line is, whether the paper's conclusion holds, and what the quarters have.

    Parameters
    ----------
    records, fit
        As of `tested`.
    countries
        A row per country: ``kept`` of `humimp.fairness.accuracy_by_country`.
    chance
        Of `humimp.fairness.permutation_p_value`.
    """
    quarters = 100 * fairness.by_income(countries)["accuracy"]
    return {
        "beta": minus(fit.beta, 4),
        "standard_error": fit.standard_error,
        "n_countries": fit.n_countries,
        "chance": f"{chance:.2g}",
        "holds": _holds(fit),
        "poorest": float(quarters.iloc[0]),
        "richest": float(quarters.iloc[-1]),
        "n_with": int(records["planted"].sum()),
        "n_without": int((~records["planted"]).sum()),
    }


def _significant(fit: fairness.Slope) -> bool:
    return fit.p < paper.SIGNIFICANCE


def _holds(fit: fairness.Slope) -> str:
    """Say whether the paper's conclusion holds, that accuracy depends on income."""
    if not _significant(fit):
        return "is not shown on this run: no line with income is found"
    if fit.beta > 0:
        return "holds on this run: accuracy rises with income, and more than by chance"
    return (
        "holds on this run, but the other way: accuracy falls with income, and more than by chance"
    )


def other_network(records: pd.DataFrame, other: pd.DataFrame | None) -> dict[str, str]:
    """Say what the pattern is worth to another network, if that is less.

    Parameters
    ----------
    records, other
        As of `worth`, of θ₀ and of the convolutional network, with ``country``; None without one.
    """
    if other is None or worth(other)[0] >= worth(records)[0]:
        return {"other_network": ""}
    own, its = (
        f"{minus(100 * gap, 1)} ± {100 * error:.1f}" for gap, error in map(worth, (records, other))
    )
    fit = fairness.slope(fairness.accuracy_by_country(other).kept)
    return {
        "other_network": f"The pattern is worth {own} percentage points to it (± a standard "
        "error): so much higher is the share of right answers with the pattern than without. To "
        f"the convolutional network of Section 3.1, trained in the same way, it is worth {its} "
        f"points, and the slope has F(1, {fit.df[1]}) = {fit.f:.2f}, p = {fit.p:.2g}. What a "
        "planted cause does depends on what the network looks at."
    }


def rejections(fair: pd.DataFrame, *, n_deals: int) -> dict[str, Any]:
    """Say how often the F-test rejects where there is nothing to find, in percent.

    Parameters
    ----------
    fair
        As of `humimp.power.rejection_rates`.
    n_deals
        Of how many geographies. A rate within two standard errors of 5 % is explained by their
        number.
    """
    rate, spread = fair["rate"], fair["spread"]
    level = paper.SIGNIFICANCE
    off = rate["1/sqrt(n)"] - level
    side = "cautious" if off < 0 else "rash"
    return {
        "fair_paper": float(100 * rate["1/sqrt(n)"]),
        "fair_binomial": float(100 * rate["1/n"]),
        "fair_ols": float(100 * rate["ols"]),
        "wider": float(100 * (spread["1/sqrt(n)"] / spread["1/n"] - 1)),
        "kept": f"on the {side} side, and more than the simulation's error explains"
        if abs(off) > 2 * np.sqrt(level * (1 - level) / n_deals)
        else "and differs from it by no more than the simulation's error",
    }


def needed(curves: Mapping[str, pd.DataFrame], power: float = 0.8) -> dict[str, str]:
    """Say how large a bias has to be to be found this often.

    Parameters
    ----------
    curves
        From a name to a table with ``size`` (of the bias, in percentage points per doubling of
        income), rising, and ``rate`` (of rejections, 0 to 1), which may dip by chance.
    power
        How often, 0 to 1.

    Returns
    -------
    dict
        From ``needed_`` and the name to the size, between the two that were tried.
    """
    facts = {}
    for name, curve in curves.items():
        rates = np.maximum.accumulate(curve["rate"].to_numpy())
        facts[f"needed_{name}"] = (
            f"{np.interp(power, rates, curve['size']):.2f} points"
            if rates[-1] >= power
            else "more than any slope that was tried"
        )
    return facts


def possible(slope: float, accuracy: float, places: pd.DataFrame) -> float:
    """Compute the size of a slope, or of the steepest that surely keeps accuracies in [0, 1].

    Parameters
    ----------
    slope
        In accuracy per unit of log GDP, of either sign.
    accuracy
        Of all images together (0 to 1).
    places
        As of `humimp.simulation.simulated_countries`.
    """
    steepest = 0.99 * min(accuracy, 1 - accuracy) / np.ptp(places["log_gdp"])
    return float(min(abs(slope), steepest))


def detected(
    own: pd.DataFrame,
    typical: pd.DataFrame,
    *,
    bias: tuple[float, float],
    planted: Any,
    accuracies: tuple[float, float],
) -> dict[str, Any]:
    """Say how large a bias is planted, and how often it would be found, in percent.

    Parameters
    ----------
    own, typical
        Of `humimp.power.f_power` for one slope, at θ₀'s accuracy and at that of the power
        curves: the planned slope, or what is `possible` of it.
    bias
        The slope that the pattern alone makes and its standard error (`planned`).
    planted
        Whether there is a pattern, and oftener in rich countries.
    accuracies
        Of both (0 to 1).
    """
    at_own, at_typical = (table.set_index("covariance")["rate"] for table in (own, typical))
    size, other_size = own["beta"].iloc[0], typical["beta"].iloc[0]
    slope, error = bias
    points = minus(DOUBLING * slope)
    roughly = f"roughly {points} points,"
    told = (
        f"The bias that is planted here, {roughly}"
        if planted
        else f"None is planted here; chance alone makes {roughly} and that"
    )
    if size < abs(slope):
        told += (
            f" is steeper than a line at this accuracy can be; one of {DOUBLING * size:.2f} points"
        )
    variance, usual = (accuracy * (1 - accuracy) for accuracy in accuracies)
    return {
        "planned": points,
        "planned_error": DOUBLING * error,
        "planned_bias": told,
        "power_planned": float(100 * at_own["1/sqrt(n)"]),
        "power_planned_binomial": float(100 * at_own["1/n"]),
        "there": "there no line can be so steep"
        if other_size < abs(slope)
        else f"there it would be found in {100 * at_typical['1/sqrt(n)']:.0f} %",
        "scatter": "less" if variance < usual else "more",
    }
