"""Masks, common mode, calibrated frames, photons: the numbers of the real psana 4.3.4."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from cdb import calibration, common_mode, masks, photons

SCRIPT = """
import sys
import numpy as np
import psana.detector.UtilsMask as um
import psana.detector.UtilsCommonMode as ucm
import psana.detector.UtilsCalib as uc
import psana.detector.UtilsEpix10ka as ue
import psana.detector.UtilsJungfrau as uj
import psana.pyalgos.generic.NDArrUtils as nu
from psana.peakFinder_ext import local_maximums_rank1_cross

given = dict(np.load(sys.argv[1]))
mask, status, other = given["mask"], given["status"], given["other"]
out = {
    "merge_status": um.merge_status_for_grinds(status),
    "merge_masks_for_gain_index": um.merge_mask_for_grinds((status == 0).astype("uint8")),
    "merge_masks": um.merge_masks(mask.copy(), other.copy()),
    "status_as_mask": um.status_as_mask(status, status_bits=6),
    "mask_edges": um.mask_edges(mask.copy(), edge_rows=2, edge_cols=3),
    # It changes a uint8 mask while it reads from it, and so grows bad pixels to the edge.
    "neighbors_4": nu.mask_neighbors(mask.astype("int32"), allnbrs=False),
    "neighbors_8": nu.mask_neighbors(mask.astype("int32"), allnbrs=True),
    "limits": np.array(uc.evaluate_limits(given["panel"][:40], nneg=2, npos=3)),
}
for ptrn in "rcs":
    out["radius_" + ptrn] = um.mask_neighbors(mask, rad=4, ptrn=ptrn)

def called(function, *more, **named):
    data = given["panel"].copy()
    function(data, *more, **named)
    return data

good = given["good"]
for name in ("rows", "cols", "2d", "rows_hsplit_nbanks", "2d_hsplit_nbanks"):
    function = getattr(ucm, "common_mode_" + name)
    out[name] = called(function, good, cormax=8)
    out[name + "_unmasked"] = called(function)

class Store:
    arr1 = np.ones((2, 352, 384), "int8")

Store.mask = given["good_epix"]
gmaps = ue.gain_maps_epix10ka_any_alg(given["words"])
out["modes"] = np.argmax(gmaps, axis=0)
for mode in range(1, 8):
    Store.cmpars = (7, mode, 10, 8)
    data = given["epix"].copy()
    ue.common_mode_epix_multigain_apply(data, gmaps, Store)
    out["epix_%d" % mode] = data
    data = given["epix100"].copy()
    ucm.common_mode_apply(data, given["good_epix100"], (0, mode, 10, 8))
    out["epix100_%d" % mode] = data
    out["jungfrau_%d" % mode] = uj.calib_jungfrau_single_panel(
        given["raw"], 1 / given["gain"], given["peds"], given["good_raw"], (7, mode, 10, 8))

highest = np.zeros(given["fractions"].shape, "uint16")
local_maximums_rank1_cross(given["fractions"], np.ones_like(highest), highest)
out["highest"] = highest == 3
np.savez(sys.argv[2], **out)
"""


@pytest.fixture(scope="module")
def given() -> dict[str, np.ndarray]:
    random = np.random.default_rng(6)

    def bits(*shape: int) -> np.ndarray:
        return (random.random(shape) > 0.04).astype("uint8")

    def data(*shape: int) -> np.ndarray:
        rows = random.normal(0, 5, (*shape[:-1], 1))
        columns = random.normal(0, 5, (*shape[:-2], 1, shape[-1]))
        return (random.normal(0, 3, shape) + rows + columns).astype("float32")

    def raw(values: np.ndarray, ranges: np.ndarray) -> np.ndarray:
        return values.astype("uint16") | (ranges << 14).astype("uint16")

    ranges = random.choice(4, (1, 512, 1024), p=[0.9, 0.05, 0.02, 0.03])
    return {
        "mask": bits(3, 31, 42), "other": bits(3, 31, 42),
        "status": random.integers(0, 9, (7, 2, 20, 30)) * random.integers(0, 2, (7, 2, 20, 30)),
        "panel": data(60, 80), "good": bits(60, 80),
        "words": random.choice([28, 12, 8, 16, 0, 48, 32], (2, 352, 384)).astype("uint8"),
        "epix": data(2, 352, 384), "good_epix": bits(2, 352, 384),
        "epix100": data(1, 704, 768), "good_epix100": bits(1, 704, 768),
        "raw": raw(data(1, 512, 1024) + 2000, ranges),
        "good_raw": bits(1, 512, 1024),
        "peds": random.normal(2000, 3, (3, 1, 512, 1024)).astype("float32"),
        "gain": random.normal(40, 1, (3, 1, 512, 1024)).astype("float32"),
        "fractions": random.random((40, 50)).astype("float32"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def psana(given, psana_python, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What psana answers; skips, with the reason, where it cannot be had."""
    folder: Path = tmp_path_factory.mktemp("psana")
    np.savez(folder / "given.npz", **given)
    command = [psana_python, "-c", SCRIPT, folder / "given.npz", folder / "found.npz"]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    return dict(np.load(folder / "found.npz"))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("merge_status", lambda g: masks.merge_status(g["status"])),
        (
            "merge_masks_for_gain_index",
            lambda g: masks.merge_masks_for_gain_index(g["status"] == 0),
        ),
        ("merge_masks", lambda g: masks.merge_masks(g["mask"], g["other"])),
        ("status_as_mask", lambda g: masks.status_as_mask(g["status"], 6)),
        ("mask_edges", lambda g: masks.mask_edges(g["mask"], 2, 3)),
        ("neighbors_4", lambda g: masks.mask_neighbors(g["mask"], allnbrs=False)),
        ("neighbors_8", lambda g: masks.mask_neighbors(g["mask"])),
        ("radius_r", lambda g: masks.mask_neighbors_in_radius(g["mask"], 4, "r")),
        ("radius_c", lambda g: masks.mask_neighbors_in_radius(g["mask"], 4, "c")),
        ("radius_s", lambda g: masks.mask_neighbors_in_radius(g["mask"], 4, "s")),
    ],
)
def test_masks_are_psanas(given, psana, name, call):
    assert psana[name].any()
    np.testing.assert_array_equal(call(given), psana[name])


def test_limits_are_psanas(given, psana):
    ours = masks.evaluate_limits(given["panel"][:40], 2, 3, lim_hi=16000)
    np.testing.assert_allclose(ours, psana["limits"], rtol=1e-6)


@pytest.mark.parametrize("name", ["rows", "cols", "2d", "rows_hsplit_nbanks", "2d_hsplit_nbanks"])
def test_the_core_of_the_common_mode_is_psanas(given, psana, name):
    function = getattr(common_mode, f"common_mode_{name}")
    data, unmasked = given["panel"].copy(), given["panel"].copy()
    function(data, given["good"], cormax=8)
    function(unmasked, **({"compat": "psana"} if name == "2d_hsplit_nbanks" else {}))
    assert not np.array_equal(psana[name], given["panel"])
    np.testing.assert_allclose(data, psana[name], atol=1e-5)
    np.testing.assert_allclose(unmasked, psana[f"{name}_unmasked"], atol=1e-5)


@pytest.mark.parametrize("mode", range(1, 8))
def test_algorithm_7_is_psanas(given, psana, mode):
    high = np.isin(psana["modes"], (0, 1, 3, 4))
    for dettype, takes_part in (("epix10ka", given["good_epix"] * high), ("epix100", None)):
        name = dettype.removesuffix("10ka") if dettype == "epix10ka" else dettype
        data = given[name].copy()
        mask = given["good_epix100"] if takes_part is None else takes_part
        common_mode.apply(data, (7, mode, 10, 8), dettype, mask)
        np.testing.assert_allclose(data, psana[f"{name}_{mode}"], atol=2e-5)


@pytest.mark.parametrize("mode", range(1, 8))
def test_frames_of_jungfrau_are_psanas(given, psana, mode):
    made = calibration.prepare(
        "jungfrau", given["peds"], gain=given["gain"], mask=given["good_raw"],
        parameters=(7, mode, 10, 8),
    )  # fmt: skip
    np.testing.assert_allclose(made.apply(given["raw"]), psana[f"jungfrau_{mode}"], atol=1e-5)


def test_pixels_that_are_highest_are_psanas(given, psana):
    np.testing.assert_array_equal(photons._is_highest(given["fractions"]), psana["highest"])
