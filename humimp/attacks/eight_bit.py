"""The 8-bit aware attack: a near image of whole levels, for which Algorithm 1 does not look."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from humimp import checks
from humimp.attacks import _steps
from humimp.attacks._steps import Callback, Model, ask, derive, fooled, loss, margin, report, unit
from humimp.images import from_uint8, validate
from humimp.rounding import in_full

_TRIES = 3  # of how far to go along a direction
_NEARER = 0.99  # where the first of them is, if 1 is as far as the best image
_BY = 1.06  # how much nearer or further the second is; the third, by its root
_HALVINGS = 13  # of how far is as far as the best image
_TRIAL = 4  # rounds before the best start is chosen
_WINDOW = 15  # pixels each way, in which an image is busy or not
_CALM = 0.02  # what the busiest of flat places still is


@in_full
def eight_bit(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 100,
    step_size: float = 0.05,
    classes: int = 3,
    rounds: int = 20,
    masking: float = 0.25,
    cost: Any = None,
    confidence: float = 0.0,
    targeted: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """Attack images with few whole levels: climb in fractions, test what is saved, then average.

    **Climb.** z ← z + ε ∇ℓ / ‖∇ℓ‖₂ from z = x, as PGD (L2), with nothing cut off or rounded on
    the way. Before each step the image that would be saved, x_adv = round(255 z)/255, is tried;
    the climb ends where it is misclassified by more than the confidence.

    **Start several times.** Which boundary a climb comes to is not always the nearest. So beside
    this climb away from y, one goes towards each of the likeliest other classes, along −∇ℓ of that
    class, until the image is misclassified in whatever way. After four rounds of averaging from
    each the start with the smallest ground cost is chosen, and the other rounds are its own.

    **Average.** The least change that crosses a boundary goes along the boundary's normal. It is
    estimated by a mean of gradients of the margin m = max over i ≠ y of logits_i − logits_y: from
    w₀ = (z − x) / ‖z − x‖₂, in each of the rounds t = 0, 1, …, with β = 2/(t + 4),
    w ← (1 − β) w + β ∇m / ‖∇m‖₂. Tried is x_adv = round(255 (x + s w))/255 for three scales s,
    the first a little nearer than the best image so far, the others nearer where the last was
    misclassified and further where not. What is misclassified and has a smaller ground cost is
    kept; the last misclassified of the round is where the next gradient is taken, or if none is,
    the first that was tried.

    Of all images of whole levels at its squared distance or less, x + s w rounded is the one that
    goes the furthest along w: its k-th level in a value adds |w_i| for 2k − 1 of the squared
    distance, and taken are those that add at least 1/(2s) for each. So a small gradient is not
    rounded away; it is not worth a level.

    **Masking.** A change is seen less where the image is busy. So a change δ_i of a value has the
    price δ_i² / r_i, r_i = (σ_i + 0.02)ᵖ, with σ_i the standard deviation of the brightness in the
    15 × 15 pixels around, as Croce and Hein (2019) bound changes by the deviation beside; the r_i
    are scaled to a mean of 1. The best direction is then r w, not w. With p = 0 all places are
    alike.

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
    classes
        K, how many of the likeliest other classes to climb towards as well; not if ``targeted``.
    rounds
        R, the number of rounds of averaging; 0 for the first climb alone.
    masking
        p ≥ 0. More hides the change better and makes it longer.
    cost
        c0: callable (images, adversarial) → (N,), see `imperceptible`; no gradient is asked of it.
        By default the sum of the prices; for p = 0 that is the squared Euclidean distance.
    confidence
        a ≥ 0: an image counts as misclassified where its margin is above a.
    targeted
        Whether to reach ``labels`` instead of leaving them.
    callback
        Called as ``callback(step, images, active)`` after each step of a climb and each round:
        their number from 1 on, a copy of all images as this start would save them, shape
        (N, C, H, W), and a boolean mask, shape (N,), of those that took part.

    Returns
    -------
    Tensor
        Same shape, dtype and device as ``images``, each image valid 8 bit; one that
        counts as misclassified from the start is returned as it came, and one that never did as
        the first climb left it.

    Raises
    ------
    ValueError
        For bad input (see `humimp.checks`), a cost that is not one finite value per image, or a
        gradient that is not finite.

    Notes
    -----
    This attack is not in the paper. A step of a climb costs two forward passes and one backward,
    a round four forward passes and one backward; with K classes there are 1 + K climbs and
    R + 4 K rounds. The mean of gradients, which each new one enters with a share that falls as
    1/t, is that of dual averaging (Nesterov 2009), which also goes from the start along it.
    """
    labels = _steps.begin(
        model, images, labels,
        steps=steps, step_size=step_size, confidence=confidence, validate="round",
    )  # fmt: skip
    checks.count(classes, "classes")
    checks.count(rounds, "rounds")
    checks.number(masking, "masking", low=0)
    images = images.detach()
    adversarial = images.clone()
    with torch.no_grad():
        logits = model(images)
    checks.logits(logits, labels)
    going = (margin(logits, labels, targeted) <= confidence).nonzero().flatten()
    if not len(going):  # what is misclassified as it came is left alone
        return adversarial
    original, labels = images[going], labels[going]
    room = _room(original, masking)
    remembered = None if cost is None else _steps.remember(cost, original, learn=True)
    goals = [(labels, targeted)]
    if rounds and not targeted:
        others = logits[going].scatter(1, labels[:, None], -torch.inf)
        likeliest = others.topk(min(classes, others.shape[1] - 1)).indices
        goals += [(goal, True) for goal in likeliest.T]
    done = 0

    def show(now: Tensor, rows: Tensor) -> None:
        nonlocal done
        done += 1
        if callback is not None:
            whole = images.clone()
            whole[going] = now
            report(callback, done, whole, going[rows])

    def wrong(x: Tensor, rows: Tensor) -> Tensor:
        return fooled(model, x, labels[rows], confidence, targeted, again=True)

    def far(rows: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the ground cost of images, by the originals of these rows."""
        ask_for = (
            partial(_price, original[rows], room[rows]) if remembered is None else remembered[rows]
        )

        def value(x: Tensor) -> Tensor:
            with torch.no_grad():
                found = ask_for(x)
            checks.cost(found, len(rows))
            return found

        return value

    def begin(goal: Tensor, towards: bool) -> _Start:
        z, x_adv, there = _climb(model, original, goal, towards, wrong, steps, step_size, show)
        rows = there.nonzero().flatten()
        least = torch.full((len(x_adv),), torch.inf, dtype=torch.float64, device=x_adv.device)
        if len(rows):
            least[rows] = far(rows)(x_adv[rows]).double()
        return _Start(unit(z - original), x_adv.clone(), x_adv, least)

    def average(start: _Start, numbers: range) -> None:
        rows = start.least.isfinite().nonzero().flatten()
        if not len(rows):
            return
        begun, cost_of = (255 * original[rows]).round(), far(rows)
        for number in numbers:
            with torch.enable_grad():
                x = start.here[rows].requires_grad_()
                value = margin(ask(model, x, labels[rows], again=True), labels[rows], targeted)
                slope = derive(value, x)
            checks.gradient(slope, "the margin")
            start.way[rows] = start.way[rows].lerp(unit(slope), 2 / (number + 4))
            way = room[rows] * start.way[rows]
            wanted = _price(original[rows], room[rows], start.best[rows])
            scale = _NEARER * _reach(begun, way, room[rows], wanted)
            by = _BY
            for turn in range(_TRIES):
                tried = from_uint8((begun + _moved(begun, way, scale)).byte(), images.dtype)
                there, found = wrong(tried, rows), cost_of(tried)
                better = there & (found < start.least[rows])
                start.best[rows[better]] = tried[better]
                start.least[rows[better]] = found[better].double()
                here = there | (turn == 0)
                start.here[rows[here]] = tried[here]
                scale, by = torch.where(there, scale / by, scale * by), by**0.5
            show(start.best, rows)

    chosen = begin(*goals[0])
    average(chosen, range(min(_TRIAL, rounds)))
    for goal in goals[1:]:
        start = begin(*goal)
        average(start, range(min(_TRIAL, rounds)))
        nearer = start.least < chosen.least
        for one, other in zip(chosen, start, strict=True):
            one[nearer] = other[nearer]
    average(chosen, range(_TRIAL, rounds))
    adversarial[going] = chosen.best
    return adversarial


class _Start(NamedTuple):
    """What is known after a climb and some rounds, by image."""

    way: Tensor  # w
    here: Tensor  # where the next gradient is taken
    best: Tensor  # x_adv
    least: Tensor  # its ground cost, (N,); infinite where none was misclassified


def _climb(
    model: Model,
    images: Tensor,
    goal: Tensor,
    towards: bool,
    wrong: Callable[[Tensor, Tensor], Tensor],
    steps: int,
    step_size: float,
    show: Callable[[Tensor, Tensor], None],
) -> tuple[Tensor, Tensor, Tensor]:
    """Climb away from a class, or towards one, until the rounded image is misclassified.

    Returns z, the rounded images, and a mask of those that ended misclassified.
    """
    z, adversarial = images.clone(), images.clone()
    ended = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    rows = torch.arange(len(images), device=images.device)
    for _ in range(steps):
        with torch.enable_grad():
            x = z[rows].requires_grad_()
            value = loss(ask(model, x, goal[rows], again=True), goal[rows], towards)
            gradient = derive(value, x)
        checks.gradient(gradient, "the loss")
        z[rows] = validate(z[rows] + step_size * unit(gradient), "none")
        adversarial[rows] = validate(z[rows], "round")
        show(adversarial, rows)
        there = wrong(adversarial[rows], rows)
        ended[rows[there]] = True
        rows = rows[~there]
        if not len(rows):
            break
    return z, adversarial, ended


def _moved(begun: Tensor, way: Tensor, scale: Tensor) -> Tensor:
    """Return by how many levels round(begun + scale · way), made valid, is off where it began.

    ``begun`` is in whole levels, and the scale, shape (N,), is in levels, too.
    """
    change = (scale.to(way).view(-1, 1, 1, 1) * way).round_()
    return change.add_(begun).clamp_(0, 255).sub_(begun)


def _reach(begun: Tensor, way: Tensor, room: Tensor, wanted: Tensor) -> Tensor:
    """Return the scale, shape (N,), up to which images along a way have a lower price than wanted.

    At ``low`` no entry of the way is half a level, at ``high`` the largest is all of them.
    """
    peak = way.abs().flatten(1).amax(1).double().clamp(min=torch.finfo(torch.float64).tiny)
    low, high = 0.5 / peak, 255.5 / peak
    for _ in range(_HALVINGS):
        middle = (low * high).sqrt()
        within = _sum(_moved(begun, way, middle), room) < wanted
        low, high = torch.where(within, middle, low), torch.where(within, high, middle)
    return low


def _room(images: Tensor, masking: float) -> Tensor:
    """Return (σ + 0.02)ᵖ at each value, divided by its mean over the image, (N, C, H, W)."""
    pixels = images.double().mean(1, keepdim=True)
    beside = _WINDOW // 2
    padded = F.pad(pixels, 4 * [beside], mode="replicate")
    mean, square = (F.avg_pool2d(one, _WINDOW, 1) for one in (padded, padded.square()))
    room = ((square - mean.square()).clamp(min=0).sqrt() + _CALM) ** masking
    return (room / room.mean((1, 2, 3), keepdim=True)).to(images).expand_as(images)


def _price(original: Tensor, room: Tensor, images: Tensor) -> Tensor:
    """Return the sum of the prices, shape (N,); of whole levels, which add up exactly for p = 0."""
    return _sum((255 * (images - original)).round(), room)


def _sum(levels: Tensor, room: Tensor) -> Tensor:
    """Return the sum of the prices of changes in levels, shape (N,)."""
    return (levels.square() / room).flatten(1).sum(1, dtype=torch.float64) / 255**2
