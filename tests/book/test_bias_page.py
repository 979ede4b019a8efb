"""The example of page 4.1 does what it says."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from PIL import Image

from humimp import fairness, geography
from humimp.pages import Project

ROOT = Path(__file__).parents[2]


def test_the_example_tests_photographs_with_countries(tmp_path, monkeypatch, capsys):
    source = Path(find_spec("foolbox").submodule_search_locations[0]) / "data"
    folder = tmp_path / "my_photographs"
    folder.mkdir()
    rows = []
    places = ("USA", "in", "Nigeria", "Atlantis", "Ivory Coast")
    for place, photograph in zip(places, sorted(source.glob("imagenet_*.jpg")), strict=False):
        shutil.copy(photograph, folder)
        label = "0" if place == "USA" else photograph.stem.split("_")[-1]  # one wrong answer
        rows.append((photograph.name, label, place))
    table = pd.DataFrame(rows, columns=["path", "label", "country"])
    table.to_csv(folder / "manifest.csv", index=False)
    monkeypatch.chdir(tmp_path)
    cells = Project(ROOT).page("04_1_bias_metric").notebook().cells
    words = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    (code,) = re.findall(r"```python\n(.*?)```", words, re.S)
    world = {}
    exec(code, world)
    assert sorted(world["countries"].kept["country"]) == ["CIV", "IND", "NGA", "USA"]
    said = capsys.readouterr().out
    assert "4 countries with 4 images, of which 4 countries with a single image" in said
    assert re.search(r"^slope -?0\.\d{4}, F = \d+\.\d\d, p = [01]\.\d{4}$", said, re.M)
    with Image.open("my_figure_5a.png") as picture:
        assert picture.width > 300
    answers = world["answers"].assign(country=world["images"].countries)
    earlier = fairness.accuracy_by_country(answers, geography.gdp(2010)).kept
    assert (earlier["gdp"] != world["countries"].kept["gdp"]).all()
