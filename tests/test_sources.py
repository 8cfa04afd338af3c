"""What a constant was made from: known fields have their kinds, others are kept."""

import pytest

from cdb import sources
from cdb.errors import BadDocument
from cdb.sources import Parent

ID, DIGEST = "615717800000070123456789", "ab" * 32

GOOD = [
    {},
    {"anything": {"of": ["theirs"]}},
    {"runs": [5, {"experiment": "rixx45619", "run": 6, "events": 1000}]},
    {"files": [{"path": "/data/dark.xtc2", "sha256": DIGEST, "nbytes": 12}, {"path": "peds.npy"}]},
    {"software": {"name": "darkproc", "version": "2.1", "commit": "1a2b"}},
    {"parameters": {"sigma": 5.5, "gains": ["AHL", "AML"]}},
    {"parents": [{"id": ID}, {"id": ID[::-1], "sha256": DIGEST, "server": DIGEST, "role": "dark"}]},
]
BAD = [
    ("a dark run", "source is 'a dark run'; it must be a dict"),
    ({"runs": 7}, "source.runs is 7; it must be a list"),
    ({"runs": ["7"]}, r"source.runs\[0\] is '7'; it must be a run number"),
    ({"runs": [True]}, "must be a run number"),
    ({"runs": [-1]}, "must be a run number"),
    ({"runs": [{"experiment": "rixx45619"}]}, "must be a run number"),
    ({"runs": [{"run": 7}]}, r"source.runs\[0\]: experiment None"),
    ({"runs": [{"experiment": "../etc", "run": 7}]}, "experiment '../etc'"),
    ({"runs": list(range(10_001))}, "has 10001 members; at most 10000 are kept"),
    ({"files": ["peds.npy"]}, r"source.files\[0\] is 'peds.npy'; it must be"),
    ({"files": [{"path": ""}]}, "it must be"),
    ({"files": [{"path": "a", "sha256": "AB" * 32}]}, "must be 64 hexadecimal digits"),
    ({"files": [{"path": "a", "nbytes": "12"}]}, "must be a number of bytes"),
    ({"software": "darkproc"}, "source.software is 'darkproc'"),
    ({"software": {"name": "darkproc", "version": 2}}, "both texts"),
    ({"parents": {"id": ID}}, "source.parents is .*; it must be a list"),
    ({"parents": [ID]}, "the id of a version, 24 hexadecimal digits"),
    ({"parents": [{"id": "here"}]}, "24 hexadecimal digits"),
    ({"parents": [{"id": ID, "sha256": 7}]}, "must be 64 hexadecimal digits"),
    ({"parents": [{"id": ID, "server": "far"}]}, "the identity of a store"),
    ({"parents": [{"id": ID, "server": DIGEST}]}, "nobody here can add its sha256; give it"),
    ({"parents": [{"id": ID}, {"id": ID}]}, "names a version twice"),
    ({"parents": [{"id": f"{n:024x}"} for n in range(1001)]}, "at most 1000 are kept"),
]


@pytest.mark.parametrize("source", GOOD)
def test_what_makes_sense_is_kept_as_it_stands(source):
    assert sources.checked(source) == source


@pytest.mark.parametrize(("source", "says"), BAD)
def test_what_does_not_is_refused_naming_the_field(source, says):
    with pytest.raises(BadDocument, match=says):
        sources.checked(source)


def test_of_any_document_the_parents_that_make_sense_are_found():
    said = {"parents": [{"id": ID, "sha256": DIGEST}, "mine", {"id": 7}, None]}
    assert sources.parents_of(said) == [Parent(ID, DIGEST)]
    assert [sources.parents_of(odd) for odd in (None, "x", {}, {"parents": "x"})] == [[]] * 4


@pytest.mark.parametrize(("source", "says"), BAD[:8])
def test_a_constant_with_such_a_source_is_refused_and_nothing_is_left(memory_db, source, says):
    with pytest.raises(BadDocument, match=says):
        memory_db.add("text", detector="epix_a", ctype="notes", source=source)
    assert memory_db.head == 0
    assert memory_db.store.databases() == []


@pytest.mark.parametrize(("source", "says"), BAD[:8])
def test_an_amendment_with_such_a_source_is_refused(memory_db, source, says):
    version = memory_db.add("text", detector="epix_000001", ctype="notes")
    with pytest.raises(BadDocument, match=says):
        memory_db.amend(version.id, source=source)
    assert memory_db.head == 1
