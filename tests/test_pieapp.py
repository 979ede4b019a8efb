"""PieAPP: against piq's, at the reference, in bands and groups, and as a ground cost."""

import hashlib
import os
from pathlib import Path

import numpy as np
import piq
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from piq.pieapp import PieAPPModel
from torch import Tensor, nn

from humimp import attacks, costs, fingerprints, pieapp, weights

#: Score of piq's test pair by the authors' own code, from piq's tests/test_pieapp.py.
GOLDEN = 2.2393305


def random_network(width: int = 2, hidden: int = 6, seed: int = 0) -> pieapp.Network:
    """Return a float64 network in which no layer fades out, with biases that matter."""
    generator = torch.Generator().manual_seed(seed)
    network = pieapp.Network(width, hidden).double().requires_grad_(False)
    for name, value in network.named_parameters():
        spread = 0.1 if name.endswith("bias") else (2 / value[0].numel()) ** 0.5
        value.copy_(spread * torch.randn(value.shape, generator=generator, dtype=value.dtype))
    for value in (*network.fc2_weight.parameters(), network.fc2_score.weight):
        value.abs_()  # else the sum of the patches' weights could be near 0
    return network


def images(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def near(reference: Tensor, amount: float = 0.1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(reference.shape, generator=generator, dtype=torch.float64)
    return (reference + amount * noise.to(reference)).clamp(0, 1)


def by_piq(network: pieapp.Network, stride: int = 27) -> piq.PieAPP:
    """Make piq's PieAPP with these weights, without its download and slimmed, but unchanged."""
    with torch.device("meta"):
        model = type("Slim", (PieAPPModel,), {"FEATURES": network.width})()
        for name in ("fc1_score", "fc2_score", "fc1_weight", "fc2_weight"):
            layer = network.get_submodule(name)
            setattr(model, name, nn.Linear(layer.in_features, layer.out_features))
    model.FEATURES = 64  # from here on it is the side of a patch
    dtype = network.conv1.weight.dtype
    model.to_empty(device="cpu").to(dtype).load_state_dict(network.state_dict())
    metric = piq.PieAPP.__new__(piq.PieAPP)
    nn.Module.__init__(metric)
    metric.model = model.requires_grad_(False)
    metric.data_range, metric.stride = 1.0, stride
    metric.reduction, metric.enable_grad = "none", True
    return metric


def gradient(measure, reference: Tensor, distorted: Tensor) -> tuple[Tensor, Tensor]:
    """Values, and the gradient of their sum with unequal shares."""
    distorted = distorted.detach().clone().requires_grad_()
    values = measure(reference, distorted)
    shares = torch.arange(1, len(values) + 1).to(values)
    return values.detach(), torch.autograd.grad((shares * values).sum(), distorted)[0]


def piq_gradient(metric, reference: Tensor, distorted: Tensor) -> tuple[Tensor, Tensor]:
    return gradient(lambda one, two: metric(two, one), reference, distorted)


def difference(one: Tensor, other: Tensor) -> Tensor:
    """‖one − other‖ / ‖other‖ of each image."""
    return (one - other).flatten(1).norm(dim=1) / other.flatten(1).norm(dim=1)


# --- equal to piq ---

CASES = [
    # batch, height, width, stride, patches
    (1, 64, 64, 27, 192),
    (2, 130, 101, 27, 192),
    (2, 96, 128, 32, 192),
    (3, 91, 118, 27, 4),  # one image at once, in bands of two rows
    (1, 100, 70, 11, 1),  # bands of one row, more patches than asked for
    (5, 72, 80, 8, 13),  # two images at once
    (1, 230, 170, 70, 192),  # patches that do not touch
    (1, 70, 66, 1, 192),
]


@pytest.mark.parametrize(("n", "height", "width", "stride", "patches"), CASES)
def test_value_and_gradient_are_piqs(n, height, width, stride, patches):
    network = random_network()
    reference = images(n, 3, height, width)
    distorted = near(reference)
    values, slopes = piq_gradient(by_piq(network, stride), reference, distorted)
    assert (slopes.flatten(1).norm(dim=1) > 1e-4).all()
    distance = pieapp.Distance(network, stride=stride, patches=patches)
    for measure in (distance, lambda one, two: network(one, two, stride)):
        found, slope = gradient(measure, reference, distorted)
        assert found == pytest.approx(values, rel=1e-9)
        assert difference(slope, slopes).max() < 1e-9


@pytest.mark.parametrize("shape", [(299, 299), (512, 118)])
def test_large_images(shape):
    network = random_network()
    reference = images(1, 3, *shape)
    distorted = near(reference)
    values, slopes = piq_gradient(by_piq(network), reference, distorted)
    found, slope = gradient(pieapp.Distance(network), reference, distorted)
    assert found == pytest.approx(values, rel=1e-9)
    assert difference(slope, slopes).max() < 1e-9


def test_the_published_width():
    network = random_network(width=64, hidden=16)
    reference = images(1, 3, 91, 64)
    distorted = near(reference)
    values, slopes = piq_gradient(by_piq(network), reference, distorted)
    found, slope = gradient(pieapp.Distance(network), reference, distorted)
    assert found == pytest.approx(values, rel=1e-9)
    assert difference(slope, slopes).max() < 1e-9


def test_in_float32():
    # A pixel where two candidates of a max-pooling, or a ReLU's input and 0, differ by less than
    # rounding has its gradient decided by rounding, in piq as here. Few images have one.
    network = random_network()
    reference = images(16, 3, 80, 91)
    distorted = near(reference)
    values, slopes = piq_gradient(by_piq(network), reference, distorted)
    found, slope = gradient(pieapp.Distance(network.float()), reference.float(), distorted.float())
    assert found.double() == pytest.approx(values, rel=1e-5)
    assert (difference(slope.double(), slopes) < 1e-4).float().mean() > 0.7


def test_flat_areas():
    # Candidates of a max-pooling are equal there but for rounding, which decides who gets the
    # gradient, and not alike on every processor. All who may get it are shifted copies of each
    # other, so the sum over each channel is the same.
    network = random_network()
    reference = images(1, 3, 91, 91)
    reference[..., 20:70, 10:60] = 1.0
    distorted = near(reference)
    distorted[..., 25:65, 15:55] = 0.75
    values, slopes = piq_gradient(by_piq(network), reference, distorted)
    found, slope = gradient(pieapp.Distance(network), reference, distorted)
    assert found == pytest.approx(values, rel=1e-9)
    sums, wanted = (one.sum((2, 3)).flatten().tolist() for one in (slope, slopes))
    assert sums == pytest.approx(wanted, rel=1e-9)


def test_grey_images_are_three_equal_channels():
    network = random_network()
    grey = images(2, 1, 70, 91)
    distorted = near(grey)
    values, slopes = gradient(
        lambda one, two: network(one.repeat(1, 3, 1, 1), two.repeat(1, 3, 1, 1)), grey, distorted
    )
    for measure in (network, pieapp.Distance(network)):
        found, slope = gradient(measure, grey, distorted)
        assert found == pytest.approx(values, rel=1e-9)
        assert difference(slope, slopes).max() < 1e-9


@settings(max_examples=15)
@given(
    height=st.integers(64, 140),
    width=st.integers(64, 140),
    stride=st.integers(1, 80),
    n=st.integers(1, 2),
)
def test_shared_convolutions_are_those_of_the_patches(height, width, stride, n):
    stride = max(stride, (max(height, width) - 64) // 3, 1)  # at most 16 patches
    network = random_network(width=1, hidden=1)
    pixels = images(n, 3, height, width, seed=height)
    values = F.relu(network.conv1(pieapp.cut(pixels, stride)))
    literal = F.max_pool2d(F.relu(network.conv2(values)), 2)
    assert torch.allclose(pieapp.Distance(network, stride=stride)._early(pixels), literal)


# --- the official weights ---


def official() -> pieapp.Network:
    if "pieapp" not in weights.local():
        pytest.skip("PieAPP's official checkpoint is not on this machine (humimp.weights)")
    return pieapp.from_state(weights.load("pieapp"))


def test_official_value():
    network = official()
    folder = Path(os.environ.get("HUMIMP_DATA", ".")) / "piq"
    paths = folder / "I01.BMP", folder / "i01_01_5.bmp"
    if not all(path.is_file() for path in paths):
        pytest.skip("$HUMIMP_DATA/piq has not I01.BMP and i01_01_5.bmp of piq's tests/assets")
    pair = [torch.from_numpy(np.array(Image.open(path).convert("RGB"))) for path in paths]
    reference, distorted = (image.permute(2, 0, 1)[None] / 255 for image in pair)
    for measure in (network, pieapp.Distance(network)):
        assert float(measure(reference, distorted)) == pytest.approx(GOLDEN, abs=1e-5)


def test_official_weights_give_zero_at_the_reference():
    network = official()
    assert abs(network.at_reference()) < 1e-6
    reference = images(2, 3, 91, 91).float()
    assert costs.PieAPP("official")(reference, reference).abs().max() < 1e-6


# --- at the reference ---


@pytest.mark.parametrize("width", [2, 5])
def test_the_error_at_the_reference_is_that_of_the_biases(width):
    network = random_network(width)
    by_hand = 0.01 * (
        F.relu(network.fc1_score.bias) @ network.fc2_score.weight[0] + network.fc2_score.bias
    )
    by_hand = network.ref_score_subtract.weight[0] * by_hand + network.ref_score_subtract.bias
    reference = images(2, 3, 80, 91)
    assert abs(by_hand) > 1e-3
    assert network.at_reference() == pytest.approx(float(by_hand), rel=1e-12)
    for measure in (by_piq(network), network, pieapp.Distance(network)):
        assert measure(reference, reference) == pytest.approx(by_hand.expand(2), rel=1e-9)


def test_centre_makes_it_zero_and_leaves_the_gradient():
    network = random_network()
    reference = images(2, 3, 80, 91)
    _, before = gradient(network, reference, near(reference))
    network.centre()
    _, after = gradient(network, reference, near(reference))
    assert abs(network.at_reference()) < 1e-15
    assert pieapp.Distance(network)(reference, reference).abs().max() < 1e-15
    assert difference(after, before).max() < 1e-12
    single = pieapp.Distance(network.float())
    assert single(reference.float(), reference.float()).abs().max() < 1e-6


def test_without_biases_it_is_zero_for_any_weights():
    network = random_network()
    for layer in (network.fc1_score, network.fc2_score, network.ref_score_subtract):
        layer.bias.zero_()
    assert network.at_reference() == 0
    reference = images(2, 3, 80, 91)
    assert pieapp.Distance(network)(reference, reference).eq(0).all()


def test_gradient_at_the_reference_is_finite():
    _, slope = gradient(pieapp.Distance(random_network()), *2 * [images(2, 3, 80, 91)])
    assert slope.isfinite().all()


# --- what makes it fast ---


@pytest.fixture
def spied(monkeypatch):
    """Give the number of patches of each pass through the late convolutions."""
    seen = []
    late = pieapp.Distance._late

    def spy(self, values):
        seen.append(len(values))
        return late(self, values)

    monkeypatch.setattr(pieapp.Distance, "_late", spy)
    return seen


def test_the_reference_goes_through_once(spied):
    cost = pieapp.Distance(random_network()).at(images(2, 3, 64, 91))
    for _ in range(3):
        gradient(lambda _, two: cost(two), None, images(2, 3, 64, 91, seed=1))
    assert spied == 4 * [4]


def test_at_the_reference_one_pass_gives_both(spied):
    network, reference = random_network(), images(2, 3, 64, 91)
    cost = pieapp.Distance(network, patches=2).at(reference)
    got = gradient(lambda _, two: cost(two), None, reference)
    assert spied == 2 * [2]
    wanted = gradient(lambda one, two: network(one, two), reference, reference)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    gradient(lambda _, two: cost(two), None, near(reference))
    assert spied == 4 * [2]  # and it is remembered


def flat_network(bias: float = 0.0) -> pieapp.Network:
    """Return a network that is 0 at the reference, with this bias of its first hidden unit."""
    network = random_network()
    for layer in (network.fc1_score, network.fc2_score, network.ref_score_subtract):
        layer.bias.zero_()
    network.fc1_score.bias[0] = bias
    network.centre()
    return network


@pytest.mark.parametrize(("bias", "passes"), [(0.0, 0), (-0.5, 0), (0.5, 1)])
def test_at_the_reference_nothing_is_computed_where_the_gradient_is_0(spied, bias, passes):
    network, reference = flat_network(bias), images(2, 3, 64, 91)
    cost = pieapp.Distance(network).at(reference)
    values, slope = gradient(lambda _, two: cost(two), None, reference)
    assert spied == passes * [4]
    wanted, by_autograd = gradient(network, reference, reference)
    assert values.abs().max() < 1e-15
    assert wanted.abs().max() < 1e-15
    torch.testing.assert_close(slope, by_autograd, rtol=1e-9, atol=1e-15)
    assert (by_autograd.abs().max() < 1e-15) == (passes == 0)
    got = gradient(lambda _, two: cost(two), None, near(reference))
    for one, other in zip(got, gradient(network, reference, near(reference)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_where_the_error_at_the_reference_is_not_0_it_is_computed():
    network, reference = flat_network(-0.5), images(2, 3, 64, 91)
    network.ref_score_subtract.bias.add_(0.25)
    assert gradient(pieapp.Distance(network), reference, reference)[0] == pytest.approx(0.25)


def test_one_image_away_from_its_reference_is_enough_to_compute(spied):
    network, reference = flat_network(), images(2, 3, 64, 91)
    apart = torch.stack([reference[0], near(reference)[1]])
    got = gradient(pieapp.Distance(network), reference, apart)
    assert spied == [4, 4]
    for one, other in zip(got, gradient(network, reference, apart), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_a_first_call_without_a_gradient_remembers_the_reference(spied):
    reference = images(2, 3, 64, 91)
    cost = pieapp.Distance(flat_network()).at(reference)
    with torch.no_grad():
        assert cost(reference).eq(0).all()
    for _ in range(2):
        gradient(lambda _, two: cost[torch.tensor([1])](two), None, near(reference)[1:])
    assert spied == [4, 2, 2]


def test_memory_is_bounded_by_the_patches_asked_for(spied):
    shape = 3, 3, 64 + 4 * 27, 64  # five patches an image
    cost = pieapp.Distance(random_network(), patches=3).at(images(*shape))
    with torch.no_grad():
        cost(images(*shape))
    assert spied == 3 * [2, 3]  # one image at once, in two bands
    spied.clear()
    gradient(lambda _, two: cost(two), None, images(*shape, seed=1))
    assert spied == 3 * [2, 3, 2]  # the first band once more for its gradient
    spied.clear()
    with torch.no_grad():
        pieapp.Distance(random_network(), patches=10).at(images(*shape))(images(*shape))
    assert spied == [10, 5]  # whole images together


def test_nothing_is_kept_but_the_gradient():
    cost = pieapp.Distance(random_network()).at(images(3, 3, 91, 91))
    distorted = images(3, 3, 91, 91, seed=1).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        values = cost(distorted)
    known = {tensor.data_ptr() for tensor in kept if tensor.shape == distorted.shape}
    node = values.grad_fn.next_functions[0][0]
    assert {tensor.data_ptr() for tensor in node.saved_tensors} <= known
    assert [tensor.shape for tensor in node.saved_tensors] == [distorted.shape]


def test_images_that_leave_the_batch_leave_the_cache():
    network = random_network()
    reference = images(3, 3, 64, 91)
    distorted = near(reference)
    keep = torch.tensor([True, False, True])
    cost = pieapp.Distance(network, patches=3).at(reference)
    assert cost[keep](distorted[keep]) == pytest.approx(cost(distorted)[keep], rel=1e-12)
    with pytest.raises(ValueError, match=r"shape of the references, \(3, 3, 64, 91\).*\(2, 3"):
        cost(distorted[keep])


def test_without_gradient_none_is_computed(monkeypatch):
    monkeypatch.setattr(torch.autograd, "grad", lambda *_: pytest.fail("a gradient"))
    reference = images(1, 3, 64, 64)
    distance = pieapp.Distance(random_network())
    assert not distance(reference, near(reference)).requires_grad
    with torch.no_grad():
        assert not distance(reference, near(reference).requires_grad_()).requires_grad


def test_a_second_derivative_is_refused():
    reference = images(1, 3, 64, 64)
    distorted = near(reference).requires_grad_()
    values = pieapp.Distance(random_network())(reference, distorted)
    (slope,) = torch.autograd.grad((values**2).sum(), distorted, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_the_network_is_copied_and_keeps_its_dtype():
    network = random_network().float()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    reference = images(1, 3, 64, 64)
    distance = pieapp.Distance(network)
    single = distance(reference.float(), near(reference).float())
    double = distance(reference, near(reference))
    assert double.dtype == torch.float64
    assert torch.equal(distance(reference.float(), near(reference).float()), single)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.dtype == torch.float32
    network.conv1.weight.zero_()
    assert torch.equal(distance(reference, near(reference)), double)


def test_bfloat16_is_near():
    network = random_network(width=4).float()
    reference = images(2, 3, 91, 91).float()
    distorted = near(reference, 0.2)
    values, slopes = gradient(pieapp.Distance(network), reference, distorted)
    found, slope = gradient(pieapp.Distance(network, precision="bfloat16"), reference, distorted)
    assert found.dtype == slope.dtype == torch.float32
    assert not torch.equal(found, values)
    assert found == pytest.approx(values, rel=0.05)
    assert F.cosine_similarity(slope.flatten(1), slopes.flatten(1)).min() > 0.8


@pytest.mark.parametrize(
    ("precision", "wanted"),
    [
        ("float32", ("ieee", "ieee")),
        ("tf32", ("tf32", "tf32")),
        ("bfloat16", ("ieee", "tf32")),
    ],
)
def test_rounding_on_a_gpu_is_asked_for_and_put_back(monkeypatch, precision, wanted):
    def flags():
        return torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    seen, before = [], flags()
    monkeypatch.setattr(pieapp.Distance, "_early", lambda *_: seen.append(flags()) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pieapp.Distance(random_network(), precision=precision)(*images(2, 1, 3, 64, 64))
    assert seen == [wanted]
    assert flags() == before


# --- state dicts ---


def test_state_dict_round_trip():
    network = random_network(5, 7).float()
    state = network.state_dict()
    state["ref_score_subtract.weight"] = state["ref_score_subtract.weight"][0]  # as published
    found = pieapp.from_state(state)
    assert (found.width, found.hidden, found.training) == (5, 7, False)
    assert not any(value.requires_grad for value in found.parameters())
    for name, value in found.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])
    network.conv1.weight.zero_()
    assert found.conv1.weight.any()


def test_published_sizes():
    with torch.device("meta"):
        state = pieapp.Network().state_dict()
    assert state["fc1_score.weight"].shape == (512, 120832)
    assert state["fc1_weight.weight"].shape == (512, 2048)
    assert state["conv11.weight"].shape == (512, 512, 3, 3)


def test_a_state_dict_of_another_network():
    state = random_network().state_dict()
    with pytest.raises(ValueError, match=r"not PieAPP's; its names begin \['0\.bias'"):
        pieapp.from_state(nn.Sequential(nn.Linear(2, 2)).state_dict())
    with pytest.raises(ValueError, match=r"lacks \['conv3\.bias'\] and has unknown \['conv12'\]"):
        pieapp.from_state(
            {name.replace("conv3.bias", "conv12"): value for name, value in state.items()}
        )
    state["conv7.bias"] = state["conv7.bias"][1:]
    with pytest.raises(ValueError, match=r"conv7\.bias has shape \(7,\).*width 2 needs \(8,\)"):
        pieapp.from_state(state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "stride: expected a whole number ≥ 1, got 0"),
        ({"patches": 0}, "patches: expected a whole number ≥ 1, got 0"),
        ({"precision": "half"}, "precision: expected one of 'float32', 'tf32', 'bfloat16', got 'h"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        pieapp.Distance(random_network(), **options)


def test_sizes_that_cannot_be():
    with pytest.raises(ValueError, match="width: expected a whole number ≥ 1, got 0"):
        pieapp.Network(0)
    with pytest.raises(ValueError, match="hidden: expected a whole number ≥ 1, got -1"):
        pieapp.Network(1, -1)


@pytest.mark.parametrize("shape", [(1, 3, 63, 64), (1, 3, 100, 32)])
def test_images_smaller_than_a_patch(shape):
    network = random_network()
    message = rf"at least 64 × 64 pixels, got {shape[2]} × {shape[3]}; use larger images"
    for measure in (network, pieapp.Distance(network)):
        with pytest.raises(ValueError, match=message):
            measure(images(*shape), images(*shape))


# --- as a ground cost ---


@pytest.fixture
def saved(tmp_path):
    """Save weights that are 0 at the reference, and give the file and their network."""
    network = random_network().float()
    network.centre()
    torch.save(network.state_dict(), tmp_path / "pieapp.pt")
    return tmp_path / "pieapp.pt", network


def test_cost_from_a_file(saved):
    path, network = saved
    cost = costs.PieAPP(path, stride=20)
    reference = images(2, 3, 91, 91).float()
    wanted = network(reference, near(reference), 20)
    assert cost(reference, near(reference)) == pytest.approx(wanted, rel=1e-4)
    assert cost.at(reference)(near(reference)) == pytest.approx(wanted, rel=1e-4)
    assert repr(cost) == "PieAPP(weights='pieapp.pt')"


def test_cost_is_recorded_by_what_decides_its_values(saved):
    path, _ = saved
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert fingerprints.describe(costs.PieAPP(path, stride=20, patches=5)) == {
        "humimp.costs.PieAPP": {
            "weights": "pieapp.pt",
            "sha256": digest,
            "stride": 20,
            "precision": "float32",
        }
    }


def test_cost_that_is_not_zero_at_the_reference(saved):
    path, network = saved
    network.ref_score_subtract.bias.add_(0.25)
    torch.save(network.state_dict(), path)
    with pytest.raises(ValueError, match=r"has the error 0\.25 with itself.*call centre\(\)"):
        costs.PieAPP(str(path))


def test_cost_checks_what_it_gets(saved):
    cost = costs.PieAPP(saved[0])
    with pytest.raises(ValueError, match="divide by 255"):
        cost.at(255 * images(1, 3, 64, 64))
    with pytest.raises(ValueError, match="expected the shape of the originals"):
        cost(images(1, 3, 64, 64), images(1, 3, 64, 65))
    with pytest.raises(ValueError, match="expected 'official', 'small' or a file, got 'offical'"):
        costs.PieAPP("offical")


def test_attack_with_remembered_references_is_the_plain_one():
    network = random_network()
    network.centre()
    flat = nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(3 * 16, 4)).double().eval()
    nn.init.normal_(flat[2].weight, std=0.3, generator=torch.Generator().manual_seed(2))
    nn.init.zeros_(flat[2].bias)
    originals = images(3, 3, 64, 64)
    labels = flat(originals).argmax(1)
    distance = pieapp.Distance(network)
    plain, remembered = (
        attacks.imperceptible(
            flat, originals, labels, cost=cost, steps=5, step_size=1.0, validate="none"
        )
        for cost in (lambda one, two: network(one, two), distance)
    )
    assert not torch.equal(plain, originals)
    assert torch.allclose(plain, remembered, atol=1e-9)


def test_pixels_beyond_the_last_whole_patch_are_not_seen():
    network = random_network()
    network.centre()
    reference = images(1, 3, 91 + 10, 64)
    changed = reference.clone()
    changed[:, :, 91:] = 0.5
    for measure in (by_piq(network), network, pieapp.Distance(network)):
        assert measure(reference, changed).abs().max() < 1e-12
    changed[:, :, 90] = 0.5
    assert pieapp.Distance(network)(reference, changed).abs().max() > 1e-6
