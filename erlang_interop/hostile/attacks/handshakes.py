"""Connections without the cookie, or with one and nothing to say."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import LOST, Peer
from pyzen.errors import PyzenError
from pyzen.terms import Atom

if TYPE_CHECKING:
    from erlang_interop.hostile.stage import Stage


@attack("Limits.max_handshakes", 16)
async def idle_sockets(stage: Stage) -> None:
    """64 connections that say nothing."""
    await stage.begin()
    await stage.open_many(64)
    await asyncio.sleep(2)


@attack("Limits.max_handshakes", 64, "refused .* connections, one of them from 127.0.0.1")
async def two_thousand_idle_sockets(stage: Stage) -> None:
    """2000 connections that say nothing, and a new one for each that is closed, for four seconds."""
    await stage.begin()
    await stage.open_many(2000)
    with suppress(TimeoutError):
        async with asyncio.timeout(4):
            while True:
                await stage.open_many(20)
                await asyncio.sleep(0.02)


@attack("Limits.max_handshakes", 16, "refused .* connections, one of them from 127.0.0.1")
async def storm(stage: Stage) -> None:
    """Connect and reset, as fast as a thread can, for four seconds."""
    await stage.begin()
    await asyncio.to_thread(connect_and_reset, stage.address, 4.0)


def connect_and_reset(address: tuple[str, int], seconds: float) -> None:
    """Open connections, a hundred at a time, and reset them."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sockets = [socket.socket() for _ in range(100)]
        for one in sockets:
            one.setblocking(False)
            one.connect_ex(address)
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()


@attack("Limits.max_handshakes", 16, "cookie")
async def wrong_cookies(stage: Stage) -> None:
    """300 handshakes with a wrong cookie, each under a new name."""
    await stage.begin()
    for _ in range(300):
        with suppress(PyzenError, *LOST):
            await stage.peer(cookie="wrong", reads=False)


@attack("Limits.setup_time", 64)
async def byte_by_byte(stage: Stage) -> None:
    """300 connections that send the first message of a handshake a byte at a time."""
    first = stage.initiator("slow@127.0.0.1").start()[0]
    data = len(first).to_bytes(2, "big") + first
    await stage.begin()
    writers = [(await stage.open())[1] for _ in range(300)]
    for number in range(min(len(data), 25)):
        for writer in writers:
            writer.write(data[number : number + 1])
        await asyncio.sleep(0.1)


@attack("Limits.max_handshakes", 64, "handshake|refused")
async def hellos_that_are_none(stage: Stage) -> None:
    """1000 connections that send HTTP, TLS, zeros, frames of 65 535 bytes, or half a frame."""
    hellos = (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00" + bytes(512),
        bytes(64),
        b"\xff\xff" * 9,
        b"\0",
    )
    await stage.begin()
    for number in range(1000):
        with suppress(*LOST):
            _, writer = await stage.open()
            writer.write(hellos[number % len(hellos)])


class Elsewhere(Peer):
    """A peer at another address than the honest ones."""

    async def open(self, address: tuple[str, int]) -> None:
        self.reader, self.writer = await asyncio.open_connection(*address, local_addr=("127.0.0.2", 0))


@attack("Limits.max_links", 32, "can't come in: of 64 links", limits={"max_links": 64})
async def more_names_than_links(stage: Stage) -> None:
    """100 peers of one address, with the cookie, each under a name of its own."""
    await stage.begin()
    for _ in range(100):
        with suppress(PyzenError, *LOST):
            await stage.peer(kind=Elsewhere, reads=False)
    await asyncio.sleep(2)


@attack("a name has one link", 32)
async def impostor(stage: Stage) -> None:
    """200 handshakes under the name of the honest peer, without the cookie; with it anybody may come under any name."""
    peer = await stage.peer()
    (honest,) = [node for node in await peer.ask("erlang", "nodes") if node is not peer.name]
    await stage.begin()
    for _ in range(200):
        with suppress(PyzenError, *LOST):
            await stage.peer(str(honest), cookie="wrong", reads=False)


@attack("Limits.max_handshakes", 64)
async def a_hundred_at_once(stage: Stage) -> None:
    """100 peers with the cookie that dial at once: all of them get in."""
    await stage.begin()
    came = await asyncio.gather(*(stage.peer() for _ in range(100)), return_exceptions=True)
    failed = [one for one in came if isinstance(one, BaseException)]
    stage.expect(not failed, f"{len(failed)} of 100 were turned away: {failed[:1]!r}")


@attack("a challenge of this node that comes back is not answered", 32)
async def reflection(stage: Stage) -> None:
    """A peer without the cookie that is dialled, and passes on the challenge by which it is asked itself."""
    name = f"mirror{secrets.token_hex(4)}"
    caught: list[bytes] = []

    async def dialled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*LOST):
            await frame(reader)
            writer.write(b"\0\x03sok" + await challenge_of(stage, name))
            caught.append(await frame(reader))

    server = await asyncio.start_server(dialled, "127.0.0.1", 0)
    await stage.register(name, server.sockets[0].getsockname()[1], stage.epmd_port)
    peer = await stage.peer()
    await stage.begin()
    await peer.push(peer.call("Elixir.ZenMonitor", "connect", Atom(f"{name}@127.0.0.1")))
    await asyncio.sleep(3)
    server.close()
    stage.expect(not caught, "a challenge of the node was answered by it")


async def challenge_of(stage: Stage, name: str) -> bytes:
    """Begin a handshake under another name, and return the challenge of the node as if it were the peer's own."""
    reader, writer = await stage.open()
    for first in stage.initiator(f"other{name}@127.0.0.1").start():
        writer.write(len(first).to_bytes(2, "big") + first)
    await frame(reader)
    challenge, own = await frame(reader), f"{name}@127.0.0.1".encode()
    reflected = challenge[:17] + len(own).to_bytes(2, "big") + own
    return len(reflected).to_bytes(2, "big") + reflected


async def frame(reader: asyncio.StreamReader) -> bytes:
    """Read a frame of a handshake."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
