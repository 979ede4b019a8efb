"""What identifies a thing: descriptions and hashes by which one run is told from another."""

import ast
import dis
import hashlib
import inspect
import json
import logging
import re
import textwrap
import threading
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from numbers import Integral, Real
from pathlib import PurePath
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

#: Kinds whose text says all about them.
_BY_TEXT = (
    torch.dtype, torch.device, torch.memory_format, np.dtype, range, complex, Fraction, Decimal,
    re.Pattern,
)  # fmt: skip
#: Where what a notebook or a script defines belongs: it may be defined anew under the same name.
_OPEN = "__main__"
#: Makers of modules whose attributes ``extra_repr()`` and the parts tell.
_TOLD = ("torch", "torchvision")
#: Kinds of which one is as good as another.
_ALIKE = (type(threading.Lock()), type(threading.RLock()))


def describe(thing: Any, *, forms: bool = False) -> Any:
    """Describe an option as JSON, so that equal descriptions mean equal behaviour.

    Parameters
    ----------
    thing
        Numbers, text and their like, arrays, functions, classes, modules, containers, and objects.
        NumPy's numbers are the plain ones. Functions and classes are known by name; functions
        inside others, lambdas, and what a notebook or script defines, also by their code and what
        they refer to. Arrays are known by their values, modules by class and weights, other
        objects by class. Modules and objects are also known by their public attributes, whatever
        these are; what begins with ``_`` is left out.
    forms
        Whether modules are known by their `form`, too.

    Returns
    -------
    JSON
        Numbers, strings, lists and dictionaries.

    Raises
    ------
    ValueError
        For an object that has no attributes and is nothing of the above.
    """
    return _describe(thing, forms, ())


def forms(thing: Any) -> str:
    """Return the SHA-256 of what `describe` says with the forms of modules, in hexadecimal."""
    described = json.loads(json.dumps(describe(thing, forms=True)), parse_int=float)  # 1 is 1.0
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def is_fingerprinted(description: Any) -> bool:
    """Whether a description holds the fingerprint of an array or a module's weights."""
    if isinstance(description, dict):
        return bool({"sha256", "weights"} & set(description)) or any(
            map(is_fingerprinted, description.values())
        )
    return isinstance(description, list) and any(map(is_fingerprinted, description))


def weights(module: nn.Module) -> str:
    """Return the SHA-256 of a module's parameters and buffers, in hexadecimal."""
    state = module.state_dict()
    tensors = [value for value in state.values() if isinstance(value, Tensor)]
    return hashlib.sha256((json.dumps(list(state)) + digest(tensors)).encode()).hexdigest()


def form(module: nn.Module) -> str:
    """Return the SHA-256 of what a module computes with its weights, in hexadecimal.

    That is all its buffers, also those that are not saved, as the mean and the deviation of a
    normalisation; and name, class and ``extra_repr()`` of each of its parts, such as strides. Of
    parts whose class is neither torch's nor torchvision's it is also their public attributes, as
    far as these are numbers, text, arrays, or containers of such; and of a class that a notebook or
    script defines, its code.
    """
    total = hashlib.sha256()
    for name, buffer in module.named_buffers():
        total.update(f"{name} {digest([buffer])}\n".encode())
    for name, part in module.named_modules():
        kind = type(part)
        text = re.sub(r" at 0x[0-9a-f]+", "", part.extra_repr())
        total.update(f"{name} {kind.__qualname__} {text}\n".encode())
        if kind.__module__.partition(".")[0] in _TOLD:
            continue
        public = {k: v for k, v in vars(part).items() if not k.startswith("_") and k != "training"}
        plain = {k: describe(v) for k, v in public.items() if _is_plain(v)}
        more = [plain, _methods(kind)]
        if any(more):
            total.update(json.dumps(more, sort_keys=True).encode())
    return total.hexdigest()


def digest(tensors: Iterable[Tensor]) -> str:
    """Return the SHA-256 of tensors, one after the other, in hexadecimal."""
    total = hashlib.sha256()
    for tensor in tensors:
        tensor = tensor.detach().cpu().contiguous()
        total.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _describe(thing: Any, forms: bool, above: tuple[Any, ...]) -> Any:
    """Describe a thing that is inside others: ``above``, the outermost first."""
    if isinstance(thing, np.generic):
        value = thing.item()
        if isinstance(value, np.generic):  # wider than any plain number
            return {_kind(thing): repr(value)}
        return _describe(value, forms, above)
    if thing is None or isinstance(thing, str | bool | int | float):
        return thing
    if isinstance(thing, PurePath):
        return str(thing)
    if isinstance(thing, _BY_TEXT):
        return {_kind(thing): str(thing)}
    if isinstance(thing, Integral | Real):
        return int(thing) if isinstance(thing, Integral) else float(thing)
    if isinstance(thing, Enum | logging.Logger):
        return {_kind(thing): thing.name}
    if inspect.ismodule(thing):
        return thing.__name__
    if isinstance(thing, np.ufunc):
        return f"numpy.{thing.__name__}"
    if isinstance(thing, Tensor):
        return {"shape": list(thing.shape), "sha256": digest([thing])}
    if isinstance(thing, np.ndarray) and not thing.dtype.hasobject:
        data = f"{thing.dtype}{thing.shape}".encode() + thing.tobytes()
        digested = {"shape": list(thing.shape), "sha256": hashlib.sha256(data).hexdigest()}
        return {_kind(thing): digested}
    if isinstance(thing, bytes | bytearray):
        return {_kind(thing): {"sha256": hashlib.sha256(thing).hexdigest()}}
    if isinstance(thing, _ALIKE):
        return {_kind(thing): {}}
    for depth, one in enumerate(above):
        if one is thing:  # it is inside itself
            return {"above": depth}
    return _whole(thing, forms, (*above, thing))


def _whole(thing: Any, forms: bool, above: tuple[Any, ...]) -> Any:
    """Describe a thing that may hold others; it is the last one ``above`` them."""

    def inside(part: Any) -> Any:
        return _describe(part, forms, above)

    if isinstance(thing, Mapping):
        if all(isinstance(key, str) for key in thing):
            return {str(key): inside(value) for key, value in thing.items()}
        pairs = ([inside(key), inside(value)] for key, value in thing.items())
        return {_kind(thing): sorted(pairs, key=json.dumps)}
    if isinstance(thing, list | tuple):
        return [inside(value) for value in thing]
    if isinstance(thing, set | frozenset):
        return {_kind(thing): sorted(map(inside, thing), key=json.dumps)}
    if isinstance(thing, np.ndarray):
        return {_kind(thing): inside(thing.tolist())}
    if inspect.isroutine(thing) or inspect.isclass(thing):
        return _function(thing, forms, above)
    if hasattr(thing, "func") and hasattr(thing, "keywords"):  # functools.partial
        return {_kind(thing): inside([thing.func, thing.args, thing.keywords])}
    public = {key: value for key, value in _attributes(thing).items() if not key.startswith("_")}
    if not isinstance(thing, nn.Module):
        methods = _methods(type(thing))
        described = {key: inside(value) for key, value in public.items()}
        return {_kind(thing): described | ({"()": methods} if methods else {})}
    public.pop("training", None)
    described = {key: inside(value) for key, value in public.items()}
    if "weights" in described:
        described["attribute weights"] = described.pop("weights")
    described["weights"] = weights(thing)
    if forms:
        described["form"] = form(thing)
    return {_kind(thing): described}


def _attributes(thing: Any) -> dict[str, Any]:
    """Return the attributes of an object, also those in slots."""
    slots = [slot for kind in type(thing).__mro__ for slot in _slots(kind)]
    if not slots and not hasattr(thing, "__dict__"):
        raise ValueError(
            f"{thing!r}: nothing tells one {_kind(thing)} from another; give plain values, a "
            "function that is defined at the top level of a module, or an object that keeps this "
            "in an attribute beginning with _ and says in others what it is"
        )
    in_slots = {slot: getattr(thing, slot) for slot in slots if hasattr(thing, slot)}
    return in_slots | getattr(thing, "__dict__", {})


def _slots(kind: type) -> tuple[str, ...]:
    """Return the names of the slots that a class adds to those above it."""
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _kind(thing: Any) -> str:
    """Return the name of a thing's class."""
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _function(thing: Any, forms: bool, above: tuple[Any, ...]) -> Any:
    """Describe a function, method or class."""

    def inside(part: Any) -> Any:
        return _describe(part, forms, above)

    name = f"{getattr(thing, '__module__', None) or 'builtins'}.{thing.__qualname__}"
    owner = getattr(thing, "__self__", None)
    bound = inspect.isbuiltin(thing) and not (inspect.ismodule(owner) or inspect.isclass(owner))
    if inspect.ismethod(thing) or (bound and owner is not None):
        return {name: inside(owner)}
    written = getattr(thing, "__module__", None) == _OPEN and "<" not in name
    if written and inspect.isclass(thing):
        return {name: _methods(thing)}
    if not inspect.isfunction(thing) or not (written or "<" in name):
        return name

    def used(key: str) -> Any:
        value = thing.__globals__[key]
        try:
            return inside(value)
        except ValueError:
            if not written:
                raise
            return _kind(value)  # a cell may refer to anything

    cells = zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True)
    return {
        name: {
            "code": _text(thing) if written else _hashed(_code(thing.__code__)),
            "holds": {key: inside(cell.cell_contents) for key, cell in cells if _is_full(cell)},
            "uses": {
                key: used(key) for key in sorted(_globals(thing.__code__) & set(thing.__globals__))
            },
            "defaults": inside(thing.__defaults__),
            "keywords": inside(thing.__kwdefaults__),
        }
    }


def _methods(kind: type) -> dict[str, str]:
    """Return the fingerprint of each method that a notebook or script defines for a class."""
    own = [one for one in reversed(kind.__mro__) if one.__module__ == _OPEN]
    return {
        f"{one.__qualname__}.{key}": _text(getattr(value, "__func__", value))
        for one in own
        for key, value in vars(one).items()
        if inspect.isfunction(getattr(value, "__func__", value))
    }


def _text(function: Any) -> str:
    """Return the SHA-256 of a function's source, whatever its layout and Python's version.

    That of its code where there is no source.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return _hashed(_code(function.__code__))
    return _hashed(ast.unparse(tree))


def _hashed(thing: Any) -> str:
    return hashlib.sha256(repr(thing).encode()).hexdigest()


def _is_plain(value: Any) -> bool:
    """Whether a value is a number, text, an array, or a container of such."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, np.ndarray):
        return not value.dtype.hasobject
    plain = str | bool | int | float | complex | np.generic | torch.dtype | Tensor
    return value is None or isinstance(value, plain)


def _code(code: CodeType) -> list[Any]:
    """Return what decides a function's behaviour, in a form whose text is always the same."""
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    constants = [_constant(one) for one in code.co_consts]
    return [code.co_code.hex(), counts, arguments, code.co_names, code.co_freevars, constants]


def _constant(value: Any) -> Any:
    """Return a constant of a function in such a form: sets have no order, functions a code."""
    if isinstance(value, CodeType):
        return _code(value)
    if isinstance(value, frozenset):
        return ["set", *sorted(map(repr, value))]
    return value


def _globals(code: CodeType) -> set[str]:
    """Return the global names that a function reads, and those inside it."""
    reads = ("LOAD_GLOBAL", "LOAD_NAME")
    own = {one.argval for one in dis.get_instructions(code) if one.opname in reads}
    return own.union(*(_globals(one) for one in code.co_consts if isinstance(one, CodeType)))


def _is_full(cell: Any) -> bool:
    """Whether a variable of an enclosing function has its value yet."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
