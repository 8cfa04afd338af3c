"""What a new user gets wrong, and a machine: one sentence that helps, and nothing left behind."""

import contextlib
import ctypes
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import cdb as package
from cdb.errors import StoreFull
from tests.cli.conftest import DEPLOY, PEDS, WHICH

CDB = str(Path(sys.executable).with_name("cdb"))
EPIX = ("-d", "epix_000001")
ADD = ("add", *EPIX, "-c", "pedestals", "-f", "mypeds")
LONG = "a" * 200

# Without these, root is refused like anybody else: DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER.
CAPABILITIES = (1, 2, 3)
AS_ANYBODY = f"""
import ctypes, os, sys
for capability in {CAPABILITIES}:
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.argv[1], sys.argv[1:])
"""


def state(folder: Path) -> set[tuple[str, int]]:
    """Return what a user would see of a folder, the files of SQLite left out."""
    return {
        (str(path.relative_to(folder)), path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("documents.sqlite")
    }


@pytest.fixture
def untouched(folder: Path, db, peds) -> Iterator[None]:
    """After the test everything is as it was before: files, events, documents."""
    before, documents = state(folder), list(db.store.find("cdb_rixx45619", "epixhr2x2_000001"))
    yield
    assert db.head == 1
    assert list(db.store.find("cdb_rixx45619", "epixhr2x2_000001")) == documents
    assert db.store.databases() == ["cdb_epixhr2x2_000001", "cdb_rixx45619", "cdbjournal"]
    assert state(folder) == before


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-r", "five"], "run 'five' is not an integer"),
        (["-R", "last"], "last run 'last' is neither"),
        (["-t", "yesterday"], "time 'yesterday' is not a date"),
        (["-t", "2021-10-01T00:00:00"], "has no zone"),
        (["-t", "2021-13-01T00:00:00Z"], "month must be in 1..12"),
        (["-t", "2021-10-01T00:00:00Z", "-s", "5"], "are different times"),
        (["-s", "0"], "time 0 is not"),
    ],
)
def test_a_run_or_a_time_that_is_none_is_mistyped(cdb, arguments, sentence):
    result = cdb(*ADD, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-f", "nofile"], "there is no file nofile"),
        (["-f", "."], ". is a folder"),
        (["-f", "mygeo"], "mygeo, line 2, column 1: 'IP' is not a number"),
        (["-c", "geometry"], "mypeds, line 1: a row has 13 fields, this one 6"),
        (["-i", "tiff"], "unknown file type 'tiff'"),
        (["-r", "9", "-R", "5"], "ends before it begins"),
        (["-c", "ped/estals"], "constant type 'ped/estals' holds"),
        (["-c", ".."], "constant type '..' holds"),
        (["-c", "$gt"], "constant type '$gt' holds"),
        (["-c", "dark peds"], "constant type 'dark peds' holds"),
        (["-c", LONG], "has 200 characters"),
        (["-c", ""], "is empty"),
        (["-d", "../epix"], "holds '/'"),
        (["-d", ".."], "detector type '..'"),
        (["-d", "$epix_1"], "holds '$'"),
        (["-d", "epix 1"], "holds ' '"),
        (["-d", LONG], "has 200 characters"),
        (["-e", "rix/x"], "experiment 'rix/x' holds"),
        (["-e", ".."], "experiment '..' holds"),
        (["-e", "$rix"], "experiment '$rix' holds"),
        (["-e", "rix x"], "experiment 'rix x' holds"),
        (["-e", LONG], "has 200 characters"),
        (["-e", "epix_000001"], "has the form of a detector's short name"),
        (["-e", "RIXX45619"], "differs from cdb_rixx45619 only in case"),
        (["-S", "my/test"], "database suffix 'my/test' holds"),
        (["-S", LONG], "has 200 characters"),
        (["-m", "\udcff"], "'\\udcff', which is no text"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_what_cannot_be_added_is_one_sentence(cdb, arguments, sentence):
    for words in ([*ADD, *arguments], [*ADD, *arguments, "--dry-run"]):
        result = cdb(*words)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert sentence in result.stderr


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-c", "pixel_gain"], "types there are: pedestals"),
        (["-d", "epix_000009"], "no constants at all are there"),
        (["--as-of", "0"], "as of event 0"),
        (["-d", "epix100a_0123"], "no detector 'epix100a_0123' is registered"),
        (["-e", "../x"], "experiment '../x' holds"),
        (["-f", "none/peds"], "there is no folder none"),
        (["-f", "peds/"], "is no name of a file"),
        (["-f", "a" * 300], "File name too long"),
        (["-f", "mypeds/x"], "there is no folder mypeds"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_what_cannot_be_got_is_one_sentence(cdb, arguments, sentence):
    result = cdb("get", *WHICH, "-c", "pedestals", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert sentence in result.stderr


def test_a_wrong_type_of_constant_is_asked_about(cdb, folder):
    result = cdb("add", *EPIX, "-c", "pedestal", "-f", "mypeds", "--dry-run")
    assert result.exit_code == 0
    assert "did you mean pedestals?" in result.stderr


def test_an_array_without_any_value_is_warned_about(cdb, folder):
    np.save("nan.npy", np.full((4, 6), np.nan, "float32"))
    result = cdb("add", *EPIX, "-c", "pedestals", "-f", "nan.npy")
    assert result.exit_code == 0
    assert result.stderr == "cdb: warning: data holds no finite value in shape (4, 6)\n"


def test_a_file_with_a_strange_name_can_be_added(cdb, ask, folder):
    name = os.fsdecode(b"peds \xff.npy")
    np.save(name, PEDS)
    assert cdb("add", *EPIX, "-c", "pedestals", "-f", name).exit_code == 0
    assert ask("show", *EPIX, "-c", "pedestals")["iofname"] == "peds \ufffd.npy"


# addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("store", "for a folder write file:///"),
        ("http://", "is no address of a service"),
        ("https://me:secret@localhost/", "let CDB_TOKEN hold a token"),
        ("file://host/x", "is no address of a store"),
        ("mongodb://", "is no MongoDB address"),
        ("mongodb://127.0.0.1:99999/", "is no MongoDB address"),
        ("file:///proc/none", "/proc/none"),
    ],
)
def test_an_address_that_is_none_is_one_sentence(cdb, address, sentence):
    result = cdb(*ADD, "--url", address)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert sentence in result.stderr


@pytest.mark.parametrize("command", [["ls"], [*DEPLOY, "-c", "pedestals", "-f", "mypeds"]])
def test_a_server_that_is_down_is_said_within_5_seconds(folder, command):
    start = time.monotonic()
    address = "mongodb://user:secret@127.0.0.1:1/"
    result = subprocess.run([CDB, *command, "--url", address], capture_output=True, text=True)
    assert time.monotonic() - start < 5
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "no answer from mongodb://127.0.0.1:1" in result.stderr
    assert "check that the server runs" in result.stderr
    assert "secret" not in result.stderr


def test_a_file_where_the_store_should_be_is_one_sentence(cdb, folder):
    (folder / "store").write_text("mine")
    result = cdb(*ADD)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "is not a folder" in result.stderr
    assert (folder / "store").read_text() == "mine"


# rights ----------------------------------------------------------------------------------------


def as_anybody(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Type a command without root's right to read and write what is another's."""
    start = [sys.executable, "-c", AS_ANYBODY] if os.geteuid() == 0 else []
    return subprocess.run([*start, CDB, *arguments], capture_output=True, text=True)


@pytest.fixture
def locked(folder: Path, peds) -> Iterator[Path]:
    """A store that may be read but not written."""
    if os.geteuid() == 0 and not hasattr(ctypes.CDLL(None), "prctl"):
        pytest.skip("root, and this system cannot take its rights away")
    store = folder / "store"
    everything = [store, *store.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield store
    for path in everything:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("command", ["info", "ls", "journal", "fsck", "detectors"])
def test_without_the_right_to_write_one_can_look(locked, command):
    before = state(locked)
    result = as_anybody(command)
    assert (result.returncode, result.stderr) == (0, "")
    assert state(locked) == before


def test_without_the_right_to_write_one_can_get(locked, db):
    assert as_anybody("get", *WHICH, "-c", "pedestals").returncode == 0


def test_without_the_right_to_read_the_store_it_is_said(locked):
    locked.chmod(0)
    for command in ("ls", "info"):
        result = as_anybody(command)
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert "no permission" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        [*DEPLOY, "-c", "geometry", "-f", "mygeo"],
        [*DEPLOY, "-c", "pedestals", "-f", "mypeds", "--again"],
        ["deldb", "-e", "rixx45619", "-C"],
    ],
)
def test_without_the_right_to_write_nothing_is_written(locked, command):
    before = state(locked)
    result = as_anybody(*command)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "rights" in result.stderr or "permission" in result.stderr
    assert state(locked) == before


def test_without_the_right_to_make_a_store_none_is_made(folder):
    (folder / "locked").mkdir(mode=0o555)
    result = as_anybody(*ADD, "--url", (folder / "locked" / "store").as_uri())
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "no permission" in result.stderr
    assert list((folder / "locked").iterdir()) == []


def test_without_the_right_to_read_a_file_it_is_said(folder):
    Path("mypeds").chmod(0)
    result = as_anybody(*ADD)
    assert (result.returncode, result.stderr) == (
        1, "cdb: error: no permission to read mypeds\n",
    )  # fmt: skip


def test_without_the_right_to_write_a_file_it_is_said(folder, peds):
    Path("locked").mkdir(mode=0o555)
    result = as_anybody("get", *WHICH, "-c", "pedestals", "-f", "locked/x")
    assert (result.returncode, result.stderr) == (
        1, "cdb: error: no permission to write locked/x.npy\n",
    )  # fmt: skip


# full disks ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_under_the_store_is_said_and_nothing_is_left(cdb, folder, small_disk):
    url = (small_disk / "store").as_uri()
    assert cdb(*ADD, "--url", url).exit_code == 0
    before = state(small_disk)
    np.save("large.npy", np.random.default_rng(1).normal(size=2**18))
    result = cdb("add", *EPIX, "-c", "pixel_bkgd", "-f", "large.npy", "--url", url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("cdb: error: no space left in ")
    assert state(small_disk) == before
    assert cdb("ls", *EPIX, "--url", url, "--json").stdout.count('"_id"') == 1
    assert cdb("fsck", "--older-than", "0", "--url", url).exit_code == 0


def test_a_full_disk_keeps_get_from_writing(cdb, small_disk, peds):
    (small_disk / "fill").write_bytes(b"\0" * (2**21 - 4096))
    result = cdb("get", *WHICH, "-c", "pedestals", "-f", str(small_disk / "x"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No space left on device" in result.stderr
    assert [path.name for path in small_disk.iterdir()] == ["fill"]


# huge arrays -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(
    not (os.environ.get("CI") or os.environ.get("CDB_TEST_HUGE")),
    reason="takes 10 GB of disk for a minute: in CI, and with CDB_TEST_HUGE=1",
)
def test_two_gibibytes_go_in_and_out_in_little_memory(folder):
    array = np.lib.format.open_memmap("huge.npy", mode="w+", dtype="float32", shape=(2**29,))
    array[:: 2**20] = np.arange(2**9)
    array.flush()
    for command in (["add", "-f", "huge.npy"], ["get", "-f", "got"]):
        typed = [CDB, *command, *EPIX, "-c", "pixel_bkgd"]
        assert subprocess.run(typed, capture_output=True, text=True).returncode == 0
    assert np.array_equal(np.load("got.npy", mmap_mode="r"), array)
    # Half of it is the file, mapped.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 * 2**20  # kB


@pytest.fixture
def full_disk(cdb, small_disk) -> Iterator[str]:
    """The address of a store with one constant, on a disk that is full since."""
    url = (small_disk / "store").as_uri()
    assert cdb(*ADD, "--url", url).exit_code == 0
    fill(small_disk)
    return url


def fill(disk: Path) -> None:
    with (disk / "fill").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_disk_can_still_be_read(cdb, full_disk):
    which = [*EPIX, "-c", "pedestals"]
    for words in (["ls"], ["info"], ["ls", *EPIX], ["get", *which, "-f", "x"], ["explain", *which],
                  ["journal"]):  # fmt: skip
        result = cdb(*words, "--url", full_disk)
        assert (result.exit_code, "error" in result.stderr) == (0, False)


def test_what_finds_no_room_on_a_full_disk_says_so(cdb, full_disk):
    result = cdb(*ADD, "-v", "other", "--url", full_disk)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("cdb: error: no space left in ")


def test_who_read_on_a_full_disk_writes_as_soon_as_there_is_room(full_disk, small_disk):
    with package.open(full_disk) as db:
        assert db.head == 1
        with pytest.raises(StoreFull):
            db.add("x", detector="epix_000001", ctype="notes")
        (small_disk / "fill").unlink()
        db.add("x", detector="epix_000001", ctype="notes")
        assert db.get("epix_000001", "notes")[0] == "x"


@pytest.mark.parametrize("room", [0, 10, 40])
def test_a_first_add_that_finds_no_room_leaves_nothing(cdb, small_disk, room):
    fill(small_disk)
    os.truncate(small_disk / "fill", 2 * 2**20 - room * 1024)
    url = (small_disk / "deep" / "store").as_uri()
    result = cdb(*ADD, "--url", url)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("cdb: error: no space left in ")
    assert [path.name for path in small_disk.iterdir()] == ["fill"]
    (small_disk / "fill").unlink()
    assert cdb(*ADD, "--url", url).exit_code == 0
