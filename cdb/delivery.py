"""Events handed to a command or to a webhook, and the position up to which they were.

A webhook is signed as the specification *Standard Webhooks* says (standardwebhooks.com), with
HMAC-SHA256 over identifier, time and body: a receiver knows who sent it, and can refuse old ones.
"""

import base64
import binascii
import fcntl
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from cdb.errors import BadFile, BadName, BadSettings, NotDelivered, WrongState, shown

Event = dict[str, Any]
Deliver = Callable[[Event, str], None]

# How a secret begins that is written in base64.
PREFIX = "whsec_"
# A secret has so many bytes at least.
LEAST_SECRET = 16
SECONDS = 60.0  # that a delivery may take
LONGEST_VARIABLE = 1000  # characters


class ToCommand:
    """Runs a command per event: the event is its input, and a few variables say what it is.

    Parameters
    ----------
    words : sequence of str
        The program and its arguments; no shell looks at them.
    seconds : float, optional
        How long it may take; then it is killed, with all that it started.
    """

    def __init__(self, words: Sequence[str], seconds: float = SECONDS) -> None:
        self.words = list(words)
        self.seconds = seconds

    def __call__(self, event: Event, server: str) -> None:
        """Run it; it has the event once it ends with exit code 0."""
        name = shown(self.words[0])
        try:
            # In a session of its own: what ends the watcher lets it end in peace.
            process = subprocess.Popen(
                self.words, stdin=subprocess.PIPE, env=os.environ | variables(event, server),
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise NotDelivered(f"{name} cannot be run: {error.strerror}") from error
        try:
            process.communicate(body_of(event) + b"\n", self.seconds)
        except subprocess.TimeoutExpired:
            raise NotDelivered(f"{name} took over {self.seconds:g} s and was killed") from None
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            raise NotDelivered(f"{name} ended with exit code {process.returncode}")


def variables(event: Event, server: str) -> dict[str, str]:
    """Return what the environment of a command says of an event."""
    said = {
        "CDB_EVENT": event["_id"],
        "CDB_ACTION": event.get("action", ""),
        "CDB_ACTOR": event.get("actor", ""),
        "CDB_REASON": event.get("reason", ""),
        "CDB_SERVER": server,
    }
    return {name: _one_line(str(value)) for name, value in said.items()}


def _one_line(text: str) -> str:
    # A program does not even start with a very long one; the whole is in its input.
    short = text[:LONGEST_VARIABLE]
    return "".join(character if character.isprintable() else " " for character in short)


def body_of(event: Event) -> bytes:
    """Return an event as one line of JSON, in ASCII."""
    return json.dumps(event, separators=(",", ":")).encode()


class ToWebhook:
    """Posts events to an address, signed.

    Parameters
    ----------
    url : str
        ``https://host/path``.
    secret : bytes
        What the receiver knows too.
    seconds : float, optional
        How long one attempt may take.
    now : callable, optional
        The clock [Unix seconds].

    Raises
    ------
    BadName
        If the address is none.
    """

    def __init__(
        self,
        url: str,
        secret: bytes,
        seconds: float = SECONDS,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.url = _checked(url)
        self.host = urlsplit(url).hostname
        self.seconds = seconds
        self._secret = secret
        self._now = now

    def __call__(self, event: Event, server: str) -> None:
        """Post it; the receiver has it once it answers with a status of 200 to 299."""
        import urllib3

        body = body_of(event)
        # The same in each attempt, so that a receiver knows what it has.
        name = f"{server[:16]}-{event['_id']}"
        moment = int(self._now())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "cdb",
            "webhook-id": name,
            "webhook-timestamp": str(moment),
            "webhook-signature": signature(self._secret, name, moment, body),
        }
        timeout = urllib3.Timeout(total=self.seconds)
        try:
            with urllib3.PoolManager(retries=False, timeout=timeout) as pool:
                # An answer to nobody's question is not read to its end.
                answer = pool.request(
                    "POST", self.url, body=body, headers=headers, redirect=False,
                    preload_content=False,
                )  # fmt: skip
                answer.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NotDelivered(f"no answer from {self.host} ({type(error).__name__})") from error
        if not 200 <= answer.status < 300:
            later = answer.headers.get("Retry-After", "")
            seconds = float(later) if later.isascii() and later.isdecimal() else 0.0
            raise NotDelivered(f"{self.host} answers with status {answer.status}", seconds)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise BadName(f"{shown(url)} is no address of a webhook; write https://host/path")
    return url


def signature(secret: bytes, name: str, moment: int, body: bytes) -> str:
    """Return the signature of a body that is sent at a moment [Unix seconds].

    Examples
    --------
    >>> signature(b"0123456789abcdef", "9d90-1", 1700000000, b"{}")
    'v1,...='
    """
    text = b".".join((name.encode(), str(moment).encode(), body))
    digest = hmac.new(secret, text, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def secret_of(text: str) -> bytes:
    """Return a secret from its text: the characters themselves, or base64 after ``whsec_``.

    Raises
    ------
    BadSettings
        If it is too short; it is not shown.
    """
    text = text.strip()
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True) \
            if text.startswith(PREFIX) else text.encode()  # fmt: skip
    except binascii.Error:
        raise BadSettings(f"the secret begins with {PREFIX}, but is not base64 after it") from None
    if len(secret) < LEAST_SECRET:
        raise BadSettings(
            f"a secret of {len(secret)} bytes is too short, {LEAST_SECRET} is the least; make one: "
            "`openssl rand -hex 32`"
        )
    return secret


class Position:
    """A file that says up to which event of which server all were delivered.

    It is renamed into place, so it is never half written; beside it lies an empty file that
    keeps a second process from using it.

    Parameters
    ----------
    path : Path
        Made when something is kept.

    Attributes
    ----------
    seq : int or None
        The event; None if nothing was kept yet.
    server : str or None
        The identity of its store.

    Raises
    ------
    BadFile
        If the file holds something else.
    WrongState
        If another process uses it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server: str | None = None
        self.seq: int | None = None
        if not path.name or path.is_dir():
            raise BadFile(f"{path} is a folder; name a file in which to keep the position")
        self._lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._take()
            self._read()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        """Use as a context: others may use the file at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the file."""
        os.close(self._lock)

    def keep(self, server: str, seq: int) -> None:
        """Write a position, durably."""
        if (server, seq) == (self.server, self.seq):
            return
        part = self.path.with_name(self.path.name + ".part")
        with part.open("w") as file:
            file.write(json.dumps({"server": server, "seq": seq}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.server, self.seq = server, seq

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WrongState(
                f"another process keeps its position in {self.path}; give each its own file"
            ) from None

    def _read(self) -> None:
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return
        except UnicodeDecodeError:
            text = ""
        try:
            kept = json.loads(text)
            server, seq = kept["server"], kept["seq"]
            good = isinstance(server, str) and type(seq) is int and seq >= 0
        except (ValueError, KeyError, TypeError):
            good = False
        if not good:
            raise BadFile(f"{self.path} holds no position; name another file, or remove it")
        self.server, self.seq = server, seq
