"""Small images, such as digits, enlarged by repeating pixels."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from humimp.figures import style
from humimp.figures.panels import (
    BLACK,
    GAP,
    LINE,
    fit,
    font,
    levels_of,
    magnified,
    side_by_side,
    stacked,
)


def enlarged(rows: Sequence[Mapping[str, Tensor]], *, zoom: int = 5) -> Image.Image:
    """Set small images in rows, every pixel a square.

    Parameters
    ----------
    rows
        For each row a mapping from name to image, shape (C, H, W) with values in [0, 1].
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
    set_rows = []
    for images in rows:
        panels = [_panel(name, image, zoom) for name, image in images.items()]
        row = side_by_side(panels)
        if row.width > style.COLUMN:
            raise ValueError(
                f"rows: {len(panels)} images at zoom {zoom} are {row.width} pixels wide, and the "
                f"column has {style.COLUMN}; show fewer, or a smaller zoom"
            )
        set_rows.append(row)
    return stacked(set_rows, 2 * GAP)


def _panel(name: str, image: Tensor, zoom: int) -> Image.Image:
    """Set one image under its name."""
    picture = magnified(levels_of(image), zoom)
    width, height = picture.size
    panel = Image.new("RGB", (width, height + LINE + 4), "white")
    draw = ImageDraw.Draw(panel)
    draw.text((0, 0), fit(name, width, bold=True), BLACK, font(bold=True))
    panel.paste(picture, (0, LINE + 4))
    return panel
