"""Which constants are asked for: what users say, and what raw data tell."""

from datetime import UTC, datetime

import pytest

from cdb.deploy import Asked
from cdb.deploy.detectors import run_of_stamp, stamp_of_run
from cdb.errors import BadFile, BadName, BadTime, NotFound
from tests.deploy.conftest import EPIX, ID, OPAL
from tests.readers import writers


def test_a_source_is_called_by_its_name_or_by_its_ids():
    assert Asked.of(f"DetInfo({OPAL})").id == "XcsEndstation-0-Opal1000-1"
    assert Asked.of(EPIX, ids=["1-2_3-4", "5-6"]).ids == ("1-2", "3-4", "5-6")
    assert Asked.of(f"epix100a_{ID}").id == ID
    assert Asked.of(f"epix100a_{ID}").source is None
    for name in (EPIX, "epix100a_000001"):
        asked = Asked.of(name)
        with pytest.raises(NotFound, match="give --id"):
            _ = asked.id
    with pytest.raises(BadName):
        Asked.of("../etc")


@pytest.mark.parametrize("ids", [["../39-99"], ["1-2", "1-2"], ["1-2_1-2"], ["a b"], [".."]])
def test_what_is_no_id_of_a_panel_is_refused(ids):
    with pytest.raises(BadName, match="no id of a panel|twice"):
        Asked.of(EPIX, ids=ids)


@pytest.mark.parametrize(
    ("detector", "dettype"),
    [(EPIX, "epix100a"), ("AmoEnd.0:DualAndor.0", "andor3d"), ("X.0:OceanOptics.0", "oceanoptics"),
     ("jungfrau_000001", "jungfrau")],
)  # fmt: skip
def test_the_type_is_that_of_repositories(detector, dettype):
    assert Asked.of(detector).dettype == dettype


def test_a_time_is_said_or_read_from_raw_data(tmp_path):
    asked = Asked.of(OPAL, stamp="20160318190730")
    assert asked.time == datetime(2016, 3, 19, 2, 7, 30, tzinfo=UTC)
    with pytest.raises(BadTime):
        Asked.of(OPAL, stamp="soon")
    epix = writers.translated(
        tmp_path / "xcsx31116-r0012.h5", {0: 2}, config=writers.epix_config([1] * 4, 12)
    )
    told = Asked.of("XcsEndstation.0:Epix10ka.1", run=str(epix))
    assert len(told.ids[0].split("-")) == 7
    assert told.time is not None
    assert len(told.stamp) == 14
    said = Asked.of("XcsEndstation.0:Epix10ka.1", run=str(epix), stamp="20160318", ids=["1-2"])
    assert (said.stamp, said.ids, said.shape) == ("20160318000000", ("1-2",), told.shape)
    dataset = f"exp=xcsx31116:run=12:dir={tmp_path}"
    assert stamp_of_run(dataset, 12) == told.stamp


def test_ids_are_not_those_of_another_detector_that_is_alone_in_the_data(tmp_path):
    epix = str(
        writers.translated(
            tmp_path / "xcsx31116-r0012.h5", {0: 2}, config=writers.epix_config([1] * 4, 12)
        )
    )
    for other in ("XcsEndstation.0:Epix10ka.2", OPAL, "opal1000_000001"):
        with pytest.raises(NotFound, match=r"no source of frames .*there are: .*Epix10ka\.1"):
            Asked.of(other, run=epix)
    assert Asked.of("epix10ka_000001", run=epix).ids


def test_data_that_cannot_be_read_name_the_way_out(tmp_path):
    with pytest.raises(BadFile, match="or give the time with -t and ids with --id"):
        Asked.of(EPIX, run=str(tmp_path / "none.h5"))
    with pytest.raises(NotFound, match="the time of run 9 is not known: .*YYYYmmddHHMMSS"):
        stamp_of_run(f"exp=xcsx31116:run=9:dir={tmp_path}", 9)


@pytest.mark.parametrize(
    ("text", "run"), [("9999", 9999), ("0260", 260), ("10000", None), ("x", None), (None, None)]
)
def test_a_small_time_is_a_run(text, run):
    assert run_of_stamp(text) == run
