"""A store behind a folder: payloads come once from the store, then from the folder, verified."""

import hashlib
import inspect
import os
from pathlib import Path

import pytest

import cdb
from cdb.errors import Corrupt, StoreRefused, StoreUnavailable
from cdb.stores import Store
from cdb.stores.cache import MAPPED_FROM, Cache, default_cache, kind_of_mount, parse_size
from cdb.stores.cached import CachedStore
from cdb.stores.memory import MemoryStore

DB = "cdb_epix_000001"
DATA = bytes(range(256)) * 8192  # 2 MB: mapped
SHA = hashlib.sha256(DATA).hexdigest()


class Counted(MemoryStore):
    """A store that counts the payloads that are read from it."""

    reads = 0

    def read(self, *arguments, **named):
        self.reads += 1
        return super().read(*arguments, **named)


@pytest.fixture
def inner() -> Counted:
    return Counted()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", patience=0.2)


@pytest.fixture
def cached(inner: Counted, cache: Cache) -> CachedStore:
    return CachedStore(inner, cache)


def put(store, data: bytes = DATA) -> tuple[str, str]:
    """Store bytes; return their id and digest."""
    sha256 = hashlib.sha256(data).hexdigest()
    return store.write(DB, data, sha256=sha256, head=0), sha256


def stored(cache: Cache, sha256: str = SHA) -> Path:
    return cache.folder / "payloads" / sha256[:2] / sha256


def flip_a_byte(path: Path) -> None:
    """Damage a file in place, as a failing disk or another program does."""
    path.chmod(0o600)
    with path.open("r+b") as file:
        first = file.read(1)[0]
        file.seek(0)
        file.write(bytes([first ^ 1]))


def test_a_payload_comes_once_from_the_store(cached, inner):
    blob, sha256 = put(cached)
    for _ in range(3):
        assert bytes(cached.read(DB, blob, sha256=sha256)) == DATA
    assert inner.reads == 1


@pytest.mark.parametrize("size", [0, 1, MAPPED_FROM - 1, MAPPED_FROM])
def test_payloads_of_any_size_are_kept(cached, inner, size):
    blob, sha256 = put(cached, DATA[:size])
    assert [bytes(cached.read(DB, blob, sha256=sha256)) for _ in "ab"] == [DATA[:size]] * 2
    assert inner.reads == 1


def test_without_a_digest_the_store_itself_is_read(cached, inner, cache):
    blob, _ = put(cached)
    assert bytes(cached.read(DB, blob)) == DATA
    assert cache.entries() == []


def test_the_same_payload_of_another_database_is_not_fetched_again(cached, inner):
    put(cached)
    for name in (DB, "cdb_xpp1"):
        blob = inner.write(name, DATA, sha256=SHA, head=0)
        cached.read(name, blob, sha256=SHA)
    assert inner.reads == 1


def test_large_payloads_are_mapped_and_read_only(cached):
    blob, sha256 = put(cached)
    data = cached.read(DB, blob, sha256=sha256)
    assert data.readonly
    assert sha256 in Path("/proc/self/maps").read_text()


def test_another_process_does_not_verify_again(cached, inner, cache, monkeypatch):
    blob, sha256 = put(cached)
    cached.read(DB, blob, sha256=sha256)
    other = CachedStore(inner, Cache(cache.folder))
    monkeypatch.setattr(hashlib, "sha256", None)
    assert bytes(other.read(DB, blob, sha256=sha256)) == DATA


def test_a_flipped_byte_is_found_and_healed(cached, inner, cache, caplog):
    blob, sha256 = put(cached)
    cached.read(DB, blob, sha256=sha256)
    flip_a_byte(stored(cache))
    assert bytes(cached.read(DB, blob, sha256=sha256)) == DATA
    assert inner.reads == 2
    assert "damaged" in caplog.text


def other_time(path: Path) -> None:
    os.utime(path, (1, 1))


def other_inode(path: Path) -> None:
    """The same bytes, with the same time, in another file."""
    status, copy = path.stat(), path.with_suffix(".copy")
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.replace(path)


def other_size(path: Path) -> None:
    """The same file, with the same time, cut off."""
    status = path.stat()
    path.chmod(0o600)
    os.truncate(path, status.st_size - 1)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", [other_time, other_inode, other_size])
def test_a_file_that_is_not_the_recorded_one_is_verified_again(
    cached, inner, cache, change, monkeypatch
):
    blob, sha256 = put(cached)
    cached.read(DB, blob, sha256=sha256)
    before = stored(cache).stat()
    change(stored(cache))
    after = stored(cache).stat()
    names = ("st_ino", "st_size", "st_mtime_ns")
    assert sum(getattr(before, name) != getattr(after, name) for name in names) == 1
    verified, make = [], hashlib.sha256

    def noted(data=b""):
        verified.append(memoryview(data).nbytes)
        return make(data)

    monkeypatch.setattr(hashlib, "sha256", noted)
    assert bytes(cached.read(DB, blob, sha256=sha256)) == DATA
    assert verified[0] == after.st_size
    assert inner.reads == (2 if change is other_size else 1)
    verified.clear()
    assert bytes(cached.read(DB, blob, sha256=sha256)) == DATA
    assert verified == []


def test_damage_at_the_source_is_said_and_not_kept(cached, cache):
    blob = cached.write(DB, b"worthless", sha256=SHA, head=0)
    with pytest.raises(Corrupt, match="damaged"):
        cached.read(DB, blob, sha256=SHA)
    assert cache.entries() == []
    assert list((cache.folder / "parts").iterdir()) == []


def test_who_has_it_mapped_keeps_it(cached, cache):
    blob, sha256 = put(cached)
    data = cached.read(DB, blob, sha256=sha256)
    cache.remove(cache.entries())
    assert not stored(cache).exists()
    assert bytes(data) == DATA


def test_the_least_recently_used_go_first(inner, tmp_path):
    cached = CachedStore(inner, Cache(tmp_path / "cache", size=3 * MAPPED_FROM))
    blobs = [put(inner, bytes([n]) * MAPPED_FROM) for n in range(4)]
    for age, (blob, sha256) in zip((300, 400, 200), blobs, strict=False):
        cached.read(DB, blob, sha256=sha256)
        used = stored(cached.cache, sha256).with_suffix(".json")
        os.utime(used, (used.stat().st_mtime - age,) * 2)
    cached.read(DB, blobs[1][0], sha256=blobs[1][1])  # in use again
    cached.read(DB, blobs[3][0], sha256=blobs[3][1])
    kept = {entry.sha256 for entry in cached.cache.entries()}
    assert kept == {sha256 for _, sha256 in blobs[1:]}


def test_a_payload_larger_than_the_limit_is_read_all_the_same(inner, tmp_path):
    cached = CachedStore(inner, Cache(tmp_path / "cache", size=10))
    blob, sha256 = put(inner)
    assert bytes(cached.read(DB, blob, sha256=sha256)) == DATA
    assert cached.cache.entries() == []


def test_a_full_disk_does_not_keep_anybody_from_reading(cached, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    blob, sha256 = put(cached)
    monkeypatch.setattr("cdb.stores.cache._write", full)
    assert bytes(cached.read(DB, blob, sha256=sha256)) == DATA
    assert "CDB_CACHE" in caplog.text


@pytest.mark.parametrize("folder", ["/proc/no-such-folder", "/dev/null/cache"])
def test_a_folder_that_cannot_be_made_keeps_nobody_from_reading(inner, folder, caplog):
    blob, sha256 = put(inner)
    assert bytes(CachedStore(inner, Cache(folder)).read(DB, blob, sha256=sha256)) == DATA
    assert "CDB_CACHE" in caplog.text
    with pytest.raises(StoreRefused, match="CDB_CACHE"):
        Cache(folder).check()


def test_an_error_of_the_store_stays_what_it_is(cached, monkeypatch):
    def unavailable(*_, **__):
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(MemoryStore, "read", unavailable)
    with pytest.raises(StoreUnavailable, match="no answer"):
        cached.read(DB, "1", sha256=SHA)


def test_what_killed_processes_left_is_swept(cached, cache):
    cache.check()
    for name in ("parts/abc.1", "locks/abc"):
        path = cache.folder / name
        path.touch()
        os.utime(path, (1, 1))
    blob, sha256 = put(cached)
    cached.read(DB, blob, sha256=sha256)
    assert [list((cache.folder / name).iterdir()) for name in ("parts", "locks")] == [[], []]


def test_progress_tells_of_what_is_there_already(cached):
    blob, sha256 = put(cached)
    steps: list[int] = []
    cached.read(DB, blob, sha256=sha256)
    cached.read(DB, blob, sha256=sha256, progress=steps.append)
    assert steps == [len(DATA)]


def test_everything_else_is_passed_on_and_not_done_by_the_contract_itself():
    by_others = {"find", "rows", "columns", "insert", "update", "_make_indexes", "part"}
    methods = {name for name, value in vars(Store).items() if inspect.isfunction(value)}
    methods = {name for name in methods if not name.startswith("__")}
    assert methods - {*vars(CachedStore)} == by_others


# The folder ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707])
def test_a_folder_open_to_others_is_refused(tmp_path, mode):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(mode)
    with pytest.raises(StoreRefused, match="chmod 700"):
        Cache(tmp_path / "cache").check()


def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    if os.getuid() == 0:
        os.chown(tmp_path / "cache", 12345, -1)
    with pytest.raises(StoreRefused, match="belongs to user"):
        Cache(tmp_path / "cache").check()


def test_a_folder_of_root_that_is_the_callers_alone_to_use_is_good(cache, monkeypatch):
    cache.check()
    if os.getuid() != 0:
        status = os.stat_result((0o40700, 1, 1, 2, 0, 0, 0, 0, 0, 0))
        monkeypatch.setattr(Path, "stat", lambda _, **__: status)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    Cache(cache.folder).check()


@pytest.mark.parametrize(
    "url", ["https://host/", "http://a/,http://b/", "mongodb://127.0.0.1:1/"]
)  # fmt: skip
def test_whatever_is_remote_is_cached_unless_that_is_off(url, monkeypatch, tmp_path):
    monkeypatch.setenv("CDB_CACHE", str(tmp_path / "cache"))
    with cdb.open(url) as db:
        assert isinstance(db.store, CachedStore)
        assert db.store.cache.folder == tmp_path / "cache"
    monkeypatch.setenv("CDB_CACHE", "off")
    with cdb.open(url) as db:
        assert not isinstance(db.store, CachedStore)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["memory://", "file:///nowhere", "bundle:///nowhere/x.cdb"])
def test_what_is_here_is_not_cached(url):
    with cdb.open(url) as db:
        assert not isinstance(db.store, CachedStore)


def test_without_a_name_the_cache_is_the_users_own(monkeypatch, tmp_path):
    monkeypatch.delenv("CDB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache().folder.is_relative_to(tmp_path)


def test_a_folder_that_is_made_is_the_owners_alone(cache):
    cache.check()
    assert cache.folder.stat().st_mode & 0o777 == 0o700


def test_a_network_file_system_is_said(cache, monkeypatch, caplog):
    monkeypatch.setattr(Cache, "file_system", "nfs4")
    cache.check()
    assert "network file system (nfs4)" in caplog.text


def test_without_locks_one_goes_on(cached, cache, monkeypatch):
    def refused(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)
    blob, sha256 = put(cached)
    assert bytes(cached.read(DB, blob, sha256=sha256)) == DATA
    assert not cache.has_locks


def test_mounts_are_found_by_their_names():
    mounts = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:3 / /my\\040disk rw - lustre l rw\n"
    assert kind_of_mount(Path("/my disk/cache"), mounts) == "lustre"
    assert kind_of_mount(Path("/mine"), mounts) == "ext4"
    assert kind_of_mount(Path("/mine"), "nonsense\n") == ""


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("500M", 500_000_000), ("1tb", 10**12)])
def test_sizes_are_understood(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "20X", "9" * 30])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="20G"):
        parse_size(text)
