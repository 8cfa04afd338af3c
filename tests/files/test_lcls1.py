"""The LCLS-I tree: names, and the choice of the file for a run, row by row of the reference."""

import math
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdb.errors import BadFile, BadName, BadRun, NotFound, StoreRefused
from cdb.files import lcls1
from cdb.validity import RunRange
from tests.conftest import DATA

CSPAD = "CxiDs1.0:Cspad.0"
HISTORY = "HISTORY"


def folder_with(folder, listing):
    for name in listing.split() if isinstance(listing, str) else listing:
        (folder / name).touch()
    return folder


def chosen(folder, run):
    path = lcls1.choose_file(folder, run)
    return None if path is None else path.name.removesuffix(".data")


def files(listing):
    return [f"{name}.data" for name in listing.split()]


# The choice ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listing", "answers"),
    [
        ("0-5 3-8 7-10", {2: "0-5", 3: "3-8", 7: "7-10", 11: None}),
        ("0-end 5-20 8-12 10-10", {9: "8-12", 10: "10-10", 15: "5-20", 21: "0-end"}),
        ("5-end 5-100 5-20 5-7", {6: "5-7", 10: "5-20", 50: "5-100", 500: "5-end"}),
        ("1-5 10-20", {6: None}),
        ("20-10 1-15", {run: "1-15" if 1 <= run <= 15 else None for run in range(25)}),
        ("5-end 4-6", {4: "4-6", 5: "5-end", 6: "5-end"}),
        ("6-6 5-end", {5: "5-end", 6: "6-6", 7: "5-end"}),
    ],
)
def test_the_tables_of_the_reference(tmp_path, listing, answers):
    folder_with(tmp_path, files(listing))
    assert {run: chosen(tmp_path, run) for run in answers} == answers


@pytest.mark.parametrize("run", [9999, 10_000, 123_456_789])
def test_a_run_above_9999_is_asked_for_as_9999(tmp_path, run):
    folder_with(tmp_path, files("1-9998 2-9999"))
    assert chosen(tmp_path, run) == "2-9999"
    folder_with(tmp_path, files("3-end"))
    assert chosen(tmp_path, run) == "3-end"
    folder_with(tmp_path, files("9999-9999"))
    assert chosen(tmp_path, run) == "9999-9999"


def test_only_names_that_end_in_data_are_seen(tmp_path):
    folder_with(tmp_path, "1-end.data-2016-01-02T03:04:05 1-end.data~ 1-end.DATA 1-end.txt 1-end")
    folder_with(tmp_path, "HISTORY .data 1-end.data.bak")
    assert lcls1.choose_file(tmp_path, 5) is None


@pytest.mark.parametrize(
    "name",
    ["1-2-3", "1", "-5", "5-", "a-5", "5-b", "5-END", "5-End", "1.5-end", "5- end", "+5-end"]
    + ["10000-end", "10000-10001", "5-10000", "5-99999999999999999999999", "²-end", "٣-end", "5–7"],  # noqa: RUF001
)
def test_a_bad_name_is_reported_and_the_folder_still_answers(tmp_path, name):
    folder_with(tmp_path, files("0-end") + [f"{name}.data"])
    skipped = []
    found = lcls1.choose_file(tmp_path, 6, report=skipped.append)
    assert found == tmp_path / "0-end.data"
    assert [one.name for one in skipped] == [f"{name}.data"]
    assert "names are <first>-<last>.data" in skipped[0].why


def test_a_bad_name_is_logged_by_default(tmp_path, caplog):
    folder_with(tmp_path, files("5-END"))
    assert lcls1.choose_file(tmp_path, 6) is None
    assert "5-END.data" in caplog.text


@pytest.mark.parametrize(
    ("listing", "winner"),
    [
        ("1-9999 1-end", "1-end"),
        ("1-9999 0001-end", "0001-end"),
        ("3-15 003-015", "3-15"),
        ("03-15 3-015 3-15", "3-15"),
        ("03-15 3-015", "03-15"),
        ("01-end 1-end 001-end", "1-end"),
        ("01-09999 1-09999", "1-09999"),
    ],
)
def test_of_two_spellings_end_wins_then_the_shorter_and_the_other_is_reported(
    tmp_path, listing, winner
):
    folder_with(tmp_path, files(listing))
    skipped = []
    assert lcls1.choose_file(tmp_path, 5, report=skipped.append).name == f"{winner}.data"
    assert sorted([winner, *(one.name.removesuffix(".data") for one in skipped)]) == sorted(
        listing.split()
    )


def test_leading_zeros_are_accepted(tmp_path):
    folder_with(tmp_path, files("007-0020 000-end"))
    assert [chosen(tmp_path, run) for run in (6, 7, 20, 21)] == [
        *("000-end", "007-0020", "007-0020", "000-end")
    ]


def test_the_times_of_the_files_play_no_role(tmp_path):
    folder_with(tmp_path, files("0-end 5-end"))
    os.utime(tmp_path / "5-end.data", (1, 1))
    assert chosen(tmp_path, 7) == "5-end"


def test_a_missing_folder_has_no_file(tmp_path):
    assert lcls1.choose_file(tmp_path / "pedestals", 5) is None


def test_what_is_no_folder_is_told(tmp_path):
    folder_with(tmp_path, "pedestals")
    with pytest.raises(BadFile, match="is no folder"):
        lcls1.choose_file(tmp_path / "pedestals", 5)


@pytest.mark.parametrize("run", [-1, 1.5, "seven", None, True])
def test_what_is_no_run_is_refused(tmp_path, run):
    with pytest.raises(BadRun):
        lcls1.choose_file(tmp_path, run)


def test_a_folder_that_may_not_be_read_is_no_empty_one(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StoreRefused, match="may not be read"):
        lcls1.choose_file(tmp_path, 5)


def naive_choice(listing, run):
    """Choose as the words of the reference say, step by step."""
    run = 9999 if run > 9999 else run
    known = []
    for name in listing:
        if name == "HISTORY" or not name.endswith(".data"):
            continue
        parts = name[: -len(".data")].split("-")
        if len(parts) != 2 or not parts[0].isdigit():
            continue
        if not parts[1].isdigit() and parts[1] != "end":
            continue
        begin, end = int(parts[0]), 9999 if parts[1] == "end" else int(parts[1])
        if begin > 9999 or end > 9999:
            continue
        known.append((begin, end, parts[1] == "end", -len(name), name))
    # Begin ascending, end descending, walked backwards; of the same runs as this package defines.
    known.sort(key=lambda one: (one[0], -one[1], one[2], one[3], [-ord(sign) for sign in one[4]]))
    for begin, end, *_, name in reversed(known):
        if begin <= run <= end:
            return name
    return None


RUNS = st.one_of(st.integers(0, 12), st.sampled_from([9998, 9999, 10_000, 20_000]))
ENDS = st.one_of(RUNS.map(str), st.sampled_from(["end", "END", "", "x"]))
NAMES = st.builds(
    "{}{}-{}{}".format,
    st.sampled_from(["", "", "", "0", "00", "-", "a"]),
    RUNS,
    ENDS,
    st.sampled_from([".data"] * 6 + [".data~", ".txt", ".data-2016-01-02T03:04:05", "-1.data"]),
) | st.sampled_from(["HISTORY", ".data", "1.data"])
LISTINGS = st.lists(NAMES, max_size=12, unique=True)


@given(listing=LISTINGS, runs=st.lists(RUNS, min_size=1, max_size=5))
def test_the_choice_is_that_of_the_words(tmp_path_factory, listing, runs):
    folder = folder_with(tmp_path_factory.mktemp("any"), listing)
    for run in runs:
        found = lcls1.choose_file(folder, run, report=lambda skipped: None)
        assert (found and found.name) == naive_choice(listing, run)


@given(listing=LISTINGS)
def test_effective_ranges_say_what_is_chosen(tmp_path_factory, listing):
    folder = folder_with(tmp_path_factory.mktemp("any"), listing)
    spans = lcls1.effective_ranges(lcls1.valid_files(folder, lambda skipped: None))
    assert spans[0].first == 0
    assert spans[-1].last == math.inf
    assert all(one.last + 1 == two.first for one, two in zip(spans, spans[1:], strict=False))
    assert all(one.file != two.file for one, two in zip(spans, spans[1:], strict=False))
    for first, last, file in spans:
        for run in {first, min(last, 20_000), min(first + 1, last)}:
            assert (file and file.name) == naive_choice(listing, run)


# Names and places ------------------------------------------------------------------------------


@given(begin=st.integers(0, 9999), length=st.integers(0, 9999) | st.just(math.inf))
def test_a_name_is_read_as_it_was_made(begin, length):
    end = begin + length
    if 9999 < end < math.inf:
        with pytest.raises(BadName, match="9999"):
            lcls1.file_name(RunRange(begin, end))
        return
    name = lcls1.file_name(RunRange(begin, end))
    assert re.fullmatch(r"(0|[1-9]\d*)-(0|[1-9]\d*|end)\.data", name)
    assert lcls1.parse_name(name) == RunRange(begin, end if end < 9999 else math.inf)


def test_backups_say_of_which_file_and_when(tmp_path):
    folder_with(
        tmp_path, "1-end.data 1-end.data-2016-01-02T03:04:05 1-end.data-2015-07-02T03:04:05"
    )
    folder_with(
        tmp_path, "1-end.data-2016-13-02T03:04:05 1-end.data-x gone.data-2016-01-02T03:04:05"
    )
    assert [(one.of, one.time.isoformat()) for one in lcls1.backups(tmp_path)] == [
        ("1-end.data", "2015-07-02T10:04:05+00:00"),
        ("1-end.data", "2016-01-02T11:04:05+00:00"),
        ("gone.data", "2016-01-02T11:04:05+00:00"),
    ]


@pytest.mark.parametrize(
    ("source", "group", "place"),
    [
        (CSPAD, None, f"CsPad::CalibV1/{CSPAD}/pedestals"),
        (f"DetInfo({CSPAD})", None, f"CsPad::CalibV1/{CSPAD}/pedestals"),
        ("A.0:Opal1000.0", "Xtcav::CalibV1", "Xtcav::CalibV1/A.0:Opal1000.0/pedestals"),
    ],
)
def test_the_folder_of_a_source(tmp_path, source, group, place):
    assert lcls1.folder_of(tmp_path, source, "pedestals", group) == tmp_path / place


@pytest.mark.parametrize(
    ("source", "ctype", "group"),
    [
        ("../x:Cspad.0", "pedestals", None),
        ("a:b/../../Cspad.0", "pedestals", None),
        ("", "pedestals", None),
        ("CxiDs1-0|Cspad-0", "pedestals", None),
        ("A.0:Ocean.0", "pedestals", None),
        (CSPAD, "../pedestals", None),
        (CSPAD, "", None),
        (CSPAD, "pedestals", "../::CalibV1"),
        (CSPAD, "pedestals", "CsPad"),
    ],
)
def test_a_name_that_cannot_stand_in_a_path_is_refused(tmp_path, source, ctype, group):
    with pytest.raises(BadName):
        lcls1.folder_of(tmp_path, source, ctype, group)


@pytest.mark.parametrize(
    ("path", "experiment"),
    [
        ("/ds/CXI/cxi83714/calib", "cxi83714"),
        ("/ds/cxi/cxi83714/calib/", "cxi83714"),
        ("/ds/XPP/xpptut15/calib", "xpptut15"),
        ("/ds/MFX/mfxl1012721/calib", None),
        ("/ds/AMO/cxi83714/calib", None),
        ("/ds/CXI/cxi83714/calib2", None),
        ("/home/me/calib", None),
        ("/", None),
        ("/calib", None),
    ],
)
def test_the_path_tells_the_experiment(path, experiment):
    assert lcls1.experiment_of(path) == experiment


def test_the_real_tree_is_walked_in_order():
    skipped = []
    places = list(lcls1.walk(DATA / "lcls1-calib", skipped.append))
    assert skipped == []
    assert [one.path for one in places] == sorted(one.path for one in places)
    assert {one.path for one in places} == {
        path for path in (DATA / "lcls1-calib").glob("*/*/*") if path.is_dir()
    }
    assert all(lcls1.group_of(one.source) == one.group for one in places)


def test_a_tree_with_hostile_names_is_walked(tmp_path):
    good = tmp_path / "CsPad::CalibV1" / CSPAD / "pedestals"
    good.mkdir(parents=True)
    for bad in ("a\nb::CalibV1", "CsPad::CalibV1/no source", "CsPad::CalibV1/../x::y z"):
        (tmp_path / bad).mkdir()
    (good.parent / "pe de").mkdir()
    (good.parent / os.fsdecode(b"\xff")).mkdir()
    (good.parent / "file").touch()
    (tmp_path / "pedestal_workdir").mkdir()
    (tmp_path / "epix100a.h5::x").touch()
    skipped = []
    assert [one.path for one in lcls1.walk(tmp_path, skipped.append)] == [good]
    assert sorted(one.name for one in skipped) == sorted(
        ["a\nb::CalibV1", "no source", "x::y z", "pe de", "\udcff"]
    )


def test_links_to_folders_are_followed(tmp_path):
    real = tmp_path / "elsewhere" / "pedestals"
    real.mkdir(parents=True)
    source = tmp_path / "calib" / "CsPad::CalibV1" / CSPAD
    source.mkdir(parents=True)
    (source / "pedestals").symlink_to(real)
    (source / "dangling").symlink_to(tmp_path / "nothing")
    assert [one.ctype for one in lcls1.walk(tmp_path / "calib")] == ["pedestals"]


def test_a_tree_that_is_not_there_is_told(tmp_path):
    with pytest.raises(NotFound, match="calib tree"):
        list(lcls1.walk(tmp_path / "calib"))
