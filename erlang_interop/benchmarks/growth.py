"""Rows ``pause`` and ``growth``: what a million monitors do to our node.

``pause`` looks at the event loop while they fire, once because all their processes end and once because their node is
lost. ``growth`` looks at the processor time per monitor and per DOWN at each size, ours and the rival's in turn, in as
many rounds as there are pairs; its goal is about ours alone. Means are compared: a shared machine has phases in which
all costs half as much again. What takes long is a mean over many of them by itself, what is over soon meets one.
"""

from __future__ import annotations

import statistics
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.benchmarks.measure import Options, Result, Row, available, forget_peak, peak_resident, resident
from erlang_interop.benchmarks.monitors import TIMEOUT, WARM, Storm, Watched, balanced, collected, portions, start_local
from erlang_interop.benchmarks.rig import figures, unsubscribed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from erlang_interop.benchmarks.rig import Rig

PAUSE: Final = Row("pause", "longest pause of the event loop while monitors fire", "-", "ms", "<=", 50)
GROWTH: Final = Row(
    "growth", "growth of CPU per monitor and DOWN, largest / smallest", "ZenMonitor", "us each", "<=", 1.2
)
ROWS: Final = (PAUSE, GROWTH)

ROUND: Final = (1, 3, 10, 30, 1, 1, 1, 1, 1, 100, 1, 1, 1, 1, 1)
"""Sizes in hundredths of ``--size``, small ones around the largest.

Each comes first after all smaller ones: in that order chart and table show them.
"""
RIVAL_ROUNDS: Final = 2
"""At most: a million take the rival a minute, and no goal is about its growth."""
NEEDED: Final = 4000
"""Bytes per monitor that the watched node and the rival need; without them, the rival is left out at that size."""
VARIANTS: Final = {"every process ends": True, "the node is lost": False}
SMALL_HEAPS: Final = ("+hms", "20")
"""A million idle processes of the usual size take 2.7 GB."""


async def run(rig: Rig, options: Options, wanted: Collection[Row]) -> list[Result]:
    """Measure the rows of this module."""
    results = []
    if PAUSE in wanted:
        results.append(await _pause(rig, options.size))
    if GROWTH in wanted:
        results.append(await _growth(rig, options))
    return results


# ---- pause


async def _pause(rig: Rig, size: int) -> Result:
    details = {variant: await _firing(rig, size, ends=ends) for variant, ends in VARIANTS.items()}
    pauses = [found["pause_ms"] for found in details.values()]
    parts = [f"{variant}: {_pause_text(found)}" for variant, found in details.items()]
    return Result(
        row=PAUSE,
        ours=pauses,
        value=max(pauses),
        value_text=f"{max(pauses):.1f} ms",
        note=f"{size} monitors. " + ". ".join(parts),
        details=details,
    )


def _pause_text(found: Mapping[str, Any]) -> str:
    return (
        f"{found['pause_ms']:.1f} ms, {found['busy_ms']:.1f} ms working, garbage {found['garbage_ms']:.1f} ms, "
        f"at its peak {found['peak_mb']:.0f} MB (established {found['established_mb']:.0f} MB, "
        f"the targets alone {found['targets_mb']:.0f} MB)"
    )


async def _firing(rig: Rig, size: int, *, ends: bool) -> dict[str, float]:
    """Let ``size`` monitors fire; the longest pause of the loop and the memory meanwhile."""
    watched = Watched(await rig.elixir(*SMALL_HEAPS))
    local = await start_local(rig, "ours", watched)
    await watched.storm(local, WARM)
    first, end = await watched.offer(local, size)
    targets = resident(local.pid)
    await watched.watched_by(local, size, "keep")
    established = resident(local.pid)
    forget_peak(local.pid)
    await local.call("probe_start")
    if ends:
        # Not `Watched.ended`, which holds deaths back: here they may run ahead of demand, so that DOWNs wait.
        for start, until in portions(first, end):
            await watched.node.call("finish", start, until, timeout=TIMEOUT)
            await unsubscribed(watched.node, end - until, timeout=TIMEOUT)
    else:
        await watched.node.kill()
    await collected(local, size)
    probe, peak = await figures(local, "probe_stop"), peak_resident(local.pid)
    await balanced(local, size, ended=size if ends else 0)
    await local.kill()
    await watched.node.kill()
    return {
        "pause_ms": probe["late_us"] / 1000,
        "busy_ms": probe["busy_us"] / 1000,
        "garbage_ms": probe["garbage_us"] / 1000,
        "ticks": probe["ticks"],
        "targets_mb": targets / 1e6,
        "established_mb": established / 1e6,
        "peak_mb": peak / 1e6,
    }


# ---- growth


async def _growth(rig: Rig, options: Options) -> Result:
    rounds = {"ours": options.pairs} | ({"rival": min(options.pairs, RIVAL_ROUNDS)} if options.peers else {})
    watched = Watched(await rig.elixir(*SMALL_HEAPS))
    locals_ = {kind: await start_local(rig, kind, watched) for kind in rounds}
    for local in locals_.values():
        await watched.storm(local, WARM)
    storms: dict[str, dict[int, list[Storm]]] = {kind: {} for kind in rounds}
    for turn, percent in product(range(options.pairs), ROUND):
        count = options.size * percent // 100
        for kind, local in locals_.items():
            if turn < rounds[kind] and (kind == "ours" or available() > count * NEEDED):
                storms[kind].setdefault(count, []).append(await watched.storm(local, count))
    return grown(storms)


def grown(storms: Mapping[str, Mapping[int, Sequence[Storm]]]) -> Result:
    """Return the row of both sides' storms by their sizes."""
    factors = {kind: _factors(found) for kind, found in storms.items() if found}
    worst = max(factors["ours"].values())
    text = [f"{kind} {_sizes_text(found)}" for kind, found in storms.items()]
    return Result(
        row=GROWTH,
        ours=[_both(found) for found in storms["ours"].values()],
        rival=[_both(found) for found in storms.get("rival", {}).values()],
        value=worst,
        value_text=f"x {worst:.2f}",
        note=f"us per monitor + per DOWN, {'; '.join(text)}. Linear within 20 % is the goal",
        details={
            "factors": factors,
            "storms": {
                kind: {str(count): [_as_dict(storm) for storm in taken] for count, taken in found.items()}
                for kind, found in storms.items()
            },
        },
    )


def _factors(found: Mapping[int, Sequence[Storm]]) -> dict[str, float]:
    """By how much a monitor and a DOWN cost more at the largest size than at the smallest."""
    smallest, largest = found[min(found)], found[max(found)]
    return {name: _mean(largest, name) / _mean(smallest, name) for name in ("establish", "deliver")}


def _sizes_text(found: Mapping[int, Sequence[Storm]]) -> str:
    sizes = (f"{one}: {_mean(taken, 'establish'):.2f} + {_mean(taken, 'deliver'):.2f}" for one, taken in found.items())
    return ", ".join(sizes) or "left out: too little memory"


def _both(storms: Sequence[Storm]) -> float:
    return _mean(storms, "establish") + _mean(storms, "deliver")


def _mean(storms: Sequence[Storm], name: str) -> float:
    """Microseconds per monitor or per DOWN."""
    each: list[float] = [getattr(storm, name) for storm in storms]
    return statistics.fmean(each) * 1e6


def _as_dict(storm: Storm) -> dict[str, float]:
    return {
        "establish_us": storm.establish * 1e6,
        "deliver_us": storm.deliver * 1e6,
        "resident_before": storm.before,
        "establish_peak": storm.establish_peak,
        "deliver_peak": storm.deliver_peak,
    }
