"""A database of constants: add, retire, amend, and all that can be asked, over one store.

Joins what the rooms below know: names and the register, documents and their journal, look-up
rules and indexes, payloads.
"""

import logging
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cdb import affected, deployments, enrolment, inventory, lineage, names
from cdb.affected import Affected
from cdb.constant import AMENDABLE, Version, check_given, new_document
from cdb.copies import Copies
from cdb.errors import BadQuestion
from cdb.journal import Journal, Step, no_step
from cdb.reading import AsOf, Readable, Time
from cdb.stores.base import Progress, Store
from cdb.tagging import Tags
from cdb.validity import RunRange, parse_time, seconds, time_stamp

if TYPE_CHECKING:
    from cdb.gates import Gates
    from cdb.inspection import Verdict
    from cdb.payload import Encoded

logger = logging.getLogger(__name__)

Document = dict[str, Any]


class Database(Readable):
    """Constants in a store.

    Parameters
    ----------
    store : Store
        Where documents and bytes are.
    step : callable, optional
        Called between the steps of a write; for tests.
    now : callable, optional
        The clock [Unix seconds]; for tests.
    gates : Gates, Path or str, optional
        The rules that new constants are held against: those of a file over the package's,
        ``off`` for none.

    Attributes
    ----------
    journal : Journal
        Of the store.
    copies : Copies
        Its documents one by one, as psana's clients see them.
    tags : Tags
        Its tags.
    """

    def __init__(
        self,
        store: Store,
        *,
        step: Step = no_step,
        now: Callable[[], float] = clock.time,
        gates: "Gates | Path | str | None" = None,
    ) -> None:
        super().__init__(Journal(store, step=step, now=now), gates)
        self.copies = Copies(self.journal)
        self.tags: Tags = Tags(self)

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
        unit, conditions, valid_from, valid_until : optional
            Further fields of ours.
        source : mapping, optional
            What it was made from: runs, files, software, parameters, parents; see `cdb.sources`.
            A parent of this store needs its `id` alone.
        dry_run : bool, optional
            Check everything and return what would be added, but write nothing.
        progress : callable, optional
            Called with the number of bytes uploaded since the last call.
        key : str, optional
            Idempotency key: a second call with the same one returns what the first one added.

        Returns
        -------
        version : Version
            With `new` False if it was there already. Its `state` is ``quarantined`` if the rules
            keep it from look-ups; `findings` say what they found, also where they only warn.

        Raises
        ------
        BadName, BadRun, BadTime, BadPayload
            Before anything is written.
        Refused
            If a rule keeps it out altogether; nothing is written.
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
        retired: str = "",
        recorded: bool = False,
        permit: Callable[[Sequence[str]], None] | None = None,
        may_read: Callable[[str], bool] | None = None,
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
        retired : str, optional
            Why it is added as a version that has left already, by one event: what was in force
            elsewhere, long ago. No look-up sees it; whether it is there already is not looked at.
        recorded : bool, optional
            Only record what the rules find, where they would put it into quarantine: it was in
            force elsewhere. What they refuse is refused.
        permit : callable, optional
            Called with the names of the databases before they are written; what it raises stops
            the deployment.
        may_read : callable, optional
            From the name of a database to whether bytes that lie there may be named by their
            digest alone: whoever does so can read them afterwards.

        Raises
        ------
        WrongState
            If the bytes are not here and not there: they must be sent again. If the key was
            used for something else.
        """
        return self._deployment(
            encoded,
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
            retired=retired,
            recorded=recorded,
            permit=permit,
            may_read=may_read,
        ).commit()

    def deploy_together(
        self,
        several: Sequence[Mapping[str, Any]],
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> list[Version]:
        """Add several constants of one detector by one event: all of them are seen, or none.

        Behind a service they are added one after the other; what was added until then stays if
        one fails, and the same call again adds the rest.

        Parameters
        ----------
        several : sequence of mapping
            For each what `deploy` takes, by name; each of another type, all of one detector.
        dry_run : bool, optional
            Only check.
        progress : callable, optional
            See `add`.

        Returns
        -------
        versions : list of Version
            In this order.

        Raises
        ------
        BadQuestion
            If they are of several detectors, or two of one type.
        Refused
            If the rules keep one of them out, or would put it into quarantine.
        """
        check_together(several)
        if not dry_run and len(several) > 1:
            self._committed(several, dry_run=True)  # what can be refused is, before anything else
        return self._committed(several, dry_run=dry_run, progress=progress)

    def _committed(
        self,
        several: Sequence[Mapping[str, Any]],
        *,
        dry_run: bool,
        progress: Progress | None = None,
    ) -> list[Version]:
        made = [self._deployment(**each, dry_run=dry_run, progress=progress) for each in several]
        refused = next((each.refused for each in made if each.refused), "")
        # What is refused is only looked for.
        return deployments.commit_together(self.journal, made, dry_run=dry_run or bool(refused))

    def _deployment(
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
        retired: str = "",
        recorded: bool = False,
        permit: Callable[[Sequence[str]], None] | None = None,
        may_read: Callable[[str], bool] | None = None,
    ) -> deployments.Deployment:
        """Return a deployment that waits to be committed; parameters are those of `deploy`."""
        names.check_ctype(ctype)
        detector = names.check_detector(detector)
        runs = RunRange.parse(run, run_end)
        begin = None if time is None else parse_time(time)
        for check, name in ((names.check_experiment, experiment), (names.check_dbsuffix, dbsuffix)):
            if name is not None:
                check(name)
        short, is_new = enrolment.enrol(self.journal, detector, dry_run=True)
        given = dict(fields or {})
        if given.get("source") is not None:
            given["source"] = lineage.filled(self.journal, given["source"])
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
            readable = [d for d in databases if may_read is None or may_read(d)]
            data, sent = (b"", sent) if dry_run else self._blobs.sent(encoded, readable)
        verdict, refused = None, ""
        if not dry_run or encoded.data is not None:
            asked = (short, ctype, experiment, dbsuffix, runs.begin, document["time_sec"])
            verdict = self._judged(encoded, data, asked, may_read, recorded=recorded)
        if verdict is not None:
            refused = self._refusal(verdict, short, ctype, key)
            document |= {} if refused else verdict.fields(recorded=recorded)
            # Of what is refused one only looks whether it is there already.
            dry_run = dry_run or bool(refused)
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
            codes=verdict.codes if verdict is not None and not (refused or recorded) else "",
            refused=refused,
            retired=retired,
        )

    def _judged(
        self,
        encoded: "Encoded",
        data: bytes | memoryview,
        asked: tuple[Any, ...],
        may_read: Callable[[str], bool] | None,
        *,
        recorded: bool,
    ) -> "Verdict | None":
        """Return what the rules say of a payload, None if there are none for it."""
        from cdb import payload

        def nothing_to_compare() -> str:
            return "what was in force elsewhere is not compared with what is in force here"

        detector, ctype = asked[:2]
        if not self.gates.rules(names.detector_type(detector), ctype):
            return None
        decoded = payload.decode(data, {**encoded.fields, "ctype": ctype})
        in_force = partial(self._in_force, *asked, may_read=may_read)
        compared = nothing_to_compare if recorded else in_force
        return self._inspected(decoded, compared, detector, ctype)

    def _refusal(self, verdict: "Verdict", detector: str, ctype: str, key: str | None) -> str:
        """Return why a constant is refused; empty if it is not, or the key's event is in."""
        from cdb.inspection import REFUSED

        if verdict.outcome != REFUSED:
            return ""
        if key is not None and self.journal.event_of(key) is not None:
            return ""
        why = "; ".join(finding.message for finding in verdict.findings)
        return (
            f"{ctype} of {detector} is refused: {why}; mend it, or the rules of {self.gates.source}"
        )

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
        self._blobs.upload(database, data, sha256=sha256, progress=progress)

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

    # comparing ---------------------------------------------------------------------------------

    def affected(
        self,
        a: AsOf,
        b: AsOf,
        *,
        detector: str | None = None,
        experiment: str | None = None,
        time: Time | None = None,
    ) -> Iterator[Affected]:
        """Yield the keys and runs that two states, or tags, answer differently.

        Parameters and errors are those of `cdb.affected.between`.
        """
        return affected.between(self, a, b, detector=detector, experiment=experiment, time=time)

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
        self, ids: Sequence[str], *, reason: str, dry_run: bool = False, key: str | None = None
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
        return deployments.retire_all(self.journal, self._commit(dry_run, key), ids, reason)

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

    def approve(
        self,
        id: str,  # noqa: A002
        *,
        reason: str,
        dry_run: bool = False,
        key: str | None = None,
    ) -> Version:
        """Let a version out of quarantine, all its copies in one event, in its place among equals.

        Parameters and errors are those of `retire`.

        Returns
        -------
        version : Version
            The copy that holds from now on, under a new id.
        """
        return deployments.approve(self.journal, self._commit(dry_run, key), id, reason)

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
        check_given(changes)
        if source is not None:
            changes["source"] = lineage.filled(self.journal, source)
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


def check_together(several: Sequence[Mapping[str, Any]]) -> None:
    """Refuse constants that make no set."""
    ctypes = [each["ctype"] for each in several]
    twice = next((ctype for ctype in ctypes if ctypes.count(ctype) > 1), None)
    if twice is not None:
        raise BadQuestion(f"{twice} twice in one deployment; deploy them one after the other")
    detectors = sorted({each["detector"] for each in several})
    if len(detectors) > 1:
        raise BadQuestion(
            f"one deployment for {' and '.join(detectors)}; deploy to each detector by itself"
        )
