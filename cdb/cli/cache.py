"""Commands about the folder that keeps payloads: cache info, verify, clear, prefetch."""

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import Failure, command, group

if TYPE_CHECKING:
    from cdb.stores.cache import Cache


@group("cache")
def cache_command() -> None:
    """Look after the folder that keeps the payloads of a remote store.

    All processes of a node share it. It is CDB_CACHE, else a folder of yours; CDB_CACHE=off does
    without. CDB_CACHE_SIZE (500M, 20G) says what it may take; what was not used for longest goes
    first.
    """


@command(
    "info",
    """
    cdb cache info
    cdb cache info --json
    """,
)
@options.json_
def info_command(as_json: bool) -> None:
    """Say where the cache is, what it holds, and how its file system behaves."""
    cache = _cache()
    entries, has_locks, kind = cache.entries(), cache.has_locks, cache.file_system
    nbytes = sum(entry.nbytes for entry in entries)
    if as_json:
        output.as_json(
            {
                "folder": str(cache.folder),
                "payloads": len(entries),
                "bytes": nbytes,
                "limit": cache.size,
                "least_recently_used": entries[0].used if entries else None,
                "file_system": kind,
                "network": cache.is_remote,
                "locks": has_locks,
            }
        )
        return
    why = "by CDB_CACHE" if os.environ.get("CDB_CACHE") else "the default; CDB_CACHE chooses"
    slow = ": a network file system, better on a local disk" if cache.is_remote else ""
    used = f"{datetime.fromtimestamp(entries[0].used, UTC):%Y-%m-%d %H:%M:%S}Z" if entries else "-"
    output.fields(
        {
            "payloads": len(entries),
            "bytes": f"{output.size(nbytes)} of {output.size(cache.size)}",
            "folder": str(cache.folder),
            "chosen": why,
            "last used": f"the first to go: {used}",
            "disk": f"{kind or 'unknown'}{slow}",
            "locks": "yes" if has_locks else "none here: several processes may download the same",
        }
    )


@command(
    "verify",
    """
    cdb cache verify
    cdb cache verify --json
    """,
)
@options.json_
def verify_command(as_json: bool) -> None:
    """Compare every payload with its digest; a damaged one is removed.

    The exit code is 1 if there was one. It is downloaded again when it is next asked for.
    """
    damaged, whole = [], 0
    for entry, is_whole in _cache().verify():
        whole += is_whole
        damaged += [] if is_whole else [entry.sha256]
    if as_json:
        output.as_json({"whole": whole, "damaged": damaged})
    else:
        for sha256 in damaged:
            click.echo(f"{sha256}: damaged, removed")
        click.echo(f"{whole} payloads are whole, {len(damaged)} were damaged")
    if damaged:
        click.get_current_context().exit(1)


@command(
    "clear",
    """
    cdb cache clear --dry-run
    cdb cache clear
    """,
)
@options.json_
@options.dry_run
def clear_command(as_json: bool, dry_run: bool) -> None:
    """Remove all payloads from the cache; who reads one just now keeps it.

    The store has them still: they are downloaded again when they are asked for. So are the
    numbers that `cdb trend` keeps there computed again.
    """
    from cdb.computed import beside_the_cache

    cache, numbers = _cache(), beside_the_cache()
    entries = cache.entries()
    if not dry_run:
        cache.remove(entries)
        cache.sweep()
        if numbers is not None:
            numbers.clear()
    nbytes = sum(entry.nbytes for entry in entries)
    if as_json:
        output.as_json({"payloads": len(entries), "bytes": nbytes, "removed": not dry_run})
        return
    done = "would be removed" if dry_run else "removed"
    click.echo(f"{len(entries)} payloads, {output.size(nbytes)}, {done}")


@command(
    "prefetch",
    """
    cdb cache prefetch -e rixx45619 -d epixhr2x2_000001 -r 9
    cdb cache prefetch -d epixhr2x2_000001 -c pedestals -c pixel_gain
    """,
)
@options.detector
@click.option("-c", "--ctype", "ctypes", multiple=True, metavar="TYPE",
              help="Only this type; may be repeated.  [default: all]")  # fmt: skip
@options.experiment
@options.dbsuffix
@options.run_option("-r", "--run", help="Run.  [default: the far future: open ranges only]")
@options.times
@options.rule
@options.as_of
@options.tag
@options.json_
@options.url
def prefetch_command(
    detector: str,
    ctypes: tuple[str, ...],
    experiment: str | None,
    dbsuffix: str | None,
    run: int | None,
    time_stamp: str | None,
    time_sec: int | str | None,
    rule: str,
    as_of: int | str | None,
    tag: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """Download the constants that hold, so that an analysis need not wait for them."""
    import cdb
    from cdb.stores.cached import CachedStore

    time = options.given_time(time_stamp, time_sec)
    with cdb.open(url) as db:
        if not isinstance(db.store, CachedStore):
            raise Failure(
                f"{db.store.describe()} is read without a cache: there is nothing to prefetch"
            )
        constants = db.detector(
            detector, experiment=experiment, dbsuffix=dbsuffix, run=run, time=time, rule=rule,
            as_of=as_of, tag=tag,
        ).calibconst  # fmt: skip
        versions = [constants.version(ctype) for ctype in ctypes or constants]
        total = sum(version.nbytes or 0 for version in versions)
        with output.progress(detector, total) as progress:
            for version in versions:
                db.read(version, progress=progress)
    fetched: list[dict[str, Any]] = [
        {"ctype": v.ctype, "id": v.id, "sha256": v.sha256, "bytes": v.nbytes} for v in versions
    ]
    if as_json:
        output.as_json(fetched)
        return
    for each in fetched:
        click.echo(f"{each['ctype']}: {output.size(each['bytes'])}")


for _made in (info_command, verify_command, clear_command, prefetch_command):
    cache_command.add_command(_made)


def _cache() -> "Cache":
    from cdb.stores.cache import default_cache

    cache = default_cache()
    if cache is None:
        raise Failure("CDB_CACHE is off: there is no cache")
    cache.check()
    return cache
