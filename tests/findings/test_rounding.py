"""What page 3.2.1 says of the readings of line 9, and of the prices."""

import math

import pandas as pd
import pytest

from humimp.findings import rounding as findings

# Of each reading: which of photographs a, b and c it fools, its L2 there in levels, its passes.
READINGS = {
    "PGD, truncate": ("abc", (2, 4, 9), 2),
    "PGD, truncate, ε/100": ("ac", (2, 90, 4), 3),
    "PGD, round": ("b", (8, 1, 20), 4),
    "PGD, none": ("", (1, 1, 1), 6),
    "Ours (a = 0), truncate": ("ab", (3, 7, 90), 1),
    "Ours (a = 0), none": ("bc", (90, 6, 1), 5),
}


def records(readings):
    """Three photographs, and d, on which the network is wrong; L1 is 3 L2, Linf is half of L2."""
    rows = [
        {
            "attack": attack, "id": one, "label": 1, "clean": 1, "correct": one != "d",
            "success": one in fooled, "predicted": 2 if one in fooled else 1, "margin": 0.0,
            "l2": level / 255, "l1": 3 * level / 255, "linf": level / 2 / 255,
            "forwards": passes, "backwards": 1,
        }
        for attack, (fooled, levels, passes) in readings.items()
        for one, level in zip("abcd", (*levels, float("nan")), strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def priced(costs, lost=""):
    """Photographs a, b and c at each price, by their ground cost; those lost are not fooled."""
    rows = [
        {
            "attack": f"lam = {name}", "id": one, "label": 1, "clean": 1, "correct": True,
            "success": one not in lost, "predicted": 2, "margin": 0.0, "cost": cost,
            "forwards": 1, "backwards": 1,
        }
        for name, each in costs.items()
        for one, cost in zip("abc", each, strict=False)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_truncated_step_lowers_half_of_all_values_by_a_level():
    found = findings.floors(10, 0.1)
    assert found.pop("typical") == pytest.approx(25.5 / 17.3205, rel=1e-5)
    assert found == pytest.approx(
        {
            "n_values": 300, "floor_l1": 150 / 255, "floor_l2": 12.24745 / 255,
            "paper_values": 268203, "paper_floor_l1": 525.888, "paper_floor_l2": 1.436073,
            "paper_pgd_l1": 592.74, "paper_pgd_l2": 1.56,
            "paper_share_floor": 92.0560, "paper_ours_share_floor": 75.1871,
        },
        rel=1e-5,
    )  # fmt: skip


def test_only_the_reading_of_fewer_steps_has_their_number_in_its_name():
    named = findings.with_steps(records(READINGS), 7)["attack"].unique()
    assert list(named) == [
        "PGD, truncate", "PGD, truncate, ε/100", "PGD, round (7 steps)", "PGD, none",
        "Ours (a = 0), truncate", "Ours (a = 0), none",
    ]  # fmt: skip


def test_readings_are_means_over_successes_and_shares_of_the_photographs_attacked():
    # images of 2 × 2 pixels have 12 values, and a floor of √6 levels: 2.44949
    assert findings.readings(records(READINGS), 2) == pytest.approx(
        {
            "n_images": 4, "n_correct": 3,
            "truncated_l2": 5 / 255, "tiny_l2": 3 / 255, "tiny_success": 200 / 3,
            "round_success": 100 / 3, "none_success": 0.0, "none_passes": 6.0,
            "ours_l2": 5 / 255, "ours_none_success": 200 / 3,
            "share_floor": 48.9897949, "ours_share_floor": 48.9897949,
            "n_stuck": 2, "stuck_linf": "4 to 10 levels", "stuck_l1": "24 to 60 levels",
        }
    )  # fmt: skip


def test_each_share_is_of_its_own_distance():
    changed = READINGS | {"Ours (a = 0), truncate": ("ab", (6, 14, 90), 1)}
    found = findings.readings(records(changed), 2)
    assert found["share_floor"] == pytest.approx(48.9897949)
    assert found["ours_share_floor"] == pytest.approx(24.4948974)


def test_nothing_is_said_of_stuck_photographs_if_all_are_fooled():
    found = findings.readings(records(READINGS | {"PGD, round": ("abc", (8, 1, 20), 4)}), 2)
    assert (found["n_stuck"], found["stuck_linf"], found["stuck_l1"]) == (0, "– levels", "– levels")


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (6.0, "brings ours nearer"),
        (7.0, "does not bring ours nearer"),
        (8.0, "does not bring ours nearer"),
    ],
)
def test_ours_is_compared_where_it_succeeds_both_ways(level, said):
    # b alone; elsewhere one of them is far away
    changed = READINGS | {"Ours (a = 0), none": ("bc", (1, level, 90), 5)}
    assert findings.without_truncation(records(changed)) == pytest.approx(
        {
            "n_common": 1,
            "nearer": said,
            "common_truncate_l1": 21 / 255,
            "common_truncate_l2": 7 / 255,
            "common_truncate_linf": 3.5 / 255,
            "common_none_l1": 3 * level / 255,
            "common_none_l2": level / 255,
            "common_none_linf": level / 2 / 255,
        }
    )


def test_nothing_is_compared_where_ours_never_succeeds_both_ways():
    found = findings.without_truncation(
        records(READINGS | {"Ours (a = 0), none": ("c", (1, 1, 1), 5)})
    )
    assert (found["n_common"], found["nearer"]) == (0, "leaves nothing to compare")
    assert math.isnan(found["common_none_l2"])


def test_means_are_over_all_photographs_on_which_both_succeed():
    changed = READINGS | {"Ours (a = 0), none": ("abc", (1, 6, 90), 5)}
    found = findings.without_truncation(records(changed))
    assert found["n_common"] == 2
    assert found["common_truncate_l2"] == pytest.approx(5 / 255)
    assert found["common_none_l2"] == pytest.approx(3.5 / 255)


def test_the_ground_cost_is_shown_a_thousandfold():
    given = pd.DataFrame({"attack": ["lam = 2", "DDN"], "cost": [0.25, 1.0], "forwards": [2, 3]})
    expected = pd.DataFrame(
        {"attack": ["λ = 2", "DDN"], "c₀ (×1000)": [250.0, 1000.0], "forwards": [2, 3]}
    )
    pd.testing.assert_frame_equal(findings.thousandfold(given), expected)
    assert list(given) == ["attack", "cost", "forwards"]


def test_costs_are_means_over_successes_at_each_price():
    table = priced({"0": (3, 5, 90), "0.5": (2, 4, 90), "50": (1, 2, 90), "5000": (6, 7, 90)}, "c")
    assert findings.costs(table, 0.5) == {
        "lam": "0.5", "lam_hundred": "50", "lam_many": "5000",
        "cost_zero": 4000.0, "cost_one": 3000.0, "cost_hundred": 1500.0, "cost_many": 6500.0,
    }  # fmt: skip


def test_at_the_papers_settings_sentences_say_the_same():
    costs = {"0": (0.3, 0.2, 0.1), "2": (0.2, 0.1, 0.1)}
    assert findings.at_scale(records(READINGS), priced(costs), size=2, lam=2.0) == {
        "line_9": (
            "A ResNet-50 at 2 × 2 pixels, on the 3 of 4 photographs that it classifies correctly. "
            "PGD with truncation has an L₂ of 0.02, of which the floor of a single step is 49 % "
            "(the paper's row: 1.56); with a step a hundredth as long it is 0.01, at 67 % success. "
            "Without rounding in the loop, 0 % of the saved images fool it. Of the L₂ of ours at "
            "a = 0, 0.02, the floor is 49 %."
        ),
        "nearer": (
            "In the reference run, with a ResNet-50, it brings ours nearer (0.02 and 0.03, on 1 "
            "photographs)."
        ),
        "price": (
            "With the paper's price λ = 2, 1000 c₀ is lower on 2 of the 3 photographs than "
            "without, higher on 0, and the same on the others; the mean change is −66.7 ± 33.3 "
            "(standard error), of 200.0."
        ),
        "ends": "133 with the paper's price and at 200 without",
    }


def test_the_cost_ends_where_the_table_says_at_the_mean_over_successes():
    costs = {"0": (0.3, 0.2, 0.1), "2": (0.2, 0.1, 0.1)}
    found = findings.at_scale(records(READINGS), priced(costs, lost="a"), size=2, lam=2.0)
    assert found["ends"] == "100 with the paper's price and at 150 without"


def test_a_price_may_raise_the_cost_and_photographs_without_a_pair_do_not_count():
    costs = {"0": (0.1, 0.2, float("nan")), "2": (0.4, 0.3, 0.1)}
    found = findings.at_scale(records(READINGS), priced(costs), size=2, lam=2.0)
    assert found["price"] == (
        "With the paper's price λ = 2, 1000 c₀ is lower on 0 of the 2 photographs than without, "
        "higher on 2, and the same on the others; the mean change is +200.0 ± 100.0 (standard "
        "error), of 150.0."
    )
