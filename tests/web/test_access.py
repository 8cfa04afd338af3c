"""Who asks is found out once; what he may do is said by patterns; nothing forged counts."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.responses import JSONResponse
from starlette.routing import Route

from cdb import tokens
from cdb.database import Database
from cdb.errors import BadSettings, NotAllowed, NotAuthenticated, StoreUnavailable
from cdb.rights import Rights
from cdb.web import jwt_keys
from cdb.web.access import Caller, Proxies, caller_of, refused_deployment
from cdb.web.settings import Settings
from tests.web.conftest import SECRET

EXPERIMENT, DETECTOR, PRIVATE = "cdb_rixx45619", "cdb_epix_000001", "cdb_epix_000001_mine"
WRITER = Caller("mona", write=("cdb_rixx*",))
ADMIN = Caller("op", admin=True)


async def _whoami(request):
    caller = caller_of(request)
    return JSONResponse(
        {
            "name": caller.name,
            "read": caller.read,
            "write": caller.write,
            "admin": caller.admin,
            "problem": caller.problem,
            "address": request.scope["address"],
        }
    )


WHOAMI = [Route("/whoami", _whoami, methods=["GET", "POST"])]


def claims(**more):
    return {"sub": "mona", "exp": int(time.time()) + 600, "cdb": {"write": ["cdb_rixx*"]}} | more


def signed(payload=None, key=SECRET, algorithm="HS256", **how):
    return jwt.encode(claims() if payload is None else payload, key, algorithm, **how)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def whoami(serve):
    """Ask who one is; give what the service found out."""

    def asked(token=None, headers=None, client=("127.0.0.1", 50000), **settings):
        settings = {"jwt_secret": SECRET} | settings
        service = serve(client=client, routes=WHOAMI, **settings)
        given = headers if headers is not None else bearer(token) if token is not None else {}
        return service.get("/whoami", headers=given).json()

    return asked


# Rights -------------------------------------------------------------------------------------------


def test_who_may_write_may_read():
    WRITER.require_read(EXPERIMENT)
    WRITER.require_write(EXPERIMENT)
    with pytest.raises(NotAllowed, match="mona may not read cdb_xpp1"):
        WRITER.require_read(EXPERIMENT, "cdb_xpp1")


def test_nobody_in_particular_is_asked_for_a_token():
    with pytest.raises(NotAuthenticated, match="token is needed to write cdb_rixx45619"):
        Caller(read=("*",)).require_write(EXPERIMENT)


def test_a_token_that_does_not_count_is_the_reason():
    with pytest.raises(NotAuthenticated, match="expired"):
        Caller(problem="the token has expired").require_read(EXPERIMENT)


def test_an_administrator_may_do_everything():
    ADMIN.require_admin()
    ADMIN.require_write("cdbjournal")
    with pytest.raises(NotAllowed, match="administrate"):
        WRITER.require_admin()


def test_a_writer_is_whoever_may_write_anything():
    WRITER.require_writer()
    ADMIN.require_writer()
    with pytest.raises(NotAllowed):
        Caller("mona", read=("*",)).require_writer()


@pytest.mark.parametrize(
    ("caller", "databases", "admitted"),
    [
        (WRITER, [EXPERIMENT, DETECTOR], True),
        (WRITER, [DETECTOR, EXPERIMENT], True),
        (WRITER, [EXPERIMENT], True),
        (WRITER, [DETECTOR], False),
        (WRITER, ["cdb_xpp1", DETECTOR], False),
        (WRITER, [EXPERIMENT, "cdb_xpp1"], False),
        (WRITER, [EXPERIMENT, PRIVATE], False),
        (WRITER, [PRIVATE], False),
        (WRITER, [EXPERIMENT, "cdb_detnames"], False),
        (WRITER, [EXPERIMENT, "cdbjournal"], False),
        (WRITER, [], False),
        (WRITER, [EXPERIMENT, "cdb_EPIX_000001"], False),
        (Caller("w", write=("cdb_rixx*", DETECTOR)), [EXPERIMENT, "cdb_EPIX_000001"], True),
        (Caller("w", write=("cdb_rixx*", "cdb_EPIX*")), [EXPERIMENT, "cdb_EPIX_000001"], True),
        (Caller("d", write=("cdb_epix_000001",)), [DETECTOR], True),
        (Caller("d", write=("cdb_epix_000001",)), [EXPERIMENT, DETECTOR], False),
        (Caller("d", write=("cdb_epix_000001*",)), ["cdb_epix_000002", PRIVATE], False),
        (Caller("d", write=("cdb_epix_000001*",)), [PRIVATE], True),
        (Caller("r", read=("*",)), [EXPERIMENT, DETECTOR], False),
        (Caller(), [EXPERIMENT, DETECTOR], False),
        (ADMIN, [EXPERIMENT, DETECTOR], True),
        (ADMIN, [DETECTOR], True),
    ],
)
def test_the_detectors_database_is_written_only_along_with_ones_experiment(
    caller, databases, admitted
):
    refusal = refused_deployment(caller, databases)
    assert (refusal is None) is admitted
    if not admitted:
        with pytest.raises(NotAllowed if caller.name else NotAuthenticated):
            caller.require_deploy(*databases)


# JSON web tokens ----------------------------------------------------------------------------------


def test_a_json_web_token_says_who_and_what(whoami):
    found = whoami(signed())
    assert (found["name"], found["write"], found["admin"]) == ("mona", ["cdb_rixx*"], False)


def test_the_table_of_rights_adds_to_the_claims(whoami):
    rights = {"mona": Rights(write=("cdb_xpp*",)), "*": Rights(read=("*",))}
    found = whoami(signed(), rights=rights)
    assert (found["read"], found["write"]) == (["*"], ["cdb_rixx*", "cdb_xpp*"])


def unsigned(header, payload):
    parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in
             (header, payload)]  # fmt: skip
    return (b".".join(parts) + b".").decode()


def signed_by_hand(key: bytes, header, payload):
    text = unsigned(header, payload).removesuffix(".")
    digest = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


LATER = int(time.time()) + 600
ATTACKS = {
    "none": unsigned({"alg": "none", "typ": "JWT"}, claims()),
    "None": unsigned({"alg": "NonE", "typ": "JWT"}, claims()),
    "no algorithm": unsigned({"typ": "JWT"}, claims()),
    "another algorithm": signed(key=SECRET * 2, algorithm="HS512"),
    "same secret, another algorithm": signed(key=(SECRET * 2)[:64], algorithm="HS384"),
    "another secret": signed(key=SECRET[::-1]),
    "signature cut off": signed().rpartition(".")[0] + ".",
    "payload changed": signed().replace(".", ".e", 1),
    "expired": signed(claims(exp=int(time.time()) - 3600)),
    "no expiry": signed({"sub": "mona"}),
    "expiry is text": signed_by_hand(
        SECRET.encode(), {"alg": "HS256"}, {"sub": "mona", "exp": "soon"}
    ),
    "expiry is endless": signed_by_hand(
        SECRET.encode(), {"alg": "HS256"}, {"sub": "mona", "exp": float("inf")}
    ),
    "not yet": signed(claims(nbf=LATER)),
    "no subject": signed({"exp": LATER}),
    "subject is a number": signed_by_hand(SECRET.encode(), {"alg": "HS256"}, claims(sub=7)),
    "subject is empty": signed(claims(sub="")),
    "subject with a line's end": signed(claims(sub="mona\nroot")),
    "rights are a text": signed(claims(cdb="admin")),
    "rights are odd": signed(claims(cdb={"admin": 1})),
    "patterns are odd": signed(claims(cdb={"write": ["../*"]})),
    "for another service": signed(claims(aud="elsewhere")),
    "critical extension": signed(headers={"crit": ["b64"], "b64": False}),
    "key in the header": signed(headers={"jwk": {"kty": "oct", "k": "eA"}}, key=SECRET[::-1]),
    "huge": "eyJ" + 100_000 * "a",
    "many dots": "." * 5000,
    "garbage": "eyJ0eXAi.%%%.\xff",
    "deep": base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.",
    "of psana, empty": "''",
    "an unknown opaque one": "cdb_" + 43 * "x",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_token_that_is_not_valid_makes_nobody_of_its_bearer(serve, attack):
    service = serve(routes=WHOAMI, jwt_secret=SECRET, rights={"*": Rights(admin=True)})
    headers = {"Authorization": f"Bearer {ATTACKS[attack]}".encode("latin-1")}
    found = service.get("/whoami", headers=headers).json()
    assert (found["name"], found["admin"], found["write"]) == ("", False, [])
    assert found["problem"]
    refused = service.post("/whoami", headers=headers)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"


@pytest.fixture(scope="module")
def rsa_key():
    """A private key of RSA."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def elliptic_key():
    """A private key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


@pytest.fixture
def issuer(tmp_path, rsa_key, elliptic_key):
    """Settings with the public key of an issuer, by algorithm, and the private key."""

    def made(algorithm):
        key = {"RS256": rsa_key, "ES256": elliptic_key}[algorithm]
        (tmp_path / "key.pem").write_bytes(pem(key))
        path = str(tmp_path / "key.pem")
        names = {"jwt_issuer": "https://idp", "jwt_audience": "cdb"}
        return Settings(jwt_public_key_file=path, **names), key

    return made


OURS = {"iss": "https://idp", "aud": "cdb"}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_public_key_verifies(issuer, algorithm):
    settings, key = issuer(algorithm)
    found = jwt_keys.of(settings).verify(signed(claims(**OURS), key, algorithm))
    assert (found.subject, found.rights.write) == ("mona", ("cdb_rixx*",))


@pytest.mark.parametrize(
    ("more", "said"),
    [({"aud": "mail"}, "another service"), ({"aud": None}, "aud"), ({"iss": "x"}, "issuer"),
     ({"iss": None}, "iss"), ({"exp": 1}, "expired")],
)  # fmt: skip
def test_issuer_audience_and_expiry_are_checked(issuer, more, said):
    settings, key = issuer("RS256")
    payload = {k: v for k, v in claims(**OURS | more).items() if v is not None}
    with pytest.raises(NotAuthenticated, match=said):
        jwt_keys.of(settings).verify(signed(payload, key, "RS256"))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_public_key_is_no_secret(issuer, algorithm):
    settings, key = issuer(algorithm)
    forged = signed_by_hand(pem(key), {"alg": "HS256", "typ": "JWT"}, claims(**OURS))
    with pytest.raises(NotAuthenticated, match="not valid"):
        jwt_keys.of(settings).verify(forged)


def test_another_algorithm_of_the_same_key_is_refused(issuer):
    settings, key = issuer("RS256")
    for algorithm in ("RS512", "PS256"):
        with pytest.raises(NotAuthenticated, match="not valid"):
            jwt_keys.of(settings).verify(signed(claims(**OURS), key, algorithm))


def jwks(tmp_path, **keys):
    made = []
    for name, key in keys.items():
        algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else (
            jwt.algorithms.ECAlgorithm)  # fmt: skip
        made.append(algorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name})
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": made}))
    return Settings(jwt_jwks_file=str(path), jwt_issuer="https://idp", jwt_audience="cdb")


def test_a_set_of_keys_verifies_by_the_name_of_the_key(tmp_path, rsa_key, elliptic_key):
    keys = jwt_keys.of(jwks(tmp_path, old=rsa_key, new=elliptic_key))
    for name, key, algorithm in (("old", rsa_key, "RS256"), ("new", elliptic_key, "ES256")):
        token = signed(claims(**OURS), key, algorithm, headers={"kid": name})
        assert keys.verify(token).subject == "mona"
    for name in ("new", "third", None, 7, ["old"]):
        header = {} if name is None else {"kid": name}
        text = {"alg": "RS256", "typ": "JWT"} | header
        with pytest.raises(NotAuthenticated):
            keys.verify(unsigned(text, claims(**OURS)) + "AAAA")


@pytest.mark.parametrize(
    ("text", "said"),
    [("{}", "no JWKS"), ("not json", "no JWKS"), ('{"keys": [{"kty": "oct", "k": "eHg"}]}',
     "secret"), ("[]", "no JWKS")],
)  # fmt: skip
def test_a_set_of_keys_that_is_none_is_refused(tmp_path, text, said):
    (tmp_path / "jwks.json").write_text(text)
    with pytest.raises(BadSettings, match=said):
        jwt_keys.of(Settings(jwt_jwks_file=str(tmp_path / "jwks.json")))


def test_a_verified_token_is_remembered_until_it_expires(serve, monkeypatch):
    service = serve(routes=WHOAMI, jwt_secret=SECRET)
    verify, calls = jwt_keys.Keys.verify, []
    counted = lambda keys, token: calls.append(token) or verify(keys, token)  # noqa: E731
    monkeypatch.setattr(jwt_keys.Keys, "verify", counted)
    token, now = signed(claims(exp=int(time.time()) + 60)), time.time()
    for later, verified in ((0, 1), (1, 1), (120, 2)):
        monkeypatch.setattr("cdb.web.access.time.time", lambda later=later: now + later)
        assert service.get("/whoami", headers=bearer(token)).json()["name"] == "mona"
        assert len(calls) == verified


# Opaque tokens ------------------------------------------------------------------------------------


def test_an_opaque_token_says_who_and_what(serve, served_db):
    token, _ = tokens.create(served_db.journal, "mona", Rights(write=("cdb_rixx*",)))
    found = serve(routes=WHOAMI).get("/whoami", headers=bearer(token)).json()
    assert (found["name"], found["write"]) == ("mona", ["cdb_rixx*"])


def test_an_opaque_token_may_no_more_than_was_granted(serve, served_db):
    token, _ = tokens.create(served_db.journal, "mona", Rights(read=("cdb_rixx*",)))
    rights = {"mona": Rights(admin=True), "*": Rights(write=("*",))}
    found = serve(routes=WHOAMI, rights=rights).get("/whoami", headers=bearer(token)).json()
    assert (found["read"], found["write"], found["admin"]) == (["cdb_rixx*"], [], False)


def test_a_revoked_token_is_refused_at_the_next_request(serve, served_db):
    token, grant = tokens.create(served_db.journal, "mona", Rights(admin=True))
    service = serve(routes=WHOAMI)
    assert service.post("/whoami", headers=bearer(token)).status_code == 200
    tokens.revoke(Database(served_db.store).journal, grant.id)
    refused = service.post("/whoami", headers=bearer(token))
    assert refused.status_code == 401
    assert "revoked" in refused.json()["error"]["message"]


def test_an_expired_opaque_token_is_refused(serve, served_db):
    soon = datetime.now(UTC) + timedelta(minutes=1)
    token, _ = tokens.create(served_db.journal, "mona", Rights(admin=True), expires=soon)
    served_db.journal.now = lambda: time.time() + 120
    assert serve(routes=WHOAMI).post("/whoami", headers=bearer(token)).status_code == 401


def test_a_json_web_token_where_none_is_configured_is_refused(whoami):
    assert "cdb token create" in whoami(signed(), jwt_secret="")["problem"]


# Front proxies ------------------------------------------------------------------------------------

PROXIED = {"trusted_user_header": "Remote-User", "trusted_proxies": ("10.0.0.0/8",)}
PROXY, STRANGER = ("10.0.0.9", 4000), ("134.79.1.2", 4000)


def test_a_proxy_names_the_user_without_its_realm(whoami):
    headers = {"Remote-User": "mona@SLAC.STANFORD.EDU", "Authorization": "Negotiate YII"}
    found = whoami(headers=headers, client=PROXY, **PROXIED, rights={"mona": Rights(admin=True)})
    assert (found["name"], found["admin"]) == ("mona", True)


@pytest.mark.parametrize(
    ("client", "settings"),
    [(STRANGER, PROXIED), (PROXY, {}), (PROXY, PROXIED | {"trusted_proxies": ("10.0.0.8",)}),
     (("testclient", 1), PROXIED)],
)  # fmt: skip
def test_anybody_elses_header_says_nothing(whoami, client, settings):
    rights = {"mona": Rights(admin=True)}
    found = whoami(headers={"Remote-User": "mona"}, client=client, **settings, rights=rights)
    assert (found["name"], found["admin"]) == ("", False)


@pytest.mark.parametrize("user", ["", "@SLAC", "two users", "a\x7fb", "x" * 200])
def test_a_user_that_is_none_is_nobody(whoami, user):
    found = whoami(headers={"Remote-User": user}, client=PROXY, **PROXIED)
    assert found["name"] == ""


def test_two_users_are_nobody(serve):
    service = serve(client=PROXY, routes=WHOAMI, **PROXIED)
    headers = [("Remote-User", "mona"), ("remote-user", "root")]
    assert service.get("/whoami", headers=headers).json()["name"] == ""


def test_a_proxy_of_ipv4_is_known_under_ipv6():
    assert Proxies(["10.0.0.0/8"]).hold("::ffff:10.1.2.3")


def test_the_address_is_the_one_that_the_proxy_saw(whoami):
    headers = {"X-Forwarded-For": "1.2.3.4, 134.79.1.2"}
    assert whoami(headers=headers, client=PROXY, **PROXIED)["address"] == "134.79.1.2"
    assert whoami(headers=headers, client=STRANGER, **PROXIED)["address"] == "134.79.1.2"
    assert whoami(headers=headers, client=STRANGER)["address"] == "134.79.1.2"


@pytest.mark.parametrize(
    ("headers", "admitted"),
    [
        ({}, True),
        ({"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://elog.example.org"}, True),
        ({"Origin": "https://evil.example.org"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_no_page_of_another_site_writes_in_its_readers_name(serve, headers, admitted):
    origins = ("https://elog.example.org",)
    service = serve(client=PROXY, routes=WHOAMI, **PROXIED, cors_origins=origins)
    answer = service.post("/whoami", headers={"Remote-User": "mona"} | headers)
    assert (answer.status_code == 200) is admitted


# Nobody in particular -----------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["Negotiate YIIabc", "Bearer ", "Bearer", "Basic bTpu", ""])
def test_what_psana_sends_with_reads_is_tolerated(whoami, header):
    found = whoami(headers={"Authorization": header}, anonymous_read=True)
    assert (found["name"], found["read"], found["problem"]) == ("", ["*"], "")


def test_who_has_an_expired_token_reads_what_is_open_to_all(whoami):
    found = whoami(ATTACKS["expired"], anonymous_read=True)
    assert found["read"] == ["*"]


def test_two_authorizations_are_none(serve):
    service = serve(routes=WHOAMI, jwt_secret=SECRET)
    headers = [("Authorization", f"Bearer {signed()}"), ("Authorization", "Bearer x")]
    assert service.get("/whoami", headers=headers).json()["name"] == ""


def test_nobody_in_particular_writes_whatever_a_handler_forgets(serve):
    assert serve(routes=WHOAMI, anonymous_read=True).post("/whoami").status_code == 401


def test_where_one_only_reads_an_administrator_does_not_write(serve):
    service = serve(routes=WHOAMI, jwt_secret=SECRET, read_only=True)
    admin = bearer(signed(claims(cdb={"admin": True})))
    refused = service.post("/whoami", headers=admin)
    assert refused.status_code == 403
    assert "reading only" in refused.json()["error"]["message"]
    assert service.get("/whoami", headers=admin).status_code == 200


def test_a_store_that_does_not_answer_is_no_reason_to_believe_a_token(serve, served_db):
    token, _ = tokens.create(served_db.journal, "mona", Rights(admin=True))
    service = serve(routes=WHOAMI)

    def gone():
        raise StoreUnavailable("gone")

    served_db.journal.head = gone
    assert service.post("/whoami", headers=bearer(token)).status_code == 502


def test_the_journal_names_the_machine_behind_the_proxy(serve, served_db):
    service = serve(client=PROXY, **PROXIED, rights={"mona": Rights(write=("cdb_rixx*",))})
    headers = {"Remote-User": "mona@SLAC", "X-Forwarded-For": "134.79.1.2"}
    url = "/ws-kerb/calib_ws/cdb_rixx45619/notes/"
    assert service.post(url, json={"any": "document"}, headers=headers).status_code == 200
    (event,) = served_db.journal.events()
    assert (event["actor"], event["host"]) == ("mona", "134.79.1.2")
