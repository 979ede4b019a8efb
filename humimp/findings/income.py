"""Section 4.3: slopes and accuracies of many models, their t-tests, and what training changed.

Models are tables, a row per model, by the name of their training: `ATTACKS` and ``"Fine-tuning"``.
A table has the columns of :func:`humimp.fairness.by_model` and of `worth`; a model that diverged
has NaN. ``start`` is such a row of the model that all training started from, θ₀.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from humimp import classifiers, experiment, fairness, paper
from humimp.findings.words import DOUBLING, equals, minus, probability, several

Models = Mapping[str, pd.DataFrame]

#: The trainings on attacks, ours the last.
ATTACKS = ("PGD", "PerC_AL", "Ours")
_RIVALS = ATTACKS[:-1]
_DEALT = ("0", "PGD", "Ours")  # θ₀, and what every simulated geography has
#: The pattern is worth less to a training if by more than this, in shares of right answers.
_LESS = 0.005


def worth(records: pd.DataFrame) -> pd.DataFrame:
    """Compute how much more often each model is right with the planted pattern than without.

    Parameters
    ----------
    records
        A row per model and image: ``replicate``, ``planted``, ``correct``, ``diverged``.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``replicate``, without models that diverged: ``worth``, a difference of shares
        (-1 to 1), and ``worth_error``, its standard error for different images.
    """
    given = records[~records["diverged"]].groupby(["replicate", "planted"])["correct"]
    both = pd.Index([False, True], name="planted")  # also where no model is left
    share, n = (each.unstack().reindex(columns=both) for each in (given.mean(), given.size()))
    error = np.sqrt((share * (1 - share) / n).sum(axis=1))
    return pd.DataFrame({"worth": share[True] - share[False], "worth_error": error})


def slopes(models: Models) -> pd.DataFrame:
    """Set the slopes side by side: a row per model, a column per training."""
    return pd.DataFrame({name: table["beta"] for name, table in models.items()})


def named(images: str, classifier: str, cost: str) -> dict[str, str]:
    """Say in words what the models see, what they are, and what ours is optimised for."""
    digits = images == experiment.DIGITS
    return {
        "what_images": "digits" if digits else "photographs of ImageNet",
        "what_network": "a small network" if digits else classifiers.TITLES[classifier],
        "cost": experiment.TITLES[cost],
    }


def setting(images: str, classifier: str, cost: str) -> dict[str, str]:
    """Say what is `named`, whether the cost is a stand-in, and what the paper's t-tests gave."""
    return {
        **named(images, classifier, cost),
        "stand_in": "" if cost == "PieAPP" else ", a stand-in for the paper's PieAPP",
        "paper_t": f"t = {paper.T_PGD} against PGD (p = {paper.P_PGD}) and "
        f"t = {paper.T_PERC} against PerC (p = {paper.P_PERC})",
    }


def f_test(fit: fairness.Slope) -> dict[str, Any]:
    """Say whether θ₀ has a slope, by the F-test."""
    return {
        "beta0": minus(fit.beta, 4),
        "beta0_error": minus(fit.standard_error, 4),
        "f0": fit.f,
        "df0": fit.df[1],
        "p0": equals(fit.p),
        "reject0": "rejected" if _biased(fit) else "not rejected",
        "had": "had a slope" if _biased(fit) else "had no slope to lower",
    }


def _biased(fit: fairness.Slope) -> bool:
    return fit.p < paper.SIGNIFICANCE


def trained(models: Models, start: "pd.Series[float]") -> dict[str, Any]:
    """Say what each training leaves: the mean slope, mean accuracies and worth, both in percent."""
    columns = {"accuracy": "accuracy", "poor": "quarter_1", "rich": "quarter_4"}
    means = {"0": start} | {name: table.mean() for name, table in models.items()}
    facts: dict[str, Any] = {f"beta_{name}": minus(means[name]["beta"], 4) for name in models}
    for name, mean in means.items():
        facts |= {f"{key}_{name}": float(100 * mean[column]) for key, column in columns.items()}
        facts[f"pattern_{name}"] = minus(100 * mean["worth"], 1)
    return facts | {"diverged": _diverged(slopes(models))}


def _diverged(betas: pd.DataFrame) -> str:
    counts = [f"{n} of {len(betas)} ({name})" for name, n in betas.isna().sum().items() if n]
    if not counts:
        return "No model diverged."
    return f"Diverged, and left out of the tests pair by pair: {', '.join(counts)}."


def t_tests(tests: pd.DataFrame) -> dict[str, Any]:
    """Say what the paired tests give, differences in percentage points per doubling of income.

    Parameters
    ----------
    tests
        Of :func:`humimp.fairness.compare`: ours against each of the others.
    """
    facts: dict[str, Any] = {}
    for name, row in tests.xs("paired", level="test").iterrows():
        for key in ("difference", "low", "high"):
            facts[f"{key}_{name}"] = minus(DOUBLING * row[key])
        facts |= {f"t_{name}": minus(row["t"]), f"holm_{name}": equals(row["holm"])}
    return facts


def conclusion(tests: pd.DataFrame, fit: fairness.Slope, where: str) -> dict[str, Any]:
    """Say whether the paper's second conclusion holds: smaller slopes than after both rivals.

    Parameters
    ----------
    tests
        As for `t_tests`.
    fit
        θ₀'s slope. Without one, ``outcome`` says that there is nothing to conclude; ``holds`` is
        of the tests alone.
    where
        On which run, as "there".
    """
    smaller = tests["holm"].unstack().loc[list(_RIVALS)] < paper.SIGNIFICANCE
    won = smaller.index[smaller["paired"]]
    agree = smaller.eq(smaller["paired"], axis=0).all(axis=None)
    only = f"holds {where} against {''.join(won)} only"
    holds = (f"is not shown {where}", only, f"holds {where}")[len(won)]
    outcome = "that run cannot test the paper's second conclusion"
    if _biased(fit):
        outcome = f"the paper's second conclusion {holds}"
    return {
        "holds": holds,
        "outcome": outcome,
        "agree": "The three kinds of test agree." if agree else "The kinds of test do not agree.",
    }


def by_quarter(models: Models, start: "pd.Series[float]") -> dict[str, Any]:
    """Say how training on ours moved both ends of the incomes, and whether that is fairness."""
    means = pd.DataFrame({name: table.mean() for name, table in models.items()})
    moved = means["Ours"] - start
    poor, rich = 100 * moved["quarter_1"], 100 * moved["quarter_4"]
    least, worst = means.loc["beta"].idxmin(), means.loc["accuracy"].idxmin()
    together = f"The training that leaves the smallest mean slope, with its sign, {least}, is"
    if least == worst:
        together += " also the one that leaves the lowest accuracy"
    else:
        together += f" not the one that leaves the lowest accuracy, {worst}"
    return {
        "poor_moved": _moved(poor),
        "rich_moved": _moved(rich),
        "how": _how(start["beta"], means["Ours"]["beta"], poor, rich),
        "together": together,
    }


def _moved(points: float) -> str:
    return f"{'fallen' if points < 0 else 'risen'} by {abs(points):.1f} points"


def _how(before: float, after: float, poor: float, rich: float) -> str:
    """Say how a slope came to change, from how the accuracies at both ends changed."""
    untold = "so the slope of the line does not tell what happened to it"
    if abs(after) >= abs(before):
        turned = ", but turns" if before * after < 0 else ""
        return f"the slope does not get smaller{turned}, so there is no gain in fairness to explain"
    if poor >= 0:
        return (
            "the poorest quarter does not lose, and the slope gets smaller: "
            "that is what is meant by fairness"
        )
    if rich >= 0:
        return f"the poorest quarter loses while the richest does not, {untold}"
    if poor < rich:
        return f"both ends lose, the poorest quarter even more, {untold}"
    return (
        "the slope gets smaller, and both ends lose, the richest quarter more. "
        "That is levelling down, and not what is meant by fairness"
    )


def pattern(models: Models, start: "pd.Series[float]") -> dict[str, Any]:
    """Say whether training on attacks makes the planted pattern worth less, and ours more so."""
    less = [name for name in ATTACKS if models[name]["worth"].mean() < start["worth"] - _LESS]
    test: Any = fairness.t_tests(models["Ours"]["worth"], models["PGD"]["worth"]).loc["paired"]
    verdict, joined = _beside_pgd(less, test["p"] < paper.SIGNIFICANCE)
    return {
        "pattern_0_error": float(100 * start["worth_error"]),
        "relied": f"{_relied(less)} the pattern worth less",
        "pattern_t": minus(test["t"]),
        "pattern_p": equals(test["p"]),
        "pattern_low": minus(100 * test["low"], 1),
        "pattern_high": minus(100 * test["high"], 1),
        "pattern_verdict": verdict,
        "pattern_joined": joined,
    }


def _relied(less: Sequence[str]) -> str:
    if not less:
        return "In this geography no training on attacks makes"
    if len(less) == len(ATTACKS):
        return "In this geography all three trainings on attacks make"
    make = "makes" if len(less) == 1 else "make"
    return f"In this geography, of the trainings on attacks, {several(less)} {make}"


def _beside_pgd(less: Sequence[str], smaller: bool) -> tuple[str, str]:
    """Say whether ours does so more than PGD's, and what joins that to `_relied`.

    The pattern may be worth less after ours than after PGD's, and more after both than before.
    """
    if not smaller:
        return "ours does not do so more than PGD's", ", but" if less else ", and"
    if "Ours" in less:
        return "ours does it more than PGD's", ", and"
    return "ours leaves it worth less than PGD's does", ", but"


def power(curves: Mapping[str, pd.DataFrame], n_draws: int) -> dict[str, Any]:
    """Say how often the t-tests reject, in percent, and what difference they find.

    Parameters
    ----------
    curves
        By test, ``"paired"`` among them: ``difference``, ``size``, which is the same in percentage
        points per doubling of income, and ``rate``, the share rejected; rising from 0.
    n_draws
        From how many draws each rate is.
    """
    facts: dict[str, Any] = {}
    for test, curve in curves.items():
        rate = float(curve.loc[curve["difference"] == 0, "rate"].iloc[0])
        facts |= {f"level_{test}": 100 * rate, f"kept_{test}": _kept(rate, n_draws)}
    rates = curves["paired"]["rate"].cummax()
    needed = f"{np.interp(0.8, rates, curves['paired']['size']):.2f} points"
    found = rates.iloc[-1] >= 0.8
    return facts | {"needed": needed if found else "more than any difference that was tried"}


def _kept(rate: float, n_draws: int) -> str:
    """Say whether a test rejects as often as its level promises, where there is nothing to find."""
    level = paper.SIGNIFICANCE
    if abs(rate - level) <= 2 * np.sqrt(level * (1 - level) / n_draws):
        return "as promised, within the simulation's error"
    return f"{'less' if rate < level else 'more'} often than promised"


def geographies(
    deals: Mapping[int, tuple[Models, "pd.Series[float]", fairness.Slope]],
) -> pd.DataFrame:
    """Compare ours and PGD's in several simulated geographies.

    Parameters
    ----------
    deals
        By the geography's seed: models, of which ``"PGD"`` and ``"Ours"`` count; ``start``; and
        θ₀'s slope.

    Returns
    -------
    pandas.DataFrame
        A row per geography: the columns of :func:`humimp.fairness.t_tests`, of the paired one; and
        of θ₀, PGD's and our models, as ``beta_0``, ``beta_PGD`` and ``beta_Ours``: the mean slope,
        the pattern's ``worth``, the accuracy in the poorest quarter, ``poor``, and the ``gap`` from
        there to the richest. ``p0`` is the F-test's of θ₀.
    """
    rows = {}
    for seed, (models, start, fit) in deals.items():
        test = fairness.t_tests(models["Ours"]["beta"], models["PGD"]["beta"]).loc["paired"]
        row: dict[str, Any] = {**test, "p0": fit.p}
        for name, mean in {"0": start, **{key: models[key].mean() for key in _DEALT[1:]}}.items():
            row |= {
                f"beta_{name}": mean["beta"],
                f"worth_{name}": mean["worth"],
                f"poor_{name}": mean["quarter_1"],
                f"gap_{name}": mean["quarter_4"] - mean["quarter_1"],
            }
        rows[seed] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def table_of_deals(compared: pd.DataFrame) -> pd.DataFrame:
    """Lay out `geographies` as text, a column each, differences and shares in percentage points."""
    columns = {}
    for seed, row in compared.iterrows():
        difference, low, high = (
            minus(DOUBLING * row[key]) for key in ("difference", "low", "high")
        )
        percent = {
            what: ", ".join(minus(100 * row[f"{what}_{name}"], 1) for name in _DEALT)
            for what in ("worth", "poor", "gap")
        }
        columns[f"geography {seed}"] = {
            "slope, θ₀": f"{minus(row['beta_0'], 4)} (p {equals(row['p0'])})",
            "slope, PGD": minus(row["beta_PGD"], 4),
            "slope, Ours": minus(row["beta_Ours"], 4),
            "difference": f"{difference} ({low} to {high})",
            "t": minus(row["t"]),
            "p, one-sided": probability(row["p"]),
            "left out": f"{row['excluded']:.0f}",
            "poorest quarter; θ₀, PGD, Ours": percent["poor"],
            "richest − poorest; θ₀, PGD, Ours": percent["gap"],
            "pattern’s worth; θ₀, PGD, Ours": percent["worth"],
        }
    return pd.DataFrame(columns)


def across(compared: pd.DataFrame, n_models: int) -> dict[str, Any]:
    """Say whether `geographies` agree on ours against PGD's, at the paper's level, two-sided."""
    n, difference = len(compared), compared["difference"]
    sure = 2 * np.minimum(compared["p"], 1 - compared["p"]) < paper.SIGNIFICANCE
    lower, higher = int((sure & (difference > 0)).sum()), int((sure & (difference < 0)).sum())
    between = "How far the difference varies from one geography to another, a single one cannot say"
    if n > 1:
        between = (
            "From one geography to another, the difference has a standard deviation of "
            f"{DOUBLING * difference.std():.2f} points"
        )
    return {
        "n_deals": n,
        "first_deal": int(compared.index[0]),
        "lower": lower,
        "higher": higher,
        "flatter_deals": int((compared["beta_Ours"].abs() < compared["beta_0"].abs()).sum()),
        "across": _across(lower, higher, n, n_models),
        "between": between,
        "within": DOUBLING * float(((compared["high"] - compared["low"]) / 2).mean()),
    }


def _across(lower: int, higher: int, n: int, n_models: int) -> str:
    if lower and higher:
        return (
            f"The sign of the difference depends on the geography: what {n_models} models make "
            "significant is a property of one deal and one run of Algorithm 2, not of the attack"
        )
    if lower + higher in (0, n):
        return "No geography says the contrary of another, though so few cannot say much"
    return "The geographies do not agree on whether there is a difference"


def signs(betas: pd.DataFrame, fit: fairness.Slope) -> dict[str, Any]:
    """Say whether mean slopes are below zero, and whether ours is the smallest of the attacks'.

    Parameters
    ----------
    betas
        As of `slopes`.
    fit
        θ₀'s slope.
    """
    means = betas.mean()
    below = [str(name) for name, mean in means.items() if mean < 0]
    return {
        "below": _below(below, len(means)),
        "means": ", ".join(_mean(str(name), betas[name]) for name in betas),
        "smallest": _smallest(means[list(ATTACKS)]),
        "so": _so(_biased(fit), bool(below)),
    }


def _below(names: Sequence[str], n: int) -> str:
    if not names:
        return "after no training is the mean slope below zero"
    if len(names) == n:
        return "after every training the mean slope is below zero"
    return f"the mean slope is below zero after {several(names)}"


def _mean(name: str, betas: "pd.Series[float]") -> str:
    left = betas.count()
    few = f", {left} models" if left < len(betas) else ""
    return f"{minus(betas.mean(), 4)} ({name}{few})"


def _smallest(means: "pd.Series[float]") -> str:
    """Say whether ours is the smallest of the attacks' mean slopes."""
    of = "the smallest of the three attacks' means"
    words = {
        (True, True): f"With its sign and in magnitude, ours is {of}",
        (True, False): f"With its sign, ours is {of}; in magnitude it is not",
        (False, True): f"With its sign, ours is not {of}; in magnitude it is",
        (False, False): f"Neither with its sign nor in magnitude is ours {of}",
    }
    return words[means.idxmin() == "Ours", means.abs().idxmin() == "Ours"]


def _so(biased: bool, below: bool) -> str:
    if not biased:
        words = "So this run cannot test the paper's conclusion about bias, which wants a bias to"
        return f"{words} lower."
    if below:
        words = "A slope below zero passes for a small one there, and is a bias in the other"
        return f"{words} direction."
    return ""


def spent(seconds: Mapping[str, Sequence[float]], n_models: int) -> str:
    """Say how many minutes Algorithm 2 and a model by Algorithm 3 took, from seconds for all."""
    return "; ".join(
        f"{pool / 60:.1f} and {models / 60 / n_models:.1f} with {name}"
        for name, (pool, models) in seconds.items()
    )
