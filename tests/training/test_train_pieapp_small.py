import json

import numpy as np
import pytest
import torch

from humimp import pieapp
from training import committee
from training import train_pieapp_small as training


@pytest.fixture(autouse=True)
def _as_it_was():
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)


@pytest.fixture
def work(tmp_path):
    """Make a folder of scored crops of noise; more noise is worse."""
    rng, folder = np.random.default_rng(0), tmp_path / "crops"
    folder.mkdir()
    for number in range(training.VALIDATION + training.PHOTOGRAPHS):
        reference = rng.integers(60, 190, (96, 96, 3), dtype=np.uint8)
        size = np.linspace(1, 60, 13)
        noise = size[:, None, None, None] * rng.standard_normal((13, 96, 96, 3))
        distorted = np.clip(reference + noise, 0, 255).astype(np.uint8)
        values = np.repeat(size[:, None], len(committee.MEMBERS), axis=1).astype(np.float32)
        photo = committee.Photograph(reference, distorted, ["white_noise"] * 13, size, values)
        committee.save(folder / f"train_{number:02d}.npz", photo)
    return folder


def test_errors_are_those_of_the_network():
    net = training.network(0)
    rng = torch.Generator().manual_seed(0)
    reference = 255 * torch.rand(2, 3, 96, 96, generator=rng) / training.PIXEL
    distorted = 255 * torch.rand(2, 3, 3, 96, 96, generator=rng) / training.PIXEL
    corners = [(row, column) for row in (0, 32) for column in (0, 32)]
    with torch.no_grad():
        ours = training.errors(net, reference, distorted, corners)
        shipped = pieapp.from_state(
            {name: value.float() for name, value in training.finished(net, 3.0).items()}
        )
        each = reference[:, None].expand_as(distorted).flatten(0, 1)
        theirs = shipped(
            each * training.PIXEL / 255, distorted.flatten(0, 1) * training.PIXEL / 255, stride=32
        )
    torch.testing.assert_close(3 * ours.flatten(), theirs, rtol=0.01, atol=0)  # half precision


def test_error_is_zero_at_the_reference_and_never_negative():
    net = training.network(1)
    with torch.no_grad():
        for weight in (net.fc2_score.weight, net.fc2_weight.weight, net.fc2_weight.bias):
            weight.normal_()
    training.constrain(net)
    rng = torch.Generator().manual_seed(0)
    x, y = 4 * torch.rand(2, 1, 3, 96, 96, generator=rng)
    with torch.no_grad():
        error = training.errors(net, x, torch.stack([x, y, x + 1e-4 * (y - x)], dim=1), [(5, 20)])
    assert error[0, 0] == 0
    assert (error[0, 1:] > 0).all()


def test_losses_against_their_definitions():
    error = torch.tensor([[1.0, 3.0, 2.0]])
    wanted = torch.tensor([[[0.5, 0.9, 0.6], [0.1, 0.5, 0.2], [0.4, 0.8, 0.5]]])
    found = training.losses(error, torch.tensor([1.0]), torch.tensor([3.0]), wanted)
    pairs = [(2.0, 0.9), (1.0, 0.6), (-1.0, 0.2)]  # (0, 1), (0, 2), (1, 2)
    paper = -np.mean(
        [p * np.log(1 / (1 + np.exp(-d))) + (1 - p) * np.log(1 / (1 + np.exp(d))) for d, p in pairs]
    )
    assert float(found["paper"]) == pytest.approx(paper, rel=1e-5)
    floor = training.FLOOR
    part = np.log1p(((1 + floor) / (3 + floor)) ** training.SLOPE)
    assert float(found["part"]) == pytest.approx(part, rel=1e-4)
    assert float(found["accuracy"]) == 1


def test_a_batch_turns_photograph_and_distortions_together(work):
    scale = committee.Scale(np.linspace(0, 60, 512)[:, None].repeat(len(committee.MEMBERS), 1))
    data = training.read(work, ["00", "01"], scale)
    data = data._replace(distorted=[np.repeat(r[None], 13, 0) for r in data.references])
    x, y, wanted = training.batch(data, np.array([1, 0, 1]), np.random.default_rng(0))
    assert x.shape == (3, 3, 96, 96)
    assert y.shape == (3, training.DISTORTED + 1, 3, 96, 96)
    assert wanted.shape == (3, training.DISTORTED, training.DISTORTED)
    torch.testing.assert_close(y, x[:, None].expand_as(y))
    assert not torch.equal(x[0], x[2])  # the same photograph, turned otherwise


def test_rate_rises_stays_and_falls():
    steps = [training.rate(step, 1000) for step in range(1000)]
    assert steps[0] == pytest.approx(training.LEARNING_RATE / training.WARM_UP)
    assert steps[400] == training.LEARNING_RATE == training.rate(400, 2000)
    assert steps[-1] == pytest.approx(training.LEARNING_RATE / training.COOLING)


def run(monkeypatch, work, out, steps):
    words = ["train", "--work", str(work), "--out", str(out), "--steps", str(steps)]
    monkeypatch.setattr("sys.argv", words)
    training.main()


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(monkeypatch, tmp_path, work, capsys):
    monkeypatch.setattr(training, "PHOTOGRAPHS", 2)
    monkeypatch.setattr(training, "DISTORTED", 3)
    monkeypatch.setattr(training, "COOLING", 1)
    monkeypatch.setattr(training, "VALIDATION", 4)
    run(monkeypatch, work, tmp_path / "whole", 3)
    run(monkeypatch, work, tmp_path / "parts", 2)
    run(monkeypatch, work, tmp_path / "parts", 3)
    name = "pieapp_small.safetensors"
    whole, parts = ((tmp_path / kind / name).read_bytes() for kind in ("whole", "parts"))
    assert whole == parts
    assert len(whole) <= 4_000_000
    lines = [
        json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()
    ]
    assert [line["step"] for line in lines] == [2, 3]
    assert set(lines[-1]["watched"]) == {"paper", "log", "part", "accuracy"}
