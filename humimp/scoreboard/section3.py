"""Section 3: its settings, the 42 numbers of Table 1, and what is said of the attacks."""

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from humimp import attacks, duality, evaluate, paper, pieapp
from humimp.figures.table1 import HEADINGS
from humimp.scoreboard.entry import Entry, Finding, missing
from humimp.scoreboard.evidence import TABLE1_PAGES, Company, Evidence, Row, Source, mean
from humimp.scoreboard.verdicts import (
    BY_CONSTRUCTION,
    CLOSE,
    DIFFERS,
    FEWEST,
    NEAR,
    NOT_TESTABLE,
    REPRODUCED,
    Difference,
    claim,
    equal,
    interval,
    number,
    rate,
)

A0, A1, A5 = (f"Ours (a = {a})" for a in paper.CONFIDENCES)
PGD, PERC, PPGD, LPA = "PGD (L2)", "PerC_AL", "NPTM (PPGD)", "NPTM (LPA)"
ROWS = tuple(paper.TABLE1)
RIVALS = tuple(name for name in ROWS if not name.startswith("Ours"))
#: Other readings of the text (appendix A2), and the rows that they put in the place of these.
READINGS = {
    "with normalised gradients": {name: f"{name}, normalised" for name in (A0, A1, A5)},
    "with κ = 40": {PERC: f"{PERC} (κ = 40)"},
    "with the classifier's own features": {
        PPGD: "PPGD, own, bound 0.5",
        LPA: "LPA, own, bound 0.5",
    },
}
_COLUMN = {**{key: HEADINGS[key][0] for key in paper.TABLE1_DECIMALS}, "success_rate": "success, %"}
_PEOPLE = "people who look; no run asks any"
_FEW = "more images: with these, the errors are too wide"


# ------------------------------------------------------------------------------- Table 1's numbers


def _table1(name: str, column: str, evidence: Evidence) -> Finding:
    """Judge one number of Table 1."""
    row = evidence.row(name, "success" if column == "success_rate" else column)
    if row is None or not row.n:
        return Finding(NOT_TESTABLE, note="a run of this attack")
    printed, won = paper.TABLE1[name][column], int(row.records["success"].sum())
    value, error = float(row.summary[column]), float(row.errors[column])
    if column == "success_rate":
        low, high = interval(won, row.n, row.sampled)
        ours = f"{value:.4g}" + (f" ({low:.0f} to {high:.0f})" if high > low else "")
        word = rate(won, row.n, printed, row.sampled)
    else:
        ours = _plus_minus(value, error, HEADINGS[column][1])
        word = number(value, error, printed, paper.TABLE1_DECIMALS[column], won)
    note = _FEW if word == NOT_TESTABLE else ""
    if not row.as_in_the_paper:
        word, note = NOT_TESTABLE, "a run at the paper's settings"
    page = row.source.page if row.source.page in TABLE1_PAGES[1:] else ""
    return Finding(
        word, ours, row.whose, row.stand_in, note, page, _otherwise(name, column, evidence)
    )


def _otherwise(name: str, column: str, evidence: Evidence) -> str:
    """Say what other readings give for a distance of Table 1."""
    told = []
    for how, instead in READINGS.items():
        row = evidence.row(instead.get(name, ""), column)
        if column == "success_rate" or row is None or not row.as_in_the_paper:
            continue
        value, error = float(row.summary[column]), float(row.errors[column])
        won = int(row.records["success"].sum())
        word = number(value, error, paper.TABLE1[name][column], paper.TABLE1_DECIMALS[column], won)
        told.append(f"{how}: {_plus_minus(value, error, HEADINGS[column][1])} ({word})")
    return "; ".join(told)


def _plus_minus(value: float, error: float, digits: int) -> str:
    if math.isnan(value):
        return "–"
    known = math.isnan(error) or error == 0  # of all the paper's images, no error is left
    return f"{value:.{digits}f}" + ("" if known else f" ± {error:.{digits}f}")


# -------------------------------------------------------------------------------- Table 1's claims


def _judged(
    company: Company | None,
    differences: Callable[[Company], Sequence[Difference]],
    said: Callable[[Company], str],
) -> Finding:
    """Judge a claim about attacks that were run on the same images."""
    if company is None:
        return Finding(NOT_TESTABLE, note="a run of all the attacks that it compares")
    word = claim(differences(company)) if company.n >= FEWEST else NOT_TESTABLE
    stand_ins = dict.fromkeys(row.stand_in for row in company.rows.values() if row.stand_in)
    page = company.page if company.page in TABLE1_PAGES[1:] else ""
    return Finding(
        word, said(company), company.whose, "; ".join(stand_ins),
        _FEW if word == NOT_TESTABLE else "", page,
    )  # fmt: skip


def _compared(
    evidence: Evidence,
    names: Sequence[str],
    columns: Sequence[str],
    defenses: Sequence[str],
    differences: Callable[[Company], Sequence[Difference]],
    said: Callable[[Company], str],
) -> Finding:
    """Judge a claim about these attacks, and say what it comes to under other readings."""
    found = _judged(evidence.company(names, columns, defenses), differences, said)
    otherwise = []
    for how, instead in READINGS.items():
        company = evidence.company(names, columns, defenses, instead)
        if company is not None and company.n >= FEWEST and set(names) & set(instead):
            other = _judged(company, differences, said)
            otherwise.append(f"{how}: {other.ours} ({other.verdict}, n = {company.n})")
    return found._replace(otherwise="; ".join(otherwise))


def _value(company: Company, name: str, column: str) -> str:
    return f"{company.distance(name, column):.{HEADINGS[column][1]}f}"


def _smallest(name: str, column: str, evidence: Evidence) -> Finding:
    """Judge whether this row has the smallest distance of the seven."""
    others = [other for other in ROWS if other != name]

    def said(company: Company) -> str:
        own = company.distance(name, column)
        nearer = [other for other in others if company.distance(other, column) < own]
        told = [f"{other} {_value(company, other, column)}" for other in nearer]
        return f"{_value(company, name, column)}; smaller: {', '.join(told) or 'none'}"

    found = _compared(
        evidence, ROWS, [column], [],
        lambda company: [company.less(name, other, column) for other in others],
        said,
    )  # fmt: skip
    if name == PGD:
        return found
    beside = _less(name, PGD, [column], evidence).otherwise  # no page has all seven that way
    told = (found.otherwise, beside and f"beside PGD, {beside}")
    return found._replace(otherwise="; ".join(filter(None, told)))


def _less(name: str, other: str, columns: Sequence[str], evidence: Evidence) -> Finding:
    """Judge whether each distance of one row is smaller than that of another."""

    def said(company: Company) -> str:
        return ", ".join(
            f"{_COLUMN[c].partition(' (')[0]} {_value(company, name, c)} and "
            f"{_value(company, other, c)}"
            for c in columns
        )

    return _compared(
        evidence, [name, other], columns, [],
        lambda company: [company.less(name, other, column) for column in columns],
        said,
    )  # fmt: skip


def _rising(evidence: Evidence) -> Finding:
    """Judge whether more confidence makes attacks more perceptible."""
    columns = ("lpips", "dists")

    def said(company: Company) -> str:
        return "; ".join(
            f"{c.upper()} " + ", ".join(_value(company, name, c) for name in (A0, A1, A5))
            for c in columns
        )

    return _compared(
        evidence, (A0, A1, A5), columns, [],
        lambda company: [
            company.less(low, high, column)
            for low, high in ((A0, A1), (A1, A5))
            for column in columns
        ],
        said,
    )  # fmt: skip


def _alike(evidence: Evidence) -> Finding:
    """Judge whether the proxies of vision find PGD and ours at a = 0 alike."""

    def room(company: Company, column: str) -> Difference:
        a, b = company.both(PGD, A0, column)
        if len(a) < FEWEST:
            return Difference(math.nan, math.nan)
        error = mean(a / a.mean() - b / b.mean()).error
        return Difference(math.log(NEAR) - abs(math.log(a.mean() / b.mean())), error)

    def said(company: Company) -> str:
        return ", ".join(
            f"{c.upper()} {_value(company, PGD, c)} and {_value(company, A0, c)}"
            for c in ("lpips", "dists")
        )

    return _compared(
        evidence, [PGD, A0], ["lpips", "dists"], [],
        lambda company: [room(company, column) for column in ("lpips", "dists")],
        said,
    )  # fmt: skip


def _always(evidence: Evidence) -> Finding:
    """Judge whether ours always succeed."""
    rows = [row for name in (A0, A1, A5) if (row := evidence.row(name)) is not None]
    if len(rows) < len(paper.CONFIDENCES):
        return Finding(NOT_TESTABLE, note="a run of ours at each of the three a")
    won = [int(row.records["success"].sum()) for row in rows]
    words = [rate(k, row.n, 100.0, row.sampled) for k, row in zip(won, rows, strict=True)]
    if all(k == row.n >= FEWEST for k, row in zip(won, rows, strict=True)):
        word = REPRODUCED if set(words) == {REPRODUCED} else CLOSE
    else:  # one that resists is enough
        word = DIFFERS if any(k < row.n for k, row in zip(won, rows, strict=True)) else NOT_TESTABLE
    ours = ", ".join(f"{k} of {row.n}" for k, row in zip(won, rows, strict=True))
    lost = [row for k, row in zip(won, rows, strict=True) if k < row.n]
    decides = lost[0] if lost else min(rows, key=lambda row: row.n)
    return Finding(word, ours, decides.whose, decides.stand_in)


# ------------------------------------------------------------------------------- Figure 4's claims


_WORDS = {"jpeg": "JPEG", "bits": "bit depth"}


def _defended(company: Company, name: str, defense: str) -> str:
    return f"{company.survival(name, defense).mean():.0f} %"


def _strongest(name: str, defense: str, evidence: Evidence) -> Finding:
    """Judge whether more of this row than of any other of the seven survives a defence."""
    others = [other for other in ROWS if other != name]

    def said(company: Company) -> str:
        rates = {row: company.survival(row, defense).mean() for row in ROWS}
        ahead = [row for row in others if rates[row] >= rates[name]]
        told = ", ".join(f"{row} {rates[row]:.0f} %" for row in ahead)
        return f"{rates[name]:.0f} %; as much or more: {told or 'none'}"

    return _compared(
        evidence, ROWS, [], [defense],
        lambda company: [company.stronger(name, other, defense) for other in others],
        said,
    )  # fmt: skip


def _stronger(name: str, other: str, defenses: Sequence[str], evidence: Evidence) -> Finding:
    """Judge whether more of one row than of another survives these defences."""

    def said(company: Company) -> str:
        return "; ".join(
            f"{_WORDS[d]}: {_defended(company, name, d)} and {_defended(company, other, d)}"
            for d in defenses
        )

    return _compared(
        evidence, [name, other], [], defenses,
        lambda company: [company.stronger(name, other, d) for d in defenses],
        said,
    )  # fmt: skip


def _similar(company: Company) -> list[tuple[str, str]]:
    """Pair ours with rivals that are alike in LPIPS, to within the factor NEAR."""
    lpips = {name: company.distance(name, "lpips") for name in ROWS}
    return [
        (ours, rival)
        for ours in (A0, A1, A5)
        for rival in RIVALS
        if 1 / NEAR <= lpips[ours] / lpips[rival] <= NEAR
    ]


_NONE = "no pair is alike in LPIPS"


def _beside_similar(evidence: Evidence) -> Finding:
    """Judge whether ours stand defences better than rivals that are as perceptible."""

    def said(company: Company) -> str:
        told = [
            f"{ours} and {rival}: "
            + "; ".join(
                f"{_WORDS[d]} {_defended(company, ours, d)} and {_defended(company, rival, d)}"
                for d in _WORDS
            )
            for ours, rival in _similar(company)
        ]
        return "; ".join(told) or _NONE

    found = _compared(
        evidence, ROWS, [], ["jpeg", "bits"],
        lambda company: [
            company.stronger(ours, rival, defense)
            for ours, rival in _similar(company)
            for defense in ("jpeg", "bits")
        ],
        said,
    )  # fmt: skip
    return found._replace(note="attacks that are as perceptible") if found.ours == _NONE else found


# ------------------------------------------------------------------ the method, and Section 3.1


def _duality(_: Evidence) -> Finding:
    """Judge whether both sides of the duality agree, on the toy problem of page 3."""
    x = np.linspace(-3, 3, 601)
    samples = x[[40, 120, 190, 240, 300, 350]]
    losses, costs, budget = np.log1p(np.exp(2 * x)), (samples[:, None] - x) ** 2, 0.3
    worst = duality.worst_case(losses, costs, budget)
    dual = duality.dual(losses, costs, budget, worst.price)
    word = claim([Difference(1e-6 - abs(worst.value - dual))])
    return Finding(word, f"{worst.value:.6f} and {dual:.6f}", "a toy problem, exactly")


def _projection(_: Evidence) -> Finding:
    """Judge whether NPTM's attacks have a projection, and ours none."""
    has = {
        name: "projection" in inspect.signature(attack).parameters
        for name, attack in ((PPGD, attacks.ppgd), (LPA, attacks.lpa), (A0, attacks.imperceptible))
    }
    word = claim([Difference(1.0 if has[PPGD] and has[LPA] and not has[A0] else -1.0)])
    told = [name.partition(" (a")[0] for name, found in has.items() if found]
    return Finding(word, f"with a projection: {', '.join(told) or 'none'}", BY_CONSTRUCTION)


def _price(evidence: Evidence) -> Finding:
    """Judge whether the price on the ground cost lowers it."""
    runs: dict[Source, dict[Any, Row]] = {}
    for row in evidence.on("03_2_1_rounding"):
        if row.name.startswith("lam") and "cost" in row.records:
            runs.setdefault(row.source, {}).setdefault(row.options.get("lam"), row)
    rows = next((rows for rows in runs.values() if {0.0, paper.LAM} <= set(rows)), None)
    if rows is None:
        return Finding(NOT_TESTABLE, note="a run with and without the price")
    company = Company({"with": rows[paper.LAM], "without": rows[0.0]})

    def said(company: Company) -> str:
        values = [1000 * company.distance(name, "cost") for name in ("with", "without")]
        return f"1000 c₀: {values[0]:.2f} with, {values[1]:.2f} without"

    return _judged(company, lambda c: [c.less("with", "without", "cost")], said)


def _steps(evidence: Evidence) -> dict[float, dict[str, Row]]:
    """Find the SSIM and the PGD step of Figure 2 by their distance, both of the same run."""
    runs: dict[tuple[float, Source], dict[str, Row]] = {}
    for row in evidence.on("03_1_ssim"):
        if row.name in ("SSIM step", "PGD step"):
            key = float(row.options["l2"]), row.source
            runs.setdefault(key, {}).setdefault(row.name, row)
    found: dict[float, dict[str, Row]] = {}
    for (l2, _), rows in runs.items():
        if len(rows) == 2:
            found.setdefault(l2, rows)
    return dict(sorted(found.items()))


def _digits(
    evidence: Evidence,
    differences: Callable[[Company, float], Difference],
    said: Callable[[Company, float], str],
) -> Finding:
    """Judge a claim about the digits at each distance of page 3.1."""
    steps = _steps(evidence)
    if not steps:
        return Finding(NOT_TESTABLE, note="a run of the two steps on digits")
    found = {l2: Company(rows) for l2, rows in steps.items()}
    enough = all(company.n >= FEWEST for company in found.values())
    word = claim([differences(c, l2) for l2, c in found.items()]) if enough else NOT_TESTABLE
    ours = "; ".join(f"L₂ {l2:g}: {said(company, l2)}" for l2, company in found.items())
    run = next(iter(found.values()))
    return Finding(word, ours, f"{run['SSIM step'].source.run}, digits, n = {run.n}")


def _structure(evidence: Evidence) -> Finding:
    """Judge whether the SSIM step keeps more structure than a PGD step as long."""

    def difference(company: Company, _: float) -> Difference:
        pair = [company[n].records.query("correct").set_index("id")["cost"] for n in _BOTH]
        return mean(pair[1] - pair[0])

    def said(company: Company, _: float) -> str:
        values = [1 - company[n].records.query("correct")["cost"].mean() for n in _BOTH]
        return f"SSIM {values[0]:.3f} and {values[1]:.3f}"

    return _digits(evidence, difference, said)


_BOTH = ("SSIM step", "PGD step")


def _same_distance(evidence: Evidence) -> Finding:
    """Judge whether both have gone the same distance, to within 1 %."""

    def off(company: Company, l2: float) -> float:
        return max(float((company[n].records["l2"] / l2 - 1).abs().max()) for n in _BOTH)

    found = _digits(
        evidence,
        lambda company, l2: Difference(0.01 - off(company, l2)),
        lambda company, l2: f"to within {100 * off(company, l2):.2g} %",
    )
    return _by_construction(found)


def _both_fool(evidence: Evidence) -> Finding:
    """Judge whether there are three digits that both fool."""

    def count(company: Company) -> int:
        pair = [company[n].records.set_index("id")["success"] for n in _BOTH]
        return int((pair[0] & pair[1]).sum())

    return _digits(
        evidence,
        lambda company, _: Difference(count(company) + 0.5 - paper.N_DIGITS),
        lambda company, _: f"{count(company)} digits",
    )


def _at_most_one(evidence: Evidence) -> Finding:
    """Judge whether SSIM is at most 1."""
    found = _digits(
        evidence,
        lambda c, _: Difference(1e-5 + min(float(c[n].records["cost"].min()) for n in _BOTH)),
        lambda c, _: f"at most {max(1 - float(c[n].records['cost'].min()) for n in _BOTH):.4f}",
    )
    return _by_construction(found)


def _by_construction(found: Finding) -> Finding:
    """Say of what holds in a run that it holds in each."""
    return found._replace(run=BY_CONSTRUCTION) if found.verdict == REPRODUCED else found


# ------------------------------------------------------------------------------------- settings


def _option(key: str, printed: object, names: Sequence[str], evidence: Evidence) -> Finding:
    """Judge a setting of attacks, by the rows that are used for Table 1."""
    rows = [row for name in names if (row := evidence.row(name)) is not None]
    if not rows:
        return Finding(NOT_TESTABLE, note="a run of it")
    values = sorted({row.options.get(key) for row in rows}, key=str)
    ours = ", ".join(f"{v:g}" if isinstance(v, int | float) else str(v) for v in values)
    return Finding(equal(values, [printed]), ours, min(rows, key=lambda row: row.n).whose)


def _confidences(evidence: Evidence) -> Finding:
    rows = [row for name in (A0, A1, A5) if (row := evidence.row(name)) is not None]
    if not rows:
        return Finding(NOT_TESTABLE, note="a run of ours")
    found = [float(row.options["confidence"]) for row in rows]
    ours = ", ".join(f"{value:g}" for value in found)
    word = equal(found, [float(a) for a in paper.CONFIDENCES])
    return Finding(word, ours, min(rows, key=lambda row: row.n).whose)


def _about(key: str, printed: int, evidence: Evidence) -> Finding:
    """Judge the size or the number of images."""
    rows = [row for name in ROWS if (row := evidence.row(name)) is not None]
    if not rows:
        return Finding(NOT_TESTABLE, note="a run of it")
    values = [row.images if key == "images" else int(row.settings["about"]["size"]) for row in rows]
    ours = str(values[0]) if len(set(values)) == 1 else f"{min(values)} to {max(values)}, by row"
    return Finding(equal(set(values), {printed}), ours, min(rows, key=lambda row: row.n).whose)


def _rivals(evidence: Evidence) -> Finding:
    """Count the other methods of Table 1 that were run."""
    rows = [row for name in RIVALS if (row := evidence.row(name)) is not None]
    if not rows:
        return Finding(NOT_TESTABLE, note="a run of another method")
    word = equal(len(rows), paper.N_RIVALS)
    return Finding(word, str(len(rows)), min(rows, key=lambda row: row.n).whose)


def _shown(page: str, printed: int, evidence: Evidence) -> Finding:
    """Judge how many pictures a figure shows."""
    found = evidence.ran(page)
    if not found:
        return Finding(NOT_TESTABLE, note="a run of the page")
    source, parameters = found[-1]  # the page shows a laptop's; above it, others have fewer
    shown = parameters["n_shown"]
    return Finding(equal(shown, printed), str(shown), source.run)


def _scale(_: Evidence) -> Finding:
    scales = {evaluate.SCALES["lpips"], evaluate.SCALES["dists"]}
    ours = ", ".join(map(str, sorted(scales)))
    return Finding(equal(scales, {paper.SCALE}), ours, "the program")


def _least_size(_: Evidence) -> Finding:
    return Finding(equal(pieapp.PATCH, paper.PIEAPP_SIZE), str(pieapp.PATCH), "the program")


# ----------------------------------------------------------------------------------- the entries

_T1, _F4 = "03_2_pieapp#tab-1", "03_2_pieapp#fig-4"


def settings() -> list[Entry]:
    """List the numbers that the authors chose."""

    def entry(
        what: str, name: str, page: str, judge: Callable[[Evidence], Finding], text: str
    ) -> Entry:
        return Entry("setting", "3", what, paper.PLACES[name], page, judge, text)

    method = "03_2_pieapp"
    return [
        entry("Least side of an image for PieAPP, pixels", "PIEAPP_SIZE", "03_method", _least_size,
              f"{paper.PIEAPP_SIZE}"),
        entry("Side of the images, pixels", "IMAGE_SIZE", method,
              partial(_about, "size", paper.IMAGE_SIZE), f"{paper.IMAGE_SIZE}"),
        entry("Images", "N_IMAGES", method, partial(_about, "images", paper.N_IMAGES),
              f"{paper.N_IMAGES}"),
        entry("Other methods compared", "N_RIVALS", _T1, _rivals, f"{paper.N_RIVALS}"),
        entry("Digits in Figure 2", "N_DIGITS", "03_1_ssim#fig-2",
              partial(_shown, "03_1_ssim", paper.N_DIGITS), f"{paper.N_DIGITS}"),
        entry("Photographs in Figure 3", "N_EXAMPLES", "03_2_pieapp#fig-3",
              partial(_shown, method, paper.N_EXAMPLES), f"{paper.N_EXAMPLES}"),
        entry("Factor of LPIPS and DISTS in Table 1", "SCALE", _T1, _scale, f"{paper.SCALE}"),
        Entry("setting", "3", "Line 9 of ours, to 8 bit", "Section 3.2, Algorithm 1",
              "03_2_1_rounding#sec-line-9",
              partial(_option, "validate", "truncate", (A0, A1, A5)), "truncate"),
        entry("Steps N of ours", "STEPS", method,
              partial(_option, "steps", paper.STEPS, (A0, A1, A5)),
              f"{paper.STEPS}"),
        entry("Step size ε of ours", "STEP_SIZE", method,
              partial(_option, "step_size", paper.STEP_SIZE, (A0, A1, A5)), f"{paper.STEP_SIZE}"),
        entry("Price λ", "LAM", method, partial(_option, "lam", paper.LAM, (A0, A1, A5)),
              f"{paper.LAM:g}"),
        entry("Confidences a", "CONFIDENCES", method, _confidences,
              ", ".join(map(str, paper.CONFIDENCES))),
        entry("Steps of PGD", "PGD_STEPS", method,
              partial(_option, "steps", paper.PGD_STEPS, (PGD,)),
              f"{paper.PGD_STEPS}"),
    ]  # fmt: skip


def numbers() -> list[Entry]:
    """List the results in numbers: Table 1, and the labels in Figure 2."""
    table = [
        Entry(
            "number", "3", f"{name}: {_COLUMN[column]}", "Table 1", _T1,
            partial(_table1, name, column), _printed(name, column),
        )
        for name in ROWS
        for column in paper.TABLE1_DECIMALS
    ]  # fmt: skip
    labels = ", ".join(map(str, paper.DIGIT_LABELS))
    return [
        Entry("number", "3", "Labels of PGD's three digits", paper.PLACES["DIGIT_LABELS"],
              "03_1_ssim#fig-2", missing("which digits of MNIST they are"), labels),
        *table,
    ]  # fmt: skip


def _printed(name: str, column: str) -> str:
    value = paper.TABLE1[name][column]
    whole = column == "success_rate" and value == round(value)
    return f"{value:.{0 if whole else paper.TABLE1_DECIMALS[column]}f}"


def claims() -> list[Entry]:
    """List what is said in words."""

    def entry(
        what: str, rule: str, place: str, page: str, judge: Callable[[Evidence], Finding]
    ) -> Entry:
        return Entry("claim", "3", what, place, page, judge, "", rule)

    f2, f3, f4 = "Figure 2, caption", "Figure 3, caption", "Figure 4, caption"
    digits, said = "03_1_ssim#fig-tradeoff", "Section 3.2, second paragraph"
    return [
        entry("The problem over distributions, Eq. (2), equals the one with a price, Eq. (3)",
              "|Eq. (2) − Eq. (3)| < 10⁻⁶ at the best price", "Section 3, Equations (2) and (3)",
              "03_method#fig-e1", _duality),
        entry("Comparing in pairs, as PieAPP was trained to, is more robust than giving scores", "",
              "Section 3, paragraph after Equation (4)", "03_method", missing(_PEOPLE)),
        entry("PieAPP depends on no network trained before it, as LPIPS and DISTS do", "",
              "Section 3, paragraph after Equation (4)", "03_method",
              missing("PieAPP's weights, which could not be had, and their training")),
        entry("SSIM is at most 1", "SSIM ≤ 1 for every digit and step", "Section 3.1",
              "03_1_ssim", _at_most_one),
        entry("In Figure 2, both steps go the same L₂ distance", "|L₂ / asked − 1| < 1 %", f2,
              "03_1_ssim#fig-2", _same_distance),
        entry("Three digits are successfully attacked by both steps", "digits both fool ≥ 3", f2,
              "03_1_ssim#fig-2", _both_fool),
        entry("The SSIM step does not change a digit's structure; PGD's step does",
              "SSIM(SSIM step) > SSIM(PGD step), at every distance", f2, digits, _structure),
        entry("PGD's step makes digits resemble the label that the network gives them", "", f2,
              "03_1_ssim#fig-2", missing(_PEOPLE)),
        entry("The confidence a enhances the attack, so that it stands defences",
              "survival(a = 5) > survival(a = 0), under JPEG and bit depth",
              "Section 3.2, first paragraph", _F4, partial(_stronger, A5, A0, ("jpeg", "bits"))),
        entry("PerC_AL is the faster and less perceptible of the two PerC attacks", "", said,
              "03_2_pieapp", missing("the other one, PerC-C&W, which is not in this edition")),
        entry("Ours joins both goals in one step: the price on the cost is felt",
              "c₀(λ = 1) < c₀(λ = 0), at a = 5", said, "03_2_1_rounding#tab-prices", _price),
        entry("NPTM's attacks need a projection, ours does not",
              "an option for it: PPGD and LPA have one, ours has none", said, "03_2_pieapp",
              _projection),
        entry("Ours always succeeds", "success rate = 100 % at a = 0, 1 and 5, without exception",
              "Table 1", _T1, _always),
        entry("At a = 0, ours has the smallest LPIPS", "LPIPS(a = 0) < LPIPS of each other row",
              "Table 1, caption", _T1, partial(_smallest, A0, "lpips")),
        entry("At a = 0, ours has the smallest DISTS", "DISTS(a = 0) < DISTS of each other row",
              "Table 1, caption", _T1, partial(_smallest, A0, "dists")),
        *(
            entry(f"PGD has the smallest {_COLUMN[column]}",
                  f"{_COLUMN[column]}(PGD) < {_COLUMN[column]} of each other row",
                  "Table 1, in bold", _T1, partial(_smallest, PGD, column))
            for column in ("l1", "l2", "linf")
        ),
        entry("At a = 0, ours has larger Lp distances than PGD",
              "L₁, L₂, L∞(PGD) < those of ours", "Table 1, caption", _T1,
              partial(_less, PGD, A0, ("l1", "l2", "linf"))),
        entry("PGD looks about the same as ours",
              f"LPIPS and DISTS of the two are within a factor of {NEAR}", f3, _T1, _alike),
        entry("PerC_AL's images have noticeable marble effects", "", f3, "03_2_pieapp#fig-3",
              missing(_PEOPLE)),
        entry("LPA's images have noticeable sandy noises", "", f3, "03_2_pieapp#fig-3",
              missing(_PEOPLE)),
        entry("PPGD's images have an area of noises", "", f3, "03_2_pieapp#fig-3",
              missing(_PEOPLE)),
        entry("A network that finds salient objects serves as a third proxy of vision", "",
              "Section 3.2, third paragraph", _T1, missing("a number of it in the paper")),
        entry("Ours stands defences better than attacks that are as perceptible",
              f"survival(ours) > survival(rival), for rivals within a factor of {NEAR} in LPIPS",
              "Section 3.2, paragraph before Figure 4", _F4, _beside_similar),
        entry("At a = 5, ours has the highest success rate under JPEG compression",
              "survival(a = 5) > survival of each other row, mean over the qualities", f4, _F4,
              partial(_strongest, A5, "jpeg")),
        entry("At a = 5, ours has the highest success rate under bit-depth reduction",
              "survival(a = 5) > survival of each other row, mean over the depths", f4, _F4,
              partial(_strongest, A5, "bits")),
        entry("At a = 5, ours is less perceptible than PPGD", "LPIPS and DISTS(a = 5) < PPGD's", f4,
              _T1, partial(_less, A5, PPGD, ("lpips", "dists"))),
        entry("At a = 1, ours is less perceptible than PerC_AL",
              "LPIPS and DISTS(a = 1) < PerC_AL's", f4, _T1,
              partial(_less, A1, PERC, ("lpips", "dists"))),
        entry("At a = 1, ours is more successful than PerC_AL under JPEG compression",
              "survival(a = 1) > survival(PerC_AL), mean over the qualities", f4, _F4,
              partial(_stronger, A1, PERC, ("jpeg",))),
        entry("More confidence makes the attack more perceptible",
              "LPIPS and DISTS: a = 0 < a = 1 < a = 5", f4, _T1, _rising),
    ]  # fmt: skip
