"""The Local half of our ZenMonitor against the Proxy of a real Elixir node, with a ledger."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pyzen import etf
from pyzen.actor.gen_server import GenServer
from pyzen.config import ZenConfig
from pyzen.terms import Pid, Reference, atoms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from erlang_interop.nodes import ElixirNode, ErlNode
    from pyzen.node.node import Node

    StartElixir = Callable[..., Awaitable[ElixirNode]]


class MakeNode(Protocol):
    async def __call__(self, **options: Any) -> Node: ...


class Ledger(GenServer):
    """Takes DOWNs and keeps the books."""

    def init(self) -> None:
        self.open: dict[Reference, Pid] = {}
        self.fired: Counter[Reference] = Counter()
        self.reasons: dict[Pid, Any] = {}
        self.wrong: list[Any] = []

    def handle_info(self, message: Any) -> None:
        match message:
            case (atoms.DOWN, ref, atoms.process, pid, (atoms.zen_monitor, reason)) if self.open.get(ref) == pid:
                self.fired[ref] += 1
                self.reasons[pid] = reason
            case _:
                self.wrong.append(message)

    async def until(self, count: int, *, timeout: float) -> None:  # seconds, for the test's reader
        async with asyncio.timeout(timeout):
            while len(self.fired) < count:
                await asyncio.sleep(0.05)


async def spawn(peer: ElixirNode, count: int) -> list[Pid]:
    """Start ``count`` idle processes there."""
    await peer.call("spawn", count)
    pids: list[Pid] = etf.decode(await peer.call_etf("pids", 0, count))
    return pids


async def subscribed(peer: ElixirNode, count: int) -> None:
    """Wait until the peer's Proxy has taken all subscriptions: a death before that is reported as ``noproc``."""
    async with asyncio.timeout(60):
        while int(await peer.eval(":ets.info(ZenMonitor.Proxy.Tables.Subscribers, :size)")) < count:
            await asyncio.sleep(0.05)


async def start_ledger(node: Node) -> Ledger:
    ledger = node.runtime.process(await Ledger.start(node))
    assert isinstance(ledger, Ledger)
    return ledger


def as_delivered(reason: Any) -> Any:
    """Return one of the fixture's reasons as its Truncator passes it on."""
    return reason[:1021] + b"..." if isinstance(reason, bytes) and len(reason) > 1024 else reason


FAST = ZenConfig(demand_interval=10, demand_amount=5000, connector_sweep_interval=10, batcher_sweep_interval=10)


async def test_compatibility_of_an_elixir_node(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node()

    assert node.zen.compatibility_for_node(peer.name) == "incompatible"
    assert node.zen.cached_compatibility(peer.name) == "miss"

    assert await node.zen.connect(peer.name) == "compatible"
    assert node.zen.cached_compatibility(peer.name) == "compatible"


async def test_a_node_without_zen_monitor_is_incompatible(
    python_node: MakeNode, erl_node: Callable[..., Awaitable[Any]]
) -> None:
    node, peer = await python_node(), await erl_node()

    assert await node.zen.connect(peer.name) == "incompatible"
    assert node.zen.last_loss(peer.name) == "no proxy"


async def test_fault_13_a_node_without_zen_monitor_is_watched_by_ordinary_monitors(
    python_node: MakeNode, erl_node: Callable[..., Awaitable[ErlNode]]
) -> None:
    node = await python_node(zen=ZenConfig(incompatible="erts", demand_interval=10, connector_sweep_interval=10))
    peer = await erl_node()
    code = "[spawn(fun() -> receive R -> exit(R) end end) || _ <- lists:seq(1, 3)]"
    dying, given_up, living = etf.decode(await peer.call_etf("eval64", b64encode(code.encode()).decode()))
    async with node.mailbox() as me:
        refs = [node.zen.monitor(pid) for pid in (dying, given_up, living)]
        await monitored_by_erts(peer, dying, 1)
        await monitored_by_erts(peer, given_up, 1)
        node.zen.demonitor(refs[1])
        await monitored_by_erts(peer, given_up, 0)

        me.send(dying, (atoms.reason, [1, 2, 3, 4, 5]))
        reason = (atoms.zen_monitor, (atoms.reason, atoms.truncated))
        assert await me.receive(timeout=10) == (atoms.DOWN, refs[0], atoms.process, dying, reason)
        await peer.kill()
        nodedown = (atoms.zen_monitor, atoms.nodedown)
        assert await me.receive(timeout=10) == (atoms.DOWN, refs[2], atoms.process, living, nodedown)

        assert node.zen.last_loss(peer.name) == "lost"
        sizes = node.zen.statistics().sizes()
        assert (sizes["references"], sizes["erts_monitors"]) == (0, 0)


async def monitored_by_erts(peer: ErlNode, pid: Pid, count: int) -> None:
    """Wait until a process there has so many monitors."""
    async with asyncio.timeout(20):
        while len((await peer.run("erlang", "process_info", pid, atoms.monitored_by))[1]) != count:
            await asyncio.sleep(0.02)


async def test_names_dead_targets_and_demonitors(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(zen=FAST), await elixir_node()
    await peer.call("name", "there")
    dead, living = await spawn(peer, 2)
    await peer.call("stop", 0, 1)
    async with node.mailbox() as me:
        by_name = node.zen.monitor(("there", peer.name))
        gone = node.zen.monitor(dead)
        kept = node.zen.monitor(living)
        assert node.zen.monitors(living, me.pid) == [kept]
        down = await me.receive(timeout=10)
        assert down == (atoms.DOWN, gone, atoms.process, dead, (atoms.zen_monitor, atoms.noproc))
        await subscribed(peer, 2)

        assert node.zen.demonitor(kept, flush=True)
        await peer.call("kill", 1, 2, "killed_in_silence")
        await peer.call("kill_name", "there", "{a,[b]}")

        object_ = (atoms.there, atoms[peer.name])
        reason = (atoms.zen_monitor, (atoms.a, [atoms.b]))
        assert await me.receive(timeout=10) == (atoms.DOWN, by_name, atoms.process, object_, reason)
        with pytest.raises(TimeoutError):
            await me.receive(timeout=0.3)


async def test_end_of_the_proxy_fires_nodedown_and_the_node_recovers(
    python_node: MakeNode, elixir_node: StartElixir
) -> None:
    node, peer = await python_node(zen=FAST), await elixir_node()
    (pid,) = await spawn(peer, 1)
    async with node.mailbox() as me:
        ref = node.zen.monitor(pid)
        await subscribed(peer, 1)

        await peer.eval("Process.exit(Process.whereis(ZenMonitor.Proxy), :kill)")

        expected = (atoms.DOWN, ref, atoms.process, pid, (atoms.zen_monitor, atoms.nodedown))
        assert await me.receive(timeout=10) == expected
        assert node.zen.last_loss(peer.name) == "proxy ended"
        async with asyncio.timeout(15):
            while node.zen.compatibility_for_node(peer.name) != "compatible":
                await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_hundred_thousand_monitors_have_one_outcome_each(
    python_node: MakeNode, elixir_node: StartElixir
) -> None:
    count, half = 100_000, 50_000
    node, peer = await python_node(zen=FAST), await elixir_node()
    ledger = await start_ledger(node)
    pids = await spawn(peer, count)
    for position, pid in enumerate(pids):
        ledger.open[node.zen.monitor(pid, subscriber=ledger.pid)] = pid
        if position % 1000 == 0:
            await asyncio.sleep(0)
    await subscribed(peer, count)

    await peer.call("kill", 0, half, "mixed")
    await ledger.until(half, timeout=60)
    expected: list[Any] = etf.decode(
        await peer.call_etf("eval", f"Enum.map(0..{half - 1}, &Fixture.Reasons.mixed/1)", timeout=60)
    )
    alive = set(pids[half:])
    assert len(ledger.reasons) == half
    assert not alive & ledger.reasons.keys()
    assert [ledger.reasons[pid] for pid in pids[:half]] == [as_delivered(reason) for reason in expected]

    await peer.kill()
    await ledger.until(count, timeout=60)
    await asyncio.sleep(0.5)

    assert ledger.wrong == []
    assert set(ledger.fired.values()) == {1}
    assert ledger.fired.keys() == ledger.open.keys()
    assert all(ledger.reasons[pid] is atoms.nodedown for pid in alive)
    sizes = node.zen.statistics()
    assert (sizes.live, sizes.fired) == (0, 0)
