"""What the attacks share: the checks at the door, the margin, the loss, unit length."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from humimp import checks

Model = Callable[[Tensor], Tensor]
Callback = Callable[[int, Tensor, Tensor], object]


def begin(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int,
    step_size: float,
    confidence: float,
    validate: str,
) -> Tensor:
    """Check what an iterative attack was given; return the labels on the images' device."""
    checks.model(model)
    checks.images(images)
    checks.labels(labels, images)
    checks.count(steps, "steps")
    checks.number(step_size, "step_size", above=0)
    checks.number(confidence, "confidence", low=0)
    checks.choice(validate, "validate", ("truncate", "round", "none"))
    return labels.to(images.device)


def ask(model: Model, images: Tensor, labels: Tensor) -> Tensor:
    """Return the model's logits, checked, with a gradient to come."""
    logits = model(images)
    checks.logits(logits, labels)
    if not logits.requires_grad:
        raise ValueError(
            "model: its logits carry no gradient; take torch.no_grad, torch.inference_mode or "
            ".detach() out of it"
        )
    return logits


def still_right(
    model: Model,
    adversarial: Tensor,
    labels: Tensor,
    active: Tensor,
    confidence: float,
    targeted: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ask the model about the images that are not done; where few are left, about them once more.

    A backward pass goes through all images of its forward pass, also through those that are done
    now. Where less than half is left, a second, small forward pass costs less than that.

    Returns
    -------
    tuple
        x, the images asked about, a leaf; its rows that go on, a mask; their logits, with a
        gradient to come; and which of ``active`` go on, a mask. If none does, logits are empty.
    """
    x = adversarial[active].requires_grad_()
    logits = ask(model, x, labels[active])
    going = margin(logits, labels[active], targeted) <= confidence
    left = int(going.sum())
    if 0 < 2 * left < len(active):
        active = active[going]
        x = adversarial[active].requires_grad_()
        return x, torch.ones_like(active, dtype=torch.bool), ask(model, x, labels[active]), going
    return x, going, logits[going], going


def report(callback: Callback | None, step: int, images: Tensor, active: Tensor) -> None:
    """Call the callback, if there is one, with a copy and a mask of the active indices."""
    if callback is not None:
        mask = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        mask[active] = True
        callback(step, images.clone(), mask)


def margin(logits: Tensor, labels: Tensor, targeted: bool = False) -> Tensor:
    """Return by how much an attack has succeeded: max over i ≠ y of logits_i, less logits_y.

    Parameters
    ----------
    logits
        Shape (N, K).
    labels
        Shape (N,): the true labels, or the targets.
    targeted
        Whether labels are targets; the sign is then reversed.

    Returns
    -------
    Tensor
        Shape (N,). Above 0 means success.
    """
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return own - others if targeted else others - own


def loss(logits: Tensor, labels: Tensor, targeted: bool = False) -> Tensor:
    """Return what an attack climbs: the cross-entropy, or minus that of the target, shape (N,)."""
    entropy = F.cross_entropy(logits, labels, reduction="none")
    return -entropy if targeted else entropy


def unit(gradient: Tensor) -> Tensor:
    """Scale each image's gradient to Euclidean length 1; a zero gradient stays zero.

    The largest entry is divided out first: the squares of a sure classifier's gradient would
    underflow in float32.
    """
    each = (1, 2, 3)
    peak = torch.linalg.vector_norm(gradient, torch.inf, each, keepdim=True)
    scaled = gradient / torch.where(peak > 0, peak, 1)
    length = torch.linalg.vector_norm(scaled, dim=each, keepdim=True)
    return scaled.div_(torch.where(length > 0, length, 1))


class Remembered:
    """A ground cost seen from fixed reference images, which can be dropped one by one."""

    def __init__(self, cost: Callable[[Tensor, Tensor], Tensor], reference: Tensor) -> None:
        self._cost = cost
        self._reference = reference

    def __call__(self, images: Tensor) -> Tensor:
        return self._cost(self._reference, images)

    def __getitem__(self, keep: Tensor) -> "Remembered":
        return Remembered(self._cost, self._reference[keep])


def remember(cost: Any, reference: Tensor) -> Any:
    """Return the cost from these references: ``cost.at`` where it is offered, which is faster."""
    if hasattr(cost, "at"):
        return cost.at(reference)
    return Remembered(cost, reference)
