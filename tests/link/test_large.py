"""Large binaries: lent on their way out, copied in slices on their way in."""

from __future__ import annotations

import select
import struct
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pyzen._native import (
    BUSY,
    DOWN,
    ENDED,
    MESSAGE,
    NO_LINK,
    SENT,
)
from pyzen.errors import LinkOverloaded
from pyzen.terms import Atom
from tests.events import Event, payloads
from tests.link.peer import (
    OUR,
    THEIR,
    THEIR_OTHER,
    THEIR_REF,
    Node,
    all_queued,
    read_packet,
    session,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def test_large_binary_is_lent_until_it_is_written(node: Node) -> None:
    link, peer = node.link_up(receive_buffer=65536)
    large = bytes(range(256)) * 100_000
    before = sys.getrefcount(large)

    node.thread.send(link, OUR, THEIR, (1, large, [large], bytes(10)))

    assert node.thread.statistics()["lent_bytes"] == 2 * len(large)
    there = session()
    messages: list[Event] = []
    while not messages:
        packet = read_packet(peer)
        messages = there.receive_data(struct.pack(">I", len(packet)) + packet)
    assert messages[0][3][0] == (1, large, [large], bytes(10))
    node.wait_until(lambda: node.thread.statistics()["lent_bytes"] == 0)
    assert sys.getrefcount(large) == before


def test_end_of_a_loan_is_a_reason_to_drain(node: Node) -> None:
    link, peer = node.link_up()
    node.drain(0)

    assert node.thread.send(link, OUR, THEIR, bytes(300_000)) == SENT

    assert select.select([node.thread.fileno()], [], [], 10)[0]
    assert node.thread.drain() == ([], False)
    assert node.thread.statistics()["lent_bytes"] == 0
    assert read_packet(peer)


@pytest.mark.parametrize("how", ["peer", "close", "stop", "overloaded", "no link"])
def test_what_is_lent_comes_back_at_every_end(make_node: Callable[..., Node], how: str) -> None:
    large = bytes(40_000_000)
    before = sys.getrefcount(large)
    node = make_node(max_unsent_bytes=10_000_000 if how == "overloaded" else 100_000_000)
    link, peer = node.link_up(receive_buffer=65536)
    match how:
        case "overloaded":
            with pytest.raises(LinkOverloaded):
                node.thread.send(link, OUR, THEIR, large)
        case "no link":
            peer.close()
            select.select([node.thread.fileno()], [], [], 10)
            assert node.thread.send(link, OUR, THEIR, large) == NO_LINK
        case _:
            assert node.thread.send(link, OUR, THEIR, large) == BUSY
            assert sys.getrefcount(large) > before
    match how:
        case "peer":
            peer.close()
        case "close":
            node.thread.close(link, "closed here")
        case "stop":
            node.thread.stop()

    node.wait_until(lambda: sys.getrefcount(large) == before)


LARGE = bytes(range(256)) * 200_000


def test_message_of_another_sender_overtakes_a_large_one(make_node: Callable[..., Node]) -> None:
    node = make_node(max_queued_bytes=2**30)
    link, peer = node.link_up()
    there = session()
    message = (1, LARGE, [LARGE, b"small"], {1: LARGE}, {LARGE[:300_000]: 2})
    stream = [
        there.send(THEIR, OUR, message),
        there.send(THEIR, OUR, 2),
        there.signal(1, (19, THEIR_OTHER, OUR, THEIR_REF)),
        there.send(THEIR_OTHER, OUR, 3),
        there.signal(1, (28, Atom("name"), OUR, THEIR_REF), 4),  # who has the name is not known here
        there.send(THEIR_OTHER, OUR, 5),
        there.send(THEIR, OUR, LARGE),
    ]

    all_queued(node, peer, b"".join(stream))

    drains = []
    while not node.events or node.events[-1][0] != DOWN:
        select.select([node.thread.fileno()], [], [], 0.1)
        more = True
        while more:
            start = time.thread_time()
            events, more = node.thread.drain()
            drains.append(time.thread_time() - start)
            node.events += events
    first, second, large, *rest = node.events
    assert first[:3] == (19, link, (19, THEIR_OTHER, OUR, THEIR_REF))
    assert second[3] == [3]
    assert large[3] == [message]
    assert payloads(rest[:-1]) == [2, 4, 5, LARGE]
    assert rest[-1] == (DOWN, link, "closed", None, None)
    assert len(drains) > 10
    assert max(drains) < 0.05
    assert node.thread.statistics()["queued_bytes"] == 0


def test_fault_behind_a_large_message_ends_the_link_after_it(make_node: Callable[..., Node]) -> None:
    node = make_node(max_queued_bytes=2**30)
    _link, peer = node.link_up()
    there = session()
    broken = there.send(THEIR_OTHER, OUR, b"x")[:-3] + b"\xff\xff\xff"

    all_queued(node, peer, there.send(THEIR, OUR, LARGE) + broken + there.send(THEIR_OTHER, OUR, 2))

    assert node.wait(MESSAGE)[3] == [LARGE]
    assert "control message 22" in node.wait(DOWN)[2]
    node.drain(0)
    assert node.events == []


def test_stop_amid_a_large_message_delivers_it(make_node: Callable[..., Node]) -> None:
    node = make_node(max_queued_bytes=2**30)
    _link, peer = node.link_up()
    all_queued(node, peer, session().send(THEIR, OUR, LARGE))
    assert node.thread.drain() == ([], True)

    node.thread.stop()

    while not node.events or node.events[-1][0] != ENDED:
        node.events += node.thread.drain()[0]
    assert [event[0] for event in node.events] == [MESSAGE, DOWN, ENDED]
    assert node.events[0][3] == [LARGE]
