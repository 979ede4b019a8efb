"""How often the tests reject, against each test done alone and the noncentral laws."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from humimp import fairness, power, simulation


def test_without_bias_the_f_test_rejects_in_about_five_percent() -> None:
    frame = simulation.simulated_countries(1000)
    right = np.random.default_rng(0).uniform(size=1000) < 0.85
    table = power.rejection_rates(right, frame, size=4000, seed=1)
    assert table.index.tolist() == list(fairness.COVARIANCES)
    # Four standard errors of the simulation, and what the paper's covariance misses by:
    # it has the power of n wrong.
    assert table["rate"].to_numpy() == pytest.approx(0.05, abs=4 * 0.0034 + 0.006)
    assert (table["beta"].abs() < 4 * table["spread"] / np.sqrt(4000)).all()
    assert (table["spread"].idxmin()) == "1/n"  # Gauss and Markov


@pytest.mark.parametrize("covariance", fairness.COVARIANCES)
def test_rejection_rates_are_those_of_slope_on_each_deal(covariance: str) -> None:
    frame = simulation.simulated_countries(400)
    right = np.random.default_rng(5).normal(size=400) < 1
    verdicts = []
    for seed in range(150):
        one = power.rejection_rates(right, frame, size=1, seed=seed)
        dealt = simulation.assign(frame, seed=seed)
        records = pd.DataFrame({"country": dealt, "correct": right})
        fit = fairness.slope(fairness.accuracy_by_country(records).kept, covariance=covariance)
        assert one.loc[covariance, "beta"] == pytest.approx(fit.beta)
        assert one.loc[covariance, "rate"] == (fit.p < 0.05)
        verdicts.append((fit.p > 0.01) + (fit.p > 0.025) + (fit.p > 0.05))
    assert len(set(verdicts)) > 2  # both verdicts occur, and close ones


def test_rejection_rates_refuse() -> None:
    frame = simulation.simulated_countries(300)
    with pytest.raises(ValueError, match=r"n adds up to 300, but correct has the shape \(2,\)"):
        power.rejection_rates([True, False], frame)
    for strange, named in ((np.full(300, np.nan), "nan"), (np.linspace(0, 1, 300), "0.003")):
        with pytest.raises(ValueError, match=f"correct must be true or false, got {named}.*; comp"):
            power.rejection_rates(strange, frame)
    with pytest.raises(ValueError, match="size: expected a whole number ≥ 1, got 0"):
        power.rejection_rates(np.ones(300), frame, size=0)


def test_f_power_is_the_share_of_rejections_by_slope() -> None:
    frame = simulation.simulated_countries(600)
    table = power.f_power(frame, [0, 0.03], accuracy=0.8, size=60, seed=6)
    assert table["beta"].tolist() == [0] * 3 + [0.03] * 3
    assert table["covariance"].tolist() == [*fairness.COVARIANCES] * 2
    generator = np.random.default_rng(6)
    n, g = frame["n"].to_numpy(), frame["log_gdp"].to_numpy()
    for beta, rows in table.groupby("beta"):
        p = 0.8 + beta * (g - np.average(g, weights=n))
        drawn = generator.binomial(n, p, size=(60, 41)) / n
        for covariance, rate, error in zip(rows.covariance, rows.rate, rows.error, strict=True):
            tests = [
                fairness.slope(frame.assign(accuracy=row), covariance=covariance).p for row in drawn
            ]
            assert rate == np.mean(np.array(tests) < 0.05)
            assert error == pytest.approx(np.sqrt(rate * (1 - rate) / 60))


def test_f_power_agrees_with_the_noncentral_f_where_the_covariance_is_right() -> None:
    frame = simulation.simulated_countries(50_000)
    n, g = frame["n"].to_numpy(), frame["log_gdp"].to_numpy()
    spread = n @ (g - np.average(g, weights=n)) ** 2
    betas = np.array([0, 0.002, 0.004])
    table = power.f_power(frame, betas, accuracy=0.8, size=4000)
    law = stats.ncf(1, 39, betas[1:] ** 2 * spread / (0.8 * 0.2))  # every p(1 - p) is about 0.16
    expected = [0.05, *law.sf(stats.f.isf(0.05, 1, 39))]
    rates = table.loc[table["covariance"] == "1/n", "rate"]
    assert 0.1 < expected[1] < 0.3 < expected[2] < 0.9
    assert rates.to_numpy() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 4000))


@pytest.mark.parametrize("accuracy", [0, 1])
def test_who_is_always_right_or_always_wrong_is_never_found_biased(accuracy: float) -> None:
    frame = simulation.simulated_countries(300)
    assert (power.f_power(frame, [0], accuracy=accuracy, size=9)["rate"] == 0).all()


@pytest.mark.parametrize("accuracy", [0.1, 0.9])
def test_the_slope_that_f_power_calls_possible_is_the_largest_of_either_sign(
    accuracy: float,
) -> None:
    frame = simulation.simulated_countries(300)
    with pytest.raises(ValueError, match="every slope up to") as error:
        power.f_power(frame, [1], accuracy=accuracy)
    (most,) = re.findall(r"every slope up to (\S+) is possible", str(error.value))
    power.f_power(frame, [0.99 * float(most), -0.99 * float(most)], accuracy=accuracy, size=1)
    with pytest.raises(ValueError, match="leaves"):
        power.f_power(frame, [1.01 * float(most), -1.01 * float(most)], accuracy=accuracy)


def test_f_power_refuses() -> None:
    frame = simulation.simulated_countries(300)
    with pytest.raises(ValueError, match=r"with -0.5 a country's .* every slope up to 0.0\d+ is"):
        power.f_power(frame, [0, -0.5, 0.1], accuracy=0.9)
    # The poorest country is further from the mean than the richest.
    power.f_power(frame, [0.04], accuracy=0.9, size=1)
    with pytest.raises(ValueError, match=r"with -0.035 a .* up to 0.0\d+ is possible, of either"):
        power.f_power(frame, [0.04, -0.035], accuracy=0.9)
    with pytest.raises(ValueError, match="size: expected a whole number ≥ 1, got 0"):
        power.f_power(frame, [0], accuracy=0.9, size=0)
    with pytest.raises(ValueError, match="a line needs at least three, got 2"):
        power.f_power(frame[:2], [0], accuracy=0.9)
    with pytest.raises(ValueError, match="accuracy: expected a number between 0 and 1, got 95; di"):
        power.f_power(frame, [0], accuracy=95)


def test_t_power_is_that_of_the_t_tests_on_resampled_pairs() -> None:
    generator = np.random.default_rng(5)
    ours = generator.normal(0.02, 0.004, 12)
    other = ours + generator.standard_t(3, 12) * 0.004
    other[3] = np.nan
    table = power.t_power(ours, other, [0, 0.003], size=40, seed=2)
    keep = np.arange(12) != 3
    a, b = ours[keep] - ours[keep].mean(), other[keep] - other[keep].mean()
    chosen = np.random.default_rng(2).integers(11, size=(40, 11))
    for difference, rows in table.groupby("difference"):
        tests = [fairness.t_tests(a[c], b[c] + difference)["p"] < 0.05 for c in chosen]
        assert rows["test"].tolist() == list(fairness.T_TESTS)
        assert rows["rate"].to_numpy() == pytest.approx(np.mean(tests, axis=0))


def test_t_power_agrees_with_the_noncentral_t_on_normal_slopes() -> None:
    quantiles = stats.norm.ppf((np.arange(7) + 0.5) / 7) * 0.004
    a, b = np.repeat(quantiles, 7), np.tile(quantiles, 7)  # each with each: uncorrelated
    table = power.t_power(a, b, [0, 0.0015], size=20_000)
    rates = table.set_index(["test", "difference"])["rate"]
    spreads = {"paired": (b - a).std(), "unpaired": np.sqrt(2) * quantiles.std()}
    for test, df in (("paired", 48), ("unpaired", 96)):
        shift = 0.0015 / (spreads[test] / np.sqrt(49))
        assert rates[test, 0] == pytest.approx(0.05, abs=0.01)
        assert rates[test, 0.0015] == pytest.approx(
            stats.nct.sf(stats.t.isf(0.05, df), df, shift), abs=0.02
        )


def test_t_power_has_the_degrees_of_freedom_of_few_pairs() -> None:
    ours, other = np.array([-3.0, 1, 4, -2]), np.array([2.0, -5, 6, -3])
    table = power.t_power(ours, other, [0, 4], size=3000, seed=1)
    chosen = np.random.default_rng(1).integers(4, size=(3000, 4))
    chosen = chosen[np.ptp(chosen, axis=1) > 0]  # without scatter there is no rejection
    for difference, rows in table.groupby("difference"):
        b, a = other[chosen] + difference, ours[chosen]
        tests = [
            stats.ttest_rel(b, a, axis=1, alternative="greater"),
            stats.ttest_ind(b, a, axis=1, alternative="greater"),
            stats.ttest_ind(b, a, axis=1, alternative="greater", equal_var=False),
        ]
        expected = [(test.pvalue < 0.05).sum() / 3000 for test in tests]
        assert rows["rate"].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("count", [3, 5])
def test_a_scatter_that_is_only_rounding_is_none(count: int) -> None:
    """The mean of three equal numbers, for example, is not always that number."""
    generator = np.random.default_rng(4)
    ours, other = generator.normal(0.02, 0.01, (2, count))
    table = power.t_power(ours, other, [1000], size=5000)
    chosen = np.random.default_rng(0).integers(count, size=(5000, count))
    scatters = np.ptp(chosen, axis=1) > 0
    assert not scatters.all()
    assert table["rate"].tolist() == [pytest.approx(scatters.mean(), abs=1e-12)] * 3


def test_a_draw_without_scatter_is_no_rejection() -> None:
    table = power.t_power([0.1, 0.2], [0.3, 0.1], [0, 5], size=400)
    rates = table.set_index(["test", "difference"])["rate"]
    # Two pairs drawn from two are the same one in half of the cases.
    assert rates["paired", 5] == pytest.approx(0.5, abs=0.1)
    assert rates["unpaired", 5] == pytest.approx(0.5, abs=0.1)
