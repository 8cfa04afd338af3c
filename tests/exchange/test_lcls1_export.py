"""Trees of LCLS-I written from a store: readers choose what look-ups answer, nothing is lost."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdb.database import Database
from cdb.errors import Corrupt, NotFound, StoreFull, StoreRefused, StoreUnavailable
from cdb.exchange import lcls1_files
from cdb.exchange.lcls1_export import Export
from cdb.exchange.lcls1_import import Import
from cdb.files import lcls1, text
from cdb.stores.memory import MemoryStore
from tests.conftest import DATA
from tests.exchange.conftest import (
    CSPAD,
    EXPERIMENT,
    LISTINGS,
    PEDESTALS,
    array_text,
    check_choice,
    edges_of,
    folders_of,
    ignore,
    write,
)

LONG = "cspad_0001_CxiDs1.0:Cspad.0"
ONES = np.ones((2, 2), "float32")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a tree is to be."""
    return tmp_path / "out" / "calib"


def take_in(db, calib):
    return Import(db, calib, EXPERIMENT).run()


def write_out(db, calib, *, replace=False, dry_run=False, **how):
    return Export(db, calib, EXPERIMENT, **how).run(replace=replace, dry_run=dry_run)


def listing(calib):
    return sorted(str(path.relative_to(calib)) for path in calib.rglob("*") if path.is_file())


def check_same(calib, out):
    """Compare two trees: names, the choice for every run, values, HISTORY."""
    for folder in folders_of(calib):
        other = out / folder.path.relative_to(calib)
        for run in edges_of(calib):
            one = lcls1.choose_file(folder.path, run, report=ignore)
            two = lcls1.choose_file(other, run, report=ignore)
            assert (one and one.name) == (two and two.name), (folder, run)
        for path in folder.path.iterdir():
            if lcls1_files.is_text(folder.ctype) or path.name == "HISTORY":
                assert (other / path.name).read_bytes() == path.read_bytes()
            else:
                want = text.read(path)
                np.testing.assert_array_equal(text.read(other / path.name), want, strict=True)
            assert (other / path.name).stat().st_mtime_ns == path.stat().st_mtime_ns


def test_a_tree_comes_out_as_it_went_in(any_db, calib, out):
    take_in(any_db, calib)
    check_choice(any_db, calib, [9])
    made = write_out(any_db, out)
    assert (made.new, made.left_out, made.foreign) == (16, [], [])
    assert listing(out) == listing(calib)
    check_same(calib, out)
    again = take_in(any_db, out)
    assert (again.new, again.same, again.gone) == (0, 16, [])
    assert write_out(any_db, out).same == 16


def test_through_two_stores_nothing_is_new(memory_db, calib, out):
    take_in(memory_db, calib)
    write_out(memory_db, out)
    other = Database(MemoryStore())
    take_in(other, out)
    assert take_in(other, calib).new == 0
    assert write_out(other, calib).same == 16


@settings(max_examples=25, deadline=None)
@given(listings=st.tuples(LISTINGS, LISTINGS))
def test_whatever_the_listing_is(tmp_path_factory, listings):
    calib, out = (tmp_path_factory.mktemp(name) / "calib" for name in ("random", "out"))
    calib.mkdir()
    out.mkdir()
    for number, names in enumerate(listings):
        for position, name in enumerate(names):
            place = calib / f"CsPad::CalibV1/CxiDs{number + 1}.0:Cspad.0/pedestals"
            write(place / name, array_text(10 * number + position))
    db = Database(MemoryStore())
    take_in(db, calib)
    write_out(db, out)
    check_same(calib, out)
    assert take_in(db, out).new == 0
    assert write_out(db, calib).new == 0


def test_what_was_added_here_goes_out_with_a_line_of_history(memory_db, calib, out):
    take_in(memory_db, calib)
    version = memory_db.add(
        ONES, detector=CSPAD, ctype="pedestals", experiment=EXPERIMENT, run=9, run_end=9,
        comment="by\nhand",
    )  # fmt: skip
    memory_db.add("# TITLE\n", detector=CSPAD, ctype="geometry", experiment=EXPERIMENT, run=0)
    made = write_out(memory_db, out)
    assert (made.superseded, made.left_out) == (1, [])
    folder = out / PEDESTALS
    np.testing.assert_array_equal(text.read(lcls1.choose_file(folder, 9)), ONES, strict=True)
    before = (calib / PEDESTALS / "HISTORY").read_text()
    after = (folder / "HISTORY").read_text()
    assert after.startswith(before)
    assert f"file:9-9.data        copy_of:cdb:{version.id}  exp:{EXPERIMENT}" in after
    assert after.endswith("comment:by hand\n")
    assert (folder.parent / "geometry" / "0-end.data").read_text() == "# TITLE\n"
    assert take_in(memory_db, out).new == 2  # the two HISTORY, which grew


def test_a_store_that_never_was_a_tree_becomes_one(memory_db, out):
    memory_db.add(ONES, detector=LONG, ctype="pixel_gain", experiment=EXPERIMENT, run=3)
    assert write_out(memory_db, out).new == 2
    path = out / f"CsPad::CalibV1/{CSPAD}/pixel_gain/3-end.data"
    assert "# UID " in path.read_text()
    other = Database(MemoryStore())
    take_in(other, out)
    assert other.get(CSPAD, "pixel_gain", run=5)[0].tolist() == ONES.tolist()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"run": 10_000}, "go beyond 9999"),
        ({"run": 1, "run_end": 12_000}, "go beyond 9999"),
        ({"conditions": {"bias": 180}}, "conditions"),
        ({"ctype": "center", "data": {"a": 1}}, "json"),
        ({"ctype": "center", "data": "a text"}, "str"),
        ({"ctype": "center", "data": np.ones(2, "complex64")}, "complex64"),
        ({"detector": "epix_0123-45"}, "source"),
    ],
)
def test_what_a_tree_cannot_hold_is_told(memory_db, out, given, why):
    what = {"data": ONES, "detector": LONG, "ctype": "pedestals", "experiment": EXPERIMENT}
    memory_db.add(**what)
    memory_db.add(**what | {"ctype": "pixel_rms"} | given)
    made = write_out(memory_db, out)
    (left,) = made.left_out
    assert why in left.why
    names = [path for path in listing(out) if "HISTORY" not in path]
    assert names == [f"{PEDESTALS}/0-end.data"]


def test_a_file_that_differs_is_left_alone_unless_one_says_otherwise(memory_db, calib, out):
    take_in(memory_db, calib)
    mine = write(out / PEDESTALS / "0-end.data", array_text(99))
    write(out / PEDESTALS / "2-3.data", array_text(98))
    made = write_out(memory_db, out)
    assert [each.path for each in made.differ] == [mine]
    assert [each.path.name for each in made.foreign] == ["2-3.data"]
    assert text.read(mine)[0, 0] == 99
    assert write_out(memory_db, out, replace=True).replaced == 1
    assert text.read(mine)[0, 0] == 1
    kept = [b for b in lcls1.backups(mine.parent) if text.read(b.path)[0, 0] == 99]
    assert [backup.of for backup in kept] == ["0-end.data"]
    write(mine, array_text(97))
    assert write_out(memory_db, out, replace=True).replaced == 1
    values = [text.read(backup.path)[0, 0] for backup in lcls1.backups(mine.parent)]
    assert {97, 99} <= {*values}


def test_a_dry_run_writes_nothing(memory_db, calib, out):
    take_in(memory_db, calib)
    made = write_out(memory_db, out, dry_run=True)
    assert (made.new, out.exists()) == (16, False)


def test_the_short_forms_are_those_of_the_old_programs(memory_db, out):
    data = np.array([[1.23456, 2]], "float32")
    memory_db.add(data, detector=LONG, ctype="pedestals", experiment=EXPERIMENT)
    write_out(memory_db, out, short=True)
    assert (out / PEDESTALS / "0-end.data").read_text().endswith("\n1.235 2.000\n")
    assert write_out(memory_db, out, short=True).same == 2


def test_one_detector_and_an_earlier_state(memory_db, calib, out):
    take_in(memory_db, calib)
    before = memory_db.head
    memory_db.add(ONES, detector=CSPAD, ctype="center", experiment=EXPERIMENT, run=1)
    write_out(memory_db, out, detectors=["cspad_0001"], as_of=before)
    assert {path.split("/")[1] for path in listing(out)} == {CSPAD}
    center = out / f"CsPad::CalibV1/{CSPAD}/center/1-end.data"
    assert text.read(center).shape == (2, 3)
    with pytest.raises(NotFound):
        write_out(memory_db, out, detectors=["cspad_0002"])


def test_what_is_left_out_leaves_its_runs_to_none_unseen(memory_db, out):
    """Of the same runs the earlier version must not come back; of others, the report says so."""
    what = {"detector": LONG, "ctype": "pedestals", "experiment": EXPERIMENT}
    memory_db.add(ONES, **what)
    memory_db.add(ONES * 2, **what, run=5, run_end=9)
    memory_db.add(ONES * 3, **what, run=5, run_end=9, conditions={"bias": 180})
    memory_db.add(ONES * 4, **what, run=20, run_end=12_000)
    made = write_out(memory_db, out)
    assert len(made.left_out) == 2
    assert [each.why for each in made.stand_ins] == [
        f"leaves runs 5-9 to {PEDESTALS}/0-end.data",
        f"leaves runs 20-12000 to {PEDESTALS}/0-end.data",
    ]
    assert listing(out) == [f"{PEDESTALS}/0-end.data", f"{PEDESTALS}/HISTORY"]


def test_a_foreign_file_that_readers_choose_is_told_with_its_runs(memory_db, calib, out):
    take_in(memory_db, calib)
    write(out / PEDESTALS / "6-25.data", array_text(98))
    made = write_out(memory_db, out, dry_run=True)
    assert [(each.path.name, each.why) for each in made.stand_ins] == [
        ("6-25.data", "is not the store's, and gets runs 6-7")
    ]


def test_a_dry_run_knows_what_cannot_be_written(memory_db, out):
    data = np.ones(2, "complex64")
    memory_db.add(data, detector=LONG, ctype="center", experiment=EXPERIMENT)
    for dry_run in (True, False):
        made = write_out(memory_db, out, dry_run=dry_run)
        assert (made.new, len(made.left_out)) == (0, 1)


@pytest.mark.parametrize(
    ("number", "kind", "why"),
    [
        (errno.ENOSPC, StoreFull, "no space left for .*0-end.data; make some"),
        (errno.EACCES, StoreRefused, "no permission to write .*0-end.data"),
        (errno.EIO, OSError, "Input/output error.*0-end.data"),
    ],
)
def test_a_tree_that_cannot_be_written_is_told_and_left_clean(
    memory_db, out, monkeypatch, number, kind, why
):
    memory_db.add(ONES, detector=LONG, ctype="pedestals", experiment=EXPERIMENT)

    def fsync(_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(kind, match=why):
            write_out(memory_db, out)
    assert listing(out) == []
    assert write_out(memory_db, out).new == 2


def test_trouble_of_the_store_ends_an_export(memory_db, out, monkeypatch):
    memory_db.add(ONES, detector=LONG, ctype="pedestals", experiment=EXPERIMENT)

    def data(*_, **__):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(memory_db, "data", data)
    with pytest.raises(StoreUnavailable):
        write_out(memory_db, out)


def test_a_payload_that_is_damaged_leaves_its_runs_to_none_unseen(memory_db, out, monkeypatch):
    what = {"detector": LONG, "ctype": "pedestals", "experiment": EXPERIMENT}
    memory_db.add(ONES, **what)
    bad = memory_db.add(ONES * 2, **what, run=5, run_end=9)
    data = memory_db.data

    def damaged(version, **how):
        if version.id == bad.id:
            raise Corrupt("it is damaged")
        return data(version, **how)

    monkeypatch.setattr(memory_db, "data", damaged)
    made = write_out(memory_db, out)
    assert (made.new, [each.why for each in made.left_out]) == (2, ["it is damaged"])
    assert [each.why for each in made.stand_ins] == ["leaves runs 5-9 to 0-end.data"]


def test_a_backup_alone_is_not_lost(memory_db, calib, out):
    backup = f"CsPad::CalibV1/{CSPAD}/dark_min/0-end.data-2014-05-06T07:08:09"
    write(calib / backup, array_text(1), time=-1000)
    take_in(memory_db, calib)
    write_out(memory_db, out)
    assert text.read(out / backup)[0, 0] == 1
    assert (out / backup).stat().st_mtime == -1000


def test_a_retired_version_is_in_no_tree(memory_db, calib, out):
    take_in(memory_db, calib)
    for version in memory_db.find(detector=CSPAD, ctype="pedestals", experiment=EXPERIMENT):
        if version.runs.begin == 8:
            memory_db.retire(version.id, reason="wrong")
    made = write_out(memory_db, out)
    # The other spelling of 8-end, which nobody chose before, must not come into force.
    assert {"8-9999.data", "008-end.data"}.isdisjoint(os.listdir(out / PEDESTALS))
    assert any("readers would choose 8-9999.data" in each.why for each in made.left_out)


@pytest.mark.parametrize("name", ["../../../../escaped.data", "/tmp/x-1.data", "0-end.data/x", ""])
def test_a_version_cannot_write_outside_of_the_tree(memory_db, out, name):
    told = {"group": "CsPad::CalibV1", "source": CSPAD, "ctype": "pedestals", "name": name}
    source = {"lcls1": told, "files": [{"path": "x", "mtime_ns": -5}]}
    memory_db.add(ONES, detector=LONG, ctype="pedestals", experiment=EXPERIMENT, source=source)
    write_out(memory_db, out)
    assert "0-end.data" in os.listdir(out / PEDESTALS)
    assert [path.name for path in out.parent.iterdir()] == ["calib"]


@pytest.mark.parametrize("group", ["..", "../x::y", "a/b::C", ""])
def test_a_group_that_is_none_is_told(memory_db, out, group):
    told = {"group": group, "source": CSPAD, "ctype": "pedestals", "name": "0-end.data"}
    memory_db.add(
        ONES, detector=LONG, ctype="pedestals", experiment=EXPERIMENT, source={"lcls1": told}
    )
    assert "group" in write_out(memory_db, out).left_out[0].why
    assert not out.parent.exists() or listing(out.parent) == []


class Killed(BaseException):
    """The writer is gone."""


def test_an_export_killed_anywhere_goes_on(memory_db, calib, out, monkeypatch):
    """No file is ever seen half written, and the end is the same."""
    take_in(memory_db, calib)
    names = ("fsync", "utime", "link", "unlink")
    real = {name: getattr(os, name) for name in names}
    count, kills = 0, 0

    def failing(name):
        def call(*arguments, **how):
            nonlocal count
            count += 1
            if count == 2 + 2 * kills:
                raise Killed
            return real[name](*arguments, **how)

        return call

    for name in names:
        monkeypatch.setattr(os, name, failing(name))
    while True:
        count = 0
        try:
            write_out(memory_db, out)
            break
        except Killed:
            kills += 1
        for folder in folders_of(out):
            for file in lcls1.valid_files(folder.path, ignore):
                assert file.path.read_bytes()
    assert kills > 5
    monkeypatch.undo()
    check_same(calib, out)
    assert listing(out) == listing(calib)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real tree is not here")
def test_the_real_tree(memory_db, out):
    tree = DATA / "lcls1-calib"
    take_in(memory_db, tree)
    assert write_out(memory_db, out).new == 8
    assert listing(out) == listing(tree)
    check_same(tree, out)
    assert take_in(memory_db, out).new == 0
    assert write_out(memory_db, tree, dry_run=True).same == 8


def test_xtcav_goes_through_beside_its_camera(memory_db, xtcav_tree, out):
    assert take_in(memory_db, xtcav_tree).new == 18
    xtcav, _ = memory_db.get("xtcav_XrayTransportDiagnostic.0:Opal1000.0", "pedestals", run=5)
    camera, _ = memory_db.get("XrayTransportDiagnostic.0:Opal1000.0", "pedestals", run=5)
    assert (xtcav["ROI"], xtcav["image"].tolist()) == ({"x0": 5, "x1": 9}, [[1, 1, 1]] * 2)
    assert camera[0, 0] == 11
    assert write_out(memory_db, out).new == 18
    assert listing(out) == listing(xtcav_tree)
    assert take_in(memory_db, out).new == 0
    assert take_in(Database(MemoryStore()), out).unreadable == []
