"""What goes wrong with a file of raw data, told in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdb.errors import BadFile, CalibError


@contextmanager
def told(path: Path | str, form: str, trouble: tuple[type[BaseException], ...]) -> Iterator[None]:
    """Say why a file cannot be read.

    Parameters
    ----------
    path : Path or str
        The file.
    form : str
        What it is read as, and what may be wrong with such files.
    trouble : tuple of exception types
        What the library that reads it raises for files that are damaged or made up.

    Raises
    ------
    BadFile
        Instead of those.
    """
    try:
        yield
    except CalibError:
        raise
    except FileNotFoundError:
        raise BadFile(f"there is no file {path}; give the path of a file") from None
    except PermissionError:
        raise BadFile(f"no permission to read {path}") from None
    except trouble as error:
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise BadFile(f"{path} cannot be read as {form}: {why}") from None
