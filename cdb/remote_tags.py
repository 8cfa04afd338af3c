"""The tags of a store behind a service: the calls of `cdb.tagging.Tags`, each one request."""

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any
from urllib.parse import quote

from cdb import names
from cdb.affected import Affected, affected_of
from cdb.errors import BadQuestion
from cdb.moments import Moment
from cdb.reading import AsOf, Time
from cdb.stores.rest import RestStore
from cdb.tagging import Tags, ids_of
from cdb.tags import Tag, tag_of
from cdb.validity import parse_run, parse_time

logger = logging.getLogger(__name__)

Given = dict[str, Any]


class RemoteTags(Tags):
    """The tags of a store behind a service.

    Parameters
    ----------
    service : RestStore
        Where the service is, and who asks.
    writer : callable
        Returns what a request says of who writes.
    """

    def __init__(self, service: RestStore, writer: Callable[[], Given]) -> None:
        self._service = service
        self._writer = writer

    # asking ------------------------------------------------------------------------------------

    def list(self) -> list[Tag]:
        """See `Tags.list`."""
        return [tag_of(tag) for tag in self._service.transport.get("/v1/tags")["tags"]]

    def get(self, name: str) -> Tag:
        """See `Tags.get`."""
        return tag_of(self._service.transport.get(_path(name))["tag"])

    def revisions(self, name: str) -> Sequence[Tag]:
        """See `Tags.revisions`."""
        return [tag_of(tag) for tag in self._service.transport.get(_path(name))["revisions"]]

    def compare(
        self,
        a: AsOf,
        b: AsOf,
        *,
        detector: str | None = None,
        experiment: str | None = None,
        time: Time | None = None,
    ) -> Iterator[Affected]:
        """See `Tags.compare`."""
        given = {"a": _side(a), "b": _side(b), "detector": detector, "experiment": experiment}
        given["time"] = None if time is None else parse_time(time).isoformat()
        answer = self._service.transport.get("/v1/affected", _without_none(given))
        if answer.get("partial"):
            logger.warning("what you may not read was left out: there the two may differ as well")
        return map(affected_of, answer["affected"])

    # writing -----------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        *,
        at: AsOf | None = None,
        base: str | None = None,
        comment: str = "",
        dry_run: bool = False,
        key: str | None = None,
    ) -> Tag:
        """See `Tags.create`."""
        names.check_tag(name)
        given = {
            "name": name,
            "at": said_state(at),
            "base": base,
            "comment": comment,
        }
        return self._post("/v1/tags", given, dry_run, key)

    def move(
        self,
        name: str,
        state: str,
        *,
        reason: str = "",
        dry_run: bool = False,
        key: str | None = None,
    ) -> Tag:
        """See `Tags.move`."""
        return self._post(_path(name, "move"), {"state": state, "reason": reason}, dry_run, key)

    def pin(
        self,
        name: str,
        version: str | Sequence[str],
        *,
        dry_run: bool = False,
        key: str | None = None,
    ) -> Tag:
        """See `Tags.pin`."""
        return self._post(_path(name, "pin"), {"versions": ids_of(version)}, dry_run, key)

    def unpin(
        self,
        name: str,
        version: str | Sequence[str],
        *,
        dry_run: bool = False,
        key: str | None = None,
    ) -> Tag:
        """See `Tags.unpin`."""
        return self._post(_path(name, "unpin"), {"versions": ids_of(version)}, dry_run, key)

    def advance(
        self,
        name: str,
        *,
        at: AsOf | None = None,
        experiment: str | None = None,
        run: int | str | None = None,
        time: Time | None = None,
        dry_run: bool = False,
        key: str | None = None,
    ) -> Tag:
        """See `Tags.advance`."""
        given = {
            "at": said_state(at),
            "experiment": experiment,
            "run": None if run is None else parse_run(run),
            "time": None if time is None else parse_time(time).isoformat(),
        }
        return self._post(_path(name, "advance"), given, dry_run, key)

    def delete(self, name: str, *, dry_run: bool = False, key: str | None = None) -> Tag:
        """See `Tags.delete`."""
        return self._post(_path(name, "delete"), {}, dry_run, key)

    def _post(self, path: str, given: Given, dry_run: bool, key: str | None) -> Tag:
        content = {**_without_none(given), **self._writer(), "dry_run": dry_run}
        answer = self._service.transport.post(path, content, key=key or secrets.token_hex(16))
        return tag_of(answer["tag"])


def _path(name: str, verb: str = "") -> str:
    cited = names.parse_tag(name)
    return f"/v1/tags/{quote(str(cited), safe='')}" + (f"/{verb}" if verb else "")


def _without_none(given: Mapping[str, Any]) -> Given:
    return {name: value for name, value in given.items() if value is not None}


def said_state(at: AsOf | None) -> int | str | None:
    """Return a state as a request says it."""
    if at is None:
        return None
    if isinstance(at, Moment):
        if at.pins:
            raise BadQuestion(f"the state of the tag {at.tag} holds pins; give the tag's name")
        return at.seq
    if isinstance(at, Integral) and not isinstance(at, bool):
        return int(at)
    return parse_time(at).isoformat()


def _side(side: AsOf) -> int | str | None:
    """Return what is compared as a request says it."""
    if isinstance(side, str) and names.is_tag(side):
        return str(names.parse_tag(side))
    return said_state(side)
