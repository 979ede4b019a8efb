"""What page 3.2.2 says of the 8-bit aware attack and of what stands beside it."""

import math

import pandas as pd
import pytest

from humimp.findings import eight_bit as findings

NAN = float("nan")
JUDGED = "8-bit aware (SSIM)"
# Of each row: which of photographs a and b it fools, its LPIPS there in thousandths, its passes.
ROWS = {
    "No attack": ("", (NAN, NAN), (0, 0)),
    "Ours (a = 0)": ("ab", (20, 40), (2, 1)),
    "PGD (L2)": ("ab", (8, 9), (3, 2)),
    "PerC_AL": ("ab", (4, 4), (4, 3)),
    "DDN": ("ab", (2, 6), (5, 4)),
    "Climb alone": ("ab", (5, 5), (6, 5)),
    "All places alike": ("ab", (3, 3), (7, 6)),
    "8-bit aware": ("ab", (1, 5), (8, 7)),
    JUDGED: ("ab", (1, 5), (8, 7)),
}


def records(**changes):
    """Photographs a and b, and d, on which the network is wrong.

    L2 and the ground cost are twice LPIPS, DISTS ten times, and L1 a hundred times. JPEG undoes an
    attack on a, and 7 bits undo any; unattacked, JPEG makes the network wrong on a.
    """
    rows = []
    for attack, (fooled, each, passes) in (ROWS | changes).items():
        for one, value in zip("abd", (*each, NAN), strict=True):
            lpips, clean = value / 1000, 2 if one == "d" else 1
            jpeg = 1 + (one == "a" if attack == "No attack" else one == "b" and one in fooled)
            rows.append(
                {
                    "attack": attack, "id": one, "label": 1, "clean": clean, "correct": clean == 1,
                    "success": one in fooled, "predicted": 1 + (one in fooled), "margin": 0.0,
                    "l1": 100 * lpips, "l2": 2 * lpips, "lpips": lpips, "dists": 10 * lpips,
                    "cost": 2 * lpips, "forwards": passes[0], "backwards": passes[1],
                    "under_jpeg_90": jpeg, "under_bits_7": 1,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_numbers_are_means_over_successes():
    assert findings.numbers(records(DDN=("a", (2, 6), (5, 4)))) == pytest.approx(
        {
            "ours_l2": 0.06, "ours_lpips": 30, "ours_dists": 300, "ours_levels": 765,
            "climb_l2": 0.01, "climb_lpips": 5, "climb_dists": 50, "climb_levels": 127.5,
            "alike_l2": 0.006, "alike_lpips": 3, "alike_dists": 30,
            "eight_l2": 0.006, "eight_lpips": 3, "eight_dists": 30,
            "ddn_l2": 0.004, "climb_times_lpips": 6,
            "ours_forwards": 2, "ours_backwards": 1, "climb_forwards": 6, "climb_backwards": 5,
            "eight_forwards": 8, "eight_backwards": 7, "ddn_forwards": 5, "ddn_backwards": 4,
        }
    )  # fmt: skip


def test_factors_are_those_of_means_and_of_photographs():
    # LPIPS, DISTS and L2 are all 10 times smaller in the mean; on a 20 times, on b 8 times
    assert findings.beside_reading(records()) == pytest.approx(
        {
            "n": 2, "n_images": 3, "grain": 50, "sure": 22, "success": 100,
            "times_lpips": 10, "times_dists": 10, "times_l2": 10,
            "median_times_lpips": 14, "median_times_dists": 14, "median_times_l2": 14,
        }
    )  # fmt: skip


def test_factors_of_photographs_are_of_those_that_both_fool():
    found = findings.beside_reading(records(**{"8-bit aware": ("a", (1.0, 1.0), (8, 7))}))
    assert (found["success"], found["times_lpips"]) == (50, pytest.approx(30))
    assert found["median_times_lpips"] == pytest.approx(20)
    found = findings.beside_reading(records(**{"8-bit aware": ("", (1.0, 1.0), (8, 7))}))
    assert math.isnan(found["median_times_l2"])
    assert math.isnan(found["times_l2"])


def test_the_median_is_of_the_factors_of_each_photograph():
    third = records(**{"Ours (a = 0)": ("ab", (20, 10), (2, 1))}).query("id == 'b'")
    found = findings.beside_reading(
        pd.concat([records(), third.assign(id="c")])
    )  # 20, 8 and 2 times
    assert found["median_times_lpips"] == pytest.approx(8)


def test_the_nearest_rival_is_no_variant_of_the_attack():
    # half of the attack's successes, at 1 and 5, are within 3: there DDN has one of its own
    assert findings.rivals(records(DDN=("ab", (2, 5.8), (5, 4)))) == pytest.approx(
        {
            "rival": "DDN", "eight_median_lpips": 3, "rival_share": 50, "ours_share": 0,
            "nearer_lpips": "no row", "nearer_dists": "no row",
            "n_pairs": 2, "closer_lpips": 2, "closer_dists": 2, "closer_l2": 2,
        }
    )  # fmt: skip


def test_rows_as_near_or_nearer_are_told_with_their_means():
    changed = records(**{"DDN": ("ab", (3, 3), (5, 4)), "PGD (L2)": ("ab", (2, 3), (3, 2))})
    changed.loc[changed["attack"] == "PGD (L2)", "dists"] *= 2
    found = findings.rivals(changed)
    assert found["rival"] == "PGD (L2)"
    assert found["nearer_lpips"] == "PGD (L2) (2.50), DDN (3.00)"
    assert found["nearer_dists"] == "DDN (30.00)"
    assert found["rival_share"] == 100
    assert (found["closer_lpips"], found["closer_dists"], found["closer_l2"]) == (1, 2, 1)


def test_pairs_are_photographs_that_both_fool():
    found = findings.rivals(records(DDN=("b", (0, 3), (5, 4))))
    assert found["rival"] == "DDN"
    assert (found["n_pairs"], found["closer_lpips"], found["rival_share"]) == (1, 0, 50)
    found = findings.rivals(records(DDN=("ab", (1, 4), (5, 4))))  # as near on a, nearer on b
    assert (found["n_pairs"], found["closer_lpips"], found["rival_share"]) == (2, 0, 50)


def test_a_rival_that_fools_nothing_is_not_near():
    found = findings.rivals(records(DDN=("", (0, 0), (5, 4))))
    assert (found["rival"], found["nearer_lpips"], found["nearer_dists"]) == (
        "PerC_AL", "no row", "no row",
    )  # fmt: skip


def test_shares_of_the_papers_reading_count_those_attacked():
    found = findings.rivals(records(**{"Ours (a = 0)": ("ab", (3, 40), (2, 1))}))
    assert found["ours_share"] == 50


def test_an_attack_that_fools_nothing_has_no_pairs_and_no_median():
    found = findings.rivals(records(**{"8-bit aware": ("", (1, 5), (8, 7))}))
    assert math.isnan(found["eight_median_lpips"])
    assert (found["n_pairs"], found["closer_lpips"], found["rival_share"]) == (0, 0, 0)


def ten(found):
    """Make ten photographs of the two that are attacked: five like each."""
    found = found[found["id"] != "d"]
    return pd.concat(found.assign(id=found["id"] + str(k)) for k in range(5))


@pytest.mark.parametrize(
    ("change", "lpips", "dists", "word"),
    [  # the standard error of five times m − d and five times m + d is d/3
        ((-1, -2), ("−1.500", 1 / 6), ("−15.000", 10 / 6), "lower"),
        ((1, 2), ("+1.500", 1 / 6), ("+15.000", 10 / 6), "higher"),
        ((-0.9, 5), ("+2.050", 2.95 / 3), ("+20.500", 29.5 / 3), "higher"),
        ((-1, 4.9), ("+1.950", 2.95 / 3), ("+19.500", 29.5 / 3), "within"),
        ((0, 0), ("0.000", 0), ("0.000", 0), "within"),
    ],
)
def test_a_change_counts_beyond_two_standard_errors(change, lpips, dists, word):
    judged = ("ab", (1 + change[0], 5 + change[1]), (8, 7))
    found = findings.judged(ten(records(**{JUDGED: judged})), "SSIM")
    for column, (mean, error) in {"lpips": lpips, "dists": dists}.items():
        assert found[f"judge_{column}"] == mean
        assert found[f"judge_{column}_error"] == pytest.approx(error, abs=1e-9)
    said = "within two standard errors of none" if word == "within" else word
    assert {found[f"judge_{column}_word"] for column in ("lpips", "dists", "cost")} == {said}
    gains = "lowers LPIPS and DISTS" if word == "lower" else "shows no gain"
    assert (found["adds"], found["sat_in_committee"]) == (gains, "")


def test_the_change_of_the_cost_has_two_decimals():
    found = findings.judged(ten(records(**{JUDGED: ("ab", (0, 3), (8, 7))})), "SSIM")
    assert found["judge_cost"] == "−3.00"


@pytest.mark.parametrize(
    ("better", "adds"),
    [("lpips", "lowers LPIPS"), ("dists", "lowers DISTS"), ("cost", "shows no gain")],
)
def test_a_gain_is_what_either_judge_says_and_not_the_cost(better, adds):
    changed = ten(records())
    changed.loc[changed["attack"] == JUDGED, better] -= 0.0001
    assert findings.judged(changed, "SSIM")["adds"] == adds


def test_changes_are_over_photographs_fooled_both_ways():
    found = findings.judged(records(**{JUDGED: ("b", (9, 2), (8, 7))}), "SSIM")
    assert found["judge_lpips"] == "−3.000"
    assert math.isnan(found["judge_lpips_error"])


def test_fewer_than_ten_photographs_do_not_tell_a_change():
    better = ten(records(**{JUDGED: ("ab", (0, 3), (8, 7))}))
    assert findings.judged(better, "SSIM")["adds"] == "lowers LPIPS and DISTS"
    found = findings.judged(better[better["id"] != "a0"], "SSIM")
    for column in ("lpips", "dists", "cost"):
        assert found[f"judge_{column}_word"] == "on too few photographs to tell"
    assert found["adds"] == "shows no gain"


def test_lpips_and_dists_taught_pieapp_small():
    named = records().replace({"attack": {JUDGED: "8-bit aware (PieAPP-small)"}})
    assert findings.judged(named, "PieAPP-small")["sat_in_committee"] == (
        ", but were two of the eight measures that PieAPP-small learned from"
    )


def test_what_is_left_after_defences_row_by_row():
    found = findings.defended(records())
    keys = ("none", "ours", "perc_al", "ddn", "climb", "alike", "eight")
    assert found == {f"{k}_{d}": v for k in keys for d, v in (("jpeg", 50.0), ("bits", 0.0))}


def test_rows_and_defences_are_told_apart():
    changed = records(DDN=("a", (1, 1), (1, 1)))
    changed.loc[changed["attack"] == "PerC_AL", "under_jpeg_90"] = 2
    changed.loc[(changed["attack"] == "8-bit aware") & (changed["id"] == "b"), "under_bits_7"] = 2
    found = findings.defended(changed[changed["attack"] != "Climb alone"])
    assert (found["ddn_jpeg"], found["perc_al_jpeg"], found["ours_jpeg"]) == (0.0, 100.0, 50.0)
    assert (found["eight_bits"], found["ours_bits"]) == (50.0, 0.0)
    assert "climb_jpeg" not in found


def test_at_the_papers_settings_sentences_say_the_same():
    there = ("No attack", "Ours (a = 0)", "PGD (L2)", "8-bit aware")
    found = records(**{"PGD (L2)": ("ab", (2, 3), (3, 2)), "8-bit aware": ("ab", (6, 6), (8, 7))})
    found = found[found["attack"].isin(there)]
    found.loc[found["attack"] == "PGD (L2)", "dists"] *= 9
    aware = found["attack"] == "8-bit aware"
    found.loc[aware, "under_jpeg_90"] = 2
    found.loc[aware & (found["id"] == "a"), "under_bits_7"] = 2
    told = findings.at_scale(found, size=7, cost="SSIM")
    assert told.pop("says") == (
        "A ResNet-50 at 7 × 7 pixels, on the 2 of 3 photographs that it classifies correctly; "
        "ground cost of ours SSIM. Success is 100 %. LPIPS is 5.0 times smaller than in the "
        "paper's reading, DISTS 5.0 times and L₂ 5.0 times. As near in "
        "LPIPS, or nearer: PGD (L2) (2.50); in DISTS: no row. After JPEG of quality 90, 100 % are "
        "misclassified (of the unattacked 50 %), at 7 bits 50 % (0 %)."
    )
    assert told == findings.beside_reading(found)
