"""The code blocks of a page, run one after the other as one session in one folder.

Blocks of ``python`` and ``sh`` are run; in blocks of ``console`` the lines after ``$ `` are, and
what they print is compared with the lines that follow. Identifiers, times of events and hosts
differ from day to day: they are compared by their form, and an identifier that a page shows stands
for the one that was really printed, also in later commands.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROMPT = re.compile(r"^\$ (.*(?:\n> .*)*)\n?", re.MULTILINE)
ID = re.compile(r"\b[0-9a-f]{24}\b")
HOME = "/home/you"


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """Return language and text of each block."""
    return BLOCK.findall(page.read_text())


def commands_in(console: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with what it prints."""
    _, *parts = PROMPT.split(console)
    for command, printed in zip(parts[::2], parts[1::2], strict=True):
        yield command.replace("\n> ", "\n"), printed


class Session:
    """A folder with its own store, in which blocks are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.real: dict[str, str] = {}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CDB_")},
            "CDB_URL": (folder / "store").as_uri(),
            "CDB_CACHE": str(folder / "cache"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "80",
            "LOGNAME": "you",
            "TZ": "UTC",
        }

    def run(self, language: str, text: str) -> None:
        """Run one block."""
        if language == "python":
            self._python(text)
        elif language == "sh":
            lines = [line for line in text.splitlines() if not line.startswith("make ")]
            self._shell("\n".join(lines), "")
        elif language == "console":
            for command, printed in commands_in(text):
                self._compare(command, printed)

    def _python(self, text: str) -> None:
        command = [sys.executable, "-W", "error", "-c", text]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True)

    def _shell(self, command: str, printed: str) -> str:
        for shown, real in self.real.items():
            command = command.replace(shown, real)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder, env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert (done.returncode != 0) == ("error:" in printed.lower()), f"{command}\n{done.stdout}"
        return done.stdout.replace(str(self.folder), HOME)

    def _compare(self, command: str, printed: str) -> None:
        got = self._shell(command, printed)
        assert masked(got) == masked(printed), f"{command}\n{got}"
        for shown, real in zip(ID.findall(printed), ID.findall(got), strict=True):
            self.real.setdefault(shown, real)
            assert self.real[shown] == real, f"{command}: {shown} stands for two identifiers"


def masked(text: str) -> str:
    """Return a text without what differs from day to day."""
    text = ID.sub("<id>", text)
    text = re.sub(r"\b20(?!21)\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\dZ", "<time>", text)
    text = re.sub(r"\b(?:[0-9a-f]{16}|[0-9a-f]{64})\b", "<digest>", text)
    text = re.sub(r"\byou@\S+", "<who>", text)
    text = re.sub(r"[-+]\d\.\d s from", "<seconds> from", text)
    text = re.sub(r" +", " ", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
