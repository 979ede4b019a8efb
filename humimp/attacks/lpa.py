"""Lagrangian Perceptual Attack, NPTM (LPA) in Table 1 (Laidlaw, Singla, Feizi 2021)."""

import torch
from torch import Tensor

from humimp import checks
from humimp.attacks._nptm import Features, Projection, Variant, begin, embed, project, wide
from humimp.attacks._steps import (
    FEATURES,
    Callback,
    Model,
    ask,
    check_way,
    derive,
    margin,
    report,
    unit,
)
from humimp.images import Validation
from humimp.images import validate as make_valid
from humimp.rounding import in_full

_DECAY = 0.1  # the last step size as a share of the first, almost
_RAISE = 10  # by how much λ grows


@in_full
def lpa(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    features: Features,
    bound: float = 0.5,
    steps: int = 20,
    searches: int = 5,
    step_size: float | None = None,
    h: float = 0.1,
    lam: float = 0.01,
    confidence: float = 1.0,
    projection: Projection = "newton",
    variant: Variant = "paper",
    early_stop: bool = True,
    noise: float = 0.01,
    validate: Validation = "round",
    targeted: bool = False,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Attack images by ascent on a Lagrangian of NPTM's perceptual distance.

    The objective is ℓ(f(x), y) − λ max(0, d(x, x0) − ε) with d(x, x′) = ‖φ(x) − φ(x′)‖₂ and ℓ the
    margin loss, the greatest other logit less logit y, up to κ. A step goes along the unit
    gradient u as far as changes d by η, by the slope ‖φ(x + h u) − φ(x)‖ / h, while η falls
    exponentially from ε to ε / 10. After each round of steps λ grows tenfold for the images that
    are not within the bound, and η starts again. What comes out is projected on d ≤ ε.

    Parameters
    ----------
    model
        f: images in [0, 1] → logits (N, K). It is left as it is: no gradient reaches parameters.
    images
        x0: shape (N, C, H, W), C = 1 or 3, values in [0, 1].
    labels
        y: shape (N,), the true labels; the classes to reach if ``targeted``.
    features
        φ: images → (N, D), on the images' device. It says which network measures:
        `humimp.features.alexnet` (externally bounded) or `humimp.features.of` the classifier
        (self-bounded). It is called with values a little outside [0, 1], too.
    bound
        ε, the greatest distance d.
    steps
        T, the number of steps in a round, at least 1.
    searches
        S, the number of rounds, each with its λ, at least 1.
    step_size
        The first η of a round, in units of d; ε by default.
    h
        Of the slope.
    lam
        λ of the first round.
    confidence
        κ ≥ 0, the greatest value of the margin loss; its gradient is 0 there.
    projection
        ``"newton"`` goes against the gradient of d as far as its linearisation says, and a little
        further, until d ≤ ε, but after ten steps in vain ``"bisection"`` follows, which looks for
        the border on the way to the original.
    variant
        ``"paper"``, or ``"code"`` for what the authors' code computes, from which published
        numbers presumably come: Newton's method goes against the sum of the gradients of all its
        steps so far, and bisection returns the last point it looked at, which may lie just outside.
    early_stop
        Whether an image that is found misclassified and within the bound takes one more step and
        then no other, as in the authors' code. Otherwise all images take S · T steps.
    noise
        Standard deviation of the normal noise that is added to the images at the start.
    validate
        How the result is made valid after the projection: ``"round"`` or ``"truncate"`` (8 bit)
        or ``"none"`` (clamp only). Nothing is rounded before. Rounding can carry an image over the
        bound, and over the border of its class.
    targeted
        Whether to reach ``labels`` instead of leaving them.
    generator
        Where the noise comes from. It is drawn once for all images, which thus start as they would
        alone; None draws the same each time.
    callback
        Called as ``callback(step, images, active)`` after each step: the number of the step from
        1 to S · T, a copy of all images as they are, shape (N, C, H, W), before projection and
        ``validate``, and a boolean mask, shape (N,), of those that took the step.

    Returns
    -------
    Tensor
        Same shape, dtype and device as ``images``, valid as ``validate`` says. An image that is
        misclassified from the start, by whatever margin, is returned as it came.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`), features that are not one finite vector per image, or
        a gradient that is not finite.

    Notes
    -----
    The numbers among the options are those of the authors' code by default. That code attacks
    misclassified images too, and bisects a whole batch if Newton's method fails for one image. The
    steps of a round are counted from 0 in η = ε · 10^(−t/T), as in the code.

    One step costs one forward and one backward pass of the model, two forward passes of φ and,
    unless all images are within the bound, one backward. One forward pass of each comes before; the
    projection, one forward pass of φ and one of each for every Newton step, comes after. Images
    that are done leave the batch.
    """
    checks.count(steps, "steps", low=1)
    checks.count(searches, "searches", low=1)
    checks.number(bound, "bound", above=0)
    checks.number(lam, "lam", low=0)
    first = bound if step_size is None else step_size
    labels, adversarial, reference, active = begin(
        model, images, labels, features=features, projection=projection, variant=variant, h=h,
        noise=noise, generator=generator, steps=steps, step_size=first, confidence=confidence,
        validate=validate, targeted=targeted,
    )  # fmt: skip

    images, attacked = images.detach(), active
    price = torch.full_like(images[:, 0, 0, 0], lam)
    for step in range(searches * steps):
        if not len(active):
            break
        turn = step % steps
        with torch.enable_grad():
            x = adversarial[active].requires_grad_()
            logits, here = ask(model, x, labels[active], again=True), embed(features, x)
            if step == 0:
                check_way(logits, x)
                check_way(here, x, FEATURES)
            gain = margin(logits, labels[active], targeted)
            distance = (here - reference[active]).norm(dim=1)
            value = gain.clamp(max=confidence)
            if (distance > bound).any():  # else its term is 0, and a backward pass of φ is saved
                value = value - price[active] * (distance - bound).relu()
            gradient = derive(value, x)
        checks.gradient(gradient, "the Lagrangian")
        x, direction = x.detach(), unit(gradient)
        with torch.no_grad():
            slope = (embed(features, x + h * direction) - here).norm(dim=1) / h
        size = first * _DECAY ** (turn / steps) / (slope + 1e-8)
        adversarial[active] = (x + wide(size) * direction).clamp(0, 1)
        report(callback, step + 1, adversarial, active)
        if turn == steps - 1:
            price[active[distance >= bound]] *= _RAISE
        if early_stop:
            active = active[(gain <= 0) | (distance > bound)]
    adversarial[attacked] = project(
        features, images[attacked], reference[attacked], adversarial[attacked], bound,
        projection, variant,
    )  # fmt: skip
    adversarial[attacked] = make_valid(adversarial[attacked], validate)
    return adversarial
