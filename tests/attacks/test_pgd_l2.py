"""PGD (L2) against a linear classifier, whose answer is known in closed form."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from humimp import attacks, images
from humimp.attacks._steps import unit

from .conftest import network, pictures


class Hyperplane:
    """Two classes: logits (0, w·x − b), for an image amid the range so that nothing is clipped."""

    def __init__(self, seed=0, shape=(3, 5, 5), dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        self.w = torch.randn(shape, generator=generator, dtype=dtype)
        self.length = float(self.w.norm())
        self.image = torch.full((1, *shape), 128 / 255, dtype=dtype)
        self.b = float((self.w * self.image).sum())

    def away(self, distance):
        """Return the classifier whose boundary is that far from the image."""

        def model(x):
            value = (x * self.w).sum((1, 2, 3)) - self.b - distance * self.length
            return torch.stack([torch.zeros_like(value), value], 1)

        return model


@pytest.mark.parametrize("distance", [0.0, 0.05, 0.0999, 0.1001, 0.25, 0.71])
@pytest.mark.parametrize("step_size", [0.1, 0.03])
@pytest.mark.parametrize("confidence", [0.0, 0.4])
def test_the_hyperplane_is_crossed_with_the_fewest_steps(distance, step_size, confidence):
    plane = Hyperplane()
    reach = distance + confidence / plane.length
    steps = math.floor(reach / step_size + 1e-9) + 1  # the least k with k·ε > reach
    wanted = plane.image + steps * step_size * plane.w / plane.length
    seen = []
    got = attacks.pgd_l2(
        plane.away(distance), plane.image, torch.tensor([0]), step_size=step_size,
        confidence=confidence, validate="none", callback=lambda step, *_: seen.append(step),
    )  # fmt: skip
    assert seen == list(range(1, steps + 1))
    assert torch.allclose(got, wanted, rtol=0, atol=1e-12)
    assert float((got - plane.image).norm()) == pytest.approx(steps * step_size)


@pytest.mark.parametrize("attack", ["pgd_l2", "imperceptible"])
def test_where_few_images_are_left_they_alone_go_through_the_backward_pass(attack):
    """Four of five are done after a step, the other after two."""
    plane, asked = Hyperplane(), []
    start = torch.tensor([0.1, 0.11, 0.0, 0.12, 0.13], dtype=torch.float64)
    x = plane.image + start[:, None, None, None] * plane.w / plane.length
    labels = torch.zeros(5, dtype=torch.int64)

    def model(images):
        asked.append(len(images))
        return 10 * plane.away(0.15)(images)

    options = {"validate": "none"}
    if attack == "imperceptible":
        options |= {"cost": lambda one, other: (other - one).square().sum((1, 2, 3)), "lam": 0.0}
        options |= {"normalized": True}
    run = getattr(attacks, attack)
    got = run(model, x, labels, **options)
    assert asked == [5, 5, 1, 1]
    alone = torch.cat([run(model, one, labels[:1], **options) for one in x.split(1)])
    assert torch.allclose(got, alone, rtol=0, atol=1e-12)
    assert not torch.allclose(got[2], got[1], rtol=0, atol=1e-3)


def test_a_target_is_reached_the_same_way():
    plane = Hyperplane()
    away = attacks.pgd_l2(plane.away(0.25), plane.image, torch.tensor([0]), validate="none")
    towards = attacks.pgd_l2(
        plane.away(0.25), plane.image, torch.tensor([1]), validate="none", targeted=True
    )
    assert torch.allclose(away, towards, rtol=0, atol=1e-12)


def test_steps_run_out():
    plane = Hyperplane()
    model, label = plane.away(0.35), torch.tensor([0])
    got = attacks.pgd_l2(model, plane.image, label, steps=3, validate="none")
    assert float((got - plane.image).norm()) == pytest.approx(0.3)
    assert torch.equal(attacks.pgd_l2(model, plane.image, label, steps=0), plane.image)


def test_rounding_undoes_small_steps():
    """The stalled reading: no entry of the step reaches half a level."""
    plane = Hyperplane()
    step = 0.4 / 255 * plane.length / float(plane.w.abs().max())
    got = attacks.pgd_l2(
        plane.away(0.001), plane.image, torch.tensor([0]), step_size=step, validate="round"
    )
    assert torch.equal(got, plane.image)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_truncating_takes_a_level_off_wherever_the_gradient_is_negative(dtype):
    """The side effect that makes up most of Table 1's distances: the step size hardly matters."""
    plane = Hyperplane(dtype=dtype)
    model = plane.away(1.0)
    wanted = plane.image - (plane.w < 0) / torch.full((), 255, dtype=dtype)
    for step_size in (0.001, 1e-5):
        got = attacks.pgd_l2(model, plane.image, torch.tensor([0]), steps=1, step_size=step_size)
        assert torch.equal(images.to_uint8(got), images.to_uint8(wanted))


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_unit_length_at_any_scale(scale):
    gradient = scale * torch.randn(4, 3, 6, 6)
    gradient[0] = -gradient[0].abs()  # the largest entry is a negative one
    gradient[1] = gradient[1].abs()
    gradient[2] = 0
    length = unit(gradient).flatten(1).norm(dim=1)
    assert torch.allclose(length, torch.tensor([1.0, 1.0, 0.0, 1.0]))


def test_a_sure_classifier_is_still_attacked():
    """Its gradient's squares underflow in float32."""
    plane = Hyperplane(dtype=torch.float32)
    plane.w /= plane.length
    plane.length, plane.b = 1.0, float((plane.w * plane.image).sum())
    model = plane.away(60.0)  # exp(-60) = 9e-27
    got = attacks.pgd_l2(model, plane.image, torch.tensor([0]), steps=1, validate="none")
    assert float((got - plane.image).norm()) == pytest.approx(0.1, rel=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    st.permutations(range(6)),
    st.integers(0, 5),
    st.sampled_from(["truncate", "round", "none"]),
    st.integers(0, 9),
)
def test_each_image_is_attacked_as_if_alone(order, which, reading, seed):
    model, x = network(), pictures(6, seed)
    y = torch.arange(6) % 4
    options = {"validate": reading, "steps": 12, "step_size": 0.3}
    together = attacks.pgd_l2(model, x, y, **options)
    permuted = attacks.pgd_l2(model, x[order], y[order], **options)
    alone = attacks.pgd_l2(model, x[which, None], y[which, None], **options)
    assert torch.allclose(permuted, together[order], rtol=0, atol=1e-12)
    assert torch.allclose(alone, together[which, None], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_image_is_fooled_and_stays_8_bit(dtype):
    model, x = network(dtype=dtype), pictures(8, dtype=dtype)
    y = model(x).argmax(1)
    got = attacks.pgd_l2(model, x, y)
    assert (model(got).argmax(1) != y).all()
    assert got.dtype == dtype
    assert torch.equal(images.validate(got, "round"), got)


def test_images_with_a_gradient_of_their_own_are_attacked_without_it():
    model, plain = network(), pictures(3)
    y, x = model(plain).argmax(1), plain.clone().requires_grad_()
    got = attacks.pgd_l2(model, x, y, steps=3)
    assert torch.equal(got, attacks.pgd_l2(model, plain, y, steps=3))
    assert not got.requires_grad
    assert x.grad is None


def test_no_attack_returns_a_copy():
    x, y = pictures(2), torch.tensor([0, 1])
    got = attacks.no_attack(network(), x, y)
    assert torch.equal(got, x)
    assert got.data_ptr() != x.data_ptr()
    with pytest.raises(ValueError, match="model: it is in train mode"):
        attacks.no_attack(network().train(), x, y)
    with pytest.raises(ValueError, match="labels: expected one for each"):
        attacks.no_attack(network(), x, y[:1])
    with pytest.raises(ValueError, match=r"images: .*divide by 255"):
        attacks.no_attack(network(), 255 * x, y)
