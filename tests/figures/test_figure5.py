import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from humimp import fairness, paper, simulation
from humimp.figures import figure5
from humimp.figures.figure5 import figure5a

RATES = pd.DataFrame(
    {"rate": [0.045, 0.05, 0.1234], "error": [0.002, 0.002, 0.01], "spread": [0.01, 0.02, 0.03]},
    index=list(fairness.COVARIANCES),
)


def countries(seed: int = 0, total: int = 2000) -> pd.DataFrame:
    frame = simulation.simulated_countries(total)
    right = np.random.default_rng(seed).binomial(frame["n"], 0.8)
    return frame.assign(accuracy=right / frame["n"])


def test_there_is_a_dot_for_every_country_in_the_color_of_its_images() -> None:
    frame = countries()
    axes, bar = figure5a(frame, fairness.slope(frame)).axes
    dots = axes.collections[-1]
    shown = frame.sort_values("n")
    expected = np.column_stack([shown["gdp"], 100 * shown["accuracy"]])
    assert np.asarray(dots.get_offsets()) == pytest.approx(expected)
    assert dots.get_array().tolist() == shown["n"].tolist()
    assert isinstance(dots.norm, mpl.colors.LogNorm)
    assert (dots.norm.vmin, dots.norm.vmax) == (frame["n"].min(), frame["n"].max())
    assert bar.get_ylabel() == "images of the country"


def test_line_and_band_are_those_of_the_fit() -> None:
    frame = countries()
    fit = fairness.slope(frame)
    axes = figure5a(frame, fit, level=0.8).axes[0]
    dollars, percent = axes.lines[0].get_data()
    assert percent == pytest.approx(100 * (fit.intercept + fit.beta * np.log(dollars)))
    assert (min(dollars), max(dollars)) == pytest.approx((frame["gdp"].min(), frame["gdp"].max()))
    corners = axes.collections[0].get_paths()[0].vertices
    band = fit.band([frame["log_gdp"].min()], 0.8)
    at_left = corners[np.isclose(corners[:, 0], frame["gdp"].min()), 1]
    assert at_left.min() == pytest.approx(100 * band["low"][0])
    assert at_left.max() == pytest.approx(100 * band["high"][0])


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def test_the_f_test_and_readable_dollars_are_printed() -> None:
    frame = countries()
    fit = fairness.slope(frame)
    figure = figure5a(frame, fit)
    assert f"F(1, 39) = {fit.f:.2f}" in " ".join(texts(figure))
    assert f"p = {fit.p:.2g}" in " ".join(texts(figure))
    assert {"$1,000", "$10,000", "$50,000"} <= set(texts(figure))
    tiny = fairness.slope(frame.assign(accuracy=frame["log_gdp"] / 20))
    assert "p < 0.0001" in " ".join(texts(figure5a(frame, tiny)))


@pytest.mark.parametrize("seed", range(4))
def test_names_cover_no_dot_and_no_other_name(seed: int) -> None:
    frame = countries(seed)
    figure = figure5a(frame, fairness.slope(frame))
    axes = figure.axes[0]
    names = [text for text in axes.texts if text.get_text()]
    shown = {text.get_text() for text in names}
    assert shown <= set(frame["name"])
    assert "United States" in shown
    assert len(shown) >= 6
    boxes = [mpl.text.Text.get_window_extent(text) for text in names]
    for i, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[:i])
    dots = axes.transData.transform(axes.collections[-1].get_offsets())
    assert not any(box.contains(*dot) for box in boxes for dot in dots)


def test_three_countries_of_one_image_each_can_be_drawn() -> None:
    frame = pd.DataFrame(
        {
            "name": ["A", "B", "C"],
            "n": [1, 1, 1],
            "accuracy": [0.0, 1.0, 1.0],
            "gdp": [1e3, 2e3, 4e3],
        }
    )
    frame["log_gdp"] = np.log(frame["gdp"])
    figure = figure5a(frame, fairness.slope(frame))
    figure.canvas.draw()
    assert {"A", "B", "C"} <= set(texts(figure))


def test_rejections_are_laid_out_in_percent() -> None:
    table = figure5.rejections({"no bias": RATES, "a bias": RATES * 2})
    assert table.columns.tolist() == ["no bias", "a bias", "standard deviation of β"]
    assert table["no bias"].tolist() == ["4.5 ± 0.2", "5.0 ± 0.2", "12.3 ± 1.0"]
    assert table["standard deviation of β"].tolist() == ["0.0100", "0.0200", "0.0300"]
    assert [name[4:8] for name in table.index] == ["1/√n", "1/n,", "1, t"]


def test_p_values_show_that_only_one_sided_49_fits() -> None:
    table = figure5.p_values()
    pgd, perc = table.columns
    assert table.loc["printed in the paper"].tolist() == [str(paper.P_PGD), str(paper.P_PERC)]
    assert table.loc["paired, one-sided: 49 degrees of freedom"].tolist() == ["0.00017", "0.00243"]
    assert table.loc["unpaired, one-sided: 98"].tolist() == ["0.00011", "0.00199"]
    assert table.loc["degrees of freedom that fit, one-sided"].tolist() == ["48 to 52", "48 to 51"]
    assert table.loc["degrees of freedom that fit, two-sided", perc] == "none"
    assert str(paper.T_PGD) in pgd
