"""The 8-bit aware attack: a near image of whole levels, for which Algorithm 1 does not look."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from humimp import checks
from humimp.attacks import _steps
from humimp.attacks._steps import Callback, Model, ask, derive, loss, margin, report, unit
from humimp.images import from_uint8, validate
from humimp.rounding import in_full

_TRIES = 3  # of how far to go along a direction
_NEARER = 0.99  # where the first of them is, if 1 is as far as the best image
_BY = 1.06  # how much nearer or further the second is; the third, by its root
_HALVINGS = 13  # of how far is as far as the best image
_WINDOW = 15  # pixels each way, in which an image is busy or not
_CALM = 0.02  # what the busiest of flat places still is


@in_full
def eight_bit(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 100,
    step_size: float = 0.03,
    rounds: int = 20,
    masking: float = 0.35,
    cost: Any = None,
    confidence: float = 0.0,
    targeted: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """Attack images with few whole levels: climb in fractions, test what is saved, then average.

    **Climb.** z ← z + ε ∇ℓ / ‖∇ℓ‖₂ from z = x, as PGD (L2), with nothing cut off or rounded on
    the way. Before each step the image that would be saved, x_adv = round(255 z)/255, is tried;
    the climb ends where it is misclassified by more than the confidence.

    **Average.** The least change that crosses a boundary goes along the boundary's normal. It is
    estimated by a mean of gradients of the margin m = max over i ≠ y of logits_i − logits_y: from
    w₀ = (z − x) / ‖z − x‖₂, in each of the rounds t = 0, 1, …, with β = 2/(t + 4),
    w ← (1 − β) w + β ∇m / ‖∇m‖₂. Tried is x_adv = round(255 (x + s w))/255 for three scales s,
    the first a little nearer than the best image so far, the others nearer where the last was
    misclassified and further where not. What is misclassified and has a smaller ground cost is
    kept; the last misclassified of the round is where the next gradient is taken, or if none is,
    the first that was tried.

    Of all images of whole levels at its squared distance or less, x + s w rounded is the one that
    goes the furthest along w: its k-th level in a value adds |w_i| for 2k − 1 of the squared
    distance, and taken are those that add at least 1/(2s) for each. So a small gradient is not
    rounded away; it is not worth a level.

    **Masking.** A change is seen less where the image is busy. So a change δ_i of a value has the
    price δ_i² / r_i, r_i = (σ_i + 0.02)ᵖ, with σ_i the standard deviation of the brightness in the
    15 × 15 pixels around, as Croce and Hein (2019) bound changes by the deviation beside; the r_i
    are scaled to a mean of 1. The best direction is then r w, not w. With p = 0 all places are
    alike.

    Parameters
    ----------
    model
        θ: images in [0, 1] → logits (N, K). It is left as it is: no gradient reaches parameters.
    images
        x: shape (N, C, H, W), C = 1 or 3, values in [0, 1].
    labels
        y: shape (N,), the true labels; the classes to reach if ``targeted``.
    steps
        N, the greatest number of steps of the climb.
    step_size
        ε, the Euclidean length of a step. Short ones end nearer to the boundary.
    rounds
        R, the number of rounds of averaging; 0 for the climb alone.
    masking
        p ≥ 0. More hides the change better and makes it longer.
    cost
        c0: callable (images, adversarial) → (N,), see `imperceptible`; no gradient is asked of it.
        By default the sum of the prices; for p = 0 that is the squared Euclidean distance.
    confidence
        a ≥ 0: an image counts as misclassified where its margin is above a.
    targeted
        Whether to reach ``labels`` instead of leaving them.
    callback
        Called as ``callback(step, images, active)`` after each step of the climb and each round:
        their number from 1 on, a copy of all images as they would be saved, shape (N, C, H, W),
        and a boolean mask, shape (N,), of those that took part.

    Returns
    -------
    Tensor
        Same shape, dtype and device as ``images``, each image valid 8 bit; one that is
        misclassified from the start is returned as it came, and one that never was as the climb
        left it.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`), a cost that is not one finite value per image, or a
        gradient that is not finite.

    Notes
    -----
    This attack is not in the paper. A step of the climb costs two forward passes and one backward,
    a round four forward passes and one backward. The mean with weights that fall as 1/t is that of
    dual averaging (Nesterov 2009), which also goes from the start along a mean of gradients.
    """
    labels = _steps.begin(
        model, images, labels,
        steps=steps, step_size=step_size, confidence=confidence, validate="round",
    )  # fmt: skip
    checks.count(rounds, "rounds")
    checks.number(masking, "masking", low=0)

    def margins(x: Tensor, rows: Tensor) -> Tensor:
        with torch.no_grad():
            logits = model(x)
        checks.logits(logits, labels[rows])
        return margin(logits, labels[rows], targeted)

    z, adversarial, fooled = _climb(
        model, images.detach(), labels, margins, steps, step_size, confidence, targeted, callback
    )
    rows = fooled.nonzero().flatten()
    if not len(rows) or not rounds:
        return adversarial
    original = images.detach()[rows]
    room = _room(original, masking)
    price = partial(_price, original, room)
    far = price if cost is None else _steps.remember(cost, images.detach())[rows]
    with torch.no_grad():
        least = far(adversarial[rows])
    checks.cost(least, len(rows))
    way, here = unit(z[rows] - original), adversarial[rows]
    for number in range(rounds):
        with torch.enable_grad():
            x = here.clone().requires_grad_()
            value = margin(ask(model, x, labels[rows]), labels[rows], targeted)
            slope = derive(value, x)
        checks.gradient(slope, "the margin")
        way = way.lerp(unit(slope), 2 / (number + 4))
        along = partial(_along, original, room * way)
        scale = _NEARER * _reach(along, room * way, price, price(adversarial[rows]))
        by = torch.full_like(scale, _BY)
        here = along(scale)
        for _ in range(_TRIES):
            tried = along(scale)
            wrong = margins(tried, rows) > confidence
            with torch.no_grad():
                found = far(tried)
            checks.cost(found, len(rows))
            better = wrong & (found < least)
            adversarial[rows[better]], least[better] = tried[better], found[better]
            here[wrong] = tried[wrong]
            scale, by = torch.where(wrong, scale / by, scale * by), by.sqrt()
        report(callback, steps + number + 1, adversarial, rows)
    return adversarial


def _climb(
    model: Model,
    images: Tensor,
    labels: Tensor,
    margins: Callable[[Tensor, Tensor], Tensor],
    steps: int,
    step_size: float,
    confidence: float,
    targeted: bool,
    callback: Callback | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Climb until the rounded image is misclassified.

    Returns z, the images, and a mask of those that took a step and ended misclassified.
    """
    z, adversarial = images.clone(), images.clone()
    fooled = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    active = torch.arange(len(images), device=images.device)
    for step in range(1, steps + 1):
        with torch.enable_grad():
            x = z[active].requires_grad_()
            logits = ask(model, x, labels[active])
            if step == 1:  # what is misclassified as it came is left alone
                going = margin(logits, labels[active], targeted) <= confidence
                active = active[going]
                if not len(active):
                    break
            else:
                going = torch.ones_like(active, dtype=torch.bool)
            value = loss(logits[going], labels[active], targeted)
            gradient = derive(value, x)
        gradient = gradient[going]
        checks.gradient(gradient, "the loss")
        z[active] = validate(z[active] + step_size * unit(gradient), "none")
        adversarial[active] = validate(z[active], "round")
        report(callback, step, adversarial, active)
        wrong = margins(adversarial[active], active) > confidence
        fooled[active[wrong]] = True
        active = active[~wrong]
        if not len(active):
            break
    return z, adversarial, fooled


def _along(original: Tensor, way: Tensor, scale: Tensor) -> Tensor:
    """Return the images round(x + scale · way), the scale in levels, shape (N,)."""
    change = (scale.to(way).view(-1, 1, 1, 1) * way).round()
    return from_uint8((255 * original + change).round().clamp(0, 255).byte(), original.dtype)


def _reach(
    along: Callable[[Tensor], Tensor],
    way: Tensor,
    price: Callable[[Tensor], Tensor],
    wanted: Tensor,
) -> Tensor:
    """Return the scale, shape (N,), up to which images along a way have the price at most.

    At ``low`` no entry of the way is half a level, at ``high`` the largest is all of them.
    """
    peak = way.abs().flatten(1).amax(1).double().clamp(min=torch.finfo(torch.float64).tiny)
    low, high = 0.5 / peak, 255.5 / peak
    for _ in range(_HALVINGS):
        middle = (low * high).sqrt()
        within = price(along(middle)) <= wanted
        low, high = torch.where(within, middle, low), torch.where(within, high, middle)
    return low


def _room(images: Tensor, masking: float) -> Tensor:
    """Return (σ + 0.02)ᵖ at each value, divided by its mean over the image, (N, C, H, W)."""
    pixels = images.double().mean(1, keepdim=True)
    beside = _WINDOW // 2
    padded = F.pad(pixels, 4 * [beside], mode="replicate")
    mean, square = (F.avg_pool2d(one, _WINDOW, 1) for one in (padded, padded.square()))
    room = ((square - mean.square()).clamp(min=0).sqrt() + _CALM) ** masking
    return (room / room.mean((1, 2, 3), keepdim=True)).to(images).expand_as(images)


def _price(original: Tensor, room: Tensor, images: Tensor) -> Tensor:
    """Return the sum of the prices, shape (N,), added up in double precision."""
    return ((images - original).square() / room).flatten(1).sum(1, dtype=torch.float64)
