"""Page 3.2.2: how near the 8-bit aware attack comes, what judging it adds, how fragile it is.

Records are of any attacks (``pandas.concat``), with the measures ``l1``, ``l2``, ``lpips`` and
``dists``; "8-bit aware" and "Ours (a = 0)", the paper's reading, are among them. LPIPS and DISTS
are told times 1000.
"""

from typing import Any

import pandas as pd

from humimp import evaluate
from humimp.findings.words import FEWEST, several, signed, sure, with_values

_DISTANCES = ("l2", "lpips", "dists")
_AWARE, _READING = "8-bit aware", "Ours (a = 0)"
_VARIANTS = ("Climb alone", "All places alike")
_ROWS = {
    "none": "No attack",
    "ours": _READING,
    "perc_al": "PerC_AL",
    "ddn": "DDN",
    "climb": "Climb alone",
    "alike": "All places alike",
    "eight": _AWARE,
}


def numbers(records: pd.DataFrame) -> dict[str, Any]:
    """Give mean distances over successes, levels changed, and passes per image, row by row."""
    table = evaluate.table(records)
    row: Any = {key: table.loc[name] for key, name in _ROWS.items()}
    levels = {f"{key}_levels": 255 * row[key]["l1"] for key in ("ours", "climb")}
    passes = {
        f"{key}_{column}": row[key][column]
        for key in ("ours", "climb", "eight", "ddn")
        for column in ("forwards", "backwards")
    }
    distances = {
        f"{key}_{column}": row[key][column]
        for key in ("ours", "climb", "alike", "eight")
        for column in _DISTANCES
    }
    smaller = {"climb_times_lpips": row["ours"]["lpips"] / row["climb"]["lpips"]}
    facts = {**levels, **passes, **distances, **smaller, "ddn_l2": row["ddn"]["l2"]}
    return {key: float(value) for key, value in facts.items()}


def beside_reading(records: pd.DataFrame) -> dict[str, Any]:
    """Say how many times nearer to the originals the attack ends than the paper's reading.

    Returns
    -------
    dict
        How many photographs there are and how many were attacked (``n``), what one of these is in
        percent (``grain``), what rate is ruled out if all are fooled (``sure``), the success rate;
        and how many times smaller each distance is, in the mean over successes (``times_``) and in
        the median over photographs that both fool (``median_times_``).
    """
    table: Any = evaluate.table(records)
    aware, reading = table.loc[_AWARE], table.loc[_READING]
    n = int(aware["n"])
    facts: dict[str, Any] = {
        "n": n,
        "n_images": int(aware["images"]),
        "grain": 100 / n,
        "sure": sure(n),
        "success": float(aware["success_rate"]),
    }
    won = records[records["success"]]
    for column in _DISTANCES:
        each = won.pivot(index="id", columns="attack", values=column)
        each = each.reindex(columns=[_READING, _AWARE])
        facts[f"times_{column}"] = float(reading[column] / aware[column])
        facts[f"median_times_{column}"] = float((each[_READING] / each[_AWARE]).median())
    return facts


def rivals(records: pd.DataFrame) -> dict[str, Any]:
    """Set the attack beside its rivals: the rows that are neither it nor a variant of it.

    Returns
    -------
    dict
        Which rivals are as near, or nearer, in LPIPS and in DISTS; which is the nearest (``rival``)
        in LPIPS, and on how many of the photographs that both fool the attack is closer than that;
        half of the attack's successes are at an LPIPS of at most ``eight_median_lpips``, and on
        what share of the photographs others succeed within that, in percent.
    """
    records = records[records["attack"] != "No attack"]
    table: Any = evaluate.table(records)
    own = table.index.str.startswith(_AWARE) | table.index.isin(_VARIANTS)
    others, aware = table[~own], table.loc[_AWARE]
    rival = str(others["lpips"].idxmin())
    won = records[records["success"]]
    within = 1000 * won["lpips"][won["attack"] == _AWARE].median()
    near = won["attack"][1000 * won["lpips"] <= within].value_counts()
    facts: dict[str, Any] = {"rival": rival, "eight_median_lpips": float(within)}
    for key, name in (("rival", rival), ("ours", _READING)):
        facts[f"{key}_share"] = float(100 * near.get(name, 0) / aware["n"])
    for column in ("lpips", "dists"):
        nearer = others[column][others[column] <= aware[column]]
        facts[f"nearer_{column}"] = with_values(nearer.items())
    for column in _DISTANCES:
        by = won.pivot(index="id", columns="attack", values=column)
        pairs = by.reindex(columns=[_AWARE, rival]).dropna()
        facts["n_pairs"] = len(pairs)
        facts[f"closer_{column}"] = int((pairs[_AWARE] < pairs[rival]).sum())
    return facts


def judged(records: pd.DataFrame, cost: str) -> dict[str, Any]:
    """Say what changes where another ground cost decides what is kept.

    Parameters
    ----------
    records
        With the row "8-bit aware (<cost>)", and the measure ``cost``.
    cost
        Name of the ground cost.

    Returns
    -------
    dict
        Of LPIPS, DISTS and the ground cost, times 1000, over the photographs fooled both ways: the
        mean change, its standard error, and whether the mean is lower or higher by more than two of
        these, which fewer than `FEWEST` photographs cannot tell; and in which of LPIPS and DISTS
        the cost gains (``adds``).
    """
    name = f"{_AWARE} ({cost})"
    won = records[records["success"]]
    facts: dict[str, Any] = {}
    gained = []
    for column in ("lpips", "dists", "cost"):
        by = 1000 * won.pivot(index="id", columns="attack", values=column)
        pairs: Any = by.reindex(columns=[_AWARE, name]).dropna()
        change = pairs[name] - pairs[_AWARE]
        mean, error = float(change.mean()), float(change.sem())
        word = "lower" if mean < 0 else "higher"
        if not abs(mean) > 2 * error:
            word = "within two standard errors of none"
        if len(change) < FEWEST:
            word = "on too few photographs to tell"
        if word == "lower" and column != "cost":
            gained.append(column.upper())
        facts |= {
            f"judge_{column}": signed(mean, 2 if column == "cost" else 3),
            f"judge_{column}_error": error,
            f"judge_{column}_word": word,
        }
    learnt = ", but were two of the eight measures that PieAPP-small learned from"
    return {
        **facts,
        "adds": f"lowers {several(gained)}" if gained else "shows no gain",
        "sat_in_committee": learnt if cost == "PieAPP-small" else "",
    }


def defended(records: pd.DataFrame) -> dict[str, Any]:
    """Give success rates, in percent, after JPEG of quality 90 and at 7 bits, row by row.

    Parameters
    ----------
    records
        With the defences ``jpeg_90`` and ``bits_7``.
    """
    curves = evaluate.curves(records)
    left: Any = curves.set_index(["attack", "defense", "level"])["success_rate"]
    return {
        f"{key}_{defense}": float(left[name, defense, level])
        for key, name in _ROWS.items()
        if name in left.index
        for defense, level in (("jpeg", 90), ("bits", 7))
    }


def at_scale(records: pd.DataFrame, *, size: int, cost: str) -> dict[str, Any]:
    """Say what came out with a ResNet-50, at the paper's settings, in numbers and in sentences.

    Parameters
    ----------
    records
        With "No attack", and the defences of `defended`.
    size
        Side of the square images, in pixels.
    cost
        Name of the ground cost of ours.
    """
    told, near, left = beside_reading(records), rivals(records), defended(records)
    says = (
        f"A ResNet-50 at {size} × {size} pixels, on the {told['n']} of {told['n_images']} "
        f"photographs that it classifies correctly; ground cost of ours {cost}. Success is "
        f"{told['success']:.0f} %. LPIPS is {told['times_lpips']:.1f} times smaller than in the "
        f"paper's reading, DISTS {told['times_dists']:.1f} times and L₂ {told['times_l2']:.1f} "
        f"times. As near in LPIPS, or nearer: {near['nearer_lpips']}; in DISTS: "
        f"{near['nearer_dists']}. After JPEG of quality 90, {left['eight_jpeg']:.0f} % are "
        f"misclassified (of the unattacked {left['none_jpeg']:.0f} %), at 7 bits "
        f"{left['eight_bits']:.0f} % ({left['none_bits']:.0f} %)."
    )
    return told | {"says": says}
