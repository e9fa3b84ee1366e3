"""Rows ``in``, ``out`` and ``call``: small messages and calls between two nodes.

An Elixir node talks to a process of ours and to the like process of another Elixir node. A rate counts from the first
message to the last, at the receiver, which checks that none is missing or out of order.

Where nodes run is the operating system's choice: a call between two BEAM nodes takes 50 us when both are kept on one
processor, and left to themselves now 50, now 85. Where that must have no say (`Options.one_processor`), all share one.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Final

from erlang_interop.benchmarks.measure import Options, Result, Row, check, interleave, keep_on_one_processor
from erlang_interop.benchmarks.rig import figures, introduce

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from erlang_interop.benchmarks.rig import Rig
    from erlang_interop.nodes import BeamNode

IN: Final = Row("in", "small messages into a sink, Elixir -> Python", "Elixir -> Elixir", "messages/s", ">=", 1.0)
OUT: Final = Row("out", "small messages out, Python -> Elixir", "Elixir -> Elixir", "messages/s", ">=", 1.0)
CALL: Final = Row("call", "GenServer call round trip, Elixir -> Python", "Elixir -> Elixir", "us", "<=", 1.0)
ROWS: Final = (IN, OUT, CALL)

SIZE: Final = 20
"""Bytes of the binary in a message."""
TIMEOUT: Final = 120.0

_names = itertools.count(1)


async def run(rig: Rig, options: Options, wanted: Collection[Row]) -> list[Result]:
    """Measure the rows of this module."""
    elixir, rival, ours = await rig.elixir(), await rig.elixir(), await rig.pyzen()
    await introduce(ours, elixir)
    await introduce(rival, elixir)
    if options.one_processor:
        for node in (elixir, rival, ours):
            keep_on_one_processor(node.pid)
    measured: dict[Row, tuple[Callable[[], Awaitable[float]], Callable[[], Awaitable[float]]]] = {
        IN: (
            lambda: rate(elixir, ours, options.messages),
            lambda: rate(elixir, rival, options.messages),
        ),
        OUT: (
            lambda: rate(ours, elixir, options.messages),
            lambda: rate(rival, elixir, options.messages),
        ),
        CALL: (
            lambda: round_trip(elixir, ours, options.calls),
            lambda: round_trip(elixir, rival, options.calls),
        ),
    }
    results = []
    for row in (row for row in ROWS if row in wanted):
        ours_once, rival_once = measured[row]
        await ours_once(), await rival_once()  # warm
        our_samples, rival_samples = await interleave(options.pairs, ours_once, rival_once)
        results.append(Result(row=row, ours=our_samples, rival=rival_samples))
    return results


async def rate(sender: BeamNode, receiver: BeamNode, count: int) -> float:
    """Return how many messages a second arrive of a burst."""
    name = f"sink{next(_names)}"
    await receiver.call("sink", name)
    # Sent first, so that waiting for it costs the receiver nothing while messages arrive.
    arrived = asyncio.create_task(figures(receiver, "await", name, count, round(TIMEOUT * 1000), timeout=TIMEOUT))
    await sender.call("burst", name, receiver.name, count, SIZE, timeout=TIMEOUT)
    counter = await arrived
    check(counter["messages"] == count and counter["sequence_errors"] == 0, f"{receiver.name} counted {counter}")
    return (count - 1) / counter["elapsed_us"] * 1e6


async def round_trip(caller: BeamNode, server: BeamNode, count: int) -> float:
    """Return the microseconds of one call; the caller checks every answer."""
    name = f"echo{next(_names)}"
    await server.call("sink", name)
    elapsed = await figures(caller, "calls", name, server.name, count, SIZE, timeout=TIMEOUT)
    return elapsed["elapsed_us"] / count
