"""The journal of a service: its events as far as one may read them; nothing is written here."""

from collections.abc import Iterator
from datetime import datetime

from cdb.errors import BadQuestion
from cdb.journal import Journal
from cdb.links import check_chain
from cdb.moments import Head, Moment
from cdb.stores.base import Store
from cdb.stores.query import Document
from cdb.stores.transport import Transport
from cdb.validity import from_microseconds, microseconds

# As many events are asked for at once.
PAGE = 1000


class RemoteJournal(Journal):
    """Events behind a service.

    Of an event that touches databases which the one who asks may not read the entries about these
    are missing, and it says ``partial``; one that touches no other is passed over.

    Parameters
    ----------
    store : Store
        The service's payloads, cached or not.
    transport : Transport
        Where the service is, and who asks.
    """

    def __init__(self, store: Store, transport: Transport) -> None:
        super().__init__(store)
        self._transport = transport

    def _read_head(self) -> Head:
        answer = self._transport.get("/v1/info")
        return Head(answer["seq"], _at(answer["at"]))

    def identity(self) -> str:
        """Return what tells the store from every other; see `Journal.identity`."""
        if not self._identity:
            self._identity = str(self._transport.get("/v1/info")["server"])
        return self._identity

    def moment(
        self, as_of: int | None = None, *, at: int | None = None, head: Head | None = None
    ) -> Moment:
        """Return the state as of an event, as of a time, or now; see `Journal.moment`."""
        time = None if at is None else from_microseconds(at).isoformat()
        asked = time if as_of is None else as_of
        answer = self._transport.get("/v1/moment", {"as_of": asked})
        return Moment(
            answer["seq"],
            _at(answer["at"]),
            asked is not None,
            bool(answer.get("provisional")),
            head or Head(answer["head"]),
        )

    def events(self, *, after: int = 0, upto: int | None = None) -> Iterator[Document]:
        """Yield events, oldest first; see `Journal.events`."""
        while upto is None or after < upto:
            limit = PAGE if upto is None else min(PAGE, upto - after)
            answer = self._transport.get("/v1/events", {"after": after, "limit": limit})
            yield from (e for e in answer["events"] if upto is None or e["_id"] <= upto)
            if answer["next"] >= answer["seq"]:
                return
            after = answer["next"]

    def event(self, seq: int) -> Document | None:
        """Return one event; None if there is none that one may read."""
        return next(self.events(after=seq - 1, upto=seq), None) if seq > 0 else None

    def purge_of(self, database: str, blob_id: str) -> None:
        """Return None: of bytes that were purged the service itself says so."""

    def verify(self) -> int:
        """Walk the chain from the first event to the last; see `Journal.verify`.

        Raises
        ------
        BadQuestion
            If there are events that one may not read.
        """
        return check_chain(self._all())

    def _all(self) -> Iterator[Document]:
        last, seq = self.head().seq, 0
        for event in self.events(upto=last):
            if event["_id"] != seq + 1:
                break
            yield event
            seq = event["_id"]
        if seq < last:
            raise BadQuestion(
                f"event {seq + 1} may not be read by who asks, so the chain cannot be walked: "
                "verify it as an administrator, or at the store itself"
            )


def _at(text: str | None) -> int:
    return microseconds(datetime.fromisoformat(text)) if text else 0
