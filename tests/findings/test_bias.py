"""What page 4.1 says of the pattern, the slope and its test."""

import numpy as np
import pandas as pd
import pytest

from humimp import fairness, simulation
from humimp.findings import bias as findings
from humimp.power import f_power


def slope(beta=0.02, p=0.01):
    return fairness.Slope(
        beta=beta,
        standard_error=0.005,
        intercept=0.7,
        f=5.25,
        df=(1, 39),
        p=p,
        r2=0.1,
        covariance="1/sqrt(n)",
        uncertainty=np.eye(2),
    )


def answers(right_with, right_without, n=10):
    """As many images with the pattern as without, so many of each right, in four countries."""
    right = [i < right_with for i in range(n)] + [i < right_without for i in range(n)]
    return pd.DataFrame(
        {
            "correct": right,
            "planted": [True] * n + [False] * n,
            "label": [i % 3 for i in range(2 * n)],
            "country": ["USA", "DEU", "IND", "KEN"] * (n // 2),
        }
    )


PLACES = pd.DataFrame(
    {"country": ["USA", "GBR", "ETH"], "n": [90, 20, 10], "log_gdp": [11.0, 10.5, 7.0]}
)

# ----------------------------------------------------------------- the geography and the pattern


def test_digits_and_what_is_done_to_them_are_named():
    facts = findings.named("digits", classifier="resnet50", strength=8, n_train=300, zoom=4)
    assert facts == {
        "what_images": "test digits of MNIST",
        "what_classifier": "a network that sees all pixels at once, of 64 hidden units, trained "
        "on 300 digits with simulated countries of their own",
        "zoomed": " 4 times enlarged, because both want larger images than digits are",
        "flat": ", while digits lie on flat black",
    }


def test_photographs_and_their_classifier_are_named():
    given = {"classifier": "resnet50", "n_train": 300, "zoom": 1}
    assert findings.named("imagenet1000", strength=8, **given) == {
        "what_images": "photographs of ImageNet",
        "what_classifier": "ResNet-50, fine-tuned on 300 photographs with simulated countries of "
        "their own",
        "zoomed": "",
        "flat": "",
    }
    plain = findings.named("imagenet1000", strength=0, **given)
    assert plain["what_classifier"] == "ResNet-50, as it was pretrained"


@pytest.mark.parametrize(
    ("strength", "gradient", "least", "most", "bias"),
    [
        (8, 1.0, 0.0, 100.0, "a planted bias"),
        (8, 0.5, 25.0, 75.0, "a planted bias"),
        (8, 0.0, 50.0, 50.0, "no planted bias"),
        (0, 1.0, 0.0, 100.0, "no planted bias"),
    ],
)
def test_shares_of_images_and_of_the_pattern(strength, gradient, least, most, bias):
    facts = findings.geography(PLACES, strength=strength, gradient=gradient)
    assert facts == {
        "share_us": 75.0,
        "share_uk": pytest.approx(100 / 6),
        "ratio": 9.0,
        "root_ratio": 3.0,
        "least": least,
        "most": most,
        "what_bias": bias,
    }


@pytest.mark.parametrize(
    ("delta_e", "noticed", "colour"),
    [(0.99, "below", "faint"), (1.0, "not below", "not faint")],
)
@pytest.mark.parametrize(
    ("lpips", "by_lpips"),
    [
        (7.29, "by LPIPS it is a smaller change than any attack in that table"),
        (7.30, "by LPIPS it lies within that range"),
        (81.57, "by LPIPS it lies within that range"),
        (81.58, "by LPIPS it is a larger change than any attack in that table"),
    ],
)
def test_the_pattern_is_faint_beside_table_1(lpips, by_lpips, delta_e, noticed, colour):
    facts = findings.faintness(lpips=lpips, dists=20.0, delta_e=delta_e)
    assert facts == {
        "lpips": lpips,
        "dists": 20.0,
        "delta_e": delta_e,
        "noticed": noticed,
        "as_colour": colour,
        "by_lpips": by_lpips,
        "ours_lpips": 7.30,
        "most_lpips": 81.57,
    }


# ------------------------------------------------------------------------- the slope and its test


def test_the_worth_of_the_pattern_has_the_error_of_a_difference_of_shares():
    # 0.9 − 0.5; variances 0.9 · 0.1 / 10 and 0.5 · 0.5 / 10
    gap, error = findings.worth(answers(9, 5))
    assert gap == pytest.approx(0.4)
    assert error == pytest.approx(np.sqrt(0.009 + 0.025))


def test_the_planned_slope_spreads_the_worth_over_the_incomes():
    # incomes span 4 in log GDP, and over that the pattern gets oftener by the gradient
    planned, error = findings.planned(answers(9, 5), PLACES, gradient=0.5)
    assert planned == pytest.approx(0.4 * 0.5 / 4)
    assert error == pytest.approx(np.sqrt(0.034) * 0.5 / 4)


@pytest.mark.parametrize(
    ("p", "said", "verdict"),
    [
        (0.0499, "0.05", "is rejected"),
        (0.05, "0.05", "is not rejected"),
        (0.6543, "0.65", "is not rejected"),
        (0.000012, "1.2e-05", "is rejected"),
    ],
)
def test_the_verdict_is_of_the_level_of_5_percent(p, said, verdict):
    facts = findings.tested(answers(9, 5), slope(p=p))
    assert facts == {
        "accuracy": 70.0,
        "f": 5.25,
        "df2": 39,
        "per_doubling": "1.39",
        "p": said,
        "verdict": verdict,
        "gap": "40.0",
        "gap_error": pytest.approx(100 * np.sqrt(0.034)),
    }


def test_what_does_harm_and_what_falls_has_a_true_minus_sign():
    facts = findings.tested(answers(5, 9), slope(-0.02))
    assert (facts["gap"], facts["per_doubling"]) == ("−40.0", "−1.39")


@pytest.mark.parametrize(
    ("beta", "told", "p", "holds"),
    [
        (0.02, "0.0200", 0.05, "is not shown on this run: no line with income is found"),
        (-0.02, "−0.0200", 0.05, "is not shown on this run: no line with income is found"),
        (
            0.02,
            "0.0200",
            0.04,
            "holds on this run: accuracy rises with income, and more than by chance",
        ),
        (
            -0.02,
            "−0.0200",
            0.04,
            "holds on this run, but the other way: accuracy falls with income, and more than by "
            "chance",
        ),
    ],
)
def test_the_conclusion_holds_if_the_slope_is_found(beta, told, p, holds):
    countries = pd.DataFrame(
        {"n": 10, "gdp": [8e3, 1e3, 4e3, 2e3], "accuracy": [0.9, 0.6, 0.8, 0.7]}
    )
    records = answers(9, 5).iloc[:15]
    facts = findings.found(records, countries, slope(beta, p), chance=0.00254)
    assert facts == {
        "beta": told,
        "standard_error": 0.005,
        "n_countries": 41,
        "chance": "0.0025",
        "holds": holds,
        "poorest": pytest.approx(60),
        "richest": pytest.approx(90),
        "n_with": 10,
        "n_without": 5,
    }


@pytest.mark.parametrize(
    ("right_with", "right_without", "learnt"),
    [
        (9, 5, "so it has learnt the pattern"),  # 0.4 > 2 √0.034 = 0.369
        (8, 5, "so whether it has learnt the pattern cannot be told from these images"),  # 0.403
        (5, 9, "so whether it has learnt the pattern cannot be told from these images"),
    ],
)
def test_learnt_is_worth_more_than_two_standard_errors(right_with, right_without, learnt):
    facts = findings.learnt(answers(right_with, right_without))
    assert facts == {"n_classes": 3, "learnt": learnt}


def test_the_other_network_is_told_of_if_the_pattern_is_worth_less_to_it():
    told = findings.other_network(answers(9, 5, 20), answers(7, 9, 20))["other_network"]
    # √((0.45 · 0.55 + 0.25 · 0.75) / 20) and √((0.35 · 0.65 + 0.45 · 0.55) / 20)
    assert told.startswith("The pattern is worth 20.0 ± 14.7 percentage points to it (± a standard")
    assert "trained in the same way, it is worth −10.0 ± 15.4 points, and" in told
    assert "and the slope has F(1, 2) = " in told
    assert told.endswith("What a planted cause does depends on what the network looks at.")


def test_the_slope_of_the_other_network_is_its_own():
    other = answers(12, 9, 20)
    fit = fairness.slope(fairness.accuracy_by_country(other).kept)
    told = findings.other_network(answers(9, 5, 20), other)["other_network"]
    assert f"F(1, 2) = {fit.f:.2f}, p = {fit.p:.2g}. " in told


@pytest.mark.parametrize("other", [None, answers(9, 5), answers(9, 4)])
def test_the_other_network_is_passed_over_without_one_or_if_it_learns_as_well(other):
    assert findings.other_network(answers(9, 5), other) == {"other_network": ""}


# ------------------------------------------------------------------------- the trial of the test


@pytest.mark.parametrize(
    ("rate", "kept"),
    [  # 2 √(0.05 · 0.95 / 1900) = 0.01
        (0.0399, "on the cautious side, and more than the simulation's error explains"),
        (0.0401, "and differs from it by no more than the simulation's error"),
        (0.0599, "and differs from it by no more than the simulation's error"),
        (0.0601, "on the rash side, and more than the simulation's error explains"),
    ],
)
def test_a_level_is_kept_as_far_as_the_number_of_deals_tells(rate, kept):
    fair = pd.DataFrame(
        {"rate": [rate, 0.0625, 0.125], "spread": [0.375, 0.25, 0.5]},
        index=["1/sqrt(n)", "1/n", "ols"],
    )
    assert findings.rejections(fair, n_deals=1900) == {
        "fair_paper": pytest.approx(100 * rate),
        "fair_binomial": 6.25,
        "fair_ols": 12.5,
        "wider": 50.0,
        "kept": kept,
    }


def test_the_bias_that_is_needed_lies_between_two_that_were_tried():
    sizes = [0.0, 1.0, 2.0, 3.0]
    curves = {
        "few": [0.05, 0.4, 0.6, 0.79],
        "binomial": [0.05, 0.6, 1.0, 1.0],
        "just": [0.05, 0.1, 0.2, 0.8],
        "dipping": [0.05, 0.7, 0.6, 0.9],  # as if 0.7 stayed until 2
    }
    tables = {name: pd.DataFrame({"size": sizes, "rate": own}) for name, own in curves.items()}
    assert findings.needed(tables) == {
        "needed_few": "more than any slope that was tried",
        "needed_binomial": "1.50 points",
        "needed_just": "3.00 points",
        "needed_dipping": "2.50 points",
    }
    half = findings.needed({"few": tables["few"]}, power=0.5)
    assert half == {"needed_few": "1.50 points"}


@pytest.mark.parametrize(
    ("asked", "accuracy", "size"),
    [(0.1, 0.8, 0.0495), (0.1, 0.2, 0.0495), (0.04, 0.8, 0.04), (-0.04, 0.8, 0.04)],
)
def test_a_slope_is_possible_up_to_the_incomes_span(asked, accuracy, size):
    # 0.99 · 0.2 / 4
    assert findings.possible(asked, accuracy, PLACES) == pytest.approx(size)


def test_a_possible_slope_can_be_simulated():
    places = simulation.simulated_countries(2000)
    steepest = findings.possible(9.0, 0.9, places)
    assert len(f_power(places, [steepest], accuracy=0.9, size=2)) == 3


def power(size, *rates):
    covariances = list(fairness.COVARIANCES)
    return pd.DataFrame({"beta": size, "covariance": covariances, "rate": rates})


def test_a_planted_bias_is_told_with_how_often_it_is_found():
    own, typical = power(0.02, 0.5625, 0.75, 0.25), power(0.02, 0.354, 0.4, 0.3)
    facts = findings.detected(
        own, typical, bias=(0.02, 0.005), planted=True, accuracies=(0.9, 0.75)
    )
    assert facts == {
        "planned": "1.39",
        "planned_error": pytest.approx(0.3465736),
        "planned_bias": "The bias that is planted here, roughly 1.39 points,",
        "power_planned": 56.25,
        "power_planned_binomial": 75.0,
        "there": "there it would be found in 35 %",
        "scatter": "less",
    }


@pytest.mark.parametrize(
    ("bias", "planted", "sizes", "told", "there"),
    [
        (
            0.02,
            True,
            (0.01, 0.02),
            "The bias that is planted here, roughly 1.39 points, is steeper than a line at this "
            "accuracy can be; one of 0.69 points",
            "there it would be found in 35 %",
        ),
        (
            -0.02,
            False,
            (0.02, 0.01),
            "None is planted here; chance alone makes roughly −1.39 points, and that",
            "there no line can be so steep",
        ),
        (
            -0.0,
            0.0,
            (0.0, 0.0),
            "None is planted here; chance alone makes roughly 0.00 points, and that",
            "there it would be found in 35 %",
        ),
    ],
)
def test_chance_and_slopes_that_no_line_can_have(bias, planted, sizes, told, there):
    own, typical = power(sizes[0], 0.5, 0.75, 0.25), power(sizes[1], 0.354, 0.4, 0.3)
    facts = findings.detected(
        own, typical, bias=(bias, 0.0), planted=planted, accuracies=(0.6, 0.75)
    )
    assert (facts["planned_bias"], facts["there"]) == (told, there)


@pytest.mark.parametrize(("accuracy", "scatter"), [(0.8, "less"), (0.6, "more"), (0.2, "less")])
def test_accuracies_scatter_most_in_the_middle(accuracy, scatter):
    table = power(0.0, 0.5, 0.5, 0.5)
    facts = findings.detected(
        table, table, bias=(0.0, 0.0), planted=True, accuracies=(accuracy, 0.75)
    )
    assert facts["scatter"] == scatter
