"""Colour as people see it: CIELAB and the colour difference CIEDE2000, pixel by pixel.

Everything is differentiable, and no gradient is NaN or infinite. Where the formula has none, this
is what it is:

- of a difference at equal colours, where it has a tip as a norm has: 0;
- through the hue and the chroma of a grey, which has no hue and a tip in its chroma: 0. What
  depends on a and b directly keeps its gradient, so a grey is still drawn to a coloured original;
- at hues that are opposite, where the formula itself jumps: that of the side it is on.
"""

import math
import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from humimp import checks

# Linear sRGB to CIE XYZ, from the primaries of IEC 61966-2-1.
_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
# The rows' sums are the white point D65, (0.95047, 1, 1.08883). Dividing by them, and not by
# rounded published values, gives greys a = b = 0.
_RELATIVE = tuple(tuple(entry / sum(row) for entry in row) for row in _XYZ)

_BEND = 6 / 29  # where CIELAB's cube root turns into a line
_GREY = 1e-6  # a chroma below this is none; float32 can't tell it from 0 anyway


def lab(images: Tensor) -> Tensor:
    """Convert sRGB images to CIELAB under the illuminant D65.

    Parameters
    ----------
    images
        Shape (N, C, H, W), C = 1 or 3, values in [0, 1]. One channel is taken as R = G = B.

    Returns
    -------
    Tensor
        Shape (N, 3, H, W): L from 0 to 100, and a and b, which are 0 for greys to rounding.

    Raises
    ------
    ValueError
        For anything else than such images.
    """
    checks.images(images)
    return _lab(images)


def _lab(images: Tensor) -> Tensor:
    """Do `lab` without checks."""
    value = images.expand(-1, 3, -1, -1)
    power = ((value + 0.055) / 1.055).pow(2.4)
    red, green, blue = torch.where(value > 0.04045, power, value / 12.92).unbind(1)
    xyz = torch.stack([r * red + g * green + b * blue for r, g, b in _RELATIVE], 1)
    root = xyz.clamp(min=_BEND**3).pow(1 / 3)  # without clamp, 0 times an infinite slope is NaN
    x, y, z = torch.where(xyz > _BEND**3, root, xyz / (3 * _BEND**2) + 4 / 29).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def ciede2000(lab: Tensor, other: Tensor) -> Tensor:
    """Colour difference CIEDE2000 between colours in CIELAB; symmetric, 0 for equal colours.

    Parameters
    ----------
    lab, other
        Shape (N, 3, ...): L, a and b.

    Returns
    -------
    Tensor
        ΔE00, shape (N, ...), with k_L = k_C = k_H = 1. About 1 is just noticeable.

    Raises
    ------
    ValueError
        If they have not the same such shape.

    Notes
    -----
    The formula is that of Sharma, Wu and Dalal (2005), "The CIEDE2000 color-difference formula:
    implementation notes, supplementary test data, and mathematical observations".
    """
    return _root(_squared(lab, other))


def delta_e(original: Tensor, images: Tensor) -> Tensor:
    """Colour difference CIEDE2000 of each pixel, images in sRGB.

    Parameters
    ----------
    original, images
        Shape (N, C, H, W), C = 1 or 3, values in [0, 1]. One channel is taken as R = G = B.

    Returns
    -------
    Tensor
        ΔE00, shape (N, H, W).
    """
    checks.pair(original, images)
    return ciede2000(_lab(original), _lab(images))


def mean_delta_e(original: Tensor, images: Tensor) -> Tensor:
    """Mean over the pixels of the colour difference CIEDE2000, shape (N,); see `delta_e`."""
    return delta_e(original, images).mean((1, 2))


def color_distance(original: Tensor, images: Tensor) -> Tensor:
    """Euclidean norm over the pixels of the colour difference CIEDE2000, shape (N,).

    What the attacks of Zhao, Liu and Larson (2020) minimise. It grows with the number of pixels.
    See `delta_e` for the arguments. Its gradient is that of a smooth function except where all
    pixels are equal, and there it is 0.
    """
    checks.pair(original, images)
    return _norm(_lab(original), images)


def at(original: Tensor, *, compiled: bool = False) -> "FromOriginal":
    """Return `color_distance` from these images, which are converted to CIELAB once.

    With ``compiled`` it is a few kernels. The first call takes some twenty seconds then; on a GPU
    later ones are several times as fast, for CIEDE2000 and its gradient are a thousand small
    operations. Values are the same up to rounding.
    """
    checks.images(original, "original")
    return FromOriginal(_lab(original), _fused() if compiled else _norm)


class FromOriginal:
    """`color_distance` from fixed images; indices or a mask in brackets keep some of them."""

    def __init__(self, known: Tensor, norm: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._known, self._norm = known, norm

    def __call__(self, images: Tensor) -> Tensor:
        """Compute the distance of each image, (N, C, H, W) in [0, 1]; shape (N,)."""
        return self._norm(self._known, images)

    def __getitem__(self, keep: Tensor) -> "FromOriginal":
        """Keep the images that indices, or a boolean mask of shape (N,), name."""
        return FromOriginal(self._known[keep], self._norm)


def _norm(known: Tensor, images: Tensor) -> Tensor:
    """Do `color_distance` from CIELAB, without checks."""
    return _root(_squared(known, _lab(images)).flatten(1).sum(1))


@cache
def _fused() -> Callable[[Tensor, Tensor], Tensor]:
    """Compile `_norm`, for where that can be done: it takes a compiler, and Triton on a GPU."""
    compiled, works = torch.compile(_norm, dynamic=True), True

    def norm(known: Tensor, images: Tensor) -> Tensor:
        nonlocal works
        if works:
            try:
                return compiled(known, images)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                works = False
                warnings.warn(
                    f"CIEDE2000 could not be compiled ({type(error).__name__}: {error}), and is "
                    "several times as slow without; install a C compiler, and Triton",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return _norm(known, images)

    return norm


def _squared(lab: Tensor, other: Tensor) -> Tensor:
    """Return ΔE00², which is smooth where the colours are equal."""
    if lab.shape != other.shape or lab.ndim < 2 or lab.shape[1] != 3:
        raise ValueError(
            "lab: expected two tensors of one shape (N, 3, ...), with L, a and b, got "
            f"{tuple(lab.shape)} and {tuple(other.shape)}; humimp.color.lab converts images"
        )
    (l1, a1, b1), (l2, a2, b2) = lab.unbind(1), other.unbind(1)

    stretch = 1.5 - 0.5 * _saturation((_length(a1, b1) + _length(a2, b2)) / 2)  # 1 + G
    a1, a2 = stretch * a1, stretch * a2
    c1, c2 = _length(a1, b1), _length(a2, b2)
    h1, h2 = _hue(a1, b1), _hue(a2, b2)
    grey = (c1 == 0) | (c2 == 0)

    turn = h2 - h1
    # Hues that are opposite up to rounding count as less than half a turn apart, as published.
    half = math.pi * (1 + 4 * torch.finfo(turn.dtype).eps)
    past = turn.abs() > half
    turn = turn - 2 * math.pi * turn.sign() * past
    turn = torch.where(grey, 0, turn)
    hue = (h1 + h2) / 2
    hue = torch.where(past, torch.where(hue < math.pi, hue + math.pi, hue - math.pi), hue)
    hue = torch.where(grey, h1 + h2, hue)

    dl, dc = l2 - l1, c2 - c1
    dh = 2 * torch.where(grey, 1, c1 * c2).sqrt() * torch.sin(turn / 2)
    dh_squared = (a2 - a1).square() + (b2 - b1).square() - dc.square()

    lightness = ((l1 + l2) / 2 - 50).square()
    chroma = (c1 + c2) / 2
    t = (
        1
        - 0.17 * torch.cos(hue - math.radians(30))
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + math.radians(6))
        - 0.20 * torch.cos(4 * hue - math.radians(63))
    )
    s_l = 1 + 0.015 * lightness / (20 + lightness).sqrt()
    s_c = 1 + 0.045 * chroma
    s_h = 1 + 0.015 * chroma * t
    angle = math.radians(60) * torch.exp(-((hue - math.radians(275)) / math.radians(25)).square())
    r_t = -2 * _saturation(chroma) * torch.sin(angle)
    dl, dc, dh = dl / s_l, dc / s_c, dh / s_h
    return dl.square() + dc.square() + dh_squared / s_h.square() + r_t * dc * dh


def _root(squared: Tensor) -> Tensor:
    """Return the square root, with gradient 0 at 0, and below it, where rounding may lead."""
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1).sqrt(), 0)


def _length(a: Tensor, b: Tensor) -> Tensor:
    """Return the chroma; that of a grey is 0, and has gradient 0."""
    squared = a.square() + b.square()
    colored = squared > _GREY**2
    return torch.where(colored, torch.where(colored, squared, 1).sqrt(), 0)


def _hue(a: Tensor, b: Tensor) -> Tensor:
    """Return the hue in radians, from 0 to 2π; that of a grey is 0, and has gradient 0."""
    colored = a.square() + b.square() > _GREY**2
    hue = torch.atan2(torch.where(colored, b, 0), torch.where(colored, a, 1))
    return torch.where(hue < 0, hue + 2 * math.pi, hue)


def _saturation(chroma: Tensor) -> Tensor:
    """Return √(C⁷ / (C⁷ + 25⁷)), written so that it has a gradient at 0."""
    power = chroma.pow(3.5)
    return power / (power.square() + 25**7).sqrt()
