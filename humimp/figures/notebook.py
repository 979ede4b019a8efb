"""How a figure becomes a picture in a notebook."""

import sys

from matplotlib.figure import Figure


def show_figures() -> None:
    """Have the running notebook, if there is one, show a Figure as a PNG of its own size.

    IPython does so only once pyplot is in use. The figures of this package are made without it,
    so that none stays open.
    """
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython
    from IPython.core.pylabtools import select_figure_formats

    shell = get_ipython()
    if shell is not None and shell.display_formatter is not None:
        formatter = shell.display_formatter.formatters["image/png"]
        if Figure not in formatter:
            select_figure_formats(shell, {"png"}, bbox_inches=None)
