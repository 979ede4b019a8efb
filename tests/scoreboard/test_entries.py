import re
import shutil

import numpy as np
import pytest

from humimp import experiment, fairness, paper
from humimp.scoreboard import entries, reference, scoreboard
from humimp.scoreboard.entry import line
from humimp.scoreboard.evidence import Evidence
from humimp.scoreboard.section3 import A0, A1, A5, LPA, PERC, PGD, PPGD
from humimp.scoreboard.verdicts import (
    CLOSE,
    DIFFERS,
    NOT_TESTABLE,
    REPRODUCED,
    VERDICTS,
)

from . import conftest
from .conftest import (
    LAPTOPS,
    PAPERS,
    options,
    spread,
    write_models,
    write_run,
    write_table1,
)

PAGE = "03_2_pieapp"


class Judged:
    """Lines by name, each judged when it is asked for."""

    def __init__(self, root):
        self.evidence = Evidence(reference(root))
        self.entries = entries()

    def line(self, what):
        (entry,) = (entry for entry in self.entries if entry.what == what)
        return line(entry, self.evidence)

    def __getitem__(self, what):
        return self.line(what).verdict


def test_every_number_of_the_paper_has_its_line():
    lines = entries()
    told = {(line.place, tuple(re.findall(r"[\d.]+", line.paper))) for line in lines}
    for name, place in paper.PLACES.items():
        if name in ("TABLE1", "TABLE1_BOLD", "TABLE1_DECIMALS", "TOP_COUNTRIES"):
            continue
        value = getattr(paper, name)
        numbers = value if isinstance(value, tuple) else (value,)
        wanted = tuple(float(one) for one in numbers)
        same = [t for p, t in told if p == place and tuple(map(float, t)) == wanted]
        assert same, f"{name} = {value} has no line"
    table = [line for line in lines if line.place == "Table 1" and line.kind == "number"]
    printed = [float(line.paper) for line in table]
    assert printed == [value for row in paper.TABLE1.values() for value in row.values()]


def test_lines_are_told_apart():
    names = [line.what for line in entries()]
    assert len(set(names)) == len(names)
    assert all((line.kind == "claim") != bool(line.paper) for line in entries())


def test_without_any_run_nothing_is_claimed_that_needs_one(root):
    board = scoreboard(reference(root))
    assert set(board["verdict"]) <= {REPRODUCED, NOT_TESTABLE}
    done = board[board["verdict"] == REPRODUCED]
    assert set(done["run"]) <= {
        *("a toy problem, exactly", "by construction", "the program"),
        *("from the paper's statistic", "all tests"),
    }
    left = board[board["verdict"] == NOT_TESTABLE]
    assert left["note"].all(), "what is missing has to be said"


# ----------------------------------------------------------------------------------------- Table 1


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """Write runs whose means are those that the paper prints."""
    root = tmp_path_factory.mktemp("papers")
    write_table1(root / "results" / "paper" / PAGE, PAPERS)
    return root


def test_the_paper_s_own_table_is_reproduced(papers):
    board = scoreboard(reference(papers))
    table = board[(board["place"] == "Table 1") & (board["kind"] == "number")]
    assert len(table) == 42
    assert set(table["verdict"]) == {REPRODUCED}
    assert set(table["run"]) == {"paper's settings, n = 1000"}
    ours = table[table["what"].str.startswith("Ours")]
    assert set(ours["stand_in"]) == {"PieAPP-small for PieAPP"}
    assert table.set_index("what").loc["PGD (L2): LPIPS (×1000)", "ours"] == "7.82"
    assert set(board["verdict"]) <= set(VERDICTS)


def test_the_paper_s_claims_hold_for_its_own_table(papers):
    said = Judged(papers)
    for claim in (
        "Ours always succeeds",
        "At a = 0, ours has the smallest LPIPS",
        "At a = 0, ours has the smallest DISTS",
        "PGD has the smallest L₁",
        "PGD has the smallest L₂",
        "PGD has the smallest L∞",
        "At a = 0, ours has larger Lp distances than PGD",
        "PGD looks about the same as ours",
        "Ours stands defences better than attacks that are as perceptible",
        "At a = 5, ours has the highest success rate under JPEG compression",
        "At a = 5, ours has the highest success rate under bit-depth reduction",
        "At a = 5, ours is less perceptible than PPGD",
        "At a = 1, ours is less perceptible than PerC_AL",
        "At a = 1, ours is more successful than PerC_AL under JPEG compression",
        "More confidence makes the attack more perceptible",
        "The confidence a enhances the attack, so that it stands defences",
    ):
        assert said[claim] == REPRODUCED, claim


def test_numbers_that_are_off_are_judged_so(root):
    factors = {
        (PGD, "l1"): (1.04, REPRODUCED), (PGD, "l2"): (0.96, REPRODUCED),
        (PGD, "lpips"): (1.2, CLOSE), (PGD, "dists"): (0.85, CLOSE),
        (PERC, "l1"): (1.4, DIFFERS), (PERC, "lpips"): (0.7, DIFFERS),
    }  # fmt: skip
    given = {key: factor for key, (factor, _) in factors.items()}
    write_table1(root / "results" / "p" / PAGE, PAPERS, factors=given, n=300, names=[PGD, PERC])
    said = Judged(root)
    names = {"l1": "L₁", "l2": "L₂", "lpips": "LPIPS (×1000)", "dists": "DISTS (×1000)"}
    for (name, column), (_, verdict) in factors.items():
        assert said[f"{name}: {names[column]}"] == verdict, (name, column)


def test_a_number_from_other_settings_is_shown_and_not_judged(root):
    write_table1(root / "results" / "laptop" / PAGE, LAPTOPS, n=50)
    said = Judged(root)
    found = said.line("PGD (L2): L₁")
    assert (found.verdict, found.note) == (NOT_TESTABLE, "a run at the paper's settings")
    assert found.ours.startswith("592.74 ± ")
    assert said["At a = 0, ours has the smallest DISTS"] in (REPRODUCED, CLOSE)


def test_a_missing_profile_falls_back_row_by_row(root):
    write_table1(root / "results" / "laptop" / PAGE, LAPTOPS, n=50)
    write_table1(root / "results" / "paper_cpu" / PAGE, PAPERS, n=100, names=[PGD, A0])
    said = Judged(root)
    few, many = "laptop, MobileNetV2, n = 50", "paper's settings, n = 100"
    assert said.line("PGD (L2): L₁").run == many
    assert said.line("PerC_AL: L₁").run == few
    # Rows of different images are not compared with each other.
    assert said.line("At a = 0, ours has larger Lp distances than PGD").run == many
    assert said.line("At a = 0, ours has the smallest LPIPS").run == few


def test_a_verdict_leads_to_the_page_that_made_the_records(root):
    for page, n in ((PAGE, 20), ("a2_readings", 40)):
        write_table1(root / "results" / "paper_cpu" / page, PAPERS, n=n, names=[PGD, A0])
    said = Judged(root)
    for what in ("PGD (L2): L₁", "At a = 0, ours has larger Lp distances than PGD"):
        assert said.line(what).page == "a2_readings"
        assert said.line(what).run == "paper's settings, n = 40"


def test_few_scattered_images_have_no_verdict(root):
    write_table1(root / "results" / "paper" / PAGE, PAPERS, n=16, relative=0.9)
    said = Judged(root)
    assert said["PGD (L2): LPIPS (×1000)"] == NOT_TESTABLE
    assert said["PGD (L2): success, %"] == NOT_TESTABLE  # of 16, all: it may be 80 %
    assert said["Ours always succeeds"] == CLOSE


@pytest.mark.parametrize(
    ("factors", "claim", "verdict"),
    [
        ({(PGD, "lpips"): 0.5}, "At a = 0, ours has the smallest LPIPS", DIFFERS),
        ({(PERC, "dists"): 0.1}, "At a = 0, ours has the smallest DISTS", DIFFERS),
        ({(A0, "l1"): 0.5}, "PGD has the smallest L₁", DIFFERS),
        ({(A0, "l2"): 0.5}, "At a = 0, ours has larger Lp distances than PGD", DIFFERS),
        ({(PGD, "lpips"): 2}, "PGD looks about the same as ours", DIFFERS),
        ({(A5, "lpips"): 3}, "At a = 5, ours is less perceptible than PPGD", DIFFERS),
        ({(A1, "dists"): 3}, "At a = 1, ours is less perceptible than PerC_AL", DIFFERS),
        ({(A1, "lpips"): 9}, "More confidence makes the attack more perceptible", DIFFERS),
        (
            {(LPA, "lpips"): 9, (PGD, "lpips"): 99},
            "Ours stands defences better than attacks that are as perceptible",
            NOT_TESTABLE,
        ),
    ],
)
def test_a_claim_that_fails_is_judged_so(root, factors, claim, verdict):
    write_table1(root / "results" / "paper" / PAGE, PAPERS, n=100, relative=0.02, factors=factors)
    assert Judged(root)[claim] == verdict


@pytest.mark.parametrize(
    ("stronger", "claim"),
    [
        (PPGD, "At a = 5, ours has the highest success rate under JPEG compression"),
        (LPA, "At a = 5, ours has the highest success rate under bit-depth reduction"),
        (LPA, "Ours stands defences better than attacks that are as perceptible"),
        (PERC, "At a = 1, ours is more successful than PerC_AL under JPEG compression"),
        (A0, "The confidence a enhances the attack, so that it stands defences"),
    ],
)
def test_a_rival_that_stands_defences_better_is_seen(root, stronger, claim, monkeypatch):
    monkeypatch.setitem(conftest.SURVIVAL, stronger, 101)
    write_table1(root / "results" / "paper" / PAGE, PAPERS, n=100)
    assert Judged(root)[claim] == DIFFERS


def test_a_claim_about_few_images_has_no_verdict(root):
    write_table1(root / "results" / "paper" / PAGE, PAPERS, n=9, names=[A5, PPGD])
    assert Judged(root)["At a = 5, ours is less perceptible than PPGD"] == NOT_TESTABLE


def test_one_image_that_resists_refutes_always(root):
    page = root / "results" / "laptop" / PAGE
    for a, name in enumerate((A0, A1, A5)):
        success = np.arange(50) > (0 if name == A1 else -1)
        write_run(page / str(a), name, {"l1": np.ones(50)}, LAPTOPS, success=success)
    assert Judged(root)["Ours always succeeds"] == DIFFERS


@pytest.mark.parametrize(("cheaper", "verdict"), [(0.9, REPRODUCED), (1.1, DIFFERS)])
def test_the_price_is_felt_if_the_cost_is_lower_with_it(root, cheaper, verdict):
    page = root / "results" / "laptop" / "03_2_1_rounding"
    cost = np.linspace(1, 2, 20)
    for lam, values in ((0.0, cost), (1.0, cheaper * cost)):
        write_run(page / f"lam-{lam:g}", f"lam = {lam:g}", {"cost": values}, LAPTOPS, {"lam": lam})
    said = Judged(root)
    assert said["Ours joins both goals in one step: the price on the cost is felt"] == verdict


# ------------------------------------------------------------------------------------- Section 3.1


def write_steps(root, ssim, pgd, l2=(2.0, 2.0)):
    page = root / "results" / "laptop" / "03_1_ssim"
    for name, similar, gone in (("SSIM step", ssim, l2[0]), ("PGD step", pgd, l2[1])):
        columns = {"cost": 1 - np.array(similar), "l2": np.full(len(similar), gone)}
        write_run(page / name[:4].strip().lower(), name, columns, {}, {"l2": 2.0})


STRUCTURE = "The SSIM step does not change a digit's structure; PGD's step does"


def test_the_claims_about_digits(root):
    drawn = 0.05 * np.random.default_rng(0).random(20)
    write_steps(root, 0.9 + drawn, 0.8 + drawn[::-1])
    said = Judged(root)
    for claim in (
        *(STRUCTURE, "SSIM is at most 1", "In Figure 2, both steps go the same L₂ distance"),
        "Three digits are successfully attacked by both steps",
    ):
        assert said[claim] == REPRODUCED, claim


def test_the_claims_about_digits_can_fail(root):
    drawn = 0.05 * np.random.default_rng(0).random(20)
    write_steps(root, 0.8 + drawn, 0.9 + drawn[::-1] + np.eye(20)[0], l2=(2.0, 2.3))
    said = Judged(root)
    assert said[STRUCTURE] == DIFFERS
    assert said["SSIM is at most 1"] == DIFFERS
    assert said["In Figure 2, both steps go the same L₂ distance"] == DIFFERS


def write_other_reading(page, name, chosen, factor):
    """Write a run whose distances are the paper's of PGD, times a factor."""
    columns = {
        column: spread(factor * printed / (paper.SCALE if column in ("lpips", "dists") else 1),
                       1000, 0.1, seed=1)
        for column, printed in paper.TABLE1["PGD (L2)"].items() if column != "success_rate"
    }  # fmt: skip
    columns |= {f"under_{defense}": np.full(1000, 2) for defense in ("jpeg_90", "bits_5")}
    write_run(page / name, name, columns, PAPERS, chosen)


def test_other_readings_are_told_beside_the_verdict_and_do_not_change_it(root):
    page = root / "results" / "paper" / "03_2_pieapp"
    write_table1(page, PAPERS)
    before = scoreboard(reference(root))
    write_other_reading(page, "PerC_AL (κ = 40)", {"steps": 1000}, 0.5)
    chosen = options("Ours (a = 0)", normalized=True)
    write_other_reading(page, "Ours (a = 0), normalised", chosen, 2.0)
    readings = page.with_name("a2_readings")
    write_other_reading(readings, "LPA, own, bound 0.5", options("NPTM (LPA)"), 3.4)
    said = Judged(root)
    after = scoreboard(reference(root))
    assert after.drop(columns="otherwise").equals(before.drop(columns="otherwise"))
    assert set(before["otherwise"]) == {""}

    def told(what):
        return said.line(what).otherwise

    assert told("PGD has the smallest L₁") == (  # of those that all fool
        "with κ = 40: 592.79; smaller: PerC_AL 296.39 (differs, n = 1000)"
    )
    assert "with κ = 40: LPIPS 22.24 and 3.91" in told(
        "At a = 1, ours is less perceptible than PerC_AL"
    )
    assert told("At a = 5, ours is less perceptible than PPGD") == ""
    assert "beside PGD, with normalised gradients: LPIPS 15.64 and 7.82 (differs" in told(
        "At a = 0, ours has the smallest LPIPS"
    )
    assert told("PerC_AL: L₂") == "with κ = 40: 0.78 (differs)"
    assert told("Ours (a = 0): L₂") == "with normalised gradients: 3.12 (differs)"
    assert told("NPTM (LPA): L₂") == "with the classifier's own features: 5.30 (reproduced)"
    assert told("NPTM (PPGD): L₂") == ""
    assert told("PerC_AL: success, %") == ""


def test_a_reading_at_other_settings_is_not_set_beside_the_paper_s_number(root):
    page = root / "results" / "paper" / "03_2_pieapp"
    write_table1(page, PAPERS)
    chosen = options("Ours (a = 0)", normalized=True, confidence=1.0)
    write_other_reading(page, "Ours (a = 0), normalised", chosen, 2.0)
    assert Judged(root).line("Ours (a = 0): L₂").otherwise == ""


def test_claims_that_need_pictures_to_compare_say_so(root):
    page = root / "results" / "paper" / "03_2_pieapp"
    factors = {(name, "lpips"): 10.0**k for k, name in enumerate(paper.TABLE1)}
    write_table1(page, PAPERS, factors=factors)
    found = Judged(root).line("Ours stands defences better than attacks that are as perceptible")
    assert (found.verdict, found.note) == (NOT_TESTABLE, "attacks that are as perceptible")


# --------------------------------------------------------------------------------------- Section 4

SMALLER = "Slopes after training on ours are smaller than after PGD's"


@pytest.fixture(scope="module")
def digits():
    return experiment.by_country("digits", n_train=275, n_test=300, seed=0).test


def answers(data, lost, models=12, seed=0):
    """Make models that get a share of the poorer half's images wrong (below 0: the richer)."""
    gdp = fairness.income()["gdp"].loc[data.countries].to_numpy()
    poor = gdp < np.median(gdp) if lost >= 0 else gdp >= np.median(gdp)
    chance = np.where(poor, abs(lost), 0.02)
    return np.random.default_rng(seed).random((models, len(gdp))) >= chance


@pytest.mark.parametrize(
    ("ours", "pgd", "perc", "verdicts"),
    [
        (0.1, 0.4, 0.4, (CLOSE, CLOSE, CLOSE)),  # one geography is not enough
        (0.4, 0.1, 0.5, (DIFFERS, CLOSE, DIFFERS)),
        (0.2, 0.4, 0.02, (CLOSE, DIFFERS, DIFFERS)),
        (0.2, -0.6, -0.6, (DIFFERS, DIFFERS, CLOSE)),  # bias the other way is bias too
    ],
)
def test_smaller_slopes_are_seen(root, digits, ours, pgd, perc, verdicts):
    right = {"Ours": ours, "PGD": pgd, "PerC_AL": perc}
    page = root / "results" / "laptop" / "04_3_results"
    made = {n: answers(digits, lost, seed=k) for k, (n, lost) in enumerate(right.items())}
    write_models(page, made, digits.ids)
    names = (
        *(SMALLER, SMALLER.replace("PGD's", "PerC's")),
        "Slopes after ours are of smaller magnitude than the other two's",
    )
    said = Judged(root)
    for name in (*names, "Training on our attack reduces the bias"):
        assert said[name] == NOT_TESTABLE  # than what?
    assert said["One adversarial data set makes many models efficiently"] == REPRODUCED
    write_before(page, digits, 0.5)
    said = Judged(root)
    assert tuple(said[name] for name in names) == verdicts
    write_before(page, digits, 0.02)
    said = Judged(root)
    assert all(said[name] == NOT_TESTABLE for name in names)  # there is nothing to lower


@pytest.mark.parametrize(("lost", "verdict"), [(0.4, REPRODUCED), (0.02, DIFFERS)])
def test_other_geographies_count(root, digits, lost, verdict):
    page = root / "results" / "laptop" / "04_3_results"
    made = {"Ours": answers(digits, 0.2), "PGD": answers(digits, 0.4, seed=1)}
    write_models(page, made, digits.ids)
    write_before(page, digits, 0.5)
    data = experiment.by_country("digits", n_train=275, n_test=300, seed=1).test
    made = {"Ours": answers(data, 0.2), "PGD": answers(data, lost, seed=1)}
    write_models(page / "deal-1", made, data.ids)
    write_before(page / "deal-1", data, 0.5)
    found = Judged(root).line(SMALLER)
    assert found.verdict == verdict
    assert found.run.endswith("2 geographies")


def write_before(folder, data, lost):
    (start,) = answers(data, lost, models=1, seed=2)
    shutil.rmtree(folder / "answers", ignore_errors=True)
    write_run(
        folder / "answers", "no_attack", {"l1": np.ones(300)}, {}, {},
        np.zeros(300, bool), data.ids, start,
    )  # fmt: skip


LOWERED = (
    "Training on our attack reduces the bias",
    "So the model performs more equally across geographical groups",
    "Training on imperceptible changes makes a model depend less on unseen features",
)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (0.5, 0.2, CLOSE),
        (0.3, 0.6, DIFFERS),
        (0.02, 0.6, NOT_TESTABLE),  # there is nothing to lower
        (0.02, 0.02, NOT_TESTABLE),
    ],
)
def test_what_training_changes_is_seen(root, digits, before, after, verdict):
    page = root / "results" / "laptop" / "04_3_results"
    made = {"Ours": answers(digits, after), "PGD": answers(digits, 0.2, seed=1)}
    write_models(page, made, digits.ids)
    write_before(page, digits, before)
    said = Judged(root)
    for claim in LOWERED:
        assert said[claim] == verdict, claim


def test_a_bias_the_other_way_is_not_less(root, digits):
    page = root / "results" / "laptop" / "04_3_results"
    made = {"Ours": answers(digits, -0.6), "PGD": answers(digits, 0.2, seed=1)}
    write_models(page, made, digits.ids)
    write_before(page, digits, 0.3)
    said = Judged(root)
    for claim in LOWERED[:2]:
        assert said[claim] == DIFFERS, claim


def test_geographies_of_all_runs_count(root, digits):
    for number, (profile, lost) in enumerate((("laptop", 0.4), ("paper_cpu", 0.02))):
        page = root / "results" / profile / "04_3_results"
        made = {"Ours": answers(digits, 0.2), "PGD": answers(digits, lost, seed=1)}
        write_models(page, made, digits.ids, cost=f"cost {number}")
        write_before(page, digits, 0.5)
    found = Judged(root).line(SMALLER)
    assert found.verdict == DIFFERS
    assert found.run == (
        "reduced settings, digits, 12 models each, one geography; "
        "laptop, digits, 12 models each, one geography"
    )
    assert found.stand_in.count("cost 0") == found.stand_in.count("cost 1") == 1
    assert found.ours.startswith("t = −")
    assert "; in other geographies: t = " in found.ours


def test_a_model_that_takes_longer_than_the_data_set_is_seen(root, digits):
    page = root / "results" / "laptop" / "04_3_results"
    made = {"Ours": answers(digits, 0.2), "PGD": answers(digits, 0.2, seed=1)}
    write_models(page, made, digits.ids, seconds=(1.0, 24.0))
    assert Judged(root)["One adversarial data set makes many models efficiently"] == DIFFERS


def test_the_printed_probabilities_are_recomputed_not_believed(root, monkeypatch):
    for name in ("F_STATISTIC", "T_PGD", "T_PERC"):
        monkeypatch.setattr(paper, name, getattr(paper, name) * 1.05)
    said = Judged(root)
    assert said["Probability of this F"] == DIFFERS
    assert said["Probability of t against PGD"] == DIFFERS
    assert said["Probability of t against PerC"] == DIFFERS
    assert said["The t-tests reject for both competitors"] == REPRODUCED
    monkeypatch.setattr(paper, "T_PERC", 1.0)
    assert Judged(root)["The t-tests reject for both competitors"] == DIFFERS
