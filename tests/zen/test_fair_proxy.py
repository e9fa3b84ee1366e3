"""The one Proxy serves all peers, in turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.requests import GEN_CALL, GEN_CAST
from pyzen.actor.verbs import actor_of
from pyzen.config import ZenConfig
from pyzen.terms import atoms
from pyzen.testing import MemoryNode, Recorder
from pyzen.zen.names import PROXY
from pyzen.zen.proxy import OBEY_SLICE

if TYPE_CHECKING:
    from pyzen.terms import Pid
    from tests.zen.conftest import World

pytestmark = pytest.mark.usefixtures("quiet")

SLICES = 10


@pytest.fixture
def other(linked: World) -> MemoryNode:
    """A second peer of ``a``."""
    node = linked.cluster.node("c@memory", zen=ZenConfig())
    linked.cluster.connect(linked.a, node)
    linked.wait()
    return node


def deliver(world: World, peer: MemoryNode, *messages: Any) -> None:
    """Let the Proxy of ``a`` get messages by the link to a peer."""
    link = world.a.runtime.link(peer.name)
    assert link is not None
    world.a.runtime.deliver(PROXY, list(messages), link[0])


def useless(target: Pid, connector: Pid, slices: int = SLICES) -> Any:
    """Return a message of instructions that cancel out."""
    pair = [(atoms.subscribe, target), (atoms.unsubscribe, target)]
    return GEN_CAST, (atoms.process, connector, pair * (OBEY_SLICE * slices // 2))


def obeyed(world: World) -> int:
    return world.statistics().counters["instructions_received"]


def test_a_backlog_of_one_peer_does_not_delay_a_ping_of_another(linked: World, other: MemoryNode) -> None:
    pid, target, foe = other.spawn(Recorder()), linked.worker(node=linked.a), linked.b.spawn(Recorder())
    proxy, before = actor_of(linked.a.process(PROXY)), obeyed(linked)

    deliver(linked, linked.b, *[useless(target, foe) for _ in range(20)])
    deliver(linked, other, (GEN_CALL, (pid, atoms.tag), atoms.ping))
    answers = linked.cluster.link(linked.a, other).way(linked.a)
    while (atoms.tag, atoms.pong) not in answers.messages:
        assert proxy.run(1)

    assert obeyed(linked) - before <= 2 * OBEY_SLICE
    linked.wait()
    assert obeyed(linked) - before == 20 * SLICES * OBEY_SLICE


def test_messages_of_one_peer_are_obeyed_in_order(linked: World, other: MemoryNode) -> None:
    target, last = linked.worker(node=linked.a), linked.worker(node=linked.a)
    connectors = [node.spawn(Recorder()) for node in (linked.b, other)]

    for node, pid in zip((linked.b, other), connectors, strict=True):
        deliver(linked, node, useless(target, pid, 3), (GEN_CAST, (atoms.process, pid, [(atoms.subscribe, target)])))
        deliver(linked, node, (GEN_CAST, (atoms.process, pid, [(atoms.unsubscribe, target), (atoms.subscribe, last)])))
    linked.wait()

    subscriptions = linked.statistics().subscriptions
    linked.a.kill(target)
    linked.wait()
    assert subscriptions == 2
    assert linked.statistics().subscriptions == 2


def test_what_is_left_of_a_message_is_forgotten_with_its_link(linked: World) -> None:
    targets = [linked.worker(node=linked.a) for _ in range(3 * OBEY_SLICE)]
    foe = linked.b.spawn(Recorder())
    cluster, before = linked.cluster, obeyed(linked)
    deliver(linked, linked.b, (GEN_CAST, (atoms.process, foe, [(atoms.subscribe, target) for target in targets])))
    while obeyed(linked) == before:
        assert actor_of(linked.a.process(PROXY)).run(1)

    cluster.cut(linked.a, linked.b)
    linked.wait()

    assert obeyed(linked) - before == OBEY_SLICE
    assert linked.statistics().subscriptions == 0
