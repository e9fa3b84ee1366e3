"""Every process of our ZenMonitor ends while monitors of an Elixir node's processes live: one outcome each.

Small here; ``PYZEN_RESTART_MONITORS=1000000`` makes it large. It prints what it saw.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from erlang_interop.benchmarks.monitors import TIMEOUT, Watched, balanced, collected, start_local
from erlang_interop.benchmarks.rig import figures, open_rig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from erlang_interop.nodes import BeamNode

MONITORS: Final = int(os.environ.get("PYZEN_RESTART_MONITORS", "5000"))
ZEN: Final = "Elixir.ZenMonitor."
TOP: Final = ZEN + "Supervisor"
PARTS: Final = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("Local.Supervisor", "Local.Tables", "Local.Dispatcher", "Proxy.Supervisor", "Proxy.Tables", "Proxy")
] + ["Local", "Local.Connector", "Proxy.Batcher"]

pytestmark = [
    pytest.mark.timeout(300 + MONITORS / 1000),
    pytest.mark.usefixtures("mix_fixture"),
]


@asynccontextmanager
async def watching() -> AsyncIterator[tuple[Watched, BeamNode]]:
    """An Elixir node, and a node of ours that knows it."""
    async with open_rig() as rig:
        watched = Watched(await rig.elixir())
        yield watched, await start_local(rig, "ours", watched)


async def nothing_left(local: BeamNode) -> None:
    async with asyncio.timeout(TIMEOUT):
        while (await figures(local, "statistics"))["references"]:
            await asyncio.sleep(0.05)


async def settled(local: BeamNode) -> None:
    """Wait until all targets are watched once more: no instruction has been waiting for several sweeps."""
    quiet = 0
    async with asyncio.timeout(TIMEOUT):
        while quiet < 5:
            await asyncio.sleep(0.1)
            quiet = 0 if (await figures(local, "statistics"))["pending"] else quiet + 1


@pytest.mark.parametrize("part", PARTS)
async def test_no_outcome_is_lost_or_made_up_when_a_part_ends(part: str) -> None:
    """All targets end afterwards: each monitor has its DOWN, with the reason of its target."""
    async with watching() as (watched, local):
        first, end = await watched.offer(local, MONITORS)
        await watched.watched_by(local, MONITORS, "keep")
        start = time.monotonic()
        await local.call("crash", ZEN + part)
        await settled(local)
        await watched.ended(local, first, end)
        seconds = time.monotonic() - start

        await balanced(local, MONITORS)
        await nothing_left(local)
    print(f"{part} was killed: {MONITORS} of {MONITORS} monitors had the DOWN of their target, in {seconds:.1f} s")


@pytest.mark.parametrize("part", PARTS)
async def test_no_outcome_is_lost_or_made_up_when_a_part_ends_amid_deaths(part: str) -> None:
    """A target that has ended while nobody watched it is told with ``noproc``."""
    async with watching() as (watched, local):
        first, end = await watched.offer(local, MONITORS)
        await watched.watched_by(local, MONITORS, "keep")
        finishing = asyncio.create_task(watched.node.call("finish", first, end, timeout=TIMEOUT))
        await collected(local, MONITORS // 10)
        await local.call("crash", ZEN + part)
        await finishing
        await collected(local, MONITORS)

        books = await figures(local, "collected", timeout=TIMEOUT)
        await nothing_left(local)
    late = books.pop("wrong")
    assert books == {"monitors": MONITORS, "downs": MONITORS, "missing": 0, "strange": 0}
    print(f"{part} was killed amid deaths: {MONITORS} of {MONITORS} monitors had one DOWN, {late} of them noproc")


async def test_end_of_everything_fires_every_monitor_once() -> None:
    async with watching() as (watched, local):
        await watched.offer(local, MONITORS)
        await watched.watched_by(local, MONITORS, "keep")
        start = time.monotonic()
        await local.call("crash", TOP)
        await collected(local, MONITORS)
        seconds = time.monotonic() - start

        await balanced(local, MONITORS, ended=0)
        await nothing_left(local)
    print(f"all of ZenMonitor was killed: {MONITORS} of {MONITORS} monitors fired nodedown, in {seconds:.1f} s")


@pytest.mark.parametrize("half", ["Local.Supervisor", "Proxy.Supervisor"])
async def test_half_that_an_operator_stops_and_starts_again_loses_nothing(half: str) -> None:
    async with watching() as (watched, local):
        first, end = await watched.offer(local, MONITORS)
        await watched.watched_by(local, MONITORS, "keep")
        target = f'{{ZenMonitor.Supervisor, :"{local.name}"}}, ZenMonitor.{half}'
        assert await watched.node.eval(f"Supervisor.terminate_child({target})") == ":ok"
        assert (await watched.node.eval(f"Supervisor.restart_child({target})")).startswith("{:ok, #PID<")
        await settled(local)
        await watched.ended(local, first, end)

        await balanced(local, MONITORS)
        await nothing_left(local)
    print(f"{half} was stopped and started from iex: {MONITORS} of {MONITORS} monitors had the DOWN of their target")
