"""A peer that speaks for others: C is authenticated, its own link stays up, and A and B are to notice nothing."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.config import ZenConfig
from pyzen.terms import ImproperList, Pid, Reference, atoms
from tests.forgeries import FORGERIES, Intruder, Known, ZenMonitor, guesses
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pyzen.actor.actor import Actor
    from pyzen.actor.process import Mailbox
    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode

pytestmark = pytest.mark.usefixtures("quiet")

ZEN = ZenConfig(connector_sweep_interval=5, batcher_sweep_interval=5, demand_interval=5)
NUMBER = 5


class Worker(GenServer):
    """Waits for its end."""


class Echo(GenServer):
    """Answers with what it was asked: a peer chooses what it sends, and to whom."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


class Scene:
    """Five monitors of ZenMonitor and one of ERTS each way between A and B, and one of A's own; C is connected to A."""

    def __init__(self, a: Node, b: Node) -> None:
        self.a = a
        self.b = b
        self.at_a: Mailbox
        self.at_b: Mailbox
        self.on_a: list[Pid]
        self.on_b: list[Pid]
        self.c: Intruder

    async def prepare(self, stack: AsyncExitStack) -> None:
        self.at_a, self.at_b = [await stack.enter_async_context(node.mailbox()) for node in (self.a, self.b)]
        self.on_a, self.on_b = [[await Worker.start(node) for _ in range(NUMBER)] for node in (self.a, self.b)]
        self.refs_a = watch(self.a, self.at_a, self.on_b)
        self.refs_a[self.a.zen.monitor(self.on_a[0], subscriber=self.at_a.pid)] = self.on_a[0]  # one of its own
        self.refs_b = watch(self.b, self.at_b, self.on_a)
        for node, peer in ((self.a, self.b), (self.b, self.a)):
            assert await node.zen.connect(str(peer.name)) == "compatible"
        await until(lambda: self.a.zen.statistics().subscriptions == NUMBER + 1)
        await until(lambda: self.b.zen.statistics().subscriptions == NUMBER)
        await self.b.call(("net_kernel", str(self.a.name)), atoms.barrier)  # the ERTS monitor is there now
        raw = RawPeer("c@127.0.0.1")
        await raw.connect(self.a)
        self.c = Intruder(raw, self._known())

    def _known(self) -> Known:
        runtime, subscriber = self.a.runtime, self.at_a.pid
        known = Known(
            a=self.a.name,
            creation=runtime.creation,
            b=self.b.name,
            processes=[pid for pid in runtime.processes() if pid != subscriber],
            system=self.system(),
            proxy=there(self.a.whereis(ZenMonitor.Proxy)),
            connector=there(self.a.zen.system.connector_pid(str(self.b.name))),
            connector_of_b=there(self.b.zen.system.connector_pid(str(self.a.name))),
            subscriber=subscriber,
            subscriber_of_b=self.at_b.pid,
            on_a=self.on_a,
            on_b=self.on_b,
        )
        known.echoes.append(self.a.spawn(Echo))
        known.look(runtime)
        return known

    def system(self) -> list[Pid]:
        """Return the processes of the node itself."""
        return [pid for pid in self.a.runtime.processes() if self.actor(pid).guarded]

    def actor(self, pid: Pid) -> Actor:
        actor = self.a.runtime.actor(pid)
        assert actor is not None
        return actor

    # ---- what has to hold

    async def obeyed(self) -> None:
        """Wait until all that C has sent has been taken."""
        await self.c.obeyed()
        for _ in range(20):  # each turn takes what the one before has left
            await asyncio.sleep(0.002)

    async def drop_forged(self) -> None:
        """Take what C has sent to the mailbox itself, as it may."""
        await self.obeyed()
        with suppress(TimeoutError):
            while True:
                await self.at_a.receive(lambda message: message[1] is atoms.forged, timeout=0)

    async def settle(self) -> None:
        """Let every worker end: each reference is told once, with the true reason, and nothing else is."""
        await self.obeyed()
        for watcher in (self.at_a, self.at_b):
            with pytest.raises(TimeoutError):
                print(await watcher.receive(timeout=0))
        for node, workers in ((self.a, self.on_a), (self.b, self.on_b)):
            for worker in workers:
                actor = node.runtime.actor(worker)
                assert actor is not None
                actor.end(atoms.boom)
        await self._told(self.at_a, self.refs_a)
        await self._told(self.at_b, self.refs_b)

    async def _told(self, watcher: Mailbox, refs: dict[Reference, Pid]) -> None:
        heard = [await watcher.receive(timeout=5) for _ in refs]
        assert {message[1]: message[3] for message in heard} == refs
        assert {message[4] for message in heard} == {atoms.boom, (atoms.zen_monitor, atoms.boom)}
        await asyncio.sleep(0.03)
        with pytest.raises(TimeoutError):
            print(await watcher.receive(timeout=0))


def watch(node: Node, watcher: Mailbox, workers: list[Pid]) -> dict[Reference, Pid]:
    refs = {node.zen.monitor(worker, subscriber=watcher.pid): worker for worker in workers}
    return refs | {watcher.monitor(workers[0]): workers[0]}


def there(pid: Pid | None) -> Pid:
    assert pid is not None
    return pid


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
async def scene(make_node: MakeNode) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        scene = Scene(await make_node("a", zen=ZEN), await make_node("b", zen=ZEN))
        await scene.prepare(stack)
        yield scene
        await scene.c.peer.close()


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
async def test_peer_that_speaks_for_others_is_heard_by_nobody(scene: Scene, forgery: Any) -> None:
    forgery(scene.c, scene.c.known)

    await scene.settle()
    assert set(scene.c.known.system) <= set(scene.system()), "a process of the node has ended"


async def test_peer_that_ends_while_linked_with_everything_takes_nothing_along(scene: Scene) -> None:
    system = scene.system()
    for pid in system:
        scene.c.signal(1, scene.c.pid, pid)
    await scene.obeyed()

    await scene.c.peer.close()
    await until(lambda: scene.c.name not in scene.a.nodes())
    await asyncio.sleep(0.02)

    assert set(system) <= set(scene.system())


async def test_refusals_are_counted(scene: Scene) -> None:
    before = scene.a.zen.statistics().counters["orders_refused"]

    scene.c.exit2(scene.c.known.proxy, atoms.kill)
    scene.c.send(ZenMonitor.Local, (atoms.system, (scene.c.pid, atoms.x), atoms.suspend))
    await scene.obeyed()

    assert scene.a.zen.statistics().counters["orders_refused"] == before + 2


async def test_peer_may_read_what_sys_has_noted_and_switch_nothing_on(scene: Scene) -> None:
    async def ask(request: Any) -> Any:
        async with scene.b.mailbox() as me:
            me.send((ZenMonitor.Proxy, scene.a.name), (atoms.system, (me.pid, atoms.x), (atoms.debug, request)))
            return (await me.receive(timeout=5))[1]

    refused = atoms.error, atoms.refused
    for word in ("statistics", "log", "trace", "install", "log_to_file"):
        assert await ask((atoms[word], True)) == refused
    assert await ask((atoms.log, atoms.print)) == refused
    assert await ask(atoms.no_debug) == refused
    assert await ask((atoms.statistics, atoms.get)) == (atoms.ok, atoms.no_statistics)
    assert await ask((atoms.log, atoms.get)) == (atoms.ok, [])


async def test_refusal_names_the_peer_and_nobody_that_it_names(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Else a peer could have others blamed, and fill the log with names that it makes up."""
    logging.disable(logging.NOTSET)
    with caplog.at_level(logging.WARNING, "pyzen.actor"):
        for number in range(20):
            forged = Pid(f"x{number}@127.0.0.1", 1, 0, 1)
            scene.c.send(ZenMonitor.Proxy, (atoms.system, (forged, atoms.x), atoms.suspend))
            call = (atoms.call, atoms["Elixir.Process"], atoms.exit, [scene.c.known.proxy, atoms.kill], forged)
            scene.c.send(atoms.rex, (scene.c.pid, call))
        await scene.obeyed()

    lines = [line for line in caplog.messages if "refuses" in line]
    assert len(lines) == 2
    assert all(any(f" of {name};" in line for line in lines) for name in (scene.a.name, scene.c.name))


# ---- what a caller is told


class Slow(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        async def late() -> Any:
            await asyncio.sleep(0.05)
            return atoms.true_reply

        return late()


async def late() -> Any:
    await asyncio.sleep(0.05)
    return atoms.true_result


def caller_of(scene: Scene) -> list[tuple[Pid, Reference]]:
    """Return what every process of A has under way with B."""
    found = [(pid, ref) for pid in scene.a.runtime.processes() for ref in scene.actor(pid).requests]
    assert found
    return found


HIJACKS: dict[str, Callable[[Intruder, Pid, Reference], object]] = {
    "the end of a process of C": lambda c, pid, ref: c.signal(
        28, c.pid, pid, ref, payload=(ref, atoms["return"], atoms.forged)
    ),
    "the end of a process of B": lambda c, pid, ref: c.signal(
        28, c.known.on_b[0], pid, ref, payload=(ref, atoms["return"], atoms.forged)
    ),
    "the end of a name": lambda c, pid, ref: c.signal(28, atoms.erpc, pid, ref, payload=atoms.forged),
    "no process": lambda c, pid, ref: c.signal(28, c.pid, pid, ref, payload=atoms.noproc),
    "a spawn reply": lambda c, pid, ref: c.signal(31, ref, pid, 2, c.pid),
    "a refused spawn": lambda c, pid, ref: c.signal(31, ref, pid, 0, atoms.system_limit),
    "an exit": lambda c, pid, ref: c.signal(24, c.pid, pid, payload=(ref, atoms["return"], atoms.forged)),
    "guessed aliases": lambda c, pid, ref: [
        c.send(guess, (shape, atoms.forged))
        for guess in guesses([ref], c.known.a)
        for shape in (guess, ImproperList([atoms.alias], guess))
    ],
    "guessed replies": lambda c, pid, ref: [
        c.send(pid, (shape, atoms.forged))
        for guess in guesses([ref], c.known.a)
        for shape in (guess, ImproperList([atoms.alias], guess))
    ],
}


@pytest.mark.parametrize("hijack", HIJACKS.values(), ids=HIJACKS)
@pytest.mark.parametrize("kind", ["call", "rpc", "send_request", "spawn_request"])
async def test_caller_gets_the_answer_of_the_node_that_was_asked(scene: Scene, kind: str, hijack: Any) -> None:
    slow = await Slow.start(scene.b)
    scene.b.export("slow", "late", late)
    peer = str(scene.b.name)
    calls: dict[str, Callable[[], Any]] = {
        "call": lambda: scene.a.call(slow, atoms.x),
        "rpc": lambda: scene.a.rpc(peer, "slow", "late", []),
        "send_request": lambda: answered(scene.at_a, scene.at_a.send_request(slow, atoms.x)),
        "spawn_request": lambda: scene.at_a.spawn_request(peer, "slow", "late", monitor=True),
    }
    asked = asyncio.ensure_future(calls[kind]())
    await asyncio.sleep(0)
    for pid, ref in caller_of(scene):
        hijack(scene.c, pid, ref)

    answer = await asked

    await scene.drop_forged()
    assert answer in {atoms.true_reply, atoms.true_result} or answer[0].node is scene.b.name
    if kind == "spawn_request":
        assert (await scene.at_a.receive(timeout=5))[1::3] == (answer[1], atoms.normal)
    await scene.settle()


async def answered(me: Mailbox, ref: Reference) -> Any:
    return (await me.receive(lambda message: message[0] == ref, timeout=5))[1]


# ---- users' processes


async def test_exit_as_a_message_ends_no_server_of_a_user(scene: Scene) -> None:
    class Child(GenServer):
        def init(self) -> None:
            self.trap_exit = True
            self.heard: list[Any] = []

        def handle_info(self, message: Any) -> None:
            self.heard.append(message)

        def handle_call(self, request: Any, from_: Any) -> Any:
            return self.heard

    child = scene.at_a.spawn_link(Child)

    scene.c.send(child, (atoms.EXIT, scene.at_a.pid, atoms.boom))
    await scene.obeyed()

    assert await scene.a.call(child, 1) == [(atoms.EXIT, scene.at_a.pid, atoms.boom)]
    scene.at_a.unlink(child)


async def test_references_are_of_five_words_in_the_order_they_were_made(scene: Scene) -> None:
    refs = [scene.a.runtime.make_ref() for _ in range(1000)]

    assert {len(ref.words) for ref in refs} == {5}
    assert sorted(refs) == refs
    assert len({ref.words[:3] for ref in refs}) == 1000
