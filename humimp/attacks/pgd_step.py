"""Section 3.1: one step of PGD (L2), which the SSIM-based attack is compared with."""

from torch import Tensor

from humimp.attacks import _radius
from humimp.attacks._steps import Model
from humimp.images import Validation


def pgd_step(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    l2: float,
    validate: Validation = "round",
    targeted: bool = False,
) -> Tensor:
    """Attack images with one step along the gradient of the loss.

    The step's length is chosen so that the image has the wanted distance after it was clipped to
    [0, 1] and rounded, as in `ssim_step`.

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
    validate
        ``"round"`` or ``"truncate"`` (8 bit) or ``"none"`` (clipped to [0, 1] only).
    targeted
        Whether to reach ``labels`` instead of leaving them.

    Returns
    -------
    Tensor
        Same shape, dtype and device as ``images``. Rounded images meet ``l2`` as well as 8 bit
        allow. An image whose distance stays smaller although every pixel that moves has arrived
        at 0 or 1 is returned at that point; where the gradient is zero, the image stays.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`) or a gradient that is not finite.
    """
    gradient = _radius.gradient(model, images, labels, targeted)
    return _radius.step(images, gradient, l2, validate)
