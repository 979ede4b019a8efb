"""ALMA: a perturbation of minimal cost by an augmented Lagrangian (Rony et al. 2021)."""

from typing import Any

import torch
from torch import Tensor

from humimp import checks
from humimp.attacks._steps import (
    COST,
    Callback,
    Model,
    ask,
    begin,
    check_way,
    derive,
    margin,
    remember,
    report,
)
from humimp.images import Validation
from humimp.images import validate as make_valid
from humimp.rounding import in_full

# The paper's constants, by its symbols (section 3 and appendix).
_M = 10  # steps between two looks at whether the constraint is nearer to being met
_TAU = 0.95  # what counts as nearer
_GAMMA = 1.2  # growth of the penalty parameter ρ where it is not
_FINAL = 0.01  # the last step size as a share of the first
_MU = (1e-6, 1e12)  # bounds of the multiplier μ


@in_full
def alma(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    cost: Any,
    steps: int = 1000,
    init_cost: float = 1e-4,
    alpha: float = 0.9,
    confidence: float = 1e-4,
    validate: Validation = "round",
    targeted: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """Attack images by ALMA: minimise a cost D(x, x_adv) subject to misclassification.

    The constraint is y(x_adv) < 0, with y the difference of logits ratio: logits_label less the
    greatest other logit, over the difference of the greatest and the third greatest logit. It is
    priced by the penalty-Lagrangian P2: gradient descent on D + P2(y; ρ, μ). After each step μ
    moves towards the slope of P2 at y; ρ grows as long as the constraint was never met and gets no
    nearer. Of all misclassified images on the way, the one with the least cost is returned.

    Parameters
    ----------
    model
        θ: images in [0, 1] → logits (N, K), K ≥ 3 (4 if ``targeted``). It is left as it is: no
        gradient reaches parameters.
    images
        x: shape (N, C, H, W), C = 1 or 3, values in [0, 1].
    labels
        Shape (N,), the true labels; the classes to reach if ``targeted``.
    cost
        D: callable (images, adversarial) → (N,), differentiable in the second. If it has a
        method ``at``, that is used; see `imperceptible`.
    steps
        N; 100 and 1000 in the paper.
    init_cost
        ε: the step size is such that the first step, along the gradient of the constraint alone,
        raises the cost to this. The authors took 10⁻⁴ for 1 − SSIM, 0.03 for CIEDE2000, 0.1 for L2
        (0.01 for its square) and 0.01 for the square root of LPIPS (10⁻⁴ for LPIPS).
    alpha
        α from 0 to below 1, the smoothing of μ, of the step's momentum and of its normalisation
        (RMSProp). The authors took 0.9 for 1000 steps and 0.5 for 100.
    confidence
        a ≥ 0: an image counts as misclassified where max over i ≠ y of logits_i − logits_y > a.
        The search ends at the very boundary, where the rounding of logits would decide; hence not
        0 by default.
    validate
        What the model and the cost are shown of the float image that takes the steps.

        ``"round"``
            the nearest 8-bit image, so that what is kept is successful as it is saved.
        ``"truncate"``
            the 8-bit image below.
        ``"none"``
            the image itself; the authors' default. The result is not 8 bit, and rounding it
            afterwards may undo the attack. (The authors' option ``levels`` rounds the image that
            takes the steps, which undoes each step below half a level.)
    targeted
        Whether to reach ``labels`` instead of leaving them.
    callback
        Called as ``callback(step, images, active)`` after each step: the number of the step from
        1, a copy of all images as they are, made valid, shape (N, C, H, W), and a boolean mask,
        shape (N,), of those that took the step.

    Returns
    -------
    Tensor
        Same shape, dtype and device as ``images``. Each image is valid as ``validate`` says; one
        that counts as misclassified from the start, or never, is returned as it came.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`), too few classes, a cost that is not one finite value
        per image, or a gradient that is not finite.

    Notes
    -----
    Unlike in the authors' code (adv-lib), the image after the last step is tried too, and no random
    direction replaces a first gradient of zero. A step costs one forward and one backward pass of
    the model and of the cost, and the search for the first step's size up to 40 more forward passes
    of the cost (21 as a rule).
    """
    labels = begin(
        model, images, labels,
        steps=steps, step_size=1.0, confidence=confidence, validate=validate,
    )  # fmt: skip
    checks.number(init_cost, "init_cost", above=0)
    checks.number(alpha, "alpha", low=0)
    if alpha >= 1:
        raise ValueError(f"alpha: expected a share below 1, got {alpha!r}; the paper's is 0.9")

    adversarial = images.detach().clone()
    with torch.no_grad():
        logits = model(adversarial)
    checks.logits(logits, labels)
    _enough_classes(logits, targeted)
    active = (margin(logits.detach(), labels, targeted) <= confidence).nonzero()[:, 0]
    if not len(active):
        return adversarial

    labels, original = labels[active], images.detach()[active]
    x, best = original.clone(), torch.full_like(original[:, 0, 0, 0], torch.inf)
    mu, rho, rate = (torch.ones_like(best) for _ in range(3))
    found = torch.full_like(best, steps + 1)  # the step before which each was first misclassified
    square, momentum = torch.ones_like(x), torch.zeros_like(x)
    distance = remember(cost, original)
    for step in range(steps + 1):
        with torch.enable_grad():
            tried = make_valid(x, validate).requires_grad_()
            logits = ask(model, tried, labels, again=True)
            y = _constraint(logits, labels, confidence, targeted)
            with torch.set_grad_enabled(0 < step < steps):  # of the others no gradient is taken
                price = distance(tried)
            checks.cost(price, len(active))
            if step == 1 < steps:
                check_way(price, tried, COST)
            fooled = margin(logits.detach(), labels, targeted) > confidence
            if step == 0:
                before = y.detach()
            else:
                if (step + 1) % _M == 0:
                    stuck = (found > steps) & (y.detach() >= _TAU * before)
                    rho, before = torch.where(stuck, _GAMMA * rho, rho), y.detach()
                mu = alpha * mu + (1 - alpha) * _slope(y.detach(), rho, mu)
                mu = mu.clamp(*_MU)
            better = fooled & (price.detach() < best)
            best = torch.where(better, price.detach(), best)
            adversarial[active[better]] = tried.detach()[better]
            found = torch.where(fooled, found.clamp(max=step), found)
            if step == steps:
                break
            # The gradient of P2 is its slope times that of y; D has none yet to give at the start.
            value = _slope(y.detach(), rho, mu) * y + (price if step else 0)
            gradient = derive(value, tried)
        checks.gradient(gradient, "the penalised cost")
        if step == 0:
            rate = _first_rate(distance, original, gradient, init_cost)
        decay = _FINAL ** ((step - found).clamp(min=0) / (steps - found))
        square.mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
        momentum.mul_(alpha).addcdiv_(gradient, square.sqrt().add_(1e-8))
        x = (x - (rate * decay)[:, None, None, None] * momentum).clamp_(0, 1)
        if callback is not None:
            everything = images.detach().clone()
            everything[active] = make_valid(x, validate)
            report(callback, step + 1, everything, active)
    return adversarial


def _enough_classes(logits: Tensor, targeted: bool) -> None:
    """Check that there are the logits whose difference the ratio divides by."""
    if logits.shape[1] < (least := 4 if targeted else 3):
        raise ValueError(
            f"model: ALMA{' with targets' if targeted else ''} needs logits of at least {least} "
            f"classes, got {logits.shape[1]}; use another attack, such as ddn"
        )


def _constraint(logits: Tensor, labels: Tensor, confidence: float, targeted: bool) -> Tensor:
    """Return the difference of logits ratio, below 0 where the image is misclassified, shape (N,).

    The difference is `margin`'s, reversed. It is divided by z₁ − z₃, the greatest logit less the
    third greatest, or for targets by z₁ − (z₃ + z₄)/2 (Croce and Hein 2020).
    """
    top = logits.topk(4 if targeted else 3, 1).values
    spread = top[:, 0] - top[:, 2:].mean(1)
    return (confidence - margin(logits, labels, targeted)) / (spread + 1e-8)


def _slope(y: Tensor, rho: Tensor, mu: Tensor) -> Tensor:
    """Return the derivative of P2 in y, shape (N,).

    P2(y; ρ, μ) = μ y + μ ρ y² + ρ² y³/6 for y ≥ 0, and μ y / (1 − ρ y) below.
    """
    above = mu + 2 * mu * rho * y + (rho * y).square() / 2
    return torch.where(y >= 0, above, mu / (1 - rho * y.clamp(max=0)).square())


def _first_rate(distance: Any, original: Tensor, gradient: Tensor, target: float) -> Tensor:
    """Return η such that the cost of clamp(original − η gradient) is the target, shape (N,).

    η is doubled until the cost exceeds the target, and then bisected. Where it never does, for
    want of a gradient or because the cost is bounded below it, η is what the doubling ended with.
    """
    peak = gradient.abs().amax((1, 2, 3))
    peak = torch.where(peak > 0, peak, 1)
    way = gradient / peak[:, None, None, None]

    def beyond(eta: Tensor) -> Tensor:
        with torch.no_grad():
            return distance((original - eta[:, None, None, None] * way).clamp(0, 1)) > target

    low, high = torch.zeros_like(peak), torch.ones_like(peak)
    for _ in range(20):
        far = beyond(high)
        if bool(far.all()):
            break
        low, high = torch.where(far, low, high), torch.where(far, high, 2 * high)
    for _ in range(20):
        middle = (low + high) / 2
        far = beyond(middle)
        low, high = torch.where(far, low, middle), torch.where(far, middle, high)
    return (low + high) / 2 / peak
