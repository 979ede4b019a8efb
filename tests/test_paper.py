import pytest
from scipy import stats

from humimp import paper

CONSTANTS = [name for name in vars(paper) if name.isupper() and name != "PLACES"]


def test_every_constant_has_its_place_in_the_paper_and_no_other() -> None:
    assert sorted(paper.PLACES) == sorted(CONSTANTS)
    assert all(
        place.startswith(("Section ", "Table ", "Figure ")) for place in paper.PLACES.values()
    )


@pytest.mark.parametrize("column", list(paper.TABLE1_BOLD))
def test_the_bold_entries_are_the_smallest_of_their_columns(column: str) -> None:
    smallest = min(paper.TABLE1, key=lambda name: paper.TABLE1[name][column])
    assert paper.TABLE1_BOLD[column] == smallest


def test_table_1_obeys_the_inequalities_between_its_norms() -> None:
    values = 3 * paper.IMAGE_SIZE**2
    for row in paper.TABLE1.values():
        assert row["l2"] <= row["l1"] <= values**0.5 * row["l2"] * 1.01
        assert row["l1"] <= values * row["linf"] * 1.01


def test_table_1_has_its_seven_rows_and_six_columns() -> None:
    assert len(paper.TABLE1) == 7
    assert {len(row) for row in paper.TABLE1.values()} == {6}
    assert sum(row["success_rate"] == 100 for row in paper.TABLE1.values()) == 5


def test_table_1_has_no_more_decimals_than_it_is_said_to_print() -> None:
    for row in paper.TABLE1.values():
        assert list(row) == list(paper.TABLE1_DECIMALS)
        for column, decimals in paper.TABLE1_DECIMALS.items():
            assert row[column] == round(row[column], decimals)
    for column, decimals in paper.TABLE1_DECIMALS.items():
        values = [row[column] for row in paper.TABLE1.values()]
        assert any(value != round(value, decimals - 1) for value in values), column


def test_the_rivals_are_the_rows_of_table_1_that_are_not_ours() -> None:
    rivals = [name for name in paper.TABLE1 if not name.startswith("Ours")]
    assert len(rivals) == paper.N_RIVALS
    ours = [f"Ours (a = {a})" for a in paper.CONFIDENCES]
    assert [name for name in paper.TABLE1 if name not in rivals] == ours


def test_the_f_test_s_probability_follows_from_its_statistic() -> None:
    probability = stats.f.sf(paper.F_STATISTIC, *paper.F_DEGREES)
    assert probability == pytest.approx(paper.F_PROBABILITY, abs=5e-6)


@pytest.mark.parametrize(("t", "p"), [(paper.T_PGD, paper.P_PGD), (paper.T_PERC, paper.P_PERC)])
def test_the_t_tests_probabilities_are_one_sided_and_paired(t: float, p: float) -> None:
    # The statistics are printed with two decimals; the probability at either end of the interval.
    low, high = (stats.t.sf(t + d, paper.N_MODELS - 1) for d in (0.005, -0.005))
    assert low < p < high
