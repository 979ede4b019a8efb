"""Classifiers: accuracy on real images, normalisation inside, and training to the bit."""

import math
import os

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from humimp import classifiers, datasets, features, weights

HAS_REFERENCE = bool(os.environ.get(weights.VARIABLE)) and bool(os.environ.get(datasets.VARIABLE))


def linear(seed: int = 0) -> nn.Module:
    """Return a linear classifier of 2 × 2 images into three classes, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()


# --- ImageNet ---


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_lite2"])
def test_nine_in_ten_photographs_are_known(name):
    model = classifiers.load(name)
    images, labels, _ = datasets.photographs(20, classifiers.SIZES[name])
    assert classifiers.accuracy(model, images, labels, 5) == pytest.approx(0.9)
    assert not any(part.training for part in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert {value.device.type for value in model.state_dict().values()} == {"cpu"}


def test_auto_is_a_gpu_when_there_is_one():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    model = classifiers.load("mobilenet_v2", "auto")
    assert next(model.parameters()).device.type == expected
    assert model.mean.device.type == expected


@pytest.mark.skipif(
    not HAS_REFERENCE,
    reason=f"{weights.VARIABLE} and {datasets.VARIABLE} name no folders with resnet50_he2016",
)
def test_the_resnet_of_2016_knows_the_thousand_images():
    model = classifiers.load("resnet50_he2016")
    images, labels, _ = datasets.imagenet1000(16)
    assert classifiers.accuracy(model, images, labels, 4) >= 14 / 16


def test_the_resnet_of_2016_strides_first_and_subtracts_the_mean_alone(monkeypatch):
    state = torchvision.models.resnet50(weights=None).state_dict()
    state = {key: value for key, value in state.items() if "num_batches" not in key}
    monkeypatch.setattr(weights, "load", lambda name: state)
    model = classifiers.load("resnet50_he2016", fold=False)
    network = model.network
    for stage, stride in (("layer1", 1), ("layer2", 2), ("layer3", 2), ("layer4", 2)):
        blocks = network.get_submodule(stage)
        assert blocks[0].conv1.stride == blocks[0].downsample[0].stride == (stride, stride)
        strides = {block.conv2.stride for block in blocks} | {b.conv1.stride for b in blocks[1:]}
        assert strides == {(1, 1)}
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) == 53
    assert {norm.eps for norm in norms} == {1e-3}
    mean = torch.tensor([123.68, 116.779, 103.939])
    torch.testing.assert_close(model.mean.flatten() * 255, mean)
    assert model.std.flatten().tolist() == [1, 1, 1]


def test_efficientnet_is_fed_from_minus_one_to_one():
    model = classifiers.load("efficientnet_lite2")
    images = torch.tensor([0.0, 127, 255]).view(3, 1, 1, 1) / 255
    got = (images - model.mean) / model.std
    expected = (torch.tensor([-127.0, 0, 128]) / 128).view(3, 1, 1, 1).expand(3, 3, 1, 1)
    torch.testing.assert_close(got, expected)


def test_a_checkpoint_of_another_network_does_not_fit(monkeypatch):
    other = torchvision.models.resnet18(weights=None).state_dict()
    del other["fc.bias"]
    monkeypatch.setattr(weights, "load", lambda name: other)
    with pytest.raises((ValueError, RuntimeError), match=r"does not fit|size mismatch"):
        classifiers.load("resnet50")
    state = torchvision.models.mobilenet_v2(weights=None).state_dict()
    del state["classifier.1.bias"]
    monkeypatch.setattr(weights, "load", lambda name: state | {"more": torch.ones(1)})
    with pytest.raises(ValueError, match=r"missing \['classifier.1.bias'\], unexpected \['more'\]"):
        classifiers.load("mobilenet_v2")


def test_unknown_classifiers_list_the_known_ones():
    with pytest.raises(ValueError, match="one of 'mobilenet_v2', 'efficientnet_lite2', 'resn"):
        classifiers.load("vgg16")


def test_normalized_is_the_network_after_the_formula():
    images = torch.rand(2, 3, 4, 5)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    got = classifiers.Normalized(nn.Identity(), mean, std).eval()(images)
    for channel in range(3):
        expected = (images[:, channel] - mean[channel]) / std[channel]
        torch.testing.assert_close(got[:, channel], expected)


def test_normalized_takes_over_the_mode_and_adds_no_parameters():
    assert not classifiers.Normalized(nn.Dropout().eval(), (0.0,), (1.0,)).training
    wrapped = classifiers.Normalized(linear(), (0.0,), (1.0,))
    assert set(wrapped.state_dict()) == {"network.1.weight", "network.1.bias"}
    assert wrapped.double().mean.dtype == torch.float64


# --- normalisations folded into convolutions ---


def random_statistics(network: nn.Module) -> nn.Module:
    """Give each normalisation of a network other numbers than 0 and 1; in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data.uniform_(0.5, 1.5, generator=generator)
            part.bias.data.normal_(0, 0.1, generator=generator)
            part.running_mean.normal_(0, 0.1, generator=generator)
            part.running_var.uniform_(0.3, 1.2, generator=generator)
    return network.eval()


def normalisations(model: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in model.modules())


@pytest.mark.parametrize("name", classifiers.SIZES)
def test_folded_networks_are_the_same_function_with_the_same_gradient(name, monkeypatch):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = random_statistics(classifiers._NETWORKS[name]())
    state = network.state_dict()
    monkeypatch.setattr(weights, "load", lambda name: state)
    plain, fast = classifiers.load(name, fold=False), classifiers.load(name)
    assert normalisations(plain) > 50
    assert normalisations(fast) == 0
    assert [*dict(plain.named_modules())] == [*dict(fast.named_modules())]
    assert not any(part.training for part in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    images = torch.rand(2, 3, 33, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, wanted = fast(images), plain(images)
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-5 * float(wanted.std()))

    plain, images = plain.double(), images.double().requires_grad_()
    fast = classifiers.folded(plain)
    logits, wanted = fast(images), plain(images)
    spread = float(wanted.detach().std())
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-10 * spread)
    (gradient,) = torch.autograd.grad(logits[:, 7].sum(), images)
    (expected,) = torch.autograd.grad(wanted[:, 7].sum(), images)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-10 * float(expected.std()))


class Awkward(nn.Module):
    """Two normalisations that can be folded, and more that cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.grouped = nn.Conv2d(4, 4, 3, groups=2, padding=1, padding_mode="reflect")
        self.after = nn.BatchNorm2d(4)
        self.twice = nn.Conv2d(4, 4, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(2))
        self.branching, self.one = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.rectified, self.late = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.any, self.shared, self.other = (
            nn.Conv2d(4, 4, 1),
            nn.BatchNorm2d(4),
            nn.Conv2d(4, 4, 1),
        )
        self.first = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.after(self.grouped(self.plain(self.first(x))))
        x = self.norms[1](self.twice(self.norms[0](self.twice(x))))
        y = self.branching(x)
        x = self.late(self.rectified(self.one(y)).relu()) + y
        return self.shared(self.other(self.shared(self.any(x)))).flatten(1)


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_lite2"])
def test_relu6_works_in_place_only_without_a_gradient(name):
    model = classifiers.load(name, fold=False)
    activations = [part for part in model.modules() if isinstance(part, nn.ReLU6)]
    assert len(activations) > 30
    x = torch.linspace(-3, 9, 13)
    expected = nn.ReLU6()(x)
    for part in activations:
        given = x.clone()
        assert part(given).data_ptr() == given.data_ptr()
        given = x.clone().requires_grad_() * 1
        assert torch.equal(part(given), expected)
        assert torch.equal(given, x)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(classifiers.folded(model)(images), classifiers.load(name)(images))


def test_only_what_one_convolution_gives_to_one_normalisation_is_folded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = random_statistics(Awkward()).double()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fast = classifiers.folded(model)
    gone = [name for name, part in fast.named_modules() if isinstance(part, nn.Identity)]
    assert gone == ["plain.1", "after"]
    images = torch.rand(3, 3, 8, 9, dtype=torch.float64)
    torch.testing.assert_close(fast(images), model(images), rtol=0, atol=1e-12)
    assert normalisations(model) == 8  # and the model given is as it was
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    frozen = classifiers.folded(model.requires_grad_(False).float())
    assert {(value.dtype, value.requires_grad) for value in frozen.parameters()} == {
        (torch.float32, False)
    }
    assert all(value.requires_grad for value in fast.parameters())


@pytest.mark.parametrize("options", [{"affine": False}, {"track_running_stats": False}])
def test_other_kinds_of_normalisation_stay(options):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, **options)).eval()
    assert normalisations(classifiers.folded(model)) == 1


def test_features_are_those_of_the_network_that_is_not_folded():
    images = datasets.photographs(2, 64).images.double()
    plain = classifiers.load("mobilenet_v2", fold=False).double()
    wanted = features.of(plain)(images)
    found = features.of(classifiers.folded(plain))(images)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)


class Wavering(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


def test_what_cannot_be_folded_is_refused():
    with pytest.raises(ValueError, match=r"train mode.*call model\.eval"):
        classifiers.folded(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    with pytest.raises(ValueError, match=r"expected a torch\.nn\.Module, got function"):
        classifiers.folded(lambda x: x)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"cannot read Wavering.*attack it as it is"):
        classifiers.folded(Wavering().eval())


# --- predictions ---


@given(size=st.integers(1, 9), n=st.integers(1, 8))
def test_predictions_do_not_depend_on_the_batches(size, n):
    images = torch.rand(n, 1, 2, 2, generator=torch.Generator().manual_seed(n))
    model = linear()
    predicted = classifiers.predict(model, images, size)
    assert predicted.dtype == torch.int64
    assert predicted.tolist() == [int(model(image[None]).argmax()) for image in images]
    assert classifiers.accuracy(model, images, predicted, size) == 1
    wrong = (predicted + 1) % 3
    half = torch.where(torch.arange(n) % 2 == 0, predicted, wrong)
    assert classifiers.accuracy(model, images, half) == pytest.approx(((n + 1) // 2) / n)


def test_plain_callables_are_models_too():
    images = torch.rand(3, 1, 2, 2)
    expected = images.flatten(1).argmax(1)
    assert torch.equal(classifiers.predict(lambda x: x.flatten(1) - 0.5, images), expected)


def test_bad_models_and_images():
    images = torch.rand(2, 1, 2, 2)
    with pytest.raises(ValueError, match=r"train mode.*call model\.eval"):
        classifiers.predict(linear().train(), images)
    with pytest.raises(ValueError, match="pass logits"):
        classifiers.predict(nn.Sequential(linear(), nn.Softmax(1)).eval(), images)
    with pytest.raises(ValueError, match="NaN or infinite"):
        classifiers.predict(lambda x: x.flatten(1) / 0, images)
    with pytest.raises(ValueError, match="divide by 255"):
        classifiers.predict(linear(), images * 255)
    with pytest.raises(ValueError, match=r"batch_size: expected a whole number . 1, got 0"):
        classifiers.predict(linear(), images, 0)
    with pytest.raises(ValueError, match="labels: expected one for each of the 2 images"):
        classifiers.accuracy(linear(), images, torch.zeros(3, dtype=torch.int64))


# --- training ---


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_the_digits_network_learns_in_one_go():
    """Three times through the digits; the book takes ten, for the 97 % and more that it needs."""
    train, test = datasets.digits("train"), datasets.digits("test")
    untrained = classifiers.digits_cnn()
    model = classifiers.train(untrained, train.images, train.labels, epochs=3)
    assert classifiers.accuracy(model, test.images, test.labels, 200) >= 0.97
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert same(untrained, classifiers.digits_cnn())  # it was copied
    assert untrained.training


def test_training_is_the_same_to_the_bit_and_leaves_the_global_state_alone():
    images, labels, _ = datasets.digits("train", 130)
    runs = []
    state = torch.get_rng_state()
    for seed in (0, 0, 1):
        torch.rand(1)  # whatever happened before
        state = torch.get_rng_state()
        model = classifiers.train(classifiers.digits_cnn(), images, labels, epochs=2, seed=seed)
        runs.append(model)
        assert torch.equal(torch.get_rng_state(), state)
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])
    assert same(classifiers.digits_cnn(3), classifiers.digits_cnn(3))
    assert not same(classifiers.digits_cnn(3), classifiers.digits_cnn(4))


def test_numpy_s_numbers_are_the_plain_ones():
    images, labels = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 2])
    two, no = np.int64(2), np.int64(0)
    plain = classifiers.train(linear(), images, labels, epochs=2, batch_size=2, shift=0)
    trained = classifiers.train(linear(), images, labels, epochs=two, batch_size=two, shift=no)
    assert same(plain, trained)
    predicted = classifiers.predict(plain, images, np.int64(2))
    assert torch.equal(predicted, classifiers.predict(plain, images))


def test_training_is_adamw_with_one_cycle():
    """Ten steps on all images, unshifted, against the updates written out."""
    images, labels = torch.rand(6, 1, 2, 2).double(), torch.tensor([0, 1, 2, 0, 1, 2])
    model = linear().double()
    peak, steps = 0.03, 10
    trained = classifiers.train(
        model, images, labels, epochs=steps, batch_size=6, learning_rate=peak, shift=0
    )
    values = [parameter.detach().clone() for parameter in model.parameters()]
    means = [torch.zeros_like(value) for value in values]
    squares = [torch.zeros_like(value) for value in values]
    for t in range(1, steps + 1):
        # from peak/25 up to the peak at the third step, then down to almost nothing
        low, high, share = (
            (peak / 25, peak, (t - 1) / 2) if t <= 3 else (peak / 25e4, peak, (10 - t) / 7)
        )
        rate = low + (high - low) * (1 - math.cos(math.pi * share)) / 2
        leaves = [value.clone().requires_grad_() for value in values]
        loss = nn.functional.cross_entropy(images.flatten(1) @ leaves[0].T + leaves[1], labels)
        for k, slope in enumerate(torch.autograd.grad(loss, leaves)):
            means[k] = 0.9 * means[k] + 0.1 * slope
            squares[k] = 0.999 * squares[k] + 0.001 * slope**2
            step = (means[k] / (1 - 0.9**t)) / ((squares[k] / (1 - 0.999**t)).sqrt() + 1e-8)
            values[k] = values[k] * (1 - rate * 0.01) - rate * step
    for value, parameter in zip(values, trained.parameters(), strict=True):
        torch.testing.assert_close(parameter.detach(), value, atol=1e-9, rtol=0)


@given(shift=st.integers(0, 3), seed=st.integers(0, 99))
def test_windows_are_shifts_with_zeros(shift, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(4, 3, 5, 6, generator=generator)
    chosen = torch.tensor([2, 0, 2])
    corners = torch.randint(2 * shift + 1, (2, 3), generator=generator)
    padded = nn.functional.pad(images, (shift,) * 4)
    got = classifiers._windows(padded, chosen, corners, torch.Size((5, 6)))
    for k in range(3):
        down, right = (int(c) - shift for c in corners[:, k])
        for i in range(5):
            for j in range(6):
                inside = 0 <= i + down < 5 and 0 <= j + right < 6
                expected = images[chosen[k], :, i + down, j + right] if inside else torch.zeros(3)
                assert torch.equal(got[k, :, i, j], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs: expected a whole number . 1, got 0"),
        ({"batch_size": 2.5}, r"batch_size: expected a whole number . 1, got 2\.5"),
        ({"learning_rate": 0}, "learning_rate: expected a finite number above 0, got 0"),
        ({"shift": -1}, "shift: expected a whole number . 0, got -1"),
    ],
)
def test_bad_options(options, message):
    images, labels = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 2])
    with pytest.raises(ValueError, match=message):
        classifiers.train(linear(), images, labels, **options)


def test_labels_that_the_model_lacks():
    images: Tensor = torch.rand(2, 1, 2, 2)
    with pytest.raises(ValueError, match="labels below 3, the number of the model's classes, got"):
        classifiers.train(linear(), images, torch.tensor([0, 3]))


def test_accuracy_knows_no_labels_that_the_model_lacks():
    images: Tensor = torch.rand(2, 1, 2, 2)
    assert classifiers.accuracy(linear(), images, classifiers.predict(linear(), images)) == 1
    with pytest.raises(ValueError, match="labels below 3, the number of the model's classes, got"):
        classifiers.accuracy(linear(), images, torch.tensor([0, 3]), batch_size=1)
