import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch

from humimp import fairness
from humimp.color import mean_delta_e
from humimp.dro import RobustDataset
from humimp.figures import figure5b as shown
from humimp.figures import style

QUARTERS = [f"quarter_{k}" for k in (1, 2, 3, 4)]
THETA0 = pd.Series({"beta": 0.03, "accuracy": 0.94, **dict(zip(QUARTERS, range(4), strict=True))})


def models(seed: int = 0, n: int = 20) -> dict[str, pd.DataFrame]:
    generator = np.random.default_rng(seed)
    columns = ["beta", "accuracy", *QUARTERS]
    return {
        name: pd.DataFrame(generator.uniform(0, 1, (n, 6)), columns=columns)
        for name in ("PGD", "PerC_AL", "Ours", "Fine-tuning")
    }


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def test_every_model_is_a_point_over_its_box() -> None:
    tables = models()
    axes = shown.figure5b(tables, 0.03).axes[0]
    points = [c for c in axes.collections if len(c.get_offsets())]
    for place, (table, dots) in enumerate(zip(tables.values(), points, strict=True)):
        across, betas = np.asarray(dots.get_offsets()).T
        assert sorted(betas) == pytest.approx(sorted(table["beta"]))
        assert (abs(across - place) <= 0.2).all()
        assert len(set(across)) == len(across)
    medians = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 2]
    for table in tables.values():
        assert any(np.isclose(table["beta"].median(), value) for value in medians)


def test_the_dashed_line_is_at_beta0_and_the_right_axis_in_points_per_doubling() -> None:
    figure = shown.figure5b(models(), 0.031)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (dashed,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert list(dashed.get_ydata()) == [0.031, 0.031]
    (right,) = axes.child_axes
    assert right.get_ylim() == pytest.approx(np.array(axes.get_ylim()) * 100 * np.log(2))
    assert "percentage points per doubling of income" in texts(figure)


def test_models_that_diverged_are_counted_and_an_empty_training_can_be_drawn() -> None:
    tables = models()
    tables["Ours"].loc[[3, 5], "beta"] = np.nan
    tables["PGD"]["beta"] = np.nan
    figure = shown.figure5b(tables, 0.03)
    figure.draw_without_rendering()
    assert "Ours\n(2 of 20 diverged)" in texts(figure)
    assert "PGD\n(20 of 20 diverged)" in texts(figure)
    assert "PerC_AL" in texts(figure)


def test_trainings_look_like_their_attacks_wherever_they_stand() -> None:
    tables = models()
    for some in (["Ours", "PGD"], ["PerC_AL", "Fine-tuning", "Ours"]):
        axes = shown.figure5b({name: tables[name] for name in some}, 0.03).axes[0]
        points = [c for c in axes.collections if len(c.get_offsets())]
        for name, dots in zip(some, points, strict=True):
            attack = {"PGD": "PGD (L2)", "Ours": "Ours (a = 0)", "Fine-tuning": "No attack"}
            color = style.LOOKS[attack.get(name, name)].color
            assert mpl.colors.to_hex(dots.get_facecolor()[0]) == color.lower()


def test_accuracy_is_drawn_beside_the_slopes_and_by_quarter() -> None:
    tables = models()
    left, right = shown.beside_accuracy(tables, THETA0).axes
    for line, table in zip(left.lines, tables.values(), strict=False):
        assert line.get_xdata() == pytest.approx(100 * table["accuracy"])
        assert line.get_ydata() == pytest.approx(table["beta"])
    assert left.lines[4].get_xydata().tolist() == [[pytest.approx(94), pytest.approx(0.03)]]
    for drawn, table in zip(right.containers, tables.values(), strict=True):
        assert drawn.lines[0].get_ydata() == pytest.approx(100 * table[QUARTERS].mean())
        ends = np.array([path[:, 1] for path in drawn.lines[2][0].get_segments()])
        assert np.ptp(ends, axis=1) == pytest.approx(200 * table[QUARTERS].std(ddof=0))
    assert list(right.lines[-1].get_ydata()) == [0, 100, 200, 300]


def test_one_training_of_one_model_can_be_drawn() -> None:
    one = {"Ours": models(n=1)["Ours"]}
    shown.figure5b(one, 0).draw_without_rendering()
    shown.beside_accuracy(one, THETA0).draw_without_rendering()


def test_detection_draws_each_curve_with_its_error() -> None:
    curve = pd.DataFrame({"size": [0, 1, 2], "rate": [0.05, 0.5, 0.9], "error": [0.01, 0.02, 0]})
    other = curve.assign(rate=[0.04, 0.3, 0.5])
    figure = shown.detection({"A": {"one": curve, "two": other}, "B": {"three": other}}, "points")
    left, right = figure.axes
    assert [axes.get_title("left") for axes in figure.axes] == ["A", "B"]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["one", "two"]
    level, first, second = left.lines
    assert set(level.get_ydata()) == {0.05}
    assert list(first.get_ydata()) == [0.05, 0.5, 0.9]
    assert list(second.get_ydata()) == [0.04, 0.3, 0.5]
    heights = left.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.03, 0.9))
    assert right.get_xlabel() == "points"
    figure.draw_without_rendering()
    assert "5%" in texts(figure)


def test_t_tests_are_laid_out_in_points_per_doubling() -> None:
    betas = pd.DataFrame({"Ours": [0.01, 0.02, 0.04, 0.01], "PGD": [0.03, 0.05, 0.04, np.nan]})
    table = fairness.compare(betas, "Ours")
    laid = shown.t_tests(table)
    assert laid.index.tolist() == ["PGD, paired", "PGD, unpaired", "PGD, Welch"]
    assert laid["pairs"].tolist() == ["3 (1 left out)"] * 3
    points = 100 * np.log(2) * table.loc[("PGD", "paired"), ["difference", "low", "high"]]
    text = laid.loc["PGD, paired", "difference"].replace("−", "-")
    numbers = [float(part) for part in text.replace("(", " ").replace(")", " ").split(" ") if
               part not in ("", "to")]  # fmt: skip
    assert numbers == pytest.approx(points.tolist(), abs=0.005)
    assert "-" not in "".join(laid.to_numpy().ravel())
    assert laid["df"].tolist()[:2] == ["2", "4"]


def test_accuracies_by_income_are_laid_out_in_percent() -> None:
    tables = {"Ours": pd.DataFrame([[0.1, 0.5, 0.4, 0.6, 0.7, 0.8], [0.1, 0.7, 0.4, 0.6, 0.7, 0.9]],
                                   columns=["beta", "accuracy", *QUARTERS])}  # fmt: skip
    table = shown.by_income(tables, THETA0)
    assert table.loc["θ₀"].tolist() == ["0.0", "100.0", "200.0", "300.0", "94.0"]
    expected = ["40.0 ± 0.0", "60.0 ± 0.0", "70.0 ± 0.0", "85.0 ± 5.0", "60.0 ± 10.0"]
    assert table.loc["Ours"].tolist() == expected
    columns = ["poorest quarter 1", "quarter 2", "quarter 3", "richest quarter 4", "all images"]
    assert table.columns.tolist() == columns


def test_what_the_pattern_is_worth_stands_beside_the_accuracies_if_it_is_known() -> None:
    theta0 = pd.concat([THETA0, pd.Series({"worth": -0.05, "worth_error": 0.01})])
    ours = models(n=3)["Ours"].assign(worth=[-0.02, -0.04, np.nan], worth_error=0.01)
    table = shown.by_income({"Ours": ours}, theta0)
    assert table.columns[-2:].tolist() == ["all images", "the pattern's worth"]
    assert table["the pattern's worth"].tolist() == ["−5.0", "−3.0 ± 1.0"]


def test_a_pool_is_counted_round_by_round() -> None:
    originals = torch.zeros(3, 1, 2, 2)
    originals[2] = 0.25
    made = torch.stack([torch.full((1, 2, 2), value) for value in (0.5, 0.5, 1.0)])
    robust = RobustDataset(
        torch.cat([originals, made]),
        torch.tensor([2, 1, 0, 2, 1, 0]),  # labels are not looked at
        torch.tensor([1.0, 1, 1, 1, 2, 3], dtype=torch.float64),
        torch.tensor([0, 0, 0, 1, 1, 1]),
        torch.tensor([0, 1, 2, 1, 1, 0]),
    )
    table = shown.pool(robust, originals, lambda one, other: (other - one).flatten(1).amax(1))
    assert table.loc[0].tolist() == [3, 33.33, 3, 0, 0, 0]
    assert table.loc[1].tolist()[:5] == [3, 66.67, 2, 1.33, 666.7]
    grey, white = (mean_delta_e(originals[:1], made[[k]]).item() for k in (0, 2))
    assert table.loc[1, "ΔE₀₀"] == pytest.approx((2 * grey + white) / 3, abs=0.006)
