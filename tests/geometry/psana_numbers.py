"""The same calls on psana's GeometryAccess and on ours, and what they answer, made comparable.

psana's answers come from a process of its own, one for all calls: this file is its program, and
knows nothing but numpy and psana.
"""

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

TEXT = """\
# TITLE   two panels of {name}
# COMMENT:01 made up

DET   0  {name} 0   -40000.25  30000     12.5    90   0   0   0.1  -0.2  0.05
DET   0  {name} 1    40000     30100.5    0     270 180   0   0     0    0
IP    0  DET    0      100       -50  100000     90   0   0   0.02  0    0
"""

SEGMENTS = [
    "SENS2X1:V1", "EPIX100:V1", "EPIX10KA:V1", "EPIXHR2X2:V1", "EPIXHR1X4:V1", "EPIXUHR3X2:V1",
    "PNCCD:V1", "JUNGFRAU:V1", "JUNGFRAU:V2", "EPIXMASIC:V1", "EPIXUHRASIC:V1",
    "MTRX:20:30:54:45.5", "MTRX:V2:20:30:54:45.5",
]  # fmt: skip

# A call is a method and its arguments; the name of a part before it makes it one of that part.
PART = ("", 1)
CALLS: dict[str, list[Any]] = {
    "coords": ["get_pixel_coords", {}],
    "coords without tilt": ["get_pixel_coords", {"do_tilt": False}],
    "coords in the laboratory": ["get_pixel_coords", {"cframe": 1}],
    "coords of a group": ["get_pixel_coords", {"oname": "DET"}],
    "coords of a panel": ["get_pixel_coords", {"oname": "{name}", "oindex": 1}],
    "areas": ["get_pixel_areas", {}],
    "size": ["get_pixel_scale_size", {}],
    "shape": ["shape3d", {}],
    "indexes": ["get_pixel_coord_indexes", {}],
    "indexes in the laboratory": ["get_pixel_coord_indexes", {"cframe": 1}],
    "indexes, moved": ["get_pixel_coord_indexes", {"xy0_off_pix": [10, -3]}],
    "indexes, scaled": [
        "get_pixel_coord_indexes",
        {"pix_scale_size_um": 212.5, "cframe": 1, "xy0_off_pix": [3, 5]},
    ],
    "indexes of a group": ["get_pixel_coord_indexes", {"oname": "DET", "do_tilt": False}],
    "at the mean z": ["get_pixel_xy_at_z", {}],
    "at z": ["get_pixel_xy_at_z", {"zplane": 5000.0, "cframe": 1}],
    "at a near z": ["get_pixel_xy_at_z", {"zplane": -10.0}],
    "indexes at z": ["get_pixel_xy_inds_at_z", {"zplane": -90000.0, "xy0_off_pix": [2, 1]}],
    "origin": ["point_coord_indexes", {}],
    "point": ["point_coord_indexes", {"p_um": [1234.5, -70000.0], "oname": "DET"}],
    "point in the laboratory": ["point_coord_indexes", {"cframe": 1, "xy0_off_pix": [1, 2]}],
    "point, fractions": ["point_coord_indexes", {"p_um": [1.0, 2.0], "fract": True}],
    "mask": ["get_pixel_mask", {}],
    "mask, wide": ["get_pixel_mask", {"mbits": 0, "width": 3, "wcenter": 2}],
    "mask of edges": [
        "get_pixel_mask",
        {"mbits": 0, "edge_rows": 4, "edge_cols": 0, "center_rows": 0, "center_cols": 0},
    ],
    "mask of the centre": [
        "get_pixel_mask",
        {"mbits": 0, "edge_rows": 0, "edge_cols": 0, "center_rows": 2, "center_cols": 3},
    ],
    **{
        f"mask of unbonded, {mbits}": [
            "get_pixel_mask",
            {"mbits": mbits, "edge_rows": 0, "edge_cols": 0, "center_cols": 0},
        ]
        for mbits in (4, 8, 16, 28)
    },
    "psf": ["psf", {}],
    "psf in psana's frame": ["psf", {"cframe": 0}],
    "data by ASIC": ["data_psf", {"data": None}],
    "coords by psf": ["pixel_coords_psf", {}],
    "psf as text": ["info_psf", {}],
    "psf of CSPAD": ["get_psf", {}],
    "comments": ["get_dict_of_comments", {}],
    "saved": ["saved", {}],
    "part: coords": ["DET 0", "get_pixel_coords", {}],
    "part: flat coords": ["DET 0", "get_2d_pixel_coords", {"do_tilt": False}],
    "part: areas": ["DET 0", "get_pixel_areas", {}],
    "part: mask": ["DET 0", "get_pixel_mask", {"mbits": 4}],
    "part: n": ["DET 0", "get_size_geo_array", {}],
    "part: size": ["DET 0", "get_pixel_scale_size", {}],
    "part: row": ["DET 0", "str_data", {}],
    "part: info": ["DET 0", "info_geo", {}],
    "part: children": ["DET 0", "info_geo_children", {}],
    "part: origin": ["DET 0", "get_origin", {}],
    "part: rotation": ["DET 0", "get_rot", {}],
    "part: tilt": ["DET 0", "get_tilt", {}],
    "moved": ["moved", {}],
    "segment: coords": ["segment", "pixel_coord_array", {}],
    "segment: sizes": ["segment", "pixel_size_array", {}],
    "segment: first": ["segment", "pixel_coord_min", {}],
    "segment: last": ["segment", "pixel_coord_max", {}],
    "segment: ASICs": ["segment", "asic0indices", {}],
    "segment: ASIC": ["segment", "asic_rows_cols", {}],
    "segment: n ASICs": ["segment", "number_of_asics_in_rows_cols", {}],
}  # fmt: skip
# What is asked of whole detectors.
FILE_CALLS = [
    "coords in the laboratory", "areas", "size", "shape", "indexes", "indexes at z", "origin",
    "mask", "psf", "comments", "saved",
]  # fmt: skip


def call(geo: Any, steps: list[Any], name: str, folder: str) -> Any:
    """Return what a call answers."""
    *where, method, arguments = steps
    kwargs = {
        key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()
    }
    kwargs = {key: name if value == "{name}" else value for key, value in kwargs.items()}
    if method == "saved":
        geo.save_pars_in_file(f"{folder}/saved")
        return Path(folder, "saved").read_text()
    if method == "moved":
        geo.move_geo("DET", 0, 1.5, -2.25, 1000)
        geo.tilt_geo(name, 1, 0.01, 0.02, -0.03)
        geo.set_geo_pars(name, 0, 10, 20, 30, 90, 1, 2, 0.1, 0.2, 0.3)
        return geo.get_pixel_coords()
    if method == "data_psf":
        geo.psf()  # psana's wants it before
        shape = geo.shape3d()
        return geo.data_psf(np.arange(np.prod(shape)).reshape(shape))
    if where == ["segment"]:
        return getattr(geo.get_seg_geo().algo, method)(**kwargs)
    if where:
        part, index = where[0].split()
        return getattr(geo.get_geo(part, int(index)), method)(**kwargs)
    return getattr(geo, method)(**kwargs)


def summary(value: Any) -> Any:
    """Return what of an answer can be compared: of an array shape, checksum and some values."""
    if isinstance(value, np.ndarray):
        # Areas may differ in the last bit; NaNs are NaNs, and no zero has a sign.
        exact = np.nan_to_num(value, nan=-12345.0) + 0 if value.dtype.kind == "f" else value
        some = exact.reshape(-1)[:: max(1, exact.size // 20)]
        checksum = zlib.crc32(np.ascontiguousarray(exact).data)
        return [list(value.shape), str(value.dtype), checksum, [float(x) for x in some]]
    if isinstance(value, dict):
        return {str(key): summary(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [summary(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def answer(geo: Any, label: str, name: str, folder: str) -> Any:
    """Return the summary of what a call answers."""
    found = call(geo, CALLS[label], name, folder)
    if label == "segment: coords":
        # psana's are whole numbers in some sensors.
        found = [np.asarray(u, np.float64) for u in found]
    return summary(np.round(found, 9) if label.endswith("areas") else found)


def cases(files: list[str]) -> dict[str, dict[str, Any]]:
    """Return what is asked: a text or a file, wide pixels at their centres or not, the calls."""
    asked = {}
    for name in SEGMENTS:
        for wide in (False, True):
            labels = list(CALLS) if not wide else ["coords", "indexes", "areas", "psf"]
            asked[f"{name} {wide}"] = {"name": name, "wide": wide, "calls": labels}
    for file in files:
        asked[file] = {"name": "", "file": file, "wide": False, "calls": FILE_CALLS}
    return asked


def psanas(files: list[str], folder: str) -> dict[str, dict[str, Any]]:
    """Return psana's answers; what it fails in is a text."""
    from psana.pscalib.geometry.GeometryAccess import GeometryAccess
    from psana.pscalib.geometry.SegGeometryStore import sgs

    answers: dict[str, dict[str, Any]] = {}
    for case, asked in cases(files).items():
        path = asked.get("file")
        if path is None:
            path = f"{folder}/geometry.data"
            Path(path).write_text(TEXT.format(name=asked["name"]))
        answers[case] = {}
        for label in asked["calls"]:
            # It keeps sensors, whether their wide pixels are at the centres or not.
            sgs.dict_dets.clear()
            try:
                geo = GeometryAccess(path, use_wide_pix_center=asked["wide"])
                answers[case][label] = answer(geo, label, asked["name"], folder)
            except Exception as error:  # noqa: BLE001 - whatever it fails with is its answer
                answers[case][label] = f"psana: {type(error).__name__}: {error}"

    class Camera:
        _shape = (30, 4800)

    for name in ("ARCHON:V1", "ARCHON:V2"):
        archon = sgs.Create(segname=name, detector=Camera())
        answers[name] = {"coords": summary(archon.pixel_coord_array())}
    any_matrix = sgs.Create(segname="MTRXANY:V1")
    any_matrix.init_matrix_parameters(shape=(20, 30), pix_size_rcsd_um=(54, 45.5, 45.5, 400))
    answers["MTRXANY:V1"] = {"coords": summary(any_matrix.pixel_coord_array())}
    return answers


def names() -> dict[str, dict[str, list[str]]]:
    """Return the public methods of psana's classes with the names of their arguments."""
    import inspect

    from psana.pscalib.geometry import GeometryAccess, GeometryObject, SegGeometry

    found = {}
    for module in (GeometryAccess, GeometryObject, SegGeometry):
        name = module.__name__.rpartition(".")[2]
        functions = inspect.getmembers(getattr(module, name), inspect.isfunction)
        found[name] = {
            method: list(inspect.signature(function).parameters)
            for method, function in functions
            if not method.startswith("_")
        }
    return found


if __name__ == "__main__":
    out, folder, *files = sys.argv[1:]
    import psana.pscalib.geometry

    data = Path(psana.pscalib.geometry.__file__).parent / "data"
    # Of 16 Mpixels it would take a while, one of 4 Mpixels is real, and two it cannot read.
    left_out = ("jungfrau16M", "jungfrau4M", "axis", "archon")
    packaged = [str(file) for file in sorted(data.glob("*.data"))]
    files += [file for file in packaged if not any(name in file for name in left_out)]
    told = {"answers": psanas(files, folder), "files": files, "names": names()}
    Path(out).write_text(json.dumps(told))
