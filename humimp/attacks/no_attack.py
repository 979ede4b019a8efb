"""The control: what the other attacks are compared with."""

from torch import Tensor

from humimp import checks
from humimp.attacks._steps import Model


def no_attack(model: Model, images: Tensor, labels: Tensor) -> Tensor:
    """Return the images as they are.

    Its row in a table shows what the measures and defences do to images that nobody attacked.

    Parameters
    ----------
    model
        Not asked; only checked, as the attacks check it.
    images
        Shape (N, C, H, W), C = 1 or 3, values in [0, 1].
    labels
        Shape (N,).

    Returns
    -------
    Tensor
        A copy of ``images``.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`).
    """
    checks.model(model)
    checks.images(images)
    checks.labels(labels, images)
    return images.detach().clone()
