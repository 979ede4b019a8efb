"""Algorithms 2 and 3 against the listings, taken one image at a time."""

import copy
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from humimp import attacks, dro, files, fingerprints, paper, replicates, runs

N, CLASSES = 7, 3


def network(seed: int = 0) -> nn.Module:
    """Return a small network for 6 × 6 images with batch normalisation, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        norm = nn.BatchNorm2d(3)
        nn.init.uniform_(norm.running_mean, -0.1, 0.1)
        nn.init.uniform_(norm.running_var, 0.5, 2)
        layers = [
            nn.Conv2d(1, 3, 3, stride=2),
            norm,
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12, CLASSES),
        ]
        return nn.Sequential(*layers).double().eval()


def bent(seed: int = 0) -> nn.Module:
    """Return the network with the same weights and another activation."""
    model = network(seed)
    model[2] = nn.Tanh().eval()
    return model


def data(n: int = N, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return random 8-bit images and labels."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(256, (n, 1, 6, 6), generator=generator)
    return levels.double() / 255, torch.arange(n) % CLASSES


def pgd(model: Any, images: Tensor, labels: Tensor, *, steps: int = 3) -> Tensor:
    return attacks.pgd_l2(model, images, labels, steps=steps, step_size=0.5)


CALLS: list[int] = []


def counted(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    CALLS.append(len(images))
    return pgd(model, images, labels)


class Counts(nn.Module):
    """Notes how many images pass."""

    def forward(self, images: Tensor) -> Tensor:
        CALLS.append(len(images))
        return images


class Lost(nn.Module):
    """Makes NaN of everything, without a gradient, so that parameters stay finite."""

    def forward(self, values: Tensor) -> Tensor:
        return torch.where(values.isfinite(), torch.nan, values)


LEFT: list[int] = []


def halved(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    """Halve images, as often as there is something left, and then be cut off."""
    if not LEFT:
        raise KeyboardInterrupt
    LEFT.pop()
    return images / 2


def factor(p: float, weights: list[float], weighting: str) -> float:
    """Say what multiplies a step, in plain numbers."""
    mean_of_a_draw = sum(w * w for w in weights) / sum(weights)
    return {"literal": p, "sampling": 1.0, "normalized": p / mean_of_a_draw}[weighting]


def step(theta: nn.Module, batch: list[tuple[Tensor, Tensor, float]], alpha: float) -> None:
    """Take the listing's step for each image of a batch, all from one θ."""
    before = copy.deepcopy(theta).requires_grad_(True)
    for x, y, by in batch:
        before.zero_grad()
        F.cross_entropy(before(x[None]), y[None]).backward()
        with torch.no_grad():
            for parameter, same in zip(theta.parameters(), before.parameters(), strict=True):
                parameter -= alpha * by * same.grad


def listing_2(
    model: nn.Module, images: Tensor, labels: Tensor, alpha: float, t1: int, weighting: str, b: int
) -> list[tuple[Tensor, int, float]]:
    """Follow Algorithm 2 line by line, b images from one θ; the draws alone are the package's."""
    theta, n = copy.deepcopy(model), len(images)
    pool = [(x, y, 1.0) for x, y in zip(images, labels, strict=True)]
    for k in range(1, t1 + 1):
        weights = [p for _, _, p in pool]
        drawn = [pool[j] for j in dro._draw(torch.tensor(weights).double(), n, 2, 5, k).tolist()]
        for first in range(0, n, b):
            batch = drawn[first : first + b]
            step(theta, [(x, y, factor(p, weights, weighting)) for x, y, p in batch], alpha)
            for i, (x, y, _) in enumerate(batch, first + 1):
                pool.append((pgd(theta, x[None], y[None])[0], y, float((k - 1) * n + i)))
    return pool


def listing_3(
    model: nn.Module, robust: dro.RobustDataset, alpha: float, t2: int, weighting: str, b: int
) -> nn.Module:
    """Follow Algorithm 3, b images from one θ."""
    theta, weights = copy.deepcopy(model), robust.weights.tolist()
    drawn = dro._draw(robust.weights, t2 * len(weights), 3, 5).tolist()
    for first in range(0, len(drawn), b):
        rows = drawn[first : first + b]
        by = [factor(weights[j], weights, weighting) for j in rows]
        step(
            theta,
            [(robust.images[j], robust.labels[j], c) for j, c in zip(rows, by, strict=True)],
            alpha,
        )
    return theta


def made(**options: Any) -> dro.RobustDataset:
    given = {"learning_rate": 0.02, "rounds": 2, "seed": 5, "batch_size": 3} | options
    model, attack = given.pop("model", network()), given.pop("attack", pgd)
    return dro.robust_dataset(model, *data(), attack, **given)


def same(one: dro.RobustDataset, other: dro.RobustDataset) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def distance(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


# --- the listings ---


@pytest.mark.parametrize("weighting", dro.WEIGHTINGS)
@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_algorithm_2_is_its_listing(weighting, batch_size):
    wanted = listing_2(network(), *data(), 0.02, 2, weighting, batch_size)
    found = made(weighting=weighting, batch_size=batch_size)
    assert torch.equal(found.images, torch.stack([x for x, _, _ in wanted]))  # 8 bit: no rounding
    assert found.labels.tolist() == [int(y) for _, y, _ in wanted]
    assert found.weights.tolist() == [p for _, _, p in wanted]


@pytest.mark.parametrize("weighting", dro.WEIGHTINGS)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_algorithm_3_is_its_listing(weighting, batch_size):
    robust = made()
    given = {"learning_rate": 0.01, "passes": 2, "weighting": weighting, "batch_size": batch_size}
    found = dro.train(network(), robust, seed=5, **given)
    wanted = listing_3(network(), robust, 0.01, 2, weighting, batch_size)
    assert distance(found, wanted) < 1e-12
    assert distance(found, network()) > 1e-3


def test_the_papers_numbers_are_the_defaults():
    def default(of: Callable[..., Any], name: str) -> Any:
        return inspect.signature(of).parameters[name].default

    assert default(dro.robust_dataset, "rounds") == default(dro.clean, "rounds") == paper.T1
    assert default(dro.train, "passes") == default(dro.replicates, "passes") == paper.T2
    assert len(default(dro.replicates, "seeds")) == paper.N_MODELS


def test_the_readings_differ():
    robust = made()
    models = [dro.train(network(), robust, learning_rate=0.01, weighting=w) for w in dro.WEIGHTINGS]
    for index in range(3):
        assert distance(models[index], models[index - 1]) > 1e-3


def test_normalized_is_literal_at_another_learning_rate():
    robust = made()
    mean = float(robust.weights.square().sum() / robust.weights.sum())
    one = dro.train(network(), robust, learning_rate=0.01, weighting="normalized")
    other = dro.train(network(), robust, learning_rate=0.01 / mean, weighting="literal")
    assert distance(one, other) < 1e-12


def test_a_normalized_step_is_one_on_average():
    weights = torch.arange(1, 50).double()
    factors = dro._factors(weights, "normalized")
    assert float((weights / weights.sum() * factors).sum()) == pytest.approx(1)


def test_draws_are_in_proportion_to_the_weights():
    weights = torch.tensor([1.0, 2, 3, 4, 10], dtype=torch.float64)
    drawn = dro._draw(weights, 20_000, 3, 0)
    expected = 20_000 * weights / weights.sum()
    assert stats.chisquare(drawn.bincount(), expected).pvalue > 1e-3
    assert not torch.equal(drawn, dro._draw(weights, 20_000, 3, 1))
    assert not torch.equal(drawn, dro._draw(weights, 20_000, 2, 0))


def test_the_pool_says_where_each_image_comes_from():
    images, labels = data()
    found = made(rounds=3, attack=lambda model, x, y: x / 2)  # halved once for each attack
    assert found.images.shape == (4 * N, 1, 6, 6)
    assert found.round.tolist() == [k for k in range(4) for _ in range(N)]
    assert torch.equal(found.images[:N], images)
    assert torch.equal(found.labels, labels[found.origin])
    times = (images[found.origin].flatten(1).sum(1) / found.images.flatten(1).sum(1)).log2()
    torch.testing.assert_close(times, times.round())
    assert bool((times <= found.round).all())
    assert bool((times[N:] >= 1).all())
    assert times.max() > 1  # attacks are made on attacks


def test_what_is_given_stays_as_it_was_and_batch_statistics_are_frozen():
    model, (images, labels) = network(), data()
    state, pixels = copy.deepcopy(model.state_dict()), images.clone()
    robust = dro.robust_dataset(model, images, labels, pgd, learning_rate=0.02)
    trained = dro.train(model, robust, learning_rate=0.02)
    assert torch.equal(images, pixels)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(value.requires_grad for value in model.parameters())
    assert torch.equal(trained[1].running_var, model[1].running_var)
    assert torch.equal(trained[1].running_mean, model[1].running_mean)
    assert not torch.equal(trained[1].weight, model[1].weight)
    assert not any(part.training for part in trained.modules())
    assert not any(value.requires_grad for value in trained.parameters())


def test_the_attack_gets_its_options_and_a_generator_of_its_own():
    def attack(
        model: Any, x: Tensor, y: Tensor, *, by: float, generator: torch.Generator
    ) -> Tensor:
        seeds.append(generator.initial_seed())
        return x * by

    seeds: list[int] = []
    found = made(attack=attack, options={"by": 0.5}, rounds=1)
    assert torch.equal(found.images[N:], found.images[:N][found.origin[N:]] / 2)
    assert len(set(seeds)) == 3
    again = list(seeds)
    made(attack=attack, options={"by": 0.5}, rounds=1, seed=6)
    assert set(seeds[3:]).isdisjoint(again)


def test_seeds_decide_and_nothing_else_is_random():
    assert same(made(), made())
    assert not same(made(), made(seed=6))
    state = torch.get_rng_state()
    one, other = (dro.train(network(), made(), learning_rate=0.01, seed=s) for s in (0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert distance(one, other) > 1e-4
    assert distance(one, dro.train(network(), made(), learning_rate=0.01)) == 0


class Spare(nn.Module):
    """Has a parameter that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = network(), nn.Parameter(torch.ones(2).double())

    def forward(self, images: Tensor) -> Tensor:
        return self.used(images)


def test_a_parameter_that_is_not_used_stays(tmp_path):
    model = Spare().eval()
    robust = dro.robust_dataset(model, *data(), pgd, learning_rate=0.02, rounds=2, seed=5)
    assert same(robust, made(batch_size=20))
    options: dict[str, Any] = {"learning_rate": 0.01, "passes": 2}
    trained = dro.train(model, robust, **options)
    assert torch.equal(trained.spare, model.spare)
    assert distance(trained.used, dro.train(network(), robust, **options)) == 0
    images, labels = data()
    for seeds in ([0], [0, 1]):
        out = tmp_path / str(len(seeds))
        test = (images, labels, [str(i) for i in range(N)])
        dro.replicates(model, robust, test=test, out=out, seeds=seeds, **options)
        found = safetensors.torch.load_file(out / "models" / "00000.safetensors")
        wanted = trained.state_dict()
        assert set(found) == set(wanted)
        assert all(float((found[k] - wanted[k]).abs().max()) < 1e-12 for k in wanted)


def test_numbers_of_numpy_are_as_good_as_others(tmp_path):
    images, labels = data()
    made_with, trained_with = [], []
    for kind, number in ((lambda one: one, float), (np.int64, np.float32)):
        out = tmp_path / str(len(made_with))
        rate: Any = number(0.0625)  # the same in float32
        shared = {"learning_rate": rate, "batch_size": kind(3)}
        robust = made(out=out / "set", rounds=kind(2), seed=kind(5), **shared)
        made_with.append(robust)
        trained_with.append(dro.train(network(), robust, seed=kind(7), passes=kind(2), **shared))
        dro.replicates(
            network(), robust, out=out / "models", test=(images, labels, list("abcdefg")),
            seeds=[kind(0), kind(1)], passes=kind(2), together=kind(2), **shared,
        )  # fmt: skip
    assert same(*made_with)
    assert distance(*trained_with) == 0
    for name in ("set", "models"):
        one, other = (
            json.loads((tmp_path / k / name / "provenance.json").read_text()) for k in "01"
        )
        assert one["settings"] == other["settings"]
    one, other = (replicates.load(tmp_path / k / "models") for k in "01")
    assert one.equals(other)
    one, other = (
        safetensors.torch.load_file(tmp_path / k / "models" / "models" / "00001.safetensors")
        for k in "01"
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_control_has_the_same_size_and_clean_images_alone():
    images, labels = data()
    control, robust = dro.clean(images, labels, rounds=2), made()
    assert [t.shape for t in control] == [t.shape for t in robust]
    assert [t.dtype for t in control] == [t.dtype for t in robust]
    assert torch.equal(control.images, images[control.origin])
    assert torch.equal(control.labels, labels[control.origin])
    assert control.origin.bincount().tolist() == [3] * N
    assert set(control.weights.tolist()) == {1}
    models = [
        dro.train(network(), control, learning_rate=0.01, weighting=w) for w in dro.WEIGHTINGS
    ]
    assert distance(models[0], models[1]) == distance(models[0], models[2]) == 0


# --- on disk ---


def test_a_data_set_survives_the_disk(tmp_path):
    found = made(out=tmp_path / "set")
    assert same(found, made())
    assert same(dro.load(tmp_path / "set"), found)
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "provenance.json",
        "robust.safetensors",
    ]
    stored = safetensors.torch.load_file(tmp_path / "set" / "robust.safetensors")
    assert stored["images"].dtype == torch.uint8  # nothing is lost, and it takes an eighth


def test_images_that_are_not_8_bit_survive_the_disk_too(tmp_path):
    found = made(out=tmp_path / "a", attack=lambda model, x, y: x / 3)
    assert same(dro.load(tmp_path / "a"), found)
    turned = made(out=tmp_path / "b", attack=lambda model, x, y: (x / 3).mT.contiguous().mT)
    assert same(turned, found)  # in any order of memory
    assert same(found, made(attack=lambda model, x, y: x / 3))


def test_a_complete_data_set_is_read_not_made(tmp_path):
    CALLS.clear()
    one = made(out=tmp_path, attack=counted)
    assert CALLS == [3, 3, 1, 3, 3, 1]
    (tmp_path / "parts").mkdir()  # as if it had been killed just before its end
    assert same(made(out=tmp_path, attack=counted), one)
    assert len(CALLS) == 6
    assert not (tmp_path / "parts").exists()


def test_weights_are_those_of_the_listing():
    n, rounds = 3, 2
    listed = [1.0] * n + [(k - 1) * n + i for k in (1, 2) for i in (1, 2, 3)]
    assert dro.weights(n, rounds).tolist() == listed


class Stop(BaseException):
    """The end of a process, as far as its files are concerned."""


def stopping(monkeypatch: pytest.MonkeyPatch, last: int, before: bool) -> None:
    """Stop at the given write of a file: before it, or between it and its place."""

    def write(path: Path, content: bytes) -> None:
        nonlocal last
        last -= 1
        if last < 0:
            if not before:
                path.with_name(f".{path.name}.part").write_bytes(content[: len(content) // 2])
            raise Stop
        kept(path, content)

    kept: Callable[[Path, bytes], None] = files.write
    monkeypatch.setattr(files, "write", write)


@pytest.mark.parametrize("before", [True, False])
def test_cut_off_at_any_write_it_goes_on_and_ends_the_same(tmp_path, monkeypatch, before):
    options: dict[str, Any] = {"out": None, "attack": counted, "batch_size": N}
    wanted, cuts = made(**options), 0
    for last in range(20):
        out = tmp_path / str(last)
        CALLS.clear()
        try:
            with monkeypatch.context() as patch:
                stopping(patch, last, before)
                made(**options | {"out": out})
            break
        except Stop:
            cuts += 1
        if out.exists() and (out / "provenance.json").exists():
            with pytest.raises(ValueError, match="not complete; call robust_dataset again"):
                dro.load(out)
        assert same(made(**options | {"out": out}), wanted)
        assert len(CALLS) <= 3  # the batch that was cut off is attacked again, no other
        assert same(dro.load(out), wanted)
        assert not list(out.rglob("*.part"))
    assert cuts == 7  # the diary, two batches and the diary after each, the data set, the diary


def test_every_session_is_in_the_diary_with_its_time(tmp_path):
    def sessions() -> list[dict[str, Any]]:
        return json.loads((tmp_path / "provenance.json").read_text())["sessions"]

    LEFT[:] = [1, 1]
    with pytest.raises(KeyboardInterrupt):
        made(out=tmp_path, attack=halved)
    (cut,) = sessions()
    assert cut["batches"] == 2
    assert cut["wall_seconds"] > 0
    LEFT[:] = 4 * [1]
    made(out=tmp_path, attack=halved)
    assert sessions()[0] == cut
    assert [session["batches"] for session in sessions()] == [2, 4]
    assert sessions()[1]["wall_seconds"] > 0


def test_a_folder_is_read_as_what_it_is(tmp_path):
    made(out=tmp_path)
    with pytest.raises(
        ValueError, match=r"data set of dro\.robust_dataset; read it with dro\.load"
    ):
        replicates.load(tmp_path)


def test_a_folder_of_another_data_set_is_refused(tmp_path):
    made(out=tmp_path)
    with pytest.raises(ValueError, match=r"learning_rate: 0\.02 in the folder, 0\.03 now"):
        made(out=tmp_path, learning_rate=0.03)
    with pytest.raises(ValueError, match="weighting: 'normalized' in the folder, 'sampling' now"):
        made(out=tmp_path, weighting="sampling")
    with pytest.raises(ValueError, match="model_sha256"):
        made(out=tmp_path, model=network(1))
    with pytest.raises(ValueError, match="options"):
        made(out=tmp_path, options={"steps": 2})
    with pytest.raises(ValueError, match=r"model_form_sha256: '.*' in the folder, '.*' now"):
        made(out=tmp_path, model=bent())
    with pytest.raises(ValueError, match="no adversarial data set here"):
        dro.load(tmp_path / "nothing")


def guided(model: Any, images: Tensor, labels: Tensor, *, guide: nn.Module) -> Tensor:
    """Halve what another network is sure of."""
    return images * (1 - guide(images).sigmoid().amax(1)[:, None, None, None] / 2)


def test_another_form_of_a_network_that_guides_the_attack_is_refused(tmp_path):
    wanted = made(out=tmp_path, attack=guided, options={"guide": network(1)})
    with pytest.raises(ValueError, match=r"plan_form_sha256: '.*' in the folder, '.*' now"):
        made(out=tmp_path, attack=guided, options={"guide": bent(1)})
    assert same(made(out=tmp_path, attack=guided, options={"guide": network(1)}), wanted)


def test_a_diary_from_before_forms_were_known_is_accepted(tmp_path):
    wanted, path = made(out=tmp_path), tmp_path / "provenance.json"
    diary = json.loads(path.read_text())
    del diary["inputs"]["model_form_sha256"], diary["inputs"]["plan_form_sha256"]
    path.write_text(json.dumps(diary))
    assert same(made(out=tmp_path, model=bent()), wanted)


def test_only_one_process_works_in_a_folder(tmp_path):
    with (
        runs.alone(tmp_path, None),
        pytest.raises(ValueError, match="another process works in this folder"),
    ):
        made(out=tmp_path)
    made(out=tmp_path)


def test_damage_is_found(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stopping(patch, 5, True)
        with pytest.raises(Stop):
            made(out=tmp_path)
    part = tmp_path / "parts" / "000001.safetensors"
    whole = part.read_bytes()
    part.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"000001\.safetensors: damaged .*only its 3 images"):
        made(out=tmp_path)
    part.write_bytes(whole[:20])
    with pytest.raises(ValueError, match=r"000001\.safetensors: damaged"):
        made(out=tmp_path)
    packed = safetensors.torch.load(whole)["images"][:2]  # in order, but of another batch
    stamp = {"sha256": fingerprints.digest([packed])}
    for metadata in (stamp, None):
        part.write_bytes(safetensors.torch.save({"images": packed}, metadata))
        with pytest.raises(ValueError, match=r"1\.safetensors: damaged .*other images than were"):
            made(out=tmp_path)
    part.unlink()
    assert same(made(out=tmp_path), made())
    path = tmp_path / "robust.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match="damaged or changed"):
        dro.load(tmp_path)


# --- bad input ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate: expected a finite number above 0"),
        ({"rounds": 0}, "rounds: expected a whole number"),
        ({"batch_size": 0}, "batch_size: expected a whole number"),
        ({"seed": -1}, "seed: expected a whole number"),
        ({"weighting": "max"}, "weighting: expected one of 'normalized'"),
        ({"attack": "pgd"}, "attack: expected a function, got 'pgd'"),
        ({"options": {"stepz": 2}}, "does not take stepz; it takes steps"),
        ({"options": {"generator": None}, "attack": attacks.no_attack}, "generator"),
        ({"attack": lambda model, x, y: x[:1]}, "expected images like those it was given"),
        ({"attack": lambda model, x, y: x + 2}, "expected images like those it was given"),
        ({"learning_rate": 1e300}, r"it diverged.*smaller learning_rate"),
        (  # whatever the attack makes of it
            {"learning_rate": 1e300, "attack": lambda model, x, y: x / 2},
            r"it diverged.*smaller learning_rate",
        ),
    ],
)
def test_bad_options_of_algorithm_2(options, message):
    with pytest.raises(ValueError, match=message):
        made(**options)


def test_a_model_that_returns_nan_is_said_to_have_diverged():
    def attack(model, x, y):
        raise ValueError("logits: NaN")

    def later(model, x, y):
        model.append(Lost())
        raise ValueError("logits: NaN")

    with pytest.raises(ValueError, match=r"it diverged.*smaller learning_rate"):
        made(model=nn.Sequential(network()).eval(), attack=later, learning_rate=1e-30)
    broken = nn.Sequential(network(), Lost()).eval()
    with pytest.raises(ValueError, match=r"NaN or infinite logits .* check the model's weights"):
        made(model=broken, attack=attack)
    with pytest.raises(ValueError, match="logits: NaN"):
        made(attack=attack)


class Root(nn.Module):
    """Has two parameters of its own, of which one has no finite gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.root = network(), nn.Parameter(torch.tensor([1.0, 0.0]).double())

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images) + 0 * self.root.sqrt().sum()


def test_one_number_that_diverged_is_enough():
    model, control = Root().eval(), dro.clean(*data())
    with pytest.raises(ValueError, match=r"it diverged.*smaller learning_rate"):
        dro.train(model, control, learning_rate=0.01, passes=1, batch_size=len(control.images))


class Two(nn.Module):
    """Returns more than logits."""

    def forward(self, x):
        return x, x


def test_a_model_that_returns_no_logits_is_refused():
    model = nn.Sequential(network(), Two()).eval()
    with pytest.raises(ValueError, match=r"to return a torch.Tensor of logits, got tuple"):
        made(model=model, attack=lambda model, x, y: x / 2)


def test_an_attack_costs_no_pass_but_its_own():
    model = nn.Sequential(Counts(), network()).eval()
    CALLS.clear()
    made(model=model, attack=lambda model, x, y: x / 2, rounds=1)
    alone = CALLS.copy()
    CALLS.clear()
    made(model=model, attack=lambda model, x, y: (model(x), x / 2)[1], rounds=1)
    assert sum(alone) == N  # the steps
    assert sum(CALLS) == 2 * N


def test_bad_options_of_algorithm_3():
    robust, images = made(), data()[0]

    def train(model: Any = None, robust: Any = robust, **options: Any) -> nn.Module:
        return dro.train(model or network(), robust, **{"learning_rate": 0.01} | options)

    with pytest.raises(ValueError, match="passes: expected a whole number"):
        train(passes=0)
    with pytest.raises(ValueError, match=r"it diverged.*smaller learning_rate"):
        train(learning_rate=1e300)
    with pytest.raises(ValueError, match="model: it is in train mode"):
        train(network().train())
    with pytest.raises(ValueError, match="expected a module with parameters to train, got Flatten"):
        train(nn.Flatten())
    with pytest.raises(ValueError, match="one positive weight for each image"):
        train(robust=robust._replace(weights=robust.weights - 1))
    with pytest.raises(ValueError, match="one positive weight for each image"):
        train(robust=robust._replace(weights=robust.weights[1:]))
    with pytest.raises(ValueError, match="labels below 3"):
        train(robust=robust._replace(labels=robust.labels + 1))
    with pytest.raises(ValueError, match="labels: expected 0 or more, got -1"):
        train(robust=robust._replace(labels=robust.labels - 1))
    with pytest.raises(ValueError, match="rounds: expected a whole number"):
        dro.clean(*data(), rounds=0)
    with pytest.raises(ValueError, match="labels: expected one for each"):
        dro.clean(images, torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
        ),
    ],
)
def test_mixed_precision_is_near_full_precision(device):
    robust = made()
    robust = robust._replace(images=robust.images.float())
    model = network().float().to(device)
    one, other = (
        dro.train(model, robust, learning_rate=0.01, mixed_precision=m) for m in (True, False)
    )
    assert 0 < distance(one, other) < 0.05 * distance(model, other)


def test_labels_that_the_model_lacks_are_refused_at_the_door(tmp_path):
    x, y = data()
    message = "labels: expected labels below 3, the number of the model's classes, got 5"
    with pytest.raises(ValueError, match=message):
        dro.robust_dataset(network(), x, y + 3, pgd, learning_rate=0.01)
    for k in range(N):  # whether or not it is drawn
        one = torch.where(torch.arange(N) == k, 5, y)
        with pytest.raises(ValueError, match=r"labels: expected labels below 3, .* got 5"):
            dro.robust_dataset(network(), x, one, pgd, learning_rate=0.01, batch_size=1, rounds=1)
    with pytest.raises(ValueError, match=message):
        dro.train(network(), dro.clean(x, y + 3), learning_rate=0.01)
    ids = [str(k) for k in range(N)]
    with pytest.raises(ValueError, match=message):
        dro.replicates(
            network(), dro.clean(x, y), test=(x, y + 3, ids), out=tmp_path / "a", learning_rate=0.01
        )
    assert not (tmp_path / "a").exists()


def test_what_is_no_data_set_or_no_list_of_seeds_is_named(tmp_path):
    x, y = data()
    for give in (
        lambda: dro.train(network(), (x, y), learning_rate=0.01),
        lambda: dro.replicates(
            network(), (x, y), test=(x, y, map(str, range(N))), out=tmp_path, learning_rate=0.01
        ),
    ):
        with pytest.raises(ValueError, match=r"robust: expected a RobustDataset, got tuple; dro"):
            give()
    with pytest.raises(ValueError, match=r"seeds: expected a number for each .* try range\(50\)"):
        dro.replicates(
            network(), dro.clean(x, y), test=(x, y, map(str, range(N))), out=tmp_path,
            learning_rate=0.01, seeds=3,
        )  # fmt: skip
