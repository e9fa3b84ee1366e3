from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.actor.verbs import actor_of
from pyzen.terms import atoms
from pyzen.testing import Recorder
from pyzen.zen.local import SLICE, WATCH_SLICE, Local
from pyzen.zen.names import LOCAL

if TYPE_CHECKING:
    from pyzen.terms import Pid
    from tests.zen.conftest import World

pytestmark = pytest.mark.usefixtures("quiet")


def local(world: World) -> Local:
    process = world.a.process(LOCAL)
    assert isinstance(process, Local)
    return process


def subscribers(world: World, count: int) -> list[Pid]:
    return [world.a.spawn(Recorder()) for _ in range(count)]


def test_subscriber_is_watched_once(linked: World) -> None:
    for worker in linked.workers(5):
        linked.monitor(worker)

    assert len(actor_of(local(linked)).relations.monitors) == 1


def test_subscriber_without_references_is_let_go(linked: World) -> None:
    ref = linked.monitor(linked.worker())

    linked.a.zen.demonitor(ref)
    assert len(actor_of(local(linked)).relations.monitors) == 1, "it may monitor again at once"
    linked.wait()

    assert actor_of(local(linked)).relations.monitors == {}
    assert linked.statistics().subscribers == 0


def test_dead_subscriber_takes_its_references_along(linked: World) -> None:
    (pid,) = subscribers(linked, 1)
    for worker in linked.workers(3):
        linked.monitor(worker, pid)
    linked.monitor(linked.worker())

    linked.a.kill(pid)
    linked.wait()

    assert linked.statistics().references == 1


@pytest.mark.parametrize("count", [1, WATCH_SLICE, WATCH_SLICE + 1])
def test_successor_watches_every_subscriber_anew(linked: World, count: int) -> None:
    pids, worker = subscribers(linked, count), linked.worker()
    for pid in pids:
        linked.monitor(worker, pid)
    before = local(linked)

    linked.a.kill(LOCAL, atoms.crash)
    linked.wait()

    assert local(linked) is not before
    assert len(actor_of(local(linked)).relations.monitors) == count
    for pid in pids:
        linked.a.kill(pid)
    linked.wait()
    assert linked.statistics().references == 0


def test_more_than_a_slice_of_decided_work_is_carried_out(linked: World) -> None:
    worker = linked.worker()
    for _ in range(SLICE + 1):
        linked.monitor(worker)
    linked.a.zen.config.demand_amount = 2 * SLICE
    linked.wait()

    linked.cluster.cut(linked.a, linked.b)
    linked.wait()

    assert len(linked.downs()) == SLICE + 1
    assert linked.statistics().batches == 0


def test_stray_message_is_ignored(linked: World) -> None:
    before = local(linked)

    linked.a.runtime.send(linked.me, LOCAL, atoms.nonsense)
    linked.wait()

    assert local(linked) is before
    assert linked.statistics().counters["stray_messages"] == 1
