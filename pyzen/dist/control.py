"""Control messages of a peer: operation numbers to signals.

With `pyzen.dist.control_encoder`, the way back, the only Python module that knows operation numbers. What a control
message does is the business of its signal. Messages to processes do not pass here: the native link carries
them. It also hands on what arrives in one form only: the variants with a trace token, and those with the reason
inside the tuple, arrive here as LINK, UNLINK, GROUP_LEADER, MONITOR_P, DEMONITOR_P, PAYLOAD_EXIT, PAYLOAD_EXIT2,
PAYLOAD_MONITOR_P_EXIT, UNLINK_ID, UNLINK_ID_ACK and the spawn operations.

Source: OTP, "Distribution Protocol", section "Protocol between Connected Nodes"; the ownership rules are those
of ``erts/emulator/beam/dist.c``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, cast, final

from pyzen.actor import signals
from pyzen.brief import brief
from pyzen.errors import RemoteProtocolError
from pyzen.terms import Atom, Pid, Reference

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ControlDecoder", "Op"]

UNLINK_ID_MAXIMUM: Final = 2**64 - 1

TARGETS: Final = frozenset({Pid, Atom})


class Op(IntEnum):
    """Operation numbers, the first element of every control tuple."""

    LINK = 1
    SEND = 2
    EXIT = 3
    UNLINK = 4
    NODE_LINK = 5
    REG_SEND = 6
    GROUP_LEADER = 7
    EXIT2 = 8
    SEND_TT = 12
    EXIT_TT = 13
    REG_SEND_TT = 16
    EXIT2_TT = 18
    MONITOR_P = 19
    DEMONITOR_P = 20
    MONITOR_P_EXIT = 21
    SEND_SENDER = 22
    SEND_SENDER_TT = 23
    PAYLOAD_EXIT = 24
    PAYLOAD_EXIT_TT = 25
    PAYLOAD_EXIT2 = 26
    PAYLOAD_EXIT2_TT = 27
    PAYLOAD_MONITOR_P_EXIT = 28
    SPAWN_REQUEST = 29
    SPAWN_REQUEST_TT = 30
    SPAWN_REPLY = 31
    SPAWN_REPLY_TT = 32
    ALIAS_SEND = 33
    ALIAS_SEND_TT = 34
    UNLINK_ID = 35
    UNLINK_ID_ACK = 36
    ALTACT_SIG_SEND = 37


@final
class ControlDecoder:
    """Turns the control messages of one link into signals.

    Args:
        node: The name of this node.
        peer: Name of the node at the other end; what it may say of pids depends on it.
        via: The epoch of the link, which every signal carries, as it does the peer.
    """

    def __init__(self, node: Atom, peer: Atom, via: int) -> None:
        self._node = node
        self._peer = peer
        self._via = via

    def decode(self, op: int, control: tuple[Any, ...], payload: Any = None) -> signals.Signal:
        """Return the signal that one control message is.

        Args:
            op: The operation number.
            control: The whole tuple, operation number included.
            payload: The term after it; ignored by operations that have none.

        Raises:
            RemoteProtocolError: If the message breaks the protocol; it names the item, and the link should be closed
                as a real node would.
        """
        row = DECODERS.get(op)
        if row is None:
            raise self._error(f"unexpected control operation {describe_op(op)}")
        arity, method = row
        if len(control) != arity:
            raise self._error(f"{describe_op(op)} must have {arity} elements, not {len(control)}")
        signal = method(self, control, payload)
        signal.via, signal.peer = self._via, self._peer
        return signal

    def _link(self, control: tuple[Any, ...], _payload: Any) -> signals.Signal:
        _, from_pid, to = control
        return signals.Link(self._pid(to, "LINK To"), self._own(from_pid, "LINK From"))

    def _unlink(self, control: tuple[Any, ...], _payload: Any) -> signals.Signal:
        _, from_pid, to = control
        return signals.Unlink(self._pid(to, "UNLINK To"), self._own(from_pid, "UNLINK From"), 0)

    def _unlink_id(self, control: tuple[Any, ...], _payload: Any) -> signals.Signal:
        _, unlink_id, from_pid, to = control
        number = self._unlink_number(unlink_id, "UNLINK_ID Id")
        from_pid, to = self._own(from_pid, "UNLINK_ID From"), self._pid(to, "UNLINK_ID To")
        return signals.Unlink(to, from_pid, number)

    def _unlink_id_ack(self, control: tuple[Any, ...], _payload: Any) -> signals.Signal:
        _, unlink_id, from_pid, to = control
        number = self._unlink_number(unlink_id, "UNLINK_ID_ACK Id")
        from_pid, to = self._own(from_pid, "UNLINK_ID_ACK From"), self._pid(to, "UNLINK_ID_ACK To")
        return signals.UnlinkAck(to, from_pid, number)

    def _exit(self, control: tuple[Any, ...], reason: Any) -> signals.Signal:
        _, from_pid, to = control
        from_pid, to = self._own(from_pid, "PAYLOAD_EXIT From"), self._pid(to, "PAYLOAD_EXIT To")
        return signals.Exit(to, from_pid, reason)

    def _exit2(self, control: tuple[Any, ...], reason: Any) -> signals.Signal:
        _, from_pid, to = control
        to = to if type(to) is Reference else self._pid(to, "PAYLOAD_EXIT2 To")
        return signals.Exit2(to, self._own(from_pid, "PAYLOAD_EXIT2 From"), reason)

    def _monitor(self, control: tuple[Any, ...], _payload: Any) -> signals.Signal:
        return self._watch(signals.Monitor, control)

    def _demonitor(self, control: tuple[Any, ...], _payload: Any) -> signals.Signal:
        return self._watch(signals.Demonitor, control)

    def _watch(self, kind: type[signals.Monitor] | type[signals.Demonitor], control: tuple[Any, ...]) -> signals.Signal:
        """Every call of a GenServer brings two: what is right is not looked at twice."""
        op, watcher, target, ref = control
        if not (
            type(watcher) is Pid
            and watcher.node is self._peer
            and type(ref) is Reference
            and ref.node is self._peer
            and type(target) in TARGETS
        ):
            name = Op(op).name
            self._own(watcher, f"{name} Watcher")
            self._target(target, f"{name} PidOrName")
            self._own_reference(ref, f"{name} Ref")
        return kind(target if type(target) is Pid else (target, self._node), watcher, ref)

    def _down(self, control: tuple[Any, ...], reason: Any) -> signals.Signal:
        _, target, watcher, ref = control
        return signals.Down(
            self._pid(watcher, "PAYLOAD_MONITOR_P_EXIT Watcher"),
            self._reference(ref, "PAYLOAD_MONITOR_P_EXIT Ref"),
            self._target(target, "PAYLOAD_MONITOR_P_EXIT PidOrName"),
            reason,
        )

    def _group_leader(self, control: tuple[Any, ...], _payload: Any) -> signals.Signal:
        _, leader, to = control
        leader, to = self._pid(leader, "GROUP_LEADER Leader"), self._pid(to, "GROUP_LEADER To")
        return signals.GroupLeader(to, leader)

    def _spawn_request(self, control: tuple[Any, ...], args: Any) -> signals.Signal:
        _, req_id, from_pid, leader, mfa, options = control
        return signals.SpawnRequest(
            self._node,
            self._own_reference(req_id, "SPAWN_REQUEST ReqId"),
            self._own(from_pid, "SPAWN_REQUEST From"),
            self._pid(leader, "SPAWN_REQUEST GroupLeader"),
            self._mfa(mfa),
            self._list(options, "SPAWN_REQUEST OptList"),
            self._list(args, "SPAWN_REQUEST ArgList"),
        )

    def _spawn_reply(self, control: tuple[Any, ...], _payload: Any) -> signals.Signal:
        _, req_id, to, flags, result = control
        if type(flags) is not int:
            raise self._error("SPAWN_REPLY Flags must be an integer")
        return signals.SpawnReply(
            self._pid(to, "SPAWN_REPLY To"),
            self._reference(req_id, "SPAWN_REPLY ReqId"),
            flags,
            self._own(result, "SPAWN_REPLY Result")
            if type(result) is Pid
            else self._target(result, "SPAWN_REPLY Result"),
        )

    def _mfa(self, item: Any) -> tuple[Atom, Atom, int]:
        match item:
            case (module, function, int() as arity) if not isinstance(arity, bool):
                return (
                    self._name(module, "SPAWN_REQUEST Module"),
                    self._name(function, "SPAWN_REQUEST Function"),
                    arity,
                )
        raise self._error(f"SPAWN_REQUEST MFA must be a module, a function and an arity, not {brief(item, 100)}")

    def _list(self, item: Any, name: str) -> list[Any]:
        if type(item) is not list:
            raise self._error(f"{name} must be a list, not {brief(item, 100)}")
        return item

    def _own_reference(self, item: Any, name: str) -> Reference:
        # A reference of this node in the hands of a peer could be one that is in use here.
        ref = self._reference(item, name)
        if ref.node is not self._peer:
            raise self._error(f"{name} must be a reference of {self._peer}, not {ref!r}")
        return ref

    def _pid(self, item: Any, name: str) -> Pid:
        if type(item) is not Pid:
            raise self._error(f"{name} must be a pid, not {brief(item, 100)}")
        return item

    def _own(self, item: Any, name: str) -> Pid:
        # A peer speaks for its own processes only; a real node closes the link when it speaks for another's.
        if type(item) is Pid and item.node is self._peer:
            return item
        raise self._error(f"{name} must be a pid of {self._peer}, not {self._pid(item, name)!r}")

    def _target(self, item: Any, name: str) -> Pid | Atom:
        return item if type(item) is Pid else self._name(item, name, "a pid or a name")

    def _name(self, item: Any, name: str, wanted: str = "an atom") -> Atom:
        if type(item) is Atom or item is None or item is True or item is False:
            # `nil`, `true` and `false` are atoms there, and a monitor of such a name has its answer like any other.
            return cast("Atom", item)
        raise self._error(f"{name} must be {wanted}, not {brief(item, 100)}")

    def _reference(self, item: Any, name: str) -> Reference:
        if type(item) is not Reference:
            raise self._error(f"{name} must be a reference, not {brief(item, 100)}")
        return item

    def _unlink_number(self, item: Any, name: str) -> int:
        if type(item) is not int or not 0 < item <= UNLINK_ID_MAXIMUM:
            raise self._error(f"{name} must be an integer from 1 to 2^64-1")
        return item

    def _error(self, message: str) -> RemoteProtocolError:
        return RemoteProtocolError(message, peer=str(self._peer))


# Operation -> (arity of its tuple, what reads it).
DECODERS: Final[dict[int, tuple[int, Callable[[ControlDecoder, tuple[Any, ...], Any], signals.Signal]]]] = {
    Op.LINK: (3, ControlDecoder._link),
    Op.UNLINK: (3, ControlDecoder._unlink),
    Op.GROUP_LEADER: (3, ControlDecoder._group_leader),
    Op.MONITOR_P: (4, ControlDecoder._monitor),
    Op.DEMONITOR_P: (4, ControlDecoder._demonitor),
    Op.PAYLOAD_EXIT: (3, ControlDecoder._exit),
    Op.PAYLOAD_EXIT2: (3, ControlDecoder._exit2),
    Op.PAYLOAD_MONITOR_P_EXIT: (4, ControlDecoder._down),
    Op.SPAWN_REQUEST: (6, ControlDecoder._spawn_request),
    Op.SPAWN_REPLY: (5, ControlDecoder._spawn_reply),
    Op.UNLINK_ID: (4, ControlDecoder._unlink_id),
    Op.UNLINK_ID_ACK: (4, ControlDecoder._unlink_id_ack),
}


def describe_op(op: int) -> str:
    """Return the name and number of an operation, or only the number where it has no name."""
    return f"{Op(op).name} ({op})" if op in Op._value2member_map_ else str(op)
