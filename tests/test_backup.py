"""A store in one file and back: everything travels, between all kinds of stores."""

import tarfile
import tracemalloc

import numpy as np
import pytest

from cdb import tokens, uploads
from cdb.backup import Export, Import
from cdb.copies import Copies
from cdb.database import Database
from cdb.errors import BadFile, WrongState
from cdb.events import digest_of
from cdb.files import archive
from cdb.files.archive import Writer
from cdb.rights import Rights
from cdb.store_digest import store_digest
from cdb.stores import Store, open_store
from cdb.stores.memory import MemoryStore
from tests.programs import EPIX, Died, OtherProgram, dying_at, live_at_random

PEDS = np.arange(24, dtype="float32").reshape(4, 6)
DEPLOYED = {"detector": EPIX, "experiment": "xpp1", "ctype": "notes"}


def fill(store: Store) -> Database:
    """Make a store with every kind of event, and a document of another program."""
    db = Database(store)
    db.add("first", **DEPLOYED, run=1)
    db.add(PEDS, detector="epix_100a-0123-45", experiment="xpp1", ctype="pedestals", run=1)
    retired = db.add("wrong", **DEPLOYED, run=2)
    db.retire(retired.id, reason="beam was on")
    db.amend(db.add("first", **DEPLOYED, run=3).id, comment="better", reason="typo")
    tokens.create(db.journal, "mona", Rights(write=("cdb_xpp*",)))
    OtherProgram(store).insert("theirs")
    return db


def export(db: Database, path):
    with Export(db.journal, path) as made:
        return made.write()


def take(db: Database, path):
    with Import(db.journal, path) as made:
        return made.run()


@pytest.fixture
def original() -> Database:
    return fill(MemoryStore())


@pytest.fixture
def path(tmp_path, original):
    """An archive of the original."""
    path = tmp_path / "store.tar"
    export(original, path)
    return path


def test_export_wipe_import_gives_an_equal_digest(store, tmp_path):
    db = fill(store)
    path = tmp_path / "store.tar"
    export(db, path)
    copy = Database(MemoryStore())
    take(copy, path)
    assert store_digest(copy.journal) == store_digest(db.journal)


def test_every_store_takes_an_archive(store, original, path):
    copy = Database(store)
    done = take(copy, path)
    assert (done.events, done.documents, done.left_out) == (original.head, 1, [])
    assert store_digest(copy.journal) == store_digest(original.journal)
    assert copy.journal.head().settled
    for asked in ({"run": 1}, {"run": 3}, {"run": 2, "as_of": 4}):
        found = copy.get(EPIX, "notes", experiment="xpp1", **asked)
        assert found == original.get(EPIX, "notes", experiment="xpp1", **asked)
    assert copy.detectors() == original.detectors()


@pytest.mark.parametrize("seed", range(12))
def test_any_history_travels(quick_store, tmp_path, seed):
    """Twice, so that the second archive adds to what the first one brought."""
    db, copy = Database(MemoryStore()), Database(quick_store)
    for n in (1, 2):
        live_at_random(db, 100 * seed + n)
        export(db, tmp_path / "store.tar")
        take(copy, tmp_path / "store.tar")
        assert store_digest(copy.journal) == store_digest(db.journal)


def test_a_copy_shares_payloads_as_the_original_does(quick_store, path):
    copy = Database(quick_store)
    take(copy, path)
    again = copy.add("first", **DEPLOYED, run=9)
    assert (
        again.meta["id_data"]
        == copy.version(EPIX, "notes", experiment="xpp1", run=1).meta["id_data"]
    )


def test_a_second_import_adds_nothing(quick_store, path):
    copy = Database(quick_store)
    take(copy, path)
    done = take(copy, path)
    assert (done.events, done.payloads, done.documents) == (0, 0, 0)


def test_a_copy_is_kept_up_to_date(quick_store, original, path):
    copy = Database(quick_store)
    take(copy, path)
    original.add("new", **DEPLOYED, run=20)
    OtherProgram(original.store).insert("theirs too", number=2)
    export(original, path)
    done = take(copy, path)
    assert (done.events, done.payloads, done.documents) == (1, 2, 1)
    assert store_digest(copy.journal) == store_digest(original.journal)


def test_lost_payloads_come_back_from_an_archive(original, path):
    version = original.version(EPIX, "notes", experiment="xpp1", run=1)
    OtherProgram(original.store).lose(version.database, version.meta["id_data"])
    assert take(original, path).payloads == 1
    assert original.data(version) == "first"


def test_another_store_is_refused_with_both_identities(path):
    other = Database(MemoryStore())
    other.add("other", **DEPLOYED)
    with pytest.raises(WrongState, match="is of the store") as error:
        take(other, path)
    assert other.journal.identity()[:16] in str(error.value)


def test_copies_that_were_written_to_apart_are_refused(original, path):
    copy = Database(MemoryStore())
    take(copy, path)
    copy.add("here", **DEPLOYED, run=30)
    original.add("there", **DEPLOYED, run=30)
    export(original, path)
    with pytest.raises(WrongState, match="written to apart"):
        take(copy, path)


def test_documents_without_a_journal_are_not_mixed_with_one(path):
    copy = Database(MemoryStore())
    OtherProgram(copy.store).insert("theirs")
    with pytest.raises(WrongState, match="documents of other programs in cdb_xpp1/"):
        take(copy, path)


def test_rights_travel_as_digests(quick_store, original, tmp_path):
    token, _ = tokens.create(original.journal, "you", Rights(read=("*",)))
    export(original, tmp_path / "store.tar")
    assert token.encode() not in (tmp_path / "store.tar").read_bytes()
    copy = Database(quick_store)
    take(copy, tmp_path / "store.tar")
    assert tokens.grants(copy.journal) == tokens.grants(original.journal)
    assert store_digest(copy.journal) == store_digest(original.journal)


def test_documents_that_were_filed_one_by_one_travel_with_their_data(tmp_path):
    db, copy = Database(MemoryStore()), Database(MemoryStore())
    for more in (
        {"detector": EPIX, "ctype": "notes", "run": 1, "run_end": "end"},
        {"note": "plain"},
    ):
        id_data = uploads.write(db.journal, "cdb_xpp1", str(more).encode())
        Copies(db.journal).file("cdb_xpp1", EPIX, {**more, "id_data": id_data})
    assert export(db, tmp_path / "store.tar").payloads == 2
    take(copy, tmp_path / "store.tar")
    assert store_digest(copy.journal) == store_digest(db.journal)
    assert copy.store.read("cdb_xpp1", id_data) == b"{'note': 'plain'}"


def test_a_store_of_other_programs_only_travels_too(tmp_path):
    db, copy = Database(MemoryStore()), Database(MemoryStore())
    OtherProgram(db.store).insert("theirs")
    export(db, tmp_path / "theirs.tar")
    assert take(copy, tmp_path / "theirs.tar").documents == 1
    assert store_digest(copy.journal) == store_digest(db.journal)
    assert take(copy, tmp_path / "theirs.tar").documents == 0


def test_cut_off_anywhere_an_archive_is_refused_and_nothing_taken(path):
    whole = path.read_bytes()
    store = MemoryStore()
    for end in range(0, len(whole) - 1024, 512):
        path.write_bytes(whole[: end + 100])
        with pytest.raises(BadFile, match="no archive|ends too early|damaged"):
            take(Database(store), path)
    assert store.databases() == []


def test_a_flipped_bit_anywhere_is_found(original, path):
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    found = 0
    for at in rng.integers(0, len(whole) - 1024, 400):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        copy = Database(MemoryStore())
        try:
            take(copy, path)
        except BadFile:
            found += 1
            assert copy.store.databases() == []
        else:  # it was where nothing is said, as between members
            assert store_digest(copy.journal) == store_digest(original.journal)
    assert found > 100


def test_a_flipped_bit_in_the_first_member_is_found_whichever_it_is(original, path):
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        first = tar.getmember("archive.json")
        begin = first.offset_data
    for at in range(begin, begin + first.size):
        for bit in range(8):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
            copy = Database(MemoryStore())
            with pytest.raises(BadFile):
                take(copy, path)
            assert copy.store.databases() == []


def forge(path, db, *, edit=lambda events: None, documents=(), payloads=()):
    """Write an archive by hand, with digests that fit whatever it holds."""
    events = [{n: v for n, v in e.items() if n != "pending"} for e in db.journal.events()]
    edit(events)
    last = ""
    for event in events:
        event |= {"previous": last}
        last = event["digest"] = digest_of({n: v for n, v in event.items() if n != "digest"})
    facts = {"identity": events[0]["digest"], "seq": len(events), "digest": last}
    with path.open("wb") as file:
        writer = Writer(file)
        writer.begin(facts)
        writer.lines(archive.DOCUMENTS, documents)
        writer.lines(archive.JOURNAL, events)
        writer.lines(archive.PAYLOADS, payloads)
        writer.finish(facts)


def without(name, *, of_entry=False):
    return lambda events: (events[0]["versions"][0] if of_entry else events[0]).pop(name)


def with_entry(**fields):
    return lambda events: events[0]["versions"][0].update(fields)


FORGED = [
    *({"edit": without(name)} for name in ("versions", "at", "open", "action")),
    *({"edit": without(name, of_entry=True)} for name in ("database", "collection", "id", "key")),
    {"edit": lambda events: events[0].update(versions=7)},
    {"edit": lambda events: events[0].update(versions=[7])},
    {"edit": lambda events: events[0].update(at="noon")},
    {"edit": with_entry(database=7)}, {"edit": with_entry(collection={"$x": 1})},
    {"edit": with_entry(document=[1])}, {"edit": with_entry(database="admin")},
    {"documents": [{}]}, {"documents": [{"database": 7, "collection": 1, "document": {}}]},
    {"documents": [{"database": "cdb_xpp1", "collection": "c", "document": 7}]},
    {"payloads": [{}]}, {"payloads": [{"sha256": "x", "nbytes": "a", "names": []}]},
    {"payloads": [{"sha256": "x", "nbytes": 1, "names": [1]}]},
]  # fmt: skip


@pytest.mark.parametrize("how", range(len(FORGED)))
def test_what_no_export_writes_is_refused_before_anything_is_taken(tmp_path, original, how):
    path = tmp_path / "forged.tar"
    forge(path, original)
    take(Database(MemoryStore()), path)
    forge(path, original, **FORGED[how])
    copy = Database(MemoryStore())
    with pytest.raises(BadFile) as caught:
        take(copy, path)
    assert "\n" not in str(caught.value)
    assert copy.store.databases() == []


def test_tar_opens_an_archive_and_sha256_verifies_its_payloads(path):
    import hashlib

    with tarfile.open(path) as tar:
        names = tar.getnames()
        assert (names[0], names[-1]) == ("archive.json", "manifest.json")
        for member in tar:
            name = member.name.rpartition("/")[2]
            if len(name) == 64:
                assert hashlib.sha256(tar.extractfile(member).read()).hexdigest() == name


def test_a_payload_stands_once_whatever_names_it(path):
    with tarfile.open(path) as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))
    assert sum(len(name.rpartition("/")[2]) == 64 for name in names) == 4


def test_an_export_is_as_of_one_event_while_others_write(original, tmp_path):
    path = tmp_path / "live.tar"

    def write_beside(step: str) -> None:
        if step == "payload written":
            original.add(f"later {original.head}", **DEPLOYED, run=50)

    live = Database(original.store, step=write_beside)
    before = store_digest(original.journal)
    assert export(live, path).seq == before.seq
    copy = Database(MemoryStore())
    take(copy, path)
    assert store_digest(copy.journal) == before


def test_an_interrupted_export_is_gone_on_with(original, tmp_path, monkeypatch):
    monkeypatch.setattr("cdb.files.archive.ANNOUNCED", 1)
    path, seen = tmp_path / "store.tar", []

    def die(step: str) -> None:
        seen.append(step)
        if len(seen) == 3:
            raise Died(step)

    with pytest.raises(Died):
        export(Database(original.store, step=die), path)
    assert not path.exists()
    original.add("later", **DEPLOYED, run=60)
    with Export(original.journal, path) as again:
        assert again.begun > 0
        made = again.write()
    assert (made.seq, made.payloads) == (original.head - 1, 4)
    assert take(Database(MemoryStore()), path).events == made.seq


def test_two_exports_do_not_write_one_file(original, tmp_path):
    path = tmp_path / "store.tar"
    refused = []

    def write_too(step: str) -> None:
        if not refused:
            with pytest.raises(WrongState, match="another export is writing") as error:
                export(original, path)
            refused.append(error)

    export(Database(original.store, step=write_too), path)
    assert refused
    assert take(Database(MemoryStore()), path).seq == original.head


@pytest.mark.parametrize(
    "step", ["payload copied", "before event", "in event", "after event", "document copied"]
)
def test_an_import_that_died_is_gone_on_with(quick_store, original, path, step):
    dying = dying_at(quick_store, step)
    with pytest.raises(Died):
        take(dying, path)
    copy = Database(quick_store)
    assert take(copy, path).seq == original.head
    assert store_digest(copy.journal) == store_digest(original.journal)


def test_a_missing_payload_does_not_stop_a_backup(original, path, caplog):
    version = original.version(EPIX, "notes", experiment="xpp1", run=1)
    for database in ("cdb_xpp1", f"cdb_{EPIX}"):
        for blob in list(original.store.blobs(database)):
            if blob.sha256 == version.sha256:
                OtherProgram(original.store).lose(database, blob.id)
    assert export(original, path).missing == 1
    assert "is missing or damaged" in caplog.text
    copy = Database(MemoryStore())
    take(copy, path)
    assert copy.head == original.head


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "x.tar"
    path.write_text("no archive at all\n" * 100)
    with pytest.raises(BadFile, match="is no archive of cdb"):
        take(Database(MemoryStore()), path)


def test_an_embedded_copy_opens_again(tmp_path, original, path):
    url = (tmp_path / "copy").as_uri()
    with open_store(url) as store:
        take(Database(store), path)
    with open_store(url) as store:
        assert Database(store).get(EPIX, "notes", experiment="xpp1", run=1)[0] == "first"


def test_tokens_hold_in_the_copy_and_what_was_revoked_does_not(tmp_path):
    db = Database(MemoryStore())
    kept, _ = tokens.create(db.journal, "mona", Rights(write=("cdb_xpp*",)))
    lost, grant = tokens.create(db.journal, "left", Rights(admin=True))
    tokens.revoke(db.journal, grant.id)
    export(db, tmp_path / "store.tar")
    copy = Database(MemoryStore())
    take(copy, tmp_path / "store.tar")
    assert tokens.find(copy.journal, kept).subject == "mona"
    assert tokens.find(copy.journal, lost) is None


@pytest.mark.parametrize("what", ["documents", "payloads"])
def test_memory_does_not_grow_with_what_is_copied(tmp_path, what):
    text, comment = ("x" * 300_000, "") if what == "payloads" else ("x", "y" * 50_000)
    with (
        open_store((tmp_path / "store").as_uri()) as store,
        open_store((tmp_path / "copy").as_uri()) as empty,
    ):
        db, copy = Database(store), Database(empty)
        for n in range(300):
            db.add(f"{n} {text}", **DEPLOYED, run=n, comment=f"{n} {comment}")
        tracemalloc.start()
        try:
            export(db, tmp_path / "store.tar")
            take(copy, tmp_path / "store.tar")
            assert store_digest(copy.journal) == store_digest(db.journal)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    size = (tmp_path / "store.tar").stat().st_size
    assert peak < size / 1.5, f"{peak / 1e6:.0f} MB for {size / 1e6:.0f} MB"
    assert peak < 20e6
