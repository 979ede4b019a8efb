"""What page 4.2 says of the pools, and of the readings of their weights."""

from math import nan

import pandas as pd
import pytest
import torch

from humimp.dro import RobustDataset, weights
from humimp.findings import robust as findings

# ------------------------------------------------------------------------------------- the pools


@pytest.mark.parametrize(
    ("images", "cost", "what", "network", "title", "why"),
    [
        (
            "digits",
            "SSIM",
            "digits",
            "a small network",
            "1 − SSIM",
            ", a stand-in for the paper's PieAPP, which wants 64 pixels where a digit has 28",
        ),
        (
            "imagenet1000",
            "PieAPP-small",
            "photographs of ImageNet",
            "MobileNetV2",
            "PieAPP-small",
            ", a stand-in for the paper's PieAPP",
        ),
        (
            "imagenet1000",
            "PieAPP",
            "photographs of ImageNet",
            "MobileNetV2",
            "PieAPP",
            ", as in the paper",
        ),
        ("digits", "PieAPP", "digits", "a small network", "PieAPP", ", as in the paper"),
    ],
)
def test_images_network_and_cost_are_named(images, cost, what, network, title, why):
    facts = findings.named(images, classifier="mobilenet_v2", cost=cost, side=28)
    assert facts == {"what_images": what, "what_network": network, "cost": title, "why_cost": why}


def pool(*origins):
    """Make a pool of 3 originals and a round for each list of origins; image i is filled with i."""
    origin = torch.tensor([0, 1, 2] + [one for each in origins for one in each])
    n = len(origin)
    return RobustDataset(
        images=torch.arange(n, dtype=torch.float32)[:, None, None, None].expand(n, 1, 4, 4),
        labels=torch.zeros(n, dtype=torch.int64),
        weights=weights(3, len(origins)),
        round=torch.arange(len(origins) + 1).repeat_interleave(3),
        origin=origin,
    )


ORIGINALS = -1 - torch.arange(3.0)[:, None, None, None].expand(3, 1, 4, 4)


def shown(pools, **options):
    rows = findings.followed(pools, ORIGINALS, **options)
    return [{name: image.unique().tolist() for name, image in row.items()} for row in rows]


def test_the_image_that_ours_drew_in_every_round_is_followed_to_its_last_attack():
    pools = {"PGD": pool([2, 0, 0], [1, 1, 1]), "Ours": pool([2, 1, 1], [1, 0, 2])}
    assert shown(pools) == [
        {"PGD: original": [-2.0], "round 2": [8.0]},
        {"Ours: original": [-2.0], "round 1": [5.0], "round 2": [6.0]},
    ]


def test_without_such_an_image_one_of_the_last_round_is_followed():
    assert shown({"Ours": pool([0, 0, 0], [2, 2, 1])}) == [
        {"Ours: original": [-2.0], "round 2": [8.0]}
    ]


def test_three_rounds_are_shown_and_the_corner_of_large_images():
    same = [1, 1, 1]
    pools = {"Ours": pool(same, same, same, same)}
    assert list(shown(pools)[0]) == ["Ours: original", "round 1", "round 2", "round 3"]
    assert list(shown(pools, rounds=1)[0]) == ["Ours: original", "round 1"]
    corner = torch.arange(32.0).reshape(2, 4, 4)
    rows = findings.followed(pools, corner[None].expand(3, -1, -1, -1), side=2)
    assert torch.equal(rows[0]["Ours: original"], corner[:, :2, :2])
    assert rows[0]["round 1"].shape == (1, 2, 2)


def counted(distances, delta_e):
    return pd.DataFrame({"L₂ from the original": distances, "ΔE₀₀": delta_e})


def test_attacks_of_several_rounds_add_up():
    counts = {
        "PGD": counted([0.0, 9.0, 9.0], [0.0, 1.0, 1.25]),
        "PerC_AL": counted([0.0, 9.0, 9.0], [0.0, 1.0, 0.75]),
        "Ours": counted([0.0, 2.0, 3.0], [0.0, 0.5, 1.01]),
    }
    # weights: 3 of 1, then 1 to 6: 24 in all
    assert findings.pooled(pool([2, 0, 0], [1, 1, 2]), counts) == {
        "n_pool": 9,
        "kept_origins": 2,
        "share_clean": 12.5,
        "share_last": 62.5,
        "added_up": "And the attacks add up: with our attack, images of round 2 are 1.5 times as "
        "far from their original as those of round 1. What a model is trained on is no longer the "
        "image plus one imperceptible change.",
        "last_round": "in the last round our attacks are 1.5 times as far from their originals as "
        "in the first",
        "ours_delta_e": 1.01,
        "pgd_delta_e": 1.25,
        "perc_delta_e": 0.75,
        "seen": "By the colour difference ΔE₀₀ it is not imperceptible either.",
    }


def test_attacks_of_one_round_do_not_add_up():
    counts = dict.fromkeys(("PGD", "PerC_AL", "Ours"), counted([0.0, 2.0], [0.0, 1.0]))
    facts = findings.pooled(pool([2, 0, 1]), counts)
    assert facts["n_pool"] == 6
    assert facts["kept_origins"] == 3
    assert (
        facts["added_up"] == "With more rounds than one, attacks on attacked images would add up."
    )
    assert facts["last_round"] == "with more rounds our attacks would be of attacked images"
    assert facts["seen"] == (
        "By the colour difference ΔE₀₀ it still is below what is just noticeable."
    )


def test_seconds_are_those_of_all_sessions():
    diaries = {
        "PGD": {"sessions": [{"wall_seconds": 0.25}, {"wall_seconds": 1.0}]},
        "Ours": {"sessions": [{"wall_seconds": 7.04}]},
    }
    assert findings.took(diaries) == {"seconds": "1.2 s with PGD, 7.0 s with Ours"}


# ---------------------------------------------------------------------------------- the readings

NONE = [nan, nan]


def models(accuracies, betas):
    return pd.DataFrame({"accuracy": accuracies, "beta": betas}, dtype=float)


def readings(**changed):
    """Five readings of two models each; the first letters of their names stand for them."""
    usual = {
        "n": ([0.80, 0.90], [0.020, 0.030]),
        "o": ([0.82, 0.92], [0.010, 0.010]),
        "s": ([0.81, 0.91], [0.035, 0.025]),
        "l": ([0.10, 0.12], [-0.500, -0.700]),
        "scaled": ([0.80, 0.90], [0.020, 0.030]),
    }
    names = {
        "n": "normalized",
        "o": "normalized, one image at a time",
        "s": "sampling",
        "l": "literal",
        "scaled": "literal, α / E[P]",
    }
    return {names[key]: models(*each) for key, each in (usual | changed).items()}


def test_the_table_has_text_in_its_cells():
    found = readings(l=(NONE, NONE), s=([0.5, nan], [-0.04, nan]))
    rates = dict(zip(found, [1e-3, 1e-3, 1e-3, 1e-3, 1.6667e-6], strict=True))
    table = findings.laid_out(found, rates)
    assert list(table) == ["α", "diverged", "accuracy (%)", "slope β"]
    assert {name: list(row) for name, row in table.iterrows()} == {
        "normalized": ["0.001", "0 of 2", "85.0", "0.0250"],
        "normalized, one image at a time": ["0.001", "0 of 2", "87.0", "0.0100"],
        "sampling": ["0.001", "1 of 2", "50.0", "−0.0400"],
        "literal": ["0.001", "2 of 2", "–", "–"],
        "literal, α / E[P]": ["1.7e-06", "0 of 2", "85.0", "0.0250"],
    }


@pytest.mark.parametrize(
    ("accuracies", "betas", "literal", "short"),
    [
        (
            [0.10, 0.12],
            [0.0, 0.01],
            "no model ends with NaN, but they classify 11.0 % of the images correctly",
            "models classify 11.0 % of the images correctly",
        ),
        (
            [0.25, nan],
            [0.0, nan],
            "1 of 2 models diverge, and the others classify 25.0 % of the images correctly",
            "1 of 2 models diverge",
        ),
        (NONE, NONE, "2 of 2 models diverge", "2 of 2 models diverge"),
    ],
)
def test_what_becomes_of_the_literal_reading(accuracies, betas, literal, short):
    facts = findings.readings(readings(l=(accuracies, betas)))
    assert (facts["literal"], facts["literal_short"]) == (literal, short)


def test_the_others_are_compared_without_the_literal_reading():
    facts = findings.readings(readings())
    assert facts["apart"] == pytest.approx(2)
    # pairs of 0.025 and 0.015: 0.02 ± 0.005, times 100 ln 2 = 69.3
    assert facts["slopes_apart"] == (
        "their mean slopes go from 0.0100 (normalized, one image at a time) to 0.0300 (sampling), "
        "1.39 ± 0.35 points per doubling of income apart (± a standard error, in pairs of models "
        "with the same seed)"
    )


def test_slopes_of_either_sign_are_compared():
    facts = findings.readings(readings(s=([0.8, 0.8], [-0.01, -0.03])))
    assert facts["slopes_apart"].startswith(
        "their mean slopes go from −0.0200 (sampling) to 0.0250 (normalized), 3.12 ± 1.04 points"
    )


def test_pairs_are_models_of_one_seed_that_both_have_a_slope():
    facts = findings.readings(readings(o=([0.8, nan], [0.0, nan]), s=([0.8, 0.8], [0.04, 0.02])))
    assert facts["slopes_apart"] == (
        "their mean slopes go from 0.0000 (normalized, one image at a time) to 0.0300 (sampling), "
        "2.08 points per doubling of income apart"
    )


def test_two_readings_are_enough_to_compare_and_one_is_not():
    lost = (NONE, NONE)
    two = findings.readings(readings(o=lost, scaled=lost))
    assert two["slopes_apart"].startswith(
        "their mean slopes go from 0.0250 (normalized) to 0.0300 (sampling), 0.35 ± 0.69 points"
    )
    found = readings(o=lost, s=lost, scaled=lost)
    assert findings.readings(found)["slopes_apart"] == "too few have a slope to compare slopes"


@pytest.mark.parametrize(
    ("accuracy", "same"),
    [
        (0.8504, "the same"),
        (0.8496, "the same"),
        (0.8506, "the same to 0.1 points"),
        (0.83, "the same to 2.0 points"),
    ],
)
def test_the_literal_reading_scaled_is_the_normalized_one(accuracy, same):
    facts = findings.readings(readings(scaled=([accuracy, accuracy], [0.02, 0.02])))
    assert facts["same"] == same
