"""What the end of a process costs, counted in steps of the interpreter: as much with 500 nodes as with 10."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from pyzen.actor.reasons import NORMAL, SHUTDOWN
from pyzen.actor.verbs import actor_of
from pyzen.config import ZenConfig
from pyzen.terms import Atom
from pyzen.testing import Cluster, Recorder
from pyzen.zen.connectors import Connectors
from pyzen.zen.names import CONNECTORS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from pyzen.actor.actor import Actor
    from pyzen.testing import MemoryNode

FEW, MANY = 10, 500


def steps_of(function: Callable[[], object]) -> int:
    """Return how many instructions of Python code, and of calls of C code, a function takes."""
    count = 0

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


class Scene:
    """Node ``a`` with peers, each of which shares something with a process of it."""

    def __init__(self, peers: int) -> None:
        self.cluster = Cluster()
        self.a = self.cluster.node("a@memory", zen=ZenConfig())
        self.others = [self.cluster.node(f"n{number}@memory") for number in range(peers)]
        self.busy = Recorder()
        self.a.spawn(self.busy)
        for other in self.others:
            self.cluster.connect(self.a, other)
            self.busy.monitor(other.spawn(Recorder()))
            self.a.runtime.monitor_node(other.name, self.busy.pid)
        self.cluster.run_until_idle()

    def process(self) -> Recorder:
        process = Recorder()
        self.a.spawn(process)
        self.cluster.run_until_idle()
        return process

    def watched(self) -> Recorder:
        """Return a process that one peer watches, as that of an inbound call is."""
        process, watcher = self.process(), Recorder()
        self.others[0].spawn(watcher)
        watcher.monitor(process.pid)
        self.cluster.run_until_idle()
        return process

    def end(self, process: Recorder) -> int:
        return steps_of(lambda: actor_of(process).end(NORMAL))


def costs(of: Callable[[Scene], int]) -> list[int]:
    """Return what something costs with few and with many nodes."""
    of(Scene(FEW))  # since Python 3.12, code that is traced for the first time does not tell all instructions
    return [of(Scene(count)) for count in (FEW, MANY)]


def test_the_end_of_a_process_costs_the_same_however_many_nodes_there_are() -> None:
    few, many = costs(lambda scene: scene.end(scene.process()))

    assert few == many > 0


def test_the_end_of_a_call_of_a_peer_costs_the_same_however_many_nodes_there_are() -> None:
    few, many = costs(lambda scene: scene.end(scene.watched()))

    assert few == many > 0


def test_nodes_that_were_once_seen_cost_nothing() -> None:
    scene = Scene(FEW)
    scene.end(scene.watched())
    before = scene.end(scene.watched())
    for number in range(MANY):
        other = scene.cluster.node(f"once{number}@memory")
        scene.cluster.connect(scene.a, other)
        process, watcher = scene.process(), Recorder()
        other.spawn(watcher)
        watcher.monitor(process.pid)
        scene.cluster.run_until_idle()
        scene.end(process)

    assert scene.end(scene.watched()) == before
    assert len(list(scene.a.runtime.related())) == FEW


def connector(node: MemoryNode, name: str) -> Actor:
    registry = node.process(CONNECTORS)
    assert isinstance(registry, Connectors)
    return node.actor(registry.lookup_or_start(Atom(name)))


def test_the_end_of_a_connector_costs_the_same_however_many_there_are() -> None:
    found = []
    for count in (FEW, MANY):
        cluster = Cluster()
        node = cluster.node("a@memory", zen=ZenConfig())
        for number in range(count):
            connector(node, f"none{number}@memory")
        cluster.run_until_idle()
        for number in 7, 8, 9:
            end = partial(connector(node, f"none{number}@memory").end, SHUTDOWN)
            found.append(steps_of(end) + steps_of(cluster.run_until_idle))

    assert found[2] == found[-1] > 0


def test_what_a_process_shared_is_forgotten_with_it() -> None:
    scene = Scene(FEW)

    scene.end(scene.busy)

    assert list(scene.a.runtime.related()) == []
    assert actor_of(scene.busy).nodes == ()


def test_a_node_that_comes_and_goes_leaves_nothing() -> None:
    scene = Scene(FEW)
    for _ in range(5):
        scene.cluster.cut(scene.a, scene.others[0])
        scene.cluster.connect(scene.a, scene.others[0])
        scene.busy.monitor(scene.others[0].spawn(Recorder()))
        scene.cluster.run_until_idle()

    assert len(actor_of(scene.busy).nodes) == FEW
    assert len(set(actor_of(scene.busy).nodes)) == FEW
