"""What the benchmarks read is what the book runs."""

import importlib
from pathlib import Path

import pytest

from humimp.pages import Project

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("profile", ["laptop", "paper"])
@pytest.mark.parametrize("name", ["03_2_pieapp", "04_3_results"])
def test_a_benchmark_has_the_parameters_that_a_page_has_at_a_profile(name, profile, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    given = importlib.import_module("page_3_2").page(profile, name)
    page = Project(ROOT).page(name)
    assert given.keys() == page.parameters.keys()
    assert page.label(given) == profile
