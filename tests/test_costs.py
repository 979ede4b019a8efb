"""Ground costs: against slow literal versions, at the reference, alone and in a batch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d
from torch import Tensor

from humimp import costs, datasets, distances

COSTS = [costs.SSIM(), costs.SSIM("global"), costs.HaarPSI()]
C1, C2 = 0.01**2, 0.03**2


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    return datasets.photographs(3, 64).images


def near(images: Tensor, amount: float = 0.05, seed: int = 0) -> Tensor:
    """Images with noise, as far as they stay valid."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    return (images + amount * noise.to(images)).clamp(0, 1)


# --- literal versions, after the papers ---


def literal_ssim(x: np.ndarray, y: np.ndarray, window: np.ndarray) -> float:
    """One channel: the mean of SSIM over every place of the window, by the formula."""
    height, width = window.shape
    values = []
    for i in range(x.shape[0] - height + 1):
        for j in range(x.shape[1] - width + 1):
            a, b = (image[i : i + height, j : j + width] for image in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            variance_a = (window * (a - mean_a) ** 2).sum()
            variance_b = (window * (b - mean_b) ** 2).sum()
            covariance = (window * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + C1)
                * (2 * covariance + C2)
                / ((mean_a**2 + mean_b**2 + C1) * (variance_a + variance_b + C2))
            )
    return float(np.mean(values))


def gaussian_window() -> np.ndarray:
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line)
    return window / window.sum()


def literal_haarpsi(x: np.ndarray, y: np.ndarray) -> float:
    """HaarPSI as Reisenhofer et al. (2018) define it, for images (3, H, W) of even sides."""
    c, alpha = 30.0, 4.2
    yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])

    def channels(image: np.ndarray) -> np.ndarray:
        _, height, width = image.shape
        colours = np.tensordot(yiq, image * 255, 1)
        return colours.reshape(3, height // 2, 2, width // 2, 2).mean((2, 4))

    def same(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        start = len(kernel) // 2
        full = convolve2d(image, kernel)
        return np.abs(full[start:, start:][: image.shape[0], : image.shape[1]])

    def haar(scale: int) -> np.ndarray:
        kernel = np.ones((2**scale, 2**scale)) / 2**scale
        kernel[: 2**scale // 2] *= -1
        return kernel

    def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (2 * a * b + c) / (a**2 + b**2 + c)

    one, other = channels(x), channels(y)
    maps, weights = [], []
    for turn in (lambda kernel: kernel, np.transpose):
        pairs = [
            [same(image[0], turn(haar(scale))) for image in (one, other)] for scale in (1, 2, 3)
        ]
        maps.append((similarity(*pairs[0]) + similarity(*pairs[1])) / 2)
        weights.append(np.maximum(*pairs[2]))
    mean = np.ones((2, 2)) / 4
    colour = [similarity(same(one[k], mean), same(other[k], mean)) for k in (1, 2)]
    maps.append(sum(colour) / 2)
    weights.append(sum(weights) / 2)
    logistic = 1 / (1 + np.exp(-alpha * np.array(maps)))
    average = (logistic * weights).sum() / np.sum(weights)
    return float((np.log(average / (1 - average)) / alpha) ** 2)


def test_ssim_is_the_formula_at_every_place():
    generator = np.random.default_rng(0)
    x = generator.random((1, 3, 13, 14))
    y = np.clip(x + 0.1 * generator.normal(size=x.shape), 0, 1)
    pair = (torch.from_numpy(x), torch.from_numpy(y))
    local = np.mean(
        [literal_ssim(*channels, gaussian_window()) for channels in zip(x[0], y[0], strict=True)]
    )
    assert costs.SSIM()(*pair).item() == pytest.approx(1 - local, rel=1e-9)
    whole = np.full((13, 14), 1 / (13 * 14))
    everywhere = np.mean(
        [literal_ssim(*channels, whole) for channels in zip(x[0], y[0], strict=True)]
    )
    assert costs.SSIM("global")(*pair).item() == pytest.approx(1 - everywhere, rel=1e-9)


def test_ssim_does_not_shrink_large_images():
    """With a period of two pixels, averaging pairs of pixels would leave a flat image."""
    stripes = (torch.arange(400) % 2).float().expand(1, 1, 400, 400)
    assert costs.SSIM()(stripes, 1 - stripes).item() > 1.9


def test_haarpsi_is_the_formula(photographs):
    x = photographs.double()
    y = near(x)
    expected = [1 - literal_haarpsi(*pair) for pair in zip(x.numpy(), y.numpy(), strict=True)]
    assert min(expected) > 0.01
    # the coefficients of YIQ are known to three digits
    assert costs.HaarPSI()(x, y).numpy() == pytest.approx(expected, rel=2e-3)


# --- at the reference ---


@pytest.mark.parametrize("cost", COSTS, ids=repr)
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("which", ["photographs", "digits"])
def test_value_and_gradient_vanish_at_the_reference(cost, double, which, photographs):
    reference = photographs if which == "photographs" else datasets.digits(n=10).images
    reference = reference.double() if double else reference
    images = reference.clone().requires_grad_()
    values = cost(reference, images)
    assert values.shape == (len(reference),)
    assert values.dtype == reference.dtype
    near_zero = 1e-5 if isinstance(cost, costs.HaarPSI) else 5e-6
    assert values.abs().max() <= (1e-13 if double else near_zero)
    (gradient,) = torch.autograd.grad(values.sum(), images)
    assert gradient.isfinite().all()
    away = near(reference, 0.01).requires_grad_()
    (typical,) = torch.autograd.grad(cost(reference, away).sum(), away)
    assert gradient.norm() < (1e-12 if double else 1e-4) * typical.norm()


@pytest.mark.parametrize("cost", COSTS, ids=repr)
def test_flat_images_are_no_exception(cost):
    """Black, grey and white, each at itself; black has no wavelet coefficients at all."""
    reference = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).repeat(1, 3, 16, 16)
    images = reference.clone().requires_grad_()
    values = cost(reference, images)
    (gradient,) = torch.autograd.grad(values.sum(), images)
    assert values.abs().max() < 5e-6
    assert gradient.abs().max() < 1e-5
    lit = reference.clone()
    lit[0, :, 3, 3] = 1 / 255
    assert cost(reference, lit).isfinite().all()
    assert cost(reference, lit)[0] > 0


# --- elsewhere ---


@pytest.mark.parametrize("cost", COSTS, ids=repr)
def test_gradient_is_the_slope(cost):
    """Autograd against differences, where no wavelet coefficient is near 0 or a tie."""
    generator = torch.Generator().manual_seed(1)
    reference = 0.2 + 0.6 * torch.rand(1, 1, 16, 16, generator=generator, dtype=torch.float64)
    images = near(reference, 0.05, 2).clamp(0.1, 0.9).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: cost(reference, x), images, eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("cost", COSTS, ids=repr)
def test_each_image_counts_alone(cost, photographs):
    images = near(photographs).requires_grad_()
    values = cost(photographs, images)
    (gradient,) = torch.autograd.grad(values.sum(), images)
    for i in range(len(images)):
        alone = images[i : i + 1].detach().clone().requires_grad_()
        value = cost(photographs[i : i + 1], alone)
        (slope,) = torch.autograd.grad(value.sum(), alone)
        torch.testing.assert_close(value, values[i : i + 1], atol=1e-5, rtol=0)
        torch.testing.assert_close(slope, gradient[i : i + 1], atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("cost", COSTS, ids=repr)
@given(seed=st.integers(0, 2**16), channels=st.sampled_from([1, 3]))
def test_costs_are_positive_symmetric_and_grow_with_noise(cost, seed, channels):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(1, channels, 17, 22, generator=generator, dtype=torch.float64)
    values = [cost(x, near(x, amount, seed)).item() for amount in (0.01, 0.05, 0.2)]
    assert 0 < values[0] < values[1] < values[2] <= 2
    assert cost(near(x, 0.2, seed), x).item() == pytest.approx(values[2], rel=1e-9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("cost", COSTS, ids=repr)
def test_the_device_follows_the_images(cost, photographs):
    images = near(photographs)
    there = cost(photographs.cuda(), images.cuda())
    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), cost(photographs, images), atol=1e-4, rtol=0)


# --- bad input ---


@pytest.mark.parametrize("cost", COSTS, ids=repr)
def test_bad_pairs(cost):
    x = torch.zeros(2, 3, 16, 16)
    with pytest.raises(ValueError, match=r"shape of the originals, \(2, 3, 16, 16\), got \(1,"):
        cost(x, x[:1])
    with pytest.raises(ValueError, match="divide by 255"):
        cost(x, x + 255)
    with pytest.raises(ValueError, match="NaN"):
        cost(x, x / 0)


def test_images_too_small():
    x = torch.zeros(1, 1, 15, 10)
    with pytest.raises(ValueError, match="SSIM's window needs at least 11 × 11 pixels, got 15 × 1"):
        costs.SSIM()(x, x)
    with pytest.raises(ValueError, match="wavelet needs at least 16 × 16 pixels, got 15 × 10; use"):
        costs.HaarPSI()(x, x)
    assert costs.SSIM("global")(x, x).item() == 0


def test_unknown_window():
    with pytest.raises(ValueError, match="window: expected one of 'gaussian', 'global', got 'box'"):
        costs.SSIM("box")  # type: ignore[arg-type]


# --- LPIPS ---


@pytest.fixture(scope="module", params=["alex", "vgg"])
def lpips(request) -> costs.LPIPS:
    return costs.LPIPS(request.param)


def test_lpips_is_the_distance(lpips, photographs):
    """Itself compared with its authors' code and golden values in test_distances."""
    images = torch.cat([(photographs * 7).round() / 7, photographs.flip(3)])
    reference = torch.cat([photographs, photographs])
    wanted = distances.LPIPS(lpips.net)(reference, images)
    torch.testing.assert_close(lpips(reference, images), wanted, atol=1e-6, rtol=0)
    golden = {
        "alex": [0.030573, 0.020883, 0.042401, 0.234974, 0.191738, 0.288632],
        "vgg": [0.098598, 0.128775, 0.214059, 0.519820, 0.376255, 0.538347],
    }
    assert lpips(reference, images).numpy() == pytest.approx(golden[lpips.net], abs=1e-4)
    assert repr(lpips) == f"LPIPS(net={lpips.net!r})"


def test_lpips_and_its_gradient_vanish_at_the_reference(lpips, photographs):
    """Also where an image is flat, black or white, and some features are all zero."""
    flat = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).expand(3, 3, 64, 64)
    reference = torch.cat([photographs[:1], flat])
    images = reference.clone().requires_grad_()
    values = lpips(reference, images)
    (gradient,) = torch.autograd.grad(values.sum(), images)
    assert values.abs().max() < 1e-9
    assert gradient.abs().max() < 1e-9
    away = near(reference, 0.01).requires_grad_()
    (gradient,) = torch.autograd.grad(lpips(reference, away).sum(), away)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).norm(dim=1) > 1e-3).all()


def test_features_that_are_zero_everywhere_in_a_place_have_a_finite_gradient():
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0]]).view(2, 2, 1, 1).requires_grad_()
    unit = distances.LPIPSNetwork.normalize(features)
    assert unit.flatten().tolist() == pytest.approx([0, 0, 0.6, 0.8])
    (gradient,) = torch.autograd.grad(unit.sum(), features)
    assert gradient.isfinite().all()


def test_lpips_gradient_is_the_slope():
    """Along a direction, in double precision, against a difference."""
    cost = costs.LPIPS("alex")
    generator = torch.Generator().manual_seed(3)
    reference = torch.rand(1, 3, 32, 32, generator=generator, dtype=torch.float64)
    images = near(reference, 0.05, 2).clamp(0.01, 0.99).requires_grad_()
    direction = torch.randn(images.shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(cost(reference, images).sum(), images)
    step = 1e-7 * direction
    ahead, behind = (cost(reference, images.detach() + sign * step).item() for sign in (1, -1))
    slope = float((gradient * direction).sum())
    assert slope == pytest.approx((ahead - behind) / 2e-7, rel=1e-4)


def test_lpips_from_remembered_references_that_are_dropped(photographs):
    cost = costs.LPIPS("alex")
    images = near(photographs)
    keep = torch.tensor([True, False, True])
    remembered = cost.at(photographs)
    wanted = cost(photographs, images)
    assert torch.equal(remembered(images), wanted)
    torch.testing.assert_close(remembered[keep](images[keep]), wanted[keep], atol=1e-6, rtol=0)
    alone = torch.cat([cost(photographs[i, None], images[i, None]) for i in range(3)])
    torch.testing.assert_close(alone, wanted, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match=r"expected the shape of the references, \(2, 3, 64, 64\)"):
        remembered[keep](images)


def test_lpips_of_grey_and_double(photographs):
    cost = costs.LPIPS("alex")
    x, y = (images[:1].mean(1, keepdim=True) for images in (photographs, near(photographs)))
    value = cost(x, y)
    repeated = cost(x.repeat(1, 3, 1, 1), y.repeat(1, 3, 1, 1))
    torch.testing.assert_close(value, repeated, atol=1e-6, rtol=0)
    double = cost(x.double(), y.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), value, atol=1e-5, rtol=0)


def test_what_lpips_refuses():
    cost, x = costs.LPIPS("alex"), torch.zeros(2, 3, 32, 32)
    with pytest.raises(ValueError, match=r"shape of the originals, \(2, 3, 32, 32\), got \(1,"):
        cost(x, x[:1])
    with pytest.raises(ValueError, match=r"reference: .*divide by 255"):
        cost.at(x + 255)
    with pytest.raises(ValueError, match="LPIPS's network needs at least 32 × 32 pixels, got 31 ×"):
        cost.at(x[:, :, 1:])
    with pytest.raises(ValueError, match="net: expected one of 'alex', 'vgg', got 'squeeze'"):
        costs.LPIPS("squeeze")  # type: ignore[arg-type]
