"""Runs in HDF5 of any origin."""

import tracemalloc

import h5py
import numpy as np
import pytest

from cdb import run_facts
from cdb.errors import BadFile, BadQuestion, NotFound
from cdb.readers import open_run
from tests.readers import writers


def joined(run, *asked, **how):
    return np.concatenate([block.data for block in run.blocks(*asked, **how)])


def test_a_plain_dataset_is_a_source(tmp_path):
    with open_run(writers.plain(tmp_path / "dark.h5")) as run:
        source = run.source()
        assert (source.name, source.shape, source.n_frames) == ("frames", (4, 5), 6)
        assert (run.steps[0].n_events, run.begin.timestamp()) == (6, writers.SECOND)
        np.testing.assert_array_equal(joined(run), writers.numbered(6, 4, 5))


def test_blocks_hold_no_more_than_asked(tmp_path):
    with open_run(writers.plain(tmp_path / "dark.h5", n=7)) as run:
        blocks = list(run.blocks(nbytes=3 * run.source().frame_bytes))
        assert [len(block.data) for block in blocks] == [3, 3, 1]
        assert [len(block.stamps) for block in blocks] == [3, 3, 1]
        assert int(blocks[1].stamps[0]) == writers.SECOND * 10**9 + 3


def test_a_frame_larger_than_a_block_is_one(tmp_path):
    with open_run(writers.plain(tmp_path / "dark.h5", n=2)) as run:
        assert [len(block.data) for block in run.blocks(nbytes=1)] == [1, 1]


def test_memory_does_not_grow_with_the_run(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", data=np.ones((400, 100, 100), dtype="u2"), compression="gzip")
    with open_run(tmp_path / "a.h5") as run:
        nbytes = 10 * run.source().frame_bytes
        tracemalloc.start()
        total = sum(int(block.data.sum()) for block in run.blocks(nbytes=nbytes))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert total == 400 * 100 * 100
    assert peak < 3 * nbytes < 400 * 100 * 100


def test_blocks_can_be_asked_for_twice(tmp_path):
    with open_run(writers.plain(tmp_path / "dark.h5")) as run:
        np.testing.assert_array_equal(joined(run), joined(run))


@pytest.mark.parametrize(
    ("stored", "nanoseconds"),
    [
        (np.array([1.5e9, 1.5e9 + 0.5]), [1_500_000_000 * 10**9, 1_500_000_000_500_000_000]),
        (np.array([7, 8], dtype="u8"), [7, 8]),
        (np.array([4776162079372773723] * 2, dtype="u8"), [1743188891582256987] * 2),
    ],
)
def test_stamps_are_nanoseconds_since_1970(tmp_path, stored, nanoseconds):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["det/raw"], file["timestamp"] = np.zeros((2, 3, 4)), stored
    with open_run(tmp_path / "a.h5") as run:
        assert next(run.blocks()).stamps.tolist() == nanoseconds
        assert run.source().stamped_by == "time"


def test_frames_without_stamps_are_counted(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = np.zeros((3, 2, 4, 5), dtype=">u2")
    with open_run(tmp_path / "a.h5") as run:
        block = next(run.blocks())
        assert (run.source().n_panels, run.source().stamped_by) == (2, "index")
        assert (block.stamps.tolist(), block.data.dtype) == ([0, 1, 2], np.dtype("=u2"))


# Of the laboratory ------------------------------------------------------------------------------


def test_parts_of_a_laboratorys_run_follow_each_other(tmp_path):
    with open_run(writers.laboratory(tmp_path / "lab")) as run:
        blocks = list(run.blocks())
        frames = np.concatenate([block.data for block in blocks])
        np.testing.assert_array_equal(frames, writers.numbered(6, 8, 16, dtype="i2"))
        assert np.concatenate([block.stamps for block in blocks]).tolist() == [1, 2, 3, 4, 5, 6]
        assert (run.source().stamped_by, run.source().n_frames) == ("sequence", 6)
        assert np.concatenate([block.more["error"] for block in blocks]).sum() == 2


def test_parts_of_different_shapes_are_no_run(tmp_path):
    folder = writers.laboratory(tmp_path / "lab")
    with h5py.File(folder / "M304_m2_dark_tint150ns_00001_part00001.nxs", "a") as file:
        del file["entry/instrument/detector/data"]
        file["entry/instrument/detector/data"] = np.zeros((2, 9, 9))
    with pytest.raises(BadFile, match="no files of one run"):
        open_run(folder)


# Of LCLS-I --------------------------------------------------------------------------------------


@pytest.fixture
def translated(tmp_path):
    path = tmp_path / "xcsx31116-r0012.h5"
    writers.translated(
        path, {0: 3, 1: 0, 2: 4}, damaged=[1], config=writers.epix_config([1, 1, 1, 1], 12)
    )
    with open_run(path) as run:
        yield run


def test_calibration_cycles_are_steps(translated):
    assert [(step.number, step.n_events) for step in translated.steps] == [(0, 3), (1, 0), (2, 4)]
    assert [step.values for step in translated.steps] == [{"gain": n / 2} for n in range(3)]
    assert [(block.step, len(block.data)) for block in translated.blocks()] == [
        (0, 1), (0, 1), (2, 4)
    ]  # fmt: skip


def test_a_translated_run_is_told_by_its_name_and_times(translated):
    assert (translated.experiment, translated.number) == ("xcsx31116", 12)
    assert (translated.begin.timestamp(), translated.end.timestamp()) == (
        writers.SECOND, writers.SECOND + 2,
    )  # fmt: skip


def test_damaged_frames_are_left_out_and_told_of(translated):
    frames = joined(translated)
    np.testing.assert_array_equal(frames, np.delete(writers.numbered(7, 6, 7), 1, axis=0))
    assert translated.source().n_frames == 6
    assert "1 damaged frames left out" in translated.notes[0]


def test_the_source_of_a_translated_run_has_its_own_name(translated):
    source = translated.source("epix10ka")
    assert (source.name, source.detector_type) == ("XcsEndstation.0:Epix10ka.1", "epix10ka")
    assert (source.key, source.shape) == ("Epix::ElementV3/frame", (6, 7))


def test_the_configuration_of_a_translated_run(translated):
    (panel,) = translated.configuration(translated.source())
    assert (panel["version"], panel["analogCardId1"]) == (1, 7)
    assert [asic["trbit"] for asic in panel["asics"]] == [1, 1, 1, 1]
    assert panel["asicPixelConfigArray"].shape == (352, 384)


def test_what_was_recorded_is_listed(translated):
    keys = {(key.kind, key.name): key.shape for key in translated.recorded()}
    assert keys["data", "Epix::ElementV3/frame"] == (7, 6, 7)
    assert ("configuration", "Epix10ka.1::ConfigV3/config") in keys


def test_a_translated_jungfrau_has_panels_and_a_gain_mode(tmp_path):
    frames = np.full((2, 2, 8, 9), 3000 | 1 << 14, dtype="u2")
    path = writers.translated(
        tmp_path / "a.h5", {0: 2}, source="CxiEndstation.0:Jungfrau.0", frames=frames,
        config=writers.jungfrau_config("ForcedGain1"),
    )  # fmt: skip
    with open_run(path) as run:
        source = run.source()
        ids = run_facts.panels_of(run, source)
        assert ids == ["8000000020000-230920-20004002c", "8000000020000-230920-300"]
        assert run_facts.long_name_of(source, ids) == "_".join(["jungfrau", *ids])
        assert run_facts.configured_gain(run, source) == "ForcedGain1"
        assert run_facts.gain_modes_of(run, source)[0].mode == "1"


def test_a_jungfrau_without_numbers_is_known_by_its_source(tmp_path):
    source = "CxiEndstation.0:Jungfrau.0"
    path = writers.translated(tmp_path / "a.h5", {0: 2}, source=source)
    with open_run(path) as run:
        assert run_facts.panels_of(run, run.source()) == ["CxiEndstation.0-Jungfrau.0"]


# Choosing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "places"),
    [
        ({}, [0, 2, 3, 4, 5, 6]),
        ({"steps": [2]}, [3, 4, 5, 6]),
        ({"skip": 1}, [2, 4, 5, 6]),
        ({"limit": 1}, [0, 3]),
        ({"skip": 1, "limit": 2, "steps": [0, 2]}, [2, 4, 5]),
        ({"limit": 2, "nbytes": 1}, [0, 2, 3, 4]),
        ({"skip": 9}, []),
    ],
)
def test_frames_are_skipped_and_limited_in_each_step(translated, asked, places):
    taken = [frame // 100 for b in translated.blocks(**asked) for frame in b.data[:, 0, 0]]
    assert taken == places


def test_a_step_that_is_not_there(translated):
    with pytest.raises(NotFound, match="has no step 7; it has 3, from 0 on"):
        translated.blocks(steps=[0, 7])


def test_less_than_nothing_cannot_be_taken(translated):
    with pytest.raises(BadQuestion, match="from 0 on"):
        translated.blocks(skip=-1)


def test_a_source_that_is_not_there_or_not_alone(tmp_path):
    path = writers.plain(tmp_path / "two.h5", more=writers.numbered(2, 3, 3))
    with open_run(path) as run:
        with pytest.raises(NotFound, match="no source of frames is named 'jung'; there are: fr"):
            run.source("jung")
        with pytest.raises(NotFound, match="more than one source of frames is asked for"):
            run.source()
        assert run.source("MORE").name == "more"
