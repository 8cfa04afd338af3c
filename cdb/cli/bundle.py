"""Commands about bundles: make, verify."""

from pathlib import Path

import click

from cdb.cli import options, output
from cdb.cli.command import command, group


@group("bundle")
def bundle_command() -> None:
    """Pack what an analysis needs into one file, for use without a network: CDB_URL=bundle:///FILE."""


@command(
    "make",
    """
    cdb bundle make -e rixx45619 -d epixhr2x2_000001 out.cdb
    cdb bundle make -e rixx45619 --run 100-140 --as-of 117 out.cdb
    CDB_URL=bundle:///data/out.cdb cdb ls -e rixx45619
    """,
)
@click.argument("path", metavar="FILE", type=options.file_path)
@click.option("-e", "--experiment", "experiments", multiple=True, metavar="NAME",
              help="Experiment; may be repeated.")  # fmt: skip
@click.option("-d", "--detector", "detectors", multiple=True, metavar="NAME",
              help="Detector; may be repeated.  [default: all of the experiments]")  # fmt: skip
@click.option("-S", "--dbsuffix", "dbsuffixes", multiple=True, metavar="SUFFIX",
              help="Private database of the detectors; may be repeated.")  # fmt: skip
@click.option("--run", "runs", metavar="A-B", help="Only payloads that these runs can need.")
@click.option("--all", "everything", is_flag=True,
              help="All payloads there are, of versions that have left too.")  # fmt: skip
@options.as_of
@options.dry_run
@options.yes
@options.json_
@options.url
def make_command(
    path: Path,
    experiments: tuple[str, ...],
    detectors: tuple[str, ...],
    dbsuffixes: tuple[str, ...],
    runs: str | None,
    everything: bool,
    as_of: int | str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Pack experiments and detectors: documents, history, and the payloads that hold.

    The file answers the same questions as the store did when it was made. It is only read. A
    service will do as well as a store, for what you may read of it. A bundle has no tags: name the
    S of one with --as-of; what it pins and its steps stay behind.
    """
    from cdb.opening import open_present
    from cdb.packing import Asked, Packing
    from cdb.validity import RunRange

    begin, _, end = (runs or "").partition("-")
    between = RunRange.parse(begin, end or begin) if runs else None
    asked = Asked(experiments, detectors, dbsuffixes, between, everything)
    if path.exists() and not dry_run:
        options.confirm(f"{path} is there; replace it?", yes=yes)
    with open_present(url) as db, Packing(db, asked, as_of=as_of) as packing:
        made = packing.planned
        if not dry_run:
            what = f"packing {output.size(made.nbytes)}"
            with output.progress(what, made.nbytes) as advance:
                made = packing.write(path, progress=advance)
    if as_json:
        output.as_json({"file": str(path), **vars(made), "dry_run": dry_run})
        return
    done = "would be packed" if dry_run else "packed"
    output.tell(f"{asked.scope()} as of event {made.seq} {done} into {path}")
    output.fields(
        {
            "documents": made.documents,
            "payloads": f"{made.payloads}, {output.size(made.nbytes)}",
            **({"payloads missing": made.missing} if made.missing else {}),
        },
        indent="  ",
    )


@command(
    "verify",
    """
    cdb bundle verify out.cdb
    """,
)
@click.argument("path", metavar="FILE", type=options.file_path)
@options.json_
def verify_command(path: Path, as_json: bool) -> None:
    """Read a bundle from end to end and compare all digests."""
    from cdb.stores.bundle import BundleStore

    with BundleStore(path) as store:
        number, nbytes = store.verify()
        facts = store.facts
    if as_json:
        output.as_json({"file": str(path), "payloads": number, "bytes": nbytes, **facts})
        return
    output.tell(f"{path} is whole: {number} payloads, {output.size(nbytes)}")
    output.fields({"for": facts["scope"], "S": facts["seq"]}, indent="  ")


bundle_command.add_command(make_command)
bundle_command.add_command(verify_command)
