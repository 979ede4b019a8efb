"""The figures and tables of the paper: records in, a picture or a table out."""

from humimp.figures import style
from humimp.figures.figure1 import figure1
from humimp.figures.figure5 import figure5a
from humimp.figures.notebook import show_figures
from humimp.figures.price import price

__all__ = ["figure1", "figure5a", "price", "style"]

show_figures()
