"""Figure 1a: what training on imperceptible attacks is meant to do. A drawing, not data."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle as CirclePatch
from numpy.typing import NDArray

from humimp.figures import style


class Circle(NamedTuple):
    """A circle in the plane of changes.

    Attributes
    ----------
    x : float
        Centre; the second coordinate is 0.
    radius : float
        Radius.
    """

    x: float
    radius: float


HUMAN = Circle(0.0, 1.0)
BEFORE = Circle(0.95, 1.0)
AFTER = Circle(0.34, 1.0)

_PEOPLE, _MACHINE, _ATTACK = (style.COLORS[name] for name in ("blue", "black", "vermillion"))
# kind -> (legend text, marker, edge colour, face colour)
_DOTS = {
    "machine": ("the classifier only: an imperceptible attack", "^", _ATTACK, _ATTACK),
    "both": ("both: an attack that people see", "s", style.COLORS["purple"], "white"),
    "people": ("people only", "o", _PEOPLE, _PEOPLE),
    "neither": ("neither", "x", "#B5B5B5", "white"),
}


def figure1() -> Figure:
    """Draw human and machine perception before and after training on imperceptible attacks.

    Returns
    -------
    Figure
        Two panels with the same changes as marks; only the classifier's circle moves.
    """
    dots = _changes()
    with style.use():
        figure = Figure(figsize=(style.COLUMN / 100, 3.85))
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        _panel(left, "Before training", dots, BEFORE)
        _panel(right, "After training on imperceptible attacks", dots, AFTER)
        right.annotate(
            "",
            xy=(AFTER.x + AFTER.radius + 0.06, -0.55),
            xytext=(BEFORE.x + BEFORE.radius + 0.1, -0.55),
            arrowprops={"arrowstyle": "-|>", "color": _MACHINE, "linewidth": 1.6},
        )
        handles = [
            Line2D([], [], linestyle="", marker=mark, color=edge, markerfacecolor=face, label=text)
            for text, mark, edge, face in _DOTS.values()
        ]
        figure.legend(
            handles=handles, title="A change made to a photograph, noticed by",
            title_fontsize=9.5, loc="outside lower center", ncols=2,
        )  # fmt: skip
    return figure


def kinds(dots: NDArray[np.float64], machine: Circle) -> NDArray[np.str_]:
    """Say who notices each change.

    Parameters
    ----------
    dots : ndarray of shape (n, 2)
        Places of the changes.
    machine : Circle
        The changes that move the classifier.

    Returns
    -------
    ndarray of shape (n,)
        "people", "machine", "both" or "neither".
    """
    seen, moved = (np.hypot(dots[:, 0] - c.x, dots[:, 1]) <= c.radius for c in (HUMAN, machine))
    return np.select([seen & moved, seen, moved], ["both", "people", "machine"], "neither")


def _changes() -> NDArray[np.float64]:
    """Spread dots over the circles and a margin, none so near a rim that its side is unclear."""
    rows, columns = np.meshgrid(np.linspace(-0.92, 0.92, 8), np.linspace(-1.15, 2.05, 14))
    jitter = np.random.default_rng(1).uniform(-0.06, 0.06, size=(2, rows.size))
    dots = np.stack([columns.ravel() + jitter[0], rows.ravel() + jitter[1]], axis=1)
    rims = [abs(np.hypot(dots[:, 0] - c.x, dots[:, 1]) - c.radius) for c in (HUMAN, BEFORE, AFTER)]
    return dots[np.min(rims, axis=0) > 0.06]


def _panel(axes: Axes, title: str, dots: NDArray[np.float64], machine: Circle) -> None:
    for circle, color, line, shade in ((HUMAN, _PEOPLE, "-", 0.10), (machine, _MACHINE, "--", 0.0)):
        centre = (circle.x, 0.0)
        axes.add_patch(CirclePatch(centre, circle.radius, color=color, alpha=shade, lw=0))
        axes.add_patch(CirclePatch(centre, circle.radius, fill=False, ec=color, ls=line, lw=1.8))
    of_dots = kinds(dots, machine)
    for kind, (_, marker, edge, face) in _DOTS.items():
        x, y = dots[of_dots == kind].T
        axes.plot(x, y, marker, ms=4, mec=edge, mfc=face, zorder=3)
    axes.text(HUMAN.x - 0.35, 1.06, "noticed by people", color=_PEOPLE, ha="center", va="bottom")
    axes.text(machine.x + 0.45, -1.06, "changes the answer", color=_MACHINE, ha="center", va="top")
    axes.set(title=title, xlim=(-1.25, 2.15), ylim=(-1.3, 1.3), aspect="equal")
    axes.axis("off")
