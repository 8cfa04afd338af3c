"""Detectors in the register of a store: short names found, new long names enrolled."""

import pytest

from cdb import enrolment
from cdb.errors import BadName, NotFound

EPIX = "epix_000001"


def test_a_long_name_is_registered_once(db):
    first = db.add("x", detector="epix_a-1_b-2", ctype="notes")
    again = db.add("y", detector="epix_b-2_a-1", ctype="notes")
    other = db.add("z", detector="epix_c-3", ctype="notes")
    assert [v.detector for v in (first, again, other)] == [EPIX, EPIX, "epix_000002"]
    assert first.meta["longname"] == "epix_a-1_b-2"
    assert db.get("epix_b-2", "notes")[0] == "y"


def test_panels_are_compared_whole(db):
    db.add("x", detector="epix_a-10_b-2", ctype="notes")
    with pytest.raises(NotFound, match="registered"):
        db.get("epix_a-1", "notes")


def test_a_new_number_is_above_every_database(db):
    db.add("x", detector="epix_000041", ctype="notes")
    assert db.add("y", detector="epix_a-1", ctype="notes").detector == "epix_000042"


def test_a_short_name_is_taken_as_it_stands(db):
    assert enrolment.enrol(db.journal, "epix_000041") == ("epix_000041", False)
    assert db.short_name("epix_000007") == "epix_000007"
    assert db.head == 0


def test_a_rehearsal_says_the_name_and_registers_nothing(db):
    assert enrolment.enrol(db.journal, "epix_a-1", dry_run=True) == (EPIX, True)
    assert (db.head, db.store.databases()) == (0, [])


def test_an_enrolment_is_an_event_with_the_document_of_psana(db):
    enrolment.enrol(db.journal, "epix_a-1")
    (made,) = db.journal.event(1)["versions"]
    (document,) = db.store.find("cdb_detnames", "epix")
    assert (made["document"], made["key"]) == (document, "cdb_detnames/epix")
    assert (document["long"], document["short"], document["seqnumber"]) == ("epix_a-1", EPIX, 1)


def test_a_name_is_known_from_its_event_on(db):
    enrolment.enrol(db.journal, "epix_a-1")
    assert db.short_name("epix_a-1", as_of=1) == EPIX
    with pytest.raises(NotFound, match="epix_000001, `cdb detectors` shows"):
        db.short_name("epix_a-1", as_of=0)


def test_the_last_number_is_the_last(db):
    db.add("x", detector="epix_999999", ctype="notes")
    with pytest.raises(BadName, match="all 999999 numbers"):
        enrolment.enrol(db.journal, "epix_a-1")


@pytest.mark.parametrize("typed", ["epix_0000001", "epix_1", "epix_00012", "epix_0"])
def test_a_mistyped_short_name_is_not_registered(db, typed):
    with pytest.raises(BadName, match="six digits"):
        enrolment.enrol(db.journal, typed)
    assert db.head == 0
