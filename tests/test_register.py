"""The register of detectors: which short name a long one has, and which number a new one gets."""

from datetime import UTC, datetime

import pytest

from cdb import register
from cdb.constant import RETIRED
from cdb.database import Database
from cdb.errors import BadName, NotFound
from cdb.fsck import Check
from tests.programs import OtherProgram, interrupted_at

REGISTER = ("cdb_detnames", "epix")


def known(long: object, number: int = 1, **fields) -> dict:
    """Return a document of the register."""
    return {"long": long, "short": f"epix_{number:06d}", "seqnumber": number, **fields}


# Which short name a long one has -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "there", "found"),
    [
        ("epix_a_b", ["epix_a_b"], 1),
        ("epix_b_a", ["epix_a_b"], 1),
        ("epix_b", ["epix_a_b"], 1),
        ("epix_c_a", ["epix_a_b_c"], 1),
        ("epix_a_b_c", ["epix_a_b"], None),
        ("epix_a_c", ["epix_a_b"], None),
        ("epix_a", ["epix_aa_b"], None),
        ("epix_a-1", ["epix_a-10_b"], None),
        ("epix_1", ["epix_a-1"], None),
        ("epix_A", ["epix_a"], None),
        ("epix_a", [], None),
    ],
)
def test_a_long_name_matches_whole_panels_in_any_order(asked, there, found):
    documents = [known(long, n) for n, long in enumerate(there, 1)]
    expected = found and f"epix_{found:06d}"
    assert register.match(asked, documents) == expected


@pytest.mark.parametrize("numbers", [(3, 5), (5, 3)])
def test_of_several_matches_the_lowest_number_is_taken(numbers):
    documents = [known("epix_a_b", numbers[0]), known("epix_b_a_c", numbers[1])]
    assert register.match("epix_b", documents) == "epix_000003"
    assert register.match("epix_b", documents[::-1]) == "epix_000003"


def test_an_exact_match_comes_before_a_lower_number():
    documents = [known("epix_a_b", 1), known("epix_a", 7)]
    assert register.match("epix_a", documents) == "epix_000007"


@pytest.mark.parametrize(
    "unusable",
    [{"long": None, "short": "epix_000001"}, {"long": "epix_a"}, {"short": "epix_000001"}, {},
     {"long": "epix_a", "short": 1}, {"long": ["epix_a"], "short": "epix_000001"}],
)  # fmt: skip
def test_unusable_entries_are_passed_over(unusable):
    assert register.match("epix_a", [unusable]) is None
    assert register.match("epix_a", [unusable, known("epix_a", 2)]) == "epix_000002"


def test_an_entry_with_a_short_name_of_another_form_counts_by_its_own_number():
    documents = [known("epix_a", 5), {"long": "epix_a", "short": "old-epix", "seqnumber": 4}]
    assert register.match("epix_a", documents) == "old-epix"
    assert register.number_of({"long": "epix_a", "short": "old-epix"}) == 999_999


def test_a_name_with_no_panels_matches_only_itself():
    assert register.match("epix_", [known("epix_a")]) is None
    assert register.match("epix_", [known("epix_")]) == "epix_000001"


# The next number ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("documents", "databases", "number"),
    [
        ([], [], 1),
        ([known("epix_a", 4), known("epix_b", 2)], [], 5),
        ([{"short": RETIRED + "epix_000009"}], [], 10),
        ([{"seqnumber": 12}], [], 13),
        ([{"seqnumber": "12"}, {"seqnumber": None}, {}], [], 1),
        ([], ["cdb_epix_000041"], 42),
        ([], ["cdb_epix_000041_mytest"], 42),
        ([], ["cdb_EPIX_000041"], 42),
        ([known("epix_a", 50)], ["cdb_epix_000041"], 51),
        ([], ["cdb_epix10ka_000041", "cdb_jungfrau_000007", "cdb_rixx45619", "epix_000008"], 9),
        ([], ["cdb_detnames", "cdbjournal", "admin"], 1),
    ],
)
def test_a_new_number_is_above_all_that_were_given(documents, databases, number):
    assert register.next_number("epix", documents, databases) == number


def test_there_is_a_last_number():
    with pytest.raises(BadName, match="all 999999 numbers of detector type epix are taken"):
        register.next_number("epix", [known("epix_a", 999_999)], [])


def test_an_entry_is_what_psana_writes():
    time = datetime(2021, 10, 1, 8, tzinfo=UTC)
    made = register.new_entry("epix_a_b", 3, id="0" * 24, time=time)
    assert (made["long"], made["short"], made["seqnumber"]) == ("epix_a_b", "epix_000003", 3)
    assert made["time_sec"] == 1_633_075_200
    assert {"_id", "uid", "host", "cwd", "time_stamp"} < made.keys()


def test_a_retired_entry_is_shown_by_the_names_that_it_had():
    retired = {"retired": "epix_a", "short": RETIRED + "epix_000001", "out": 7}
    assert register.unretired(retired) == {"long": "epix_a", "short": "epix_000001", "out": 7}
    assert register.unretired(known("epix_a")) == known("epix_a")


# In a store --------------------------------------------------------------------------------------


@pytest.fixture
def registered(quick_db) -> Database:
    """A database that knows one long name, as epix_000001."""
    quick_db.add("x", detector="epix_a_b", ctype="notes")
    return quick_db


@pytest.fixture
def retired(registered) -> Database:
    """A database whose one entry in the register was retired: event 3."""
    (document,) = registered.store.find(*REGISTER)
    OtherProgram(registered.store).delete(*REGISTER, document["_id"])
    list(Check(registered.journal, accept=True).run())
    return registered


def test_a_retired_detector_is_unknown_but_its_past_stays(retired):
    with pytest.raises(NotFound, match="no detector 'epix_a_b' is registered"):
        retired.get("epix_a_b", "notes")
    assert retired.get("epix_a_b", "notes", as_of=2)[0] == "x"
    assert [d["longname"] for d in retired.detectors()] == [""]


def test_a_retired_detectors_number_is_not_given_again(retired):
    version = retired.add("y", detector="epix_a_b", ctype="notes")
    assert version.detector == "epix_000002"
    assert retired.short_name("epix_a_b") == "epix_000002"
    assert retired.short_name("epix_a_b", as_of=2) == "epix_000001"


def test_two_writers_of_one_new_name_agree(quick_db):
    other = Database(quick_db.store)
    slow = interrupted_at(
        quick_db.store,
        "before event",
        lambda: other.add("quick", detector="epix_b_a", ctype="notes"),
    )
    assert slow.add("slow", detector="epix_a_b", ctype="notes").detector == "epix_000001"
    assert quick_db.store.count(*REGISTER) == 1


def test_two_writers_of_two_new_names_get_two_numbers(quick_db):
    other = Database(quick_db.store)
    slow = interrupted_at(
        quick_db.store, "before event", lambda: other.add("quick", detector="epix_c", ctype="notes")
    )
    assert slow.add("slow", detector="epix_a_b", ctype="notes").detector == "epix_000002"
    assert quick_db.short_name("epix_c") == "epix_000001"


def test_a_dry_run_registers_nothing(quick_db):
    made = quick_db.add("x", detector="epix_a_b", ctype="notes", dry_run=True)
    assert made.detector == "epix_000001"
    assert (quick_db.head, quick_db.store.databases()) == (0, [])


def test_entries_of_other_programs_are_used(quick_db):
    theirs = {"_id": "5f5e1000" + "0" * 16, **known("epix_a_b", 8)}
    quick_db.store.insert(*REGISTER, [theirs, {"_id": "5f5e1001" + "0" * 16, "long": "epix_c"}])
    assert quick_db.short_name("epix_b_a") == "epix_000008"
    assert quick_db.add("x", detector="epix_c", ctype="notes").detector == "epix_000009"


def test_a_short_name_needs_no_entry(quick_db):
    assert quick_db.short_name("epix_000123") == "epix_000123"
    assert quick_db.add("x", detector="epix_000123", ctype="notes").seq == 1
    assert quick_db.store.count(*REGISTER) == 0
