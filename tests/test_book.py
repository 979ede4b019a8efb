import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from io import StringIO

import nbformat
import pytest

from humimp import book, datasets, pages, runner, runs, weights
from humimp.pages import Project

HEAD = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A page
# Prose.

"""
PARAMETERS = """\
# %% tags=["parameters"]
run = "yours"  # whose results
n_images = 20  # how many
step_size = 0.1  # how far

"""
# Without book.start, which would import torch: these pages must be quick.
RECORDS = """\
# %%
from pathlib import Path
log = Path("../log.txt")
log.write_text((log.read_text() if log.exists() else "") + __import__("os").getcwd() + "\\n")
print(2 * n_images)
"""
FAILING = """\
# %%
print("before")

# %%
raise ValueError("no such\\nphotograph")
"""
COMPUTING = """\
# %%
from humimp import book
pgd = book.start("01_first").folder / "pgd"
if not pgd.exists():
    (pgd / "parts").mkdir(parents=True)
    (pgd / "images").mkdir()
    for name in ("records.parquet", "parts/0.parquet", "images/1.png", "images/2.png"):
        (pgd / name).write_text(name[-5])
(pgd / "images" / "1.png").read_text()
"""
SLEEPING = """\
import os, pathlib, time
pathlib.Path("pid").write_text(str(os.getpid()))
time.sleep(60)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "book" / "profiles").mkdir(parents=True)
    (tmp_path / "_config.yml").write_text("title: A book\n")
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nchapters:\n"
        "  - file: 01_first\n    sections:\n      - file: 01_1_second\n  - file: 02_third\n"
    )
    (tmp_path / "requirements.txt").write_text("torch==2.13.0 \\\n    --hash=sha256:00\n")
    for name, text in (
        ("01_first", PARAMETERS + RECORDS),
        ("01_1_second", RECORDS.replace("n_images", "21")),
        ("02_third", "# %%\nprint(1)\n"),
    ):
        (tmp_path / "book" / f"{name}.py").write_text(HEAD + text)
    (tmp_path / "book" / "profiles" / "laptop.yml").write_text("01_first:\n  n_images: 20\n")
    (tmp_path / "book" / "profiles" / "paper.yml").write_text("01_first:\n  n_images: 1000\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(pages.RUNS_VARIABLE, raising=False)
    monkeypatch.setattr(runner, "checkpoints", dict)
    return Project(tmp_path)


@pytest.fixture
def executed(monkeypatch):
    """Pretend to execute pages, and list their names and parameters."""
    log = []

    def pretend(page, injected, draft, show):
        log.append((page.name, injected))
        notebook = page.notebook()
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.execution_count = 1
        nbformat.write(notebook, draft)
        broken = "1 / 0" in page.source.read_text()
        return "cell 1/1: ZeroDivisionError: division by zero" if broken else ""

    monkeypatch.setattr(runner, "_papermill", pretend)
    return log


@pytest.fixture
def show():
    return runner.Progress(StringIO(), every=0.05)


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


# ------------------------------------------------------------------------------ what a page is


def test_pages_come_in_the_order_of_the_contents_and_only_those_that_are_computed(project):
    assert project.names() == ["01_first", "01_1_second", "02_third"]


def test_an_unknown_page_is_refused_with_the_names_there_are(project):
    with pytest.raises(ValueError, match=r"no page '01_frist' \(did you mean '01_first'\?\).*02_t"):
        project.page("01_frist")


def test_parameters_are_read_with_their_comments(project):
    found = project.page("01_first").parameters
    assert found["n_images"] == pages.Parameter(20, "# how many")
    assert list(found) == ["run", "n_images", "step_size"]
    assert project.page("02_third").parameters == {}


def test_a_parameters_cell_holds_plain_values_only(project):
    edit(project.book / "01_first.py", "n_images = 20", "n_images = len('x')")
    with pytest.raises(ValueError, match=r"01_first\.py: the parameters cell .*len\('x'\)"):
        _ = project.page("01_first").parameters


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_imags": 8}, r"01_first has no parameter 'n_imags' \(did you mean 'n_images'\?\)"),
        ({"zzz": 8}, r"parameters are\n  run = 'yours'  # whose results\n  n_images = 20  # how"),
        ({"n_images": "eight"}, r"n_images must be of type int, such as 20; 'eight' is .* str"),
        ({"n_images": 8.5}, r"n_images must be of type int"),
        ({"n_images": True}, r"n_images must be of type int.*bool"),
        ({"run": "mine"}, r'run must be "yours" \(compute\) or "reference"'),
    ],
)
def test_a_wrong_parameter_is_refused(project, given, message):
    with pytest.raises(ValueError, match=message):
        project.page("01_first").check(given)


@pytest.mark.parametrize(
    ("name", "page", "value", "message"),
    [
        ("n_images", "03_2_pieapp", 0, r"03_2_pieapp: n_images must be at least 1, got 0"),
        ("size", "03_2_pieapp", 32, "size must be at least 64, got 32"),
        ("step_size", "03_2_pieapp", 0.0, "step_size must be above 0, got 0.0"),
        ("qualities", "03_2_pieapp", [], r"qualities must not be empty; such as \[90, 80"),
        ("qualities", "03_2_pieapp", [90, 96], "qualities must be at least 1 and at most 95"),
        ("bit_depths", "03_2_pieapp", [3, 3], "bit_depths must not hold a value twice"),
        ("confidences", "03_2_pieapp", [2.0], "confidences must hold two values at least"),
        ("confidences", "03_2_pieapp", [0.0, -1.0], "confidences must be at least 0, got -1.0"),
        ("cost", "03_2_pieapp", "PieApp", r"cost must be one of 'PieAPP-small', 'PieAPP', .* mean"),
        ("images", "03_2_pieapp", "cats", "images must be one of 'photographs', 'imagenet1000'"),
        ("reading", "03_2_pieapp", "floor", "reading must be one of 'truncate', 'round', 'none'"),
        ("qualities", "03_2_pieapp", [90.5], r"qualities must be of type list of int, .* float"),
        ("confidences", "03_2_pieapp", [0.0, "1"], r"type list of float, .* of float and str"),
        ("networks", "03_2_3_networks", ["vgg", "resnet50"], "networks must be one of 'mobilen"),
        ("networks", "03_2_3_networks", ["resnet50"], "networks must hold two values at least"),
        ("later", "03_2_3_networks", ["ALMA"], "later must be one of 'DDN', '8-bit aware', 'ALMA "),
        ("strength", "04_1_bias_metric", 128, "strength must be at least 0 and at most 127"),
        ("images", "04_1_bias_metric", "mnist", "images must be one of 'digits', 'imagenet1000'"),
        ("n_models", "04_3_results", 1, "n_models must be at least 2, got 1"),
        ("distances", "03_1_ssim", [1e9], "distances must be above 0 and at most 28, got"),
    ],
)  # fmt: skip
def test_a_value_that_the_pages_cannot_take_is_refused(name, page, value, message):
    source = Project(pages.PACKAGE.parent).page(page)
    with pytest.raises(ValueError, match=message):
        source.check({name: value})
    source.check({name: source.defaults[name]})


def test_a_float_may_be_given_as_a_whole_number(project):
    project.page("01_first").check({"step_size": 1, "n_images": 8, "run": "reference"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("01_first:\n  n_imags: 8\n", r"laptop\.yml: 01_first has no parameter 'n_imags'"),
        ("09_none:\n  n_images: 8\n", r"laptop\.yml: There is no page '09_none'"),
        ("01_first:\n  n_images: 8.5\n", r"laptop\.yml: 01_first: n_images must be"),
        (
            "01_first:\n  n_images: [8\n",
            r"laptop\.yml, line 3, column 1: not YAML: expected",
        ),
        ("01_first: 8\x07\n", r"laptop\.yml: not YAML: unacceptable character"),
        ("- 01_first\n", r"laptop\.yml: expected a mapping of pages to parameters, got a list"),
        (
            "01_first: [8]\n",
            r"laptop\.yml: 01_first: expected a mapping of .* got a list",
        ),
        ("1: {n_images: 8}\n", r"laptop\.yml: There is no page 1"),
        ("01_first: {1: 8}\n", r"laptop\.yml: 01_first has no parameter 1"),
    ],
)
def test_a_wrong_profile_is_refused(project, text, message):
    (project.book / "profiles" / "laptop.yml").write_text(text)
    with pytest.raises(ValueError, match=message):
        project.profile("laptop")


def test_a_profile_may_be_empty_and_name_pages_without_parameters(project):
    file = project.book / "profiles" / "laptop.yml"
    file.write_text("# nothing yet\n")
    assert project.profile("laptop") == {}
    file.write_text("01_first:\n")
    assert project.profile("laptop") == {"01_first": {}}


def test_another_broken_profile_is_named_when_a_folder_is(project):
    (project.book / "profiles" / "paper.yml").write_text("01_first: [\n")
    with pytest.raises(ValueError, match=r"paper\.yml, line 2, column 1: not YAML"):
        project.page("01_first").folder({"n_images": 8})


def test_a_broken_table_of_contents_is_named(project):
    (project.root / "_toc.yml").write_text("root: [\n")
    with pytest.raises(ValueError, match=r"_toc\.yml, line 2, column 1: not YAML"):
        project.names()


def test_numbers_that_yaml_takes_for_text_are_numbers_where_a_float_is_wanted(project):
    edit(project.book / "01_first.py", "step_size = 0.1", "rates = [0.1, 1.0]\nstep_size = 0.1")
    (project.book / "profiles" / "fine.yml").write_text(
        "01_first: {step_size: 1e-3, rates: [1e-4, 2]}\n"
    )
    values = project.profile("fine")["01_first"]
    assert values == {"step_size": 0.001, "rates": [0.0001, 2]}
    assert project.page("01_first").label(values) == "fine"
    same = {"step_size": "much", "n_images": "1e3", "run": "1e3", "rates": ["nan"], "other": "1e3"}
    assert project.page("01_first").numbers(same) == same


def test_an_unknown_profile_is_refused(project):
    with pytest.raises(ValueError, match="no profile 'desktop'; there are laptop, paper"):
        project.profile("desktop")


def test_a_folder_is_the_parameters_and_the_code_that_computes(project):
    page = project.page("01_first")
    folder = page.folder({})
    assert folder.parent == project.root / "runs" / "01_first"
    assert folder.name.startswith("laptop-")
    assert page.folder({"n_images": 20, "run": "yours"}) == folder
    assert page.folder({"n_images": 1000}).name.startswith("paper-")
    custom = page.folder({"n_images": 8})
    assert custom.name.startswith("custom-")
    assert custom != page.folder({"n_images": 9})
    assert page.folder({"run": "reference"}) == project.root / "results" / "laptop" / "01_first"

    edit(page.source, "# Prose.", "# Other prose.")
    edit(page.source, "print(2 * n_images)", "print(2 * n_images)  # twice")
    assert project.page("01_first").folder({}) == folder
    edit(page.source, "print(2 * n_images)", "print(3 * n_images)")
    assert project.page("01_first").folder({}) != folder


def test_records_may_lie_elsewhere(project, monkeypatch, tmp_path):
    monkeypatch.setenv(pages.RUNS_VARIABLE, str(tmp_path / "disk"))
    assert project.page("01_first").folder({}).parts[-3:-1] == ("disk", "01_first")


def test_a_relative_folder_of_records_is_the_same_from_everywhere(project, monkeypatch):
    monkeypatch.setenv(pages.RUNS_VARIABLE, "disk")
    folder = project.page("01_first").folder({})
    assert folder.is_relative_to(project.root / "disk")
    monkeypatch.chdir(project.book)  # where kernels run
    assert project.page("01_first").folder({}) == folder


def test_relative_folders_of_data_are_made_absolute_for_the_kernels(project, monkeypatch):
    assert set(book.FOLDERS) == {datasets.VARIABLE, weights.VARIABLE, weights.CACHE_VARIABLE}
    for name in book.FOLDERS:
        monkeypatch.setenv(name, "mine")
    assert book.main(["notebooks"]) == 0
    assert {os.environ[name] for name in book.FOLDERS} == {str(project.root / "mine")}


def test_an_integer_is_a_float_where_the_default_is_one(project):
    read = book.wanted(project, "laptop", ["01_first"], ["01_first.step_size=1"])["01_first"]
    assert repr(read["step_size"]) == "1.0"
    here = begin(
        "01_first", In=["# Parameters\nstep_size = 1\n"], run="yours", n_images=20, step_size=1
    )
    assert here.folder == project.page("01_first").folder(read)
    assert pages._number([0, 1, True], [0.5]) == [0.0, 1.0, True]
    assert repr(pages._number([0, 1], [0.5])) == "[0.0, 1.0]"


def test_what_changes_while_a_page_runs_is_not_what_it_was_made_with(
    project, show, executed, monkeypatch
):
    page, pretend = project.page("01_first"), runner._papermill

    def edited_meanwhile(*given):
        (project.root / "results").mkdir()
        (project.root / "results" / "new.json").write_text("{}")
        (project.root / "requirements.txt").write_text("torch==2.13.1 \\\n --hash=sha256:00\n")
        return pretend(*given)

    folder = page.folder({})
    complete(project, "01_first", {}, state="started")
    monkeypatch.setattr(runner, "_papermill", edited_meanwhile)
    runner.execute(page, {}, show)
    assert not runner.is_current(page, {})
    assert json.loads((folder / "provenance.json").read_text())["state"] == "complete"


@pytest.fixture
def package(tmp_path, monkeypatch):
    copy = tmp_path / "humimp"
    copy.mkdir()
    (copy / "attacks.py").write_text("x = 1\n")
    (copy / "figures").mkdir()
    (copy / "figures" / "one.py").write_text("y = 1\n")
    monkeypatch.setattr(pages, "PACKAGE", copy)
    return copy


def test_the_package_changes_fingerprint_and_folder(project, package):
    def now():
        page = project.page("01_first")
        return page.fingerprint({}), page.folder({})

    first = now()
    (package / "attacks.py").touch()
    (project.root / "unrelated.txt").write_text("x")
    assert now() == first
    (package / "attacks.py").write_text('"""Docstring."""\n\nx = 1  # one\n')
    comment = now()
    assert comment[0] != first[0]
    assert comment[1] == first[1]
    (package / "figures" / "one.py").write_text("y = 2\n")
    figure = now()
    assert figure[0] != comment[0]
    assert figure[1] == first[1]
    (package / "data").mkdir()
    (package / "data" / "digits.npz").write_bytes(b"1")
    data = now()
    assert data[0] != figure[0]
    assert data[1] != first[1]
    (package / "data" / "digits.npz").unlink()
    (package / "attacks.py").write_text("x = 2\n")
    code = now()
    assert code[0] != figure[0]
    assert code[1] != first[1]
    (package / "attacks.py").write_text("def x():\n    return 2\n")
    function = now()
    (package / "attacks.py").write_text('def x():\n    """Docstring."""\n    return 2\n')
    assert now()[1] == function[1] != code[1]


def test_the_papers_numbers_change_the_folder(project, package):
    (package / "paper.py").write_text("SHARE_US = 43.2\n")
    before = project.page("01_first").folder({})
    (package / "paper.py").write_text("SHARE_US = 50.0\n")
    assert project.page("01_first").folder({}) != before


def imported(file):
    """Collect the dotted names that a module imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_what_computes_imports_nothing_that_may_change_without_making_records_worthless():
    showing = [f"humimp.{name.removesuffix('.py').strip('/')}" for name in pages._SHOWING]
    assert "humimp.figures" in showing
    showing.remove("humimp.progress")  # bars, which no record depends on
    files = {path.relative_to(pages.PACKAGE).as_posix(): path for path in pages._sources()}
    computing = {name: file for name, file in files.items() if not name.startswith(pages._SHOWING)}
    assert {"fairness.py", "paper.py", "attacks/pgd_l2.py"} <= computing.keys()
    wrong = {
        (name, one)
        for name, file in computing.items()
        for one in imported(file)
        if any(f"{one}.".startswith(f"{module}.") for module in showing)
    }
    assert wrong == set()
    assert "humimp.pages.Page" in set(imported(files["runner.py"]))


def test_pinned_packages_change_fingerprint_and_folder(project):
    page = project.page("01_first")
    before = page.fingerprint({}), page.folder({})
    (project.root / "requirements.txt").write_text("# new\ntorch==2.13.0 \\\n --hash=sha256:11\n")
    assert (page.fingerprint({}), page.folder({})) == before
    (project.root / "requirements.txt").write_text("torch==2.13.1 \\\n    --hash=sha256:00\n")
    assert page.fingerprint({}) != before[0]
    assert page.folder({}) != before[1]


def test_the_committed_results_change_the_fingerprint(project):
    page = project.page("01_first")
    before = page.fingerprint({}), page.folder({})
    page.reference.mkdir(parents=True)
    (page.reference / "records.parquet").write_bytes(b"1")
    assert page.fingerprint({}) != before[0]
    assert page.folder({}) == before[1]


def test_conversion_is_repeatable_and_keeps_tags(project):
    page = project.page("01_first")
    assert page.notebook() == Project(project.root).page("01_first").notebook()
    assert page.notebook().cells[1].metadata.tags == ["parameters"]


# ------------------------------------------------------------------------------ how it begins


def begin(name, **known):
    """Call book.start as a page does, from the top level of a module with these names."""
    known["book"] = book
    exec(f"here = book.start({name!r})", known)
    return known["here"]


def test_start_makes_a_folder_that_says_where_it_comes_from(project, capsys):
    here = begin("01_first", run="yours", n_images=8, step_size=0.1)
    assert (here.run, here.page) == ("yours", "01_first")
    assert here.folder == project.page("01_first").folder({"n_images": 8})
    about = json.loads((here.folder / "provenance.json").read_text())
    assert about["profile"] == "custom"
    assert about["parameters"] == {"run": "yours", "n_images": 8, "step_size": 0.1}
    assert about["packages"]["torch"]
    said = capsys.readouterr().out
    assert said.startswith("**Your run**: custom profile, started 20")
    assert "commit unknown" in said  # this project is not a checkout

    again = begin("01_first", run="yours", n_images=8, step_size=0.1)
    assert again == here


def test_start_names_the_commit_and_whether_files_were_changed(project):
    def git(*arguments):
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *who, *arguments], cwd=project.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")
    here = begin("01_first", run="yours", n_images=8, step_size=0.1)
    assert here.about["commit"] == git("rev-parse", "HEAD")
    assert here.about["dirty"] is False
    edit(project.book / "01_first.py", "Prose", "New prose")
    here = begin("01_first", run="yours", n_images=9, step_size=0.1)
    assert here.about["dirty"] is True
    assert "with uncommitted changes" in here.line()


def test_start_refuses_a_name_that_papermill_set_and_the_page_lacks(project):
    cells = ["", "# Parameters\nn_imags = 3\n", "x = 1", "# Parameters\nn_imags = 8\nrun = 'yours'"]
    with pytest.raises(ValueError, match=r"no parameter 'n_imags'.*\n  run = 'yours'"):
        begin("01_first", In=cells, run="yours", n_images=20, step_size=0.1)
    cells.append("# Parameters\nn_images = 8")  # corrected in the same session
    assert begin("01_first", In=cells, run="yours", n_images=8, step_size=0.1).run == "yours"


def test_start_refuses_a_value_of_another_type(project):
    with pytest.raises(ValueError, match="n_images must be of type int"):
        begin("01_first", run="yours", n_images="8", step_size=0.1)


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("[1.0, 3]", [2.0], [1.0, 3]),
        ("[90, 50]", 5, "[90, 50]"),
        ("1.0", [2.0], "1.0"),
        ("[1.0", [2.0], "[1.0"),
        ([4.0], [2.0], [4.0]),
    ],
)
def test_a_list_that_papermill_passed_as_text_is_read(text, default, value):
    assert book._list(text, default) == value


def test_start_shows_the_reference_run_only_if_there_is_one(project):
    with pytest.raises(ValueError, match=r'01_first has no reference run.*run = "yours"'):
        begin("01_first", run="reference", n_images=20, step_size=0.1)
    folder = project.page("01_first").reference
    folder.mkdir(parents=True)
    shutil.copy(begin("01_first").folder / "provenance.json", folder)
    here = begin("01_first", run="reference", n_images=20, step_size=0.1)
    assert here.folder == folder
    assert here.line().startswith("**Reference run**: laptop profile, started")
    with pytest.raises(ValueError, match=r"made with n_images = 20, not 21; .* run = \"yours\""):
        begin("01_first", run="reference", n_images=21, step_size=0.1)


def test_start_outside_of_the_project_refuses_an_unknown_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"no page '99_none'.*has a book/99_none\.py"):
        begin("99_none")


# ------------------------------------------------------------------------------ how it is run


def test_a_page_is_executed_beside_its_source_and_put_in_its_place(project, show):
    page = project.page("01_first")
    runner.execute(page, {"n_images": 8, "step_size": 0.1}, show)
    assert (project.root / "log.txt").read_text() == f"{project.book}\n"
    assert not list(project.build.glob("run-*"))
    notebook = nbformat.read(page.path, as_version=4)
    nbformat.validate(notebook)
    tags = [cell.metadata.get("tags") or [] for cell in notebook.cells]
    assert tags == [[], ["parameters"], ["injected-parameters"], []]
    assert notebook.cells[2].source == "# Parameters\nn_images = 8\n"  # only what differs
    assert notebook.cells[3].outputs[0].text == "16\n"
    assert "papermill" not in str(notebook)
    assert str(project.root) not in str(notebook)
    assert runner.is_current(page, {"n_images": 8})


def test_only_what_changed_is_executed(project, show, executed):
    values = {"01_first": {"n_images": 20}, "01_1_second": {}}

    def statuses():
        return [outcome.status for outcome in runner.run(project, values, show)]

    assert statuses() == ["done", "done"]
    os.utime(project.book / "01_first.py")
    (project.book / "notes.txt").write_text("x")
    assert statuses() == ["unchanged", "unchanged"]
    assert "[1/2] 01_first  unchanged, 0." in show._out.getvalue()
    edit(project.book / "01_1_second.py", "# Prose.", "# Other prose.")
    assert statuses() == ["unchanged", "done"]
    values["01_first"] = {"n_images": 8}
    assert statuses() == ["done", "unchanged"]
    path = project.page("01_first").path
    text = path.read_text().replace('"execution_count": 1', '"execution_count": null')
    path.write_text(text)  # as after "Clear all outputs"
    assert statuses() == ["done", "unchanged"]
    path.unlink()
    assert statuses() == ["done", "unchanged"]
    path.write_text("damaged")
    assert statuses() == ["done", "unchanged"]
    assert len(executed) == 7


def test_another_checkpoint_is_a_change_and_a_new_one_is_not(project, show, monkeypatch, executed):
    values = {"02_third": {}}
    monkeypatch.setattr(runner, "checkpoints", lambda: {"mobilenet_v2": "00"})
    runner.run(project, values, show)
    page = project.page("02_third")
    assert runner.is_current(page, {})
    monkeypatch.setattr(runner, "checkpoints", lambda: {"mobilenet_v2": "00", "pieapp": "11"})
    assert runner.is_current(page, {})
    monkeypatch.setattr(runner, "checkpoints", lambda: {"mobilenet_v2": "22"})
    assert not runner.is_current(page, {})


def test_a_page_that_fails_is_reported_keeps_the_good_page_and_does_not_stop_the_others(
    project, show
):
    page = project.page("01_first")
    page.path.write_text("the good page")
    edit(page.source, RECORDS, FAILING)
    values = {"01_first": {"n_images": 8}, "02_third": {}}
    failed, done = runner.run(project, values, show)
    assert (failed.status, done.status) == ("failed", "done")
    assert failed.message == "cell 4/4: ValueError: no such"
    assert page.path.read_text() == "the good page"
    said = show._out.getvalue()
    assert "[1/2] 01_first  FAILED after" in said
    assert '----> 1 raise ValueError("no such\\nphotograph")' in said
    report = project.build / "reports" / "01_first.ipynb"
    assert str(report) in said
    assert nbformat.read(report, as_version=4)
    assert "photograph" in report.with_suffix(".txt").read_text()
    summary = runner.summary([failed, done], lambda name: "an earlier run")
    assert "01_first: cell 4/4: ValueError: no such\n    (the book shows an earlier run)" in summary

    edit(page.source, FAILING, RECORDS)
    runner.run(project, {"01_first": {}}, show)
    assert not report.exists()


def test_a_kernel_that_dies_is_a_failure_of_its_page(project, show):
    edit(project.book / "02_third.py", "print(1)", "import os; os._exit(9)")
    (outcome,) = runner.run(project, {"02_third": {}}, show)
    assert outcome.message.startswith("cell 1/1: DeadKernelError")
    assert "enough memory" in outcome.message


def test_progress_says_which_cell_and_how_far_it_is(project, show):
    edit(
        project.book / "02_third.py",
        "print(1)",
        "import time\nfrom humimp import progress\n"
        'with progress.bar("attack", 4) as bar:\n'
        "    bar.update(3)\n    bar.refresh()\n    time.sleep(0.5)\n",
    )
    runner.execute(project.page("02_third"), {}, show, "[3/9] 02_third")
    said = show._out.getvalue()
    assert "[3/9] 02_third  cell 1/1  attack:  75%" in said
    assert "3/4 [00:00<00:00" in said


def test_in_a_terminal_one_line_is_rewritten(tmp_path):
    class Terminal(StringIO):
        def isatty(self):
            return True

    show = runner.Progress(Terminal())
    with show.page("[1/9] 01_first", tmp_path / "bars"):
        show.cell(2, 5)
        (tmp_path / "bars").write_text("\rattack: 10%\rattack: 50%\r            \r")
        assert show.line() == "[1/9] 01_first  cell 2/5  attack: 50%"
        time.sleep(0.7)
    said = show._out.getvalue()
    assert "\r[1/9] 01_first  cell 2/5  attack: 50%\x1b[K" in said
    assert "\n" not in said


def test_a_kernel_that_does_not_start_is_started_once_more(project, show, monkeypatch):
    import papermill

    once, calls = papermill.execute_notebook, []

    def failing(*args, first, **options):
        calls.append(1)
        if len(calls) <= first:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return once(*args, **options)

    for first, status in ((1, "done"), (2, "failed")):
        calls.clear()
        monkeypatch.setattr(papermill, "execute_notebook", partial(failing, first=first))
        (project.book / "02_third.ipynb").unlink(missing_ok=True)
        (outcome,) = runner.run(project, {"02_third": {}}, show)
        assert (outcome.status, len(calls)) == (status, 2)
    assert "Kernel died before replying" in outcome.message


def test_a_page_of_prose_that_was_changed_by_hand_is_made_anew(project, show):
    (project.book / "02_third.py").write_text("# %% [markdown]\n# # Third\n# Prose.\n")
    (outcome,) = runner.run(project, {"02_third": {}}, show)
    (again,) = runner.run(project, {"02_third": {}}, show)
    assert (outcome.status, again.status) == ("done", "unchanged")
    page = project.page("02_third")
    notebook = nbformat.read(page.path, as_version=4)
    notebook.cells[0].source = "Mine."
    nbformat.write(notebook, page.path)
    (outcome,) = runner.run(project, {"02_third": {}}, show)
    assert outcome.status == "done"
    assert "Mine." in (project.book / "02_third-edited-1.ipynb").read_text()


def test_a_notebook_changed_by_hand_is_kept(project, show, executed):
    page = project.page("02_third")
    runner.execute(page, {}, show)
    notebook = nbformat.read(page.path, as_version=4)
    notebook.cells[1].source = "print('mine')"
    nbformat.write(notebook, page.path)
    (outcome,) = runner.run(project, {"02_third": {}}, show)
    assert outcome.status == "done"
    assert "print('mine')" in (project.book / "02_third-edited-1.ipynb").read_text()
    assert "your version is" in show._out.getvalue()
    nbformat.write(notebook, page.path)  # the same once more: one copy is enough
    runner.run(project, {"02_third": {}}, show)
    second = project.book / "02_third-edited-2.ipynb"
    assert not second.exists()
    notebook.cells[1].source = "print('mine too')"
    nbformat.write(notebook, page.path)
    runner.run(project, {"02_third": {}}, show)
    assert "print('mine too')" in second.read_text()
    assert "print('mine')" in (project.book / "02_third-edited-1.ipynb").read_text()


def lacking(notebook, *keys):
    """Write a notebook as text, without one of its parts."""
    whole = json.loads(nbformat.writes(notebook))
    part = whole
    for key in keys[:-1]:
        part = part[key]
    del part[keys[-1]]
    return json.dumps(whole)


@pytest.mark.parametrize(
    "keys",
    [("cells",), ("metadata",), ("nbformat",)]
    + [("cells", 1, key) for key in ("cell_type", "metadata", "source")],
)
def test_a_notebook_that_lacks_a_part_is_damaged(project, show, executed, keys):
    page = project.page("02_third")
    page.path.write_text(lacking(runner.execute(page, {}, show), *keys))
    assert runner.read(page) is None
    assert runner.stamp(page) == {}
    (outcome,) = runner.run(project, {"02_third": {}}, show)
    assert outcome.status == "done"
    assert f"{page.path} is damaged and is replaced" in show._out.getvalue()
    assert runner.is_current(page, {})


def test_a_page_that_looks_at_the_runs_before_it_passes_over_damaged_ones(project):
    edit(project.book / "02_third.py", "print(1)", "scoreboard.own(1)")
    page = project.page("02_third")
    (project.book / "01_first.ipynb").write_text("[]")
    (project.book / "01_1_second.ipynb").write_text('{"metadata": {}}')
    assert page._before() == ["", ""]


def test_conversion_fills_gaps_and_leaves_executed_pages_alone(project, show, executed):
    page = project.page("02_third")
    assert runner.convert(page, show)
    assert not runner.stamp(page)
    edit(page.source, "Prose", "New prose")
    assert runner.convert(project.page("02_third"), show)
    assert "New prose" in page.path.read_text()
    assert not list(project.book.glob("*edited*"))
    runner.execute(project.page("02_third"), {}, show)
    edit(page.source, "New prose", "Newer prose")
    assert not runner.convert(project.page("02_third"), show)


def test_make_ends_with_times_gaps_and_the_address(project, show, monkeypatch, executed):
    def build(project, show):
        (project.build / "html").mkdir(parents=True)
        (project.build / "html" / "index.html").write_text("x")
        return "clean"

    monkeypatch.setattr(book, "build", build)
    assert book.make(project, {"02_third": {}}, show) == 0
    said = show._out.getvalue()
    assert "Everything was computed." in said
    assert said.endswith(f"The book: {project.build / 'html' / 'index.html'}\n")
    # Pages that were not asked for are there all the same.
    assert sorted(path.stem for path in project.book.glob("*.ipynb")) == sorted(project.names())


def test_make_does_not_take_an_older_book_for_the_new_one(project, show, monkeypatch, executed):
    index = project.build / "html" / "index.html"
    index.parent.mkdir(parents=True)
    index.write_text("old")
    (project.build / book.FINISHED).touch()
    monkeypatch.setattr(sys, "executable", str(project.root / "python"))
    (project.root / "python").write_text("#!/bin/sh\necho Sphinx broke >&2\nexit 2\n")
    (project.root / "python").chmod(0o755)
    assert book.make(project, {"02_third": {}}, show) == 1
    said = show._out.getvalue()
    assert "Sphinx broke" in said
    assert "The book could not be built" in said
    assert said.endswith(f"An older one: {index}\n")
    assert "The book: " not in said


def test_make_fails_if_a_page_fails(project, show, monkeypatch, executed):
    monkeypatch.setattr(book, "build", lambda *_: "clean")
    monkeypatch.setattr(book, "prepare", lambda *_, **__: [])
    edit(project.book / "02_third.py", "print(1)", "1 / 0")
    assert book.make(project, {"02_third": {}}, show) == 1
    said = show._out.getvalue()
    assert "02_third: cell 1/1: ZeroDivisionError" in said
    assert "(the book shows the page without results)" in said


@pytest.fixture
def broken(project, monkeypatch, executed):
    """Break the page without a run; the others have their reference run."""
    monkeypatch.setattr(book, "build", lambda *_: "clean")
    for name in ("01_first", "01_1_second"):
        reference(project, name)
    edit(project.book / "02_third.py", "print(1)", "1 / 0")
    return executed


def test_a_page_that_fails_is_not_executed_again(project, show, broken):
    assert book.make(project, {"02_third": {}}, show) == 1
    assert [name for name, _ in broken].count("02_third") == 1
    assert len(nbformat.read(project.page("02_third").path, 4).cells) > 0


@pytest.mark.usefixtures("broken")
def test_a_page_that_cannot_be_prepared_makes_the_book_fail(project, show):
    assert book.make(project, {"01_first": {}}, show) == 1
    assert "02_third could not be executed" in show._out.getvalue()


def test_an_interrupted_run_leaves_everything_as_it_was(project):
    page = project.page("02_third")
    page.path.write_text("the good page")
    edit(page.source, "print(1)", SLEEPING)
    process = subprocess.Popen(
        [sys.executable, "-m", "humimp.book", "run", "02_third"],
        cwd=project.root,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HUMIMP_CACHE": str(project.root)},
        # What a shell starts in the background ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    pid = project.book / "pid"
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 130
    assert errors.strip() == "Interrupted. Run the same again: it goes on where it was."
    assert page.path.read_text() == "the good page"
    assert not list(project.build.glob("run-*"))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


# ------------------------------------------------------------------------------ before a build


def reference(project, name):
    folder = project.page(name).reference
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text("{}")


def complete(project, name, values, state="complete"):
    folder = project.page(name).folder(values)
    folder.mkdir(parents=True, exist_ok=True)
    runs.write_json(folder / "provenance.json", {"state": state})


def shown(project, name):
    return runner.stamp(project.page(name)).get("parameters")


def test_pages_that_were_never_run_show_the_reference_run(project, show, executed):
    reference(project, "01_first")
    assert book.prepare(project, show) == []
    assert shown(project, "01_first") == {"run": "reference"}
    assert shown(project, "02_third") == {}
    assert runner.stamp(project.page("02_third"))
    assert executed[0] == ("01_first", {"run": "reference"})
    assert book.prepare(project, show) == []
    assert len(executed) == 3


def test_a_page_out_of_date_shows_your_run_again_if_its_records_are_still_good(
    project, show, executed
):
    page = project.page("01_first")
    runner.execute(page, {"n_images": 8}, show)
    complete(project, "01_first", {"n_images": 8})
    edit(page.source, "Prose", "New prose")
    assert book.prepare(project, show) == []
    assert shown(project, "01_first") == {"n_images": 8}
    assert "New prose" in page.path.read_text()

    edit(page.source, "print(2 *", "print(3 *")
    assert book.prepare(project, show, keep=True) == []
    assert shown(project, "01_first") == {"n_images": 8}
    complete(project, "01_first", {"n_images": 8}, state="started")
    assert book.prepare(project, show) == []
    assert shown(project, "01_first") == {"run": "reference"}


def test_a_page_that_cannot_be_executed_is_shown_unexecuted_and_said(project, show, executed):
    edit(project.book / "02_third.py", "print(1)", "1 / 0")
    (problem,) = book.prepare(project, show)
    assert problem.startswith("02_third could not be executed: cell 1/1: ZeroDivisionError")
    assert project.page("02_third").path.exists()
    assert not runner.stamp(project.page("02_third"))


def test_a_complete_run_becomes_the_reference_with_the_pictures_that_the_page_opens(project, show):
    page = project.page("01_first")
    with pytest.raises(ValueError, match="01_first has no complete run at the laptop profile"):
        book.promote(project, "laptop", [], show)
    edit(page.source, RECORDS, COMPUTING)
    page = Project(project.root).page("01_first")
    runner.execute(page, {}, show)
    (page.reference / "old.png").parent.mkdir(parents=True)
    (page.reference / "old.png").touch()
    large = page.folder(page.defaults) / "pgd" / "large.json"
    large.write_bytes(b" " * (book.LARGEST + 1))  # too large for a repository
    assert book.promote(project, "laptop", [], show) == [page.reference]
    kept = {path.relative_to(page.reference).as_posix() for path in page.reference.rglob("*.*")}
    assert kept == {"provenance.json", "pgd/records.parquet", "pgd/images/1.png"}
    runner.execute(page, {"run": "reference"}, show)
    assert "Reference run" in page.path.read_text()
    assert page.reference.joinpath("pgd/images/1.png").read_text() == "1"


def test_a_run_at_the_papers_settings_is_kept_beside_and_found_by_the_page(
    project, show, monkeypatch
):
    edit(project.book / "01_first.py", RECORDS, COMPUTING)
    page = Project(project.root).page("01_first")
    monkeypatch.chdir(project.root)
    with pytest.raises(ValueError, match="profiles paper, paper_cpu is among"):
        book.at_scale("01_first")
    (project.book / "profiles" / "paper_cpu.yml").write_text("01_first: {n_images: 500}\n")
    runner.execute(page, {"n_images": 500}, show)
    assert book.promote(project, "paper_cpu", [], show) == [page.committed("paper_cpu")]
    assert not page.reference.exists()
    found = book.at_scale("01_first")
    assert found.folder == project.root / "results" / "paper_cpu" / "01_first"
    assert found.line().startswith("**Reference run**: paper_cpu profile")
    runner.execute(page, {"n_images": 1000}, show)
    book.promote(project, "paper", [], show)
    assert book.at_scale("01_first").folder.parent.name == "paper"


# ------------------------------------------------------------------------------ the command line


def test_parameters_of_profile_and_command_line_are_combined(project):
    wanted = book.wanted(project, "paper", (), ["01_first.step_size=0.2"])
    assert wanted == {
        "01_first": {"n_images": 1000, "step_size": 0.2},
        "01_1_second": {},
        "02_third": {},
    }
    assert book.wanted(project, "laptop", ["02_third", "01_first"]).keys() == {
        "01_first",
        "02_third",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "n_images=8"], "'n_images=8' is not of the form page.name=value"),
        (["-p", "01_first.n_imags=8"], "did you mean 'n_images'?"),
        (["-p", "01_frist.n_images=8"], "did you mean '01_first'?"),
        (["-p", "01_first.n_images=many"], "n_images must be of type int"),
        (["01_frist"], "did you mean '01_first'?"),
        (["--profile", "desktop"], "there are laptop, paper"),
        (["-p", "01_first.n_images=[0, 1"], "01_first.n_images: '[0, 1', line 1, column 6: not Y"),
        (["-p", "01_first.n_images=2024-13-01"], "13-01': not YAML: month must be in 1..12"),
        (["02_third", "-p", "01_first.n_images=2"], "01_first is not among the pages to run, 02_t"),
    ],
)
def test_a_wrong_command_line_is_one_line_of_error(project, capsys, arguments, message):
    assert book.main(["run", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert message in said


def test_a_number_with_an_exponent_may_be_given_on_the_command_line(project):
    wanted = book.wanted(project, "laptop", ["01_first"], ["01_first.step_size=1e-3"])
    assert wanted == {"01_first": {"n_images": 20, "step_size": 0.001}}


@pytest.mark.parametrize("command", ["run", "notebooks", "promote"])
def test_outside_of_the_project_a_command_says_where_to_run_it(
    tmp_path, monkeypatch, capsys, command
):
    monkeypatch.chdir(tmp_path)
    assert book.main([command]) == 2
    said = capsys.readouterr().err
    assert said == "Error: no _toc.yml here: run it in the project's folder\n"


def test_the_notebooks_command_converts_all_pages(project):
    assert book.main(["notebooks"]) == 0
    assert len(list(project.book.glob("*.ipynb"))) == 3


# ------------------------------------------------------------------------- what pages say


def test_a_row_of_a_table_has_a_folder_and_facts_get_their_names(tmp_path, monkeypatch):
    run = book.Run("01_first", "yours", tmp_path, {})
    assert run.row("NPTM (LPA)") == tmp_path / "nptm-lpa"
    told = {}

    def glue(name, value, display=True):
        assert not display
        told[name] = value

    monkeypatch.setattr("myst_nb.glue", glue)
    book.tell({"a": 1, "b": "two"})
    book.tell({"a": 3}, prefix="large_")
    assert told == {"a": 1, "b": "two", "large_a": 3}
