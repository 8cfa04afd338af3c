"""psana's dialect as the real psana 4.3.4 speaks it, over the embedded store and on the wire."""

import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import numpy as np
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from cdb.database import Database
from cdb.rights import Rights
from cdb.stores import Store
from cdb.web.app import make_app
from cdb.web.settings import Settings
from tests import psana_clients
from tests.conftest import DATA
from tests.psana_clients import Client, answered

SHORT, DB, DETECTOR_DB = "epixhr_000001", "cdb_tstx00417", "cdb_epixhr_000001"
PEDS = np.arange(12, dtype="float32").reshape(3, 4)

SECRET = "an-hs256-secret-of-more-than-32-bytes!"
KERBEROS_SITE = {
    "trusted_user_header": "Remote-User",
    "trusted_proxies": ("127.0.0.1",),
    "rights": {"kerstin": Rights(admin=True)},
}


def token() -> str:
    """Return a token of somebody who may read and write everything."""
    rights = {"read": ["*"], "write": ["*"]}
    return jwt.encode({"sub": "mona", "exp": time.time() + 3600, "cdb": rights}, SECRET)


def behind_a_proxy(app: ASGIApp) -> ASGIApp:
    """Return an application behind a proxy that knows Kerberos."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [h for h in scope.get("headers", ()) if h[0] != b"remote-user"]
        if (b"authorization", b"Negotiate ticket") in headers:
            headers.append((b"remote-user", b"kerstin@SLAC.STANFORD.EDU"))
        await app({**scope, "headers": headers}, receive, send)

    return proxy


@pytest.fixture
def db(shared_store: Store) -> Database:
    return Database(shared_store)


@pytest.fixture
def address(db: Database) -> Iterator[str]:
    """Where a service of the database answers."""
    settings = Settings(anonymous_read=True, jwt_secret=SECRET, **KERBEROS_SITE)
    app = make_app(settings, make_database=lambda: db)
    with psana_clients.served(behind_a_proxy(app)) as address:
        yield address


@pytest.fixture
def clients(psana_python: str, address: str, tmp_path: Path) -> dict[str, Client]:
    """A user with a token, one with a ticket, and one with nothing."""
    modes = ("token", "kerberos", "anonymous")
    return {mode: Client(psana_python, address, tmp_path / mode, mode, token()) for mode in modes}


@pytest.fixture(params=["token", "kerberos"])
def client(request: pytest.FixtureRequest, clients: dict[str, Client]) -> Client:
    """Who may write, in either way."""
    return clients[request.param]


# Deploying ---------------------------------------------------------------------------------------


def test_a_deployment_is_two_events_with_a_document_and_data_each(client, db):
    blob, copied_blob, document, copy = client.run("answer(deploy())")
    assert [event["action"] for event in db.journal.events()] == ["register", "add", "add"]
    (first,) = db.copies.find(DB, SHORT, {})
    (second,) = db.copies.find(DETECTOR_DB, SHORT, {})
    assert (first["_id"], first["id_data"], first["id_doc_exp"]) == (document, blob, 0)
    assert (second["_id"], second["id_data"], second["id_doc_exp"]) == (copy, copied_blob, document)
    assert first["sha256"] == second["sha256"]


def test_what_psana_deployed_is_what_our_own_look_up_finds(client, db):
    client.run("answer(deploy())")
    for experiment in ("tstx00417", "other", None):
        data, meta = db.get(SHORT, "pedestals", experiment=experiment, run=7)
        assert data.dtype == PEDS.dtype
        np.testing.assert_array_equal(data, PEDS)
        assert meta["uid"]


def test_what_we_added_is_what_psana_finds(client, db):
    db.add(PEDS, detector="epixhr_0123-45_0123-46", ctype="pedestals", experiment="tstx00417")
    found = client.run(
        "data, doc = wu.calib_constants(LONG, EXP, 'pedestals', run=7);"
        "answer([data.tolist(), str(data.dtype), doc['shortname']])"
    )
    assert found == [PEDS.tolist(), "float32", SHORT]


def test_the_range_rule_and_the_fallback_hold(client):
    found = client.run("""
for begin, end, value in ((1, "end", 1), (5, "10", 2), (3, "20", 3), (5, "end", 4)):
    deploy(np.full(2, value), run=begin, run_end=end)
by_run = {}
for run in (2, 4, 7, 11, 9999):
    by_run[run] = wu.calib_constants_all_types(LONG, EXP, run=run)["pedestals"][0].tolist()[0]
answer(by_run)
""")
    assert found == {"2": 1, "4": 3, "7": 2, "11": 4, "9999": 4}


def test_all_types_come_at_once_whatever_their_kind(client):
    found = client.run("""
deploy("a text", ctype="geometry")
deploy({"a": [1, 2]}, ctype="calibcfg")
deploy(np.array(7.5), ctype="pixel_rms")
deploy(np.zeros((0, 3), "int16"), ctype="pixel_max")
found = wu.calib_constants_all_types(LONG, EXP, run=7)
arrays = {"pixel_rms", "pixel_max"}
answer({name: [data.tolist(), data.shape] if name in arrays else data
        for name, (data, doc) in found.items()})
""")
    assert found == {
        "geometry": "a text", "calibcfg": {"a": [1, 2]}, "pixel_rms": [7.5, []],
        "pixel_max": [[], [0, 3]],
    }  # fmt: skip


def test_private_constants_are_found_with_their_suffix_alone(client, db):
    found = client.run("""
wu.deploy_constants(PEDS, EXP, LONG, experiment=EXP, detector=SHORT, ctype="pedestals", run=5,
                    dbsuffix="mytest")
answer([wu.calib_constants(LONG, EXP, "pedestals", run=7, dbsuffix="mytest")[0].tolist(),
        wu.calib_constants(LONG, EXP, "pedestals", run=7)])
""")
    assert found == [PEDS.tolist(), None]
    assert db.copies.tally.databases() == ["cdb_detnames", "cdb_epixhr_000001_mytest"]


def test_who_shows_nothing_reads_and_does_not_write(clients):
    clients["token"].run("answer(deploy())")
    found = clients["anonymous"].run(
        "answer([wu.calib_constants_all_types(LONG, EXP, run=7)['pedestals'][0].tolist(),"
        " wu.database_names(), wu.collection_names(DB),"
        " wu.req.post(wu.cc.URL_KRB + DB + '/gridfs/', data=b'1').status_code])"
    )
    databases = ["cdb_detnames", DETECTOR_DB, DB]
    assert found == [PEDS.tolist(), databases, [SHORT, "fs.files", "fs.chunks"], 401]


def test_a_detector_is_found_by_some_of_its_panels(client):
    script = "deploy(); answer([wu.pro_detector_name(f'epixhr_{panel}') for panel in PANELS])"
    assert client.run(script.replace("PANELS", "['0123-46', '9']")) == [SHORT, None]


def test_the_second_detector_of_a_type_gets_a_name_of_its_own(client):
    named = "wu.pro_detector_name({!r}, add_shortname=True)"
    script = f"answer([{named.format('epixhr_1')}, {named.format('epixhr_2')}])"
    assert client.run(script) == ["epixhr_000001", "epixhr_000002"]


@pytest.mark.slow
def test_eight_clients_that_race_for_short_names_get_eight(clients, db):
    script = """
import time
names = []
while not names:
    names = [name for name in [wu.pro_detector_name("epixhr_panel{}", add_shortname=True)] if name]
answer(names[0])
"""
    started = [clients["token"].start(script.format(number)) for number in range(10, 18)]
    named = sorted(map(answered, started))
    assert named == [f"epixhr_{number:06}" for number in range(1, 9)]
    assert [event["action"] for event in db.journal.events()] == 8 * ["register"]


# Replacing and deleting --------------------------------------------------------------------------


def test_a_replaced_document_keeps_its_id_and_the_other_copy_stays(client, db):
    found = client.run("""
_, _, id_exp, id_det = deploy()
doc = wu.get_doc_for_docid(DB, SHORT, id_exp)
doc["comment"] = "better"
answer([wu.replace_document(doc) == id_exp, wu.get_doc_for_docid(DB, SHORT, id_exp)["comment"],
        wu.calib_constants(LONG, EXP, "pedestals", run=7)[1]["_id"] == id_exp,
        wu.get_doc_for_docid("cdb_" + SHORT, SHORT, id_det)["comment"]])
""")
    assert found == [True, "better", True, "no comment"]
    assert [event["action"] for event in db.journal.events()][3:] == ["amend"]


def test_a_deleted_document_is_gone_and_no_empty_id_deletes_a_collection(client):
    found = client.run("""
_, _, id_exp, _ = deploy()
deploy(ctype="pixel_rms")
answer([wu.delete_document(DB, SHORT, "").status_code,
        wu.delete_document(DB, SHORT, id_exp).status_code,
        wu.delete_document(DB, SHORT, id_exp).status_code,
        wu.get_doc_for_docid(DB, SHORT, id_exp),
        [doc["ctype"] for doc in wu.find_docs(DB, SHORT, {})]])
""")
    assert found == [405, 200, 404, None, ["pixel_rms"]]


def test_a_document_is_deleted_with_its_data(clients, db):
    # With a token psana itself fails here, before any request.
    found = clients["kerberos"].run("""
id_data, _, id_exp, _ = deploy()
before = wu.delete_data(DB, id_data).status_code
answer([before, wu.delete_document_and_data(DB, SHORT, id_exp), wu.get_data_for_id(DB, id_data)])
""")
    assert found == [409, True, None]
    assert len(list(db.store.blobs(DB))) == 1  # the bytes stay for the version that left


def test_an_administrator_deletes_a_collection_and_a_database(clients, db):
    script = """
deploy()
answer([wu.delete_collection(DB, SHORT).status_code, wu.delete_database("cdb_" + SHORT).status_code,
        wu.database_names()])
"""
    assert clients["token"].run(script)[:2] == [403, 403]
    assert clients["kerberos"].run(script) == [200, 200, ["cdb_detnames"]]
    assert db.history(SHORT, "pedestals")[0].note.startswith("retired by kerstin")


def test_the_writer_stands_in_the_journal(client, db):
    client.run("answer(deploy())")
    assert {event["actor"] for event in db.journal.events()} <= {"mona", "kerstin"}


# Runs --------------------------------------------------------------------------------------------

READ = """
from psana import DataSource
run = next(DataSource(files=[{path!r}]).runs())
det = run.Detector({detname!r})
np.savez({out!r}, **{{name: data for name, (data, meta) in det.calibconst.items()}})
# psana hands out the same buffer for each event.
calib, raw = zip(*((det.raw.calib(evt).copy(), det.raw.raw(evt).copy()) for evt in run.events()))
configured = getattr(det.raw, "_cbits_config_detector", lambda: np.zeros(0, "uint8"))()
np.savez({out!r} + "-frames", calib=calib, raw=raw, words=configured)
answer([run.expt, run.runnum, det.raw._uniqueid, meta_of(det)])
"""
META = """
def meta_of(det):
    return sorted(meta["shortname"] for data, meta in det.calibconst.values())
"""


def constants_for(n_ranges: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return pedestals and gains by range; a quotient by a power of two has no rounding."""
    random = np.random.default_rng(7)
    pedestals = random.integers(0, 4000, (n_ranges, *shape)) / 4
    return pedestals.astype("float32"), 2.0 ** random.integers(-2, 6, (n_ranges, *shape))


def run_of(client: Client, path: Path, detname: str, out: Path):
    script = META + READ.format(path=str(path), detname=detname, out=str(out))
    told = client.run(script)
    constants = np.load(out.with_suffix(".npz"))
    return told, constants, np.load(out.with_name(out.name + "-frames.npz"))


UNIQUE = {
    "jungfrau": "jungfrau_8000000020000-230920-20004002c",
    "epixquad": "epix10ka"
    + "".join(
        f"_3926196238-{panel}-0000000000-0000000000-0000000000-0000000000"
        for panel in (
            "0175152897-1157627926", "0174824449-0268435478", "0175552257-3456106518",
            "0176373505-4043309078",
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "detname", "experiment", "run", "n_ranges", "shape"),
    [
        ("test_jungfrau05M_calib", "jungfrau", "mfx101332224", 7, 3, (1, 512, 1024)),
        ("test_epix_calib", "epixquad", "ueddaq02", 109, 7, (4, 352, 384)),
    ],
)
def test_a_run_is_calibrated_with_the_constants_that_were_deployed(
    clients, db, tmp_path, name, detname, experiment, run, n_ranges, shape
):
    path = DATA / "xtc2" / f"{name}.xtc2"
    if not path.exists():
        pytest.skip(f"no {path}")
    pedestals, gains = constants_for(n_ranges, shape)
    np.savez(tmp_path / "in.npz", pedestals=pedestals, pixel_gain=gains.astype("float32"))
    deployed = clients["token"].run(f"""
for ctype, data in np.load({str(tmp_path / "in.npz")!r}).items():
    wu.deploy_constants(data, {experiment!r}, {UNIQUE[detname]!r}, experiment={experiment!r},
                        detector=wu.pro_detector_name({UNIQUE[detname]!r}, add_shortname=True),
                        ctype=ctype, run={run}, run_end="end")
answer(wu.pro_detector_name({UNIQUE[detname]!r}))
""")
    told, constants, frames = run_of(clients["anonymous"], path, detname, tmp_path / "out")
    assert told == [experiment, run, UNIQUE[detname], [deployed, deployed]]
    for ctype, data in (("pedestals", pedestals), ("pixel_gain", gains)):
        assert constants[ctype].tobytes() == data.astype("float32").tobytes()
    det = db.detector(UNIQUE[detname], experiment=experiment, run=run)
    words = frames["words"] if detname == "epixquad" else None
    assert frames["calib"].any()
    for raw, psanas in zip(frames["raw"], frames["calib"], strict=True):
        np.testing.assert_array_equal(det.calib(raw, words=words), psanas)
