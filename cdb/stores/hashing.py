"""The digest of bytes that are still on their way: made in a thread beside the one that reads."""

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

# So many pieces may wait for the thread; the memory that a slow digest can take.
WAITING = 8
# Below this a thread takes longer to start than the digest to be made.
BESIDE_FROM = 2**18


class Digest:
    """The SHA-256 of pieces."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next piece, which must not change any more."""
        if self._thread is None:
            if memoryview(piece).nbytes < BESIDE_FROM:
                self._hash.update(piece)
                return
            self._thread = ThreadPoolExecutor(1, "digest")
        self._waiting.append(self._thread.submit(self._hash.update, piece))
        if len(self._waiting) > WAITING:
            self._waiting.popleft().result()

    def hexdigest(self) -> str:
        """Return the digest of all pieces so far, hexadecimal; call it once, at the end."""
        self.close()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Let the thread end, once it has done what waits."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
