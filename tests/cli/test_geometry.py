"""cdb geometry as it is typed: what it prints, its exit codes, its files."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cdb.geometry import defaults, tree
from cdb.geometry.images import ImageIndex
from cdb.geometry.pixels import branches, coordinates, indexes
from tests.cli.conftest import GEOMETRY
from tests.geometry.surveys import camera, cspad_pair, epix_survey

QUAD = defaults.named("epix10kaquad")
WHICH = ("-e", "xpptut15", "-d", "epix10kaquad_000001", "-r", "7")
PANELS = (2000 + np.arange(4 * 352 * 384) / 1000).astype("f4").reshape(4, 352, 384)


@pytest.fixture
def quad(folder):
    """A file with the geometry of a quad."""
    Path("quad.data").write_text(tree.format(QUAD))
    return "quad.data"


ADD = ("add", *WHICH[:4], "-r", "5", "-t", "2021-10-01T00:00:00Z")


@pytest.fixture
def in_force(cdb, quad):
    """The same as a constant; its id."""
    added = cdb(*ADD, "-c", "geometry", "-f", quad, "-i", "txt", "--json")
    assert added.exit_code == 0, added.stderr
    return json.loads(added.stdout)["_id"]


@pytest.fixture
def gains(cdb, in_force):
    """Pedestals beside it, of seven gain ranges; their id."""
    np.save("peds.npy", np.stack([PANELS + n for n in range(7)]))
    added = cdb(*ADD, "-c", "pedestals", "-f", "peds.npy", "--json")
    assert added.exit_code == 0, added.stderr
    return json.loads(added.stdout)["_id"]


def image_of(array):
    x, y, _ = coordinates(branches(QUAD)[-1])
    return ImageIndex(*indexes(x, y, 100)).assemble(array)


# Which geometry --------------------------------------------------------------------------------


def test_a_narrow_terminal_shows_every_angle(cdb, folder, monkeypatch):
    text = "IP 0 EPIX100:V1 0  -59032.125 23573.0625 -1e5  270.001 0 0.0034  -0.01949 0.12345 0.6\n"
    Path("full.data").write_text(text)
    wide = cdb("geometry", "show", "full.data").stdout.splitlines()[-1].split()
    assert wide[7:] == ["270.001", "0.0034", "-0.01949", "0.12345", "0.6"]
    monkeypatch.setenv("COLUMNS", "80")
    narrow = cdb("geometry", "show", "full.data").stdout.splitlines()
    assert max(map(len, narrow)) <= 80
    assert narrow[-1].split(", ") == ["    rot x 0.0034", "tilt y 0.12345", "tilt x 0.6"]


def test_a_file_needs_no_store(cdb, quad, monkeypatch):
    monkeypatch.setenv("CDB_URL", "http://127.0.0.1:9/")
    for name in ("show", "check", "convert"):
        assert cdb("geometry", name, quad).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show",), "which geometry? give a FILE, or -d DETECTOR"),
        (("show", "quad.data", "-e", "x", "-r", "3"), "--experiment, --run name a constant"),
        (("show", "quad.data", "-d", "jungfrau"), "--detector name a constant"),
        (("image", "quad.data", "-o", "a.npy"), "which array?"),
        (("image", "quad.data", "--data", "a", "-c", "b", "-o", "a.npy"), "both name an array"),
        (("move", "quad.data", "-p", "QUAD"), "by how much?"),
        (("move", "quad.data", "-p", "QUAD", "--x", "1", "-m", "why"), "give --add with them"),
        (("move", "quad.data", "-p", "QUAD", "--x", "1", "--add", "-o", "x"), "give one of them"),
        (
            ("move", "quad.data", "-p", "QUAD", "--x", "1", "--add", "-d", "x_000001"),
            "--add needs -d",
        ),
        (("convert", "quad.data", "--to", "pyfai"), "give its name with -o"),
        (("convert", "quad.data", "--mask", "m.npy"), "are for --to crystfel or pyfai"),
        (("convert", "quad.data", "--rounded", "-o", "q.geom"), "--rounded is for --to psana"),
        (("convert", "quad.data", "--sensor", "MTRX"), "--sensor is for a FILE.geom"),
        (("convert", "quad.data", "--compat"), "--compat is for a FILE.geom and for --to"),
        (("convert", "quad.data", "--clen", "1"), "--clen is for a FILE.geom or FILE.h5, and"),
        (("convert", "quad.data", "--photon-energy", "nan", "-o", "q.h5"), "above 0 eV, not nan"),
        (("plot", "quad.data", "-o", "p.png", "--gain", "0"), "--gain is one of an array"),
        (("compare", "quad.data", "quad.data", "--within", "nan"), "0 um or more, not nan"),
        (("default", "--panels", "3"), "give the TYPE"),
        (("metrology", "x", "-o", "y"), "say which --family"),
        (("metrology", "x", "--turn", "1"), "--turn: for which --family?"),
        (("metrology", "x", "--compat"), "--compat: for which --family?"),
        (("metrology", "x", "-f", "cspad"), "there are epix10ka2m, cspad-cxi"),
        (("metrology", "x", "-f", "cspad2x2", "--quads"), "cspad2x2 has no --quads"),
        (("metrology", "x", "-f", "cspad2x2", "--over", "y"), "without --family"),
    ],
)
def test_what_makes_no_sense_is_usage(cdb, quad, arguments, said):
    before = {*Path().iterdir()}
    result = cdb("geometry", *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert {*Path().iterdir()} == before


@pytest.mark.parametrize("name", ["show", "convert", "plot", "image", "move"])
def test_a_bad_file_is_one_sentence(cdb, folder, name):
    Path("bad.data").write_text("IP 0 A 0 1 2 3\n")
    more = {
        "plot": ("-o", "a.png"),
        "image": ("-o", "a.npy", "--data", "x"),
        "move": ("-p", "A", "--x", "1"),
    }
    result = cdb("geometry", name, "bad.data", *more.get(name, ()))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "bad.data, line 1: a row has 13 fields, this one 7" in result.stderr
    assert sorted(p.name for p in folder.iterdir() if p.suffix in (".png", ".npy")) == []


# show, check, compare --------------------------------------------------------------------------


def test_show_has_sizes_and_a_row_a_part(cdb, quad):
    lines = [line.split() for line in cdb("geometry", "show", quad).stdout.splitlines()]
    assert ["image", "(774,", "790)"] in lines
    assert ["shape", "(4,", "352,", "384)"] in lines
    assert ["QUAD", "0", "EPIX10KA:V1", "1", "20150", "20950", "0", "180"] in lines


def test_show_in_json_has_every_number(ask, in_force):
    told = ask("geometry", "show", *WHICH)
    assert (told["panels"], told["image"], told["z"]) == (4, [774, 790], -1e6)
    assert told["parts"][0] == {
        name: v for name, v in vars(QUAD.parts[0]).items() if name != "line"
    }
    assert told["constant"]["id"] == in_force
    assert told["comments"] == [*QUAD.comments]


def test_show_fits_a_terminal(cdb, quad, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = cdb("geometry", "show", quad).stdout.splitlines()
    assert max(map(len, lines)) <= 80


def test_check_gives_0_for_notes_and_1_for_errors(cdb, quad):
    sound = cdb("geometry", "check", quad, "-d", "epix10kaquad")
    assert (sound.exit_code, "positive-z" in sound.stdout) == (0, True)
    count = cdb("geometry", "check", quad, "-d", "epix10ka2m_000001", "--json")
    assert count.exit_code == 1
    assert json.loads(count.stdout)[0]["code"] == "panel-count"


def test_check_of_a_constant_knows_the_detector(cdb, in_force):
    assert cdb("geometry", "check", *WHICH).exit_code == 0
    Path("one.data").write_text(GEOMETRY)
    add = ("add", *WHICH[:4], "-r", "6", "-c", "geometry", "-f", "one.data", "-i", "txt")
    assert cdb(*add).exit_code == 0
    result = cdb("geometry", "check", *WHICH)
    assert (result.exit_code, "1 panels, and the detector has 4" in result.stdout) == (1, True)


def test_bad_grammar_is_an_error_of_the_check_and_a_missing_file_is_trouble(cdb, folder):
    Path("bad.data").write_text("IP 0 A 0 1 2 3\n")
    result = cdb("geometry", "check", "bad.data", "--json")
    [told] = json.loads(result.stdout)
    assert (result.exit_code, told["code"]) == (1, "grammar")
    assert cdb("geometry", "check", "none.data").exit_code == 2


def test_nothing_wrong_is_said(cdb, folder):
    Path("good.data").write_text(GEOMETRY.replace("0 0 -100000", "0.5 0 -100000"))
    assert cdb("geometry", "check", "good.data").stdout == "nothing is wrong\n"


def test_compare_says_how_far_panels_moved(cdb, quad, in_force):
    moved = tree.move(QUAD, "EPIX10KA:V1", 1, x=12.5)
    Path("moved.data").write_text(tree.format(moved))
    result = cdb("geometry", "compare", in_force, "moved.data")
    assert result.exit_code == 1
    row = result.stdout.splitlines()[1].split()
    assert row[-6:-3] == ["+0.000", "+12.500", "+0.000"]
    assert (
        result.stdout.splitlines()[-1]
        == "1 of 4 panels moved by more than 0.001 um; all pixels by 6.250 um rms"
    )
    assert cdb("geometry", "compare", quad, "moved.data", "--within", "13").exit_code == 0
    told = json.loads(cdb("geometry", "compare", quad, "moved.data", "--json").stdout)
    assert [panel["corner"] for panel in told["panels"]] == [0, 12.5, 0, 0]
    assert told["pixels"]["max"] == pytest.approx(12.5)


@pytest.mark.parametrize(("other", "said"), [("mygeo", "1 panel of 704 x 768"), ("none", "none")])
def test_trouble_of_compare_gives_2(cdb, quad, other, said):
    result = cdb("geometry", "compare", quad, other)
    assert (result.exit_code, said in result.stderr, result.stdout) == (2, True, "")


def test_a_version_that_is_no_geometry_is_not_compared(cdb, in_force, gains):
    result = cdb("geometry", "compare", in_force, gains)
    assert (result.exit_code, "is pedestals of" in result.stderr) == (2, True)


# image, plot -----------------------------------------------------------------------------------


def test_an_image_of_a_file_has_the_pixels_where_they_are(cdb, quad):
    np.save("a.npy", PANELS)
    result = cdb("geometry", "image", quad, "--data", "a.npy", "-o", "i.npy")
    assert result.stdout.startswith("i.npy: float32 (774, 790)")
    assert np.array_equal(np.load("i.npy"), image_of(PANELS))


def test_an_image_of_a_constant_takes_one_gain_range(cdb, ask, gains):
    without = cdb("geometry", "image", *WHICH, "-c", "pedestals", "-o", "i.npy")
    assert (without.exit_code, Path("i.npy").exists()) == (1, False)
    assert "has the gain ranges FH, FM, FL, AHL-H" in without.stderr
    told = ask("geometry", "image", *WHICH, "-c", "pedestals", "--gain", "FL", "-o", "i.npy")
    assert (told["shape"], told["dtype"]) == ([774, 790], "float32")
    assert np.array_equal(np.load("i.npy"), image_of(PANELS + 2))
    assert (
        cdb("geometry", "image", *WHICH, "-c", "pedestals", "--gain", "3", "-o", "n.npy").exit_code
        == 0
    )
    assert np.array_equal(np.load("n.npy"), image_of(PANELS + 3))


def test_an_image_is_not_overwritten_unasked(cdb, quad):
    np.save("a.npy", PANELS)
    command = ("geometry", "image", quad, "--data", "a.npy", "-o", "i.npy", "--fill", "nan")
    assert cdb(*command).exit_code == 0
    again = cdb(*command)
    assert (again.exit_code, "--yes" in again.stderr) == (1, True)
    assert cdb(*command, "--yes").exit_code == 0
    assert np.isnan(np.load("i.npy")).sum() == (image_of(PANELS) == 0).sum() > 0


def test_integers_stay_integers(cdb, quad):
    np.save("a.npy", PANELS.astype("u4"))
    cdb("geometry", "image", quad, "--data", "a.npy", "-o", "i.npy")
    assert np.load("i.npy").dtype == np.uint32
    cdb("geometry", "image", quad, "--data", "a.npy", "-o", "f.npy", "--fill", "nan")
    assert np.load("f.npy").dtype == np.float64
    np.save("m.npy", PANELS > 2009)
    cdb("geometry", "image", quad, "--data", "m.npy", "-o", "b.npy")
    assert np.load("b.npy").dtype == np.uint8


@pytest.mark.parametrize(
    ("fill", "dtype"), [("-1", "int32"), ("70000", "uint32"), ("1e30", "float64")]
)
def test_what_integers_do_not_hold_widens_them(cdb, quad, fill, dtype):
    np.save("a.npy", PANELS.astype("u2"))
    cdb("geometry", "image", quad, "--data", "a.npy", "-o", "i.npy", "--fill", fill)
    image = np.load("i.npy")
    assert image.dtype == dtype
    assert np.array_equal(image == float(fill), image_of(PANELS) == 0)


def test_frame_tilt_pixel_and_plane_are_options(cdb, quad):
    np.save("a.npy", PANELS)
    shapes = {}
    for words in ("--frame lab", "--no-tilt", "--pixel 200", "--plane -500000"):
        assert cdb("geometry", "image", quad, "--data", "a.npy", "-o", "i.npy", "-y",
                   *words.split()).exit_code == 0  # fmt: skip
        shapes[words] = np.load("i.npy").shape
    assert shapes["--frame lab"] == shapes["--no-tilt"] == (774, 790)
    assert shapes["--pixel 200"] == (387, 395)
    assert shapes["--plane -500000"][0] < 400


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 3)), "does not hold 4 panels"),
        (PANELS * 1j, "values of type complex64 make no image"),
        (PANELS.astype("S4"), "values of type |S4 make no image"),
        ({"a": 1}, "holds no array"),
    ],
)
def test_what_makes_no_image_is_said(cdb, quad, array, said):
    name = "a.npy" if isinstance(array, np.ndarray) else "a.json"
    np.save(name, array) if name == "a.npy" else Path(name).write_text(json.dumps(array))
    result = cdb("geometry", "image", quad, "--data", name, "-o", "i.npy")
    assert (result.exit_code, said in result.stderr, Path("i.npy").exists()) == (1, True, False)


def test_pictures_of_panels(cdb, ask, quad, in_force, gains):
    assert cdb("geometry", "plot", quad, "-o", "p.svg").stdout == "p.svg: 4 panels\n"
    told = ask("geometry", "plot", *WHICH, "-c", "pedestals", "--gain", "FH", "-o", "p.png")
    assert (told["file"], told["panels"]) == ("p.png", 4)
    assert told["from"]["constant"]["id"] == in_force
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_nothing_is_read(cdb, monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = cdb("geometry", "plot", "none.data", "-o", "p.png")
    assert (result.exit_code, "pip install 'cdb[plot]'" in result.stderr) == (1, True)


# move, rotate ----------------------------------------------------------------------------------


def test_a_moved_part_is_written_exactly(cdb, quad):
    result = cdb("geometry", "move", quad, "-p", "EPIX10KA:V1:1", "--x", "0.125", "--z", "-3")
    expected = tree.move(QUAD, "EPIX10KA:V1", 1, x=0.125, z=-3)
    assert tree.parse(result.stdout) == expected
    told = cdb("geometry", "move", quad, "-p", "EPIX10KA:V1 1", "--x", "1", "-o", "moved.data")
    assert [line.split() for line in told.stdout.splitlines()][2] == ["x0", "20150", "20151"]
    assert tree.parse(Path("moved.data").read_text()) == tree.move(QUAD, "EPIX10KA:V1", 1, x=1)


@pytest.mark.parametrize(("flags", "change"), [((), tree.rotate), (("--tilt",), tree.tilt)])
def test_a_part_is_turned(cdb, quad, flags, change):
    result = cdb("geometry", "rotate", quad, "-p", "QUAD", "--z", "0.5", "--y", "-1", *flags)
    assert tree.parse(result.stdout) == change(QUAD, "QUAD", 0, z=0.5, y=-1)


def test_parts_of_several_groups_are_told_apart(cdb, folder):
    rows = "".join(f"QUAD {q} SENS2X1:V1 0  {q} 0 0 0 0 0 0 0 0\n" for q in (0, 1))
    rows += "".join(f"IP 0 QUAD {q}  0 {q} -9 0 0 0 0 0 0\n" for q in (0, 1))
    Path("two.data").write_text(rows)
    both = cdb("geometry", "move", "two.data", "-p", "SENS2X1:V1:0", "--x", "5")
    assert (both.exit_code, "there are 2 parts" in both.stderr) == (1, True)
    one = cdb("geometry", "move", "two.data", "-p", "SENS2X1:V1:0", "--in", "QUAD:1", "--x", "5")
    assert [part.x0 for part in tree.parse(one.stdout).parts[:2]] == [0, 6]


def test_a_name_may_end_as_an_index_does(cdb, folder):
    Path("m.data").write_text("IP 0 MTRX:V2:4:4:10:10 0  0 0 -9 0 0 0 0 0 0\n")
    for part in ("MTRX:V2:4:4:10:10", "MTRX:V2:4:4:10:10:0", "MTRX:V2:4:4:10:10 0"):
        assert cdb("geometry", "move", "m.data", "-p", part, "--x", "5").exit_code == 0


def test_a_dry_run_writes_no_file(cdb, quad):
    command = ("geometry", "move", quad, "-p", "QUAD", "--x", "5", "-o", "n.data", "--dry-run")
    assert "would be changed" in cdb(*command).stdout
    told = json.loads(cdb(*command, "--json").stdout)
    assert (told["before"]["x0"], told["after"]["x0"]) == (0, 5)
    assert not Path("n.data").exists()


def test_a_file_that_is_there_stays_unless_asked(cdb, quad):
    command = ("geometry", "move", quad, "-p", "QUAD", "--x", "5", "-o", "mygeo")
    refused = cdb(*command)
    assert (refused.exit_code, Path("mygeo").read_text()) == (1, GEOMETRY)
    assert "mygeo is there already" in refused.stderr
    assert cdb(*command, "--yes").exit_code == 0
    assert tree.parse(Path("mygeo").read_text()).parts[-1].x0 == 5


def test_a_changed_geometry_is_added_with_its_parent(cdb, ask, in_force):
    move = ("geometry", "move", *WHICH, "-p", "QUAD:0", "--x", "5", "--add", "-m", "aligned")
    dry = cdb(*move, "--dry-run")
    assert (dry.exit_code, "would be added" in dry.stdout) == (0, True)
    assert ask("show", *WHICH, "-c", "geometry")["id"] == in_force
    assert "geometry of epix10kaquad_000001 added" in cdb(*move).stdout
    new = ask("show", *WHICH, "-c", "geometry")
    assert (new["run"], new["comment"]) == (7, "aligned")
    assert [parent["id"] for parent in new["source"]["parents"]] == [in_force]
    assert new["source"]["parameters"] == {"part": "QUAD:0", "moved": {"x": 5}}
    assert ask("geometry", "show", *WHICH)["parts"][-1]["x0"] == 5
    assert ask("geometry", "show", *WHICH[:4], "-r", "6")["parts"][-1]["x0"] == 0
    assert ask("lineage", new["id"])["parents"][0]["id"] == in_force


def test_a_file_is_changed_and_added(cdb, ask, quad):
    added = ask("geometry", "rotate", quad, *WHICH, "-p", "QUAD", "--z", "1", "--add", "-R", "9")
    assert (added["run"], added["run_end"]) == (7, "9")
    assert added["source"]["files"][0]["path"] == "quad.data"
    assert "parents" not in added["source"]


def test_what_cannot_be_changed_is_said(cdb, quad):
    result = cdb("geometry", "move", quad, "-p", "QUAD:7", "--x", "1")
    assert (result.exit_code, "no part 'QUAD' 7; the parts are" in result.stderr) == (1, True)
    upstream = cdb("geometry", "move", quad, "-p", "QUAD", "--z", "2000000")
    assert (upstream.exit_code, "negative z" in upstream.stderr) == (1, True)


# convert, default ------------------------------------------------------------------------------


def test_crystfel_there_and_back(cdb, quad):
    assert cdb("geometry", "convert", quad, "-o", "q.geom").stdout == "q.geom: crystfel\n"
    assert Path("q.geom").read_text().startswith(";")
    back = cdb("geometry", "convert", "q.geom", "-o", "back.data")
    assert "corner pixels are within" in back.stderr
    assert cdb("geometry", "compare", quad, "back.data").exit_code == 0
    assert cdb("geometry", "compare", quad, "q.geom").exit_code == 0
    text = json.loads(cdb("geometry", "convert", quad, "--to", "crystfel", "--json").stdout)["text"]
    assert text == Path("q.geom").read_text()


def test_a_mask_becomes_bad_regions(cdb, quad):
    mask = np.ones(PANELS.shape, "u1")
    mask[2, 10:20, 30:40] = 0
    np.save("mask.npy", mask)
    cdb(
        "geometry", "convert", quad, "--mask", "mask.npy", "--photon-energy", "9000", "-o", "q.geom"
    )
    assert "photon_energy = 9000 eV" in Path("q.geom").read_text()
    assert "100 are bad there" in cdb("geometry", "convert", "q.geom").stderr
    Path("no.json").write_text("{}")
    wrong = cdb("geometry", "convert", quad, "--mask", "no.json", "-o", "r.geom")
    assert (wrong.exit_code, "holds no array" in wrong.stderr) == (1, True)


def test_pyfai_gets_two_files(cdb, quad):
    pytest.importorskip("h5py")
    assert (
        cdb("geometry", "convert", quad, "-o", "q.h5", "--photon-energy", "12398.41984").exit_code
        == 0
    )
    assert "Wavelength: 1e-10" in Path("q.poni").read_text()
    again = cdb("geometry", "convert", quad, "-o", "q.h5")
    assert (again.exit_code, "--yes" in again.stderr) == (1, True)
    assert cdb("geometry", "convert", quad, "-o", "q.h5", "--yes", "--json").exit_code == 0


def test_an_lpd_is_read(cdb, ask, folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File("lpd.h5", "w") as file:
        for quadrant in range(1, 5):
            for module in range(1, 5):
                where = f"Q{quadrant}/M{module}"
                file[f"{where}/Position"] = (0.0, 130.0 * module)
                for tile in range(1, 17):
                    file[f"{where}/T{tile:02}/Position"] = (65.0 * (tile > 8), 17.0 * (tile % 8))
    places = [("-300", "11"), ("1", "300"), ("300", "-11"), ("-1", "-300")]
    words = [word for xy in places for word in ("--quadrant", *xy)]
    result = cdb("geometry", "convert", "lpd.h5", *words, "-o", "lpd.data")
    assert (result.exit_code, "does not know the distance" in result.stderr) == (0, True)
    assert ask("geometry", "show", "lpd.data")["panels"] == 256
    wrong = cdb("geometry", "convert", "lpd.h5", *words[:3])
    assert (wrong.exit_code, "quadrants are 4 pairs" in wrong.stderr) == (1, True)
    assert cdb("geometry", "convert", "lpd.data", *words).exit_code == 2


def test_rounded_is_what_lcls_writes(cdb, quad):
    moved = cdb("geometry", "move", quad, "-p", "QUAD", "--x", "0.4", "-o", "m.data")
    assert moved.exit_code == 0
    exact = tree.parse(cdb("geometry", "convert", "m.data").stdout)
    rounded = tree.parse(cdb("geometry", "convert", "m.data", "--rounded").stdout)
    assert (exact.parts[-1].x0, rounded.parts[-1].x0) == (0.4, 0)


def test_defaults_are_listed_and_written(cdb, ask, folder):
    assert "jungfrau" in cdb("geometry", "default").stdout
    assert ask("geometry", "default")["jungfrau"]["8"] == "jungfrau4m"
    assert cdb("geometry", "default", "jungfrau", "--panels", "8", "-o", "j.data").exit_code == 0
    assert ask("geometry", "show", "j.data")["image"] == [2203, 2299]
    assert ask("geometry", "default", "epix10ka2m")["panels"] is None
    some = cdb("geometry", "default", "jungfrau")
    assert (some.exit_code, "1, 2, 8, 32" in some.stderr) == (1, True)


# metrology -------------------------------------------------------------------------------------


@pytest.fixture
def survey(folder):
    """A file with the survey of an epix10ka2m, in which a z is mistyped."""
    lines = epix_survey(camera(tilts=0.02), digits=1).splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("22 "))
    fields = lines[at].split()
    lines[at] = " ".join([*fields[:3], f"{float(fields[3]) + 500:.1f}"])
    Path("om.txt").write_text("\n".join([*lines, "measured by hand"]))
    return "om.txt"


def test_a_survey_is_checked(cdb, survey):
    result = cdb("geometry", "metrology", survey, "--plot", "om.png")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 17
    assert "point 22 of quad 1 has z" in result.stderr
    assert "is neither a point nor a title" in result.stderr
    assert Path("om.png").read_bytes().startswith(b"\x89PNG")
    full = cdb("geometry", "metrology", survey, "--full").stdout
    assert len(full.splitlines()) == 34
    assert "warning: points 21 to 24" not in cdb("geometry", "metrology", survey,
                                                 "--tolerance-z", "900").stderr  # fmt: skip


def test_a_survey_becomes_a_geometry(cdb, ask, survey):
    words = ("geometry", "metrology", survey, "--family", "epix10ka2m")
    result = cdb(*words, "--mend", "-o", "geo.data", "--plot", "r.svg")
    assert "geo.data: 17 parts" in result.stdout
    assert "mended: point 22 has z" in result.stderr
    assert cdb("geometry", "check", "geo.data", "-d", "epix10ka2m").exit_code == 0
    told = ask(*words, "--mend")
    assert told["geometry"] == Path("geo.data").read_text()
    assert told["rms"] < 0.2
    assert ask(*words)["rms"] > 20
    refused = cdb(*words, "--mend", "--flat", "-o", "geo.data")
    assert (refused.exit_code, "geo.data is there already" in refused.stderr) == (1, True)


def test_options_of_a_family_are_handed_on(ask, folder):
    Path("om.txt").write_text(epix_survey(camera(turn=3), turn=3, digits=1))
    words = ("geometry", "metrology", "om.txt", "-f", "epix10ka2m", "--turn", "3")
    given = ("--quads", "--flat", "--no-level", "--at", "1", "2", "-3e4", "--angle", "7")
    parts = tree.parse(ask(*words, *given)["geometry"]).parts
    assert (len(parts), parts[0].z0, parts[0].tilt_x) == (21, 0, 0)
    assert (parts[-1].x0, parts[-1].y0, parts[-1].z0, parts[-1].rot_z) == (1, 2, -3e4, 7)
    compat = tree.parse(ask(*words, "--compat")["geometry"]).parts
    assert all(part.x0.is_integer() for part in compat)


@pytest.mark.parametrize("text", ["", "1 2 3\n", "Quad 9\n"])
def test_a_bad_survey_is_one_sentence(cdb, folder, text):
    Path("om.txt").write_text(text)
    result = cdb("geometry", "metrology", "om.txt", "-f", "cspad2x2", "-o", "geo.data")
    assert (result.exit_code, result.stdout, Path("geo.data").exists()) == (1, "", False)
    assert result.stderr.startswith("cdb: error: om.txt")


def test_a_cspad2x2_too(ask, folder):
    Path("om.txt").write_text(cspad_pair()[1])
    told = ask("geometry", "metrology", "om.txt", "-f", "cspad2x2")
    assert [fit["points"] for fit in told["fits"]] == [[3, 4, 1, 2], [7, 8, 5, 6]]
