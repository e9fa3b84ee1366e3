"""A peer that speaks for others: C is authenticated, its own link stays up, and A and B are to notice nothing.

Where C would have to guess a reference it is told the true one: what protects A then is who may say what.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from pyzen._native import NO_PAYLOAD
from pyzen.actor.gen_server import GenServer
from pyzen.actor.verbs import actor_of
from pyzen.config import ZenConfig
from pyzen.terms import Atom, ImproperList, Pid, Reference, atoms, elixir
from tests.node.conftest import RawPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from pyzen.actor.actor import Actor
    from pyzen.actor.process import Mailbox
    from pyzen.node.node import Node
    from tests.node.conftest import MakeNode

pytestmark = pytest.mark.usefixtures("quiet")

ZEN = ZenConfig(connector_sweep_interval=5, batcher_sweep_interval=5, demand_interval=5)
ZenMonitor = elixir.ZenMonitor
CAST = atoms["$gen_cast"]
CALL = atoms["$gen_call"]
NUMBER = 5


class Worker(GenServer):
    """Waits for its end."""


class Scene:
    """Five monitors of ZenMonitor and one of ERTS each way between A and B, and C, which is connected to A."""

    def __init__(self, a: Node, b: Node, c: RawPeer) -> None:
        self.a = a
        self.b = b
        self.c = c
        self.at_a: Mailbox
        self.at_b: Mailbox
        self.on_a: list[Pid]
        self.on_b: list[Pid]
        self.connector_of_b: Pid

    async def prepare(self, stack: AsyncExitStack) -> None:
        self.at_a, self.at_b = [await stack.enter_async_context(node.mailbox()) for node in (self.a, self.b)]
        self.on_a, self.on_b = [[await Worker.start(node) for _ in range(NUMBER)] for node in (self.a, self.b)]
        self.refs_a = self._watch(self.a, self.at_a, self.on_b)
        self.refs_b = self._watch(self.b, self.at_b, self.on_a)
        for node, peer in ((self.a, self.b), (self.b, self.a)):
            assert await node.zen.connect(str(peer.name)) == "compatible"
        await until(lambda: self.b.zen.statistics().subscriptions == NUMBER)
        await until(lambda: self.a.zen.statistics().subscriptions == NUMBER)
        await self.b.call(("net_kernel", str(self.a.name)), atoms.barrier)  # the ERTS monitor is there now
        connector = self.b.zen.system.connector_pid(str(self.a.name))
        assert connector is not None
        self.connector_of_b = connector

    def _watch(self, node: Node, watcher: Mailbox, workers: list[Pid]) -> dict[Reference, Pid]:
        refs = {node.zen.monitor(worker, subscriber=watcher.pid): worker for worker in workers}
        self.plain = watcher.monitor(workers[0])  # the last call is B's
        refs[self.plain] = workers[0]
        return refs

    # ---- what C can do

    def send(self, to: Any, message: Any) -> object:
        self.c.writer.write(self.c.session.send(self.c.pid, to, message))
        return None

    def send_to_all(self, message: Any, to: Iterable[Pid] = ()) -> object:
        return [self.send(pid, message) for pid in to or self.pids()]

    def signal(self, *control: Any, payload: Any = NO_PAYLOAD) -> object:
        self.c.writer.write(self.c.session.signal(0, control, payload))
        return None

    def exit2(self, to: Pid, reason: Any) -> object:
        return self.signal(26, self.c.pid, to, payload=reason)

    def pids(self) -> list[Pid]:
        return [pid for pid in self.a.runtime.processes() if pid != self.at_a.pid]

    def system(self) -> list[Pid]:
        """Return the processes of the node itself."""
        guarded = [self.actor(pid) for pid in self.a.runtime.processes()]
        return [actor.pid for actor in guarded if actor.guarded]

    def actor(self, pid: Pid) -> Actor:
        actor = self.a.runtime.actor(pid)
        assert actor is not None
        return actor

    def named(self, name: Atom) -> Pid:
        pid = self.a.whereis(name)
        assert pid is not None
        return pid

    def connector(self) -> Pid:
        pid = self.a.zen.system.connector_pid(str(self.b.name))
        assert pid is not None
        return pid

    def monitors_of(self, pid: Pid) -> list[Reference]:
        return list(self.actor(pid).relations.monitors)

    def watchers_of(self, pid: Pid) -> list[Reference]:
        return [ref for ref, (watcher, _) in self.actor(pid).relations.watchers.items() if watcher.node is self.b.name]

    async def obeyed(self) -> None:
        """Wait until all that C has sent has been taken: by an answer, or by the end of its link."""
        self.send(atoms.rex, (self.c.pid, atoms.features_request))
        while True:
            data = await asyncio.wait_for(self.c.reader.read(65536), 5)
            if not data or any("features_reply" in repr(event) for event in self.c.events_of(data)):
                break
        for _ in range(20):  # each turn takes what the one before has left
            await asyncio.sleep(0.002)

    # ---- what has to hold

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


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
async def scene(make_node: MakeNode) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        a, b = await make_node("a", zen=ZEN), await make_node("b", zen=ZEN)
        c = RawPeer("c@127.0.0.1")
        await c.connect(a)
        scene = Scene(a, b, c)
        await scene.prepare(stack)
        yield scene
        await c.close()


def guesses(refs: Iterable[Reference], node: Atom) -> list[Reference]:
    """Return what C would guess who knows the counters of all references, and not their random words."""
    return [
        Reference(node, ref.creation, words)
        for ref in refs
        for words in [(1, 0, 0, *ref.words[3:]), (0, 0, 0, *ref.words[3:]), (ref.words[3], 0, 0)]
    ]


def zen_down(ref: Any, pid: Any, reason: Any = atoms.forged) -> Any:
    return atoms.DOWN, ref, atoms.process, pid, reason


async def linked(scene: Scene, pid: Pid) -> None:
    scene.signal(1, scene.c.pid, pid)
    await scene.obeyed()


FORGERIES: dict[str, Callable[[Scene], Any]] = {
    # the table of the issue
    "nodedown to the Proxy": lambda s: s.send(ZenMonitor.Proxy, (atoms.nodedown, s.b.name)),
    "DOWN of the subscriber to Local": lambda s: s.send(ZenMonitor.Local, zen_down(atoms.x, s.at_a.pid, atoms.x)),
    "DOWN of B's Connector to all": lambda s: s.send_to_all(zen_down(atoms.x, s.connector_of_b)),
    "nodedown to all": lambda s: s.send_to_all((atoms.nodedown, s.b.name)),
    "dead summary to all": lambda s: s.send_to_all((atoms.dead, s.b.name, [(t, atoms.forged) for t in s.on_b])),
    "DOWNs with the Proxy's references": lambda s: [
        s.send(ZenMonitor.Proxy, zen_down(ref, pid))
        for ref in s.monitors_of(s.named(ZenMonitor.Proxy))
        for pid in s.on_a
    ],
    "ends of the Proxy's monitors": lambda s: [
        s.signal(28, s.c.pid, s.named(ZenMonitor.Proxy), ref, payload=atoms.forged)
        for ref in s.monitors_of(s.named(ZenMonitor.Proxy))
    ],
    "ends of all monitors, by pid and by name": lambda s: [
        s.signal(28, who, pid, ref, payload=atoms.forged)
        for pid in s.a.runtime.processes()
        for ref in s.monitors_of(pid)
        for who in (s.c.pid, s.on_b[0], atoms.name)
    ],
    "demonitor with B's reference": lambda s: [
        s.signal(20, s.c.pid, worker, ref) for worker in s.on_a for ref in s.watchers_of(worker)
    ],
    "demonitor with B's reference and B's pid": lambda s: [
        s.signal(20, s.at_b.pid, worker, ref) for worker in s.on_a for ref in s.watchers_of(worker)
    ],
    "second monitor with B's reference": lambda s: [
        s.signal(19, s.c.pid, worker, ref) for worker in s.on_a for ref in s.watchers_of(s.on_a[0])
    ],
    "unsubscribe for B's Connector": lambda s: s.send(
        ZenMonitor.Proxy,
        (CAST, (atoms.process, s.connector_of_b, [(atoms.unsubscribe, target) for target in s.on_a])),
    ),
    "suspend all": lambda s: s.send_to_all((atoms.system, (s.c.pid, atoms.x), atoms.suspend), s.system()),
    "EXIT as a message to the supervisors": lambda s: [
        s.send(name, (atoms.EXIT, pid, atoms.boom))
        for name in (ZenMonitor.Supervisor, ZenMonitor.Local.Supervisor, ZenMonitor.Proxy.Supervisor)
        for pid in (s.c.pid, *s.system())
    ],
    "kill the Connector of B": lambda s: s.exit2(s.connector(), atoms.kill),
    "kill the Proxy": lambda s: s.exit2(s.named(ZenMonitor.Proxy), atoms.kill),
    # others of their kinds
    "kill all processes of the node itself": lambda s: [s.exit2(pid, atoms.kill) for pid in s.system()],
    "exit all processes of the node itself": lambda s: [s.exit2(pid, atoms.boom) for pid in s.system()],
    "normal exit": lambda s: [s.exit2(pid, atoms.normal) for pid in s.system()],
    "links that end": lambda s: [
        (s.signal(1, s.c.pid, pid), s.signal(24, s.c.pid, pid, payload=atoms.boom)) for pid in s.system()
    ],
    "terminate by sys": lambda s: s.send_to_all(
        (atoms.system, (s.c.pid, atoms.x), (atoms.terminate, atoms.kill)), s.system()
    ),
    "sys orders by name": lambda s: [
        s.send(name, (atoms.system, (s.c.pid, ImproperList([atoms.alias], Reference("c@127.0.0.1", 9, [n]))), order))
        for n, name in enumerate((ZenMonitor.Proxy, ZenMonitor.Local, ZenMonitor.Local.Connector, atoms.rex))
        for order in (atoms.suspend, (atoms.replace_state, 1), (atoms.change_code, 1, 2, 3), (atoms.terminate, 1))
    ],
    "EXIT as a message to all, of all": lambda s: [
        s.send(to, (atoms.EXIT, pid, atoms.boom)) for to in s.pids() for pid in s.system()
    ],
    "nodeup and dial_failed to all": lambda s: [
        s.send_to_all(message)
        for message in ((atoms.nodeup, s.b.name), (atoms.dial_failed, s.b.name, b"x"), (atoms.nodedown, s.c.name))
    ],
    "a ping of B's": lambda s: s.send(ZenMonitor.Proxy, (CALL, (s.connector_of_b, atoms.x), atoms.ping)),
    "instructions for B's Connector": lambda s: s.send(
        ZenMonitor.Proxy,
        (CAST, (atoms.process, s.connector_of_b, [(atoms.subscribe, Pid(s.a.name, 99_999, 0, s.a.runtime.creation))])),
    ),
    "targets for B's Connector": lambda s: s.send(
        ZenMonitor.Proxy,
        (CAST, (atoms.subscribe, s.connector_of_b, [(atoms.nobody, s.a.name), (atoms.x, s.b.name)])),
    ),
    "instructions of the own Connector": lambda s: s.send(
        ZenMonitor.Proxy, (CAST, (atoms.process, s.connector(), [(atoms.subscribe, s.on_a[0])]))
    ),
    "summary in the name of C": lambda s: s.send_to_all((atoms.dead, s.c.name, [(t, atoms.forged) for t in s.on_b])),
    "summary in the name of A": lambda s: s.send_to_all((atoms.dead, s.a.name, [(t, atoms.forged) for t in s.on_b])),
    "answers to a ping": lambda s: [
        s.send(s.connector(), (ref, answer)) for ref in s.monitors_of(s.connector()) for answer in (atoms.pong, 1)
    ],
    "DOWNs of what the Connector watches": lambda s: [
        s.send(s.connector(), zen_down(ref, (ZenMonitor.Proxy, s.b.name))) for ref in s.monitors_of(s.connector())
    ],
    "DOWNs of the Batchers' monitors": lambda s: [
        s.send(pid, zen_down(ref, s.connector_of_b)) for pid in s.system() for ref in s.monitors_of(pid)
    ],
    "guessed ends of monitors": lambda s: [
        s.signal(28, s.c.pid, pid, guess, payload=atoms.forged)
        for pid in s.a.runtime.processes()
        for guess in guesses(s.monitors_of(pid), s.a.name)
    ],
    "unlink and acknowledge": lambda s: [
        (s.signal(35, 7, s.c.pid, pid), s.signal(36, 1, s.c.pid, pid), s.signal(4, s.c.pid, pid)) for pid in s.pids()
    ],
    "exits in the name of B": lambda s: s.signal(24, s.on_b[0], s.at_a.pid, payload=atoms.boom),
    "spawn replies": lambda s: [
        s.signal(31, ref, pid, 3, s.c.pid) for pid in s.a.runtime.processes() for ref in s.monitors_of(pid)
    ],
    "casts and calls of nonsense": lambda s: [
        s.send(pid, message)
        for pid in s.system()
        for message in ((CAST, (atoms.process, s.c.pid, atoms.x)), (CALL, (s.c.pid, 1), atoms.x), (CAST, 7), 7, ())
    ],
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
async def test_peer_that_speaks_for_others_is_heard_by_nobody(scene: Scene, forgery: Any) -> None:
    system = scene.system()

    forgery(scene)

    await scene.settle()
    assert set(system) - set(scene.system()) <= set(), "a process of the node has ended"


async def test_peer_that_ends_while_linked_with_everything_takes_nothing_along(scene: Scene) -> None:
    system = scene.system()
    for pid in system:
        scene.signal(1, scene.c.pid, pid)
    await scene.obeyed()

    await scene.c.close()
    await until(lambda: scene.c.name not in scene.a.nodes())
    await asyncio.sleep(0.02)

    assert set(system) <= set(scene.system())


async def test_refusals_are_counted(scene: Scene) -> None:
    before = scene.a.zen.statistics().counters["orders_refused"]

    scene.exit2(scene.named(ZenMonitor.Proxy), atoms.kill)
    scene.send(ZenMonitor.Local, (atoms.system, (scene.c.pid, atoms.x), atoms.suspend))
    await scene.obeyed()

    assert scene.a.zen.statistics().counters["orders_refused"] == before + 2


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


HIJACKS: dict[str, Callable[[Scene, Pid, Reference], Any]] = {
    "the end of a process of C": lambda s, pid, ref: s.signal(
        28, s.c.pid, pid, ref, payload=(ref, atoms["return"], atoms.forged)
    ),
    "the end of a process of B": lambda s, pid, ref: s.signal(
        28, s.on_b[0], pid, ref, payload=(ref, atoms["return"], atoms.forged)
    ),
    "the end of a name": lambda s, pid, ref: s.signal(28, atoms.erpc, pid, ref, payload=atoms.forged),
    "no process": lambda s, pid, ref: s.signal(28, s.c.pid, pid, ref, payload=atoms.noproc),
    "a spawn reply": lambda s, pid, ref: s.signal(31, ref, pid, 2, s.c.pid),
    "a refused spawn": lambda s, pid, ref: s.signal(31, ref, pid, 0, atoms.system_limit),
    "an exit": lambda s, pid, ref: s.signal(24, s.c.pid, pid, payload=(ref, atoms["return"], atoms.forged)),
    "guessed aliases": lambda s, pid, ref: [
        s.send(guess, (shape, atoms.forged))
        for guess in guesses([ref], s.a.name)
        for shape in (guess, ImproperList([atoms.alias], guess))
    ],
    "guessed replies": lambda s, pid, ref: [
        s.send(pid, (shape, atoms.forged))
        for guess in guesses([ref], s.a.name)
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
        hijack(scene, pid, ref)

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

    scene.send(child, (atoms.EXIT, scene.at_a.pid, atoms.boom))
    await scene.obeyed()

    assert await scene.a.call(child, 1) == [(atoms.EXIT, scene.at_a.pid, atoms.boom)]
    scene.at_a.unlink(child)


async def test_references_are_of_five_words_in_the_order_they_were_made(scene: Scene) -> None:
    refs = [scene.a.runtime.make_ref() for _ in range(1000)]

    assert {len(ref.words) for ref in refs} == {5}
    assert sorted(refs) == refs
    assert len({ref.words[:3] for ref in refs}) == 1000
    assert actor_of(scene.at_a).runtime is scene.a.runtime
