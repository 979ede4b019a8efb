"""The examples of page 3.2 do what it says."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from humimp import book, datasets, distances, images
from humimp.figures import style
from humimp.pages import Project

ROOT = Path(__file__).parents[2]


def test_the_example_attacks_a_folder_of_photographs(tmp_path, monkeypatch, capsys):
    source = Path(find_spec("foolbox").submodule_search_locations[0]) / "data"
    for photograph in sorted(source.glob("imagenet_*.jpg"))[:2]:
        folder = tmp_path / "my_photographs" / photograph.stem.split("_")[-1]
        folder.mkdir(parents=True)
        shutil.copy(photograph, folder)
    monkeypatch.chdir(tmp_path)
    cells = Project(ROOT).page("03_2_pieapp").notebook().cells
    words = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    (code,) = re.findall(r"```python\n(.*?)```", words, re.S)
    exec(code, {})
    printed = capsys.readouterr().out
    assert re.search(r"imperceptible +2 +2 +100\.0 ", printed)
    assert len(list((tmp_path / "my_run" / "images").iterdir())) == 2


class Patches(torch.nn.Module):
    """Tell four kinds of pictures apart by the mean colours of their quarters."""

    def __init__(self):
        super().__init__()
        weight = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
        self.weight = torch.nn.Parameter(20 * weight)
        self.eval()

    def forward(self, x):
        means = torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)
        return (means - 0.5) @ self.weight.T


def noise(n, size):
    x = torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1))
    x = images.validate(x, "round")
    return datasets.Dataset(x, Patches()(x).argmax(1), [f"noise-{k}" for k in range(n)])


def test_an_attack_of_ones_own_is_one_line_and_is_in_the_table_and_both_figures(
    tmp_path, monkeypatch
):
    """Run the page's own code with one more line in its list, on a tiny classifier."""
    glued = {}

    def keep(key, value, display=True):
        glued[key] = value

    monkeypatch.setattr("myst_nb.glue", keep)
    monkeypatch.setattr("humimp.book.start", lambda page: book.Run(page, "yours", tmp_path, {}))
    monkeypatch.setattr("humimp.classifiers.load", lambda name, device: Patches())
    monkeypatch.setattr("humimp.datasets.photographs", noise)
    for judge in ("LPIPS", "DISTS", "Saliency"):
        monkeypatch.setattr(f"humimp.distances.{judge}", lambda: distances.l1)
    page = Project(ROOT).page("03_2_pieapp")
    tiny = {
        "n_images": 3, "sample": 2, "size": 64, "cost": "SSIM", "steps": 2,
        "confidences": [0.0, 1.0],
        "perc_al_steps": 2, "ddn_steps": 2, "alma_steps": 2, "qualities": [50], "bit_depths": [3],
        "n_shown": 1,
    }  # fmt: skip
    page.check(tiny)
    world = {"__name__": "__main__"}
    lines = 0
    line = re.compile(r'\n( +)\("FGSM", fgsm, .*\),\n')
    more = r'\g<0>\1("Mine", fgsm, {"levels": 40}),\n'
    for cell in page.notebook().cells:
        if cell.cell_type != "code":
            continue
        source, added = line.subn(more, cell.source)
        lines += added
        exec(source, world)
        if "parameters" in cell.metadata.get("tags", ()):
            world.update(tiny)
    assert lines == 1
    assert glued["n_images"] == 2  # those that were drawn
    table, figure = glued["tab_1"], glued["fig_4"]
    (row,) = (cells for cells, *_ in table.rows if cells[0] == "Mine")
    assert row[1].startswith("100")
    assert row[3] != "–"
    for axes in figure.axes:
        (curve,) = (line for line in axes.lines if line.get_label() == "Mine")
        assert curve.get_ydata()[0] == 100
    # The last panel of Figure 3 is the attack, pixel by pixel but for the frame around the detail.
    picture = np.asarray(glued["fig_3"])
    (path,) = (tmp_path / "mine" / "images").glob(f"{world['chosen'][0]}.png")
    attacked = np.asarray(Image.open(path))
    shown = list(world["panels"][0])
    assert shown[-1] == "Mine"
    per_row = (style.COLUMN + 8) // (64 + 8)
    last = len(shown) - 1
    left = last % per_row * (64 + 8)
    heights = range(picture.shape[0] - 64)
    column = picture[:, left : left + 64]
    assert any((column[top : top + 64] == attacked).mean() > 0.95 for top in heights)
