"""Home: the thread and the event loop that a node and its processes live in."""

from __future__ import annotations

from _thread import get_ident
from asyncio import _get_running_loop as running_loop
from typing import final

__all__ = ["Home", "running_loop"]


@final
class Home:
    """The thread and the event loop in which it was made.

    Attributes:
        loop: None where none was running, as in memory under virtual time.
    """

    __slots__ = ("_thread_id", "loop")

    def __init__(self) -> None:
        self._thread_id = get_ident()
        self.loop = running_loop()

    def check(self, who: object) -> None:
        """Refuse a caller that is elsewhere: what it waits for would never come, or be touched by two threads at once.

        Plain functions that no event loop runs may call, too.

        Args:
            who: What was called, for the text.

        Raises:
            RuntimeError: This is another thread, or another event loop of the same thread.
        """
        if get_ident() != self._thread_id:
            raise RuntimeError(f"{who} belongs to another thread: use loop.call_soon_threadsafe")
        here = running_loop()
        if here is not self.loop and here is not None and self.loop is not None:
            closed = ", which is closed" if self.loop.is_closed() else ""
            raise RuntimeError(f"{who} belongs to another event loop{closed}: start and use it in one and the same")
