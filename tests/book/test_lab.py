"""The pages, which are ``.py`` files, open as notebooks in JupyterLab."""

import json
import sys
from pathlib import Path

import pytest
from jupytext import TextFileContentsManager

from .conftest import ROOT

PREFIX = Path(sys.prefix)


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("*.py")), ids=lambda p: p.stem)
def test_the_contents_manager_gives_a_notebook_with_tags_and_saves_the_same_page(page, tmp_path):
    (tmp_path / page.name).write_bytes(page.read_bytes())
    manager = TextFileContentsManager()
    manager.root_dir = str(tmp_path)
    model = manager.get(page.name, type="notebook", content=True)
    assert model["type"] == "notebook"
    cells = model["content"]["cells"]
    assert cells[0]["source"].startswith("# ")
    if 'tags=["parameters"]' in page.read_text("utf-8"):
        assert any("parameters" in cell["metadata"].get("tags", ()) for cell in cells)
    manager.save(model, page.name)

    def body(path):
        return path.read_text("utf-8").split("# ---\n", 2)[2]

    assert body(tmp_path / page.name) == body(page), "JupyterLab would change the page on saving"


def test_jupyter_has_the_extension_and_opens_them_by_a_double_click():
    config = PREFIX / "etc" / "jupyter"
    server = json.loads((config / "jupyter_server_config.d" / "jupytext.json").read_text())
    assert any("jupytext" in name for name in server["ServerApp"]["jpserver_extensions"])
    assert (PREFIX / "share/jupyter/labextensions/jupyterlab-jupytext/package.json").is_file()
    if not (PREFIX / ".ready").is_file():
        pytest.skip("this environment was not made by make env, which sets the viewer")
    settings = json.loads((config / "labconfig" / "default_setting_overrides.json").read_text())
    viewers = settings["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
    assert viewers["python"] == "Jupytext Notebook"
