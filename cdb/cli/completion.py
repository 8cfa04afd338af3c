"""The command that makes a shell complete the others."""

import click

from cdb.cli.command import command


@command(
    "completion",
    """
    eval "$(cdb completion bash)"
    cdb completion fish > ~/.config/fish/completions/cdb.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the script that makes a shell complete commands, options and names.

    Names of detectors and experiments come from a store in a folder, not from a server: a shell
    does not wait.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(
        kind(click.get_current_context().find_root().command, {}, "cdb", "_CDB_COMPLETE").source()
    )
