"""What a page of the book is: its cells, its parameters, and what its results depend on."""

import ast
import copy
import difflib
import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml

#: The profile whose values are the defaults of the pages, and of the committed results.
PROFILE = "laptop"
#: Profiles at the paper's settings, of whose committed results pages show the first that is there:
#: all of it, for which a GPU and a network are wanted, and what two CPU cores get done.
SCALES = ("paper", "paper_cpu")
#: Names another folder for the records of your runs (default: ``runs/`` of the project).
RUNS_VARIABLE = "HUMIMP_RUNS"
#: Values of the parameter ``run`` that every computing page has.
RUN_VALUES = ("yours", "reference")

PACKAGE = Path(__file__).resolve().parent
LOCKS = ("requirements.txt", "requirements-models.txt")
# Modules that show results and do not make them: a change here leaves records valid. No computing
# module may import one of them, but for ``progress.py``, which only draws bars.
_SHOWING = (
    "figures/",
    "findings/",
    "scoreboard/",
    "book.py",
    "pages.py",
    "progress.py",
    "runner.py",
)

#: The least value of a number, or of each in a list, wherever a page has a parameter of this name.
LEAST = {
    **dict.fromkeys(
        ("n_images", "n_train", "n_sample", "n_slow", "n_nptm", "n_shown", "batch_size", "epochs",
         "steps", "perc_al_steps", "ddn_steps", "alma_steps", "rounds", "passes", "qualities",
         "bit_depths"), 1,
    ),
    **dict.fromkeys(
        ("sample", "lam", "confidence", "confidences", "classes", "masking", "strength",
         "gradient", "seed", "other_deals"), 0,
    ),
    "n_models": 2, "n_deals": 2, "n_draws": 2, "size": 64,
}  # fmt: skip
#: The greatest.
MOST = {"qualities": 95, "bit_depths": 8, "strength": 127, "gradient": 1, "distances": 28}
#: Lists that must hold two values at least, which the text compares.
COMPARED = {"confidences", "networks"}
#: Those that must be above 0.
POSITIVE = {
    "step_size", "climb", "learning_rate", "first_rate", "distances", "shown_distance", "budget",
}  # fmt: skip

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One name of a parameters cell: its default, and the comment behind it."""

    default: Any
    comment: str = ""

    @property
    def words(self) -> list[str]:
        """What a text may be, or each in a list: the default, and what the comment quotes."""
        first = self.default if isinstance(self.default, list) else [self.default]
        quoted = re.findall(r'"([^"]+)"', self.comment)
        texts = all(isinstance(one, str) for one in first)
        return list(dict.fromkeys([*first, *quoted])) if texts and quoted else []


@dataclass(frozen=True)
class Project:
    """The folders of one checkout of the project."""

    root: Path

    @classmethod
    def holding(cls, page: str) -> "Project":
        """Find the project that has a page: upwards from here, else around this package."""
        here = Path.cwd()
        for root in (here, *here.parents, PACKAGE.parent):
            if (root / "book" / f"{page}.py").is_file() and (root / "_toc.yml").is_file():
                return cls(root)
        raise ValueError(
            f"There is no page {page!r}: no folder from {here} upwards has a book/{page}.py"
        )

    @property
    def book(self) -> Path:
        """Folder of the pages."""
        return self.root / "book"

    @property
    def build(self) -> Path:
        """Folder of everything that can be made again."""
        return self.root / "_build"

    @property
    def runs(self) -> Path:
        """Folder of your runs' records; a relative one counts from the project's folder."""
        return self.root.absolute() / Path(os.environ.get(RUNS_VARIABLE) or "runs").expanduser()

    def names(self) -> list[str]:
        """Names of the computed pages, in the order of the table of contents."""
        file = self.root / "_toc.yml"
        listed = _files(read_yaml(file.read_text("utf-8"), str(file)))
        return [name for name in listed if (self.book / f"{name}.py").is_file()]

    def page(self, name: str) -> "Page":
        """Page of this name.

        Raises
        ------
        ValueError
            There is none; the message lists those there are.
        """
        if name not in self.names():
            raise ValueError(
                f"There is no page {name!r}{_meant(name, self.names())}; the pages are "
                f"{', '.join(self.names())}"
            )
        return Page(self, name)

    def profile(self, name: str) -> dict[str, Parameters]:
        """Parameters per page that a profile sets.

        Raises
        ------
        ValueError
            There is no such profile, it is no YAML or no mapping of pages to parameters, it names
            a page or a parameter that does not exist, or a value is of another type.
        """
        file = self.book / "profiles" / f"{name}.yml"
        if not file.is_file():
            there = ", ".join(sorted(path.stem for path in file.parent.glob("*.yml")))
            raise ValueError(f"There is no profile {name!r}; there are {there}")
        values, named = {}, _profile(file)
        try:
            for page, given in named.items():
                values[page] = self.page(page).numbers(given)
                self.page(page).check(values[page])
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        return values


@dataclass(frozen=True)
class Page:
    """One page of the book, whose source is a percent notebook ``book/<name>.py``."""

    project: Project
    name: str

    @property
    def source(self) -> Path:
        """The page as it is written."""
        return self.project.book / f"{self.name}.py"

    @property
    def path(self) -> Path:
        """The page as a notebook, executed or not, which the book shows."""
        return self.project.book / f"{self.name}.ipynb"

    @property
    def reference(self) -> Path:
        """Folder of the committed results."""
        return self.committed(PROFILE)

    def committed(self, profile: str) -> Path:
        """Folder of the committed results at a profile."""
        return self.project.root / "results" / profile / self.name

    @cached_property
    def _converted(self) -> nbformat.NotebookNode:
        notebook = jupytext.read(self.source, fmt="py:percent")
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        notebook.metadata = nbformat.from_dict({"kernelspec": kernel})
        for number, cell in enumerate(notebook.cells):
            cell.id = f"cell-{number:02d}"  # jupytext's are random
        return notebook

    def notebook(self) -> nbformat.NotebookNode:
        """Convert the source to a new, unexecuted notebook."""
        return copy.deepcopy(self._converted)

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """Parameters that the page's parameters cell sets; none if it has no such cell."""
        for cell in self._converted.cells:
            if "parameters" in cell.metadata.get("tags", ()):
                return _parameters(cell.source, self.source)
        return {}

    @property
    def defaults(self) -> Parameters:
        """Default of each parameter."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    def numbers(self, given: Mapping[str, Any]) -> Parameters:
        """Make floats where the default is one: of integers, and of text (to YAML 1.1, 1e-3 is)."""
        return {name: _number(value, self.defaults.get(name)) for name, value in given.items()}

    def check(self, given: Mapping[str, Any]) -> None:
        """Check names and types of parameters.

        Raises
        ------
        ValueError
            The page has no such parameter, or a value is of another type, out of range or none of
            the words that the parameter's comment quotes.
        """
        for name, value in given.items():
            if name not in self.parameters:
                raise ValueError(
                    f"{self.name} has no parameter {name!r}{_meant(name, self.parameters)}; "
                    + self._listing()
                )
            default = self.parameters[name].default
            if not _fits(value, default):
                raise ValueError(
                    f"{self.name}: {name} must be of type {_type(default)}, such as {default!r}; "
                    f"{value!r} is of type {_type(value)}"
                )
            if name == "run" and value not in RUN_VALUES:
                raise ValueError(
                    f'{self.name}: run must be "yours" (compute) or "reference" (show the '
                    f"committed results), not {value!r}"
                )
            self._check_value(name, value)

    def _check_value(self, name: str, value: Any) -> None:
        """Check the range of a parameter, or that it is one of its words."""
        one = f"{self.name}: {name}"
        several = isinstance(value, list | tuple)
        if several and not value:
            raise ValueError(f"{one} must not be empty; such as {self.defaults[name]!r}")
        if name in COMPARED and len(value) < 2:
            raise ValueError(f"{one} must hold two values at least, which are compared; {value!r}")
        if several and len(set(map(str, value))) < len(value):
            raise ValueError(f"{one} must not hold a value twice, got {value!r}")
        words = self.parameters[name].words
        for item in value if several else [value]:
            if words and item not in words:
                listed = ", ".join(map(repr, words))
                raise ValueError(
                    f"{one} must be one of {listed}{_meant(item, words)}, not {item!r}"
                )
            if isinstance(item, str | bool):
                continue
            least, most = LEAST.get(name, -math.inf), MOST.get(name, math.inf)
            if name in POSITIVE and not 0 < item <= most:
                raise ValueError(f"{one} must be above 0{_at_most(name)}, got {item!r}")
            if not least <= item <= most:
                raise ValueError(f"{one} must be at least {least}{_at_most(name)}, got {item!r}")

    def _listing(self) -> str:
        if not self.parameters:
            return "it has none"
        lines = [f"  {name} = {p.default!r}  {p.comment}" for name, p in self.parameters.items()]
        return "\n".join(["its parameters are", *(line.rstrip() for line in lines)])

    def label(self, values: Mapping[str, Any]) -> str:
        """Name of the profile that has exactly these values, else ``"custom"``."""
        asked = {**self.defaults, **values, "run": ""}
        for file in sorted((self.project.book / "profiles").glob("*.yml")):
            given = self.numbers(_profile(file).get(self.name, {}))
            if {**self.defaults, **given, "run": ""} == asked:
                return file.stem
        return "custom"

    def folder(self, values: Mapping[str, Any]) -> Path:
        """Folder for the records of the page at these parameters.

        It is another one whenever records could differ: for other parameters, other code in the
        page or in the computing modules of the package, other data in it, or other pinned
        packages. Prose, comments, docstrings and figures may change without making records
        worthless.
        """
        if values.get("run") == "reference":
            return self.reference
        code = [_tree(cell.source) for cell in self._converted.cells if _computes(cell)]
        asked = {**self.defaults, **values, "run": ""}
        about = digest(code, asked, _computing(), _locks(self.project))
        return self.project.runs / self.name / f"{self.label(values)}-{about[:8]}"

    def fingerprint(self, values: Mapping[str, Any]) -> str:
        """Digest of all that the executed page depends on, but for the checkpoints' files."""
        shown = {**self.defaults, **values}
        results = _contents(self.project.root / "results")
        package = _contents(PACKAGE)
        locks = _locks(self.project)
        python = sys.version_info[:2]
        return digest(
            cells(self._converted), shown, results, package, locks, python, self._before()
        )

    def _before(self) -> list[str]:
        """Fingerprints of the pages before this one, if its code looks at the runs they show."""
        sources = [cell.source for cell in self._converted.cells if _computes(cell)]
        if not any("scoreboard.own(" in source for source in sources):
            return []
        found = []
        for name in self.project.names()[: self.project.names().index(self.name)]:
            try:
                notebook = json.loads(self.project.page(name).path.read_text("utf-8"))
                found.append(notebook["metadata"]["humimp"]["fingerprint"])
            except (OSError, ValueError, KeyError, TypeError):
                found.append("")
        return found


def cells(notebook: nbformat.NotebookNode) -> str:
    """Digest of a notebook's cells: kind, tags and source, without outputs."""
    kept = [
        (cell.cell_type, cell.metadata.get("tags", []), cell.source)
        for cell in notebook.cells
        if "injected-parameters" not in cell.metadata.get("tags", ())
    ]
    return digest(kept)


def digest(*parts: Any) -> str:
    """SHA-256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_yaml(text: str, where: str) -> Any:
    """Read YAML.

    Parameters
    ----------
    text
        The YAML.
    where
        What the error calls it.

    Raises
    ------
    ValueError
        It is not YAML; the message says where and why.
    """
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"{where}{place}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-13-01
        raise ValueError(f"{where}: not YAML: {error}") from None


def _profile(file: Path) -> dict[Any, Parameters]:
    """Read a profile: a mapping of pages to mappings, the parameters of each."""
    values = read_yaml(file.read_text("utf-8"), str(file))
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ValueError(
            f"{file}: expected a mapping of pages to parameters, got a {type(values).__name__}"
        )
    for page, given in values.items():
        if not isinstance(given, dict | None):
            raise ValueError(
                f"{file}: {page}: expected a mapping of parameters to values, got a "
                f"{type(given).__name__}"
            )
    return {page: given or {} for page, given in values.items()}


def _files(entry: Any) -> list[str]:
    """Pages in a table of contents, in reading order."""
    if isinstance(entry, list):
        return [name for item in entry for name in _files(item)]
    if not isinstance(entry, dict):
        return []
    own = [entry[key] for key in ("root", "file") if key in entry]
    inside = ("parts", "chapters", "sections", "subtrees", "entries")
    return own + [name for key in inside for name in _files(entry.get(key))]


def _parameters(source: str, file: Path) -> dict[str, Parameter]:
    """Read the assignments of a parameters cell."""
    found = {}
    lines = source.splitlines()
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        try:
            (target,) = targets
            default = ast.literal_eval(value)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            target = None
        if not isinstance(target, ast.Name):
            raise ValueError(
                f"{file}: the parameters cell may hold only lines like `steps = 100  # comment` "
                f"with plain values, not {ast.unparse(node)!r}"
            )
        behind = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode().strip()  # type: ignore[operator]
        found[target.id] = Parameter(default, behind)
    return found


def _number(value: Any, default: Any) -> Any:
    """Make a float of a value if the default is one, or of a list's values if it holds them."""
    if isinstance(value, list) and isinstance(default, list) and default:
        return [_number(item, default[0]) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and isinstance(default, float):
        return float(value)
    if isinstance(value, str) and isinstance(default, float):
        try:
            found = float(value)
        except ValueError:
            return value
        return found if math.isfinite(found) else value
    return value


def _fits(value: Any, default: Any) -> bool:
    """Whether a parameter may have this value, judging by the default's type."""
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple) and all(_fits(one, default[0]) for one in value)
    return type(value) is type(default)


def _type(value: Any) -> str:
    """Name the type of a value, of a list with that of what is in it."""
    inside = " and ".join(sorted({_type(one) for one in value})) if type(value) is list else ""
    return f"list of {inside}" if inside else type(value).__name__


def _meant(name: Any, allowed: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), list(allowed), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _at_most(name: str) -> str:
    return f" and at most {MOST[name]}" if name in MOST else ""


def _computes(cell: nbformat.NotebookNode) -> bool:
    tags = cell.metadata.get("tags", ())
    return cell.cell_type == "code" and "parameters" not in tags


def _tree(source: str) -> str:
    """Code without layout, comments and docstrings; code that cannot be parsed as it is."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    for node in ast.walk(tree):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def _sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def _computing() -> list[str]:
    """Syntax trees of the modules whose changes make records worthless, and the package's data."""
    trees = [_contents(PACKAGE / "data")]
    for path in _sources():
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(_SHOWING):
            trees.append(f"{name} {_tree(path.read_text('utf-8'))}")
    return trees


def _locks(project: Project) -> list[str]:
    """Pinned packages, one a line, without comments and hashes."""
    lines: list[str] = []
    for name in LOCKS:
        file = project.root / name
        if file.is_file():
            lines += [line for line in file.read_text("utf-8").splitlines() if "==" in line]
    return lines


def _contents(folder: Path) -> str:
    """Digest of every file below a folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return digest(
        [
            (p.relative_to(folder).as_posix(), hashlib.sha256(p.read_bytes()).hexdigest())
            for p in files
        ]
    )
