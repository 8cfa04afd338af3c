"""Several constants by one event: all are seen or none, whatever happens in between."""

import contextlib

import numpy as np
import pytest

from cdb import payload
from cdb.database import Database
from cdb.deployments import commit_together
from cdb.errors import BadQuestion, NotFound, Refused
from cdb.fsck import Check
from tests import service
from tests.programs import EPIX, Died, dying_at, interrupted_at

TYPES = ("pixel_gain", "pixel_offset")
# Between all steps of a write that has several documents.
STEPS = ("after blob", "before event", "after event", "after documents", "before done", "done")


def encoded(data):
    plain = payload.encode(data)
    return payload.Encoded(plain.fields, payload.digest(plain.data), len(plain.data), plain.data)


def several(value=0, types=TYPES, **more):
    asked = {"detector": EPIX, "experiment": "xpp1", "run": 7, **more}
    return [{"encoded": encoded(f"{ctype} {value}"), "ctype": ctype, **asked} for ctype in types]


def held(db):
    """Return what both places answer for both types, "" where there is nothing."""
    found = {}
    for experiment in ("xpp1", None):
        for ctype in TYPES:
            found[experiment, ctype] = ""
            with contextlib.suppress(NotFound):
                found[experiment, ctype] = db.get(EPIX, ctype, experiment=experiment, run=9)[0]
    return found


def all_of(value):
    return {(place, t): f"{t} {value}" for place in ("xpp1", None) for t in TYPES}


NOTHING = {(place, t): "" for place in ("xpp1", None) for t in TYPES}


def test_one_event_adds_all_to_both_places(quick_db):
    versions = quick_db.deploy_together(several())
    assert [(v.ctype, v.new, v.seq) for v in versions] == [(t, True, 1) for t in TYPES]
    [event] = quick_db.journal.events()
    assert len({made["id"] for made in event["versions"]}) == 4
    assert held(quick_db) == all_of(0)
    assert list(Check(quick_db.journal).run()) == []


def test_a_service_adds_them_too(any_db):
    versions = any_db.deploy_together(several())
    assert [(v.ctype, v.new) for v in versions] == [(t, True) for t in TYPES]
    again = any_db.deploy_together(several())
    assert [(v.id, v.new) for v in again] == [(v.id, False) for v in versions]
    rehearsed = any_db.deploy_together(several(1), dry_run=True)
    assert [v.new for v in rehearsed] == [True, True]
    assert held(any_db) == all_of(0)
    assert list(Check(service.behind(any_db).journal).run()) == []


def test_only_what_is_new_is_added(quick_db):
    quick_db.deploy_together(several(types=TYPES[:1]))
    versions = quick_db.deploy_together(several())
    assert [(v.new, v.seq) for v in versions] == [(False, 1), (True, 2)]
    assert [v.new for v in quick_db.deploy_together(several())] == [False, False]
    assert quick_db.head == 2


def test_each_is_retired_and_restored_by_itself(quick_db):
    gain, offset = quick_db.deploy_together(several())
    quick_db.retire(gain.id, reason="wrong")
    assert held(quick_db) == all_of(0) | {(p, "pixel_gain"): "" for p in ("xpp1", None)}
    quick_db.restore(gain.id, reason="right")
    quick_db.amend(offset.id, comment="fine")
    assert held(quick_db) == all_of(0)
    assert list(Check(quick_db.journal).run()) == []


@pytest.mark.parametrize("step", STEPS)
def test_a_writer_killed_anywhere_leaves_all_or_none(quick_store, step):
    Database(quick_store).deploy_together(several(0))
    with contextlib.suppress(Died):
        dying_at(quick_store, step).deploy_together(several(1))
    db = Database(quick_store)
    assert held(db) in (all_of(0), all_of(1))
    db.deploy_together(several(1))
    assert held(Database(quick_store)) == all_of(1)
    # Bytes that nobody came to name, and an event that another writer completes, are no damage.
    assert [found for found in Check(Database(quick_store).journal).run() if found.counts] == []


@pytest.mark.parametrize("step", ["after blob", "before event"])
def test_a_writer_that_comes_between_is_not_lost(quick_store, step):
    other = Database(quick_store)
    db = interrupted_at(quick_store, step, lambda: other.deploy_together(several(0, TYPES[1:])))
    assert [v.new for v in db.deploy_together(several(0))] == [True, False]
    assert held(db) == all_of(0)
    last = Database(quick_store).history(EPIX, TYPES[1], experiment="xpp1")
    assert len(last) == 1


def test_a_new_detector_is_registered_once(quick_db):
    long = {"detector": "epix_0123-45_0123-46"}
    rehearsed = quick_db.deploy_together(several(**long), dry_run=True)
    assert (quick_db.head, [v.new for v in rehearsed]) == (0, [True, True])
    made = quick_db.deploy_together(several(**long))
    assert [v.detector for v in made] == ["epix_000001"] * 2
    assert [event["action"] for event in quick_db.journal.events()] == ["register", "add"]


# What is refused -------------------------------------------------------------------------------


def test_what_makes_no_set_is_refused(quick_db):
    with pytest.raises(BadQuestion, match="pixel_gain twice"):
        quick_db.deploy_together(several() + several(1, TYPES[:1]))
    with pytest.raises(BadQuestion, match="each by itself|by itself"):
        quick_db.deploy_together(several() + several(1, ["status"], detector="epix_000002"))
    assert quick_db.head == 0


@pytest.fixture
def odd():
    """Return a set of which the rules would put the second into quarantine: it is no array."""
    made = several(detector="epix100a_000001")
    made[0]["encoded"] = encoded(np.ones((704, 768), "f4"))
    return made


def test_the_rules_keep_out_all_or_none(any_db, odd):
    with pytest.raises(Refused, match="pixel_offset of .* put into quarantine .*text"):
        any_db.deploy_together(odd)
    assert service.behind(any_db).head == 0


def test_one_alone_may_be_quarantined(quick_db, odd):
    [kept] = quick_db.deploy_together(odd[1:])
    assert (kept.new, kept.state) == (True, "quarantined")
    assert commit_together(quick_db.journal, []) == []
