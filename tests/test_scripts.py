"""The tools of LCLS-I under their old names, with their old options."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readers import writers

SCRIPTS = Path(__file__).parents[1] / "scripts"
NAMES = (
    "datinfo", "event_keys", "epix10ka_id", "jungfrau_id", "find_detector_names",
    "find_detector_runs", "find_runs_for_data_type",
)  # fmt: skip
ID = "-".join(f"{number:010d}" for number in range(1, 8))


@pytest.fixture
def script(tmp_path, monkeypatch, capsys):
    """Run a script; give its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDB_URL", (tmp_path / "store").as_uri())
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("SIT_PSDM_DATA", raising=False)

    def run(name, *words):
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        code = None
        try:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        said = code if isinstance(code, str) else ""
        return (1 if said else code or 0), captured.out, captured.err + said

    return run


@pytest.fixture
def epix(tmp_path):
    return writers.translated(
        tmp_path / "xcsx31116-r0012.h5", {0: 2, 1: 2}, config=writers.epix_config([1] * 4, 12)
    )


@pytest.mark.parametrize("name", NAMES)
def test_each_has_help_and_can_be_executed(script, name):
    code, out, _ = script(name, "--help")
    assert code == 0
    assert f"usage: {name}" in out
    assert os.access(SCRIPTS / name, os.X_OK)


def test_a_script_runs_as_a_program(tmp_path, epix):
    python = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [SCRIPTS / "epix10ka_id", epix], env=os.environ | {"PATH": python}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert f"elem  0: {ID}" in done.stdout


def test_datinfo(script, epix):
    code, out, _ = script(
        "datinfo", "-e", "xcsx31116", "-r", "12", "-x", f":smd:dir={epix.parent}", "-d", "Epix10ka",
        "-n", 10, "-m", 0, "-L", "INFO", "--steps", 1,
    )  # fmt: skip
    assert code == 0
    assert "xcsx31116 run 12, hdf5" in out
    assert f"panel 0 of XcsEndstation.0:Epix10ka.1: {ID}" in out
    assert "Epix::ElementV3/frame" in out
    assert "Epix::ElementV3/frame" not in script("datinfo", "-x", epix, "-k", 0)[1]


def test_datinfo_counts_event_codes_of_so_many_events_and_lists_constants(script, epix):
    writers.with_codes(epix, [[40], [40, 162]])
    code, out, err = script("datinfo", "-x", epix, "-n", 1)
    assert code == 0
    assert "40 (1) of the first 1 events" in out
    assert "no constants of XcsEndstation.0:Epix10ka.1" in err


def test_event_keys_says_what_has_no_effect(script, epix):
    code, out, err = script("event_keys", "-d", epix, "-n", 3, "-m", 5)
    assert code == 0
    assert "EventKey(type=" in out
    assert "-n and -s have no effect" in err
    assert "for constants type cdb raw info --constants" in err
    assert script("event_keys", "-d", epix)[2] == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-d", "x"], "give -e and -r, or -x"), (["-x", "a.h5", "-n", "-5"], "no number from 0 on"),
        (["-x", "a.h5", "-L", "loud"], "invalid choice: 'LOUD'"),
        (["-x", "a.h5", "--steps", "x"], "'x' is no number from 0 on"),
    ],
)  # fmt: skip
def test_datinfo_refuses_what_is_no_option(script, words, says):
    code, _, err = script("datinfo", *words)
    assert (code, says in err, "usage: datinfo" in err) == (2, True, True)


def test_datinfo_takes_the_only_run_of_a_folder(script, epix):
    code, out, _ = script(
        "datinfo", "-e", "xcsx31116", "-x", f":dir={epix.parent}", "-L", "critical"
    )
    assert (code, "xcsx31116 run 12, hdf5" in out) == (0, True)


def test_datinfo_says_what_is_wrong(script, tmp_path):
    code, out, err = script("datinfo", "-x", f"exp=xcsx31116:run=9:dir={tmp_path}")
    assert (code, out) == (1, "")
    assert "has no files of run 9" in err


@pytest.mark.parametrize(("bits", "n"), [(1, 4), (2, 1), (3, 5), (4, 0)])
def test_event_keys(script, epix, bits, n):
    code, out, _ = script("event_keys", "-d", epix, "-m", bits, "-p", "Epix")
    assert (code, out.count("EventKey(type="), out.count("\n")) == (0, n, n)


def test_event_keys_in_a_file(script, epix, tmp_path):
    code, out, _ = script("event_keys", "-d", epix, "-f", tmp_path / "keys.txt", "-v")
    assert (code, out) == (0, "")
    assert "src='XcsEndstation.0:Epix10ka.1'" in (tmp_path / "keys.txt").read_text()


def test_ids(script, epix):
    assert f"elem  0: {ID}" in script("epix10ka_id", epix, ":Epix10ka.")[1]
    code, _, err = script("jungfrau_id", epix)
    assert (code, "no jungfrau of" in err) == (1, True)
    assert "there is no file" in script("jungfrau_id", "nowhere")[2]


def test_finding(script, tmp_path, epix, monkeypatch):
    source = "CxiDs1.0:Cspad.0"
    tree = tmp_path / "ds" / "CXI" / "cxi01516" / "calib" / "CsPad::CalibV1" / source / "pedestals"
    tree.mkdir(parents=True)
    (tree / "5-end.data").write_text("1 2\n")
    monkeypatch.setenv("SIT_PSDM_DATA", str(tmp_path / "ds"))
    assert f"cspad_0001_{source}" in script("find_detector_names")[1]
    assert "cxi01516" in script("find_detector_runs", "CXI", "cspad.")[1]
    assert "no such constants" in script("find_detector_runs", "MEC", "cspad")[2]
    assert epix.name in script("find_runs_for_data_type", "Epix", tmp_path)[1]
