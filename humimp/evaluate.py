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
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from humimp import checks, progress, runs, weights
from humimp import images as pictures
from humimp.runs import load

Model = Callable[[Tensor], Tensor]
Attack = Callable[..., Tensor]
Measure = Callable[[Tensor, Tensor], Tensor]
Defense = Callable[[Tensor], Tensor]

#: Columns that every record has before and after its measures. Columns of defences follow.
BEFORE = ("id", "label", "attack", "clean", "correct", "predicted", "success", "margin")
AFTER = ("forwards", "backwards")

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
        here tells a complete run from another then.
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
        For input that does not fit the above; an attack, model or measure that returns something
        else than it should, naming the images; a folder that holds a run with other settings, or
        damaged files, naming what differs or is damaged and what to do. What is already on disk
        stays as it is.
    OSError
        If a file cannot be written. Run again to go on.
    """
    plan = _plan(attack, options, defenses, seed, name, Path(out))
    given: dict[str, Any] = {"model": model, "dataset": dataset, "measures": measures or {}}
    settings = _settings(plan, about, batch_size, given)
    known = runs.read(plan.out)
    if known is not None:
        runs.compare(known["settings"], settings, plan.out)
    if known is not None and runs.is_complete(plan.out, known):
        at_hand = _inputs({key: thing for key, thing in given.items() if not _is_lazy(thing)})
        runs.compare({key: known["inputs"].get(key) for key in at_hand}, at_hand, plan.out)
        return load(plan.out)

    given = {key: thing() if _is_lazy(thing) else thing for key, thing in given.items()}
    given["dataset"] = data = _dataset(given["dataset"])
    inputs = _inputs(given)
    if known is not None:
        runs.compare(known["inputs"], inputs, plan.out)
    network: Model = given["model"]
    plan = replace(plan, measures=dict(given["measures"]))
    parts = _read_parts(plan, data.ids, batch_size)
    session = runs.provenance(
        checkpoints=_checkpoints(),
        device=_device_name(_device(network)),
        batches=0,
        wall_seconds=0.0,
    )
    diary = {
        "format": 1,
        "state": "running",
        "settings": settings,
        "inputs": inputs,
        "records_sha256": None,
        "sessions": [*(known["sessions"] if known else []), session],
    }
    runs.begin(plan.out, diary)
    with progress.bar(plan.name, len(data.ids)) as shown:
        for index, rows in enumerate(_batches(len(data.ids), batch_size)):
            if index not in parts:
                start = time.monotonic()
                parts[index] = _attack_batch(plan, network, data.take(rows), index)
                runs.write(_part(plan.out, index), runs.to_parquet(parts[index]))
                session["batches"] += 1
                session["wall_seconds"] += time.monotonic() - start
                runs.write_json(plan.out / "provenance.json", diary)
            shown.update(len(parts[index]))
    whole = runs.to_parquet(pd.concat([parts[i] for i in sorted(parts)], ignore_index=True))
    runs.write(plan.out / "records.parquet", whole)
    diary.update(state="complete", records_sha256=hashlib.sha256(whole).hexdigest())
    runs.write_json(plan.out / "provenance.json", diary)
    return load(plan.out)


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
          correct to incorrect, divided by ``n`` (Section 3.2);
        - each measure: the mean over the images on which the attack succeeded, NaN if there are
          none. LPIPS, DISTS and saliency are multiplied by 1000;
        - ``forwards``, ``backwards``: mean passes through the model per attacked image.

    Raises
    ------
    ValueError
        If columns are missing.
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
        If columns are missing, or ``draws`` or ``seed`` is no such number.

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
        percent; ``n``, the number of images that it is a share of.

    Raises
    ------
    ValueError
        If columns are missing.
    """
    _check_records(records)
    under = [str(column) for column in records if str(column).startswith("under_")]
    rows = []
    for name, group in records.groupby("attack", sort=False):
        attacked = group[group["correct"]]
        for column in under:
            if attacked[column].isna().any():
                continue  # this attack was run without this defence
            defense, level = _level(column.removeprefix("under_"))
            wrong = attacked[column] != attacked["label"]
            rows.append((name, defense, level, 100 * wrong.mean(), len(attacked)))
    return pd.DataFrame(rows, columns=["attack", "defense", "level", "success_rate", "n"])


@dataclass(frozen=True)
class _Plan:
    """What is done to every batch; can be sent to another process."""

    attack: Attack
    name: str
    out: Path
    options: dict[str, Any]
    defenses: dict[str, Defense]
    seed: int
    takes_generator: bool
    measures: dict[str, Measure] = field(default_factory=dict)


@dataclass(frozen=True)
class _Data:
    """Images, labels and ids, of a data set or of one batch."""

    images: Tensor
    labels: Tensor
    ids: list[str]

    def take(self, rows: slice) -> "_Data":
        return _Data(self.images[rows], self.labels[rows], self.ids[rows])


def _plan(
    attack: Attack,
    options: Mapping[str, Any] | None,
    defenses: Mapping[str, Defense] | None,
    seed: int,
    name: str | None,
    out: Path,
) -> _Plan:
    """Check everything about a run that is known before anything is loaded."""
    if not callable(attack):
        raise ValueError(f"attack: expected a function, got {attack!r}")
    options, defenses = dict(options or {}), dict(defenses or {})
    parameters = inspect.signature(attack).parameters
    named = [p.name for p in parameters.values() if p.kind != p.VAR_KEYWORD][3:]
    free = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    unknown = [key for key in options if key not in named and not free]
    if unknown:
        raise ValueError(
            f"options: the attack does not take {', '.join(unknown)}; it takes {', '.join(named)}"
        )
    if "generator" in options:
        raise ValueError("options: leave generator out, each batch gets one made from seed")
    if options.get("targeted"):
        raise ValueError("options: targeted attacks cannot be evaluated; leave targeted out")
    _check_columns(defenses, "defenses")
    checks.count(seed, "seed")
    name = name or str(getattr(attack, "__name__", type(attack).__name__))
    return _Plan(attack, name, out, options, defenses, seed, "generator" in parameters)


def _settings(
    plan: _Plan, about: Mapping[str, Any] | None, batch_size: int, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return, as JSON, everything that decides what the records will be."""
    checks.count(batch_size, "batch_size", low=1)
    lazy = [key for key, thing in given.items() if _is_lazy(thing)]
    if lazy and not about:
        raise ValueError(
            f"about: {' and '.join(lazy)} given as a function; say what it returns, e.g. "
            "about={'classifier': 'mobilenet_v2', 'images': 'photographs'}, so that this run can "
            "be told from another without calling it"
        )
    try:
        described = json.loads(json.dumps(dict(about or {})))
    except (TypeError, ValueError) as error:
        raise ValueError(f"about: expected something that JSON can hold ({error})") from error
    return {
        "attack": runs.describe(plan.attack),
        "name": plan.name,
        "options": {key: runs.describe(value) for key, value in plan.options.items()},
        "about": described,
        "defenses": {key: runs.describe(value) for key, value in plan.defenses.items()},
        "batch_size": batch_size,
        "seed": plan.seed,
    }


def _is_lazy(thing: Any) -> bool:
    """Whether something is to be called without arguments to get the thing itself."""
    if not callable(thing) or isinstance(thing, nn.Module):
        return False
    parameters = inspect.signature(thing).parameters.values()
    return all(
        p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters
    )


def _check_columns(given: Mapping[str, Any], what: str) -> None:
    """Refuse names of measures and defences that cannot be columns."""
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
    try:
        images, labels, ids = dataset
    except (TypeError, ValueError) as error:
        raise ValueError("dataset: expected the three of images, labels and ids") from error
    checks.images(images)
    checks.labels(labels, images)
    ids = [str(one) for one in ids]
    if len(ids) != len(images):
        raise ValueError(f"ids: expected one per image, got {len(ids)} for {len(images)} images")
    unfit = [one for one in ids if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", one)]
    if unfit:
        raise ValueError(
            f"ids: {runs.few(unfit)} cannot name a file; "
            "use letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 200"
        )
    times = Counter(one.lower() for one in ids)
    doubles = [one for one in ids if times[one.lower()] > 1]
    if doubles:
        raise ValueError(
            f"ids: {runs.few(list(dict.fromkeys(doubles)))} given more than once (small and "
            "capital letters count as the same, as on some disks); make them unique"
        )
    return _Data(images.detach(), labels.detach(), ids)


def _inputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """Check what was given, and return its fingerprints."""
    inputs: dict[str, Any] = {}
    if "dataset" in given:
        data = _dataset(given["dataset"])
        pixels = (pictures.to_uint8(data.images[rows]) for rows in _batches(len(data.ids), 64))
        rest = json.dumps([data.ids, data.labels.tolist(), list(data.images.shape)])
        total = hashlib.sha256((rest + runs.digest(pixels)).encode()).hexdigest()
        inputs |= {"images": len(data.ids), "dataset_sha256": total}
    if "model" in given:
        model = given["model"]
        checks.model(model)
        module = isinstance(model, nn.Module)
        inputs |= {"model_sha256": runs.weights(model) if module else None}
    if "measures" in given:
        _check_columns(given["measures"], "measures")
        measures = given["measures"].items()
        inputs |= {"measures": {key: runs.describe(value) for key, value in measures}}
    return inputs


def _attack_batch(plan: _Plan, model: Model, batch: _Data, index: int) -> pd.DataFrame:
    """Attack one batch, save the images, and return its records."""
    device = _device(model)
    labels = batch.labels.to(device)
    originals = pictures.validate(batch.images, "round").to(device)
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False):
        clean = _logits(model, originals, labels, batch.ids, "the originals").argmax(1)
        correct = clean == labels
        chosen = correct.nonzero().flatten()
        ids = [batch.ids[i] for i in chosen.tolist()]
        attacked, passes = originals.clone(), _Passes()
        if ids:
            with _counted(model, passes) as watched:
                made = _attacked(plan, watched, originals[chosen], labels[chosen], ids, index)
            attacked[chosen] = torch.stack(
                [_saved(image, _image(plan.out, one)) for one, image in zip(ids, made, strict=True)]
            )
        logits = _logits(model, attacked, labels, batch.ids, "the attacked images")
        predicted = logits.argmax(1)
        columns: dict[str, Any] = {
            "id": batch.ids,
            "label": labels,
            "attack": [plan.name] * len(batch.ids),
            "clean": clean,
            "correct": correct,
            "predicted": predicted,
            "success": correct & (predicted != labels),
            "margin": _margin(logits, labels).double(),
        }
        for name, measure in plan.measures.items():
            columns[name] = torch.full(labels.shape, torch.nan, dtype=torch.float64)
            if ids:
                values = _measured(name, measure, originals[chosen], attacked[chosen], ids)
                columns[name][chosen.cpu()] = values
        for name, count in passes.per_image(len(ids)).items():
            columns[name] = [count if one else float("nan") for one in correct.tolist()]
        for name, defense in plan.defenses.items():
            defended = _defended(name, defense, attacked)
            logits = _logits(model, defended, labels, batch.ids, f"the images after {name}")
            columns[f"under_{name}"] = logits.argmax(1)
    return pd.DataFrame(
        {key: v.tolist() if isinstance(v, Tensor) else v for key, v in columns.items()}
    )


def _attacked(
    plan: _Plan, model: Model, originals: Tensor, labels: Tensor, ids: list[str], index: int
) -> Tensor:
    """Call the attack, which may spoil what it is given, and check what it returns."""
    options = dict(plan.options)
    if plan.takes_generator:
        state = np.random.SeedSequence([plan.seed, index]).generate_state(2, np.uint32)
        number = int(state[0]) << 31 | int(state[1]) >> 1
        options["generator"] = torch.Generator(originals.device).manual_seed(number)
    try:
        with torch.enable_grad():
            made = plan.attack(model, originals, labels, **options)
    except ValueError as error:
        raise ValueError(f"{plan.name} failed on images {runs.few(ids)}: {error}") from error
    except Exception as error:
        error.add_note(f"while {plan.name} attacked images {runs.few(ids)}")
        raise
    if not isinstance(made, Tensor):
        raise ValueError(
            f"{plan.name} returned {type(made).__name__} for images {runs.few(ids)}; "
            "an attack returns a tensor of images"
        )
    wrong = [
        f"{what} {got} instead of {wanted}"
        for what, got, wanted in (
            ("shape", tuple(made.shape), tuple(originals.shape)),
            ("dtype", made.dtype, originals.dtype),
            ("device", made.device, originals.device),
        )
        if got != wanted
    ]
    if wrong:
        raise ValueError(
            f"{plan.name} returned {', '.join(wrong)} for images {runs.few(ids)}; an attack "
            "returns images like the ones that it is given"
        )
    made = made.detach()
    inside = ((made >= 0) & (made <= 1)).flatten(1).all(1)
    if not bool(inside.all()):
        bad = [one for one, good in zip(ids, inside.tolist(), strict=True) if not good]
        raise ValueError(
            f"{plan.name} returned values outside [0, 1] or NaN for images {runs.few(bad)}; "
            "clamp them with humimp.images.validate"
        )
    return made


def _logits(model: Model, images: Tensor, labels: Tensor, ids: list[str], what: str) -> Tensor:
    """Ask the model, without gradients; an error names the images."""
    with torch.no_grad():
        logits = model(images)
    try:
        checks.logits(logits, labels)
    except ValueError as error:
        bad = ids
        if isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == len(ids):
            finite = logits.isfinite().all(1).tolist()
            bad = [one for one, good in zip(ids, finite, strict=True) if not good] or ids
        raise ValueError(f"{what} {runs.few(bad)}: {error}") from error
    return logits


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the largest other logit minus the label's, (N, K) and (N,) to (N,)."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(1) - logits.gather(1, labels[:, None])[:, 0]


def _measured(
    name: str, measure: Measure, originals: Tensor, attacked: Tensor, ids: list[str]
) -> Tensor:
    """Call a measure and check what it returns."""
    with torch.no_grad():
        values = measure(originals, attacked)
    if not isinstance(values, Tensor) or values.shape != (len(ids),):
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(
            f"measure {name}: expected one value per image, shape ({len(ids)},), got {shape}"
        )
    values = values.detach().double().cpu()
    bad = [one for one, good in zip(ids, values.isfinite().tolist(), strict=True) if not good]
    if bad:
        raise ValueError(f"measure {name}: NaN or infinite for images {runs.few(bad)}")
    return values


def _defended(name: str, defense: Defense, images: Tensor) -> Tensor:
    """Call a defence and check what it returns."""
    with torch.no_grad():
        defended = defense(images.clone())
    if not isinstance(defended, Tensor) or defended.shape != images.shape:
        got = tuple(defended.shape) if isinstance(defended, Tensor) else type(defended).__name__
        raise ValueError(f"defense {name}: expected shape {tuple(images.shape)}, got {got}")
    return defended.to(images)


def _saved(image: Tensor, path: Path) -> Tensor:
    """Round an image to 8 bit, save it, and return what a reader of the file gets."""
    pictures.save(pictures.validate(image, "round"), path)
    levels = pictures.to_uint8(pictures.load(path))
    return pictures.from_uint8(levels, image.dtype).to(image.device)


class _Passes:
    """How many images went through a model, forwards and backwards."""

    def __init__(self) -> None:
        self.forwards = 0
        self.backwards = 0

    def see(self, output: Any) -> None:
        if not isinstance(output, Tensor):
            return
        n = len(output)
        self.forwards += n
        if output.requires_grad:
            output.register_hook(lambda _: self._back(n))

    def _back(self, n: int) -> None:
        self.backwards += n

    def per_image(self, n: int) -> dict[str, float]:
        return {name: getattr(self, name) / max(n, 1) for name in AFTER}


@contextmanager
def _counted(model: Model, passes: _Passes) -> Iterator[Model]:
    """Count a model's passes; the model itself stays as it is."""
    if isinstance(model, nn.Module):
        handle = model.register_forward_hook(lambda _module, _input, output: passes.see(output))
        try:
            yield model
        finally:
            handle.remove()
        return

    def watched(images: Tensor) -> Tensor:
        output = model(images)
        passes.see(output)
        return output

    yield watched


def _device(model: Model) -> torch.device:
    """Return where a model expects its images."""
    if isinstance(model, nn.Module):
        for tensor in [*model.parameters(), *model.buffers()]:
            return tensor.device
    return torch.device("cpu")


@cache
def _checkpoints() -> dict[str, str]:
    """Return the SHA-256 of each checkpoint's file on this machine."""
    return weights.local()


def _device_name(device: torch.device) -> str:
    """Return the name of a device as its maker gives it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _read_parts(plan: _Plan, ids: list[str], batch_size: int) -> dict[int, pd.DataFrame]:
    """Read the batches that are done already."""
    parts = {}
    for index, rows in enumerate(_batches(len(ids), batch_size)):
        path = _part(plan.out, index)
        if not path.exists():
            continue
        try:
            part = runs.from_parquet(path.read_bytes())
            columns = [*BEFORE, *plan.measures, *AFTER, *(f"under_{d}" for d in plan.defenses)]
            if list(part) != columns or part["id"].tolist() != ids[rows]:
                raise ValueError("other columns or images than expected")
        except (ValueError, OSError, pa.ArrowException) as error:
            raise ValueError(
                f"{path}: damaged ({str(error).strip() or type(error).__name__}); delete this file "
                f"and run again: only its {len(ids[rows])} images are attacked anew"
            ) from error
        parts[index] = part
    return parts


def _part(out: Path, index: int) -> Path:
    """Return the file with the records of one batch."""
    return out / "parts" / f"{index:05d}.parquet"


def _image(out: Path, one: str) -> Path:
    """Return the file of an attacked image."""
    return out / "images" / f"{one}.png"


def _batches(size: int, batch_size: int) -> list[slice]:
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
