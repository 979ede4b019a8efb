"""Images with labels: photographs, the 1000 images, digits, and a user's own folder."""

import csv
import functools
import hashlib
import importlib.util
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torchvision
from torch import Tensor

from humimp import checks, images, progress, weights

#: Names a folder of data sets; the 1000 images are taken from its folder ``imagenet1000``.
VARIABLE = "HUMIMP_DATA"

_HERE = Path(__file__).parent / "data"
_SOURCE = (
    "https://raw.githubusercontent.com/ZhengyuZhao/PerC-Adversarial/"
    "785d041a1a5f128d048536aac5b3fb1061a92006/dataset/images/"
)
_CONNECTIONS = 8
_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


class Dataset(NamedTuple):
    """Images, their labels, and a name for each that is unique and fit for a file.

    Attributes
    ----------
    images
        float32 (N, C, H, W) in [0, 1].
    labels
        int64 (N,).
    ids
        N names.
    """

    images: Tensor
    labels: Tensor
    ids: list[str]


def class_names() -> list[str]:
    """Names of the 1000 classes of ImageNet, in the order of the classifiers' logits."""
    return list(torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"])


def photographs(n: int | None = None, size: int = 224) -> Dataset:
    """Load the twenty labelled ImageNet photographs that the package foolbox ships.

    Parameters
    ----------
    n
        How many, from the first on; all by default.
    size
        Side in pixels. The shorter side is resized and the centre cut out, as by
        `humimp.images.load`.

    Returns
    -------
    Dataset
        Images (n, 3, size, size); labels are ImageNet classes, counted from 0.

    Raises
    ------
    FileNotFoundError
        The package foolbox is not installed.
    ValueError
        ``n`` is not from 1 to 20.
    """
    spec = importlib.util.find_spec("foolbox")
    places = (spec.submodule_search_locations or []) if spec else []
    paths = sorted(path for at in places for path in Path(at).glob("data/imagenet_*_*.jpg"))
    if not paths:
        raise FileNotFoundError(
            "The photographs come with the package foolbox, which is not installed; run: "
            "uv pip install --no-deps --require-hashes -r requirements-models.txt"
        )
    paths = paths[: _number(n, len(paths))]
    labels = [int(path.stem.split("_")[-1]) for path in paths]
    return _load(paths, labels, [path.stem.rpartition("_")[0] for path in paths], size)


def digits(split: Literal["train", "test"] = "test", n: int | None = None) -> Dataset:
    """Load the sample of MNIST that ships with this package.

    Parameters
    ----------
    split
        ``"train"``, 6000 images, or ``"test"``, 2000. They stem from MNIST's own training and
        test sets.
    n
        How many, from the first on; all by default. The digits take turns, 0 to 9, so that every
        ten images hold each digit once.

    Returns
    -------
    Dataset
        Images (n, 1, 28, 28), white on black; ids give the position in MNIST.

    Raises
    ------
    ValueError
        Another word, or ``n`` is not from 1 to the number of images.
    """
    checks.choice(split, "split", ("train", "test"))
    with np.load(_HERE / "digits.npz") as arrays:
        levels, labels, index = (
            arrays[f"{split}_{part}"] for part in ("images", "labels", "index")
        )
    n = _number(n, len(labels))
    return Dataset(
        images.from_uint8(torch.from_numpy(levels[:n, None])),
        torch.from_numpy(labels[:n].astype(np.int64)),
        [f"mnist_{split}_{i:05d}" for i in index[:n]],
    )


def imagenet1000(n: int | None = None, size: int = 299) -> Dataset:
    """Load the 1000 images on which Table 1 of the paper was computed.

    They are taken from ``$HUMIMP_DATA/imagenet1000/images`` (``<id>.webp`` or ``<id>.png``) if that
    variable is set, else from the cache, into which missing ones are downloaded one by one. Each
    image is verified by the SHA-256 of its pixels. ``humimp/data/imagenet1000.csv`` names author
    and licence (CC BY) of each.

    Parameters
    ----------
    n
        How many, from the first on; all by default, which takes 1.1 GB of memory.
    size
        Side in pixels; at the default the images are exactly the published ones, at another size
        they are resized.

    Returns
    -------
    Dataset
        Images (n, 3, size, size); labels are ImageNet classes, counted from 0.

    Raises
    ------
    FileNotFoundError
        ``$HUMIMP_DATA`` is set, but an image is not there.
    ConnectionError
        An image has to be downloaded, and that failed. What came before is kept.
    ValueError
        ``n`` is not from 1 to 1000, or an image is damaged.
    """
    checks.count(size, "size", low=1)
    rows = _credits()
    rows = rows[: _number(n, len(rows))]
    own = os.environ.get(VARIABLE)
    if own:
        folder = Path(own).expanduser() / "imagenet1000" / "images"
        paths = [_own_image(folder, row["id"]) for row in rows]
    else:
        paths = _cached_images(rows)
    chosen = torch.empty(len(rows), 3, size, size)
    for row, path, target in zip(rows, paths, chosen, strict=True):
        image = _verified(path, row)
        target.copy_(image if size == image.shape[-1] else images.load(path, size, shorter=size))
    labels = torch.tensor([int(row["label"]) for row in rows])
    return Dataset(chosen, labels, [row["id"] for row in rows])


def folder(
    path: str | Path,
    size: int = 224,
    n: int | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """Load a folder of labelled images of one's own.

    Either the folder holds one folder per class, named by the class or by its index from 0, or it
    holds a table ``labels.csv`` with the columns ``path`` (from the folder) and ``label`` (a class
    or its index).

    Parameters
    ----------
    path
        The folder.
    size
        Side in pixels. The shorter side is resized and the centre cut out, as by
        `humimp.images.load`.
    n
        How many, from the first on, in the order of their paths or of the table; all by default.
    classes
        The names of the classes, in the order of the model's logits; those of ImageNet by
        default. Where a name is not found as it stands, letter case does not matter and an
        underscore stands for a space.

    Returns
    -------
    Dataset
        Images (N, C, size, size); ids are the paths in the folder, without suffix and with
        ``__`` for each slash.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or an image that the table lists is missing.
    ValueError
        No images, no label for an image, an unknown or ambiguous class, a damaged image, images
        of unequal channels, two images of the same id, or too few images for ``n``.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {path}")
    names = tuple(class_names() if classes is None else classes)
    table = path / "labels.csv"
    found = _from_table(table) if table.is_file() else _from_folders(path)
    found = found[: _number(n, len(found))]
    labels = [_label(label, names, where) for _, label, where in found]
    ids = [image.relative_to(path).with_suffix("").as_posix() for image, _, _ in found]
    ids = [name.replace("/", "__") for name in ids]
    seen: dict[str, Path] = {}
    for name, (image, _, _) in zip(ids, found, strict=True):
        if name in seen:
            raise ValueError(
                f"{seen[name]} and {image} would both be called {name!r}: rename one of them, or "
                "list it once"
            )
        seen[name] = image
    return _load([image for image, _, _ in found], labels, ids, size)


def _number(n: int | None, available: int) -> int:
    """Check how many images are asked for; None asks for all."""
    if n is None:
        return available
    checks.count(n, "n", low=1, high=available)
    return n


def _load(paths: list[Path], labels: list[int], ids: list[str], size: int) -> Dataset:
    """Load files, showing progress, into one batch."""
    loaded: list[Tensor] = []
    with progress.bar("loading images", len(paths)) as bar:
        for path in paths:
            loaded.append(images.load(path, size))
            bar.update(1)
            if loaded[-1].shape != loaded[0].shape:
                raise ValueError(
                    f"{path} has {len(loaded[-1])} channels, {paths[0]} has {len(loaded[0])}: "
                    "save all of them in colour, or all of them in grayscale"
                )
    return Dataset(torch.stack(loaded), torch.tensor(labels), ids)


def _credits() -> list[dict[str, str]]:
    """Return the rows of the list of the 1000 images."""
    with (_HERE / "imagenet1000.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _own_image(folder: Path, name: str) -> Path:
    """Find one of the 1000 images in the user's folder."""
    for suffix in (".webp", ".png"):
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    raise FileNotFoundError(
        f"{folder} has neither {name}.webp nor {name}.png. Put all 1000 images there, or unset "
        f"{VARIABLE} to download them"
    )


def _cached_images(rows: list[dict[str, str]]) -> list[Path]:
    """Return the images' places in the cache, having downloaded those that are missing."""
    folder = weights.cache() / "imagenet1000"
    paths = [folder / f"{row['id']}.png" for row in rows]
    missing = [pair for pair in zip(paths, rows, strict=True) if not pair[0].is_file()]
    if missing:
        pool = ThreadPoolExecutor(_CONNECTIONS)
        try:
            with progress.bar("fetching images", len(missing)) as bar:
                for _ in pool.map(_fetch, *zip(*missing, strict=True)):
                    bar.update(1)
        except ConnectionError as error:
            raise ConnectionError(
                f"{error}; or set {VARIABLE} to a folder whose folder imagenet1000/images has all "
                "of them"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
    return paths


def _fetch(path: Path, row: dict[str, str]) -> None:
    """Download one of the 1000 images; keep it if it is the right one."""
    weights.download(_SOURCE + path.name, path, quiet=True)
    try:
        _verified(path, row)
    except ValueError:
        path.unlink()
        raise


def _verified(path: Path, row: dict[str, str]) -> Tensor:
    """Load one of the 1000 images as it is, and check its pixels."""
    image = images.load(path)
    levels = images.to_uint8(image).permute(1, 2, 0).contiguous().numpy()
    if hashlib.sha256(levels.tobytes()).hexdigest() != row["sha256"]:
        raise ValueError(
            f"{path} does not show the image {row['id']}: its pixels have another SHA-256. "
            "Fetch it again."
        )
    return image


def _from_table(table: Path) -> list[tuple[Path, str, str]]:
    """Return path, label and place of each row of ``labels.csv``."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        if not {"path", "label"} <= set(columns):
            raise ValueError(
                f"{table} must have the columns path and label; it has "
                f"{', '.join(columns) or 'none'}"
            )
        rows = [(row["path"] or "", row["label"] or "", reader.line_num) for row in reader]
    found = []
    for name, label, line in rows:
        where = f"{table}, line {line}"
        if not name or not label.strip():
            raise ValueError(f"{where} lacks a path or a label: give both")
        if not (table.parent / name).is_file():
            raise FileNotFoundError(f"{where} lists {name}, which is not in {table.parent}")
        found.append((table.parent / name, label, where))
    if not found:
        raise ValueError(f"{table} lists no images: give one row for each, path and label")
    return found


def _from_folders(path: Path) -> list[tuple[Path, str, str]]:
    """Return path, label and place of each image in the folders of the classes."""
    every = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    every = [p for p in every if not p.name.startswith(".")]
    layout = (
        "put each image into a folder named by its class, or write labels.csv with the columns "
        "path and label"
    )
    if not every:
        raise ValueError(f"{path} holds no images ({', '.join(_SUFFIXES)}): {layout}")
    for image in every:
        if image.parent == path:
            raise ValueError(f"{image} has no label: {layout}")
    found = []
    for image in every:
        label = image.relative_to(path).parts[0]
        found.append((image, label, str(path / label)))
    return found


def _label(text: str, classes: tuple[str, ...], where: str) -> int:
    """Return the index of a class that is given by its index or its name."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        if int(text) < len(classes):
            return int(text)
        last = len(classes) - 1
        raise ValueError(f"{where}: there is no class {text}; the classes are 0 to {last}")
    matches = _indices(classes, exact=True).get(text) or _indices(classes).get(_plain(text), [])
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ValueError(
            f"{where}: {text!r} names {len(matches)} classes; give the index instead, one of "
            f"{', '.join(map(str, matches))}"
        )
    raise ValueError(
        f"{where}: unknown class {text!r}; give its index, 0 to {len(classes) - 1}, or its name "
        "as in humimp.datasets.class_names() (or in the classes that you passed)"
    )


@functools.lru_cache(maxsize=4)
def _indices(classes: tuple[str, ...], exact: bool = False) -> dict[str, list[int]]:
    """Map each class's name, or its plain name, to its indices."""
    found: dict[str, list[int]] = {}
    for index, name in enumerate(classes):
        found.setdefault(name if exact else _plain(name), []).append(index)
    return found


def _plain(name: str) -> str:
    """Return a class's name in lower case, with spaces for underscores."""
    return name.replace("_", " ").strip().casefold()
