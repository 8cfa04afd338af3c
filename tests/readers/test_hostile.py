"""Files from outside that are damaged, or made to harm: one sentence, nothing else."""

import h5py
import numpy as np
import pytest

from cdb.errors import BadFile, CalibError
from cdb.readers import open_run
from cdb.readers.datagrams import walk
from tests.readers import writers


def test_no_file():
    with pytest.raises(BadFile, match="there is no file or folder nowhere.h5"):
        open_run("nowhere.h5")


def test_neither_hdf5_nor_xtc2(tmp_path):
    (tmp_path / "a.h5").write_text("# text\n")
    with pytest.raises(BadFile, match="neither HDF5 nor xtc2"):
        open_run(tmp_path / "a.h5")


def test_an_empty_folder(tmp_path):
    with pytest.raises(BadFile, match=r"holds no file that ends in \.h5"):
        open_run(tmp_path)


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_file_that_was_cut_short(tmp_path, part):
    whole = writers.plain(tmp_path / "a.h5", n=40).read_bytes()
    (tmp_path / "a.h5").write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(BadFile, match=r"a\.h5 cannot be read as HDF5.*cut short"):
        open_run(tmp_path / "a.h5")


def test_damaged_bytes_give_a_sentence_or_frames(tmp_path):
    path = writers.translated(tmp_path / "a.h5", {0: 3, 1: 2})
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    said = []
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(8, len(whole), 12):
            damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            with open_run(path) as run:
                for source in run.sources:
                    assert sum(len(b.data) for b in run.blocks(source)) <= 10**6
        except CalibError as error:
            said.append(str(error))
    assert said  # of 60 some must have met what matters
    assert [one for one in said if "\n" in one] == []


def test_objects_and_texts_are_no_frames(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("texts", (3, 4, 5), dtype=h5py.string_dtype())
        file.create_dataset("rows", (3, 4, 5), dtype=h5py.vlen_dtype("u2"))
        file.create_dataset("pairs", (3, 4, 5), dtype=[("a", "u2"), ("b", "f4")])
        file.create_dataset("links", (3, 4, 5), dtype=h5py.ref_dtype)
        file["complex"] = np.zeros((3, 4, 5), dtype="c16")
        file["nothing"] = h5py.Empty("f4")
    with open_run(tmp_path / "a.h5") as run:
        assert run.sources == {}
        assert {key.name for key in run.recorded()} >= {"texts", "pairs", "complex"}


def test_more_frames_than_anything_stored(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", (10**12, 512, 1024), dtype="u2", chunks=(1, 512, 1024))
    with pytest.raises(BadFile, match="raw claims 1000000000000x512x1024 values of uint16, for"):
        open_run(tmp_path / "a.h5")


def test_one_frame_larger_than_memory_is_no_frame(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", (1, 10**6, 10**6), dtype="u2", chunks=(1, 100, 100))
    with open_run(tmp_path / "a.h5") as run:
        assert run.sources == {}


def test_stamps_that_claim_too_much(tmp_path):
    path = writers.translated(tmp_path / "a.h5", {0: 3})
    with h5py.File(path, "a") as file:
        group = file["Configure:0000/Run:0000/CalibCycle:0000/Epix::ElementV3"]
        group = next(iter(group.values()))
        del group["time"]
        group.create_dataset("time", (10**13,), dtype=writers.TIMES, chunks=(1000,))
    with pytest.raises(BadFile, match="time claims 10000000000000 values"):
        open_run(path)


def test_links_to_other_files_are_not_followed(tmp_path):
    writers.plain(tmp_path / "other.h5")
    path = writers.plain(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["elsewhere"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "frames")
        file["again"] = h5py.SoftLink("/frames")
        file["nowhere"] = h5py.SoftLink("/missing")
    with open_run(path) as run:
        assert list(run.sources) == ["frames"]
        assert run.notes == [f"{path}: elsewhere leads to another file and was not followed"]


def test_a_dataset_whose_bytes_are_those_of_any_file_is_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(b"x" * 1000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        external = [(str(tmp_path / "secret"), 0, 1000)]
        file.create_dataset("raw", (10, 10, 10), dtype="u1", external=external)
    with pytest.raises(BadFile, match="raw has its data in another file"):
        open_run(tmp_path / "a.h5")


def test_a_virtual_dataset_is_read_of_files_in_its_folder_alone(tmp_path):
    (tmp_path / "far").mkdir()
    for folder in (tmp_path, tmp_path / "far"):
        writers.plain(folder / "part.h5")
    for where, target in (("near.h5", "part.h5"), ("hostile.h5", "far/part.h5")):
        layout = h5py.VirtualLayout((6, 4, 5), "u2")
        layout[:] = h5py.VirtualSource(target, "frames", (6, 4, 5))
        with h5py.File(tmp_path / where, "w") as file:
            file.create_virtual_dataset("raw", layout)
    with open_run(tmp_path / "near.h5") as run:
        np.testing.assert_array_equal(next(run.blocks()).data, writers.numbered(6, 4, 5))
    with pytest.raises(BadFile, match=r"raw is made of files in another folder \(far/part.h5\)"):
        open_run(tmp_path / "hostile.h5")


def test_groups_in_a_circle(tmp_path):
    path = writers.plain(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file.create_group("one/two")
        file["one/two/back"] = file["one"]
    with open_run(path) as run:
        assert list(run.sources) == ["frames"]


def test_trains_that_name_entries_behind_the_last(tmp_path):
    path = writers.euxfel(tmp_path / "r9", writers.agipd(5), counts=[3, 2])
    with h5py.File(path, "a") as file:
        index = file["INDEX/SPB_DET_AGIPD1M-1/DET/0CH0:xtdf/image"]
        index["first"][1] = 2**63
    with open_run(path) as run:
        assert run.source().n_frames == 3
        assert "names entries behind the 5 that there are; 1 trains left out" in run.notes[0]


def test_frames_without_an_index_are_nobodys(tmp_path):
    path = writers.euxfel(tmp_path / "r9", writers.agipd(5), counts=[3, 2])
    with h5py.File(path, "a") as file:
        del file["INDEX/SPB_DET_AGIPD1M-1"]
    with pytest.raises(BadFile, match="which frames are whose"):
        open_run(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"x" * 500, "is no xtc2: it does not begin with a configuration"),
        (writers.datagram(12), "is no xtc2: it does not begin with a configuration"),
        (writers.datagram(2, b"x" * 100)[:50], "its configuration is not whole"),
        (writers.datagram(2, b"x" * 100).replace(b"\3\0p\0", b"\3\0q\0"), "no container that fits"),
        (writers.datagram(2) + b"\0" * 24, "a datagram of 12 bytes at byte 24"),
    ],
)
def test_what_is_no_xtc2(tmp_path, content, said):
    (tmp_path / "a.xtc2").write_bytes(content)
    with pytest.raises(BadFile, match=said):
        walk(tmp_path / "a.xtc2")


def test_xtc2_that_was_cut_short_keeps_the_events_before(tmp_path):
    chain = b"".join(map(writers.datagram, [2, 4, 6, 8, 12, 12, 6, 12, 12]))
    (tmp_path / "a.xtc2").write_bytes(chain[:-3])
    found = walk(tmp_path / "a.xtc2")
    assert (found.events, found.cut) == ([2, 1], True)


def test_xtc_of_lcls1_is_told_what_becomes_of_it(tmp_path):
    (tmp_path / "e665-r0054-s00-c00.xtc").write_bytes(b"\0" * 100)
    for spec in (tmp_path, f"exp=xpptut15:run=54:dir={tmp_path}", next(tmp_path.iterdir())):
        with pytest.raises(BadFile, match="xtc of LCLS-I.*translate it"):
            open_run(spec)
