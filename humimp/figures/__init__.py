"""The figures and tables of the paper: records in, a picture or a table out."""

from humimp.figures import style
from humimp.figures.figure1 import figure1
from humimp.figures.figure2 import figure2, tradeoff, whereabouts
from humimp.figures.figure3 import examples, figure3
from humimp.figures.figure4 import figure4
from humimp.figures.figure5 import figure5a
from humimp.figures.notebook import show_figures
from humimp.figures.price import price
from humimp.figures.reach import reach
from humimp.figures.table1 import table1
from humimp.figures.transfer import table_by_network, table_of_verdicts, transfer

__all__ = [
    "examples",
    "figure1",
    "figure2",
    "figure3",
    "figure4",
    "figure5a",
    "price",
    "reach",
    "style",
    "table1",
    "table_by_network",
    "table_of_verdicts",
    "tradeoff",
    "transfer",
    "whereabouts",
]

show_figures()
