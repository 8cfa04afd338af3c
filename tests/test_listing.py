"""What a store holds, listed, now and as of an event."""

import pytest

from cdb.errors import BadQuestion
from tests.programs import OtherProgram

EPIX, EXPERIMENT = "epix_000001", "rixx45619"
NAMES = {"detector": EPIX, "experiment": EXPERIMENT, "ctype": "pedestals"}


def test_lists_detectors_and_experiments(any_db):
    db = any_db
    db.add("x", detector="epix_a-1", experiment=EXPERIMENT, ctype="notes")
    assert db.detectors() == [{"detector": EPIX, "longname": "epix_a-1", "ctypes": ["notes"]}]
    assert db.experiments() == [{"experiment": EXPERIMENT, "detectors": [EPIX]}]


def test_lists_are_as_of_an_event(any_db):
    db = any_db
    db.add("x", detector="epix_a-1", ctype="notes")
    db.add("y", **NAMES)
    assert db.detectors(as_of=0) == db.experiments(as_of=2) == []
    assert [known["ctypes"] for known in db.detectors(as_of=2)] == [["notes"]]
    assert [known["ctypes"] for known in db.detectors(as_of=3)] == [["notes", "pedestals"]]
    assert db.experiments(as_of=3) == db.experiments()


def test_finds_by_run_type_time_and_label(any_db):
    db = any_db
    db.add("a", run=1, run_end=5, version="V1", time=1e9, **NAMES)
    db.add("b", run=6, version="V2", time=1.5e9, **NAMES)

    def found(**more):
        return [v.runs.begin for v in db.find(detector=EPIX, experiment=EXPERIMENT, **more)]

    assert found() == [1, 6]
    assert found(run=5) == [1]
    assert found(version="V2") == [6]
    assert found(time=1.2e9) == [1]
    assert found(ctype="geometry") == []
    assert found(as_of=1) == [1]
    assert found(limit=1) == [1]
    assert len(db.find(experiment=EXPERIMENT)) == 2


def test_neither_detector_nor_experiment_is_no_question(memory_db):
    with pytest.raises(BadQuestion, match="name a detector, an experiment or both"):
        memory_db.find()


def test_history_has_what_left_and_why_but_not_what_came_later(any_db):
    db = any_db
    old = db.add("x", **NAMES)
    new = db.amend(old.id, comment="y", reason="was wrong")
    after, before = db.history(EPIX, "pedestals", experiment=EXPERIMENT)
    assert [after.id, before.id] == [new.id, old.id]
    assert f"replaced by {new.id}" in before.note
    assert before.note.endswith("(event 2): was wrong")
    (then,) = db.history(EPIX, "pedestals", experiment=EXPERIMENT, as_of=1)
    assert (then.id, then.state, then.note) == (old.id, "live", "")


SPOILT = [{"time_sec": "yesterday"}, {"time_sec": 1e300}, {"seq": "x"}, {"out": "x"}, {"ctype": 7},
          {"run": "five"}, {"detector": 3}]  # fmt: skip


@pytest.mark.parametrize("fields", SPOILT, ids=str)
def test_one_document_that_another_program_spoilt_hides_no_other(db, fields):
    db.add("ours", detector=EPIX, ctype="notes", experiment="xpp1", run=7)
    other = OtherProgram(db.store)
    other.insert("theirs", **fields)
    assert "ours" in {db.data(v) for v in db.find(detector=EPIX, experiment="xpp1") if v.seq}
    assert len(db.history(EPIX, "notes", experiment="xpp1")) >= 1
    assert db.explain(EPIX, "notes", experiment="xpp1", run=7).rows()
    assert db.detector(EPIX, experiment="xpp1", run=7).calibconst["notes"][0] == "ours"
    assert db.experiments()[0]["detectors"] == [EPIX]
    assert [known["detector"] for known in db.detectors()] == [EPIX]


def test_an_unusable_entry_of_the_register_hides_no_detector(db):
    db.add("ours", detector="epix_a-1", ctype="notes")
    db.store.insert("cdb_detnames", "epix", [{"_id": "0" * 24, "long": "x", "short": "weird"}])
    assert [known["longname"] for known in db.detectors()] == ["epix_a-1"]
