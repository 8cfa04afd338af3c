"""Commands about who may do what through a service: token create, list, revoke."""

from typing import TYPE_CHECKING, Any

import click

from cdb.cli import options, output
from cdb.cli.command import command, group

if TYPE_CHECKING:
    from cdb.rights import Rights
    from cdb.tokens import Grant


@group("token")
def token_command() -> None:
    """Say who may do what through `cdb serve`: create, list and revoke tokens.

    A token is kept in the store as a digest, under an event of the journal: every service on the
    store accepts it at once, and refuses it at once when it is revoked.
    """


@command(
    "create",
    """
    cdb token create --subject mona --read '*' --write 'cdb_rixx*'
    cdb token create --subject deployer --write cdb_rixx45619 \\
        --expires 2031-01-01T00:00:00Z
    cdb token create --subject operator --admin
    """,
)
@click.option("--subject", required=True, metavar="NAME",
              help="Whose it is; stands as actor in the journal.")  # fmt: skip
@click.option("--read", multiple=True, metavar="PATTERN",
              help="Databases that may be read, as 'cdb_rixx*'; may be repeated.")  # fmt: skip
@click.option("--write", multiple=True, metavar="PATTERN",
              help="Databases that may be written, and read.")  # fmt: skip
@click.option("--admin", is_flag=True, help="May do everything, everywhere.")
@click.option("--expires", metavar="TIME", help="From when on it is worth nothing.")
@options.dry_run
@options.url
def create_command(
    subject: str,
    read: tuple[str, ...],
    write: tuple[str, ...],
    admin: bool,
    expires: str | None,
    dry_run: bool,
    url: str | None,
) -> None:
    """Create a token and print it, alone; nobody can read it again.

    Who may write an experiment's database may deploy to it and thereby to the detector's.
    """
    import cdb
    from cdb import tokens
    from cdb.rights import Rights
    from cdb.validity import parse_time

    rights = Rights(read, write, admin)
    until = None if expires is None else parse_time(expires)
    with cdb.open(url) as db:
        token, grant = tokens.create(db.journal, subject, rights, expires=until, dry_run=dry_run)
    if dry_run:
        output.say(f"{subject} would get a token that may {_may(rights)}")
        return
    output.say(f"token {grant.id} of {subject} may {_may(rights)}")
    click.echo(token)


@command(
    "list",
    """
    cdb token list
    cdb token list --all --json
    """,
)
@click.option("--all", "all_", is_flag=True, help="Those revoked or expired as well.")
@options.json_
@options.url
def list_command(all_: bool, as_json: bool, url: str | None) -> None:
    """List the tokens: whose they are, what they may do, until when."""
    import cdb
    from cdb import tokens

    with cdb.open(url) as db:
        now = db.journal.now()
        found = [g for g in tokens.grants(db.journal) if all_ or g.holds_at(now)]
    if as_json:
        output.as_json([_as_json(grant, now) for grant in found])
    elif found:
        output.table([_row(grant, now) for grant in found], beneath=["may"])
    else:
        output.say("no tokens")


@command(
    "revoke",
    """
    cdb token revoke 6a1f0c9be7d24d4c9f1e2a3b
    cdb token revoke 6a1f0c9b -m "left the lab"
    """,
)
@click.argument("token_id", metavar="ID")
@click.option("-m", "--reason", default="", metavar="TEXT", help="Why; it is kept for ever.")
@options.dry_run
@options.url
def revoke_command(token_id: str, reason: str, dry_run: bool, url: str | None) -> None:
    """Revoke a token: every service on the store refuses it from the next request on.

    ID is what `cdb token list` shows, or its beginning; the token itself does as well.
    """
    import cdb
    from cdb import tokens

    if tokens.looks_like_one(token_id):
        token_id = tokens.id_of(token_id)
    with cdb.open(url) as db:
        grant = tokens.revoke(db.journal, token_id, reason, dry_run=dry_run)
    done = "would be revoked" if dry_run else "revoked"
    click.echo(f"token {grant.id} of {grant.subject} {done}")


for _made in (create_command, list_command, revoke_command):
    token_command.add_command(_made)


def _may(rights: "Rights") -> str:
    parts = [f"read {' '.join(rights.read)}"] if rights.read else []
    parts += [f"write {' '.join(rights.write)}"] if rights.write else []
    return "do everything" if rights.admin else ", ".join(parts)


def _state(grant: "Grant", now: float) -> str:
    if grant.revoked:
        return "revoked"
    return "holds" if grant.holds_at(now) else "expired"


def _row(grant: "Grant", now: float) -> dict[str, str]:
    return {
        "id": grant.id,
        "subject": grant.subject,
        "state": _state(grant, now),
        "made": f"{grant.made:%Y-%m-%d %H:%M:%S}Z",
        "by": grant.by,
        "expires": f"{grant.expires:%Y-%m-%d %H:%M:%S}Z" if grant.expires else "never",
        "may": _may(grant.rights),
    }


def _as_json(grant: "Grant", now: float) -> dict[str, Any]:
    return {
        "id": grant.id,
        "subject": grant.subject,
        "state": _state(grant, now),
        "read": grant.rights.read,
        "write": grant.rights.write,
        "admin": grant.rights.admin,
        "made": grant.made.isoformat(),
        "by": grant.by,
        "expires": grant.expires.isoformat() if grant.expires else None,
    }
