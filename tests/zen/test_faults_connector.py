"""Faults of the original that our Connectors must not have; each test is named after the row of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.actor.requests import GEN_CAST
from pyzen.config import ZenConfig
from pyzen.terms import atoms
from pyzen.zen.names import DISPATCHER
from tests.zen.conftest import connector_of

if TYPE_CHECKING:
    from tests.zen.conftest import World

pytestmark = pytest.mark.usefixtures("quiet")


def test_fault_2_a_connector_crash_keeps_the_monitors(linked: World) -> None:
    dying, living = linked.worker(), linked.worker()
    refs = [linked.monitor(dying), linked.monitor(living)]
    linked.wait()
    first = connector_of(linked)

    linked.a.kill(first)
    linked.b.kill(dying)
    linked.wait()
    assert linked.downs() == [(refs[0], atoms.noproc)]
    linked.b.kill(living)
    linked.wait()

    assert linked.downs()[1:] == [(refs[1], atoms.killed)]
    assert connector_of(linked) != first


def test_fault_2_a_connector_crash_fires_names_whose_subscribe_was_sent(linked: World) -> None:
    linked.worker("sent")
    sent = linked.monitor(("sent", "b@memory"))
    linked.wait()
    linked.worker("waiting")
    waiting = linked.monitor(("waiting", "b@memory"))

    linked.a.kill(connector_of(linked))
    linked.wait()

    assert linked.downs() == [(sent, atoms.nodedown)]
    assert linked.a.zen.monitors(("waiting", "b@memory"), linked.me) == [waiting]


def test_fault_2_the_successor_subscribes_in_chunks(linked: World) -> None:
    linked.a.zen.config.connector_chunk_size = 10
    workers = linked.workers(25)
    for worker in workers:
        linked.monitor(worker)
    linked.wait()

    linked.a.kill(connector_of(linked))
    linked.wait(2)

    assert linked.chunks() == [10, 10, 6] * 2
    assert linked.b.zen.statistics().subscriptions == 25
    assert linked.b.zen.statistics().remote_connectors == 1


def test_fault_4_a_monitor_right_after_a_connector_crash_is_kept(linked: World) -> None:
    linked.monitor(linked.worker())
    linked.wait()
    worker = linked.worker()

    linked.a.kill(connector_of(linked))
    linked.a.scheduler_run()
    ref = linked.monitor(worker)
    linked.wait()
    linked.b.kill(worker)
    linked.wait()

    assert linked.downs() == [(ref, atoms.killed)]


def test_fault_5_each_epoch_has_a_connector_of_its_own(linked: World) -> None:
    linked.monitor(linked.worker())
    linked.wait()
    first = connector_of(linked)
    linked.cluster.cut(linked.a, linked.b)
    linked.wait()
    linked.cluster.connect(linked.a, linked.b)
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.wait()
    assert connector_of(linked) != first
    assert linked.b.zen.statistics().remote_connectors == 1

    linked.b.kill(worker)
    linked.wait()

    assert linked.downs()[-1] == (ref, atoms.killed)


def test_fault_7_a_stray_message_to_a_connector_is_ignored(linked: World) -> None:
    connector = connector_of(linked)

    for message in ((GEN_CAST, 1), (atoms.dead, linked.b.name, 7), (atoms.dead, linked.b.name, [1, (2, 3, 4), (5,)])):
        linked.a.runtime.send(linked.me, connector, message)
    linked.wait()

    assert connector_of(linked) == connector


def test_fault_10_a_node_is_known_when_a_link_is_up(linked: World) -> None:
    # Links of hidden nodes are links like any other: `Runtime.link` is all that is asked.
    assert linked.a.zen.cached_compatibility(linked.b.name) == "compatible"


def test_fault_11_a_node_not_yet_connected_is_dialled(world: World) -> None:
    worker = world.worker()

    ref = world.monitor(worker)
    world.wait()
    world.b.kill(worker)
    world.wait()

    assert world.downs() == [(ref, atoms.killed)]


def test_fault_11_without_auto_connect_it_is_down(world: World) -> None:
    world.a.zen.config.auto_connect = False

    ref = world.monitor(world.worker())
    world.wait()

    assert world.downs() == [(ref, atoms.nodedown)]
    assert world.cluster.dials == []


def test_fault_12_the_cause_of_nodedown_can_be_told(linked: World) -> None:
    linked.monitor(linked.worker())
    linked.wait()
    linked.cluster.partition(linked.a, linked.b)
    linked.wait()
    assert linked.a.zen.last_loss("b@memory") == "lost"
    assert linked.statistics().counters["nodedown_lost"] == 1

    linked.monitor((atoms.name, atoms["nobody@memory"]))
    linked.wait()

    assert linked.a.zen.last_loss("nobody@memory") == "never connected"
    assert linked.statistics().counters["nodedown_never_connected"] == 1


def test_fault_14_the_end_of_a_link_tears_down_once(linked: World) -> None:
    worker = linked.worker()
    linked.monitor(worker)
    linked.wait()

    linked.cluster.cut(linked.a, linked.b)
    linked.cluster.run_until_idle()
    linked.cluster.connect(linked.a, linked.b)
    after = linked.monitor(worker)
    linked.wait(5)

    assert linked.a.zen.monitors(worker, linked.me) == [after]
    assert len(linked.downs()) == 1


def test_fault_14_a_late_certificate_of_a_closed_epoch_is_ignored(linked: World) -> None:
    worker = linked.worker()
    linked.monitor(worker)
    linked.wait()
    old = connector_of(linked)
    linked.cluster.cut(linked.a, linked.b)
    linked.cluster.connect(linked.a, linked.b)
    linked.cluster.run_until_idle()
    after = linked.monitor(worker)
    linked.wait()

    linked.a.runtime.send(linked.me, old, (atoms.dead, linked.b.name, [(worker, atoms.late)]))
    linked.wait()

    assert linked.a.zen.monitors(worker, linked.me) == [after]


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 2.0), (1.0, 2.5)])
def test_fault_15_penalties_have_jitter(jitter: float, seconds: float, world: World) -> None:
    node = world.cluster.node("jitter@memory")
    node.start_zen(ZenConfig(), random=lambda: jitter)
    plain = world.cluster.node("plain@memory")
    world.cluster.connect(node, plain)
    node.zen.connect("plain@memory", lambda _: None)
    world.cluster.run_until_idle()

    world.wait(seconds - 0.01)
    assert node.zen.cached_compatibility("plain@memory") == "incompatible"
    world.cluster.clock.move_to(world.cluster.clock.now() + 0.01)

    assert node.zen.cached_compatibility("plain@memory") == ("expired", 1)


def test_fault_15_an_unreachable_node_is_dialled_with_back_off(world: World) -> None:
    for _ in range(60):
        world.monitor((atoms.name, atoms["nobody@memory"]))
        world.wait(0.5)

    # After 0, 2, 2 + 4, 2 + 4 + 8, ... seconds.
    assert len(world.cluster.dials) == 4
    assert len(world.downs()) >= 59


def test_fault_15_a_new_link_ends_the_back_off(world: World) -> None:
    world.cluster.partition(world.a, world.b)
    world.monitor(world.worker())
    world.wait()
    world.cluster.heal(world.a, world.b)

    world.cluster.connect(world.b, world.a)
    worker = world.worker()
    ref = world.monitor(worker)
    world.wait()
    world.b.kill(worker)
    world.wait()

    assert world.downs()[-1] == (ref, atoms.killed)


def test_fault_16_a_slow_ping_stalls_nothing(world: World) -> None:
    link = world.cluster.connect(world.a, world.b)
    link.freeze()
    answers: list[str] = []
    world.a.zen.connect(world.b.name, answers.append)
    ref = world.monitor(world.worker())
    own = world.monitor(world.worker(node=world.a))

    world.wait(4.9)
    assert (answers, world.downs()) == ([], [])
    assert world.a.zen.monitors(world.worker(node=world.a), world.me) == []
    world.wait(0.5)

    assert answers == ["incompatible"]
    assert world.downs() == [(ref, atoms.nodedown)]
    assert world.a.zen.last_loss(world.b.name) == "ping timeout"
    assert own is not None


def test_fault_16_a_late_answer_to_a_ping_is_ignored(world: World) -> None:
    link = world.cluster.connect(world.a, world.b)
    link.freeze()
    world.a.zen.connect(world.b.name, lambda _: None)
    world.wait(5.1)

    link.thaw()
    world.wait(0.5)

    assert world.a.zen.cached_compatibility(world.b.name) == "incompatible"


def test_fault_21_monitor_and_demonitor_in_one_sweep_send_nothing(linked: World) -> None:
    for worker in linked.workers(10):
        linked.a.zen.demonitor(linked.monitor(worker))

    linked.wait()

    assert linked.instructions() == []


def test_fault_21_demonitor_and_monitor_of_a_held_pid_send_nothing(linked: World) -> None:
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.wait()

    linked.a.zen.demonitor(ref)
    linked.monitor(worker)
    linked.wait()

    assert linked.instructions() == [("subscribe", worker)]


def test_fault_21_demonitor_and_monitor_of_a_held_name_send_both(linked: World) -> None:
    linked.worker("named")
    target = (atoms.named, linked.b.name)
    ref = linked.monitor(target)
    linked.wait()

    linked.a.zen.demonitor(ref)
    linked.monitor(target)
    linked.wait()

    assert linked.instructions() == [("subscribe", target), ("unsubscribe", target), ("subscribe", target)]


def test_fault_22_a_connector_of_a_node_long_gone_is_retired(linked: World) -> None:
    linked.monitor(linked.worker())
    linked.cluster.stop(linked.b)
    linked.wait(59)
    assert linked.statistics().connectors == 1

    linked.wait(3)

    assert linked.statistics().connectors == 0
    assert linked.a.zen.cached_compatibility("b@memory") == "miss"


def test_fault_22_a_connector_with_a_link_stays(linked: World) -> None:
    linked.wait(600)

    assert linked.a.zen.cached_compatibility(linked.b.name) == "compatible"


def test_fault_23_pending_work_is_bounded_by_live_monitors(linked: World) -> None:
    linked.cluster.link(linked.a, linked.b).set_busy(busy=True)
    worker, named = linked.worker(), (atoms.named, linked.b.name)
    kept = [linked.monitor(worker), linked.monitor(named)]

    for _ in range(500):
        linked.a.zen.demonitor(linked.monitor(worker))
        linked.a.zen.demonitor(linked.monitor(named))
        linked.wait(0.05)

    assert linked.statistics().pending <= len(kept)
    assert linked.statistics().references == len(kept)


def test_fault_27_a_certificate_lost_with_its_link_fires_nodedown(linked: World) -> None:
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.wait()
    linked.cluster.link(linked.a, linked.b).freeze()
    linked.b.kill(worker)
    linked.wait()

    linked.cluster.cut(linked.a, linked.b)
    linked.wait()

    assert linked.downs() == [(ref, atoms.nodedown)]


def test_fault_28_a_node_lost_after_a_connector_crash_fires(linked: World) -> None:
    ref = linked.monitor(linked.worker())
    linked.wait()
    linked.a.kill(connector_of(linked))
    linked.a.scheduler_run()
    assert linked.a.zen.cached_compatibility(linked.b.name) == "miss"
    linked.wait()
    assert linked.a.zen.cached_compatibility(linked.b.name) == "compatible"

    linked.cluster.stop(linked.b)
    linked.wait()

    assert linked.downs() == [(ref, atoms.nodedown)]


def test_fault_28_a_node_lost_while_the_connector_is_replaced_fires(linked: World) -> None:
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.wait()

    linked.a.kill(connector_of(linked))
    linked.cluster.stop(linked.b)
    linked.wait(2)

    assert linked.downs() == [(ref, atoms.nodedown)]


def test_fault_32_messages_from_outside_add_no_timer(linked: World) -> None:
    connector = connector_of(linked)
    linked.wait()
    for _ in range(20):
        linked.a.runtime.send(linked.me, connector, atoms.sweep)
        linked.a.runtime.send(linked.me, DISPATCHER, atoms.generate_demand)
    linked.wait()

    assert linked.cluster.clock.next_timer() is None
