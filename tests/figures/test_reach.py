from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from humimp.figures import style
from humimp.figures.reach import reach

NEAR, FAR, NEVER = "DDN", "PGD (L2)", "PerC_AL"


def records(names: tuple[str, ...] = (FAR, NEAR)) -> pd.DataFrame:
    """Five images, the last classified wrongly; of the others each attack misses the fourth.

    In LPIPS the k-th attack is at 2^k, 2 · 2^k and 4 · 2^k thousandths, in DISTS ten times that.
    """
    parts = []
    for k, name in enumerate(names):
        success = [name != NEVER] * 3 + [False] * 2
        lpips = 2**k * np.array([4.0, 1.0, 2.0, 0.5, np.nan]) / 1000
        parts.append(
            pd.DataFrame(
                {
                    "id": [f"{i}" for i in range(5)], "label": 1, "attack": name,
                    "clean": [1, 1, 1, 1, 2], "correct": [True] * 4 + [False],
                    "predicted": [2 if won else 1 for won in success], "success": success,
                    "margin": 1.0, "lpips": lpips, "dists": 10 * lpips,
                    "forwards": 1.0, "backwards": 1.0,
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def height(line, distance):
    """Read a step curve at a distance."""
    x, y = line.get_xdata(), line.get_ydata()
    assert line.get_drawstyle() == "steps-post"
    return y[np.flatnonzero(np.asarray(x) <= distance).max()]


def curves(axes):
    return {line.get_label(): line for line in axes.lines if line.get_drawstyle() != "default"}


def test_a_curve_is_the_share_of_attacked_images_that_succeed_within_a_distance() -> None:
    table = records()
    for axes, column in zip(reach(table).axes, ("lpips", "dists"), strict=True):
        for name in (NEAR, FAR):
            attacked = table[(table["attack"] == name) & table["correct"]]
            for distance in np.geomspace(*axes.get_xlim(), 50)[1:-1]:
                within = attacked["success"] & (1000 * attacked[column] <= distance)
                assert height(curves(axes)[name], distance) == 100 * within.mean()
            assert curves(axes)[name].get_ydata()[-1] == 75  # its success rate


def test_the_mark_stands_at_half_of_the_successes() -> None:
    axes = reach(records()).axes[0]
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    shown = {(mark.get_color(), *mark.get_xdata(), *mark.get_ydata()) for mark in marks}
    assert (style.LOOKS[FAR].color, 2, 50) in shown
    assert (style.LOOKS[NEAR].color, 4, 50) in shown


def test_names_stand_from_the_nearest_attack_down_in_their_colours() -> None:
    upper, lower = reach(records((NEAR, FAR, NEVER))).axes
    for axes in (upper, lower):
        assert [text.get_text() for text in axes.texts] == [NEAR, FAR]
        assert [text.get_color() for text in axes.texts] == [
            style.LOOKS[name].color for name in (NEAR, FAR)
        ]
        heights = [text.xy[1] for text in axes.texts]
        assert heights == sorted(heights, reverse=True)
    assert [text.get_text() for text in reach(records()).axes[0].texts] == [FAR, NEAR]


def test_axes_are_labelled_and_the_figure_fits_the_column() -> None:
    figure = reach(records())
    upper, lower = figure.axes
    assert upper.get_xlabel().startswith("LPIPS (×1000)")
    assert lower.get_xlabel().startswith("DISTS (×1000)")
    assert {axes.get_xscale() for axes in figure.axes} == {"log"}
    assert {axes.get_ylim() for axes in figure.axes} == {(0, 100)}
    assert figure.get_figwidth() * 100 == style.COLUMN


def test_a_single_measure_gets_a_single_panel() -> None:
    (axes,) = reach(records().drop(columns="lpips")).axes
    assert axes.get_xlabel().startswith("DISTS")


def test_a_distance_of_zero_stands_at_the_least_positive_one() -> None:
    table = records((NEAR,))
    table.loc[1, "lpips"] = 0.0
    line = curves(reach(table).axes[0])[NEAR]
    assert (height(line, 1.9), height(line, 2.0)) == (0, 50)


def test_nothing_overlaps_when_drawn() -> None:
    figure = reach(records((*(name for name in style.LOOKS if name != NEVER), "mine")))
    figure.draw_without_rendering()
    width, _ = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        assert axes.get_window_extent().width > width / 2
        names = [Text.get_window_extent(text) for text in axes.texts]
        assert all(axes.bbox.x1 < name.x0 < name.x1 <= width for name in names)
        assert all(below.y1 <= above.y0 for above, below in pairwise(names))


@pytest.mark.parametrize(
    ("table", "match"),
    [
        (records().drop(columns=["lpips", "dists"]), "no column lpips or dists; give evaluate.run"),
        (records((NEVER,)), "no attack succeeds on any image"),
        (records().drop(columns="success"), "columns success are missing"),
    ],
)
def test_records_that_cannot_be_drawn_are_refused(table: pd.DataFrame, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        reach(table)
