"""Home: the thread and the event loop that a node and its processes live in."""

from __future__ import annotations

from _thread import get_ident
from asyncio import _get_running_loop
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Home"]


@final
class Home:
    """The thread and the event loop in which it was made.

    Who asks often compares the thread and asks `is_running` itself, and calls `check` where that says no: the question
    which loop runs is a system call on Python 3.11.

    Attributes:
        thread_id: The thread.
        loop: None where none was running, as in memory under virtual time.
        is_running: Says whether the loop runs.
    """

    __slots__ = ("is_running", "loop", "thread_id")

    def __init__(self) -> None:
        self.thread_id = get_ident()
        self.loop = _get_running_loop()
        self.is_running: Callable[[], bool] = _always if self.loop is None else self.loop.is_running

    def check(self, who: object) -> None:
        """Refuse a caller that is elsewhere: what it waits for would never come, or be touched by two threads at once.

        Plain functions that no event loop runs may call, too.

        Args:
            who: What was called, for the text.

        Raises:
            RuntimeError: This is another thread, or another event loop of the same thread.
        """
        if get_ident() != self.thread_id:
            raise RuntimeError(f"{who} belongs to another thread: use loop.call_soon_threadsafe")
        here = _get_running_loop()
        if here is not self.loop and here is not None and self.loop is not None:
            closed = ", which is closed" if self.loop.is_closed() else ""
            raise RuntimeError(f"{who} belongs to another event loop{closed}: start and use it in one and the same")


def _always() -> bool:
    return True
