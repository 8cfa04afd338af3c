"""Another service's payloads, read over HTTP; its documents come as answers to questions."""

from collections.abc import Iterator
from typing import Any, NoReturn

from cdb.errors import Corrupt, StoreRefused
from cdb.stores.base import Blob, Progress, ReadOnlyStore
from cdb.stores.hashing import Digest
from cdb.stores.query import Document, Query, Sort
from cdb.stores.transport import Transport, token_of_environment


class RestStore(ReadOnlyStore):
    """The payloads of a service.

    A service has no raw documents to give: `cdb.remote.RemoteDatabase` asks it questions instead,
    and what needs the store itself is told so.

    Parameters
    ----------
    url : str
        Address of the service, or several of mirrors with commas between.
    token : str, optional
        Who asks; else that in ``CDB_TOKEN``.

    Raises
    ------
    BadName
        If the address is none.
    """

    local = False
    verifies = True

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.url = url
        self.transport = Transport(url, token or token_of_environment())

    def read(
        self,
        database: str,
        blob_id: str,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> bytes | memoryview:
        """See `Store.read`; verified while it comes."""
        digest = Digest()
        found = bytearray()  # grows in place, where joining pieces would copy them once more
        try:
            for piece in self.pieces(database, blob_id, sha256=sha256, progress=progress):
                digest.update(piece)
                found += piece
            right = sha256 is None or digest.hexdigest() == sha256
        finally:
            digest.close()
        if not right:
            raise Corrupt(
                f"the payload {sha256} in {database} is damaged: its digest is not the one that "
                f"was deployed; `cdb fsck --payloads` at the store of {self.url} finds all such"
            )
        return memoryview(found).toreadonly()

    def pieces(
        self,
        database: str,
        blob_id: str,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> Iterator[bytes | memoryview]:
        """See `Store.pieces`; a document of another program names its bytes by their id."""
        for piece in self.transport.pieces(payload_path(database, sha256 or blob_id)):
            if progress:
                progress(len(piece))
            yield piece

    def send(
        self,
        database: str,
        data: bytes | memoryview,
        *,
        sha256: str,
        progress: Progress | None = None,
    ) -> None:
        """Send bytes, ahead of the document that is going to name them."""
        view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(view.nbytes),
        }

        def body() -> Iterator[memoryview]:
            for start in range(0, view.nbytes, 2**20):
                piece = view[start : start + 2**20]
                yield piece
                if progress:
                    progress(piece.nbytes)

        self.transport.put(payload_path(database, sha256), body, headers)

    def describe(self) -> str:
        """See `Store.describe`."""
        return f"{self.url} (a service)"

    def close(self) -> None:
        """See `Store.close`."""
        self.transport.close()

    # what only the store itself can do ---------------------------------------------------------

    def _refuse(self) -> NoReturn:
        raise StoreRefused(
            f"{self.url} is a service, which answers questions and does not show its store; do "
            "this on its server, with --url STORE"
        )

    def _find(
        self, database: str, collection: str, query: Query, sort: Sort, limit: int
    ) -> Iterator[Document]:
        self._refuse()

    def distinct(
        self, database: str, collection: str, field: str, query: Query | None = None
    ) -> list[Any]:
        """Refuse."""
        self._refuse()

    def count(self, database: str, collection: str) -> int:
        """Refuse."""
        self._refuse()

    def databases(self) -> list[str]:
        """Refuse."""
        self._refuse()

    def collections(self, database: str) -> list[str]:
        """Refuse."""
        self._refuse()

    def write(
        self,
        database: str,
        data: bytes | memoryview,
        *,
        sha256: str,
        head: int,
        progress: Progress | None = None,
    ) -> str:
        """Refuse; `send` is for this."""
        self._refuse()

    def blob(self, database: str, blob_id: str) -> Blob | None:
        """Refuse."""
        self._refuse()

    def blobs(self, database: str) -> Iterator[Blob]:
        """Refuse."""
        self._refuse()


def payload_path(database: str, name: str) -> str:
    """Return where a service has a payload.

    Examples
    --------
    >>> payload_path("cdb_xpp1", "abc")
    '/v1/databases/cdb_xpp1/payloads/abc'
    """
    from urllib.parse import quote

    return f"/v1/databases/{quote(database, safe='')}/payloads/{quote(name, safe='')}"
