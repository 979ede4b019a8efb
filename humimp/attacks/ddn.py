"""DDN: a minimal L2 perturbation by decoupling its direction from its norm (Rony et al. 2019)."""

import math

import torch
from torch import Tensor

from humimp import checks
from humimp.attacks._steps import (
    Callback,
    Model,
    ask,
    begin,
    derive,
    fooled,
    length,
    loss,
    margin,
    report,
    unit,
)
from humimp.images import Validation
from humimp.images import validate as make_valid
from humimp.rounding import in_full


@in_full
def ddn(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 100,
    step_size: float = 1.0,
    gamma: float = 0.05,
    init_norm: float = 1.0,
    confidence: float = 0.0,
    validate: Validation = "round",
    targeted: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """Attack images by Algorithm 1 of Rony et al. (2019) with as small an L2 norm as it finds.

    Each step turns the perturbation δ towards the gradient, δ ← δ + α ∇ℓ/‖∇ℓ‖₂, and then sets its
    length: ε ← (1 − γ) ε if the image is misclassified, ε ← (1 + γ) ε if it is not, and
    x_adv = x + ε δ/‖δ‖₂, made valid. ℓ is the cross-entropy. Of all misclassified images on the
    way, the one nearest to the original is returned.

    Parameters
    ----------
    model
        θ: images in [0, 1] → logits (N, K). It is left as it is: no gradient reaches parameters.
    images
        x: shape (N, C, H, W), C = 1 or 3, values in [0, 1].
    labels
        y: shape (N,), the true labels; the classes to reach if ``targeted``.
    steps
        K.
    step_size
        α of the first step. It falls along half a cosine to a hundredth of this.
    gamma
        γ, from 0 to below 1, by what share the norm grows or shrinks in a step.
    init_norm
        ε before the first step, which makes it (1 + γ) times as long. It never exceeds the
        distance from the original to the farthest image there is.
    confidence
        a ≥ 0: an image counts as misclassified where max over i ≠ y of logits_i − logits_y > a.
    validate
        How each step's image is made valid: ``"round"`` (to the nearest 8-bit image; the
        authors'), ``"truncate"`` (down to 8 bit) or ``"none"`` (clamp only; the result is not
        8 bit). See `imperceptible`.
    targeted
        Whether to reach ``labels`` instead of leaving them.
    callback
        Called as ``callback(step, images, active)`` after each step: the number of the step from
        1, a copy of all images as they are, shape (N, C, H, W), and a boolean mask, shape (N,),
        of those that took the step.

    Returns
    -------
    Tensor
        Same shape, dtype and device as ``images``. Each image is valid as ``validate`` says; one
        that counts as misclassified from the start, or never, is returned as it came.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`) or a gradient that is not finite.

    Notes
    -----
    As in the authors' code (adv-lib), the perturbation that the next step turns is the valid
    image's, x_adv − x. Unlike there, the image after the last step is tried too, and where the
    gradient is zero no random direction is taken instead: the perturbation keeps its direction. A
    step costs one forward and one backward pass, and the last try a forward pass.
    """
    labels = begin(
        model, images, labels,
        steps=steps, step_size=step_size, confidence=confidence, validate=validate,
    )  # fmt: skip
    checks.number(gamma, "gamma", low=0)
    if gamma >= 1:
        raise ValueError(f"gamma: expected a share below 1, got {gamma!r}; the paper's is 0.05")
    checks.number(init_norm, "init_norm", above=0)

    adversarial = images.detach().clone()
    original = x = images.detach()
    active = torch.arange(len(images), device=images.device)
    farthest = length(torch.maximum(original, 1 - original))
    norm = torch.full_like(farthest, init_norm)
    best = torch.full_like(farthest, torch.inf)

    def keep(wrong: Tensor, delta: Tensor) -> None:
        far = length(delta)
        better = wrong & (far < best)
        adversarial[active[better]], best[better] = x[better], far[better]

    for step in range(steps):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            logits = ask(model, x, labels, again=step > 0)
            value = loss(logits, labels, targeted)
            gradient = derive(value, x)
        x, wrong = x.detach(), margin(logits.detach(), labels, targeted) > confidence
        delta = x - original
        keep(wrong, delta)
        if step == 0 and bool(wrong.any()):  # what is misclassified as it came is left alone
            going = ~wrong
            active, labels, original, delta, gradient, wrong = (
                each[going] for each in (active, labels, original, delta, gradient, wrong)
            )
            farthest, norm, best = farthest[going], norm[going], best[going]
            if not len(active):
                return adversarial
        checks.gradient(gradient, "the loss")
        alpha = step_size * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)
        delta = unit(delta.add_(unit(gradient), alpha=alpha))
        norm = torch.where(wrong, (1 - gamma) * norm, (1 + gamma) * norm).minimum(farthest)
        x = make_valid(delta.mul_(norm[:, None, None, None]).add_(original), validate)
        if callback is not None:
            shown = images.detach().clone()
            shown[active] = x
            report(callback, step + 1, shown, active)
    if len(active):
        keep(fooled(model, x, labels, confidence, targeted, again=steps > 0), x - original)
    return adversarial
