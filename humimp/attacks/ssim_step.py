"""Section 3.1: the one-step attack with the ground cost 1 − SSIM."""

from typing import Literal

from torch import Tensor

from humimp import checks
from humimp.attacks import _radius
from humimp.attacks._ssim import GaussianWindows, GlobalWindow
from humimp.attacks._steps import Model
from humimp.images import Validation


def ssim_step(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    l2: float,
    window: Literal["gaussian", "global"] = "gaussian",
    border: Literal["black", "inside"] = "black",
    tolerance: float = 1e-8,
    validate: Validation = "round",
    targeted: bool = False,
) -> Tensor:
    """Attack images with the one-step solution of Eq. (4) for c0 = 1 − SSIM.

    With the loss linearised, gradient g, and the cost expanded to second order, Eq. (4) becomes
    max over δ of gᵀδ − (λ/2) δᵀHδ, whose solution is δ* = H⁻¹g/λ. Its direction does not depend on
    λ; its length is chosen so that the image has the wanted distance after it was clipped to
    [0, 1] and rounded.

    Parameters
    ----------
    model
        Images in [0, 1] → logits (N, K). It is left as it is.
    images
        Shape (N, C, H, W), C = 1 or 3, values in [0, 1].
    labels
        Shape (N,), the true labels; the classes to reach if ``targeted``.
    l2
        The Euclidean distance from the original.
    window
        ``"gaussian"``: SSIM as Wang et al. (2004) define it, with windows of 11 × 11 pixels;
        H is solved by conjugate gradients. ``"global"``: one window over the whole image; H has
        an inverse in closed form.
    border
        For ``window="gaussian"``. ``"inside"`` takes the windows that fit into the image, as
        Wang et al. do. They hardly see the pixels along the border, so H is tiny there, and
        the attack changes these pixels above all. ``"black"`` takes a window at every pixel, as
        if the image went on in black: right for digits, but photographs get an edge all around.
    tolerance
        For ``window="gaussian"``: the relative residual at which an image's system is solved.
    validate
        ``"round"`` or ``"truncate"`` (8 bit) or ``"none"`` (clipped to [0, 1] only).
    targeted
        Whether to reach ``labels`` instead of leaving them.

    Returns
    -------
    Tensor
        Same shape, dtype and device as ``images``. Rounded images meet ``l2`` as well as 8 bit
        allow, for digits to about 0.1 %. An image whose distance stays smaller although
        every pixel that moves has arrived at 0 or 1 is returned at that point; where the
        gradient is zero, the image stays.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`), images smaller than a window, a tolerance that cannot
        be reached, or a gradient that is not finite.
    """
    checks.choice(window, "window", ("gaussian", "global"))
    gradient = _radius.gradient(model, images, labels, targeted)
    if window == "global":
        direction = GlobalWindow(images).solve(gradient)
    else:
        direction = GaussianWindows(images, border).solve(gradient, tolerance)
    return _radius.step(images, direction, l2, validate)
