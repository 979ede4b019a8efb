"""Files that appear whole or not at all."""

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Put a file in place in one step: whole or not at all.

    Parameters
    ----------
    path
        The file. One of this name stays untouched until the new one is complete.
    data
        Its content.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(error, path) from error
        raise


def cannot_write(error: OSError, path: Path) -> OSError:
    """Return an error that says what to do."""
    return OSError(
        error.errno,
        f"cannot write ({error.strerror}); what was computed before is intact: "
        "make room, or make the folder writable, and run again to go on",
        str(path),
    )
