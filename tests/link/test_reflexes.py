"""What the I/O thread answers by itself: nobody drains."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from pyzen._native import (
    MESSAGE,
)
from pyzen.terms import Atom, ImproperList, Pid, Reference
from tests.events import Event, delivered
from tests.link.peer import (
    HERE,
    OUR,
    REF,
    THEIR,
    THEIR_REF,
    THERE,
    Node,
    read_packet,
    session,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


NAME_SERVER, NET_KERNEL = Atom("global_name_server"), Atom("net_kernel")
NOT_A_PROCESS = Pid(HERE, 0, 0, 7)


def answers(peer: socket.socket, count: int = 1) -> list[Event]:
    """Return what was sent to the other end."""
    packets = [read_packet(peer) for _ in range(count)]
    there = session()
    return [event for one in packets for event in there.receive_data(struct.pack(">I", len(one)) + one)]


def test_monitor_of_global_name_server_is_answered_at_once(node: Node) -> None:
    _link, peer = node.link_up()

    peer.sendall(session().signal(0, (19, THEIR, NAME_SERVER, THEIR_REF)))

    assert answers(peer) == [(28, 1, (28, NAME_SERVER, THEIR, THEIR_REF), None, Atom("noproc"))]
    assert node.thread.statistics()["reflex_answers"] == 1
    node.drain(0)
    assert node.events == []


@pytest.mark.parametrize(
    ("tag", "to"),
    [
        ([Atom("alias"), THEIR_REF], None),
        (ImproperList([Atom("alias")], THEIR_REF), THEIR_REF),
        (ImproperList([ImproperList([Atom("alias")], THEIR_REF)], REF), THEIR_REF),
        ((THEIR_REF, THERE), THEIR.number),
        (THEIR_REF, THEIR.number),
        (Atom("own tag"), None),
    ],
)
def test_is_auth_is_answered_at_once(node: Node, tag: Any, to: Any) -> None:
    _link, peer = node.link_up()
    call = (Atom("$gen_call"), (THEIR, tag), (Atom("is_auth"), THERE))

    peer.sendall(session().send(THEIR, NET_KERNEL, call))

    if to is None:  # a form that none of OTP's callers has: the process answers
        assert node.wait(MESSAGE) == delivered(NET_KERNEL, call)
    else:
        link = 1 if isinstance(to, Reference) else 0
        assert answers(peer) == [delivered(to, (tag, Atom("yes")), link=link)]


def test_other_signals_pass_the_reflexes_in_order(node: Node) -> None:
    _link, peer = node.link_up()
    there = session()
    stream = [
        there.send(THEIR, NET_KERNEL, 1),
        there.signal(0, (19, THEIR, NET_KERNEL, THEIR_REF)),
        there.signal(0, (19, THEIR, Atom("name"), THEIR_REF)),
        there.signal(0, (19, THEIR, NAME_SERVER, THEIR_REF)),
        there.signal(0, (20, THEIR, NET_KERNEL, THEIR_REF)),
        there.signal(0, (20, THEIR, NAME_SERVER, THEIR_REF)),
        there.send(THEIR, NAME_SERVER, 2),
        there.signal(0, (19, THEIR, OUR, THEIR_REF)),
    ]

    peer.sendall(b"".join(stream))

    assert answers(peer)[0][2] == (28, NAME_SERVER, THEIR, THEIR_REF)
    assert node.wait(MESSAGE) == delivered(NET_KERNEL, 1)
    assert node.wait(19)[2] == (19, THEIR, Atom("name"), THEIR_REF)
    assert node.wait(MESSAGE) == delivered(NAME_SERVER, 2)
    assert node.wait(19)[2] == (19, THEIR, OUR, THEIR_REF)


def test_peer_that_reads_no_answers_gets_them_from_the_interpreter(make_node: Callable[..., Node]) -> None:
    node = make_node(max_unsent_bytes=300_000)
    _link, peer = node.link_up(receive_buffer=65536)
    monitor = session().signal(0, (19, THEIR, NAME_SERVER, THEIR_REF))

    peer.settimeout(0.1)
    while not any(event[0] == 19 for event in node.events):
        peer.sendall(monitor * 1000)
        node.drain(0)

    assert node.thread.statistics()["unsent_bytes"] <= 300_000
