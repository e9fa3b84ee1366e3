"""Threads: one for each call of a function that blocks.

Each call has a thread of its own, for one that calls back may wait for another: in a pool that is too small none of
them ever ends. They are daemons: a program that is told to end does not wait for what they wait for.
"""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar, final

from pyzen.contained import contained

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NoThread", "Threads"]

T = TypeVar("T")


class NoThread(Exception):
    """As many threads as may be are at work, or the system gives no more."""


@final
class Threads:
    """The threads of one node. Belongs to one event loop.

    Args:
        limit: How many there may be at one time.

    Attributes:
        count: How many there are.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0

    async def run(self, function: Callable[[], T]) -> T:
        """Call a function that raises nothing, in a thread, and return what it returns.

        Cancelling it lets the thread go on, which has its place until it ends.

        Raises:
            NoThread: There is none for it.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        if self.count >= self.limit:
            raise NoThread(f"{self.count} functions that block are at work: see max_blocking_calls")
        thread = Thread(target=self._work, args=(function, loop, result), name="pyzen-blocking", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise NoThread(str(error)) from error
        self.count += 1
        return await result

    def _work(self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop, result: asyncio.Future[Any]) -> None:
        returned = function()
        with contained:  # a loop that is closed wants no result
            loop.call_soon_threadsafe(self._done, result, returned)

    def _done(self, result: asyncio.Future[Any], returned: Any) -> None:
        self.count -= 1
        if not result.done():
            result.set_result(returned)
