"""The I/O thread, over loopback sockets; what it must not do to a process is in `test_process`."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pyzen._native import (
    ACCEPTED,
    BUSY,
    CONNECTED,
    DOWN,
    ENDED,
    FRAME,
    MESSAGE,
    NO_LINK,
    NO_PAYLOAD,
    SENT,
    TURNED_AWAY,
    WRITABLE,
    LinkThread,
)
from pyzen.config import Limits
from pyzen.errors import EncodeError, LinkOverloaded
from pyzen.terms import Atom
from tests.events import Event, delivered, payloads
from tests.link.peer import (
    OUR,
    OUR_OTHER,
    REF,
    THEIR,
    TICK,
    Node,
    at_end,
    read,
    read_packet,
    session,
)

if TYPE_CHECKING:
    from collections.abc import Callable


# ---- handshake mode


def test_dial_connects_two_threads(make_node: Callable[..., Node]) -> None:
    here, there = make_node(), make_node()

    link = here.thread.dial(*there.address)

    assert here.wait(CONNECTED) == (CONNECTED, link, None, None, None)
    _kind, other, *_ = there.wait(ACCEPTED)
    here.thread.write_frame(link, b"hello")
    there.thread.read_frame(other)
    assert there.wait(FRAME) == (FRAME, other, b"hello", None, None)


def test_dial_of_a_closed_port_is_down(node: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

    link = node.thread.dial(*address)

    assert node.wait(DOWN) == (DOWN, link, "connection refused", None, None)


def test_listen_on_a_taken_port_raises(node: Node) -> None:
    with pytest.raises(OSError, match="in use"):
        node.thread.listen(*node.address)


def test_names_are_resolved_elsewhere(node: Node) -> None:
    with pytest.raises(ValueError, match="not an IP address"):
        node.thread.dial("example.invalid", 1)


def test_read_frame_hands_out_one_frame(node: Node) -> None:
    link, peer = node.connect()
    peer.sendall(b"\x00\x03one\x00\x03two")

    node.thread.read_frame(link)

    assert node.wait(FRAME)[2] == b"one"
    node.drain()
    assert node.events == []
    node.thread.read_frame(link)
    assert node.wait(FRAME)[2] == b"two"


def test_handshake_ends_with_its_peer(node: Node) -> None:
    link, peer = node.connect()

    peer.close()

    assert node.wait(DOWN) == (DOWN, link, "closed", None, None)


def test_handshake_that_stalls_is_closed_in_time(make_node: Callable[..., Node]) -> None:
    node = make_node(setup_time=0.3)
    _link, peer = node.connect()
    peer.sendall(b"\x00\x15half a frame")

    assert node.wait(DOWN, seconds=1.0)[2] == "setup timeout"
    assert at_end(peer)


def test_garbage_in_handshake_mode_stays_bounded_and_alone(make_node: Callable[..., Node]) -> None:
    node = make_node(setup_time=1.0)
    link, quiet = node.link_up()
    _other, peer = node.connect()
    peer.setblocking(False)

    sent = 0
    for _ in range(200):
        try:
            sent += peer.send(b"\xff" * 2**20)
        except BlockingIOError:
            break
    assert sent < 100 * 2**20

    assert node.wait(DOWN)[2] == "setup timeout"
    assert node.thread.send(link, OUR, THEIR, 1) == SENT
    assert read_packet(quiet)


def test_unfinished_handshakes_are_bounded(make_node: Callable[..., Node]) -> None:
    node = make_node(max_handshakes=2)
    first, peer = node.connect()
    _second = node.connect()

    with socket.create_connection(node.address, timeout=10) as third:
        assert third.recv(1) == b""
        assert node.wait(TURNED_AWAY) == (TURNED_AWAY, 0, *third.getsockname(), 1)

    node.activate(first, last_frame=b"")
    assert read(peer, 2) == b"\x00\x00"
    _fourth = node.connect()


def test_frames_and_packets_do_not_mix(node: Node) -> None:
    link, _peer = node.connect()
    with pytest.raises(ValueError, match="is not active"):
        node.thread.send(link, OUR, THEIR, 1)
    with pytest.raises(ValueError, match="at most 65535 bytes"):
        node.thread.write_frame(link, bytes(65536))

    node.activate(link)

    with pytest.raises(ValueError, match="is active"):
        node.thread.read_frame(link)
    with pytest.raises(ValueError, match="is active"):
        node.thread.write_frame(link, b"")


# ---- activation and order


def test_activate_reads_what_came_with_the_handshake(node: Node) -> None:
    link, peer = node.connect()
    peer.sendall(b"\x00\x03end" + session().send(THEIR, OUR, b"early"))
    node.thread.read_frame(link)
    node.wait(FRAME)

    node.activate(link)

    assert node.wait(MESSAGE) == delivered(OUR.number, b"early")


def test_activate_writes_frame_then_first_packets_then_the_rest(node: Node) -> None:
    link, peer = node.connect()

    node.activate(link, [(OUR, Atom("name"), 1), (0, (1, OUR, THEIR), NO_PAYLOAD)], b"ack")
    node.thread.send(link, OUR, THEIR, 3)

    assert read(peer, 5) == b"\x00\x03ack"
    events = session().receive_data(b"".join(struct.pack(">I", len(p)) + p for p in (read_packet(peer) for _ in "123")))
    assert [event[0] for event in events] == [MESSAGE, 1, MESSAGE]
    assert payloads(events) == [1, NO_PAYLOAD, 3]


def test_activate_with_an_unencodable_packet_changes_nothing(node: Node) -> None:
    link, peer = node.connect()

    with pytest.raises(EncodeError):
        node.activate(link, [(OUR, Atom("name"), 1), (OUR, Atom("name"), object())], b"ack")

    node.thread.write_frame(link, b"still here")
    assert read(peer, 12) == b"\x00\x0astill here"


def test_send_with_an_unencodable_message_queues_nothing(node: Node) -> None:
    link, peer = node.link_up()

    with pytest.raises(EncodeError):
        node.thread.send(link, OUR, THEIR, [1, object()])

    assert node.thread.send(link, OUR, THEIR, 2) == SENT
    assert read_packet(peer).endswith(b"a\x02")


def test_a_burst_arrives_in_order_in_several_drains(node: Node) -> None:
    link, peer = node.link_up()
    there = session()
    peer.sendall(b"".join(there.send(THEIR, OUR, n) for n in range(2000)))
    peer.close()

    drains = []
    while not any(event[0] == DOWN for event in node.events):
        select.select([node.thread.fileno()], [], [], 0.1)
        more = True
        while more:
            events, more = node.thread.drain()
            drains.append(len(payloads(events)))
            node.events += events

    assert max(drains) <= 256
    assert payloads(node.events[:-1]) == list(range(2000))
    assert node.events[-1] == (DOWN, link, "closed", None, None)


def test_a_drain_that_is_late_hands_out_events_all_the_same(make_node: Callable[..., Node]) -> None:
    node, count = make_node(), 400_000  # to take over so many lasts longer than one drain may
    _link, peer = node.link_up()
    packet = session().send(THEIR, OUR, 1)
    peer.sendall(packet * count)
    deadline = time.monotonic() + 10
    while node.thread.statistics()["queued_bytes"] < (len(packet) - 4) * count and time.monotonic() < deadline:
        select.select([], [], [], 0.01)

    events, more = node.thread.drain()

    assert more
    assert events


def test_large_message_of_one_process_does_not_delay_another(node: Node) -> None:
    link, peer = node.link_up(receive_buffer=65536)
    large = bytes(48 * 2**20)
    assert node.thread.send(link, OUR, THEIR, large) == BUSY

    assert node.thread.send(link, OUR, THEIR, 1) == BUSY
    node.thread.send(link, OUR_OTHER, THEIR, 2)

    there, read_before = session(), 0
    messages: list[Event] = []
    while not messages:
        packet = read_packet(peer)
        messages += there.receive_data(struct.pack(">I", len(packet)) + packet)
        read_before += len(packet)
    assert messages == [delivered(THEIR.number, 2)]
    assert read_before < 16 * 2**20, "the other process had to wait for the large message"
    while len(messages) < 3:
        packet = read_packet(peer)
        messages += there.receive_data(struct.pack(">I", len(packet)) + packet)
    assert payloads(messages[1:]) == [large, 1]


# ---- back-pressure


def test_busy_link_becomes_writable_when_the_peer_reads(node: Node) -> None:
    link, peer = node.link_up(receive_buffer=65536)
    count = 0
    while node.thread.send(link, OUR, THEIR, bytes(50_000)) == SENT:
        count += 1
    node.drain(0)
    assert node.events == []
    assert node.thread.signal(link, OUR.number, (1, OUR, THEIR)) == BUSY
    assert node.thread.signal(link, OUR.number, (24, OUR, THEIR), 1) == BUSY

    for _ in range(count + 2):
        read_packet(peer)

    assert node.wait(WRITABLE) == (WRITABLE, link, None, None, None)
    node.drain(0)
    assert node.events == []
    assert node.thread.send(link, OUR, THEIR, 1) == SENT


def test_overloaded_link_takes_signals_only(make_node: Callable[..., Node]) -> None:
    node = make_node(max_unsent_bytes=3_000_000)
    link, peer = node.link_up(receive_buffer=65536)
    sent = 0

    def send_without_end() -> None:
        nonlocal sent
        while True:
            node.thread.send(link, OUR, THEIR, bytes(50_000))
            sent += 1

    with pytest.raises(LinkOverloaded, match="3000000 bytes wait for there@test") as raised:
        send_without_end()

    assert raised.value.peer == "there@test"
    assert node.thread.statistics()["unsent_bytes"] <= 3_000_000
    node.thread.signal(link, OUR.number, (28, OUR, THEIR, REF), bytes(100_000))
    there = session()
    kinds: list[int] = []
    while len(kinds) < sent + 1:
        packet = read_packet(peer)
        kinds += [event[0] for event in there.receive_data(struct.pack(">I", len(packet)) + packet)]
    assert kinds == [MESSAGE] * sent + [28]


def test_full_queue_pauses_the_reader_but_not_the_ticks(make_node: Callable[..., Node]) -> None:
    node = make_node(0.4, max_queued_bytes=100_000)
    _link, peer = node.link_up()
    there = session()
    stream = b"".join(there.send(THEIR, OUR, bytes(1000) + n.to_bytes(4)) for n in range(10_000))
    writer = threading.Thread(target=peer.sendall, args=(stream,))
    peer.settimeout(None)
    writer.start()

    # Nobody drains for more than two ticktimes, while ticks come.
    assert read(peer, 40) == TICK * 10
    assert 100_000 < node.thread.statistics()["queued_bytes"] < 100_000 + 2 * 65536 + 10_000

    received = [node.wait(MESSAGE)[3][0][-4:] for _ in range(10_000)]
    writer.join()
    assert received == [n.to_bytes(4) for n in range(10_000)]
    assert node.thread.statistics()["queued_bytes"] == 0


# ---- liveness


@pytest.mark.parametrize("first", [b"", b"\x00\x00\x00\x09half"])
def test_silent_peer_is_gone_in_time(make_node: Callable[..., Node], first: bytes) -> None:
    node = make_node(0.8)
    link, peer = node.link_up()
    start = time.monotonic()
    peer.sendall(first)

    assert node.wait(DOWN) == (DOWN, link, "net_tick_timeout", None, None)

    assert 0.75 < time.monotonic() - start < 0.8 * 1.25 + 1


def test_slow_bytes_of_one_packet_keep_a_link_up(make_node: Callable[..., Node]) -> None:
    node = make_node(0.4)
    _link, peer = node.link_up()
    peer.settimeout(0.1)
    data = session().send(THEIR, OUR, b"slow message")

    for byte in data:
        peer.send(bytes([byte]))
        select.select([], [], [], 0.03)

    assert len(data) * 0.03 > 2 * 0.4
    assert node.wait(MESSAGE)[3] == [b"slow message"]


def test_no_tick_is_sent_while_something_else_is(make_node: Callable[..., Node]) -> None:
    node = make_node(2.0)
    link, peer = node.link_up()

    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        node.thread.send(link, OUR, THEIR, 1)
        assert read_packet(peer) != b""
        peer.sendall(TICK)
        select.select([], [], [], 0.05)


# ---- ends


def test_length_of_4_gb_ends_the_link_at_once(node: Node) -> None:
    _link, peer = node.link_up()

    peer.sendall(b"\xff\xff\xff\xff")

    assert node.wait(DOWN, seconds=1.0)[2] == "max_packet_size exceeded: 4294967295 is more than 536870912"
    assert at_end(peer)


def test_undecodable_message_ends_its_link_once_and_no_other(node: Node) -> None:
    bad_link, bad = node.link_up()
    _good_link, good = node.link_up()
    there = session()
    broken = there.send(THEIR, OUR, b"x")[:-3] + b"\xff\xff\xff"
    bad.sendall(there.send(THEIR, OUR, 1) + broken + there.send(THEIR, OUR, 2) * 10)

    assert node.wait(MESSAGE)[3] == [1]
    down = node.wait(DOWN)
    assert down[1] == bad_link
    assert "control message 22" in down[2]
    assert at_end(bad)
    good.sendall(there.send(THEIR, OUR, 3))

    assert node.wait(MESSAGE) == delivered(OUR.number, 3)
    assert all(event[0] != DOWN for event in node.events)
    assert node.thread.send(bad_link, OUR, THEIR, 1) == NO_LINK


def test_close_gives_its_reason_and_drops_what_was_read(node: Node) -> None:
    link, peer = node.link_up()
    node.thread.send(link, OUR, THEIR, b"last words")
    peer.sendall(session().send(THEIR, OUR, 1))
    select.select([node.thread.fileno()], [], [], 10)

    node.thread.close(link, "no longer wanted")
    node.thread.close(link, "again")

    assert node.wait(DOWN) == (DOWN, link, "no longer wanted", None, None)
    assert read_packet(peer).endswith(b"last words")
    assert at_end(peer)
    node.drain()
    assert node.events == []


def test_calls_for_a_link_that_is_gone_do_nothing(node: Node) -> None:
    link, peer = node.link_up()
    peer.close()
    node.wait(DOWN)

    assert node.thread.send(link, OUR, THEIR, 1) == NO_LINK
    assert node.thread.signal(link, 0, (1, OUR, THEIR)) == NO_LINK
    node.thread.read_frame(link)
    node.thread.write_frame(link, b"")
    node.thread.close(link, "again")
    node.activate(link)
    node.drain(0)
    assert node.events == []


def test_stop_ends_every_link_and_then_the_thread(node: Node) -> None:
    link, peer = node.link_up()
    handshake, _other = node.connect()

    node.thread.stop()
    node.thread.stop()

    events, more = node.thread.drain()
    assert sorted(event[:3] for event in events[:-1]) == [(DOWN, link, "stopped"), (DOWN, handshake, "stopped")]
    assert events[-1] == (ENDED, 0, "stopped", None, None)
    assert not more
    assert at_end(peer)
    assert node.thread.send(link, OUR, THEIR, 1) == NO_LINK
    with pytest.raises(ValueError, match="stopped"):
        node.thread.fileno()
    with pytest.raises(OSError, match="has ended"):
        node.thread.dial("127.0.0.1", 1)


@pytest.mark.parametrize("ticktime", [0.0, -1.0, float("nan"), float("inf")])
def test_ticktime_must_be_a_time(ticktime: float) -> None:
    with pytest.raises(ValueError, match="ticktime"):
        LinkThread(Limits(), ticktime)
