"""Runs and times: what is understood, what is refused, and what it becomes."""

import math
import time as clock
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdb import validity
from cdb.errors import BadRun, BadTime, CalibError
from cdb.validity import OPEN_END, RunRange, parse_run, parse_run_end, parse_time, range_of

OCTOBER = datetime(2021, 10, 1, tzinfo=UTC)
OCTOBER_SECONDS = 1_633_046_400
STAMP = OCTOBER_SECONDS - 631_152_000 << 32
YEARS = datetime(1971, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 - as hypothesis wants them
MOMENTS = st.datetimes(*YEARS, timezones=st.just(UTC))


@pytest.fixture(params=["America/Los_Angeles", "UTC", "Asia/Kolkata"])
def local_zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    clock.tzset()
    yield request.param
    monkeypatch.undo()
    clock.tzset()


# Runs


@pytest.mark.parametrize(
    ("value", "run"),
    [
        (0, 0),
        (7, 7),
        ("12", 12),
        ("0012", 12),
        (10_000, 10_000),
        (np.int16(5), 5),
        (np.uint64(5), 5),
        (2**53 - 1, 2**53 - 1),
        ("9007199254740991", 2**53 - 1),
    ],
)
def test_reads_a_run(value, run):
    assert parse_run(value) == run
    assert type(parse_run(value)) is int


NO_RUNS = [
    -1,
    2**53,
    True,
    False,
    np.True_,
    5.0,
    math.nan,
    None,
    "",
    "end",
    "-1",
    "+1",
    "1.0",
    " 1",
]
NO_RUNS += ["1_0", "٣", "1e3", "9" * 17, "9" * 5000, "0x1", b"5", [5], object(), 10**5000, "5\n"]


@pytest.mark.parametrize("value", NO_RUNS, ids=lambda v: type(v).__name__)
def test_refuses_what_is_no_run(value):
    with pytest.raises(BadRun, match="^begin .* is not an integer from 0 to") as caught:
        parse_run(value, "begin")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", ["end", "END", " End", None, math.inf, np.float64("inf")])
def test_reads_an_open_end(value):
    assert parse_run_end(value) == math.inf


def test_reads_a_last_run():
    assert [parse_run_end(value) for value in (5, "5", np.int64(5))] == [5, 5, 5]


@pytest.mark.parametrize("value", ["ending", "", -1, 2**53, True, 5.5, -math.inf, math.nan])
def test_refuses_what_is_no_last_run(value):
    with pytest.raises(BadRun, match="'end'"):
        parse_run_end(value)


def test_a_range_holds_its_ends_and_what_is_between():
    runs = RunRange.parse(5, "7")
    assert [run in runs for run in (4, 5, 6, 7, 8)] == [False, True, True, True, False]
    assert (runs.stored_end, runs.text_end, str(runs)) == (7, "7", "5-7")


def test_an_open_range_holds_every_later_run():
    runs = RunRange.parse("5", None)
    assert 10_000_000 in runs
    assert OPEN_END in runs
    assert 4 not in runs
    assert (runs.stored_end, runs.text_end, str(runs)) == (OPEN_END, "end", "5-end")


def test_a_range_may_hold_one_run():
    assert str(RunRange.parse(20_000, 20_000)) == "20000-20000"


def test_refuses_a_range_that_ends_before_it_begins():
    with pytest.raises(BadRun, match="the first is 5, the last 4"):
        RunRange.parse(5, 4)


def test_says_which_end_of_a_range_is_wrong():
    with pytest.raises(BadRun, match="first run 'five'"):
        RunRange.parse("five", 7)
    with pytest.raises(BadRun, match="last run 'seven'"):
        RunRange.parse(5, "seven")


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"run": 5, "run_end": "20", "end": 20}, "5-20"),
        ({"run": 5, "run_end": "20"}, "5-20"),
        ({"run": 5, "run_end": 20}, "5-20"),
        ({"run": 5, "run_end": "end", "end": 2**53}, "5-end"),
        ({"run": 5, "run_end": "end"}, "5-end"),
        ({"run": 5, "run_end": " End "}, "5-end"),
        ({"run": 5, "end": 2**60}, "5-end"),
        ({"run": 5, "end": math.inf}, "5-end"),
        ({"run": 5, "run_end": 2**53}, "5-end"),
        ({"run": 5, "end": "soon", "run_end": "7"}, "5-7"),
        ({"run": 5, "end": True, "run_end": "7"}, "5-7"),
        ({"run": 5.0, "end": 7.0}, "5-7"),
        ({"run_beg": "5", "run_end": "007"}, "5-7"),
        ({"run": None, "run_beg": 5}, "5-end"),
        ({"run": 0, "run_beg": 5}, "0-end"),
        ({"run": 20_000, "run_end": "30000"}, "20000-30000"),
        ({}, "0-end"),
    ],
)
def test_reads_the_runs_of_any_writer(document, text):
    assert str(range_of(document)) == text


@pytest.mark.parametrize(
    "document",
    [
        {"run": "five"},
        {"run": -1},
        {"run": 2**53},
        {"run": True},
        {"run": math.nan},
        {"run": 5.5},
        {"run": 5, "run_end": "soon"},
        {"run": 5, "run_end": ""},
        {"run": 5, "run_end": -1},
        {"run": 5, "run_end": []},
        {"run": 5, "run_end": "4"},
        {"run": 5, "end": 4},
    ],
)
def test_makes_nothing_of_runs_that_are_none(document):
    assert range_of(document) is None


@given(st.integers(0, 2**53 - 1), st.none() | st.integers(0, 2**53 - 1))
def test_a_range_comes_back_from_its_document(begin, length):
    end = None if length is None else min(begin + length, 2**53 - 1)
    runs = RunRange.parse(begin, end)
    assert range_of({"run": begin, "end": runs.stored_end}) == runs
    assert range_of({"run": str(begin), "run_end": runs.text_end}) == runs


# Times


@pytest.mark.parametrize(
    "value",
    [
        OCTOBER,
        OCTOBER.astimezone(timezone(timedelta(hours=-8))),
        OCTOBER_SECONDS,
        float(OCTOBER_SECONDS),
        np.int64(OCTOBER_SECONDS),
        np.float64(OCTOBER_SECONDS),
        str(OCTOBER_SECONDS),
        f"{OCTOBER_SECONDS}.0",
        STAMP,
        STAMP + 999,
        np.uint64(STAMP),
        str(STAMP),
        "2021-10-01T00:00:00Z",
        "2021-10-01T00:00:00z",
        "2021-10-01t00:00Z",
        "2021-10-01 00:00:00 UTC",
        "2021-10-01 00:00 GMT",
        "2021-10-01T00:00:00-0000",
        "2021-09-30T16:00:00-0800",
        "2021-09-30 16:00:00 -08:00",
        "2021-09-30 16:00:00.000 -08",
        "2021-10-01T05:45:00,0000009+05:45",
    ],
    ids=str,
)
def test_reads_a_time_in_many_forms(value):
    assert parse_time(value) == OCTOBER
    assert parse_time(value).tzinfo is UTC


def test_obeys_the_offset_whatever_the_local_zone(local_zone):
    assert validity.seconds(parse_time("2021-10-01T00:00:00-0800")) == 1_633_075_200


def test_reads_nanoseconds_to_the_microsecond():
    assert parse_time(STAMP + 123_456_789).microsecond == 123_456
    assert parse_time("2021-10-01T00:00:00.123456789Z").microsecond == 123_456
    assert parse_time("2021-10-01T00:00:00.5Z").microsecond == 500_000


def test_now_is_the_clock_or_what_the_caller_says():
    assert abs(parse_time("now") - datetime.now(UTC)) < timedelta(minutes=1)
    assert parse_time("now", now=OCTOBER) == OCTOBER


@pytest.mark.parametrize(
    "value",
    [
        datetime(2021, 10, 1),  # noqa: DTZ001
        "2021-10-01T00:00:00",
        "2021-10-01 00:00",
        "2021-10-01 00:00:00.25",
    ],
)
def test_refuses_a_time_without_a_zone(value):
    with pytest.raises(BadTime, match="no zone; write 2021-10-01T00:00:00Z or .*-0800"):
        parse_time(value)


@pytest.mark.parametrize("zone", ["PST", "CET", "Europe/Berlin", "UTC+2", "UTC-0800", "am", "??"])
def test_refuses_a_zone_that_several_share(zone):
    with pytest.raises(BadTime, match="the zone"):
        parse_time(f"2021-10-01 00:00:00 {zone}")


NO_TIMES = ["", "5", "may", "12:00", "today", "Now", "2021", "2021-10", "20211001", "2021-10-01Z"]
NO_TIMES += ["20211001000000", "20211001T000000Z", "01.10.2021 00:00Z", "2021-10-01", "1e9", "nan"]
NO_TIMES += [" 2021-10-01T00:00:00Z", "2021-10-01T00:00:00Z ", "2021-10-01T00Z", "inf", "-" * 9]
NO_TIMES += ["2021-10-01 00:00:00 may Z", "2021-10-01T00:00:00Z\n", "٢٠٢١-10-01T00:00:00Z"]


@pytest.mark.parametrize("value", NO_TIMES)
def test_refuses_a_text_that_is_no_time(value):
    with pytest.raises(BadTime, match="2021-10-01T00:00:00Z"):
        parse_time(value)


@pytest.mark.parametrize(
    "value",
    [
        "2021-02-29T00:00:00Z",
        "2021-13-01T00:00:00Z",
        "2021-10-01T24:00:00Z",
        "2021-10-01T00:60:00Z",
        "2021-10-01T00:00:60Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+0100",
        "9999-12-31T23:59:59-0100",
        "2021-10-01T00:00:00+1600",
        "2021-10-01T00:00:00+0160",
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
    ],
    ids=str,
)
def test_refuses_a_time_that_does_not_exist(value):
    with pytest.raises(BadTime):
        parse_time(value)


OTHERS = [None, True, np.True_, [], b"now", date(2021, 10, 1), np.datetime64("2021-10-01"), 1j]


@pytest.mark.parametrize("value", OTHERS, ids=lambda v: type(v).__name__)
def test_refuses_what_is_no_time_at_all(value):
    with pytest.raises(BadTime, match="is of type"):
        parse_time(value)


@pytest.mark.parametrize(
    "value", [0, -1, -0.0, math.nan, math.inf, -math.inf, 5e9, 1e300, 1 << 9999, 2**96]
)
def test_refuses_seconds_out_of_bounds(value):
    with pytest.raises(BadTime):
        parse_time(value)


@pytest.mark.parametrize("factor", [1e3, 1e6, 1e9], ids=["ms", "us", "ns"])
def test_does_not_take_other_counts_since_1970_for_stamps(factor):
    with pytest.raises(BadTime, match="nor an LCLS-II stamp of 2009 or later"):
        parse_time(int(OCTOBER_SECONDS * factor))


def test_a_stamp_has_less_than_a_second_of_nanoseconds():
    assert parse_time(STAMP + 999_999_999) == OCTOBER + timedelta(microseconds=999_999)
    with pytest.raises(BadTime):
        parse_time(STAMP + 1_000_000_000)


def test_seconds_end_where_stamps_begin():
    assert validity.seconds(parse_time(4_999_999_999)) == 4_999_999_999
    assert validity.seconds(parse_time(2**32)) == 2**32
    with pytest.raises(BadTime):
        parse_time(5_000_000_000)


@given(MOMENTS)
def test_a_moment_comes_back_from_its_microseconds(moment):
    count = validity.microseconds(moment)
    assert validity.from_microseconds(count) == moment
    assert validity.seconds(moment) == count // 1_000_000


@given(MOMENTS, st.integers(-15 * 60, 15 * 60))
def test_a_moment_comes_back_from_its_text_in_any_zone(moment, minutes):
    there = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_time(there.isoformat()) == moment
    assert parse_time(f"{there:%Y-%m-%d %H:%M:%S.%f %z}") == moment


def test_seconds_are_rounded_down_before_1970_as_well():
    assert validity.seconds(validity.EPOCH - timedelta(microseconds=1)) == -1


@pytest.mark.parametrize("function", [validity.seconds, validity.microseconds, validity.time_stamp])
def test_a_time_without_a_zone_has_no_seconds(function):
    with pytest.raises(BadTime, match="no zone"):
        function(datetime(2021, 10, 1))  # noqa: DTZ001


@pytest.mark.parametrize("count", [2**63, -(2**63), 10**5000], ids=["big", "small", "huge"])
def test_refuses_microseconds_that_no_calendar_has(count):
    with pytest.raises(BadTime, match="years 1 to 9999"):
        validity.from_microseconds(count)


def test_a_time_stamp_has_the_local_zone_of_its_writer(local_zone):
    texts = {
        "UTC": "2021-10-01T00:00:00+0000",
        "America/Los_Angeles": "2021-09-30T17:00:00-0700",
        "Asia/Kolkata": "2021-10-01T05:30:00+0530",
    }
    assert validity.time_stamp(OCTOBER) == texts[local_zone]
    assert parse_time(validity.time_stamp(OCTOBER)) == OCTOBER


@given(
    st.text(max_size=40)
    | st.from_regex(r"\A\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})? ?([+-]\d{2}:?\d{2}|Z|[A-Z]{3})\Z")
    | st.integers()
    | st.floats()
)
def test_anything_is_a_time_or_a_bad_time(value):
    answer = ""
    try:
        assert parse_time(value).tzinfo is UTC
    except CalibError as error:
        answer = str(error)
    assert len(answer.encode()) < 500
