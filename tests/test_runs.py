"""What tells runs apart, and where numbers come from. How folders are kept: test_evaluate.py."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from humimp import runs


class Cost:
    def __init__(self, window: int) -> None:
        self.window = window


def scaled(by: float) -> Any:
    return lambda x: x * by


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Cost(7), Cost(11)),
        (torch.zeros(2), torch.ones(2)),
        (partial(int, base=8), partial(int, base=10)),
        (nn.Linear(2, 2), nn.Linear(2, 2)),
        (Cost, nn.Linear),
        (Cost(7).__init__, Cost(11).__init__),
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x=1: x, lambda x=2: x),
        (*[lambda x, k=k: x for k in range(2)],),
        (scaled(1), scaled(2)),
        ([1, {"a": 2}], [1, {"a": 3}]),
        ("truncate", None),
    ],
)
def test_options_are_told_apart_by_what_they_are(one: Any, other: Any) -> None:
    assert runs.describe(one) == runs.describe(one)
    assert runs.describe(one) != runs.describe(other)
    json.dumps(runs.describe(one))


def test_equal_objects_are_described_alike() -> None:
    assert runs.describe(Cost(7)) == runs.describe(Cost(7))


def test_weights_tell_modules_apart_and_only_weights() -> None:
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    assert runs.weights(one) != runs.weights(other)
    other.load_state_dict(one.state_dict())
    assert runs.weights(one) == runs.weights(other.eval())


def test_digests_depend_on_values_shape_and_type() -> None:
    x = torch.arange(4.0)
    kinds = [x, x + 1, x.reshape(2, 2), x.int(), torch.tensor(1.0), torch.empty(0)]
    assert len({runs.digest([kind]) for kind in kinds}) == len(kinds)
    assert runs.digest([x.reshape(2, 2).T]) == runs.digest([x.reshape(2, 2).T.contiguous()])


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
