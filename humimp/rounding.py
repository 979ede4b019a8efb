"""How a GPU rounds in float32, for a while: PyTorch lets it round to TF32 where nobody asks.

TF32 keeps 11 of the 24 significant bits of the factors of convolutions and matrix products, which
makes them several times as fast. What lies at the boundary of a class can be on either side of it
then, and finite differences drown.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

import torch

Rounding = Literal["ieee", "tf32"]
P = ParamSpec("P")
T = TypeVar("T")

_turn = threading.RLock()


@contextmanager
def rounding(convolutions: Rounding = "ieee", products: Rounding = "ieee") -> Iterator[None]:
    """Set how the factors of convolutions and of matrix products are rounded; put it back.

    These are switches of the whole process. Where no GPU is in use they are left alone.

    Parameters
    ----------
    convolutions, products
        ``"ieee"`` keeps all 24 bits of a float32, ``"tf32"`` 11.
    """
    if not torch.cuda.is_initialized():
        yield
        return
    cudnn: Any = torch.backends.cudnn
    switches = cudnn.conv, torch.backends.cuda.matmul
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch, wanted in zip(switches, (convolutions, products), strict=True):
            switch.fp32_precision = wanted
        yield
    finally:
        for switch, old in zip(switches, before, strict=True):
            switch.fp32_precision = old


@contextmanager
def reproducible() -> Iterator[None]:
    """Let cuDNN compute the same each time, for one thread of this process at a time.

    What decides how a GPU computes, here and in `rounding`, are switches of the whole process: one
    piece of work must not put them back while another goes on. Where no GPU is in use, nothing is
    done and nobody waits.
    """
    if not torch.cuda.is_initialized():
        yield
        return
    cudnn: Any = torch.backends.cudnn
    with _turn:
        before = cudnn.deterministic, cudnn.benchmark
        cudnn.deterministic, cudnn.benchmark = True, False
        try:
            yield
        finally:
            cudnn.deterministic, cudnn.benchmark = before


def in_full(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function compute in full float32 on a GPU too."""

    @wraps(function)
    def computed(*args: P.args, **kwargs: P.kwargs) -> T:
        with rounding():
            return function(*args, **kwargs)

    return computed
