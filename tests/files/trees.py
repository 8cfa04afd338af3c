"""Small LCLS-I trees for tests."""

import os
import signal
from pathlib import Path

from cdb.files import lcls1

CSPAD = "CxiDs1.0:Cspad.0"
EPIX = "XppGon.0:Epix100a.1"
XTCAV = "XrayTransportDiagnostic.0:Opal1000.0"


def text_of(number: int) -> str:
    """Return a file whose array of one number tells which file it is."""
    return f"# DTYPE int64\n# NDIM 1\n# DIM:0 1\n{number}\n"


def fill(calib: Path, source: str, ctype: str, *names: str, group: str | None = None) -> Path:
    """Put files into a tree, each with its place in `names` as its value; return their folder."""
    folder = lcls1.folder_of(calib, source, ctype, group)
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_text(text_of(number))
    return folder


def listing(folder: Path) -> dict[str, str]:
    """Return what lies in a folder under names that readers, or people, look at."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.name[0] != "."}


def killed_at(step: str, kind: type, *arguments: object, **options: object) -> None:
    """Make a change of a tree, and be killed at a step of it; runs in a process of its own."""
    change = kind(*arguments, **options)

    def stop(name: str) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    change.step = stop
    change.commit()
