"""The I/O thread with the events that it has yielded, and the other end of a link, over loopback sockets."""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from pyzen._native import (
    ACCEPTED,
    LinkThread,
    Session,
)
from pyzen.config import Limits
from pyzen.terms import Atom, Pid, Reference
from tests.events import Event, separate

if TYPE_CHECKING:
    from collections.abc import Callable

HERE, THERE = Atom("here@test"), Atom("there@test")
FLAGS = 0xD07DF5FBD
OUR, OUR_OTHER = Pid(HERE, 5, 0, 7), Pid(HERE, 6, 0, 7)
THEIR = Pid(THERE, 9, 0, 8)
REF = Reference(HERE, 7, [1, 2, 3])
THEIR_OTHER = Pid(THERE, 10, 0, 8)
THEIR_REF = Reference(THERE, 8, [4, 5, 6])
TICK = bytes(4)


class Node:
    """A link thread with the events that it has yielded."""

    def __init__(self, ticktime: float = 60.0, **limits: Any) -> None:
        self.thread = LinkThread(Limits(**limits), ticktime)
        self.events: list[Event] = []
        self.peers: list[socket.socket] = []
        self.address = self.thread.listen("127.0.0.1", 0)

    def close(self) -> None:
        """End the thread and the other ends."""
        self.thread.stop()
        for peer in self.peers:
            peer.close()

    def wait(self, kind: int, *, seconds: float = 10.0) -> Event:
        """Return the first event of this kind that has not been waited for, and forget those before it."""
        deadline = time.monotonic() + seconds
        while True:
            for index, event in enumerate(self.events):
                if event[0] == kind:
                    del self.events[: index + 1]
                    return event
            assert time.monotonic() < deadline, f"no event {kind} but {self.events}"
            self.drain()

    def drain(self, timeout: float = 0.1) -> None:
        select.select([self.thread.fileno()], [], [], timeout)
        more = True
        while more:
            events, more = self.thread.drain()
            self.events += separate(events)

    def wait_until(self, condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
        """Drain until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            self.drain_stopped()

    def drain_stopped(self) -> None:
        """Drain, also when there is no descriptor to wait for any more."""
        try:
            self.drain(0.01)
        except ValueError:
            self.events += separate(self.thread.drain()[0])

    def connect(self, receive_buffer: int | None = None) -> tuple[int, socket.socket]:
        """Return an inbound link in handshake mode and its other end."""
        peer = socket.socket()
        self.peers.append(peer)
        if receive_buffer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer.settimeout(10)
        peer.connect(self.address)
        _kind, link, host, port, _ = self.wait(ACCEPTED)
        assert (host, port) == peer.getsockname()
        return link, peer

    def activate(
        self, link: int, first: list[tuple[Any, Any, Any]] | None = None, last_frame: bytes | None = None
    ) -> None:
        self.thread.activate(
            link, node=HERE, creation=7, peer=THERE, flags=FLAGS, last_frame=last_frame, first=first or []
        )

    def link_up(self, receive_buffer: int | None = None) -> tuple[int, socket.socket]:
        link, peer = self.connect(receive_buffer)
        self.activate(link)
        return link, peer


def session() -> Session:
    """Return the other end of a link."""
    return Session(Limits(), node=THERE, creation=8, peer=HERE, flags=FLAGS)


def read(peer: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = peer.recv(count - len(data))
        assert part, "the link was closed"
        data += part
    return bytes(data)


def read_packet(peer: socket.socket) -> bytes:
    return read(peer, struct.unpack(">I", read(peer, 4))[0])


def raw_packet(data: bytes) -> bytes:
    """Return a packet with an empty header."""
    return struct.pack(">I", len(data) + 3) + b"\x83\x44\0" + data


def all_queued(node: Node, peer: socket.socket, stream: bytes, before: int = 0) -> None:
    """Send a stream and the end, and wait until all of it waits for a drain, besides so many bytes."""
    peer.settimeout(None)
    peer.sendall(stream)
    peer.close()
    deadline = time.monotonic() + 10
    while node.thread.statistics()["queued_bytes"] - before < 0.99 * len(stream):  # the headers of fragments are gone
        assert time.monotonic() < deadline
        select.select([], [], [], 0.01)


def at_end(peer: socket.socket) -> bool:
    """Read until the link is closed."""
    try:
        while peer.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True
