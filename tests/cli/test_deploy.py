"""``cdb deploy``: what it prints, what it asks, its exit codes."""

import json

import numpy as np
import pytest

from cdb.files import lcls1, text
from cdb.geometry import defaults, tree

OPAL, CSPAD, JUNGFRAU = "XcsEnd.0:Opal1000.1", "CxiDs1.0:Cspad.0", "CxiDs1.0:Jungfrau.0"
NAME = "XcsEnd-0-Opal1000-1"
PANEL = "170505-149520170815-3d00b0"
GAIN = ("deploy", "constants", "-d", OPAL, "-c", "gain", "--repo", "constants")
MODE = ("deploy", "common-mode", "-d", OPAL)


@pytest.fixture
def site(folder):
    """Small repositories, and a tree, in the folder where commands run."""
    own = folder / "constants" / "opal1000" / NAME / "gain"
    own.mkdir(parents=True)
    for year, gain in ((2016, 2.5), (2020, 5.0)):
        path = own / f"opal1000_0001_{year}0101120000_xpptut15_r0007_gain.txt"
        text.write(path, np.full((3, 4), gain, "f4"))
    (folder / "geometry" / "cspad").mkdir(parents=True)
    default = folder / "geometry" / "cspad" / "cspad_default.data"
    default.write_text(tree.format(defaults.default_for("cspad")))
    for gain in range(3):
        for kind in ("gain", "offset"):
            path = folder / "gains" / PANEL / f"g{gain}_{kind}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.full((512, 1024), 3.0 - gain))
    (folder / "calib").mkdir()
    return folder


def test_what_is_deployed_is_told_with_what_changes_by_it(site, cdb):
    told = cdb(*GAIN, "-e", "xpptut15", "-r", "7-end", "-t", "20170101000000")
    assert told.exit_code == 0, told.stderr
    assert told.stdout.startswith("pixel_gain of opal1000_000001 deployed\n")
    for line in (
        "in          cdb_xpptut15, cdb_opal1000_000001", "data        float32 (3, 4), 2.5 .. 2.5",
        "unit        keV/ADU", "runs        7-end", "valid from  2017-01-01 08:00:00Z",
        "0-6    -       -", "7-end  -       new",
    ):  # fmt: skip
        assert line in told.stdout
    again = cdb(*GAIN, "-e", "xpptut15", "-r", "7-end", "-t", "20170101000000")
    assert again.stdout.startswith("pixel_gain of opal1000_000001 is there already\n")
    assert "before" not in again.stdout


def test_who_takes_runs_from_another_constant_is_asked(site, cdb, db):
    assert cdb(*GAIN, "-r", "0-end", "-t", "20170101").exit_code == 0
    head = db.head
    refused = cdb(*GAIN, "-r", "5-end", input="n\n")
    assert refused.exit_code == 1
    assert "Runs get another constant than now; deploy?" in refused.stderr
    assert "5-end  0-end, S 2  new" in refused.stdout
    assert db.head == head
    agreed = cdb(*GAIN, "-r", "5-end", input="y\n")
    assert agreed.stdout.count("5-end  0-end, S 2  new") == 1
    assert "pixel_gain of opal1000_000001 deployed" in agreed.stdout
    assert cdb(*GAIN, "-r", "9-end", "--yes").exit_code == 0
    assert db.head == head + 2


def test_a_question_does_not_disturb_the_json(site, cdb):
    assert cdb(*GAIN, "-r", "0-end").exit_code == 0
    agreed = cdb(*GAIN, "-r", "5-end", "--json", input="y\n")
    [row] = json.loads(agreed.stdout)
    assert row["new"]
    assert "pixel_gain, runs 5-end: 0-end, S 2 -> new" in agreed.stderr


def test_a_rehearsal_leaves_nothing_behind(site, cdb, db, ask):
    told = cdb(*GAIN, "-r", "0-end", "--calib", "calib", "--store", "--dry-run")
    assert told.stdout.count("pixel_gain of ") == told.stdout.count("would be deployed") == 2
    rows = ask(*GAIN, "-r", "0-end", "--calib", "calib", "--store", "--dry-run")
    assert [(row["new"], row["dry_run"], row["id"]) for row in rows] == [(True, True, None)] * 2
    assert (db.head, [*(site / "calib").iterdir()]) == (0, [])


def test_json_has_all_that_is_told(site, ask):
    [row] = ask(*GAIN, "-e", "xpptut15", "-r", "7-9", "--calib", "calib", "--store")[:1]
    assert (row["ctype"], row["seq"], row["state"]) == ("pixel_gain", 2, "live")
    assert row["source"]["files"][0]["path"].endswith("_20200101120000_xpptut15_r0007_gain.txt")
    assert row["effective"][1] == {"runs": "7-9", "before": None, "after": "new"}
    assert row["places"] == ["cdb_xpptut15", "cdb_opal1000_000001"]


def test_a_tree_gets_the_file_as_it_is(site, cdb):
    told = cdb(*GAIN, "-r", "0-end", "--calib", "calib", "-m", "from the site")
    assert told.exit_code == 0, told.stderr
    folder = lcls1.folder_of(site / "calib", OPAL, "pixel_gain")
    [file] = (site / "constants" / "opal1000" / NAME / "gain").glob("*_2020*")
    assert (folder / "0-end.data").read_bytes() == file.read_bytes()
    assert lcls1.read_history(folder)[0].comment == "from the site"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((*GAIN[:-1], "none", "-r", "0-end"), 1, "no folder none/opal1000; give the repository"),
        ((*GAIN[:-2], "-r", "0-end"), 2, "give --repo, or set SIT_ROOT"),
        (GAIN, 2, "for which runs? give -r"),
        ((*GAIN, "-r", "0-end", "--short"), 2, "--short is about the files of a tree"),
        ((*GAIN, "-r", "9-5"), 1, "ends before it begins"),
        ((*GAIN, "-r", "0-end", "-t", "soon"), 1, "YYYYmmddHHMMSS"),
        ((*GAIN, "-r", "0-end", "-t", "2010"), 1, "is none; write YYYYmmddHHMMSS"),
        ((*GAIN, "-r", "0-end", "-t", "20100101"), 1, "there are 2 of later times"),
        ((*GAIN, "-r", "0-end", "-c", "peds"), 2, "there are gain, rms, status"),
        ((*GAIN, "-r", "0-end", "--calib", "calib", "-e", "x"), 2, "say --store for both"),
        ((*GAIN, "-r", "0-end", "--calib", "none"), 1, "is not called calib"),
        ((*GAIN, "-r", "0-end", "-c", "rms"), 1, f"no pixel_rms of {OPAL} in"),
        ((*MODE, "7", "1"), 1, "no algorithm 7 for opal1000"),
        ((*MODE, "-r", "0", "1", "2", "3", "4", "--default"), 2, "give one of them"),
        (MODE, 1, "no detector"),
        ((*MODE, "--calib", "calib"), 1, "--default tells what is taken"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_leaves_nothing(
    site, cdb, words, code, says, monkeypatch
):
    monkeypatch.delenv("SIT_ROOT", raising=False)
    result = cdb(*words)
    assert result.exit_code == code, result.stderr
    assert says in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert [*(site / "calib").iterdir()] == []


def test_a_repository_is_below_sit_root(site, cdb, monkeypatch):
    place = site / "site" / "detector" / "calib"
    place.mkdir(parents=True)
    (site / "constants").rename(place / "constants")
    monkeypatch.setenv("SIT_ROOT", str(site / "site"))
    assert cdb(*GAIN[:-2], "-r", "0-end", "--dry-run").exit_code == 0


def test_what_the_rules_keep_out_ends_with_3(site, cdb):
    path = site / "constants" / "jungfrau" / "1-1" / "status"
    path.mkdir(parents=True)
    text.write(path / "jungfrau_0001_20200101_x.txt", np.ones((3, 1, 512, 1024), "u1"))
    words = ("deploy", "constants", "-d", JUNGFRAU, "--id", "1-1", "-c", "status", "-r", "0-end")
    result = cdb(*words, "--repo", "constants")
    assert (result.exit_code, "quarantined" in result.stdout) == (3, True)
    assert "cdb approve" in result.stderr


# geometry and links ----------------------------------------------------------------------------

GEOMETRY = ("deploy", "geometry", "-d", CSPAD, "--repo", "geometry")


def test_a_geometry_is_placed_and_the_default_said(site, cdb, db):
    told = cdb(*GEOMETRY, "-r", "0-end", "-e", "cxi1", "--posz", "-125000.25", "--rotz", "90")
    assert told.exit_code == 0, told.stderr
    assert "note: the default of all cspad" in told.stderr
    made = tree.parse(db.get(CSPAD, "geometry", experiment="cxi1", run=1)[0])
    assert (made.parts[-1].z0, made.parts[-1].rot_z) == (-125000.25, 90)


def test_the_packages_own_geometry_needs_no_repository(site, cdb):
    words = ("deploy", "geometry", "-d", JUNGFRAU, "--package", "-r", "0-end", "--calib", "calib")
    assert "unknown number of panels" in cdb(*words).stderr
    told = cdb(*words, "--panels", "2")
    assert "note: the default of the package" in told.stderr
    path = lcls1.folder_of(site / "calib", JUNGFRAU, "geometry") / "0-end.data"
    assert tree.parse(path.read_text()) == defaults.default_for("jungfrau", 2)


def test_a_link_is_rehearsed_and_made(site, cdb, ask):
    words = ("deploy", "link", "cspad_default.data", "-d", CSPAD, "-t", "20240101", "--repo",
             "geometry")  # fmt: skip
    path = site / "geometry" / "cspad" / "cspad_CxiDs1-0-Cspad-0_20240101000000.data"
    assert "would be a link to cspad_default.data" in cdb(*words, "--dry-run").stdout
    assert not path.exists()
    assert ask(*words)["link"].endswith(path.name)
    assert path.is_symlink()
    assert cdb(*words).exit_code == 1
    assert "note" not in cdb(*GEOMETRY, "-r", "0-end", "--dry-run").stderr


# gains and common modes ------------------------------------------------------------------------


def test_gains_of_a_jungfrau_come_as_a_set(site, cdb, ask, db):
    words = ("deploy", "jungfrau-gains", "-d", JUNGFRAU, "--repo", "gains", "-r", "7-end")
    assert "give --id" in cdb(*words).stderr
    assert "no folder of panel 1-2-3" in cdb(*words, "--id", f"{PANEL}_1-2-3").stderr
    rows = ask(*words, "--id", PANEL, "-e", "cxi1")
    assert [(row["ctype"], row["unit"], row["seq"]) for row in rows] == [
        ("pixel_gain", "ADU/keV", 2), ("pixel_offset", "ADU", 2)]  # fmt: skip
    data, meta = db.get(JUNGFRAU, "pixel_gain", experiment="cxi1", run=8)
    assert (data.shape, data[2, 0, 0, 0], meta["unit"]) == ((3, 1, 512, 1024), 1, "ADU/keV")
    assert meta["source"]["parameters"]["panels"] == {PANEL: PANEL}


def test_a_common_mode_is_told_in_words_before_and_after(site, cdb, ask):
    told = cdb(*MODE, "-e", "xpp1", "-r", "7-end", "1", "50", "50", "100")
    assert told.stdout.startswith("1 50 50 100 for opal1000:\n  the whole: peak of the histogram")
    held = cdb(*MODE, "-e", "xpp1", "-r", "9")
    assert held.stdout == told.stdout.partition("common_mode of")[0]
    assert "from cdb_xpp1, runs 7-end" in held.stderr
    asked = ask(*MODE, "-e", "xpp1", "-r", "9")
    assert asked["parameters"] == [1, 50, 50, 100]
    [row] = json.loads(cdb(*MODE, "-r", "0-end", "--default", "--json").stdout)
    assert row["notes"] == ["the default of LCLS-I's Python readers"]


def test_a_common_mode_of_a_tree(site, cdb):
    tree_ = (*MODE, "--calib", "calib")
    assert cdb(*tree_, "-r", "7-end", "0", "0").exit_code == 0
    assert cdb(*tree_, "-r", "8").stdout == "0 0 for opal1000: no correction\n"
    assert cdb(*tree_, "-r", "3").exit_code == 1
