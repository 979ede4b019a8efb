"""The figures and tables of the paper: records in, a picture or a table out."""

from humimp.figures import style

__all__ = ["style"]
