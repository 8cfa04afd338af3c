"""The command that puts a store on the network: serve."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from cdb.cli import options, output
from cdb.cli.command import Failure, command


@command(
    "serve",
    """
    cdb serve --anonymous-read --read-only
    cdb serve --url mongodb://db1.example.org/ --config /etc/cdb/serve.toml
    cdb serve --config /etc/cdb/serve.toml --check
    """,
)
@click.option("--host", metavar="ADDRESS", help="Where to listen.  [default: 127.0.0.1]")
@click.option("--port", type=int, metavar="N", help="0 takes a free one.  [default: 8000]")
@click.option("--workers", type=int, metavar="N", help="Processes.  [default: 2]")
@click.option("--anonymous-read", is_flag=True, default=None,
              help="Let everybody read, without a token.")  # fmt: skip
@click.option("--read-only", is_flag=True, default=None, help="Let nobody write.")
@click.option("--config", type=options.file_path, metavar="FILE",
              help="TOML file with these and all other settings.")  # fmt: skip
@click.option("--check", is_flag=True, help="Check and print the settings, but serve nothing.")
@options.url
def serve_command(config: Path | None, check: bool, **given: Any) -> None:
    """Put the store on the network, for psana's clients and for CDB_URL=https://...

    Settings come from the file, then from the environment (CDB_WORKERS=4), then from the command
    line. Who writes needs a token: of `cdb token create`, or a JSON web token, whose secret stands
    in CDB_JWT_SECRET or in a file of its own. SIGTERM or Ctrl-C stops; requests end first.
    """
    try:
        from cdb.web import server, settings
    except ModuleNotFoundError as error:
        raise Failure(f"{error.name} is missing; `pip install 'cdb[server]'` brings it") from None

    found, faults = settings.load(config, os.environ, given)
    faults = faults or server.faults_at_start(found)
    if check and faults:
        for fault in faults:
            output.say(fault)
        raise Failure(f"{len(faults)} to mend")
    settings.check(found, faults)
    if check:
        _print(found.shown())
    else:
        server.run(found)


def _print(settings: Mapping[str, Any]) -> None:
    """Print settings as a file of them would hold them."""
    for name, value in settings.items():
        if name == "rights":
            continue
        shown = ", ".join(value) if isinstance(value, tuple) else str(value)
        click.echo(f"{name:<20}{shown.lower() if isinstance(value, bool) else shown}".rstrip())
    for subject, rights in settings["rights"].items():
        may = [f"{verb} {' '.join(rights[verb])}" for verb in ("read", "write") if rights[verb]]
        may += ["admin"] if rights["admin"] else []
        click.echo(f"rights of {subject}: {', '.join(may)}")
