"""The features that NPTM compares images by: activations of a network, normalised place by place.

Laidlaw, Singla and Feizi (2021) define the distance of two images as d(x, x′) = ‖φ(x) − φ(x′)‖₂,
an LPIPS distance without learned weights. With ŷ_l the activations of layer l scaled to unit length
over the channels at each of its h_l · w_l places, φ(x) lists ŷ_l / √(h_l w_l) for all layers.
`alexnet` gives the φ of their externally bounded attacks, `of` that of their self-bounded ones.

=============  =====================================================  =====================
network        layers, by torchvision's names                         chosen by
=============  =====================================================  =====================
AlexNet        ``features`` 1, 4, 7, 9, 11, the outputs of its ReLUs  the paper
ResNet         ``layer1`` to ``layer4``, the outputs of the stages    the paper
MobileNetV2    ``features`` 1, 3, 6, 13, 18, the last of each size    us, after the ResNet's
EfficientNet-  ``features`` 1, 4, 7, 15, 22, the last of each size    us, likewise
Lite2
anything else  must be named                                          the caller
=============  =====================================================  =====================
"""

import threading
from collections.abc import Sequence
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from humimp import checks, weights
from humimp.efficientnet_lite import EfficientNetLite2

_ALEXNET = ("features.1", "features.4", "features.7", "features.9", "features.11")
_LAYERS: dict[type[nn.Module], tuple[str, ...]] = {
    torchvision.models.AlexNet: _ALEXNET,
    torchvision.models.ResNet: ("layer1", "layer2", "layer3", "layer4"),
    torchvision.models.MobileNetV2: (
        "features.1", "features.3", "features.6", "features.13", "features.18",
    ),
    EfficientNetLite2: ("features.1", "features.4", "features.7", "features.15", "features.22"),
}  # fmt: skip
_EPSILON = 1e-10  # added to each length, as in the authors' code


class Features(nn.Module):
    """φ: images → one vector each, whose Euclidean distance is NPTM's.

    Call it with images (N, C, H, W); it returns (N, D), differentiable in the images. Values
    outside [0, 1] are not refused: the attacks look a little beyond.

    Parameters
    ----------
    network
        A module in evaluation mode that takes the images, with its normalisation inside. It is
        neither copied nor changed.
    layers
        Names of its parts, as in ``network.named_modules()``, whose outputs (N, C, ...) are taken.
    name
        What to call it.

    Raises
    ------
    ValueError
        For a network in train mode, or layers that it lacks; when called, for a layer that did not
        run exactly once or did not return a tensor of channels.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str], name: str) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise ValueError(f"model: expected a torch.nn.Module, got {type(network).__name__}")
        checks.model(network)
        layers = (layers,) if isinstance(layers, str) else tuple(layers)
        known = [part for part, _ in network.named_modules() if part]
        unknown = [layer for layer in layers if layer not in known]
        if unknown or not layers or len(set(layers)) < len(layers):
            given = f"unknown {', '.join(map(repr, unknown))}" if unknown else f"got {layers!r}"
            raise ValueError(
                f"layers: expected different names of the network's parts, {given}; "
                f"it has {', '.join(known) or 'none'}"
            )
        self.network, self.layers, self.name = network, layers, name
        self.eval()

    def __repr__(self) -> str:
        return f"Features({self.name}: {', '.join(self.layers)})"

    def forward(self, images: Tensor) -> Tensor:
        """Return φ, shape (N, D)."""
        found: dict[str, list[Any]] = {layer: [] for layer in self.layers}
        thread = threading.get_ident()  # another one may be using the same network

        def keep(layer: str) -> Any:
            def hook(module: nn.Module, given: Any, output: Any) -> None:
                if threading.get_ident() == thread:
                    # cloned, because the next part of the network may work in place
                    found[layer].append(output.clone() if isinstance(output, Tensor) else output)

            return hook

        parts = dict(self.network.named_modules())
        handles = [parts[layer].register_forward_hook(keep(layer)) for layer in self.layers]
        try:
            self.network(images)
        finally:
            for handle in handles:
                handle.remove()
        for layer, outputs in found.items():
            if len(outputs) != 1 or not isinstance(outputs[0], Tensor) or outputs[0].ndim < 2:
                raise ValueError(
                    f"layers: expected {layer!r} to run once and return a tensor (N, C, ...), but "
                    f"it ran {len(outputs)} times and returned "
                    f"{[getattr(o, 'shape', type(o).__name__) for o in outputs]}; name another one"
                )
        return torch.cat([_normalised(outputs[0]) for outputs in found.values()], 1)

    def distance(self, original: Tensor, images: Tensor) -> Tensor:
        """Return NPTM's distance of each image from its original, shape (N,), without gradient."""
        checks.pair(original, images)
        with torch.no_grad():
            return torch.stack(
                [
                    (self(y[None]) - self(x[None])).norm()
                    for y, x in zip(original, images, strict=True)
                ]
            )


def alexnet(device: str | torch.device | None = None) -> Features:
    """Make φ from the AlexNet of torchvision, trained on ImageNet.

    Parameters
    ----------
    device
        Where to put it; the CPU by default. Use the images' device.

    Returns
    -------
    Features
        For images (N, 3, H, W), or (N, 1, H, W), taken as grey, of at least 32 × 32 pixels.

    Raises
    ------
    ValueError, FileNotFoundError, ConnectionError
        The checkpoint is damaged or nowhere to be had; see `humimp.weights.path`.
    """
    made = Features(_AlexNet().eval().requires_grad_(False), _ALEXNET, "AlexNet")
    return made if device is None else made.to(device)


def of(model: nn.Module, layers: Sequence[str] | None = None, name: str | None = None) -> Features:
    """Make φ from a classifier: from its own activations.

    Parameters
    ----------
    model
        Takes images in [0, 1], in evaluation mode. It is used, not copied.
    layers
        Which of its parts' outputs are compared, by their names in ``model.named_modules()``. They
        may be left out where the model is or contains an AlexNet, ResNet or MobileNetV2 of
        torchvision's, or an EfficientNet-Lite2, as those of `humimp.classifiers.load` do: see the
        table above.
    name
        What to call it; by default the class of the network.

    Returns
    -------
    Features
        For images that the model takes.

    Raises
    ------
    ValueError
        For a model in train mode, one whose layers must be named, or layers that it lacks.
    """
    if layers is None and isinstance(model, nn.Module):
        for where, part in model.named_modules():
            kind = next((kind for kind in _LAYERS if isinstance(part, kind)), None)
            if kind is not None:
                layers = [f"{where}.{layer}".removeprefix(".") for layer in _LAYERS[kind]]
                return Features(model, layers, name or kind.__name__)
        raise ValueError(
            f"layers: none are known for {type(model).__name__} (only for "
            f"{', '.join(kind.__name__ for kind in _LAYERS)}); name the parts to compare, out of "
            + ", ".join(part for part, _ in model.named_modules() if part)
        )
    return Features(model, layers or (), name or type(model).__name__)


def _normalised(layer: Tensor) -> Tensor:
    """Scale activations (N, C, ...) to unit length at each place and divide by √places: (N, D)."""
    layer = layer.reshape(*layer.shape[:2], -1)
    squared = layer.square().sum(1, keepdim=True)
    # the root's gradient at a place where nothing is active would be infinite
    length = torch.where(squared > 0, squared, 1).sqrt() + _EPSILON
    return (layer / (length * layer.shape[2] ** 0.5)).flatten(1)


class _AlexNet(nn.Module):
    """The convolutions of torchvision's AlexNet, for images in [0, 1]; one channel is grey."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        with torch.device("meta"):
            network = torchvision.models.alexnet(weights=None).features[:12]
        state = weights.load("alexnet_features")
        state = {key.removeprefix("features."): value for key, value in state.items()}
        network.load_state_dict(state, assign=True)
        self.features = network
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if min(height, width) < 32:
            raise ValueError(
                f"images: expected at least 32 × 32 pixels for AlexNet's features, "
                f"got {height} × {width}; resize them first"
            )
        return self.features((images - self.mean) / self.std)
