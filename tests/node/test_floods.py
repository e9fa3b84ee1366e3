"""What peers can cause as fast as they like: a log that can be read afterwards, and no line of it forged."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import logs
from pyzen.actor.gen_server import GenServer
from pyzen.config import Limits
from pyzen.terms import Atom, Pid, Reference, atoms
from pyzen.zen.names import LOCAL, PROXY
from tests.node.conftest import until
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode

COUNT = 500
FORGED = Atom("x\nERROR:root:the node is lost\x1b[31m")
"""As the name of a module or a process it would begin a line of its own, and turn the terminal red."""
KINDS = 4
"""Kinds of lines that a flood may cause: a link comes, and is lost as agreed or by a fault; the node listens."""


class Echo(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        return bytes(100_000)


class Flood:
    """A peer that does one thing again and again."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.peer = RawPeer()

    async def link(self) -> None:
        await self.peer.connect(self.node)

    async def send(self, messages: list[tuple[Any, Any]]) -> None:
        await self.write([self.peer.session.send(self.peer.pid, to, message) for to, message in messages])

    async def write(self, packets: list[bytes]) -> None:
        self.peer.writer.write(b"".join(packets))
        await self.obeyed()

    async def obeyed(self) -> None:
        """Wait until the node has come to all that was sent."""
        writer, session = self.peer.writer, self.peer.session
        writer.write(session.send(self.peer.pid, atoms.rex, (self.peer.pid, atoms.features_request)))
        while data := await self.peer.reader.read(1 << 20):
            if any("features_reply" in repr(event) for event in self.peer.events_of(data)):
                break

    async def again(self, attempt: Callable[[RawPeer], Awaitable[object]], times: int) -> None:
        """Connect anew for each attempt."""
        for _ in range(times):
            peer = RawPeer()
            with suppress(Exception):  # the node refuses, and that is what is looked at
                await attempt(peer)
            await peer.close()


async def undefined_casts(flood: Flood) -> None:
    await flood.link()
    request: Any = (atoms["$gen_cast"], (atoms.cast, FORGED, FORGED, [], atoms.user))
    await flood.send([(atoms.rex, request)] * COUNT)


async def undefined_spawns(flood: Flood) -> None:
    await flood.link()
    peer = flood.peer
    refs = [Reference(peer.name, peer.creation, [number, 1]) for number in range(COUNT)]
    requests: list[Any] = [(29, ref, peer.pid, peer.pid, (FORGED, FORGED, 0), []) for ref in refs]
    await flood.write([peer.session.signal(0, request, []) for request in requests])


async def unread_calls(flood: Flood) -> None:
    """The answers don't fit into what may wait for the peer."""
    await flood.link()
    flood.node.spawn(Echo, name="echo")
    call = (atoms["$gen_call"], (flood.peer.pid, 1), atoms.x)
    packet = flood.peer.session.send(flood.peer.pid, atoms.echo, call)
    for _ in range(COUNT):
        flood.peer.writer.write(packet)
        if flood.node.whereis("echo") is None:
            flood.node.spawn(Echo, name="echo")
        await asyncio.sleep(0)


async def unread_results(flood: Flood) -> None:
    await flood.link()
    made: list[bytes] = []

    def result() -> bytes:
        made.append(bytes(100_000))
        return made[-1]

    flood.node.export("big", "result", result)
    peer = flood.peer
    mfa = (atoms.erpc, atoms.execute_call, 4)
    for number in range(COUNT):
        ref = Reference(peer.name, peer.creation, [number, 1])
        request: Any = (29, ref, peer.pid, peer.pid, mfa, [atoms.monitor])
        peer.writer.write(peer.session.signal(0, request, [ref, atoms.big, atoms.result, []]))
    await until(lambda: len(made) == COUNT or not flood.node.nodes())  # results are signals: the link may have ended


async def strays(flood: Flood) -> None:
    await flood.link()
    names = [atoms.rex, atoms.user, atoms.net_kernel, atoms.kernel_sup, PROXY, LOCAL]
    await flood.send([(name, FORGED) for name in names for _ in range(COUNT // 5)])


async def senseless_instructions(flood: Flood) -> None:
    await flood.link()
    cast = (atoms["$gen_cast"], (atoms.process, flood.peer.pid, [FORGED] * 10))
    await flood.send([(PROXY, cast)] * COUNT)


async def orders(flood: Flood) -> None:
    await flood.link()
    order = (atoms.system, (flood.peer.pid, 1), (atoms.terminate, FORGED))
    await flood.send([(PROXY, order)] * COUNT)


async def crashes(flood: Flood) -> None:
    await flood.link()
    for _ in range(COUNT // 10):
        flood.node.spawn(GenServer, name="plain")
        await flood.send([(atoms.plain, (atoms["$gen_cast"], FORGED))])


async def exits(flood: Flood) -> None:
    await flood.link()
    pids = [flood.node.spawn(Echo) for _ in range(COUNT)]
    await flood.write([flood.peer.session.signal(0, (26, flood.peer.pid, pid), FORGED) for pid in pids])
    await until(lambda: all(flood.node.runtime.actor(pid) is None for pid in pids))


async def reconnections(flood: Flood) -> None:
    await flood.again(lambda peer: peer.connect(flood.node), COUNT // 5)


async def wrong_cookies(flood: Flood) -> None:
    await flood.again(lambda peer: peer.connect(flood.node, "wrong"), COUNT // 5)


async def protocol_errors(flood: Flood) -> None:
    async def fault(peer: RawPeer) -> None:
        await peer.connect(flood.node)
        peer.writer.write(peer.session.signal(0, (1, Pid(FORGED, 1, 0, 1), peer.pid)))
        await peer.at_end()

    await flood.again(fault, COUNT // 5)


async def garbage(flood: Flood) -> None:
    assert flood.node.address is not None
    address = flood.node.address

    async def hello(peer: RawPeer) -> None:
        await peer.open(address)
        peer.writer.write(b"\x00\x10GET / HTTP/1.1\r\n")
        await peer.at_end()

    await flood.again(hello, COUNT // 5)


FLOODS = [
    undefined_casts, undefined_spawns, unread_calls, unread_results, strays, senseless_instructions, orders, crashes,
    exits, reconnections, wrong_cookies, protocol_errors, garbage,
]  # fmt: skip


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.__name__)
async def test_flood_leaves_a_log_that_can_be_read(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture, flood: Callable[[Flood], Awaitable[None]]
) -> None:
    caplog.set_level(logging.INFO, "pyzen")
    node = await make_node(limits=Limits(max_unsent_bytes=1_000_000))
    one = Flood(node)

    await flood(one)

    lines = [record for record in caplog.records if record.name.startswith("pyzen")]
    assert len(lines) <= KINDS * logs.BURST
    assert all(record.getMessage().isprintable() for record in lines)
    assert await node.call("net_kernel", (atoms.is_auth, node.name)) is atoms.yes
    if hasattr(one.peer, "writer"):
        await one.peer.close()
