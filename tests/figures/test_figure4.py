import numpy as np
import pandas as pd
import pytest

from humimp import evaluate
from humimp.figures import style
from humimp.figures.figure4 import figure4


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
    left, right = figure4(records()).axes
    assert [t.get_text() for t in left.get_xticklabels()] == ["none", "90", "30"]
    assert [t.get_text() for t in right.get_xticklabels()] == ["none", "2"]
    assert [list(line.get_ydata()) for line in left.lines] == [[100, 90, 0], [100, 80, 0]]
    assert [list(line.get_ydata()) for line in right.lines] == [[100, 100], [100, 100]]


def test_each_attack_has_its_look_and_its_place_in_the_legend() -> None:
    figure = figure4(records())
    line = figure.axes[0].lines[0]
    look = style.LOOKS["PGD (L2)"]
    assert (line.get_color(), line.get_marker(), line.get_linestyle()) == look
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["PGD (L2)", "Ours (a = 0)"]


def test_axes_are_labelled_and_the_figure_fits_the_column() -> None:
    figure = figure4(records())
    left, right = figure.axes
    assert left.get_ylabel() == "success rate (%)"
    assert left.get_ylim() == (0, 100)
    assert left.get_xlabel().startswith("quality")
    assert right.get_xlabel() == "bits per channel"
    assert figure.get_figwidth() * 100 == style.COLUMN


def test_a_single_defence_gets_a_single_panel() -> None:
    figure = figure4(records().drop(columns=["under_jpeg_30", "under_jpeg_90"]))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Bit-depth reduction"]


def test_nothing_overlaps_when_drawn() -> None:
    names = tuple(style.LOOKS)
    figure = figure4(records(names))
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    width, height = figure.get_size_inches() * figure.dpi
    assert 0 <= legend.x0 < legend.x1 <= width
    for axes in figure.axes:
        assert axes.get_tightbbox().y0 > legend.y1
        assert axes.get_window_extent().height > height / 3


def test_records_without_defences_are_refused() -> None:
    bare = records().rename(columns=lambda c: c.replace("jpeg", "webp").replace("bits", "noise"))
    with pytest.raises(ValueError, match=r"no defences jpeg_<quality> or bits_<bits>; name them"):
        figure4(bare)
    with pytest.raises(ValueError, match="columns success are missing"):
        evaluate.table(bare.drop(columns="success"))
