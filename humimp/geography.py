"""Where images come from: names of countries, their GDP by year, and released metadata.

:func:`resolve` turns what people write for a country into its ISO-3166 code; :func:`geode` and
:func:`dollar_street` make lists of images, labels and countries of what these data sets release.
"""

import ast
import functools
import os
import unicodedata
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pycountry
from torch import Tensor

from humimp import checks, fairness

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
