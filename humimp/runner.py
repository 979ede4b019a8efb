"""Runs the pages of the book: papermill, progress in the terminal, what failed and why."""

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import nbformat

from humimp import progress
from humimp.pages import Page, Parameters, Project, cells

#: The key under which a notebook says what it is an execution of.
STAMP = "humimp"

_COLOURS = re.compile("\x1b\\[[0-9;]*[A-Za-z]")


class PageError(Exception):
    """A page that could not be executed; its text says which cell, why, and where to look."""


@dataclass
class Outcome:
    """What became of one page: ``status`` is ``"done"``, ``"unchanged"`` or ``"failed"``."""

    page: str
    status: str
    seconds: float
    message: str = ""


class Progress:
    """One line that says which page, which cell, and how far that cell is.

    In a terminal the line is rewritten in place. Elsewhere it is printed every ``every`` seconds.
    """

    def __init__(self, out: TextIO | None = None, every: float = 15.0) -> None:
        self._out = out or sys.stdout
        self._live = self._out.isatty()
        self._every = 0.5 if self._live else every
        self._page = self._cell = ""
        self._since = 0.0
        self._bars: Path | None = None
        self._stop = threading.Event()

    @contextlib.contextmanager
    def page(self, label: str, bars: Path) -> Iterator[None]:
        """Show a page while the block runs; ``bars`` is the file its cells write progress to."""
        self._page, self._cell, self._bars = label, "starting", bars
        self._since = time.monotonic()
        self._stop.clear()
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            if self._live:
                self._write("\r\x1b[K")

    def cell(self, number: int, total: int) -> None:
        """Say which code cell runs now."""
        self._cell = f"cell {number}/{total}"
        self._since = time.monotonic()
        if self._bars:
            self._bars.write_text("", "utf-8")

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._write(text + "\n")

    def line(self) -> str:
        """Compose the line: page, cell, and the cell's progress bar, or else its time so far."""
        done = self._done() or duration(time.monotonic() - self._since)
        return "  ".join((self._page, self._cell, done))

    def _done(self) -> str:
        """Last progress bar that the running cell wrote."""
        try:
            text = self._bars.read_text("utf-8", errors="replace") if self._bars else ""
        except OSError:
            return ""
        return next((part.strip() for part in re.split(r"[\r\n]", text)[::-1] if part.strip()), "")

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            if self._live:
                width = shutil.get_terminal_size().columns - 1
                self._write(f"\r{self.line()[:width]}\x1b[K")
            else:
                self._write(self.line() + "\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed pipe must not stop the work
            self._out.write(text)
            self._out.flush()


def execute(
    page: Page, values: Mapping[str, Any], show: Progress, label: str = ""
) -> nbformat.NotebookNode:
    """Execute a page and put it in its place, or leave what is there as it is.

    Parameters
    ----------
    page
        The page.
    values
        Parameters, a subset of those of its parameters cell.
    show
        Where to show how far it is.
    label
        What to call it there; its name if empty.

    Returns
    -------
    NotebookNode
        The executed notebook, as it now lies at ``page.path``.

    Raises
    ------
    ValueError
        A parameter has a wrong name or type.
    PageError
        A cell failed; a report is under ``_build/reports/``.
    """
    page.check(values)
    injected = {name: value for name, value in values.items() if value != page.defaults[name]}
    reports = page.project.build / "reports"
    page.project.build.mkdir(exist_ok=True)
    started = time.monotonic()
    # As they are now: what is edited while the page runs is not what it was made with.
    fingerprint, folder = page.fingerprint(values), page.folder(values)
    with tempfile.TemporaryDirectory(prefix="run-", dir=page.project.build) as scratch:
        draft = Path(scratch) / f"{page.name}.ipynb"
        bars = Path(scratch) / "progress.txt"
        with show.page(label or page.name, bars), variable(progress.VARIABLE, str(bars)):
            error = _papermill(page, injected, draft, show)
        if error:
            reports.mkdir(exist_ok=True)
            if draft.is_file():
                shutil.copyfile(draft, reports / draft.name)
            (reports / f"{page.name}.txt").write_text(error + "\n", "utf-8")
            raise PageError(f"{error}\nReport: {reports / draft.name}")
        notebook = nbformat.read(draft, as_version=4)
        seconds = time.monotonic() - started
        _tidy(notebook)
        notebook.metadata[STAMP] = {
            "cells": cells(notebook),
            "checkpoints": checkpoints(),
            "fingerprint": fingerprint,
            "parameters": dict(values),
            "seconds": round(seconds, 1),
        }
        nbformat.write(notebook, draft)
        keep_edits(page, show)
        draft.replace(page.path)
    for old in reports.glob(f"{page.name}.*"):
        old.unlink()
    if values.get("run") != "reference":
        _complete(folder / "provenance.json", seconds)
    return notebook


def _papermill(
    page: Page, injected: Parameters, draft: Path, show: Progress, *, again: bool = True
) -> str:
    """Execute a new conversion of a page into ``draft``; return what went wrong, if anything.

    ``again``: try once more if the kernel does not start, as when another program has just taken
    one of its ports.
    """
    import papermill
    from papermill.engines import NBClientEngine, papermill_engines

    notebook = page.notebook()
    extra = 1 if injected else 0
    total = extra + sum(cell.cell_type == "code" for cell in notebook.cells)
    reached = 0

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            begin = nb_man.cell_start

            def cell_start(cell: Any, cell_index: int | None = None, **more: Any) -> Any:
                nonlocal reached
                if cell.cell_type == "code":
                    reached += 1
                    show.cell(reached, total)
                return begin(cell, cell_index, **more)

            nb_man.cell_start = cell_start
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register("humimp", Engine)
    where = page.project.book
    try:
        papermill.execute_notebook(
            notebook,
            str(draft),
            parameters=injected or None,
            engine_name="humimp",
            kernel_name="python3",
            progress_bar=False,
            cwd=str(where),
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        )
    except papermill.PapermillExecutionError as error:
        lines = plain("\n".join(error.traceback)).splitlines()
        head = f"cell {reached}/{total}: {error.ename}: {error.evalue}"
        return "\n".join([head, *(f"    {line}" for line in lines[-15:])])
    except Exception as error:  # the kernel died, or did not start
        if again and not reached:
            return _papermill(page, injected, draft, show, again=False)
        hint = " (was there enough memory?)" if "died" in str(error).lower() else ""
        return f"cell {reached}/{total}: {type(error).__name__}: {error}{hint}"
    return ""


def plain(text: str) -> str:
    """Take the colours out of what was meant for a terminal."""
    return _COLOURS.sub("", text)


@contextlib.contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable while the block runs, for the kernels that it starts."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _tidy(notebook: nbformat.NotebookNode) -> None:
    """Take papermill's paths and times out of a notebook."""
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        cell.metadata.pop("papermill", None)
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell.id = f"parameters-{number:02d}"


def _complete(file: Path, seconds: float) -> None:
    """Note in a run's provenance that its page ran to the end."""
    if file.is_file():
        about = json.loads(file.read_text("utf-8"))
        if about.get("state") != "complete":
            from humimp import runs

            about.update(state="complete", wall_seconds=round(seconds, 1))
            runs.write_json(file, about)


def read(page: Page) -> nbformat.NotebookNode | None:
    """Read the notebook that a page has; None if there is none, or it is damaged."""
    try:
        notebook = nbformat.read(page.path, as_version=4)
        cells(notebook)  # raises if a cell lacks a part
    except Exception:  # nbformat has no common class for what damaged notebooks make it raise
        return None
    return notebook


def stamp(page: Page) -> dict[str, Any]:
    """Say what a page's notebook is an execution of; empty if it is none, or was edited."""
    notebook = read(page)
    if notebook is None:
        return {}
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    found = notebook.metadata.get(STAMP, {})
    whole = found.get("cells") == cells(notebook) and all(c.get("execution_count") for c in code)
    return dict(found) if whole else {}


def is_current(page: Page, values: Mapping[str, Any]) -> bool:
    """Whether a page's notebook is what executing it with these parameters would give."""
    found = stamp(page)
    if found.get("fingerprint") != page.fingerprint(values):
        return False
    then, now = found.get("checkpoints", {}), checkpoints()
    return all(then[name] == now[name] for name in then if name in now)


def checkpoints() -> dict[str, str]:
    """SHA-256 of each checkpoint that is on this machine."""
    from humimp import weights

    return weights.local()


def keep_edits(page: Page, show: Progress) -> None:
    """Keep a copy of a page's notebook if someone changed it by hand."""
    notebook = read(page)
    if notebook is None:
        if page.path.exists():
            show.say(f"{page.name}: {page.path} is damaged and is replaced")
        return
    written = notebook.metadata.get(STAMP, {}).get("cells") or cells(page.notebook())
    if cells(notebook) == written:
        return
    number = 1
    while (copy := page.path.with_name(f"{page.name}-edited-{number}.ipynb")).exists():
        if copy.read_bytes() == page.path.read_bytes():
            return
        number += 1
    shutil.copyfile(page.path, copy)
    show.say(f"{page.name}: {page.path.name} was changed by hand; your version is {copy}")


def convert(page: Page, show: Progress) -> bool:
    """Put an unexecuted notebook where a page has none, or only an older unexecuted one."""
    notebook = read(page)
    if notebook is not None and (
        stamp(page).get("fingerprint") or cells(notebook) == cells(page.notebook())
    ):
        return False
    keep_edits(page, show)
    fresh = page.notebook()
    fresh.metadata[STAMP] = {"cells": cells(fresh)}
    part = page.path.with_name(f".{page.name}.{os.getpid()}.ipynb")
    nbformat.write(fresh, part)
    part.replace(page.path)
    return True


def run(project: Project, wanted: Mapping[str, Parameters], show: Progress) -> list[Outcome]:
    """Execute pages in order, those that are out of date.

    Parameters
    ----------
    project
        The project.
    wanted
        Parameters of each page to execute.
    show
        Where to show progress.

    Returns
    -------
    list of Outcome
        One per page. A page that fails does not stop the others.
    """
    outcomes = []
    for number, (name, values) in enumerate(wanted.items(), start=1):
        page = project.page(name)
        label = f"[{number}/{len(wanted)}] {name}"
        if is_current(page, values):
            outcome = Outcome(name, "unchanged", stamp(page)["seconds"])
            show.say(f"{label}  unchanged, {duration(outcome.seconds)} before")
        else:
            outcome = _attempt(page, values, show, label)
        outcomes.append(outcome)
    return outcomes


def _attempt(page: Page, values: Parameters, show: Progress, label: str) -> Outcome:
    started = time.monotonic()
    try:
        execute(page, values, show, label)
    except PageError as error:
        seconds = time.monotonic() - started
        show.say(f"{label}  FAILED after {duration(seconds)} in {error}")
        return Outcome(page.name, "failed", seconds, str(error).split("\n")[0])
    outcome = Outcome(page.name, "done", stamp(page)["seconds"])
    show.say(f"{label}  {duration(outcome.seconds)}")
    return outcome


def duration(seconds: float) -> str:
    """Write a duration as people do: ``12.3 s``, ``4 min 05 s``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def summary(outcomes: Sequence[Outcome], shown: Callable[[str], str]) -> str:
    """Say how long each page took and what could not be computed.

    Parameters
    ----------
    outcomes
        What became of the pages.
    shown
        What the book shows in the place of a page that failed.
    """
    width = max(len(outcome.page) for outcome in outcomes)
    lines = ["Time for each notebook:"]
    for one in outcomes:
        how = {"done": "", "unchanged": "  (before; unchanged)", "failed": "  FAILED"}[one.status]
        lines.append(f"  {one.page:<{width}}  {duration(one.seconds):>12}{how}")
    now = sum(one.seconds for one in outcomes if one.status != "unchanged")
    lines.append(f"  {'total, this time':<{width}}  {duration(now):>12}")
    gaps = [
        f"  {one.page}: {one.message}\n    (the book shows {shown(one.page)})"
        for one in outcomes
        if one.status == "failed"
    ]
    lines += ["Could not be computed:", *gaps] if gaps else ["Everything was computed."]
    return "\n".join(lines)
