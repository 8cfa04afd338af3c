"""What constants were made from and what from them: over copies and chains, never in a circle."""

import random

import pytest

from cdb import uploads
from cdb.adoption import adopt, strangers
from cdb.backup import Export, Import
from cdb.database import Database
from cdb.errors import BadDocument, BadQuestion, NotFound, WrongState
from cdb.fsck import Check
from cdb.opening import open  # noqa: A004
from cdb.packing import Asked, Packing
from cdb.store_digest import store_digest
from cdb.stores.memory import MemoryStore
from cdb.tallies import Tally
from tests import service
from tests.programs import Died, OtherProgram, dying_at, interrupted_at

EPIX, EXPERIMENT, TIME = "epix_000001", "xpp1", 1_600_000_000
FAR = {"id": "a" * 24, "sha256": "cd" * 32, "server": "ab" * 32}


def add(db, ctype, *parents, run=5, **how):
    """Add a constant that was made from others."""
    names = {"detector": EPIX, "experiment": EXPERIMENT, "time": TIME, **how}
    source = {"parents": [{"id": parent.id} for parent in parents]}
    return db.add(ctype, ctype=ctype, run=run, source=source, **names)


def copy_of(db, version):
    """Return the detector's copy of an experiment's version."""
    copies = db.find(detector=EPIX, query={"ctype": version.ctype})
    return next(each for each in copies if each.meta["id_doc_exp"] == version.id)


def up(found):
    return {each.ctype: up(each) if each.parents else {} for each in found.parents}


def down(found):
    return {each.ctype: down(each) if each.children else {} for each in found.children}


@pytest.fixture
def family(any_db):
    """A dark, pedestals made from it, and a gain made from both."""
    dark = add(any_db, "dark")
    pedestals = add(any_db, "pedestals", dark)
    return dark, pedestals, add(any_db, "pixel_gain", dark, pedestals)


def test_it_goes_up_and_down(any_db, family):
    dark, pedestals, gain = family
    assert up(any_db.lineage(gain.id)) == {"dark": {}, "pedestals": {"dark": {}}}
    assert down(any_db.lineage(dark.id)) == {"pedestals": {"pixel_gain": {}}, "pixel_gain": {}}
    middle = any_db.lineage(pedestals.id)
    assert (up(middle), down(middle)) == ({"dark": {}}, {"pixel_gain": {}})
    assert any_db.lineage(pedestals.id, up=False).parents == ()
    assert any_db.lineage(pedestals.id, down=False).children == ()


def test_a_constant_is_told_with_what_it_is(any_db, family):
    dark, pedestals, _ = family
    (found,) = any_db.lineage(pedestals.id).parents
    said = (found.id, found.ctype, found.detector, found.experiment, found.runs, found.state)
    assert said == (dark.id, "dark", EPIX, EXPERIMENT, "5-end", "live")
    assert (found.database, found.seq, found.sha256) == ("cdb_xpp1", 1, dark.sha256)


def test_the_digest_of_a_parent_is_added(any_db, family):
    dark, pedestals, _ = family
    meta = any_db.version_by_id(pedestals.id).meta
    assert meta["source"]["parents"] == [{"id": dark.id, "sha256": dark.sha256}]


def test_copies_and_successors_are_one_constant(any_db, family):
    dark, pedestals, gain = family
    copy = copy_of(any_db, dark)
    amended = any_db.amend(dark.id, comment="better")
    mask = add(any_db, "pixel_mask", amended)
    any_db.retire(gain.id, reason="test")
    restored = any_db.restore(gain.id, reason="test")
    made = {"pedestals", "pixel_gain", "pixel_mask"}
    for one in (dark, copy, amended, copy_of(any_db, amended)):
        found = any_db.lineage(one.id)
        assert {child.ctype for child in found.children} == made
        states = {child.ctype: (child.state, child.now) for child in found.children}
        assert states["pixel_gain"] == ("replaced", restored.id)
    assert {parent.ctype for parent in any_db.lineage(restored.id).parents} == {
        "dark", "pedestals",
    }  # fmt: skip
    (parent,) = any_db.lineage(mask.id).parents
    assert (parent.id, parent.state, parent.now) == (amended.id, "live", None)
    (parent,) = any_db.lineage(pedestals.id).parents
    assert (parent.id, parent.state, parent.now) == (dark.id, "replaced", amended.id)


def test_a_parent_may_be_named_by_any_copy_and_have_left(any_db):
    dark = add(any_db, "dark")
    copy = copy_of(any_db, dark)
    any_db.retire(dark.id, reason="test")
    child = add(any_db, "pedestals", copy)
    assert down(any_db.lineage(dark.id)) == {"pedestals": {}}
    (parent,) = any_db.lineage(child.id).parents
    assert (parent.id, parent.state) == (copy.id, "retired")


def test_copies_that_psana_filed_one_by_one_are_one_constant(quick_db):
    def file(database, **more):
        data = uploads.write(quick_db.journal, database, b"text")
        document = {"detector": EPIX, "ctype": "dark", "run": 5, "run_end": "end", "id_data": data,
                    "experiment": EXPERIMENT, "data_type": "str", **more}  # fmt: skip
        return quick_db.copies.file(database, EPIX, document)

    first = file("cdb_xpp1", id_doc_exp=0)
    links = {"id_doc_exp": first["_id"], "id_data_exp": first["id_data"]}
    second = quick_db.version_by_id(file("cdb_epix_000001", **links)["_id"])
    child = add(quick_db, "pedestals", second)
    for id_ in (first["_id"], second.id):
        assert [each.id for each in quick_db.lineage(id_).children] == [child.id]
    assert [each.id for each in quick_db.lineage(child.id).parents] == [second.id]


def test_an_amended_source_adds_parents(any_db):
    dark, flat = add(any_db, "dark"), add(any_db, "flat")
    child = add(any_db, "pixel_gain", dark)
    amended = any_db.amend(child.id, source={"parents": [{"id": flat.id}]})
    for one in (child, amended):
        assert {parent.ctype for parent in any_db.lineage(one.id).parents} == {"dark", "flat"}
    assert [child.id for child in any_db.lineage(flat.id).children] == [amended.id]


def test_as_of_an_earlier_state_later_relatives_are_left_out(any_db, family):
    dark, pedestals, _ = family
    assert down(any_db.lineage(dark.id, as_of=2)) == {"pedestals": {}}
    assert down(any_db.lineage(dark.id, as_of=1)) == {}
    with pytest.raises(NotFound, match="as of event 1"):
        any_db.lineage(pedestals.id, as_of=1)


def test_depth_is_bounded_and_says_where_there_is_more(any_db, family):
    dark, _, gain = family
    found = any_db.lineage(gain.id, depth=0)
    assert (found.parents, found.more) == ((), True)
    found = any_db.lineage(dark.id, depth=1)
    assert [(child.ctype, child.more) for child in found.children] == [
        ("pedestals", True), ("pixel_gain", False),
    ]  # fmt: skip
    for depth in (-1, 101):
        with pytest.raises(BadQuestion, match="give 0 to 100|from 0 to 100"):
            any_db.lineage(dark.id, depth=depth)


def test_a_diamond_is_told_once_in_full(memory_db):
    top = add(memory_db, "a")
    left, right = add(memory_db, "b", top), add(memory_db, "c", top)
    bottom = add(memory_db, "d", left, right)
    last = add(memory_db, "e", bottom)
    first, second = memory_db.lineage(top.id).children
    assert (down(first), second.children[0].again) == ({"d": {"e": {}}}, True)
    assert second.children[0].children == ()
    assert up(memory_db.lineage(last.id)) == {"d": {"b": {"a": {}}, "c": {"a": {}}}}


def test_a_long_line_is_told_in_parts(memory_db):
    version = first = add(memory_db, "t0")
    for number in range(1, 131):
        version = add(memory_db, f"t{number}", version)
    found, length = memory_db.lineage(first.id), 0
    while found.children:
        (found,), length = found.children, length + 1
    assert (length, found.more) == (100, True)
    assert memory_db.lineage(found.id).children[0].ctype == "t101"


def test_children_are_found_without_a_scan(memory_db, monkeypatch):
    dark = add(memory_db, "dark")
    add(memory_db, "pedestals", dark)
    for number in range(20):
        add(memory_db, f"other{number}")
    asked = []
    named = memory_db.journal.events_naming
    monkeypatch.setattr(
        memory_db.journal, "events_naming", lambda *ids: asked.append(ids) or named(*ids)
    )
    monkeypatch.setattr(memory_db.journal, "events", None)
    assert down(memory_db.lineage(dark.id)) == {"pedestals": {}}
    assert len(asked) <= 6


def test_the_number_of_children_costs_neither_their_parent_nor_the_next_one(memory_db, monkeypatch):
    dark = add(memory_db, "dark")
    for number in range(20):
        add(memory_db, f"t{number}", dark)
    read = []
    named = memory_db.journal.events_naming
    monkeypatch.setattr(
        memory_db.journal, "events_naming",
        lambda *ids: read.append(events := named(*ids)) or events,
    )  # fmt: skip
    memory_db.version_by_id(dark.id)
    add(memory_db, "last", dark)
    memory_db.retire(dark.id, reason="test")
    assert max(map(len, read)) <= 2


# parents are known, or another store's --------------------------------------------------------


@pytest.mark.parametrize(
    ("parent", "says"),
    [
        ({"id": "6" * 24}, "is no version that this store knows; `cdb history` shows ids"),
        ({"id": None, "sha256": "cd" * 32}, "has other bytes here than cdcd"),
    ],
)
def test_what_is_no_parent_is_refused_and_nothing_is_left(any_db, parent, says):
    dark = add(any_db, "dark")
    source = {"parents": [{**parent, "id": parent["id"] or dark.id}]}
    new = {"detector": "epix_0123-456", "ctype": "gains", "source": source, "time": TIME}
    for dry_run in (True, False):
        with pytest.raises(BadDocument, match=says) as refused:
            any_db.add("text", **new, dry_run=dry_run)
        with pytest.raises(BadDocument, match=says):
            any_db.amend(dark.id, source=source, dry_run=dry_run)
    assert str(dark.sha256) not in str(refused.value)
    behind = service.behind(any_db)
    assert behind.head == 1
    assert sorted(behind.store.databases()) == sorted(["cdb_epix_000001", "cdb_xpp1", "cdbjournal"])


def test_a_detector_in_the_register_is_no_parent(memory_db):
    memory_db.add("text", detector="epix_0123-456", ctype="notes")
    (entry,) = memory_db.store.find("cdb_detnames", "epix")
    source = {"parents": [{"id": entry["_id"]}]}
    with pytest.raises(BadDocument, match="no version that this store knows"):
        memory_db.add("text", detector=EPIX, ctype="gains", source=source)


def test_a_parent_of_another_store_is_kept_unchecked(any_db):
    version = any_db.add(
        "text", detector=EPIX, ctype="gains", time=TIME, source={"parents": [FAR], "shift": "owl"}
    )
    assert any_db.version_by_id(version.id).meta["source"] == {"parents": [FAR], "shift": "owl"}
    (parent,) = any_db.lineage(version.id).parents
    assert (parent.id, parent.state) == (FAR["id"], "unknown")
    assert (parent.server, parent.sha256) == (FAR["server"], FAR["sha256"])


def test_this_stores_own_identity_is_checked_like_none(any_db):
    dark = add(any_db, "dark")
    for good in (True, False):
        named = {"id": dark.id, "sha256": dark.sha256, "server": any_db.server}
        how = {"detector": EPIX, "ctype": f"gains{good}", "time": TIME}
        if good:
            any_db.add("text", source={"parents": [named]}, **how)
        else:
            with pytest.raises(BadDocument, match="no version that this store knows"):
                any_db.add("text", source={"parents": [named | {"id": "6" * 24}]}, **how)
    assert down(any_db.lineage(dark.id)) == {"gainsTrue": {}}


def test_an_unknown_version_has_no_lineage(any_db):
    add(any_db, "dark")
    with pytest.raises(NotFound, match="no version 666666666666666666666666"):
        any_db.lineage("6" * 24)


# no circles ------------------------------------------------------------------------------------


def test_a_descendant_is_no_parent(any_db, family):
    dark, pedestals, gain = family
    amended = any_db.amend(dark.id, comment="better")
    for parent in (pedestals, gain, dark, amended, copy_of(any_db, gain)):
        source = {"parents": [{"id": parent.id}]}
        with pytest.raises(WrongState, match=r"cannot be a parent of .* --up` shows how"):
            any_db.amend(amended.id, source=source)
    any_db.amend(gain.id, source={"parents": [{"id": amended.id}]})


def test_of_two_amendments_that_would_make_a_circle_one_is_refused(quick_store):
    db = Database(quick_store)
    one, other = add(db, "one"), add(db, "other")

    def turn(first, second, by=db):
        return by.amend(first.id, source={"parents": [{"id": second.id}]})

    busy = interrupted_at(quick_store, "before event", lambda: turn(other, one))
    with pytest.raises(WrongState, match="cannot be a parent"):
        turn(one, other, busy)
    assert [parent.ctype for parent in db.lineage(other.id).parents] == ["one"]
    assert db.lineage(one.id).parents == ()


@pytest.mark.parametrize("seed", range(15))
def test_any_history_of_constants_is_a_graph_without_circles(seed):
    """Adds, amended sources and restores at random, against a model of plain sets."""
    rng, db = random.Random(seed), Database(MemoryStore(transactional=bool(seed % 2)))
    chains: dict[int, list[str]] = {}
    parents: dict[int, set[int]] = {}

    def above(number):
        seen, todo = set(), [number]
        while todo:
            fresh = parents[todo.pop()] - seen
            seen |= fresh
            todo += fresh
        return seen

    for _ in range(60):
        act = rng.choice(["add", "amend", "amend", "comment", "restore"])
        chosen = rng.sample(sorted(chains), min(len(chains), rng.randrange(3)))
        source = {"parents": [{"id": rng.choice(chains[number])} for number in chosen]}
        if act == "add" or not chains:
            number = len(chains)
            how = {"experiment": rng.choice([EXPERIMENT, None]), "detector": EPIX, "time": TIME}
            made = db.add(str(number), ctype=f"t{number}", source=source, **how)
            chains[number], parents[number] = ids_in(db), set(chosen)
            assert made.id in chains[number]
            continue
        number = rng.choice(sorted(chains))
        last = chains[number][-1]
        if act == "amend":
            circle = any(number == each or number in above(each) for each in chosen)
            if circle:
                with pytest.raises(WrongState, match="cannot be a parent"):
                    db.amend(last, source=source)
                continue
            db.amend(last, source=source)
            parents[number] |= set(chosen)
        elif act == "comment":
            db.amend(last, comment=str(rng.random()))
        else:
            db.retire(last, reason="test")
            db.restore(last, reason="test")
        chains[number] += ids_in(db)
    check_against(db, chains, parents, above)


def ids_in(db):
    """Return the ids that the last event added, a detector's copy first."""
    event = db.journal.event(db.head)
    return [made["id"] for made in reversed(event["versions"]) if "document" in made]


def check_against(db, chains, parents, above):
    of = {id_: number for number, ids in chains.items() for id_ in ids}
    below = {n: {m for m in chains if n in above(m)} for n in chains}
    for number, ids in chains.items():
        assert number not in above(number)
        for id_ in (ids[0], ids[-1]):
            found = db.lineage(id_)
            assert {of[each.id] for each in found.parents} == parents[number]
            assert {of[each.id] for each in found.children} == {
                m for m in chains if number in parents[m]
            }
            assert {of[i] for i in all_ids(found, "parents")} == above(number)
            assert {of[i] for i in all_ids(found, "children")} == below[number]
    assert list(Check(db.journal, payloads=True, older_than=0).run()) == []
    assert db.journal.verify() == db.head


def all_ids(found, side):
    return [i for each in getattr(found, side) for i in (each.id, *all_ids(each, side))]


# writers that die ------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["after blob", "before event"])
def test_a_child_whose_writer_died_before_its_event_is_not_there(pending_db, step):
    dark = add(pending_db, "dark")
    with pytest.raises(Died):
        add(dying_at(pending_db.store, step), "pedestals", dark)
    assert pending_db.lineage(dark.id).children == ()
    add(pending_db, "pedestals", dark)
    assert down(pending_db.lineage(dark.id)) == {"pedestals": {}}


@pytest.mark.parametrize("step", ["in event", "after event", "after documents", "before done"])
def test_a_child_whose_writer_died_after_its_event_is_there(pending_db, step):
    dark = add(pending_db, "dark")
    with pytest.raises(Died):
        add(dying_at(pending_db.store, step), "pedestals", dark)
    assert down(pending_db.lineage(dark.id)) == {"pedestals": {}}
    pending_db.retire(dark.id, reason="test")
    assert [v.state for v in pending_db.history(EPIX, "dark", experiment=EXPERIMENT)] == ["retired"]
    assert len(pending_db.find(detector=EPIX, ctype="pedestals")) == 1
    list(Check(pending_db.journal, older_than=0).run())
    assert list(Check(pending_db.journal, payloads=True, older_than=0).run()) == []


@pytest.mark.parametrize("step", ["in event", "after event", "after retiring", "before done"])
def test_an_amended_source_whose_writer_died_is_there(pending_db, step):
    dark, gain = add(pending_db, "dark"), add(pending_db, "gain")
    with pytest.raises(Died):
        dying_at(pending_db.store, step).amend(gain.id, source={"parents": [{"id": dark.id}]})
    assert down(pending_db.lineage(dark.id)) == {"gain": {}}
    list(Check(pending_db.journal, older_than=0).run())
    assert len(pending_db.find(detector=EPIX, ctype="gain")) == 1
    assert down(pending_db.lineage(dark.id)) == {"gain": {}}


# mentions are no changes of what they mention ---------------------------------------------------


def test_a_parent_is_as_it_was(any_db, family):
    dark, *_ = family
    assert any_db.version_by_id(dark.id) == dark.__class__(
        dark.id, dark.database, dark.collection, dark.meta
    )
    assert [v.state for v in any_db.history(EPIX, "dark", experiment=EXPERIMENT)] == ["live"]
    assert any_db.get(EPIX, "dark", experiment=EXPERIMENT, run=6)[0] == "dark"
    det = any_db.detector(EPIX, experiment=EXPERIMENT, run=6)
    assert sorted(det.calibconst) == ["dark", "pedestals", "pixel_gain"]


def test_numbers_and_checks_know_mentions(quick_db):
    tally = Tally(quick_db.journal)
    dark = add(quick_db, "dark")
    assert tally.counts()["cdb_xpp1", EPIX] == 1
    gain = add(quick_db, "pixel_gain", dark)
    quick_db.detector(EPIX, experiment=EXPERIMENT, run=6)  # the indexes follow from here
    add(quick_db, "pedestals", dark, gain)
    assert tally.counts()["cdb_xpp1", EPIX] == tally.counts()["cdb_epix_000001", EPIX] == 3
    det = quick_db.detector(EPIX, experiment=EXPERIMENT, run=6)
    assert det.calibconst.version("dark").id == dark.id
    assert list(Check(quick_db.journal, payloads=True, older_than=0).run()) == []
    quick_db.retire(dark.id, reason="test")
    assert tally.counts()["cdb_xpp1", EPIX] == 2
    assert quick_db.filed(dark.id) == ["cdb_xpp1", "cdb_epix_000001"]


def test_it_goes_with_an_archive(quick_store, tmp_path):
    original = Database(MemoryStore())
    dark = add(original, "dark")
    add(original, "pixel_gain", dark, original.amend(add(original, "pedestals", dark).id, run=7))
    with Export(original.journal, tmp_path / "out.cdb") as export:
        export.write()
    copy = Database(quick_store)
    with Import(copy.journal, tmp_path / "out.cdb") as plan:
        plan.run()
    assert copy.lineage(dark.id) == original.lineage(dark.id)
    assert store_digest(copy.journal) == store_digest(original.journal)


def test_a_bundle_tells_what_it_holds(tmp_path):
    db = Database(MemoryStore())
    elsewhere = add(db, "dark", detector="epix_000002", experiment="xpp2")
    pedestals = add(db, "pedestals", elsewhere)
    add(db, "pixel_gain", pedestals)
    path = tmp_path / "out.cdb"
    with Packing(db, Asked((EXPERIMENT,), (EPIX,))) as bundle:
        bundle.write(path)
    with open(path.as_uri().replace("file:", "bundle:")) as offline:
        found = offline.lineage(pedestals.id)
    assert down(found) == {"pixel_gain": {}}
    (parent,) = found.parents
    assert (parent.id, parent.state, parent.sha256) == (elsewhere.id, "unknown", elsewhere.sha256)


def test_a_bundle_names_no_child_that_it_does_not_hold(tmp_path):
    db = Database(MemoryStore())
    dark = add(db, "dark")
    other = add(db, "pedestals", dark, detector="epix_000002", experiment="xpp2")
    path = tmp_path / "out.cdb"
    with Packing(db, Asked((EXPERIMENT,), (EPIX,))) as bundle:
        bundle.write(path)
    assert other.id.encode() not in path.read_bytes()
    with open(path.as_uri().replace("file:", "bundle:")) as offline:
        assert offline.lineage(dark.id).children == ()


def test_what_another_program_says_of_parents_does_no_harm(memory_db):
    other = OtherProgram(memory_db.store)
    dark = add(memory_db, "dark")
    other.insert("theirs", ctype="status", source={"parents": "mine"})
    other.insert("more", number=2, ctype="masks", source={"parents": [{"id": dark.id}]})
    adopted = adopt(memory_db.journal, list(strangers(memory_db.journal)))
    made = {version.ctype: up(memory_db.lineage(version.id)) for version in adopted}
    assert made == {"status": {}, "masks": {"dark": {}}}
    # No event of ours mentions the parent.
    assert down(memory_db.lineage(dark.id)) == {}
