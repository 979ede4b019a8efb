"""Where images come from: names of countries, released metadata, and a simulated geography.

:func:`resolve` turns what people write for a country into its ISO-3166 code. :func:`simulate` deals
images out to countries and plants a cause of unfairness in them: a faint pattern that gives the
label away, and that is the more common the richer the country (:func:`plant`).
"""

import ast
import functools
import os
import unicodedata
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np
import pandas as pd
import pycountry
import torch
from numpy.typing import NDArray
from torch import Tensor

from humimp import checks, fairness, images

#: Side of the square that a planted pattern repeats, and of a cell of it, in pixels.
TILE, CELL = 28, 7

#: Names in common use that ISO 3166 and the World Bank don't give.
_COMMON = {
    "UK": "GBR",
    "Great Britain": "GBR",
    "Britain": "GBR",
    "England": "GBR",
    "Scotland": "GBR",
    "Wales": "GBR",
    "Northern Ireland": "GBR",
    "America": "USA",
    "Russia": "RUS",
    "Republic of Korea": "KOR",
    "DPRK": "PRK",
    "Ivory Coast": "CIV",
    "Turkey": "TUR",
    "Holland": "NLD",
    "Burma": "MMR",
    "Swaziland": "SWZ",
    "Macedonia": "MKD",
    "Cape Verde": "CPV",
    "East Timor": "TLS",
    "Palestine": "PSE",
    "Brunei": "BRN",
    "DR Congo": "COD",
    "DRC": "COD",
    "Democratic Republic of Congo": "COD",
    "Congo-Kinshasa": "COD",
    "Congo-Brazzaville": "COG",
    "Zaire": "COD",
    "UAE": "ARE",
    "Vatican": "VAT",
    "Vatican City": "VAT",
    "Kosovo": "XKX",
    "XK": "XKX",
    "Macau": "MAC",
    "Falkland Islands": "FLK",
    "Bosnia": "BIH",
    "Slovak Republic": "SVK",
}
#: Names that could be either of two countries; ISO 3166 calls one of the Congos by the first.
_AMBIGUOUS = {
    "congo": ("COG", "COD"),
    "korea": ("KOR", "PRK"),
    "virgin islands": ("VIR", "VGB"),
    "saint martin": ("MAF", "SXM"),
}
_SHOWN = 5

Unknown = Literal["error", "exclude"]
Several = Literal["exclude", "first"]


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


class Manifest(NamedTuple):
    """A list of images with labels and countries, and what was left out.

    Attributes
    ----------
    kept
        A row per image: ``path``, ``label`` (class of ImageNet, from 0) and ``country`` (ISO-3166
        alpha-3). ``kept.to_csv(folder / "manifest.csv", index=False)`` makes it a manifest for
        `humimp.datasets.geo`.
    excluded
        What was left out: a row per reason and country, with ``country``, ``n`` (images) and
        ``reason``.
    """

    kept: pd.DataFrame
    excluded: pd.DataFrame


# ------------------------------------------------------------------------------ names of countries


def resolve(
    names: Iterable[str], *, unknown: Unknown = "error", where: Sequence[str] | None = None
) -> list[str]:
    """Turn names of countries into their ISO-3166 alpha-3 codes.

    Parameters
    ----------
    names
        Codes (alpha-3 or alpha-2) or English names: those of ISO 3166, of the World Bank, and ones
        in common use ("UK", "Ivory Coast", "Turkey"). Letter case, accents and punctuation don't
        matter. Kosovo, which ISO 3166 lacks, is XKX as for the World Bank.
    unknown
        What to do with names of no country, or of two ("Congo", "Korea"): ``"error"``, or
        ``"exclude"``: give an empty code for each.
    where
        For each name the place that an error points to, as "line 7".

    Returns
    -------
    list of str
        A code for each name.

    Raises
    ------
    ValueError
        If there are such names and ``unknown`` is ``"error"``; it lists them.
    """
    checks.choice(unknown, "unknown", ("error", "exclude"))
    given = [name if isinstance(name, str) else "" for name in names]
    known = _countries()
    codes = [known.get(_plain(name), "") for name in given]
    bad: dict[str, list[str]] = {}
    for index, (name, code) in enumerate(zip(given, codes, strict=True)):
        if not code:
            bad.setdefault(name, []).append(where[index] if where is not None else "")
    if bad and unknown == "error":
        shown = [_unresolved(name, places) for name, places in list(bad.items())[:_SHOWN]]
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise ValueError(
            f"countries: no country is called {'; '.join(shown)}{more}. Give ISO-3166 codes (USA "
            'or US) or English names, or pass unknown="exclude" to leave these images out'
        )
    return codes


def _unresolved(name: str, places: list[str]) -> str:
    """Say which name could not be resolved, where it stands, and what it may mean."""
    text = repr(name)
    if places[0]:
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        text += f" ({places[0]}{more})"
    if choice := _AMBIGUOUS.get(_plain(name)):
        text += f", which may be {' or '.join(choice)}"
    return text


@functools.cache
def _countries() -> dict[str, str]:
    """Map each country's plain codes and names to its alpha-3 code."""
    found: dict[str, str] = {}
    for country in pycountry.countries:
        for kind in ("alpha_3", "alpha_2", "name", "common_name", "official_name"):
            if name := getattr(country, kind, None):
                found[_plain(name)] = country.alpha_3
    for code, name in fairness.income()["name"].items():
        found.setdefault(_plain(str(name)), str(code))
        found.setdefault(_plain(str(code)), str(code))
    found |= {_plain(name): code for name, code in _COMMON.items()}
    for name in ("", *_AMBIGUOUS):
        found.pop(name, None)
    return found


def _plain(name: str) -> str:
    """Return a name in lower case, without accents, punctuation and the article."""
    letters = unicodedata.normalize("NFKD", name.casefold().replace("&", " and "))
    # a full stop or an apostrophe inside a word joins (U.S., d'Ivoire), the rest separates
    letters = "".join(c for c in letters if not unicodedata.combining(c) and c not in ".'’")
    words = "".join(c if c.isalnum() else " " for c in letters).split()
    words = ["saint" if word == "st" else word for word in words]
    return " ".join(words[1:] if words[:1] == ["the"] else words)


def gdp(year: int = 2020, path: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """Read GDP per capita of a year, for the functions that take a table ``gdp``.

    `humimp.fairness.income`, which is their default, is the table of 2020 with four gaps filled
    from another source; this one has one source and several years.

    Parameters
    ----------
    year
        One that the table has: 1960, 1970, ..., 2020 in the one that ships with the package.
    path
        CSV file with the columns ``country`` (ISO-3166 alpha-3), ``name``, ``year`` and ``gdp``
        (US$ per head). By default the World Bank's figures, see ``humimp/data/README.md``.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``country``, with ``name`` and ``gdp`` and the file's other columns.

    Raises
    ------
    ValueError
        If columns are missing, the year is not there, a country comes twice in it, or a GDP is
        not a positive number.
    """
    source = path or str(resources.files("humimp") / "data" / "gdp_by_year.csv")
    table = pd.read_csv(source, keep_default_na=False, dtype={"country": str, "gdp": str})
    missing = [column for column in ("country", "name", "year", "gdp") if column not in table]
    if missing:
        raise ValueError(f"{source}: no column {', '.join(missing)}; the first line names them")
    years = sorted(table["year"].unique().tolist())
    if year not in years:
        raise ValueError(f"year: expected one of {', '.join(map(str, years))}, got {year!r}")
    table = table[table["year"] == year]
    twice = table["country"][table["country"].duplicated()].tolist()
    if twice:
        raise ValueError(f"{source}: {checks.few(twice)} given more than once for {year}")
    figures = pd.to_numeric(table["gdp"], errors="coerce")
    bad = table["gdp"].ne("") & ~((figures > 0) & np.isfinite(figures))
    if bad.any():
        raise ValueError(
            f"{source}: GDP per capita of {checks.few(table['country'][bad])} in {year} is "
            "not a positive number; give US$ per head with a decimal point, or leave it empty"
        )
    return table.assign(gdp=figures).set_index("country")


# ------------------------------------------------------------------------------- released metadata


def geode(
    metadata: str | os.PathLike[str],
    images_folder: str | os.PathLike[str],
    *,
    several: Several = "exclude",
    unknown: Unknown = "error",
) -> Manifest:
    """Make a manifest of GeoDE (Ramaswamy et al. 2023) from its released metadata.

    An image has the country of its uploader's address, and one object. Most of GeoDE's 40 objects
    are wider than a class of ImageNet: a photograph of a dog may show any of 26 breeds.

    Parameters
    ----------
    metadata
        GeoDE's ``index.csv``, with ``file_path``, ``object`` and ``ip_country``.
    images_folder
        Where the images are; ``path`` counts from there.
    several
        What to do with an image that could have several labels. ``"exclude"`` keeps only those
        with one, for which right and wrong are clear. ``"first"`` takes the first that the class
        map lists, so that a right answer may count as wrong.
    unknown
        As for :func:`resolve`.

    Returns
    -------
    Manifest
        What was left out, and why, is in ``excluded``.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    ValueError
        If columns are missing, no image is left, or a country is unknown.
    """
    table = _metadata(metadata, images_folder, ("file_path", "object", "ip_country"))
    names = [[_topic(name)] for name in table["object"]]
    return _manifest(
        "geode", table["file_path"], names, table["ip_country"], metadata, several, unknown
    )


def dollar_street(
    metadata: str | os.PathLike[str],
    images_folder: str | os.PathLike[str],
    *,
    several: Several = "exclude",
    unknown: Unknown = "error",
) -> Manifest:
    """Make a manifest of Dollar Street (Gaviria Rojas et al. 2022) from its released metadata.

    Each topic of an image has at most one class of ImageNet here, but an image may have several
    topics; those without a class don't count if another has one.

    Parameters
    ----------
    metadata
        MLCommons' ``images_v2.csv``, ``images_v2_imagenet_train.csv`` or ``..._test.csv``, with
        ``imageRelPath``, ``topics`` (a list in brackets) and ``country.name``.
    images_folder
        Where the images are; ``path`` counts from there.
    several
        As for :func:`geode`: what to do with an image whose topics have different classes.
    unknown
        As for :func:`resolve`.

    Returns
    -------
    Manifest
        What was left out, and why, is in ``excluded``.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    ValueError
        If columns are missing, topics are not a list, no image is left, or a country is unknown.
    """
    table = _metadata(metadata, images_folder, ("imageRelPath", "topics", "country.name"))
    names = [
        _topics(text, f"{metadata}, line {line}") for line, text in enumerate(table["topics"], 2)
    ]
    countries = table["country.name"]
    return _manifest(
        "dollar_street", table["imageRelPath"], names, countries, metadata, several, unknown
    )


@functools.cache
def class_map(dataset: Literal["geode", "dollar_street"]) -> dict[str, list[int]]:
    """Return for each object or topic of a data set the classes of ImageNet that it may be.

    Parameters
    ----------
    dataset
        ``"geode"`` or ``"dollar_street"``.

    Returns
    -------
    dict
        From names, in lower case and with spaces, to classes from 0, the nearest first; none for
        a name without a counterpart.

    Raises
    ------
    ValueError
        For another data set.
    """
    checks.choice(dataset, "dataset", ("geode", "dollar_street"))
    table = pd.read_csv(
        str(resources.files("humimp") / "data" / "class_maps.csv"), keep_default_na=False
    )
    table = table[table["dataset"] == dataset]
    labels = [[int(label) for label in text.split()] for text in table["labels"]]
    return dict(zip(map(_topic, table["name"]), labels, strict=True))


def _metadata(
    metadata: str | os.PathLike[str], folder: str | os.PathLike[str], columns: tuple[str, ...]
) -> pd.DataFrame:
    """Read released metadata as text, and check that what is needed is there."""
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"There is no folder {folder}")
    table = pd.read_csv(metadata, dtype=str, keep_default_na=False)
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(
            f"{metadata}: no column {', '.join(missing)}; there are {', '.join(map(str, table))}"
        )
    return table


def _topic(name: str) -> str:
    """Return an object or a topic as the class map has it."""
    return " ".join(name.replace("_", " ").lower().split())


def _topics(text: str, where: str) -> list[str]:
    """Read a list of topics, as in ``['bed', 'guest bed']``."""
    try:
        topics = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        topics = None
    if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
        raise ValueError(f"{where}: topics: expected a list in brackets, as ['bed'], got {text!r}")
    return [_topic(topic) for topic in topics]


def _manifest(
    dataset: Literal["geode", "dollar_street"],
    paths: "pd.Series[str]",
    names: list[list[str]],
    countries: "pd.Series[str]",
    metadata: str | os.PathLike[str],
    several: Several,
    unknown: Unknown,
) -> Manifest:
    """Label images by a class map, resolve their countries, and count what is left out."""
    checks.choice(several, "several", ("exclude", "first"))
    lines = [f"{metadata}, line {line}" for line in range(2, len(paths) + 2)]
    given = countries.tolist()
    codes = resolve(given, unknown=unknown, where=lines)
    known = class_map(dataset)
    labels, reasons = [], []
    for topics, code in zip(names, codes, strict=True):
        label, reason = _one_label(topics, known, several)
        labels.append(label)
        reasons.append(reason if code else "unknown country")
    table = pd.DataFrame(
        {
            "path": paths.to_numpy(),
            "label": labels,
            "country": [code or name for code, name in zip(codes, given, strict=True)],
            "reason": reasons,
        }
    )
    left_out = table["reason"] != ""
    kept = table.loc[~left_out, ["path", "label", "country"]].reset_index(drop=True)
    excluded = exclusions(table["country"][left_out], table["reason"][left_out])
    if kept.empty:
        why = excluded.groupby("reason")["n"].sum().to_dict()
        raise ValueError(f"{metadata}: no image is left: {why}")
    return Manifest(kept, excluded)


def _one_label(topics: list[str], known: dict[str, list[int]], several: Several) -> tuple[int, str]:
    """Return the label of an image with these topics, or -1 and why it has none."""
    labels = list(dict.fromkeys(label for topic in topics for label in known.get(topic, [])))
    shown = ", ".join(topics) or "(none)"
    if not labels:
        return -1, f"no class of ImageNet for {shown}"
    if len(labels) > 1 and several == "exclude":
        return -1, f"{len(labels)} classes of ImageNet for {shown}"
    return labels[0], ""


def exclusions(countries: Iterable[str], reasons: Iterable[str]) -> pd.DataFrame:
    """Count images that were left out, by reason and country.

    Parameters
    ----------
    countries, reasons
        For each image left out.

    Returns
    -------
    pandas.DataFrame
        ``country``, ``n`` and ``reason``, in the order in which they come first.
    """
    table = pd.DataFrame({"country": list(countries), "reason": list(reasons)}, dtype=str)
    counts = table.groupby(["country", "reason"], sort=False).size()
    return counts.rename("n").reset_index()[["country", "n", "reason"]]


# ---------------------------------------------------------------------------- simulated geography


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
    known = fairness.incomes(gdp)["gdp"].dropna()
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
    strength: int = 6,
    gradient: float = 1.0,
    seed: int = 0,
    pattern_seed: int = 0,
    minimum: int = 3,
    gdp: pd.DataFrame | None = None,
) -> GeoDataset:
    """Simulate a geography: deal images out to 41 countries, and plant a cause of unfairness.

    Country and image are independent (`humimp.fairness.assign`), the numbers of images
    are as uneven as the paper's (`humimp.fairness.simulated_countries`), and GDP is real. What a
    model is unfair by is the planted pattern alone (:func:`plant`).

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
    table = fairness.simulated_countries(len(pictures), minimum=minimum, gdp=gdp)
    countries = fairness.assign(table, seed=seed).tolist()
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
