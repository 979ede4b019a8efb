"""Work that is sent to an executor and comes back in any order."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, TypeVar

Key = TypeVar("Key")
Done = TypeVar("Done")


def as_they_come(
    executor: Executor,
    function: Callable[..., Done],
    todo: Iterable[tuple[Key, tuple[Any, ...]]],
    most: int | None = None,
) -> Generator[tuple[Key, Done]]:
    """Send calls out, and yield what comes back as soon as it does.

    If one fails, what has not begun is called off, and the error is raised after those that are
    under way have been yielded. (Of dask's executor nobody can tell what has begun: all is called
    off there.)

    Parameters
    ----------
    executor
        Where the function is called.
    function
        What is called.
    todo
        A key and the arguments for each call; taken only as calls are sent out.
    most
        How many calls may be under way at a time; None for all.

    Yields
    ------
    tuple
        The key of a call, and what the function returned.
    """
    ahead = iter(todo)
    waiting: dict[Future[Done], Key] = {}
    failed: BaseException | None = None
    try:
        while True:
            while failed is None and (most is None or len(waiting) < most):
                call = next(ahead, None)
                if call is None:
                    break
                key, arguments = call
                waiting[executor.submit(function, *arguments)] = key
            if not waiting:
                break
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                key = waiting.pop(future)
                error = future.exception()
                if error is None:
                    yield key, future.result()
                elif failed is None:
                    failed = error
            if failed is not None:  # call off what has not begun, and wait for the rest
                waiting = {one: at for one, at in waiting.items() if not one.cancel()}
    finally:
        for future in waiting:
            future.cancel()
    if failed is not None:
        raise failed
