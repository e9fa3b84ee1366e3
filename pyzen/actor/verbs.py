"""The verbs: what a process can do, the same for every kind of process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from pyzen.actor.reasons import ExitRequest, as_atom
from pyzen.actor.runtime import BUSY, Sent
from pyzen.terms import Atom, ImproperList, Pid, Reference, atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.mailbox import Mailqueue
    from pyzen.actor.process import Actor
    from pyzen.actor.relations import Relations
    from pyzen.actor.runtime import Dest, Runtime, Target, TimerHandle
    from pyzen.errors import ProcessExit

DOWN: Final = atoms.DOWN
PROCESS: Final = atoms.process
ALIAS: Final = atoms.alias
GEN_CALL: Final = atoms["$gen_call"]
GEN_CAST: Final = atoms["$gen_cast"]
IO_REQUEST: Final = atoms.io_request
PUT_CHARS: Final = atoms.put_chars
UNICODE: Final = atoms.unicode

Answer: TypeAlias = "Callable[[Any, ProcessExit | None], None]"
"""Takes the reply to a request, or why there is none."""


class Verbs:
    """The verbs of a process. The state they work on, and all that happens to a process, is `Actor`'s.

    Attributes:
        async_dist: Never suspend this process when it sends over a busy link.
    """

    async_dist: ClassVar[bool] = False

    pid: Pid
    _runtime: Runtime
    _relations: Relations
    _mail: Mailqueue
    _requests: dict[Reference, Answer]
    _spawns: dict[Reference, Callable[[Pid], object]]
    _timers: dict[Reference, TimerHandle]
    group_leader: Pid | None
    _suspended: bool

    def _self(self) -> Actor:
        """Return this process."""
        raise NotImplementedError

    def _enqueue_call(self, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """Let ``callback(*arguments)`` run as one of the process's callbacks."""
        raise NotImplementedError

    def _alive(self) -> Runtime:
        """Return the runtime. Raises ``ProcessExit`` when the process has ended."""
        raise NotImplementedError

    def _relate(self, node: Atom) -> None:
        """Hear of the loss of ``node`` from now on."""
        raise NotImplementedError

    @property
    def node(self) -> Atom:
        """The node of this process."""
        return self._runtime.name

    @property
    def runtime(self) -> Runtime:
        """The node's services, for processes that are part of the system."""
        return self._runtime

    def send(self, dest: Dest, message: Any, *, dial: bool = True, priority: bool = False) -> Sent:
        """Send a message; never blocks.

        Messages to one process arrive in the order sent. To another node the message is encoded now; to a process of
        this node it is passed as it is, and must not be changed afterwards.

        Args:
            dest: A pid, a name, ``(name, node)``, or an alias.
            message: Any term.
            dial: Whether to dial the node where there is no link.
            priority: Ask the receiver to serve it first, as ``erlang:send/3`` with ``[priority]``: it does when
                ``dest`` is a priority alias of a process on OTP 28 or newer. In all other cases, and for a message
                of more than 64 KiB, this is an ordinary message.

        Raises:
            EncodeError: The message has no Erlang form.
            LinkOverloaded: Too much waits for that node already.
            ProcessExit: This process has ended.
        """
        sent = self._alive().send(self.pid, dest, message, dial=dial, priority=priority)
        if sent is BUSY and not self.async_dist:
            self._suspended = self._runtime.resume_when_writable(dest, self._self())
        return sent

    def cast(self, dest: Dest, request: Any) -> None:
        """Send ``request`` to a GenServer, without an answer."""
        self.send(dest, (GEN_CAST, request))

    def reply(self, from_: tuple[Pid, Any], value: Any) -> None:
        """Answer a call; ``from_`` is what ``handle_call`` was given."""
        self.send(reply_address(from_), (from_[1], value))

    def send_request(self, dest: Dest, request: Any) -> Reference:
        """Call without waiting: ``(ref, reply)`` or a DOWN with that ref arrives as a message."""
        return self._request(dest, request, None)

    def _request(self, dest: Dest, request: Any, answer: Answer | None) -> Reference:
        """Send a call with monitor and alias; ``answer`` takes the reply, or why there is none."""
        runtime = self._alive()
        target = self._target(dest)
        ref = runtime.make_ref()
        node = target.node if isinstance(target, Pid) else target[1]
        self._requests[ref] = self._message_answer(ref, target) if answer is None else answer
        runtime.add_alias(ref, self._self())
        self._relations.add_monitor(ref, target, node)
        self._relate(node)
        runtime.route_monitor(self.pid, target, ref)
        try:
            self.send(target, (GEN_CALL, (self.pid, ImproperList([ALIAS], ref)), request))
        except Exception:
            self._forget_request(ref)
            raise
        return ref

    def _message_answer(self, ref: Reference, target: Any) -> Answer:
        def answer(reply: Any, error: ProcessExit | None) -> None:
            if error is None:
                self._mail.append((ref, reply))
            else:
                self._mail.append((DOWN, ref, PROCESS, target, error.reason))

        return answer

    def _forget_request(self, ref: Reference) -> Answer | None:
        """Take a request back: a late reply is dropped."""
        answer = self._requests.pop(ref, None)
        target = self._relations.remove_monitor(ref)
        self._runtime.remove_alias(ref)
        if self._spawns.pop(ref, None) is None and target is not None:
            self._runtime.route_demonitor(self.pid, target, ref)
        return answer

    def monitor(self, target: Target) -> Reference:
        """Monitor a process by pid, local name, or ``(name, node)``.

        One message ``(DOWN, ref, process, object, reason)`` follows, unless demonitored; the object is the pid, or
        ``(name, node)`` for a monitor by name. ``noproc`` and ``noconnection`` as in Erlang.
        """
        runtime = self._alive()
        checked = self._target(target)
        ref = runtime.make_ref()
        node = checked.node if isinstance(checked, Pid) else checked[1]
        self._relations.add_monitor(ref, checked, node)
        self._relate(node)
        runtime.route_monitor(self.pid, checked, ref)
        return ref

    def demonitor(self, ref: Reference, *, flush: bool = False) -> bool:
        """Undo a monitor; with ``flush`` no DOWN for it is seen after this returns. True if it stood."""
        runtime = self._alive()
        target = self._relations.remove_monitor(ref)
        if target is not None:
            runtime.route_demonitor(self.pid, target, ref)
        elif flush:
            runtime.unread.withdraw(ref)
        return target is not None

    def link(self, pid: Pid) -> None:
        """Link with another process; linking with a dead one brings its exit signal ``noproc``."""
        runtime = self._alive()
        if pid == self.pid:
            return
        if self._relations.add_link(pid):
            self._relate(pid.node)
            runtime.route_link(self.pid, pid)

    def unlink(self, pid: Pid) -> None:
        """Undo a link; no exit signal of it takes effect after this returns."""
        runtime = self._alive()
        unlink_id = self._relations.start_unlink(pid)
        if unlink_id is not None:
            runtime.route_unlink(unlink_id, self.pid, pid)

    def exit(self, reason: Any) -> None:
        """End this process with ``reason``. Does not return."""
        raise ExitRequest(reason)

    def send_exit(self, pid: Pid | Reference, reason: Any, *, priority: bool = False) -> None:
        """Send an exit signal to another process: Erlang's ``exit/2``, with ``priority`` its ``exit/3``.

        An alias does as well as a pid, from OTP 28 on; one that is not in use drops the signal. ``priority`` is as
        for `send`.
        """
        self._alive().route_exit2(self.pid, pid, reason, priority=priority)

    def spawn(self, process: Actor, *, name: Atom | str | None = None) -> Pid:
        """Start a process on this node."""
        return self._alive().spawn(process, name=name)

    def spawn_link(self, process: Actor, *, name: Atom | str | None = None) -> Pid:
        """Start a process on this node, linked with this one from its first moment."""
        return self._alive().spawn(process, name=name, link=self.pid)

    def spawn_monitor(self, process: Actor, *, name: Atom | str | None = None) -> tuple[Pid, Reference]:
        """Start a process on this node and monitor it."""
        pid = self._alive().spawn(process, name=name)
        return pid, self.monitor(pid)

    @property
    def leader(self) -> Pid:
        """The group leader: who writes what this process prints."""
        leader = self.group_leader or self._runtime.user
        return self.pid if leader is None else leader

    def set_group_leader(self, leader: Pid, pid: Pid | None = None) -> None:
        """Set the group leader of a process, of this one by default: ``erlang:group_leader/2``."""
        self._alive().route_group_leader(leader, self.pid if pid is None else pid)

    def puts(self, text: str) -> None:
        """Write a line to the group leader, as ``IO.puts`` does; does not wait until it is written.

        A process that was started from iex writes there. Lines of one process stay in order.
        """
        runtime = self._alive()
        # The answer goes to ``user``, which drops it: nobody waits for it.
        request = (PUT_CHARS, UNICODE, f"{text}\n")
        self.send(self.leader, (IO_REQUEST, runtime.user or self.pid, runtime.make_ref(), request), dial=False)

    def send_after(self, dest: Dest, message: Any, delay: float) -> Reference:
        """Send ``message`` to ``dest`` after ``delay`` seconds; returns the reference for ``cancel_timer``."""
        runtime = self._alive()
        ref = runtime.make_ref()
        self._timers[ref] = runtime.call_later(delay, self._fire_timer, ref, dest, message)
        return ref

    def _fire_timer(self, ref: Reference, dest: Dest, message: Any) -> None:
        if self._timers.pop(ref, None) is not None:
            self._runtime.send(self.pid, dest, message)

    def cancel_timer(self, ref: Reference) -> bool:
        """Cancel a ``send_after``; false when it has fired or is unknown."""
        timer = self._timers.pop(ref, None)
        if timer is not None:
            timer.cancel()
        return timer is not None

    def after(self, delay: float, callback: Callable[..., object], *arguments: Any) -> TimerHandle:
        """Call ``callback`` after ``delay`` seconds as one of the process's own callbacks; nothing once it ended."""
        return self._alive().call_later(delay, self._enqueue_call, callback, arguments)

    def _target(self, target: Any) -> Pid | tuple[Atom, Atom]:
        """Return what a DOWN will name. Raises ``TypeError`` for what can't be monitored."""
        match target:
            case Pid():
                return target
            case Atom() | str():
                return as_atom(target), self._runtime.name
            case (Atom() | str() as name, Atom() | str() as node):
                return as_atom(name), as_atom(node)
        raise TypeError(f"a pid, a name or (name, node) is needed, not {type(target).__name__}")


def reply_address(from_: tuple[Pid, Any]) -> Pid | Reference:
    """Return where the reply to a call goes: the alias in its tag, else the calling pid.

    Source: OTP, "gen" module: tags ``Ref``, ``[alias|Ref]``, ``[[alias|Ref]|Mon]``, ``{Ref, Node}``.
    """
    pid, tag = from_
    if isinstance(tag, ImproperList) and len(tag.elements) == 1:
        head = tag.elements[0]
        if isinstance(head, ImproperList) and len(head.elements) == 1 and head.elements[0] is ALIAS:
            return head.tail if isinstance(head.tail, Reference) else pid
        if head is ALIAS and isinstance(tag.tail, Reference):
            return tag.tail
    return pid
