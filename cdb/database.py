"""A database of constants: add, find, get, retire, over one store.

Joins what the rooms below know: names and the register, documents and their journal, look-up
rules and indexes, payloads.
"""

import hashlib
import logging
import os
import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cdb import deployments, enrolment, inventory, listing, lookup, names, search
from cdb.calibconst import Calibconst, Detector
from cdb.constant import AMENDABLE, Version, new_document, version_of
from cdb.copies import Copies
from cdb.errors import BadQuestion, Corrupt, NotFound, Purged, WrongState, shown
from cdb.indexes import Indexes
from cdb.journal import Head, Journal, Moment, Step, no_step
from cdb.lookup import Place, Question
from cdb.search import Explanation
from cdb.stores import open_store
from cdb.stores.base import Progress, Store
from cdb.stores.query import Query, Sort
from cdb.validity import (
    RunRange,
    from_microseconds,
    microseconds,
    parse_run,
    parse_time,
    seconds,
    time_stamp,
)

if TYPE_CHECKING:
    from cdb.payload import Encoded

logger = logging.getLogger(__name__)

Time = datetime | int | float | str
AsOf = Time | Moment
Document = dict[str, Any]


def locate(url: str | None = None) -> tuple[str, str]:
    """Return the address of the store to use, and why it is that one.

    Parameters
    ----------
    url : str, optional
        Wins if given; then the environment variable ``CDB_URL``; then a folder of the user's.
    """
    if url:
        return url, "given"
    if os.environ.get("CDB_URL"):
        return os.environ["CDB_URL"], "from CDB_URL"
    import platformdirs

    folder = Path(platformdirs.user_data_path("cdb", appauthor=False))
    return folder.as_uri(), "the default; --url or CDB_URL choose another"


def open(url: str | None = None) -> "Database":  # noqa: A001 - users write cdb.open()
    """Open a database.

    Parameters
    ----------
    url : str, optional
        ``mongodb://...``, ``file:///folder`` or ``memory://``; ``https://host/`` of a service,
        or ``https://a/,https://b/`` of its mirrors; without it what ``CDB_URL`` says, else a
        folder of the user's own.

    Returns
    -------
    database : Database
        Nothing is connected or made before it is used.

    Examples
    --------
    >>> with open("memory://") as db:
    ...     version = db.add("some text", detector="epix_000001", ctype="notes", run=7)
    ...     db.get("epix_000001", "notes", run=8)[0]
    'some text'
    """
    address = locate(url)[0]
    if address.startswith(("http://", "https://")):
        from cdb.remote import open_service

        return open_service(address)
    store = open_store(address)
    if not store.local:
        store = _cached(store)
    return Database(store)


def _cached(store: Store) -> Store:
    """Put the folder of payloads before a store on another machine, unless it is turned off."""
    from cdb.stores.cache import default_cache
    from cdb.stores.cached import CachedStore

    cache = default_cache()
    return store if cache is None else CachedStore(store, cache)


class Database:
    """Constants in a store.

    Parameters
    ----------
    store : Store
        Where documents and bytes are.
    step : callable, optional
        Called between the steps of a write; for tests.
    now : callable, optional
        The clock [Unix seconds]; for tests.

    Attributes
    ----------
    journal : Journal
        Of the store.
    copies : Copies
        Its documents one by one, as psana's clients see them.
    """

    def __init__(
        self, store: Store, *, step: Step = no_step, now: Callable[[], float] = clock.time
    ) -> None:
        self.store = store
        self.journal = Journal(store, step=step, now=now)
        self.copies = Copies(self.journal)
        self._indexes = Indexes(self.journal)
        self._verified: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        """Use as a context: closed at its end."""
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Close the store; an interrupt gets a note on what is known of the writes."""
        try:
            self.close()
        except KeyboardInterrupt as late:
            error = late
            raise
        finally:
            if isinstance(error, KeyboardInterrupt):
                error.add_note(self.journal.outcome)

    def __repr__(self) -> str:
        """Return the class and the store."""
        return f"<Database {self.store.describe()}>"

    def close(self) -> None:
        """Let go of files and connections."""
        self.store.close()

    @property
    def head(self) -> int:
        """S, the number of the last event."""
        return self.journal.head().seq

    # adding ------------------------------------------------------------------------------------

    def add(
        self,
        data: Any,
        *,
        detector: str,
        ctype: str,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        run: int | str = 0,
        run_end: int | str | None = "end",
        time: Time | None = None,
        version: str | None = None,
        comment: str | None = None,
        again: bool = False,
        detname: str | None = None,
        longname: str | None = None,
        dettype: str | None = None,
        dtype: str | None = None,
        run_orig: int | None = None,
        tstamp_orig: str | None = None,
        iofname: str | None = None,
        extpars: Mapping[str, Any] | None = None,
        unit: str | None = None,
        conditions: Mapping[str, Any] | None = None,
        valid_from: str | None = None,
        valid_until: str | None = None,
        source: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
        key: str | None = None,
    ) -> Version:
        """Add a constant: to the experiment's database and the detector's, both or neither.

        Parameters
        ----------
        data : ndarray, str or anything JSON can say
            See `cdb.payload`.
        detector : str
            Short name, or a long one, which gets a short name if it is new.
        ctype : str
            Type of the constant: pedestals, pixel_rms, ...
        experiment : str, optional
            Who deploys; without it only the detector's database is written.
        dbsuffix : str, optional
            Write only the private database of this name.
        run, run_end : int or str, optional
            First and last run of validity; ``"end"`` leaves it open.
        time : datetime, int, float or str, optional
            Begin of validity; now if absent.
        version, comment : str, optional
            Label and remark.
        again : bool, optional
            Add even what is there already as the last of its names and validity.
        detname, longname, dettype, dtype, run_orig, tstamp_orig, iofname, extpars : optional
            Further fields of the LCLS-II document.
        unit, conditions, valid_from, valid_until, source : optional
            Further fields of ours.
        dry_run : bool, optional
            Check everything and return what would be added, but write nothing.
        progress : callable, optional
            Called with the number of bytes uploaded since the last call.
        key : str, optional
            Idempotency key: a second call with the same one returns what the first one added.

        Returns
        -------
        version : Version
            With `new` False if it was there already.

        Raises
        ------
        BadName, BadRun, BadTime, BadPayload
            Before anything is written.
        WrongClock
            If this machine's clock is off.
        StoreUnavailable, StoreRefused, StoreFull
            If the store cannot take it.

        Examples
        --------
        >>> import numpy, cdb
        >>> db = cdb.open("memory://")
        >>> peds = numpy.zeros((2, 3), "float32")
        >>> version = db.add(peds, detector="epix_000001", ctype="pedestals", run=5)
        >>> version.new, version.meta["data_shape"], version.meta["run_end"]
        (True, '(2, 3)', 'end')
        """
        from cdb import payload  # with numpy: looking at documents is quicker without

        names.check_ctype(ctype)
        names.check_detector(detector)
        RunRange.parse(run, run_end)
        if time is not None:
            parse_time(time)
        plain = payload.encode(data)
        fields = {
            "version": version, "comment": comment, "detname": detname, "dettype": dettype,
            "longname": longname, "dtype": dtype, "run_orig": run_orig,
            "tstamp_orig": tstamp_orig, "iofname": iofname, "extpars": extpars, "unit": unit,
            "conditions": conditions, "source": source, "valid_from": valid_from,
            "valid_until": valid_until,
        }  # fmt: skip
        return self.deploy(
            payload.Encoded(
                plain.fields,
                payload.digest(plain.data),
                memoryview(plain.data).nbytes,
                plain.data,
            ),
            detector=detector,
            ctype=ctype,
            experiment=experiment,
            dbsuffix=dbsuffix,
            run=run,
            run_end=run_end,
            time=time,
            fields=fields,
            again=again,
            dry_run=dry_run,
            progress=progress,
            key=key,
        )

    def deploy(
        self,
        encoded: "Encoded",
        *,
        detector: str,
        ctype: str,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        run: int | str = 0,
        run_end: int | str | None = "end",
        time: Time | None = None,
        fields: Mapping[str, Any] | None = None,
        again: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
        key: str | None = None,
        permit: Callable[[Sequence[str]], None] | None = None,
    ) -> Version:
        """Add a payload that is encoded already, or even stored: what `add` does, from there on.

        Parameters
        ----------
        encoded : Encoded
            The payload; without its bytes if they were uploaded to one of the databases before.
        detector, ctype, experiment, dbsuffix, run, run_end, time, again, dry_run : optional
            See `add`.
        fields : mapping, optional
            The further arguments of `add`, by name.
        progress, key : optional
            See `add`.
        permit : callable, optional
            Called with the names of the databases before they are written; what it raises stops
            the deployment.

        Raises
        ------
        WrongState
            If the bytes are not here and not there: they must be sent again. If the key was
            used for something else.
        """
        names.check_ctype(ctype)
        names.check_detector(detector)
        runs = RunRange.parse(run, run_end)
        begin = None if time is None else parse_time(time)
        for check, name in ((names.check_experiment, experiment), (names.check_dbsuffix, dbsuffix)):
            if name is not None:
                check(name)
        short, is_new = enrolment.enrol(self.journal, detector, dry_run=True)
        given = dict(fields or {})
        if not given.get("longname") and detector != short:
            given["longname"] = detector
        document = new_document(
            detector=short,
            ctype=ctype,
            runs=runs,
            time=begin or datetime.fromtimestamp(self.journal.now(), UTC),
            experiment=experiment,
            payload_fields=encoded.fields,
            sha256=encoded.sha256,
            nbytes=encoded.nbytes,
            fields=given,
        )
        databases = names.databases_of(short, experiment, dbsuffix)
        if permit:
            permit(databases)
        data = encoded.data
        sent: dict[str, str] = {}
        if data is None:
            # A rehearsal needs no bytes: they are sent if it goes well.
            data, sent = (b"", sent) if dry_run else self._sent(encoded, databases)
        if is_new:
            short = self._enrol(detector, short, experiment, dbsuffix, dry_run=dry_run)
            document |= {"detector": short, "shortname": short}
            databases = names.databases_of(short, experiment, dbsuffix)
            if permit:
                permit(databases)
        shared = inventory.prepare(self.store, databases, short, encoded.sha256, dry_run=dry_run)
        return deployments.Deployment(
            self.journal,
            databases,
            short,
            document,
            data,
            private=dbsuffix is not None,
            time=begin,
            again=again,
            shared=shared,
            dry_run=dry_run,
            progress=progress,
            sent=sent,
            nonce=key,
        ).commit()

    def _sent(
        self, encoded: "Encoded", databases: Sequence[str]
    ) -> tuple[bytes | memoryview, dict[str, str]]:
        """Return bytes that were uploaded before, and where they are under which id."""
        sent: dict[str, str] = {}
        data: bytes | memoryview | None = None
        for database in databases:
            for blob_id in self._copies_of(database, encoded.sha256):
                found = self._whole(database, blob_id, encoded.sha256)
                if found is not None:
                    data, sent[database] = found, blob_id
                    break
        if data is None:
            raise WrongState(
                f"no payload {encoded.sha256} is in {' or '.join(databases)}: it was not sent, or "
                "too long ago; send the data again, then repeat"
            )
        encoded.check(data)
        return data, sent

    def _copies_of(self, database: str, sha256: str) -> list[str]:
        """Return the ids of bytes with a digest that a document may name."""
        named = inventory.payload_id(self.store, database, sha256)
        uploads = [blob.id for blob in self.store.uploads(database, sha256)]
        kept = [id_ for id_ in uploads if deployments.is_kept(self.journal, database, id_)]
        return list(dict.fromkeys([*([named] if named else []), *kept]))

    def _whole(self, database: str, blob_id: str, sha256: str) -> bytes | memoryview | None:
        """Return stored bytes if they have their digest, which a process asks once."""
        try:
            data = self.store.read(database, blob_id)
        except NotFound:
            return None
        if (database, blob_id + sha256) not in self._verified:
            if hashlib.sha256(data).hexdigest() != sha256:
                return None
            self._verified.add((database, blob_id + sha256))
        return data

    def upload(
        self,
        database: str,
        data: bytes | memoryview,
        *,
        sha256: str,
        progress: Progress | None = None,
    ) -> None:
        """Store bytes for a deployment that comes later; once, however often it is called.

        Parameters
        ----------
        database : str
            Where the deployment will be; if in two databases, one of them suffices.
        data : bytes or memoryview
            The payload; its digest is the caller's to know.
        sha256 : str
            The digest, hexadecimal.
        progress : callable, optional
            Called with the number of bytes written since the last call.

        Raises
        ------
        BadName
            If there can be no such database.
        """
        names.check_database(database)
        inventory.prepare(self.store, [database], "fs.files", "", dry_run=True)
        for blob_id in self._copies_of(database, sha256):
            if self._whole(database, blob_id, sha256) is not None:
                return
        moment = self.journal.moment()
        self.journal.check_clock(moment)
        inventory.prepare(self.store, [database], "fs.files", "", dry_run=False)
        self.store.write(database, data, sha256=sha256, head=moment.seq, progress=progress)

    def payload(self, database: str, sha256: str) -> bytes | memoryview:
        """Return the bytes with a digest that a version in a database names or named, verified.

        Raises
        ------
        NotFound
            If no version there does; bytes that were only uploaded are nobody's yet.
        Corrupt
            If the stored bytes are damaged.
        """
        named = inventory.payload_id(self.store, database, sha256)
        if named is None:
            named = self._pending_payload(database, sha256)
        if named is None:
            raise NotFound(f"no version in {database} has or had the payload {sha256}")
        for blob_id in dict.fromkeys([named, *self._copies_of(database, sha256)]):
            data = self._whole(database, blob_id, sha256)
            if data is not None:
                return data
        raise Corrupt(
            f"the payload {sha256} in {database} is damaged; `cdb fsck --payloads` finds all such, "
            "and adding the data again heals"
        )

    def foreign_payload(self, database: str, blob_id: str) -> bytes | memoryview:
        """Return bytes that another program stored, by their id: no digest names them.

        Raises
        ------
        NotFound
            If there are none, or a writer of ours stored them.
        """
        blob = self.store.blob(database, blob_id)
        if blob is None or blob.head is not None:
            raise NotFound(
                f"no bytes {blob_id} of another program are in {database}; payloads of ours are "
                "asked for by their sha256"
            )
        return self.store.read(database, blob_id)

    def _pending_payload(self, database: str, sha256: str) -> str | None:
        """Return the id of bytes that an event names which is not completed yet."""
        for place, documents in self.journal.moment().added.items():
            for document in documents.values():
                if place[0] == database and document.get("sha256") == sha256:
                    return str(document["id_data"])
        return None

    def _enrol(
        self,
        detector: str,
        short: str,
        experiment: str | None,
        dbsuffix: str | None,
        *,
        dry_run: bool,
    ) -> str:
        """Register a long name, once nothing else can be refused; return its short name."""
        databases = names.databases_of(short, experiment, dbsuffix)
        inventory.prepare(self.store, databases, short, "", dry_run=True)
        if dry_run:
            return short
        short = enrolment.enrol(self.journal, detector).short
        logger.info("detector %s is new: registered as %s", detector, short)
        return short

    # names -------------------------------------------------------------------------------------

    def short_name(self, detector: str, *, as_of: AsOf | None = None) -> str:
        """Return the short name of a detector.

        Parameters
        ----------
        detector : str
            Short name, which is returned as it stands, or long name.
        as_of : int, datetime or str, optional
            Event or time.

        Raises
        ------
        NotFound
            If a long name is not in the register.
        """
        names.check_detector(detector)
        if names.is_short_name(detector):
            return detector
        return enrolment.short_name(self.journal, detector, self.moment(as_of))

    # looking up --------------------------------------------------------------------------------

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
            version=version, rule=rule, as_of=as_of,
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
    ) -> Version:
        """Return the version that holds, without its data; see `get`."""
        names.check_ctype(ctype)
        question = _question(run, time, rule, experiment, version)
        names.check_detector(detector)
        moment = self.moment(as_of)
        short = self._short_name(detector, moment)
        places = _places(short, experiment, dbsuffix, rule)
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
        state = f" as of event {moment.seq}" if moment.asked else ""
        sentence = f"no {ctype} of {short}{_asked(question)} in {where}{state}"
        if begins:
            some = ", ".join(map(str, sorted(begins)[:10]))
            more = ", ..." if len(begins) > 10 else ""
            known = f"known first runs: {some}{more} (`cdb explain` says why not)"
            return f"{sentence}; {known}; types there are: {', '.join(sorted(types))}"
        if not types:
            return f"{sentence}; no constants at all are there, `cdb ls` shows what there is"
        return f"{sentence}; types there are: {', '.join(sorted(types))}"

    def version_by_id(self, id: str, *, as_of: AsOf | None = None) -> Version:  # noqa: A002
        """Return a version, also one that has left, without its data.

        Raises
        ------
        NotFound
            If the journal does not know the version.
        """
        return deployments.version_by_id(self.journal, self.moment(as_of), id)

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
        blob_id = str(version.meta.get("id_data"))
        try:
            data = self.store.read(
                version.database, blob_id, sha256=version.sha256, progress=progress
            )
        except NotFound as error:
            purge = self.journal.purge_of(version.database, blob_id)
            if purge is not None:
                raise Purged(
                    f"the data of {version.ctype} {version.id} in {version.database} were "
                    f"{deployments.how_purged(purge)}; the document is all that is left"
                ) from error
            # No KeyError, which would read as "no such constant" to a mapping's caller.
            raise Corrupt(
                f"the payload of {version.ctype} {version.id} in {version.database} is missing: "
                f"{error}; `cdb fsck --payloads` finds all such, and adding the data again heals"
            ) from error
        wanted = None if self.store.verifies else version.sha256
        if wanted is not None and (version.database, blob_id + wanted) not in self._verified:
            if hashlib.sha256(data).hexdigest() != wanted:
                raise Corrupt(
                    f"the payload of {version.ctype} {version.id} in {version.database} is "
                    "damaged: its digest is not the one that was deployed; "
                    "`cdb fsck --payloads` finds all such, and adding the data again heals"
                )
            self._verified.add((version.database, blob_id + wanted))
        return data

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
    ) -> Explanation:
        """Return every candidate with the reason why it won or lost.

        Parameters and errors are those of `get`; a missing constant is an explanation without a
        winner.
        """
        names.check_ctype(ctype)
        question = _question(run, time, rule, experiment, version)
        moment = self.moment(as_of)
        short = self._short_name(detector, moment)
        places = _places(short, experiment, dbsuffix, rule)
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
        moment = self.moment(as_of)
        short = self._short_name(name, moment)
        places = _places(short, experiment, dbsuffix, rule)
        versions = self._versions(moment, self._indexes.winners(moment, places, question))
        _warn_of_foreign(moment, versions.values())
        searched = ", ".join(dict.fromkeys(place.database for place in places))
        return self._handed_out(
            short, name, experiment, dbsuffix, question, moment.seq, versions, searched
        )

    def _handed_out(
        self,
        short: str,
        name: str,
        experiment: str | None,
        dbsuffix: str | None,
        question: Question,
        seq: int,
        versions: Mapping[str, Version],
        searched: str,
    ) -> Detector:
        """Return a detector of the versions that hold, which another process can make again."""
        recipe = None
        if self.store.shared:
            asked = (question.run, question.time, question.rule, seq)
            recipe = _remade, (self.store.url, name, experiment, dbsuffix, *asked, "calibconst")
        calibconst = Calibconst(
            f"{short}{_asked(question)}", versions, self.data, searched=searched, recipe=recipe
        )
        return Detector(short, name, experiment, question.run, seq, calibconst)

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
    ) -> "Holding":
        """Return which versions hold, without reading one; parameters are those of `get`."""
        question = _question(run, time, rule, experiment)
        moment = self.moment(as_of)
        short = self._short_name(name, moment)
        places = _places(short, experiment, dbsuffix, rule)
        return Holding(short, moment, self._indexes.winners(moment, places, question))

    def versions(self, holding: "Holding") -> dict[str, Version]:
        """Return the versions that hold, by type."""
        return self._versions(holding.moment, holding.winners)

    def _versions(
        self, moment: Moment, winners: Mapping[str, tuple[Place, str]]
    ) -> dict[str, Version]:
        ids: dict[Place, list[str]] = {}
        for place, version_id in winners.values():
            ids.setdefault(place, []).append(version_id)
        found: dict[str, Version] = {}
        for place, wanted in ids.items():
            query = {"_id": {"$in": wanted}}
            added = moment.added.get((place.database, place.collection), {})
            documents = [added[id_] for id_ in wanted if id_ in added]
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
        skip: int = 0,
        as_of: AsOf | None = None,
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
        skip : int, optional
            So many of the first are left out.
        as_of : int, datetime or str, optional
            Event or time.

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
        moment = self.moment(as_of)
        short = None if detector is None else self._short_name(detector, moment)
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
            skip=skip,
        )

    def searched(
        self,
        detector: str,
        *,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        rule: str = "range",
        as_of: AsOf | None = None,
    ) -> list[str]:
        """Return the databases that a look-up asks, in order; parameters are those of `get`."""
        places = _places(self._short_name(detector, self.moment(as_of)), experiment, dbsuffix, rule)
        return list(dict.fromkeys(place.database for place in places))

    def shelf(
        self,
        detector: str | None,
        experiment: str | None,
        dbsuffix: str | None,
        *,
        as_of: AsOf | None = None,
    ) -> str:
        """Return the database that `find` and `history` look into; parameters are theirs."""
        moment = self.moment(as_of)
        if detector is not None:
            short = self._short_name(detector, moment)
            return names.databases_of(short, experiment, dbsuffix)[0]
        if experiment is None:
            raise BadQuestion("name a detector, an experiment or both: -d, -e")
        return names.experiment_database(experiment)

    def filed(self, id: str) -> list[str]:  # noqa: A002
        """Return the databases of a version and of its copies, which retire with it."""
        return [made["database"] for made in deployments.fate_of(self.journal, id).copies]

    def databases(
        self, *, may_read: Callable[[str], bool] = lambda _: True, as_of: AsOf | None = None
    ) -> list[dict[str, Any]]:
        """Return the databases: `database`, and its `collections` with their `documents`.

        Parameters
        ----------
        may_read : callable, optional
            From the name of a database to whether it is to be listed.
        as_of : int, datetime or str, optional
            Event or time.
        """
        return listing.databases(self.journal, self.moment(as_of), may_read)

    def history(
        self,
        detector: str,
        ctype: str,
        *,
        experiment: str | None = None,
        dbsuffix: str | None = None,
        as_of: AsOf | None = None,
    ) -> list[Version]:
        """Return all versions, newest first; of those that left, who did it, when and why.

        Parameters are those of `find`.
        """
        names.check_ctype(ctype)
        moment = self.moment(as_of)
        short = self._short_name(detector, moment)
        database = names.databases_of(short, experiment, dbsuffix)[0]
        return listing.history(self.journal, moment, database, short, ctype)

    def detectors(self, *, as_of: AsOf | None = None) -> list[dict[str, Any]]:
        """Return the known detectors: short name, long name, types there are.

        Parameters
        ----------
        as_of : int, datetime or str, optional
            Event or time: only detectors that had constants or a long name then.

        Returns
        -------
        detectors : list of dict
            With `detector`, `longname` and `ctypes`.
        """
        return listing.detectors(self.journal, self.moment(as_of))

    def experiments(self, *, as_of: AsOf | None = None) -> list[dict[str, Any]]:
        """Return the known experiments with their detectors.

        Parameters
        ----------
        as_of : int, datetime or str, optional
            Event or time: only those with constants then.

        Returns
        -------
        experiments : list of dict
            With `experiment` and `detectors`.
        """
        return listing.experiments(self.journal, self.moment(as_of))

    # retiring and mending ----------------------------------------------------------------------

    def retire(
        self,
        id: str,  # noqa: A002
        *,
        reason: str,
        dry_run: bool = False,
        key: str | None = None,
    ) -> Version:
        """Take a version out of look-ups, all its copies in one event; its bytes stay.

        Parameters
        ----------
        id : str
            Of any copy.
        reason : str
            Why; it is kept.
        dry_run : bool, optional
            Only check.
        key : str, optional
            See `add`.

        Raises
        ------
        NotFound
            If the journal does not know the version.
        WrongState
            If it has left already.
        """
        return deployments.retire(self.journal, self._commit(dry_run, key), id, reason)

    def retire_all(
        self, ids: Sequence[str], *, reason: str, dry_run: bool = False
    ) -> list[Version]:
        """Take several versions out of look-ups in one event: all of them, or none.

        Parameters and errors are those of `retire`.

        Raises
        ------
        BadDocument
            If they are too many for one event; some 15,000 are not.
        """
        if not ids:
            return []
        return deployments.retire_all(self.journal, self._commit(dry_run), ids, reason)

    def restore(
        self,
        id: str,  # noqa: A002
        *,
        reason: str,
        dry_run: bool = False,
        key: str | None = None,
    ) -> Version:
        """Bring a retired version back, in its old place among equals.

        Parameters and errors are those of `retire`; a version that was replaced is not restored,
        the error names its successor.
        """
        return deployments.restore(self.journal, self._commit(dry_run, key), id, reason)

    def amend(
        self,
        id: str,  # noqa: A002
        *,
        run: int | str | None = None,
        run_end: int | str | None = None,
        time: Time | None = None,
        version: str | None = None,
        comment: str | None = None,
        unit: str | None = None,
        conditions: Mapping[str, Any] | None = None,
        valid_from: str | None = None,
        valid_until: str | None = None,
        source: Mapping[str, Any] | None = None,
        reason: str = "",
        dry_run: bool = False,
        key: str | None = None,
    ) -> Version:
        """Change the metadata of a version; the payload and its place among equals stay.

        Parameters
        ----------
        id : str
            Of any copy.
        run, run_end, time, version, comment, ... : optional
            What to change, as `add` takes it.
        reason : str, optional
            Why; it is kept.
        dry_run : bool, optional
            Only check.
        key : str, optional
            See `add`.

        Returns
        -------
        version : Version
            The successor: the version itself never changes.

        Raises
        ------
        NotFound, WrongState
            As `retire`.
        BadQuestion
            If nothing is to be changed.
        """
        given = {
            "version": version, "comment": comment, "unit": unit, "conditions": conditions,
            "valid_from": valid_from, "valid_until": valid_until, "source": source,
        }  # fmt: skip
        changes: Document = {name: v for name, v in given.items() if v is not None}
        if time is not None:
            begin = parse_time(time)
            changes |= {"time_sec": seconds(begin), "time_stamp": time_stamp(begin)}
        if run is not None or run_end is not None:
            changes |= deployments.amended_runs(self.journal, id, run, run_end)
        if not changes:
            raise BadQuestion(f"nothing to change; give run, run_end, time, {', '.join(AMENDABLE)}")
        return deployments.amend(self.journal, self._commit(dry_run, key), id, changes, reason)

    def _commit(self, dry_run: bool, key: str | None = None) -> Any:
        return self.journal.rehearse if dry_run else partial(self.journal.commit, nonce=key)

    # moments -----------------------------------------------------------------------------------

    def moment(self, as_of: AsOf | None = None, *, head: Head | None = None) -> Moment:
        """Return the state that an event or a time stands for, or the present one.

        It can be given as `as_of` to several questions, which then see the same state.

        Parameters
        ----------
        as_of : int, datetime or str, optional
            Event or time.
        head : Head, optional
            The head, if it was asked for just now.

        Raises
        ------
        BadQuestion
            If there is no such event yet.
        """
        if isinstance(as_of, Moment):
            return as_of
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

    def _short_name(self, detector: str, moment: Moment) -> str:
        names.check_detector(detector)
        if names.is_short_name(detector):
            return detector
        return enrolment.short_name(self.journal, detector, moment)


@dataclass(frozen=True)
class Holding:
    """Which version holds of each type of a detector.

    Attributes
    ----------
    detector : str
        Short name.
    moment : Moment
        As of when.
    winners : mapping of str to (Place, str)
        Where the version of each type is, and its id.
    """

    detector: str
    moment: Moment
    winners: Mapping[str, tuple[Place, str]]


def _places(short: str, experiment: str | None, dbsuffix: str | None, rule: str) -> list[Place]:
    return lookup.places(short, experiment, dbsuffix, rule)


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


def _remade(
    url: str,
    name: str,
    experiment: str | None,
    dbsuffix: str | None,
    run: int | None,
    time: int | None,
    rule: str,
    seq: int,
    what: str,
) -> Detector | Calibconst:
    """Make a detector again in another process, from its reference."""
    detector = open(url).detector(
        name, experiment=experiment, dbsuffix=dbsuffix, run=run, time=time, rule=rule, as_of=seq
    )
    return detector if what == "detector" else detector.calibconst
