import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from humimp.figures import style
from humimp.figures.transfer import table_by_network, table_of_verdicts, transfer


def made(attack, correct, **changes):
    """Make records of one attack; nothing is measured where nothing was attacked."""
    frame = pd.DataFrame({"attack": attack, "correct": correct})
    for network, values in changes.items():
        frame[f"changes_{network}"] = np.where(correct, values, np.nan)
    return frame


RECORDS = {
    "one": pd.concat(
        [
            made("PGD (L2)", [True, True, False, True, True], one=[1] * 5, two=[0, 1, 1, 0, 0]),
            made("DDN", [True, True, False, True, True], one=[1, 0, 0, 1, 1], two=[0] * 5),
        ]
    ),
    "two": pd.concat(
        [
            made("PGD (L2)", [True, True], one=[1, 0], two=[1, 1]),
            made("mine", [False, False], one=[1, 1], two=[1, 1]),
        ]
    ),
}  # fmt: skip


def texts(axes):
    """Read the numbers of a panel, row by row."""
    placed = {(round(t.get_position()[1]), round(t.get_position()[0])): t for t in axes.texts}
    rows = 1 + max(row for row, _ in placed)
    return [[placed[row, column].get_text() for column in range(2)] for row in range(rows)]


def test_each_cell_shows_its_share_and_the_attacked_network_is_framed():
    figure = transfer(RECORDS, {"two": "Network Two"})
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["PGD (L2)", "DDN", "mine"]
    assert texts(first) == [["100", "25"], ["75", "0"], ["–", "–"]]
    assert texts(second) == [["50", "100"], ["–", "–"], ["–", "–"]]
    for own, (panel, title) in enumerate(zip((first, second), ("one", "Network Two"), strict=True)):
        assert panel.get_title().endswith(f"\n{title}")
        assert [label.get_text() for label in panel.get_xticklabels()] == ["one", "Network Two"]
        (frame,) = (patch for patch in panel.patches if isinstance(patch, Rectangle))
        assert (frame.get_x(), frame.get_y()) == (own - 0.5, -0.5)
        assert (frame.get_width(), frame.get_height()) == (1, 3)


def luminance(color):
    """Relative luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_every_number_can_be_read_on_its_cell_and_darker_is_more():
    shares = np.linspace(0, 1, 101)
    frames = [made(f"{k}", [True], one=[share]) for k, share in enumerate(shares)]
    (axes,) = transfer({"one": pd.concat(frames)}).axes
    (image,) = axes.images
    backs = [luminance(image.cmap(image.norm(100 * share))[:3]) for share in shares]
    assert (np.diff(backs) < 0).all()
    for text, back in zip(axes.texts, backs, strict=True):
        low, high = sorted((luminance(text.get_color()), back))
        assert (high + 0.05) / (low + 0.05) > 4.5, text.get_text()


def table_records(attacks, **more):
    """Make records of two images for each attack, with L2 distances."""
    parts = []
    for attack, distance in attacks.items():
        part = pd.DataFrame({"id": ["a", "b"], "label": 1, "attack": attack, "clean": 1})
        part = part.assign(correct=True, predicted=2, success=True, margin=1.0, l2=distance, **more)
        parts.append(part.assign(changes_one=1.0, changes_two=0.0, forwards=2.0, backwards=1.0))
    return pd.concat(parts, ignore_index=True)


def test_each_network_has_its_own_table_with_its_own_smallest_distance():
    records = {
        "one": table_records({"PGD (L2)": 2.0, "DDN": 1.0}),
        "two": table_records({"PGD (L2)": 3.0, "DDN": 4.0}),
    }
    table = table_by_network(records, {"two": "Network Two"})
    assert [" ".join(line.split()) for line in repr(table).splitlines()] == [
        "Approach Success rate (%) L₂ Forward passes Backward passes",
        "*one*",
        "PGD (L2) 100 2.00 2.0 1.0",
        "DDN 100 *1.00* 2.0 1.0",
        "*Network Two*",
        "PGD (L2) 100 *3.00* 2.0 1.0",
        "DDN 100 4.00 2.0 1.0",
    ]


@pytest.mark.parametrize("networks", [1, 2, 3, 4])
def test_nothing_overlaps_or_leaves_the_figure(networks):
    names = ["mobilenet_v2", "efficientnet_lite2", "resnet50_he2016", "resnet50"][:networks]
    attacks = ["PerC_AL", "NPTM (PPGD)", "Ours (a = 0)", "ALMA (LPIPS)"]
    ones = {name: [1, 1] for name in names}
    records = {n: pd.concat([made(a, [True, True], **ones) for a in attacks]) for n in names}
    figure = transfer(records, {"efficientnet_lite2": "EfficientNet-Lite2"})
    assert figure.get_size_inches()[0] * 100 <= style.COLUMN
    figure.draw_without_rendering()
    frame = figure.bbox
    for panel in figure.axes:
        labels = [*panel.get_xticklabels(), panel.title, *panel.texts]
        if panel is figure.axes[0]:
            labels += panel.get_yticklabels()
        boxes = [label.get_window_extent() for label in labels]
        for k, box in enumerate(boxes):
            assert box.x0 >= frame.x0
            assert box.x1 <= frame.x1
            assert box.y0 >= frame.y0
            assert box.y1 <= frame.y1
            assert not any(box.overlaps(other) for other in boxes[:k])


def test_what_it_refuses():
    with pytest.raises(ValueError, match="records: nothing given"):
        transfer({})
    short = {"one": RECORDS["one"].drop(columns="changes_two"), "two": RECORDS["two"]}
    with pytest.raises(
        ValueError, match=r"records of one: the columns changes_two are missing; gi"
    ):
        transfer(short)
    with pytest.raises(ValueError, match="records: nothing given"):
        table_by_network({})
    unlike = {"one": table_records({"DDN": 1.0}), "two": table_records({"DDN": 1.0}, lpips=0.1)}
    with pytest.raises(ValueError, match="records of two: other measures than those of the netw"):
        table_by_network(unlike)


def test_verdicts_are_set_network_by_network():
    found = pd.DataFrame(
        {
            "n": [3, 2], "claim": [True, False], "least_lpips": ["8-bit aware", "DDN"],
            "least_dists": ["8-bit aware", "mine"], "ratio_l2": [1 / 6, np.nan],
            "ratio_lpips": [0.1, np.nan], "ratio_dists": [0.25, np.nan], "weak": [50, 0],
            "strong": [250 / 3, 25],
        },
        index=["one", "two"],
    )  # fmt: skip
    table = table_of_verdicts(found, {"two": "Network Two"})
    assert [line for line, _, _ in table.rows] == [
        ("one", "3", "yes", "8-bit aware", "8-bit aware", "0.1667", "0.1000", "0.2500", "50", "83"),
        ("Network Two", "2", "no", "DDN", "mine", "–", "–", "–", "0", "25"),
    ]
    assert len(table.headings) == len(table.rows[0][0])
