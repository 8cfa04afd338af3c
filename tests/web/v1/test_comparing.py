"""Comparisons over HTTP: what Python says of the same store, of what may be read, and no more."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from starlette.testclient import TestClient

from cdb import comparison, staleness, trends
from cdb.audit import Audit, findings_as_json
from cdb.constant import Version
from cdb.database import Database
from cdb.stores import Store
from cdb.stores.layout import JOURNAL, JOURNAL_DATABASE
from tests.web.v1.service import EPIX, bearer, deployment, pedestals, serving

OWN, TIME = f"cdb_{EPIX}", 1_600_000_000
NOW = "2020-09-21T00:00:00Z"
PARTS = {"detector": EPIX, "ctype": "pedestals", "experiment": "xpp1"}


@pytest.fixture
def client(quick_store: Store) -> Iterator[TestClient]:
    """An administrator of a service that shows nothing to nobody in particular."""
    with serving(quick_store, anonymous_read=False) as client:
        yield client


@pytest.fixture
def made(client: TestClient) -> list[Version]:
    """Three of one experiment, the second retired, and one of another's."""
    db = client.app.state.service.db  # type: ignore[attr-defined]
    found = [
        db.add(pedestals(100 + number), run=number, time=TIME + number * 86400, **PARTS)
        for number in (1, 2, 3)
    ]
    db.retire(found[1].id, reason="beam was on")
    db.add("a text", detector=EPIX, ctype="notes", experiment="xpp2", time=TIME)
    private = db.add(pedestals(5), detector=EPIX, ctype="pedestals", dbsuffix="mine", time=TIME)
    return [*found, private]


def told(client: TestClient, path: str, status: int = 200, **headers: str) -> dict:
    answer = client.get(path, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def db_of(client: TestClient):
    return client.app.state.service.db


def plain(value: object) -> object:
    """Return what JSON makes of a value."""
    return json.loads(json.dumps(value))


# Two versions -------------------------------------------------------------------------------------


def test_a_difference_is_what_python_says(client, made):
    answer = told(client, f"/v1/diff?a={made[0].id}&b={made[1].id}")
    assert answer["diff"] == plain(
        comparison.compare(db_of(client), made[0].id, made[1].id).as_json()
    )
    assert answer["diff"]["total"]["difference"]["mean"] == 1.0
    assert answer["diff"]["b"]["constant"]["state"] == "retired"
    assert answer["seq"] == db_of(client).head
    past = told(client, f"/v1/diff?a={made[0].id}&b={made[1].id}&as_of=3")
    assert (past["seq"], past["diff"]["b"]["constant"]["state"]) == (3, "live")


@pytest.mark.parametrize("name", ["a", "b"])
def test_both_sides_must_be_readable(client, made, name):
    sides = {"a": made[0].id, "b": made[0].id, name: made[3].id}
    path = "/v1/diff?a={a}&b={b}".format(**sides)
    of_experiment = bearer("ann", read=["cdb_xpp1"])
    assert told(client, path, 403, **of_experiment)["error"]["code"] == "NotAllowed"
    both = bearer("ann", read=["cdb_xpp1", f"{OWN}_mine"])
    assert told(client, path, **both)["diff"]["equal"] is False


def test_a_file_of_the_service_is_no_side(client, made, tmp_path):
    path = tmp_path / "secret.npy"
    np.save(path, pedestals())
    for given in (path, "/etc/passwd", "pyproject.toml", made[0].id.upper() + "x"):
        for query in (f"a={given}&b={made[0].id}", f"a={made[0].id}&b={given}"):
            answer = told(client, f"/v1/diff?{query}", 400)
            assert answer["error"]["code"] == "BadQuestion"
            assert "no id of a version" in answer["error"]["message"]


def test_half_a_character_in_stored_json_is_told(client):
    texts = (b'{"a\\ud800":1}', b'{"b":"\\ud800"}', b'"one \\ud800"', b'"two \\udfff"')
    ids = []
    for raw in texts:
        sent = deployment() | {"payload": {
            "fields": {"data_type": "json"}, "sha256": hashlib.sha256(raw).hexdigest(),
            "nbytes": len(raw), "base64": base64.b64encode(raw).decode(),
        }}  # fmt: skip
        ids.append(client.post("/v1/constants", json=sent).json()["constant"]["id"])
    of_keys = told(client, f"/v1/diff?a={ids[0]}&b={ids[1]}")["diff"]
    assert [change["key"] for change in of_keys["changes"]] == ["a\ud800", "b"]
    of_texts = told(client, f"/v1/diff?a={ids[2]}&b={ids[3]}")["diff"]
    assert of_texts["diff"][-2:] == ["-one \ud800", "+two \udfff"]


def test_data_are_not_read_by_the_loop_that_serves(client, made, monkeypatch):
    threads: list[str] = []
    db = db_of(client)
    data = type(db).data

    def read(self, *args, **named):
        threads.append(threading.current_thread().name)
        return data(self, *args, **named)

    monkeypatch.setattr(type(db), "data", read)
    told(client, f"/v1/diff?a={made[0].id}&b={made[2].id}")
    told(client, f"/v1/trend?detector={EPIX}&ctype=pedestals&experiment=xpp1")
    told(client, f"/v1/stale?detector={EPIX}&experiment=xpp1")
    assert len(threads) == 6
    assert all("worker thread" in name for name in threads)


# Versions one after the other ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "versions", "part", "number"),
    [
        ("", {}, {}, 2),
        ("&all=true", {"left": True}, {}, 3),
        ("&all=false&since=2020-09-15T00:00:00Z", {"since": "2020-09-15T00:00:00Z"}, {}, 1),
        ("&as_of=3", {"as_of": 3}, {}, 3),
    ],
)
def test_a_trend_is_what_python_says(client, made, asked, versions, part, number):
    query = "&".join(f"{name}={value}" for name, value in PARTS.items())
    answer = told(client, f"/v1/trend?{query}{asked}")
    db = db_of(client)
    points = trends.trend(db, trends.versions_of(db, **PARTS, **versions), **part)
    assert answer["trend"] == plain([point.as_json() for point in points])
    assert len(answer["trend"]) == number


def test_a_trend_of_one_gain_range_and_panel(client):
    db, names = db_of(client), {"detector": "jungfrau_000001", "ctype": "pedestals"}
    for level in (1, 2):
        data = np.random.default_rng(level).normal(3000, 10, (3, 2, 512, 1024))
        db.add(data.astype("float32"), run=level, time=TIME + level, **names)
    path = "/v1/trend?detector=jungfrau_000001&ctype=pedestals"
    answer = told(client, f"{path}&gain=g1&panel=1")
    points = trends.trend(db, trends.versions_of(db, **names), gain="g1", panel=1)
    assert answer["trend"] == plain([point.as_json() for point in points])
    assert [[part["panel"] for part in point["parts"]] for point in answer["trend"]] == [[1], [1]]
    assert "there are panels 0 to 1" in told(client, f"{path}&panel=7", 400)["error"]["message"]


def test_a_trend_of_what_may_not_be_read_is_refused(client, made):
    other = bearer("ann", read=["cdb_xpp2", OWN])
    for query in (f"ctype=pedestals&detector={EPIX}&experiment=xpp1",
                  f"ctype=pedestals&detector={EPIX}&dbsuffix=mine",
                  f"ctype=nothing&detector={EPIX}&experiment=xpp1"):  # fmt: skip
        told(client, f"/v1/trend?{query}", 403, **other)


# What is in force ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "named", "limits"),
    [
        ("", {}, {}),
        (f"&detector={EPIX}", {"detector": EPIX}, {}),
        (f"&detector={EPIX}&experiment=xpp1", {"detector": EPIX, "experiment": "xpp1"}, {}),
        ("&experiment=xpp1&last=0", {"experiment": "xpp1", "last": 0}, {}),
        ("&experiment=xpp1&as_of=2", {"experiment": "xpp1", "as_of": 2}, {}),
        ("&experiment=xpp1&max_age=12h&max_mean_change=0.001", {"experiment": "xpp1"},
         {"max_age": 43200.0, "max_mean_change": 0.001}),
    ],
)  # fmt: skip
def test_what_is_stale_is_what_python_says(client, made, asked, named, limits):
    answer = told(client, f"/v1/stale?time={NOW}{asked}")
    thresholds = staleness.Thresholds(given=limits)
    found = staleness.stale(db_of(client), time=NOW, thresholds=thresholds, **named)
    assert answer["stale"] == plain([condition.as_json() for condition in found])
    assert answer["stale"]
    assert "partial" not in answer
    assert any(condition["stale"] for condition in answer["stale"]) is bool(limits)


def test_of_what_may_not_be_read_nothing_is_told(client, made):
    db = db_of(client)
    db.add(pedestals(1), detector="jungfrau_000001", ctype="dark", time=TIME)
    reader = bearer("ann", read=[OWN, "cdb_xpp1"])
    seen = told(client, "/v1/stale", **reader)
    assert {each["detector"] for each in seen["stale"]} == {EPIX}
    assert seen["partial"] is True
    assert {each["detector"] for each in told(client, "/v1/stale")["stale"]} == {
        EPIX, "jungfrau_000001",
    }  # fmt: skip
    half = bearer("ann", read=["cdb_xpp1"])
    for query in ("experiment=xpp2", f"detector={EPIX}", f"detector={EPIX}&experiment=xpp1",
                  "detector=jungfrau_000001"):  # fmt: skip
        told(client, f"/v1/stale?{query}", 403, **half)
    # The detector's own database would be asked too.
    assert told(client, "/v1/stale?experiment=xpp1", 404, **half)["error"]["code"] == "NotFound"


def test_all_three_take_a_tag(client, made):
    client.post("/v1/tags", json={"name": "summer26", "at": 2})
    query = f"detector={EPIX}&experiment=xpp1"
    for path in (f"/v1/diff?a={made[0].id}&b={made[1].id}", f"/v1/trend?ctype=pedestals&{query}",
                 f"/v1/stale?time={NOW}&{query}"):  # fmt: skip
        tagged, past = (told(client, f"{path}&{which}") for which in ("tag=summer26", "as_of=2"))
        assert tagged.pop("tag")["name"] == "summer26"
        assert tagged == past


# The past -----------------------------------------------------------------------------------------


def audited(store: Store, begin: int) -> dict:
    """Return what an audit by Python says."""
    audit = Audit(Database(store).journal, begin=begin)
    findings = [*audit.run()]
    return {**audit.facts(), **findings_as_json(findings)}


@pytest.mark.parametrize("begin", [1, 3])
def test_an_audit_is_what_python_says(client, made, begin):
    store = db_of(client).store
    answer = told(client, f"/v1/audit?begin={begin}")
    assert answer == audited(store, begin)
    assert (answer["found"], answer["seq"], answer["payloads"]) == (0, 6, False)


def test_an_audit_finds_what_was_edited(client, made):
    store = db_of(client).store
    store.update(JOURNAL_DATABASE, JOURNAL, {"_id": 2}, set={"actor": "eve"})
    answer = told(client, "/v1/audit")
    assert answer["found"] >= 1
    assert {"event 2"} <= {finding["where"] for finding in answer["findings"]}
    assert answer == audited(store, 1)


def test_an_audit_is_an_administrator_s(client, made):
    told(client, "/v1/audit", 403, **bearer("ann", read=["*"], write=["*"]))
    told(client, "/v1/audit", 401, Authorization="")


# Bad questions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/diff", 400),
        ("/v1/diff?a={id}", 400),
        ("/v1/diff?a={id}&b=" + "f" * 24, 404),
        ("/v1/diff?a={id}&b={id}&allow_pickle=true", 400),
        ("/v1/diff?a={id}&b={id}&as_of=0", 404),
        (f"/v1/trend?detector={EPIX}", 400),
        (f"/v1/trend?detector={EPIX}&ctype=pedestals&all=yes", 400),
        (f"/v1/trend?detector={EPIX}&ctype=pedestals&panel=-1", 400),
        (f"/v1/trend?detector={EPIX}&ctype=pedestals&since=yesterday", 400),
        (f"/v1/trend?detector={EPIX}&ctype=notes&experiment=xpp2", 400),
        ("/v1/trend?detector=nothing&ctype=pedestals", 404),
        ("/v1/stale?last=-1", 400),
        ("/v1/stale?max_age=7", 400),
        ("/v1/stale?max_bad=nan", 400),
        ("/v1/stale?max_bad=-1", 400),
        ("/v1/stale?max_bad_change=1e400", 400),
        ("/v1/stale?time=2020-01-01", 400),
        ("/v1/stale?config=/etc/passwd", 400),
        ("/v1/stale?experiment=xpp9", 404),
        ("/v1/audit?begin=0", 400),
        ("/v1/audit?begin=8", 400),
        ("/v1/audit?payloads=true", 400),
    ],
)
def test_what_makes_no_sense_is_refused(client, made, path, status):
    answer = told(client, path.format(id=made[0].id), status)
    assert answer["error"]["message"]
