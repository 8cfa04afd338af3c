"""A detector's calls: constants of any run, masks, frames, places, images."""

import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import cdb
from cdb import calibration
from cdb.database import Database
from cdb.detector import Detector
from cdb.detector.gone import GONE
from cdb.errors import (
    BadArray,
    BadFile,
    BadPayload,
    BadQuestion,
    BadRun,
    Corrupt,
    NotBundled,
    NotFound,
    WrongState,
)
from cdb.files import text
from cdb.geometry.defaults import default_for
from cdb.geometry.tree import format as written
from cdb.packing import Asked, Packing
from cdb.photons import count_photons
from cdb.pixel_constants import LoadingStatus
from cdb.replaying import replayed
from cdb.validity import RunRange
from tests.programs import EPIX, OtherProgram

PANEL = (512, 1024)
TWO = "CAM 0 EPIX10KA:V1 0 0 0 0 0 0 0 0 0 0\nCAM 0 EPIX10KA:V1 1 50000 0 5 0 0 0 0 0 0\n"
TEXT = TWO + "IP 0 CAM 0 0 0 -100000 90 0 0 0 0 0\n"


@pytest.fixture
def db() -> Iterator[Database]:
    with cdb.open("memory://", gates="off") as db:
        yield db


def add(db, ctype, data, name="jungfrau_000001", run=1, **how):
    return db.add(data, detector=name, ctype=ctype, run=run, **how)


def with_constants(db, name, run=1, **constants) -> Detector:
    for ctype, data in constants.items():
        add(db, ctype, data, name, run)
    return db.detector(name, run=9)


@pytest.fixture
def random():
    return np.random.default_rng(2)


@pytest.fixture
def jungfrau(db, random) -> Detector:
    """One panel, with all that a calibration takes, for run 9."""
    status = np.zeros((3, 1, *PANEL), "uint64")
    status[1, 0, 5, 6], status[2, 0, 100, 200] = 4, 2
    return with_constants(
        db, "jungfrau_000001",
        pedestals=random.normal(2000, 50, (3, 1, *PANEL)).astype("float32"),
        pixel_gain=random.normal(40, 1, (3, 1, *PANEL)).astype("float32"),
        pixel_status=status,
        geometry=written(default_for("jungfrau", 1)),
    )  # fmt: skip


@pytest.fixture
def pair(db) -> Detector:
    """An epix10ka of two panels, with status and geometry."""
    status = np.zeros((7, 2, 352, 384), "uint16")
    status[0, 0, 10, 20], status[6, 1, 5, 5], status[3, 1, 0, 0] = 1, 1, 32
    mask = np.ones((2, 352, 384), "uint8")
    mask[1, 50:60] = 0
    return with_constants(
        db, "epix10ka_000001", pixel_status=status, pixel_mask=mask, geometry=TEXT
    )


# constants -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "ctype", "dtype"),
    [
        ("pedestals", "pedestals", "float32"), ("rms", "pixel_rms", "float32"),
        ("gain", "pixel_gain", "float32"), ("offset", "pixel_offset", "float32"),
        ("bkgd", "pixel_bkgd", "float32"), ("status", "pixel_status", "uint16"),
        ("status_extra", "status_extra", "uint64"), ("status_data", "status_data", "uint16"),
        ("datast", "status_data", "uint16"),
        ("mask_calib", "pixel_mask", "uint8"),
    ],
)  # fmt: skip
def test_each_constant_has_its_call(db, call, ctype, dtype):
    stored = np.arange(2 * 185 * 388).reshape(185, 388, 2) % 2
    det = with_constants(db, "cspad2x2_000001", **{ctype: stored})
    for found in (getattr(det, call)(), getattr(det, call)(9), getattr(det, call)(run=12)):
        assert (found.shape, found.dtype) == ((2, 185, 388), dtype)
        np.testing.assert_array_equal(found, np.moveaxis(stored, -1, 0))


def test_arrays_are_kept_and_read_only(jungfrau):
    first = jungfrau.pedestals()
    assert jungfrau.pedestals(9) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0, 0, 0] = 1
    assert not jungfrau.status().flags.writeable


def test_the_old_name_of_status_data_is_found(db):
    det = with_constants(db, "opal_000001", pixel_datast=np.ones((3, 4), "uint16"))
    assert det.status_data().sum() == 12


def test_what_is_not_there_is_an_error_that_names_what_is(jungfrau):
    with pytest.raises(NotFound, match="no pixel_rms of jungfrau_000001 run 9 .*there are: geom"):
        jungfrau.rms()


@pytest.mark.parametrize(
    "ask",
    [
        lambda det: det.rms(), lambda det: det.mask(calib=True), lambda det: det.coords_x(),
        lambda det: det.calib(np.zeros((704, 768))), lambda det: det.status_as_mask(),
        lambda det: det.common_mode_correction(None, np.zeros((704, 768))),
    ],
)  # fmt: skip
def test_what_is_not_there_names_the_way_on(db, ask):
    with pytest.raises(NotFound, match="; with default=True a default stands in"):
        ask(db.detector("epix100a_000001", run=3))


@pytest.mark.parametrize(
    ("name", "call", "shape", "value"),
    [
        ("cspad_000001", "rms", (32, 185, 388), 1),
        ("epix100a_000001", "pedestals", (704, 768), 0),
        ("cspad2x2_000001", "mask_calib", (2, 185, 388), 1),
    ],
)
def test_a_default_stands_in_when_it_is_asked_for(db, name, call, shape, value):
    det = db.detector(name, run=3)
    found = getattr(det, call)(default=True)
    assert (found.shape, float(found.min()), float(found.max())) == (shape, value, value)
    with pytest.raises(NotFound):
        getattr(det, call)()


def test_a_default_takes_its_shape_from_other_constants_or_says_that_none_is_known(db, jungfrau):
    assert jungfrau.rms(default=True).shape == (3, 1, *PANEL)
    assert jungfrau.mask_calib(default=True).shape == (1, *PANEL)
    with pytest.raises(NotFound, match="no constant of jungfrau_000007 tells how many pixels"):
        db.detector("jungfrau_000007").pedestals(default=True)


def test_common_mode_is_a_list_of_numbers(db):
    det = with_constants(db, "epix10ka_000001", common_mode=[7, 2, 10, 10])
    assert (det.common_mode().tolist(), det.common_mode().dtype) == ([7, 2, 10, 10], "float64")
    assert db.detector("cspad_000001").common_mode(default=True).tolist() == [1, 25, 25, 100]
    with pytest.raises(NotFound, match="no common_mode"):
        db.detector("cspad_000001").common_mode()


@pytest.mark.parametrize(
    ("name", "ctype", "data", "asked", "status"),
    [
        ("epix100a_000001", "pedestals", np.ones((704, 768)), "pedestals", "LOADED"),
        ("epix100a_000001", "pedestals", np.ones((704, 768)), 0, "LOADED"),
        ("epix100a_000001", "pedestals", np.ones((7, 8)), "pedestals", "WRONGSIZE"),
        ("epix100a_000001", "pixel_mask", np.full((704, 768), -1), "pixel_mask", "WRONGSIZE"),
        ("epix100a_000001", "pedestals", "a text", "pedestals", "UNREADABLE"),
        ("epix100a_000001", "pedestals", [[1], [2, 3]], "pedestals", "UNREADABLE"),
        ("epix100a_000001", "notes", "a text", "pedestals", "NONFOUND"),
        ("epix100a_000001", "notes", "a text", "notes", "UNDEFINED"),
        ("epix100a_000001", "geometry", "no geometry", "geometry", "UNREADABLE"),
        ("epix10ka_000001", "geometry", TEXT, 7, "LOADED"),
        ("epix100a_000001", "geometry", TEXT, "geometry", "WRONGSIZE"),
    ],
)
def test_the_loading_status_tells_the_true_cause(db, name, ctype, data, asked, status):
    det = with_constants(db, name, **{ctype: data})
    assert det.loading_status(None, asked).name == status
    if status == "NONFOUND":
        assert det.loading_status(9, asked, default=True) is LoadingStatus.DEFAULT


def test_damaged_bytes_are_unreadable_and_never_a_default(tmp_path):
    with cdb.open((tmp_path / "store").as_uri(), gates="off") as db:
        version = add(db, "pedestals", np.ones((704, 768)), "epix100a_000001")
        path = db.store.folder / "payloads" / version.sha256[:2] / version.sha256
        path.chmod(0o644)
        path.write_bytes(b"\1" * version.nbytes)
        det = db.detector("epix100a_000001", run=3)
        assert det.loading_status(3, "pedestals", default=True) is LoadingStatus.UNREADABLE
        with pytest.raises(Corrupt):
            det.pedestals(default=True)


def test_values_that_do_not_fit_are_an_error_here_and_bits_all_the_same(db):
    status = np.zeros((704, 768), "uint64")
    status[1, 2] = 2**20
    det = with_constants(db, "epix100a_000001", pixel_status=status)
    with pytest.raises(BadArray, match="holds 1048576, which uint16 cannot"):
        det.status()
    assert np.argwhere(det.status_as_mask() == 0).tolist() == [[1, 2]]


def test_places_and_shape_fetch_no_array(pair, monkeypatch):
    asked = []
    monkeypatch.setattr(pair.calibconst, "_read", lambda version: asked.append(version.ctype))
    assert pair.shape() == (2, 352, 384)
    with pytest.raises(BadPayload):
        pair.coords_x()
    assert asked == ["geometry"]


# runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("any_db", ["memory", "embedded", "mock", "service"], indirect=True)
def test_another_run_is_looked_up_as_of_the_same_state(any_db):
    for run in (1, 5):
        any_db.add(np.full((3, 4), run), detector="opal_000001", ctype="pedestals", run=run,
                   experiment="xpp1", time=1_600_000_000)  # fmt: skip
    det = any_db.detector("opal_000001", experiment="xpp1", run=7)
    any_db.add(np.full((3, 4), 9.0), detector="opal_000001", ctype="pedestals", run=2,
               experiment="xpp1", time=1_600_000_000)  # fmt: skip
    assert [det.pedestals(run).max() for run in (None, 7, 5, "4", np.int64(2))] == [5, 5, 5, 1, 1]
    assert (det.for_run(4).run, det.for_run(4).seq) == (4, det.seq)
    assert det.for_run(4) is det.for_run(4)
    with pytest.raises(NotFound):
        det.pedestals(0)
    with pytest.raises(BadRun):
        det.pedestals("x")


@pytest.mark.parametrize("any_db", ["memory", "embedded", "mock", "service"], indirect=True)
def test_what_left_since_is_there_for_another_run_too(any_db):
    old = any_db.add([1], detector="opal_000001", ctype="common_mode", run=1, experiment="xpp1")
    det = any_db.detector("opal_000001", experiment="xpp1", run=7)
    any_db.retire(old.id, reason="wrong")
    assert det.common_mode(3).tolist() == [1]


@pytest.mark.parametrize("any_db", ["memory", "mock"], indirect=True)
@pytest.mark.parametrize("begun", [False, True])
def test_what_other_programs_wrote_is_there_for_another_run_too(any_db, begun):
    if begun:  # long before
        any_db.add("ours", detector=EPIX, ctype="notes", experiment="xpp1", run=100)
    for number, run in enumerate((1, 5), start=1):
        OtherProgram(any_db.store).insert(
            f"theirs {run}", number=number, run=run, second=2_000_000_000
        )
    det = any_db.detector(EPIX, experiment="xpp1", run=7)
    if begun:
        any_db.add("ours", detector=EPIX, ctype="notes", experiment="xpp1", run=2)
    found = [det.for_run(run).calibconst["notes"][0] for run in (7, 3)]
    assert found == ["theirs 5", "theirs 1"]


def test_a_detector_of_an_lcls1_tree_answers_for_runs_and_travels(tmp_path):
    folder = tmp_path / "calib" / "Epix100a::CalibV1" / "XppGon.0:Epix100a.1" / "pedestals"
    folder.mkdir(parents=True)
    for name, value in (("1-4", 1), ("5-end", 5)):
        text.write(folder / f"{name}.data", np.full((704, 768), value, "float64"))
    with cdb.open(f"lcls1://{tmp_path}/calib") as tree:
        det = tree.detector("XppGon.0:Epix100a.1", run=7)
        again = pickle.loads(pickle.dumps(det))
        for one in (det, again):
            assert (one.pedestals().max(), one.pedestals(3).max()) == (5, 1)
            assert (one.pedestals().dtype, one.shape()) == ("float32", (704, 768))


def test_another_run_of_a_tag_is_by_the_tag(db):
    add(db, "pedestals", np.zeros((3, 4)), "opal_000001")
    db.tags.create("summer")
    add(db, "pedestals", np.ones((3, 4)), "opal_000001")
    det = db.detector("opal_000001", run=3, tag="summer")
    assert (det.pedestals(4).max(), str(det.for_run(4).tag)) == (0, str(det.tag))


def test_another_run_of_a_bundle_is_answered_as_far_as_it_reaches(tmp_path):
    with cdb.open((tmp_path / "store").as_uri(), gates="off") as db:
        for run in (1, 5, 20):
            add(db, "pedestals", np.full((3, 4), run), "opal_000001", run, experiment="xpp1")
        asked = Asked(experiments=("xpp1",), runs=RunRange(4, 8))
        with Packing(db, asked) as packing:
            packing.write(tmp_path / "some.cdb")
    with cdb.open((tmp_path / "some.cdb").as_uri().replace("file:", "bundle:")) as bundle:
        det = bundle.detector("opal_000001", experiment="xpp1", run=6)
        assert (det.pedestals(4).max(), det.pedestals(8).max()) == (1, 5)
        with pytest.raises(NotBundled):
            det.pedestals(25)


def test_a_replayed_detector_knows_its_own_run_alone(db):
    add(db, "pedestals", np.ones((3, 4)), "opal_000001")
    det = replayed(db, db.detector("opal_000001", run=3).calibconst.stamp())
    assert det.pedestals(3).sum() == 12
    with pytest.raises(WrongState, match=r"for run 4 ask the database: db.detector\('opal_000001'"):
        det.pedestals(4)


def seen_by_a_worker(det: Detector) -> tuple[float, float, float]:
    return float(det.pedestals(2).max()), float(det.pedestals().max()), float(det.coords_x().max())


def test_a_detector_that_was_moved_works_in_another_process(tmp_path):
    with cdb.open((tmp_path / "store").as_uri(), gates="off") as db:
        for run in (1, 5):
            add(db, "pedestals", np.full((704, 768), run), "epix100a_000001", run)
        add(db, "geometry", "IP 0 EPIX100:V1 0 0 0 0 0 0 0 0 0 0\n", "epix100a_000001")
        det = db.detector("epix100a_000001", run=7).move_geo(None, 1000, 0, 0)
        assert len(pickle.dumps(det)) < 1000
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(seen_by_a_worker, (det,)) == (1, 5, 20300)


class EventOfLcls1:
    def run(self):
        return 4


class EventOfLcls2:
    def run(self):
        return SimpleNamespace(runnum=np.int64(4), expt="cxi01516")


@pytest.mark.parametrize("event", [EventOfLcls1(), EventOfLcls2()])
def test_an_event_stands_for_its_run(db, event):
    for run in (1, 5):
        add(db, "pedestals", np.full((3, 4), run), "opal_000001", run)
    det = db.detector("opal_000001", run=7)
    assert det.pedestals(event).max() == 1
    assert det.image(event, np.ones((3, 4))).shape == (3, 4)
    assert det.for_run(event) is det.for_run(4)


def test_size_dimensions_and_instrument(db, pair):
    assert (pair.shape(9), pair.size(9), pair.ndim(9)) == ((2, 352, 384), 2 * 352 * 384, 3)
    assert db.detector("cspad_000001", experiment="cxi01516").instrument() == "CXI"
    for experiment in (None, "p900203"):
        with pytest.raises(NotFound, match="tells no instrument, as cxi01516 does"):
            db.detector("cspad_000001", experiment=experiment).instrument()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("raw", r"cdb.readers reads raw data"), ("gain_mask", "gain_mask=..."),
        ("set_print_bits", "leave it out"), ("is_cspad", "compare det.dettype"),
        ("nothing_like_it", "'Detector' object has no attribute 'nothing_like_it'"),
    ],
)  # fmt: skip
def test_a_call_that_is_not_here_says_what_to_do(pair, name, says):
    with pytest.raises(AttributeError, match=says):
        getattr(pair, name)
    assert not hasattr(pair, name)


@pytest.mark.parametrize("name", GONE)
def test_what_is_said_not_to_be_here_is_not_here(pair, name):
    assert not hasattr(pair, name)


# masks -----------------------------------------------------------------------------------------


def bad(mask):
    return [tuple(map(int, place)) for place in np.argwhere(mask == 0)]


def test_a_status_says_by_the_measured_ranges_what_is_bad(pair):
    assert bad(pair.status_as_mask()) == [(0, 10, 20), (1, 0, 0)]
    assert bad(pair.status_as_mask(indexes=(6,))) == [(1, 5, 5)]
    assert bad(pair.status_as_mask(9, 0xF)) == [(0, 10, 20)]
    assert len(bad(pair.status_as_mask(mode=1))) == 5 + 3
    assert len(bad(pair.status_as_mask(mode=2))) == 9 + 4
    with pytest.raises(BadQuestion, match="mode is 3"):
        pair.status_as_mask(mode=3)


def test_all_kinds_of_status_count_as_far_as_they_are_there(db):
    extra, data = np.zeros((3, 4), "uint64"), np.zeros((3, 4), "uint16")
    extra[0, 0], data[1, 1] = 2**40, 1
    det = with_constants(db, "opal_000001", status_extra=extra, status_data=data)
    assert bad(det.status_as_mask()) == [(0, 0), (1, 1)]
    assert bad(det.status_as_mask(mstextra=0)) == [(1, 1)]
    assert bad(det.status_as_mask(mstextra=1, mstdata=1)) == [(1, 1)]
    with pytest.raises(NotFound, match="no pixel_status"):
        det.status_as_mask(mstextra=0, mstdata=0)
    assert det.status_as_mask(mstextra=0, mstdata=0, default=True).all()


def test_masks_are_taken_together(pair):
    everything = pair.mask_total(edges=True, mrows=2, mcols=3, central=True, calib=True)
    apart = [
        pair.status_as_mask(), pair.mask_calib(), pair.mask_geo(mbits=2),
        pair.mask_total(status=False, edges=True, mrows=2, mcols=3),
    ]  # fmt: skip
    np.testing.assert_array_equal(everything, np.min(apart, axis=0))
    assert everything.shape == (2, 352, 384)
    assert pair.mask_v2().sum() == pair.status_as_mask().sum()
    assert len(bad(pair.mask_total(neighbors=True, rad=2))) == 13 + 6


def test_the_older_call_takes_masks_of_the_sensor(pair):
    np.testing.assert_array_equal(pair.mask(), pair.status_as_mask())
    np.testing.assert_array_equal(pair.mask(9, calib=True), pair.mask_calib())
    edges = pair.mask(edges=True, width=2)
    assert edges[:, 2:-2, 2:-2].all()
    assert edges.sum() == 2 * 348 * 380
    wanted = np.min([pair.status_as_mask(), pair.mask_calib(), pair.mask(edges=True)], axis=0)
    np.testing.assert_array_equal(pair.mask_comb(None, 1 + 2 + 4), wanted)
    np.testing.assert_array_equal(pair.mask_comb(None, 8), pair.mask_geo(None, 2))


def test_unbonded_pixels_of_cspad_are_masked(db):
    det = with_constants(db, "cspad2x2_000001", geometry=written(default_for("cspad2x2")))
    for bit, n in ((16, 2 * 2 * 19), (32, None), (64, None)):
        unbonded = det.mask_comb(9, bit)
        assert unbonded.shape == (2, 185, 388)
        assert unbonded[1, 10, 10 + 194] == 0
        assert n is None or (unbonded == 0).sum() == n
    np.testing.assert_array_equal(det.mask_total(status=False, unbond=True), det.mask_comb(9, 16))


def test_a_mask_of_gain_ranges_is_good_in_all_of_them(db):
    mask = np.ones((3, 1, *PANEL), "uint8")
    mask[2, 0, 7, 8] = 0
    det = with_constants(db, "jungfrau_000001", pixel_mask=mask)
    assert bad(det.mask(calib=True)) == [(0, 7, 8)]
    assert det.mask_calib().shape == (3, 1, *PANEL)


@pytest.mark.parametrize(
    "ask",
    [
        lambda det: det.mask_total(status=False),
        lambda det: det.mask_comb(None, 0),
        lambda det: det.mask_comb(None, 128),
    ],
)
def test_no_mask_at_all_is_no_question(pair, ask):
    with pytest.raises(BadQuestion):
        ask(pair)


def test_masks_that_are_given_grow(pair):
    mask = np.ones((2, 30, 40), "uint8")
    mask[1, 10, 10] = 0
    assert len(bad(pair.mask_neighbors(mask))) == 9
    assert len(bad(pair.mask_neighbors(mask, allnbrs=False))) == 5
    assert len(bad(pair.mask_neighbors_in_radius(mask))) == 2 * 9 * 10 + 1
    assert len(bad(pair.mask_edges(mask, mrows=0, mcols=2))) == 2 * 30 * 4 + 1
    assert bad(mask) == [(1, 10, 10)]


def test_a_camera_without_geometry_has_its_mask_when_defaults_are_asked_for(db):
    status = np.zeros((10, 12), "uint16")
    status[3, 4] = 1
    det = with_constants(db, "opal1000_000001", pixel_status=status)
    everything = {"calib": True, "status": True, "edges": True, "central": True, "unbond": True}
    assert bad(det.mask(9, **everything, unbondnbrs=True, default=True)) == [(3, 4)]
    assert bad(det.mask_v2(9, central=True, unbond=True, default=True)) == [(3, 4)]
    with pytest.raises(NotFound, match="no geometry"):
        det.mask(9, status=True, central=True)


# frames ----------------------------------------------------------------------------------------


@pytest.fixture
def raw(random):
    bits = random.choice([0, 1, 3], (1, *PANEL), p=[0.8, 0.1, 0.1])
    return (random.integers(1900, 2200, (1, *PANEL)) | (bits << 14)).astype("uint16")


def test_a_frame_is_calibrated_by_what_is_there(jungfrau, raw):
    ranges = np.array([0, 1, 9, 2])[raw >> 14][np.newaxis]
    dark = np.take_along_axis(jungfrau.pedestals(), ranges, 0)[0]
    gain = np.take_along_axis(jungfrau.gain(), ranges, 0)[0]
    wanted = ((raw & 0x3FFF) - dark) / gain
    mask = jungfrau.status_as_mask()
    assert bad(mask) == [(0, 5, 6), (0, 100, 200)]
    np.testing.assert_allclose(jungfrau.calib(raw), wanted * mask, rtol=1e-5, atol=1e-5)
    ones = np.ones((1, *PANEL))
    np.testing.assert_allclose(jungfrau.calib(raw, mask=ones), wanted, rtol=1e-5, atol=1e-5)


def test_offset_and_common_mode_are_used_if_they_are_there(db, jungfrau, raw):
    plain = jungfrau.calib(raw)
    offset = np.full((3, 1, *PANEL), 8, "float32")
    with_offset = with_constants(db, "jungfrau_000001", pixel_offset=offset)
    ranges = np.array([0, 1, 9, 2])[raw >> 14][np.newaxis]
    wanted = 8 / np.take_along_axis(jungfrau.gain(), ranges, 0)[0] * jungfrau.status_as_mask()
    np.testing.assert_allclose(plain - with_offset.calib(raw), wanted, rtol=1e-3)
    det = with_constants(db, "jungfrau_000001", run=2, common_mode=[7, 1, 400, 10])
    assert not np.array_equal(det.calib(raw), with_offset.calib(raw))
    np.testing.assert_array_equal(det.calib(raw, cmpars=0), with_offset.calib(raw))
    np.testing.assert_array_equal(det.calib(raw), with_offset.calib(raw, (7, 1, 400, 10)))


@pytest.mark.parametrize(("unit", "factor"), [(None, 0.5), ("keV/ADU", 0.5), ("ADU/keV", 2)])
def test_the_unit_of_the_gain_says_whether_it_multiplies(db, unit, factor):
    add(db, "pedestals", np.zeros((704, 768), "float32"), "epix100a_000001")
    add(db, "pixel_gain", np.full((704, 768), 0.5, "float32"), "epix100a_000001", unit=unit)
    det = db.detector("epix100a_000001", run=3)
    assert det.calib(np.full((704, 768), 8, "uint16")).max() == 8 * factor


def test_cspad2x2_is_calibrated_in_either_order_of_its_data(db, random):
    pedestals = random.normal(900, 9, (185, 388, 2)).astype("float32")
    det = with_constants(db, "cspad2x2_000001", pedestals=pedestals)
    raw = random.integers(900, 999, (185, 388, 2)).astype("int16")
    wanted = np.moveaxis(raw - pedestals, -1, 0)
    np.testing.assert_allclose(det.calib(raw), wanted, atol=1e-4)
    np.testing.assert_allclose(det.calib(np.moveaxis(raw, -1, 0)), wanted, atol=1e-4)


def test_without_pedestals_or_gain_nothing_is_calibrated_unless_asked_for(db):
    raw = np.full((704, 768), 7, "uint16")
    plain = db.detector("epix100a_000001", run=3)
    with pytest.raises(NotFound, match="no pedestals"):
        plain.calib(raw)
    assert (plain.calib(raw, default=True) == 7).all()
    det = with_constants(db, "jungfrau_000001", pedestals=np.ones((3, 1, *PANEL), "float32"))
    raw = np.full((1, *PANEL), 7, "uint16")
    with pytest.raises(NotFound, match="no pixel_gain"):
        det.calib(raw)
    assert (det.calib(raw, default=True) == 6).all()


@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize("raw", [None, [1, 2], "raw", np.array(["a"])])
def test_what_is_no_raw_data_is_refused(db, raw, default):
    with pytest.raises(BadArray, match="are no raw data of epix100a; give an array of numbers"):
        db.detector("epix100a_000001", run=3).calib(raw, default=default)


def test_raw_data_of_jungfrau_keep_their_range_when_they_are_signed(jungfrau, raw):
    np.testing.assert_array_equal(jungfrau.calib(raw.view("int16")), jungfrau.calib(raw))


def test_a_detector_whose_gain_bits_are_unknown_is_refused(db):
    pedestals = np.zeros((3, 4, 192, 384), "float32")
    det = with_constants(db, "epixm320_000001", pedestals=pedestals)
    with pytest.raises(BadQuestion, match="epixm320 are not calibrated here.* AHL, SH, SL"):
        det.calib(np.zeros((4, 192, 384), "uint16"))


@pytest.mark.parametrize("name", ["mask", "gain_mask"])
def test_what_is_no_mask_is_refused(jungfrau, raw, name):
    with pytest.raises(BadArray, match=r"\[1\] is no array"):
        jungfrau.calib(raw, **{name: [1]})


def test_epix10ka_is_calibrated_with_its_configuration(db):
    pedestals = np.arange(7, dtype="float32").reshape(7, 1, 1, 1) * np.ones((7, 1, 352, 384))
    gain = np.full((7, 1, 352, 384), 2, "float32")
    det = with_constants(db, "epix10ka_000001", pedestals=pedestals, pixel_gain=gain)
    raw = np.full((1, 352, 384), 0x4000 + 20, "uint16")
    assert det.calib(raw, words="AHL").max() == (20 - 5) / 2
    with pytest.raises(BadQuestion, match="give words="):
        det.calib(raw)


def test_the_common_mode_is_subtracted_in_place_or_told(db, random):
    status = np.zeros((704, 768), "uint16")
    status[0, 0] = 1
    det = with_constants(db, "epix100a_000001", pixel_status=status, common_mode=[4, 2, 30, 30])
    frame = random.normal(5, 1, (704, 768)).astype("float32")
    before = frame.copy()
    change = det.common_mode_correction(9, frame)
    np.testing.assert_array_equal(frame, before)
    assert det.common_mode_apply(None, frame) is None
    np.testing.assert_allclose(frame, before + change, atol=1e-5)
    assert abs(float(np.median(frame))) < 0.1
    for off in (0, (0,), np.int64(0)):
        assert not det.common_mode_correction(None, frame, off).any()
    with pytest.raises(BadQuestion, match="cmpars is 5"):
        det.common_mode_apply(None, frame, 5)


def test_photons_are_counted_in_good_pixels(pair, random):
    values = random.exponential(1, (2, 352, 384)).astype("float32") * 9.5
    counted = pair.photons(9, values, adu_per_photon=9.5)
    good = pair.mask(calib=True, status=True, edges=True, central=True)
    assert not counted[good == 0].any()
    assert 0.5 < counted[good == 1].mean() < 1
    assert pair.photons(values / 9.5, adu_per_photon=None).sum() == counted.sum()
    everywhere = pair.photons(None, values, np.ones_like(values), 9.5)
    np.testing.assert_array_equal(everywhere, count_photons(values, adu_per_photon=9.5))


# places ----------------------------------------------------------------------------------------


def test_places_are_those_of_the_geometry_in_the_shape_of_a_frame(pair, jungfrau, db):
    x, y, z = pair.geometry().get_pixel_coords()
    for mine, theirs in zip(pair.coords_xyz(), (x, y, z), strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.shape == (2, 352, 384)
    np.testing.assert_array_equal(pair.coords_xy()[1], pair.coords_y(9))
    np.testing.assert_array_equal(pair.coords_x(cframe=1), -pair.coords_y())
    assert pair.coords_z().min() == -100000
    assert (pair.pixel_size(), jungfrau.pixel_size()) == (100, 75)
    assert (pair.areas().max(), pair.areas().shape) == (2.25**2, (2, 352, 384))
    assert len(pair.psf()) == 8
    assert pair.data_psf(9, np.ones((2, 352, 384))).shape == (8, 176, 192)
    assert pair.pixel_coords_psf(9)[0].shape == (8, 176, 192)
    one = with_constants(db, "epix100a_000001", geometry="IP 0 EPIX100:V1 0 0 0 0 0 0 0 0 0 0\n")
    assert (one.coords_x().shape, one.shape()) == ((704, 768), (704, 768))
    cspad = with_constants(db, "cspad2x2_000001", geometry=written(default_for("cspad2x2")))
    assert cspad.coords_z().shape == cspad.indexes_x().shape == (2, 185, 388)


def test_indices_are_those_of_the_geometry_and_depend_on_no_earlier_call(pair):
    geometry = pair.geometry()
    for size, offset in ((None, None), (150.0, (3, 7)), (None, None)):
        rows, cols = geometry.get_pixel_coord_indexes(pix_scale_size_um=size, xy0_off_pix=offset)
        np.testing.assert_array_equal(pair.indexes_x(None, size, offset), rows)
        np.testing.assert_array_equal(pair.indexes_xy(9, size, offset)[1], cols)
        np.testing.assert_array_equal(pair.indexes_y(9, size, offset), cols)
    at_z = geometry.get_pixel_xy_inds_at_z(zplane=-50000)
    np.testing.assert_array_equal(pair.indexes_xy_at_z(None, -50000), at_z)
    assert pair.point_indexes(fract=True) != pair.point_indexes()
    assert pair.point_indexes() == geometry.point_coord_indexes((0, 0))


def test_an_image_and_back(pair, random):
    values = random.random((2, 352, 384)).astype("float32")
    image = pair.image(values)
    assert (image.ndim, image.dtype) == (2, np.float32)
    for other in (pair.image(9, values), pair.image(None, nda_in=values)):
        np.testing.assert_array_equal(other, image)
    np.testing.assert_array_equal(pair.ndarray_from_image(None, image), values)
    assert (len(pair.image_xaxis()), len(pair.image_yaxis())) == image.shape
    rows, cols = pair.indexes_xy()
    assert np.abs(pair.image_xaxis()[rows] - pair.coords_x()).max() <= 50.001
    assert np.abs(pair.image_yaxis()[cols] - pair.coords_y()).max() <= 50.001
    wide = pair.image(values, xy0_off_pix=(4, 0))
    assert (wide.shape[0], len(pair.image_xaxis(x0_off_pix=4))) == (image.shape[0] + 4,) * 2
    assert pair.image_xaxis(x0_off_pix=4)[0] == pytest.approx(pair.image_xaxis()[0] - 400)


def test_a_frame_in_two_dimensions_is_its_own_image(db, random):
    det = with_constants(db, "opal1000_000001", pedestals=np.zeros((10, 12), "float32"))
    frame = random.random((10, 12))
    np.testing.assert_array_equal(det.image(frame), frame)
    assert not np.shares_memory(det.image(frame), frame)


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda det: det.image(9), BadQuestion, r"det.image\(run, nda\) is what it takes"),
        (lambda det: det.image(np.zeros(3), 110.0), BadQuestion, "anything else by its name"),
        (lambda det: det.photons(np.zeros(3), np.zeros(3)), BadQuestion, "anything else"),
        (lambda det: det.image(np.zeros((3, 352, 384))), BadArray, "are not of"),
        (lambda det: det.image(np.zeros((2, 384, 352))), BadArray, "are not of"),
        (lambda det: det.indexes_xy(9, 0), BadQuestion, "larger than 0 um, not 0"),
        (lambda det: det.indexes_xy(9, None, (float("nan"), 0)), BadQuestion, "by two numbers"),
        (lambda det: det.indexes_xy(9, None, 3), BadQuestion, "by two numbers of pixels, not 3"),
        (lambda det: det.image_xaxis(9, None, "x"), BadQuestion, "by two numbers of pixels"),
        (lambda det: det.move_geo(9, float("nan"), 0, 0), BadQuestion, "is moved and tilted by n"),
        (lambda det: det.tilt_geo(9, 0, "1", 0), BadQuestion, "is moved and tilted by numbers"),
        (lambda det: det.for_run(0).coords_x(), NotFound, "no geometry"),
    ],
)
def test_what_makes_no_image_is_refused(pair, ask, error, says):
    with pytest.raises(error, match=says):
        ask(pair)


def test_a_geometry_with_other_panels_is_refused(db):
    det = with_constants(db, "epix10ka_000001", geometry=TEXT, pixel_mask=np.ones((1, 352, 384)))
    with pytest.raises(BadArray, match="the geometry has 2 panels of 352 x 384 pixels, and arrays"):
        det.coords_x()
    bad = with_constants(db, "epix10ka_000002", geometry=7)
    with pytest.raises(BadPayload, match="geometry of epix10ka_000002 is no text"):
        bad.coords_x()
    worse = with_constants(db, "epix10ka_000003", geometry="IP 0 CAM 0 1 2\n")
    with pytest.raises(BadFile, match="geometry of epix10ka_000003, line 1"):
        worse.coords_x()


def test_a_packaged_geometry_is_taken_by_the_number_of_panels_when_asked_for(db):
    det = with_constants(db, "jungfrau_000001", pedestals=np.zeros((3, 2, *PANEL), "float32"))
    with pytest.raises(NotFound, match="no geometry"):
        det.image(np.zeros((2, *PANEL)))
    assert det.coords_x(default=True).shape == (2, *PANEL)
    assert det.geometry(default=True).shape3d() == (2, *PANEL)
    assert det.loading_status(None, "geometry", default=True) is LoadingStatus.DEFAULT
    assert db.detector("cspad_000001").coords_z(default=True).shape == (32, 185, 388)


def test_a_detector_is_moved_by_making_another(pair):
    still = pair.coords_xyz()
    moved = pair.move_geo(None, 10, 20, 30)
    tilted = moved.tilt_geo(9, 1, 0, 0)
    for before, now, step in zip(still, moved.coords_xyz(), (10, 20, 30), strict=True):
        np.testing.assert_allclose(now, before + step, atol=1e-6)
    np.testing.assert_array_equal(pair.coords_x(), still[0])
    geometry = pair.geometry()
    geometry.move_geo(None, 0, 10, 20, 30)
    geometry.tilt_geo(None, 0, 1, 0, 0)
    for theirs in (geometry.get_pixel_coords(), tilted.geometry().get_pixel_coords()):
        for mine, other in zip(tilted.coords_xyz(), theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(moved.for_run(4).coords_x(), moved.coords_x())


def test_what_is_done_to_a_geometry_object_stays_there(pair):
    before = pair.coords_x().copy()
    pair.geometry().move_geo(None, 0, 999, 0, 0)
    np.testing.assert_array_equal(pair.coords_x(), before)
    np.testing.assert_array_equal(pair.geometry().get_pixel_coords()[0], before)


# files -----------------------------------------------------------------------------------------


def test_arrays_go_to_text_files_and_back(db, tmp_path: Path, random):
    det = db.detector("cspad2x2_000001", run=3)
    values = random.random((2, 185, 388)).astype("float32")
    det.save_txtnda(tmp_path / "nda.txt", values, ["taken by hand"], verbos=False, addmetad=True)
    np.testing.assert_array_equal(det.load_txtnda(tmp_path / "nda.txt"), values)
    head = (tmp_path / "nda.txt").read_text()[:200]
    assert "# taken by hand\n" in head
    assert "# SOURCE  cspad2x2_000001\n" in head
    det.save_asdaq(tmp_path / "daq.txt", values, fmt="%.2f")
    back = det.load_txtnda(tmp_path / "daq.txt")
    np.testing.assert_allclose(back, np.moveaxis(values, 0, -1), atol=0.005)
    det.save_asdaq(tmp_path / "as-is.txt", values[0])
    np.testing.assert_array_equal(det.load_txtnda(tmp_path / "as-is.txt"), values[0])


def test_a_calibration_is_prepared_once(jungfrau, raw, monkeypatch):
    jungfrau.calib(raw)
    monkeypatch.setattr(calibration, "prepare", None)
    jungfrau.calib(raw)
