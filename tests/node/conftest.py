"""Nodes of this process, with an epmd of their own."""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.config import EpmdConfig, ZenConfig
from pyzen.node.epmd_server import EpmdServer
from pyzen.node.node import Node
from pyzen.terms import Pid, atoms
from tests.loops import LOOPS
from tests.node.callee import Callee
from tests.node.stage import Stage, staged
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from pyzen.actor.process import Mailbox


class MakeNode(Protocol):
    async def __call__(self, alive: str = "n", **options: Any) -> Node: ...


@pytest.fixture
async def server() -> AsyncIterator[EpmdServer]:
    server = EpmdServer()
    await server.start(0)
    yield server
    await server.stop()


@pytest.fixture
def epmd(server: EpmdServer) -> EpmdConfig:
    return EpmdConfig(port=server.port, start=False)


@pytest.fixture
async def make_callee(server: EpmdServer) -> AsyncIterator[Callable[[str], Awaitable[Callee]]]:
    made: list[Callee] = []

    async def make(name: str) -> Callee:
        made.append(Callee(name))
        await made[-1].start(server)
        return made[-1]

    yield make
    for callee in made:
        callee.server.close()
        while not callee.connections.empty():
            await callee.connections.get_nowait().close()
        await callee.server.wait_closed()  # since Python 3.12 for the ends of its connections, too


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


@pytest.fixture
async def a(make_node: MakeNode) -> Node:
    return await make_node("a", zen=ZenConfig(connector_sweep_interval=5, demand_interval=5))


@pytest.fixture
async def b(make_node: MakeNode) -> Node:
    return await make_node("b", zen=ZenConfig(batcher_sweep_interval=5))


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


@pytest.fixture(scope="module", params=LOOPS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Two nodes in a loop of each kind, for all tests of a file."""
    yield from staged(request.param)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)
