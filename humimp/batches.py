"""What is done to one batch of a run: here, in a thread, or in a process on another machine.

:func:`humimp.evaluate.run` sends out a `Plan` and a `Batch`, and writes down what comes back.
Nothing in here touches a run's folder, and nothing depends on which worker does the work, or when.
"""

import inspect
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from humimp import checks, fingerprints
from humimp import images as pictures
from humimp.attacks._steps import margin
from humimp.rounding import reproducible, rounding

Model = Callable[[Tensor], Tensor]
Attack = Callable[..., Tensor]
Measure = Callable[[Tensor, Tensor], Tensor]
Defense = Callable[[Tensor], Tensor]

#: Columns that every record has before and after its measures. Columns of defences follow.
BEFORE = ("id", "label", "attack", "clean", "correct", "predicted", "success", "margin")
AFTER = ("forwards", "backwards")

#: How many runs' models and measures a worker remembers, so that runs can share their workers.
REMEMBERED = 2

_plans: dict[str, "Plan"] = {}
_making = threading.Lock()
_hooking = threading.Lock()


@dataclass(frozen=True)
class Plan:
    """What is done to every batch.

    ``model`` and ``measures`` are what :func:`humimp.evaluate.run` was given, or what the function
    returned that it was given; `ready` makes the one into the other. ``threads`` is how many a
    worker computes in on a CPU, as their number decides the last bits of a sum.
    """

    attack: Attack
    name: str
    options: dict[str, Any]
    defenses: dict[str, Defense]
    seed: int
    takes_generator: bool
    threads: int
    model: Any = None
    model_sha256: str | None = None
    measures: Any = None


@dataclass(frozen=True)
class Batch:
    """A few images: their names, 8-bit levels (N, C, H, W), labels (N,) and precision.

    NumPy arrays, because each process that a tensor is sent to keeps files open for it.
    """

    index: int
    ids: list[str]
    levels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    dtype: torch.dtype


@dataclass(frozen=True)
class Done:
    """What comes back: records, the attacked images' PNG files by id, and where it was computed."""

    records: pd.DataFrame
    files: dict[str, bytes]
    device: str


def work(run: str, sent: Plan | bytes, batch: Batch) -> Done:
    """Attack a batch, wherever this is called.

    Parameters
    ----------
    run
        A name that no other run has. What was made of the first plan that came under this name is
        used again: a process calls a function that returns the model once, not for each batch.
    sent
        The plan, or what `pack` made of it.
    batch
        The images.

    Returns
    -------
    Done
        The same from each worker that has the same kind of device.

    Raises
    ------
    ValueError
        If the plan cannot be read here, or its function returns another model here; and as
        :func:`humimp.evaluate.run`, naming the images.
    """
    with _making:
        if run not in _plans:
            plan = ready(_unpack(sent) if isinstance(sent, bytes) else sent)
            for oldest in list(_plans)[: len(_plans) + 1 - REMEMBERED]:
                _plans.pop(oldest, None)
            _plans[run] = plan
        plan = _plans[run]
    if torch.get_num_threads() != plan.threads:
        torch.set_num_threads(plan.threads)
    return attack(plan, batch)


@contextmanager
def at_hand(run: str, plan: Plan) -> Iterator[None]:
    """Let workers that are threads of this process use what is ready here already."""
    _plans[run] = plan
    try:
        yield
    finally:
        _plans.pop(run, None)


def ready(plan: Plan) -> Plan:
    """Call what was given as functions, and see that the model is the one the run began with."""
    model, measures = (
        thing() if is_lazy(thing) else thing for thing in (plan.model, plan.measures)
    )
    if plan.model_sha256 is not None and fingerprints.weights(model) != plan.model_sha256:
        raise ValueError(
            "model: the function returned other weights in a worker than where the run was "
            "started; let it return the same each time, from a file or a fixed seed"
        )
    return replace(plan, model=model, measures=dict(measures))


def is_lazy(thing: Any) -> bool:
    """Whether something is to be called without arguments to get the thing itself.

    A function that takes ``*args`` may be the thing itself, which is called with images; a class
    never is.
    """
    if not callable(thing) or isinstance(thing, nn.Module):
        return False
    try:
        parameters = inspect.signature(thing).parameters.values()
    except ValueError:  # some builtin functions do not tell; they take arguments
        return False
    return all(
        p.default is not p.empty
        or p.kind == p.VAR_KEYWORD
        or (p.kind == p.VAR_POSITIONAL and inspect.isclass(thing))
        for p in parameters
    )


def pack(plan: Plan) -> bytes:
    """Pickle a plan for other processes.

    Raises
    ------
    ValueError
        If something in it cannot be pickled, with its name.
    """
    try:
        return pickle.dumps(plan)
    except Exception:
        things = {"attack": plan.attack, "model": plan.model}
        for what in ("options", "measures", "defenses"):
            given = getattr(plan, what)
            named = given if isinstance(given, Mapping) else {}
            things |= {f"{what}: {key}": thing for key, thing in named.items()} or {what: given}
        for what, thing in things.items():
            try:
                pickle.dumps(thing)
            except Exception as error:
                raise ValueError(
                    f"{what}: {thing!r} cannot be sent to another process ({error}); define it at "
                    "the top level of a module, or use dask.distributed, whose cloudpickle also "
                    "takes lambdas and functions inside others"
                ) from error
        raise


def _unpack(sent: bytes) -> Plan:
    """Undo `pack` in another process."""
    try:
        plan: Plan = pickle.loads(sent)
    except Exception as error:
        raise ValueError(
            f"a worker process cannot read what the run was given ({error}); define attack, model, "
            "measures and defenses at the top level of a module that it can import, not in a "
            "notebook, or use dask.distributed"
        ) from error
    return plan


def attack(plan: Plan, batch: Batch) -> Done:
    """Attack a batch with a plan that is `ready`."""
    model: Model = plan.model
    where = device(model)
    labels = torch.tensor(batch.labels).to(where)
    originals = pictures.from_uint8(torch.tensor(batch.levels), batch.dtype).to(where)
    with reproducible():
        with rounding():  # whether an attack has succeeded is asked as on a CPU
            clean = _logits(model, originals, labels, batch.ids, "the originals").argmax(1)
        correct = clean == labels
        chosen = correct.nonzero().flatten()
        ids = [batch.ids[i] for i in chosen.tolist()]
        attacked, passes = originals.clone(), _Passes()
        files: dict[str, bytes] = {}
        if ids:
            with _counted(model, passes) as watched:
                made = _attacked(plan, watched, originals[chosen], labels[chosen], ids, batch.index)
            saved = [_saved(image) for image in made]
            files = {one: file for one, (file, _) in zip(ids, saved, strict=True)}
            attacked[chosen] = torch.stack([image for _, image in saved])
        with rounding():
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
            "margin": margin(logits, labels).double(),
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
            with rounding():
                logits = _logits(model, defended, labels, batch.ids, f"the images after {name}")
            columns[f"under_{name}"] = logits.argmax(1)
    plain = {key: v.tolist() if isinstance(v, Tensor) else v for key, v in columns.items()}
    return Done(pd.DataFrame(plain), files, device_name(where))


def _attacked(
    plan: Plan, model: Model, originals: Tensor, labels: Tensor, ids: list[str], index: int
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
        raise ValueError(f"{plan.name} failed on images {checks.few(ids)}: {error}") from error
    except Exception as error:
        error.add_note(f"while {plan.name} attacked images {checks.few(ids)}")
        raise
    if not isinstance(made, Tensor):
        raise ValueError(
            f"{plan.name} returned {type(made).__name__} for images {checks.few(ids)}; "
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
            f"{plan.name} returned {', '.join(wrong)} for images {checks.few(ids)}; an attack "
            "returns images like the ones that it is given"
        )
    made = made.detach()
    inside = ((made >= 0) & (made <= 1)).flatten(1).all(1)
    if not bool(inside.all()):
        bad = [one for one, good in zip(ids, inside.tolist(), strict=True) if not good]
        raise ValueError(
            f"{plan.name} returned values outside [0, 1] or NaN for images {checks.few(bad)}; "
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
        raise ValueError(f"{what} {checks.few(bad)}: {error}") from error
    return logits


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
        raise ValueError(f"measure {name}: NaN or infinite for images {checks.few(bad)}")
    return values


def _defended(name: str, defense: Defense, images: Tensor) -> Tensor:
    """Call a defence and check what it returns."""
    with torch.no_grad():
        defended = defense(images.clone())
    if not isinstance(defended, Tensor) or defended.shape != images.shape:
        got = tuple(defended.shape) if isinstance(defended, Tensor) else type(defended).__name__
        raise ValueError(f"defense {name}: expected shape {tuple(images.shape)}, got {got}")
    checks.images(defended, f"defense {name}")
    return defended.to(images)


def _saved(image: Tensor) -> tuple[bytes, Tensor]:
    """Round an image to 8 bit; return the file that it makes, and what a reader of it gets."""
    file = pictures.encode(pictures.validate(image, "round"))
    levels = pictures.to_uint8(pictures.decode(file))
    return file, pictures.from_uint8(levels, image.dtype).to(image.device)


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
    """Count a model's passes in this thread; the model itself stays as it is."""
    if isinstance(model, nn.Module):
        thread = threading.get_ident()  # another one may be attacking the same model

        def hook(_module: nn.Module, _input: Any, output: Any) -> None:
            if threading.get_ident() == thread:
                passes.see(output)

        with _hooking:
            handle = model.register_forward_hook(hook)
        try:
            yield model
        finally:
            with _hooking:
                handle.remove()
        return

    def watched(images: Tensor) -> Tensor:
        output = model(images)
        passes.see(output)
        return output

    yield watched


def device(model: Model) -> torch.device:
    """Return where a model expects its images."""
    if isinstance(model, nn.Module):
        for tensor in [*model.parameters(), *model.buffers()]:
            return tensor.device
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """Return the name of a device as its maker gives it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
