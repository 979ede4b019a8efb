"""What may come in: images, labels, models, logits, and what to say when something else does.

A check raises ``ValueError`` with what was given, what is allowed and what to do about it. The
checks read their input once, so they may stand in front of every call.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor, nn


def images(images: Tensor, name: str = "images") -> None:
    """Check a batch of images.

    Parameters
    ----------
    images
        Shape (N, C, H, W) with N ≥ 1 and C = 1 or 3, float32 or float64, values in [0, 1].
    name
        What the error calls them.

    Raises
    ------
    ValueError
        For anything else.
    """
    if not isinstance(images, Tensor):
        raise ValueError(
            f"{name}: expected a torch.Tensor, got {_kind(images)}; "
            "humimp.images.load reads a file, torch.from_numpy converts an array"
        )
    if images.ndim == 3:
        raise ValueError(
            f"{name}: expected shape (N, C, H, W), got {tuple(images.shape)}; "
            "add the batch dimension with [None]"
        )
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        hint = (
            "; the channels seem to come last: use .permute(0, 3, 1, 2)"
            if images.ndim == 4 and images.shape[-1] in (1, 3) and images.numel()
            else ""
        )
        raise ValueError(
            f"{name}: expected shape (N, C, H, W) with N ≥ 1 and C = 1 or 3, "
            f"got {tuple(images.shape)}{hint}"
        )
    if images.dtype not in (torch.float32, torch.float64):
        hint = (
            "convert with humimp.images.from_uint8"
            if images.dtype == torch.uint8
            else "convert with .float()"
        )
        raise ValueError(f"{name}: expected float32 or float64, got {_name(images.dtype)}; {hint}")
    low, high = (extreme.item() for extreme in torch.aminmax(images.detach()))
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = (~torch.isfinite(images.detach())).flatten(1).any(1).nonzero().flatten().tolist()
        raise ValueError(
            f"{name}: expected values in [0, 1], got NaN or infinite ones "
            f"in image {few(bad)} of the batch"
        )
    if low < 0 or high > 1:
        hint = (
            "undo the normalisation: it belongs inside the model (classifiers.Normalized)"
            if low < 0
            else "divide by 255"
            if high > 2
            else "clamp them with .clamp(0, 1)"
        )
        raise ValueError(
            f"{name}: expected values in [0, 1], got values from {low:g} to {high:g}; {hint}"
        )


def three(given: Any, name: str = "dataset") -> tuple[Any, Any, Any]:
    """Take a data set apart, whatever it holds.

    Parameters
    ----------
    given
        Images, labels and ids.
    name
        What the error calls it.

    Raises
    ------
    ValueError
        If these are not three.
    """
    try:
        images, labels, ids = given
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected the three of images, labels and ids; of a GeoDataset pass the "
            f"first three, {name}[:3]"
        ) from error
    return images, labels, ids


def pair(original: Tensor, images: Tensor) -> None:
    """Check two batches of images that are compared image by image.

    Parameters
    ----------
    original, images
        As for `images`, and both of the same shape, dtype and device.

    Raises
    ------
    ValueError
        For anything else.
    """
    _images(original, "original")
    _images(images, "images")
    for what in ("shape", "dtype", "device"):
        one, other = getattr(original, what), getattr(images, what)
        if one != other:
            one, other = (tuple(o) if what == "shape" else o for o in (one, other))
            raise ValueError(
                f"images: expected the {what} of the originals, {one}, got {other}; each image is "
                "compared with the original in its place"
            )


def labels(labels: Tensor, images: Tensor, classes: int | None = None) -> None:
    """Check the labels of a batch of images.

    Parameters
    ----------
    labels
        Shape (N,), int64, at least 0 and below ``classes``. They may be on any device.
    images
        The images that they belong to; only their number is looked at.
    classes
        How many classes there are, if known.

    Raises
    ------
    ValueError
        For anything else.
    """
    if not isinstance(labels, Tensor):
        raise ValueError(
            f"labels: expected a torch.Tensor, got {_kind(labels)}; use torch.tensor(labels)"
        )
    if labels.dtype != torch.int64:
        raise ValueError(f"labels: expected int64, got {_name(labels.dtype)}; convert with .long()")
    if labels.shape != (len(images),):
        raise ValueError(
            f"labels: expected one for each of the {len(images)} images, shape ({len(images)},), "
            f"got shape {tuple(labels.shape)}"
        )
    if len(labels) and (lowest := int(labels.min())) < 0:
        raise ValueError(f"labels: expected 0 or more, got {lowest}; the first class is 0")
    if classes is not None and len(labels) and (highest := int(labels.max())) >= classes:
        raise ValueError(
            f"labels: expected labels below {classes}, the number of classes, got {highest}; "
            "the first class is 0"
        )


def model(model: Callable[[Tensor], Tensor]) -> None:
    """Check that a model may be attacked: it must not change while it is asked.

    Parameters
    ----------
    model
        A module in evaluation mode, with all its parts, or any other callable.

    Raises
    ------
    ValueError
        For a module in train mode, or something that cannot be called.
    """
    if not callable(model):
        raise ValueError(f"model: expected a module or a callable, got {_kind(model)}")
    if isinstance(model, nn.Module):
        part = next((name for name, part in model.named_modules() if part.training), None)
        if part is not None:
            where = f"its part {part!r} is" if part else "it is"
            raise ValueError(
                f"model: {where} in train mode, where dropout is random and batch normalisation "
                "mixes images; call model.eval()"
            )


def can_derive() -> None:
    """Check that gradients can be had: ``torch.no_grad`` can be undone, inference mode cannot.

    Raises
    ------
    ValueError
        In ``torch.inference_mode()``.
    """
    if torch.is_inference_mode_enabled():
        raise ValueError(
            "an attack needs gradients, which torch.inference_mode() forbids; call it outside "
            "(torch.no_grad() does no harm)"
        )


def logits(logits: Tensor, labels: Tensor, *, again: bool = False) -> None:
    """Check what a model returned.

    Parameters
    ----------
    logits
        Shape (N, K) with K ≥ 2, finite, before the softmax.
    labels
        Shape (N,), each below K.
    again
        Whether the model was asked about such images before, so that what its first answer tells
        need not be looked for: probabilities in the place of logits, and labels that it lacks.

    Raises
    ------
    ValueError
        For anything else. Rows that are all non-negative and add up to 1 are taken to be
        probabilities.
    """
    if not isinstance(logits, Tensor):
        raise ValueError(
            f"model: expected it to return a torch.Tensor of logits, got {_kind(logits)}; "
            "wrap the model so that it returns the logits alone"
        )
    n = len(labels)
    if logits.ndim != 2 or logits.shape[0] != n or logits.shape[1] < 2:
        raise ValueError(
            f"model: expected logits of shape (N, K) with N = {n} images and K ≥ 2 classes, "
            f"got {tuple(logits.shape)}"
        )
    if not logits.is_floating_point():
        raise ValueError(
            f"model: expected floating-point logits, got {_name(logits.dtype)}; "
            "return them before argmax"
        )
    values = logits.detach()
    if not finite(values):
        bad = (~torch.isfinite(values)).any(1).nonzero().flatten().tolist()
        raise ValueError(
            f"model: NaN or infinite logits for image {few(bad)} of the batch; "
            "check the model's weights and its input normalisation"
        )
    if again:  # logits that an attack moves about may happen to add up to 1
        return
    if bool((values >= 0).all()) and bool(((values.sum(1) - 1).abs() < 1e-3).all()):
        raise ValueError(
            "model: it seems to return probabilities (no value below 0, every row adds up to 1); "
            "pass logits: take the softmax off the model"
        )
    if n and (highest := int(labels.max())) >= logits.shape[1]:
        raise ValueError(
            f"labels: expected labels below {logits.shape[1]}, the number of the model's classes, "
            f"got {highest}"
        )


def cost(values: Tensor, n: int) -> None:
    """Check what a ground cost returned.

    Parameters
    ----------
    values
        Shape (N,), one finite value per image.
    n
        How many images there are.

    Raises
    ------
    ValueError
        For anything else.
    """
    one_each(values, n)
    if not finite(values):
        raise ValueError("cost: NaN or infinite values; expected a finite cost for every image")


def one_each(values: Tensor, n: int) -> None:
    """Check that a ground cost returned one value per image, whatever they are.

    Parameters
    ----------
    values
        Shape (N,).
    n
        How many images there are.

    Raises
    ------
    ValueError
        For anything else.
    """
    shape = tuple(values.shape) if isinstance(values, Tensor) else _kind(values)
    if shape != (n,):
        raise ValueError(
            f"cost: expected one value per image, shape ({n},), got {shape}; "
            "a mean over the batch would mix the images (reduction='none' in piq)"
        )


def finite(values: Tensor) -> Tensor:
    """Whether all values are finite, as a tensor that has not been waited for.

    Parameters
    ----------
    values
        Any shape.

    Returns
    -------
    Tensor
        Boolean, shape (). NaN and infinity come through as an extreme, which on a CPU is found ten
        times as fast as each value is asked.
    """
    if not values.numel():
        return torch.ones((), dtype=torch.bool, device=values.device)
    values = values.detach()
    if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
        values = values.permute(0, 2, 3, 1)  # in the order of memory, three times as fast
    low, high = values.aminmax()
    return low.isfinite() & high.isfinite()


def gradient(gradient: Tensor, of: str) -> None:
    """Check a gradient before a step is taken along it.

    Parameters
    ----------
    gradient
        Any shape.
    of
        What it is the gradient of, in words.

    Raises
    ------
    ValueError
        If it is not finite.
    """
    if not finite(gradient):
        raise ValueError(
            f"the gradient of {of} is NaN or infinite; look for a square root, a norm or a "
            "division at zero (a cost must be differentiable at the original image too)"
        )


def number(value: float, name: str, *, low: float = -math.inf, above: float = -math.inf) -> None:
    """Check a real option.

    Parameters
    ----------
    value
        The number given.
    name
        What the error calls it.
    low
        The least value allowed.
    above
        A bound that the value must exceed.

    Raises
    ------
    ValueError
        For anything that is not a finite number within these bounds.
    """
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or value < low or value <= above:
        allowed = (
            f" above {above:g}" if above > -math.inf else f" ≥ {low:g}" if low > -math.inf else ""
        )
        raise ValueError(f"{name}: expected a finite number{allowed}, got {value!r}")


def count(value: int, name: str, *, low: int = 0, high: int | None = None) -> int:
    """Check an option that counts, and give it as a plain number, which torch and JSON take.

    Parameters
    ----------
    value
        The number given.
    name
        What the error calls it.
    low, high
        The least and the greatest value allowed.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ValueError
        For anything that is not a whole number within these bounds.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        allowed = f"≥ {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}: expected a whole number {allowed}, got {value!r}")
    return int(value)


def choice(value: str, name: str, allowed: tuple[str, ...]) -> None:
    """Check an option that is one of a few words.

    Parameters
    ----------
    value
        The word given.
    name
        What the error calls it.
    allowed
        The words allowed.

    Raises
    ------
    ValueError
        For any other word.
    """
    if value not in allowed:
        words = ", ".join(repr(word) for word in allowed)
        raise ValueError(f"{name}: expected one of {words}, got {value!r}")


def options(attack: Callable[..., Tensor], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check an attack that is called batch by batch, and the options for it.

    Parameters
    ----------
    attack
        Called as ``attack(model, images, labels, **options)``.
    given
        The options; None for none.

    Returns
    -------
    dict
        The options.

    Raises
    ------
    ValueError
        For something that cannot be called, an option that the attack does not take, or one that
        the caller decides on: ``generator`` and ``targeted``.
    """
    if not callable(attack):
        raise ValueError(f"attack: expected a function, got {attack!r}")
    found = dict(given or {})
    parameters = inspect.signature(attack).parameters.values()
    named = [p.name for p in parameters if p.kind != p.VAR_KEYWORD][3:]
    unknown = [key for key in found if key not in named]
    if unknown and all(p.kind != p.VAR_KEYWORD for p in parameters):
        raise ValueError(
            f"options: the attack does not take {', '.join(unknown)}; it takes {', '.join(named)}"
        )
    if "generator" in found:
        raise ValueError("options: leave generator out, each batch gets one made from seed")
    if found.get("targeted"):
        raise ValueError("options: leave targeted out, the labels are the true ones here")
    return found


def _kind(thing: Any) -> str:
    """Return the type of something, as a reader would write it."""
    kind = type(thing)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _name(dtype: torch.dtype) -> str:
    """Return ``float32`` for ``torch.float32``."""
    return str(dtype).removeprefix("torch.")


def few(names: Iterable[Any]) -> str:
    """Return the first few of many names, for a sentence."""
    every = [str(name) for name in names]
    shown = ", ".join(every[:5])
    return shown if len(every) <= 5 else f"{shown} and {len(every) - 5} more"


_images = images  # by another name, for functions with an argument called images
