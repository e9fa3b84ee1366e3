"""Fixture ``pair``: two Elixir nodes that know each other to be compatible, and how to reach into them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from erlang_interop.directions.elixir_side import ElixirSide, literal
from erlang_interop.directions.sides import FAST, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from erlang_interop.directions.sides import Subscriber
    from erlang_interop.nodes import ElixirNode

    StartElixir = Callable[..., Awaitable[ElixirNode]]

original_only = pytest.mark.skipif(
    "ZEN_MONITOR_PATH" not in os.environ,
    reason="a fault inside the original, which the stand-in lacks: ZEN_MONITOR_PATH names no checkout of zen_monitor",
)


@dataclass(frozen=True)
class Pair:
    """Who watches, and who is watched."""

    watcher: ElixirSide
    watched: ElixirSide

    async def subscriber(self) -> Subscriber:
        """Start a subscriber at the watcher."""
        return await self.watcher.subscriber(self.watched.name)

    async def open(self) -> None:
        """Link the nodes and let them find each other compatible."""
        await self.watcher.link(self.watched.name)
        assert await self.watcher.connect(self.watched.name) == "compatible"

    async def connector(self) -> str:
        """Return code for the watcher's Connector, as it is now."""
        key = f"ZenMonitor.Local.Connector, {literal(self.watched.name)}"
        return await pid_code(self.watcher, f":ets.lookup_element({key}, 2)")

    async def batcher(self) -> str:
        """Return code for the watched node's only Batcher, as it is now; the first death of all has started it."""
        table = "ZenMonitor.Proxy.Batcher"
        return await pid_code(self.watched, f":ets.lookup_element({table}, :ets.first({table}), 2)")


async def pid_code(side: ElixirSide, expression: str) -> str:
    """Return code for the process that an expression has as its value now."""
    return f":erlang.list_to_pid({await side.eval(f':erlang.pid_to_list({expression})')})"


async def restarted(side: ElixirSide, name: str, before: str) -> None:
    """Wait until another process than ``before`` has a name."""

    async def is_new() -> bool:
        return await side.eval(f"Process.whereis({name}) not in [nil, {before}]") == "true"

    await until(is_new)


@pytest.fixture
async def start_side(elixir_node: StartElixir) -> Callable[..., Awaitable[ElixirSide]]:
    """``await start_side(**settings)`` starts an Elixir node with short intervals, or those given."""

    async def start(hidden: bool = False, **settings: int) -> ElixirSide:
        side = ElixirSide(await elixir_node(hidden=hidden))
        await side.set(FAST | settings)
        return side

    return start


@pytest.fixture
async def pair(start_side: Callable[..., Awaitable[ElixirSide]]) -> Pair:
    """Two nodes that know each other to be compatible."""
    pair = Pair(await start_side(), await start_side())
    await pair.open()
    return pair
