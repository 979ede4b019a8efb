import numpy as np
import pytest
import torch
from PIL import Image

from humimp.figures import style
from humimp.figures.enlarged import enlarged


def whole(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def contains(picture: np.ndarray, part: np.ndarray) -> bool:
    height, width = part.shape[:2]
    return any(
        np.array_equal(picture[i : i + height, j : j + width], part)
        for i in range(picture.shape[0] - height + 1)
        for j in range(picture.shape[1] - width + 1)
        if (picture[i, j] == part[0, 0]).all()
    )


def test_every_pixel_is_a_square_of_its_own_level() -> None:
    images = torch.randint(256, (4, 3, 6, 7), generator=torch.Generator().manual_seed(0))
    rows = [
        {"a": images[0] / 255, "b": images[1] / 255},
        {"c": images[2] / 255, "d": images[3, :1] / 255},
    ]
    picture = whole(enlarged(rows, zoom=3))
    for image in (images[0], images[1], images[2], images[3, :1].expand(3, -1, -1)):
        levels = image.permute(1, 2, 0).numpy().astype(np.uint8)
        assert contains(picture, levels.repeat(3, 0).repeat(3, 1))
    assert not contains(picture, images[3].permute(1, 2, 0).numpy().repeat(3, 0).repeat(3, 1))


def test_names_are_written() -> None:
    image = torch.full((1, 20, 20), 0.5)
    bare = whole(enlarged([{"": image}], zoom=4))
    named = whole(enlarged([{"name": image}], zoom=4))
    assert (bare[:20] == 255).all()
    assert (named[:20] < 255).any()


def test_refuses_nothing_and_rows_that_are_too_wide() -> None:
    image = torch.zeros(1, 28, 28)
    with pytest.raises(ValueError, match="rows: expected at least one image in each row"):
        enlarged([{"a": image}, {}])
    row = {str(k): image for k in range(6)}
    with pytest.raises(ValueError, match=rf"6 images at zoom 5 .* the column has {style.COLUMN}"):
        enlarged([row], zoom=5)
    assert enlarged([row], zoom=3).width <= style.COLUMN
