"""Parts of ZenMonitor end, are stopped and started, links come and go, at random: one outcome for each reference."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import pytest

from pyzen.actor.requests import GEN_CALL
from pyzen.actor.verbs import actor_of
from pyzen.terms import Atom, Pid, atoms
from pyzen.testing import MemoryNode, Recorder
from pyzen.zen.names import (
    BATCHERS,
    CONNECTORS,
    LOCAL_PARTS,
    LOCAL_SUPERVISOR,
    PROXY_PARTS,
    PROXY_SUPERVISOR,
    SUPERVISOR,
)
from tests.zen.conftest import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.terms import Reference

PARTS: Final = {
    LOCAL_SUPERVISOR: SUPERVISOR,
    PROXY_SUPERVISOR: SUPERVISOR,
    **dict.fromkeys(LOCAL_PARTS, LOCAL_SUPERVISOR),
    **dict.fromkeys(PROXY_PARTS, PROXY_SUPERVISOR),
}
"""The parts of ZenMonitor, and the supervisor of each; a half comes before what is in it."""

OF_LOCAL: Final = {LOCAL_SUPERVISOR, *LOCAL_PARTS}
STEPS: Final = 250
SERVING: Final = {"connectors", "remote_connectors", "batchers"}


class Books:
    """What was monitored, and what came of it.

    Attributes:
        dead: Targets that were killed.
        gone: References that need have no outcome: demonitored, of a dead subscriber, or dropped by a stop.
    """

    def __init__(self) -> None:
        self.targets: dict[Reference, Any] = {}
        self.reasons: dict[Reference, Any] = {}
        self.subscribers: dict[Reference, Pid] = {}
        self.dead: set[Pid] = set()
        self.gone: set[Reference] = set()
        self.flushed: set[Reference] = set()

    def take(self, subscriber: Pid, message: Any) -> None:
        """Enter a DOWN, which has to be the first, of the right process, and true."""
        tag, ref, _, _, (wrapper, reason) = message
        assert (tag, wrapper) == (atoms.DOWN, atoms.zen_monitor)
        assert self.subscribers[ref] == subscriber
        assert ref not in self.reasons, f"{ref!r} has a second DOWN"
        assert ref not in self.flushed, f"{ref!r} was demonitored"
        assert reason in {atoms.killed, atoms.noproc, atoms.nodedown}
        assert reason is atoms.nodedown or self.targets[ref] in self.dead, (
            f"the death of {self.targets[ref]!r} is made up"
        )
        self.reasons[ref] = reason

    def check(self) -> None:
        """Every reference has its outcome."""
        left = [ref for ref in self.targets if ref not in self.reasons and ref not in self.gone]
        assert left == []


class Play:
    """One run: two nodes, and dice."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = World()
        self.books = Books()
        self.stopped: set[Atom] = set()
        self.recorders: list[tuple[Pid, Recorder]] = []
        self.subscribers = [self.subscriber() for _ in range(3)]
        self.targets = [self.world.b.spawn(Recorder()) for _ in range(5)] + [self.world.a.spawn(Recorder())]
        self.world.cluster.connect(self.world.a, self.world.b)
        self.steps: list[tuple[int, Callable[[], None]]] = [
            (30, self.monitor), (5, self.demonitor), (8, self.kill_target), (2, self.kill_subscriber),
            (14, self.end_part), (10, self.order), (5, self.cut), (6, self.connect), (1, self.stop_and_start),
            (25, self.wait),
        ]  # fmt: skip

    def subscriber(self) -> Pid:
        recorder = Recorder()
        pid = self.world.a.spawn(recorder)
        self.recorders.append((pid, recorder))
        return pid

    def step(self) -> None:
        weights, steps = zip(*self.steps, strict=True)
        self.dice.choices(steps, weights)[0]()
        self.read()

    def read(self) -> None:
        for pid, recorder in self.recorders:
            messages, recorder.messages[:] = list(recorder.messages), []
            for message in messages:
                self.books.take(pid, message)

    # ---- what happens

    def monitor(self) -> None:
        target, subscriber = self.dice.choice(self.targets), self.dice.choice(self.subscribers)
        try:
            ref = self.world.a.zen.monitor(target, subscriber=subscriber)
        except RuntimeError:
            assert self.stopped & OF_LOCAL, "nobody has stopped the Local half"
            return
        self.books.targets[ref], self.books.subscribers[ref] = target, subscriber

    def demonitor(self) -> None:
        if self.books.targets:
            ref = self.dice.choice(list(self.books.targets))
            self.world.a.zen.demonitor(ref, flush=True)
            self.books.gone.add(ref)
            if ref not in self.books.reasons:
                self.books.flushed.add(ref)

    def kill_target(self) -> None:
        number = self.dice.randrange(len(self.targets))
        target = self.targets[number]
        node = self.home(target)
        node.kill(target)
        self.books.dead.add(target)
        self.targets[number] = node.spawn(Recorder())

    def home(self, pid: Pid) -> MemoryNode:
        return self.world.b if pid.node is self.world.b.name else self.world.a

    def kill_subscriber(self) -> None:
        number = self.dice.randrange(len(self.subscribers))
        pid = self.subscribers[number]
        self.world.a.kill(pid)
        self.books.gone |= {ref for ref, subscriber in self.books.subscribers.items() if subscriber == pid}
        self.subscribers[number] = self.subscriber()

    def node(self) -> MemoryNode:
        return self.world.a if self.dice.random() < 0.75 else self.world.b

    def end_part(self) -> None:
        node = self.node()
        pids = [pid for name in (SUPERVISOR, *PARTS) if (pid := node.runtime.whereis(name)) is not None]
        for registry in (CONNECTORS, BATCHERS):
            if node.runtime.whereis(registry) is not None:
                pids += [actor_of(one).pid for one in node.process(registry).live()]
        if pids:
            pid = self.dice.choice(pids)
            node.kill(pid, self.dice.choice([atoms.kill, atoms.boom]))

    def order(self) -> None:
        """Let an operator stop or start a part."""
        node, part = self.node(), self.dice.choice(list(PARTS))
        word = self.dice.choice([atoms.terminate_child, atoms.restart_child, atoms.restart_child])
        if node is self.world.a and word is atoms.terminate_child:
            self.stopped.add(part)
        operator = Recorder()
        operator_pid = self.world.b.spawn(operator)
        operator.send((PARTS[part], node.name), (GEN_CALL, (operator_pid, 1), (word, part)))

    def cut(self) -> None:
        self.world.cluster.cut(self.world.a, self.world.b)

    def connect(self) -> None:
        self.world.cluster.connect(self.world.a, self.world.b)

    def stop_and_start(self) -> None:
        self.world.a.zen.stop()
        self.books.gone |= self.books.targets.keys() - self.books.reasons.keys()
        self.world.a.zen.start()

    def wait(self) -> None:
        self.world.wait(self.dice.choice([0.0, 0.0, 0.001, 0.05, 0.3, 1.0, 3.0, 70.0]))

    # ---- the end

    def mend(self) -> None:
        """Let everything be there once more, and know of each other."""
        self.world.cluster.heal(self.world.a, self.world.b)
        self.connect()
        self.world.wait(120)
        for node in (self.world.a, self.world.b):
            for part, above in PARTS.items():
                node.runtime.deliver(above, [(GEN_CALL, (self.world.me, 1), (atoms.restart_child, part))])
                self.world.wait(0.1)
        self.stopped.clear()
        self.world.wait(150)

    def finish(self) -> None:
        self.mend()
        self.read()
        fresh = []
        for target in self.targets:
            self.books.targets[ref := self.world.monitor(target, self.subscribers[0])] = target
            self.books.subscribers[ref] = self.subscribers[0]
            fresh.append(ref)
        self.world.wait(10)
        for target in list(self.targets):
            self.home(target).kill(target)
            self.books.dead.add(target)
        self.world.wait(200)
        self.read()
        self.books.check()
        assert {self.books.reasons[ref] for ref in fresh} == {atoms.killed}
        for node in (self.world.a, self.world.b):
            sizes = node.zen.statistics().sizes()
            assert {name: size for name, size in sizes.items() if size and name not in SERVING} == {}


@pytest.mark.parametrize("seed", range(25))
def test_every_reference_has_one_outcome_whatever_happens(quiet: None, seed: int) -> None:
    play = Play(seed)
    for _ in range(STEPS):
        play.step()
    play.finish()
