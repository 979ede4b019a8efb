"""What page 4.3 says of slopes, accuracies and the planted pattern."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from humimp import fairness
from humimp.findings import income

OTHERS = ("PGD", "PerC_AL", "Fine-tuning")


def line(**changed):
    """Make the slope of θ₀, with an F-test that rejects."""
    fit = {"beta": -0.02765, "standard_error": 0.00891, "f": 9.5, "df": (1, 39), "p": 0.0049}
    return SimpleNamespace(**fit | changed)


def start():
    """Make θ₀'s row, of numbers whose mean over three models is exactly the same."""
    found = {"beta": 0.25, "accuracy": 0.875, "quarter_1": 0.5, "quarter_2": 0.5}
    found |= {"quarter_3": 0.5, "quarter_4": 0.75, "worth": 0.08, "worth_error": 0.02}
    return pd.Series(found)


def models(**columns):
    """Make three models of each training; θ₀'s numbers where no others are given."""
    names = ("PGD", "PerC_AL", "Ours", "Fine-tuning")
    rows = {name: pd.DataFrame([start()] * 3, index=range(3)) for name in names}
    for column, values in columns.items():
        for name, value in values.items():
            rows[name][column] = value
    return rows


def test_the_patterns_worth_is_a_difference_of_shares_with_its_error():
    answers = {  # replicate, planted: right answers
        (7, True): [1, 1, 1, 0],
        (7, False): [1, 0, 0, 0, 0],
        (8, True): [1, 0],
        (8, False): [1, 1],
        (9, True): [0, 0],
        (9, False): [0, 0],
    }
    records = pd.DataFrame(
        [(*key, bool(right)) for key, each in answers.items() for right in each],
        columns=["replicate", "planted", "correct"],
    ).assign(diverged=lambda table: table["replicate"] == 9)
    table = income.worth(records)
    assert table.index.tolist() == [7, 8]
    assert table["worth"].tolist() == pytest.approx([0.75 - 0.2, 0.5 - 1])
    errors = [(0.75 * 0.25 / 4 + 0.2 * 0.8 / 5) ** 0.5, (0.5 * 0.5 / 2) ** 0.5]
    assert table["worth_error"].tolist() == pytest.approx(errors)
    none = income.worth(records.assign(diverged=True))
    assert (len(none), list(none)) == (0, ["worth", "worth_error"])


def test_slopes_stand_side_by_side():
    table = income.slopes(models(beta={"PGD": [1, 2, 6], "Ours": [3, np.nan, 4]}))
    assert list(table) == ["PGD", "PerC_AL", "Ours", "Fine-tuning"]
    assert table["PGD"].tolist() == [1, 2, 6]
    assert table["Ours"].isna().tolist() == [False, True, False]


def test_the_setting_in_words():
    digits = income.setting("digits", "resnet50", "SSIM")
    assert (digits["what_images"], digits["what_network"]) == ("digits", "a small network")
    assert (digits["cost"], digits["stand_in"]) == (
        "1 − SSIM", ", a stand-in for the paper's PieAPP"
    )  # fmt: skip
    photographs = income.setting("imagenet1000", "resnet50", "PieAPP")
    assert photographs == {
        "what_images": "photographs of ImageNet",
        "what_network": "ResNet-50",
        "cost": "PieAPP",
        "stand_in": "",
        "paper_t": "t = 3.85 against PGD (p = 0.00017) and t = 2.95 against PerC (p = 0.00242)",
    }


def test_whether_theta0_has_a_slope():
    assert income.f_test(line()) == {
        "beta0": "−0.0277", "beta0_error": "0.0089", "f0": 9.5, "df0": 39, "p0": "= 0.0049",
        "reject0": "rejected", "had": "had a slope",
    }  # fmt: skip
    flat = income.f_test(line(p=0.05))
    assert (flat["reject0"], flat["had"]) == ("not rejected", "had no slope to lower")


def test_what_each_training_leaves():
    after = models(
        beta={"PGD": [-0.01, -0.01, -0.025], "Ours": [0.01, np.nan, 0.01]},
        accuracy={"Ours": [0.25, np.nan, 0.75]},
        quarter_1={"PerC_AL": [0.25, 0.25, 0.4]},
        quarter_4={"Ours": [0.125, np.nan, 0.125]},
        worth={"Fine-tuning": [-0.5, 0.125, 0.0]},
    )
    facts = income.trained(after, start())
    for key, value in {
        "accuracy_0": 87.5, "poor_0": 50, "rich_0": 75,
        "accuracy_Ours": 50, "poor_PerC_AL": 30, "rich_Ours": 12.5,
        "accuracy_PGD": 87.5, "poor_Ours": 50, "rich_PGD": 75,
    }.items():  # fmt: skip
        assert facts.pop(key) == pytest.approx(value), key
    patterns = {"0": "8.0", "PGD": "8.0", "Fine-tuning": "−12.5"}
    assert {name: facts[f"pattern_{name}"] for name in patterns} == patterns
    assert (facts["beta_PGD"], facts["beta_Ours"], facts["beta_PerC_AL"]) == (
        "−0.0150", "0.0100", "0.2500"
    )  # fmt: skip
    assert facts["diverged"] == ("Diverged, and left out of the tests pair by pair: 1 of 3 (Ours).")
    after["PGD"]["beta"] = np.nan
    assert income.trained(after, start())["diverged"] == (
        "Diverged, and left out of the tests pair by pair: 3 of 3 (PGD), 1 of 3 (Ours)."
    )
    assert income.trained(models(), start())["diverged"] == "No model diverged."


def compared(**holm):
    """Make a table of tests with Holm's p: for all three kinds, or for each by itself."""
    rows = {(name, test): {"difference": 0.01, "low": -0.02, "high": 0.04, "t": -2.5, "p": 0.9}
            for name in OTHERS for test in fairness.T_TESTS}  # fmt: skip
    table = pd.DataFrame.from_dict(rows, orient="index").assign(holm=0.5)
    table.index = pd.MultiIndex.from_tuples(rows, names=["other", "test"])
    for name, p in holm.items():
        table.loc[name, "holm"] = p
    return table


def test_t_tests_are_told_in_points_per_doubling_from_the_paired_ones():
    tests = compared(PGD=[0.00001, 0.2, 0.3])
    tests.loc[("PGD", "unpaired"), ["difference", "t"]] = 7
    facts = income.t_tests(tests)
    assert facts["difference_PGD"] == "0.69"  # 100 · ln 2 = 69.3 points
    assert (facts["low_PGD"], facts["high_PGD"]) == ("−1.39", "2.77")
    assert (facts["t_PGD"], facts["holm_PGD"]) == ("−2.50", "< 0.0001")
    assert facts["holm_Fine-tuning"] == "= 0.50"
    assert len(facts) == 5 * 3


@pytest.mark.parametrize(
    ("pgd", "perc", "holds"),
    [
        (0.049, 0.049, "holds here"),
        (0.049, 0.05, "holds here against PGD only"),
        (0.05, 0.049, "holds here against PerC_AL only"),
        (0.05, 0.05, "is not shown here"),
    ],
)
def test_the_second_conclusion_holds_if_ours_is_below_both_rivals(pgd, perc, holds):
    tests = compared(PGD=[pgd, 0.9, 0.001], PerC_AL=[perc, 0.001, 0.9])  # the paired ones count
    facts = income.conclusion(tests, line(), "here")
    assert facts["holds"] == holds
    assert facts["outcome"] == f"the paper's second conclusion {holds}"
    flat = income.conclusion(tests, line(p=0.05), "here")
    assert flat["holds"] == holds
    assert flat["outcome"] == "that run cannot test the paper's second conclusion"


@pytest.mark.parametrize(
    ("pgd", "perc", "agree"),
    [
        (0.01, 0.6, True),
        ([0.01, 0.04, 0.02], [0.05, 0.9, 0.06], True),
        ([0.01, 0.01, 0.06], 0.01, False),
        (0.01, [0.06, 0.01, 0.06], False),
    ],
)
def test_kinds_of_test_agree_if_no_rivals_verdict_depends_on_them(pgd, perc, agree):
    tests = compared(PGD=pgd, PerC_AL=perc)
    tests.loc[("Fine-tuning", "paired"), "holm"] = 0.001  # no rival
    said = income.conclusion(tests, line(), "here")["agree"]
    assert said == (
        "The three kinds of test agree." if agree else "The kinds of test do not agree."
    )


GAIN = "so there is no gain in fairness to explain"
UNTOLD = "so the slope of the line does not tell what happened to it"
FAIR = (
    "the poorest quarter does not lose, and the slope gets smaller: "
    "that is what is meant by fairness"
)
DOWN = (
    "the slope gets smaller, and both ends lose, the richest quarter more. "
    "That is levelling down, and not what is meant by fairness"
)


@pytest.mark.parametrize(
    ("beta", "poor", "rich", "how"),
    [
        (0.25, 0.4, 0.5, f"the slope does not get smaller, {GAIN}"),
        (-0.25, 0.55, 0.5, f"the slope does not get smaller, but turns, {GAIN}"),
        (-0.2, 0.55, 0.5, FAIR),
        (0.2, 0.5, 0.6, FAIR),
        (0.2, 0.55, 0.8, FAIR),
        (0.2, 0.4, 0.75, f"the poorest quarter loses while the richest does not, {UNTOLD}"),
        (0.2, 0.4, 0.7, f"both ends lose, the poorest quarter even more, {UNTOLD}"),
        (0.2, 0.45, 0.65, DOWN),
    ],
)
def test_how_a_smaller_slope_came_about(beta, poor, rich, how):
    after = models(beta={"Ours": beta}, quarter_1={"Ours": poor}, quarter_4={"Ours": rich})
    assert income.by_quarter(after, start())["how"] == how


def test_how_both_ends_moved():
    after = models(quarter_1={"Ours": [0.4, 0.4, 0.46]}, quarter_4={"Ours": 0.755, "PGD": 0.1})
    facts = income.by_quarter(after, start())
    assert facts["poor_moved"] == "fallen by 8.0 points"
    assert facts["rich_moved"] == "risen by 0.5 points"
    assert income.by_quarter(models(), start())["poor_moved"] == "risen by 0.0 points"


def test_the_smallest_slope_and_the_lowest_accuracy():
    after = models(beta={"PGD": [-0.5, 0.1, 0.1]}, accuracy={"PGD": 0.5, "Ours": [0.6, 0.6, 0.15]})
    assert income.by_quarter(after, start())["together"] == (
        "The training that leaves the smallest mean slope, with its sign, PGD, "
        "is not the one that leaves the lowest accuracy, Ours"
    )
    after["PGD"]["accuracy"] = 0.4
    assert income.by_quarter(after, start())["together"] == (
        "The training that leaves the smallest mean slope, with its sign, PGD, "
        "is also the one that leaves the lowest accuracy"
    )


def worths(pgd=0.08, perc=0.08, ours=0.08, spread=0.001):
    """Make models of which each training's pattern is worth so much, with a scatter of its own."""
    around = spread * np.array([-1, -1, 2])
    return models(worth={"PGD": pgd + 3 * around, "PerC_AL": perc + around, "Ours": ours - around})


@pytest.mark.parametrize(
    ("worth", "relied"),
    [
        ({}, "In this geography no training on attacks makes"),
        ({"pgd": 0.076}, "In this geography no training on attacks makes"),
        ({"pgd": 0.074}, "In this geography, of the trainings on attacks, PGD makes"),
        (
            {"perc": -0.2, "ours": 0},
            "In this geography, of the trainings on attacks, PerC_AL and Ours make",
        ),
        ({"pgd": 0, "perc": 0, "ours": 0}, "In this geography all three trainings on attacks make"),
    ],
)
def test_which_trainings_make_the_pattern_worth_less_by_half_a_point(worth, relied):
    facts = income.pattern(worths(**worth), start())
    assert facts["relied"] == f"{relied} the pattern worth less"


@pytest.mark.parametrize("pgd", [0.05, 0.09])
def test_ours_may_make_the_pattern_worth_less_and_more_so_than_pgd_s(pgd):
    facts = income.pattern(worths(pgd=pgd, ours=0.0), start())
    assert facts["pattern_verdict"] == "ours does it more than PGD's"
    assert facts["pattern_joined"] == ", and"


def test_what_the_pattern_is_worth_is_compared_in_pairs():
    # PGD's minus ours are 0.046, 0.046 and 0.058, the standard error 0.012 / √3 / √3. With two
    # degrees of freedom 95 % lie within 4.303 errors, and p = 1/2 − t / (2 √(2 + t²))
    facts = income.pattern(worths(pgd=0.05, ours=0.0), start())
    assert facts["pattern_t"] == "12.50"
    assert facts["pattern_p"] == "= 0.0032"
    assert (facts["pattern_low"], facts["pattern_high"]) == ("3.3", "6.7")
    assert facts["pattern_0_error"] == pytest.approx(2)


def test_ours_may_not_make_the_pattern_worth_less_than_pgd_s():
    facts = income.pattern(worths(pgd=0.0, ours=0.05), start())
    assert facts["pattern_t"] == "−12.50"
    assert (facts["pattern_low"], facts["pattern_high"]) == ("−6.7", "−3.3")
    assert facts["pattern_verdict"] == "ours does not do so more than PGD's"
    assert facts["pattern_joined"] == ", but"
    assert income.pattern(worths(), start())["pattern_joined"] == ", and"


@pytest.mark.parametrize("perc", [0.08, 0.0])
def test_ours_may_leave_it_worth_less_than_pgd_s_without_making_it_worth_less(perc):
    facts = income.pattern(worths(pgd=0.13, perc=perc, ours=0.08), start())
    assert facts["pattern_verdict"] == "ours leaves it worth less than PGD's does"
    assert facts["pattern_joined"] == ", but"


def curve(*rates):
    table = pd.DataFrame({"rate": rates})
    return table.assign(difference=0.01 * table.index, size=2.0 * table.index)


@pytest.mark.parametrize(
    ("rate", "kept"),
    [
        (0.05, "as promised, within the simulation's error"),
        (0.0717, "as promised, within the simulation's error"),  # two errors are 0.0218
        (0.0719, "more often than promised"),
        (0.0283, "as promised, within the simulation's error"),
        (0.0281, "less often than promised"),
    ],
)
def test_the_level_of_a_test(rate, kept):
    facts = income.power({"paired": curve(rate, 0.9), "unpaired": curve(0.05, 0.6)}, 400)
    assert facts["level_paired"] == pytest.approx(100 * rate)
    assert facts["kept_paired"] == kept
    assert facts["level_unpaired"] == pytest.approx(5)
    assert facts["kept_unpaired"] == "as promised, within the simulation's error"


@pytest.mark.parametrize(
    ("rates", "needed"),
    [
        ((0.05, 0.6, 1.0), "3.00 points"),
        ((0.05, 0.7, 0.6, 0.8), "6.00 points"),  # a rate that falls by chance
        ((0.05, 0.9, 0.79), "1.76 points"),  # 2 · 0.75 / 0.85
        ((0.05, 0.6, 0.79), "more than any difference that was tried"),
    ],
)
def test_the_difference_that_is_found_in_four_of_five_cases(rates, needed):
    assert income.power({"paired": curve(*rates), "unpaired": curve(0, 0)}, 4)["needed"] == needed


def test_geographies_have_the_paired_test_and_what_was_before():
    betas = {"PGD": [0.03, 0.05, np.nan, 0.1], "Ours": [0.01, 0.04, 0.1, np.nan]}
    trained = {
        name: pd.DataFrame(
            {"beta": beta, "worth": 0.06 * k, "quarter_1": 0.7, "quarter_4": 0.7 + 0.1 * k}
        )
        for k, (name, beta) in enumerate(betas.items(), start=1)
    }
    start = pd.Series({"beta": 0.02, "worth": 0.3, "quarter_1": 0.5, "quarter_4": 0.45})
    table = income.geographies({3: (trained | {"PerC_AL": None}, start, line(beta=0.02, p=0.3))})
    assert table.index.tolist() == [3]
    row = table.loc[3]
    assert row["difference"] == pytest.approx(0.015)  # of 0.02 and 0.01
    assert row["t"] == pytest.approx(3)
    assert (row["excluded"], row["df"], row["p0"]) == (2, 1, 0.3)
    for what, values in {
        "beta": (0.02, 0.06, 0.05),
        "worth": (0.3, 0.06, 0.12),
        "poor": (0.5, 0.7, 0.7),
        "gap": (-0.05, 0.1, 0.2),
    }.items():
        assert [row[f"{what}_{name}"] for name in ("0", "PGD", "Ours")] == pytest.approx(values)


def deals(*rows):
    """Make geographies 5, 6 ... from difference and p; mean slopes, and θ₀'s, are told apart."""
    table = pd.DataFrame(rows, columns=["difference", "p"], index=range(5, 5 + len(rows)))
    known = {"t": -2.5, "excluded": 1.0, "p0": 0.04}
    slopes = {"beta_PGD": 0.02, "beta_Ours": -0.03, "beta_0": -0.04}
    shares = {
        f"{what}_{name}": 0.1 * k - 0.01 * where
        for where, name in enumerate(("0", "PGD", "Ours"))
        for k, what in enumerate(("worth", "poor", "gap"))
    }
    half = 0.01 * 2.0 ** np.arange(len(rows))
    low, high = table["difference"] - half, table["difference"] + half
    return table.assign(low=low, high=high, **known, **slopes, **shares)


def test_geographies_are_laid_out_in_points():
    table = income.table_of_deals(deals((-0.02, 0.99), (0.02, 0.00001)))
    assert table.columns.tolist() == ["geography 5", "geography 6"]
    assert table["geography 5"].to_dict() == {
        "slope, θ₀": "−0.0400 (p = 0.0400)",
        "slope, PGD": "0.0200",
        "slope, Ours": "−0.0300",
        "difference": "−1.39 (−2.08 to −0.69)",
        "t": "−2.50",
        "p, one-sided": "0.99",
        "left out": "1",
        "poorest quarter; θ₀, PGD, Ours": "10.0, 9.0, 8.0",
        "richest − poorest; θ₀, PGD, Ours": "20.0, 19.0, 18.0",
        "pattern’s worth; θ₀, PGD, Ours": "0.0, −1.0, −2.0",
    }
    assert table.loc["p, one-sided", "geography 6"] == "< 0.0001"
    assert [name.partition(";")[0] for name in table.index[-4:]] == [
        "left out", "poorest quarter", "richest − poorest", "pattern’s worth",
    ]  # fmt: skip


MORE, LESS, OPEN = (0.02, 0.024), (-0.02, 0.976), (0.02, 0.026)
CONTRARY = (
    "The sign of the difference depends on the geography: what 9 models make significant "
    "is a property of one deal and one run of Algorithm 2, not of the attack"
)
ALIKE = "No geography says the contrary of another, though so few cannot say much"
APART = "The geographies do not agree on whether there is a difference"


@pytest.mark.parametrize(
    ("rows", "counts", "across"),
    [
        ([MORE, LESS, OPEN], (1, 1), CONTRARY),
        ([MORE, MORE], (2, 0), ALIKE),
        ([LESS], (0, 1), ALIKE),
        ([OPEN, (-0.02, 0.974), OPEN], (0, 0), ALIKE),
        ([MORE, OPEN, MORE], (2, 0), APART),
        ([LESS, OPEN], (0, 1), APART),
    ],
)
def test_geographies_agree_at_five_percent_two_sided(rows, counts, across):
    facts = income.across(deals(*rows), 9)
    assert (facts["lower"], facts["higher"]) == counts
    assert facts["n_deals"] == len(rows)
    assert facts["across"] == across


def test_how_far_geographies_differ():
    table = deals((0.01, 0.5), (0.03, 0.5), (0.02, 0.5)).assign(beta_Ours=[-0.05, 0.03, 0.04])
    facts = income.across(table, 9)
    assert facts["first_deal"] == 5
    assert facts["flatter_deals"] == 1  # 0.05, 0.03 and 0.04 beside 0.04
    # 0.01, 0.03 and 0.02 have a standard deviation of 0.01
    assert facts["between"] == (
        "From one geography to another, the difference has a standard deviation of 0.69 points"
    )
    assert facts["within"] == pytest.approx(69.3147 * (0.01 + 0.02 + 0.04) / 3)
    assert income.across(table[:1], 9)["between"] == (
        "How far the difference varies from one geography to another, a single one cannot say"
    )


def means(pgd, perc, ours, control=0.5):
    """Make slopes of three models with these means."""
    found = dict(
        zip(("PGD", "PerC_AL", "Ours", "Fine-tuning"), (pgd, perc, ours, control), strict=True)
    )
    return pd.DataFrame(
        {name: [value - 0.1, value - 0.1, value + 0.2] for name, value in found.items()}
    )


OF = "the smallest of the three attacks' means"


@pytest.mark.parametrize(
    ("betas", "smallest"),
    [
        (means(0.3, 0.2, 0.1, 0.05), f"With its sign and in magnitude, ours is {OF}"),
        (means(0.3, 0.2, -0.4), f"With its sign, ours is {OF}; in magnitude it is not"),
        (means(-0.3, 0.2, 0.1), f"With its sign, ours is not {OF}; in magnitude it is"),
        (means(0.3, 0.1, 0.2), f"Neither with its sign nor in magnitude is ours {OF}"),
    ],
)
def test_whether_ours_is_the_smallest_of_the_attacks(betas, smallest):
    assert income.signs(betas, line())["smallest"] == smallest


CANNOT = "So this run cannot test the paper's conclusion about bias, which wants a bias to lower."
OTHER = "A slope below zero passes for a small one there, and is a bias in the other direction."


@pytest.mark.parametrize(
    ("betas", "below", "so"),
    [
        (means(-1, -2, -3, -4), "after every training the mean slope is below zero", OTHER),
        (means(1, -2, -3), "the mean slope is below zero after PerC_AL and Ours", OTHER),
        (means(1, 0, 3, -4), "the mean slope is below zero after Fine-tuning", OTHER),
        (means(1, 2, 3), "after no training is the mean slope below zero", ""),
    ],
)
def test_which_mean_slopes_are_below_zero(betas, below, so):
    facts = income.signs(betas, line())
    assert (facts["below"], facts["so"]) == (below, so)
    assert income.signs(betas, line(p=0.05))["so"] == CANNOT


def test_mean_slopes_are_listed_with_the_models_left():
    betas = pd.concat([means(0.012345, -0.2, 0.1)] * 2, ignore_index=True)
    betas.loc[1, "PerC_AL"] = np.nan
    assert income.signs(betas, line())["means"] == (
        "0.0123 (PGD), −0.1800 (PerC_AL, 5 models), 0.1000 (Ours), 0.5000 (Fine-tuning)"
    )


def test_minutes_of_each_algorithm():
    seconds = {"PGD": [330, 1200], "Ours": [30, 660]}
    assert income.spent(seconds, 10) == "5.5 and 2.0 with PGD; 0.5 and 1.1 with Ours"
