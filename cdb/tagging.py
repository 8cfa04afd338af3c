"""The tags of a store: created, moved from state to state, pinned, advanced, deleted, compared."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from cdb import affected, deployments, tags
from cdb.actor import actor
from cdb.affected import Affected
from cdb.errors import BadQuestion, NotFound, WrongState, shown
from cdb.events import Proposal, entry
from cdb.moments import Moment
from cdb.names import TagName, check_experiment, check_tag, parse_tag
from cdb.reading import AsOf, Readable, Time
from cdb.stores.query import Document
from cdb.tags import INVALID, MOVES, OPEN, PLACE, STATES, TESTING, Pin, Step, Tag
from cdb.validity import parse_run, parse_time, seconds

# An event holds all that a tag says: at most 12 MB.
MAX_PINS = 10_000
MAX_STEPS = 10_000

PINNABLE = (OPEN, TESTING)

# From the number of the event to the fields of the next revision; None deletes the tag.
_Fields = Callable[[int], Document] | None


class Tags:
    """The tags of a store.

    Parameters
    ----------
    db : Readable
        The store's constants.
    """

    def __init__(self, db: Readable) -> None:
        self._db = db
        self._journal = db.journal

    # asking ------------------------------------------------------------------------------------

    def list(self) -> list[Tag]:
        """Return all tags, by name."""
        return tags.current(self._journal, self._journal.moment())

    def get(self, name: str) -> Tag:
        """Return a tag.

        Parameters
        ----------
        name : str
            Its name; or ``name#revision``, ``name@server``, see `cdb.names.parse_tag`.

        Raises
        ------
        BadName
            If that is no name of a tag.
        NotFound
            If there is no such tag.
        WrongServer
            If it is another store's.
        """
        return tags.find(self._journal, self._journal.moment(), parse_tag(name))

    def revisions(self, name: str) -> Sequence[Tag]:
        """Return all revisions of a tag, the last one first; errors are those of `get`."""
        cited = parse_tag(name)
        tags.check_server(self._journal, cited)
        found = tags.revisions(self._journal, self._journal.moment(), cited.name)
        return found or [self.get(name)]

    def compare(
        self,
        a: AsOf,
        b: AsOf,
        *,
        detector: str | None = None,
        experiment: str | None = None,
        time: Time | None = None,
    ) -> Iterator[Affected]:
        """Yield the keys and runs that two tags, or states, answer differently.

        Parameters are those of `cdb.affected.between`.
        """
        return affected.between(self._db, a, b, detector=detector, experiment=experiment, time=time)

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
        """Give a state of the store a name; its cost does not depend on what the store holds.

        Parameters
        ----------
        name : str
            Letters, digits, ``.``, ``_`` and ``-``, a letter first.
        at : int, datetime or str, optional
            Event or time; the present state without it.
        base : str, optional
            Another tag, instead of a state: what this one does not say, that one says, as it is
            now.
        comment : str, optional
            What it is for.
        dry_run : bool, optional
            Only check.
        key : str, optional
            Idempotency key, as of `Database.add`.

        Raises
        ------
        BadName
            If the name cannot be used.
        WrongState
            If it is taken: a tag that was published or is invalid keeps its name for ever.
        """
        check_tag(name)
        _check_text("comment", comment)
        if at is not None and base is not None:
            raise BadQuestion("a tag stands for a state or is based on another: give at or base")
        seq = None if at is None else self._db.moment(at).seq
        if self._db.store.no_journal:
            raise WrongState(f"there is no state to name: {self._db.store.no_journal}")

        def begin(moment: Moment) -> tuple[None, _Fields]:
            if not moment.seq:
                raise WrongState(
                    "this store holds nothing yet, so there is no state to name; add a constant "
                    "first"
                )
            taken = tags.last(self._journal, moment, name)
            if taken is not None and taken.out is None:
                raise WrongState(_taken(taken))
            fields: Document = {"state": OPEN, "pins": [], "steps": [], "comment": comment}
            if base is None:
                return None, lambda number: fields | {"at": number - 1 if seq is None else seq}
            found = tags.find(self._journal, moment, parse_tag(base))
            if found.state == INVALID:
                raise WrongState(f"the tag {found.name} is invalid; base none on it")
            fields |= {"at": found.at, "base": {"name": found.name, "id": found.id}}
            return None, lambda _: fields

        return self._commit(name, begin, "", dry_run, key)

    def move(
        self, name: str, state: str, *, reason: str = "", dry_run: bool = False,
        key: str | None = None,
    ) -> Tag:  # fmt: skip
        """Move a tag to another state.

        Parameters
        ----------
        name : str
            Of the tag.
        state : str
            testing, validated, published, or invalid: from open on in this order, to invalid
            from any but published.
        reason : str, optional
            Why; it is kept.
        dry_run, key : optional
            See `create`.

        Raises
        ------
        WrongState
            Naming the states that it may be moved to.
        """
        if state not in STATES:
            raise BadQuestion(f"{shown(state)} is no state of a tag; there are {', '.join(STATES)}")

        def change(_: Moment, tag: Tag) -> _Fields:
            if state not in MOVES[tag.state]:
                legal = " or ".join(MOVES[tag.state])
                may = f"it may become {legal}" if legal else "it never changes again"
                raise WrongState(f"the tag {tag.name} is {tag.state}, not to become {state}: {may}")
            return lambda _: {"state": state}

        return self._change(name, change, dry_run, key, reason=reason)

    def pin(
        self, name: str, version: str | Sequence[str], *, dry_run: bool = False,
        key: str | None = None,
    ) -> Tag:  # fmt: skip
        """Let versions stand in their places, whatever the tag's state shows there.

        Parameters
        ----------
        name : str
            Of the tag, which is open or testing.
        version : str or sequence of str
            Ids. Each is pinned in its own database alone: of a deployment to an experiment and to
            the detector, the copy that is named.
        dry_run, key : optional
            See `create`.

        Raises
        ------
        NotFound
            If the journal does not know a version.
        WrongState
            If a version has left, or is pinned; if the tag is in a later state, or full.
        """
        ids = ids_of(version)

        def change(moment: Moment, tag: Tag) -> _Fields:
            _check_state(tag, PINNABLE, "pinned in")
            known = {pin.id for pin in tag.pins}
            if again := [id_ for id_ in ids if id_ in known]:
                raise WrongState(f"the version {again[0]} is pinned in {tag.name} already")
            pins = [*tag.pins, *self._pins_of(tag, moment, ids)]
            if len(pins) > MAX_PINS:
                raise WrongState(
                    f"a tag pins at most {MAX_PINS} versions, and these would be {len(pins)}; "
                    "name a state that has them, with --at"
                )
            return lambda _: {"pins": [vars(pin) for pin in pins]}

        return self._change(name, change, dry_run, key, rests_on=ids)

    def unpin(
        self, name: str, version: str | Sequence[str], *, dry_run: bool = False,
        key: str | None = None,
    ) -> Tag:  # fmt: skip
        """Take pins back; parameters are those of `pin`.

        Raises
        ------
        NotFound
            If the tag does not pin a version.
        WrongState
            If the tag is in a later state.
        """
        ids = ids_of(version)

        def change(_: Moment, tag: Tag) -> _Fields:
            _check_state(tag, PINNABLE, "unpinned in")
            known = [pin.id for pin in tag.pins]
            for id_ in ids:
                if id_ not in known:
                    some = ", ".join(known[:10]) or "nothing"
                    raise NotFound(f"the tag {tag.name} does not pin {shown(id_)}; it pins {some}")
            return lambda _: {"pins": [vars(pin) for pin in tag.pins if pin.id not in ids]}

        return self._change(name, change, dry_run, key)

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
        """Let another state answer from a run of an experiment, or from a time, on.

        Parameters
        ----------
        name : str
            Of the tag, which is not yet published.
        at : int, datetime or str, optional
            Event or time: the other state; the present one without it.
        experiment : str, optional
            Whose runs are meant.
        run : int, optional
            From which on.
        time : datetime, int, float or str, optional
            From which time on, instead.
        dry_run, key : optional
            See `create`.

        Raises
        ------
        WrongState
            Naming the runs, or times, whose answers would change and what answers them; or if the
            tag never changes again.
        """
        step_of = _step(experiment, run, time)
        seq = None if at is None else self._db.moment(at).seq

        def change(moment: Moment, tag: Tag) -> _Fields:
            _check_state(tag, tuple(state for state in MOVES if MOVES[state]), "advanced")
            _check_order(step_of(0), self._db.meanings.chain(tag, moment))
            if len(tag.steps) >= MAX_STEPS:
                raise WrongState(
                    f"a tag has at most {MAX_STEPS} steps, and {tag.name} has them; create one "
                    "that is based on it"
                )

            def fields(number: int) -> Document:
                step = step_of(number - 1 if seq is None else seq)
                return {"steps": [each.as_json() for each in (*tag.steps, step)]}

            return fields

        return self._change(name, change, dry_run, key)

    def delete(self, name: str, *, dry_run: bool = False, key: str | None = None) -> Tag:
        """Delete an open tag; its name is free again, and its revisions can still be cited.

        Raises
        ------
        WrongState
            If it is not open.
        """

        def change(_: Moment, tag: Tag) -> _Fields:
            _check_state(tag, (OPEN,), "deleted")
            return None

        return self._change(name, change, dry_run, key)

    def _change(
        self,
        name: str,
        change: Callable[[Moment, Tag], _Fields],
        dry_run: bool,
        key: str | None,
        *,
        reason: str = "",
        rests_on: Sequence[str] = (),
    ) -> Tag:
        """Commit what becomes of a tag that there is."""

        def revise(moment: Moment) -> tuple[Tag, _Fields]:
            tag = tags.find(self._journal, moment, cited)
            return tag, change(moment, tag)

        cited = parse_tag(name)
        if cited.revision is not None:
            raise BadQuestion(
                f"{cited} is one revision, which never changes; name the tag: {cited.name}"
            )
        return self._commit(cited.name, revise, reason, dry_run, key, rests_on)

    def _commit(
        self,
        name: str,
        revise: Callable[[Moment], tuple[Tag | None, _Fields]],
        reason: str,
        dry_run: bool,
        key: str | None,
        rests_on: Sequence[str] = (),
    ) -> Tag:
        _check_text("reason", reason)

        def propose(moment: Moment) -> Proposal:
            tag, fields = revise(moment)
            earlier = tag or tags.last(self._journal, moment, name)
            build = self._entries(name, tag, earlier, reason, fields)
            keys, blobs = self._rests_on(rests_on)
            left = frozenset[str]() if tag is None else frozenset([tag.id])
            return Proposal(tags.TAG, reason, build, keys | {tags.KEY}, ids=left, blobs=blobs)

        if dry_run:
            event = self._journal.rehearse(propose)
        else:
            event = self._journal.commit(propose, nonce=key)
        assert event is not None  # `propose` always proposes
        if key is not None and not dry_run:
            deployments.check_repeated(event, tags.TAG)
        made = event["versions"][-1]
        if "document" in made:
            return tags.tag_of(made["document"])
        return self.get(str(TagName(name, int(made["id"][16:], 16))))

    def _entries(
        self, name: str, tag: Tag | None, earlier: Tag | None, reason: str, fields: _Fields
    ) -> Callable[[int, int], Sequence[Document]]:
        """Return what makes the entries of an event: a revision leaves, the next one comes."""
        revision = 1 if earlier is None else earlier.revision + 1
        id_ = TagName(name, revision).id
        said: Document = {} if tag is None else tags.said(tag)

        def build(seq: int, at: int) -> Sequence[Document]:
            more: dict[str, Any] = {"name": name} if fields is None else {}
            gone = [] if tag is None else [
                entry(*PLACE, tag.id, tags.KEY, set={"out": seq}, **more)
            ]  # fmt: skip
            if fields is None:
                return gone  # no document tells the name
            document: Document = {"_id": id_, "name": name, "server": self._journal.identity()}
            document |= {"made": at, "first": id_} | said | fields(seq)
            document |= {"_id": id_, "revision": revision, "reason": reason}
            document |= {"by": actor().login, "seq": seq, "order": at}
            return [*gone, entry(*PLACE, id_, tags.KEY, document)]

        return build

    def _rests_on(
        self, version_ids: Sequence[str]
    ) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """Return the keys and the bytes of versions that are to be pinned."""
        if not version_ids:
            return frozenset(), frozenset()
        entries = [
            made
            for id_, fate in deployments.fates_of(self._journal, version_ids).items()
            for made in fate.copies
            if made["id"] == id_
        ]
        blobs = ((made["database"], str(made["document"].get("id_data"))) for made in entries)
        return frozenset(made["key"] for made in entries), frozenset(blobs)

    def _pins_of(self, tag: Tag, moment: Moment, version_ids: Sequence[str]) -> Iterator[Pin]:
        """Yield the pins of versions that hold now, or in a state of the tag."""
        chain = self._db.meanings.chain(tag, moment)
        for id_, fate in deployments.fates_of(self._journal, version_ids).items():
            made = next(made for made in fate.copies if made["id"] == id_)
            seq, out = fate.added["_id"], None if fate.left is None else fate.left["_id"]
            if out is not None and not any(seq <= s < out for s in tags.states_of(chain)):
                raise WrongState(
                    f"the version {id_} was {deployments.end_of(fate)}; what may be pinned is "
                    f"visible now or in the state of {tag.name}"
                )
            yield Pin(made["database"], made["collection"], made["document"]["ctype"], id_)


def _taken(tag: Tag) -> str:
    if MOVES[tag.state]:
        return (
            f"the tag {tag.name} is there already, {tag.state}, of event {tag.at}; choose another "
            f"name, or `cdb tag move`, `advance` or `delete` it"
        )
    return f"the tag {tag.name} is {tag.state}: its name is never used again; choose another"


def _check_state(tag: Tag, good: tuple[str, ...], done: str) -> None:
    if tag.state not in good:
        raise WrongState(
            f"the tag {tag.name} is {tag.state}, and only one that is {' or '.join(good)} may be "
            f"{done}"
        )


def _check_text(what: str, text: object) -> None:
    if not isinstance(text, str):
        raise BadQuestion(f"{what} is {shown(text)}; it must be a text")


def ids_of(version: str | Sequence[str]) -> list[str]:
    """Return the ids of one version or several.

    Raises
    ------
    BadQuestion
        If there is none.
    """
    ids = [version] if isinstance(version, str) else list(dict.fromkeys(version))
    if not ids:
        raise BadQuestion("no version is named; `cdb history` shows the ids")
    return ids


def _step(
    experiment: str | None, run: int | str | None, time: Time | None
) -> Callable[[int], Step]:
    """Return what makes the step that is asked for of its S."""
    of_runs = experiment is not None and run is not None and time is None
    of_times = time is not None and experiment is None and run is None
    if of_runs:
        check_experiment(str(experiment))
        first = parse_run(run)
        return lambda at: Step(at, experiment, first)
    if of_times:
        assert time is not None
        begin = seconds(parse_time(time))
        return lambda at: Step(at, time=begin)
    raise BadQuestion(
        "a tag advances from a run of an experiment on, or from a time on: give experiment and "
        "run, or time"
    )


def _check_order(new: Step, chain: Iterable[Tag]) -> None:
    """Refuse a step that does not follow all earlier ones of its kind."""
    like = [step for tag in reversed(list(chain)) for step in tag.steps if step.is_like(new)]
    later = [step for step in like if not new.follows(step)]
    if later:
        stand = ", ".join(f"{step} as of event {step.at}" for step in later[:5])
        raise WrongState(
            f"a step for {new} would change answers that stand: {stand}; begin after "
            f"{later[-1].begin}"
        )
