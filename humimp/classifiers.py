"""Classifiers: modules from images in [0, 1] to logits, with the normalisation inside."""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from humimp import checks, progress, weights
from humimp.efficientnet_lite import EfficientNetLite2

#: The ImageNet classifiers that `load` knows, and the side in pixels of the images that each was
#: made for; of ``resnet50_he2016`` the side in the paper, as it was made for 224.
SIZES = {"mobilenet_v2": 224, "efficientnet_lite2": 260, "resnet50": 224, "resnet50_he2016": 299}

#: What the same classifiers are called in a sentence.
TITLES = {
    "mobilenet_v2": "MobileNetV2",
    "efficientnet_lite2": "EfficientNet-Lite2",
    "resnet50": "ResNet-50",
    "resnet50_he2016": "ResNet-50 (He et al. 2016)",
}

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_NORMALISATION = {  # mean and standard deviation of each channel, where they are not ImageNet's
    "efficientnet_lite2": ((127 / 255,) * 3, (128 / 255,) * 3),
    "resnet50_he2016": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1.0,) * 3),  # RGB
}


class Normalized(nn.Module):
    """A network with its input normalisation, ``network((images - mean) / std)``.

    Parameters
    ----------
    network
        Takes normalised images (N, C, H, W), returns logits (N, K).
    mean, std
        One value per channel, for images in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        self.train(network.training)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W) in [0, 1]."""
        return self.network((images - self.mean) / self.std)


def load(name: str, device: str | torch.device | None = None, *, fold: bool = True) -> nn.Module:
    """Load an ImageNet classifier, ready to be attacked.

    Parameters
    ----------
    name
        ``"mobilenet_v2"`` and ``"resnet50"`` are torchvision's with its weights IMAGENET1K_V1, made
        for 224 × 224 pixels. ``"resnet50_he2016"`` is the network of He et al. (2016) itself, which
        takes the stride of a stage in its first 1 × 1 convolution instead of the 3 × 3.
        ``"efficientnet_lite2"`` is `humimp.efficientnet_lite`, made for 260 × 260 pixels.
    device
        Where to put it; the CPU by default, ``"auto"`` for a GPU when there is one.
    fold
        Whether its batch normalisations are folded into its convolutions, as `folded` does it. If
        the network is to be trained, say no: steps of folded weights lead elsewhere.

    Returns
    -------
    nn.Module
        From images (N, 3, H, W) in [0, 1] to logits (N, 1000); in evaluation mode, and no
        parameter requires a gradient. Its weights are laid out with the channels last, and ReLU6
        keeps no copy of its input. That and the folding make MobileNetV2 with its gradient 1.8
        times as fast on a CPU, EfficientNet-Lite2 1.6 times and ResNet-50 1.3 times.

    Raises
    ------
    ValueError
        Unknown name, or a checkpoint that is damaged.
    FileNotFoundError, ConnectionError
        The checkpoint is nowhere to be had; see `humimp.weights.path`.
    """
    checks.choice(name, "name", tuple(SIZES))
    state = weights.load(name)
    network = _NETWORKS[name]()
    if name == "efficientnet_lite2":  # the layers have other names there, in the same order
        state = dict(zip(network.state_dict(), state.values(), strict=True))
    missing, unexpected = network.load_state_dict(state, strict=False)
    missing = [key for key in missing if not key.endswith(".num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(
            f"The checkpoint of {name!r} does not fit: missing {missing}, unexpected {unexpected}"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model: nn.Module = Normalized(network, *_NORMALISATION.get(name, _IMAGENET))
    model = model.eval().requires_grad_(False)
    if fold:  # before it goes to a device, so that the weights are the same on each
        model = folded(model)
    for part, module in list(model.named_modules()):
        if isinstance(module, nn.ReLU6):
            model.set_submodule(part, _ReLU6(inplace=True).eval())
    return model.to(device or "cpu", memory_format=torch.channels_last)  # type: ignore[call-overload]


def folded(model: nn.Module) -> nn.Module:
    """Fold each batch normalisation into the convolution before it: the same function, faster.

    In evaluation mode a normalisation is y ↦ (y - μ) γ / σ + β with σ² = variance + ε. A
    convolution of kernel w and bias b does its work as well with the kernel w γ / σ and the bias
    (b - μ) γ / σ + β.

    Parameters
    ----------
    model
        A module in evaluation mode. It is copied, not changed.

    Returns
    -------
    nn.Module
        A copy in which ``nn.Identity`` stands in the place of each normalisation that takes what
        one convolution gives and nothing else takes. All parts keep their names, and all but those
        convolutions their outputs. New weights are computed in float64, by operations that every
        processor rounds alike, and then rounded to the old ones' dtype.

    Raises
    ------
    ValueError
        For a model in train mode, or one that `torch.fx` cannot read, such as one whose course
        depends on its input.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    checks.model(model)
    model = copy.deepcopy(model)
    try:
        steps = _Tracer().trace(model).nodes
    except Exception as error:  # whatever the model's own code makes of a symbol for its input
        raise ValueError(
            f"model: torch.fx cannot read {type(model).__name__}, so that nothing can be folded; "
            f"attack it as it is ({error})"
        ) from error
    parts = dict(model.named_modules())
    calls = {step: parts[step.target] for step in steps if step.op == "call_module"}
    times = Counter(step.target for step in calls)
    for step, norm in calls.items():
        if not (isinstance(norm, nn.BatchNorm2d) and norm.affine and norm.track_running_stats):
            continue
        before = step.all_input_nodes[0]
        convolution = calls.get(before)
        alone = len(before.users) == times[before.target] == times[step.target] == 1
        if isinstance(convolution, nn.Conv2d) and alone:
            _fold(norm, convolution)
            model.set_submodule(step.target, nn.Identity().eval())
    return model


class _Tracer(torch.fx.Tracer):
    """Reads in which order the parts of a network run, a convolution of any kind being one."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d | nn.ReLU6) or super().is_leaf_module(
            m, module_qualified_name
        )


def _fold(norm: nn.BatchNorm2d, convolution: nn.Conv2d) -> None:
    """Let a convolution do the work of the normalisation after it."""
    given = {name: value.double() for name, value in norm.state_dict().items()}
    scale = given["weight"] / (given["running_var"] + norm.eps).sqrt()
    old = convolution.weight
    weight = old.detach().double() * scale.view(-1, 1, 1, 1)
    bias = 0 if convolution.bias is None else convolution.bias.detach().double()
    bias = (bias - given["running_mean"]) * scale + given["bias"]
    convolution.weight = nn.Parameter(weight.to(old.dtype), old.requires_grad)
    convolution.bias = nn.Parameter(bias.to(old.dtype), old.requires_grad)


class _ReLU6(nn.ReLU6):
    """Works in place only where no gradient is to come: it would keep a copy of its input."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(input, inplace=not input.requires_grad)


def _resnet50_he2016() -> nn.Module:
    """Turn torchvision's ResNet-50 into the one of He et al. (2016) as Keras has it."""
    network = torchvision.models.resnet50(weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
    return network


_NETWORKS: dict[str, Callable[[], nn.Module]] = {  # with random weights
    "mobilenet_v2": partial(torchvision.models.mobilenet_v2, weights=None),
    "efficientnet_lite2": EfficientNetLite2,
    "resnet50": partial(torchvision.models.resnet50, weights=None),
    "resnet50_he2016": _resnet50_he2016,
}


def digits_cnn(seed: int = 0) -> nn.Module:
    """Build an untrained convolutional network for digits.

    Two convolutions of 5 × 5 with 16 and 32 channels, each with ReLU and 2 × 2 max-pooling, then
    64 hidden units; 114 thousand parameters.

    Parameters
    ----------
    seed
        Fixes the initial weights. The global random state is left alone.

    Returns
    -------
    nn.Module
        From images (N, 1, 28, 28) in [0, 1] to logits (N, 10), on the CPU.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int = 10,
    batch_size: int = 50,
    learning_rate: float = 3e-3,
    shift: int = 2,
    seed: int = 0,
) -> nn.Module:
    """Train a classifier with AdamW on cross-entropy, the rate going up and down in one cycle.

    Parameters
    ----------
    model
        From images to logits. It is copied, not changed; all its parameters are trained.
    images, labels
        (N, C, H, W) in [0, 1] and int64 (N,).
    epochs
        How often each image is seen.
    batch_size
        Images per step.
    learning_rate
        The greatest, reached after three tenths of the steps.
    shift
        Each image is moved by up to so many pixels each time it is seen, and what comes in at
        the border is 0. With 0 the images stay as they are.
    seed
        Fixes the order and the shifts. The same call on the same CPU with the same number of
        threads gives the same weights to the bit.

    Returns
    -------
    nn.Module
        The trained copy, on the model's device, in evaluation mode; no parameter requires a
        gradient any more.

    Raises
    ------
    ValueError
        For images, labels or options that are out of range, or a model that returns no logits.
    """
    checks.images(images)
    checks.labels(labels, images)
    epochs = checks.count(epochs, "epochs", low=1)
    batch_size = checks.count(batch_size, "batch_size", low=1)
    shift = checks.count(shift, "shift")
    checks.number(learning_rate, "learning_rate", above=0)
    model = copy.deepcopy(model).requires_grad_(True).train()
    device = next(model.parameters()).device
    images, labels = images.to(device), labels.to(device)
    padded = F.pad(images, (shift, shift, shift, shift))
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        learning_rate,
        epochs=epochs,
        steps_per_epoch=-(-len(images) // batch_size),
        cycle_momentum=False,
    )
    with torch.enable_grad(), progress.bar("training", epochs * len(images)) as bar:
        for _ in range(epochs):
            for chosen in torch.randperm(len(images), generator=generator).split(batch_size):
                moved = torch.randint(2 * shift + 1, (2, len(chosen)), generator=generator)
                logits = model(_windows(padded, chosen, moved, images.shape[-2:]))
                checks.logits(logits, labels[chosen.to(device)])
                loss = F.cross_entropy(logits, labels[chosen.to(device)])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update(len(chosen))
    return model.eval().requires_grad_(False)


def _windows(padded: Tensor, chosen: Tensor, corners: Tensor, size: torch.Size) -> Tensor:
    """Cut a window of the given size out of each chosen image, at its own corner.

    ``chosen`` holds indices (M,), ``corners`` the rows and columns (2, M) of the corners.
    """
    rows = corners[0, :, None] + torch.arange(size[0])
    columns = corners[1, :, None] + torch.arange(size[1])
    last = padded.permute(0, 2, 3, 1)
    return last[chosen[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def predict(model: Callable[[Tensor], Tensor], images: Tensor, batch_size: int = 32) -> Tensor:
    """Predict the classes of images.

    Parameters
    ----------
    model
        From images to logits; a module must be in evaluation mode.
    images
        (N, C, H, W) in [0, 1]. Batches go to the model's device if it is a module.
    batch_size
        Images per call of the model.

    Returns
    -------
    Tensor
        int64 (N,), on the images' device.

    Raises
    ------
    ValueError
        For bad images, a model in train mode, or a model that returns no logits.
    """
    return _predict(model, images, None, batch_size)


def _predict(
    model: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor | None, batch_size: int
) -> Tensor:
    """Predict classes; labels, if there are any, must be among the model's."""
    checks.images(images)
    checks.model(model)
    batch_size = checks.count(batch_size, "batch_size", low=1)
    first = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    device = images.device if first is None else first.device
    known = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
    predicted = []
    with torch.no_grad():
        for batch, own in zip(images.split(batch_size), known.split(batch_size), strict=True):
            logits = model(batch.to(device))
            checks.logits(logits, own)
            predicted.append(logits.argmax(1).to(images.device))
    return torch.cat(predicted)


def accuracy(
    model: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, batch_size: int = 32
) -> float:
    """Share of images, from 0 to 1, whose predicted class is the label; arguments as `predict`."""
    checks.images(images)
    checks.labels(labels, images)
    predicted = _predict(model, images, labels, batch_size)
    return float((predicted == labels.to(images.device)).float().mean())
