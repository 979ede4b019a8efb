"""PerC-AL against a literal version, and what it promises beside."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from humimp import attacks, color, images

from .conftest import distance, network, pictures

KEEP = ["least", "code"]
OPTIONS = {"steps": 12, "step_size_loss": 0.3, "step_size_color": 0.2}


def literal(model, x0, y, steps, a_l, a_c, kappa, keep, targeted, cost):
    """PerC-AL for one image, step by step."""

    def fools(x):
        logits = model(x)[0].detach()
        others = torch.cat([logits[:y], logits[y + 1 :]]).max()
        return float(logits[y] - others if targeted else others - logits[y]) > kappa

    if fools(x0):
        return x0
    x, fooled, best, lowest = x0, False, x0, math.inf
    for k in range(steps):
        variable = x.clone().requires_grad_()
        if fooled:
            size = a_c / 10 + (a_c - a_c / 10) * (1 + math.cos(math.pi * k / steps)) / 2
            value = cost(x0, variable).sum()
            before = float(value.detach())
            (gradient,) = torch.autograd.grad(-value, variable)
        else:
            size = a_l / 100 + (a_l - a_l / 100) * (1 + math.cos(math.pi * k / steps)) / 2
            entropy = F.cross_entropy(model(variable), torch.tensor([y]))
            (gradient,) = torch.autograd.grad(-entropy if targeted else entropy, variable)
        x = (x + size * gradient / gradient.norm()).clamp(0, 1)
        tried = torch.round(255 * x) / 255
        if keep == "least":
            rating = float(cost(x0, tried))
        else:
            rating = before if fooled else float(cost(x0, x))
        fooled = fools(tried)
        if fooled and rating < lowest:
            best, lowest = tried, rating
    return best


@pytest.mark.parametrize("keep", KEEP)
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(
    ("steps", "a_l", "a_c", "kappa", "cost", "channels"),
    [
        (25, 0.5, 0.3, 0.0, color.color_distance, 3),
        (15, 0.3, 0.2, 0.1, color.color_distance, 3),
        (15, 0.3, 0.2, 0.1, color.color_distance, 1),
        (15, 0.3, 0.4, 0.0, distance, 3),
        (1, 1.0, 0.5, 0.0, color.color_distance, 3),
        (0, 1.0, 0.5, 0.0, color.color_distance, 3),
    ],
)
def test_against_the_literal_version(keep, targeted, steps, a_l, a_c, kappa, cost, channels):
    model, x = network(channels=channels), pictures(6, channels=channels)
    y = model(x).argmax(1)
    y[2] = (y[2] + 1) % 4
    if targeted:
        y = (y + 1) % 4
    wanted = [
        literal(model, image[None], label, steps, a_l, a_c, kappa, keep, targeted, cost)
        for image, label in zip(x, y.tolist(), strict=True)
    ]
    got = attacks.perc_al(
        model, x, y, steps=steps, step_size_loss=a_l, step_size_color=a_c, confidence=kappa,
        keep=keep, targeted=targeted, cost=cost,
    )  # fmt: skip
    assert torch.equal(got, torch.cat(wanted))
    assert bool((got != x).any()) == (steps > 0)  # the test moves something


def test_the_two_rules_differ():
    model, x = network(), pictures(6)
    y = model(x).argmax(1)
    options = {"steps": 25, "step_size_loss": 0.5, "step_size_color": 0.3}
    least, code = (attacks.perc_al(model, x, y, keep=keep, **options) for keep in KEEP)
    near, far = color.color_distance(x, least), color.color_distance(x, code)
    assert (near <= far).all()
    assert (near < far).any()


@pytest.mark.parametrize("confidence", [0.0, 0.2])
def test_the_least_of_all_that_fooled_is_returned(confidence):
    model, x = network(), pictures(6)
    y = model(x).argmax(1)
    seen = []
    got = attacks.perc_al(
        model, x, y, **OPTIONS, confidence=confidence,
        callback=lambda step, images, active: seen.append((step, images, active)),
    )  # fmt: skip
    assert [step for step, _, _ in seen] == list(range(1, 13))
    assert all(active.all() for _, _, active in seen)
    tried = torch.stack([images_ for _, images_, _ in seen])
    logits = torch.stack([model(images_) for images_ in tried])
    own = logits[:, torch.arange(6), y]
    others = logits.scatter(2, y[None, :, None].expand(12, 6, 1), -torch.inf).amax(2)
    ratings = torch.stack([color.color_distance(x, images_) for images_ in tried])
    ratings[others - own <= confidence] = torch.inf
    assert torch.isfinite(ratings.amin(0)).sum() >= 4
    for i, which in enumerate(ratings.argmin(0).tolist()):
        fooled = math.isfinite(ratings[:, i].min())
        assert torch.equal(got[i], tried[which, i] if fooled else x[i])


def test_what_never_fools_or_is_wrong_already_comes_back_untouched():
    model, x = network(), pictures(4) * 0.99  # not 8 bit
    y = model(x).argmax(1)
    y[1] = (y[1] + 1) % 4
    active = []
    got = attacks.perc_al(
        model, x, y, **OPTIONS, confidence=1e6, callback=lambda *seen: active.append(seen[2])
    )
    assert torch.equal(got, x)
    got = attacks.perc_al(model, x, y, **OPTIONS, callback=lambda *seen: active.append(seen[2]))
    assert torch.equal(got[1], x[1])
    assert not torch.equal(got[0], x[0])
    assert [one.tolist() for one in (active[0], active[-1])] == [
        [True, True, True, True],
        [True, False, True, True],
    ]
    wrong = (y + 1) % 4
    wrong[1] = y[1]
    assert torch.equal(attacks.perc_al(model, x, wrong, **OPTIONS), x)


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 5), st.sampled_from(KEEP), st.integers(0, 9))
def test_each_image_is_attacked_as_if_alone(order, which, keep, seed):
    model, x = network(), pictures(6, seed)
    y = torch.arange(6) % 4
    together = attacks.perc_al(model, x, y, **OPTIONS, keep=keep)
    permuted = attacks.perc_al(model, x[order], y[order], **OPTIONS, keep=keep)
    alone = attacks.perc_al(model, x[which, None], y[which, None], **OPTIONS, keep=keep)
    assert torch.equal(permuted, together[order])
    assert torch.equal(alone, together[which, None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_fooled_and_8_bit(dtype, channels):
    """A quarter of the pixels is black, where colour has its sharpest bends."""
    model, x = network(channels=channels, dtype=dtype), pictures(4, channels=channels, dtype=dtype)
    x = x * (pictures(4, seed=1, channels=1, dtype=dtype) > 0.25)
    y, before = model(x).argmax(1), x.clone()
    got = attacks.perc_al(model, x, y, **(OPTIONS | {"steps": 40}))
    assert (model(got).argmax(1) != y).all()
    assert torch.equal(images.validate(got, "round"), got)
    assert (got.dtype, got.shape, got.requires_grad) == (dtype, x.shape, False)
    assert torch.equal(x, before)


def test_a_cost_that_remembers_is_asked_so():
    class Remembering:
        def __call__(self, original, images):
            raise AssertionError

        def at(self, reference):
            class At:
                def __call__(self, images):
                    return distance(reference, images)

                def __getitem__(self, keep):
                    return Remembering().at(reference[keep])

            return At()

    model, x = network(), pictures(4)
    y = model(x).argmax(1)
    got = attacks.perc_al(model, x, y, **OPTIONS, cost=Remembering())
    assert torch.equal(got, attacks.perc_al(model, x, y, **OPTIONS, cost=distance))


def test_forward_passes():
    """One a step to try, and one at the unrounded images that do not fool yet."""
    model, x, sizes = network(), pictures(3), []
    y = model(x).argmax(1)

    def counting(images):
        sizes.append((len(images), torch.is_grad_enabled()))
        return model(images)

    attacks.perc_al(counting, x, y, **OPTIONS)
    assert [size for size, grad in sizes if not grad] == [3] * 13
    with_gradient = [size for size, grad in sizes if grad]
    assert with_gradient[0] == 3
    assert 3 < sum(with_gradient) < 3 * 12


def test_no_slope_no_step():
    """A classifier that is flat where the image lies; the authors' code divides 0 by 0."""

    def flat(images):
        margin = images.flatten(1).amax(1).sub(2).clamp(min=0)
        return torch.stack([2 + margin, -margin], 1)

    x = pictures(2)
    got = attacks.perc_al(flat, x, torch.tensor([0, 0]), **OPTIONS)
    assert torch.equal(got, x)


@pytest.mark.parametrize("grads", [True, False])
def test_the_model_is_left_as_it_is(grads):
    model, x = network(), pictures(3)
    model.requires_grad_(grads)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    y = model(x).argmax(1)
    with torch.no_grad():  # the caller's mode must not matter
        got = attacks.perc_al(model, x, y, **OPTIONS)
    assert torch.equal(got, attacks.perc_al(model, x, y, **OPTIONS))
    assert all(p.requires_grad == grads and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 1.5}, "steps: expected a whole number ≥ 0, got 1.5"),
        ({"step_size_loss": 0}, "step_size_loss: expected a finite number above 0, got 0"),
        ({"step_size_color": -1}, "step_size_color: expected a finite number above 0, got -1"),
        ({"confidence": -1}, "confidence: expected a finite number ≥ 0, got -1"),
        ({"keep": "best"}, "keep: expected one of 'least', 'code', got 'best'"),
        ({"images": 255 * pictures(2)}, r"images: .*\[0, 1\]"),
        ({"labels": torch.tensor([0])}, "labels: expected one for each of the 2 images"),
        ({"labels": torch.tensor([0, 4])}, "labels: expected labels below 4"),
        ({"model": network().train()}, "model: it is in train mode"),
        ({"model": lambda x: network()(x).softmax(1)}, "model: it seems to return probabilities"),
        ({"model": lambda x: network()(x.detach()).detach()}, "model: its logits carry no grad"),
        ({"cost": lambda x, y: distance(x, y).sum()}, "cost: expected one value per image"),
        ({"cost": lambda x, y: distance(x, y) / 0}, "cost: NaN or infinite values"),
        (
            {"cost": lambda x, y: distance(x, y) + (y - y.detach()).flatten(1).abs().sum(1).sqrt()},
            "the gradient of the cost is NaN or infinite",
        ),
    ],
)
def test_bad_input(change, message):
    model, x = network(), pictures(2)
    given = {"model": model, "images": x, "labels": model(x).argmax(1), **OPTIONS} | change
    with pytest.raises(ValueError, match=message):
        attacks.perc_al(**given)


@pytest.mark.parametrize("keep", KEEP)
@pytest.mark.parametrize(
    ("cost", "message"),
    [
        (lambda x, y: distance(x, y).sum(), "cost: expected one value per image"),
        (lambda x, y: distance(x, y) / 0, "cost: NaN or infinite values"),
    ],
)
def test_a_bad_cost_is_named_though_no_step_goes_back(keep, cost, message):
    """After a single step the cost only rates what fools."""
    model, x = network(), pictures(2)
    with pytest.raises(ValueError, match=message):
        attacks.perc_al(
            model, x, model(x).argmax(1), steps=1, step_size_loss=5.0, keep=keep, cost=cost
        )


def test_a_gradient_that_is_not_finite():
    def model(x):
        value = (x - x.detach()).flatten(1).abs().sum(1).sqrt()
        return torch.stack([2 + value, -value], 1)

    with pytest.raises(ValueError, match="the gradient of the loss is NaN or infinite"):
        attacks.perc_al(model, pictures(1), torch.tensor([0]), **OPTIONS)
