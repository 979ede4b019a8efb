from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text

from humimp import evaluate
from humimp.figures import style
from humimp.figures.figure4 import apart, figure4


def records(names: tuple[str, ...] = ("PGD (L2)", "Ours (a = 0)")) -> pd.DataFrame:
    """Ten images; the k-th attack is undone on k + 1 images by JPEG 90 and on all by JPEG 30."""
    parts = []
    for k, name in enumerate(names):
        part = pd.DataFrame(
            {
                "id": [f"{i}" for i in range(10)], "label": 1, "attack": name, "clean": 1,
                "correct": True, "predicted": 2, "success": True, "margin": 1.0,
                "forwards": 1.0, "backwards": 1.0, "under_bits_2": 2,
            }
        )  # fmt: skip
        part["under_jpeg_30"] = 1
        part["under_jpeg_90"] = np.where(np.arange(10) <= k, 1, 2)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def test_curves_go_from_no_defence_to_the_strongest_with_the_right_heights() -> None:
    upper, lower = figure4(records()).axes
    assert [t.get_text() for t in upper.get_xticklabels()] == ["none", "90", "30"]
    assert [t.get_text() for t in lower.get_xticklabels()] == ["none", "2"]
    assert [list(line.get_ydata()) for line in upper.lines] == [[100, 90, 0], [100, 80, 0]]
    assert [list(line.get_ydata()) for line in lower.lines] == [[100, 100], [100, 100]]


def test_each_attack_has_its_look_and_its_name_in_its_colour() -> None:
    axes = figure4(records()).axes[0]
    line = axes.lines[0]
    look = style.LOOKS["PGD (L2)"]
    assert (line.get_color(), line.get_marker(), line.get_linestyle()) == look
    assert [text.get_text() for text in axes.texts] == ["PGD (L2)", "Ours (a = 0)"]
    assert axes.texts[0].get_color() == look.color


def test_a_name_is_tied_to_the_end_of_its_curve() -> None:
    for axes in figure4(records(tuple(style.LOOKS))).axes:
        for line, text in zip(axes.lines, axes.texts, strict=True):
            assert line.get_label() == text.get_text()
            assert text.xy == (line.get_xdata()[-1], line.get_ydata()[-1])


def test_curves_of_one_level_stand_beside_each_other_in_their_level_s_column() -> None:
    axes = figure4(records(tuple(style.LOOKS))).axes[0]
    starts = np.array([line.get_xdata() for line in axes.lines])
    assert (np.diff(starts, axis=0) > 0).all()
    assert np.abs(starts - np.arange(3)).max() < 0.5


def test_axes_are_labelled_and_the_figure_fits_the_column() -> None:
    figure = figure4(records())
    upper, lower = figure.axes
    assert upper.get_ylabel() == lower.get_ylabel() == "success rate (%)"
    assert upper.get_ylim() == lower.get_ylim() == (0, 100)
    assert upper.get_xlabel().startswith("quality")
    assert lower.get_xlabel().startswith("bits per channel")
    assert figure.get_figwidth() * 100 == style.COLUMN


def test_a_single_defence_gets_a_single_panel() -> None:
    figure = figure4(records().drop(columns=["under_jpeg_30", "under_jpeg_90"]))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Bit-depth reduction"]


def test_nothing_overlaps_when_drawn() -> None:
    figure = figure4(records((*style.LOOKS, "mine")))
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        assert axes.get_window_extent().height > height / 3
        assert axes.get_window_extent().width > width / 2
        names = [Text.get_window_extent(text) for text in axes.texts]
        assert all(axes.bbox.x1 < name.x0 < name.x1 <= width for name in names)
        names.sort(key=lambda name: name.y0)
        assert all(below.y1 <= above.y0 for below, above in pairwise(names))
    upper, lower = (axes.get_tightbbox() for axes in figure.axes)
    assert upper.y0 > lower.y1


@pytest.mark.parametrize(
    ("heights", "placed"),
    [
        ([], []),
        ([40], [40]),
        ([20, 80], [20, 80]),  # far enough apart already
        ([50, 50, 50], [60, 50, 40]),  # around their height, in their order
        ([50, 58], [49, 59]),
        ([100, 100], [100, 90]),  # within the bounds
        ([0, 2, 40], [0, 10, 40]),
        ([50, 50, 62], [44, 54, 64]),  # pushed in turn by those that were pushed
    ],
)
def test_names_at_one_height_are_moved_apart(heights: list[float], placed: list[float]) -> None:
    assert sorted(apart(heights, 10, 0, 100)) == pytest.approx(sorted(placed))


@given(st.lists(st.floats(0, 100), max_size=14))
def test_names_keep_their_order_their_room_and_the_bounds(heights: list[float]) -> None:
    placed = apart(heights, 6, 0, 100)
    order = sorted(range(len(heights)), key=lambda k: (-heights[k], k))
    down = [placed[k] for k in order]
    assert all(above - below >= 6 - 1e-6 for above, below in pairwise(down))
    assert all(-1e-6 <= one <= 100 + 1e-6 for one in placed)


def test_too_many_names_share_the_room_that_there_is() -> None:
    assert apart([50.0] * 5, 30, 0, 100) == pytest.approx([100, 75, 50, 25, 0])


def test_records_without_defences_are_refused() -> None:
    bare = records().rename(columns=lambda c: c.replace("jpeg", "webp").replace("bits", "noise"))
    with pytest.raises(ValueError, match=r"no defences jpeg_<quality> or bits_<bits>; name them"):
        figure4(bare)
    with pytest.raises(ValueError, match="columns success are missing"):
        evaluate.table(bare.drop(columns="success"))
