"""Tags: names for states of a store, frozen or running; what each means for a question.

A tag is a name for an S, the number of an event. It may pin versions over that state, be based on
another tag, and *run*: have steps, each of which says that from a run of an experiment, or from a
time, on another S holds. Tags lie in a collection beside the journal, under events `tag`. Their
documents never change: each write retires the last one of a name and adds the next.

========= ======================================================================================
field     meaning
========= ======================================================================================
_id       16 digits of the name's sha256 and 8 of the revision, hexadecimal
name      see `cdb.names`
state     open, testing, validated, published or invalid
at        S, where no step answers; that of the base if there is one
server    the identity of the store whose S it is
base      ``{name, id}`` of the document of another tag, which never changes; absent without one
pins      ``{database, collection, ctype, id}`` of each pinned version
steps     ``{at, experiment, run}`` or ``{at, time}`` [s, Unix], in order
comment   what it is for
made      when its name was first used for it [us, Unix]
by        who wrote this revision
revision  1, 2, 3, ...; one that was deleted counts on
seq, out, order, first  as of any document
========= ======================================================================================
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cdb.constant import RETIRED
from cdb.errors import Corrupt, NotFound, WrongServer, WrongState, shown
from cdb.journal import Journal
from cdb.moments import Head, Moment, Pinned, with_tag
from cdb.names import TagName, parse_tag
from cdb.stores.layout import JOURNAL_DATABASE, TAGS
from cdb.stores.query import Document
from cdb.validity import from_microseconds, microseconds, to_the_second

PLACE = (JOURNAL_DATABASE, TAGS)
# Of every entry: who removes bytes has to know of all tags.
KEY = "/".join(PLACE)
TAG = "tag"

OPEN, TESTING, VALIDATED, PUBLISHED, INVALID = STATES = (
    "open", "testing", "validated", "published", "invalid",
)  # fmt: skip
# From each state, those that may follow it.
MOVES: Mapping[str, tuple[str, ...]] = {
    OPEN: (TESTING, INVALID),
    TESTING: (VALIDATED, INVALID),
    VALIDATED: (PUBLISHED, INVALID),
    PUBLISHED: (),
    INVALID: (),
}

# As many tags are remembered by a process, with what they pin.
KEPT = 64
# As many documents are asked for at once.
AT_ONCE = 500


@dataclass(frozen=True)
class Pin:
    """A version that stands in its place, whatever is visible there.

    Attributes
    ----------
    database, collection, ctype : str
        The place, and the type of the constant.
    id : str
        Of the version.
    """

    database: str
    collection: str
    ctype: str
    id: str


@dataclass(frozen=True)
class Step:
    """From a run of an experiment, or from a time, on: another state.

    Attributes
    ----------
    at : int
        S.
    experiment : str or None
        Whose runs are meant.
    run : int or None
        From which run on.
    time : int or None
        From which time on [s, Unix]; experiment and run are None then.
    """

    at: int
    experiment: str | None = None
    run: int | None = None
    time: int | None = None

    def is_like(self, other: "Step") -> bool:
        """Return whether another step is of the same kind, and experiment."""
        return (self.time is None) == (other.time is None) and self.experiment == other.experiment

    def follows(self, other: "Step") -> bool:
        """Return whether it begins after another one of its kind."""
        begins = (self.run or 0, other.run or 0)
        if self.time is not None and other.time is not None:
            begins = (self.time, other.time)
        return begins[0] > begins[1]

    @property
    def begin(self) -> str:
        """From when on it answers: a run, or a time."""
        if self.time is not None:
            return to_the_second(from_microseconds(self.time * 1_000_000))
        return f"run {self.run}"

    def as_json(self) -> Document:
        """Return it as a document says it."""
        if self.time is not None:
            return {"at": self.at, "time": self.time}
        return {"at": self.at, "experiment": self.experiment, "run": self.run}

    def __str__(self) -> str:
        """Return from when on it answers, in words."""
        if self.time is not None:
            return f"times from {self.begin} on"
        return f"runs of {self.experiment} from {self.run} on"


@dataclass(frozen=True)
class Tag:
    """One revision of a tag.

    Attributes
    ----------
    name : str
        Its name, which means something only with `server`.
    revision : int
        1, 2, 3, ...
    id : str
        Of this revision's document.
    state : str
        One of `STATES`.
    at : int
        S, where no step answers.
    server : str
        The identity of the store.
    base : TagName or None
        The tag that it is based on, with the revision.
    pins : tuple of Pin
        Versions that stand in their places.
    steps : tuple of Step
        What answers from which run or time on.
    comment : str
        What it is for.
    reason : str
        Why this revision was written.
    made, changed : datetime
        When the tag was created, and when this revision was written.
    by : str
        Who wrote this revision.
    first : str
        Id of the first revision's document.
    out : int or None
        The event that the next revision, or the deletion, was written by.
    """

    name: str
    revision: int
    id: str
    state: str
    at: int
    server: str
    base: TagName | None
    pins: tuple[Pin, ...]
    steps: tuple[Step, ...]
    comment: str
    reason: str
    made: datetime
    changed: datetime
    by: str
    first: str = ""
    out: int | None = None

    @property
    def cited(self) -> TagName:
        """How this revision is cited."""
        return TagName(self.name, self.revision)

    def step_for(self, experiment: str | None, run: int | None, time: int | None) -> Step | None:
        """Return the step that answers a question, None if none does.

        The last step of the experiment's runs, else the last one of times that applies.
        """
        of_runs = [
            step
            for step in self.steps
            if step.run is not None
            and step.experiment == experiment
            and (run is None or run >= step.run)
        ]
        if of_runs:
            return of_runs[-1]
        neither = run is None and time is None
        of_times = [
            step
            for step in self.steps
            if step.time is not None and (neither or (time is not None and time >= step.time))
        ]
        return of_times[-1] if of_times else None

    def as_json(self) -> Document:
        """Return it as the command line and services say it."""
        return {
            "name": self.name,
            "revision": self.revision,
            "id": self.id,
            "state": self.state,
            "at": self.at,
            "server": self.server,
            "base": None if self.base is None else {"name": self.base.name, "id": self.base.id},
            "pins": [vars(pin) for pin in self.pins],
            "steps": [step.as_json() for step in self.steps],
            "comment": self.comment,
            "reason": self.reason,
            "made": self.made.isoformat(),
            "changed": self.changed.isoformat(),
            "by": self.by,
            "first": self.first,
            "out": self.out,
        }


def tag_of(document: Mapping[str, Any]) -> Tag:
    """Return the tag that a document, stored or of `Tag.as_json`, describes."""
    base = document.get("base")
    made, changed = document["made"], document.get("changed", document.get("order"))
    return Tag(
        document["name"],
        document["revision"],
        document.get("_id") or document["id"],
        document["state"],
        document["at"],
        document["server"],
        None if base is None else TagName(base["name"], int(base["id"][16:], 16)),
        tuple(Pin(**pin) for pin in document["pins"]),
        tuple(Step(**step) for step in document["steps"]),
        document["comment"],
        document.get("reason", ""),
        _time(made),
        _time(changed),
        document["by"],
        document["first"],
        document.get("out"),
    )


def _time(when: int | str) -> datetime:
    return from_microseconds(when) if isinstance(when, int) else datetime.fromisoformat(when)


def said(tag: Tag) -> Document:
    """Return what the next revision of a tag says as well, unless that is what changes."""
    base = None if tag.base is None else {"name": tag.base.name, "id": tag.base.id}
    return {
        "state": tag.state,
        "at": tag.at,
        **({} if base is None else {"base": base}),
        "pins": [vars(pin) for pin in tag.pins],
        "steps": [step.as_json() for step in tag.steps],
        "comment": tag.comment,
        "made": microseconds(tag.made),
        "first": tag.first,
    }


def last(journal: Journal, moment: Moment, name: str) -> Tag | None:
    """Return the last revision of a tag as of a moment, deleted or not; None if there is none."""
    query = _revisions_of(name, moment)
    found = [
        *journal.store.find(*PLACE, query, sort=[("_id", -1)], limit=1),
        *(d for d in moment.added.get(PLACE, {}).values() if d["name"] == name),
    ]
    if not found:
        return None
    return _as_of(moment, max(found, key=lambda document: str(document["_id"])))


def _revisions_of(name: str, moment: Moment) -> Document:
    start = TagName(name).id
    # Of full length: MongoDB compares ids with ids.
    return {"_id": {"$gte": start + "0" * 8, "$lte": start + "f" * 8}, "seq": {"$lte": moment.seq}}


def _as_of(moment: Moment, document: Document) -> Tag:
    out = moment.gone.get(PLACE, {}).get(document["_id"], document.get("out"))
    then = {name: value for name, value in document.items() if name != "out"}
    return tag_of(then | ({"out": out} if out is not None and out <= moment.seq else {}))


def revisions(journal: Journal, moment: Moment, name: str) -> list[Tag]:
    """Return all revisions of a tag, the last one first, those of deleted ones included."""
    query = _revisions_of(name, moment)
    documents = {d["_id"]: d for d in journal.store.find(*PLACE, query)}
    documents |= {i: d for i, d in moment.added.get(PLACE, {}).items() if d["name"] == name}
    return [_as_of(moment, documents[id_]) for id_ in sorted(documents, reverse=True)]


def current(journal: Journal, moment: Moment) -> list[Tag]:
    """Return all tags there are, by name."""
    found = map(tag_of, journal.find(moment, *PLACE, {}))
    return sorted(found, key=lambda tag: tag.name)


def find(journal: Journal, moment: Moment, cited: TagName) -> Tag:
    """Return the tag that is cited, in its last revision or the one that is named.

    Parameters
    ----------
    journal : Journal
        Of the store.
    moment : Moment
        The present state.
    cited : TagName
        Which.

    Raises
    ------
    NotFound
        If there is no such tag, or no such revision.
    WrongServer
        If it is another store's.
    """
    check_server(journal, cited)
    if cited.revision is None:
        tag = last(journal, moment, cited.name)
        if tag is None or tag.out is not None:
            raise NotFound(_no_tag(journal, moment, cited, tag))
    else:
        tag = _revision(journal, moment, cited)
    if tag.server != journal.identity():
        raise WrongServer(_other_server(cited.name, tag.server, journal.identity()))
    return tag


def _revision(journal: Journal, moment: Moment, cited: TagName) -> Tag:
    document = moment.added.get(PLACE, {}).get(cited.id)
    if document is None:
        query = {"_id": cited.id, "seq": {"$lte": moment.seq}}
        document = next(journal.store.find(*PLACE, query), None)
    if document is None:
        raise NotFound(f"no tag {cited} is here; `cdb tag show {cited.name}` has the revisions")
    return _as_of(moment, document)


def _no_tag(journal: Journal, moment: Moment, cited: TagName, gone: Tag | None) -> str:
    if gone is not None:
        return (
            f"the tag {cited.name} was deleted by event {gone.out}; "
            f"`cdb tag show '{gone.cited}'` shows what it was"
        )
    some = [tag.name for tag in current(journal, moment)]
    more = ", ..." if len(some) > 10 else ""
    known = f"there are {', '.join(some[:10])}{more}" if some else "there are no tags yet"
    return f"no tag {shown(cited.name)} is here; {known}"


def check_server(journal: Journal, cited: TagName) -> None:
    """Refuse, by `WrongServer`, a tag that is cited with the identity of another store."""
    if cited.server and not journal.identity().startswith(cited.server):
        raise WrongServer(_other_server(cited.name, cited.server, journal.identity()))


def _other_server(name: str, theirs: str, ours: str) -> str:
    return (
        f"the tag {name} is of the store {theirs}, but this store is {ours or 'empty'}: a tag "
        "means nothing elsewhere; name the other store with --url or CDB_URL, or a tag of this one"
    )


class Meanings:
    """What tags mean for a question, remembered: the documents of tags never change.

    Parameters
    ----------
    journal : Journal
        Of the store.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._pinned: OrderedDict[str, Pinned] = OrderedDict()

    def moment(
        self,
        text: str,
        *,
        experiment: str | None = None,
        run: int | None = None,
        time: int | None = None,
        head: Head | None = None,
    ) -> Moment:
        """Return the state in which a tag answers a question.

        Parameters
        ----------
        text : str
            How the tag is cited; see `cdb.names.parse_tag`.
        experiment : str, optional
            Whose analysis it is.
        run : int, optional
            Of which run.
        time : int, optional
            At which time [s, Unix].
        head : Head, optional
            The head, if it was asked for just now.

        Raises
        ------
        BadName
            If the text cites no tag.
        NotFound
            If there is no such tag.
        WrongServer
            If it is another store's.
        WrongState
            If the tag is invalid.
        """
        now = self._journal.moment(head=head)
        tag = find(self._journal, now, parse_tag(text))
        if tag.state == INVALID:
            raise WrongState(
                f"the tag {tag.name} is invalid{_because(tag)}: it answers no more; as of event "
                f"{tag.at} the store can still be asked"
            )
        return self.meant(tag, now, experiment=experiment, run=run, time=time)

    def meant(
        self,
        tag: Tag,
        now: Moment,
        *,
        experiment: str | None = None,
        run: int | None = None,
        time: int | None = None,
    ) -> Moment:
        """Return the state in which a revision answers a question, whatever its own state."""
        chain = self.chain(tag, now)
        steps = (each.step_for(experiment, run, time) for each in chain)
        step = next((step for step in steps if step is not None), None)
        moment = self._journal.moment(tag.at if step is None else step.at, head=now.head)
        pins = [self._pins_of(each, now) for each in chain if each.pins]
        return with_tag(moment, tag.cited, pins)

    def chain(self, tag: Tag, now: Moment) -> list[Tag]:
        """Return a tag, the one that it is based on, and so on."""
        found = [tag]
        while (base := found[-1].base) is not None:
            found.append(find(self._journal, now, base))
        return found

    def _pins_of(self, tag: Tag, now: Moment) -> Pinned:
        """Return what a tag pins, read once."""
        known = self._pinned.get(tag.id)
        if known is None:
            known = Pinned(tag.name, _pinned(self._journal, now, tag))
            with self._lock:
                self._pinned[tag.id] = known
                if len(self._pinned) > KEPT:
                    self._pinned.popitem(last=False)
        return known


def _because(tag: Tag) -> str:
    return f" ({tag.reason})" if tag.reason else ""


def _pinned(
    journal: Journal, now: Moment, tag: Tag
) -> dict[tuple[str, str, str], tuple[Document, ...]]:
    """Return the documents that a tag pins, by place and type."""
    by_place: dict[tuple[str, str], list[str]] = {}
    for pin in tag.pins:
        by_place.setdefault((pin.database, pin.collection), []).append(pin.id)
    documents: dict[tuple[str, str, str], Document] = {}
    for place, ids in by_place.items():
        for document in _documents(journal, now, place, ids):
            documents[*place, document["_id"]] = document
    found: dict[tuple[str, str, str], list[Document]] = {}
    for pin in tag.pins:
        pinned = documents.get((pin.database, pin.collection, pin.id))
        if pinned is None:
            raise Corrupt(
                f"the version {pin.id} in {pin.database}, which the tag {tag.name} pins, is "
                "missing: another program removed it; `cdb fsck` puts it back"
            )
        found.setdefault((pin.database, pin.collection, pin.ctype), []).append(pinned)
    return {key: tuple(some) for key, some in found.items()}


def _documents(
    journal: Journal, now: Moment, place: tuple[str, str], ids: Sequence[str]
) -> Iterator[Document]:
    """Yield documents as they were when they were live, whatever became of them."""
    for start in range(0, len(ids), AT_ONCE):
        some = list(ids[start : start + AT_ONCE])
        added = now.added.get(place, {})
        stored = journal.store.find(*place, {"_id": {"$in": some}})
        for document in (*stored, *(added[id_] for id_ in some if id_ in added)):
            made = {name: value for name, value in document.items() if name != "out"}
            if isinstance(made.get("detector"), str):
                made["detector"] = made["detector"].removeprefix(RETIRED)
            yield made


@dataclass(frozen=True)
class Need:
    """What a tag answers with: what is visible in its states, and what it pins.

    Attributes
    ----------
    tag : str
        Its name.
    states : frozenset of int
        Every S of it.
    pinned : frozenset of str
        Ids of versions.
    """

    tag: str
    states: frozenset[int]
    pinned: frozenset[str]

    def is_for(self, id: str, seq: int | None, out: int | None) -> bool:  # noqa: A002
        """Return whether the tag may answer with a version that an event added and one retired."""
        if id in self.pinned:
            return True
        added, left = seq or 0, out or float("inf")
        return any(added <= state < left for state in self.states)


def needs(journal: Journal, moment: Moment) -> list[Need]:
    """Return what the tags answer with that are not invalid."""
    meanings = Meanings(journal)
    found = []
    for tag in current(journal, moment):
        if tag.state != INVALID:
            chain = meanings.chain(tag, moment)
            pinned = frozenset(pin.id for each in chain for pin in each.pins)
            found.append(Need(tag.name, frozenset(states_of(chain)), pinned))
    return found


def states_of(chain: Iterable[Tag]) -> set[int]:
    """Return every S that a tag may answer with."""
    chain = list(chain)
    return {chain[0].at, *(step.at for tag in chain for step in tag.steps)}
