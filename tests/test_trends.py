"""Numbers from version to version; computed once, by the digest of the bytes."""

import numpy as np
import pytest

from cdb import trends
from cdb.computed import Computed
from cdb.errors import BadQuestion, Corrupt
from cdb.purge import Choice, purge, purgeable
from cdb.trends import trend, versions_of
from tests.programs import OtherProgram

WHICH = {"detector": "jungfrau_000001", "ctype": "pedestals"}


def day(n):
    return f"2021-10-{n:02d}T00:00:00Z"


def dark(level):
    values = np.full((3, 2, 4, 6), 100.0, "f4")
    values[0, 1] += level
    return values


def filled(db, days=(1, 2, 3), **more):
    return [db.add(dark(n), run=n, time=day(n), **WHICH, **more) for n in days]


def means(points):
    return [point.numbers and point.numbers.mean for point in points]


def test_a_trend_goes_by_validity_oldest_first(any_db):
    filled(any_db, (2, 3, 1), experiment="xpp1")
    points = trend(any_db, versions_of(any_db, **WHICH, experiment="xpp1"))
    assert means(points) == pytest.approx([100 + n / 6 for n in (1, 2, 3)])
    one = trend(any_db, [point.version for point in points], panel=1, gain="g0")
    assert means(one) == pytest.approx([101, 102, 103])


def test_what_left_is_shown_only_if_asked_for(memory_db):
    first, *_ = filled(memory_db)
    memory_db.retire(first.id, reason="test")
    assert len(versions_of(memory_db, **WHICH)) == 2
    assert first.id in [version.id for version in versions_of(memory_db, **WHICH, left=True)]
    assert len(versions_of(memory_db, **WHICH, as_of=first.seq)) == 1


def test_since_is_about_validity(memory_db):
    filled(memory_db)
    assert [v.time.day for v in versions_of(memory_db, **WHICH, since=day(2))] == [2, 3]


def test_a_second_call_reads_no_data(any_db, tmp_path, monkeypatch):
    filled(any_db)
    kept = Computed(tmp_path / "numbers")
    versions = versions_of(any_db, **WHICH)
    assert not any(trends.are_kept(version, kept) for version in versions)
    first = trend(any_db, versions, kept=kept)
    assert all(trends.are_kept(version, kept) for version in versions)
    monkeypatch.setattr(any_db, "data", None)
    assert trend(any_db, versions, kept=kept) == first


def test_numbers_are_those_of_the_bytes_whatever_a_version_is_called(memory_db, tmp_path):
    kept = Computed(tmp_path / "numbers")
    first, second = filled(memory_db, (1, 2))
    trend(memory_db, [first], kept=kept)
    assert not trends.are_kept(second, kept)
    same = memory_db.add(dark(1), run=9, time=day(9), **WHICH)
    assert trends.are_kept(same, kept)
    assert means(trend(memory_db, [second], kept=kept)) == pytest.approx([100 + 2 / 6])


def test_the_same_bytes_read_otherwise_have_other_numbers(memory_db, tmp_path):
    kept = Computed(tmp_path / "numbers")
    bits = np.zeros((3, 2, 4, 6), "u1")
    names = {"detector": "jungfrau_000001"}
    status = memory_db.add(bits, ctype="pixel_status", **names)
    mask = memory_db.add(bits, ctype="pixel_mask", **names)
    flat = memory_db.add(bits.reshape(3, -1), ctype="pixel_mask", run=1, **names)
    points = trend(memory_db, [status, mask, flat], kept=kept)
    assert [point.numbers.bad for point in points] == [0, bits.size, bits.size]
    assert [len(point.parts) for point in points] == [6, 6, 1]


def test_a_panel_that_is_not_there_names_those_that_are(memory_db):
    filled(memory_db)
    versions = versions_of(memory_db, **WHICH)
    with pytest.raises(BadQuestion, match="no version has panel 2; there are panels 0 to 1"):
        trend(memory_db, versions, panel=2)
    with pytest.raises(BadQuestion, match="gain ranges g0, g1, g2"):
        trend(memory_db, versions, gain="FH")


def test_a_version_that_alone_lacks_the_panel_has_a_note(memory_db):
    filled(memory_db, (1,))
    memory_db.add(dark(2)[:, :1], run=2, time=day(2), **WHICH)
    points = trend(memory_db, versions_of(memory_db, **WHICH), panel=1)
    assert [point.note for point in points] == ["", "it has no panel 1"]


def test_a_text_has_no_trend(memory_db):
    memory_db.add("text", detector="epix_000001", ctype="notes")
    with pytest.raises(BadQuestion, match="notes has no numbers"):
        trend(memory_db, versions_of(memory_db, "epix_000001", "notes"))


def test_bytes_that_were_purged_leave_a_note(memory_db):
    first, *_ = filled(memory_db)
    memory_db.retire(first.id, reason="test")
    found, seen = purgeable(memory_db.journal, Choice())
    purge(memory_db.journal, found, seen=seen, reason="space")
    points = trend(memory_db, versions_of(memory_db, **WHICH, left=True))
    assert [point.note for point in points] == ["its data were purged", "", ""]


def test_damaged_bytes_are_trouble_and_nothing_of_them_is_kept(memory_db, tmp_path):
    [version] = filled(memory_db, (1,))
    OtherProgram(memory_db.store).flip_a_byte(version.database, version.meta["id_data"])
    kept = Computed(tmp_path / "numbers")
    with pytest.raises(Corrupt):
        trend(memory_db, [version], kept=kept)
    assert not trends.are_kept(version, kept)


def test_documents_of_other_programs_take_part(memory_db):
    other = OtherProgram(memory_db.store)
    blob = other.upload(np.full((2, 3), 7.0).tobytes())
    other.insert(
        id_data=blob, ctype="pedestals", data_type="ndarray", data_dtype="float64",
        data_shape="(2, 3)",
    )  # fmt: skip
    versions = versions_of(memory_db, "epix_000001", "pedestals", experiment="xpp1")
    assert means(trend(memory_db, versions)) == [7.0]
    assert [version.sha256 for version in versions] == [None]
