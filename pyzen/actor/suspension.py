"""Suspension: why a process does not go on, and what its code waits for then.

In Erlang ``!`` itself does not return while the link is busy. Here `send` is no coroutine, so that callbacks can use
it: the process is held at the next place where it waits anyway.

Source: Erlang Reference Manual, "Processes"; ``erlang:system_info(dist_buf_busy_limit)``.
"""

from __future__ import annotations

import asyncio
from typing import final

__all__ = ["Suspension"]


@final
class Suspension:
    """The busy links that one process has sent over; it goes on when all are below their low mark, or lost."""

    __slots__ = ("_over", "_ways")

    def __init__(self) -> None:
        self._ways = 0
        self._over = asyncio.Event()

    def add(self) -> None:
        """Wait for one more."""
        self._ways += 1

    def remove(self) -> bool:
        """Wait for one less; true when it was the last."""
        self._ways -= 1
        return self._ways <= 0

    def end(self) -> None:
        """Let the code of the process go on."""
        self._over.set()

    async def over(self) -> None:
        """Return when the process goes on, or has ended."""
        await self._over.wait()
