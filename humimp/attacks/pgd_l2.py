"""Section 3.2: the PGD (L2) attack that the paper compares with."""

import torch
from torch import Tensor

from humimp import checks
from humimp.attacks._steps import (
    Callback,
    Doubts,
    Model,
    begin,
    derive,
    loss,
    report,
    still_right,
    unit,
)
from humimp.images import Validation
from humimp.images import validate as make_valid


def pgd_l2(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 100,
    step_size: float = 0.1,
    confidence: float = 0.0,
    validate: Validation = "truncate",
    targeted: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """Attack images along the normalised gradient of the loss until they are misclassified.

    x ← x + ε ∇ℓ / ‖∇ℓ‖₂, with ℓ the cross-entropy, and the early stop of Algorithm 1. As in the
    paper there is no ball to project on: the early stop alone keeps the distance small.

    Parameters
    ----------
    model
        θ: images in [0, 1] → logits (N, K). It is left as it is: no gradient reaches parameters.
    images
        x0: shape (N, C, H, W), C = 1 or 3, values in [0, 1].
    labels
        y0: shape (N,), the true labels; the classes to reach if ``targeted``.
    steps
        The greatest number of steps, 100 in the paper.
    step_size
        ε, the Euclidean length of a step before it is made valid.
    confidence
        a ≥ 0: stop where max over i ≠ y of logits_i − logits_y > a.
    validate
        How each step's image is made valid: ``"truncate"`` (clamp to [0, 1] and floor to 8 bit;
        the paper's), ``"round"`` (to the nearest 8-bit image; steps below half a level are
        undone) or ``"none"`` (clamp only; the result is not 8 bit). See `imperceptible`.
    targeted
        Whether to reach ``labels`` instead of leaving them.
    callback
        Called as ``callback(step, images, active)`` after each step: the number of the step from
        1, a copy of all images as they are, shape (N, C, H, W), and a boolean mask, shape (N,),
        of those that took the step.

    Returns
    -------
    Tensor
        Same shape, dtype and device as ``images``. Each image that took a step is valid as
        ``validate`` says; one that is misclassified by more than a from the start is returned as
        it came. Where the gradient is zero, the image stays.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`) or a gradient that is not finite.

    Notes
    -----
    Each image is tried before each step and returned untried after the last, with one forward
    pass a step, as in `imperceptible`. Images that are done leave the batch; where less than half
    of it is left, what is left is asked about once more, without the others.

    A GPU may round factors of convolutions to TF32 here, as PyTorch lets it: an image stops behind
    the boundary, and the outcome stays that of a CPU (the book's appendix on speed). The attacks
    that come back to the boundary ask for full float32 (`humimp.rounding`).
    """
    labels = begin(
        model, images, labels,
        steps=steps, step_size=step_size, confidence=confidence, validate=validate,
    )  # fmt: skip

    adversarial = images.detach().clone()
    active = torch.arange(len(images), device=images.device)
    doubts = Doubts()
    for step in range(1, steps + 1):
        with torch.enable_grad():
            x, rows, logits, going = still_right(
                model, adversarial, labels, active, confidence, targeted, doubts
            )
            active = active[going]
            if not len(active):
                break
            value = loss(logits, labels[active], targeted)
            gradient = derive(value, x)
        gradient = gradient[rows]
        doubts.add(checks.gradient, gradient, "the loss")
        x = x.detach()[rows] + step_size * unit(gradient)
        adversarial[active] = make_valid(x, validate)
        report(callback, step, adversarial, active)
    doubts.settle()
    return adversarial
