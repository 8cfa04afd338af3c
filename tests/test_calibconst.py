"""A detector as an analysis sees it: a mapping that fetches on use, as of one state."""

import multiprocessing
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

import cdb
from cdb.calibconst import Calibconst
from cdb.database import Database
from cdb.detector import Detector
from cdb.errors import CalibError, Corrupt, NotFound, WrongState

EPIX = "epix10ka_000001"
EXPERIMENT = "rixx45619"
PEDS = np.arange(12, dtype="float32").reshape(3, 4)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """Three types of constants on the embedded store, events 1 to 3."""
    with cdb.open((tmp_path / "store").as_uri()) as db:
        add(db, "pedestals", PEDS)
        add(db, "geometry", "# TITLE <one> panel\n")
        db.add({"gain": 1.5}, detector=EPIX, ctype="calibcfg", time=1633075200)
        yield db


def add(db, ctype, data, run=5, **how):
    how = {"detector": EPIX, "experiment": EXPERIMENT, "time": 1633075200, **how}
    return db.add(data, ctype=ctype, run=run, **how)


@pytest.fixture
def det(db: Database) -> Detector:
    """The detector for run 7."""
    return db.detector(EPIX, experiment=EXPERIMENT, run=7)


@pytest.fixture
def reads(db: Database, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The payloads that the store was asked for."""
    seen: list[str] = []
    read = db.store.read

    def counted(database, blob_id, **named):
        seen.append(blob_id)
        return read(database, blob_id, **named)

    monkeypatch.setattr(db.store, "read", counted)
    return seen


# a mapping that fetches on use -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("look", "seen"),
    [
        (sorted, ["calibcfg", "geometry", "pedestals"]),
        (list, ["calibcfg", "geometry", "pedestals"]),
        (len, 3),
        (lambda c: "pedestals" in c, True),
        (lambda c: "pixel_gain" in c, False),
        (lambda c: 7 in c, False),
        (lambda c: c.get("pixel_gain", "none"), "none"),
        (lambda c: c.version("pedestals").meta["run"], 5),
        (repr, f"<Calibconst {EPIX} run 7: calibcfg, geometry, pedestals>"),
        (lambda c: bool(c._repr_html_()), True),
        (lambda c: bool(pickle.dumps(c)), True),
    ],
)
def test_looking_fetches_no_payload(det, reads, look, seen):
    assert look(det.calibconst) == seen
    assert reads == []


def test_a_payload_is_fetched_on_first_use_and_kept(det, reads):
    first, _ = det.calibconst["pedestals"]
    again, _ = det.calibconst["pedestals"]
    assert again is first
    assert len(reads) == 1


def test_only_what_is_used_is_fetched(det, reads):
    assert det.calibconst["geometry"][0] == "# TITLE <one> panel\n"
    assert reads == [det.calibconst.version("geometry").meta["id_data"]]


def test_it_is_a_mapping_to_data_and_meta(det):
    assert isinstance(det.calibconst, Mapping)
    data, meta = det.calibconst["pedestals"]
    np.testing.assert_array_equal(data, PEDS)
    assert (meta["ctype"], meta["run"], meta["run_end"], meta["experiment"]) == (
        "pedestals", 5, "end", EXPERIMENT,
    )  # fmt: skip
    assert {ctype: meta["ctype"] for ctype, (_, meta) in det.calibconst.items()} == {
        ctype: ctype for ctype in det.calibconst
    }


def test_what_is_done_to_a_meta_stays_there(det):
    det.calibconst["pedestals"][1]["run"] = 7
    assert det.calibconst["pedestals"][1]["run"] == 5


def test_an_array_cannot_be_written_to(det):
    data, _ = det.calibconst["pedestals"]
    with pytest.raises(ValueError, match="read-only"):
        data[0, 0] = 7
    with pytest.raises(ValueError, match="WRITEABLE"):
        data.flags.writeable = True


def test_a_type_that_is_missing_is_an_error_that_names_types_and_places(det):
    with pytest.raises(NotFound) as error:
        det.calibconst["pixel_gain"]
    assert isinstance(error.value, KeyError)
    assert str(error.value) == (
        f"no pixel_gain of {EPIX} run 7 in cdb_{EXPERIMENT}, cdb_{EPIX}; "
        "there are: calibcfg, geometry, pedestals"
    )


def test_nothing_at_all_is_an_empty_mapping(db):
    det = db.detector("epix10ka_000009", run=7)
    assert (list(det.calibconst), len(det.calibconst)) == ([], 0)
    assert repr(det.calibconst) == "<Calibconst epix10ka_000009 run 7: nothing>"
    with pytest.raises(NotFound, match="there are: none"):
        det.calibconst["pedestals"]


def test_the_table_of_a_notebook_has_a_row_a_type(det):
    table = det.calibconst._repr_html_()
    assert table.count("<tr>") == 4
    assert "<td>(3, 4)</td><td>float32</td><td>5-end</td>" in table
    assert f"<caption>{EPIX} run 7</caption>" in table


def test_texts_from_outside_make_no_html(db):
    add(db, "pixel_rms", PEDS, comment="<script>alert(1)</script>")
    table = db.detector(EPIX, experiment=EXPERIMENT, run=7).calibconst._repr_html_()
    assert "<script>" not in table
    assert "&lt;script&gt;" in table


def test_damaged_bytes_are_never_handed_out(db, det):
    sha256 = det.calibconst.version("pedestals").sha256
    payload = db.store.folder / "payloads" / sha256[:2] / sha256
    payload.chmod(0o644)
    payload.write_bytes(b"\0" * PEDS.nbytes)
    with pytest.raises(Corrupt, match="damaged"):
        det.calibconst["pedestals"]


# one state -------------------------------------------------------------------------------------


def test_all_answers_are_as_of_one_state(db, det):
    add(db, "pedestals", PEDS + 1, run=6)
    add(db, "pixel_rms", PEDS)
    db.retire(det.calibconst.version("geometry").id, reason="wrong panel")
    assert det.seq == 3
    assert sorted(det.calibconst) == ["calibcfg", "geometry", "pedestals"]
    np.testing.assert_array_equal(det.calibconst["pedestals"][0], PEDS)
    assert det.calibconst["geometry"][0].startswith("# TITLE")
    assert det.calibconst["geometry"][1].get("out") is None


def test_a_new_detector_sees_the_new_state(db, det):
    add(db, "pedestals", PEDS + 1, run=6)
    new = db.detector(EPIX, experiment=EXPERIMENT, run=7)
    assert new.seq == 4
    np.testing.assert_array_equal(new.calibconst["pedestals"][0], PEDS + 1)


def test_the_past_can_be_asked(db):
    det = db.detector(EPIX, experiment=EXPERIMENT, run=7, as_of=1)
    assert (det.seq, list(det.calibconst)) == (1, ["pedestals"])


def test_the_answers_are_those_of_get(db, det):
    for ctype in det.calibconst:
        data, meta = db.get(EPIX, ctype, experiment=EXPERIMENT, run=7)
        np.testing.assert_array_equal(det.calibconst[ctype][0], data)
        assert det.calibconst[ctype][1] == meta


def test_a_long_name_is_looked_up(db):
    db.add(PEDS, detector="epix100a_0123-45_0123-46", ctype="pedestals")
    det = db.detector("epix100a_0123-46", run=7)
    assert (det.name, det.longname) == ("epix100a_000001", "epix100a_0123-46")
    assert "pedestals" in det.calibconst


# worker processes ------------------------------------------------------------------------------


def what_a_worker_sees(calibconst: Calibconst) -> tuple[list[str], float]:
    """Use constants in another process."""
    return sorted(calibconst), float(calibconst["pedestals"][0].sum())


def test_workers_get_the_same_constants(db, det):
    add(db, "pedestals", PEDS + 1, run=6)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seen = pool.apply(what_a_worker_sees, (det.calibconst,))
    assert seen == (["calibcfg", "geometry", "pedestals"], float(PEDS.sum()))


@pytest.mark.parametrize("part", ["detector", "calibconst"])
def test_a_pickle_is_a_reference_not_the_data(db, det, part):
    large = np.zeros(10**6, "float32")
    add(db, "flatfield", large)
    det = db.detector(EPIX, experiment=EXPERIMENT, run=7)
    det.calibconst["flatfield"]
    assert len(pickle.dumps(det if part == "detector" else det.calibconst)) < 1000


def test_a_detector_comes_back_from_a_pickle_whole(db, det):
    add(db, "pedestals", PEDS + 1, run=6)
    back = pickle.loads(pickle.dumps(det))
    assert (back.name, back.experiment, back.run, back.seq) == (EPIX, EXPERIMENT, 7, 3)
    assert back.calibconst["pedestals"][1] == det.calibconst["pedestals"][1]


def test_a_store_in_memory_says_that_it_cannot_go_elsewhere(memory_db):
    add(memory_db, "pedestals", PEDS)
    det = memory_db.detector(EPIX, run=7)
    for part in (det, det.calibconst):
        with pytest.raises(WrongState, match="memory:// store cannot go to another process"):
            pickle.dumps(part)
    assert issubclass(WrongState, CalibError)
