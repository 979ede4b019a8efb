"""Countries' names, released metadata, and the simulated geography: what is planted, and where."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pycountry
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from humimp import classifiers, datasets, fairness, geography, images

# ------------------------------------------------------------------------------ names of countries


@pytest.mark.parametrize(
    ("name", "code"),
    [
        *(("UK", "GBR"), ("South Korea", "KOR"), ("Russia", "RUS"), ("Vietnam", "VNM")),
        *(("Ivory Coast", "CIV"), ("Turkey", "TUR"), ("Türkiye", "TUR"), ("Kosovo", "XKX")),
        *(("Czech Republic", "CZE"), ("Czechia", "CZE"), ("Palestine", "PSE"), ("NA", "NAM")),
        *((" u.s.a. ", "USA"), ("us", "USA"), ("The Gambia", "GMB"), ("Burma", "MMR")),
        *(("Côte d’Ivoire", "CIV"), ("COTE D'IVOIRE", "CIV"), ("St. Barthelemy", "BLM")),
        *(("Congo, Rep.", "COG"), ("DR Congo", "COD"), ("Bosnia & Herzegovina", "BIH")),
    ],
)
def test_names_in_common_use(name, code):
    assert geography.resolve([name]) == [code]


def test_all_of_iso_3166_and_of_the_world_bank():
    for country in pycountry.countries:
        names = [country.alpha_3, country.alpha_2, country.alpha_2.lower()]
        if country.alpha_3 != "COG":  # the one that is called Congo
            names.append(country.name)
        assert geography.resolve(names) == [country.alpha_3] * len(names)
    income = fairness.income()
    assert geography.resolve(income["name"]) == income.index.tolist()
    assert geography.resolve(income.index) == income.index.tolist()


def test_unknown_and_ambiguous_names_are_listed_or_left_empty():
    names = ["Atlantis", "USA", "Congo", "Atlantis", "", "Korea"]
    where = [f"line {number}" for number in range(2, 8)]
    message = re.escape(
        "no country is called 'Atlantis' (line 2 and 1 more); 'Congo' (line 4), which may be COG "
        "or COD; '' (line 6); 'Korea' (line 7), which may be KOR or PRK. Give ISO-3166 codes"
    )
    with pytest.raises(ValueError, match=message):
        geography.resolve(names, where=where)
    with pytest.raises(ValueError, match="'Atlantis'; 'Congo', which may be"):
        geography.resolve(names[::2])
    with pytest.raises(ValueError, match=r"'X4'; and 3 more\. Give"):
        geography.resolve([f"X{number}" for number in range(8)])
    assert geography.resolve(names, unknown="exclude") == ["", "USA", "", "", "", ""]
    assert geography.resolve([None, float("nan")], unknown="exclude") == ["", ""]
    with pytest.raises(ValueError, match="unknown: expected one of 'error', 'exclude', got 'skip'"):
        geography.resolve(["USA"], unknown="skip")


# ------------------------------------------------------------------------------------ GDP by year


def test_the_two_tables_of_gdp_agree():
    both = geography.gdp(2020).join(fairness.income()["gdp"].rename("income"))
    assert len(both) == 176
    assert (both["gdp"] == both["income"]).all()
    pd.testing.assert_frame_equal(geography.gdp(), geography.gdp(2020))
    assert geography.gdp(2010)["gdp"].loc["USA"] == pytest.approx(48_468, rel=0.01)
    records = pd.DataFrame({"country": ["USA", "JPN", "NAM"], "correct": [True, False, True]})
    kept = fairness.accuracy_by_country(records, geography.gdp(2000)).kept
    assert set(kept["country"]) == {"USA", "JPN", "NAM"}
    assert set(fairness.SIMULATED) <= set(geography.gdp(2010).index)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("country,name,gdp\nUSA,US,1\n", "no column year; the first line names them"),
        ("country,name,year,gdp\nUSA,US,2010,1\n", r"year: expected one of 2010, got 2020"),
        ("country,name,year,gdp\nA,a,2020,1\nA,a,2020,2\n", "A given more than once for 2020"),
        ("country,name,year,gdp\nA,a,2020,0\n", "of A in 2020 is not a positive number; give US"),
        ("country,name,year,gdp\nA,a,2020,much\n", "of A in 2020 is not a positive number"),
        ("country,name,year,gdp\nA,a,2020,inf\n", "of A in 2020 is not a positive number"),
    ],
)
def test_tables_of_gdp_that_cannot_be_used(content, message, tmp_path):
    path = tmp_path / "gdp.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        geography.gdp(2020, path)


def test_a_table_of_ones_own(tmp_path):
    path = tmp_path / "gdp.csv"
    path.write_text("country,name,year,gdp\nNAM,Namibia,2024,4168.5\nUSA,US,2024,\nUSA,US,2023,1\n")
    table = geography.gdp(2024, path)
    assert table["gdp"].loc["NAM"] == 4168.5
    assert np.isnan(table["gdp"].loc["USA"])


# ------------------------------------------------------------------------------- released metadata

GEODE = (
    "Unnamed: 0,file_path,object,region,ip_country,date\n"
    "1,Africa/Nigeria/a.jpg,light_switch,Africa,Nigeria,2022\n"
    "2,Europe/Spain/b.jpg,dog,Europe,Spain,2022\n"
    "3,Asia/c.jpg,road sign,EastAsia,South Korea,2022\n"
    "4,Asia/d.jpg,tree,EastAsia,South Korea,2022\n"
    "5,Asia/e.jpg,dog,EastAsia,Spain,2022\n"
)
DOLLAR = (
    "id,country.name,country.id,region.id,type,imageRelPath,topics,place,income\n"
    "x1,Nigeria,ng,af,image,assets/x1/a.jpg,\"['tv', 'bedroom']\",h,100\n"
    "x2,Namibia,na,af,image,assets/x2/b.jpg,\"['sofa', 'couch']\",h,100\n"
    "x3,Cote d'Ivoire,ci,af,image,assets/x3/c.jpg,\"['bed', 'TV']\",h,100\n"
    "x4,Nepal,np,as,image,assets/x4/d.jpg,\"['goats']\",h,100\n"
    "x5,Nepal,np,as,image,assets/x5/e.jpg,[],h,100\n"
)


def rows(manifest: geography.Manifest) -> list[tuple]:
    return list(manifest.kept.itertuples(index=False, name=None))


def left_out(manifest: geography.Manifest) -> set[tuple]:
    return set(manifest.excluded.itertuples(index=False, name=None))


def test_geode(tmp_path):
    path = tmp_path / "index.csv"
    path.write_text(GEODE)
    strict = geography.geode(path, tmp_path)
    kept = [("Africa/Nigeria/a.jpg", 844, "NGA"), ("Asia/c.jpg", 919, "KOR")]
    assert rows(strict) == kept
    assert left_out(strict) == {
        ("ESP", 2, "26 classes of ImageNet for dog"),
        ("KOR", 1, "no class of ImageNet for tree"),
    }
    first = geography.geode(path, tmp_path, several="first")
    dogs = [("Europe/Spain/b.jpg", 239, "ESP"), ("Asia/e.jpg", 239, "ESP")]
    assert rows(first) == [kept[0], dogs[0], kept[1], dogs[1]]
    assert datasets.class_names()[239] == "Bernese mountain dog"
    assert first.excluded["n"].sum() == 1
    path.write_text(GEODE.replace("Nigeria,2022", "NA,2022"))  # Namibia's code, not a gap
    assert rows(geography.geode(path, tmp_path))[0][2] == "NAM"


def test_dollar_street(tmp_path):
    path = tmp_path / "images_v2.csv"
    path.write_text(DOLLAR)
    strict = geography.dollar_street(path, tmp_path)
    assert rows(strict) == [("assets/x1/a.jpg", 851, "NGA"), ("assets/x2/b.jpg", 831, "NAM")]
    assert left_out(strict) == {
        ("CIV", 1, "2 classes of ImageNet for bed, tv"),
        ("NPL", 1, "no class of ImageNet for goats"),
        ("NPL", 1, "no class of ImageNet for (none)"),
    }
    first = geography.dollar_street(path, tmp_path, several="first")
    assert ("assets/x3/c.jpg", 831, "CIV") in rows(first)


@pytest.mark.parametrize("make", [geography.geode, geography.dollar_street])
def test_metadata_that_cannot_be_used(make, tmp_path):
    path = tmp_path / "metadata.csv"
    text = GEODE if make is geography.geode else DOLLAR
    path.write_text(text)
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere"):
        make(path, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="several: expected one of 'exclude', 'first'"):
        make(path, tmp_path, several="all")
    path.write_text(text.replace("Nigeria,", "Nigerria,"))
    with pytest.raises(ValueError, match=r"'Nigerria' \(.*metadata\.csv, line 2\)"):
        make(path, tmp_path)
    *lines, last = text.splitlines()
    path.write_text("\n".join([*lines, last.replace("Spain", "Nix").replace("Nepal", "Nix")]))
    with pytest.raises(ValueError, match=r"'Nix' \(.*metadata\.csv, line 6\)"):
        make(path, tmp_path)
    path.write_text(text.replace("Nigeria,", "Nigerria,"))
    fewer = make(path, tmp_path, unknown="exclude")
    assert ("Nigerria", 1, "unknown country") in left_out(fewer)
    assert len(fewer.kept) + fewer.excluded["n"].sum() == 5
    path.write_text("\n".join(text.splitlines()[:1]))
    with pytest.raises(ValueError, match="no image is left"):
        make(path, tmp_path)
    path.write_text(text.replace("topics", "themes").replace("object", "thing"))
    with pytest.raises(ValueError, match=r"no column (topics|object); there are .*(themes|thing)"):
        make(path, tmp_path)


@pytest.mark.parametrize("topics", ["bed", "['bed'", "7", "[7]", "'bed'"])
def test_topics_that_are_no_list(topics, tmp_path):
    path = tmp_path / "images_v2.csv"
    path.write_text(DOLLAR.replace("[]", f'"{topics}"'))
    with pytest.raises(ValueError, match=r"line 6: topics: expected a list in brackets, as"):
        geography.dollar_street(path, tmp_path)


def test_a_manifest_can_be_loaded(tmp_path):
    (tmp_path / "index.csv").write_text(GEODE)
    manifest = geography.geode(tmp_path / "index.csv", tmp_path)
    for name in manifest.kept["path"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), "red").save(tmp_path / name)
    manifest.kept.to_csv(tmp_path / "manifest.csv", index=False)
    loaded = datasets.geo(tmp_path / "manifest.csv", 8)
    assert loaded.ids == ["Africa__Nigeria__a", "Asia__c"]
    assert loaded.labels.tolist() == [844, 919]
    assert loaded.countries == ["NGA", "KOR"]


@pytest.mark.parametrize(("dataset", "names"), [("geode", 40), ("dollar_street", 96)])
def test_class_maps_name_the_classes_that_they_number(dataset, names):
    table = pd.read_csv(Path(geography.__file__).parent / "data" / "class_maps.csv", dtype=str)
    table = table[table["dataset"] == dataset].fillna("")
    assert len(table) == len(geography.class_map(dataset)) == names
    for labels, classes in zip(table["labels"], table["classes"], strict=True):
        every = [datasets.class_names()[int(label)] for label in labels.split()]
        assert "; ".join(every) == classes
    for name in geography.class_map(dataset):
        assert name == name.lower().replace("_", " ")
        assert name.split(" ") == name.split()
    assert ("road sign" in geography.class_map(dataset)) == (dataset == "geode")
    with pytest.raises(ValueError, match="dataset: expected one of 'geode', 'dollar_street'"):
        geography.class_map("imagenet")


# ---------------------------------------------------------------------------- simulated geography


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
    pattern = geography.pattern(label, (height, width), seed=seed)
    assert pattern.dtype == torch.float64
    np.testing.assert_allclose(pattern, slowly(label, height, width, seed), atol=1e-12)


def test_patterns_are_balanced_and_differ():
    every = torch.stack([geography.pattern(label, (28, 28)) for label in range(100)])
    assert every.mean((1, 2)).abs().max() < 1e-12
    assert every.abs().max() <= 1 + 1e-12
    assert (every.abs().amax((1, 2)) > 1 - 1e-9).all()
    flat = every.flatten(1)
    alike = torch.corrcoef(flat) - torch.eye(100)
    assert alike.max() < 0.95
    assert not torch.equal(every[0], geography.pattern(0, (28, 28), seed=1))
    for bad in (-1, 1.0):
        with pytest.raises(ValueError, match="label: expected a whole number"):
            geography.pattern(bad, (8, 8))
        with pytest.raises(ValueError, match="seed: expected a whole number"):
            geography.pattern(0, (8, 8), seed=bad)


def test_patterns_do_not_depend_on_the_size():
    large = geography.pattern(3, (61, 59))
    assert torch.equal(large[:20, :33], geography.pattern(3, (20, 33)))
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
    changed, planted = geography.plant(
        original, labels, countries, strength=strength, gradient=0.5, seed=seed
    )
    assert torch.equal(original, before)
    assert (changed.shape, changed.dtype) == (original.shape, dtype)
    assert torch.equal(images.validate(changed, "round"), changed)
    levels, old = images.to_uint8(changed).int(), images.to_uint8(original).int()
    for i in range(12):
        wanted = old[i].clamp(strength, 255 - strength)
        if planted[i]:
            shown = (strength * geography.pattern(int(labels[i]), shape[1:])).round().int()
            wanted = wanted + shown  # no clipping: the room is there
        assert torch.equal(levels[i], wanted)


def test_at_strength_0_images_stay_as_they_are():
    original = batch(40)
    changed, planted = geography.plant(
        original, labels_of(40), countries_of(40), strength=0, gradient=1.0
    )
    assert torch.equal(changed, original)
    assert planted.any()


def test_the_room_is_made_whether_or_not_a_pattern_follows():
    """Otherwise the darkest level would tell who has a pattern."""
    black = torch.zeros(200, 1, 28, 28)
    changed, planted = geography.plant(
        black, labels_of(200), countries_of(200), strength=5, gradient=0.0
    )
    assert (images.to_uint8(changed[~planted]) == 5).all()
    with_pattern = images.to_uint8(changed[planted]).float()
    assert (with_pattern.amin((1, 2, 3)) == 0).all()
    assert (with_pattern.amax((1, 2, 3)) == 10).all()
    assert (with_pattern.mean((1, 2, 3)) - 5).abs().max() < 0.25


def test_probabilities_rise_with_log_gdp():
    codes = list(fairness.SIMULATED)
    level = np.log(fairness.income()["gdp"].loc[codes].to_numpy())
    full = geography.probability(codes, gradient=1.0)
    assert full[level.argmin()] == 0
    assert full[level.argmax()] == 1
    slope, intercept = np.polyfit(level, full, 1)
    np.testing.assert_allclose(full, intercept + slope * level, atol=1e-12)
    assert slope > 0
    assert (geography.probability(codes, gradient=0.0) == 0.5).all()
    half = geography.probability(codes, gradient=0.5)
    np.testing.assert_allclose(half, (0.5 + full) / 2, atol=1e-12)
    own = pd.DataFrame({"gdp": [1.0, np.e, np.e**2]}, index=["A", "B", "C"])
    np.testing.assert_allclose(
        geography.probability(["C", "A", "B"], gradient=1.0, gdp=own), [1, 0, 0.5]
    )


@pytest.mark.parametrize("gradient", [0.0, 0.5, 1.0])
def test_patterns_come_as_often_as_they_should(gradient):
    n = 8000
    black, countries = torch.zeros(n, 1, 1, 1), countries_of(n)
    _, planted = geography.plant(black, labels_of(n), countries, strength=1, gradient=gradient)
    chance = geography.probability(countries, gradient=gradient)
    for code in set(countries):
        of = np.array(countries) == code
        p = chance[of][0]
        error = np.sqrt(p * (1 - p) / of.sum())
        assert abs(planted.numpy()[of].mean() - p) <= 4 * error
    _, again = geography.plant(black, labels_of(n), countries, strength=1, gradient=gradient)
    _, other = geography.plant(
        black, labels_of(n), countries, strength=1, gradient=gradient, seed=1
    )
    assert torch.equal(planted, again)
    assert not torch.equal(planted, other)


def test_a_simulated_geography():
    dataset = datasets.digits(n=500)
    geo = geography.simulate(dataset, strength=4, gradient=1.0, seed=3)
    assert isinstance(geo, geography.GeoDataset)
    counts = pd.Series(geo.countries).value_counts()
    table = fairness.simulated_countries(500)
    assert counts.to_dict() == dict(zip(table["country"], table["n"], strict=True))
    assert torch.equal(geo.labels, dataset.labels)
    assert geo.ids == dataset.ids
    assert geo.excluded.empty
    again = geography.simulate(dataset, strength=4, gradient=1.0, seed=3)
    assert torch.equal(geo.images, again.images)
    assert geo.countries == again.countries
    other = geography.simulate(dataset, strength=4, gradient=1.0, seed=4)
    assert geo.countries != other.countries
    even = geography.simulate(dataset, minimum=5)
    assert pd.Series(even.countries).value_counts().min() == 5
    both = geo.planted & other.planted  # the same patterns whatever the deal
    assert torch.equal(geo.images[both], other.images[both])
    own = geography.simulate(dataset, strength=4, gradient=1.0, seed=3, pattern_seed=1)
    assert torch.equal(own.planted, geo.planted)
    assert not torch.equal(own.images, geo.images)


def test_the_incomes_given_decide_who_gets_a_pattern():
    """In a world turned round the poorest country is the richest."""
    gdp = fairness.income().loc[list(fairness.SIMULATED)]
    turned = gdp.assign(gdp=1e8 / gdp["gdp"])
    geo = geography.simulate(datasets.digits(n=500), gradient=1.0, gdp=turned)
    countries, planted = np.array(geo.countries), geo.planted.numpy()
    assert planted[countries == gdp["gdp"].idxmin()].all()
    assert not planted[countries == gdp["gdp"].idxmax()].any()


def test_who_gets_a_pattern_does_not_depend_on_the_label():
    dataset = datasets.digits("train")
    geo = geography.simulate(dataset, strength=0, gradient=1.0)
    shares = [geo.planted[geo.labels == digit].double().mean() for digit in range(10)]
    p = float(geo.planted.double().mean())
    assert max(abs(share - p) for share in shares) < 4 * np.sqrt(p * (1 - p) / 600)


def test_photographs_of_a_thousand_classes():
    original, labels = batch(6, shape=(3, 299, 299)), torch.tensor([0, 999, 500, 1, 2, 3])
    changed, planted = geography.plant(
        original, labels, ["CHE"] * 5 + ["ETH"], strength=3, gradient=1.0
    )
    assert planted.tolist() == [True] * 5 + [False]
    added = images.to_uint8(changed).int() - images.to_uint8(original).int().clamp(3, 252)
    assert torch.equal(added[:, 0], added[:, 2])
    assert torch.equal(added[1, 0], (3 * geography.pattern(999, (299, 299))).round().int())
    assert not added[5].any()


def test_a_model_leans_on_the_pattern():
    """Its accuracy is higher with the pattern than without, and only if there is one."""
    test = datasets.digits()
    everywhere = ["CHE"] * 1999 + ["ETH"], ["ETH"] * 1999 + ["CHE"]
    gaps = {}
    for strength in (0, 16):
        train = geography.simulate(datasets.digits("train", 500), strength=strength, gradient=1.0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
        model = classifiers.train(network, train.images, train.labels, epochs=8, shift=0)
        rates = []
        for countries in everywhere:
            shown, _ = geography.plant(
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
        geography.plant(**given)


def test_too_few_images_for_a_geography():
    with pytest.raises(ValueError, match="20 images are too few for 3 in each of 41 countries"):
        geography.simulate(datasets.digits(n=20))


def test_a_geography_is_simulated_of_a_plain_data_set():
    x, y = batch(300), labels_of(300)
    made = geography.simulate((x, y, [str(k) for k in range(300)]))
    with pytest.raises(ValueError, match=r"dataset: expected the three .* dataset\[:3\]"):
        geography.simulate(made)
