"""What a peer can make this node dial: nobody, or few at a time, and never so that others can't be reached."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.answers import NOREPLY
from pyzen.actor.gen_server import GenServer
from pyzen.actor.supervisor import ChildSpec, Supervisor
from pyzen.config import Limits, ZenConfig
from pyzen.dist.epmd import NodeEntry
from pyzen.node import connections
from pyzen.node.router import ANSWERING_DIALS
from pyzen.node.services.zen_functions import ZenFunctions
from pyzen.terms import Atom, Pid, Reference, atoms, elixir
from pyzen.zen.names import CONNECTORS
from tests.node.conftest import until
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pyzen.actor.process import Process
    from pyzen.node.epmd_server import EpmdServer
    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode

GEN_CALL = atoms["$gen_call"]
COUNT = 3 * ANSWERING_DIALS


@pytest.fixture
async def silent(server: EpmdServer) -> AsyncIterator[list[Atom]]:
    """Nodes that take connections and never say a word."""
    listener = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    names = [f"silent{number}" for number in range(COUNT)]
    for name in names:
        server.table.register(NodeEntry(name, port), now=0)
    yield [Atom(f"{name}@127.0.0.1") for name in names]
    listener.close()


@pytest.fixture
async def node(make_node: MakeNode) -> Node:
    node = await make_node(limits=Limits(setup_time=30.0), zen=ZenConfig(connector_sweep_interval=1))
    node.spawn(Echo, name="server")
    node.spawn(Supervisor, [ChildSpec("a", Echo)], name="sup")
    return node


@pytest.fixture
async def peer(node: Node) -> AsyncIterator[RawPeer]:
    peer = RawPeer()
    await peer.connect(node)
    await until(lambda: node.nodes() == [peer.name])
    yield peer
    await peer.close()


class Echo(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


def dials(node: Node) -> int:
    return int({one.name: one for one in node.metrics.metrics()}["pyzen.node.dials"].value())


def call(peer: RawPeer, name: Atom, from_: Pid, request: Any) -> None:
    peer.writer.write(peer.session.send(peer.pid, name, (GEN_CALL, (from_, 1), request)))


def system_message(peer: RawPeer, name: Atom, from_: Pid) -> None:
    peer.writer.write(peer.session.send(peer.pid, name, (atoms.system, (from_, 1), atoms.get_state)))


def rpc(peer: RawPeer, module: Atom, function: Atom, *args: Any) -> None:
    request = (peer.pid, (atoms.call, module, function, list(args), peer.pid))
    peer.writer.write(peer.session.send(peer.pid, atoms.rex, request))


async def obeyed(node: Node, peer: RawPeer) -> None:
    """Wait until the node has come to all that was sent, and any sweep has been."""
    async with node.mailbox() as me:
        peer.writer.write(peer.session.send(peer.pid, me.pid, atoms.done))
        await me.receive(timeout=10)
    for name in (atoms.rex, atoms.server):
        await node.call(name, atoms.x)
    for _ in range(20):
        await asyncio.sleep(0.001)


CALLERS = {
    "a server": lambda peer, pid: call(peer, atoms.server, pid, atoms.x),
    "a supervisor": lambda peer, pid: call(peer, atoms.sup, pid, atoms.which_children),
    "a system message": lambda peer, pid: system_message(peer, atoms.server, pid),
}


@pytest.mark.parametrize("ask", CALLERS.values(), ids=CALLERS)
async def test_answers_to_nodes_that_a_peer_names_dial_few(
    node: Node, peer: RawPeer, silent: list[Atom], make_node: MakeNode, ask: Callable[[RawPeer, Pid], None]
) -> None:
    for name in silent:
        ask(peer, Pid(name, 1, 0, 1))
    await obeyed(node, peer)

    assert dials(node) == ANSWERING_DIALS
    other = await make_node("other")
    async with asyncio.timeout(5):
        assert await node.connect(other.name)


ORDERS = {
    "Process.exit": lambda peer, name: rpc(peer, elixir.Process, atoms.exit, Pid(name, 1, 0, 1), atoms.x),
    "ZenMonitor.connect": lambda peer, name: rpc(peer, elixir.ZenMonitor, atoms.connect, name),
    "ZenMonitor.monitor": lambda peer, name: rpc(peer, elixir.ZenMonitor, atoms.monitor, (atoms.x, name)),
    "a start of a Connector": lambda peer, name: call(
        peer, CONNECTORS, peer.pid, (atoms.lookup_or_start, name, [name])
    ),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
async def test_nobody_is_dialled_at_the_word_of_a_peer(
    node: Node, peer: RawPeer, silent: list[Atom], order: Callable[[RawPeer, Atom], None]
) -> None:
    for name in silent:
        order(peer, name)
    await obeyed(node, peer)

    assert dials(node) == 0


async def test_monitor_that_a_peer_makes_is_none_without_a_link(node: Node, peer: RawPeer, silent: list[Atom]) -> None:
    """Its process may live for long enough to see a sweep."""
    references: list[Any] = []
    monitor = ZenFunctions(node.zen.system, node.runtime).monitor

    async def body(process: Process) -> None:
        references.extend(monitor((atoms.x, name)) for name in silent)
        await process.receive()

    node.spawn(body)
    await until(lambda: len(references) == COUNT)
    await obeyed(node, peer)

    assert all(type(ref) is Reference for ref in references)
    assert dials(node) == 0


async def test_connector_dials_nobody_for_a_peer(node: Node, peer: RawPeer, silent: list[Atom]) -> None:
    for name in silent:
        call(peer, CONNECTORS, peer.pid, (atoms.lookup_or_start, name, [name]))
    await obeyed(node, peer)
    connectors = [node.zen.system.connector_pid(name) for name in silent]
    for pid in connectors:
        assert pid is not None
        peer.writer.write(peer.session.send(peer.pid, pid, (GEN_CALL, (peer.pid, 1), atoms.connect)))
    await obeyed(node, peer)

    assert dials(node) == 0


async def test_answer_reaches_a_caller_behind_another_node(make_node: MakeNode) -> None:
    """A server may hand a call on: the reply comes from a node that the caller has no link with."""
    caller, first, last = await make_node("caller"), await make_node("first"), await make_node("last")

    class Relay(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            self.send(("last", last.name), (GEN_CALL, from_, request))
            return NOREPLY

    first.spawn(Relay, name="first")
    last.spawn(Echo, name="last")

    assert await caller.call(("first", first.name), atoms.hello) is atoms.hello
    assert caller.name in last.nodes()


async def test_what_is_sent_dials_up_to_a_bound(
    node: Node, silent: list[Atom], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "MAX_DIALS", 4)
    async with node.mailbox() as me:
        refs = [me.monitor((atoms.x, name)) for name in silent]

        assert dials(node) == 4
        lost = [(await me.receive(timeout=5))[1] for _ in refs[4:]]

    assert sorted(lost) == sorted(refs[4:])
    assert 0 < sum("dials are under way" in record.getMessage() for record in caplog.records) <= 20
    connecting = asyncio.ensure_future(node.connect(silent[-1]))
    await until(lambda: dials(node) == 5)
    connecting.cancel()
