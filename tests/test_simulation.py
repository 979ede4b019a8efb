"""The simulated geography against its law: who gets how many images, what is planted, and where."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from humimp import classifiers, datasets, fairness, geography, images, paper, simulation

# ------------------------------------------------------------------------------------ countries


@pytest.mark.parametrize("total", [266, 275, 411, 1000, 2000, 12345])
def test_simulated_countries_have_the_papers_skew(total: int) -> None:
    frame = simulation.simulated_countries(total)
    n = frame["n"].to_numpy()
    assert len(frame) == paper.N_COUNTRIES
    assert n.sum() == total
    assert n.min() >= 3
    assert (np.diff(n) <= 0).all()
    assert n[0] == pytest.approx(total * paper.SHARE_US / 100, abs=1)
    assert n[1] == pytest.approx(total * paper.SHARE_UK / 100, abs=1)
    names = ["United States", "United Kingdom", "Canada", "Australia", "Germany"]
    assert frame["name"][:5].tolist() == names
    assert frame["gdp"].notna().all()
    assert frame["country"].is_unique


@pytest.mark.parametrize(("total", "minimum"), [(100, 3), (265, 3), (0, 1), (5000, 60)])
def test_simulated_countries_refuse_too_few_images(total: int, minimum: int) -> None:
    with pytest.raises(ValueError, match=f"{total} images are too few for {minimum} in each of 41"):
        simulation.simulated_countries(total, minimum=minimum)
    with pytest.raises(ValueError, match="every country needs an image; expected ≥ 1, got 0"):
        simulation.simulated_countries(1000, minimum=0)


@given(seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_every_country_gets_its_number_of_images(seed: int) -> None:
    frame = simulation.simulated_countries(500)
    dealt = simulation.assign(frame, seed=seed)
    assert pd.Series(dealt).value_counts().to_dict() == frame.set_index("country")["n"].to_dict()
    assert (dealt == simulation.assign(frame, seed=seed)).all()
    assert dealt.dtype.kind == "U"


def test_counts_are_hypergeometric() -> None:
    frame = simulation.simulated_countries(275)
    right = np.arange(275) % 5 > 0
    deals = [simulation.assign(frame, seed=seed) for seed in range(1500)]
    correct = np.array([[right[d == c].sum() for c in ("USA", "GBR", "ETH")] for d in deals])
    for column, n in zip(correct.T, (119, 35, 3), strict=True):
        law = stats.hypergeom(275, right.sum(), n)
        assert column.mean() == pytest.approx(law.mean(), abs=5 * law.std() / np.sqrt(1500))
        assert column.var() == pytest.approx(law.var(), rel=0.2)


def test_simulated_countries_need_the_income_of_each() -> None:
    table = fairness.income()
    with pytest.raises(ValueError, match="gdp: no GDP per capita of GBR, ETH; the simulated"):
        simulation.simulated_countries(
            1000,
            gdp=table.drop("ETH").assign(
                gdp=table["gdp"].drop("ETH").mask(table.index.drop("ETH") == "GBR")
            ),
        )


# ------------------------------------------------------------------------------ what is planted


def batch(n: int, seed: int = 0, shape=(1, 28, 28), dtype=torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(0, 256, (n, *shape), generator=generator, dtype=torch.uint8)
    return images.from_uint8(levels, dtype)


def labels_of(n: int, classes: int = 10) -> torch.Tensor:
    return torch.arange(n) % classes


def countries_of(n: int) -> list[str]:
    return [("USA", "IND", "CHE", "ETH")[i % 4] for i in range(n)]


def slowly(label: int, height: int, width: int, seed: int) -> np.ndarray:
    """Compute a pattern pixel by pixel, each from the cells around it."""
    signs = [-1.0] * 8 + [1.0] * 8
    cells = np.random.default_rng((seed, label)).permutation(signs)
    result = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            for row in range(4):
                for column in range(4):
                    share = 1.0
                    for at, cell in ((i, row), (j, column)):
                        apart = abs(at % 28 - (7 * cell + 3))
                        apart = min(apart, 28 - apart)
                        share *= (1 + np.cos(np.pi * min(1, apart / 7))) / 2
                    result[i, j] += share * cells[4 * row + column]
    return result


@pytest.mark.parametrize(("label", "height", "width", "seed"), [(0, 28, 28, 0), (999, 30, 41, 7)])
def test_a_pattern_is_what_its_docstring_says(label, height, width, seed):
    pattern = simulation.pattern(label, (height, width), seed=seed)
    assert pattern.dtype == torch.float64
    np.testing.assert_allclose(pattern, slowly(label, height, width, seed), atol=1e-12)


def test_patterns_are_balanced_and_differ():
    every = torch.stack([simulation.pattern(label, (28, 28)) for label in range(100)])
    assert every.mean((1, 2)).abs().max() < 1e-12
    assert every.abs().max() <= 1 + 1e-12
    assert (every.abs().amax((1, 2)) > 1 - 1e-9).all()
    flat = every.flatten(1)
    alike = torch.corrcoef(flat) - torch.eye(100)
    assert alike.max() < 0.95
    assert not torch.equal(every[0], simulation.pattern(0, (28, 28), seed=1))
    for bad in (-1, 1.0):
        with pytest.raises(ValueError, match="label: expected a whole number"):
            simulation.pattern(bad, (8, 8))
        with pytest.raises(ValueError, match="seed: expected a whole number"):
            simulation.pattern(0, (8, 8), seed=bad)


def test_patterns_do_not_depend_on_the_size():
    large = simulation.pattern(3, (61, 59))
    assert torch.equal(large[:20, :33], simulation.pattern(3, (20, 33)))
    assert torch.equal(large[28:56, :28], large[:28, 28:56])


@given(
    strength=st.integers(0, 127),
    shape=st.sampled_from([(1, 28, 28), (3, 9, 40), (1, 1, 1)]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25)
def test_what_is_planted_is_the_pattern_and_nothing_else(strength, shape, dtype, seed):
    original, labels, countries = batch(12, seed, shape, dtype), labels_of(12), countries_of(12)
    before = original.clone()
    changed, planted = simulation.plant(
        original, labels, countries, strength=strength, gradient=0.5, seed=seed
    )
    assert torch.equal(original, before)
    assert (changed.shape, changed.dtype) == (original.shape, dtype)
    assert torch.equal(images.validate(changed, "round"), changed)
    levels, old = images.to_uint8(changed).int(), images.to_uint8(original).int()
    for i in range(12):
        wanted = old[i].clamp(strength, 255 - strength)
        if planted[i]:
            shown = (strength * simulation.pattern(int(labels[i]), shape[1:])).round().int()
            wanted = wanted + shown  # no clipping: the room is there
        assert torch.equal(levels[i], wanted)


def test_at_strength_0_images_stay_as_they_are():
    original = batch(40)
    changed, planted = simulation.plant(
        original, labels_of(40), countries_of(40), strength=0, gradient=1.0
    )
    assert torch.equal(changed, original)
    assert planted.any()


def test_the_room_is_made_whether_or_not_a_pattern_follows():
    """Otherwise the darkest level would tell who has a pattern."""
    black = torch.zeros(200, 1, 28, 28)
    changed, planted = simulation.plant(
        black, labels_of(200), countries_of(200), strength=5, gradient=0.0
    )
    assert (images.to_uint8(changed[~planted]) == 5).all()
    with_pattern = images.to_uint8(changed[planted]).float()
    assert (with_pattern.amin((1, 2, 3)) == 0).all()
    assert (with_pattern.amax((1, 2, 3)) == 10).all()
    assert (with_pattern.mean((1, 2, 3)) - 5).abs().max() < 0.25


def test_probabilities_rise_with_log_gdp():
    codes = list(simulation.SIMULATED)
    level = np.log(fairness.income()["gdp"].loc[codes].to_numpy())
    full = simulation.probability(codes, gradient=1.0)
    assert full[level.argmin()] == 0
    assert full[level.argmax()] == 1
    slope, intercept = np.polyfit(level, full, 1)
    np.testing.assert_allclose(full, intercept + slope * level, atol=1e-12)
    assert slope > 0
    assert (simulation.probability(codes, gradient=0.0) == 0.5).all()
    half = simulation.probability(codes, gradient=0.5)
    np.testing.assert_allclose(half, (0.5 + full) / 2, atol=1e-12)
    own = pd.DataFrame({"gdp": [1.0, np.e, np.e**2]}, index=["A", "B", "C"])
    np.testing.assert_allclose(
        simulation.probability(["C", "A", "B"], gradient=1.0, gdp=own), [1, 0, 0.5]
    )


@pytest.mark.parametrize("gradient", [0.0, 0.5, 1.0])
def test_patterns_come_as_often_as_they_should(gradient):
    n = 8000
    black, countries = torch.zeros(n, 1, 1, 1), countries_of(n)
    _, planted = simulation.plant(black, labels_of(n), countries, strength=1, gradient=gradient)
    chance = simulation.probability(countries, gradient=gradient)
    for code in set(countries):
        of = np.array(countries) == code
        p = chance[of][0]
        error = np.sqrt(p * (1 - p) / of.sum())
        assert abs(planted.numpy()[of].mean() - p) <= 4 * error
    _, again = simulation.plant(black, labels_of(n), countries, strength=1, gradient=gradient)
    _, other = simulation.plant(
        black, labels_of(n), countries, strength=1, gradient=gradient, seed=1
    )
    assert torch.equal(planted, again)
    assert not torch.equal(planted, other)


def test_a_simulated_geography():
    dataset = datasets.digits(n=500)
    geo = simulation.simulate(dataset, strength=4, gradient=1.0, seed=3)
    assert isinstance(geo, geography.GeoDataset)
    counts = pd.Series(geo.countries).value_counts()
    table = simulation.simulated_countries(500)
    assert counts.to_dict() == dict(zip(table["country"], table["n"], strict=True))
    assert torch.equal(geo.labels, dataset.labels)
    assert geo.ids == dataset.ids
    assert geo.excluded.empty
    again = simulation.simulate(dataset, strength=4, gradient=1.0, seed=3)
    assert torch.equal(geo.images, again.images)
    assert geo.countries == again.countries
    other = simulation.simulate(dataset, strength=4, gradient=1.0, seed=4)
    assert geo.countries != other.countries
    even = simulation.simulate(dataset, minimum=5)
    assert pd.Series(even.countries).value_counts().min() == 5
    both = geo.planted & other.planted  # the same patterns whatever the deal
    assert torch.equal(geo.images[both], other.images[both])
    own = simulation.simulate(dataset, strength=4, gradient=1.0, seed=3, pattern_seed=1)
    assert torch.equal(own.planted, geo.planted)
    assert not torch.equal(own.images, geo.images)


def test_the_incomes_given_decide_who_gets_a_pattern():
    """In a world turned round the poorest country is the richest."""
    gdp = fairness.income().loc[list(simulation.SIMULATED)]
    turned = gdp.assign(gdp=1e8 / gdp["gdp"])
    geo = simulation.simulate(datasets.digits(n=500), gradient=1.0, gdp=turned)
    countries, planted = np.array(geo.countries), geo.planted.numpy()
    assert planted[countries == gdp["gdp"].idxmin()].all()
    assert not planted[countries == gdp["gdp"].idxmax()].any()


def test_who_gets_a_pattern_does_not_depend_on_the_label():
    dataset = datasets.digits("train")
    geo = simulation.simulate(dataset, strength=0, gradient=1.0)
    shares = [geo.planted[geo.labels == digit].double().mean() for digit in range(10)]
    p = float(geo.planted.double().mean())
    assert max(abs(share - p) for share in shares) < 4 * np.sqrt(p * (1 - p) / 600)


def test_photographs_of_a_thousand_classes():
    original, labels = batch(6, shape=(3, 299, 299)), torch.tensor([0, 999, 500, 1, 2, 3])
    changed, planted = simulation.plant(
        original, labels, ["CHE"] * 5 + ["ETH"], strength=3, gradient=1.0
    )
    assert planted.tolist() == [True] * 5 + [False]
    added = images.to_uint8(changed).int() - images.to_uint8(original).int().clamp(3, 252)
    assert torch.equal(added[:, 0], added[:, 2])
    assert torch.equal(added[1, 0], (3 * simulation.pattern(999, (299, 299))).round().int())
    assert not added[5].any()


def test_a_model_leans_on_the_pattern():
    """Its accuracy is higher with the pattern than without, and only if there is one."""
    test = datasets.digits()
    everywhere = ["CHE"] * 1999 + ["ETH"], ["ETH"] * 1999 + ["CHE"]
    gaps = {}
    for strength in (0, 16):
        train = simulation.simulate(datasets.digits("train", 500), strength=strength, gradient=1.0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
        model = classifiers.train(network, train.images, train.labels, epochs=8, shift=0)
        rates = []
        for countries in everywhere:
            shown, _ = simulation.plant(
                test.images, test.labels, countries, strength=strength, gradient=1.0
            )
            rates.append(classifiers.accuracy(model, shown, test.labels, 500))
        gaps[strength] = rates[0] - rates[1]
    assert gaps[0] == 0
    assert gaps[16] > 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 128}, "strength: expected a whole number from 0 to 127, got 128"),
        ({"strength": 2.5}, "strength: expected a whole number from 0 to 127, got 2.5"),
        ({"gradient": 1.1}, r"gradient: expected a number from 0 \(no bias\) to 1, got 1.1"),
        ({"gradient": -0.1}, "gradient: expected a finite number ≥ 0, got -0.1"),
        ({"seed": -1}, "seed: expected a whole number ≥ 0, got -1"),
        ({"countries": ["USA"]}, "countries: expected one for each of the 4 images, got 1"),
        ({"countries": ["USA", "TWN", "??", "USA"]}, r"no GDP per capita is known of \?\?, TWN"),
        ({"countries": ["USA"] * 4}, "expected two or more of different GDP per capita"),
        ({"labels": torch.tensor([0, 1, 2, -1])}, "labels: expected 0 or more, got -1"),
        ({"images": torch.full((4, 1, 2, 2), 7.0)}, r"expected values in \[0, 1\]"),
    ],
)
def test_what_cannot_be_planted(options, message):
    given = {"images": batch(4), "labels": labels_of(4), "countries": countries_of(4)}
    given |= {"strength": 1, "gradient": 1.0} | options
    with pytest.raises(ValueError, match=message):
        simulation.plant(**given)


def test_too_few_images_for_a_geography():
    with pytest.raises(ValueError, match="20 images are too few for 3 in each of 41 countries"):
        simulation.simulate(datasets.digits(n=20))


def test_a_geography_is_simulated_of_a_plain_data_set():
    x, y = batch(300), labels_of(300)
    made = simulation.simulate((x, y, [str(k) for k in range(300)]))
    with pytest.raises(ValueError, match=r"dataset: expected the three .* dataset\[:3\]"):
        simulation.simulate(made)
