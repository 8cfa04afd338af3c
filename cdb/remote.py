"""A database behind a service: the calls of `cdb.Database`, each one request."""

import base64
import functools
import inspect
import secrets
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from cdb import names
from cdb.actor import actor
from cdb.calibconst import Detector
from cdb.constant import Version
from cdb.database import Database
from cdb.errors import NotFound
from cdb.journal import Moment
from cdb.lookup import Question
from cdb.search import Candidate, Explanation
from cdb.stores.cache import Cache, default_cache
from cdb.stores.cached import CachedStore
from cdb.stores.rest import RestStore
from cdb.validity import parse_run, parse_time, seconds

if TYPE_CHECKING:
    from cdb.payload import Encoded

P = ParamSpec("P")
R = TypeVar("R")
Given = dict[str, Any]

# A payload up to this goes with its document.
INLINE = 2**20
PAGE = 1000


Method = Callable[["RemoteDatabase", Given], R]
Call = Callable[Concatenate["RemoteDatabase", P], R]


def like(call: Callable[Concatenate[Database, P], R]) -> Callable[[Method[R]], Call[P, R]]:
    """Give a method the signature and the docstring of a call of `Database`.

    The method gets what was given by name, defaults included; what is None is left out.
    """
    signature = inspect.signature(call)

    def decorate(method: Method[R]) -> Call[P, R]:
        def asked(self: "RemoteDatabase", /, *arguments: P.args, **named: P.kwargs) -> R:
            bound = signature.bind(self, *arguments, **named)
            bound.apply_defaults()
            given = {name: value for name, value in bound.arguments.items() if value is not None}
            del given["self"]
            return method(self, given)

        functools.update_wrapper(asked, call)
        return asked

    return decorate


def open_service(url: str) -> "RemoteDatabase":
    """Open the database of a service, its payloads kept where ``CDB_CACHE`` says; see `cdb.open`.

    Parameters
    ----------
    url : str
        ``https://host/``, or ``https://a/,https://b/`` of mirrors.
    """
    return RemoteDatabase(RestStore(url), default_cache())


class RemoteDatabase(Database):
    """Constants behind a service.

    Payloads are kept in a local folder; everything else is asked anew each time.

    Parameters
    ----------
    service : RestStore
        Where the service is, and who asks.
    cache : Cache or None
        Where payloads are kept; None keeps none.
    """

    def __init__(self, service: RestStore, cache: Cache | None = None) -> None:
        super().__init__(CachedStore(service, cache) if cache else service)
        self.service = service

    @property
    def head(self) -> int:
        """S, the number of the last event."""
        return int(self.info()["seq"])

    def info(self) -> dict[str, Any]:
        """Return what the service says of itself: server, seq, caller, limits."""
        return self.service.transport.get("/v1/info")

    # adding ------------------------------------------------------------------------------------

    @like(Database.deploy)
    def deploy(self, given: Given) -> Version:
        """See `Database.deploy`; a large payload is sent before its document."""
        encoded: Encoded = given.pop("encoded")
        progress = given.pop("progress", None)
        content = {**self._document(given), "payload": _payload(encoded)}
        key = given.get("key") or _new_key()
        if encoded.data is None or encoded.nbytes <= INLINE:
            made = self._post_constant(content, key)
            if progress and made.new and not given["dry_run"]:
                progress(encoded.nbytes)
            return made
        rehearsed = self._post_constant({**content, "dry_run": True}, _new_key())
        if given["dry_run"] or not rehearsed.new:
            return rehearsed
        # The service files it in the other database too; whether one may, it knows then.
        self.upload(rehearsed.database, encoded.data, sha256=encoded.sha256, progress=progress)
        return self._post_constant(content, key)

    def _document(self, given: Given) -> Given:
        """Return what is to be said besides the payload: who writes is said as seen from here."""
        writer = actor()
        named = {name: value for name, value in given.items() if name not in ("fields", "key")}
        fields = {k: v for k, v in given.get("fields", {}).items() if v is not None}
        extpars = fields.get("extpars", {})
        if isinstance(extpars, Mapping):
            fields["extpars"] = {"command": " ".join(sys.argv), **extpars}
        return _plain({**fields, **named, "host": writer.host, "cwd": writer.folder})

    @like(Database.upload)
    def upload(self, given: Given) -> None:
        """See `Database.upload`."""
        self.service.send(**given)

    @like(Database.payload)
    def payload(self, given: Given) -> bytes | memoryview:
        """See `Database.payload`."""
        database, sha256 = given["database"], given["sha256"]
        return self.store.read(database, sha256, sha256=sha256)

    def _post_constant(self, content: Given, key: str) -> Version:
        answer = self._post("/v1/constants", content, key)
        return _version(answer["constant"], new=bool(answer["new"]))

    # looking up --------------------------------------------------------------------------------

    @like(Database.short_name)
    def short_name(self, given: Given) -> str:
        """See `Database.short_name`."""
        names.check_detector(given["detector"])
        if names.is_short_name(given["detector"]):
            return str(given["detector"])
        return str(self._get("/v1/resolve", {**given, "fields": "ctype"})["detector"])

    @like(Database.version)
    def version(self, given: Given) -> Version:
        """See `Database.version`."""
        names.check_ctype(given["ctype"])
        answer = self._get("/v1/resolve", given)
        found = answer["constants"].get(given["ctype"])
        if found is None:
            raise NotFound(
                f"no {given['ctype']} of {answer['detector']} in {_searched(answer)}; "
                "`cdb ls` shows what there is"
            )
        return _version(found)

    @like(Database.version_by_id)
    def version_by_id(self, given: Given) -> Version:
        """See `Database.version_by_id`."""
        path = f"/v1/constants/{quote(str(given.pop('id')), safe='')}"
        return _version(self._get(path, given)["constant"])

    @like(Database.explain)
    def explain(self, given: Given) -> Explanation:
        """See `Database.explain`."""
        answer = self._get("/v1/explain", given)
        candidates = tuple(
            Candidate(_version(each["constant"]), each["reason"]) for each in answer["candidates"]
        )
        winner = answer["winner"]
        return Explanation(
            winner and _version(winner), candidates, answer["seq"], answer.get("note") or ""
        )

    @like(Database.detector)
    def detector(self, given: Given) -> Detector:
        """See `Database.detector`."""
        name = given.pop("name")
        run, time = given.get("run"), given.get("time")
        question = Question(
            None if run is None else parse_run(run),
            None if time is None else seconds(parse_time(time)),
            given["rule"],
            given.get("experiment"),
        )
        answer = self._get("/v1/resolve", {"detector": name, **given})
        versions = {ctype: _version(found) for ctype, found in answer["constants"].items()}
        return self._handed_out(
            answer["detector"],
            name,
            given.get("experiment"),
            given.get("dbsuffix"),
            question,
            answer["seq"],
            versions,
            _searched(answer),
        )

    # listing -----------------------------------------------------------------------------------

    @like(Database.find)
    def find(self, given: Given) -> list[Version]:
        """See `Database.find`."""
        limit = given.pop("limit")
        found: list[Version] = []
        after = None
        while True:
            wanted = min(PAGE, limit - len(found)) if limit > 0 else PAGE
            asked = {**given, "limit": limit if limit < 0 else wanted, "after": after}
            answer = self._get("/v1/constants", asked)
            found += map(_version, answer["constants"])
            after = answer.get("next")
            if after is None or (limit and len(found) >= limit):
                return found
            # The pages are of one state.
            given["as_of"] = answer["seq"]

    @like(Database.history)
    def history(self, given: Given) -> list[Version]:
        """See `Database.history`."""
        return [_version(each) for each in self._get("/v1/history", given)["constants"]]

    @like(Database.detectors)
    def detectors(self, given: Given) -> list[dict[str, Any]]:
        """See `Database.detectors`."""
        return list(self._get("/v1/detectors", given)["detectors"])

    @like(Database.experiments)
    def experiments(self, given: Given) -> list[dict[str, Any]]:
        """See `Database.experiments`."""
        return list(self._get("/v1/experiments", given)["experiments"])

    # retiring and mending ----------------------------------------------------------------------

    @like(Database.retire)
    def retire(self, given: Given) -> Version:
        """See `Database.retire`."""
        return self._change("retire", given)

    @like(Database.restore)
    def restore(self, given: Given) -> Version:
        """See `Database.restore`."""
        return self._change("restore", given)

    @like(Database.amend)
    def amend(self, given: Given) -> Version:
        """See `Database.amend`."""
        return self._change("amend", given)

    def _change(self, what: str, given: Given) -> Version:
        version_id = quote(str(given.pop("id")), safe="")
        key = given.pop("key", None) or _new_key()
        answer = self._post(f"/v1/constants/{version_id}/{what}", _plain(given), key)
        return _version(answer["constant"])

    # requests ----------------------------------------------------------------------------------

    def _get(self, path: str, given: Given) -> dict[str, Any]:
        return self.service.transport.get(path, _plain(given))

    def _post(self, path: str, content: Given, key: str) -> dict[str, Any]:
        return self.service.transport.post(path, content, key=key)


def _new_key() -> str:
    return secrets.token_hex(16)


def _payload(encoded: "Encoded") -> Given:
    """Return what a request says of a payload; a small one goes with it."""
    said: Given = {
        "fields": encoded.fields,
        "sha256": encoded.sha256,
        "nbytes": encoded.nbytes,
    }
    if encoded.data is not None and encoded.nbytes <= INLINE:
        said["base64"] = base64.b64encode(encoded.data).decode()
    return said


def _plain(given: Mapping[str, Any]) -> Given:
    """Return arguments as JSON and queries can say them."""
    return {name: _said(value) for name, value in given.items()}


def _said(value: Any) -> Any:
    if isinstance(value, datetime):
        return parse_time(value).isoformat()
    if isinstance(value, Moment):
        return value.seq
    return value


def _version(answer: Mapping[str, Any], *, new: bool = False) -> Version:
    """Return the version that a service describes."""
    meta = dict(answer)
    meta.pop("state", None)
    if meta.get("seq", 0) is None:
        del meta["seq"]
    return Version(
        str(meta.pop("id")),
        meta.pop("database"),
        meta.pop("collection"),
        meta,
        new=new,
        note=meta.pop("note", ""),
    )


def _searched(answer: Mapping[str, Any]) -> str:
    searched = answer["searched"]
    return searched if isinstance(searched, str) else ", ".join(searched)
