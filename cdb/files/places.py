"""Where a file is written: beside its place, and then moved there."""

import os
import uuid
from collections.abc import Iterable
from pathlib import Path


def move_into_place(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file from its pieces; at any time the path shows the old one or the new one, whole.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    beside = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with beside.open("xb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
