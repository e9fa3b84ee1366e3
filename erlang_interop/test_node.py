"""A node of ours and a real Elixir node: connecting, naming, messages, links, monitors, rpc, global."""

from __future__ import annotations

import asyncio
import ctypes
import os
import secrets
import signal
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.config import EpmdConfig
from pyzen.errors import CookieMismatch, HandshakeError, NodeDown, NoProcess, RpcError
from pyzen.node.node import Node
from pyzen.terms import Pid, atoms, elixir

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from erlang_interop.nodes import ElixirNode, ErlangCluster

    StartElixir = Callable[..., Awaitable[ElixirNode]]


class MakeNode(Protocol):
    async def __call__(self, **options: Any) -> Node: ...


@pytest.fixture
async def python_node(cluster: ErlangCluster) -> AsyncIterator[MakeNode]:
    """``await python_node(**options)`` starts a node of ours in the cluster."""
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> Node:
            settings: dict[str, Any] = {
                "cookie": cluster.cookie,
                "epmd": EpmdConfig(port=cluster.epmd_port, start=False),
                "zen": None,
            } | options
            return await stack.enter_async_context(Node(f"p{secrets.token_hex(5)}@127.0.0.1", **settings))

        yield make


class Echo(GenServer):
    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        match request:
            case (atoms.exit, reason):
                self.exit(reason)
        return request


async def test_connect_is_seen_by_both_sides(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node()

    assert await node.connect(peer.name)

    assert [str(one) for one in node.nodes()] == [peer.name]
    assert str(node.name) in await peer.eval("Node.list()")


async def test_elixir_connects_and_pings(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node()

    assert await peer.eval(f":net_adm.ping(:'{node.name}')") == ":pong"
    assert await peer.eval(f"Node.connect(:'{node.name}')") == "true"
    assert await node.ping(peer.name)


async def test_wrong_cookie_is_refused_in_words_both_ways(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(cookie="wrong"), await elixir_node()

    with pytest.raises(CookieMismatch, match="cookie"):
        await node.connect(peer.name)

    assert await peer.eval(f":net_adm.ping(:'{node.name}')") == ":pang"
    assert node.nodes() == []


async def test_a_cookie_for_one_peer(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(cookie="own"), await elixir_node()
    node.set_cookie(peer.name, peer.cookie)

    assert await node.connect(peer.name)


async def test_short_names_are_not_dialled_by_a_long_one(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node(names="short")

    with pytest.raises(HandshakeError, match="long name"):
        await node.connect(peer.name)


async def test_a_peer_that_is_not_there_is_false(python_node: MakeNode) -> None:
    node = await python_node()

    assert not await node.connect("nobody@127.0.0.1")


async def test_hidden_node_is_not_listed(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(hidden=True), await elixir_node()

    await node.connect(peer.name)

    assert await peer.eval("Node.list()") == "[]"
    assert str(node.name) in await peer.eval("Node.list(:hidden)")


async def test_dials_at_the_same_time_end_with_one_link(python_node: MakeNode, elixir_node: StartElixir) -> None:
    peer = await elixir_node()

    for _ in range(10):
        node = await python_node()
        ours, theirs = await asyncio.gather(node.connect(peer.name), peer.eval(f"Node.connect(:'{node.name}')"))

        assert (ours, theirs) == (True, "true")
        assert [str(one) for one in node.nodes()] == [peer.name]
        assert await node.ping(peer.name)
        assert await peer.eval(f":net_adm.ping(:'{node.name}')") == ":pong"
        await node.stop()


async def test_calls_cross_in_both_directions(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node()
    await peer.call("echo", "there")
    node.spawn(Echo, name="here")
    request = (1, [atoms.ok, b"text", 2.5, 2**70], {atoms.key: [-1]})

    assert await node.call(("there", peer.name), request) == request
    assert await peer.eval(f"GenServer.call({{:here, :'{node.name}'}}, {{:a, [1, 2], \"text\", %{{b: 1}}}})") == (
        '{:a, [1, 2], "text", %{b: 1}}'
    )


async def test_call_to_nobody_says_so(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node()

    with pytest.raises(NoProcess):
        await node.call(("nobody", peer.name), 1)
    caught = await peer.eval(f"try do GenServer.call({{:nobody, :'{node.name}'}}, 1) catch :exit, e -> e end")

    assert caught.startswith("{:noproc,")


async def test_rpc_returns_results_and_raises_errors(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node()

    assert await node.rpc(peer.name, elixir.String, "upcase", ["abc"]) == b"ABC"
    with pytest.raises(RpcError) as caught:
        await node.rpc(peer.name, "erlang", "error", [atoms.boom])
    assert (caught.value.kind, caught.value.reason) == ("error", atoms.boom)
    with pytest.raises(RpcError) as caught:
        await node.rpc(peer.name, "erlang", "exit", [atoms.bye])
    assert (caught.value.kind, caught.value.reason) == ("exit", atoms.bye)
    with pytest.raises(NodeDown):
        await node.rpc("nobody@127.0.0.1", "erlang", "node")


async def test_our_monitor_of_an_elixir_process(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node()
    await peer.call("echo", "there")
    async with node.mailbox() as me:
        by_name = me.monitor(("there", peer.name))
        missing = me.monitor(("nobody", peer.name))
        down = await me.receive(timeout=5)
        assert down[1:] == (missing, atoms.process, (atoms.nobody, atoms[peer.name]), atoms.noproc)

        await peer.call("kill_name", "there", "{some,reason}")

        down = await me.receive(timeout=5)
        assert down[1:] == (by_name, atoms.process, (atoms.there, atoms[peer.name]), (atoms.some, atoms.reason))


async def test_their_monitor_and_link_of_a_python_process(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node()
    node.spawn(Echo, name="here")
    await node.connect(peer.name)
    answer = await peer.eval(
        f"""
        target = {{:here, :'{node.name}'}}
        by_name = Process.monitor(target)
        missing = Process.monitor({{:nobody, :'{node.name}'}})
        first = receive do {{:DOWN, ^missing, :process, object, reason}} -> {{object, reason}} after 5000 -> :none end
        spawn(fn -> try do GenServer.call(target, {{:exit, :boom}}) catch :exit, _ -> :ok end end)
        second = receive do {{:DOWN, ^by_name, :process, object, reason}} -> {{object, reason}} after 5000 -> :none end
        {{first, second}}
        """
    )

    name = f':"{node.name}"'
    assert answer == f"{{{{{{:nobody, {name}}}, :noproc}}, {{{{:here, {name}}}, :boom}}}}"


async def test_node_loss_fires_monitors_links_and_nodedown(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node()
    pid = await node.rpc(peer.name, elixir.Process, "whereis", [atoms.kernel_sup])
    async with node.mailbox() as me:
        me.trap_exit = True
        node.monitor_node(peer.name, me.pid)
        ref = me.monitor(pid)
        me.link(pid)
        await node.ping(peer.name)

        await peer.kill()
        messages = [await me.receive(timeout=5) for _ in range(3)]

    assert (atoms.DOWN, ref, atoms.process, pid, atoms.noconnection) in messages
    assert (atoms.EXIT, pid, atoms.noconnection) in messages
    assert messages[2] == (atoms.nodedown, atoms[peer.name])


async def test_a_frozen_peer_is_down_within_the_ticktime(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(ticktime=4.0), await elixir_node(net_ticktime=4)
    async with node.mailbox() as me:
        assert await node.connect(peer.name)
        node.monitor_node(peer.name, me.pid)

        peer.stop_signal()
        started = time.monotonic()
        assert await me.receive(timeout=10) == (atoms.nodedown, atoms[peer.name])
        elapsed = time.monotonic() - started

    assert elapsed <= 4 * 1.25 + 1


@pytest.mark.parametrize("how", ["time.sleep", "PyDLL sleep"])
@pytest.mark.slow
async def test_a_blocked_interpreter_keeps_its_links(python_node: MakeNode, elixir_node: StartElixir, how: str) -> None:
    node, peer = await python_node(ticktime=8.0), await elixir_node(net_ticktime=8)
    await peer.call("monitor_nodes")
    async with node.mailbox("inbox") as me:
        assert await node.connect(peer.name)
        code = f"for n <- 1..350 do send({{:inbox, :'{node.name}'}}, n); Process.sleep(100) end; :done"
        sending = asyncio.create_task(peer.eval(code, timeout=60))
        await asyncio.sleep(0.5)

        if how == "time.sleep":
            time.sleep(40)  # noqa: ASYNC251  # a blocked interpreter is the point
        else:
            ctypes.PyDLL(None).sleep(40)

        assert [await me.receive(timeout=5) for _ in range(350)] == list(range(1, 351))
        assert await sending == ":done"
        assert await node.ping(peer.name)
    events = [peer.events.get_nowait() for _ in range(peer.events.qsize())]
    assert not [event for event in events if event.startswith("nodedown")]


async def test_global_is_usable_while_connected_and_while_disconnecting(
    python_node: MakeNode, elixir_node: StartElixir
) -> None:
    node, peer = await python_node(), await elixir_node()
    await peer.call("monitor_nodes")
    await node.connect(peer.name)
    await peer.event(f"nodeup {node.name}")
    timed = """
    measure = fn fun -> {micros, _} = :timer.tc(fun); micros end
    Enum.max([
      measure.(fn -> :global.sync() end),
      measure.(fn -> :global.trans({:lock, self()}, fn -> :ok end) end),
      measure.(fn -> :yes = :global.register_name(make_ref(), self()) end)
    ])
    """

    assert int(await peer.eval(timed, timeout=20)) < 1_000_000
    stopping = asyncio.create_task(node.stop())
    assert int(await peer.eval(timed, timeout=20)) < 1_000_000
    await stopping


@pytest.mark.slow
async def test_a_forked_child_holds_nothing_back(cluster: ErlangCluster, elixir_node: StartElixir) -> None:
    peer = await elixir_node()
    await peer.call("monitor_nodes")
    name = f"f{secrets.token_hex(5)}@127.0.0.1"
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        os._exit(_forking_parent(name, cluster, peer.name, writing))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        child = int(await asyncio.to_thread(pipe.readline))
    try:
        await peer.event(f"nodeup {name}", timeout=10)
        started = time.monotonic()
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)  # noqa: ASYNC222  # it is dead

        await peer.event(f"nodedown {name}", timeout=10)
        assert time.monotonic() - started < 1
        again = Node(name, cookie=cluster.cookie, epmd=EpmdConfig(port=cluster.epmd_port, start=False), zen=None)
        async with again:
            assert await again.connect(peer.name)
    finally:
        os.kill(child, signal.SIGKILL)


def _forking_parent(name: str, cluster: ErlangCluster, peer: str, writing: int) -> int:
    """Be a node that forks a child which only sleeps; tell the child's pid."""

    async def live() -> None:
        epmd = EpmdConfig(port=cluster.epmd_port, start=False)
        async with Node(name, cookie=cluster.cookie, epmd=epmd, zen=None) as node:
            assert await node.connect(peer)
            child = os.fork()
            if child == 0:
                time.sleep(60)  # noqa: ASYNC251  # a child that does nothing
                os._exit(0)
            os.write(writing, b"%d\n" % child)
            await asyncio.sleep(60)

    asyncio.run(live())
    return 0


async def test_a_childs_exit_leaves_the_links_alone(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node()
    await node.connect(peer.name)

    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)  # noqa: ASYNC222  # it ends at once
    await asyncio.sleep(0.2)

    assert await node.ping(peer.name)
    assert [str(one) for one in node.nodes()] == [peer.name]
