"""What the two NPTM attacks share: the start, the distance and the projections."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from humimp import checks
from humimp.attacks._steps import FEATURES, Model, derive, fooled, lost
from humimp.attacks._steps import begin as check

Features = Callable[[Tensor], Tensor]
Projection = Literal["newton", "bisection"]
Variant = Literal["paper", "code"]

_OVERSHOOT = 0.1  # how far Newton's method aims inside the bound, and by how much it goes further
_NEWTON_STEPS = 10
_HALVINGS = 10


def begin(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    features: Features,
    projection: str,
    variant: str,
    h: float,
    noise: float,
    generator: torch.Generator | None,
    steps: int,
    step_size: float,
    confidence: float,
    validate: str,
    targeted: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Check what an attack was given and make its start.

    Returns
    -------
    labels, adversarial, reference, active
        The labels on the images' device; a copy of the images, those to be attacked with noise;
        φ of the images, shape (N, D); indices of the images to be attacked, which are those that
        the model does not misclassify.
    """
    labels = check(
        model, images, labels,
        steps=steps, step_size=step_size, confidence=confidence, validate=validate,
    )  # fmt: skip
    if not callable(features):
        raise ValueError(
            f"features: expected a function images → (N, D), got {type(features).__name__}; "
            "humimp.features.alexnet() makes one, humimp.features.of(model) another"
        )
    checks.choice(projection, "projection", ("newton", "bisection"))
    checks.choice(variant, "variant", ("paper", "code"))
    checks.number(h, "h", above=0)
    checks.number(noise, "noise", low=0)
    adversarial = images.detach().clone()
    active = (~fooled(model, adversarial, labels, 0.0, targeted)).nonzero()[:, 0]
    with torch.no_grad():
        reference = embed(features, adversarial)
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(images.shape[1:], generator=generator, device=generator.device)
    adversarial[active] += noise * drawn.to(images)
    return labels, adversarial, reference, active


def embed(features: Features, images: Tensor) -> Tensor:
    """Return φ, checked, shape (N, D)."""
    found = features(images)
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
        raise ValueError(
            f"features: expected one vector per image, shape ({len(images)}, D), got {shape}"
        )
    if not checks.finite(found):
        raise ValueError("features: NaN or infinite values; expected finite ones for every image")
    if images.requires_grad and not found.requires_grad:
        raise lost(FEATURES)
    return found


def wide(values: Tensor) -> Tensor:
    """Shape one value per image, (N,), so that it multiplies images."""
    return values[:, None, None, None]


def dot(one: Tensor, other: Tensor) -> Tensor:
    """Return the inner product for each image, shape (N,)."""
    return (one * other).sum((1, 2, 3))


def project(
    features: Features,
    original: Tensor,
    reference: Tensor,
    images: Tensor,
    bound: float,
    how: Projection,
    variant: Variant = "paper",
) -> Tensor:
    """Bring images back within the bound: d(x, x0) ≤ bound (Laidlaw et al. 2021, appendix).

    Parameters
    ----------
    features
        φ.
    original
        x0: shape (N, C, H, W).
    reference
        φ(x0), shape (N, D).
    images
        x: same shape as the originals.
    bound
        The greatest distance.
    how
        ``"newton"`` goes against the gradient of d as far as d − bound, linearly extrapolated,
        and a little further, until d is within the bound; an image that has not arrived after ten
        such steps is bisected. ``"bisection"`` halves the way between original and image ten
        times, and returns the last point that was within the bound.
    variant
        ``"code"`` does as the authors' code: each step of Newton's method adds its gradient to
        those of the steps before and goes against the sum, and bisection returns the last point
        that it looked at, which may lie a little outside.

    Returns
    -------
    Tensor
        Images within the bound, one that is already there as it is. In the variant ``"code"``
        bisection may end just outside, and moves what is inside by a thousandth of the way.
    """
    if not len(images):
        return images
    if how == "bisection":
        return _bisect(features, original, reference, images, bound, variant)
    projected, total = images.clone(), torch.zeros_like(images)
    outside = torch.arange(len(images), device=images.device)
    for _ in range(_NEWTON_STEPS):
        with torch.enable_grad():
            x = projected[outside].requires_grad_()
            distance = (embed(features, x) - reference[outside]).norm(dim=1)
            far = distance > bound
            outside = outside[far]
            if not len(outside):
                return projected
            slope = derive(distance, x, FEATURES)
        slope = slope[far]
        checks.gradient(slope, "the distance between the features")
        if variant == "code":
            slope = total[outside] = total[outside] + slope
        squared = dot(slope, slope)
        excess = (distance.detach()[far] - bound + _OVERSHOOT) * (1 + _OVERSHOOT)
        way = torch.where(squared > 0, excess / squared, 0)
        projected[outside] = (x.detach()[far] - wide(way) * slope).clamp(0, 1)
    projected[outside] = _bisect(
        features, original[outside], reference[outside], projected[outside], bound, variant
    )
    return projected


def _bisect(
    features: Features,
    original: Tensor,
    reference: Tensor,
    images: Tensor,
    bound: float,
    variant: Variant,
) -> Tensor:
    """Look for the border of the bound on the way from the original, 0, to the image, 1."""
    low = torch.zeros_like(images[:, 0, 0, 0])
    high = torch.ones_like(low)
    # the image itself is looked at first, but not in the code
    share, looks = (high, _HALVINGS + 1) if variant == "paper" else (high / 2, _HALVINGS)
    with torch.no_grad():
        for _ in range(looks):
            tried = original * (1 - wide(share)) + images * wide(share)
            inside = (embed(features, tried) - reference).norm(dim=1) <= bound
            low, high = torch.where(inside, share, low), torch.where(inside, high, share)
            share = (low + high) / 2
    if variant == "code":
        return tried
    return original * (1 - wide(low)) + images * wide(low)
