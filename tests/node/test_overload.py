"""A peer that asks and reads nothing costs its own answers: no process of the node ends or stops for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.supervisor import ChildSpec, Supervisor
from pyzen.config import Limits
from pyzen.errors import LinkOverloaded
from pyzen.terms import Atom, Pid, Reference, atoms
from pyzen.zen.names import BATCHERS, CONNECTORS, DISPATCHER, LOCAL, PROXY, SUPERVISOR
from tests.node.conftest import until
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode

GEN_CALL = atoms["$gen_call"]
TAG = b"x" * 100_000
"""The tag of a call comes back with the answer: the peer chooses its size."""

ASKED: dict[str, tuple[Atom, Any]] = {
    "rex": (atoms.rex, atoms.nonsense),
    "rex, a call": (atoms.rex, (atoms.call, atoms.erlang, atoms.node, [], None)),
    "net_kernel": (atoms.net_kernel, atoms.nonsense),
    "kernel_sup": (atoms.kernel_sup, atoms.which_children),
    "supervisor": (SUPERVISOR, atoms.which_children),
    "proxy": (PROXY, atoms.ping),
    "local": (LOCAL, atoms.batch_length),
    "connectors": (CONNECTORS, atoms.count_children),
    "batchers": (BATCHERS, atoms.count_children),
    "of the program": (atoms.sup, atoms.which_children),
    "server of the program": (atoms.server, atoms.nonsense),
}


class Echo(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


class Deaf:
    """A peer that does not read, and a link to it that takes no more."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.peer = RawPeer()

    async def fill(self) -> None:
        await self.peer.connect(self.node)
        await until(lambda: self.node.nodes() == [self.peer.name])
        self.peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(200):
            self.ask(atoms.net_kernel, atoms.nonsense)
        await self.obeyed()

    def ask(self, name: Atom, request: Any) -> None:
        packet = self.peer.session.send(self.peer.pid, name, (GEN_CALL, (self.peer.pid, TAG), request))
        self.peer.writer.write(packet)

    async def obeyed(self) -> None:
        """Wait until the node has come to all that was sent: by a message to a mailbox of its own."""
        async with self.node.mailbox() as me:
            self.peer.writer.write(self.peer.session.send(self.peer.pid, me.pid, atoms.done))
            assert await me.receive(timeout=10) is atoms.done


@pytest.fixture
async def deaf(make_node: MakeNode) -> AsyncIterator[Deaf]:
    node = await make_node(limits=Limits(max_unsent_bytes=2_000_000))
    node.spawn(Supervisor, [ChildSpec("a", Echo, name="a")], name="sup")
    node.spawn(Echo, name="server")
    deaf = Deaf(node)
    await deaf.fill()
    yield deaf
    await deaf.peer.close()


@pytest.mark.parametrize(("name", "request_"), ASKED.values(), ids=ASKED)
async def test_whoever_is_asked_lives_on(deaf: Deaf, name: Atom, request_: Any) -> None:
    before = deaf.node.whereis(name)
    for _ in range(5):
        deaf.ask(name, request_)
    await deaf.obeyed()

    assert deaf.node.whereis(name) == before


async def test_supervisors_go_on_restarting(deaf: Deaf, quiet: None) -> None:
    for name in (atoms.kernel_sup, atoms.sup):
        deaf.ask(name, atoms.which_children)
    await deaf.obeyed()

    for name in (atoms.rex, atoms.a):
        before = deaf.node.whereis(name)
        async with deaf.node.mailbox() as me:
            me.send_exit(before, atoms.kill)  # type: ignore[arg-type]
        await until(lambda name=name, before=before: deaf.node.whereis(name) not in {None, before})  # type: ignore[misc]


async def test_look_at_a_large_state_ends_nobody(deaf: Deaf) -> None:
    class Large(GenServer):
        def init(self) -> None:
            self.all = b"x" * 3_000_000

    pid = await Large.start(deaf.node)
    order = (atoms.system, (deaf.peer.pid, 1), atoms.get_state)
    deaf.peer.writer.write(deaf.peer.session.send(deaf.peer.pid, pid, order))
    await deaf.obeyed()

    assert deaf.node.runtime.actor(pid) is not None


async def test_answer_to_a_forged_caller_dials_nobody(make_node: MakeNode) -> None:
    node, peer = await make_node(), RawPeer()
    await peer.connect(node)
    await until(lambda: node.nodes() == [peer.name])
    for number in range(50):
        forged = Pid(f"a{number}@127.0.0.1", 1, 0, 1)
        for name in (atoms.rex, atoms.net_kernel, atoms.kernel_sup, LOCAL, DISPATCHER, PROXY):
            peer.writer.write(peer.session.send(peer.pid, name, (GEN_CALL, (forged, 1), atoms.which_children)))
    async with node.mailbox() as me:
        peer.writer.write(peer.session.send(peer.pid, me.pid, atoms.done))
        await me.receive(timeout=5)

    seen = {one.name: one for one in node.metrics.metrics()}
    assert seen["pyzen.node.dials"].value() + seen["pyzen.node.events"].value(event="dials_failed") == 0
    await peer.close()


# ---- signals, which no link may lose


def monitors(peer: RawPeer, node: Node, number: int) -> bytes:
    ref = Reference(peer.name, peer.creation, [number, 1, 1])
    return peer.session.signal(0, (19, peer.pid, Pid(node.name, 9999, 0, node.runtime.creation), ref))


def links(peer: RawPeer, node: Node, number: int) -> bytes:
    return peer.session.signal(0, (1, peer.pid, Pid(node.name, 9999 + number, 0, node.runtime.creation)))


def unlinks(peer: RawPeer, node: Node, number: int) -> bytes:
    return peer.session.signal(0, (35, number + 1, peer.pid, Pid(node.name, 9999, 0, node.runtime.creation)))


def spawns(peer: RawPeer, node: Node, number: int) -> bytes:
    ref = Reference(peer.name, peer.creation, [number, 1, 1])
    return peer.session.signal(0, (29, ref, peer.pid, peer.pid, (atoms.no, atoms.no, 0), [atoms.monitor]), [])


async def fill(node: Node, peer: RawPeer) -> None:
    """Send until the sockets have taken nothing for a while."""
    refused = 0
    async with node.mailbox() as me, asyncio.timeout(30):
        while refused < 30:
            try:
                me.send(peer.pid, bytes(50_000))
                refused = 0
            except LinkOverloaded:
                refused += 1
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("ask", [monitors, links, unlinks, spawns], ids=lambda ask: ask.__name__)
async def test_answers_that_must_not_be_lost_end_the_link(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture, ask: Callable[[RawPeer, Node, int], bytes]
) -> None:
    limit = 100_000
    node, other = await make_node(limits=Limits(max_unsent_bytes=limit)), await make_node("other")
    await other.connect(node.name)
    peer = RawPeer()
    await peer.connect(node)
    await until(lambda: len(node.nodes()) == 2)
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await fill(node, peer)

    number, most = 0, 0
    async with asyncio.timeout(30):
        while peer.name in node.nodes():
            peer.writer.write(b"".join(ask(peer, node, number + one) for one in range(2000)))
            number += 2000
            with suppress(ConnectionError):
                await peer.writer.drain()
            assert await other.ping(node.name)
            most = max(most, node._driver.thread.statistics()["unsent_bytes"])

    assert most < 3 * limit
    assert "more than 200000 bytes wait for raw@127.0.0.1" in caplog.text
    assert node.nodes() == [other.name]
    await peer.close()
