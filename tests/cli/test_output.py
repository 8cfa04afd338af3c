"""Tables fit the terminal and lose nothing that a script needs; long work shows how far it is."""

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cdb.cli import output
from cdb.cli.output import layout
from tests.cli.conftest import WHICH

CDB = str(Path(sys.executable).with_name("cdb"))
ROWS = [
    {"detector": "epix_000001", "id": "6157178", "size": "96 B", "note": ""},
    {"detector": "epix_000001", "id": "6157179", "size": "4.3 MB", "note": "retired: beam was on"},
    {"detector": "jungfrau_000001", "id": "615717a", "size": "1 B", "note": ""},
]
ROOM = {"above": "detector", "beneath": ["note"], "optional": ["size"]}


def lines(width, rows=ROWS):
    return list(layout(rows, width, **ROOM))


def test_a_pipe_gets_every_column_in_one_line_a_row():
    assert len(lines(None)) == 4
    assert lines(None)[2].split(maxsplit=4)[:3] == ["epix_000001", "6157179", "4.3"]
    assert lines(None)[2].endswith("retired: beam was on")


def test_a_remark_goes_beneath_its_row_first():
    assert lines(40)[0].split() == ["detector", "id", "size"]
    assert lines(40)[3] == "    retired: beam was on"


def test_then_a_column_becomes_a_line_above():
    assert lines(24)[:4] == [
        "epix_000001",
        "  id       size",
        "  6157178  96 B",
        "  6157179  4.3 MB",
    ]
    assert "jungfrau_000001" in lines(24)


def test_then_columns_are_left_out():
    assert lines(12)[:3] == ["epix_000001", "  id", "  6157178"]


def test_remarks_are_folded_and_what_cannot_fold_is_whole():
    assert "      retired:" in lines(16)
    assert any("6157178" in line for line in lines(3))


def test_columns_that_are_empty_are_left_out():
    rows = [{"id": "1", "note": ""}, {"id": "2", "note": ""}]
    assert list(layout(rows, None)) == ["id", "1", "2"]


def test_nothing_is_a_table_without_lines():
    assert list(layout([], 80)) == []


def test_control_characters_stay_out_of_tables():
    assert list(layout([{"note": "\x1b[2Jred\nend"}], None)) == ["note", " [2Jred end"]


def test_no_line_ends_with_blanks():
    assert [line for width in (None, 40, 24, 12) for line in lines(width) if line[-1] == " "] == []


@pytest.mark.parametrize("command", ["ls", "history", "explain", "journal", "print", "show"])
def test_eighty_columns_are_enough(cdb, peds, monkeypatch, command):
    cdb("retire", peds, "--reason", "beam was on, and the shutter was open", "--yes")
    cdb("restore", peds, "--reason", "it was not")
    monkeypatch.setenv("COLUMNS", "80")
    asked = {"journal": [], "print": [*WHICH], "ls": [*WHICH]}.get(
        command, [*WHICH, "-c", "pedestals"]
    )
    shown = cdb(command, *asked).stdout.splitlines()
    assert len(shown) > 2
    assert max(map(len, shown)) <= 80


def test_an_id_is_never_broken(cdb, peds, monkeypatch):
    for columns in ("80", "60", "30"):
        monkeypatch.setenv("COLUMNS", columns)
        assert peds in cdb("ls", *WHICH).stdout
        assert peds in cdb("explain", *WHICH, "-c", "pedestals").stdout


def test_long_work_is_told_when_it_is_done(cdb, folder):
    np.save("large.npy", np.zeros(4_100_000, "float32"))
    result = cdb("add", "-d", "epix_000001", "-c", "pixel_bkgd", "-f", "large.npy")
    assert result.stderr.startswith("cdb: adding 16.4 MB took ")
    assert cdb("get", "-d", "epix_000001", "-c", "pixel_bkgd").stderr == ""  # mapped, not moved
    again = cdb("add", "-d", "epix_000001", "-c", "pixel_bkgd", "-f", "large.npy")
    assert (again.stderr, "is there already" in again.stdout) == ("", True)


def test_short_work_is_not_told(cdb, peds):
    assert cdb("get", *WHICH, "-c", "pedestals").stderr == ""


def test_long_work_that_fails_says_only_why(cdb, folder):
    np.save("large.npy", np.zeros(4_100_000, "float32"))
    result = cdb(
        "add", "-d", "epix_000001", "-c", "x", "-f", "large.npy", "--url", "file:///proc/x"
    )
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def test_a_terminal_sees_a_bar(folder):
    np.save("large.npy", np.zeros(4_100_000, "float32"))
    ours, its = pty.openpty()
    command = [CDB, "add", "-d", "epix_000001", "-c", "pixel_bkgd", "-f", "large.npy"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=its, env=environment) as run:
        os.close(its)
        shown = read_all(ours)
    assert run.returncode == 0
    assert "adding" in shown
    assert "16.4/16.4 MB" in shown


def test_binary_data_are_kept_from_a_terminal(folder, peds):
    ours, its = pty.openpty()
    result = subprocess.run(
        [CDB, "get", *WHICH, "-c", "pedestals", "-o", "-"], stdout=its, stderr=subprocess.PIPE
    )
    os.close(its)
    assert result.returncode == 2
    assert b"--format txt" in result.stderr
    assert read_all(ours) == ""


def read_all(terminal: int) -> str:
    """Return what is written to a terminal until its other end is closed."""
    shown = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux says so at the end
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    return shown.decode()


def test_sizes_are_for_people():
    sizes = [output.size(n) for n in (None, 0, 999, 1000, 2_147_483_648)]
    assert sizes == ["?", "0 B", "999 B", "1.0 kB", "2.1 GB"]
