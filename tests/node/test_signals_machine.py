"""Links and monitors of two nodes as a state machine: whatever happens in whatever order, Erlang's rules hold.

Signals are on the way for as long as the machine likes. At any moment: at most one DOWN per monitor, none after a
demonitor with flush, at most one exit signal per link. When all has arrived: every monitor of what has gone has fired
once, none of what lives has, and both halves of each link agree.

Source: Erlang Reference Manual, "Processes"; OTP, "Distribution Protocol", section "New link protocol".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyzen.actor.gen_server import GenServer
from pyzen.actor.verbs import actor_of
from pyzen.terms import Atom, Pid, Reference, atoms
from pyzen.testing import Cluster
from tests import profiles

# The youngest processes have the lowest: few enough that two of them have more than one thing between them.
INDEX = st.integers(0, 3)
REASONS = [atoms.normal, atoms.kill, atoms.boom, (atoms.shutdown, 1)]
NAMES = [Atom("one@h"), Atom("other@h")]


class Peer(GenServer):
    """Records what it is told."""

    def __init__(self, *, trap_exit: bool) -> None:
        super().__init__()
        self.trap_exit = trap_exit
        self.downs: list[tuple[Reference, Any]] = []
        self.exits: list[Pid] = []

    def handle_info(self, message: Any) -> None:
        match message:
            case (atoms.DOWN, ref, atoms.process, _, reason):
                self.downs.append((ref, reason))
            case (atoms.EXIT, pid, _reason):
                self.exits.append(pid)


@dataclass
class Monitor:
    """One monitor as the machine knows it."""

    watcher: Peer
    target: Peer
    ref: Reference
    dropped: bool = False
    lost: bool = False


@dataclass
class Links:
    """How often two processes were linked, by either of them: no more exit signals can come of it."""

    asked: dict[tuple[Pid, Pid], int] = field(default_factory=dict)

    def add(self, one: Pid, other: Pid) -> None:
        for key in ((one, other), (other, one)):
            self.asked[key] = self.asked.get(key, 0) + 1


class Signals(RuleBasedStateMachine):
    """Random life of processes on two nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.nodes = [self.cluster.node(str(name)) for name in NAMES]
        self.peers: list[Peer] = []
        self.monitors: list[Monitor] = []
        self.links = Links()
        self.unlinked: dict[tuple[Pid, Pid], int] = {}
        self.exit_senders: set[Pid] = set()  # signals of ``exit/2`` look like those of a link

    # ---- what the machine does

    def connected(self) -> bool:
        return self.nodes[1].name in self.nodes[0].links.ways

    def pick(self, index: int) -> Peer:
        return self.peers[-1 - index % len(self.peers)]

    @initialize()
    def begin(self) -> None:
        self.connect()
        for node in (0, 1, 0, 1):
            self.spawn(node, trap_exit=True)

    def teardown(self) -> None:
        self.settle()

    def freeze(self) -> None:
        """Let signals stay on the way until they are delivered one by one."""
        if self.connected():
            self.cluster.link(*self.nodes).freeze()

    @rule(node=st.integers(0, 1), trap_exit=st.booleans())
    def spawn(self, node: int, trap_exit: bool) -> None:
        peer = Peer(trap_exit=trap_exit)
        self.nodes[node].spawn(peer)
        self.peers.append(peer)

    @rule(index=INDEX, other=INDEX)
    def link(self, index: int, other: int) -> None:
        one, two = self.pick(index), self.pick(other)
        if not actor_of(one).ended:
            self.links.add(one.pid, two.pid)
            for pair in ((one.pid, two.pid), (two.pid, one.pid)):
                self.unlinked.pop(pair, None)
            one.link(two.pid)

    @rule(index=INDEX, other=INDEX)
    def unlink(self, index: int, other: int) -> None:
        one, two = self.pick(index), self.pick(other)
        state = actor_of(one).relations.links.get(two.pid)
        if not actor_of(one).ended:
            one.unlink(two.pid)
            if state is not None:
                self.unlinked[one.pid, two.pid] = one.exits.count(two.pid)

    @rule(index=INDEX, other=INDEX)
    def monitor(self, index: int, other: int) -> None:
        watcher, target = self.pick(index), self.pick(other)
        if not actor_of(watcher).ended and watcher is not target:
            ref = watcher.monitor(target.pid)
            self.monitors.append(Monitor(watcher, target, ref, lost=False))

    @precondition(lambda self: self.monitors)
    @rule(index=st.integers(0, 9))
    def demonitor(self, index: int) -> None:
        monitor = self.monitors[-1 - index % len(self.monitors)]
        if not actor_of(monitor.watcher).ended:
            monitor.watcher.demonitor(monitor.ref, flush=True)
            if monitor.ref not in dict(monitor.watcher.downs):
                monitor.dropped = True

    @rule(index=INDEX, other=INDEX, reason=st.sampled_from(REASONS))
    def send_exit(self, index: int, other: int, reason: Any) -> None:
        one, two = self.pick(index), self.pick(other)
        if not actor_of(one).ended:
            self.exit_senders.add(one.pid)
            one.send_exit(two.pid, reason)

    @rule(index=INDEX, reason=st.sampled_from(REASONS))
    def end(self, index: int, reason: Any) -> None:
        actor_of(self.pick(index)).end(reason)

    @rule(counts=st.tuples(st.integers(0, 2), st.integers(0, 2)))
    def deliver(self, counts: tuple[int, int]) -> None:
        """Let a few signals arrive, and processes take them."""
        if self.connected():
            link = self.cluster.link(*self.nodes)
            for node, count in zip(self.nodes, counts, strict=True):
                link.way(node).flush(count)
        self.cluster.run_until_idle()
        self.freeze()

    @rule()
    def disconnect(self) -> None:
        if not self.connected():
            return  # what waits for a dial is not lost
        for monitor in self.monitors:
            if monitor.watcher.node is not monitor.target.node:
                monitor.lost = True
        self.cluster.cut(*self.nodes)

    @rule()
    def connect(self) -> None:
        self.cluster.connect(*self.nodes)
        self.freeze()

    # ---- what holds

    @rule()
    def settle(self) -> None:
        """Let everything arrive, then compare both sides."""
        for _ in range(20):
            if self.connected():
                self.cluster.link(*self.nodes).thaw()
            self.cluster.run_until_idle()
        for monitor in self.monitors:
            self.check_monitor(monitor)
        for peer in self.peers:
            self.check_links(peer)
        self.freeze()

    def check_monitor(self, monitor: Monitor) -> None:
        if actor_of(monitor.watcher).ended:
            return
        count = [ref for ref, _ in monitor.watcher.downs].count(monitor.ref)
        if monitor.dropped:
            assert count == 0
        elif actor_of(monitor.target).ended or monitor.lost:
            assert count == 1
        else:
            assert count == 0

    def check_links(self, peer: Peer) -> None:
        if actor_of(peer).ended:
            return
        for pid, state in actor_of(peer).relations.links.items():
            assert state.active, "an unlink was never acknowledged"
            other = self.process(pid)
            assert other is not None, "a link with a dead process"
            if pid != peer.pid:
                assert actor_of(other).relations.links[peer.pid].active

    def process(self, pid: Pid) -> Peer | None:
        return next((peer for peer in self.peers if peer.pid == pid and not actor_of(peer).ended), None)

    @invariant()
    def no_monitor_fires_twice(self) -> None:
        for peer in self.peers:
            refs = [ref for ref, _ in peer.downs]
            assert len(refs) == len(set(refs))

    @invariant()
    def no_dropped_monitor_fires(self) -> None:
        for monitor in self.monitors:
            assert not monitor.dropped or monitor.ref not in dict(monitor.watcher.downs)

    @invariant()
    def no_link_exits_more_often_than_it_was_made(self) -> None:
        for peer in self.peers:
            for pid in set(peer.exits):
                if pid not in self.exit_senders:
                    assert peer.exits.count(pid) <= self.links.asked.get((peer.pid, pid), 0)

    @invariant()
    def no_link_exits_after_unlink_has_returned(self) -> None:
        for peer in self.peers:
            for (own, other), count in self.unlinked.items():
                if own == peer.pid and other not in self.exit_senders:
                    assert peer.exits.count(other) == count


TestSignals = Signals.TestCase
TestSignals.settings = settings(
    max_examples=1000 if profiles.NAME == "ci" else 60, stateful_step_count=60, deadline=None
)
