"""A peer that takes all it can get of what is bounded leaves enough for the others."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.config import Limits
from pyzen.errors import RpcError
from pyzen.terms import atoms
from tests.node.conftest import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyzen.actor.process import Mailbox
    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode

COUNT = 60
"""Calls, more than there is room for anything."""

FREE = 40
"""Processes and threads that peers may have, half of which one peer gets."""


class Idle(GenServer):
    """Survives what it is linked with."""

    def init(self) -> None:
        self.trap_exit = True

    def handle_info(self, message: Any) -> None:
        """Take it."""


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


# ---- links and monitors


@pytest.mark.parametrize("kind", ["link", "monitor"])
async def test_a_peer_with_too_many_relations_loses_its_link(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    node = await make_node(limits=Limits(max_relations=FREE))
    greedy, honest = await make_node("greedy"), await make_node("honest")
    targets = [node.spawn(Idle) for _ in range(4)]

    async with greedy.mailbox() as many, honest.mailbox() as few:
        many.trap_exit = few.trap_exit = True
        few.monitor(targets[0])
        mailboxes = [await opened(greedy) for _ in range(FREE // 4)]
        for target in targets:
            for mailbox in mailboxes:
                getattr(mailbox, kind)(target)
        assert await greedy.ping(node.name), "as many as it may have"

        many.link(targets[0])
        _, pid, reason = await many.receive(timeout=10)

        assert (pid, reason) == (targets[0], atoms.noconnection)
        assert await honest.ping(node.name)
        assert "drops the link to greedy" in caplog.text
        assert "more than 40 links and monitors here" in caplog.text
        await until(lambda: node.runtime.shared.held(greedy.name) == 0)
        assert node.runtime.shared.held(honest.name) == 1


async def opened(node: Node) -> Mailbox:
    """Return a mailbox that lives as long as its node, whatever happens to what it is linked with."""
    mailbox = await node.mailbox().__aenter__()
    mailbox.trap_exit = True
    return mailbox
