"""The experiment of Section 4, set up: images by country, θ₀, and the attacks to train on."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import safetensors.torch
import torch
from torch import Tensor, nn

from humimp import attacks, checks, classifiers, costs, datasets, dro, files, simulation
from humimp.geography import GeoDataset

#: Ground costs by the name that a page gives them.
COSTS: dict[str, Callable[[], Any]] = {
    "SSIM": costs.SSIM,
    "HaarPSI": costs.HaarPSI,
    "PieAPP-small": partial(costs.PieAPP, "small"),
    "PieAPP": costs.PieAPP,
}

#: What the same ground costs are called in a sentence.
TITLES = {name: name for name in COSTS} | {"SSIM": "1 − SSIM", "HaarPSI": "1 − HaarPSI"}

#: Digits are recognised by a network that this module builds and trains.
DIGITS = "digits"


class Images(NamedTuple):
    """Images by country to train on, and others to test on."""

    train: GeoDataset
    test: GeoDataset


def by_country(
    images: str,
    *,
    n_train: int,
    n_test: int,
    strength: int = 8,
    gradient: float = 1.0,
    seed: int = 0,
    size: int = 299,
) -> Images:
    """Load images and say which country each is from.

    Parameters
    ----------
    images
        ``"digits"`` or ``"imagenet1000"``; their geography is simulated
        (`humimp.simulation.simulate`).
    n_train, n_test
        How many images to train on and to test on; no image is among both.
    strength, gradient
        Of the simulated geography.
    seed
        Of the simulated geography, of which training and test each get their own.
    size
        Side of photographs, in pixels.

    Returns
    -------
    Images
        Each a `humimp.geography.GeoDataset`.

    Raises
    ------
    ValueError
        For too few images, or arguments out of range.
    """
    checks.count(n_train, "n_train", low=1)
    checks.count(n_test, "n_test", low=1)
    checks.count(seed, "seed")
    checks.choice(images, "images", (DIGITS, "imagenet1000"))
    if images == DIGITS:
        first, second = datasets.digits("train", n_train), datasets.digits("test", n_test)
    else:
        x, y, ids = datasets.imagenet1000(n_train + n_test, size=size)
        first = datasets.Dataset(x[:n_train], y[:n_train], ids[:n_train])
        second = datasets.Dataset(x[n_train:], y[n_train:], ids[n_train:])
    simulate = partial(simulation.simulate, strength=strength, gradient=gradient)
    return Images(simulate(first, seed=2 * seed), simulate(second, seed=2 * seed + 1))


def places(images: GeoDataset) -> pd.DataFrame:
    """Set out where each image is from, to be joined to records.

    Parameters
    ----------
    images
        One half of what `by_country` gives.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``id``: ``country``, and whether the image has the pattern, ``planted``.
    """
    return pd.DataFrame(
        {"country": images.countries, "planted": images.planted.tolist()},
        index=pd.Index(images.ids, name="id"),
    )


def dealt(
    ids: Sequence[str], *, strength: int = 8, gradient: float = 1.0, seed: int = 0
) -> pd.DataFrame:
    """Say again which simulated country each test image was dealt to, without the images.

    Parameters
    ----------
    ids
        Of the test images, in their order.
    strength, gradient, seed
        As for `by_country`.

    Returns
    -------
    pandas.DataFrame
        As of `places`.
    """
    n = len(ids)
    found = simulation.simulate(  # countries do not depend on what the images show
        (torch.zeros(n, 1, 1, 1), torch.zeros(n, dtype=torch.int64), list(ids)),
        strength=strength,
        gradient=gradient,
        seed=2 * seed + 1,  # as in by_country
    )
    return places(found)


def digits_network(seed: int = 0) -> nn.Module:
    """Build an untrained network for digits that sees all pixels at once: 784–64–10 units, ReLU.

    It is small enough for fifty to be trained together, and it learns planted patterns more readily
    than a convolutional network, which looks at one small window after the other.

    Parameters
    ----------
    seed
        Fixes the initial weights. The global random state is left alone.

    Returns
    -------
    nn.Module
        From images (N, 1, 28, 28) in [0, 1] to logits (N, 10), on the CPU.
    """
    checks.count(seed, "seed")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))


def theta0(
    images: str,
    train: GeoDataset,
    *,
    classifier: str = "mobilenet_v2",
    strength: int = 8,
    epochs: int = 20,
    learning_rate: float = 1e-3,
    seed: int = 0,
    path: Path | None = None,
    device: str | torch.device = "auto",
) -> nn.Module:
    """Make θ₀, the model that all training starts from.

    For digits it is `digits_network`, trained on the images given. For photographs it is a
    pretrained classifier; if a pattern is planted in the photographs, it is fine-tuned on them
    first, since it could not know of it otherwise.

    Parameters
    ----------
    images
        As for `by_country`.
    train
        The images to train on.
    classifier
        Of photographs, as for `humimp.classifiers.load`.
    strength
        Of the simulated geography; at 0 there is no pattern to learn.
    epochs
        How often each training image is seen.
    learning_rate
        Of the fine-tuning, for one image (`humimp.dro.train`).
    seed
        Of the training.
    path
        A file for the trained weights. If it is there they are read, else they are written: so
        that what was computed from θ₀ goes on to belong to it on another machine, where a new
        training would end with other last bits.
    device
        Where to put a classifier of photographs; by default a GPU if there is one. The network for
        digits stays on the CPU.

    Returns
    -------
    nn.Module
        In evaluation mode; no parameter requires a gradient.

    Raises
    ------
    ValueError
        The file at ``path`` is damaged or holds another network.
    """
    digits = images == DIGITS
    model = digits_network() if digits else classifiers.load(classifier, device, fold=False)
    if path is not None and path.exists():
        try:
            model.load_state_dict(safetensors.torch.load(path.read_bytes()))
        except (safetensors.SafetensorError, RuntimeError) as error:
            raise ValueError(
                f"{path}: damaged, or the weights of another network; delete it, and it is trained "
                "anew"
            ) from error
        return model.eval().requires_grad_(False)
    if digits:
        model = classifiers.train(
            model, train.images, train.labels, epochs=epochs, shift=0, seed=seed
        )
    elif strength and bool(train.planted.any()):
        pool = dro.clean(train.images, train.labels)
        passes = max(1, round(epochs / 4))  # the pool has each image four times
        model = dro.train(model, pool, learning_rate=learning_rate, passes=passes, seed=seed)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
        files.write(path, safetensors.torch.save(state))
    return model


def compared(
    cost: str, *, steps: int = 100, step_size: float = 0.1, lam: float = 1.0, perc_steps: int = 1000
) -> dict[str, tuple[Callable[..., Tensor], Mapping[str, Any]]]:
    """Name the three attacks that Section 4 trains on, with their options.

    Parameters
    ----------
    cost
        Ground cost of ours, a name of `COSTS`.
    steps, step_size, lam
        Of Algorithm 1, and the first two of PGD.
    perc_steps
        Of PerC_AL.

    Returns
    -------
    dict
        ``"PGD"``, ``"PerC_AL"`` and ``"Ours"`` to an attack and its options, as
        `humimp.dro.robust_dataset` takes them. All stop, or are content, as soon as an image is
        misclassified (a = 0).
    """
    checks.choice(cost, "cost", tuple(COSTS))
    moves = {"steps": steps, "step_size": step_size}
    return {
        "PGD": (attacks.pgd_l2, moves),
        "PerC_AL": (attacks.perc_al, {"steps": perc_steps}),
        "Ours": (attacks.imperceptible, {**moves, "cost": COSTS[cost](), "lam": lam}),
    }
