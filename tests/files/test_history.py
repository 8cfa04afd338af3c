"""HISTORY: the three dialects and the record of a removal, read and written."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdb.errors import BadFile
from cdb.files import history
from tests.conftest import DATA

FINDER = (
    "file:7-end.data      copy_of:/a/in.txt  exp:cxi83714  run:0007  app:me.py       user:dubrovin"
    "  host:psana101  cptime:2016-01-02T03:04:05  zone:PST  comment:dark of run: 7, second try"
)
DEPLOY = (
    "file:0-end.data     copy_of:./data/geo.data ctype:geometry user:dubrovin host:sdfiana001 "
    "cptime:2024-05-31T10:03:42 cwd:/sdf/home/d cmt:by hand: moved"
)
CALIBMAN = (
    "file:137-end.data    copy_of:work/clb.txt  exp:xppn4116  run:0137  comment:calibrun-dark  "
    "user:dubrovin  host:sdfiana001  cptime:2024-05-31T10:03:41  zone:PDT"
)
DELETE = (
    "file:137-end.data    cmd:rm    comment:file-manager  user:me  host:here  "
    "cptime:2024-06-01T00:00:00  zone:PDT"
)
LINES = {"finder": FINDER, "deploy": DEPLOY, "calibman": CALIBMAN, "delete": DELETE}
COMMENTS = {
    "finder": "dark of run: 7, second try",
    "deploy": "by hand: moved",
    "calibman": "calibrun-dark",
    "delete": "file-manager",
}


@pytest.mark.parametrize("dialect", LINES)
def test_each_dialect_is_read_and_written_to_the_letter(dialect):
    [record] = history.parse(LINES[dialect] + "\n")
    assert record.comment == COMMENTS[dialect]
    assert record.removes == (dialect == "delete")
    assert history.format(record.fields, dialect) == LINES[dialect]


@pytest.mark.parametrize(
    ("line", "time"),
    [
        (FINDER, datetime(2016, 1, 2, 11, 4, 5, tzinfo=UTC)),
        (DEPLOY, datetime(2024, 5, 31, 17, 3, 42, tzinfo=UTC)),
        (CALIBMAN, datetime(2024, 5, 31, 17, 3, 41, tzinfo=UTC)),
        (CALIBMAN.replace("PDT", "CEST"), None),
        (CALIBMAN.replace("2024", "last"), None),
        ("file:1-end.data", None),
    ],
)
def test_the_time_is_that_of_the_zone_or_of_slac(line, time):
    assert history.parse(line)[0].time == time


def test_real_files_are_read_whole_and_written_to_the_letter():
    texts = [path.read_text() for path in sorted((DATA / "lcls1-calib").rglob("HISTORY"))]
    odd = []
    records = history.parse("\n".join(texts), lambda number, line: odd.append(line))
    assert odd == []
    assert len(records) > 5
    for record in records:
        dialect = "deploy" if "ctype" in record.fields else "calibman"
        assert history.format(record.fields, dialect) == record.line.rstrip()
        assert record.time is not None


def test_the_last_record_of_a_file_counts():
    later = CALIBMAN.replace("calibrun-dark", "again")
    records = history.parse("\n".join([CALIBMAN, FINDER, later, ""]))
    assert history.standing(records)["137-end.data"].comment == "again"
    assert history.standing(records).get("1-end.data") is None


def test_lines_that_name_no_file_are_reported_with_their_number():
    odd = []
    text = f"\n  \nhello world\n{DEPLOY}\r\nfile:  user:me\nuser:me host:here\n"
    records = history.parse(text, lambda number, line: odd.append((number, line)))
    assert [(record.number, record.line) for record in records] == [(4, DEPLOY)]
    assert odd == [(3, "hello world"), (5, "file:  user:me"), (6, "user:me host:here")]


def test_a_path_with_blanks_stays_whole():
    [record] = history.parse(DEPLOY.replace("./data/geo.data", "./my data/geo 2.data"))
    assert record.fields["copy_of"] == "./my data/geo 2.data"
    assert record.fields["ctype"] == "geometry"


def test_a_comment_may_look_like_the_end_of_a_record():
    comment = "copied  user:x  host:y  cptime:z"
    [record] = history.parse(FINDER + comment)
    assert record.comment.endswith(comment)
    assert record.fields["user"] == "dubrovin"


WORDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_categories=["Cc", "Zs"]),
    min_size=1,
).filter(lambda word: ":" not in word and word.strip() == word)
SENTENCES = st.lists(WORDS, max_size=5).map(" ".join)


@given(
    dialect=st.sampled_from(sorted(LINES)),
    values=st.fixed_dictionaries(
        dict.fromkeys(("file", "copy_of", "exp", "run", "app", "ctype", "cmd"), WORDS)
        | dict.fromkeys(("user", "host", "cptime", "zone", "cwd"), WORDS)
        | {"comment": SENTENCES.filter(bool)}
    ),
)
def test_what_is_written_is_read_back(dialect, values):
    [record] = history.parse(history.format(values, dialect))
    for key, value in record.fields.items():
        assert value == values["comment" if key == "cmt" else key]
    assert {"file", "user", "host", "cptime"} <= record.fields.keys()


@pytest.mark.parametrize("bad", ["two\nlines", "a\rb", "a\x00b", "a\u2028b"])
def test_a_value_that_would_break_the_line_is_refused(bad):
    with pytest.raises(BadFile, match="one line of text"):
        history.format({"file": "1-end.data", "comment": bad}, "finder")


@given(st.datetimes(datetime(2009, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001
def test_stamps_are_those_of_california(naive):
    moment = naive.replace(microsecond=0, tzinfo=UTC)
    there = moment.astimezone(ZoneInfo("America/Los_Angeles"))
    text, zone = history.stamp(moment)
    assert (text, zone) == (there.strftime(history.TIME), there.strftime("%Z"))
    assert history.parse_time(text, zone) == moment
    assert history.parse_time(text) in (moment, moment - timedelta(hours=1))


@given(st.text())
def test_any_text_is_read(text):
    lines = []
    records = history.parse(text, lambda number, line: lines.append(line))
    assert len(records) + len(lines) == sum(bool(line.strip()) for line in text.split("\n"))


def test_a_file_that_came_back_without_a_record_has_none():
    lines = ["file:1-end.data user:me", "file:1-end.data cmd:rm user:you", "file:2-end.data user:x"]
    assert list(history.standing(history.parse("\n".join(lines)))) == ["2-end.data"]
    again = history.parse("\n".join([*lines, "file:1-end.data user:she"]))
    assert history.standing(again)["1-end.data"].fields["user"] == "she"
