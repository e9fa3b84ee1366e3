"""Random histories of two nodes: every monitor has exactly one outcome, and an allowed one."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyzen.actor.verbs import actor_of
from pyzen.config import ZenConfig
from pyzen.terms import Atom, Pid, Reference, atoms
from pyzen.testing import Cluster, MemoryNode, Recorder
from pyzen.zen.batcher import Batchers
from pyzen.zen.connectors import Connectors
from pyzen.zen.names import BATCHERS, CONNECTORS, DISPATCHER, LOCAL, PROXY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzen.zen.connector import Connector

NAMES = [Atom(f"name{number}") for number in range(3)]
PROXIES = [(PROXY, Atom("a@model")), (PROXY, Atom("b@model"))]
SUBSCRIBERS = 3
RESTARTS = 3  # a supervisor allows that many in five seconds


@dataclass
class Monitor:
    """A reference and what may come of it."""

    target: Any
    subscriber: int
    demonitored: bool = False
    reasons: list[Any] = field(default_factory=list)


class History(RuleBasedStateMachine):
    """What happens to two nodes, and what the model expects."""

    @initialize(
        chunk=st.sampled_from([1, 2, 5000]),
        demand=st.sampled_from([1, 3, 1000]),
        fair=st.booleans(),
        has_zen=st.booleans(),
    )
    def start(self, chunk: int, demand: int, fair: bool, has_zen: bool) -> None:
        logging.disable(logging.ERROR)
        self.cluster = Cluster()
        # Without `has_zen` the node b begins as one that has no ZenMonitor, and its targets get ERTS monitors.
        config = ZenConfig(connector_chunk_size=chunk, demand_amount=demand, fair=fair, batcher_chunk_size=chunk)
        config.incompatible = "nodedown" if has_zen else "erts"
        self.a = self.cluster.node("a@model", zen=config)
        self.b = self.cluster.node("b@model", zen=ZenConfig(batcher_chunk_size=chunk) if has_zen else None)
        self.recorders = [Recorder() for _ in range(SUBSCRIBERS)]
        self.subscribers = [self.a.spawn(recorder) for recorder in self.recorders]
        self.monitors: dict[Reference, Monitor] = {}
        self.pids: list[Pid] = [self.b.spawn(Recorder()), self.a.spawn(Recorder())]
        self.killed: set[Pid] = set()
        self.disturbed = False
        self.crashed = False
        self.kills: list[float] = []
        self.linked = True
        self.cluster.connect(self.a, self.b)

    def teardown(self) -> None:
        """Let everything come to rest and compare the outcomes."""
        if not hasattr(self, "cluster"):
            return
        self.mend()
        self.cluster.advance(300)
        self.collect()
        for ref, monitor in self.monitors.items():
            self.check_outcome(ref, monitor)
        waiting = [m for m in self.monitors.values() if self.waits(m)]
        sizes = self.a.zen.statistics().sizes()
        assert sizes["references"] == sizes["live"] == len(waiting)
        assert sizes["pending"] == sizes["fired"] == sizes["batches"] == 0
        assert sizes["erts_monitors"] == self.standing_monitors() <= len(waiting)
        if self.b.has_zen:
            assert self.b.zen.statistics().certificates == 0
        logging.disable(logging.NOTSET)

    def standing_monitors(self) -> int:
        """Return how many ERTS monitors the Connectors have, those of Proxies left out."""
        connectors = self.connectors(self.a)
        return sum(target not in PROXIES for one in connectors for target in actor_of(one).relations.monitors.values())

    def waits(self, monitor: Monitor) -> bool:
        return not (monitor.demonitored or monitor.reasons) and not actor_of(self.recorders[monitor.subscriber]).ended

    # ---- what happens

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.5, 3.0, 20.0]))
    def advance(self, seconds: float) -> None:
        self.cluster.advance(seconds)

    @rule(on_b=st.booleans())
    def spawn(self, on_b: bool) -> None:
        self.pids.append((self.b if on_b else self.a).spawn(Recorder()))

    @rule(name=st.sampled_from(NAMES))
    def spawn_named(self, name: Atom) -> None:
        if self.b.runtime.whereis(name) is None:
            self.b.spawn(Recorder(), name=name)

    @rule(index=st.integers(0, 20), subscriber=st.integers(0, SUBSCRIBERS - 1))
    def monitor_pid(self, index: int, subscriber: int) -> None:
        self.monitor(self.pids[index % len(self.pids)], subscriber)

    @rule(name=st.sampled_from(NAMES), subscriber=st.integers(0, SUBSCRIBERS - 1))
    def monitor_name(self, name: Atom, subscriber: int) -> None:
        self.monitor((name, self.b.name), subscriber)

    def monitor(self, target: Any, subscriber: int) -> None:
        ref = self.a.zen.monitor(target, subscriber=self.subscribers[subscriber])
        self.monitors[ref] = Monitor(target, subscriber)

    @precondition(lambda self: self.monitors)
    @rule(index=st.integers(0, 30), flush=st.booleans())
    def demonitor(self, index: int, flush: bool) -> None:
        ref = list(self.monitors)[index % len(self.monitors)]
        self.collect()
        self.a.zen.demonitor(ref, flush=flush)
        self.monitors[ref].demonitored = flush or not self.monitors[ref].reasons

    @rule(index=st.integers(0, 20), reason=st.sampled_from([atoms.kill, atoms.boom]))
    def end(self, index: int, reason: Any) -> None:
        pid = self.pids[index % len(self.pids)]
        node = self.node_of(pid)
        if node is not None and node.runtime.process(pid) is not None:
            node.kill(pid, reason)
            self.killed.add(pid)

    @rule(name=st.sampled_from(NAMES))
    def end_named(self, name: Atom) -> None:
        if self.b.runtime.whereis(name) is not None:
            self.b.kill(name)

    @rule(subscriber=st.integers(0, SUBSCRIBERS - 1))
    def end_subscriber(self, subscriber: int) -> None:
        if not actor_of(self.recorders[subscriber]).ended:
            self.a.kill(self.subscribers[subscriber])
            self.cluster.run_until_idle()
            self.recorders[subscriber] = Recorder()
            self.subscribers[subscriber] = self.a.spawn(self.recorders[subscriber])
            for ref in [ref for ref, m in self.monitors.items() if m.subscriber == subscriber]:
                del self.monitors[ref]

    @rule()
    def cut(self) -> None:
        self.disturbed = True
        self.cluster.cut(self.a, self.b)

    @rule()
    def connect(self) -> None:
        if self.linked:
            self.cluster.connect(self.a, self.b)

    @rule()
    def partition(self) -> None:
        self.disturbed, self.linked = True, False
        self.cluster.partition(self.a, self.b)

    @rule()
    def heal(self) -> None:
        self.linked = True
        self.cluster.heal(self.a, self.b)

    @rule(frozen=st.booleans())
    def freeze(self, frozen: bool) -> None:
        # A ping on a frozen link times out.
        self.disturbed = self.disturbed or frozen
        if self.a.links.up(self.b.name) is not None:
            link = self.cluster.link(self.a, self.b)
            if frozen:
                link.freeze()
            else:
                link.thaw()

    @rule(busy=st.booleans())
    def fill(self, busy: bool) -> None:
        if self.a.links.up(self.b.name) is not None:
            self.cluster.link(self.a, self.b).set_busy(busy=busy)

    @precondition(lambda self: self.may_kill())
    @rule(name=st.sampled_from([LOCAL, DISPATCHER, CONNECTORS]))
    def crash_local(self, name: Atom) -> None:
        self.crashed = self.crashed or name is CONNECTORS
        self.crash(self.a, name)

    @rule(setting=st.sampled_from(["nodedown", "erts"]))
    def switch(self, setting: Literal["nodedown", "erts"]) -> None:
        # What comes now may fire, for b may be incompatible.
        self.disturbed = self.disturbed or setting == "nodedown"
        self.a.zen.config.incompatible = setting

    @rule()
    def start_zen(self) -> None:
        if not self.b.has_zen:
            self.b.start_zen(ZenConfig())

    @rule()
    def stop_zen(self) -> None:
        if self.b.has_zen and self.b.zen.is_running:
            self.disturbed = True
            self.b.zen.stop()

    @rule()
    def restart_zen(self) -> None:
        if self.b.has_zen:
            self.b.zen.start()

    @precondition(lambda self: self.may_kill())
    @rule(name=st.sampled_from([PROXY, BATCHERS]))
    def crash_proxy(self, name: Atom) -> None:
        self.disturbed = self.disturbed or name is PROXY
        self.crash(self.b, name)

    @rule()
    def crash_connector(self) -> None:
        self.crashed = True
        self.kill_all([connector.pid for connector in self.connectors(self.a)], self.a)

    def connectors(self, node: MemoryNode) -> list[Connector]:
        registry = node.runtime.process(node.runtime.whereis(CONNECTORS) or self.pids[0])
        return registry.live() if isinstance(registry, Connectors) else []

    @rule()
    def crash_batchers(self) -> None:
        registry = self.b.runtime.process(self.b.runtime.whereis(BATCHERS) or self.pids[0])
        if isinstance(registry, Batchers):
            self.kill_all([batcher.pid for batcher in registry.live()], self.b)

    def kill_all(self, pids: Sequence[Pid], node: MemoryNode) -> None:
        for pid in pids:
            node.kill(pid)

    def may_kill(self) -> bool:
        now = self.cluster.clock.now()
        return len([when for when in self.kills if when > now - 6]) < RESTARTS

    def crash(self, node: MemoryNode, name: Atom) -> None:
        if node.runtime.whereis(name) is not None:
            self.kills.append(self.cluster.clock.now())
            node.kill(name)

    @rule()
    def restart_b(self) -> None:
        self.disturbed = True
        self.killed |= {pid for pid in self.pids if pid.node is self.b.name}
        self.cluster.stop(self.b)
        self.b = self.cluster.node("b@model", zen=ZenConfig())

    # ---- what is expected

    def node_of(self, pid: Pid) -> MemoryNode | None:
        return next((node for node in (self.a, self.b) if node.runtime.process(pid) is not None), None)

    def mend(self) -> None:
        self.heal()
        self.connect()
        self.freeze(frozen=False)
        self.fill(busy=False)

    def collect(self) -> None:
        """Take what has been received."""
        for recorder in self.recorders:
            received, recorder.messages = recorder.messages, []
            for _, ref, _, target, (tag, reason) in received:
                assert tag is atoms.zen_monitor
                monitor = self.monitors[ref]
                assert self.recorders[monitor.subscriber] is recorder
                assert target == monitor.target
                assert not monitor.demonitored
                monitor.reasons.append(reason)

    @invariant()
    def nothing_fires_twice(self) -> None:
        if hasattr(self, "cluster"):
            self.collect()
            assert all(len(monitor.reasons) <= 1 for monitor in self.monitors.values())

    def check_outcome(self, ref: Reference, monitor: Monitor) -> None:
        if monitor.demonitored:
            return
        alive, may_have_died = self.fate(monitor.target)
        if not monitor.reasons:
            assert alive, f"{ref!r} to {monitor.target!r} was lost"
            assert self.a.zen.monitors(monitor.target, self.subscribers[monitor.subscriber]).count(ref) == 1
            return
        reason = monitor.reasons[0]
        if reason is atoms.nodedown:
            is_named = type(monitor.target) is tuple
            assert self.disturbed or (self.crashed and is_named)
        else:
            assert may_have_died, f"{ref!r} to {monitor.target!r} was invented: {reason!r}"
            assert reason in {atoms.killed, atoms.boom, atoms.noproc}

    def fate(self, target: Any) -> tuple[bool, bool]:
        """Say whether a target is alive now, and whether it may have been dead at some time."""
        if type(target) is tuple:
            return self.b.runtime.whereis(target[0]) is not None, True
        return self.node_of(target) is not None, target in self.killed


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
