"""Algorithm 1 against a literal version, and what it promises beside."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from humimp import attacks, images

from .conftest import distance, network, pictures

READINGS = ["truncate", "round", "none"]


def literal(model, x, y, cost, a, N, epsilon, lam, reading, targeted=False):  # noqa: N803
    """Algorithm 1 line by line, for one image: the paper's listing, with three readings of 9."""
    x_adv = x
    for _ in range(N):
        variable = x_adv[None].clone().requires_grad_()
        logits = model(variable)[0]
        others = torch.cat([logits[:y], logits[y + 1 :]]).max()
        if (logits[y] - others if targeted else others - logits[y]) > a:
            return x_adv
        entropy = -F.log_softmax(logits, 0)[y]
        (gradient,) = torch.autograd.grad(-entropy if targeted else entropy, variable)
        variable = x_adv[None].clone().requires_grad_()
        (slope,) = torch.autograd.grad(cost(x[None], variable)[0], variable)
        x_adv = x_adv + epsilon * (gradient[0] - lam * slope[0])
        x_adv = torch.minimum(torch.maximum(x_adv, torch.tensor(0.0)), torch.tensor(1.0))
        if reading == "truncate":
            x_adv = torch.floor(255 * x_adv) / 255
        if reading == "round":
            x_adv = torch.round(255 * x_adv) / 255
    return x_adv


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(
    ("a", "n", "epsilon", "lam"),
    [(0, 40, 0.1, 1.0), (0.5, 40, 0.1, 0.0), (0.1, 7, 0.3, 2.0), (0, 1, 1.0, 1.0), (0, 0, 1, 1)],
)
def test_against_the_listing(setting, reading, targeted, a, n, epsilon, lam):
    model, x, y = setting
    if targeted:
        y = (y + 1) % 4
    wanted = [
        literal(model, image, label, distance, a, n, epsilon, lam, reading, targeted)
        for image, label in zip(x, y.tolist(), strict=True)
    ]
    got = attacks.imperceptible(
        model, x, y, cost=distance, confidence=a, steps=n, step_size=epsilon, lam=lam,
        validate=reading, targeted=targeted,
    )  # fmt: skip
    if reading == "none":
        assert torch.allclose(got, torch.stack(wanted), rtol=0, atol=1e-12)
    else:
        assert torch.equal(got, torch.stack(wanted))
    if n > 1 and reading == "none":
        assert (got != x).any()  # the test moves something


def test_the_gradient_is_not_normalised(setting):
    model, x, y = setting
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), y, reduction="sum"), x)
    x = x.detach()
    got = attacks.imperceptible(
        model, x, y, cost=distance, steps=1, step_size=0.01, validate="none"
    )
    moved = torch.tensor([i not in (3, 6) for i in range(8)])
    step = (x + 0.01 * gradient).clamp(0, 1)  # the cost has no slope at the original
    assert torch.allclose(got[moved], step[moved], rtol=0, atol=1e-15)


def test_it_is_normalised_if_asked(setting):
    model, x, y = setting
    options = {"cost": distance, "lam": 0.7, "validate": "none", "confidence": 5.0}
    one = attacks.imperceptible(model, x, y, **options, normalized=True, steps=1, step_size=0.02)
    two = attacks.imperceptible(model, x, y, **options, normalized=True, steps=2, step_size=0.02)
    variable = one.clone().requires_grad_()
    value = F.cross_entropy(model(variable), y, reduction="sum") - 0.7 * distance(x, variable).sum()
    (delta,) = torch.autograd.grad(value, variable)
    length = delta.flatten(1).norm(dim=1)[:, None, None, None]
    assert torch.allclose(two, (one + 0.02 * delta / length).clamp(0, 1), rtol=0, atol=1e-13)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("confidence", [0.0, 0.3])
def test_what_stops_early_has_the_margin(setting, reading, confidence):
    model, x, y = setting
    seen = {}
    got = attacks.imperceptible(
        model, x, y, cost=distance, confidence=confidence, steps=60, step_size=0.3, lam=0.1,
        validate=reading, callback=lambda step, images, active: seen.update({step: active}),
    )  # fmt: skip
    logits = model(got)
    own = logits.gather(1, y[:, None])[:, 0]
    margin = logits.scatter(1, y[:, None], -torch.inf).amax(1) - own
    done = ~seen[max(seen)] if max(seen) == 60 else torch.ones(8, dtype=torch.bool)
    assert done.sum() >= 4
    assert (margin[done] > confidence).all()
    if reading != "none":
        assert torch.equal(images.validate(got, "round"), got)


def test_images_that_are_wrong_already_come_back_untouched(setting):
    model, x, y = setting
    got = attacks.imperceptible(model, x, y, cost=distance, step_size=0.3)
    assert torch.equal(got[[3, 6]], x[[3, 6]])
    assert (got != x).flatten(1).any(1).sum() == 6


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 5), st.sampled_from(READINGS), st.integers(0, 9))
def test_each_image_is_attacked_as_if_alone(order, which, reading, seed):
    model, x = network(), pictures(6, seed)
    y = torch.arange(6) % 4
    options = {"cost": distance, "validate": reading, "steps": 12, "step_size": 0.2}
    together = attacks.imperceptible(model, x, y, **options)
    permuted = attacks.imperceptible(model, x[order], y[order], **options)
    alone = attacks.imperceptible(model, x[which, None], y[which, None], **options)
    assert torch.allclose(permuted, together[order], rtol=0, atol=1e-12)
    assert torch.allclose(alone, together[which, None], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_dtype_and_input_are_kept(dtype, channels):
    model, x = network(channels=channels, dtype=dtype), pictures(3, channels=channels, dtype=dtype)
    y, before = torch.tensor([0, 1, 2]), x.clone()
    got = attacks.imperceptible(model, x, y, cost=distance, steps=3)
    assert (got.dtype, got.shape, got.requires_grad) == (dtype, x.shape, False)
    assert got.data_ptr() != x.data_ptr()
    assert torch.equal(x, before)


class Recorder:
    """A model that counts, a cost that can forget images, and what they saw."""

    def __init__(self, model):
        self.model, self.sizes, self.kept = model, [], []

    def __call__(self, images):
        self.sizes.append(len(images))
        return self.model(images)

    def at(self, reference):
        recorder = self

        class At:
            def __call__(self, images):
                assert images.shape == reference.shape
                return distance(reference, images)

            def __getitem__(self, keep):
                assert keep.dtype == torch.int64
                recorder.kept.append(len(keep))
                return recorder.at(reference[keep])

        return At()


def test_one_forward_pass_a_step_and_done_images_leave(setting):
    model, x, y = setting
    recorder, steps = Recorder(model), torch.zeros(8, dtype=torch.int64)

    def count(step, images, active):
        steps.add_(active)
        assert int(active.sum()) <= recorder.sizes[-1]

    options = {"steps": 50, "step_size": 0.3, "lam": 0.1}
    got = attacks.imperceptible(recorder, x, y, cost=recorder, callback=count, **options)
    assert torch.equal(got, attacks.imperceptible(model, x, y, cost=distance, **options))
    assert steps[3] == steps[6] == 0
    assert len(set(steps.tolist())) > 2
    tried = [int((steps >= k).sum()) for k in range(int(steps.max()) + 1)]
    assert recorder.sizes == tried[: len(recorder.sizes)]
    assert sum(recorder.sizes) == int((steps + 1).sum())
    assert recorder.kept == sorted(set(recorder.kept), reverse=True)


def test_the_callback_sees_each_step_and_may_keep_it(setting):
    model, x, y = setting
    seen = []
    got = attacks.imperceptible(
        model, x, y, cost=distance, steps=4, step_size=0.05, validate="none",
        callback=lambda step, images, active: seen.append((step, images, active)),
    )  # fmt: skip
    assert [step for step, _, _ in seen] == [1, 2, 3, 4]
    assert torch.equal(seen[-1][1], got)
    assert not torch.equal(seen[0][1], got)
    for step, images_, active in seen:
        alone = attacks.imperceptible(
            model, x, y, cost=distance, steps=step, step_size=0.05, validate="none"
        )
        assert torch.equal(images_, alone)
        assert active.shape == (8,)
        assert not active[3]


@pytest.mark.parametrize("attack", ["imperceptible", "pgd_l2"])
@pytest.mark.parametrize("grads", [True, False])
def test_the_model_is_left_as_it_is(attack, grads):
    model, x = network(), pictures(4)
    model.requires_grad_(grads)
    model[0].weight.requires_grad_(not grads)
    flags = [p.requires_grad for p in model.parameters()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    options = {"cost": distance} if attack == "imperceptible" else {}
    with torch.no_grad():  # the caller's mode must not matter
        getattr(attacks, attack)(model, x, torch.arange(4), steps=3, **options)
        assert not torch.is_grad_enabled()
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert not any(part.training for part in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_without_gradient_nothing_moves():
    x, y = pictures(2), torch.tensor([0, 0])
    bias = torch.tensor([2.0, 0.0], dtype=torch.float64)

    def model(images):
        return bias + 0 * images.flatten(1)[:, :2]

    for reading in READINGS:
        got = attacks.imperceptible(model, x, y, cost=distance, steps=3, validate=reading)
        assert torch.equal(got, x)
        assert torch.equal(attacks.pgd_l2(model, x, y, steps=3, validate=reading), x)


@pytest.mark.parametrize("attack", ["imperceptible", "pgd_l2"])
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model": network().train()}, r"model: it is in train mode"),
        ({"model": lambda x: x.flatten(1)[:, :4] / 0}, r"model: NaN or infinite logits"),
        ({"model": lambda x: network()(x).softmax(1)}, r"model: it seems to return probabilities"),
        ({"model": lambda x: network()(x).detach()}, r"model: its logits carry no gradient"),
        ({"model": lambda x: network()(x)[:1]}, r"expected logits of shape \(N, K\) with N = 2"),
        ({"model": lambda x: (x - x).sqrt().flatten(1)[:, :4] - 1}, r"the gradient of the loss"),
        ({"images": pictures(2) * 255}, r"images: expected values in .*divide by 255"),
        ({"images": pictures(2)[0]}, r"images: expected shape \(N, C, H, W\)"),
        ({"labels": torch.tensor([0])}, r"labels: expected one for each of the 2 images"),
        ({"labels": torch.tensor([0, 4])}, r"labels: expected labels below 4, .*got 4"),
        ({"steps": -1}, r"steps: expected a whole number ≥ 0, got -1"),
        ({"step_size": 0}, r"step_size: expected a finite number above 0, got 0"),
        ({"confidence": -1.0}, r"confidence: expected a finite number ≥ 0, got -1.0"),
        ({"validate": "floor"}, r"validate: expected one of .* got 'floor'"),
    ],
)  # fmt: skip
def test_bad_input_is_named(attack, change, match):
    given = {"model": network(), "images": pictures(2), "labels": torch.tensor([0, 1]), **change}
    if attack == "imperceptible":
        given["cost"] = distance
    with pytest.raises(ValueError, match=match):
        getattr(attacks, attack)(**given)


@pytest.mark.parametrize(
    ("cost", "lam", "match"),
    [
        (distance, -1, r"lam: expected a finite number ≥ 0, got -1"),
        (
            lambda x, y: distance(x, y).mean(),
            1,
            r"cost: expected one value per image, shape \(2,\)",
        ),
        (lambda x, y: distance(x, y) * torch.nan, 1, r"cost: NaN or infinite"),
        (
            lambda x, y: distance(x, y).sqrt(),
            1,
            r"gradient of the loss less the ground cost is NaN",
        ),
    ],
)
def test_bad_costs_are_named(cost, lam, match):
    model, x = network(), pictures(2)
    with pytest.raises(ValueError, match=match):
        attacks.imperceptible(model, x, model(x).argmax(1), cost=cost, lam=lam)


class Answers(TorchDispatchMode):
    """Counts what makes a program wait for a GPU: numbers read, masks turned into indices."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        indices = args[1] if name in ("index", "index_put", "index_put_") else []
        masked = any(one is not None and one.dtype == torch.bool for one in indices)
        self.count += masked or name in ("_local_scalar_dense", "nonzero", "equal", "is_nonzero")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("attack", ["imperceptible", "pgd_l2"])
def test_a_step_waits_for_one_answer(attack, setting, monkeypatch):
    model, x, y = setting
    options = {"cost": distance} if attack == "imperceptible" else {}
    answers, counted = Answers(), []
    listed = torch.Tensor.tolist

    def tolist(tensor):
        answers.count += 1
        return listed(tensor)

    def asked(images):
        counted.append(answers.count)
        return model(images)

    monkeypatch.setattr(torch.Tensor, "tolist", tolist)
    with answers:
        getattr(attacks, attack)(asked, x, y, confidence=1e9, steps=9, step_size=0.01, **options)
    assert len(counted) == 9
    assert [after - before for before, after in pairwise(counted[1:])] == 7 * [1]


@pytest.mark.parametrize("step", [1, 2, 5])
def test_a_cost_that_fails_later_is_named(step, setting):
    model, x, y = setting
    asked = []

    def broken(of):
        def cost(reference, images):
            asked.append(len(images))
            return distance(reference, of(images) if len(asked) == step else images)

        return cost

    options = {"confidence": 1e9, "steps": 5, "step_size": 0.01}
    with pytest.raises(ValueError, match=r"cost: NaN or infinite"):
        attacks.imperceptible(model, x, y, cost=broken(lambda z: z * torch.inf), **options)
    assert len(asked) == step
    asked.clear()
    with pytest.raises(ValueError, match=r"gradient of the loss less the ground cost is NaN"):
        attacks.imperceptible(model, x, y, cost=broken(lambda z: z + (z - z).sqrt()), **options)
    assert len(asked) == step
