"""How processes end when their node stops: in order, and while they can still send."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.supervisor import ChildSpec, Supervisor
from pyzen.errors import ProcessExit
from pyzen.terms import Pid, atoms
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
            # By then the node has come to what the peer has sent before.
            await peer.call((atoms.net_kernel, node.name), (atoms.is_auth, peer.name))

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


async def test_nobody_else_reaches_who_waits_for_the_ends(node: Node, peer: Node) -> None:
    """A peer counts pids, and so it can send to all that there will be."""

    class Lingering(GenServer):
        async def terminate(self, reason: Any) -> None:
            async with peer.mailbox() as me:
                for number in range(self.pid.number + 100):
                    to = Pid(node.name, number, 0, self.pid.creation)
                    me.send(to, 1)
                    me.send_exit(to, atoms.kill)
                await me.call((atoms.net_kernel, node.name), (atoms.is_auth, peer.name))

    node.spawn(Lingering)
    await asyncio.sleep(0)
    router = node.runtime

    await node.stop()

    assert router.processes() == []


async def test_two_stops_at_once_are_one(node: Node, peer: Node) -> None:
    async with peer.mailbox() as me:
        node.spawn(Slow, "one", me.pid)
        await asyncio.sleep(0)

        await asyncio.gather(node.stop(), node.stop(), node.stop())

        assert await heard(me, 1) == [told("one")]


async def test_stop_by_what_is_being_stopped_returns_at_once(node: Node) -> None:
    class Eager(GenServer):
        async def terminate(self, reason: Any) -> None:
            await node.stop()

    node.spawn(Eager)
    await asyncio.sleep(0)

    async with asyncio.timeout(2):
        await node.stop()


async def test_cancelled_stop_leaves_nothing_running(make_node: MakeNode, quiet: None) -> None:
    node = await make_node()
    ticks: list[int] = []

    class Ticking(GenServer):
        def init(self) -> None:
            self.after(0.01, self.tick)

        def tick(self) -> None:
            ticks.append(1)
            self.after(0.01, self.tick)

        async def terminate(self, reason: Any) -> None:
            await asyncio.Event().wait()

    node.spawn(Ticking)
    await asyncio.sleep(0)
    router = node.runtime
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await node.stop()

    assert router.processes() == []
    before = len(ticks)
    await asyncio.sleep(0.05)
    assert len(ticks) == before


async def test_bodies_that_refuse_to_end_share_one_deadline(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch, quiet: None
) -> None:
    monkeypatch.setattr("pyzen.node.node.STOP_TIMEOUT", 0.2)
    node = await make_node()
    async with node.mailbox() as me:
        for name in "abc":
            node.spawn(stubborn, name, me.pid)
            node.spawn(Supervisor, [])
        await asyncio.sleep(0)

        async with asyncio.timeout(1):
            await node.stop()


async def test_supervisor_that_never_ends_is_killed(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch, quiet: None
) -> None:
    monkeypatch.setattr("pyzen.node.node.STOP_TIMEOUT", 0.1)
    node = await make_node()

    class Stuck(Supervisor):
        async def terminate(self, reason: Any) -> None:
            await asyncio.Event().wait()

    node.spawn(Stuck, [])
    await asyncio.sleep(0)

    async with asyncio.timeout(2):
        await node.stop()


async def test_body_that_has_not_begun_ends_at_once(node: Node) -> None:
    async with asyncio.timeout(2):
        node.spawn(body, "one", "nobody")
        await node.stop()


async def test_supervisors_restart_nothing_meanwhile(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """A child that is linked with a process which ends earlier ends with that."""

    class Tied(GenServer):
        def init(self, name: str) -> None:
            other = node.whereis(name)
            assert other is not None
            self.link(other)

    node.spawn(Supervisor, [ChildSpec("below", Tied, args=("later",))], name="sup")
    node.spawn(Slow, "later", "nobody", name="later")
    await node.call("sup", atoms.which_children)

    await node.stop()

    assert not [record for record in caplog.records if "restarts" in record.getMessage()]


async def test_server_that_asks_for_the_stop_has_its_last_word(node: Node, peer: Node) -> None:
    stopping: list[asyncio.Task[None]] = []

    class Asking(Cleaning):
        def handle_cast(self, request: Any) -> None:
            stopping.append(asyncio.create_task(node.stop()))

    async with peer.mailbox() as me:
        node.cast(node.spawn(Asking, "one", me.pid), atoms.stop)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await stopping[0]

        assert await heard(me, 1) == [told("one")]
