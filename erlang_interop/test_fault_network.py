"""The breakable network of the chaos ledger, tried with plain sockets in the place of nodes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from erlang_interop.chaos.network import FaultyNetwork, pair_of
from pyzen.config import EpmdConfig
from pyzen.dist.handshake_messages import NameMessage
from pyzen.node.epmd import Registration, lookup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAIR = pair_of("one@127.0.0.1", "two@127.0.0.1")
FRAME = NameMessage(0, 1, "one@127.0.0.1").serialize()
GREETING = len(FRAME).to_bytes(2, "big") + FRAME
SILENCE = 0.3  # seconds in which something would have arrived


class End(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def says(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hears(self, data: bytes) -> None:
        async with asyncio.timeout(10):
            assert await self.reader.readexactly(len(data)) == data

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SILENCE):
                await self.reader.read(1)

    async def is_closed(self) -> bool:
        try:
            async with asyncio.timeout(10):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True


class Two:
    """A node that is called ``two``, and connections to it of one that is called ``one``."""

    def __init__(self, network: FaultyNetwork) -> None:
        self.network = network
        self.accepted: asyncio.Queue[End] = asyncio.Queue()
        self.ends: list[End] = []

    async def dial(self) -> End:
        endpoint = await lookup("two", "127.0.0.1", EpmdConfig(port=self.network.port))
        assert endpoint is not None
        end = End(*await asyncio.open_connection("127.0.0.1", endpoint.port))
        self.ends.append(end)
        await end.says(GREETING)
        return end

    async def connected(self) -> tuple[End, End]:
        one = await self.dial()
        async with asyncio.timeout(10):
            two = await self.accepted.get()
        await two.hears(GREETING)
        return one, two

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = End(reader, writer)
        self.ends.append(end)
        self.accepted.put_nowait(end)


@pytest.fixture
async def two() -> AsyncIterator[Two]:
    network = FaultyNetwork()
    await network.start(0)
    await network.listen("two")
    node = Two(network)
    server = await asyncio.start_server(node.accept, "127.0.0.1", 0)
    real_port: int = server.sockets[0].getsockname()[1]
    registration = Registration("two", real_port, EpmdConfig(port=network.port))
    await registration.start()
    try:
        yield node
    finally:
        await registration.stop()
        await network.stop()
        server.close()
        for end in node.ends:
            end.writer.close()
        await asyncio.sleep(0)


async def test_network_announces_a_port_of_its_own_and_passes_both_directions(two: Two) -> None:
    endpoint = await lookup("two", "127.0.0.1", EpmdConfig(port=two.network.port))
    registered = two.network.table.lookup("two")
    one, other = await two.connected()

    await one.says(b"ping")
    await other.hears(b"ping")
    await other.says(b"pong")
    await one.hears(b"pong")

    assert registered is not None
    assert endpoint is not None
    assert endpoint.port != registered.port


async def test_cut_closes_both_ends_and_lets_the_next_connection_through(two: Two) -> None:
    one, other = await two.connected()

    assert two.network.cut(PAIR) == 1

    assert await one.is_closed()
    assert await other.is_closed()
    await two.connected()


async def test_refused_pair_gets_no_connection_until_mended(two: Two) -> None:
    two.network.refuse(PAIR)

    assert await (await two.dial()).is_closed()
    assert two.accepted.empty()

    two.network.mend(PAIR)
    await two.connected()


async def test_freeze_holds_both_directions_and_loses_nothing(two: Two) -> None:
    one, other = await two.connected()

    two.network.freeze(PAIR)
    await one.says(b"there")
    await other.says(b"back")
    await other.hears_nothing()
    await one.hears_nothing()

    two.network.mend(PAIR)
    await other.hears(b"there")
    await one.hears(b"back")


async def test_freeze_hides_the_end_of_the_other_side(two: Two) -> None:
    one, other = await two.connected()
    two.network.freeze(PAIR)

    other.writer.close()
    await one.hears_nothing()

    two.network.mend(PAIR)
    assert await one.is_closed()


async def test_delay_takes_its_time_and_keeps_the_order(two: Two) -> None:
    one, other = await two.connected()

    two.network.delay(PAIR, SILENCE)
    before = time.monotonic()
    await one.says(b"first ")
    await asyncio.sleep(0.05)
    two.network.mend(PAIR)
    await one.says(b"second")

    await other.hears(b"first second")
    assert time.monotonic() - before >= SILENCE


async def test_drop_loses_one_direction_of_this_connection(two: Two) -> None:
    one, other = await two.connected()

    two.network.drop(PAIR, "one@127.0.0.1")
    await one.says(b"lost")
    await other.hears_nothing()
    await other.says(b"not lost")
    await one.hears(b"not lost")

    two.network.cut(PAIR)
    again, there = await two.connected()
    await again.says(b"arrives")
    await there.hears(b"arrives")
