"""A command of the command line: its help ends with examples; it fails with one line."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import click

from cdb.cli import output

# Where it is noted that exit code 1 of the running command is an answer.
_ANSWERS = "cdb.answers"


class Failure(click.ClickException):
    """Something that went wrong, told in one line; exit code 1."""

    def show(self, file: Any = None) -> None:
        """Print the line to stderr."""
        output.say(f"error: {self.message}")


class Trouble(Failure):
    """The same in a command whose exit code 1 is an answer."""

    exit_code = 2


def failure(message: str) -> Failure:
    """Return what ends the running command, with its exit code."""
    context = click.get_current_context(silent=True)
    return Trouble(message) if context and context.meta.get(_ANSWERS) else Failure(message)


class Interrupted(click.ClickException):
    """Ctrl-C, told in one line; the exit code is what shells make of it."""

    exit_code = 130

    def show(self, file: Any = None) -> None:
        """Print the line to stderr."""
        output.say(self.message)


class Command(click.Command):
    """A command with examples.

    Attributes
    ----------
    examples : str
        Lines for a shell.
    writes : bool
        Whether it writes events, all of them and its answer while its database is open.
    answers : bool
        Whether exit code 1 is an answer, such as *different*; what goes wrong then gives 2.
    """

    examples = ""
    writes = False
    answers = False

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; one that writes and is interrupted says what is known of that."""
        ctx.meta[_ANSWERS] = self.answers
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            known = "; ".join(getattr(interrupt, "__notes__", ["nothing was written"]))
            told = f"interrupted; {known}" if self.writes else "interrupted"
            raise Interrupted(told) from None

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, line by line."""
        with formatter.section("Examples"):
            for line in self.examples.splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Group(click.Group):
    """Commands that share a noun: their help is a table, each has examples of its own.

    Attributes
    ----------
    default : str
        The command that is meant where the first word is none of them; empty if none is.
    """

    default = ""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the first word for a command, or all words for those of the default."""
        first = args[0] if args else ""
        if self.default and first not in {*self.commands, *ctx.help_option_names}:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a name that is nearly right is suggested."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            hint = nearest(args[0], self.list_commands(ctx))
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx) from None


def group(name: str, *, default: str = "") -> Callable[[Callable[..., Any]], Group]:
    """Return a decorator that makes a group of commands; `add_command` fills it.

    Parameters
    ----------
    name : str
        What users type.
    default : optional
        See `Group`.
    """

    def decorate(function: Callable[..., Any]) -> Group:
        made = click.group(name, cls=Group)(function)
        made.default = default
        return made

    return decorate


def nearest(mistyped: str, known: Sequence[str]) -> str:
    """Return a hint at the name that was meant, or at all there are."""
    import difflib

    near = difflib.get_close_matches(mistyped, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"


def command(
    name: str, examples: str, *, writes: bool = False, answers: bool = False
) -> Callable[[Callable[..., Any]], Command]:
    """Return a decorator that makes a command of a function.

    Parameters
    ----------
    name : str
        What users type.
    examples : str
        Lines for a shell, shown by ``--help``.
    writes, answers : optional
        See `Command`.
    """

    def decorate(function: Callable[..., Any]) -> Command:
        made = click.command(name, cls=Command)(function)
        made.examples, made.writes = inspect.cleandoc(examples), writes
        made.answers = answers
        return made

    return decorate
