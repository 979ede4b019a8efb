"""Levels and files: what is 8 bit stays what it is."""

import errno
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torchvision import transforms

from humimp import images

DTYPES = [torch.float32, torch.float64]
LEVELS = torch.arange(256, dtype=torch.uint8)


def arrays(low=-0.5, high=1.5):
    return st.sampled_from([np.float32, np.float64]).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=1, max_dims=3, max_side=6),
            elements=st.floats(low, high, width=32),
        )
    ).map(torch.from_numpy)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("how", ["truncate", "round", "none"])
def test_the_256_levels_are_fixed(dtype, how):
    exact = torch.tensor([level / 255 for level in range(256)], dtype=torch.float64).to(dtype)
    assert torch.equal(images.from_uint8(LEVELS, dtype), exact)
    assert torch.equal(images.validate(exact, how), exact)
    assert torch.equal(images.to_uint8(exact), LEVELS)


@pytest.mark.parametrize("stored", DTYPES)
@pytest.mark.parametrize("seen", DTYPES)
@pytest.mark.parametrize("how", ["truncate", "round"])
def test_the_levels_survive_a_change_of_precision(stored, seen, how):
    """Floor has no tolerance: this is where it would show that it needs one."""
    levels = images.from_uint8(LEVELS, stored).to(seen)
    assert torch.equal(images.validate(levels, how), images.from_uint8(LEVELS, seen))


def test_truncate_counts_the_smallest_step_down():
    """As in the paper's reading: a tolerance would stall steps below it."""
    exact = images.from_uint8(LEVELS[1:], torch.float64)
    assert torch.equal(
        images.to_uint8(images.validate(exact - 1e-12, "truncate")).int(), LEVELS[1:].int() - 1
    )
    assert torch.equal(images.validate(exact + 1e-12, "truncate"), exact)


@given(arrays(), st.sampled_from(["truncate", "round", "none"]))
def test_validating_twice_is_validating_once(x, how):
    once = images.validate(x, how)
    assert once.dtype == x.dtype
    assert torch.equal(images.validate(once, how), once)
    assert 0 <= once.min() <= once.max() <= 1


@given(arrays())
def test_truncate_and_round_against_exact_arithmetic(x):
    exact = np.clip(x.numpy().astype(np.longdouble), 0, 1) * 255
    down = images.to_uint8(images.validate(x, "truncate")).numpy()
    # where the exact value lies within rounding of a level, either side is right
    clear = np.abs(exact - np.round(exact)) > 2**-14
    assert (down == np.floor(exact))[clear].all()
    near = images.to_uint8(images.validate(x, "round")).numpy()
    assert (np.abs(near - exact) <= 0.5 + 2**-15).all()


@given(arrays(), st.integers(1, 50))
def test_truncate_takes_a_level_for_any_real_step_down(x, parts):
    """The side effect measured in facts.md: each negative step costs a whole level."""
    start = images.validate(x, "round").clamp(1 / 255, 1)
    start = images.validate(start, "round")
    lower = images.validate(start - 1e-3 * parts / 255, "truncate")
    assert torch.equal(images.to_uint8(lower).int(), images.to_uint8(start).int() - 1)
    assert torch.equal(images.validate(start + 1e-3 * parts / 255, "truncate"), start)


def test_an_unknown_reading_is_named():
    with pytest.raises(ValueError, match=r"validate: expected one of 'truncate', .*got 'floor'"):
        images.validate(torch.zeros(1), "floor")


# ---- files


def picture(channels, height=13, width=17, seed=0):
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(0, 256, (channels, height, width), generator=generator)
    return images.from_uint8(levels.byte())


@pytest.mark.parametrize(("channels", "suffix"), [(1, "png"), (3, "png"), (3, "webp"), (3, "PNG")])
@pytest.mark.parametrize("dtype", DTYPES)
def test_saved_images_come_back_bit_for_bit(tmp_path, channels, suffix, dtype):
    image = picture(channels)
    images.save(image.to(dtype), tmp_path / f"a.{suffix}")
    assert torch.equal(images.load(tmp_path / f"a.{suffix}"), image)
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{suffix}"]


@given(
    hnp.arrays(np.uint8, st.tuples(st.sampled_from([1, 3]), st.integers(1, 5), st.integers(1, 5)))
)
def test_any_8_bit_image_survives(tmp_path_factory, levels):
    path = tmp_path_factory.getbasetemp() / "any.png"
    images.save(images.from_uint8(torch.from_numpy(levels)), path)
    assert np.array_equal(images.to_uint8(images.load(path)).numpy(), levels)


def test_saving_refuses_what_8_bit_cannot_hold(tmp_path):
    image = picture(3)
    with pytest.raises(
        ValueError, match=r"multiples of 1/255 .*a.png, got values up to 0.01.*round"
    ):
        images.save((image + 0.01 / 255).clamp(0, 1), tmp_path / "a.png")
    with pytest.raises(ValueError, match="image: expected values in"):
        images.save(image * 255, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"expected shape \(C, H, W\) for .*got \(1, 3, 13, 17\)"):
        images.save(image[None], tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a.jpg: expected a name ending in .png or .webp"):
        images.save(image, tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"WebP has no grayscale"):
        images.save(image[:1], tmp_path / "a.webp")
    with pytest.raises(FileNotFoundError, match=r"no such folder .*nowhere"):
        images.save(image, tmp_path / "nowhere" / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failed_save_leaves_the_earlier_file(tmp_path, monkeypatch, failing, code):
    path = tmp_path / "a.png"
    images.save(picture(3), path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.fsync" if failing == "fsync" else "pathlib.Path.replace", fail)
    match = rf"cannot write \({os.strerror(code)}\).*intact: make room.*a\.png"
    with pytest.raises(OSError, match=match) as error:
        images.save(picture(3, seed=1), path)
    assert error.value.errno == code
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["a.png"]


def test_a_full_disk(tmp_path):
    """The real error, where the system has a device that is always full."""
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("no /dev/full here")
    (tmp_path / f".a.png.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device.*make room"):
        images.save(picture(3), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "bmp"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.3, 0.9])
def test_files_cut_short_are_named(tmp_path, kind, keep):
    path = tmp_path / f"cut.{kind}"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(
        ValueError, match=rf"cut.{kind}: not a readable image, or damaged or cut short"
    ):
        images.load(path)


@pytest.mark.parametrize("where", [0.01, 0.3, 0.6, 0.9])
def test_a_flipped_bit_in_a_png_is_noticed(tmp_path, where):
    path = tmp_path / "flipped.png"
    images.save(picture(3, 40, 40), path)
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 16
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"flipped.png: not a readable image"):
        images.load(path)


@pytest.mark.parametrize(
    "data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"<html></html>" * 99]
)
def test_other_files_are_named(tmp_path, data):
    (tmp_path / "page.png").write_bytes(data)
    with pytest.raises(ValueError, match=r"page.png: not a readable image"):
        images.load(tmp_path / "page.png")


def test_missing_files_and_deep_images(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.png"):
        images.load(tmp_path / "none.png")
    Image.fromarray(np.full((4, 4), 60000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep.png: expected an image of 8 bit .*'I;16'"):
        images.load(tmp_path / "deep.png")


def png(depth, colour, channels):
    """Write a PNG of 4 x 4 pixels by hand: Pillow writes none of 16 bit with colours or alpha."""

    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", 4, 4, depth, colour, 0, 0, 0)
    rows = (b"\0" + bytes(range(4 * channels * depth // 8))) * 4
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_a_png_of_16_bit_is_refused_with_colours_or_alpha_too(tmp_path, colour, channels):
    path = tmp_path / "deep.png"
    path.write_bytes(png(8, colour, channels))
    assert images.load(path).shape[1:] == (4, 4)
    path.write_bytes(png(16, colour, channels))
    with pytest.raises(ValueError, match=r"deep.png: expected .* 8 bit per .*, got a PNG of 16; c"):
        images.load(path)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_modes_load_as_torchvision_loads_them(tmp_path, mode):
    rgb = Image.fromarray((picture(3).permute(1, 2, 0) * 255).round().byte().numpy())
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    rgb.convert(mode).save(path)
    with Image.open(path) as file:
        wanted = transforms.ToTensor()(file.convert("RGB"))
    got = images.load(path)
    assert got.shape[0] == (1 if mode in ("1", "L", "LA") else 3)
    assert torch.equal(got.expand(3, -1, -1), wanted)


@pytest.mark.parametrize(("height", "width"), [(50, 80), (81, 50), (64, 64), (33, 99), (224, 301)])
@pytest.mark.parametrize(("size", "shorter"), [(28, 32), (37, 42), (20, 20), (224, 256)])
def test_size_as_torchvision_evaluates(tmp_path, height, width, size, shorter):
    images.save(picture(3, height, width), tmp_path / "a.png")
    steps = [transforms.Resize(shorter), transforms.CenterCrop(size), transforms.ToTensor()]
    with Image.open(tmp_path / "a.png") as file:
        wanted = transforms.Compose(steps)(file)
    got = images.load(tmp_path / "a.png", size, shorter=shorter)
    assert torch.equal(got, wanted)
    if shorter > size:
        assert torch.equal(images.load(tmp_path / "a.png", size), got)


def test_bad_sizes(tmp_path):
    images.save(picture(3), tmp_path / "a.png")
    with pytest.raises(ValueError, match="size: expected a whole number ≥ 1, got 0"):
        images.load(tmp_path / "a.png", 0)
    with pytest.raises(ValueError, match="shorter: expected a whole number ≥ 28, got 20"):
        images.load(tmp_path / "a.png", 28, shorter=20)
