"""Attempts to have a link: a connection in its handshake, and a dial, of which that may be a part."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

from pyzen.node.link import DialQueue, LinkDriver, down_error

if TYPE_CHECKING:
    from pyzen.dist.handshake import Initiator

__all__ = ["Channel", "Dial"]


@final
class Channel:
    """One connection in handshake mode, as the coroutine sees it that does the handshake.

    Attributes:
        host: The address that it came from; None when it was dialled.
    """

    def __init__(self, driver: LinkDriver, link_id: int, host: str | None = None) -> None:
        self._thread = driver.thread
        self.link_id = link_id
        self.host = host
        self._waiter: asyncio.Future[Any] | None = None
        self._down: str | None = None

    async def connected(self) -> None:
        """Wait for the connection. Raises ``ConnectionLost``, ``TLSError``."""
        await self._wait()

    async def read(self) -> bytes:
        """Return the next frame. Raises ``ConnectionLost``, ``TLSError``."""
        if self._down is None:
            self._thread.read_frame(self.link_id)
        frame: bytes = await self._wait()
        return frame

    def check(self) -> None:
        """Raise ``ConnectionLost`` or ``TLSError`` if the connection is gone: its last frame may come with its end."""
        if self._down is not None:
            raise down_error(self._down)

    async def _wait(self) -> Any:
        self.check()
        self._waiter = asyncio.get_running_loop().create_future()
        return await self._waiter

    def write(self, frames: list[bytes]) -> None:
        """Send frames."""
        for frame in frames:
            self._thread.write_frame(self.link_id, frame)

    def is_certified(self, host: str) -> bool:
        """Whether the peer has shown a certificate for this host."""
        return self._thread.is_certified(self.link_id, host)

    def close(self, reason: str) -> None:
        """Close the connection."""
        if self._down is None:
            self._thread.close(self.link_id, reason)

    def event(self, value: Any) -> None:
        """What was waited for has come."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(value)

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self._down = reason
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(down_error(reason))


@final
class Dial:
    """One attempt to have a link with a peer, from its first message to link or failure.

    Attributes:
        queue: Takes what is sent meanwhile.
        done: True when the link is up, False when the peer can't be reached; an error when it refused.
        tried: Set when the own attempt has ended; one of the peer may still be waited for.
        handshake: That of the own attempt, once it has begun.
        task: What dials.
    """

    task: asyncio.Task[None]

    def __init__(self, queue: DialQueue) -> None:
        self.queue = queue
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.done.add_done_callback(_retrieve)
        self.tried = asyncio.Event()
        self.handshake: Initiator | None = None

    @property
    def status(self) -> str | None:
        """What the peer has said to the own attempt."""
        return None if self.handshake is None else self.handshake.status


def _retrieve(future: asyncio.Future[bool]) -> None:
    """Look at the outcome, so that asyncio does not complain when nobody waits for it."""
    if not future.cancelled():
        future.exception()
