"""Rows ``establish``, ``deliver`` and ``memory``: one subscriber monitors the idle processes of an Elixir node.

Local is our node or an Elixir node with ZenMonitor; the watched node is the same for both. Counted is the processor
time of local's operating system process alone: from the first `monitor` until the watched node has every subscription,
and from the first death until the subscriber has every DOWN. Both run with the default settings but for the demand,
which is raised on both, so that less time is spent waiting. The books are made after the clock has stopped.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from erlang_interop.benchmarks.measure import (
    Options,
    Result,
    Row,
    check,
    cpu_seconds,
    forget_peak,
    median_mb,
    peak_resident,
    recycle,
    resident,
)
from erlang_interop.benchmarks.rig import NO_SPINNING, figures, introduce, subscribed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from erlang_interop.benchmarks.rig import Rig
    from erlang_interop.nodes import BeamNode, ElixirNode

ESTABLISH: Final = Row("establish", "establish monitors: CPU of the local node", "ZenMonitor", "us each", "<=", 0.5)
DELIVER: Final = Row("deliver", "deliver DOWNs: CPU of the local node", "ZenMonitor", "us each", "<=", 0.5)
MEMORY: Final = Row("memory", "memory per established monitor", "ZenMonitor", "bytes", "<=", 1.0)
ROWS: Final = (ESTABLISH, DELIVER, MEMORY)

DEMAND: Final = 5000
"""DOWNs in one tick of the Dispatcher, on both sides."""
TIMEOUT: Final = 300.0
WARM: Final = 2000
GROWS: Final = 1000
"""Bytes per monitor that local may grow by, on either side."""
PORTION: Final = 10_000
"""Targets that end at once, at every size.

All at once a million fill the mailbox of the watched Proxy, whose garbage collections walk through that, supposedly: at
times it deals with 2000 deaths a second instead of 100 000. Local would get summaries of some hundred certificates
instead of 5000, and each summary costs: what differs between sizes would be the watched node, not local.
"""
BEHIND: Final = 2 * PORTION
"""DOWNs that may be under way when the next targets end, so that summaries and ticks are full."""
MEMORY_SAMPLES: Final = 3
"""At most: each needs new nodes."""


@dataclass(frozen=True, slots=True)
class Storm:
    """What establishing and delivering took of local.

    Attributes:
        establish: Seconds of processor time per monitor.
        deliver: Seconds of processor time per DOWN.
        before: Bytes in memory before, targets included.
        establish_peak: The most bytes that were in memory until all monitors were established.
        deliver_peak: And from then until all DOWNs were there.
    """

    establish: float
    deliver: float
    before: int
    establish_peak: int
    deliver_peak: int


class Watched:
    """An Elixir node whose processes are watched.

    Attributes:
        node: The node.
        count: How many processes it has started.
    """

    def __init__(self, node: ElixirNode) -> None:
        self.node = node
        self.count = 0

    async def offer(self, local: BeamNode, count: int) -> tuple[int, int]:
        """Start processes and let ``local`` know them; their range."""
        first, self.count = self.count, self.count + count
        await self.node.call("spawn", count, timeout=TIMEOUT)
        await local.call("targets", self.node.name, first, self.count, timeout=TIMEOUT)
        await local.call("tidy", timeout=TIMEOUT)
        return first, self.count

    async def watched_by(self, local: BeamNode, count: int, references: str) -> float:
        """Let ``local`` monitor what it was offered; processor seconds until all are established."""
        before = cpu_seconds(local.pid)
        made = await local.call("collect", references, timeout=TIMEOUT)
        await subscribed(self.node, count, timeout=TIMEOUT)
        check(int(made) == count, f"{local.name} made {made} monitors instead of {count}")
        return cpu_seconds(local.pid) - before

    async def ended(self, local: BeamNode, first: int, end: int) -> float:
        """Let targets end; processor seconds until ``local`` has every DOWN."""
        before = cpu_seconds(local.pid)
        for start, until in portions(first, end):
            recycle((until - start) * GROWS)
            await self.node.call("finish", start, until, timeout=TIMEOUT)
            await collected(local, max(until - first - BEHIND, 0))
        await collected(local, end - first)
        return cpu_seconds(local.pid) - before

    async def storm(self, local: BeamNode, count: int) -> Storm:
        """Establish that many monitors, let all targets end, check the books."""
        first, end = await self.offer(local, count)
        recycle(count * GROWS)
        before = resident(local.pid)
        forget_peak(local.pid)
        established = await self.watched_by(local, count, "keep")
        establish_peak = peak_resident(local.pid)
        forget_peak(local.pid)
        delivered = await self.ended(local, first, end)
        deliver_peak = peak_resident(local.pid)
        await balanced(local, count)
        return Storm(established / count, delivered / count, before, establish_peak, deliver_peak)


def portions(first: int, end: int) -> Iterator[tuple[int, int]]:
    """Divide a range of targets into those that end at once."""
    return ((start, min(start + PORTION, end)) for start in range(first, end, PORTION))


async def collected(local: BeamNode, count: int) -> None:
    """Wait until ``local`` has that many DOWNs."""
    await local.call("await_collected", count, round(TIMEOUT * 1000), timeout=TIMEOUT)


async def balanced(local: BeamNode, count: int, *, ended: int | None = None) -> None:
    """Check that each monitor had its one DOWN, with target and reason: ``nodedown`` for all after ``ended``."""
    books = await figures(local, "collected", *([] if ended is None else [ended]), timeout=TIMEOUT)
    expected = {"monitors": count, "downs": count, "missing": 0, "strange": 0, "wrong": 0}
    check(books == expected, f"the books of {local.name} do not balance: {books}")


async def start_local(rig: Rig, kind: str, watched: Watched) -> BeamNode:
    """Start our node or the rival, ready to monitor."""
    local = await (rig.pyzen() if kind == "ours" else rig.elixir(*NO_SPINNING))
    await local.call("setting", "demand_amount", DEMAND)
    await introduce(local, watched.node)
    return local


async def run(rig: Rig, options: Options, wanted: Collection[Row]) -> list[Result]:
    """Measure the rows of this module."""
    results: list[Result] = []
    if ESTABLISH in wanted or DELIVER in wanted:
        results += [result for result in await _storms(rig, options) if result.row in wanted]
    if MEMORY in wanted:
        results.append(await _memory(rig, options))
    return results


async def _storms(rig: Rig, options: Options) -> list[Result]:
    watched = Watched(await rig.elixir())
    locals_ = {kind: await start_local(rig, kind, watched) for kind in ("ours", "rival")}
    storms: dict[str, list[Storm]] = {"ours": [], "rival": []}
    for local in locals_.values():
        await watched.storm(local, WARM)
    for _ in range(options.pairs):
        for kind, local in locals_.items():
            storms[kind].append(await watched.storm(local, options.monitors))

    def result(row: Row, name: str) -> Result:
        ours, rival = ([getattr(storm, name) * 1e6 for storm in storms[kind]] for kind in ("ours", "rival"))
        peaks = {kind: [getattr(storm, f"{name}_peak") for storm in storms[kind]] for kind in storms}
        note = f"{options.monitors} of them; {peak_note(peaks)}"
        return Result(row=row, ours=ours, rival=rival, note=note, details={"peak_resident": peaks})

    return [result(ESTABLISH, "establish"), result(DELIVER, "deliver")]


def peak_note(peaks: Mapping[str, Sequence[float]]) -> str:
    """Say how much memory both sides had at their peak, references and targets of the subscriber included."""
    return f"resident at the peak: ours {median_mb(peaks['ours'])}, rival {median_mb(peaks['rival'])}"


# ---- memory


async def _memory(rig: Rig, options: Options) -> Result:
    count, samples = options.monitors, min(options.pairs, MEMORY_SAMPLES)
    grown: dict[str, list[dict[str, float]]] = {"ours": [], "rival": []}
    for _ in range(samples):
        for kind, found in grown.items():
            found.append(await _grown(rig, kind, count))
    peaks = {kind: [one["peak"] for one in found] for kind, found in grown.items()}
    rival_resident = [one["resident"] for one in grown["rival"]]
    note = (
        f"{count} of them; resident set of ours, the VM's own count of the rival "
        f"(its resident set: {statistics.median(rival_resident):.0f} bytes); {peak_note(peaks)}"
    )
    return Result(
        row=MEMORY,
        ours=[one["resident"] for one in grown["ours"]],
        rival=[one["total"] for one in grown["rival"]],
        note=note,
        details={"rival_resident": rival_resident, "monitors": count, "peak_resident": peaks},
    )


async def _grown(rig: Rig, kind: str, count: int) -> dict[str, float]:
    """By how many bytes per monitor a new node grows, and its ``peak`` in bytes.

    References and targets are the subscriber's own business.
    """
    watched = Watched(await rig.elixir())
    local = await start_local(rig, kind, watched)
    await watched.offer(local, count)
    before = await _memory_of(local, kind)
    forget_peak(local.pid)
    await watched.watched_by(local, count, "drop")
    peak = peak_resident(local.pid)
    await local.call("tidy", timeout=TIMEOUT)
    after = await _memory_of(local, kind)
    await local.kill()
    await watched.node.kill()
    return {name: (after[name] - before[name]) / count for name in after} | {"peak": peak}


async def _memory_of(local: BeamNode, kind: str) -> dict[str, int]:
    if kind == "ours":
        return {"resident": resident(local.pid)}
    figures_ = await figures(local, "memory")
    return {"resident": figures_["rss"], "total": figures_["total"]}
