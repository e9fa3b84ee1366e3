from typing import Any

import pytest

from pyzen.dist.control import ControlDecoder, ControlEncoder, Op
from pyzen.dist.flags import OWN_FLAGS, Flag
from pyzen.errors import RemoteProtocolError
from pyzen.terms import Atom, Pid, Reference

PEER = Atom("peer@host")
OWN = Atom("own@host")
THEIRS = Pid(PEER, 7, 1, 9)
THEIRS_BEFORE = Pid(PEER, 7, 1, 8)
OURS = Pid(OWN, 5, 2, 4)
THIRD = Pid("third@host", 1, 0, 3)
REF = Reference(PEER, 9, [1, 2, 3])
NAME = Atom("server")
REASON = Atom("boom")
OUR_REF = Reference(OWN, 4, [1, 2, 3])
MONITOR = Atom("monitor")
MFA = (Atom("lists"), Atom("seq"), 2)


class Recorder:
    """A receiver that keeps what it is told, and does nothing else."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, *args))


def received(control: tuple[Any, ...], *payload: Any) -> list[tuple[Any, ...]]:
    recorder = Recorder()
    ControlDecoder(recorder, PEER).receive(control[0], control, *payload)
    return recorder.calls


ACCEPTED = [
    ((1, THEIRS, OURS), (), ("link", THEIRS, OURS)),
    ((4, THEIRS, OURS), (), ("unlink", 0, THEIRS, OURS)),
    ((7, THIRD, OURS), (), ("group_leader", THIRD, OURS)),
    ((19, THEIRS, OURS, REF), (), ("monitor", THEIRS, OURS, REF)),
    ((19, THEIRS, NAME, REF), (), ("monitor", THEIRS, NAME, REF)),
    ((19, THEIRS_BEFORE, NAME, REF), (), ("monitor", THEIRS_BEFORE, NAME, REF)),
    ((20, THEIRS, NAME, REF), (), ("demonitor", THEIRS, NAME, REF)),
    ((24, THEIRS, OURS), (REASON,), ("exit", THEIRS, OURS, REASON)),
    ((24, THEIRS, OURS), (None,), ("exit", THEIRS, OURS, None)),
    ((26, THEIRS, OURS), (REASON,), ("exit2", THEIRS, OURS, REASON)),
    ((28, THEIRS, OURS, REF), (REASON,), ("down", THEIRS, OURS, REF, REASON)),
    ((28, NAME, OURS, REF), (REASON,), ("down", NAME, OURS, REF, REASON)),
    (
        (29, REF, THEIRS, THIRD, MFA, [MONITOR]),
        ([1],),
        ("spawn_request", REF, THEIRS, THIRD, MFA, [MONITOR], [1]),
    ),
    ((31, OUR_REF, OURS, 2, THEIRS), (), ("spawn_reply", OUR_REF, OURS, 2, THEIRS)),
    ((31, OUR_REF, OURS, 0, NAME), (), ("spawn_reply", OUR_REF, OURS, 0, NAME)),
    ((35, 1, THEIRS, OURS), (), ("unlink", 1, THEIRS, OURS)),
    ((35, 2**64 - 1, THEIRS, OURS), (), ("unlink", 2**64 - 1, THEIRS, OURS)),
    ((36, 1, THEIRS, OURS), (), ("unlink_ack", 1, THEIRS, OURS)),
]


@pytest.mark.parametrize(("control", "payload", "call"), ACCEPTED)
def test_decoder_makes_the_one_call_of_an_operation(
    control: tuple[Any, ...], payload: tuple[Any, ...], call: tuple[Any, ...]
) -> None:
    assert received(control, *payload) == [call]


@pytest.mark.parametrize("name", [None, True, False])
def test_decoder_takes_the_atoms_that_python_has_values_for_as_names(name: Any) -> None:
    assert received((19, THEIRS, name, REF)) == [("monitor", THEIRS, name, REF)]


REFUSED = [
    ((1, OURS, OURS), "LINK From"),
    ((1, THIRD, OURS), "LINK From"),
    ((1, NAME, OURS), "LINK From"),
    ((1, THEIRS, NAME), "LINK To"),
    ((4, THIRD, OURS), "UNLINK From"),
    ((4, THEIRS, 1), "UNLINK To"),
    ((7, NAME, OURS), "GROUP_LEADER Leader"),
    ((7, THEIRS, NAME), "GROUP_LEADER To"),
    ((19, THIRD, NAME, REF), "MONITOR_P Watcher"),
    ((19, OURS, NAME, REF), "MONITOR_P Watcher"),
    ((19, REF, NAME, REF), "MONITOR_P Watcher"),
    ((19, THEIRS, b"server", REF), "MONITOR_P PidOrName"),
    ((19, THEIRS, (NAME, OWN), REF), "MONITOR_P PidOrName"),
    ((19, THEIRS, NAME, 1), "MONITOR_P Ref"),
    ((20, THIRD, NAME, REF), "DEMONITOR_P Watcher"),
    ((20, THEIRS, 0, REF), "DEMONITOR_P PidOrName"),
    ((20, THEIRS, NAME, NAME), "DEMONITOR_P Ref"),
    ((24, THIRD, OURS), "PAYLOAD_EXIT From"),
    ((24, THEIRS, 1), "PAYLOAD_EXIT To"),
    ((26, OURS, OURS), "PAYLOAD_EXIT2 From"),
    ((26, THEIRS, NAME), "PAYLOAD_EXIT2 To"),
    ((28, 1, OURS, REF), "PAYLOAD_MONITOR_P_EXIT PidOrName"),
    ((28, THEIRS, NAME, REF), "PAYLOAD_MONITOR_P_EXIT Watcher"),
    ((28, THEIRS, OURS, [REF]), "PAYLOAD_MONITOR_P_EXIT Ref"),
    ((29, NAME, THEIRS, THIRD, MFA, []), "SPAWN_REQUEST ReqId"),
    ((29, OUR_REF, THEIRS, THIRD, MFA, []), "SPAWN_REQUEST ReqId"),
    ((29, REF, THIRD, THIRD, MFA, []), "SPAWN_REQUEST From"),
    ((29, REF, THEIRS, NAME, MFA, []), "SPAWN_REQUEST GroupLeader"),
    ((29, REF, THEIRS, THIRD, NAME, []), "SPAWN_REQUEST MFA"),
    ((29, REF, THEIRS, THIRD, (NAME, NAME, True), []), "SPAWN_REQUEST MFA"),
    ((29, REF, THEIRS, THIRD, (b"m", NAME, 0), []), "SPAWN_REQUEST Module"),
    ((29, REF, THEIRS, THIRD, (NAME, 1, 0), []), "SPAWN_REQUEST Function"),
    ((29, REF, THEIRS, THIRD, MFA, NAME), "SPAWN_REQUEST OptList"),
    ((29, REF, THEIRS, THIRD, MFA, []), "SPAWN_REQUEST ArgList"),
    ((31, NAME, OURS, 0, THEIRS), "SPAWN_REPLY ReqId"),
    ((31, OUR_REF, NAME, 0, THEIRS), "SPAWN_REPLY To"),
    ((31, OUR_REF, OURS, NAME, THEIRS), "SPAWN_REPLY Flags"),
    ((31, OUR_REF, OURS, 0, THIRD), "SPAWN_REPLY Result"),
    ((31, OUR_REF, OURS, 0, b"no"), "SPAWN_REPLY Result"),
    ((35, 0, THEIRS, OURS), "UNLINK_ID Id"),
    ((35, 2**64, THEIRS, OURS), "UNLINK_ID Id"),
    ((35, -1, THEIRS, OURS), "UNLINK_ID Id"),
    ((35, True, THEIRS, OURS), "UNLINK_ID Id"),
    ((35, 1.0, THEIRS, OURS), "UNLINK_ID Id"),
    ((35, 1, THIRD, OURS), "UNLINK_ID From"),
    ((35, 1, THEIRS, NAME), "UNLINK_ID To"),
    ((36, 0, THEIRS, OURS), "UNLINK_ID_ACK Id"),
    ((36, 1, THIRD, OURS), "UNLINK_ID_ACK From"),
    ((36, 1, THEIRS, NAME), "UNLINK_ID_ACK To"),
]


@pytest.mark.parametrize(("control", "item"), REFUSED)
def test_decoder_refuses_a_wrong_item_and_names_it(control: tuple[Any, ...], item: str) -> None:
    recorder = Recorder()

    with pytest.raises(RemoteProtocolError, match=rf"^{item} must be ") as caught:
        ControlDecoder(recorder, PEER).receive(control[0], control, REASON)

    assert caught.value.peer == "peer@host"
    assert recorder.calls == []


@pytest.mark.parametrize("control", [control for control, _, _ in ACCEPTED])
@pytest.mark.parametrize("change", ["longer", "shorter"])
def test_decoder_refuses_a_wrong_arity(control: tuple[Any, ...], change: str) -> None:
    wrong = (*control, REASON) if change == "longer" else control[:-1]

    with pytest.raises(RemoteProtocolError, match=rf"^{Op(control[0]).name} .* must have {len(control)} elements"):
        received(wrong)


@pytest.mark.parametrize("op", [0, 5, 9, 38, 255, 2**70])
def test_decoder_refuses_an_unknown_operation(op: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"unexpected control operation .*{op}"):
        received((op,))


def emitted(flags: int) -> tuple[ControlEncoder, list[tuple[Any, ...]]]:
    signals: list[tuple[Any, ...]] = []

    def emit(*args: Any) -> int:
        signals.append(args)
        return 1

    return ControlEncoder(flags, emit), signals


OLD = OWN_FLAGS & ~(Flag.EXIT_PAYLOAD | Flag.UNLINK_ID)
ENCODED = [
    ("link", (OURS, THEIRS), OWN_FLAGS, (OURS.number, (1, OURS, THEIRS))),
    ("unlink", (3, OURS, THEIRS), OWN_FLAGS, (OURS.number, (35, 3, OURS, THEIRS))),
    ("unlink", (3, OURS, THEIRS), OLD, (OURS.number, (4, OURS, THEIRS))),
    ("unlink_ack", (3, OURS, THEIRS), OWN_FLAGS, (OURS.number, (36, 3, OURS, THEIRS))),
    ("exit", (OURS, THEIRS, REASON), OWN_FLAGS, (OURS.number, (24, OURS, THEIRS), REASON)),
    ("exit", (OURS, THEIRS, REASON), OLD, (OURS.number, (3, OURS, THEIRS, REASON))),
    ("exit2", (OURS, THEIRS, REASON), OWN_FLAGS, (OURS.number, (26, OURS, THEIRS), REASON)),
    ("exit2", (OURS, THEIRS, REASON), OLD, (OURS.number, (8, OURS, THEIRS, REASON))),
    ("monitor", (OURS, NAME, REF), OWN_FLAGS, (OURS.number, (19, OURS, NAME, REF))),
    ("demonitor", (OURS, THEIRS, REF), OWN_FLAGS, (OURS.number, (20, OURS, THEIRS, REF))),
    ("down", (OURS, THEIRS, REF, REASON), OWN_FLAGS, (OURS.number, (28, OURS, THEIRS, REF), REASON)),
    ("down", (OURS, THEIRS, REF, REASON), OLD, (OURS.number, (21, OURS, THEIRS, REF, REASON))),
    ("down", (NAME, THEIRS, REF, REASON), OWN_FLAGS, (0, (28, NAME, THEIRS, REF), REASON)),
    ("group_leader", (OURS, THEIRS), OWN_FLAGS, (0, (7, OURS, THEIRS))),
    ("spawn_reply", (REF, THEIRS, 3, OURS), OWN_FLAGS, (OURS.number, (31, REF, THEIRS, 3, OURS))),
    ("spawn_reply", (REF, THEIRS, 0, NAME), OWN_FLAGS, (0, (31, REF, THEIRS, 0, NAME))),
]


@pytest.mark.parametrize(("method", "args", "flags", "signal"), ENCODED)
def test_encoder_emits_what_the_peer_understands(
    method: str, args: tuple[Any, ...], flags: int, signal: tuple[Any, ...]
) -> None:
    encoder, signals = emitted(flags)

    answer = getattr(encoder, method)(*args)

    assert signals == [signal]
    assert answer == 1
    assert type(signals[0][1][0]) is int


def test_encoder_queues_the_down_of_a_name_behind_what_its_process_sent() -> None:
    encoder, signals = emitted(OWN_FLAGS)

    encoder.down(NAME, THEIRS, REF, REASON, dead=OURS)

    assert signals == [(OURS.number, (28, NAME, THEIRS, REF), REASON)]


def test_encoder_asks_for_a_process() -> None:
    encoder, signals = emitted(OWN_FLAGS)

    encoder.spawn_request(OUR_REF, OURS, OURS, MFA, [MONITOR], [1, 9], lambda: pytest.fail("it was not refused"))

    assert signals == [(OURS.number, (29, OUR_REF, OURS, OURS, MFA, [MONITOR]), [1, 9])]


def test_encoder_tells_that_a_peer_starts_no_processes() -> None:
    encoder, signals = emitted(OWN_FLAGS & ~Flag.SPAWN)
    refusals: list[None] = []

    encoder.spawn_request(OUR_REF, OURS, OURS, MFA, [], [], lambda: refusals.append(None))

    assert (len(refusals), signals) == (1, [])


def test_encoder_does_not_acknowledge_an_unlink_without_a_number() -> None:
    encoder, signals = emitted(OWN_FLAGS)

    assert encoder.unlink_ack(0, OURS, THEIRS) == 0
    assert signals == []


@pytest.mark.parametrize("missing", [Flag.DIST_MONITOR, Flag.DIST_MONITOR_NAME])
def test_encoder_sends_nothing_about_monitors_to_a_peer_without_them(missing: Flag) -> None:
    encoder, signals = emitted(OWN_FLAGS & ~missing)

    answers = [
        encoder.monitor(OURS, NAME, REF),
        encoder.demonitor(OURS, NAME, REF),
        encoder.down(OURS, THEIRS, REF, REASON),
    ]

    assert answers == [0, 0, 0]
    assert signals == []


@pytest.mark.parametrize(
    ("method", "args"), [(method, args) for method, args, flags, _ in ENCODED if flags == OWN_FLAGS]
)
def test_encoder_and_decoder_of_two_nodes_carry_a_call_across(method: str, args: tuple[Any, ...]) -> None:
    recorder = Recorder()
    decoder = ControlDecoder(recorder, OWN)

    def emit(_order_key: int, control: tuple[Any, ...], payload: Any = None, /) -> int:
        decoder.receive(control[0], control, payload)
        return 0

    getattr(ControlEncoder(OWN_FLAGS, emit), method)(*args)

    assert recorder.calls == [(method, *args)]
