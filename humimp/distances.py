"""Distances between an image and its perturbation, one number per image.

Each takes two batches of images (N, C, H, W) in [0, 1] and returns N values. The L-norms are
those of Table 1: over all pixels and channels, in units of the full range.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import piq
import torch
import torchvision
from piq.functional.layers import L2Pool2d
from torch import Tensor, nn

from humimp import checks, weights

#: Pixels that a network is given at once, all images together; bounds the memory.
_PIXELS = 3 * 224 * 224

#: Positions in torchvision's features of the five ReLUs whose outputs LPIPS and DISTS compare.
_LAYERS = {"vgg": ("3", "8", "15", "22", "29"), "alex": ("1", "4", "7", "9", "11")}
_FEATURES = {"vgg": "vgg16", "alex": "alexnet"}
_CHANNELS = (3, 64, 128, 256, 512, 512)  # of the image and of VGG-16's five layers


def l1(original: Tensor, images: Tensor) -> Tensor:
    """Sum of absolute differences, shape (N,)."""
    checks.pair(original, images)
    return (images - original).flatten(1).double().abs().sum(1).to(images.dtype)


def l2(original: Tensor, images: Tensor) -> Tensor:
    """Square root of the sum of squared differences, shape (N,)."""
    checks.pair(original, images)
    return (images - original).flatten(1).double().norm(dim=1).to(images.dtype)


def linf(original: Tensor, images: Tensor) -> Tensor:
    """Largest absolute difference, from 0 to 1, shape (N,)."""
    checks.pair(original, images)
    return (images - original).abs().flatten(1).amax(1)


def share(original: Tensor, images: Tensor, *, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Share of the squared difference that lies where the original is in [low, high], shape (N,).

    It says where a perturbation sits: ``high=0.0`` asks for the black background. It is NaN where
    nothing differs.
    """
    checks.pair(original, images)
    squared = (images - original).flatten(1).double().square()
    where = ((original >= low) & (original <= high)).flatten(1)
    return ((squared * where).sum(1) / squared.sum(1)).to(images.dtype)


class LPIPS:
    """Learned perceptual image patch similarity, version 0.1 (Zhang et al. 2018).

    Features of five layers, normalised to unit length in each place, are compared by a weighted
    sum of squared differences. Larger is less similar.

    Call it with ``(original, images)``, each (N, C, H, W) in [0, 1] and at least 32 pixels wide and
    high; one channel is taken as grey. It returns (N,), through which no gradient flows. The
    weights are looked up at the first call, see `humimp.weights`.

    Parameters
    ----------
    net
        Whose features: ``"vgg"`` for VGG-16, ``"alex"`` for AlexNet.
    """

    def __init__(self, net: Literal["vgg", "alex"] = "vgg") -> None:
        checks.choice(net, "net", ("vgg", "alex"))
        self.net = net

    def __call__(self, original: Tensor, images: Tensor) -> Tensor:
        """Return the distance of each image from its original, shape (N,)."""
        return _in_parts(self._loss, original, images)

    @cached_property
    def _loss(self) -> nn.Module:
        linear = weights.load(f"lpips_{self.net}")
        return piq.ContentLoss(
            _features(self.net),
            layers=_LAYERS[self.net],
            weights=[linear[f"lin{k}.weight"] for k in range(5)],
            reduction="none",
            normalize_features=True,
        )


class DISTS:
    """Deep image structure and texture similarity (Ding et al. 2020).

    Means and covariances of the features of VGG-16 are compared, with max-pooling replaced by
    L2-pooling. Images are taken at their own size, as the authors' code does by default. (Their
    evaluation of large images, and piq's class, resize the shorter side to 256 first.)

    Call it with ``(original, images)``, each (N, C, H, W) in [0, 1] and at least 32 pixels wide and
    high; one channel is taken as grey. It returns (N,), through which no gradient flows. The
    weights are looked up at the first call, see `humimp.weights`.
    """

    def __call__(self, original: Tensor, images: Tensor) -> Tensor:
        """Return the distance of each image from its original, shape (N,)."""
        return _in_parts(self._loss, original, images)

    @cached_property
    def _loss(self) -> nn.Module:
        return _DISTS(_features("vgg"), **weights.load("dists"))


class _DISTS(piq.DISTS):
    """piq's DISTS with weights that are handed in, at the images' own size."""

    def __init__(self, network: nn.Module, alpha: Tensor, beta: Tensor) -> None:
        total = alpha.sum() + beta.sum()
        piq.ContentLoss.__init__(
            self,
            network,
            layers=_LAYERS["vgg"],
            weights=[*(alpha / total).split(_CHANNELS, 1), *(beta / total).split(_CHANNELS, 1)],
            replace_pooling=True,
            reduction="none",
            allow_layers_weights_mismatch=True,
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        for module in self.model:
            if isinstance(module, L2Pool2d):
                module.kernel = None  # piq would keep the device and dtype of the first call
        return (1 - piq.ContentLoss.forward(self, x, y)).clamp(min=0)  # rounding goes below 0


def _features(net: str) -> nn.Module:
    """Return the convolutional part of a network, up to the last layer that is compared."""
    with torch.device("meta"):
        network = torchvision.models.get_model(_FEATURES[net], weights=None).features
    state = weights.load(f"{_FEATURES[net]}_features")
    state = {key.removeprefix("features."): value for key, value in state.items()}
    network.load_state_dict(state, assign=True)
    return network[: int(_LAYERS[net][-1]) + 1].eval().requires_grad_(False)


def _in_parts(loss: Callable[[Tensor, Tensor], Tensor], original: Tensor, images: Tensor) -> Tensor:
    """Compare a few images at a time, so that the memory does not grow with their number."""
    checks.pair(original, images)
    height, width = images.shape[-2:]
    if min(height, width) < 32:
        raise ValueError(
            f"images: expected at least 32 × 32 pixels for a distance between the features of a "
            f"network, got {height} × {width}; resize them first"
        )
    count = max(1, _PIXELS // (height * width))
    shape = (-1, 3, -1, -1)
    with torch.no_grad():
        parts = zip(original.split(count), images.split(count), strict=True)
        return torch.cat([loss(y.expand(shape), x.expand(shape)) for x, y in parts])
