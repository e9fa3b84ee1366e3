"""What a peer sends past a limit is refused alone: the link, what came before and what comes after stay.

The limit is that of nesting; every other limit of a term is refused likewise, as `tests.test_session` shows.
"""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import etf
from pyzen.actor.gen_server import GenServer
from pyzen.config import Limits
from pyzen.errors import CallTimeout, EncodeError, NodeDown, ProcessExit, RpcError
from pyzen.logs import BURST
from pyzen.terms import Atom, ImproperList, Reference, atoms
from tests.node.conftest import until
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from pyzen.actor.process import Process
    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode

DEPTH = 50
BROKEN = f"max_depth exceeded: {DEPTH + 1} is more than {DEPTH}"


def deep(depth: int = DEPTH + 1) -> Any:
    term: Any = ()
    for _ in range(depth):
        term = [term]
    return term


class Echo(GenServer):
    """Answers with what it was asked, or with something deep."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        return deep() if request is atoms.deep else request


def message(raw: RawPeer, name: str, term: Any) -> bytes:
    """Return the packet of a message to a name."""
    body = b"\x83D\0" + etf.encode((6, raw.pid, Atom(""), Atom(name)))[1:] + etf.encode(term)[1:]
    return struct.pack(">I", len(body)) + body


class Scene:
    """A node with a low limit, a peer with a high one, and what the node has logged."""

    def __init__(self, node: Node, peer: Node, caplog: pytest.LogCaptureFixture) -> None:
        self.node = node
        self.peer = peer
        self._caplog = caplog

    def lines(self) -> list[str]:
        """Return the warnings and errors so far."""
        return [record.getMessage() for record in self._caplog.records if record.levelno >= logging.WARNING]

    async def is_refused(self, receiver: object) -> bool:
        """Wait for the line about a message to a process of the node, the only one."""
        await until(lambda: bool(self.lines()))
        return self.lines() == [f"{self.node.name} refuses a message of {self.peer.name} for {receiver}: {BROKEN}"]

    async def has_ended(self, receiver: object) -> bool:
        """Wait for the end of the link over a message to a process of the node, told once; the next link is made."""
        await until(lambda: not self.node.nodes() and not self.peer.nodes())
        lines = [line for line in self.lines() if line.startswith(str(self.node.name))]
        told = f"{self.node.name} lost the link to {self.peer.name}: a message for {receiver}: {BROKEN}"
        return lines == [told] and await self.peer.ping(self.node.name)


@pytest.fixture
async def scene(make_node: MakeNode, caplog: pytest.LogCaptureFixture) -> Scene:
    node = await make_node("n", limits=Limits(max_depth=DEPTH), exports=["math"])
    peer = await make_node("peer")
    assert await peer.connect(node.name)
    return Scene(node, peer, caplog)


# ---- messages to processes of the program


@pytest.mark.parametrize("by_name", [False, True])
async def test_a_message_past_the_limit_is_dropped_and_told(scene: Scene, by_name: bool) -> None:
    async with scene.node.mailbox("inbox") as inbox:
        to = ("inbox", str(scene.node.name)) if by_name else inbox.pid
        for message in (1, deep(), deep(DEPTH), 2):
            scene.peer.send(to, message)

        assert [await inbox.receive(timeout=5) for _ in range(3)] == [1, deep(DEPTH), 2]
        assert await scene.is_refused("inbox")
        assert scene.node.nodes() == [scene.peer.name]


async def test_a_message_past_the_limit_for_nobody_is_dropped_in_silence(scene: Scene) -> None:
    gone = scene.node.spawn(Echo)
    scene.node.runtime.actor(gone).end(atoms.normal)  # type: ignore[union-attr]
    for to in (gone, ("nobody", str(scene.node.name)), Reference(scene.node.name, 1, [1, 2, 3])):
        scene.peer.send(to, deep())

    assert await scene.peer.call(scene.node.spawn(Echo), 7) == 7
    assert scene.lines() == []


async def test_a_call_past_the_limit_times_out_and_the_next_is_answered(scene: Scene) -> None:
    pid = scene.node.spawn(Echo, name="echo")

    with pytest.raises(CallTimeout):
        await scene.peer.call(pid, deep(), timeout=0.1)

    assert await scene.is_refused("echo")
    assert await scene.peer.call(pid, 7) == 7


async def test_an_answer_past_the_limit_times_out_and_the_next_arrives(scene: Scene) -> None:
    pid = scene.peer.spawn(Echo)

    async with scene.node.mailbox("caller") as caller:
        with pytest.raises(CallTimeout):
            await caller.call(pid, atoms.deep, timeout=0.2)

        assert await scene.is_refused("caller")
        assert await caller.call(pid, 7) == 7


async def test_any_number_of_messages_past_the_limit_keep_the_order_of_all_others(scene: Scene) -> None:
    async with scene.node.mailbox() as inbox:
        for number in range(500):
            scene.peer.send(inbox.pid, deep())
            scene.peer.send(inbox.pid, number)

        assert [await inbox.receive(timeout=5) for _ in range(500)] == [*range(500)]
    assert len(scene.lines()) == BURST
    assert scene.node.nodes() == [scene.peer.name]


# ---- messages to the node itself


@pytest.mark.parametrize("name", ["Elixir.ZenMonitor.Proxy", "Elixir.ZenMonitor.Local", "rex", "net_kernel", "user"])
async def test_a_message_to_the_node_itself_past_the_limit_ends_the_link(scene: Scene, name: str) -> None:
    scene.peer.send((name, str(scene.node.name)), deep())

    assert await scene.has_ended(name)


async def test_a_call_of_rex_past_the_limit_fails_at_once(scene: Scene) -> None:
    with pytest.raises(NodeDown):
        await scene.peer.call(
            ("rex", str(scene.node.name)), (atoms.call, atoms.math, atoms.sqrt, [deep()], atoms.user), timeout=60
        )

    assert await scene.has_ended("rex")


async def test_a_summary_past_the_limit_loses_no_monitor(scene: Scene) -> None:
    worker = scene.peer.spawn(Echo)
    async with scene.node.mailbox() as watcher:
        ref = scene.node.zen.monitor(worker, subscriber=watcher.pid)
        assert await scene.node.zen.connect(str(scene.peer.name)) == "compatible"
        connector = scene.node.zen.system.connector_pid(str(scene.peer.name))
        assert connector is not None

        scene.peer.send(connector, (atoms.dead, scene.peer.name, [(worker, deep())]))

        down = (atoms.DOWN, ref, atoms.process, worker, (atoms.zen_monitor, atoms.nodedown))
        assert await watcher.receive(timeout=5) == down


@pytest.mark.parametrize(("name", "ends"), [("rex", True), ("nobody", False), ("other", False)])
async def test_only_behind_what_ends_the_link_nothing_is_heard(make_node: MakeNode, name: str, ends: bool) -> None:
    node, raw = await make_node("n", limits=Limits(max_depth=DEPTH)), RawPeer()
    await raw.connect(node)
    async with node.mailbox("inbox") as inbox, node.mailbox("other"):
        raw.writer.write(b"".join(message(raw, *row) for row in (("inbox", 1), (name, deep()), ("inbox", 2))))

        assert await inbox.receive(timeout=5) == 1
        if ends:
            assert await raw.at_end()
            with pytest.raises(TimeoutError):
                await inbox.receive(timeout=0)
        else:
            assert await inbox.receive(timeout=5) == 2
    await raw.close()


# ---- starts of processes


async def test_a_remote_call_past_the_limit_is_refused(scene: Scene) -> None:
    with pytest.raises(RpcError) as caught:
        await scene.peer.rpc(scene.node.name, "math", "sqrt", [deep()], timeout=60)

    assert (caught.value.kind, caught.value.reason) == ("erpc", atoms.system_limit)
    assert scene.lines() == [f"{scene.node.name} refuses a spawn request of {scene.peer.name}: {BROKEN}"]
    assert await scene.peer.rpc(scene.node.name, "math", "sqrt", [4]) == 2


async def test_a_start_past_the_limit_is_refused(scene: Scene) -> None:
    async with scene.peer.mailbox() as me:
        with pytest.raises(ProcessExit) as caught:
            await me.spawn_request(scene.node.name, "math", "sqrt", [deep()], timeout=60)

    assert caught.value.reason == (atoms.spawn_reply, atoms.system_limit)


# ---- reasons


async def test_reasons_past_the_limit_are_undecodable(scene: Scene) -> None:
    async def body(process: Process) -> None:
        process.exit((atoms.boom, await process.receive()))

    async with scene.node.mailbox() as me:
        me.trap_exit = True
        linked, watched = scene.peer.spawn(body), scene.peer.spawn(body)
        me.link(linked)
        ref = me.monitor(watched)
        assert await scene.node.ping(scene.peer.name)
        for pid in (linked, watched):
            scene.peer.send(pid, deep())

        heard = [await me.receive(timeout=5) for _ in range(2)]

    assert (atoms.EXIT, linked, atoms.undecodable) in heard
    assert (atoms.DOWN, ref, atoms.process, watched, atoms.undecodable) in heard
    assert scene.node.nodes() == [scene.peer.name]


async def test_an_exit_signal_past_the_limit_has_another_reason(scene: Scene) -> None:
    async with scene.node.mailbox() as me, scene.peer.mailbox() as other:
        me.trap_exit = True

        other.send_exit(me.pid, deep())

        assert await me.receive(timeout=5) == (atoms.EXIT, other.pid, atoms.undecodable)


# ---- what this node sends


async def test_what_this_node_sends_past_its_limit_is_refused_at_once(make_node: MakeNode) -> None:
    node = await make_node("n", limits=Limits(max_depth=DEPTH))
    for peer in ("nobody@127.0.0.1", (await make_node("peer")).name):
        with pytest.raises(EncodeError, match=f"nested deeper than {DEPTH} levels"):
            node.send(("inbox", str(peer)), deep())
        node.send(("inbox", str(peer)), deep(DEPTH - 1))


async def test_what_is_sent_while_dialling_may_be_as_deep_as_the_node_allows(make_node: MakeNode) -> None:
    high = Limits(max_depth=10_000)
    node, peer = await make_node("n", limits=high), await make_node("peer", limits=high)
    async with peer.mailbox("inbox") as inbox:
        term: Any = ImproperList([1], 2)
        for _ in range(9000):
            term = ImproperList([term], 1)
        node.send(("inbox", str(peer.name)), term)
        assert await inbox.receive(timeout=5) == term


async def test_a_result_may_be_as_deep_as_the_node_allows(make_node: MakeNode) -> None:
    high = Limits(max_depth=10_000)
    node, peer = await make_node("n", limits=high), await make_node("peer", limits=high)
    term: Any = ImproperList([1], 2)
    for _ in range(9000):
        term = ImproperList([term], 1)
    node.export("m", "f", lambda: term)

    assert await peer.rpc(node.name, "m", "f") == term
