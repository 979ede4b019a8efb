"""Page 3.2.1: how much of a distance is rounding, and what the price on the ground cost changes."""

from typing import Any

import pandas as pd

from humimp import evaluate, paper
from humimp.findings.words import signed

#: The prices of the table, in units of λ, by what the text calls them.
PRICES = {"zero": 0.0, "one": 1, "hundred": 100, "many": 10_000}

_PGD, _TINY, _ROUND = "PGD, truncate", "PGD, truncate, ε/100", "PGD, round"
_NONE, _OURS, _OURS_NONE = "PGD, none", "Ours (a = 0), truncate", "Ours (a = 0), none"
# Where a number stands in the table of readings.
_CELLS = {
    "truncated_l2": (_PGD, "l2"),
    "tiny_l2": (_TINY, "l2"),
    "tiny_success": (_TINY, "success_rate"),
    "round_success": (_ROUND, "success_rate"),
    "none_success": (_NONE, "success_rate"),
    "none_passes": (_NONE, "forwards"),
    "ours_l2": (_OURS, "l2"),
    "ours_none_success": (_OURS_NONE, "success_rate"),
}


def floors(size: int, step_size: float) -> dict[str, Any]:
    """Compute how far a single truncated step moves an image, which lowers half of its values.

    Parameters
    ----------
    size
        Side of the square images, in pixels.
    step_size
        Length of a step; what it moves a ``typical`` value by is told in levels.

    Returns
    -------
    dict
        The floors in L1 and L2 for images of this size and for the paper's (``paper_``), and what
        share of the L2 of the paper's rows this is, in percent.
    """
    values, theirs = 3 * size**2, 3 * paper.IMAGE_SIZE**2
    pgd, ours = paper.TABLE1["PGD (L2)"], paper.TABLE1["Ours (a = 0)"]
    return {
        "n_values": values,
        "typical": 255 * step_size / values**0.5,
        "floor_l1": values / 2 / 255,
        "floor_l2": (values / 2) ** 0.5 / 255,
        "paper_values": theirs,
        "paper_floor_l1": theirs / 2 / 255,
        "paper_floor_l2": (theirs / 2) ** 0.5 / 255,
        "paper_pgd_l1": pgd["l1"],
        "paper_pgd_l2": pgd["l2"],
        "paper_share_floor": _share(theirs, pgd["l2"]),
        "paper_ours_share_floor": _share(theirs, ours["l2"]),
    }


def with_steps(records: pd.DataFrame, few: int) -> pd.DataFrame:
    """Name the number of steps, for the table, of the reading that has fewer than the others."""
    return records.replace({"attack": {_ROUND: f"{_ROUND} ({few} steps)"}})


def readings(records: pd.DataFrame, size: int) -> dict[str, Any]:
    """Say what comes of each reading of line 9.

    Parameters
    ----------
    records
        Of all readings.
    size
        Side of the square images, in pixels.

    Returns
    -------
    dict
        Successes in percent, distances, passes and counts of photographs; what share of L2 is the
        floor of a truncated step (percent); and of the photographs that PGD with rounding does not
        fool, from what to what their largest changes and their sums of changes go, in levels.
    """
    table: Any = evaluate.table(records)
    facts = {key: float(table.loc[cell]) for key, cell in _CELLS.items()}
    stuck = records[(records["attack"] == _ROUND) & records["correct"] & ~records["success"]]
    return {
        **facts,
        "n_images": int(table["images"].iloc[0]),
        "n_correct": int(table["n"].iloc[0]),
        "share_floor": _share(3 * size**2, facts["truncated_l2"]),
        "ours_share_floor": _share(3 * size**2, facts["ours_l2"]),
        "n_stuck": len(stuck),
        "stuck_linf": _span(255 * stuck["linf"]),
        "stuck_l1": _span(255 * stuck["l1"]),
    }


def without_truncation(records: pd.DataFrame) -> dict[str, Any]:
    """Say whether ours comes nearer in L2 without truncation, where it succeeds both ways.

    Parameters
    ----------
    records
        Of all readings.

    Returns
    -------
    dict
        The verdict ``nearer``, on how many photographs, and the mean L1, L2 and Linf on them.
    """
    won = records[records["success"]].set_index("id")
    ours = {"truncate": won[won["attack"] == _OURS], "none": won[won["attack"] == _OURS_NONE]}
    both = ours["truncate"].index.intersection(ours["none"].index)
    means = {key: one.loc[both, ["l1", "l2", "linf"]].mean() for key, one in ours.items()}
    less = means["none"]["l2"] < means["truncate"]["l2"]
    nearer = f"{'brings' if less else 'does not bring'} ours nearer"
    return {
        "n_common": len(both),
        "nearer": nearer if len(both) else "leaves nothing to compare",
        **{f"common_{key}_{c}": float(v) for key, mean in means.items() for c, v in mean.items()},
    }


def thousandfold(records: pd.DataFrame) -> pd.DataFrame:
    """Give the ground cost times 1000, under a heading that says so, and prices as λ."""
    rows = records["attack"].str.replace("lam = ", "λ = ")
    shown = records.assign(attack=rows, cost=1000 * records["cost"])
    return shown.rename(columns={"cost": "c₀ (×1000)"})


def costs(records: pd.DataFrame, lam: float) -> dict[str, Any]:
    """Say at which ground cost, times 1000, the successes end at each price.

    Parameters
    ----------
    records
        Of all prices, rows "lam = ...", with the measure ``cost``.
    lam
        The price λ.
    """
    ends = 1000 * evaluate.table(records)["cost"]
    return {
        "lam": f"{lam:g}",
        "lam_hundred": f"{100 * lam:g}",
        "lam_many": f"{10_000 * lam:g}",
        **{f"cost_{key}": float(ends[f"lam = {times * lam:g}"]) for key, times in PRICES.items()},
    }


def at_scale(read: pd.DataFrame, priced: pd.DataFrame, *, size: int, lam: float) -> dict[str, Any]:
    """Say in sentences what came out with a ResNet-50, at the paper's settings.

    Parameters
    ----------
    read
        Records of all readings of line 9.
    priced
        Records at the prices 0 and λ, with the measure ``cost``.
    size
        Side of the square images, in pixels.
    lam
        The price λ.
    """
    told, pair = readings(read, size), without_truncation(read)
    cost: Any = 1000 * priced.pivot(index="id", columns="attack", values="cost")
    paid, free = cost[f"lam = {lam:g}"], cost["lam = 0"]
    off = (paid - free).dropna()
    ends = evaluate.table(priced)["cost"]
    return {
        "line_9": (
            f"A ResNet-50 at {size} × {size} pixels, on the {told['n_correct']} of "
            f"{told['n_images']} photographs that it classifies correctly. PGD with truncation has "
            f"an L₂ of {told['truncated_l2']:.2f}, of which the floor of a single step is "
            f"{told['share_floor']:.0f} % (the paper's row: {paper.TABLE1['PGD (L2)']['l2']:.2f}); "
            f"with a step a hundredth as long it is {told['tiny_l2']:.2f}, at "
            f"{told['tiny_success']:.0f} % success. Without rounding in the loop, "
            f"{told['none_success']:.0f} % of the saved images fool it. Of the L₂ of ours at "
            f"a = 0, {told['ours_l2']:.2f}, the floor is {told['ours_share_floor']:.0f} %."
        ),
        "nearer": (
            f"In the reference run, with a ResNet-50, it {pair['nearer']} "
            f"({pair['common_none_l2']:.2f} and {pair['common_truncate_l2']:.2f}, on "
            f"{pair['n_common']} photographs)."
        ),
        "price": (
            f"With the paper's price λ = {lam:g}, 1000 c₀ is lower on {(off < 0).sum()} of the "
            f"{len(off)} photographs than without, higher on {(off > 0).sum()}, and the same on "
            f"the others; the mean change is {signed(off.mean(), 1)} ± {off.sem():.1f} "
            f"(standard error), of {free.mean():.1f}."
        ),
        "ends": f"{1000 * ends[f'lam = {lam:g}']:.0f} with the paper's price and at "
        f"{1000 * ends['lam = 0']:.0f} without",
    }


def _share(values: int, l2: float) -> float:
    """Compute what share of an L2 distance, in percent, is the floor of a truncated step."""
    return float(100 * (values / 2) ** 0.5 / 255 / l2)


def _span(levels: pd.Series) -> str:
    """Say from what to what whole levels go; a dash if there are none."""
    return f"{f'{levels.min():.0f} to {levels.max():.0f}' if len(levels) else '–'} levels"
