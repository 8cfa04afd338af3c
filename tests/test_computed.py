"""Numbers are kept by the digest of the bytes; what is damaged is computed anew."""

import numpy as np
import pytest

from cdb import computed, statistics
from cdb.computed import Computed, beside_the_cache

QUESTION = ("ab" * 32, "ndarray", "float32", "(2, 3)", "epix100", "pedestals")
PARTS = statistics.of_array(np.arange(24.0).reshape(2, 3, 4))


@pytest.fixture
def kept(tmp_path):
    return Computed(tmp_path / "numbers")


def files(kept):
    return [path for path in kept.folder.glob("*/*") if path.is_file()]


def test_what_is_kept_comes_back_exactly(kept):
    empty = statistics.of_array(np.full((2, 2), np.nan))
    for question, parts in ((QUESTION, PARTS), (("cd", *QUESTION[1:]), empty)):
        kept.put(question, parts)
        assert kept.get(question) == parts
    assert len(files(kept)) == 2


@pytest.mark.parametrize("n", range(len(QUESTION)))
def test_another_question_has_another_answer(kept, n):
    kept.put(QUESTION, PARTS)
    other = [*QUESTION]
    other[n] = "other"
    assert kept.get(tuple(other)) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"question": 1}', "\xff"])
def test_what_is_damaged_is_not_taken(kept, content):
    kept.put(QUESTION, PARTS)
    [path] = files(kept)
    path.write_bytes(content.encode("latin-1"))
    assert kept.get(QUESTION) is None
    kept.put(QUESTION, PARTS)
    assert kept.get(QUESTION) == PARTS


def test_numbers_that_lie_in_the_place_of_others_are_not_taken(kept):
    kept.put(QUESTION, PARTS)
    [path] = files(kept)
    other = ("ef" * 32, *QUESTION[1:])
    kept.put(other, PARTS)
    [second] = [each for each in files(kept) if each != path]
    second.write_bytes(path.read_bytes())
    assert kept.get(other) is None


def test_a_folder_that_takes_nothing_stops_nobody(tmp_path):
    (tmp_path / "numbers").write_text("a file")
    kept = Computed(tmp_path / "numbers")
    kept.put(QUESTION, PARTS)
    assert kept.get(QUESTION) is None


def test_a_writer_that_fails_leaves_nothing(kept, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(computed.Path, "replace", full)
    kept.put(QUESTION, PARTS)
    assert files(kept) == []


def test_all_can_be_forgotten(kept):
    kept.put(QUESTION, PARTS)
    kept.clear()
    assert kept.get(QUESTION) is None


def test_the_folder_is_that_of_the_cache_and_off_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("CDB_CACHE", str(tmp_path / "cache"))
    assert beside_the_cache().folder == tmp_path / "cache" / "numbers"
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("CDB_CACHE", "off")
    assert beside_the_cache() is None


def test_a_folder_that_others_can_write_is_not_trusted(tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir(mode=0o755)
    (tmp_path / "cache").chmod(0o777)
    monkeypatch.setenv("CDB_CACHE", str(tmp_path / "cache"))
    assert beside_the_cache() is None
