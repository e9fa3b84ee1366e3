"""How processes end when their node stops: in order, and while they can still send."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.supervisor import ChildSpec, Supervisor
from pyzen.errors import ProcessExit
from pyzen.terms import atoms
from pyzen.zen.names import PROXY

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox, Process
    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode


class Cleaning(GenServer):
    """Tells a process of another node what it does."""

    def init(self, name: str, to: Any) -> None:
        self.name, self.to = name, to

    def terminate(self, reason: Any) -> None:
        self.send(self.to, (self.name, reason))


class Trapping(Cleaning):
    def init(self, name: str, to: Any) -> None:
        self.trap_exit = True
        super().init(name, to)


class Slow(Cleaning):
    async def terminate(self, reason: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().terminate(reason)


async def body(process: Process, name: str, to: Any) -> None:
    try:
        await process.receive()
    finally:
        process.send(to, (name, atoms.shutdown))


async def stubborn(process: Process, name: str, to: Any) -> None:
    process.trap_exit = True
    while True:
        try:
            await process.receive()
        except asyncio.CancelledError:
            process.send(to, (name, atoms.no))


@pytest.fixture
async def peer(make_node: MakeNode) -> Node:
    return await make_node("peer")


@pytest.fixture
async def node(make_node: MakeNode, peer: Node) -> Node:
    node = await make_node("node")
    assert await node.connect(peer.name)
    return node


async def heard(me: Mailbox, count: int) -> list[Any]:
    return [await me.receive(timeout=5) for _ in range(count)]


def told(name: str) -> Any:
    return (name.encode(), atoms.shutdown)


@pytest.mark.parametrize("kind", [Cleaning, Trapping, Slow, body])
async def test_each_process_has_its_last_word(node: Node, peer: Node, kind: Any) -> None:
    async with peer.mailbox() as me:
        node.spawn(kind, "one", me.pid)
        await asyncio.sleep(0)

        await node.stop()

        assert await heard(me, 1) == [told("one")]


@pytest.mark.parametrize("kind", [Cleaning, Trapping, Slow, body])
async def test_each_child_of_a_supervisor_has_its_last_word(node: Node, peer: Node, kind: Any) -> None:
    async with peer.mailbox() as me:
        node.spawn(Supervisor, [ChildSpec(name, kind, args=(name, me.pid)) for name in ("a", "b", "c")])
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        await node.stop()

        assert await heard(me, 3) == [told("c"), told("b"), told("a")]


async def test_last_started_ends_first(node: Node, peer: Node) -> None:
    async with peer.mailbox() as me:
        node.spawn(Cleaning, "first", me.pid)
        node.spawn(Supervisor, [ChildSpec("a", Slow, args=("second", me.pid))])
        node.spawn(Cleaning, "third", me.pid)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        await node.stop()

        assert await heard(me, 3) == [told("third"), told("second"), told("first")]


async def test_watchers_elsewhere_hear_of_the_end_before_the_link_goes(node: Node, peer: Node) -> None:
    async with peer.mailbox() as me:
        pid = node.spawn(Cleaning, "one", me.pid)
        ref = me.monitor(pid)
        assert await me.call((atoms.rex, node.name), atoms.nonsense) is atoms.ignored

        await node.stop()

        assert (await heard(me, 2))[1] == (atoms.DOWN, ref, atoms.process, pid, atoms.shutdown)


async def test_zen_monitor_and_links_outlive_the_program(node: Node, peer: Node) -> None:
    seen: list[Any] = []

    class Looking(GenServer):
        def terminate(self, reason: Any) -> None:
            seen.extend([node.whereis(PROXY) is not None, node.nodes()])

    node.spawn(Looking)
    await asyncio.sleep(0)

    await node.stop()

    assert seen == [True, [peer.name]]


async def test_child_past_its_time_is_killed(node: Node, peer: Node, quiet: None) -> None:
    async with peer.mailbox() as me:
        child = ChildSpec("a", stubborn, args=("a", me.pid), shutdown=0.05)
        node.spawn(Supervisor, [ChildSpec("b", Cleaning, args=("b", me.pid)), child])
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        async with asyncio.timeout(3):
            await node.stop()

        assert await heard(me, 1) == [told("b")]


async def test_program_can_start_nothing_more(node: Node, peer: Node) -> None:
    class Restless(GenServer):
        def terminate(self, reason: Any) -> None:
            with pytest.raises(RuntimeError, match="stops"):
                self.spawn(Cleaning, "x", self.pid)
            node.export("it", "was", lambda: atoms.refused)

    node.spawn(Restless)
    await asyncio.sleep(0)

    await node.stop()


@pytest.mark.parametrize("kind", ["call", "block_call"])
async def test_call_of_a_peer_meanwhile_ends_with_the_node(
    node: Node, peer: Node, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    asked: list[Any] = []

    class Asking(GenServer):
        async def terminate(self, reason: Any) -> None:
            request: Any = (atoms[kind], atoms.erlang, atoms.node, [], None)
            asked.append(asyncio.ensure_future(peer.call((atoms.rex, node.name), request)))
            peer.cast((atoms.rex, node.name), (atoms.cast, *request[1:]))
            await asyncio.sleep(0.05)  # the node still reads

    node.spawn(Asking)
    await asyncio.sleep(0)

    await node.stop()

    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    with pytest.raises(ProcessExit, match="shutdown"):
        await asked[0]


async def test_supervised_process_stops_its_node(node: Node, peer: Node) -> None:
    async def stopping(_process: Process) -> None:
        await node.stop()

    async with peer.mailbox() as me:
        peer.monitor_node(node.name, me.pid)
        node.spawn(Supervisor, [ChildSpec("a", stopping)])

        assert await heard(me, 1) == [(atoms.nodedown, node.name)]
