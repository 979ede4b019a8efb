"""PerC-AL of Zhao, Liu and Larson (2020), with which Section 3.2 and Section 4 compare."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from humimp import checks
from humimp.attacks._steps import (
    COST,
    Callback,
    Model,
    ask,
    derive,
    fooled,
    loss,
    remember,
    report,
    unit,
)
from humimp.color import at, color_distance
from humimp.images import validate as make_valid
from humimp.rounding import in_full

#: Steps times images from which on a GPU compiling the colour difference is repaid.
_REPAID = 10_000


@in_full
def perc_al(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 1000,
    step_size_loss: float = 1.0,
    step_size_color: float = 0.5,
    confidence: float = 0.0,
    cost: Callable[[Tensor, Tensor], Tensor] = color_distance,
    keep: Literal["least", "code"] = "least",
    targeted: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """Attack images by PerC-AL: fool the classifier and mend the colours, in turns.

    An image that does not fool the classifier yet takes a step up the loss, x ← x + α_l ∇ℓ / ‖∇ℓ‖₂;
    one that does takes a step back to the original's colours, x ← x − α_c ∇c / ‖∇c‖₂, where c is
    the Euclidean norm over the pixels of the colour difference CIEDE2000. Then x is clamped to
    [0, 1], and its 8-bit image is tried. The steps shrink on half a cosine, from α_l to α_l/100 and
    from α_c to α_c/10. The 8-bit image that fools at the least c is returned. ℓ is the
    cross-entropy.

    Zhengyu Zhao, Zhuoran Liu and Martha Larson (2020), "Towards large yet imperceptible adversarial
    image perturbations with perceptual color distance", CVPR.

    Parameters
    ----------
    model
        θ: images in [0, 1] → logits (N, K). It is left as it is: no gradient reaches parameters.
    images
        x0: shape (N, C, H, W), C = 1 or 3, values in [0, 1]. One channel is taken as R = G = B.
    labels
        y0: shape (N,), the true labels; the classes to reach if ``targeted``.
    steps
        The number of steps. All are taken, except by images that fool from the start.
    step_size_loss
        α_l, the Euclidean length of the first step up the loss.
    step_size_color
        α_c, that of the first step back to the original's colours. A comment in the authors' code
        says that 0.1 was used for untargeted attacks in their paper.
    confidence
        κ ≥ 0: an image fools where max over i ≠ y of logits_i − logits_y > κ. The authors' code
        uses κ = 40 whenever its argument is not 0; pass 40 for what it calls confidence.
    cost
        c: callable (images, adversarial) → (N,), differentiable in the second. If it has a method
        ``at``, that is used; see `imperceptible`. The default is compiled on a GPU where that
        pays, which is where steps times images is 10 000 or more.
    keep
        Which of the 8-bit images that fool is returned.

        ``"least"``
            the one whose own c is least.
        ``"code"``
            as in the authors' code: each is rated by c of the unrounded iterate from which it
            came by its last step back (if it came by a step up the loss, by its own before
            rounding). This often prefers a worse image, so a number that was published with that
            code needs it. With 40 steps the c of 20 photographs was twice that of ``"least"``
            (``results/peers/perc_al.json``).
    targeted
        Whether to reach ``labels`` instead of leaving them.
    callback
        Called as ``callback(step, images, active)`` after each step: the number of the step from
        1, a copy of the 8-bit images that are tried, shape (N, C, H, W), and a boolean mask,
        shape (N,), of those that took the step.

    Returns
    -------
    Tensor
        Same shape, dtype and device as ``images``: 8-bit images. One that is misclassified from
        the start, or never fools, is returned as it came.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`), a cost that is not one finite value per image, or a
        gradient that is not finite.

    Notes
    -----
    A step costs a forward pass that tries the 8-bit images, and a forward and a backward pass at
    the unrounded images that still have to fool. These cannot be shared, because they are different
    images. With ``keep="least"`` the cost is asked once more for those that fool.

    In two more places the authors' code differs. It perturbs images that are misclassified from the
    start, and it divides by a length that can be zero, which gives NaN; here such an image stays.
    Its CIEDE2000, too, departs from the formula for black pixels; see ``benchmarks/perc_al.py``,
    which compares the two.
    """
    checks.can_derive()
    checks.model(model)
    checks.images(images)
    checks.labels(labels, images)
    checks.count(steps, "steps")
    checks.number(step_size_loss, "step_size_loss", above=0)
    checks.number(step_size_color, "step_size_color", above=0)
    checks.number(confidence, "confidence", low=0)
    checks.choice(keep, "keep", ("least", "code"))
    labels = labels.to(images.device)

    adversarial = images.detach().clone()
    active = (~fooled(model, adversarial, labels, confidence, targeted)).nonzero()[:, 0]
    if not len(active):
        return adversarial
    x, y = adversarial[active], labels[active]
    if cost is color_distance:
        distance: Any = at(x, compiled=images.is_cuda and steps * len(images) >= _REPAID)
    else:
        distance = remember(cost, x, learn=True)
    least = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
    done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    tried = adversarial.clone()
    for step in range(1, steps + 1):
        cosine = (1 + math.cos(math.pi * (step - 1) / steps)) / 2
        x, rating = x.clone(), torch.empty_like(least)
        up, back = (~done).nonzero()[:, 0], done.nonzero()[:, 0]
        if len(up):
            x[up] = _up(model, x[up], y[up], targeted, step_size_loss, cosine)
            if keep == "code":
                rating[up] = _rate(distance[up], x[up]).double()
        if len(back):
            x[back], before = _back(distance[back], x[back], step_size_color, cosine)
            rating[back] = before.double()
        eight_bit = make_valid(x, "round")
        done = fooled(model, eight_bit, y, confidence, targeted, again=True)
        right = done.nonzero()[:, 0]
        if keep == "least" and len(right):
            rating[right] = _rate(distance[right], eight_bit[right]).double()
        better = done & (rating < least)
        least[better] = rating[better]
        adversarial[active[better]] = eight_bit[better]
        tried[active] = eight_bit
        report(callback, step, tried, active)
    return adversarial


def _up(
    model: Model, x: Tensor, labels: Tensor, targeted: bool, step_size: float, cosine: float
) -> Tensor:
    """Step up the loss; steps shrink to a hundredth."""
    with torch.enable_grad():
        x = x.requires_grad_()
        value = loss(ask(model, x, labels, again=True), labels, targeted)
        gradient = derive(value, x)
    checks.gradient(gradient, "the loss")
    return (x.detach() + step_size * (0.01 + 0.99 * cosine) * unit(gradient)).clamp(0, 1)


def _back(
    distance: Callable[[Tensor], Tensor], x: Tensor, step_size: float, cosine: float
) -> tuple[Tensor, Tensor]:
    """Step down the cost, return what it was before, too; steps shrink to a tenth."""
    with torch.enable_grad():
        x = x.requires_grad_()
        value = distance(x)
        checks.cost(value, len(x))
        gradient = derive(value, x, COST)
    checks.gradient(gradient, "the cost")
    x = x.detach() - step_size * (0.1 + 0.9 * cosine) * unit(gradient)
    return x.clamp(0, 1), value.detach()


def _rate(distance: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the cost, checked, without a gradient."""
    with torch.no_grad():
        value = distance(x)
    checks.cost(value, len(x))
    return value
