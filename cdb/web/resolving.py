"""``/v1/resolve``: which version holds of each type of a detector.

A question is worked out once, for all runs; until something is written, another run costs its
look-ups and the joining of what versions look like as JSON, and the same run nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from cdb import names
from cdb.database import Database
from cdb.errors import NotFound
from cdb.indexes import Winners
from cdb.lookup import Place
from cdb.moments import Moment
from cdb.reading import Holding
from cdb.stores.kept import Kept
from cdb.web import answers
from cdb.web.access import Caller, caller_of
from cdb.web.service import Service

Arguments = dict[str, Any]
Fields = tuple[str, ...] | None

# As many answers are kept; as many questions of the present without a time, which share what an
# index has swept, and as many others, which do not; as many bytes of versions as JSON.
BODIES, PRESENT, OTHERS = 2048, 1024, 8
PARTS_BYTES = 64 * 2**20
# What keeping one takes besides [bytes].
ENTRY_BYTES = 400

K = TypeVar("K")
V = TypeVar("V")


class Asked(NamedTuple):
    """A question as it stands in an address, for one run.

    Attributes
    ----------
    rest : tuple of bytes and bool
        All but the run, and whether there is one.
    run : int or None
        None if there is none.
    """

    rest: tuple[bytes, bool]
    run: int | None

    @classmethod
    def of(cls, query_string: bytes) -> "Asked | None":
        """Return the question after a question mark, None if its run cannot be seen at a glance.

        Examples
        --------
        >>> Asked.of(b"detector=epix_000001&run=7&rule=latest")
        Asked(rest=(b'detector=epix_000001&rule=latest', True), run=7)
        >>> Asked.of(b"detector=epix_000001")
        Asked(rest=(b'detector=epix_000001', False), run=None)
        """
        before, found, after = query_string.partition(b"run=")
        if not found:
            return cls((query_string, False), None)
        digits, _, after = after.partition(b"&")
        # Another name may end with these letters, and another run may follow; fifteen digits are
        # below any limit.
        is_number = digits.isdigit() and len(digits) <= 15
        if not is_number or b"run=" in after or (before and not before.endswith(b"&")):
            return None
        return cls((before + after, True), int(digits))


class Parts:
    """Versions as JSON, each with its type before it."""

    def __init__(self) -> None:
        self.json: dict[tuple[tuple[Place, str], Fields], bytes] = {}
        self.unadopted: set[tuple[Place, str]] = set()
        self._nbytes = 0

    def read(self, db: Database, moment: Moment, winners: Winners, fields: Fields) -> None:
        """Read what versions look like that are not there yet."""
        new = {c: w for c, w in winners.items() if (w, fields) not in self.json}
        if self._nbytes > PARTS_BYTES:
            new, self._nbytes = winners, 0
            self.json.clear()
            self.unadopted.clear()
        for ctype, found in db.versions(moment, new).items():
            version = answers.version(found)
            if version["seq"] is None:
                self.unadopted.add(new[ctype])
            if fields is not None:
                version = {name: version[name] for name in ("id", *fields) if name in version}
            made = orjson.dumps(ctype) + b":" + orjson.dumps(version)
            self.json[new[ctype], fields] = made
            self._nbytes += len(made) + ENTRY_BYTES


class Answers:
    """The answers to a question for any run, as of one state.

    Parameters
    ----------
    db : Database
        What is asked.
    given : dict
        The question; its run plays no part.
    holding : Holding
        Which versions hold.
    searched : sequence of str
        The databases that were asked.
    parts : Parts
        What versions look like, shared with other questions.
    """

    def __init__(
        self,
        db: Database,
        given: Arguments,
        holding: Holding,
        searched: Sequence[str],
        parts: Parts,
    ) -> None:
        self.searched = searched
        self._db = db
        self._holding = holding
        self._parts = parts
        self._question = dict(given)
        self._question.pop("run", None)
        fields = self._question.pop("fields", None)
        self._fields: Fields = None if fields is None else tuple(fields)
        self._wanted: Sequence[str] = self._question.pop("ctype", ())
        moment = holding.moment
        begin = {
            "server": db.journal.identity(),
            "seq": moment.seq,
            **({"provisional": True} if moment.provisional else {}),
            "detector": holding.detector,
            "searched": searched,
        }
        self._begin = orjson.dumps(begin)[:-1] + b',"constants":{'

    def body(self, run: int | None) -> bytes:
        """Return the answer for a run; without one for the far future."""
        winners = self._holding.winners(run)
        if self._wanted:
            winners = {ctype: w for ctype, w in winners.items() if ctype in self._wanted}
        keys = [(winner, self._fields) for winner in winners.values()]
        known = self._parts.json
        if not all(key in known for key in keys):
            self._parts.read(self._db, self._holding.moment, winners, self._fields)
        found = b",".join([known[key] for key in keys if key in known])
        return b"".join((self._begin, found, b"}", self._end(winners, run)))

    def _end(self, winners: Winners, run: int | None) -> bytes:
        """Return what follows the versions: what is missing, and warnings."""
        missing = {c: self._why_missing(c, run) for c in self._wanted if c not in winners}
        warnings = []
        if self._holding.moment.asked and not self._parts.unadopted.isdisjoint(winners.values()):
            warnings.append("documents that no event names took part: run `cdb adopt`")
        if not missing and not warnings:
            return b',"missing":{},"warnings":[]}'
        return b"," + orjson.dumps({"missing": missing, "warnings": warnings})[1:]

    def _why_missing(self, ctype: str, run: int | None) -> str:
        """Return the sentence with which `Database.get` says that there is no such constant."""
        try:
            self._db.version(ctype=ctype, **self._question, run=run, as_of=self._holding.moment)
        except NotFound as error:
            return str(error)
        return f"no {ctype} of {self._holding.detector}"


class Known:
    """What a worker knows as of one state: answers by address, questions for any run, versions."""

    def __init__(self) -> None:
        self.bodies: dict[bytes, tuple[Sequence[str], bytes]] = {}
        self.parts = Parts()
        self._present: dict[tuple[bytes, bool], Answers] = {}
        self._others: dict[tuple[bytes, bool], Answers] = {}

    def answers(self, asked: Asked) -> Answers | None:
        """Return what is known of a question, for any run."""
        return self._present.get(asked.rest) or self._others.get(asked.rest)

    def keep(self, asked: Asked, found: Answers, *, present: bool) -> None:
        """Keep what is known of a question: of the present without a time, or not."""
        if present:
            _put(self._present, asked.rest, found, PRESENT)
        else:
            _put(self._others, asked.rest, found, OTHERS)

    def keep_body(self, query_string: bytes, searched: Sequence[str], body: bytes) -> None:
        """Keep an answer as it was sent."""
        _put(self.bodies, query_string, (searched, body), BODIES)


def _put(values: dict[K, V], key: K, value: V, many: int) -> None:
    if len(values) >= many:
        values.clear()
    values[key] = value


class Resolved:
    """Answers to the requests of a worker; what it knows holds as long as nothing is written.

    Parameters
    ----------
    service : Service
        Whose database is asked.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._kept: Kept[Known] = Kept(service.db.store.stamp)

    def known(self, query_string: bytes, caller: Caller) -> bytes | None:
        """Return the answer to a question that the caller may ask, if it can be given at once."""
        known = self._kept.get("known")
        if known is None:
            return None
        found = known.bodies.get(query_string)
        if found is not None:
            searched, body = found
            return body if all(map(caller.may_read, searched)) else None
        asked = Asked.of(query_string)
        answers_ = None if asked is None else known.answers(asked)
        if asked is None or answers_ is None or not all(map(caller.may_read, answers_.searched)):
            return None
        body = answers_.body(asked.run)
        known.keep_body(query_string, answers_.searched, body)
        return body

    async def work_out(self, query_string: bytes, caller: Caller, given: Arguments) -> bytes:
        """Return the answer to a question, and know it from now on."""
        known = self._now()
        as_of = given.pop("as_of", None)
        moment = await self._service.moment(as_of)
        found, body = await self._service.read(self._ask, caller, given, moment, known.parts)
        if not (moment.provisional or _is_now(as_of) or _is_now(given.get("time"))):
            known.keep_body(query_string, found.searched, body)
            asked = Asked.of(query_string)
            # A name that is written with percent signs is seen by the parser alone.
            if asked is not None and asked.run == given.get("run"):
                known.keep(asked, found, present=not moment.asked and "time" not in given)
        return body

    def _now(self) -> Known:
        """Return what is known as of now: if something is written later, it is forgotten."""
        known = self._kept.get("known")
        if known is None:
            stamp = self._kept.stamp()
            known = Known()
            self._kept.put("known", known, stamp)
        return known

    def _ask(
        self, caller: Caller, given: Arguments, moment: Moment, parts: Parts
    ) -> tuple[Answers, bytes]:
        db = self._service.db
        which = {name: given[name] for name in ("experiment", "dbsuffix", "rule") if name in given}
        for ctype in given.get("ctype", ()):
            names.check_ctype(ctype)
        searched = db.searched(given["detector"], **which, as_of=moment)
        caller.require_read(*searched)
        when = {name: given[name] for name in ("run", "time") if name in given}
        holding = db.holding(given["detector"], **which, **when, as_of=moment)
        found = Answers(db, given, holding, searched, parts)
        return found, found.body(given.get("run"))


def _is_now(time: object) -> bool:
    """Return whether a time is another one whenever it is read."""
    return isinstance(time, str) and "now" in time.lower()


async def resolve(request: Request, given: Arguments) -> Response:
    """Say which version holds of each type of a detector."""
    resolved: Resolved = request.app.state.resolved
    body = await resolved.work_out(request.scope["query_string"], caller_of(request), given)
    return Response(body, media_type="application/json")


def known(scope: Scope) -> bytes | None:
    """Return the answer to a request, if it can be given at once."""
    resolved: Resolved = scope["app"].state.resolved
    return resolved.known(scope["query_string"], scope["caller"])
