"""What tells runs apart."""

import enum
import json
import logging
import os
import runpy
import subprocess
import sys
import threading
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from humimp import classifiers, costs, defenses, distances, features, fingerprints


class Cost:
    def __init__(self, window: int) -> None:
        self.window = window


def scaled(by: float) -> Any:
    return lambda x: x * by


@dataclass(slots=True)
class Slotted:
    steps: int


class Holding:
    def __init__(self, held: Any) -> None:
        self.held = held


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


KNOWN = 3


def nested(k: int) -> Any:
    return (lambda: lambda x: x + 1) if k else (lambda: lambda x: x + 2)


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
        ({1: "a"}, {"1": "a"}),
        ({1: "a", "1": "b"}, {1: "c", "1": "b"}),
        ("truncate", None),
        (np.int64(1), np.int64(100)),
        (np.float32(0.1), np.float32(0.2)),
        (np.longdouble(1), np.longdouble(2)),
        (np.arange(3), np.arange(3) + 1),
        (np.arange(4), np.arange(4).reshape(2, 2)),
        (np.zeros(2, np.int32), np.zeros(2, np.float32)),
        (np.array(["a", None], object), np.array(["b", None], object)),
        (np.float32, np.float64),
        (np.add, np.multiply),
        (np.dtype("f4"), np.dtype("f8")),
        (Path("a"), Path("b")),
        (torch.float32, torch.float64),
        (torch.device("cpu"), torch.device("cuda", 1)),
        (range(3), range(4)),
        (complex(1, 2), complex(1, 3)),
        ({1, 2}, {1, 3}),
        (frozenset("ab"), frozenset("ac")),
        (b"a", b"b"),
        (Fraction(1, 3), Fraction(1, 3) + Fraction(1, 10**20)),
        (Decimal("0.1"), Decimal("0.10000000000000000000001")),
        (Size.SMALL, Size.LARGE),
        (logging.getLogger("one"), logging.getLogger("other")),
        (json, os),
        (Holding([1]), Holding([2])),
        (Holding({"a": 1}), Holding({"a": 2})),
        (Holding(np.zeros(2)), Holding(np.ones(2))),
        (Holding([torch.zeros(2)]), Holding([torch.ones(2)])),
        (Holding(Cost(7)), Holding(Cost(11))),
        (Holding(int), Holding(float)),
        (Slotted(1), Slotted(2)),
        ("a".join, "b".join),
        (lambda z: defenses.jpeg(z, 5), lambda z: defenses.bit_depth(z, 5)),
        (lambda z: KNOWN, lambda z: Cost),
        (lambda x, *, k=1: x, lambda x, *, k=2: x),
        (lambda x, k: x, lambda k, x: k),
        (nested(0), nested(1)),
    ],
)
def test_options_are_told_apart_by_what_they_are(one: Any, other: Any) -> None:
    assert fingerprints.describe(one) == fingerprints.describe(one)
    assert fingerprints.describe(one) != fingerprints.describe(other)
    json.dumps(fingerprints.describe(one))


def test_equal_objects_are_described_alike() -> None:
    assert fingerprints.describe(Cost(7)) == fingerprints.describe(Cost(7))
    assert fingerprints.describe({1: Cost(7), "a": 2}) == fingerprints.describe(
        {"a": 2, 1: Cost(7)}
    )


def test_an_object_that_holds_a_function_is_no_partial() -> None:
    class Wrapped:
        def __init__(self, func: Any) -> None:
            self.func = func

    (described,) = fingerprints.describe(Wrapped(round)).values()
    assert described == {"func": fingerprints.describe(round)}


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.int64(100), 100),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.bool_(True), True),
        (np.str_("round"), "round"),
        (Path("a/b"), "a/b"),
        ((1, 2), [1, 2]),
        ({"1": 2, "a": {}}, {"1": 2, "a": {}}),
    ],
)
def test_what_behaves_as_a_plain_value_is_described_as_one(given: Any, plain: Any) -> None:
    described = json.loads(json.dumps(fingerprints.describe(given)))
    assert described == plain
    assert type(described) is type(plain)


def test_an_object_that_nothing_tells_apart_is_refused_by_name() -> None:
    for given in (object(), Holding([object()]), iter([1])):
        with pytest.raises(ValueError, match=r"(object|iterator).*nothing tells one .* from anoth"):
            fingerprints.describe(given)


def test_locks_and_private_attributes_say_nothing() -> None:
    one = Holding(threading.Lock())
    assert fingerprints.describe(one) == fingerprints.describe(Holding(threading.Lock()))
    one._cache = object()  # type: ignore[attr-defined]
    assert fingerprints.describe(one) == fingerprints.describe(Holding(threading.Lock()))


def test_what_is_inside_itself_is_described() -> None:
    inner = Holding([])
    inner.held.append(inner)

    def factorial(n: int) -> int:
        return n * factorial(n - 1) if n else 1

    for given in (inner, factorial):
        json.dumps(fingerprints.describe(given))


def test_a_function_is_known_by_the_globals_that_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def reads(x: int) -> Any:
        return [x + KNOWN for _ in range(2)]

    before = fingerprints.describe(reads)
    monkeypatch.setitem(globals(), "KNOWN", 4)
    assert fingerprints.describe(reads) != before


def test_descriptions_do_not_depend_on_the_process() -> None:
    """Sets have another order in each."""
    script = (
        "from humimp import fingerprints; import json;"
        "f = lambda x: x in {'a', 'b', 'c', 'd'} and (lambda: x);"
        "print(json.dumps(fingerprints.describe([f, set('abcd')])), fingerprints.forms([f]))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": str(k)},
            capture_output=True,
            check=True,
        ).stdout
        for k in range(2)
    }
    assert len(found) == 1


def digits_network() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.25)
    return classifiers.Normalized(network.eval(), (0.5,), (0.5,))


WEIGHTS = "5ae3be09cddd2c4a6b2730b9865746f06813d1f8750f9b5391ce23493b5d6aeb"
WEIGHTS_BELOW = "d7838b2863c2a0ad8d40c137630349389c78793cbe9ddc71864217652b621a8a"

#: What the diaries in results/ hold: this must stay, or those runs would be refused.
IN_DIARIES: list[tuple[Any, Any]] = [
    (lambda: costs.SSIM(), {"humimp.costs.SSIM": {"window": "gaussian"}}),
    (lambda: distances.LPIPS(), {"humimp.distances.LPIPS": {"net": "vgg"}}),
    (lambda: distances.DISTS(), {"humimp.distances.DISTS": {}}),
    (lambda: distances.Saliency(), {"humimp.distances.Saliency": {}}),
    (lambda: distances.l2, "humimp.distances.l2"),
    (
        lambda: partial(distances.share, low=0.001, high=0.5),
        {"functools.partial": ["humimp.distances.share", [], {"low": 0.001, "high": 0.5}]},
    ),
    (
        lambda: costs.PieAPP("small"),
        {
            "humimp.costs.PieAPP": {
                "weights": "small",
                "stride": 27,
                "precision": "float32",
                "sha256": "d03b0f3d3f66c330978701ad4807b21b0460b79ba61e6d6c35abfe8a098e9d74",
            }
        },
    ),
    (
        lambda: distances.Changed(digits_network()),
        {
            "humimp.distances.Changed": {
                "model": {"humimp.classifiers.Normalized": {"weights": WEIGHTS}}
            }
        },
    ),
    (
        lambda: features.Features(digits_network(), ["network.1"], "small"),
        {
            "humimp.features.Features": {
                "layers": ["network.1"],
                "name": "small",
                "weights": WEIGHTS_BELOW,
            }
        },
    ),
]


@pytest.mark.parametrize("case", range(len(IN_DIARIES)))
def test_descriptions_are_those_of_the_diaries_that_there_are(case: int) -> None:
    make, wanted = IN_DIARIES[case]
    assert json.dumps(fingerprints.describe(make())) == json.dumps(wanted)


def test_the_form_tells_normalisations_and_architectures_apart() -> None:
    def made(*, std: float = 0.5, stride: int = 1, last: type[nn.Module] = nn.ReLU) -> nn.Module:
        convolution = nn.Conv2d(1, 1, 3, stride=stride)
        nn.init.ones_(convolution.weight)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        return classifiers.Normalized(nn.Sequential(convolution, last()), (0.5,), (std,))

    others = [made(std=1.0), made(stride=2), made(last=nn.Tanh)]
    assert {fingerprints.weights(one) for one in others} == {fingerprints.weights(made())}
    assert fingerprints.form(made()) == fingerprints.form(made().eval())
    assert len({fingerprints.form(one) for one in [made(), *others]}) == 4
    described = [fingerprints.describe(Holding(one), forms=True) for one in [made(), *others]]
    assert len(set(map(json.dumps, described))) == 4
    assert fingerprints.describe(Holding(made())) == fingerprints.describe(Holding(others[0]))


def test_forms_tell_networks_inside_things_apart_and_not_how_a_number_is_written() -> None:
    def held(mean: float) -> Any:
        network = classifiers.Normalized(nn.Flatten(), mean=(mean,) * 3, std=(1.0,) * 3)
        return {"measure": partial(Cost, window=network), "lam": 1}

    assert fingerprints.forms(held(0.5)) == fingerprints.forms(held(0.5))
    assert fingerprints.forms(held(0.5)) != fingerprints.forms(held(0.25))
    assert fingerprints.forms({"lam": 1, "k": [0]}) == fingerprints.forms({"k": [0.0], "lam": 1.0})
    assert fingerprints.forms({"lam": 1}) != fingerprints.forms({"lam": 2})


def test_the_form_does_not_depend_on_where_things_lie_in_memory() -> None:
    class Shown(nn.Module):
        def extra_repr(self) -> str:
            return object.__repr__(self)

    one, other = Shown(), Shown()
    assert one.extra_repr() != other.extra_repr()
    assert fingerprints.form(one) == fingerprints.form(other)


def test_weights_tell_modules_apart_and_only_weights() -> None:
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    assert fingerprints.weights(one) != fingerprints.weights(other)
    other.load_state_dict(one.state_dict())
    assert fingerprints.weights(one) == fingerprints.weights(other.eval())


def test_digests_depend_on_values_shape_and_type() -> None:
    x = torch.arange(4.0)
    kinds = [x, x + 1, x.reshape(2, 2), x.int(), torch.tensor(1.0), torch.empty(0)]
    assert len({fingerprints.digest([kind]) for kind in kinds}) == len(kinds)
    assert fingerprints.digest([x.reshape(2, 2).T]) == fingerprints.digest(
        [x.reshape(2, 2).T.contiguous()]
    )


class Shifted(nn.Module):
    """A model whose setting is a plain attribute."""

    def __init__(self, mean: Any) -> None:
        super().__init__()
        self.mean, self._calls, self.helper = mean, 0, Cost(1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.0, 0.4),
        ("RGB", "BGR"),
        (None, False),
        ((0.0, 1.0), (0.0, 2.0)),
        ([{"a"}], [{"b"}]),
        (torch.zeros(2), torch.ones(2)),
        (np.zeros(2), np.ones(2)),
        (torch.float32, torch.float64),
        ({"a": 1}, {"a": 2}),
    ],
)
def test_the_form_tells_plain_attributes_apart(one: Any, other: Any) -> None:
    assert fingerprints.form(Shifted(one)) == fingerprints.form(Shifted(one))
    assert fingerprints.form(Shifted(one)) != fingerprints.form(Shifted(other))
    counting = Shifted(one)
    counting._calls = 7  # type: ignore[assignment]
    assert fingerprints.form(counting) == fingerprints.form(Shifted(one))


WRITTEN = """
import re
import numpy as np
from torch import nn
from humimp import fingerprints

{0}

said = [fingerprints.describe(thing) for thing in ({1})]
"""


@pytest.mark.parametrize(
    ("code", "same", "other", "things"),
    [
        (
            "K = 1\ndef cost(a, b):\n    return K * (a - b)",
            "K = 1\ndef cost(a, b):  # a comment\n    return (\n        K * (a - b))",
            "K = 20\ndef cost(a, b):\n    return K * (a - b)",
            "cost,",
        ),
        (
            "def attack(x):\n    return x + 1",
            "def attack(x):\n    return (x + 1)",
            "def attack(x):\n    return x + 2",
            "attack,",
        ),
        (
            "class Net(nn.Module):\n    def forward(self, x):\n        return x",
            "class Net(nn.Module):\n    def forward(self, x):\n        return (x)",
            "class Net(nn.Module):\n    def forward(self, x):\n        return 2 * x",
            "fingerprints.form(Net()),",
        ),
        (
            "class Cost:\n    def __call__(self, a, b):\n        return a - b",
            "class Cost:\n    def __call__(self, a, b):\n        return (a - b)",
            "class Cost:\n    def __call__(self, a, b):\n        return b - a",
            "Cost, Cost()",
        ),
        (
            "generator, words = np.random.default_rng(0), re.compile('a')\n"
            "def attack(x):\n    return generator, words, attack",
            "generator, words = np.random.default_rng(1), re.compile('a')\n"
            "def attack(x):\n    return generator, words, attack",
            "generator, words = np.random.default_rng(0), re.compile('b')\n"
            "def attack(x):\n    return generator, words, attack",
            "attack,",
        ),
    ],
)
def test_what_a_script_defines_is_known_by_its_source(
    tmp_path: Path, code: str, same: str, other: str, things: str
) -> None:
    def said(name: str, written: str) -> Any:
        file = tmp_path / name
        file.write_text(WRITTEN.format(written, things))
        return runpy.run_path(str(file), run_name="__main__")["said"]

    before = said("before.py", code)
    json.dumps(before)
    assert said("same.py", same) == before
    assert said("other.py", other) != before
