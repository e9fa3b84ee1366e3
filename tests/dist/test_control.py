from dataclasses import replace
from typing import Any

import pytest

from pyzen.actor.signals import (
    Demonitor,
    Down,
    Exit,
    Exit2,
    GroupLeader,
    Link,
    Monitor,
    Signal,
    SpawnReply,
    SpawnRequest,
    Unlink,
    UnlinkAck,
)
from pyzen.dist.control import ControlDecoder, Op
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


VIA = 7


def received(control: tuple[Any, ...], *payload: Any) -> Signal:
    return ControlDecoder(OWN, PEER, VIA).decode(control[0], control, *payload)


ACCEPTED: list[tuple[tuple[Any, ...], tuple[Any, ...], Signal]] = [
    ((1, THEIRS, OURS), (), Link(OURS, THEIRS)),
    ((4, THEIRS, OURS), (), Unlink(OURS, THEIRS, 0)),
    ((7, THIRD, OURS), (), GroupLeader(OURS, THIRD)),
    ((19, THEIRS, OURS, REF), (), Monitor(OURS, THEIRS, REF)),
    ((19, THEIRS, NAME, REF), (), Monitor((NAME, OWN), THEIRS, REF)),
    ((19, THEIRS_BEFORE, NAME, REF), (), Monitor((NAME, OWN), THEIRS_BEFORE, REF)),
    ((20, THEIRS, OURS, REF), (), Demonitor(OURS, THEIRS, REF)),
    ((20, THEIRS, NAME, REF), (), Demonitor((NAME, OWN), THEIRS, REF)),
    ((24, THEIRS, OURS), (REASON,), Exit(OURS, THEIRS, REASON)),
    ((24, THEIRS, OURS), (None,), Exit(OURS, THEIRS, None)),
    ((26, THEIRS, OURS), (REASON,), Exit2(OURS, THEIRS, REASON)),
    ((26, THEIRS, OUR_REF), (REASON,), Exit2(OUR_REF, THEIRS, REASON)),
    ((28, THEIRS, OURS, REF), (REASON,), Down(OURS, REF, THEIRS, REASON)),
    ((28, NAME, OURS, REF), (REASON,), Down(OURS, REF, NAME, REASON)),
    (
        (29, REF, THEIRS, THIRD, MFA, [MONITOR]),
        ([1],),
        SpawnRequest(OWN, REF, THEIRS, THIRD, MFA, [MONITOR], [1]),
    ),
    ((31, OUR_REF, OURS, 2, THEIRS), (), SpawnReply(OURS, OUR_REF, 2, THEIRS)),
    ((31, OUR_REF, OURS, 0, NAME), (), SpawnReply(OURS, OUR_REF, 0, NAME)),
    ((35, 1, THEIRS, OURS), (), Unlink(OURS, THEIRS, 1)),
    ((35, 2**64 - 1, THEIRS, OURS), (), Unlink(OURS, THEIRS, 2**64 - 1)),
    ((36, 1, THEIRS, OURS), (), UnlinkAck(OURS, THEIRS, 1)),
]


@pytest.mark.parametrize(("control", "payload", "signal"), ACCEPTED)
def test_decoder_makes_the_one_signal_of_an_operation(
    control: tuple[Any, ...], payload: tuple[Any, ...], signal: Signal
) -> None:
    assert received(control, *payload) == replace(signal, via=VIA, peer=PEER)


@pytest.mark.parametrize("name", [None, True, False])
def test_decoder_takes_the_atoms_that_python_has_values_for_as_names(name: Any) -> None:
    assert received((19, THEIRS, name, REF)) == Monitor((name, OWN), THEIRS, REF, via=VIA, peer=PEER)


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
    ((19, THEIRS, OURS, OUR_REF), "MONITOR_P Ref"),
    ((19, THEIRS, OURS, Reference("third@host", 3, [1, 2, 3])), "MONITOR_P Ref"),
    ((20, THIRD, NAME, REF), "DEMONITOR_P Watcher"),
    ((20, THEIRS, 0, REF), "DEMONITOR_P PidOrName"),
    ((20, THEIRS, NAME, NAME), "DEMONITOR_P Ref"),
    ((20, THEIRS, OURS, OUR_REF), "DEMONITOR_P Ref"),
    ((20, THEIRS, OURS, Reference("third@host", 3, [1, 2, 3])), "DEMONITOR_P Ref"),
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
    ((29, REF, THEIRS, THIRD, 1 << 100_000, []), "SPAWN_REQUEST MFA"),
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
    with pytest.raises(RemoteProtocolError, match=rf"^{item} must be ") as caught:
        received(control, REASON)

    assert caught.value.peer == "peer@host"


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
