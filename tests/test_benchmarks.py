"""What the benchmarks read is what the book runs."""

import importlib
from pathlib import Path

import pytest
import torch

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


def test_a_checkout_without_the_authors_files_ends_with_their_names(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    peer = importlib.import_module("machine").peer
    (tmp_path / "here.py").write_text("x = 1\n")
    with pytest.raises(SystemExit, match=r"no gone\.py in there; --checkout: address"):
        peer("address", tmp_path, ["here.py", "gone.py"])
    assert peer("address", tmp_path, ["here.py"])["files_sha256"].keys() == {"here.py"}


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux lets a process forget its peak"
)
def test_the_peak_is_of_what_is_done_and_not_of_what_was_before(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    side_by_side = importlib.import_module("side_by_side")
    held = torch.ones(2**26)  # 256 MB
    del held
    before = side_by_side.own_peak("cpu")

    def task(turn):
        return torch.ones(2**24) @ torch.ones(2**24)

    found = side_by_side.used(task, "cpu")
    assert 2 * 2**26 < found["peak_bytes"] < before - 2**26
    assert found["operations"] == 0
