"""What page 3.1 says of the two steps on digits."""

import pandas as pd
import pytest

from humimp.findings import ssim as findings

NAMES = ["SSIM step", "PGD step", "SSIM step, one window"]


def records():
    """Four digits, two distances: who is fooled when, and what the network says."""
    rows = []
    for distance, fooled in ((1.0, {"b"}), (2.0, {"b", "c", "d"})):
        for name in NAMES:
            for i, digit in enumerate("abcd"):
                rows.append(
                    {
                        "attack": name,
                        "distance": distance,
                        "l2": distance + 0.001 * i,
                        "id": digit,
                        "label": i,
                        "correct": digit != "a",
                        "predicted": 7 if digit in fooled else i,
                        "success": digit in fooled and (name != "PGD step" or digit != "c"),
                        "cost": 0.1 * distance + (0.2 if name == "PGD step" else 0.0),
                        "background": 0.5 if name == "PGD step" else 0.125,
                        "stroke": 0.25 * i,
                    }
                )
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("distance", "n", "ids"),
    [(1.0, 3, ["b"]), (2.0, 3, ["b", "d"]), (2.0, 1, ["b"])],
)
def test_the_first_digits_that_both_fool_are_chosen(distance, n, ids):
    assert findings.chosen(records(), distance, n) == ids


def test_a_distance_at_which_none_is_fooled_by_both_is_named():
    none = records().assign(success=False)
    with pytest.raises(ValueError, match="shown_distance: at 2 no digit of 4 is fooled by both"):
        findings.chosen(none, 2.0, 3)


def test_captions_are_the_label_the_answers_and_the_ssim():
    assert findings.captions(records(), 2.0, ["d", "a"]) == [
        {"Original": "3", "SSIM step": "“7”   SSIM 0.80", "PGD step": "“7”   SSIM 0.60"},
        {"Original": "0", "SSIM step": "“0”   SSIM 0.80", "PGD step": "“0”   SSIM 0.60"},
    ]


def test_shares_are_means_at_the_distance_in_percent():
    changed = records()
    changed.loc[changed["distance"] == 1.0, "background"] = 0.0
    shares = findings.shares(changed, 2.0, ["background", "stroke"])
    assert shares.to_dict("index") == {
        "SSIM step": {"background": 12.5, "stroke": 37.5},
        "PGD step": {"background": 50.0, "stroke": 37.5},
    }
    assert list(shares.index) == list(findings.PAIR)


def test_success_and_ssim_are_of_digits_that_were_right():
    table = findings.by_distance(records()).set_index(["attack", "l2"])
    assert list(table.index[:2]) == [("SSIM step", 1.0), ("PGD step", 1.0)]
    assert table.loc[("SSIM step", 1.0), "success_rate"] == pytest.approx(100 / 3)
    assert table.loc[("PGD step", 2.0), "success_rate"] == pytest.approx(200 / 3)
    assert table.loc[("PGD step", 2.0), "ssim"] == pytest.approx(0.6)


def test_accuracy_and_how_exact_distances_are():
    facts = findings.walked(records())
    assert facts == {"accuracy": 75.0, "worst_l2": pytest.approx(0.003)}


def test_all_are_compared_at_the_shown_distance_and_the_ssim_step_at_the_greatest():
    facts = findings.bought(findings.by_distance(records()), 1.0)
    assert facts["furthest"] == 2.0
    assert facts["pgd_success"] == facts["one_success"] == pytest.approx(100 / 3)
    assert facts["ssim_ssim"] == facts["one_ssim"] == pytest.approx(0.9)
    assert facts["pgd_ssim"] == pytest.approx(0.7)
    assert facts["far_ssim_success"] == 100
    assert facts["far_ssim_ssim"] == pytest.approx(0.8)
