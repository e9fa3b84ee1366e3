"""What the router needs of the link layer: the way to each peer, and how to find or open it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.process import Actor, Sent
    from pyzen.terms import Atom, Pid, Reference

__all__ = ["Links", "Outlet"]


class Outlet(Protocol):
    """The way to one peer: a link that is up, or the queue for one that is being dialled.

    ``send`` may raise ``EncodeError`` and ``LinkOverloaded``; nothing else raises.
    """

    epoch: int
    busy: bool

    def send(self, from_pid: Pid, to: Pid | Atom | Reference, message: Any, *, priority: bool = False) -> Sent:
        """Send a message."""

    def link(self, from_pid: Pid, to_pid: Pid) -> object:
        """Send LINK."""

    def unlink(self, unlink_id: int, from_pid: Pid, to_pid: Pid) -> object:
        """Send UNLINK_ID."""

    def unlink_ack(self, unlink_id: int, from_pid: Pid, to_pid: Pid) -> object:
        """Send UNLINK_ID_ACK."""

    def exit(self, from_pid: Pid, to_pid: Pid, reason: Any) -> object:
        """Send PAYLOAD_EXIT."""

    def exit2(self, from_pid: Pid, to: Pid | Reference, reason: Any, *, priority: bool = False) -> object:
        """Send PAYLOAD_EXIT2, to a process or to one of its aliases."""

    def monitor(self, watcher: Pid, target: Pid | Atom, ref: Reference) -> object:
        """Send MONITOR_P."""

    def demonitor(self, watcher: Pid, target: Pid | Atom, ref: Reference) -> object:
        """Send DEMONITOR_P."""

    def down(self, target: Pid | Atom, watcher: Pid, ref: Reference, reason: Any, *, dead: Pid | None = None) -> object:
        """Send PAYLOAD_MONITOR_P_EXIT; ``dead`` is the process where ``target`` is its name."""

    def spawn_request(
        self,
        req_id: Reference,
        from_pid: Pid,
        leader: Pid,
        mfa: tuple[Atom, Atom, int],
        options: list[Any],
        args: list[Any],
        refused: Callable[[], object],
    ) -> object:
        """Send SPAWN_REQUEST, or call ``refused`` when the peer does not know it."""

    def spawn_reply(self, req_id: Reference, to_pid: Pid, flags: int, result: Pid | Atom) -> object:
        """Send SPAWN_REPLY."""

    def group_leader(self, leader: Pid, to_pid: Pid) -> object:
        """Send GROUP_LEADER."""

    def resume_when_writable(self, process: Actor) -> bool:
        """Call ``process.resume()`` when no longer busy; false when it is not busy."""


class Links(Protocol):
    """What the router needs of the link layer."""

    def up(self, node: Atom) -> Outlet | None:
        """Return the link to ``node`` that is up."""

    def queue(self, node: Atom) -> Outlet | None:
        """Return the queue of a dial that is under way."""

    def dial(self, node: Atom) -> Outlet | None:
        """Start to dial and return the queue; None when ``node`` can't be dialled at all.

        Success calls ``Router.link_up``, failure ``Router.dial_failed``.
        """

    def disconnect(self, node: Atom, reason: str) -> bool:
        """Close the link to ``node``, soon followed by ``Router.link_lost``; false when there is none."""
