"""What peers cause takes turns by peer: calls that take long hold up those of nobody else."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from pyzen.errors import RpcError
from pyzen.terms import Pid, atoms
from tests.node.conftest import until
from tests.node.test_shares_of_peers import add, by_erpc, by_rex

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode

COUNT = 60

LONG = 0.002
"""Seconds: more than a peer's turn."""


class Place:
    """A node with a function that takes more than a turn, a peer that calls it often, and another one."""

    def __init__(self, node: Node, greedy: Node, honest: Node) -> None:
        self.node, self.greedy, self.honest = node, greedy, honest
        self.done = 0
        self.begun = asyncio.Event()
        node.export("calc", "long", self.long)
        node.export("calc", "add", add)

    def long(self) -> int:
        self.begun.set()
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            pass
        self.done += 1
        return self.done


@pytest.fixture
async def place(make_node: MakeNode) -> Place:
    made = Place(await make_node(), await make_node("greedy"), await make_node("honest"))
    for peer in (made.greedy, made.honest):
        await peer.connect(made.node.name)
    return made


@pytest.mark.parametrize("ask", [by_erpc, by_rex], ids=lambda ask: ask.__name__)
async def test_a_call_does_not_wait_for_all_of_another_peer(place: Place, ask: Callable[..., Awaitable[Any]]) -> None:
    calls = [asyncio.ensure_future(ask(place.greedy, place.node, "calc", "long", [])) for _ in range(COUNT)]
    await place.begun.wait()

    assert await ask(place.honest, place.node, "calc", "add", [1, 2]) == 3

    assert place.done < COUNT / 2
    assert sorted(await asyncio.gather(*calls)) == list(range(1, COUNT + 1))


async def test_a_function_that_answers_at_once_needs_no_task(place: Place) -> None:
    tasks: list[Any] = []
    place.node.export("calc", "tasks", lambda: tasks.extend(place.node.runtime._tasks))

    await place.honest.rpc(place.node.name, "calc", "tasks", [])

    assert tasks == []


async def test_a_function_runs_as_its_process(place: Place) -> None:
    place.node.export("calc", "me", place.node.runtime.running)

    found = await place.honest.rpc(place.node.name, "calc", "me", [])

    assert isinstance(found, Pid)
    assert found.node is place.node.name
    assert place.node.runtime.actor(found) is None


async def test_a_sleeper_can_be_ended(place: Place) -> None:
    node = place.node
    before = set(node.runtime.processes())
    sleeping = asyncio.ensure_future(place.honest.rpc(node.name, "Elixir.Process", "sleep", [3_600_000]))
    await until(lambda: set(node.runtime.processes()) > before)
    (pid,) = set(node.runtime.processes()) - before

    actor = node.runtime.actor(pid)
    assert actor is not None
    actor.end(atoms.over)

    with pytest.raises(RpcError, match="over"):
        await sleeping
