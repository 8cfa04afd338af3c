"""A tree as a store: it answers what the tree's own readers would, and nobody writes to it."""

import json
import math
import os
import pickle
import threading

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import cdb
from cdb import staleness, trends
from cdb.adoption import strangers
from cdb.cli.main import cli
from cdb.errors import BadFile, BadName, NotFound, StoreRefused, WrongState
from cdb.files import contents, lcls1, text, xtcav
from cdb.files.lcls1_store import Lcls1Store
from cdb.fsck import Check
from cdb.packing import Asked, Packing
from cdb.stores import open_store
from cdb.watching import Feed
from tests.conftest import DATA
from tests.files.trees import CSPAD, EPIX, XTCAV, fill, text_of

REAL = DATA / "lcls1-calib"
EXPERIMENT = "cxi83714"


@pytest.fixture
def calib(tmp_path):
    """Return a tree that is an experiment's."""
    path = tmp_path / "CXI" / EXPERIMENT / "calib"
    path.mkdir(parents=True)
    return path


def opened(calib):
    return cdb.open(calib.as_uri().replace("file:", "lcls1:"))


def answer(db, source, ctype, run, experiment=None):
    """Return the name of the file that a database answers with."""
    try:
        _, meta = db.get(source, ctype, run=run, experiment=experiment)
    except NotFound:
        return None
    return os.path.basename(meta["file"])


@pytest.fixture
def unreadable(monkeypatch):
    """Return a list for folders that may not be read: a test may be run by root."""
    listed, folders = os.scandir, []

    def scandir(path):
        if path in folders:
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return folders


# The same choice -------------------------------------------------------------------------------

RUNS = st.one_of(st.integers(0, 12), st.sampled_from([9998, 9999, 10_000, 123_456]))
NAMES = st.builds(
    "{}{}-{}{}".format,
    st.sampled_from(["", "", "", "0", "00"]),
    RUNS,
    st.one_of(RUNS.map(str), st.sampled_from(["end", "end", "END"])),
    st.sampled_from([".data"] * 6 + [".data~", ".txt", ".data-2016-01-02T03:04:05"]),
)
LISTINGS = st.lists(NAMES, max_size=8, unique=True)


@settings(max_examples=60, deadline=None)
@given(listing=LISTINGS, runs=st.lists(RUNS, min_size=1, max_size=4), has_path=st.booleans())
def test_the_store_answers_with_the_file_that_is_chosen(tmp_path_factory, listing, runs, has_path):
    calib = tmp_path_factory.mktemp("any") / "CXI" / EXPERIMENT / "calib"
    calib = calib if has_path else calib.parent.parent / "calib"
    folder = fill(calib, CSPAD, "pedestals", *listing)
    for at, name in enumerate(listing):  # an age that has nothing to do with the order
        os.utime(folder / name, (1e9 + at * 7919 % 10, 1e9 + at * 7919 % 10))
    with opened(calib) as db:
        for run in runs:
            chosen = lcls1.choose_file(folder, run)
            for experiment in (None, EXPERIMENT)[: 1 + has_path]:
                assert answer(db, CSPAD, "pedestals", run, experiment) == (chosen and chosen.name)
            constants = db.detector(CSPAD, run=run).calibconst
            assert ("pedestals" in constants) == (chosen is not None)
            if chosen:
                data, meta = constants["pedestals"]
                assert data.tolist() == [listing.index(chosen.name)]
                assert meta["file"] == str(chosen)
                explanation = db.explain(CSPAD, "pedestals", run=run)
                assert explanation.winner.meta["file"] == str(chosen)


def test_a_tree_whose_path_tells_no_experiment_is_whosever_is_asked_for(tmp_path):
    fill(tmp_path / "calib", CSPAD, "pedestals", "1-5.data", "9-9.data")
    with opened(tmp_path / "calib") as db:
        assert db.experiments() == []
        for experiment in (None, "xpptut15"):
            assert answer(db, CSPAD, "pedestals", 2, experiment) == "1-5.data"
            assert answer(db, CSPAD, "pedestals", 0, experiment) is None
            assert answer(db, CSPAD, "pedestals", 20, experiment) is None
        _, meta = db.get(CSPAD, "pedestals", run=2, experiment="xpptut15")
        assert meta["experiment"] == "xpptut15"
        assert len(db.find(experiment="xpptut15")) == 2


@pytest.mark.parametrize("rule", ["range", "latest", "prior", "psana"])
def test_nobody_gets_what_does_not_hold_for_a_run(calib, rule):
    fill(calib, CSPAD, "pedestals", "1-5.data")
    with opened(calib) as db:
        for experiment, run in (("xpptut15", 3), (EXPERIMENT, 0)):
            asked = {"experiment": experiment, "run": run, "rule": rule}
            if (experiment, rule) == (EXPERIMENT, "prior"):
                continue  # asks by time, whatever the run
            with pytest.raises(NotFound):
                db.get(CSPAD, "pedestals", **asked)
            assert not db.detector(CSPAD, **asked).calibconst
            assert db.explain(CSPAD, "pedestals", **asked).winner is None


def test_a_bundle_of_a_tree_answers_as_the_tree_does(tmp_path):
    fill(tmp_path / "calib", CSPAD, "pedestals", "1-5.data")
    with opened(tmp_path / "calib") as db, Packing(db, Asked(("xpptut15",))) as packing:
        packing.write(tmp_path / "b.cdb")
    with cdb.open(f"bundle://{tmp_path}/b.cdb") as bundle:
        assert answer(bundle, CSPAD, "pedestals", 2, "xpptut15") == "1-5.data"
        assert answer(bundle, CSPAD, "pedestals", 7, "xpptut15") is None


# Detectors and documents -----------------------------------------------------------------------


def test_the_issue_s_words_on_the_real_tree():
    with opened(REAL) as db:
        data, meta = db.detector(EPIX, run=7).calibconst["pixel_status"]
        path = lcls1.choose_file(lcls1.folder_of(REAL, EPIX, "pixel_status"), 7)
        assert np.array_equal(data, text.read(path))
        assert data.dtype == text.read(path).dtype
        assert meta["file"] == str(path)
        assert (meta["run"], meta["run_end"], meta["end"]) == (0, "end", 2**53)
        assert (meta["data_dtype"], meta["data_shape"]) == (str(data.dtype), str(data.shape))
        assert meta["nbytes"] == data.nbytes
        geometry, told = db.get(f"DetInfo({EPIX})", "geometry", run=7)
        assert geometry == (path.parents[1] / "geometry/0-end.data").read_text()
        assert told["history"]["user"] == "dubrovin"
        assert told["uid"] == "dubrovin"


@pytest.mark.parametrize(
    "name",
    [CSPAD, f"DetInfo({CSPAD})", f"cspad_{CSPAD}", "cspad_0001", "cspad_000002"],
)
def test_a_detector_is_found_by_each_of_its_names(calib, name):
    fill(calib, CSPAD, "pedestals", "0-end.data")
    with opened(calib) as db:
        assert answer(db, name, "pedestals", 5) == "0-end.data"
        assert db.short_name(name) == "cspad_000002"


def test_a_short_name_stays_whatever_else_comes(calib):
    fill(calib, "ZzzEnd.0:Cspad.7", "pedestals", "0-end.data")
    with opened(calib) as db:
        before = db.short_name("ZzzEnd.0:Cspad.7")
        for source in (CSPAD, "AaaEnd.0:Cspad.7"):
            fill(calib, source, "pedestals", "0-end.data")
        assert db.short_name("ZzzEnd.0:Cspad.7") == before
        assert len(db.detectors()) == 3


def test_the_camera_of_xtcav_is_a_detector_of_its_own(calib):
    fill(calib, XTCAV, "pedestals", "1-end.data")
    fill(calib, XTCAV, "pedestals", "2-end.data", group="Xtcav::CalibV1")
    with opened(calib) as db:
        assert answer(db, XTCAV, "pedestals", 5) == "1-end.data"
        assert answer(db, f"xtcav_{XTCAV}", "pedestals", 5) == "2-end.data"
        assert answer(db, f"xtcav_{XTCAV}", "pedestals", 1) is None


def test_a_folder_in_another_group_is_read_only_where_the_right_one_lacks_it(calib):
    source = "MfxEnd.0:iStar.0"
    wrong = {"group": "iStar::CalibV1"}
    fill(calib, source, "pedestals", "9-end.data", **wrong)
    fill(calib, source, "pixel_rms", "9-end.data", **wrong)
    fill(calib, source, "pedestals", "1-end.data")
    with opened(calib) as db:
        assert answer(db, source, "pedestals", 20) == "1-end.data"
        _, meta = db.get(source, "pixel_rms", run=20)
        assert meta["group"] == "iStar::CalibV1"


def test_lists_of_the_experiment(calib):
    fill(calib, CSPAD, "pedestals", "0-5.data", "6-end.data", "bad.data")
    fill(calib, CSPAD, "pixel_gain", "0-end.data")
    with opened(calib) as db:
        assert db.experiments() == [{"experiment": EXPERIMENT, "detectors": ["cspad_000002"]}]
        listed = {"detector": "cspad_000002", "longname": f"cspad_0001_{CSPAD}"}
        assert db.detectors() == [listed | {"ctypes": ["pedestals", "pixel_gain"]}]
        found = db.find(experiment=EXPERIMENT)
        assert [(one.ctype, str(one.runs)) for one in found] == [
            *(("pedestals", "0-5"), ("pedestals", "6-end"), ("pixel_gain", "0-end"))
        ]
        assert [one.meta.get("unit") for one in found] == ["ADU", "ADU", "keV/ADU"]
        assert db.find(detector=CSPAD, query={"data_shape": "(1,)"}, ctype="pixel_gain")
        assert db.find(detector=CSPAD, query={"data_shape": "(2,)"}) == []


def test_history_tells_who_when_and_why(calib):
    folder = fill(calib, CSPAD, "pedestals", "7-end.data", "8-end.data")
    (folder / "HISTORY").write_text(
        "file:7-end.data  copy_of:/a/b.txt  exp:cxi83714  run:0007  comment:calibrun-dark  "
        "user:me  host:here  cptime:2016-01-02T03:04:05  zone:PST\nno record at all\n"
    )
    with opened(calib) as db:
        _, meta = db.get(CSPAD, "pedestals", run=7)
        assert (meta["comment"], meta["uid"], meta["host"]) == ("calibrun-dark", "me", "here")
        assert (meta["iofname"], meta["run_orig"], meta["time_sec"]) == ("/a/b.txt", 7, 1451732645)
        _, other = db.get(CSPAD, "pedestals", run=8)
        assert other["comment"] == "no comment"
        assert other["time_sec"] == int((folder / "8-end.data").stat().st_mtime)


# Files -----------------------------------------------------------------------------------------


@pytest.fixture
def begun(monkeypatch):
    """Return the list of files whose beginning was read; reading a whole one is an error."""
    beginning, files = contents.fields_of, []

    def noted(path, ctype):
        files.append(path.name)
        return beginning(path, ctype)

    def refuse(path, ctype):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(contents, "fields_of", noted)
    monkeypatch.setattr(contents, "read", refuse)
    return files


def test_no_file_is_opened_to_tell_what_there_is(calib, begun):
    fill(calib, CSPAD, "pedestals", "0-5.data", "6-end.data")
    with opened(calib) as db:
        assert [one["ctypes"] for one in db.detectors()] == [["pedestals"]]
        assert db.databases()[0]["collections"][0]["documents"] == 2
    assert begun == []


def test_a_list_reads_what_files_begin_with_and_once(calib, begun):
    fill(calib, CSPAD, "pedestals", "0-5.data", "6-end.data")
    with opened(calib) as db:
        for _ in range(3):
            assert {one.meta["data_shape"] for one in db.find(detector=CSPAD)} == {"(1,)"}
    assert sorted(begun) == ["0-5.data", "6-end.data"]


def test_a_look_up_opens_few_files_of_many(calib, begun):
    fill(calib, CSPAD, "pedestals", *(f"{run}-end.data" for run in range(50)))
    with opened(calib) as db:
        assert list(db.detector(CSPAD, run=30).calibconst) == ["pedestals"]
        assert set(begun) == {"30-end.data"}
        assert db.version(CSPAD, "pedestals", run=20).runs.begin == 20
    assert len(set(begun)) <= 5


HEADERS = [
    "# SHAPE (2,3)\n# DATATYPE uint16\n# DTYPE int8\n# NDIM 2\n# DIM:0 2\n# DIM:1 3\n1 2 3 4 5 6\n",
    "# Metadata for ndarray<float,1>\n# DTYPE float\n# NDIM 1\n# DIM:0 3\n1 2 3\n",
    "# by hand\n1 2 3\n\n4 5 6 # the last\n",
    "1 2 3",
    "# DTYPE int16\r\n1 2\r\n3 4\r\n",
    "1\n2\n3\n",
    "# x\n" * 20_000 + "# DTYPE uint8\n1 2\n3 4\n",
]


@pytest.mark.parametrize("content", HEADERS)
def test_headers_tell_what_reading_gives(calib, content):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data")
    (folder / "0-end.data").write_bytes(content.encode())
    with opened(calib) as db:
        data, meta = db.get(CSPAD, "pedestals", run=7)
    assert np.array_equal(data, text.read(folder / "0-end.data"))
    assert (meta["data_dtype"], meta["data_shape"]) == (str(data.dtype), str(data.shape))


@pytest.mark.parametrize("content", ["4 6 30 10\n", "4\n6\n", "# SHAPE (1,2)\n# DTYPE int8\n4 6\n"])
def test_common_mode_is_one_list(calib, content):
    folder = fill(calib, CSPAD, "common_mode", "0-end.data")
    (folder / "0-end.data").write_text(content)
    with opened(calib) as db:
        data, meta = db.get(CSPAD, "common_mode", run=7)
    assert np.array_equal(data, text.read_common_mode(folder / "0-end.data"))
    assert (meta["data_dtype"], meta["data_shape"]) == ("float64", str(data.shape))


def test_hdf5_of_xtcav_is_a_dict(calib):
    data = {"images": np.arange(6.0).reshape(2, 3), "ROI": {"x0": np.int64(3)}}
    folder = fill(calib, XTCAV, "lasingoffreference", group="Xtcav::CalibV1")
    xtcav.write(folder / "1-end.data", data)
    with opened(calib) as db:
        got, meta = db.get(f"xtcav_{XTCAV}", "lasingoffreference", run=7)
        assert np.array_equal(got["images"], data["images"])
        assert got["ROI"] == data["ROI"]
        assert meta["dtype"] == "json"
        assert db.find(detector=f"xtcav_{XTCAV}")[0].nbytes is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "holds no numbers"),
        (b"1 2\n3 x\n", "line 2, column 3: 'x' is not a number"),
        (b"# NDIM 1\n# DIM:0 3\n1 2\n", "needs 3"),
        (b"\0\0", "binary"),
        (b"1 2\n3 4\n# DTYPE uint8\n", None),
        (b"1 2\n3 4\n" * 20_000 + b"# DTYPE uint8\n", "not at its beginning"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_hides_no_other(calib, content, why):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data", "5-end.data")
    (folder / "5-end.data").write_bytes(content)
    with opened(calib) as db:
        assert len(db.find(detector=CSPAD)) == 2
        assert db.get(CSPAD, "pedestals", run=3)[0].tolist() == [0]
        if why:
            with pytest.raises(BadFile, match=why):
                db.get(CSPAD, "pedestals", run=7)
        else:
            assert db.get(CSPAD, "pedestals", run=7)[0].shape == (2, 2)


def test_a_file_that_cannot_be_read_is_a_line_in_trend_and_stale(calib):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data", "5-end.data")
    fill(calib, CSPAD, "pixel_rms", "0-end.data")
    (folder / "5-end.data").write_text("1 x")
    with opened(calib) as db:
        points = trends.trend(db, trends.versions_of(db, CSPAD, "pedestals"))
        told = {point.version.runs.begin: point.note for point in points}
        assert told[0] == ""
        assert told[5].startswith("cannot be read: ")
        assert told[5].endswith("'x' is not a number")
        there = staleness.in_force(db, experiment=EXPERIMENT)
        found = staleness.conditions(db, there, staleness.Thresholds())
        assert [(one.ctype, one.stale) for one in found] == [
            ("pedestals", True), ("pixel_rms", False),
        ]  # fmt: skip
        assert found[0].reasons == (told[5],)


def test_a_service_says_why_a_file_cannot_be_read(calib):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data")
    (folder / "0-end.data").write_text("1 x")
    with opened(calib) as db:
        version = db.version(CSPAD, "pedestals", run=7)
        with pytest.raises(BadFile, match="'x' is not a number"):
            db.foreign_payload(version.database, version.meta["id_data"])


def make_folder(path):
    path.mkdir()


def make_pipe(path):
    os.mkfifo(path)


def make_dangling(path):
    path.symlink_to("nothing")


@pytest.mark.parametrize(
    ("make", "why"),
    [(make_folder, "folder"), (make_pipe, "pipe"), (make_dangling, "there is no file")],
)
def test_what_is_no_file_is_chosen_by_its_name_and_told(calib, make, why):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data")
    make(folder / "5-end.data")
    with opened(calib) as db:
        assert db.get(CSPAD, "pedestals", run=3)[0].tolist() == [0]
        with pytest.raises(BadFile, match=why):
            db.get(CSPAD, "pedestals", run=7)


def test_a_link_to_a_file_is_read(calib, tmp_path):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data")
    (tmp_path / "far.txt").write_text(text_of(42))
    (folder / "5-end.data").symlink_to(tmp_path / "far.txt")
    with opened(calib) as db:
        assert db.get(CSPAD, "pedestals", run=7)[0].tolist() == [42]


def test_a_folder_that_may_not_be_read_is_told_and_hides_no_other(calib, unreadable, caplog):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data")
    fill(calib, CSPAD, "pixel_rms", "0-end.data")
    unreadable.append(folder)
    with opened(calib) as db:
        for experiment in (None, EXPERIMENT):
            with pytest.raises(StoreRefused, match=f"{folder}' may not be read"):
                db.get(CSPAD, "pedestals", run=7, experiment=experiment)
            assert list(db.detector(CSPAD, experiment=experiment).calibconst) == ["pixel_rms"]
        assert [one.ctype for one in db.find(experiment=EXPERIMENT)] == ["pixel_rms"]
        assert db.detectors()[0]["ctypes"] == ["pixel_rms"]
    assert caplog.text.count("may not be read") == 1


def test_a_tree_that_is_not_there_is_told(tmp_path):
    with opened(tmp_path / "calib") as db, pytest.raises(NotFound, match="calib"):
        db.detectors()


def test_hostile_names_hide_no_other_and_are_told_once(calib, caplog):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data", "5-END.data", "9-\n.data")
    for bad in ("a\nb::CalibV1", "CsPad::CalibV1/no source", "CsPad::CalibV1/x:y z"):
        (calib / bad / "pedestals").mkdir(parents=True)
    (folder.parent / os.fsdecode(b"\xff")).mkdir()
    (folder / "HISTORY").write_bytes(b"file:0-end.data  user:\xff\x1b[31m  cmd\0:x\n\xfe\n")
    with opened(calib) as db:
        for _ in range(3):
            data, meta = db.get(CSPAD, "pedestals", run=7)
        assert data.tolist() == [0]
        assert meta["uid"].startswith("\\xff")
        assert len(db.detectors()) == 1
    assert caplog.text.count("5-END.data") == 1
    json.dumps(meta).encode()


def test_a_tree_whose_path_is_no_text_is_read(tmp_path):
    calib = tmp_path / os.fsdecode(b"caf\xe9") / "calib"
    fill(calib, CSPAD, "pedestals", "0-end.data")
    with opened(calib) as db:
        data, meta = db.get(CSPAD, "pedestals", run=7)
    assert data.tolist() == [0]
    assert json.dumps(meta, ensure_ascii=False).encode()


@pytest.mark.parametrize("url", ["lcls1:calib", "lcls1://host/calib", "lcls1:", "lcls1:///a?b"])
def test_an_address_names_an_absolute_path(url):
    with pytest.raises(BadName, match="lcls1|%3F"):
        cdb.open(url)


def test_an_address_may_stand_in_the_environment(calib, monkeypatch):
    fill(calib, CSPAD, "pedestals", "0-end.data")
    monkeypatch.setenv("CDB_URL", calib.as_uri().replace("file:", "LCLS1:"))
    with cdb.open() as db:
        assert db.get(CSPAD, "pedestals", run=7)[0].tolist() == [0]
        assert f"of experiment {EXPERIMENT}, read-only" in db.store.describe()


def test_stores_alone_do_not_know_trees():
    with pytest.raises(BadName, match="which `cdb.open` opens"):
        open_store("lcls1:///some/calib")


# While others write ----------------------------------------------------------------------------


def test_a_file_that_is_replaced_between_listing_and_reading_is_told(calib):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data")
    with opened(calib) as db:
        version = db.version(CSPAD, "pedestals", run=7)
        (folder / "new").write_text(text_of(1))
        (folder / "new").replace(folder / "0-end.data")
        with pytest.raises(WrongState, match="ask again"):
            db.data(version)
        assert db.get(CSPAD, "pedestals", run=7)[0].tolist() == [1]


def test_a_file_that_is_written_while_it_is_read_is_told(calib, monkeypatch):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data")
    read = contents.read

    def read_slowly(path, ctype):
        data = read(path, ctype)
        path.write_text(text_of(1) + "\n")
        return data

    with opened(calib) as db:
        monkeypatch.setattr(contents, "read", read_slowly)
        with pytest.raises(WrongState, match="ask again"):
            db.get(CSPAD, "pedestals", run=7)
    assert folder.is_dir()


def test_a_reader_beside_a_writer_gets_one_content_or_an_error(calib):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data")
    stop = threading.Event()

    def write():
        for number in range(10_000):
            if stop.is_set():
                break
            (folder / ".new").write_text(
                f"# DTYPE int64\n# NDIM 1\n# DIM:0 {1 + number % 3}\n"
                + f"{number}\n" * (1 + number % 3)
            )
            (folder / ".new").replace(folder / "0-end.data")

    writer = threading.Thread(target=write)
    writer.start()
    answers = 0
    try:
        with opened(calib) as db:
            for _ in range(100):
                try:
                    data, meta = db.get(CSPAD, "pedestals", run=7)
                except WrongState:
                    continue
                answers += 1
                assert len(set(data.tolist())) == 1
                assert meta["data_shape"] == str(data.shape)
    finally:
        stop.set()
        writer.join()
    assert answers


# No writing ------------------------------------------------------------------------------------


def test_nothing_is_written(calib):
    folder = fill(calib, CSPAD, "pedestals", "0-end.data")
    before = sorted(calib.rglob("*"))
    with opened(calib) as db:
        for write in (
            lambda: db.add([1], detector=CSPAD, ctype="pedestals", run=1),
            lambda: db.add([1], detector="epix_000001", ctype="x", run=1, experiment=EXPERIMENT),
            lambda: db.retire(db.version(CSPAD, "pedestals", run=1).id, reason="no"),
            lambda: db.store.update("cdb_x", "y", {}, set={"a": 1}),
            lambda: db.store.remove("cdb_x", ["0"]),
        ):
            with pytest.raises((StoreRefused, WrongState)) as told:
                write()
            assert "\n" not in str(told.value)
        with pytest.raises(StoreRefused, match="cdb lcls1 deploy"):
            db.add([1], detector=CSPAD, ctype="pedestals", run=1)
    assert sorted(calib.rglob("*")) == before
    assert folder.is_dir()


def test_a_version_is_found_by_its_id(calib):
    fill(calib, CSPAD, "pedestals", "0-5.data", "6-end.data")
    with opened(calib) as db:
        for experiment in (None, EXPERIMENT):
            version = db.version(CSPAD, "pedestals", run=7, experiment=experiment)
            assert db.version_by_id(version.id).meta == version.meta
        with pytest.raises(NotFound, match="what is changed gets another id"):
            db.version_by_id("0" * 24)


def test_new_data_are_held_against_what_is_in_force(calib):
    folder = fill(calib, EPIX, "pedestals", "0-end.data")
    pedestals = np.random.default_rng(1).normal(1000, 5, (704, 768)).astype("float32")
    text.write(folder / "0-end.data", pedestals)
    with opened(calib) as db:
        asked = {"detector": EPIX, "ctype": "pedestals", "run": 7}
        assert [f.code for f in db.check(pedestals + 500, **asked).findings] == ["drift"]
        there = db.check_version(db.version(EPIX, "pedestals", run=7).id)
        assert "nobody knows what was in force before it" in str(there.notes)


@pytest.mark.parametrize(
    "ask",
    [
        lambda db: db.get(CSPAD, "pedestals", run=7, as_of=0),
        lambda db: db.find(detector=CSPAD, as_of="2020-01-01T00:00:00Z"),
        lambda db: db.get(CSPAD, "pedestals", run=7, tag="summer"),
        lambda db: db.lineage("0" * 24),
        lambda db: db.retire("0" * 24, reason="no"),
        lambda db: Feed(db),
        lambda db: list(Check(db.journal).run()),
        lambda db: db.tags.create("summer", at="now"),
        lambda db: list(strangers(db.journal)),
    ],
)
def test_what_needs_a_journal_says_that_there_is_none(calib, ask):
    fill(calib, CSPAD, "pedestals", "0-end.data")
    with opened(calib) as db, pytest.raises(WrongState, match=r"no journal; `cdb lcls1 check`"):
        ask(db)


def test_another_process_finds_the_bytes_by_their_id(calib):
    fill(calib, CSPAD, "pedestals", "0-end.data")
    with opened(calib) as db:
        version = db.version(CSPAD, "pedestals", run=7)
        detector = pickle.loads(pickle.dumps(db.detector(CSPAD, run=7)))
        assert detector.calibconst["pedestals"][0].tolist() == [0]
    with Lcls1Store(calib) as other:
        assert bytes(other.read(version.database, version.meta["id_data"])) == bytes(8)
        assert other.blob(version.database, version.meta["id_data"]).nbytes == 8
        assert other.blob(version.database, "0" * 24) is None
        with pytest.raises(NotFound):
            other.read(version.database, "0" * 24)


@pytest.mark.parametrize(
    "words",
    [
        ["info"], ["info", "--json"], ["detectors"], ["experiments"], ["ls"], ["ls", "-d", EPIX],
        ["explain", "-d", EPIX, "-c", "geometry", "-r", "7"], ["ls", "-d", EPIX, "--json"],
        ["history", "-d", EPIX, "-c", "geometry"],
    ],
)  # fmt: skip
def test_commands_answer(words, monkeypatch):
    monkeypatch.setenv("CDB_URL", REAL.as_uri().replace("file:", "lcls1:"))
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert result.output.strip()


def test_cdb_get_writes_what_holds(calib, tmp_path, monkeypatch):
    fill(calib, CSPAD, "pedestals", "0-5.data", "6-end.data")
    url = calib.as_uri().replace("file:", "lcls1:")
    words = ["get", "-d", CSPAD, "-c", "pedestals", "-r", "7", "--url", url]
    result = CliRunner().invoke(cli, [*words, "-f", str(tmp_path / "peds")])
    assert result.exit_code == 0, result.output
    assert np.load(tmp_path / "peds.npy").tolist() == [1]


def test_a_far_run_is_answered_as_the_last_one(calib):
    fill(calib, CSPAD, "pedestals", "0-end.data", "7-9999.data", "8-9998.data")
    with opened(calib) as db:
        assert answer(db, CSPAD, "pedestals", 20_000) == "7-9999.data"
        assert answer(db, CSPAD, "pedestals", None) == "7-9999.data"
        assert db.get(CSPAD, "pedestals")[1]["end"] == 2**53
        assert math.isinf(db.version(CSPAD, "pedestals").runs.end)


def test_lists_of_types_are_those_of_the_files(calib):
    fill(calib, CSPAD, "pedestals", "0-5.data", "6-end.data")
    fill(calib, CSPAD, "pixel_gain", "bad.data")
    with opened(calib) as db:
        store = db.store
        place = ("cdb_cspad_000002", "cspad_000002")
        assert store.distinct(*place, "ctype") == ["pedestals"]
        assert store.distinct(*place, "ctype", {"ctype": {"$ne": "pedestals"}}) == []
        assert store.distinct(*place, "ctype", {"run": {"$gt": 9}}) == []
        assert store.distinct(*place, "ctype", {"$or": [{"run": 6}, {"run": 9}]}) == ["pedestals"]
        assert store.distinct(*place, "run", {"ctype": "pedestals"}) == [0, 6]
        assert store.distinct("cdb_other", "cspad_000002", "ctype") == []
        assert store.distinct("cdb_detnames", "cspad", "ctype") == []
        assert store.count(*place) == 2
        assert store.count("cdb_detnames", "cspad") == 1
        assert store.count("cdb_detnames", "epix") == 0
