"""Names of LCLS-I detectors: the source, the table's name and the long name mean one detector."""

import pytest

from cdb import lcls1_names, names
from cdb.errors import BadName, NotFound
from tests.conftest import DATA

CSPAD = "CxiDs1.0:Cspad.0"
WAYS = [CSPAD, f"DetInfo({CSPAD})", f"cspad_{CSPAD}", "cspad_0001", f"cspad_0001_{CSPAD}"]


@pytest.mark.skipif(not DATA.is_dir(), reason="the real table is not here")
def test_the_table_is_the_real_one():
    lines = (DATA / "lcls1-detector-names.tsv").read_text().splitlines()[1:]
    real = dict(line.split("\t") for line in lines)
    assert len(real) == 330
    assert {source: lcls1_names.long_name(source) for source in real} == {
        source: f"{name}_{source}" for source, name in real.items()
    }


@pytest.mark.parametrize("registered", WAYS)
def test_each_name_finds_what_was_added_under_any(memory_db, registered):
    version = memory_db.add("x", detector=registered, ctype="notes")
    found = {memory_db.get(way, "notes")[1]["_id"] for way in [*WAYS, version.detector]}
    assert (found, version.detector) == ({version.id}, "cspad_000001")
    (known,) = memory_db.detectors()
    assert known["longname"] == f"cspad_0001_{CSPAD}"


def test_each_question_understands_a_source(any_db):
    db = any_db
    version = db.add("x", detector=CSPAD, ctype="notes", experiment="cxi12345")
    asked = {"experiment": "cxi12345"}
    assert db.short_name(CSPAD) == "cspad_000001"
    assert db.version(CSPAD, "notes", **asked).id == version.id
    assert db.detector(CSPAD, run=3, **asked).calibconst["notes"][0] == "x"
    assert db.explain(CSPAD, "notes", **asked).winner.id == version.id
    assert [v.id for v in db.history(CSPAD, "notes", **asked)] == [version.id]
    assert db.check("y", detector=CSPAD, ctype="notes").outcome == "accepted"


def test_a_source_that_the_table_lacks_is_registered_without_a_number(memory_db):
    memory_db.add("x", detector="CxiDs9.0:Cspad.0", ctype="notes")
    assert memory_db.detectors()[0]["longname"] == "cspad_CxiDs9.0:Cspad.0"
    with pytest.raises(NotFound, match="registered"):
        memory_db.short_name(CSPAD)


def test_the_constants_of_xtcav_are_not_those_of_its_camera():
    camera = "XrayTransportDiagnostic.0:Opal1000.0"
    assert lcls1_names.long_name(camera, "Xtcav::CalibV1") == f"xtcav_{camera}"
    assert names.detector_type(lcls1_names.long_name(camera, "Camera::CalibV1")) == "opal1000"


@pytest.mark.parametrize(
    "text", ["CxiDs1-0|Cspad-0", "a.0:B.", "a b.0:C.0", "x.0:1.0", "DetInfo()"]
)
def test_what_is_no_source_is_not_taken_for_one(text):
    assert lcls1_names.source_in(text) is None
    with pytest.raises(BadName):
        names.check_detector(text)


def test_a_mistyped_short_name_of_no_source_is_still_refused(memory_db):
    with pytest.raises(BadName, match="six digits"):
        memory_db.add("x", detector="cspad_0999", ctype="notes")
