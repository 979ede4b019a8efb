from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from humimp import images as pictures
from humimp.figures import style
from humimp.figures.figure3 import detail, examples, figure3
from humimp.figures.panels import GAP, LINE

HEAD = 2 * LINE + 4


def level(image: Tensor) -> np.ndarray:
    return (image.permute(1, 2, 0) * 255).round().byte().numpy()


def example(size: int = 64, channels: int = 3, attacks: int = 2) -> dict[str, Tensor]:
    """Random 8-bit images; attack k changes a square of 8 pixels by 2 k levels, at (40, 16)."""
    generator = torch.Generator().manual_seed(0)
    original = torch.randint(20, 230, (channels, size, size), generator=generator) / 255
    named = {"Original": original}
    for k in range(1, attacks + 1):
        change = torch.zeros_like(original)
        change[:, 40:48, 16:24] = 2 * k / 255
        named[f"attack {k}"] = original + change
    return named


def test_examples_are_read_from_each_attack_s_folder_with_the_classes_they_are_taken_for(
    tmp_path: Path,
) -> None:
    records = pd.DataFrame(
        {
            "attack": ["No attack", "No attack", "FGSM", "FGSM"],
            "id": ["a", "b", "b", "a"],
            "predicted": [0, 1, 2, 3],
        }
    )
    for k, (attack, name) in enumerate(zip(records["attack"], records["id"], strict=True)):
        folder = tmp_path / attack.upper() / "images"
        folder.mkdir(parents=True, exist_ok=True)
        pictures.save(torch.full((3, 4, 4), k / 255), folder / f"{name}.png")
    images, notes = examples(records, ["b", "a"], lambda attack: tmp_path / attack.upper())
    assert [list(one) for one in images] == [["Original", "FGSM"]] * 2
    found = [[255 * float(image.mean()) for image in one.values()] for one in images]
    assert found == pytest.approx(np.array([[1, 2], [0, 3]]))
    assert notes == [
        {"Original": "goldfish", "FGSM": "great white shark"},
        {"Original": "tench", "FGSM": "tiger shark"},
    ]


def test_every_image_stands_there_pixel_by_pixel_in_its_place() -> None:
    images = example()
    picture = np.asarray(figure3([images]))
    for k, image in enumerate(images.values()):
        left = k * (64 + GAP)
        shown = picture[HEAD : HEAD + 64, left : left + 64]
        framed = (shown != level(image)).any(-1)
        assert 0 < framed.sum() <= 4 * 9  # only the frame around the detail, 8 pixels wide
        assert (shown[framed] == (0xFF, 0xD4, 0)).all()


def test_the_frame_lies_around_the_detail_and_hides_nothing_of_it() -> None:
    images = example()
    picture = np.asarray(figure3([images]))
    rows, columns = (picture[HEAD : HEAD + 64, :64] != level(images["Original"])).any(-1).nonzero()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (39, 48, 15, 24)


def test_detail_and_change_are_exact() -> None:
    images = example()
    picture = np.asarray(figure3([images], zoom=4, amplify=10))
    below = HEAD + 64 + 4
    for k, image in enumerate(images.values()):
        left = k * (64 + GAP)
        part = level(image)[40:48, 16:24]
        shown = picture[below : below + 32, left : left + 32]
        np.testing.assert_array_equal(shown, part.repeat(4, 0).repeat(4, 1))
        if k:
            change = picture[below : below + 32, left + 32 : left + 64].astype(int)
            assert (change == round(127.5 + 10 * 2 * k)).all()


def test_the_detail_is_where_the_attacks_differ_not_where_they_change_alike() -> None:
    images = {name: level(image) for name, image in example(attacks=3).items()}
    for name in list(images)[1:]:
        images[name] = images[name].copy()
        images[name][0:8, 0:8] = 0  # a large change that all share
    images["Original"][0:8, 0:8] = 255
    assert detail(images, 8) == (40, 16)


def test_the_detail_of_a_single_attack_is_where_it_changes_most() -> None:
    images = {name: level(image) for name, image in example(attacks=1).items()}
    assert detail(images, 8) == (40, 16)


@pytest.mark.parametrize("corner", [(0, 0), (56, 56)])
def test_a_detail_at_the_edge_is_found(corner: tuple[int, int]) -> None:
    row, column = corner
    original = torch.full((3, 64, 64), 0.5)
    attacked = original.clone()
    attacked[:, row : row + 8, column : column + 8] = 1
    images = {"Original": original, "attack": attacked}
    assert detail({name: level(image) for name, image in images.items()}, 8) == corner
    figure3([images])


@pytest.mark.parametrize(("size", "attacks", "per_row"), [(224, 10, 3), (299, 3, 2), (700, 1, 1)])
def test_rows_are_no_wider_than_the_column(size: int, attacks: int, per_row: int) -> None:
    picture = figure3([example(size, attacks=attacks)])
    assert picture.width == per_row * (size + GAP) - GAP <= style.COLUMN
    rows = -(-(attacks + 1) // per_row)
    assert picture.height == rows * (HEAD + size + 4 + size // 8 * 4 + GAP) - GAP


def test_the_default_amplification_suits_the_largest_changes() -> None:
    faint, strong = example(), example()
    assert figure3([faint]).info == {"zoom": 4, "amplify": 16}  # 7 of 4096 pixels by 4 levels
    strong["attack 2"] = (strong["attack 2"] + 20 / 255).clamp(0, 1)
    assert figure3([faint, strong]).info["amplify"] == 4
    strong["attack 2"] = 1 - strong["attack 2"].round()
    assert figure3([faint, strong]).info["amplify"] == 1  # no change is shown smaller than it is


def test_gray_images_and_notes_are_shown() -> None:
    plain = figure3([example(channels=1)])
    noted = figure3([example(channels=1)], [{"attack 1": "a note far too long for this panel"}])
    assert plain.size == noted.size
    different = np.asarray(plain) != np.asarray(noted)
    rows, columns = different.any(-1).nonzero()
    assert rows.max() < HEAD
    assert 64 + GAP <= columns.min() <= columns.max() < 2 * 64 + GAP


def test_equal_input_gives_equal_pictures_on_white() -> None:
    one, other = figure3([example()]), figure3([example()])
    assert isinstance(one, Image.Image)
    assert one.mode == "RGB"
    assert one.tobytes() == other.tobytes()
    assert one.getpixel((one.width - 1, HEAD - 1)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "expected an original and at least one attack"),
        ([{"Original": torch.zeros(3, 64, 64)}], "expected an original and at least one attack"),
        (
            [{"Original": torch.zeros(3, 64, 64), "attack": torch.zeros(3, 64, 63)}],
            r"expected images of one shape, got \[\(64, 63, 3\), \(64, 64, 3\)\]",
        ),
        ([{k: torch.zeros(3, 9, 701) for k in "ab"}], "9 × 701 pixels do not fit; expected a wid"),
        ([{k: torch.zeros(3, 4, 7) for k in "ab"}], "4 × 7 pixels do not fit; .* 8 .* to 700"),
    ],
)
def test_what_cannot_be_set_is_refused(examples: list[dict[str, Tensor]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        figure3(examples)
