"""Processes: identity, signals, links, monitors and the verbs that every kind of process has.

A process is one queue of incoming messages and signals. The router only appends to it; the scheduler lets the
process work it off: signals take effect in order between two callbacks, messages go on to the mailbox.
Nothing here knows of links to other nodes: what leaves a process goes through its `Runtime`.

Source: Erlang Reference Manual, "Processes"; OTP, "Distribution Protocol", for the pairwise rules.
"""

from __future__ import annotations

import logging
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.actor.mailbox import Mailqueue, count, withdraw
from pyzen.actor.reasons import KILL, KILLED, NOCONNECTION, NORMAL, ExitRequest, exception_reason, exit_error
from pyzen.actor.relations import PeerRelations, Relations
from pyzen.actor.runtime import Dest, Runtime, Sent, Target, TimerHandle
from pyzen.actor.verbs import DOWN, GEN_CALL, GEN_CAST, PROCESS, Answer, Verbs, reply_address
from pyzen.errors import ProcessExit
from pyzen.terms import Atom, ImproperList, Pid, Reference, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "DOWN",
    "EXIT",
    "GEN_CALL",
    "GEN_CAST",
    "PROCESS",
    "Actor",
    "Dest",
    "Runtime",
    "Sent",
    "Signal",
    "Target",
    "TimerHandle",
    "reply_address",
    "running",
]

log = logging.getLogger("pyzen.actor")

EXIT: Final = atoms.EXIT
SPAWN_REPLY: Final = atoms.spawn_reply

LOSS_SLICE: Final = 500
"""Links and monitors that fire in one go when a link is lost; the rest waits for the next turn."""

running: ContextVar[Actor | None] = ContextVar("pyzen_running", default=None)
"""The process whose task or mailbox context this is. Callbacks are known by the scheduler instead."""


@final
class Signal:
    """An item of the incoming queue that is not a message: a method of `Actor`, and its arguments."""

    __slots__ = ("apply", "arguments")

    def __init__(self, apply: Callable[..., None], *arguments: Any) -> None:
        self.apply = apply
        self.arguments = arguments


class Actor(Verbs):
    """What all processes have: a pid, an incoming queue, a mailbox, links, monitors, and the verbs.

    Subclasses say what happens with messages (`work`) and how they begin (`start_running`). All methods
    are called in the thread of the node's event loop.

    Attributes:
        trap_exit: Turn exit signals into messages ``('EXIT', pid, reason)``.
        group_leader: Who writes what this process prints; None for the node's ``user``.
    """

    def __init__(self) -> None:
        self.trap_exit = False
        self.registered_name: Atom | None = None
        self.exit_reason: Any = None
        self.ended = False
        self.parent: Pid | None = None
        self.group_leader: Pid | None = None
        self._incoming: deque[Any] = deque()
        self._mail = Mailqueue()
        self._requests: dict[Reference, Answer] = {}
        self._spawns: dict[Reference, Callable[[Pid], object]] = {}
        self._timers: dict[Reference, TimerHandle] = {}
        self._scheduled = False
        self._suspended = False
        self._slicing = False
        self._ending = False

    # ---- what the node calls

    def attach(self, runtime: Runtime, link: Pid | None = None) -> None:
        """Give the process its pid and its place; called once, by ``Runtime.spawn``."""
        self._runtime = runtime
        self.pid = runtime.make_pid()
        self._relations = Relations(runtime.name)
        self.parent = link

    def born_for(self, other: Pid, monitor: Reference | None, *, linked: bool) -> None:
        """Be monitored by and linked with a process of another node that has asked for this one."""
        if monitor is not None:
            self._relations.add_watcher(monitor, other, None)
        if linked:
            self._relations.add_link(other)
        self._relate(other.node)

    def linked_at_birth(self, other: Pid) -> None:
        """Be linked with ``other``, whose half is made in the same step."""
        self._relations.add_link(other)

    def start_running(self) -> None:
        """Begin; called once, after the process can be found."""
        raise NotImplementedError

    def work(self, budget: int) -> bool:
        """Do what can be done now, at most ``budget`` messages; true when more is left."""
        raise NotImplementedError

    def enqueue(self, item: Any) -> None:
        """Add a message, `Downs` or a `Signal`. Runs no code of the process."""
        self._incoming.append(item)
        if not self._scheduled:
            self._enter_run_queue()

    def enqueue_all(self, items: Iterable[Any]) -> None:
        """Do what `enqueue` does, with many."""
        self._incoming.extend(items)
        if not self._scheduled:
            self._enter_run_queue()

    def _enter_run_queue(self) -> None:
        self._scheduled = True
        self._runtime.scheduler.ready(self)

    def run(self, budget: int) -> bool:
        """Work off the queue; called by the scheduler. True when the process has to run again."""
        if not self.ended:
            self._fetch()
        more = False
        if not self.ended and not self._slicing:
            more = not self._suspended and self.work(budget)
        if self.ended:
            return False
        more = more or self._slicing
        self._scheduled = more
        return more

    def _fetch(self) -> None:
        """Let signals take effect and move messages to the mailbox, in order."""
        incoming, put = self._incoming, self._mail.append
        self._slicing = False
        while incoming:
            item = incoming.popleft()
            if type(item) is Signal:
                item.apply(self, *item.arguments)
                if self.ended or self._slicing:
                    return
            elif self._requests and self._is_plain_reply(item):
                continue
            else:
                put(item)

    def _refuse_rest(self) -> None:
        """Answer the signals that were waiting when the process ended: they came before its end."""
        rest, self._incoming = self._incoming, deque()
        for item in rest:
            if type(item) is Signal:
                self._refuse(item)
        withdraw(rest)

    def _refuse(self, signal: Signal) -> None:
        """Answer one signal that was waiting when the process ended."""
        if signal.apply is Actor.on_monitor:
            watcher, ref, name = signal.arguments
            target = self.pid if name is None else name
            self._runtime.route_down(target, watcher, ref, self.exit_reason, dead=self.pid)
        elif signal.apply is Actor.on_link:
            self._runtime.route_exit(self.pid, signal.arguments[0], self.exit_reason)
        elif signal.apply is Actor.on_unlink:
            unlink_id, from_pid = signal.arguments
            self._runtime.route_unlink_ack(unlink_id, self.pid, from_pid)

    def resume(self) -> None:
        """Let a process run that was suspended by a busy link."""
        self._suspended = False
        if not self._scheduled and not self.ended:
            self._enter_run_queue()

    @property
    def relations(self) -> Relations:
        """Links, monitors and watchers, to be looked at."""
        return self._relations

    @property
    def message_queue_len(self) -> int:
        """How many messages wait, signals that have not taken effect included."""
        return len(self._mail) + count(self._incoming)

    # ---- signals, applied in order

    def on_link(self, from_pid: Pid) -> None:
        """LINK."""
        self._relations.receive_link(from_pid)
        self._relate(from_pid.node)

    def on_unlink(self, unlink_id: int, from_pid: Pid) -> None:
        """UNLINK_ID: acknowledge before any other signal to that process."""
        self._runtime.route_unlink_ack(unlink_id, self.pid, from_pid)
        self._relations.receive_unlink(from_pid)

    def on_unlink_ack(self, unlink_id: int, from_pid: Pid) -> None:
        """UNLINK_ID_ACK."""
        self._relations.receive_unlink_ack(from_pid, unlink_id)

    def on_exit(self, from_pid: Pid, reason: Any) -> None:
        """EXIT of a link; ignored unless the link is active."""
        if not self._relations.receive_exit(from_pid):
            return
        if self.trap_exit:
            self._mail.append((EXIT, from_pid, reason))
        elif reason is not NORMAL:
            self.finish(reason)

    def on_exit2(self, from_pid: Pid, reason: Any) -> None:
        """EXIT2: ``kill`` can't be trapped, ``normal`` from another process is ignored unless trapped."""
        if reason is KILL:
            self.finish(KILLED)
        elif self.trap_exit:
            self._mail.append((EXIT, from_pid, reason))
        elif reason is not NORMAL or from_pid == self.pid:
            self.finish(reason)

    def on_monitor(self, watcher: Pid, ref: Reference, name: Atom | None) -> None:
        """MONITOR_P of this process, by pid or by name."""
        self._relations.add_watcher(ref, watcher, name)
        self._relate(watcher.node)

    def on_demonitor(self, ref: Reference) -> None:
        """DEMONITOR_P."""
        self._relations.remove_watcher(ref)
        self._runtime.forget_named(ref)

    def on_down(self, ref: Reference, reason: Any) -> None:
        """MONITOR_P_EXIT; ignored unless the monitor stands."""
        target = self._relations.remove_monitor(ref)
        if target is None:
            return
        answer = self._requests.pop(ref, None)
        self._spawns.pop(ref, None)
        if answer is None:
            self._mail.append(self._runtime.unread.add(ref, (DOWN, ref, PROCESS, target, reason)))
        else:
            self._runtime.remove_alias(ref)
            answer(None, exit_error(reason))

    def on_link_lost(self, lost: PeerRelations) -> None:
        """Fire what ended with a link to another node, in slices."""
        budget = LOSS_SLICE
        while lost.monitors and budget:
            self.on_down(lost.monitors.pop(), NOCONNECTION)
            budget -= 1
        while lost.watchers and budget:
            self.on_demonitor(lost.watchers.pop())
            budget -= 1
        while lost.links and budget and not self.ended:
            pid, state = lost.links.popitem()
            budget -= 1
            if self._relations.links.get(pid) is state:
                self.on_exit(pid, NOCONNECTION)
                self._relations.links.pop(pid, None)
        if lost and not self.ended:
            self._incoming.appendleft(Signal(Actor.on_link_lost, lost))
            self._slicing = True

    def on_alias(self, ref: Reference, message: Any) -> None:
        """A message to one of this process's aliases: the reply to a request."""
        answer = self._forget_request(ref)
        if answer is not None and type(message) is tuple and len(message) == 2:
            answer(message[1], None)

    def on_spawn_reply(self, ref: Reference, flags: int, result: Pid | Atom) -> None:
        """SPAWN_REPLY; a process that nobody waits for any more is given up."""
        on_reply = self._spawns.pop(ref, None)
        if on_reply is None:
            self._runtime.abandon(self.pid, ref, flags, result)
        elif isinstance(result, Pid):
            on_reply(result)
        else:
            self._relations.remove_monitor(ref)
            self._requests.pop(ref)(None, ProcessExit((SPAWN_REPLY, result), f"the node refuses: {result}"))

    def on_group_leader(self, leader: Pid) -> None:
        """GROUP_LEADER."""
        self.group_leader = leader

    def on_call(self, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """A timer of this process: run its callback as one of the process's own."""
        self.run_callback(callback, arguments)

    def run_callback(self, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """Run a callback of the process that is not about a message."""
        self.guarded(callback, *arguments)

    def _enqueue_call(self, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        if not self.ended:
            self.enqueue(Signal(Actor.on_call, callback, arguments))

    def _is_plain_reply(self, item: Any) -> bool:
        """Take a reply that was sent to the pid instead of the alias, as servers before OTP 24 do."""
        if type(item) is not tuple or len(item) != 2 or type(item[0]) is not ImproperList:
            return False
        ref = item[0].tail
        if not isinstance(ref, Reference) or ref not in self._requests:
            return False
        self.on_alias(ref, item)
        return True

    def _self(self) -> Actor:
        return self

    def _relate(self, node: Atom) -> None:
        if node is not self._runtime.name:
            self._runtime.relate(node, self)

    def lose_link(self, node: Atom) -> None:
        """Detach what the process shares with ``node`` at once; it fires after what arrived before."""
        lost = self._relations.detach(node)
        if lost is not None:
            self.enqueue(Signal(Actor.on_link_lost, lost))

    # ---- the end

    def guarded(self, callback: Callable[..., Any], *arguments: Any) -> Any:
        """Call a callback of the process; an exception that it does not catch ends the process.

        The one place where everything is caught: an exception becomes an exit reason.
        """
        scheduler = self._runtime.scheduler
        before, scheduler.current = scheduler.current, self
        try:
            return callback(*arguments)
        except ExitRequest as request:
            self.finish(request.reason)
        except ProcessExit as error:
            self.crashed(error, error.reason)
        except Exception as error:
            self.crashed(error, exception_reason(error))
        finally:
            scheduler.current = before
        return None

    def crashed(self, error: Exception, reason: Any) -> None:
        """End because of an exception nobody caught."""
        log.error("process %r on %s crashed", self.registered_name or self.pid, self._runtime.name, exc_info=error)
        self.finish(reason)

    def finish(self, reason: Any) -> None:
        """End now: the name and the mailbox go, the DOWNs and exit signals leave. Idempotent."""
        if self.ended:
            return
        self.ended, self.exit_reason = True, reason
        self._runtime.forget(self)
        self._mail.clear()
        self._fail_requests(reason)
        self._tell(reason)
        self._refuse_rest()

    def _fail_requests(self, reason: Any) -> None:
        requests, self._requests = self._requests, {}
        for ref, answer in requests.items():
            self._runtime.remove_alias(ref)
            answer(None, ProcessExit(reason, "the calling process ended"))

    def _tell(self, reason: Any) -> None:
        """Send what the end of a process means to others."""
        runtime, relations, pid = self._runtime, self._relations, self.pid
        for ref, (watcher, name) in relations.watchers.items():
            runtime.route_down(pid if name is None else name, watcher, ref, reason, dead=pid)
        for other, state in relations.links.items():
            if state.active:
                runtime.route_exit(pid, other, reason)
        for ref, target in relations.monitors.items():
            if ref not in self._spawns:  # the reply to those finds nobody, and the process is given up then
                runtime.route_demonitor(pid, target, ref)
        self._relations = Relations(runtime.name)

    def _alive(self) -> Runtime:
        """Return the runtime; an ended process can't do anything any more."""
        if self.ended:
            raise ProcessExit(self.exit_reason)
        return self._runtime
