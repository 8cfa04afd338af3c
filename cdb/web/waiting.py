"""Waiting for events: one look at the head serves all who wait in a worker."""

import asyncio
from collections.abc import Awaitable, Callable

from cdb.moments import Moment

# How often the head is looked at while somebody waits [s]: on this machine, on another.
LOCAL_SECONDS, REMOTE_SECONDS = 0.05, 0.5


class Watch:
    """Tells those who wait that the head has moved.

    Parameters
    ----------
    ask : callable
        What asks for the present moment.
    seconds : float
        How often it is asked, while anybody waits [s].
    """

    def __init__(self, ask: Callable[[], Awaitable[Moment]], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._waiting: dict[asyncio.Future[Moment | None], int] = {}
        self._task: asyncio.Task[None] | None = None

    async def after(self, seq: int, seconds: float) -> Moment | None:
        """Return a moment after an event, None if none comes within so many seconds.

        Raises
        ------
        StoreUnavailable
            If the store does not answer.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Moment | None] = loop.create_future()
        self._waiting[future] = seq
        late = loop.call_later(seconds, _resolve, future, None)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._look())
        try:
            return await future
        finally:
            late.cancel()
            del self._waiting[future]

    async def _look(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._seconds)
            try:
                moment = await self._ask()
            except Exception as error:  # noqa: BLE001 - it is those who wait that it concerns
                for future in self._waiting:
                    if not future.done():
                        future.set_exception(error)
                return
            for future, seq in self._waiting.items():
                if moment.seq > seq:
                    _resolve(future, moment)


def _resolve(future: "asyncio.Future[Moment | None]", moment: Moment | None) -> None:
    if not future.done():
        future.set_result(moment)
