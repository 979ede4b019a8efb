"""Where numbers come from, and how files are written. How folders are kept: test_evaluate.py."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from humimp import files, runs


def test_settings_that_are_none_are_no_missing_ones(tmp_path: Path) -> None:
    runs.compare({"a": None}, {"a": None}, tmp_path)
    with pytest.raises(ValueError, match="a: 'nothing' in the folder, None now"):
        runs.compare({}, {"a": None}, tmp_path)


def test_provenance_names_the_code_the_versions_and_the_time() -> None:
    found = runs.provenance(device="abacus")
    assert found["device"] == "abacus"
    assert found["versions"]["torch"] == torch.__version__.split("+")[0]
    assert found["versions"]["numpy"] == np.__version__
    age = datetime.now(UTC) - datetime.fromisoformat(found["started"])
    assert timedelta(0) <= age < timedelta(minutes=1)
    if (Path(runs.__file__).parent.parent / ".git").exists():
        assert len(found["commit"]) == 40
        assert isinstance(found["dirty"], bool)


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (runs.provenance()["commit"], runs.provenance()["dirty"]) == (None, None)


def test_records_survive_parquet_exactly_and_always_give_the_same_bytes() -> None:
    records = pd.DataFrame(
        {"id": ["a", "ü"], "correct": [True, False], "l1": [1 / 3, np.nan], "under_x_1": [3, 4]}
    )
    data = runs.to_parquet(records)
    assert runs.to_parquet(records.copy()) == data
    pd.testing.assert_frame_equal(runs.from_parquet(data), records)


def test_a_flipped_bit_in_what_records_hold_is_an_error() -> None:
    """Of every byte; in the footer, which says what the columns are, a bit may change just that."""
    values = np.random.default_rng(0).random(9)
    records = pd.DataFrame({"id": [f"image-{k}" for k in range(9)], "l1": values})
    data = runs.to_parquet(records)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1
        try:
            found = runs.from_parquet(bytes(flipped))
        except (OSError, ValueError, pa.ArrowException):
            continue
        same = list(found) == list(records) and (found.dtypes == records.dtypes).all()
        if place < footer or (same and len(found) == len(records)):
            pd.testing.assert_frame_equal(found, records)  # that byte decides nothing


def test_a_file_that_was_taken_away_or_put_there_anew_is_not_the_one_that_is_open(tmp_path):
    path = tmp_path / ".lock"
    with path.open("w") as file:
        assert runs._is_open_as(file.fileno(), path)
        path.unlink()
        assert not runs._is_open_as(file.fileno(), path)
        path.touch()
        assert not runs._is_open_as(file.fileno(), path)


def test_a_write_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []
