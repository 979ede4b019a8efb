"""DDN against its listing and a linear classifier, whose nearest boundary is known."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from humimp import attacks, images

from .conftest import network, pictures

READINGS = ["truncate", "round", "none"]


def literal(model, x, y, steps, start, gamma, norm, a, reading, targeted):
    """Algorithm 1 of Rony et al. (2019) line by line, for one image."""

    def succeeds(logits):
        others = torch.cat([logits[:y], logits[y + 1 :]]).max()
        return bool((logits[y] - others if targeted else others - logits[y]) > a)

    m = -1 if targeted else 1
    best, tilde, delta = None, x, torch.zeros_like(x)
    norm_limit = torch.maximum(x, 1 - x).norm().item()
    for k in range(steps + 1):
        variable = tilde[None].clone().requires_grad_()
        logits = model(variable)[0]
        success = succeeds(logits)
        if success and (best is None or (tilde - x).norm() < (best - x).norm()):
            best = tilde
        if k == steps or (k == 0 and success):
            break
        entropy = -F.log_softmax(logits, 0)[y]
        (g,) = torch.autograd.grad(m * entropy, variable)
        alpha = start * (0.01 + (1 - 0.01) * 0.5 * (1 + math.cos(math.pi * k / steps)))
        delta = delta + alpha * g[0] / g[0].norm()
        norm = min((1 - gamma) * norm if success else (1 + gamma) * norm, norm_limit)
        tilde = (x + norm * delta / delta.norm()).clamp(0, 1)
        if reading == "truncate":
            tilde = torch.floor(255 * tilde) / 255
        if reading == "round":
            tilde = torch.round(255 * tilde) / 255
        delta = tilde - x
    return x if best is None else best


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(
    ("steps", "start", "gamma", "norm", "a"),
    [(30, 1.0, 0.05, 1.0, 0.0), (12, 0.3, 0.2, 0.4, 0.1), (9, 2.0, 0.0, 50.0, 0.0)],
)
def test_against_the_listing(setting, reading, targeted, steps, start, gamma, norm, a):
    model, x, y = setting[0], setting[1][2:7], setting[2][2:7]
    if targeted:
        y = (y + 1) % 4
    wanted = [
        literal(model, image, label, steps, start, gamma, norm, a, reading, targeted)
        for image, label in zip(x, y.tolist(), strict=True)
    ]
    got = attacks.ddn(
        model, x, y, steps=steps, step_size=start, gamma=gamma, init_norm=norm, confidence=a,
        validate=reading, targeted=targeted,
    )  # fmt: skip
    assert torch.allclose(got, torch.stack(wanted), rtol=0, atol=1e-12)
    assert (got != x).flatten(1).any(1).sum() >= 2  # the test moves something


class Hyperplane:
    """Two classes: logits (0, w·x − b), with the boundary at a known distance from grey."""

    def __init__(self, distance, seed=0, shape=(3, 8, 8)):
        generator = torch.Generator().manual_seed(seed)
        self.w = torch.randn(shape, generator=generator, dtype=torch.float64)
        self.image = torch.full((1, *shape), 128 / 255, dtype=torch.float64)
        self.b = float((self.w * self.image).sum() + distance * self.w.norm())

    def __call__(self, x):
        value = (x * self.w).sum((1, 2, 3)) - self.b
        return torch.stack([torch.zeros_like(value), value], 1)


@pytest.mark.parametrize("distance", [0.1, 0.4, 1.3])
@pytest.mark.parametrize("target", [None, 1])
def test_the_nearest_point_of_a_hyperplane_is_found(distance, target):
    plane = Hyperplane(distance)
    label = torch.tensor([0 if target is None else target])
    options = {"steps": 100, "targeted": target is not None}
    got = attacks.ddn(plane, plane.image, label, validate="none", **options)
    length = float((got - plane.image).norm())
    assert distance < length < 1.02 * distance

    got = attacks.ddn(plane, plane.image, label, **options)
    length = float((got - plane.image).norm())
    assert torch.equal(images.validate(got, "round"), got)
    assert plane(got)[0, 1] > 0
    half_a_level = 0.5 / 255 * math.sqrt(plane.w.numel())
    assert distance < length < 1.02 * distance + half_a_level


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("confidence", [0.0, 0.3])
def test_the_nearest_success_on_the_way_is_returned(setting, reading, confidence):
    """Asked of the images that the callback is shown, after the fact."""
    model, x, y = setting
    seen = []
    got = attacks.ddn(
        model, x, y, steps=25, validate=reading, confidence=confidence,
        callback=lambda step, now, active: seen.append((step, now, active)),
    )  # fmt: skip
    assert [step for step, _, _ in seen] == list(range(1, 26))
    assert all(torch.equal(active, seen[0][2]) for _, _, active in seen)
    logits = model(x)
    wrong = logits.scatter(1, y[:, None], -torch.inf).amax(1) - logits.gather(1, y[:, None])[:, 0]
    assert torch.equal(seen[0][2], wrong <= confidence)
    for i in range(8):
        if wrong[i] > confidence:
            assert torch.equal(got[i], x[i])
            continue
        logits = model(torch.stack([now[i] for _, now, _ in seen]))
        others = torch.cat([logits[:, : y[i]], logits[:, y[i] + 1 :]], 1).amax(1)
        lengths = torch.stack([(now[i] - x[i]).norm() for _, now, _ in seen])
        lengths[others - logits[:, y[i]] <= confidence] = torch.inf
        assert lengths.min() < torch.inf
        assert torch.equal(got[i], seen[int(lengths.argmin())][1][i])
        if reading != "none":
            assert torch.equal(images.validate(got[i], "round"), got[i])


def test_what_is_never_fooled_comes_back_as_it_came(setting):
    model, x, y = setting
    assert torch.equal(attacks.ddn(model, x, y, steps=0), x)
    assert torch.equal(attacks.ddn(model, x, y, steps=2, init_norm=1e-6), x)
    got = attacks.ddn(model, x, y)
    assert (model(got).argmax(1) != y).all()


def test_without_gradient_nothing_moves():
    x, y = pictures(2), torch.tensor([0, 0])
    bias = torch.tensor([2.0, 0.0], dtype=torch.float64)
    got = attacks.ddn(lambda z: bias + 0 * z.flatten(1)[:, :2], x, y, steps=3)
    assert torch.equal(got, x)


@settings(max_examples=15)
@given(st.permutations(range(6)), st.integers(0, 5), st.sampled_from(READINGS), st.integers(0, 9))
def test_each_image_is_attacked_as_if_alone(order, which, reading, seed):
    model, x = network(), pictures(6, seed)
    y = torch.arange(6) % 4
    options = {"validate": reading, "steps": 12}
    together = attacks.ddn(model, x, y, **options)
    permuted = attacks.ddn(model, x[order], y[order], **options)
    alone = attacks.ddn(model, x[which, None], y[which, None], **options)
    assert torch.allclose(permuted, together[order], rtol=0, atol=1e-10)
    assert torch.allclose(alone, together[which, None], rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_dtype_input_and_model_are_kept(dtype, channels):
    model, x = network(channels=channels, dtype=dtype), pictures(3, channels=channels, dtype=dtype)
    y, before = torch.tensor([0, 1, 2]), x.clone()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():  # the caller's mode must not matter
        got = attacks.ddn(model, x, y, steps=5)
    assert (got.dtype, got.shape, got.requires_grad) == (dtype, x.shape, False)
    assert got.data_ptr() != x.data_ptr()
    assert torch.equal(x, before)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_passes_are_as_few_as_said(setting):
    model, x, y = setting
    sizes = []

    def counted(images):
        sizes.append(len(images))
        return model(images)

    attacks.ddn(counted, x, y, steps=7)
    assert sizes == [8] + 7 * [6]
    sizes.clear()
    attacks.ddn(counted, x[[3, 6]], y[[3, 6]], steps=7)
    assert sizes == [2]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model": network().train()}, r"model: it is in train mode"),
        ({"model": lambda x: network()(x).detach()}, r"model: its logits carry no gradient"),
        ({"model": lambda x: (x - x).sqrt().flatten(1)[:, :4] - 1}, r"the gradient of the loss"),
        ({"images": pictures(2) * 255}, r"images: expected values in .*divide by 255"),
        ({"labels": torch.tensor([0])}, r"labels: expected one for each of the 2 images"),
        ({"steps": -1}, r"steps: expected a whole number ≥ 0, got -1"),
        ({"step_size": 0}, r"step_size: expected a finite number above 0, got 0"),
        ({"gamma": -0.1}, r"gamma: expected a finite number ≥ 0, got -0.1"),
        ({"gamma": 1}, r"gamma: expected a share below 1, got 1; the paper's is 0.05"),
        ({"init_norm": 0}, r"init_norm: expected a finite number above 0, got 0"),
        ({"confidence": -1.0}, r"confidence: expected a finite number ≥ 0, got -1.0"),
        ({"validate": "floor"}, r"validate: expected one of .* got 'floor'"),
    ],
)
def test_bad_input_is_named(change, match):
    given = {"model": network(), "images": pictures(2), "labels": torch.tensor([0, 1]), **change}
    with pytest.raises(ValueError, match=match):
        attacks.ddn(**given)
