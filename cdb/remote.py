"""A database behind a service: the calls of `cdb.Database`, each one request."""

import base64
import functools
import inspect
import json
import logging
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from cdb import deployments, names
from cdb.actor import actor
from cdb.affected import Affected
from cdb.blobs import Blobs
from cdb.constant import Version, check_given
from cdb.database import Database, check_together
from cdb.detector import Detector
from cdb.errors import BadQuestion, NotFound
from cdb.lineage import Relative, relative_of
from cdb.lookup import Question
from cdb.remote_journal import RemoteJournal
from cdb.remote_tags import RemoteTags, said_state
from cdb.search import Candidate, Explanation
from cdb.stores.cache import Cache, default_cache
from cdb.stores.cached import CachedStore
from cdb.stores.query import Sort
from cdb.stores.rest import RestStore
from cdb.validity import parse_run, parse_time, seconds

if TYPE_CHECKING:
    from cdb.gates import Gates
    from cdb.payload import Encoded

logger = logging.getLogger(__name__)

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
        store = CachedStore(service, cache) if cache else service
        super().__init__(store)
        self.service = service
        self.journal = RemoteJournal(store, service.transport)
        self._blobs = Blobs(self.journal)
        self.tags = RemoteTags(service, _writer)

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
        database = rehearsed.database
        is_detectors = names.names_a_detector(database.removeprefix(names.PREFIX))
        if is_detectors and not names.is_short_name(given["detector"]):
            # Bytes for a number that is not given yet would take it.
            short = self._registered(given["detector"])
            database = names.databases_of(short, None, given.get("dbsuffix"))[0]
        # The service files it in the other database too; whether one may, it knows then.
        self.upload(database, encoded.data, sha256=encoded.sha256, progress=progress)
        return self._post_constant(content, key)

    @like(Database.deploy_together)
    def deploy_together(self, given: Given) -> list[Version]:
        """See `Database.deploy_together`; all are rehearsed before the first is added."""
        several, progress = given["several"], given.get("progress")
        check_together(several)
        made = [self.deploy(**each, dry_run=True) for each in several]
        for version in made if len(several) > 1 else ():
            found = version.findings if version.state == "quarantined" else []
            deployments.check_seen_together(version.ctype, version.detector, found)
        if given["dry_run"]:
            return made
        return [self.deploy(**each, progress=progress) for each in several]

    def _registered(self, longname: str) -> str:
        """Return the short name of a long one, which gets one if it is new."""
        answer = self._post("/v1/detectors", {"detector": longname}, _new_key())
        return str(answer["detector"])

    def _document(self, given: Given) -> Given:
        """Return what is to be said besides the payload: who writes is said as seen from here."""
        named = {name: value for name, value in given.items() if name not in ("fields", "key")}
        fields = {k: v for k, v in given.get("fields", {}).items() if v is not None}
        check_given(fields)
        extpars = fields.get("extpars", {})
        if isinstance(extpars, Mapping):
            fields["extpars"] = {"command": " ".join(sys.argv), **extpars}
        return _plain({**fields, **named, **_writer()})

    @like(Database.upload)
    def upload(self, given: Given) -> None:
        """See `Database.upload`."""
        self.service.send(**given)

    @like(Database.foreign_payload)
    def foreign_payload(self, given: Given) -> bytes | memoryview:
        """See `Database.foreign_payload`."""
        return self.store.read(given["database"], given["blob_id"])

    @like(Database.payload)
    def payload(self, given: Given) -> bytes | memoryview:
        """See `Database.payload`."""
        database, sha256 = given["database"], given["sha256"]
        return self.store.read(database, sha256, sha256=sha256)

    def _post_constant(self, content: Given, key: str) -> Version:
        answer = self._post("/v1/constants", content, key)
        return _version(answer["constant"], new=bool(answer["new"]))

    # gates -------------------------------------------------------------------------------------

    @property
    def gates(self) -> "Gates":
        """The rules of the service, by which `check` looks at data here; asked for once."""
        from cdb import gates

        if not isinstance(self._gates, gates.Gates):
            answer = self.service.transport.get("/v1/gates")
            self._gates = gates.of_layers(answer["layers"], str(answer["source"]))
        return self._gates

    @like(Database.quarantined)
    def quarantined(self, given: Given) -> list[Version]:
        """See `Database.quarantined`."""
        may_read = given.pop("may_read")
        answer = self.service.transport.get("/v1/quarantine", _plain(given))
        found = map(_version, answer["constants"])
        return [version for version in found if may_read(version.database)]

    # looking up --------------------------------------------------------------------------------

    @like(Database.short_name)
    def short_name(self, given: Given) -> str:
        """See `Database.short_name`."""
        given["detector"] = names.check_detector(given["detector"])
        if names.is_short_name(given["detector"]):
            return str(given["detector"])
        return str(self._get("/v1/resolve", {**given, "fields": "ctype"})["detector"])

    @like(Database.version)
    def version(self, given: Given) -> Version:
        """See `Database.version`."""
        answer = self._resolved(given)
        found = answer["constants"].get(given["ctype"])
        if found is None:
            raise NotFound(answer["missing"][given["ctype"]])
        return _version(found)

    def _resolved(self, given: Given) -> dict[str, Any]:
        answer = self._get("/v1/resolve", given)
        for warning in answer["warnings"]:
            logger.warning("%s", warning)
        return answer

    @like(Database.version_by_id)
    def version_by_id(self, given: Given) -> Version:
        """See `Database.version_by_id`."""
        path = f"/v1/constants/{quote(str(given.pop('id')), safe='')}"
        return _version(self._get(path, given)["constant"])

    @like(Database.lineage)
    def lineage(self, given: Given) -> Relative:
        """See `Database.lineage`; what the caller may not read is hidden by the service."""
        path = f"/v1/constants/{quote(str(given.pop('id')), safe='')}/lineage"
        up, down = given.pop("up"), given.pop("down")
        del given["may_read"]
        way = {(True, True): "both", (True, False): "up", (False, True): "down"}
        given["direction"] = way.get((bool(up), bool(down)), "none")
        return relative_of(self._get(path, given)["lineage"])

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
        names.check_detector(name)
        run, time = given.get("run"), given.get("time")
        question = Question(
            None if run is None else parse_run(run),
            None if time is None else seconds(parse_time(time)),
            given["rule"],
            given.get("experiment"),
        )
        answer = self._resolved({"detector": name, **given})
        versions = {ctype: _version(found) for ctype, found in answer["constants"].items()}
        tag, seq = _tag_of(answer), answer["seq"]
        asked = bool(given.keys() & {"as_of", "tag"})

        def ask(run: int) -> Detector:
            if tag is not None:
                return self.detector(name, **{**given, "run": run, "tag": str(tag)})
            # The present is asked first: as of an event some of other programs' would be missing.
            present = None if asked else self.detector(name, **{**given, "run": run})
            if present is not None and present.seq == seq:
                return present
            return self.detector(name, **{**given, "run": run, "as_of": seq})

        return self._handed_out(
            answer["detector"],
            name,
            given.get("experiment"),
            given.get("dbsuffix"),
            question,
            seq,
            tag,
            versions,
            _searched(answer),
            answer["server"],
            asked=asked,
            ask=ask,
        )

    # listing -----------------------------------------------------------------------------------

    @like(Database.find)
    def find(self, given: Given) -> list[Version]:
        """See `Database.find`."""
        limit = given.pop("limit")
        if "after" in given:
            raise BadQuestion("a service says itself where its pages begin; leave `after` out")
        if limit < 0:
            raise BadQuestion(f"limit is {limit}; give 0 (for all) or more")
        found: list[Version] = []
        while True:
            wanted = min(PAGE, limit - len(found)) if limit else PAGE
            answer = self._get("/v1/constants", {**given, "limit": wanted})
            found += map(_version, answer["constants"])
            if answer["next"] is None or (limit and len(found) >= limit):
                return found
            # It holds the state, which is the same for all pages.
            given["after"] = answer["next"]
            given.pop("as_of", None)
            given.pop("tag", None)

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

    @like(Database.databases)
    def databases(self, given: Given) -> list[dict[str, Any]]:
        """See `Database.databases`."""
        may_read = given.pop("may_read")
        found = self._get("/v1/databases", given)["databases"]
        return [each for each in found if may_read(each["database"])]

    # comparing ---------------------------------------------------------------------------------

    @like(Database.affected)
    def affected(self, given: Given) -> Iterator[Affected]:
        """See `Database.affected`."""
        return self.tags.compare(**given)

    # retiring and mending ----------------------------------------------------------------------

    @like(Database.retire)
    def retire(self, given: Given) -> Version:
        """See `Database.retire`."""
        return self._change("retire", given)

    @like(Database.retire_all)
    def retire_all(self, given: Given) -> list[Version]:
        """See `Database.retire_all`."""
        if not given["ids"]:
            return []
        key = given.pop("key", None) or _new_key()
        given["ids"] = [str(each) for each in given["ids"]]
        return [*map(_version, self._post("/v1/retire", given, key)["constants"])]

    @like(Database.restore)
    def restore(self, given: Given) -> Version:
        """See `Database.restore`."""
        return self._change("restore", given)

    @like(Database.approve)
    def approve(self, given: Given) -> Version:
        """See `Database.approve`."""
        return self._change("approve", given)

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
        states = given.keys() & {"as_of", "tag", "after"}
        default = {} if states or self.tag is None else {"tag": self.tag}
        return self.service.transport.get(path, _plain({**given, **default}))

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


_CHECKS: dict[str, Callable[[Any], object]] = {
    "detector": names.check_detector,
    "name": names.check_detector,
    "ctype": names.check_ctype,
    "experiment": names.check_experiment,
    "dbsuffix": names.check_dbsuffix,
}


def _plain(given: Mapping[str, Any]) -> Given:
    """Return arguments, checked, as JSON and queries can say them."""
    for name, check in _CHECKS.items():
        if name in given:
            check(given[name])
    return {name: _SAID.get(name, _said)(value) for name, value in given.items()}


def _said(value: Any) -> Any:
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else value


def _time(value: Any) -> str:
    return parse_time(value).isoformat()


def _sort(value: Sort) -> str | None:
    return ",".join(f"{'-' if way < 0 else ''}{name}" for name, way in value) or None


_SAID: dict[str, Callable[[Any], Any]] = {
    "run": parse_run, "time": _time, "as_of": said_state, "sort": _sort, "query": json.dumps,
}  # fmt: skip


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


def _tag_of(answer: Mapping[str, Any]) -> names.TagName | None:
    """Return the tag that a service answers by."""
    tag = answer.get("tag")
    return None if tag is None else names.TagName(tag["name"], int(tag["id"][16:], 16))


def _writer() -> Given:
    writer = actor()
    return {"host": writer.host, "cwd": writer.folder}


def _searched(answer: Mapping[str, Any]) -> str:
    searched = answer["searched"]
    return searched if isinstance(searched, str) else ", ".join(searched)
