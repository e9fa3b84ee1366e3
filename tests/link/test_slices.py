"""Large messages of many terms: decoded in slices, between which others are heard and Python runs."""

from __future__ import annotations

import gc
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyzen import etf
from pyzen._native import DOWN, MESSAGE, REFUSED
from pyzen.terms import atoms
from tests import reference_etf, strategies
from tests.events import payloads, separate
from tests.link.peer import OUR, THEIR, THEIR_OTHER, THEIR_REF, Node, all_queued, raw_packet, session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANY = [[{number: (number, b"x", -number)}] for number in range(100_000)]
WIDE = tuple(range(400_000))
"""A tuple that no other has the size of."""


def term(value: Any) -> bytes:
    return etf.encode(value)[1:]


def message(payload: bytes) -> bytes:
    """Return a packet with a message, as an encoded term without its version byte."""
    return raw_packet(term((22, THEIR, OUR)) + payload)


def drains(node: Node) -> Iterator[list[Any]]:
    """Yield what each drain brings until nothing is left."""
    more = True
    while more:
        events, more = node.thread.drain()
        yield separate(events)


def first_packets(node: Node, *stream: bytes) -> list[list[Any]]:
    """Let all of it wait, and return what each drain brings."""
    _link, peer = node.link_up()
    node.drain(0)
    all_queued(node, peer, b"".join(stream))
    return list(drains(node))


def in_order(node: Node, *stream: bytes) -> list[Any]:
    return [event for events in first_packets(node, *stream) for event in events]


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    return make_node(max_queued_bytes=2**30)


@pytest.mark.parametrize("large", [MANY, WIDE, {number: [number] for number in range(150_000)}], ids=len)
def test_message_of_another_sender_overtakes_one_of_many_terms(node: Node, large: Any) -> None:
    there = session()

    brought = first_packets(
        node, there.send(THEIR, OUR, large), there.send(THEIR, OUR, 2), there.send(THEIR_OTHER, OUR, 3)
    )

    overtaken, *others = (events for events in brought if events)
    assert payloads(overtaken) == [3]
    assert payloads(event for events in others for event in events)[:2] == [large, 2]
    assert len(brought) > 4


def test_links_take_turns_with_messages_of_many_terms(node: Node) -> None:
    peers = [node.link_up()[1] for _ in range(6)]
    node.drain(0)
    for number, peer in enumerate(peers):
        before = node.thread.statistics()["queued_bytes"]
        all_queued(node, peer, session().send(THEIR, OUR, [number, *MANY[:50_000]]), before)

    messages = [event[3][0][0] for events in drains(node) for event in events if event[0] == MESSAGE]

    assert sorted(messages) == [0, 1, 2, 3, 4, 5]


def test_nobody_finds_a_container_of_which_a_part_is_missing(node: Node) -> None:
    _link, peer = node.link_up()
    node.drain(0)
    length = 412_345
    all_queued(node, peer, session().send(THEIR, OUR, ([0] * length, *range(1000, 1000 + length))))

    looks = 0
    for events in drains(node):
        found = [one for one in gc.get_objects() if type(one) in (list, tuple) and len(one) >= length]
        looks += not events
        if not events:
            assert all(type(one) is list for one in found), "of the list all is there when the tuple goes on"

    assert looks > 4


@pytest.mark.parametrize("sent", [MANY, tuple(MANY), {1: MANY, 2: tuple(MANY)}], ids=["list", "tuple", "map"])
def test_collector_knows_what_was_decoded_in_slices(node: Node, sent: Any) -> None:
    [[decoded], *_] = [event[3] for event in in_order(node, session().send(THEIR, OUR, sent)) if event[0] == MESSAGE]

    def known(term: Any) -> bool:
        inner = term.values() if type(term) is dict else term
        return gc.is_tracked(term) and all(known(one) for one in inner if type(one) is list)

    assert known(decoded)


def test_fault_amid_many_terms_ends_the_link_and_nothing_behind_it_is_heard(node: Node) -> None:
    there = session()
    broken = bytearray(there.send(THEIR, OUR, MANY))
    broken[-1] = 0xFF

    events = in_order(node, bytes(broken), there.send(THEIR, OUR, 2))

    assert [event[0] for event in events] == [DOWN]
    assert "control message 22: payload" in events[0][2]


def test_message_of_too_many_terms_is_refused_alone(make_node: Callable[..., Node]) -> None:
    node = make_node(max_queued_bytes=2**30, max_decoded_size=3_000_000)
    there = session()

    refused, after, *_ = in_order(node, there.send(THEIR, OUR, MANY), there.send(THEIR, OUR, 2))

    assert refused[:3] == (REFUSED, refused[1], OUR.number)
    assert "max_decoded_size exceeded" in refused[3]
    assert after[3] == [2]


@pytest.mark.parametrize("limits", [{"max_decoded_size": 3_000_000}, {"max_term_size": 1_000_000}], ids=str)
def test_reason_of_too_many_terms_is_replaced(make_node: Callable[..., Node], limits: dict[str, int]) -> None:
    node = make_node(max_queued_bytes=2**30, **limits)

    event, *_ = in_order(node, session().signal(1, (28, THEIR, OUR, THEIR_REF), MANY))

    assert event[4] is atoms.undecodable


def test_reason_within_the_control_tuple_is_decoded_in_slices(node: Node) -> None:
    exit_, *_ = in_order(node, raw_packet(term((3, THEIR, OUR, MANY))))

    assert exit_[:3] == (24, exit_[1], (24, THEIR, OUR))
    assert exit_[4] == MANY


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(written=strategies.terms(wide=False), data=st.data())
def test_slices_make_the_same_term(written: Any, data: st.DataObject) -> None:
    one = term(written)
    count = 1_100_000 // len(one)
    head = data.draw(st.sampled_from([b"l", b"i"]))
    payload = head + struct.pack(">I", count) + one * count + (b"j" if head == b"l" else b"")
    node = Node(max_queued_bytes=2**30)
    try:
        [decoded] = [event[3][0] for event in in_order(node, message(payload)) if event[0] == MESSAGE]
    finally:
        node.close()

    assert reference_etf.canonical(decoded) == reference_etf.canonical(etf.decode(b"\x83" + payload))
