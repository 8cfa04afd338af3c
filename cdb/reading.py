"""Questions to a store of constants: which one holds, what it is, why, and what else there is."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdb import (
    deployments,
    enrolment,
    lineage,
    listing,
    lookup,
    names,
    quarantine,
    search,
)
from cdb.blobs import Blobs
from cdb.calibconst import Calibconst
from cdb.constant import Version, version_of
from cdb.detector import Detector
from cdb.errors import BadQuestion, CalibError, NotFound, StoreUnavailable, WrongState, shown
from cdb.indexes import Indexes, Table, Winners
from cdb.journal import Journal
from cdb.lineage import Relative
from cdb.lookup import Place, Question
from cdb.moments import Head, Moment
from cdb.names import TagName
from cdb.search import Explanation
from cdb.stamps import CitedTag, Stamp
from cdb.stores.base import Blob, Progress
from cdb.stores.query import Query, Sort
from cdb.tags import Meanings
from cdb.validity import (
    OPEN_END,
    from_microseconds,
    microseconds,
    parse_run,
    parse_time,
    seconds,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cdb.gates import Gates
    from cdb.inspection import Verdict

logger = logging.getLogger(__name__)

Time = datetime | int | float | str
AsOf = Time | Moment


@dataclass(frozen=True)
class Holding:
    """Which version holds of each type of a detector, for any run.

    Attributes
    ----------
    detector : str
        Short name.
    moment : Moment
        As of when.
    table : Table
        The answers.
    """

    detector: str
    moment: Moment
    table: Table

    def winners(self, run: int | None) -> Winners:
        """Return for each type where the version is that wins, and its id."""
        return self.table.winners(_number_of(run))

    def interval(self, run: int | None) -> int | None:
        """Return the number of the interval of runs with these winners; see `Table.interval`."""
        return self.table.interval(_number_of(run))


def _number_of(run: int | None) -> int:
    return OPEN_END if run is None else run


class Readable:
    """Constants in a store, as of any of its states.

    Parameters
    ----------
    journal : Journal
        Of the store.
    gates : Gates, Path or str, optional
        The rules for new constants: those of a file over the package's, ``off`` for none.

    Attributes
    ----------
    store : Store
        Where documents and bytes are.
    journal : Journal
        As given.
    meanings : Meanings
        What its tags mean.
    tag : str or None
        The tag that answers where neither a state nor a tag is asked for.
    """

    def __init__(self, journal: Journal, gates: "Gates | Path | str | None" = None) -> None:
        self.store = journal.store
        self.journal = journal
        self._gates = gates
        self._blobs = Blobs(journal)
        self.meanings = Meanings(journal)
        self.tag: str | None = None
        self._indexes = Indexes(journal)

    # states ------------------------------------------------------------------------------------

    @property
    def head(self) -> int:
        """S, the number of the last event."""
        return self.journal.head().seq

    @property
    def server(self) -> str:
        """What tells this database from every other; empty while nothing was written to it."""
        return self.journal.identity()

    def moment(
        self,
        as_of: AsOf | None = None,
        *,
        tag: str | None = None,
        experiment: str | None = None,
        run: int | str | None = None,
        time: Time | None = None,
        head: Head | None = None,
    ) -> Moment:
        """Return the state that an event, a time or a tag stands for, or the present one.

        It can be given as `as_of` to several questions, which then see the same state.

        Parameters
        ----------
        as_of : int, datetime or str, optional
            Event or time.
        tag : str, optional
            Tag, instead.
        experiment, run, time : optional
            What is asked: a tag that runs answers each question by its own state.
        head : Head, optional
            The head, if it was asked for just now.

        Raises
        ------
        BadQuestion
            If there is no such event yet, or if a state and a tag are given.
        NotFound, WrongServer, WrongState
            If there is no such tag, it is another store's, or invalid; if the store has no states
            but the present one.
        """
        if as_of is not None and tag is not None:
            raise BadQuestion(f"as_of and tag {shown(tag)} are both given: give one of them")
        if isinstance(as_of, Moment):
            return as_of
        cited = tag if tag is not None or as_of is not None else self.tag
        if (cited is not None or as_of is not None) and self.store.no_journal:
            raise WrongState(f"only the present can be asked for: {self.store.no_journal}")
        if cited is not None:
            return self.meanings.moment(
                cited,
                experiment=experiment,
                run=None if run is None else parse_run(run),
                time=None if time is None else seconds(parse_time(time)),
                head=head,
            )
        if as_of is None:
            return self.journal.moment(head=head)
        if isinstance(as_of, Integral) and not isinstance(as_of, bool):
            return self.journal.moment(int(as_of), head=head)
        moment = self.journal.moment(at=microseconds(parse_time(as_of)), head=head)
        if moment.provisional:
            logger.warning(
                "the answer as of %s is provisional: later events may come before that time; "
                "as of event %d it stays as it is", as_of, moment.seq,
            )  # fmt: skip
        return moment

    # names -------------------------------------------------------------------------------------

    def short_name(
        self, detector: str, *, as_of: AsOf | None = None, tag: str | None = None
    ) -> str:
        """Return the short name of a detector.

        Parameters
        ----------
        detector : str
            Short name, which is returned as it stands, or long name.
        as_of : int, datetime or str, optional
            Event or time.
        tag : str, optional
            Tag, instead.

        Raises
        ------
        NotFound
            If a long name is not in the register.
        """
        detector = names.check_detector(detector)
        if names.is_short_name(detector):
            return detector
        return enrolment.short_name(self.journal, detector, self.moment(as_of, tag=tag))

    # looking up --------------------------------------------------------------------------------

    def places(
        self, short: str, experiment: str | None, dbsuffix: str | None = None, rule: str = "range"
    ) -> list[Place]:
        """Return where the constants of a detector are looked for; see `cdb.lookup.places`."""
        shared = self.store.shares_detectors
        return lookup.places(short, experiment, dbsuffix, rule, shared=shared)

    def get(
        self,
        detector: str,
        ctype: str,
        *,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        run: int | str | None = None,
        time: Time | None = None,
        version: str | None = None,
        rule: str = "range",
        as_of: AsOf | None = None,
        tag: str | None = None,
        allow_pickle: bool = False,
    ) -> tuple[Any, dict[str, Any]]:
        """Return the constant that holds.

        Parameters
        ----------
        detector : str
            Short or long name.
        ctype : str
            Type of the constant.
        experiment : str, optional
            Whose analysis it is: its own database is asked before the detector's.
        dbsuffix : str, optional
            A private database, asked before both.
        run : int, optional
            Run number; without it the far future is meant, which only open ranges cover.
        time : datetime, int, float or str, optional
            Look only at what is valid from this time or earlier.
        version : str, optional
            Look only at versions with this label.
        rule : str, optional
            See `cdb.lookup`: range, latest, prior, closest, psana.
        as_of : int, datetime or str, optional
            The state after this event, or at this time, instead of now.
        tag : str, optional
            The state that this tag names, instead; see docs/tags.md.
        allow_pickle : bool, optional
            Whether to read a pickle that psana stored; only numpy arrays and plain containers
            come out of it.

        Returns
        -------
        data : ndarray, str or other
            An array is read-only.
        meta : dict
            The document, with psana's field names.

        Raises
        ------
        NotFound
            Naming the types there are, and where it was looked.
        Corrupt
            If the stored bytes are not those that were deployed.
        UnsafePayload
            If it is a pickle and `allow_pickle` is not given.
        """
        found = self.version(
            detector, ctype, experiment=experiment, dbsuffix=dbsuffix, run=run, time=time,
            version=version, rule=rule, as_of=as_of, tag=tag,
        )  # fmt: skip
        return self.data(found, allow_pickle=allow_pickle), found.meta

    def version(
        self,
        detector: str,
        ctype: str,
        *,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        run: int | str | None = None,
        time: Time | None = None,
        version: str | None = None,
        rule: str = "range",
        as_of: AsOf | None = None,
        tag: str | None = None,
    ) -> Version:
        """Return the version that holds, without its data; see `get`."""
        names.check_ctype(ctype)
        question = _question(run, time, rule, experiment, version)
        names.check_detector(detector)
        moment = self.moment(as_of, tag=tag, experiment=experiment, run=run, time=time)
        short = self.short_name(detector, as_of=moment)
        places = self.places(short, experiment, dbsuffix, rule)
        found = search.winner(self.journal, moment, places, question, short, ctype)
        if found is None:
            raise NotFound(self._nothing(moment, places, question, short, ctype))
        _warn_of_foreign(moment, [found])
        return found

    def _nothing(
        self, moment: Moment, places: list[Place], question: Question, short: str, ctype: str
    ) -> str:
        """Return the sentence that says what was not found, where, and what there is."""
        types: set[str] = set()
        begins: set[int] = set()
        for place in places:
            there = partial(
                self.journal.distinct, moment, place.database, place.collection, detector=short
            )
            types.update(map(str, there("ctype", {})))
            begins.update(n for n in there("run", {"ctype": ctype}) if isinstance(n, int))
        where = ", ".join(dict.fromkeys(place.database for place in places))
        tag = f" of the tag {moment.tag}" if moment.tag else ""
        state = f" as of event {moment.seq}{tag}" if moment.asked else ""
        sentence = f"no {ctype} of {short}{_asked(question)} in {where}{state}"
        if begins:
            some = ", ".join(map(str, sorted(begins)[:10]))
            more = ", ..." if len(begins) > 10 else ""
            known = f"known first runs: {some}{more} (`cdb explain` says why not)"
            return f"{sentence}; {known}; types there are: {', '.join(sorted(types))}"
        if not types:
            return f"{sentence}; no constants at all are there, `cdb ls` shows what there is"
        return f"{sentence}; types there are: {', '.join(sorted(types))}"

    def version_by_id(
        self,
        id: str,  # noqa: A002
        *,
        as_of: AsOf | None = None,
        tag: str | None = None,
    ) -> Version:
        """Return a version, also one that has left, without its data.

        Raises
        ------
        NotFound
            If the journal does not know the version.
        """
        moment = self.moment(as_of, tag=tag)
        if self.store.no_journal:
            return listing.version_by_id(self.store, id)
        for pins in moment.pins:
            for (database, collection, _), documents in pins.documents.items():
                for document in documents:
                    if document["_id"] == id:
                        return version_of(document, database, collection, seq=moment.seq)
        return deployments.version_by_id(self.journal, moment, id)

    def lineage(
        self,
        id: str,  # noqa: A002
        *,
        up: bool = True,
        down: bool = True,
        depth: int = lineage.MAX_DEPTH,
        may_read: Callable[[str], bool] = lambda _: True,
        as_of: AsOf | None = None,
        tag: str | None = None,
    ) -> Relative:
        """Return what a constant was made from, and what was made from it.

        Parameters
        ----------
        id : str
            Of any copy of any of its versions, also one that has left.
        up, down : bool, optional
            Whether to look for what it was made from, for what was made from it.
        depth : int, optional
            At most so many generations either way.
        may_read : callable, optional
            From the name of a database to whether constants there are named; else they are hidden.
        as_of : int, datetime or str, optional
            Event or time.
        tag : str, optional
            Tag, instead.

        Returns
        -------
        relative : Relative
            With `parents` and `children`, and theirs.

        Raises
        ------
        NotFound
            If the journal does not know the version.
        BadQuestion
            If `depth` is not one of 0 to 100.

        Examples
        --------
        >>> import cdb
        >>> db = cdb.open("memory://")
        >>> dark = db.add([1, 2], detector="epix_000001", ctype="dark", run=5)
        >>> source = {"parents": [{"id": dark.id}]}
        >>> _ = db.add([3], detector="epix_000001", ctype="pedestals", run=5, source=source)
        >>> [child.ctype for child in db.lineage(dark.id).children]
        ['pedestals']
        """
        moment = self.moment(as_of, tag=tag)
        return lineage.tree(
            self.journal, id, moment.seq, up=up, down=down, depth=depth, may_read=may_read
        )

    def data(
        self, version: Version, *, allow_pickle: bool = False, progress: Progress | None = None
    ) -> Any:
        """Return the data of a version, verified when this process first reads them.

        Raises
        ------
        Corrupt
            If the bytes do not agree with the digest or the length in the document.
        Purged
            If an administrator removed the bytes after the version had left.
        """
        from cdb import payload

        return payload.decode(
            self.read(version, progress=progress), version.meta, allow_pickle=allow_pickle
        )

    def read(self, version: Version, *, progress: Progress | None = None) -> bytes | memoryview:
        """Return the stored bytes of a version, verified as `data` does."""
        return self._blobs.read(version, progress=progress)

    def payload(self, database: str, sha256: str) -> bytes | memoryview:
        """Return the bytes with a digest that a version in a database names or named, verified.

        Raises
        ------
        NotFound
            If no version there does; bytes that were only uploaded are nobody's yet.
        Corrupt
            If the stored bytes are damaged.
        Purged
            If an administrator removed them.
        """
        return self._blobs.payload(database, sha256)

    def stored(self, database: str, sha256: str) -> Blob | None:
        """Return the record of what `payload` returns, without reading it; None if it cannot."""
        return self._blobs.stored(database, sha256)

    def foreign_payload(self, database: str, blob_id: str) -> bytes | memoryview:
        """Return bytes that another program stored, by their id: no digest names them.

        Raises
        ------
        NotFound
            If there are none, or a writer of ours stored them.
        """
        return self._blobs.foreign(database, blob_id)

    # gates -------------------------------------------------------------------------------------

    @property
    def gates(self) -> "Gates":
        """The rules that a new constant is held against; a file of them is read once.

        Raises
        ------
        BadFile
            If a rule makes no sense.
        """
        from cdb import gates  # reading constants is quicker without

        if not isinstance(self._gates, gates.Gates):
            self._gates = gates.load(self._gates)
        return self._gates

    def check(
        self,
        data: Any,
        *,
        detector: str,
        ctype: str,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        run: int | str = 0,
        time: Time | None = None,
        as_of: AsOf | None = None,
    ) -> "Verdict":
        """Hold data against the rules, as `add` would do, without adding them.

        Parameters are those of `add`, and `as_of` of `get`: what was in force then.

        Returns
        -------
        verdict : Verdict
            With `outcome`: accepted, warned, quarantined or refused; `findings`, `rules`, `notes`.

        Examples
        --------
        >>> import numpy, cdb
        >>> db = cdb.open("memory://")
        >>> noise = numpy.zeros((704, 768), "float32")
        >>> verdict = db.check(noise, detector="epix100a_000001", ctype="pixel_rms")
        >>> verdict.outcome, [finding.code for finding in verdict.findings]
        ('quarantined', ['zero'])
        """
        names.check_ctype(ctype)
        detector = names.check_detector(detector)
        asked = (detector, ctype, experiment, dbsuffix, parse_run(run), time)
        in_force = partial(self._in_force, *asked, as_of=as_of)
        return self._inspected(data, in_force, detector, ctype)

    def check_version(self, id: str) -> "Verdict":  # noqa: A002
        """Hold a stored version against the rules, and against what was in force before it.

        Raises
        ------
        NotFound
            If the journal does not know the version.
        Corrupt, Purged
            If its data cannot be read.
        """
        version = self.version_by_id(id)
        before = None if version.seq is None else version.seq - 1
        run = None if version.runs is None else version.runs.begin
        own = names.PREFIX + version.detector
        private = version.database.startswith(f"{own}_")
        dbsuffix = version.database.removeprefix(f"{own}_") if private else None
        asked = (version.detector, version.ctype, version.experiment, dbsuffix, run, version.time)
        data = self.data(version)
        in_force = partial(self._in_force, *asked, as_of=before)
        if version.seq is None:
            in_force = partial(str, "nobody knows what was in force before it")
        return self._inspected(data, in_force, version.detector, version.ctype)

    def _inspected(
        self, data: Any, in_force: "Callable[[], NDArray[Any] | str]", detector: str, ctype: str
    ) -> "Verdict":
        from cdb.inspection import inspect

        return inspect(self.gates, names.detector_type(detector), ctype, data, in_force)

    def _in_force(
        self,
        detector: str,
        ctype: str,
        experiment: str | None,
        dbsuffix: str | None,
        run: int | None,
        time: Time | None,
        *,
        as_of: AsOf | None = None,
        may_read: Callable[[str], bool] | None = None,
    ) -> "NDArray[Any] | str":
        """Return the data of the version in force, or why there are none to compare with."""
        # Now, without a state: what is added is not held against what a tag answers.
        if as_of is None and not self.store.no_journal:
            as_of = self.head
        try:
            found = self.version(
                detector, ctype, experiment=experiment, dbsuffix=dbsuffix, run=run, time=time,
                as_of=as_of,
            )  # fmt: skip
            if may_read is not None and not may_read(found.database):
                # How far one is off something, asked often enough, says what that is.
                return f"{found.database} may not be read by who asks"
            data: NDArray[Any] | Any = self.data(found)
        except NotFound:
            return "nothing is in force"
        except StoreUnavailable:
            raise
        except CalibError as error:
            # A damaged version in force must not keep out the one that replaces it.
            return f"what is in force cannot be read: {error}"
        return data if hasattr(data, "dtype") else "what is in force is no array"

    def quarantined(
        self,
        *,
        detector: str | None = None,
        experiment: str | None = None,
        may_read: Callable[[str], bool] = lambda _: True,
        as_of: AsOf | None = None,
    ) -> list[Version]:
        """Return the versions that wait in quarantine, newest first, with their `findings`.

        Parameters
        ----------
        detector : str, optional
            Only of this one; short or long name.
        experiment : str, optional
            Only what this one deployed.
        may_read : callable, optional
            From the name of a database to whether it is to be looked into.
        as_of : int, datetime or str, optional
            Event or time; what waits now without it, whatever `tag` says.
        """
        moment = self.journal.moment() if as_of is None else self.moment(as_of)
        short = None if detector is None else self.short_name(detector, as_of=moment)
        return quarantine.waiting(
            self.journal, moment, detector=short, experiment=experiment, may_read=may_read
        )

    # why, and what else ------------------------------------------------------------------------

    def explain(
        self,
        detector: str,
        ctype: str,
        *,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        run: int | str | None = None,
        time: Time | None = None,
        version: str | None = None,
        rule: str = "range",
        as_of: AsOf | None = None,
        tag: str | None = None,
    ) -> Explanation:
        """Return every candidate with the reason why it won or lost.

        Parameters and errors are those of `get`; a missing constant is an explanation without a
        winner.
        """
        names.check_ctype(ctype)
        question = _question(run, time, rule, experiment, version)
        moment = self.moment(as_of, tag=tag, experiment=experiment, run=run, time=time)
        short = self.short_name(detector, as_of=moment)
        places = self.places(short, experiment, dbsuffix, rule)
        return search.explain(self.journal, moment, places, question, short, ctype)

    def detector(
        self,
        name: str,
        *,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        run: int | str | None = None,
        time: Time | None = None,
        rule: str = "range",
        as_of: AsOf | None = None,
        tag: str | None = None,
    ) -> Detector:
        """Return a detector with its `calibconst`, all as of one state.

        Parameters and errors are those of `get`.

        Examples
        --------
        >>> import cdb
        >>> db = cdb.open("memory://")
        >>> version = db.add([1, 2], detector="epix_000001", ctype="common_mode", run=5)
        >>> db.detector("epix_000001", run=6).calibconst
        <Calibconst epix_000001 run 6: common_mode>
        """
        question = _question(run, time, rule, experiment)
        moment = self.moment(as_of, tag=tag, experiment=experiment, run=run, time=time)
        short = self.short_name(name, as_of=moment)
        places = self.places(short, experiment, dbsuffix, rule)
        versions = self.versions(moment, self._indexes.winners(moment, places, question))
        _warn_of_foreign(moment, versions.values())
        searched = ", ".join(dict.fromkeys(place.database for place in places))

        def ask(run: int) -> Detector:
            cited = None if moment.tag is None else str(moment.tag)
            return self.detector(
                name, experiment=experiment, dbsuffix=dbsuffix, run=run, time=time, rule=rule,
                as_of=None if cited else self._same_state(moment), tag=cited,
            )  # fmt: skip

        return self._handed_out(
            short,
            name,
            experiment,
            dbsuffix,
            question,
            moment.seq,
            moment.tag,
            versions,
            searched,
            self.server,
            asked=moment.asked,
            ask=ask,
        )

    def _same_state(self, moment: Moment) -> Moment:
        """Return the state of an earlier moment as it is read now.

        If nobody asked for it by name, other programs' documents are there whenever they came:
        as of an event only those before it would be.
        """
        return replace(self.journal.moment(moment.seq), asked=moment.asked)

    def _handed_out(
        self,
        short: str,
        name: str,
        experiment: str | None,
        dbsuffix: str | None,
        question: Question,
        seq: int,
        tag: TagName | None,
        versions: Mapping[str, Version],
        searched: str,
        server: str,
        *,
        asked: bool,
        ask: Callable[[int], Detector],
    ) -> Detector:
        """Return a detector of the versions that hold, which another process can make again."""
        recipe = None
        if self.store.shared:
            from cdb.opening import remade  # above: it opens what is not open here

            state: tuple[int | None, str | None] = (seq, None) if tag is None else (None, str(tag))
            if not seq and not asked:  # as of no event at all nothing would be there
                state = (None, None)
            about = (question.run, question.time, question.rule, *state)
            recipe = remade, (self.store.url, name, experiment, dbsuffix, *about, "calibconst")
        calibconst = Calibconst(
            f"{short}{_asked(question)}",
            versions,
            self.data,
            searched=searched,
            recipe=recipe,
            origin=Stamp(
                server,
                seq,
                short,
                None if tag is None else CitedTag(tag.name, tag.id),
                experiment,
                run=question.run,
                time=question.time,
                rule=question.rule,
            ),
        )
        return Detector(short, name, experiment, question.run, seq, calibconst, tag, ask)

    def holding(
        self,
        name: str,
        *,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        run: int | str | None = None,
        time: Time | None = None,
        rule: str = "range",
        as_of: AsOf | None = None,
        tag: str | None = None,
    ) -> Holding:
        """Return which versions hold, for this and any other run; parameters are those of `get`."""
        question = _question(run, time, rule, experiment)
        moment = self.moment(as_of, tag=tag, experiment=experiment, run=run, time=time)
        short = self.short_name(name, as_of=moment)
        places = self.places(short, experiment, dbsuffix, rule)
        return Holding(short, moment, self._indexes.table(moment, places, question))

    def along(
        self,
        moment: Moment,
        places: list[Place],
        ctype: str,
        *,
        experiment: str | None = None,
        time: int | None = None,
    ) -> list[tuple[int, tuple[str, str] | None]]:
        """Return where, along the runs, the winner of rule `range` changes, and to whom.

        Parameters
        ----------
        moment : Moment
            As of when.
        places : list of Place
            Where to look, in order.
        ctype : str
            Type of the constant.
        experiment : str, optional
            Whose analysis it is.
        time : int, optional
            Look only at what is valid from this second or earlier [Unix].

        Returns
        -------
        along : list of (int, (str, str) or None)
            Runs, 0 first, with database and id of what wins from there on.
        """
        found = self._indexes.along(moment, places, ctype, experiment=experiment, time=time)
        return [(run, best and (best[0].database, best[1])) for run, best in found]

    def versions(self, moment: Moment, winners: Winners) -> dict[str, Version]:
        """Return the versions that hold, by type: what `Holding.winners` names."""
        ids: dict[Place, list[str]] = {}
        for place, version_id in winners.values():
            ids.setdefault(place, []).append(version_id)
        found: dict[str, Version] = {}
        for place, wanted in ids.items():
            added = moment.added.get((place.database, place.collection), {})
            documents = [added[id_] for id_ in wanted if id_ in added]
            query = {"_id": {"$in": [id_ for id_ in wanted if id_ not in added]}}
            documents += self.store.find(place.database, place.collection, query)
            for document in documents:
                version = version_of(document, place.database, place.collection, seq=moment.seq)
                found[version.ctype] = version
        return found

    # listing -----------------------------------------------------------------------------------

    def find(
        self,
        *,
        detector: str | None = None,
        ctype: str | None = None,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        run: int | str | None = None,
        time: Time | None = None,
        version: str | None = None,
        query: Query | None = None,
        sort: Sort = (),
        limit: int = 0,
        after: listing.Mark | None = None,
        as_of: AsOf | None = None,
        tag: str | None = None,
    ) -> list[Version]:
        """Return the visible versions that fit, without payloads, by type and first run.

        Parameters
        ----------
        detector : str, optional
            Short or long name; all detectors of the experiment without it.
        ctype : str, optional
            Only this type.
        experiment : str, optional
            Look into its database; without it, into the detector's.
        dbsuffix : str, optional
            Look into the detector's private database of this name.
        run : int, optional
            Only versions whose range covers it.
        time : datetime, int, float or str, optional
            Only versions that are valid from this time or earlier.
        version : str, optional
            Only versions with this label.
        query : mapping, optional
            What else the fields must fulfil, in the subset of MongoDB's language that
            `cdb.stores.query` describes.
        sort : sequence of (field, 1 or -1), optional
            Another order.
        limit : int, optional
            At most so many.
        after : listing.Mark, optional
            Only those after this place in the list, as a service gives it from page to page.
        as_of : int, datetime or str, optional
            Event or time.
        tag : str, optional
            Tag, instead.

        Raises
        ------
        BadQuestion
            If neither a detector nor an experiment is named, or `version` is no text.
        """
        if ctype is not None:
            names.check_ctype(ctype)
        if version is not None and not isinstance(version, str):
            raise BadQuestion(
                f"version {shown(version)} is no text; give a label, as 'V2021-10-08'"
            )
        if limit < 0:
            raise BadQuestion(f"limit is {limit}; give 0 (for all) or more")
        question = _question(run, time, "range", experiment)
        moment = self.moment(as_of, tag=tag, experiment=experiment, run=run, time=time)
        short = None if detector is None else self.short_name(detector, as_of=moment)
        places = listing.shelves(self.journal, moment, short, experiment, dbsuffix)
        return listing.find(
            self.journal,
            moment,
            places,
            ctype=ctype,
            run=question.run,
            time=question.time,
            version=version,
            query=query,
            sort=sort,
            limit=limit,
            after=after,
        )

    def searched(
        self,
        detector: str,
        *,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        rule: str = "range",
        as_of: AsOf | None = None,
        tag: str | None = None,
    ) -> list[str]:
        """Return the databases that a look-up asks, in order; parameters are those of `get`."""
        moment = self.moment(as_of, tag=tag, experiment=experiment)
        places = self.places(self.short_name(detector, as_of=moment), experiment, dbsuffix, rule)
        return list(dict.fromkeys(place.database for place in places))

    def shelf(
        self,
        detector: str | None,
        experiment: str | None,
        dbsuffix: str | None,
        *,
        as_of: AsOf | None = None,
        tag: str | None = None,
    ) -> str:
        """Return the database that `find` and `history` look into; parameters are theirs."""
        moment = self.moment(as_of, tag=tag, experiment=experiment)
        if detector is not None:
            short = self.short_name(detector, as_of=moment)
            return names.databases_of(short, experiment, dbsuffix)[0]
        if experiment is None:
            raise BadQuestion("name a detector, an experiment or both: -d, -e")
        return names.experiment_database(experiment)

    def filed(self, id: str) -> list[str]:  # noqa: A002
        """Return the databases of a version and of its copies, which retire with it."""
        return [made["database"] for made in deployments.fate_of(self.journal, id).copies]

    def databases(
        self,
        *,
        may_read: Callable[[str], bool] = lambda _: True,
        as_of: AsOf | None = None,
        tag: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the databases: `database`, and its `collections` with their `documents`.

        Parameters
        ----------
        may_read : callable, optional
            From the name of a database to whether it is to be listed.
        as_of : int, datetime or str, optional
            Event or time.
        tag : str, optional
            Tag, instead.
        """
        return listing.databases(self.journal, self.moment(as_of, tag=tag), may_read)

    def history(
        self,
        detector: str,
        ctype: str,
        *,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        as_of: AsOf | None = None,
        tag: str | None = None,
    ) -> list[Version]:
        """Return all versions, newest first; of those that left, who did it, when and why.

        Parameters are those of `find`.
        """
        names.check_ctype(ctype)
        moment = self.moment(as_of, tag=tag, experiment=experiment)
        short = self.short_name(detector, as_of=moment)
        database = names.databases_of(short, experiment, dbsuffix)[0]
        return listing.history(self.journal, moment, database, short, ctype)

    def detectors(
        self, *, as_of: AsOf | None = None, tag: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the known detectors: short name, long name, types there are.

        Parameters
        ----------
        as_of : int, datetime or str, optional
            Event or time: only detectors that had constants or a long name then.
        tag : str, optional
            Tag, instead.

        Returns
        -------
        detectors : list of dict
            With `detector`, `longname` and `ctypes`.
        """
        return listing.detectors(self.journal, self.moment(as_of, tag=tag))

    def experiments(
        self, *, as_of: AsOf | None = None, tag: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the known experiments with their detectors.

        Parameters
        ----------
        as_of : int, datetime or str, optional
            Event or time: only those with constants then.
        tag : str, optional
            Tag, instead.

        Returns
        -------
        experiments : list of dict
            With `experiment` and `detectors`.
        """
        return listing.experiments(self.journal, self.moment(as_of, tag=tag))


def _question(
    run: int | str | None,
    time: Time | None,
    rule: str,
    experiment: str | None,
    version: str | None = None,
) -> Question:
    return Question(
        None if run is None else parse_run(run),
        None if time is None else seconds(parse_time(time)),
        rule,
        experiment,
        version,
    )


def _asked(question: Question) -> str:
    """Return the question in a few words, for messages."""
    run = "" if question.run is None else f" run {question.run}"
    time = "" if question.time is None else f" at {from_microseconds(question.time * 1_000_000)}"
    label = "" if question.version is None else f" with the label {shown(question.version)}"
    return run + time + label


def _warn_of_foreign(moment: Moment, versions: Any) -> None:
    if moment.asked and any(version.seq is None for version in versions):
        logger.warning(
            "documents that no event names took part in an answer as of event %d; "
            "`cdb adopt` gives them a place in the journal",
            moment.seq,
        )
