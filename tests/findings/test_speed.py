"""What is set beside ours is found in benchmarks' records, with its turns, and counted."""

import json
import statistics
from pathlib import Path

import pandas as pd
import pytest

from humimp.findings import speed
from humimp.findings.speed import Side, sides


def side(ratio, **more):
    return {"seconds_median": 0.5 * ratio, "ratio_median_of_turns": ratio, **more}


RECORD = {
    "commit": "abc",
    "options": {"images": 3},
    "measured": {"humimp": side(1.0, peak_bytes=2e8, share_of_matmul=0.5), "other": side(3.0)},
    "deeper": {"one": {"slow": side(0.25)}},
}


def test_sides_are_found_at_any_depth():
    assert list(sides(RECORD)) == [
        Side("humimp", 1.0, 0.5, 2e8, 0.5, (1.0,)),
        Side("other", 3.0, 1.5, None, None, (3.0,)),
        Side("slow", 0.25, 0.125, None, None, (0.25,)),
    ]


def test_turns_are_beside_the_side_of_ours_that_stands_before():
    record = {
        "one, humimp": side(1.0, seconds=[1.0, 2.0]),
        "one, other": side(2.5, seconds=[3.0, 4.0]),
        "two, humimp": side(1.0, seconds=[8.0, 4.0, 2.0]),
        "two, other": side(0.5, seconds=[2.0, 2.0, 2.0]),
    }
    assert [one.turns for one in sides({"measured": record})] == [
        (1.0, 1.0),
        (3.0, 2.0),
        (1.0, 1.0, 1.0),
        (0.25, 0.5, 1.0),
    ]


RECORDS = sorted((Path(__file__).parents[2] / "results").glob("[bp]e*/*.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_the_ratio_of_committed_records_is_the_median_of_their_turns(path):
    found = list(sides(json.loads(path.read_text("utf-8"))))
    assert found or path.stem.removesuffix("_gpu") not in speed.WHAT
    for one in found:
        assert one.ratio == pytest.approx(statistics.median(one.turns)), one.name


def test_a_name_that_comes_twice_is_told_apart_by_its_part_of_the_record():
    one = {"humimp": side(1.0), "other, as it comes": side(3.0)}
    two = {"humimp, equal steps": side(1.0), "other, as it comes": side(2.0)}
    found = sides({"early_stop": one, "equal_steps": two})
    assert [(one.name, one.ratio) for one in found] == [
        ("humimp", 1.0),
        ("other, as it comes", 3.0),
        ("humimp, equal steps", 1.0),
        ("other, equal steps, as it comes", 2.0),
    ]


LISTED = "as listed, on piq.PieAPP"
ALGORITHM1 = {
    "humimp": side(1.0, seconds=[1.0, 2.0, 4.0]),
    "humimp, bfloat16": side(0.5, seconds=[0.5, 1.0, 1.0]),
    LISTED: side(3.0, seconds=[3.0, 6.0, 8.0]),
}


def test_a_gpu_s_record_stands_behind_its_processor_s_and_others_are_left_out():
    records = {"pgd_gpu": {"a": side(2.0)}, "scaling": {"b": side(1.0)}, "pgd": {"c": side(3.0)}}
    found = [(what, one.name) for what, one in speed.measured(records)]
    assert found == [("PGD (L₂)", "c"), ("PGD (L₂), on a GPU", "a")]


def test_comparisons_are_the_others_turns_and_the_listing_beside_bfloat16():
    found = speed.measured({"algorithm1": ALGORITHM1, "pgd": RECORD, "nptm": {"a": side(2.0)}})
    assert speed.compared(found) == [
        (f"Algorithm 1, PieAPP of full width: {LISTED}", (3.0, 3.0, 2.0)),
        ("PGD (L₂): other", (3.0,)),
        ("PGD (L₂): slow", (0.25,)),
        ("NPTM: a", (2.0,)),
        ("Algorithm 1, PieAPP of full width, ours in bfloat16: as listed", [6.0, 6.0, 8.0]),
    ]


@pytest.mark.parametrize(
    ("turns", "who"),
    [([1.01, 3.0], "ours"), ([0.2, 0.99], "other"), ([0.9, 1.1], "open"), ([1.0, 2.0], "open")],
)
def test_who_is_the_faster_is_what_all_turns_say(turns, who):
    assert speed.verdict(turns) == who


def test_each_verdict_is_counted_and_who_is_not_behind_is_named():
    rows = [("a", [0.2, 0.9, 3.0]), ("b", [0.996]), ("c", [5.0]), ("d", [1.2, 0.9])]
    assert speed.outcome(rows) == {
        "n_rows": 4,
        "n_ours": 1,
        "n_other": 1,
        "n_open": 2,
        "other": "b (1.00)",
        "open": "a (0.90); d (1.05)",
    }
    assert speed.outcome(rows[2:3])["other"] == "none"


def test_where_records_come_from_and_which_are_not_equal():
    records = {
        "pgd": {"machine": "Z", "equal": True},
        "pgd_gpu": {"machine": "A"},
        "tf32_gpu": {"machine": "A"},
        "perc_al": {"machine": "Z", "authors": {}},
        "nptm": {"machine": "Z", "authors": {}, "equal": False},
    }
    assert speed.about(records) == {
        "machines": "A; Z",
        "on_gpu": "PGD (L₂)",
        "unequal": "nptm",
    }
    assert speed.about({"pgd": records["pgd"]}) == {
        "machines": "Z",
        "on_gpu": "nothing",
        "unequal": "none",
    }


def test_algorithm_1_and_the_listings():
    takes = {"humimp": 2.0, "humimp, bfloat16": 4.0}
    record = {
        "machine": "Z",
        "listing_takes": takes,
        "agreement": {"l2_worst": {"a": 0.01, "b": 0.02}},
    }
    told = ", 4.00 times with PieAPP's convolutions on factors rounded to bfloat16"
    facts = {"machine": "Z", "ratio": 2.0, "and_reduced": told, "apart": 2.0}
    assert speed.algorithm1(record) == facts
    del takes["humimp, bfloat16"]
    assert speed.algorithm1(record) == facts | {"and_reduced": ""}
    measured = {"Algorithm 2 as listed": side(8.0), "Algorithm 3 as listed": side(50.0)}
    assert speed.listings({"options": {"models": 5}, "measured": measured}) == {
        "listing_2": 8.0,
        "listing_3": 50.0,
        "n_models": 5,
    }


def test_pgd_gives_each_side_s_ratio_and_its_turns():
    early = {
        "humimp": side(1.0, seconds=[1.0, 1.0]),
        "torchattacks": side(3.0, seconds=[2.0, 4.0]),
        "torchattacks, stopped by hand": side(1.5, seconds=[1.5, 1.5]),
        "foolbox": side(5.0, seconds=[5.0, 5.04]),
    }
    equal = {
        "humimp, equal steps": side(1.0, seconds=[1.0]),
        "torchattacks": side(0.9, seconds=[0.9]),
        "foolbox": side(1.1, seconds=[1.1]),
    }
    options = {"classifier": "resnet50", "images": 4, "size": 32}
    record = {"machine": "Z", "options": options, "early_stop": early, "equal_steps": equal}
    facts = speed.pgd(record)
    assert {key: facts[key] for key in ("machine", "classifier", "n_pgd", "size")} == {
        "machine": "Z",
        "classifier": "ResNet-50",
        "n_pgd": 4,
        "size": 32,
    }
    ratios = {"torchattacks": 3.0, "foolbox": 5.0, "by_hand": 1.5}
    ratios |= {"torchattacks_equal": 0.9, "foolbox_equal": 1.1}
    assert {key: facts[key] for key in ratios} == ratios
    assert facts["torchattacks_turns"] == "2.0 and 4.0"
    assert facts["foolbox_turns"] == "5.0 and 5.0"


def test_the_cost_of_more_images():
    measured = {"20": {"work_bytes": 9e6}, "100": {"work_bytes": 1.0}, "1000": {"work_bytes": 8e6}}
    options = {"size": 32, "batch": 5}
    record = {"options": options, "cost_of_last_by_first": 0.9, "measured": measured}
    assert speed.scaling(record) == {
        "size": 32,
        "batch": 5,
        "ratio": 0.9,
        "least": 20,
        "most": 1000,
        "least_work": 9.0,
        "most_work": 8.0,
    }


def test_what_rounding_changes_is_asked_of_images_that_both_attacked():
    names = ["PGD (L2)", "Ours (a = 0)", "Ours (a = 1)", "Ours (a = 5)"]
    others = ["DDN", "NPTM (PPGD)", "PerC_AL"]
    rounded = pd.DataFrame(
        {
            "attack": name,
            "id": ["x", "y", "z", "only here"],
            "correct": [True, True, False, True],
            "success": [True, name not in others, False, False],
            "l2": 1.0,
        }
        for name in [*names, *others]
    ).explode(["id", "correct", "success"])
    full = pd.DataFrame(
        {"id": ["y", "x", "z"], "correct": True, "success": [False, True, True], "l2": 2.0}
    )
    pairs = speed.beside_full(rounded, dict.fromkeys(names, full))
    assert [list(pair["id"]) for pair in pairs.values()] == [["x", "y"]] * 4
    assert list(pairs["PGD (L2)"]["success_gpu"]) == [True, True]
    assert list(pairs["PGD (L2)"]["success"]) == [True, False]
    facts = speed.rounding(rounded, pairs)
    assert (facts["n"], facts["same"]) == (8, 4)
    assert facts["ddn"] == facts["ppgd"] == facts["perc_al"] == pytest.approx(100 / 3)
    assert facts["ddn_n"] == 3
