"""JPEG against Pillow by hand, bit depth against a literal table."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from humimp import defenses, images

DTYPES = [torch.float32, torch.float64]


def pictures(n=3, channels=3, side=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(0, 256, (n, channels, side, side), generator=generator)
    smooth = torch.linspace(0, 255, side).expand(n, channels, side, side)
    return images.from_uint8(((noise + 3 * smooth) / 4).byte())


def by_hand(image, quality, **options):
    array = np.round(255 * image.numpy().astype(float)).astype(np.uint8)
    file = io.BytesIO()
    picture = Image.fromarray(array[0]) if len(array) == 1 else Image.merge(
        "RGB", [Image.fromarray(channel) for channel in array]
    )  # fmt: skip
    picture.save(file, format="jpeg", quality=quality, **options)
    decoded = np.asarray(Image.open(io.BytesIO(file.getvalue())))
    decoded = decoded[None] if decoded.ndim == 2 else np.moveaxis(decoded, 2, 0)
    return torch.from_numpy(decoded / 255)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [1, 30, 75, 90, 95])
@pytest.mark.parametrize("dtype", DTYPES)
def test_jpeg_by_hand(channels, quality, dtype):
    x = pictures(channels=channels).to(dtype)
    got = defenses.jpeg(x, quality)
    wanted = torch.stack([by_hand(image, quality) for image in x])
    assert (got.dtype, got.shape) == (dtype, x.shape)
    assert torch.equal(images.to_uint8(got), images.to_uint8(wanted))
    assert torch.equal(images.validate(got, "round"), got)
    assert (got != x).any()
    if channels == 3:  # chroma is subsampled
        assert torch.equal(
            wanted, torch.stack([by_hand(i, quality, subsampling="4:2:0") for i in x])
        )


def test_jpeg_loses_more_at_lower_quality():
    x = pictures()
    losses = [float((defenses.jpeg(x, q) - x).square().mean()) for q in (10, 30, 50, 70, 90)]
    assert losses == sorted(losses, reverse=True)


def test_jpeg_leaves_flat_grey_alone():
    x = (
        images.from_uint8(torch.tensor([0, 7, 128, 255]).byte())
        .reshape(4, 1, 1, 1)
        .expand(4, 1, 9, 8)
    )
    assert torch.equal(defenses.jpeg(x, 90), x)


#: levels in, levels out
TABLE = {
    1: {0: 0, 127: 0, 128: 255, 255: 255},
    2: {0: 0, 42: 0, 43: 85, 127: 85, 128: 170, 212: 170, 213: 255, 255: 255},
    3: {18: 0, 19: 36, 54: 36, 55: 73, 91: 73, 92: 109, 255: 255},
    4: {8: 0, 9: 17, 25: 17, 26: 34, 246: 238, 247: 255},
    7: {0: 0, 1: 0, 2: 2, 3: 2, 127: 126, 128: 129, 252: 253, 254: 255},
    8: {level: level for level in range(256)},
}


@pytest.mark.parametrize("bits", TABLE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bit_depth_by_table(bits, dtype):
    given, wanted = (
        torch.tensor(list(side)).byte() for side in zip(*TABLE[bits].items(), strict=True)
    )
    x = images.from_uint8(given, dtype).reshape(1, 1, 1, -1)
    got = defenses.bit_depth(x, bits)
    assert got.dtype == dtype
    assert torch.equal(images.to_uint8(got).flatten(), wanted)
    assert torch.equal(images.validate(got, "round"), got)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.integers(0, 99), st.sampled_from(DTYPES))
def test_bit_depth_twice_is_once(bits, seed, dtype):
    x = pictures(1, seed=seed).to(dtype)
    once = defenses.bit_depth(x, bits)
    assert torch.equal(defenses.bit_depth(once, bits), once)
    assert len(once.unique()) <= 2**bits
    assert float((once - x).abs().max()) <= 0.5 / (2**bits - 1) + 0.5 / 255 + 1e-6


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "defence", [lambda x: defenses.jpeg(x, 50), lambda x: defenses.bit_depth(x, 3)]
)
def test_each_image_as_if_alone(channels, defence):
    x = pictures(channels=channels)
    before = x.clone()
    assert torch.equal(defence(x), torch.cat([defence(image[None]) for image in x]))
    assert torch.equal(x, before)


@pytest.mark.parametrize("quality", [0, 96, 100, -1, 50.5, "50", True])
def test_bad_quality(quality):
    with pytest.raises(ValueError, match="quality: expected a whole number from 1 to 95, got"):
        defenses.jpeg(pictures(), quality)


@pytest.mark.parametrize("bits", [0, 9, 2.5, None])
def test_bad_bits(bits):
    with pytest.raises(ValueError, match="bits: expected a whole number from 1 to 8, got"):
        defenses.bit_depth(pictures(), bits)


@pytest.mark.parametrize("defence", [defenses.jpeg, defenses.bit_depth])
def test_bad_images(defence):
    with pytest.raises(ValueError, match=r"images: expected values in \[0, 1\]"):
        defence(pictures() * 255, 5)
