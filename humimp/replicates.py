"""Many runs that differ by their seed: on disk one by one, on one machine or several.

::

    provenance.json            the diary: settings, fingerprints of the input, state, sessions
    models/00007.safetensors   the model that was trained with seed 7
    parts/00007.parquet        what it predicts on the test images

What a run computes is passed in; this module keeps its books. It writes a run's two files as soon
as it has them, the second last, each whole or not at all.
"""

import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import safetensors.torch
from torch import Tensor

from humimp import checks, executors, files, progress, runs

#: Columns of the records, in order.
COLUMNS = ("replicate", "id", "label", "predicted", "correct", "diverged")


class Trained(NamedTuple):
    """What a run gives: a model's parameters and buffers by name, and what it predicts.

    ``predicted`` has an int64 class per test image, shape (T,), or is None if the run diverged.
    """

    state: dict[str, Tensor]
    predicted: Tensor | None


def run(
    train: Callable[[Sequence[int]], Sequence[Trained]],
    seeds: Iterable[int],
    *,
    out: str | os.PathLike[str],
    ids: Sequence[str],
    labels: Tensor,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    together: int = 1,
    executor: Executor | None = None,
    about: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Call ``train`` for each seed that is not on disk yet, and return all records.

    Parameters
    ----------
    train
        Takes a few seeds, returns one `Trained` for each. With an executor that has other
        processes it must be something that can be pickled.
    seeds
        Which runs; each must depend on its own seed alone.
    out
        Folder for these runs.
    ids, labels
        Names and labels (T,) of the test images.
    settings, inputs
        As JSON: everything that the results depend on, beside the seeds. A folder that was begun
        with others is refused.
    together
        How many seeds ``train`` gets at once. The groups stay the same however often the work is
        interrupted: if a run of a group is missing, the group is trained again and what is on disk
        stays. Seeds that a folder lacks which was complete form groups of their own.
    executor
        Where to call ``train``; here and now by default. If a call fails, those that have not
        begun are called off, those under way are waited for and kept, and the error is raised.
    about
        What else to note in the diary for this session.

    Returns
    -------
    pandas.DataFrame
        A row per seed and test image, in this order, with `COLUMNS`.

    Raises
    ------
    ValueError
        If there are no seeds or one comes twice; if the folder holds other runs, or damaged files,
        or another process works in it.
    OSError
        If a file cannot be written. Call again to go on.

    Warns
    -----
    RuntimeWarning
        If runs diverged, with their seeds.
    """
    folder, seeds = Path(out), _seeds(seeds)
    known = runs.read(folder)
    if known is not None:
        inputs = runs.comparable(inputs, known["inputs"])
        runs.compare(known["settings"], dict(settings), folder)
        runs.compare(known["inputs"], inputs, folder)
    there = all(_part(folder, seed).exists() for seed in seeds)
    if known is not None and known["state"] == "complete" and there:
        return _joined(_parts(folder, seeds), seeds)
    with runs.alone(folder, known):
        parts = _parts(folder, seeds)
        before = _before(known, parts)
        grouped = [seed for seed in seeds if seed not in before]
        groups = [grouped[start : start + together] for start in range(0, len(grouped), together)]
        todo = [group for group in groups if not all(seed in parts for seed in group)]
        session = runs.Session(
            folder, known, settings, inputs, ("models", "parts"),
            **dict(about or {}), before=before, replicates=0,
        )  # fmt: skip
        kept, made = len(seeds) - sum(map(len, todo)), 0
        each = _each(train, todo, executor)
        with progress.bar("training", len(seeds), done=kept, unit="model") as shown, closing(each):
            for group, done in each:
                for seed, trained in zip(group, done, strict=True):
                    if seed not in parts:
                        parts[seed] = _write(folder, seed, trained, ids, labels)
                        made += 1
                    shown.update()
                session.note(replicates=made)
        session.note(seeds=seeds)  # which are there now
        session.complete()
    return _joined(parts, seeds)


def load(out: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the records of all runs that are in a folder.

    Parameters
    ----------
    out
        The folder, complete.

    Returns
    -------
    pandas.DataFrame
        As :func:`run` returns it, in the order of the seeds.

    Raises
    ------
    ValueError
        If there is nothing or something else, the work is not complete, a replicate that was there
        is lost, or files are damaged.
    """
    folder = Path(out)
    diary = runs.read(folder)
    if diary is not None:
        runs.check_kind(folder, diary, "replicates.load")
    seeds = {int(path.stem) for path in (folder / "parts").glob("[0-9]*.parquet")}
    if diary is None or not seeds:
        raise ValueError(f"{folder}: no replicates here; train them first")
    noted = {seed for one in diary["sessions"] for seed in one.get("seeds", [])}
    lost = sorted(noted - seeds)
    if diary["state"] != "complete" or lost:
        missing = f", of seeds {checks.few(lost)} none" if lost else ""
        raise ValueError(
            f"{folder}: not complete ({len(seeds)} replicates are on disk{missing}); "
            "start it again with the same settings to go on"
        )
    return _joined({seed: _read(folder, seed) for seed in seeds}, sorted(seeds))


def _before(known: dict[str, Any] | None, parts: Mapping[int, pd.DataFrame]) -> list[int]:
    """Return the seeds that belong to earlier work, which was complete: they are in no new group.

    If the new work is cut off, the diary of its session says which they were.
    """
    if known is None:
        return []
    if known["state"] == "complete":
        return sorted(parts)
    return [seed for seed in known["sessions"][-1].get("before", []) if seed in parts]


def _seeds(seeds: Iterable[int]) -> list[int]:
    """Check the seeds."""
    found = list(seeds)
    if not found:
        raise ValueError("seeds: expected at least one, got none; range(50) gives fifty")
    found = [checks.count(seed, "seeds", high=99_999) for seed in found]
    if len(set(found)) < len(found):
        raise ValueError("seeds: expected different ones, got one twice: equal seeds, equal models")
    return found


def _each(
    train: Callable[[Sequence[int]], Sequence[Trained]],
    groups: Sequence[Sequence[int]],
    executor: Executor | None,
) -> Generator[tuple[Sequence[int], Sequence[Trained]]]:
    """Train each group, and yield it with what came out as soon as it is there.

    If one fails, its error is raised after those that are under way have been yielded.
    """
    if executor is None:
        for group in groups:
            yield group, train(group)
        return
    if not isinstance(executor, ProcessPoolExecutor):
        yield from executors.as_they_come(executor, train, ((group, (group,)) for group in groups))
        return
    packed = pickle.dumps(train)
    calls = ((group, (packed, group)) for group in groups)
    for group, done in executors.as_they_come(executor, _in_process, calls):
        yield group, pickle.loads(done)


def _in_process(packed: bytes, seeds: Sequence[int]) -> bytes:
    """Train in another process.

    Bytes go there and back, because a process keeps a file open for each tensor that it is sent.
    """
    train: Callable[[Sequence[int]], Sequence[Trained]] = pickle.loads(packed)
    done = [
        Trained({name: value.cpu() for name, value in one.state.items()}, one.predicted)
        for one in train(seeds)
    ]
    return pickle.dumps(done)


def _write(
    folder: Path, seed: int, trained: Trained, ids: Sequence[str], labels: Tensor
) -> pd.DataFrame:
    """Write the two files of a run; return its records."""
    diverged = trained.predicted is None
    predicted = [-1] * len(ids) if trained.predicted is None else trained.predicted.tolist()
    records = pd.DataFrame({"replicate": seed, "id": list(ids), "label": labels.tolist()})
    records["predicted"] = predicted
    records["correct"] = records["predicted"] == records["label"]
    records["diverged"] = diverged
    state = {name: value.detach().cpu().contiguous() for name, value in trained.state.items()}
    files.write(_model(folder, seed), safetensors.torch.save(state))
    files.write(_part(folder, seed), runs.to_parquet(records))
    return records


def _parts(folder: Path, seeds: Sequence[int]) -> dict[int, pd.DataFrame]:
    """Read the records that are there already."""
    return {seed: _read(folder, seed) for seed in seeds if _part(folder, seed).exists()}


def _read(folder: Path, seed: int) -> pd.DataFrame:
    """Read the records of a run."""
    path = _part(folder, seed)
    try:
        records = runs.from_parquet(path.read_bytes())
        if tuple(records) != COLUMNS or not (records["replicate"] == seed).all():
            raise ValueError("other columns or another replicate than expected")
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ValueError(
            f"{path}: damaged ({str(error).strip() or type(error).__name__}); delete this file "
            "and run again: only its replicate is trained anew"
        ) from error
    return records


def _joined(parts: Mapping[int, pd.DataFrame], seeds: Sequence[int]) -> pd.DataFrame:
    """Join the records, and warn of runs that diverged."""
    diverged = [str(seed) for seed in seeds if parts[seed]["diverged"].any()]
    if diverged:
        warnings.warn(
            f"{len(diverged)} of {len(seeds)} replicates diverged (seeds {checks.few(diverged)}): "
            "they predict nothing, and are marked in the column diverged",
            RuntimeWarning,
            stacklevel=3,
        )
    return pd.concat([parts[seed] for seed in seeds], ignore_index=True)


def _model(folder: Path, seed: int) -> Path:
    """Return the file with the model of a run."""
    return folder / "models" / f"{seed:05d}.safetensors"


def _part(folder: Path, seed: int) -> Path:
    """Return the file with the records of a run."""
    return folder / "parts" / f"{seed:05d}.parquet"
