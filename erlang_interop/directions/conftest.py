"""Fixtures ``apart`` and ``direction``: the two ends that a case is about, once per direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from erlang_interop.directions.elixir_side import ElixirSide
from erlang_interop.directions.python_side import PythonSide
from erlang_interop.directions.sides import FAST
from pyzen.config import ZenConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from erlang_interop.directions.sides import Side, Subscriber

    MakeSide = Callable[[str], Awaitable[Side]]

OWN = ["python to itself", "elixir to itself"]
DIRECTIONS = ["python to python", "python to elixir", "elixir to python", "elixir to elixir", *OWN]


@dataclass(frozen=True)
class Direction:
    """Who watches, and who is watched."""

    watcher: Side
    watched: Side

    @property
    def is_own(self) -> bool:
        """Whether a node watches its own processes."""
        return self.watcher is self.watched

    async def open(self) -> None:
        """Link the nodes and let the watcher find the watched one compatible."""
        if not self.is_own:
            await self.watcher.link(self.watched.name)
        assert await self.watcher.connect(self.watched.name) == "compatible"

    async def subscriber(self) -> Subscriber:
        """Start a subscriber at the watcher."""
        return await self.watcher.subscriber(self.watched.name)

    def needs_two(self, why: str) -> None:
        """Leave a case out where a node watches itself."""
        if self.is_own:
            pytest.skip(f"a node that watches itself: {why}")


def fast() -> ZenConfig:
    """Return short intervals for a node of ours."""
    config = ZenConfig()
    for name, value in FAST.items():
        setattr(config, name, value)
    return config


@pytest.fixture
def make_side(python_node: Callable[..., Awaitable[Any]], request: pytest.FixtureRequest) -> MakeSide:
    """``await make_side(kind)`` starts a node; an Elixir node is asked for only where one is needed."""
    start_elixir = request.getfixturevalue("elixir_node") if "elixir" in request.node.name else None

    async def make(kind: str) -> Side:
        if kind == "python":
            return PythonSide(await python_node(zen=fast()))
        assert start_elixir is not None
        side = ElixirSide(await start_elixir())
        await side.set(FAST)
        return side

    return make


@pytest.fixture(params=DIRECTIONS)
async def apart(request: pytest.FixtureRequest, make_side: MakeSide) -> Direction:
    """The two ends of a direction, not connected."""
    watcher, watched = request.param.split(" to ")
    one = await make_side(watcher)
    return Direction(one, one if watched == "itself" else await make_side(watched))


@pytest.fixture
async def direction(apart: Direction) -> Direction:
    """The two ends, connected and compatible."""
    await apart.open()
    return apart
