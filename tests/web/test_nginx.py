"""Behind a real nginx, with the configuration that docs/operate.md prints."""

import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import NamedTuple

import pytest

import cdb
from cdb import payload, tokens
from cdb.rights import Rights
from tests.serving import Server, serving

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "nginx-for-tests"
EPIX = "epix_000001"
TEXT = "0123456789" * 300_000
SIZE = 12_000_000


@pytest.fixture(scope="session")
def nginx() -> str:
    """The program; skips, with the reason, where it cannot be had."""
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Site:
    """A service behind nginx."""

    def __init__(self, server: Server, port: int, folder: Path, token: str, log: Path) -> None:
        self.server, self.port, self.folder = server, port, folder
        self.token, self.log = token, log

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        trusted = ssl.create_default_context(cafile=str(self.folder / "calib.pem"))
        connection = HTTPSConnection("localhost", self.port, timeout=60, context=trusted)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def printed(port: int, behind: int, folder: Path) -> str:
    """Return the configuration of the page, at other addresses and with other files."""
    text = (ROOT / "docs" / "operate.md").read_text()
    site, kerberos = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    configuration = site[: site.rindex("}")] + kerberos + "}"
    changes = {
        "127.0.0.1:8000": f"127.0.0.1:{behind}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/": f"{folder}/",
        "/srv/cdb/store/payloads/": f"{folder}/store/payloads/",
        # The module is not in every nginx; another one that authenticates says the user alike.
        "auth_gss on;": f'auth_basic "a realm"; auth_basic_user_file {folder}/users;',
    }
    for old, new in changes.items():
        assert old in configuration, old
        configuration = configuration.replace(old, new)
    return configuration


@pytest.fixture(scope="module")
def site(nginx: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service behind nginx, over TLS."""
    folder = tmp_path_factory.mktemp("nginx")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
         str(folder / "calib.key"), "-out", str(folder / "calib.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    with cdb.open((folder / "store").as_uri()) as db:
        db.add(TEXT, detector=EPIX, ctype="notes", experiment="xpp1")
        token = tokens.create(db.journal, "op", Rights(admin=True))[0]
    (folder / "serve.toml").write_text(
        'accel_redirect = "/payload-files/"\ntrusted_proxies = ["127.0.0.1"]\n'
        'trusted_user_header = "Remote-User"\nanonymous_read = true\n'
        '[rights."mona"]\nwrite = ["*"]\n'
    )
    (folder / "users").write_text(
        "".join(f"{user}:{{PLAIN}}ticket\n" for user in ("mona@SLAC.STANFORD.EDU", "eve"))
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving(folder, "--config", str(folder / "serve.toml")) as server:
        log = folder / "access.log"
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
            f"{'user root; ' if os.geteuid() == 0 else ''}events {{}}\n"
            f"http {{ access_log {log}; client_body_temp_path {folder}/body;\n"
            f"proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n"
            f"uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n"
            f"{printed(port, server.port, folder)}\n}}\n"
        )
        process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")])
        try:
            wait_for(port, process, folder)
            yield Site(server, port, folder, token, log)
        finally:
            process.terminate()
            process.wait(30)


def wait_for(port: int, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "error.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nginx does not listen")


def test_it_is_served_over_tls_with_our_headers_and_its(site: Site) -> None:
    answer = site.ask("GET", "/v1/info")
    assert answer.status == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_large_body_passes(site: Site) -> None:
    data = bytes(range(250)) * (SIZE // 250)
    path = f"/v1/databases/cdb_{EPIX}/payloads/{hashlib.sha256(data).hexdigest()}"
    answer = site.ask("PUT", path, data, **site.bearer())
    assert answer.status == 200
    assert json.loads(answer.body)["nbytes"] == SIZE


def test_the_body_of_a_get_is_passed_on(site: Site) -> None:
    path = f"/calib_ws/cdb_xpp1/{EPIX}"
    none, one = (json.dumps({"ctype": ctype}).encode() for ctype in ("gain", "notes"))
    assert json.loads(site.ask("GET", path, none).body) == []
    assert len(json.loads(site.ask("GET", path, one).body)) == 1


def test_a_payload_is_sent_by_nginx_from_its_file(site: Site) -> None:
    path = f"/v1/databases/cdb_xpp1/payloads/{payload.digest(TEXT.encode())}"
    direct = site.server.ask(path)
    assert direct.headers["X-Accel-Redirect"].startswith("/payload-files/")
    assert direct.body == b""
    answer = site.ask("GET", path)
    assert (answer.status, answer.body) == (200, TEXT.encode())
    assert answer.headers["etag"] == f'"{path[-64:]}"'
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["vary"] == "Authorization"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert "x-accel-redirect" not in answer.headers
    part = site.ask("GET", path, Range="bytes=10-14")
    assert (part.status, part.body) == (206, b"01234")
    assert part.headers["content-range"] == f"bytes 10-14/{len(TEXT)}"
    head = site.ask("HEAD", path)
    assert (head.status, head.headers["content-length"]) == (200, str(len(TEXT)))
    known = {"If-None-Match": answer.headers["etag"]}
    assert site.ask("GET", path, **known).status == 304


def test_files_of_payloads_are_nobodys_by_their_own_address(site: Site) -> None:
    digest = payload.digest(TEXT.encode())
    assert site.ask("GET", f"/payload-files/{digest[:2]}/{digest}").status == 404


def test_nobody_names_himself(site: Site) -> None:
    answer = site.ask("POST", "/v1/constants", b"{}", **{"Remote-User": "mona"})
    assert answer.status == 401
    # Whom a believed proxy names may: what nginx strikes out is what would count.
    assert site.server.ask("/v1/constants", method="POST", body=b"{}").status == 401
    said = json.loads(site.ask("GET", "/v1/info", **{"Remote-User": "mona"}).body)
    assert said["caller"]["name"] == ""


def ticket(user: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{user}:ticket'.encode()).decode()}"}


def test_whom_nginx_authenticated_writes_in_his_name(site: Site) -> None:
    path = f"/ws-kerb/calib_ws/cdb_xpp1/{EPIX}/"
    document = json.dumps({"a": "note"}).encode()
    mona = ticket("mona@SLAC.STANFORD.EDU")
    assert site.ask("POST", path, document).status == 401
    made = site.ask("POST", path, document, **mona)
    assert made.status == 200
    (found,) = json.loads(site.ask("GET", path, **mona, **{"Remote-User": "root"}).body)[-1:]
    assert found["_id"] == json.loads(made.body)["_id"]
    events = json.loads(site.ask("GET", "/v1/events?limit=1000", **site.bearer()).body)["events"]
    assert (events[-1]["actor"].partition("@")[0], events[-1]["action"]) == ("mona", "add")


def test_whom_nginx_authenticated_is_not_who_he_says(site: Site) -> None:
    path = f"/ws-kerb/calib_ws/cdb_xpp1/{EPIX}/"
    for name in ("Remote-User", "remote-user", "Remote_User"):
        refused = site.ask("POST", path, b"{}", **ticket("eve"), **{name: "mona"})
        assert (refused.status, b"eve may not write" in refused.body) == (403, True)


def test_slashes_arrive_as_they_were_sent(site: Site) -> None:
    for path in ("/calib_ws/cdb_xpp1/", f"/calib_ws/cdb_xpp1//{EPIX}"):
        assert site.ask("DELETE", path, **site.bearer()).status == 405
    assert site.ask("GET", f"/calib_ws//cdb_xpp1//{EPIX}").status == 200


def test_the_log_has_the_address_of_who_asks(site: Site) -> None:
    site.ask("POST", "/v1/nowhere", b"{}", **site.bearer(), **{"X-Forwarded-For": "9.9.9.9"})
    deadline, lines = time.monotonic() + 10, []
    while not lines and time.monotonic() < deadline:
        lines = [x for x in site.server.lines() if x.get("path") == "/v1/nowhere"]
    (line,) = lines
    # nginx runs on loopback, which is believed; before it stands who said to be 9.9.9.9.
    assert line["actor"] == "op"
    assert line["address"] == "9.9.9.9"


def test_a_feed_comes_without_delay(site: Site) -> None:
    trusted = ssl.create_default_context(cafile=str(site.folder / "calib.pem"))
    with (
        socket.create_connection(("localhost", site.port), timeout=20) as plain,
        trusted.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(
            b"GET /v1/events?after=1 HTTP/1.1\r\nHost: localhost\r\n"
            b"Accept: text/event-stream\r\n\r\n"
        )
        with connection.makefile("rb") as read:
            began = time.monotonic()
            while b": the journal" not in read.readline():
                assert time.monotonic() - began < 5
