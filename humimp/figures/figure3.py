"""Figure 3: an image and its attacks side by side, pixel by pixel."""

from collections.abc import Mapping, Sequence
from functools import cache

import matplotlib.font_manager as fonts
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from humimp.figures import style
from humimp.images import to_uint8

Levels = NDArray[np.uint8]

_GAP = 8
_TEXT = 13
_LINE = 17
_BLACK, _GREY, _FRAME = "#222222", "#5A5A5A", "#FFD400"


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
    levels = [{name: _levels(image) for name, image in one.items()} for one in examples]
    _check(levels, zoom)
    factor = amplify or min(_factor(one) for one in levels)
    blocks = [
        _stacked(_rows(one, lines, zoom, factor), _GAP)
        for one, lines in zip(levels, notes, strict=True)
    ]
    whole = _stacked(blocks, 4 * _GAP)
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


def _levels(image: Tensor) -> Levels:
    """Convert (C, H, W) in [0, 1] to (H, W, 3) levels."""
    array: Levels = to_uint8(image.detach().cpu()).permute(1, 2, 0).numpy()
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


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
    return int(2 ** np.floor(np.log2(127 / max(high, 1))))


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
    per_row = max(1, (style.COLUMN + _GAP) // (width + _GAP))
    return [_side_by_side(panels[k : k + per_row]) for k in range(0, len(panels), per_row)]


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
    head = 2 * _LINE + 4
    panel = Image.new("RGB", (width, head + height + 4 + side * zoom), "white")
    draw = ImageDraw.Draw(panel)
    draw.text((0, 0), _fit(name, width, bold=True), _BLACK, _font(bold=True))
    draw.text((0, _LINE), _fit(note, width), _GREY, _font())
    framed = Image.fromarray(image)
    row, column = corner
    box = (column - 1, row - 1, column + side, row + side)
    ImageDraw.Draw(framed).rectangle(box, outline=_FRAME)
    panel.paste(framed, (0, head))
    cut = np.s_[row : row + side, column : column + side]
    below = head + height + 4
    panel.paste(_enlarged(image[cut], zoom), (0, below))
    left = width - side * zoom
    if image is original:
        lines = [f"← detail × {zoom}", "", "beside it, the", f"change × {factor}"]
        for k, line in enumerate(lines):
            draw.text((left + 6, below + k * _LINE), _fit(line, side * zoom - 6), _GREY, _font())
        return panel
    change = 127.5 + factor * (image[cut].astype(np.float64) - original[cut])
    panel.paste(_enlarged(change.round().clip(0, 255).astype(np.uint8), zoom), (left, below))
    return panel


def _enlarged(levels: Levels, zoom: int) -> Image.Image:
    """Repeat every pixel."""
    return Image.fromarray(levels.repeat(zoom, axis=0).repeat(zoom, axis=1))


def _side_by_side(panels: Sequence[Image.Image]) -> Image.Image:
    """Set panels of one height in a row."""
    width = sum(panel.width for panel in panels) + _GAP * (len(panels) - 1)
    row = Image.new("RGB", (width, panels[0].height), "white")
    left = 0
    for panel in panels:
        row.paste(panel, (left, 0))
        left += panel.width + _GAP
    return row


def _stacked(rows: Sequence[Image.Image], gap: int) -> Image.Image:
    """Set rows below each other."""
    height = sum(row.height for row in rows) + gap * (len(rows) - 1)
    whole = Image.new("RGB", (max(row.width for row in rows), height), "white")
    top = 0
    for row in rows:
        whole.paste(row, (0, top))
        top += row.height + gap
    return whole


@cache
def _font(bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load the typeface that comes with Matplotlib."""
    weight = "bold" if bold else "normal"
    found = fonts.findfont(fonts.FontProperties(family="DejaVu Sans", weight=weight))
    return ImageFont.truetype(found, _TEXT)


def _fit(text: str, width: int, bold: bool = False) -> str:
    """Shorten a text to a width in pixels."""
    font = _font(bold)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1].rstrip()
    return f"{text}…" if text else ""
