"""Actor: the kernel's side of a process, apart from the object that a user's class makes.

A process is two objects. The *actor* has all that keeps a process alive: pid, incoming queue, mailbox, links,
monitors, requests. The *instance*, which is a `GenServer`, a `Process` or a `Mailbox`, has the user's callbacks and
attributes, and one private attribute that leads here. Nothing that a user defines can be taken for a part of the
kernel: it never looks a name up on the instance but those of the callbacks.

An actor is one queue of incoming messages and signals. The router only appends to it; the scheduler lets the actor
work it off: signals take effect in order, messages go on to the mailbox, and the `Loop` says what becomes of those.
Nothing here knows of links to other nodes: what leaves a process goes through its `Runtime`.

Source: Erlang Reference Manual, "Processes"; OTP, "Distribution Protocol", for the pairwise rules.
"""

from __future__ import annotations

from _thread import get_ident
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, final

from pyzen.actor.fair_mailbox import FairMailqueue
from pyzen.actor.farewells import Farewells
from pyzen.actor.mailbox import NOTHING, Mailqueue, count, told
from pyzen.actor.reasons import NORMAL, as_atom, check_pid, end_of, exit_error, is_orderly, seconds
from pyzen.actor.relations import Relations
from pyzen.actor.reports import told_end
from pyzen.actor.runtime import BUSY, NO_LINK
from pyzen.actor.signals import Demonitor, Link, LinkLost, Monitor, Signal, SpawnReply, Unlink, node_of
from pyzen.actor.suspension import Suspension
from pyzen.contained import contained
from pyzen.errors import LinkOverloaded, NoProcess, ProcessExit
from pyzen.logs import get_logger
from pyzen.terms import Atom, ImproperList, Pid, Reference, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyzen.actor.loop import Loop
    from pyzen.actor.runtime import Dest, Runtime, Sent, Target, TimerHandle
    from pyzen.actor.suspension import Way

__all__ = ["DOWN", "EXIT", "PROCESS", "Actor", "Answer", "running"]

log = get_logger("pyzen.actor")

DOWN: Final = atoms.DOWN
EXIT: Final = atoms.EXIT
PROCESS: Final = atoms.process
SPAWN_REPLY: Final = atoms.spawn_reply

Answer: TypeAlias = "Callable[[Any, ProcessExit | None], None]"
"""Takes the reply to a request, or why there is none."""

running: ContextVar[Actor | None] = ContextVar("pyzen_running", default=None)
"""The process whose task or mailbox context this is. Callbacks are known by the scheduler instead."""


@final
class Actor:
    """What all processes have: a pid, an incoming queue, a mailbox, links, monitors, requests.

    All methods are called in the thread of the node's event loop.

    Args:
        instance: The object of the user's class.
        loop: The kind of loop that handles the messages.

    Attributes:
        runtime: The node's services; unset until the process is started, as is ``pid``.
        arguments: What ``init`` or the body gets.
        trap_exit: Turn exit signals into messages ``('EXIT', pid, reason)``.
        async_dist: Never suspend this process when it sends over a busy link.
        born_of: The node whose share of this node's processes it takes; None for the program's own.
        nodes: Those whose loss it has to hear of; kept by ``Losses``.
        guarded: Its messages say which link they came by, and peers can neither end nor stop it.
        group_leader: Who writes what this process prints; None for the node's ``user``.
        suspended: The busy links that it has met, if any: signals take effect, messages and its code wait.
        scheduled: It is in the run queue, or has ended.
        requests: What takes the reply to each request that is under way.
        spawns: What takes the reply to each request for a process elsewhere.
    """

    __slots__ = (
        "arguments", "async_dist", "born_of", "ended", "exit_reason", "group_leader", "guarded", "incoming", "instance",
        "loop", "mail", "nodes", "parent", "pid", "registered_name", "relations", "requests", "runtime", "scheduled",
        "spawns", "suspended", "timers", "trap_exit",
    )  # fmt: skip

    pid: Pid
    runtime: Runtime
    relations: Relations

    def __init__(self, instance: Any, loop: type[Loop]) -> None:
        self.instance = instance
        self.arguments: tuple[Any, ...] = ()
        self.trap_exit: bool = False
        self.async_dist: bool = bool(type(instance).async_dist)
        self.guarded: bool = type(instance)._pyzen_guarded
        self.registered_name: Atom | None = None
        self.ended = False
        self.exit_reason: Any = None
        self.parent: Pid | None = None
        self.born_of: Atom | None = None
        self.nodes: tuple[Atom, ...] = ()
        self.group_leader: Pid | None = None
        self.incoming: deque[Any] = deque()
        self.mail = FairMailqueue() if type(instance)._pyzen_serves_all else Mailqueue()
        self.requests: dict[Reference, Answer] = {}
        self.spawns: dict[Reference, Callable[[SpawnReply], object]] = {}
        self.timers: dict[Reference, TimerHandle] = {}
        self.scheduled = False
        self.suspended: Suspension | None = None
        self.loop = loop(self)

    def __repr__(self) -> str:
        return f"<Actor of {'an ended process' if self.instance is None else type(self.instance).__name__}>"

    def __deepcopy__(self, _memo: object) -> Actor:
        """Be what a copy of the object leads to; it is found not to be the copy's own, see `actor_of`."""
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a process can't be pickled")

    # ---- birth

    def attach(self, runtime: Runtime, parent: Pid | None = None) -> None:
        """Give the process its pid and its place; called once, by ``Runtime.spawn``.

        Raises:
            RuntimeError: It has been started before.
        """
        if self.is_started:
            raise RuntimeError(f"this {type(self.instance).__name__} has been started before")
        self.runtime = runtime
        self.pid = runtime.make_pid()
        self.relations = Relations(runtime.name, runtime.shared)
        self.parent = parent

    @property
    def is_started(self) -> bool:
        """Whether it has got its pid."""
        return hasattr(self, "runtime")

    def begin(self) -> None:
        """Start the loop; a process that can't begin has ended. Raises what the loop raises."""
        try:
            self.loop.start()
        except BaseException as error:
            self.end(end_of(error)[0])
            raise

    def born_for(self, other: Pid, monitor: Reference | None, *, linked: bool) -> None:
        """Be monitored by and linked with a process of another node that has asked for this one."""
        self.relate(other.node)
        if monitor is not None:
            self.relations.add_watcher(monitor, other, None)
        if linked:
            self.relations.add_link(other)

    # ---- the queue

    def enqueue(self, item: Any) -> None:
        """Add a message, `Downs` or a `Signal`. Runs no code of the process."""
        self.incoming.append(item)
        if not self.scheduled:
            self.wake()

    def enqueue_all(self, items: Iterable[Any]) -> None:
        """Do what `enqueue` does, with many."""
        self.incoming.extend(items)
        if not self.scheduled:
            self.wake()

    def wake(self) -> None:
        """Enter the run queue; called only while it is not there."""
        self.scheduled = True
        self.runtime.scheduler.ready(self)

    def run(self, budget: int) -> bool:
        """Work off the queue; called by the scheduler. True when the process has to run again."""
        more = False
        try:
            more = not self.ended and (not self.fetch() or (self.suspended is None and self.loop.work(budget)))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # none should get here; one that does ends this process and no other
            self.fail(error)
        if self.ended:
            self.bury()
            return False
        self.scheduled = more
        return more

    def fetch(self) -> bool:
        """Let signals take effect and move messages to the mailbox, in order.

        Returns:
            False when the process ended, or when a lost link takes more than this turn.
        """
        incoming, requests, put = self.incoming, self.requests, self.mail.append
        while incoming:
            item = incoming.popleft()
            if issubclass(type(item), Signal):  # `isinstance` would ask the object, a set its class
                item.apply(self)
                if self.ended or (incoming and incoming[0] is item):
                    return False
            elif requests and self._is_plain_reply(item):
                continue
            else:
                put(item)
        return True

    # ---- busy links

    def suspend(self, way: Way) -> None:
        """Go on only when this is writable, too."""
        if self.suspended is None:
            self.suspended = Suspension()
        self.suspended.add(way)

    def resume(self, way: Way) -> None:
        """Go on if nothing else is waited for."""
        if self.suspended is not None and self.suspended.remove(way):
            self.release()
            if not self.scheduled:
                self.wake()

    def release(self) -> None:
        """Go on whatever was waited for."""
        if self.suspended is not None:
            self.suspended.end(self)
            self.suspended = None

    async def until_released(self) -> None:
        """Return when no busy link holds the process, or when it has ended: called where its code waits anyway."""
        while self.suspended is not None:
            await self.suspended.over()

    def sent_to(self, dest: Any) -> None:
        """Be held if the link that ``dest`` needs is busy, unless the process has asked for ``async_dist``."""
        if not self.async_dist:
            self.runtime.suspend_while_busy(dest, self)

    @property
    def message_queue_len(self) -> int:
        """How many messages wait, signals that have not taken effect included."""
        return len(self.mail) + count(self.incoming)

    # ---- what signals do

    def take_exit(self, from_pid: Pid, reason: Any) -> None:
        """End for an exit signal; one that traps exits gets a message, and ``normal`` ends nobody."""
        if self.refuses_exit(from_pid):
            return
        if self.trap_exit:
            self.mail.append(told((EXIT, from_pid, reason)))
        elif reason is NORMAL:
            return
        elif self.runtime.is_stopping and from_pid == self.parent:
            self.finish(reason)
        else:
            self.end(reason)

    def refuses_exit(self, from_pid: Pid, *, is_order: bool = False) -> bool:
        """Say whether an exit signal means nothing: to an immune process one of another node, to a root any order."""
        if not self.is_immune or (from_pid.node is self.runtime.name and not (is_order and self.is_root)):
            return False
        self.instance.refused("an exit signal", from_pid.node)
        return True

    @property
    def is_immune(self) -> bool:
        """Whether no peer can end it: it is a process of the node itself."""
        return bool(type(self.instance)._pyzen_immune)

    @property
    def is_root(self) -> bool:
        """Whether it keeps processes of the node itself and nobody would start it again: the node alone ends it."""
        return self.guarded and self.loop.supervises and self.parent is None

    def is_of(self, ref: Reference, peer: Atom | None) -> bool:
        """Say whether ``peer`` may tell what becomes of a monitor, or of a request to start a process.

        An unknown reference is anybody's: it names nothing that could be harmed.
        """
        target = self.relations.monitors.get(ref)
        return peer is None or target is None or peer is node_of(target)

    def take_down(self, ref: Reference, reason: Any) -> None:
        """Fire a monitor of this process; ignored unless it stands."""
        target = self.relations.remove_monitor(ref)
        if target is None:
            return
        answer = self.requests.pop(ref, None)
        self.spawns.pop(ref, None)
        if answer is None:
            self.mail.append(self.runtime.unread.add(ref, (DOWN, ref, PROCESS, target, reason)))
        else:
            self.runtime.remove_alias(ref)
            with contained:  # whoever waits may do so in an event loop that is closed
                answer(None, exit_error(reason))

    def take_reply(self, ref: Reference, message: Any) -> None:
        """Take the reply to a request; one that nobody waits for any more is dropped."""
        answer = self.forget_request(ref)
        if answer is not None and type(message) is tuple and len(message) == 2:
            with contained:
                answer(message[1], None)

    def take_spawn_reply(self, reply: SpawnReply) -> None:
        """Take the answer to a spawn request; a process that nobody waits for any more is given up."""
        on_reply = self.spawns.pop(reply.req_id, None)
        if on_reply is None:
            for answer in reply.refused(NORMAL):
                self.runtime.route(answer)
        elif isinstance(reply.result, Pid):
            on_reply(reply)
        else:
            self.relations.remove_monitor(reply.req_id)
            why = ProcessExit((SPAWN_REPLY, reply.result), f"the node refuses: {reply.result}")
            self.requests.pop(reply.req_id)(None, why)

    def forget_watcher(self, ref: Reference) -> None:
        """Tell nobody of the end by ``ref``."""
        if self.relations.remove_watcher(ref):
            self.runtime.forget_named(ref)

    def relate(self, node: Atom) -> None:
        """Hear of the loss of ``node`` from now on."""
        if node is not self.runtime.name:
            self.runtime.relate(node, self)

    def receive_link(self, pid: Pid, *, is_lost: bool) -> None:
        """Keep this process's half of a link that ``pid`` has made; ``is_lost`` says that the way there is gone."""
        if not is_lost:
            self.relate(pid.node)
            self.relations.receive_link(pid)
            self.runtime.bear(pid.node)
        elif lost := self.relations.receive_lost_link(pid):
            self.enqueue(LinkLost(self.pid, lost))

    def lose_link(self, node: Atom) -> None:
        """Detach what the process shares with ``node`` at once; it fires after what arrived before."""
        lost = self.relations.detach(node)
        if lost is not None:
            self.enqueue(LinkLost(self.pid, lost))

    def _is_plain_reply(self, item: Any) -> bool:
        """Take a reply that was sent to the pid instead of the alias, as servers before OTP 24 do."""
        if type(item) is not tuple or len(item) != 2 or type(item[0]) is not ImproperList:
            return False
        ref = item[0].tail
        if type(ref) is not Reference or ref not in self.requests:
            return False
        self.take_reply(ref, item)
        return True

    # ---- what the process does

    def alive(self) -> Runtime:
        """Return the runtime.

        Raises:
            ProcessExit: The process has ended.
            RuntimeError: It has not been started, or this is another thread or event loop than that of its node.
        """
        if self.ended:
            raise ProcessExit(self.exit_reason)
        try:
            runtime = self.runtime
        except AttributeError:
            raise RuntimeError("the process has not been started: verbs can be used from init on") from None
        home = runtime.home
        if get_ident() != home.thread_id or not home.is_running():
            home.check("the process")
        return runtime

    def is_called(self, dest: Any) -> bool:
        """Say whether a destination is this process."""
        if type(dest) is tuple and len(dest) == 2 and dest[1] == self.alive().name:
            dest = dest[0]
        if type(dest) is Pid:
            return dest == self.pid
        return (
            self.registered_name is not None and isinstance(dest, str | Atom) and as_atom(dest) is self.registered_name
        )

    def send(self, dest: Dest, message: Any, *, dial: bool = True, priority: bool = False) -> Sent:
        """Send a message; a busy link suspends the process, unless it has asked for ``async_dist``.

        A guarded process never dials, for a peer can name any node, and is never ended by one that reads nothing: what
        there is no room for is dropped.
        """
        try:
            sent = self.alive().send(self.pid, dest, message, dial=dial and not self.guarded, priority=priority)
        except LinkOverloaded as error:
            if not self.guarded:
                raise
            log.warning("%s drops a message: %s", self.registered_name or self.pid, error)
            return NO_LINK
        if sent is BUSY:
            self.sent_to(dest)
        return sent

    def monitor(self, target: Target) -> Reference:
        """Monitor a process by pid or name."""
        runtime, checked = self.alive(), self.target(target)
        ref = runtime.make_ref()
        self.add_monitor(ref, checked)
        runtime.route(Monitor(checked, self.pid, ref))
        self.sent_to(checked)
        return ref

    def demonitor(self, ref: Reference, *, flush: bool = False) -> bool:
        """Undo a monitor; true if it stood."""
        runtime, target = self.alive(), self.relations.remove_monitor(ref)
        if target is not None:
            runtime.route(Demonitor(target, self.pid, ref))
        elif flush:
            runtime.unread.withdraw(ref)
        return target is not None

    def add_monitor(self, ref: Reference, target: Pid | tuple[Atom, Atom]) -> None:
        """Keep this process's half of a monitor."""
        node = target.node if isinstance(target, Pid) else target[1]
        self.relate(node)
        self.relations.add_monitor(ref, target, node)

    def link(self, pid: Pid) -> None:
        """Link with another process."""
        runtime = self.alive()
        check_pid(pid)
        if pid != self.pid and not self.relations.is_linked(pid):
            self.relate(pid.node)
            self.relations.add_link(pid)
            runtime.route(Link(pid, self.pid))
            self.sent_to(pid)

    def unlink(self, pid: Pid) -> None:
        """Undo a link; no exit signal of it takes effect after this returns."""
        runtime = self.alive()
        check_pid(pid)
        unlink_id = self.relations.start_unlink(pid)
        if unlink_id is not None:
            runtime.route(Unlink(pid, self.pid, unlink_id))

    def target(self, target: Any) -> Pid | tuple[Atom, Atom]:
        """Return what a DOWN will name. Raises ``TypeError`` for what can't be monitored."""
        match target:
            case Pid():
                return target
            case Atom() | str():
                return as_atom(target), self.runtime.name
            case (Atom() | str() as name, Atom() | str() as node):
                return as_atom(name), as_atom(node)
        raise TypeError(f"a pid, a name or (name, node) is needed, not {type(target).__name__}")

    def forget_request(self, ref: Reference) -> Answer | None:
        """Take a request back: a late reply is dropped. Returns what would have taken it, if it was under way."""
        answer = self.requests.pop(ref, None)
        target = self.relations.remove_monitor(ref)
        self.runtime.remove_alias(ref)
        if self.spawns.pop(ref, None) is None and target is not None:
            self.runtime.route(Demonitor(target, self.pid, ref))
        return answer

    def send_after(self, dest: Dest, message: Any, delay: float) -> Reference:
        """Send a message later; whether the process lives then does not matter, as in Erlang."""
        if type(dest) is not Reference:
            self.target(dest)
        ref = self.alive().make_ref()
        self.timers[ref] = self.call_later(delay, self._send_now, ref, dest, message)
        return ref

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> TimerHandle:
        """Call ``callback`` after ``delay`` seconds, outside of any process.

        Raises:
            TypeError: The delay is no number.
            ValueError: It is NaN, or past all bounds: among the timers of an event loop it would hold up all others.
        """
        return self.alive().call_later(seconds(delay), callback, *args)

    def _send_now(self, ref: Reference, dest: Dest, message: Any) -> None:
        del self.timers[ref]
        try:
            if self.runtime.send(self.pid, dest, message) is BUSY and not self.ended:
                self.sent_to(dest)
        except NoProcess:
            pass  # as `erlang:send_after/3`: the name is looked up now, and nobody has it
        except Exception as error:
            log.warning("a timer of %r can't send to %r: %s", self.pid, dest, error)

    @property
    def leader(self) -> Pid:
        """The group leader: who writes what this process prints."""
        leader = self.group_leader or self.runtime.user
        return self.pid if leader is None else leader

    # ---- the end

    def finish(self, reason: Any) -> None:
        """Be told to end in order; one that waits for the stop of its node goes on first."""
        asker = self.runtime.asker
        if asker is None or asker.actor is not self or not asker.tell(reason):
            self.loop.finish(reason)

    def fail(self, error: BaseException, message: Any = NOTHING) -> None:
        """End as an error says that no code of the process caught, while it handled ``message``.

        Raises:
            KeyboardInterrupt: It was that, which is meant for the program.
        """
        reason, crashed = end_of(error)
        self.end(reason, error if crashed else None, message)
        if issubclass(type(error), KeyboardInterrupt):
            raise error

    def end(self, reason: Any, error: BaseException | None = None, message: Any = NOTHING) -> None:
        """End now: the name and the mailbox go, the DOWNs and exit signals begin to leave. Idempotent.

        Args:
            reason: The exit reason.
            error: What has caused it, for the log.
            message: What the process was handling, for the log.
        """
        if self.ended:
            return
        self.ended, self.exit_reason = True, reason
        self.release()
        self.scheduled = True  # what is enqueued from now on wakes nobody
        self.runtime.forget(self)
        self.mail.clear()
        self._fail_requests(reason)
        Farewells(self, reason).begin()
        with contained:
            self.loop.stop(reason)
        with contained:  # what it was started as is a peer's word
            if self.instance._pyzen_reports and not is_orderly(reason):
                told_end(self, reason, error, message)
        self.bury()

    def bury(self) -> None:
        """Let go of what leads back here, once the process has ended and no code of it runs: no cycle is left.

        What holds the object still learns how the process has ended, and can start it again.
        """
        if not self.ended or self.instance is None or self.loop.task is not None:
            return
        if self.runtime.scheduler.current is not self:
            self.instance, self.loop = None, self.loop.remains()
            self.spawns.clear()

    def _fail_requests(self, reason: Any) -> None:
        requests, self.requests = self.requests, {}
        for ref, answer in requests.items():
            self.runtime.remove_alias(ref)
            with contained:
                answer(None, ProcessExit(reason, "the calling process ended"))
