"""The four descriptions of the environment say the same."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def asked():
    extras = PROJECT["optional-dependencies"].values()
    lines = PROJECT["dependencies"] + [line for extra in extras for line in extra]
    return {canonicalize_name(one.name): one.specifier for one in map(Requirement, lines)}


def pinned(name):
    """Entries of a lock file: name, version, and how many hashes."""
    text = re.sub(r"#.*", "", (ROOT / name).read_text()).replace("\\\n", " ")
    entries = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        found = re.match(r"([\w.-]+)==(\S+)", line)
        assert found, f"{name}: {line[:80]!r} is not pinned"
        hashes = len(re.findall(r"--hash=sha256:[0-9a-f]{64}", line))
        assert hashes, f"{name}: {found[1]} has no hash"
        entries.setdefault(canonicalize_name(found[1]), []).append(found[2])
    return entries


def conda():
    return yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def test_the_lock_is_within_the_ranges_of_pyproject():
    lock = pinned("requirements.txt")
    for name, specifier in asked().items():
        assert name in lock, f"{name} is in pyproject.toml and not in requirements.txt: compile it"
        for version in lock[name]:
            assert version in specifier, f"{name} {version} is not {specifier}"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-models.txt"])
def test_a_lock_pins_with_hashes_and_names_no_host(name):
    assert pinned(name)
    text = (ROOT / name).read_text()
    assert not re.search(r"^\s*(-i|-f|--index|--extra-index|--find-links|--trusted)", text, re.M)
    assert "://" not in text


def test_the_two_locks_share_no_package():
    assert not pinned("requirements.txt").keys() & pinned("requirements-models.txt").keys()


def test_conda_has_the_ranges_of_pyproject():
    *lines, last = conda()[-1]["pip"]
    given = {canonicalize_name(one.name): one.specifier for one in map(Requirement, lines)}
    assert given == asked()
    assert last == "--editable ."
    assert conda()[0] == f"python{PROJECT['requires-python']}"


def test_the_makefile_asks_for_the_python_of_pyproject():
    least = PROJECT["requires-python"].removeprefix(">=")
    makefile = (ROOT / "Makefile").read_text()
    assert f"sys.version_info < ({least.replace('.', ', ')})" in makefile
    assert f"Python {least} or newer is needed" in makefile


def test_a_python_that_is_too_old_is_refused(tmp_path):
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit 0\nexit 1\n')
    old.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    command = ["make", "-C", str(tmp_path), "env", f"PYTHON={old}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"Python 3.11 or newer is needed; {old} is: Python 3.9.1" in done.stderr
    assert "make PYTHON=/path/to/python3.12 env" in done.stderr


def imported(tree):
    """Top-level names of the modules that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name.split(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def test_everything_the_package_imports_is_asked_for():
    known = {"PIL": "pillow", "yaml": "pyyaml", "IPython": "ipykernel", "sphinx": "jupyter-book"}
    known |= {"mpl_toolkits": "matplotlib", "myst_nb": "jupyter-book"}
    for path in (ROOT / "humimp").rglob("*.py"):
        for module in imported(ast.parse(path.read_text())):
            if module == "humimp" or module in sys.stdlib_module_names:
                continue
            name = canonicalize_name(known.get(module, module))
            assert name in asked(), f"{path.name} imports {module}, which is not in pyproject.toml"
