"""A relay in front of a node of ours, for what a peer gets and nothing there tells."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from pyzen.node.epmd import Registration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pyzen.config import EpmdConfig
    from pyzen.dist.control import Op
    from pyzen.node.node import Node

__all__ = ["Tap", "tapped"]

SIZE: Final = 65536


class Tap:
    """What went over plain connections through the relay, in both directions.

    Attributes:
        theirs: The bytes that peers have sent.
        ours: The bytes that they were sent.
    """

    def __init__(self) -> None:
        self.theirs = bytearray()
        self.ours = bytearray()

    def received(self, op: Op, arity: int) -> int:
        """Return how many control messages of a kind peers have sent."""
        return self.theirs.count(_start(op, arity))

    def sent(self, op: Op, arity: int) -> int:
        """Return how many they were sent."""
        return self.ours.count(_start(op, arity))


def _start(op: Op, arity: int) -> bytes:
    """Return the first bytes of a control message: a small tuple whose first element is a small integer."""
    return bytes([ord("h"), arity, ord("a"), op])


@asynccontextmanager
async def tapped(node: Node, epmd: EpmdConfig) -> AsyncIterator[Tap]:
    """Register a relay as ``node`` at an epmd that does not know the node; peers that look there get the relay."""
    tap = Tap()
    assert node.address is not None
    host, port = node.address
    async with AsyncExitStack() as stack:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            to_node = await asyncio.open_connection(host, port)
            stack.callback(to_node[1].close)
            await asyncio.gather(_copy(reader, to_node[1], tap.theirs), _copy(to_node[0], writer, tap.ours))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        stack.callback(server.close)
        alive = str(node.name).partition("@")[0]
        registration = Registration(alive, server.sockets[0].getsockname()[1], epmd)
        await registration.start()
        stack.push_async_callback(registration.stop)
        yield tap


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, copy: bytearray) -> None:
    while data := await reader.read(SIZE):
        copy += data
        writer.write(data)
    writer.close()
