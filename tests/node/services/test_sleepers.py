"""The calls of ``Process.sleep`` that come due at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.node.services.sleepers import SLICE, TIDIED, Sleepers
from pyzen.terms import atoms
from pyzen.testing import Cluster

if TYPE_CHECKING:
    from pyzen.actor.waiting import Waiting


class World:
    def __init__(self) -> None:
        self.cluster = Cluster()
        self.node = self.cluster.node("a@memory")
        self.sleepers = Sleepers(self.node.runtime)
        self.woken: list[str] = []

    def sleep(self, name: str, seconds: float) -> Waiting:
        waiting = self.sleepers.sleep(seconds)
        waiting.wait(lambda: self.woken.append(name))
        return waiting


@pytest.fixture
def world() -> World:
    return World()


def test_sleepers_wake_in_time_and_in_order(world: World) -> None:
    for name, seconds in ("late", 3.0), ("soon", 1.0), ("first of two", 2.0), ("second of two", 2.0), ("now", 0.0):
        world.sleep(name, seconds)

    world.cluster.advance(0.999)
    assert world.woken == ["now"]
    world.cluster.advance(1.001)
    assert world.woken == ["now", "soon", "first of two", "second of two"]
    world.cluster.advance(1.0)
    assert world.woken[-1] == "late"
    assert world.cluster.clock.next_timer() is None


def test_many_that_are_due_at_one_moment_wake_in_slices(world: World) -> None:
    slept = [world.sleep("one", 1.0) for _ in range(3 * SLICE + 1)]
    world.cluster.clock.move_to(1.0)
    assert world.cluster.clock.fire_due()

    woken = []
    while world.sleepers.run():
        woken.append(len(world.woken))

    assert woken == [SLICE, 2 * SLICE, 3 * SLICE]
    assert all(one.is_over and one.value is atoms.ok for one in slept)


def test_a_sleeper_that_ends_before_does_not_wake(world: World) -> None:
    waiting = world.sleep("ended", 1.0)
    world.sleep("other", 1.0)

    waiting.cancel()
    waiting.cancel()
    world.cluster.advance(2.0)

    assert world.woken == ["other"]
    assert waiting.value is None


def test_nothing_is_left_of_those_that_end_before_their_time(world: World) -> None:
    slept = [world.sleep("ended", 1000.0) for _ in range(4 * TIDIED)]
    world.sleep("last", 1000.0)

    for waiting in slept:
        waiting.cancel()

    assert len(world.sleepers._rows) <= TIDIED + 1
    world.cluster.advance(1000.0)
    assert world.woken == ["last"]


def test_no_timer_is_left_when_all_have_ended(world: World) -> None:
    for waiting in [world.sleep("ended", 1000.0) for _ in range(3)]:
        waiting.cancel()

    assert world.cluster.clock.next_timer() is None
    world.sleep("next", 1.0)
    world.cluster.advance(1.0)
    assert world.woken == ["next"]
