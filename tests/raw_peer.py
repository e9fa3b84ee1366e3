"""A peer that a test plays itself, packet by packet."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from pyzen._native import Session
from pyzen.config import Limits
from pyzen.dist.flags import own_flags
from pyzen.dist.handshake import Handshake, Initiator, Outcome
from pyzen.terms import Atom, Pid
from tests.events import Event, separate

if TYPE_CHECKING:
    from pyzen.node.node import Node


class RawPeer:
    """A peer that the test plays frame by frame; `connect` does a whole handshake."""

    def __init__(self, name: str = "raw@127.0.0.1", creation: int = 9) -> None:
        self.name = Atom(name)
        self.creation = creation
        self.pid = Pid(name, 5, 0, creation)
        self._frames: list[bytes] = []

    async def open(self, address: tuple[str, int]) -> None:
        self.reader, self.writer = await asyncio.open_connection(*address)

    async def connect(self, node: Node, cookie: str = "secret") -> Outcome:
        assert node.address is not None
        return await self.connect_to(node.address, node.name, cookie)

    async def connect_to(self, address: tuple[str, int], name: Atom, cookie: str) -> Outcome:
        await self.open(address)
        handshake = Initiator(
            str(self.name),
            str(name),
            flags=own_flags(hidden=False),
            creation=self.creation,
            cookie=lambda _: cookie,
        )
        self.write_frames(handshake.start())
        return await self.shake(name, handshake)

    async def shake(self, node: Atom, handshake: Handshake) -> Outcome:
        while not handshake.ended:
            try:
                frame = await self.read_frame()
            except asyncio.IncompleteReadError:
                handshake.eof()
            else:
                self.write_frames(handshake.receive_frame(frame))
        if handshake.error is not None:
            raise handshake.error
        assert handshake.outcome is not None
        limits, flags = Limits(), int(handshake.outcome.flags)
        self.session = Session(limits, node=self.name, creation=self.creation, peer=node, flags=flags)
        return handshake.outcome

    def write_frames(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.writer.write(len(frame).to_bytes(2, "big") + frame)

    async def read_frame(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2), "big"))

    async def events(self) -> list[Event]:
        """Return what the next bytes of the node say."""
        async with asyncio.timeout(5):
            return self.events_of(await self.reader.read(65536))

    def events_of(self, data: bytes) -> list[Event]:
        """Return what these bytes of the node say."""
        return separate(self.session.receive_data(data))

    async def at_end(self) -> bool:
        """Read until the node closes the connection."""
        try:
            async with asyncio.timeout(5):
                while await self.reader.read(65536):
                    pass
        except ConnectionResetError:
            pass
        return True

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()
