"""The journal on the command line, and the health of a store."""

import pytest

from tests.cli.conftest import DEPLOY, WHICH


@pytest.fixture
def four(cdb, peds):
    """Pedestals added, retired, restored and amended: events 1 to 4."""
    cdb("retire", peds, "--reason", "beam was on", "--yes")
    restored = cdb("restore", peds, "--reason", "it was not").stdout.split()[5]
    cdb("amend", restored, "-R", "140", "--reason", "gain changed", "--yes")


def test_the_journal_says_who_did_what_to_which_and_why(cdb, four):
    head, *lines = cdb("journal").stdout.splitlines()
    assert head.split() == ["S", "at", "who", "did", "what", "why"]
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4"]
    assert [line.split()[4] for line in lines] == ["add", "retire", "restore", "amend"]
    assert "epixhr2x2_000001 pedestals 0-end (rixx45619)" in lines[0]
    assert lines[1].endswith("beam was on")


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ([], [1, 2, 3, 4]),
        (["--after", "2"], [3, 4]),
        (["-n", "1"], [4]),
        (["-n", "9"], [1, 2, 3, 4]),
        (["--as-of", "2"], [1, 2]),
        (["--as-of", "3", "-n", "2"], [2, 3]),
        (["--as-of", "now"], [1, 2, 3, 4]),
        (["--as-of", "2021-10-01T00:00:00Z"], []),
    ],
)
def test_events_can_be_chosen(ask, four, options, numbers):
    assert [event["_id"] for event in ask("journal", *options)] == numbers


def test_an_event_in_json_is_whole(ask, peds):
    (event,) = ask("journal")
    assert event["versions"][0]["document"]["_id"] == peds
    assert {"nonce", "previous", "digest", "host", "actor"} <= event.keys()


def test_a_register_and_a_sweep_have_their_words(cdb, db):
    cdb("add", "-d", "epix100a_0123-45", "-c", "pedestals", "-f", "mypeds")
    db.store.write("cdb_epix100a_000001", b"litter", sha256="0" * 64, head=0)
    cdb("fsck", "--older-than", "0")
    lines = cdb("journal").stdout.splitlines()
    assert lines[1].split()[4:] == ["register", "epix100a_000001"]
    assert "bytes that no event names: 1" in lines[3]


def test_the_chain_is_verified(cdb, ask, four):
    assert cdb("journal", "--verify").stdout == "the chain of 4 events is whole\n"
    assert ask("journal", "--verify") == {"events": 4, "whole": True}


def test_a_chain_that_was_tampered_with_is_an_error(cdb, db, four):
    db.store.update("cdbjournal", "journal", {"_id": 2}, set={"reason": "no reason"})
    result = cdb("journal", "--verify")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "event 2 of the journal was changed" in result.stderr


# fsck ------------------------------------------------------------------------------------------


@pytest.fixture
def changed(db, peds):
    """A document that another program changed."""
    db.store.update("cdb_rixx45619", "epixhr2x2_000001", {"_id": peds}, set={"run": 7})


def test_fsck_of_a_sound_store_is_exit_code_0(cdb, ask, four):
    result = cdb("fsck", "--payloads")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "nothing is wrong\n", "")
    assert ask("fsck") == {"found": 0, "findings": []}


def test_fsck_that_finds_something_is_exit_code_1_and_mends(cdb, ask, changed):
    result = cdb("fsck")
    assert result.exit_code == 1
    assert "was changed (run)" in result.stdout
    assert result.stdout.endswith("1 found, 1 mended\n")
    assert cdb("fsck").exit_code == 0
    assert ask("show", *WHICH, "-c", "pedestals")["run"] == 0


def test_a_dry_run_of_fsck_only_tells(cdb, changed):
    for _ in range(2):
        result = cdb("fsck", "--dry-run")
        assert (result.exit_code, result.stdout.split()[-4:]) == (1, ["1", "found,", "0", "mended"])


def test_young_litter_is_told_and_not_counted(cdb, db, peds):
    db.store.write("cdb_rixx45619", b"litter", sha256="0" * 64, head=0)
    result = cdb("fsck")
    assert result.exit_code == 0
    assert "told" in result.stdout
    assert result.stdout.endswith("0 found, 0 mended\n")


def test_accepting_asks_first(cdb, ask, db, changed):
    result = cdb("fsck", "--accept")
    assert (result.exit_code, db.head) == (1, 1)
    assert "nothing was done" in result.stderr
    assert cdb("fsck", "--accept", "--yes").exit_code == 1
    assert ask("print", "--dbname", "cdb_rixx45619") == []


def test_damaged_bytes_are_found_and_never_given_out(cdb, folder, peds):
    (payload,) = (folder / "store" / "payloads").glob("*/*")
    payload.chmod(0o644)
    payload.write_bytes(b"\0" * 96)
    result = cdb("get", *WHICH, "-c", "pedestals", "-f", "x")
    assert result.exit_code == 1
    assert "damaged" in result.stderr
    assert list(folder.glob("x*")) == []
    assert cdb("fsck", "--payloads").exit_code == 1


# adopt -----------------------------------------------------------------------------------------


@pytest.fixture
def foreign(db, peds):
    """A document that psana's server wrote beside ours, and one that nobody can read."""
    from cdb.payload import digest
    from cdb.stores.base import new_id

    place, data = ("cdb_rixx45619", "epixhr2x2_000001"), b"\0\0\0\0"
    blob = db.store.write(place[0], data, sha256=digest(data), head=0)
    good = {"_id": new_id(), "detector": place[1], "ctype": "pixel_rms", "run": 3,
            "run_end": "end", "time_sec": 1633075200, "data_type": "ndarray",
            "data_dtype": "float32", "data_shape": "(1,)", "id_data": blob}  # fmt: skip
    db.store.insert(*place, [good, {**good, "_id": new_id(), "run": "three"}])


def test_adopt_tells_what_it_takes_in_and_what_not(cdb, ask, foreign):
    planned = cdb("adopt", "--dry-run")
    assert planned.stdout == "documents of other programs: 2, 1 would be adopted\n"
    assert "run range cannot be understood" in planned.stderr
    assert cdb("adopt").stdout == "documents of other programs: 2, 1 adopted\n"
    assert ask("show", *WHICH, "-c", "pixel_rms", "-r", "5")["state"] == "live"


def test_adopt_in_json(ask, foreign):
    told = ask("adopt")
    assert (told["found"], len(told["adopted"]), len(told["refused"])) == (2, 1, 1)


def test_a_bulk_of_constants_is_summed_up(cdb, four, monkeypatch):
    from cdb.cli import journal

    entries = [{"key": f"cdb_x/epix_000001/t{n}/0-end"} for n in range(5)]
    assert journal._what({"action": "add", "versions": entries}) == (
        "epix_000001 t0 0-end (x); epix_000001 t1 0-end (x); epix_000001 t2 0-end (x) and 2 more"
    )


def test_both_copies_are_one_constant(cdb, peds):
    cdb(*DEPLOY, "-c", "geometry", "-f", "mygeo")
    assert cdb("journal").stdout.count("geometry") == 1
