"""PieAPP, the learned perceptual error of Prashnani et al. (2018), at any width.

An image is cut into overlapping patches of 64 × 64. Eleven convolutions turn each patch into
features; the differences between the features of the reference and of the image give each patch
an error and a weight, and the image's error is the weighted mean over its patches (Prashnani et
al. 2018, section 3.2). ``Network(width=64)`` is the published network.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Side of a patch, in pixels. The fully connected layers fix it.
PATCH = 64

#: Channels of each convolution, in units of the width.
_CHANNELS = (1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8)

#: Features per patch, in units of the width: the outputs of convolutions 3, 5, 7, 9 and 11.
_FEATURES = 32 * 32 + 2 * 16 * 16 + 4 * 8 * 8 + 4 * 4 * 4 + 8 * 2 * 2


class Features(NamedTuple):
    """What the network keeps of the patches of an image.

    Attributes
    ----------
    score
        Features that the error is read from, shape (P, 1888 width).
    weight
        Features that the weight is read from, shape (P, 32 width).
    """

    score: Tensor
    weight: Tensor


class Network(nn.Module):
    """The PieAPP network.

    Parameters
    ----------
    width
        Channels of the first convolution; 64 is the published network.
    hidden
        Units of the two hidden layers; 8 times the width unless given, as published.
    """

    def __init__(self, width: int = 64, hidden: int | None = None) -> None:
        super().__init__()
        hidden = 8 * width if hidden is None else hidden
        if width < 1 or hidden < 1:
            raise ValueError(f"width is {width} and hidden is {hidden}; both must be at least 1")
        self.width, self.hidden = width, hidden
        before = 3
        for number, times in enumerate(_CHANNELS, start=1):
            layer = nn.Conv2d(before, times * width, kernel_size=3, padding=1)
            self.add_module(f"conv{number}", layer)
            before = times * width
        self.fc1_score = nn.Linear(_FEATURES * width, hidden)
        self.fc2_score = nn.Linear(hidden, 1)
        self.fc1_weight = nn.Linear(8 * 2 * 2 * width, hidden)
        self.fc2_weight = nn.Linear(hidden, 1)
        self.ref_score_subtract = nn.Linear(1, 1)

    def features(self, patches: Tensor) -> Features:
        """Features of patches, shape (P, 3, 64, 64), pixels in [0, 255]."""
        kept = []
        values = patches
        for number in range(1, 12):
            values = F.relu(self.get_submodule(f"conv{number}")(values))
            if number % 2 == 0:
                values = F.max_pool2d(values, 2)
            elif number > 1:
                kept.append(values.flatten(1))
        return Features(torch.cat(kept, dim=1), kept[-1])

    def compare(self, reference: Features, images: Features) -> tuple[Tensor, Tensor]:
        """Error and weight of each patch, shape (P,) each."""
        score = self.fc2_score(F.relu(self.fc1_score(reference.score - images.score)))
        error = self.ref_score_subtract(0.01 * score)
        weight = self.fc2_weight(F.relu(self.fc1_weight(reference.weight - images.weight)))
        return error.squeeze(1), weight.squeeze(1) + 1e-6

    def forward(self, reference: Tensor, images: Tensor, stride: int = 27) -> Tensor:
        """Perceptual error of each image.

        Parameters
        ----------
        reference, images
            Shape (N, 3, H, W) or (N, 1, H, W), values in [0, 1], H and W at least 64.
        stride
            Pixels between neighbouring patches; 27 is the published sparse sampling.

        Returns
        -------
        Tensor
            Shape (N,); about 0 for equal images, larger where the difference is seen more.
        """
        error, weight = self.compare(
            self.features(cut(reference, stride)), self.features(cut(images, stride))
        )
        error, weight = error.view(len(images), -1), weight.view(len(images), -1)
        return (error * weight).sum(1) / weight.sum(1)


def cut(images: Tensor, stride: int) -> Tensor:
    """Cut images in [0, 1] into patches in [0, 255], shape (N·rows·columns, 3, 64, 64).

    Raises
    ------
    ValueError
        If an image is smaller than a patch, or the stride is not positive.
    """
    height, width = images.shape[-2:]
    if min(height, width) < PATCH:
        raise ValueError(
            f"images are {height} × {width} pixels; PieAPP needs at least {PATCH} × {PATCH}: "
            "resize them first"
        )
    if stride < 1:
        raise ValueError(f"stride is {stride}; it must be at least 1 pixel")
    images = 255 * images.expand(-1, 3, -1, -1)
    patches = images.unfold(2, PATCH, stride).unfold(3, PATCH, stride)
    return patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, PATCH, PATCH)


def from_state(state: Mapping[str, Tensor]) -> Network:
    """Build the network that a state dict belongs to, whatever its width.

    The published checkpoint stores ``ref_score_subtract.weight`` with one dimension too few;
    that is put right here.

    Parameters
    ----------
    state
        Parameter names to tensors, as in the published checkpoint.

    Returns
    -------
    Network
        In eval mode, its parameters without gradient.

    Raises
    ------
    ValueError
        If names or shapes are not those of a PieAPP network.
    """
    state = dict(state)
    first, hidden = state.get("conv1.weight"), state.get("fc1_score.bias")
    if first is None or hidden is None:
        raise ValueError(
            "the state dict has no 'conv1.weight' or no 'fc1_score.bias', so it is not PieAPP's; "
            f"its names begin {sorted(state)[:3]}"
        )
    network = Network(len(first), len(hidden))
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    slope = state.get("ref_score_subtract.weight")
    if slope is not None and slope.numel() == 1:
        state["ref_score_subtract.weight"] = slope.reshape(1, 1)
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or unknown:
        raise ValueError(
            f"the state dict is not PieAPP's: it lacks {missing} and has unknown {unknown}"
        )
    for name, shape in wanted.items():
        if state[name].shape != shape:
            raise ValueError(
                f"{name} has shape {tuple(state[name].shape)}; PieAPP of width {network.width} "
                f"needs {tuple(shape)}: the checkpoint is damaged or of another network"
            )
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)
