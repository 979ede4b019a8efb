"""What benchmarks measured becomes rows and dots."""

import pandas as pd
import pytest

from humimp.figures import style
from humimp.figures.speed import ratios, rounding_table, scaling_table, sides_table
from humimp.findings.speed import sides


def side(ratio, **more):
    return {"seconds_median": 0.5 * ratio, "ratio_median_of_turns": ratio, **more}


RECORD = {
    "commit": "abc",
    "options": {"images": 3},
    "measured": {"humimp": side(1.0, peak_bytes=2e8, share_of_matmul=0.5), "other": side(3.0)},
    "deeper": {"one": {"slow": side(0.25)}},
}


def test_the_table_has_a_row_per_side_and_names_what_was_measured_once():
    table = sides_table([("PGD", one) for one in sides(RECORD)])
    assert [cells for cells, _, _ in table.rows] == [
        ("PGD", "humimp", "0.5", "1.00", "200", "50"),
        ("", "other", "1.5", "3.00", "–", "–"),
        ("", "slow", "0.125", "0.25", "–", "–"),
    ]
    assert [quiet for _, _, quiet in table.rows] == [True, False, False]
    assert table._repr_html_().count("text-align: left") == 2 * 4  # names, in four rows


def test_time_and_memory_have_a_row_for_each_number_of_images():
    megabytes = {"before_bytes": 9e8, "data_bytes": 5.2e6, "work_bytes": 21e6}
    one = {"seconds_median": 0.01552, **megabytes}
    table = scaling_table({"measured": {"20": one, "100": one | {"before_bytes": 8e8}}})
    assert [cells for cells, _, _ in table.rows] == [
        ("20", "0.0155", "900", "5", "21"),
        ("100", "0.0155", "800", "5", "21"),
    ]


def test_what_rounding_changes():
    pair = pd.DataFrame(
        {
            "success": [True, True, True, False],
            "success_gpu": [True, False, True, False],
            "l2": [1.0, 2.0, 3.0, 50.0],
            "l2_gpu": [2.0, 60.0, 5.0, 70.0],
        }
    )
    table = rounding_table({"one": pair, "two": pair[:1]})
    assert [cells for cells, _, _ in table.rows] == [
        ("one", "4", "50.0", "75.0", "3", "3.50", "2.00"),
        ("two", "1", "100.0", "100.0", "1", "2.00", "1.00"),
    ]


def test_each_comparison_is_a_dot_at_its_ratio_on_its_side_of_one():
    figure = ratios([("a", [2.7, 3.1, 3.3]), ("b", [0.5, 0.2, 1.5]), ("c", [33.0]), ("d", [0.9])])
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_marker() in ("o", "D", "s")]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [3.1, 0.5, 33.0, 0.9]
    assert [dot.get_marker() for dot in dots] == ["o", "s", "o", "D"]
    assert len({dot.get_color() for dot in dots}) == 3
    ranges = [line for line in axes.lines if line.get_marker() == "|"]
    assert [list(map(float, line.get_xdata())) for line in ranges] == [
        [2.7, 3.3],
        [0.2, 1.5],
        [33.0, 33.0],
        [0.9, 0.9],
    ]
    assert [text.xy[0] for text in axes.texts] == [3.3, 0.2, 33.0, 0.9]  # behind the range
    assert [text.get_text() for text in axes.texts] == ["3.10×", "0.50×", "33×", "0.90×"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c", "d"]
    low, high = axes.get_xlim()
    assert low < 0.2 < 33 < high
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is above
    assert figure.get_size_inches()[0] == style.COLUMN / 100


@pytest.mark.parametrize("rows", [[], [("a", [1.0, 0.0])], [("a", [])]])
def test_nothing_and_no_ratio_are_refused(rows):
    with pytest.raises(ValueError, match="rows: expected at least one, with ratios above 0"):
        ratios(rows)
