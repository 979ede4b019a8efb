"""Progress with time left, wherever the code happens to run."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

#: Names a file to which progress is written instead of the screen. ``humimp.book`` sets it for
#: the notebooks it runs, reads the file, and shows its last line in the terminal.
VARIABLE = "HUMIMP_PROGRESS"


@contextmanager
def bar(label: str, total: float, *, done: float = 0, unit: str = "image") -> Iterator["tqdm[Any]"]:
    """Show how much is done and how long the rest will take.

    The bar appears in a terminal and in an interactive notebook, and stays silent elsewhere.

    Parameters
    ----------
    label
        What is being done, in a few words.
    total
        How many units there are to do.
    done
        How many of them an earlier session did; they do not count for the time left.
    unit
        One of them, in the singular; ``"B"`` counts bytes as kB and MB.

    Yields
    ------
    tqdm
        Call its ``update(n)`` when ``n`` more units are done.
    """
    options: dict[str, Any] = {
        "desc": label,
        "total": total,
        "initial": done,
        "unit": unit,
        "unit_scale": unit == "B",
        "mininterval": 0.3,
        "leave": False,
    }
    path = os.environ.get(VARIABLE)
    if path:
        with Path(path).open("a", encoding="utf-8") as file, tqdm(file=file, **options) as shown:
            yield shown
    else:
        watched = sys.stderr.isatty() or "ipykernel" in sys.modules
        with tqdm(disable=not watched, **options) as shown:
            yield shown
