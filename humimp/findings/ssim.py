"""Page 3.1: which digits are shown, where the two steps' changes sit, and what they buy."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

#: The two steps that are shown side by side.
PAIR = ("SSIM step", "PGD step")
_KEYS = {"SSIM step": "ssim", "PGD step": "pgd", "SSIM step, one window": "one"}


def chosen(records: pd.DataFrame, distance: float, n: int) -> list[str]:
    """Choose the first digits that both steps fool at a distance.

    Parameters
    ----------
    records
        A row per digit, ``attack`` and ``distance``, digits in their order.
    distance
        The L2 distance.
    n
        How many digits, at most.

    Returns
    -------
    list of str
        Their ids.

    Raises
    ------
    ValueError
        There is none.
    """
    fooled = [
        set(records.loc[(records["distance"] == distance) & (records["attack"] == name)
                        & records["success"], "id"])
        for name in PAIR
    ]  # fmt: skip
    ids = records["id"].unique()
    found = [str(one) for one in ids if all(one in each for each in fooled)]
    if not found:
        raise ValueError(
            f"shown_distance: at {distance:g} no digit of {len(ids)} is fooled by both attacks; "
            "show a larger distance, or take more images"
        )
    return found[:n]


def captions(
    records: pd.DataFrame, distance: float, ids: Collection[str]
) -> list[Mapping[str, str]]:
    """Say under each digit what it is, and what the network takes it for after each step.

    Parameters
    ----------
    records
        As of `chosen`, with ``label``, ``predicted`` and ``cost`` = 1 − SSIM.
    distance, ids
        Of `chosen`.
    """
    at = records[records["distance"] == distance].set_index(["attack", "id"])
    return [
        {"Original": f"{at['label'][PAIR[0], one]}"}
        | {
            name: f"“{at['predicted'][name, one]}”   SSIM {1 - at['cost'][name, one]:.2f}"
            for name in PAIR
        }
        for one in ids
    ]


def shares(records: pd.DataFrame, distance: float, zones: Collection[str]) -> pd.DataFrame:
    """Average over digits the share of the squared change in each zone, in percent.

    Parameters
    ----------
    records
        As of `chosen`, with a column per zone.
    distance
        The L2 distance.
    zones
        Names of the columns.

    Returns
    -------
    pandas.DataFrame
        A row per attack of `PAIR`, a column per zone.
    """
    at = records[records["distance"] == distance].groupby("attack")
    return 100 * at[list(zones)].mean().loc[list(PAIR)]


def by_distance(records: pd.DataFrame) -> pd.DataFrame:
    """Average over the digits that are classified correctly.

    Parameters
    ----------
    records
        As of `chosen`, with ``correct`` and ``cost`` = 1 − SSIM.

    Returns
    -------
    pandas.DataFrame
        A row per ``attack`` and ``l2``, the distance: ``success_rate`` (%) and mean ``ssim``.
    """
    by = records[records["correct"]].groupby(["attack", "distance"], sort=False)
    return pd.DataFrame(
        {"success_rate": 100 * by["success"].mean(), "ssim": 1 - by["cost"].mean()}
    ).reset_index(names=["attack", "l2"])


def walked(records: pd.DataFrame) -> dict[str, Any]:
    """Say how many digits the network gets right, in percent, and how exact the distances are."""
    return {
        "accuracy": float(100 * records["correct"].mean()),
        "worst_l2": float((records["l2"] - records["distance"]).abs().max()),
    }


def bought(table: pd.DataFrame, distance: float) -> dict[str, Any]:
    """Say what success each step has, in percent, and what SSIM is left.

    Parameters
    ----------
    table
        As of `by_distance`.
    distance
        Where all three are compared; of the SSIM step the greatest distance is told too.
    """
    cell: Any = table.set_index(["attack", "l2"])
    furthest = float(table["l2"].max())
    facts: dict[str, Any] = {"furthest": furthest}
    places = {key: (name, distance) for name, key in _KEYS.items()}
    for key, place in (places | {"far_ssim": (PAIR[0], furthest)}).items():
        facts[f"{key}_success"] = float(cell.loc[place, "success_rate"])
        facts[f"{key}_ssim"] = float(cell.loc[place, "ssim"])
    return facts
