"""Page 3.2.3: what holds on each of several networks, and how far an attack on one misleads others.

Records are given by the network that was attacked: of every attack on it (``pandas.concat``), with
the measures ``lpips``, ``dists`` and ``changes_<network>`` for each network.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from humimp import evaluate, experiment, paper
from humimp.classifiers import SIZES, TITLES
from humimp.figures.table1 import Table
from humimp.figures.transfer import transfer_rates
from humimp.findings.words import how_many, several, stand_in, sure

#: What share of a mean distance of ours, at the least confidence, 8-bit aware should have at most.
AIMS = {"l2": 1 / 6, "lpips": 1 / 10, "dists": 1 / 4}

_AWARE = "8-bit aware"
_NUMBERS = {2: "two networks", 3: "three networks", 4: "four networks"}
# Attacks that have a number of steps of their own: the parameter, and what their authors have.
_STEPS = {
    "PerC_AL": ("perc_al_steps", "its authors: 1000"),
    "DDN": ("ddn_steps", "100 to 1000"),
    "ALMA (LPIPS)": ("alma_steps", "100 or 1000"),
}
_HEADINGS = (
    "Network", "Attacked", "Ours (least a) least of the paper's rows", "Least LPIPS",
    "Least DISTS", "8-bit aware ÷ ours: L₂", "LPIPS", "DISTS",
    "Transfer at the least a (%)", "at the greatest a (%)",
)  # fmt: skip


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
        theirs = summary[summary.index.isin(paper.TABLE1)]
        ratio = summary.reindex([_AWARE]).iloc[0] / summary.loc[weakest]
        found[network] = {
            "images": summary["images"].iloc[0],
            "n": summary["n"].iloc[0],
            "always": summary.loc[weakest, "success_rate"] == 100,
            "claim": set(theirs[["lpips", "dists"]].idxmin()) == {weakest},
            "least_lpips": summary["lpips"].idxmin(),
            "least_dists": summary["dists"].idxmin(),
            **{f"ratio_{key}": ratio[key] for key in AIMS},
            "weak": elsewhere[weakest],
            "strong": elsewhere[strongest],
            "aware": elsewhere.get(_AWARE, float("nan")),
            "most": ", ".join(elsewhere[elsewhere == elsewhere.max()].index),
            "most_share": elsewhere.max(),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def listed(found: pd.DataFrame) -> Table:
    """Set what `verdicts` found."""
    lines = [
        (
            TITLES[str(network)], str(row["n"]), "yes" if row["claim"] else "no",
            row["least_lpips"], row["least_dists"], *(_share(row[f"ratio_{key}"]) for key in AIMS),
            f"{row['weak']:.0f}", f"{row['strong']:.0f}",
        )
        for network, row in found.iterrows()
    ]  # fmt: skip
    return Table(_HEADINGS, tuple((line, frozenset(), False) for line in lines))


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
    """Count on how many networks what was claimed of the distances holds.

    Parameters
    ----------
    found
        As of `verdicts`.
    """
    met = pd.DataFrame({key: found[f"ratio_{key}"] <= aim for key, aim in AIMS.items()})
    return {
        "always": how_many(found["always"]),
        "sure": sure(int(found["n"].min())),
        "claim": how_many(found["claim"]),
        "below_all": how_many((found[["least_lpips", "least_dists"]] == _AWARE).all(axis=1)),
        "met": how_many(met.all(axis=1)),
        **{f"met_{key}": how_many(met[key]) for key in AIMS},
        **{f"worst_{key}": float(found[f"ratio_{key}"].max()) for key in AIMS},
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


def _share(ratio: float) -> str:
    """Print a share, or a dash where there is none."""
    return "–" if pd.isna(ratio) else f"{ratio:.4f}"
