"""A simulated geography: images dealt out to countries, and a cause of unfairness planted in them.

:func:`simulated_countries` shares images out as unevenly as the paper's data set does, and
:func:`assign` deals them out at random. The cause is a faint pattern that gives the label away, and
that is the more common the richer the country (:func:`plant`). :func:`simulate` does it all.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from humimp import checks, images, paper
from humimp.fairness import incomes
from humimp.geography import GeoDataset, exclusions

#: Countries of the simulated geography, from the most images to the fewest. The first five and
#: their order are the paper's; the rest is our choice, made to span the incomes of the world.
SIMULATED = (
    *("USA", "GBR", "CAN", "AUS", "DEU", "FRA", "ITA", "ESP", "JPN", "NLD", "IND", "CHN", "BRA"),
    *("MEX", "SWE", "CHE", "THA", "IRL", "NZL", "ARG", "ZAF", "PRT", "POL", "TUR", "IDN", "PHL"),
    *("CHL", "PER", "EGY", "VNM", "MYS", "MAR", "KEN", "PAK", "NPL", "ECU", "UKR", "KHM", "TZA"),
    *("GHA", "ETH"),
)

#: Side of the square that a planted pattern repeats, and of a cell of it, in pixels.
TILE, CELL = 28, 7


def simulated_countries(
    total: int, *, minimum: int = 3, gdp: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Share images out among 41 countries, as unevenly as in the paper's data set.

    The United States get 43.2 % and the United Kingdom 12.8 %, as in Section 4. Each of the other
    countries gets ``minimum`` images and a part of the rest in proportion to 1/rank, from
    Canada (3) down to Ethiopia (41).

    Parameters
    ----------
    total
        Number of images; at least 266 with the default ``minimum``.
    minimum
        Least number of images of a country, ≥ 1.
    gdp
        As `humimp.fairness.income` returns it, which is the default.

    Returns
    -------
    pandas.DataFrame
        41 rows, in the order of :data:`SIMULATED`: ``country``, ``name``, ``n``, ``gdp``,
        ``log_gdp``. Names and GDP are real, the numbers of images are not.

    Raises
    ------
    ValueError
        If there are too few images, or ``gdp`` lacks one of the countries.
    """
    if minimum < 1:
        raise ValueError(f"minimum: every country needs an image; expected ≥ 1, got {minimum}")
    known = incomes(gdp).reindex(list(SIMULATED))
    if known["gdp"].isna().any():
        raise ValueError(
            f"gdp: no GDP per capita of {checks.few(known.index[known['gdp'].isna()])}; "
            "the simulated geography needs it of every country in SIMULATED"
        )
    shares = np.array([paper.SHARE_US, paper.SHARE_UK]) / 100
    ranks = np.arange(3, len(SIMULATED) + 1)
    spare = total * (1 - shares.sum()) - minimum * len(ranks)
    if spare < 0:
        raise ValueError(
            f"total: {total} images are too few for {minimum} in each of {len(SIMULATED)} "
            "countries beside the shares of the US and the UK; take more images, or a smaller "
            "minimum"
        )
    exact = np.append(total * shares, minimum + spare / ranks / (1 / ranks).sum())
    n = np.floor(exact).astype(int)
    largest = np.argsort(-(exact - n), kind="stable")[: total - n.sum()]
    n[largest] += 1
    return pd.DataFrame(
        {
            "country": list(SIMULATED),
            "name": known["name"].to_list(),
            "n": n,
            "gdp": known["gdp"].to_numpy(),
            "log_gdp": np.log(known["gdp"].to_numpy()),
        }
    )


def assign(countries: pd.DataFrame, *, seed: int = 0) -> NDArray[np.str_]:
    """Deal images out to countries at random: a simulated geography without a bias.

    Parameters
    ----------
    countries
        With ``country`` and ``n``, the number of images of each, as from
        :func:`simulated_countries`.
    seed
        The same seed gives the same countries.

    Returns
    -------
    ndarray of str
        The country of each image; as many as ``n`` adds up to.
    """
    codes = countries["country"].to_numpy(dtype=str)
    order = deal(countries, np.random.default_rng(seed))
    return cast(NDArray[np.str_], codes[order])


def deal(countries: pd.DataFrame, generator: np.random.Generator) -> NDArray[np.intp]:
    """Deal images out to countries, as :func:`assign` does.

    Parameters
    ----------
    countries
        As for :func:`assign`.
    generator
        Of the deal.

    Returns
    -------
    ndarray of int
        For each image the row of its country.
    """
    n = countries["n"].to_numpy()
    places = generator.permutation(np.repeat(np.arange(len(n)), n))
    dealt = np.empty_like(places)
    dealt[generator.permutation(len(places))] = places
    return dealt


def pattern(label: int, shape: tuple[int, int], *, seed: int = 0) -> Tensor:
    """Return the pattern that stands for a label: light and dark patches, drawn at random.

    A square of :data:`TILE` pixels has 4 × 4 cells, of which half, drawn at random, are light (1 in
    the middle) and half are dark (−1); from one middle to the next the pattern follows a cosine.
    The square is repeated over the image. A pattern's mean over a square is 0, so that the
    brightness of an image doesn't give the pattern away. It depends on the label and the seed
    alone: images of any size, of any number of classes, on any device show the same.

    Why not noise: where an image is flat, as digits are on black, sharp edges of a level or two
    change LPIPS and DISTS several times as much as these patterns do.

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
        float64, of the given shape; −1 to 1.

    Raises
    ------
    ValueError
        If the label or the seed is negative or no whole number.
    """
    checks.count(label, "label")
    checks.count(seed, "seed")
    cells = TILE // CELL
    signs = np.repeat([-1.0, 1.0], cells**2 // 2)
    drawn = np.random.default_rng((seed, label)).permutation(signs).reshape(cells, cells)
    apart = np.arange(TILE)[:, None] - (CELL * np.arange(cells) + CELL // 2)  # from the middles
    apart = np.minimum(np.abs(apart), TILE - np.abs(apart)) / CELL
    share = (1 + np.cos(np.pi * apart.clip(max=1))) / 2
    tile = share @ drawn @ share.T
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
    known = incomes(gdp)["gdp"].dropna()
    unknown = sorted(set(countries) - set(known.index))
    if unknown:
        raise ValueError(
            f"countries: no GDP per capita is known of {checks.few(unknown)}; leave them out, "
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
    ``strength``, rounded to whole levels, is added to an image with the :func:`probability` of its
    country, in each channel alike.

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
        levels[where] += (strength * shown).round().to(levels)
    return _image(levels), planted


def simulate(
    dataset: tuple[Tensor, Tensor, list[str]],
    *,
    strength: int = 8,
    gradient: float = 1.0,
    seed: int = 0,
    pattern_seed: int = 0,
    minimum: int = 3,
    gdp: pd.DataFrame | None = None,
) -> GeoDataset:
    """Simulate a geography: deal images out to 41 countries, and plant a cause of unfairness.

    Country and image are independent (:func:`assign`), the numbers of images are as uneven as the
    paper's (:func:`simulated_countries`), and GDP is real. What a model is unfair by is the planted
    pattern alone (:func:`plant`).

    Parameters
    ----------
    dataset
        Images, labels and ids, as from `humimp.datasets`; at least 266 with the default minimum.
    strength, gradient
        As in :func:`plant`. With either at 0 there is no bias to find.
    seed
        Of the deal and of who gets the pattern: one for training and another for testing.
    pattern_seed
        Of the patterns: the same for both.
    minimum
        Least number of images of a country. The more, the less chance there is in the accuracies
        of small countries, and the more power has the F-test.
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
    pictures, labels, ids = checks.three(dataset)
    table = simulated_countries(len(pictures), minimum=minimum, gdp=gdp)
    countries = assign(table, seed=seed).tolist()
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
    return GeoDataset(changed, labels, list(ids), countries, planted, exclusions([], []))


def _image(levels: Tensor) -> Tensor:
    """Return the image that has these levels, 0 to 255."""
    return images.from_uint8(levels.to(torch.uint8), levels.dtype)
