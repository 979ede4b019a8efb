"""Every page runs at a tiny size, and gives the same when it is run again."""

import re
from pathlib import Path

import nbformat
import pytest
import yaml

from humimp.pages import Project

from .conftest import ROOT, python
from .test_pages import WORDS

TINY = yaml.safe_load((Path(__file__).parent / "tiny.yml").read_text())
PROJECT = Project(ROOT)
NAMES = PROJECT.names()


@pytest.fixture(scope="module")
def copy(clone):
    """Execute all pages at a tiny size, and build the book, as ``make book`` does."""
    root = clone("tiny")
    given = [f"{page}.{name}={value}" for page in TINY for name, value in TINY[page].items()]
    options = [part for text in given for part in ("-p", text)]
    status, said = python(root, "-m", "humimp.book", "run", *options, HUMIMP_RUNS=root / "a")
    assert status == 0, said
    for name in NAMES:
        assert re.search(rf"^\[\d+/{len(NAMES)}\] {name}  \d", said, re.M), said
    assert f"The book: {root / '_build' / 'html' / 'index.html'}\n" in said
    return root


def test_what_a_page_quotes_is_glued_once_in_the_page_that_it_names(copy):
    glued = {}
    for name in NAMES:
        cells = nbformat.read(copy / "book" / f"{name}.ipynb", as_version=4).cells
        about = [out.get("metadata", {}) for cell in cells for out in cell.get("outputs", [])]
        names = [one["scrapbook"]["name"] for one in about if "scrapbook" in one]
        assert len(set(names)) == len(names), f"{name} glues a name twice"
        glued[name] = set(names)
    for name, words in WORDS.items():
        for key in re.findall(r"\{glue:\w+\}(?:`| )([^`\s]+)", words):
            page, _, own = key.rpartition("::")
            page, own = page.removesuffix(".ipynb") or name, own.split(":")[0]
            assert own in glued[page], f"{name} quotes {key}, which {page} does not glue"


def test_pages_that_are_run_again_give_the_same(copy):
    notebooks = [f"book/{name}.ipynb" for name in NAMES]
    own = ["-p", "no:cacheprovider", "-c", "/dev/null", "-q", "--rootdir", copy]
    check = ["-m", "pytest", *own, "--nbval", "--nbval-cell-timeout", "600", *notebooks]
    status, said = python(copy, *check, HUMIMP_RUNS=copy / "b")
    assert status == 0, said[-5000:]
    # The records were computed anew, not read.
    for page in TINY:
        first, second = (sorted((copy / run / page).iterdir()) for run in ("a", "b"))
        assert [one.name for one in first] == [one.name for one in second]


def test_a_second_run_executes_nothing(copy):
    given = [f"{page}.{name}={value}" for page in TINY for name, value in TINY[page].items()]
    options = [part for text in given for part in ("-p", text)]
    status, said = python(copy, "-m", "humimp.book", "run", *options, HUMIMP_RUNS=copy / "a")
    assert status == 0, said
    assert said.count("  unchanged, ") == len(NAMES)


def test_papermill_takes_any_parameter_of_a_page(copy):
    name = next(name for name in NAMES if "n_images" in TINY.get(name, {}))
    options = [part for key, value in TINY[name].items() for part in ("-p", key, value)]
    command = ["-m", "papermill", f"book/{name}.ipynb", "out.ipynb", *options]
    status, said = python(copy, *command, HUMIMP_RUNS=copy / "a")
    assert status == 0, said[-3000:]
    again, book = (nbformat.read(copy / path, as_version=4) for path in command[2:4])
    # Lists come as text from the command line, and are lists from the first cell on.
    given = "injected-parameters"
    sources, wanted = (
        [cell.source for cell in one.cells if given not in cell.metadata.get("tags", ())]
        for one in (again, book)
    )
    assert sources == wanted


def test_a_misspelt_parameter_is_an_error_that_lists_the_right_names(copy):
    name = next(name for name in NAMES if "n_images" in TINY.get(name, {}))
    command = ["-m", "papermill", f"book/{name}.ipynb", "out.ipynb", "-p", "n_imags", 8]
    status, said = python(copy, *command, HUMIMP_RUNS=copy / "c")
    assert status != 0
    assert f"{name} has no parameter 'n_imags' (did you mean 'n_images'?)" in said
    for parameter in PROJECT.page(name).parameters:
        assert re.search(rf"^  {parameter} = ", said, re.M)
