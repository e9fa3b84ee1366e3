"""Suspension: why a process does not go on, and what its code waits for then.

In Erlang ``!`` itself does not return while the link is busy. Here `send` is no coroutine, so that callbacks can use
it: the process is held at the next place where it waits anyway.

Source: Erlang Reference Manual, "Processes"; ``erlang:system_info(dist_buf_busy_limit)``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, final

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor

__all__ = ["Suspension", "Way"]


class Way(Protocol):
    """A way to another node on which too much waits."""

    def forget(self, actor: Actor) -> None:
        """Drop a process that no longer waits for this."""


@final
class Suspension:
    """The busy ways that one process has sent over; it goes on when all are below their low mark, or lost."""

    __slots__ = ("_over", "_ways")

    def __init__(self) -> None:
        self._ways: set[Way] = set()
        self._over = asyncio.Event()

    def add(self, way: Way) -> None:
        """Wait for one more."""
        self._ways.add(way)

    def remove(self, way: Way) -> bool:
        """Wait for one less; true when none is left."""
        self._ways.discard(way)
        return not self._ways

    def end(self, actor: Actor) -> None:
        """Let the code of the process go on, and drop the process from each way that it waits for."""
        self._over.set()
        for way in self._ways:
            way.forget(actor)

    async def over(self) -> None:
        """Return when the process goes on, or has ended."""
        await self._over.wait()
