import colorsys

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from humimp import paper
from humimp.figures import style


def luminance(color: str) -> float:
    """Relative luminance, W3C's definition."""
    channels = mpl.colors.to_rgb(color)
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


EVERY = [*style.LOOKS.values(), *style._SPARE]


def test_no_two_attacks_share_a_marker_or_a_color() -> None:
    assert len({look.marker for look in EVERY}) == len(EVERY)
    assert len({look.color.upper() for look in EVERY}) == len(EVERY)


@pytest.mark.parametrize("look", EVERY, ids=lambda look: look.color)
def test_colors_stand_out_from_white(look: style.Look) -> None:
    assert 1.05 / (luminance(look.color) + 0.05) > 2.0
    assert colorsys.rgb_to_hls(*mpl.colors.to_rgb(look.color))[1] < 0.75


def test_every_row_of_table_1_has_a_look() -> None:
    assert set(paper.TABLE1) <= set(style.LOOKS)


def test_the_methods_that_this_edition_adds_have_looks_of_their_own() -> None:
    assert {"DDN", "ALMA (LPIPS)", "PerC_AL (κ = 40)", "FGSM"} <= set(style.LOOKS)


def test_known_attacks_keep_their_look_whatever_else_is_shown() -> None:
    alone = style.looks(["PGD (L2)"])["PGD (L2)"]
    assert style.looks(["mine", "PGD (L2)", "another"])["PGD (L2)"] == alone


def test_new_attacks_look_different_from_each_other_and_from_the_paper_s() -> None:
    names = ["mine", "another", *style.LOOKS]
    given = style.looks(names)
    assert list(given) == names
    assert len(set(given.values())) == len(names)


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="named twice: mine; name each once"):
        style.looks(["mine", "PGD (L2)", "mine"])


def test_too_many_new_attacks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"7 attacks .* only 6 spare looks; show fewer"):
        style.looks([f"attack {k}" for k in range(7)])


def test_use_gives_an_opaque_white_figure_and_ends_with_the_block() -> None:
    before = dict(mpl.rcParams)
    with style.use():
        figure, axes = plt.subplots(figsize=(style.COLUMN / 100, 2))
    assert figure.get_facecolor() == axes.get_facecolor() == (1, 1, 1, 1)
    assert figure.get_figwidth() * 100 == style.COLUMN
    assert axes.xaxis.label.get_size() == 10
    assert dict(mpl.rcParams) == before
    plt.close(figure)


def test_more_than_can_be_told_apart_is_an_error_and_less_is_cut():
    assert style.enough("abc", 2, "curves") == "ab"
    with pytest.raises(ValueError, match="curves: at most 3 can be told apart here, got 4"):
        style.enough("abc", 4, "curves")
