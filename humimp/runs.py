"""A run's folder on disk: what was asked, where the numbers come from, and the records.

::

    provenance.json     the diary: settings, fingerprints of the input, state, sessions
    parts/00000.parquet records of one batch each, written as soon as the batch is done
    images/<id>.png     attacked images
    records.parquet     all records, written at the end

Every file appears whole or not at all, so a run that is killed leaves a folder that can be used.
"""

import hashlib
import inspect
import io
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

#: Columns of a record that are not floating-point numbers; labels predicted under a defence are
#: integers too.
TYPES = {
    "id": pa.string(),
    "attack": pa.string(),
    "label": pa.int64(),
    "clean": pa.int64(),
    "predicted": pa.int64(),
    "correct": pa.bool_(),
    "success": pa.bool_(),
}
_PACKAGES = ("humimp", "torch", "torchvision", "numpy", "pandas", "pillow", "piq", "pyarrow")
_KEYS = ("format", "state", "settings", "inputs", "records_sha256", "sessions")


# ---------------------------------------------------------------------------------- reading


def load(out: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the records of a complete run.

    Parameters
    ----------
    out
        The run's folder.

    Returns
    -------
    pandas.DataFrame
        As returned by :func:`humimp.evaluate.run`.

    Raises
    ------
    ValueError
        If there is no run, it is not complete, or its files are damaged.
    """
    folder = Path(out)
    diary = read(folder)
    if diary is None:
        raise ValueError(
            f"{folder}: no run here (no provenance.json); compute it with evaluate.run"
        )
    if not is_complete(folder, diary):
        done = len(list((folder / "parts").glob("*.parquet")))
        batches = -(-diary["inputs"]["images"] // diary["settings"]["batch_size"])
        raise ValueError(
            f"{folder}: this run is not complete ({done} of {batches} batches are on disk); "
            "start it again with the same settings to go on"
        )
    path = folder / "records.parquet"
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != diary["records_sha256"]:
        raise ValueError(
            f"{path}: damaged or changed (its SHA-256 is not the one in provenance.json); delete "
            "it and run again: it is put together again from parts/ (or get a fresh copy)"
        )
    return from_parquet(data)


def read(out: Path) -> dict[str, Any] | None:
    """Read a folder's diary.

    Parameters
    ----------
    out
        A folder, or nothing yet.

    Returns
    -------
    dict or None
        The content of ``provenance.json``; None where nothing has been run yet.

    Raises
    ------
    ValueError
        If the diary is damaged, or the folder holds something else.
    """
    path = out / "provenance.json"
    if not path.exists():
        if out.exists() and not out.is_dir():
            raise ValueError(f"{out}: a file; a run needs a folder, choose another name")
        inside = [path.name for path in out.iterdir()] if out.exists() else []
        found = [name for name in inside if not name.startswith(".")]
        if found:
            raise ValueError(
                f"{out}: not the folder of a run: it holds {few(sorted(found))}, but no "
                "provenance.json; choose another folder, or an empty one"
            )
        return None
    try:
        diary = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in _KEYS if key not in diary]
        if missing or diary["format"] != 1:
            raise ValueError(f"without {few(missing)}" if missing else "another format")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path}: damaged, or not written by this version ({error}); get a fresh copy, "
            "or delete the folder and run again"
        ) from error
    return cast(dict[str, Any], diary)


def is_complete(out: Path, diary: dict[str, Any] | None) -> bool:
    """Whether a folder with this diary holds all records of its run."""
    return diary is not None and diary["state"] == "complete" and (out / "records.parquet").exists()


def compare(known: Any, asked: Any, out: Path) -> None:
    """Refuse a folder whose run differs from the one that is asked for.

    Parameters
    ----------
    known, asked
        Settings or fingerprints as nested dictionaries.
    out
        The folder, for the error.

    Raises
    ------
    ValueError
        If they differ, with a line for each difference.
    """
    before, now = dict(_flat(known)), dict(_flat(asked))
    lines = [
        f"  {key}: {before.get(key, 'nothing')!r} in the folder, {now.get(key, 'nothing')!r} now"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]
    if lines:
        raise ValueError(
            f"{out}: this folder holds a run with other settings:\n"
            + "\n".join(lines)
            + "\nUse the same settings to go on with it, another folder for a new run, "
            "or delete the folder."
        )


# ---------------------------------------------------------------------------------- writing


def begin(out: Path, diary: dict[str, Any]) -> None:
    """Make a run's folders, write its diary, and clear what an interrupted write left there."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "provenance.json", diary)  # first: it is what tells a run's folder from others
    for folder in (out, out / "parts", out / "images"):
        folder.mkdir(exist_ok=True)
        for stray in folder.glob(".*.part"):
            stray.unlink()


def write(path: Path, data: bytes) -> None:
    """Put a file in place in one step: whole or not at all.

    Parameters
    ----------
    path
        The file. One of this name stays untouched until the new one is complete.
    data
        Its content.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(
            error.errno,
            f"cannot write ({error.strerror}); what was computed before is intact: "
            "make room, or make the folder writable, and run again to go on",
            str(path),
        ) from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file for people to read; see :func:`write`."""
    write(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def to_parquet(records: pd.DataFrame) -> bytes:
    """Return records as a Parquet file; the same records give the same bytes."""
    types = [
        (column, TYPES.get(column, pa.int64() if column.startswith("under_") else pa.float64()))
        for column in map(str, records)
    ]
    arrow = pa.Table.from_pandas(records, schema=pa.schema(types), preserve_index=False)
    file = io.BytesIO()
    pq.write_table(arrow, file, compression="zstd", write_page_checksum=True)
    return file.getvalue()


def from_parquet(data: bytes) -> pd.DataFrame:
    """Read records back; a flipped bit is an error."""
    file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
    return cast(pd.DataFrame, file.read().to_pandas())


# -------------------------------------------------------------------------- what identifies it


def describe(thing: Any) -> Any:
    """Describe an option as JSON, so that equal descriptions mean equal behaviour.

    Parameters
    ----------
    thing
        Anything. Functions and classes are known by name (functions inside others, and lambdas,
        also by their code and what they refer to), modules by class and weights, other objects by
        class and their public attributes.

    Returns
    -------
    JSON
        Numbers, strings, lists and dictionaries.
    """
    if thing is None or isinstance(thing, str | bool | int | float):
        return thing
    if isinstance(thing, Mapping):
        return {str(key): describe(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [describe(value) for value in thing]
    if isinstance(thing, Tensor):
        return {"shape": list(thing.shape), "sha256": digest([thing])}
    if inspect.isroutine(thing) or inspect.isclass(thing):
        return _function(thing)
    kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
    if hasattr(thing, "func") and hasattr(thing, "keywords"):  # functools.partial
        return {kind: describe([thing.func, thing.args, thing.keywords])}
    inside = {
        key: describe(value)
        for key, value in getattr(thing, "__dict__", {}).items()
        if not key.startswith("_")
        and (
            value is None
            or isinstance(value, str | bool | int | float | tuple | Tensor | nn.Module)
        )
    }
    if isinstance(thing, nn.Module):
        inside.pop("training", None)
        inside["weights"] = weights(thing)
    return {kind: inside}


def weights(module: nn.Module) -> str:
    """Return the SHA-256 of a module's parameters and buffers, in hexadecimal."""
    state = module.state_dict()
    tensors = [value for value in state.values() if isinstance(value, Tensor)]
    return hashlib.sha256((json.dumps(list(state)) + digest(tensors)).encode()).hexdigest()


def digest(tensors: Iterable[Tensor]) -> str:
    """Return the SHA-256 of tensors, one after the other, in hexadecimal."""
    total = hashlib.sha256()
    for tensor in tensors:
        tensor = tensor.detach().cpu().contiguous()
        total.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def provenance(**more: Any) -> dict[str, Any]:
    """Say where numbers come from: code, versions and time.

    Parameters
    ----------
    **more
        Further entries, such as the device.

    Returns
    -------
    dict
        ``commit`` of the source and whether it was ``dirty`` (None outside a git checkout),
        ``versions`` of Python and the packages, ``started`` (UTC), and ``more``.
    """
    commit, dirty = _git()
    return {
        "commit": commit,
        "dirty": dirty,
        "versions": {"python": platform.python_version(), **_versions()},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }


def few(names: Sequence[str]) -> str:
    """Return the first few of many names, for an error."""
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _flat(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested dictionaries with dotted names."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _flat(value, f"{path}.{key}" if path else key)
    else:
        yield path, tree


def _function(thing: Any) -> Any:
    """Describe a function, method or class."""
    name = f"{getattr(thing, '__module__', None) or 'builtins'}.{thing.__qualname__}"
    if inspect.ismethod(thing):
        return {name: describe(thing.__self__)}
    if "<" not in name or not inspect.isfunction(thing):
        return name
    plain = [value for value in thing.__code__.co_consts if not inspect.iscode(value)]
    code = hashlib.sha256(thing.__code__.co_code + repr(plain).encode()).hexdigest()
    refers = [cell.cell_contents for cell in thing.__closure__ or ()]
    return {name: [code, describe(refers), describe(thing.__defaults__)]}


def _git() -> tuple[str | None, bool | None]:
    """Return the commit of this package's source and whether files were changed since."""

    def ask(*words: str) -> str:
        git = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(git, capture_output=True, check=True, text=True).stdout.strip()

    try:
        ask("ls-files", "--error-unmatch", Path(__file__).name)
        return ask("rev-parse", "HEAD"), bool(ask("status", "--porcelain", "-uno"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _versions() -> dict[str, str | None]:
    """Return the versions of the packages that decide the numbers."""

    def find(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    return {package: find(package) for package in _PACKAGES}
