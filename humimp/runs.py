"""A run's folder on disk: what was asked, where the numbers come from, and the records.

::

    provenance.json     the diary: settings, fingerprints of the input, state, sessions
    parts/00000.parquet records of one batch each, written as soon as the batch is done
    images/<id>.png     attacked images
    records.parquet     all records, written at the end
    .lock               while a process works here

Every file appears whole or not at all, so a run that is killed leaves a folder that can be used.
"""

import errno
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from humimp import checks, files

if sys.platform != "win32":
    import fcntl

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
    "replicate": pa.int64(),
    "diverged": pa.bool_(),
}
_PACKAGES = ("humimp", "torch", "torchvision", "numpy", "pandas", "pillow", "piq", "pyarrow")
_KEYS = ("format", "state", "settings", "inputs", "records_sha256", "sessions")

_OWN = "evaluate.load"
#: What folders hold, by the function that reads it.
KINDS = {
    _OWN: "a run of evaluate.run",
    "dro.load": "an adversarial data set of dro.robust_dataset",
    "replicates.load": "replicates",
}

#: Fingerprints that older diaries lack: compared only with a diary that has them.
LATER = ("model", "model_form_sha256", "measures_form_sha256", "plan_form_sha256", "dtype")

#: Where a file system knows no locks, a run goes on without.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
_held: set[int] = set()  # descriptors of locks


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
        If there is no run, it is not complete, its files are damaged, or the folder is another
        kind's.
    """
    folder = Path(out)
    diary = read(folder)
    if diary is None:
        raise ValueError(
            f"{folder}: no run here (no provenance.json); compute it with evaluate.run"
        )
    check_kind(folder, diary, _OWN)
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
                f"{out}: not the folder of a run: it holds {checks.few(sorted(found))}, but no "
                "provenance.json; choose another folder, or an empty one"
            )
        return None
    try:
        diary = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in _KEYS if key not in diary]
        if missing or diary["format"] != 1:
            raise ValueError(f"without {checks.few(missing)}" if missing else "another format")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path}: damaged, or not written by this version ({error}); get a fresh copy, "
            "or delete the folder and run again"
        ) from error
    return cast(dict[str, Any], diary)


def check_kind(out: Path, diary: dict[str, Any], reader: str) -> None:
    """Check that a folder holds what a function reads.

    Parameters
    ----------
    out
        The folder, for the error.
    diary
        Its diary.
    reader
        The function: a key of `KINDS`.

    Raises
    ------
    ValueError
        If another function reads it, with its name.
    """
    algorithm = diary["settings"].get("algorithm")
    if algorithm == 2:
        found = "dro.load"
    else:
        found = "replicates.load" if algorithm or "images" not in diary["inputs"] else _OWN
    if found != reader:
        raise ValueError(f"{out}: this folder holds {KINDS[found]}; read it with {found}")


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
        if key not in before or key not in now or before[key] != now[key]
    ]
    if lines:
        raise ValueError(
            f"{out}: this folder holds a run with other settings:\n"
            + "\n".join(lines)
            + "\nUse the same settings to go on with it, another folder for a new run, "
            "or delete the folder."
        )


def seconds(diary: Mapping[str, Any]) -> float:
    """Add up how long the sessions of a diary took."""
    return float(sum(session["wall_seconds"] for session in diary["sessions"]))


def comparable(asked: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the fingerprints that an older diary, whose ``known`` ones are given, lacks."""
    return {key: value for key, value in asked.items() if key in known or key not in LATER}


# ---------------------------------------------------------------------------------- writing


@contextmanager
def alone(out: Path, known: dict[str, Any] | None) -> Iterator[None]:
    """Keep other processes out of a run's folder, which is made if need be.

    The system lets go of the lock when this process ends, however it does. Without locks, as on
    Windows, nothing is kept out.

    Parameters
    ----------
    out
        The folder.
    known
        Its diary, as it was read before.

    Raises
    ------
    ValueError
        If another process works there, or has changed the diary since.
    OSError
        If the folder cannot be written to.
    """
    path = out / ".lock"
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(path)
    except OSError as error:
        raise files.cannot_write(error, path) from error
    try:
        if read(out) != known:
            raise ValueError(
                f"{out}: another process has worked in this folder meanwhile; run again"
            )
        yield
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)  # before it is let go of, so that it is this one
            _held.discard(descriptor)
            os.close(descriptor)


class Session:
    """A stretch of work on a run: makes its folders, and keeps its diary up to date.

    Parameters
    ----------
    out
        The run's folder, from :func:`alone`.
    known
        Its diary, None where nothing has been run yet.
    settings, inputs
        As JSON: what the records depend on.
    folders
        Names of the folders in it.
    **about
        What else to say of this session, such as counts of what it did.
    """

    def __init__(
        self,
        out: Path,
        known: dict[str, Any] | None,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Any],
        folders: Sequence[str] = ("parts",),
        **about: Any,
    ) -> None:
        self.out = out
        self._entry = provenance(**about, wall_seconds=0.0)
        self._start = time.monotonic()
        self._diary = {
            "format": 1,
            "state": "running",
            "settings": dict(settings),
            "inputs": dict(inputs),
            "records_sha256": None,
            "sessions": [*(known["sessions"] if known else []), self._entry],
        }
        self._write()  # first: it is what tells a run's folder from others
        for folder in (out, *(out / name for name in folders)):
            folder.mkdir(exist_ok=True)
            for stray in folder.glob(".*.part"):  # of a write that was interrupted
                stray.unlink()

    def note(self, **about: Any) -> None:
        """Write down what is done by now, and the time that it took."""
        self._entry.update(about, wall_seconds=time.monotonic() - self._start)
        self._write()

    def complete(self, records_sha256: str | None = None) -> None:
        """Write down that all is there."""
        self._diary.update(state="complete", records_sha256=records_sha256)
        self.note()

    def _write(self) -> None:
        write_json(self.out / "provenance.json", self._diary)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file for people to read; see :func:`humimp.files.write`."""
    files.write(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


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
    """Read records back.

    Parameters
    ----------
    data
        From `to_parquet`.

    Returns
    -------
    pandas.DataFrame
        The records. Pages have a checksum, the file's footer has none: if a bit of that is flipped,
        columns may have another name or type, or rows be missing, which is for the caller to see.

    Raises
    ------
    ValueError, OSError, pyarrow.ArrowException
        If a bit is flipped in what the columns hold, or what is left cannot be read.
    """
    file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
    # What pandas notes in the footer is not needed, and leads to odd errors where it is damaged.
    return cast(pd.DataFrame, file.read().to_pandas(ignore_metadata=True))


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
    commit, dirty = checkout()
    return {
        "commit": commit,
        "dirty": dirty,
        "versions": {"python": platform.python_version(), **_versions()},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }


def _locked(path: Path) -> int | None:
    """Make a file, lock it, and return its descriptor; None where there are no locks."""
    if sys.platform == "win32":
        return None
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(descriptor, 20).decode()
            os.close(descriptor)
            raise ValueError(
                f"{path.parent}: another process works in this folder (pid {pid}); wait until it "
                "ends, or choose another folder"
            ) from error
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_LOCKS:
                raise
            path.unlink(missing_ok=True)
            return None
        if _is_open_as(descriptor, path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            _held.add(descriptor)
            return descriptor
        os.close(descriptor)  # of a process that has just ended, and taken its file away


def _is_open_as(descriptor: int, path: Path) -> bool:
    """Whether a descriptor is that of the file that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _let_go() -> None:
    """Close the locks that a forked process has from its parent, which may end before it."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _flat(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested dictionaries with dotted names."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _flat(value, f"{path}.{key}" if path else key)
    else:
        yield path, tree


def checkout(file: Path = Path(__file__)) -> tuple[str | None, bool | None]:
    """Return the commit that a source file is of, and whether files were changed since.

    Results do not count, or the first of several would make the others' source look changed. Both
    are None where the file is not part of a git repository.
    """

    def ask(*words: str) -> str:
        git = ["git", "-C", str(file.parent), *words]
        return subprocess.run(git, capture_output=True, check=True, text=True).stdout.strip()

    try:
        ask("ls-files", "--error-unmatch", file.name)
        return ask("rev-parse", "HEAD"), bool(
            ask("status", "--porcelain", "-uno", ":/", ":(top,exclude)results")
        )
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
