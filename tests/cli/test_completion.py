"""Shells complete commands, options, types and the names in a store of a folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CDB = str(Path(sys.executable).with_name("cdb"))


@pytest.fixture
def complete(folder):
    """Ask for completions as bash does."""

    def completed(line: str) -> list[str]:
        words = line.split(" ")
        asked = {"_CDB_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD":
                 str(len(words) - 1)}  # fmt: skip
        shown = subprocess.run(
            [CDB], env={**os.environ, **asked}, capture_output=True, text=True, check=True
        )
        assert shown.stderr == ""
        return [line.partition(",")[2] for line in shown.stdout.split()]

    return completed


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("cdb re", ["replay", "retire", "restore"]),
        ("cdb del", ["deldoc", "delcol", "deldb"]),
        ("cdb add --dry", ["--dry-run"]),
        ("cdb get --rule p", ["prior", "psana"]),
        ("cdb add -c ped", ["pedestals"]),
        ("cdb ls -c pixel_g", ["pixel_gain"]),
        ("cdb ls -d epixh", ["epixhr2x2_000001"]),
        ("cdb add -d j", []),
        ("cdb ls -e ", ["rixx45619"]),
        ("cdb completion f", ["fish"]),
        ("cdb ls --url mongodb://127.0.0.1:1/ -d ", [""]),
    ],
)
def test_completions(complete, peds, line, completions):
    assert complete(line) == completions or (not any(completions) and not any(complete(line)))


def test_names_come_from_the_store_that_is_named_before(complete, folder, peds):
    other = (folder / "other").as_uri()
    assert not any(complete(f"cdb ls --url {other} -d "))


def test_a_store_that_cannot_be_read_completes_nothing(complete, folder):
    (folder / "store").write_text("not a folder")
    assert not any(complete("cdb ls -d "))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_the_program_and_its_variable(cdb, shell):
    result = cdb("completion", shell)
    assert result.exit_code == 0
    assert "_CDB_COMPLETE" in result.stdout
    assert "cdb" in result.stdout


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
def test_bash_takes_the_script(folder):
    script = f'eval "$({CDB} completion bash)"; complete -p cdb'
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip().endswith("cdb")


def test_another_shell_is_a_mistake_in_usage(cdb):
    assert cdb("completion", "tcsh").exit_code == 2
