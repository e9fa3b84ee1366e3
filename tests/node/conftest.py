"""Nodes of this process, with an epmd of their own."""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pyzen._native import Session
from pyzen.actor.gen_server import GenServer
from pyzen.config import EpmdConfig, Limits
from pyzen.dist.flags import own_flags
from pyzen.dist.handshake import Handshake, Initiator, Outcome
from pyzen.node.epmd_server import EpmdServer
from pyzen.node.node import Node
from pyzen.terms import Atom, Pid, atoms
from tests.events import Event, separate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pyzen.actor.process import Mailbox


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
        await self.open(node.address)
        handshake = Initiator(
            str(self.name),
            str(node.name),
            flags=own_flags(hidden=False),
            creation=self.creation,
            cookie=lambda _: cookie,
        )
        self.write_frames(handshake.start())
        return await self.shake(node.name, handshake)

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


class MakeNode(Protocol):
    async def __call__(self, alive: str = "n", **options: Any) -> Node: ...


@pytest.fixture
async def epmd() -> AsyncIterator[EpmdConfig]:
    server = EpmdServer()
    port = await server.start(0)
    yield EpmdConfig(port=port, start=False)
    await server.stop()


@pytest.fixture
async def make_node(epmd: EpmdConfig) -> AsyncIterator[MakeNode]:
    async with AsyncExitStack() as stack:

        async def make(alive: str = "n", **options: Any) -> Node:
            settings: dict[str, Any] = {"cookie": "secret", "epmd": epmd} | options
            return await stack.enter_async_context(Node(f"{alive}{secrets.token_hex(3)}@127.0.0.1", **settings))

        yield make


@pytest.fixture
async def make_raw() -> AsyncIterator[Callable[..., RawPeer]]:
    peers: list[RawPeer] = []

    def make(name: str = "raw@127.0.0.1", creation: int = 9) -> RawPeer:
        peers.append(RawPeer(name, creation))
        return peers[-1]

    yield make
    for peer in peers:
        if hasattr(peer, "writer"):
            await peer.close()


class Bystander(GenServer):
    """Another process of the same node."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


class Place:
    """A node with the process to be tried, and one that has what it watches."""

    def __init__(self, node: Node, other: Node, tester: Mailbox, bystander: Pid) -> None:
        self.node = node
        self.other = other
        self.tester = tester
        self.bystander = bystander

    async def heard(self) -> Any:
        return await self.tester.receive(timeout=5)


@pytest.fixture
async def place(make_node: MakeNode) -> AsyncIterator[Place]:
    node, other = await make_node("a"), await make_node("b")
    async with node.mailbox("tester") as tester:
        place = Place(node, other, tester, node.spawn(Bystander))
        yield place
        assert await node.call(place.bystander, atoms.hello) is atoms.hello
    async with asyncio.timeout(3):
        await node.stop()


@pytest.fixture
def quiet() -> Iterator[None]:
    """Processes crash on purpose."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)
