"""Does accuracy depend on income? The bias metric and the tests of Section 4.

Records of a classifier become one accuracy per country (:func:`accuracy_by_country`), the slope of
accuracy on log GDP per capita is fitted by generalised least squares (:func:`slope`), and its
F-test asks whether it is zero. The slopes of many models, trained in two ways, are compared by
t-tests (:func:`t_tests`, :func:`compare`).

`humimp.power` asks how often these tests find a bias, of known size or none.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from humimp import checks

Array = NDArray[np.float64]

#: What the covariance of the countries' accuracies may be assumed to be, up to a common factor:
#: the paper's, that of a share of n images, and the same for all countries.
COVARIANCES = ("1/sqrt(n)", "1/n", "ols")

# ---------------------------------------------------------------- accuracy and income by country


def income(path: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """Read GDP per capita by country.

    Parameters
    ----------
    path
        CSV file with the columns ``country`` (ISO-3166 alpha-3), ``name`` and ``gdp`` (US$ per
        head, empty where unknown). By default the table that ships with the package: figures of
        the World Bank for 2020, see ``humimp/data/README.md``.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``country``, with the file's other columns; ``gdp`` is NaN where unknown.

    Raises
    ------
    ValueError
        If columns are missing, a country comes twice, or a GDP is not a positive number.
    """
    source = path or str(resources.files("humimp") / "data" / "gdp.csv")
    table = pd.read_csv(source)
    missing = [column for column in ("country", "name", "gdp") if column not in table]
    if missing:
        raise ValueError(f"{source}: no column {', '.join(missing)}; the first line names them")
    return _positive(table.set_index("country"), str(source))


def incomes(gdp: pd.DataFrame | None = None) -> pd.DataFrame:
    """Check a table of incomes, or take the default.

    Parameters
    ----------
    gdp
        Indexed by country (ISO-3166 alpha-3), with ``gdp``, and ``name`` if there are any.

    Returns
    -------
    pandas.DataFrame
        As :func:`income` returns it, which is the default; codes are the names where there are
        none.

    Raises
    ------
    ValueError
        If it is no such table, a country comes twice, or a GDP is not a positive number.
    """
    if gdp is None:
        return income()
    if not isinstance(gdp, pd.DataFrame) or "gdp" not in gdp or "country" in gdp:
        raise ValueError(
            "gdp: expected a table with a column gdp that is indexed by country, as "
            "humimp.fairness.income returns it (.set_index('country') makes an index of a column)"
        )
    return _positive(gdp if "name" in gdp else gdp.assign(name=gdp.index), "gdp")


def _positive(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Check a table that is indexed by country, and make numbers of its GDP."""
    twice = table.index[table.index.duplicated()].tolist()
    if twice:
        raise ValueError(
            f"{source}: {checks.few(twice)} given more than once; keep one line for each"
        )
    gdp = pd.to_numeric(table["gdp"], errors="coerce")
    bad = (gdp.isna() & table["gdp"].notna()) | (gdp <= 0) | np.isinf(gdp)
    if bad.any():
        raise ValueError(
            f"{source}: GDP per capita of {checks.few(table.index[bad].tolist())} is not a "
            "positive number; give US$ per head with a decimal point, or leave it empty"
        )
    return table.assign(gdp=gdp)


class Countries(NamedTuple):
    """Accuracy by country, and what had to be left out.

    ``kept`` has a row per country, the most images first: ``country`` (ISO-3166 alpha-3),
    ``name``, ``n`` (images), ``accuracy`` (0 to 1), ``gdp`` (US$ per head) and ``log_gdp``
    (natural logarithm). ``excluded`` has a row per group left out: ``country`` as given, ``n``
    and ``reason``.
    """

    kept: pd.DataFrame
    excluded: pd.DataFrame

    def summary(self) -> str:
        """Say in one sentence how many countries and images there are and were left out."""
        ones = int((self.kept["n"] == 1).sum())
        text = f"{_count(len(self.kept), 'country')} with {_count(self.kept['n'].sum(), 'image')}"
        if ones:
            text += f", of which {_count(ones, 'country')} with a single image"
        parts = []
        for reason, group in self.excluded.groupby("reason", sort=False):
            whose = f" of {checks.few(group['country'])}" if group["country"].all() else ""
            parts.append(f"{_count(group['n'].sum(), 'image')}{whose} ({reason!s})")
        return f"{text}. Left out: {'; '.join(parts) or 'nothing'}."


def by_income(countries: pd.DataFrame, *, groups: int = 4) -> pd.DataFrame:
    """Pool the images of countries of like income: by default, of each quarter of the countries.

    Parameters
    ----------
    countries
        A row per country with ``n``, ``accuracy`` and ``gdp``: ``kept`` of
        :func:`accuracy_by_country`.
    groups
        How many groups. Each has as many countries as the others, or one more: those left over go
        to the poorest groups, one each.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``group``, 1 being the poorest: ``countries``, ``n`` and ``accuracy`` of all its
        images together (0 to 1; NaN where a country's is), ``low`` and ``high``, the least and the
        greatest GDP per capita.

    Raises
    ------
    ValueError
        If there are fewer countries than groups, or a country has no images.
    """
    checks.count(groups, "groups", low=1)
    if len(countries) < groups:
        raise ValueError(
            f"countries: {groups} groups need as many countries at least, got {len(countries)}; "
            "make fewer groups"
        )
    if (countries["n"] < 1).any():
        raise ValueError("countries: one has no images; leave it out")
    ordered = countries.sort_values(["gdp", "n"], kind="stable")
    parts = np.array_split(np.arange(len(ordered)), groups)
    group = np.repeat(np.arange(1, groups + 1), [len(part) for part in parts])
    table = ordered.assign(right=ordered["accuracy"] * ordered["n"], group=group).groupby("group")
    pooled = table.agg(
        countries=("n", "size"),
        n=("n", "sum"),
        accuracy=("right", lambda right: right.sum(skipna=False)),
        low=("gdp", "min"),
        high=("gdp", "max"),
    )
    return pooled.assign(accuracy=pooled["accuracy"] / pooled["n"])


def accuracy_by_country(records: pd.DataFrame, gdp: pd.DataFrame | None = None) -> Countries:
    """Compute the share of correctly classified images of each country, p_i of Section 4.1.

    Parameters
    ----------
    records
        A row per image, with ``country`` (ISO-3166 alpha-3) and ``correct`` (true or false). If
        there is a column ``id``, no image may come twice.
    gdp
        As :func:`income` returns it, which is the default.

    Returns
    -------
    Countries
        A country is left out, and reported, if it has no GDP per capita in the table or its code
        is not there; so are images without a country.

    Raises
    ------
    ValueError
        If there are no records, columns are missing, an image comes twice, ``correct`` holds
        something else than true and false, or no country is left.
    """
    table = incomes(gdp)
    correct = _check_records(records)
    code = records["country"].astype(object).fillna("").astype(str).str.strip().rename("country")
    groups = correct.groupby(code).agg(n="size", accuracy="mean").reset_index()
    groups = groups.sort_values(["n", "country"], ascending=[False, True], ignore_index=True)
    groups = groups.join(table[["name", "gdp"]], on="country")
    reason = pd.Series(
        np.select(
            [groups["country"] == "", ~groups["country"].isin(table.index)],
            ["no country given", "code not in the table of GDP (three capital letters, as in USA)"],
            "no GDP per capita known",
        )
    )
    known = groups["gdp"].notna()
    excluded = groups.assign(reason=reason)[~known][["country", "n", "reason"]]
    kept = groups[known].assign(log_gdp=np.log(groups["gdp"][known]))
    kept = kept[["country", "name", "n", "accuracy", "gdp", "log_gdp"]]
    result = Countries(kept.reset_index(drop=True), excluded.reset_index(drop=True))
    if kept.empty:
        raise ValueError(f"country: none has a known GDP per capita ({result.summary()})")
    return result


def _check_records(records: pd.DataFrame) -> "pd.Series[bool]":
    """Check records and return whether each image was classified correctly."""
    missing = [column for column in ("country", "correct") if column not in records]
    if missing:
        raise ValueError(
            f"records: no column {', '.join(missing)}; there are {', '.join(map(str, records))}"
        )
    if records.empty:
        raise ValueError("records: there are none; give one row per image")
    if "id" in records and records["id"].duplicated().any():
        twice = records["id"][records["id"].duplicated()].unique().tolist()
        raise ValueError(
            f"records: image {checks.few(twice)} comes more than once; "
            "keep one row per image (of one attack, where there are several)"
        )
    check_correct(records["correct"], "records: correct")
    return records["correct"].astype(bool)


def check_correct(correct: "pd.Series[Any]", name: str) -> None:
    """Check that every answer is either right or wrong.

    Parameters
    ----------
    correct
        The answers.
    name
        What they are called, as an error begins.

    Raises
    ------
    ValueError
        If one is something else than true or false.
    """
    strange = correct[~correct.isin([True, False])]
    if len(strange):
        raise ValueError(
            f"{name} must be true or false, got {checks.few(strange.unique().tolist())}; "
            "compare the predicted label with the true one"
        )


# ------------------------------------------------------------------------- the slope and its test


@dataclass(frozen=True)
class Slope:
    """A line through the countries: accuracy = intercept + beta · log GDP per capita.

    ``beta`` is the paper's bias metric, in accuracy (0 to 1) per unit of the natural logarithm of
    GDP; ``standard_error`` is its own. ``f``, ``df`` and ``p`` are the F-test of beta = 0, and
    ``r2`` the share of the weighted variance that the line explains. ``covariance`` names the
    assumption under which all this holds, and ``uncertainty`` is the estimated covariance matrix
    of (intercept, beta).
    """

    beta: float
    standard_error: float
    intercept: float
    f: float
    df: tuple[int, int]
    p: float
    r2: float
    covariance: str
    uncertainty: Array

    @property
    def n_countries(self) -> int:
        """How many countries the line was fitted to."""
        return self.df[1] + 2

    def band(self, log_gdp: ArrayLike, level: float = 0.95) -> pd.DataFrame:
        """Compute the line and its pointwise confidence band.

        Parameters
        ----------
        log_gdp
            Where, as natural logarithms; shape (M,).
        level
            With what probability the mean accuracy at one point lies within, if the assumptions
            hold; between 0 and 1.

        Returns
        -------
        pandas.DataFrame
            M rows of ``log_gdp``, ``accuracy``, ``low`` and ``high``.
        """
        if not 0 < level < 1:
            raise ValueError(f"level: expected a number between 0 and 1, got {level}; e.g. 0.95")
        g = np.asarray(log_gdp, dtype=float)
        points = np.column_stack([np.ones_like(g), g])
        line = points @ [self.intercept, self.beta]
        spread = np.sqrt(np.einsum("ij,jk,ik->i", points, self.uncertainty, points).clip(0))
        half = stats.t.ppf((1 + level) / 2, self.df[1]) * spread
        return pd.DataFrame(
            {"log_gdp": g, "accuracy": line, "low": line - half, "high": line + half}
        )


def slope(countries: pd.DataFrame, *, covariance: str = "1/sqrt(n)") -> Slope:
    """Fit accuracy on log GDP per capita by generalised least squares: Section 4.1.

    The line has an intercept: with 41 countries, that is what gives the F-test of Section 4.3 its
    39 degrees of freedom.

    Parameters
    ----------
    countries
        A row per country with ``n``, ``accuracy`` and ``log_gdp``: ``kept`` of
        :func:`accuracy_by_country`. A country with one image counts like any other.
    covariance
        Diagonal of the assumed covariance Σ of the accuracies, up to a factor that is estimated:
        ``"1/sqrt(n)"`` as in the paper; ``"1/n"``, which a share of n independent images has;
        ``"ols"``, the same for each country.

    Returns
    -------
    Slope
        With the F-test of beta = 0.

    Raises
    ------
    ValueError
        If the covariance is unknown; if there are fewer than three countries, a country twice or
        without images; if a value is not finite or an accuracy not in [0, 1]; if all countries
        have the same income or the same accuracy.
    """
    accuracy, log_gdp, n = check_countries(countries)
    model = sm.GLS(accuracy, sm.add_constant(log_gdp), sigma=_sigma(n, covariance))
    fit = model.fit()
    f = float(f_statistics(accuracy[None], log_gdp, n, covariance=covariance)[0])
    df = (1, len(n) - 2)
    return Slope(
        beta=float(fit.params[1]),
        standard_error=float(fit.bse[1]),
        intercept=float(fit.params[0]),
        f=f,
        df=df,
        p=f_p_value(f, *df),
        r2=float(fit.rsquared),
        covariance=covariance,
        uncertainty=np.asarray(fit.cov_params(), dtype=float),
    )


def f_statistics(
    accuracies: ArrayLike, log_gdp: ArrayLike, n: ArrayLike, *, covariance: str = "1/sqrt(n)"
) -> Array:
    """Compute the F statistic of beta = 0 for many models at once, in closed form.

    With weights w = 1/Σ and all means weighted,
    F = (K − 2) · S_gp² / (S_gg · S_pp − S_gp²), where S_gp = Σ_i w_i (g_i − ḡ)(p_i − p̄).

    Parameters
    ----------
    accuracies
        Shape (R, K): R models, K countries; 0 to 1.
    log_gdp, n
        Shape (K,): natural logarithm of GDP per capita, number of images.
    covariance
        As in :func:`slope`.

    Returns
    -------
    ndarray
        Shape (R,), ≥ 0. It is 0 where all accuracies of a row are equal, infinite where the
        countries lie on a line exactly, and NaN for a row with NaN.
    """
    p = np.atleast_2d(np.asarray(accuracies, dtype=float))
    w = 1 / _sigma(np.asarray(n, dtype=float), covariance)
    w /= w.sum()
    g = np.asarray(log_gdp, dtype=float)
    g = g - w @ g
    p = p - (p @ w)[:, None]
    gg, gp, pp = w @ g**2, p @ (w * g), p**2 @ w
    explained = gp**2 / gg
    rest = pp - explained
    tiny = 1e-12 * pp  # rounding leaves about 1e-16 of it where the fit is perfect
    with np.errstate(divide="ignore", invalid="ignore"):
        f = (g.size - 2) * explained / np.where(rest > tiny, rest, 0.0)
    return cast(Array, np.where(pp <= 1e-24, 0.0, f))


def slopes(
    accuracies: ArrayLike, log_gdp: ArrayLike, n: ArrayLike, *, covariance: str = "1/sqrt(n)"
) -> Array:
    """Compute the slope β of many models at once: :func:`slope` row by row, in closed form.

    Parameters
    ----------
    accuracies, log_gdp, n, covariance
        As in :func:`f_statistics`.

    Returns
    -------
    ndarray
        Shape (R,). A row with NaN, as of a model that diverged, has the slope NaN.
    """
    w = 1 / _sigma(np.asarray(n, dtype=float), covariance)
    g = np.asarray(log_gdp, dtype=float)
    g = g - w @ g / w.sum()
    p = np.atleast_2d(np.asarray(accuracies, dtype=float))
    return cast(Array, p @ (w * g) / (w @ g**2))


def by_model(
    records: pd.DataFrame,
    *,
    gdp: pd.DataFrame | None = None,
    covariance: str = "1/sqrt(n)",
    groups: int = 4,
) -> pd.DataFrame:
    """Compute the slope and the accuracies of many models that were tried on the same images.

    Parameters
    ----------
    records
        A row per model and image: what :func:`humimp.dro.replicates` returns (``replicate``,
        ``id``, ``correct``, ``diverged``), with a column ``country`` added.
    gdp
        As :func:`income` returns it, which is the default.
    covariance
        As in :func:`slope`.
    groups
        Of the countries by income, as in :func:`by_income`.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``replicate``: ``beta``; ``accuracy`` of all images of the countries that are
        kept; ``quarter_1``, the poorest, to ``quarter_4``, the accuracies by income (``group_1``
        and so on for another number of groups). All are NaN for a model that diverged.

    Raises
    ------
    ValueError
        As :func:`accuracy_by_country`, :func:`slope` and :func:`by_income`, but for models that
        are right, or wrong, about as large a share everywhere: their slope is 0. If models were
        tried on different images.
    """
    missing = [c for c in ("replicate", "correct", "country", "diverged") if c not in records]
    if missing:
        raise ValueError(
            f"records: no column {', '.join(missing)}; give what dro.replicates returns, with the "
            "country of each image"
        )
    if "id" in records:
        images = records.groupby("replicate", sort=False)["id"].agg(frozenset).to_dict()
        first = next(iter(images.values()), None)
        others = [replicate for replicate, ids in images.items() if ids != first]
        if others:
            raise ValueError(
                f"records: replicates {checks.few(others)} were tried on other images than the "
                "first; compare models on the same ones"
            )
    word = "quarter" if groups == 4 else "group"
    rows = {}
    for replicate, own in records.groupby("replicate", sort=False):
        kept = accuracy_by_country(own, gdp).kept
        right, log_gdp, n = (kept[column].to_numpy() for column in ("accuracy", "log_gdp", "n"))
        check_countries(kept.assign(accuracy=np.linspace(0, 1, len(n))))
        by = by_income(kept, groups=groups)["accuracy"]
        row = {
            "beta": slopes(right, log_gdp, n, covariance=covariance)[0],
            "accuracy": right @ n / n.sum(),
            **{f"{word}_{group}": value for group, value in by.items()},
        }
        lost = bool(own["diverged"].any())
        rows[replicate] = {key: np.nan if lost else float(value) for key, value in row.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("replicate")


def permutation_p_value(
    countries: pd.DataFrame, *, covariance: str = "1/sqrt(n)", size: int = 9999, seed: int = 0
) -> float:
    """Test beta = 0 without assuming a covariance, by dealing the errors out anew.

    If countries do not matter, every way to deal the images out to them is as likely as the one at
    hand, so the numbers of correct images follow a multivariate hypergeometric distribution.

    Parameters
    ----------
    countries, covariance
        As in :func:`slope`; the covariance now only chooses the statistic, F.
    size
        How many deals to draw.
    seed
        Of the draws.

    Returns
    -------
    float
        (1 + number of drawn F at least as large) / (1 + ``size``): at most α with probability at
        most α if there is no bias, whatever the covariance.

    Raises
    ------
    ValueError
        As :func:`slope`; or if ``n`` or the numbers of correct images are not whole.
    """
    accuracy, log_gdp, n = check_countries(countries)
    checks.count(size, "size", low=1)
    whole, correct = n.astype(int), np.rint(n * accuracy).astype(int)
    if (whole != n).any() or not np.allclose(correct, n * accuracy, atol=1e-6):
        raise ValueError("countries: n and n · accuracy must be whole numbers of images")
    generator = np.random.default_rng(seed)
    drawn = generator.multivariate_hypergeometric(whole, correct.sum(), size, method="marginals")
    f = f_statistics(drawn / n, log_gdp, n, covariance=covariance)
    observed = f_statistics(accuracy, log_gdp, n, covariance=covariance)[0]
    return float((1 + (f >= observed * (1 - 1e-9)).sum()) / (1 + size))


def _sigma(n: Array, covariance: str) -> Array:
    """Return the diagonal of the covariance, up to a factor."""
    checks.choice(covariance, "covariance", COVARIANCES)
    powers = dict(zip(COVARIANCES, (-0.5, -1.0, 0.0), strict=True))
    sigma: Array = n ** powers[covariance]
    return sigma


def check_countries(countries: pd.DataFrame) -> tuple[Array, Array, Array]:
    """Check a table of countries and return accuracy, log GDP and n, each of shape (K,).

    Parameters
    ----------
    countries
        As for :func:`slope`.

    Raises
    ------
    ValueError
        If no slope can be fitted to it, as :func:`slope` says.
    """
    columns = ("accuracy", "log_gdp", "n")
    if not isinstance(countries, pd.DataFrame):
        raise ValueError(
            f"countries: expected a table, got {type(countries).__name__}; give what "
            "accuracy_by_country keeps: .kept"
        )
    missing = [column for column in columns if column not in countries]
    if missing:
        raise ValueError(
            f"countries: no column {', '.join(missing)}; give what accuracy_by_country keeps"
        )
    codes = countries.get("country", pd.Series(range(len(countries))))
    if codes.duplicated().any():
        raise ValueError(f"countries: {checks.few(codes[codes.duplicated()].tolist())} comes twice")
    accuracy, log_gdp, n = (countries[column].to_numpy(dtype=float) for column in columns)
    if not all(np.isfinite(values).all() for values in (accuracy, log_gdp, n)):
        bad = codes[~np.isfinite(accuracy + log_gdp + n)].tolist()
        raise ValueError(
            f"countries: {checks.few(bad)} has a value that is missing or infinite; leave it out"
        )
    if (n < 1).any():
        raise ValueError(
            f"countries: {checks.few(codes[n < 1].tolist())} has no images; leave it out"
        )
    if ((accuracy < 0) | (accuracy > 1)).any():
        raise ValueError(
            f"countries: accuracy must be in [0, 1], got {accuracy.min():g} to {accuracy.max():g}; "
            "divide percent by 100"
        )
    if len(n) < 3:
        raise ValueError(f"countries: a line needs at least three, got {len(n)}; add images")
    if np.ptp(log_gdp) < 1e-9:
        raise ValueError(
            "countries: all have the same GDP per capita, so no slope can be fitted; "
            "take countries of different incomes"
        )
    if np.ptp(accuracy) < 1e-12:
        raise ValueError(
            f"countries: all have accuracy {accuracy[0]:g}, so there is nothing to test; "
            "take more images or a harder task"
        )
    return accuracy, log_gdp, n


# --------------------------------------------------------------- slopes of many models, compared

#: The t-tests of Section 4.3: the reading that fits what the paper prints (49 degrees of freedom
#: for 50 models a side), the one that its words suggest, and that without equal variances.
T_TESTS = ("paired", "unpaired", "Welch")


def t_tests(ours: ArrayLike, other: ArrayLike, *, level: float = 0.95) -> pd.DataFrame:
    """Test whether one training leaves smaller slopes than another: Section 4.3.

    H₀: mean of ``ours`` ≥ mean of ``other``, against H₁: mean of ``ours`` < mean of ``other``. A
    positive t speaks for H₁, as in the paper.

    Parameters
    ----------
    ours, other
        Shape (R,): slopes of models trained in two ways, the models of one place being a pair, as
        those of one random seed. NaN marks a model that diverged.
    level
        Of the confidence intervals, between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``test`` (:data:`T_TESTS`), with the columns

        - ``pairs``: how many entered. All three tests use the same models;
        - ``excluded``: how many pairs were left out because a model of them diverged;
        - ``difference``: mean of ``other`` minus mean of ``ours``, with its two-sided confidence
          interval, ``low`` and ``high``;
        - ``effect``: the difference in standard deviations: of the differences within pairs for
          the paired test (Cohen's d_z), of the slopes, pooled, for the two others (Cohen's d);
        - ``t``, ``df`` and the one-sided ``p``.

    Raises
    ------
    ValueError
        If the two have different lengths, a slope is infinite, fewer than two whole pairs are
        left, or all differences are equal.
    """
    a, b = _check_slopes(ours, other, level)
    excluded = int(np.isnan(a + b).sum())
    a, b = a[~np.isnan(a + b)], b[~np.isnan(a + b)]
    pairs = len(a)
    if pairs < 2:
        raise ValueError(
            f"slopes: a t-test needs two pairs or more, got {pairs} ({excluded} left out because a "
            "model diverged); train more models"
        )
    if np.ptp(b - a) <= 1e-12 * max(np.abs(a).max(), np.abs(b).max()):
        raise ValueError(
            f"slopes: all {pairs} differences are {b[0] - a[0]:g}, so that there is no scatter to "
            "compare them with; look whether the models were trained with different seeds"
        )
    results = {
        "paired": stats.ttest_rel(b, a),
        "unpaired": stats.ttest_ind(b, a),
        "Welch": stats.ttest_ind(b, a, equal_var=False),
    }
    rows = []
    for test in T_TESTS:
        t, df = float(results[test].statistic), float(results[test].df)
        low, high = results[test].confidence_interval(level)
        effect = t * np.sqrt((1 if test == "paired" else 2) / pairs)
        row = (pairs, excluded, b.mean() - a.mean(), low, high, effect, t, df, t_p_value(t, df))
        rows.append(row)
    columns = ["pairs", "excluded", "difference", "low", "high", "effect", "t", "df", "p"]
    return pd.DataFrame(rows, index=pd.Index(T_TESTS, name="test"), columns=columns)


def compare(betas: pd.DataFrame, ours: str, *, level: float = 0.95) -> pd.DataFrame:
    """Test one training against each of several others, with Holm's correction.

    Parameters
    ----------
    betas
        A column per training with the slopes of its models, a row per seed.
    ours
        Name of the column that is said to have the smaller slopes.
    level
        Of the confidence intervals.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``other`` and ``test``; the columns of :func:`t_tests` and ``holm``: p corrected
        for testing against all the others, with each kind of test by itself (Holm, 1979).

    Raises
    ------
    ValueError
        As :func:`t_tests`; if there is no such column, or none to compare it with.
    """
    others = [name for name in betas if name != ours]
    if ours not in betas or not others:
        raise ValueError(
            f"betas: expected a column {ours!r} and others, got {', '.join(map(str, betas)) or 0}"
        )
    tables = {name: t_tests(betas[ours], betas[name], level=level) for name in others}
    table = pd.concat(tables, names=["other"])
    return table.assign(holm=table.groupby("test")["p"].transform(holm))


def holm(p: ArrayLike) -> Array:
    """Correct probabilities for multiple testing by Holm's method.

    Parameters
    ----------
    p
        Shape (M,): the probabilities of M tests.

    Returns
    -------
    ndarray
        Shape (M,), each at least as large: those below α belong to the hypotheses that can be
        rejected with a probability of at most α for one wrong rejection or more.
    """
    return cast(Array, multipletests(np.asarray(p, dtype=float), method="holm")[1])


def _check_slopes(ours: ArrayLike, other: ArrayLike, level: float) -> tuple[Array, Array]:
    """Check two series of slopes and return them as arrays."""
    a, b = (np.asarray(values, dtype=float) for values in (ours, other))
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(
            f"slopes: expected two series of one length, got shapes {a.shape} and {b.shape}; "
            "give NaN for a model that is missing"
        )
    if np.isinf(a).any() or np.isinf(b).any():
        raise ValueError("slopes: one is infinite; give NaN for a model that diverged")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}; e.g. 0.95")
    return a, b


# ------------------------------------------------------------------------- probabilities of tests


def f_p_value(f: float, df1: int, df2: int) -> float:
    """Return P(F > ``f``) with ``df1`` and ``df2`` degrees of freedom."""
    return float(stats.f.sf(f, df1, df2))


def t_p_value(t: float, df: float, *, sides: int = 1) -> float:
    """Return P(T > ``t``) with ``df`` degrees of freedom; with ``sides=2``, P(|T| > |t|)."""
    if sides not in (1, 2):
        raise ValueError(f"sides: a test has 1 or 2, got {sides}")
    return float(stats.t.sf(t, df) if sides == 1 else 2 * stats.t.sf(abs(t), df))


def fitting_df(
    t: float,
    p: float,
    *,
    sides: int = 1,
    digits: tuple[int, int] = (2, 5),
    among: Iterable[int] = range(1, 201),
) -> list[int]:
    """Find the degrees of freedom with which a printed t > 0 and a printed p agree.

    Both are taken as rounded: t to ``digits[0]`` decimals, p to ``digits[1]``. They agree if some
    number that rounds to the printed t has a probability that rounds to the printed p.

    Parameters
    ----------
    t, p
        As printed.
    sides
        1 or 2, as in :func:`t_p_value`.
    digits
        Decimals printed of each.
    among
        Degrees of freedom to try.

    Returns
    -------
    list of int
        Those that agree, in the order tried; maybe none.
    """
    dt, dp = (0.5 * 10.0**-count for count in digits)
    return [
        df
        for df in among
        if t_p_value(t + dt, df, sides=sides) <= p + dp
        and t_p_value(t - dt, df, sides=sides) >= p - dp
    ]


def _count(number: Any, noun: str) -> str:
    """Return a number with its noun."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
