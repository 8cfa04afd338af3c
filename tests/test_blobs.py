"""Bytes of payloads: damaged, lost and healed."""

import numpy as np
import pytest

import cdb
from cdb.database import Database
from cdb.errors import Corrupt
from tests.conftest import EPIX
from tests.programs import OtherProgram
from tests.service import behind

EXPERIMENT = "rixx45619"
NAMES = {"detector": EPIX, "experiment": EXPERIMENT, "ctype": "pedestals"}


@pytest.fixture
def db(any_db: Database) -> Database:
    return any_db


@pytest.fixture
def peds() -> np.ndarray:
    return np.arange(24, dtype="float32").reshape(2, 3, 4)


def test_damaged_payloads_are_never_returned(tmp_path):
    with cdb.open((tmp_path / "store").as_uri()) as db:
        version = db.add("precious", **NAMES)
        path = db.store.payloads / version.sha256[:2] / version.sha256
        path.chmod(0o600)
        path.write_bytes(b"worthless"[:8])
        with pytest.raises(Corrupt, match="damaged"):
            db.get(EPIX, "pedestals", experiment=EXPERIMENT, run=7)
        from cdb.fsck import Check

        found = list(Check(behind(db).journal, payloads=True).run())
        assert {(f.kind, f.mended) for f in found} == {("payload", False)}


def test_a_lost_payload_is_corrupt_and_not_a_missing_constant(db, peds):
    version = db.add(peds, run=1, **NAMES)
    OtherProgram(behind(db).store).lose(version.database, version.meta["id_data"])
    det = db.detector(EPIX, experiment=EXPERIMENT, run=1)
    with pytest.raises(Corrupt, match="adding the data again heals"):
        det.calibconst.get("pedestals")


def test_adding_lost_data_again_heals(db, peds):
    version = db.add(peds, run=1, **NAMES)
    OtherProgram(behind(db).store).lose(version.database, version.meta["id_data"])
    healed = db.add(peds, run=1, **NAMES)
    assert healed.new
    assert np.array_equal(db.get(EPIX, "pedestals", experiment=EXPERIMENT, run=1)[0], peds)


def test_adding_damaged_data_again_heals(db, peds):
    version = db.add(peds, run=1, **NAMES)
    OtherProgram(behind(db).store).flip_a_byte(version.database, version.meta["id_data"])
    assert db.add(peds, run=1, again=True, **NAMES).new
    assert np.array_equal(db.get(EPIX, "pedestals", experiment=EXPERIMENT, run=1)[0], peds)


@pytest.mark.mongo
def test_a_large_payload_comes_back_over_the_wire(mongo_url):
    array = np.random.default_rng(1).integers(0, 255, 100 * 2**20, dtype="uint8")
    with cdb.open(mongo_url) as db:
        db.add(array, detector=EPIX, ctype="pixel_bkgd")
        assert np.array_equal(db.get(EPIX, "pixel_bkgd")[0], array)
