"""Numbers computed from payloads, kept in a folder by the digest of the bytes they are of.

A payload never changes, so its numbers need no second look; that they are of these bytes is said
by the digest alone, never by the name of a constant. Without the folder all is computed anew.
"""

import contextlib
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from cdb.errors import StoreRefused
from cdb.statistics import Numbers, PartNumbers
from cdb.stores.cache import default_cache

logger = logging.getLogger(__name__)

# To be raised when numbers are computed otherwise, also when `cdb.shapes` has other axes for arrays
# of a detector that was known, or `cdb.bits` other values that are bad.
FORMAT = 1


class Computed:
    """Numbers in a folder of one's own.

    Parameters
    ----------
    folder : Path or str
        Made, for its owner alone, when something is first kept.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def get(self, question: tuple[str, ...]) -> list[PartNumbers] | None:
        """Return numbers that were kept; None if they were not, or are damaged.

        Parameters
        ----------
        question : tuple of str
            The digest of the bytes, and all that says how they are read.
        """
        try:
            kept = json.loads(self._path(question).read_bytes())
            if kept["question"] != [*question]:
                return None
            return [_part(part) for part in kept["parts"]]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.debug("numbers in %s are computed anew: %s", self.folder, error)
            return None

    def put(self, question: tuple[str, ...], parts: list[PartNumbers]) -> None:
        """Keep numbers; where there is no room for them, one does without."""
        path = self._path(question)
        beside = path.with_name(f".{os.urandom(8).hex()}.part")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = {"question": question, "parts": [part.kept() for part in parts]}
            beside.write_text(json.dumps(kept))
            beside.replace(path)
        except OSError as error:
            logger.info("numbers are not kept in %s: %s", self.folder, error)
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget all numbers."""
        for path in self.folder.glob("*/*"):
            path.unlink(missing_ok=True)

    def _path(self, question: tuple[str, ...]) -> Path:
        name = hashlib.sha256(json.dumps([FORMAT, *question]).encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.json"


def _part(kept: dict[str, Any]) -> PartNumbers:
    return PartNumbers(kept["gain"], kept["panel"], Numbers(**kept["numbers"]))


def beside_the_cache() -> Computed | None:
    """Return where numbers are kept: in the folder of ``CDB_CACHE``; None if it is ``off``."""
    cache = default_cache()
    if cache is None:
        return None
    try:
        cache.check()
    except StoreRefused as error:
        logger.info("numbers are not kept: %s", error)
        return None
    return Computed(cache.folder / "numbers")
