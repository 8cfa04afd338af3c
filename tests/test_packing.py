"""A bundle answers as the store did, or says at once what it lacks."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from cdb.database import Database
from cdb.errors import (
    BadFile,
    BadQuestion,
    Corrupt,
    NotAllowed,
    NotBundled,
    NotFound,
    StoreRefused,
)
from cdb.events import ELSEWHERE
from cdb.opening import open  # noqa: A004
from cdb.packing import Asked, Packing
from cdb.rights import Rights
from cdb.stores import Store
from cdb.stores.memory import MemoryStore
from cdb.validity import RunRange
from tests import service
from tests.programs import EPIX, OtherProgram, live_at_random

LONG = "epix_0123-456"
SECOND = "epix_000002"
BIG = np.arange(2**19, dtype="float32").reshape(512, 1024)


def fill(store: Store) -> Database:
    """Two experiments and two detectors, with every way to leave."""
    db = Database(store)
    db.add(BIG, detector=LONG, experiment="xpp1", ctype="pedestals", run=1, time=1_600_000_000)
    for run in (1, 4, 7):
        db.add(f"one {run}", detector=EPIX, experiment="xpp1", ctype="notes", run=run,
               run_end=run + 5, time=1_600_000_000 + run)  # fmt: skip
    gone = db.add(
        "gone", detector=EPIX, experiment="xpp1", ctype="notes", run=5, time=1_600_000_900
    )
    db.retire(gone.id, reason="beam was on")
    db.amend(
        db.version(EPIX, "notes", experiment="xpp1", run=9).id, comment="better", reason="typo"
    )
    db.add("other", detector=EPIX, experiment="xpp2", ctype="gains", run=3, time=1_600_000_100)
    db.add("second", detector=SECOND, experiment="xpp1", ctype="notes", run=1, time=1_600_000_000)
    db.add("mine", detector=EPIX, dbsuffix="mine", ctype="notes", run=0, time=1_600_000_000)
    OtherProgram(store).insert("theirs", ctype="status")
    return db


def make(db: Database, path: Path, as_of=None, **asked) -> Database:
    """Make a bundle; return a database over it."""
    with Packing(db, Asked(**asked), as_of=as_of) as bundle:
        bundle.write(path)
    return open(path.as_uri().replace("file:", "bundle:"))


@pytest.fixture
def original() -> Database:
    return fill(MemoryStore())


@pytest.fixture
def asked() -> dict:
    return {"experiments": ("xpp1",), "detectors": (EPIX,)}


@pytest.fixture
def bundle(original, asked, tmp_path) -> Database:
    """All of one experiment and one detector."""
    return make(original, tmp_path / "out.cdb", **asked)


def answers(db: Database, as_of: int | None, experiment: str | None = "xpp1") -> list:
    """Return what is answered to many questions; of an error what kind it is."""
    asked = {"experiment": experiment, "as_of": as_of}
    found: list = [
        db.find(detector=EPIX, **asked),
        *(db.history(EPIX, ctype, **asked) for ctype in ("notes", "gains", "status")),
    ]
    for run in (None, 1, 5, 9, 13):
        for rule in ("range", "latest", *(["psana"] if run is not None else [])):
            for ctype in ("notes", "gains", "status", "pedestals"):
                which = {**asked, "run": run, "rule": rule}
                explained = db.explain(EPIX, ctype, **which)
                candidates = [(c.version.id, c.reason) for c in explained.candidates]
                found += [explained.winner, [c for c in candidates if "added later" not in c[1]]]
        det = db.detector(EPIX, **asked, run=run)
        found.append({ctype: det.calibconst.version(ctype) for ctype in det.calibconst})
    return found


def test_a_bundle_answers_as_the_store_did(store, tmp_path):
    db = fill(store)
    bundle = make(db, tmp_path / "out.cdb", experiments=("xpp1",), detectors=(EPIX,))
    assert bundle.head == db.head
    assert bundle.journal.identity() == db.journal.identity()
    assert answers(bundle, None) == answers(db, None)
    for run in (1, 5, 8, 12):
        asked = {"experiment": "xpp1", "run": run}
        assert bundle.get(EPIX, "notes", **asked) == db.get(EPIX, "notes", **asked)
    assert bundle.get(EPIX, "status", experiment="xpp1")[0] == "theirs"


def test_it_answers_as_of_the_past_too(original, bundle):
    for seq in range(original.head + 1):
        assert answers(bundle, seq) == answers(original, seq)
        assert answers(bundle, seq, None) == answers(original, seq, None)


def test_a_bundle_of_the_past_answers_as_the_store_did_then(original, asked, tmp_path):
    for seq in (4, 6, 7):
        bundle = make(original, tmp_path / f"{seq}.cdb", as_of=seq, **asked)
        assert bundle.head == seq
        assert answers(bundle, seq) == answers(original, seq)
        assert bundle.get(EPIX, "notes", experiment="xpp1", run=5) == original.get(
            EPIX, "notes", experiment="xpp1", run=5, as_of=seq
        )


@pytest.mark.parametrize("seed", range(12))
def test_any_history_is_answered_as_by_the_store(tmp_path, asked, seed):
    db = Database(MemoryStore())
    live_at_random(db, seed, 40)
    bundle = make(db, tmp_path / "out.cdb", everything=True, **asked)
    for seq in (None, *range(0, db.head + 1, 9)):
        for experiment in ("xpp1", None):
            assert answers(bundle, seq, experiment) == answers(db, seq, experiment)
    for version in bundle.find(detector=EPIX, experiment="xpp1"):
        assert bundle.data(version) == db.data(version)


def test_it_does_not_change_when_the_store_does(original, bundle):
    before = answers(bundle, None)
    original.add("later", detector=EPIX, experiment="xpp1", ctype="notes", run=1)
    assert answers(bundle, None) == before


def test_what_a_pending_event_says_is_packed(tmp_path, asked):
    from tests.programs import Died, dying_at

    store = MemoryStore(transactional=False)
    db = fill(store)
    for act in (
        lambda dying: dying.add("new", detector=EPIX, experiment="xpp1", ctype="notes", run=8),
        lambda dying: dying.retire(db.version(EPIX, "notes", run=2, rule="latest").id, reason="x"),
    ):
        with pytest.raises(Died):
            act(dying_at(store, "after event"))
    bundle = make(db, tmp_path / "out.cdb", **asked)
    assert answers(bundle, None) == answers(db, None)


def test_long_names_open_the_same_door(original, tmp_path):
    bundle = make(original, tmp_path / "out.cdb", experiments=("xpp1",), detectors=(LONG,))
    data, meta = bundle.get(LONG, "pedestals", experiment="xpp1", run=1)
    assert np.array_equal(data, BIG)
    assert meta == original.get(LONG, "pedestals", experiment="xpp1", run=1)[1]


def test_payloads_are_mapped_from_the_file(original, tmp_path):
    bundle = make(original, tmp_path / "out.cdb", detectors=(LONG,))
    version = bundle.version(LONG, "pedestals", run=1)
    data = bundle.read(version)
    assert isinstance(data, memoryview)
    assert data.readonly
    assert np.frombuffer(data, "float32").flags.aligned


def test_all_detectors_of_an_experiment_are_packed_without_a_name(original, tmp_path):
    bundle = make(original, tmp_path / "out.cdb", experiments=("xpp1",))
    assert bundle.find(experiment="xpp1") == original.find(experiment="xpp1")
    assert bundle.get(SECOND, "notes", experiment="xpp1", run=1)[0] == "second"


def test_a_miss_names_the_key_and_the_command(bundle):
    for ask, words in (
        (lambda: bundle.get(SECOND, "notes", experiment="xpp1"),
         f"cdb_xpp1/{SECOND} is not in .* -e xpp1 -d {EPIX} -d {SECOND} --url memory://"),
        (lambda: bundle.get(EPIX, "gains", experiment="xpp2"), "-e xpp1 -d .* -e xpp2"),
        (lambda: bundle.get(EPIX, "notes", dbsuffix="mine"), f"-d {EPIX} -S mine"),
        (lambda: bundle.find(experiment="xpp1"), f"-d {SECOND}"),
    ):  # fmt: skip
        with pytest.raises(NotBundled, match=words):
            ask()


def test_what_is_nowhere_is_not_found_as_before(bundle):
    with pytest.raises(NotFound, match="types there are"):
        bundle.get(EPIX, "geometry", experiment="xpp1")


def test_a_payload_that_was_not_packed_is_a_miss(original, bundle):
    with pytest.raises(
        NotBundled,
        match=rf"data of cdb_xpp1/{EPIX}/notes/5-end are not in the bundle .* --all .* packs them",
    ):
        bundle.get(EPIX, "notes", experiment="xpp1", run=5, as_of=6)
    assert bundle.version(EPIX, "notes", experiment="xpp1", run=5, as_of=6).seq == 6


def test_everything_can_be_packed(original, asked, tmp_path):
    bundle = make(original, tmp_path / "out.cdb", everything=True, **asked)
    assert bundle.get(EPIX, "notes", experiment="xpp1", run=5, as_of=6)[0] == "gone"


def test_with_runs_only_their_payloads_are_packed(original, asked, tmp_path):
    bundle = make(original, tmp_path / "out.cdb", runs=RunRange(1, 3), **asked)
    for run in (1, 2, 3):
        assert bundle.get(EPIX, "notes", experiment="xpp1", run=run)[0] == "one 1"
    assert answers(bundle, None) == answers(original, None)
    with pytest.raises(NotBundled, match="runs 1-3"):
        bundle.get(EPIX, "notes", experiment="xpp1", run=8)


def test_what_falls_back_on_the_detector_is_packed(original, asked, tmp_path):
    bundle = make(original, tmp_path / "out.cdb", **asked)
    assert bundle.get(EPIX, "gains", experiment="xpp1", run=5)[0] == "other"


def test_private_databases_are_packed_by_name(original, asked, tmp_path):
    bundle = make(original, tmp_path / "out.cdb", dbsuffixes=("mine",), **asked)
    assert bundle.get(EPIX, "notes", dbsuffix="mine")[0] == "mine"


def test_writes_are_refused_in_one_sentence(bundle):
    version = bundle.version(EPIX, "notes", experiment="xpp1", run=1)
    for write in (
        lambda: bundle.add("new", detector=EPIX, ctype="notes"),
        lambda: bundle.retire(version.id, reason="x"),
        lambda: bundle.amend(version.id, comment="x"),
        lambda: bundle.store.update("cdb_xpp1", EPIX, {"run": 1}, set={"run": 2}),
    ):
        with pytest.raises(StoreRefused, match="is a bundle, which is only read"):
            write()


def test_lists_work_and_name_what_is_known(bundle):
    assert {"detector": EPIX, "longname": LONG}.items() <= bundle.detectors()[0].items()
    assert bundle.experiments() == [{"experiment": "xpp1", "detectors": [EPIX, SECOND]}]


def test_purged_data_are_so_in_a_bundle(original, asked, tmp_path):
    from cdb.errors import Purged
    from cdb.purge import Choice, purge, purgeable

    found, seen = purgeable(original.journal, Choice())
    purge(original.journal, found, seen=seen, reason="space")
    bundle = make(original, tmp_path / "out.cdb", everything=True, **asked)
    with pytest.raises(Purged, match="purged by"):
        bundle.get(EPIX, "notes", experiment="xpp1", run=5, as_of=6)


def test_the_journal_says_that_it_is_there_in_part(bundle):
    with pytest.raises(BadQuestion, match="here in part, as in every bundle"):
        bundle.journal.verify()


def test_nothing_asked_is_refused(original, tmp_path):
    with pytest.raises(BadQuestion, match="name experiments"):
        Packing(original, Asked())
    with pytest.raises(NotFound, match="no experiment xpp9"):
        Packing(original, Asked(experiments=("xpp9",)))


def test_damage_is_found(original, asked, tmp_path):
    path = tmp_path / "out.cdb"
    make(original, path, **asked).store.verify()
    whole = path.read_bytes()
    for at in (whole.index(b"one 4"), whole.index(b"SQLite format 3") + 5000):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((Corrupt, BadFile)):
            open(f"bundle://{path}").store.verify()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Corrupt, match="damaged or cut off"):
        open(f"bundle://{path}").find(detector=EPIX)


def test_what_is_no_bundle_is_said_so(tmp_path):
    (tmp_path / "x.cdb").write_text("no bundle " * 1000)
    with pytest.raises(BadFile, match="is no bundle"):
        open(f"bundle://{tmp_path}/x.cdb").find(detector=EPIX)
    with pytest.raises(NotFound, match="no bundle"):
        open(f"bundle://{tmp_path}/y.cdb").find(detector=EPIX)


def test_threads_and_forks_may_share_it(bundle):
    from concurrent.futures import ThreadPoolExecutor

    def read(run: int) -> str:
        return bundle.get(EPIX, "notes", experiment="xpp1", run=run)[0]

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(read, [1] * 20)) == {"one 1"}
    child = os.fork()
    if not child:
        os._exit(0 if read(1) == "one 1" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# What is in it ------------------------------------------------------------------------------------


def test_of_what_was_not_asked_for_there_are_numbers_and_times_alone(original, asked, tmp_path):
    secret = original.add("a secret", detector=SECOND, experiment="xpp3", ctype="notes",
                          comment="nobody's business")  # fmt: skip
    original.retire(secret.id, reason="a private matter")
    bundle = make(original, tmp_path / "out.cdb", **asked)
    data = (tmp_path / "out.cdb").read_bytes()
    for word in (b"xpp3", b"nobody's business", b"a private matter", b"second"):
        assert word not in data
    events = [event for event in bundle.journal.events() if event["action"] == ELSEWHERE]
    assert [event["_id"] for event in events] == [10, 11, 12, 13]
    assert all({*e} <= {"_id", "at", "action", "versions", "trimmed", "digest", "open"}
               for e in events)  # fmt: skip
    assert bundle.head == original.head == 13


def test_a_time_is_the_same_state_in_a_bundle(original, bundle):
    times = [event["at"] / 1e6 + 1e-6 for event in original.journal.events()]
    for as_of in (*range(original.head + 1), *times):
        theirs, ours = original.moment(as_of), bundle.moment(as_of)
        assert (ours.seq, ours.at) == (theirs.seq, theirs.at)


def test_versions_are_found_by_their_ids(original, bundle):
    for version in original.history(EPIX, "notes", experiment="xpp1"):
        if version.seq is not None:
            assert bundle.version_by_id(version.id) == original.version_by_id(version.id)


def test_an_event_that_was_changed_is_not_packed(original, asked, tmp_path):
    original.store.update("cdbjournal", "journal", {"_id": 3}, set={"reason": "other"})
    with pytest.raises(Corrupt, match="event 3 of the journal was changed"):
        make(original, tmp_path / "out.cdb", **asked)
    assert list(tmp_path.iterdir()) == []


def test_a_document_that_another_program_changed_is_packed_as_it_was(original, asked, tmp_path):
    version = original.version(EPIX, "notes", experiment="xpp1", run=1)
    before = original.find(detector=EPIX, experiment="xpp1")
    OtherProgram(original.store).change("cdb_xpp1", EPIX, version.id, comment="spoilt")
    bundle = make(original, tmp_path / "out.cdb", **asked)
    assert bundle.find(detector=EPIX, experiment="xpp1") == before


@pytest.mark.parametrize("how", ["lose", "flip_a_byte"])
def test_a_payload_that_is_lost_is_so_in_a_bundle(original, asked, tmp_path, how, caplog):
    version = original.version(EPIX, "notes", experiment="xpp1", run=1)
    getattr(OtherProgram(original.store), how)(version.database, version.meta["id_data"])
    with Packing(original, Asked(**asked)) as packing:
        assert packing.write(tmp_path / "out.cdb").missing == 1
    assert "missing or damaged" in caplog.text
    with pytest.raises(Corrupt, match="missing"):
        open(f"bundle://{tmp_path}/out.cdb").data(version)


# Of a service -------------------------------------------------------------------------------------


def content(bundle: Database) -> dict:
    """All documents of a bundle by place, and its payloads."""
    store = bundle.store
    places = [*map(tuple, store._connection().execute("SELECT database, collection FROM places"))]
    sql = "SELECT sha256, nbytes FROM payloads ORDER BY 1"
    return {
        "payloads": store._connection().execute(sql).fetchall(),
        "known": store._known,
        **{place: sorted(store.find(*place), key=lambda d: str(d["_id"])) for place in places},
    }


@pytest.fixture
def serve(tmp_path):
    """Return what serves a database, and who may ask it what."""

    @contextmanager
    def serve(db: Database, **rights: Rights):
        with service.serving(db.store) as served:
            served.settings.rights.update(rights)
            with service.remote(served, tmp_path / "cache", next(iter(rights), None)) as remote:
                yield remote

    return serve


@pytest.mark.parametrize(
    "more",
    [{}, {"everything": True}, {"runs": RunRange(1, 3)}, {"as_of": 6}, {"experiments": ()},
     {"dbsuffixes": ("mine",)}, {"detectors": ()}, {"detectors": (LONG,)}],
    ids=str,
)  # fmt: skip
def test_a_bundle_of_a_service_holds_what_one_of_its_store_holds(
    original, asked, tmp_path, serve, more
):
    asked = asked | more
    with serve(original) as remote:
        over = make(remote, tmp_path / "over.cdb", **asked)
    here = make(original, tmp_path / "here.cdb", **asked)
    assert content(over) == content(here)
    ours, theirs = over.store.facts, here.store.facts
    assert {name for name in theirs if ours[name] != theirs[name]} <= {"source", "index"}
    assert ours["source"].startswith("http://")


@pytest.mark.parametrize("seed", range(3))
def test_any_history_is_packed_over_a_service(tmp_path, asked, seed, serve):
    db = Database(MemoryStore())
    live_at_random(db, seed, 40)
    with serve(db) as remote:
        over = make(remote, tmp_path / "over.cdb", everything=True, **asked)
    assert content(over) == content(make(db, tmp_path / "x.cdb", everything=True, **asked))


def test_who_may_read_the_places_can_pack_them(original, asked, tmp_path, serve):
    with serve(original, mona=Rights(read=("cdb_xpp1", f"cdb_{EPIX}"))) as remote:
        bundle = make(remote, tmp_path / "out.cdb", **asked)
    assert (bundle.head, bundle.journal.identity()) == (
        original.head,
        original.journal.identity(),
    )
    for seq in (None, *range(original.head + 1)):
        for experiment in ("xpp1", None):
            assert answers(bundle, seq, experiment) == answers(original, seq, experiment)


@pytest.mark.parametrize("read", ["cdb_xpp1", f"cdb_{EPIX}"])
def test_who_may_not_read_a_place_is_told_so(original, asked, tmp_path, serve, read):
    with serve(original, mona=Rights(read=(read,))) as remote, pytest.raises(NotAllowed):
        make(remote, tmp_path / "out.cdb", **asked)
    assert not (tmp_path / "out.cdb").exists()


# Without a network --------------------------------------------------------------------------------


def without_network(*command: str) -> subprocess.CompletedProcess:
    """Run a command in a network namespace of its own, without an interface that is up."""
    as_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return subprocess.run(
        ["unshare", *as_user, "--net", "--", *command], capture_output=True, text=True, check=False
    )


@pytest.fixture
def no_network():
    """Skip, with the reason, where no namespace may be made; a CI that runs as root must."""
    if shutil.which("unshare") is None:
        pytest.skip("no program unshare")
    tried = without_network("true")
    if tried.returncode and not (os.environ.get("CI") and os.geteuid() == 0):
        pytest.skip(f"no network namespace: {tried.stderr.strip()}")


NO_NETWORK = """
import socket, sys, pytest
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError as error:
    assert error.errno == 101, error  # the network is unreachable, not: refused
else:
    raise AssertionError("there is a network")
sys.exit(pytest.main(sys.argv[1:]))
"""
# What needs a network is not of a bundle: MongoDB, a service, and the making of a namespace.
READ = "not mongo and not service and not network and not who_may and not any_history"


def test_a_bundle_passes_the_tests_of_reading_without_any_network(no_network):
    done = without_network(
        sys.executable, "-c", NO_NETWORK, "-q", "-p", "no:cacheprovider", "-k", READ, __file__
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 30
    assert "skipped" not in done.stdout
