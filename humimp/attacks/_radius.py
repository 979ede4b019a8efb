"""What the one-step attacks share: the gradient, and a step whose end lies at a given distance."""

import torch
from torch import Tensor

from humimp import checks
from humimp.attacks._steps import Model, ask, derive, length, loss
from humimp.images import Validation, validate


def gradient(model: Model, images: Tensor, labels: Tensor, targeted: bool) -> Tensor:
    """Check the input and return ∇ℓ per image in double precision, its largest entry scaled to 1.

    Where the gradient is zero it stays zero.
    """
    checks.can_derive()
    checks.model(model)
    checks.images(images)
    checks.labels(labels, images)
    labels = labels.to(images.device)
    with torch.enable_grad():
        x = images.detach().clone().requires_grad_()
        value = loss(ask(model, x, labels), labels, targeted)
        slope = derive(value, x)
    checks.gradient(slope, "the loss")
    return _peak_one(slope.double())


def step(images: Tensor, direction: Tensor, l2: float, how: Validation) -> Tensor:
    """Go along a direction until the valid image is as far from the original as asked.

    Clipping and rounding change the length of a step, so the scale is found by bisection for each
    image; the distance never falls as the scale grows. Of the two images on either side of the
    last jump the one is taken whose distance is nearer to ``l2``.

    Parameters
    ----------
    images
        Shape (N, C, H, W).
    direction
        Same shape, in double precision. Entries below 10⁻¹² of an image's largest count as 0.
    l2
        The distance ‖x_adv − x‖₂ to reach.
    how
        How an image is made valid.

    Returns
    -------
    Tensor
        Same shape, dtype and device as ``images``. If even the end of the way is nearer than
        ``l2``, where each pixel with a direction has reached 0 or 1, that end is returned; if the
        direction is zero everywhere, the original.
    """
    checks.number(l2, "l2", above=0)
    checks.choice(how, "validate", ("truncate", "round", "none"))
    start, way = images.detach().double(), _peak_one(direction)
    way = torch.where(way.abs() < 1e-12, 0, way)

    def at(scale: Tensor) -> Tensor:
        return validate(start + scale[:, None, None, None] * way, how)

    def far_enough(scale: Tensor) -> Tensor:
        return length(at(scale) - start) >= l2

    end = validate(torch.where(way == 0, start, (way > 0).double()), how)
    reachable = length(end - start) > l2
    low, high = torch.zeros_like(end[:, 0, 0, 0]), torch.full_like(end[:, 0, 0, 0], l2)
    while bool((reachable & ~far_enough(high)).any()):
        high = torch.where(far_enough(high), high, 2 * high)
    for _ in range(80):
        middle = (low + high) / 2
        far = far_enough(middle)
        low, high = torch.where(far, low, middle), torch.where(far, middle, high)
    below, above = at(low), at(high)
    near = l2 - length(below - start) < length(above - start) - l2
    found = torch.where(near[:, None, None, None], below, above)
    found = torch.where(reachable[:, None, None, None], found, end)
    return validate(found.to(images.dtype), how)


def _peak_one(direction: Tensor) -> Tensor:
    """Scale the largest entry of each image's direction to 1 in magnitude, unless it is 0."""
    peak = direction.abs().amax((1, 2, 3), keepdim=True)
    return direction / torch.where(peak > 0, peak, 1)
