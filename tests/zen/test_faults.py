"""Faults of the original that ours must not have; each test is named after the row of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.process import GEN_CALL, GEN_CAST
from pyzen.config import ZenConfig
from pyzen.terms import ImproperList, Pid, atoms
from pyzen.testing import Recorder
from pyzen.zen.batcher import Batchers
from pyzen.zen.connectors import Connectors
from pyzen.zen.names import BATCHERS, CONNECTORS, DISPATCHER, LOCAL, LOCAL_TABLES, PROXY

if TYPE_CHECKING:
    from tests.zen.conftest import World

pytestmark = pytest.mark.usefixtures("quiet")


class Peer:
    """A Connector as Elixir has it, on node ``b``: one pid for all epochs, subscribed to processes of ``a``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.recorder = Recorder()
        self.pid = world.b.spawn(self.recorder)

    def send(self, *instructions: Any) -> None:
        request = (atoms.process, self.pid, list(instructions))
        self.recorder.send((PROXY, self.world.a.name), (GEN_CAST, request))

    def subscribe(self, *targets: Any) -> None:
        self.send(*((atoms.subscribe, target) for target in targets))

    def unsubscribe(self, *targets: Any) -> None:
        self.send(*((atoms.unsubscribe, target) for target in targets))

    def certificates(self) -> list[Any]:
        found = []
        for message in self.recorder.messages:
            assert message[:2] == (atoms.dead, self.world.a.name)
            found += message[2]
        return found


def connector_of(world: World) -> Pid:
    registry = world.a.process(CONNECTORS)
    assert isinstance(registry, Connectors)
    pid = registry.lookup(world.b.name)
    assert pid is not None
    return pid


def batcher_of(world: World, peer: Peer) -> Pid:
    registry = world.a.process(BATCHERS)
    assert isinstance(registry, Batchers)
    pid = registry.lookup(peer.pid)
    assert pid is not None
    return pid


def test_fault_1_a_bare_local_name_fires_with_its_node(world: World) -> None:
    named = world.worker("mine", node=world.a)
    ref = world.monitor("mine")
    world.wait()

    world.a.kill(named)
    world.wait()

    assert world.a.messages(world.me)[0][1:4] == (ref, atoms.process, (atoms.mine, world.a.name))


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


def test_fault_3_a_batcher_crash_keeps_the_certificates(linked: World) -> None:
    peer, worker = Peer(linked), linked.worker(node=linked.a)
    peer.subscribe(worker)
    linked.wait()
    linked.a.kill(worker)
    linked.cluster.run_until_idle()

    linked.a.kill(batcher_of(linked, peer))
    linked.wait()

    assert peer.certificates() == [(worker, atoms.killed)]


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


def test_fault_4_a_subscribe_right_after_a_batcher_crash_is_kept(linked: World) -> None:
    peer, worker, other = Peer(linked), linked.worker(node=linked.a), linked.worker(node=linked.a)
    peer.subscribe(other)
    linked.wait()

    linked.a.kill(batcher_of(linked, peer))
    peer.subscribe(worker)
    linked.cluster.run_until_idle()
    linked.a.kill(worker)
    linked.wait()

    assert peer.certificates() == [(worker, atoms.killed)]


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


@pytest.mark.parametrize("pause", [False, True])
def test_fault_5_a_connector_that_keeps_its_pid_can_subscribe_after_a_reconnect(linked: World, pause: bool) -> None:
    peer, worker = Peer(linked), linked.worker(node=linked.a)
    peer.subscribe(worker)
    linked.wait()

    linked.cluster.cut(linked.a, linked.b)
    if pause:
        linked.wait()
    linked.cluster.connect(linked.a, linked.b)
    peer.subscribe(worker)
    linked.wait()
    linked.a.kill(worker)
    linked.wait()

    assert peer.certificates() == [(worker, atoms.killed)]


def test_fault_5_certificates_of_the_last_link_are_dropped(linked: World) -> None:
    peer = Peer(linked)
    linked.worker("name", node=linked.a)
    target = (atoms.name, linked.a.name)
    peer.subscribe(target)
    linked.wait()

    linked.a.kill(atoms.name)
    linked.cluster.cut(linked.a, linked.b)
    linked.cluster.connect(linked.a, linked.b)
    linked.worker("renamed", node=linked.a)
    linked.wait()

    assert peer.certificates() == []


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


def test_fault_7_a_stray_message_to_a_connector_is_ignored(linked: World) -> None:
    connector = connector_of(linked)

    for message in ((GEN_CAST, 1), (atoms.dead, linked.b.name, 7), (atoms.dead, linked.b.name, [1, (2, 3, 4), (5,)])):
        linked.a.runtime.send(linked.me, connector, message)
    linked.wait()

    assert connector_of(linked) == connector


def test_fault_8_an_unknown_instruction_is_skipped(linked: World) -> None:
    peer, worker = Peer(linked), linked.worker(node=linked.a)

    peer.send((atoms.what, worker), 7, (atoms.subscribe,), (atoms.subscribe, worker))
    linked.wait()
    linked.a.kill(worker)
    linked.wait()

    assert peer.certificates() == [(worker, atoms.killed)]


@pytest.mark.parametrize(
    "target", [7, b"x", atoms.bare, (1, 2, 3), (atoms.name, 7), (atoms.name, atoms["else@memory"]), [1], {}]
)
def test_fault_8_a_bad_target_is_certified_noproc(linked: World, target: Any) -> None:
    peer, proxy = Peer(linked), linked.a.process(PROXY)

    peer.subscribe(target)
    linked.wait()

    assert peer.certificates() == [(target, atoms.noproc)]
    assert linked.a.process(PROXY) is proxy


def test_fault_8_an_improper_list_is_obeyed_up_to_the_break(linked: World) -> None:
    peer, worker = Peer(linked), linked.worker(node=linked.a)
    items = ImproperList([(atoms.subscribe, worker)], atoms.tail)

    peer.recorder.send((PROXY, linked.a.name), (GEN_CAST, (atoms.process, peer.pid, items)))
    linked.wait()

    assert linked.statistics().subscriptions == 1


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


def test_fault_18_19_rows_of_early_deaths_go(linked: World) -> None:
    peer, worker = Peer(linked), linked.worker(node=linked.a)
    peer.subscribe(worker)
    linked.wait()

    linked.b.kill(peer.pid)
    linked.wait()

    sizes = linked.statistics()
    assert (sizes.subscriptions, sizes.remote_connectors, sizes.watches, sizes.batchers) == (0, 0, 0, 0)


def test_fault_20_the_last_unsubscribe_ends_the_erts_monitor(linked: World) -> None:
    peers, worker = [Peer(linked), Peer(linked)], linked.worker(node=linked.a)
    for peer in peers:
        peer.subscribe(worker)
    linked.wait()
    assert linked.statistics().watches == 1

    peers[0].unsubscribe(worker)
    linked.wait()
    assert linked.statistics().watches == 1
    peers[1].unsubscribe(worker)
    linked.wait()

    assert linked.statistics().watches == 0


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


def test_fault_25_the_loss_of_a_node_drops_its_rows(linked: World) -> None:
    peers = [Peer(linked) for _ in range(5)]
    workers = [linked.worker(node=linked.a) for _ in range(50)]
    for peer in peers:
        peer.subscribe(*workers)
    linked.wait()
    assert linked.statistics().subscriptions == 250

    linked.cluster.cut(linked.a, linked.b)
    linked.wait()

    sizes = linked.statistics()
    assert (sizes.subscriptions, sizes.watches, sizes.leftover) == (0, 0, 0)


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


def test_fault_29_an_unsent_certificate_does_not_hit_a_newer_subscription(linked: World) -> None:
    peer = Peer(linked)
    linked.worker("named", node=linked.a)
    target = (atoms.named, linked.a.name)
    peer.subscribe(target)
    linked.wait()
    linked.a.kill(atoms.named)
    linked.cluster.run_until_idle()

    linked.worker("named", node=linked.a)
    peer.unsubscribe(target)
    peer.subscribe(target)
    linked.wait()

    assert peer.certificates() == []
    assert linked.statistics().subscriptions == 1


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


@pytest.mark.parametrize("name", ["_", "$1"])
def test_fault_31_our_proxy_never_certifies_them(linked: World, name: str) -> None:
    peer = Peer(linked)

    peer.subscribe((atoms[name], linked.a.name))
    linked.wait()

    assert peer.certificates() == []
    assert linked.statistics().subscriptions == 0


def test_fault_32_messages_from_outside_add_no_timer(linked: World) -> None:
    connector = connector_of(linked)
    linked.wait()
    for _ in range(20):
        linked.a.runtime.send(linked.me, connector, atoms.sweep)
        linked.a.runtime.send(linked.me, DISPATCHER, atoms.generate_demand)
    linked.wait()

    assert linked.cluster.clock.next_timer() is None


def test_an_idle_system_has_no_timers(linked: World) -> None:
    linked.monitor(linked.worker())
    linked.wait(5)

    assert linked.cluster.clock.next_timer() is None
