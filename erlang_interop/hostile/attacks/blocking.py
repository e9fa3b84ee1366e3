"""Functions that hold up a thread."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from erlang_interop.hostile.attack import attack

if TYPE_CHECKING:
    from erlang_interop.hostile.stage import Stage


async def answered(stage: Stage, function: str, count: int, argument: int) -> None:
    """Call a function many times at once; all are answered."""
    peer = await stage.peer()
    await stage.begin()
    await peer.push([peer.call("hostile", function, argument) for _ in range(count)])
    while peer.results.total() < count and not peer.is_lost:
        await asyncio.sleep(0.05)
    stage.expect(peer.results["return"] == count, f"{count} were called, and ended with {dict(peer.results)}")


@attack("Limits.max_blocking_calls", 64)
async def sixty_that_block(stage: Stage) -> None:
    """60 calls at once of a function that blocks for a second: all are answered."""
    async with asyncio.timeout(5):
        await answered(stage, "block", 60, 1000)


@attack("Limits.max_blocking_calls", 64)
async def forty_that_call_back(stage: Stage) -> None:
    """40 calls at once of a function that blocks until another one has answered it: none waits for ever."""
    async with asyncio.timeout(8):
        await answered(stage, "back", 40, 300)


@attack("Limits.max_blocking_calls", 128)
async def two_thousand_that_block(stage: Stage) -> None:
    """2000 calls of a function that blocks for a minute: 512 run, the others are refused, and the node ends at once."""
    peer = await stage.peer()
    await stage.begin()
    await peer.push([peer.call("hostile", "block", 60_000) for _ in range(2000)])
    await peer.obeyed()
    await asyncio.sleep(1)
    stage.expect(peer.results.total() >= 1400, f"too few are refused: {dict(peer.results)}")
