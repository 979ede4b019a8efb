"""What every page promises, read from its source."""

import re
from pathlib import Path

import pytest
import yaml

from humimp.pages import PROFILE, Project

ROOT = Path(__file__).parents[2]
PROJECT = Project(ROOT)
NAMES = PROJECT.names()
BIBLIOGRAPHY = (ROOT / "book" / "references.bib").read_text("utf-8")


def listed():
    return re.findall(r"(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text())


def text(name):
    """Read the Markdown of a page."""
    if name not in NAMES:
        return (ROOT / "book" / f"{name}.md").read_text("utf-8")
    cells = PROJECT.page(name).notebook().cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def code(name):
    return "\n".join(c.source for c in PROJECT.page(name).notebook().cells if c.cell_type == "code")


WORDS = {name: text(name) for name in listed()}
BOOK = "\n".join(WORDS.values())


def test_every_file_of_the_book_is_in_its_contents():
    here = {path.stem for path in (ROOT / "book").iterdir() if path.suffix in {".py", ".md"}}
    assert here == set(listed())
    assert (ROOT / "book" / "_toc.yml").readlink() == Path("../_toc.yml")


def test_the_pages_have_the_numbers_of_the_papers_sections():
    for name in (name for name in NAMES if name[0].isdigit()):
        number = ".".join(str(int(part)) for part in re.findall(r"\d+", name))
        assert WORDS[name].startswith(f"# {number} "), f"{name} should begin with '# {number} ...'"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_that_computes_has_parameters_and_says_which_run_it_shows(name):
    page = PROJECT.page(name)
    called = re.findall(r"book\.start\((.*?)\)", code(name))
    assert called in ([f'"{name}"'], []), f"{name}: book.start({called[0]}) is another page"
    assert ("run" in page.parameters) == bool(called)
    for parameter, one in page.parameters.items():
        assert len(one.comment) > 3, f"{name}: the parameter {parameter} needs a comment"
    for cell in page.notebook().cells:
        if "book.start(" in cell.source and cell.cell_type == "code":
            assert "nbval-ignore-output" in cell.metadata.get("tags", ())


@pytest.mark.parametrize("file", sorted((ROOT / "book" / "profiles").glob("*.yml")), ids=str)
def test_a_profile_names_pages_and_parameters_that_exist(file):
    assert bool(PROJECT.profile(file.stem)) == (file.stem != PROFILE)  # that is the defaults


def test_the_tiny_profile_of_the_tests_names_parameters_that_exist():
    for name, given in yaml.safe_load((Path(__file__).parent / "tiny.yml").read_text()).items():
        PROJECT.page(name).check(given)


def test_the_bibliography_holds_exactly_the_works_that_are_cited():
    entries = re.findall(r"^@\w+\{([^,\s]+),", BIBLIOGRAPHY, re.M)
    cited = {
        key.strip()
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]*)`", BOOK)
        for key in keys.split(",")
    }
    assert sorted(entries) == sorted(set(entries)), "a key is there twice"
    assert cited - set(entries) == set(), "cited, and not in references.bib"
    assert set(entries) - cited == set(), "in references.bib, and not cited"


def test_labels_are_unique_and_every_reference_has_one():
    labels = re.findall(r'^:name: "?([\w-]+)"?$|^\(([\w-]+)\)=$', BOOK, re.M)
    names = [first or second for first, second in labels]
    assert sorted(names) == sorted(set(names))
    referred = re.findall(r"\{ref\}`(?:[^`<]*<)?([\w-]+)>?`", BOOK)
    assert set(referred) - set(names) == set()
    pages = re.findall(r"\{doc\}`(?:[^`<]*<)?([\w-]+)>?`", BOOK)
    assert set(pages) - set(listed()) == set()


def test_every_figure_and_table_has_a_caption_and_a_number():
    captions = re.findall(r"^```\{glue:figure\} (\S+)\n((?::\w+:.*\n)*)\n*(.*)", BOOK, re.M)
    for key, options, first in captions:
        assert ":name:" in options, f"{key} has no name to refer to"
        assert re.match(r"\*\*(Figure|Table) [\dE]\w*\.\*\*", first), f"{key}: {first[:40]!r}"
    extra = [int(n) for _, _, first in captions for n in re.findall(r"^\*\*Figure E(\d+)\.", first)]
    assert extra == list(range(1, len(extra) + 1)), "E1, E2, ... in reading order"
