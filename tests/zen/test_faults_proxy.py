"""Faults of the original that our Proxy half must not have; each test is named after the row of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.terms import ImproperList, atoms
from pyzen.zen.names import BATCHERS, PROXY
from tests.zen.conftest import Peer

if TYPE_CHECKING:
    from tests.zen.conftest import World

pytestmark = pytest.mark.usefixtures("quiet")


def test_fault_3_a_batcher_crash_keeps_the_certificates(linked: World) -> None:
    peer, worker = Peer(linked), linked.worker(node=linked.a)
    peer.subscribe(worker)
    linked.wait()
    linked.a.kill(worker)
    linked.cluster.run_until_idle()

    linked.a.kill(peer.batcher())
    linked.wait()

    assert peer.certificates() == [(worker, atoms.killed)]


def test_fault_4_a_subscribe_right_after_a_batcher_crash_is_kept(linked: World) -> None:
    peer, worker, other = Peer(linked), linked.worker(node=linked.a), linked.worker(node=linked.a)
    peer.subscribe(other)
    linked.wait()

    linked.a.kill(peer.batcher())
    peer.subscribe(worker)
    linked.cluster.run_until_idle()
    linked.a.kill(worker)
    linked.wait()

    assert peer.certificates() == [(worker, atoms.killed)]


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

    peer.cast((atoms.process, peer.pid, items))
    linked.wait()

    assert linked.statistics().subscriptions == 1


def test_fault_9_many_new_connectors_delay_no_ping(linked: World) -> None:
    peers = [Peer(linked) for _ in range(200)]
    worker = linked.worker(node=linked.a)

    for peer in peers:
        peer.subscribe(worker)
    peers[-1].ping(atoms.tag)
    linked.cluster.run_until_idle()  # no time passes

    assert peers[-1].recorder.messages == [(atoms.tag, atoms.pong)]
    assert linked.statistics().batchers == 200


def test_fault_9_the_end_of_the_registry_delays_no_ping(linked: World) -> None:
    peer, worker = Peer(linked), linked.worker(node=linked.a)
    linked.a.kill(BATCHERS)

    peer.subscribe(worker)
    peer.ping(atoms.tag)
    linked.cluster.run_until_idle()

    assert peer.recorder.messages == [(atoms.tag, atoms.pong)]
    assert linked.statistics().batchers == 1


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


def test_fault_20_a_death_before_the_unsubscribe_does_not_hit_a_later_subscription(linked: World) -> None:
    peer, target = Peer(linked), (atoms.named, linked.a.name)
    linked.worker("named", node=linked.a)
    peer.subscribe(target)
    linked.wait()

    linked.a.kill(atoms.named)
    peer.unsubscribe(target)
    peer.subscribe(target)
    linked.cluster.link(linked.a, linked.b).way(linked.b).flush(9)
    linked.a.scheduler_run()  # the DOWN is in the Proxy's queue, behind the instructions
    linked.wait()

    assert peer.certificates() == [(target, atoms.noproc)]


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


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ((atoms.shutdown, b"x" * 70_000), (atoms.shutdown, atoms.truncated)),
        ((atoms.shutdown, b"x" * 60_000), (atoms.shutdown, b"x" * 60_000)),
        ({b"k" * 70_000: 1}, atoms.truncated),
        (1 << 600_000, atoms.truncated),
        ("\u00e9".encode() * 1024, "\u00e9".encode() * 510 + b"..."),
    ],
    ids=["shutdown", "small shutdown", "key", "integer", "text"],
)
def test_fault_26_a_reason_is_bounded_and_cut_between_characters(linked: World, reason: Any, told: Any) -> None:
    peer, worker = Peer(linked), linked.worker(node=linked.a)
    peer.subscribe(worker)
    linked.wait()

    linked.a.kill(worker, reason)
    linked.wait()

    assert peer.certificates() == [(worker, told)]


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


@pytest.mark.parametrize("name", ["_", "$1"])
def test_fault_31_our_proxy_never_certifies_them(linked: World, name: str) -> None:
    peer = Peer(linked)

    peer.subscribe((atoms[name], linked.a.name))
    linked.wait()

    assert peer.certificates() == []
    assert linked.statistics().subscriptions == 0
