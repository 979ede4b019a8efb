"""Figure 3: an image and its attacks side by side, pixel by pixel."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from torch import Tensor

from humimp import datasets, images
from humimp.figures import style
from humimp.figures.panels import (
    BLACK,
    GAP,
    GREY,
    LINE,
    Levels,
    fit,
    font,
    levels_of,
    magnified,
    side_by_side,
    stacked,
)

_FRAME = "#FFD400"


def examples(
    records: pd.DataFrame, ids: Sequence[str], folder: Callable[[str], Path]
) -> tuple[list[dict[str, Tensor]], list[dict[str, str]]]:
    """Read photographs and their attacks from a run, for `figure3`.

    Parameters
    ----------
    records
        From :func:`humimp.evaluate.run`, of "No attack" and then of every attack to show
        (``pandas.concat``), by a classifier of ImageNet's classes.
    ids
        Of the photographs.
    folder
        From an attack's name to the folder of its run, as `humimp.book.Run.row`.

    Returns
    -------
    tuple
        For each photograph a mapping from "Original" and the attacks' names to its images, and one
        from the same to the classes that the classifier takes them for.
    """
    attacks = {"Original" if name == "No attack" else name: name for name in records["attack"]}
    classes = datasets.class_names()
    taken = records.set_index(["attack", "id"])["predicted"]
    return (
        [
            {t: images.load(folder(n) / "images" / f"{i}.png") for t, n in attacks.items()}
            for i in ids
        ],
        [{t: classes[taken[n, i]] for t, n in attacks.items()} for i in ids],
    )


def figure3(
    examples: Sequence[Mapping[str, Tensor]],
    notes: Sequence[Mapping[str, str]] | None = None,
    *,
    zoom: int = 4,
    amplify: int | None = None,
) -> Image.Image:
    """Set images beside their attacks, with a detail enlarged and the change made visible.

    One pixel of an image is one pixel of the picture. Under each image stand a detail of it,
    enlarged by repeating pixels, and the same detail of its difference from the original, around
    grey. The detail is where the attacks differ most from each other.

    Parameters
    ----------
    examples
        For each example a mapping from name to image, shape (C, H, W) with values in [0, 1],
        the original first.
    notes
        For each example, a line to set under a name, such as the predicted label.
    zoom
        By how much the detail is enlarged.
    amplify
        By how much differences are multiplied; by default the largest power of two for which
        at most one value in two hundred is cut off.

    Returns
    -------
    PIL.Image.Image
        Rows of images no wider together than the text column (``style.COLUMN``). Its ``info``
        holds ``zoom`` and ``amplify``.

    Raises
    ------
    ValueError
        For no example, an example without attacks, images of other shapes, or images that are
        too large or too small for the page.
    """
    notes = notes or [{} for _ in examples]
    levels = [{name: levels_of(image) for name, image in one.items()} for one in examples]
    _check(levels, zoom)
    factor = amplify or min(_factor(one) for one in levels)
    blocks = [
        stacked(_rows(one, lines, zoom, factor), GAP)
        for one, lines in zip(levels, notes, strict=True)
    ]
    whole = stacked(blocks, 4 * GAP)
    whole.info.update(zoom=zoom, amplify=factor)
    return whole


def detail(images: Mapping[str, Levels], side: int) -> tuple[int, int]:
    """Find the square in which attacks differ most from each other.

    Parameters
    ----------
    images
        Name to levels, shape (H, W, 3), the original first.
    side
        Of the square, in pixels.

    Returns
    -------
    tuple of int
        Its upper left corner, row and column: where the variance between the attacks, summed
        over the square, is largest. With a single attack, where it changes the image most.
    """
    original, *attacked = (image.astype(np.float64) for image in images.values())
    changes = np.stack(attacked) - original
    spread = changes.var(0) if len(attacked) > 1 else changes[0] ** 2
    sums = np.pad(spread.sum(-1).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    boxes = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    row, column = np.unravel_index(boxes.argmax(), boxes.shape)
    return int(row), int(column)


def _check(examples: Sequence[Mapping[str, Levels]], zoom: int) -> None:
    """Refuse what cannot be set."""
    if not examples or any(len(one) < 2 for one in examples):
        raise ValueError("examples: expected an original and at least one attack in each")
    for one in examples:
        shapes = {image.shape for image in one.values()}
        if len(shapes) > 1:
            raise ValueError(f"examples: expected images of one shape, got {sorted(shapes)}")
        height, width = next(iter(shapes))[:2]
        if not 2 * zoom <= width <= style.COLUMN or height < width // (2 * zoom):
            raise ValueError(
                f"examples: {height} × {width} pixels do not fit; expected a width of "
                f"{2 * zoom} (twice the zoom) to {style.COLUMN} pixels"
            )


def _factor(images: Mapping[str, Levels]) -> int:
    """Choose by how much to multiply differences."""
    original, *attacked = (image.astype(np.int64) for image in images.values())
    high = np.quantile(np.abs(np.stack(attacked) - original), 0.995)
    return max(1, int(2 ** np.floor(np.log2(127 / max(high, 1)))))


def _rows(
    images: Mapping[str, Levels], notes: Mapping[str, str], zoom: int, factor: int
) -> list[Image.Image]:
    """Set one example, in as many rows as it takes."""
    original = next(iter(images.values()))
    width = original.shape[1]
    side = width // (2 * zoom)
    corner = detail(images, side)
    panels = []
    for name, image in images.items():
        panel = _panel(name, notes.get(name, ""), image, original, corner, side, zoom, factor)
        panels.append(panel)
    per_row = max(1, (style.COLUMN + GAP) // (width + GAP))
    return [side_by_side(panels[k : k + per_row]) for k in range(0, len(panels), per_row)]


def _panel(
    name: str,
    note: str,
    image: Levels,
    original: Levels,
    corner: tuple[int, int],
    side: int,
    zoom: int,
    factor: int,
) -> Image.Image:
    """Set one image with its name, its detail and its difference."""
    height, width = image.shape[:2]
    head = 2 * LINE + 4
    panel = Image.new("RGB", (width, head + height + 4 + side * zoom), "white")
    draw = ImageDraw.Draw(panel)
    draw.text((0, 0), fit(name, width, bold=True), BLACK, font(bold=True))
    draw.text((0, LINE), fit(note, width), GREY, font())
    framed = Image.fromarray(image)
    row, column = corner
    box = (column - 1, row - 1, column + side, row + side)
    ImageDraw.Draw(framed).rectangle(box, outline=_FRAME)
    panel.paste(framed, (0, head))
    cut = np.s_[row : row + side, column : column + side]
    below = head + height + 4
    panel.paste(magnified(image[cut], zoom), (0, below))
    left = width - side * zoom
    if image is original:
        lines = [f"← detail × {zoom}", "", "beside it, the", f"change × {factor}"]
        for k, line in enumerate(lines):
            draw.text((left + 6, below + k * LINE), fit(line, side * zoom - 6), GREY, font())
        return panel
    change = 127.5 + factor * (image[cut].astype(np.float64) - original[cut])
    panel.paste(magnified(change.round().clip(0, 255).astype(np.uint8), zoom), (left, below))
    return panel
