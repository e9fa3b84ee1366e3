"""Clients of ``pyzen epmd`` and of the metrics server that take up room and say nothing."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import LOST
from pyzen.terms import Atom

if TYPE_CHECKING:
    from erlang_interop.hostile.stage import Stage

GET: Final = b"GET /metrics HTTP/1.1\r\nHost: "


@attack("epmd_server.MAX_UNREGISTERED", 64, prey="epmd")
async def idle_clients_of_epmd(stage: Stage) -> None:
    """1000 connections to pyzen epmd that ask nothing."""
    await stage.begin()
    await stage.open_many(1000, stage.prey.port)
    await asyncio.sleep(2)


@attack("epmd_server.MAX_UNREGISTERED", 64, prey="epmd", refuses=True)
async def more_idle_clients_of_epmd(stage: Stage) -> None:
    """2000 connections to pyzen epmd that ask nothing: past 1024 a newcomer gets the place of one that had 2 s."""
    await stage.begin()
    await stage.open_many(2000, stage.prey.port)
    await asyncio.sleep(4)


@attack("epmd_server.MAX_REGISTERED", 64, prey="epmd")
async def registrations_at_epmd(stage: Stage) -> None:
    """900 registrations, and 300 connections that ask half a question."""
    await stage.begin()
    for number in range(900):
        await stage.register(f"name{number}")
    for _ in range(300):
        with suppress(*LOST):
            _, writer = await stage.open(stage.prey.port)
            writer.write(b"\0\x09zhon")
    await asyncio.sleep(3)


@attack("epmd_server.MAX_UNREGISTERED", 64, prey="epmd")
async def questions_to_epmd(stage: Stage) -> None:
    """500 questions to pyzen epmd at once, four times: all of them are answered."""
    await stage.begin()
    for _ in range(4):
        answers = await asyncio.gather(*(looked_up(stage) for _ in range(500)))
        stage.expect(all(answers), f"{answers.count(False)} of 500 questions had no answer")


async def looked_up(stage: Stage) -> bool:
    """Ask for a name that is registered."""
    with suppress(*LOST):
        reader, writer = await stage.open(stage.prey.port)
        writer.write(struct.pack(">H", 7) + b"zhonest")
        answer = await reader.read(2)
        writer.close()
        return answer == b"w\0"
    return False


@attack("epmd_server.MAX_REGISTERED", 64, prey="epmd")
async def nonsense_to_epmd(stage: Stage) -> None:
    """2000 requests to pyzen epmd that are too long, too short, orders to stop, or none."""
    requests = (b"\0\0", b"\xff\xff" + bytes(100), b"\0\x01k", b"\0\x05shone", b"\0\x02x", b"GET / HTTP/1.1\r\n\r\n")
    await stage.begin()
    for number in range(2000):
        with suppress(*LOST):
            _, writer = await stage.open(stage.prey.port)
            writer.write(requests[number % len(requests)])
            writer.close()


@attack("metrics_server.MAX_CONNECTIONS", 64, prey="command")
async def slow_clients_of_metrics(stage: Stage) -> None:
    """60 clients of the metrics server that send a byte in a tenth of a second."""
    await stage.begin()
    writers = [(await stage.open(stage.prey.port))[1] for _ in range(60)]
    for byte in (GET + b"localhost\r\n" * 2)[:35]:
        for writer in writers:
            with suppress(*LOST):
                writer.write(bytes([byte]))
        await asyncio.sleep(0.1)


@attack("metrics_server.FRESH, metrics_server.MAX_FIELDS", 128, prey="command", longest=30.0)
async def many_clients_of_metrics(stage: Stage) -> None:
    """Clients of the metrics server, 40 at a time, half of them with 2000 headers, beside 4000 Connectors."""
    peer = await stage.peer(address=await stage.registered())
    module, function = "Elixir.ZenMonitor.Local.Connector", "get_for_node"
    await peer.push(peer.call(module, function, Atom(f"none{number}@127.0.0.1")) for number in range(4000))
    await peer.obeyed()
    await asyncio.sleep(2)  # until the node has started them, and is quiet
    await stage.begin()
    end = asyncio.get_running_loop().time() + 4.0
    while asyncio.get_running_loop().time() < end:
        await asyncio.gather(*(ask_for_metrics(stage, number % 2 * 2000) for number in range(40)))


async def ask_for_metrics(stage: Stage, fields: int) -> None:
    """Ask once, and read the beginning of the answer."""
    with suppress(*LOST):
        reader, writer = await stage.open(stage.prey.port)
        writer.write(GET + b"localhost\r\n" + b"a:\r\n" * fields + b"\r\n")
        await reader.read(100)
        writer.transport.abort()


@attack("metrics_server.MAX_CONNECTIONS, metrics_server.MAX_HEAD", 64, prey="command")
async def unread_metrics(stage: Stage) -> None:
    """40 clients of the metrics server that ask, and do not read; heads of a megabyte; other hosts."""
    await stage.begin()
    for number in range(60):
        with suppress(*LOST):
            reader, writer = await stage.open(stage.prey.port)
            if number < 40:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(GET + b"localhost\r\n\r\n")
            elif number < 50:
                writer.write(GET + bytes(1 << 20))
            else:
                writer.write(GET + b"evil.example\r\n\r\n")
                answer = await reader.read(100)
                stage.expect(b" 200 " not in answer, "a page of the web may read the metrics")
    await asyncio.sleep(1)
