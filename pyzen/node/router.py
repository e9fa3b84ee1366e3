"""The router: finds the process a signal is for, on this node or behind a link.

One `Router` per node. It is the `Runtime` of the processes, and what the signals of peers act on: local delivery is
remote delivery minus the bytes. Its methods only enqueue; no process's code runs inside.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast, final

from pyzen.actor.actor import running
from pyzen.actor.home import Home
from pyzen.actor.mailbox import Sourced, told
from pyzen.actor.process import actor_context
from pyzen.actor.reasons import as_atom, check_pid
from pyzen.actor.runtime import NO_LINK, SENT, Sent
from pyzen.actor.signals import AliasMessage, Demonitor, node_of
from pyzen.actor.spawning import actor_for
from pyzen.config import Limits
from pyzen.errors import NameTaken, NoProcess
from pyzen.logs import get_logger
from pyzen.monitor_table import Unreads
from pyzen.node.births import Births
from pyzen.node.losses import Losses
from pyzen.shares import Shares
from pyzen.tasks import start_task
from pyzen.terms import Atom, Pid, Reference, ReferenceSource, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from pyzen.actor.actor import Actor
    from pyzen.actor.asker import Asker
    from pyzen.actor.runtime import Dest, TimerHandle
    from pyzen.actor.scheduler import Scheduler
    from pyzen.actor.signals import Signal
    from pyzen.monitor_table import Downs
    from pyzen.node.outlet import Links, Outlet

log = get_logger("pyzen.node")

NOPROC: Final = atoms.noproc
NOTSUP: Final = atoms.notsup
NODEUP: Final = atoms.nodeup
NODEDOWN: Final = atoms.nodedown
DIAL_FAILED: Final = atoms.dial_failed

ANSWERING_DIALS: Final = 64
"""Once so many dials are under way, answering a call starts no further one: a peer can make up callers of any node."""

ID_BITS: Final = 28
"""Bits of a pid's id that we count in; what lies above goes to the serial, as OTP 25 does."""


@final
class Router:
    """Processes, names, aliases and node monitors of one node, and the way from each to each.

    Attributes:
        unread: DOWNs in mailboxes, by reference.
        births: What starts processes for peers.
        losses: Who shares something with which other node.
        shared: How many links each other node has here, and watchers.
        max_relations: How many of them it may have.
        refused: Names that no process may have.
        is_stopping: The node stops: the processes of the program end in order, and none can be started any more.
        is_closed: All processes have been ended, and none at all can be started.
        links_lost: How many links were lost so far.
        asker: The process that has asked for the stop, if one of the program has.
        home: The thread and the event loop, to which all processes belong.
    """

    def __init__(
        self,
        name: Atom,
        creation: int,
        scheduler: Scheduler,
        links: Links,
        *,
        now: Callable[[], float],
        call_later: Callable[..., TimerHandle],
    ) -> None:
        self.name = name
        self.creation = creation
        self.scheduler = scheduler
        self.references = ReferenceSource(name, creation)
        self.unread = Unreads(self.references)
        self.births = Births(self)
        self.refused: frozenset[Atom] = frozenset()
        self.now = now
        self.call_later = call_later
        self._links = links
        self.links_lost = 0
        self.home = Home()
        self.asker: Asker | None = None
        self._last_number = 0
        self.is_stopping = False
        self.is_closed = False
        self._by_pid: dict[Pid, Actor] = {}
        self.by_number: dict[int, Actor] = {}
        self.names: dict[Atom, Actor] = {}
        self.aliases: dict[Reference, Actor] = {}
        self._named: dict[Reference, Actor] = {}
        self.losses = Losses(scheduler)
        self.shared = Shares()
        self.max_relations = Limits().max_relations
        self._node_monitors: dict[Atom, dict[Pid, int]] = {}
        self._monitored: dict[Pid, set[Atom]] = {}
        self._dialling: dict[Atom, list[Pid]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # ---- processes

    def make_pid(self) -> Pid:
        """Return the next pid."""
        self._last_number += 1
        number = self._last_number
        return Pid(self.name, number & ((1 << ID_BITS) - 1), number >> ID_BITS, self.creation)

    def make_ref(self) -> Reference:
        """Return the next reference."""
        return self.references.next()

    def spawn(self, target: Any, *args: Any, name: Atom | str | None = None, link: Pid | None = None) -> Pid:
        """Start a process: registered and linked on return, it runs in the next turn. See `actor_for` for ``target``.

        Raises:
            NameTaken: The name is registered or reserved; nothing was started.
            TypeError: ``target`` can't be started.
        """
        if link is not None:
            check_pid(link)
        actor = actor_for(target, args)
        if name is not None:
            self._check_name(as_atom(name), actor)  # last, for the constructor of a class may take it
        pid = self.adopt(actor, link)
        spawner = self.running()
        actor.group_leader = None if spawner is None else self._by_pid[spawner].group_leader
        if name is not None:
            self.register(name, pid)
        if link is not None:
            self._link_at_birth(actor, link)
        actor.begin()
        return pid

    def adopt(self, actor: Actor, parent: Pid | None) -> Pid:
        """Give a process its pid and its place; it does not run yet.

        Raises:
            RuntimeError: The node stops.
        """
        if self.is_closed or (self.is_stopping and not actor.guarded):
            raise RuntimeError(f"{self.name} stops: no process can be started any more")
        actor.attach(self, parent)
        pid = actor.pid
        self._by_pid[pid] = self.by_number[pid.number] = actor
        if actor.guarded:
            self._links.guard(pid.number)
        return pid

    def _link_at_birth(self, actor: Actor, parent: Pid) -> None:
        other = self._by_pid.get(parent)
        if other is None:
            actor.link(parent)
            return
        # Both halves at once, so that no moment exists in which one of them could end unnoticed.
        other.relations.add_link(actor.pid)
        actor.relations.add_link(parent)

    def actor(self, pid: Pid) -> Actor | None:
        """Return the kernel's side of the live process of this node with that pid."""
        return self._by_pid.get(pid)

    def process(self, pid: Pid) -> Any:
        """Return the object of the user's class of that process, None where it does not live."""
        actor = self._by_pid.get(pid)
        return None if actor is None else actor.instance

    def process_count(self) -> int:
        """Return how many processes live."""
        return len(self._by_pid)

    def end_all(self, reason: Any) -> None:
        """End all processes; from now on none can be started, not even by what runs while others end."""
        self.is_stopping = self.is_closed = True
        for actor in list(self._by_pid.values()):
            actor.end(reason)

    def actors(self) -> list[Actor]:
        """Return the kernel's side of all live processes, in the order of their start."""
        return list(self._by_pid.values())

    def processes(self) -> list[Pid]:
        """Return the pids of all live processes."""
        return list(self._by_pid)

    def forget(self, actor: Actor) -> None:
        """Take an ended process out of the tables."""
        pid = actor.pid
        self._by_pid.pop(pid, None)
        self.by_number.pop(pid.number, None)
        if actor.guarded:
            self._links.unguard(pid.number)
        if actor.born_of is not None:
            self.births.forget(actor)
        if actor.registered_name is not None:
            self._free(actor.registered_name, actor)
        self.losses.forget(actor)
        for node in self._monitored.pop(pid, ()):
            self._forget_node_monitor(node, pid)

    @property
    def user(self) -> Pid | None:
        """The process that writes for those that have no other group leader."""
        return self.whereis(atoms.user)

    def running(self) -> Pid | None:
        """Return the process of this node that is running now."""
        actor = self.scheduler.current or running.get()
        return None if actor is None or actor.ended or actor.runtime is not self else actor.pid

    def create_task(self, coroutine: Coroutine[Any, Any, Any], actor: Actor) -> asyncio.Task[Any]:
        """Run a coroutine as a task of ``actor``."""
        task = start_task(coroutine, context=actor_context(actor))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def join(self, timeout: float) -> None:
        """Wait for the tasks of processes that have been told to end, but for one that waits for this itself."""
        tasks = self._tasks - ({self.asker.task} if self.asker else set())
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)

    # ---- names

    def _check_name(self, name: Atom, actor: Actor) -> None:
        if not isinstance(name, Atom):
            raise TypeError(f"a name is an Atom or a str, not {type(name).__name__}")
        is_refused = name in self.refused and not actor.guarded
        if name in self.names or is_refused or name is atoms.undefined:
            raise NameTaken(str(name))

    def register(self, name: Atom | str, pid: Pid) -> None:
        """Register a live process of this node under a name.

        Raises:
            NameTaken: The name is registered or reserved, or the process has a name already.
            NoProcess: No such process on this node.
        """
        name = as_atom(name)
        actor = self._by_pid.get(pid)
        if actor is None:
            raise NoProcess(NOPROC, f"{pid!r} is no live process of this node")
        self._check_name(name, actor)
        if actor.registered_name is not None:
            raise NameTaken(str(name), f"{pid!r} is registered as {str(actor.registered_name)!r} already")
        self.names[name] = actor
        actor.registered_name = name
        if actor.guarded:
            self._links.guard(name)

    def unregister(self, name: Atom | str) -> None:
        """Free a name.

        Raises:
            NoProcess: The name is not registered.
        """
        actor = self.names.get(as_atom(name))
        if actor is None:
            raise NoProcess(NOPROC, f"no process is registered as {str(name)!r}")
        self._free(as_atom(name), actor)
        actor.registered_name = None

    def _free(self, name: Atom, actor: Actor) -> None:
        self.names.pop(name, None)
        if actor.guarded:
            self._links.unguard(name)

    def whereis(self, name: Atom | str) -> Pid | None:
        """Return the pid registered under a name."""
        actor = self.names.get(as_atom(name))
        return None if actor is None else actor.pid

    def add_alias(self, ref: Reference, actor: Actor) -> None:
        """Deliver messages for ``ref`` to ``actor``."""
        self.aliases[ref] = actor

    def remove_alias(self, ref: Reference) -> None:
        """Drop messages for ``ref`` from now on."""
        self.aliases.pop(ref, None)

    # ---- messages

    def send(self, from_pid: Pid, dest: Dest, message: Any, *, dial: bool = True, priority: bool = False) -> Sent:
        """Route a message; dropped silently where Erlang does.

        Raises:
            NoProcess: ``dest`` is a local name that is not registered.
            EncodeError: The message has no Erlang form (only checked when it leaves the node).
            LinkOverloaded: Too much waits for that node.
        """
        to: Any
        node: Any
        if isinstance(dest, tuple) and len(dest) == 2 and type(dest[0]) is Atom and type(dest[1]) is Atom:
            to, node = dest
        elif isinstance(dest, (Pid, Reference)):
            to, node = dest, dest.node
        else:
            to, node = self._by_name(dest)
        if node is self.name:
            return self._send_here(to, message)
        outlet = self._outlet(node, dial)
        return NO_LINK if outlet is None else outlet.send(from_pid, to, message, priority=priority)

    def _send_here(self, to: Pid | Atom | Reference, message: Any) -> Sent:
        if type(to) is Pid:
            actor = self._by_pid.get(to)
            if actor is None:
                return SENT
            if actor.born_of is None:
                actor.enqueue(message)
            else:
                self.births.deliver(actor, [message])
        else:
            self.deliver(to, [message])
        return SENT

    def _by_name(self, dest: Any) -> tuple[Atom, Atom]:
        """Return name and node of a destination whose names may be text."""
        match dest:
            case Atom() | str():
                name = as_atom(dest)
                if name not in self.names:
                    raise NoProcess(NOPROC, f"no process is registered as {str(dest)!r}")
                return name, self.name
            case (Atom() | str() as name, Atom() | str() as node):
                return as_atom(name), as_atom(node)
        raise TypeError(f"can't send to {type(dest).__name__}: a pid, a name, (name, node) or an alias is needed")

    def deliver(self, to: int | Atom | Reference, messages: list[Any], via: int = 0) -> None:
        """Deliver messages in order; receivers that are not there drop them.

        Args:
            to: The number of a process of this node, a name, or an alias.
            messages: One or more.
            via: The epoch of the link that messages to an alias or a guarded process came by; 0 for this node.
        """
        actor = self.receiver(to)
        if actor is None:
            return
        if type(to) is Reference:
            actor.enqueue_all([AliasMessage(to, one, via=via) for one in messages])
        elif via and actor.guarded:
            actor.enqueue_all([Sourced(one, via) for one in messages])
        elif actor.born_of is not None:
            self.births.deliver(actor, messages)
        else:
            actor.enqueue_all(messages)

    def receiver(self, to: int | Atom | Reference) -> Actor | None:
        """Return the process of this node that a message goes to: by its number, its name or an alias."""
        if type(to) is int:  # not `True`, which is a name
            return self.by_number.get(to)
        return self.aliases.get(to) if isinstance(to, Reference) else self.names.get(cast("Atom", to))

    def deliver_many(self, dispatches: Sequence[tuple[Pid, Downs]]) -> None:
        """Put DOWNs into mailboxes of this node; those for dead processes are withdrawn."""
        for pid, downs in dispatches:
            actor = self._by_pid.get(pid)
            if actor is None:
                downs.clear()
            else:
                actor.enqueue(downs)

    # ---- links between nodes

    def _outlet(self, node: Atom, dial: bool) -> Outlet | None:
        outlet = self._links.up(node) or self._links.queue(node)
        if outlet is None and dial:
            outlet = self._links.dial(node)
            if outlet is None:
                self.dial_failed(node, "the node can't be dialled")
        return outlet

    def link(self, node: Atom) -> tuple[int, bool] | None:
        """Return (epoch, busy) of the link to ``node``; the own node has epoch 0."""
        if node is self.name:
            return 0, False
        outlet = self._links.up(node)
        return None if outlet is None else (outlet.epoch, outlet.busy)

    @property
    def has_few_dials(self) -> bool:
        """Whether an answer may dial."""
        return self._links.dial_count < ANSWERING_DIALS

    def dial(self, node: Atom, subscriber: Pid) -> None:
        """Dial a node that is not linked; failure is told as ``(dial_failed, node, text)``."""
        if self.link(node) is not None:
            return
        self._dialling.setdefault(node, []).append(subscriber)
        self._outlet(node, dial=True)

    def peer_of(self, epoch: int) -> Atom | None:
        """Return the node at the other end of the link with that epoch, None when it is gone."""
        return self._links.peer_of(epoch)

    def disconnect(self, node: Atom, reason: str) -> None:
        """Close the link to ``node``, if there is one."""
        self._links.disconnect(node, reason)

    def monitor_node(self, node: Atom, subscriber: Pid) -> None:
        """Send ``(nodeup, node)`` and ``(nodedown, node)`` to ``subscriber``, once per call."""
        watchers = self._node_monitors.setdefault(node, {})
        watchers[subscriber] = watchers.get(subscriber, 0) + 1
        self._monitored.setdefault(subscriber, set()).add(node)

    def demonitor_node(self, node: Atom, subscriber: Pid) -> None:
        """Undo one ``monitor_node``; more than there were do nothing."""
        watchers = self._node_monitors.get(node, {})
        if watchers.get(subscriber, 0) > 1:
            watchers[subscriber] -= 1
        elif subscriber in watchers:
            self._forget_node_monitor(node, subscriber)
            self._monitored[subscriber].discard(node)
            if not self._monitored[subscriber]:
                del self._monitored[subscriber]

    def _forget_node_monitor(self, node: Atom, subscriber: Pid) -> None:
        watchers = self._node_monitors[node]
        del watchers[subscriber]
        if not watchers:
            del self._node_monitors[node]

    def link_up(self, node: Atom) -> None:
        """A link is up: called before its first signal, when no loss of the node is under way."""
        self._dialling.pop(node, None)
        self._tell_node_monitors(node, NODEUP)

    def link_lost(self, node: Atom) -> None:
        """A link is lost: called after its last signal, before the first of the next link."""
        self.links_lost += 1
        self.losses.lose(node)
        self._tell_node_monitors(node, NODEDOWN)

    def dial_failed(self, node: Atom, text: str) -> None:
        """A dial failed: what was queued for it is lost, monitors fire ``noconnection``."""
        self.losses.lose(node)
        for pid in self._dialling.pop(node, ()):
            self._tell(pid, node, (DIAL_FAILED, node, text))

    def _tell_node_monitors(self, node: Atom, what: Atom) -> None:
        for pid, count in self._node_monitors.get(node, {}).items():
            for _ in range(count):
                self._tell(pid, node, (what, node))

    def _tell(self, pid: Pid, node: Atom, message: Any) -> None:
        """Send the news of a node, behind the loss of what the process shares with that."""
        actor = self._by_pid.get(pid)
        if actor is not None:
            self.losses.tell(node, actor)
            actor.enqueue(told(message))

    def relate(self, node: Atom, actor: Actor) -> None:
        """Remember that ``actor`` must hear when the link to ``node`` is lost."""
        self.losses.relate(node, actor)

    def bear(self, node: Atom) -> None:
        """Part from ``node`` if it holds too many links and monitors here: all of them end with its link."""
        if self.shared.held(node) > self.max_relations:
            reason = f"it holds more than {self.max_relations} links and monitors here"
            log.warning("%s drops the link to %s: %s: see max_relations of its limits", self.name, node, reason)
            self.disconnect(node, reason)

    def suspend_while_busy(self, dest: Any, actor: Actor) -> None:
        """Suspend ``actor`` until the link that ``dest`` needs, or the queue for it, is below its low mark."""
        node = as_atom(node_of(dest))
        outlet = None if node is self.name else self._links.up(node) or self._links.queue(node)
        if outlet is not None:
            outlet.suspend_while_busy(actor)

    # ---- signals; the receiver's half of each rule is in the signal and the actor

    def route(self, signal: Signal) -> None:
        """Take a signal to its receiver, here or behind a link. See `Runtime.route`."""
        to = signal.to
        actor = self._by_pid.get(to) if type(to) is Pid else self._find(signal)
        if actor is not None:
            actor.enqueue(signal)
        elif (node := node_of(to)) is not self.name:
            self._route_out(node, signal)
        else:
            self.refuse(signal, NOPROC)

    def route_inward(self, signal: Signal) -> None:
        """Take a signal of a peer to its receiver on this node: nothing is forwarded to others."""
        to = signal.to
        actor = self._by_pid.get(to) if type(to) is Pid else self._find(signal)
        if actor is not None:
            actor.enqueue(signal)
        elif node_of(to) is self.name:
            self.refuse(signal, NOPROC)

    def _route_out(self, node: Atom, signal: Signal) -> None:
        outlet = self._outlet(node, signal.dials)
        if outlet is not None and not outlet.signal(signal):
            self.refuse(signal, NOTSUP)

    def refuse(self, signal: Signal, reason: Atom) -> None:
        """Answer a signal that has no receiver, or that the peer does not know."""
        for answer in signal.refused(reason):
            self.route(answer)

    def _find(self, signal: Any) -> Actor | Births | None:
        """Return the receiver on this node of a signal that is not to a pid.

        For a monitor by name it is the holder of the name, for a demonitor whoever held it when the monitor came.
        """
        to = signal.to
        if type(to) is not tuple:
            return self.aliases.get(to) if type(to) is Reference else self.births if to is self.name else None
        name, node = to
        if node is not self.name:
            return None
        if type(signal) is Demonitor:
            return self._named.get(signal.ref)
        actor = self.names.get(name)
        if actor is not None:
            self._named[signal.ref] = actor
        return actor

    def forget_named(self, ref: Reference) -> None:
        """Forget which process a monitor by name belongs to."""
        self._named.pop(ref, None)

    def related(self) -> Iterable[Atom]:
        """Return the nodes that processes of this node share something with."""
        return list(self.losses.related())
