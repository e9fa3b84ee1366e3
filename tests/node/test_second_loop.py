"""A node that is used from another event loop of its thread says so at once: what it waits for would never come."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import GenServer, Mailbox, Node, Process, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Echo(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


async def body(process: Process) -> None:
    await process.receive()


class Place:
    """A node with a mailbox, in a loop that is not running while another one is."""

    def __init__(self, node: Node, mailbox: Mailbox, instance: Any) -> None:
        self.node = node
        self.zen = node.zen
        self.mailbox = mailbox
        self.instance = instance


@pytest.fixture
def place() -> Iterator[Place]:
    async def begin() -> Place:
        name = f"n{secrets.token_hex(3)}@127.0.0.1"
        node = await Node(name, cookie="secret", epmd="embedded").start()
        mailbox = await node.mailbox("me").__aenter__()
        pid = await Echo.start(node, name="echo")
        return Place(node, mailbox, node.runtime.process(pid))

    with asyncio.Runner() as runner:
        place = runner.run(begin())
        yield place
        runner.run(place.node.stop())


USES: dict[str, Callable[[Place], Any]] = {
    "Node.call": lambda place: place.node.call("echo", 1),
    "Node.rpc": lambda place: place.node.rpc("other@127.0.0.1", "erlang", "node"),
    "Node.connect": lambda place: place.node.connect("other@127.0.0.1"),
    "Node.join": lambda place: place.node.join("other@127.0.0.1"),
    "Node.ping": lambda place: place.node.ping("other@127.0.0.1"),
    "Node.send": lambda place: place.node.send("echo", 1),
    "Node.cast": lambda place: place.node.cast("echo", 1),
    "Node.spawn": lambda place: place.node.spawn(body),
    "Node.spawn_monitor": lambda place: place.node.spawn_monitor(body, subscriber=place.mailbox.pid),
    "Node.mailbox": lambda place: place.node.mailbox(),
    "Node.zen": lambda place: place.node.zen,
    "Zen.monitor": lambda place: place.zen.monitor(("a", "other@127.0.0.1"), subscriber=place.mailbox.pid),
    "Zen.connect": lambda place: place.zen.connect("other@127.0.0.1"),
    "Zen.statistics": lambda place: place.zen.statistics(),
    "Node.stop": lambda place: place.node.stop(),
    "GenServer.start": lambda place: Echo.start(place.node),
    "GenServer.after": lambda place: place.instance.after(1, print),
    "Mailbox.receive": lambda place: place.mailbox.receive(),
    "Mailbox.receive, at once": lambda place: place.mailbox.receive(timeout=0),
    "Mailbox.call": lambda place: place.mailbox.call("echo", 1),
    "Mailbox.erpc": lambda place: place.mailbox.erpc(place.node.name, "erlang", "node"),
    "Mailbox.spawn_request": lambda place: place.mailbox.spawn_request(place.node.name, "erlang", "node"),
    "Mailbox.send": lambda place: place.mailbox.send("echo", 1),
    "Mailbox.monitor": lambda place: place.mailbox.monitor("echo"),
    "Mailbox.spawn": lambda place: place.mailbox.spawn(body),
    "iteration": lambda place: anext(aiter(place.mailbox)),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_use_in_another_loop_raises_there(place: Place, use: Callable[[Place], Any]) -> None:
    async def elsewhere() -> None:
        async with asyncio.timeout(1):
            found = use(place)
            if hasattr(found, "__await__"):
                await found

    with asyncio.Runner() as other, pytest.raises(RuntimeError, match="belongs to another event loop"):
        other.run(elsewhere())


def test_plain_functions_may_use_it_while_no_loop_runs(place: Place) -> None:
    place.node.send("me", atoms.hello)

    assert place.node.whereis("me") == place.mailbox.pid
