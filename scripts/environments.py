"""Environments of other people's programs for the tests, made once and kept in a cache folder.

Needs nothing but Python's standard library.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

INSTALL_TIMEOUT = 1500.0  # s
CHECK_TIMEOUT = 120.0  # s


class Unavailable(Exception):
    """An environment cannot be had on this machine; exit code 3."""


@dataclass(frozen=True)
class Recipe:
    """What an environment is made of.

    Attributes
    ----------
    name : str
        Of the script that hands it out, before ``-for-tests``.
    variable : str
        Of the environment variable that holds the Python of one that is there already.
    packages : tuple of str
        What pip installs, each with its version.
    versions : tuple of (int, int)
        Those of Python that the packages have wheels for.
    check : str
        A program that fails where they cannot be used.
    needs : str
        What else a machine must have.
    """

    name: str
    variable: str
    packages: tuple[str, ...]
    versions: tuple[tuple[int, int], ...]
    check: str
    needs: str = ""


def main(recipe: Recipe, description: str, epilog: str, argv: list[str]) -> int:
    """Print the Python of an environment."""
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(argv)
    try:
        print(find(recipe))
    except Unavailable as reason:
        print(f"{recipe.name}-for-tests: {reason}", file=sys.stderr)
        return 3
    return 0


def find(recipe: Recipe) -> Path:
    """Return the Python of an environment; make one where there is none."""
    given = os.environ.get(recipe.variable)
    if given:
        check(recipe, Path(given))
        return Path(given)
    versions = (package.partition("==")[2] for package in recipe.packages)
    folder = cache() / "-".join((recipe.name, *versions))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test runs one installs, the others wait
        if not (folder / "complete").exists():
            install(recipe, folder)
    return folder / "bin" / "python"


def cache() -> Path:
    """Return the folder where things are kept between runs."""
    if os.environ.get("CDB_TEST_CACHE"):
        return Path(os.environ["CDB_TEST_CACHE"])
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "cdb-tests"


def install(recipe: Recipe, folder: Path) -> None:
    """Make an environment; what is half done counts for nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    run(recipe, [interpreter(recipe), "-m", "venv", str(folder)], "no environment could be made")
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    needs = f" ({recipe.needs})" if recipe.needs else ""
    run(recipe, [*pip, *recipe.packages], f"pip could not install it{needs}")
    check(recipe, python)
    (folder / "complete").touch()


def interpreter(recipe: Recipe) -> str:
    """Return a Python that the packages have wheels for."""
    if sys.version_info[:2] in recipe.versions:
        return sys.executable
    pythons = [f"python{major}.{minor}" for major, minor in recipe.versions]
    found = next(filter(None, map(shutil.which, pythons)), None)
    if found is None:
        raise Unavailable(f"{recipe.packages[0]} wants one of {', '.join(pythons)} on the PATH")
    return found


def check(recipe: Recipe, python: Path) -> None:
    """Make sure that the packages can be used."""
    trouble = f"{python} cannot import it"
    run(recipe, [str(python), "-c", recipe.check], trouble, timeout=CHECK_TIMEOUT)


def run(
    recipe: Recipe, command: list[str], trouble: str, *, timeout: float = INSTALL_TIMEOUT
) -> None:
    """Run a command; its last lines are the reason if it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"no {recipe.name} for the tests: {trouble}: {error}") from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-10:])
        raise Unavailable(f"no {recipe.name} for the tests: {trouble}:\n{tail}")
