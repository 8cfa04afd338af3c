"""Every answer carries the security headers; pages of other sites read nothing by default."""

import pytest
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

import cdb as package
from cdb.errors import NotFound
from cdb.stores import open_store
from cdb.stores.memory import MemoryStore
from cdb.web.app import make_app
from cdb.web.headers import SECURITY, accelerated
from cdb.web.settings import Settings


async def _page(request):
    return Response("x", headers={"Cache-Control": "max-age=1", "Content-Security-Policy": "own"})


async def _missing(request):
    raise NotFound("no such thing")


ROUTES = [Route("/page", _page), Route("/missing", _missing)]
ORIGIN = {"Origin": "https://elog.example.org"}


@pytest.mark.parametrize("path", ["/page", "/missing", "/nowhere"])
def test_every_answer_has_them(serve, path):
    answer = serve(routes=ROUTES).get(path)
    assert {name.decode() for name, _ in SECURITY} <= {*answer.headers}
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_refusals_have_them_too(serve):
    answer = serve(routes=ROUTES).post("/page")
    assert answer.status_code == 401
    assert answer.headers["x-frame-options"] == "DENY"


async def _broken(request):
    raise RuntimeError("a fault of ours")


def test_a_fault_of_ours_has_them_too(serve):
    service = serve(routes=[Route("/broken", _broken)])
    service._transport.raise_server_exceptions = False
    answer = service.get("/broken")
    assert answer.status_code == 500
    for name, _ in SECURITY:
        assert len(answer.headers.get_list(name.decode())) == 1


def test_what_an_answer_says_itself_stands(serve):
    answer = serve(routes=ROUTES).get("/page")
    assert answer.headers.get_list("cache-control") == ["max-age=1"]
    assert answer.headers.get_list("content-security-policy") == ["own"]


def test_pages_of_other_sites_read_nothing(serve):
    service = serve(routes=ROUTES)
    asked = {"Access-Control-Request-Method": "GET"} | ORIGIN
    for answer in (service.get("/page", headers=ORIGIN), service.options("/page", headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_pages_of_a_named_site_read(serve):
    service = serve(routes=ROUTES, cors_origins=(ORIGIN["Origin"],))
    answer = service.get("/page", headers=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    other = service.get("/page", headers={"Origin": "https://evil.example.org"})
    assert "access-control-allow-origin" not in other.headers


def test_nginx_is_told_where_a_payloads_file_is(tmp_path):
    settings = Settings(accel_redirect="/payload-files/")
    with open_store((tmp_path / "store").as_uri()) as store:
        sha256 = 64 * "a"
        assert accelerated(Settings(), store, sha256) == {}
        assert accelerated(settings, MemoryStore(), sha256) == {}
        store.write("cdb_x", b"data", sha256=sha256, head=0)
        location = accelerated(settings, store, sha256)["X-Accel-Redirect"]
    file = tmp_path / "store" / "payloads" / location.removeprefix("/payload-files/")
    assert file.read_bytes() == b"data"


def test_a_payload_is_left_to_nginx_once_its_reader_may_read_it(tmp_path):
    with package.open((tmp_path / "store").as_uri()) as db:
        sha256 = db.add("a text", detector="epix_000001", ctype="notes").meta["sha256"]
    url = f"/v1/databases/cdb_epix_000001/payloads/{sha256}"
    more = {"url": (tmp_path / "store").as_uri(), "accel_redirect": "/payload-files/"}
    with TestClient(make_app(Settings(anonymous_read=True, **more))) as service:
        answer = service.get(url)
        assert answer.headers["x-accel-redirect"] == f"/payload-files/{sha256[:2]}/{sha256}"
        assert answer.content == b""
        known = service.get(url, headers={"If-None-Match": answer.headers["etag"]})
        assert known.status_code == 304
        assert service.get(url.replace(sha256, 64 * "0")).status_code == 404
    with TestClient(make_app(Settings(**more))) as service:
        refused = service.get(url)
    assert refused.status_code == 401
    assert "x-accel-redirect" not in refused.headers
