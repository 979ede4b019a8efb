"""The committee: published full-reference metrics that stand in for people's opinions.

No opinion scores with their images could be had, so preferences between two distortions of one
photograph come from eight metrics. Each metric's value is put on one scale, its quantile among the
values of the training set; the committee prefers A to B with the probability

    P(A preferred to B) = Σ_m w_m σ((q_m(B) − q_m(A)) / 0.05),

where q_m is metric m's quantile (0 no error, 1 the worst) and w_m its weight.

Run as a script, this module cuts crops from photographs, distorts them and stores the eight values
of every distorted crop, one file per photograph, so that it may be stopped and continued.
"""

import argparse
import csv
import functools
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import piq
import torch
from torch import Tensor

from humimp import attacks, classifiers, distances, files, images
from training import distortions

Array = np.ndarray
Metric = Callable[[Tensor, Tensor], Tensor]

#: Spearman correlation with human scores on TID2013 and on KADID-10k, from the table in piq's
#: README (LPIPS: its VGG variant; SR-SIM and FSIM: with colour). The weights follow from these and
#: from nothing else.
PUBLISHED = {
    "MS-SSIM": (0.80, 0.80),
    "FSIM": (0.85, 0.85),
    "SR-SIM": (0.87, 0.87),
    "HaarPSI": (0.87, 0.89),
    "GMSD": (0.80, 0.85),
    "MDSI": (0.89, 0.89),
    "DISTS": (0.81, 0.88),
    "LPIPS": (0.67, 0.72),
}
MEMBERS = tuple(PUBLISHED)

#: Metrics that have no vote; on photographs held out they are asked for comparison. VSI would be a
#: member if it did not cost thirteen times what SR-SIM costs, with which it all but agrees.
OUTSIDERS = ("VSI",)

#: How far apart two quantiles must be for a metric's vote to be σ(1).
TEMPERATURE = 0.05

#: Photographs of the 1000 that foolbox's samples show too (imagenet_19_305.jpg), on which the
#: book's results are computed: they are neither trained on nor evaluated on.
EXCLUDED = frozenset({"0c7ac4a8c9dfa802"})

#: Side of the window that is attacked, and of the crop that is distorted, in pixels.
WINDOW, CROP = 160, 96

#: Types at two levels each, and pairs of types one after the other, for each training photograph.
TYPES, MIXTURES = 10, 4

#: For each photograph held out: levels of each type held out, and crops with types of the training.
HELD_OUT_LEVELS, FAMILIAR = (0.1, 0.35, 0.6, 0.85), 12


def weights() -> Array:
    """Weight of each member, summing to 1: proportional to ρ / (1 − ρ²), ρ its published mean."""
    rho = np.array([np.mean(values) for values in PUBLISHED.values()])
    value = rho / (1 - rho**2)
    return value / value.sum()


def metrics(exact: bool) -> Mapping[str, Metric]:
    """Metrics as functions (reference, images) -> (N,), 0 for equal images, larger is worse.

    Parameters
    ----------
    exact
        True gives all members and outsiders in float32. False gives the members alone, DISTS
        with its features in bfloat16, which is faster and good enough to put images in order.
    """
    scales = torch.tensor([0.0448, 0.2856, 0.3001, 0.2363])  # a crop has room for four of five
    scales /= scales.sum()

    def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
        return 1 - piq.multi_scale_ssim(x, y, scale_weights=scales, reduction="none")

    def lowered(function: Callable[..., Tensor]) -> Metric:
        return lambda x, y: 1 - function(x, y, reduction="none")

    lpips, dists = distances.LPIPS("alex"), distances.DISTS()

    def rough_dists(x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return dists(x, y).float()

    found = {
        "MS-SSIM": ms_ssim,
        "FSIM": lowered(piq.fsim),
        "SR-SIM": lowered(functools.partial(piq.srsim, chromatic=True)),
        "HaarPSI": lowered(piq.haarpsi),
        "GMSD": lambda x, y: piq.gmsd(x, y, reduction="none"),
        "MDSI": lambda x, y: piq.mdsi(x, y, reduction="none"),
        "DISTS": dists if exact else rough_dists,
        "LPIPS": lpips,
    }
    return {**found, "VSI": lowered(piq.vsi)} if exact else found


@torch.no_grad()
def score(members: Mapping[str, Metric], reference: Array, distorted: Array) -> Array:
    """Values of some metrics.

    Parameters
    ----------
    members
        As `metrics` returns.
    reference
        Shape (height, width, 3), uint8.
    distorted
        Shape (N, height, width, 3), uint8.

    Returns
    -------
    array
        Shape (N, metrics), float32, in the order of ``members``.
    """
    y = torch.from_numpy(distorted).permute(0, 3, 1, 2).float() / 255
    x = torch.from_numpy(reference).permute(2, 0, 1).float()[None].expand_as(y) / 255
    values = torch.stack([metric(x, y).reshape(len(y)) for metric in members.values()], dim=1)
    if not bool(torch.isfinite(values).all()):
        raise ValueError("a member of the committee returned NaN or infinity")
    return values.numpy().astype(np.float32)


class Scale(NamedTuple):
    """The map from each member's value to its quantile: 512 knots a member."""

    knots: Array

    @classmethod
    def fit(cls, values: Array) -> "Scale":
        """Fit to values, shape (N, members)."""
        return cls(np.quantile(values, np.linspace(0, 1, 512), axis=0).astype(np.float64))

    def __call__(self, values: Array) -> Array:
        """Quantiles in [0, 1], of the shape of ``values``; beyond the ends, the line goes on."""
        grid = np.linspace(0, 1, len(self.knots))
        return np.stack(
            [np.interp(values[..., m], self.knots[:, m], grid) for m in range(values.shape[-1])],
            axis=-1,
        )


def preference(a: Array, b: Array) -> Array:
    """Probability that A is preferred to B, from quantiles of shape (..., members)."""
    votes = 1 / (1 + np.exp(-np.clip((b - a) / TEMPERATURE, -50, 50)))
    return votes @ weights()


class Photograph(NamedTuple):
    """One photograph's crop, its distortions and the committee's values.

    Attributes
    ----------
    reference
        Shape (96, 96, 3), uint8.
    distorted
        Shape (N, 96, 96, 3), uint8.
    names, levels
        What was done, and how strongly; length N.
    values
        Shape (N, members), or with the outsiders after the members for a photograph held out.
    """

    reference: Array
    distorted: Array
    names: list[str]
    levels: Array
    values: Array


def generator(seed: int, *words: str) -> np.random.Generator:
    """Make a random generator from a seed and some words, the same on every machine."""
    digest = hashlib.sha256("/".join([str(seed), *words]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def split(ids: Sequence[str], training: int, held_out: int, seed: int) -> tuple[list[str], ...]:
    """Choose photographs to train on and photographs to hold out, by identifier.

    Those that are excluded are left out of either, which then has one fewer.
    """
    if training + held_out > len(ids):
        raise ValueError(f"{training} + {held_out} photographs are asked for; there are {len(ids)}")
    order = [sorted(ids)[i] for i in generator(seed, "split").permutation(len(ids))]
    chosen = order[held_out : held_out + training], order[:held_out]
    return tuple([name for name in part if name not in EXCLUDED] for part in chosen)


def plan(held_out: bool, rng: np.random.Generator) -> list[tuple[str, float]]:
    """Which distortions at which levels a photograph gets."""
    names = list(distortions.TRAINING)
    if held_out:
        fixed = [(name, level) for name in distortions.HELD_OUT for level in HELD_OUT_LEVELS]
        return fixed + [
            (str(name), float(rng.random())) for name in rng.choice(names, FAMILIAR, replace=False)
        ]
    chosen = [
        (str(name), float(level))
        for name in rng.choice(names, TYPES, replace=False)
        for level in rng.random(2)
    ]
    for _ in range(MIXTURES):
        chosen.append(("+".join(rng.choice(names, 2, replace=False)), float(rng.random())))
    return chosen


def attack(model: torch.nn.Module, window: Array) -> distortions.Attacks:
    """Attack a window, shape (160, 160, 3), float32 in [0, 1]; its label is the predicted one."""
    x = torch.from_numpy(window).permute(2, 0, 1)[None].requires_grad_()
    logits = model(x)
    label = logits.argmax(1)
    loss = torch.nn.functional.cross_entropy(logits, label)
    (gradient,) = torch.autograd.grad(loss, x)
    x = x.detach()
    truncated = attacks.pgd_l2(model, x, label, steps=20) - x
    confident = attacks.pgd_l2(model, x, label, steps=20, confidence=5.0, validate="none") - x
    return distortions.Attacks(
        *(value[0].permute(1, 2, 0).numpy() for value in (gradient, truncated, confident))
    )


def cut(
    path: Path, rng: np.random.Generator, model: torch.nn.Module
) -> tuple[Array, distortions.Attacks]:
    """Cut a crop from a photograph, (96, 96, 3) in [0, 1], with what the model says of it."""
    photo = images.to_uint8(images.load(path)[None])[0].permute(1, 2, 0).numpy()
    top, left = rng.integers(photo.shape[0] - WINDOW), rng.integers(photo.shape[1] - WINDOW)
    window = photo[top : top + WINDOW, left : left + WINDOW].astype(np.float32) / 255
    given = attack(model, window)
    top, left = rng.integers(WINDOW - CROP, size=2)
    box = (slice(top, top + CROP), slice(left, left + CROP))
    return window[box], distortions.Attacks(*(value[box] for value in given))


def prepare(
    path: Path, seed: int, held_out: bool, model: torch.nn.Module, members: Mapping[str, Metric]
) -> Photograph:
    """Crop, distort and score one photograph."""
    rng = generator(seed, path.stem)
    crop, cropped = cut(path, rng, model)
    chosen = plan(held_out, rng)
    result = [distortions.distort(crop, name, level, rng, cropped) for name, level in chosen]
    reference = distortions.to_bytes(crop)
    distorted = distortions.to_bytes(np.stack(result))
    seen = (distorted != reference).any((1, 2, 3))  # what vanishes in 8 bit has no place here
    distorted = distorted[seen]
    return Photograph(
        reference,
        distorted,
        [name for (name, _), kept in zip(chosen, seen, strict=True) if kept],
        np.array([level for _, level in chosen], dtype=np.float32)[seen],
        score(members, reference, distorted),
    )


def save(path: Path, photograph: Photograph) -> None:
    """Write one photograph's file, whole or not at all."""
    data = io.BytesIO()
    np.savez_compressed(data, **{**photograph._asdict(), "names": np.array(photograph.names)})
    files.write(path, data.getvalue())


def load(path: Path) -> Photograph:
    """Read one photograph's file."""
    with np.load(path, allow_pickle=False) as found:
        fields = {name: found[name] for name in Photograph._fields}
    fields["names"] = [str(name) for name in fields["names"]]
    return Photograph(**fields)


def main() -> None:
    """Score the photographs that have no file yet."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder imagenet1000")
    parser.add_argument("--work", type=Path, required=True, help="folder for the scored crops")
    parser.add_argument("--training", type=int, default=320, help="photographs to train on")
    parser.add_argument("--held-out", type=int, default=30, help="photographs held out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="0/1", help="i/n: every n-th photograph from the i-th")
    options = parser.parse_args()

    torch.set_num_threads(1)
    with (options.data / "images.csv").open() as file:
        ids = [row["image_id"] for row in csv.DictReader(file)]
    training, held_out = split(ids, options.training, options.held_out, options.seed)
    photographs = {path.stem: path for path in (options.data / "images").iterdir()}
    model = classifiers.load("mobilenet_v2")
    members = {held: metrics(exact=held) for held in (True, False)}
    options.work.mkdir(parents=True, exist_ok=True)
    part, parts = map(int, options.part.split("/"))
    order = [(name, True) for name in held_out] + [(name, False) for name in training]
    for number, (name, held) in enumerate(order[part::parts]):
        target = options.work / f"{'test' if held else 'train'}_{name}.npz"
        if not target.exists():
            save(target, prepare(photographs[name], options.seed, held, model, members[held]))
            print(f"{number + 1}/{len(order[part::parts])} {name}", flush=True)


if __name__ == "__main__":
    main()
