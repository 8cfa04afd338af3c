"""Runs of the European XFEL: which frames are whose, and those of its own writer of files."""

import warnings

import extra_data
import numpy as np
import pytest
from extra_data.tests import make_examples
from extra_data.tests.mockdata.detectors import AGIPDModule
from extra_data.tests.mockdata.mkfile import write_file

from cdb import run_facts
from cdb.readers import open_run
from tests.readers import writers

AGIPD = "SPB_DET_AGIPD1M-1/DET/0CH0:xtdf"
JUNGFRAU = "SPB_IRDA_JF4M/DET/JNGFR01:daqOutput"


def joined(run, name, part="data", **how):
    blocks = list(run.blocks(name, **how))
    return np.concatenate([getattr(block, part) for block in blocks])


@pytest.fixture
def folder(tmp_path):
    """A run of two sequences of a module, the second after two lost trains."""
    folder = tmp_path / "p900203" / "raw" / "r0009"
    writers.euxfel(folder, writers.agipd(6), counts=[3, 0, 3], padding=2)
    writers.euxfel(folder, writers.agipd(4), counts=[1, 3], sequence=1, first=writers.TRAIN + 5)
    return folder


def test_frames_of_all_sequences_with_their_trains(folder):
    with open_run(folder) as run:
        expected = np.r_[writers.numbered(6, 8, 4), writers.numbered(4, 8, 4)]
        np.testing.assert_array_equal(joined(run, AGIPD), expected)
        trains = joined(run, AGIPD, "stamps") - writers.TRAIN
        assert trains.tolist() == [0, 0, 0, 2, 2, 2, 5, 6, 6, 6]
        assert (run.source().n_frames, run.steps[0].n_events) == (10, 5)


@pytest.mark.parametrize("n", [1, 2, 4, 100])
def test_blocks_of_any_length_are_the_same_frames(folder, n):
    with open_run(folder) as run:
        nbytes = n * run.source().frame_bytes
        assert max(len(block.data) for block in run.blocks(nbytes=nbytes)) <= n
        np.testing.assert_array_equal(joined(run, AGIPD), joined(run, AGIPD, nbytes=nbytes))


def test_the_gain_signal_cells_and_pulses_come_along(folder):
    with open_run(folder) as run:
        block = next(run.blocks())
        np.testing.assert_array_equal(block.more["gain"], block.data + 7)
        assert block.more["cell"].tolist() == [0, 1, 2, 0, 1, 2]
        assert block.more["pulse"].tolist() == [0, 4, 8, 0, 4, 8]


def test_what_a_run_is(folder):
    with open_run(folder) as run:
        assert (run.kind, run.experiment, run.number) == ("euxfel", "p900203", 9)
        assert run.begin.timestamp() == writers.SECOND
        source = run.source("agipd")
        assert (source.detector_type, source.key, source.shape) == ("agipd", "image.data", (8, 4))
        assert source.stamped_by == "train"


def test_suspect_trains_are_left_out_and_told_of(tmp_path):
    writers.euxfel(tmp_path, writers.agipd(6), counts=[2, 2, 2], flags=[1, 0, 1])
    with open_run(tmp_path) as run:
        trains = joined(run, AGIPD, "stamps") - writers.TRAIN
        assert trains.tolist() == [0, 0, 2, 2]
        assert "1 trains are marked as suspect" in run.notes[0]


def test_files_of_2017_say_first_last_and_status(tmp_path):
    writers.euxfel(tmp_path, writers.agipd(5), counts=[2, 0, 3], old=True)
    with open_run(tmp_path) as run:
        trains = joined(run, AGIPD, "stamps") - writers.TRAIN
        assert trains.tolist() == [0, 0, 2, 2, 2]


def test_modules_are_sources_in_the_order_of_their_numbers(tmp_path):
    for module in (10, 2, 0):
        sources = writers.agipd(2, module)
        writers.euxfel(tmp_path, sources, counts=[2], aggregator=f"AGIPD{module:02}")
    with open_run(tmp_path) as run:
        assert [name.split("/")[2] for name in run.sources] == [
            "0CH0:xtdf", "2CH0:xtdf", "10CH0:xtdf"
        ]  # fmt: skip


@pytest.fixture
def jungfrau(tmp_path):
    """A run of two modules and their control device."""
    control = {
        "SPB_IRDA_JF4M/DET/CONTROL": {
            "serialNumber": [0x0A, 0x1B0], "firmwareVersion": [0x230920, 0x230921],
            "gainMode": "dynamic", "highVoltage": 180,
        }
    }  # fmt: skip
    for module in (1, 2):
        more = {"control": control} if module == 1 else {}
        sources = writers.jungfrau(3, module)
        writers.euxfel(tmp_path, sources, counts=[1, 1, 1], aggregator=f"JNGFR{module:02}", **more)
    with open_run(tmp_path) as run:
        yield run


def test_memory_cells_of_a_jungfrau_are_frames(jungfrau):
    assert jungfrau.source("JNGFR01").n_frames == 6
    np.testing.assert_array_equal(joined(jungfrau, JUNGFRAU), writers.numbered(6, 6, 9))
    nbytes = jungfrau.source("JNGFR01").frame_bytes
    one_by_one = list(jungfrau.blocks(JUNGFRAU, skip=1, limit=3, nbytes=nbytes))
    assert [int(block.data[0, 0, 0]) for block in one_by_one] == [100, 200, 300]
    assert [int(block.more["cell"][0]) for block in one_by_one] == [1, 0, 1]
    assert [int(block.stamps[0]) - writers.TRAIN for block in one_by_one] == [0, 1, 1]


def test_a_jungfraus_panels_by_what_is_burnt_in(jungfrau):
    ids = [run_facts.panels_of(jungfrau, source) for source in jungfrau.sources.values()]
    assert ids == [["230920-a"], ["230921-1b0"]]
    assert run_facts.long_name_of(jungfrau.source("JNGFR02"), ids[1]) == "jungfrau_230921-1b0"


def test_a_jungfraus_gain_mode(jungfrau):
    source = jungfrau.source("JNGFR01")
    assert run_facts.configured_gain(jungfrau, source) == "dynamic"
    gain = run_facts.gain_modes_of(jungfrau, source)[0]
    assert gain.mode == "0"
    assert gain.fractions == pytest.approx({"0": 2 / 3, "1": 1 / 3, "2": 0})


def test_control_values_are_listed_by_their_names(jungfrau):
    keys = {(key.kind, key.source, key.name): key.shape for key in jungfrau.recorded()}
    assert keys["configuration", "SPB_IRDA_JF4M/DET/CONTROL", "serialNumber"] == (3, 2)
    assert keys["data", JUNGFRAU, "data.adc"] == (3, 2, 6, 9)


# Files that the European XFEL's own package writes ----------------------------------------------


@pytest.mark.parametrize("version", ["0.5", "1.0", "1.1", "1.2"])
def test_files_of_extra_data_are_read_as_it_reads_them(tmp_path, version):
    path = tmp_path / "RAW-R0238-AGIPD03-S00000.h5"
    module = AGIPDModule("SPB_DET_AGIPD1M-1/DET/3CH0", frames_per_train=np.array([4, 0, 2]))
    write_file(path, [module], ntrains=3, chunksize=8, format_version=version)
    name = "SPB_DET_AGIPD1M-1/DET/3CH0:xtdf"
    values = np.random.default_rng(1).integers(0, 16384, (6, 2, 512, 128), dtype="u2")
    import h5py

    with h5py.File(path, "a") as file:
        file[f"INSTRUMENT/{name}/image/data"][:6] = values
    with open_run(path) as run, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        key = extra_data.H5File(path)[name, "image.data"]
        block = next(run.blocks())
        np.testing.assert_array_equal(np.stack([block.data, block.more["gain"]], 1), key.ndarray())
        assert block.stamps.tolist() == key.train_id_coordinates().tolist()


def test_a_jungfrau_run_of_extra_data(tmp_path, monkeypatch):
    # Its frames of 512 x 1024 would be 3 GB of zeros.
    from extra_data.tests.mockdata.jungfrau import JUNGFRAUModule

    small = [
        (key, dtype, (*dims[:1], 4, 6) if len(dims) == 3 else dims)
        for key, dtype, dims in JUNGFRAUModule("x").instrument_keys
    ]
    monkeypatch.setattr(JUNGFRAUModule, "instrument_keys", small)
    make_examples.make_jungfrau_run(str(tmp_path))
    with open_run(tmp_path) as run:
        assert len(run.sources) == 8
        assert {source.detector_type for source in run.sources.values()} == {"jungfrau"}
        assert run.steps[0].n_events == 100
        (values,) = run.configuration(run.source("JNGFR03"))
        assert "exposureTime" in values
