"""Countries' names, GDP by year, and released metadata."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pycountry
import pytest
from PIL import Image

from humimp import datasets, fairness, geography, simulation

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
    assert set(simulation.SIMULATED) <= set(geography.gdp(2010).index)


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
