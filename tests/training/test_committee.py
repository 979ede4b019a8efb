import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from training import committee, distortions

QUANTILES = hnp.arrays(np.float64, (5, len(committee.MEMBERS)), elements=st.floats(0, 1))


def test_weights_follow_from_the_published_correlations():
    weight = dict(zip(committee.MEMBERS, committee.weights(), strict=True))
    assert sum(weight.values()) == pytest.approx(1)
    assert weight["MDSI"] / weight["MS-SSIM"] == pytest.approx(
        (0.89 / (1 - 0.89**2)) / (0.80 / (1 - 0.80**2))
    )
    assert min(weight, key=weight.get) == "LPIPS"


@given(QUANTILES, QUANTILES)
def test_preferences_for_a_and_for_b_add_up_to_one(a, b):
    np.testing.assert_allclose(committee.preference(a, b) + committee.preference(b, a), 1)


def test_the_smaller_error_is_preferred():
    low, high = np.full(len(committee.MEMBERS), 0.3), np.full(len(committee.MEMBERS), 0.35)
    assert committee.preference(low, high) == pytest.approx(1 / (1 + np.exp(-1)))
    assert committee.preference(low, low) == pytest.approx(0.5)


def test_scale_gives_quantiles():
    values = np.random.default_rng(0).random((20_000, 3)) * [1, 10, 100]
    scale = committee.Scale.fit(values)
    np.testing.assert_allclose(scale(np.array([0.25, 5.0, 90.0])), [0.25, 0.5, 0.9], atol=0.02)
    assert scale(np.array([[-1.0, 11, 200]])).tolist() == [[0, 1, 1]]


def test_split_is_disjoint_and_leaves_out_what_the_book_shows():
    ids = [f"{number:04d}" for number in range(40)] + sorted(committee.EXCLUDED)
    training, held_out = committee.split(ids, 31, 10, seed=0)
    assert not set(training) & set(held_out)
    assert set(training) | set(held_out) == set(ids) - committee.EXCLUDED
    assert committee.split(ids[::-1], 31, 10, seed=0) == (training, held_out)
    with pytest.raises(ValueError, match="40 \\+ 10 photographs are asked for; there are 41"):
        committee.split(ids, 40, 10, seed=0)


def test_generator_depends_on_every_word_and_on_nothing_else():
    seed = int.from_bytes(hashlib.sha256(b"0/a").digest()[:8], "little")
    wanted = np.random.default_rng(seed).integers(1000, size=5).tolist()
    assert committee.generator(0, "a").integers(1000, size=5).tolist() == wanted
    assert committee.generator(0, "b").integers(1000, size=5).tolist() != wanted


def test_plan_covers_what_it_should():
    rng = np.random.default_rng(0)
    seen = committee.plan(held_out=False, rng=rng)
    assert len(seen) == 2 * committee.TYPES + committee.MIXTURES
    used = {part for name, _ in seen for part in name.split("+")}
    assert used <= distortions.TRAINING.keys()
    unseen = [name for name, _ in committee.plan(held_out=True, rng=rng)]
    assert all(unseen.count(name) == 4 for name in distortions.HELD_OUT)


def test_score_gives_a_column_for_each_metric_and_finds_nan():
    members = {
        "first": lambda x, y: (y - x).abs().amax((1, 2, 3)),
        "second": lambda x, y: (y - x).mean((1, 2, 3)),
    }
    reference = np.zeros((4, 4, 3), np.uint8)
    distorted = np.stack([reference, reference + np.uint8(51)])
    values = committee.score(members, reference, distorted)
    np.testing.assert_allclose(values, [[0, 0], [0.2, 0.2]], rtol=1e-6)
    with pytest.raises(ValueError, match="returned NaN or infinity"):
        committee.score({"bad": lambda x, y: torch.full((2,), torch.nan)}, reference, distorted)


def test_a_photograph_comes_back_from_its_file(tmp_path):
    rng = np.random.default_rng(0)
    photo = committee.Photograph(
        rng.integers(0, 256, (96, 96, 3), dtype=np.uint8),
        rng.integers(0, 256, (2, 96, 96, 3), dtype=np.uint8),
        ["jpeg", "a+b"],
        np.array([0.1, 0.2], np.float32),
        rng.random((2, 8), dtype=np.float32),
    )
    committee.save(tmp_path / "train_x.npz", photo)
    again = committee.load(tmp_path / "train_x.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["train_x.npz"]
    for one, two in zip(photo, again, strict=True):
        np.testing.assert_array_equal(one, two)
