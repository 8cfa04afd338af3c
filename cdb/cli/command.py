"""A command of the command line: its help ends with examples; it fails with one line."""

import inspect
from collections.abc import Callable
from typing import Any

import click

from cdb.cli import output


class Failure(click.ClickException):
    """Something that went wrong, told in one line; exit code 1."""

    def show(self, file: Any = None) -> None:
        """Print the line to stderr."""
        output.say(f"error: {self.message}")


class Command(click.Command):
    """A command with examples.

    Attributes
    ----------
    examples : str
        Lines for a shell.
    """

    examples = ""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, line by line."""
        with formatter.section("Examples"):
            for line in self.examples.splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def command(name: str, examples: str) -> Callable[[Callable[..., Any]], Command]:
    """Return a decorator that makes a command of a function.

    Parameters
    ----------
    name : str
        What users type.
    examples : str
        Lines for a shell, shown by ``--help``.
    """

    def decorate(function: Callable[..., Any]) -> Command:
        made = click.command(name, cls=Command)(function)
        made.examples = inspect.cleandoc(examples)
        return made

    return decorate
