"""The script that gives the tests a server, and takes it away again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pymongo
import pytest

from tests import mongo_server
from tests.mongo_server import SCRIPT

ELSEWHERE = "mongodb://db.example.org:27017/"

# Stands in for a mongod: notes its options and serves with FerretDB.
FAKE_MONGOD = """\
#!{python}
import os, sys
from pathlib import Path
options = dict(zip(sys.argv[1:], sys.argv[2:]))
Path(sys.argv[0]).with_name("options").write_text(" ".join(sys.argv[1:]))
os.execv({binary!r}, ["ferretdb", "-folder", options["--dbpath"], "-port", options["--port"]])
"""

# Stands in for pymongo: notes what is asked, since FerretDB knows no replica sets.
FAKE_PYMONGO = """\
import contextlib
from pathlib import Path

class MongoClient(contextlib.nullcontext):
    def __init__(self, url, **options):
        super().__init__(self)
        self.admin = self
    def command(self, name, config=None):
        with Path(__file__).with_name("asked").open("a") as notes:
            print(name, config, file=notes)
        return {"isWritablePrimary": True}
"""


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the script with a temporary folder of its own; end what the test left running."""
    started = []

    def start(*arguments: str, python: tuple[str, ...] = (), **environ: str):
        left_out = ("CDB_TEST_MONGODB", "PYTHONPATH")
        inherited = {k: v for k, v in os.environ.items() if k not in left_out}
        process = subprocess.Popen(
            [sys.executable, *python, str(SCRIPT), *arguments],
            env={**inherited, "TMPDIR": str(tmp_path), **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def built() -> None:
    """Skip where neither a mongod nor a FerretDB can be had; build it where it can."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CDB_TEST_MONGODB", raising=False)
        try:
            _, stop = mongo_server.start()
        except mongo_server.Unavailable as reason:
            pytest.skip(str(reason))
    stop()


@pytest.fixture
def binary(built: None) -> str:
    """The FerretDB that the script keeps."""
    cache = os.environ.get("CDB_TEST_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = sorted((Path(cache) if cache else base / "cdb-tests").glob("ferretdb-for-tests-*"))
    if not found:
        pytest.skip("no FerretDB was built here, since there is a mongod")
    return str(found[-1])


@pytest.fixture
def mongod(tmp_path: Path, binary: str) -> dict:
    """A stand-in for a mongod: the folder it is in, and a PATH that begins there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "mongod"
    program.write_text(FAKE_MONGOD.format(python=sys.executable, binary=binary))
    program.chmod(0o755)
    return {"folder": folder, "path": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def is_open(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=2).close()
    except OSError:
        return False
    return True


@pytest.mark.mongo
@pytest.mark.usefixtures("built")
def test_prints_one_line_with_the_url_of_a_server_that_takes_documents(launch):
    process = launch()
    url = process.stdout.readline().strip()
    mongo_server.ping(url)
    with pymongo.MongoClient(url) as client:
        client.cdb_test.stuff.insert_one({"_id": 1})
        assert client.cdb_test.stuff.find_one() == {"_id": 1}
    rest, _ = process.communicate(timeout=60)
    assert rest == ""
    assert process.returncode == 0


@pytest.mark.mongo
@pytest.mark.usefixtures("built")
def test_stops_and_cleans_up_when_its_standard_input_closes(launch, tmp_path):
    process = launch()
    url = process.stdout.readline().strip()
    assert [folder.name[:10] for folder in tmp_path.iterdir()] == ["cdb-mongo-"]
    process.communicate(timeout=60)
    assert not is_open(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.mongo
@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_stops_and_cleans_up_at_a_signal(launch, tmp_path, signum):
    process = launch()
    url = process.stdout.readline().strip()
    process.send_signal(signum)
    assert process.wait(timeout=60) == 0
    assert not is_open(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.mongo
@pytest.mark.usefixtures("built")
def test_a_killed_script_leaves_no_server_behind(launch):
    process = launch()
    url = process.stdout.readline().strip()
    process.kill()
    process.wait(timeout=60)
    assert wait_until_closed(url)


def wait_until_closed(url: str) -> bool:
    for _ in range(100):
        if not is_open(url):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.mongo
@pytest.mark.usefixtures("built")
def test_runs_a_command_with_the_url_and_returns_its_code(launch, tmp_path):
    code = "import os, sys; print(os.environ['CDB_TEST_MONGODB']); sys.exit(7)"
    process = launch("--", sys.executable, "-c", code)
    url, _ = process.communicate(timeout=60)
    assert url.startswith("mongodb://127.0.0.1:")
    assert process.returncode == 7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.mongo
def test_prefers_a_mongod_on_the_path_and_stops_it(launch, mongod, tmp_path):
    # -S hides pymongo, without which the script does not ask for a replica set.
    process = launch(python=("-S",), PATH=mongod["path"])
    url = process.stdout.readline().strip()
    mongo_server.ping(url)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert not is_open(url)
    assert "--replSet" not in (mongod["folder"] / "options").read_text()
    assert list(tmp_path.glob("cdb-mongo-*")) == []


@pytest.mark.mongo
def test_makes_a_mongod_a_replica_set_of_one(launch, mongod):
    package = mongod["folder"] / "pymongo"
    package.mkdir()
    (package / "__init__.py").write_text(FAKE_PYMONGO)
    (package / "errors.py").write_text("class PyMongoError(Exception): pass")
    process = launch(python=("-S",), PATH=mongod["path"], PYTHONPATH=str(mongod["folder"]))
    host = urlsplit(process.stdout.readline().strip()).netloc
    process.communicate(timeout=60)
    assert "--replSet cdb-tests" in (mongod["folder"] / "options").read_text()
    config = {"_id": "cdb-tests", "members": [{"_id": 0, "host": host}]}
    asked = (package / "asked").read_text().splitlines()
    assert asked == [f"replSetInitiate {config}", "hello None"]


def test_says_what_a_mongod_said_that_does_not_start(launch, tmp_path):
    mongod = tmp_path / "mongod"
    mongod.write_text('#!/bin/sh\necho "no such option" >"$4"\nexit 2\n')
    mongod.chmod(0o755)
    process = launch(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "mongod ended at once, with exit code 2" in err
    assert "no such option" in err


def test_takes_the_server_that_the_environment_names(launch):
    process = launch(CDB_TEST_MONGODB=ELSEWHERE)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, ELSEWHERE + "\n", "")


def test_runs_a_command_on_the_server_that_the_environment_names(launch):
    code = "import os; print(os.environ['CDB_TEST_MONGODB'])"
    process = launch("--", sys.executable, "-c", code, CDB_TEST_MONGODB=ELSEWHERE)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ELSEWHERE + "\n")


def test_without_mongod_and_go_it_says_so_and_exits_with_3(launch, tmp_path):
    process = launch(PATH="", CDB_TEST_CACHE=str(tmp_path / "cache"))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (3, "")
    assert len(err.splitlines()) == 1
    assert "neither mongod nor go" in err


def test_a_build_that_fails_says_why_and_leaves_nothing(launch, tmp_path):
    bin_folder, cache = tmp_path / "bin", tmp_path / "cache"
    bin_folder.mkdir()
    go = bin_folder / "go"
    go.write_text("#!/bin/sh\necho 'module lookup disabled'\nexit 1\n")
    go.chmod(0o755)
    process = launch(PATH=str(bin_folder), CDB_TEST_CACHE=str(cache))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "building FerretDB 1.24.2" in err
    assert "module lookup disabled" in err
    assert [path.name for path in cache.iterdir()] == ["build.lock"]


def test_start_tells_why_there_is_no_server(monkeypatch, tmp_path):
    monkeypatch.delenv("CDB_TEST_MONGODB", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CDB_TEST_CACHE", str(tmp_path))
    with pytest.raises(mongo_server.Unavailable, match="neither mongod nor go"):
        mongo_server.start()


def test_help_shows_examples_and_the_environment(launch):
    process = launch("--help")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    for word in ("scripts/mongo-for-tests -- pytest", "CDB_TEST_MONGODB", "CDB_TEST_CACHE"):
        assert word in out


def test_a_command_that_is_not_there_ends_with_127(launch):
    process = launch("--", "no-such-command", CDB_TEST_MONGODB=ELSEWHERE)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 127
    assert "cannot run no-such-command" in err
