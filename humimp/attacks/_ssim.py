"""The second-order expansion of 1 − SSIM at an image: ½ δᵀHδ, and how to solve Hδ = g.

In a window with weights w (adding up to 1), let μ and σ² be the image's mean and variance, and
A = 2μ² + C₁, B = 2σ² + C₂. For a perturbation δ with mean m = Σ wδ the luminance term of SSIM is
1 − m²/A and the other 1 − (Σ wδ² − m²)/B, both to second order. The covariance of δ with the image
cancels. Averaged over the windows this is ½ δᵀHδ with

    H = 2 · mean over windows of [ diag(w)/B + (1/A − 1/B) w wᵀ ].

H is positive definite if each pixel has weight in some window. Channels do not mix; SSIM is their
mean, so each block is divided by their number.
"""

import torch
from torch import Tensor

from humimp import checks

C1, C2 = 0.01**2, 0.03**2
_SIZE, _SIGMA = 11, 1.5


class GlobalWindow:
    """H for one window over the whole image, each pixel with weight 1/n.

    Parameters
    ----------
    images
        Shape (N, C, H, W), values in [0, 1].
    """

    def __init__(self, images: Tensor) -> None:
        x = images.detach().double()
        self._a = 2 * _mean(x) ** 2 + C1
        self._b = 2 * _mean((x - _mean(x)) ** 2) + C2
        self._number = x[0].numel()

    def apply(self, perturbation: Tensor) -> Tensor:
        """Return Hδ, same shape as δ: 2/n · [(δ − m)/B + m/A]."""
        m = _mean(perturbation)
        return 2 / self._number * ((perturbation - m) / self._b + m / self._a)

    def solve(self, gradient: Tensor) -> Tensor:
        """Return H⁻¹g in closed form: n/2 · [B(g − mean g) + A mean g]."""
        m = _mean(gradient)
        return self._number / 2 * (self._b * (gradient - m) + self._a * m)


class GaussianWindows:
    """H for the Gaussian windows of Wang et al. (2004): 11 × 11 pixels, σ = 1.5.

    A Gaussian window is a product of a column and a row, so averaging over all windows is
    G X Gᵀ with one banded matrix per side, and its adjoint is Gᵀ M G.

    Parameters
    ----------
    images
        Shape (N, C, H, W), values in [0, 1].
    border
        ``"inside"``: the windows that fit into the image, as in Wang et al. and in `costs.SSIM`.
        ``"black"``: a window at every pixel, the image being black beyond its border.

    Raises
    ------
    ValueError
        For another word, or if no window fits into the image.
    """

    def __init__(self, images: Tensor, border: str) -> None:
        checks.choice(border, "border", ("black", "inside"))
        height, width = images.shape[-2:]
        if border == "inside" and min(height, width) < _SIZE:
            raise ValueError(
                f"images: SSIM's windows of {_SIZE} × {_SIZE} pixels do not fit into "
                f"{height} × {width} pixels; use border='black', window='global' or larger images"
            )
        x = images.detach().double()
        self._rows, self._columns = (_band(side, border).to(x) for side in (height, width))
        mean = self._average(x)
        a = 2 * mean**2 + C1
        b = 2 * (self._average(x**2) - mean**2).clamp(min=0) + C2
        self._number = a[0].numel()
        self._ratio = 1 / a - 1 / b
        self._diagonal = self._spread(1 / b)
        squared = self._rows.T**2 @ self._ratio @ self._columns**2
        #: the diagonal of H, shape (N, C, H, W)
        self.diagonal = 2 / self._number * (self._diagonal + squared)

    def apply(self, perturbation: Tensor) -> Tensor:
        """Return Hδ, same shape as δ."""
        outer = self._spread(self._ratio * self._average(perturbation))
        return 2 / self._number * (self._diagonal * perturbation + outer)

    def solve(self, gradient: Tensor, tolerance: float = 1e-8) -> Tensor:
        """Return H⁻¹g by conjugate gradients, preconditioned with the diagonal of H.

        Each image stops when ‖g − Hδ‖₂ ≤ tolerance · ‖g‖₂. There is no damping: every pixel has
        weight in some window, if little near the border for ``"inside"``, and the preconditioner
        takes care of that.

        Parameters
        ----------
        gradient
            g: shape (N, C, H, W), double precision.
        tolerance
            The relative residual to reach, at least 10⁻¹⁴.

        Returns
        -------
        Tensor
            δ, same shape.

        Raises
        ------
        ValueError
            If it is not reached within as many iterations as an image has pixels.
        """
        checks.number(tolerance, "tolerance", low=1e-14)
        goal = tolerance**2 * _dot(gradient, gradient)
        solution, residual = torch.zeros_like(gradient), gradient
        scaled = residual / self.diagonal
        direction, energy = scaled, _dot(residual, scaled)
        for _ in range(max(gradient[0].numel(), 100)):
            going = _dot(residual, residual) > goal
            if not bool(going.any()):
                return solution
            image = self.apply(direction)
            stride = torch.where(going, energy / _dot(direction, image), 0)
            solution = solution + stride * direction
            residual = residual - stride * image
            scaled = residual / self.diagonal
            before, energy = energy, _dot(residual, scaled)
            direction = scaled + torch.where(going, energy / before, 0) * direction
        raise ValueError(
            f"tolerance: conjugate gradients did not reach {tolerance:g}; allow more, such as 1e-8"
        )

    def _average(self, images: Tensor) -> Tensor:
        """Average over each window, (N, C, H, W) to (N, C, rows, columns) of windows."""
        return self._rows @ images @ self._columns.T

    def _spread(self, windows: Tensor) -> Tensor:
        """Spread one number per window over its pixels: the adjoint of `_average`."""
        return self._rows.T @ windows @ self._columns


def _band(side: int, border: str) -> Tensor:
    """Return the matrix that averages over windows on a line, a row for each window."""
    offsets = torch.arange(_SIZE, dtype=torch.float64) - _SIZE // 2
    weights = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights = weights / weights.sum()
    band = torch.zeros(side, side + _SIZE - 1, dtype=torch.float64)
    for row in range(side):
        band[row, row : row + _SIZE] = weights
    half = _SIZE // 2
    band = band[:, half:-half]
    return band if border == "black" else band[half : side - half]


def _mean(images: Tensor) -> Tensor:
    """Return each channel's mean, shape (N, C, 1, 1)."""
    return images.mean((2, 3), keepdim=True)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return each image's inner product, shape (N, 1, 1, 1)."""
    return (a * b).sum((1, 2, 3), keepdim=True)
