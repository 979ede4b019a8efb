"""NPTM's features: the distance written out place by place, and networks whose layers are named."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from humimp import classifiers, datasets, features, weights
from humimp.efficientnet_lite import EfficientNetLite2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def place_by_place(layers_x, layers_y):
    """√ Σ_l 1/(h w) Σ_places ‖x̂ − ŷ‖², with x̂ of unit length, in Python's own arithmetic."""
    total = 0.0
    for x, y in zip(layers_x, layers_y, strict=True):
        _, height, width = x.shape
        for row in range(height):
            for column in range(width):
                one, other = x[:, row, column].tolist(), y[:, row, column].tolist()
                one, other = (
                    [v / (math.hypot(*values) or 1) for v in values] for values in (one, other)
                )
                total += sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / (
                    height * width
                )
    return math.sqrt(total)


@pytest.fixture(scope="module")
def alexnet():
    return features.alexnet()


def small(seed=0, channels=3, inplace=False):
    """Two convolutions, seen before and after the rectifier."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return (
            nn.Sequential(
                nn.Conv2d(channels, 5, 3), nn.ReLU(inplace=inplace), nn.Conv2d(5, 4, 2, stride=2),
                nn.Flatten(), nn.Linear(4 * 3 * 3, 3),
            ).double().eval().requires_grad_(False)
        )  # fmt: skip


def pictures(n, seed=0, channels=3, side=8):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, channels, side, side, generator=generator, dtype=torch.float64)


def test_passes_of_other_threads_are_not_seen():
    network, x = small(), pictures(2)
    wanted = features.of(network, "0")(x)
    inside, go = threading.Event(), threading.Event()

    def wait(module, given):
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            go.wait(10)

    handle = network[4].register_forward_pre_hook(wait)
    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(features.of(network, "0"), x)
        assert inside.wait(10)
        network(pictures(3))  # while the other one's hooks are there
        go.set()
        assert torch.equal(one.result(), wanted)
    handle.remove()


# --- AlexNet ---


def test_alexnets_distance_place_by_place(alexnet):
    network = torchvision.models.alexnet(weights=None).eval()
    network.load_state_dict(weights.load("alexnet_features"), strict=False)
    x = datasets.photographs(2, 64).images
    y = (x * 7).round() / 7

    def layers(image):
        with torch.no_grad():
            z = (image[None] - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
            found = []
            for part in network.features:
                z = part(z).clone()
                if isinstance(part, nn.ReLU):
                    found.append(z[0].double())
        assert [len(one) for one in found] == [64, 192, 384, 256, 256]
        return found

    wanted = [place_by_place(layers(a), layers(b)) for a, b in zip(x, y, strict=True)]
    assert alexnet.distance(x, y).tolist() == pytest.approx(wanted, rel=1e-5)
    assert (alexnet(x) - alexnet(y)).norm(dim=1).tolist() == pytest.approx(wanted, rel=1e-5)
    assert torch.equal(alexnet.distance(x, x), torch.zeros(2))


def test_alexnets_features_have_the_length_of_its_five_layers(alexnet):
    """Each place of each layer has unit length, unless nothing is active there."""
    phi = alexnet(datasets.photographs(2, 64).images)
    assert phi.shape == (2, 64 * 15**2 + 192 * 7**2 + (384 + 256 + 256) * 3**2)
    assert torch.allclose(phi.norm(dim=1), torch.full((2,), math.sqrt(5)), rtol=1e-4)


def test_alexnet_takes_grey_as_three_equal_channels(alexnet):
    grey = torch.rand(2, 1, 40, 40)
    assert torch.equal(alexnet(grey), alexnet(grey.expand(-1, 3, -1, -1)))
    with pytest.raises(ValueError, match=r"images: expected at least 32 × 32 pixels .* 31 × 40"):
        alexnet(torch.rand(1, 3, 31, 40))


def test_alexnet_says_what_it_is_and_carries_no_gradients(alexnet):
    assert repr(alexnet).startswith("Features(AlexNet: features.1, features.4, features.7")
    assert not any(p.requires_grad for p in alexnet.parameters())
    assert not any(part.training for part in alexnet.modules())


# --- any network ---


@settings(max_examples=10)
@given(seed=st.integers(0, 99), inplace=st.booleans())
def test_named_layers_place_by_place(seed, inplace):
    """Also where the next layer works in place on what was seen."""
    model, x, y = small(seed, inplace=inplace), pictures(3, seed), pictures(3, seed + 1)
    phi = features.of(model, ["0", "2"])

    def layers(image):
        first = model[0](image[None])
        return [first[0].clone(), model[2](first.relu())[0]]

    wanted = [place_by_place(layers(a), layers(b)) for a, b in zip(x, y, strict=True)]
    assert (phi(x) - phi(y)).norm(dim=1).tolist() == pytest.approx(wanted, rel=1e-8)
    assert phi.distance(x, y).tolist() == pytest.approx(wanted, rel=1e-8)
    assert torch.allclose(phi(x)[1, None], phi(x[1, None]), rtol=0, atol=1e-14)
    assert phi(x).dtype == torch.float64


def test_the_gradient_is_that_of_finite_differences():
    phi = features.of(small(inplace=True), ["0", "1", "2"])
    x = pictures(1, side=8).requires_grad_()
    assert torch.autograd.gradcheck(lambda images: phi(images).square().cumsum(1)[:, ::7], x)


def test_a_place_without_activity_has_a_finite_gradient():
    model = small()
    model[0].bias.fill_(-100)  # the rectifier lets nothing through
    phi = features.of(model, ["1"])
    x = pictures(1).requires_grad_()
    found = phi(x)
    assert torch.equal(found, torch.zeros_like(found))
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert torch.equal(gradient, torch.zeros_like(x))


def test_a_vector_counts_as_one_place():
    model, x = small(), pictures(2)
    found = features.of(model, ["4"])(x)
    assert torch.allclose(found, nn.functional.normalize(model(x)), rtol=1e-9)


@pytest.mark.parametrize(
    ("network", "parts"),
    [
        ("resnet18", ["layer1", "layer2", "layer3", "layer4"]),
        ("mobilenet_v2", [f"features.{k}" for k in (1, 3, 6, 13, 18)]),
        ("efficientnet_lite2", [f"features.{k}" for k in (1, 4, 7, 15, 22)]),
        ("alexnet", [f"features.{k}" for k in (1, 4, 7, 9, 11)]),
    ],
)
def test_known_networks_are_found_inside_their_normalisation(network, parts):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        known = {"efficientnet_lite2": EfficientNetLite2}
        make = known.get(network) or partial(torchvision.models.get_model, network, weights=None)
        bare = make().eval()
    model = classifiers.Normalized(bare, MEAN, STD)
    x = torch.rand(2, 3, 64, 64)
    assert features.of(bare).layers == tuple(parts)
    phi = features.of(model)
    assert phi.layers == tuple(f"network.{part}" for part in parts)
    assert phi.name == type(bare).__name__
    with torch.no_grad():
        wanted = features.of(bare)((x - model.mean) / model.std)
        assert torch.equal(phi(x), wanted)


def test_resnets_layers_are_the_outputs_of_its_stages():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torchvision.models.resnet18(weights=None).eval()
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        z, wanted = net.maxpool(net.relu(net.bn1(net.conv1(x)))), []
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            z = stage(z)
            layer = z[0].double().numpy()
            length = np.sqrt((layer**2).sum(0))
            wanted.append((layer / length / np.sqrt(length.size)).ravel())
        assert features.of(net)(x)[0].numpy() == pytest.approx(np.concatenate(wanted), abs=1e-6)


def test_the_network_is_left_as_it_is():
    model = small().requires_grad_(True)
    with torch.no_grad():
        features.of(model, ["0"])(pictures(1))
        with pytest.raises(RuntimeError):
            features.of(model, ["0"])(pictures(1, side=3))
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not any(part._forward_hooks for part in model.modules())


class Odd(nn.Module):
    """Uses one part twice, one never, and one that returns a pair."""

    def __init__(self):
        super().__init__()
        self.twice, self.never, self.pair = nn.ReLU(), nn.ReLU(), Pair()

    def forward(self, x):
        return self.pair(self.twice(self.twice(x)))[0].mean((2, 3))


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ("model", "layers", "match"),
    [
        (small().train(), ["0"], r"model: it is in train mode"),
        (torch.sin, ["0"], r"model: expected a torch.nn.Module, got builtin_function_or_method"),
        (small(), None, r"layers: none are known for Sequential \(only .*AlexNet, ResNet.*; name "),
        (small(), ["0", "7"], r"layers: .* unknown '7'; it has 0, 1, 2, 3, 4"),
        (small(), [], r"layers: expected different names of the network's parts, got \(\)"),
        (small(), ["0", "0"], r"layers: expected different names"),
        (Odd().eval(), ["twice"], r"layers: expected 'twice' to run once .* ran 2 times"),
        (Odd().eval(), ["never"], r"layers: expected 'never' to run once .* ran 0 times"),
        (Odd().eval(), ["pair"], r"layers: expected 'pair' .* returned \['tuple'\]; name another"),
    ],
)
def test_bad_layers_are_named(model, layers, match):
    with pytest.raises(ValueError, match=match):
        features.of(model, layers)(pictures(1))


def test_bad_pairs_are_named(alexnet):
    with pytest.raises(ValueError, match="images: expected the shape of the originals"):
        alexnet.distance(torch.rand(2, 3, 32, 32), torch.rand(1, 3, 32, 32))
