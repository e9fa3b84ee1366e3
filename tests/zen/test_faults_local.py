"""Faults of the original that our Local half must not have; each test is named after the row of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.requests import GEN_CALL, GEN_CAST
from pyzen.terms import atoms
from pyzen.testing import Recorder
from pyzen.zen.names import BATCHERS, CONNECTORS, DISPATCHER, LOCAL, LOCAL_TABLES, PROXY

if TYPE_CHECKING:
    from tests.zen.conftest import World

pytestmark = pytest.mark.usefixtures("quiet")


def test_fault_1_a_bare_local_name_fires_with_its_node(world: World) -> None:
    named = world.worker("mine", node=world.a)
    ref = world.monitor("mine")
    world.wait()

    world.a.kill(named)
    world.wait()

    assert world.a.messages(world.me)[0][1:4] == (ref, atoms.process, (atoms.mine, world.a.name))


@pytest.mark.parametrize("name", [LOCAL, LOCAL_TABLES])
def test_fault_6_a_restart_of_local_forgets_nothing(linked: World, name: Any) -> None:
    subscriber, workers = linked.a.spawn(Recorder()), linked.workers(2)
    refs = [linked.monitor(worker) for worker in workers]
    linked.monitor(workers[0], subscriber)
    linked.wait()
    linked.b.kill(workers[0])
    linked.wait(0.11)

    linked.a.kill(name)
    linked.wait()
    assert linked.downs() == [(refs[0], atoms.killed)]
    linked.b.kill(workers[1])
    linked.wait()

    assert linked.downs()[1:] == [(refs[1], atoms.killed)]


def test_fault_6_a_restarted_local_watches_the_subscribers(linked: World) -> None:
    subscriber = linked.a.spawn(Recorder())
    linked.monitor(linked.worker(), subscriber)
    linked.wait()

    linked.a.kill(LOCAL)
    linked.wait()
    linked.a.kill(subscriber)
    linked.wait()

    assert linked.statistics().references == 0


@pytest.mark.parametrize("name", [LOCAL, PROXY, DISPATCHER, CONNECTORS, BATCHERS, LOCAL_TABLES])
@pytest.mark.parametrize(
    "message",
    [
        atoms.stray,
        (GEN_CAST, atoms.stray),
        (atoms.DOWN, 1, 2, 3, 4),
        (atoms.EXIT, 7, 8),
        (atoms.dead, 1, 2),
        (),
        [],
        (GEN_CAST, (atoms.process, 1, [])),
        (GEN_CAST, (atoms.subscribe, 1)),
    ],
)
def test_fault_7_a_stray_message_is_ignored(linked: World, name: Any, message: Any) -> None:
    process = linked.a.process(name)

    linked.a.runtime.send(linked.me, name, message)
    linked.a.runtime.send(linked.me, name, (GEN_CALL, (linked.me, linked.a.runtime.make_ref()), atoms.stray))
    linked.wait()

    assert linked.a.process(name) is process
    assert linked.statistics().counters["stray_messages"] >= 1


def test_fault_17_flush_takes_back_what_is_queued_or_unread(linked: World) -> None:
    hoarder, pid = linked.hoarder()
    linked.a.zen.config.demand_amount = 1
    workers = linked.workers(2)
    refs = [linked.monitor(worker, pid) for worker in workers]
    linked.wait()
    linked.cluster.cut(linked.a, linked.b)
    linked.wait(0.11)
    assert len(hoarder.messages) == 1

    for ref in refs:
        linked.a.zen.demonitor(ref, flush=True)
    linked.wait()

    assert hoarder.read() is None


def test_fault_24_one_subscriber_does_not_delay_another(linked: World) -> None:
    linked.a.zen.config.demand_amount = 10
    other = linked.a.spawn(Recorder())
    for worker in linked.workers(200):
        linked.monitor(worker)
    single = linked.monitor(linked.worker(), other)
    linked.wait()

    linked.cluster.cut(linked.a, linked.b)
    linked.wait(0.11)

    assert linked.downs(other) == [(single, atoms.nodedown)]
    assert len(linked.downs()) == 9


def test_fault_24_without_fairness_the_order_of_firing_counts(linked: World) -> None:
    linked.a.zen.config.demand_amount = 10
    linked.a.zen.config.fair = False
    other = linked.a.spawn(Recorder())
    for worker in linked.workers(20):
        linked.monitor(worker)
    linked.monitor(linked.worker(), other)
    linked.wait()

    linked.cluster.cut(linked.a, linked.b)
    linked.wait(0.21)
    assert linked.downs(other) == []
    linked.wait(0.1)

    assert len(linked.downs(other)) == 1


def test_fault_30_a_dispatcher_crash_loses_and_delays_nothing(linked: World) -> None:
    linked.a.zen.config.demand_amount = 10
    refs = [linked.monitor(worker) for worker in linked.workers(30)]
    linked.wait(50)
    linked.cluster.cut(linked.a, linked.b)
    linked.wait(0.11)

    linked.a.kill(DISPATCHER)
    linked.wait(0.3)

    assert linked.downs() == [(ref, atoms.nodedown) for ref in refs]


@pytest.mark.parametrize("name", ["_", "$1", "$12"])
def test_fault_31_names_that_match_others_are_refused(linked: World, name: str) -> None:
    with pytest.raises(ValueError, match="can't be monitored"):
        linked.monitor((name, "b@memory"))
    with pytest.raises(ValueError, match="can't be monitored"):
        linked.monitor(name)


def test_fault_31_names_that_look_alike_are_not_refused(linked: World) -> None:
    for name in ("__", "$", "$a", "$1a", "_1"):
        linked.monitor((name, "b@memory"))
    linked.wait()

    assert [reason for _, reason in linked.downs()] == [atoms.noproc] * 5


def test_an_idle_system_has_no_timers(linked: World) -> None:
    linked.monitor(linked.worker())
    linked.wait(5)

    assert linked.cluster.clock.next_timer() is None
