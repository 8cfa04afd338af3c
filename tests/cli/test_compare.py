"""diff, trend and stale as they are typed: what they print, their exit codes, their pictures."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cdb.actor import actor
from cdb.cli import output
from tests import service
from tests.cli.conftest import GEOMETRY, PEDS, WHICH

JUNGFRAU = {"detector": "jungfrau_000001", "experiment": "rixx45619"}


@pytest.fixture
def darks(db):
    """Three days of pedestals and status of a small jungfrau; ids by type."""
    made = {"pedestals": [], "pixel_status": []}
    for n in (1, 2, 3):
        dark, status = np.full((3, 2, 4, 6), 100 + n, "f4"), np.zeros((3, 2, 4, 6), "u8")
        dark[0, 1] += 50 * (n == 3)
        status[1, 0, 0, : min(n, 2)] = 64
        which = {**JUNGFRAU, "run": n, "time": f"2021-10-0{n}T00:00:00Z"}
        made["pedestals"].append(db.add(dark, ctype="pedestals", **which).id)
        made["pixel_status"].append(db.add(status, ctype="pixel_status", **which).id)
    return made


# diff ------------------------------------------------------------------------------------------


def test_equal_constants_give_0(cdb, peds):
    np.save("same.npy", PEDS)
    result = cdb("diff", peds, "same.npy")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "they are equal")
    assert cdb("diff", peds, peds).exit_code == 0


def test_different_constants_give_1_and_a_row_a_panel(cdb, darks):
    first, _, last = darks["pedestals"]
    result = cdb("diff", first, last)
    rows = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert ["g0", "1", "24", "of", "24", "52", "52", "52", "52"] in rows
    assert ["g2", "0", "24", "of", "24", "2", "2", "2", "2"] in rows
    assert rows[-1][:4] == ["all", "144", "of", "144"]


def test_bits_are_told_by_name(cdb, darks):
    first, _, last = darks["pixel_status"]
    lines = cdb("diff", last, first).stdout.splitlines()
    assert lines[-1].split() == ["6", "wrong", "gain", "bits", "0", "1"]
    assert [line for line in lines if line.startswith("g")][1:] == [
        "g1    0      1 of 24   0            1"
    ]


def test_json_has_every_number(cdb, darks):
    result = cdb("diff", *darks["pedestals"][:2], "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["equal"], told["ctype"]) == (1, False, "pedestals")
    assert told["a"]["constant"]["id"] == darks["pedestals"][0]
    assert len(told["parts"]) == 6
    assert told["total"]["difference"] == {"n": 144, "mean": 1, "rms": 1, "min": 1, "max": 1}


def test_files_are_told_what_they_are(cdb, folder):
    np.save("a.npy", np.zeros((3, 2, 4, 6), "u8"))
    np.save("b.npy", np.full((3, 2, 4, 6), 64, "u8"))
    named = cdb("diff", "a.npy", "b.npy", "-d", "jungfrau_000001", "-c", "pixel_status")
    assert "wrong gain bits" in named.stdout
    unnamed = cdb("diff", "a.npy", "b.npy", "-d", "jungfrau")
    assert "g2    1" in unnamed.stdout
    assert "bits" not in unnamed.stdout


def test_files_need_no_store(cdb, folder, monkeypatch):
    monkeypatch.setenv("CDB_URL", "http://127.0.0.1:9/")
    assert cdb("diff", "mypeds", "mypeds").exit_code == 0


def test_moved_parts_are_a_table(cdb, folder):
    Path("moved").write_text(GEOMETRY.replace("-100000", "-99000").replace("180 0", "180 5"))
    lines = cdb("diff", "mygeo", "moved", "-c", "geometry").stdout.splitlines()
    assert lines[-1].split() == ["IP", "0", "EPIX100:V1", "0", "moved", "+1000", "+5"]
    assert lines[-2].split() == ["parent", "part", "what", "z0", "rot_x"]


@pytest.mark.parametrize(
    ("a", "b", "line"),
    [
        ("one\ntwo\n", "one\n2\n", "+2"),
        ("\x1b[2Jred\n", "red\n", "- [2Jred"),
    ],
)
def test_texts_are_a_unified_diff(cdb, folder, a, b, line):
    Path("a").write_text(a)
    Path("b").write_text(b)
    result = cdb("diff", "a", "b", "-i", "txt")
    assert result.exit_code == 1
    assert line in result.stdout.splitlines()


def test_changed_keys_are_a_table(cdb, folder):
    Path("a.json").write_text('{"gain": {"high": 1}, "same": 1}')
    Path("b.json").write_text('{"gain": {"high": 2}, "same": 1}')
    lines = cdb("diff", "a.json", "b.json").stdout.splitlines()
    assert lines[-1].split() == ["gain.high", "changed", "1", "2"]


def test_dtype_shape_and_kind_are_told(cdb, folder):
    for name, array in (("a", np.zeros(3)), ("b", np.zeros(3, "f4")), ("c", np.zeros(4))):
        np.save(f"{name}.npy", array)
    assert "dtype float64 -> float32" in cdb("diff", "a.npy", "b.npy").stdout
    other = cdb("diff", "a.npy", "c.npy").stdout
    assert "shape (3,) -> (4,)\nvalues are not compared" in other
    Path("d.json").write_text("{}")
    assert "A is float64 (3,)" in cdb("diff", "a.npy", "d.json").stdout


def test_constants_of_two_types_get_a_note(cdb, darks):
    result = cdb("diff", darks["pedestals"][0], darks["pixel_status"][0])
    assert "pedestals of jungfrau and pixel_status of jungfrau are compared" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("0" * 24, "mypeds"), "is known to the journal"),
        (("mypeds", "none"), "none is neither the id of a version"),
        (("mypeds", "./none"), "there is no file none"),
        (("mypeds", "mygeo"), "mygeo"),
        (("mypeds", "mypeds", "--plot", "x.jpg"), "no name of a picture"),
        (("mypeds", "mypeds", "--plot", "no/x.png"), "there is no folder no"),
        (("0" * 24, "mypeds", "--as-of", "99"), "99"),
    ],
)
def test_trouble_gives_2(cdb, folder, arguments, said):
    result = cdb("diff", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("cdb: error: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_other_commands_fail_with_1(cdb, folder):
    assert cdb("show", *WHICH, "-c", "pedestals").exit_code == 1
    assert cdb("diff", "mypeds", "none").exit_code == 2
    assert cdb("show", *WHICH, "-c", "pedestals").exit_code == 1


def test_a_picture_is_drawn(cdb, darks):
    first, _, last = darks["pedestals"]
    assert cdb("diff", first, last, "--plot", "peds.png").exit_code == 1
    assert Path("peds.png").read_bytes().startswith(b"\x89PNG")


def test_only_arrays_are_drawn(cdb, folder):
    result = cdb("diff", "mygeo", "mygeo", "-c", "geometry", "--plot", "geo.png")
    assert (result.exit_code, Path("geo.png").exists()) == (2, False)
    assert "only arrays are drawn" in result.stderr


def test_without_matplotlib_nothing_is_compared(cdb, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = cdb("diff", "mypeds", "mypeds", "--plot", "x.png")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pip install 'cdb[plot]'" in result.stderr


def test_a_service_is_asked_as_a_store_is(cdb, darks, db, monkeypatch):
    with service.serving(db.store) as served:
        monkeypatch.setenv("CDB_URL", served.url)
        monkeypatch.setenv("CDB_TOKEN", service.token_of(actor().login))
        first, _, last = darks["pedestals"]
        assert cdb("diff", first, last).exit_code == 1
        shown = cdb("trend", "-d", "jungfrau_000001", "-c", "pedestals", "--stat", "max").stdout
        assert [line.split()[-1] for line in shown.splitlines()[2:]] == ["+1", "+51"]
        assert cdb("stale", "-e", "rixx45619", "-t", "2021-10-02T06:00:00Z").exit_code == 0


# trend -----------------------------------------------------------------------------------------


def test_a_trend_has_a_row_a_version(cdb, darks):
    shown = cdb("trend", "-d", "jungfrau_000001", "-c", "pedestals", "--gain", "g0", "--panel", "1")
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert rows[0][-2:] == ["mean", "change"]
    assert [row[-1] for row in rows[2:]] == ["+1", "+51"]
    assert [row[5] for row in rows[1:]] == ["101", "102", "153"]


def test_a_trend_in_json_has_every_statistic(ask, darks):
    told = ask("trend", "-d", "jungfrau_000001", "-c", "pixel_status", "-e", "rixx45619")
    assert [point["numbers"]["bad"] for point in told] == [1, 2, 2]
    assert [point["id"] for point in told] == darks["pixel_status"]
    assert {"mean", "rms", "std", "min", "max", "bad", "gain", "panel"} < {*told[0]["parts"][0]}


def test_a_trend_is_drawn(cdb, darks):
    which = ("-d", "jungfrau_000001", "-c", "pedestals")
    assert cdb("trend", *which, "--plot", "trend.svg").exit_code == 0
    assert Path("trend.svg").read_bytes().startswith(b"<?xml")


def test_what_left_is_in_a_trend_only_with_all(cdb, darks):
    cdb("retire", darks["pedestals"][0], "-m", "test", "--yes")
    which = ("trend", "-e", "rixx45619", "-d", "jungfrau_000001", "-c", "pedestals")
    assert len(cdb(*which).stdout.splitlines()) == 3
    assert "retired" in cdb(*which, "--all").stdout


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--stat", "median"], 2, "there are mean, rms, std, min, max, bad"),
        (["--panel", "5"], 1, "there are panels 0 to 1"),
        (["--since", "2021-10-01T00:00:00"], 2, "has no zone"),
        (["--since", "2031-10-01T00:00:00Z"], 0, "nothing fits"),
    ],
)
def test_what_a_trend_cannot_show_is_said(cdb, darks, more, code, said):
    result = cdb("trend", "-d", "jungfrau_000001", "-c", "pedestals", *more)
    assert (result.exit_code, said in result.stderr, result.stdout) == (code, True, "")


def test_numbers_are_kept_and_cleared_with_the_cache(cdb, darks, tmp_path, monkeypatch):
    monkeypatch.setenv("CDB_CACHE", str(tmp_path / "cache"))
    which = ("trend", "-d", "jungfrau_000001", "-c", "pedestals")
    numbers = tmp_path / "cache" / "numbers"
    first = cdb(*which).stdout
    assert len([*numbers.glob("*/*")]) == 3
    assert cdb(*which).stdout == first
    assert cdb("cache", "clear", "--dry-run").exit_code == 0
    assert len([*numbers.glob("*/*")]) == 3
    assert cdb("cache", "clear").exit_code == 0
    assert [*numbers.glob("*/*")] == []


def test_long_work_shows_how_far_it_is(cdb, darks, db, tmp_path, monkeypatch):
    monkeypatch.setattr(output, "LONG_WORK", 1)
    monkeypatch.setenv("CDB_CACHE", str(tmp_path / "cache"))
    first, second, _ = darks["pedestals"]
    with service.serving(db.store) as served:
        monkeypatch.setenv("CDB_URL", served.url)
        monkeypatch.setenv("CDB_TOKEN", service.token_of(actor().login))
        assert "comparing 1.2 kB took" in cdb("diff", first, second).stderr
        asked = ("trend", "-d", "jungfrau_000001", "-c", "pixel_status")
        assert "reading 3.5 kB took" in cdb(*asked).stderr
        assert cdb(*asked).stderr == ""
    np.save("file.npy", np.zeros(100))
    assert "comparing 1.9 kB took" in cdb("diff", "file.npy", "file.npy").stderr


# stale -----------------------------------------------------------------------------------------


def test_what_is_fresh_gives_0_and_what_is_stale_1(cdb, darks):
    fresh = cdb("stale", "-e", "rixx45619", "-t", "2021-10-02T06:00:00Z")
    assert fresh.exit_code == 0
    old = cdb("stale", "-e", "rixx45619", "-t", "2021-10-10T06:00:00Z", "--last", "0")
    assert old.exit_code == 1
    assert "7 d old, limit 7 d" in old.stdout
    shift = cdb("stale", "-d", "jungfrau_000001", "-t", "2021-10-03T06:00:00Z")
    assert shift.exit_code == 1
    assert "the mean of g0 changed by 26 %, limit 10 %" in " ".join(shift.stdout.split())


def test_options_and_a_file_move_the_limits(cdb, darks):
    asked = ("stale", "-e", "rixx45619", "-t", "2021-10-03T06:00:00Z")
    assert cdb(*asked, "--max-mean-change", "0.5").exit_code == 0
    assert cdb(*asked, "--max-mean-change", "0.5", "--max-age", "5h").exit_code == 1
    Path("limits.toml").write_text("[types.pedestals]\nmax_mean_change = false\n")
    assert cdb(*asked, "--config", "limits.toml").exit_code == 0


def test_stale_in_json(cdb, darks):
    result = cdb("stale", "-t", "2021-10-03T06:00:00Z", "--json")
    peds, status = json.loads(result.stdout)
    assert (result.exit_code, peds["stale"], status["stale"]) == (1, True, False)
    assert peds["age"] == peds["since_dark"] == 6 * 3600
    assert (peds["gain"], round(peds["mean_change"], 3)) == ("g0", 0.261)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no constants of this store"),
        (("-d", "jungfrau_000009"), "no constants of jungfrau_000009"),
        (("-d", "jungfrau_unknown-1"), "jungfrau_unknown-1"),
        (("--config", "none.toml"), "there is no file none.toml"),
        (("--config", "mypeds"), "mypeds is no TOML"),
        (("--max-age", "7"), "'7' is no age"),
        (("--max-bad", "-1"), "-1"),
        (("--as-of", "99"), "99"),
    ],
)
def test_trouble_of_stale_gives_2(cdb, folder, arguments, said):
    result = cdb("stale", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("what", ["diff", "trend", "stale"])
def test_eighty_columns_are_enough_to_compare(cdb, darks, monkeypatch, what):
    monkeypatch.setenv("COLUMNS", "80")
    arguments = {
        "diff": darks["pedestals"][::2],
        "trend": ["-d", "jungfrau_000001", "-c", "pedestals"],
        "stale": [],
    }[what]
    lines = cdb(what, *arguments).stdout.splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 80
