import numpy as np
import pytest

from training import distortions

ALL = [*distortions.TRAINING, *distortions.HELD_OUT]


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(5)
    rows, columns = np.meshgrid(np.arange(96), np.arange(96), indexing="ij")
    smooth = 0.5 + 0.3 * np.stack(
        [np.sin(rows / 9), np.cos(columns / 7), np.sin((rows + columns) / 15)], axis=-1
    )
    return distortions.to_bytes(smooth + 0.05 * rng.standard_normal(smooth.shape)) / np.float32(255)


@pytest.fixture(scope="module")
def attacks(image):
    rng = np.random.default_rng(6)
    down = -(rng.random(image.shape) < 0.5).astype(np.float32) / 255
    return distortions.Attacks(rng.standard_normal(image.shape), down, 0.5 * down)


def distort(image, name, level, attacks, seed=0):
    return distortions.distort(image, name, level, np.random.default_rng(seed), attacks)


@pytest.mark.parametrize("name", ALL)
def test_result_is_an_8_bit_image_and_the_same_for_the_same_chance(image, attacks, name):
    result = distort(image, name, 0.6, attacks)
    assert result.shape == image.shape
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result * 255, np.round(result * 255))
    assert result.min() >= 0
    assert result.max() <= 1
    np.testing.assert_array_equal(result, distort(image, name, 0.6, attacks))


@pytest.mark.parametrize("name", ALL)
def test_stronger_is_farther_from_the_image(image, attacks, name):
    far = [
        np.mean(
            [
                np.mean((distort(image, name, level, attacks, seed) - image) ** 2)
                for seed in range(4)
            ]
        )
        for level in (0.0, 0.5, 1.0)
    ]
    assert far[0] < far[1] < far[2]
    assert far[0] < (11 / 255) ** 2  # JPEG and WebP change a noisy image most


def test_no_type_held_out_is_trained_on():
    assert not distortions.TRAINING.keys() & distortions.HELD_OUT.keys()
    assert len(ALL) == len(set(ALL)) == 37


def test_luma_stays_under_chroma_noise(image, attacks):
    rng = np.random.default_rng(0)
    change = distortions.chroma_noise(image, 0.5, rng, attacks) - image
    luma = change @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma).max() < 1e-6 < np.abs(change).max()


@pytest.mark.parametrize(("power", "low"), [(-1, True), (1, False)])
def test_spectra(power, low):
    noise = distortions._spectrum((64, 64, 3), power, np.random.default_rng(0))
    assert noise.std((0, 1)) == pytest.approx(1)
    energy = np.abs(np.fft.fft2(noise, axes=(0, 1))) ** 2
    near, far = energy[1:8, 0].sum(), energy[24:32, 0].sum()
    assert (near > far) == low


def test_two_in_a_row_are_one_after_the_other(image, attacks):
    rng = np.random.default_rng(3)
    first = distortions.distort(image, "jpeg", 0.35, rng, attacks)
    wanted = distortions.distort(first, "white_noise", 0.35, rng, attacks)
    np.testing.assert_array_equal(distort(image, "jpeg+white_noise", 0.5, attacks, seed=3), wanted)


def test_what_is_not_allowed(image, attacks):
    with pytest.raises(
        ValueError, match=r"no distortion 'fog'; there are \['block_swap', 'blotches'"
    ):
        distort(image, "fog", 0.5, attacks)
    with pytest.raises(ValueError, match=r"level is 1\.5; it must be between 0"):
        distort(image, "jpeg", 1.5, attacks)
