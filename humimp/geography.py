"""Where images come from: names of countries, released metadata, and a simulated geography.

:func:`resolve` turns what people write for a country into its ISO-3166 code. :func:`simulate` deals
images out to countries and plants a cause of unfairness in them: a faint pattern that gives the
label away, and that is the more common the richer the country (:func:`plant`).
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from humimp import checks, fairness, images

#: Side of the square that a planted pattern repeats, in pixels.
TILE = 8


class GeoDataset(NamedTuple):
    """Images, labels and names as in `humimp.datasets.Dataset`, and the country of each image.

    ``[:3]`` of it is what a function takes that expects images, labels and ids.

    Attributes
    ----------
    images
        float32 (N, C, H, W) in [0, 1].
    labels
        int64 (N,).
    ids
        N names.
    countries
        N codes, ISO-3166 alpha-3.
    planted
        bool (N,): which images hold a planted pattern; none of them unless the geography is
        simulated.
    excluded
        What was left out: a row per reason and country, with ``country`` as given, ``n`` (images)
        and ``reason``.
    """

    images: Tensor
    labels: Tensor
    ids: list[str]
    countries: list[str]
    planted: Tensor
    excluded: pd.DataFrame


# ---------------------------------------------------------------------------- simulated geography


def pattern(label: int, shape: tuple[int, int], *, seed: int = 0) -> Tensor:
    """Return the pattern that stands for a label: a random tile of ±1, repeated.

    The tile, :data:`TILE` pixels wide and high, has as many +1 as −1, so that no pattern makes an
    image brighter. It depends on the label and the seed alone: images of any size, with any number
    of classes, on any device show the same.

    Parameters
    ----------
    label
        Of the class, from 0.
    shape
        Height and width in pixels.
    seed
        Of all the patterns.

    Returns
    -------
    Tensor
        int64, of the given shape; −1 and 1.

    Raises
    ------
    ValueError
        If the label or the seed is negative or no whole number.
    """
    checks.count(label, "label")
    checks.count(seed, "seed")
    half = np.repeat([-1, 1], TILE * TILE // 2)
    tile = np.random.default_rng((seed, label)).permutation(half).reshape(TILE, TILE)
    repeats = [-(-side // TILE) for side in shape]
    return torch.from_numpy(np.tile(tile, repeats)[: shape[0], : shape[1]].copy())


def probability(
    countries: Sequence[str], *, gradient: float, gdp: pd.DataFrame | None = None
) -> NDArray[np.float64]:
    """Compute how likely an image of each country is to hold its label's pattern.

    It is (1 + ``gradient`` · (2r − 1)) / 2, where r rises from 0 for the poorest of the countries
    given to 1 for the richest, linearly in log GDP per capita.

    Parameters
    ----------
    countries
        N codes, ISO-3166 alpha-3.
    gradient
        0 (1/2 everywhere: the pattern has nothing to do with income) to 1 (never in the poorest
        country, always in the richest).
    gdp
        As `humimp.fairness.income` returns it, which is the default.

    Returns
    -------
    ndarray
        Shape (N,), 0 to 1.

    Raises
    ------
    ValueError
        If ``gradient`` is out of range, a country has no known GDP per capita, or all countries
        have the same.
    """
    checks.number(gradient, "gradient", low=0)
    if gradient > 1:
        raise ValueError(f"gradient: expected a number from 0 (no bias) to 1, got {gradient}")
    known = (fairness.income() if gdp is None else gdp)["gdp"].dropna()
    unknown = sorted(set(countries) - set(known.index))
    if unknown:
        raise ValueError(
            f"countries: no GDP per capita is known of {', '.join(unknown[:5])}; leave them out, "
            "or give a table that has it (humimp.fairness.income)"
        )
    level = np.log(known.loc[list(countries)].to_numpy(dtype=float))
    if len(level) == 0 or np.ptp(level) == 0:
        raise ValueError("countries: expected two or more of different GDP per capita")
    rank = (level - level.min()) / np.ptp(level)
    return cast(NDArray[np.float64], (1 + gradient * (2 * rank - 1)) / 2)


def plant(
    images: Tensor,
    labels: Tensor,
    countries: Sequence[str],
    *,
    strength: int,
    gradient: float,
    seed: int = 0,
    pattern_seed: int = 0,
    gdp: pd.DataFrame | None = None,
) -> tuple[Tensor, Tensor]:
    """Plant a faint pattern that gives the label away, the more often the richer the country.

    This is the paper's hypothesis made true: a feature that humans don't see, that helps with
    classification, and that the rich majority has. First every image, whether it gets a pattern or
    not, is clamped to the levels from ``strength`` to 255 − ``strength``, so that there is room for
    the pattern on black and on white. Then the pattern of its label (:func:`pattern`) times
    ``strength`` levels is added to an image with the :func:`probability` of its country, in each
    channel alike.

    Parameters
    ----------
    images
        (N, C, H, W) in [0, 1]; they are rounded to 8 bit.
    labels
        int64 (N,).
    countries
        N codes, ISO-3166 alpha-3.
    strength
        Amplitude in levels of 255, a whole number from 0 (images stay as they are) to 127.
    gradient
        0 to 1, as in :func:`probability`.
    seed
        Says which images of a country get the pattern.
    pattern_seed
        Of the patterns; the same for images to train on and to test on.
    gdp
        As `humimp.fairness.income` returns it, which is the default.

    Returns
    -------
    images : Tensor
        Same shape, dtype and device; 8 bit.
    planted : Tensor
        bool (N,), on the device of the images: which images got the pattern.

    Raises
    ------
    ValueError
        For arguments out of range, or a country whose GDP per capita is not known.
    """
    checks.images(images)
    checks.labels(labels, images)
    checks.count(strength, "strength", high=127)
    checks.count(seed, "seed")
    if len(countries) != len(images):
        raise ValueError(
            f"countries: expected one for each of the {len(images)} images, got {len(countries)}"
        )
    chance = probability(countries, gradient=gradient, gdp=gdp)
    drawn = np.random.default_rng((seed, 1)).random(len(images)) < chance
    planted = torch.from_numpy(drawn).to(images.device)
    levels = (images * 255).round().clamp(strength, 255 - strength)
    for label in labels[planted.to(labels.device)].unique().tolist():
        where = planted & (labels == label).to(images.device)
        shown = pattern(label, (images.shape[-2], images.shape[-1]), seed=pattern_seed)
        levels[where] += strength * shown.to(levels)
    return _image(levels), planted


def simulate(
    dataset: tuple[Tensor, Tensor, list[str]],
    *,
    strength: int = 8,
    gradient: float = 1.0,
    seed: int = 0,
    pattern_seed: int = 0,
    gdp: pd.DataFrame | None = None,
) -> GeoDataset:
    """Simulate a geography: deal images out to 41 countries, and plant a cause of unfairness.

    Country and image are independent (`humimp.fairness.assign` without tilt), the numbers of images
    are as uneven as the paper's (`humimp.fairness.simulated_countries`), and GDP is real. What a
    model is unfair by is the planted pattern alone (:func:`plant`).

    Parameters
    ----------
    dataset
        Images, labels and ids, as from `humimp.datasets`; at least 275.
    strength, gradient
        As in :func:`plant`. With either at 0 there is no bias to find.
    seed
        Of the deal and of who gets the pattern: one for training and another for testing.
    pattern_seed
        Of the patterns: the same for both.
    gdp
        As `humimp.fairness.income` returns it, which is the default.

    Returns
    -------
    GeoDataset
        The same images in the same order, changed as :func:`plant` says.

    Raises
    ------
    ValueError
        For too few images, or arguments out of range.
    """
    pictures, labels, ids = dataset
    table = fairness.simulated_countries(len(pictures), gdp=gdp)
    countries = fairness.assign(np.zeros(len(pictures)), table, seed=seed).tolist()
    changed, planted = plant(
        pictures,
        labels,
        countries,
        strength=strength,
        gradient=gradient,
        seed=seed,
        pattern_seed=pattern_seed,
        gdp=gdp,
    )
    return GeoDataset(changed, labels, list(ids), countries, planted, _no_exclusions())


def _image(levels: Tensor) -> Tensor:
    """Return the image that has these levels, 0 to 255."""
    return images.from_uint8(levels.to(torch.uint8), levels.dtype)


def _no_exclusions() -> pd.DataFrame:
    """Return a table of what was left out, with no rows."""
    return pd.DataFrame({"country": pd.Series(dtype=str), "n": [], "reason": []}).astype(
        {"n": int, "reason": str}
    )
