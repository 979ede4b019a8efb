"""Perceptual Projected Gradient Descent, NPTM (PPGD) in Table 1 (Laidlaw, Singla, Feizi 2021)."""

from collections.abc import Callable

import torch
from torch import Tensor

from humimp import checks
from humimp.attacks._nptm import Features, Projection, Variant, begin, dot, embed, project, wide
from humimp.attacks._steps import FEATURES, Callback, Model, ask, check_way, derive, margin, report
from humimp.images import Validation
from humimp.images import validate as make_valid
from humimp.rounding import in_full

_RESIDUAL = 0.1  # conjugate gradients stop below this squared residual, as in the authors' code
_FLAT = 1e-4  # a gradient shorter than this is no step, as in the authors' code


@in_full
def ppgd(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    features: Features,
    bound: float = 0.5,
    steps: int = 5,
    step_size: float | None = None,
    cg_steps: int = 5,
    h: float = 1e-3,
    confidence: float = 1.0,
    projection: Projection = "newton",
    variant: Variant = "paper",
    noise: float = 0.01,
    validate: Validation = "round",
    targeted: bool = False,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Attack images by steps that are steepest in NPTM's perceptual distance.

    With d(x, x′) = ‖φ(x) − φ(x′)‖₂ and J the Jacobian of φ at the present image, each step is the
    greatest gain of the linearised loss for a given change of the linearised features,

        δ = η (JᵀJ)⁻¹∇ℓ / ‖J (JᵀJ)⁻¹∇ℓ‖,  ‖Jδ‖ = η,

    after which the image is projected on d(x0, x) ≤ ε. The system is solved by conjugate
    gradients, Jv found by finite differences. ℓ is the margin loss, the greatest other logit less
    logit y, up to κ.

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
        The number of steps, at least 1.
    step_size
        η, in units of d; 2 ε / steps by default.
    cg_steps
        Iterations of conjugate gradients in each step; they end early for an image whose squared
        residual is below 0.1, as in the authors' code.
    h
        Of the finite difference J v ≈ ‖v‖ (φ(x + h v/‖v‖) − φ(x)) / h.
    confidence
        κ ≥ 0: an image whose margin has reached κ takes no further step, since the gradient of the
        loss is 0 there. One that the noise alone brings there is projected once.
    projection
        ``"newton"`` goes against the gradient of d as far as its linearisation says, and a little
        further, until d ≤ ε, but after ten steps in vain ``"bisection"`` follows, which looks for
        the border on the way to the original.
    variant
        ``"paper"``, or ``"code"`` for what the authors' code computes, from which published
        numbers presumably come. It differs in that

        - the finite difference is (φ(x + h v) − φ(x)) / h. Since v is seldom short (the gradient
          of the margin is about 100 long on photographs, the solution much longer), this is no
          derivative: steps become many times too long, and the projection decides where they end;
        - Newton's method goes against the sum of the gradients of all its steps so far;
        - bisection returns the last point it looked at, which may lie just outside the bound;
        - an image whose margin has reached κ is still projected in each step.
    noise
        Standard deviation of the normal noise that is added to the images at the start.
    validate
        How the result is made valid after the last projection: ``"round"`` or ``"truncate"``
        (8 bit) or ``"none"`` (clamp only). Nothing is rounded before. Rounding can carry an image
        over the bound, and over the border of its class.
    targeted
        Whether to reach ``labels`` instead of leaving them.
    generator
        Where the noise comes from. It is drawn once for all images, which thus start as they would
        alone; None draws the same each time.
    callback
        Called as ``callback(step, images, active)`` after each step: the number of the step from
        1, a copy of all images as they are, shape (N, C, H, W), before ``validate``, and a boolean
        mask, shape (N,), of those that took the step.

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
    misclassified images too, and in it images of a batch depend on each other: conjugate gradients
    stop for all of them at once, and if Newton's method fails for one, all are bisected.

    One step costs one forward and one backward pass of the model and, in φ, at most
    ``cg_steps`` + 3 forward and ``cg_steps`` backward passes, and one of each for every Newton
    step. One forward pass of each comes before. Images that are done leave the batch.
    """
    checks.count(steps, "steps", low=1)
    checks.count(cg_steps, "cg_steps", low=1)
    checks.number(bound, "bound", above=0)
    size = 2 * bound / steps if step_size is None else step_size
    labels, adversarial, reference, active = begin(
        model, images, labels, features=features, projection=projection, variant=variant, h=h,
        noise=noise, generator=generator, steps=steps, step_size=size, confidence=confidence,
        validate=validate, targeted=targeted,
    )  # fmt: skip

    images, attacked = images.detach(), active
    for step in range(1, steps + 1):
        if not len(active):
            break
        with torch.enable_grad():
            x = adversarial[active].requires_grad_()
            logits = ask(model, x, labels[active], again=True)
            gain = margin(logits, labels[active], targeted)
            value = gain.clamp(max=confidence)
            going = (gain < confidence) | (variant == "code")
            if step == 1 and not bool(going.all()):  # the noise, not yet projected, was enough
                done = active[~going]
                adversarial[done] = project(
                    features, images[done], reference[done], adversarial[done].clamp(0, 1), bound,
                    projection, variant,
                )  # fmt: skip
            active = active[going]
            if not len(active):
                break
            gradient = derive(value, x)
        gradient, x = gradient[going], x.detach()[going]
        checks.gradient(gradient, "the margin")
        delta = steepest(features, x, gradient, size, cg_steps, h, variant)
        adversarial[active] = project(
            features, images[active], reference[active], (x + delta).clamp(0, 1), bound,
            projection, variant,
        )  # fmt: skip
        report(callback, step, adversarial, active)
    adversarial[attacked] = make_valid(adversarial[attacked], validate)
    return adversarial


def steepest(
    features: Features,
    images: Tensor,
    gradient: Tensor,
    size: float,
    cg_steps: int,
    h: float,
    variant: Variant = "paper",
) -> Tensor:
    """Return δ, shape (N, C, H, W): the steepest step among those with ‖Jδ‖ = size.

    In the variant ``"code"`` finite differences are taken over h times the length of the vector,
    otherwise over the length h. δ is 0 where the gradient is shorter than 10⁻⁴, as in the authors'
    code.
    """
    delta = torch.zeros_like(images)
    steep = dot(gradient, gradient).sqrt() >= _FLAT
    if not bool(steep.any()):  # in the variant "code" most steps of an image that is done
        return delta
    with torch.enable_grad():
        x = images.detach()[steep].requires_grad_()
        here = embed(features, x)
        check_way(here, x, FEATURES)

    def change(v: Tensor) -> Tensor:
        """Return Jv, shape (N, D)."""
        length = dot(v, v).sqrt() if variant == "paper" else torch.ones_like(v[:, 0, 0, 0])
        share = h / torch.where(length > 0, length, 1)
        with torch.no_grad():
            return (embed(features, x + wide(share) * v) - here) / share[:, None]

    def multiply(v: Tensor) -> Tensor:
        """Return JᵀJv, shape (N, C, H, W)."""
        return torch.autograd.grad(here, x, change(v), retain_graph=True)[0]

    direction = conjugate_gradient(multiply, gradient[steep], cg_steps, _RESIDUAL)
    length = change(direction).norm(dim=1)
    delta[steep] = wide(torch.where(length > 0, size / length, 0)) * direction
    return delta


def conjugate_gradient(
    multiply: Callable[[Tensor], Tensor], b: Tensor, steps: int, tolerance: float
) -> Tensor:
    """Solve A x = b for each image by conjugate gradients, from x = 0.

    Parameters
    ----------
    multiply
        v → A v, shape (N, C, H, W); A positive definite.
    b
        Shape (N, C, H, W).
    steps
        The greatest number of iterations; each multiplies once.
    tolerance
        After the first iteration, an image stays as it is once ‖b − A x‖² is below this.

    Returns
    -------
    Tensor
        x, shape (N, C, H, W).
    """
    x, r, p = torch.zeros_like(b), b, b
    squared = dot(r, r)
    running = torch.ones_like(squared, dtype=torch.bool)
    for _ in range(steps):
        product = multiply(p)
        curvature = dot(p, product)
        alpha = torch.where(running & (curvature != 0), squared / curvature, 0)
        x = x + wide(alpha) * p
        r = r - wide(alpha) * product
        before, squared = squared, dot(r, r)
        p = r + wide(torch.where(before > 0, squared / before, 0)) * p
        running = running & (squared >= tolerance)
        if not bool(running.any()):
            break
    return x
