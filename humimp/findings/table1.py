"""Page 3.2: what Table 1 and Figures 3 and 4 say of the attacks, and of the paper's claims.

Most functions take the records' summary, a row per attack as of `humimp.evaluate.table` without
"No attack", or their `by_level`; and the names of rows as of `places`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from humimp import evaluate, paper
from humimp.findings.words import holds, several, with_values

_PGD, _PERC, _PERC_40, _DDN = "PGD (L2)", "PerC_AL", "PerC_AL (κ = 40)", "DDN"
_OURS = "Ours (a = "
#: What the text calls the rows that it sets beside ours.
RIVALS = {
    "pgd": _PGD,
    "perc_al": _PERC,
    "perc_al_40": _PERC_40,
    "ppgd": "NPTM (PPGD)",
    "lpa": "NPTM (LPA)",
    "ddn": _DDN,
    "alma": "ALMA (LPIPS)",
    "eight_bit": "8-bit aware",
}
_JUDGES = ["lpips", "dists"]
#: How a level of a defence is told.
_LEVELS = {"jpeg": "JPEG at quality {:g}", "bits": "{:g} bits"}
_DISTANCES = ("l1", "l2", "linf", "lpips", "dists", "saliency")


# -------------------------------------------------------------------------------------- the rows


def ours(confidences: Iterable[float]) -> list[str]:
    """Name the rows of ours, by rising confidence."""
    return [f"{_OURS}{a:g})" for a in sorted(confidences)]


def places(confidences: Iterable[float]) -> dict[str, str]:
    """Name the rows that the text speaks of.

    Parameters
    ----------
    confidences
        Of ours, at least one.

    Returns
    -------
    dict
        From what the text calls a row to its name in the table: `RIVALS`, and ours at the least
        confidence ("ours"), the one above it if there is one ("second") and the greatest
        ("strongest").
    """
    names = ours(confidences)
    return {"ours": names[0], "second": names[:2][-1], "strongest": names[-1], **RIVALS}


def listed(names: Sequence[str], confidences: Iterable[float]) -> list[str]:
    """List a run's rows in the order of another's, ``names``, whose confidences may differ."""
    first = next((k for k, name in enumerate(names) if name.startswith(_OURS)), len(names))
    others = [name for name in names if not name.startswith(_OURS)]
    return [*others[:first], *ours(confidences), *others[first:]]


def of_the_paper(names: Iterable[str]) -> list[str]:
    """Leave only the paper's rows, with ours at whatever confidence."""
    return [name for name in names if name in paper.TABLE1 or name.startswith(_OURS)]


# ------------------------------------------------------------------------------------ what is run


def levels_of_confidence(confidences: Iterable[float]) -> dict[str, Any]:
    """Write the least confidence, the one above it, if there is one, and the greatest."""
    written = [f"{a:g}" for a in sorted(confidences)]
    return {"a_least": written[0], "a_second": written[:2][-1], "a_most": written[-1]}


def settings(*, cost: str, reading: str, nptm_network: str) -> dict[str, Any]:
    """Say what follows from the page's parameters of these names."""
    felt = "whose weights decide whether the first step feels it"
    taught = "they were two of the eight measures that taught PieAPP-small"
    related = cost == "PieAPP-small"
    return {
        "felt": felt if cost == "PieAPP" else "which the first step does not feel",
        "judges": f"are not independent judges of ours, for {taught}"
        if related
        else "had no part in the ground cost of ours",
        "nptm_network": "AlexNet's" if nptm_network == "AlexNet" else "the classifier's own",
        "at_work": "the truncation at work" if reading == "truncate" else "where values moved",
    }


def printed() -> dict[str, Any]:
    """Give the paper's own numbers that the text quotes."""
    facts: dict[str, Any] = {"paper_images": paper.N_IMAGES, "paper_size": paper.IMAGE_SIZE}
    for key, name in {"ours": "Ours (a = 0)", "pgd": _PGD}.items():
        facts |= {f"paper_{key}_{judge}": paper.TABLE1[name][judge] for judge in _JUDGES}
    return facts


# ---------------------------------------------------------------------------------------- Table 1


def numbers(table: pd.DataFrame, names: Mapping[str, str], end: str = "") -> dict[str, Any]:
    """Give the numbers of rows their names in the text, such as ``pgd_lpips``.

    Parameters
    ----------
    table
        As of `humimp.evaluate.table`, or of `humimp.evaluate.errors`.
    names
        From what the text calls a row to its name in the table.
    end
        What the names of the numbers end in.

    Returns
    -------
    dict
        Of each row its success rate (``success``), its distances and its forward passes, in the
        table's units; NaN where they were not measured. Rows that the table lacks are left out.
    """
    columns = {"success": "success_rate", "forwards": "forwards", **{c: c for c in _DISTANCES}}
    table = table.reindex(columns=list(columns.values()))
    return {
        f"{key}_{short}{end}": float(table[column][name])
        for key, name in names.items()
        if name in table.index
        for short, column in columns.items()
    }


def beside(summary: pd.DataFrame, names: Mapping[str, str]) -> dict[str, Any]:
    """Set ours beside itself at more confidence, and beside attacks that stop or go on."""
    lpips, norm, least = summary["lpips"], summary["l2"], names["ours"]
    both = [(lpips[keeping], lpips[stops]) for keeping in (_PERC, _DDN) for stops in (_PGD, least)]
    where = "nearer to" if all(one < other for one, other in both) else "not all nearer to"
    if all(one > other for one, other in both):
        where = "farther from"
    return {
        "passes": float(summary["forwards"][least]),
        "most_lpips": float(lpips[names["strongest"]] / lpips[least]),
        "ours_beside_pgd_lpips": float(lpips[least] / lpips[_PGD]),
        "ours_beside_pgd_l2": float(norm[least] / norm[_PGD]),
        "search": f"{where} the original",
    }


def which_perc_al(summary: pd.DataFrame, names: Mapping[str, str]) -> dict[str, Any]:
    """Say which PerC_AL the paper's row looks like, by its L2 beside PGD's.

    Both are also compared with PGD in norms and with ours at the second confidence in LPIPS.
    """
    norm = summary["l2"] / summary["l2"][_PGD]
    theirs = paper.TABLE1[_PERC]["l2"] / paper.TABLE1[_PGD]["l2"]
    without, firm = (abs(norm[name] - theirs) for name in (_PERC, _PERC_40))
    row = "without confidence" if without < firm else "with κ = 40"
    if pd.isna(without + firm):
        row = "one way or the other, which cannot be told where one fools nothing"
    facts = {"paper_beside_pgd": theirs, "printed_row": row}
    for key in ("perc_al", "perc_al_40"):
        beside_pgd, beside_ours = (
            summary.loc[names[key]] / summary.loc[other] for other in (_PGD, names["second"])
        )
        facts[f"{key}_beside_pgd"] = float(norm[names[key]])
        facts[f"{key}_norms"] = _larger(beside_pgd["l1"], beside_pgd["l2"])
        facts[f"{key}_judged"] = _larger(beside_ours["lpips"])
    return facts


def _larger(*ratios: Any) -> str:
    """Say whether numbers are larger than others, from their ratios."""
    if any(math.isnan(ratio) for ratio in ratios):  # one of the attacks fools nothing
        return "not to be compared with"
    if all(ratio > 1 for ratio in ratios):
        return "larger than"
    if all(ratio < 1 for ratio in ratios):
        return "smaller than"
    return "partly larger than" if any(ratio > 1 for ratio in ratios) else "no larger than"


def nearest(summary: pd.DataFrame, row: str) -> dict[str, Any]:
    """Say what holds of the paper's first claim, and which rows are nearer to the originals.

    The claim: this row, ours at the least confidence, always succeeds, and has the smallest LPIPS
    and DISTS, alone or with others.
    """
    judged = summary[_JUDGES]
    theirs = judged.loc[of_the_paper(judged.index)]
    facts = {
        "always": holds(summary["success_rate"][row] == 100),
        "least": holds((judged.loc[row] <= theirs.min()).all()),
        "least_of_all": holds((judged.loc[row] <= judged.min()).all()),
        "nearest": str(summary["lpips"].idxmin()),
        "nearest_lpips": float(summary["lpips"].min()),
    }
    return facts | {f"nearer_{judge}": _nearer(judged[judge], row) for judge in _JUDGES}


def _nearer(values: "pd.Series[float]", row: str) -> str:
    """List rows with a smaller value than this one's, the smallest first."""
    return with_values(values[values < values[row]].sort_values().items())


def saliency(
    summary: pd.DataFrame, errors: pd.DataFrame, names: Mapping[str, str]
) -> dict[str, Any]:
    """Say how saliency maps change, if that was measured.

    Parameters
    ----------
    summary, errors
        As of `humimp.evaluate.table` and `humimp.evaluate.errors`.
    names
        As of `places`.
    """
    if "saliency" not in summary:
        return {"saliency": "was not measured in this run"}
    row, values = names["ours"], summary["saliency"]
    who = {row: row, _PGD: "PGD", names["ppgd"]: "PPGD"}
    told = [f"{values[n]:.2f} ± {errors['saliency'][n]:.2f} for {text}" for n, text in who.items()]
    return {
        "saliency": f"changes by {several(told)}. Rows with a smaller change than "
        f"{row}: {_nearer(values, row)}"
    }


def pairs(records: pd.DataFrame, row: str) -> dict[str, Any]:
    """Count the photographs that PGD and this row both fool, and where this row's LPIPS is less."""
    won = records[records["success"]].pivot(index="id", columns="attack", values="lpips")
    both = won.reindex(columns=[row, _PGD]).dropna()
    return {"n_pairs": len(both), "closer": int((both[row] < both[_PGD]).sum())}


# --------------------------------------------------------------------------------------- Figure 3


def most_fooled(records: pd.DataFrame, n: int) -> list[str]:
    """Choose the n photographs that the most attacks fool, the first of them in the records' order.

    Parameters
    ----------
    records
        Of all attacks, without "No attack".
    n
        How many; fewer if there are no more.
    """
    won = records.groupby("id", sort=False)["success"].sum()
    return won.sort_values(ascending=False, kind="stable").index[:n].tolist()


def changes(
    records: pd.DataFrame,
    chosen: Sequence[str],
    examples: Sequence[Mapping[str, Tensor]],
    names: Mapping[str, str],
) -> dict[str, Any]:
    """Say what is seen of PGD and of ours in Figure 3.

    Parameters
    ----------
    records
        Of all attacks, without "No attack".
    chosen
        The photographs shown.
    examples
        For each, ``"Original"`` and the attacks' names to images with values in [0, 1].
    names
        As of `places`.

    Returns
    -------
    dict
        How many photographs are shown, which, and of how many values; of PGD and ours, how many of
        these are neither as they were nor one level lower (``_elsewhere``), and the largest change
        in any photograph, in levels (``_levels``).
    """
    every = records.loc[records["id"].isin(chosen), "success"].all()
    facts = {
        "n_shown": len(chosen),
        "which": f"on which {'every attack succeeds' if every else 'the most attacks succeed'}",
        "n_shown_values": sum(one["Original"].numel() for one in examples),
    }
    for key in ("pgd", "ours"):
        changed = [255 * (one[names[key]] - one["Original"]) for one in examples]
        moves = torch.stack(changed).round()
        facts[f"{key}_elsewhere"] = int(((moves != 0) & (moves != -1)).sum())
        facts[f"{key}_levels"] = float(255 * records["linf"][records["attack"] == names[key]].max())
    return facts


# --------------------------------------------------------------------------------------- Figure 4


def by_level(records: pd.DataFrame) -> pd.DataFrame:
    """Set out success rates under defences.

    Parameters
    ----------
    records
        Of any attacks, with defences ``jpeg_<quality>`` and ``bits_<bits>``.

    Returns
    -------
    pandas.DataFrame
        In percent, as of `humimp.evaluate.curves`: a row per ``defense`` and ``level``, a column
        per attack, in order of appearance.
    """
    return evaluate.curves(records).pivot_table(
        index=["defense", "level"], columns="attack", values="success_rate", sort=False
    )


def leads(rates: pd.DataFrame, row: str) -> dict[str, Any]:
    """Say where this row has the highest success rate of the paper's, alone or with others.

    Parameters
    ----------
    rates
        As of `by_level`.
    row
        A row of ours.

    Returns
    -------
    dict
        At how many levels it leads, of how many, and which; whether at all of them (``leading``);
        and of each defence at how many (``leads_jpeg``, ``leads_bits``), of how many, and which
        others of the paper's rows do, at how many (``others_jpeg``, ``others_bits``).
    """
    theirs = rates[of_the_paper(rates.columns)]
    best = theirs.ge(theirs.max(axis=1), axis=0)
    led = best.index[best[row]]
    told = [_LEVELS.get(defense, f"{defense} {{:g}}").format(level) for defense, level in led]
    facts = {
        "levels": len(best),
        "leads": len(led),
        "levels_led": ", ".join(told) or "none",
        "leading": holds(best[row].all()),
    }
    for defense, group in best.groupby(level="defense", sort=False):
        counts = group.sum().sort_values(ascending=False, kind="stable")
        others = [f"{name} ({n})" for name, n in counts.items() if n and name != row]
        facts[f"levels_{defense}"] = len(group)
        facts[f"leads_{defense}"] = int(counts[row])
        facts[f"others_{defense}"] = ", ".join(others) or "no other"
    return facts


def defended(rates: pd.DataFrame, names: Mapping[str, str]) -> dict[str, Any]:
    """Say what is left of attacks after the mildest JPEG compression, in percent.

    Parameters
    ----------
    rates
        As of `by_level`, of these rows and "No attack", which is given at the fewest bits, too.
    names
        As of `places`.
    """
    mild, coarse = rates.loc["jpeg"].index.max(), rates.loc["bits"].index.min()
    left = rates.loc[("jpeg", mild)]
    return {
        "mild": int(mild),
        "coarse": int(coarse),
        "none_coarse": float(rates.loc[("bits", coarse), "No attack"]),
        "none_mild": float(left["No attack"]),
        **{f"{key}_mild": float(left[name]) for key, name in names.items()},
    }


def seen_or_strong(
    summary: pd.DataFrame, rates: pd.DataFrame, names: Mapping[str, str]
) -> dict[str, Any]:
    """Say what holds of the paper's second and third claims about visibility and defences.

    Ours at the greatest confidence: whether it is less visible than PPGD, and at how many levels
    none that is as little visible succeeds more often (``leads_near``). Ours at the second: whether
    it is less visible than either PerC_AL, and at how many qualities it succeeds more often.
    """
    strongest, second, lpips = names["strongest"], names["second"], summary["lpips"]
    near = rates[lpips.index[lpips <= lpips[strongest]]].max(axis=1)
    facts = {
        "below_ppgd": f"is {_less_visible(summary, strongest, names['ppgd'])} than PPGD",
        "leads_near": int((rates[strongest] >= near).sum()),
    }
    for key in ("perc_al", "perc_al_40"):
        jpeg = rates.loc["jpeg"]
        facts[f"{key}_less"] = _less_visible(summary, second, names[key])
        facts[f"{key}_more"] = int((jpeg[second] > jpeg[names[key]]).sum())
    return facts


def _less_visible(summary: pd.DataFrame, one: str, other: str) -> str:
    """Say whether a row has both a smaller LPIPS and a smaller DISTS than another."""
    pair = summary.loc[[one, other], _JUDGES]
    if pair.isna().to_numpy().any():
        return "not known to be less visible (one of them fools nothing)"
    return "less visible" if (pair.loc[one] < pair.loc[other]).all() else "not less visible"


# ------------------------------------------------------------------------ at the paper's settings


def counted(records: pd.DataFrame, learnt: Iterable[str]) -> dict[str, Any]:
    """Count photographs: all of them, those attacked, and those that PieAPP-small learned from.

    Parameters
    ----------
    records
        A row for each photograph and attack.
    learnt
        Names of the photographs that PieAPP-small learned from.
    """
    each = records.drop_duplicates("id")
    return {
        "n": int(each["correct"].sum()),
        "n_images": len(each),
        "trained": int(each["id"].isin(set(learnt)).sum()),
    }


def many(tried: pd.DataFrame) -> dict[str, Any]:
    """Say whether ours at a = 0, whose records these are, always succeeds."""
    fooled, of = int(tried["success"].sum()), int(tried["correct"].sum())
    told = "so it holds there" if fooled == of else "so “always” does not hold there"
    return {"many": f"ours at a = 0 fools {fooled} of {of}, {told}"}


def never(records: pd.DataFrame, confidences: Iterable[float]) -> dict[str, Any]:
    """Count photographs that withstand ours at every confidence, with their L2 at the least."""
    names = ours(confidences)
    tried = records[records["attack"].isin(names) & records["correct"]]
    lost = tried[~tried.groupby("id")["success"].transform("any")]
    lost = lost[lost["attack"] == names[0]]
    return {"never": len(lost), "never_l2": float(lost["l2"].mean())}
