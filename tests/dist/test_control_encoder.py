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
from pyzen.dist.control import ControlDecoder
from pyzen.dist.control_encoder import ENCODERS, ControlEncoder
from pyzen.dist.flags import OWN_FLAGS, Flag
from tests.dist.test_control import MFA, MONITOR, NAME, OUR_REF, OURS, OWN, PEER, REASON, REF, THEIRS

OLD = OWN_FLAGS & ~(Flag.EXIT_PAYLOAD | Flag.UNLINK_ID)
THEIR_NAME = (NAME, PEER)
REQUEST = SpawnRequest(PEER, OUR_REF, OURS, OURS, MFA, [MONITOR], [1, 9])
ENCODED: list[tuple[Signal, int, tuple[Any, ...]]] = [
    (Link(THEIRS, OURS), OWN_FLAGS, (OURS.number, (1, OURS, THEIRS))),
    (Unlink(THEIRS, OURS, 3), OWN_FLAGS, (OURS.number, (35, 3, OURS, THEIRS))),
    (Unlink(THEIRS, OURS, 3), OLD, (OURS.number, (4, OURS, THEIRS))),
    (UnlinkAck(THEIRS, OURS, 3), OWN_FLAGS, (OURS.number, (36, 3, OURS, THEIRS))),
    (Exit(THEIRS, OURS, REASON), OWN_FLAGS, (OURS.number, (24, OURS, THEIRS), REASON)),
    (Exit(THEIRS, OURS, REASON), OLD, (OURS.number, (3, OURS, THEIRS, REASON))),
    (Exit2(THEIRS, OURS, REASON), OWN_FLAGS, (OURS.number, (26, OURS, THEIRS), REASON)),
    (Exit2(THEIRS, OURS, REASON), OLD, (OURS.number, (8, OURS, THEIRS, REASON))),
    (Monitor(THEIR_NAME, OURS, OUR_REF), OWN_FLAGS, (OURS.number, (19, OURS, NAME, OUR_REF))),
    (Monitor(THEIRS, OURS, OUR_REF), OWN_FLAGS, (OURS.number, (19, OURS, THEIRS, OUR_REF))),
    (Demonitor(THEIR_NAME, OURS, OUR_REF), OWN_FLAGS, (OURS.number, (20, OURS, NAME, OUR_REF))),
    (Demonitor(THEIRS, OURS, OUR_REF), OWN_FLAGS, (OURS.number, (20, OURS, THEIRS, OUR_REF))),
    (Down(THEIRS, REF, OURS, REASON), OWN_FLAGS, (OURS.number, (28, OURS, THEIRS, REF), REASON)),
    (Down(THEIRS, REF, OURS, REASON), OLD, (OURS.number, (21, OURS, THEIRS, REF, REASON))),
    (Down(THEIRS, REF, NAME, REASON), OWN_FLAGS, (0, (28, NAME, THEIRS, REF), REASON)),
    (GroupLeader(THEIRS, OURS), OWN_FLAGS, (0, (7, OURS, THEIRS))),
    (REQUEST, OWN_FLAGS, (OURS.number, (29, OUR_REF, OURS, OURS, MFA, [MONITOR]), [1, 9])),
    (SpawnReply(THEIRS, REF, 3, OURS), OWN_FLAGS, (OURS.number, (31, REF, THEIRS, 3, OURS))),
    (SpawnReply(THEIRS, REF, 0, NAME), OWN_FLAGS, (0, (31, REF, THEIRS, 0, NAME))),
]


@pytest.mark.parametrize(("signal", "flags", "encoded"), ENCODED)
def test_encoder_makes_what_the_peer_understands(signal: Signal, flags: int, encoded: tuple[Any, ...]) -> None:
    found = ControlEncoder(flags).encode(signal)

    assert found == encoded
    assert found is not None
    assert type(found[1][0]) is int


def test_encoder_knows_every_signal_that_travels() -> None:
    assert {type(signal) for signal, _, _ in ENCODED} == set(ENCODERS)


def test_encoder_sends_exit_signals_to_aliases_where_the_peer_knows_them() -> None:
    signal = Exit2(REF, OURS, REASON)

    assert ControlEncoder(OWN_FLAGS).encode(signal) == (OURS.number, (37, 20, OURS, REF), REASON)
    assert ControlEncoder(OWN_FLAGS & ~Flag.ALTACT_SIG).encode(signal) is None


def test_encoder_asks_for_priority_where_the_peer_knows_it() -> None:
    to_pid, to_alias = Exit2(THEIRS, OURS, REASON, True), Exit2(REF, OURS, REASON, True)
    now, before = ControlEncoder(OWN_FLAGS), ControlEncoder(OWN_FLAGS & ~Flag.ALTACT_SIG)

    assert now.encode(to_pid) == (OURS.number, (37, 17, OURS, THEIRS), REASON)
    assert now.encode(to_alias) == (OURS.number, (37, 21, OURS, REF), REASON)
    assert before.encode(to_pid) == (OURS.number, (26, OURS, THEIRS), REASON)
    assert before.encode(to_alias) is None


def test_encoder_queues_the_down_of_a_name_behind_what_its_process_sent() -> None:
    signal = Down(THEIRS, REF, NAME, REASON, OURS)

    assert ControlEncoder(OWN_FLAGS).encode(signal) == (OURS.number, (28, NAME, THEIRS, REF), REASON)


@pytest.mark.parametrize(
    ("signal", "missing"),
    [
        (REQUEST, Flag.SPAWN),
        (Monitor(THEIR_NAME, OURS, REF), Flag.DIST_MONITOR),
        (Demonitor(THEIR_NAME, OURS, REF), Flag.DIST_MONITOR_NAME),
        (Down(THEIRS, REF, OURS, REASON), Flag.DIST_MONITOR),
    ],
)
def test_encoder_tells_that_a_peer_has_no_operation_for_a_signal(signal: Signal, missing: Flag) -> None:
    assert ControlEncoder(OWN_FLAGS & ~missing).encode(signal) is None


def test_encoder_does_not_acknowledge_an_unlink_without_a_number() -> None:
    assert ControlEncoder(OWN_FLAGS).encode(UnlinkAck(THEIRS, OURS, 0)) is None


@pytest.mark.parametrize("signal", [signal for signal, flags, _ in ENCODED if flags == OWN_FLAGS])
def test_encoder_and_decoder_of_two_nodes_carry_a_signal_across(signal: Signal) -> None:
    encoded = ControlEncoder(OWN_FLAGS).encode(signal)
    assert encoded is not None

    found = ControlDecoder(PEER, OWN, 7).decode(encoded[1][0], *encoded[1:])

    assert found == replace(signal, via=7, peer=OWN)
