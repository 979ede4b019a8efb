"""What the attacks share: the checks at the door, the margin, the loss, unit length."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from humimp import checks

Model = Callable[[Tensor], Tensor]
Callback = Callable[[int, Tensor, Tensor], object]

# Who may lose a gradient, as an error begins.
MODEL = "model: its logits carry"
FEATURES = "features: they carry"
COST = "cost: it carries"

# All rows, as an index that makes no copy.
ALL = slice(None)


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
    checks.can_derive()
    checks.model(model)
    checks.images(images)
    checks.labels(labels, images)
    checks.count(steps, "steps")
    checks.number(step_size, "step_size", above=0)
    checks.number(confidence, "confidence", low=0)
    checks.choice(validate, "validate", ("truncate", "round", "none"))
    return labels.to(images.device)


class Doubts:
    """What has to be finite, asked of the device together with the next answer that is needed.

    A program waits for each answer of a GPU, so a step asks once.
    """

    def __init__(self) -> None:
        self._open: list[tuple[Tensor, Callable[[], object]]] = []
        self.asked = False

    def add(self, check: Callable[..., object], values: Tensor, *about: Any) -> None:
        """Have ``check(values, *about)`` called with the next answer, if values are not finite."""
        values = values.detach()
        self._open.append((checks.finite(values)[None], partial(check, values, *about)))

    def settle(self, *answer: Tensor) -> list[bool]:
        """Read an answer, a boolean vector, and complain about what was not finite before it."""
        self.asked = True
        doubts, self._open = self._open, []
        questions = [*(fine for fine, _ in doubts), *answer]
        found: list[bool] = torch.cat(questions).tolist() if questions else []
        for fine, (_, complain) in zip(found, doubts, strict=False):
            if not fine:
                complain()
        return found[len(doubts) :]


def ask(
    model: Model,
    images: Tensor,
    labels: Tensor,
    doubts: Doubts | None = None,
    *,
    again: bool = False,
) -> Tensor:
    """Return the model's logits, checked, with a gradient to come.

    With doubts, all is checked the first time only, and later whether the logits are finite;
    ``again`` is as for `humimp.checks.logits`.
    """
    logits = model(images)
    if doubts is not None and doubts.asked:
        doubts.add(partial(checks.logits, again=True), logits, labels)
    else:
        checks.logits(logits, labels, again=again)
    if not logits.requires_grad:
        raise lost(MODEL)
    return logits


def derive(values: Tensor, x: Tensor, who: str = MODEL) -> Tensor:
    """Return the gradient of the sum of values at x, a leaf.

    If they do not depend on x, ``who`` is said to have lost the gradient: `MODEL`, `FEATURES` or
    `COST`.
    """
    if not values.requires_grad:
        raise lost(who)
    (gradient,) = torch.autograd.grad(values.sum(), x, allow_unused=True)
    if gradient is None:
        raise lost(who)
    return gradient


def check_way(value: Tensor, x: Tensor, who: str = MODEL) -> None:
    """Check that a gradient of this value goes back to x, a leaf, without computing it.

    Where the value is one of several terms, the gradient of their sum would not tell.
    """
    seen, ahead = set(), [value.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        if getattr(node, "variable", None) is x:
            return
        seen.add(node)
        ahead.extend(one for one, _ in node.next_functions)
    raise lost(who)


def lost(who: str) -> ValueError:
    """Return the error for a gradient that was lost."""
    return ValueError(
        f"{who} no gradient; take torch.no_grad, torch.inference_mode, .detach() and rounding to "
        "integers out of it"
    )


def still_right(
    model: Model,
    adversarial: Tensor,
    labels: Tensor,
    active: Tensor,
    confidence: float,
    targeted: bool,
    doubts: Doubts,
) -> tuple[Tensor, Tensor | slice, Tensor, Tensor | slice]:
    """Ask the model about the images that are not done; where few are left, about them once more.

    A backward pass goes through all images of its forward pass, also through those that are done
    now. Where less than half is left, a second, small forward pass costs less than that.

    Returns
    -------
    tuple
        x, the images asked about, a leaf; which of its rows go on; their logits, with a gradient
        to come; and which of ``active`` go on. Which is said by indices, or `ALL` where all are
        meant. If none goes on, logits are empty.
    """
    x = adversarial[active].requires_grad_()
    logits = ask(model, x, labels[active], doubts)
    right = doubts.settle(margin(logits.detach(), labels[active], targeted) <= confidence)
    if all(right):
        return x, ALL, logits, ALL
    left = torch.tensor([row for row, goes_on in enumerate(right) if goes_on], dtype=torch.int64)
    going = left.to(x.device, non_blocking=True)
    if 0 < 2 * len(going) < len(active):
        active = active[going]
        x = adversarial[active].requires_grad_()
        logits = ask(model, x, labels[active], doubts)
        return x, ALL, logits, going
    return x, going, logits[going], going


def fooled(
    model: Model,
    images: Tensor,
    labels: Tensor,
    confidence: float,
    targeted: bool,
    *,
    again: bool = False,
) -> Tensor:
    """Whether each image is misclassified by more than the confidence, shape (N,)."""
    with torch.no_grad():
        logits = model(images)
    checks.logits(logits, labels, again=again)
    return margin(logits, labels, targeted) > confidence


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


def length(difference: Tensor) -> Tensor:
    """Return each image's Euclidean length, shape (N,)."""
    return difference.flatten(1).norm(dim=1)


def unit(gradient: Tensor) -> Tensor:
    """Scale each image's gradient to Euclidean length 1; a zero gradient stays zero.

    The largest entry is divided out first: the squares of a sure classifier's gradient would
    underflow in float32.
    """
    each = (1, 2, 3)
    low, high = gradient.amin(each, keepdim=True), gradient.amax(each, keepdim=True)
    peak = torch.maximum(high, -low)
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


def remember(cost: Any, reference: Tensor, *, learn: bool = False) -> Any:
    """Return the cost from these references: ``cost.at`` where it is offered, which is faster.

    Index it with a tensor of indices; more is not asked of what ``cost.at`` returns. ``learn``
    calls it once, for attacks that call copies only: what a copy learns of its references in its
    first call is lost with it.
    """
    if isinstance(cost, type) or not callable(cost):
        raise ValueError(
            f"cost: expected a function (images, adversarial) → (N,), got {cost!r}; humimp.costs "
            "makes some, such as costs.SSIM()"
        )
    if not hasattr(cost, "at"):
        return Remembered(cost, reference)
    found = cost.at(reference)
    if learn:
        with torch.no_grad():
            found(reference)
    return found
