"""A peer that takes all it can get of what is bounded leaves enough for the others."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.config import Limits
from pyzen.errors import RpcError
from pyzen.terms import atoms
from tests.node.conftest import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode

COUNT = 60
"""Calls, more than there is room for anything."""

FREE = 40
"""Processes and threads that peers may have, half of which one peer gets."""


class Place:
    """A node with little room, a peer that takes what it gets, and another one."""

    def __init__(self, node: Node, greedy: Node, honest: Node) -> None:
        self.node, self.greedy, self.honest = node, greedy, honest
        self.gate = threading.Event()
        node.export("gate", "wait", self.wait)
        node.export("gate", "block", self.gate.wait, blocking=True)
        node.export("calc", "add", add)
        node.export("calc", "block", add, blocking=True)

    async def wait(self) -> bool:
        await until(self.gate.is_set)
        return True


def add(a: int, b: int) -> int:
    return a + b


async def by_erpc(node: Node, to: Node, module: str, function: str, args: list[Any]) -> Any:
    try:
        return await node.rpc(to.name, module, function, args)
    except RpcError as error:
        return error.reason


async def by_rex(node: Node, to: Node, module: str, function: str, args: list[Any]) -> Any:
    return await node.call(("rex", to.name), (atoms.call, atoms[module], atoms[function], args, None), timeout=30)


@pytest.fixture
async def place(make_node: MakeNode) -> Place:
    node = await make_node(limits=Limits(max_blocking_calls=FREE))
    made = Place(node, await make_node("greedy"), await make_node("honest"))
    for peer in (made.greedy, made.honest):
        await peer.connect(node.name)
    return made


@pytest.mark.parametrize("ask", [by_erpc, by_rex], ids=lambda ask: ask.__name__)
@pytest.mark.parametrize(("function", "harmless"), [("wait", "add"), ("block", "block")])
async def test_greedy_peer_leaves_room(
    place: Place, ask: Callable[..., Awaitable[Any]], function: str, harmless: str
) -> None:
    node, births = place.node, place.node.runtime.births
    if function == "wait":
        births.max_processes = node.runtime.process_count() + FREE
    calls = [asyncio.ensure_future(ask(place.greedy, node, "gate", function, [])) for _ in range(COUNT)]
    await until(lambda: sum(call.done() for call in calls) == COUNT - FREE // 2)

    assert await ask(place.honest, node, "calc", harmless, [1, 2]) == 3

    place.gate.set()
    assert sum(answer is True for answer in await asyncio.gather(*calls)) == FREE // 2
    assert await ask(place.greedy, node, "calc", harmless, [1, 2]) == 3
    await until(lambda: births.shares.may_take(place.greedy.name, 1))
