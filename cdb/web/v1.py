"""Our own API: every call of `cdb.Database`, over HTTP; see docs/service.md."""

from functools import cache
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cdb.lineage import MAX_DEPTH
from cdb.lookup import RULES
from cdb.staleness import parse_age
from cdb.web import (
    comparing,
    feed,
    metrics,
    openapi,
    payloads,
    reading,
    requests,
    resolving,
    tagging,
    writing,
)
from cdb.web.access import Caller
from cdb.web.endpoints import Body, Endpoint
from cdb.web.requests import Parameter, number

# Parameters ---------------------------------------------------------------------------------------

_TEXT = {"type": "string", "minLength": 1}
_NAME = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,34}$"}
_DETECTOR = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9]{0,15}_[0-9A-Za-z_.-]{1,100}$"}
_TAG = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9._-]{0,63}$"}
_CITED = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9._-]{0,63}(#[0-9]+)?(@[0-9a-f]{8,64})?$"}
_TIME = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 1}]}
_STATE = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "format": "date-time"}]}


def _whole(name: str, says: str, lowest: int, highest: int, example: int) -> Parameter:
    schema = {"type": "integer", "minimum": lowest, "maximum": highest}
    return Parameter(name, says, number(name, lowest, highest), schema, example)


DETECTOR = Parameter("detector", "Short or long name.", schema=_DETECTOR, example="epix10ka_000001")
THE_DETECTOR = Parameter(
    "detector", "Short or long name.", schema=_DETECTOR, example="epix10ka_000001", required=True
)
CTYPE = Parameter("ctype", "Type of the constant.", schema=_NAME, example="pedestals")
THE_CTYPE = Parameter(
    "ctype", "Type of the constant.", schema=_NAME, example="pedestals", required=True
)
CTYPES = Parameter(
    "ctype",
    "Only this type; may be repeated.",
    schema={"type": "array", "items": _NAME},
    repeated=True,
)
EXPERIMENT = Parameter("experiment", "Name of the experiment.", schema=_NAME, example="rixx45619")
DBSUFFIX = Parameter("dbsuffix", "Of a private database.", schema=_NAME, example="mytest")
RUN = _whole("run", "Run number.", 0, 2**53 - 1, 7)
TIME = Parameter(
    "time",
    "Time with its zone, or seconds since 1970.",
    schema=_TIME,
    example="2021-10-01T00:00:00Z",
)
RULE = Parameter(
    "rule",
    "How the version is chosen.",
    schema={"type": "string", "enum": list(RULES), "default": "range"},
    example="range",
)
AS_OF = Parameter(
    "as_of",
    "The state after this event, or at this time, instead of now.",
    requests.as_of,
    _STATE,
    42,
)
TAG = Parameter(
    "tag",
    "The state that this tag names, with what it pins, instead of now.",
    schema=_CITED,
    example="summer26",
)
LABEL = Parameter("version", "Only versions with this label.", schema=_TEXT, example="V2021-10-08")
QUERY = Parameter(
    "query",
    "What the fields must fulfil: the common subset of MongoDB's language, as JSON.",
    requests.query,
    _TEXT,
    '{"run":{"$gte":7}}',
)
SORT = Parameter("sort", "Fields to sort by: field,-field.", requests.sort, _TEXT, "ctype,-run")
LIMIT = _whole("limit", "At most so many.", 1, 1000, 100)
AFTER_PAGE = Parameter("after", "What `next` of the page before said.", schema=_TEXT)
FIELDS = Parameter("fields", "Only these fields.", requests.fields, _TEXT, "run,sha256")
AFTER = _whole("after", "The events after this one.", 0, 2**53 - 1, 41)
WAIT = _whole("wait", "Wait so many seconds for a new one, if there is none.", 0, 60, 0)

_SIDE = {"anyOf": [*_STATE["anyOf"], _CITED]}
BEFORE = Parameter(
    "a", "Before: event, time or tag.", requests.state_or_tag, _SIDE, "summer26", required=True
)
AFTERWARDS = Parameter(
    "b", "After: event, time or tag.", requests.state_or_tag, _SIDE, 42, required=True
)
_ID = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
ONE = Parameter(
    "a", "Id of a version.", requests.version_id, _ID, "6156c0000000070123456789", required=True
)
OTHER = Parameter(
    "b", "Id of another.", requests.version_id, _ID, "6156c0000000080123456789", required=True
)
SINCE = Parameter(
    "since",
    "Only what is valid from this time or later.",
    schema=_TIME,
    example="2021-10-01T00:00:00Z",
)
PANEL = _whole("panel", "Only this panel, from 0.", 0, 2**31 - 1, 3)
GAIN = Parameter("gain", "Only this gain range.", schema=_TEXT, example="g0")
ALL = Parameter(
    "all",
    "Also versions that were retired or replaced.",
    requests.yes("all"),
    {"type": "boolean", "default": False},
    True,
)
LAST = _whole("last", "Versions before that make the trend; 0 reads no data.", 0, 1000, 5)
MAX_AGE = Parameter(
    "max_age",
    "Of dark constants: 90min, 36h, 7d, 2w.",
    parse_age,
    {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})? ?(min|h|d|w)$"},
    "36h",
)


def _share(name: str, says: str, example: float) -> Parameter:
    schema = {"type": "number", "minimum": 0, "exclusiveMaximum": 10**6}
    return Parameter(name, says, requests.share(name), schema, example)


MAX_BAD = _share("max_bad", "Of bad values: 0.05 is 5 %.", 0.05)
MAX_BAD_CHANGE = _share("max_bad_change", "Growth of that share.", 0.01)
MAX_MEAN_CHANGE = _share("max_mean_change", "Change of the mean: 0.1 is 10 %.", 0.1)
BEGIN = _whole("begin", "Look at this event and later ones only.", 1, 2**53 - 1, 1)

DIRECTION = Parameter(
    "direction",
    "What it was made from, what was made from it, both, or neither.",
    requests.one_of("direction", "up", "down", "both", "none"),
    {"type": "string", "enum": ["up", "down", "both", "none"], "default": "both"},
    "down",
)
DEPTH = _whole("depth", "At most so many generations either way.", 0, MAX_DEPTH, 3)

WHERE = (EXPERIMENT, DBSUFFIX)
WHEN = (RUN, TIME, RULE, AS_OF, TAG)

KEY = Parameter(
    "Idempotency-Key",
    "A request with the same key is done once: it becomes the nonce of the event.",
    schema={"type": "string", "pattern": "^[A-Za-z0-9_.:-]{8,128}$"},
    example="3f0e4d1c9b7a4e51",
)
RANGE = Parameter("Range", "bytes=first-last", example="bytes=0-1023")
IF_NONE_MATCH = Parameter("If-None-Match", "An ETag that is known already.")

# Examples -----------------------------------------------------------------------------------------

STATE = {"server": "9f2c...", "seq": 42}
VERSION = {
    "id": "6156c0000000070123456789",
    "seq": 42,
    "state": "live",
    "database": "cdb_rixx45619",
    "collection": "epix10ka_000001",
    "detector": "epix10ka_000001",
    "ctype": "pedestals",
    "experiment": "rixx45619",
    "run": 7,
    "run_end": "end",
    "time_stamp": "2021-10-01T00:00:00-0000",
    "version": "V2021-10-08",
    "data_type": "ndarray",
    "data_dtype": "float32",
    "data_shape": "(2, 3)",
    "sha256": "9d908ecfb6b256def8b49a7c504e6c889c4b0e41fe6ce3e01863dd7b61a20aa0",
    "nbytes": 24,
}
QUARANTINED = {
    "state": "quarantined",
    "out": 42,
    "gate": "quarantined",
    "findings": [
        {
            "code": "zero",
            "severity": "quarantine",
            "rule": "known.pedestals.zero",
            "message": "panel 3 in g1 holds 0 everywhere",
            "value": 0.0,
            "limit": 0.0,
        }
    ],
}
RELATIVE = {
    "id": VERSION["id"],
    "state": "live",
    "database": "cdb_rixx45619",
    "detector": "epix10ka_000001",
    "ctype": "pedestals",
    "experiment": "rixx45619",
    "runs": "7-end",
    "seq": 42,
    "sha256": VERSION["sha256"],
    "now": None,
    "server": None,
    "parents": [],
    "children": [{"state": "hidden", "parents": [], "children": []}],
}
DEPLOYMENT = {
    "detector": "epix10ka_000001",
    "ctype": "pedestals",
    "experiment": "rixx45619",
    "run": 7,
    "comment": "dark of run 7",
    "payload": {
        "fields": {"data_type": "ndarray", "data_dtype": "float32", "data_shape": "(2, 3)"},
        "sha256": "9d908ecfb6b256def8b49a7c504e6c889c4b0e41fe6ce3e01863dd7b61a20aa0",
        "nbytes": 24,
        "base64": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    },
}
EVENT = {
    "_id": 42,
    "at": 1633046400000007,
    "nonce": "3f0e4d1c9b7a4e51",
    "actor": "mona",
    "action": "add",
    "reason": "",
    "versions": [
        {
            "database": "cdb_rixx45619",
            "collection": "epix10ka_000001",
            "id": VERSION["id"],
            "key": "cdb_rixx45619/epix10ka_000001/pedestals/7-end",
            "document": {"_id": VERSION["id"], "ctype": "pedestals", "run": 7},
        }
    ],
}
INFO = STATE | {
    "at": "2021-10-01T00:00:00+00:00",
    "digest": VERSION["sha256"],
    "cdb": "0.1.0",
    "store": "EmbeddedStore",
    "caller": {"name": "mona", "read": ["*"], "write": ["cdb_rixx*"], "admin": False},
    "limits": {"inline": reading.INLINE, "body": 2**31},
}
WRITTEN = STATE | {"constant": VERSION, "new": True}

TAGGED = {
    "name": "summer26",
    "revision": 2,
    "id": "813d71e304bb07e200000002",
    "state": "testing",
    "at": 42,
    "server": "1f3a9c0b...",
    "base": None,
    "pins": [
        {
            "database": "cdb_rixx45619",
            "collection": "epix10ka_000001",
            "ctype": "pedestals",
            "id": VERSION["id"],
        }
    ],
    "steps": [{"at": 57, "experiment": "rixx45619", "run": 120}],
    "comment": "for the paper",
    "reason": "checked by mona",
    "made": "2026-07-01T00:00:00+00:00",
    "changed": "2026-07-02T00:00:00+00:00",
    "by": "mona",
    "first": "813d71e304bb07e200000001",
    "out": None,
}
AFFECTED = {
    "detector": "epix10ka_000001",
    "experiment": "rixx45619",
    "ctype": "pedestals",
    "first": 7,
    "last": 12,
    "before": None,
    "after": {"database": "cdb_rixx45619", "id": VERSION["id"]},
}
_NUMBERS = {"n": 6, "not_finite": 0, "bad": 0, "mean": 1.5, "rms": 1.6, "std": 0.5, "min": 1.0,
            "max": 2.0}  # fmt: skip
_CHANGE = {
    "gain": None,
    "panel": None,
    "size": 6,
    "changed": 6,
    "difference": {"n": 6, "mean": 1.5, "rms": 1.5, "min": 1.5, "max": 1.5},
    "finite_lost": 0,
    "finite_gained": 0,
    "bits_gained": {},
    "bits_lost": {},
}
DIFFERENCE = {
    "a": {"name": VERSION["id"], "constant": VERSION},
    "b": {"name": VERSION["id"], "constant": VERSION},
    "detector_type": "epix10ka",
    "ctype": "pedestals",
    "kind": "array",
    "equal": False,
    "dtype": ["float32", "float32"],
    "shape": [[2, 3], [2, 3]],
    "compared": True,
    "total": _CHANGE,
    "parts": [_CHANGE],
    "bit_names": None,
}
POINT = {
    "id": VERSION["id"],
    "seq": 42,
    "state": "live",
    "valid_from": "2021-10-01T00:00:00+00:00",
    "runs": "7-end",
    "sha256": VERSION["sha256"],
    "numbers": _NUMBERS,
    "parts": [{"gain": None, "panel": None, **_NUMBERS}],
    "note": "",
}
CONDITION = {
    "detector": "epix10ka_000001",
    "ctype": "pedestals",
    "stale": True,
    "reasons": ["19 d old, limit 7 d"],
    "id": VERSION["id"],
    "database": "cdb_rixx45619",
    "valid_from": "2021-10-01T00:00:00+00:00",
    "age": 1641600.0,
    "last_dark": "2021-10-01T00:00:00+00:00",
    "since_dark": 1641600.0,
    "bad": 0.0,
    "bad_change": 0.0,
    "mean": 1.5,
    "mean_change": 0.01,
    "gain": None,
    "before": 5,
}
AUDITED = {
    "digest": VERSION["sha256"],
    "events": 42,
    "unseen": 0,
    "emptied": 0,
    "documents": 57,
    "payloads": False,
    "found": 1,
    "findings": [
        {
            "kind": "chain",
            "where": "event 7",
            "what": "event 7 was changed after it was written",
            "counts": True,
        }
    ],
}

# Bodies -------------------------------------------------------------------------------------------


def _object(names: tuple[str, ...], required: list[str]) -> dict[str, Any]:
    known = {
        "run": {"type": "integer", "minimum": 0},
        "run_end": {"type": ["integer", "string", "null"]},
        "time": {"type": ["string", "number", "null"]},
        "run_orig": {"type": ["integer", "null"]},
        "ids": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "again": {"type": "boolean"},
        "recorded": {"type": "boolean"},
        "dry_run": {"type": "boolean"},
        "retired": {"type": "string"},
        "at": {"type": ["integer", "string", "null"]},
        "versions": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "extpars": {"type": ["object", "null"]},
        "conditions": {"type": ["object", "null"]},
        "source": {"type": ["object", "null"]},
        "payload": {
            "type": "object",
            "properties": {
                "fields": {"type": "object", "required": ["data_type"]},
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "nbytes": {"type": "integer", "minimum": 0},
                "base64": {"type": "string"},
            },
            "required": ["fields", "sha256", "nbytes"],
            "additionalProperties": False,
        },
    }
    return {
        "type": "object",
        "properties": {name: known.get(name, {"type": ["string", "null"]}) for name in names},
        "required": required,
        "additionalProperties": False,
    }


NEW = Body(
    _object(
        ("payload", *writing.OWN, *writing.FURTHER, *writing.PLACE),
        ["detector", "ctype", "payload"],
    ),
    DEPLOYMENT,
)
REASON = Body(_object(("reason", "dry_run", *writing.PLACE), ["reason"]), {"reason": "beam was on"})
AMENDMENT = Body(
    _object(("reason", *writing.CHANGES, "dry_run", *writing.PLACE), []),
    {"run_end": 20, "reason": "gain changed with run 21"},
)
SEVERAL = Body(
    _object(("ids", "reason", "dry_run", *writing.PLACE), ["ids", "reason"]),
    {"ids": [VERSION["id"]], "reason": "beam was on"},
)
NAMED = Body(
    _object(("detector", "dry_run", *writing.PLACE), ["detector"]),
    {"detector": "epix10ka_0123-45_0123-46"},
)
NEW_TAG = Body(
    _object(tagging.NEW, ["name"]), {"name": "summer26", "at": 42, "comment": "for the paper"}
)
TAG_CHANGES = {
    "move": (
        tagging.move,
        "Move a tag to another state.",
        Body(_object(tagging.MOVE, ["state"]), {"state": "testing", "reason": "checked by mona"}),
    ),
    "pin": (
        tagging.pin,
        "Pin versions: they stand in their places.",
        Body(_object(tagging.PINS, ["versions"]), {"versions": [VERSION["id"]]}),
    ),
    "unpin": (
        tagging.unpin,
        "Take pins back.",
        Body(_object(tagging.PINS, ["versions"]), {"versions": [VERSION["id"]]}),
    ),
    "advance": (
        tagging.advance,
        "Let another state answer from a run of an experiment, or from a time, on.",
        Body(_object(tagging.ADVANCE, []), {"experiment": "rixx45619", "run": 120, "at": 57}),
    ),
    "delete": (
        tagging.delete,
        "Delete an open tag.",
        Body(_object(tagging.COMMON, []), {"dry_run": False}),
    ),
}
BYTES = Body({"type": "string", "format": "binary"}, type="application/octet-stream")


# Routes -------------------------------------------------------------------------------------------


async def _openapi(request: Request, _: dict[str, Any]) -> Response:
    return Response(_document(), media_type="application/json")


@cache
def _document() -> bytes:
    return orjson.dumps(openapi.document(ENDPOINTS))


PAYLOAD = "/v1/databases/{database}/payloads/{sha256}"
ENDPOINTS = (
    Endpoint(
        "GET", "/v1/info", reading.info, "What this is, and who asks.", INFO, errors=(), needs=None
    ),
    Endpoint(
        "GET",
        "/v1/health",
        reading.health,
        "The process answers.",
        {"status": "ok"},
        errors=(),
        needs=None,
    ),
    Endpoint(
        "GET",
        "/v1/ready",
        reading.ready,
        "The store answers.",
        STATE | {"status": "ready"},
        errors=(),
        needs=None,
    ),
    Endpoint(
        "GET",
        "/v1/moment",
        reading.moment,
        "The state that an event or a time stands for.",
        STATE | {"at": "2021-10-01T00:00:00.000007+00:00", "head": 57},
        (AS_OF,),
    ),
    Endpoint(
        "GET",
        "/v1/databases",
        reading.databases,
        "Databases, with their collections.",
        STATE
        | {
            "databases": [
                {
                    "database": "cdb_rixx45619",
                    "collections": [{"collection": "epix10ka_000001", "documents": 8}],
                }
            ]
        },
        (AS_OF, TAG),
    ),
    Endpoint(
        "GET",
        "/v1/detectors",
        reading.detectors,
        "Detectors, with their types of constants.",
        STATE
        | {
            "detectors": [
                {"detector": "epix10ka_000001", "longname": "", "ctypes": ["pedestals"]},
            ]
        },
        (AS_OF, TAG),
    ),
    Endpoint(
        "POST",
        "/v1/detectors",
        writing.register,
        "Give a detector a short name, ahead of its first constant.",
        STATE | {"detector": "epix10ka_000001", "new": True},
        body=NAMED,
        errors=(400, 401, 403, 409, 413, 422),
        needs=Caller.require_writer,
    ),
    Endpoint(
        "GET",
        "/v1/experiments",
        reading.experiments,
        "Experiments, with their detectors.",
        STATE | {"experiments": [{"experiment": "rixx45619", "detectors": ["epix10ka_000001"]}]},
        (AS_OF, TAG),
    ),
    Endpoint(
        "GET",
        "/v1/constants",
        reading.constants,
        "Versions that fit, a page at a time.",
        STATE | {"constants": [VERSION], "next": None},
        (DETECTOR, CTYPE, *WHERE, RUN, TIME, LABEL, QUERY, SORT, AS_OF, TAG, LIMIT, AFTER_PAGE),
    ),
    Endpoint(
        "POST",
        "/v1/constants",
        writing.add,
        "Add a constant: one deployment, one event.",
        WRITTEN,
        body=NEW,
        headers=(KEY,),
        errors=(400, 401, 403, 409, 413, 422, 507),
        needs=Caller.require_writer,
    ),
    Endpoint(
        "GET",
        "/v1/constants/{id}",
        reading.constant,
        "One version, whether it holds or has left.",
        STATE | {"constant": VERSION},
        (AS_OF, TAG),
    ),
    Endpoint(
        "GET",
        "/v1/constants/{id}/lineage",
        reading.lineage,
        "What a constant was made from, and what was made from it.",
        STATE | {"lineage": RELATIVE},
        (DIRECTION, DEPTH, AS_OF, TAG),
    ),
    *(
        Endpoint(
            "POST",
            f"/v1/constants/{{id}}/{verb}",
            handler,
            says,
            WRITTEN,
            body=body,
            headers=(KEY,),
            errors=(400, 401, 403, 404, 409, 413, 422),
            needs=Caller.require_writer,
        )
        for verb, handler, says, body in (
            ("retire", writing.retire, "Take a version out of look-ups.", REASON),
            ("restore", writing.restore, "Bring a retired version back.", REASON),
            ("approve", writing.approve, "Let a version out of quarantine.", REASON),
            ("amend", writing.amend, "Change the metadata of a version.", AMENDMENT),
        )
    ),
    Endpoint(
        "POST",
        "/v1/retire",
        writing.retire_all,
        "Take several versions out of look-ups, in one event: all of them, or none.",
        STATE | {"constants": [VERSION]},
        body=SEVERAL,
        headers=(KEY,),
        errors=(400, 401, 403, 404, 409, 413, 422),
        needs=Caller.require_writer,
    ),
    Endpoint(
        "GET",
        "/v1/quarantine",
        reading.quarantined,
        "The versions that wait in quarantine, newest first.",
        STATE | {"constants": [VERSION | QUARANTINED]},
        (DETECTOR, EXPERIMENT, AS_OF),
    ),
    Endpoint(
        "GET",
        "/v1/gates",
        reading.gates,
        "The rules by which new constants are let in; later layers win.",
        STATE
        | {
            "source": "the package",
            "layers": [{"jungfrau": {"pedestals": {"low": {"value": 1}}}}],
        },
    ),
    Endpoint(
        "GET",
        "/v1/history",
        reading.history,
        "All versions of a constant, newest first.",
        STATE | {"constants": [VERSION]},
        (THE_DETECTOR, THE_CTYPE, *WHERE, AS_OF, TAG),
    ),
    Endpoint(
        "GET",
        "/v1/explain",
        reading.explain,
        "Every candidate, with the reason why it won or lost.",
        STATE
        | {
            "winner": VERSION,
            "candidates": [{"constant": VERSION, "reason": "wins: the latest-starting range"}],
            "note": "",
        },
        (THE_DETECTOR, THE_CTYPE, *WHERE, *WHEN),
    ),
    Endpoint(
        "GET",
        "/v1/resolve",
        resolving.resolve,
        "The version that holds of each type of a detector.",
        STATE
        | {
            "detector": "epix10ka_000001",
            "searched": ["cdb_rixx45619", "cdb_epix10ka_000001"],
            "constants": {"pedestals": VERSION},
            "missing": {},
            "warnings": [],
        },
        (THE_DETECTOR, *WHERE, *WHEN, CTYPES, FIELDS),
        known=resolving.known,
    ),
    Endpoint(
        "GET",
        PAYLOAD,
        payloads.get,
        "The bytes of a payload; HEAD for its length alone.",
        headers=(RANGE, IF_NONE_MATCH),
        answer_type="application/octet-stream",
        errors=(400, 401, 403, 404, 416),
    ),
    Endpoint(
        "PUT",
        PAYLOAD,
        payloads.put,
        "Send bytes ahead of their deployment.",
        STATE | {"database": "cdb_rixx45619", "sha256": VERSION["sha256"], "nbytes": 24},
        body=BYTES,
        errors=(400, 401, 403, 413, 422, 507),
        needs=Caller.require_writer,
    ),
    Endpoint(
        "GET",
        "/v1/tags",
        tagging.every,
        "All tags, by name.",
        STATE | {"tags": [TAGGED]},
    ),
    Endpoint(
        "POST",
        "/v1/tags",
        tagging.create,
        "Give a state a name.",
        STATE | {"tag": TAGGED},
        body=NEW_TAG,
        headers=(KEY,),
        errors=(400, 401, 403, 404, 409, 413),
        needs=Caller.require_admin,
    ),
    Endpoint(
        "GET",
        "/v1/tags/{tag}",
        tagging.one,
        "One tag, and its revisions.",
        STATE | {"tag": TAGGED, "revisions": [TAGGED]},
        errors=(400, 401, 403, 404, 409),
    ),
    *(
        Endpoint(
            "POST",
            f"/v1/tags/{{tag}}/{verb}",
            handler,
            says,
            STATE | {"tag": TAGGED},
            body=body,
            headers=(KEY,),
            errors=(400, 401, 403, 404, 409, 413),
            needs=Caller.require_admin,
        )
        for verb, (handler, says, body) in TAG_CHANGES.items()
    ),
    Endpoint(
        "GET",
        "/v1/affected",
        tagging.affected,
        "The keys and runs that two states, or tags, answer differently.",
        STATE | {"affected": [AFFECTED]},
        (BEFORE, AFTERWARDS, DETECTOR, EXPERIMENT, TIME),
        errors=(400, 401, 403, 404, 409),
    ),
    Endpoint(
        "GET",
        "/v1/diff",
        comparing.diff,
        "What differs between two versions.",
        STATE | {"diff": DIFFERENCE},
        (ONE, OTHER, AS_OF, TAG),
        errors=(400, 401, 403, 404, 410),
    ),
    Endpoint(
        "GET",
        "/v1/trend",
        comparing.trend,
        "How the numbers of a constant went from version to version, the oldest first.",
        STATE | {"trend": [POINT]},
        (THE_DETECTOR, THE_CTYPE, *WHERE, SINCE, PANEL, GAIN, ALL, AS_OF, TAG),
    ),
    Endpoint(
        "GET",
        "/v1/stale",
        comparing.stale,
        "How old what is in force is, and how bad pixels and means changed.",
        STATE | {"stale": [CONDITION]},
        (
            DETECTOR,
            EXPERIMENT,
            TIME,
            LAST,
            MAX_AGE,
            MAX_BAD,
            MAX_BAD_CHANGE,
            MAX_MEAN_CHANGE,
            AS_OF,
            TAG,
        ),
    ),
    Endpoint(
        "GET",
        "/v1/audit",
        comparing.audit,
        "What in the journal or the documents was edited, removed or put in.",
        STATE | AUDITED,
        (BEGIN,),
        errors=(400, 401, 403),
        needs=Caller.require_admin,
    ),
    Endpoint(
        "GET",
        "/v1/events",
        feed.events,
        "The journal after an event.",
        STATE | {"events": [EVENT], "next": 42},
        (AFTER, LIMIT, WAIT),
    ),
    Endpoint(
        "GET",
        "/metrics",
        metrics.show,
        "Metrics for Prometheus, over all workers.",
        answer_type="text/plain",
        errors=(),
        needs=None,
    ),
    Endpoint("GET", "/openapi.json", _openapi, "This document.", {}, errors=(), needs=None),
)


def routes() -> list[BaseRoute]:
    """Return the routes below ``/v1``, and those of metrics and of the documentation."""
    return list(_routes())


@cache
def _routes() -> tuple[BaseRoute, ...]:
    # A route is tried after all before it: those that are asked most come first.
    hot = ("/v1/resolve", PAYLOAD)
    ordered = sorted(ENDPOINTS, key=lambda endpoint: endpoint.path not in hot)
    return tuple(endpoint.route() for endpoint in ordered)
