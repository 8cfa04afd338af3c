"""Calls of LCLS-I's `AreaDetector` that are not here, and what to do instead."""

from collections.abc import Mapping
from types import MappingProxyType

_RAW = "cdb.readers reads raw data, and det.calib(raw) takes them"
_CONFIGURATION = (
    "it follows from the configuration of a run, see cdb.readers; det.calib(raw, gain_mask=...) "
    "takes it"
)
_ONE = "a detector is for one source: db.detector(name, experiment=..., run=...)"
_TYPE = "compare det.dettype, such as 'cspad'"
_SILENT = "nothing is printed, errors say what is wrong; leave it out"
_SHAPED = "arrays have the shape det.shape() and can be reshaped; leave it out"

GONE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("raw", "raw_data"), _RAW),
        "calib_data": "det.calib(raw)",
        **dict.fromkeys(("gain_mask", "gain_mask_non_zero"), _CONFIGURATION),
        "set_gain_mask_factor": "low gain of cspad counts 6.85 times; scale what calib gives",
        **dict.fromkeys(("set_source", "set_env", "source", "env"), _ONE),
        **dict.fromkeys(("set_print_bits", "print_attributes", "print_members"), _SILENT),
        **dict.fromkeys(("print_config", "shape_config"), "`cdb raw info RUN -c` tells it"),
        "set_do_offset": "cameras have no other offset than their pedestals; leave it out",
        "do_reshape_2d_to_3d": _SHAPED,
        "runnum": "det.run is the run that it was made for",
        **dict.fromkeys(
            (
                "is_cspad", "is_cspad2x2", "is_jungfrau", "is_epix10ka", "is_epix10ka_any",
                "is_epix10ka2m", "is_epix10kaquad", "is_epix100a",
            ),
            _TYPE,
        ),
    }
)  # fmt: skip


def sentence(name: str, type_name: str) -> str:
    """Return what to say of an attribute that is not there.

    Examples
    --------
    >>> sentence("is_cspad", "Detector")
    "det.is_cspad of LCLS-I is not here: compare det.dettype, such as 'cspad'"
    >>> sentence("nothing", "Detector")
    "'Detector' object has no attribute 'nothing'"
    """
    if name in GONE:
        return f"det.{name} of LCLS-I is not here: {GONE[name]}"
    return f"{type_name!r} object has no attribute {name!r}"
