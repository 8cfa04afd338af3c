"""The numbers of psana 4.3.4 itself, bit by bit, but for its faults."""

import inspect
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cdb.geometry import GeometryAccess, GeometryObject
from cdb.geometry.objects import SegGeometry
from cdb.geometry.segments import segment
from tests.geometry import psana_numbers
from tests.geometry.psana_numbers import CALLS, FILE_CALLS, SEGMENTS, TEXT, answer, summary

REAL = Path(__file__).parents[3] / "shared" / "data" / "lcls1-calib"
TIMEOUT = 300
WIDE_CALLS = ("coords", "indexes", "areas", "psf")
MATRICES = ("PNCCD:V1", "MTRX:20:30:54:45.5")

# What psana cannot do, or does wrongly, by sensor type and call. Ours is tested elsewhere.
FAULTS = {
    # It does not know where the ASICs are.
    **{(name, call): "fails" for name in ("EPIX100:V1", "EPIXUHR3X2:V1") for call in
       ("psf", "psf in psana's frame", "data by ASIC", "coords by psf", "psf as text")},
    **{("EPIX100:V1", f"segment: {call}"): "None" for call in ("ASICs", "ASIC", "n ASICs")},
    **{("EPIX100:V1", f"segment: {call}"): "row 0 is at the bottom" for call in ("first", "last")},
    ("EPIXUHR3X2:V1", "segment: ASICs"): "last columns instead of first ones",
    # ASICs of 72 x 384 where there are four of 144 x 192.
    ("EPIXHR1X4:V1", "data by ASIC"): "fails",
    ("EPIXHR1X4:V1", "coords by psf"): "of too few rows",
    ("EPIXHR1X4:V1", "segment: ASIC"): "72 x 384",
    # Masks want numpy below 2.
    **{(f"JUNGFRAU:V{n}", call): "fails" for n in (1, 2) for call in CALLS if "mask" in call},
    # The pixels count up instead of having sizes.
    **{("JUNGFRAU:V2", call): "counted" for call in ("areas", "part: areas", "segment: sizes")},
    # The step from a pixel that was moved to the next one.
    **{("JUNGFRAU:V2", call): "too long" for call in
       ("psf", "psf in psana's frame", "coords by psf", "psf as text")},
    **{("SENS2X1:V1 True", "psf"): "too long", ("EPIX10KA:V1 True", "psf"): "too long",
       ("EPIXHR2X2:V1 True", "psf"): "too long"},
    # The first pixel that is not bonded stays good where its neighbours are masked.
    ("SENS2X1:V1", "mask of unbonded, 8"): "one is left",
}  # fmt: skip


@pytest.fixture(scope="module")
def told(psana_python: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything that psana says, in one start."""
    folder = tmp_path_factory.mktemp("psana")
    files = sorted(map(str, REAL.glob("*/*/geometry/0-end.data")))
    command = [psana_python, psana_numbers.__file__, str(folder / "told"), str(folder), *files]
    # Its arrays come and go: without this, half of the time goes into clean pages.
    memory = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
    done = subprocess.run(
        command, env={**os.environ, **memory}, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "told").read_text())


def ours(name: str, label: str, folder: Path, *, wide: bool = False, compat: bool = False) -> Any:
    text = TEXT.format(name=name)
    geo = GeometryAccess(text, use_wide_pix_center=wide, compat=compat)
    return json.loads(json.dumps(answer(geo, label, name, str(folder))))


@pytest.mark.parametrize("label", CALLS)
@pytest.mark.parametrize("name", SEGMENTS)
def test_a_call_answers_as_psana_does(told, tmp_path, name, label):
    psanas = told["answers"][f"{name} False"][label]
    # Files and the rows of EPIXHR1X4 are as psana has them where it is asked for.
    compat = label in ("saved", "part: row") or name == "EPIXHR1X4:V1"
    found = ours(name, label, tmp_path, compat=compat)
    if (name, label) in FAULTS:
        assert found != psanas
    else:
        assert found == psanas


@pytest.mark.parametrize("label", WIDE_CALLS)
@pytest.mark.parametrize("name", SEGMENTS)
def test_wide_pixels_at_their_centres_are_where_psana_has_them(told, tmp_path, name, label):
    compat = name in ("EPIXHR1X4:V1", "EPIXUHR3X2:V1")
    found = ours(name, label, tmp_path, wide=True, compat=compat)
    psanas = told["answers"][f"{name} True"][label]
    if (name, label) in FAULTS or (f"{name} True", label) in FAULTS:
        assert found != psanas
    else:
        assert found == psanas


@pytest.mark.parametrize("label", FILE_CALLS)
def test_whole_detectors_are_where_psana_has_them(told, tmp_path, label):
    different = {}
    for file in told["files"]:
        psanas = told["answers"][file][label]
        if str(told["answers"][file]["indexes"]).startswith("psana: "):
            continue  # of a sensor that it does not know
        compat = label == "saved" or "EPIXHR1X4" in Path(file).read_text()
        geo = GeometryAccess(file, compat=compat)
        found = json.loads(json.dumps(answer(geo, label, "", str(tmp_path))))
        if found != psanas and not is_known_fault(file, label, psanas):
            different[file] = (found, psanas)
    assert not different


def is_known_fault(file: str, label: str, psanas: Any) -> bool:
    """Return whether psana cannot do it, or does it wrongly."""
    if isinstance(psanas, str) and psanas.startswith("psana: "):
        return True
    jungfrau = "jungfrau" in file.lower()
    cspad2x2 = "cspad2x2" in file
    return (jungfrau and label in ("areas", "psf")) or (
        # psana takes (185, 388, 2) for (2, 185, 388).
        cspad2x2 and label in ("psf", "shape")
    )


def test_the_mask_of_four_neighbours_is_psanas_where_it_is_asked_for(told, tmp_path):
    label = "mask of unbonded, 8"
    found = ours("SENS2X1:V1", label, tmp_path, compat=True)
    assert found == told["answers"]["SENS2X1:V1 False"][label]


@pytest.mark.parametrize("name", ["ARCHON:V1", "ARCHON:V2", "MTRXANY:V1"])
def test_sensors_of_any_shape_are_where_psana_has_them(told, name):
    shape = (30, 4800) if name.startswith("ARCHON") else (20, 30)
    kind = segment(name, shape=shape, pixel_size=(54, 45.5))
    assert json.loads(json.dumps(summary(kind.coordinates()))) == told["answers"][name]["coords"]


@pytest.mark.parametrize("ours", [GeometryAccess, GeometryObject, SegGeometry])
def test_every_public_method_of_psana_is_there_with_the_names_of_its_arguments(told, ours):
    # What a class of sensors calls within itself is not for its users.
    internal = {"print_seg_info", "print_warning", "return_switch"}
    for method, arguments in told["names"][ours.__name__].items():
        if method not in internal:
            named = [name for name in arguments if name not in ("kwargs", "kwa")]
            assert list(inspect.signature(getattr(ours, method)).parameters)[: len(named)] == named
