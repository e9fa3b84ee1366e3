"""Threads: one for each call of a function that blocks.

Each call that is under way has a thread, for one that calls back may wait for another: in a pool that is too small none
of them ever ends. They are daemons: a program that is told to end does not wait for what they wait for.
"""

from __future__ import annotations

import asyncio
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, final

from pyzen.contained import contained
from pyzen.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.terms import Atom

__all__ = ["NoThread", "Threads"]

T = TypeVar("T")
Call: TypeAlias = "tuple[Callable[[], Any], asyncio.AbstractEventLoop, asyncio.Future[Any], Atom | None]"


class NoThread(Exception):
    """As many threads as may be are at work, or the system gives no more."""


@final
class Threads:
    """The threads of one node; one that has nothing to do waits for the next call. Belongs to one event loop.

    Args:
        limit: How many calls there may be at one time.

    Attributes:
        count: How many there are.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self._shares = Shares()
        self._idle = 0
        self._stopped = False
        self._calls: SimpleQueue[Call | None] = SimpleQueue()

    async def run(self, function: Callable[[], T], node: Atom | None = None) -> T:
        """Call a function that raises nothing, in a thread, and return what it returns.

        Args:
            function: It is called without arguments.
            node: Who has asked for the call, None for the program: one gets no more threads than it leaves to others.

        Cancelling it lets the thread go on, which has its place until it ends.

        Raises:
            NoThread: There is none for it.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        self._take_thread(node)
        self._calls.put((function, loop, result, node))
        return await result

    def stop(self) -> None:
        """Let the threads end; one that is busy does when its function returns."""
        self._stopped = True
        while self._idle:
            self._idle -= 1
            self._calls.put(None)

    def _take_thread(self, node: Atom | None) -> None:
        if not self._shares.may_take(node, self.limit - self.count):
            raise NoThread(f"{self.count} functions that block are at work: see max_blocking_calls")
        self._stopped = False
        if self._idle:
            self._idle -= 1
        else:
            try:
                Thread(target=self._serve, name="pyzen-blocking", daemon=True).start()
            except RuntimeError as error:
                raise NoThread(str(error)) from error
        self.count += 1
        self._shares.take(node)

    def _serve(self) -> None:
        while self._serve_one(self._calls.get()):
            pass

    def _serve_one(self, call: Call | None) -> bool:
        """Do one call; nothing of it is kept while the thread waits for the next. False to end the thread."""
        if call is None:
            return False
        function, loop, result, node = call
        returned = function()
        with contained:  # a loop that is closed wants no result
            loop.call_soon_threadsafe(self._done, result, returned, node)
            return True
        return False

    def _done(self, result: asyncio.Future[Any], returned: Any, node: Atom | None) -> None:
        self.count -= 1
        self._shares.give(node)
        if self._stopped:
            self._calls.put(None)
        else:
            self._idle += 1
        if not result.done():
            result.set_result(returned)
