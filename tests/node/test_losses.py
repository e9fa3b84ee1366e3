"""The loss of a node that many processes share something with: all hear of it once, others run meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor import scheduler
from pyzen.actor.verbs import actor_of
from pyzen.node.losses import SLICE
from pyzen.terms import atoms
from pyzen.testing import Cluster, Recorder
from tests.bystander import Bystander

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.node.node import Node
    from pyzen.terms import Reference
    from tests.raw_peer import RawPeer

COUNTS = [1, SLICE, SLICE + 1, 3 * SLICE]


class Scene:
    """Processes of ``a`` that monitor one of ``b`` and are linked with it."""

    def __init__(self, count: int) -> None:
        self.cluster = Cluster()
        self.a, self.b = self.cluster.node("a@memory"), self.cluster.node("b@memory")
        self.cluster.connect(self.a, self.b)
        self.other = Recorder()
        self.other.trap_exit = True
        self.b.spawn(self.other)
        self.processes = [self.process() for _ in range(count)]
        self.refs = [process.monitor(self.other.pid) for process in self.processes]
        for process in self.processes:
            process.link(self.other.pid)
        self.cluster.run_until_idle()

    def process(self) -> Recorder:
        process = Recorder()
        process.trap_exit = True
        self.a.spawn(process)
        return process

    def lost(self, ref: Reference) -> list[Any]:
        return [
            (atoms.DOWN, ref, atoms.process, self.other.pid, atoms.noconnection),
            (atoms.EXIT, self.other.pid, atoms.noconnection),
        ]

    @property
    def heard(self) -> int:
        """How many have heard so far, whether they have come to it or not."""
        return sum(self.b.name not in actor_of(process).relations.peers for process in self.processes)


@pytest.mark.parametrize("count", COUNTS)
def test_all_hear_once(count: int) -> None:
    scene = Scene(count)

    scene.cluster.cut(scene.a, scene.b)
    scene.cluster.run_until_idle()

    assert [process.messages for process in scene.processes] == [scene.lost(ref) for ref in scene.refs]
    assert scene.a.runtime.related() == []
    assert scene.a.runtime.losses.under_way(scene.b.name) is None


def test_others_run_meanwhile() -> None:
    scene = Scene(3 * SLICE)
    bystander = Bystander(lambda: scene.heard)
    scene.a.spawn(bystander)
    scene.cluster.run_until_idle()

    scene.a.runtime.send(bystander.pid, bystander.pid, atoms.look)
    scene.cluster.cut(scene.a, scene.b)
    scene.cluster.run_until_idle()

    assert 0 < bystander.counted[0] <= 2 * SLICE
    assert scene.heard == 3 * SLICE


@pytest.mark.parametrize("count", COUNTS)
def test_what_is_made_meanwhile_stands(count: int) -> None:
    scene = Scene(count)

    scene.cluster.cut(scene.a, scene.b)
    refs = [process.monitor(scene.other.pid) for process in scene.processes]
    scene.cluster.run_until_idle()
    assert [process.messages for process in scene.processes] == [scene.lost(ref) for ref in scene.refs]
    actor_of(scene.other).end(atoms.boom)
    scene.cluster.run_until_idle()

    assert [process.messages[2:] for process in scene.processes] == [
        [(atoms.DOWN, ref, atoms.process, scene.other.pid, atoms.boom)] for ref in refs
    ]


def test_link_that_is_undone_and_made_meanwhile_stands() -> None:
    scene = Scene(3 * SLICE)

    scene.cluster.cut(scene.a, scene.b)
    for process in scene.processes:
        process.unlink(scene.other.pid)
        process.link(scene.other.pid)
    scene.cluster.run_until_idle()
    assert [process.messages for process in scene.processes] == [scene.lost(ref)[:1] for ref in scene.refs]
    actor_of(scene.other).end(atoms.boom)
    scene.cluster.run_until_idle()

    assert all(process.messages[1:] == [(atoms.EXIT, scene.other.pid, atoms.boom)] for process in scene.processes)


def test_monitors_that_are_taken_back_meanwhile_are_silent() -> None:
    scene = Scene(3 * SLICE)

    scene.cluster.cut(scene.a, scene.b)
    for process, ref in zip(scene.processes, scene.refs, strict=True):
        process.unlink(scene.other.pid)
        assert process.demonitor(ref)
    scene.cluster.run_until_idle()

    assert all(process.messages == [] for process in scene.processes)
    assert all(actor_of(process).relations.links == {} for process in scene.processes)


def test_process_that_ends_meanwhile_hears_nothing() -> None:
    scene = Scene(3 * SLICE)

    scene.cluster.cut(scene.a, scene.b)
    for process in scene.processes:
        actor_of(process).end(atoms.boom)
    scene.cluster.run_until_idle()

    assert scene.a.runtime.losses.under_way(scene.b.name) is None
    assert all(process.messages == [] for process in scene.processes)


def test_news_of_the_node_comes_at_once_behind_the_own_loss() -> None:
    scene = Scene(3 * SLICE)
    for process in scene.processes:
        scene.a.runtime.monitor_node(scene.b.name, process.pid)

    scene.cluster.cut(scene.a, scene.b)

    assert scene.heard == 3 * SLICE
    scene.cluster.run_until_idle()
    assert [process.messages for process in scene.processes] == [
        [*scene.lost(ref), (atoms.nodedown, scene.b.name)] for ref in scene.refs
    ]


def test_dial_that_fails_tells_all_once() -> None:
    scene = Scene(0)
    scene.cluster.partition(scene.a, scene.b)
    processes = [scene.process() for _ in range(3 * SLICE)]

    refs = [process.monitor(scene.other.pid) for process in processes]
    scene.cluster.run_until_idle()

    assert [process.messages for process in processes] == [scene.lost(ref)[:1] for ref in refs]


@pytest.mark.parametrize("by", ["the peer", "this node"])
async def test_link_comes_up_when_all_have_heard(
    make_node: Callable[..., Any], make_raw: Callable[..., RawPeer], monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """With turns of a single slice the loss takes more of them than a handshake."""
    node: Node = await make_node()
    first, again, left = make_raw(), make_raw(creation=10), list[int]()
    await first.connect(node)
    monkeypatch.setattr(scheduler, "TURN", 0.0)
    monkeypatch.setattr("pyzen.node.losses.SLICE", 1)
    crowd = [Recorder() for _ in range(300)]
    for process in crowd:
        node.runtime.spawn(process)
        process.monitor(first.pid)
    async with node.mailbox() as me:
        node.monitor_node(first.name, me.pid)

        if by == "this node":
            node.disconnect(first.name)
        await again.connect(node)

        assert await me.receive(timeout=5) == (atoms.nodedown, first.name)
        while not node.nodes():
            await asyncio.sleep(0)
        left.append(sum(first.name in actor_of(process).relations.peers for process in crowd))
    assert left == [0]
