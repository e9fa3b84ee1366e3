"""Signals to control messages: each becomes the one operation that the peer understands.

The way back of `pyzen.dist.control`. Messages to processes do not pass here: the native link carries them.

Source: OTP, "Distribution Protocol", section "Protocol between Connected Nodes".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from pyzen.actor import signals
from pyzen.dist.control import Op
from pyzen.dist.flags import Flag
from pyzen.terms import Pid, Reference

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ControlEncoder", "Encoded"]

NODE_LEVEL: Final = 0  # the order key of signals that belong to no process
PRIORITY: Final = 1  # flags of ALTACT_SIG_SEND
TO_ALIAS: Final = 4
ALTERNATIVE_EXIT: Final = 16
MONITORS: Final = Flag.DIST_MONITOR | Flag.DIST_MONITOR_NAME

Encoded: TypeAlias = "tuple[int, tuple[Any, ...]] | tuple[int, tuple[Any, ...], Any]"
"""An order key, a control tuple, and the payload if there is one."""


@final
class ControlEncoder:
    """Knows what one peer understands.

    The order key is the number of the local process that sends, for an exit signal and a DOWN the one that ended:
    nothing overtakes what the same process sent before. Operations go out as plain integers, for the codec knows no
    enums.

    Args:
        flags: What both sides can do, as negotiated.
    """

    def __init__(self, flags: int) -> None:
        self._payloads = bool(flags & Flag.EXIT_PAYLOAD)
        self._unlink_ids = bool(flags & Flag.UNLINK_ID)
        self._monitors = flags & MONITORS == MONITORS
        self._spawns = bool(flags & Flag.SPAWN)
        self._alternatives = bool(flags & Flag.ALTACT_SIG)

    def encode(self, signal: signals.Signal) -> Encoded | None:
        """Return what to send for a signal; None where the peer has no operation for it."""
        return ENCODERS[type(signal)](self, signal)

    def _link(self, signal: signals.Link) -> Encoded:
        return signal.from_pid.number, (Op.LINK.value, signal.from_pid, signal.to)

    def _unlink(self, signal: signals.Unlink) -> Encoded:
        from_pid = signal.from_pid
        if not self._unlink_ids:  # the old operation, which has no acknowledgement
            return from_pid.number, (Op.UNLINK.value, from_pid, signal.to)
        return from_pid.number, (Op.UNLINK_ID.value, signal.unlink_id, from_pid, signal.to)

    def _unlink_ack(self, signal: signals.UnlinkAck) -> Encoded | None:
        if not signal.unlink_id:  # of the old operation
            return None
        return signal.from_pid.number, (Op.UNLINK_ID_ACK.value, signal.unlink_id, signal.from_pid, signal.to)

    def _exit(self, signal: signals.Exit) -> Encoded:
        from_pid, to, reason = signal.from_pid, signal.to, signal.reason
        if not self._payloads:
            return from_pid.number, (Op.EXIT.value, from_pid, to, reason)
        return from_pid.number, (Op.PAYLOAD_EXIT.value, from_pid, to), reason

    def _exit2(self, signal: signals.Exit2) -> Encoded | None:
        from_pid, to, reason = signal.from_pid, signal.to, signal.reason
        is_alias = type(to) is Reference
        if self._alternatives and (signal.priority or is_alias):
            flags = ALTERNATIVE_EXIT | (PRIORITY if signal.priority else 0) | (TO_ALIAS if is_alias else 0)
            return from_pid.number, (Op.ALTACT_SIG_SEND.value, flags, from_pid, to), reason
        if is_alias:
            return None
        if not self._payloads:
            return from_pid.number, (Op.EXIT2.value, from_pid, to, reason)
        return from_pid.number, (Op.PAYLOAD_EXIT2.value, from_pid, to), reason

    def _monitor(self, signal: signals.Monitor) -> Encoded | None:
        return self._watch(Op.MONITOR_P.value, signal)

    def _demonitor(self, signal: signals.Demonitor) -> Encoded | None:
        return self._watch(Op.DEMONITOR_P.value, signal)

    def _watch(self, op: int, signal: signals.Monitor | signals.Demonitor) -> Encoded | None:
        if not self._monitors:
            return None
        to = signal.to
        return signal.watcher.number, (op, signal.watcher, to if isinstance(to, Pid) else to[0], signal.ref)

    def _down(self, signal: signals.Down) -> Encoded | None:
        if not self._monitors:
            return None
        target, watcher, ref = signal.target, signal.to, signal.ref
        ended = target if isinstance(target, Pid) else signal.dead
        order_key = NODE_LEVEL if ended is None else ended.number
        if not self._payloads:
            return order_key, (Op.MONITOR_P_EXIT.value, target, watcher, ref, signal.reason)
        return order_key, (Op.PAYLOAD_MONITOR_P_EXIT.value, target, watcher, ref), signal.reason

    def _group_leader(self, signal: signals.GroupLeader) -> Encoded:
        return NODE_LEVEL, (Op.GROUP_LEADER.value, signal.leader, signal.to)

    def _spawn_request(self, signal: signals.SpawnRequest) -> Encoded | None:
        if not self._spawns:
            return None
        control = (
            Op.SPAWN_REQUEST.value, signal.req_id, signal.from_pid, signal.leader, signal.mfa, signal.options
        )  # fmt: skip
        return signal.from_pid.number, control, signal.args

    def _spawn_reply(self, signal: signals.SpawnReply) -> Encoded:
        order_key = signal.result.number if isinstance(signal.result, Pid) else NODE_LEVEL
        return order_key, (Op.SPAWN_REPLY.value, signal.req_id, signal.to, signal.flags, signal.result)


ENCODERS: Final[dict[type[signals.Signal], Callable[[ControlEncoder, Any], Encoded | None]]] = {
    signals.Link: ControlEncoder._link,
    signals.Unlink: ControlEncoder._unlink,
    signals.UnlinkAck: ControlEncoder._unlink_ack,
    signals.Exit: ControlEncoder._exit,
    signals.Exit2: ControlEncoder._exit2,
    signals.Monitor: ControlEncoder._monitor,
    signals.Demonitor: ControlEncoder._demonitor,
    signals.Down: ControlEncoder._down,
    signals.GroupLeader: ControlEncoder._group_leader,
    signals.SpawnRequest: ControlEncoder._spawn_request,
    signals.SpawnReply: ControlEncoder._spawn_reply,
}
