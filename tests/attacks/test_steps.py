"""What every attack does with a model that cuts the gradient, and with a cost that remembers."""

import pytest
import torch

from humimp import attacks, costs, images
from humimp.attacks._steps import check_way, derive

from .conftest import distance, network, pictures


def features(x):
    return x.flatten(1)


ATTACKS = {
    "imperceptible": {"cost": distance, "steps": 3},
    "alma": {"cost": distance, "steps": 3},
    "perc_al": {"cost": distance, "steps": 3},
    "eight_bit": {"steps": 3},
    "pgd_l2": {"steps": 3},
    "ddn": {"steps": 3},
    "ppgd": {"features": features},
    "lpa": {"features": features},
    "pgd_step": {"l2": 0.1},
    "ssim_step": {"l2": 0.1, "window": "global"},
}


def test_every_attack_is_here():
    assert {*ATTACKS, "no_attack"} == set(attacks.__all__)


def detached(x):
    return x.detach()


def eight_bit_alone(x):
    return images.from_uint8(images.to_uint8(x), x.dtype)


class Rounded(torch.autograd.Function):
    """Rounds, and says that it has no gradient."""

    @staticmethod
    def forward(ctx, x):
        return (255 * x).round() / 255

    @staticmethod
    def backward(ctx, gradient):
        return None


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("cut", [detached, eight_bit_alone])
def test_a_model_that_cuts_the_gradient_is_named(attack, cut):
    """Its logits do carry a gradient, that of its parameters."""
    model, x = network(), pictures(2)
    labels = model(x).argmax(1)
    assert model(cut(x)).requires_grad
    with pytest.raises(ValueError, match=r"model: its logits carry no gradient; take .*detach"):
        getattr(attacks, attack)(lambda z: model(cut(z)), x, labels, **ATTACKS[attack])


def test_features_that_cut_the_gradient_are_named_even_if_the_bound_is_wide():
    model, x = network(), pictures(2)
    labels = model(x).argmax(1)
    for attack in (attacks.ppgd, attacks.lpa):
        with pytest.raises(ValueError, match=r"features: they carry no gradient"):
            attack(model, x, labels, features=lambda z: model(z.detach()), bound=1e3)


def test_a_cost_that_cuts_the_gradient_is_named():
    model, x = network(), pictures(2)
    weight = torch.ones((), dtype=x.dtype, requires_grad=True)
    for lost in (
        lambda reference, z: distance(reference, z.detach()),
        lambda reference, z: weight * distance(reference, z.detach()),
    ):
        for attack, options in (
            (attacks.perc_al, {"steps": 50, "step_size_loss": 5.0}),
            (attacks.imperceptible, {}),
            (attacks.alma, {"steps": 10}),
        ):
            with pytest.raises(ValueError, match=r"cost: it carries no gradient"):
                attack(model, x, model(x).argmax(1), cost=lost, **options)


ITERATIVE = [name for name in ATTACKS if not name.endswith("_step")]


@pytest.mark.parametrize("attack", ITERATIVE)
def test_only_a_models_first_answer_can_be_probabilities(attack):
    """Later ones that add up to 1 do so by chance."""
    calls = []

    def model(z):
        calls.append(0)
        answer = [0.4, 0.3, 0.2, 0.1] if len(calls) > 1 else [3.0, 0.0, -2.0, -3.0]
        return 0 * z.sum((1, 2, 3))[:, None] + torch.tensor(answer).to(z)

    getattr(attacks, attack)(model, pictures(1), torch.tensor([0]), **ATTACKS[attack])
    assert len(calls) > 2
    with pytest.raises(ValueError, match="seems to return probabilities"):
        getattr(attacks, attack)(model, pictures(1), torch.tensor([0]), **ATTACKS[attack])


def test_a_price_of_nothing_is_not_computed():
    model, x = network(), pictures(2)
    labels = model(x).argmax(1)
    asked = []

    def cost(reference, z):
        asked.append(len(z))
        return distance(reference, z)

    free = attacks.imperceptible(model, x, labels, cost=cost, lam=0.0, step_size=0.5)
    assert not asked
    dear = attacks.imperceptible(model, x, labels, cost=cost, lam=1e-12, step_size=0.5)
    assert asked
    assert torch.equal(free, dear)


def test_the_gradient_is_that_of_the_sum():
    x = pictures(2).requires_grad_()
    assert torch.allclose(derive(x.square().flatten(1).sum(1), x), 2 * x)
    with pytest.raises(ValueError, match=r"model: its logits carry no gradient"):
        derive(Rounded.apply(x).sum((1, 2, 3)), x)


def test_the_way_back_is_found_wherever_there_is_one():
    model, x = network(), pictures(2).requires_grad_()
    check_way(model(x), x)
    check_way(torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False), x)
    check_way(torch.utils.checkpoint.checkpoint(model, x, use_reentrant=True), x)
    check_way(model(x.detach()) + 0 * x.sum(), x)
    with pytest.raises(ValueError, match=r"model: its logits carry no gradient"):
        check_way(model(x.detach()), x)
    with pytest.raises(ValueError, match=r"model: its logits carry no gradient"):
        check_way(x.detach(), x)


class Selecting:
    """A cost from its references that indices alone can index, as imperceptible asks for."""

    def __init__(self, reference=None):
        self.reference = reference

    def __call__(self, *given):
        return distance(self.reference, *given) if len(given) == 1 else distance(*given)

    def at(self, reference):
        return Selecting(reference)

    def __getitem__(self, keep):
        return Selecting(self.reference.index_select(0, keep))


@pytest.mark.parametrize(
    ("attack", "more"),
    [
        ("imperceptible", {}),
        ("alma", {}),
        ("perc_al", {"keep": "least"}),
        ("perc_al", {"keep": "code"}),
        ("eight_bit", {}),
    ],
)
def test_a_cost_need_only_be_indexed_by_indices(attack, more, setting):
    model, x, y = setting
    options = {**ATTACKS[attack], "steps": 30, **more}
    got, wanted = (
        getattr(attacks, attack)(model, x, y, **{**options, "cost": cost})
        for cost in (Selecting(), distance)
    )
    assert torch.equal(got, wanted)
    assert not torch.equal(got, x)


@pytest.mark.parametrize("name", ITERATIVE)
def test_a_tie_is_not_misclassified(name):
    """At the image itself class 1 is as likely as the label, by exactly 0; so it is attacked."""
    x = pictures(2)
    w = torch.randn(x[0].shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)

    def model(z):
        value = ((z - x) * w).sum((1, 2, 3))
        return torch.stack([0 * value, value, 0 * value - 9, 0 * value - 10], 1)

    labels = torch.tensor([0, 0])
    more = {"confidence": 0.0} if name == "alma" else {}
    got = getattr(attacks, name)(model, x, labels, **ATTACKS[name], **more)
    assert (model(got)[:, 1] > 0).all()


READ = ["imperceptible", "alma", "pgd_l2", "ddn", "ppgd", "lpa"]


@pytest.mark.parametrize("name", READ)
def test_a_reading_that_there_is_not_is_named_though_nothing_is_attacked(name, setting):
    model, x, _ = setting
    wrong = (model(x).argmax(1) + 1) % 4
    with pytest.raises(ValueError, match="validate: expected one of 'truncate', 'round', 'none'"):
        getattr(attacks, name)(model, x, wrong, **ATTACKS[name], validate="floor")


@pytest.mark.parametrize("name", ATTACKS)
def test_in_inference_mode_the_caller_is_told_so(name):
    attack, model, x = getattr(attacks, name), network(), pictures(2)
    y = model(x).argmax(1)
    with torch.inference_mode(), pytest.raises(ValueError, match="forbids; call it outside"):
        attack(model, x, y, **ATTACKS[name])
    with torch.no_grad():
        attack(model, x, y, **ATTACKS[name])


@pytest.mark.parametrize("name", ["imperceptible", "alma"])
@pytest.mark.parametrize("cost", [None, costs.SSIM])
def test_a_cost_must_be_a_function(name, cost):
    model, x = network(), pictures(2)
    with pytest.raises(ValueError, match=r"cost: expected a function .* such as costs.SSIM\(\)"):
        getattr(attacks, name)(model, x, model(x).argmax(1), cost=cost, steps=2)
