"""How candidates are set beside the paper."""

from humimp import paper
from humimp.figures.readings import readings
from humimp.findings.readings import Candidate

PRINTED = paper.TABLE1["PGD (L2)"]


def candidate(name, by, columns=("l1", "l2"), success=100.0, place="Line 9", n=1000):
    values = {column: PRINTED[column] * by for column in columns}
    return Candidate(place, name, "PGD (L2)", {"success_rate": success, **values}, n)


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
