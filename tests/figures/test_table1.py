import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from humimp import evaluate, paper
from humimp.figures.table1 import Table, table1

DISTANCES = {"l1": 100.0, "l2": 1.0, "linf": 0.01, "lpips": 0.005, "dists": 0.006}


def records(**scales: float) -> pd.DataFrame:
    """Two images per attack, the distances scaled by the attack's number."""
    parts = []
    for name, scale in scales.items():
        part = pd.DataFrame(
            {
                "id": ["a", "b"], "label": 1, "attack": name, "clean": 1, "correct": True,
                "predicted": 2, "success": True, "margin": 1.0,
            }
        )  # fmt: skip
        for column, value in DISTANCES.items():
            part[column] = value * scale
        parts.append(part.assign(forwards=2.0, backwards=1.5))
    return pd.concat(parts, ignore_index=True)


def cells(table: Table) -> list[list[str]]:
    """Read the table as HTML; bold cells get stars."""
    root = ET.fromstring(table._repr_html_())
    return [
        [f"*{b.text}*" if (b := cell.find("b")) is not None else cell.text or "" for cell in row]
        for row in root.iter("tr")
    ]


def test_our_rows_have_the_paper_s_beneath_and_the_smallest_are_bold() -> None:
    shown = records(**{"PGD (L2)": 2, "Ours (a = 0)": 1, "mine": 3})
    assert cells(table1(shown)) == [
        ["Approach", "Success rate (%)", "L₁", "L₂", "L∞", "LPIPS (×1000)", "DISTS (×1000)",
         "Forward passes", "Backward passes"],
        ["PGD (L2)", "100", "200.00", "2.00", "0.0200", "10.00", "12.00", "2.0", "1.5"],
        ["in the paper", "100", "*592.74*", "*1.56*", "*0.005*", "7.82", "8.77", "–", "–"],
        ["Ours (a = 0)", "100", "*100.00*", "*1.00*", "*0.0100*", "*5.00*", "*6.00*", "2.0", "1.5"],
        ["in the paper", "100", "783.86", "1.91", "0.006", "*7.30*", "*8.17*", "–", "–"],
        ["mine", "100", "300.00", "3.00", "0.0300", "15.00", "18.00", "2.0", "1.5"],
    ]  # fmt: skip


def test_text_and_html_say_the_same() -> None:
    table = table1(records(**{"PGD (L2)": 2, "Ours (a = 0)": 1}))
    for line, row in zip(repr(table).splitlines(), cells(table), strict=True):
        assert line.split() == " ".join(row).split()


@pytest.mark.parametrize("name", list(paper.TABLE1))
def test_the_paper_s_rows_are_printed_as_in_the_paper(name: str) -> None:
    row = paper.TABLE1[name]
    shown = [cell.strip("*") for cell in cells(table1(records(**{name: 1})))[2][1:7]]
    assert [float(cell) for cell in shown] == list(row.values())
    assert shown[1].rpartition(".")[2].__len__() == 2


def test_the_paper_s_rows_are_quiet_and_ours_are_not() -> None:
    root = ET.fromstring(table1(records(**{"PGD (L2)": 1}))._repr_html_())
    assert [row.get("style") for row in root.iter("tr")] == [None, None, "opacity: 0.65"]


def test_where_nothing_succeeded_nothing_is_bold() -> None:
    none = records(one=1, other=2).assign(success=False, predicted=1)
    assert not any("*" in cell for row in cells(table1(none)) for cell in row)


def test_equal_values_as_printed_are_all_bold_and_a_row_alone_has_none() -> None:
    both = cells(table1(records(one=1, other=1.00001)))
    assert both[1][2:4] == both[2][2:4] == ["*100.00*", "*1.00*"]
    assert not any("*" in cell for row in cells(table1(records(one=1))) for cell in row)


def test_a_distance_that_nobody_has_is_a_dash_and_further_measures_are_kept() -> None:
    shown = records(one=1, other=2).assign(ciede=0.25)
    shown.loc[shown["attack"] == "other", ["l1", "success"]] = [np.nan, False]
    first, second = cells(table1(shown))[1:]
    assert first[1:3] == ["100", "*100.00*"]
    assert second[1:3] == ["0", "–"]
    assert first[7] == "*0.25*"


def test_a_broken_percentage_keeps_its_decimals() -> None:
    shown = records(one=1)
    shown.loc[3] = shown.loc[0]
    shown.loc[3, ["id", "success"]] = "another", False
    assert cells(table1(shown))[1][1] == "66.67"


def test_names_are_escaped() -> None:
    assert cells(table1(records(**{"a < b & c": 1})))[1][0] == "a < b & c"


def errors_of(table: Table) -> list[list[str]]:
    """Read the small print of each row."""
    root = ET.fromstring(table._repr_html_())
    return [[span.text or "" for span in row.iter("span")] for row in root.iter("tr")]


def test_standard_errors_stand_small_beneath_the_numbers_and_none_beside_the_paper_s() -> None:
    shown = records(**{"PGD (L2)": 1, "Ours (a = 0)": 2})
    shown.loc[1, ["l2", "success"]] = [3.0, True]
    table = table1(shown, errors=True)
    error = evaluate.errors(shown).loc["PGD (L2)", "l2"]
    assert 0.5 < error < 1
    _, first, theirs, second, _ = errors_of(table)
    assert first == ["± 0.00", "± 0.00", f"± {error:.2f}", "± 0.0000", "± 0.00", "± 0.00"]
    assert theirs == []
    assert second == ["± 0.00", "± 0.00", "± 0.00", "± 0.0000", "± 0.00", "± 0.00"]
    assert cells(table) == cells(table1(shown))  # the numbers and the bold ones stay


def test_standard_errors_stand_beside_the_numbers_in_text() -> None:
    shown = records(**{"PGD (L2)": 1, "Ours (a = 0)": 2})
    shown.loc[1, "l2"] = 3.0
    error = evaluate.errors(shown).loc["PGD (L2)", "l2"]
    text = repr(table1(shown, errors=True))
    assert f"  *2.00* ± {error:.2f}  " in text
    assert "  *0.0100* ± 0.0000  " in text


def test_a_number_without_an_error_has_none() -> None:
    shown = records(one=1)
    shown.loc[1, "success"] = False
    assert errors_of(table1(shown, errors=True))[1] == [
        f"± {evaluate.errors(shown).loc['one', 'success_rate']:.2f}"
    ]


def test_saliency_comes_after_the_paper_s_columns_which_have_no_number_for_it() -> None:
    shown = cells(table1(records(**{"PGD (L2)": 1}).assign(saliency=0.0125, ciede=1.0)))
    assert shown[0][6:10] == ["DISTS (×1000)", "Saliency (×1000)", "ciede", "Forward passes"]
    assert [row[7] for row in shown[1:]] == ["12.50", "–"]
