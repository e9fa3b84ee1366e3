"""Nodes in memory, under virtual time: what the hard cases of actors and ZenMonitor are tested with.

A `Cluster` has a clock that stands still until `Cluster.advance` moves it, and `MemoryNode`s that are real routers
with real processes; only the links between them are lists instead of sockets. Signals keep their order per link, and
messages are encoded and decoded on the way. Nothing here sleeps, opens a port or needs an event loop; processes with
``async def`` callbacks do, and are not for these nodes.

    cluster = Cluster()
    a, b = cluster.node("a@memory", zen=ZenConfig()), cluster.node("b@memory", zen=ZenConfig())
    me, worker = a.spawn(Recorder()), b.spawn(Recorder())
    ref = a.zen.monitor(worker, subscriber=me)
    cluster.advance(1.0)
    b.kill(worker)
    cluster.advance(1.0)
    assert a.messages(me) == [(atoms.DOWN, ref, atoms.process, worker, (atoms.zen_monitor, atoms.killed))]
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast, final

from pyzen.actor.gen_server import GenServer
from pyzen.actor.loop import Loop
from pyzen.actor.mailbox import NOTHING, message_of
from pyzen.actor.reasons import KILL
from pyzen.actor.runtime import Sent
from pyzen.actor.scheduler import Scheduler
from pyzen.actor.signals import Exit2, Signal, SpawnRequest
from pyzen.actor.verbs import Verbs, actor_of
from pyzen.errors import EncodeError
from pyzen.etf import decode, encode
from pyzen.node.router import Router
from pyzen.terms import Atom, Pid, Reference, atoms
from pyzen.zen.system import ZenSystem

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.actor import Actor
    from pyzen.config import ZenConfig
    from pyzen.node.outlet import Outlet

__all__ = ["Cluster", "MemoryLink", "MemoryNode", "Recorder", "VirtualClock"]


@final
class VirtualTimer:
    """A timer of a `VirtualClock`."""

    __slots__ = ("callback", "cancelled")

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Never call the callback."""
        self.cancelled = True


@final
class VirtualClock:
    """Time that moves only when told to. Timers of one moment fire in the order they were made."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[tuple[float, int, VirtualTimer]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        """Return seconds since the clock was made."""
        return self._now

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> VirtualTimer:
        """Call ``callback(*args)`` once the clock has moved by ``delay`` seconds."""
        timer = VirtualTimer(lambda: callback(*args))
        heapq.heappush(self._timers, (self._now + max(0.0, delay), next(self._numbers), timer))
        return timer

    def next_timer(self) -> float | None:
        """Return when the next timer is due; None without one."""
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def fire_due(self) -> bool:
        """Call the first timer that is due; false when none is."""
        due = self.next_timer()
        if due is None or due > self._now:
            return False
        heapq.heappop(self._timers)[2].callback()
        return True

    def move_to(self, when: float) -> None:
        """Move the clock; fires nothing."""
        self._now = max(self._now, when)


class Recorder(GenServer):
    """A process that keeps what it gets: ``messages`` are all but calls and casts."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []

    def handle_info(self, message: Any) -> None:
        """Keep a message."""
        self.messages.append(message)


@final
class Hoarder(Verbs):
    """A process that reads nothing unless told to."""

    _pyzen_loop: ClassVar[type[Loop]] = Loop

    def read(self) -> Any:
        """Take the first message, None when there is none."""
        actor = actor_of(self)
        actor.fetch()
        message = message_of(actor.mail.take_first())
        return None if message is NOTHING else message

    @property
    def messages(self) -> list[Any]:
        """What is in the mailbox."""
        actor = actor_of(self)
        actor.fetch()
        return list(actor.mail)


@final
@dataclass(frozen=True, slots=True)
class Sending:
    """A message on its way to another node."""

    from_pid: Pid
    to: Pid | Atom | Reference
    message: Any


def through_the_wire(term: Any) -> Any:
    """Return what the other end gets. Raises ``EncodeError``."""
    return decode(encode(term))


class Way:
    """What goes in one direction, in order: an `Outlet` that keeps it."""

    epoch = 0
    busy = False

    def __init__(self) -> None:
        self.waiting: deque[Sending | Signal] = deque()

    def put(self, item: Sending | Signal) -> None:
        """Add what goes out next."""
        self.waiting.append(item)

    def send(self, from_pid: Pid, to: Pid | Atom | Reference, message: Any, *, priority: bool = False) -> Sent:
        """Send a message. Raises ``EncodeError``."""
        self.put(Sending(from_pid, to, through_the_wire(message)))
        return Sent.BUSY if self.busy else Sent.SENT

    def signal(self, signal: Signal) -> bool:
        """Send any other signal. Raises ``EncodeError`` for the arguments of a spawn request."""
        if signal.payload is not None:
            try:
                payload = through_the_wire(getattr(signal, signal.payload))
            except EncodeError:
                if type(signal) is SpawnRequest:
                    raise
                payload = atoms.unencodable
            setattr(signal, signal.payload, payload)
        self.put(signal)
        return True

    def suspend_while_busy(self, actor: Actor) -> None:
        """Never suspend: tests look at who is busy themselves."""


@final
class HalfLink(Way):
    """One direction of a link that is up."""

    def __init__(self, cluster: Cluster, epoch: int, sender: MemoryNode, receiver: MemoryNode) -> None:
        super().__init__()
        self._cluster = cluster
        self._sender = sender.name
        self._receiver = receiver
        self._pumping = False
        self.epoch = epoch
        self.busy = False
        self.frozen = False
        self.delay = 0.0
        self.sent: list[Sending | Signal] = []

    def put(self, item: Sending | Signal) -> None:
        """Add what goes out next, and let it travel."""
        self.sent.append(item)
        self.waiting.append(item)
        self.pump_soon()

    @property
    def messages(self) -> list[Any]:
        """The messages sent so far, without what is no message."""
        return [item.message for item in self.sent if isinstance(item, Sending)]

    def pump_soon(self) -> None:
        """Deliver what waits, after the delay, unless frozen."""
        if self._pumping or self.frozen or not self.waiting:
            return
        self._pumping = True
        self._cluster.clock.call_later(self.delay, self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if not self.frozen:
            self.flush(len(self.waiting))

    def flush(self, count: int) -> None:
        """Deliver ``count`` messages and signals now."""
        router = self._receiver.runtime
        for _ in range(min(count, len(self.waiting))):
            item = self.waiting.popleft()
            if isinstance(item, Sending):
                to = item.to.number if isinstance(item.to, Pid) else item.to
                router.deliver(to, [item.message], self.epoch)
            else:
                item.via, item.peer = self.epoch, self._sender
                router.route_inward(item)


@final
class MemoryLink:
    """A link between two nodes; ``way(node)`` is the direction that ``node`` sends in."""

    def __init__(self, cluster: Cluster, epoch: int, one: MemoryNode, other: MemoryNode) -> None:
        self._ways = {
            one.name: HalfLink(cluster, epoch, one, other),
            other.name: HalfLink(cluster, epoch, other, one),
        }

    def way(self, sender: MemoryNode) -> HalfLink:
        """Return the direction in which ``sender`` sends."""
        return self._ways[sender.name]

    def freeze(self) -> None:
        """Deliver nothing, in both directions, until `thaw`."""
        for way in self._ways.values():
            way.frozen = True

    def thaw(self) -> None:
        """Deliver again."""
        for way in self._ways.values():
            way.frozen = False
            way.pump_soon()

    def set_delay(self, seconds: float) -> None:
        """Deliver this much later, in both directions."""
        for way in self._ways.values():
            way.delay = seconds

    def set_busy(self, *, busy: bool) -> None:
        """Be above the high mark, or below the low one, in both directions."""
        for way in self._ways.values():
            way.busy = busy


@final
class MemoryLinks:
    """The `Links` of one node's router."""

    def __init__(self, cluster: Cluster, name: Atom) -> None:
        self._cluster = cluster
        self._name = name
        self.ways: dict[Atom, HalfLink] = {}
        self.queues: dict[Atom, Way] = {}

    def up(self, node: Atom) -> Outlet | None:
        """Return the link to ``node`` that is up."""
        return cast("Outlet | None", self.ways.get(node))

    def queue(self, node: Atom) -> Outlet | None:
        """Return the queue of a dial that is under way."""
        return cast("Outlet | None", self.queues.get(node))

    @property
    def dial_count(self) -> int:
        """How many dials are under way."""
        return len(self.queues)

    def dial(self, node: Atom) -> Outlet | None:
        """Start to dial; the outcome comes ``Cluster.dial_time`` later."""
        queue = self.queues[node] = Way()
        self._cluster.dials.append((self._name, node))
        self._cluster.clock.call_later(self._cluster.dial_time, self._cluster.finish_dial, self._name, node)
        return cast("Outlet", queue)

    def disconnect(self, node: Atom, reason: str) -> bool:
        """Cut the link in the next step of time; false when there is none."""
        del reason
        self._cluster.clock.call_later(0.0, self._cluster.cut_by_name, self._name, node)
        return node in self.ways

    def peer_of(self, epoch: int) -> Atom | None:
        """Return the peer of the link with that epoch, None when it is gone."""
        return next((peer for peer, way in self.ways.items() if way.epoch == epoch), None)

    def guard(self, receiver: int | Atom) -> None:
        """Nothing to do: all that travels here says which link it came by."""

    def unguard(self, receiver: int | Atom) -> None:
        """Nothing to undo."""


@final
class MemoryNode:
    """A node of a `Cluster`: a router with processes, and ZenMonitor where settings for it are given.

    Attributes:
        runtime: The router.
    """

    def __init__(self, cluster: Cluster, name: Atom, creation: int) -> None:
        self.name = name
        self.links = MemoryLinks(cluster, name)
        scheduler = Scheduler(cluster.call_soon, lambda: 0.0)
        clock = cluster.clock
        self.runtime = Router(name, creation, scheduler, self.links, now=clock.now, call_later=clock.call_later)
        self._zen: ZenSystem | None = None

    @property
    def zen(self) -> ZenSystem:
        """ZenMonitor. Raises ``RuntimeError`` on a node that runs without it."""
        if self._zen is None:
            raise RuntimeError(f"{self.name} runs without ZenMonitor")
        return self._zen

    @property
    def has_zen(self) -> bool:
        """Whether ZenMonitor was started here."""
        return self._zen is not None

    def start_zen(self, config: ZenConfig, random: Callable[[], float] = lambda: 0.0) -> None:
        """Start ZenMonitor; penalties have no jitter unless ``random`` makes some."""
        self._zen = ZenSystem(self.runtime, config, random=random)
        self._zen.start()

    def scheduler_run(self) -> None:
        """Let only this node's processes run, without time or signals in between."""
        self.runtime.scheduler.run()

    def spawn(self, target: Any, name: Atom | str | None = None) -> Pid:
        """Start a process: an instance, or a class without arguments."""
        return self.runtime.spawn(target, name=name)

    def actor(self, pid: Pid | Atom) -> Actor:
        """Return the kernel's side of a live process by pid or name. Raises ``LookupError``."""
        found = self.runtime.whereis(pid) if isinstance(pid, Atom) else pid
        actor = None if found is None else self.runtime.actor(found)
        if actor is None:
            raise LookupError(f"{pid!r} is not alive on {self.name}")
        return actor

    def process(self, pid: Pid | Atom) -> Any:
        """Return the object of a live process by pid or name. Raises ``LookupError``."""
        return self.actor(pid).instance

    def messages(self, pid: Pid) -> list[Any]:
        """Return what a `Recorder` has got so far, or a `Hoarder` has not read."""
        return list(cast("Recorder", self.process(pid)).messages)

    def kill(self, pid: Pid | Atom, reason: Any = KILL) -> None:
        """Send a process the exit signal of ``exit/2``."""
        actor = self.actor(pid)
        self.runtime.route(Exit2(actor.pid, actor.pid, reason))


@final
class Cluster:
    """Nodes in memory, with one clock.

    Attributes:
        clock: The virtual time of all nodes.
        dial_time: Seconds from a dial to its outcome.
        dials: Every dial so far: who, whom.
    """

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.dial_time = 0.0
        self.dials: list[tuple[Atom, Atom]] = []
        self._nodes: dict[Atom, MemoryNode] = {}
        self._links: dict[frozenset[Atom], MemoryLink] = {}
        self._partitions: set[frozenset[Atom]] = set()
        self._ready: deque[Callable[[], None]] = deque()
        self._epochs = itertools.count(1)
        self._creations = itertools.count(4)

    # ---- nodes

    def node(self, name: str, *, zen: ZenConfig | None = None) -> MemoryNode:
        """Start a node; one of the same name that was stopped gets a new creation."""
        atom = Atom(name)
        if atom in self._nodes:
            raise ValueError(f"{name} is running")
        node = self._nodes[atom] = MemoryNode(self, atom, next(self._creations))
        if zen is not None:
            node.start_zen(zen)
        return node

    def stop(self, node: MemoryNode) -> None:
        """Let a node disappear with its processes; its peers lose their links."""
        for peer in list(node.links.ways):
            self.cut(node, self._nodes[peer])
        del self._nodes[node.name]
        if node._zen is not None:
            node._zen.stop()
        for pid in node.runtime.processes():
            actor = node.runtime.actor(pid)
            if actor is not None:
                actor.end(atoms.shutdown)

    # ---- links

    def connect(self, one: MemoryNode, other: MemoryNode) -> MemoryLink:
        """Let a link come up; returns the one that is up already."""
        key = frozenset((one.name, other.name))
        if key in self._links:
            return self._links[key]
        link = self._links[key] = MemoryLink(self, next(self._epochs), one, other)
        for node, peer in ((one, other), (other, one)):
            way = node.links.ways[peer.name] = link.way(node)
            queue = node.links.queues.pop(peer.name, None)
            if loss := node.runtime.losses.under_way(peer.name):
                loss.finish()
            node.runtime.link_up(peer.name)
            for item in queue.waiting if queue is not None else ():
                way.put(item)
        return link

    def link(self, one: MemoryNode, other: MemoryNode) -> MemoryLink:
        """Return the link that is up. Raises ``LookupError``."""
        try:
            return self._links[frozenset((one.name, other.name))]
        except KeyError:
            raise LookupError(f"{one.name} and {other.name} are not linked") from None

    def cut(self, one: MemoryNode, other: MemoryNode) -> None:
        """Lose the link, and what is on the way; both ends hear of it at once."""
        link = self._links.pop(frozenset((one.name, other.name)), None)
        if link is None:
            return
        for node, peer in ((one, other), (other, one)):
            link.way(node).waiting.clear()
            del node.links.ways[peer.name]
            node.runtime.link_lost(peer.name)

    def cut_by_name(self, one: Atom, other: Atom) -> None:
        """Lose the link between two nodes, unless one of them was stopped."""
        if one in self._nodes and other in self._nodes:
            self.cut(self._nodes[one], self._nodes[other])

    def partition(self, one: MemoryNode, other: MemoryNode) -> None:
        """Lose the link and let no dial succeed until `heal`."""
        self._partitions.add(frozenset((one.name, other.name)))
        self.cut(one, other)

    def heal(self, one: MemoryNode, other: MemoryNode) -> None:
        """Let dials succeed again."""
        self._partitions.discard(frozenset((one.name, other.name)))

    def finish_dial(self, one: Atom, other: Atom) -> None:
        """Decide a dial: the link comes up, or it failed."""
        caller, callee = self._nodes.get(one), self._nodes.get(other)
        if caller is None or other not in caller.links.queues:
            return
        if callee is None or frozenset((one, other)) in self._partitions:
            del caller.links.queues[other]
            caller.runtime.dial_failed(other, "unreachable")
        else:
            self.connect(caller, callee)

    # ---- time

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` before time moves on."""
        self._ready.append(callback)

    def run_until_idle(self) -> None:
        """Let processes run and signals travel until nothing more happens at this moment."""
        while self._ready or self.clock.fire_due():
            while self._ready:
                self._ready.popleft()()

    def advance(self, seconds: float) -> None:
        """Let time pass; everything due in between happens in order."""
        end = self.clock.now() + seconds
        self.run_until_idle()
        while (due := self.clock.next_timer()) is not None and due <= end:
            self.clock.move_to(due)
            self.run_until_idle()
        self.clock.move_to(end)
        self.run_until_idle()
