"""A registered node that a test plays, where others dial it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyzen.dist.epmd import NodeEntry
from pyzen.dist.flags import own_flags
from pyzen.dist.handshake import Acceptor
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from pyzen.dist.handshake import Outcome
    from pyzen.node.epmd_server import EpmdServer
    from pyzen.terms import Atom


class Callee:
    """A registered name whose port the test answers, connection by connection."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections: asyncio.Queue[RawPeer] = asyncio.Queue()

    async def start(self, epmd: EpmdServer) -> None:
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        epmd.table.register(NodeEntry(self.name.partition("@")[0], port), now=0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = RawPeer(self.name)
        peer.reader, peer.writer = reader, writer
        self.connections.put_nowait(peer)

    async def next(self) -> RawPeer:
        async with asyncio.timeout(5):
            return await self.connections.get()

    async def answer(self, caller: Atom) -> tuple[RawPeer, Outcome]:
        peer = await self.next()
        handshake = Acceptor(
            self.name, flags=own_flags(hidden=False), creation=9, cookie=lambda _: "secret", decide=lambda *_: "ok"
        )
        outcome = await peer.shake(caller, handshake)
        assert handshake.last_frame is not None
        peer.write_frames([handshake.last_frame])
        return peer, outcome
