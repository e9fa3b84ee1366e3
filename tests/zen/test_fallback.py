"""Fault 13: ``incompatible="erts"`` watches targets of a node without ZenMonitor by ordinary monitors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.signals import Demonitor, Monitor
from pyzen.config import ZenConfig
from pyzen.terms import Pid, atoms
from pyzen.testing import Recorder
from pyzen.zen.names import CONNECTORS, PROXY
from tests.zen.conftest import World

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor
    from pyzen.actor.signals import Signal
    from pyzen.terms import Reference

pytestmark = pytest.mark.usefixtures("quiet")

B = "b@memory"


@pytest.fixture
def plain() -> World:
    """Node ``b`` has no ZenMonitor; ``a`` knows it and falls back."""
    world = World(zen_on_b=False)
    world.a.zen.config.incompatible = "erts"
    world.cluster.connect(world.a, world.b)
    world.a.zen.connect(B, lambda _: None)
    world.cluster.run_until_idle()
    assert world.a.zen.cached_compatibility(B) == "incompatible"
    return world


def connector(world: World) -> Actor:
    pid = world.a.zen.connector_pid(B)
    assert pid is not None
    return world.a.actor(pid)


def sent(world: World, kind: type[Signal]) -> list[Any]:
    """Return the targets of all signals of a kind that ``a`` has sent over the present link, the Proxy left out."""
    way = world.cluster.link(world.a, world.b).way(world.a)
    targets = [item.to if isinstance(item.to, Pid) else item.to[0] for item in way.sent if isinstance(item, kind)]
    return [target for target in targets if target is not PROXY]


def monitored(world: World) -> list[Any]:
    return sent(world, Monitor)


def covered(world: World, count: int = 1) -> tuple[list[Pid], list[Reference]]:
    """Let ``a`` watch processes of ``b`` by ERTS monitors."""
    workers = world.workers(count)
    refs = [world.monitor(worker) for worker in workers]
    world.wait(0.2)
    assert world.statistics().erts_monitors == count
    return workers, refs


def start_zen_on_b(world: World) -> None:
    """Let ``b`` become compatible, and ``a`` find out."""
    world.b.start_zen(ZenConfig())
    world.wait(10)
    assert world.a.zen.cached_compatibility(B) == "compatible"


def assert_nothing_is_left(world: World) -> None:
    sizes = world.statistics().sizes()
    kept = ("references", "targets", "pending", "batches", "erts_monitors", "reasons")
    assert {name: sizes[name] for name in kept} == dict.fromkeys(kept, 0)
    assert len(connector(world).relations.monitors) == (world.a.zen.compatibility_for_node(B) == "compatible")


def test_fault_13_a_death_is_reported_with_its_reason(plain: World) -> None:
    workers, refs = covered(plain)

    plain.b.kill(workers[0], atoms.boom)
    plain.wait()

    assert plain.downs() == [(refs[0], atoms.boom)]
    assert_nothing_is_left(plain)


def test_flush_takes_a_down_that_an_ordinary_monitor_has_brought(plain: World) -> None:
    hoarder, pid = plain.hoarder()
    worker = plain.worker()
    ref = plain.monitor(worker, pid)
    plain.wait(0.2)
    plain.b.kill(worker)
    plain.wait()
    assert [message[1] for message in hoarder.messages] == [ref]

    plain.a.zen.demonitor(ref, flush=True)

    assert hoarder.messages == []


def test_fault_13_a_target_has_one_monitor(plain: World) -> None:
    worker, other = plain.worker(), plain.a.spawn(Recorder())
    refs = [plain.monitor(worker), plain.monitor(worker)]
    plain.wait(0.2)
    refs.append(plain.monitor(worker, other))
    plain.wait(0.2)
    assert monitored(plain) == [worker]

    plain.b.kill(worker)
    plain.wait()

    assert plain.downs() == [(ref, atoms.killed) for ref in refs[:2]]
    assert plain.downs(other) == [(refs[2], atoms.killed)]


def test_fault_13_reasons_are_truncated(plain: World) -> None:
    workers, refs = covered(plain)

    plain.b.kill(workers[0], [1, 2, 3, 4, 5])
    plain.wait()

    assert plain.downs() == [(refs[0], atoms.truncated)]


def test_fault_13_a_dead_target_fires_noproc(plain: World) -> None:
    worker = plain.worker()
    plain.b.kill(worker)

    refs = [plain.monitor(worker), plain.monitor(("nobody", B))]
    plain.wait()

    assert sorted(plain.downs()) == [(ref, atoms.noproc) for ref in refs]


def test_fault_13_a_name_fires_with_its_node(plain: World) -> None:
    plain.worker("named")
    ref = plain.monitor(("named", B))
    plain.wait(0.2)

    plain.b.kill(atoms.named)
    plain.wait()

    assert plain.a.messages(plain.me) == [
        (atoms.DOWN, ref, atoms.process, (atoms.named, plain.b.name), (atoms.zen_monitor, atoms.killed))
    ]


def test_fault_13_a_process_that_ends_with_noconnection_fires_nodedown_alone(plain: World) -> None:
    workers, refs = covered(plain, 2)

    plain.b.kill(workers[0], atoms.noconnection)
    plain.wait()

    assert plain.downs() == [(refs[0], atoms.nodedown)]
    assert plain.a.zen.monitors(workers[1], plain.me) == refs[1:]


def test_fault_13_a_sweep_makes_a_chunk_of_monitors(plain: World) -> None:
    plain.a.zen.config.connector_chunk_size = 10
    workers = plain.workers(25)
    for worker in workers:
        plain.monitor(worker)

    counts = []
    for _ in range(4):
        plain.wait(0.1)
        counts.append(len(monitored(plain)))

    assert counts == [10, 20, 25, 25]
    assert monitored(plain) == workers


def test_fault_13_a_sweep_works_in_slices(plain: World) -> None:
    workers, _ = covered(plain, 1200)

    assert monitored(plain) == workers
    assert plain.statistics().counters["erts_monitors_made"] == 1200


def test_fault_13_the_last_demonitor_takes_the_monitor_back(plain: World) -> None:
    worker = plain.worker()
    refs = [plain.monitor(worker), plain.monitor(worker)]
    plain.wait(0.2)

    plain.a.zen.demonitor(refs[0])
    plain.wait(0.2)
    assert sent(plain, Demonitor) == []
    plain.a.zen.demonitor(refs[1])
    plain.wait(0.2)

    assert sent(plain, Demonitor) == [worker]
    assert_nothing_is_left(plain)


def test_fault_13_monitors_are_taken_back_in_chunks(plain: World) -> None:
    _, refs = covered(plain, 25)
    plain.a.zen.config.connector_chunk_size = 10
    for ref in refs:
        plain.a.zen.demonitor(ref)

    counts = []
    for _ in range(4):
        plain.wait(0.1)
        counts.append(plain.statistics().erts_monitors)

    assert counts == [15, 5, 0, 0]


def test_fault_13_a_subscriber_that_dies_takes_its_monitors_along(plain: World) -> None:
    subscriber = plain.a.spawn(Recorder())
    for worker in plain.workers(5):
        plain.monitor(worker, subscriber)
    plain.wait(0.2)

    plain.a.kill(subscriber)
    plain.wait()

    assert len(sent(plain, Demonitor)) == 5
    assert_nothing_is_left(plain)


def test_fault_13_a_monitor_given_up_for_good_does_not_fire_a_newer_reference(plain: World) -> None:
    plain.worker("named")
    old = plain.monitor(("named", B))
    plain.wait(0.2)
    plain.cluster.link(plain.a, plain.b).way(plain.b).frozen = True
    plain.b.kill(atoms.named)
    plain.cluster.run_until_idle()

    plain.a.zen.demonitor(old)
    plain.worker("named")
    newer = plain.monitor(("named", B))
    plain.cluster.link(plain.a, plain.b).thaw()
    plain.wait()

    assert plain.downs() == []
    plain.b.kill(atoms.named, atoms.boom)
    plain.wait()
    assert plain.downs() == [(newer, atoms.boom)]


def test_fault_13_the_loss_of_the_node_fires_everything_once_and_in_order(plain: World) -> None:
    workers, refs = covered(plain, 1200)
    refs += [plain.monitor(workers[0]), plain.monitor(plain.worker())]

    plain.cluster.partition(plain.a, plain.b)
    plain.wait(3)

    assert plain.downs() == [(ref, atoms.nodedown) for ref in refs]
    assert plain.a.zen.last_loss(B) == "lost"
    assert plain.statistics().counters["nodedown_lost"] == len(refs)
    assert_nothing_is_left(plain)


def test_fault_13_a_death_before_the_loss_keeps_its_reason(plain: World) -> None:
    workers, refs = covered(plain, 2)

    plain.b.kill(workers[1], atoms.boom)
    plain.b.scheduler_run()
    plain.cluster.link(plain.a, plain.b).way(plain.b).flush(9)
    plain.cluster.cut(plain.a, plain.b)
    plain.wait()

    assert sorted(plain.downs()) == sorted([(refs[0], atoms.nodedown), (refs[1], atoms.boom)])


def test_fault_13_a_reference_made_over_the_next_link_stands(plain: World) -> None:
    workers, refs = covered(plain, 2)
    plain.cluster.cut(plain.a, plain.b)
    plain.cluster.connect(plain.a, plain.b)
    plain.cluster.run_until_idle()

    after = plain.monitor(workers[0])
    plain.wait(5)

    assert plain.downs() == [(ref, atoms.nodedown) for ref in refs]
    assert plain.a.zen.monitors(workers[0], plain.me) == [after]
    assert plain.statistics().erts_monitors == len(connector(plain).relations.monitors) == 1


def test_fault_13_a_sweep_before_the_news_of_the_loss_uses_no_other_link(plain: World) -> None:
    workers, refs = covered(plain)
    refs.append(plain.monitor(plain.worker()))
    due = plain.cluster.clock.next_timer()
    assert due is not None
    plain.cluster.clock.move_to(due)
    plain.cluster.clock.fire_due()

    plain.cluster.cut(plain.a, plain.b)
    plain.cluster.connect(plain.a, plain.b)
    plain.wait()

    assert plain.downs() == [(ref, atoms.nodedown) for ref in refs]
    assert monitored(plain) == []
    assert_nothing_is_left(plain)
    assert workers


def test_fault_13_a_ping_before_the_news_of_the_loss_waits_for_it(plain: World) -> None:
    _, refs = covered(plain, 50)
    plain.wait(1.7)
    assert plain.a.zen.cached_compatibility(B) == "incompatible"
    due = plain.cluster.clock.next_timer()
    assert due is not None
    plain.cluster.clock.move_to(due)
    assert plain.a.zen.cached_compatibility(B) == ("expired", 1)
    plain.cluster.clock.fire_due()

    plain.cluster.cut(plain.a, plain.b)
    plain.cluster.connect(plain.a, plain.b)
    plain.wait()

    assert plain.downs() == [(ref, atoms.nodedown) for ref in refs]
    assert_nothing_is_left(plain)


def test_fault_13_a_monitor_to_be_taken_back_is_no_reason_to_dial(plain: World) -> None:
    _, refs = covered(plain)
    plain.a.zen.demonitor(refs[0])

    plain.cluster.cut(plain.a, plain.b)
    plain.wait()

    assert plain.cluster.dials == []
    assert_nothing_is_left(plain)


def test_fault_13_a_node_that_is_not_connected_is_down(plain: World) -> None:
    plain.cluster.partition(plain.a, plain.b)
    plain.wait()

    ref = plain.monitor(plain.worker())
    plain.wait()

    assert plain.downs() == [(ref, atoms.nodedown)]


def test_fault_13_new_references_join_after_the_node_turned_compatible(plain: World) -> None:
    workers, refs = covered(plain)
    start_zen_on_b(plain)
    plain.cluster.run_until_idle()

    refs.append(plain.monitor(workers[0]))
    other = plain.worker()
    plain.monitor(other)
    plain.wait()
    assert plain.instructions() == [("subscribe", other)]
    plain.b.kill(workers[0], atoms.boom)
    plain.wait()

    assert plain.downs() == [(ref, atoms.boom) for ref in refs]


def test_fault_13_a_monitor_is_taken_back_from_a_compatible_node(plain: World) -> None:
    workers, refs = covered(plain)
    start_zen_on_b(plain)

    plain.a.zen.demonitor(refs[0])
    plain.wait(0.2)

    assert workers[0] in sent(plain, Demonitor)
    assert_nothing_is_left(plain)
    ref = plain.monitor(workers[0])
    plain.wait()
    assert plain.instructions() == [("subscribe", workers[0])]
    assert plain.a.zen.monitors(workers[0], plain.me) == [ref]


def test_fault_13_the_end_of_an_epoch_fires_what_monitors_stand_for(plain: World) -> None:
    _, refs = covered(plain, 1200)
    start_zen_on_b(plain)
    before = connector(plain)

    plain.b.kill(PROXY)
    plain.wait()

    assert plain.downs() == [(ref, atoms.nodedown) for ref in refs]
    assert before.ended
    assert len([target for target in sent(plain, Demonitor) if target is not PROXY]) == 1200


def test_fault_13_a_closed_connector_leaves_its_successor_alone(plain: World) -> None:
    workers, refs = covered(plain, 1200)
    start_zen_on_b(plain)
    before = connector(plain).pid
    for ref in refs[1000:]:
        plain.a.zen.demonitor(ref)

    plain.b.kill(PROXY)
    plain.b.scheduler_run()
    plain.cluster.link(plain.a, plain.b).way(plain.b).flush(9)
    plain.a.scheduler_run()
    assert plain.a.runtime.process(before) is not None
    ref = plain.monitor(workers[0])
    plain.cluster.cut(plain.a, plain.b)
    plain.cluster.connect(plain.a, plain.b)
    plain.wait(10)

    assert plain.a.runtime.process(before) is None
    assert plain.a.zen.monitors(workers[0], plain.me) == [ref]
    assert plain.instructions() == [("subscribe", workers[0])]
    assert len(plain.downs()) == 1000


def test_fault_13_a_certificate_takes_the_monitor_back(plain: World) -> None:
    workers, refs = covered(plain)
    start_zen_on_b(plain)

    plain.say(connector(plain).pid, (atoms.dead, plain.b.name, [(workers[0], atoms.boom)]))
    plain.wait()

    assert plain.downs() == [(refs[0], atoms.boom)]
    assert_nothing_is_left(plain)


@pytest.mark.parametrize("registry", [False, True])
def test_fault_13_a_connector_crash_keeps_the_monitors(plain: World, registry: bool) -> None:
    (dying, living), refs = covered(plain, 2)
    plain.worker("named")
    named = plain.monitor(("named", B))
    plain.wait(0.2)

    plain.a.kill(CONNECTORS if registry else connector(plain).pid)
    plain.b.kill(dying)
    plain.wait()
    # The name may belong to another process by now.
    assert sorted(plain.downs()) == sorted([(named, atoms.nodedown), (refs[0], atoms.noproc)])
    assert plain.statistics().erts_monitors == len(connector(plain).relations.monitors) == 1
    plain.b.kill(living)
    plain.wait()

    assert plain.downs()[2:] == [(refs[1], atoms.killed)]
    assert_nothing_is_left(plain)


def test_fault_13_a_node_that_turned_compatible_gets_the_monitors_of_a_connector_that_crashed(plain: World) -> None:
    workers, _ = covered(plain, 2)
    plain.b.start_zen(ZenConfig())

    plain.a.kill(connector(plain).pid)
    plain.wait()

    assert plain.instructions() == [("subscribe", worker) for worker in workers]
    assert plain.statistics().erts_monitors == 0


def test_fault_13_switched_off_it_leaves_standing_monitors_alone(plain: World) -> None:
    workers, refs = covered(plain)

    plain.a.zen.config.incompatible = "nodedown"
    fired = [plain.monitor(plain.worker()), plain.monitor(plain.worker())]
    joined = plain.monitor(workers[0])
    plain.wait()
    assert plain.downs() == [(ref, atoms.nodedown) for ref in fired]
    plain.b.kill(workers[0], atoms.boom)
    plain.wait()

    assert plain.downs()[2:] == [(ref, atoms.boom) for ref in [*refs, joined]]
    assert_nothing_is_left(plain)


def test_fault_13_switched_off_it_still_takes_monitors_back(plain: World) -> None:
    _, refs = covered(plain)

    plain.a.zen.config.incompatible = "nodedown"
    plain.a.zen.demonitor(refs[0])
    plain.wait()

    assert_nothing_is_left(plain)


def test_fault_13_switched_on_it_counts_from_the_next_sweep(plain: World) -> None:
    plain.a.zen.config.incompatible = "nodedown"
    worker = plain.worker()
    first = plain.monitor(worker)
    plain.wait(0.2)

    plain.a.zen.config.incompatible = "erts"
    second = plain.monitor(worker)
    plain.wait()

    assert plain.downs() == [(first, atoms.nodedown)]
    assert plain.a.zen.monitors(worker, plain.me) == [second]


def test_fault_13_a_full_link_gets_no_monitors(plain: World) -> None:
    link = plain.cluster.link(plain.a, plain.b)
    link.set_busy(busy=True)
    worker = plain.worker()
    plain.monitor(worker)
    plain.wait()
    assert (monitored(plain), plain.downs()) == ([], [])

    link.set_busy(busy=False)
    plain.wait(0.2)

    assert monitored(plain) == [worker]


def test_fault_13_standing_monitors_need_no_timer_but_the_next_ping(plain: World) -> None:
    covered(plain)
    plain.wait(200)  # the penalty is a minute by now

    due = plain.cluster.clock.next_timer()

    assert due is not None
    plain.cluster.advance(due - plain.cluster.clock.now() + 1)
    due = plain.cluster.clock.next_timer()
    assert due is not None
    assert due - plain.cluster.clock.now() > 30


def test_fault_13_a_foreign_down_fires_nothing(plain: World) -> None:
    workers, refs = covered(plain)
    forged = plain.a.runtime.make_ref()

    for reason in (atoms.boom, atoms.noconnection):
        message = (atoms.DOWN, forged, atoms.process, workers[0], reason)
        plain.a.runtime.send(plain.me, connector(plain).pid, message)
    plain.wait()

    assert plain.downs() == []
    assert plain.a.zen.monitors(workers[0], plain.me) == refs


def test_fault_13_a_connector_started_by_a_spare_monitor_is_kept(plain: World) -> None:
    subscriber = plain.a.spawn(Recorder())
    plain.monitor(plain.worker(), subscriber)
    plain.wait(0.2)

    plain.a.kill(CONNECTORS)
    plain.a.kill(subscriber)
    plain.cluster.run_until_idle()
    worker = plain.worker()
    ref = plain.monitor(worker)
    plain.wait()
    plain.b.kill(worker)
    plain.wait()

    assert plain.downs() == [(ref, atoms.killed)]
