"""Images with labels: photographs, the 1000 images, digits, and a user's own, by country too."""

import csv
import functools
import hashlib
import importlib.util
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
import torchvision
from torch import Tensor

from humimp import checks, geography, images, progress, weights
from humimp.geography import GeoDataset as GeoDataset

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
            "The photographs come with the package foolbox, which is not installed; "
            f"{weights.INSTALL}"
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


def load(name: str, n: int, *, size: int, drawn: int = 0) -> Dataset:
    """Load the first photographs of a set by its name, or a fixed random subset of them.

    Parameters
    ----------
    name
        ``"photographs"`` or ``"imagenet1000"``, the functions of this name.
    n
        How many, from the first on.
    size
        Side in pixels.
    drawn
        How many of these to `sample`; all if 0, or if there are no more.

    Returns
    -------
    Dataset
        Images (n, 3, size, size), labels and ids; of ``drawn`` images if these are fewer.

    Raises
    ------
    ValueError
        There is no such set, or ``n`` or ``drawn`` is out of range.
    """
    checks.choice(name, "name", ("photographs", "imagenet1000"))
    checks.count(drawn, "drawn")
    found = photographs(n, size) if name == "photographs" else imagenet1000(n, size)
    return sample(found, drawn) if 0 < drawn < n else found


def sample(dataset: Dataset, n: int, seed: int = 0) -> Dataset:
    """Draw a fixed random subset: images in their order, a larger one containing a smaller.

    Parameters
    ----------
    dataset
        Images, labels and ids.
    n
        How many; as many as there are gives the data set itself.
    seed
        Of the order in which images are drawn.

    Returns
    -------
    Dataset
        ``n`` of its images, with their labels and ids.

    Raises
    ------
    ValueError
        ``n`` is not from 1 to the number of images.
    """
    checks.count(n, "n", low=1, high=len(dataset.ids))
    order = torch.randperm(len(dataset.ids), generator=torch.Generator().manual_seed(seed))
    rows, _ = order[:n].sort()
    ids = [dataset.ids[row] for row in rows.tolist()]
    return Dataset(dataset.images[rows], dataset.labels[rows], ids)


def folder(
    path: str | Path,
    size: int | None = 224,
    n: int | None = None,
    *,
    shorter: int | None = None,
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
        `humimp.images.load`. None takes files as they are, all of one height and width.
    n
        How many, from the first on, in the order of their paths or of the table; all by default.
    shorter
        To how many pixels the shorter side is resized before; by default 256/224 of the size, so
        that files of that very size are enlarged and cut. ``shorter=size`` leaves these alone.
    classes
        The names of the classes, in the order of the model's logits; those of ImageNet by
        default. Where a name is not found as it stands, letter case does not matter and an
        underscore stands for a space.

    Returns
    -------
    Dataset
        Images (N, C, size, size); ids are the paths in the folder, without suffix, with ``__`` for
        each slash and ``-`` for what a file's name had better not have, such as a space.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or an image that the table lists is missing.
    ValueError
        No images, no label for an image, an unknown or ambiguous class, a damaged image, images
        of unequal channels, or without a size of unequal shape, two images of the same id, or too
        few images for ``n``.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {path}")
    names = tuple(class_names() if classes is None else classes)
    table = path / "labels.csv"
    found = _from_table(table) if table.is_file() else _from_folders(path)
    found = found[: _number(n, len(found))]
    labels = [_label(label, names, where) for _, label, where in found]
    paths = [image for image, _, _ in found]
    return _load(paths, labels, _ids(paths, path), size, shorter)


def geo(
    manifest: str | Path,
    size: int | None = 224,
    n: int | None = None,
    *,
    shorter: int | None = None,
    seed: int | None = None,
    classes: Sequence[str] | None = None,
    unknown: geography.Unknown = "error",
) -> GeoDataset:
    """Load labelled images whose countries are known.

    `humimp.geography.geode` and `humimp.geography.dollar_street` make a manifest from the released
    metadata of these data sets.

    Parameters
    ----------
    manifest
        CSV file, or Parquet if its name ends in ``.parquet``, with a row per image and the columns
        ``path`` (from the manifest's folder), ``label`` (a class or its index from 0) and
        ``country`` (ISO-3166 alpha-3 or alpha-2, or an English name).
    size, shorter
        As for `folder`.
    n
        How many of those that are kept; all by default.
    seed
        They are taken from the first on, or with a seed in a random order.
    classes
        The names of the classes, in the order of the model's logits; those of ImageNet by
        default. Names are found as by `folder`.
    unknown
        What to do with an image whose country is not known: ``"error"``, or ``"exclude"``: leave
        it out, and count it in ``excluded``.

    Returns
    -------
    GeoDataset
        Images (N, C, size, size), in the order of the manifest without a seed; ids are made of
        the paths as by `folder`. No image holds a planted pattern.

    Raises
    ------
    FileNotFoundError
        There is no such manifest, or images that it lists are missing.
    ValueError
        The manifest is no table, lacks a column, lists nothing, lacks a path or a label, or lists
        an image twice; a country or a class is unknown or ambiguous; an image is damaged, or has
        other channels than the first; too few images for ``n``, or none left.
    """
    manifest = Path(manifest)
    if not manifest.is_file():
        raise FileNotFoundError(f"There is no manifest {manifest}")
    rows = _rows(manifest, ("path", "label", "country"))
    names = tuple(class_names() if classes is None else classes)
    paths = [manifest.parent / os.path.normpath(row["path"]) for row, _ in rows]
    lines = [where.rpartition(", ")[2] for _, where in rows]
    _check_listed(manifest, paths, lines)
    given = [row["country"].strip() for row, _ in rows]
    countries = geography.resolve(given, unknown=unknown, where=lines)
    labels = [_label(row["label"], names, where) for row, where in rows]
    left_out = [name for name, code in zip(given, countries, strict=True) if not code]
    excluded = geography.exclusions(left_out, ["unknown country"] * len(left_out))
    kept = [index for index, code in enumerate(countries) if code]
    if not kept:
        raise ValueError(f"{manifest}: none of the {len(rows)} images has a known country")
    if n is not None and n > len(kept):
        raise ValueError(
            f"n: {n} images were asked for, and {manifest} has {len(kept)} whose country is known; "
            "take fewer"
        )
    if seed is not None:
        order = torch.randperm(len(kept), generator=torch.Generator().manual_seed(seed))
        kept = [kept[i] for i in order.tolist()]
    kept = kept[: _number(n, len(kept))]
    chosen = [paths[i] for i in kept]
    dataset = _load(chosen, [labels[i] for i in kept], _ids(chosen, manifest.parent), size, shorter)
    planted = torch.zeros(len(kept), dtype=torch.bool)
    return GeoDataset(*dataset, [countries[i] for i in kept], planted, excluded)


def _check_listed(manifest: Path, paths: list[Path], lines: list[str]) -> None:
    """Check that each image is there and is listed once."""
    first: dict[Path, str] = {}
    twice = []
    for path, line in zip(paths, lines, strict=True):
        if path in first:
            twice.append(f"{path.name} ({first[path]} and {line})")
        first.setdefault(path, line)
    if twice:
        raise ValueError(
            f"{manifest} lists {len(twice)} images more than once: {checks.few(twice)}; keep one "
            "row for each"
        )
    missing = [f"{path} ({first[path]})" for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{manifest} lists {len(missing)} of {len(paths)} images that are not there: "
            f"{checks.few(missing)}; paths count from the manifest's folder"
        )


def _ids(paths: list[Path], root: Path) -> list[str]:
    """Return for each image its path from the root, as a name that is fit for a file.

    It is without suffix, with ``__`` for slashes and ``-`` for what a file's name had better not
    have. Small letters and capitals do not tell two names apart.
    """
    names = [Path(os.path.relpath(path, root)).with_suffix("") for path in paths]
    plain = [[_for_a_file(part) for part in name.parts if part != ".."] for name in names]
    ids = ["__".join(parts).lstrip("._-") or "image" for parts in plain]
    seen: dict[str, Path] = {}
    for name, path in zip(ids, paths, strict=True):
        if name.lower() in seen:
            raise ValueError(
                f"{seen[name.lower()]} and {path} would both be called {name!r}: rename one of "
                "them, or list it once"
            )
        seen[name.lower()] = path
    return ids


def _for_a_file(part: str) -> str:
    """Put ``-`` in the place of what is no ASCII letter, digit, dot, underscore or hyphen."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-")


def _number(n: int | None, available: int) -> int:
    """Check how many images are asked for; None asks for all."""
    if n is None:
        return available
    checks.count(n, "n", low=1, high=available)
    return n


def _load(
    paths: list[Path],
    labels: list[int],
    ids: list[str],
    size: int | None,
    shorter: int | None = None,
) -> Dataset:
    """Load files, showing progress, into one batch."""
    loaded = torch.empty(0)
    with progress.bar("loading images", len(paths)) as bar:
        for row, path in enumerate(paths):
            image = images.load(path, size, shorter=shorter)
            if row == 0:
                loaded = image.new_empty(len(paths), *image.shape)
            if image.shape[1:] != loaded.shape[2:]:
                one, other = (" × ".join(map(str, s[-2:])) for s in (image.shape, loaded.shape))
                raise ValueError(
                    f"{path} has {one} pixels, {paths[0]} has {other}: give a size to resize them"
                )
            if image.shape != loaded.shape[1:]:
                raise ValueError(
                    f"{path} has {len(image)} channels, {paths[0]} has {loaded.shape[1]}: "
                    "save all of them in colour, or all of them in grayscale"
                )
            loaded[row] = image
            bar.update(1)
    return Dataset(loaded, torch.tensor(labels), ids)


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
            "Delete it and run again."
        )
    return image


def _from_table(table: Path) -> list[tuple[Path, str, str]]:
    """Return path, label and place of each row of ``labels.csv``."""
    found = []
    for row, where in _rows(table, ("path", "label")):
        if not (table.parent / row["path"]).is_file():
            raise FileNotFoundError(f"{where} lists {row['path']}, which is not in {table.parent}")
        found.append((table.parent / row["path"], row["label"], where))
    return found


def _rows(table: Path, columns: tuple[str, ...]) -> list[tuple[dict[str, str], str]]:
    """Return each row of a table as text, with its place; each has a path and a label."""
    rows: list[tuple[dict[str, Any], str]]
    if table.suffix.lower() == ".parquet":
        header, rows = _parquet(table)
    else:
        header, rows = _csv(table)
    if not set(columns) <= set(header):
        wanted = f"{', '.join(columns[:-1])} and {columns[-1]}"
        raise ValueError(
            f"{table} must have the columns {wanted}; it has {', '.join(header) or 'none'}"
        )
    found = [({name: str(row[name] or "") for name in columns}, where) for row, where in rows]
    for row, where in found:
        if not row["path"] or not row["label"].strip():
            raise ValueError(f"{where} lacks a path or a label: give both")
    if not found:
        raise ValueError(
            f"{table} lists no images: give one row for each, {', '.join(columns[:-1])} and "
            f"{columns[-1]}"
        )
    return found


def _csv(table: Path) -> tuple[list[str], list[tuple[dict[str, Any], str]]]:
    """Read a CSV file: its columns, and its rows with their places."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            header = list(reader.fieldnames or [])
            return header, [(row, f"{table}, line {reader.line_num}") for row in reader]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(
                f"{table}: not a CSV file in UTF-8 ({error}); save it as one"
            ) from error


def _parquet(table: Path) -> tuple[list[str], list[tuple[dict[str, Any], str]]]:
    """Read a Parquet file: its columns, and its rows, counted from 1."""
    try:
        frame = pd.read_parquet(table)
    except Exception as error:  # pyarrow has no common class for what broken files make it raise
        raise ValueError(f"{table}: not a Parquet file, or damaged ({error})") from error
    frame = frame.astype(object).where(frame.notna(), "")
    records = [
        {str(name): str(value) for name, value in row.items()} for row in frame.to_dict("records")
    ]
    return list(map(str, frame)), [
        (row, f"{table}, row {number}") for number, row in enumerate(records, 1)
    ]


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
