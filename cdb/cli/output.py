"""What commands print: tables that fit a terminal, JSON, progress; results alone go to stdout."""

import json
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import click

# Progress is worth showing for payloads of this size [bytes].
LONG_WORK = 16 * 10**6

Row = Mapping[str, str]


def as_json(value: object) -> None:
    """Print a value as JSON; what stdout's encoding has no bytes for is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    click.echo(text)


def tell(text: str) -> None:
    """Print a line of a result."""
    click.echo(printable(text))


def tell_lines(text: str) -> None:
    """Print the lines of a result, each by itself."""
    for line in text.splitlines():
        tell(line)


def say(text: str) -> None:
    """Print a message to stderr in one line, where it disturbs no pipe."""
    click.echo(f"cdb: {printable(' '.join(text.split()))}", err=True)


def printable(text: str) -> str:
    r"""Return a text without control characters: documents come from outside.

    Bytes of a file's name that are no text are shown by their numbers.

    Examples
    --------
    >>> printable("one\ntwo"), printable("peds\udcff.npy")
    ('one two', 'peds\\xff.npy')
    """
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    byte = ord(character) - 0xDC00  # as Python reads such names
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else " "


# Tables ----------------------------------------------------------------------------------------


def table(
    rows: Sequence[Row],
    *,
    above: str | None = None,
    beneath: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> None:
    """Print rows of texts under their names, as `layout` arranges them for this terminal."""
    lines = layout(rows, width_of_terminal(), above=above, beneath=beneath, optional=optional)
    for number, line in enumerate(lines):
        click.secho(line, bold=not number)


def layout(
    rows: Sequence[Row],
    width: int | None,
    *,
    above: str | None = None,
    beneath: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> Iterator[str]:
    r"""Yield the lines of a table.

    Parameters
    ----------
    rows : sequence of mappings
        Texts by the name of their column, the same names in every row. Columns that are empty
        are left out.
    width : int or None
        Of the terminal [characters]; None where lines may be as long as they need be.
    above : str, optional
        The column that becomes a line above its rows where the table is too wide.
    beneath : sequence of str, optional
        The columns that go beneath their row, before anything else does.
    optional : sequence of str, optional
        The columns that are left out where that is not enough, one after the other.

    Examples
    --------
    >>> rows = [{"S": "3", "id": "6157", "why": "beam was on"}, {"S": "4", "id": "61", "why": ""}]
    >>> print(*layout(rows, None), sep="\n")
    S  id    why
    3  6157  beam was on
    4  61
    >>> print(*layout(rows, 18, beneath=["why"], optional=["S"]), sep="\n")
    S  id
    3  6157
        beam was on
    4  61
    """
    if not rows:
        return
    rows = [{name: printable(text) for name, text in row.items()} for row in rows]
    inline = [name for name in rows[0] if any(row[name] for row in rows)]
    heading: str | None = None
    under: list[str] = []
    if not _fits(rows, inline, width):
        under = [name for name in beneath if name in inline]
        inline = [name for name in inline if name not in under]
    if not _fits(rows, inline, width) and above in inline:
        heading = above
        inline.remove(heading)
    for name in optional:
        if not _fits(rows, inline, width) and name in inline:
            inline.remove(name)
    yield from _lines(rows, inline, heading, under, width)


def _fits(rows: Sequence[Row], columns: Sequence[str], width: int | None) -> bool:
    return width is None or sum(_widths(rows, columns).values()) + 2 * (len(columns) - 1) <= width


def _widths(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, int]:
    return {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}


def _lines(
    rows: Sequence[Row],
    inline: Sequence[str],
    heading: str | None,
    under: Sequence[str],
    width: int | None,
) -> Iterator[str]:
    widths = _widths(rows, inline)
    indent = "  " if heading else ""

    def line(row: Row) -> str:
        return indent + "  ".join(row[name].ljust(widths[name]) for name in inline).rstrip()

    head = line({name: name for name in inline})
    last = None
    for row in rows:
        if heading and row[heading] != last:
            last = row[heading]
            yield last
        if head:
            yield head
            head = ""
        yield line(row)
        for name in under:
            yield from _folded(row[name], f"{indent}    ", width)


def _folded(text: str, indent: str, width: int | None) -> list[str]:
    return textwrap.wrap(
        text,
        width or sys.maxsize,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )


def fields(values: Mapping[str, object], *, indent: str = "") -> None:
    """Print names and values, a line each; long values go on below themselves."""
    start = len(indent) + max(map(len, values)) + 2
    for name, value in values.items():
        lines = _folded(printable(str(value)), " " * start, width_of_terminal()) or [""]
        click.echo(f"{indent + name:<{start}}{lines[0].strip()}".rstrip())
        for line in lines[1:]:
            click.echo(line)


def width_of_terminal() -> int | None:
    """Return the width of the terminal, None for a pipe or a file."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80


def size(nbytes: int | None) -> str:
    """Return a number of bytes for people.

    Examples
    --------
    >>> size(1_081_344)
    '1.1 MB'
    """
    if nbytes is None:
        return "?"
    number = float(nbytes)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def talks_to_someone() -> bool:
    """Return whether messages go to a terminal; stderr may be closed."""
    return sys.stderr is not None and sys.stderr.isatty()


# Progress --------------------------------------------------------------------------------------


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """Show on stderr how far a long work is: a bar on a terminal, else a line at its end.

    Parameters
    ----------
    what : str
        Such as ``adding 2.1 GB``.
    total : int
        Bytes to be moved; below `LONG_WORK` nothing is shown.

    Yields
    ------
    advance : callable or None
        To be called with the number of bytes moved since the last call.
    """
    if total < LONG_WORK:
        yield None
    elif talks_to_someone():
        with _bar(what, total) as advance:
            yield advance
    else:
        start = time.monotonic()
        moved: list[int] = []
        yield moved.append
        if moved:
            say(f"{what} took {time.monotonic() - start:.1f} s")


@contextmanager
def steps(what: str, total: Callable[[], int]) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, and nothing elsewhere, while many things are looked at.

    Parameters
    ----------
    what : str
        Such as ``verifying``.
    total : callable
        Returns how many there are; asked for a bar only.

    Yields
    ------
    advance : callable
        To be called with how many were looked at since the last call.
    """
    if not talks_to_someone():
        yield lambda _: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total())
        yield lambda done: bar.update(task, advance=done)


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        # It pulses while digests are made, until the first bytes are moved.
        task = bar.add_task(what, total=None)

        def advance(done: int) -> None:
            bar.update(task, advance=done, total=total)

        yield advance
        bar.update(task, completed=total, total=total)
