"""Event codes in HDF5, as the translator and analyses write them."""

import h5py
import numpy as np
import pytest

from cdb.errors import BadFile
from cdb.readers import open_run
from tests.readers import writers

CODES = [[40, 140], [40, 140, 162], [40, 40], [], [40]]


@pytest.fixture
def listed(tmp_path):
    """A run of two cycles, as it is translated."""
    path = writers.translated(tmp_path / "xcsx31116-r0012.h5", {0: 3, 1: 2})
    writers.with_codes(path, CODES[:3])
    return writers.with_codes(path, CODES[3:], cycle=1)


@pytest.fixture
def columns(tmp_path):
    came = {
        f"evr/code_{code}": [float(code in codes) for codes in CODES] for code in (40, 140, 162)
    }
    return writers.plain(tmp_path / "columns.h5", **came)


@pytest.fixture
def table(tmp_path):
    flags = [[code in codes for code in range(288)] for codes in CODES]
    return writers.plain(tmp_path / "table.h5", **{"timing/eventcodes": np.array(flags, "u1")})


@pytest.mark.parametrize("kind", ["listed", "columns", "table"])
def test_codes_are_counted_by_event(request, kind):
    with open_run(request.getfixturevalue(kind)) as run:
        assert run.event_codes() == {40: 4, 140: 2, 162: 1}
        assert run.event_codes(1) == {40: 1, 140: 1}
        assert run.event_codes(4) == {40: 3, 140: 2, 162: 1}
        assert run.event_codes(0) == {}


def test_blocks_of_many_events_are_counted_together(tmp_path):
    path = writers.translated(tmp_path / "a.h5", {0: 1})
    with open_run(writers.with_codes(path, [[40]] * 300 + [[41]] * 300)) as run:
        assert run.event_codes() == {40: 300, 41: 300}
        assert run.event_codes(301) == {40: 300, 41: 1}


def test_a_run_without_codes_has_none(tmp_path):
    writers.euxfel(tmp_path / "r0009", writers.agipd(2), counts=[2])
    for path in (writers.plain(tmp_path / "a.h5"), tmp_path / "r0009"):
        with open_run(path) as run:
            assert run.event_codes() == {}


def test_what_only_looks_like_codes_is_passed_over(tmp_path):
    path = writers.translated(tmp_path / "a.h5", {0: 1})
    writers.with_codes(path, [[40, 2**31]])
    group = "Configure:0000/Run:0000/CalibCycle:0000/EvrData::DataV3/NoDetector.0:Evr.1"
    with h5py.File(path, "a") as file:
        file[f"{group}/data"] = np.zeros(3, dtype=[("fifoEvents", "u4")])
        file["evr/code_41"] = np.ones((2, 2))
        file["evr/code_42"] = [b"yes"]
        file["timing/eventcodes"] = np.ones((2, 1000))
        file.create_dataset("other/timing/eventcodes", (10**9, 288), "u1")
    with open_run(path) as run, pytest.raises(BadFile, match="claims 1000000000x288 values"):
        run.event_codes()
    with h5py.File(path, "a") as file:
        del file["other"]
    with open_run(path) as run:
        assert run.event_codes() == {40: 1}
