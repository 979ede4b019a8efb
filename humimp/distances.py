"""Distances between an image and its perturbation, one number per image.

Each takes two batches of images (N, C, H, W) in [0, 1] and returns N values. The L-norms are
those of Table 1: over all pixels and channels, in units of the full range.
"""

import os
import threading
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import piq
import torch
import torch.nn.functional as F
import torchvision
from piq.functional.layers import L2Pool2d
from torch import Tensor, nn

from humimp import checks, fingerprints, weights
from humimp.rounding import in_full

#: Pixels that a network is given at once, all images together; bounds the memory. On a CPU VGG-16
#: is fastest with one photograph, whose features just fit into the caches (benchmarks/README.md).
_PIXELS = {"vgg": 224 * 224, "alex": 16 * 224 * 224}
#: How many times as many on a GPU, which one photograph does not fill.
_ON_GPU = 8

#: Saliency maps of originals that are kept, a third of a megabyte each at 299 × 299 pixels.
_REMEMBERED = 200

#: Positions in torchvision's features of the five ReLUs whose outputs LPIPS and DISTS compare.
_LAYERS = {"vgg": ("3", "8", "15", "22", "29"), "alex": ("1", "4", "7", "9", "11")}
_FEATURES = {"vgg": "vgg16", "alex": "alexnet"}
_CHANNELS = (3, 64, 128, 256, 512, 512)  # of the image and of VGG-16's five layers


Measure = Callable[[Tensor, Tensor], Tensor]


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

    It says where a perturbation sits: ``high=0.0`` asks for the black background. It is 0 where
    nothing differs.
    """
    checks.pair(original, images)
    squared = (images - original).flatten(1).double().square()
    where = ((original >= low) & (original <= high)).flatten(1)
    whole = squared.sum(1)
    return ((squared * where).sum(1) / torch.where(whole > 0, whole, 1)).to(images.dtype)


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

    @in_full
    def __call__(self, original: Tensor, images: Tensor) -> Tensor:
        """Return the distance of each image from its original, shape (N,)."""
        return _in_parts(self._loss, original, images, _PIXELS[self.net])

    @cached_property
    def _loss(self) -> nn.Module:
        return LPIPSNetwork(self.net)


class DISTS:
    """Deep image structure and texture similarity (Ding et al. 2020).

    Means and covariances of the features of VGG-16 are compared, with max-pooling replaced by
    L2-pooling. Images are taken at their own size, as the authors' code does by default. (Their
    evaluation of large images, and piq's class, resize the shorter side to 256 first.)

    Call it with ``(original, images)``, each (N, C, H, W) in [0, 1] and at least 32 pixels wide and
    high; one channel is taken as grey. It returns (N,), through which no gradient flows. The
    weights are looked up at the first call, see `humimp.weights`.
    """

    @in_full
    def __call__(self, original: Tensor, images: Tensor) -> Tensor:
        """Return the distance of each image from its original, shape (N,)."""
        return _in_parts(self._loss, original, images, _PIXELS["vgg"])

    @cached_property
    def _loss(self) -> nn.Module:
        return _DISTS(_features("vgg"), **weights.load("dists"))


class Saliency:
    """Change of the saliency map: where a salient object detection network sees an object.

    The paper's third proxy of human vision (section 3.2). The network is U²-NetP (Qin et al. 2020),
    run by onnxruntime on the CPU, wherever the images are. The distance is the mean absolute
    difference of the two maps, from 0 to 1.

    Call it with ``(original, images)``, each (N, C, H, W) in [0, 1]; one channel is taken as grey.
    It returns (N,), through which no gradient flows; equal images are at 0. The network is looked
    up at the first call, see `humimp.weights`.

    The maps of the last 200 originals are remembered, so that several attacks on the same images
    cost one pass for each original, unless there are more of them.

    Notes
    -----
    As its authors feed it: the image is resized to 320 × 320, divided by its greatest value and
    normalised by ImageNet's means and deviations; the map is stretched to [0, 1] and resized to the
    image. Both resize by linear interpolation with antialiasing, in floating point, so that changes
    of less than a level count too.
    """

    def __init__(self) -> None:
        self._known: dict[str, Tensor] = {}  # the maps of originals, the latest last
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["Saliency"], tuple[()]]:
        return Saliency, ()  # another process starts without maps

    def __call__(self, original: Tensor, images: Tensor) -> Tensor:
        """Return the distance of each image from its original, shape (N,)."""
        checks.pair(original, images)
        before = torch.cat([self._of_original(one) for one in original.split(1)])
        return (before - self._map(images)).abs().flatten(1).mean(1).to(images)

    def _of_original(self, image: Tensor) -> Tensor:
        """Return the map of one original, (1, H, W), from memory if it is there."""
        key = fingerprints.digest([image])
        found = self._known.get(key)
        if found is None:
            found = self._map(image)
        with self._lock:
            self._known.pop(key, None)
            self._known[key] = found
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
        return found

    def map(self, images: Tensor) -> Tensor:
        """Return each image's saliency map.

        Parameters
        ----------
        images
            Shape (N, C, H, W), C = 1 or 3, values in [0, 1].

        Returns
        -------
        Tensor
            Shape (N, H, W), from 0 to 1, without gradient, in the images' dtype and on their
            device. Before it is resized, a map reaches both 0 and 1, also where nothing in the
            image stands out; one that is the same everywhere is 0.

        Raises
        ------
        ValueError
            For bad images, see `humimp.checks`.
        """
        checks.images(images)
        return self._map(images).to(images)

    def _map(self, images: Tensor) -> Tensor:
        """Return the maps in single precision on the CPU."""
        session = _session(weights.path("u2netp"), torch.get_num_threads(), os.getpid())
        (name,) = (entry.name for entry in session.get_inputs())
        first = session.get_outputs()[0].name  # the fused map; the others are the stages' own
        x = images.detach().cpu().float().expand(-1, 3, -1, -1)
        x = _resize(x, (320, 320))
        peak = x.amax((1, 2, 3), keepdim=True)
        x = x / torch.where(peak > 0, peak, 1)
        x = (x - torch.tensor(piq.perceptual.IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(
            piq.perceptual.IMAGENET_STD
        ).view(3, 1, 1)
        maps = [torch.from_numpy(session.run([first], {name: one[None].numpy()})[0]) for one in x]
        found = torch.cat(maps)
        low, high = found.amin((1, 2, 3), keepdim=True), found.amax((1, 2, 3), keepdim=True)
        found = (found - low) / torch.where(high > low, high - low, 1)
        return _resize(found, (images.shape[2], images.shape[3]))[:, 0]


class Changed:
    """Whether a network's answer to an image is another than its answer to the original.

    For attacks on one network, asked of a second one, this is transfer: the mean over images is the
    share on which the second network, which the attack has never seen, is misled too. It does not
    matter whether that network was right about the original.

    Call it with ``(original, images)``, each (N, C, H, W) in [0, 1]. It returns (N,), 1 where the
    class of the largest logit changes and 0 elsewhere, in the images' dtype and on their device.

    Parameters
    ----------
    model
        The network: images → logits (N, K), with its normalisation inside, in evaluation mode. It
        may be on another device than the images. It is left as it is.

    Raises
    ------
    ValueError
        For a model that is no module, so that records could not say by its weights which one was
        asked, or one in train mode; when called, for bad images or a model that returns no logits.
    """

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise ValueError(
                f"model: expected a torch.nn.Module, got {type(model).__name__}; "
                "load one, as with humimp.classifiers.load"
            )
        checks.model(model)
        self.model = model

    @in_full
    def __call__(self, original: Tensor, images: Tensor) -> Tensor:
        """Return 1 for each image whose answer changes, else 0, shape (N,)."""
        checks.pair(original, images)
        return (self._answers(original) != self._answers(images)).to(images)

    def _answers(self, images: Tensor) -> Tensor:
        """Return the classes of the largest logits, (N,)."""
        first = next(self.model.parameters(), images)
        with torch.no_grad():
            logits = self.model(images.to(first.device))
        checks.logits(logits, torch.zeros(len(images), dtype=torch.int64))
        return logits.argmax(1)


class Unscaled:
    """A distance that is handed images in [0, 1] where it expects [−1, 1], as is easily done.

    A package that maps [−1, 1] to [0, 1] by itself then sees images of half the contrast.

    Parameters
    ----------
    measure
        Callable (original, images) → (N,), images in [0, 1].
    """

    def __init__(self, measure: Measure) -> None:
        self.measure = measure

    def __call__(self, original: Tensor, images: Tensor) -> Tensor:
        """Return the distances, shape (N,)."""
        return self.measure((original + 1) / 2, (images + 1) / 2)


class Resized:
    """A distance of images whose side was made another, bilinearly and smoothed.

    Parameters
    ----------
    measure
        Callable (original, images) → (N,), images in [0, 1].
    size
        Shorter side in pixels that it gets, 1 or more.
    """

    def __init__(self, measure: Measure, size: int = 256) -> None:
        self.measure, self.size = measure, checks.count(size, "size", low=1)

    def __call__(self, original: Tensor, images: Tensor) -> Tensor:
        """Return the distances, shape (N,)."""
        return self.measure(self._small(original), self._small(images))

    def _small(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        by = self.size / min(height, width)
        small = _resize(images, (round(height * by), round(width * by)))
        return small.clamp(0, 1)  # rounding goes beyond


@cache
def _session(path: Path, threads: int, process: int) -> Any:
    """Start onnxruntime for a network: once for each process, as a copy's threads would be gone."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize by linear interpolation, averaging where pixels are dropped."""
    return F.interpolate(images, size, mode="bilinear", antialias=True)


class LPIPSNetwork(piq.ContentLoss):
    """The network of LPIPS, differentiable wherever its features vanish too.

    Parameters
    ----------
    net
        ``"vgg"`` or ``"alex"``.
    """

    def __init__(self, net: Literal["vgg", "alex"]) -> None:
        linear = weights.load(f"lpips_{net}")
        super().__init__(
            _features(net),
            layers=_LAYERS[net],
            weights=[linear[f"lin{k}.weight"] for k in range(5)],
            reduction="none",
            normalize_features=True,
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the five layers' features of images (N, C, H, W), of unit length in each place."""
        self.model.to(images)
        return self.get_features(images.expand(-1, 3, -1, -1))

    def between(self, reference: list[Tensor], features: list[Tensor]) -> Tensor:
        """Return the distance between features, shape (N,)."""
        layers = zip(reference, features, self.weights, strict=True)
        return torch.stack(
            [((x - y).square() * weight.to(x)).sum(1).mean((1, 2)) for x, y, weight in layers]
        ).sum(0)

    @staticmethod
    def normalize(x: Tensor) -> Tensor:
        """Scale to unit length in each place; zero stays zero, and its gradient finite."""
        squared = x.square().sum(1, keepdim=True)
        length = torch.where(squared > 0, squared, 1).sqrt()
        return x / (length + 1e-10)


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
            kernel = module.kernel if isinstance(module, L2Pool2d) else None
            if kernel is not None and (kernel.dtype, kernel.device) != (x.dtype, x.device):
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


def _in_parts(
    loss: Callable[[Tensor, Tensor], Tensor], original: Tensor, images: Tensor, pixels: int
) -> Tensor:
    """Compare a few images at a time, so that the memory does not grow with their number."""
    checks.pair(original, images)
    height, width = images.shape[-2:]
    if min(height, width) < 32:
        raise ValueError(
            f"images: expected at least 32 × 32 pixels for a distance between the features of a "
            f"network, got {height} × {width}; resize them first"
        )
    pixels *= 1 if images.device.type == "cpu" else _ON_GPU
    count = max(1, pixels // (height * width))
    shape = (-1, 3, -1, -1)
    with torch.no_grad():
        parts = zip(original.split(count), images.split(count), strict=True)
        return torch.cat([loss(y.expand(shape), x.expand(shape)) for x, y in parts])
