"""Names of LCLS-I detectors: the source in the data, and the long name that a register holds.

=========== ==================================== =============================================
name        example                              what it is
=========== ==================================== =============================================
source      ``CxiDs1.0:Cspad.0``                 of the DAQ: detector, id, device, id
long name   ``cspad_0001_CxiDs1.0:Cspad.0``      device in lower case, number, source
converted   ``cspad_0001``                       as psana 4.3.4 converts the source; by a table
=========== ==================================== =============================================

A source that the table lacks has a long name without a number, ``cspad_CxiDs9.0:Cspad.0``. The
register finds a detector by any part of its long name, so by ``cspad_0001`` too.
"""

import re
from functools import cache
from importlib import resources

_SOURCE = re.compile(r"[A-Za-z0-9-]+\.[0-9]+:([A-Za-z][A-Za-z0-9]*)\.[0-9]+")
_DEVICE = re.compile(r":([A-Za-z][A-Za-z0-9]*)\.")
XTCAV = "xtcav"


def source_in(text: str) -> str | None:
    """Return the source that a text names, None if it names none.

    Parameters
    ----------
    text : str
        A source alone, or as psana writes it.

    Examples
    --------
    >>> source_in("CxiDs1.0:Cspad.0"), source_in("DetInfo(CxiDs1.0:Cspad.0)")
    ('CxiDs1.0:Cspad.0', 'CxiDs1.0:Cspad.0')
    >>> source_in('Source("DetInfo(CxiDs1.0:Cspad.0)")')
    'CxiDs1.0:Cspad.0'
    >>> print(source_in("cspad_CxiDs1.0:Cspad.0"))
    None
    """
    if '"' in text:
        text = text.partition('"')[2].partition('"')[0]
    source = text.rpartition("(")[2].partition(")")[0]
    return source if _SOURCE.fullmatch(source) else None


def device_type(source: str) -> str:
    """Return the detector's type that a source tells: its device, in lower case.

    Examples
    --------
    >>> device_type("XcsEndstation.0:Epix10kaQuad.0"), device_type("Camp.0")
    ('epix10kaquad', 'undefined')
    """
    device = _DEVICE.search(source)
    return device[1].lower() if device else "undefined"


def long_name(source: str, group: str = "") -> str:
    """Return the long name of a source, with its number where the table has one.

    Parameters
    ----------
    source : str
        As it stands in the tree.
    group : str, optional
        The folder above: that of XTCAV holds other constants of the same camera, so they are
        of another detector.

    Examples
    --------
    >>> long_name("CxiDs1.0:Cspad.0"), long_name("CxiDs9.0:Cspad.0")
    ('cspad_0001_CxiDs1.0:Cspad.0', 'cspad_CxiDs9.0:Cspad.0')
    >>> long_name("XrayTransportDiagnostic.0:Opal1000.0", "Xtcav::CalibV1")
    'xtcav_XrayTransportDiagnostic.0:Opal1000.0'
    """
    if group.partition("::")[0].lower() == XTCAV:
        return f"{XTCAV}_{source}"
    known = _table().get(source)
    return f"{known or device_type(source)}_{source}"


def whole(name: str) -> str:
    """Return the whole long name where a part of one is given; any other name as it stands.

    What is registered is the whole, so that each part finds it.

    Examples
    --------
    >>> whole("cspad_CxiDs1.0:Cspad.0"), whole("cspad_0001")
    ('cspad_0001_CxiDs1.0:Cspad.0', 'cspad_0001_CxiDs1.0:Cspad.0')
    >>> whole("epix10ka_0123-45"), whole("xtcav_XrayTransportDiagnostic.0:Opal1000.0")
    ('epix10ka_0123-45', 'xtcav_XrayTransportDiagnostic.0:Opal1000.0')
    """
    dettype, _, rest = name.partition("_")
    if ":" in rest:
        known = _table().get(rest, "")
        return f"{known}_{rest}" if known.partition("_")[0] == dettype else name
    if len(rest) != 4 or not rest.isdecimal():
        return name
    source = next((source for source, known in _table().items() if known == name), None)
    return name if source is None else f"{name}_{source}"


@cache
def _table() -> dict[str, str]:
    """Return the name under which psana converts each source that it knows.

    References
    ----------
    psana 4.3.4, the table of `pscalib/calib/MDBConvertLCLS1.py`.
    """
    text = resources.files("cdb").joinpath("lcls1-detectors.txt").read_text("ascii")
    counted: dict[str, int] = {}
    table: dict[str, str] = {}
    for source in text.splitlines():
        if not source.startswith("#"):
            dettype = device_type(source)
            table[source] = f"{dettype}_{counted.setdefault(dettype, 0):04}"
            counted[dettype] += 1
    return table
