"""An address names one store, or is refused with a sentence that says what to write instead."""

import os
from pathlib import Path

import pytest

from cdb.errors import BadName
from cdb.stores import open_store


def folder_of(url: str) -> Path:
    return open_store(url).folder


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:///a/b", "/a/b"),
        ("file:/a/b", "/a/b"),
        ("FILE:///a/b", "/a/b"),
        ("file://localhost/a", "/a"),
        ("file:///a%20b", "/a b"),
        ("file:///a%23b%3Fc", "/a#b?c"),
        ("file:///a:b@c", "/a:b@c"),
        ("file:///%C2%B5", "/µ"),
    ],
)
def test_a_folder_is_named_by_its_absolute_path(url, folder):
    assert folder_of(url) == Path(folder)


@pytest.mark.parametrize("name", [b"plain", b"a b", b"#?%", b"\xff", "µ".encode()])
def test_the_address_that_a_path_gives_of_itself_names_that_path(tmp_path, name):
    folder = tmp_path / os.fsdecode(name)
    assert folder_of(folder.as_uri()) == folder


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("file:///a#b", "has '#' in it.* write %23"),
        ("file:///a?b", "has '\\?' in it.* write %3F"),
        ("file:///a\nb", "has '\\\\n' in it"),
        ("file:///tmp/%00x", "zero byte"),
        ("file:relative", "names no absolute path.*; for a folder write file:///.*/relative"),
        ("file:~/store", "names no absolute path"),
        ("file://host/a", "names no absolute path"),
        ("file://[::1", "names no absolute path"),
        ("file:", "names no absolute path; good ones: .*https://host/$"),
        ("file://", "names no absolute path; good ones: .*https://host/$"),
        ("http://[::1", r"'http://\[::1' is the address of a service, and the store itself"),
        ("mongodb://[::1", "the address is no MongoDB address"),
        ("memory://x", "is no address"),
        ("", "'' is no address"),
        ("/a/b", "for a folder write file:///a/b"),
        ("store", "for a folder write file:///.*/store"),
        ("ftp://you:secret@host", "^'host' is no address"),
    ],
)
def test_what_is_no_address_is_a_sentence(url, sentence):
    with pytest.raises(BadName, match=sentence):
        open_store(url)


def test_a_working_folder_that_is_gone_is_no_trouble(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(BadName, match="file:///some/folder"):
        open_store("store")
