"""The scripts with the names of LCLS's metrology programs understand the old options."""

import runpy
import sys
from pathlib import Path

import pytest

from cdb.geometry import tree
from tests.geometry.surveys import camera, cspad_camera, cspad_pair, cspad_quads, epix_survey

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a script with options; gives its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def ran(name, *options):
        monkeypatch.setattr(sys, "argv", [name, *map(str, options)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPTS / f"optical_metrology_{name}"))
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return ran


def test_each_is_a_screen_long_and_executable():
    found = [*SCRIPTS.glob("optical_metrology_*")]
    assert sorted(path.name for path in found) == [
        "optical_metrology_check",
        "optical_metrology_cspad2x2",
        "optical_metrology_cspad_v1_cxi",
        "optical_metrology_cspad_v1_xpp",
        "optical_metrology_epix10ka2m",
    ]
    assert max(len(path.read_text().splitlines()) for path in found) <= 50
    assert all(path.stat().st_mode & 0o111 for path in found)


def test_a_survey_is_checked_as_before(run):
    Path("optical_metrology.txt").write_text(epix_survey(camera()))
    code, out, err = run("check", "-x", "60", "-z", "100", "-o", "om", "-v", "15", "-s", "100")
    assert (code, len(out.splitlines()), Path("om.png").exists()) == (0, 34, True)
    assert "runs: cdb geometry metrology optical_metrology.txt --full" in err
    Path("om.png").unlink()
    assert run("check", "-p")[0] == 0
    assert not Path("om.png").exists()


def test_an_epix10ka2m_as_before(run):
    Path("om.txt").write_text(epix_survey(camera(turn=3), turn=3))
    old = "-i om.txt -o geo.txt -r 3 -v 0 -X 1 -Y 2 -Z -70000 -A 5 -N -C -q 0 -l DEBUG"
    code, out, _ = run("epix10ka2m", *old.split())
    assert (code, "geo.txt: 21 parts" in out) == (0, True)
    parts = tree.parse(Path("geo.txt").read_text()).parts
    assert (parts[0].z0, parts[0].tilt_y) == (0, 0)
    assert (parts[-1].x0, parts[-1].y0, parts[-1].z0, parts[-1].rot_z) == (1, 2, -70000, 5)


def test_old_numbers_are_asked_for(run):
    Path("om.txt").write_text(epix_survey(camera()))
    assert run("epix10ka2m", "om.txt", "--compat")[0] == 0
    parts = tree.parse(Path("geometry-epix10ka2m.txt").read_text()).parts
    assert (len(parts), parts[-1].z0) == (17, 10000)
    assert all(part.x0.is_integer() for part in parts)


def test_missing_quads_need_a_centre(run):
    text = epix_survey(camera())
    Path("om.txt").write_text(text[: text.index("Quad 3")])
    assert run("epix10ka2m", "om.txt", "-v", "0", "-x", "100", "-y", "-200", "-C")[0] == 0
    row = tree.find(tree.parse(Path("geometry-epix10ka2m.txt").read_text()), "QUAD", 3)
    assert (row.x0, row.y0) == (-42850, -38450)


@pytest.mark.parametrize(
    ("name", "text", "options", "parts"),
    [
        ("cspad_v1_cxi", cspad_quads(), (), 38),
        ("cspad_v1_xpp", cspad_camera(1)[1], ("-n", "1", "-p", "255"), 33),
        ("cspad2x2", cspad_pair()[1], ("--compat",), 3),
    ],
)
def test_cspads_as_before(run, name, text, options, parts):
    Path("in").mkdir()
    Path("in/survey.txt").write_text(text)
    assert run(name, "-d", "in", "-f", "survey.txt", "-g", "1", *options)[0] == 0
    made = Path("calib-tmp")
    assert len(tree.parse((made / "geometry-0-end.data").read_text()).parts) == parts
    assert (made / "metrology_standard_det.png").exists()


def test_what_goes_wrong_is_one_line_and_nothing_is_left(run, tmp_path):
    code, out, err = run("cspad2x2", "-f", "none.txt")
    assert (code, out, [*tmp_path.iterdir()]) == (1, "", [])
    assert err.splitlines()[-1] == "cdb: error: there is no file none.txt"
