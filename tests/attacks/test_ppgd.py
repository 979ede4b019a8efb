"""PPGD, against the closed form for a linear φ and a version with the Jacobian written out."""

import sys
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from humimp import attacks, images
from humimp.attacks import _nptm
from humimp.attacks._steps import margin
from humimp.attacks.ppgd import conjugate_gradient, ppgd, steepest

from .conftest import network, pictures

SHAPE = (1, 4, 4)  # of a small image: 16 values
VARIANTS = ["paper", "code"]


def matrix(rows=20, seed=0, columns=16):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


def linear(a):
    """φ(x) = A x."""
    return lambda x: x.flatten(1) @ a.T


def bent(seed=0, columns=16):
    """φ(x) = tanh(A x), whose Jacobian is diag(1 − φ²) A."""
    a = 0.4 * matrix(30, seed, columns)
    return lambda x: torch.tanh(x.flatten(1) @ a.T)


def vectors(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *SHAPE, generator=generator, dtype=torch.float64)


def noise(x, seed=0, scale=0.01):
    drawn = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(seed))
    return scale * drawn.to(x.dtype)


# --- one step ---


@given(st.integers(0, 99), st.sampled_from(VARIANTS))
@settings(max_examples=20)
def test_the_step_has_its_closed_form_for_linear_features(seed, variant):
    """δ = ε (AᵀA)⁻¹ g / √(gᵀ (AᵀA)⁻¹ g), the greatest gᵀδ in the ellipsoid ‖Aδ‖ ≤ ε."""
    a, gradient, x = matrix(60, seed), 1e6 * vectors(3, seed), vectors(3, seed + 1)
    got = steepest(linear(a), x, gradient, 0.3, 40, 1e-3, variant).flatten(1)
    g = gradient.flatten(1)
    solved = torch.linalg.solve(a.T @ a, g.T).T
    wanted = 0.3 * solved / (g * solved).sum(1, keepdim=True).sqrt()
    assert torch.allclose(got, wanted, rtol=1e-6, atol=1e-7)
    assert torch.allclose((got @ a.T).norm(dim=1), torch.full((3,), 0.3, dtype=a.dtype), rtol=1e-9)


@given(st.integers(0, 99))
@settings(max_examples=20)
def test_no_other_step_of_that_length_gains_more(seed):
    a, gradient = matrix(seed=seed), 1e6 * vectors(1, seed)
    best = steepest(linear(a), vectors(1), gradient, 1.0, 40, 1e-3)
    others = vectors(200, seed + 1)
    others /= (others.flatten(1) @ a.T).norm(dim=1)[:, None, None, None]
    assert (_nptm.dot(gradient, others) <= _nptm.dot(gradient, best)).all()


def test_by_the_paper_features_change_as_much_as_asked_by_the_code_far_more():
    """A long gradient makes the code's difference no derivative."""
    phi, x, gradient = bent(), 0.1 * vectors(2), 1e4 * vectors(2, 1)
    lengths = {}
    for variant in VARIANTS:
        step = steepest(phi, x, gradient, 0.05, 20, 1e-3, variant)
        _, change = torch.autograd.functional.jvp(phi, x, step)
        lengths[variant] = change.norm(dim=1)
    assert torch.allclose(lengths["paper"], torch.full((2,), 0.05).double(), rtol=0.02)
    assert (lengths["code"] > 0.5).all()


def test_a_gradient_too_short_is_no_step():
    x, gradient = vectors(2), vectors(2, 1)
    gradient[1] *= 0.9e-4 / gradient[1].norm()
    got = steepest(linear(matrix()), x, gradient, 0.1, 5, 1e-3)
    assert torch.equal(got[1], torch.zeros(SHAPE).double())
    assert (got[0] != 0).all()


# --- conjugate gradients ---


def systems(n=3, seed=0):
    """Return symmetric positive definite matrices, one per image, and how to multiply by them."""
    a = torch.stack([matrix(seed=10 * seed + k) for k in range(n)])
    a = a.transpose(1, 2) @ a

    def multiply(v):
        return torch.einsum("nij,nj->ni", a[: len(v)], v.flatten(1)).view_as(v)

    return a, multiply


@given(st.integers(0, 99))
@settings(max_examples=20)
def test_conjugate_gradients_solve_the_system(seed):
    a, multiply = systems(seed=seed)
    b = vectors(3, seed)
    got = conjugate_gradient(multiply, b, 60, 0.0)
    wanted = torch.linalg.solve(a, b.flatten(1))
    assert torch.allclose(got.flatten(1), wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_after_k_steps_it_is_the_best_of_the_krylov_space(steps):
    """Its error is the least in the norm of A among all of span{b, Ab, ..., A^(k−1) b}."""
    a, multiply = systems()
    b = vectors(3)
    got = conjugate_gradient(multiply, b, steps, 0.0)
    for k in range(3):
        power, basis = b[k].flatten(), []
        for _ in range(steps):
            basis.append(power / power.norm())
            power = a[k] @ basis[-1]
        q = torch.linalg.qr(torch.stack(basis, 1)).Q
        wanted = q @ torch.linalg.solve(q.T @ a[k] @ q, q.T @ b[k].flatten())
        assert torch.allclose(got[k].flatten(), wanted, rtol=0, atol=1e-10)


def test_an_image_whose_residual_is_small_stays_while_others_go_on():
    a, multiply = systems()
    b = vectors(3)
    b[1] *= 1e-3
    got = conjugate_gradient(multiply, b, 30, 1e-4)
    once = conjugate_gradient(multiply, b, 1, 0.0)
    assert torch.equal(got[1], once[1])
    residual = torch.einsum("nij,nj->ni", a, got.flatten(1)) - b.flatten(1)
    assert (residual.square().sum(1) < 1e-4).all()
    assert torch.equal(conjugate_gradient(multiply, 0 * b, 5, 0.0), 0 * b)


# --- projection ---


@given(st.integers(0, 99), st.floats(0.05, 3.0))
@settings(max_examples=20)
def test_bisection_lands_on_the_border_between_original_and_image(seed, bound):
    phi, x0 = bent(seed), pictures(4, seed, 1, 4)
    x = pictures(4, seed + 1, 1, 4)
    got = _nptm.project(phi, x0, phi(x0), x, bound, "bisection")
    inside = (phi(x) - phi(x0)).norm(dim=1) <= bound
    distance = (phi(got) - phi(x0)).norm(dim=1)
    assert (distance <= bound * (1 + 1e-12)).all()
    assert torch.equal(got[inside], x[inside])
    share = _nptm.dot(got - x0, x - x0) / _nptm.dot(x - x0, x - x0)
    assert torch.allclose(got, x0 + _nptm.wide(share) * (x - x0), rtol=0, atol=1e-12)
    further = x0 + _nptm.wide(share + 2**-10) * (x - x0)
    assert ((phi(further) - phi(x0)).norm(dim=1) > bound)[~inside].all()


@given(st.integers(0, 99), st.floats(0.05, 3.0))
@settings(max_examples=20)
def test_newton_lands_within_the_bound(seed, bound):
    phi, x0 = bent(seed), pictures(4, seed, 1, 4)
    x = pictures(4, seed + 1, 1, 4)
    for variant in VARIANTS:
        got = _nptm.project(phi, x0, phi(x0), x, bound, "newton", variant)
        inside = (phi(x) - phi(x0)).norm(dim=1) <= bound
        over = 1e-12 if variant == "paper" else 0.05  # where the code bisects at last
        assert ((phi(got) - phi(x0)).norm(dim=1) <= bound * (1 + over)).all()
        assert torch.equal(got[inside], x[inside])
        assert (got >= 0).all()
        assert (got <= 1).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_newtons_steps_one_by_one(variant):
    """The gradient of d = ‖A δ‖ is AᵀAδ/d; steps overshoot by 0.1 and a tenth.

    In the code it is summed over the steps.
    """
    a, bound = 0.5 * matrix(), 0.2
    x0 = torch.full((1, *SHAPE), 0.5, dtype=torch.float64)
    delta = 0.1 * matrix(1)[0].clamp(-1, 1)
    x, slopes, taken = delta.clone(), torch.zeros(16).double(), 0
    while (d := (a @ x).norm()) > bound:
        slope = a.T @ a @ x / d
        slopes = slopes + slope if variant == "code" else slope
        x = x - (d - bound + 0.1) * 1.1 * slopes / slopes.dot(slopes)
        taken += 1
    got = _nptm.project(
        linear(a), x0, linear(a)(x0), x0 + delta.view(x0.shape), bound, "newton", variant
    )
    assert taken >= 2
    assert torch.allclose((got - x0).flatten(), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bound", [0.3, 1.7])
def test_bisection_in_the_code_returns_the_tenth_point_it_looked_at(bound):
    phi, x0, x = bent(), pictures(4, 0, 1, 4), pictures(4, 1, 1, 4)
    got, outside = _nptm.project(phi, x0, phi(x0), x, bound, "bisection", "code"), 0
    for k in range(4):
        low, high = 0.0, 1.0
        for _ in range(10):
            middle = (low + high) / 2
            tried = x0[k] + middle * (x[k] - x0[k])
            if (phi(tried[None]) - phi(x0[k, None])).norm() > bound:
                high = middle
                last = True
            else:
                low = middle
                last = False
        outside += last
        assert torch.allclose(got[k], tried, rtol=0, atol=1e-14)
    assert outside >= 1


def test_where_newton_fails_bisection_follows():
    a = matrix()

    def flat(x):  # the values of a linear φ and no gradient
        return linear(a)(x).detach() + 0 * x.flatten(1)[:, :1]

    x0, x = pictures(3, 0, 1, 4), pictures(3, 1, 1, 4)
    got = _nptm.project(flat, x0, flat(x0), x, 0.5, "newton")
    wanted = _nptm.project(flat, x0, flat(x0), x, 0.5, "bisection")
    assert torch.equal(got, wanted)


# --- the attack ---


def slow(model, x0, y, phi, *, bound, steps, h=None):
    """One image, the paper's way: the Jacobian as a matrix, the system solved, bisected."""
    x = x0 + noise(x0[None])
    for _ in range(steps):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(margin(model(x[None]), y[None])[0], x)
        jacobian = torch.autograd.functional.jacobian(lambda z: phi(z[None])[0], x.detach())
        jacobian = jacobian.flatten(1)
        solved = torch.linalg.solve(jacobian.T @ jacobian, gradient.flatten())
        delta = 2 * bound / steps * solved / (jacobian @ solved).norm()
        x = (x.detach() + delta.view_as(x)).clamp(0, 1)
        low, high = 0.0, 1.0
        if (phi(x[None]) - phi(x0[None])).norm() > bound:
            for _ in range(40):
                middle = (low + high) / 2
                z = x0 + middle * (x - x0)
                if (phi(z[None]) - phi(x0[None])).norm() > bound:
                    high = middle
                else:
                    low = middle
            x = x0 + low * (x - x0)
    return x


def test_against_the_jacobian_written_out():
    """Conjugate gradients run to the end, a tiny h, and a loss that never has enough."""
    model, phi, x = network(channels=1, side=4), bent(), pictures(4, 0, 1, 4)
    y = model(x).argmax(1)
    got = ppgd(
        lambda z: 1e5 * model(z), x, y, features=phi, bound=0.4, steps=3, cg_steps=60, h=1e-6,
        confidence=1e9, projection="bisection", validate="none",
    )  # fmt: skip
    wanted = torch.stack([slow(model, x[k], y[k], phi, bound=0.4, steps=3) for k in range(4)])
    moved = (wanted - x).flatten(1).norm(dim=1)
    assert (moved > 0.1).all()
    assert ((got - wanted).flatten(1).norm(dim=1) / moved < 3e-3).all()


def test_the_loss_has_enough_at_its_confidence():
    model, phi, x = network(channels=1, side=4), bent(), pictures(6, 0, 1, 4)
    y = model(x).argmax(1)
    for confidence in (0.0, 0.2):
        seen = []
        ppgd(
            model, x, y, features=phi, bound=2.0, steps=8, confidence=confidence,
            validate="none", callback=lambda *now, seen=seen: seen.append(now),
        )  # fmt: skip
        before = x + noise(x)
        for step, now, active in seen:
            assert step >= 1
            assert torch.equal(active, margin(model(before), y) < confidence)
            assert torch.equal(now[~active], before[~active])
            before = now
        assert len({int(active.sum()) for _, _, active in seen}) > 1


@pytest.mark.parametrize("projection", ["newton", "bisection"])
def test_what_the_noise_alone_finishes_is_projected(projection):
    """Of these images it finishes one."""
    model, phi, x, bound = network(), bent(columns=108), pictures(200)[:8], 0.05
    y, start = model(x).argmax(1), x + noise(x)
    (done,) = (margin(model(start), y) >= 0).nonzero()[:, 0].tolist()
    start = start.clamp(0, 1)
    assert (phi(start) - phi(x)).norm(dim=1)[done] > bound
    seen = []
    got = ppgd(
        model, x, y, features=phi, bound=bound, confidence=0.0, projection=projection,
        validate="none", callback=lambda *now: seen.append(now),
    )  # fmt: skip
    assert ((phi(got) - phi(x)).norm(dim=1) <= bound * (1 + 1e-12)).all()
    assert not any(active[done] for _, _, active in seen)
    one = slice(done, done + 1)
    wanted = _nptm.project(phi, x[one], phi(x[one]), start[one], bound, projection)
    assert torch.allclose(got[one], wanted, rtol=0, atol=1e-12)
    wide = ppgd(model, x, y, features=phi, bound=1.0, confidence=0.0, validate="none")
    assert torch.equal(wide[done], start[done])  # within the bound it stays as it is


def test_in_the_code_what_has_enough_is_still_projected():
    """Bisection leaves an image just outside; later steps bring it in."""
    model, phi, x = network(channels=1, side=4), bent(), pictures(6, 0, 1, 4)
    y, seen = model(x).argmax(1), []
    ppgd(
        model, x, y, features=phi, bound=1.0, steps=6, confidence=0.0, variant="code",
        projection="bisection", validate="none", callback=lambda *now: seen.append(now),
    )  # fmt: skip
    moved = 0
    for (_, before, _), (_, after, active) in pairwise(seen):
        assert active.all()
        enough = margin(model(before), y) >= 0
        reference = phi(x)[enough]
        wanted = _nptm.project(phi, x[enough], reference, before[enough], 1.0, "bisection", "code")
        assert torch.equal(after[enough], wanted)
        moved += int((wanted != before[enough]).flatten(1).any(1).sum())
    assert moved


def test_a_target_is_reached():
    model, phi, x = network(channels=1, side=4), bent(), pictures(6, 0, 1, 4)
    y = (model(x).argmax(1) + 1) % 4
    got = ppgd(model, x, y, features=phi, bound=4.0, steps=10, targeted=True, confidence=0.1)
    assert (model(got).argmax(1) == y).sum() >= 5


def test_the_variants_differ_and_both_stay_within_the_bound():
    model, phi, x = network(), bent(columns=108), pictures(6)
    y = model(x).argmax(1)
    made = {
        variant: ppgd(
            lambda z: 1e3 * model(z), x, y, features=phi, bound=0.3, variant=variant,
            confidence=1e6, validate="none",
        )
        for variant in ("paper", "code")
    }  # fmt: skip
    assert (made["paper"] != made["code"]).flatten(1).any(1).all()
    for got in made.values():
        assert ((phi(got) - phi(x)).norm(dim=1) <= 0.3 * (1 + 1e-12)).all()


# --- what both attacks promise ---

BOTH = pytest.mark.parametrize("attack", [attacks.ppgd, attacks.lpa])


@BOTH
@settings(max_examples=10, deadline=None)
@given(
    order=st.permutations(range(6)),
    which=st.integers(0, 5),
    projection=st.sampled_from(["newton", "bisection"]),
    seed=st.integers(0, 9),
)
def test_each_image_is_attacked_as_if_alone(attack, order, which, projection, seed):
    model, x, phi = network(), pictures(6, seed), bent(columns=108)
    y = torch.arange(6) % 4
    options = {
        "features": phi, "validate": "none", "bound": 0.4, "steps": 4, "projection": projection,
        "confidence": 0.3,
    }  # fmt: skip
    together = attack(model, x, y, **options)
    permuted = attack(model, x[order], y[order], **options)
    alone = attack(model, x[which, None], y[which, None], **options)
    assert torch.allclose(permuted, together[order], rtol=0, atol=1e-10)
    assert torch.allclose(alone, together[which, None], rtol=0, atol=1e-10)


@BOTH
def test_wrong_images_come_back_untouched_and_the_rest_is_8_bit_within_the_bound(attack, setting):
    model, x, y = setting
    phi = bent(columns=108)
    got = attack(model, x, y, features=phi, bound=0.5, steps=5)
    assert torch.equal(got[[3, 6]], x[[3, 6]])
    assert (got != x).flatten(1).any(1).sum() == 6
    assert torch.equal(images.validate(got, "round"), got)
    exact = attack(model, x, y, features=phi, bound=0.5, validate="none", steps=5)
    assert torch.equal(got, images.validate(exact, "round"))
    assert ((phi(exact) - phi(x)).norm(dim=1) <= 0.5 * (1 + 1e-12)).all()
    floored = attack(model, x, y, features=phi, bound=0.5, validate="truncate", steps=5)
    assert torch.equal(floored[0], images.validate(exact, "truncate")[0])
    wrong = (model(x).argmax(1) + 1) % 4
    assert torch.equal(attack(model, x, wrong, features=phi), x)


@BOTH
@pytest.mark.parametrize("projection", ["newton", "bisection"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_last_projection_is_the_one_asked_for(attack, projection, variant):
    """A step far beyond the bound, then one projection."""
    model, phi, x = network(), bent(columns=108), pictures(6)
    y = model(x).argmax(1)
    options = {"steps": 1, "step_size": 2.0, "bound": 0.2, "confidence": 1e6}
    if attack is attacks.lpa:
        options["searches"] = 1
    seen = []
    real, into = _nptm.project, sys.modules[attack.__module__]

    def watched(*given):
        seen.append(given)
        return real(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(into, "project", watched)
        got = attack(
            lambda z: 1e3 * model(z), x, y, features=phi, projection=projection, variant=variant,
            validate="none", **options,
        )  # fmt: skip
    assert len(seen) == 1
    assert seen[0][4:] == (0.2, projection, variant)
    assert ((phi(seen[0][3]) - phi(x)).norm(dim=1) > 0.2).any()
    assert torch.equal(got, real(phi, x, phi(x), seen[0][3], 0.2, projection, variant))


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_dtype_and_input_are_kept(attack, dtype, channels):
    model, x = network(channels=channels, dtype=dtype), pictures(3, channels=channels, dtype=dtype)
    y, before, a = model(x).argmax(1), x.clone(), matrix(9, columns=36 * channels).to(dtype)
    got = attack(model, x, y, features=linear(a), steps=3)
    assert (got.dtype, got.shape, got.requires_grad) == (dtype, x.shape, False)
    assert got.data_ptr() != x.data_ptr()
    assert (got != x).flatten(1).any(1).all()
    assert torch.equal(x, before)


@BOTH
def test_the_noise_is_one_for_all_and_comes_from_the_generator(attack):
    model, phi = network(), bent(columns=108)
    x = pictures(1).expand(3, -1, -1, -1)
    y = model(x).argmax(1)

    def run(seed=None, **more):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return attack(
            model,
            x,
            y,
            features=phi,
            generator=generator,
            validate="none",
            bound=0.2,
            steps=3,
            **more,
        )

    state = torch.random.get_rng_state()
    first = run()
    assert torch.equal(first, run())
    assert torch.equal(first, run(0))
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first, run(1))
    assert torch.equal(run(1, noise=0), run(2, noise=0))
    assert torch.equal(torch.random.get_rng_state(), state)


@BOTH
@pytest.mark.parametrize("grads", [True, False])
def test_the_model_is_left_as_it_is(attack, grads):
    model, x = network(), pictures(4)
    model.requires_grad_(grads)
    model[0].weight.requires_grad_(not grads)
    flags = [p.requires_grad for p in model.parameters()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():  # the caller's mode must not matter
        attack(model, x, model(x).argmax(1), features=bent(columns=108), steps=2)
        assert not torch.is_grad_enabled()
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert not any(part.training for part in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


PHI = bent(columns=108)


@BOTH
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model": network().train()}, r"model: it is in train mode"),
        ({"model": lambda x: x.flatten(1)[:, :4] / 0}, r"model: NaN or infinite logits"),
        ({"model": lambda x: network()(x).detach()}, r"model: its logits carry no gradient"),
        (
            {"model": lambda x: network()(x) + (x - x).flatten(1)[:, :4].sqrt()},
            r"the gradient of the (margin|Lagrangian) is NaN",
        ),
        ({"images": pictures(2) * 255}, r"images: expected values in .*divide by 255"),
        ({"labels": torch.tensor([0])}, r"labels: expected one for each of the 2 images"),
        ({"features": None}, r"features: expected a function images → \(N, D\), got NoneType"),
        ({"features": lambda x: x}, r"features: expected one vector per image, shape \(2, D\)"),
        ({"features": lambda x: PHI(x)[:1]}, r"features: .* shape \(2, D\), got \(1, 30\)"),
        ({"features": lambda x: PHI(x) / 0}, r"features: NaN or infinite"),
        ({"features": lambda x: PHI(x).detach()}, r"features: they carry no gradient"),
        ({"features": lambda x: network()(x.detach())}, r"features: they carry no gradient"),
        ({"bound": 0}, r"bound: expected a finite number above 0, got 0"),
        ({"steps": 0}, r"steps: expected a whole number ≥ 1, got 0"),
        ({"step_size": 0}, r"step_size: expected a finite number above 0, got 0"),
        ({"h": 0}, r"h: expected a finite number above 0, got 0"),
        ({"noise": -1}, r"noise: expected a finite number ≥ 0, got -1"),
        ({"confidence": -1.0}, r"confidence: expected a finite number ≥ 0, got -1.0"),
        ({"variant": "both"}, r"variant: expected one of 'paper', 'code', got 'both'"),
        ({"projection": "linear"}, r"projection: expected one of .* got 'linear'"),
        ({"validate": "floor"}, r"validate: expected one of .* got 'floor'"),
    ],
)  # fmt: skip
def test_bad_input_is_named(attack, change, match):
    x = pictures(2)
    labels = network()(x).argmax(1)
    given = {"model": network(), "images": x, "labels": labels, "features": PHI, **change}
    with pytest.raises(ValueError, match=match):
        attack(**given)


def test_finite_differences_are_taken_over_a_thousandth():
    model, x = network(), pictures(2)
    y = model(x).argmax(1)
    options = {"features": PHI, "steps": 2, "validate": "none"}
    got = ppgd(model, x, y, **options)
    assert torch.equal(got, ppgd(model, x, y, h=1e-3, **options))
    assert not torch.equal(got, ppgd(model, x, y, h=2e-3, **options))


def test_bad_cg_steps_are_named():
    model, x = network(), pictures(2)
    with pytest.raises(ValueError, match=r"cg_steps: expected a whole number ≥ 1, got 0"):
        ppgd(model, x, model(x).argmax(1), features=PHI, cg_steps=0)
