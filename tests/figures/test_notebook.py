import base64
import io

import pytest
from IPython.core import getipython
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure
from PIL import Image

from humimp.figures.notebook import show_figures


@pytest.fixture
def shell(monkeypatch, tmp_path):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell()
    monkeypatch.setattr(getipython, "get_ipython", lambda: shell)
    return shell


def a_figure():
    figure = Figure(figsize=(3, 2), dpi=100)
    figure.subplots()
    return figure


def test_a_notebook_shows_a_figure_as_a_picture_of_its_own_size(shell):
    assert "image/png" not in shell.display_formatter.format(a_figure())[0]
    show_figures()
    png = shell.display_formatter.format(a_figure())[0]["image/png"]
    assert Image.open(io.BytesIO(base64.b64decode(png))).size == (300, 200)


def test_a_format_that_the_reader_has_chosen_is_kept(shell):
    shell.display_formatter.formatters["image/png"].for_type(Figure, lambda figure: b"chosen")
    show_figures()
    assert shell.display_formatter.format(a_figure())[0]["image/png"] == b"chosen"


def test_outside_a_notebook_nothing_happens(monkeypatch):
    monkeypatch.setattr(getipython, "get_ipython", lambda: None)
    show_figures()


def test_a_pillow_image_is_stored_once_and_without_loss(shell):
    image = Image.effect_noise((5, 4), 50)
    show_figures()
    data = shell.display_formatter.format(image)[0]
    assert "image/jpeg" not in data
    shown = Image.open(io.BytesIO(data["image/png"]))
    assert shown.tobytes() == image.tobytes()
