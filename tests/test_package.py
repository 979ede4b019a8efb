"""The package is built in floors, a line of its docstring each."""

import ast
import graphlib
import re
from pathlib import Path

import humimp

PACKAGE = Path(humimp.__file__).parent
FLOORS = [re.findall(r"``(\w+)``", line) for line in humimp.__doc__.split("\n- ")[1:]]


def imported():
    """Find what each module imports, of the package, at its top or inside functions."""
    inside = [path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")]
    files = {PACKAGE.parent / path: path.with_suffix("").parts
             for path in inside if path.parts[1] != "data"}  # fmt: skip
    names = {".".join(parts).removesuffix(".__init__"): path for path, parts in files.items()}
    found = {}
    for name, path in names.items():
        uses = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                whole = (f"{node.module}.{one.name}" for one in node.names)
                uses |= {one if one in names else node.module for one in whole}
            if isinstance(node, ast.Import):
                uses |= {one.name for one in node.names}
        found[name] = {one for one in uses if one.startswith("humimp.")} - {name}
    return found


def test_the_docstring_lists_all_there_is_once():
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"} - {"__init__"}
    there |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    listed = [name for floor in FLOORS for name in floor]
    assert sorted(listed) == sorted(there)


def test_nothing_imports_from_a_later_line():
    assert "humimp.checks" in imported()["humimp.evaluate"]
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    wrong = [
        (name, other)
        for name, others in imported().items()
        for other in others
        if name != "humimp" and floor[other.split(".")[1]] > floor[name.split(".")[1]]
    ]
    assert wrong == []


def test_imports_go_in_no_circle():
    list(graphlib.TopologicalSorter(imported()).static_order())
