"""The appendix on readings: what each gives, which the numbers favour, and what the text quotes.

Records are given by the name of the row, such as "PGD (L2)", "Ours (a = 0), normalised" or
"PerC_AL, 20 iterations, κ = 40, kept as in the code"; those of "PGD, other judges" have a column
for each convention of LPIPS and DISTS.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from humimp import evaluate, paper
from humimp.findings.words import FEWEST, signed

#: A candidate whose success rate is further from the printed one than this, in points, by more than
#: chance explains (the exact 95 % interval of Clopper and Pearson, 1934), is ruled out.
POINTS = 5.0
#: A candidate is favoured if the next one is farther from the paper by this factor, at least.
CLEARLY = 1.1

_PGD = "PGD (L2)"
_DISTANCES = ("l1", "l2", "linf", "lpips", "dists")
_PLACES = {
    "line_9": "Line 9 (PGD)",
    "lpips": "LPIPS of PGD",
    "dists": "DISTS of PGD",
    "ppgd": "NPTM (PPGD)",
    "lpa": "NPTM (LPA)",
    "perc_al": "PerC_AL",
}
_LINE_9 = {
    "cut off after every step": _PGD,
    "round after every step": "PGD, round",
    "round once, to save": "PGD, none",
}
# The conventions of a distance, the one of all other records first.
_JUDGES = {
    "lpips": {
        "VGG-16": "lpips",
        "VGG-16, images in [0, 1]": "lpips_vgg_unscaled",
        "VGG-16, resized to 256": "lpips_vgg_256",
        "AlexNet": "lpips_alex",
        "AlexNet, images in [0, 1]": "lpips_alex_unscaled",
    },
    "dists": {"full size": "dists", "resized to 256": "dists_256"},
}


@dataclass(frozen=True)
class Candidate:
    """One way to read one place of the paper.

    Attributes
    ----------
    place
        What is read.
    name
        How.
    row
        The row of the paper's Table 1 that it should give.
    values
        What it gives: columns of Table 1, in its units.
    n
        Number of images.
    """

    place: str
    name: str
    row: str
    values: Mapping[str, float]
    n: int


def factor(candidate: Candidate) -> float:
    """Return by what factor a candidate's distances typically differ from the printed ones.

    It is exp of the mean of |ln(value / printed)| over the columns that the candidate has, so 1
    means agreement. It is infinite where the success rates are more than `POINTS` points apart, and
    not by chance.
    """
    printed = paper.TABLE1[candidate.row]
    values = dict(candidate.values)
    success = values.pop("success_rate", None)
    if success is not None and not _possible(success, candidate.n, printed["success_rate"]):
        return math.inf
    ratios = [abs(math.log(value / printed[column])) for column, value in values.items()]
    return math.exp(sum(ratios) / len(ratios))


def _possible(success: float, n: int, printed: float) -> bool:
    """Whether a rate of so many images may be within `POINTS` of the printed one, in percent."""
    if math.isnan(success):
        return False
    low, high = proportion_confint(round(success / 100 * n), n, method="beta")
    return 100 * low <= printed + POINTS and 100 * high >= printed - POINTS


def favoured(candidates: Sequence[Candidate]) -> str | None:
    """Return the name of the candidate nearest to the paper, or None if another is as near.

    As near is what differs by a factor of less than `CLEARLY`. None is favoured if there is none,
    none is possible at all, or the nearest was tried on fewer than `FEWEST` images.
    """
    if not candidates:
        return None
    ranked = sorted(candidates, key=factor)
    best = factor(ranked[0])
    if math.isinf(best) or ranked[0].n < FEWEST:
        return None
    if len(ranked) > 1 and factor(ranked[1]) < CLEARLY * best:
        return None
    return ranked[0].name


def candidates(
    records: Mapping[str, pd.DataFrame], *, confidences: Sequence[float], nptm: Collection[str]
) -> list[Candidate]:
    """List the candidates of each place.

    Distances under other conventions are estimated: the mean over all images that PGD fools, times
    the ratio of the two conventions' means over those that the other judges saw. Ours as it is
    counts on the images of ours with a normalised gradient.

    Parameters
    ----------
    records
        By row; candidates without records are left out.
    confidences
        Those of ours; the ones that the paper has no row for are left out.
    nptm
        Candidates of NPTM: the rows' names behind "PPGD, " and "LPA, ".

    Returns
    -------
    list of Candidate
        For `humimp.figures.readings.readings`.
    """
    rows = [name for name in map(_ours, confidences) if name in paper.TABLE1]
    records = dict(records)
    for name in rows:
        other = records[f"{name}, normalised"]
        records[name] = records[name][records[name]["id"].isin(other["id"])]
    means = pd.concat([evaluate.table(one) for one in records.values()])
    judged = records["PGD, other judges"]
    judged = judged[judged["success"]]

    def of(place: str, row: str, names: Mapping[str, str]) -> list[Candidate]:
        columns = ("success_rate", *_DISTANCES)
        return [
            Candidate(
                place, told, row, {c: float(means[c][name]) for c in columns}, int(means["n"][name])
            )
            for told, name in names.items()
            if name in means.index
        ]

    def judge(usual: str) -> list[Candidate]:
        over_all, seen = float(means[usual][_PGD]), float(judged[usual].mean())
        ratios = {told: float(judged[c].mean()) / seen for told, c in _JUDGES[usual].items()}
        return [
            Candidate(_PLACES[usual], told, _PGD, {usual: ratio * over_all}, len(judged))
            for told, ratio in ratios.items()
        ]

    found = of(_PLACES["line_9"], _PGD, _LINE_9) + judge("lpips") + judge("dists")
    for name in rows:
        found += of(_gradient(name), name, {"as it is": name, "normalised": f"{name}, normalised"})
    for kind, place in {"PPGD": _PLACES["ppgd"], "LPA": _PLACES["lpa"]}.items():
        found += of(place, place, {name: f"{kind}, {name}" for name in nptm})
    slow = sorted((name for name in records if name.startswith("PerC_AL, ")), key=_iterations)
    told = {
        one.removeprefix("PerC_AL, ").replace("kept as in the code", "as coded"): one
        for one in slow
    }
    return found + of("PerC_AL", "PerC_AL", told)


def favours(found: Sequence[Candidate], *, confidences: Sequence[float]) -> dict[str, Any]:
    """Say of each place which reading the numbers favour.

    Parameters
    ----------
    found
        As of `candidates`.
    confidences
        Those of ours; the text tells of the least and of the greatest.
    """
    least, most = min(confidences), max(confidences)
    places = _PLACES | {
        "gradient": _gradient(_ours(least)),
        "gradient_most": _gradient(_ours(most)),
    }
    told = {key: _favoured(_at(place, found)) for key, place in places.items()}
    return told | {"least_a": f"{least:g}", "most_a": f"{most:g}"}


def numbers(found: Sequence[Candidate], key: str) -> dict[str, Any]:
    """Give success rate and L2 of a place's candidates, which are counted from 0.

    Parameters
    ----------
    found
        As of `candidates`.
    key
        The place, as `favours` calls it.
    """
    columns = {"success": "success_rate", "l2": "l2"}
    return {
        f"{key}_{k}_{what}": one.values[column]  # noqa: PD011
        for k, one in enumerate(_at(_PLACES[key], found))
        for what, column in columns.items()
    }


def perc_al(found: Sequence[Candidate]) -> dict[str, Any]:
    """Tell the range of factors of PerC_AL: without confidence and with κ = 40, by what is kept.

    Parameters
    ----------
    found
        As of `candidates`.
    """
    factors: dict[str, list[float]] = {
        f"perc_{kappa}{keep}": [] for kappa in ("plain", "40") for keep in ("", "_code")
    }
    for one in _at("PerC_AL", found):
        kappa, keep = "40" if "κ" in one.name else "plain", "_code" if "code" in one.name else ""
        factors[f"perc_{kappa}{keep}"].append(factor(one))
    return {key: _range(each) for key, each in factors.items()}


def pgd(records: pd.DataFrame) -> dict[str, Any]:
    """Tell the distances of PGD with their standard errors, and medians of LPIPS and DISTS.

    Parameters
    ----------
    records
        Of "PGD (L2)".
    """
    means, spread = evaluate.table(records).iloc[0], evaluate.errors(records).iloc[0]
    medians = paper.SCALE * records.loc[records["success"], ["lpips", "dists"]].median()
    return {
        **{f"pgd_{column}": float(means[column]) for column in _DISTANCES},
        **{f"pgd_{column}_error": float(spread[column]) for column in _DISTANCES},
        **{f"median_{column}": float(median) for column, median in medians.items()},
        "n_pgd": int(means["n"]),
        "n_pgd_images": len(records),
        "most_passes": float(records["forwards"].max()),
    }


def over(records: pd.DataFrame) -> dict[str, Any]:
    """Tell how much larger than printed PGD's norms are, in percent.

    Parameters
    ----------
    records
        Of "PGD (L2)".
    """
    means, theirs = evaluate.table(records).iloc[0], paper.TABLE1[_PGD]
    return {f"over_{c}": float(100 * (means[c] / theirs[c] - 1)) for c in ("l1", "l2", "linf")}


def ours(records: Mapping[str, pd.DataFrame], *, confidences: Sequence[float]) -> dict[str, Any]:
    """Tell of ours at the least confidence: as it is, and normalised beside PGD.

    Parameters
    ----------
    records
        By row.
    confidences
        Those of ours.
    """
    name = _ours(min(confidences))
    raw, normal, rival = records[name], records[f"{name}, normalised"], records[_PGD]
    both = normal[normal["success"]].merge(rival[rival["success"]], on="id", suffixes=("", "_pgd"))
    facts: dict[str, Any] = {
        "ours_lpips": float(evaluate.table(raw).iloc[0]["lpips"]),
        "n_ours": int(raw["correct"].sum()),
        "lost": int((raw["correct"] & ~raw["success"]).sum()),
        "n_normal": len(both),
    }
    for column in ("lpips", "dists"):
        own, theirs = (paper.SCALE * both[f"{column}{end}"] for end in ("", "_pgd"))
        off = own - theirs
        facts[f"normal_{column}"] = float(own.mean())
        facts[f"normal_{column}_pgd"] = float(theirs.mean())
        facts[f"normal_{column}_off"] = signed(off.mean())
        facts[f"normal_{column}_error"] = float(off.agg("sem"))
    return facts


def printed() -> dict[str, Any]:
    """Quote the paper's rows of PGD and of LPA."""
    base, lpa = paper.TABLE1[_PGD], paper.TABLE1["NPTM (LPA)"]
    return {
        **{f"printed_{column}": base[column] for column in _DISTANCES},
        **{f"printed_lpa_{column}": lpa[column] for column in ("l1", "l2", "linf")},
        "printed_lpa_success": lpa["success_rate"],
    }


def noise(sigma: float, size: int) -> dict[str, Any]:
    """Tell the norms of normal noise on an image: expected L1, about L2, and the median of L∞.

    Parameters
    ----------
    sigma
        Its standard deviation.
    size
        Side of the square RGB image in pixels.
    """
    values = 3 * size**2
    return {
        "noise": sigma,
        "noise_l1": sigma * values * math.sqrt(2 / math.pi),
        "noise_l2": sigma * math.sqrt(values),
        "noise_linf": sigma * NormalDist().inv_cdf((1 + 0.5 ** (1 / values)) / 2),
    }


def _ours(confidence: float) -> str:
    """Name the row of ours."""
    return f"Ours (a = {confidence:g})"


def _iterations(row: str) -> tuple[str, int]:
    """Give the place of a row of PerC_AL: by its kind, then by its iterations."""
    number, _, kind = row.removeprefix("PerC_AL, ").partition(" iterations")
    return kind, int(number)


def _gradient(row: str) -> str:
    """Name the place where the gradient of ours is read."""
    return f"Gradient of {row.replace('Ours', 'ours')}"


def _at(place: str, found: Iterable[Candidate]) -> list[Candidate]:
    """Find the candidates of a place."""
    return [one for one in found if one.place == place]


def _favoured(group: Sequence[Candidate]) -> str:
    """Name the favoured one of a place's candidates, as in a sentence."""
    if not group:
        return "none, for the paper has no such row"
    best = favoured(group)
    return f"“{best}”" if best else "none clearly"


def _range(factors: Sequence[float]) -> str:
    """Tell the range of factors, and how many candidates are ruled out: "1.38 to 1.65"."""
    finite = [one for one in factors if math.isfinite(one)]
    ends = list(dict.fromkeys(f"{end(finite):.2f}" for end in (min, max))) if finite else ["–"]
    told = " to ".join(ends)
    excluded = len(factors) - len(finite)
    return f"{told} ({excluded} ruled out)" if excluded else told
