"""What has ended on both sides leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.config import ZenConfig
from pyzen.terms import atoms
from pyzen.testing import Recorder
from pyzen.zen.names import PROXY
from tests.zen.conftest import connector_of

if TYPE_CHECKING:
    from pyzen.testing import MemoryNode
    from tests.zen.conftest import World

pytestmark = pytest.mark.usefixtures("quiet")


def busy_day(node: MemoryNode, other: MemoryNode, world: World) -> None:
    """Let processes of ``node`` monitor those of ``other``, and each kind of end happen."""
    subscribers = [node.spawn(Recorder()) for _ in range(2)]
    workers = [other.spawn(Recorder()) for _ in range(10)]
    other.spawn(Recorder(), name="named")
    targets: list[Any] = [*workers, (atoms.named, other.name), (atoms.nobody, other.name)]
    refs = [node.zen.monitor(target, subscriber=one) for target in targets for one in subscribers]
    world.wait(0.3)
    for ref in refs[:6]:
        node.zen.demonitor(ref, flush=True)
    for worker in workers[2:5]:
        other.kill(worker)
    node.kill(subscribers[1])
    world.wait(0.3)
    node.kill(subscribers[0])
    for worker in workers[:2] + workers[5:]:
        other.kill(worker)
    other.kill(atoms.named)


@pytest.mark.parametrize("end", ["cut", "stop", "proxy"])
def test_sizes_of_both_sides_return_to_zero(world: World, end: str) -> None:
    c = world.cluster.node("c@memory")  # without ZenMonitor
    world.a.zen.config.incompatible = "erts"
    world.cluster.connect(world.a, c)
    before = [len(node.runtime.processes()) for node in (world.a, world.b, c)]

    for node, other in ((world.a, world.b), (world.b, world.a), (world.a, c)):
        busy_day(node, other, world)
    if end == "stop":
        world.a.zen.stop()
        world.a.zen.start()
    elif end == "proxy":
        world.b.kill(PROXY)
        world.wait()
    for other in (world.b, c):
        world.cluster.partition(world.a, other)
    world.wait(200)

    for node in (world.a, world.b):
        assert set(node.zen.statistics().sizes().values()) == {0}
    assert [len(node.runtime.processes()) for node in (world.a, world.b, c)] == before


def test_a_node_that_came_and_went_leaves_nothing(world: World) -> None:
    for number in range(20):
        passing = world.cluster.node(f"n{number}@memory", zen=ZenConfig())
        busy_day(world.a, passing, world)
        world.cluster.stop(passing)
    world.wait(200)

    assert set(world.statistics().sizes().values()) == {0}
    assert world.a.runtime.related() == []


def test_sizes_return_to_zero_while_the_link_stays(linked: World) -> None:
    linked.a.kill(connector_of(linked))  # its rows go, too
    for node, other in ((linked.a, linked.b), (linked.b, linked.a)):
        busy_day(node, other, linked)
        linked.a.kill(connector_of(linked))
    linked.wait(200)

    for node in (linked.a, linked.b):
        sizes = node.zen.statistics().sizes()
        assert sizes.pop("remote_connectors") == sizes.pop("batchers") <= 1
        assert sizes.pop("connectors") <= 2
        assert set(sizes.values()) == {0}
