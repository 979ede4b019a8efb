"""What the appendix on PieAPP-small says of its records."""

import pandas as pd
import pytest

from humimp.findings import pieapp_small as findings


def test_how_it_was_made():
    about = {
        "parameters": 9, "training_crops": 8, "steps": 7, "width": 6, "hidden": 5, "seed": 4,
        "photographs": {"training": 3, "held_out": 2}, "bytes": 250_000, "cpu_seconds": 90,
        "commit": "0123456789", "training_types": ["a", "b"], "held_out_types": ["pink_noise", "c"],
        "near_zero": {"at_reference": 0.0, "gradient_at_reference": 0.5},
    }  # fmt: skip
    assert findings.made(about) == {
        "parameters": 9, "training_crops": 8, "steps": 7, "width": 6, "hidden": 5, "seed": 4,
        "photographs_training": 3, "photographs_held_out": 2, "megabytes": 0.25, "minutes": 1.5,
        "commit": "0123456", "n_training_types": 2, "n_held_out_types": 2,
        "held_out_types": "pink noise, c", "at_reference": 0.0, "slope": 0.5,
    }  # fmt: skip


def test_agreement_with_the_committee_on_new_and_on_known_kinds():
    rows = [
        ("held-out types", "small", 0.85, 0.9, 10),
        ("held-out types", "VSI", 0.5, 0.0, 10),
        ("trained types", "VSI", 0.6, 0.0, 20),
        ("held-out types", "MS-SSIM", 0.1, 0.0, 10),
        ("held-out types", "MSE", 0.2, 0.0, 10),
        ("trained types", "small", 0.95, 0.96, 20),
        ("trained types", "MS-SSIM", 0.3, 0.0, 20),
        ("trained types", "MSE", 0.4, 0.0, 20),
    ]
    columns = ["set", "measure", "accuracy", "clear_accuracy", "pairs"]
    assert findings.agreement(pd.DataFrame(rows, columns=columns)) == {
        "new_accuracy": 0.85, "new_clear_accuracy": 0.9, "new_pairs": 10,
        "new_MS-SSIM": 0.1, "new_MSE": 0.2, "new_VSI": 0.5,
        "old_accuracy": 0.95, "old_clear_accuracy": 0.96, "old_pairs": 20,
        "old_MS-SSIM": 0.3, "old_MSE": 0.4, "old_VSI": 0.6,
    }  # fmt: skip


def test_what_no_patch_of_64_pixels_covers():
    crops = pd.DataFrame({"small": [0.0, 0.1, 0.0]})
    # patches begin at 0, 27, 54 ...: the last within 96 pixels ends at 27 + 64 = 91
    assert findings.unseen(crops, 27, {"crop": 96, "whole": 64 + 54}) == {
        "n_crops": 3, "n_blind": 2, "stride": 27,
        "size_crop": 96, "blind_crop": 5, "size_whole": 118, "blind_whole": 0,
    }  # fmt: skip


def test_where_the_error_rises_least_often_of_all_and_of_the_kinds_held_out():
    monotone = pd.DataFrame(
        {
            "distortion": ["low_noise", "a_b", "c"],
            "held_out": [False, True, True],
            "rising": [0.25, 0.5, 0.75],
        }
    )
    assert findings.rising(monotone) == {
        "rising": 50.0, "worst_type": "low noise", "worst_rising": 25.0,
        "unseen_type": "a b", "unseen_rising": 50.0,
    }  # fmt: skip


def test_photographs_that_it_learned_from():
    assert findings.known(["a", "b", "z"], {"whole": {"a", "b", "c"}, "learnt": {"c"}}) == {
        "n_whole": 3, "n_whole_training": 2, "n_learnt": 1, "n_learnt_training": 0,
    }  # fmt: skip


def attacked(validate, confidence, lam, success, lpips, dists):
    """Two photographs: of the first this is said; the second is never classified correctly."""
    return pd.DataFrame(
        {
            "id": ["x", "y"],
            "attack": f"λ = {lam:g}",
            "validate": validate,
            "confidence": confidence,
            "lam": lam,
            "correct": [True, False],
            "success": [success, False],
            "lpips": lpips,
            "dists": dists,
        }
    )


def test_attacks_are_named_by_reading_confidence_and_price():
    records = pd.concat(
        [attacked("truncate", 0.0, 1.0, True, 1, 1), attacked("none", 5.0, 0.3, True, 1, 1)]
    )
    assert list(findings.named(records)["attack"].unique()) == [
        "a = 0, λ = 1",
        "a = 5, no truncation, λ = 0.3",
    ]


def test_a_price_is_better_if_both_judges_say_so_and_no_success_is_lost():
    prices = [  # λ, success, LPIPS, DISTS of each attack, all with λ = 0 at 0.2 and 0.2
        [(0.3, True, 0.1, 0.1), (1.0, True, 0.1, 0.2)],
        [(0.3, True, 0.2, 0.1), (1.0, True, 0.1, 0.1), (3.0, True, 0.1, 0.1)],
        [(0.3, True, 0.3, 0.1), (1.0, False, 0.1, 0.1)],
    ]
    records = pd.concat(
        attacked(validate, confidence, *one)
        for (validate, confidence), rest in zip(findings.ATTACKS, prices, strict=True)
        for one in [(0.0, True, 0.2, 0.2), *rest]
    )
    facts = findings.prices(pd.concat([records, attacked("none", 5.0, 1.0, True, 0.1, 0.1)]))
    assert facts["n_attacked"] == 1
    assert [facts[f"{one}_better"] for one in ("first", "firm", "free")] == ["0.3", "1, 3", "none"]
    assert facts["first_lpips_0"] == pytest.approx(200)
    assert facts["first_dists_0.3"] == pytest.approx(100)
    assert facts["free_success_1"] == 50
    assert facts["firm_success_1"] == 100


def test_speed_is_piq_s_time_by_ours_turn_by_turn():
    measured = {
        "humimp": {"seconds": [1.0, 1.0, 2.0]},
        "humimp, bfloat16": {"seconds": [0.5, 1.0, 1.0]},
        "piq.PieAPP": {"seconds": [3.0, 2.0, 2.0]},
    }
    record = {
        "machine": "Z", "threads": 2, "commit": "0123456789",
        "options": {"repeats": 3}, "measured": measured,
    }  # fmt: skip
    assert findings.faster(record, "humimp") == 2.0
    swapped = measured | {"humimp": measured["piq.PieAPP"], "piq.PieAPP": measured["humimp"]}
    facts = findings.speed([record, record | {"machine": "Y", "measured": swapped}])
    assert facts == {
        "speed_machine": "Z", "speed_threads": 2, "speed_repeats": 3, "speed_commit": "0123456",
        "wide_ratio": 2.0, "wide_reduced": 2.0, "slim_ratio": 0.5, "slim_reduced": 2.0,
    }  # fmt: skip
