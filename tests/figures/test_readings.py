"""Which reading is favoured, and how candidates are set."""

import math

import pytest

from humimp import paper
from humimp.figures.readings import CLEARLY, FEWEST, Candidate, factor, favoured, readings

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


def test_the_table_has_the_paper_above_each_places_candidates():
    table = readings(
        [
            candidate("near", 1.0),
            candidate("far", 3.0),
            candidate("wrong", 1.0, success=4.0),
            candidate("only", 2.0, columns=("lpips",), place="LPIPS"),
        ]
    )
    names = [cells[0] for cells, _, _ in table.rows]
    assert names == [
        "Line 9: the paper",
        "  near",
        "  far",
        "  wrong",
        "LPIPS: the paper",
        "  only",
    ]
    assert [quiet for _, _, quiet in table.rows] == [True, False, False, False, True, False]
    last = len(table.headings) - 1
    assert [cells[last] for cells, _, _ in table.rows] == ["", "1.00", "3.00", "–", "", "2.00"]
    assert [last in bold for _, bold, _ in table.rows] == [False, True, False, False, False, True]
    text = dict(zip(table.headings, table.rows[0][0], strict=True))
    assert (text["L₁"], text["L₂"], text["LPIPS (×1000)"]) == ("592.7", "1.56", "")
    text = dict(zip(table.headings, table.rows[5][0], strict=True))
    assert (text["L₁"], text["LPIPS (×1000)"]) == ("", "15.64")
    assert "near" in table._repr_html_()
