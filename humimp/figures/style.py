"""How the figures look: one colour, marker and line per attack, and one set of text sizes.

The colours are those of Okabe and Ito, told apart by readers with any kind of colour blindness;
markers and line styles repeat the distinction for print in grey.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import matplotlib as mpl

T = TypeVar("T")

#: Width of the text column of the book, in CSS pixels: no figure is wider.
COLUMN = 700

#: Okabe and Ito's colours, by name. Yellow is left out: it is too pale for lines on white.
COLORS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#7F7F7F",
}


class Look(NamedTuple):
    """How one attack is drawn: the arguments of ``Axes.plot`` that tell it apart."""

    color: str
    marker: str
    linestyle: str


#: The attacks of the paper's Table 1, under the names that the table gives them, the control, and
#: what this edition sets beside them.
LOOKS = {
    "No attack": Look(COLORS["grey"], "x", ":"),
    "PGD (L2)": Look(COLORS["blue"], "s", "--"),
    "Ours (a = 0)": Look(COLORS["orange"], "o", "-"),
    "Ours (a = 1)": Look(COLORS["vermillion"], "^", "-"),
    "Ours (a = 5)": Look(COLORS["purple"], "D", "-"),
    "PerC_AL": Look(COLORS["green"], "v", "-."),
    "NPTM (PPGD)": Look(COLORS["sky"], "P", "--"),
    "NPTM (LPA)": Look(COLORS["black"], "X", "-."),
    "DDN": Look("#332288", "<", "--"),
    "ALMA (LPIPS)": Look("#44AA99", "*", "-."),
    "8-bit aware": Look("#DC267F", "H", "-"),
    "PerC_AL (κ = 40)": Look("#8C510A", "h", "-"),
    "FGSM": Look("#882255", ">", "--"),
}

# Other attacks take these, in the order in which they are named.
_SPARE = [
    Look("#117733", "p", "-."),
    Look("#808000", "8", "--"),
    Look("#661100", "d", "-."),
    Look("#785EF0", "+", "-"),
    Look("#A6761D", "4", "--"),
    Look("#5E5E5E", "1", "-."),
]

_SETTINGS: dict[Any, Any] = {
    "figure.dpi": 200,
    "figure.facecolor": "white",
    "figure.edgecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "axes.facecolor": "white",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "axes.labelsize": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "text.color": "#222222",
    "xtick.color": "#444444",
    "xtick.labelcolor": "#222222",
    "xtick.labelsize": 9.5,
    "ytick.color": "#444444",
    "ytick.labelcolor": "#222222",
    "ytick.labelsize": 9.5,
}


@contextmanager
def use() -> Iterator[None]:
    """Draw with the book's text sizes, lines and opaque white background.

    Every function in :mod:`humimp.figures` builds its figure inside ``with style.use():``.
    A figure ``COLUMN / 100`` inches wide fills the text column of the book.
    """
    with mpl.rc_context(_SETTINGS):
        yield


def enough(given: Sequence[T], count: int, what: str) -> Sequence[T]:
    """Return the first ``count`` of what tells things apart.

    Raises
    ------
    ValueError
        If there are fewer; ``what`` says of which things.
    """
    if count > len(given):
        raise ValueError(f"{what}: at most {len(given)} can be told apart here, got {count}")
    return given[:count]


def looks(attacks: Iterable[str]) -> dict[str, Look]:
    """Give every attack a look of its own.

    Parameters
    ----------
    attacks
        Names of attacks, in any order, without doubles.

    Returns
    -------
    dict
        For each name its :class:`Look`, in the given order. Names in :data:`LOOKS` always look
        the same; others take the spare looks in turn.

    Raises
    ------
    ValueError
        If a name comes twice, or if more names are new than there are spare looks.
    """
    names = list(attacks)
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ValueError(f"attacks named twice: {', '.join(doubles)}; name each once")
    new = [name for name in names if name not in LOOKS]
    if len(new) > len(_SPARE):
        raise ValueError(
            f"{len(new)} attacks that are not the paper's, but only {len(_SPARE)} spare looks; "
            "show fewer in one figure or add looks in humimp/figures/style.py"
        )
    spare = dict(zip(new, _SPARE, strict=False))
    return {name: LOOKS[name] if name in LOOKS else spare[name] for name in names}
