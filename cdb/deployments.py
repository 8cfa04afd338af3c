"""What the writes of a database propose to its journal: add, retire, restore, approve, amend.

A deployment is one event, whichever databases it goes to: both copies are there or neither.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from cdb import lineage, validity
from cdb.actor import actor
from cdb.blobs import how_purged, is_kept
from cdb.constant import (
    NO_COPY,
    QUARANTINED,
    RETIRED,
    Version,
    hidden,
    is_experiment_copy,
    is_quarantined,
    key_of,
    left_at_once,
    order_of,
    placed,
    version_of,
)
from cdb.errors import BadQuestion, NotFound, Refused, WrongState
from cdb.events import (
    PURGE,
    QUARANTINE,
    SWEEP,
    Proposal,
    by_whom,
    entry,
    is_of_constants,
    removal_in,
)
from cdb.journal import Commit, Journal
from cdb.moments import Moment
from cdb.stores.base import Progress, new_id

Document = dict[str, Any]

# As many ids a message names.
NAMED = 3


@dataclass
class Deployment:
    """One payload with its document, on its way to one or two databases.

    Attributes
    ----------
    journal : Journal
        Of the store.
    databases : sequence of str
        The experiment's first, if there is one.
    detector : str
        Short name; the collection in each database.
    document : dict
        As `cdb.constant.new_document` made it.
    data : bytes or memoryview
        The payload.
    private : bool
        Whether the database is a private one.
    time : datetime or None
        The time that the caller gave, if any.
    again : bool
        Whether to add even what is there already.
    shared : mapping of str to str
        Bytes with this digest that an event has named already, by database.
    dry_run : bool
        Whether to write nothing.
    progress : callable or None
        Called with the number of bytes uploaded.
    sent : mapping of str to str
        Ids of these bytes where they were uploaded before, by database.
    nonce : str or None
        The caller's own; see `Journal.commit`.
    codes : str
        Of the rules for which it is quarantined, if the document says that it is.
    refused : str
        Why it is kept out; empty if it is not.
    retired : str
        Why it is added as one that has left already; empty if it is not.
    """

    journal: Journal
    databases: Sequence[str]
    detector: str
    document: Document
    data: bytes | memoryview
    private: bool = False
    time: datetime | None = None
    again: bool = False
    shared: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    progress: Progress | None = None
    sent: Mapping[str, str] = field(default_factory=dict)
    nonce: str | None = None
    codes: str = ""
    refused: str = ""
    retired: str = ""
    existing: Document | None = None
    _uploads: dict[str, str] = field(default_factory=dict)

    def commit(self) -> Version:
        """Commit the deployment; return the new version, or the one that is there already."""
        if self.dry_run:
            event = self.journal.rehearse(self.propose)
        else:
            event = self.journal.commit(self.propose, nonce=self.nonce)
        if event is None:
            assert self.existing is not None  # `propose` said so
            return version_of(self.existing, self.databases[0], self.detector)
        made = event["versions"][0]
        if self.nonce is not None:
            self._check_repeated(event)
        version = version_of(made["document"], made["database"], made["collection"])
        return Version(version.id, version.database, version.collection, version.meta, new=True)

    def came_to(self, event: Document) -> Version:
        """Return the version that an event of `commit_together` made, or what was there."""
        if self.existing is not None:
            return version_of(self.existing, self.databases[0], self.detector)
        made = next(
            made
            for made in event["versions"]
            if (made["database"], made["collection"]) == (self.databases[0], self.detector)
            and made.get("document", {}).get("ctype") == self.document["ctype"]
        )
        version = version_of(made["document"], made["database"], made["collection"])
        return Version(version.id, version.database, version.collection, version.meta, new=True)

    def _check_repeated(self, event: Document) -> None:
        """Refuse a nonce under which something else was committed."""
        check_repeated(event, "add", QUARANTINE)
        made = event["versions"][0]
        same = ("ctype", "run", "end", "sha256", "experiment", "version", "comment")
        if made["database"] != self.databases[0] or any(
            made["document"].get(name) != self.document.get(name) for name in same
        ):
            raise WrongState(_other_use(event))

    def propose(self, moment: Moment) -> Proposal | None:
        """Return what to commit as of a moment, None if it is there already."""
        self.existing = None if self.again or self.retired else self._same(moment)
        if self.existing is None and self.refused:
            raise Refused(self.refused)
        if self.existing is None and self._waits and not self.again:
            self.existing = self._same_in_quarantine(moment)
        if self.existing is not None:
            return None
        mentioned = lineage.mentions(self.journal, self.document.get("source"))
        self.journal.check_clock(moment)
        blobs = {database: self._blob(database, moment) for database in self.databases}
        self.journal.step("after blob")
        return Proposal(
            QUARANTINE if self._waits else "add",
            self.codes or self.retired,
            lambda seq, at: self._entries(seq, at, blobs, mentioned),
            keys=frozenset(key_of(d, self.detector, self.document) for d in self.databases),
            uploads=frozenset(self._uploads.items()),
            blobs=frozenset(blobs.items()),
        )

    def _entries(
        self, seq: int, at: int, blobs: Mapping[str, str], mentioned: Iterable[Document]
    ) -> list[Document]:
        entries: list[Document] = []
        leaving: list[Document] = []
        copy_of: tuple[str, str] | str | None = NO_COPY if self.private else None
        for database in self.databases:
            document = placed(
                self.document,
                id=new_id(at),
                seq=seq,
                order=at,
                id_data=blobs[database],
                experiment_copy=copy_of,
            )
            key = key_of(database, self.detector, document)
            # Such a one is born as one that has left: nobody sees it, at any moment.
            stored = left_at_once(document) if self._leaves else document
            entries.append(entry(database, self.detector, document["_id"], key, stored))
            if self._leaves:
                leaving.append(_leaving(entries[-1] | {"document": document}, seq))
            copy_of = copy_of or (document["_id"], blobs[database])
        return entries + leaving + lineage.told(mentioned, entries[0]["id"])

    @property
    def _waits(self) -> bool:
        return self.document.get("gate") == QUARANTINED

    @property
    def waiting(self) -> list[Document]:
        """What the rules found, if it is for this that it is put into quarantine."""
        return list(self.document.get("findings", [])) if self._waits else []

    @property
    def _leaves(self) -> bool:
        return self._waits or bool(self.retired)

    def _same(self, moment: Moment) -> Document | None:
        """Return the last added of these names and validity, if it is the same as this one."""
        asked = self.document
        query = {name: asked[name] for name in ("ctype", "run", "end")}
        found = self.journal.find(
            moment,
            self.databases[0],
            self.detector,
            query,
            detector=self.detector,
            sort=[("order", -1)],
            limit=1,
        )
        last = next(found, None)
        if last is None:
            return None
        wanted = ["sha256", "data_type", "data_dtype", "data_shape", "experiment", "version"]
        if self.time is not None:
            wanted.append("time_sec")
        if any(last.get(name) != asked.get(name) for name in wanted):
            return None
        there = self.journal.store.blob(self.databases[0], str(last.get("id_data")))
        return None if there is None else last

    def _same_in_quarantine(self, moment: Moment) -> Document | None:
        """Return one that waits in quarantine and is the same as this one."""
        place, asked = (self.databases[0], self.detector), self.document
        wanted = {name: asked[name] for name in ("ctype", "run", "end", "sha256", "gate")}
        stored = self.journal.store.find(*place, wanted | {"detector": RETIRED + self.detector})
        known = {document["_id"]: document for document in stored}
        known |= moment.added.get(place, {})
        names = (*wanted, "data_type", "data_dtype", "data_shape", "experiment", "version")
        same = [
            document
            for document in known.values()
            if is_quarantined(document)
            and all(document.get(name) == asked.get(name) for name in names)
            and (self.time is None or document.get("time_sec") == asked["time_sec"])
        ]
        for document in sorted(same, key=order_of, reverse=True):
            if waits(self.journal, fate_of(self.journal, document["_id"]), moment.seq):
                return document
        return None

    def _blob(self, database: str, moment: Moment) -> str:
        """Return the id of the payload's bytes: shared if an event names them, else uploaded."""
        store = self.journal.store
        shared = self.shared.get(database)
        # A proposal is made again only at a moment that has followed all events since the first.
        followed = moment.pending
        if shared is not None and removal_in(followed, database, shared, (PURGE,)):
            shared = None
        if shared is not None and (self.dry_run or self._is_whole(database, shared)):
            return shared
        if self.dry_run:
            return ""
        uploaded = self._uploads.get(database)
        sent = self.sent.get(database)
        if uploaded is None and sent is not None and is_kept(self.journal, database, sent):
            self._uploads[database] = sent
            return sent
        if uploaded is None or removal_in(followed, database, uploaded, (SWEEP,)):
            self._uploads[database] = store.write(
                database,
                self.data,
                sha256=self.document["sha256"],
                head=moment.seq,
                progress=self.progress,
            )
        return self._uploads[database]

    def _is_whole(self, database: str, blob_id: str) -> bool:
        """Return whether bytes are what they should be: a damaged payload heals by a new add."""
        try:
            data = self.journal.store.read(database, blob_id)
        except NotFound:
            return False
        return hashlib.sha256(data).hexdigest() == str(self.document["sha256"])


def check_seen_together(ctype: str, detector: str, findings: Sequence[Mapping[str, Any]]) -> None:
    """Refuse one of several constants that the rules would put into quarantine.

    Parameters
    ----------
    ctype, detector : str
        Which one.
    findings : sequence of mapping
        Why it would be put there; none if it is not.

    Raises
    ------
    Refused
        Naming what was found.
    """
    if findings:
        why = "; ".join(str(finding.get("message", "")) for finding in findings)
        raise Refused(
            f"{ctype} of {detector} would be put into quarantine ({why}), and the others be seen "
            "without it, so none is added; mend it, or say other --gates"
        )


def commit_together(
    journal: Journal, several: Sequence[Deployment], *, dry_run: bool = False
) -> list[Version]:
    """Commit several deployments by one event: all of them, or none.

    Parameters
    ----------
    journal : Journal
        Of the store.
    several : sequence of Deployment
        Of one detector, each of another type of constant.
    dry_run : bool, optional
        Only check.

    Returns
    -------
    versions : list of Version
        In the order of the deployments; of one that is there already, what is there.

    Raises
    ------
    Refused
        If the rules keep one of them out, or would put it into quarantine: the others would be
        seen without it.
    """
    if len(several) > 1:
        for each in several:
            check_seen_together(each.document["ctype"], each.detector, each.waiting)

    def propose(moment: Moment) -> Proposal | None:
        made = [each.propose(moment) for each in several]
        new = [proposal for proposal in made if proposal is not None]
        if not new:
            return None
        return Proposal(
            new[0].action,
            "; ".join(filter(None, dict.fromkeys(proposal.reason for proposal in new))),
            lambda seq, at: [made for proposal in new for made in proposal.build(seq, at)],
            keys=frozenset().union(*(proposal.keys for proposal in new)),
            uploads=frozenset().union(*(proposal.uploads for proposal in new)),
            blobs=frozenset().union(*(proposal.blobs for proposal in new)),
        )

    event = journal.rehearse(propose) if dry_run else journal.commit(propose)
    return [each.came_to(event or {"versions": []}) for each in several]


def check_repeated(event: Document, *actions: str) -> None:
    """Refuse an event that was committed under the caller's nonce, but not for what he asks now.

    Raises
    ------
    WrongState
        If it is another action, or another's.
    """
    if event["action"] not in actions or event["actor"] != actor().login:
        raise WrongState(_other_use(event))


def _other_use(event: Document) -> str:
    return (
        f"the idempotency key {event['nonce']} was used for something else, event {event['_id']}; "
        "make a new key for each new request"
    )


@dataclass(frozen=True)
class Fate:
    """What the journal says of one version: the event that added it, its copies, and its end.

    Attributes
    ----------
    added : dict
        The event.
    copies : tuple of dict
        The entries of the deployment, the experiment's first.
    left : dict or None
        The event that retired or replaced it.
    successor : str or None
        Id of what replaced it, or of what restored it.
    """

    added: Document
    copies: tuple[Document, ...]
    left: Document | None
    successor: str | None


def fate_of(journal: Journal, version_id: str) -> Fate:
    """Return what became of a version, by the events that name it.

    Raises
    ------
    NotFound
        If no event does.
    """
    return fates_of(journal, [version_id])[version_id]


def fates_of(
    journal: Journal, version_ids: Sequence[str], *, upto: int | None = None
) -> dict[str, Fate]:
    """Return what became of each of several versions; by an event, if one is named.

    Raises
    ------
    NotFound
        Naming those that no event names.
    """
    entries: dict[str, list[tuple[Document, Document]]] = {id_: [] for id_ in version_ids}
    for event in journal.events_naming(*entries):
        for made in event["versions"] if upto is None or event["_id"] <= upto else ():
            if made["id"] in entries and is_of_constants(made):
                entries[made["id"]].append((event, made))
    unknown = [id_ for id_, told in entries.items() if not any("document" in e for _, e in told)]
    if unknown and journal.store.no_journal:
        raise WrongState(f"no event names a version here: {journal.store.no_journal}")
    if unknown:
        raise NotFound(
            f"no version {_some(unknown)} is known to the journal; `cdb history` shows ids, and "
            "`cdb adopt` takes in documents of other programs"
        )
    return {id_: _fate(id_, told) for id_, told in entries.items()}


def _some(ids: Sequence[str]) -> str:
    """Return the first few of many ids, and how many there are besides."""
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more


def _fate(version_id: str, told: Sequence[tuple[Document, Document]]) -> Fate:
    """Return a fate from the events that name a version, each with its entry."""
    added = next(event for event, made in reversed(told) if "document" in made)
    left = next((event for event, made in reversed(told) if "set" in made), None)
    successor = next((made["copy"] for _, made in reversed(told) if made.get("copy")), None)
    return Fate(added, _copies(added["versions"], version_id), left, successor)


def version_by_id(journal: Journal, moment: Moment, version_id: str) -> Version:
    """Return a version as it stood at a moment, also one that had left.

    Raises
    ------
    NotFound
        If the journal did not know it then.
    """
    fate = fate_of(journal, version_id)
    if fate.added["_id"] > moment.seq:
        raise NotFound(
            f"no version {version_id} is known as of event {moment.seq}: it was added by event "
            f"{fate.added['_id']}"
        )
    made = next(made for made in fate.added["versions"] if made["id"] == version_id)
    document = dict(made["document"])
    if fate.left is not None:
        document["out"] = fate.left["_id"]
    return version_of(document, made["database"], made["collection"], seq=moment.seq)


def _copies(entries: Sequence[Document], version_id: str) -> tuple[Document, ...]:
    """Return the entries of the deployment that a version belongs to."""
    made = next(e for e in entries if e["id"] == version_id)
    document = made["document"]
    main = version_id if is_experiment_copy(document) else document["id_doc_exp"]
    copies = [e for e in entries if "document" in e]
    found = [e for e in copies if e["id"] == main or e["document"].get("id_doc_exp") == main]
    return tuple(sorted(found or [made], key=lambda e: e["id"] != main))


def _in_state(journal: Journal, fate: Fate, version_id: str, *, live: bool) -> Fate:
    """Leave out copies that are not in the state of the version: they left one by one."""

    def fits(made: Document) -> bool:
        if made["id"] == version_id:
            return True
        other = fate_of(journal, made["id"])
        return other.left is None if live else other.left is not None and other.successor is None

    return replace(fate, copies=tuple(filter(fits, fate.copies)))


def retire(journal: Journal, commit: Commit, version_id: str, reason: str) -> Version:
    """Retire a version, all its copies in one event."""
    return retire_all(journal, commit, [version_id], reason)[0]


def retire_all(
    journal: Journal, commit: Commit, version_ids: Sequence[str], reason: str
) -> list[Version]:
    """Retire versions with all their copies: all of them in one event, or none.

    Returns
    -------
    versions : list of Version
        Of each the experiment's copy, where there are two that have not left.
    """
    _check_reason(reason)

    def propose(_: Moment) -> Proposal:
        fates = fates_of(journal, version_ids)
        for version_id, fate in fates.items():
            if fate.left is not None:
                raise WrongState(f"{version_id} has left already: {end_of(fate)}")
        leaving = _live_copies(journal, fates.values())
        return Proposal(
            "retire",
            reason,
            lambda seq, _: [_leaving(made, seq) for made in leaving.values()],
            keys=frozenset(made["key"] for made in leaving.values()),
            ids=frozenset(leaving),
        )

    event = _committed(commit, propose, "retire", *version_ids)
    # Of an event that was committed before, under the same key, nothing was proposed now.
    named = {made["id"] for made in event["versions"]}
    fates = fates_of(journal, version_ids).values()
    firsts = [next(e for e in fate.copies if e["id"] in named) for fate in fates]
    return [
        version_of(made["document"] | {"out": event["_id"]}, made["database"], made["collection"])
        for made in firsts
    ]


def _live_copies(journal: Journal, fates: Iterable[Fate]) -> dict[str, Document]:
    """Return the entries of all copies that have not left, by id; each once."""
    copies = {made["id"]: made for fate in fates for made in fate.copies}
    found = fates_of(journal, list(copies))
    return {id_: made for id_, made in copies.items() if found[id_].left is None}


def restore(journal: Journal, commit: Commit, version_id: str, reason: str) -> Version:
    """Restore a retired version: a copy of it that keeps its old place among equals."""
    _check_reason(reason)

    def propose(_: Moment) -> Proposal:
        fate = fate_of(journal, version_id)
        if fate.left is None:
            raise WrongState(f"{version_id} was not retired: nothing to restore")
        _check_no_successor(fate, version_id)
        if fate.left["action"] == QUARANTINE:
            raise WrongState(
                f"{version_id} never was in force: {end_of(fate)}; `cdb approve` lets it in"
            )
        return _brought_back(journal, fate, version_id, "restore", reason, {})

    return _successor(_committed(commit, propose, "restore", version_id))


def approve(journal: Journal, commit: Commit, version_id: str, reason: str) -> Version:
    """Let a quarantined version in: a copy of it, whose place among equals is that of its adding.

    All copies of its deployment come in by one event.
    """
    _check_reason(reason)

    def propose(_: Moment) -> Proposal:
        fate = fate_of(journal, version_id)
        if fate.left is None or fate.left["action"] != QUARANTINE:
            raise WrongState(f"{version_id} is not in quarantine: {end_of(fate)}")
        _check_no_successor(fate, version_id)
        return _brought_back(journal, fate, version_id, "approve", reason, {"gate": "approved"})

    return _successor(_committed(commit, propose, "approve", version_id))


def waits(journal: Journal, fate: Fate, seq: int) -> bool:
    """Return whether a version that was quarantined could be let in after an event."""
    purge = _purge_of(journal, fate) if fate.successor is None else None
    return fate.successor is None and (purge is None or purge["_id"] > seq)


def _check_no_successor(fate: Fate, version_id: str) -> None:
    if fate.successor is not None:
        raise WrongState(f"{version_id} has a successor already, {fate.successor}: {end_of(fate)}")


def _brought_back(
    journal: Journal,
    fate: Fate,
    version_id: str,
    action: str,
    reason: str,
    changes: Mapping[str, Any],
) -> Proposal:
    """Return a proposal that adds copies of what left, in its old place among equals."""
    fate = _in_state(journal, fate, version_id, live=False)
    purge = _purge_of(journal, fate)
    if purge is not None:
        raise WrongState(
            f"the data of {version_id} were {how_purged(purge)}: nothing to {action}; add them "
            "again"
        )
    return _renewed(fate, action, reason, changes, leaves=False)


def _purge_of(journal: Journal, fate: Fate) -> Document | None:
    """Return an event that purged the bytes of one of the copies, None if none did."""
    for made in fate.copies:
        event = journal.purge_of(made["database"], str(made["document"].get("id_data")))
        if event is not None:
            return event
    return None


def amend(
    journal: Journal, commit: Commit, version_id: str, changes: Mapping[str, Any], reason: str
) -> Version:
    """Replace a version's metadata on the same payload; its place among equals stays."""

    def propose(_: Moment) -> Proposal:
        fate = fate_of(journal, version_id)
        if fate.left is not None:
            raise WrongState(f"{version_id} has left already: {end_of(fate)}{_way_back(fate)}")
        fate = _in_state(journal, fate, version_id, live=True)
        mentioned = lineage.mentions(journal, changes.get("source"))
        if mentioned:
            lineage.check_descent(journal, version_id, changes["source"])
        return _renewed(fate, "amend", reason, changes, leaves=True, mentioned=mentioned)

    return _successor(_committed(commit, propose, "amend", version_id))


def amended_runs(
    journal: Journal, version_id: str, run: int | str | None, run_end: int | str | None
) -> Document:
    """Return the fields of a version's runs with a new first run, a new last one, or both."""
    document = fate_of(journal, version_id).copies[0]["document"]
    old = validity.range_of(document) or validity.RunRange(0)
    runs = validity.RunRange.parse(
        old.begin if run is None else run, old.text_end if run_end is None else run_end
    )
    return {"run": runs.begin, "run_end": runs.text_end, "end": runs.stored_end}


def _check_reason(reason: str) -> None:
    if not isinstance(reason, str) or not reason.strip():
        raise BadQuestion("a reason is needed: it is what others will read years later")


def _committed(
    commit: Commit, propose: Callable[[Moment], Proposal], action: str, *version_ids: str
) -> Document:
    event = commit(propose)
    assert event is not None  # `propose` always proposes
    check_repeated(event, action)
    if not set(version_ids) <= {made["id"] for made in event["versions"]}:
        raise WrongState(_other_use(event))
    return event


def _successor(event: Document) -> Version:
    made = next(e for e in event["versions"] if "document" in e)
    version = version_of(made["document"], made["database"], made["collection"])
    return Version(version.id, version.database, version.collection, version.meta, new=True)


def _renewed(
    fate: Fate,
    action: str,
    reason: str,
    changes: Mapping[str, Any],
    *,
    leaves: bool,
    mentioned: Sequence[Document] = (),
) -> Proposal:
    """Return a proposal that adds changed copies of a deployment's documents."""
    fresh = [{**_without_place(made["document"]), **changes} for made in fate.copies]
    keys = {made["key"] for made in fate.copies}
    keys |= {
        key_of(made["database"], made["collection"], document)
        for made, document in zip(fate.copies, fresh, strict=True)
    }

    def build(seq: int, _: int) -> list[Document]:
        entries: list[Document] = []
        main: tuple[str, str] | None = None
        for made, document in zip(fate.copies, fresh, strict=True):
            old = made["document"]
            order = order_of(old)
            alone = is_experiment_copy(old)
            new = placed(
                document,
                id=new_id(order),
                seq=seq,
                order=order,
                id_data=old.get("id_data") or "",
                experiment_copy=old.get("id_doc_exp") or None if alone else main,
                first=old.get("first") or old["_id"],
                replaces=old["_id"],
            )
            main = main or (new["_id"], new["id_data"])
            key = key_of(made["database"], made["collection"], new)
            entries.append(entry(made["database"], made["collection"], new["_id"], key, new))
            # The old entry names its successor, so that either finds the other.
            gone = _leaving(made, seq) if leaves else _mention(made)
            entries.append(gone | {"copy": new["_id"]})
        return entries + lineage.told(mentioned, entries[0]["id"])

    ids = frozenset(made["id"] for made in fate.copies)
    blobs = frozenset((m["database"], str(m["document"].get("id_data"))) for m in fate.copies)
    kind = lineage.Related if mentioned else Proposal
    return kind(action, reason, build, keys=frozenset(keys), ids=ids, blobs=blobs)


def _without_place(document: Mapping[str, Any]) -> Document:
    """Return what a copy of a document keeps, its detector by its own name."""
    gone = ("_id", "seq", "order", "first", "replaces", "out", "adopted")
    kept = {name: value for name, value in document.items() if name not in gone}
    if isinstance(kept.get("detector"), str):
        kept["detector"] = kept["detector"].removeprefix(RETIRED)
    return kept


def _mention(made: Mapping[str, Any]) -> Document:
    return entry(made["database"], made["collection"], made["id"], made["key"])


def _leaving(made: Mapping[str, Any], seq: int) -> Document:
    """Return the entry under which a document leaves: psana's queries no longer find it."""
    return _mention(made) | {"set": {"out": seq, **hidden(made["document"])}}


def _way_back(fate: Fate) -> str:
    if fate.successor is not None or fate.left is None:
        return ""
    if fate.left["action"] == QUARANTINE:
        return "; `cdb approve` lets it in"
    return "; `cdb restore` brings it back"


def end_of(fate: Fate) -> str:
    """Return how a version left: by whom, when and why."""
    event = fate.left
    if event is None:
        return "it is live"
    done = {"amend": f"replaced by {fate.successor}", QUARANTINE: "quarantined"}.get(
        event["action"], "retired"
    )
    return f"{done} {by_whom(event)}"
