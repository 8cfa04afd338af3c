"""What the rules keep out is stored, seen by no look-up at any moment, and let in by approval."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from starlette.testclient import TestClient

import cdb
from cdb import payload, trends
from cdb.audit import Audit
from cdb.backup import Export, Import
from cdb.constant import version_of
from cdb.database import Database
from cdb.errors import BadFile, BadQuestion, NotFound, Refused, WrongState
from cdb.fsck import Check
from cdb.gates import of_layers
from cdb.packing import Asked, Packing
from cdb.purge import Choice, purge, purgeable
from cdb.rights import Rights
from cdb.store_digest import store_digest
from cdb.stores import open_store
from cdb.stores.memory import MemoryStore
from cdb.tallies import Tally
from cdb.web.app import make_app
from cdb.web.settings import Settings
from tests import service
from tests.programs import Died, dying_at

# No text: the package's rules keep it out of every known detector's geometry.
EPIX = "epix100a_000001"
WHERE = {"detector": EPIX, "ctype": "geometry", "experiment": "xpp1"}
GOOD, BAD = "IP 0 TOP", ["no", "text"]
PLACES = [("cdb_xpp1", EPIX), ("cdb_epix100a_000001", EPIX)]

# Rules for a detector of one's own, whose arrays are small.
LAB = of_layers([{"lab": {"pedestals": {
    "low": {"value": 0, "severity": "warn"},
    "drift": {"value": 5, "severity": "quarantine"},
    "high": {"value": 100, "severity": "refuse"},
}}}], "lab.toml")  # fmt: skip
LABS = {"detector": "lab_000001", "ctype": "pedestals", "experiment": "xpp1"}


def peds(*values: float) -> np.ndarray:
    return np.array([values], "float32")


@pytest.fixture
def lab(quick_store) -> Database:
    """A database with the rules of a laboratory."""
    return Database(quick_store, gates=LAB)


@pytest.fixture
def kept_out(any_db):
    """A version in quarantine, over one in force."""
    any_db.add(GOOD, **WHERE, run=1)
    return any_db.add(BAD, **WHERE, run=2)


def sees(db: Database, text: object, **when: object) -> bool:
    """Return whether every kind of look-up gives this, for experiment and detector."""
    found = []
    for experiment in ("xpp1", None):
        asked = {"experiment": experiment, "run": 5, **when}
        found += [
            db.get(EPIX, "geometry", **asked)[0],
            db.detector(EPIX, **asked).calibconst["geometry"][0],
            db.get(EPIX, "geometry", **asked, rule="latest")[0],
            db.data(db.explain(EPIX, "geometry", **asked).winner),
        ]
    assert all(data == found[0] for data in found)
    return found[0] == text


# Outcomes ----------------------------------------------------------------------------------------


def test_no_look_up_sees_it_at_any_moment(any_db, kept_out):
    assert (kept_out.state, kept_out.new) == ("quarantined", True)
    assert kept_out.findings[0]["code"] == "kind"
    assert sees(any_db, GOOD)
    for seq in range(1, any_db.head + 1):
        assert sees(any_db, GOOD, as_of=seq)
    assert [v.id for v in any_db.find(detector=EPIX, experiment="xpp1")] != [kept_out.id]
    assert len(any_db.find(detector=EPIX)) == 1


def test_history_and_explain_say_who_was_kept_out_and_why(any_db, kept_out):
    newest = any_db.history(EPIX, "geometry", experiment="xpp1")[0]
    assert (newest.id, newest.state) == (kept_out.id, "quarantined")
    assert newest.note.startswith("quarantined by ")
    assert newest.note.endswith("(event 2): kind")
    explained = any_db.explain(EPIX, "geometry", experiment="xpp1", run=5)
    reasons = {candidate.version.id: candidate.reason for candidate in explained.candidates}
    assert reasons[kept_out.id] == newest.note


def test_both_copies_are_kept_out_by_one_event_and_let_in_by_one(any_db, kept_out):
    approved = any_db.approve(kept_out.id, reason="it is meant so")
    events = list(service.behind(any_db).journal.events())
    assert [event["action"] for event in events] == ["add", "quarantine", "approve"]
    assert [e["reason"] for e in events[1:]] == ["kind", "it is meant so"]
    for event in events[1:]:
        added = [e for e in event["versions"] if "document" in e]
        assert [(e["database"], e["collection"]) for e in added] == PLACES
    assert sees(any_db, BAD)
    assert sees(any_db, GOOD, as_of=2)
    assert (approved.state, approved.meta["gate"]) == ("live", "approved")
    assert approved.findings == kept_out.findings
    assert any_db.history(EPIX, "geometry", experiment="xpp1")[0].id == approved.id


def test_the_place_among_equals_is_that_of_its_adding(any_db):
    kept = any_db.add(BAD, **WHERE, run=1)
    any_db.add(GOOD, **WHERE, run=1)
    any_db.approve(kept.id, reason="fine")
    assert any_db.get(EPIX, "geometry", experiment="xpp1", run=5)[0] == GOOD


def test_the_detectors_copy_can_be_approved_too(any_db, kept_out):
    event = service.behind(any_db).journal.event(2)
    copy = event["versions"][1]
    assert copy["database"] == PLACES[1][0]
    any_db.approve(copy["id"], reason="fine")
    assert sees(any_db, BAD)


def test_the_list_names_what_waits_once(any_db, kept_out):
    alone = any_db.add(BAD, detector=EPIX, ctype="geometry", run=9)
    private = any_db.add(BAD, detector=EPIX, ctype="geometry", dbsuffix="mine")
    assert [v.id for v in any_db.quarantined()] == [private.id, alone.id, kept_out.id]
    assert [v.id for v in any_db.quarantined(experiment="xpp1")] == [kept_out.id]
    assert any_db.quarantined(detector="epix100a_000002") == []
    any_db.approve(kept_out.id, reason="fine")
    listed = any_db.quarantined(detector=EPIX)
    assert [v.id for v in listed] == [private.id, alone.id]
    assert {v.state for v in listed} == {"quarantined"}
    assert kept_out.id in [v.id for v in any_db.quarantined(as_of=4)]


def test_the_same_again_is_not_stored_twice(any_db, kept_out):
    for _ in range(2):
        again = any_db.add(BAD, **WHERE, run=2)
        assert (again.new, again.id, again.state) == (False, kept_out.id, "quarantined")
    assert any_db.head == 2
    other = any_db.add([*BAD, 1], **WHERE, run=2)
    assert other.new
    assert any_db.add(BAD, **WHERE, run=2).id == kept_out.id


def test_what_was_approved_is_there_already(any_db, kept_out):
    approved = any_db.approve(kept_out.id, reason="fine")
    again = any_db.add(BAD, **WHERE, run=2)
    assert (again.new, again.id, again.state) == (False, approved.id, "live")


def test_what_was_approved_and_retired_is_quarantined_anew(any_db, kept_out):
    any_db.retire(any_db.approve(kept_out.id, reason="fine").id, reason="it was not")
    again = any_db.add(BAD, **WHERE, run=2)
    assert (again.new, again.state) == (True, "quarantined")
    assert sees(any_db, GOOD)


def test_a_key_gives_the_same_answer(any_db):
    first = any_db.add(BAD, **WHERE, key="3f0e4d1c9b7a4e51")
    again = any_db.add(BAD, **WHERE, key="3f0e4d1c9b7a4e51")
    assert (again.id, again.state, any_db.head) == (first.id, "quarantined", 1)
    with pytest.raises(WrongState, match="was used for something else"):
        any_db.approve(first.id, reason="fine", key="3f0e4d1c9b7a4e51")


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        ("restore", "never was in force: quarantined by .* `cdb approve` lets it in"),
        ("amend", "has left already: quarantined by .*; `cdb approve` lets it in"),
        ("retire", "has left already: quarantined by"),
    ],
)
def test_only_approval_changes_it(any_db, kept_out, verb, says):
    change = {"comment": "better"} if verb == "amend" else {}
    with pytest.raises(WrongState, match=says):
        getattr(any_db, verb)(kept_out.id, reason="test", **change)
    assert any_db.head == 2


def test_only_what_waits_is_approved(any_db, kept_out):
    live = any_db.find(detector=EPIX, experiment="xpp1")[0]
    with pytest.raises(WrongState, match="is not in quarantine: it is live"):
        any_db.approve(live.id, reason="fine")
    any_db.approve(kept_out.id, reason="fine")
    with pytest.raises(WrongState, match="has a successor already"):
        any_db.approve(kept_out.id, reason="fine")
    with pytest.raises(NotFound):
        any_db.approve("0" * 24, reason="fine")


def test_approval_wants_a_reason(any_db, kept_out):
    with pytest.raises(ValueError, match="a reason is needed"):
        any_db.approve(kept_out.id, reason=" ")


def test_a_dry_run_tells_and_writes_nothing(any_db):
    told = any_db.add(BAD, **WHERE, dry_run=True)
    assert (told.state, told.new, any_db.head) == ("quarantined", True, 0)
    kept = any_db.add(BAD, **WHERE)
    assert any_db.approve(kept.id, reason="fine", dry_run=True).state == "live"
    assert (any_db.head, len(any_db.quarantined())) == (1, 1)


def test_what_was_approved_lives_on_like_any_other(any_db, kept_out):
    approved = any_db.approve(kept_out.id, reason="fine")
    amended = any_db.amend(approved.id, comment="better", reason="typo")
    any_db.retire(amended.id, reason="no")
    assert sees(any_db, GOOD)
    assert any_db.restore(amended.id, reason="yes").findings == kept_out.findings
    assert sees(any_db, BAD)


def test_warnings_are_kept_and_seen(lab):
    version = lab.add(peds(-1, 1), **LABS)
    assert (version.state, version.meta["gate"]) == ("live", "warned")
    meta = lab.get("lab_000001", "pedestals", run=1)[1]
    assert [finding["code"] for finding in meta["findings"]] == ["low"]


def test_what_is_refused_leaves_nothing(lab):
    with pytest.raises(Refused, match=r"pedestals of lab_000001 is refused: the panel has 50 % of"
                                      r" its values above 100; 0 % may be; mend it, or the rules "
                                      r"of lab.toml"):  # fmt: skip
        lab.add(peds(1, 101), **{**LABS, "detector": "lab_a-0123"})
    assert (lab.head, lab.store.databases(), lab.store.litter(0)) == (0, [], [])


def test_what_is_there_already_is_not_refused(quick_store):
    before = Database(quick_store).add(peds(1, 101), **LABS)
    again = Database(quick_store, gates=LAB).add(peds(1, 101), **LABS)
    assert (again.id, again.new) == (before.id, False)


def test_a_key_whose_event_is_in_is_not_refused(quick_store):
    key = "3f0e4d1c9b7a4e51"
    before = Database(quick_store).add(peds(1, 101), **LABS, key=key)
    assert Database(quick_store, gates=LAB).add(peds(1, 101), **LABS, key=key).id == before.id


def test_drift_is_from_what_answers_the_same_question(lab):
    lab.add(peds(1, 1), **LABS, run=1, run_end=5)
    lab.add(peds(50, 50), **LABS, run=6)
    assert lab.add(peds(2, 3), **LABS, run=3).state == "live"
    far = lab.add(peds(2, 4), **LABS, run=7)
    assert far.state == "quarantined"
    assert far.findings[0]["value"] == 47
    assert lab.check(peds(52, 50), **LABS, run=7).outcome == "accepted"
    assert lab.check(peds(52, 50), **LABS, run=2, as_of=1).outcome == "quarantined"


def test_a_version_is_checked_against_what_was_in_force_before_it(lab):
    lab.add(peds(1, 1), **LABS)
    kept = lab.add(peds(9, 9), **LABS)
    lab.approve(kept.id, reason="warm")
    assert lab.check_version(kept.id).findings[0].value == 8
    lab.add(peds(10, 10), **LABS)
    assert lab.check_version(kept.id).findings[0].value == 8


def test_no_tag_stands_for_what_is_in_force(lab):
    lab.add(peds(1, 1), **LABS)
    lab.tags.create("cold")
    lab.approve(lab.add(peds(50, 50), **LABS).id, reason="warm")
    for tag in ("cold", "never"):
        lab.tag = tag
        assert lab.check(peds(50, 51), **LABS).outcome == "accepted"
        assert lab.check(peds(1, 2), **LABS).outcome == "quarantined"
        assert lab.add(peds(2, 3), **LABS, dry_run=True).state == "quarantined"
        assert lab.quarantined() == []


def test_a_damaged_version_in_force_keeps_nothing_out(lab):
    version = lab.add(peds(1, 1), **LABS)
    lab.store.remove("cdb_xpp1", [version.meta["id_data"]])
    assert lab.add(peds(50, 50), **LABS).state == "live"
    lab.store.remove("cdb_xpp1", [blob.id for blob in lab.store.blobs("cdb_xpp1")])
    verdict = lab.check(peds(51, 50), **LABS)
    assert "drift was not looked at: what is in force cannot be read" in verdict.notes[0]


def test_nobody_learns_how_far_he_is_off_what_he_may_not_read(lab):

    lab.add(peds(1, 1), **LABS)
    plain = payload.encode(peds(50, 50))
    sent = payload.Encoded(plain.fields, payload.digest(plain.data), 8, plain.data)
    told = lab.deploy(sent, **LABS, dry_run=True, may_read=lambda database: False)
    assert (told.state, told.findings) == ("live", [])
    assert lab.deploy(sent, **LABS, dry_run=True).state == "quarantined"


def test_without_rules_all_comes_in(quick_store):
    assert Database(quick_store, gates="off").add(BAD, **WHERE).state == "live"


def test_a_bad_file_of_rules_stops_the_add(quick_store, tmp_path):
    (tmp_path / "lab.toml").write_text("[lab.pedestals.low]\nvalue = 'x'")
    db = Database(quick_store, gates=tmp_path / "lab.toml")
    with pytest.raises(BadFile, match=r"lab.pedestals.low.value in the rules of .*lab.toml is 'x'"):
        db.add(GOOD, **WHERE)
    assert db.head == 0


# Over a service ----------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path):
    """A service with the rules of a laboratory."""
    with open_store((tmp_path / "store").as_uri()) as store, service.serving(store) as served:
        served.db._gates = LAB
        yield served


@pytest.fixture
def remote(served, tmp_path):
    with service.remote(served, tmp_path / "cache") as db:
        yield db


def test_data_are_checked_here_by_the_rules_of_the_service(remote):
    remote.add(peds(1, 1), **LABS)
    assert remote.gates.source == "lab.toml"
    verdict = remote.check(peds(8, 1), **LABS)
    assert (verdict.outcome, verdict.notes) == ("accepted", ())
    assert remote.check(peds(9, 9), **LABS).outcome == "quarantined"
    kept = remote.add(peds(9, 9), **LABS)
    assert remote.check_version(kept.id).outcome == "quarantined"
    assert remote.head == 2
    remote.tag = "never"
    assert remote.check(peds(9, 9), **LABS).outcome == "quarantined"
    assert [version.id for version in remote.quarantined()] == [kept.id]


def test_the_rules_of_a_service_are_those_of_now(remote):
    remote.tag = "never"
    assert remote.gates.source == "lab.toml"


def test_the_service_refuses(remote):
    with pytest.raises(Refused, match=r"is refused: the panel has .* the rules of lab.toml"):
        remote.add(peds(101, 101), **LABS)
    assert remote.head == 0


def test_large_payloads_are_looked_at_once_they_are_there(remote, served):
    large = np.full((600, 600), 50, "float32")
    remote.add(large - 40, **LABS)
    told = remote.add(large, **LABS, dry_run=True)
    assert told.state == "live"  # nobody has seen its values yet
    version = remote.add(large, **LABS)
    assert (version.state, version.findings[0]["code"]) == ("quarantined", "drift")
    again = remote.add(large, **LABS)
    assert (again.new, again.id) == (False, version.id)
    with pytest.raises(Refused):
        remote.add(large + 100, **LABS)
    assert served.db.head == 2


def test_each_sees_what_waits_in_databases_that_he_may_read(served, remote):
    remote.add(peds(9, 9), **LABS)
    mine = remote.add(peds(50, 50), **LABS, run=2)
    remote.add(peds(50, 50), **{**LABS, "experiment": "xpp2"}, run=3)
    assert [v.experiment for v in remote.quarantined()] == ["xpp2", "xpp1"]
    assert [v.id for v in remote.quarantined(experiment="xpp1")] == [mine.id]
    only = served.db.quarantined(may_read=lambda database: database == "cdb_xpp1")
    assert [v.id for v in only] == [mine.id]


def test_a_service_has_rules_of_its_own(served, monkeypatch):
    with pytest.raises(BadQuestion, match="has rules of its own: give no gates with it"):
        cdb.open(served.url, gates="lab.toml")
    monkeypatch.setenv("CDB_GATES", "/nowhere/lab.toml")
    cdb.open(served.url).close()


# The rest of the house ---------------------------------------------------------------------------


def test_psanas_clients_do_not_see_it(quick_db):
    quick_db.add(GOOD, **WHERE, run=1)
    kept = quick_db.add(BAD, **WHERE, run=2)
    app = make_app(Settings(anonymous_read=True), make_database=lambda: quick_db)
    with TestClient(app) as http:

        def runs(database: str, **asked: str) -> list[int]:
            path = f"/ws-jwt/calib_ws/{database}/{EPIX}"
            return sorted(document["run"] for document in http.get(path, params=asked).json())

        for database, _ in PLACES:
            assert runs(database) == [1]
            assert runs(database, query_string=f'{{"detector": "{EPIX}"}}') == [1]
            assert runs(database, query_string='{"ctype": "geometry"}') == [1]
            assert runs(database, query_string=f'{{"detector": "retired:{EPIX}"}}') == []
            answer = http.get(f"/ws-jwt/calib_ws/{database}/{EPIX}/{kept.id}")
            assert answer.text in ("null", "[]", "{}") or answer.status_code == 404
        quick_db.approve(kept.id, reason="fine")
        for database, _ in PLACES:
            assert runs(database) == [1, 2]


def test_psanas_clients_do_not_change_it(quick_db):
    kept = quick_db.add(BAD, **WHERE)
    document = {"detector": EPIX, "ctype": "geometry", "run": 1, "run_end": "end"}
    settings = Settings(jwt_secret=service.SECRET, rights={"mona": Rights(admin=True)})
    token = {"Authorization": f"Bearer {service.token_of('mona')}"}
    app = make_app(settings, make_database=lambda: quick_db)
    with TestClient(app, headers=token) as http:
        path = f"/ws-jwt/calib_ws/cdb_xpp1/{EPIX}/{kept.id}"
        assert http.delete(path).status_code == 404
        assert http.put(path, json=document).status_code == 404
        assert http.delete(f"/ws-jwt/calib_ws/cdb_xpp1/{EPIX}").status_code == 200
    assert [v.id for v in quick_db.quarantined()] == [kept.id]
    assert quick_db.head == 1


def test_an_audit_finds_nothing(quick_db):
    quick_db.approve(quick_db.add(BAD, **WHERE).id, reason="fine")
    quick_db.add(BAD, **WHERE, run=2)
    assert list(Audit(quick_db.journal).run()) == []


def test_a_bundle_answers_as_the_store(quick_db, tmp_path):
    quick_db.add(GOOD, **WHERE, run=1)
    kept = quick_db.add(BAD, **WHERE, run=2)
    path = tmp_path / "out.cdb"
    with Packing(quick_db, Asked(experiments=("xpp1",), detectors=(EPIX,))) as packing:
        packing.write(path)
    with cdb.open(path.as_uri().replace("file:", "bundle:")) as bundle:
        assert sees(bundle, GOOD)
        assert [v.id for v in bundle.quarantined()] == [kept.id]
        asked = (EPIX, "geometry")
        assert bundle.history(*asked, experiment="xpp1") == quick_db.history(
            *asked, experiment="xpp1"
        )


def test_a_trend_leaves_it_out(quick_db):
    quick_db.add(peds(1, 2), **LABS, run=1)
    Database(quick_db.store, gates=LAB).add(peds(50, 60), **LABS, run=2)
    which = (quick_db, "lab_000001", "pedestals")
    found = trends.versions_of(*which, experiment="xpp1")
    assert [version.runs.begin for version in found] == [1]


def test_it_counts_nowhere(quick_db):
    tally = Tally(quick_db.journal)
    assert tally.counts() == {}
    kept = quick_db.add(BAD, **WHERE)
    assert tally.counts() == Tally(quick_db.journal).counts() == {}
    assert quick_db.databases() == []
    assert all(known["ctypes"] == [] for known in quick_db.detectors())
    quick_db.approve(kept.id, reason="fine")
    assert tally.counts() == Tally(quick_db.journal).counts() == dict.fromkeys(PLACES, 1)


def test_what_was_in_force_before_stays_in_an_index_that_follows(quick_db):
    quick_db.add(GOOD, **WHERE, run=1)
    assert sees(quick_db, GOOD)
    kept = quick_db.add(BAD, **WHERE, run=2)
    assert sees(quick_db, GOOD)
    assert sees(Database(quick_db.store), GOOD)
    quick_db.approve(kept.id, reason="fine")
    assert sees(quick_db, BAD)
    assert sees(Database(quick_db.store), BAD)


def test_fsck_finds_nothing_wrong_and_mends_what_another_changed(quick_db):
    kept = quick_db.add(BAD, **WHERE)
    assert list(Check(quick_db.journal, payloads=True, older_than=0).run()) == []
    quick_db.store.update(*PLACES[0], {"_id": kept.id}, set={"detector": EPIX}, unset=["out"])
    (found,) = Check(quick_db.journal, older_than=0).run()
    assert found.mended
    with pytest.raises(NotFound):
        quick_db.get(EPIX, "geometry", experiment="xpp1")
    assert list(Check(quick_db.journal, payloads=True, older_than=0).run()) == []


def test_it_travels_in_an_archive(quick_db, tmp_path):
    quick_db.add(GOOD, **WHERE, run=1)
    kept = quick_db.add(BAD, **WHERE, run=2)
    quick_db.approve(quick_db.add([1], **WHERE, run=3).id, reason="fine")
    with Export(quick_db.journal, tmp_path / "store.tar") as made:
        made.write()
    for store in (MemoryStore(), MemoryStore(transactional=False)):
        other = Database(store)
        with Import(other.journal, tmp_path / "store.tar") as made:
            made.run()
        assert store_digest(other.journal) == store_digest(quick_db.journal)
        assert [v.id for v in other.quarantined()] == [kept.id]
        other.approve(kept.id, reason="fine")
        assert other.get(EPIX, "geometry", experiment="xpp1", run=2)[0] == BAD


def test_bytes_of_what_waits_can_be_purged_and_are_then_nobodys(quick_db):
    quick_db.add(GOOD, **WHERE, run=1)
    kept = quick_db.add(BAD, **WHERE, run=2)
    found, seen = purgeable(quick_db.journal, Choice())
    purge(quick_db.journal, found, seen=seen, reason="nobody wants it")
    assert quick_db.quarantined() == []
    assert len(quick_db.quarantined(as_of=2)) == 1
    with pytest.raises(WrongState, match="were purged by .*: nothing to approve; add them again"):
        quick_db.approve(kept.id, reason="fine")
    again = quick_db.add(BAD, **WHERE, run=2)
    assert (again.new, again.state) == (True, "quarantined")


def test_two_who_add_the_same_at_once_store_it_once(shared_store):
    def add(_: int) -> str:
        with open_store(shared_store.url) as store:
            return Database(store).add(BAD, **WHERE).id

    Database(shared_store).add(GOOD, **WHERE)
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(add, range(4)))
    assert len(ids) == 1
    assert Database(shared_store).head == 2


@pytest.mark.parametrize(
    "step", ["after blob", "before event", "in event", "applied", "after event",
             "after documents", "after retiring", "before done", "done"],
)  # fmt: skip
@pytest.mark.parametrize("transactional", [True, False])
def test_a_writer_that_dies_leaves_nothing_to_be_seen(step, transactional):
    store = MemoryStore(transactional=transactional)
    db = Database(store)
    db.add(GOOD, **WHERE, run=1)
    try:
        dying_at(store, step).add(BAD, **WHERE, run=2)
    except Died:
        pass
    else:
        assert step in ("applied", "before done", "done", "after documents", "after retiring",
                        "in event")  # fmt: skip
    assert sees(db, GOOD)
    assert sees(Database(store), GOOD)
    shown = [d for d in store.find(*PLACES[0]) if d["detector"] == EPIX]
    assert [d["run"] for d in shown] == [1]  # psana's own server filters by this name
    again = db.add(BAD, **WHERE, run=2)
    assert again.state == "quarantined"
    assert len(db.quarantined()) == 1
    list(Check(db.journal, older_than=0).run())
    assert list(Check(db.journal, older_than=0, payloads=True).run()) == []
    assert sees(db, GOOD)


@pytest.mark.parametrize("transactional", [True, False])
@pytest.mark.parametrize("step", ["before event", "in event", "after event", "after documents"])
def test_an_approver_that_dies_lets_both_copies_in_or_none(step, transactional):
    store = MemoryStore(transactional=transactional)
    db = Database(store)
    db.add(GOOD, **WHERE, run=1)
    kept = db.add(BAD, **WHERE, run=2)
    try:
        dying_at(store, step).approve(kept.id, reason="fine")
    except Died:
        assert db.head in (2, 3)
    assert sees(db, BAD if db.head == 3 else GOOD)
    assert len(db.quarantined()) == 3 - db.head
    list(Check(db.journal, older_than=0).run())
    assert sees(db, BAD if db.head == 3 else GOOD)


@pytest.mark.parametrize("findings", [None, "low", {"code": "low"}, ["low", 1, {"code": "low"}]])
def test_findings_of_other_programs_are_taken_as_far_as_they_are_some(findings):
    document = {"_id": "0" * 24, "ctype": "notes", "detector": EPIX, "findings": findings}
    found = version_of(document, "cdb_xpp1", EPIX).findings
    assert found == ([{"code": "low"}] if isinstance(findings, list) else [])
