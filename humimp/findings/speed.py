"""The appendix on speed: what was set beside ours, and how much longer it took."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from humimp import classifiers

Record = Mapping[str, Any]
#: What is compared with what, and how many times as long as ours it took, turn by turn.
Comparison = tuple[str, Sequence[float]]

_RATIO = "ratio_median_of_turns"
_REDUCED = "humimp, bfloat16"
_LISTED = "as listed, on piq.PieAPP"
_GPU = ", on a GPU"
#: What each benchmark measures; the record of a GPU is called NAME_gpu.
WHAT = {
    "algorithm1": "Algorithm 1, PieAPP of full width",
    "algorithm1_small": "Algorithm 1, PieAPP-small",
    "pgd": "PGD (L₂)",
    "pieapp": "PieAPP and its gradient",
    "pieapp_small": "PieAPP-small and its gradient",
    "distances": "Distances",
    "defenses": "Defences",
    "dro": "Training",
    "perc_al_float32": "PerC_AL",
    "perc_al": "PerC_AL, float64",
    "nptm": "NPTM",
    "adv_lib": "DDN, ALMA",
}
#: Attacks that stop behind the boundary, where rounding decides nothing.
_STOPPING = ("PGD (L2)", "Ours (a = 0)", "Ours (a = 1)", "Ours (a = 5)")


class Side(NamedTuple):
    """One side of a comparison.

    Attributes
    ----------
    name
        What it is.
    ratio
        How many times as long as ours it takes, the median over turns.
    seconds
        Per item, such as an image, the median over turns.
    peak
        Memory of a process that does only this at its highest, in bytes; None if not measured.
    share
        Of the machine's rate in a matrix product, the share that its arithmetic reaches; None if
        not measured.
    turns
        The ratio of each turn; the median alone where the record has no turns.
    """

    name: str
    ratio: float
    seconds: float
    peak: float | None
    share: float | None
    turns: tuple[float, ...]


def sides(record: Record) -> Iterator[Side]:
    """Find the sides in a benchmark's record, at whatever depth.

    A name that came before is told apart by what its part of the record is called: "other, as it
    comes" in the part ``equal_steps`` becomes "other, equal steps, as it comes".
    """
    seen = set()
    for part, side in _found(record, ""):
        what, comma, how = side.name.partition(", ")
        again = side.name in seen
        name = f"{what}, {part.replace('_', ' ')}{comma}{how}" if again else side.name
        seen.add(name)
        yield side._replace(name=name)


def _found(record: Record, part: str) -> Iterator[tuple[str, Side]]:
    """Find the sides, each behind the part of the record that it stands in."""
    own: Sequence[float] = ()
    for name, inside in record.items():
        if not isinstance(inside, Mapping):
            continue
        if _RATIO not in inside:
            yield from _found(inside, name)
            continue
        ratio, taken = inside[_RATIO], inside.get("seconds", ())
        if ratio == 1:  # ours, which stands before what is set beside it
            own = taken
        turns = tuple(one / mine for one, mine in zip(taken, own, strict=True)) if own else ()
        yield (
            part,
            Side(
                name,
                ratio,
                inside["seconds_median"],
                inside.get("peak_bytes"),
                inside.get("share_of_matmul"),
                turns or (ratio,),
            ),
        )


def measured(records: Mapping[str, Record]) -> list[tuple[str, Side]]:
    """List all sides of the benchmarks' records, each behind what was measured.

    Parameters
    ----------
    records
        By the name of the record; those of `WHAT` are taken, and of a GPU behind its processor's.
    """
    return [
        (f"{what}{where}", side)
        for name, what in WHAT.items()
        for end, where in (("", ""), ("_gpu", _GPU))
        for side in sides(records.get(f"{name}{end}", {}))
    ]


def compared(found: Sequence[tuple[str, Side]]) -> list[Comparison]:
    """List what was set beside ours, with the ratio of each turn.

    Parameters
    ----------
    found
        As `measured` gives it.
    """
    turns = {(what, side.name): side.turns for what, side in found}
    rows: list[Comparison] = [
        (f"{what}: {name}", each) for (what, name), each in turns.items() if "humimp" not in name
    ]
    for (what, name), each in turns.items():
        if name == _REDUCED and (what, _LISTED) in turns:
            listed = zip(turns[what, _LISTED], each, strict=True)
            rows.append(
                (f"{what}, ours in bfloat16: as listed", [one / own for one, own in listed])
            )
    return rows


def verdict(turns: Sequence[float]) -> str:
    """Say who is the faster: "ours" or "other" where all turns agree on it, "open" else."""
    return "ours" if min(turns) > 1 else "other" if max(turns) < 1 else "open"


def outcome(rows: Sequence[Comparison]) -> dict[str, Any]:
    """Count who is the faster, and name where the other is and where turns do not agree."""
    named: dict[str, list[str]] = {"ours": [], "other": [], "open": []}
    for name, turns in rows:
        named[verdict(turns)].append(f"{name} ({statistics.median(turns):.2f})")
    return {
        "n_rows": len(rows),
        **{f"n_{key}": len(each) for key, each in named.items()},
        **{key: "; ".join(named[key]) or "none" for key in ("other", "open")},
    }


def about(records: Mapping[str, Record]) -> dict[str, Any]:
    """Say where the records were made, and which are not of equal results."""
    on_gpu = [what for name, what in WHAT.items() if f"{name}_gpu" in records]
    unequal = [name for name, record in records.items() if record.get("equal") is False]
    return {
        "machines": "; ".join(sorted({one["machine"] for one in records.values()})),
        "on_gpu": "; ".join(on_gpu) or "nothing",
        "unequal": ", ".join(unequal) or "none",
    }


def algorithm1(record: Record) -> dict[str, Any]:
    """Say how much longer its listing takes than ours, and how far apart their results are.

    ``and_reduced`` says the same beside ours with rounded factors, where the record has that.
    """
    takes = record["listing_takes"]
    reduced = "with PieAPP's convolutions on factors rounded to bfloat16"
    return {
        "machine": record["machine"],
        "ratio": takes["humimp"],
        "and_reduced": f", {takes[_REDUCED]:.2f} times {reduced}" if _REDUCED in takes else "",
        "apart": float(100 * max(record["agreement"]["l2_worst"].values())),
    }


def listings(record: Record) -> dict[str, Any]:
    """Say how much longer the listings of Algorithms 2 and 3 take."""
    ratio = {side.name: side.ratio for side in sides(record)}
    return {
        "listing_2": ratio["Algorithm 2 as listed"],
        "listing_3": ratio["Algorithm 3 as listed"],
        "n_models": record["options"]["models"],
    }


def pgd(record: Record) -> dict[str, Any]:
    """Say how much longer other libraries' PGD takes."""
    asked, side = record["options"], {side.name: side for side in sides(record)}
    facts = {
        "machine": record["machine"],
        "classifier": classifiers.TITLES[asked["classifier"]],
        "n_pgd": asked["images"],
        "size": asked["size"],
    }
    names = {
        "torchattacks": "torchattacks",
        "foolbox": "foolbox",
        "by_hand": "torchattacks, stopped by hand",
        "torchattacks_equal": "torchattacks, equal steps",
        "foolbox_equal": "foolbox, equal steps",
    }
    for key, name in names.items():
        facts[key] = side[name].ratio
        facts[f"{key}_turns"] = " and ".join(f"{one:.1f}" for one in side[name].turns)
    return facts


def scaling(record: Record) -> dict[str, Any]:
    """Say what more images cost: time an image, and memory beside the data set, in MB."""
    least, *_, most = record["measured"]
    work = {n: one["work_bytes"] / 1e6 for n, one in record["measured"].items()}
    return {
        "size": record["options"]["size"],
        "batch": record["options"]["batch"],
        "ratio": record["cost_of_last_by_first"],
        "least": int(least),
        "most": int(most),
        "least_work": work[least],
        "most_work": work[most],
    }


def beside_full(rounded: pd.DataFrame, full: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Set what a GPU made with rounded factors beside the same attack in full.

    Parameters
    ----------
    rounded
        A row for each attack and image: ``attack``, ``id``, ``correct``, ``success``, ``l2``.
    full
        Records of the same attacks in full, by their name.

    Returns
    -------
    dict
        By attack, a row for each image that both attacked, with ``_gpu`` behind the names of
        ``rounded``'s columns.
    """
    pairs = {}
    for name, records in full.items():
        both = rounded[rounded["attack"] == name].merge(records, on="id", suffixes=("_gpu", ""))
        pairs[name] = both[both["correct"] & both["correct_gpu"]]
    return pairs


def rounding(rounded: pd.DataFrame, pairs: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Say what rounding changes: success in percent, and on how many images it is the same.

    Parameters
    ----------
    rounded, pairs
        As of `beside_full`.
    """
    facts: dict[str, Any] = {}
    for key, name in {"ddn": "DDN", "ppgd": "NPTM (PPGD)", "perc_al": "PerC_AL"}.items():
        won = rounded.loc[rounded["correct"] & (rounded["attack"] == name), "success"]
        facts[key] = float(100 * won.mean())
        facts[f"{key}_n"] = len(won)
    stopping = [pairs[name] for name in _STOPPING]
    facts["n"] = sum(len(pair) for pair in stopping)
    facts["same"] = sum(int((pair["success"] == pair["success_gpu"]).sum()) for pair in stopping)
    return facts
