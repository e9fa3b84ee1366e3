from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.terms import atoms
from pyzen.testing import Recorder
from pyzen.zen.dispatcher import SLICE
from pyzen.zen.names import DISPATCHER

if TYPE_CHECKING:
    from tests.zen.conftest import World


def fire(world: World, count: int, subscribers: int = 1) -> list[Recorder]:
    """Let the node be lost with so many references of each of so many subscribers."""
    recorders = [Recorder() for _ in range(subscribers)]
    pids = [world.a.spawn(recorder) for recorder in recorders]
    worker = world.worker()
    for pid in pids:
        for _ in range(count):
            world.monitor(worker, pid)
    world.wait()
    world.cluster.cut(world.a, world.b)
    world.cluster.run_until_idle()
    return recorders


def test_demand_is_met_at_once_per_tick(linked: World) -> None:
    linked.a.zen.config.demand_amount = 10
    (recorder,) = fire(linked, 25)

    seen = []
    for _ in range(4):
        linked.wait(0.1)
        seen.append(len(recorder.messages))

    assert seen == [10, 20, 25, 25]


def test_unused_demand_is_not_saved(linked: World) -> None:
    linked.a.zen.config.demand_amount = 10
    linked.wait(10)
    (recorder,) = fire(linked, 25)

    linked.wait(0.1)

    assert len(recorder.messages) == 10


def test_demand_above_a_slice_is_met_in_one_tick(linked: World) -> None:
    linked.a.zen.config.demand_amount = 2 * SLICE
    (recorder,) = fire(linked, 2 * SLICE + 1)

    linked.wait(0.1)

    assert len(recorder.messages) == 2 * SLICE


@pytest.mark.parametrize(("fair", "counts"), [(True, [5, 5]), (False, [10, 0])])
def test_fairness_is_between_subscribers(linked: World, fair: bool, counts: list[int]) -> None:
    linked.a.zen.config.demand_amount = 10
    linked.a.zen.config.fair = fair
    recorders = fire(linked, 20, subscribers=2)

    linked.wait(0.1)

    assert [len(recorder.messages) for recorder in recorders] == counts


def test_shorter_interval_counts_at_once(linked: World) -> None:
    linked.a.zen.config.demand_interval = 60_000
    (recorder,) = fire(linked, 1)
    linked.wait(1)
    assert recorder.messages == []

    linked.a.zen.config.demand_interval = 100
    linked.wait(0.001)

    assert len(recorder.messages) == 1


@pytest.mark.usefixtures("quiet")
def test_successor_delivers_what_a_crash_left(linked: World) -> None:
    linked.a.zen.config.demand_amount = 10
    (recorder,) = fire(linked, 25)
    linked.wait(0.1)

    linked.a.kill(DISPATCHER, atoms.crash)
    linked.wait(1)

    assert len(recorder.messages) == 25
    assert len({message[1] for message in recorder.messages}) == 25


def test_delivery_is_counted(linked: World) -> None:
    fire(linked, 7)

    linked.wait()

    assert linked.statistics().counters["downs_delivered"] == 7
