"""``/v1/resolve``: which version holds of each type of a detector.

A question is worked out once, for all runs; until something is written, another run costs its
look-ups and the joining of what versions look like as JSON, and the same run nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from cdb import names
from cdb.database import Database
from cdb.errors import NotFound
from cdb.indexes import Winner, Winners
from cdb.moments import Moment
from cdb.reading import Holding
from cdb.stores.kept import Kept
from cdb.web import answers
from cdb.web.access import Caller, caller_of
from cdb.web.service import Service

Arguments = dict[str, Any]
Fields = tuple[str, ...] | None

# As many questions are kept of the present without a time, which share what an index has swept,
# and as many others, which do not.
PRESENT, OTHERS = 256, 8
# As many bytes of answers are kept, and of versions as JSON.
BODIES_BYTES, PARTS_BYTES = 128 * 2**20, 64 * 2**20
# What keeping one takes besides [bytes].
ENTRY_BYTES = 400


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
    """Versions as JSON, each with its type before it: whole, or only some fields of them."""

    def __init__(self) -> None:
        self.unadopted: set[Winner] = set()
        self._json: dict[Fields, dict[Winner, bytes]] = {}
        self._nbytes = 0

    def of(self, fields: Fields) -> dict[Winner, bytes]:
        """Return what is there."""
        return self._json.get(fields, {})

    def read(
        self, db: Database, moment: Moment, winners: Winners, fields: Fields
    ) -> dict[Winner, bytes]:
        """Return what is there, with these versions, which are read if need be."""
        if self._nbytes > PARTS_BYTES:
            self._nbytes = 0
            self._json.clear()
            self.unadopted.clear()
        there = self._json.setdefault(fields, {})
        new = {ctype: winner for ctype, winner in winners.items() if winner not in there}
        for ctype, found in db.versions(moment, new).items():
            version = answers.version(found)
            if version["seq"] is None:
                self.unadopted.add(new[ctype])
            if fields is not None:
                version = {name: version[name] for name in ("id", *fields) if name in version}
            there[new[ctype]] = orjson.dumps(ctype) + b":" + orjson.dumps(version)
            self._nbytes += len(there[new[ctype]]) + ENTRY_BYTES
        return there


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
            **answers.of_moment(moment),
            "detector": holding.detector,
            "searched": searched,
        }
        self._begin = orjson.dumps(begin)[:-1] + b',"constants":{'

    def interval(self, run: int | None) -> int | None:
        """Return the number of the interval of runs that have this answer, None if only it has."""
        # What is missing is said of the run.
        return None if self._wanted else self._holding.interval(run)

    def body(self, run: int | None) -> bytes:
        """Return the answer for a run; without one for the far future."""
        winners = self._holding.winners(run)
        if self._wanted:
            winners = {ctype: w for ctype, w in winners.items() if ctype in self._wanted}
        known = self._parts.of(self._fields)
        try:
            found = [known[winner] for winner in winners.values()]
        except KeyError:
            known = self._parts.read(self._db, self._holding.moment, winners, self._fields)
            found = [known[winner] for winner in winners.values() if winner in known]
        return b"".join((self._begin, b",".join(found), b"}", self._end(winners, run)))

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
    """What a worker knows as of one state: questions for any run, their answers, versions."""

    def __init__(self) -> None:
        self.parts = Parts()
        self._present: dict[tuple[bytes, bool], Answers] = {}
        self._others: dict[tuple[bytes, bool], Answers] = {}
        self._bodies: dict[tuple[Answers, int | None, int | None], bytes] = {}
        self._nbytes = 0

    def answers(self, asked: Asked) -> Answers | None:
        """Return what is known of a question, for any run."""
        return self._present.get(asked.rest) or self._others.get(asked.rest)

    def keep(self, asked: Asked, found: Answers, *, present: bool) -> None:
        """Keep what is known of a question: of the present without a time, or not."""
        kept, many = (self._present, PRESENT) if present else (self._others, OTHERS)
        if len(kept) >= many:
            kept.clear()
            # They hold on to their questions.
            self._forget_bodies()
        kept[asked.rest] = found

    def body(self, found: Answers, run: int | None) -> bytes:
        """Return the answer for a run, which all runs between the same edges share."""
        interval = found.interval(run)
        key = (found, run, None) if interval is None else (found, None, interval)
        body = self._bodies.get(key)
        if body is None:
            body = found.body(run)
            if self._nbytes > BODIES_BYTES:
                self._forget_bodies()
            self._bodies[key] = body
            self._nbytes += len(body) + ENTRY_BYTES
        return body

    def _forget_bodies(self) -> None:
        self._bodies.clear()
        self._nbytes = 0


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
        asked = Asked.of(query_string)
        if known is None or asked is None:
            return None
        found = known.answers(asked)
        if found is None or not all(map(caller.may_read, found.searched)):
            return None
        return known.body(found, asked.run)

    async def work_out(self, query_string: bytes, caller: Caller, given: Arguments) -> bytes:
        """Return the answer to a question, and know it from now on."""
        known = self._now()
        as_of, tag = given.pop("as_of", None), given.pop("tag", None)
        which = {name: given[name] for name in ("experiment", "run", "time") if name in given}
        moment = await self._service.moment(as_of, tag, **which)
        found, body = await self._service.read(self._ask, caller, given, moment, known)
        by_the_clock = moment.provisional or _is_now(as_of) or _is_now(given.get("time"))
        asked = Asked.of(query_string)
        # A name that is written with percent signs is seen by the parser alone.
        # A tag that runs answers each run by another state.
        good = tag is None and not by_the_clock
        if asked is not None and asked.run == given.get("run") and good:
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
        self, caller: Caller, given: Arguments, moment: Moment, known: Known
    ) -> tuple[Answers, bytes]:
        db = self._service.db
        which = {name: given[name] for name in ("experiment", "dbsuffix", "rule") if name in given}
        for ctype in given.get("ctype", ()):
            names.check_ctype(ctype)
        searched = db.searched(given["detector"], **which, as_of=moment)
        caller.require_read(*searched)
        when = {name: given[name] for name in ("run", "time") if name in given}
        holding = db.holding(given["detector"], **which, **when, as_of=moment)
        found = Answers(db, given, holding, searched, known.parts)
        if moment.tag is not None:
            return found, found.body(given.get("run"))
        return found, known.body(found, given.get("run"))


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
