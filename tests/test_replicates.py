"""Many replicates: the same however they are computed, and whatever happens on the way."""

import contextlib
import copy
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from distributed import Client, LocalCluster
from torch import Tensor, nn

from humimp import datasets, dro, evaluate, experiment, fairness, files, replicates, runs

CLASSES = 3
SEEDS = (0, 1, 2, 3, 4)


class Relative(nn.Module):
    """Divides images by their sum: NaN for a black one."""

    def forward(self, images: Tensor) -> Tensor:
        return images / images.sum((1, 2, 3), keepdim=True)


def network(*first: nn.Module) -> nn.Module:
    """Return a small network for 6 × 6 images with batch normalisation, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv2d(1, 3, 3, stride=2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten()]
        return nn.Sequential(*first, *layers, nn.Linear(12, CLASSES)).double().eval()


def bent() -> nn.Module:
    """Return the network with the same weights and another activation."""
    model = network()
    model[2] = nn.Tanh().eval()
    return model


def robust(n: int = 8) -> dro.RobustDataset:
    """Return random images as a robust data set, with weights that grow."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n, 1, 6, 6, dtype=torch.float64, generator=generator)
    weights = torch.arange(1, n + 1).double()
    zero = torch.zeros(n, dtype=torch.int64)
    return dro.RobustDataset(images, torch.arange(n) % CLASSES, weights, zero, torch.arange(n))


def held_out(n: int = 9) -> tuple[Tensor, Tensor, list[str]]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(n, 1, 6, 6, dtype=torch.float64, generator=generator)
    return images, torch.arange(n) % CLASSES, [f"image_{i}" for i in range(n)]


def train(out: Path, **options: Any) -> pd.DataFrame:
    given = {"learning_rate": 0.05, "passes": 2, "batch_size": 3, "seeds": SEEDS} | options
    data = given.pop("robust", robust())
    return dro.replicates(
        given.pop("model", network()), data, test=given.pop("test", held_out()), out=out, **given
    )


def state(out: Path, seed: int) -> dict[str, Tensor]:
    return safetensors.torch.load_file(out / "models" / f"{seed:05d}.safetensors")


def sessions(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "provenance.json").read_text())["sessions"]


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert set(one) == set(other)
    return max(float((one[name] - other[name]).abs().max()) for name in one)


# --- the same in each way ---


@contextlib.contextmanager
def nowhere() -> Iterator[Executor | None]:
    yield None


@contextlib.contextmanager
def dask() -> Iterator[Executor]:
    options = {"processes": False, "dashboard_address": None, "n_workers": 2}
    with LocalCluster(threads_per_worker=1, **options) as cluster, Client(cluster) as client:
        yield client.get_executor()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """Train one replicate after the other."""
    out = tmp_path_factory.mktemp("replicates") / "alone"
    return out, train(out, together=1)


def test_a_replicate_is_algorithm_3_with_its_seed(alone):
    out, records = alone
    images, labels, ids = held_out()
    for seed in SEEDS:
        options = {"learning_rate": 0.05, "passes": 2, "batch_size": 3, "seed": seed}
        model = dro.train(network(), robust(), **options)
        assert distance(state(out, seed), model.state_dict()) == 0
        rows = records[records["replicate"] == seed]
        predicted = model(images).argmax(1)
        assert rows["predicted"].tolist() == predicted.tolist()
        assert rows["correct"].tolist() == (predicted == labels).tolist()
        assert rows["label"].tolist() == labels.tolist()
        assert rows["id"].tolist() == ids
    assert not records["diverged"].any()
    assert tuple(records) == replicates.COLUMNS
    assert records["replicate"].tolist() == [seed for seed in SEEDS for _ in ids]
    assert distance(state(out, 0), state(out, 1)) > 1e-3


@pytest.mark.parametrize(
    ("where", "together"),
    [(nowhere, 5), (nowhere, 2), (lambda: ThreadPoolExecutor(2), 1), (dask, 2)],
    ids=["together", "two by two", "threads", "dask"],
)
def test_the_same_in_each_way(alone, tmp_path, where, together):
    out, wanted = alone
    with where() as executor:
        found = train(tmp_path, together=together, executor=executor)
    pd.testing.assert_frame_equal(found, wanted)
    for seed in SEEDS:
        assert distance(state(tmp_path, seed), state(out, seed)) < 1e-12


def test_mixed_precision_keeps_float32_parameters_and_stays_near():
    data = robust()
    data = data._replace(images=data.images.float())
    (exact,), (near,) = (
        dro._Job(network().float(), data, 0.05, 2, 3, "normalized", mixed, data.images).train([0])
        for mixed in (False, True)
    )
    assert {value.dtype for value in near.state.values()} == {torch.float32, torch.int64}
    start = distance(exact.state, network().float().state_dict())
    assert 0 < distance(near.state, exact.state) < 0.05 * start
    assert near.predicted.tolist() == exact.predicted.tolist()


def test_in_float32_slopes_are_the_same_within_the_tolerance(tmp_path):
    images, labels, ids = datasets.digits("test", 300)
    pool, model = dro.clean(images[:20], labels[:20]), experiment.digits_network().eval()
    options = {"model": model, "robust": pool, "test": (images, labels, ids), "seeds": range(3)}
    country = dict(zip(ids, ["USA", "GBR", "IND", "KEN", "BRA"] * 60, strict=True))
    found = []
    for together in (1, 3):
        records = train(tmp_path / str(together), together=together, batch_size=24, **options)
        records["country"] = records["id"].map(country)
        found.append(fairness.by_model(records, groups=2)["beta"])
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)
    assert found[0].std() > 1e-3


def test_processes_send_no_tensors(alone, tmp_path, monkeypatch):
    """Each would be an open file, in the one that sends and in the one that receives."""
    out, wanted = alone
    sent = []
    reduce = torch.multiprocessing.reductions.reduce_storage
    patched = lambda storage: sent.append(storage) or reduce(storage)  # noqa: E731
    monkeypatch.setitem(ForkingPickler._extra_reducers, torch.UntypedStorage, patched)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        found = train(tmp_path, together=2, executor=executor)
    pd.testing.assert_frame_equal(found, wanted)
    assert distance(state(tmp_path, 3), state(out, 3)) < 1e-12
    assert not sent


def test_workers_may_read_the_data_set_themselves(alone, tmp_path):
    images, labels = robust().images, robust().labels
    options = {"learning_rate": 0.05, "rounds": 1, "out": tmp_path / "set"}
    made = dro.robust_dataset(network(), images, labels, lambda model, x, y: x / 2, **options)
    with ThreadPoolExecutor(1) as executor:
        one = train(tmp_path / "one", robust=tmp_path / "set", executor=executor)
    pd.testing.assert_frame_equal(one, train(tmp_path / "other", robust=made))


def test_small_models_are_trained_together_by_default(tmp_path, monkeypatch):
    train(tmp_path / "small")
    monkeypatch.setattr(dro, "SMALL", 10)
    train(tmp_path / "large")
    asked = [
        json.loads((tmp_path / name / "provenance.json").read_text())["sessions"][0]["together"]
        for name in ("small", "large")
    ]
    assert asked == [len(SEEDS), 1]


def test_seeds_may_come_from_an_iterator(alone, tmp_path):
    pd.testing.assert_frame_equal(train(tmp_path, seeds=iter(SEEDS)), alone[1])


def test_the_model_given_stays_as_it_was(tmp_path):
    model = network()
    kept = copy.deepcopy(model.state_dict())
    train(tmp_path / "one", model=model, together=1)
    train(tmp_path / "other", model=model, together=5)
    assert distance(model.state_dict(), kept) == 0
    assert all(value.requires_grad and value.grad is None for value in model.parameters())


def test_records_with_a_country_are_what_the_metric_takes(alone):
    _, records = alone
    country = dict(zip(held_out()[2], ["USA", "KEN", "FRA"] * 3, strict=True))
    records = records.assign(country=records["id"].map(country))
    for _, rows in records.groupby("replicate"):
        kept = fairness.accuracy_by_country(rows).kept.set_index("country")
        expected = rows.groupby("country")["correct"].mean()
        np.testing.assert_allclose(kept["accuracy"].loc[expected.index], expected)


# --- divergence ---


@pytest.mark.parametrize("together", [1, 5])
def test_a_diverged_replicate_is_kept_and_marked_and_spoils_no_other(alone, tmp_path, together):
    data = robust()
    images = data.images.clone()
    images[1] = 0  # makes θ NaN for those that draw it
    data = data._replace(images=images)
    drawn = {seed: dro._draw(data.weights, 16, 3, seed) for seed in SEEDS}
    hit = [seed for seed in SEEDS if bool((drawn[seed] == 1).any())]
    assert 0 < len(hit) < len(SEEDS)
    options = {"model": network(Relative()), "robust": data}
    with pytest.warns(
        RuntimeWarning, match=rf"{len(hit)} of 5 replicates diverged \(seeds {hit[0]}"
    ):
        records = train(tmp_path / "black", together=together, **options)
    assert records.loc[records["diverged"], "replicate"].unique().tolist() == hit
    bad = records[records["diverged"]]
    assert set(bad["predicted"]) == {-1}
    assert not bad["correct"].any()
    assert len(records) == 5 * 9
    assert all(value.isnan().any() for value in [state(tmp_path / "black", hit[0])["5.weight"]])
    spared = [seed for seed in SEEDS if seed not in hit]
    train(tmp_path / "spared", together=1, seeds=spared, **options)
    for seed in spared:
        one, other = state(tmp_path / "black", seed), state(tmp_path / "spared", seed)
        assert distance(one, other) < 1e-12
    with pytest.warns(RuntimeWarning, match="diverged"):
        again = replicates.load(tmp_path / "black")
    pd.testing.assert_frame_equal(again, records)


# --- on disk ---


class Stop(BaseException):
    """The end of a process, as far as its files are concerned."""


def stopping(monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    """Stop in the middle of the given write of a file."""
    kept = files.write

    def write(path: Path, content: bytes) -> None:
        nonlocal last
        last -= 1
        if last < 0:
            path.with_name(f".{path.name}.part").write_bytes(content[: len(content) // 2])
            raise Stop
        kept(path, content)

    monkeypatch.setattr(files, "write", write)


def contents(out: Path) -> dict[str, bytes]:
    """Return what is in a folder, but for the diary, which has times."""
    found = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".json"]
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def test_cut_off_at_any_write_it_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    options: dict[str, Any] = {"together": 2, "seeds": (3, 1, 2), "passes": 1}
    options["robust"] = robust(3)  # one step
    records = train(tmp_path / "whole", **options)
    wanted, cuts = contents(tmp_path / "whole"), 0
    assert len(wanted) == 6
    for last in range(20):
        out = tmp_path / str(last)
        try:
            with monkeypatch.context() as patch:
                stopping(patch, last)
                train(out, **options)
            break
        except Stop:
            cuts += 1
        with pytest.raises(ValueError, match=r"not complete|no replicates here"):
            replicates.load(out)
        pd.testing.assert_frame_equal(train(out, **options), records)
        assert contents(out) == wanted
        assert len(replicates.load(out)) == len(records)
    # the diary, the files, the diary after each group, when all are there, and at the end
    assert cuts == 1 + 6 + 2 + 1 + 1


def test_tensors_come_back_in_any_order_of_memory_and_rows_are_numbered(tmp_path):
    turned = torch.arange(6.0).reshape(2, 3).T

    def work(seeds: Sequence[int]) -> list[replicates.Trained]:
        return [replicates.Trained({"w": turned}, torch.tensor([0, 1])) for _ in seeds]

    options: dict[str, Any] = {"ids": ["a", "b"], "labels": torch.tensor([0, 0]), "settings": {}}
    records = replicates.run(work, [99_999, 7], out=tmp_path, inputs={}, **options)
    assert torch.equal(state(tmp_path, 99_999)["w"], turned)
    assert records.index.tolist() == replicates.load(tmp_path).index.tolist() == [0, 1, 2, 3]
    assert records["replicate"].tolist() == [99_999, 99_999, 7, 7]


def test_what_is_done_is_not_done_again_and_more_seeds_can_follow(tmp_path, monkeypatch):
    first = train(tmp_path, seeds=[7, 5])
    assert len(contents(tmp_path)) == 4
    with monkeypatch.context() as patch:
        patch.setattr(dro._Job, "train", None)
        pd.testing.assert_frame_equal(train(tmp_path, seeds=[7, 5]), first)
    groups = []
    with monkeypatch.context() as patch:
        once = dro._Job.train
        patch.setattr(
            dro._Job, "train", lambda job, seeds: groups.append(seeds) or once(job, seeds)
        )
        more = train(tmp_path, seeds=[7, 5, 6])
    assert groups == [[6]]
    pd.testing.assert_frame_equal(more[more["replicate"] != 6], first)
    loaded = replicates.load(tmp_path)
    assert loaded["replicate"].unique().tolist() == [5, 6, 7]
    diary = json.loads((tmp_path / "provenance.json").read_text())
    assert [session["replicates"] for session in diary["sessions"]] == [2, 1]


def test_seeds_that_follow_keep_their_groups_when_cut_off(tmp_path, monkeypatch):
    def groups(last: int) -> list[list[int]]:
        found: list[list[int]] = []
        once = dro._Job.train
        with monkeypatch.context() as patch, contextlib.suppress(Stop):
            patch.setattr(
                dro._Job, "train", lambda job, seeds: found.append(list(seeds)) or once(job, seeds)
            )
            stopping(patch, last)
            train(tmp_path, seeds=[7, 5, 6, 4], together=2)
        return found

    train(tmp_path, seeds=[7], together=2)
    assert groups(4) == [[5, 6]]  # the diary, two files of 5, the model of 6
    assert groups(1) == [[5, 6]]  # the diary alone
    assert groups(99) == [[5, 6], [4]]
    assert len(replicates.load(tmp_path)["replicate"].unique()) == 4


def test_an_error_on_a_worker_comes_through_and_what_was_done_is_kept(tmp_path, monkeypatch):
    kept = dro._Job.train

    def failing(self: Any, seeds: Any) -> Any:
        if 2 in seeds:
            raise RuntimeError("out of memory")
        return kept(self, seeds)

    with monkeypatch.context() as patch:
        patch.setattr(dro._Job, "train", failing)
        with ThreadPoolExecutor(1) as executor, pytest.raises(RuntimeError, match="out of memory"):
            train(tmp_path, executor=executor)
    assert (tmp_path / "parts" / "00001.parquet").exists()
    assert len(train(tmp_path)) == 5 * 9


def test_what_is_under_way_when_a_replicate_fails_is_kept(tmp_path):
    """The first fails while the second is at work; the others are not begun."""
    started, failing, begun = Event(), Event(), []

    def work(seeds: Sequence[int]) -> list[replicates.Trained]:
        (seed,) = seeds
        begun.append(seed)
        if seed == 0:
            assert started.wait(60)
            failing.set()
            raise RuntimeError("out of memory")
        started.set()
        assert failing.wait(60)
        time.sleep(0.3)
        return [replicates.Trained({"w": torch.ones(1)}, torch.zeros(2, dtype=torch.int64))]

    options: dict[str, Any] = {
        "out": tmp_path, "ids": ["a", "b"], "labels": torch.tensor([0, 1]), "settings": {},
        "inputs": {},
    }  # fmt: skip
    with ThreadPoolExecutor(2) as executor, pytest.raises(RuntimeError, match="out of memory"):
        replicates.run(work, range(40), executor=executor, **options)
    kept = {int(path.stem) for path in (tmp_path / "parts").iterdir()}
    assert kept == set(begun) - {0}
    assert 1 in kept
    assert len(begun) <= 4
    (session,) = sessions(tmp_path)
    assert session["replicates"] == len(kept)


def test_after_a_full_disk_nothing_more_is_begun(tmp_path, monkeypatch):
    begun = []

    def work(seeds: Sequence[int]) -> list[replicates.Trained]:
        begun.extend(seeds)
        time.sleep(0.05)
        return [replicates.Trained({"w": torch.ones(1)}, torch.zeros(1, dtype=torch.int64))]

    def full(*given: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(replicates, "_write", full)
    options: dict[str, Any] = {"ids": ["a"], "labels": torch.tensor([0]), "settings": {}}
    with ThreadPoolExecutor(1) as executor, pytest.raises(OSError, match="no space") as caught:
        replicates.run(work, range(40), out=tmp_path, inputs={}, executor=executor, **options)
    assert len(begun) <= 4
    assert caught.tb is not None  # nor if the error, and with it all that was under way, is kept


def test_every_session_is_in_the_diary_with_its_time(tmp_path, monkeypatch):
    kept = dro._Job.train

    def cut_off(self: Any, seeds: Any) -> Any:
        if 2 in seeds:
            raise KeyboardInterrupt
        return kept(self, seeds)

    with monkeypatch.context() as patch:
        patch.setattr(dro._Job, "train", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, together=1)
    (first,) = sessions(tmp_path)
    assert first["replicates"] == 2
    assert first["wall_seconds"] > 0
    train(tmp_path, together=1)
    assert sessions(tmp_path)[0] == first
    assert [session["replicates"] for session in sessions(tmp_path)] == [2, 3]
    assert sessions(tmp_path)[1]["wall_seconds"] > 0


def push(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    return images / 2


def test_a_run_of_an_attack_is_not_taken_for_replicates(tmp_path):
    images, labels, ids = held_out()
    evaluate.run(push, network(), (images, labels, ids), out=tmp_path)
    with pytest.raises(ValueError, match=r"a run of evaluate\.run; read it with evaluate\.load"):
        replicates.load(tmp_path)


def test_a_folder_of_other_replicates_is_refused(tmp_path):
    train(tmp_path, seeds=[0])
    data, (images, labels, ids) = robust(), held_out()
    others: list[tuple[str, dict[str, Any]]] = [
        (r"learning_rate: 0\.05 in the folder, 0\.06 now", {"learning_rate": 0.06}),
        ("passes: 2 in the folder, 1 now", {"passes": 1}),
        ("weighting: 'normalized' in the folder, 'literal' now", {"weighting": "literal"}),
        ("mixed_precision: False in the folder, True now", {"mixed_precision": True}),
        ("model_sha256", {"model": network(nn.Identity())}),
        ("model_form_sha256: '.*' in the folder, '.*' now", {"model": bent()}),
        ("robust_sha256", {"robust": data._replace(weights=data.weights + 1)}),
        ("test_sha256", {"test": (images / 2, labels, ids)}),
        ("ids_sha256", {"test": (images, labels, ids[::-1])}),
    ]
    for message, options in others:
        with pytest.raises(ValueError, match=message):
            train(tmp_path, seeds=[0, 1], **options)
    with pytest.raises(ValueError, match="no replicates here"):
        replicates.load(tmp_path / "nothing")


def test_a_diary_from_before_forms_were_known_is_accepted(tmp_path):
    path = tmp_path / "provenance.json"
    train(tmp_path, seeds=[0])
    diary = json.loads(path.read_text())
    del diary["inputs"]["model_form_sha256"]
    path.write_text(json.dumps(diary))
    train(tmp_path, seeds=[0, 1], model=bent())
    assert "model_form_sha256" not in json.loads(path.read_text())["inputs"]


def test_a_lost_replicate_is_missed_and_trained_anew(tmp_path):
    train(tmp_path, seeds=[0, 1])
    train(tmp_path, seeds=[2])
    wanted = replicates.load(tmp_path)
    (tmp_path / "parts" / "00001.parquet").unlink()
    with pytest.raises(ValueError, match=r"\(2 replicates are on disk, of seeds 1 none\)"):
        replicates.load(tmp_path)
    train(tmp_path, seeds=[0, 1, 2])
    assert replicates.load(tmp_path).equals(wanted)


def test_only_one_process_works_in_a_folder(tmp_path):
    with (
        runs.alone(tmp_path, None),
        pytest.raises(ValueError, match="another process works in this folder"),
    ):
        train(tmp_path, seeds=[0])
    assert not list(tmp_path.rglob("*.parquet"))
    train(tmp_path, seeds=[0])


def test_damage_is_found_and_mended(tmp_path):
    wanted = train(tmp_path, seeds=[0, 1])
    path = tmp_path / "parts" / "00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"00001\.parquet: damaged.*only its replicate"):
        train(tmp_path, seeds=[0, 1])
    path.write_bytes((tmp_path / "parts" / "00000.parquet").read_bytes())
    with pytest.raises(ValueError, match="another replicate than expected"):
        replicates.load(tmp_path)
    path.unlink()
    mate = tmp_path / "parts" / "00000.parquet"
    written = mate.stat().st_mtime_ns
    pd.testing.assert_frame_equal(train(tmp_path, seeds=[0, 1]), wanted)
    assert path.read_bytes() == whole
    assert mate.stat().st_mtime_ns == written  # trained again with its mate, but left as it was


# --- bad input ---


def test_bad_options(tmp_path):
    images, labels, ids = held_out()
    bad: list[tuple[str, dict[str, Any]]] = [
        ("seeds: expected at least one", {"seeds": []}),
        ("seeds: expected different ones", {"seeds": [1, 2, 1]}),
        ("seeds: expected a whole number", {"seeds": [-1]}),
        ("seeds: expected a whole number from 0 to 99999, got 100000", {"seeds": [100_000]}),
        ("together: expected a whole number", {"together": 0}),
        ("batch_size: expected a whole number", {"batch_size": 0}),
        ("weighting: expected one of", {"weighting": "none"}),
        ("test: expected the three", {"test": (images, labels)}),
        ("test: expected a different id for each of 9 images", {"test": (images, labels, ids[1:])}),
        ("got 1 different ones among 9", {"test": (images, labels, ["a"] * 9)}),
        ("no adversarial data set here", {"robust": tmp_path / "nothing"}),
        ("together: expected 1 with mixed", {"together": 2, "mixed_precision": True}),
        ("train mode", {"model": network().train()}),
    ]
    for message, options in bad:
        with pytest.raises(ValueError, match=message):
            train(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
