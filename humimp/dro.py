"""Section 4.2: training on attacks, Algorithms 2 and 3.

Algorithm 2 (:func:`robust_dataset`) trains one model on attacks against itself and keeps them all.
Algorithm 3 (:func:`train`) trains a model on samples of what was kept, and involves no attack;
:func:`replicates` runs it with many seeds. The listings take images one at a time. Here they go in
batches: the images of a batch are attacked, and their gradients taken, at one and the same θ.

The weights count twice in the listings: P_i decides how often an image is drawn, and multiplies
its step, θ ← θ − α P_i ∇ℓ. They grow to T₁N, so that one α cannot suit the first round, where all
are 1, and the last. There are three readings, the option ``weighting``:

``"normalized"``
    drawn in proportion to P, steps multiplied by P / E[P], where E[P] = ΣP² / ΣP over the pool is
    the weight that a draw has on average. The weights count twice, as in the listings, and α
    keeps its meaning: a step is α∇ℓ on average. The default. Within one pool it is the literal
    reading at the learning rate α / E[P] (and so is division by the largest weight, at another);
    what it takes out is the growth of the steps with N and from round to round.
``"literal"``
    drawn in proportion to P, steps multiplied by P. With an α that suits other training, α P grows
    far beyond 1; the model then predicts one class for everything, or is no longer finite.
``"sampling"``
    drawn in proportion to P, steps not multiplied: each gradient counts the same.

Batch normalisation, which the paper does not mention, keeps its statistics, and only its parameters
are trained (the model is in evaluation mode throughout): a listing that takes one image at a time
has no batch to take statistics of. Dropout is off for the same reason.
"""

import copy
import hashlib
import inspect
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from humimp import checks, files, fingerprints, progress, runs
from humimp import images as pictures
from humimp import replicates as books
from humimp.replicates import Trained
from humimp.rounding import reproducible

Weighting = Literal["normalized", "literal", "sampling"]
WEIGHTINGS = ("normalized", "literal", "sampling")

#: Models with at most so many parameters are trained together unless told otherwise.
SMALL = 1_000_000

_DIVERGED = (
    "model: it diverged, its parameters or logits are NaN or infinite; take a smaller "
    "learning_rate, or another weighting than 'literal'"
)


class RobustDataset(NamedTuple):
    """D_rob: the pool of Algorithm 2, M = (T₁ + 1) N images.

    Parameters
    ----------
    images
        Shape (M, C, H, W), values in [0, 1]: the N that were given, then the attacks in order.
    labels
        int64 (M,).
    weights
        P, float64 (M,): 1 for the images given, (k − 1) N + i for the i-th attack of round k.
    round
        int64 (M,): 0 for the images given, then k.
    origin
        int64 (M,): index of the image, of those given, that it was made from.
    """

    images: Tensor
    labels: Tensor
    weights: Tensor
    round: Tensor
    origin: Tensor


# ----------------------------------------------------------------------------- Algorithm 2


def robust_dataset(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attack: Callable[..., Tensor],
    *,
    learning_rate: float,
    rounds: int = 3,
    batch_size: int = 20,
    weighting: Weighting = "normalized",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
) -> RobustDataset:
    """Make an adversarial data set by Algorithm 2.

    In each of T₁ rounds, N triples are drawn from the pool with replacement, in proportion to
    their weights. For each batch of them: a step θ ← θ − α Σ P_i ∇ℓ(θ; x_i, y_i), over the batch;
    then its images are attacked against the new θ and put into the pool, with weight
    (k − 1) N + i. The step is a *sum*: a batch of B takes B steps of the listing from one θ, and α
    means the same whatever the batch size. P_i is the weight of the triple that was drawn, read as
    ``weighting`` says.

    Parameters
    ----------
    model
        θ₀: a module in evaluation mode, images (N, C, H, W) in [0, 1] → logits (N, K). It is
        copied, not changed; all its parameters are trained.
    images, labels
        D: (N, C, H, W) in [0, 1], and int64 (N,).
    attack
        ``attack(model, images, labels, **options) -> images``, as in `humimp.attacks`. If it takes
        ``generator``, each batch gets its own, made from ``seed`` and the number of the batch.
    learning_rate
        α, for one image.
    rounds
        T₁.
    batch_size
        B, images per step and per call of the attack; 1 is the listing to the letter.
    weighting
        ``"normalized"``, ``"literal"`` or ``"sampling"``: how P_i multiplies a step; see the head
        of this module. E[P] is that of the pool from which a round draws.
    options
        Keyword arguments for the attack.
    seed
        Fixes the draws.
    out
        A folder. Each batch of attacks is on disk at once, and a call that was cut off goes on
        when it is repeated: it takes the steps again, which are cheap, but not the attacks, and
        ends with the same data set (bit for bit on the same machine). By default nothing is
        written.

    Returns
    -------
    RobustDataset
        Its images and labels on the device of ``images``, the rest on the CPU. :func:`load` reads
        it from ``out``.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`); an attack that returns something else than images; θ
        that is no longer finite; a folder that holds something else, or damaged files, or in which
        another process works.
    """
    learning_rate, batch_size = _check(model, learning_rate, batch_size, weighting)
    checks.images(images)
    checks.labels(labels, images)
    rounds, seed = checks.count(rounds, "rounds", low=1), checks.count(seed, "seed")
    options = checks.options(attack, options)
    make = partial(
        _made, model, images, labels, attack, options, learning_rate, rounds, batch_size,
        weighting, seed,
    )  # fmt: skip
    if out is None:
        return make(None)
    settings = {
        "algorithm": 2,
        "attack": fingerprints.describe(attack),
        "options": fingerprints.describe(options),
        **_settings(learning_rate, batch_size, weighting),
        "rounds": rounds,
        "seed": seed,
    }
    inputs = {
        "images": len(images),
        "dtype": str(images.dtype),
        "dataset_sha256": fingerprints.digest([images, labels]),
        "plan_form_sha256": fingerprints.forms([attack, options]),
        **_identity(model),
    }
    folder = Path(out)
    known = runs.read(folder)
    if known is not None:
        inputs = runs.comparable(inputs, known["inputs"])
        runs.compare(known["settings"], settings, folder)
        runs.compare(known["inputs"], inputs, folder)
    if known is not None and known["state"] == "complete":
        done = load(folder)
        shutil.rmtree(folder / "parts", ignore_errors=True)  # left by a run that died at its end
        return done._replace(
            images=done.images.to(images.device), labels=done.labels.to(images.device)
        )
    with runs.alone(folder, known):
        return make(_Shelf(runs.Session(folder, known, settings, inputs, batches=0)))


def clean(images: Tensor, labels: Tensor, rounds: int = 3) -> RobustDataset:
    """Make the control: a pool of the given images alone, as large as that of Algorithm 2.

    :func:`train` on it is plain fine-tuning, with as many steps as on a pool with attacks.

    Parameters
    ----------
    images, labels
        (N, C, H, W) in [0, 1], and int64 (N,).
    rounds
        T₁ of the data set that it is compared with.

    Returns
    -------
    RobustDataset
        Each image T₁ + 1 times, all of weight 1 and round 0.

    Raises
    ------
    ValueError
        For bad images, labels or rounds.
    """
    checks.images(images)
    checks.labels(labels, images)
    checks.count(rounds, "rounds", low=1)
    times, size = rounds + 1, (rounds + 1) * len(images)
    return RobustDataset(
        images.detach().repeat(times, 1, 1, 1),
        labels.detach().to(images.device).repeat(times),
        torch.ones(size, dtype=torch.float64),
        torch.zeros(size, dtype=torch.int64),
        torch.arange(len(images)).repeat(times),
    )


def weights(n: int, rounds: int) -> Tensor:
    """Return P of Algorithm 2, by which images are drawn: ((T₁ + 1) N,) in float64.

    It is 1 for the N originals, and (k − 1) N + i for the i-th attack of round k.
    """
    made = torch.arange(1, rounds * n + 1, dtype=torch.float64)
    return torch.cat([torch.ones(n, dtype=torch.float64), made])


def load(out: str | os.PathLike[str]) -> RobustDataset:
    """Read an adversarial data set that :func:`robust_dataset` wrote.

    Parameters
    ----------
    out
        Its folder.

    Returns
    -------
    RobustDataset
        On the CPU.

    Raises
    ------
    ValueError
        If there is none, it is not complete, or its file is damaged.
    """
    folder = Path(out)
    diary = runs.read(folder)
    if diary is None or diary["settings"].get("algorithm") != 2:
        raise ValueError(f"{folder}: no adversarial data set here; make it with robust_dataset")
    if diary["state"] != "complete":
        raise ValueError(
            f"{folder}: this data set is not complete; call robust_dataset again with the same "
            "settings to go on"
        )
    path = folder / "robust.safetensors"
    data = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(data).hexdigest() != diary["records_sha256"]:
        raise ValueError(
            f"{path}: missing, damaged or changed (its SHA-256 is not the one in provenance.json); "
            "delete the folder and make the data set again, or get a fresh copy"
        )
    tensors = safetensors.torch.load(data)
    tensors["images"] = _unpacked(tensors["images"], diary["inputs"]["dtype"])
    return RobustDataset(**tensors)


def _made(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attack: Callable[..., Tensor],
    options: Mapping[str, Any],
    learning_rate: float,
    rounds: int,
    batch_size: int,
    weighting: Weighting,
    seed: int,
    shelf: "_Shelf | None",
) -> RobustDataset:
    """Make an adversarial data set, with what is on the shelf already."""
    n = len(images)
    pool = clean(images, labels, rounds)
    pool.images[n:] = 0
    pool.round[:] = torch.arange(rounds + 1).repeat_interleave(n)
    pool.weights[:] = weights(n, rounds)
    model = copy.deepcopy(model).requires_grad_(False)
    device = next(model.parameters()).device
    number = 0
    with reproducible(), progress.bar("making attacks", rounds * n) as bar:
        for k in range(1, rounds + 1):
            so_far = pool.weights[: k * n]
            drawn = _draw(so_far, n, 2, seed, k)
            factors = _factors(so_far, weighting)[drawn]
            for rows in torch.arange(n).split(batch_size):
                chosen = drawn[rows]
                x, y = pool.images[chosen].to(device), pool.labels[chosen].to(device)
                every = None if number else labels
                _step(model, x, y, factors[rows], learning_rate, every=every)
                made = shelf.read(number, x) if shelf else None
                if made is None:
                    made = _attacked(attack, model, x, y, options, (seed, number))
                    if shelf:
                        shelf.write(number, made)
                new = k * n + rows
                pool.images[new] = made.to(images.device)
                pool.labels[new] = pool.labels[chosen]
                pool.origin[new] = pool.origin[chosen]
                number += 1
                bar.update(len(rows))
    if shelf:
        shelf.complete(pool)
    return pool


class _Shelf:
    """Where the attacks of Algorithm 2 lie, batch by batch, until the data set is complete."""

    def __init__(self, session: runs.Session) -> None:
        self._session, self._made = session, 0

    def read(self, number: int, like: Tensor) -> Tensor | None:
        """Return the attacks of a batch, or None if they are still to be made."""
        path = self._part(number)
        if not path.exists():
            return None
        try:
            with safetensors.safe_open(path, "pt") as file:
                packed, stamp = file.get_tensor("images"), (file.metadata() or {}).get("sha256")
            made = _unpacked(packed, str(like.dtype)).to(like.device)
            if fingerprints.digest([packed]) != stamp or made.shape != like.shape:
                raise ValueError("other images than were written")
        except (safetensors.SafetensorError, ValueError, OSError) as error:
            raise ValueError(
                f"{path}: damaged ({error}); delete this file and call again: only its "
                f"{len(like)} images are attacked anew"
            ) from error
        return made

    def write(self, number: int, made: Tensor) -> None:
        """Keep the attacks of a batch."""
        packed = _packed(made)
        data = safetensors.torch.save({"images": packed}, {"sha256": fingerprints.digest([packed])})
        files.write(self._part(number), data)
        self._made += 1
        self._session.note(batches=self._made)

    def complete(self, pool: RobustDataset) -> None:
        """Write the whole, and throw away the parts."""
        tensors = {name: value.cpu().contiguous() for name, value in pool._asdict().items()}
        tensors["images"] = _packed(pool.images)
        data = safetensors.torch.save(tensors)
        files.write(self._session.out / "robust.safetensors", data)
        self._session.complete(hashlib.sha256(data).hexdigest())
        shutil.rmtree(self._session.out / "parts")

    def _part(self, number: int) -> Path:
        return self._session.out / "parts" / f"{number:06d}.safetensors"


# ----------------------------------------------------------------------------- Algorithm 3


def train(
    model: nn.Module,
    robust: RobustDataset,
    *,
    learning_rate: float,
    passes: int = 3,
    batch_size: int = 20,
    weighting: Weighting = "normalized",
    seed: int = 0,
    mixed_precision: bool = False,
) -> nn.Module:
    """Train a model on an adversarial data set by Algorithm 3: plain stochastic gradient descent.

    T₂M times, a triple is drawn with replacement, in proportion to P_i, and
    θ ← θ − α P_i ∇ℓ(θ; x_i, y_i). The steps of a batch are taken from one θ, and added up.

    Parameters
    ----------
    model
        θ₀, as for :func:`robust_dataset`. It is copied, not changed.
    robust
        D_rob, from :func:`robust_dataset` or :func:`clean`.
    learning_rate
        α, for one image.
    passes
        T₂.
    batch_size
        Images per step; 1 is the listing to the letter.
    weighting
        How P_i multiplies a step; see the head of this module.
    seed
        Fixes the draws. The same call on the same machine gives the same weights, bit for bit.
    mixed_precision
        Compute in bfloat16 where that is safe (PyTorch's autocast). It gains time on a GPU, and on
        a CPU that has instructions for it (AVX512-BF16, AMX); on others it loses.

    Returns
    -------
    nn.Module
        θ, on the model's device, in evaluation mode; no parameter requires a gradient.

    Raises
    ------
    ValueError
        For bad input, or a training that ended with parameters that are NaN or infinite.
    """
    learning_rate, batch_size = _check(model, learning_rate, batch_size, weighting)
    seed = checks.count(seed, "seed")
    passes = _check_training(model, robust, passes)
    job = _Job(model, robust, learning_rate, passes, batch_size, weighting, mixed_precision)
    with reproducible(), progress.bar("training", passes * len(robust.images)) as bar:
        trained = job.train_one(seed, bar.update)
    if not _finite(trained.parameters()):
        raise ValueError(_DIVERGED)
    return trained


def replicates(
    model: nn.Module,
    robust: RobustDataset | str | os.PathLike[str],
    *,
    test: tuple[Tensor, Tensor, Sequence[str]],
    out: str | os.PathLike[str],
    learning_rate: float,
    seeds: Iterable[int] = range(50),
    passes: int = 3,
    batch_size: int = 20,
    weighting: Weighting = "normalized",
    together: int | None = None,
    executor: Executor | None = None,
    mixed_precision: bool = False,
) -> pd.DataFrame:
    """Run Algorithm 3 once for each seed, and record what each model predicts on test images.

    Each replicate is on disk as soon as it is done, and a call that was cut off goes on when it is
    repeated. A replicate that diverged is kept, and marked; it does not disturb the others.

    Parameters
    ----------
    model, learning_rate, passes, batch_size, weighting, mixed_precision
        As for :func:`train`.
    robust
        D_rob, or the folder in which :func:`robust_dataset` put it; each machine reads it there
        then, instead of being sent it.
    test
        Images (T, C, H, W), labels (T,) and T ids.
    out
        Folder for the replicates: ``provenance.json``, ``parts/`` with the records of each and
        ``models/`` with the models. ``torch_model.load_state_dict(safetensors.torch.load_file(
        "models/00007.safetensors"))`` gives the one of seed 7.
    seeds
        One for each replicate. More can be added to a folder later.
    together
        How many replicates are trained at once, as one computation over stacked parameters
        (`torch.func.vmap`); 1 for one after the other. By default all where the model has up to a
        million parameters, and there is neither an executor nor mixed precision, else 1.
    executor
        Where groups of ``together`` are trained: any `concurrent.futures.Executor`. With dask,
        ``Client(cluster).get_executor()``, the cluster being ``dask_jobqueue.SLURMCluster(...)``
        on Slurm and ``dask_kubernetes.operator.KubeCluster(...)`` on Kubernetes, scaled with
        ``cluster.scale(n)``. Only the caller writes to ``out``.

    Returns
    -------
    pandas.DataFrame
        A row per replicate and test image, in the order of seeds and images: ``replicate`` (the
        seed), ``id``, ``label``, ``predicted``, ``correct``, ``diverged``. A replicate that
        diverged predicts −1 everywhere. With a column ``country`` added, the rows of a replicate
        are what `humimp.fairness.accuracy_by_country` takes.

    Raises
    ------
    ValueError
        For bad input; a folder that holds replicates with other settings, or damaged files, or in
        which another process works.
    OSError
        If a file cannot be written. Call again to go on.

    Warns
    -----
    RuntimeWarning
        If replicates diverged, with their seeds.

    Notes
    -----
    A replicate's draws follow from its seed alone, so each way of computing takes the same steps.
    Only the order of sums within a step differs, hence the last bits: in float64 the parameters
    agree to 10⁻¹², which the tests hold; in float32, on digits, the predicted labels were the same
    (``benchmarks/dro.py``). A difference in β above 10⁻³ would be an error.
    """
    learning_rate, batch_size = _check(model, learning_rate, batch_size, weighting)
    data = load(robust) if isinstance(robust, str | os.PathLike) else robust
    images, labels, ids = _check_test(test)
    if not isinstance(seeds, Iterable):
        raise ValueError(
            f"seeds: expected a number for each replicate, got {seeds!r}; try range(50)"
        )
    seeds = list(seeds)
    if together is None:
        small = sum(value.numel() for value in model.parameters()) <= SMALL
        at_once = small and executor is None and not mixed_precision
        together = max(len(seeds), 1) if at_once else 1
    together, mixed_precision = checks.count(together, "together", low=1), bool(mixed_precision)
    if mixed_precision and together > 1:
        raise ValueError(
            f"together: expected 1 with mixed_precision, got {together}; PyTorch has no bfloat16 "
            "autocast under vmap"
        )
    passes = _check_training(model, data, passes, labels)
    settings = {
        "algorithm": 3,
        **_settings(learning_rate, batch_size, weighting),
        "passes": passes,
        "mixed_precision": mixed_precision,
    }
    inputs = {
        **_identity(model),
        "robust_sha256": fingerprints.digest(data),
        "test_sha256": fingerprints.digest([images, labels]),
        "ids_sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest(),
    }
    sent: RobustDataset | Path = data
    if executor is not None and not isinstance(robust, RobustDataset):
        sent = Path(robust).absolute()
    job = _Job(model, sent, learning_rate, passes, batch_size, weighting, mixed_precision, images)
    return books.run(
        job.train,
        seeds,
        out=out,
        ids=ids,
        labels=labels,
        settings=settings,
        inputs=inputs,
        together=together,
        executor=executor,
        about={
            "device": str(next(model.parameters()).device),
            "together": together,
            "executor": None if executor is None else type(executor).__name__,
        },
    )


@dataclass(frozen=True)
class _Job:
    """Algorithm 3 with everything but the seed; can be sent to another process."""

    model: nn.Module
    robust: RobustDataset | Path
    learning_rate: float
    passes: int
    batch_size: int
    weighting: Weighting
    mixed_precision: bool
    test: Tensor | None = None

    def train(self, seeds: Sequence[int]) -> list[Trained]:
        """Train a model for each seed, all at once if there are several."""
        with reproducible():
            if len(seeds) > 1:
                return self._train_together(seeds)
            model = self.train_one(seeds[0])
            return [self._trained(model)]

    def train_one(self, seed: int, report: Callable[[int], object] = lambda _: None) -> nn.Module:
        """Train one model."""
        model = copy.deepcopy(self.model).requires_grad_(False)
        device, robust = _device(model), self._robust()
        factors = _factors(robust.weights, self.weighting)
        for rows in self._draws(robust, seed).split(self.batch_size):
            x, y = robust.images[rows].to(device), robust.labels[rows].to(device)
            _step(model, x, y, factors[rows], self.learning_rate, self.mixed_precision)
            report(len(rows))
        return model

    def _train_together(self, seeds: Sequence[int]) -> list[Trained]:
        """Train as many models as there are seeds: each parameter has an axis for them in front."""
        model = copy.deepcopy(self.model).requires_grad_(False)
        device, robust = _device(model), self._robust()
        factors = _factors(robust.weights, self.weighting)
        stacked = {
            name: value.expand(len(seeds), *value.shape).clone()
            for name, value in model.named_parameters()
        }

        def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor, factor: Tensor) -> Tensor:
            return _loss(functional_call(model, parameters, (x,)), y, factor)

        drawn = torch.stack([self._draws(robust, seed) for seed in seeds])
        for rows in drawn.split(self.batch_size, dim=1):
            x, y = robust.images[rows].to(device), robust.labels[rows].to(device)
            gradients = vmap(grad(loss))(stacked, x, y, factors[rows].to(x))
            for name, value in stacked.items():
                value.sub_(gradients[name], alpha=self.learning_rate)
        found = []
        for index in range(len(seeds)):
            model.load_state_dict({k: v[index] for k, v in stacked.items()}, strict=False)
            found.append(self._trained(model))
        return found

    def _trained(self, model: nn.Module) -> Trained:
        """Return a model's weights, and what it predicts if it is still finite."""
        state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        predicted = []
        assert self.test is not None
        for batch in self.test.split(250):
            with torch.no_grad(), _precision(self.mixed_precision, _device(model)):
                logits = model(batch.to(_device(model)))
            predicted.append(logits.argmax(1).cpu())
            if not _finite([logits, *model.parameters()]):
                return Trained(state, None)
        return Trained(state, torch.cat(predicted))

    def _robust(self) -> RobustDataset:
        """Return the data set, from disk if need be."""
        return load(self.robust) if isinstance(self.robust, Path) else self.robust

    def _draws(self, robust: RobustDataset, seed: int) -> Tensor:
        """Draw T₂M images with replacement, in proportion to their weights."""
        return _draw(robust.weights, self.passes * len(robust.weights), 3, seed)


# ------------------------------------------------------------------------------ what they share


def _draw(weights: Tensor, n: int, *key: int) -> Tensor:
    """Draw n indices with replacement in proportion to weights; the key fixes which."""
    return torch.multinomial(weights.cpu(), n, replacement=True, generator=_generator("cpu", *key))


def _generator(device: torch.device | str, *key: int) -> torch.Generator:
    """Return a generator whose seed is made from a few numbers."""
    seed = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:7], "big")
    return torch.Generator(device).manual_seed(seed)


def _factors(weights: Tensor, weighting: Weighting) -> Tensor:
    """Return what multiplies the step of each image of a pool, float64 (M,)."""
    if weighting == "sampling":
        return torch.ones_like(weights)
    return (
        weights / (weights.square().sum() / weights.sum()) if weighting == "normalized" else weights
    )


def _loss(logits: Tensor, labels: Tensor, factors: Tensor) -> Tensor:
    """Return Σ P_i ℓ_i, ℓ being the cross-entropy."""
    return (factors * F.cross_entropy(logits, labels, reduction="none")).sum()


def _step(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    factors: Tensor,
    learning_rate: float,
    mixed_precision: bool = False,
    *,
    every: Tensor | None = None,
) -> None:
    """Take a step in place: θ ← θ − α Σ P_i ∇ℓ(θ; x_i, y_i).

    ``every`` are labels of which the model must have the classes; they are looked at once it has
    answered, which spares a pass.
    """
    parameters = list(model.requires_grad_(True).parameters())
    with torch.enable_grad(), _precision(mixed_precision, images.device):
        logits = model(images)
        if every is not None:
            checks.logits(logits, labels)
            checks.labels(every, every, logits.shape[1])
        value = _loss(logits, labels, factors.to(images))
    gradients = torch.autograd.grad(value, parameters, allow_unused=True)
    model.requires_grad_(False)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:  # of a parameter that the model does not use
            parameter.sub_(gradient, alpha=learning_rate)


def _attacked(
    attack: Callable[..., Tensor],
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    options: Mapping[str, Any],
    key: tuple[int, int],
) -> Tensor:
    """Call the attack, and check what it returns."""
    if "generator" in inspect.signature(attack).parameters:
        options = {**options, "generator": _generator(images.device, 2, *key, 0)}
    if not _finite(model.parameters()):
        raise ValueError(_DIVERGED)
    try:
        with torch.enable_grad():
            made = attack(model, images, labels, **options)
        try:
            checks.pair(images, made)
        except ValueError as error:
            raise ValueError(f"attack: expected images like those it was given; {error}") from error
    except ValueError as error:
        with torch.no_grad():
            if not _finite([model(images)]):
                raise ValueError(_DIVERGED) from error
        raise
    return made.detach()


def _packed(images: Tensor) -> Tensor:
    """Return images as they go to disk: as 8 bit where nothing is lost."""
    images = images.detach().cpu().contiguous()
    levels = pictures.to_uint8(images)
    return levels if torch.equal(pictures.from_uint8(levels, images.dtype), images) else images


def _unpacked(images: Tensor, dtype: str) -> Tensor:
    """Undo :func:`_packed`; ``dtype`` as in ``"torch.float32"``."""
    if images.dtype != torch.uint8:
        return images
    return pictures.from_uint8(images, getattr(torch, dtype.removeprefix("torch.")))


def _finite(tensors: Iterable[Tensor]) -> bool:
    """Whether there is neither NaN nor infinity."""
    return all(bool(value.isfinite().all()) for value in tensors)


def _device(model: nn.Module) -> torch.device:
    """Return where a model is."""
    return next(model.parameters()).device


def _precision(mixed: bool, device: torch.device) -> AbstractContextManager[Any]:
    """Compute in bfloat16 where that is safe, if asked to."""
    return torch.autocast(device.type, torch.bfloat16, enabled=mixed)


def _identity(model: nn.Module) -> dict[str, str]:
    """Return the fingerprints of a model."""
    return {
        "model_sha256": fingerprints.weights(model),
        "model_form_sha256": fingerprints.form(model),
    }


def _settings(learning_rate: float, batch_size: int, weighting: str) -> dict[str, Any]:
    """Return the settings that both algorithms have."""
    return {
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "weighting": weighting,
    }


# ------------------------------------------------------------------------------ checks at the door


def _check(
    model: nn.Module, learning_rate: float, batch_size: int, weighting: str
) -> tuple[float, int]:
    """Check what both algorithms are given; return the two numbers as Python's own."""
    if not isinstance(model, nn.Module) or next(model.parameters(), None) is None:
        raise ValueError(
            f"model: expected a module with parameters to train, got {type(model).__name__}"
        )
    checks.model(model)
    checks.number(learning_rate, "learning_rate", above=0)
    checks.choice(weighting, "weighting", WEIGHTINGS)
    return float(learning_rate), checks.count(batch_size, "batch_size", low=1)


def _check_training(model: nn.Module, robust: RobustDataset, passes: int, *labels: Tensor) -> int:
    """Check what Algorithm 3 is given besides, and labels to test on; return the passes."""
    if not isinstance(robust, RobustDataset):
        raise ValueError(
            f"robust: expected a RobustDataset, got {type(robust).__name__}; dro.robust_dataset "
            "makes one, and dro.clean makes one of plain images"
        )
    checks.images(robust.images, "robust.images")
    checks.labels(robust.labels, robust.images)
    weights = robust.weights
    if weights.shape != robust.labels.shape or not bool((weights > 0).all()):
        raise ValueError("robust.weights: expected one positive weight for each image")
    with torch.no_grad():
        logits = model(robust.images[:1].to(_device(model)))
    highest = max(int(one.max()) for one in (robust.labels, *labels))
    checks.logits(logits, torch.tensor([highest]))
    return checks.count(passes, "passes", low=1)


def _check_test(test: tuple[Tensor, Tensor, Sequence[str]]) -> tuple[Tensor, Tensor, list[str]]:
    """Check the test images."""
    images, labels, ids = checks.three(test, "test")
    checks.images(images, "test")
    checks.labels(labels, images)
    ids = [str(one) for one in ids]
    if len(ids) != len(images) or len(set(ids)) < len(ids):
        raise ValueError(
            f"test: expected a different id for each of {len(images)} images, got {len(set(ids))} "
            f"different ones among {len(ids)}"
        )
    return images.detach(), labels.detach().cpu(), ids
