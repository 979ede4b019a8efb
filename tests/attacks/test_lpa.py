"""LPA, against the closed form of its first step and the algorithm written out for one image.

What it shares with PPGD is tested in test_ppgd.py.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from humimp import attacks
from humimp.attacks._steps import margin

from .conftest import network, pictures
from .test_ppgd import bent, linear, matrix, noise


@given(st.integers(0, 99), st.floats(0.01, 0.3))
@settings(max_examples=20)
def test_the_first_step_reaches_the_bound_for_linear_features(seed, bound):
    """Along the unit gradient w/‖w‖ of the margin as far as ‖A δ‖ = ε."""
    w, a = matrix(1, seed)[0], 2 * matrix(seed=seed + 1)
    x = torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64)

    def model(images):
        value = (images - 0.5).flatten(1) @ w - 5.0
        return torch.stack([torch.zeros_like(value), value], 1)

    got = attacks.lpa(
        model, x, torch.tensor([0]), features=linear(a), bound=bound, steps=1, searches=1,
        noise=0, validate="none", projection="bisection",
    )  # fmt: skip
    delta = bound * w / (a @ w).norm()
    assert torch.allclose((got - x).flatten(), delta, rtol=1e-2 / 8, atol=0)
    assert float((a @ (got - x).flatten()).norm()) <= bound * (1 + 1e-12)


def slow(model, x0, y, phi, *, bound, steps, searches, lam, confidence, early):
    """One image: the rounds, their λ and their steps, before the projection; and where it ended."""
    x, reference = x0 + noise(x0[None]), phi(x0[None])
    taken, prices = 0, []
    for _ in range(searches):
        prices.append(lam)
        for t in range(steps):
            z = x.clone().requires_grad_()
            logits = model(z[None])[0]
            others = torch.cat([logits[:y], logits[y + 1 :]])
            gain = others.max() - logits[y]
            distance = (phi(z[None]) - reference).norm()
            loss = -torch.clamp(gain, max=confidence) + lam * torch.relu(distance - bound)
            loss.backward()
            length = z.grad.norm()
            downhill = -z.grad / length if length > 0 else torch.zeros_like(x)
            ahead = phi((x + 0.1 * downhill)[None]) - phi(x[None])
            size = bound * 10 ** (-t / steps) / (ahead.norm() / 0.1 + 1e-8)
            x = (x + size * downhill).clamp(0, 1).detach()
            taken += 1
            if early and gain > 0 and distance <= bound:
                return x, taken, prices
        if distance >= bound:
            lam *= 10
    return x, taken, prices


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("bound", [0.1, 0.25, 1.0])
@pytest.mark.parametrize("confidence", [1.0, 0.05])
def test_against_the_algorithm_written_out(setting, early, bound, confidence):
    model, x, y = setting
    phi = bent(columns=108)
    options = {"bound": bound, "steps": 4, "searches": 3, "lam": 0.02, "confidence": confidence}
    last, steps = x.clone(), torch.zeros(8, dtype=torch.int64)

    def keep(step, now, active):
        last.copy_(now)
        steps.add_(active)

    got = attacks.lpa(
        model, x, y, features=phi, early_stop=early, validate="none", callback=keep, **options
    )
    raised = 0
    for k in set(range(8)) - {3, 6}:
        wanted, taken, prices = slow(model, x[k], int(y[k]), phi, early=early, **options)
        assert int(steps[k]) == taken
        assert torch.allclose(last[k], wanted, rtol=0, atol=1e-9)
        if (phi(wanted[None]) - phi(x[k, None])).norm() <= bound:
            assert torch.equal(got[k], last[k])
        raised += prices[-1] > 0.02
    assert steps[3] == steps[6] == 0
    assert ((phi(got) - phi(x)).norm(dim=1) <= bound * (1 + 1e-12)).all()
    if bound == 0.1:
        assert raised >= 2  # λ had to grow


def test_it_stops_one_step_after_it_was_found(setting):
    model, x, y = setting
    phi, seen = bent(columns=108), []
    attacks.lpa(
        model, x, y, features=phi, bound=1.0, validate="none",
        callback=lambda *now: seen.append(now),
    )  # fmt: skip
    before = x + noise(x)
    stopped = torch.zeros(8, dtype=torch.bool)
    stopped[[3, 6]] = True
    for step, (number, now, active) in enumerate(seen, 1):
        assert number == step
        assert torch.equal(active, ~stopped)
        within = (phi(before) - phi(x)).norm(dim=1) <= 1.0
        stopped |= (margin(model(before), y) > 0) & within
        before = now
    assert stopped.all()


def test_a_target_is_reached():
    model, phi, x = network(), bent(columns=108), pictures(6)
    y = (model(x).argmax(1) + 1) % 4
    got = attacks.lpa(model, x, y, features=phi, bound=3.0, targeted=True)
    assert (model(got).argmax(1) == y).all()


@pytest.mark.parametrize("bound", [1e-3, 1.0])
@pytest.mark.parametrize("who", ["model", "features"])
def test_a_gradient_that_one_of_two_terms_lost_is_missed_at_the_first_step(who, bound):
    """Within the bound the features' term is 0, and beyond it the sum has a gradient."""
    lossy, whole, x = network(seed=1), network(), pictures(2)
    given = {"model": whole, "features": bent(columns=108)}
    given[who] = lambda z: lossy(z.detach())
    labels = given["model"](x).argmax(1)
    with pytest.raises(ValueError, match=rf"{who}: .* carry no gradient"):
        attacks.lpa(images=x, labels=labels, bound=bound, steps=1, searches=1, **given)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"searches": 0}, r"searches: expected a whole number ≥ 1, got 0"),
        ({"lam": -1}, r"lam: expected a finite number ≥ 0, got -1"),
    ],
)
def test_bad_options_of_its_own_are_named(change, match):
    model, x = network(), pictures(2)
    with pytest.raises(ValueError, match=match):
        attacks.lpa(model, x, model(x).argmax(1), features=bent(columns=108), **change)
