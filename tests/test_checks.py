"""Bad input: each mistake gets an error that names it and says what to do."""

import math

import pytest
import torch
from torch import nn

from humimp import checks

GOOD = torch.rand(2, 3, 4, 4)


@pytest.mark.parametrize(
    ("images", "match"),
    [
        ([[0.5]], r"faces: expected a torch.Tensor, got list; .*load"),
        (GOOD.numpy(), r"got numpy.ndarray; .*from_numpy"),
        (GOOD[0], r"expected shape \(N, C, H, W\), got \(3, 4, 4\); add the batch dimension"),
        (GOOD[:0], r"N ≥ 1 .*got \(0, 3, 4, 4\)"),
        (
            GOOD.permute(0, 2, 3, 1),
            r"got \(2, 4, 4, 3\); the channels seem to come last: .*permute",
        ),
        (GOOD[:, :2], r"C = 1 or 3, got \(2, 2, 4, 4\)"),
        (GOOD.half(), r"expected float32 or float64, got float16; convert with .float\(\)"),
        ((GOOD * 255).byte(), r"got uint8; convert with humimp.images.from_uint8"),
        ((GOOD - 0.45) / 0.1, "undo the normalisation"),
        (GOOD * 255, r"expected values in \[0, 1\], got values from .* to .*; divide by 255"),
        (GOOD - 0.9, r"undo the normalisation"),
        (GOOD * 0 + 1.0001, r"got values from 1.0001 to 1.0001; clamp"),
        (torch.where(GOOD > 2, GOOD, math.nan), r"NaN or infinite ones in image 0, 1 of the batch"),
        (torch.full((9, 1, 2, 2), math.inf), r"in image 0, 1, 2, 3, 4 and 4 more of the batch"),
    ],
)
def test_bad_images_are_named(images, match):
    with pytest.raises(ValueError, match=match) as error:
        checks.images(images, "faces")
    assert str(error.value).startswith("faces: ")


def test_one_bad_value_is_found():
    images = GOOD.clone()
    images[1, 2, 3, 3] = math.nan
    with pytest.raises(ValueError, match="in image 1 of the batch"):
        checks.images(images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_good_images_pass(dtype, channels):
    images = torch.rand(1, channels, 2, 5, dtype=dtype)
    images[0, 0, 0, 0], images[0, 0, 1, 1] = 0, 1
    checks.images(images)
    checks.images(images.requires_grad_())


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([1, 2], r"labels: expected a torch.Tensor, got list; use torch.tensor"),
        (torch.tensor([1.0, 2.0]), r"expected int64, got float32; convert with .long"),
        (torch.tensor([1, 2], dtype=torch.int32), r"expected int64, got int32"),
        (torch.tensor([1]), r"each of the 2 images, shape \(2,\), got shape \(1,\)"),
        (torch.tensor([[1], [2]]), r"got shape \(2, 1\)"),
        (torch.tensor([1, -1]), r"expected 0 or more, got -1"),
        (torch.tensor([1, 10]), r"expected labels below 10, the number of classes, got 10"),
    ],
)
def test_bad_labels_are_named(labels, match):
    with pytest.raises(ValueError, match=match):
        checks.labels(labels, GOOD, classes=10)


def test_good_labels_pass():
    checks.labels(torch.tensor([0, 9]), GOOD, classes=10)
    checks.labels(torch.tensor([0, 10**6]), GOOD)


def test_a_model_in_train_mode_is_refused():
    network = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Dropout()))
    with pytest.raises(ValueError, match=r"model: it is in train mode.*call model.eval\(\)"):
        checks.model(network)
    network.eval()
    checks.model(network)
    network[1][0].train()
    with pytest.raises(ValueError, match=r"its part '1.0' is in train mode"):
        checks.model(network)


def test_a_model_may_be_any_callable():
    checks.model(lambda images: images.flatten(1))
    with pytest.raises(ValueError, match="expected a module or a callable, got str"):
        checks.model("mobilenet_v2")


@pytest.mark.parametrize(
    ("logits", "match"),
    [
        ((torch.randn(2, 5),), r"expected it to return a torch.Tensor of logits, got tuple"),
        (torch.randn(2), r"shape \(N, K\) with N = 2 images and K ≥ 2 classes, got \(2,\)"),
        (torch.randn(3, 5), r"got \(3, 5\)"),
        (torch.randn(2, 1), r"got \(2, 1\)"),
        (torch.zeros(2, 5, dtype=torch.int64), r"floating-point logits, got int64; .*argmax"),
        (torch.tensor([[0.0, 1.0], [math.nan, 1.0]]), r"NaN or infinite logits for image 1 of"),
        (torch.randn(2, 5).softmax(1), r"model: it seems to return probabilities .*pass logits"),
        (torch.randn(2, 2) - 5, r"labels: expected labels below 2, .*got 2"),
    ],
)
def test_bad_logits_are_named(logits, match):
    with pytest.raises(ValueError, match=match):
        checks.logits(logits, torch.tensor([0, 2]))


def test_good_logits_pass():
    labels = torch.tensor([0, 1])
    checks.logits(torch.tensor([[1.0, -2.0], [0.5, 0.4]]), labels)
    checks.logits(torch.randn(2, 5).log_softmax(1), labels)
    checks.logits(torch.tensor([[0.5, 0.5], [0.5, 0.6]]), labels)


def test_costs():
    checks.cost(torch.rand(3), 3)
    with pytest.raises(
        ValueError, match=r"cost: expected one value per image, shape \(3,\), got \(\)"
    ):
        checks.cost(torch.rand(3).mean(), 3)
    with pytest.raises(ValueError, match="cost: NaN"):
        checks.cost(torch.tensor([0, math.nan]), 2)


def test_gradients():
    checks.gradient(torch.zeros(2, 3), "the cost")
    with pytest.raises(ValueError, match="the gradient of the cost is NaN or infinite"):
        checks.gradient(torch.tensor([0, math.inf]), "the cost")


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, True, -0.1])
def test_numbers(value):
    with pytest.raises(ValueError, match=r"lam: expected a finite number ≥ 0, got"):
        checks.number(value, "lam", low=0)
    checks.number(0, "lam", low=0)
    with pytest.raises(ValueError, match=r"step_size: expected a finite number above 0, got 0"):
        checks.number(0, "step_size", above=0)
    with pytest.raises(ValueError, match=r"a: expected a finite number, got nan"):
        checks.number(math.nan, "a")


@pytest.mark.parametrize("value", [1.5, "3", None, False, -1])
def test_counts(value):
    with pytest.raises(ValueError, match="steps: expected a whole number ≥ 0, got"):
        checks.count(value, "steps")
    checks.count(3, "bits", low=1, high=3)
    with pytest.raises(ValueError, match="bits: expected a whole number from 1 to 8, got 9"):
        checks.count(9, "bits", low=1, high=8)


def test_choices():
    checks.choice("round", "validate", ("truncate", "round"))
    with pytest.raises(
        ValueError, match="validate: expected one of 'truncate', 'round', got 'floor'"
    ):
        checks.choice("floor", "validate", ("truncate", "round"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_one_value_that_is_not_finite_is_found_in_any_order_of_memory(value, order):
    values = torch.rand(2, 3, 5, 4).contiguous(memory_format=order)
    assert checks.finite(values)
    values[1, 2, 3, 1] = value
    assert not checks.finite(values)
