"""A site with small repositories, a store and a tree."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from cdb.database import Database
from cdb.deploy import Asked
from cdb.files import text
from cdb.stores import open_store

ID = "3925999616-0996579585-0553648138"
EPIX = "XcsEndstation.0:Epix100a.1"
OPAL = "XcsEndstation.0:Opal1000.1"
JUNGFRAU = "CxiDs1.0:Jungfrau.0"
PANELS = ("170505-149520170815-3d00b0", "170505-149520170815-3d00f7")
SHAPE = (704, 768)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("site") / "constants" / "epix100a"
    (home / ID / "gain").mkdir(parents=True)
    lines = f"0001 1-2 now you\n0007 {ID} now xpptut15 r0260 {EPIX} you\n"
    (home / ".aliases.txt").write_text(lines)
    for year, gain in ((2016, 0.5), (2020, 0.25)):
        write(home / ID / "gain", f"{year}0318190730", "gain", np.full(SHAPE, gain, "f4"))
    return home.parent


@pytest.fixture
def constants(tmp_path: Path, made_once: Path) -> Path:
    """A repository of constants: a gain of 2016 and one of 2020 of one panel."""
    return Path(shutil.copytree(made_once, tmp_path / "constants"))


def write(folder: Path, stamp: str, ctype: str, array: np.ndarray, alias: str = "0007") -> Path:
    """Write a file of a panel."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"epix100a_{alias}_{stamp}_xpptut15_r0260_{ctype}.txt"
    text.write(path, array)
    return path


@pytest.fixture
def gains(tmp_path: Path) -> Path:
    """A repository of gains: folders of two panels, and the common one."""
    repository = tmp_path / "gains"
    for number, name in enumerate((*PANELS, "MDEF")):
        folder = repository / name
        folder.mkdir(parents=True)
        for gain in range(3):
            for kind, value in (("gain", 40), ("offset", 1)):
                array = np.full((512, 1024), value + 10 * number + gain, "f8")
                np.save(folder / f"g{gain}_{kind}.npy", array)
    return repository


@pytest.fixture
def calib(tmp_path: Path) -> Path:
    path = tmp_path / "CXI" / "cxi83714" / "calib"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def db(tmp_path: Path):
    """A database on an embedded store."""
    with open_store((tmp_path / "store").as_uri()) as store:
        yield Database(store, gates="off")


@pytest.fixture
def epix() -> Asked:
    return Asked.of(EPIX, ids=[ID])
