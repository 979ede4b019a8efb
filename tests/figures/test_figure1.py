import io

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.patches import Circle

from humimp.figures.figure1 import AFTER, BEFORE, HUMAN, _changes, kinds
from humimp.figures.figure1 import figure1 as draw


def test_who_notices_a_change_follows_from_the_two_circles():
    dots = np.array([[HUMAN.x - 0.9, 0], [HUMAN.x + 0.5, 0], [BEFORE.x + 0.9, 0], [5, 0]])
    assert list(kinds(dots, BEFORE)) == ["people", "both", "machine", "neither"]


def test_training_leaves_fewer_changes_that_only_the_classifier_notices_and_more_shared_ones():
    before, after = (kinds(_changes(), machine) for machine in (BEFORE, AFTER))
    assert (before == "machine").sum() > 3 * (after == "machine").sum() > 0
    assert (after == "both").sum() > (before == "both").sum()
    noticed = [np.isin(of_dots, ["people", "both"]) for of_dots in (before, after)]
    np.testing.assert_array_equal(*noticed)  # people notice the same changes as before


def test_both_panels_show_the_same_changes_and_the_same_human_circle():
    figure = draw()
    panels = figure.axes
    places = [np.concatenate([line.get_xydata() for line in panel.lines]) for panel in panels]
    assert {tuple(p) for p in places[0]} == {tuple(p) for p in places[1]}
    assert len(places[0]) == len(_changes())
    circles = [
        [(patch.center, patch.radius) for patch in panel.patches if isinstance(patch, Circle)]
        for panel in panels
    ]
    assert circles[0][:2] == circles[1][:2] == [((HUMAN.x, 0.0), HUMAN.radius)] * 2
    assert circles[0][2:] != circles[1][2:]


def test_it_is_readable_in_dark_mode_and_the_same_every_time():
    figure = draw()
    assert to_hex(figure.get_facecolor(), keep_alpha=True) == "#ffffffff"
    assert [p.get_title(loc="left") for p in figure.axes] == [
        "Before training",
        "After training on imperceptible attacks",
    ]
    pictures = []
    for drawn in (figure, draw()):
        file = io.BytesIO()
        drawn.savefig(file, format="png", dpi=60)
        pictures.append(file.getvalue())
    assert pictures[0] == pictures[1]
