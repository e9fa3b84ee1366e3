"""What a peer should not send to ZenMonitor, over real links."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pyzen.actor.process import Mailbox
    from pyzen.node.node import Node

PROXY = "Elixir.ZenMonitor.Proxy"
CAST = atoms["$gen_cast"]


class Idle(GenServer):
    """Waits for its end."""


class Gap:
    """The most that the event loop's thread worked in one go, in seconds of CPU: other load does not count."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            self.longest = max(self.longest, time.thread_time() - before)


@asynccontextmanager
async def gap() -> AsyncIterator[Gap]:
    watched = Gap()
    watcher = asyncio.create_task(watched.watch())
    await asyncio.sleep(0)
    yield watched
    watcher.cancel()


async def connector_of(node: Node, peer: Node) -> Pid:
    assert await node.zen.connect(str(peer.name)) == "compatible"
    pid = node.zen.system.connector_pid(str(peer.name))
    assert pid is not None
    return pid


async def received(me: Mailbox) -> Any:
    return await me.receive(timeout=30)


async def test_summary_with_a_reason_of_100_megabytes_stalls_no_longer_than_any_message(a: Node, b: Node) -> None:
    worker, connector, reason = await Idle.start(b), await connector_of(a, b), b"x" * 100_000_000
    async with a.mailbox() as me, b.mailbox() as other:
        async with gap() as usual:
            other.send(me.pid, (atoms.message, reason))
            assert (await received(me))[1] == reason

        ref = a.zen.monitor(worker, subscriber=me.pid)
        async with gap() as taken:
            other.send(connector, (atoms.dead, b.name, [(worker, reason)]))
            down = await received(me)

    assert down[1:] == (ref, atoms.process, worker, (atoms.zen_monitor, reason))
    assert taken.longest < 3 * usual.longest + 0.05


@pytest.mark.parametrize(
    "message",
    [
        atoms.stray,
        (),
        (CAST, (atoms.process, 7, [])),
        (CAST, (atoms.process, Pid("b@127.0.0.1", 1, 0, 1), atoms.none)),
        (CAST, (atoms.subscribe, atoms.x, [])),
        (atoms["$gen_call"], 7, atoms.ping),
        (atoms.DOWN, 1, 2, 3, 4),
        (atoms.dead, atoms.x, []),
    ],
)
async def test_proxy_answers_after_a_message_of_any_shape(a: Node, b: Node, message: Any) -> None:
    await connector_of(b, a)
    async with b.mailbox() as me:
        me.send((PROXY, str(a.name)), message)
        reply = await b.call((PROXY, str(a.name)), atoms.ping)

    assert reply is atoms.pong
    assert a.zen.statistics().counters["stray_messages"] == 1


async def test_connector_survives_summaries_of_any_shape(a: Node, b: Node) -> None:
    worker, connector = await Idle.start(b), await connector_of(a, b)
    shapes: list[Any] = [atoms.x, 7, [7], [(1,)], [(worker, 1, 2)], [(atoms.x, Atom("y"))], [((1, 2), 3)], [[]], {}]
    async with a.mailbox() as me, b.mailbox() as other:
        ref = a.zen.monitor(worker, subscriber=me.pid)
        for shape in shapes:
            other.send(connector, (atoms.dead, b.name, shape))
        other.send(connector, (atoms.dead, a.name, [(worker, atoms.x)]))
        other.send(connector, (atoms.dead, b.name, [(worker, atoms.boom)]))

        assert (await received(me))[1:] == (ref, atoms.process, worker, (atoms.zen_monitor, atoms.boom))

    counters = a.zen.statistics().counters
    assert (counters["summaries_refused"], counters["certificates_ignored"]) == (4, 6)
