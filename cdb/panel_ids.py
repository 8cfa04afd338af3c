"""Panels by what is burnt into them: the id of a panel, the long name of a detector made of them.

======== ======================================== ============================================
epix     version, carrier id 0 and 1, digital id  each ten decimal digits, joined by ``-``
         0 and 1, analog id 0 and 1
jungfrau module version, firmware version,        lower-case hexadecimal, joined by ``-``
         serial number
older    the source, ``:`` written ``-``          ``CxiEndstation.0-Jungfrau.0``
======== ======================================== ============================================
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cdb.errors import BadName, shown

EPIX_NUMBERS = (
    "version", "carrierId0", "carrierId1", "digitalCardId0", "digitalCardId1",
    "analogCardId0", "analogCardId1",
)  # fmt: skip
JUNGFRAU_NUMBERS = ("moduleVersion", "firmwareVersion", "serialNumber")


def epix_id(numbers: Sequence[int]) -> str:
    """Return the id of an epix panel.

    Parameters
    ----------
    numbers : sequence of 7 int
        Version, carrier id 0 and 1, digital id 0 and 1, analog id 0 and 1.

    Raises
    ------
    BadName
        If these are no seven numbers from 0 to 2^32 - 1.

    Examples
    --------
    >>> epix_id([3926196238, 175152897, 1157627926, 0, 0, 0, 0])
    '3926196238-0175152897-1157627926-0000000000-0000000000-0000000000-0000000000'
    """
    checked = _checked(numbers, bits=32)
    if len(checked) != len(EPIX_NUMBERS):
        raise BadName(
            f"the id of an epix panel has {len(EPIX_NUMBERS)} numbers "
            f"({', '.join(EPIX_NUMBERS)}), not {len(checked)}"
        )
    return "-".join(f"{number:010d}" for number in checked)


def jungfrau_id(numbers: Sequence[int]) -> str:
    """Return the id of a jungfrau panel.

    Every digit is kept: the tools of LCLS-I, which strip the text ``0x`` as a set of characters,
    lose zeros at the beginning and end of a number.

    Parameters
    ----------
    numbers : sequence of int
        Module version, firmware version, serial number. Of the European XFEL, which does not
        record the first, the two others.

    Raises
    ------
    BadName
        If these are no two or three numbers from 0 to 2^64 - 1.

    Examples
    --------
    >>> jungfrau_id([0x8000000020000, 0x230920, 0x20004002C])
    '8000000020000-230920-20004002c'
    """
    checked = _checked(numbers, bits=64)
    if len(checked) not in (2, 3):
        raise BadName(
            f"the id of a jungfrau panel has three numbers ({', '.join(JUNGFRAU_NUMBERS)}), "
            f"not {len(checked)}"
        )
    return "-".join(f"{number:x}" for number in checked)


def id_in(configuration: Mapping[str, Any]) -> str | None:
    """Return the id that the configuration of a panel holds, None where it holds none.

    Parameters
    ----------
    configuration : mapping
        By the names that LCLS gives: ``detid``, a text, or the numbers of an epix or a jungfrau.
    """
    if isinstance(configuration.get("detid"), str) and configuration["detid"]:
        return str(configuration["detid"])
    if all(name in configuration for name in EPIX_NUMBERS):
        return epix_id([configuration[name] for name in EPIX_NUMBERS])
    if all(name in configuration for name in JUNGFRAU_NUMBERS):
        return jungfrau_id([configuration[name] for name in JUNGFRAU_NUMBERS])
    if all(name in configuration for name in JUNGFRAU_NUMBERS[1:]):
        return jungfrau_id([configuration[name] for name in JUNGFRAU_NUMBERS[1:]])
    return None


def id_of_source(source: str) -> str | None:
    """Return the id of a jungfrau of LCLS-I whose configuration holds no numbers yet.

    None of any other source.

    Examples
    --------
    >>> id_of_source("CxiEndstation.0:Jungfrau.0"), id_of_source("CxiDs1.0:Cspad.0")
    ('CxiEndstation.0-Jungfrau.0', None)
    """
    return source.replace(":", "-") if re.search(r":Jungfrau\.\d+$", source) else None


def long_name(detector_type: str, ids: Sequence[str]) -> str:
    """Return the long name of a detector, by which the register knows it.

    Examples
    --------
    >>> long_name("jungfrau", ["8000000020000-230920-20004002c", "8000000020000-230920-200040030"])
    'jungfrau_8000000020000-230920-20004002c_8000000020000-230920-200040030'
    """
    if not detector_type or not ids or not all(ids):
        raise BadName("a long name is made of the type of a detector and the ids of its panels")
    return "_".join([detector_type, *ids])


def _checked(numbers: Sequence[int], *, bits: int) -> list[int]:
    """Return numbers as Python's own; those of numpy may be signed, and mean the same bits."""
    found = []
    for number in numbers:
        try:
            value = int(number)
        except (TypeError, ValueError, OverflowError):
            raise BadName(f"the id of a panel is made of numbers, not of {shown(number)}") from None
        if not 0 <= value < 2**bits:
            raise BadName(f"a number in the id of a panel has up to {bits} bits, not {value}")
        found.append(value)
    return found
