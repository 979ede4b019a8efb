"""Pictures put together from images, pixel by pixel, with words on them."""

from collections.abc import Sequence
from functools import cache

import matplotlib.font_manager as fonts
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont
from torch import Tensor

from humimp.images import to_uint8

Levels = NDArray[np.uint8]

#: Pixels between panels, and from one line of words to the next.
GAP, LINE = 8, 17
#: Colours of words.
BLACK, GREY = "#222222", "#5A5A5A"

_TEXT = 13


def levels_of(image: Tensor) -> Levels:
    """Convert (C, H, W) in [0, 1] to (H, W, 3) levels."""
    array: Levels = to_uint8(image.detach().cpu()).permute(1, 2, 0).numpy()
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def magnified(levels: Levels, zoom: int) -> Image.Image:
    """Repeat every pixel."""
    return Image.fromarray(levels.repeat(zoom, axis=0).repeat(zoom, axis=1))


def side_by_side(panels: Sequence[Image.Image]) -> Image.Image:
    """Set panels of one height in a row."""
    width = sum(panel.width for panel in panels) + GAP * (len(panels) - 1)
    row = Image.new("RGB", (width, panels[0].height), "white")
    left = 0
    for panel in panels:
        row.paste(panel, (left, 0))
        left += panel.width + GAP
    return row


def stacked(rows: Sequence[Image.Image], gap: int) -> Image.Image:
    """Set rows below each other."""
    height = sum(row.height for row in rows) + gap * (len(rows) - 1)
    whole = Image.new("RGB", (max(row.width for row in rows), height), "white")
    top = 0
    for row in rows:
        whole.paste(row, (0, top))
        top += row.height + gap
    return whole


@cache
def font(bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load the typeface that comes with Matplotlib."""
    weight = "bold" if bold else "normal"
    found = fonts.findfont(fonts.FontProperties(family="DejaVu Sans", weight=weight))
    return ImageFont.truetype(found, _TEXT)


def fit(text: str, width: int, bold: bool = False) -> str:
    """Shorten a text to a width in pixels."""
    face = font(bold)
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(f"{text}…") > width:
        text = text[:-1].rstrip()
    return f"{text}…" if text else ""
