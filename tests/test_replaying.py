"""A stamp gives the same bytes again, from wherever its store is, or an error that says why not."""

import pickle
from contextlib import ExitStack
from dataclasses import replace

import h5py
import numpy as np
import pytest

import cdb
from cdb import stamps
from cdb.constant import version_of
from cdb.database import Database
from cdb.errors import (
    BadQuestion,
    CalibError,
    Corrupt,
    NotFound,
    Purged,
    WrongServer,
    WrongState,
)
from cdb.packing import Asked, Packing
from cdb.purge import Choice, purge, purgeable
from cdb.replaying import constants, replayed
from cdb.stamps import Stamp
from cdb.stores import open_store
from cdb.stores.cache import Cache
from cdb.stores.memory import MemoryStore
from tests import service
from tests.programs import OtherProgram

EPIX, EXPERIMENT, TIME = "epix_000001", "xpp1", 1_600_000_000
PEDS = np.arange(12, dtype="float32").reshape(3, 4)
GEOMETRY = "# TITLE one panel\n"


def add(db, data, ctype, run=5, **how):
    names = {"detector": EPIX, "experiment": EXPERIMENT, "time": TIME, **how}
    return db.add(data, ctype=ctype, run=run, **names)


def fill(db: Database) -> Stamp:
    """Two constants; return the stamp of run 6."""
    add(db, PEDS, "pedestals")
    add(db, GEOMETRY, "geometry")
    return stamp_of(db)


def stamp_of(db: Database, **asked) -> Stamp:
    return db.detector(EPIX, **{"experiment": EXPERIMENT, "run": 6, **asked}).calibconst.stamp()


def live_on(db: Database) -> None:
    """Retire, amend and add, so that nothing answers as before."""
    found = {v.ctype: v for v in db.find(detector=EPIX, experiment=EXPERIMENT)}
    db.retire(found["geometry"].id, reason="moved")
    db.amend(found["pedestals"].id, comment="better", run=100)
    add(db, PEDS + 1, "pedestals", run=6)
    add(db, "# another\n", "geometry", run=6)


def bytes_of(db: Database, stamp: Stamp) -> dict[str, bytes]:
    return {version.ctype: bytes(data) for version, data in constants(db, stamp)}


def test_a_stamp_says_the_question_the_state_and_the_versions(any_db):
    stamp = fill(any_db)
    behind = service.behind(any_db)
    assert stamp.server == behind.journal.identity() == any_db.server
    asked = (stamp.seq, stamp.detector, stamp.experiment, stamp.run, stamp.time, stamp.rule)
    assert asked == (2, EPIX, EXPERIMENT, 6, None, "range")
    for ctype, cited in stamp.constants.items():
        version = any_db.version(EPIX, ctype, experiment=EXPERIMENT, run=6)
        assert (cited.id, cited.database) == (version.id, version.database)
        assert (cited.sha256, cited.nbytes) == (version.sha256, version.nbytes)


def test_used_lists_what_was_touched_in_its_order(memory_db):
    fill(memory_db)
    add(memory_db, [1], "common_mode")
    calibconst = memory_db.detector(EPIX, experiment=EXPERIMENT, run=6).calibconst
    assert calibconst.used == []
    assert "geometry" in calibconst
    for ctype in ("pedestals", "common_mode", "pedestals"):
        calibconst[ctype]
    assert calibconst.used == ["pedestals", "common_mode"]
    assert list(calibconst.stamp(calibconst.used).constants) == ["pedestals", "common_mode"]
    assert list(calibconst.stamp().constants) == ["common_mode", "geometry", "pedestals"]
    with pytest.raises(NotFound, match="no pixel_rms"):
        calibconst.stamp(["pixel_rms"])


def test_the_identity_is_asked_once_a_process(memory_db, monkeypatch):
    fill(memory_db)
    asked = []
    rows = memory_db.store.rows
    monkeypatch.setattr(
        memory_db.store, "rows",
        lambda *where, **how: asked.append(where[2:]) or rows(*where, **how),
    )  # fmt: skip
    for run in range(6, 12):
        stamp_of(memory_db, run=run)
    assert [where for where in asked if where[0] == ("digest",)] == []


def test_the_same_bytes_come_back_whatever_happened(any_db):
    stamp = fill(any_db)
    before = bytes_of(any_db, stamp)
    live_on(any_db)
    assert bytes_of(any_db, stamp) == before
    again = replayed(any_db, stamp)
    assert np.array_equal(again.calibconst["pedestals"][0], PEDS)
    assert again.calibconst["geometry"][0] == GEOMETRY
    assert "out" not in again.calibconst["geometry"][1]
    assert (again.name, again.run, again.seq) == (EPIX, 6, 2)
    assert again.calibconst.stamp() == stamp


def test_under_a_tag_it_names_the_tag_and_the_document_that_it_was(any_db):
    fill(any_db)
    pinned = add(any_db, PEDS + 2, "pedestals", run=6)
    any_db.tags.create("summer26", at=2)
    any_db.tags.pin("summer26", pinned.id)
    any_db.retire(pinned.id, reason="test")
    stamp = stamp_of(any_db, tag="summer26")
    det = any_db.detector(EPIX, experiment=EXPERIMENT, run=6, tag="summer26")
    assert (stamp.tag.name, stamp.tag.id, stamp.seq) == ("summer26", det.tag.id, 2)
    any_db.tags.unpin("summer26", pinned.id)
    again = replayed(any_db, stamp)
    assert np.array_equal(again.calibconst["pedestals"][0], PEDS + 2)
    assert (again.tag.name, again.tag.id) == ("summer26", stamp.tag.id)
    assert stamps.parse(str(stamp)) == stamp


def test_a_default_tag_hides_nothing_that_a_stamp_names(url, monkeypatch):
    with cdb.open(url) as db:
        add(db, PEDS, "pedestals")
        db.tags.create("before", at=1)
        stamp = fill(db)
    monkeypatch.setenv("CDB_TAG", "before")
    assert cdb.replay(stamp, url).calibconst["geometry"][0] == GEOMETRY


@pytest.fixture
def url(tmp_path) -> str:
    return (tmp_path / "store").as_uri()


@pytest.fixture
def stamp(url) -> Stamp:
    """The stamp of a store in a folder, after which it lived on."""
    with cdb.open(url) as db:
        stamp = fill(db)
        live_on(db)
    return stamp


def test_a_service_gives_them_to_an_empty_cache(url, stamp, tmp_path):
    with ExitStack() as stack:
        served = stack.enter_context(service.serving(stack.enter_context(open_store(url))))
        cache = tmp_path / "cache"
        db = stack.enter_context(service.remote(served, cache))
        assert np.array_equal(replayed(db, stamp).calibconst["pedestals"][0], PEDS)
        assert {found.sha256 for found in Cache(cache).entries()} >= {
            cited.sha256 for cited in stamp.constants.values()
        }


def bundled(url, path, **asked) -> str:
    with cdb.open(url) as db, Packing(db, Asked((EXPERIMENT,), (EPIX,), **asked)) as bundle:
        bundle.write(path)
    return path.as_uri().replace("file:", "bundle:")


def test_a_bundle_that_holds_them_gives_them(url, stamp, tmp_path):
    address = bundled(url, tmp_path / "all.cdb", everything=True)
    assert cdb.replay(stamp, address).calibconst["geometry"][0] == GEOMETRY


def test_one_that_does_not_says_so(url, stamp, tmp_path):
    address = bundled(url, tmp_path / "now.cdb")
    with pytest.raises(CalibError, match="bundle"):
        cdb.replay(stamp, address)


def test_a_file_is_replayed_by_its_path(url, stamp, tmp_path):
    path = tmp_path / "results.h5"
    with h5py.File(path, "w") as file:
        stamps.write_nexus(file, stamp)
    assert np.array_equal(cdb.replay(path, url).calibconst["pedestals"][0], PEDS)
    assert cdb.replay(str(path), url).calibconst.stamp() == stamp


def test_of_a_file_with_several_one_is_to_be_given(url, stamp, tmp_path):
    path = tmp_path / "stamps"
    path.write_text(f"{stamp}\n{replace(stamp, run=7)}\n")
    with pytest.raises(BadQuestion, match=r"holds 2 stamps \(epix_000001 of xpp1 run 6 as of"):
        cdb.replay(path, url)
    assert cdb.replay(stamps.read(path)[1], url).run == 7


def test_it_goes_to_another_process_by_reference(url, stamp):
    again = pickle.loads(pickle.dumps(cdb.replay(stamp, url)))
    assert np.array_equal(again.calibconst["pedestals"][0], PEDS)
    assert len(pickle.dumps(again)) < 2000


# refusals --------------------------------------------------------------------------------------


def test_another_store_is_refused_with_both_identities(any_db):
    stamp = fill(any_db)
    other = Database(MemoryStore())
    with pytest.raises(WrongServer, match="has no identity"):
        replayed(other, stamp)
    add(other, PEDS, "pedestals")
    with pytest.raises(WrongServer) as refused:
        replayed(other, stamp)
    assert stamp.server in str(refused.value)
    assert other.server in str(refused.value)


def test_purged_bytes_are_said_to_be_gone(any_db):
    stamp = fill(any_db)
    live_on(any_db)
    journal = service.behind(any_db).journal
    found, seen = purgeable(journal, Choice())
    assert len(purge(journal, found, seen=seen, reason="space")) == 2  # in both databases
    with pytest.raises(Purged, match="space"):
        replayed(any_db, stamp)


def test_a_stamp_that_was_changed_is_found(any_db):
    stamp = fill(any_db)
    cited = stamp.constants
    for changed in (
        {"pedestals": replace(cited["pedestals"], sha256=cited["geometry"].sha256)},
        {"pedestals": cited["geometry"]},
        {"pedestals": replace(cited["pedestals"], database="cdb_xpp2")},
    ):
        with pytest.raises(Corrupt, match="the stamp was changed after it was made"):
            replayed(any_db, replace(stamp, constants=changed))
    unknown = {"pedestals": replace(cited["pedestals"], id="6" * 24)}
    with pytest.raises(NotFound, match="no version 666666666666666666666666"):
        replayed(any_db, replace(stamp, constants=unknown))


def test_damaged_bytes_are_found(memory_db, monkeypatch):
    stamp = fill(memory_db)
    monkeypatch.setattr(memory_db, "read", lambda version, *, progress=None: b"else")
    with pytest.raises(Corrupt, match="are damaged"):
        replayed(memory_db, stamp)


def test_what_nobody_adopted_has_no_digest_and_is_refused(memory_db):
    fill(memory_db)
    OtherProgram(memory_db.store).insert("theirs", ctype="status")
    theirs = next(
        version_of(d, "cdb_xpp1", EPIX)
        for d in memory_db.store.find("cdb_xpp1", EPIX, {"ctype": "status"})
    )
    stamp = stamp_of(memory_db)
    assert (stamp.constants["status"].id, stamp.constants["status"].sha256) == (theirs.id, None)
    with pytest.raises(WrongState, match="`cdb adopt`"):
        replayed(memory_db, stamp)


def test_a_store_without_events_has_no_stamps():
    db = Database(MemoryStore())
    with pytest.raises(WrongState, match="has no identity yet"):
        db.detector(EPIX, run=6).calibconst.stamp()
