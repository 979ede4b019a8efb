"""The appendix on PieAPP-small: how it was made, how well it agrees, and whether it helps."""

from collections.abc import Collection, Mapping, Sequence
from statistics import median
from typing import Any

import pandas as pd

from humimp.pieapp import PATCH

Record = Mapping[str, Any]

#: The attacks of the table of prices: the reading of line 9, the confidence, and what it is called.
ATTACKS = {
    ("truncate", 0.0): "a = 0",
    ("truncate", 5.0): "a = 5",
    ("none", 5.0): "a = 5, no truncation",
}


def made(about: Record) -> dict[str, Any]:
    """Say how it was made.

    Parameters
    ----------
    about
        The training's ``provenance.json``.
    """
    kept = ("parameters", "training_crops", "steps", "width", "hidden", "seed")
    return {
        **{key: about[key] for key in kept},
        **{f"photographs_{key}": count for key, count in about["photographs"].items()},
        "megabytes": about["bytes"] / 1e6,
        "minutes": about["cpu_seconds"] / 60,
        "commit": about["commit"][:7],
        "n_training_types": len(about["training_types"]),
        "n_held_out_types": len(about["held_out_types"]),
        "held_out_types": ", ".join(map(_plain, about["held_out_types"])),
        "at_reference": about["near_zero"]["at_reference"],
        "slope": about["near_zero"]["gradient_at_reference"],
    }


def agreement(comparison: pd.DataFrame) -> dict[str, Any]:
    """Say how often measures put two distortions in the committee's order, as shares of pairs.

    Parameters
    ----------
    comparison
        A row per ``set`` of distortions and ``measure``: ``accuracy``, ``clear_accuracy`` (where
        the committee is sure), ``pairs``.
    """
    said: Any = comparison.set_index(["set", "measure"])
    facts: dict[str, Any] = {}
    for key, name in (("new", "held-out types"), ("old", "trained types")):
        small = said.loc[(name, "small")]
        facts[f"{key}_accuracy"] = float(small["accuracy"])
        facts[f"{key}_clear_accuracy"] = float(small["clear_accuracy"])
        facts[f"{key}_pairs"] = int(small["pairs"])
        for measure in ("MS-SSIM", "VSI", "MSE"):
            facts[f"{key}_{measure}"] = float(said.loc[(name, measure), "accuracy"])
    return facts


def unseen(crops: pd.DataFrame, stride: int, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Say which rows and columns no patch covers, and how many crops have the error 0.

    Parameters
    ----------
    crops
        A row per distorted crop, with the error ``small``.
    stride
        From one patch to the next, in pixels.
    sizes
        Sides of square images by what they are of.
    """
    facts = {"n_crops": len(crops), "n_blind": int((crops["small"] == 0).sum()), "stride": stride}
    for key, size in sizes.items():
        facts |= {f"size_{key}": size, f"blind_{key}": (size - PATCH) % stride}
    return facts


def rising(monotone: pd.DataFrame) -> dict[str, Any]:
    """Say how often the error rises with the strength, in percent, and where least often.

    Parameters
    ----------
    monotone
        A row per ``distortion``, whether it was ``held_out``, and the share of ``rising`` steps.
    """
    facts: dict[str, Any] = {"rising": float(100 * monotone["rising"].mean())}
    for key, kinds in (("worst", monotone), ("unseen", monotone[monotone["held_out"]])):
        least = kinds.sort_values("rising", kind="stable").iloc[0]
        facts[f"{key}_type"] = _plain(least["distortion"])
        facts[f"{key}_rising"] = float(100 * least["rising"])
    return facts


def known(training: Collection[str], runs: Mapping[str, Collection[str]]) -> dict[str, Any]:
    """Count the photographs of each run, and those that PieAPP-small learned from."""
    facts: dict[str, Any] = {}
    for key, ids in runs.items():
        facts |= {f"n_{key}": len(ids), f"n_{key}_training": len(set(ids) & set(training))}
    return facts


def named(attacked: pd.DataFrame) -> pd.DataFrame:
    """Name attacks as in the table of prices: "a = 5, no truncation, λ = 0.3".

    Parameters
    ----------
    attacked
        Records with ``validate`` (the reading of line 9) and ``confidence``; their ``attack`` names
        the price.
    """
    keys = zip(attacked["validate"], attacked["confidence"], strict=True)
    names = [f"{ATTACKS[key]}, {name}" for key, name in zip(keys, attacked["attack"], strict=True)]
    return attacked.assign(attack=names)


def prices(attacked: pd.DataFrame) -> dict[str, Any]:
    """Say which prices λ are better than none, by both judges and at no loss of success.

    Parameters
    ----------
    attacked
        Records with ``validate``, ``confidence`` and ``lam``.

    Returns
    -------
    dict
        For the three of `ATTACKS`, "first", "firm" and "free": the prices that are ``better``, and
        at λ = 0, 0.3 and 1 ``success`` (%) and the means over successes of ``lpips`` and ``dists``
        (× 1000).
    """
    won = attacked[attacked["correct"]]
    facts: dict[str, Any] = {"n_attacked": len(won["id"].unique())}
    for prefix, (validate, confidence) in zip(("first", "firm", "free"), ATTACKS, strict=True):
        part = won[(won["validate"] == validate) & (won["confidence"] == confidence)]
        success: Any = 100 * part.groupby("lam")["success"].mean()
        means: Any = 1000 * part[part["success"]].groupby("lam")[["lpips", "dists"]].mean()
        better = (success >= success[0.0]) & (means < means.loc[0.0]).all(axis=1)
        facts[f"{prefix}_better"] = ", ".join(f"{lam:g}" for lam in means.index[better]) or "none"
        for lam in (0.0, 0.3, 1.0):
            facts[f"{prefix}_success_{lam:g}"] = float(success[lam])
            for column in ("lpips", "dists"):
                facts[f"{prefix}_{column}_{lam:g}"] = float(means.loc[lam, column])
    return facts


def faster(record: Record, name: str) -> float:
    """Compute how many times as fast as piq's something is, the median over turns."""
    own, other = (record["measured"][key]["seconds"] for key in (name, "piq.PieAPP"))
    return median(b / a for a, b in zip(own, other, strict=True))


def speed(timed: Sequence[Record]) -> dict[str, Any]:
    """Say how fast value and gradient are beside piq's.

    Parameters
    ----------
    timed
        Two records of ``benchmarks/pieapp.py``: of PieAPP's width, and of PieAPP-small.
    """
    first = timed[0]
    facts = {
        "speed_machine": first["machine"],
        "speed_threads": first["threads"],
        "speed_repeats": first["options"]["repeats"],
        "speed_commit": first["commit"][:7],
    }
    for key, record in zip(("wide", "slim"), timed, strict=True):
        facts[f"{key}_ratio"] = faster(record, "humimp")
        facts[f"{key}_reduced"] = faster(record, "humimp, bfloat16")
    return facts


def _plain(name: str) -> str:
    """Write the name of a distortion as words."""
    return name.replace("_", " ")
