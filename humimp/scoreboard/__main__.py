"""Write the README's scoreboard and picture of the committed runs, or say what is out of date."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from humimp import datasets, evaluate, images, pages, scoreboard
from humimp.figures import figure3
from humimp.scoreboard import show

BEGIN = "<!-- scoreboard: written by `python -m humimp.scoreboard` -->"
END = "<!-- end of the scoreboard -->"

#: The photograph of the README's picture, and the runs of page 3.2 that it shows, by title.
SHOWN = "imagenet_00"
RUNS = {"Original": "no-attack", "Ours (a = 0)": "ours-a-0", "Ours (a = 5)": "ours-a-5"}


def updated(text: str, block: str) -> str:
    """Put a block between the two marks of a text.

    Raises
    ------
    ValueError
        If a mark is missing, comes twice, or they are in the wrong order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(
            f"README.md: expected {BEGIN} and, further down, {END}, each once and on a line of its "
            "own; put them where the scoreboard should stand"
        )
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{after}"


def picture(root: Path) -> Image.Image:
    """Draw Figure 3 for one photograph, from the reference run of page 3.2.

    Raises
    ------
    ValueError, OSError
        If an attacked image or its run is not there.
    """
    run = pages.Project(root).page("03_2_pieapp").reference
    shown = {t: images.load(run / slug / "images" / f"{SHOWN}.png") for t, slug in RUNS.items()}
    names = datasets.class_names()
    answers = {
        title: evaluate.load(run / slug).set_index("id")["predicted"][SHOWN]
        for title, slug in RUNS.items()
    }
    return figure3([shown], [{title: names[answer] for title, answer in answers.items()}])


def is_drawn(picture: Image.Image, file: Path) -> bool:
    """Whether a file holds a picture, pixel by pixel."""
    return file.is_file() and np.array_equal(np.asarray(Image.open(file)), np.asarray(picture))


def main(arguments: Sequence[str] | None = None, root: Path = pages.PACKAGE.parent) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m humimp.scoreboard", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if it is out of date"
    )
    check = parser.parse_args(arguments).check
    readme, png = root / "README.md", root / "results" / "figure3.png"
    text = readme.read_text("utf-8")
    board = scoreboard.scoreboard(scoreboard.reference(root))
    try:
        wanted, drawn = updated(text, show.markdown(board)), picture(root)
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    stale = ["README.md: the scoreboard"] if wanted != text else []
    stale += [] if is_drawn(drawn, png) else [f"{png.relative_to(root)}: the picture"]
    if check:
        for one in stale:
            print(f"{one} is out of date; run python -m humimp.scoreboard")
        return 1 if stale else 0
    readme.write_text(wanted, "utf-8")
    drawn.save(png)
    return 0


if __name__ == "__main__":
    sys.exit(main())
