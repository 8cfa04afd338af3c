"""Looking: show, ls, history, explain, and the same as of an earlier state."""

import json

import pytest

from tests.cli.conftest import DEPLOY, TIME, WHICH

PEDS = (*WHICH, "-c", "pedestals")


@pytest.fixture
def three(cdb, peds):
    """Pedestals for all runs, then for runs 10-20 of label V2, then a geometry: events 1 to 3."""
    cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "-r", "10", "-R", "20", "-v", "V2")
    cdb(*DEPLOY, "-c", "geometry", "-f", "mygeo")


def types_and_runs(versions):
    return [(v["ctype"], v["run"], v["run_end"]) for v in versions]


def test_show_prints_the_document_and_where_it_is(cdb, peds):
    shown = dict(line.split(maxsplit=1) for line in cdb("show", *PEDS).stdout.splitlines()
                 if " " in line)  # fmt: skip
    assert shown["id"] == peds
    assert shown["data_shape"] == "(4, 6)"
    assert shown["database"] == "cdb_rixx45619"


def test_show_in_json_is_the_document_with_id_seq_and_state(ask, peds):
    version = ask("show", *PEDS)
    assert (version["id"], version["seq"], version["state"]) == (peds, 1, "live")
    assert {"_id", "time_stamp", "extpars", "sha256", "data_dtype"} <= version.keys()


def test_show_fetches_no_data(cdb, peds, monkeypatch):
    monkeypatch.setattr("cdb.stores.embedded.EmbeddedStore.read", None)
    assert cdb("show", *PEDS).exit_code == 0


def test_the_run_decides(ask, three):
    assert ask("show", *PEDS, "-r", "15")["run"] == 10
    assert ask("show", *PEDS, "-r", "25")["run"] == 0
    assert ask("show", *PEDS)["run"] == 0
    assert ask("show", *PEDS, "-r", "25", "--rule", "latest")["run"] == 10


def test_ls_lists_an_experiment_or_a_detector(ask, three):
    everything = [("geometry", 0, "end"), ("pedestals", 0, "end"), ("pedestals", 10, "20")]
    assert types_and_runs(ask("ls", "-e", "rixx45619")) == everything
    assert types_and_runs(ask("ls", "-d", "epixhr2x2_000001")) == everything


@pytest.mark.parametrize(
    ("filters", "number"),
    [
        (["-c", "pedestals"], 2),
        (["-c", "pixel_rms"], 0),
        (["-r", "15"], 3),
        (["-r", "25"], 2),
        (["-v", "V2"], 1),
        (["-t", "2021-09-30T00:00:00Z"], 0),
        (["-s", "1633075200"], 3),
        (["-n", "2"], 2),
        (["--as-of", "1"], 1),
        (["--as-of", "0"], 0),
        (["-S", "mytest"], 0),
    ],
)
def test_ls_filters(ask, three, filters, number):
    assert len(ask("ls", *WHICH, *filters)) == number


def test_ls_of_nothing_says_so_beside_the_result(cdb, peds):
    result = cdb("ls", "-e", "nosuch")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing fits" in result.stderr
    assert cdb("ls", "-e", "nosuch", "--json").stdout == "[]\n"


def test_ls_without_options_lists_what_there_is(cdb, ask, three):
    assert "rixx45619   epixhr2x2_000001" in cdb("ls").stdout
    assert ask("ls")["detectors"][0]["ctypes"] == ["geometry", "pedestals"]


def test_ls_with_a_filter_alone_is_an_error(cdb, peds):
    result = cdb("ls", "-c", "pedestals")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "-d, -e" in result.stderr


def test_history_has_what_left_with_who_when_and_why(cdb, ask, peds):
    cdb("retire", peds, "--reason", "beam was on", "--yes")
    cdb("restore", peds, "--reason", "it was not")
    new, old = ask("history", *PEDS)
    assert (old["id"], old["state"], new["state"]) == (peds, "retired", "live")
    assert "beam was on" in old["note"]
    assert "retired by" in cdb("history", *PEDS).stdout


def test_explain_agrees_with_show_and_gives_reasons(ask, three):
    for run in ("5", "15", "25"):
        explained = ask("explain", *PEDS, "-r", run)
        assert explained["winner"]["id"] == ask("show", *PEDS, "-r", run)["id"]
        assert all(candidate["reason"] for candidate in explained["candidates"])
        assert explained["seq"] == 3


def test_explain_in_a_pipe_is_a_line_a_candidate(cdb, three):
    lines = cdb("explain", *PEDS, "-r", "15").stdout.splitlines()
    assert lines[0].split() == ["database", "id", "runs", "valid", "from", "reason"]
    assert len(lines) == 5
    assert "wins" in lines[1]


def test_explain_of_nothing_is_no_error(cdb, peds):
    result = cdb("explain", *WHICH, "-c", "pixel_rms")
    assert (result.exit_code, result.stderr) == (0, "cdb: nothing wins\n")


@pytest.mark.parametrize("command", ["show", "get", "explain"])
def test_the_past_can_be_asked(cdb, command, peds):
    cdb("retire", peds, "--reason", "beam was on", "--yes")
    cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "-m", "new")
    then, now = (
        json.loads(cdb(command, *PEDS, "--json", "-f", as_of or "now").stdout)
        if command == "get"
        else json.loads(
            cdb(command, *PEDS, "--json", *(["--as-of", as_of] if as_of else [])).stdout
        )
        for as_of in ("1", "")
    )
    if command == "explain":
        then, now = then["winner"], now["winner"]
    if command != "get":
        assert then["id"] == peds
    assert now["comment"] == "new"


def test_lists_can_be_asked_as_they_were(cdb, ask, peds):
    cdb(*DEPLOY, "-c", "geometry", "-f", "mygeo")
    cdb("retire", peds, "--reason", "beam was on", "--yes")
    cdb("add", "-e", "xpp1", "-d", "epix_000001", "-c", "pedestals", "-f", "mypeds")
    for number, experiments in enumerate([[], ["rixx45619"], ["rixx45619"], ["rixx45619"]]):
        found = ask("experiments", "--as-of", str(number))
        assert [known["experiment"] for known in found] == experiments
    types = [[k["ctypes"] for k in ask("detectors", "--as-of", str(n))] for n in range(5)]
    assert types == [
        [], [["pedestals"]], [["geometry", "pedestals"]], [["geometry"]],
        [["pedestals"], ["geometry"]],
    ]  # fmt: skip
    assert ask("ls", "--as-of", "1")["detectors"] == ask("detectors", "--as-of", "1")


def test_history_can_be_asked_as_it_was(cdb, ask, peds):
    cdb("retire", peds, "--reason", "beam was on", "--yes")
    states = [[v["state"] for v in ask("history", *PEDS, "--as-of", str(n))] for n in range(3)]
    assert states == [[], ["live"], ["retired"]]


def test_a_time_without_events_is_the_empty_state(cdb, peds):
    result = cdb("show", *PEDS, "--as-of", "2021-10-01T00:00:00Z")
    assert result.exit_code == 1
    assert cdb("show", *PEDS, "--as-of", "now").exit_code == 0


def test_a_state_that_has_not_come_is_an_error(cdb, peds):
    result = cdb("show", *PEDS, "--as-of", "7")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


@pytest.mark.parametrize("as_of", ["yesterday", "2021-10-01T00:00:00", "9" * 5000])
def test_a_state_that_is_none_is_mistyped(cdb, peds, as_of):
    result = cdb("show", *PEDS, "--as-of", as_of)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize("command", [["ls"], ["ls", *WHICH], ["show", *PEDS], ["journal"],
                                     ["history", *PEDS], ["explain", *PEDS]])  # fmt: skip
def test_a_state_that_may_still_change_is_said_to_be_provisional(cdb, peds, command):
    provisional = cdb(*command, "--as-of", "now")
    assert provisional.stderr.count("is provisional") == 1
    assert "as of event 1 it stays" in provisional.stderr
    for settled in ("1", "2021-10-01T00:00:00Z"):
        assert "provisional" not in cdb(*command, "--as-of", settled).stderr


@pytest.mark.parametrize("command", ["get", "show", "explain"])
def test_a_label_chooses(cdb, ask, peds, command):
    cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "-v", "newer")
    chosen = ask(command, *PEDS, "-v", "V2021-10-08")
    assert (chosen.get("winner") or chosen)["id"] == peds
    assert ask("show", *PEDS)["version"] == "newer"
    assert "with the label 'none'" in cdb("show", *PEDS, "-v", "none").stderr


def test_explain_says_which_label_others_have(cdb, ask, peds):
    cdb(*DEPLOY, "-c", "pedestals", "-f", "mypeds", "-v", "newer")
    told = ask("explain", *PEDS, "-v", "V2021-10-08")["candidates"]
    assert [c["reason"] for c in told if c["version"] == "newer"] == ["has the label 'newer'"] * 2


def test_explain_lists_a_candidate_once_where_psana_asks_a_place_twice(ask, peds):
    alone = ("-d", "epixhr2x2_000001", "-c", "pedestals", "--rule", "psana", "-r", "5")
    (told,) = ask("explain", *alone)["candidates"]
    assert told["reason"].startswith("wins: psana's range rule")


def test_explain_gives_the_last_word_to_the_rule_that_finds_something(cdb, ask, folder):
    cdb("add", "-d", "epix_000001", "-c", "pedestals", "-f", "mypeds", "-r", "7")
    alone = ("-d", "epix_000001", "-c", "pedestals", "--rule", "psana", "-r", "5")
    told = ask("explain", *alone)
    assert [c["reason"][:22] for c in told["candidates"]] == ["wins: psana's fallback"]
    assert told["winner"]["id"] == ask("show", *alone)["id"]


def test_urls_win_over_the_environment(cdb, folder, peds):
    other = (folder / "other").as_uri()
    assert cdb("show", *PEDS, "--url", other).exit_code == 1
    cdb("add", *WHICH, "-c", "pedestals", "-f", "mypeds", "-t", TIME, "--url", other)
    assert cdb("show", *PEDS, "--url", other).exit_code == 0


@pytest.mark.parametrize(
    "detector", ["CxiDs1.0:Cspad.0", "DetInfo(CxiDs1.0:Cspad.0)", "cspad_0001"]
)
def test_a_detector_of_lcls1_is_found_by_its_source_and_by_its_converted_name(cdb, ask, detector):
    added = ("-d", "CxiDs1.0:Cspad.0", "-c", "pedestals", "-e", "cxi12345", "-f", "mypeds")
    version = ask("add", *added)["id"]
    which = ("-e", "cxi12345", "-d", detector, "-c", "pedestals")
    assert ask("show", *which)["id"] == ask("get", *which)["id"] == version
    assert [v["id"] for v in ask("ls", *which)] == [version]
    assert [v["id"] for v in ask("history", *which)] == [version]
    assert ask("explain", *which)["winner"]["id"] == version
