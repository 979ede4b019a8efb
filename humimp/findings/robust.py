"""Page 4.2: what the pools of Algorithm 2 hold, and what each reading of their weights does."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from torch import Tensor

from humimp import experiment, paper, runs
from humimp.dro import RobustDataset
from humimp.findings import income
from humimp.findings.words import DOUBLING, how_many, minus, stand_in

# The readings of the weights that the text names.
_LITERAL, _NORMALIZED, _SCALED = "literal", "normalized", "literal, α / E[P]"


def named(images: str, *, classifier: str, cost: str, side: int) -> dict[str, str]:
    """Name the images, the network and the ground cost, and say why it is this one.

    Parameters
    ----------
    images, classifier
        As for `humimp.experiment.by_country` and `humimp.experiment.theta0`.
    cost
        A name of `humimp.experiment.COSTS`.
    side
        Of the images, in pixels.
    """
    small = f", which wants {paper.PIEAPP_SIZE} pixels where a digit has {side}"
    digits = images == experiment.DIGITS
    return {
        **income.named(images, classifier, cost),
        "why_cost": f", {stand_in(cost)}{small if digits and cost != 'PieAPP' else ''}",
    }


def followed(
    pools: Mapping[str, RobustDataset], originals: Tensor, *, rounds: int = 3, side: int = 168
) -> list[dict[str, Tensor]]:
    """Follow one image through the pools: the first that "Ours" drew in every round.

    If there is none, it is the first that was drawn in the last round.

    Parameters
    ----------
    pools
        From an attack to what `humimp.dro.robust_dataset` made with it.
    originals
        The images it was made from, (N, C, H, W).
    rounds
        How many are shown, from the first on.
    side
        Larger images are cut to their upper left corner of this size, in pixels.

    Returns
    -------
    list of dict
        A row per attack: the original, and the last attack made from it in each round that drew
        it, each (C, h, w).
    """
    ours = pools["Ours"]
    n_rounds = int(ours.round.max())
    drawn = [set(ours.origin[ours.round == k].tolist()) for k in range(1, n_rounds + 1)]
    chosen = min(set.intersection(*drawn) or drawn[-1])
    rows = []
    for name, robust in pools.items():
        row = {f"{name}: original": originals[chosen]}
        for k in range(1, min(n_rounds, rounds) + 1):
            own = robust.images[(robust.round == k) & (robust.origin == chosen)]
            if len(own):
                row[f"round {k}"] = own[-1]
        rows.append({key: image[:, :side, :side] for key, image in row.items()})
    return rows


def pooled(ours: RobustDataset, counts: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Say what the pools hold, how far from the originals, and whether that can be seen.

    Parameters
    ----------
    ours
        The pool of our attack.
    counts
        From an attack, "PGD", "PerC_AL" and "Ours", to `humimp.figures.figure5b.pool`.

    Returns
    -------
    dict
        Shares of the draws in percent.
    """
    n_rounds = int(ours.round.max())
    last, total = ours.round == n_rounds, ours.weights.sum()
    distance = counts["Ours"]["L₂ from the original"]
    grown = f"{distance.iloc[-1] / distance.iloc[1]:.1f} times as far from"
    added_up = "With more rounds than one, attacks on attacked images would add up."
    last_round = "with more rounds our attacks would be of attacked images"
    if n_rounds > 1:
        added_up = (
            f"And the attacks add up: with our attack, images of round {n_rounds} are {grown} "
            "their original as those of round 1. What a model is trained on is no longer the "
            "image plus one imperceptible change."
        )
        last_round = f"in the last round our attacks are {grown} their originals as in the first"
    delta_e = {name: float(each["ΔE₀₀"].iloc[-1]) for name, each in counts.items()}
    return {
        "n_pool": len(ours.images),
        "kept_origins": len(ours.origin[last].unique()),
        "share_clean": float(100 * ours.weights[ours.round == 0].sum() / total),
        "share_last": float(100 * ours.weights[last].sum() / total),
        "added_up": added_up,
        "last_round": last_round,
        "ours_delta_e": delta_e["Ours"],
        "pgd_delta_e": delta_e["PGD"],
        "perc_delta_e": delta_e["PerC_AL"],
        "seen": "By the colour difference ΔE₀₀ it is not imperceptible either."
        if delta_e["Ours"] > 1
        else "By the colour difference ΔE₀₀ it still is below what is just noticeable.",
    }


def laid_out(
    models: Mapping[str, pd.DataFrame], learning_rates: Mapping[str, float]
) -> pd.DataFrame:
    """Lay out what came of each reading, with text in the cells.

    Parameters
    ----------
    models
        From a reading to `humimp.fairness.by_model`.
    learning_rates
        Of each reading.

    Returns
    -------
    pandas.DataFrame
        A row per reading: its learning rate, how many models diverged, and the others' means.
    """
    rows = {}
    for name, each in models.items():
        lost = each["beta"].isna()
        rows[name] = {
            "α": f"{learning_rates[name]:.2g}",
            "diverged": how_many(lost),
            "accuracy (%)": "–" if lost.all() else f"{100 * each['accuracy'].mean():.1f}",
            "slope β": "–" if lost.all() else minus(each["beta"].mean(), 4),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def readings(models: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Say what the literal reading does, and how far apart the others are.

    Parameters
    ----------
    models
        As of `laid_out`; "normalized", "literal" and "literal, α / E[P]" are among the readings.
    """
    accuracy = pd.Series({name: 100 * each["accuracy"].mean() for name, each in models.items()})
    others = accuracy.drop(_LITERAL)
    off = abs(accuracy[_SCALED] - accuracy[_NORMALIZED])
    betas = {name: each["beta"] for name, each in models.items() if name != _LITERAL}
    return {
        **_literal(models[_LITERAL]["beta"].isna(), accuracy[_LITERAL]),
        "apart": float(others.max() - others.min()),
        "slopes_apart": _slopes_apart(betas),
        "same": "the same" if off < 0.05 else f"the same to {off:.1f} points",
    }


def _literal(lost: "pd.Series[bool]", accuracy: float) -> dict[str, str]:
    """Say what becomes of models under the literal reading, at length and in short."""
    right = f"classify {accuracy:.1f} % of the images correctly"
    if not lost.any():
        return {
            "literal": f"no model ends with NaN, but they {right}",
            "literal_short": f"models {right}",
        }
    diverge = f"{how_many(lost)} models diverge"
    others = "" if lost.all() else f", and the others {right}"
    return {"literal": diverge + others, "literal_short": diverge}


def _slopes_apart(betas: Mapping[str, "pd.Series[float]"]) -> str:
    """Say how far the mean slopes of several readings are apart, in pairs of models by seed."""
    means = {name: float(each.mean()) for name, each in betas.items() if each.notna().any()}
    if len(means) < 2:
        return "too few have a slope to compare slopes"
    low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    pairs: Any = (DOUBLING * (betas[high] - betas[low])).dropna()
    apart = minus(DOUBLING * (means[high] - means[low]))
    ends = f"{minus(means[low], 4)} ({low}) to {minus(means[high], 4)} ({high})"
    told = f"their mean slopes go from {ends}, {apart}"
    if len(pairs) < 2:
        return f"{told} points per doubling of income apart"
    return (
        f"{told} ± {pairs.sem():.2f} points per doubling of income apart (± a standard error, in "
        "pairs of models with the same seed)"
    )


def took(diaries: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Say how long Algorithm 2 took with each attack, over all sessions.

    Parameters
    ----------
    diaries
        From an attack to `humimp.runs.read` of its pool's folder.
    """
    seconds = {name: runs.seconds(diary) for name, diary in diaries.items()}
    return {"seconds": ", ".join(f"{each:.1f} s with {name}" for name, each in seconds.items())}
