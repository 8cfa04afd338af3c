"""Names: what is good, what is refused, how databases are called."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdb import names
from cdb.errors import BadName, CalibError

CHECKS = (names.check_experiment, names.check_detector, names.check_ctype, names.check_dbsuffix)
CONTROL = ["\x00", "a\x00b", "a\nb", "\x7f", "\ud800", "a\udfff"]


def words(check):
    return check.__name__


@pytest.mark.parametrize("check", CHECKS, ids=words)
@pytest.mark.parametrize("name", ["rixx45619", "a", "AmoBPS", "x" * 36, "epix10ka"])
def test_returns_a_good_name(check, name):
    assert check(name) == name


@pytest.mark.parametrize("check", CHECKS, ids=words)
@pytest.mark.parametrize("name", ["", " ", "a b", " a", "a ", "a/b", "a\\b", "..", "a$b", *CONTROL])
def test_refuses_what_mongodb_or_a_file_system_would_trip_over(check, name):
    with pytest.raises(BadName):
        check(name)


@pytest.mark.parametrize("check", CHECKS, ids=words)
@pytest.mark.parametrize(
    "name", [None, 7, b"rix", ["rix"], 10**5000], ids=lambda v: type(v).__name__
)
def test_refuses_what_is_no_text(check, name):
    with pytest.raises(BadName, match="of type"):
        check(name)


@pytest.mark.parametrize("check", [*CHECKS[:1], *CHECKS[2:]], ids=words)
@pytest.mark.parametrize("character", list(".\"*<>:|?'`{}()é½"))
def test_plain_names_are_letters_digits_and_two_signs(check, character):
    with pytest.raises(BadName, match="ASCII letters, digits"):
        check(f"a{character}b")


@pytest.mark.parametrize(
    ("check", "longest"),
    [
        (names.check_experiment, 59),
        (names.check_ctype, 127),
        (names.check_dbsuffix, 36),
        (names.check_detector, 52),
    ],
)
def test_names_have_a_longest(check, longest):
    assert check("x" * longest)
    with pytest.raises(BadName, match=f"may have {longest}"):
        check("x" * (longest + 1))


def test_the_longest_names_fit_mongodb():
    assert len(names.experiment_database("x" * 59)) == 63
    assert len(names.detector_database("x" * 52 + "_000001")) == 63


@pytest.mark.parametrize("name", ["detnames", "DetNames"])
def test_an_experiment_cannot_have_the_database_of_the_register(name):
    with pytest.raises(BadName, match="cdb_detnames"):
        names.check_experiment(name)


@pytest.mark.parametrize("name", ["epix10ka_000001", "epix10ka_000001_test", "a_000000_"])
def test_an_experiment_cannot_have_the_database_of_a_detector(name):
    with pytest.raises(BadName, match="short name"):
        names.check_experiment(name)
    assert names.names_a_detector(name)


@pytest.mark.parametrize(
    "name", ["epix_1", "epix_0000001", "epix_00001", "my_epix_000001", "1_000001"]
)
def test_an_experiment_may_come_near_a_short_name(name):
    assert names.check_experiment(name) == name
    assert not names.names_a_detector(name)


@pytest.mark.parametrize(
    "name",
    [
        "epix10ka_000001",
        "epics_",
        "epix10ka_3926196238-0175152897-1157627926-0000000000-0000000000-0000000000-0000000000",
        "ttdet_tt_detector_identification_placeholder",
        "hsd_a.b:c+d=e(f)[g]{h}",
        "jungfrau_" + "_".join(f"{n:010}-{n:010}" for n in range(180)),
    ],
    ids=lambda name: name[:20],
)
def test_accepts_the_long_names_of_the_daq(name):
    assert names.check_detector(name) == name


@pytest.mark.parametrize("character", list("$/\\'\"` \t\x00é"))
def test_a_long_name_holds_no_quotes_blanks_or_paths(character):
    with pytest.raises(BadName, match="holds"):
        names.check_detector(f"epix_1{character}2")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("retired:epix_1", "retired entry"),
        ("e-pix_1", "detector type"),
        ("10epix_1", "detector type"),
        ("_1", "detector type"),
        ("epix." + "_1", "detector type"),
        ("epix_" + "1" * 4096, "may have 4096"),
    ],
)
def test_a_long_name_says_what_is_wrong_with_it(name, words):
    with pytest.raises(BadName, match=words) as caught:
        names.check_detector(name)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("name", "is_short"),
    [
        ("epix10ka_000001", True),
        ("epix_999999", True),
        ("epix_00001", False),
        ("epix_0000001", False),
        ("epix_00000a", False),
        ("epix_٠٠٠٠٠١", False),
        ("1epix_000001", False),
        ("e_pix_000001", False),
        ("epix_000001\n", False),
        ("epix10ka", False),
    ],
)
def test_knows_a_short_name(name, is_short):
    assert names.is_short_name(name) is is_short


@given(st.from_regex("[A-Za-z][A-Za-z0-9]{0,20}", fullmatch=True), st.integers(1, 999_999))
def test_a_short_name_gives_back_its_parts(dettype, number):
    short = names.short_name(dettype, number)
    assert names.is_short_name(short)
    assert (names.detector_type(short), names.sequence_number(short)) == (dettype, number)
    assert names.check_detector(short) == short


@pytest.mark.parametrize("number", [0, -1, 1_000_000, True, 1.0, "1", 1 << 9999])
def test_a_short_name_has_a_number_of_six_digits(number):
    with pytest.raises(BadName, match="1 to 999999"):
        names.short_name("epix", number)


@pytest.mark.parametrize("name", ["epix", "epix_1", "epix_0000001", ""])
def test_only_a_short_name_has_a_number_and_a_database(name):
    for function in (names.sequence_number, names.detector_database):
        with pytest.raises(BadName, match="short name"):
            function(name)


@pytest.mark.parametrize(
    ("longname", "ids"),
    [
        ("epix10ka_a-1_b-2_a-1", ("a-1", "b-2", "a-1")),
        ("epix10ka", ()),
        ("epics_", ()),
        ("epix_a__b", ("a", "b")),
    ],
)
def test_takes_a_long_name_apart(longname, ids):
    assert names.panel_ids(longname) == ids


def test_names_databases():
    assert names.experiment_database("rixx45619") == "cdb_rixx45619"
    assert names.detector_database("epixhr2x2_000001") == "cdb_epixhr2x2_000001"
    assert names.detector_database("epixhr2x2_000001", "my-test") == "cdb_epixhr2x2_000001_my-test"


@pytest.mark.parametrize(
    ("experiment", "dbsuffix", "databases"),
    [
        (None, None, ["cdb_epix_000001"]),
        ("rix1", None, ["cdb_rix1", "cdb_epix_000001"]),
        ("rix1", "mytest", ["cdb_epix_000001_mytest"]),
    ],
)
def test_a_constant_is_filed_for_experiment_and_detector_or_privately(
    experiment, dbsuffix, databases
):
    assert names.databases_of("epix_000001", experiment, dbsuffix) == databases


def test_a_private_database_has_less_than_fifty_characters():
    assert len(names.detector_database("epixhr2x2_000001", "x" * 28)) == 49
    with pytest.raises(BadName, match="suffix of at most 28"):
        names.detector_database("epixhr2x2_000001", "x" * 29)


@pytest.mark.parametrize(
    ("name", "found"),
    [("cdb_RIX", "cdb_rix"), ("cdb_rix", None), ("cdb_mfx", None), ("CDB_rix", "cdb_rix")],
)
def test_finds_a_name_that_differs_only_in_case(name, found):
    assert names.same_but_for_case(name, ["cdb_amo", "cdb_rix"]) == found


def test_knows_the_sixteen_types_of_psana():
    assert len(names.CTYPES) == 16
    assert names.CTYPES["pixel_status"].dtype == "uint64"
    assert names.CTYPES["geometry"].letter == "G"
    assert all(names.check_ctype(ctype) == known.name for ctype, known in names.CTYPES.items())


@pytest.mark.parametrize(
    ("ctype", "dtype", "note"),
    [
        ("pedestals", "float32", None),
        ("pedestals", None, None),
        ("geometry", "str", None),
        ("lasingoffreference", "json", None),
        ("lasingoffreference", "str", None),
        ("pedestals", "float64", "usually float32, these are float64"),
        ("geometry", "float32", "usually str"),
        ("pedestal", "float32", "did you mean pedestals[?]"),
        ("Pixel_RMS", None, "did you mean pixel_rms[?]"),
        ("xtcav_lasingoff", None, "not among the known types pedestals, .*; stored as it is$"),
    ],
)
def test_notes_what_is_unusual_about_a_type(ctype, dtype, note):
    found = names.note_on_ctype(ctype, dtype)
    assert found is None if note is None else re.search(note, found)


@given(st.text(max_size=200))
def test_any_text_is_a_name_or_a_bad_name(text):
    for check in (*CHECKS, names.detector_type, names.detector_database, names.note_on_ctype):
        answer = ""
        try:
            check(text)
        except CalibError as error:
            answer = str(error)
        assert len(answer.encode()) < 700
