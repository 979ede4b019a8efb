"""Section 3.2: the human imperceptible attack, Algorithm 1."""

from typing import Any

import torch
from torch import Tensor

from humimp import checks
from humimp.attacks._steps import (
    COST,
    Callback,
    Doubts,
    Model,
    begin,
    check_way,
    derive,
    loss,
    remember,
    report,
    still_right,
    unit,
)
from humimp.images import Validation
from humimp.images import validate as make_valid


def imperceptible(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    cost: Any,
    confidence: float = 0.0,
    steps: int = 100,
    step_size: float = 0.1,
    lam: float = 1.0,
    normalized: bool = False,
    validate: Validation = "truncate",
    targeted: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """Attack images by Algorithm 1: gradient ascent on ℓ(θ; x, y) − λ c0(x0, x), Eq. (4).

    Before each step the image is tried; once it is misclassified by more than the confidence it
    is returned. After the last step the image is returned without another try. ℓ is the
    cross-entropy.

    Parameters
    ----------
    model
        θ: images in [0, 1] → logits (N, K). It is left as it is: no gradient reaches parameters.
    images
        x: shape (N, C, H, W), C = 1 or 3, values in [0, 1].
    labels
        y: shape (N,), the true labels; the classes to reach if ``targeted``.
    cost
        c0: callable (images, adversarial) → (N,), differentiable in the second. If it has a
        method ``at``, ``cost.at(images)`` must give a callable adversarial → (N,) that a tensor of
        indices can index, and is used instead.
    confidence
        a ≥ 0: stop where max over i ≠ y of logits_i − logits_y > a (line 4).
    steps
        N, the greatest number of steps.
    step_size
        ε.
    lam
        λ ≥ 0, the price of the cost.
    normalized
        Whether Δ is divided by its Euclidean length, so that ε is the length of each step. The
        listing takes it as it is.
    validate
        How line 9 makes a valid image after each step, one of three readings.

        ``"truncate"``
            clamp to [0, 1] and floor to 8 bit. The paper's: any negative step, however small,
            takes a pixel down one level.
        ``"round"``
            clamp and round to 8 bit. A step of less than half a level is undone, so the attack
            may stall.
        ``"none"``
            clamp only. The result is not an 8-bit image; rounding it afterwards may undo the
            attack.
    targeted
        Whether to reach ``labels`` instead of leaving them: the loss is then descended, and the
        margin of line 4 reversed.
    callback
        Called as ``callback(step, images, active)`` after each step: the number of the step from
        1, a copy of all images as they are, shape (N, C, H, W), and a boolean mask, shape (N,),
        of those that took the step.

    Returns
    -------
    Tensor
        x_adv: same shape, dtype and device as ``images``. Each image that took a step is valid
        as ``validate`` says; one that passes the test of line 4 from the start is returned as it
        came.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`), a cost that is not one finite value per image, or a
        gradient that is not finite.

    Notes
    -----
    The forward pass that tries an image is the one whose gradient is used, so an image that needs
    k steps costs k + 1 forward and at most k + 1 backward passes (N each if it needs all). Images
    that are done leave the batch; where less than half of it is left, what is left is asked about
    once more, so that no backward pass goes through the others.

    A GPU may round factors of convolutions to TF32 here, as PyTorch lets it: an image stops behind
    the boundary, and the outcome stays that of a CPU (the book's appendix on speed). The attacks
    that come back to the boundary ask for full float32 (`humimp.rounding`).
    """
    labels = begin(
        model, images, labels,
        steps=steps, step_size=step_size, confidence=confidence, validate=validate,
    )  # fmt: skip
    checks.number(lam, "lam", low=0)

    adversarial = images.detach().clone()  # line 1
    active = torch.arange(len(images), device=images.device)
    distance = remember(cost, images.detach())
    doubts = Doubts()
    for step in range(1, steps + 1):  # line 2
        with torch.enable_grad():
            x, rows, logits, going = still_right(  # lines 3 and 4
                model, adversarial, labels, active, confidence, targeted, doubts
            )
            if isinstance(going, Tensor):
                active, distance = active[going], distance[going]
            if not len(active):
                break
            if step == 1:
                check_way(logits, x)
            value = loss(logits, labels[active], targeted)
            if lam:
                price = distance(x[rows])
                checks.one_each(price, len(active))
                doubts.add(checks.cost, price, len(active))
                if step == 1:
                    check_way(price, x, COST)
                value = value - lam * price
            delta = derive(value, x)  # line 7
        delta = delta[rows]
        doubts.add(checks.gradient, delta, "the loss less the ground cost")
        x = x.detach()[rows] + step_size * (unit(delta) if normalized else delta)  # line 8
        adversarial[active] = make_valid(x, validate)  # line 9
        report(callback, step, adversarial, active)
    doubts.settle()
    return adversarial
