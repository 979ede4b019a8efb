"""What page 3.2 says of its tables and curves follows from their numbers."""

import math
from typing import Any

import pandas as pd
import pytest
import torch

from humimp.findings import table1, words

NAN = math.nan
PGD, PERC, PERC_40, DDN = "PGD (L2)", "PerC_AL", "PerC_AL (κ = 40)", "DDN"
A0, A1, A5 = "Ours (a = 0)", "Ours (a = 1)", "Ours (a = 5)"
ROWS = [PERC, PERC_40, PGD, "NPTM (PPGD)", "NPTM (LPA)", A0, A1, A5, DDN, "ALMA (LPIPS)",
        "8-bit aware", "FGSM"]  # fmt: skip
NAMES = table1.places([0.0, 1.0, 5.0])


def summary(**columns: dict[str, float]) -> pd.DataFrame:
    """Make a table whose rows are all alike but for the numbers given, by column and row."""
    same = {
        "images": 5, "n": 4, "success_rate": 100.0, "l1": 100.0, "l2": 1.0, "linf": 0.01,
        "lpips": 10.0, "dists": 10.0, "forwards": 2.0, "backwards": 1.0,
    }  # fmt: skip
    table = pd.DataFrame(same, index=ROWS)
    for column, values in columns.items():
        for row, value in values.items():
            table.loc[row, column] = value
    return table


def rates(**levels: dict[str, float]) -> pd.DataFrame:
    """Make success rates of 50 % but for those given, by level, such as jpeg_90, and row."""
    index = pd.MultiIndex.from_tuples(
        [(name.partition("_")[0], float(name.partition("_")[2])) for name in levels],
        names=["defense", "level"],
    )
    return pd.DataFrame(
        [{**dict.fromkeys(["No attack", *ROWS], 50.0), **values} for values in levels.values()],
        index,
    )


def records(columns: dict[str, Any], attacks: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Join columns that all attacks have alike with each one's own."""
    return pd.concat(
        pd.DataFrame({**columns, **own, "attack": name}) for name, own in attacks.items()
    )


# -------------------------------------------------------------------------------------- the rows


@pytest.mark.parametrize(
    ("confidences", "names"),
    [
        ([5.0, 0.0, 0.5, 2], ["Ours (a = 0)", "Ours (a = 0.5)", "Ours (a = 5)"]),
        ([3.0, 1.0], ["Ours (a = 1)", "Ours (a = 3)", "Ours (a = 3)"]),
        ([1.0], ["Ours (a = 1)"] * 3),
    ],
)
def test_ours_are_the_least_confidence_the_next_and_the_greatest(
    confidences: list[float], names: list[str]
) -> None:
    found = table1.places(confidences)
    assert [found[key] for key in ("ours", "second", "strongest")] == names
    assert {key: found[key] for key in table1.RIVALS} == table1.RIVALS
    written = table1.levels_of_confidence(confidences)
    assert [f"Ours (a = {a})" for a in written.values()] == names
    assert list(written) == ["a_least", "a_second", "a_most"]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a", "Ours (a = 0)", "Ours (a = 7)", "b"], ["a", A1, A5, "b"]),
        (["a", "Ours (a = 0)", "b", "Ours (a = 7)"], ["a", A1, A5, "b"]),
        (["a", "Ours, anew", "b"], ["a", "Ours, anew", "b", A1, A5]),
    ],
)
def test_rows_of_another_run_are_listed_in_this_order_with_its_confidences(
    names: list[str], found: list[str]
) -> None:
    assert table1.listed(names, [5.0, 1.0]) == found


def test_the_paper_s_rows_are_those_of_its_table_and_ours_at_any_confidence() -> None:
    names = ["No attack", *ROWS, "Ours (a = 0.3)", "Mine"]
    assert table1.of_the_paper(names) == [
        PERC, PGD, "NPTM (PPGD)", "NPTM (LPA)", A0, A1, A5, "Ours (a = 0.3)",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------ what is run

USUAL: dict[str, Any] = {
    "cost": "HaarPSI", "reading": "round", "nptm_network": "classifier",
}  # fmt: skip
TAUGHT = (
    "are not independent judges of ours, for they were two of the eight measures that taught "
    "PieAPP-small"
)


@pytest.mark.parametrize(
    ("given", "other"),
    [
        ({}, {}),
        ({"cost": "PieAPP"}, {"felt": "whose weights decide whether the first step feels it"}),
        ({"cost": "PieAPP-small"}, {"judges": TAUGHT}),
        ({"nptm_network": "AlexNet"}, {"nptm_network": "AlexNet's"}),
        ({"reading": "truncate"}, {"at_work": "the truncation at work"}),
    ],
)
def test_each_parameter_has_its_words(given: dict[str, Any], other: dict[str, str]) -> None:
    assert table1.settings(**USUAL | given) == {
        "felt": "which the first step does not feel",
        "judges": "had no part in the ground cost of ours",
        "nptm_network": "the classifier's own",
        "at_work": "where values moved",
    } | other  # fmt: skip


def test_a_classifier_is_the_paper_s_kind_or_a_stand_in() -> None:
    assert words.kind("resnet50_he2016") == "is the paper's kind"
    assert words.kind("mobilenet_v2") == "stands in for ResNet-50"


def test_the_paper_s_numbers_are_those_that_it_prints() -> None:
    assert table1.printed() == {
        "paper_images": 1000, "paper_size": 299, "paper_ours_lpips": 7.3, "paper_ours_dists": 8.17,
        "paper_pgd_lpips": 7.82, "paper_pgd_dists": 8.77,
    }  # fmt: skip


# ---------------------------------------------------------------------------------------- Table 1


def test_numbers_are_named_by_row_and_column_and_rows_that_are_missing_are_left_out() -> None:
    table = summary(
        success_rate={A0: 75.0}, l1={A0: 2.0}, l2={A0: 3.0}, linf={A0: 4.0}, lpips={A0: 5.0},
        dists={A0: 6.0}, forwards={A0: 7.0},
    )  # fmt: skip
    found = table1.numbers(table, {"ours": A0, "pgd": PGD, "mine": "Mine"}, end="_error")
    assert math.isnan(found.pop("ours_saliency_error"))  # was not measured
    assert math.isnan(found.pop("pgd_saliency_error"))
    assert found == {
        "ours_success_error": 75, "ours_l1_error": 2, "ours_l2_error": 3, "ours_linf_error": 4,
        "ours_lpips_error": 5, "ours_dists_error": 6, "ours_forwards_error": 7,
        "pgd_success_error": 100, "pgd_l1_error": 100, "pgd_l2_error": 1, "pgd_linf_error": 0.01,
        "pgd_lpips_error": 10, "pgd_dists_error": 10, "pgd_forwards_error": 2,
    }  # fmt: skip
    measured = table1.numbers(table.assign(saliency=0.5), {"ours": A0})
    assert (measured["ours_saliency"], measured["ours_success"]) == (0.5, 75)


def test_ours_beside_more_confidence_and_beside_pgd() -> None:
    table = summary(lpips={A0: 4.0, A5: 6.0, PGD: 2.0}, l2={A0: 3.0, PGD: 4.0}, forwards={A0: 2.5})
    found = table1.beside(table, NAMES)
    del found["search"]
    assert found == {
        "passes": 2.5, "most_lpips": 1.5, "ours_beside_pgd_lpips": 2, "ours_beside_pgd_l2": 0.75,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lpips", "where"),
    [
        ({PERC: 1, DDN: 2, PGD: 3, A0: 4}, "nearer to the original"),
        ({PERC: 2, DDN: 1, PGD: 4, A0: 3}, "nearer to the original"),
        ({PERC: 1, DDN: 3, PGD: 2, A0: 4}, "not all nearer to the original"),
        ({PERC: 1, DDN: 2, PGD: 2, A0: 4}, "not all nearer to the original"),
        ({PERC: 1, DDN: 3, PGD: 4, A0: 2}, "not all nearer to the original"),
        ({PERC: 2, DDN: 3, PGD: 2, A0: 1}, "not all nearer to the original"),
        ({PERC: 2, DDN: 3, PGD: 1, A0: 2}, "not all nearer to the original"),
        ({PERC: NAN, DDN: 1, PGD: 2, A0: 3}, "not all nearer to the original"),
        ({PERC: 2, DDN: 3, PGD: 1, A0: NAN}, "not all nearer to the original"),
        ({PERC: 3, DDN: 4, PGD: 1, A0: 2}, "farther from the original"),
        ({PERC: 4, DDN: 3, PGD: 2, A0: 1}, "farther from the original"),
    ],
)
def test_attacks_that_go_on_are_nearer_where_each_is_nearer_than_each_that_stops(
    lpips: dict[str, float], where: str
) -> None:
    assert table1.beside(summary(lpips=lpips), NAMES)["search"] == where


@pytest.mark.parametrize(
    ("plain", "firm", "row"),
    [
        # The paper's is 2.22 / 1.56 = 1.42 times PGD's.
        (1.3, 1.6, "without confidence"),
        (1.6, 1.3, "with κ = 40"),
        (0.3, 1.7, "with κ = 40"),
        (1.5, 2.5, "without confidence"),
        (NAN, 1.4, "one way or the other, which cannot be told where one fools nothing"),
        (1.4, NAN, "one way or the other, which cannot be told where one fools nothing"),
    ],
)
def test_the_paper_s_perc_al_is_the_one_whose_l2_beside_pgd_s_is_like_the_printed(
    plain: float, firm: float, row: str
) -> None:
    table = summary(l2={PGD: 2.0, PERC: 2 * plain, PERC_40: 2 * firm})
    found = table1.which_perc_al(table, NAMES)
    assert found["printed_row"] == row
    assert found["paper_beside_pgd"] == pytest.approx(1.423, abs=0.0005)
    beside = [found["perc_al_beside_pgd"], found["perc_al_40_beside_pgd"]]
    assert beside == pytest.approx([plain, firm], nan_ok=True)


@pytest.mark.parametrize(("key", "name"), [("perc_al", PERC), ("perc_al_40", PERC_40)])
@pytest.mark.parametrize(
    ("l1", "l2", "lpips", "norms", "judged"),
    [
        (3.0, 5.0, 11.0, "larger than", "larger than"),
        (1.0, 2.0, 9.0, "smaller than", "smaller than"),
        (3.0, 2.0, 9.0, "partly larger than", "smaller than"),
        (1.0, 5.0, 11.0, "partly larger than", "larger than"),
        (2.0, 5.0, 9.0, "partly larger than", "smaller than"),
        (2.0, 3.0, 10.0, "no larger than", "no larger than"),
        (NAN, NAN, NAN, "not to be compared with", "not to be compared with"),
    ],
)
def test_perc_al_is_larger_than_another_where_all_its_numbers_are(
    l1: float, l2: float, lpips: float, norms: str, judged: str, key: str, name: str
) -> None:
    table = summary(
        l1={PGD: 2.0, name: l1}, l2={PGD: 4.0, name: l2},
        lpips={PGD: 1.0, A0: 99.0, A1: 10.0, A5: 1.0, name: lpips},
    )  # fmt: skip
    found = table1.which_perc_al(table, NAMES)
    assert (found[f"{key}_norms"], found[f"{key}_judged"]) == (norms, judged)


@pytest.mark.parametrize(
    ("changed", "always", "least", "least_of_all"),
    [
        ({}, "holds", "holds", "holds"),
        ({"success_rate": {A0: 99.9}}, "does not hold", "holds", "holds"),
        ({"success_rate": {PGD: 99.9}}, "holds", "holds", "holds"),
        ({"lpips": {DDN: 4.0}}, "holds", "holds", "does not hold"),
        ({"dists": {DDN: 4.0}}, "holds", "holds", "does not hold"),
        ({"lpips": {PERC_40: 4.0}}, "holds", "holds", "does not hold"),
        ({"lpips": {PERC: 4.0}}, "holds", "does not hold", "does not hold"),
        ({"dists": {A5: 4.0}}, "holds", "does not hold", "does not hold"),
        ({"lpips": {PGD: NAN}}, "holds", "holds", "holds"),
        ({"lpips": {PERC: 5.0, PERC_40: 5.0}}, "holds", "holds", "holds"),
        ({"lpips": {A0: NAN}}, "holds", "does not hold", "does not hold"),
    ],
)
def test_the_first_claim_holds_where_ours_always_succeeds_and_has_both_smallest(
    changed: dict[str, dict[str, float]], always: str, least: str, least_of_all: str
) -> None:
    five = {A0: 5.0}
    table = summary(
        lpips=five | changed.get("lpips", {}),
        dists=five | changed.get("dists", {}),
        success_rate=changed.get("success_rate", {}),
    )
    found = table1.nearest(table, A0)
    assert (found["always"], found["least"], found["least_of_all"]) == (always, least, least_of_all)


def test_rows_that_are_nearer_are_told_from_the_nearest_on() -> None:
    table = summary(lpips={A0: 5.0, DDN: 1.0, PGD: 4.996, PERC: NAN, "FGSM": 5.0}, dists={A0: 9})
    found = table1.nearest(table, A0)
    assert (found["nearest"], found["nearest_lpips"]) == (DDN, 1)
    assert found["nearer_lpips"] == "DDN (1.00), PGD (L2) (5.00)"
    assert found["nearer_dists"] == "no row"


def test_saliency_is_said_of_three_rows_and_those_that_change_less() -> None:
    names = {"ours": A0, "ppgd": "NPTM (PPGD)"}
    measured = pd.DataFrame(
        {"saliency": [3.0, 0.5, 9.25, 2.0]}, index=[A0, "PGD (L2)", "NPTM (PPGD)", "DDN"]
    )
    assert table1.saliency(measured, measured / 10, names) == {
        "saliency": "changes by 3.00 ± 0.30 for Ours (a = 0), 0.50 ± 0.05 for PGD and 9.25 ± 0.93 "
        "for PPGD. Rows with a smaller change than Ours (a = 0): PGD (L2) (0.50), DDN (2.00)"
    }
    unmeasured = measured.rename(columns={"saliency": "lpips"})
    told = {"saliency": "was not measured in this run"}
    assert table1.saliency(unmeasured, unmeasured, names) == told


def test_photographs_are_paired_where_both_attacks_fool() -> None:
    found = records(
        {"id": list("abcd")},
        {
            PGD: {"lpips": [1.0, 2.0, 3.0, 4.0], "success": [True, True, True, False]},
            A0: {"lpips": [0.5, 2.0, 4.0, 1.0], "success": True},
            DDN: {"lpips": [0.1, 0.1, 0.1, 0.1], "success": [False, False, False, True]},
        },
    )
    assert table1.pairs(found, A0) == {"n_pairs": 3, "closer": 1}
    assert table1.pairs(found, A5) == {"n_pairs": 0, "closer": 0}


# --------------------------------------------------------------------------------------- Figure 3

SHOWN = records(
    {"id": list("dabc"), "linf": [0.0, 1 / 255, 8 / 255, NAN]},
    {
        PGD: {"success": [True, True, True, False]},
        A0: {"success": [False, True, True, False], "linf": [0.0, 3 / 255, 2 / 255, NAN]},
        DDN: {"success": [True, False, True, False], "linf": 1.0},
    },
)


@pytest.mark.parametrize(("n", "ids"), [(1, ["b"]), (3, ["b", "d", "a"]), (9, list("bdac"))])
def test_the_most_fooled_come_first_and_equals_in_their_order(n: int, ids: list[str]) -> None:
    assert table1.most_fooled(SHOWN, n) == ids


@pytest.mark.parametrize(
    ("chosen", "which"),
    [(["b"], "every attack succeeds"), (["b", "d"], "the most attacks succeed")],
)
def test_what_figure_3_shows_is_counted_in_values_and_levels(chosen: list[str], which: str) -> None:
    original = torch.full((3, 1, 2), 100 / 255)

    def moved(*levels: int) -> torch.Tensor:
        return original + torch.tensor(levels).reshape(3, 1, 2) / 255

    one = {
        "Original": original,
        PGD: moved(0, -1, -1, 0, -2, 0),
        A0: moved(1, -2, -1, 4, 0, 0),
        DDN: moved(9, 9, 9, 9, 9, 9),
    }
    found = table1.changes(SHOWN, chosen, [one] * len(chosen), NAMES)
    n = len(chosen)
    assert (found["n_shown"], found["which"]) == (n, f"on which {which}")
    assert (found["n_shown_values"], found["pgd_elsewhere"], found["ours_elsewhere"]) == (
        6 * n, n, 3 * n,
    )  # fmt: skip
    assert (found["pgd_levels"], found["ours_levels"]) == (pytest.approx(8), pytest.approx(3))


# --------------------------------------------------------------------------------------- Figure 4


def test_rates_are_set_out_by_level_in_order_of_appearance() -> None:
    ran = {
        "id": list("abcd"), "label": 1, "clean": [1, 1, 1, 2], "predicted": 2, "margin": 1.0,
        "correct": [True, True, True, False], "success": [True, True, True, False],
        "forwards": 1.0, "backwards": 1.0,
    }  # fmt: skip
    found = table1.by_level(
        records(
            ran,
            {
                "Z": {
                    "under_jpeg_9": [2, 2, 1, 2],
                    "under_jpeg_30": 1,
                    "under_bits_2": [2, 1, 1, 1],
                },
                "A": {"under_jpeg_9": 2, "under_jpeg_30": [1, 2, 1, 1], "under_bits_2": 1},
            },
        )
    )
    assert list(found) == ["Z", "A"]
    assert list(found.index) == [("jpeg", 9), ("jpeg", 30), ("bits", 2)]
    assert found.to_numpy().round(1).tolist() == [[66.7, 100], [0, 33.3], [33.3, 0]]


def test_a_row_leads_where_no_other_of_the_paper_s_has_more() -> None:
    found = table1.leads(
        rates(
            jpeg_90={A5: 60, "8-bit aware": 99, PERC_40: 99, "No attack": 99},
            jpeg_50={A5: 60, PGD: 60},
            jpeg_30={A5: 60, PGD: 60.1, A0: 60.1},
            bits_3={A5: 60, A1: 70, PGD: 70},
            bits_2={A5: 60, A0: 60, PGD: 60},
        ),
        A5,
    )
    assert found == {
        "levels": 5, "leads": 3, "leading": "does not hold",
        "levels_led": "JPEG at quality 90, JPEG at quality 50, 2 bits",
        "levels_jpeg": 3, "leads_jpeg": 2, "others_jpeg": "PGD (L2) (2), Ours (a = 0) (1)",
        "levels_bits": 2, "leads_bits": 1,
        "others_bits": "PGD (L2) (2), Ours (a = 0) (1), Ours (a = 1) (1)",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "leading", "led", "others"),
    [
        (60, "holds", "JPEG at quality 90, blur 3", "no other"),
        (40, "does not hold", "none", "Ours (a = 1) (1)"),
    ],
)
def test_a_row_that_leads_everywhere_and_one_that_leads_nowhere(
    rate: float, leading: str, led: str, others: str
) -> None:
    found = table1.leads(rates(jpeg_90={A5: rate}, blur_3={A5: rate})[[A1, A5, DDN]], A5)
    assert (found["leading"], found["levels_led"], found["others_jpeg"]) == (leading, led, others)


def test_what_is_left_is_that_of_the_mildest_compression() -> None:
    mild = {name: float(k) for k, name in enumerate(ROWS)}
    left = rates(jpeg_50={"No attack": 1}, jpeg_90={"No attack": 2} | mild, bits_3={"No attack": 3},
                 bits_2={"No attack": 4}, bits_7={"No attack": 5})  # fmt: skip
    assert table1.defended(left, {"ours": A0, "lpa": "NPTM (LPA)"}) == {
        "mild": 90, "coarse": 2, "none_mild": 2, "none_coarse": 4, "ours_mild": 5, "lpa_mild": 4,
    }  # fmt: skip
    assert str(table1.defended(left, {})["mild"]) == "90"  # not 90.0


UNKNOWN = "not known to be less visible (one of them fools nothing)"


@pytest.mark.parametrize(
    ("lpips", "dists", "below"),
    [
        (9.0, 9.0, "is less visible than PPGD"),
        (9.0, 10.0, "is not less visible than PPGD"),
        (11.0, 9.0, "is not less visible than PPGD"),
        (NAN, NAN, f"is {UNKNOWN} than PPGD"),
    ],
)
def test_the_second_claim_compares_the_greatest_confidence_with_ppgd(
    lpips: float, dists: float, below: str
) -> None:
    table = summary(lpips={A5: lpips, DDN: 1.0}, dists={A5: dists, DDN: 1.0})
    assert table1.seen_or_strong(table, rates(jpeg_90={}), NAMES)["below_ppgd"] == below


def test_it_leads_beside_what_is_as_little_visible_counting_every_row() -> None:
    table = summary(lpips={A5: 9.0, DDN: 9.0, "FGSM": 1.0})
    found = rates(
        jpeg_90={A5: 60, PGD: 70}, jpeg_50={A5: 60, DDN: 60}, jpeg_30={A5: 60, DDN: 61},
        bits_3={A5: 60, "FGSM": 61}, bits_2={A5: 60, "FGSM": 59},
    )  # fmt: skip
    assert table1.seen_or_strong(table, found, NAMES)["leads_near"] == 3
    table.loc[A5, "lpips"] = NAN
    assert table1.seen_or_strong(table, found, NAMES)["leads_near"] == 0


@pytest.mark.parametrize(("key", "name"), [("perc_al", PERC), ("perc_al_40", PERC_40)])
@pytest.mark.parametrize(
    ("lpips", "dists", "less"),
    [
        (11.0, 11.0, "less visible"),
        (11.0, 10.0, "not less visible"),
        (9.0, 11.0, "not less visible"),
        (NAN, NAN, UNKNOWN),
    ],
)
def test_the_third_claim_compares_the_second_confidence_with_each_perc_al(
    lpips: float, dists: float, less: str, key: str, name: str
) -> None:
    table = summary(lpips={name: lpips, A0: 99.0, A5: 99.0}, dists={name: dists, A0: 99.0})
    found = table1.seen_or_strong(
        table,
        rates(jpeg_90={A1: 60}, jpeg_50={name: 60}, jpeg_30={A0: 60}, jpeg_20={A1: 51},
              bits_2={A1: 60}),
        NAMES,
    )  # fmt: skip
    assert (found[f"{key}_less"], found[f"{key}_more"]) == (less, 2)


# ------------------------------------------------------------------------ at the paper's settings


def test_photographs_are_counted_once_however_many_attacks_there_are() -> None:
    found = records({"id": list("abcd"), "correct": [True, True, False, True]}, {PGD: {}, A0: {}})
    assert table1.counted(found, ["c", "d", "z"]) == {"n": 3, "n_images": 4, "trained": 2}


@pytest.mark.parametrize(
    ("success", "told"),
    [
        ([True, True, False], "fools 2 of 2, so it holds there"),
        ([True, False, False], "fools 1 of 2, so “always” does not hold there"),
    ],
)
def test_whether_ours_always_succeeds_on_many_photographs(success: list[bool], told: str) -> None:
    tried = pd.DataFrame({"correct": [True, True, False], "success": success})
    assert table1.many(tried) == {"many": f"ours at a = 0 {told}"}


def test_what_withstands_ours_does_so_at_every_confidence() -> None:
    found = records(
        {"id": list("abcde"), "correct": [True, True, True, True, False]},
        {
            A5: {"success": [False, False, False, True, False], "l2": 99.0},
            A0: {"success": [False, True, False, False, False], "l2": [1.0, 2.0, 4.0, 8.0, NAN]},
            PGD: {"success": True, "l2": 50.0},
        },
    )
    assert table1.never(found, [5.0, 0.0]) == {"never": 2, "never_l2": 2.5}
    none = table1.never(found[found["id"] == "b"], [5.0, 0.0])
    assert none["never"] == 0
    assert math.isnan(none["never_l2"])
