"""LCLS-I's sources: how they are written, their detector types, the group of their constants.

A source is the name that the data acquisition gave a detector, as ``CxiDs1.0:Cspad.0``: where it
stands and its number, the device and its number. The device says the detector's type, and in
which group of folders of a calibration tree its constants lie.
"""

from dataclasses import dataclass

from cdb import lcls1_names

UNDEFINED = "UNDEFINED"
SUFFIX = "::CalibV1"


@dataclass(frozen=True)
class Device:
    """A device of the data acquisition: the name in a source, its detector type and group.

    Attributes
    ----------
    name : str
        As a source has it, between ``:`` and ``.``.
    dettype : str
        Name of the detector's type.
    group : str
        Folder in a calibration tree.
    """

    name: str
    dettype: str
    group: str


# Reference: PSCalib, `GlobalUtils.py`, its 37 types in their order. Epix10k lies in the group of
# Epix10ka.
DEVICES = tuple(
    Device(name, dettype, group + SUFFIX)
    for name, dettype, group in (
        ("Cspad", "Cspad", "CsPad"),
        ("Cspad2x2", "Cspad2x2", "CsPad2x2"),
        ("Princeton", "Princeton", "Princeton"),
        ("pnCCD", "pnCCD", "PNCCD"),
        ("Tm6740", "Tm6740", "Camera"),
        ("Opal1000", "Opal1000", "Camera"),
        ("Opal2000", "Opal2000", "Camera"),
        ("Opal4000", "Opal4000", "Camera"),
        ("Opal8000", "Opal8000", "Camera"),
        ("OrcaFl40", "OrcaFl40", "Camera"),
        ("Epix", "Epix", "Epix"),
        ("Epix10k", "Epix10k", "Epix10ka"),
        ("Epix100a", "Epix100a", "Epix100a"),
        ("Fccd960", "Fccd960", "Camera"),
        ("Andor", "Andor", "Andor"),
        ("Acqiris", "Acqiris", "Acqiris"),
        ("Imp", "Imp", "Imp"),
        ("Quartz4A150", "Quartz4A150", "Camera"),
        ("Rayonix", "Rayonix", "Camera"),
        ("Evr", "Evr", "EvrData"),
        ("Fccd", "Fccd", "Camera"),
        ("Timepix", "Timepix", "Timepix"),
        ("Fli", "Fli", "Fli"),
        ("Pimax", "Pimax", "Pimax"),
        ("DualAndor", "Andor3d", "Andor3d"),
        ("Jungfrau", "Jungfrau", "Jungfrau"),
        ("Zyla", "Zyla", "Camera"),
        ("ControlsCamera", "ControlsCamera", "Camera"),
        ("Epix10ka", "Epix10ka", "Epix10ka"),
        ("Uxi", "Uxi", "Uxi"),
        ("Pixis", "Pixis", "Pixis"),
        ("Epix10ka2M", "Epix10ka2M", "Epix10ka2M"),
        ("Epix10kaQuad", "Epix10kaQuad", "Epix10kaQuad"),
        ("StreakC7700", "Streak", "Camera"),
        ("Archon", "Archon", "Camera"),
        ("iStar", "iStar", "Camera"),
        ("Alvium", "Alvium", "Camera"),
    )
)

# Where the X-ray transport camera keeps HDF5 files, beside its source's own group.
XTCAV = "Xtcav" + SUFFIX


def plain_source(text: str) -> str:
    """Return the name alone of a source as users and programs write it; any other text as it is.

    Examples
    --------
    >>> plain_source("DetInfo(CxiDs1.0:Cspad.0)")
    'CxiDs1.0:Cspad.0'
    >>> plain_source('Source("DetInfo(CxiDs1.0:Cspad.0)")')
    'CxiDs1.0:Cspad.0'
    """
    return lcls1_names.source_in(text) or text


def device_of(source: str) -> Device | None:
    """Return the device of a source, None if the table has none; case matters.

    Parameters
    ----------
    source : str
        With or without ``DetInfo(...)`` or ``Source("...")``.

    Examples
    --------
    >>> device_of("XcsEndstation.0:Epix10k.0").group
    'Epix10ka::CalibV1'
    >>> device_of("XppGon.0:cspad.0") is None
    True
    """
    return next((device for device in DEVICES if f":{device.name}." in source), None)


def type_of(source: str) -> str:
    """Return the name of a source's detector type, ``UNDEFINED`` if the table has none.

    Examples
    --------
    >>> type_of("AmoEndstation.0:DualAndor.0"), type_of("AmoEndstation.0:OceanOptics.0")
    ('Andor3d', 'UNDEFINED')
    """
    device = device_of(source)
    return device.dettype if device else UNDEFINED


def group_of(source: str) -> str:
    """Return the folder of a source's constants in a tree, ``UNDEFINED`` if the table has none.

    Examples
    --------
    >>> group_of("CxiDs1.0:Cspad.0"), group_of("XcsEndstation.0:iStar.0")
    ('CsPad::CalibV1', 'Camera::CalibV1')
    """
    device = device_of(source)
    return device.group if device else UNDEFINED
