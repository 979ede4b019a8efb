"""What the README promises is so."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torchvision
import yaml

from humimp import classifiers, images, weights

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_ten_lines_attack_a_folder_of_photographs(tmp_path, monkeypatch, capsys):
    build = torchvision.models.mobilenet_v2

    def mobilenet_v2(weights=None):  # the same network, without a model hub
        network = build()
        network.load_state_dict(checkpoint)
        return network

    checkpoint = weights.load("mobilenet_v2")
    monkeypatch.setattr(torchvision.models, "mobilenet_v2", mobilenet_v2)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my_photographs"
    folder.mkdir()
    paths = [folder / f"{name}.jpg" for name in "ab"]
    source = Path(find_spec("foolbox").submodule_search_locations[0]) / "data"
    for path, photograph in zip(paths, sorted(source.glob("imagenet_*.jpg")), strict=False):
        shutil.copy(photograph, path)

    code = re.search(r"```python\n(.*?)```", README, re.S)[1]
    assert len([line for line in code.splitlines() if line and "import" not in line]) <= 10
    exec(code, {})

    assert capsys.readouterr().out == "100% of the answers changed\n"
    model = classifiers.load("mobilenet_v2")
    before = torch.stack([images.load(path, size=224) for path in paths])
    after = torch.stack([images.load(path.with_suffix(".attacked.png")) for path in paths])
    assert (classifiers.predict(model, before) != classifiers.predict(model, after)).all()


@pytest.mark.parametrize("link", re.findall(r"\]\(([^):]+)\)", README))
def test_a_link_leads_to_a_file(link):
    assert (ROOT / link).is_file()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?m)(?:^|`)make (\w+)", README))))
def test_a_target_of_make_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.M)


def test_the_citation_names_the_paper_first_and_this_edition():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    paper = citation["preferred-citation"]
    assert paper["title"] == "Human Imperceptible Attacks and Applications to Improve Fairness"
    assert [a["family-names"] for a in paper["authors"]] == ["Hua", "Xu", "Blanchet", "Nguyen"]
    assert "2111.15603" in paper["url"]
    assert citation["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("MIT License\n")
