"""A process that sends more than its peer reads waits where its code waits anyway, and goes on afterwards."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pyzen._native import HIGH_MARK
from pyzen.actor.actor import Actor
from pyzen.actor.gen_server import GenServer
from pyzen.actor.process import actor_context
from pyzen.actor.reasons import KILL
from pyzen.actor.verbs import actor_of
from pyzen.config import Limits
from pyzen.errors import CallTimeout, LinkOverloaded, ProcessExit
from pyzen.terms import Atom, Pid, atoms
from tests.node.conftest import until
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pyzen.actor.process import Mailbox, Process, Receiver
    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode

PART = bytes(100_000)
PLUG = bytes(20 * HIGH_MARK)
"""More than the sockets take while nobody reads, and the high mark above that."""
NAME = Atom("nobody")
"""No process of the peer."""


class Slow:
    """A peer that reads only when it is told to."""

    def __init__(self, node: Node, name: str = "slow@127.0.0.1") -> None:
        self.node = node
        self.peer = RawPeer(name)
        self.reading: asyncio.Task[None] | None = None

    @property
    def name(self) -> Atom:
        return self.peer.name

    @property
    def is_busy(self) -> bool:
        link = self.node.runtime.link(self.name)
        return link is not None and link[1]

    async def connect(self) -> None:
        await self.peer.connect(self.node)
        await until(lambda: self.name in self.node.nodes())
        self.peer.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def fill(self, process: Any) -> None:
        """Let a process send until the link is busy, and stays so."""
        process.send((NAME, self.name), PLUG)
        assert self.is_busy

    def read(self) -> None:
        """Read all from now on."""
        self.reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        self.peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        while await self.peer.reader.read(1 << 20):
            pass

    async def close(self) -> None:
        if self.reading is not None:
            self.reading.cancel()
        await self.peer.close()


class Echo(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


class Place:
    """A node with a slow peer and a process to call, another node, and a process that nothing holds."""

    def __init__(self, node: Node, other: Node, free: Mailbox) -> None:
        self.node = node
        self.other = other
        self.free = free
        self.slow = Slow(node)
        self.echo = node.spawn(Echo)
        other.spawn(Echo, name="echo")

    async def others_went_on(self) -> None:
        """Return once a free process has done all that a process may wait for, and more."""
        for wait in WAITS.values():
            await asyncio.gather(*(begun(self, self.free, wait) for _ in range(2)))

    async def settled(self, rounds: Callable[[], int]) -> int:
        """Return how many rounds a process has made once it makes no more: the sockets are full."""
        before = -1
        async with asyncio.timeout(10):
            while before != rounds():
                before = rounds()
                await self.others_went_on()
        return before


@pytest.fixture
async def place(make_node: MakeNode) -> AsyncIterator[Place]:
    node, other = await make_node("a"), await make_node("b")
    await node.connect(other.name)
    async with node.mailbox() as free:
        place = Place(node, other, free)
        await place.slow.connect()
        yield place
        await place.slow.close()


@pytest.fixture
async def me(place: Place) -> AsyncIterator[Mailbox]:
    with suppress(ProcessExit):
        async with place.node.mailbox() as me:
            yield me


WAITS: dict[str, Callable[[Place, Any], Awaitable[Any]]] = {
    "receive": lambda _, me: me.receive(),
    "receive at once": lambda _, me: me.receive(timeout=0),
    "receive in time": lambda _, me: me.receive(timeout=5),
    "receive what fits": lambda _, me: me.receive(lambda message: message is atoms.hello, timeout=5),
    "async for": lambda _, me: anext(me),
    "call": lambda place, me: me.call(place.echo, atoms.hello),
    "call of another node": lambda place, me: me.call((atoms.echo, place.other.name), atoms.x),
    "erpc": lambda place, me: me.erpc(place.other.name, atoms.erlang, atoms.node),
    "spawn_request": lambda place, me: me.spawn_request(place.other.name, atoms.erlang, atoms.node),
    "sleep": lambda _, me: me.sleep(0),
}


async def prepared(place: Place, process: Receiver, wait: Any) -> Any:
    """Wait for something that is there."""
    process.send(process.pid, atoms.hello)
    return await wait(place, process)


def begun(place: Place, process: Receiver, wait: Any) -> asyncio.Task[Any]:
    """Let a process wait for something that is there, in a task of its own."""
    return asyncio.get_running_loop().create_task(
        prepared(place, process, wait), context=actor_context(actor_of(process))
    )


wherever = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)


# ---- held, and released


@wherever
async def test_process_waits_until_the_peer_reads(place: Place, me: Mailbox, wait: Any) -> None:
    place.slow.fill(me)
    waiting = begun(place, me, wait)
    await place.others_went_on()
    assert not waiting.done()

    place.slow.read()

    async with asyncio.timeout(5):
        await waiting


@wherever
async def test_process_waits_until_the_link_is_lost(place: Place, me: Mailbox, wait: Any) -> None:
    place.slow.fill(me)
    waiting = begun(place, me, wait)
    await place.others_went_on()
    assert not waiting.done()

    place.node.disconnect(place.slow.name)

    async with asyncio.timeout(5):
        await waiting


@wherever
async def test_body_that_waits_can_be_killed(place: Place, wait: Any, quiet: None) -> None:
    async def body(process: Process) -> None:
        place.slow.fill(process)
        await prepared(place, process, wait)

    pid, _ = place.node.spawn_monitor(body, subscriber=place.free.pid)
    await place.others_went_on()
    assert place.node.runtime.actor(pid) is not None

    place.free.send_exit(pid, KILL)

    assert (await place.free.receive(lambda message: type(message) is tuple, timeout=5))[4] is atoms.killed


@wherever
async def test_mailbox_that_waits_can_be_killed(place: Place, me: Mailbox, wait: Any) -> None:
    place.slow.fill(me)
    waiting = begun(place, me, wait)
    await place.others_went_on()

    place.free.send_exit(me.pid, KILL)

    async with asyncio.timeout(5):
        if wait is WAITS["async for"]:
            with pytest.raises(StopAsyncIteration):
                await waiting
        else:
            with pytest.raises(ProcessExit):
                await waiting


async def test_calls_of_the_node_itself_are_not_held(place: Place, me: Mailbox) -> None:
    """A mailbox may be open as long as the program: what its tasks ask the node is another process's."""
    place.slow.fill(me)

    async with asyncio.timeout(5):
        assert await place.node.call(place.echo, atoms.hello) is atoms.hello
        assert await place.node.rpc(place.other.name, atoms.erlang, atoms.node) is place.other.name
    assert place.slow.is_busy


@wherever
async def test_wait_can_be_cancelled(place: Place, me: Mailbox, wait: Any) -> None:
    place.slow.fill(me)
    waiting = begun(place, me, wait)
    await place.others_went_on()

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    place.slow.read()
    assert await me.receive(timeout=5) is atoms.hello


async def test_node_stops_while_a_process_waits(make_node: MakeNode) -> None:
    node = await make_node()
    slow, cleaned = Slow(node), []
    await slow.connect()

    async def body(process: Process) -> None:
        try:
            slow.fill(process)
            await process.receive()
        finally:
            await process.sleep(0)
            cleaned.append(slow.is_busy)

    node.spawn(body)
    await until(lambda: slow.is_busy)
    stopping = asyncio.ensure_future(node.stop())

    await until(lambda: cleaned == [True])

    slow.read()
    async with asyncio.timeout(5):
        await stopping
    await slow.close()


# ---- time


async def test_time_of_a_receive_begins_when_it_goes_on(place: Place, me: Mailbox) -> None:
    place.slow.fill(me)
    waiting = asyncio.ensure_future(me.receive(timeout=0.01))
    with pytest.raises(TimeoutError):
        await place.free.receive(timeout=0.05)
    assert not waiting.done()

    place.slow.read()

    with pytest.raises(TimeoutError):
        await waiting


async def test_time_of_a_call_begins_when_its_request_holds_nobody(place: Place, me: Mailbox) -> None:
    calling = asyncio.ensure_future(me.call((NAME, place.slow.name), PLUG, timeout=0.01))
    await until(lambda: place.slow.is_busy)
    with pytest.raises(TimeoutError):
        await place.free.receive(timeout=0.05)
    assert not calling.done()

    place.slow.read()

    with pytest.raises(CallTimeout):
        await calling


async def test_process_without_a_busy_link_waits_for_nothing(place: Place, me: Mailbox) -> None:
    place.slow.fill(place.free)

    async with asyncio.timeout(5):
        for wait in WAITS.values():
            await begun(place, me, wait)


# ---- who sends without end


def message(place: Place, process: Any) -> None:
    process.send((NAME, place.slow.name), PART)


def cast(place: Place, process: Any) -> None:
    process.cast((NAME, place.slow.name), PART)


def named_by_node(place: Place, process: Any) -> None:
    place.node.send((NAME, place.slow.name), PART)


def request(place: Place, process: Any) -> None:
    process.send_request((NAME, place.slow.name), PART)


def monitors(place: Place, process: Any) -> None:
    for number in range(300):
        process.monitor(Pid(place.slow.name, number, 0, 9))


def links(place: Place, process: Any) -> None:
    for number in range(300):
        pid = Pid(place.slow.name, number, 0, 9)
        process.link(pid)
        process.unlink(pid)


def exits(place: Place, process: Any) -> None:
    process.send_exit(Pid(place.slow.name, 1, 0, 9), PART)


def timers(place: Place, process: Any) -> None:
    process.send_after((NAME, place.slow.name), PART, 0)


FLOODS = [message, cast, named_by_node, request, exits, timers]
SMALL = [monitors, links]
"""It would take these long to fill the sockets."""


@pytest.mark.parametrize("flood", FLOODS + SMALL, ids=lambda flood: flood.__name__)
async def test_producer_is_held_at_the_high_mark(place: Place, flood: Callable[[Place, Any], None]) -> None:
    if flood in SMALL:
        async with place.node.mailbox() as other:
            place.slow.fill(other)
    rounds, before = 0, unsent(place.node)

    async def body(process: Process) -> None:
        nonlocal rounds
        process.trap_exit = True
        while True:
            flood(place, process)
            rounds += 1
            await process.sleep(0)

    pid = place.node.spawn(body)
    await until(lambda: is_held(place.node, pid))
    held_at = await place.settled(lambda: rounds)

    assert is_held(place.node, pid)
    assert unsent(place.node) <= before + HIGH_MARK + 400_000
    place.slow.read()
    await until(lambda: rounds > held_at)
    place.free.send_exit(pid, KILL)
    await until(lambda: place.node.runtime.actor(pid) is None)


async def test_call_after_call_in_a_server_is_held(place: Place) -> None:
    class Producer(GenServer):
        rounds = 0

        async def handle_cast(self, request: Any) -> None:
            while True:
                self.send((NAME, place.slow.name), PART)
                self.rounds += 1
                await self.call(place.echo, atoms.x)

    pid = await Producer.start(place.node)
    producer = place.node.runtime.process(pid)
    place.free.cast(pid, atoms.begin)
    await until(lambda: is_held(place.node, pid))
    held_at = await place.settled(lambda: producer.rounds)

    assert is_held(place.node, pid)
    place.slow.read()
    await until(lambda: producer.rounds > held_at)
    place.free.send_exit(pid, KILL)


async def test_callbacks_of_a_server_wait(place: Place) -> None:
    class Producer(GenServer):
        rounds = 0

        def handle_info(self, message: Any) -> None:
            self.send((NAME, place.slow.name), PART)
            self.rounds += 1
            self.send(self.pid, message)

    pid = await Producer.start(place.node)
    producer = place.node.runtime.process(pid)
    place.free.send(pid, atoms.begin)
    await until(lambda: is_held(place.node, pid))
    held_at = await place.settled(lambda: producer.rounds)

    assert is_held(place.node, pid)
    place.slow.read()
    await until(lambda: producer.rounds > held_at)
    place.free.send_exit(pid, KILL)


async def test_process_goes_on_when_all_links_are_writable(place: Place, me: Mailbox) -> None:
    second = Slow(place.node, "second@127.0.0.1")
    await second.connect()
    place.slow.fill(me)
    second.fill(me)
    waiting = asyncio.ensure_future(me.sleep(0))

    place.slow.read()
    await until(lambda: not place.slow.is_busy)
    await place.others_went_on()
    assert not waiting.done()

    second.read()
    async with asyncio.timeout(5):
        await waiting
    await second.close()


async def test_process_of_async_dist_goes_on(place: Place, me: Mailbox) -> None:
    class Producer(GenServer):
        async_dist = True

        async def handle_call(self, request: Any, from_: Any) -> Any:
            place.slow.fill(self)
            await self.sleep(0)
            return await self.call(place.echo, request)

    pid = await Producer.start(place.node)

    assert await me.call(pid, atoms.x) is atoms.x


async def test_what_waits_by_means_of_asyncio_alone_is_overloaded(make_node: MakeNode) -> None:
    """The kernel sees nothing of it: past the limit ``send`` raises."""
    node = await make_node(limits=Limits(max_unsent_bytes=2_000_000))
    slow = Slow(node)
    await slow.connect()

    async def produce(me: Mailbox) -> None:
        while True:
            me.send((NAME, slow.name), PART)
            await asyncio.sleep(0)

    async with node.mailbox() as me, asyncio.timeout(5):
        with pytest.raises(LinkOverloaded):
            await produce(me)
    await slow.close()


async def test_process_that_has_ended_is_not_kept_until_the_peer_reads(place: Place) -> None:
    def count() -> int:
        gc.collect()
        return sum(type(one) is Actor for one in gc.get_objects())

    async def body(process: Process) -> None:
        process.send((NAME, place.slow.name), PART)

    place.slow.fill(place.free)
    before = count()

    pids = [place.node.spawn(body) for _ in range(50)]
    await until(lambda: not any(place.node.runtime.actor(pid) for pid in pids))

    assert count() <= before


def is_held(node: Node, pid: Pid) -> bool:
    actor = node.runtime.actor(pid)
    return actor is not None and actor.suspended is not None


def unsent(node: Node) -> int:
    """Return how many bytes wait for all peers."""
    return node._driver.thread.statistics()["unsent_bytes"]
