"""Page 3.2.3: what holds on each of several networks, and how far an attack on one misleads others.

Records are given by the network that was attacked: of every attack on it (``pandas.concat``), with
the measures ``lpips``, ``dists`` and ``changes_<network>`` for each network.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from humimp import evaluate, experiment
from humimp.classifiers import SIZES, TITLES
from humimp.findings.table1 import of_the_paper
from humimp.findings.words import how_many, several, stand_in, sure

#: Before the name of the network that is asked, in a column of records.
CHANGES = "changes_"
#: Distances of which 8-bit aware has a share of ours.
SHARES = ("l2", "lpips", "dists")

_AWARE = "8-bit aware"
_NUMBERS = {2: "two networks", 3: "three networks", 4: "four networks"}
# Attacks that have a number of steps of their own: the parameter, and what their authors have.
_STEPS = {
    "PerC_AL": ("perc_al_steps", "its authors: 1000"),
    "DDN": ("ddn_steps", "100 to 1000"),
    "ALMA (LPIPS)": ("alma_steps", "100 or 1000"),
}


def transfer_rates(records: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute how often each network's answer changes under attacks made on each.

    Parameters
    ----------
    records
        By the network that was attacked: records of :func:`humimp.evaluate.run`, of every attack
        on it (``pandas.concat``), with a column ``changes_<network>`` of
        :class:`humimp.distances.Changed` for each network.

    Returns
    -------
    pandas.DataFrame
        A row per network attacked and attack, in order of appearance (levels ``source`` and
        ``attack``), and a column per network asked: the share, in percent, of the images that were
        attacked, whether with success or without. NaN where no image was attacked.

    Raises
    ------
    ValueError
        If there are no records, or columns are missing.
    """
    if not records:
        raise ValueError("records: nothing given; pass the records of one network at least")
    columns = [f"{CHANGES}{network}" for network in records]
    rows = {}
    for source, found in records.items():
        missing = [name for name in ("attack", "correct", *columns) if name not in found]
        if missing:
            raise ValueError(
                f"records of {source}: the columns {', '.join(missing)} are missing; give "
                "evaluate.run a measure changes_<network> for each network"
            )
        for attack, group in found.groupby("attack", sort=False):
            shares = 100 * group.loc[group["correct"], columns].mean()
            rows[source, attack] = dict(zip(records, shares, strict=True))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(records))
    return table.set_axis(pd.MultiIndex.from_tuples(rows, names=["source", "attack"]))


def verdicts(records: Mapping[str, pd.DataFrame], *, confidences: Sequence[float]) -> pd.DataFrame:
    """Ask of each network what holds there.

    Parameters
    ----------
    records
        By the network that was attacked.
    confidences
        Those of ours.

    Returns
    -------
    pandas.DataFrame
        A row per network, with the columns

        - ``images``; ``n``: how many of them were attacked;
        - ``always``: whether ours at the least confidence fools all;
        - ``claim``: whether it has the smallest LPIPS and DISTS of the paper's rows;
        - ``least_lpips``, ``least_dists``: which of all rows has the smallest mean;
        - ``ratio_l2``, ``ratio_lpips``, ``ratio_dists``: mean of 8-bit aware by that of ours at the
          least confidence; NaN where either is missing or fools none;
        - ``weak``, ``strong``, ``aware``: transfer of ours at the least and at the greatest
          confidence, and of 8-bit aware (NaN without it), the mean over the other networks in
          percent;
        - ``most``, ``most_share``: which attacks are transferred most, and how often.

    Raises
    ------
    ValueError
        A network classifies no image correctly, so that there is nothing to ask.
    """
    shares = transfer_rates(records)
    weakest, strongest = (f"Ours (a = {a:g})" for a in (min(confidences), max(confidences)))
    found = {}
    for network, one in records.items():
        summary = evaluate.table(one)
        if not summary["n"].iloc[0]:
            raise ValueError(
                f"{network}: none of the {summary['images'].iloc[0]} photographs is classified "
                "correctly, so none was attacked; take more of them, or larger ones"
            )
        elsewhere = shares.drop(columns=network).mean(axis=1)[network]
        theirs: Any = summary.loc[of_the_paper(summary.index), ["lpips", "dists"]]
        ratio = summary.reindex([_AWARE]).iloc[0] / summary.loc[weakest]
        found[network] = {
            "images": summary["images"].iloc[0],
            "n": summary["n"].iloc[0],
            "always": summary.loc[weakest, "success_rate"] == 100,
            "claim": bool((theirs.loc[weakest] <= theirs.min()).all()),
            "least_lpips": summary["lpips"].idxmin(),
            "least_dists": summary["dists"].idxmin(),
            **{f"ratio_{key}": ratio[key] for key in SHARES},
            "weak": elsewhere[weakest],
            "strong": elsewhere[strongest],
            "aware": elsewhere.get(_AWARE, float("nan")),
            "most": ", ".join(elsewhere[elsewhere == elsewhere.max()].index),
            "most_share": elsewhere.max(),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def settings(
    found: pd.DataFrame, asked: Mapping[str, Any], *, known: Iterable[str]
) -> dict[str, Any]:
    """Say on what was run, and how.

    Parameters
    ----------
    found
        As of `verdicts`.
    asked
        Parameters of the page that the run was made with.
    known
        Attacks that the parameter ``later`` may name.
    """
    later, confidences = asked["later"], asked["confidences"]
    own = {name: told for name, told in _STEPS.items() if name in ("PerC_AL", *later)}
    return {
        "n_networks": _NUMBERS[len(found)],
        "names": several([TITLES[name] for name in found.index]),
        "own_sizes": ", ".join(f"{TITLES[name]} {SIZES[name]}" for name in found.index),
        "n_images": int(found["images"].iloc[0]),
        "n_correct": ", ".join(f"{n} with {TITLES[str(name)]}" for name, n in found["n"].items()),
        "grain": 100 / int(found["n"].max()),
        "size": asked["size"],
        "cost": experiment.TITLES[asked["cost"]],
        "stand_in": stand_in(asked["cost"]),
        "own_steps": ", ".join(
            f"{name.split()[0]} {asked[key]} ({theirs})" for name, (key, theirs) in own.items()
        ),
        "later": ", ".join(later) or "none",
        "left_out": ", ".join(name for name in known if name not in later) or "none",
        "a_least": f"{min(confidences):g}",
        "a_most": f"{max(confidences):g}",
    }


def claims(found: pd.DataFrame) -> dict[str, Any]:
    """Count on how many networks the paper's claims hold, and where 8-bit aware is the nearest.

    Parameters
    ----------
    found
        As of `verdicts`.
    """
    if found["ratio_l2"].isna().all():
        aware = "8-bit aware was not run, or fools none"
    else:
        nearest = (found[["least_lpips", "least_dists"]] == _AWARE).all(axis=1)
        worst = [f"{found[f'ratio_{key}'].max():.4f}" for key in SHARES]
        aware = (
            f"8-bit aware is below all other rows, in LPIPS and in DISTS, on {how_many(nearest)} "
            f"networks. Its largest shares of ours are {worst[0]} in L₂, {worst[1]} in LPIPS and "
            f"{worst[2]} in DISTS"
        )
    return {
        "always": how_many(found["always"]),
        "sure": sure(int(found["n"].min())),
        "claim": how_many(found["claim"]),
        "nearest": aware,
    }


def transferred(found: pd.DataFrame) -> dict[str, Any]:
    """Say how often attacks mislead the networks that they were not made on, in percent.

    Parameters
    ----------
    found
        As of `verdicts`.
    """
    aware = found["aware"].mean()
    most = [
        f"of {TITLES[str(name)]}, {row['most']} ({row['most_share']:.0f} %)"
        for name, row in found.iterrows()
    ]
    return {
        "weak": float(found["weak"].mean()),
        "strong": float(found["strong"].mean()),
        "grows": how_many(found["strong"] > found["weak"]),
        "aware": "not run" if pd.isna(aware) else f"{aware:.0f} %",
        "most": "; ".join(most),
    }
