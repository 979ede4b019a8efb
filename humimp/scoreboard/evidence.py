"""What the records on disk say: which runs there are, and whether they ask what the paper asks."""

import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from humimp import evaluate, experiment, fairness, paper, replicates, runner, runs
from humimp.pages import PROFILE, Project
from humimp.scoreboard.verdicts import FEWEST, Difference

#: Pages whose records are rows of the paper's Table 1.
TABLE1_PAGES = ("03_2_pieapp", "a2_readings")
#: The word for the runs of a reader.
YOURS = "your run"
#: Settings of an attack that a row of Table 1 has in the paper, as far as the attack takes them.
SETTINGS = {
    "steps": paper.STEPS,
    "step_size": paper.STEP_SIZE,
    "lam": paper.LAM,
    "validate": "truncate",
}
#: Iterations of PerC_AL in its authors' code; the paper does not say how many it takes.
PERC_AL_STEPS = 1000
_RESNETS = ("resnet50", "resnet50_he2016")
_NETWORKS = {
    "mobilenet_v2": "MobileNetV2",
    "efficientnet_lite2": "EfficientNet-Lite2",
    **dict.fromkeys(_RESNETS, "ResNet-50"),
}


# How a profile's runs are called, where its name does not say it.
_RUNS = {"paper_cpu": "reduced settings"}


class Source(NamedTuple):
    """The folder of one page's results; ``run`` is the word for whose they are."""

    run: str
    page: str
    folder: Path


def reference(root: Path) -> list[Source]:
    """List the committed results: the paper's settings first, the laptop's last."""
    profiles = [path for path in (root / "results").iterdir() if path.is_dir()]
    profiles.sort(key=lambda path: (path.name == PROFILE, path.name))
    return [
        Source(_RUNS.get(profile.name, profile.name), page.name, page)
        for profile in profiles
        for page in sorted(profile.iterdir())
        if page.is_dir()
    ]


def own(project: Project, before: str) -> list[Source]:
    """List the reader's own complete runs that the pages before one show now."""
    found = []
    names = project.names()
    for name in names[: names.index(before)]:
        page = project.page(name)
        values = runner.stamp(page).get("parameters", {})
        if "run" not in page.parameters or values.get("run") == "reference":
            continue
        folder = page.folder(values)
        file = folder / "provenance.json"
        if file.is_file() and json.loads(file.read_text("utf-8")).get("state") == "complete":
            found.append(Source(YOURS, name, folder))
    return found


@dataclass(frozen=True)
class Row:
    """One attack's records, and what was asked of it."""

    source: Source
    records: pd.DataFrame
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """The attack's name."""
        return str(self.settings["name"])

    @property
    def images(self) -> int:
        """How many images were classified, and attacked if that was right."""
        return len(self.records)

    @property
    def n(self) -> int:
        """How many were attacked."""
        return int(self.records["correct"].sum())

    def has(self, columns: Iterable[str], defenses: Iterable[str]) -> bool:
        """Whether the records have these columns, and levels of these defences."""
        there = [str(column) for column in self.records]
        return all(c in there for c in columns) and all(
            any(c.startswith(f"under_{d}_") for c in there) for d in defenses
        )

    @property
    def options(self) -> dict[str, Any]:
        """The attack's options, as the diary describes them."""
        return dict(self.settings["options"])

    @cached_property
    def as_in_the_paper(self) -> bool:
        """Whether network, images, their size and the attack's settings are the paper's."""
        about = self.settings.get("about", {})
        asked = {} if self.name.startswith("PerC_AL") else SETTINGS
        if ours := re.match(r"Ours \(a = (.+?)\)", self.name):
            asked = {**asked, "confidence": float(ours[1])}
        return (
            about.get("classifier") in _RESNETS
            and str(about.get("images", "")).startswith("imagenet1000")
            and about.get("size") == paper.IMAGE_SIZE
            and all(self.options.get(key, value) == value for key, value in asked.items())
        )

    @property
    def stand_in(self) -> str:
        """What stands in for the ground cost, or is fewer than its authors take."""
        cost = self.options.get("cost")
        if isinstance(cost, dict) and not self.name.startswith("PerC_AL"):
            ((kind, inside),) = cost.items()
            word = kind.rpartition(".")[2]
            if word == "PieAPP" and inside.get("weights") == "small":
                word = "PieAPP-small"
            return "" if word == "PieAPP" else f"{experiment.TITLES.get(word, word)} for PieAPP"
        steps = self.options.get("steps", PERC_AL_STEPS)
        if self.name.startswith("PerC_AL") and steps < PERC_AL_STEPS:
            return f"PerC_AL with {steps} of its authors' {PERC_AL_STEPS} steps"
        return ""

    @property
    def whose(self) -> str:
        """The run in a few words."""
        network = self.settings.get("about", {}).get("classifier", "")
        how = "paper's settings" if self.as_in_the_paper else _NETWORKS.get(network, network)
        whose = "" if self.as_in_the_paper and self.source.run != YOURS else self.source.run
        return ", ".join(part for part in (whose, how, f"n = {self.n}") if part)

    @cached_property
    def sampled(self) -> float:
        """Share of the paper's images that these are; 0 if they are others."""
        return min(self.images / paper.N_IMAGES, 1.0) if self.as_in_the_paper else 0.0

    @cached_property
    def summary(self) -> pd.Series:
        """The row of Table 1."""
        return evaluate.table(self.records).iloc[0]

    @cached_property
    def errors(self) -> pd.Series:
        """Its standard errors, with the correction for drawing from a finite set of images."""
        return evaluate.errors(self.records).iloc[0] * np.sqrt(1 - self.sampled)


@dataclass(frozen=True)
class Company:
    """Attacks that were run on the same page, so that their images are the same."""

    rows: dict[str, Row]

    def __getitem__(self, name: str) -> Row:
        return self.rows[name]

    @property
    def whose(self) -> str:
        """The run in a few words; ``n`` is that of the attack with the fewest images."""
        return min(self.rows.values(), key=lambda row: row.n).whose

    @property
    def n(self) -> int:
        """How many images all of them attacked."""
        return len(self._common)

    @property
    def page(self) -> str:
        """The page that made the records."""
        return next(iter(self.rows.values())).source.page

    @cached_property
    def attacked(self) -> dict[str, pd.DataFrame]:
        """The records of the images that were attacked, by attack, indexed by image."""
        return {
            name: row.records[row.records["correct"]].set_index("id")
            for name, row in self.rows.items()
        }

    @cached_property
    def _common(self) -> "pd.Index[str]":
        first, *others = (records.index for records in self.attacked.values())
        for index in others:
            first = first.intersection(index, sort=False)
        return first

    @cached_property
    def fooled(self) -> "pd.Index[str]":
        """The images that all of them fool."""
        index = self._common
        for records in self.attacked.values():
            index = index[records.loc[index, "success"].to_numpy(dtype=bool)]
        return index

    def distance(self, name: str, column: str) -> float:
        """Compute an attack's mean distance on the images that all fool; NaN without any."""
        found = self.attacked[name].loc[self.fooled, column]
        return evaluate.SCALES.get(column, 1) * float(found.mean())

    def both(self, first: str, second: str, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a distance of two attacks, on the images that both fool."""
        pair = [self.attacked[name] for name in (first, second)]
        fooled = [records.index[records["success"]] for records in pair]
        ids = fooled[0].intersection(fooled[1], sort=False)
        scale = evaluate.SCALES.get(column, 1)
        a, b = (scale * records.loc[ids, column].to_numpy(dtype=float) for records in pair)
        return a, b

    def less(self, first: str, second: str, column: str) -> Difference:
        """Compute how much smaller a distance is for the first attack, where both fool.

        NaN where that are too few images for a verdict.
        """
        a, b = self.both(first, second, column)
        return mean(b - a) if len(a) >= FEWEST else mean([])

    def survival(self, name: str, defense: str) -> "pd.Series[float]":
        """Compute at what percentage of a defence's levels each attacked image still fools."""
        records = self.attacked[name].loc[self._common]
        under = [c for c in map(str, records) if c.startswith(f"under_{defense}_")]
        return 100 * records[under].ne(records["label"], axis=0).mean(axis=1)

    def stronger(self, first: str, second: str, defense: str) -> Difference:
        """Compute how much more of the first attack stands a defence, in percentage points."""
        return mean(self.survival(first, defense) - self.survival(second, defense))


@dataclass(frozen=True, eq=False)
class Geography:
    """The models of Section 4 that one run trained, by attack, tested on the same images."""

    source: Source
    parameters: dict[str, Any]
    right: dict[str, Any]
    seconds: dict[str, tuple[float, float]]
    kept: pd.DataFrame
    country: np.ndarray
    planted: np.ndarray

    @property
    def n_models(self) -> int:
        """How many models there are of each training."""
        return min(len(each) for name, each in self.right.items() if name != "theta0")

    @property
    def whose(self) -> str:
        """The run in a few words."""
        images = "digits" if self.parameters["images"] == "digits" else "ImageNet photographs"
        return f"{self.source.run}, {images}, {self.n_models} models each"

    @property
    def stand_in(self) -> str:
        """What is not the paper's."""
        cost = self.parameters["cost"]
        network = "digits and a small network, "
        if self.parameters["images"] != "digits":
            name = self.parameters["classifier"]
            network = "" if name in _RESNETS else f"{_NETWORKS.get(name, name)} for ResNet-50, "
        price = "" if cost == "PieAPP" else f", {experiment.TITLES.get(cost, cost)} for PieAPP"
        return f"{network}simulated countries{price}"

    def poorest(self, name: str) -> float:
        """Compute the mean accuracy in the poorest quarter of the countries, in percent."""
        accuracy = np.nanmean(self.by_country(name), axis=0)
        quarters = fairness.by_income(self.kept.assign(accuracy=accuracy))["accuracy"]
        return 100 * float(quarters.iloc[0])

    @property
    def p_before(self) -> float:
        """How probable the slope before training is, or a steeper one, without any bias."""
        accuracy, kept = self.by_country("theta0"), self.kept
        (f,) = fairness.f_statistics(accuracy, kept["log_gdp"], kept["n"])
        return fairness.f_p_value(float(f), 1, len(self.kept) - 2)

    def betas(self, name: str) -> np.ndarray:
        """Compute the slopes of a training's models, (R,); of ``"theta0"`` one."""
        accuracy = self.by_country(name)
        return fairness.slopes(accuracy, self.kept["log_gdp"], self.kept["n"])

    def by_country(self, name: str) -> np.ndarray:
        """Compute the accuracy of each model in each country, (R, K)."""
        codes = self.kept["country"].tolist()
        return np.stack([self.right[name][:, self.country == c].mean(1) for c in codes], axis=1)

    def gap(self, name: str) -> np.ndarray:
        """Compute each model's accuracy in the richest quarter minus the poorest, (R,)."""
        gaps = []
        for accuracy in self.by_country(name):
            quarters = fairness.by_income(self.kept.assign(accuracy=accuracy))["accuracy"]
            lost = np.isnan(accuracy).any()
            gaps.append(np.nan if lost else quarters.iloc[-1] - quarters.iloc[0])
        return np.array(gaps)

    def worth(self, name: str) -> np.ndarray:
        """Compute how much more accurate each model is with the planted pattern, (R,)."""
        right = self.right[name]
        return right[:, self.planted].mean(1) - right[:, ~self.planted].mean(1)

    @property
    def worth_before(self) -> Difference:
        """The pattern's worth before training, with its error over the images."""
        (right,) = self.right["theta0"]
        error = sum(
            own.var(ddof=1) / len(own) for own in (right[self.planted], right[~self.planted])
        )
        return Difference(float(self.worth("theta0")[0]), float(np.sqrt(error)))


class Evidence:
    """All records that a scoreboard is made from.

    Parameters
    ----------
    sources
        Where they are, the preferred first: :func:`reference` or :func:`own`.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)

    @cached_property
    def rows(self) -> list[Row]:
        """Every complete run of an attack on the pages of Table 1."""
        return [row for page in TABLE1_PAGES for row in self.on(page)]

    def on(self, page: str) -> list[Row]:
        """Read the complete runs of :func:`humimp.evaluate.run` that a page made."""
        found = []
        for source in self.sources:
            if source.page != page:
                continue
            for file in sorted(source.folder.rglob("records.parquet")):
                diary = runs.read(file.parent)
                if diary is not None and runs.is_complete(file.parent, diary):
                    records = evaluate.load(file.parent)
                    found.append(Row(source, records, diary["settings"]))
        return found

    def row(self, name: str, column: str = "success") -> Row | None:
        """Choose the best run of an attack.

        One of enough images for a verdict, then at the paper's settings, then of the most images.
        """
        able = [row for row in self.rows if row.name == name and column in row.records]
        return max(able, key=_rank, default=None)

    def company(
        self,
        names: Iterable[str],
        columns: Iterable[str] = (),
        defenses: Iterable[str] = (),
        instead: Mapping[str, str] | None = None,
    ) -> Company | None:
        """Choose the best page that has all these attacks, with these columns and defences.

        ``instead`` names rows that stand in the place of others: another reading of the attack.
        """
        instead = instead or {}
        names, columns, defenses = list(names), list(columns), list(defenses)
        best = None
        for source in self.sources:
            rows: dict[str, Row] = {}
            for row in self.rows:
                if row.source == source and row.has(columns, defenses):
                    rows.setdefault(row.name, row)
            if all(instead.get(name, name) in rows for name in names):
                found = Company({name: rows[instead.get(name, name)] for name in names})
                paper = all(row.as_in_the_paper for row in found.rows.values())
                rank = (found.n >= FEWEST, paper, found.n)
                if best is None or rank > best[0]:
                    best = (rank, found)
        return best[1] if best else None

    def parameters(self, page: str) -> tuple[Source, dict[str, Any]] | None:
        """Read the parameters of the preferred run of a page."""
        return next(iter(self.ran(page)), None)

    def ran(self, page: str) -> list[tuple[Source, dict[str, Any]]]:
        """List a page's runs with their parameters, the preferred first.

        Where models are trained, those of enough for a verdict, if there is any.
        """
        found = [
            (source, json.loads(file.read_text("utf-8"))["parameters"])
            for source in self.sources
            if source.page == page and (file := source.folder / "provenance.json").is_file()
        ]
        return [one for one in found if one[1].get("n_models", FEWEST) >= FEWEST] or found[:1]

    @cached_property
    def geographies(self) -> list[Geography]:
        """The models of Section 4.3: of each run's own geography, then of its other deals."""
        found = []
        for source, parameters in self.ran("04_3_results"):
            folders = {source.folder: parameters["seed"]} | {
                folder: int(folder.name.removeprefix("deal-"))
                for folder in sorted(source.folder.glob("deal-*"))
            }
            found += [self._geography(source, parameters, *each) for each in folders.items()]
        return [one for one in found if one is not None]

    def _geography(
        self, source: Source, parameters: dict[str, Any], folder: Path, seed: int
    ) -> Geography | None:
        right: dict[str, Any] = {}
        seconds = {}
        ids: list[str] = []
        model = None
        for path in sorted(folder.glob("models-*")):
            name = {"pgd": "PGD", "perc_al": "PerC_AL", "ours": "Ours"}.get(path.name[7:])
            diary = runs.read(path)
            if name is None or diary is None or diary["state"] != "complete":
                continue
            with warnings.catch_warnings():  # that models diverged: page 4.3 counts them
                warnings.simplefilter("ignore", RuntimeWarning)
                records = replicates.load(path)
            ids = records.loc[records["replicate"] == records["replicate"].iloc[0], "id"].tolist()
            lost = records.groupby("replicate", sort=False)["diverged"].any().to_numpy()
            answers = records["correct"].to_numpy(dtype=float).reshape(-1, len(ids))
            right[name] = np.where(lost[:, None], np.nan, answers)
            pool = runs.read(folder / f"robust-{path.name[7:]}")
            if pool is not None:
                seconds[name] = (runs.seconds(pool), runs.seconds(diary) / len(answers))
            model = diary["inputs"]["model_sha256"]
        if not {"PGD", "Ours"} <= set(right):
            return None
        known = experiment.dealt(
            ids, strength=parameters["strength"], gradient=parameters["gradient"], seed=seed
        )
        start = self._theta0(folder, model, ids)
        if start is not None:
            right["theta0"] = start[None]
        country = known["country"].to_numpy()
        sample = pd.DataFrame({"id": ids, "country": country, "correct": right["Ours"][0] > 0.5})
        return Geography(
            source, parameters, right, seconds,
            fairness.accuracy_by_country(sample).kept, country, known["planted"].to_numpy(),
        )  # fmt: skip

    def _theta0(self, folder: Path, model: str | None, ids: list[str]) -> np.ndarray | None:
        """Find what the model that training started from answered on these images.

        Page 4.3 tries it in each geography. An older run of it did not, and page 4.1 may have.
        """
        pages = [source.folder for source in self.sources if source.page == "04_1_bias_metric"]
        for path in (one / "answers" for one in (folder, *pages)):
            if not (path / "records.parquet").is_file():
                continue
            diary, records = runs.read(path), evaluate.load(path)
            same = diary is not None and diary["inputs"].get("model_sha256") == model
            if same and records["id"].tolist() == ids:
                return records["correct"].to_numpy(dtype=float)
        return None


def _rank(row: Row) -> tuple[bool, bool, int]:
    """Rank a run among those of its attack."""
    return row.n >= FEWEST, row.as_in_the_paper, row.images


def mean(values: Any) -> Difference:
    """Compute the mean of differences and its standard error; NaN of fewer than two."""
    array = np.asarray(values, dtype=float)
    array = array[~np.isnan(array)]
    if len(array) < 2:
        return Difference(float("nan"), float("nan"))
    return Difference(float(array.mean()), float(array.std(ddof=1) / np.sqrt(len(array))))
