"""Versions and files beside each other, in every store and behind a service."""

import numpy as np
import pytest

from cdb import drafts
from cdb.comparison import compare
from cdb.difference import ArrayDifference, GeometryDifference
from cdb.errors import BadFile, NotFound, Purged
from cdb.purge import Choice, purge, purgeable

JUNGFRAU = {"detector": "jungfrau_000001", "experiment": "xpp1"}
GEOMETRY = "IP 0  EPIX100:V1 0   0 0 -100000   90 180 0   0 0 0\n"
DARK = np.arange(3 * 2 * 4 * 6, dtype="f4").reshape(3, 2, 4, 6)


@pytest.fixture
def two(any_db):
    """Two versions of pedestals, of which the first has left."""
    shifted = DARK.copy()
    shifted[1, 1] += 2
    first = any_db.add(DARK, ctype="pedestals", **JUNGFRAU)
    second = any_db.add(shifted, ctype="pedestals", **JUNGFRAU)
    any_db.retire(first.id, reason="test")
    return first.id, second.id


def test_two_versions_are_compared_by_what_they_are(any_db, two):
    found = compare(any_db, *two)
    assert (found.dettype, found.ctype) == ("jungfrau", "pedestals")
    changed = [(p.gain, p.panel) for p in found.difference.parts if p.changed]
    assert changed == [("g1", 1)]
    assert found.difference.total.numbers.max == 2
    assert compare(any_db, two[0], two[0]).difference.equal


def test_a_version_and_a_file(memory_db, tmp_path):
    version = memory_db.add(DARK, ctype="pedestals", **JUNGFRAU)
    np.save(tmp_path / "dark.npy", DARK)
    assert compare(memory_db, version.id, tmp_path / "dark.npy").difference.equal
    other = compare(memory_db, tmp_path / "dark.npy", version.id)
    assert other.difference.parts[0].gain == "g0"
    assert other.a.version is None


def test_a_file_is_read_as_the_version_says(memory_db, tmp_path):
    version = memory_db.add(GEOMETRY, ctype="geometry", **JUNGFRAU)
    (tmp_path / "geo").write_text(GEOMETRY.replace("-100000", "-99000"))
    found = compare(memory_db, version.id, tmp_path / "geo").difference
    assert isinstance(found, GeometryDifference)
    assert found.moves[0].by == {"z0": 1000.0}


def test_two_files_need_no_store(tmp_path):
    np.savetxt(tmp_path / "a", np.zeros((2, 3)))
    np.savetxt(tmp_path / "b", np.ones((2, 3)))
    found = compare(None, tmp_path / "a", tmp_path / "b").difference
    assert isinstance(found, ArrayDifference)
    assert found.total.numbers.mean == 1


def test_what_is_not_there_is_said(memory_db, tmp_path):
    version = memory_db.add(DARK, ctype="pedestals", **JUNGFRAU)
    with pytest.raises(NotFound):
        compare(memory_db, version.id, "0" * 24)
    with pytest.raises(BadFile, match="there is no file"):
        compare(memory_db, version.id, tmp_path / "none.npy")


def test_a_version_whose_bytes_are_gone_is_trouble(memory_db):
    first = memory_db.add(DARK, ctype="pedestals", **JUNGFRAU)
    second = memory_db.add(DARK + 1, ctype="pedestals", **JUNGFRAU)
    memory_db.retire(first.id, reason="test")
    found, seen = purgeable(memory_db.journal, Choice())
    purge(memory_db.journal, found, seen=seen, reason="space")
    with pytest.raises(Purged):
        compare(memory_db, first.id, second.id)


def test_an_id_has_a_form():
    assert drafts.is_id("6156bb801e5184b7eb1e2153")
    assert not any(map(drafts.is_id, ("", "6156", "6156bb801e5184b7eb1e215g", "summer26")))
