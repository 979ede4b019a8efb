"""The statistics against closed forms and SciPy."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from humimp import fairness, paper, power, simulation


def countries(accuracy, log_gdp, n) -> pd.DataFrame:
    codes = [f"C{i:02d}" for i in range(len(accuracy))]
    return pd.DataFrame({"country": codes, "accuracy": accuracy, "log_gdp": log_gdp, "n": n})


def example(seed: int = 0, k: int = 41) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    n = generator.integers(1, 900, k)
    correct = generator.binomial(n, 0.8)
    correct[0] = n[0] // 2
    return countries(correct / n, generator.uniform(6, 12, k), n)


# ------------------------------------------------------------------------------ income


def test_shipped_income_has_every_country_once_with_year_and_source() -> None:
    table = fairness.income()
    assert len(table) == 217
    assert table.index.str.fullmatch("[A-Z]{3}").all()
    known = table["gdp"].notna()
    assert known.sum() == 180
    assert (table["year"].notna() == known).all()
    assert set(table["source"][known]) == {"World Bank", "Natural Earth"}
    assert table["gdp"][known].between(200, 200_000).all()


def test_shipped_income_is_the_right_way_round() -> None:
    gdp = fairness.income()["gdp"]
    assert gdp["USA"] == pytest.approx(63_544, abs=1)  # World Bank, 2020, as of 2021
    assert gdp["BDI"] == gdp.min()
    assert gdp["LUX"] == gdp.max()


def test_income_reads_another_table(tmp_path: Path) -> None:
    file = tmp_path / "gdp.csv"
    file.write_text("country,name,gdp\nNAM,Namibia,4211.5\nTWN,Taiwan,\n")
    table = fairness.income(file)
    assert table.loc["NAM"].tolist() == ["Namibia", 4211.5]
    assert np.isnan(table.loc["TWN", "gdp"])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("country,gdp\nUSA,1\n", "no column name; the first line names them"),
        ("country,name,gdp\nUSA,a,1\nUSA,a,2\n", "USA given more than once; keep one line"),
        ("country,name,gdp\nUSA,a,0\n", "USA is not a positive number; give US"),
        ('country,name,gdp\nUSA,a,"63,5"\nGBR,b,1\n', "USA is not a positive number"),
    ],
)
def test_income_refuses_a_broken_table(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "gdp.csv").write_text(text)
    with pytest.raises(ValueError, match=error):
        fairness.income(tmp_path / "gdp.csv")


# ------------------------------------------------------------------------------ accuracy by country


def records(**groups: tuple[int, int]) -> pd.DataFrame:
    """Make records from the numbers of correct and of wrong images by country."""
    rows = [
        (country if country != "none" else None, correct)
        for country, (right, wrong) in groups.items()
        for correct in [True] * right + [False] * wrong
    ]
    frame = pd.DataFrame(rows, columns=["country", "correct"])
    return frame.assign(id=[f"{i:05d}" for i in range(len(frame))])


def test_accuracy_by_country_counts_images_and_joins_income() -> None:
    result = fairness.accuracy_by_country(records(FRA=(3, 1), USA=(5, 5), NPL=(0, 1)))
    assert result.kept["country"].tolist() == ["USA", "FRA", "NPL"]
    assert result.kept["n"].tolist() == [10, 4, 1]
    assert result.kept["accuracy"].tolist() == [0.5, 0.75, 0.0]
    gdp = fairness.income()["gdp"]
    assert np.exp(result.kept["log_gdp"]).to_numpy() == pytest.approx(gdp[["USA", "FRA", "NPL"]])
    assert result.excluded.empty
    assert result.summary() == (
        "3 countries with 15 images, of which 1 country with a single image. Left out: nothing."
    )


def test_what_cannot_be_used_is_left_out_and_reported() -> None:
    frame = records(USA=(5, 5), CUB=(2, 1), TWN=(1, 0), usa=(1, 1), none=(3, 0))
    result = fairness.accuracy_by_country(frame.sample(frac=1, random_state=0))
    assert result.kept["country"].tolist() == ["USA"]
    assert [*result.kept] == ["country", "name", "n", "accuracy", "gdp", "log_gdp"]
    assert [*result.excluded] == ["country", "n", "reason"]
    left = result.excluded.set_index("country")
    assert left["n"].to_dict() == {"CUB": 3, "": 3, "usa": 2, "TWN": 1}
    assert left["reason"]["CUB"] == "no GDP per capita known"
    assert left["reason"]["TWN"].startswith("code not in the table")
    assert left["reason"]["usa"].startswith("code not in the table")
    assert left["reason"][""] == "no country given"
    assert result.kept["n"].sum() + result.excluded["n"].sum() == len(frame)
    assert "3 images of CUB (no GDP per capita known)" in result.summary()
    assert "3 images (no country given)" in result.summary()
    assert "3 images of usa, TWN (code not in the table" in result.summary()


def test_countries_may_be_categories_and_some_missing() -> None:
    frame = records(USA=(5, 5), FRA=(3, 1), none=(2, 0))
    expected = fairness.accuracy_by_country(frame)
    result = fairness.accuracy_by_country(frame.astype({"country": "category"}))
    pd.testing.assert_frame_equal(result.kept, expected.kept)
    pd.testing.assert_frame_equal(result.excluded, expected.excluded)
    assert result.excluded["n"].tolist() == [2]


def test_codes_that_are_numbers_are_reported_and_not_lost() -> None:
    frame = records(USA=(5, 5), FRA=(3, 1)).replace({"country": {"FRA": 250}})
    result = fairness.accuracy_by_country(frame)
    assert result.kept["n"].tolist() == [10]
    assert result.excluded[["country", "n"]].to_numpy().tolist() == [["250", 4]]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (records(USA=(1, 1)).drop(columns="country"), "no column country; there are correct, id"),
        (records(), "there are none; give one row per image"),
        (records(USA=(1, 1)).assign(id="a"), "image a comes more than once; keep one row"),
        (records(USA=(1, 1)).assign(correct=[0.5, np.nan]), r"true or false, got 0.5, nan"),
        (records(XXX=(1, 1)), r"none has a known GDP per capita \(0 countries .* 2 images of XXX"),
    ],
)
def test_accuracy_by_country_refuses(frame: pd.DataFrame, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        fairness.accuracy_by_country(frame)


# ------------------------------------------------------------------------------ accuracy by income


def test_by_income_pools_the_images_of_each_quarter() -> None:
    generator = np.random.default_rng(0)
    frame = simulation.simulated_countries(3000)
    images = frame.loc[frame.index.repeat(frame["n"]), ["country", "gdp"]]
    images = images.assign(correct=generator.uniform(size=3000) < 0.7)
    table = fairness.by_income(fairness.accuracy_by_country(images).kept)
    assert table["countries"].tolist() == [11, 10, 10, 10]
    assert table["n"].sum() == 3000
    edges = [0, *table["high"]]
    for group, low, high in zip((1, 2, 3, 4), edges[:-1], edges[1:], strict=True):
        pooled = images.loc[(images["gdp"] > low) & (images["gdp"] <= high), "correct"]
        assert table.loc[group, "n"] == len(pooled)
        assert table.loc[group, "accuracy"] == pytest.approx(pooled.mean())
    assert (table["low"].to_numpy()[1:] > table["high"].to_numpy()[:-1]).all()


@pytest.mark.parametrize(
    ("k", "sizes"),
    [
        (6, [2, 2, 1, 1]),
        (39, [10, 10, 10, 9]),
        (40, [10] * 4),
        (41, [11, 10, 10, 10]),
        (42, [11, 11, 10, 10]),
    ],
)
def test_countries_left_over_go_to_the_poorest_groups(k: int, sizes: list[int]) -> None:
    frame = countries([0.5] * k, np.linspace(6, 12, k), np.arange(1, k + 1))
    table = fairness.by_income(frame.assign(gdp=np.exp(frame["log_gdp"])))
    assert table.index.tolist() == [1, 2, 3, 4]
    assert table["countries"].tolist() == sizes


def test_by_income_takes_other_numbers_of_groups_and_refuses_empty_ones() -> None:
    frame = countries([0.5, 0.25, 1.0, 0.0, 0.5], [1, 2, 3, 4, 5], [2, 4, 1, 1, 2])
    frame = frame.assign(gdp=np.exp(frame["log_gdp"])).sample(frac=1, random_state=0)
    assert fairness.by_income(frame, groups=1)["accuracy"].tolist() == [pytest.approx(0.4)]
    halves = fairness.by_income(frame, groups=2)
    assert halves["countries"].tolist() == [3, 2]
    assert halves["accuracy"].tolist() == pytest.approx([3 / 7, 1 / 3])
    assert fairness.by_income(frame, groups=5)["n"].tolist() == [2, 4, 1, 1, 2]
    with pytest.raises(ValueError, match="6 groups need as many countries at least, got 5; make"):
        fairness.by_income(frame, groups=6)
    with pytest.raises(ValueError, match="one has no images; leave it out"):
        fairness.by_income(frame.assign(n=[1, 1, 0, 1, 1]))
    with pytest.raises(ValueError, match="groups: expected a whole number ≥ 1, got 0"):
        fairness.by_income(frame, groups=0)


# ------------------------------------------------------------------------------ slope and F-test


def sigma(n: np.ndarray, covariance: str) -> np.ndarray:
    return np.diag({"1/sqrt(n)": 1 / np.sqrt(n), "1/n": 1 / n, "ols": np.ones(len(n))}[covariance])


@pytest.mark.parametrize("covariance", fairness.COVARIANCES)
def test_slope_is_the_textbook_gls(covariance: str) -> None:
    frame = example()
    x = np.column_stack([np.ones(41), frame["log_gdp"]])
    y = frame["accuracy"].to_numpy()
    inverse = np.linalg.inv(sigma(frame["n"].to_numpy(), covariance))
    bread = np.linalg.inv(x.T @ inverse @ x)
    beta = bread @ x.T @ inverse @ y
    rest = y - x @ beta
    scale = rest @ inverse @ rest / 39
    fit = fairness.slope(frame, covariance=covariance)
    assert [fit.intercept, fit.beta] == pytest.approx(beta)
    assert fit.uncertainty == pytest.approx(scale * bread)
    assert fit.standard_error == pytest.approx(np.sqrt(scale * bread[1, 1]))
    mean = np.ones(41) @ inverse @ y / inverse.sum()
    assert fit.r2 == pytest.approx(1 - 39 * scale / ((y - mean) @ inverse @ (y - mean)))
    assert fit.df == (1, 39)
    assert fit.n_countries == 41


@pytest.mark.parametrize(("covariance", "root"), [("1/sqrt(n)", 0.25), ("1/n", 0.5), ("ols", 0)])
def test_slope_is_weighted_least_squares(covariance: str, root: float) -> None:
    frame = example(1)
    # np.polyfit multiplies residuals, not their squares, by the weights.
    expected = np.polyfit(frame["log_gdp"], frame["accuracy"], 1, w=frame["n"] ** root)
    fit = fairness.slope(frame, covariance=covariance)
    assert [fit.beta, fit.intercept] == pytest.approx(expected)


def test_the_papers_covariance_is_the_default() -> None:
    frame = example(2)
    assert fairness.slope(frame).beta == fairness.slope(frame, covariance="1/sqrt(n)").beta


@pytest.mark.parametrize("covariance", fairness.COVARIANCES)
def test_f_is_t_squared_and_p_is_scipys(covariance: str) -> None:
    fit = fairness.slope(example(3), covariance=covariance)
    t = fit.beta / fit.standard_error
    assert fit.f == pytest.approx(t**2)
    assert fit.p == pytest.approx(2 * stats.t.sf(abs(t), 39))
    assert fit.p == pytest.approx(1 - stats.f.cdf(fit.f, 1, 39))


def test_ols_is_scipys_linregress() -> None:
    frame = example(4, k=7)
    expected = stats.linregress(frame["log_gdp"], frame["accuracy"])
    fit = fairness.slope(frame, covariance="ols")
    assert fit.beta == pytest.approx(expected.slope)
    assert fit.p == pytest.approx(expected.pvalue)
    assert fit.r2 == pytest.approx(expected.rvalue**2)


@given(
    seed=st.integers(0, 10**6),
    k=st.integers(3, 50),
    factor=st.floats(1e-3, 1e3),
    covariance=st.sampled_from(fairness.COVARIANCES),
)
@settings(max_examples=40, deadline=None)
def test_order_of_countries_and_unit_of_money_do_not_matter(
    seed: int, k: int, factor: float, covariance: str
) -> None:
    frame = example(seed, k)
    if np.ptp(frame["accuracy"]) == 0:
        return
    fit = fairness.slope(frame, covariance=covariance)
    shuffled = fairness.slope(frame.sample(frac=1, random_state=seed), covariance=covariance)
    assert shuffled.beta == pytest.approx(fit.beta, rel=1e-6, abs=1e-9)
    assert shuffled.p == pytest.approx(fit.p, rel=1e-6, abs=1e-9)
    money = frame.assign(log_gdp=frame["log_gdp"] + np.log(factor))
    other = fairness.slope(money, covariance=covariance)
    assert other.beta == pytest.approx(fit.beta, rel=1e-6, abs=1e-9)
    assert other.f == pytest.approx(fit.f, rel=1e-5, abs=1e-9)
    assert other.intercept == pytest.approx(
        fit.intercept - fit.beta * np.log(factor), rel=1e-6, abs=1e-7
    )


def test_more_images_everywhere_change_no_test() -> None:
    frame = example(5)
    many = frame.assign(n=frame["n"] * 7)
    for covariance in fairness.COVARIANCES:
        a, b = (fairness.slope(f, covariance=covariance) for f in (frame, many))
        assert (a.beta, a.f) == pytest.approx((b.beta, b.f))


def test_band_holds_the_line_in_the_stated_share_of_cases() -> None:
    generator = np.random.default_rng(0)
    n = np.array([4, 10, 50, 200, 9, 30, 80, 500, 20, 6])
    g = np.linspace(6, 11, 10)
    truth = 0.5 + 0.03 * g
    noise = generator.normal(size=(400, 10)) * 0.05 * n**-0.25  # variance as the paper's Sigma
    at = 0.5 + 0.03 * 8.2
    inside = []
    for row in truth + noise:
        band = fairness.slope(countries(row, g, n)).band([8.2], level=0.9)
        inside.append((band["low"] <= at) & (band["high"] >= at))
    rate = np.mean(inside)
    assert rate == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 400))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_band_is_statsmodels_confidence_interval_of_the_mean(level: float) -> None:
    frame = example(10, k=5)  # three degrees of freedom, where t is far from normal
    sigma = 1 / np.sqrt(frame["n"].to_numpy())
    fit = sm.GLS(frame["accuracy"].to_numpy(), sm.add_constant(frame["log_gdp"]), sigma).fit()
    grid = np.linspace(5, 13, 9)
    expected = fit.get_prediction(sm.add_constant(grid)).conf_int(alpha=1 - level)
    band = fairness.slope(frame).band(grid, level)
    assert band[["low", "high"]].to_numpy() == pytest.approx(expected)


def test_band_is_narrowest_at_the_weighted_mean() -> None:
    frame = example(6)
    fit = fairness.slope(frame, covariance="1/n")
    grid = np.linspace(6, 12, 601)
    band = fit.band(grid)
    at = grid[(band["high"] - band["low"]).argmin()]
    assert at == pytest.approx(np.average(frame["log_gdp"], weights=frame["n"]), abs=0.01)
    assert band["accuracy"].to_numpy() == pytest.approx(fit.intercept + fit.beta * grid)


@pytest.mark.parametrize("covariance", fairness.COVARIANCES)
def test_many_f_statistics_at_once_are_those_of_slope(covariance: str) -> None:
    frame = example(7)
    accuracies = np.random.default_rng(7).uniform(size=(20, 41))
    each = [fairness.slope(frame.assign(accuracy=a), covariance=covariance) for a in accuracies]
    f = fairness.f_statistics(accuracies, frame["log_gdp"], frame["n"], covariance=covariance)
    assert f == pytest.approx([fit.f for fit in each])
    expected = [(fit.beta / fit.standard_error) ** 2 for fit in each]  # statsmodels'
    assert f == pytest.approx(expected)


@pytest.mark.parametrize("covariance", fairness.COVARIANCES)
def test_many_slopes_at_once_are_those_of_slope(covariance: str) -> None:
    frame = example(8)
    accuracies = np.random.default_rng(8).uniform(size=(9, 41))
    each = [fairness.slope(frame.assign(accuracy=a), covariance=covariance) for a in accuracies]
    accuracies[4, 7] = np.nan
    betas = fairness.slopes(accuracies, frame["log_gdp"], frame["n"], covariance=covariance)
    assert np.isnan(betas).tolist() == [i == 4 for i in range(9)]
    assert np.delete(betas, 4) == pytest.approx(np.delete([fit.beta for fit in each], 4))


def test_f_at_the_edges() -> None:
    g, n = [1.0, 2.0, 4.0], [5, 5, 5]
    f = fairness.f_statistics([[0.5, 0.5, 0.5], [0.1, 0.2, 0.4], [0.3, 0.9, 0.3]], g, n)
    assert f[0] == 0
    assert f[1] == np.inf
    assert 0 < f[2] < np.inf
    assert np.isnan(fairness.f_statistics([0.1, np.nan, 0.4], g, n)).all()
    fit = fairness.slope(countries([0.1, 0.2, 0.4], g, n))
    assert (fit.f, fit.p) == (np.inf, 0)
    frame = example(11)
    slopes = np.linspace(0.001, 0.07, 50)  # a line exactly, but for rounding
    for covariance in fairness.COVARIANCES:
        f = fairness.f_statistics(
            0.1 + np.outer(slopes, frame["log_gdp"]),
            frame["log_gdp"],
            frame["n"],
            covariance=covariance,
        )
        assert (f == np.inf).all()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"accuracy": [0.5]}, "at least three, got 1; add images"),
        ({"log_gdp": [9, 9, 9, 9]}, "same GDP per capita, .* take countries of different incomes"),
        ({"accuracy": [1.0] * 4}, "all have accuracy 1, so there is nothing to test; take more"),
        ({"accuracy": [0.0] * 4}, "all have accuracy 0, so there is nothing to test"),
        ({"accuracy": [50.0, 60, 70, 80]}, r"accuracy must be in \[0, 1\], got 50 to 80; divide"),
        ({"n": [3, 0, 3, 3]}, "C01 has no images; leave it out"),
        ({"log_gdp": [1, 2, np.nan, 3]}, "C02 has a value that is missing or infinite"),
    ],
)
def test_slope_refuses(change: dict[str, list[float]], error: str) -> None:
    size = len(next(iter(change.values())))
    given = {"accuracy": [0.5, 0.6, 0.4, 0.7], "log_gdp": [7, 8, 9, 10], "n": [3, 4, 5, 6]}
    values = {key: value[:size] for key, value in given.items()} | change
    with pytest.raises(ValueError, match=error):
        fairness.slope(countries(**values))


def test_slope_refuses_doubles_missing_columns_and_other_covariances() -> None:
    frame = example(8)
    with pytest.raises(ValueError, match="C00 comes twice"):
        fairness.slope(pd.concat([frame, frame[:1]]))
    with pytest.raises(ValueError, match="no column log_gdp; give what accuracy_by_country keeps"):
        fairness.slope(frame.drop(columns="log_gdp"))
    with pytest.raises(ValueError, match=re.escape("one of '1/sqrt(n)', '1/n', 'ols', got '1'")):
        fairness.slope(frame, covariance="1")


# ------------------------------------------------------------------------------ permutation test


def test_permutation_test_agrees_with_dealing_images_out_one_by_one() -> None:
    n = np.array([5, 3, 8, 4, 6])
    frame = countries(np.array([2, 2, 7, 4, 6]) / n, [7.0, 8.0, 9.0, 10.0, 11.0], n)
    generator = np.random.default_rng(0)
    right = np.repeat([1.0, 0.0], [21, 5])
    starts = np.r_[0, np.cumsum(n)[:-1]]
    deals = [np.add.reduceat(generator.permutation(right), starts) / n for _ in range(6000)]
    f = fairness.f_statistics(deals, frame["log_gdp"], n)
    observed = fairness.f_statistics(frame["accuracy"], frame["log_gdp"], n)
    expected = (f >= observed * (1 - 1e-9)).mean()
    p = fairness.permutation_p_value(frame, size=6000)
    assert p == pytest.approx(expected, abs=5 * np.sqrt(expected / 3000))
    assert 0.001 < p < 0.2


def test_permutation_test_counts_ties() -> None:
    n, g = np.array([2, 2, 2]), np.array([7.0, 8.0, 9.0])
    right = [row for row in itertools.product(range(3), repeat=3) if sum(row) == 3]
    ways = np.array([math.prod(math.comb(2, one) for one in row) for row in right])
    f = fairness.f_statistics(np.array(right) / n, g, n)
    # Countries in a line, of which there are two, have an infinite F, and (1, 1, 1) has none.
    assert sorted(np.round(f, 6)) == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 1 / 3, np.inf, np.inf])
    for row, observed in zip(right, f, strict=True):
        if observed > 0:
            expected = ways[f >= observed * (1 - 1e-9)].sum() / ways.sum()
            frame = countries(np.array(row) / n, g, n)
            p = fairness.permutation_p_value(frame, size=20_000)
            assert p == pytest.approx(expected, abs=5 * np.sqrt(0.25 / 20_000))


def test_permutation_test_is_reproducible_never_zero_and_needs_whole_images() -> None:
    frame = example(9)
    values = {fairness.permutation_p_value(frame, size=99, seed=seed) for seed in (0, 0, 1, 2)}
    assert 2 <= len(values) <= 3
    g = np.arange(10.0)
    perfect = countries(np.arange(10) * 50 / 500, g, np.full(10, 500))
    assert fairness.permutation_p_value(perfect, size=99) == 0.01
    with pytest.raises(ValueError, match="size: expected a whole number ≥ 1, got 0"):
        fairness.permutation_p_value(frame, size=0)
    with pytest.raises(ValueError, match="must be whole numbers of images"):
        fairness.permutation_p_value(frame.assign(accuracy=frame["accuracy"] * 0.999))


# ------------------------------------------------------------------------------ t-tests

# Student (1908): extra hours of sleep of ten people after one drug and after another.
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_t_tests_on_students_sleep_give_the_published_values() -> None:
    table = fairness.t_tests(SLEEP_1, SLEEP_2)
    assert table.index.tolist() == list(fairness.T_TESTS)
    assert table["t"].tolist() == pytest.approx([4.0621, 1.8608, 1.8608], abs=5e-5)
    assert table["df"].tolist() == pytest.approx([9, 18, 17.776], abs=5e-4)
    assert (2 * table["p"]).tolist() == pytest.approx([0.002833, 0.07919, 0.07939], abs=5e-6)
    assert table["difference"].tolist() == pytest.approx([1.58] * 3)
    assert table["low"].tolist() == pytest.approx([0.7001142, -0.203874, -0.2054832], abs=5e-7)
    assert table["high"].tolist() == pytest.approx([2.4598858, 3.363874, 3.3654832], abs=5e-7)
    assert table["effect"].tolist() == pytest.approx([1.2846, 0.83218, 0.83218], abs=5e-5)


@given(seed=st.integers(0, 10**6), pairs=st.integers(2, 60), level=st.floats(0.5, 0.999))
@settings(max_examples=40, deadline=None)
def test_t_tests_are_the_textbook_s(seed: int, pairs: int, level: float) -> None:
    generator = np.random.default_rng(seed)
    a = generator.normal(0.02, 0.004, pairs)
    b = a / 2 + generator.normal(0.012, 0.006, pairs)
    table = fairness.t_tests(a, b, level=level)
    d, (va, vb) = b - a, (a.var(ddof=1), b.var(ddof=1))
    pooled = np.sqrt((va + vb) / 2)
    errors = [d.std(ddof=1) / np.sqrt(pairs), *[pooled * np.sqrt(2 / pairs)] * 2]
    welch = (pairs - 1) * (va + vb) ** 2 / (va**2 + vb**2)
    t, df = d.mean() / errors, np.array([pairs - 1, 2 * pairs - 2, welch])
    assert table["t"].to_numpy() == pytest.approx(t, rel=1e-9)
    assert table["df"].to_numpy() == pytest.approx(df, rel=1e-9)
    assert table["p"].to_numpy() == pytest.approx(1 - stats.t.cdf(t, df), abs=1e-12)
    effects = [d.mean() / d.std(ddof=1), d.mean() / pooled, d.mean() / pooled]
    assert table["effect"].to_numpy() == pytest.approx(effects, rel=1e-9)
    half = stats.t.ppf((1 + level) / 2, df) * errors
    assert table["low"].to_numpy() == pytest.approx(d.mean() - half, rel=1e-6, abs=1e-12)
    assert table["high"].to_numpy() == pytest.approx(d.mean() + half, rel=1e-6, abs=1e-12)
    swapped = fairness.t_tests(b, a, level=level)
    assert swapped["p"].to_numpy() == pytest.approx(1 - table["p"].to_numpy(), abs=1e-12)


def test_t_tests_agree_with_permutation_tests() -> None:
    generator = np.random.default_rng(3)
    a = generator.normal(0.02, 0.004, 50)
    b = a / 2 + generator.normal(0.0112, 0.004, 50)
    table = fairness.t_tests(a, b)
    signs = generator.choice([-1, 1], size=(20_000, 50))
    paired = ((signs * (b - a)).mean(1) >= (b - a).mean()).mean()
    both = generator.permuted(np.tile(np.r_[a, b], (20_000, 1)), axis=1)
    unpaired = (both[:, 50:].mean(1) - both[:, :50].mean(1) >= b.mean() - a.mean()).mean()
    assert 0.001 < paired < 0.2
    assert table.loc["paired", "p"] == pytest.approx(paired, abs=0.008)
    assert table.loc["unpaired", "p"] == pytest.approx(unpaired, abs=0.008)


def test_t_tests_have_the_papers_degrees_of_freedom_and_sign() -> None:
    generator = np.random.default_rng(0)
    ours, pgd = generator.normal(0.01, 0.01, (2, paper.N_MODELS))
    table = fairness.t_tests(ours, pgd + 0.1)
    assert table.loc["paired", "df"] == 49
    assert table.loc["unpaired", "df"] == 98
    assert (table["t"] > 0).all()
    assert (table["p"] < 1e-4).all()


@pytest.mark.parametrize("unit", [1e-9, 1e9 / 7])
def test_the_unit_of_the_slopes_does_not_matter(unit: float) -> None:
    ours, other = np.array(SLEEP_1), np.array(SLEEP_2)
    table = fairness.t_tests(ours * unit, other * unit)
    invariant = ["effect", "t", "df", "p"]
    expected = fairness.t_tests(ours, other)
    np.testing.assert_allclose(table[invariant], expected[invariant], rtol=1e-9)
    with pytest.raises(ValueError, match="there is no scatter to compare them with"):
        fairness.t_tests(ours * unit, ours * unit + 0.1 * unit)  # equal but for rounding


def test_pairs_with_a_diverged_model_are_left_out_and_counted() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 12))
    whole = fairness.t_tests(a[2:], b[2:])
    a[0], b[1] = np.nan, np.nan
    table = fairness.t_tests(a, b)
    assert table["pairs"].tolist() == [10] * 3
    assert table["excluded"].tolist() == [2] * 3
    assert whole["excluded"].tolist() == [0] * 3
    pd.testing.assert_frame_equal(table.drop(columns="excluded"), whole.drop(columns="excluded"))


@pytest.mark.parametrize(
    ("ours", "other", "error"),
    [
        ([0.1, 0.2], [0.1], r"series of one length, got shapes \(2,\) and \(1,\); give NaN"),
        ([[0.1]], [[0.2]], r"series of one length, got shapes \(1, 1\)"),
        ([0.1], [0.2], "needs two pairs or more, got 1 .0 left out because a model diverged"),
        ([0.1, np.nan, 1], [np.nan, 0.2, 1], "two pairs or more, got 1 .2 left out .*; train more"),
        ([np.nan] * 3, [0.2] * 3, "two pairs or more, got 0 .3 left out"),
        ([0.1, np.inf], [0.1, 0.2], "one is infinite; give NaN"),
        ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], "all 3 differences are 0, so that there is no scatter"),
        ([0.1, 0.3, 0.2], [0.2, 0.4, 0.3], "all 3 differences are 0.1, .* different seeds"),
    ],
)
def test_t_tests_refuse(ours: list[float], other: list[float], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        fairness.t_tests(ours, other)
    with pytest.raises(ValueError, match=error):
        power.t_power(ours, other, [0])


@pytest.mark.parametrize("level", [95, 1, 0])
def test_t_tests_and_bands_refuse_a_level_in_percent_and_the_ends(level: float) -> None:
    message = rf"between 0 and 1, got {level}; e\.g\. 0\.95"
    with pytest.raises(ValueError, match=message):
        fairness.t_tests([1, 2, 4], [3, 2, 1], level=level)
    with pytest.raises(ValueError, match=message):
        fairness.slope(example(8)).band([8], level=level)


def test_holm_by_hand() -> None:
    # Smallest times 4, next times 3, ...; never below the one before, never above 1.
    assert fairness.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert fairness.holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert fairness.holm([paper.P_PGD, paper.P_PERC]) == pytest.approx([0.00034, 0.00242])


def test_compare_tests_ours_against_each_other_and_corrects_each_kind_of_test() -> None:
    generator = np.random.default_rng(2)
    betas = pd.DataFrame(generator.normal(0.02, 0.01, (50, 4)), columns=["A", "Ours", "B", "C"])
    betas["B"] += 0.004
    betas.loc[7, "C"] = np.nan
    table = fairness.compare(betas, "Ours")
    assert table.index.names == ["other", "test"]
    assert table.index.unique("other").tolist() == ["A", "B", "C"]
    for other in "ABC":
        one = fairness.t_tests(betas["Ours"], betas[other])
        pd.testing.assert_frame_equal(table.loc[other].drop(columns="holm"), one)
    for test in fairness.T_TESTS:
        rows = table.xs(test, level="test")
        assert rows["holm"].to_numpy() == pytest.approx(fairness.holm(rows["p"]))
        assert (rows["holm"] >= rows["p"]).all()
    assert table.loc["C", "excluded"].tolist() == [1, 1, 1]
    assert table.loc["A", "pairs"].tolist() == [50, 50, 50]
    with pytest.raises(ValueError, match="expected a column 'ours' and others, got A, Ours, B, C"):
        fairness.compare(betas, "ours")
    with pytest.raises(ValueError, match="expected a column 'A' and others, got A"):
        fairness.compare(betas[["A"]], "A")


def test_without_a_difference_the_t_tests_reject_in_five_percent() -> None:
    generator = np.random.default_rng(4)
    slopes = generator.normal(0.02, 0.004, size=(500, 2, 20))
    tables = [fairness.t_tests(a, b)["p"] for a, b in slopes]
    rates = (pd.concat(tables, axis=1) < 0.05).mean(axis=1)
    # Four standard errors of the simulation; the three tests are exact here, but for Welch's.
    assert rates.to_numpy() == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 500))


# ---------------------------------------------------------------------------- the paper's p-values


def test_the_papers_f_gives_its_probability() -> None:
    p = fairness.f_p_value(paper.F_STATISTIC, *paper.F_DEGREES)
    assert round(p, 5) == paper.F_PROBABILITY


def test_the_papers_t_need_49_degrees_of_freedom_and_one_side() -> None:
    assert fairness.t_p_value(paper.T_PGD, 49) == pytest.approx(0.000171, abs=5e-7)
    assert fairness.t_p_value(paper.T_PERC, 49) == pytest.approx(0.002431, abs=5e-7)
    pgd = fairness.fitting_df(paper.T_PGD, paper.P_PGD)
    perc = fairness.fitting_df(paper.T_PERC, paper.P_PERC)
    assert 49 in pgd
    assert 49 in perc
    assert 98 not in {*pgd, *perc}
    assert sorted({*pgd} & {*perc}) == [48, 49, 50, 51]
    assert fairness.fitting_df(paper.T_PERC, paper.P_PERC, sides=2) == []


def test_probabilities_by_integration() -> None:
    t = np.linspace(2, 400, 2_000_001)
    assert fairness.t_p_value(2, 49) == pytest.approx(np.trapezoid(stats.t.pdf(t, 49), t), rel=1e-6)
    assert fairness.t_p_value(-2, 49, sides=2) == pytest.approx(2 * fairness.t_p_value(2, 49))
    assert fairness.f_p_value(4, 1, 49) == pytest.approx(fairness.t_p_value(2, 49, sides=2))
    with pytest.raises(ValueError, match="a test has 1 or 2, got 3"):
        fairness.t_p_value(2, 49, sides=3)


def test_fitting_df_finds_the_df_it_was_made_with() -> None:
    for df in (3, 10, 30, 97):
        p = round(fairness.t_p_value(2.5, df), 5)
        assert df in fairness.fitting_df(2.5, p)
        assert df not in fairness.fitting_df(2.5, round(p * 1.3, 5))


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize(("t", "p"), [(2.0, 0.024), (1.5, 0.07), (2.2, 0.02)])
def test_fitting_df_are_those_of_a_search_over_what_rounds_to_t(
    t: float, p: float, sides: int
) -> None:
    p *= sides
    candidates = np.linspace(t - 0.05, t + 0.05, 2001)[1:-1]
    found = [
        df
        for df in range(1, 201)
        if (np.abs(sides * stats.t.sf(candidates, df) - p) < 0.0005).any()
    ]
    assert 0 < len(found) < 200
    assert fairness.fitting_df(t, p, sides=sides, digits=(1, 3)) == found


# ------------------------------------------------------------------------------ many models


def replicas() -> pd.DataFrame:
    """Make the records of three models on one set of images, the last of them diverged."""
    generator = np.random.default_rng(0)
    frame = simulation.simulated_countries(400)
    country = generator.permutation(frame["country"].repeat(frame["n"]).to_numpy())
    parts = [
        pd.DataFrame(
            {
                "replicate": seed,
                "id": np.arange(400),
                "country": country,
                "correct": (generator.uniform(size=400) < 0.8) & (seed != 9),
                "diverged": seed == 9,
            }
        )
        for seed in (5, 7, 9)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("covariance", fairness.COVARIANCES)
def test_by_model_is_slope_and_by_income_of_each_model(covariance: str) -> None:
    records = replicas()
    table = fairness.by_model(records, covariance=covariance)
    pd.testing.assert_frame_equal(
        table, fairness.by_model(records.drop(columns="id"), covariance=covariance)
    )
    assert table.index.tolist() == [5, 7, 9]
    assert table.loc[9].isna().all()
    for seed in (5, 7):
        own = records[records["replicate"] == seed]
        kept = fairness.accuracy_by_country(own).kept
        assert table.loc[seed, "beta"] == pytest.approx(
            fairness.slope(kept, covariance=covariance).beta
        )
        assert table.loc[seed, "accuracy"] == pytest.approx(own["correct"].mean())
        quarters = table.loc[seed, [f"quarter_{k}" for k in (1, 2, 3, 4)]]
        assert quarters.tolist() == pytest.approx(fairness.by_income(kept)["accuracy"].tolist())


def test_by_model_gives_a_model_that_is_always_right_the_slope_zero() -> None:
    table = fairness.by_model(replicas().assign(correct=True), groups=2)
    assert table.loc[5].tolist() == pytest.approx([0, 1, 1, 1])
    assert table.columns[-1] == "group_2"
    with pytest.raises(ValueError, match="no column country, diverged; give what dro"):
        fairness.by_model(replicas().drop(columns=["country", "diverged"]))
    few = replicas()
    with pytest.raises(ValueError, match="a line needs at least three, got 2"):
        fairness.by_model(few[few["country"].isin(["USA", "GBR"])], groups=2)


GDP = pd.DataFrame(
    {"name": ["a", "b"], "gdp": [1000.0, 2000.0]}, index=pd.Index(["FRA", "USA"], name="country")
)


@pytest.mark.parametrize(
    ("gdp", "error"),
    [
        (GDP.assign(gdp=[0, 1]), "gdp: GDP per capita of FRA is not a positive number"),
        (GDP.assign(gdp=[1, -1]), "gdp: GDP per capita of USA is not a positive number"),
        (GDP.assign(gdp=[1, np.inf]), "gdp: GDP per capita of USA is not a positive number"),
        (GDP.assign(gdp=["1", "dear"]), "gdp: GDP per capita of USA is not a positive number"),
        (pd.concat([GDP, GDP]), "gdp: FRA, USA given more than once"),
        (GDP.reset_index(), r"gdp: expected a table .* indexed by country"),
        (GDP["gdp"], r"gdp: expected a table .* indexed by country"),
        (GDP[["name"]], r"gdp: expected a table with a column gdp"),
    ],
)
def test_incomes_are_checked_wherever_they_are_given(gdp: object, error: str) -> None:
    for use in (
        lambda: fairness.accuracy_by_country(records(FRA=(3, 1), USA=(5, 5)), gdp),
        lambda: simulation.simulated_countries(300, gdp=gdp),
        lambda: fairness.incomes(gdp),
        lambda: simulation.probability(["FRA", "USA"], gradient=1, gdp=gdp),
    ):
        with pytest.raises(ValueError, match=error):
            use()


def test_incomes_need_no_names() -> None:
    kept = fairness.accuracy_by_country(records(FRA=(3, 1), USA=(5, 5)), GDP[["gdp"]]).kept
    assert kept["name"].tolist() == ["USA", "FRA"]
    pd.testing.assert_frame_equal(fairness.incomes(), fairness.income())


def test_an_accuracy_that_is_missing_is_not_taken_for_none_right() -> None:
    frame = pd.DataFrame({"n": [3, 4, 5], "accuracy": [np.nan, 1, 0.5], "gdp": [1.0, 2.0, 3.0]})
    found = fairness.by_income(frame, groups=3)["accuracy"]
    assert np.isnan(found.iloc[0])
    assert found.iloc[1:].tolist() == [1, 0.5]


def test_all_of_countries_is_not_the_table() -> None:
    found = fairness.accuracy_by_country(records(FRA=(3, 1), USA=(5, 5), NPL=(1, 5)))
    fairness.slope(found.kept)
    with pytest.raises(ValueError, match=r"countries: expected a table, got Countries; .*\.kept"):
        fairness.slope(found)


def test_models_are_compared_on_the_same_images() -> None:
    one = records(FRA=(3, 1), USA=(5, 5), NPL=(1, 5), DEU=(2, 2)).assign(diverged=False)
    both = pd.concat([one.assign(replicate=0), one.assign(replicate=7)])
    assert list(fairness.by_model(both).index) == [0, 7]
    with pytest.raises(ValueError, match="replicates 7 were tried on other images than the first"):
        fairness.by_model(both[:-1])
