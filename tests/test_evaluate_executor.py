"""Runs whose batches are attacked in threads, processes and by dask, against the run that is not.

What a batch's records hold is tested in test_evaluate.py; here they must be the same bytes, whoever
made them and whenever they came.
"""

import errno
import json
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from test_evaluate import SIZE, Linear, contents
from torch import Tensor, nn

from humimp import batches, evaluate, executors, images

BATCHES = 6
LOG = "HUMIMP_TEST_LOG"  # names a file to which each process writes when it makes a model


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    """Compute in as many threads as no worker would by itself."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def network() -> nn.Module:
    """Make the model, wherever it is needed."""
    if LOG in os.environ:
        with Path(os.environ[LOG]).open("a") as file:
            file.write(f"{os.getpid()}\n")
    return Linear()


def dataset() -> tuple[Tensor, Tensor, list[str]]:
    """Two images for each batch; the model is right about all of them but the fourth."""
    n = 2 * BATCHES
    noise = torch.rand(n, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    x = images.validate(torch.linspace(0.1, 0.8, n)[:, None, None, None] + 0.1 * noise, "round")
    labels = (x.mean((1, 2, 3)) > 0.5).long()
    labels[3] = 1 - labels[3]
    return x, labels, [f"image-{k}" for k in range(n)]


def attack(
    model: Any, images: Tensor, labels: Tensor, *, by: float = 0.5, generator: torch.Generator
) -> Tensor:
    """Push images across the boundary, in more steps the brighter they are, and add noise."""
    for _ in range(1 + int(10 * images.mean())):
        images = images.detach().requires_grad_()
        loss = nn.functional.cross_entropy(model(images), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images)
    noise = 0.1 * torch.rand(images.shape, generator=generator)
    return (images + by * gradient.sign() + noise).clamp(0, 1).detach()


def fails_on_the_third_batch(
    model: Any, images: Tensor, labels: Tensor, *, generator: torch.Generator, **options: Any
) -> Tensor:
    if torch.equal(images, dataset()[0][4:6]):
        raise ValueError("steps: expected at least 1")
    return attack(model, images, labels, generator=generator, **options)


# The same settings, so that a run can go on with the attack itself.
fails_on_the_third_batch.__module__ = attack.__module__
fails_on_the_third_batch.__qualname__ = attack.__qualname__


def l1(original: Tensor, attacked: Tensor) -> Tensor:
    return (attacked - original).abs().sum((1, 2, 3))


def threads(original: Tensor, attacked: Tensor) -> Tensor:
    return torch.full((len(original),), float(torch.get_num_threads()))


def measures() -> dict[str, Any]:
    return {"l1": l1, "threads": threads}


def darker(x: Tensor) -> Tensor:
    return (x * 0.5).clamp(0, 1)


def evaluated(out: Path, executor: Any = None, **changes: Any) -> dict[str, bytes]:
    """Run, and return all files but the diary."""
    options: dict[str, Any] = {
        "options": {"by": 0.3}, "measures": measures, "defenses": {"dark_2": darker}, "seed": 3,
        "about": {"images": "noise"}, "batch_size": 2, "name": "attack",
    }  # fmt: skip
    options |= changes
    made = [options.pop("attack", attack), options.pop("model", network)]
    evaluate.run(*made, options.pop("dataset", dataset()), out=out, executor=executor, **options)
    return files(out)


def files(out: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(out).items() if name != "provenance.json"}


def diary(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "provenance.json").read_text())
    return content


def parts(out: Path) -> list[int]:
    return sorted(int(path.stem) for path in (out / "parts").iterdir())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run without an executor."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    out = tmp_path_factory.mktemp("evaluate") / "alone"
    evaluated(out)
    torch.set_num_threads(before)
    return out


class Held(Executor):
    """Keeps what it is sent until it is enough, or all, then works in the order it is told."""

    def __init__(
        self, enough: int, order: Callable[[list[Any]], list[Any]], total: int = BATCHES
    ) -> None:
        self.enough, self.order, self.total = enough, order, total
        self.held: list[Any] = []
        self.done: list[int] = []
        self.futures: list[Future[Any]] = []
        self.most = 0
        self.submitted = 0

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.submitted += 1
        self.held.append((future, function, args))
        self.futures.append(future)
        self.most = max(self.most, sum(not one.done() for one in self.futures))
        if len(self.held) == self.enough or self.submitted == self.total:
            threading.Thread(target=self.work).start()
        return future

    def work(self) -> None:
        held, self.held = self.held, []
        for future, function, args in self.order(held):
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = function(*args)
            except BaseException as error:
                future.set_exception(error)
            else:
                self.done.append(args[-1].index)
                future.set_result(result)


def backwards(held: list[Any]) -> list[Any]:
    return held[::-1]


@contextmanager
def dask() -> Iterator[Executor]:
    from distributed import Client, LocalCluster  # here, to spare the processes the time

    options = {"processes": False, "dashboard_address": None, "n_workers": 2}
    with LocalCluster(threads_per_worker=1, **options) as cluster, Client(cluster) as client:
        yield client.get_executor()


@contextmanager
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


@contextmanager
def reverse() -> Iterator[Executor]:
    executor = Held(BATCHES, backwards)
    yield executor
    assert executor.done == list(range(BATCHES))[::-1]


# ------------------------------------------------------------------------------ the same records


@pytest.mark.parametrize(
    ("where", "name", "fewest", "most"),
    [
        (lambda: ThreadPoolExecutor(3), "ThreadPoolExecutor", 1, 1),
        (reverse, "Held", 1, 1),
        (dask, "ClientExecutor", 1, 1),
        (processes, "ProcessPoolExecutor", 2, 3),
    ],
    ids=["threads", "backwards", "dask", "processes"],
)
def test_the_same_bytes_wherever_batches_are_attacked(
    alone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    name: str,
    fewest: int,
    most: int,
) -> None:
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    with where() as executor:
        found = evaluated(tmp_path / "run", executor)
    wanted = files(alone)
    assert set(found) == set(wanted)
    assert [one for one in wanted if found[one] != wanted[one]] == []
    ours, theirs = diary(tmp_path / "run"), diary(alone)
    for key in ("state", "settings", "inputs", "records_sha256"):
        assert ours[key] == theirs[key]
    (session,) = ours["sessions"]
    assert session["executor"] == name
    assert theirs["sessions"][0]["executor"] is None
    assert session["batches"] == BATCHES
    assert session["wall_seconds"] > 0
    assert session["device"] == "cpu"
    # This process and each other one made the model once.
    made = (tmp_path / "log").read_text().split()
    assert len(made) == len(set(made))
    assert fewest <= len(made) <= most
    assert not batches._plans


def test_a_module_is_sent_as_it_is(alone: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as executor:
        found = evaluated(tmp_path, executor, model=Linear(), measures=measures())
    assert found == files(alone)


def test_a_run_goes_on_with_another_executor_and_with_none(alone: Path, tmp_path: Path) -> None:
    """Begun by threads, which fail; gone on with backwards, which fails; ended here."""
    broken = {"attack": fails_on_the_third_batch}
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="expected at least"):
        evaluated(tmp_path, executor, **broken)
    assert 2 not in parts(tmp_path)
    before = files(tmp_path)
    executor = Held(BATCHES - len(parts(tmp_path)), backwards)
    with pytest.raises(ValueError, match="expected at least"):
        evaluated(tmp_path, executor, **broken)
    assert before.items() <= files(tmp_path).items()
    assert parts(tmp_path) == [0, 1, 3, 4, 5]
    assert evaluated(tmp_path) == files(alone)
    sessions = diary(tmp_path)["sessions"]
    assert [one["executor"] for one in sessions] == ["ThreadPoolExecutor", "Held", None]
    assert sum(one["batches"] for one in sessions) == BATCHES
    assert sessions[2]["batches"] == 1


# ----------------------------------------------------------------------- what fails, what is kept


def test_a_batch_that_fails_is_named_and_the_others_are_kept(alone: Path, tmp_path: Path) -> None:
    """What has not begun is called off; what is under way is waited for and kept."""
    five, gate = threading.Event(), threading.Event()
    begun = []

    def waits(
        model: Any, images: Tensor, labels: Tensor, *, by: float, generator: torch.Generator
    ) -> Tensor:
        begun.append(images)
        if torch.equal(images, dataset()[0][4:6]):
            assert five.wait(10)
        elif not torch.equal(images, dataset()[0][:2]):  # under way when the third fails
            assert gate.wait(10)
        return fails_on_the_third_batch(model, images, labels, generator=generator, by=by)

    class Watched(ThreadPoolExecutor):
        sent = 0

        def submit(self, *args: Any, **kwargs: Any) -> Any:
            future = super().submit(*args, **kwargs)
            future.add_done_callback(lambda one: one.cancelled() and gate.set())
            self.sent += 1
            if self.sent == 5:
                five.set()
            return future

    with (
        Watched(2) as executor,
        pytest.raises(ValueError, match=r"attack failed on images image-4, image-5: steps: exp"),
    ):
        evaluated(tmp_path, executor, attack=waits)
    assert len(begun) <= 4
    assert {0, 1} <= set(parts(tmp_path))
    assert len(parts(tmp_path)) == len(begun) - 1
    assert files(tmp_path).items() <= files(alone).items()
    assert len(list((tmp_path / "images").iterdir())) == 2 * len(parts(tmp_path)) - 1


def test_interrupted_a_run_keeps_what_is_done_and_calls_off_the_rest(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls, sent = executors.wait, 0, []

    def stops(waiting: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        sent.extend(waiting)
        if calls > 1:
            raise KeyboardInterrupt
        return real(waiting, **options)

    monkeypatch.setattr(executors, "wait", stops)
    executor = Held(2, lambda held: held[:1])  # the second never begins
    executor._max_workers = 1  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        evaluated(tmp_path, executor)
    assert parts(tmp_path) == [0]
    assert [future.cancelled() for future in dict.fromkeys(sent)] == [False, True, True]
    assert not batches._plans
    monkeypatch.undo()
    assert evaluated(tmp_path) == files(alone)


def test_a_disk_that_is_full_calls_off_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sent = os.fsync, []

    def full(descriptor: int) -> None:
        if "image-2.png" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    class Watched(Held):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            sent.append(super().submit(*args, **kwargs))
            return sent[-1]

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left.*run again") as _caught:  # and not let go
        evaluated(tmp_path, Watched(BATCHES, lambda held: held[:2]))
    assert set(parts(tmp_path)) <= {0}
    assert [future.cancelled() for future in sent] == [False, False, True, True, True, True]


def test_a_worker_that_dies_is_said_with_the_remedy(tmp_path: Path) -> None:
    class Dying(Held):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            if self.submitted < 2:
                return super().submit(*args, **kwargs)
            self.submitted += 1
            future: Future[Any] = Future()
            future.set_exception(BrokenExecutor("terminated abruptly"))
            return future

    with pytest.raises(BrokenExecutor, match="terminated abruptly") as caught:
        evaluated(tmp_path, Dying(1, list))
    (note,) = caught.value.__notes__
    assert "what is done is kept: run again" in note
    assert parts(tmp_path) == [0, 1]


def test_a_future_that_somebody_else_cancels_is_no_success(tmp_path: Path) -> None:
    class Cancelling(Held):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            future = super().submit(*args, **kwargs)
            if self.submitted == 3:
                future.cancel()  # Held notices
            return future

    with pytest.raises(CancelledError):
        evaluated(tmp_path, Cancelling(BATCHES, list, total=-1))
    assert not (tmp_path / "records.parquet").exists()


# ------------------------------------------------------------------------------- what is sent out


@pytest.mark.parametrize(("workers", "most"), [(1, 2), (2, 4), (None, 3)])
def test_few_batches_are_under_way_at_once(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None, most: int
) -> None:
    monkeypatch.setattr(evaluate, "UNDER_WAY", 3)

    def later(held: list[Any]) -> list[Any]:
        threading.Event().wait(0.1)  # time enough to send out more
        return held

    executor = Held(most, later)
    if workers:
        executor._max_workers = workers  # type: ignore[attr-defined]
    assert evaluated(tmp_path, executor) == files(alone)
    assert executor.most == most


def test_a_batch_is_sent_without_the_rest_of_the_images(tmp_path: Path) -> None:
    sizes = []

    class Weighing(Held):
        def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
            sizes.append(len(pickle.dumps(args)))
            return super().submit(function, *args, **kwargs)

    x = torch.rand(2 * BATCHES, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    _, labels, ids = dataset()
    evaluated(tmp_path, Weighing(BATCHES, list), dataset=(x, labels, ids))
    assert max(sizes) < 2 * 3 * 64 * 64 + 5000  # a byte for each value of two images


def nested() -> Any:
    def inside(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("called")

    return inside


class Locked:
    """A picture's defence with a lock, which no process can be sent."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"attack": lambda model, x, y, by: x}, r"attack: <function <lambda>"),
        ({"model": lambda: Linear()}, r"model: <function <lambda>"),
        ({"measures": {"l1": l1, "far": lambda x, y: l1(x, y)}}, r"measures: far: <function <l"),
        ({"measures": lambda: measures()}, r"measures: <function <lambda>"),
        ({"defenses": {"dark": darker, "locked": Locked()}}, r"defenses: locked: <.*Locked"),
        ({"attack": attack, "options": {"by": nested()}}, r"options: by: <function nested\.<loc"),
    ],
    ids=lambda case: None if isinstance(case, dict) else case.split(": <")[0],
)
def test_what_no_process_can_be_sent_is_named(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    message = rf"^{named}.*top level of a module, or use dask\.distributed, whose cloudpickle"
    with processes() as executor, pytest.raises(ValueError, match=message):
        evaluated(tmp_path / "run", executor, **changes)
    assert not (tmp_path / "run").exists()


def test_what_a_process_cannot_find_is_said() -> None:
    packed = pickle.dumps(darker).replace(b"darker", b"darkes")
    with pytest.raises(ValueError, match=r"cannot read what the run was given .*darkes.* notebook"):
        batches.work("lost", packed, a_batch())


@pytest.mark.parametrize("given", [3, "threads", ThreadPoolExecutor])
def test_something_else_than_an_executor_is_refused(tmp_path: Path, given: Any) -> None:
    with pytest.raises(ValueError, match=r"executor: expected .* pass client\.get_executor\(\)"):
        evaluated(tmp_path / "run", given)
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------------- in a worker


def a_batch() -> batches.Batch:
    x, labels, ids = dataset()
    levels = images.to_uint8(x[:2]).numpy()
    return batches.Batch(0, ids[:2], levels, labels[:2].numpy(), x.dtype)


def a_plan(**changes: Any) -> batches.Plan:
    plan = {
        "attack": attack, "name": "attack", "options": {}, "defenses": {}, "seed": 3,
        "takes_generator": True, "threads": 3, "model": network, "measures": measures,
    }  # fmt: skip
    return batches.Plan(**(plan | changes))


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Forget what a test made this process remember, as if it were a worker's."""
    yield
    batches._plans.clear()


@pytest.mark.usefixtures("forgetful")
def test_a_worker_makes_the_model_once_for_all_its_threads() -> None:
    made = []
    together = threading.Barrier(4)

    def slow() -> nn.Module:
        made.append(threading.get_ident())
        threading.Event().wait(0.05)
        return Linear()

    def work(_: int) -> Any:
        together.wait(10)
        return batches.work("once", a_plan(model=slow), a_batch()).records

    with ThreadPoolExecutor(4) as executor:
        first, *others = executor.map(work, range(4))
    assert len(made) == 1
    assert all(other.equals(first) for other in others)


@pytest.mark.usefixtures("forgetful")
def test_a_worker_remembers_two_runs() -> None:
    made = []

    def counted(name: str) -> Any:
        def model() -> nn.Module:
            made.append(name)
            return Linear()

        return a_plan(model=model)

    for name in "abab":
        batches.work(name, counted(name), a_batch())
    assert made == ["a", "b"]
    batches.work("c", counted("c"), a_batch())
    assert list(batches._plans) == ["b", "c"]


@pytest.mark.usefixtures("forgetful")
def test_a_worker_with_another_model_is_refused() -> None:
    other = Linear()
    other.scale.data.fill_(11)
    plan = a_plan(model_sha256=evaluate.fingerprints.weights(Linear()))
    batches.work("same", plan, a_batch())
    with pytest.raises(ValueError, match=r"model: the function returned other weights in a worker"):
        batches.work("other", batches.replace(plan, model=lambda: other), a_batch())


@pytest.mark.usefixtures("forgetful")
def test_a_worker_computes_in_as_many_threads_as_it_is_told() -> None:
    done = batches.work("two", a_plan(threads=2), a_batch())
    assert done.records["threads"].tolist() == [2, 2]


def test_arrays_that_dask_does_not_let_one_write_to_are_no_matter() -> None:
    batch = a_batch()
    batch.levels.setflags(write=False)
    batch.labels.setflags(write=False)
    done = batches.attack(batches.ready(a_plan()), batch)
    assert done.records["correct"].all()


def test_passes_are_counted_for_each_batch_though_threads_share_the_model(tmp_path: Path) -> None:
    """In each pair of batches one waits in the middle while the other does all its passes."""
    pairs, turns = {}, threading.Lock()

    def busy(model: Any, images: Tensor, labels: Tensor) -> Tensor:
        with turns:
            number = len(pairs)
            pairs[number] = threading.Event() if number % 2 == 0 else pairs[number - 1]
        if number % 2 == 0:
            model(images)
            assert pairs[number].wait(10)
            return images
        for _ in range(3):
            torch.autograd.grad(model(images.requires_grad_()).sum(), images)
        pairs[number].set()
        return images.detach()

    model = Linear()
    with ThreadPoolExecutor(2) as executor:
        records = evaluate.run(
            busy, model, dataset(), out=tmp_path, batch_size=2, executor=executor
        )
    found = records.groupby(["forwards", "backwards"]).size().to_dict()
    assert set(found) == {(1.0, 0.0), (3.0, 3.0)}
    assert not model._forward_hooks


def test_batches_take_turns_where_there_is_a_gpu_whose_switches_are_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    cudnn, at_work, seen = torch.backends.cudnn, [], []
    before = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32
    asked: list[str] = []

    class Asked(Linear):
        def forward(self, x: Tensor) -> Tensor:
            asked.append(cudnn.conv.fp32_precision)
            return super().forward(x)

    def watching(model: Any, images: Tensor, labels: Tensor) -> Tensor:
        at_work.append(1)
        threading.Event().wait(0.02)
        seen.append((len(at_work), cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32))
        at_work.pop()
        return images

    with ThreadPoolExecutor(3) as executor:
        evaluate.run(
            watching, Asked(), dataset(), out=tmp_path, batch_size=2, executor=executor,
            defenses={"none": lambda images: images},
        )  # fmt: skip
    assert seen == [(1, True, False, True)] * BATCHES
    assert asked == ["ieee"] * 3 * BATCHES  # before, after, under the defence
    assert (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32) == before
    assert before == (False, False, True)


def test_progress_counts_images_as_they_are_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[list[int]] = []

    @contextmanager
    def bar(label: str, total: float, done: float) -> Iterator[Any]:
        counted.append([done])

        class Shown:
            update = staticmethod(counted[-1].append)

        assert total == 2 * BATCHES
        yield Shown

    monkeypatch.setattr(evaluate.progress, "bar", bar)
    with pytest.raises(ValueError, match="steps"):
        evaluated(tmp_path, Held(3, list), attack=fails_on_the_third_batch)
    with ThreadPoolExecutor(2) as executor:
        evaluated(tmp_path, executor)
    done = len(counted[0]) - 1
    assert counted[0] == [0] + [2] * done
    assert counted[1] == [2 * done] + [2] * (BATCHES - done)
