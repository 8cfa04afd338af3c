"""What commands write down of how a constant came to be: its `source`."""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cdb.errors import BadDocument, BadFile, NotFound, shown

Source = dict[str, Any]

# As much of a source's text is read [bytes].
MAX_BYTES = 4 * 2**20


def given(file: Path | None, parents: Sequence[str]) -> Source:
    """Return what --source and --parent say.

    Parameters
    ----------
    file : Path or None
        With a JSON object.
    parents : sequence of str
        Ids of versions, beside those that the file names.

    Raises
    ------
    NotFound, BadFile
        If there is no such file, or it holds no JSON object.
    """
    from cdb import sources

    said = {} if file is None else _read(file)
    if parents:
        listed = said.get("parents", [])
        if not isinstance(listed, list):
            raise BadDocument(f"source.parents is {shown(listed)}; it must be a list")
        said["parents"] = [*listed, *({"id": each} for each in dict.fromkeys(parents))]
    return sources.checked(said)


def _read(file: Path) -> Source:
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFound(f"no file {file}") from None
    try:
        said = json.loads(text) if len(text) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise BadFile(
            f"{file} holds no JSON object of at most {MAX_BYTES} bytes; write what the constant "
            'was made from, as {"runs": [7], "software": {"name": "darkproc", "version": "2.1"}}'
        )
    return said


def of_file(file: Path, path: str, said: Source) -> Source:
    """Return the source of a constant that `cdb add` takes from a file.

    Parameters
    ----------
    file : Path
        The file.
    path : str
        As a document holds its path.
    said : dict
        What the user says; it stands where both say something.
    """
    from cdb import __version__

    files = said.get("files", [])
    own = _described(file, path)
    if own.get("sha256") not in [each.get("sha256") for each in files]:
        files = [*files, own]
    command = os.fsencode(" ".join(sys.argv)).decode(errors="replace")
    ours = {"command": command, "software": {"name": "cdb", "version": __version__}}
    return {**ours, **said, "files": files}


def _described(file: Path, path: str) -> Source:
    """Return path, digest and length; of a pipe, which is read once, the path alone."""
    if not file.is_file():
        return {"path": path}
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"path": path, "sha256": digest, "nbytes": stream.tell()}


def of_change(said: Source, parent: str | None, file: Path | None) -> Source:
    """Return the source of a constant that is another one changed.

    Parameters
    ----------
    said : dict
        What was changed.
    parent : str or None
        Id of the constant that was changed.
    file : Path or None
        Where it was read instead.
    """
    from cdb import __version__

    command = os.fsencode(" ".join(sys.argv)).decode(errors="replace")
    source: Source = {
        "command": command,
        "software": {"name": "cdb", "version": __version__},
        "parameters": said,
    }
    if parent is not None:
        source["parents"] = [{"id": parent}]
    if file is not None:
        source["files"] = [_described(file, os.fsencode(file).decode(errors="replace"))]
    return source
