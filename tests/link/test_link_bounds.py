"""Bounds that the I/O thread keeps by itself."""

from __future__ import annotations

import resource
import socket
import struct
from typing import TYPE_CHECKING

from pyzen._native import ACCEPTED, DEAF, DOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.link.peer import Node


def is_turned_away(address: tuple[str, int]) -> bool:
    with socket.create_connection(address) as stranger:
        stranger.settimeout(0.2)
        try:
            return stranger.recv(1) == b""
        except TimeoutError:
            return False


def test_a_stranger_has_its_place_until_its_end_has_been_heard_of(make_node: Callable[..., Node]) -> None:
    """What waits for Python of those that come and go is bounded by the places."""
    node = make_node(max_handshakes=1)
    address = node.address
    socket.create_connection(address).close()

    assert all(is_turned_away(address) for _ in range(20))

    assert node.wait(DOWN)[0] == DOWN
    assert not is_turned_away(address)


def test_want_of_descriptors_is_told_once(make_node: Callable[..., Node]) -> None:
    node, peers = make_node(), [socket.socket() for _ in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        for peer in peers:
            peer.connect(node.address)
        event = node.wait(DEAF)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert event == (DEAF, 0, "too many open files", None, None)

    for _ in peers:
        node.wait(ACCEPTED)
    assert DEAF not in [event[0] for event in node.events]
    for peer in peers:
        peer.close()


def begun(node: Node, size: int) -> tuple[int, socket.socket]:
    """A link with a packet that lacks its last byte."""
    link, peer = node.link_up()
    peer.sendall(struct.pack(">I", size + 1) + b"\x83D\0" + bytes(size - 3))
    return link, peer


def test_the_link_that_holds_most_of_all_that_is_unfinished_ends(make_node: Callable[..., Node]) -> None:
    node = make_node(max_unfinished_bytes=1_000_000)
    large, _ = begun(node, 600_000)
    begun(node, 300_000)

    begun(node, 200_000)

    _kind, link, reason, *_ = node.wait(DOWN)
    assert link == large
    assert reason.startswith("max_unfinished_bytes: ")
    begun(node, 300_000)
    node.drain(0.2)
    assert DOWN not in [event[0] for event in node.events]


def test_a_packet_that_is_there_by_half_counts_with_the_fragments(make_node: Callable[..., Node]) -> None:
    node = make_node(max_packet_size=1_000_000)
    _, peer = node.link_up()
    fragment = b"\x83E" + struct.pack(">QQ", 1, 2) + b"\0" + bytes(600_000)

    peer.sendall(struct.pack(">I", len(fragment)) + fragment + struct.pack(">I", 900_000) + b"\x83D\0" + bytes(600_000))

    assert "max_packet_size exceeded" in node.wait(DOWN)[2]
