"""ZenMonitor: an Elixir node and we watch each other's processes."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest

from erlang_interop.conformance.actors import SOON, Listing, StartElixir, StartOurs, StartTheirs, idle
from pyzen import etf
from pyzen.config import ZenConfig
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from erlang_interop.nodes import ElixirNode
    from pyzen.node.node import Node

FAST = ZenConfig(demand_interval=10, demand_amount=5000, connector_sweep_interval=10, batcher_sweep_interval=10)
TAKEN_FOR_DEAD = "a ZenMonitor of Elixir takes processes of hidden nodes for dead: see the case of that"
HIDDEN_ONLY = "what hidden nodes only meet"
SUBSCRIPTIONS = ":ets.info(ZenMonitor.Proxy.Tables.Subscribers, :size)"


@pytest.fixture
async def node(start_ours: StartOurs) -> Node:
    return await start_ours(zen=FAST)


async def spawn(peer: ElixirNode, count: int) -> list[Pid]:
    await peer.call("spawn", count)
    pids: list[Pid] = etf.decode(await peer.call_etf("pids", 0, count))
    return pids


async def subscribed(peer: ElixirNode, count: int) -> None:
    """Wait until the peer has taken all subscriptions: a death before that is reported as ``noproc``."""
    async with asyncio.timeout(SOON):
        while int(await peer.eval(SUBSCRIPTIONS)) < count:
            await asyncio.sleep(0.02)


async def downs(me: Any, count: int) -> dict[Any, tuple[Any, Any]]:
    """Return object and reason of the next DOWNs, by reference."""
    found: dict[Any, tuple[Any, Any]] = {}
    for _ in range(count):
        match await me.receive(timeout=SOON):
            case (atoms.DOWN, ref, atoms.process, who, (atoms.zen_monitor, reason)):
                assert ref not in found
                found[ref] = (who, reason)
    return found


async def monitored_by(peer: ElixirNode, pids: list[Pid]) -> int:
    """Let the peer's ledger watch processes of ours; returns how many it has watched so far."""
    return int(await peer.call("monitor", "zen", base64.b64encode(etf.encode(pids)).decode()))


async def test_an_elixir_node_is_compatible_both_ways(node: Node, elixir_node: StartElixir, listing: Listing) -> None:
    peer = await elixir_node()

    assert await node.zen.connect(peer.name) == "compatible"
    assert await peer.call("connect", node.name) == "true"
    # A ZenMonitor of Elixir does not look at hidden nodes.
    assert await peer.call("zen_connect", node.name) == (":compatible" if listing == "visible" else ":incompatible")


async def test_a_plain_erlang_node_is_incompatible(node: Node, start_theirs: StartTheirs) -> None:
    peer = await start_theirs()

    assert await node.zen.connect(peer.name) == "incompatible"


async def test_we_watch_their_processes(node: Node, elixir_node: StartElixir) -> None:
    peer = await elixir_node()
    pids = await spawn(peer, 1000)
    async with node.mailbox() as me:
        refs = {node.zen.monitor(pid): pid for pid in pids}
        await subscribed(peer, 1000)

        await peer.call("kill", 0, 1000, "{some,[reason]}")

        found = await downs(me, 1000)
        assert {ref: who for ref, (who, _) in found.items()} == refs
        assert all(reason == (atoms.some, [atoms.reason]) for _, reason in found.values())


async def test_we_watch_a_name_a_dead_one_and_take_one_back(node: Node, elixir_node: StartElixir) -> None:
    peer = await elixir_node()
    await peer.call("name", "there")
    dead, living = await spawn(peer, 2)
    await peer.call("stop", 0, 1)
    async with node.mailbox() as me:
        by_name = node.zen.monitor(("there", peer.name))
        gone = node.zen.monitor(dead)
        kept = node.zen.monitor(living)
        assert await downs(me, 1) == {gone: (dead, atoms.noproc)}
        await subscribed(peer, 2)

        assert node.zen.demonitor(kept, flush=True)
        await peer.call("kill", 1, 2, "unseen")
        await peer.call("kill_name", "there", "{a,[b]}")

        assert await downs(me, 1) == {by_name: ((atoms.there, Atom(peer.name)), (atoms.a, [atoms.b]))}
        with pytest.raises(TimeoutError):
            await me.receive(timeout=0.3)


async def test_we_lose_them(node: Node, elixir_node: StartElixir) -> None:
    peer = await elixir_node()
    pids = await spawn(peer, 500)
    async with node.mailbox() as me:
        refs = {node.zen.monitor(pid): pid for pid in pids}
        await subscribed(peer, 500)

        await peer.kill()

        assert await downs(me, 500) == {ref: (pid, atoms.nodedown) for ref, pid in refs.items()}


async def test_their_proxy_ends_and_comes_again(node: Node, elixir_node: StartElixir) -> None:
    peer = await elixir_node()
    (pid,) = await spawn(peer, 1)
    async with node.mailbox() as me:
        ref = node.zen.monitor(pid)
        await subscribed(peer, 1)

        await peer.eval("Process.exit(Process.whereis(ZenMonitor.Proxy), :kill)")
        assert await downs(me, 1) == {ref: (pid, atoms.nodedown)}

        async with asyncio.timeout(SOON):
            while await node.zen.connect(peer.name) != "compatible":
                await asyncio.sleep(0.05)


@pytest.mark.not_applicable("hidden", TAKEN_FOR_DEAD)
async def test_they_watch_our_processes(node: Node, elixir_node: StartElixir) -> None:
    peer = await elixir_node()
    pids = [node.spawn(idle) for _ in range(300)]
    assert await peer.call("connect", node.name) == "true"
    assert await peer.call("zen_connect", node.name) == ":compatible"
    assert await monitored_by(peer, pids) == 300
    async with asyncio.timeout(SOON):
        while node.zen.statistics().subscriptions < 300:
            await asyncio.sleep(0.02)

    async with node.mailbox() as me:
        for pid in pids:
            me.send_exit(pid, atoms.bye)

    figures = await peer.await_downs(300, timeout=SOON)
    assert (figures["downs"], figures["pending"], figures["duplicates"], figures["wrong"]) == (300, 0, 0, 0)
    assert "bye" in await peer.call("reasons")


@pytest.mark.not_applicable("tcp", HIDDEN_ONLY)
@pytest.mark.not_applicable("tls", HIDDEN_ONLY)
async def test_our_processes_are_down_to_them(node: Node, elixir_node: StartElixir) -> None:
    peer = await elixir_node()
    pids = [node.spawn(idle) for _ in range(10)]
    assert await node.zen.connect(peer.name) == "compatible"

    assert await monitored_by(peer, pids) == 10

    figures = await peer.await_downs(10, timeout=SOON)
    assert (figures["downs"], figures["pending"]) == (10, 0)
    assert "nodedown" in await peer.call("reasons")
    assert node.zen.statistics().subscriptions == 0


@pytest.mark.not_applicable("hidden", TAKEN_FOR_DEAD)
async def test_they_lose_us(node: Node, elixir_node: StartElixir) -> None:
    peer = await elixir_node()
    pids = [node.spawn(idle) for _ in range(10)]
    assert await peer.call("connect", node.name) == "true"
    assert await peer.call("zen_connect", node.name) == ":compatible"
    assert await monitored_by(peer, pids) == 10

    node.disconnect(peer.name)

    figures = await peer.await_downs(10, timeout=SOON)
    assert (figures["downs"], figures["pending"]) == (10, 0)
    assert "nodedown" in await peer.call("reasons")
