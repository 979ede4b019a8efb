"""ALMA against its algorithm for one image and a linear classifier with a known boundary."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from humimp import attacks, images
from humimp.attacks.alma import _first_rate

from .conftest import distance, network, pictures

READINGS = ["truncate", "round", "none"]


def squared_l2(reference, x):
    return (x - reference).square().flatten(1).sum(1)


def p2(y, rho, mu):
    """Return the penalty-Lagrangian P2 as Rony et al. (2021) define it."""
    above = mu * y + mu * rho * y**2 + rho**2 * y**3 / 6
    return torch.where(y >= 0, above, mu * y / (1 - rho * y.clamp(max=0)))


def literal(model, x, label, cost, steps, epsilon, alpha, a, reading, targeted):
    """Take the steps of the algorithm for one image, with autograd for P2's derivative."""

    def ratio(logits):
        z = logits.sort(descending=True).values
        others = torch.cat([logits[:label], logits[label + 1 :]]).max()
        gap = others - logits[label] if targeted else logits[label] - others
        scale = z[0] - (z[2] + z[3]) / 2 if targeted else z[0] - z[2]
        return (gap + a) / (scale + 1e-8)

    def shown(image):
        if reading == "truncate":
            return torch.floor(255 * image) / 255
        return torch.round(255 * image) / 255 if reading == "round" else image

    mu = rho = torch.tensor(1.0, dtype=x.dtype)
    rms, buffer = torch.ones_like(x), torch.zeros_like(x)
    best, least, first, last, float_image = x, math.inf, None, None, x
    for i in range(steps + 1):
        z = shown(float_image).clone().requires_grad_()
        y = ratio(model(z[None])[0])
        d = cost(x[None], z[None])[0]
        if i == 0 and y < 0:
            return x
        if i > 0 and (i + 1) % 10 == 0:
            if first is None and not y < 0.95 * last:
                rho = 1.2 * rho
            last = y.detach()
        if i == 0:
            last = y.detach()
        else:
            free = y.detach().requires_grad_()
            (slope,) = torch.autograd.grad(p2(free, rho, mu), free)
            mu = (alpha * mu + (1 - alpha) * slope).clamp(1e-6, 1e12)
        if y < 0:
            first = i if first is None else first
            if d < least:
                best, least = z.detach(), d.item()
        if i == steps:
            return best
        total = p2(y, rho, mu) if i == 0 else d + p2(y, rho, mu)
        (g,) = torch.autograd.grad(total, z)
        if i == 0:
            (eta,) = _first_rate(lambda z: cost(x[None], z), x[None], g[None], epsilon)
        decay = 1.0 if first is None else 0.01 ** ((i - first) / (steps - first))
        rms = alpha * rms + (1 - alpha) * g**2
        buffer = alpha * buffer + g / (rms.sqrt() + 1e-8)
        float_image = (float_image - eta * decay * buffer).clamp(0, 1)
    raise AssertionError


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(
    ("steps", "epsilon", "alpha", "a"), [(32, 1e-2, 0.5, 1e-4), (21, 1e-3, 0.8, 0.1)]
)
def test_against_the_algorithm(setting, reading, targeted, steps, epsilon, alpha, a):
    model, x, y = setting[0], setting[1][2:7], setting[2][2:7]
    if targeted:
        y = (y + 1) % 4
    assert compared(model, x, y, steps, epsilon, alpha, a, reading, targeted) >= 3


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize(("steps", "alpha", "moved"), [(60, 0.9, 5), (120, 0.5, 3)])
def test_against_the_algorithm_where_the_penalty_grows(reading, steps, alpha, moved):
    """First steps so short that ρ grows more than once and, where α is small, μ to its bound."""
    model, x = network(), pictures(8)[2:7]
    y = (model(x).argmax(1) + 1) % 4
    assert compared(model, x, y, steps, 1e-6, alpha, 1e-4, reading, True) >= moved


def compared(model, x, y, steps, epsilon, alpha, a, reading, targeted):
    """Compare with the literal version; return how many images moved."""
    wanted = [
        literal(model, image, label, distance, steps, epsilon, alpha, a, reading, targeted)
        for image, label in zip(x, y.tolist(), strict=True)
    ]
    got = attacks.alma(
        model, x, y, cost=distance, steps=steps, init_cost=epsilon, alpha=alpha, confidence=a,
        validate=reading, targeted=targeted,
    )  # fmt: skip
    assert torch.allclose(got, torch.stack(wanted), rtol=0, atol=1e-9)
    return int((got != x).flatten(1).any(1).sum())


@given(st.integers(0, 99), st.sampled_from([1e-30, 1e-4, 1.0, 1e6]))
def test_the_first_step_costs_what_was_asked(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    x = 0.4 + 0.2 * torch.rand(3, 3, 6, 6, generator=generator, dtype=torch.float64)
    gradient = scale * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    rate = _first_rate(lambda z: squared_l2(x, z), x, gradient, 0.01)
    length = rate * gradient.flatten(1).norm(dim=1)  # short enough that nothing is clipped
    assert length.numpy() == pytest.approx(0.1, rel=1e-4)


def test_a_first_step_that_cannot_cost_as_much_ends():
    x = pictures(2)
    gradient = torch.ones_like(x)
    gradient[1] = 0
    rate = _first_rate(lambda z: squared_l2(x, z), x, gradient, 1e9)
    assert rate.isfinite().all()
    assert ((x[0] - rate[0] * gradient[0]).clamp(0, 1) == 0).all()


def test_a_first_step_above_1_is_as_exact():
    """Twenty halvings start from 2 and 4, and for the other image from 0 and 1."""
    x = torch.full((2, 1, 1, 2), 0.9, dtype=torch.float64)
    gradient = torch.tensor([1.0, 0.1], dtype=torch.float64).expand_as(x)
    scale = torch.tensor([1.0, 11.0], dtype=torch.float64)
    rate = _first_rate(lambda z: scale * (x - z)[:, 0, 0, 1], x, gradient, 0.33)
    assert abs(float(rate[0]) - 3.3) <= 2**-20
    assert abs(float(rate[1]) - 0.3) <= 2**-21


class Hyperplane:
    """Four classes, of which two are far off; the others meet at a known distance from grey."""

    def __init__(self, distance, seed=0, shape=(3, 8, 8)):
        generator = torch.Generator().manual_seed(seed)
        self.w = torch.randn(shape, generator=generator, dtype=torch.float64)
        self.image = torch.full((1, *shape), 128 / 255, dtype=torch.float64)
        self.b = float((self.w * self.image).sum() + distance * self.w.norm())

    def __call__(self, x):
        value = (x * self.w).sum((1, 2, 3)) - self.b
        far = torch.full_like(value, -50)
        return torch.stack([torch.zeros_like(value), value, far, far - 1], 1)


@pytest.mark.parametrize("distance", [0.1, 0.4, 1.3])
@pytest.mark.parametrize("target", [None, 1])
def test_the_nearest_point_of_a_hyperplane_is_found(distance, target):
    plane = Hyperplane(distance)
    label = torch.tensor([0 if target is None else target])
    options = {
        "cost": squared_l2, "steps": 100, "init_cost": 1e-2, "alpha": 0.5,
        "targeted": target is not None,
    }  # fmt: skip
    got = attacks.alma(plane, plane.image, label, validate="none", **options)
    length = float((got - plane.image).norm())
    assert distance < length < 1.05 * distance

    got = attacks.alma(plane, plane.image, label, **options)
    length = float((got - plane.image).norm())
    assert torch.equal(images.validate(got, "round"), got)
    assert plane(got)[0, 1] > 0
    half_a_level = 0.5 / 255 * math.sqrt(plane.w.numel())
    assert distance < length < 1.05 * distance + half_a_level


@pytest.mark.parametrize("weight", [3.0, 10.0])
def test_it_is_the_given_cost_that_is_minimal(weight):
    """A quadratic cost with a weight for each pixel has its minimum elsewhere, also known."""
    plane = Hyperplane(0.3)
    weights = torch.linspace(1, weight, plane.w.numel(), dtype=torch.float64).view_as(plane.w)

    def cost(reference, x):
        return ((x - reference).square() * weights).flatten(1).sum(1)

    got = attacks.alma(
        plane, plane.image, torch.tensor([0]), cost=cost, steps=150, init_cost=1e-2, alpha=0.5,
        validate="none",
    )  # fmt: skip
    way = plane.w / weights
    optimum = 0.3 * plane.w.norm() / (plane.w * way).sum() * way
    least = float(cost(plane.image, plane.image + optimum))
    assert least < float(cost(plane.image, got)) < 1.05 * least
    nearest = 0.3 * plane.w / plane.w.norm()
    assert float(cost(plane.image, got)) < float(cost(plane.image, plane.image + nearest))


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("confidence", [0.0, 0.3])
def test_the_cheapest_success_on_the_way_is_returned(setting, reading, confidence):
    """Asked of the images that the callback is shown, after the fact."""
    model, x, y = setting
    seen = []
    got = attacks.alma(
        model, x, y, cost=distance, steps=40, init_cost=1e-2, alpha=0.5, validate=reading,
        confidence=confidence, callback=lambda step, now, active: seen.append((step, now, active)),
    )  # fmt: skip
    assert [step for step, _, _ in seen] == list(range(1, 41))

    def margins(z, label):
        logits = model(z)
        others = torch.cat([logits[:, :label], logits[:, label + 1 :]], 1).amax(1)
        return (others - logits[:, label]).detach()

    for i in range(8):
        start = float(margins(x[i, None], int(y[i])))
        assert all(bool(active[i]) == (start <= confidence) for _, _, active in seen)
        if start > confidence:
            assert torch.equal(got[i], x[i])
            continue
        shown = torch.stack([now[i] for _, now, _ in seen])
        price = distance(x[i].expand_as(shown), shown)
        price[margins(shown, int(y[i])) <= confidence] = torch.inf
        assert price.min() < torch.inf
        assert torch.equal(got[i], shown[int(price.argmin())])
        if reading != "none":
            assert torch.equal(images.validate(got[i], "round"), got[i])


def test_what_is_never_fooled_comes_back_as_it_came(setting):
    model, x, y = setting
    options = {"cost": distance, "alpha": 0.5}
    assert torch.equal(attacks.alma(model, x, y, steps=0, **options), x)
    assert torch.equal(attacks.alma(model, x, y, steps=1, init_cost=1e-12, **options), x)
    got = attacks.alma(model, x, y, steps=60, init_cost=1e-2, **options)
    assert (model(got).argmax(1) != y).all()


def test_without_gradient_nothing_moves():
    x, y = pictures(2), torch.tensor([0, 0])
    bias = torch.tensor([2.0, 0.0, -1.0], dtype=torch.float64)
    got = attacks.alma(lambda z: bias + 0 * z.flatten(1)[:, :3], x, y, cost=distance, steps=3)
    assert torch.equal(got, x)


@settings(max_examples=12)
@given(st.permutations(range(6)), st.integers(0, 5), st.sampled_from(READINGS), st.integers(0, 9))
def test_each_image_is_attacked_as_if_alone(order, which, reading, seed):
    model, x = network(), pictures(6, seed)
    y = torch.arange(6) % 4
    options = {"cost": distance, "validate": reading, "steps": 12, "init_cost": 0.1, "alpha": 0.5}
    together = attacks.alma(model, x, y, **options)
    permuted = attacks.alma(model, x[order], y[order], **options)
    alone = attacks.alma(model, x[which, None], y[which, None], **options)
    assert torch.allclose(permuted, together[order], rtol=0, atol=1e-10)
    assert torch.allclose(alone, together[which, None], rtol=0, atol=1e-10)


class Counting:
    """A model and a cost that can forget images, and what they saw."""

    def __init__(self, model):
        self.model, self.sizes, self.priced = model, [], []

    def __call__(self, images):
        self.sizes.append(len(images))
        return self.model(images)

    def at(self, reference):
        def price(images):
            self.priced.append(len(images))
            return distance(reference, images)

        return price


def test_the_cost_remembers_its_reference_and_passes_are_as_few_as_said(setting):
    model, x, y = setting
    counting = Counting(model)
    options = {"steps": 9, "init_cost": 1e-2, "alpha": 0.5}
    got = attacks.alma(counting, x, y, cost=counting, **options)
    assert torch.equal(got, attacks.alma(model, x, y, cost=distance, **options))
    assert counting.sizes == [8] + 10 * [6]
    assert set(counting.priced) == {6}
    assert 31 <= len(counting.priced) <= 50


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_dtype_input_and_model_are_kept(dtype, channels):
    model, x = network(channels=channels, dtype=dtype), pictures(3, channels=channels, dtype=dtype)
    y, before = torch.tensor([0, 1, 2]), x.clone()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():  # the caller's mode must not matter
        got = attacks.alma(model, x, y, cost=distance, steps=5)
    assert (got.dtype, got.shape, got.requires_grad) == (dtype, x.shape, False)
    assert got.data_ptr() != x.data_ptr()
    assert torch.equal(x, before)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model": network().train()}, r"model: it is in train mode"),
        ({"model": lambda x: network()(x).detach()}, r"model: its logits carry no gradient"),
        ({"model": lambda x: network()(x)[:, :2]}, r"least 3 classes, got 2; .* such as ddn"),
        (
            {"model": lambda x: network()(x)[:, :3], "targeted": True},
            r"ALMA with targets needs logits of at least 4 classes, got 3",
        ),
        ({"images": pictures(2) * 255}, r"images: expected values in .*divide by 255"),
        ({"labels": torch.tensor([0])}, r"labels: expected one for each of the 2 images"),
        ({"steps": -1}, r"steps: expected a whole number ≥ 0, got -1"),
        ({"init_cost": 0}, r"init_cost: expected a finite number above 0, got 0"),
        ({"alpha": -0.1}, r"alpha: expected a finite number ≥ 0, got -0.1"),
        ({"alpha": 1.0}, r"alpha: expected a share below 1, got 1.0; the paper's is 0.9"),
        ({"confidence": -1.0}, r"confidence: expected a finite number ≥ 0, got -1.0"),
        ({"validate": "floor"}, r"validate: expected one of .* got 'floor'"),
        ({"cost": lambda x, y: distance(x, y).mean()}, r"cost: expected one value per image"),
        ({"cost": lambda x, y: distance(x, y) * torch.nan}, r"cost: NaN or infinite"),
        (
            {"cost": lambda x, y: distance(x, y).sqrt(), "init_cost": 1e-9},
            r"gradient of the penalised cost is NaN or infinite",
        ),
    ],
)
def test_bad_input_is_named(change, match):
    model, x = network(), pictures(2)
    labels = model(x).argmax(1)
    given = {"model": model, "images": x, "labels": labels, "cost": distance, "steps": 5, **change}
    if change.get("targeted"):
        given["labels"] = (labels + 1) % 3
    elif "model" in change:
        given["labels"] = torch.tensor([0, 1])
    with pytest.raises(ValueError, match=match):
        attacks.alma(**given)
