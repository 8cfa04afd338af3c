"""psana's names of commands: they list and retire, and never destroy bytes."""

import pytest

from tests.cli.conftest import DEPLOY, WHICH

EXPERIMENT = ("--dbname", "cdb_rixx45619")
DETECTOR = ("--dbname", "cdb_epixhr2x2_000001")


@pytest.fixture
def two(cdb, peds):
    """Pedestals and a geometry, events 1 and 2."""
    cdb(*DEPLOY, "-c", "geometry", "-f", "mygeo")
    return peds


def payloads(folder):
    return {path.name for path in (folder / "store" / "payloads").glob("*/*")}


@pytest.mark.parametrize(
    "place",
    [
        EXPERIMENT,
        DETECTOR,
        ("-e", "rixx45619"),
        ("-d", "epixhr2x2_000001"),
        WHICH,
        ("--colname", "epixhr2x2_000001"),
        (*EXPERIMENT, "--colname", "epixhr2x2_000001"),
        (*DETECTOR, "--colname", "epixhr2x2_000001"),
    ],
)
def test_print_lists_a_database_or_a_collection(ask, two, place):
    assert [v["ctype"] for v in ask("print", *place)] == ["geometry", "pedestals"]


def test_print_of_a_private_database(cdb, ask):
    cdb("add", "-d", "epix_000001", "-S", "my_test", "-c", "pedestals", "-f", "mypeds")
    for place in (["--dbname", "cdb_epix_000001_my_test"], ["-d", "epix_000001", "-S", "my_test"]):
        assert [v["ctype"] for v in ask("print", *place)] == ["pedestals"]


def test_print_of_one_document(cdb, ask, two):
    assert ask("print", *WHICH, "--docid", two)["ctype"] == "pedestals"
    assert two in cdb("print", *WHICH, "--docid", two).stdout
    assert "no document x there" in cdb("print", *WHICH, "--docid", "x").stderr


def test_print_as_of_an_earlier_state(ask, cdb, two):
    cdb("deldb", *EXPERIMENT, "-C")
    assert ask("print", *EXPERIMENT) == []
    assert len(ask("print", *EXPERIMENT, "--as-of", "2")) == 2


@pytest.mark.parametrize("name", ["rixx45619", "cdb_detnames", "cdb_", "admin", "cdb_../x"])
def test_a_database_that_is_none_of_constants_is_one_line(cdb, two, name):
    result = cdb("print", "--dbname", name)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


@pytest.mark.parametrize(
    ("command", "left"),
    [
        (["deldoc", *WHICH], ["geometry"]),
        (["delcol", *WHICH], []),
        (["delcol", "-d", "epixhr2x2_000001"], []),
        (["delcol", *DETECTOR], []),
        (["deldb", *EXPERIMENT], []),
        (["deldb", *DETECTOR], []),
        (["deldb", "-e", "rixx45619"], []),
    ],
)
def test_what_psana_deletes_is_retired_and_its_bytes_stay(cdb, ask, folder, two, command, left):
    before = payloads(folder)
    command = [*command, "--docid", two] if command[0] == "deldoc" else command
    asked = cdb(*command)
    assert (asked.exit_code, "nothing was done" in asked.stderr) == (1, True)
    assert "would be retired" in cdb(*command, "--dry-run").stdout
    assert len(ask("print", *EXPERIMENT)) == 2
    assert cdb(*command, "-C").stdout.endswith(f"{2 - len(left)} retired\n")
    assert [v["ctype"] for v in ask("print", *EXPERIMENT)] == left
    assert [v["ctype"] for v in ask("print", *DETECTOR)] == left
    assert payloads(folder) == before
    assert cdb("get", *WHICH, "-c", "pedestals", "--as-of", "2").exit_code == 0


def test_the_reason_is_kept(cdb, ask, two):
    cdb("deldoc", *WHICH, "--docid", two, "-C")
    assert ask("journal", "-n", "1")[0]["reason"] == "retired by psana's command"
    cdb("deldb", *EXPERIMENT, "-y", "--reason", "beam was on")
    assert ask("journal", "-n", "1")[0]["reason"] == "beam was on"


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (["deldb"], "--dbname, -e or -d"),
        (["delcol"], "--dbname, -e or -d"),
        (["delcol", "-e", "rixx45619"], "--colname or -d"),
        (["deldoc", "--docid", "x"], "--dbname, -e or -d"),
        (["deldoc", "-e", "rixx45619", "--docid", "x"], "no document x"),
    ],
)
def test_a_place_that_is_not_named_is_asked_for(cdb, ask, two, command, hint):
    result = cdb(*command, "-C")
    assert (result.exit_code, hint in result.stderr) == (1, True)
    assert len(ask("print", *EXPERIMENT)) == 2


def test_deleting_nothing_is_nothing(cdb, db, two):
    assert cdb("deldb", "-e", "nosuch").stdout == "0 retired\n"
    assert db.head == 2


def test_deleted_in_json(ask, two):
    told = ask("deldb", *EXPERIMENT, "-C")
    assert [version["state"] for version in told] == ["retired", "retired"]


def write_as_psana(db, *ids):
    """Write documents as an LCLS-II server does: no event names them."""
    document = {"detector": "epixhr2x2_000001", "ctype": "pedestals", "run": 7, "run_end": "end",
                "time_sec": 1, "data_type": "str", "id_data": "0" * 24}  # fmt: skip
    made = [{"_id": id_, **document} for id_ in ids]
    db.store.insert("cdb_rixx45619", "epixhr2x2_000001", made)


@pytest.mark.parametrize("command", [["deldb"], ["delcol", "--colname", "epixhr2x2_000001"]])
def test_documents_that_nobody_adopted_are_named_and_nothing_is_done(cdb, ask, db, two, command):
    write_as_psana(db, *(f"61571780000007012345678{n}" for n in range(4)))
    result = cdb(*command, *EXPERIMENT, "-C")
    assert (result.exit_code, result.stdout, db.head) == (1, "", 2)
    assert "nothing was done: 4 of 6 documents were written by another program" in result.stderr
    assert "(615717800000070123456780, " in result.stderr
    assert "`cdb adopt`" in result.stderr


def test_all_leave_in_one_event(cdb, ask, db, two):
    cdb("deldb", *DETECTOR, "-C")
    assert db.head == 3
    assert len(ask("journal", "-n", "1")[0]["versions"]) == 4
