"""The set-up of Section 4: whose images are whose, and that θ₀ is the same wherever it is read."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from humimp import classifiers, costs, datasets, dro, experiment, geography, simulation
from humimp.experiment import by_country, compared, digits_network, theta0


def equal(one: nn.Module, other: nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(*pair) for pair in zip(*(s.values() for s in states), strict=True))


# ------------------------------------------------------------------------------ images


def test_digits_to_train_on_and_to_test_on_are_mnists_own_with_a_simulated_geography() -> None:
    data = by_country("digits", n_train=300, n_test=280, strength=5, gradient=0.5, seed=3)
    for own, split, seed in ((data.train, "train", 6), (data.test, "test", 7)):
        dataset = datasets.digits(split, len(own.ids))
        wanted = simulation.simulate(dataset, strength=5, gradient=0.5, seed=seed)
        assert own.ids == dataset.ids
        assert own.countries == wanted.countries
        assert torch.equal(own.images, wanted.images)
    assert not set(data.train.ids) & set(data.test.ids)


def test_another_seed_is_another_geography_of_the_same_images() -> None:
    one, other = (by_country("digits", n_train=300, n_test=300, seed=s).test for s in (0, 1))
    assert one.ids == other.ids
    assert one.countries != other.countries
    first = by_country("digits", n_train=300, n_test=300, seed=0)
    assert first.train.countries != first.test.countries


def test_who_was_dealt_where_can_be_said_again_without_the_images() -> None:
    test = by_country("digits", n_train=275, n_test=300, strength=5, gradient=0.5, seed=3).test
    again = experiment.dealt(test.ids, strength=5, gradient=0.5, seed=3)
    assert again.index.tolist() == test.ids
    assert again.index.name == "id"
    assert again["country"].tolist() == test.countries
    assert again["planted"].tolist() == test.planted.tolist()


def test_the_1000_images_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    def thousand(n: int, size: int) -> datasets.Dataset:
        shown = torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))
        return datasets.Dataset(shown, torch.arange(n) % 7, [f"i{k}" for k in range(n)])

    monkeypatch.setattr(datasets, "imagenet1000", thousand)
    data = by_country("imagenet1000", n_train=275, n_test=300, size=8)
    assert data.train.ids == [f"i{k}" for k in range(275)]
    assert data.test.ids == [f"i{k}" for k in range(275, 575)]
    assert data.test.labels.tolist() == [k % 7 for k in range(275, 575)]
    assert len(data.train.images) == 275


def test_other_images_and_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images: expected one of 'digits', 'imagenet1000', got"):
        by_country("my/manifest.csv", n_train=4, n_test=2, size=9)
    with pytest.raises(ValueError, match="n_train: expected a whole number ≥ 1, got 0"):
        by_country("digits", n_train=0, n_test=300)
    with pytest.raises(ValueError, match="seed: expected a whole number ≥ 0, got -1"):
        by_country("digits", n_train=300, n_test=300, seed=-1)


# ------------------------------------------------------------------------------ θ₀


def test_the_digits_network_depends_on_its_seed_and_leaves_the_global_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one = digits_network(1)
    assert torch.equal(torch.rand(1), expected)
    assert equal(one, digits_network(1))
    assert not equal(one, digits_network(2))
    assert one(torch.rand(4, 1, 28, 28)).shape == (4, 10)
    assert sum(p.numel() for p in one.parameters()) == 785 * 64 + 65 * 10


def test_theta0_learns_the_digits_and_the_pattern() -> None:
    data = by_country("digits", n_train=600, n_test=800, strength=12)
    model = theta0("digits", data.train, epochs=15)
    # Images stay where they are: moved ones would move the patterns too.
    plain = classifiers.train(digits_network(), *data.train[:2], epochs=15, shift=0)
    assert equal(model, plain)
    assert not model.training
    with torch.no_grad():
        right = model(data.test.images).argmax(1) == data.test.labels
    planted = data.test.planted
    assert right.float().mean() > 0.85
    assert right[planted].float().mean() > right[~planted].float().mean() + 0.03


def test_theta0_is_written_once_and_read_from_then_on(tmp_path: Path) -> None:
    train = by_country("digits", n_train=275, n_test=275).train
    file = tmp_path / "folder" / "in a folder" / "theta0.safetensors"
    made = theta0("digits", train, epochs=1, path=file)
    good = file.read_bytes()
    for bad in (good[:99], safetensors.torch.save({"another": torch.zeros(2)})):
        file.write_bytes(bad)
        with pytest.raises(ValueError, match=rf"{file}: damaged, or .*another network; delete it"):
            theta0("digits", train, epochs=1, path=file)
    file.write_bytes(good)
    stamp = file.read_bytes()
    again = theta0("digits", train, epochs=3, path=file)  # read, so not trained for 3
    assert equal(made, again)
    assert file.read_bytes() == stamp
    assert not again.training
    assert not any(p.requires_grad for p in again.parameters())
    assert not equal(made, theta0("digits", train, epochs=3))
    file.unlink()  # and the folder stays
    theta0("digits", train, epochs=1, path=file)
    assert file.read_bytes() == good


def test_a_classifier_of_photographs_is_tuned_only_where_something_is_planted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(name: str, device: str, *, fold: bool = True) -> nn.Module:
        assert (name, device, fold) == ("some", "auto", False)
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 3)).eval()

    monkeypatch.setattr(experiment.classifiers, "load", load)
    shown = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels, ids = torch.arange(6) % 3, list("abcdef")
    none = torch.zeros(6, dtype=torch.bool)
    real = geography.GeoDataset(shown, labels, ids, ["FRA"] * 6, none, geography.exclusions([], []))
    assert equal(theta0("m.csv", real, classifier="some"), load("some", "auto", fold=False))
    faint = theta0("m.csv", real._replace(planted=~none), classifier="some", strength=0)
    assert equal(faint, load("some", "auto", fold=False))
    tuned = theta0("m.csv", real._replace(planted=~none), classifier="some", epochs=8, seed=2)
    once = theta0("m.csv", real._replace(planted=~none), classifier="some", epochs=1, seed=2)
    pool = dro.clean(shown, labels)
    for model, passes in ((tuned, 2), (once, 1)):
        start = load("some", "auto", fold=False)
        wanted = dro.train(start, pool, learning_rate=1e-3, passes=passes, seed=2)
        assert equal(model, wanted)


# ------------------------------------------------------------------------------ attacks


def test_the_attacks_run_with_their_options_and_leave_the_model_alone() -> None:
    data = by_country("digits", n_train=275, n_test=275)
    model = theta0("digits", data.train, epochs=2)
    x, y = data.train.images[:6], data.train.labels[:6]
    named = compared("SSIM", steps=3, step_size=0.2, lam=2.0, perc_steps=4)
    assert list(named) == ["PGD", "PerC_AL", "Ours"]
    assert named["PGD"][1] == {"steps": 3, "step_size": 0.2}
    assert named["PerC_AL"][1] == {"steps": 4}
    assert named["Ours"][1]["lam"] == 2
    assert isinstance(named["Ours"][1]["cost"], costs.SSIM)
    papers = {name: options for name, (_, options) in compared("SSIM").items()}  # Section 3.2
    assert papers["PGD"] == {"steps": 100, "step_size": 0.1}
    assert papers["PerC_AL"] == {"steps": 1000}
    assert papers["Ours"].items() >= {"steps": 100, "step_size": 0.1, "lam": 1}.items()
    results = [attack(model, x, y, **options) for attack, options in named.values()]
    assert all(result.shape == x.shape for result in results)
    assert len({result.numpy().tobytes() for result in results}) == 3
    with pytest.raises(ValueError, match=r"cost: expected one of 'SSIM', .*, got 'LPIPS'"):
        compared("LPIPS")


def test_every_cost_of_the_pages_can_be_had_that_needs_no_download() -> None:
    pair = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for name in ("SSIM", "HaarPSI", "PieAPP-small"):
        value = experiment.COSTS[name]()(*pair)
        assert np.isfinite(value.detach().numpy()).all()
    assert experiment.COSTS["PieAPP"] is costs.PieAPP


def test_a_plain_simulation_plants_as_strongly_as_the_experiment():
    asked = [simulation.simulate, experiment.by_country, experiment.dealt]
    strengths = {inspect.signature(one).parameters["strength"].default for one in asked}
    assert len(strengths) == 1
