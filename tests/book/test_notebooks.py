"""Every page runs at a tiny size, and gives the same when it is run again."""

import re
from pathlib import Path

import nbformat
import pytest
import yaml

from humimp.pages import Project

from .conftest import ROOT, python

TINY = yaml.safe_load((Path(__file__).parent / "tiny.yml").read_text()) or {}
NAMES = Project(ROOT).names()


@pytest.fixture(scope="module")
def copy(clone):
    root = clone("tiny")
    assert python(root, "-m", "humimp.book", "notebooks")[0] == 0
    return root


@pytest.mark.parametrize("name", NAMES)
def test_a_page_runs_with_other_parameters_and_again_gives_the_same(copy, name):
    given = [part for key, value in TINY.get(name, {}).items() for part in ("-p", key, value)]
    # From the top, and with the notebook in its place: as the README says it, and as Lab runs it.
    page = f"book/{name}.ipynb"
    status, said = python(
        copy, "-m", "papermill", "--cwd", "book", page, page, *given, HUMIMP_RUNS=copy / "a"
    )
    assert status == 0, said[-3000:]

    own = ["-p", "no:cacheprovider", "-c", "/dev/null", "-q", "--rootdir", copy]
    check = ["-m", "pytest", *own, "--nbval", "--nbval-cell-timeout", "600", page]
    status, said = python(copy, *check, HUMIMP_RUNS=copy / "b")
    # 5: no cells to compare
    assert status in (0, 5), said[-3000:]


@pytest.mark.parametrize("name", [n for n in NAMES if Project(ROOT).page(n).parameters])
def test_nothing_is_printed_to_stderr_and_no_widget_is_left(copy, name):
    notebook = nbformat.read(copy / "book" / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert output.get("name") != "stderr", f"{name}: {output.text[:300]}"
    assert "widgets" not in notebook.metadata


def test_a_misspelt_parameter_is_an_error_that_lists_the_right_names(copy):
    name = next(n for n in NAMES if "n_images" in Project(ROOT).page(n).parameters)
    page = f"book/{name}.ipynb"
    status, said = python(
        copy, "-m", "papermill", page, "out.ipynb", "-p", "n_imags", 8, HUMIMP_RUNS=copy / "c"
    )
    assert status != 0
    assert f"{name} has no parameter 'n_imags' (did you mean 'n_images'?)" in said
    for parameter in Project(ROOT).page(name).parameters:
        assert re.search(rf"^  {parameter} = ", said, re.M)
