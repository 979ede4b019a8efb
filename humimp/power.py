"""How often the tests of `humimp.fairness` reject: their level, and their power.

:func:`rejection_rates` deals images out to countries at random, so that there is no bias to find;
:func:`f_power` and :func:`t_power` plant a bias, or a difference between slopes, of known size.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from humimp import checks, fairness, paper
from humimp.fairness import COVARIANCES, f_statistics, slopes, t_tests
from humimp.simulation import deal


def rejection_rates(
    correct: ArrayLike,
    countries: pd.DataFrame,
    *,
    size: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Count how often the F-test finds a bias where there is none, over simulated geographies.

    The classifier's answers stay the same; only which country each image belongs to changes. The
    test has the level 5 %, so it should reject in 5 % of the cases.

    Parameters
    ----------
    correct
        Shape (N,): whether the classifier is right about each image.
    countries
        As in `humimp.simulation.assign`, with ``log_gdp``.
    size
        How many geographies to deal out.
    seed
        Of the deals.

    Returns
    -------
    pandas.DataFrame
        Indexed by covariance (`humimp.fairness.COVARIANCES`): ``rate``, the share rejected;
        ``error``, the standard error of ``rate`` as an estimate from ``size`` draws; ``beta`` and
        ``spread``, the mean and the standard deviation of the slopes.

    Raises
    ------
    ValueError
        If the numbers of images differ, ``correct`` holds something else than true and false,
        there are fewer than three countries, or they all have the same income.
    """
    right = np.asarray(correct)
    if right.shape != (countries["n"].sum(),):
        raise ValueError(
            f"countries: n adds up to {countries['n'].sum()}, but correct has the shape "
            f"{right.shape}; use humimp.simulation.simulated_countries(total=<number of images>)"
        )
    fairness.check_correct(pd.Series(right), "correct")
    right = right.astype(float)
    _, g, n = fairness.check_countries(countries.assign(accuracy=np.linspace(0, 1, len(countries))))
    checks.count(size, "size", low=1)
    generator = np.random.default_rng(seed)
    accuracies = np.empty((size, len(n)))
    for row in accuracies:
        order = deal(countries, generator)
        row[:] = np.bincount(order, right, len(n)) / n
    critical = stats.f.isf(paper.SIGNIFICANCE, 1, len(n) - 2)
    rows = {}
    for covariance in COVARIANCES:
        rejected = f_statistics(accuracies, g, n, covariance=covariance) > critical
        betas = slopes(accuracies, g, n, covariance=covariance)
        rows[covariance] = (*_rate(rejected), betas.mean(), betas.std())
    columns = ["rate", "error", "beta", "spread"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis("covariance")


def f_power(
    countries: pd.DataFrame,
    betas: ArrayLike,
    *,
    accuracy: float,
    size: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Count how often the F-test, at the level 5 %, finds a bias of known size.

    Country i has the accuracy p_i = ``accuracy`` + β (g_i − ḡ), where ḡ is the mean of log GDP over
    all images, and its number of correct images is drawn from the binomial distribution with n_i
    and p_i.

    Parameters
    ----------
    countries
        With ``n`` and ``log_gdp``, as from `humimp.simulation.simulated_countries`.
    betas
        Shape (B,): the true slopes to try, in accuracy per unit of log GDP; 0 gives the level.
    accuracy
        Of all images together; between 0 and 1.
    size
        How many times to draw for each slope.
    seed
        Of the draws.

    Returns
    -------
    pandas.DataFrame
        A row per slope and covariance (`humimp.fairness.COVARIANCES`): ``beta``, ``covariance``,
        ``rate``, the share rejected, and ``error``, its standard error as an estimate from ``size``
        draws.

    Raises
    ------
    ValueError
        If ``accuracy`` is not in [0, 1]; if a country's would leave [0, 1], naming the first slope
        with which it does, and up to where all slopes fit, rising or falling; if there are fewer
        than three countries, or they all have the same income.
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(
            f"accuracy: expected a number between 0 and 1, got {accuracy:g}; divide percent by 100"
        )
    _, g, n = fairness.check_countries(countries.assign(accuracy=np.linspace(0, 1, len(countries))))
    checks.count(size, "size", low=1)
    away = g - n @ g / n.sum()
    tried = np.atleast_1d(np.asarray(betas, dtype=float))
    truth = accuracy + tried[:, None] * away
    fits = ((truth >= 0) & (truth <= 1)).all(1)
    if not fits.all():
        most = min(accuracy, 1 - accuracy) / np.abs(away).max()
        raise ValueError(
            f"betas: with {tried[~fits][0]:g} a country's accuracy leaves [0, 1]; at a mean "
            f"accuracy of {accuracy:g} every slope up to {most:.3g} is possible, of either sign"
        )
    critical = stats.f.isf(paper.SIGNIFICANCE, 1, len(n) - 2)
    generator = np.random.default_rng(seed)
    rows = []
    for beta, p in zip(tried, truth, strict=True):
        drawn = generator.binomial(n.astype(int), p, size=(size, len(n))) / n
        for covariance in COVARIANCES:
            f = f_statistics(drawn, g, n, covariance=covariance)
            rows.append((beta, covariance, *_rate(f > critical)))
    return pd.DataFrame(rows, columns=["beta", "covariance", "rate", "error"])


def t_power(
    ours: ArrayLike,
    other: ArrayLike,
    differences: ArrayLike,
    *,
    size: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Count how often the t-tests find a difference of known size, given how the slopes scatter.

    The tests are one-sided, at the level 5 %. Both series are shifted to the same mean, as many
    pairs as there are get drawn from them with replacement, and the difference is added to
    ``other``. So the tests are tried on slopes that scatter, and hang together within pairs, as the
    observed ones do, and not as a normal distribution says. A draw without scatter, as of one pair
    over and over, rejects nothing.

    Parameters
    ----------
    ours, other
        As in `humimp.fairness.t_tests`. Pairs with NaN are left out.
    differences
        Shape (D,): the true differences to try, mean of ``other`` minus mean of ``ours``; 0 gives
        the level.
    size
        How many times to draw; the draws are the same for each difference.
    seed
        Of the draws.

    Returns
    -------
    pandas.DataFrame
        A row per difference and test (`humimp.fairness.T_TESTS`): ``difference``, ``test``,
        ``rate``, the share rejected, and ``error``, its standard error as an estimate from ``size``
        draws.

    Raises
    ------
    ValueError
        As `humimp.fairness.t_tests`.
    """
    t_tests(ours, other)  # checks them
    checks.count(size, "size", low=1)
    pairs = np.column_stack([np.asarray(ours, dtype=float), np.asarray(other, dtype=float)])
    pairs = pairs[~np.isnan(pairs).any(1)]
    count = len(pairs)
    chosen = np.random.default_rng(seed).integers(count, size=(size, count))
    a, b = np.moveaxis((pairs - pairs.mean(0))[chosen], -1, 0)
    tiny = 1e-12 * np.abs(pairs).max()  # rounding leaves about 1e-16 of it without scatter
    mean, within = (b - a).mean(1), (b - a).var(1, ddof=1) / count
    va, vb = a.var(1, ddof=1) / count, b.var(1, ddof=1) / count
    with np.errstate(invalid="ignore"):
        welch = (va + vb) ** 2 * (count - 1) / (va**2 + vb**2)  # 0/0 where a draw has no scatter
    laws = {
        "paired": (within, np.full(size, count - 1.0)),
        "unpaired": (va + vb, np.full(size, 2.0 * count - 2)),
        "Welch": (va + vb, welch),
    }
    rows = []
    for difference in np.atleast_1d(np.asarray(differences, dtype=float)):
        for test, (variance, df) in laws.items():
            critical = stats.t.isf(paper.SIGNIFICANCE, df) * np.sqrt(variance)
            found = (np.sqrt(variance * count) > tiny) & (mean + difference > critical)
            rows.append((difference, test, *_rate(found)))
    return pd.DataFrame(rows, columns=["difference", "test", "rate", "error"])


def _rate(rejected: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the share rejected and its standard error."""
    rate = float(rejected.mean())
    return rate, float(np.sqrt(rate * (1 - rate) / len(rejected)))
