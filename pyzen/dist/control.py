"""Control messages of a peer: operation numbers to method calls.

With `pyzen.dist.control_encoder`, the way back, the only Python module that knows operation numbers. What a control
message does is the business of a `SignalReceiver`. Messages to processes do not pass here: the native link carries
them. It also hands on what arrives in one form only: the variants with a trace token, and those with the reason
inside the tuple, arrive here as LINK, UNLINK, GROUP_LEADER, MONITOR_P, DEMONITOR_P, PAYLOAD_EXIT, PAYLOAD_EXIT2,
PAYLOAD_MONITOR_P_EXIT, UNLINK_ID, UNLINK_ID_ACK and the spawn operations.

Source: OTP, "Distribution Protocol", section "Protocol between Connected Nodes"; the ownership rules are those
of ``erts/emulator/beam/dist.c``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from pyzen.brief import brief
from pyzen.errors import RemoteProtocolError
from pyzen.terms import Atom, Pid, Reference

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ControlDecoder", "Op", "SignalReceiver"]

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


class SignalReceiver(Protocol):
    """What a control message does to this node."""

    def send(self, to: int | Atom | Reference, messages: list[Any]) -> None:
        """Put messages into a mailbox; ``to`` may be the number of a process of this node."""

    def link(self, from_pid: Pid, to_pid: Pid) -> None:
        """Link the remote ``from_pid`` to ``to_pid``."""

    def unlink(self, unlink_id: int, from_pid: Pid, to_pid: Pid) -> None:
        """Drop the link and acknowledge ``unlink_id``; 0 stands for the old operation, which has no answer."""

    def unlink_ack(self, unlink_id: int, from_pid: Pid, to_pid: Pid) -> None:
        """Forget the unlink of ``to_pid`` that ``from_pid`` acknowledges."""

    def exit(self, from_pid: Pid, to_pid: Pid, reason: Any) -> None:
        """Break the link of ``to_pid``: ``from_pid`` ended."""

    def exit2(self, from_pid: Pid, to: Pid | Reference, reason: Any) -> None:
        """Ask a process, or the one that has an alias, to end, as ``exit/2`` and ``exit/3`` do."""

    def monitor(self, watcher: Pid, target: Pid | Atom, ref: Reference) -> None:
        """Let ``watcher`` know when ``target`` ends."""

    def demonitor(self, watcher: Pid, target: Pid | Atom, ref: Reference) -> None:
        """Forget a monitor."""

    def down(self, target: Pid | Atom, watcher: Pid, ref: Reference, reason: Any) -> None:
        """Fire the monitor ``ref`` of ``watcher``."""

    def group_leader(self, leader: Pid, to_pid: Pid) -> None:
        """Set the group leader of ``to_pid``."""

    def spawn_request(
        self,
        req_id: Reference,
        from_pid: Pid,
        leader: Pid,
        mfa: tuple[Atom, Atom, int],
        options: list[Any],
        args: list[Any],
    ) -> None:
        """Start a process for ``from_pid`` and answer with a spawn reply."""

    def spawn_reply(self, req_id: Reference, to_pid: Pid, flags: int, result: Pid | Atom) -> None:
        """Tell ``to_pid`` what became of its request: a pid, or why there is none."""


class ControlDecoder:
    """Turns the control messages of one link into calls of a receiver.

    Args:
        receiver: Whom the messages are for.
        peer: Name of the node at the other end; what it may say of pids depends on it.
    """

    def __init__(self, receiver: SignalReceiver, peer: Atom) -> None:
        self._receiver = receiver
        self._peer = peer

    def receive(self, op: int, control: tuple[Any, ...], payload: Any = None) -> None:
        """Do what one control message says: exactly one call of the receiver.

        Args:
            op: The operation number.
            control: The whole tuple, operation number included.
            payload: The term after it; ignored by operations that have none.

        Raises:
            RemoteProtocolError: If the message breaks the protocol; it names the item, the receiver was not
                called, and the link should be closed as a real node would.
        """
        handler = HANDLERS.get(op)
        if handler is None:
            raise self._error(f"unexpected control operation {describe_op(op)}")
        arity, method = handler
        if len(control) != arity:
            raise self._error(f"{describe_op(op)} must have {arity} elements, not {len(control)}")
        method(self, control, payload)

    def _link(self, control: tuple[Any, ...], _payload: Any) -> None:
        _, from_pid, to_pid = control
        self._receiver.link(self._own(from_pid, "LINK From"), self._pid(to_pid, "LINK To"))

    def _unlink(self, control: tuple[Any, ...], _payload: Any) -> None:
        _, from_pid, to_pid = control
        self._receiver.unlink(0, self._own(from_pid, "UNLINK From"), self._pid(to_pid, "UNLINK To"))

    def _unlink_id(self, control: tuple[Any, ...], _payload: Any) -> None:
        _, unlink_id, from_pid, to_pid = control
        self._receiver.unlink(
            self._unlink_number(unlink_id, "UNLINK_ID Id"),
            self._own(from_pid, "UNLINK_ID From"),
            self._pid(to_pid, "UNLINK_ID To"),
        )

    def _unlink_id_ack(self, control: tuple[Any, ...], _payload: Any) -> None:
        _, unlink_id, from_pid, to_pid = control
        self._receiver.unlink_ack(
            self._unlink_number(unlink_id, "UNLINK_ID_ACK Id"),
            self._own(from_pid, "UNLINK_ID_ACK From"),
            self._pid(to_pid, "UNLINK_ID_ACK To"),
        )

    def _exit(self, control: tuple[Any, ...], reason: Any) -> None:
        _, from_pid, to_pid = control
        self._receiver.exit(self._own(from_pid, "PAYLOAD_EXIT From"), self._pid(to_pid, "PAYLOAD_EXIT To"), reason)

    def _exit2(self, control: tuple[Any, ...], reason: Any) -> None:
        _, from_pid, to = control
        to = to if type(to) is Reference else self._pid(to, "PAYLOAD_EXIT2 To")
        self._receiver.exit2(self._own(from_pid, "PAYLOAD_EXIT2 From"), to, reason)

    def _monitor(self, control: tuple[Any, ...], _payload: Any) -> None:
        self._receiver.monitor(*self._watch(control, "MONITOR_P"))

    def _demonitor(self, control: tuple[Any, ...], _payload: Any) -> None:
        self._receiver.demonitor(*self._watch(control, "DEMONITOR_P"))

    def _watch(self, control: tuple[Any, ...], op: str) -> tuple[Pid, Pid | Atom, Reference]:
        """Watcher, target and reference. Every call of a GenServer brings two: what is right is not looked at twice."""
        _, watcher, target, ref = control
        if type(watcher) is Pid and watcher.node is self._peer and type(ref) is Reference and type(target) in TARGETS:
            return watcher, target, ref
        return (
            self._own(watcher, f"{op} Watcher"),
            self._target(target, f"{op} PidOrName"),
            self._reference(ref, f"{op} Ref"),
        )

    def _down(self, control: tuple[Any, ...], reason: Any) -> None:
        _, target, watcher, ref = control
        self._receiver.down(
            self._target(target, "PAYLOAD_MONITOR_P_EXIT PidOrName"),
            self._pid(watcher, "PAYLOAD_MONITOR_P_EXIT Watcher"),
            self._reference(ref, "PAYLOAD_MONITOR_P_EXIT Ref"),
            reason,
        )

    def _group_leader(self, control: tuple[Any, ...], _payload: Any) -> None:
        _, leader, to_pid = control
        self._receiver.group_leader(self._pid(leader, "GROUP_LEADER Leader"), self._pid(to_pid, "GROUP_LEADER To"))

    def _spawn_request(self, control: tuple[Any, ...], args: Any) -> None:
        _, req_id, from_pid, leader, mfa, options = control
        self._receiver.spawn_request(
            self._own_reference(req_id, "SPAWN_REQUEST ReqId"),
            self._own(from_pid, "SPAWN_REQUEST From"),
            self._pid(leader, "SPAWN_REQUEST GroupLeader"),
            self._mfa(mfa),
            self._list(options, "SPAWN_REQUEST OptList"),
            self._list(args, "SPAWN_REQUEST ArgList"),
        )

    def _spawn_reply(self, control: tuple[Any, ...], _payload: Any) -> None:
        _, req_id, to_pid, flags, result = control
        if type(flags) is not int:
            raise self._error("SPAWN_REPLY Flags must be an integer")
        self._receiver.spawn_reply(
            self._reference(req_id, "SPAWN_REPLY ReqId"),
            self._pid(to_pid, "SPAWN_REPLY To"),
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


# Operation -> (arity of its tuple, what it does).
HANDLERS: Final[dict[int, tuple[int, Callable[[ControlDecoder, tuple[Any, ...], Any], None]]]] = {
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
