"""Detectors, experiments, constant types, database names: parse, check, format.

=========== ================================ ================================================
name        example                          what it is
=========== ================================ ================================================
experiment  ``rixx45619``                    letters, digits, ``_`` and ``-``
type        ``epix10ka``                     of a detector: letters and digits, a letter first
short name  ``epix10ka_000001``              a detector: its type, its number in the register
long name   ``epix10ka_0123-45_0123-46``     a detector: its type, the ids of its panels
source      ``CxiDs1.0:Cspad.0``             a detector of LCLS-I; see `cdb.lcls1_names`
ctype       ``pedestals``                    type of a constant, as an experiment's name
database    ``cdb_rixx45619``                `PREFIX`, then an experiment or a short name
tag         ``summer26``                     letters, digits, ``.``, ``_``, ``-``, a letter first
=========== ================================ ================================================
"""

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cdb import lcls1_names
from cdb.errors import BadName, shown

PREFIX = "cdb_"
REGISTER = "cdb_detnames"

MAX_DATABASE = 63  # bytes, MongoDB's limit
MAX_PRIVATE = 49  # characters of a private database's name, psana's limit
MAX_NAME = 127  # characters of any other name, psana's limit
MAX_TAG = 64  # characters of a tag's name
MAX_LONGNAME = 4096  # characters; a long name is only ever a value in a document
LAST_NUMBER = 999_999

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_SHORT = re.compile(r"([A-Za-z][A-Za-z0-9]*)_([0-9]{6})")
_SHORT_AND_MORE = re.compile(_SHORT.pattern + "(_.*)?")
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_CITED = re.compile(r"([^#@]*)(?:#([0-9]{1,9}))?(?:@([0-9a-f]{8,64}))?")
_LONG = re.compile(r"""[^\x00-\x20\x7f-\U0010ffff$/\\'"`]+""")


@dataclass(frozen=True)
class ConstantType:
    """A type of constant that the deploy tools know.

    Attributes
    ----------
    name : str
        The ctype.
    dtype : str
        Of its values as text; ``str`` for a text.
    letter : str
        By which the deploy tools abbreviate it.
    meaning : str
        What it is used for; empty where nobody says.
    """

    name: str
    dtype: str
    letter: str
    meaning: str = ""


# psana 4.3.4, `pscalib/calib/CalibConstants.py`; the dtype is a custom of the deploy tools.
CTYPES: Mapping[str, ConstantType] = MappingProxyType(
    {
        known.name: known
        for known in (
            ConstantType("pedestals", "float32", "p", "dark average"),
            ConstantType("pixel_status", "uint64", "s", "bad-pixel bits, 0 = good"),
            ConstantType("pixel_rms", "float32", "r", "dark rms"),
            ConstantType("pixel_gain", "float32", "g", "ADU per keV"),
            ConstantType("pixel_mask", "uint8", "m", "user mask, 1 = good"),
            ConstantType("pixel_bkgd", "float32", "b", "background"),
            ConstantType("common_mode", "float64", "c", "parameter vector"),
            ConstantType("geometry", "str", "G", "geometry text"),
            ConstantType("pixel_offset", "float32", "o"),
            ConstantType("pixel_datast", "uint16", "d"),
            ConstantType("code_geometry", "str", "N"),
            ConstantType("users_mask", "uint8", "u"),
            ConstantType("status_extra", "uint64", "e", "extra status bits"),
            ConstantType("pixel_max", "uint64", "x"),
            ConstantType("pixel_min", "uint64", "n"),
            ConstantType("lasingoffreference", "hdf5/dict", "N", "XTCAV"),
        )
    }
)


# Checks ----------------------------------------------------------------------------------------


def check_experiment(name: str) -> str:
    """Return the name of an experiment if it can be used.

    Parameters
    ----------
    name : str
        Without the prefix ``cdb_``.

    Raises
    ------
    BadName
        If MongoDB or psana could not use it, or if its database would be that of a detector or
        of the register.

    Examples
    --------
    >>> check_experiment("rixx45619")
    'rixx45619'
    >>> check_experiment("epix10ka_000001")
    Traceback (most recent call last):
        ...
    cdb.errors.BadName: experiment 'epix10ka_000001' has the form of a detector's short name, ...
    """
    _check_plain(name, "experiment", MAX_DATABASE - len(PREFIX))
    if (PREFIX + name).lower() == REGISTER:
        raise BadName(
            f"experiment {shown(name)} would have the database of the register of detectors, "
            f"{REGISTER}; choose another name"
        )
    if names_a_detector(name):
        raise BadName(
            f"experiment {shown(name)} has the form of a detector's short name, so its database "
            "would be the detector's; a name such as 'rixx45619' is good, and a detector's "
            "constants are asked for without an experiment"
        )
    return name


def check_detector(name: str) -> str:
    """Return the name of a detector, short or long, if it can be used.

    A source of LCLS-I is given its type, with which the register finds it.

    Raises
    ------
    BadName
        If its type cannot stand in a database name, or if it holds what no id of a panel holds.

    Examples
    --------
    >>> check_detector("epix10ka_0123-45_0123-46")
    'epix10ka_0123-45_0123-46'
    >>> check_detector("DetInfo(CxiDs1.0:Cspad.0)")
    'cspad_CxiDs1.0:Cspad.0'
    >>> check_detector("../etc")
    Traceback (most recent call last):
        ...
    cdb.errors.BadName: detector '../etc' holds '/'; ...
    """
    _check_text(name, "detector", MAX_LONGNAME)
    source = lcls1_names.source_in(name)
    if source is not None:
        name = f"{lcls1_names.device_type(source)}_{source}"
    if name.startswith("retired:"):
        raise BadName(
            f"detector {shown(name)} is the name of a retired entry; "
            f"give the name alone, {shown(name.removeprefix('retired:'))}"
        )
    fine = _LONG.match(name)
    bad = name[fine.end() if fine else 0 :][:1]
    if bad:
        raise BadName(
            f"detector {shown(name)} holds {bad!a}; good are letters, digits and most other "
            "printable ASCII characters, without blanks, quotes, '$', '/' and '\\'"
        )
    detector_type(name)
    return name


def check_ctype(name: str) -> str:
    """Return the name of a constant type if it can be used, known or not.

    Raises
    ------
    BadName
        If it is not made of ASCII letters, digits, ``_`` and ``-``.

    Examples
    --------
    >>> check_ctype("pixel_rms")
    'pixel_rms'
    """
    return _check_plain(name, "constant type", MAX_NAME)


def check_dbsuffix(name: str) -> str:
    """Return the suffix of private databases if it can be used.

    Raises
    ------
    BadName
        If it is not made of ASCII letters, digits, ``_`` and ``-``, or fits no detector.

    Examples
    --------
    >>> check_dbsuffix("mytest")
    'mytest'
    """
    return _check_plain(name, "database suffix", MAX_PRIVATE - len(PREFIX + "x_000001_"))


def check_collection(name: str) -> str:
    """Return the name of a collection of documents, usually a detector's, if there can be one.

    Raises
    ------
    BadName
        If it is not made of ASCII letters, digits, ``_`` and ``-``.

    Examples
    --------
    >>> check_collection("epix10ka_000001")
    'epix10ka_000001'
    """
    return _check_plain(name, "collection", MAX_NAME)


def names_a_detector(name: str) -> bool:
    """Return whether a database, its prefix left out, is a detector's, own or private.

    Examples
    --------
    >>> names_a_detector("epix10ka_000001_mytest"), names_a_detector("rixx45619")
    (True, False)
    """
    return _SHORT_AND_MORE.fullmatch(name) is not None


def is_detector_database(database: str) -> bool:
    """Return whether a database is a detector's own, not a private one.

    Examples
    --------
    >>> is_detector_database("cdb_epix10ka_000001"), is_detector_database("cdb_epix10ka_000001_my")
    (True, False)
    """
    return is_short_name(database.removeprefix(PREFIX))


def same_but_for_case(name: str, names: Iterable[str]) -> str | None:
    """Return the name among `names` that differs from `name` only in case, None if none does.

    MongoDB refuses two databases whose names do, and some file systems take them for one.

    Examples
    --------
    >>> same_but_for_case("cdb_RIX1", ["cdb_mfx1", "cdb_rix1"])
    'cdb_rix1'
    """
    lower = name.lower()
    return next((known for known in names if known != name and known.lower() == lower), None)


# Detectors -------------------------------------------------------------------------------------


def is_short_name(name: str) -> bool:
    """Return whether a name has the form of a short one, ``<type>_<six digits>``.

    Examples
    --------
    >>> is_short_name("epix10ka_000001"), is_short_name("epix10ka_0123-45")
    (True, False)
    """
    return _SHORT.fullmatch(name) is not None


def detector_type(name: str) -> str:
    """Return the type of a detector: the text before the first ``_`` of its name.

    Raises
    ------
    BadName
        If that cannot be a type.

    Examples
    --------
    >>> detector_type("epix10ka_000001"), detector_type("epics")
    ('epix10ka', 'epics')
    """
    _check_text(name, "detector", MAX_LONGNAME)
    return _check_type(name.partition("_")[0], f"detector {shown(name)}")


def sequence_number(short: str) -> int:
    """Return the number in a short name.

    Raises
    ------
    BadName
        If the name is not a short one.

    Examples
    --------
    >>> sequence_number("epix10ka_000012")
    12
    """
    return int(_check_short(short)[-6:])


def short_name(dettype: str, number: int) -> str:
    """Return the short name of a detector.

    Parameters
    ----------
    dettype : str
        Type of the detector.
    number : int
        In the register, 1 to 999999.

    Raises
    ------
    BadName
        If the type or the number cannot be used.

    Examples
    --------
    >>> short_name("epix10ka", 12)
    'epix10ka_000012'
    """
    _check_type(dettype, "a short name")
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= LAST_NUMBER:
        raise BadName(
            f"number {shown(number)} of a {dettype} is not one of 1 to {LAST_NUMBER}; "
            "take the next free one of the register"
        )
    return f"{dettype}_{number:06}"


def panel_ids(longname: str) -> tuple[str, ...]:
    """Return the ids of a detector's panels, in order; none for a bare type.

    Examples
    --------
    >>> panel_ids("epix10ka_0123-45_0123-46"), panel_ids("epics_")
    (('0123-45', '0123-46'), ())
    """
    return tuple(panel for panel in longname.split("_")[1:] if panel)


# Databases -------------------------------------------------------------------------------------


def experiment_database(experiment: str) -> str:
    """Return the name of an experiment's database.

    Raises
    ------
    BadName
        As `check_experiment` does.

    Examples
    --------
    >>> experiment_database("rixx45619")
    'cdb_rixx45619'
    """
    return PREFIX + check_experiment(experiment)


def detector_database(short: str, dbsuffix: str | None = None) -> str:
    """Return the name of a detector's database, or of a private one of that detector.

    Its one collection of constants has the short name.

    Parameters
    ----------
    short : str
        Short name of the detector.
    dbsuffix : str, optional
        Of the private database.

    Raises
    ------
    BadName
        If a name cannot be used, or if both together are too long.

    Examples
    --------
    >>> detector_database("epix10ka_000001")
    'cdb_epix10ka_000001'
    >>> detector_database("epix10ka_000001", "mytest")
    'cdb_epix10ka_000001_mytest'
    """
    own = PREFIX + _check_short(short)
    if dbsuffix is None:
        return own
    private = f"{own}_{check_dbsuffix(dbsuffix)}"
    if len(private) > MAX_PRIVATE:
        raise BadName(
            f"private database {shown(private)} has {len(private)} characters and may have "
            f"{MAX_PRIVATE}; choose a suffix of at most {MAX_PRIVATE - len(own) - 1}"
        )
    return private


def databases_of(short: str, experiment: str | None, dbsuffix: str | None) -> list[str]:
    """Return where a constant is filed: a private database alone, or experiment and detector.

    Parameters
    ----------
    short : str
        Short name of the detector.
    experiment : str or None
        Whose constant it is.
    dbsuffix : str or None
        Of a private database; the others are left alone then.

    Raises
    ------
    BadName
        If a name cannot be used.

    Examples
    --------
    >>> databases_of("epix10ka_000001", "rixx45619", None)
    ['cdb_rixx45619', 'cdb_epix10ka_000001']
    >>> databases_of("epix10ka_000001", "rixx45619", "mytest")
    ['cdb_epix10ka_000001_mytest']
    """
    if dbsuffix is not None:
        return [detector_database(short, dbsuffix)]
    own = [] if experiment is None else [experiment_database(experiment)]
    return [*own, detector_database(short)]


def check_database(name: str) -> str:
    """Return the name of a database of constants, prefix and all, if there can be one.

    Raises
    ------
    BadName
        If it lacks the prefix, or is none of an experiment or a detector.

    Examples
    --------
    >>> check_database("cdb_rixx45619")
    'cdb_rixx45619'
    """
    _check_plain(name, "database", MAX_DATABASE)
    if not name.startswith(PREFIX) or name in (PREFIX, REGISTER):
        raise BadName(
            f"{shown(name)} is no database of constants; they are called {PREFIX}<experiment>, "
            f"{PREFIX}<detector> or {PREFIX}<detector>_<suffix>"
        )
    return name


# Constant types --------------------------------------------------------------------------------


def note_on_ctype(ctype: str, dtype: str | None = None) -> str | None:
    """Return what is unusual about a constant's type or its values, None if nothing is.

    Parameters
    ----------
    ctype : str
        Type of the constant.
    dtype : str, optional
        Of its values: that of an array as text, ``str`` for a text, ``json`` for anything else.

    Returns
    -------
    note : str or None
        A sentence. It is never an error: any ctype and any dtype can be stored.

    Examples
    --------
    >>> note_on_ctype("pedestals", "float64")
    'values of pedestals are usually float32, these are float64; stored as they are'
    >>> print(note_on_ctype("pedestal"))
    'pedestal' is no known type; did you mean pedestals?
    """
    known = CTYPES.get(ctype)
    if known is None:
        near = difflib.get_close_matches(ctype[:MAX_NAME].lower(), CTYPES, n=1, cutoff=0.75)
        if near:
            return f"{shown(ctype)} is no known type; did you mean {near[0]}?"
        return f"{shown(ctype)} is not among the known types {', '.join(CTYPES)}; stored as it is"
    usual = ("str", "json") if known.dtype == "hdf5/dict" else (known.dtype,)
    if dtype is None or dtype in usual:
        return None
    return f"values of {ctype} are usually {known.dtype}, these are {dtype}; stored as they are"


# Tags ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TagName:
    """How a tag is cited.

    Attributes
    ----------
    name : str
        Its name.
    revision : int or None
        Which of the tag's documents is meant; the last one without it.
    server : str or None
        How the identity of its store begins, of eight digits at least; any store without it.
    """

    name: str
    revision: int | None = None
    server: str | None = None

    @property
    def id(self) -> str:
        """The ``_id`` of the tag's document; of all revisions without one its beginning."""
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        return digest if self.revision is None else f"{digest}{self.revision:08x}"

    def __str__(self) -> str:
        """Return it as it is written."""
        revision = "" if self.revision is None else f"#{self.revision}"
        return f"{self.name}{revision}" + (f"@{self.server}" if self.server else "")


def check_tag(name: str) -> str:
    """Return the name of a tag if it can be used.

    Raises
    ------
    BadName
        If it is no text of letters, digits and ``. _ -`` that begins with a letter, is too long,
        or is a word for a time.

    Examples
    --------
    >>> check_tag("summer26")
    'summer26'
    """
    _check_text(name, "tag", MAX_TAG)
    if not _TAG.fullmatch(name) or name.lower() == "now":
        raise BadName(
            f"tag {shown(name)} cannot be used: it begins with a letter and is made of ASCII "
            "letters, digits, '.', '_' and '-', and 'now' is a time; good ones are 'summer26', "
            "'rixx45619-final'"
        )
    return name


def parse_tag(text: str) -> TagName:
    """Return how a tag is cited: its name, ``name#revision``, ``name@server``, or all three.

    Raises
    ------
    BadName
        If the text has none of these forms.

    Examples
    --------
    >>> parse_tag("summer26@1f3a9c0b")
    TagName(name='summer26', revision=None, server='1f3a9c0b')
    >>> parse_tag("summer26#3").revision
    3
    """
    _check_text(text, "tag", 2 * MAX_TAG + 16)
    parts = _CITED.fullmatch(text)
    if parts is None:
        raise BadName(
            f"tag {shown(text)} cannot be understood; write its name, name#revision, or "
            "name@server with the first eight or more digits of the server's identity"
        )
    name, revision, server = parts.groups()
    return TagName(check_tag(name), None if revision is None else int(revision), server)


def is_tag(text: str) -> bool:
    """Return whether a text cites a tag, rather than an event or a time.

    Examples
    --------
    >>> is_tag("summer26"), is_tag("42"), is_tag("2021-10-01T00:00:00Z"), is_tag("now")
    (True, False, False, False)
    """
    return text[:1].isalpha() and text.lower() != "now"


# In common -------------------------------------------------------------------------------------


def _check_text(name: str, what: str, longest: int) -> str:
    if not isinstance(name, str):
        raise BadName(
            f"{what} {shown(name)} is of type {type(name).__name__}; a name is a text (str)"
        )
    if not name:
        raise BadName(f"the name of the {what} is empty; give one")
    if len(name) > longest:
        raise BadName(
            f"{what} {shown(name)} has {len(name)} characters and may have {longest}; shorten it"
        )
    return name


def _check_plain(name: str, what: str, longest: int) -> str:
    _check_text(name, what, longest)
    if not _NAME.fullmatch(name):
        raise BadName(
            f"{what} {shown(name)} holds other characters than ASCII letters, digits, '_' and "
            "'-'; leave them out"
        )
    return name


def _check_type(dettype: str, of: str) -> str:
    longest = MAX_DATABASE - len(PREFIX + "_000001")
    _check_text(dettype, f"detector type (of {of}, before the first '_')", longest)
    if not _TYPE.fullmatch(dettype):
        raise BadName(
            f"detector type {shown(dettype)} (of {of}, before the first '_') is not made of a "
            "letter, then ASCII letters and digits; good ones are 'epix10ka', 'jungfrau'"
        )
    return dettype


def _check_short(short: str) -> str:
    _check_text(short, "short name", MAX_DATABASE - len(PREFIX))
    if not is_short_name(short):
        raise BadName(
            f"{shown(short)} is not a short name, as 'epix10ka_000001': a type, '_' and six "
            "digits; the register has the short name of a long one"
        )
    return short
