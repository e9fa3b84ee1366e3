"""The end of a process that many watch: everybody is told, in order, and others run meanwhile."""

from __future__ import annotations

import pytest

from pyzen.actor.farewells import SLICE
from pyzen.actor.verbs import actor_of
from pyzen.terms import atoms
from pyzen.testing import Cluster, MemoryNode, Recorder
from tests.bystander import Bystander

COUNTS = [1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def node(cluster: Cluster) -> MemoryNode:
    return cluster.node("a@memory")


def spawned(node: MemoryNode, name: str | None = None) -> Recorder:
    process = Recorder()
    process.trap_exit = True
    node.spawn(process, name=name)
    return process


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("place", ["here", "there"])
def test_all_are_told_in_order(cluster: Cluster, node: MemoryNode, count: int, place: str) -> None:
    other = node
    if place == "there":
        other = cluster.node("b@memory")
        cluster.connect(node, other)
    ending, me = spawned(node, "ending"), spawned(other)
    refs = [me.monitor(ending.pid if n % 2 else ("ending", node.name)) for n in range(count)]
    me.link(ending.pid)
    cluster.run_until_idle()

    actor_of(ending).end(atoms.boom)
    cluster.run_until_idle()

    assert [(message[0], message[1], message[-1]) for message in me.messages[:count]] == [
        (atoms.DOWN, ref, atoms.boom) for ref in refs
    ]
    assert me.messages[count:] == [(atoms.EXIT, ending.pid, atoms.boom)]
    assert not node.runtime._named


@pytest.mark.parametrize("count", COUNTS)
def test_signals_that_waited_are_answered_behind(cluster: Cluster, node: MemoryNode, count: int) -> None:
    ending, me = spawned(node), spawned(node)
    refs = [me.monitor(ending.pid) for _ in range(count)]
    cluster.run_until_idle()
    refs += [me.monitor(ending.pid) for _ in range(count)]

    actor_of(ending).end(atoms.boom)
    cluster.run_until_idle()

    assert [message[1] for message in me.messages] == refs


@pytest.mark.parametrize("count", COUNTS)
def test_own_monitors_are_taken_back(cluster: Cluster, node: MemoryNode, count: int) -> None:
    ending, other = spawned(node), spawned(node)
    for _ in range(count):
        ending.monitor(other.pid)
    cluster.run_until_idle()

    actor_of(ending).end(atoms.boom)
    cluster.run_until_idle()

    assert actor_of(other).relations.watchers == {}


def test_others_run_meanwhile(cluster: Cluster, node: MemoryNode) -> None:
    ending, me = spawned(node), spawned(node)
    bystander = Bystander(lambda: actor_of(me).message_queue_len + len(me.messages))
    node.spawn(bystander)
    for _ in range(3 * SLICE):
        me.monitor(ending.pid)
    cluster.run_until_idle()

    node.runtime.send(me.pid, bystander.pid, atoms.look)
    actor_of(ending).end(atoms.boom)
    cluster.run_until_idle()

    assert 0 < bystander.counted[0] <= 2 * SLICE
    assert len(me.messages) == 3 * SLICE


def test_who_asks_meanwhile_finds_nobody(cluster: Cluster, node: MemoryNode) -> None:
    """The answer to a new monitor may come before the DOWN of an old one; a name is free at once."""
    ending, me = spawned(node, "ending"), spawned(node)
    for _ in range(2 * SLICE):
        me.monitor(("ending", node.name))
    cluster.run_until_idle()

    actor_of(ending).end(atoms.boom)
    late = me.monitor(("ending", node.name))
    successor = spawned(node, "ending")
    cluster.run_until_idle()

    assert [message[-1] for message in me.messages if message[1] == late] == [atoms.noproc]
    assert len(me.messages) == 2 * SLICE + 1
    assert actor_of(successor).relations.watchers == {}
