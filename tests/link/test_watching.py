"""MONITOR_P and DEMONITOR_P as objects: made natively when they are sound, left to the decoder when they are not."""

from __future__ import annotations

from typing import Any

import pytest

from pyzen._native import MESSAGE, NO_PAYLOAD, SIGNAL, LinkThread
from pyzen.actor.signals import Demonitor, Monitor
from pyzen.config import Limits
from pyzen.terms import Atom, Pid
from tests.events import delivered
from tests.link.peer import HERE, OUR, REF, THEIR, THEIR_REF, Node, session

NAME = Atom("server")
THIRD = Pid("third@test", 1, 0, 3)


class Watching(Node):
    """A link thread that makes the signals."""

    def __init__(self) -> None:
        super().__init__()
        self.thread.stop()
        self.thread = LinkThread(Limits(), 60.0, None, {19: Monitor, 20: Demonitor})
        self.address = self.thread.listen("127.0.0.1", 0)


@pytest.fixture
def node() -> Any:
    node = Watching()
    yield node
    node.thread.stop()
    for peer in node.peers:
        peer.close()


def received(node: Watching, control: tuple[Any, ...]) -> tuple[int, Any]:
    """Return the link, and what a control message has become there."""
    link, peer = node.link_up()
    other = session()
    peer.sendall(other.signal(0, control) + other.send(THEIR, Atom("end"), 1))
    node.wait_until(lambda: delivered(Atom("end"), 1) in node.events)
    return link, node.events[0]


@pytest.mark.parametrize(("op", "kind"), [(19, Monitor), (20, Demonitor)])
@pytest.mark.parametrize(("target", "to"), [(OUR, OUR), (THIRD, THIRD), (NAME, (NAME, HERE))])
def test_sound_one_is_the_signal_with_its_link(node: Watching, op: int, kind: Any, target: Any, to: Any) -> None:
    link, event = received(node, (op, THEIR, target, THEIR_REF))

    assert event == (SIGNAL, link, kind(to, THEIR, THEIR_REF, via=link, peer=THEIR.node), None, None)


@pytest.mark.parametrize(
    "control",
    [
        (19, THIRD, OUR, THEIR_REF),
        (19, OUR, OUR, THEIR_REF),
        (20, NAME, OUR, THEIR_REF),
        (19, THEIR, 5, THEIR_REF),
        (20, THEIR, (NAME, HERE), THEIR_REF),
        (19, THEIR, None, THEIR_REF),
        (19, THEIR, OUR, 5),
        (19, THEIR, OUR, REF),
        (20, THEIR, OUR, REF),
        (1, THEIR, OUR),
        (36, 1, THEIR, OUR),
    ],
)
def test_unsound_one_and_every_other_is_a_control_tuple(node: Watching, control: tuple[Any, ...]) -> None:
    link, event = received(node, control)

    assert event == (control[0], link, control, None, NO_PAYLOAD)


def test_message_to_an_alias_tells_its_link(node: Watching) -> None:
    links = [node.link_up() for _ in range(2)]
    for _, peer in links:
        peer.sendall(session().send(THEIR, REF, 1))

    events: list[Any] = []
    while len(events) < len(links):
        events += node.thread.drain()[0]

    assert sorted(events) == [(MESSAGE, link, REF, [1], None) for link, _ in links]
