"""Row ``idle``: what our node costs while it has much and nothing happens. No rival: a goal in numbers.

It has 100 links: one to an Elixir node, 100 000 processes of which one subscriber monitors through ZenMonitor, and 99
to nodes of our own, which share one other process of the operating system: real nodes by the hundred do not fit into
a small machine. On the wire they do the same, for both ends send a tick in every quarter of the default net_ticktime.
Counted is the processor time of our process over windows of such a quarter, so that every link has its tick in each.

Afterwards all links have to be up still and all monitors to stand; then the processes end, and each DOWN has to come.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Final

from erlang_interop.benchmarks.measure import Options, Result, Row, check, cpu_seconds
from erlang_interop.benchmarks.monitors import TIMEOUT, Watched, balanced, start_local
from erlang_interop.benchmarks.rig import figures, subscribed

if TYPE_CHECKING:
    from collections.abc import Collection

    from erlang_interop.benchmarks.rig import Rig
    from erlang_interop.nodes import BeamNode

LINKS: Final = 100
IDLE: Final = Row("idle", "idle: 100 quiet links and 100 000 quiet monitors", "-", "% of a core", "<=", 1)
ROWS: Final = (IDLE,)

WINDOW: Final = 15.0
"""Seconds: a quarter of the net_ticktime."""
SETTLE: Final = 2.0
"""Seconds before the first window: what establishing has left to do is no idle work."""


async def run(rig: Rig, options: Options, wanted: Collection[Row]) -> list[Result]:
    """Measure the row of this module."""
    del wanted
    watched = Watched(await rig.elixir())
    local = await start_local(rig, "ours", watched)
    await linked(rig, local, LINKS - 1)
    first, end = await watched.offer(local, options.monitors)
    await watched.watched_by(local, options.monitors, "keep")
    await asyncio.sleep(SETTLE)
    shares = [await share(local) for _ in range(options.pairs)]
    await quiet(local, watched, options.monitors)
    await watched.ended(local, first, end)
    await balanced(local, options.monitors)
    used = statistics.fmean(shares)
    return [
        Result(
            row=IDLE,
            ours=shares,
            value=used,
            value_text=f"{used:.2f} %",
            note=f"{options.monitors} monitors, {LINKS} links, {len(shares)} windows of {WINDOW:.0f} s",
        )
    ]


async def linked(rig: Rig, local: BeamNode, count: int) -> None:
    """Link ``local`` with that many nodes, which are started for it."""
    for name in await rig.crowd(count):
        check(await local.call("connect", name) == "true", f"{local.name} does not reach {name}")


async def share(local: BeamNode) -> float:
    """Return how many hundredths of a core a node uses in one window."""
    used, began = cpu_seconds(local.pid), time.monotonic()
    await asyncio.sleep(WINDOW)
    return (cpu_seconds(local.pid) - used) / (time.monotonic() - began) * 100


async def quiet(local: BeamNode, watched: Watched, count: int) -> None:
    """Check that all links are up, all monitors stand, and no DOWN has come."""
    links = int(await local.call("links"))
    check(links == LINKS, f"{local.name} has {links} links instead of {LINKS}")
    await subscribed(watched.node, count, timeout=TIMEOUT)
    live = (await figures(local, "statistics"))["live"]
    check(live == count, f"{local.name} has {live} monitors instead of {count}")
    collected = await figures(local, "collected", timeout=TIMEOUT)
    check(collected["downs"] == 0, f"DOWNs have come: {collected}")
