"""A copy of the repository as a fresh clone has it, and the book that it builds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MADE = (
    ".git",
    ".venv",
    ".uv",
    "_build",
    "runs",
    "*.ipynb",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
)


def environment(root, **more):
    """Use the package of this copy, and nothing of the machine but the installed packages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUMIMP_")}
    offline = dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"
    )
    return {
        **kept,
        **offline,
        "PYTHONPATH": str(root),
        "HUMIMP_CACHE": str(root / "cache"),
        "HUMIMP_PROGRESS": os.devnull,
        **{name: str(value) for name, value in more.items()},
    }


def python(root, *arguments, **more):
    """Run Python in a copy; return the exit status and all that it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=root,
        env=environment(root, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    def make(name):
        root = tmp_path_factory.mktemp(name) / "humimp"
        shutil.copytree(ROOT, root, symlinks=True, ignore=shutil.ignore_patterns(*MADE))
        return root

    return make


@pytest.fixture(scope="session")
def reference_site(clone):
    """Build what ``jupyter-book build book/`` makes of a fresh clone, without a network."""
    root = clone("reference")
    command = "from jupyter_book.cli.main import main; main()"
    status, said = python(root, "-c", command, "build", "book/", "-n", "-W", "--keep-going")
    assert status == 0, said
    return root / "_build" / "html"
