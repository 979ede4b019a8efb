"""The example of page 3.2 does what it says."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

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
