"""The 8-bit aware attack against its listing, and a hyperplane, whose fewest levels are known."""

import math
import statistics
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from humimp import attacks, costs, images

from .conftest import distance, network, pictures


def squared(original, x):
    return (x - original).flatten(1).square().sum(1)


def room_of(x, p):
    """Say pixel by pixel how busy one image is, as a list in the order of its values."""
    channels, height, width = x.shape
    found = []
    for i in range(height):
        for j in range(width):
            rows = [min(max(i + d, 0), height - 1) for d in range(-7, 8)]
            columns = [min(max(j + d, 0), width - 1) for d in range(-7, 8)]
            near = [float(x[:, r, c].mean()) for r in rows for c in columns]
            found.append((statistics.pstdev(near) + 0.02) ** p)
    return [value / statistics.fmean(found) for value in found] * channels


def literal(model, x, y, *, steps, step_size, classes, rounds, masking, a, targeted, cost):
    """Climb and average value by value, for one image."""
    room = room_of(x, masking)

    def margin(logits):
        others = torch.cat([logits[:y], logits[y + 1 :]]).max()
        return logits[y] - others if targeted else others - logits[y]

    def image(levels):
        return torch.tensor([float(level) for level in levels]).to(x).view(x.shape) / 255

    def price(levels):
        near = zip(start, levels, room, strict=True)
        return sum((b - a) ** 2 / r for a, b, r in near) / 255**2

    def far(levels):
        return price(levels) if cost is None else float(cost(x[None], image(levels)[None]))

    def wrong(levels):
        return bool(margin(model(image(levels)[None])[0]) > a)

    def going(way, scale):
        """Take each next level of a value as long as it adds enough for its price."""
        levels = []
        for first, w, r in zip(start, way, room, strict=True):
            k = 0
            while abs(w) * r / (2 * k + 1) >= 1 / (2 * scale):
                k += 1
            levels.append(min(max(first + (k if w > 0 else -k), 0), 255))
        return levels

    def unit(values):
        length = math.sqrt(sum(value * value for value in values))
        return [value / length for value in values]

    start = [round(255 * value) for value in x.flatten().tolist()]
    if wrong(start):
        return x

    def climb(goal, towards):
        """Return z, the last levels, and whether they are wrong."""
        z, levels = x, start
        for _ in range(steps):
            variable = z[None].clone().requires_grad_()
            value = F.cross_entropy(model(variable), torch.tensor([goal]))
            (g,) = torch.autograd.grad(-value if towards else value, variable)
            z = (z + step_size * g[0] / g[0].norm()).clamp(0, 1)
            levels = [round(255 * value) for value in z.flatten().tolist()]
            if wrong(levels):
                return z, levels, True
        return z, levels, False

    def average(w, here, kept, numbers):
        for t in numbers:
            variable = image(here)[None].requires_grad_()
            (g,) = torch.autograd.grad(margin(model(variable)[0]), variable)
            g, beta = unit(g.flatten().tolist()), 2 / (t + 4)
            w = [(1 - beta) * one + beta * other for one, other in zip(w, g, strict=True)]
            peak = max(abs(one) * r for one, r in zip(w, room, strict=True))
            low, high = 0.5 / peak, 255.5 / peak
            for _ in range(13):
                middle = math.sqrt(low * high)
                if price(going(w, middle)) < price(kept):
                    low = middle
                else:
                    high = middle
            scale, by = 0.99 * low, 1.06
            here = going(w, scale)
            for _ in range(3):
                tried = going(w, scale)
                success = wrong(tried)
                if success:
                    here = tried
                    if far(tried) < far(kept):
                        kept = tried
                scale = scale / by if success else scale * by
                by = math.sqrt(by)
        return w, here, kept

    goals = [(y, targeted)]
    if rounds and not targeted:
        logits = model(x[None])[0].tolist()
        others = sorted((k for k in range(len(logits)) if k != y), key=lambda k: -logits[k])
        goals += [(k, True) for k in others[:classes]]
    first, best = None, None
    for goal, towards in goals:
        z, levels, fooled = climb(goal, towards)
        first = first or levels
        if fooled:
            w = unit((z - x).flatten().tolist())
            w, here, kept = average(w, levels, levels, range(min(4, rounds)))
            if best is None or far(kept) < far(best[2]):
                best = w, here, kept
    return image(first) if best is None else image(average(*best, range(4, rounds))[2])


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(
    ("step_size", "classes", "rounds", "masking", "a", "cost"),
    [
        (0.03, 0, 8, 0.0, 0.0, None),
        (0.03, 3, 8, 1.0, 0.0, None),
        (0.05, 1, 5, 0.5, 0.05, None),
        (0.1, 2, 12, 0.0, 0.0, distance),
        (0.1, 9, 6, 2.0, 0.0, distance),
        (0.2, 3, 0, 1.0, 0.2, None),
        (0.3, 2, 3, 0.35, 0.0, None),
    ],
)
def test_against_the_listing(setting, targeted, step_size, classes, rounds, masking, a, cost):
    model, x, y = setting[0], setting[1][2:7], setting[2][2:7]
    if targeted:
        y = (y + 1) % 4
    options = {"steps": 40, "step_size": step_size, "rounds": rounds}
    options |= {"classes": classes, "masking": masking}
    wanted = [
        literal(
            model, image, label, **options, a=a, targeted=targeted, cost=cost
        )
        for image, label in zip(x, y.tolist(), strict=True)
    ]  # fmt: skip
    got = attacks.eight_bit(model, x, y, **options, confidence=a, targeted=targeted, cost=cost)
    assert torch.allclose(got, torch.stack(wanted), rtol=0, atol=1e-12)
    assert (got != x).flatten(1).any(1).sum() >= 2  # the test moves something
    alone = attacks.eight_bit(
        model, x, y, **options | {"rounds": 0}, confidence=a, targeted=targeted
    )
    assert rounds == 0 or (got != alone).any()  # and the rounds change something


class Hyperplane:
    """Two classes: logits (0, w·(x − grey) − gap)."""

    def __init__(self, w, gap):
        self.w, self.gap = w, gap
        self.image = torch.full((1, *w.shape), 128 / 255, dtype=torch.float64)

    def __call__(self, x):
        value = ((x - self.image) * self.w).sum((1, 2, 3)) - self.gap
        return torch.stack([torch.zeros_like(value), value], 1)

    def fewest(self, confidence=0.0):
        """Return how many levels it takes at least: the most useful values, a level each."""
        gains = self.w.abs().flatten().sort(descending=True).values.cumsum(0) / 255
        return int((gains <= self.gap + confidence).sum()) + 1


def draw(seed, shape=(3, 8, 8)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moved(got, plane):
    """Return by how many levels an image differs from the plane's, in all."""
    return round(float((255 * (got - plane.image)).abs().sum()))


@pytest.mark.parametrize("target", [None, 1])
@pytest.mark.parametrize("confidence", [0.0, 0.05])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_fewest_levels_are_moved_across_a_hyperplane(target, confidence, seed):
    plane = Hyperplane(draw(seed), 0.15)
    label = torch.tensor([0 if target is None else target])
    options = {"step_size": 0.02, "confidence": confidence, "targeted": target is not None}
    got = attacks.eight_bit(plane, plane.image, label, rounds=45, masking=0.0, **options)
    assert plane(got)[0, 1] > confidence
    assert (255 * (got - plane.image)).abs().max() < 1.5
    fewest = plane.fewest(confidence)
    assert fewest <= moved(got, plane) <= fewest + 1
    climb = attacks.eight_bit(plane, plane.image, label, rounds=0, **options)
    assert moved(climb, plane) > fewest + 1  # it takes the rounds to get there


def test_a_value_is_moved_by_a_second_level_where_that_is_worth_more_than_a_first():
    """To be 9 levels' gain ahead: three levels of the large entry, and not one of a small."""
    w = torch.full((3, 8, 8), 0.2, dtype=torch.float64)
    w[0, 3, 4] = -3.1
    plane = Hyperplane(w, 9 / 255)
    got = attacks.eight_bit(plane, plane.image, torch.tensor([0]), masking=0.0, step_size=0.002)
    change = (255 * (got - plane.image)).round()
    assert change[0, 0, 3, 4] == -3
    assert change.abs().sum() == 3


@pytest.mark.parametrize("confidence", [0.0, 0.3])
@pytest.mark.parametrize("cost", [None, distance])
def test_the_cost_never_rises_and_what_fools_still_fools(setting, confidence, cost):
    """Asked of the images that the callback is shown, after the fact."""
    model, x, y = setting
    seen = []
    options = {"masking": 0.0, "confidence": confidence, "cost": cost}
    got = attacks.eight_bit(
        model, x, y, classes=0, rounds=6, **options,
        callback=lambda step, now, active: seen.append((step, now, active)),
    )  # fmt: skip
    climbed = attacks.eight_bit(model, x, y, classes=0, rounds=0, **options)

    def wrong(x):
        logits = model(x)
        others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
        return others - logits.gather(1, y[:, None])[:, 0] > confidence

    took, averaged = seen[0][2], seen[-6:]
    assert torch.equal(took, ~wrong(x))
    assert [step for step, _, _ in seen] == list(range(1, len(seen) + 1))
    assert all(torch.equal(active, took) for _, _, active in averaged)
    assert torch.equal(seen[-1][1], got)
    assert torch.equal(got[~took], x[~took])
    prices = [(cost or squared)(x, now)[took] for now in (climbed, *(n for _, n, _ in averaged))]
    for _, now, _ in averaged:
        assert wrong(now).all()
        assert torch.equal(images.from_uint8(images.to_uint8(now), now.dtype), now)
    assert all((after <= before).all() for before, after in pairwise(prices))
    assert (prices[-1] < prices[0]).sum() >= 4


def test_the_nearest_of_several_boundaries_is_found():
    """Class 1 is likelier and its boundary 12 levels away, that of class 2 is 6 levels away."""
    grey = torch.full((1, 3, 6, 6), 128 / 255, dtype=torch.float64)

    def model(x):
        u, v = (255 * (x - grey))[:, 0, 0, :2].T
        return torch.stack([0 * u, u / 4 - 3.01, v - 6.01], 1)

    def levels(classes):
        options = {"classes": classes, "step_size": 0.002, "masking": 0.0}
        got = attacks.eight_bit(model, grey, torch.tensor([0]), **options)
        assert model(got).argmax() > 0
        return (255 * (got - grey))[0, 0, 0, :2].round().tolist()

    assert levels(0) == levels(1) == [13, 0]
    assert levels(2) == levels(9) == [0, 7]


def test_the_climb_stops_where_the_saved_image_first_fools(setting):
    model, x, y = setting
    seen = []
    got = attacks.eight_bit(
        model, x, y, rounds=0, callback=lambda step, now, active: seen.append((now, active))
    )
    for i in range(8):
        mine = [now[i] for now, active in seen if active[i]]
        for now in mine[:-1]:
            assert model(now[None]).argmax() == y[i]
        if mine:
            assert torch.equal(mine[-1], got[i])
            assert model(got[i, None]).argmax() != y[i]


def test_the_cost_decides_what_is_kept(setting):
    """Give the upper half of the image a price, and the lower none."""
    model, x, y = setting

    def upper(reference, x):
        return (x - reference)[:, :, :3].flatten(1).square().sum(1)

    plain, priced = (attacks.eight_bit(model, x, y, masking=0.0, cost=c) for c in (None, upper))
    climbed = attacks.eight_bit(model, x, y, rounds=0)
    assert (upper(x, priced) <= upper(x, climbed)).all()
    assert upper(x, priced).sum() < 0.99 * upper(x, climbed).sum()
    assert upper(x, priced).sum() < upper(x, plain).sum()
    assert squared(x, plain).sum() < squared(x, priced).sum()
    nothing = attacks.eight_bit(model, x, y, cost=lambda reference, x: 0 * squared(reference, x))
    assert torch.equal(nothing, climbed)


def test_a_cost_that_remembers_is_asked_as_such(setting):
    model, x, y = setting

    class Remembering:
        def at(self, reference):
            return attacks._steps.Remembered(distance, reference)

        def __call__(self, *_):
            raise AssertionError("at is faster")

    got = attacks.eight_bit(model, x, y, cost=Remembering())
    assert torch.equal(got, attacks.eight_bit(model, x, y, cost=distance))


def test_what_is_never_fooled_comes_back_as_the_climb_left_it():
    w = draw(0)
    plane = Hyperplane(w, 5)
    label, x = torch.tensor([0]), plane.image
    assert torch.equal(attacks.eight_bit(plane, x, label, steps=0), x)
    got = attacks.eight_bit(plane, x, label, steps=3, step_size=0.05, cost=costs.SSIM())
    assert torch.equal(got, images.validate(x + 0.15 * w / w.norm(), "round"))
    assert moved(got, plane) > 0


def test_without_gradient_nothing_moves():
    x, y = pictures(2), torch.tensor([0, 0])
    bias = torch.tensor([2.0, 0.0], dtype=torch.float64)
    got = attacks.eight_bit(lambda z: bias + 0 * z.flatten(1)[:, :2], x, y, steps=3)
    assert torch.equal(got, x)


def test_with_masking_the_change_goes_where_the_image_is_busy():
    """The right half is noise, the left half grey, and the model looks at both alike."""
    generator = torch.Generator().manual_seed(0)
    plane = Hyperplane(torch.randn(3, 48, 48, generator=generator, dtype=torch.float64), 6.0)
    noise = torch.rand(1, 3, 48, 24, generator=generator, dtype=torch.float64)
    plane.image[..., 24:] = images.validate(noise, "round")

    def busy(masking):
        got = attacks.eight_bit(plane, plane.image, torch.tensor([0]), masking=masking)
        assert plane(got).argmax() == 1
        change = (got - plane.image).square()
        return float(change[..., 24:].sum() / change.sum()), float(change.sum())

    (even, least), (more, some), (most, much) = busy(0.0), busy(1.0), busy(2.0)
    assert 0.4 < even < 0.6
    assert even + 0.15 < more < most
    assert least < some < much


def test_no_value_is_moved_beyond_black_or_white():
    """At the edge the most useful values cannot move, and others are taken."""
    w = draw(3)
    x = torch.where(w > 0.7, 1.0, torch.where(w < -0.7, 0.0, 128 / 255))[None].double()
    plane = Hyperplane(w, 0.1)
    plane.image = x
    got = attacks.eight_bit(plane, x, torch.tensor([0]), rounds=30, masking=0.0)
    assert plane(got)[0, 1] > 0
    stuck = (w.abs() > 0.7)[None]
    assert torch.equal(got[stuck], x[stuck])
    gains = w[~stuck[0]].abs().sort(descending=True).values.cumsum(0) / 255
    fewest = int((gains <= 0.1).sum()) + 1
    assert fewest <= moved(got, plane) <= fewest + 2


@settings(max_examples=10)
@given(st.permutations(range(6)), st.integers(0, 5), st.integers(0, 9))
def test_each_image_is_attacked_as_if_alone(order, which, seed):
    model, x = network(), pictures(6, seed)
    y = torch.arange(6) % 4
    options = {"steps": 20, "step_size": 0.1, "rounds": 4}
    together = attacks.eight_bit(model, x, y, **options)
    permuted = attacks.eight_bit(model, x[order], y[order], **options)
    alone = attacks.eight_bit(model, x[which, None], y[which, None], **options)
    assert torch.equal(permuted, together[order])
    assert torch.equal(alone, together[which, None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_dtype_input_and_model_are_kept(dtype, channels):
    model, x = network(channels=channels, dtype=dtype), pictures(3, channels=channels, dtype=dtype)
    with torch.no_grad():
        y, before = model(x).argmax(1), x.clone()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():  # the caller's mode must not matter
        got = attacks.eight_bit(model, x, y)
    assert (got.dtype, got.shape, got.requires_grad) == (dtype, x.shape, False)
    assert got.data_ptr() != x.data_ptr()
    assert torch.equal(images.from_uint8(images.to_uint8(got), dtype), got)
    assert (model(got).argmax(1) != y).all()
    assert torch.equal(x, before)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("classes", [0, 1])
def test_passes_are_as_few_as_said(setting, classes):
    """Two forward passes a step, and four a round; what is done leaves the batch."""
    model, x, y = setting
    sizes, grads, took = [], [], []

    def counted(images):
        sizes.append(len(images))
        grads.append(images.requires_grad)
        return model(images)

    attacks.eight_bit(
        counted, x, y, step_size=0.03, classes=classes, rounds=7,
        callback=lambda step, _, active: took.append(int(active.sum())),
    )  # fmt: skip
    assert sizes.pop(0) == 8
    assert not grads.pop(0)
    trial, rest = 4 * 4 * [6], 3 * 4 * [6]
    for _ in range(1 + classes):
        steps = next(k for k in range(1, len(took)) if took[k - 1] < took[k])
        climb = took[:steps]
        assert climb[0] == 6
        assert sizes[: 2 * steps] == [n for n in climb for _ in range(2)]
        assert grads[: 2 * steps] == steps * [True, False]
        del sizes[: 2 * steps], grads[: 2 * steps], took[: steps + 4]
        assert sizes[:16] == trial
        assert grads[:16] == 4 * [True, False, False, False]
        del sizes[:16], grads[:16]
    assert sizes == rest
    assert grads == 3 * [True, False, False, False]
    attacks.eight_bit(counted, x[[3, 6]], y[[3, 6]])  # misclassified as they come
    assert sizes == [*rest, 2]


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
        ({"classes": -1}, r"classes: expected a whole number ≥ 0, got -1"),
        ({"rounds": -1}, r"rounds: expected a whole number ≥ 0, got -1"),
        ({"rounds": 1.5}, r"rounds: expected a whole number ≥ 0, got 1.5"),
        ({"masking": -1.0}, "masking: expected"),
        ({"confidence": -1.0}, r"confidence: expected a finite number ≥ 0, got -1.0"),
        ({"cost": lambda reference, x: x.sum()}, r"cost: expected"),
        ({"cost": lambda reference, x: x.flatten(1).sum(1) * torch.nan}, r"cost: .*finite"),
    ],
)
def test_bad_input_is_named(change, match):
    x = pictures(2)
    y = network()(x).argmax(1)
    given = {"model": network(), "images": x, "labels": y, **change}
    with pytest.raises(ValueError, match=match):
        attacks.eight_bit(**given)
