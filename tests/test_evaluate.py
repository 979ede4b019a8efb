"""The runner, against a linear model whose attack, margins and passes are known."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from humimp import batches, distances, evaluate, images, weights

SIZE = 4


class Linear(nn.Module):
    """Two classes: images that are brighter than 0.5 on average, and others."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        brightness = self.scale * (x.mean((1, 2, 3)) - 0.5)
        return torch.stack([-brightness, brightness], 1)


def push(model: Any, images: Tensor, labels: Tensor, *, by: float = 0.5) -> Tensor:
    """Make bright images darker and dark ones brighter, with one gradient of the model."""
    images = images.requires_grad_()
    loss = nn.functional.cross_entropy(model(images), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images)
    return (images + by * gradient.sign()).clamp(0, 1).detach()


def dataset(n: int = 5) -> tuple[Tensor, Tensor, list[str]]:
    """Make noisy images that the model classifies correctly, but for the one at index 1."""
    noise = torch.rand(n, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    base = torch.linspace(0.1, 0.8, n)[:, None, None, None]
    x = images.validate(base + 0.1 * noise, "round")
    labels = (x.mean((1, 2, 3)) > 0.5).long()
    labels[1:2] = 1 - labels[1:2]
    return x, labels, [f"image-{k}" for k in range(n)]


def l1(original: Tensor, attacked: Tensor) -> Tensor:
    return (attacked - original).abs().sum((1, 2, 3))


def darker(x: Tensor) -> Tensor:
    return (x * 0.5).clamp(0, 1)


def evaluated(out: Path, **changes: Any) -> pd.DataFrame:
    options = {
        "out": out, "options": {"by": 0.5}, "measures": {"l1": l1},
        "defenses": {"dark_2": darker, "same": Tensor.clone}, "batch_size": 2,
    }  # fmt: skip
    options |= changes
    attack = options.pop("attack", push)
    model = options.pop("model", Linear())
    data = options.pop("dataset", dataset())
    return evaluate.run(attack, model, data, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ------------------------------------------------------------------------------ the records


def test_records_hold_what_a_plain_loop_finds(tmp_path: Path) -> None:
    x, labels, ids = dataset()
    model = Linear()
    records = evaluated(tmp_path / "run")
    for k, row in records.iterrows():
        clean = int(model(x[[k]]).argmax())
        attacked = x[[k]]
        if clean == labels[k]:
            attacked = images.validate(push(model, x[[k]], labels[[k]]), "round")
            assert row["l1"] == pytest.approx(float(l1(x[[k]], attacked)), rel=1e-6)
            assert (row["forwards"], row["backwards"]) == (1, 1)
            saved = images.load(tmp_path / "run" / "images" / f"{ids[k]}.png")
            torch.testing.assert_close(saved, attacked[0], rtol=0, atol=0)
        else:
            assert np.isnan([row["l1"], row["forwards"], row["backwards"]]).all()
        logits = model(attacked)[0].detach()
        assert row["id"] == ids[k]
        assert row["label"] == labels[k]
        assert row["attack"] == "push"
        assert row["clean"] == clean
        assert row["correct"] == (clean == labels[k])
        assert row["predicted"] == int(logits.argmax())
        assert row["success"] == (row["correct"] and row["predicted"] != labels[k])
        assert row["margin"] == pytest.approx(
            float(logits[1 - labels[k]] - logits[labels[k]]), rel=1e-5, abs=1e-6
        )
        assert row["under_dark_2"] == int(model(darker(attacked)).argmax())
        assert row["under_same"] == row["predicted"]
    assert list(records) == [
        *evaluate.BEFORE, "l1", *evaluate.AFTER, "under_dark_2", "under_same",
    ]  # fmt: skip
    assert records["correct"].tolist() == [True, False, True, True, True]
    assert records["success"].any()


def test_only_correctly_classified_images_are_attacked_and_saved(tmp_path: Path) -> None:
    seen = []

    def watch(model: Any, images: Tensor, labels: Tensor) -> Tensor:
        seen.append(len(images))
        return images

    evaluated(tmp_path, attack=watch, options={})
    assert seen == [1, 2, 1]
    assert sorted(p.stem for p in (tmp_path / "images").iterdir()) == [
        "image-0", "image-2", "image-3", "image-4",
    ]  # fmt: skip


def test_a_batch_without_a_correct_image_is_recorded_unattacked(tmp_path: Path) -> None:
    x, labels, ids = dataset(2)
    records = evaluated(tmp_path, dataset=(x, 1 - labels, ids), batch_size=1)
    assert records["correct"].tolist() == [False, True]
    assert records.loc[0, "predicted"] == records.loc[0, "clean"]
    assert np.isnan(records.loc[0, "forwards"])


def test_success_is_asked_of_the_saved_image_not_of_the_returned_one(tmp_path: Path) -> None:
    # Values just past the boundary in float; 8 bit rounds them back to the right side.
    x = images.from_uint8(torch.full((1, 1, 2, 2), 127, dtype=torch.uint8))

    def nudge(model: Any, images: Tensor, labels: Tensor) -> Tensor:
        return images + 0.49 / 255 if labels[0] == 0 else images

    class Edge(Linear):
        def forward(self, x: Tensor) -> Tensor:
            brightness = x.mean((1, 2, 3)) - 127.2 / 255
            return 1000 * torch.stack([-brightness, brightness], 1)

    attacked = nudge(None, x, torch.tensor([0]))
    assert int(Edge()(attacked).argmax()) == 1
    data = (x, torch.tensor([0]), ["a"])
    records = evaluated(tmp_path, attack=nudge, options={}, model=Edge(), dataset=data)
    assert records.loc[0, "correct"]
    assert not records.loc[0, "success"]
    assert records.loc[0, "l1"] == 0


def test_originals_are_rounded_to_8_bit_first(tmp_path: Path) -> None:
    x, labels, ids = dataset(1)

    def still(model: Any, images: Tensor, labels: Tensor) -> Tensor:
        return images

    records = evaluated(
        tmp_path,
        attack=still,
        options={},
        dataset=(x + 0.3 / 255, labels, ids),
        measures={"l1": l1},
    )
    assert records["l1"].tolist() == [0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gray_and_double_images_are_evaluated(
    tmp_path: Path, channels: int, dtype: torch.dtype
) -> None:
    x, labels, ids = dataset()
    x = images.from_uint8(images.to_uint8(x[:, :channels]), dtype)
    records = evaluated(tmp_path, dataset=(x, labels, ids), model=Linear().to(dtype))
    assert records["correct"].sum() > 2


def test_passes_are_counted_and_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    def busy(model: Any, images: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            model(images)
        x = images.clone().requires_grad_()
        for _ in range(2):
            torch.autograd.grad(model(x).sum(), x)
        torch.autograd.grad(model(x[:1]).sum(), x)
        return images

    model = Linear()
    hooks = dict(model._forward_hooks)
    records = evaluated(tmp_path / "a", attack=busy, options={}, model=model, batch_size=5)
    assert records["forwards"].dropna().unique().tolist() == [3.25]
    assert records["backwards"].dropna().unique().tolist() == [2.25]
    thirds = evaluated(tmp_path / "c", attack=busy, options={}, dataset=dataset(4), batch_size=4)
    assert thirds["forwards"].dropna().unique().tolist() == [10 / 3]
    assert model._forward_hooks == hooks
    assert not model.training
    plain = evaluated(
        tmp_path / "b", attack=busy, options={}, model=lambda x: model(x), batch_size=5
    )
    pd.testing.assert_frame_equal(records, plain)


def test_hooks_are_taken_off_even_if_the_attack_fails(tmp_path: Path) -> None:
    def broken(model: Any, images: Tensor, labels: Tensor) -> Tensor:
        raise RuntimeError("out of luck")

    model = Linear()
    with pytest.raises(RuntimeError, match="out of luck") as caught:
        evaluated(tmp_path, attack=broken, options={}, model=model)
    assert caught.value.__notes__ == ["while broken attacked images image-0"]
    assert not model._forward_hooks


def test_an_attack_may_spoil_the_tensors_it_is_given(tmp_path: Path) -> None:
    def spoil(model: Any, images: Tensor, labels: Tensor) -> Tensor:
        made = images.clone()
        images.fill_(0)
        labels.fill_(0)
        return made

    x, labels, ids = dataset()
    records = evaluated(tmp_path, attack=spoil, options={}, dataset=(x, labels, ids))
    assert records["l1"].dropna().eq(0).all()
    assert records["label"].tolist() == dataset()[1].tolist()


def test_each_batch_gets_its_own_generator_and_the_seed_decides(tmp_path: Path) -> None:
    def noise(model: Any, images: Tensor, labels: Tensor, *, generator: torch.Generator) -> Tensor:
        return torch.rand(images.shape, generator=generator)

    def drawn(name: str, **changes: Any) -> list[bytes]:
        evaluated(tmp_path / name, attack=noise, options={}, **changes)
        return [p.read_bytes() for p in sorted((tmp_path / name / "images").iterdir())]

    first = drawn("a", seed=1)
    assert len(set(first)) == len(first)
    assert drawn("b", seed=1) == first
    assert not set(drawn("c", seed=2)) & set(first)


# -------------------------------------------------------------------------------- resuming

KILLED = """
import os, signal, sys
from pathlib import Path
from PIL import Image
sys.path.insert(0, sys.argv[1])
import test_evaluate as here

root = Path(sys.argv[2])
here.evaluate.runs.checkout = lambda: (None, None)  # slow, and no matter here
Image.init()  # once, and not in every child
here.weights.local()
log = root / "attacked"

def logged(model, images, labels, *, by=0.5):
    with log.open("a") as file:
        file.write(f"{float(images.sum())!r} ")
    return here.push(model, images, labels, by=by)

def attempt(out, last):
    '''Run in a child that dies at its last file operation in the folder; say if it died.'''
    child = os.fork()
    if child == 0:
        count = 0
        def watch(event, args):
            nonlocal count
            if event in ("open", "os.rename", "os.mkdir", "os.remove") and str(out) in str(args[0]):
                count += 1
                if count == last:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(watch)
        here.evaluated(out, attack=logged, batch_size=3)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status != 0

def attacked():
    return log.read_text().split() if log.exists() else []

def files(out):
    found = here.contents(out)
    told = ("provenance.json", ".lock")  # a lock that is left keeps nobody out
    return {name: data for name, data in found.items() if name not in told}

assert not attempt(root / "whole", 0)
whole, calls = files(root / "whole"), attacked()
kills = 0
for last in range(1, 1000):
    out = root / f"killed-{last}"
    log.unlink()
    log.touch()
    if not attempt(out, last):
        break
    kills += 1
    before = here.contents(out / "parts") if (out / "parts").exists() else {}
    done = [name for name in before if not name.startswith(".")]
    assert not attempt(out, 0)
    assert files(out) == whole, (last, set(files(out)) ^ set(whole))
    again = attacked()
    assert list(dict.fromkeys(again)) == calls, last
    assert len(again) <= len(calls) + 1, last
    for name in done:
        assert before[name] == files(out)[f"parts/{name}"], last
out, deaths = root / "often", 0
while attempt(out, 8 + 2 * deaths):
    deaths += 1
assert files(out) == whole
print(kills, deaths)
"""


def test_killed_at_any_moment_a_run_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kills, deaths = map(int, done.stdout.split())
    assert kills > 25
    assert deaths > 3


def test_a_complete_run_is_read_without_asking_for_the_model_or_the_images(tmp_path: Path) -> None:
    about = {"classifier": "linear", "images": "noise"}
    lazy: dict[str, Any] = {"model": Linear, "dataset": dataset, "measures": lambda: {"l1": l1}}
    first = evaluated(tmp_path, about=about, **lazy)

    def never() -> Any:
        raise AssertionError("asked for")

    again = evaluated(tmp_path, about=about, model=never, dataset=never, measures=never)
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(first, evaluate.load(tmp_path))


def test_a_complete_run_is_not_computed_again(tmp_path: Path) -> None:
    evaluated(tmp_path)
    before = contents(tmp_path)
    evaluated(tmp_path)
    assert contents(tmp_path) == before


def interrupted(out: Path, batches: int = 1, **changes: Any) -> None:
    """Leave a run after a number of batches."""
    left = batches

    def failing(original: Tensor, attacked: Tensor) -> Tensor:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return l1(original, attacked)

    failing.__module__, failing.__qualname__ = l1.__module__, l1.__qualname__
    with pytest.raises(KeyboardInterrupt):
        evaluated(out, measures={"l1": failing}, **changes)


def test_an_incomplete_run_cannot_be_loaded(tmp_path: Path) -> None:
    interrupted(tmp_path)
    with pytest.raises(ValueError, match=r"not complete \(1 of 3 batches .* start it again"):
        evaluate.load(tmp_path)


def test_every_session_of_a_run_is_in_its_provenance(tmp_path: Path) -> None:
    interrupted(tmp_path)
    evaluated(tmp_path)
    diary = json.loads((tmp_path / "provenance.json").read_text())
    assert diary["state"] == "complete"
    assert [session["batches"] for session in diary["sessions"]] == [1, 2]
    assert all(session["wall_seconds"] > 0 for session in diary["sessions"])
    assert diary["sessions"][0]["device"] == "cpu"
    assert diary["sessions"][0]["checkpoints"] == weights.local()
    assert diary["sessions"][0]["versions"]["torch"] == torch.__version__.split("+")[0]


def test_a_checkpoint_that_comes_during_a_run_is_in_its_provenance(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    file = tmp_path / weights._FILES["resnet50"][0].name

    def fetch(images, attacked):
        file.write_bytes(b"weights")
        return distances.l2(images, attacked)

    evaluated(tmp_path / "run", measures={"l2": fetch})
    diary = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert diary["sessions"][0]["checkpoints"]["resnet50"] == hashlib.sha256(b"weights").hexdigest()


HOLDING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_evaluate as here

def waiting(model, images, labels, *, by):
    print("working", flush=True)
    sys.stdin.readline()
    return here.push(model, images, labels, by=by)

waiting.__module__ = here.push.__module__
waiting.__qualname__ = waiting.__name__ = "push"
here.evaluated(Path(sys.argv[2]), attack=waiting)
"""


def test_only_one_process_works_in_a_folder_and_a_kill_lets_go_of_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDING, str(Path(__file__).parent), str(tmp_path / "run")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "working\n"
        before = contents(tmp_path / "run")
        with pytest.raises(ValueError, match=rf"run: another process .* \(pid {other.pid}\); wait"):
            evaluated(tmp_path / "run")
        assert contents(tmp_path / "run") == before
        other.kill()
    pd.testing.assert_frame_equal(evaluated(tmp_path / "run"), evaluated(tmp_path / "alone"))
    assert set(contents(tmp_path / "run")) == set(contents(tmp_path / "alone"))
    assert not list(tmp_path.rglob(".lock"))


def test_what_another_process_did_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    def meanwhile() -> Any:
        evaluated(tmp_path, dataset=dataset, about={"images": "noise"})
        return dataset()

    with pytest.raises(ValueError, match="another process has worked in this folder meanwhile"):
        evaluated(tmp_path, dataset=meanwhile, about={"images": "noise"})
    assert len(evaluate.load(tmp_path)) == 5


def test_forked_processes_do_not_hold_the_lock(tmp_path: Path) -> None:
    """A worker that outlives a killed run must not keep the next one out."""
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from humimp import runs\n"
        "with runs.alone(Path(sys.argv[1]), None):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        sys.stdin.readline()\n"
        "        os._exit(0)\n"
        "    print(child, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.wait()
        os.kill(child, 0)  # it is still there
        with evaluate.runs.alone(tmp_path, None):
            pass


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EIO])
def test_without_locks_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def flock(descriptor: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(evaluate.runs.fcntl, "flock", flock)
    if code == errno.EIO:
        with pytest.raises(OSError, match=r"cannot write .* make the folder writable"):
            evaluated(tmp_path)
    else:
        assert len(evaluated(tmp_path)) == 5
        assert not (tmp_path / ".lock").exists()


def test_each_process_has_its_own_unfinished_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = os.fsync

    def watch(descriptor: int) -> None:
        seen.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    evaluate.files.write(tmp_path / "a.json", b"")
    assert seen == [f".a.json.{os.getpid()}.part"]


# ------------------------------------------------------------------------ settings and folders


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "an option": ({"options": {"by": 0.25}}, r"options\.by: 0\.5 in the folder, 0\.25 now"),
    "an option more": ({"options": {}}, r"options\.by: 0\.5 in the folder, 'nothing' now"),
    "the batches": ({"batch_size": 3}, r"batch_size: 2 in the folder, 3 now"),
    "the seed": ({"seed": 7}, r"seed: 0 in the folder, 7 now"),
    "the name": ({"name": "other"}, r"name: 'push' in the folder, 'other' now"),
    "a defence": ({"defenses": {"same": Tensor.clone}}, r"defenses\.dark_2: .* 'nothing' now"),
    "a measure": ({"measures": {"l2": l1}}, r"measures\.l1: .*\n  measures\.l2: 'nothing' in"),
    "the attack": ({"attack": lambda model, x, y, by: x}, r"attack: .*\n.*lambda.*now"),
    "what it is about": ({"about": {"k": 1}}, r"about\.k: 'nothing' in the folder, 1 now"),
    "the images": ({"dataset": dataset(4)}, r"dataset_sha256: .*\n  images: 5 in the .*, 4 now"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("complete", [True, False])
def test_other_settings_are_refused_and_the_folder_stays(
    tmp_path: Path, change: str, complete: bool
) -> None:
    if complete:
        evaluated(tmp_path)
    else:
        interrupted(tmp_path)
    before = contents(tmp_path)
    changes, message = CHANGES[change]
    with pytest.raises(ValueError, match=message) as caught:
        evaluated(tmp_path, **changes)
    assert str(tmp_path) in str(caught.value)
    assert "another folder" in str(caught.value)
    assert contents(tmp_path) == before


def test_other_weights_are_refused(tmp_path: Path) -> None:
    evaluated(tmp_path)
    model = Linear()
    model.scale.data.fill_(11)
    with pytest.raises(ValueError, match="model_sha256"):
        evaluated(tmp_path, model=model)


class Scaled(nn.Module):
    """The linear model, of images that are normalised first."""

    def __init__(self, std: float = 0.5, activation: type[nn.Module] = nn.Identity) -> None:
        super().__init__()
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.network = Linear()
        self.last = activation()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.network((x - 0.5) / self.std + 0.5))


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("other", [{"std": 0.25}, {"activation": nn.Tanh}])
def test_another_normalisation_or_architecture_is_refused(
    tmp_path: Path, complete: bool, other: dict[str, Any]
) -> None:
    if complete:
        evaluated(tmp_path, model=Scaled())
    else:
        interrupted(tmp_path, model=Scaled())
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"model_form_sha256: '.*' in the folder, '.*' now"):
        evaluated(tmp_path, model=Scaled(**other))
    assert contents(tmp_path) == before
    evaluated(tmp_path, model=Scaled())


def without(out: Path, *keys: str) -> None:
    """Leave out what an older diary does not have."""
    path = out / "provenance.json"
    diary = json.loads(path.read_text())
    for key in keys:
        del diary["inputs"][key]
    path.write_text(json.dumps(diary))


@pytest.mark.parametrize("complete", [True, False])
def test_a_diary_without_a_form_is_accepted_and_stays_without(
    tmp_path: Path, complete: bool
) -> None:
    begin = evaluated if complete else interrupted
    begin(tmp_path / "module", model=Scaled())
    begin(tmp_path / "function", model=holding(Linear()))
    later = ("measures_form_sha256", "plan_form_sha256", "dtype")
    without(tmp_path / "module", "model_form_sha256", *later)
    without(tmp_path / "function", "model", *later)
    evaluated(tmp_path / "module", model=Scaled(std=0.25))
    evaluated(tmp_path / "function", model=holding(Linear()))
    for name, absent in (("module", "model_form_sha256"), ("function", "model")):
        diary = json.loads((tmp_path / name / "provenance.json").read_text())
        assert diary["state"] == "complete"
        assert not {absent, *later} & set(diary["inputs"])


def beside(network: nn.Module) -> Any:
    return lambda original, attacked: network(attacked)[:, 0]


@pytest.mark.parametrize(
    ("what", "complete"),
    [("measures", True), *((w, c) for w in ("options", "defenses") for c in (True, False))],
)
def test_another_normalisation_of_a_network_that_measures_defends_or_guides_is_refused(
    tmp_path: Path, what: str, complete: bool
) -> None:
    def held(network: nn.Module) -> Any:
        return {
            "measures": {"t": beside(network)},
            "options": {"by": 0.5, "guide": network},
            "defenses": {"d": lambda x: x + 0 * network.std},
        }[what]

    def guided(model: Any, images: Tensor, labels: Tensor, *, by: float, guide: Any = None) -> Any:
        return push(model, images, labels, by=by)

    begin = evaluated if complete else interrupted
    begin(tmp_path, attack=guided, **{what: held(Scaled())})
    diary = json.loads((tmp_path / "provenance.json").read_text())
    assert (diary["state"] == "complete") == complete
    with pytest.raises(ValueError, match=r"(measures|plan)_form_sha256: .* in the folder, .* now"):
        evaluated(tmp_path, attack=guided, **{what: held(Scaled(std=0.25))})
    evaluated(tmp_path, attack=guided, **{what: held(Scaled())})


@pytest.mark.parametrize("complete", [True, False])
def test_another_precision_of_the_images_is_refused(tmp_path: Path, complete: bool) -> None:
    def either(x: Tensor) -> Tensor:
        return Linear()(x.float())

    x, labels, ids = dataset()
    double = (x.double(), labels, ids)
    begin = evaluated if complete else interrupted
    begin(tmp_path, model=either, about={"model": "either"})
    with pytest.raises(
        ValueError, match=r"dtype: 'torch\.float32' in the folder, 'torch\.float64' now"
    ):
        evaluated(tmp_path, model=either, about={"model": "either"}, dataset=double)


def once(function: Any) -> Any:
    """Let a function be called once."""
    calls = iter([function])
    return lambda *arguments: next(calls, raising)(*arguments)


def raising(*_: Any) -> None:
    raise KeyboardInterrupt


def test_measures_and_defences_may_come_in_another_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"measures": {"l1": l1, "l2": distances.l2}}
    there |= {"defenses": {"dark_2": darker, "same": Tensor.clone}}
    wanted = evaluated(tmp_path / "whole", **there)
    with monkeypatch.context() as patch:
        patch.setattr(batches, "attack", once(batches.attack))
        with pytest.raises(KeyboardInterrupt):
            evaluated(tmp_path / "part", **there)
    assert len(list((tmp_path / "part" / "parts").iterdir())) == 1
    again = {what: dict(reversed(given.items())) for what, given in there.items()}
    found = evaluated(tmp_path / "part", **again)
    pd.testing.assert_frame_equal(found[list(wanted)], wanted)


def bright(x: Tensor) -> Tensor:
    return Linear()(x)


def holding(network: nn.Module) -> Any:
    return lambda x: network(x)


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("kind", ["weights", "normalisation", "function"])
def test_another_function_is_refused_as_model(tmp_path: Path, complete: bool, kind: str) -> None:
    stronger = Linear()
    stronger.scale.data.fill_(11)
    one, other = {
        "weights": (holding(Linear()), holding(stronger)),
        "normalisation": (holding(Scaled()), holding(Scaled(std=0.25))),
        "function": (bright, darker),
    }[kind]
    begin = evaluated if complete else interrupted
    begin(tmp_path, model=one, about={"model": "a function"})
    with pytest.raises(ValueError, match=r"model\.?.* in the folder, .* now"):
        evaluated(tmp_path, model=other, about={"model": "a function"})
    evaluated(tmp_path, model=one, about={"model": "a function"})


def test_a_model_that_takes_any_arguments_is_no_function_that_returns_one(tmp_path: Path) -> None:
    network = Linear()

    def wrapped(*args: Any, **kwargs: Any) -> Tensor:
        return network(*args, **kwargs)

    pd.testing.assert_frame_equal(
        evaluated(tmp_path / "wrapped", model=wrapped), evaluated(tmp_path / "plain")
    )


def test_a_builtin_function_may_be_a_model(tmp_path: Path) -> None:
    x = torch.zeros(2, 1, 1, 1)
    x[1] = 1
    data = (x, torch.zeros(2, dtype=torch.int64), ["a", "b"])
    with pytest.raises(ValueError, match="model: expected logits"):
        evaluated(tmp_path, model=torch.relu, dataset=data, about={"model": "relu"})


def test_a_class_is_called_even_if_it_takes_any_arguments() -> None:
    class Inherits(nn.Module):  # nn.Module's own signature is (*args, **kwargs)
        pass

    assert batches.is_lazy(Inherits)


def test_numpys_settings_are_the_plain_ones(tmp_path: Path) -> None:
    plain = evaluated(tmp_path, seed=3)
    numpys = {
        "batch_size": np.int64(2), "seed": np.int32(3), "options": {"by": np.float64(0.5)},
    }  # fmt: skip
    pd.testing.assert_frame_equal(plain, evaluated(tmp_path, **numpys))
    whole = evaluated(tmp_path / "whole", options={"by": 1})
    pd.testing.assert_frame_equal(whole, evaluated(tmp_path / "whole", options={"by": 1.0}))
    pd.testing.assert_frame_equal(plain, evaluated(tmp_path / "other", **numpys))
    with pytest.raises(ValueError, match=r"options\.by: 0\.5 in the folder, 0\.25 now"):
        evaluated(tmp_path, seed=3, options={"by": np.float32(0.25)})


@pytest.mark.parametrize(
    ("settings", "inputs", "message"),
    [
        ({"algorithm": 2, "batch_size": 1}, {"images": 1}, r"adversarial data set.* dro\.load"),
        ({"algorithm": 3, "batch_size": 1}, {}, r"holds replicates; read it with replicates\.load"),
        ({"epochs": 3}, {}, r"holds replicates; read it with replicates\.load"),
    ],
)
def test_a_folder_of_another_kind_is_said(
    tmp_path: Path, settings: dict[str, Any], inputs: dict[str, Any], message: str
) -> None:
    diary = {
        "format": 1, "state": "complete", "settings": settings, "inputs": inputs,
        "records_sha256": None, "sessions": [],
    }  # fmt: skip
    (tmp_path / "provenance.json").write_text(json.dumps(diary))
    for act in (evaluate.load, evaluated):
        with pytest.raises(ValueError, match=message):
            act(tmp_path)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"not the folder of a run: it holds thesis\.tex"):
        evaluated(tmp_path)
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}
    with pytest.raises(ValueError, match=r"thesis\.tex: a file; .* choose another name"):
        evaluated(tmp_path / "thesis.tex")


def test_nothing_to_load_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no run here .* compute it with evaluate\.run"):
        evaluate.load(tmp_path / "none")


# -------------------------------------------------------------------------- damage, full disks


@pytest.mark.parametrize("damage", ["cut short", "empty", "a bit flipped", "another run's"])
@pytest.mark.parametrize("file", ["parts/00000.parquet", "records.parquet"])
def test_damaged_records_are_named_and_nothing_else_is_touched(
    tmp_path: Path, file: str, damage: str
) -> None:
    out = tmp_path / "run"
    if file.startswith("parts"):
        interrupted(out)
    else:
        evaluated(out)
    whole = (out / file).read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"PAR1") + 40] ^= 1
    x, labels, _ = dataset()
    evaluated(tmp_path / "other", dataset=(x, labels, [f"other-{k}" for k in range(5)]))
    (out / file).write_bytes({
        "cut short": whole[: len(whole) // 2],
        "empty": b"",
        "a bit flipped": bytes(flipped),
        "another run's": (tmp_path / "other" / file).read_bytes(),
    }[damage])  # fmt: skip
    before = contents(out)
    with pytest.raises(ValueError, match=f"{out / file}: damaged.*delete .*run again"):
        evaluated(out)
    assert contents(out) == before
    (out / file).unlink()  # the remedy
    assert evaluated(out)["correct"].sum() == 4
    assert (out / file).read_bytes() == whole


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 2, "state": 0}'])
def test_a_damaged_diary_is_named(tmp_path: Path, text: str) -> None:
    evaluated(tmp_path)
    (tmp_path / "provenance.json").write_text(text)
    before = contents(tmp_path)
    for act in (evaluated, evaluate.load):
        with pytest.raises(ValueError, match=r"provenance\.json: damaged.* delete the folder"):
            act(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "file", ["provenance.json", "image-2.png", "00001.parquet", "records.parquet"]
)
def test_a_full_disk_is_said_and_what_was_done_stays(
    tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path)
    before = contents(tmp_path)
    real = os.fsync

    def full(descriptor: int) -> None:
        if file in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left.*is intact: make room.* run again") as caught:
        evaluated(tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert file in str(caught.value)
    after = contents(tmp_path)
    assert {name: after[name] for name in before if name != "provenance.json"} == {
        name: before[name] for name in before if name != "provenance.json"
    }
    assert not [name for name in after if name.endswith(".part")]
    monkeypatch.undo()
    assert len(evaluated(tmp_path)) == 5


# ------------------------------------------------------------------------------------ bad input


def wrong_shape(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    return images[..., :-1]


def wrong_dtype(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    return images.double()


def too_bright(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    made = images.clone()
    made[-1] += 1
    return made


def too_dark(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    return images - 1


def not_a_number(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    return images * torch.nan


def not_a_tensor(model: Any, images: Tensor, labels: Tensor) -> Any:
    return images.tolist()


def refusing(model: Any, images: Tensor, labels: Tensor) -> Any:
    raise ValueError("steps: expected at least 1")


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (wrong_shape, r"wrong_shape returned shape \(2, 3, 4, 3\) instead of \(2, 3, 4, 4\) for"),
        (wrong_dtype, r"wrong_dtype returned dtype torch\.float64 instead of torch\.float32 for"),
        (too_bright, r"too_bright returned values outside \[0, 1\] or NaN for images image-3; cl"),
        (too_dark, r"too_dark returned values outside \[0, 1\] or NaN for images image-2, image-3"),
        (not_a_number, r"not_a_number returned values outside \[0, 1\] or NaN for images image-2,"),
        (not_a_tensor, r"not_a_tensor returned list for images image-2, image-3; an attack ret"),
        (refusing, r"refusing failed on images image-2, image-3: steps: expected at least 1"),
    ],
)
def test_an_attack_that_misbehaves_is_named_with_its_images(
    tmp_path: Path, attack: Any, message: str
) -> None:
    x, labels, ids = dataset()
    data = (x[2:], labels[2:], ids[2:])
    with pytest.raises(ValueError, match=message):
        evaluated(tmp_path, attack=attack, options={}, dataset=data)


class Sick(Linear):
    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return torch.where(x.mean((1, 2, 3))[:, None] > 0.6, torch.nan, logits)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Sick(), r"the attacked images image-0: model: NaN or infinite logits"),
        (lambda x: torch.softmax(Linear()(x), 1), r"the originals image-0, image-1: .*softmax"),
        (lambda x: Linear()(x)[0], r"the originals image-0, image-1: model: expected logits"),
        (Linear().train(), r"model: it is in train mode.* call model\.eval"),
    ],
)
def test_a_sick_model_is_refused(tmp_path: Path, model: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluated(tmp_path, model=model, about={"model": "sick"})


def test_nan_logits_for_originals_are_named(tmp_path: Path) -> None:
    x, labels, _ = dataset()
    data = (x[2:], labels[2:], ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"the originals b: model: NaN or infinite logits"):
        evaluated(tmp_path, model=Sick(), dataset=data)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda x, y: l1(x, y).mean(), r"measure m: expected .* shape \(1,\), got \(\)"),
        (lambda x, y: 3, r"measure m: expected .* got int"),
        (lambda x, y: l1(x, y) * torch.nan, r"measure m: NaN or infinite for images image-0"),
    ],
)
def test_a_measure_that_misbehaves_is_named(tmp_path: Path, measure: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluated(tmp_path, measures={"m": measure})


def test_a_defence_that_misbehaves_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"defense crop: expected shape .* got \(2, 3, 4, 2\)"):
        evaluated(tmp_path, defenses={"crop": lambda x: x[..., :2]})


@pytest.mark.parametrize(
    ("defense", "message"),
    [
        (lambda x: (x * 255).byte(), r"defense d: expected float32 or float64, got uint8"),
        (lambda x: x * 3, r"defense d: expected values in \[0, 1\]"),
        (lambda x: x - 1, r"defense d: .*undo the normalisation"),
        (lambda x: x * torch.nan, r"defense d: .*NaN or infinite ones"),
    ],
)
def test_what_a_defence_returns_must_be_images(tmp_path: Path, defense: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluated(tmp_path, defenses={"d": defense})


def test_a_batch_whose_image_was_lost_is_attacked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, batches=2)
    image = tmp_path / "images" / "image-0.png"
    before = image.read_bytes()
    image.unlink()
    attacked, attack = [], batches.attack

    def seen(plan: Any, batch: Any) -> Any:
        attacked.append(batch.index)
        return attack(plan, batch)

    monkeypatch.setattr(batches, "attack", seen)
    records = evaluated(tmp_path)
    assert attacked == [0, 2]  # the lost one's, and the one that was cut off
    assert image.read_bytes() == before
    pd.testing.assert_frame_equal(records, evaluated(tmp_path / "whole"))


X, LABELS, IDS = dataset()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": (X, LABELS, [*IDS[:4], "image-0"])}, r"ids: image-0 given more than once"),
        ({"dataset": (X, LABELS, [*IDS[:4], "IMAGE-0"])}, r"ids: image-0, IMAGE-0 given more than"),
        ({"dataset": (X, LABELS, [*IDS[:4], "a/b"])}, r"ids: a/b cannot name a file; use letters"),
        ({"dataset": (X, LABELS, [*IDS[:4], ".."])}, r"ids: \.\. cannot name a file"),
        ({"dataset": (X, LABELS, [*IDS[:4], ""])}, r"ids:  cannot name a file"),
        ({"dataset": (X, LABELS, IDS[:4])}, r"ids: expected one per image, got 4 for 5 images"),
        ({"dataset": (X * 255, LABELS, IDS)}, r"images: .*divide by 255"),
        ({"dataset": (X, LABELS[:4], IDS)}, r"labels: expected one for each of the 5 images"),
        ({"dataset": (X, LABELS + 2, IDS)}, r"labels: expected labels below 2"),
        ({"dataset": (X, LABELS)}, r"dataset: expected the three of images, labels and ids"),
        ({"attack": "push"}, r"attack: expected a function, got 'push'"),
        ({"options": {"bye": 1}}, r"options: the attack does not take bye; it takes by$"),
        (
            {"options": {"targeted": True}, "attack": lambda m, x, y, targeted: x},
            r"leave targeted out, the l",
        ),
        ({"options": {"generator": 1}, "attack": lambda m, x, y, generator: x}, r"leave generator"),
        ({"measures": {"L 1": l1}}, r"measures: 'L 1' is no column name"),
        ({"measures": [l1]}, r"measures: expected functions by name, .* got list"),
        ({"defenses": [darker]}, r"defenses: expected functions by name, .* got list"),
        ({"measures": {"label": l1}}, r"measures: every record has a column 'label' already"),
        ({"defenses": {"under_a": darker}}, r"defenses: .* 'under_a' already; rename it"),
        ({"batch_size": 0}, r"batch_size: expected a whole number ≥ 1, got 0"),
        ({"seed": -1}, r"seed: expected a whole number ≥ 0, got -1"),
        ({"dataset": dataset}, r"about: dataset given as a function; say what it returns"),
        ({"model": Linear, "dataset": dataset}, r"about: model and dataset given as a function"),
        ({"about": {"model": Linear()}}, r"about: expected something that JSON can hold"),
        ({"model": bright}, r"about: the model is a callable in which no weights are found; say"),
        ({"options": {"by": object()}}, r"<object .*nothing tells one builtins\.object from an"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluated(tmp_path / "run", **changes)
    assert not list(tmp_path.rglob("*.parquet"))


# ------------------------------------------------------------------------------------- tables


def records_by_hand() -> pd.DataFrame:
    """Two attacks on four images, one of them never classified correctly."""
    common = {
        "id": list("abcd"), "label": [1, 2, 3, 4], "clean": [1, 2, 3, 9],
        "correct": [True, True, True, False], "margin": 0.0,
    }  # fmt: skip
    first = pd.DataFrame(
        common
        | {
            "attack": "first",
            "predicted": [7, 7, 3, 9],
            "success": [True, True, False, False],
            "l1": [1.0, 3.0, 100.0, np.nan],
            "lpips": [0.001, 0.003, 9.0, np.nan],
            "dists_small": [0.002, 0.004, 9.0, np.nan],
            "forwards": [1.0, 2.0, 6.0, np.nan],
            "backwards": [0.0, 1.0, 2.0, np.nan],
            "under_jpeg_90": [1, 7, 3, 9],
            "under_jpeg_30": [7, 7, 7, 9],
            "under_blur": [1, 2, 3, 9],
        }
    )
    second = first.assign(attack="second", predicted=first["label"], success=False)
    return pd.concat([first, second], ignore_index=True)[
        [*evaluate.BEFORE, "l1", "lpips", "dists_small", *evaluate.AFTER,
         "under_jpeg_90", "under_jpeg_30", "under_blur"]
    ]  # fmt: skip


def test_table_averages_over_successful_images_and_counts_correct_ones() -> None:
    table = evaluate.table(records_by_hand())
    assert list(table) == [
        "images", "n", "success_rate", "l1", "lpips", "dists_small", "forwards", "backwards",
    ]  # fmt: skip
    assert list(table.index) == ["first", "second"]
    np.testing.assert_allclose(
        table.loc["first"].astype(float), [4, 3, 200 / 3, 2.0, 2.0, 3.0, 3.0, 1.0]
    )
    assert table.loc["second", "success_rate"] == 0
    assert np.isnan(table.loc["second", "l1"])
    assert table.loc["second", "forwards"] == 3


def test_success_rate_is_labels_changed_from_correct_to_incorrect_over_correct_ones() -> None:
    """The paper's definition, Section 3.2, counted from the labels alone."""
    records = records_by_hand()
    records.loc[3, "predicted"] = 4  # an image that was wrong and is right now does not count
    for name, group in records.groupby("attack"):
        right = [row for row in group.itertuples() if row.clean == row.label]
        changed = [row for row in right if row.predicted != row.label]
        rate = evaluate.table(records).loc[name, "success_rate"]
        assert rate == pytest.approx(100 * len(changed) / len(right))


def test_success_of_a_run_is_the_label_changing_from_correct_to_incorrect(tmp_path: Path) -> None:
    """A wrong answer that stays wrong, or a right one that stays right, is no success."""
    x, labels, ids = dataset()
    labels[2] = 1 - labels[2]
    records = evaluated(tmp_path, dataset=(x, labels, ids), options={"by": 0.3})
    changed = (records["clean"] == records["label"]) & (records["predicted"] != records["label"])
    assert records["success"].tolist() == changed.tolist()
    assert 0 < records["success"].sum() < records["correct"].sum() < len(records)
    rate = evaluate.table(records)["success_rate"].item()
    assert rate == pytest.approx(100 * changed.sum() / (records["clean"] == records["label"]).sum())


def many(n: int, rate: float = 1.0, attack: str = "many") -> pd.DataFrame:
    """Make records of n attacked images with random distances, some of them without success."""
    generator = np.random.default_rng(5)
    success = generator.random(n) < rate
    return pd.DataFrame(
        {
            "id": [str(k) for k in range(n)], "label": 1, "attack": attack, "clean": 1,
            "correct": True, "predicted": np.where(success, 2, 1), "success": success,
            "margin": 0.0, "l2": generator.gamma(2, size=n), "lpips": generator.gamma(2, size=n),
            "forwards": generator.integers(1, 9, n).astype(float), "backwards": 1.0,
        }
    )  # fmt: skip


def test_errors_are_those_of_a_mean_where_all_images_count() -> None:
    """The bootstrap of a mean has the closed form s / √n · √((n − 1) / n)."""
    records = many(40)
    draws = 20_000
    errors = evaluate.errors(records, draws=draws).loc["many"]
    for column, scale in {"l2": 1, "lpips": 1000, "forwards": 1}.items():
        exact = scale * records[column].std(ddof=0) / np.sqrt(40)
        # The error of a standard deviation from as many draws, four times.
        assert errors[column] == pytest.approx(exact, rel=4 / np.sqrt(2 * draws))
    assert errors["backwards"] == errors["success_rate"] == 0


def test_the_error_of_the_success_rate_is_a_share_s() -> None:
    records = many(30, rate=0.7)
    p = records["success"].mean()
    errors = evaluate.errors(records, draws=20_000)
    exact = 100 * np.sqrt(p * (1 - p) / 30)
    assert errors.loc["many", "success_rate"] == pytest.approx(exact, rel=0.02)


def test_errors_are_what_a_plain_loop_over_draws_of_images_finds() -> None:
    records = pd.concat([many(12, rate=0.3), many(9, rate=0.5, attack="other")])
    records.loc[records["id"] == "3", ["correct", "success"]] = False
    errors = evaluate.errors(records, draws=50, seed=4)
    for name, group in records.groupby("attack", sort=False):
        attacked = group[group["correct"]]
        generator = np.random.default_rng(4)
        chosen = generator.integers(len(attacked), size=(50, len(attacked)))
        named = [str(k) for k in range(len(attacked))]  # an image may be drawn twice
        drawn = (attacked.iloc[row].assign(id=named) for row in chosen)
        tables = pd.concat(map(evaluate.table, drawn))
        for column in errors:
            assert errors.loc[name, column] == pytest.approx(tables[column].std(), rel=1e-10)
    assert list(errors) == list(evaluate.table(records))[2:]


def test_errors_are_deterministic_and_the_same_alone_and_beside_others() -> None:
    one, other = many(12, rate=0.5), many(8, attack="other")
    both = evaluate.errors(pd.concat([other, one]))
    pd.testing.assert_frame_equal(both.loc[["many"]], evaluate.errors(one))
    assert evaluate.errors(one, seed=1).loc["many", "l2"] != both.loc["many", "l2"]


def test_a_single_value_has_no_error() -> None:
    records = many(6)
    records.loc[1:, "success"] = False
    errors = evaluate.errors(records).loc["many"]
    assert np.isnan(errors["l2"])
    assert errors["success_rate"] > 0
    records["correct"] = False
    assert evaluate.errors(records).loc["many"].isna().all()


@pytest.mark.parametrize("given", [{"draws": 1}, {"draws": 2.5}, {"seed": -1}])
def test_draws_that_cannot_be_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(given))}: expected"):
        evaluate.errors(many(4), **given)


def test_curves_are_shares_of_the_correctly_classified() -> None:
    curves = evaluate.curves(records_by_hand())
    first = curves[curves["attack"] == "first"]
    assert first["defense"].tolist() == ["jpeg", "jpeg", "blur"]
    assert first["level"].tolist()[:2] == [90, 30]
    assert np.isnan(first["level"].tolist()[2])
    np.testing.assert_allclose(first["success_rate"], [100 / 3, 100, 0])
    assert curves["n"].unique().tolist() == [3]


def test_curves_leave_out_defences_that_an_attack_was_run_without() -> None:
    records = records_by_hand()
    parts = [
        records[records["attack"] == "first"],
        records[records["attack"] == "second"].drop(columns=["under_jpeg_90", "under_blur"]),
    ]
    curves = evaluate.curves(pd.concat(parts))
    assert curves.groupby("attack").size().to_dict() == {"first": 3, "second": 1}


def test_a_rate_of_no_image_is_unknown() -> None:
    records = records_by_hand()
    wrong = records[records["attack"] == "second"].assign(clean=0, correct=False)
    wrong["under_blur"] = np.nan  # run without this defence
    found = pd.concat([records[records["attack"] == "first"], wrong])
    assert evaluate.table(found)["n"].to_dict() == {"first": 3, "second": 0}
    assert evaluate.table(found)["success_rate"].isna().tolist() == [False, True]
    second = evaluate.curves(found).query("attack == 'second'")
    assert second["level"].tolist() == [90, 30]
    assert second["success_rate"].isna().all()
    assert second["n"].tolist() == [0, 0]


@pytest.mark.parametrize("summary", [evaluate.table, evaluate.errors, evaluate.curves])
def test_attacks_come_in_order_of_appearance(summary: Any) -> None:
    records = records_by_hand().replace({"attack": {"first": "zeroth"}})
    assert summary(records).reset_index()["attack"].unique().tolist() == ["zeroth", "second"]


@pytest.mark.parametrize("summary", [evaluate.table, evaluate.errors, evaluate.curves])
def test_something_else_than_records_is_refused(summary: Any) -> None:
    with pytest.raises(ValueError, match=r"records: the columns success, margin are missing; pass"):
        summary(records_by_hand().drop(columns=["success", "margin"]))


@pytest.mark.parametrize("read", [evaluate.table, evaluate.errors, evaluate.curves])
def test_two_runs_of_one_name_are_not_mixed(read: Any) -> None:
    records = records_by_hand()
    twice = pd.concat([records, records])
    with pytest.raises(ValueError, match=r"records: .* holds images more than once, as if"):
        read(twice)
    read(pd.concat([records, records.assign(attack=records["attack"] + " again")]))
