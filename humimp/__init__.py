"""An executable edition of *Human Imperceptible Attacks and Applications to Improve Fairness*."""

__version__ = "0.1.0"
