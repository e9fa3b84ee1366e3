"""The packet reader and writer of a link, without a socket."""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzen._native import DOWN, MESSAGE, NO_PAYLOAD, REFUSED, Session, encode_message
from pyzen.config import Limits
from pyzen.etf import encode
from pyzen.terms import Atom, Pid, Reference
from tests import fuzz_link
from tests.events import Event, delivered, payloads, separate
from tests.fuzzing import run

HERE, THERE = Atom("here@test"), Atom("there@test")
CREATION = 7
ATOM_CACHE, SEND_SENDER, FRAGMENTS, ALIAS, ALTACT_SIG = 0x2000, 0x80000, 0x800000, 1 << 35, 1 << 37
FULL = ATOM_CACHE | SEND_SENDER | FRAGMENTS | ALIAS
FORMATS = [SEND_SENDER, SEND_SENDER | FRAGMENTS, FULL]

OUR = Pid(HERE, 5, 1, CREATION)
THEIR = Pid(THERE, 9, 0, 8)
REF = Reference(THERE, 8, [1, 2, 3])
ALIAS_REF = Reference(HERE, CREATION, [4, 5, 6])
TOKEN = (1, 2, 3, THEIR, 4)
REASON = Atom("reason")


def session(flags: int = FULL, **limits: Any) -> Session:
    """Return our end of a link to `THERE`."""
    return Session(Limits(**limits), node=HERE, creation=CREATION, peer=THERE, flags=flags)


def other_end(flags: int = FULL) -> Session:
    return Session(Limits(), node=THERE, creation=8, peer=HERE, flags=flags)


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def term(value: Any) -> bytes:
    return encode(value)[1:]


def packet(control: Any, *payload: Any) -> bytes:
    """Return a packet with an empty header."""
    return frame(b"\x83\x44\x00" + b"".join(term(one) for one in (control, *payload)))


def raw_packet(data: bytes) -> bytes:
    return frame(b"\x83\x44\x00" + data)


def fragment(tag: int, sequence_id: int, fragment_id: int, data: bytes) -> bytes:
    head = struct.pack(">BBQQ", 131, tag, sequence_id, fragment_id)
    return frame(head + (b"\x00" if tag == 69 else b"") + data)


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = (value,)
    return value


def signal(op: int, *control: Any, payload: Any = NO_PAYLOAD) -> Event:
    return (op, 1, (op, *control), None, payload)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


# ---- what is sent arrives

numbers = st.integers(0, 3)
terms = st.one_of(st.integers(), st.binary(max_size=20), st.just(b"x" * 200_000), st.lists(st.booleans()))


@given(flags=st.sampled_from(FORMATS), signals=st.lists(st.tuples(st.booleans(), numbers, numbers, terms)))
def test_session_pair_delivers_each_message_once_and_in_order(
    flags: int, signals: list[tuple[bool, int, int, Any]]
) -> None:
    ends = {True: session(flags), False: other_end(flags)}
    pids = {True: [Pid(HERE, n, 0, CREATION) for n in range(4)], False: [Pid(THERE, n, 0, 8) for n in range(4)]}
    sent: dict[Any, list[Any]] = defaultdict(list)
    received: dict[Any, list[Any]] = defaultdict(list)

    for side, sender, receiver, message in signals:
        data = ends[side].send(pids[side][sender], pids[not side][receiver], message)
        sent[pids[side][sender], receiver].append(message)
        for kind, _link, to, messages, _ in ends[not side].receive_data(data):
            assert kind == MESSAGE
            received[pids[side][sender], to] += messages

    assert received == sent


@pytest.mark.parametrize("flags", FORMATS)
def test_session_gives_equal_events_at_every_cut(flags: int) -> None:
    peer = other_end(flags)
    stream = b"".join(
        [
            peer.send(THEIR, OUR, [1, b"two"]),
            frame(b""),
            peer.signal(9, (1, THEIR, OUR)),
            peer.signal(9, (24, THEIR, OUR), REASON),
            peer.send(THEIR, Atom("name"), None),
        ]
    )
    whole = separate(session(flags).receive_data(stream))
    assert [event[0] for event in whole] == [MESSAGE, 1, 24, MESSAGE]

    for cut in range(len(stream) + 1):
        cut_session = session(flags)
        events = cut_session.receive_data(stream[:cut]) + cut_session.receive_data(stream[cut:])
        assert separate(events) == whole
    bytewise = session(flags)
    assert separate(event for byte in stream for event in bytewise.receive_data(bytes([byte]))) == whole


def test_session_sends_large_payloads_in_fragments() -> None:
    data = other_end().send(THEIR, OUR, bytes(200_000))

    assert data[4:6] == b"\x83\x45"
    assert session().receive_data(data) == [delivered(OUR.number, bytes(200_000))]


def test_session_takes_a_message_encoded_before() -> None:
    data = other_end().send(THEIR, OUR, encode_message([1, 2], 10))

    assert session().receive_data(data) == [delivered(OUR.number, [1, 2])]


@pytest.mark.parametrize(
    ("flags", "to", "control"),
    [
        (0, OUR, (2, Atom(""), OUR)),
        (SEND_SENDER, OUR, (22, THEIR, OUR)),
        (0, Atom("name"), (6, THEIR, Atom(""), Atom("name"))),
        (ALIAS, ALIAS_REF, (33, THEIR, ALIAS_REF)),
        (ALTACT_SIG | ALIAS, ALIAS_REF, (37, 4, THEIR, ALIAS_REF)),
    ],
)
def test_session_send_chooses_the_operation_by_flags(flags: int, to: Any, control: tuple[Any, ...]) -> None:
    assert other_end(flags | FRAGMENTS).send(THEIR, to, REASON) == packet(control, REASON)


@pytest.mark.parametrize(
    ("to", "flags", "ordinary"),
    [(OUR, 0, (22, THEIR, OUR)), (Atom("name"), 8, (6, THEIR, Atom(""), Atom("name"))), (ALIAS_REF, 4, None)],
)
def test_session_sends_priority_messages_to_those_who_know_them(
    to: Any, flags: int, ordinary: tuple[Any, ...] | None
) -> None:
    own = FRAGMENTS | SEND_SENDER

    assert other_end(own | ALTACT_SIG).send(THEIR, to, REASON, True) == packet((37, 1 | flags, THEIR, to), REASON)
    assert other_end(own).send(THEIR, to, REASON, True) == (packet(ordinary, REASON) if ordinary else b"")


@pytest.mark.parametrize("size", [60_000, 70_000])
def test_session_sends_no_priority_in_fragments(size: int) -> None:
    """OTP 28.0 to 29.0.5 write past a buffer when it arrives."""
    end = other_end(FRAGMENTS | ALTACT_SIG)

    message, signal = end.send(THEIR, ALIAS_REF, bytes(size), True), end.signal(1, (37, 17, THEIR, OUR), bytes(size))

    one_packet = size < 65536
    assert term((37, 5 if one_packet else 4, THEIR, ALIAS_REF)) in message
    assert term((37, 17 if one_packet else 16, THEIR, OUR)) in signal


def test_session_sends_nothing_to_an_alias_of_a_peer_without_aliases() -> None:
    assert other_end(FRAGMENTS).send(THEIR, ALIAS_REF, REASON) == b""


def test_session_payload_none_is_the_atom_nil() -> None:
    end = other_end(FRAGMENTS)

    assert end.signal(9, (24, THEIR, OUR), None) == packet((24, THEIR, OUR), None)
    assert end.signal(9, (24, THEIR, OUR), NO_PAYLOAD) == packet((24, THEIR, OUR))


# ---- the atom cache


def test_session_sends_each_atom_once() -> None:
    end = other_end()
    message = [Atom("atom_of_this_test")] * 3

    first, second = end.send(THEIR, OUR, message), end.send(THEIR, OUR, message)

    assert first.count(b"atom_of_this_test") == 1
    assert b"atom_of_this_test" not in second
    assert b"here@test" not in second
    ours = session()
    assert ours.receive_data(first + second) == [delivered(OUR.number, message, message)]


@pytest.mark.parametrize(("flags", "limits"), [(FULL, {"atom_cache": False}), (FRAGMENTS, {}), (0, {})])
def test_session_sends_atoms_in_clear_without_the_cache(flags: int, limits: dict[str, Any]) -> None:
    end = Session(Limits(**limits), node=THERE, creation=8, peer=HERE, flags=flags | SEND_SENDER)

    for _ in range(2):
        assert end.send(THEIR, OUR, Atom("atom_of_this_test")).endswith(term(Atom("atom_of_this_test")))


def test_session_sends_more_atoms_than_a_header_holds() -> None:
    message = [Atom(f"one_of_many_{n}") for n in range(300)]

    data = other_end().send(THEIR, OUR, message)

    assert data[6] == 255
    assert session().receive_data(data) == [delivered(OUR.number, message)]


ATOMS = [Atom(f"churn_{n}") for n in range(6000)] + [Atom(c * 255) for c in ("a", "é", "€", "\U00010000")]
atom_lists = st.lists(st.one_of(st.sampled_from(ATOMS), st.booleans(), st.none(), st.sampled_from([OUR, REF])))


@given(messages=st.lists(st.tuples(numbers, atom_lists, st.booleans()), max_size=30))
def test_session_pair_agrees_on_the_cache(messages: list[tuple[int, list[Any], bool]]) -> None:
    there, here = other_end(), session()

    stream = [
        there.send(Pid(THERE, n, 0, 8), OUR, (atoms, bytes(200_000)) if large else atoms)
        for n, atoms, large in messages
    ]

    received = payloads(here.receive_data(b"".join(stream)))
    assert received == [(atoms, bytes(200_000)) if large else atoms for _, atoms, large in messages]


def test_session_pair_agrees_while_slots_are_overwritten() -> None:
    there, here, draw = other_end(), session(), random.Random(1)
    for _ in range(500):
        message = draw.sample(ATOMS, draw.choice([1, 5, 50, 250, 300]))

        assert here.receive_data(there.send(THEIR, OUR, message)) == [delivered(OUR.number, message)]


# ---- one form for every variant

MESSAGES = [
    ((2, Atom(""), OUR), OUR.number),
    ((12, Atom(""), OUR, TOKEN), OUR.number),
    ((6, THEIR, Atom(""), Atom("nil_")), Atom("nil_")),
    ((16, THEIR, Atom(""), Atom("name"), TOKEN), Atom("name")),
    ((22, THEIR, OUR), OUR.number),
    ((23, THEIR, OUR, TOKEN), OUR.number),
    ((33, THEIR, ALIAS_REF), ALIAS_REF),
    ((34, THEIR, ALIAS_REF, TOKEN), ALIAS_REF),
    ((37, 1, THEIR, OUR), OUR.number),
    ((37, 2**70 + 2, THEIR, OUR, TOKEN), OUR.number),
    ((37, 4, THEIR, ALIAS_REF), ALIAS_REF),
    ((37, 9, THEIR, Atom("name"), 1, 2, 3), Atom("name")),
]


@pytest.mark.parametrize(("control", "to"), MESSAGES, ids=lambda value: str(value)[:12])
def test_session_makes_every_message_flat(control: tuple[Any, ...], to: Any) -> None:
    link = 1 if isinstance(to, Reference) else 0
    assert session().receive_data(packet(control, b"hi")) == [delivered(to, b"hi", link=link)]


def test_session_gives_messages_to_one_receiver_as_one_event_until_something_else_comes() -> None:
    to_pid, to_name = (22, THEIR, OUR), (6, THEIR, Atom(""), Atom("name"))
    stream = [(to_pid, 1), (to_pid, 2), (to_name, 3), (to_name, 4), (to_pid, 5), ((1, THEIR, OUR),), (to_pid, 6)]

    assert session().receive_data(b"".join(packet(*one) for one in stream)) == [
        delivered(OUR.number, 1, 2),
        delivered(Atom("name"), 3, 4),
        delivered(OUR.number, 5),
        signal(1, THEIR, OUR),
        delivered(OUR.number, 6, link=1),
    ]


SIGNALS: list[tuple[tuple[Any, ...], tuple[Any, ...], Event]] = [
    ((1, THEIR, OUR), (), signal(1, THEIR, OUR)),
    ((4, THEIR, OUR), (), signal(4, THEIR, OUR)),
    ((7, THEIR, OUR), (), signal(7, THEIR, OUR)),
    ((19, THEIR, OUR, REF), (), signal(19, THEIR, OUR, REF)),
    ((20, THEIR, OUR, REF), (), signal(20, THEIR, OUR, REF)),
    ((35, 1, THEIR, OUR), (), signal(35, 1, THEIR, OUR)),
    ((36, 1, THEIR, OUR), (), signal(36, 1, THEIR, OUR)),
    ((3, THEIR, OUR, REASON), (), signal(24, THEIR, OUR, payload=REASON)),
    ((13, THEIR, OUR, TOKEN, REASON), (), signal(24, THEIR, OUR, payload=REASON)),
    ((24, THEIR, OUR), (REASON,), signal(24, THEIR, OUR, payload=REASON)),
    ((25, THEIR, OUR, TOKEN), (REASON,), signal(24, THEIR, OUR, payload=REASON)),
    ((8, THEIR, OUR, REASON), (), signal(26, THEIR, OUR, payload=REASON)),
    ((18, THEIR, OUR, TOKEN, REASON), (), signal(26, THEIR, OUR, payload=REASON)),
    ((26, THEIR, OUR), (REASON,), signal(26, THEIR, OUR, payload=REASON)),
    ((27, THEIR, OUR, TOKEN), (REASON,), signal(26, THEIR, OUR, payload=REASON)),
    ((37, 17, THEIR, OUR), (REASON,), signal(26, THEIR, OUR, payload=REASON)),
    ((37, 18, THEIR, OUR, TOKEN), (REASON,), signal(26, THEIR, OUR, payload=REASON)),
    ((21, THEIR, OUR, REF, REASON), (), signal(28, THEIR, OUR, REF, payload=REASON)),
    ((28, Atom("name"), OUR, REF), (REASON,), signal(28, Atom("name"), OUR, REF, payload=REASON)),
    ((29, REF, THEIR, THEIR, (1, 2, 3), []), ([1],), signal(29, REF, THEIR, THEIR, (1, 2, 3), [], payload=[1])),
    ((30, REF, THEIR, THEIR, (1, 2, 3), [], TOKEN), ([1],), signal(29, REF, THEIR, THEIR, (1, 2, 3), [], payload=[1])),
    ((31, REF, OUR, 0, THEIR), (), signal(31, REF, OUR, 0, THEIR)),
    ((32, REF, OUR, 0, THEIR, TOKEN), (), signal(31, REF, OUR, 0, THEIR)),
]


@pytest.mark.parametrize(("control", "payload", "event"), SIGNALS, ids=lambda value: str(value)[:12])
def test_session_gives_every_signal_its_one_form(
    control: tuple[Any, ...], payload: tuple[Any, ...], event: Event
) -> None:
    assert session().receive_data(packet(control, *payload)) == [event]


def test_session_drops_messages_to_pids_that_are_not_ours() -> None:
    old = Pid(HERE, 5, 1, CREATION - 1)
    stream = packet((22, THEIR, THEIR), 1) + packet((22, THEIR, old), 2) + packet((22, THEIR, OUR), 3)

    assert session().receive_data(stream) == [delivered(OUR.number, 3)]


def test_session_applies_the_header_of_a_dropped_message() -> None:
    dropped = frame(b"\x83\x44\x01\x08\x05\x06cached" + term((22, THEIR, THEIR)) + b"\x52\x00")
    kept = frame(b"\x83\x44\x01\x00\x05" + term((22, THEIR, OUR)) + b"\x52\x00")

    assert session().receive_data(dropped + kept) == [delivered(OUR.number, Atom("cached"))]


# ---- what ends a link

MALFORMED = {
    "pass-through": frame(b"\x70" + encode((1, THEIR, OUR))),
    "version byte after a header": raw_packet(encode((1, THEIR, OUR))),
    "no control": raw_packet(b""),
    "control is no tuple": packet([1]),
    "unknown operation": packet((99, THEIR)),
    "wrong arity": packet((1, THEIR)),
    "no payload": packet((22, THEIR, OUR)),
    "cut control": raw_packet(term((1, THEIR, OUR))[:-1]),
    "cut payload": raw_packet(term((22, THEIR, OUR)) + term(b"abc")[:-1]),
    "receiver is no pid": packet((22, THEIR, 1), 1),
    "sender is no pid": packet((22, 1, OUR), 1),
    "alias is no reference": packet((33, THEIR, OUR), 1),
    "alias and name": packet((37, 12, THEIR, OUR), 1),
    "NaN": raw_packet(term((22, THEIR, OUR)) + b"\x46\x7f\xf8" + bytes(6)),
    "duplicate key": raw_packet(term((22, THEIR, OUR)) + b"\x74\0\0\0\x02" + term(1) * 4),
    "compressed": raw_packet(term((22, THEIR, OUR)) + encode(b"x" * 1000, compressed=9)[1:]),
    "long atom": raw_packet(term((22, THEIR, OUR)) + b"\x76\x01\x00" + b"a" * 256),
    "invalid UTF-8": raw_packet(term((22, THEIR, OUR)) + b"\x77\x01\xff"),
    "six words": raw_packet(term((22, THEIR, OUR)) + b"\x5a\0\x06" + term(THERE) + bytes(28)),
    "no bits": raw_packet(term((22, THEIR, OUR)) + b"\x4d\0\0\0\x01\0\xff"),
    "atom index": raw_packet(term((22, THEIR, OUR)) + b"\x52\x00"),
    "empty cache slot": frame(b"\x83\x44\x01\x00\x05" + term((1, THEIR, OUR))),
    "cut header": frame(b"\x83\x44\x05"),
    "unknown header": frame(b"\x83\x47\x00"),
    "sequence id 0": fragment(69, 0, 1, term((22, THEIR, OUR)) + term(1)),
    "fragment id 0": fragment(69, 1, 0, term((22, THEIR, OUR)) + term(1)),
    "skipped fragment": fragment(69, 1, 3, term((22, THEIR, OUR))) + fragment(70, 1, 1, term(1)),
    "fragment without start": fragment(70, 1, 1, term(1)),
    "sequence started twice": fragment(69, 1, 3, b"") + fragment(69, 1, 3, b""),
    "split control": fragment(69, 1, 2, term((22, THEIR, OUR))[:9])
    + fragment(70, 1, 1, term((22, THEIR, OUR))[9:] + term(1)),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_session_ends_at_malformed_packets_after_what_came_before(data: bytes) -> None:
    ended = session()

    events = ended.receive_data(packet((22, THEIR, OUR), 1) + data + packet((22, THEIR, OUR), 2))

    assert [event[0] for event in events] == [MESSAGE, DOWN]
    assert isinstance(events[1][2], str)
    assert ended.receive_data(packet((22, THEIR, OUR), 3)) == []


def test_session_ends_at_a_header_toward_a_pass_through_peer() -> None:
    (event,) = session(SEND_SENDER).receive_data(packet((1, THEIR, OUR)))

    assert event[0] == DOWN


OVER_A_LIMIT = pytest.mark.parametrize(
    ("limits", "payload", "told"),
    [
        ({"max_depth": 10}, term(nested(11)), "max_depth exceeded: 11 is more than 10"),
        ({"max_term_size": 100}, term(b"x" * 101), "max_term_size exceeded: 106 is more than 100"),
    ],
)


@OVER_A_LIMIT
@pytest.mark.parametrize("to", [OUR, Atom("name"), ALIAS_REF])
def test_session_refuses_a_message_over_a_limit_alone(
    limits: dict[str, int], payload: bytes, told: str, to: Any
) -> None:
    op = {Pid: 22, Atom: 6, Reference: 33}[type(to)]
    control = (op, THEIR, Atom(""), to) if op == 6 else (op, THEIR, to)

    stream = raw_packet(term(control) + payload) + packet((22, THEIR, OUR), 7)
    refused, after = separate(session(**limits).receive_data(stream))

    assert refused[:3] == (REFUSED, 1, OUR.number if to is OUR else to)
    assert refused[3].startswith(told)
    assert after == delivered(OUR.number, 7)


@OVER_A_LIMIT
def test_session_refuses_a_spawn_request_over_a_limit_alone(limits: dict[str, int], payload: bytes, told: str) -> None:
    control: tuple[Any, ...] = (29, REF, THEIR, THEIR, (Atom("m"), Atom("f"), 1), [])

    (refused,) = session(**limits).receive_data(raw_packet(term(control) + payload))

    assert refused[:3] == (REFUSED, 1, control)
    assert refused[3].startswith(told)


def test_session_tells_the_link_of_messages_behind_a_refused_one() -> None:
    one = packet((22, THEIR, OUR), 1)

    events = session(max_depth=10).receive_data(one + packet((22, THEIR, OUR), nested(11)) + one + one)

    assert [(kind, link) for kind, link, *_ in events] == [(MESSAGE, 0), (REFUSED, 1), (MESSAGE, 1)]


@pytest.mark.parametrize("data", [b"\x68\x01" * 11 + b"\xff", b"\x68\x01" * 9 + b"\xff"])
def test_session_ends_only_at_what_is_malformed_before_it_breaks_a_limit(data: bytes) -> None:
    (event,) = session(max_depth=10).receive_data(raw_packet(term((22, THEIR, OUR)) + data))

    assert event[0] == (DOWN if len(data) < 20 else REFUSED)


@pytest.mark.parametrize(
    "data",
    [
        frame(b"\x83\x44\x01\x08\x05\x0din the header" + term((1, THEIR, OUR))),
        raw_packet(b"\x68\x04\x61\x06" + term(THEIR) + term(Atom("")) + b"\x77\x0cas the name!" + term(1)),
        raw_packet(term((22, THEIR, OUR)) + b"\x77\x0ein the payload"),
        raw_packet(term((29, REF, THEIR, THEIR, (Atom("m"), Atom("f"), 1), [])) + b"\x77\x0ein an argument"),
        raw_packet(term((24, THEIR, OUR)) + b"\x77\x0bin a reason"),
        raw_packet(b"\x68\x04\x61\x03" + term(THEIR) + term(OUR) + b"\x77\x0ein an old exit"),
    ],
)
def test_session_ends_at_an_atom_too_many(data: bytes) -> None:
    (event,) = session(max_atoms=1).receive_data(data)

    assert event[0] == DOWN
    assert "max_peer_atoms" in event[2]


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(("limits", "reason"), [({"max_depth": 10}, nested(11)), ({"max_term_size": 100}, b"x" * 101)])
def test_session_delivers_a_reason_over_a_limit_as_undecodable(
    limits: dict[str, int], reason: Any, *, old: bool
) -> None:
    down = packet((21, THEIR, OUR, REF, reason)) if old else packet((28, THEIR, OUR, REF), reason)

    events = session(**limits).receive_data(down)

    assert events == [signal(28, THEIR, OUR, REF, payload=Atom("undecodable"))]


def test_session_ends_at_a_malformed_reason() -> None:
    (event,) = session().receive_data(raw_packet(term((24, THEIR, OUR)) + b"\xff"))

    assert event[0] == DOWN


@pytest.mark.parametrize(("size", "kinds"), [(1000, [MESSAGE]), (1001, [DOWN])])
def test_session_bounds_packets_exactly(size: int, kinds: list[int]) -> None:
    empty = packet((22, THEIR, OUR), b"")
    data = packet((22, THEIR, OUR), bytes(size - len(empty) + 4))
    assert len(data) == size + 4

    assert [event[0] for event in session(max_packet_size=1000).receive_data(data)] == kinds


def test_session_bounds_unfinished_sequences() -> None:
    ended = session(max_fragment_sequences=3)
    for sequence_id in (1, 2, 3):
        assert ended.receive_data(fragment(69, sequence_id, 2, b"")) == []

    (event,) = ended.receive_data(fragment(69, 4, 2, b""))

    assert event[2] == "max_fragment_sequences exceeded: 4 is more than 3"


def test_session_memory_does_not_follow_declared_lengths() -> None:
    before = resident_bytes()
    open_sessions = [session() for _ in range(20)]
    for one in open_sessions:
        assert one.receive_data(struct.pack(">I", 500 * 2**20) + b"\x83") == []
    other = [session() for _ in range(20)]
    for one in other:
        assert one.receive_data(fragment(69, 1, 2**63, term((22, THEIR, OUR)))) == []

    assert resident_bytes() - before < 20 * 2**20


@given(data=st.binary(), flags=st.sampled_from(FORMATS))
def test_session_takes_any_bytes_without_raising(data: bytes, flags: int) -> None:
    fed = session(flags)

    events = fed.receive_data(packet((22, THEIR, OUR), 1)) + fed.receive_data(frame(b"\x83\x44\x00" + data))

    assert all(event[0] != DOWN for event in events[:-1])


# ---- hostile streams


def test_session_takes_every_input_of_the_corpus() -> None:
    assert fuzz_link.check_corpus() >= 2


@pytest.mark.parametrize(("target", "least"), [("packets", 0.2), ("headers", 0.1), ("fragments", 0.2)])
def test_session_takes_hostile_streams(target: str, least: float) -> None:
    before = resident_bytes()

    outcomes = run(target, fuzz_link.TARGETS[target], 4000, seed=20_261_123)

    assert outcomes["events"] > least * 4000
    assert outcomes["down"] > least * 4000
    assert resident_bytes() - before < 32 * 2**20
