"""Very many monitors, and monitors for a very long time.

Small here; ``PYZEN_SCALE_MONITORS=1000000`` and ``PYZEN_SOAK_SECONDS=1800`` make them large. Both print what they saw.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import random
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from erlang_interop.benchmarks.growth import SMALL_HEAPS
from erlang_interop.benchmarks.measure import forget_peak, peak_resident, resident
from erlang_interop.benchmarks.monitors import TIMEOUT, Watched, balanced, collected, start_local
from erlang_interop.benchmarks.rig import figures, open_rig
from pyzen import etf
from pyzen.actor.gen_server import GenServer
from pyzen.actor.signals import Exit2
from pyzen.config import EpmdConfig, ZenConfig
from pyzen.node.node import Node
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from erlang_interop.nodes import ElixirNode, ErlangCluster

    StartElixir = Callable[..., Awaitable[ElixirNode]]

MONITORS: Final = int(os.environ.get("PYZEN_SCALE_MONITORS", "50000"))
SOAK_SECONDS: Final = float(os.environ.get("PYZEN_SOAK_SECONDS", "20"))
MIB: Final = 1024 * 1024
ALLOWED_GROWTH: Final = 8 * MIB
"""Between the second and third tenth of the time and the second half of it."""
SERVING: Final = {"connectors", "remote_connectors", "batchers"}
TABLES: Final = (
    "for half <- [ZenMonitor.Proxy.Tables.Subscribers, ZenMonitor.Local.Tables.References], do: :ets.info(half, :size)"
)


async def emptied(sizes: Callable[[], Awaitable[dict[str, int]]]) -> None:
    """Wait until no table holds a row; what serves a node that is connected stays with it."""
    left: dict[str, int] = {}
    try:
        async with asyncio.timeout(30):
            while left := {name: size for name, size in (await sizes()).items() if size and name not in SERVING}:
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"rows are left: {left}")


@pytest.mark.slow
@pytest.mark.timeout(300 + MONITORS / 2000)
@pytest.mark.usefixtures("mix_fixture")
async def test_many_monitors_end_with_their_targets_and_with_their_node() -> None:
    ended = MONITORS // 10
    async with open_rig() as rig:
        watched = Watched(await rig.elixir(*SMALL_HEAPS))
        local = await start_local(rig, "ours", watched)
        first, _ = await watched.offer(local, MONITORS)
        before = resident(local.pid)
        await watched.watched_by(local, MONITORS, "keep")
        established = resident(local.pid)
        forget_peak(local.pid)
        await local.call("probe_start")

        await watched.node.call("finish", first, first + ended, timeout=TIMEOUT)
        await collected(local, ended)
        await watched.node.kill()
        await collected(local, MONITORS)

        probe, peak = await figures(local, "probe_stop"), peak_resident(local.pid)
        await balanced(local, MONITORS, ended=ended)
        await emptied(lambda: figures(local, "statistics"))
    print(
        f"{MONITORS} monitors, {ended} ended, then the node: longest pause {probe['late_us'] / 1000:.1f} ms "
        f"({probe['busy_us'] / 1000:.1f} ms working, garbage {probe['garbage_us'] / 1000:.1f} ms); memory "
        f"{before / MIB:.0f} MiB before, {established / MIB:.0f} established, {peak / MIB:.0f} at its peak"
    )


class Churn:
    """Our node and an Elixir node watch each other; targets, subscribers and monitors come and go.

    Attributes:
        rounds: How many there have been.
        downs: DOWNs that our subscribers have got.
    """

    def __init__(self, node: Node, peer: ElixirNode) -> None:
        self.node = node
        self.peer = peer
        self.rounds = 0
        self.downs = 0
        self._random = random.Random(1)
        self._spawned = 0

    async def round(self) -> None:
        """Make monitors in both directions and let each end in one of the ways there are."""
        self.rounds += 1
        ours = [self.node.spawn(Target) for _ in range(20)]
        theirs = await self._spawn(20)
        await self.peer.call("monitor", "zen", packed(ours))
        subscriber, doomed = (Subscriber(self) for _ in range(2))
        for one in (subscriber, doomed):
            self.node.runtime.spawn(one)
        references = [self.node.zen.monitor(pid, subscriber=subscriber.pid) for pid in theirs for _ in range(10)]
        for pid in theirs:
            self.node.zen.monitor(pid, subscriber=doomed.pid)
        await asyncio.sleep(self._random.choice((0.0, 0.05)))
        for ref in references[::2]:
            self.node.zen.demonitor(ref, flush=self._random.random() < 0.5)
        doomed.send_exit(doomed.pid, atoms.kill)
        await self.peer.call("kill", self._spawned - 20, self._spawned, "{shutdown,churn}")
        for pid in ours:
            self.node.runtime.route(Exit2(pid, subscriber.pid, atoms.churn))
        await subscriber.got(len(references) // 2)
        subscriber.send_exit(subscriber.pid, atoms.kill)
        ledger = await self.peer.await_downs(20, timeout=60)
        assert all(ledger[what] == 0 for what in ("duplicates", "late", "unknown", "wrong", "pending"))
        await self.peer.call("clear")

    async def _spawn(self, count: int) -> list[Pid]:
        await self.peer.call("spawn", count)
        self._spawned += count
        pids: list[Pid] = etf.decode(await self.peer.call_etf("pids", self._spawned - count, self._spawned))
        return pids


class Target(GenServer):
    """Waits for its end."""


class Subscriber(GenServer):
    """Counts DOWNs."""

    def __init__(self, churn: Churn) -> None:
        super().__init__()
        self._churn = churn
        self._count = 0
        self._awaited = asyncio.Event()

    def handle_info(self, message: Any) -> None:
        assert message[0] is atoms.DOWN
        self._churn.downs += 1
        self._count += 1
        self._awaited.set()

    async def got(self, count: int) -> None:
        """Wait for that many."""
        async with asyncio.timeout(60):
            while self._count < count:
                self._awaited.clear()
                await self._awaited.wait()
        assert self._count == count


def packed(targets: list[Pid]) -> str:
    """Return targets as the fixture reads them."""
    return base64.b64encode(etf.encode(targets)).decode()


def memory() -> int:
    """Return what this process holds, garbage collected."""
    gc.collect()
    return resident(os.getpid())


@pytest.mark.slow
@pytest.mark.timeout(SOAK_SECONDS + 120)
async def test_churn_leaves_no_rows_and_no_memory_behind(cluster: ErlangCluster, elixir_node: StartElixir) -> None:
    peer = await elixir_node()
    for setting in ("connector_sweep_interval", "batcher_sweep_interval", "demand_interval"):
        await peer.call("setting", setting, 20)
    config = ZenConfig(connector_sweep_interval=20, batcher_sweep_interval=20, demand_interval=20)
    epmd = EpmdConfig(port=cluster.epmd_port, start=False)
    async with Node(f"s{secrets.token_hex(5)}@127.0.0.1", cookie=cluster.cookie, epmd=epmd, zen=config) as node:
        churn = Churn(node, peer)
        await node.zen.connect(peer.name)
        start, samples = time.monotonic(), list[int]()
        while time.monotonic() - start < SOAK_SECONDS:
            await churn.round()
            if time.monotonic() - start > SOAK_SECONDS * (len(samples) + 1) / 10:
                samples.append(memory())

        async def sizes() -> dict[str, int]:
            return node.zen.statistics().sizes()

        await emptied(sizes)
        async with asyncio.timeout(60):
            while await peer.eval(TABLES) != "[0, 0]":
                await asyncio.sleep(0.05)
    text = ", ".join(f"{size / MIB:.1f}" for size in samples)
    print(f"{churn.rounds} rounds, {churn.downs} DOWNs in {SOAK_SECONDS:.0f} s; memory by tenths in MiB: {text}")
    assert max(samples[5:]) - min(samples[1:5]) < ALLOWED_GROWTH
