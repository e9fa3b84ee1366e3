"""What a process needs of its node, and the types that go with it.

`pyzen.node.router` provides it over real links, `pyzen.testing` in memory under virtual time.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Sequence

    from pyzen.actor.actor import Actor
    from pyzen.actor.asker import Asker
    from pyzen.actor.home import Home
    from pyzen.actor.scheduler import Scheduler
    from pyzen.actor.signals import Signal
    from pyzen.monitor_table import Downs, Unreads
    from pyzen.shares import Shares
    from pyzen.terms import Atom, Pid, Reference, ReferenceSource

__all__ = ["BUSY", "NO_LINK", "SENT", "Dest", "Runtime", "Sent", "Target", "TimerHandle"]

Dest: TypeAlias = "Pid | Atom | str | tuple[Atom | str, Atom | str] | Reference"
Target: TypeAlias = "Pid | Atom | str | tuple[Atom | str, Atom | str]"


class Sent(IntEnum):
    """What became of a message."""

    SENT = 0
    BUSY = 1
    NO_LINK = 2


SENT, BUSY, NO_LINK = Sent
"""The members as names of this module: to look one up in the class takes as long as a call."""


class TimerHandle(Protocol):
    """A timer that can be cancelled."""

    def cancel(self) -> None:
        """Never call the callback."""


class Runtime(Protocol):
    """What a process needs of its node; `pyzen.node.router` and `pyzen.testing` provide it."""

    name: Atom
    creation: int
    references: ReferenceSource
    shared: Shares
    scheduler: Scheduler
    unread: Unreads
    links_lost: int
    is_stopping: bool
    asker: Asker | None
    home: Home

    @property
    def user(self) -> Pid | None:
        """The process that writes for those that have no other group leader."""

    def now(self) -> float:
        """Return monotonic time in seconds."""

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> TimerHandle:
        """Call ``callback(*args)`` after ``delay`` seconds, outside of any process."""

    def create_task(self, coroutine: Coroutine[Any, Any, Any], actor: Actor) -> asyncio.Task[Any]:
        """Run a coroutine as a task of ``actor``; the node waits for it when it stops."""

    def make_pid(self) -> Pid:
        """Return a pid never used before."""

    def make_ref(self) -> Reference:
        """Return a reference never used before."""

    def spawn(self, target: Any, *args: Any, name: Atom | str | None = None, link: Pid | None = None) -> Pid:
        """Start what ``target`` describes; its ``init`` runs in the next turn. Raises ``NameTaken``, ``TypeError``."""

    def actor(self, pid: Pid) -> Actor | None:
        """Return the kernel's side of the live process of this node with that pid."""

    def process(self, pid: Pid) -> Any:
        """Return the object of the user's class of that process, None where it does not live."""

    def running(self) -> Pid | None:
        """Return the process that is running now, if it is one of this node."""

    def whereis(self, name: Atom) -> Pid | None:
        """Return the pid registered under ``name``."""

    def register(self, name: Atom | str, pid: Pid) -> None:
        """Register a live process. Raises ``NameTaken``, ``NoProcess``."""

    def forget(self, actor: Actor) -> None:
        """Take an ended process out of the tables."""

    def send(self, from_pid: Pid, dest: Dest, message: Any, *, dial: bool = True, priority: bool = False) -> Sent:
        """Route a message. Raises ``EncodeError``, ``LinkOverloaded``."""

    def deliver(self, to: int | Atom | Reference, messages: list[Any], via: int = 0) -> None:
        """Deliver messages to a process of this node by number, name or alias; dropped where it is not there."""

    def deliver_many(self, dispatches: Sequence[tuple[Pid, Downs]]) -> None:
        """Put DOWNs into mailboxes of this node; those for dead processes are withdrawn."""

    def link(self, node: Atom) -> tuple[int, bool] | None:
        """Return (epoch, busy) of the link to ``node``, None without one; the own node has epoch 0."""

    @property
    def has_few_dials(self) -> bool:
        """Whether so few dials are under way that one may be added for somebody whom a peer has named."""

    def peer_of(self, epoch: int) -> Atom | None:
        """Return the node at the other end of the link with that epoch, None when it is gone."""

    def disconnect(self, node: Atom, reason: str) -> None:
        """Close the link to ``node``, if there is one; ``reason`` is for the log."""

    def monitor_node(self, node: Atom, subscriber: Pid) -> None:
        """Send ``(nodeup, node)`` and ``(nodedown, node)`` to ``subscriber`` from now on."""

    def demonitor_node(self, node: Atom, subscriber: Pid) -> None:
        """Undo one ``monitor_node``."""

    def dial(self, node: Atom, subscriber: Pid) -> None:
        """Dial a node that is not linked; failure is told as ``(dial_failed, node, text)``."""

    def route(self, signal: Signal) -> None:
        """Take a signal to its receiver, here or behind a link; dials where the kind of signal asks for it.

        What nobody is there for is answered as `Signal.refused` says. Raises ``EncodeError`` for the arguments of a
        `SpawnRequest`; a reason without an Erlang form is replaced, for the signal must not be lost.
        """

    def forget_named(self, ref: Reference) -> None:
        """Forget which process a monitor by name belongs to."""

    def relate(self, node: Atom, actor: Actor) -> None:
        """Remember that ``actor`` must hear when the link to ``node`` is lost; called before it shares anything new."""

    def bear(self, node: Atom) -> None:
        """Part from ``node`` if its processes hold too many links and monitors here; called when one has been made."""

    def add_alias(self, ref: Reference, actor: Actor) -> None:
        """Deliver messages for ``ref`` to ``actor``."""

    def remove_alias(self, ref: Reference) -> None:
        """Drop messages for ``ref`` from now on."""

    def suspend_while_busy(self, dest: Dest, actor: Actor) -> None:
        """Call ``actor.suspend`` if the link that ``dest`` needs is above its high mark; ``resume`` follows."""
