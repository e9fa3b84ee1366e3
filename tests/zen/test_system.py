"""What programs see of ZenMonitor between two nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.metrics import Registry
from pyzen.terms import Atom, Pid, atoms
from pyzen.testing import Hoarder, Recorder
from pyzen.zen.names import PROXY

if TYPE_CHECKING:
    from tests.zen.conftest import World


def test_monitor_delivers_the_reason_wrapped(linked: World) -> None:
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.wait()

    linked.b.kill(worker, atoms.boom)
    linked.wait()

    expected = (atoms.DOWN, ref, atoms.process, worker, (atoms.zen_monitor, atoms.boom))
    assert linked.a.messages(linked.me) == [expected]


def test_monitor_fires_once_per_reference(linked: World) -> None:
    worker = linked.worker()
    refs = [linked.monitor(worker) for _ in range(3)]
    linked.wait()

    linked.b.kill(worker)
    linked.wait(10)

    assert linked.downs() == [(ref, atoms.killed) for ref in refs]


def test_monitor_of_many_processes_fires_in_the_order_of_death(linked: World) -> None:
    workers = linked.workers(200)
    refs = {worker: linked.monitor(worker) for worker in workers}
    linked.wait()

    for worker in reversed(workers):
        linked.b.kill(worker)
    linked.wait()

    assert linked.downs() == [(refs[worker], atoms.killed) for worker in reversed(workers)]


def test_monitor_of_a_dead_process_fires_noproc(linked: World) -> None:
    worker = linked.worker()
    linked.b.kill(worker)
    linked.wait()

    ref = linked.monitor(worker)
    linked.wait()

    assert linked.downs() == [(ref, atoms.noproc)]


def test_monitor_of_dead_and_living_processes_fires_for_the_dead_only(linked: World) -> None:
    dead, living = linked.worker(), linked.worker()
    linked.b.kill(dead)
    linked.wait()

    ref, other = linked.monitor(dead), linked.monitor(living)
    linked.wait()

    assert linked.downs() == [(ref, atoms.noproc)]
    assert linked.a.zen.monitors(living, linked.me) == [other]


def test_monitor_by_name_fires_with_name_and_node(linked: World) -> None:
    worker = linked.worker("named")
    linked.monitor(("named", "b@memory"))
    linked.wait()

    linked.b.kill(worker)
    linked.wait()

    assert linked.a.messages(linked.me)[0][3:] == (
        (atoms.named, linked.b.name),
        (atoms.zen_monitor, atoms.killed),
    )


def test_monitor_by_name_and_by_pid_both_fire(linked: World) -> None:
    worker = linked.worker("named")
    refs = {linked.monitor(worker), linked.monitor((atoms.named, linked.b.name))}
    linked.wait()

    linked.b.kill(worker)
    linked.wait()

    assert {ref for ref, _ in linked.downs()} == refs


def test_monitor_by_several_subscribers_fires_for_each(linked: World) -> None:
    worker, others = linked.worker(), [linked.a.spawn(Recorder()) for _ in range(5)]
    refs = {other: linked.monitor(worker, other) for other in others}
    linked.wait()
    assert linked.instructions() == [("subscribe", worker)]

    linked.b.kill(worker)
    linked.wait()

    assert all(linked.downs(other) == [(refs[other], atoms.killed)] for other in others)


def test_monitor_of_the_own_node_works_without_a_link(world: World) -> None:
    worker, named = world.worker(node=world.a), world.worker("mine", node=world.a)
    refs = [world.monitor(worker), world.monitor("mine")]
    world.wait()

    world.a.kill(worker)
    world.wait()
    world.a.kill(named)
    world.wait()

    assert world.downs() == [(ref, atoms.killed) for ref in refs]
    assert world.cluster.dials == []


def test_monitor_takes_the_running_process_as_subscriber(linked: World) -> None:
    worker = linked.worker()

    class Watcher(Recorder):
        def init(self, *_args: Any) -> None:
            self.ref = linked.a.zen.monitor(worker)

    watcher = Watcher()
    pid = linked.a.spawn(watcher)
    linked.wait()

    linked.b.kill(worker)
    linked.wait()

    assert linked.downs(pid) == [(watcher.ref, atoms.killed)]


def test_monitor_without_a_running_process_raises(world: World) -> None:
    with pytest.raises(RuntimeError, match="give a subscriber"):
        world.a.zen.monitor(world.worker())


def test_monitor_for_a_subscriber_elsewhere_raises(world: World) -> None:
    with pytest.raises(ValueError, match="a subscriber is a process of a@memory"):
        world.a.zen.monitor(world.worker(), subscriber=world.worker())


@pytest.mark.parametrize("target", [None, 7, True, ("a", "b", "c"), (None, "b@memory"), ["x"], b"x"])
def test_monitor_of_anything_else_raises(world: World, target: Any) -> None:
    with pytest.raises(TypeError, match="can be monitored"):
        world.monitor(target)
    assert world.statistics().references == 0


def test_monitor_for_a_dead_subscriber_keeps_nothing(linked: World) -> None:
    subscriber = linked.a.spawn(Recorder())
    linked.a.kill(subscriber)
    linked.wait()

    linked.monitor(linked.worker(), subscriber)

    assert linked.statistics().references == 0
    linked.wait()
    assert linked.instructions() == []


def test_demonitor_keeps_the_down_away(linked: World) -> None:
    worker = linked.worker()
    ref, second = linked.monitor(worker), linked.monitor(worker)
    linked.wait()

    assert linked.a.zen.demonitor(ref)
    linked.b.kill(worker)
    linked.wait()

    assert linked.downs() == [(second, atoms.killed)]


def test_demonitor_of_the_last_unsubscribes(linked: World) -> None:
    worker = linked.worker()
    refs = [linked.monitor(worker) for _ in range(2)]
    linked.wait()

    linked.a.zen.demonitor(refs[0])
    linked.wait()
    assert linked.instructions() == [("subscribe", worker)]
    linked.a.zen.demonitor(refs[1])
    linked.wait()

    assert linked.instructions() == [("subscribe", worker), ("unsubscribe", worker)]
    assert linked.b.zen.statistics().watches == 0


def test_demonitor_of_an_unknown_reference_does_nothing(linked: World) -> None:
    ref = linked.a.runtime.make_ref()

    assert linked.a.zen.demonitor(ref, flush=True)
    linked.wait()

    assert linked.instructions() == []


def test_demonitor_leaves_a_delivered_down_unless_flushed(linked: World) -> None:
    hoarder, pid = linked.hoarder()
    worker = linked.worker()
    ref = linked.monitor(worker, pid)
    linked.wait()
    linked.b.kill(worker)
    linked.wait()

    linked.a.zen.demonitor(ref)
    assert len(hoarder.messages) == 1
    linked.a.zen.demonitor(ref, flush=True)

    assert hoarder.messages == []


def test_demonitor_with_flush_takes_an_ordinary_down_as_the_original_does(linked: World) -> None:
    hoarder, _pid = linked.hoarder()
    worker, other = linked.worker(node=linked.a), linked.worker(node=linked.a)
    ref, kept = hoarder.monitor(worker), hoarder.monitor(other)
    linked.a.kill(worker)
    linked.a.kill(other)
    linked.wait()

    linked.a.zen.demonitor(kept)
    linked.a.zen.demonitor(ref, flush=True)

    assert [message[1] for message in hoarder.messages] == [kept]


def test_demonitor_with_flush_leaves_an_ordinary_monitor_standing(linked: World) -> None:
    hoarder, _pid = linked.hoarder()
    worker = linked.worker(node=linked.a)
    ref = hoarder.monitor(worker)

    linked.a.zen.demonitor(ref, flush=True)
    linked.a.kill(worker)
    linked.wait()

    assert [message[1] for message in hoarder.messages] == [ref]


def test_subscriber_death_unsubscribes(linked: World) -> None:
    subscriber, worker = linked.a.spawn(Recorder()), linked.worker()
    linked.monitor(worker, subscriber)
    linked.wait()

    linked.a.kill(subscriber)
    linked.wait()

    assert linked.instructions()[-1] == ("unsubscribe", worker)
    assert linked.statistics().references == 0


def test_node_death_fires_nodedown_for_all(linked: World) -> None:
    refs = [linked.monitor(worker) for worker in linked.workers(50)]
    linked.wait()

    linked.cluster.stop(linked.b)
    linked.wait()

    assert linked.downs() == [(ref, atoms.nodedown) for ref in refs]
    assert linked.a.zen.last_loss("b@memory") == "lost"
    assert linked.a.zen.cached_compatibility("b@memory") == "unavailable"


def test_reconnect_makes_the_node_compatible_again_by_itself(linked: World) -> None:
    linked.cluster.cut(linked.a, linked.b)
    linked.wait()

    linked.cluster.connect(linked.a, linked.b)
    linked.wait()

    assert linked.a.zen.cached_compatibility(linked.b.name) == "compatible"


def test_monitors_after_a_reconnect_work(linked: World) -> None:
    worker = linked.worker()
    before = linked.monitor(worker)
    linked.wait()
    linked.cluster.cut(linked.a, linked.b)
    linked.cluster.run_until_idle()
    linked.cluster.connect(linked.a, linked.b)
    after = linked.monitor(worker)
    linked.wait()

    linked.b.kill(worker)
    linked.wait()

    assert linked.downs() == [(before, atoms.nodedown), (after, atoms.killed)]


def test_a_proxy_that_ends_fires_nodedown(linked: World, quiet: None) -> None:
    ref = linked.monitor(linked.worker())
    linked.wait()

    linked.b.kill(PROXY)
    linked.wait()

    assert linked.downs() == [(ref, atoms.nodedown)]
    assert linked.a.zen.last_loss(linked.b.name) == "proxy ended"
    assert linked.a.zen.cached_compatibility(linked.b.name) == "incompatible"


def test_a_node_whose_proxy_came_back_turns_compatible_by_itself(linked: World, quiet: None) -> None:
    linked.monitor(linked.worker())
    linked.wait()
    linked.b.kill(PROXY)

    linked.wait(1.9)
    assert linked.a.zen.cached_compatibility(linked.b.name) == "incompatible"
    linked.wait(0.4)

    assert linked.a.zen.cached_compatibility(linked.b.name) == "compatible"


def test_a_node_without_zen_monitor_is_incompatible(world: World) -> None:
    plain = world.cluster.node("plain@memory")
    worker = plain.spawn(Recorder())

    ref = world.monitor(worker)
    world.wait()

    assert world.downs() == [(ref, atoms.nodedown)]
    assert world.a.zen.last_loss("plain@memory") == "no proxy"
    assert world.a.zen.cached_compatibility("plain@memory") == "incompatible"


def test_compatibility_is_asked_of_the_cache_only(world: World) -> None:
    target = world.worker()

    assert world.a.zen.cached_compatibility(world.b.name) == "miss"
    assert world.a.zen.compatibility(target) == "incompatible"
    world.wait()

    assert world.cluster.dials == []


def test_compatibility_of_targets(linked: World) -> None:
    zen = linked.a.zen

    assert zen.compatibility(linked.worker()) == "compatible"
    assert zen.compatibility(("name", "b@memory")) == "compatible"
    assert zen.compatibility("name") == "incompatible"  # nobody asked the own Proxy yet
    assert zen.compatibility((atoms.name, atoms["c@memory"])) == "incompatible"


def test_connect_dials_and_answers(world: World) -> None:
    answers: list[str] = []

    world.a.zen.connect("b@memory", answers.append)
    world.wait()
    world.a.zen.connect("b@memory", answers.append)

    assert answers == ["compatible", "compatible"]


def test_connect_to_nobody_answers_incompatible(world: World) -> None:
    answers: list[str] = []

    world.a.zen.connect("nobody@memory", answers.append)
    world.wait()

    assert answers == ["incompatible"]
    assert world.a.zen.cached_compatibility("nobody@memory") == "unavailable"
    assert world.a.zen.last_loss("nobody@memory") == "never connected"


def test_connect_by_many_callers_pings_once(world: World) -> None:
    world.cluster.connect(world.a, world.b)
    answers: list[str] = []

    for _ in range(100):
        world.a.zen.connect("b@memory", answers.append)
    world.wait()

    messages = world.cluster.link(world.a, world.b).way(world.a).messages
    pings = [message for message in messages if message[0] is atoms["$gen_call"]]
    assert (len(answers), len(pings)) == (100, 1)


def test_monitors_lists_live_references_only(linked: World) -> None:
    worker, other = linked.worker(), linked.a.spawn(Recorder())
    refs = [linked.monitor(worker), linked.monitor(worker)]
    linked.monitor(worker, other)
    linked.a.zen.demonitor(refs[0])

    assert linked.a.zen.monitors(worker, linked.me) == [refs[1]]
    linked.cluster.cut(linked.a, linked.b)
    linked.cluster.run_until_idle()
    assert linked.a.zen.monitors(worker, linked.me) == []


def test_instructions_are_sent_in_chunks(linked: World) -> None:
    linked.a.zen.config.connector_chunk_size = 10
    for worker in linked.workers(25):
        linked.monitor(worker)

    linked.wait()

    assert linked.chunks() == [10, 10, 6]
    assert linked.b.zen.statistics().subscriptions == 25


def test_delivery_keeps_to_demand(linked: World) -> None:
    linked.a.zen.config.demand_amount = 10
    workers = linked.workers(35)
    for worker in workers:
        linked.monitor(worker)
    linked.wait()
    linked.cluster.cut(linked.a, linked.b)

    counts = []
    for _ in range(5):
        linked.wait(0.1)
        counts.append(len(linked.downs()))

    assert counts == [10, 20, 30, 35, 35]


def test_delivery_of_a_large_demand_takes_one_tick(linked: World) -> None:
    linked.a.zen.config.demand_amount = 3000
    for worker in linked.workers(2500):
        linked.monitor(worker)
    linked.wait()

    linked.cluster.cut(linked.a, linked.b)
    linked.wait(0.11)

    assert len(linked.downs()) == 2500


def test_setting_a_shorter_interval_counts_at_once(linked: World) -> None:
    linked.a.zen.config.demand_interval = 60_000
    linked.monitor(linked.worker())
    linked.cluster.cut(linked.a, linked.b)
    linked.wait()
    assert linked.downs() == []

    linked.a.zen.config.demand_interval = 10
    linked.cluster.run_until_idle()

    assert len(linked.downs()) == 1


def test_statistics_are_zero_when_nothing_is_left(linked: World) -> None:
    workers = [*linked.workers(20), linked.worker("named")]
    targets = [*workers[:-1], (atoms.named, linked.b.name)]
    refs = [linked.monitor(target) for target in targets * 3]
    linked.wait()
    for ref in refs[:10]:
        linked.a.zen.demonitor(ref)
    for worker in workers:
        linked.b.kill(worker)
    linked.wait()
    linked.cluster.cut(linked.a, linked.b)
    linked.wait(120)

    assert set(linked.statistics().sizes().values()) == {0}
    assert set(linked.b.zen.statistics().sizes().values()) == {0}
    assert len(linked.a.runtime.processes()) == len(linked.b.runtime.processes()) + 1


def test_statistics_are_read_by_metrics(linked: World) -> None:
    registry = Registry()
    linked.a.zen.register_metrics(registry)
    linked.monitor(linked.worker())

    text = registry.text()

    assert 'pyzen_zen_size{table="live"} 1\n' in text


def test_a_frozen_link_loses_nothing(linked: World) -> None:
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.cluster.link(linked.a, linked.b).freeze()
    linked.wait(2)
    linked.b.kill(worker)
    linked.wait(2)

    linked.cluster.link(linked.a, linked.b).thaw()
    linked.wait()

    assert linked.downs() == [(ref, atoms.noproc)]


def test_a_busy_link_skips_the_sweep(linked: World) -> None:
    linked.cluster.link(linked.a, linked.b).set_busy(busy=True)
    worker = linked.worker()
    linked.monitor(worker)
    linked.wait()
    assert linked.instructions() == []

    linked.cluster.link(linked.a, linked.b).set_busy(busy=False)
    linked.wait()

    assert linked.instructions() == [("subscribe", worker)]


def test_atoms_and_strings_name_the_same_target(linked: World) -> None:
    linked.worker("named")
    linked.monitor(("named", "b@memory"))
    linked.monitor((Atom("named"), linked.b.name))

    assert len(linked.a.zen.monitors(("named", "b@memory"), linked.me)) == 2
    assert linked.statistics().targets == 1


def test_flush_of_a_foreign_reference_is_harmless(linked: World) -> None:
    ref = linked.b.runtime.make_ref()

    assert linked.a.zen.demonitor(ref, flush=True)


def test_a_target_of_an_older_node_fires_noproc(linked: World) -> None:
    old = Pid(linked.b.name, 5, 0, linked.b.runtime.creation - 1)

    ref = linked.monitor(old)
    linked.wait()

    assert linked.downs() == [(ref, atoms.noproc)]


def test_hoarded_downs_stay_in_the_order_of_death(linked: World) -> None:
    hoarder, pid = linked.hoarder()
    workers = linked.workers(3)
    refs = [linked.monitor(worker, pid) for worker in workers]
    linked.wait()
    for worker in workers:
        linked.b.kill(worker)
    linked.wait()

    assert isinstance(hoarder, Hoarder)
    assert [hoarder.read()[1] for _ in workers] == refs
