"""Control messages to a peer: method calls to the operation that the peer understands.

The way back of `pyzen.dist.control`. Messages to processes do not pass here: the native link carries them.

Source: OTP, "Distribution Protocol", section "Protocol between Connected Nodes".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from pyzen.dist.control import Op
from pyzen.dist.flags import Flag
from pyzen.terms import Pid, Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.terms import Atom

__all__ = ["ControlEncoder", "Emit"]

NODE_LEVEL: Final = 0  # the order key of signals that belong to no process
SENT: Final = 0  # what an `Emit` answers for a queued signal
PRIORITY: Final = 1  # flags of ALTACT_SIG_SEND
TO_ALIAS: Final = 4
ALTERNATIVE_EXIT: Final = 16
MONITORS: Final = Flag.DIST_MONITOR | Flag.DIST_MONITOR_NAME


class Emit(Protocol):
    """Queues one signal for the peer, as ``LinkThread.signal`` bound to a link does."""

    def __call__(self, order_key: int, control: tuple[Any, ...], payload: Any = ..., /) -> int:
        """Queue ``control``, and ``payload`` if given, behind all else of ``order_key``."""


class ControlEncoder:
    """The methods of `SignalReceiver` outwards: each becomes the one control message that the peer understands.

    Every method answers what ``emit`` does; a signal the peer has no operation for is dropped and counts as sent.
    The order key is the number of the local process that sends, for `exit` and `down` the one that ended: nothing
    overtakes what the same process sent before. Operations go out as plain integers, since the codec knows no enums.

    Args:
        flags: What both sides can do, as negotiated.
        emit: Queues one signal for this peer.
    """

    def __init__(self, flags: int, emit: Emit) -> None:
        self._emit = emit
        self._payloads = bool(flags & Flag.EXIT_PAYLOAD)
        self._unlink_ids = bool(flags & Flag.UNLINK_ID)
        self._monitors = flags & MONITORS == MONITORS
        self._spawns = bool(flags & Flag.SPAWN)
        self._alternatives = bool(flags & Flag.ALTACT_SIG)

    def link(self, from_pid: Pid, to_pid: Pid) -> int:
        """Link the local ``from_pid`` to ``to_pid`` of the peer."""
        return self._emit(from_pid.number, (Op.LINK.value, from_pid, to_pid))

    def unlink(self, unlink_id: int, from_pid: Pid, to_pid: Pid) -> int:
        """Drop a link; ``unlink_id``, from 1 to 2^64-1, comes back in the acknowledgement.

        A peer without UNLINK_ID is sent the old operation, which nobody acknowledges.
        """
        if not self._unlink_ids:
            return self._emit(from_pid.number, (Op.UNLINK.value, from_pid, to_pid))
        return self._emit(from_pid.number, (Op.UNLINK_ID.value, unlink_id, from_pid, to_pid))

    def unlink_ack(self, unlink_id: int, from_pid: Pid, to_pid: Pid) -> int:
        """Acknowledge an unlink of ``from_pid``, which is local; 0 stands for one that needs no answer."""
        if not unlink_id:
            return SENT
        return self._emit(from_pid.number, (Op.UNLINK_ID_ACK.value, unlink_id, from_pid, to_pid))

    def exit(self, from_pid: Pid, to_pid: Pid, reason: Any) -> int:
        """Break the link of ``to_pid``: the local ``from_pid`` ended."""
        if not self._payloads:
            return self._emit(from_pid.number, (Op.EXIT.value, from_pid, to_pid, reason))
        return self._emit(from_pid.number, (Op.PAYLOAD_EXIT.value, from_pid, to_pid), reason)

    def exit2(self, from_pid: Pid, to: Pid | Reference, reason: Any, *, priority: bool = False) -> int:
        """Ask a process of the peer to end.

        Args:
            from_pid: The local process that asks.
            to: The process, or an alias of it; peers before OTP 28 know no exit signals to aliases.
            reason: The exit reason.
            priority: Ask to be served first, where the peer knows that.
        """
        is_alias = type(to) is Reference
        if self._alternatives and (priority or is_alias):
            flags = ALTERNATIVE_EXIT | (PRIORITY if priority else 0) | (TO_ALIAS if is_alias else 0)
            return self._emit(from_pid.number, (Op.ALTACT_SIG_SEND.value, flags, from_pid, to), reason)
        if is_alias:
            return SENT
        if not self._payloads:
            return self._emit(from_pid.number, (Op.EXIT2.value, from_pid, to, reason))
        return self._emit(from_pid.number, (Op.PAYLOAD_EXIT2.value, from_pid, to), reason)

    def monitor(self, watcher: Pid, target: Pid | Atom, ref: Reference) -> int:
        """Let the local ``watcher`` know when ``target`` of the peer ends."""
        if not self._monitors:
            return SENT
        return self._emit(watcher.number, (Op.MONITOR_P.value, watcher, target, ref))

    def demonitor(self, watcher: Pid, target: Pid | Atom, ref: Reference) -> int:
        """Drop a monitor of the local ``watcher``; ``target`` as it was given to `monitor`."""
        if not self._monitors:
            return SENT
        return self._emit(watcher.number, (Op.DEMONITOR_P.value, watcher, target, ref))

    def down(self, target: Pid | Atom, watcher: Pid, ref: Reference, reason: Any, *, dead: Pid | None = None) -> int:
        """Fire the monitor ``ref`` that ``watcher`` of the peer has.

        Args:
            target: The local pid or name, as the peer monitored it.
            watcher: Who monitors.
            ref: The reference the peer chose.
            reason: Why the target ended, or ``noproc``.
            dead: The process that ended, where ``target`` is its name: its last messages go out first.
        """
        if not self._monitors:
            return SENT
        ended = target if isinstance(target, Pid) else dead
        order_key = NODE_LEVEL if ended is None else ended.number
        if not self._payloads:
            return self._emit(order_key, (Op.MONITOR_P_EXIT.value, target, watcher, ref, reason))
        return self._emit(order_key, (Op.PAYLOAD_MONITOR_P_EXIT.value, target, watcher, ref), reason)

    def group_leader(self, leader: Pid, to_pid: Pid) -> int:
        """Set the group leader of ``to_pid`` of the peer."""
        return self._emit(NODE_LEVEL, (Op.GROUP_LEADER.value, leader, to_pid))

    def spawn_request(
        self,
        req_id: Reference,
        from_pid: Pid,
        leader: Pid,
        mfa: tuple[Atom, Atom, int],
        options: list[Any],
        args: Any,
        refused: Callable[[], object],
    ) -> int:
        """Start a process at the peer for the local ``from_pid``; calls ``refused`` when the peer can't do that.

        Args:
            req_id: Comes back in the reply, and is the reference of the monitor.
            from_pid: Who asks.
            leader: Group leader of the process.
            mfa: Module, function and arity.
            options: ``link`` and ``monitor``, as the peer needs to know them.
            args: The list of arguments.
            refused: Without arguments.
        """
        if not self._spawns:
            refused()
            return SENT
        return self._emit(from_pid.number, (Op.SPAWN_REQUEST.value, req_id, from_pid, leader, mfa, options), args)

    def spawn_reply(self, req_id: Reference, to_pid: Pid, flags: int, result: Pid | Atom) -> int:
        """Answer a request of ``to_pid``; nothing that the new process sends overtakes it."""
        order_key = result.number if isinstance(result, Pid) else NODE_LEVEL
        return self._emit(order_key, (Op.SPAWN_REPLY.value, req_id, to_pid, flags, result))
