"""Distortions of a photograph, each from just invisible to gross.

An image is an array (height, width, 3) of float32 in [0, 1]. A distortion takes the image, a level
in [0, 1] (0 is just invisible, 1 is gross), a random generator and the photograph's `Attacks`. What
`distort` returns is an 8-bit image: multiples of 1/255.

``TRAINING`` are the types that PieAPP-small is trained on; ``HELD_OUT`` are the types that it never
sees before it is evaluated.
"""

import io
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

Array = np.ndarray


class Attacks(NamedTuple):
    """What a classifier says about a photograph, shape (height, width, 3) each.

    Attributes
    ----------
    gradient
        Gradient of the cross-entropy with respect to the image.
    truncated
        What PGD (L2) adds to the image when each step is truncated to 8 bit, in units of 1.
    confident
        What PGD (L2) adds when it goes on to a margin of 5, without truncation.
    """

    gradient: Array
    truncated: Array
    confident: Array


Distortion = Callable[[Array, float, np.random.Generator, Attacks], Array]


def between(low: float, high: float, level: float) -> float:
    """Go from ``low`` to ``high`` in equal ratios as the level goes from 0 to 1."""
    return float(low * (high / low) ** level)


def _sign(rng: np.random.Generator) -> float:
    return float(rng.choice([-1.0, 1.0]))


def _spectrum(shape: tuple[int, ...], power: float, rng: np.random.Generator) -> Array:
    """Noise of unit variance whose amplitude goes as frequency to the ``power``, per channel."""
    height, width, channels = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1 / max(height, width)
    filtered = np.fft.rfft2(rng.standard_normal((channels, height, width))) * frequency**power
    noise = np.fft.irfft2(filtered, s=(height, width))
    noise -= noise.mean((1, 2), keepdims=True)
    return np.moveaxis(noise / noise.std((1, 2), keepdims=True), 0, 2)


def _luma(image: Array) -> Array:
    return (image @ np.array([0.299, 0.587, 0.114]))[..., None]


# noise


def white_noise(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Add Gaussian noise, independent in every pixel and channel."""
    return image + between(0.003, 0.25, level) * rng.standard_normal(image.shape)


def grey_noise(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Add Gaussian noise, the same in the three channels."""
    return image + between(0.003, 0.25, level) * rng.standard_normal((*image.shape[:2], 1))


def chroma_noise(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Add Gaussian noise that leaves the luma as it is."""
    noise = rng.standard_normal(image.shape)
    return image + between(0.005, 0.4, level) * (noise - _luma(noise))


def pink_noise(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Add noise whose amplitude goes as 1 / frequency."""
    return image + between(0.004, 0.25, level) * _spectrum(image.shape, -1, rng)


def blue_noise(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Add noise whose amplitude goes as the frequency."""
    return image + between(0.003, 0.25, level) * _spectrum(image.shape, 1, rng)


def blotches(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Add white noise, blurred to spots some pixels wide."""
    noise = ndimage.gaussian_filter(rng.standard_normal(image.shape), (1.5, 1.5, 0))
    return image + between(0.003, 0.2, level) * noise / noise.std()


def speckle(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Add noise in proportion to the pixel."""
    return image * (1 + between(0.008, 0.6, level) * rng.standard_normal(image.shape))


def masked_noise(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Add noise in proportion to the local contrast, where it is masked."""
    luma = _luma(image)[..., 0]
    local = ndimage.uniform_filter(luma**2, 9) - ndimage.uniform_filter(luma, 9) ** 2
    contrast = np.sqrt(np.maximum(local, 0))[..., None]
    contrast /= contrast.mean() + 1e-6
    return image + between(0.004, 0.25, level) * contrast * rng.standard_normal(image.shape)


# blur and resolution


def gaussian_blur(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Blur by a Gaussian."""
    sigma = between(0.28, 5, level)
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="reflect")


def motion_blur(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Take the mean over the pixels of a segment of random direction."""
    length, angle = between(0.6, 20, level), rng.uniform(0, np.pi)
    steps = np.linspace(-length / 2, length / 2, 2 * int(np.ceil(length)) + 1)
    return np.mean(
        [_move(image, s * np.sin(angle), s * np.cos(angle), order=1) for s in steps], axis=0
    )


def rescale(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Make smaller and enlarge again, bicubic."""
    height, width = image.shape[:2]
    factor = between(1.1, 8, level)
    small = (max(2, round(width / factor)), max(2, round(height / factor)))
    shrunk = _picture(image).resize(small, Image.Resampling.BICUBIC)
    return _array(shrunk.resize((width, height), Image.Resampling.BICUBIC))


def sharpen(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Sharpen too much, by unsharp masking."""
    return image + between(0.05, 5, level) * (image - ndimage.gaussian_filter(image, (1, 1, 0)))


# compression and quantisation


def _picture(image: Array) -> Image.Image:
    return Image.fromarray(to_bytes(image))


def _array(picture: Image.Image) -> Array:
    return np.asarray(picture.convert("RGB"), dtype=np.float32) / 255


def _coded(image: Array, kind: str, **options: object) -> Array:
    buffer = io.BytesIO()
    _picture(image).save(buffer, kind, **options)
    return _array(Image.open(buffer))


def jpeg(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Compress by JPEG, quality 97 to 3."""
    return _coded(image, "JPEG", quality=round(100 - between(3, 97, level)))


def jpeg2000(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Compress by JPEG 2000, 3 to 80 times."""
    rate = between(3, 80, level)
    return _coded(image, "JPEG2000", quality_mode="rates", quality_layers=[rate], irreversible=True)


def quantise(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Round to fewer levels a channel, 128 to 3."""
    levels = round(between(128, 3, level)) - 1
    return np.round(image * levels) / levels


# tone and colour


def brightness(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Make all pixels brighter or darker."""
    return image + _sign(rng) * between(0.006, 0.4, level)


def contrast(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Lower or raise the contrast about the mean."""
    change = between(0.02, 0.85, level)
    mean = image.mean((0, 1), keepdims=True)
    return mean + (image - mean) * (1 - change if rng.random() < 0.5 else 1 / (1 - change))


def saturation(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Make colours paler or stronger."""
    change = _sign(rng) * between(0.03, 1, level)
    luma = _luma(image)
    return luma + (image - luma) * (1 + change * (2 if change > 0 else 1))


def colour_cast(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Multiply each channel by a gain."""
    gain = rng.standard_normal(3)
    return image * (1 + between(0.008, 0.6, level) * gain / np.abs(gain).max())


# local


def _box(shape: tuple[int, ...], side: float, rng: np.random.Generator) -> tuple[slice, slice]:
    height, width = (max(1, min(size, round(side * rng.uniform(0.7, 1.4)))) for size in shape[:2])
    top, left = rng.integers(shape[0] - height + 1), rng.integers(shape[1] - width + 1)
    return slice(top, top + height), slice(left, left + width)


def occlusion(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Lay a rectangle of one colour over a part, up to half the side, partly transparent."""
    box = _box(image.shape, between(2, image.shape[0] / 2, level), rng)
    colour = rng.uniform(0, 1, 3) if rng.random() < 0.5 else image[box].mean((0, 1))
    opacity = rng.uniform(0.3, 1)
    result = image.copy()
    result[box] += opacity * (colour - result[box])
    return result


def block_swap(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Replace blocks by their neighbours."""
    result, side = image.copy(), 8
    for _number in range(round(between(1, 60, level))):
        top = rng.integers(0, image.shape[0] - side)
        left = rng.integers(0, image.shape[1] - side)
        down, right = np.clip(
            np.array([top, left]) + rng.integers(-12, 13, 2), 0, np.array(image.shape[:2]) - side
        )
        result[top : top + side, left : left + side] = image[
            down : down + side, right : right + side
        ]
    return result


# geometry


def _move(image: Array, down: float | Array, right: float | Array, order: int = 3) -> Array:
    rows, columns = np.meshgrid(*map(np.arange, image.shape[:2]), indexing="ij")
    where = np.stack([rows + down, columns + right])
    return np.stack(
        [
            ndimage.map_coordinates(image[..., c], where, order=order, mode="reflect")
            for c in range(3)
        ],
        axis=-1,
    )


def shift(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Move by a fraction of a pixel to some pixels."""
    distance, angle = between(0.08, 7, level), rng.uniform(0, 2 * np.pi)
    return _move(image, distance * np.sin(angle), distance * np.cos(angle))


def warp(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Move every pixel along a smooth random field."""
    field = ndimage.gaussian_filter(rng.standard_normal((2, *image.shape[:2])), (0, 7, 7))
    down, right = between(0.1, 6, level) * field / field.std()
    return _move(image, down, right)


# attacks and patterns like theirs


def sign_gradient(image: Array, level: float, rng: np.random.Generator, given: Attacks) -> Array:
    """Add the sign of a classifier's gradient, 1 to 24 levels."""
    return image + round(between(1, 24, level)) / 255 * np.sign(given.gradient)


def gradient(image: Array, level: float, rng: np.random.Generator, given: Attacks) -> Array:
    """Add a classifier's gradient, scaled to a root mean square of 0.4 to 20 levels."""
    size = np.sqrt(np.mean(given.gradient**2)) + 1e-12
    return image + between(0.4, 20, level) / 255 * given.gradient / size


def levels(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Move a random part of the values up or down by some whole levels."""
    moved = rng.random(image.shape) < rng.uniform(0.2, 1)
    step = round(between(1, 24, level)) / 255
    return image + step * moved * rng.choice([-1, 1], image.shape)


def truncation(image: Array, level: float, rng: np.random.Generator, given: Attacks) -> Array:
    """Move half of the values down by some whole levels, as the floor of line 9 does."""
    down = given.gradient < 0 if rng.random() < 0.5 else rng.random(image.shape) < 0.5
    return image - round(between(1, 20, level)) / 255 * down


def truncated_attack(image: Array, level: float, rng: np.random.Generator, given: Attacks) -> Array:
    """Add what the truncating PGD adds, as it is and up to 16 times as much."""
    return image + between(1, 16, level) * given.truncated


# held out


def disc_blur(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Defocus: take the mean over a disc."""
    radius = between(0.6, 7, level)
    reach = int(np.ceil(radius))
    grid = np.arange(-reach, reach + 1)
    disc = np.clip(radius + 0.5 - np.hypot(grid[:, None], grid[None]), 0, 1)
    return ndimage.convolve(image, disc[..., None] / disc.sum(), mode="reflect")


def webp(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Compress by WebP, quality 97 to 0."""
    return _coded(image, "WEBP", quality=max(0, round(100 - between(3, 100, level))))


def salt_pepper(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Turn single pixels black or white."""
    hit = rng.random((*image.shape[:2], 1)) < between(0.0005, 0.2, level)
    return np.where(hit, rng.integers(0, 2, (*image.shape[:2], 1)), image)


def gamma(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Raise pixels to a power."""
    return image ** np.exp(_sign(rng) * between(0.015, 1.1, level))


def hue(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Turn colours about the grey axis, 2 to 180 degrees."""
    angle = np.deg2rad(_sign(rng) * between(2, 180, level))
    axis = np.ones(3) / np.sqrt(3)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = (
        np.cos(angle) * np.eye(3)
        + np.sin(angle) * cross
        + (1 - np.cos(angle)) * np.outer(axis, axis)
    )
    return image @ turn.T


def pixelate(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Mix in squares of one colour, 2 to 12 pixels wide."""
    side, opacity = (2, between(0.1, 1, 2 * level)) if level < 0.5 else (
        round(between(2, 12, 2 * level - 1)), 1.0
    )  # fmt: skip
    height, width = image.shape[:2]
    small = _picture(image).resize((-(-width // side), -(-height // side)), Image.Resampling.BOX)
    squares = _array(small.resize((width, height), Image.Resampling.NEAREST))
    return image + opacity * (squares - image)


def rotation(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Turn about the centre, 0.15 to 12 degrees."""
    angle = np.deg2rad(_sign(rng) * between(0.15, 12, level))
    rows, columns = (np.arange(size) - (size - 1) / 2 for size in image.shape[:2])
    y, x = np.meshgrid(rows, columns, indexing="ij")
    down = np.sin(angle) * x + (np.cos(angle) - 1) * y
    right = (np.cos(angle) - 1) * x - np.sin(angle) * y
    return _move(image, down, right)


def stripes(image: Array, level: float, rng: np.random.Generator, _: Attacks) -> Array:
    """Add a sine grating of random frequency and direction."""
    period, angle = np.exp(rng.uniform(np.log(2.5), np.log(32))), rng.uniform(0, np.pi)
    rows, columns = np.meshgrid(*map(np.arange, image.shape[:2]), indexing="ij")
    phase = 2 * np.pi * (np.sin(angle) * rows + np.cos(angle) * columns) / period
    return image + between(0.005, 0.3, level) * np.sin(phase + rng.uniform(0, 6.3))[..., None]


def confident_attack(image: Array, level: float, rng: np.random.Generator, given: Attacks) -> Array:
    """Add what PGD adds to be misclassified by a margin, 2 to 40 times."""
    return image + between(2, 40, level) * given.confident


TRAINING: Mapping[str, Distortion] = {
    function.__name__: function
    for function in (
        white_noise, grey_noise, chroma_noise, pink_noise, blue_noise, blotches, speckle,
        masked_noise, gaussian_blur, motion_blur, rescale, sharpen, jpeg, jpeg2000, quantise,
        brightness, contrast, saturation, colour_cast, occlusion, block_swap, shift, warp,
        sign_gradient, gradient, levels, truncation, truncated_attack,
    )
}  # fmt: skip

HELD_OUT: Mapping[str, Distortion] = {
    function.__name__: function
    for function in (
        disc_blur, webp, salt_pepper, gamma, hue, pixelate, rotation, stripes, confident_attack,
    )
}  # fmt: skip


def to_bytes(image: Array) -> Array:
    """Round to 8 bit: float in [0, 1] (clipped) to uint8."""
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)


def distort(
    image: Array, name: str, level: float, rng: np.random.Generator, attacks: Attacks
) -> Array:
    """Distort an image and round it to 8 bit.

    Parameters
    ----------
    image
        Shape (height, width, 3), float32 in [0, 1].
    name
        A type of ``TRAINING`` or ``HELD_OUT``; ``"a+b"`` is ``b`` after ``a``, each at 0.7 of the
        level.
    level
        0 (just invisible) to 1 (gross).
    rng
        Where chance comes from.
    attacks
        What a classifier says about this image.

    Returns
    -------
    array
        Shape and type as ``image``, multiples of 1/255.

    Raises
    ------
    ValueError
        For an unknown type or a level outside [0, 1].
    """
    if not 0 <= level <= 1:
        raise ValueError(f"level is {level}; it must be between 0 (invisible) and 1 (gross)")
    known = {**TRAINING, **HELD_OUT}
    parts = name.split("+")
    for part in parts:
        if part not in known:
            raise ValueError(f"there is no distortion {part!r}; there are {sorted(known)}")
        share = level if len(parts) == 1 else level * 0.7
        image = to_bytes(known[part](image, share, rng, attacks)).astype(np.float32) / 255
    return image
