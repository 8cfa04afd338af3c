"""Importing touches nothing and is quick: whoever only asks for help waits for nothing."""

import json
import subprocess
import sys
import time

import pytest

HEAVY = ("pymongo", "bson", "gridfs", "numpy", "h5py", "rich", "sqlite3", "click", "dateutil",
         "platformdirs", "hashlib", "logging", "socket")  # fmt: skip

# Says what a statement opened to write, connected to, read of the environment, and loaded.
WATCHED = """
import json, os, sys
before, events, read = {*sys.modules}, [], []

def watch(event, arguments):
    writes = event == "open" and (
        any(letter in str(arguments[1] or "r") for letter in "wax+") or arguments[2] & 3
    )
    touches = event.split(".")[0] in ("socket", "sqlite3", "subprocess", "urllib")
    if writes or touches or event in ("os.mkdir", "os.remove", "os.rename", "os.system"):
        events.append([event, str(arguments)])

class Watched(dict):
    def __getitem__(self, name):
        read.append(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        read.append(name)
        return super().get(name, default)

    def __contains__(self, name):
        read.append(name)
        return super().__contains__(name)

os.environ = Watched(os.environ)
sys.addaudithook(watch)
try:
    {statement}
except SystemExit:
    pass
loaded = sorted({name.partition(".")[0] for name in {*sys.modules} - before})
json.dump({"events": events, "read": read, "loaded": loaded}, sys.stderr)
"""

HELP = "sys.argv = ['cdb', {words}]; from cdb.cli.main import main; main()"


def run(statement: str, *options: str) -> subprocess.CompletedProcess[str]:
    # -B: Python itself writes the byte code of what it imports.
    command = [sys.executable, "-B", *options, "-c", statement]
    return subprocess.run(command, check=True, capture_output=True, text=True)


def watched(statement: str) -> dict[str, list]:
    return json.loads(run(WATCHED.replace("{statement}", statement)).stderr)


def seconds(statement: str, n: int = 7) -> float:
    """Return how long a statement takes in a new process, at best."""
    times = []
    for _ in range(n):
        begin = time.perf_counter()
        run(statement)
        times.append(time.perf_counter() - begin)
    return min(times)


def test_importing_touches_nothing():
    seen = watched("import cdb")
    assert (seen["events"], seen["read"]) == ([], [])


def test_the_watch_sees_what_is_touched():
    seen = watched("open(os.devnull, 'w'); os.environ.get('HOME'); import sqlite3")
    assert [event for event, _ in seen["events"]] == ["open"]
    assert seen["read"] == ["HOME"]
    assert "sqlite3" in seen["loaded"]


def test_importing_loads_nothing_heavy():
    loaded = watched("import cdb")["loaded"]
    assert "cdb" in loaded
    assert not {*HEAVY} & {*loaded}


def test_importing_takes_at_most_150_ms():
    run("import cdb")
    assert seconds("import cdb") - seconds("pass") < 0.15


def test_an_opened_store_in_a_folder_loads_no_other_store(tmp_path):
    url = (tmp_path / "store").as_uri()
    seen = watched(f"import cdb; cdb.open({url!r}).find(detector='epix_000001')")
    assert {"sqlite3"} <= {*seen["loaded"]}
    assert not {"pymongo", "bson", "gridfs", "numpy", "rich"} & {*seen["loaded"]}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ["'--help'", "'--version'", "'get', '--help'", "'ls', '--help'"])
def test_help_loads_no_store_and_no_numpy(words):
    seen = watched(HELP.format(words=words))
    assert "click" in seen["loaded"]
    assert not {"pymongo", "bson", "gridfs", "numpy", "sqlite3", "h5py"} & {*seen["loaded"]}
    assert seen["events"] == []


def test_every_public_name_is_there_and_no_other():
    import cdb

    assert all(getattr(cdb, name).__module__.startswith("cdb.") for name in cdb.__all__)
    assert {*cdb.__all__} < {*dir(cdb)}
    with pytest.raises(AttributeError, match="no attribute 'close'"):
        cdb.close  # noqa: B018
