"""The scripts with the names of LCLS's deployers understand the old options."""

import runpy
import stat
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from cdb.files import lcls1, text
from cdb.geometry import defaults, tree

SCRIPTS = Path(__file__).parents[2] / "scripts"
NAMES = (
    "calibfile", "common_mode", "dcs", "deploy_constants", "geometry_deploy_constants",
    "jungfrau_gain_constants",
)  # fmt: skip
CSPAD, OPAL, JUNGFRAU = "CxiDs1.0:Cspad.0", "CxiDs1.0:Opal1000.0", "CxiDs1.0:Jungfrau.0"
PANEL = "170505-149520170815-3d00b0"
TIME = ("-t", "20200101000000")


@pytest.fixture
def calib(tmp_path, monkeypatch):
    """The calib folder of an experiment, and repositories, where the environment says."""
    path = tmp_path / "ds" / "CXI" / "cxic00121" / "calib"
    path.mkdir(parents=True)
    monkeypatch.setenv("SIT_PSDM_DATA", str(tmp_path / "ds"))
    monkeypatch.setenv("SIT_ROOT", str(tmp_path / "site"))
    monkeypatch.setenv("CDB_URL", (tmp_path / "store").as_uri())
    detector = tmp_path / "site" / "detector"
    own = detector / "calib" / "constants" / "opal1000" / "CxiDs1-0-Opal1000-0" / "gain"
    own.mkdir(parents=True)
    text.write(own / "opal1000_0001_20180101000000_x.txt", np.full((3, 4), 2.5, "f4"))
    other = own.parents[1] / "default" / "opal1000_default_rms.txt"
    other.parent.mkdir()
    text.write(other, np.ones((3, 4), "f4"))
    geometry = detector / "calib" / "geometry" / "cspad"
    geometry.mkdir(parents=True)
    (geometry / "cspad_default.data").write_text(tree.format(defaults.default_for("cspad")))
    panel = detector / "gains" / "jungfrau" / PANEL
    panel.mkdir(parents=True)
    for number in range(3):
        for kind in ("gain", "offset"):
            np.save(panel / f"g{number}_{kind}.npy", np.full((512, 1024), number, "f4"))
    return path


@pytest.fixture
def run(calib, tmp_path, monkeypatch, capsys):
    """Run a script with options; gives its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def ran(name, *options):
        monkeypatch.setattr(sys, "argv", [name, *map(str, options)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPTS / name))
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return ran


def files(calib):
    return sorted(path.relative_to(calib).as_posix() for path in calib.rglob("*.data"))


def folder(calib, source, ctype):
    return lcls1.folder_of(calib, source, ctype)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_screen_long_executable_and_says_what_to_type_today(run, name):
    path = SCRIPTS / name
    assert len(path.read_text().splitlines()) <= 62
    assert path.stat().st_mode & 0o111
    code, out, _ = run(name, "--help")
    assert (code, "Today: cdb" in " ".join(out.split())) == (0, True)


# calibfile -------------------------------------------------------------------------------------


def test_the_last_word_of_calibfile_is_the_path(run, calib):
    path = folder(calib, CSPAD, "geometry") / "0-end.data"
    code, out, _ = run("calibfile", "path", "-e", "cxic00121", "-s", CSPAD, "-t", "geometry")
    assert (code, out.split()[-1]) == (0, str(path))
    Path("cm.txt").write_text("1 50 50 100\n")
    asked = ("-e", "cxic00121", "-s", CSPAD, "-t", "common_mode", "-r", "7-20")
    code, out, _ = run("calibfile", "deploy", *asked, "-f", "cm.txt")
    path = folder(calib, CSPAD, "common_mode") / "7-20.data"
    assert (code, out.split()[-1], path.read_text()) == (0, str(path), "1 50 50 100\n")
    code, out, _ = run("calibfile", "get", *asked, "-f", "got.txt")
    assert (code, out.split()[-1], Path("got.txt").read_text()) == (0, str(path), "1 50 50 100\n")


def test_calibfile_finds_instruments_in_small_letters(run, calib):
    calib.parents[1].rename(calib.parents[2] / "cxi")
    _, out, _ = run("calibfile", "path", "-e", "cxic00121", "-s", CSPAD)
    assert "/ds/cxi/cxic00121/calib/CsPad::CalibV1/" in out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("deploy", "-f", "none.txt"), 1, "there is no file none.txt"),
        (("get", "-r", "7-9"), 1, "no 7-9.data of CxiDs1.0:Cspad.0 in"),
        (("path", "-r", "x"), 1, "x.data does not say for which runs it holds"),
        (("path", "-s", "x"), 1, "is none; sources are as"),
        (("deploy", "-f", "bad.txt"), 1, "line 1"),
        (("deploy", "-f", "bad.txt", "--dirmode", "1533"), 2, "is decimal; write 2775"),
        (("deploy", "-f", "bad.txt", "--filemode", "0o9"), 2, "is not octal"),
    ],
)
def test_what_is_wrong_for_calibfile_is_one_sentence(run, calib, words, code, says):
    Path("bad.txt").write_text("x\n")
    ended, _, err = run("calibfile", *words[:1], "-e", "cxic00121", "-s", CSPAD, *words[1:])
    assert (ended, says in err) == (code, True), err
    assert files(calib) == []


# deploy_constants ------------------------------------------------------------------------------


def test_nothing_is_deployed_without_the_letter(run, calib):
    asked = ("-e", "cxic00121", "-d", OPAL, *TIME, "-C", "gain", "-R", "10-20")
    code, out, err = run("deploy_constants", *asked)
    assert (code, files(calib)) == (0, [])
    assert "pixel_gain of CxiDs1.0:Opal1000.0 would be deployed" in out
    assert "runs: cdb deploy constants --calib" in err
    assert "nothing is written without -D" in err
    code, out, _ = run("deploy_constants", *asked, "-D", "--dirmode", "2770", "--filemode", "660")
    path = folder(calib, OPAL, "pixel_gain") / "10-20.data"
    assert (code, stat.S_IMODE(path.stat().st_mode)) == (0, 0o660)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o2770
    assert text.read(path)[0, 0] == 2.5


def test_another_tree_and_another_repository(run, calib, tmp_path):
    (tmp_path / "mine" / "calib").mkdir(parents=True)
    repository = tmp_path / "site" / "detector" / "calib" / "constants"
    repository.rename(tmp_path / "repo")
    code, _, err = run(
        "deploy_constants", "-d", OPAL, *TIME, "-c", "mine/calib", "-o", "repo", "-D"
    )
    assert (code, files(calib), len(files(tmp_path / "mine" / "calib"))) == (0, [], 1), err


def test_a_default_is_taken_only_with_its_option(run, calib):
    asked = ("-e", "cxic00121", "-d", OPAL, *TIME, "-C", "rms", "-D")
    code, _, err = run("deploy_constants", *asked)
    assert (code, "is taken with --default" in err, files(calib)) == (1, True, [])
    code, _, err = run("deploy_constants", *asked, "--default")
    assert (code, "note: the default of all opal1000" in err) == (0, True)
    [record] = lcls1.read_history(folder(calib, OPAL, "pixel_rms"))
    assert record.comment.startswith("the default of all opal1000")


def test_the_time_of_a_run_is_read_from_its_data(run, calib, tmp_path):
    asked = ("-e", "cxic00121", "-d", OPAL, "-C", "gain")
    code, _, err = run("deploy_constants", *asked, "-t", "260")
    assert (code, "the time of run 260 is not known" in err) == (1, True)
    code, _, err = run("deploy_constants", *asked, "-r", "7")
    assert (code, "or give the time with -t" in err) == (1, True)
    with h5py.File(tmp_path / "cxic00121-r0007.h5", "w") as file:
        file["CxiDs1.0:Opal1000.0/raw"] = np.zeros((2, 3, 4), "u2")
        file["timestamp"] = 1_600_000_000 * 10**9 + np.arange(2)
    whole = f"exp=cxic00121:run=9:dir={tmp_path}"
    for words in (("-r", "7"), ("-t", "7"), ("-t", "7", "-L", "INFO", "-x", whole)):
        code, out, err = run("deploy_constants", "-x", f":dir={tmp_path}", *asked, *words)
        assert (code, "would be deployed" in out) == (0, True), err
    for words in (("-x", "some.h5"), ()):
        code, _, err = run("deploy_constants", "-d", OPAL, "-c", calib, "-t", "7", *words)
        assert (code, "do not say where it is" in err) == (2, True)


def test_what_is_not_said_is_asked_for(run, monkeypatch):
    assert "give its source with -d" in run("deploy_constants", "-e", "cxic00121")[2]
    assert "for which experiment" in run("deploy_constants", "-d", OPAL)[2]
    assert "experiment '../x'" in run("deploy_constants", "-e", "../x", "-d", OPAL)[2]
    assert run("deploy_constants", "-e", "cxic00121", "-d", OPAL, *TIME, "-C", "peds")[0] == 2
    monkeypatch.delenv("SIT_PSDM_DATA")
    assert "where is the tree" in run("deploy_constants", "-e", "cxic00121", "-d", OPAL)[2]


# geometry_deploy_constants ---------------------------------------------------------------------


def test_a_geometry_is_placed_by_the_old_options(run, calib):
    asked = ("-e", "cxic00121", "-d", CSPAD, *TIME, "--posz", "-100000", "--rotz", "90", "-D")
    code, _, err = run("geometry_deploy_constants", *asked, "-B", "--parent", "IP")
    assert code == 0, err
    made = tree.parse((folder(calib, CSPAD, "geometry") / "0-end.data").read_text())
    assert (made.parts[-1].z0, made.parts[-1].rot_z) == (-100000, 90)


def test_by_the_source_no_ids_are_asked_of_the_data(run, calib, tmp_path):
    epix = "CxiDs1.0:Epix100a.0"
    home = tmp_path / "site" / "detector" / "calib" / "geometry" / "epix100a"
    home.mkdir()
    with h5py.File(tmp_path / "cxic00121-r0007.h5", "w") as file:
        file[f"{epix}/raw"] = np.zeros((2, 704, 768), "u2")
        file["timestamp"] = 1_600_000_000 * 10**9 + np.arange(2)
    for year in (2018, 2022):
        name = f"epix100a_CxiDs1-0-Epix100a-0_{year}0101.data"
        (home / name).write_text(tree.format(defaults.default_for("epix100a")))
    code, out, err = run(
        "geometry_deploy_constants", "-e", "cxic00121", "-d", epix, "-r", "7", "-B",
        "-x", f":dir={tmp_path}",
    )  # fmt: skip
    assert (code, "Epix100a-0_20180101.data" in out, "--raw" in err) == (0, True, False), err
    assert run("geometry_deploy_constants", "-e", "cxic00121", "-d", epix, *TIME, "-B")[0] == 0


def test_a_file_of_the_repository_gets_a_link(run, calib, tmp_path):
    asked = ("-e", "cxic00121", "-d", CSPAD, *TIME, "-a", "cspad_default.data")
    place = tmp_path / "site" / "detector" / "calib" / "geometry" / "cspad"
    assert run("geometry_deploy_constants", *asked)[0] == 0
    assert len([*place.iterdir()]) == 1
    assert run("geometry_deploy_constants", *asked, "-D")[0] == 0
    assert (place / "cspad_CxiDs1-0-Cspad-0_20200101000000.data").is_symlink()
    assert files(calib) == []


# jungfrau_gain_constants, common_mode, dcs -----------------------------------------------------


def test_gains_by_words(run, calib):
    words = ("exp=cxic00121:run=7", JUNGFRAU, TIME[1], "--id", PANEL)
    code, _, err = run("jungfrau_gain_constants", *words, "-D", "-U")
    assert (code, "uploads to dcs files are off" in err) == (0, True), err
    assert [name.split("/", 2)[2] for name in files(calib)] == [
        "pixel_gain/7-end.data", "pixel_offset/7-end.data"]  # fmt: skip


def test_source_run_and_time_of_gains_are_read_from_the_data(run, calib, tmp_path):
    with h5py.File(tmp_path / "cxic00121-r0007.h5", "w") as file:
        file[f"{JUNGFRAU}/raw"] = np.zeros((2, 1, 512, 1024), "u2")
        file["timestamp"] = 1_600_000_000 * 10**9 + np.arange(2)
    dataset = f"exp=cxic00121:run=7:dir={tmp_path}"
    code, _, err = run("jungfrau_gain_constants", "-d", dataset, "--id", "1-2-3")
    assert (code, "no folder of panel 1-2-3" in err) == (1, True)
    assert f"-d {JUNGFRAU} -r 7-end --id 1-2-3 --raw {dataset}" in err


def test_what_nobody_says_of_gains_is_asked_for(run):
    code, _, err = run("jungfrau_gain_constants", "-d", "exp=cxic00121:run=7")
    assert (code, "or give the whole source with -s" in err) == (1, True)
    assert "which detector" in run("jungfrau_gain_constants")[2]
    assert "for which runs" in run("jungfrau_gain_constants", "-s", JUNGFRAU)[2]


def test_a_common_mode_is_told_and_deployed(run, calib):
    asked = ("-e", "cxic00121", "-d", CSPAD)
    code, _, err = run("common_mode", *asked, "-r", "9")
    assert (code, "-D" in err) == (1, False)
    code, out, _ = run("common_mode", *asked, "-R", "9-end", "1", "-25", "25", "100")
    assert (code, out.startswith("1 -25 25 100 for cspad:")) == (0, True)
    assert run("common_mode", *asked, "-R", "9-end", "1", "25", "25", "100")[0] == 0
    assert files(calib) == []
    assert run("common_mode", *asked, "-R", "9-end", "1", "25", "25", "100", "-D")[0] == 0
    code, out, _ = run("common_mode", *asked, "-r", "9")
    assert (code, out.startswith("1 25 25 100 for cspad:")) == (0, True)
    assert run("common_mode", *asked, "-r", "3")[0] == 1


def test_dcs_prints_and_gets_and_writes_no_more(run, tmp_path):
    with h5py.File("epix100a-39.h5", "w") as file:
        for name, said in {"dettype": b"epix100a", "detid": b"39"}.items():
            file[name] = np.array([said])
        held = file.create_group("pedestals/1474587520-end")
        held["begin"], held["end"] = [1474587520.25], np.array([b"end"])
        held["v0001/data"] = np.full((2, 3), 7.5, "f4")
    code, out, _ = run("dcs", "p", "epix100a-39.h5", "-i")
    assert (code, "1474587520-end" in out) == (0, True)
    asked = ("g", "epix100a-39.h5", "-t", "pedestals", "-T", "1474587521", "-v", "1", "-f", "peds")
    assert run("dcs", *asked)[0] == 0
    assert text.read("peds.txt").tolist() == [[7.5] * 3] * 2
    for mode in ("a", "delversion", "delrange", "delctype"):
        code, _, err = run("dcs", mode, "epix100a-39.h5")
        assert (code, "no longer written" in err) == (1, True)
    assert run("dcs", "p")[0] == 2
