"""Images as files and as 8-bit levels.

An image is *8 bit* when each value is k/255 for a whole number k from 0 to 255, divided in the
image's own precision. Such images survive a lossless file unchanged.
"""

import errno
import io
import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from humimp import checks, files

Validation = Literal["truncate", "round", "none"]

#: How far, in levels, an image may be off a level and still be saved as that level: room for the
#: last bits of float32, as after undoing a normalisation.
TOLERANCE = 2.0**-14

_SUFFIXES = {".png": "PNG", ".webp": "WEBP"}
_PNG = b"\x89PNG\r\n\x1a\n"


def validate(images: Tensor, how: Validation = "truncate") -> Tensor:
    """Make images valid: the three readings of line 9 of Algorithm 1.

    Parameters
    ----------
    images
        Any shape, float32 or float64.
    how
        ``"truncate"``
            clamp to [0, 1], then floor to a multiple of 1/255: the paper's reading. No step down
            is too small to cost a whole level.
        ``"round"``
            clamp, then round to the nearest multiple of 1/255.
        ``"none"``
            clamp.

    Returns
    -------
    Tensor
        Same shape, dtype and device. Validating twice changes nothing, and 8-bit images stay
        bit for bit what they are.

    Notes
    -----
    Floor needs no tolerance for that: k/255 rounded to float32 or float64, times 255, gives k or
    a little more for each of the 256 levels. Levels computed in another way, as by
    ``linspace`` or by undoing a normalisation, can lie below and lose a level: round them first.
    A tolerance would not be harmless either. Where a classifier is sure, Algorithm 1's first
    steps are smaller than 10⁻⁸ and it is floor that makes them count.

    Raises
    ------
    ValueError
        For another word.
    """
    checks.choice(how, "validate", ("truncate", "round", "none"))
    images = images.clamp(0, 1)
    if how == "none":
        return images
    levels = images * 255
    return _from_levels(levels.floor() if how == "truncate" else levels.round())


def to_uint8(images: Tensor) -> Tensor:
    """Convert images to the nearest 8-bit levels.

    Parameters
    ----------
    images
        Any shape, values in [0, 1].

    Returns
    -------
    Tensor
        Same shape, uint8.
    """
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def from_uint8(levels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert 8-bit levels to an image: the inverse of `to_uint8`.

    Parameters
    ----------
    levels
        Any shape, uint8.
    dtype
        The precision of the image, torch.float32 or torch.float64.

    Returns
    -------
    Tensor
        Same shape, values in [0, 1].
    """
    return _from_levels(levels.to(dtype))


def load(
    path: str | os.PathLike[str], size: int | None = None, *, shorter: int | None = None
) -> Tensor:
    """Read an image file.

    Parameters
    ----------
    path
        Any format that Pillow reads. Alpha is dropped, palettes and CMYK become RGB, and EXIF
        orientation is not applied: as torchvision loads images.
    size
        Side in pixels of the square image to return. The shorter side is resized to ``shorter``
        (bilinear with antialiasing, on 8-bit levels) and the centre is cut out, as torchvision's
        evaluation transforms do. None returns the image as it is.
    shorter
        By default round(size · 256/224): 256 for 224, 342 for 299, as torchvision evaluates
        ImageNet classifiers. Pass ``shorter=size`` to cut as little as possible. Without a
        ``size`` it counts for nothing.

    Returns
    -------
    Tensor
        Shape (3, H, W), or (1, H, W) for a grayscale file; float32 in [0, 1], 8 bit.

    Raises
    ------
    ValueError
        If the file is no image, or is damaged or cut short; if it is a PNG of 16 bit per channel,
        or Pillow gives more than 8 bit for it.
    OSError
        If it cannot be read at all, as when there is no such file.
    """
    if size is not None:
        checks.count(size, "size", low=1)
        shorter = round(size * 256 / 224) if shorter is None else shorter
        checks.count(shorter, "shorter", low=size)
    image = _picture(Path(path).read_bytes(), path)
    if size is not None and shorter is not None:
        image = _centre(image, size, shorter)
    return _tensor(image)


def decode(data: bytes) -> Tensor:
    """Read an image from the bytes of its file, as `load` does."""
    return _tensor(_picture(data, "image"))


def _picture(data: bytes, path: str | os.PathLike[str]) -> Image.Image:
    """Read an image, in grey or RGB, from the bytes of the file at a path."""
    try:
        image = _decode(data)
    except Exception as error:  # Pillow has no common class for what broken files make it raise
        raise ValueError(
            f"{path}: not a readable image, or damaged or cut short ({error}); get the file again"
        ) from error
    if image.mode.startswith(("I", "F")):
        raise ValueError(
            f"{path}: expected an image of 8 bit per channel, got Pillow's mode {image.mode!r}; "
            "convert the file to 8 bit first"
        )
    if _is_deep_png(data):
        raise ValueError(
            f"{path}: expected an image of 8 bit per channel, got a PNG of 16; "
            "convert the file to 8 bit first"
        )
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def _tensor(image: Image.Image) -> Tensor:
    """Make a tensor (C, H, W) of a picture."""
    levels = torch.from_numpy(np.array(image, dtype=np.uint8))
    levels = levels[None] if levels.ndim == 2 else levels.permute(2, 0, 1)
    return from_uint8(levels.contiguous())


def save(image: Tensor, path: str | os.PathLike[str]) -> None:
    """Write an image to a file without loss: `load` returns exactly what was saved.

    The file appears complete or not at all, and an earlier file of the same name stays until then.

    Parameters
    ----------
    image
        Shape (1, H, W) or (3, H, W), values in [0, 1], 8 bit (to within 2⁻¹⁴ of a level).
    path
        Name of the file, ending in ``.png``, or for three channels ``.webp``.

    Raises
    ------
    ValueError
        For another shape or suffix, or an image that 8 bit cannot hold.
    OSError
        If it cannot be written, as on a full disk.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "no such folder to save an image in; create it first", str(path.parent)
        )
    files.write(path, encode(image, path))


def encode(image: Tensor, path: str | os.PathLike[str] = "image.png") -> bytes:
    """Return what `save` would write to a file of this name; errors are the same."""
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(
            f"{path}: expected a name ending in .png or .webp, which hold images without loss"
        )
    if not isinstance(image, Tensor) or image.ndim != 3:
        shape = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"image: expected shape (C, H, W) for {path}, got {shape}")
    checks.images(image[None], "image")
    if path.suffix.lower() == ".webp" and len(image) == 1:
        raise ValueError(f"{path}: WebP has no grayscale images; save as .png")
    image = image.detach().cpu()
    levels = to_uint8(image)
    off = float((image.double() * 255 - levels).abs().max())
    if off > TOLERANCE:
        raise ValueError(
            f"image: expected multiples of 1/255 for {path}, got values up to {off:.2g} levels "
            "away from one; round first with humimp.images.validate(image, 'round')"
        )
    array = levels[0].numpy() if len(levels) == 1 else levels.permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(array).save(file, _SUFFIXES[path.suffix.lower()], lossless=True)
    return file.getvalue()


def _from_levels(levels: Tensor) -> Tensor:
    """Divide by 255, rounding correctly on every device.

    Dividing by a number makes CUDA multiply by its reciprocal, which is off in the last bit.
    """
    return levels / torch.full((), 255, dtype=levels.dtype, device=levels.device)


def _is_deep_png(data: bytes) -> bool:
    """Whether this is a PNG of 16 bit, which Pillow cuts to 8 without a word if it has colours."""
    return data.startswith(_PNG) and data[24] == 16  # the bit depth in the header, IHDR


def _decode(data: bytes) -> Image.Image:
    """Read all of an image; PNG's checksums too, which reading alone passes over."""
    image = Image.open(io.BytesIO(data))
    if image.format == "PNG":
        image.verify()
        image = Image.open(io.BytesIO(data))
    image.load()
    return image


def _centre(image: Image.Image, size: int, shorter: int) -> Image.Image:
    """Resize the shorter side and cut out the centre, to the pixel as torchvision does."""
    width, height = image.size
    short, long = sorted((width, height))
    longer = int(shorter * long / short)
    width, height = (shorter, longer) if width <= height else (longer, shorter)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))
