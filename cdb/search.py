"""Answers from a store: the winner by a few bounded queries, and every candidate explained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cdb import validity
from cdb.constant import RETIRED, Version, version_of
from cdb.errors import shown
from cdb.events import QUARANTINE
from cdb.journal import Journal
from cdb.lookup import Closest, Place, Prior, Question, Row, Rule, choose, row_of, rule_at
from cdb.moments import Moment

# A winner comes first or right after documents of other programs; the rest is for these.
PAGE = 4

Document = dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A version that was looked at, and why it won or lost."""

    version: Version
    reason: str

    @property
    def won(self) -> bool:
        """Whether it is the one."""
        return self.reason.startswith("wins")


@dataclass(frozen=True)
class Explanation:
    """Why a look-up chose what it chose.

    Attributes
    ----------
    winner : Version or None
        What `Database.get` returns.
    candidates : tuple of Candidate
        Every version of the type in all places that belong to the question, the best first.
    seq : int
        S: the state that was looked at.
    note : str
        What else one should know, for example that documents took part that no event names.
    """

    winner: Version | None
    candidates: tuple[Candidate, ...]
    seq: int
    note: str = ""

    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """Return a row of texts per candidate: database, id, runs, time, version, reason."""
        return [
            (
                candidate.version.database,
                candidate.version.id,
                str(candidate.version.runs or "?"),
                validity.to_the_second(candidate.version.time),
                str(candidate.version.meta.get("version", "")),
                candidate.reason,
            )
            for candidate in self.candidates
        ]

    def __str__(self) -> str:
        """Return a table."""
        table = [("database", "id", "runs", "time", "version", "reason"), *self.rows()]
        widths = [max(len(row[n]) for row in table) for n in range(5)] + [0]
        lines = ["  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip()
                 for row in table]  # fmt: skip
        return "\n".join([*lines, *([self.note] if self.note else [])])


def winner(
    journal: Journal,
    moment: Moment,
    places: Sequence[Place],
    question: Question,
    detector: str,
    ctype: str,
) -> Version | None:
    """Return the version that a question's rule chooses, asking each place for a few documents.

    Parameters
    ----------
    journal : Journal
        Of the store to ask.
    moment : Moment
        As of when.
    places : sequence of Place
        Where to look, in order.
    question : Question
        What is asked.
    detector : str
        Short name.
    ctype : str
        Type of the constant.
    """

    def read(both_forms: bool) -> tuple[Place, Document] | None:
        return _first(journal, moment, places, question, detector, ctype, both_forms)

    found = journal.steady(moment, [(place.database, place.collection) for place in places], read)
    if found is None:
        return None
    place, document = found
    return version_of(document, place.database, place.collection, seq=moment.seq)


def _first(
    journal: Journal,
    moment: Moment,
    places: Sequence[Place],
    question: Question,
    detector: str,
    ctype: str,
    both_forms: bool,
) -> tuple[Place, Document] | None:
    for place in places:
        rule = rule_at(place, question)
        asking = _Asking(journal, moment, place, detector, _wanted(question, ctype), both_forms)
        pin = pinned(moment, place, ctype, rule, question.version)
        document = asking.best(rule) if pin is None else pin.document
        if document is not None:
            return place, document
    return None


class Pin(NamedTuple):
    """A document that stands in its place, and the tag that pins it there."""

    document: Document
    tag: str


def pinned(
    moment: Moment, place: Place, ctype: str, rule: Rule, label: str | None = None
) -> Pin | None:
    """Return the pinned version that a rule chooses in a place, None if it admits none.

    What a tag pins itself goes before what the tags pin that it is based on.
    """
    for pins in moment.pins:
        documents = pins.documents.get((place.database, place.collection, ctype), ())
        rows = {row_of(d): d for d in documents if label in (None, d.get("version"))}
        best = choose(rows, rule)
        if best is not None:
            return Pin(rows[best], pins.tag)
    return None


def _wanted(question: Question, ctype: str) -> Document:
    """Return what every candidate has: the type and, if one is asked for, the label."""
    label = {} if question.version is None else {"version": question.version}
    return {"ctype": ctype, **label}


@dataclass(frozen=True)
class _Asking:
    """Bounded questions to one place."""

    journal: Journal
    moment: Moment
    place: Place
    detector: str
    wanted: Mapping[str, Any]
    both_forms: bool

    def best(self, rule: Rule) -> Document | None:
        """Return the document that wins; reads on only past documents of other programs."""
        if isinstance(rule, Closest):
            return self._closest(rule)
        limit = PAGE
        while True:
            best: tuple[Row, Document] | None = None
            number = 0
            for document in self._find(rule.query(), rule.sort, limit):
                number += 1
                row = row_of(document)
                better = best is None or rule.rank(row) > rule.rank(best[0])
                if better and rule.why_not(row) is None:
                    best = row, document
                if best and rule.is_settled(best[0], row):
                    return best[1]
            if number < limit:
                return best[1] if best else None
            limit *= 4

    def _closest(self, rule: Closest) -> Document | None:
        """Return the better of the last one before and the first one after."""
        found = [self.best(Prior(rule.time))]
        later = {"time_sec": {"$gt": rule.time}}
        for document in self._find(later, (("time_sec", 1), ("_id", 1)), 1):
            found.append(self.best(Prior(row_of(document).time_sec)))
        rows = {row_of(document): document for document in found if document}
        best = choose(rows, rule)
        return None if best is None else rows[best]

    def _find(self, query: Mapping[str, Any], sort: Sequence[tuple[str, int]], limit: int) -> Any:
        return self.journal.find(
            self.moment,
            self.place.database,
            self.place.collection,
            {**self.wanted, **query},
            detector=self.detector,
            sort=sort,
            limit=limit,
            both_forms=self.both_forms,
        )


def explain(
    journal: Journal,
    moment: Moment,
    places: Sequence[Place],
    question: Question,
    detector: str,
    ctype: str,
) -> Explanation:
    """Return every candidate with the reason why it won or lost; see `winner`."""
    won: Version | None = None
    candidates: list[Candidate] = []
    unadopted = False
    asked: set[str] = set()
    for place in places:
        if place.database in asked:
            if won is not None:
                continue
            # Asked once more, by another rule: that one has the last word.
            candidates = [c for c in candidates if c.version.database != place.database]
        asked.add(place.database)
        rule = rule_at(place, question)
        visible, hidden = _all_of(journal, moment, place, detector, ctype)
        unadopted |= moment.asked and any(version.seq is None for version in visible)
        hidden += _otherwise_labelled(visible, question.version)
        named = [v for v in visible if question.version in (None, v.meta.get("version"))]
        rows = {row_of(version.meta): version for version in named}
        pin = pinned(moment, place, ctype, rule, question.version)
        best = choose(rows, rule) if pin is None else row_of(pin.document)
        ranked = sorted(rows, key=lambda row, r=rule, b=best: _standing(row, r, b), reverse=True)  # type: ignore[misc]
        for row in ranked:
            reason = _reason(row, rule, best, place, won, pin)
            candidates.append(Candidate(rows[row], reason))
        candidates += hidden
        if won is None and best is not None:
            won = rows[best]
    note = "documents that no event names took part: run `cdb adopt`" if unadopted else ""
    return Explanation(won, tuple(candidates), moment.seq, note)


def _otherwise_labelled(versions: Sequence[Version], label: str | None) -> list[Candidate]:
    if label is None:
        return []
    labels = [(version, version.meta.get("version")) for version in versions]
    return [Candidate(v, f"has the label {shown(has)}") for v, has in labels if has != label]


def _standing(row: Row, rule: Rule, best: Row | None) -> tuple[Any, ...]:
    admitted = rule.why_not(row) is None
    return (row == best, admitted, rule.rank(row) if admitted else (row.order, row.id))


def _reason(
    row: Row, rule: Rule, best: Row | None, place: Place, won: Version | None, pin: Pin | None
) -> str:
    refused = rule.why_not(row)
    if refused:
        return refused
    if won is not None:
        return f"not asked: {won.database} had one"
    assert best is not None  # this row is admitted
    if pin is not None and row == best:
        return f"wins: pinned by tag {pin.tag}"
    if pin is not None:
        return f"passed over: tag {pin.tag} pins {best.id}"
    if row == best:
        return "wins: " + _merit(rule, place)
    return _weaker(row, best, rule)


def _merit(rule: Rule, place: Place) -> str:
    summary = (type(rule).__doc__ or "").split("\n")[0].rstrip(".")
    return f"{summary[:1].lower()}{summary[1:]} ({place.kind})"


def _weaker(row: Row, best: Row, rule: Rule) -> str:
    """Say in which respect a version is weaker than the winner."""
    names = [name for name, _ in rule.sort]
    if "run" in names and row.run != best.run:
        return f"starts earlier (run {row.run}) than the winner (run {best.run})"
    if "run" in names and row.end != best.end:
        return "same start, but a wider range than the winner"
    by_time = "time_sec" in names or isinstance(rule, Closest)
    if by_time and row.time_sec != best.time_sec:
        return f"{abs(row.time_sec - best.time_sec)} s off the winner's time"
    return "added before the winner" if row.order <= best.order else "added after the winner"


def _all_of(
    journal: Journal, moment: Moment, place: Place, detector: str, ctype: str
) -> tuple[list[Version], list[Candidate]]:
    """Return the visible versions of a place, and the others with the reason."""
    database, collection = place.database, place.collection
    query = {"ctype": ctype, "detector": {"$in": [detector, RETIRED + detector]}}
    seen = journal.find(
        moment, database, collection, {"ctype": ctype}, detector=detector, both_forms=True
    )
    visible = {d["_id"]: version_of(d, database, collection, seq=moment.seq) for d in seen}
    hidden = []
    for document in journal.store.find(database, collection, query, sort=[("_id", -1)]):
        if document["_id"] not in visible:
            version = version_of(document, database, collection)
            hidden.append(Candidate(version, _why_hidden(version, moment, journal)))
    return list(visible.values()), hidden


def _why_hidden(version: Version, moment: Moment, journal: Journal) -> str:
    gone = moment.gone.get((version.database, version.collection), {})
    out = version.out if version.out is not None else gone.get(version.id)
    if version.seq is not None and version.seq > moment.seq:
        return f"added later, by event {version.seq}"
    if out is None:
        return "inserted later, by another program"
    return what_happened(journal.event(out), version.id)


def what_happened(event: Mapping[str, Any] | None, version_id: str) -> str:
    """Say who retired, replaced or quarantined a version, when and why."""
    if event is None:
        return "retired"
    made: Document = next((e for e in event["versions"] if e["id"] == version_id), {})
    done = f"replaced by {made['copy']}" if made.get("copy") else "retired"
    if event["action"] == QUARANTINE:
        done = "quarantined"
    seconds = event["at"] // 1_000_000
    reason = f": {event['reason']}" if event["reason"] else ""
    return f"{done} by {event['actor']} at {_utc(seconds)} (event {event['_id']}){reason}"


def _utc(seconds: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
