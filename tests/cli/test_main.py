"""Errors are one line, exit codes mean something, and nothing is loaded that is not needed."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cdb as package
from tests.cli.conftest import WHICH

CDB = str(Path(sys.executable).with_name("cdb"))
HEAVY = {"numpy", "pymongo", "rich", "sqlite3", "cdb.database", "cdb.payload", "dateutil"}


def loaded_by(*arguments: str) -> set[str]:
    """Return the heavy modules that a command loads."""
    script = (
        "import sys; from cdb.cli.main import main\n"
        f"sys.argv[1:] = {list(arguments)!r}\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('loaded:', *({HEAVY!r} & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return set(shown.stdout.splitlines()[-1].split()[1:])


def typed(*arguments: str, **how) -> subprocess.CompletedProcess[str]:
    """Type a command in a process of its own."""
    return subprocess.run([CDB, *arguments], capture_output=True, text=True, **how)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["get", "--help"], ["add", "-h"]])
def test_help_loads_nothing_heavy(arguments):
    assert loaded_by(*arguments) == set()


def test_info_on_a_folder_loads_neither_pymongo_nor_rich(folder):
    assert not {"pymongo", "rich", "dateutil"} & loaded_by("info")


def test_version_is_the_packages(cdb):
    assert cdb("--version").stdout == f"cdb {package.__version__}\n"


def test_without_a_command_the_help_is_shown_as_a_mistake(cdb):
    result = cdb()
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Constants:" in result.stderr


@pytest.mark.parametrize(
    ("mistyped", "hint"),
    [("ad", "did you mean 'add'?"), ("retier", "did you mean 'retire'?"), ("xyz", "there are add")],
)
def test_a_command_that_is_none_gets_a_hint(cdb, mistyped, hint):
    result = cdb(mistyped)
    assert result.exit_code == 2
    assert hint in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "-d", "epix_000001", "-c", "pedestals"],
        ["add", "-d", "epix_000001", "-c", "pedestals", "-f", "mypeds", "-r", "five"],
        ["add", "-d", "epix_000001", "-c", "pedestals", "-f", "mypeds", "-r", "-5"],
        ["get", "-d", "epix_000001", "-c", "pedestals", "-r", "9" * 20],
        ["get", "-d", "epix_000001", "-c", "pedestals", "--rule", "best"],
        ["get", "-d", "epix_000001", "-c", "pedestals", "--format", "tiff"],
        ["get", "-d", "epix_000001", "-c", "pedestals", "-o", "-", "-f", "x"],
        ["retire", "615717800000070123456789"],
        ["ls", "-n", "0"],
        ["ls", "--no-such"],
    ],
)
def test_what_is_mistyped_is_exit_code_2(cdb, folder, arguments):
    result = cdb(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error:" in result.stderr
    assert not (folder / "store").exists()


def test_a_failure_is_one_line_and_exit_code_1(cdb):
    result = cdb("get", *WHICH, "-c", "pedestals")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(r"cdb: error: no pedestals of epixhr2x2_000001 .*\n", result.stderr)


@pytest.mark.parametrize(
    "url", ["http://[::1", "file://[::1", "file:///x%00y", "file:x", "file:///x#y"]
)
@pytest.mark.parametrize("command", [["ls"], ["info"], ["add", *WHICH, "-c", "x", "-f", "mypeds"]])
def test_an_address_that_is_none_is_one_line(cdb, command, url):
    result = cdb(*command, "--url", url)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


def test_a_failure_shows_no_control_characters(cdb):
    result = cdb("add", "-d", "epix_000001", "-c", "pedestals", "-f", "a\x1b[31m\nb")
    assert result.stderr.startswith("cdb: error: there is no file a [31m b")


def test_the_traceback_is_there_for_who_wants_it(cdb):
    assert "Traceback" not in cdb("-l", "INFO", "ls", "-c", "pedestals").stderr
    assert "Traceback" in cdb("-l", "DEBUG", "ls", "-c", "pedestals").stderr


def test_warnings_of_the_library_go_to_stderr(cdb, peds, monkeypatch):
    import logging

    monkeypatch.setattr(
        "cdb.database.Database.find",
        lambda *_, **__: logging.getLogger("cdb.x").warning("beware") or [],
    )
    assert "cdb: warning: beware\n" in cdb("ls", *WHICH).stderr


def test_a_reader_that_has_had_enough_is_no_error(folder, peds):
    with subprocess.Popen([CDB, "journal", "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_behind_stdout_is_an_error(folder, peds):
    with open("/dev/full", "w") as full:
        result = subprocess.run([CDB, "ls"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (1, "cdb: error: No space left on device\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("asked", [["--help"], ["-V"], ["get", "--help"]])
def test_help_that_finds_no_room_is_an_error_too(folder, asked):
    with open("/dev/full", "w") as full:
        result = subprocess.run([CDB, *asked], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (1, "cdb: error: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("command", ["info", "ls -e rixx45619", "ls --json"])
def test_a_closed_stdout_or_stderr_is_no_trouble(folder, peds, command, closed):
    shell = f"{CDB} {command} {closed}"
    result = subprocess.run(["sh", "-c", shell], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_letter_that_stdout_cannot_show_is_shown_by_its_number(folder, cdb):
    cdb("add", "-d", "epix_000001", "-c", "x", "-f", "mypeds", "-m", "1 kΩ")
    latin = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    which = ("show", "-d", "epix_000001", "-c", "x")
    assert "comment      1 k\\u03a9\n" in typed(*which, env=latin).stdout
    assert json.loads(typed(*which, "--json", env=latin).stdout)["comment"] == "1 kΩ"


# Ctrl-C ----------------------------------------------------------------------------------------


def interrupted(*_, **__):
    raise KeyboardInterrupt


ADD = ("add", "-d", "epix_000001", "-c", "pedestals", "-f", "mypeds")


@pytest.mark.parametrize(
    ("place", "known"),
    [
        ("files.formats.read", "nothing was written"),
        ("stores.embedded.EmbeddedStore.write", "nothing was written"),
        ("journal.Journal._insert", "whether event 1 (add) was written is unknown: `cdb journal"),
        ("journal.Journal._finish", "event 1 (add) was written, and nothing after it"),
        ("cli.files._tell", "event 1 (add) was written, and nothing after it"),
        ("stores.embedded.EmbeddedStore.close", "event 1 (add) was written, and nothing after it"),
    ],
)
def test_who_interrupts_a_write_is_told_what_is_known(cdb, monkeypatch, place, known):
    monkeypatch.setattr(f"cdb.{place}", interrupted)
    result = cdb(*ADD)
    assert (result.exit_code, result.stderr.count("\n")) == (130, 1)
    assert result.stderr.startswith(f"cdb: interrupted; {known}")


@pytest.mark.parametrize("place", ["database.Database.find", "journal.Journal.head"])
def test_who_interrupts_a_reader_gets_one_line(cdb, peds, monkeypatch, place):
    monkeypatch.setattr(f"cdb.{place}", interrupted)
    result = cdb("ls", *WHICH)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "cdb: interrupted\n")


def run_by_itself(before: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Run the program, after some lines of Python, in a process that heeds Ctrl-C."""
    lines = "import cdb.cli.entry, os, signal, sys\n"
    lines += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    lines += f"sys.argv[1:] = {list(arguments)!r}\n{before}\ncdb.cli.entry.run()"
    return subprocess.Popen([sys.executable, "-c", lines], stderr=subprocess.PIPE)


def test_ctrl_c_is_one_line_in_a_shell_too(folder):
    os.mkfifo("pipe")
    process = run_by_itself("", *ADD[:-1], "pipe")
    with open("pipe", "wb"):  # opens as soon as the command reads
        process.send_signal(signal.SIGINT)
        told = process.communicate()[1]
    assert (process.returncode, told) == (130, b"cdb: interrupted; nothing was written\n")


def test_ctrl_c_while_it_loads_just_ends_it(folder):
    stop = "class Stop: find_spec = lambda *_: os.kill(os.getpid(), signal.SIGINT)"
    process = run_by_itself(f"{stop}\nsys.meta_path.insert(0, Stop)", "ls")
    assert (process.communicate()[1], process.returncode) == (b"", -signal.SIGINT)


def test_who_ignores_ctrl_c_is_not_interrupted(folder):
    ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    later = "import cdb.cli.main as m; f = m.main\n"
    later += "m.main = lambda: (os.kill(os.getpid(), signal.SIGINT), f())"
    process = run_by_itself(f"{ignore}\n{later}", "ls")
    assert (process.communicate()[1].count(b"interrupted"), process.returncode) == (0, 0)


@pytest.mark.parametrize("columns", ["", "no"])
def test_a_senseless_width_is_no_width(folder, peds, columns):
    result = typed("ls", *WHICH, env={**os.environ, "COLUMNS": columns})
    assert result.returncode == 0
    assert "data" in result.stdout.splitlines()[0]
