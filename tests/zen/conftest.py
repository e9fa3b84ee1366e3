"""Two nodes in memory, both with ZenMonitor, under virtual time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.requests import GEN_CALL, GEN_CAST
from pyzen.config import ZenConfig
from pyzen.terms import Atom, Pid, Reference, atoms
from pyzen.testing import Cluster, Hoarder, MemoryNode, Recorder, Sending
from pyzen.zen.batcher import Batchers
from pyzen.zen.connectors import Connectors
from pyzen.zen.names import BATCHERS, CONNECTORS, PROXY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyzen.zen.system import ZenStatistics


class World:
    """Nodes ``a`` (which watches) and ``b`` (which is watched, by default with ZenMonitor)."""

    def __init__(self, *, zen_on_b: bool = True) -> None:
        self.cluster = Cluster()
        self.a = self.cluster.node("a@memory", zen=ZenConfig())
        self.b = self.cluster.node("b@memory", zen=ZenConfig() if zen_on_b else None)
        self.me = self.a.spawn(Recorder())

    def say(self, to: Pid | Atom, message: Any) -> None:
        """Let ``a`` get a message that comes from ``b``, or from itself where there is no link."""
        epoch, _ = self.a.runtime.link(self.b.name) or (0, False)
        self.a.runtime.deliver(to.number if isinstance(to, Pid) else to, [message], epoch)

    def wait(self, seconds: float = 1.0) -> None:
        """Let so much time pass that sweeps, summaries and ticks have happened."""
        self.cluster.advance(seconds)

    def connect(self) -> None:
        """Link the nodes and let them find each other compatible."""
        self.cluster.connect(self.a, self.b)
        self.a.zen.connect(self.b.name, lambda _: None)
        self.b.zen.connect(self.a.name, lambda _: None)
        self.wait()
        assert self.a.zen.compatibility_for_node(self.b.name) == "compatible"

    def worker(self, name: str | None = None, node: MemoryNode | None = None) -> Pid:
        return (node or self.b).spawn(Recorder(), name=name)

    def workers(self, count: int) -> list[Pid]:
        return [self.worker() for _ in range(count)]

    def hoarder(self) -> tuple[Hoarder, Pid]:
        process = Hoarder()
        return process, self.a.spawn(process)

    def monitor(self, target: Any, subscriber: Pid | None = None) -> Reference:
        return self.a.zen.monitor(target, subscriber=subscriber or self.me)

    def downs(self, subscriber: Pid | None = None) -> list[tuple[Reference, Any]]:
        """Return reference and unwrapped reason of each DOWN so far."""
        found = []
        for message in self.a.messages(subscriber or self.me):
            match message:
                case (atoms.DOWN, Reference() as ref, atoms.process, _, (atoms.zen_monitor, reason)):
                    found.append((ref, reason))
                case _:
                    raise AssertionError(f"not a DOWN of ZenMonitor: {message!r}")
        return found

    def statistics(self) -> ZenStatistics:
        return self.a.zen.statistics()

    def instructions(self) -> list[tuple[str, Any]]:
        """Return every instruction that ``a`` has sent over the present link, the probe left out."""
        found = []
        for item in self.cluster.link(self.a, self.b).way(self.a).sent:
            match item:
                case Sending(to=to, message=(tag, (atoms.process, Pid(), items))) if tag is GEN_CAST and to is PROXY:
                    found += [(str(word), target) for word, target in items if not is_probe(target)]
        return found

    def chunks(self) -> list[int]:
        """Return how many instructions each message of ``a`` had, the probe counted."""
        messages = self.cluster.link(self.a, self.b).way(self.a).messages
        return [len(message[1][2]) for message in messages if message[0] is GEN_CAST]


class Peer:
    """A Connector as Elixir has it, on node ``b``: one pid for all epochs, subscribed to processes of ``a``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.recorder = Recorder()
        self.pid = world.b.spawn(self.recorder)

    def cast(self, request: Any) -> None:
        self.recorder.send((PROXY, self.world.a.name), (GEN_CAST, request))

    def send(self, *instructions: Any) -> None:
        self.cast((atoms.process, self.pid, list(instructions)))

    def subscribe(self, *targets: Any) -> None:
        self.send(*((atoms.subscribe, target) for target in targets))

    def unsubscribe(self, *targets: Any) -> None:
        self.send(*((atoms.unsubscribe, target) for target in targets))

    def ping(self, tag: Any) -> None:
        self.recorder.send((PROXY, self.world.a.name), (GEN_CALL, (self.pid, tag), atoms.ping))

    def summaries(self) -> list[list[Any]]:
        """Return the certificates of each dead summary so far."""
        found = []
        for message in self.recorder.messages:
            assert message[:2] == (atoms.dead, self.world.a.name)
            found.append(message[2])
        return found

    def certificates(self) -> list[Any]:
        return [certificate for summary in self.summaries() for certificate in summary]

    def batcher(self) -> Pid:
        registry = self.world.a.process(BATCHERS)
        assert isinstance(registry, Batchers)
        pid = registry.lookup(self.pid)
        assert pid is not None
        return pid


def connector_of(world: World) -> Pid:
    """Return the Connector of ``a`` for ``b``."""
    registry = world.a.process(CONNECTORS)
    assert isinstance(registry, Connectors)
    pid = registry.lookup(world.b.name)
    assert pid is not None
    return pid


def is_probe(target: Any) -> bool:
    return type(target) is tuple and target[0] is Atom("pyzen_probe")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def linked(world: World) -> World:
    """The nodes are linked and know each other to be compatible."""
    world.connect()
    return world


@pytest.fixture
def quiet() -> Iterator[None]:
    """Processes are killed on purpose."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)
