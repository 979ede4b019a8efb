"""Section 4: its settings, its statistics, and what is said of training and fairness."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from humimp import dro, fairness, paper
from humimp.scoreboard.entry import Entry, Finding, missing
from humimp.scoreboard.evidence import Evidence, Geography, mean
from humimp.scoreboard.verdicts import (
    BEYOND,
    BY_CONSTRUCTION,
    CLOSE,
    DIFFERS,
    GEOGRAPHIES,
    NOT_TESTABLE,
    REPRODUCED,
    Difference,
    claim,
    equal,
)

_TABLE = "the authors' countries of ImageNet's images, never published"
_RECOMPUTED = "from the paper's statistic"
_PAIRS = paper.N_MODELS - 1


# --------------------------------------------------------------------- what the paper prints, again


def _f_probability(_: Evidence) -> Finding:
    """Judge whether the printed F has the printed probability."""
    p = fairness.f_p_value(paper.F_STATISTIC, *paper.F_DEGREES)
    low, high = (fairness.f_p_value(paper.F_STATISTIC + d, *paper.F_DEGREES) for d in (5e-4, -5e-4))
    fits = low - 5e-6 <= paper.F_PROBABILITY <= high + 5e-6
    return Finding(REPRODUCED if fits else DIFFERS, f"{p:.5f}", _RECOMPUTED)


def _t_probability(t: float, p: float, _: Evidence) -> Finding:
    """Judge whether a printed t has the printed probability, at 49 degrees of freedom."""
    fits = bool(fairness.fitting_df(t, p, among=[_PAIRS]))
    both = fairness.t_p_value(t, 2 * _PAIRS)
    note = f"one-sided and paired, {_PAIRS} degrees of freedom; unpaired, {2 * _PAIRS}: {both:.5f}"
    ours = f"{fairness.t_p_value(t, _PAIRS):.5f}"
    return Finding(REPRODUCED if fits else DIFFERS, ours, _RECOMPUTED, note=note)


def _rejects(tests: Sequence[tuple[str, float]], _: Evidence) -> Finding:
    """Judge whether what follows from the printed statistics is below the paper's level."""
    word = claim([Difference(paper.SIGNIFICANCE - p) for _, p in tests])
    return Finding(word, ", ".join(f"{name} {p:.5f}" for name, p in tests), _RECOMPUTED)


# --------------------------------------------------------------------------- models of Section 4.3


def _measured(
    evidence: Evidence,
    needed: Sequence[str],
    differences: Callable[[Geography], Sequence[Difference]],
    said: Callable[[Geography], str],
    tells: Callable[[Geography], bool],
) -> Finding:
    """Judge a claim about trained models, in each simulated geography that can tell.

    Whether it can, θ₀ decides, whose answers are needed beside those of the models named.
    """
    have = [one for one in evidence.geographies if {"theta0", *needed} <= set(one.right)]
    if not have:
        return Finding(NOT_TESTABLE, note="a run of page 4.3, and what θ₀ answers there")
    able = [one for one in have if tells(one)]
    silent = ", ".join(dict.fromkeys(one.whose for one in have if one not in able))
    if not able:
        return Finding(NOT_TESTABLE, note=f"something to lower: there is nothing in {silent}")
    word, notes = claim([difference for one in able for difference in differences(one)]), []
    if word == NOT_TESTABLE:
        notes.append("more models: chance explains what is left")
    if word == REPRODUCED and len(able) < GEOGRAPHIES:
        word = CLOSE
        notes.append("it holds in the only geography that tells")
    if silent:
        notes.append(f"nothing to lower in {silent}")
    ours = said(able[0])
    if len(able) > 1:
        ours += f"; in other geographies: {'; '.join(said(one) for one in able[1:])}"
    runs = [
        f"{whose}, " + ("one geography" if n == 1 else f"{n} geographies")
        for whose, n in Counter(one.whose for one in able).items()
    ]
    stand_ins = dict.fromkeys(one.stand_in for one in able)
    return Finding(word, ours, "; ".join(runs), "; ".join(stand_ins), "; ".join(notes))


def _t(difference: Difference) -> str:
    return f"t = {difference.value / difference.error:.2f}".replace("-", "−")


def _smaller_slopes(other: str, evidence: Evidence) -> Finding:
    """Judge whether slopes after training on ours are smaller."""

    def difference(one: Geography) -> Difference:
        return mean(one.betas(other) - one.betas("Ours"))

    return _measured(
        evidence,
        ["Ours", other],
        lambda one: [difference(one)],
        lambda one: _t(difference(one)),
        _biased,
    )


def _magnitudes(evidence: Evidence) -> Finding:
    """Judge whether slopes after training on ours are of the smallest magnitude."""
    others = ("PGD", "PerC_AL")
    if not any(set(others) <= set(one.right) for one in evidence.geographies):
        return Finding(NOT_TESTABLE, note="models trained on both other attacks")

    def trained(one: Geography) -> list[str]:
        return [name for name in others if name in one.right]  # other deals have PGD alone

    def said(one: Geography) -> str:
        names = ("Ours", *trained(one))
        return ", ".join(f"{n} {np.nanmean(np.abs(one.betas(n))):.4f}" for n in names)

    def differences(one: Geography) -> list[Difference]:
        own = np.abs(one.betas("Ours"))
        return [mean(np.abs(one.betas(name)) - own) for name in trained(one)]

    return _measured(evidence, ["Ours"], differences, said, _biased)


def _below_start(
    measure: Callable[[Geography, str], np.ndarray],
    said: Callable[[Geography], str],
    tells: Callable[[Geography], bool],
    evidence: Evidence,
) -> Finding:
    """Judge whether something is smaller after training on ours than before."""
    return _measured(
        evidence,
        ["Ours"],
        lambda one: [mean(measure(one, "theta0") - measure(one, "Ours"))],
        said,
        tells,
    )


_AROUND = ("theta0", "Ours")


def _around(form: str, measure: Callable[[Geography, str], np.ndarray], one: Geography) -> str:
    before, after = (form.format(float(np.nanmean(measure(one, name)))) for name in _AROUND)
    return f"{before} before, {after} after".replace("-", "−")


def _biased(one: Geography) -> bool:
    """Whether accuracy rises with income before training."""
    return one.p_before < paper.SIGNIFICANCE and float(one.betas("theta0")[0]) > 0


def _less_biased(evidence: Evidence) -> Finding:
    """Judge whether the slope is of smaller magnitude after training on ours."""
    return _below_start(
        lambda one, name: np.abs(one.betas(name)),
        partial(_around, "{:.4f}", lambda one, name: one.betas(name)),
        _biased,
        evidence,
    )


def _less_dependent(evidence: Evidence) -> Finding:
    """Judge whether the planted pattern is worth less after training on ours."""

    def worth(one: Geography, name: str) -> np.ndarray:
        return 100 * one.worth(name)

    def tells(one: Geography) -> bool:
        return one.worth_before.value > BEYOND * one.worth_before.error

    return _below_start(worth, partial(_around, "{:.1f} points", worth), tells, evidence)


def _more_equal(evidence: Evidence) -> Finding:
    """Judge whether the gap between rich and poor is smaller after training on ours."""

    def gap(one: Geography, name: str) -> np.ndarray:
        return 100 * one.gap(name)

    def said(one: Geography) -> str:
        before, after = (one.poorest(name) for name in _AROUND)
        poor = f"; in the poorest quarter, {before:.1f} % right before, {after:.1f} % after"
        return _around("{:.1f} points", gap, one) + poor

    return _below_start(lambda one, name: np.abs(gap(one, name)), said, _biased, evidence)


def _cheaply(evidence: Evidence) -> Finding:
    """Judge whether one more model takes less time than the data set."""
    found = [one for one in evidence.geographies[:1] if "Ours" in one.seconds]
    if not found:
        return Finding(NOT_TESTABLE, note="the times of Algorithms 2 and 3")
    pool, model = found[0].seconds["Ours"]
    ours = f"{_seconds(pool)} s for the data set, {_seconds(model)} s for each model"
    return Finding(claim([Difference(pool - model)]), ours, found[0].whose, found[0].stand_in)


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _recent(evidence: Evidence) -> Finding:
    """Judge whether the weights favour the later rounds."""
    found = evidence.parameters("04_3_results")
    if found is None:
        return Finding(NOT_TESTABLE, note="a run of page 4.3")
    n, rounds = found[1]["n_train"], found[1]["rounds"]
    weights = dro.weights(n, rounds).numpy()
    shares = 100 * weights.reshape(rounds + 1, n).sum(1) / weights.sum()
    word = claim([Difference(float(step)) for step in np.diff(shares)])
    told = ", ".join(f"{share:.2g}" for share in shares)
    return Finding(word, f"{told} % of the draws, by round", BY_CONSTRUCTION)


def _count(key: str, printed: int, evidence: Evidence) -> Finding:
    """Judge a setting of page 4.3."""
    found = evidence.parameters("04_3_results")
    if found is None:
        return Finding(NOT_TESTABLE, note="a run of page 4.3")
    source, values = found
    return Finding(equal(values[key], printed), str(values[key]), source.run)


def _countries(evidence: Evidence) -> Finding:
    """Judge the number of countries."""
    if not evidence.geographies:
        return Finding(NOT_TESTABLE, note="a run of page 4.3")
    one = evidence.geographies[0]
    n = len(one.kept)
    return Finding(equal(n, paper.N_COUNTRIES), str(n), one.source.run, "simulated countries")


def _level(_: Evidence) -> Finding:
    return Finding(REPRODUCED, f"{paper.SIGNIFICANCE}", "all tests")


# ------------------------------------------------------------------------------------ the entries

_P, _B, _A = "04_1_bias_metric#tab-p-values", "04_3_results#fig-5b", "04_3_results#tab-accuracy"


def settings() -> list[Entry]:
    """List the numbers that the authors chose."""

    def entry(what: str, name: str, page: str, judge: Callable[[Evidence], Finding]) -> Entry:
        printed = str(getattr(paper, name))
        return Entry("setting", "4", what, paper.PLACES[name], page, judge, printed)

    return [
        entry("Countries (from the degrees of freedom)", "N_COUNTRIES", "04_1_bias_metric",
              _countries),
        entry("Level of the tests", "SIGNIFICANCE", "04_1_bias_metric", _level),
        entry("Models for each attack", "N_MODELS", "04_3_results",
              partial(_count, "n_models", paper.N_MODELS)),
        entry("Rounds T₁ of Algorithm 2", "T1", "04_3_results",
              partial(_count, "rounds", paper.T1)),
        entry("Passes T₂ of Algorithm 3", "T2", "04_3_results",
              partial(_count, "passes", paper.T2)),
    ]  # fmt: skip


def numbers() -> list[Entry]:
    """List the results in numbers."""

    def entry(
        what: str, name: str, printed: str, page: str, judge: Callable[[Evidence], Finding]
    ) -> Entry:
        return Entry("number", "4", what, paper.PLACES[name], page, judge, printed)

    gpu = "an NVIDIA V100"
    return [
        entry("Share of images from the US, %", "SHARE_US", f"{paper.SHARE_US}",
              "04_1_bias_metric", missing(_TABLE)),
        entry("Share of images from the UK, %", "SHARE_UK", f"{paper.SHARE_UK}",
              "04_1_bias_metric", missing(_TABLE)),
        entry("F of the pretrained model", "F_STATISTIC", f"{paper.F_STATISTIC}",
              "04_1_bias_metric#fig-5a", missing(_TABLE)),
        entry("Degrees of freedom of this F", "F_DEGREES", "1 and 39", "04_1_bias_metric#fig-5a",
              missing(_TABLE)),
        entry("Probability of this F", "F_PROBABILITY", f"{paper.F_PROBABILITY}", _P,
              _f_probability),
        entry("t against PGD", "T_PGD", f"{paper.T_PGD}", "04_3_results#tab-tests",
              missing(_TABLE)),
        entry("Probability of t against PGD", "P_PGD", f"{paper.P_PGD:.5f}", _P,
              partial(_t_probability, paper.T_PGD, paper.P_PGD)),
        entry("t against PerC", "T_PERC", f"{paper.T_PERC}", "04_3_results#tab-tests",
              missing(_TABLE)),
        entry("Probability of t against PerC", "P_PERC", f"{paper.P_PERC:.5f}", _P,
              partial(_t_probability, paper.T_PERC, paper.P_PERC)),
        entry("Hours of Algorithm 2", "HOURS_ALGORITHM2", f"about {paper.HOURS_ALGORITHM2}",
              "04_2_dro", missing(f"{gpu}, and {_TABLE}")),
        entry("Hours of Algorithm 3, fifty times", "HOURS_ALGORITHM3",
              f"about {paper.HOURS_ALGORITHM3}", "04_2_dro", missing(f"{gpu}, and {_TABLE}")),
    ]  # fmt: skip


def claims() -> list[Entry]:
    """List what is said in words."""

    def entry(
        what: str, rule: str, place: str, page: str, judge: Callable[[Evidence], Finding]
    ) -> Entry:
        return Entry("claim", "4", what, place, page, judge, "", rule)

    first, f5b = "Section 4, first paragraph", "Figure 5b, caption"
    every = "in every geography where p(F) < 0.05 before"
    f = fairness.f_p_value(paper.F_STATISTIC, *paper.F_DEGREES)
    ts = [("PGD", paper.T_PGD), ("PerC", paper.T_PERC)]
    t_values = [
        (f"{name} at {df}:", fairness.t_p_value(t, df))
        for name, t in ts
        for df in (_PAIRS, 2 * _PAIRS)
    ]
    return [
        entry("ImageNet and Open Images are unbalanced, and classifiers serve countries unequally",
              "", first, "02_related_work", missing("data of the papers that it cites")),
        entry("Most images come from the US, the UK, Canada, Australia and Germany, in this order",
              "", first, "04_1_bias_metric", missing(_TABLE)),
        entry("People classify images of all incomes about equally well", "", first,
              "04_1_bias_metric", missing("people who classify; an assumption of the authors")),
        entry("Training on imperceptible changes makes a model depend less on unseen features",
              "what the planted pattern is worth: after ours < before, where it is worth something",
              first, _A, _less_dependent),
        entry("So the model performs more equally across geographical groups",
              "|richest − poorest quarter|: after ours < before, where p(F) < 0.05 before", first,
              _A, _more_equal),
        entry("Countries with fewer images have less certain accuracies", "", "Section 4.1",
              "04_1_bias_metric#sec-trial",
              missing("real countries; an assumption of the authors")),
        entry("Algorithm 2 draws recent attacks more often",
              "share of the draws rises with the round", "Section 4.2", "04_2_dro#tab-pool",
              _recent),
        entry("Algorithm 2 behaves like stochastic approximation on two time scales", "",
              "Section 4.2", "04_2_dro", missing("the analysis, which the authors leave open")),
        entry("One adversarial data set makes many models efficiently",
              "seconds(Algorithm 3, a model) < seconds(Algorithm 2)", "Section 4.2", "04_2_dro",
              _cheaply),
        entry("The pretrained classifier's accuracy depends on income: it is not fair to groups",
              "", "Section 4.3, first paragraph", "04_1_bias_metric#fig-5a", missing(_TABLE)),
        entry("The F-test rejects that the slope is zero", "p(F = 5.392; 1, 39) < 0.05",
              "Section 4.3, first paragraph", _P, partial(_rejects, [("p =", f)])),
        entry("The t-tests reject for both competitors",
              "p(t = 3.85), p(t = 2.95) < 0.05, at 49 and at 98 degrees of freedom",
              "Section 4.3, second paragraph", _P, partial(_rejects, t_values)),
        entry("Slopes after training on ours are smaller than after PGD's",
              f"mean β(PGD) − β(ours) > 0 in pairs, {every}",
              "Section 4.3, second paragraph", "04_3_results#tab-deals",
              partial(_smaller_slopes, "PGD")),
        entry("Slopes after training on ours are smaller than after PerC's",
              f"mean β(PerC_AL) − β(ours) > 0 in pairs, {every}",
              "Section 4.3, second paragraph",
              "04_3_results#tab-tests", partial(_smaller_slopes, "PerC_AL")),
        entry("Slopes after ours are of smaller magnitude than the other two's",
              f"|β(ours)| < |β(PGD)|, |β(PerC_AL)|, {every}",
              "Section 4.3, second paragraph", _B,
              _magnitudes),
        entry("Training on our attack reduces the bias", "|β(ours)| < β₀, where p(F) < 0.05 before",
              f5b, _B, _less_biased),
        entry("Algorithm 2 needs as much memory as other adversarial training", "",
              "Section 4.3, last paragraph", "04_2_dro", missing("a measurement of memory")),
    ]  # fmt: skip
