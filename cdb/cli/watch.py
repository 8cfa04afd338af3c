"""The command watch: events as lines, or handed to a command or a webhook."""

import json
import os
import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command
from cdb.cli.journal import row

if TYPE_CHECKING:
    from cdb.delivery import Deliver

SECRET = "CDB_WEBHOOK_SECRET"
# How often an event is tried where nobody waits for the end.
TRIES_ONCE = 5


class Stopped(BaseException):
    """Somebody asked the watcher to stop."""


class Stop:
    """Stops at a signal: at once while waiting, else when the delivery at work is done.

    A second signal stops at once, whatever is at work.
    """

    def __init__(self) -> None:
        self._asked = self._busy = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self._asked or not self._busy:
            raise Stopped
        self._asked = True

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Put a stop off to the end of what is done inside."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            if self._asked:
                raise Stopped

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Let signals come here, and end what is inside at one."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` has it
                    before[number] = signal.signal(number, self)
        try:
            yield
        except Stopped:
            pass
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _words(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    if value is None:
        return None
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no command: {error}") from None
    if not words:
        raise click.BadParameter("no command is given")
    return words


def _actions(_: click.Context, __: click.Parameter, value: str | None) -> list[str]:
    from cdb.watching import ACTIONS

    chosen = [name.strip() for name in value.split(",")] if value else []
    for name in chosen:
        if name not in ACTIONS:
            raise click.BadParameter(f"no event does {name!r}; there are {', '.join(ACTIONS)}")
    return chosen


@command(
    "watch",
    """
    cdb watch
    cdb watch --after 117 -c pedestals --json
    cdb watch -d epix10ka_000001 --action add,retire \\
      --position seen --exec "notify-send cdb"
    cdb watch --position /var/lib/cdb/mirror --secret-file secret \\
      --webhook https://example.org/constants
    """,
)
@click.option("--after", type=click.IntRange(min=0), metavar="S",
              help="Begin after this event.  [default: after the last one]")  # fmt: skip
@options.any_detector
@options.any_ctype
@click.option("-e", "--experiment", metavar="NAME", help="Only what is filed under this one.")
@click.option("--action", "actions", metavar="WORD,...", callback=_actions,
              help="Only events that do this: add, retire, restore, amend, ...")  # fmt: skip
@click.option("--once", is_flag=True, help="End with the events that there are now.")
@click.option("--exec", "words", metavar="COMMAND", callback=_words,
              help="Run this for each event, which is its input. No shell looks at it; for one, "
              "say: sh -c '...'.")  # fmt: skip
@click.option("--webhook", metavar="URL", help="Post each event to this address, signed.")
@click.option("--secret-file", type=options.file_path, metavar="FILE",
              help=f"What a webhook is signed with.  [default: {SECRET}]")  # fmt: skip
@click.option("--position", "path", type=options.file_path, metavar="FILE",
              help="Keep here up to where all were delivered, and go on from there.")  # fmt: skip
@click.option("--tries", type=click.IntRange(min=0), metavar="N",
              help="How often an event is tried.  [default: for ever; with --once "
              f"{TRIES_ONCE}]")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=60.0,
              show_default=True, metavar="SECONDS", help="How long one try may take.")  # fmt: skip
@options.json_
@options.url
def watch_command(
    after: int | None,
    detector: str | None,
    ctype: str | None,
    experiment: str | None,
    actions: list[str],
    once: bool,
    words: list[str] | None,
    webhook: str | None,
    secret_file: Path | None,
    path: Path | None,
    tries: int | None,
    timeout: float,
    as_json: bool,
    url: str | None,
) -> None:
    """Print events as they come, a line each, or hand them to a command or a webhook.

    Every event is delivered in its order, and tried again until it is taken. With --position it
    goes on where it was, also after a crash: then the last one may be delivered twice. Ctrl-C and
    SIGTERM end it, with exit code 0, once the delivery at work is done.
    """
    from cdb.delivery import Position
    from cdb.opening import open_present
    from cdb.watching import Feed, hand_on, wanted

    deliver = _delivery(words, webhook, secret_file, timeout)
    stop = Stop()
    with ExitStack() as stack:
        stack.enter_context(stop.heeded())
        position = stack.enter_context(Position(path)) if path else None
        db = stack.enter_context(open_present(url))
        chosen = wanted(db, detector=detector, ctype=ctype, experiment=experiment, actions=actions)
        if position is not None and position.seq is not None:
            feed = Feed(db, position.seq, position.server)
        else:
            feed = Feed(db, after)
        if once and feed.after == feed.head:
            output.say(f"no events after {feed.after}")
        printed = _printing(deliver, as_json=as_json)
        limit = tries if tries is not None else TRIES_ONCE if once else 0
        hand_on(feed, chosen, printed, position, follow=not once, tries=limit, busy=stop.busy)


def _delivery(
    words: list[str] | None, webhook: str | None, secret_file: Path | None, timeout: float
) -> "Deliver | None":
    from cdb.delivery import ToCommand, ToWebhook, secret_of

    if words and webhook:
        raise click.UsageError("--exec and --webhook exclude each other; run two watchers")
    if secret_file and not webhook:
        raise click.UsageError("--secret-file is for --webhook")
    if words:
        return ToCommand(words, timeout)
    if not webhook:
        return None
    text = secret_file.read_text() if secret_file else os.environ.get(SECRET, "")
    if not text:
        raise click.UsageError(f"a webhook is signed: name a --secret-file, or set {SECRET}")
    return ToWebhook(webhook, secret_of(text), timeout)


def _printing(deliver: "Deliver | None", *, as_json: bool) -> Callable[[dict[str, Any], str], None]:
    """Return what delivers an event, and prints it then."""

    def printed(event: dict[str, Any], server: str) -> None:
        if deliver is not None:
            deliver(event, server)
        if as_json:
            click.echo(json.dumps(event))
        else:
            output.tell("  ".join(text for text in row(event).values() if text))

    return printed
