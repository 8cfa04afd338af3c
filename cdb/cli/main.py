"""``cdb``: the commands, and what becomes of their errors."""

import importlib
import io
import logging
import sys
from typing import Any

import click

from cdb import __version__
from cdb.cli import output
from cdb.cli.command import Command, Failure, Group, Interrupted, failure, nearest
from cdb.errors import CalibError

# Each command with its module in this folder, of which only the one that is called is loaded.
COMMANDS = {
    "Constants": {
        "add": ("files", "Add a constant from a file."),
        "get": ("files", "Write the constant that holds to files."),
        "show": ("constants", "Print the document of the constant that holds."),
        "ls": ("constants", "List constants."),
        "history": ("constants", "List all versions, those that left included."),
        "explain": ("constants", "Say why a look-up chooses what it chooses."),
        "stamp": ("stamps", "Print which constants hold for a run, to keep with its results."),
        "replay": ("stamps", "Get the constants again that results were made with."),
        "lineage": ("stamps", "Show what a constant was made from, and what from it."),
        "retire": ("changes", "Take a version out of look-ups."),
        "restore": ("changes", "Bring a retired version back."),
        "amend": ("changes", "Change the metadata of a version."),
    },
    "Gates": {
        "check": ("gates", "Hold a file or a version against the rules."),
        "quarantine": ("gates", "List what the rules keep from look-ups."),
        "approve": ("gates", "Let a version out of quarantine."),
    },
    "Compare": {
        "diff": ("compare", "Say what differs between two constants."),
        "trend": ("compare", "Show how the values went from version to version."),
        "stale": ("compare", "Say what is in force and grew old; for cron."),
    },
    "Geometry": {
        "geometry": ("geometry", "Show, check, draw, move, convert geometries; optical surveys."),
    },
    "Store": {
        "info": ("stores", "Say which store is in use and why, and what it holds."),
        "detectors": ("stores", "List the detectors."),
        "experiments": ("stores", "List the experiments."),
        "journal": ("journal", "List the events: who wrote what, when and why."),
        "watch": ("watch", "Print events as they come, or hand them on."),
        "audit": ("audit", "Find out whether the past was tampered with."),
        "fsck": ("journal", "Find what is wrong in the store, and mend it."),
        "export": ("exchange", "Write the store to one file, or an LCLS-I tree."),
        "import": ("exchange", "Take in a file that export wrote, or an LCLS-I tree."),
        "purge": ("purge", "Remove for good the bytes of versions that have left."),
        "bundle": ("bundle", "Pack what an analysis needs into one file, and verify it."),
        "adopt": ("journal", "Take in documents that another program wrote."),
        "cache": ("cache", "Look after the folder that keeps a remote store's payloads."),
        "completion": ("completion", "Print the script that makes a shell complete."),
    },
    "Time": {
        "tag": ("tags", "Give states names: freeze, pin, advance, compare them."),
        "affected": ("tags", "Say what two states or tags answer differently."),
    },
    "Raw data": {
        "raw": ("raw", "Look into raw data: what a run holds, ids of panels, gain modes."),
    },
    "Service": {
        "serve": ("serve", "Put the store on the network."),
        "token": ("tokens", "Say who may do what: create, list and revoke tokens."),
    },
    "LCLS-I": {
        "lcls1": ("lcls1", "Look after a calibration tree: list, check, deploy, remove."),
        "deploy": ("deploy", "Deploy from repositories: constants, geometry, gains."),
        "dcs": ("dcs", "Look into the HDF5 files of the old dcs command."),
    },
    "As in psana": {
        "print": ("psana", "List databases, constants, or print one document."),
        "deldoc": ("psana", "Retire one document."),
        "delcol": ("psana", "Retire all documents of a collection."),
        "deldb": ("psana", "Retire all documents of a database."),
    },
}
_ENTRIES = {name: entry for section in COMMANDS.values() for name, entry in section.items()}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

logger = logging.getLogger(__name__)


class Commands(click.Group):
    """Commands that are loaded when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(_ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is none of this name."""
        if cmd_name not in _ENTRIES:
            return None
        module, summary = _ENTRIES[cmd_name]
        loaded = importlib.import_module(f"cdb.cli.{module}")
        command: Command | Group = getattr(loaded, f"{cmd_name}_command")
        command.short_help = summary
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, without loading anything."""
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<11}", entry[1]) for name, entry in section.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a name that is nearly right is suggested."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            hint = nearest(args[0], list(_ENTRIES))
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what goes wrong becomes one line and exit code 1, or 2."""
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
            return result
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None  # while the command was loaded
        except CalibError as error:
            raise _failed(error, str(error)) from error
        except MemoryError as error:
            raise _failed(error, "not enough memory for these data") from error
        except BrokenPipeError:
            raise  # The reader of the pipe has had enough; click ends quietly.
        except OSError as error:
            raise _failed(error, _sentence(error)) from error

    def main(self, *arguments: Any, **how: Any) -> Any:
        """Run from the words of a command line; help and version may find no room either."""
        try:
            return super().main(*arguments, **how)
        except OSError as error:
            output.say(f"error: {_sentence(error)}")
            sys.exit(1)


def _sentence(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"


def _failed(error: BaseException, text: str) -> Failure:
    logger.debug("traceback of the error below", exc_info=error)
    return failure(text)


class _ToStderr(logging.Handler):
    """Writes messages of the library to stderr, whatever that is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        output.say(f"{record.levelname.lower()}: {record.getMessage()}")
        if record.exc_info:
            click.echo(logging.Formatter().formatException(record.exc_info), err=True)


def _log(level: str) -> None:
    root = logging.getLogger()
    if not any(isinstance(handler, _ToStderr) for handler in root.handlers):
        root.addHandler(_ToStderr())
    root.setLevel(level)
    # pymongo tells each retry; the error at the end says it once.
    logging.getLogger("pymongo").setLevel(logging.ERROR)


@click.command(
    cls=Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # psana writes --run_end, the rest of the world --run-end.
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
@click.version_option(__version__, "-V", "--version", message="cdb %(version)s")
@click.option(
    "-l",
    "--loglevel",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="WARNING",
    show_default=True,
    metavar="LEVEL",
    help=f"How much is said on stderr: {', '.join(LEVELS)}.",
)
def cli(loglevel: str) -> None:
    """Keep detector calibration constants, and get exactly those that were right for a run.

    The store is a folder of yours unless CDB_URL or --url names another; `cdb info` says which.
    `cdb COMMAND --help` shows the options of a command, with examples.
    """
    _log(loglevel.upper())


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a letter gets its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    cli(prog_name="cdb")
