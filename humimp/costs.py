"""Ground costs c₀(x, x′): how strange an image looks next to its original.

A cost is called with ``(reference, images)``, both (N, C, H, W) in [0, 1], and returns one value
per image, (N,). It is 0 at the reference, differentiable in the images, and no image's value
depends on the rest of the batch. At the reference itself, where Algorithm 1 starts, the gradient is
finite, and 0 up to rounding (of `PieAPP`, whose weights decide, it is what autograd makes of them).
"""

import hashlib
from pathlib import Path
from typing import Literal

import piq
import torch
from torch import Tensor

from humimp import checks, distances, pieapp, weights


class SSIM:
    """1 − SSIM, the structural similarity of Wang et al. (2004), per channel and averaged.

    With C₁ = 0.01², C₂ = 0.03² and means μ, variances σ² and covariance within a window,
    SSIM = (2μμ′ + C₁)(2σₓₓ′ + C₂) / ((μ² + μ′² + C₁)(σ² + σ′² + C₂)).

    Parameters
    ----------
    window
        ``"gaussian"``
            11 × 11 pixels, σ = 1.5, at every place where it fits in the image, averaged. Images
            must have 11 pixels at least each way; large ones are not made smaller first.
        ``"global"``
            one window over the whole image, in which each pixel counts the same (σ² is the mean
            squared deviation).
    """

    def __init__(self, window: Literal["gaussian", "global"] = "gaussian") -> None:
        checks.choice(window, "window", ("gaussian", "global"))
        self.window = window

    def __repr__(self) -> str:
        return f"SSIM(window={self.window!r})"

    def __call__(self, reference: Tensor, images: Tensor) -> Tensor:
        """Return the cost of each image, shape (N,)."""
        checks.pair(reference, images)
        if self.window == "global":
            return 1 - _global_ssim(reference, images).mean(1)
        _large_enough(images, 11, "SSIM's window")
        return 1 - piq.ssim(images, reference, reduction="none", downsample=False)


class HaarPSI:
    """1 − HaarPSI, the similarity of Haar wavelet coefficients of Reisenhofer et al. (2018).

    Images must have 16 pixels at least each way. In float32 the value at the reference is 0 to
    within 10⁻⁵.
    """

    def __repr__(self) -> str:
        return "HaarPSI()"

    def __call__(self, reference: Tensor, images: Tensor) -> Tensor:
        """Return the cost of each image, shape (N,)."""
        checks.pair(reference, images)
        _large_enough(images, 16, "HaarPSI's largest wavelet")
        # Without any wavelet coefficient the index is 0/0. That takes a black image next to a black
        # one, which are equal: their cost is 0, and so is its gradient.
        lit = (reference + images.detach()).flatten(1).any(1)
        values = images.flatten(1).sum(1) * 0
        if lit.any():
            values[lit] = 1 - piq.haarpsi(images[lit], reference[lit], reduction="none")
        return values


class LPIPS:
    """Learned perceptual image patch similarity, the value of `humimp.distances.LPIPS`.

    Images must have 32 pixels at least each way; one channel is taken as grey. All images go
    through the network at once.

    Parameters
    ----------
    net
        Whose features: ``"alex"`` for AlexNet, ``"vgg"`` for VGG-16, about twenty times the work.

    Notes
    -----
    This is LPIPS itself, a weighted sum of squared differences of features, so its gradient at the
    reference is 0. Its square root, which some attacks bound or minimise instead, has none there.

    Raises
    ------
    ValueError, FileNotFoundError, ConnectionError
        If the weights are not there, see `humimp.weights`.
    """

    def __init__(self, net: Literal["alex", "vgg"] = "alex") -> None:
        checks.choice(net, "net", ("alex", "vgg"))
        self.net = net
        self._network = distances.LPIPSNetwork(net)

    def __repr__(self) -> str:
        return f"LPIPS(net={self.net!r})"

    def __call__(self, reference: Tensor, images: Tensor) -> Tensor:
        """Return the cost of each image, shape (N,)."""
        checks.pair(reference, images)
        return self.at(reference)(images)

    def at(self, reference: Tensor) -> "LPIPSFromReference":
        """Return the cost from these references, whose features are computed once."""
        checks.images(reference, "reference")
        _large_enough(reference, 32, "LPIPS's network")
        with torch.no_grad():
            features = self._network.features(reference)
        return LPIPSFromReference(self._network, features, reference.shape[1:])


class LPIPSFromReference:
    """LPIPS from fixed references; indices or a mask in brackets keep some of them."""

    def __init__(
        self, network: distances.LPIPSNetwork, features: list[Tensor], shape: torch.Size
    ) -> None:
        self._network, self._features, self._shape = network, features, shape

    def __call__(self, images: Tensor) -> Tensor:
        """Compute the cost of each image, shape (N,).

        Raises
        ------
        ValueError
            If the images do not have the shape of the references.
        """
        wanted = (len(self._features[0]), *self._shape)
        if images.shape != wanted:
            raise ValueError(
                f"images: expected the shape of the references, {wanted}, got "
                f"{tuple(images.shape)}; where images are dropped, index the references too"
            )
        return self._network.between(self._features, self._network.features(images))

    def __getitem__(self, keep: Tensor) -> "LPIPSFromReference":
        """Keep the references that indices, or a boolean mask of shape (N,), name."""
        features = [layer[keep] for layer in self._features]
        return LPIPSFromReference(self._network, features, self._shape)


class PieAPP:
    """The perceptual error of Prashnani et al. (2018), the paper's ground cost (section 3.2).

    Images must have 64 pixels at least each way. Rows and columns beyond the last whole patch (the
    last (size − 64) mod stride of them) are not seen. The value may fall slightly below 0. Weights
    at whose reference the error is not 0 (`humimp.pieapp.Network.at_reference`) are refused.

    Parameters
    ----------
    weights
        ``"official"``
            the published weights (247 MB, see `humimp.weights`);
        ``"small"``
            PieAPP-small, which comes with the package: the same architecture, slim, trained by this
            project on the preferences of a committee of metrics. It does not hold PieAPP's weights
            (the book's appendix says what it can do);
        a file
            that `humimp.weights.read` reads.
    stride, patches, precision
        See `humimp.pieapp.Distance`.

    Raises
    ------
    ValueError
        If the weights are not PieAPP's, or do not give 0 at the reference.
    FileNotFoundError, ConnectionError
        If the weights are not there.
    """

    def __init__(
        self,
        weights: Literal["official", "small"] | str | Path = "official",
        *,
        stride: int = 27,
        patches: int | None = None,
        precision: str = "float32",
    ) -> None:
        self.weights = Path(weights).name
        self.stride, self.precision = stride, precision
        state, self.sha256 = _pieapp_weights(str(weights))
        network = pieapp.from_state(state)
        if abs(network.at_reference()) > 1e-5:
            raise ValueError(
                f"weights: with {self.weights!r} an image has the error "
                f"{network.at_reference():.2g} with itself, and a ground cost must give 0; "
                "call centre() on the humimp.pieapp.Network and save it anew, in float32"
            )
        self._distance = pieapp.Distance(
            network, stride=stride, patches=patches, precision=precision
        )

    def __repr__(self) -> str:
        return f"PieAPP(weights={self.weights!r})"

    def __call__(self, reference: Tensor, images: Tensor) -> Tensor:
        """Return the cost of each image, shape (N,)."""
        checks.pair(reference, images)
        return self._distance(reference, images)

    def at(self, reference: Tensor) -> pieapp.FromReference:
        """Return the cost from these references, whose features are computed once."""
        checks.images(reference, "reference")
        return self._distance.at(reference)


def _pieapp_weights(which: str) -> tuple[dict[str, Tensor], str]:
    """Read weights by name or from a file; also give the SHA-256 of the file."""
    names = {"official": "pieapp", "small": "pieapp_small"}
    if which in names:
        return weights.load(names[which]), weights.sha256(names[which])
    if not Path(which).suffix:
        raise ValueError(f"weights: expected 'official', 'small' or a file, got {which!r}")
    state = weights.read(which)
    return state, hashlib.sha256(Path(which).read_bytes()).hexdigest()


def _global_ssim(reference: Tensor, images: Tensor) -> Tensor:
    """SSIM in one window over the whole image, shape (N, C)."""
    c1, c2 = 0.01**2, 0.03**2
    x, y = reference.flatten(2), images.flatten(2)
    mean_x, mean_y = x.mean(2, keepdim=True), y.mean(2, keepdim=True)
    variance_x = ((x - mean_x) ** 2).mean(2)
    variance_y = ((y - mean_y) ** 2).mean(2)
    covariance = ((x - mean_x) * (y - mean_y)).mean(2)
    mean_x, mean_y = mean_x.squeeze(2), mean_y.squeeze(2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return luminance * structure


def _large_enough(images: Tensor, pixels: int, what: str) -> None:
    """Check that a window fits into the images."""
    height, width = images.shape[-2:]
    if min(height, width) < pixels:
        raise ValueError(
            f"images: {what} needs at least {pixels} × {pixels} pixels, got {height} × {width}; "
            "use larger images or another cost"
        )
