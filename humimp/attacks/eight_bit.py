"""The 8-bit aware attack: a near image of whole levels, for which Algorithm 1 does not look."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from humimp import checks
from humimp.attacks import _steps
from humimp.attacks._steps import Callback, Model, ask, derive, loss, margin, report, unit
from humimp.images import from_uint8, to_uint8, validate
from humimp.rounding import in_full

_TRIES = 3  # of how many values to put back in a round
_WINDOW = 15  # pixels each way, in which an image is busy or not
_CALM = 0.02  # what the busiest of flat places still is


@in_full
def eight_bit(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 100,
    step_size: float = 0.03,
    rounds: int = 12,
    share: float = 0.3,
    masking: float = 1.0,
    cost: Any = None,
    confidence: float = 0.0,
    targeted: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """Attack images with few whole levels: climb in fractions, test what is saved, then exchange.

    **Climb.** z ← z + ε ∇ℓ / ‖∇ℓ‖₂ from z = x, as PGD (L2), with nothing cut off or rounded on
    the way. Before each step the image that would be saved, x_adv = round(255 z)/255, is tried;
    the climb ends where it is misclassified by more than the confidence.

    **Exchange.** To first order a value i that was changed contributes ∇m_i · sign(x_adv − x)_i to
    the margin m = max over i ≠ y of logits_i − logits_y, and one that was not could contribute
    |∇m_i|, for a level each. So in each round the most useful unchanged values are moved by a level
    and the least useful changed ones, which are more, moved back by one; useful is what adds much
    to the margin for its price. How many go back is found by bisection. What is misclassified still
    and has a smaller ground cost is kept.

    **Masking.** A change is seen less where the image is busy. So a change δ_i of a value has the
    price δ_i² / (σ_i + 0.02)ᵖ, with σ_i the standard deviation of the brightness in the 15 × 15
    pixels around, as Croce and Hein (2019) bound changes by the deviation beside; prices are scaled
    so that the mean of their denominators is 1. With p = 0 all places are alike.

    Parameters
    ----------
    model
        θ: images in [0, 1] → logits (N, K). It is left as it is: no gradient reaches parameters.
    images
        x: shape (N, C, H, W), C = 1 or 3, values in [0, 1].
    labels
        y: shape (N,), the true labels; the classes to reach if ``targeted``.
    steps
        N, the greatest number of steps of the climb.
    step_size
        ε, the Euclidean length of a step. Short ones end nearer to the boundary.
    rounds
        R, the number of rounds of exchange; 0 for the climb alone.
    share
        From 0 to 1: how many unchanged values are moved in the first round, as a share of those
        that are changed. It falls linearly to 0 after the last.
    masking
        p ≥ 0.
    cost
        c0: callable (images, adversarial) → (N,), see `imperceptible`; no gradient is asked of it.
        By default the sum of the prices; for p = 0 that is the squared Euclidean distance.
    confidence
        a ≥ 0: an image counts as misclassified where its margin is above a.
    targeted
        Whether to reach ``labels`` instead of leaving them.
    callback
        Called as ``callback(step, images, active)`` after each step of the climb and each round:
        their number from 1 on, a copy of all images as they would be saved, shape (N, C, H, W),
        and a boolean mask, shape (N,), of those that took part.

    Returns
    -------
    Tensor
        Same shape, dtype and device as ``images``, each image valid 8 bit; one that is
        misclassified from the start is returned as it came, and one that never was as the climb
        left it.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`), a cost that is not one finite value per image, or a
        gradient that is not finite.

    Notes
    -----
    This attack is not in the paper. A step of the climb costs two forward passes and one backward,
    a round at most four forward passes and one backward.
    """
    labels = _steps.begin(
        model, images, labels,
        steps=steps, step_size=step_size, confidence=confidence, validate="round",
    )  # fmt: skip
    checks.count(rounds, "rounds")
    checks.number(share, "share", low=0)
    checks.number(masking, "masking", low=0)
    if share > 1:
        raise ValueError(f"share: expected a share from 0 to 1, got {share!r}")

    def margins(x: Tensor, rows: Tensor) -> Tensor:
        with torch.no_grad():
            logits = model(x)
        checks.logits(logits, labels[rows])
        return margin(logits, labels[rows], targeted)

    adversarial, fooled = _climb(
        model, images.detach(), labels, margins, steps, step_size, confidence, targeted, callback
    )
    rows = fooled.nonzero().flatten()
    if not len(rows):
        return adversarial
    original = images.detach()[rows]
    room = _room(original, masking)
    distance = (
        partial(_price, original, room)
        if cost is None
        else _steps.remember(cost, images.detach())[rows]
    )
    with torch.no_grad():
        least = distance(adversarial[rows])
    checks.cost(least, len(rows))
    for number in range(rounds):
        best = adversarial[rows]
        with torch.enable_grad():
            x = best.clone().requires_grad_()
            value = margin(ask(model, x, labels[rows]), labels[rows], targeted)
            slope = derive(value, x)
        checks.gradient(slope, "the margin")
        exchange = _Exchange(original, room, best, slope, share * (1 - number / rounds))
        low, high = exchange.moved, 2 * exchange.moved + 5
        for _ in range(_TRIES):
            back = (low + high) / 2
            tried = exchange(back.long())
            wrong = margins(tried, rows) > confidence
            with torch.no_grad():
                price = distance(tried)
            checks.cost(price, len(rows))
            better = wrong & (price < least)
            adversarial[rows[better]], least[better] = tried[better], price[better]
            low, high = torch.where(wrong, back, low), torch.where(wrong, high, back)
        report(callback, steps + number + 1, adversarial, rows)
    return adversarial


def _climb(
    model: Model,
    images: Tensor,
    labels: Tensor,
    margins: Callable[[Tensor, Tensor], Tensor],
    steps: int,
    step_size: float,
    confidence: float,
    targeted: bool,
    callback: Callback | None,
) -> tuple[Tensor, Tensor]:
    """Climb until the rounded image is misclassified.

    Returns the images, and a mask of those that took a step and ended misclassified.
    """
    z, adversarial = images.clone(), images.clone()
    fooled = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    active = torch.arange(len(images), device=images.device)
    for step in range(1, steps + 1):
        with torch.enable_grad():
            x = z[active].requires_grad_()
            logits = ask(model, x, labels[active])
            if step == 1:  # what is misclassified as it came is left alone
                going = margin(logits, labels[active], targeted) <= confidence
                active = active[going]
                if not len(active):
                    break
            else:
                going = torch.ones_like(active, dtype=torch.bool)
            value = loss(logits[going], labels[active], targeted)
            gradient = derive(value, x)
        gradient = gradient[going]
        checks.gradient(gradient, "the loss")
        z[active] = validate(z[active] + step_size * unit(gradient), "none")
        adversarial[active] = validate(z[active], "round")
        report(callback, step, adversarial, active)
        wrong = margins(adversarial[active], active) > confidence
        fooled[active[wrong]] = True
        active = active[~wrong]
        if not len(active):
            break
    return adversarial, fooled


class _Exchange:
    """One round: which values are moved, and which go back first.

    ``moved`` says how many unchanged values of each image are moved by a level along the slope of
    the margin. Called with how many changed values go back by a level, it returns the image. Of
    equally useful values the first come first, so that no other image of the batch has a say.
    """

    def __init__(
        self, original: Tensor, room: Tensor, image: Tensor, slope: Tensor, share: float
    ) -> None:
        self._shape, self._dtype = image.shape, image.dtype
        self._start = _levels(original)
        self._change = _levels(image) - self._start
        slope, room = slope.flatten(1).to(self._change), room.flatten(1).to(self._change)
        changed = self._change != 0
        end = self._start + slope.sign()
        useful = torch.where(~changed & (end >= 0) & (end <= 255), slope.abs() * room, -1)
        saved = (2 * self._change.abs() - 1) / room  # of the price, by going back a level
        contributed = torch.where(changed, slope * self._change.sign() / saved, torch.inf)
        count = changed.sum(1).double()
        self.moved = torch.minimum((share * count).floor(), (useful > 0).sum(1))
        most = int(self.moved.max())
        first = useful.argsort(dim=1, descending=True, stable=True)[:, :most]
        take = torch.arange(most, device=image.device) < self.moved[:, None]
        steps = slope.sign().gather(1, first) * take
        self._added = self._change.scatter_add(1, first, steps)
        self._back = contributed.argsort(dim=1, stable=True)[:, : 2 * most + 5]
        self._undo = -self._change.sign().gather(1, self._back)

    def __call__(self, back: Tensor) -> Tensor:
        take = torch.arange(self._back.shape[1], device=back.device) < back[:, None]
        change = self._added.scatter_add(1, self._back, self._undo * take)
        return from_uint8((self._start + change).byte().view(self._shape), self._dtype)


def _levels(images: Tensor) -> Tensor:
    """Return whole levels, 0 to 255, in double precision, shape (N, C·H·W)."""
    return to_uint8(images).flatten(1).double()


def _room(images: Tensor, masking: float) -> Tensor:
    """Return (σ + 0.02)ᵖ at each value, divided by its mean over the image, (N, C, H, W)."""
    pixels = images.double().mean(1, keepdim=True)
    beside = _WINDOW // 2
    padded = F.pad(pixels, 4 * [beside], mode="replicate")
    mean, square = (F.avg_pool2d(one, _WINDOW, 1) for one in (padded, padded.square()))
    room = ((square - mean.square()).clamp(min=0).sqrt() + _CALM) ** masking
    return (room / room.mean((1, 2, 3), keepdim=True)).expand_as(images)


def _price(original: Tensor, room: Tensor, images: Tensor) -> Tensor:
    """Return the sum of the prices, shape (N,), in double precision."""
    return ((images - original).double().square() / room).flatten(1).sum(1)
