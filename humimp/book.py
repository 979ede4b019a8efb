"""The book: what a page says first, how all pages are run, and the hook that builds them.

``python -m humimp.book --help`` lists the commands. As a Sphinx extension (``_config.yml``) the
module sees to it that every page is executed before the book is built.
"""

import argparse
import importlib.util
import inspect
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from filecmp import cmp as same
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from humimp import runner
from humimp.pages import PROFILE, SCALES, Page, Parameters, Project, read_yaml

#: Set by ``make book``, which has prepared the pages itself: the build takes them as they are.
PREPARED_VARIABLE = "HUMIMP_BOOK_PREPARED"
#: Lies in the folder of the build once Sphinx has come to its end.
FINISHED = "finished"
#: Environment variables that name folders, from where the command is run: kernels run elsewhere.
FOLDERS = ("HUMIMP_DATA", "HUMIMP_WEIGHTS", "HUMIMP_CACHE")
#: The largest file, in bytes, that `promote` puts into the repository.
LARGEST = 5_000_000
#: Names a file in which a page lists the files of its run that it opens, for ``promote``.
OPENED_VARIABLE = "HUMIMP_BOOK_OPENED"

#: Parameters that the committed results do not depend on.
SHOWN = ("run", "n_shown", "shown_distance", "n_deals", "n_draws")


@dataclass(frozen=True)
class Run:
    """The run that a page shows.

    ``run`` is ``"yours"`` or ``"reference"``, and ``folder`` holds this page's records: give it
    to :func:`humimp.evaluate.run`.
    """

    page: str
    run: str
    folder: Path
    about: Mapping[str, Any]

    def row(self, name: str) -> Path:
        """Folder of a row of a table, such as ``"NPTM (LPA)"``, among this run's records."""
        return self.folder / slug(name)

    def line(self) -> str:
        """Compose the line of Markdown that says which run is shown."""
        whose, _, rest = self.plain().partition(":")
        return f"**{whose}**:{rest}"

    def plain(self) -> str:
        """Compose the same without markup, for `glue`."""
        about = self.about
        whose = "Reference run" if self.run == "reference" else "Your run"
        dirty = " with uncommitted changes" if about.get("dirty") else ""
        started = about["started"][:16].replace("T", " ")
        return (
            f"{whose}: {about['profile']} profile, started {started} UTC, "
            f"commit {str(about['commit'])[:7]}{dirty}, {about['device']}."
        )


def start(page: str) -> Run:
    """Begin a page: check its parameters, choose its folder, and say which run is shown.

    Call it once, at the top level of the first code cell after the parameters. A list that came
    from papermill's command line, where every list is text, becomes a list again.

    Parameters
    ----------
    page
        Name of the page, such as ``"03_2_pieapp"``.

    Returns
    -------
    Run
        With the folder for the page's records.

    Raises
    ------
    ValueError
        A parameter that papermill set does not exist, or one has a value of another type; or
        the committed results are asked for and there are none.
    """
    frame = inspect.currentframe()
    caller = frame.f_back if frame else None
    known = caller.f_globals if caller else {}
    source = Project.holding(page).page(page)
    given = _injected(known.get("In", []))
    read = {name: _list(known[name], source.defaults.get(name)) for name in given if name in known}
    known.update(source.numbers(read))
    values = {name: known[name] for name in source.parameters if name in known}
    source.check({name: known.get(name) for name in given} | values)
    folder = source.folder(values)
    _list_opened(folder)
    if values.get("run") == "reference":
        begun = Run(page, "reference", folder, _reference(source, values))
    else:
        begun = Run(page, "yours", folder, _provenance(source, values, folder))
    _display(begun.line())
    return begun


def tell(facts: Mapping[str, Any], prefix: str = "") -> None:
    """Give numbers and words to the page's text, which refers to them by their names.

    Parameters
    ----------
    facts
        From a name to a number or a text, as of `humimp.findings`.
    prefix
        What to put before each name.
    """
    from myst_nb import glue

    for name, value in facts.items():
        glue(prefix + name, value, display=False)


def slug(name: str) -> str:
    """Name the folder of a row of a table: small letters, digits, and hyphens in between."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def at_scale(page: str, profiles: Sequence[str] = SCALES) -> Run:
    """Find the committed run of a page at the paper's settings.

    Parameters
    ----------
    page
        Name of the page.
    profiles
        Whose committed runs are looked for, the preferred first.

    Returns
    -------
    Run
        Of the first profile that has one.

    Raises
    ------
    ValueError
        None has one.
    """
    source = Project.holding(page).page(page)
    for profile in profiles:
        file = source.committed(profile) / "provenance.json"
        if file.is_file():
            return Run(page, "reference", file.parent, json.loads(file.read_text("utf-8")))
    raise ValueError(
        f"{page}: no run at the profiles {', '.join(profiles)} is among the committed results; "
        "bring them back with `git checkout -- results`"
    )


def _injected(inputs: Sequence[str]) -> list[str]:
    """Names that papermill set: those of the last cell that begins with ``# Parameters``."""
    cells = [text for text in inputs if text.lstrip().split("\n")[0].strip() == "# Parameters"]
    lines = cells[-1].splitlines() if cells else []
    names = [line.split("=")[0].split(":")[0].strip() for line in lines if "=" in line]
    return [name for name in names if name.isidentifier()]


def _list(value: Any, default: Any) -> Any:
    """Read a list out of text, if the parameter is one and the text has one."""
    if isinstance(value, str) and isinstance(default, list):
        try:
            found = yaml.safe_load(value)
        except yaml.YAMLError:
            return value
        return found if isinstance(found, list) else value
    return value


def _reference(page: Page, values: Parameters) -> dict[str, Any]:
    """Read where the committed results of a page come from; they must be of these parameters."""
    file = page.reference / "provenance.json"
    if not file.is_file():
        raise ValueError(
            f'{page.name} has no reference run: there is no {file}. Compute it: run = "yours"'
        )
    about: dict[str, Any] = json.loads(file.read_text("utf-8"))
    made = about["parameters"]
    other = [
        f"{name} = {made[name]!r}, not {value!r}"
        for name, value in values.items()
        if name in made and name not in SHOWN and value != made[name]
    ]
    if other:
        raise ValueError(
            f"{page.name}: the reference run was made with {', '.join(other)}; leave that as it "
            'is, or compute with run = "yours"'
        )
    return about


def _provenance(page: Page, values: Parameters, folder: Path) -> dict[str, Any]:
    """Read what a run's folder says about it; a new folder is told first."""
    file = folder / "provenance.json"
    if file.is_file():
        return json.loads(file.read_text("utf-8"))
    from humimp import runs

    commit, dirty = runs.checkout(page.source)
    about = {
        "page": page.name,
        "profile": page.label(values),
        "parameters": {**page.defaults, **values},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit or "unknown",
        "dirty": bool(dirty),
        "device": _device(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("humimp", "numpy", "torch", "torchvision")},
        "state": "started",
    }
    folder.mkdir(parents=True, exist_ok=True)
    runs.write_json(file, about)
    return about


def _list_opened(folder: Path) -> None:
    """From now on, note which files of a folder are opened, if a file is named for that."""
    target = os.environ.get(OPENED_VARIABLE)
    if not target:
        return
    descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(str(folder)):
            os.write(descriptor, f"{arguments[0]}\n".encode())

    sys.addaudithook(note)


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def _display(text: str) -> None:
    from IPython import get_ipython
    from IPython.display import Markdown, display

    if get_ipython():
        display(Markdown(text))
    else:
        print(text)


def wanted(
    project: Project, profile: str, pages: Sequence[str] = (), given: Sequence[str] = ()
) -> dict[str, Parameters]:
    """Collect the parameters of the pages to run.

    Parameters
    ----------
    project
        The project.
    profile
        Name of a profile.
    pages
        Names of pages; all of them if empty.
    given
        More parameters, as ``page.name=value`` with a YAML value.

    Returns
    -------
    dict
        From page to parameters, in the order of the book.

    Raises
    ------
    ValueError
        A page, a profile or a parameter that does not exist, a value that is no YAML or of another
        type, or a parameter of a page that is not to be run.
    """
    values = project.profile(profile)
    for page in pages:
        project.page(page)
    chosen = [name for name in project.names() if not pages or name in pages]
    for text in given:
        left, equals, value = text.partition("=")
        page, dot, name = left.partition(".")
        if not (equals and dot):
            raise ValueError(f"{text!r} is not of the form page.name=value")
        read = project.page(page).numbers({name: read_yaml(value, f"{left}: {value!r}")})
        project.page(page).check(read)
        if page not in chosen:
            raise ValueError(f"{text!r}: {page} is not among the pages to run, {', '.join(chosen)}")
        values.setdefault(page, {}).update(read)
    return {name: values.get(name, {}) for name in chosen}


def build(project: Project, show: runner.Progress) -> str:
    """Build the book from the pages as they are; say how: clean, with warnings, or not at all."""
    code = "from jupyter_book.cli.main import main; main()"
    options = ["build", str(project.book), "-n", "-W", "--keep-going", "-q"]
    environment = {**os.environ, PREPARED_VARIABLE: "1"}
    command = [sys.executable, "-c", code, *options]
    finished = project.build / FINISHED
    finished.unlink(missing_ok=True)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    warnings = [line for line in runner.plain(done.stderr).splitlines() if line.strip()]
    log = project.build / "reports" / "build.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stderr, "utf-8")
    for line in warnings[:20]:
        show.say(line)
    if len(warnings) > 20:
        show.say(f"... and {len(warnings) - 20} more lines in {log}")
    if not finished.is_file():
        return "not at all"
    return "with warnings" if done.returncode else "clean"


def make(project: Project, values: Mapping[str, Parameters], show: runner.Progress) -> int:
    """Run pages, build the book, and end with what came of it; return the exit status."""
    outcomes = runner.run(project, values, show)
    failed = [one.page for one in outcomes if one.status == "failed"]
    problems = prepare(project, show, keep=True, failed=failed)
    show.say("\n".join(["Building the book ...", *problems]))
    built = build(project, show)

    def shown(name: str) -> str:
        found = runner.stamp(project.page(name))
        if not found.get("fingerprint"):
            return "the page without results"
        reference = found["parameters"].get("run") == "reference"
        return "the reference run" if reference else "an earlier run of yours"

    show.say(runner.summary(outcomes, shown))
    index = project.build / "html" / "index.html"
    if built == "not at all":
        show.say("The book could not be built, for what is said above.")
        if index.is_file():
            show.say(f"An older one: {index}")
    else:
        show.say(f"The book: {index}")
    if built == "with warnings":
        show.say("The book was built with the warnings above.")
    return 0 if built == "clean" and not failed and not problems else 1


def prepare(
    project: Project, show: runner.Progress, *, keep: bool = False, failed: Sequence[str] = ()
) -> list[str]:
    """Give every page an executed notebook, from the committed results if it has none.

    Parameters
    ----------
    project
        The project.
    show
        Where to show progress.
    keep
        Leave notebooks alone that are executed but out of date.
    failed
        Pages that have just been executed in vain, and would be again.

    Returns
    -------
    list of str
        What went wrong, one entry for each page that could not be executed.
    """
    problems = []
    for name in project.names():
        page = project.page(name)
        found = runner.stamp(page)
        values = found.get("parameters", {})
        try:
            if found.get("fingerprint") and (keep or runner.is_current(page, values)):
                continue
            if "run" in page.parameters and not _has_run(page, values):
                values = {"run": "reference"}
            elif name in failed:
                runner.convert(page, show)
                continue
            show.say(f"{name}: executing {'the reference run' if values else ''}".rstrip())
            runner.execute(page, values, show)
        except (runner.PageError, ValueError) as error:
            problems.append(f"{name} could not be executed: {error}")
            runner.convert(page, show)
    return problems


def _has_run(page: Page, values: Parameters) -> bool:
    """Whether your own run of a page at these parameters is complete, so that it costs nothing."""
    try:
        page.check(values)
        about = json.loads((page.folder(values) / "provenance.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return about.get("state") == "complete"


def promote(
    project: Project, profile: str, names: Sequence[str], show: runner.Progress
) -> list[Path]:
    """Make complete runs at a profile its reference run, in ``results/<profile>/``.

    Records and provenance are copied, and of the other files those that the page opens: it is
    executed once more for that, from its records. Files above :data:`LARGEST`, such as the weights
    of a large network, are left out: the page cannot show that run in the place of the reader's
    own then, but what it shows of :func:`at_scale` needs records alone.

    Parameters
    ----------
    project
        The project.
    profile
        Name of the profile.
    names
        Pages; all that compute and that the profile names, if empty.
    show
        Where to show progress.

    Returns
    -------
    list of Path
        The folders written.

    Raises
    ------
    ValueError
        A page has no complete run.
    PageError
        A page could not be executed.
    """
    values = project.profile(profile)
    computing = [name for name in project.names() if "run" in project.page(name).parameters]
    named = [name for name in computing if profile == PROFILE or name in values]
    pages = [project.page(name) for name in names or named]
    for page in pages:
        if not _has_run(page, values.get(page.name, {})):
            raise ValueError(
                f"{page.name} has no complete run at the {profile} profile: "
                f"make book PROFILE={profile}"
            )
    targets = []
    for page in pages:
        given = values.get(page.name, {})
        folder, target = page.folder(given), page.committed(profile)
        opened = project.build / "opened.txt"
        opened.unlink(missing_ok=True)
        with runner.variable(OPENED_VARIABLE, str(opened)):
            runner.execute(page, given, show)
        needed = set(opened.read_text("utf-8").splitlines())
        shutil.rmtree(target, ignore_errors=True)
        for file in (path for path in sorted(folder.rglob("*")) if path.is_file()):
            inside = file.relative_to(folder)
            record = inside.suffix in {".json", ".parquet"} and "parts" not in inside.parts
            if (record or str(file) in needed) and file.stat().st_size <= LARGEST:
                (target / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target / inside)
        targets.append(target)
    return targets


def setup(app: Any) -> dict[str, Any]:
    """Register the Sphinx extension."""
    app.config.mathjax_path = "mathjax/tex-chtml.js"
    app.connect("config-inited", _before_reading, priority=700)  # before the contents are listed
    app.connect("builder-inited", _ship_mathjax)
    app.connect("env-get-outdated", _read_all_together)
    app.connect("build-finished", _note_finished)
    return {"version": version("humimp"), "parallel_read_safe": True}


def _ship_mathjax(app: Any) -> None:
    """Copy MathJax into the book, so that mathematics is shown without a network."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if not spec or not spec.submodule_search_locations:
        raise ValueError(
            "MathJax is not installed: run `make env`, or pip install sphinx-mathjax-offline"
        )
    source = Path(spec.submodule_search_locations[0]) / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    for part in ("output/chtml/fonts", "input/tex/extensions"):
        shutil.copytree(source / part, target / part, dirs_exist_ok=True)
    script = (source / "tex-chtml.js").read_text("utf-8")
    # What it would fetch from there, the reading of formulas aloud, is not shipped.
    script = script.replace("https://cdn.jsdelivr.net/npm/", "")
    (target / "tex-chtml.js").write_text(script, "utf-8")


def _note_finished(app: Any, error: Exception | None) -> None:
    """Leave a file for `build` where the build came to its end, be it with warnings."""
    if error is None:
        (Project(Path(app.srcdir).parent).build / FINISHED).touch()


def _before_reading(app: Any, _config: Any) -> None:
    from sphinx.util import logging

    logger = logging.getLogger(__name__)
    if os.environ.get(PREPARED_VARIABLE):
        return
    for problem in prepare(Project(Path(app.srcdir).parent), runner.Progress()):
        logger.warning(problem)


def _read_all_together(app: Any, env: Any, added: set, changed: set, removed: set) -> set:
    """Read every page again if one changed, for pages quote each other, or if the style did."""
    source, target = Path(app.srcdir) / "_static", Path(app.outdir) / "_static"
    styles = [file.relative_to(source) for file in source.rglob("*.css")]
    old = [not (target / one).is_file() or not same(source / one, target / one) for one in styles]
    return set(env.found_docs) if added or changed or removed or any(old) else set()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command of ``python -m humimp.book``; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m humimp.book", description="Run the book.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("run", help="execute the pages that changed, build the book")
    command.add_argument("pages", nargs="*", help="pages to execute (default: all)")
    command.add_argument(
        "--profile", default=PROFILE, help="a file of book/profiles/ (%(default)s)"
    )
    command.add_argument(
        "-p", dest="given", action="append", default=[], metavar="PAGE.NAME=VALUE",
        help="set one parameter of one page; may be repeated",
    )  # fmt: skip
    commands.add_parser("notebooks", help="convert pages that have no notebook, unexecuted")
    command = commands.add_parser("promote", help="make your complete runs the reference run")
    command.add_argument("pages", nargs="*", help="pages (default: all that compute)")
    command.add_argument("--profile", default=PROFILE, help="the runs' profile (%(default)s)")
    asked = parser.parse_args(arguments)
    for name in FOLDERS:
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).expanduser().absolute())
    project = Project(Path.cwd())
    show = runner.Progress()
    try:
        if not (project.root / "_toc.yml").is_file():
            raise ValueError("no _toc.yml here: run it in the project's folder")
        if asked.command == "run":
            return make(project, wanted(project, asked.profile, asked.pages, asked.given), show)
        if asked.command == "notebooks":
            for name in project.names():
                runner.convert(project.page(name), show)
        if asked.command == "promote":
            for folder in promote(project, asked.profile, asked.pages, show):
                show.say(str(folder))
    except (OSError, ValueError, runner.PageError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same again: it goes on where it was.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    # Run the module that notebooks and Sphinx import, not a second copy of it.
    from humimp import book

    sys.exit(book.main())
