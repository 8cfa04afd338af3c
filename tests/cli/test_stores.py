"""What a store holds, and which it is."""

import pytest

from tests.cli.conftest import WHICH


def test_the_first_line_of_info_says_which_store_and_why(cdb, folder, peds):
    first = cdb("info").stdout.splitlines()[0]
    assert first.startswith(f"store: {(folder / 'store').as_uri()}")
    assert first.endswith("from CDB_URL")
    given = cdb("info", "--url", (folder / "other").as_uri()).stdout.splitlines()[0]
    assert given.endswith("given by --url")


def test_without_any_address_the_default_is_a_folder_of_the_users(cdb, tmp_path, monkeypatch):
    monkeypatch.delenv("CDB_URL")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    first = cdb("info").stdout.splitlines()[0]
    assert (tmp_path / "data" / "cdb").as_uri() in first
    assert first.endswith("the default; --url or CDB_URL choose another")


def test_looking_makes_no_store(cdb, folder):
    alone = ("info", "ls", "print", "detectors", "experiments", "journal", "fsck", "adopt")
    for command in (*([name] for name in alone), ["ls", *WHICH], ["explain", *WHICH, "-c", "x"]):
        assert cdb(*command).exit_code == 0
    assert not (folder / "store").exists()


def test_info_tells_what_there_is(cdb, ask, peds):
    told = ask("info")
    wanted = {"seq": 1, "settled": True, "experiments": 1, "detectors": 1, "why": "from CDB_URL"}
    assert {name: told[name] for name in wanted} == wanted
    assert abs(told["clock_offset"]) < 5
    assert "last event   20" in cdb("info").stdout


def test_info_names_the_server_before_it_is_asked(cdb, monkeypatch):
    from cdb.errors import StoreUnavailable

    def down(*_):
        raise StoreUnavailable("no answer")

    monkeypatch.setattr("cdb.journal.Journal.head", down)
    result = cdb("info", "--url", "mongodb://user:secret@127.0.0.1:1/")
    assert (result.exit_code, result.stderr) == (1, "cdb: error: no answer\n")
    assert result.stdout.startswith("store: mongodb://127.0.0.1:1 ")


@pytest.mark.parametrize("command", ["detectors", "experiments", "ls", "print"])
def test_lists_name_detectors_and_experiments(cdb, ask, peds, command):
    assert "epixhr2x2_000001" in cdb(command).stdout
    assert "epixhr2x2_000001" in str(ask(command))


def test_detectors_have_their_long_names(cdb, ask, folder):
    cdb("add", "-d", "epix100a_0123-45", "-c", "pedestals", "-f", "mypeds")
    assert ask("detectors") == [
        {"detector": "epix100a_000001", "longname": "epix100a_0123-45", "ctypes": ["pedestals"]}
    ]
    assert "epix100a_0123-45" in cdb("detectors").stdout


def test_an_empty_store_says_so_beside_the_result(cdb):
    assert (cdb("detectors").stdout, cdb("detectors").stderr) == ("", "cdb: no detectors\n")
    assert (cdb("experiments").stdout, cdb("journal").stderr) == ("", "cdb: no events\n")


def test_info_as_of_an_earlier_state(ask, cdb, peds):
    cdb("add", "-d", "epix_000001", "-c", "pedestals", "-f", "mypeds")
    told = [ask("info", "--as-of", str(seq)) for seq in range(3)]
    assert [(k["seq"], k["experiments"], k["detectors"]) for k in told] == [
        (0, 0, 0), (1, 1, 1), (2, 1, 2),
    ]  # fmt: skip
    assert [k["provisional"] for k in (*told, ask("info"))] == [False] * 4
    assert told[0]["last_event"] is None


def test_info_says_what_is_provisional(ask, cdb, peds):
    assert ask("info", "--as-of", "now")["provisional"] is True
    assert cdb("info", "--as-of", "now").stderr.count("provisional") == 1


SOURCE = "CxiDs1.0:Cspad.0"


@pytest.fixture
def tree(folder):
    """The calib tree of an experiment below a root."""
    root = folder / "ds"
    path = root / "CXI" / "cxi01516" / "calib" / "CsPad::CalibV1" / SOURCE / "pedestals"
    path.mkdir(parents=True)
    (path / "5-end.data").write_text("1 2\n")
    return str(root)


def test_detectors_of_trees_stand_beside_those_of_the_store(ask, peds, tree):
    found = {one["detector"]: one for one in ask("detectors", "--below", tree)}
    assert set(found) == {"epixhr2x2_000001", SOURCE}
    assert found[SOURCE]["longname"] == f"cspad_0001_{SOURCE}"
    assert found[SOURCE]["ctypes"] == ["pedestals"]


def test_experiments_that_have_constants_of_a_detector(ask, cdb, peds, tree):
    (found,) = ask("experiments", "-d", "cspad", "-i", "CXI", "--below", tree)
    assert (found["experiment"], found["runs"]) == ("cxi01516", ["5-end"])
    (found,) = ask("experiments", "-d", "epixhr", "--below", tree)
    assert (found["experiment"], found["ctype"]) == ("rixx45619", "pedestals")
    assert "no such constants" in cdb("experiments", "-i", "MEC").stderr


def test_a_folder_without_trees_is_told_of(cdb, folder):
    assert "no calib tree below" in cdb("detectors", "--below", str(folder)).stderr
    assert "there is no folder" in cdb("detectors", "--below", "nowhere").stderr
