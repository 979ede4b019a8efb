"""The one-step attacks: H against automatic differentiation, δ* against a numerical maximiser."""

import math

import numpy as np
import piq
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from humimp import attacks, images
from humimp.attacks._ssim import GaussianWindows, GlobalWindow

from .conftest import network, pictures

WINDOWS = ["global", "inside", "black"]


def picture(side=13, channels=1, seed=0):
    """Return a smooth image with a black part, where H is hardest to invert."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, channels, side, side, generator=generator, dtype=torch.float64)
    blurred = F.avg_pool2d(F.pad(noise, (1, 1, 1, 1), mode="reflect"), 3, 1)
    blurred[..., : side // 3] = 0
    return blurred


def operator(x, window):
    return GlobalWindow(x) if window == "global" else GaussianWindows(x, window)


def similarity(x, y, window):
    """SSIM written by others, or for one window straight from its definition: shape (N,)."""
    if window == "black":
        x, y = F.pad(x, (5, 5, 5, 5)), F.pad(y, (5, 5, 5, 5))
    if window != "global":
        return piq.ssim(x, y, reduction="none", downsample=False)
    values = []
    for a, b in zip(x.flatten(0, 1), y.flatten(0, 1), strict=True):
        mu, nu = a.mean(), b.mean()
        both = ((a - mu) * (b - nu)).mean()
        va, vb = a.var(correction=0), b.var(correction=0)
        light = (2 * mu * nu + 1e-4) / (mu**2 + nu**2 + 1e-4)
        values.append(light * (2 * both + 9e-4) / (va + vb + 9e-4))
    return torch.stack(values).reshape(len(x), -1).mean(1)


def dense(h, x):
    """Write H out as a matrix, column by column."""
    units = torch.eye(x.numel(), dtype=torch.float64).reshape(-1, *x.shape[1:])
    return torch.stack([h.apply(one[None]).flatten() for one in units], 1)


def hessian(x, window):
    """Return the Hessian of 1 − SSIM at δ = 0 by automatic differentiation."""

    def cost(flat):
        return 1 - similarity(x, x + flat.reshape(x.shape), window)[0]

    return torch.autograd.functional.hessian(cost, torch.zeros(x.numel(), dtype=torch.float64))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("channels", [1, 3])
def test_h_is_the_hessian_of_ssim(window, channels):
    x = picture(12, channels)
    wanted, got = hessian(x, window), dense(operator(x, window), x)
    assert torch.allclose(got, wanted, rtol=0, atol=1e-9 * float(wanted.abs().max()))
    assert torch.equal(got, got.T) or torch.allclose(got, got.T, rtol=1e-12)
    assert float(torch.linalg.eigvalsh(got).min()) > 0


@pytest.mark.parametrize("window", WINDOWS)
def test_h_of_an_image_in_single_precision_is_that_in_double(window):
    x = picture(12, 3).float()
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    single, double = (operator(one, window) for one in (x, x.double()))
    assert torch.equal(single.apply(g), double.apply(g))
    assert torch.equal(single.solve(g), double.solve(g))


@pytest.mark.parametrize("window", ["inside", "black"])
def test_the_diagonal(window):
    x = picture(12, 3)
    h = operator(x, window)
    assert torch.allclose(h.diagonal.flatten(), dense(h, x).diagonal(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("window", WINDOWS)
def test_solve_against_a_dense_solver(window):
    x = picture(14)
    h = operator(x, window)
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted = torch.linalg.solve(dense(h, x), g.flatten()).reshape(x.shape)
    solved = h.solve(g) if window == "global" else h.solve(g, 1e-12)
    assert torch.allclose(solved, wanted, rtol=0, atol=1e-8 * float(wanted.abs().max()))


@pytest.mark.parametrize("window", ["inside", "black"])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-6])
def test_each_image_stops_by_itself(window, tolerance):
    x = torch.cat([picture(16, seed=1), torch.zeros(1, 1, 16, 16), picture(16, seed=2)])
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    g[2] *= 1e-20
    h = operator(x, window)
    together = h.solve(g, tolerance)
    residual = (g - h.apply(together)).flatten(1).norm(dim=1) / g.flatten(1).norm(dim=1)
    assert (residual <= tolerance * (1 + 1e-6)).all()
    assert (residual > tolerance * 1e-4).all()  # it stops about there, not at the very end
    for i in range(3):
        alone = operator(x[i, None], window).solve(g[i, None], tolerance)
        assert torch.allclose(together[i, None], alone, rtol=1e-9, atol=0)


def test_an_unreachable_tolerance_is_named():
    h, g = operator(picture(), "inside"), torch.ones(1, 1, 13, 13, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"tolerance: expected a finite number ≥ 1e-14, got 1e-30"):
        h.solve(g, 1e-30)
    # a preconditioner that does harm
    h.diagonal = torch.logspace(-9, 9, 169, dtype=torch.float64).reshape(g.shape)
    with pytest.raises(ValueError, match=r"tolerance: conjugate gradients did not reach 1e-08"):
        h.solve(g)


def test_no_gradient_no_direction():
    zero = torch.zeros(1, 1, 13, 13, dtype=torch.float64)
    for window in WINDOWS:
        assert torch.equal(operator(picture(), window).solve(zero), zero)


@pytest.mark.parametrize("window", WINDOWS)
def test_the_step_maximises_the_quadratic(window):
    """L-BFGS on gᵀδ − λ/2 δᵀHδ, with H from automatic differentiation."""
    x, lam = picture(11, seed=3), 7.0
    matrix = hessian(x, window).numpy()
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    # δ = D u with D from the diagonal of H: the same problem, in units that suit the search
    units, flat = matrix.diagonal() ** -0.5, g.flatten().numpy()
    best = minimize(
        lambda u: (lam / 2 * (units * u) @ matrix @ (units * u) - flat @ (units * u),
                   units * (lam * matrix @ (units * u) - flat)),
        np.zeros_like(flat), jac=True, method="L-BFGS-B",
        options={"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-9, "maxcor": 50},
    )  # fmt: skip
    found = (operator(x, window).solve(g) / lam).flatten().numpy() / units
    assert np.abs(found - best.x).max() < 1e-4 * np.abs(best.x).max()


@pytest.mark.parametrize("window", WINDOWS)
def test_for_a_high_price_the_step_maximises_the_true_objective(window):
    """Eq. (4) itself, with the loss of a real network and SSIM as it is."""
    x = 0.2 + 0.6 * picture(11, seed=4)
    model = network(channels=1, side=11)
    y = model(x).argmax(1)

    def objective(d, lam):
        gain = F.cross_entropy(model(x + d), y) - F.cross_entropy(model(x), y)
        return gain - lam * (1 - similarity(x, x + d, window)[0])

    start = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(model(start), y), start)
    errors = []
    for lam in (100.0, 1000.0):
        step = operator(x, window).solve(g) / lam
        zero = torch.zeros_like(x, requires_grad=True)
        scale = operator(x, window).diagonal.rsqrt() if window != "global" else torch.ones_like(x)
        low, high = ((edge - x) / scale for edge in (0.001, 0.999))  # piq takes nothing beyond
        bounds = np.stack([low.flatten(), high.flatten()], 1)

        def negative(u, lam=lam, zero=zero, scale=scale):
            d = (torch.from_numpy(u).reshape(x.shape) * scale).requires_grad_()
            value = objective(d, lam)
            (slope,) = torch.autograd.grad(value, d)
            return -lam * value.item(), -lam * (slope * scale).flatten().numpy()

        best = minimize(
            negative, np.zeros(x.numel()), jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": 3000, "ftol": 1e-16, "gtol": 1e-9, "maxcor": 30},
        )  # fmt: skip
        found = torch.from_numpy(best.x).reshape(x.shape) * scale
        assert ((x + found > 0.01) & (x + found < 0.99)).all()
        errors.append(float((found - step).norm() / found.norm()))
    assert errors[0] < 0.05
    assert errors[1] < 0.2 * errors[0]  # the rest of the expansion falls with the step


# ---- the attacks


def digit(seed=0, n=3, dtype=torch.float64, channels=1):
    """Return images like digits: strokes on black, 8 bit."""
    x = torch.zeros(n, channels, 15, 15)
    generator = torch.Generator().manual_seed(seed)
    for image in x:
        row, column = torch.randint(3, 11, (2,), generator=generator).tolist()
        image[:, row : row + 2, 3:12] = 0.9
        image[:, 3:12, column : column + 2] = 1.0
        image[:, row + 2, 3:12] = 0.3
    return images.validate(x.to(dtype), "round")


ATTACKS = {
    "pgd": attacks.pgd_step,
    "black": attacks.ssim_step,
    "inside": lambda *args, **kw: attacks.ssim_step(*args, border="inside", **kw),
    "global": lambda *args, **kw: attacks.ssim_step(*args, window="global", **kw),
}


def models(dtype=torch.float64, channels=1):
    return network(channels=channels, side=15, dtype=dtype)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("l2", [0.05, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_distance_is_met_after_clipping(name, l2, dtype, channels):
    x = digit(dtype=dtype, channels=channels)
    model, y = models(dtype, channels), torch.tensor([0, 1, 2])
    exact = ATTACKS[name](model, x, y, l2=l2, validate="none")
    assert (exact.dtype, exact.shape) == (dtype, x.shape)
    assert 0 <= exact.min() <= exact.max() <= 1
    distance = (exact - x).double().flatten(1).norm(dim=1)
    assert torch.allclose(distance, torch.tensor(l2).double(), rtol=1e-5)
    rounded = ATTACKS[name](model, x, y, l2=l2)
    assert torch.equal(images.validate(rounded, "round"), rounded)
    distance = (rounded - x).double().flatten(1).norm(dim=1)
    step = 1 / 255 if l2 < 0.1 else 0.01  # few pixels move by whole levels at a short distance
    assert torch.allclose(distance, torch.tensor(l2).double(), rtol=0, atol=step)


@pytest.mark.parametrize("reading", ["round", "truncate"])
def test_no_scale_meets_the_distance_better(reading):
    """Against a fine search through all scales."""
    x, y, l2 = digit(), torch.tensor([0, 1, 2]), 0.8
    model = models()
    got = attacks.pgd_step(model, x, y, l2=l2, validate=reading)
    start = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(model(start), y, reduction="sum"), start)
    off = ((got - x).flatten(1).norm(dim=1) - l2).abs()
    for i in range(3):
        tried = images.validate(
            x[i] + torch.logspace(-3, 3, 6000)[:, None, None, None] * g[i], reading
        )
        best = ((tried - x[i]).flatten(1).norm(dim=1) - l2).abs().min()
        assert off[i] <= best + 1e-12


@pytest.mark.parametrize("name", ATTACKS)
def test_clipped_the_direction_stays(name):
    x, y = 0.3 + 0.4 * digit(), torch.tensor([0, 1, 2])
    model = models()
    moved = ATTACKS[name](model, x, y, l2=0.02, validate="none") - x
    start = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(model(start), y, reduction="sum"), start)
    if name != "pgd":
        g = operator(x, name).solve(g)
    wanted = 0.02 * g / g.flatten(1).norm(dim=1)[:, None, None, None]
    assert torch.allclose(moved, wanted, rtol=0, atol=1e-9)


def test_at_equal_cost_no_direction_gains_more():
    """What the one-step solution is optimal for: gain per cost, not gain per distance."""
    x, y, model = picture(15, seed=5), torch.tensor([0]), models()
    start = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(model(start), y), start)
    h = operator(x, "black")

    def gain(d):
        return float((g * d).sum() / (d * h.apply(d)).sum().sqrt())

    best = gain(h.solve(g))
    generator = torch.Generator().manual_seed(0)
    others = [torch.randn(x.shape, generator=generator, dtype=torch.float64) for _ in range(20)]
    assert all(gain(d) < best for d in [g, operator(x, "global").solve(g), *others])
    assert all(gain(h.solve(g) + 0.1 * d) < best for d in others)


def test_a_distance_out_of_reach_ends_at_the_corner():
    x, y = digit(), torch.tensor([0, 1, 2])
    got = attacks.pgd_step(models(), x, y, l2=100.0)
    start = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(models()(start), y, reduction="sum"), start)
    assert torch.equal(got, torch.where(g == 0, x, (g > 0).double()))


def test_without_gradient_the_image_stays():
    def model(x):
        logits = network(channels=1, side=15)(x)
        return torch.cat([0 * logits[:1] + torch.tensor([1.0, 2, 3, 4]), logits[1:]])

    x, y = digit(), torch.tensor([0, 1, 2])
    for attack in ATTACKS.values():
        got = attack(model, x, y, l2=0.5)
        assert torch.equal(got[0], x[0])
        assert torch.isfinite(got).all()
        assert (got[1:] != x[1:]).any()


@settings(max_examples=15, deadline=None)
@given(
    st.permutations(range(4)),
    st.integers(0, 3),
    st.sampled_from(sorted(ATTACKS)),
    st.integers(0, 9),
)
def test_each_image_is_attacked_as_if_alone(order, which, name, seed):
    x, y, model = digit(seed, 4), torch.arange(4), models()
    together = ATTACKS[name](model, x, y, l2=0.7, validate="none")
    permuted = ATTACKS[name](model, x[order], y[order], l2=0.7, validate="none")
    alone = ATTACKS[name](model, x[which, None], y[which, None], l2=0.7, validate="none")
    assert torch.allclose(permuted, together[order], rtol=0, atol=1e-9)
    assert torch.allclose(alone, together[which, None], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_loss_rises_or_the_targets_falls(name):
    x, y, model = digit(), torch.tensor([0, 1, 2]), models()

    def loss(images):
        return F.cross_entropy(model(images), y, reduction="none")

    assert (loss(ATTACKS[name](model, x, y, l2=0.3)) > loss(x)).all()
    assert (loss(ATTACKS[name](model, x, y, l2=0.3, targeted=True)) < loss(x)).all()


def test_a_sure_classifier_in_single_precision():
    """Its gradient is 10⁻³⁰, and 0 would be its square."""
    x, weight = digit(dtype=torch.float32), torch.randn(15, 15)

    def model(images):
        value = 1e-30 * (images[:, 0] * weight).sum((1, 2))
        return torch.stack([value, -value - 1], 1)

    for attack in ATTACKS.values():
        got = attack(model, x, torch.zeros(3, dtype=torch.int64), l2=1.0)
        assert torch.allclose((got - x).flatten(1).norm(dim=1), torch.tensor(1.0), atol=0.01)


@pytest.mark.parametrize("name", ["pgd_step", "ssim_step"])
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model": network(channels=1).train()}, r"model: it is in train mode"),
        ({"model": lambda x: x.flatten(1).softmax(1)}, r"model: it seems to return probabilities"),
        ({"images": digit() * 255}, r"images: expected values in .*divide by 255"),
        ({"labels": torch.tensor([0, 1])}, r"labels: expected one for each of the 3 images"),
        ({"labels": torch.tensor([0, 1, 9])}, r"labels: expected labels below 4"),
        ({"l2": 0}, r"l2: expected a finite number above 0, got 0"),
        ({"l2": math.inf}, r"l2: expected a finite number above 0, got inf"),
        ({"validate": "floor"}, r"validate: expected one of 'truncate', 'round', 'none'"),
    ],
)
def test_bad_input_is_named(name, change, match):
    given = {"model": models(), "images": digit(), "labels": torch.tensor([0, 1, 2]), "l2": 1.0}
    with pytest.raises(ValueError, match=match):
        getattr(attacks, name)(**(given | change))


def test_bad_windows_are_named():
    model, x, y = network(channels=1), pictures(2, channels=1), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"window: expected one of 'gaussian', 'global'"):
        attacks.ssim_step(model, x, y, l2=1.0, window="uniform")
    with pytest.raises(ValueError, match=r"border: expected one of 'black', 'inside', got 'zero'"):
        attacks.ssim_step(model, x, y, l2=1.0, border="zero")
    with pytest.raises(
        ValueError, match=r"11 × 11 pixels do not fit into 6 × 6 pixels; use border"
    ):
        attacks.ssim_step(model, x, y, l2=1.0, border="inside")
    assert attacks.ssim_step(model, x, y, l2=0.5).shape == x.shape


@pytest.mark.parametrize("name", ATTACKS)
def test_the_model_is_left_as_it_is(name):
    model, x = models(), digit()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        ATTACKS[name](model, x, torch.tensor([0, 1, 2]), l2=0.5)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not model.training
