"""Run an attack over a data set and keep one record per image, on disk as it goes.

:func:`run` can be stopped at any moment, also by pulling the plug, and started again: it goes on
where it was and ends with the same records, bit for bit. :func:`table` and :func:`curves` turn
records into the paper's Table 1 and Figure 4, and :func:`errors` says how sure Table 1 is.
"""

import hashlib
import inspect
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    ProcessPoolExecutor,
)
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from humimp import batches, checks, executors, files, fingerprints, progress, runs, weights
from humimp import images as pictures
from humimp.batches import AFTER, BEFORE, Attack, Batch, Defense, Done, Measure, Model, Plan
from humimp.runs import load

#: How many batches may be under way at once where an executor does not say how many workers it
#: has; of one that does, twice as many as workers.
UNDER_WAY = 64

#: Measures whose means :func:`table` multiplies, as the paper does with the first two: those that
#: begin with a key.
SCALES = {"lpips": 1000, "dists": 1000, "saliency": 1000}


def run(
    attack: Attack,
    model: Model | Callable[[], Model],
    dataset: Sequence[Any] | Callable[[], Sequence[Any]],
    *,
    out: str | os.PathLike[str],
    options: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
    measures: Mapping[str, Measure] | Callable[[], Mapping[str, Measure]] | None = None,
    defenses: Mapping[str, Defense] | None = None,
    batch_size: int = 8,
    seed: int = 0,
    name: str | None = None,
    executor: Executor | None = None,
) -> pd.DataFrame:
    """Attack every correctly classified image of a data set and record what came out.

    An attack succeeds on an image if the model is right about the original and wrong about the
    attacked image, *as it was saved*: 8 bit, written to a file without loss and read again. An
    attack that returns values in between is rounded first; so are the originals.

    Parameters
    ----------
    attack
        ``attack(model, images, labels, **options) -> images``, same shape, dtype and device, in
        [0, 1]. If it takes ``generator``, each batch gets its own, made from ``seed`` and the
        number of the batch.
    model
        Images (N, C, H, W) in [0, 1] to logits (N, K): a module in evaluation mode, another
        callable, or a function without arguments that returns one. Such a function is called only
        if something is left to compute.
    dataset
        ``(images, labels, ids)``: float (N, C, H, W) in [0, 1], int64 (N,), and N names that are
        fit for files; or a function without arguments that returns them.
    out
        Folder of this run: ``provenance.json``, ``records.parquet``, ``images/<id>.png`` with the
        attacked images, and ``parts/`` with the records of each batch.
    options
        Keyword arguments for the attack.
    about
        What the model, the checkpoint and the data set are, as JSON: required where ``model``,
        ``dataset`` or ``measures`` is a function that returns them, because only what is said
        here tells a complete run from another then; and where ``model`` is a callable in which no
        weights are found, neither in its attributes nor in what it refers to.
    measures
        Column name to ``measure(originals, attacked) -> (N,)``, as in :mod:`humimp.distances`;
        or a function without arguments that returns these.
    defenses
        Column name to ``defense(images) -> images``. The column ``under_<name>`` holds the label
        predicted after it. A name that ends in ``_<number>`` gives :func:`curves` its level.
    batch_size
        Images per batch. The batches are the same however often the run is interrupted.
    seed
        For attacks that take ``generator``.
    name
        The attack's name in the records; by default the function's.
    executor
        Where batches are attacked: any :class:`concurrent.futures.Executor`, as for threads,
        processes, or dask's workers on other machines; here, one after the other, by default. It
        decides nothing about the records, and a run that was begun with one can go on with
        another or without. See the notes.

    Returns
    -------
    pandas.DataFrame
        One row per image, in the data set's order, with the columns

        - ``id``, ``label``, ``attack`` (its name);
        - ``clean``: label predicted for the original; ``correct``: whether it is right. Images
          that are not correct are not attacked;
        - ``predicted``: label predicted for the attacked image; ``success``;
        - ``margin``: largest other logit minus the true label's, on the attacked image;
        - the measures: NaN where nothing was attacked;
        - ``forwards``, ``backwards``: images that the attack passed through the model, per
          attacked image of the batch; NaN where nothing was attacked;
        - ``under_<defense>``: label predicted under the defence, for the attacked image, or the
          original where nothing was attacked.

    Raises
    ------
    ValueError
        For input that does not fit the above, or that cannot be sent to the executor's processes;
        an attack, model or measure that returns something else than it should, naming the images;
        a folder that holds a run with other settings, or damaged files, naming what differs or is
        damaged and what to do; one in which another process works. What is already on disk stays
        as it is.
    OSError
        If a file cannot be written. Run again to go on.
    concurrent.futures.BrokenExecutor
        If a worker died. Run again to go on, with a new executor.

    Notes
    -----
    Workers need no disk in common with this process, which alone writes to ``out``: a batch's
    images and records come back to it and are written as soon as they are there, in any order. At
    most two batches for each worker are sent out at once, or 64 if the executor does not say how
    many workers it has. If a batch fails, those that the executor can still call off are called
    off, those that it cannot, because they have begun, are waited for and kept, and the error is
    raised. After ``KeyboardInterrupt`` nothing is waited for.

    The attack, its options and the defences are sent with each batch. So are ``model`` and
    ``measures``, unless they are given as functions without arguments, which are small: each
    worker process calls them once, and so does this one, to know what the run is about. What is
    sent to processes must be defined at the top level of a module that they can import. dask sends
    by cloudpickle, which also takes what is defined in a notebook. Start processes by spawning
    them: forked ones cannot use a GPU, and may hang.

    The function also decides on which device a worker computes, and is the place for switches of
    torch that a worker would not know of. With one process for each GPU::

        def network():
            return classifiers.load("resnet50").to("cuda")

        def choose(gpus):
            os.environ["CUDA_VISIBLE_DEVICES"] = str(gpus.get())

        if __name__ == "__main__":  # worker processes read this file too
            context = multiprocessing.get_context("spawn")
            gpus = context.Queue()
            for gpu in range(4):
                gpus.put(gpu)
            with ProcessPoolExecutor(4, context, choose, (gpus,)) as executor:
                evaluate.run(attacks.pgd_l2, network, ..., executor=executor)

    With ``dask.distributed`` (on Slurm, the cluster is ``dask_jobqueue.SLURMCluster(...)``; with
    several GPUs in this machine, ``dask_cuda.LocalCUDACluster()``)::

        with Client(cluster) as client:
            evaluate.run(attacks.pgd_l2, network, ..., executor=client.get_executor())

    Records are the same to the bit on the same kind of device, with the same versions; but on a GPU
    the gradient of PieAPP is added up in an order that varies, and with it its last bits. On a CPU
    the number of threads counts, too, so each worker uses as many as this process does: before a
    run on several processes of one machine, call ``torch.set_num_threads`` with its cores divided
    by their number. Threads of one process share one model, and take turns where there is a GPU.
    """
    plan = _plan(attack, options, defenses, seed, name)
    folder = Path(out)
    _check_executor(executor)
    given: dict[str, Any] = {"model": model, "dataset": dataset, "measures": measures or {}}
    settings = _settings(plan, about, batch_size, given)
    batch_size = settings["batch_size"]
    known = runs.read(folder)
    if known is not None:
        runs.check_kind(folder, known, "evaluate.load")
        runs.compare(known["settings"], settings, folder)
    fixed = {"plan_form_sha256": fingerprints.forms([plan.attack, plan.options, plan.defenses])}
    if known is not None and runs.is_complete(folder, known):
        at_hand = fixed | _inputs(
            {key: thing for key, thing in given.items() if not batches.is_lazy(thing)}
        )
        at_hand = runs.comparable(at_hand, known["inputs"])
        runs.compare({key: known["inputs"].get(key) for key in at_hand}, at_hand, folder)
        return load(folder)

    made = {key: thing() if batches.is_lazy(thing) else thing for key, thing in given.items()}
    made["dataset"] = data = _dataset(made["dataset"])
    inputs = fixed | _inputs(made)
    if known is not None:
        inputs = runs.comparable(inputs, known["inputs"])
        runs.compare(known["inputs"], inputs, folder)
    sent = replace(
        plan, model=given["model"], measures=given["measures"], model_sha256=inputs["model_sha256"]
    )
    plan = replace(sent, model=made["model"], measures=dict(made["measures"]))
    packed = batches.pack(sent) if isinstance(executor, ProcessPoolExecutor) else sent
    with runs.alone(folder, known):
        parts = _read_parts(folder, plan, data.ids, batch_size)
        session = runs.Session(
            folder, known, settings, inputs, ("parts", "images"),
            checkpoints=weights.local(),
            device=batches.device_name(batches.device(plan.model)),
            executor=None if executor is None else type(executor).__name__,
            batches=0,
        )  # fmt: skip
        slices = dict(enumerate(_slices(len(data.ids), batch_size)))
        todo = (data.batch(index, rows) for index, rows in slices.items() if index not in parts)
        if executor is None:
            attacked = _attacked_here(plan, todo)
        else:
            attacked = _sent_out(plan, packed, todo, executor)
        devices = set()
        kept = sum(map(len, parts.values()))
        with progress.bar(plan.name, len(data.ids), done=kept) as shown, closing(attacked):
            for number, (index, done) in enumerate(attacked, start=1):
                _write(folder, index, done)
                parts[index] = done.records
                devices.add(done.device)
                session.note(
                    batches=number,
                    device=", ".join(sorted(devices)),
                    checkpoints=weights.local(),  # some may have come with this batch
                )
                shown.update(len(done.records))
        whole = runs.to_parquet(pd.concat([parts[i] for i in sorted(parts)], ignore_index=True))
        files.write(folder / "records.parquet", whole)
        session.complete(hashlib.sha256(whole).hexdigest())
        return load(folder)


def table(records: pd.DataFrame) -> pd.DataFrame:
    """Summarise records as the paper's Table 1 does, a row per attack.

    Parameters
    ----------
    records
        From :func:`run`, of one attack or several (``pandas.concat``).

    Returns
    -------
    pandas.DataFrame
        Indexed by attack, in order of appearance, with the columns

        - ``images``: how many there are; ``n``: how many of them are classified correctly when
          clean, which are the ones attacked;
        - ``success_rate``: in percent, the number of attacked images whose labels change from
          correct to incorrect, divided by ``n`` (Section 3.2); NaN where that is 0;
        - each measure: the mean over the images on which the attack succeeded, NaN if there are
          none. LPIPS, DISTS and saliency are multiplied by 1000;
        - ``forwards``, ``backwards``: mean passes through the model per attacked image.

    Raises
    ------
    ValueError
        If columns are missing, or an attack has an image twice.
    """
    _check_records(records)
    measures = _measures(records)
    rows = {}
    for name, group in records.groupby("attack", sort=False):
        attacked = group[group["correct"]]
        won = attacked[attacked["success"]]
        rows[name] = {
            "images": len(group),
            "n": len(attacked),
            "success_rate": 100 * attacked["success"].mean(),
            **{measure: _scale(measure) * won[measure].mean() for measure in measures},
            **{column: attacked[column].mean() for column in AFTER},
        }
    summary = pd.DataFrame.from_dict(rows, orient="index")
    return summary.rename_axis("attack")


def errors(records: pd.DataFrame, *, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Estimate the standard errors of :func:`table` by the bootstrap (Efron 1979) over images.

    Of the images that an attack was run on, as many are drawn with replacement, and the row of
    the table is computed from them; the standard deviation over all draws is the standard error.
    The means over successful images have their number drawn with them. Attacks on equally many
    images get the same draws, and what else is in the table has no influence.

    Parameters
    ----------
    records
        From :func:`run`, of one attack or several (``pandas.concat``).
    draws
        How many times images are drawn, at least 2.
    seed
        Of the draws.

    Returns
    -------
    pandas.DataFrame
        Indexed by attack, as :func:`table`, in its units, with its columns from ``success_rate``
        on. NaN where fewer than two images have a value: a single one does not say how much
        others differ. Draws without a single value are left out.

    Raises
    ------
    ValueError
        If columns are missing, an attack has an image twice, or ``draws`` or ``seed`` is no such
        number.

    Notes
    -----
    An error of 0 means that all images agree, such as 100 % success. It does not mean that others
    would: of n successes in n tries one may say, with 95 % confidence, that the rate is above
    100 · 0.05^(1/n) per cent.
    """
    _check_records(records)
    checks.count(draws, "draws", low=2)
    checks.count(seed, "seed")
    measures = _measures(records)
    rows = {}
    for name, group in records.groupby("attack", sort=False):
        attacked = group[group["correct"]]
        n = len(attacked)
        chosen = np.random.default_rng(seed).integers(max(n, 1), size=(draws, n))
        cells = chosen + n * np.arange(draws)[:, None]
        times = np.bincount(cells.ravel(), minlength=draws * n).reshape(draws, n)
        won = attacked["success"]
        values = {
            "success_rate": 100 * won.astype(float),
            **{measure: _scale(measure) * attacked[measure].where(won) for measure in measures},
            **{column: attacked[column] for column in AFTER},
        }
        rows[name] = {column: _spread(times, one.to_numpy()) for column, one in values.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("attack")


def curves(records: pd.DataFrame) -> pd.DataFrame:
    """Compute the success rate under each defence: the paper's Figure 4.

    Of the images that are classified correctly when clean and undefended, the share that is
    misclassified when the attacked image is defended. For images that were not attacked at all
    (``attacks.no_attack``) this is what the defence itself costs.

    Parameters
    ----------
    records
        From :func:`run`, of one attack or several (``pandas.concat``).

    Returns
    -------
    pandas.DataFrame
        A row per attack, defence and level, in order of appearance: ``attack``; ``defense``, the
        column's name without its level; ``level``, NaN for a defence without; ``success_rate`` in
        percent, NaN where no image was correct; ``n``, the number of images that it is a share of.
        Defences that an attack was run without are left out.

    Raises
    ------
    ValueError
        If columns are missing, or an attack has an image twice.
    """
    _check_records(records)
    under = [str(column) for column in records if str(column).startswith("under_")]
    rows = []
    for name, group in records.groupby("attack", sort=False):
        attacked = group[group["correct"]]
        for column in under:
            if group[column].isna().any():
                continue  # this attack was run without this defence
            defense, level = _level(column.removeprefix("under_"))
            wrong = attacked[column] != attacked["label"]
            rows.append((name, defense, level, 100 * wrong.mean(), len(attacked)))
    return pd.DataFrame(rows, columns=["attack", "defense", "level", "success_rate", "n"])


@dataclass(frozen=True)
class _Data:
    """Images, labels and ids of a data set."""

    images: Tensor
    labels: Tensor
    ids: list[str]

    def batch(self, index: int, rows: slice) -> Batch:
        levels = pictures.to_uint8(self.images[rows]).cpu().numpy()
        labels = self.labels[rows].cpu().numpy()
        return Batch(index, self.ids[rows], levels, labels, self.images.dtype)


def _plan(
    attack: Attack,
    options: Mapping[str, Any] | None,
    defenses: Mapping[str, Defense] | None,
    seed: int,
    name: str | None,
) -> Plan:
    """Check everything about a run that is known before anything is loaded."""
    options = checks.options(attack, options)
    _check_columns(defenses or {}, "defenses")
    seed = checks.count(seed, "seed")
    name = name or str(getattr(attack, "__name__", type(attack).__name__))
    takes_generator = "generator" in inspect.signature(attack).parameters
    threads = torch.get_num_threads()
    return Plan(attack, name, options, dict(defenses or {}), seed, takes_generator, threads)


def _settings(
    plan: Plan, about: Mapping[str, Any] | None, batch_size: int, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return, as JSON, everything that decides what the records will be."""
    batch_size = checks.count(batch_size, "batch_size", low=1)
    lazy = [key for key, thing in given.items() if batches.is_lazy(thing)]
    if lazy and not about:
        raise ValueError(
            f"about: {' and '.join(lazy)} given as a function; say what it returns, e.g. "
            "about={'classifier': 'mobilenet_v2', 'images': 'photographs'}, so that this run can "
            "be told from another without calling it"
        )
    model = given["model"]
    plain = callable(model) and not isinstance(model, nn.Module) and "model" not in lazy
    if plain and not about and not fingerprints.is_fingerprinted(fingerprints.describe(model)):
        raise ValueError(
            "about: the model is a callable in which no weights are found; say what it is, e.g. "
            "about={'classifier': 'mobilenet_v2'}, so that this run can be told from that of "
            "another model, or give a torch.nn.Module"
        )
    try:
        described = json.loads(json.dumps(dict(about or {})))
    except (TypeError, ValueError) as error:
        raise ValueError(f"about: expected something that JSON can hold ({error})") from error
    return {
        "attack": fingerprints.describe(plan.attack),
        "name": plan.name,
        "options": {key: fingerprints.describe(value) for key, value in plan.options.items()},
        "about": described,
        "defenses": {key: fingerprints.describe(value) for key, value in plan.defenses.items()},
        "batch_size": batch_size,
        "seed": plan.seed,
    }


def _check_executor(executor: Any) -> None:
    """Refuse what is no executor."""
    if executor is None or isinstance(executor, Executor):
        return
    raise ValueError(
        "executor: expected a concurrent.futures.Executor, got "
        f"{type(executor).__name__}; of a dask client, pass client.get_executor()"
    )


def _attacked_here(plan: Plan, todo: Iterable[Batch]) -> Generator[tuple[int, Done]]:
    """Attack one batch after the other."""
    for batch in todo:
        yield batch.index, batches.attack(plan, batch)


def _sent_out(
    plan: Plan, packed: Plan | bytes, todo: Iterator[Batch], executor: Executor
) -> Generator[tuple[int, Done]]:
    """Send batches out, a few at a time, and yield what comes back as soon as it does."""
    run = uuid4().hex
    workers = getattr(executor, "_max_workers", None)
    most = 2 * workers if workers else UNDER_WAY
    calls = ((batch.index, (run, packed, batch)) for batch in todo)
    try:
        with batches.at_hand(run, plan):
            yield from executors.as_they_come(executor, batches.work, calls, most)
    except BrokenExecutor as failed:
        failed.add_note(
            "a worker died; what is done is kept: run again to go on, with a new executor"
        )
        raise


def _write(out: Path, index: int, done: Done) -> None:
    """Write a batch down: its records last, which say that it is done."""
    for one, file in done.files.items():
        files.write(_image(out, one), file)
    files.write(_part(out, index), runs.to_parquet(done.records))


def _check_columns(given: Mapping[str, Any], what: str) -> None:
    """Refuse names of measures and defences that cannot be columns."""
    if not isinstance(given, Mapping):
        raise ValueError(
            f"{what}: expected functions by name, as in {{'l2': distances.l2}}, got "
            f"{type(given).__name__}"
        )
    for column in given:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", column):
            raise ValueError(
                f"{what}: {column!r} is no column name; "
                "use a small letter, then small letters, digits and _"
            )
        if column in (*BEFORE, *AFTER) or column.startswith("under_"):
            raise ValueError(f"{what}: every record has a column {column!r} already; rename it")


def _dataset(dataset: Any) -> _Data:
    """Check a data set."""
    if isinstance(dataset, _Data):
        return dataset
    images, labels, ids = checks.three(dataset)
    checks.images(images)
    checks.labels(labels, images)
    ids = [str(one) for one in ids]
    if len(ids) != len(images):
        raise ValueError(f"ids: expected one per image, got {len(ids)} for {len(images)} images")
    unfit = [one for one in ids if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", one)]
    if unfit:
        raise ValueError(
            f"ids: {checks.few(unfit)} cannot name a file; "
            "use letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 200"
        )
    times = Counter(one.lower() for one in ids)
    doubles = [one for one in ids if times[one.lower()] > 1]
    if doubles:
        raise ValueError(
            f"ids: {checks.few(list(dict.fromkeys(doubles)))} given more than once (small and "
            "capital letters count as the same, as on some disks); make them unique"
        )
    return _Data(images.detach(), labels.detach(), ids)


def _inputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """Check what was given, and return its fingerprints."""
    inputs: dict[str, Any] = {}
    if "dataset" in given:
        data = _dataset(given["dataset"])
        pixels = (pictures.to_uint8(data.images[rows]) for rows in _slices(len(data.ids), 64))
        rest = json.dumps([data.ids, data.labels.tolist(), list(data.images.shape)])
        total = hashlib.sha256((rest + fingerprints.digest(pixels)).encode()).hexdigest()
        inputs |= {"images": len(data.ids), "dataset_sha256": total}
        inputs |= {"dtype": str(data.images.dtype)}
    if "model" in given:
        model = given["model"]
        checks.model(model)
        if isinstance(model, nn.Module):
            inputs |= {
                "model_sha256": fingerprints.weights(model),
                "model_form_sha256": fingerprints.form(model),
            }
        else:
            inputs |= {"model_sha256": None, "model": fingerprints.describe(model, forms=True)}
    if "measures" in given:
        _check_columns(given["measures"], "measures")
        measures = given["measures"].items()
        inputs |= {"measures": {key: fingerprints.describe(value) for key, value in measures}}
        inputs |= {"measures_form_sha256": fingerprints.forms(dict(measures))}
    return inputs


def _read_parts(out: Path, plan: Plan, ids: list[str], batch_size: int) -> dict[int, pd.DataFrame]:
    """Read the batches that are done already."""
    parts = {}
    for index, rows in enumerate(_slices(len(ids), batch_size)):
        path = _part(out, index)
        if not path.exists():
            continue
        try:
            part = runs.from_parquet(path.read_bytes())
            columns = [*BEFORE, *plan.measures, *AFTER, *(f"under_{d}" for d in plan.defenses)]
            if set(part) != set(columns) or part["id"].tolist() != ids[rows]:
                raise ValueError("other columns or images than expected")
            part = part[columns]  # which may have been given in another order before
        except (ValueError, OSError, pa.ArrowException) as error:
            raise ValueError(
                f"{path}: damaged ({str(error).strip() or type(error).__name__}); delete this file "
                f"and run again: only its {len(ids[rows])} images are attacked anew"
            ) from error
        if all(_image(out, one).exists() for one in part["id"][part["correct"]]):
            parts[index] = part  # else an image was lost, and its batch is attacked anew
    return parts


def _part(out: Path, index: int) -> Path:
    """Return the file with the records of one batch."""
    return out / "parts" / f"{index:05d}.parquet"


def _image(out: Path, one: str) -> Path:
    """Return the file of an attacked image."""
    return out / "images" / f"{one}.png"


def _slices(size: int, batch_size: int) -> list[slice]:
    """Cut ``range(size)`` into batches."""
    return [slice(start, start + batch_size) for start in range(0, size, batch_size)]


def _check_records(records: pd.DataFrame) -> None:
    """Refuse a table that does not hold records."""
    missing = [column for column in (*BEFORE, *AFTER) if column not in records]
    if missing:
        raise ValueError(
            f"records: the columns {', '.join(missing)} are missing; pass what run() or load() "
            "returned"
        )
    twice = records.duplicated(["attack", "id"])
    if twice.any():
        names = records.loc[twice, "attack"].unique().tolist()
        raise ValueError(
            f"records: {checks.few(names)} holds images more than once, as if two runs had one "
            "name; give each run a name of its own (name= of evaluate.run, or .assign(attack=...))"
        )


def _measures(records: pd.DataFrame) -> list[str]:
    """Return the columns of measures."""
    fixed = {*BEFORE, *AFTER}
    columns = [str(column) for column in records]
    return [c for c in columns if c not in fixed and not c.startswith("under_")]


def _spread(times: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """Return the standard deviation of means over draws.

    ``times`` says how often each image is in each draw, (draws, n); ``values`` are the images',
    (n,), NaN for those that are left out of the mean.
    """
    there = ~np.isnan(values)
    if there.sum() < 2:
        return float("nan")
    counts = times[:, there].sum(1)
    sums = times[:, there] @ values[there]
    return float((sums[counts > 0] / counts[counts > 0]).std(ddof=1))


def _scale(measure: str) -> int:
    """Return by how much the paper multiplies a measure."""
    return next((by for start, by in SCALES.items() if measure.startswith(start)), 1)


def _level(defense: str) -> tuple[str, float]:
    """Cut ``jpeg_90`` into ``jpeg`` and 90."""
    match = re.fullmatch(r"(.+)_(\d+)", defense)
    return (match[1], float(match[2])) if match else (defense, np.nan)
