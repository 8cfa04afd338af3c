"""Geometries of a repository: which file, and what becomes of it when it is placed."""

import pytest

from cdb.deploy import Asked
from cdb.deploy.geometries import Link, Placement, aliases, from_repository, place
from cdb.errors import BadName, BadQuestion, NotFound
from cdb.files import repository
from cdb.geometry import defaults, tree

CSPAD = "CxiDs1.0:Cspad.0"
EPIX2M = "MfxEndstation.0:Epix10ka2M.0"
QUADS = """# TITLE {}
CAMERA 0 MTRX:4:4:1:1 0  0 0 0  0 0 0  0.1 0 0
IP 0 CAMERA 0  1.25 2 3  4 5 6  0.5 0 0
"""


@pytest.fixture
def geometry(tmp_path):
    """A repository of geometries."""
    for dettype, names in {
        "cspad": ("cspad_CxiDs1-0-Cspad-0_20160101", "cspad_CxiDs1-0-Cspad-0_20200101120000",
                  "cspad_default"),
        "epix10ka2m": ("epix10ka2m_0002_20180101", "epix10ka2m_MfxEndstation-0-Epix10ka2M-0_2019"),
    }.items():  # fmt: skip
        folder = tmp_path / "geometry" / dettype
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.data").write_text(QUADS.format(name))
    (folder / ".aliases-epix10ka2m.txt").write_text("0002 1-2_3-4 now you\n")
    return tmp_path / "geometry"


def title(ready):
    return tree.parse(ready.data).comments[0].removeprefix("TITLE ")


@pytest.mark.parametrize(
    ("stamp", "name", "notes"),
    [(None, "cspad_CxiDs1-0-Cspad-0_20200101120000", 0),
     ("20200101120000", "cspad_CxiDs1-0-Cspad-0_20200101120000", 0),
     ("20200101", "cspad_CxiDs1-0-Cspad-0_20160101", 0), ("20150101", "cspad_default", 1)],
)  # fmt: skip
def test_the_newest_that_is_not_later_else_the_default_which_is_said(geometry, stamp, name, notes):
    ready = from_repository(geometry, Asked.of(CSPAD, stamp=stamp))
    assert (title(ready), len(ready.notes)) == (name, notes)
    assert ready.copied
    assert ready.file.name == f"{name}.data"


def test_a_detector_is_found_by_its_alias_then_by_its_source(geometry):
    (geometry / "epix10ka2m" / "epix10ka2m_MfxEndstation-0-Epix10ka2M-0_20190101.data").write_text(
        QUADS.format("by source")
    )
    assert title(from_repository(geometry, Asked.of(EPIX2M, ids=["1-2_3-4"]))) == (
        "epix10ka2m_0002_20180101")  # fmt: skip
    other = from_repository(geometry, Asked.of(EPIX2M, ids=["5-6", "7-8"]))
    assert title(other) == "by source"
    assert "found by the source" in other.notes[0]


def test_the_packages_own_is_the_last_and_said(geometry):
    for folder in (geometry, None):
        ready = from_repository(folder, Asked.of("XppGon.0:Jungfrau.0"), panels=2)
        assert tree.parse(ready.data) == defaults.default_for("jungfrau", 2)
        assert "the default of the package" in ready.notes[0]
        assert (ready.files, ready.copied) == ((), False)
    with pytest.raises(NotFound, match="unknown number of panels"):
        from_repository(geometry, Asked.of("XppGon.0:Jungfrau.0"))
    with pytest.raises(NotFound, match=r"no folder .*--repo"):
        from_repository(geometry / "none", Asked.of(CSPAD))


def test_a_placed_geometry_says_so_and_keeps_all_else(geometry):
    placement = Placement(parent="IP2", z=-1e5 - 0.25, rot_z=90)
    ready = from_repository(geometry, Asked.of(CSPAD), placement)
    quad, camera = tree.parse(ready.data).parts
    assert quad == tree.parse(QUADS).parts[0]
    assert camera.parent == "IP2"
    assert (camera.x0, camera.y0, camera.z0) == (1.25, 2, -100000.25)
    assert (camera.rot_z, camera.rot_y, camera.rot_x, camera.tilt_z) == (90, 5, 6, 0.5)
    assert not ready.copied
    told = ready.as_source()["parameters"]
    notes = ["placed: parent IP2, z -100000.25, rot_z 90"]
    assert told == {"parent": "IP2", "z": -100000.25, "rot_z": 90, "notes": notes}


def test_what_is_where_it_should_be_is_taken_as_it_is(geometry):
    assert from_repository(geometry, Asked.of(CSPAD), Placement(parent="IP", x=1.25)).copied


def test_several_parts_below_the_top_are_not_placed_by_one():
    geometry = tree.parse("IP 0 A 0 0 0 0 0 0 0 0 0 0\nIP 0 A 1 0 0 0 0 0 0 0 0 0")
    with pytest.raises(BadQuestion, match="2 parts hang below IP 0 .*cdb geometry move"):
        place(geometry, Placement(x=1))
    assert {part.parent for part in place(geometry, Placement(parent="LAB")).parts} == {"LAB"}


@pytest.mark.parametrize("name", ["", "a b", "A"])
def test_a_bad_name_of_the_top_is_refused(name):
    geometry = tree.parse("IP 0 A 0 0 0 0 0 0 0 0 0 0")
    with pytest.raises(BadName, match="cannot be the name"):
        place(geometry, Placement(parent=name))


def test_a_rayonix_gets_the_segment_of_its_binning():
    text = "RAYONIX 0 MTRX:V2:3840:3840:44.271:44.271 0 0 0 0 0 0 0 0 0 0\n" \
           "IP 0 RAYONIX 0 0 0 -1e5 0 0 0 0 0 0"  # fmt: skip
    made = place(tree.parse(text), Placement(matrix=(1920, 1920, 2)))
    assert made.parts[0].name == "MTRX:V2:1920:1920:88.542:88.542"
    with pytest.raises(BadQuestion, match="whole numbers"):
        place(tree.parse(text), Placement(matrix=(1920, 1920, 0)))
    with pytest.raises(BadQuestion, match="no segment MTRX"):
        place(defaults.default_for("cspad"), Placement(matrix=(1920, 1920, 2)))


def test_a_rayonix_of_which_nobody_says_the_binning_keeps_its_segment_and_it_is_said(geometry):
    (geometry / "rayonix").mkdir()
    text = "IP 0 MTRX:V2:3840:3840:44.271:44.271 0 0 0 0 0 0 0 0 0 0\n"
    (geometry / "rayonix" / "rayonix_default.data").write_text(text)
    asked = Asked.of("MfxEndstation.0:Rayonix.0")
    ready = from_repository(geometry, asked)
    assert "MTRX:V2:3840:3840:44.271:44.271 stays as it is" in ready.notes[-1]
    ready = from_repository(geometry, asked, Placement(matrix=(1920, 1920, 2)))
    assert ready.notes[-1] == "placed: matrix [1920, 1920, 2]"


# Links -----------------------------------------------------------------------------------------


def test_a_link_is_found_from_its_time_on(geometry):
    home = geometry / "epix10ka2m"
    (home / "survey.txt").write_text(QUADS.format("survey"))
    asked = Asked.of(EPIX2M, ids=["1-2_3-4"], stamp="20241003211628")
    link = Link(home, asked, "survey.txt")
    assert link.name() == "epix10ka2m_0002_20241003211628.data"
    assert not (home / link.name()).exists()
    assert link.add() == home / link.name()
    assert title(from_repository(geometry, asked)) == "survey"
    earlier = Asked.of(EPIX2M, ids=["1-2_3-4"], stamp="20241003211627")
    assert title(from_repository(geometry, earlier)) == "epix10ka2m_0002_20180101"


def test_a_new_detector_gets_an_alias_with_its_link(geometry):
    home = geometry / "epix10ka2m"
    (home / "survey.txt").write_text(QUADS.format("survey"))
    link = Link(home, Asked.of(EPIX2M, ids=["9-9"], stamp="20241003"), "survey.txt")
    assert link.name() == "epix10ka2m_NNNN_20241003000000.data"
    assert link.add(experiment="mfx1", run=7).name == "epix10ka2m_0003_20241003000000.data"
    assert repository.alias_of(aliases(home), "9-9") == "0003"
    assert repository.read_aliases(aliases(home))[1].rest[1:4] == ("mfx1", "r0007", EPIX2M)


def test_a_link_that_cannot_be_leaves_no_alias(geometry):
    home = geometry / "epix10ka2m"
    before = aliases(home).read_text()
    for asked, target, why in (
        (Asked.of(EPIX2M, ids=["9-9"]), "survey.txt", "from when on"),
        (Asked.of(EPIX2M, ids=["9-9"], stamp="20241003"), "survey.txt", "put it there first"),
    ):
        with pytest.raises(NotFound, match=why):
            Link(home, asked, target).add()
    assert aliases(home).read_text() == before


def test_a_link_of_a_source_needs_no_alias(geometry):
    home = geometry / "cspad"
    path = Link(home, Asked.of(CSPAD, stamp="20230101"), "cspad_default.data").add()
    assert path.name == "cspad_CxiDs1-0-Cspad-0_20230101000000.data"
    assert not (home / ".aliases.txt").exists()


def test_stopped_between_alias_and_link_the_same_again_makes_the_link(geometry, monkeypatch):
    home = geometry / "epix10ka2m"
    (home / "survey.txt").write_text(QUADS.format("survey"))
    link = Link(home, Asked.of(EPIX2M, ids=["9-9"], stamp="20241003"), "survey.txt")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(repository, "add_link", stop)
    with pytest.raises(KeyboardInterrupt):
        link.add()
    monkeypatch.undo()
    assert repository.alias_of(aliases(home), "9-9") == "0003"
    assert link.add().name == "epix10ka2m_0003_20241003000000.data"
    assert len(repository.read_aliases(aliases(home))) == 2
