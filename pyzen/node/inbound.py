"""What control messages of a peer do: the `SignalReceiver` of `pyzen.dist.control`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, final

from pyzen.terms import Atom, Pid, Reference

if TYPE_CHECKING:
    from pyzen.node.router import Router

__all__ = ["Inbound"]


@final
class Inbound:
    """The signals of peers, for the processes of this node.

    Signals for processes of other nodes are dropped: this node forwards nothing.
    """

    __slots__ = ("_router",)

    def __init__(self, router: Router) -> None:
        self._router = router

    def send(self, to: int | Atom | Reference, messages: list[Any]) -> None:
        """Deliver messages in order; unknown receivers drop them."""
        router = self._router
        if type(to) is int:
            process = router.by_number.get(to)
            if process is not None:
                process.enqueue_all(messages)
        else:
            router.deliver(cast("Atom | Reference", to), messages)

    def _ours(self, pid: Pid) -> bool:
        return pid.node is self._router.name

    def link(self, from_pid: Pid, to_pid: Pid) -> None:
        """LINK."""
        if self._ours(to_pid):
            self._router.route_link(from_pid, to_pid)

    def unlink(self, unlink_id: int, from_pid: Pid, to_pid: Pid) -> None:
        """UNLINK_ID."""
        if self._ours(to_pid):
            self._router.route_unlink(unlink_id, from_pid, to_pid)

    def unlink_ack(self, unlink_id: int, from_pid: Pid, to_pid: Pid) -> None:
        """UNLINK_ID_ACK."""
        if self._ours(to_pid):
            self._router.route_unlink_ack(unlink_id, from_pid, to_pid)

    def exit(self, from_pid: Pid, to_pid: Pid, reason: Any) -> None:
        """PAYLOAD_EXIT."""
        if self._ours(to_pid):
            self._router.route_exit(from_pid, to_pid, reason)

    def exit2(self, from_pid: Pid, to: Pid | Reference, reason: Any) -> None:
        """PAYLOAD_EXIT2."""
        if to.node is self._router.name:
            self._router.route_exit2(from_pid, to, reason)

    def monitor(self, watcher: Pid, target: Pid | Atom, ref: Reference) -> None:
        """MONITOR_P, by pid or by name."""
        if type(target) is not Pid:
            self._router.monitor_name(watcher, target, ref)
        elif self._ours(target):
            self._router.route_monitor(watcher, target, ref)

    def demonitor(self, watcher: Pid, target: Pid | Atom, ref: Reference) -> None:
        """DEMONITOR_P."""
        if type(target) is not Pid:
            self._router.demonitor_name(ref)
        elif self._ours(target):
            self._router.route_demonitor(watcher, target, ref)

    def down(self, target: Pid | Atom, watcher: Pid, ref: Reference, reason: Any) -> None:
        """PAYLOAD_MONITOR_P_EXIT."""
        if self._ours(watcher):
            self._router.route_down(target, watcher, ref, reason)

    def group_leader(self, leader: Pid, to_pid: Pid) -> None:
        """GROUP_LEADER."""
        if self._ours(to_pid):
            self._router.route_group_leader(leader, to_pid)

    def spawn_request(
        self,
        req_id: Reference,
        from_pid: Pid,
        leader: Pid,
        mfa: tuple[Atom, Atom, int],
        options: list[Any],
        args: list[Any],
    ) -> None:
        """SPAWN_REQUEST."""
        self._router.births.requested(req_id, from_pid, leader, mfa, options, args)

    def spawn_reply(self, req_id: Reference, to_pid: Pid, flags: int, result: Pid | Atom) -> None:
        """SPAWN_REPLY."""
        if self._ours(to_pid):
            self._router.route_spawn_reply(req_id, to_pid, flags, result)
