"""Options that several commands share, each once; psana's letters where psana has them."""

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from cdb.cli import output
from cdb.cli.command import Failure
from cdb.errors import BadName, BadRun, BadTime, CalibError

if TYPE_CHECKING:
    from cdb.database import Database

Decorator = Callable[[Any], Any]


def together(*decorators: Decorator) -> Decorator:
    """Return one decorator that does what several do, in reading order."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


# Completion ------------------------------------------------------------------------------------


def _complete_ctype(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem]:
    from cdb.names import CTYPES

    return [
        CompletionItem(name, help=known.meaning or None)
        for name, known in CTYPES.items()
        if name.startswith(typed)
    ]


def _complete_detector(
    context: click.Context, _: click.Parameter, typed: str
) -> list[CompletionItem]:
    return _complete_name(context, typed, "detector", "detectors")


def complete_experiment(
    context: click.Context, _: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Return the names of experiments."""
    return _complete_name(context, typed, "experiment", "experiments")


def complete_tag_state(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the states of tags."""
    from cdb.tags import STATES

    return [CompletionItem(state) for state in STATES if state.startswith(typed)]


def complete_tag(context: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the names of tags."""
    return _complete(context, typed, lambda db: [tag.name for tag in db.tags.list()])


def _complete_name(
    context: click.Context, typed: str, field: str, method: str
) -> list[CompletionItem]:
    return _complete(
        context, typed, lambda db: [str(known[field]) for known in getattr(db, method)()]
    )


def _complete(
    context: click.Context, typed: str, names: Callable[["Database"], list[str]]
) -> list[CompletionItem]:
    """Return names in a local store; a shell does not wait for a server."""
    from cdb.opening import locate, open_present

    address = locate(context.params.get("url"))[0]
    if not address.startswith("file:"):
        return []
    try:
        with open_present(address) as db:
            found = names(db)
    except (CalibError, OSError):
        return []
    return [CompletionItem(name) for name in found if name.startswith(typed)]


# Values ----------------------------------------------------------------------------------------


def _run(context: click.Context, parameter: click.Parameter, value: Any) -> int | None:
    """Return a run number; a text that is none is a mistake in usage."""
    from cdb.validity import parse_run

    return None if value is None else _parsed(parse_run, value, context, parameter)


def _run_end(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return the text of a last run, which is checked here."""
    from cdb.validity import parse_run_end

    if value is not None:
        _parsed(parse_run_end, value, context, parameter)
    return value


def _time(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> int | str | None:
    """Return Unix seconds or the text of a time, which is checked here."""
    from cdb.validity import parse_time

    found = _number(value)
    if found is not None:
        _parsed(parse_time, found, context, parameter)
    return found


def state(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> int | str | None:
    """Return the number of an event or the text of a time."""
    found = _number(value)
    return found if isinstance(found, int) else _time(context, parameter, value)


def _as_of(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> int | str | None:
    """Return a state; it and a tag are two answers to one question."""
    return state(context, parameter, _alone(context, value, "tag"))


def _tag(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return how a tag is cited."""
    from cdb.names import parse_tag

    if value is not None:
        _parsed(parse_tag, value, context, parameter)
    return _alone(context, value, "as_of")


def _alone(context: click.Context, value: str | None, other: str) -> str | None:
    if value is not None and context.params.get(other) is not None:
        raise click.UsageError("--as-of and --tag are both given: give one of them", context)
    return value


def state_or_tag(
    context: click.Context, parameter: click.Parameter, value: str
) -> int | str | None:
    """Return a state, or how a tag is cited."""
    from cdb.names import is_tag

    if is_tag(value):
        return _tag(context, parameter, value)
    return state(context, parameter, value)


def _number(value: str | None) -> int | str | None:
    # Python refuses to convert thousands of digits.
    return int(value) if value is not None and value.isdecimal() and len(value) < 20 else value


def _parsed(
    parse: Callable[[Any], Any], value: Any, context: click.Context, parameter: click.Parameter
) -> Any:
    try:
        return parse(value)
    except (BadName, BadRun, BadTime) as error:
        raise click.BadParameter(str(error), context, parameter) from None


def _rule(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from cdb.lookup import RULES

    if value not in RULES:
        known = ", ".join(RULES)
        raise click.BadParameter(f"no rule {value!r}; there are {known}", context, parameter)
    return value


def _complete_rule(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem]:
    from cdb.lookup import RULES

    return [CompletionItem(name) for name in RULES if name.startswith(typed)]


# Options ---------------------------------------------------------------------------------------


def run_option(*names: str, help: str, default: int | None = None) -> Decorator:  # noqa: A002
    """Return an option that takes a run number."""
    return click.option(
        *names,
        type=str,
        callback=_run,
        default=default,
        metavar="RUN",
        show_default=default is not None,
        help=help,
    )


def _detector(required: bool) -> Decorator:
    return click.option(
        "-d",
        "--detector",
        required=required,
        metavar="NAME",
        help="Detector: short name (epix10ka_000001) or long name.",
        shell_complete=_complete_detector,
    )


def _ctype(required: bool) -> Decorator:
    return click.option(
        "-c",
        "--ctype",
        required=required,
        metavar="TYPE",
        help="Constant type: pedestals, pixel_rms, pixel_gain, geometry, ...",
        shell_complete=_complete_ctype,
    )


detector, any_detector = _detector(required=True), _detector(required=False)
ctype, any_ctype = _ctype(required=True), _ctype(required=False)
experiment = click.option(
    "-e",
    "--experiment",
    metavar="NAME",
    help="Experiment, whose own database comes before the detector's.",
    shell_complete=complete_experiment,
)
dbsuffix = click.option(
    "-S", "--dbsuffix", metavar="SUFFIX", help="Private database of the detector."
)


def run_end_option(help: str) -> Decorator:  # noqa: A002
    """Return the option that takes a last run."""
    return click.option("-R", "--run_end", metavar="RUN", callback=_run_end, help=help)


def time_option(*names: str, help: str) -> Decorator:  # noqa: A002
    """Return an option that takes a time."""
    return click.option(*names, metavar="TIME", callback=_time, help=help)


run_end = run_end_option("Last run, or end.  [default: end]")
times = together(
    click.option(
        "-t", "--time_stamp", "--time", "time_stamp", metavar="TIME", callback=_time,
        help="Time with its zone: 2021-10-01T00:00:00-0800, ...Z, now.",
    ),
    click.option(
        "-s", "--time_sec", metavar="SECONDS", callback=_time, help="The same as Unix seconds."
    ),
)  # fmt: skip
label = click.option("-v", "--version", metavar="LABEL", help="Version label.")
comment = click.option("-m", "--comment", metavar="TEXT", help="Remark.")
unit = click.option("--unit", metavar="UNIT", help="Unit of the values.")
reason = click.option(
    "-m", "--reason", required=True, metavar="TEXT", help="Why; it is kept for ever."
)
rule = click.option(
    "--rule",
    callback=_rule,
    shell_complete=_complete_rule,
    default="range",
    show_default=True,
    metavar="RULE",
    help="How to choose: range (covers the run, latest start, narrowest), latest (last added),"
    " prior or closest (in time), psana (as LCLS-II's client does).",
)
before = click.option(
    "--before",
    metavar="S",
    callback=state,
    help="Only versions that had left by event S, or a time.",
)
as_of = click.option(
    "--as-of",
    metavar="S",
    callback=_as_of,
    help="Answer as the store stood: after event S, or at a time with its zone.",
)
tag = click.option(
    "--tag",
    metavar="TAG",
    callback=_tag,
    shell_complete=complete_tag,
    help="Answer as this tag does.  [default: CDB_TAG]",
)
url = click.option(
    "--url",
    metavar="ADDRESS",
    is_eager=True,  # completion needs it
    help="Store: mongodb://..., file:///folder, lcls1:///path/calib of an LCLS-I tree, or"
    " https://host/ of a service."
    "  [default: CDB_URL, else a folder of yours]",
)
gates = click.option(
    "--gates",
    metavar="FILE",
    help="Rules of the laboratory, in TOML; off for none.  [default: CDB_GATES]",
)
json_ = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
dry_run = click.option("--dry-run", is_flag=True, help="Check and tell, but write nothing.")
yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
allow_pickle = click.option(
    "--allow-pickle", is_flag=True, help="Read a pickle: arrays and plain containers only."
)
file_path = click.Path(path_type=Path, readable=False)
source = together(
    click.option("--source", "source_file", type=file_path, metavar="FILE.json",
                 help="What it was made from: runs, files, software, parameters, parents."),
    click.option("--parent", "parents", multiple=True, metavar="ID",
                 help="A version that it was made from; may be repeated."),
)  # fmt: skip


@dataclass(frozen=True)
class Which:
    """Which constant a reading command is about: the arguments of `Database.get`."""

    detector: str
    ctype: str
    experiment: str | None
    dbsuffix: str | None
    run: int | None
    time: int | str | None
    version: str | None
    rule: str
    as_of: int | str | None
    tag: str | None

    def arguments(self) -> dict[str, Any]:
        """Return them by name."""
        return asdict(self)


def which_constant(command: Callable[..., Any]) -> Any:
    """Give a command the options that name one constant, as its first argument, a `Which`."""

    @functools.wraps(command)
    def gathered(
        *,
        detector: str,
        ctype: str,
        experiment: str | None,
        dbsuffix: str | None,
        run: int | None,
        time_stamp: int | str | None,
        time_sec: int | str | None,
        version: str | None,
        rule: str,
        as_of: int | str | None,
        tag: str | None,
        **others: Any,
    ) -> None:
        time = given_time(time_stamp, time_sec)
        which = Which(detector, ctype, experiment, dbsuffix, run, time, version, rule, as_of, tag)
        command(which, **others)

    run = run_option("-r", "--run", help="Run.  [default: the far future: open ranges only]")
    return together(detector, ctype, experiment, dbsuffix, run, times, label, rule, as_of, tag)(
        gathered
    )


def given_time(time_stamp: int | str | None, time_sec: int | str | None) -> int | str | None:
    """Return the time of -t or -s, which must agree if both are given."""
    from cdb.validity import parse_time

    if time_stamp is None or time_sec is None:
        return time_stamp if time_sec is None else time_sec
    if int(parse_time(time_stamp).timestamp()) != int(parse_time(time_sec).timestamp()):
        raise click.UsageError(f"-t {time_stamp} and -s {time_sec} are different times; give one")
    return time_stamp


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is hidden or overwritten; without a yes nothing happens."""
    if yes:
        return
    try:
        agreed = click.confirm(output.printable(question), err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise Failure("nothing was done: answer y, or say --yes")
