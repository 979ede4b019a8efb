"""The appendix's figures and table hold the numbers that they are given."""

import numpy as np
import pandas as pd
import pytest

from humimp.figures import pieapp_small

MEASURES = ("small", "committee", "MS-SSIM", "MSE")


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"set": kind, "measure": measure, **dict(zip(COLUMNS, rng.random(3), strict=True))}
        for kind in ("held-out types", "trained types")
        for measure in MEASURES
    ]
    return pd.DataFrame(rows)


COLUMNS = ("accuracy", "small_accuracy", "small_spearman")


def test_agreement_draws_every_measure_but_the_committee(table):
    (axes,) = pieapp_small.agreement(table).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert sorted(names) == ["MS-SSIM", "PieAPP-small", "squared error"]
    wanted = table[table["set"] == "held-out types"].set_index("measure")["accuracy"]
    drawn = dict(zip(names, axes.lines[0].get_xdata(), strict=True))
    assert drawn["PieAPP-small"] == wanted["small"]
    assert drawn["squared error"] == wanted["MSE"]
    assert list(axes.lines[0].get_xdata()) == sorted(axes.lines[0].get_xdata())


def test_comparison_prints_what_agrees_with_pieapp_small(table):
    shown = pieapp_small.comparison(table)
    (row,) = [cells for cells, _, _ in shown.rows if cells[0] == "MS-SSIM"]
    wanted = table[table["measure"] == "MS-SSIM"].set_index("set")
    assert row[1] == f"{wanted.loc['held-out types', 'small_accuracy']:.3f}"
    assert row[4] == f"{wanted.loc['trained types', 'small_spearman']:.3f}"
    assert "PieAPP-small" not in [cells[0] for cells, _, _ in shown.rows]


def test_growth_draws_medians_and_shares():
    rows = [
        {"photograph": p, "distortion": "blur", "held_out": True, "level": level, "small": e * p}
        for p in (1, 2, 3)
        for level, e in ((0.0, 0.1), (1.0, 2.0))
    ]
    levels = pd.DataFrame(rows)
    near_zero = pd.DataFrame(
        {"photograph": p, "distortion": "blur", "level": 1.0, "part": t, "small": p * t**2}
        for p in (1, 2, 3)
        for t in (0.1, 1.0)
    )
    left, right = pieapp_small.growth(levels, near_zero).axes
    assert list(left.lines[0].get_ydata()) == pytest.approx([0.2, 4.0])
    (median,) = [line for line in right.lines if line.get_label() == "median"]
    assert list(median.get_ydata()) == pytest.approx([0.01, 1.0])


def test_costs_are_beside_piqs():
    side = {"seconds_median": 0.5, "peak_bytes": 2e9}
    measured = {
        "humimp": side | {"seconds": [0.5, 0.5]},
        "piq.PieAPP": side | {"seconds": [1.0, 2.0]},
    }
    record = {
        "options": {"weights": "random", "width": 64, "size": 299},
        "measured": measured,
        "agreement": {"humimp": {"gradient_cosine": 0.98}},
    }
    small = record | {"options": {"weights": "small", "width": None, "size": 96}}
    assert [cells for cells, _, _ in pieapp_small.costs([record, small]).rows] == [
        ("humimp", "width 64", "299 × 299", "0.500", "3.00", "2.00", "0.9800"),
        ("piq.PieAPP", "width 64", "299 × 299", "0.500", "1.00", "2.00", "–"),
        ("humimp", "PieAPP-small", "96 × 96", "0.500", "3.00", "2.00", "0.9800"),
        ("piq.PieAPP", "PieAPP-small", "96 × 96", "0.500", "1.00", "2.00", "–"),
    ]
