from typing import Any

import pytest

from pyzen.dist.control import ControlDecoder
from pyzen.dist.control_encoder import ControlEncoder
from pyzen.dist.flags import OWN_FLAGS, Flag
from tests.dist.test_control import MFA, MONITOR, NAME, OUR_REF, OURS, OWN, REASON, REF, THEIRS, Recorder


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


def test_encoder_sends_exit_signals_to_aliases_where_the_peer_knows_them() -> None:
    encoder, signals = emitted(OWN_FLAGS)
    before, old_signals = emitted(OWN_FLAGS & ~Flag.ALTACT_SIG)

    encoder.exit2(OURS, REF, REASON)
    before.exit2(OURS, REF, REASON)

    assert signals == [(OURS.number, (37, 20, OURS, REF), REASON)]
    assert old_signals == []


def test_encoder_asks_for_priority_where_the_peer_knows_it() -> None:
    encoder, signals = emitted(OWN_FLAGS)
    before, old_signals = emitted(OWN_FLAGS & ~Flag.ALTACT_SIG)

    for one in (encoder, before):
        one.exit2(OURS, THEIRS, REASON, priority=True)
        one.exit2(OURS, REF, REASON, priority=True)

    assert signals == [(OURS.number, (37, 17, OURS, THEIRS), REASON), (OURS.number, (37, 21, OURS, REF), REASON)]
    assert old_signals == [(OURS.number, (26, OURS, THEIRS), REASON)]


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
