"""Settings: file, environment, command line; every fault is one sentence; no secret is shown."""

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cdb.errors import BadSettings
from cdb.rights import Rights
from cdb.web import settings
from cdb.web.settings import NAMES, Settings, check, load
from tests.web.conftest import SECRET

URL = {"url": "file:///store"}


@pytest.fixture
def file(tmp_path):
    """Write a file of settings."""

    def written(text: str) -> Path:
        path = tmp_path / "serve.toml"
        path.write_text(text)
        return path

    return written


def faults(text="", environment=None, file=None, **given):
    return load(file, environment or {}, URL | given)[1]


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(file):
    path = file('url = "file:///a"\nport = 1\nworkers = 3\nhost = "::1"')
    found, wrong = load(path, {"CDB_PORT": "2", "CDB_WORKERS": "4"}, {"port": 5, "host": None})
    assert (found.url, found.port, found.workers, found.host) == ("file:///a", 5, 4, "::1")
    assert wrong == []


def test_the_store_is_where_other_commands_look_too(monkeypatch):
    monkeypatch.setenv("CDB_URL", "file:///theirs")
    assert load(None, {"CDB_URL": "file:///theirs"}, {})[0].url == "file:///theirs"


def test_a_file_says_everything(file, tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    path = file(
        f"""
        anonymous_read = true
        jwt_secret_file = "{tmp_path / "secret"}"
        trusted_user_header = "Remote-User"
        trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]
        [rights.mona]
        write = ["cdb_rixx*"]
        [rights."*"]
        read = ["*"]
        """
    )
    found, wrong = load(path, {}, URL)
    assert wrong == []
    assert found.jwt_secret == SECRET
    assert found.rights == {"mona": Rights(write=("cdb_rixx*",)), "*": Rights(read=("*",))}
    assert found.trusted_proxies == ("127.0.0.1", "10.0.0.0/8")
    assert (found.checks_jwt, found.trusts_proxies) == (True, True)


def test_the_environment_holds_texts():
    environment = {"CDB_ANONYMOUS_READ": "yes", "CDB_READ_ONLY": "0", "CDB_RATE_LIMIT": "50",
                   "CDB_TRUSTED_PROXIES": "127.0.0.1, ::1", "CDB_JWT_SECRET": SECRET}  # fmt: skip
    found, wrong = load(None, environment, URL)
    assert wrong == []
    assert (found.anonymous_read, found.read_only, found.rate_limit) == (True, False, 50)
    assert found.trusted_proxies == ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = 70000", "port is 70000; it can be 0 to 65535"),
        ("port = true", "port is True in the file; write a whole number"),
        ('port = "80"\nhost = 7', "host is 7 in the file; write a text"),
        ("anonymous_read = 1", "anonymous_read is 1 in the file; write true or false"),
        ("cors_origins = [1]", "write a list of texts"),
        ("anonymous_raed = true", "did you mean anonymous_read?"),
        ("[limits]\nbody = 1", "which is no setting"),
        ("= 7", "is not TOML"),
        ('log_level = "LOUD"', "there are DEBUG, INFO"),
        ('jwt_secret = "x"', "a secret stands in a file of its own"),
        ('jwt_secret_file = "/none"', "/none cannot be read"),
        ('trusted_user_header = "Remote-User"', "name the proxies"),
        ('trusted_user_header = "A B"\ntrusted_proxies = ["::1"]', "header's name"),
        ('trusted_user_header = "Authorization"\ntrusted_proxies = ["::1"]', "cannot be"),
        ('trusted_proxies = ["proxy.example.org"]', "write addresses or networks"),
        ('trusted_proxies = ["10.0.0.1/8"]', "write addresses or networks"),
        ('rights = ["mona"]', "write tables"),
        ('[rights.mona]\nwrite = ["rixx*"]', "write cdb_rixx*"),
        ('[rights.mona]\nwrites = ["*"]', "there are read, write and admin"),
        ('accel_redirect = "files"', "internal location"),
        ('cors_origins = ["elog.example.org"]', "write https://elog.example.org, without a path"),
        ('cors_origins = ["https://a/"]', "without a path"),
        ('cors_origins = ["*", "https://a"]', "either all or some"),
    ],
)
def test_a_fault_is_a_sentence(file, text, said):
    wrong = faults(file=file(text))
    assert len(wrong) == 1
    assert said in wrong[0]


def test_a_file_that_is_not_there_is_a_fault():
    assert "No such file" in faults(file=Path("/none.toml"))[0]


def test_all_faults_are_told_at_once():
    wrong = faults(environment={"CDB_PORT": "x", "CDB_WORKERS": "0"})
    assert len(wrong) == 2
    with pytest.raises(BadSettings, match="port is 'x'.*; workers is 0"):
        check(Settings(), wrong)


def test_a_store_in_memory_is_in_one_process():
    assert "one process" in faults(url="memory://", workers=2)[0]
    assert faults(url="memory://", workers=1) == []


# Keys ---------------------------------------------------------------------------------------------


def test_a_secret_is_long():
    said = faults(environment={"CDB_JWT_SECRET": "short-secret"})
    assert len(said) == 1
    assert "12 bytes; at least 32" in said[0]
    assert "short-secret" not in said[0]


def pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def private_pem(key):
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


ISSUED = {"jwt_issuer": "https://idp", "jwt_audience": "cdb"}
P256 = ec.generate_private_key(ec.SECP256R1())


def test_a_public_key_wants_issuer_and_audience(tmp_path):
    (tmp_path / "key").write_bytes(pem(P256))
    wrong = faults(jwt_public_key_file=str(tmp_path / "key"))
    assert [text.split(" ")[0] for text in wrong] == ["jwt_issuer", "jwt_audience"]
    assert faults(jwt_public_key_file=str(tmp_path / "key"), **ISSUED) == []


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (private_pem(P256), "keep that where tokens are made"),
        (b"no key", "no public key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "2048 bits"),
    ],
)
def test_a_key_of_no_use_is_a_fault(tmp_path, key, said):
    (tmp_path / "key").write_bytes(key)
    assert said in faults(jwt_public_key_file=str(tmp_path / "key"), **ISSUED)[0]


def test_there_is_one_kind_of_key(tmp_path):
    (tmp_path / "key").write_bytes(pem(P256))
    wrong = faults(
        environment={"CDB_JWT_SECRET": SECRET}, jwt_public_key_file=str(tmp_path / "key"), **ISSUED
    )
    assert "CDB_JWT_SECRET and jwt_public_key_file are both given" in wrong[0]


# Secrets ------------------------------------------------------------------------------------------

SECRETIVE = Settings(
    url="mongodb://w:hunter2@db1/?replicaSet=cdb",
    jwt_secret=SECRET,
    rights={"mona": Rights(write=("cdb_rixx*",))},
    trusted_proxies=("::1",),
)


def test_no_secret_is_shown():
    for shown in (str(SECRETIVE.shown()), repr(SECRETIVE).replace(SECRETIVE.url, "")):
        assert SECRET not in shown
        assert "hunter2" not in shown
    assert SECRETIVE.shown()["url"] == "mongodb://w:***@db1/?replicaSet=cdb"


def test_workers_are_handed_the_same_settings(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(SECRETIVE.as_json())
    assert SECRETIVE.jwt_secret not in path.read_text()
    given = {settings.HANDED: str(path), settings.HANDED_SECRETS: SECRETIVE.secrets()}
    assert settings.of_environment(given) == SECRETIVE


def test_rules_that_make_no_sense_are_told_before_it_serves(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text("[lab.pedestals]\nlow = { value = 0, severity = 'warn' }")
    assert faults(gates=str(path)) == []
    assert faults(environment={"CDB_GATES": "off"}) == []
    path.write_text("[lab.pedestals]\nlow = { value = 'x' }")
    (fault,) = faults(gates=str(path))
    assert fault.startswith("lab.pedestals.low.value in the rules of ")
    (fault,) = faults(gates="/nowhere/lab.toml")
    assert fault == "the file of rules /nowhere/lab.toml cannot be read: No such file or directory"


def test_the_page_names_every_setting_with_its_default():
    page = (Path(__file__).parents[2] / "docs" / "operate.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    told = {name: row.split("|")[2].strip() for row in rows
            for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}  # fmt: skip
    made = Settings()
    for name in set(NAMES) - {"rights", "jwt_secret", "url", "host", "port", "rate_limit",
                              "rate_burst"}:  # fmt: skip
        default = getattr(made, name)
        assert told[name] == (str(default).lower() if isinstance(default, bool) else
                              str(default) if default else ""), name  # fmt: skip
    assert {"url", "host", "port", "rate_limit", "rate_burst"} <= told.keys()
    assert '[rights."NAME"]' in page
    assert "CDB_JWT_SECRET" in page
