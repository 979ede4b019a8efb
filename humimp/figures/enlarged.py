"""Small images, such as digits, enlarged by repeating pixels."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from humimp.figures import style
from humimp.figures.figure3 import (
    _BLACK,
    _GAP,
    _GREY,
    _LINE,
    _enlarged,
    _fit,
    _font,
    _levels,
    _side_by_side,
    _stacked,
)


def enlarged(
    rows: Sequence[Mapping[str, Tensor]],
    notes: Sequence[Mapping[str, str]] | None = None,
    *,
    zoom: int = 5,
) -> Image.Image:
    """Set small images in rows, every pixel a square.

    Parameters
    ----------
    rows
        For each row a mapping from name to image, shape (C, H, W) with values in [0, 1].
    notes
        For each row what is written beneath an image, by name.
    zoom
        Side of the square that stands for a pixel, in pixels of the picture.

    Returns
    -------
    PIL.Image.Image
        No wider than the text column (``style.COLUMN``); names stand above the images.

    Raises
    ------
    ValueError
        If there is nothing to show, or a row is too wide.
    """
    if not rows or not all(rows):
        raise ValueError("rows: expected at least one image in each row")
    notes = notes or [{} for _ in rows]
    set_rows = []
    for images, lines in zip(rows, notes, strict=True):
        panels = [_panel(name, lines.get(name, ""), image, zoom) for name, image in images.items()]
        row = _side_by_side(panels)
        if row.width > style.COLUMN:
            raise ValueError(
                f"rows: {len(panels)} images at zoom {zoom} are {row.width} pixels wide, and the "
                f"column has {style.COLUMN}; show fewer, or a smaller zoom"
            )
        set_rows.append(row)
    return _stacked(set_rows, 2 * _GAP)


def _panel(name: str, note: str, image: Tensor, zoom: int) -> Image.Image:
    """Set one image between its name and its note."""
    picture = _enlarged(_levels(image), zoom)
    width, height = picture.size
    panel = Image.new("RGB", (width, height + _LINE + 4 + (_LINE + 4 if note else 0)), "white")
    draw = ImageDraw.Draw(panel)
    draw.text((0, 0), _fit(name, width, bold=True), _BLACK, _font(bold=True))
    panel.paste(picture, (0, _LINE + 4))
    if note:
        draw.text((0, _LINE + 4 + height + 4), _fit(note, width), _GREY, _font())
    return panel
