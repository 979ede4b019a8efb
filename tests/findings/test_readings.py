"""What the appendix on readings says: candidates from records, and the numbers in the text."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from humimp import evaluate, paper
from humimp.findings import readings as findings
from humimp.findings.readings import CLEARLY, Candidate, factor, favoured
from humimp.findings.words import FEWEST

DISTANCES = ("l1", "l2", "linf", "lpips", "dists")
IDS = list("abcdef")


def records(name, ids=IDS, fooled=IDS, correct=IDS, **columns):
    """Make records of a row: images by their letters, distances as given."""
    frame = pd.DataFrame(
        {
            "id": ids, "label": 1, "attack": name, "clean": 1, "predicted": 2, "margin": 1.0,
            "forwards": 3.0, "backwards": 2.0,
        }
    ).assign(**columns)  # fmt: skip
    frame["correct"] = frame["id"].isin(correct)
    frame["success"] = frame["correct"] & frame["id"].isin(fooled)
    return frame


def times(row, by, ids):
    """Give each image the distances of a row of the paper, unscaled, times a number."""
    by = by if isinstance(by, list) else [by] * len(ids)
    scales = {"lpips": 1000, "dists": 1000}
    return {c: [paper.TABLE1[row][c] / scales.get(c, 1) * one for one in by] for c in DISTANCES}


def judge(by):
    """Judge five images, and a sixth that is not fooled and should not count."""
    return [by * 1, by * 2, by * 3, by * 4, by * 5, 70.0]


@pytest.fixture(scope="module")
def run():
    """Make records of a run: each row so many times the paper's."""
    made = {
        name: records(name, ids=ids, fooled=fooled, **times(row, by, ids))
        for name, row, by, ids, fooled in (
            ("PGD (L2)", "PGD (L2)", 2.0, [*IDS, "wrong"], IDS),
            ("PGD, round", "PGD (L2)", 1.0, IDS, IDS[:2]),
            ("PGD, none", "PGD (L2)", 1.0, IDS, []),
            ("Ours (a = 0)", "Ours (a = 0)", [1.0, 1.0, 1.0, 1.0, 1.0, 100.0], IDS, IDS),
            ("Ours (a = 0), normalised", "Ours (a = 0)", 3.0, IDS[:5], IDS),
            ("Ours (a = 5)", "Ours (a = 5)", 3.0, IDS[:5], IDS),
            ("Ours (a = 5), normalised", "Ours (a = 5)", 1.5, IDS[:5], IDS),
            ("LPA, y", "NPTM (LPA)", 1.0, IDS[:5], IDS),
            ("LPA, x", "NPTM (LPA)", 2.0, IDS, IDS),
            ("PPGD, y", "NPTM (PPGD)", 1.0, IDS[:4], IDS),
            ("PPGD, x", "NPTM (PPGD)", 2.0, IDS[:4], IDS),
            ("PerC_AL, 100 iterations", "PerC_AL", 3.0, IDS, IDS),
            ("PerC_AL, 20 iterations, kept as in the code", "PerC_AL", 2.0, IDS, IDS),
            ("PerC_AL, 20 iterations", "PerC_AL", 4.0, IDS, IDS),
            ("PerC_AL, 20 iterations, κ = 40", "PerC_AL", 1.5, IDS, IDS),
            ("PerC_AL, 40 iterations, κ = 40", "PerC_AL", 1.0, IDS, IDS[:1]),
            ("PerC_AL, 40 iterations, κ = 40, kept as in the code", "PerC_AL", 5.0, IDS, IDS),
        )
    }
    made["PGD, other judges"] = records(
        "PGD, other judges", fooled=IDS[:5],
        lpips=judge(2.0), lpips_vgg_unscaled=judge(1.0), lpips_vgg_256=judge(3.0),
        lpips_alex=judge(4.0), lpips_alex_unscaled=judge(8.0),
        dists=judge(1.0), dists_256=judge(1.05),
    )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def found(run):
    return findings.candidates(run, confidences=[5.0, 2.0, 0.0], nptm=["x", "y", "z"])


LPIPS, DISTS = (paper.TABLE1["PGD (L2)"][column] for column in ("lpips", "dists"))
WANTED = [  # place, name, row of the paper, times the paper's, success rate, images
    ("Line 9 (PGD)", "cut off after every step", "PGD (L2)", 2, 100, 6),
    ("Line 9 (PGD)", "round after every step", "PGD (L2)", 1, 100 / 3, 6),
    ("Line 9 (PGD)", "round once, to save", "PGD (L2)", math.nan, 0, 6),
    ("LPIPS of PGD", "VGG-16", "PGD (L2)", {"lpips": 2 * LPIPS}, None, 5),
    ("LPIPS of PGD", "VGG-16, images in [0, 1]", "PGD (L2)", {"lpips": LPIPS}, None, 5),
    ("LPIPS of PGD", "VGG-16, resized to 256", "PGD (L2)", {"lpips": 3 * LPIPS}, None, 5),
    ("LPIPS of PGD", "AlexNet", "PGD (L2)", {"lpips": 4 * LPIPS}, None, 5),
    ("LPIPS of PGD", "AlexNet, images in [0, 1]", "PGD (L2)", {"lpips": 8 * LPIPS}, None, 5),
    ("DISTS of PGD", "full size", "PGD (L2)", {"dists": 2 * DISTS}, None, 5),
    ("DISTS of PGD", "resized to 256", "PGD (L2)", {"dists": 2.1 * DISTS}, None, 5),
    ("Gradient of ours (a = 5)", "as it is", "Ours (a = 5)", 3, 100, 5),
    ("Gradient of ours (a = 5)", "normalised", "Ours (a = 5)", 1.5, 100, 5),
    ("Gradient of ours (a = 0)", "as it is", "Ours (a = 0)", 1, 100, 5),
    ("Gradient of ours (a = 0)", "normalised", "Ours (a = 0)", 3, 100, 5),
    ("NPTM (PPGD)", "x", "NPTM (PPGD)", 2, 100, 4),
    ("NPTM (PPGD)", "y", "NPTM (PPGD)", 1, 100, 4),
    ("NPTM (LPA)", "x", "NPTM (LPA)", 2, 100, 6),
    ("NPTM (LPA)", "y", "NPTM (LPA)", 1, 100, 5),
    ("PerC_AL", "20 iterations", "PerC_AL", 4, 100, 6),
    ("PerC_AL", "100 iterations", "PerC_AL", 3, 100, 6),
    ("PerC_AL", "20 iterations, as coded", "PerC_AL", 2, 100, 6),
    ("PerC_AL", "20 iterations, κ = 40", "PerC_AL", 1.5, 100, 6),
    ("PerC_AL", "40 iterations, κ = 40", "PerC_AL", 1, 100 / 6, 6),
    ("PerC_AL", "40 iterations, κ = 40, as coded", "PerC_AL", 5, 100, 6),
]


def test_candidates_are_listed_place_by_place(found):
    for one, (place, name, row, by, success, n) in zip(found, WANTED, strict=True):
        values = by
        if not isinstance(by, dict):
            values = {c: by * paper.TABLE1[row][c] for c in DISTANCES} | {"success_rate": success}
        assert one == Candidate(place, name, row, pytest.approx(values, nan_ok=True), n)


def test_each_place_favours_what_is_clearly_nearest_on_enough_images(found):
    found = [replace(one, n=2 * one.n) for one in found]
    assert findings.favours(found, confidences=[5.0, 0.0]) == {
        "line_9": "“cut off after every step”",  # the others are ruled out
        "lpips": "“VGG-16, images in [0, 1]”",
        "dists": "none clearly",  # within a tenth
        "ppgd": "none clearly",  # on eight images
        "lpa": "“y”",
        "perc_al": "“20 iterations, κ = 40”",
        "gradient": "“as it is”",
        "gradient_most": "“normalised”",
        "least_a": "0",
        "most_a": "5",
    }
    facts = findings.favours(found, confidences=[0.0, 0.5])
    assert facts["gradient_most"] == "none, for the paper has no such row"
    assert (facts["least_a"], facts["most_a"]) == ("0", "0.5")


@pytest.mark.parametrize(
    ("key", "success", "row", "by"),
    [
        ("line_9", [100, 100 / 3, 0], "PGD (L2)", [2, 1, math.nan]),
        ("lpa", [100, 100], "NPTM (LPA)", [2, 1]),
    ],
)
def test_candidates_numbers_are_told_in_their_order(found, key, success, row, by):
    wanted = {f"{key}_{k}_success": rate for k, rate in enumerate(success)}
    wanted |= {f"{key}_{k}_l2": one * paper.TABLE1[row]["l2"] for k, one in enumerate(by)}
    assert findings.numbers(found, key) == pytest.approx(wanted, nan_ok=True)


def perc_al(name, by, success=100.0):
    values = {"success_rate": success, "l2": by * paper.TABLE1["PerC_AL"]["l2"]}
    return Candidate("PerC_AL", name, "PerC_AL", values, 100)


def test_the_range_of_factors_leaves_out_what_is_ruled_out(found):
    assert findings.perc_al(found) == {
        "perc_plain": "3.00 to 4.00",
        "perc_plain_code": "2.00",
        "perc_40": "1.50 (1 ruled out)",
        "perc_40_code": "5.00",
    }
    none = [perc_al("20", 2.0, 1.0), perc_al("40", 1.0, 1.0)]
    told = findings.perc_al(none)
    assert (told["perc_plain"], told["perc_40"]) == ("– (2 ruled out)", "–")


def test_pgd_s_means_medians_and_errors():
    pgd = records(
        "PGD (L2)", IDS, fooled=list("abc"), correct=list("abcd"),
        l1=7.0, l2=[1.0, 2, 3, 900, 900, 900], linf=[0.1, 0.1, 0.4, 9, 9, 9],
        lpips=[0.001, 0.002, 0.006, 9, 9, 9], dists=[0.003, 0.004, 0.005, 9, 9, 9],
    )  # fmt: skip
    pgd["forwards"] = [2.0, 3, 4, 5, math.nan, math.nan]
    facts = findings.pgd(pgd)
    errors = {c: facts.pop(f"pgd_{c}_error") for c in DISTANCES}
    assert errors["l1"] == 0
    assert errors == {c: evaluate.errors(pgd)[c]["PGD (L2)"] for c in DISTANCES}
    assert facts == pytest.approx(
        {
            "pgd_l1": 7,
            "pgd_l2": 2,
            "pgd_linf": 0.2,
            "pgd_lpips": 3,
            "pgd_dists": 4,
            "median_lpips": 2,
            "median_dists": 4,
            "n_pgd": 4,
            "n_pgd_images": 6,
            "most_passes": 5,
        }
    )


def test_an_attack_that_fools_nothing_has_no_distances():
    none = dict.fromkeys(DISTANCES, 9.0)
    facts = findings.pgd(records("PGD (L2)", fooled=[], **none))
    assert facts["n_pgd"] == 6
    assert math.isnan(facts["pgd_l2"])
    assert math.isnan(facts["pgd_l2_error"])
    assert math.isnan(facts["median_lpips"])


def test_norms_are_told_as_percent_over_the_printed():
    row = paper.TABLE1["PGD (L2)"]
    pgd = records(
        "PGD (L2)", fooled=["a"], l1=1.5 * row["l1"], l2=0.5 * row["l2"], linf=2 * row["linf"]
    )
    assert findings.over(pgd) == pytest.approx({"over_l1": 50, "over_l2": -50, "over_linf": 100})


def test_ours_is_beside_pgd_on_images_that_both_fool():
    run = {
        "Ours (a = 0)": records(
            "Ours (a = 0)", fooled=list("abc"), correct=list("abcde"),
            lpips=[0.001, 0.002, 0.006, 9, 9, 9],
        ),
        "Ours (a = 0), normalised": records(
            "Ours (a = 0), normalised", list("dcba"), fooled=list("abc"),
            lpips=[9, 0.006, 0.004, 9], dists=[9, 0.003, 0.003, 9],
        ),
        "PGD (L2)": records(
            "PGD (L2)", fooled=list("bcde"),
            lpips=[9, 0.005, 0.009, 9, 9, 9], dists=[9, 0.002, 0.003, 9, 9, 9],
        ),
    }  # fmt: skip
    facts = findings.ours(run, confidences=[5.0, 0.0])
    assert facts.pop("normal_lpips_off") == "−2.00"  # 4 − 5 and 6 − 9
    assert facts.pop("normal_dists_off") == "+0.50"  # 3 − 2 and 3 − 3
    assert facts == pytest.approx(
        {
            "ours_lpips": 3,
            "n_ours": 5,
            "lost": 2,
            "n_normal": 2,
            "normal_lpips": 5,
            "normal_lpips_pgd": 7,
            "normal_lpips_error": 1,  # √2 / √2
            "normal_dists": 3,
            "normal_dists_pgd": 2.5,
            "normal_dists_error": 0.5,
        }
    )


def test_what_the_paper_prints_of_pgd_and_lpa():
    assert findings.printed() == {
        "printed_l1": 592.74,
        "printed_l2": 1.56,
        "printed_linf": 0.005,
        "printed_lpips": 7.82,
        "printed_dists": 8.77,
        "printed_lpa_success": 99.78,
        "printed_lpa_l1": 2157.77,
        "printed_lpa_l2": 5.31,
        "printed_lpa_linf": 0.049,
    }


def test_norms_of_noise():
    facts = findings.noise(0.5, 2)  # of 12 numbers
    median = facts.pop("noise_linf") / 0.5
    assert math.erf(median / math.sqrt(2)) ** 12 == pytest.approx(0.5)  # all are below it
    assert facts == pytest.approx({"noise": 0.5, "noise_l1": 4.7873, "noise_l2": 1.7321}, rel=1e-4)


PRINTED = paper.TABLE1["PGD (L2)"]


def candidate(name, by, columns=("l1", "l2"), success=100.0, place="Line 9", n=1000):
    values = {column: PRINTED[column] * by for column in columns}
    return Candidate(place, name, "PGD (L2)", {"success_rate": success, **values}, n)


@pytest.mark.parametrize("by", [1.0, 2.0, 0.5])
def test_the_factor_is_symmetric_and_1_for_agreement(by):
    assert factor(candidate("a", by)) == pytest.approx(max(by, 1 / by), rel=1e-12)


def test_the_factor_is_a_geometric_mean_over_the_columns():
    one = Candidate("x", "a", "PGD (L2)", {"l1": PRINTED["l1"] * 4, "l2": PRINTED["l2"]}, 3)
    assert factor(one) == pytest.approx(2)


@pytest.mark.parametrize(
    ("success", "n", "possible"),
    [
        (95.0, 1000, True),
        (94.0, 1000, True),  # by chance: 92.3 to 95.4 %
        (93.0, 1000, False),  # 91.2 to 94.5 %
        (50.0, 2, True),  # 1.3 to 98.7 %
        (50.0, 6, False),  # 11.8 to 88.2 %
        (0.0, 2, False),  # 0 to 84.2 %
        (4.0, 1000, False),
    ],
)
def test_another_success_rate_rules_a_candidate_out(success, n, possible):
    one = candidate("a", 1.0, success=success, n=n)
    assert math.isfinite(factor(one)) == possible
    assert favoured([one]) == ("a" if possible and n >= FEWEST else None)


@pytest.mark.parametrize(("n", "best"), [(FEWEST - 1, None), (FEWEST, "near")])
def test_few_images_favour_nothing(n, best):
    assert favoured([candidate("far", 3.0), candidate("near", 1.0, n=n)]) == best


def test_of_no_candidates_none_is_favoured():
    assert favoured([]) is None


def test_success_that_is_not_known_rules_nothing_in():
    assert math.isinf(factor(candidate("a", 1.0, success=math.nan)))


def test_the_nearest_is_favoured_if_clearly_nearer():
    near, far = candidate("near", 1.2), candidate("far", 0.5)
    assert favoured([far, near]) == "near"
    assert favoured([candidate("a", 1.5), candidate("b", 1.5 * CLEARLY * 0.99)]) is None
    assert favoured([candidate("a", 1.5), candidate("b", 1.5 * CLEARLY * 1.01)]) == "a"
