"""Write the scoreboard of the committed runs into the README, or say that it is out of date."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from humimp import pages, scoreboard
from humimp.scoreboard import show

BEGIN = "<!-- scoreboard: written by `python -m humimp.scoreboard` -->"
END = "<!-- end of the scoreboard -->"


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


def main(arguments: Sequence[str] | None = None, root: Path = pages.PACKAGE.parent) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m humimp.scoreboard", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if it is out of date"
    )
    check = parser.parse_args(arguments).check
    readme = root / "README.md"
    text = readme.read_text("utf-8")
    board = scoreboard.scoreboard(scoreboard.reference(root))
    try:
        wanted = updated(text, show.markdown(board))
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    if check and wanted != text:
        print("README.md: the scoreboard is out of date; run python -m humimp.scoreboard")
        return 1
    if not check:
        readme.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
