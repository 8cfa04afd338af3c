"""Repositories: aliases, files by time, folders of panels; two writers, and killed ones."""

import fcntl
import multiprocessing
import os
import signal
import threading

import pytest

from cdb.errors import BadFile, BadName, BadTime, NotFound, StoreRefused
from cdb.files import repository
from cdb.files.repository import Alias

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["cdb.files.repository"])

ID = "3925999616-0996579585-0553648138"
LINE = f"0007 {ID} 2022-09-01T12:00:00   xpptut15 r0260 XcsEndstation.0:Epix100a.1 you\n"


@pytest.fixture
def aliases(tmp_path):
    return tmp_path / ".aliases.txt"


def skipped(found=None):
    """Return a list, and what notes in it the names that are passed over."""
    names = []
    return names, lambda one: names.append(one.name)


# Times -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "stamp"),
    [("20160318", "20160318000000"), ("201603181907", "20160318190700"),
     ("20160318190730", "20160318190730"), ("2016-03-18T18:07:30-0800", "20160318190730")],
)  # fmt: skip
def test_a_time_is_fourteen_digits_by_slacs_clock(text, stamp):
    assert repository.parse_stamp(text) == stamp
    assert repository.stamp_of(repository.time_of_stamp(stamp)) == stamp


@pytest.mark.parametrize(
    "text", ["", "260", "20161318", "20160318250000", "2016-03-18", "2016031819073", "x" * 99]
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(BadTime, match="YYYYmmddHHMMSS|time"):
        repository.parse_stamp(text)


# Files by time ---------------------------------------------------------------------------------


def folder_with(tmp_path, *names):
    for name in names:
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("stamp", "name"),
    [(None, "b_0007_20200101000000_x.dat"), ("20200101000000", "b_0007_20200101000000_x.dat"),
     ("20191231235959", "a_0007_20180101.txt"), ("20180101000000", "a_0007_20180101.txt"),
     ("20171231235959", None)],
)  # fmt: skip
def test_the_newest_file_that_is_not_later(tmp_path, stamp, name):
    folder = folder_with(
        tmp_path, "a_0007_20180101.txt", "b_0007_20200101000000_x.dat", "c_0008_20190101.data",
        "d_0007_20190101.npy", "e_0007_20190101.txt~",
    )  # fmt: skip
    found = repository.find_file_for_timestamp(folder, "_0007_", stamp)
    assert (found and found.name) == name


def test_of_one_time_the_first_name_counts_whatever_the_order_of_the_folder(tmp_path, monkeypatch):
    names = ["b_1_2020010100.txt", "c_1_20200101000000.txt", "a_1_20200101.txt"]
    folder = folder_with(tmp_path, *names)
    for order in (names, names[::-1]):
        monkeypatch.setattr(os, "listdir", lambda _, order=order: order)
        assert repository.find_file_for_timestamp(folder, "_1_").name == "a_1_20200101.txt"


def test_a_foreign_name_is_passed_over_and_reported(tmp_path):
    names = ("a_0007_notes.txt", "a_0007_20200101.txt", "a_0007_.txt", "a_0007_99999999.txt")
    folder = folder_with(tmp_path, *names)
    (folder / "a_0007_20210101.txt").mkdir()
    os.mkfifo(folder / "a_0007_20220101.txt")
    (folder / "a_0007_20230101.txt").symlink_to("none")
    names, report = skipped()
    found = repository.find_file_for_timestamp(folder, "a_0007_", report=report)
    assert found.name == "a_0007_20200101.txt"
    assert names == ["a_0007_.txt", "a_0007_20210101.txt", "a_0007_20220101.txt",
                     "a_0007_20230101.txt", "a_0007_99999999.txt", "a_0007_notes.txt"]  # fmt: skip


def test_no_folder_has_no_files_and_a_file_is_no_folder(tmp_path):
    assert repository.find_file_for_timestamp(tmp_path / "none", "x") is None
    (tmp_path / "file").write_text("")
    with pytest.raises(BadFile, match="cannot use"):
        repository.find_file_for_timestamp(tmp_path / "file", "x")
    assert repository.find_file_for_timestamp(tmp_path / ("1" * 999), "x") is None


@pytest.mark.parametrize("part", ["", "a b", "../x", "a\nb"])
def test_what_cannot_stand_in_a_name_is_refused(part):
    with pytest.raises(BadName, match="cannot stand"):
        repository.file_name(part, "0007", "20200101", "xpptut15", 1, "gain")


def test_a_name_is_found_again(tmp_path):
    name = repository.file_name("epix10ka", "0007", "20200101", "xpp", 9, "rms", mode="AHL-H")
    folder_with(tmp_path, name)
    assert repository.find_file_for_timestamp(tmp_path, "rms_AHL-H").name == name


# Panels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "stamp", "chosen"),
    [
        (["1-2-3"], "20100101000000", "1-2-3"),
        (["1-2-3-20180101000000"], "20100101000000", "1-2-3-20180101000000"),
        (["1-2-3", "1-2-3-20180101000000"], "20170101000000", "1-2-3"),
        (["1-2-3", "1-2-3-20180101000000"], "20180101000000", "1-2-3-20180101000000"),
        (["1-2-3", "1-2-3-20180101000000"], None, "1-2-3-20180101000000"),
        (["1-2-3-2018010100", "1-2-3-20190101"], "20100101000000", "1-2-3-2018010100"),
        (["1-2-30", "11-2-3"], None, None),
        ([], None, None),
    ],
)
def test_the_folder_of_a_panel_for_a_time(tmp_path, names, stamp, chosen):
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "1-2-3-20170101000000").write_text("a file")
    found = repository.panel_folder(tmp_path, "1-2-3", stamp)
    assert (found and found.path.name) == chosen


def test_a_folder_that_goes_on_with_no_time_is_reported(tmp_path):
    for name in ("1-2-3", "1-2-3-old"):
        (tmp_path / name).mkdir()
    names, report = skipped()
    assert repository.panel_folder(tmp_path, "1-2-3", report=report).path.name == "1-2-3"
    assert names == ["1-2-3-old"]


# Aliases ---------------------------------------------------------------------------------------


def test_aliases_are_read_with_all_their_words(aliases):
    aliases.write_text("\n0001 1-2\n\n" + LINE)
    known = repository.read_aliases(aliases)
    words = ("2022-09-01T12:00:00", "xpptut15", "r0260", "XcsEndstation.0:Epix100a.1", "you")
    assert known == [Alias("0001", "1-2", (), 2), Alias("0007", ID, words, 4)]
    assert repository.alias_of(aliases, ID) == "0007"
    assert repository.alias_of(aliases, ID[:-1]) is None
    assert repository.read_aliases(aliases.with_name("none")) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [("0001 1-2\nx 3-4\n", 2), ("1 2\n", 1), ("\n\n0001\n", 3)],
)
def test_an_odd_line_is_named(aliases, text, line):
    aliases.write_text(text)
    with pytest.raises(BadFile, match=f"aliases.txt, line {line}: "):
        repository.read_aliases(aliases)


def test_a_number_given_away_twice_stops_only_those_who_have_it(aliases):
    aliases.write_text("0001 1-2\n0002 3-4\n0002 5-6\n0001 1-2\n")
    assert repository.alias_of(aliases, "1-2") == "0001"
    for id_ in ("3-4", "5-6"):
        with pytest.raises(BadFile, match="alias 0002 is given away twice, in the lines"):
            repository.alias_of(aliases, id_)
        with pytest.raises(BadFile, match="mend the file by hand"):
            repository.add_alias(aliases, id_)
    assert repository.add_alias(aliases, "7-8") == "0003"


def test_a_new_id_gets_the_next_number_and_a_known_one_its_own(aliases):
    aliases.write_text(LINE)
    assert repository.add_alias(aliases, "9-9", experiment="xpp", run=7, more=["a:b"]) == "0008"
    assert repository.add_alias(aliases, "9-9") == repository.add_alias(aliases, "9-9") == "0008"
    assert repository.add_alias(aliases, ID) == "0007"
    assert aliases.read_text().startswith(LINE)
    [_, made] = repository.read_aliases(aliases)
    assert made.rest[1:4] == ("xpp", "r0007", "a:b")
    assert f"{'xpp':>10} r0007 a:b " in aliases.read_text()


def test_the_first_id_makes_the_file_and_an_open_line_is_closed(aliases):
    assert repository.add_alias(aliases, "1-1") == "0001"
    aliases.write_text(aliases.read_text().rstrip("\n"))
    assert repository.add_alias(aliases, "2-2") == "0002"
    assert [one.id for one in repository.read_aliases(aliases)] == ["1-1", "2-2"]


def test_a_file_that_is_odd_stays_as_it_is(aliases):
    aliases.write_text("0001 1-2\nx 3-4\n")
    with pytest.raises(BadFile, match="line 2"):
        repository.add_alias(aliases, "9-9")
    with pytest.raises(BadName, match="one word"):
        repository.add_alias(aliases, "9 9")
    assert aliases.read_text() == "0001 1-2\nx 3-4\n"


def test_no_rights_and_no_folder_are_one_sentence(tmp_path, aliases, monkeypatch):
    with pytest.raises(BadFile, match="cannot use"):
        repository.add_alias(tmp_path / "none" / ".aliases.txt", "1-1")

    def refuse(*_):
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreRefused, match="no permission"):
        repository.add_alias(aliases, "1-1")


def test_no_number_is_given_away_twice(aliases):
    ids = [f"{n}-{n}" for n in range(20)]
    threads = [
        threading.Thread(target=repository.add_alias, args=(aliases, id_)) for id_ in ids * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    known = repository.read_aliases(aliases)
    assert sorted(one.id for one in known) == sorted(ids)
    assert [one.alias for one in known] == [f"{n:04}" for n in range(1, 21)]


def test_a_writer_waits_for_another_one(aliases):
    aliases.write_text(LINE)
    other = os.open(aliases, os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    thread = threading.Thread(target=repository.add_alias, args=(aliases, "9-9"))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    os.write(other, (LINE + "0008 8-8 now you\n").encode())
    os.close(other)
    thread.join(20)
    assert repository.alias_of(aliases, "9-9") == "0009"


def killed_at(step, path):
    def stop(name):
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    repository.add_alias(path, "9-9", step=stop)


@pytest.mark.parametrize("step", ["chosen", "written"])
def test_a_writer_killed_anywhere_leaves_a_line_or_none(aliases, step):
    aliases.write_text(LINE)
    process = processes.Process(target=killed_at, args=(step, aliases))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(repository.read_aliases(aliases)) == (1 if step == "chosen" else 2)
    assert repository.add_alias(aliases, "9-9") == "0008"


# Links -----------------------------------------------------------------------------------------


def test_a_link_gives_a_file_a_second_name_once(tmp_path):
    (tmp_path / "geo.txt").write_text("text")
    path = repository.add_link(tmp_path, "e_0001_20200101.data", "geo.txt")
    assert path.read_text() == "text"
    with pytest.raises(BadFile, match="is there already"):
        repository.add_link(tmp_path, "e_0001_20200101.data", "geo.txt")
    with pytest.raises(NotFound, match="no file 'none'"):
        repository.add_link(tmp_path, "x", "none")
    for name in ("../geo.txt", "", "."):
        with pytest.raises(BadName, match="no name of a file"):
            repository.add_link(tmp_path, "x", name)
