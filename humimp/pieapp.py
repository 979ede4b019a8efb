"""PieAPP, the learned perceptual error of Prashnani et al. (2018), at any width.

An image is cut into overlapping patches of 64 × 64. Eleven convolutions turn each patch into
features; the differences between the features of the reference and of the image give each patch
an error and a weight, and the image's error is the weighted mean over its patches (Prashnani et
al. 2018, section 3.2).

`Network` is the definition, for reading and for training; ``Network(width=64)`` is the published
network. `Distance` computes the same numbers for an attack, several times faster.
"""

import copy
import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from humimp import checks
from humimp.rounding import Rounding, rounding

#: Side of a patch, in pixels. The fully connected layers fix it.
PATCH = 64

#: Channels of each convolution, in units of the width.
_CHANNELS = (1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8)

#: Convolutions whose outputs are features, and the side of each output.
_LEVELS = {3: 32, 5: 16, 7: 8, 9: 4, 11: 2}

#: Patches in memory at once. A GPU needs many: with few, it waits for the program between them.
_AT_ONCE = {"cpu": 192, "gpu": 1296}

#: How a GPU rounds the factors of convolutions and of the hidden layers.
_ROUNDING: dict[str, tuple[Rounding, Rounding]] = {
    "float32": ("ieee", "ieee"),
    "tf32": ("tf32", "tf32"),
    "bfloat16": ("ieee", "tf32"),
}


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

    Raises
    ------
    ValueError
        If a size is below 1.
    """

    def __init__(self, width: int = 64, hidden: int | None = None) -> None:
        super().__init__()
        hidden = 8 * width if hidden is None else hidden
        checks.count(width, "width", low=1)
        checks.count(hidden, "hidden", low=1)
        self.width, self.hidden = width, hidden
        before = 3
        for number, times in enumerate(_CHANNELS, start=1):
            self.add_module(f"conv{number}", nn.Conv2d(before, times * width, 3, padding=1))
            before = times * width
        sizes = [_CHANNELS[number - 1] * width * side**2 for number, side in _LEVELS.items()]
        self.fc1_score = nn.Linear(sum(sizes), hidden)
        self.fc2_score = nn.Linear(hidden, 1)
        self.fc1_weight = nn.Linear(sizes[-1], hidden)
        self.fc2_weight = nn.Linear(hidden, 1)
        self.ref_score_subtract = nn.Linear(1, 1)

    def convolution(self, number: int) -> nn.Conv2d:
        """Return convolution 1 to 11."""
        return cast(nn.Conv2d, self.get_submodule(f"conv{number}"))

    def features(self, patches: Tensor) -> Features:
        """Compute the features of patches, shape (P, 3, 64, 64), pixels in [0, 255]."""
        kept = []
        values = patches
        for number in range(1, 12):
            values = F.relu(self.convolution(number)(values))
            if number % 2 == 0:
                values = F.max_pool2d(values, 2)
            elif number in _LEVELS:
                kept.append(values.flatten(1))
        return Features(torch.cat(kept, dim=1), kept[-1])

    def judge(self, score: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Turn the inputs of the two hidden layers, (..., hidden), into error and weight, (...)."""
        error = self.ref_score_subtract(0.01 * self.fc2_score(F.relu(score)))
        return error[..., 0], self.fc2_weight(F.relu(weight))[..., 0] + 1e-6

    def forward(self, reference: Tensor, images: Tensor, stride: int = 27) -> Tensor:
        """Compute the perceptual error of each image, Σ weight · error / Σ weight over patches.

        Parameters
        ----------
        reference, images
            Shape (N, 3, H, W) or (N, 1, H, W), values in [0, 1], H and W at least 64.
        stride
            Pixels between neighbouring patches; 27 is the published sparse sampling.

        Returns
        -------
        Tensor
            Shape (N,); larger where the difference is seen more. May fall below 0.
        """
        one = self.features(cut(reference, stride))
        two = self.features(cut(images, stride))
        error, weight = self.judge(
            self.fc1_score(one.score - two.score), self.fc1_weight(one.weight - two.weight)
        )
        return _mean(error.view(len(images), -1), weight.view(len(images), -1))

    def at_reference(self) -> float:
        """Compute the error between any image and itself, which the biases alone decide.

        No feature differs, so every patch gets this error and the weights cancel. The published
        weights give 0 up to rounding; weights of any other origin need `centre`.
        """
        error, _ = self.judge(self.fc1_score.bias, self.fc1_weight.bias)
        return float(error.detach())

    def centre(self) -> None:
        """Shift the last bias so that an image has the error 0 with itself; gradients stay."""
        with torch.no_grad():
            self.ref_score_subtract.bias.sub_(self.at_reference())


def cut(images: Tensor, stride: int) -> Tensor:
    """Cut images in [0, 1] into patches in [0, 255], shape (N · rows · columns, 3, 64, 64).

    Raises
    ------
    ValueError
        If an image is smaller than a patch, or the stride is not positive.
    """
    grid(images, stride)
    images = 255 * images.expand(-1, 3, -1, -1)
    patches = images.unfold(2, PATCH, stride).unfold(3, PATCH, stride)
    return patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, PATCH, PATCH)


def grid(images: Tensor, stride: int) -> tuple[int, int]:
    """Count the rows and columns of patches; a margin too narrow for another patch is not seen.

    Raises
    ------
    ValueError
        If an image is smaller than a patch, or the stride is not positive.
    """
    height, width = images.shape[-2:]
    if min(height, width) < PATCH:
        raise ValueError(
            f"images: PieAPP's patches need at least {PATCH} × {PATCH} pixels, got "
            f"{height} × {width}; use larger images or another cost"
        )
    checks.count(stride, "stride", low=1)
    return (height - PATCH) // stride + 1, (width - PATCH) // stride + 1


def from_state(state: Mapping[str, Tensor]) -> Network:
    """Build the network that a state dict belongs to, whatever its width.

    The published checkpoint stores ``ref_score_subtract.weight`` with one dimension too few;
    that is put right here.

    Parameters
    ----------
    state
        Parameter names to tensors, as in the published checkpoint. They are copied.

    Returns
    -------
    Network
        In eval mode, its parameters float32 and without gradient.

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
    with torch.device("meta"):  # the random start would be thrown away
        network = Network(len(first), len(hidden))
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    slope = state.get("ref_score_subtract.weight")
    if slope is not None and slope.numel() == 1:
        state["ref_score_subtract.weight"] = slope.reshape(1, 1)
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or unknown:
        raise ValueError(
            f"the state dict is not PieAPP's: it lacks {missing} and has unknown {unknown}"
        )
    for name, shape in wanted.items():
        if tuple(state[name].shape) != shape:
            raise ValueError(
                f"{name} has shape {tuple(state[name].shape)}; PieAPP of width {network.width} "
                f"needs {shape}: the checkpoint is damaged or of another network"
            )
    network.to_empty(device="cpu").load_state_dict(state)
    return network.eval().requires_grad_(False)


class Distance:
    """`Network` arranged for attacks: the same values and image gradients, several times faster.

    Where the time goes, and what is done about it:

    - The reference does not change during an attack, so its part is computed once. The first
      hidden layers are linear, so 2 · hidden numbers per patch are all that must be remembered.
    - An attack's first step is at the reference. Where no hidden unit of the error is active there
      and the error is 0, as with PieAPP-small, so is the gradient, and nothing is computed.
    - Neighbouring patches overlap, so convolutions 1 and 2 run once on the whole image (`_early`).
    - From convolution 4 on, ReLU runs after max-pooling, on a quarter of the values; they commute.
    - Tensors are laid out as the convolution and matrix kernels like them: ``channels_last``,
      except for the last three convolutions, whose maps are tiny.
    - The gradient is computed together with the value, a few images at a time, so memory does not
      grow with the batch. An image of more than ``patches`` patches goes through in bands; all
      but one are computed a second time for the gradient.

    Gradients are those with respect to the images; the references and the weights get none.

    Parameters
    ----------
    network
        The network; its weights are copied.
    stride
        Pixels between neighbouring patches; 27 is the published sparse sampling.
    patches
        How many patches may be in memory at once; by default 192 on a CPU and 1296 on a GPU, where
        it is five times as fast as with 192. At width 64 each takes about 4 MB.
    precision
        ``"float32"`` is exact. ``"tf32"`` (on a GPU) and ``"bfloat16"`` round the factors in the
        convolutions to 11 and 8 significant bits. With either, a GPU rounds those of the hidden
        layers to 11; a CPU does not.

    Raises
    ------
    ValueError
        For a stride or a number of patches below 1, or an unknown precision.
    """

    def __init__(
        self,
        network: Network,
        *,
        stride: int = 27,
        patches: int | None = None,
        precision: str = "float32",
    ) -> None:
        checks.count(stride, "stride", low=1)
        if patches is not None:
            checks.count(patches, "patches", low=1)
        checks.choice(precision, "precision", ("float32", "tf32", "bfloat16"))
        self.stride, self.patches, self.precision = stride, patches, precision
        self._network = copy.deepcopy(network).eval().requires_grad_(False)
        for number in range(1, 9):
            weight = self._network.convolution(number).weight
            weight.data = weight.contiguous(memory_format=torch.channels_last)
        self._levels = _by_level(self._network)
        idle = bool((self._network.fc1_score.bias <= 0).all())
        self._flat = idle and self._network.at_reference() == 0  # at the reference
        for layer in (self._network.fc1_score, self._network.fc1_weight):
            layer.register_parameter("weight", None)  # at width 64 a quarter of a gigabyte

    def __call__(self, reference: Tensor, images: Tensor) -> Tensor:
        """Compute the error of each image, shape (N,); see `Network.forward`."""
        return self.at(reference)(images)

    def at(self, reference: Tensor) -> "FromReference":
        """Fix the references, shape (N, C, H, W) in [0, 1], and remember their part.

        Raises
        ------
        ValueError
            If the references are smaller than 64 × 64.
        """
        rows, columns = grid(reference, self.stride)
        at_once = self._patches(reference) // (rows * columns)
        return FromReference(self, reference.detach(), max(1, at_once))

    def errors(self, known: Tensor, hidden: Tensor) -> Tensor:
        """Compute the error of each image from what `hidden` gives for its reference and it."""
        score, weight = (known - hidden).chunk(2, dim=-1)
        network = self._network
        return _mean(
            *network.judge(score + network.fc1_score.bias, weight + network.fc1_weight.bias)
        )

    def hidden(self, images: Tensor) -> Tensor:
        """Compute what enters the hidden layers, but for the biases: (N, patches, 2 hidden)."""
        self._follow(images)
        rows, columns = grid(images, self.stride)
        count = math.ceil(rows / max(1, self._patches(images) // (columns * len(images))))
        bands = []
        for start, stop in pairwise(rows * number // count for number in range(count + 1)):
            height = (stop - start - 1) * self.stride + PATCH
            band = images.narrow(2, start * self.stride, height)
            bands.append(
                self._band(band)
                if stop == rows  # its gradient comes first, so nothing need be forgotten
                else checkpoint(self._band, band, use_reentrant=False)
            )
        return torch.cat(bands, dim=1)

    def _patches(self, images: Tensor) -> int:
        return self.patches or _AT_ONCE["gpu" if images.is_cuda else "cpu"]

    def _band(self, images: Tensor) -> Tensor:
        """Do `hidden` for images that may be in memory at once."""
        return self._late(self._early(images)).view(len(images), -1, 2 * self._network.hidden)

    def _convolve(self, number: int, values: Tensor, padding: int) -> Tensor:
        layer = self._network.convolution(number)
        half = self.precision == "bfloat16"
        with torch.autocast(values.device.type, torch.bfloat16, enabled=half):
            return F.conv2d(values, layer.weight, layer.bias, padding=padding)

    def _early(self, images: Tensor) -> Tensor:
        """Convolutions 1 and 2 and the first pooling of all patches: (patches, C, 32, 32).

        Inside a patch these are the numbers of the whole image, which overlapping patches share.
        The zeros with which a patch is padded reach two pixels deep, one after pooling. So the
        inner 30 × 30 of a patch's 32 × 32 are looked up in a map of the whole image, pooled at
        every pixel, and the frame around them in maps of strips four pixels wide. Each axis of a
        patch has thus three parts, and the patch nine pieces. ``table`` holds the pixels of all
        maps, ``places`` says which of them a piece consists of.
        """
        rows, columns = grid(images, self.stride)
        pixels = 255 * images.expand(-1, 3, -1, -1)
        table, bands, count = [], [], 0
        for y in _parts(rows, self.stride, images.device):
            pieces = []
            for x in _parts(columns, self.stride, images.device):
                strips = pixels[:, :, y.pixels, x.pixels]
                strips = strips.unfold(2, y.window, self.stride).unfold(3, x.window, self.stride)
                strips = strips.permute(0, 2, 3, 1, 4, 5)  # (n, r, c, 3, height, width)
                padding = (*x.padding, *y.padding)
                values = F.pad(strips.flatten(0, 2), padding)
                values = values.contiguous(memory_format=torch.channels_last)
                values = F.relu(self._convolve(1, values, 0), inplace=True)
                values = F.relu(self._convolve(2, F.pad(values, padding), 0), inplace=True)
                values = F.max_pool2d(values, 2, stride=1).permute(0, 2, 3, 1)
                table.append(values.flatten(0, 2))

                n, r, c = strips.shape[:3]
                places = torch.arange(count, count + len(table[-1]), device=images.device)
                places = places.view(n, r, c, *values.shape[1:3])[..., y.inside, :][..., x.inside]
                places = places.view(n, r, c, rows // r, y.size, columns // c, x.size)
                pieces.append(places.permute(0, 1, 3, 2, 5, 4, 6).flatten(0, 4))
                count += len(table[-1])
            bands.append(torch.cat(pieces, dim=2))
        places = torch.cat(bands, dim=1)
        values = torch.cat(table).index_select(0, places.flatten())
        return values.view(*places.shape, -1).permute(0, 3, 1, 2)

    def _late(self, values: Tensor) -> Tensor:
        """Convolutions 3 to 11 and the products with the hidden layers: (patches, 2 hidden)."""
        *levels, last = self._levels
        products: list[Tensor] = []
        for number in range(3, 12):
            values = self._convolve(number, values, 1)
            if number % 2 == 0:
                values = F.relu(F.max_pool2d(values, 2), inplace=True)
            else:
                values = F.relu(values, inplace=True)
                features = values.permute(0, 2, 3, 1).flatten(1).to(last.dtype)
                products.append(features @ levels[len(products)])
            if number == 8:
                values = values.contiguous()
        return torch.cat([torch.stack(products).sum(0), features @ last], dim=1)

    def _follow(self, images: Tensor) -> None:
        """Move the weights to the device and dtype of the images."""
        if self._levels[0].device != images.device or self._levels[0].dtype != images.dtype:
            self._network.to(images.device, images.dtype)
            self._levels = [level.to(images) for level in self._levels]


class FromReference:
    """The distance from fixed references; indices or a mask in brackets keep some of them.

    The references' part is computed once, in the first call that needs it. An attack's first step
    is at the references themselves: there, what the images' gradient is taken of is their part,
    too, unless it is known to be 0.
    """

    def __init__(
        self, distance: Distance, reference: Tensor, at_once: int, known: Tensor | None = None
    ) -> None:
        self._distance, self._reference = distance, reference
        self._at_once, self._known = at_once, known

    def __call__(self, images: Tensor) -> Tensor:
        """Compute the error of each image, shape (N,).

        Raises
        ------
        ValueError
            If the images do not have the shape of the references.
        """
        if images.shape != self._reference.shape:
            raise ValueError(
                f"images: expected the shape of the references, {tuple(self._reference.shape)}, "
                f"got {tuple(images.shape)}; where images are dropped, index the references too"
            )
        if self._known is None and self._at_minimum(images):
            return 0 * images.flatten(1).sum(1)
        values, learnt = [], []

        def errors(reference: Tensor, known: Tensor | None, images: Tensor) -> Tensor:
            if known is None and not torch.equal(images, reference):
                with torch.no_grad():
                    known = self._distance.hidden(reference)
            hidden = self._distance.hidden(images)
            learnt.append(hidden.detach() if known is None else known)
            return self._distance.errors(learnt[-1], hidden)

        references, parts = (all_.split(self._at_once) for all_ in (self._reference, images))
        known = len(parts) * (None,) if self._known is None else self._known.split(self._at_once)
        with rounding(*_ROUNDING[self._distance.precision]):
            for reference, one, part in zip(references, known, parts, strict=True):
                part = part if torch.is_grad_enabled() else part.detach()
                values.append(_ValueAndGradient.apply(part, partial(errors, reference, one)))
        self._known = torch.cat(learnt)
        return torch.cat(values)

    def _at_minimum(self, images: Tensor) -> bool:
        """Whether a value with its gradient is asked for where both are 0.

        Without a gradient the call is made to have the reference's part remembered.
        """
        asked = images.requires_grad and torch.is_grad_enabled()
        return asked and self._distance._flat and torch.equal(images, self._reference)

    def __getitem__(self, keep: Tensor) -> "FromReference":
        """Keep the references that indices, or a boolean mask of shape (N,), name."""
        known = None if self._known is None else self._known[keep]
        return FromReference(self._distance, self._reference[keep], self._at_once, known)


class _ValueAndGradient(torch.autograd.Function):
    """Compute a function of each image and, at once, its gradient; free everything else."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        if not ctx.needs_input_grad[0]:
            return function(images)
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            values = function(images)
            (gradient,) = torch.autograd.grad(values.sum(), images)
        ctx.save_for_backward(gradient)
        return values.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return upstream[:, None, None, None] * gradient, None


class _Part(NamedTuple):
    """One of three parts of the patches along an axis; see `Distance._early`."""

    pixels: slice  # of the image that the part needs
    window: int  # pixels that are convolved together, from one patch or from all
    padding: tuple[int, int]  # zeros before and after
    size: int  # pixels of a patch that come out after pooling
    inside: Tensor  # where in the pooled map they are


def _parts(count: int, stride: int, device: torch.device) -> tuple[_Part, _Part, _Part]:
    """Describe the first pixel, the inside, and the last pixel of ``count`` patches."""
    last = (count - 1) * stride
    starts = stride * torch.arange(count, device=device)
    inside = (starts[:, None] + torch.arange(0, PATCH - 4, 2, device=device)).flatten()
    return (
        _Part(slice(0, last + 4), 4, (1, 0), 1, starts[:1]),
        _Part(slice(0, last + PATCH), last + PATCH, (0, 0), PATCH // 2 - 2, inside),
        _Part(slice(PATCH - 4, last + PATCH), 4, (0, 1), 1, starts[:1]),
    )


def _by_level(network: Network) -> list[Tensor]:
    """Order the hidden layers' weights by level, then row, column, channel: (features, hidden).

    One matrix for each level of the score, and one for the weight.
    """
    sides = [*_LEVELS.values(), _LEVELS[11]]
    sizes = [_CHANNELS[number - 1] * network.width * side**2 for number, side in _LEVELS.items()]
    matrices = [*network.fc1_score.weight.split(sizes, dim=1), network.fc1_weight.weight]
    return [
        matrix.view(network.hidden, -1, side, side).permute(2, 3, 1, 0).flatten(0, 2)
        for matrix, side in zip(matrices, sides, strict=True)
    ]


def _mean(error: Tensor, weight: Tensor) -> Tensor:
    """Weigh the patches' errors: (N, patches) twice -> (N,)."""
    return (error * weight).sum(1) / weight.sum(1)
