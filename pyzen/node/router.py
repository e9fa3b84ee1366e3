"""The router: finds the process a signal is for, on this node or behind a link.

One `Router` per node. It is the `Runtime` of the processes and, through `Inbound`, what control messages from peers
act on: local delivery is remote delivery minus the bytes. Its methods only enqueue; no process's code runs inside.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.actor.process import Actor, Dest, Signal, running
from pyzen.actor.reasons import as_atom
from pyzen.actor.receiver import actor_context
from pyzen.actor.runtime import NO_LINK, SENT, Sent
from pyzen.errors import NameTaken, NoProcess
from pyzen.monitor_table import Unreads
from pyzen.node.births import ABANDONED, LINKED, MONITORED, Births
from pyzen.terms import Atom, Pid, Reference, ReferenceSource, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from pyzen.actor.process import TimerHandle
    from pyzen.actor.scheduler import Scheduler
    from pyzen.monitor_table import Downs
    from pyzen.node.outlet import Links, Outlet

log = logging.getLogger("pyzen.node")

NOPROC: Final = atoms.noproc
NODEUP: Final = atoms.nodeup
NODEDOWN: Final = atoms.nodedown
DIAL_FAILED: Final = atoms.dial_failed

ID_BITS: Final = 28
"""Bits of a pid's id that we count in; what lies above goes to the serial, as OTP 25 does."""


@final
class Router:
    """Processes, names, aliases and node monitors of one node, and the way from each to each.

    Attributes:
        unread: DOWNs in mailboxes, by reference.
        user: The group leader of processes that have no other.
        births: What starts processes for peers.
        refused: Names that nobody may register.
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
        self.user: Pid | None = None
        self.births = Births(self)
        self.refused: frozenset[Atom] = frozenset()
        self.now = now
        self.call_later = call_later
        self._links = links
        self._last_number = 0
        self._by_pid: dict[Pid, Actor] = {}
        self.by_number: dict[int, Actor] = {}
        self.names: dict[Atom, Actor] = {}
        self.aliases: dict[Reference, Actor] = {}
        self._named: dict[Reference, Actor] = {}
        self._related: dict[Atom, set[Actor]] = {}
        self._node_monitors: dict[Atom, dict[Pid, int]] = {}
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

    def spawn(self, process: Actor, *, name: Atom | str | None = None, link: Pid | None = None) -> Pid:
        """Start a process: registered and linked on return, it runs in the next turn.

        Raises:
            NameTaken: The name is registered or reserved; nothing was started.
        """
        if name is not None:
            self._check_name(as_atom(name))
        pid = self.adopt(process, link)
        spawner = self._running_actor()
        process.group_leader = None if spawner is None else spawner.group_leader
        if name is not None:
            self.register(name, pid)
        if link is not None:
            self._link_at_birth(process, link)
        process.start_running()
        return pid

    def adopt(self, process: Actor, parent: Pid | None) -> Pid:
        """Give a process its pid and its place; it does not run yet."""
        process.attach(self, parent)
        pid = process.pid
        self._by_pid[pid] = self.by_number[pid.number] = process
        return pid

    def _link_at_birth(self, process: Actor, parent: Pid) -> None:
        other = self._by_pid.get(parent)
        if other is None:
            process.link(parent)
            return
        # Both halves at once, so that no moment exists in which one of them could end unnoticed.
        other.linked_at_birth(process.pid)
        process.linked_at_birth(parent)

    def process(self, pid: Pid) -> Actor | None:
        """Return the live process of this node with that pid."""
        return self._by_pid.get(pid)

    def process_count(self) -> int:
        """Return how many processes live."""
        return len(self._by_pid)

    def processes(self) -> list[Pid]:
        """Return the pids of all live processes."""
        return list(self._by_pid)

    def forget(self, process: Actor) -> None:
        """Take an ended process out of the tables."""
        pid = process.pid
        self._by_pid.pop(pid, None)
        self.by_number.pop(pid.number, None)
        if process.registered_name is not None:
            self.names.pop(process.registered_name, None)
        for group in self._related.values():
            group.discard(process)
        for watchers in self._node_monitors.values():
            watchers.pop(pid, None)

    def running(self) -> Pid | None:
        """Return the process of this node that is running now."""
        actor = self._running_actor()
        return None if actor is None else actor.pid

    def _running_actor(self) -> Actor | None:
        actor = self.scheduler.current or running.get()
        return actor if actor is not None and self._by_pid.get(actor.pid) is actor else None

    def create_task(self, coroutine: Coroutine[Any, Any, Any], actor: Actor) -> asyncio.Task[Any]:
        """Run a coroutine as a task of ``actor``."""
        task = asyncio.get_running_loop().create_task(coroutine, context=actor_context(actor))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def join(self, timeout: float) -> None:
        """Wait for the tasks of processes that have been told to end."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout)

    # ---- names

    def _check_name(self, name: Atom) -> None:
        if not isinstance(name, Atom):
            raise TypeError(f"a name is an Atom or a str, not {type(name).__name__}")
        if name in self.names or name in self.refused or name is atoms.undefined:
            raise NameTaken(str(name))

    def register(self, name: Atom | str, pid: Pid) -> None:
        """Register a live process of this node under a name.

        Raises:
            NameTaken: The name is registered or reserved, or the process has a name already.
            NoProcess: No such process on this node.
        """
        name = as_atom(name)
        self._check_name(name)
        process = self._by_pid.get(pid)
        if process is None:
            raise NoProcess(NOPROC, f"{pid!r} is no live process of this node")
        if process.registered_name is not None:
            raise NameTaken(str(name), f"{pid!r} is registered as {str(process.registered_name)!r} already")
        self.names[name] = process
        process.registered_name = name

    def unregister(self, name: Atom | str) -> None:
        """Free a name.

        Raises:
            NoProcess: The name is not registered.
        """
        process = self.names.pop(as_atom(name), None)
        if process is None:
            raise NoProcess(NOPROC, f"no process is registered as {str(name)!r}")
        process.registered_name = None

    def whereis(self, name: Atom | str) -> Pid | None:
        """Return the pid registered under a name."""
        process = self.names.get(as_atom(name))
        return None if process is None else process.pid

    def add_alias(self, ref: Reference, process: Actor) -> None:
        """Deliver messages for ``ref`` to ``process``."""
        self.aliases[ref] = process

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
            process = self._by_pid.get(to)
            if process is not None:
                process.enqueue(message)
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

    def deliver(self, to: Atom | Reference, messages: list[Any]) -> None:
        """Deliver to a name or an alias of this node; unknown ones are dropped."""
        if isinstance(to, Atom):
            process = self.names.get(to)
            if process is not None:
                process.enqueue_all(messages)
            return
        process = self.aliases.get(to)
        if process is not None:
            process.enqueue_all([Signal(Actor.on_alias, to, message) for message in messages])

    def deliver_many(self, dispatches: Sequence[tuple[Pid, Downs]]) -> None:
        """Put DOWNs into mailboxes of this node; those for dead processes are withdrawn."""
        for pid, downs in dispatches:
            process = self._by_pid.get(pid)
            if process is None:
                downs.clear()
            else:
                process.enqueue(downs)

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

    def dial(self, node: Atom, subscriber: Pid) -> None:
        """Dial a node that is not linked; failure is told as ``(dial_failed, node, text)``."""
        if self.link(node) is not None:
            return
        self._dialling.setdefault(node, []).append(subscriber)
        self._outlet(node, dial=True)

    def disconnect(self, node: Atom, reason: str) -> None:
        """Close the link to ``node``, if there is one."""
        self._links.disconnect(node, reason)

    def monitor_node(self, node: Atom, subscriber: Pid) -> None:
        """Send ``(nodeup, node)`` and ``(nodedown, node)`` to ``subscriber``, once per call."""
        watchers = self._node_monitors.setdefault(node, {})
        watchers[subscriber] = watchers.get(subscriber, 0) + 1

    def demonitor_node(self, node: Atom, subscriber: Pid) -> None:
        """Undo one ``monitor_node``; more than there were do nothing."""
        watchers = self._node_monitors.get(node, {})
        count = watchers.pop(subscriber, 0)
        if count > 1:
            watchers[subscriber] = count - 1
        if not watchers:
            self._node_monitors.pop(node, None)

    def link_up(self, node: Atom) -> None:
        """A link is up: called before its first signal."""
        self._dialling.pop(node, None)
        self._tell_node_monitors(node, NODEUP)

    def link_lost(self, node: Atom) -> None:
        """A link is lost: called after its last signal, before the first of the next link."""
        for process in self._related.pop(node, ()):
            process.lose_link(node)
        self._tell_node_monitors(node, NODEDOWN)

    def dial_failed(self, node: Atom, text: str) -> None:
        """A dial failed: what was queued for it is lost, monitors fire ``noconnection``."""
        for process in self._related.pop(node, ()):
            process.lose_link(node)
        for pid in self._dialling.pop(node, ()):
            self._tell(pid, (DIAL_FAILED, node, text))

    def _tell_node_monitors(self, node: Atom, what: Atom) -> None:
        for pid, count in self._node_monitors.get(node, {}).items():
            for _ in range(count):
                self._tell(pid, (what, node))

    def _tell(self, pid: Pid, message: Any) -> None:
        process = self._by_pid.get(pid)
        if process is not None:
            process.enqueue(message)

    def relate(self, node: Atom, process: Actor) -> None:
        """Remember that ``process`` must hear when the link to ``node`` is lost."""
        related = self._related.get(node)
        if related is None:
            related = self._related[node] = set()
        related.add(process)

    def resume_when_writable(self, dest: Any, process: Actor) -> bool:
        """Let ``process`` run again when the link that ``dest`` needs is below its low mark."""
        node = dest[1] if type(dest) is tuple else dest.node
        outlet = self._links.up(as_atom(node))
        return outlet is not None and outlet.resume_when_writable(process)

    # ---- signals; the peer's half of each rule is in the process

    def _signal(self, to_pid: Pid, apply: Callable[..., None], *arguments: Any) -> bool | None:
        """Enqueue a signal for a process of this node: true when alive, false when dead, None when elsewhere."""
        process = self._by_pid.get(to_pid)
        if process is not None:
            process.enqueue(Signal(apply, *arguments))
            return True
        return False if to_pid.node is self.name else None

    def route_link(self, from_pid: Pid, to_pid: Pid) -> None:
        """LINK: a dead process answers with the exit signal ``noproc``."""
        found = self._signal(to_pid, Actor.on_link, from_pid)
        if found is False:
            self.route_exit(to_pid, from_pid, NOPROC)
        elif found is None and (outlet := self._outlet(to_pid.node, dial=True)) is not None:
            outlet.link(from_pid, to_pid)

    def route_unlink(self, unlink_id: int, from_pid: Pid, to_pid: Pid) -> None:
        """UNLINK_ID: acknowledged for dead processes too."""
        found = self._signal(to_pid, Actor.on_unlink, unlink_id, from_pid)
        if found is False:
            self.route_unlink_ack(unlink_id, to_pid, from_pid)
        elif found is None and (outlet := self._outlet(to_pid.node, dial=False)) is not None:
            outlet.unlink(unlink_id, from_pid, to_pid)

    def route_unlink_ack(self, unlink_id: int, from_pid: Pid, to_pid: Pid) -> None:
        """UNLINK_ID_ACK."""
        found = self._signal(to_pid, Actor.on_unlink_ack, unlink_id, from_pid)
        if found is None and (outlet := self._outlet(to_pid.node, dial=False)) is not None:
            outlet.unlink_ack(unlink_id, from_pid, to_pid)

    def route_exit(self, from_pid: Pid, to_pid: Pid, reason: Any) -> None:
        """The exit signal of a link, or the answer ``noproc`` to a LINK."""
        found = self._signal(to_pid, Actor.on_exit, from_pid, reason)
        if found is None and (outlet := self._outlet(to_pid.node, dial=False)) is not None:
            outlet.exit(from_pid, to_pid, reason)

    def route_exit2(self, from_pid: Pid, to: Pid | Reference, reason: Any, *, priority: bool = False) -> None:
        """EXIT2, to a process or to one of its aliases; an alias that is not in use drops it."""
        if type(to) is Reference and to.node is self.name:
            process = self.aliases.get(to)
            if process is not None:
                process.enqueue(Signal(Actor.on_exit2, from_pid, reason))
            return
        found = self._signal(to, Actor.on_exit2, from_pid, reason) if type(to) is Pid else None
        if found is None and (outlet := self._outlet(to.node, dial=True)) is not None:
            outlet.exit2(from_pid, to, reason, priority=priority)

    def route_monitor(self, watcher: Pid, target: Pid | tuple[Atom, Atom], ref: Reference) -> None:
        """MONITOR_P: answered with ``noproc`` when nobody is there."""
        if isinstance(target, Pid):
            found = self._signal(target, Actor.on_monitor, watcher, ref, None)
            if found is False:
                self.route_down(target, watcher, ref, NOPROC)
            elif found is None and (outlet := self._outlet(target.node, dial=True)) is not None:
                outlet.monitor(watcher, target, ref)
        elif target[1] is self.name:
            self.monitor_name(watcher, target[0], ref)
        elif (outlet := self._outlet(target[1], dial=True)) is not None:
            outlet.monitor(watcher, target[0], ref)

    def monitor_name(self, watcher: Pid, name: Atom, ref: Reference) -> None:
        """MONITOR_P by a name of this node."""
        process = self.names.get(name)
        if process is None:
            self.route_down(name, watcher, ref, NOPROC)
        else:
            self._named[ref] = process
            process.enqueue(Signal(Actor.on_monitor, watcher, ref, name))

    def route_demonitor(self, watcher: Pid, target: Pid | tuple[Atom, Atom], ref: Reference) -> None:
        """DEMONITOR_P."""
        if isinstance(target, Pid):
            found = self._signal(target, Actor.on_demonitor, ref)
            if found is None and (outlet := self._outlet(target.node, dial=False)) is not None:
                outlet.demonitor(watcher, target, ref)
        elif target[1] is self.name:
            self.demonitor_name(ref)
        elif (outlet := self._outlet(target[1], dial=False)) is not None:
            outlet.demonitor(watcher, target[0], ref)

    def demonitor_name(self, ref: Reference) -> None:
        """DEMONITOR_P of a monitor by a name of this node."""
        process = self._named.pop(ref, None)
        if process is not None:
            process.enqueue(Signal(Actor.on_demonitor, ref))

    def route_down(
        self, target: Pid | Atom, watcher: Pid, ref: Reference, reason: Any, *, dead: Pid | None = None
    ) -> None:
        """MONITOR_P_EXIT; ``dead`` is the process that ended, where ``target`` is its name."""
        self._named.pop(ref, None)
        found = self._signal(watcher, Actor.on_down, ref, reason)
        if found is None and (outlet := self._outlet(watcher.node, dial=False)) is not None:
            outlet.down(target, watcher, ref, reason, dead=dead)

    def route_group_leader(self, leader: Pid, to_pid: Pid) -> None:
        """GROUP_LEADER."""
        found = self._signal(to_pid, Actor.on_group_leader, leader)
        if found is None and (outlet := self._outlet(to_pid.node, dial=True)) is not None:
            outlet.group_leader(leader, to_pid)

    def route_spawn_request(
        self,
        req_id: Reference,
        from_pid: Pid,
        node: Atom,
        leader: Pid,
        mfa: tuple[Atom, Atom, int],
        options: list[Any],
        args: list[Any],
    ) -> None:
        """SPAWN_REQUEST."""
        if node is self.name:
            self.births.requested(req_id, from_pid, leader, mfa, options, args)
        elif (outlet := self._outlet(node, dial=True)) is not None:

            def refused() -> None:
                self.route_spawn_reply(req_id, from_pid, 0, atoms.notsup)

            outlet.spawn_request(req_id, from_pid, leader, mfa, options, args, refused)

    def route_spawn_reply(self, req_id: Reference, to_pid: Pid, flags: int, result: Pid | Atom) -> None:
        """SPAWN_REPLY: a process whose parent has died is given up."""
        found = self._signal(to_pid, Actor.on_spawn_reply, req_id, flags, result)
        if found is False:
            self.abandon(to_pid, req_id, flags, result)
        elif found is None and (outlet := self._outlet(to_pid.node, dial=False)) is not None:
            outlet.spawn_reply(req_id, to_pid, flags, result)

    def abandon(self, from_pid: Pid, req_id: Reference, flags: int, result: Pid | Atom) -> None:
        """Let go of a process that was started for ``from_pid``, which has no use for it any more."""
        if not isinstance(result, Pid):
            return
        if flags & MONITORED:
            self.route_demonitor(from_pid, result, req_id)
        if flags & LINKED:
            self.route_exit(from_pid, result, ABANDONED)

    def forget_named(self, ref: Reference) -> None:
        """Forget which process a monitor by name belongs to."""
        self._named.pop(ref, None)

    def related(self) -> Iterable[Atom]:
        """Return the nodes that processes of this node share something with."""
        return list(self._related)
