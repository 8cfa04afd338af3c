"""stamp, replay and lineage; what `cdb add` writes down of where a constant comes from."""

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from cdb import __version__, stamps
from tests.cli.conftest import DEPLOY, PEDS, WHICH

STAMP = ("stamp", *WHICH, "-r", "125")


@pytest.fixture
def two(cdb, peds):
    """Pedestals and a geometry: events 1 and 2."""
    assert cdb(*DEPLOY, "-c", "geometry", "-f", "mygeo").exit_code == 0
    return peds


@pytest.fixture
def results(cdb, two) -> Path:
    """A file of results with a stamp, after which the store lived on."""
    stamp = stamps.parse(cdb(*STAMP).stdout)
    with h5py.File("results.h5", "w") as file:
        stamps.write_hdf5(file, stamp)
    assert cdb("retire", two, "-m", "beam was on", "--yes").exit_code == 0
    return Path("results.h5")


# stamp -----------------------------------------------------------------------------------------


def test_a_stamp_is_one_line_that_python_reads(cdb, ask, two, db):
    printed = cdb(*STAMP).stdout
    assert printed.count("\n") == 1
    stamp = stamps.parse(printed)
    det = db.detector("epixhr2x2_000001", experiment="rixx45619", run=125)
    assert stamp == det.calibconst.stamp()
    assert stamps.from_json(ask(*STAMP)) == stamp


def test_types_and_states_can_be_named(cdb, two):
    stamp = stamps.parse(cdb(*STAMP, "-c", "geometry").stdout)
    assert list(stamp.constants) == ["geometry"]
    earlier = stamps.parse(cdb(*STAMP, "--as-of", "1").stdout)
    assert (earlier.seq, list(earlier.constants)) == (1, ["pedestals"])
    refused = cdb(*STAMP, "-c", "pixel_rms")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "there are: geometry, pedestals" in refused.stderr


def test_a_stamp_of_nothing_says_so(cdb, two):
    result = cdb("stamp", "-d", "epixhr2x2_000002")
    assert stamps.parse(result.stdout).constants == {}
    assert "nothing holds" in result.stderr


# replay ----------------------------------------------------------------------------------------


def test_the_constants_come_back(cdb, results):
    result = cdb("replay", str(results), "--out", "then")
    assert result.exit_code == 0
    assert np.array_equal(np.load("then/clb-rixx45619-epixhr2x2_000001-r0125-pedestals.npy"), PEDS)
    geometry = Path("then/clb-rixx45619-epixhr2x2_000001-r0125-geometry.txt")
    assert geometry.read_text() == Path("mygeo").read_text()
    meta = json.loads(geometry.with_suffix(".meta.json").read_text())
    assert "out" not in meta
    assert "epixhr2x2_000001 of rixx45619 run 125 as of event 2" in result.stdout


def test_without_out_they_are_verified_and_listed(cdb, ask, results, folder):
    before = sorted(folder.iterdir())
    result = cdb("replay", str(results))
    types = [line.split()[9] for line in result.stdout.splitlines()[1:]]
    assert types == ["geometry", "pedestals"]
    answer = ask("replay", str(results))
    assert [c["ctype"] for c in answer["constants"]] == ["geometry", "pedestals"]
    assert answer["files"] == []
    assert stamps.from_json(answer["stamps"][0]).seq == 2
    assert sorted(folder.iterdir()) == before


def test_raw_gives_the_stored_bytes(cdb, results, db):
    cdb("replay", str(results), "--out", "raw", "--format", "raw")
    (stamp,) = stamps.read(results)
    for ctype, cited in stamp.constants.items():
        (path,) = Path("raw").glob(f"*-{ctype}.raw")
        assert hashlib.sha256(path.read_bytes()).hexdigest() == cited.sha256


def test_the_text_of_stamps_is_a_file_too(cdb, ask, two):
    Path("stamp.json").write_text(cdb(*STAMP).stdout + cdb(*STAMP, "--as-of", "1").stdout)
    assert len(ask("replay", "stamp.json", "--out", "both")["constants"]) == 3
    assert len(list(Path("both").glob("*-pedestals-s*.npy"))) == 2


def test_files_of_other_content_are_replaced_only_with_yes(cdb, results):
    Path("then").mkdir()
    there = Path("then/clb-rixx45619-epixhr2x2_000001-r0125-pedestals.npy")
    there.write_bytes(b"mine")
    assert cdb("replay", str(results), "--out", "then").exit_code == 1
    assert there.read_bytes() == b"mine"
    assert cdb("replay", str(results), "--out", "then", "--yes").exit_code == 0
    assert np.array_equal(np.load(there), PEDS)


def test_another_store_is_refused_with_both_identities(cdb, results, tmp_path):
    (stamp,) = stamps.read(results)
    other = (tmp_path / "other").as_uri()
    cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "--url", other)
    result = cdb("replay", str(results), "--out", "then", "--url", other)
    theirs = stamps.parse(cdb(*STAMP, "--url", other).stdout).server
    assert (result.exit_code, Path("then").exists()) == (1, False)
    assert stamp.server in result.stderr
    assert theirs in result.stderr


def test_purged_bytes_are_said_to_be_gone_and_nothing_is_written(cdb, results):
    assert cdb("purge", "--before", "now", "-m", "space", "--yes").exit_code == 0
    result = cdb("replay", str(results), "--out", "then")
    assert (result.exit_code, Path("then").exists()) == (1, False)
    assert "purged" in result.stderr
    assert "space" in result.stderr


@pytest.mark.parametrize("content", [b"{}", b"\x89HDF\r\n\x1a\nbroken", b""])
def test_what_is_no_stamp_is_refused_in_one_line(cdb, two, content):
    Path("other").write_bytes(content)
    result = cdb("replay", "other")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


# what a constant was made from -----------------------------------------------------------------


def source_of(ask, ctype):
    return ask("show", *WHICH, "-c", ctype)["source"]


def test_add_writes_down_the_command_the_file_and_the_software(ask, peds):
    source = source_of(ask, "pedestals")
    data = Path("mypeds").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert source["files"] == [{"path": "mypeds", "sha256": digest, "nbytes": len(data)}]
    assert source["software"] == {"name": "cdb", "version": __version__}
    assert source["command"]


def test_what_the_user_says_stands(cdb, ask, peds):
    said = {"runs": [5], "software": {"name": "darkproc", "version": "2"}, "files": [{"path": "x"}]}
    Path("source.json").write_text(json.dumps(said))
    added = cdb(*DEPLOY, "-c", "geometry", "-f", "mygeo", "--source", "source.json",
                "--parent", peds)  # fmt: skip
    assert added.exit_code == 0
    source = source_of(ask, "geometry")
    assert (source["runs"], source["software"]) == ([5], said["software"])
    assert [file["path"] for file in source["files"]] == ["x", "mygeo"]
    assert [parent["id"] for parent in source["parents"]] == [peds]


@pytest.mark.parametrize(
    ("text", "says"),
    [("[1]", "holds no JSON object"), ("{", "holds no JSON object"), ('{"runs": 7}', "runs is 7"),
     ('{"parents": 7}', "parents is 7")],
)  # fmt: skip
def test_a_bad_source_is_refused_and_nothing_is_added(cdb, folder, text, says):
    Path("source.json").write_text(text)
    words = (*DEPLOY, "-c", "geometry", "-f", "mygeo", "--source", "source.json")
    for result in (cdb(*words), cdb(*words, "--dry-run"), cdb(*words, "--parent", "6" * 24)):
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert says in result.stderr
    assert not (folder / "store").exists()


def test_an_unknown_parent_is_refused_and_the_way_out_is_told(cdb, peds):
    result = cdb(*DEPLOY, "-c", "geometry", "-f", "mygeo", "--parent", "6" * 24)
    assert result.exit_code == 1
    assert "`cdb history` shows ids" in result.stderr
    assert "geometry" not in cdb("ls", *WHICH).stdout


def test_what_is_there_keeps_its_source_and_amend_changes_it(cdb, ask, two):
    again = cdb(*DEPLOY, "-c", "geometry", "-f", "mygeo", "--parent", two)
    assert "its source stayed as before; `cdb amend" in again.stderr
    geometry = ask("show", *WHICH, "-c", "geometry")["id"]
    assert cdb("amend", geometry, "--parent", two).exit_code == 0
    assert [p["id"] for p in source_of(ask, "geometry")["parents"]] == [two]


# lineage ---------------------------------------------------------------------------------------


@pytest.fixture
def child(cdb, ask, peds):
    cdb(*DEPLOY, "-c", "geometry", "-f", "mygeo", "--parent", peds)
    return str(ask("show", *WHICH, "-c", "geometry")["id"])


def test_a_tree_shows_what_was_made_from_what(cdb, peds, child):
    assert cdb("lineage", peds).stdout.splitlines() == [
        f"epixhr2x2_000001 pedestals 0-end (rixx45619) {peds}",
        "made from: nothing that is known",
        "made into:",
        f"└─ epixhr2x2_000001 geometry 0-end (rixx45619) {child}",
    ]
    assert "made from" not in cdb("lineage", peds, "--down").stdout
    assert "made into" not in cdb("lineage", child, "--up").stdout
    assert cdb("lineage", child, "--both").stdout == cdb("lineage", child).stdout


def test_it_fits_a_narrow_terminal(cdb, peds, child, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = cdb("lineage", peds).stdout.splitlines()
    assert max(map(len, lines)) <= 40
    assert [line for line in lines if child in line] != []


def test_in_json_it_is_nested(ask, peds, child):
    found = ask("lineage", peds)
    assert [each["id"] for each in found["children"]] == [child]
    assert ask("lineage", peds, "--up")["children"] == []
    assert ask("lineage", peds, "--depth", "0")["more"] is True
    assert ask("lineage", peds, "--as-of", "1")["children"] == []


def test_an_unknown_id_is_one_line(cdb, peds):
    result = cdb("lineage", "6" * 24)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_the_journal_names_the_child_and_not_its_parents(cdb, peds, child):
    last = cdb("journal", "-n", "1").stdout
    assert "geometry" in last
    assert "pedestals" not in last
