"""Signals: what one process tells another beside messages. One class per signal, whatever way it travels.

=============  ==========================  ==========================================  ============================
signal         ``to``                      what it does there                          what the dead answer
=============  ==========================  ==========================================  ============================
Link           pid                         the other half of a link                    `Exit`
Unlink         pid                         undoes it, acknowledges                     `UnlinkAck`
UnlinkAck      pid                         lets the sender forget the link
Exit           pid                         the exit signal of a link
Exit2          pid, alias                  ``exit/2``
Monitor        pid, ``(name, node)``       the other half of a monitor                 `Down`
Demonitor      pid, ``(name, node)``       undoes it
Down           pid                         fires a monitor
GroupLeader    pid                         sets the group leader
SpawnRequest   node                        starts a process                            `SpawnReply`
SpawnReply     pid                         tells the pid, or why there is none         gives the process up
AliasMessage   alias                       a message to an alias
LinkLost       -                           what was shared with a lost node fires
=============  ==========================  ==========================================  ============================

The router finds the receiver; the receiver's actor applies the signal when it comes to it, in order with messages. A
new signal needs its class here, a row in `pyzen.dist.control` and in `pyzen.dist.control_encoder`, and its shape in
``native/src/dist/control.rs``.

Source: OTP, "Distribution Protocol", section "Protocol between Connected Nodes"; Erlang Reference Manual, "Processes".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

from pyzen.terms import Atom, Pid, Reference, atoms

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor
    from pyzen.actor.relations import PeerRelations

__all__ = [
    "LINKED", "MONITORED", "AliasMessage", "Demonitor", "Down", "Exit", "Exit2", "GroupLeader", "Link",
    "LinkLost", "Monitor", "Signal", "SpawnReply", "SpawnRequest", "Unlink", "UnlinkAck", "node_of",
]  # fmt: skip

NORMAL: Final = atoms.normal
KILL: Final = atoms.kill
KILLED: Final = atoms.killed

LINKED: Final = 1
"""The bit of a `SpawnReply` that says that the link is there."""

MONITORED: Final = 2
"""The bit of a `SpawnReply` that says that the monitor is there; its reference is that of the request."""

ABANDONED: Final = atoms.abandoned
"""What a linked process is told whose parent no longer waited for it."""

LOSS_SLICE: Final = 500
"""Links and monitors that fire in one go when a link is lost; the rest waits for the next turn."""


@dataclass(slots=True)
class Signal:
    """What all signals have.

    Attributes:
        to: The receiver.
        via: The epoch of the link it came by; 0 for a signal of this node.
        peer: The node at the other end of that link; None for a signal of this node.
        dials: Whether a node that is not connected is dialled for it.
        payload: The field that stands behind the control tuple on the wire, if any.
    """

    to: Any
    via: int = field(default=0, kw_only=True)
    peer: Atom | None = field(default=None, kw_only=True)

    dials: ClassVar[bool] = False
    payload: ClassVar[str | None] = None

    def apply(self, actor: Actor) -> None:
        """Take effect at the receiver. Runs no code of a user."""
        raise NotImplementedError

    def is_late(self, actor: Actor) -> bool:
        """Whether the link it came by is lost by now: what it would share with the peer is lost likewise."""
        return bool(self.via) and actor.runtime.peer_of(self.via) is None

    def refused(self, reason: Any, dead: Pid | None = None) -> tuple[Signal, ...]:
        """Return what the sender is answered when there is no receiver.

        Args:
            reason: Why there is none: ``noproc``, or what the receiver ended with while the signal was waiting.
            dead: The process that ended, in the second case: nothing it has sent may be overtaken.
        """
        return ()


# ---- links


@final
@dataclass(slots=True)
class Link(Signal):
    """LINK: ``from_pid`` has linked with the receiver."""

    to: Pid
    from_pid: Pid

    dials: ClassVar[bool] = True

    def apply(self, actor: Actor) -> None:
        """Keep the receiver's half."""
        actor.receive_link(self.from_pid, is_lost=self.is_late(actor))

    def refused(self, reason: Any, dead: Pid | None = None) -> tuple[Signal, ...]:
        """Return the exit signal that a link with a dead process brings."""
        return (Exit(self.from_pid, self.to, reason),)


@final
@dataclass(slots=True)
class Unlink(Signal):
    """UNLINK_ID: ``from_pid`` wants no link; ``unlink_id`` 0 stands for the old operation, which has no answer."""

    to: Pid
    from_pid: Pid
    unlink_id: int

    def apply(self, actor: Actor) -> None:
        """Acknowledge before any other signal to that process."""
        actor.runtime.route(self._ack())
        actor.relations.receive_unlink(self.from_pid)

    def refused(self, reason: Any, dead: Pid | None = None) -> tuple[Signal, ...]:
        """Return the acknowledgement: it is due from dead processes too."""
        return (self._ack(),)

    def _ack(self) -> UnlinkAck:
        return UnlinkAck(self.from_pid, self.to, self.unlink_id)


@final
@dataclass(slots=True)
class UnlinkAck(Signal):
    """UNLINK_ID_ACK: ``from_pid`` has taken the unlink of that number."""

    to: Pid
    from_pid: Pid
    unlink_id: int

    def apply(self, actor: Actor) -> None:
        """Forget the link."""
        actor.relations.receive_unlink_ack(self.from_pid, self.unlink_id)


@final
@dataclass(slots=True)
class Exit(Signal):
    """EXIT: ``from_pid``, which the receiver is linked with, has ended."""

    to: Pid
    from_pid: Pid
    reason: Any

    payload: ClassVar[str | None] = "reason"

    def apply(self, actor: Actor) -> None:
        """Count only if the link is active."""
        if actor.relations.receive_exit(self.from_pid):
            actor.take_exit(self.from_pid, self.reason)


@final
@dataclass(slots=True)
class Exit2(Signal):
    """EXIT2: ``from_pid`` wants the receiver to end; ``priority`` asks to be served first, as ``exit/3``."""

    to: Pid | Reference
    from_pid: Pid
    reason: Any
    priority: bool = False

    dials: ClassVar[bool] = True
    payload: ClassVar[str | None] = "reason"

    def apply(self, actor: Actor) -> None:
        """End the receiver, unless it traps; ``kill`` can't be trapped, and a process may end itself normally."""
        if actor.refuses_exit(self.from_pid, is_order=True):
            return
        if self.reason is KILL:
            actor.end(KILLED)
        elif self.reason is NORMAL and self.from_pid == actor.pid and not actor.trap_exit:
            actor.end(NORMAL)
        else:
            actor.take_exit(self.from_pid, self.reason)


# ---- monitors


@final
@dataclass(slots=True)
class Monitor(Signal):
    """MONITOR_P: ``watcher`` is told, by ``ref``, when the receiver ends."""

    to: Pid | tuple[Atom, Atom]
    watcher: Pid
    ref: Reference

    dials: ClassVar[bool] = True

    def apply(self, actor: Actor) -> None:
        """Keep the watcher; one whose link is lost is told nothing any more."""
        if self.is_late(actor):
            actor.runtime.forget_named(self.ref)
            return
        name = None if type(self.to) is Pid else self._target()
        actor.relate(self.watcher.node)
        actor.relations.add_watcher(self.ref, self.watcher, name)
        actor.runtime.bear(self.watcher.node)

    def refused(self, reason: Any, dead: Pid | None = None) -> tuple[Signal, ...]:
        """Return the DOWN that a monitor of a dead process brings."""
        return (Down(self.watcher, self.ref, self._target(), reason, dead),)

    def _target(self) -> Any:
        return self.to if type(self.to) is Pid else self.to[0]


@final
@dataclass(slots=True)
class Demonitor(Signal):
    """DEMONITOR_P: ``watcher`` takes back its monitor ``ref``."""

    to: Pid | tuple[Atom, Atom]
    watcher: Pid
    ref: Reference

    def apply(self, actor: Actor) -> None:
        """Forget the watcher."""
        actor.forget_watcher(self.ref)


@final
@dataclass(slots=True)
class Down(Signal):
    """MONITOR_P_EXIT: what the receiver monitors by ``ref`` has ended.

    Attributes:
        target: The pid or the name, as the receiver has monitored it.
        reason: Why it ended, or ``noproc``.
        dead: The process that ended, where it is known: nothing it has sent is overtaken.
    """

    to: Pid
    ref: Reference
    target: Pid | Atom
    reason: Any
    dead: Pid | None = None

    payload: ClassVar[str | None] = "reason"

    def apply(self, actor: Actor) -> None:
        """Fire the monitor, if it stands, and the node that says so is the target's."""
        if actor.is_of(self.ref, self.peer):
            actor.take_down(self.ref, self.reason)


# ---- group leaders and births


@final
@dataclass(slots=True)
class GroupLeader(Signal):
    """GROUP_LEADER: ``leader`` writes from now on what the receiver prints."""

    to: Pid
    leader: Pid

    dials: ClassVar[bool] = True

    def apply(self, actor: Actor) -> None:
        """Take the leader; a peer does not choose that of a process of the node itself."""
        if self.peer is None or not actor.guarded:
            actor.group_leader = self.leader


@final
@dataclass(slots=True)
class SpawnRequest(Signal):
    """SPAWN_REQUEST: start a process at a node for ``from_pid``. The receiver is a node, not a process.

    Attributes:
        to: The node.
        req_id: Comes back in the reply, and is the reference of the monitor.
        from_pid: The process that asks.
        leader: The group leader of the process.
        mfa: Module, function and arity.
        options: ``link``, ``monitor`` and others, as the node needs to know them.
        args: The list of arguments, or its encoding.
    """

    to: Atom
    req_id: Reference
    from_pid: Pid
    leader: Pid
    mfa: tuple[Atom, Atom, int]
    options: list[Any]
    args: Any

    dials: ClassVar[bool] = True
    payload: ClassVar[str | None] = "args"

    def refused(self, reason: Any, dead: Pid | None = None) -> tuple[Signal, ...]:
        """Return the reply of a node that starts nothing."""
        return (SpawnReply(self.from_pid, self.req_id, 0, reason),)


@final
@dataclass(slots=True)
class SpawnReply(Signal):
    """SPAWN_REPLY: the answer to a request of the receiver.

    Attributes:
        req_id: As it was asked for.
        flags: ``LINKED`` and ``MONITORED``.
        result: The pid, or an atom that says why there is none.
    """

    to: Pid
    req_id: Reference
    flags: int
    result: Pid | Atom

    def apply(self, actor: Actor) -> None:
        """Tell the caller, if the node that says so was asked; a process that nobody waits for is given up."""
        if actor.is_of(self.req_id, self.peer):
            actor.take_spawn_reply(self)

    def refused(self, reason: Any, dead: Pid | None = None) -> tuple[Signal, ...]:
        """Return what lets go of a process whose parent has no use for it any more."""
        if not isinstance(self.result, Pid):
            return ()
        answers: list[Signal] = []
        if self.flags & MONITORED:
            answers.append(Demonitor(self.result, self.to, self.req_id))
        if self.flags & LINKED:
            answers.append(Exit(self.result, self.to, ABANDONED))
        return tuple(answers)


# ---- what is no control message


@final
@dataclass(slots=True)
class AliasMessage(Signal):
    """A message to an alias: the reply to a request of the receiver."""

    to: Reference
    message: Any

    def apply(self, actor: Actor) -> None:
        """Hand the reply to whoever waits for it."""
        actor.take_reply(self.to, self.message)


@final
@dataclass(slots=True)
class LinkLost(Signal):
    """A link to another node is lost: what the receiver shared with that node fires, after what arrived before."""

    to: Pid
    lost: PeerRelations

    def apply(self, actor: Actor) -> None:
        """Fire a slice; what is left goes on before anything else. Watchers are forgotten beside that."""
        if self.lost.watchers:
            watchers, self.lost.watchers = self.lost.watchers, set()
            Unwatching(actor, watchers).begin()
        self._fire(actor)
        if self.lost and not actor.ended:
            actor.incoming.appendleft(self)

    def _fire(self, actor: Actor) -> None:
        lost, budget = self.lost, LOSS_SLICE
        while lost.monitors and budget:
            actor.take_down(lost.monitors.pop(), atoms.noconnection)
            budget -= 1
        while lost.links and budget and not actor.ended:
            pid, state = lost.links.popitem()
            budget -= 1
            if actor.relations.links.get(pid) is state and actor.relations.receive_exit(pid):
                actor.take_exit(pid, atoms.noconnection)


@final
class Unwatching:
    """Who has watched a process over a link that is lost: forgotten a slice at a time.

    The process does not wait for that, as nobody hears of it.

    Attributes:
        born_of: The lost node, with all of whose this takes turns.
    """

    __slots__ = ("_actor", "_watchers", "born_of")

    def __init__(self, actor: Actor, watchers: set[Reference]) -> None:
        self._actor = actor
        self._watchers = watchers
        self.born_of = next(iter(watchers)).node

    def begin(self) -> None:
        """Forget the first slice now."""
        if self.run():
            self._actor.runtime.scheduler.ready(self)

    def run(self, budget: int = LOSS_SLICE) -> bool:
        """Forget a slice; called by the scheduler. True when there is more."""
        del budget
        for _ in range(min(LOSS_SLICE, len(self._watchers))):
            self._actor.forget_watcher(self._watchers.pop())
        return bool(self._watchers)


def node_of(to: Any) -> Atom:
    """Return the node of a signal's receiver."""
    if isinstance(to, (Pid, Reference)):
        return to.node
    node: Atom = to[1] if type(to) is tuple else to
    return node
