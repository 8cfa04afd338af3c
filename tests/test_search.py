"""Bounded questions to a store, and the reason for every candidate."""

import pytest

from cdb import search
from cdb.database import Database
from cdb.lookup import Place, Question
from tests.programs import EPIX, OtherProgram

ADD = {"detector": EPIX, "experiment": "xpp1", "ctype": "notes"}
PLACE = Place("cdb_xpp1", EPIX, "experiment")
DETECTOR = Place("cdb_epix_000001", EPIX, "detector", fallback=True)
T0 = 1_600_000_000


def add(db: Database, label: str = "ours", **more):
    return db.add(label, **{**ADD, "time": T0, "comment": label, **more})


def ask(db: Database, moment=None, **asked):
    """Return the comment of the version that a question finds in the experiment's database."""
    moment = moment or db.journal.moment()
    found = search.winner(db.journal, moment, [PLACE], Question(**asked), EPIX, "notes")
    return None if found is None else found.meta["comment"]


def reasons(db: Database, **asked) -> dict[str, str]:
    """Return the reason of each candidate in the experiment's database, by its comment."""
    found = db.explain(EPIX, "notes", **{"experiment": "xpp1", "run": 7, **asked})
    return {c.version.meta["comment"]: c.reason for c in found.candidates
            if c.version.database == "cdb_xpp1"}  # fmt: skip


@pytest.fixture
def other(quick_db) -> OtherProgram:
    """A program that writes beside us."""
    return OtherProgram(quick_db.store)


# Bounded questions -------------------------------------------------------------------------------


@pytest.fixture
def limits(quick_db, monkeypatch) -> list[int]:
    """How many documents each question to the store asks for."""
    asked: list[int] = []
    find = quick_db.journal.find

    def counted(*arguments, limit=0, **options):
        asked.append(limit)
        return find(*arguments, limit=limit, **options)

    monkeypatch.setattr(quick_db.journal, "find", counted)
    return asked


RULES = [{"run": 7}, {"run": 7, "rule": "latest"}, {"rule": "prior"}]


@pytest.mark.parametrize("asked", RULES)
def test_one_question_of_four_is_enough_among_ours(quick_db, limits, asked):
    for run in range(8):
        add(quick_db, str(run), run=run)
    del limits[:]
    assert ask(quick_db, **asked) == "7"
    assert limits == [search.PAGE]


@pytest.mark.parametrize("asked", RULES)
def test_an_empty_place_costs_one_question(quick_db, limits, asked):
    assert ask(quick_db, **asked) is None
    assert limits == [search.PAGE]


def test_closed_ranges_of_others_are_read_past(quick_db, other, limits):
    for number in range(20):
        other.insert(number=number, run=5, run_end="6", comment="closed")
    add(quick_db, run=1)
    del limits[:]
    assert ask(quick_db, run=7) == "ours"
    assert limits == [4, 16, 64]


def test_others_of_the_same_second_are_read_past(quick_db, other, limits):
    for number in range(6):
        other.insert(number=number, second=T0, run=9 - number, time_sec=T0, comment=str(number))
    assert ask(quick_db, run=7, rule="latest") == "5"
    assert ask(quick_db, rule="prior") == "5"
    assert max(limits) == 16


@pytest.mark.parametrize(
    ("rule", "expected"), [({"run": 7}, "wide"), ({"run": 7, "rule": "psana"}, "wide")]
)
def test_an_end_that_is_a_text_is_compared_as_a_number(quick_db, other, rule, expected):
    other.insert(number=1, run=3, run_end="10", comment="narrow", second=T0)
    other.insert(number=2, run=3, run_end="9", comment="narrowest", second=T0 - 1)
    add(quick_db, "wide", run=3)
    quick_db.retire(add(quick_db, "gone", run=4).id, reason="test")
    assert ask(quick_db, **{**rule, "run": 11}) == expected
    assert ask(quick_db, run=10) == "narrow"
    assert ask(quick_db, run=9) == "narrowest"


def test_what_others_dated_by_a_text_is_found_only_without_a_time(quick_db, other):
    other.insert(time_sec="yesterday", comment="undated")
    assert ask(quick_db, run=7) == "undated"
    assert ask(quick_db, run=7, time=T0 + 100) is None


@pytest.mark.parametrize(
    ("time", "expected"),
    [(T0 - 99, "b 0"), (T0, "b 0"), (T0 + 4, "b 0"), (T0 + 5, "b 10"), (T0 + 6, "b 10"),
     (T0 + 99, "theirs")],
)  # fmt: skip
def test_the_closest_is_the_last_added_of_the_nearest_time(quick_db, other, time, expected):
    for label in "ab":
        for later in (0, 10):
            add(quick_db, f"{label} {later}", time=T0 + later)
    other.insert(second=T0, time_sec=T0 + 80, comment="theirs")
    assert ask(quick_db, rule="closest", time=time) == expected


def test_what_is_retired_during_a_question_is_still_the_answer(quick_db):
    add(quick_db, "wide", run=1)
    version = add(quick_db, "narrow", run=2)
    moment = quick_db.journal.moment()
    quick_db.retire(version.id, reason="test")
    assert ask(quick_db, moment, run=7) == "narrow"
    assert ask(quick_db, run=7) == "wide"


def test_what_is_amended_during_a_question_is_not_mixed(quick_db):
    version = add(quick_db, "before")
    moment = quick_db.journal.moment()
    quick_db.amend(version.id, comment="after")
    assert ask(quick_db, moment, run=7) == "before"
    assert ask(quick_db, run=7) == "after"


def test_an_answer_does_not_say_what_came_after_its_state(quick_db):
    version = add(quick_db)
    moment = quick_db.journal.moment()
    quick_db.retire(version.id, reason="test")
    found = search.winner(quick_db.journal, moment, [PLACE], Question(run=7), EPIX, "notes")
    assert (found.state, found.meta["detector"], found.out) == ("live", EPIX, None)


def test_the_first_place_that_has_one_wins(quick_db):
    add(quick_db, "elsewhere", experiment="cxi2", run=900)
    question = Question(run=7, experiment="xpp1")
    moment = quick_db.journal.moment()
    found = search.winner(quick_db.journal, moment, [PLACE, DETECTOR], question, EPIX, "notes")
    assert found.database == "cdb_epix_000001"


# Reasons, one by one -----------------------------------------------------------------------------

LATER = f"is valid only from a later time, {T0 + 5} s"
ABOVE = "has runs above 9999, which psana passes over"


@pytest.mark.parametrize(
    ("lost", "asked", "reason"),
    [
        ({"run": 8}, {}, "begins later, with run 8"),
        ({"run": 1, "run_end": 6}, {}, "ended with run 6"),
        ({"run": 1}, {}, "starts earlier (run 1) than the winner (run 2)"),
        ({"time": T0 + 5}, {"time": T0}, LATER),
        ({"run": 8}, {"rule": "latest"}, "begins later, with run 8"),
        ({"time": T0 + 5}, {"rule": "prior", "time": T0}, LATER),
        ({"time": T0 - 5}, {"rule": "prior"}, "5 s off the winner's time"),
        ({"time": T0 + 5}, {"rule": "closest", "time": T0}, "5 s off the winner's time"),
        ({"run": 10_000}, {"rule": "psana"}, ABOVE),
        ({"run": 2, "run_end": 10_000}, {"rule": "psana"}, ABOVE),
    ],
)  # fmt: skip
def test_a_loser_is_told_its_reason(memory_db, lost, asked, reason):
    add(memory_db, "winner", run=2)
    add(memory_db, "loser", **{"run": 2, **lost})
    told = reasons(memory_db, **asked)
    assert told["loser"] == reason
    assert told["winner"].startswith("wins: ")


@pytest.mark.parametrize("rule", ["range", "latest", "prior", "psana"])
def test_the_earlier_added_of_two_equals_is_told_so(memory_db, rule):
    add(memory_db, "loser")
    add(memory_db, "winner")
    assert reasons(memory_db, rule=rule)["loser"] == "added before the winner"


def test_the_wider_of_two_ranges_is_told_so(memory_db):
    add(memory_db, "winner", run=2, run_end=20)
    add(memory_db, "loser", run=2, run_end=21)
    assert reasons(memory_db)["loser"] == "same start, but a wider range than the winner"


def test_psanas_fallback_tells_who_came_in_the_same_second(memory_db):
    memory_db.journal.now = lambda: T0
    add(memory_db, "winner", experiment="cxi2")
    add(memory_db, "loser", experiment="cxi2", run=1)
    found = memory_db.explain(EPIX, "notes", experiment="xpp1", run=7, rule="psana")
    assert {c.version.meta["comment"]: c.reason for c in found.candidates} == {
        "winner": "wins: psana's fallback: the last inserted, to the second, of any experiment; "
        "ties: the first (detector)",
        "loser": "added after the winner",
    }


def test_psana_takes_its_end_for_run_9999(memory_db):
    add(memory_db, "loser")
    told = reasons(memory_db, rule="psana", run=10_000)
    assert told == {"loser": "psana takes its end for run 9999"}


def test_psanas_fallback_passes_over_runs_above_9999(memory_db):
    add(memory_db, "loser", experiment="cxi2", run=10_000)
    found = memory_db.explain(EPIX, "notes", experiment="xpp1", run=7, rule="psana")
    assert [c.reason for c in found.candidates] == ["does not begin with a run of 0 to 9999"]


@pytest.mark.parametrize(
    ("fields", "asked", "reason"),
    [
        ({"run": "three"}, {}, "its run range cannot be understood"),
        ({"run_end": "three"}, {}, "its run range cannot be understood"),
        ({"run": "three"}, {"rule": "latest"}, "its first run cannot be understood"),
        ({"time_sec": "now"}, {"time": T0 + 9}, "its time cannot be understood"),
        ({"time_sec": "now"}, {"time": T0 + 9, "rule": "prior"}, "its time cannot be understood"),
    ],
)
def test_unreadable_documents_are_told_so(quick_db, other, fields, asked, reason):
    other.insert(comment="theirs", **fields)
    assert reasons(quick_db, **asked) == {"theirs": reason}


def test_the_winner_is_told_the_rule_and_the_place(memory_db):
    add(memory_db, "ours", run=2)
    assert reasons(memory_db)["ours"] == (
        "wins: the latest-starting range that covers the run, then the narrowest, then the last "
        "added (experiment)"
    )


def test_places_behind_the_winners_are_not_asked(memory_db):
    add(memory_db, "mine", dbsuffix="mine")
    add(memory_db, "own")
    found = memory_db.explain(EPIX, "notes", experiment="xpp1", dbsuffix="mine", run=7)
    assert {c.version.database: c.reason for c in found.candidates if not c.won} == {
        "cdb_xpp1": "not asked: cdb_epix_000001_mine had one",
        "cdb_epix_000001": "not asked: cdb_epix_000001_mine had one",
    }


def test_the_retired_are_told_by_whom_when_and_why(memory_db):
    memory_db.retire(add(memory_db, "gone").id, reason="beam was on")
    event = memory_db.journal.event(2)
    assert reasons(memory_db)["gone"].startswith(f"retired by {event['actor']} at 20")
    assert reasons(memory_db)["gone"].endswith("Z (event 2): beam was on")


def test_the_replaced_are_told_by_what(memory_db):
    version = add(memory_db, "before")
    after = memory_db.amend(version.id, comment="after")
    told = reasons(memory_db)["before"]
    assert told.startswith(f"replaced by {after.id} by ")
    assert told.endswith("(event 2)")


def test_as_of_the_past_later_ones_are_told_so(quick_db, other):
    add(quick_db, "early")
    add(quick_db, "late")
    other.insert(second=2**32 - 1, comment="theirs")
    told = reasons(quick_db, as_of=1)
    assert told["early"].startswith("wins")
    assert told["late"] == "added later, by event 2"
    assert told["theirs"] == "inserted later, by another program"


def test_a_retirement_whose_event_is_lost_is_still_told(quick_db, other):
    quick_db.retire(add(quick_db, "gone").id, reason="test")
    add(quick_db, "next", run=1)
    other.delete("cdbjournal", "journal", 2)
    assert reasons(quick_db)["gone"] == "retired"


# The explanation as a whole ----------------------------------------------------------------------


def test_candidates_come_best_first_and_the_hidden_last(memory_db):
    memory_db.retire(add(memory_db, "gone", run=6).id, reason="test")
    for run in (1, 3, 9, 5):
        add(memory_db, str(run), run=run)
    found = memory_db.explain(EPIX, "notes", experiment="xpp1", run=7)
    own = [c.version.meta["comment"] for c in found.candidates[:5]]
    assert own == ["5", "3", "1", "9", "gone"]


def test_unadopted_documents_are_noted_as_of_a_state(quick_db, other):
    other.insert(comment="theirs")
    add(quick_db, "ours")
    asked = {"experiment": "xpp1", "run": 7}
    assert quick_db.explain(EPIX, "notes", **asked).note == ""
    told = quick_db.explain(EPIX, "notes", **asked, as_of=1)
    assert told.note == "documents that no event names took part: run `cdb adopt`"
    assert str(told).splitlines()[-1] == told.note


def test_it_reads_as_a_table(memory_db):
    version = add(memory_db, "ours", run=2, run_end=9, version="V3")
    text = str(memory_db.explain(EPIX, "notes", experiment="xpp1", run=7))
    head, first, second = text.splitlines()
    assert head.split() == ["database", "id", "runs", "time", "version", "reason"]
    assert first.split()[:6] == ["cdb_xpp1", version.id, "2-9", "2020-09-13", "12:26:40Z", "V3"]
    assert second.endswith("not asked: cdb_xpp1 had one")


@pytest.mark.parametrize("asked", [{}, {"time": T0 + 3}, {"rule": "latest"}, {"rule": "prior"},
                                   {"rule": "closest", "time": T0 + 3}, {"as_of": 3}])  # fmt: skip
def test_the_winner_is_what_get_returns(quick_db, other, asked):
    for n in range(6):
        add(quick_db, str(n), run=n % 4, run_end=8 + n, time=T0 + n)
    other.insert(second=T0 + 3, run=3, run_end="12", comment="theirs")
    asked = {"experiment": "xpp1", "run": 7, **asked}
    found = quick_db.explain(EPIX, "notes", **asked)
    assert found.winner == quick_db.version(EPIX, "notes", **asked)
    assert [c.version.id for c in found.candidates if c.won] == [found.winner.id]
