"""PieAPP-small as it ships: its size, its value against piq's network, and what it can order.

The photographs are foolbox's, none of which it was trained on.
"""

import json
from pathlib import Path

import pandas as pd
import piq
import pytest
import torch
from piq.pieapp import PieAPPModel
from torch import Tensor, nn

from humimp import attacks, classifiers, costs, datasets, defenses, pieapp, weights

RESULTS = Path(__file__).parents[1] / "results" / "pieapp_small"


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    return datasets.photographs(4, 128).images


@pytest.fixture(scope="module")
def small() -> costs.PieAPP:
    return costs.PieAPP("small")


def test_it_is_small_and_the_file_of_its_record():
    file = weights.path("pieapp_small")
    network = pieapp.from_state(weights.load("pieapp_small"))
    record = json.loads((RESULTS / "provenance.json").read_text())
    assert file.stat().st_size <= 4e6
    assert sum(value.numel() for value in network.parameters()) <= 2e6
    assert record["sha256"] == weights.sha256("pieapp_small")


def test_value_is_that_of_piqs_network(small, photographs):
    state = weights.load("pieapp_small")
    width = state["conv1.weight"].shape[0]
    model = type("Model", (PieAPPModel,), {"FEATURES": width})()
    for name in ("fc1_score", "fc2_score", "fc1_weight", "fc2_weight"):
        out, into = state[f"{name}.weight"].shape
        setattr(model, name, nn.Linear(into, out))
    model.load_state_dict(state)
    model.FEATURES = pieapp.PATCH  # the side of a patch, where piq reads it
    metric = piq.PieAPP.__new__(piq.PieAPP)
    nn.Module.__init__(metric)
    metric.model, metric.data_range, metric.stride = model.eval(), 1.0, 27
    metric.reduction, metric.enable_grad = "none", False
    noisy = defenses.jpeg(photographs, 20)
    torch.testing.assert_close(
        small(photographs, noisy), metric(noisy, photographs).flatten(), rtol=1e-4, atol=1e-5
    )


def test_zero_and_flat_at_the_reference_and_positive_elsewhere(small, photographs, monkeypatch):
    """By the network as it is defined; as a ground cost, nothing need be computed there."""
    network = pieapp.from_state(weights.load("pieapp_small"))
    images = photographs.clone().requires_grad_()
    for measure in (network, small):
        values = measure(photographs, images)
        (gradient,) = torch.autograd.grad(values.sum(), images)
        assert values.detach().eq(0).all()
        assert gradient.eq(0).all()
        monkeypatch.setattr(pieapp.Distance, "_late", lambda *_: pytest.fail("computed"))
    monkeypatch.undo()
    noise = torch.randn(photographs.shape, generator=torch.Generator().manual_seed(0))
    assert (small(photographs, (photographs + 0.002 * noise).clamp(0, 1)) > 0).all()


def test_more_of_a_distortion_costs_more(small, photographs):
    jpeg = [small(photographs, defenses.jpeg(photographs, q)) for q in (90, 50, 20, 5)]
    bits = [small(photographs, defenses.bit_depth(photographs, b)) for b in (6, 4, 3, 2)]
    for errors in (jpeg, bits):
        assert (torch.stack(errors).diff(dim=0) > 0).all()


def test_the_table_of_the_appendix_can_be_had_again(small):
    """One photograph's row of the committed table, computed by the shipped code."""
    rows = pd.read_parquet(RESULTS / "attacks.parquet")
    rows = rows[(rows["validate"] == "truncate") & (rows["confidence"] == 5.0)]
    row = rows[rows["lam"] == 1.0].iloc[0]
    data = datasets.photographs(1)
    assert data.ids[0] == row["id"]
    attacked = attacks.imperceptible(
        classifiers.load("mobilenet_v2"), data.images, data.labels,
        cost=small, confidence=5.0, lam=row["lam"],
    )  # fmt: skip
    assert float((attacked - data.images).norm()) == pytest.approx(row["l2"], rel=0.05)


def test_agreement_on_types_held_out_is_what_the_appendix_says():
    """The committed table follows from the committed errors."""
    records = pd.read_parquet(RESULTS / "agreement.parquet")
    table = pd.read_parquet(RESULTS / "comparison.parquet").set_index(["set", "measure"])
    held_out = records[records["held_out"]]
    correlation = [
        photo["small"].corr(photo["committee"], method="spearman")
        for _, photo in held_out.groupby("photograph")
    ]
    row = table.loc["held-out types", "small"]
    assert row["spearman"] == pytest.approx(sum(correlation) / len(correlation), abs=1e-9)
    chosen = json.loads((RESULTS / "photographs.json").read_text())
    assert set(records["photograph"]) == set(chosen["held_out"])
    assert not set(chosen["held_out"]) & {*chosen["training"], *chosen["watched"]}
