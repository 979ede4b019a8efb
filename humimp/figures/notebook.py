"""How a figure becomes a picture in a notebook."""

import sys

from matplotlib.figure import Figure
from PIL import Image


def show_figures() -> None:
    """Have the running notebook, if there is one, show pictures as PNG, of their own size.

    IPython does so with a Figure only once pyplot is in use. The figures of this package are made
    without it, so that none stays open. With a Pillow image, a JPEG would be stored as well.
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
        shell.display_formatter.formatters["image/jpeg"].for_type(Image.Image, lambda _: None)
