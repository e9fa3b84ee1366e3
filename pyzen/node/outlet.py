"""What the router needs of the link layer: the way to each peer, and how to find or open it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor
    from pyzen.actor.runtime import Sent
    from pyzen.actor.signals import Signal
    from pyzen.terms import Atom, Pid, Reference

__all__ = ["Links", "Outlet"]


class Outlet(Protocol):
    """The way to one peer: a link that is up, or the queue for one that is being dialled."""

    epoch: int
    busy: bool

    def send(self, from_pid: Pid, to: Pid | Atom | Reference, message: Any, *, priority: bool = False) -> Sent:
        """Send a message. Raises ``EncodeError``, ``LinkOverloaded``."""

    def signal(self, signal: Signal) -> bool:
        """Send any other signal; false when the peer does not know its kind.

        Raises ``EncodeError`` for the arguments of a spawn request; other signals are never lost for what they carry.
        """

    def suspend_while_busy(self, actor: Actor) -> None:
        """Call ``actor.suspend(self)`` if this is busy; ``actor.resume(self)`` follows."""


class Links(Protocol):
    """What the router needs of the link layer."""

    @property
    def dial_count(self) -> int:
        """How many dials are under way."""

    def up(self, node: Atom) -> Outlet | None:
        """Return the link to ``node`` that is up."""

    def queue(self, node: Atom) -> Outlet | None:
        """Return the queue of a dial that is under way."""

    def dial(self, node: Atom) -> Outlet | None:
        """Start to dial and return the queue; None when ``node`` can't be dialled at all, or many others are.

        Success calls ``Router.link_up``, failure ``Router.dial_failed``.
        """

    def disconnect(self, node: Atom, reason: str) -> bool:
        """End the link to ``node``, with ``Router.link_lost``; false when there is none."""

    def peer_of(self, epoch: int) -> Atom | None:
        """Return the peer of the link with that epoch, None when it is gone."""

    def guard(self, receiver: int | Atom) -> None:
        """Let messages to the process with this number or name say which link they came by."""

    def unguard(self, receiver: int | Atom) -> None:
        """Undo `guard`."""
