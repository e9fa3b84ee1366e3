"""The Proxy half, as an Elixir Connector meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.terms import ImproperList, atoms
from pyzen.testing import Recorder
from pyzen.zen.names import BATCHERS, PROXY
from tests.zen.conftest import Peer

if TYPE_CHECKING:
    from tests.zen.conftest import World

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def peer(linked: World) -> Peer:
    return Peer(linked)


def test_proxy_echoes_the_tag_of_a_ping(linked: World, peer: Peer) -> None:
    tags = [linked.b.runtime.make_ref(), (1, atoms.two), ImproperList([atoms.x], 3)]

    for tag in tags:
        peer.ping(tag)
    linked.wait()

    assert peer.recorder.messages == [(tag, atoms.pong) for tag in tags]


def test_proxy_answers_a_ping_to_its_alias(linked: World, peer: Peer) -> None:
    ref = peer.recorder.send_request((PROXY, linked.a.name), atoms.ping)
    linked.wait()

    assert peer.recorder.messages == [(ref, atoms.pong)]


def test_proxy_obeys_the_older_form_of_subscribe(linked: World, peer: Peer) -> None:
    worker = linked.worker(node=linked.a)

    peer.cast((atoms.subscribe, peer.pid, [worker]))
    linked.wait()
    linked.a.kill(worker)
    linked.wait()

    assert peer.summaries() == [[(worker, atoms.killed)]]


def test_proxy_lets_the_last_instruction_win(linked: World, peer: Peer) -> None:
    worker = linked.worker(node=linked.a)
    on, off = (atoms.subscribe, worker), (atoms.unsubscribe, worker)

    peer.cast((atoms.process, peer.pid, [on, off, on]))
    linked.wait()
    assert linked.statistics().subscriptions == 1
    peer.cast((atoms.process, peer.pid, [off, on, off]))
    linked.wait()

    assert linked.statistics().subscriptions == 0


def test_proxy_certifies_in_the_order_of_death(linked: World, peer: Peer) -> None:
    workers = [linked.worker(node=linked.a) for _ in range(5)]
    peer.subscribe(*workers)
    linked.wait()

    for worker in reversed(workers):
        linked.a.kill(worker)
    linked.wait()

    assert peer.summaries() == [[(worker, atoms.killed) for worker in reversed(workers)]]


def test_proxy_sends_certificates_in_chunks(linked: World, peer: Peer) -> None:
    linked.a.zen.config.batcher_chunk_size = 2
    workers = [linked.worker(node=linked.a) for _ in range(5)]
    peer.subscribe(*workers)
    linked.wait()

    for worker in workers:
        linked.a.kill(worker)
    linked.wait()

    assert [len(summary) for summary in peer.summaries()] == [2, 2, 1]


def test_proxy_closes_a_summary_at_a_mebibyte(linked: World, peer: Peer) -> None:
    linked.a.zen.config.max_binary_size = 60_000
    workers = [linked.worker(node=linked.a) for _ in range(40)]
    peer.subscribe(*workers)
    linked.wait()

    for worker in workers:
        linked.a.kill(worker, b"x" * 60_000)
    linked.wait()

    assert [len(summary) for summary in peer.summaries()] == [18, 18, 4]


def test_proxy_truncates_reasons(linked: World, peer: Peer) -> None:
    worker = linked.worker(node=linked.a)
    peer.subscribe(worker)
    linked.wait()

    linked.a.kill(worker, (1, 2, 3, 4, 5))
    linked.wait()

    assert peer.summaries() == [[(worker, atoms.truncated)]]


def test_proxy_keeps_one_monitor_per_target(linked: World) -> None:
    worker, peers = linked.worker(node=linked.a), [Peer(linked) for _ in range(4)]

    for peer in peers:
        peer.subscribe(worker)
        peer.subscribe(worker)
    linked.wait()
    assert (linked.statistics().watches, linked.statistics().subscriptions) == (1, 4)
    linked.a.kill(worker)
    linked.wait()

    assert all(peer.summaries() == [[(worker, atoms.killed)]] for peer in peers)


def test_proxy_obeys_long_messages_before_what_came_after(linked: World, peer: Peer) -> None:
    workers = [linked.worker(node=linked.a) for _ in range(1200)]

    peer.subscribe(*workers)
    peer.cast((atoms.process, peer.pid, [(atoms.unsubscribe, worker) for worker in workers[1:]]))
    linked.wait()

    assert (linked.statistics().subscriptions, linked.statistics().watches) == (1, 1)


def test_proxy_obeys_long_messages_to_the_end(linked: World, peer: Peer) -> None:
    peer.subscribe(*(linked.worker(node=linked.a) for _ in range(1200)))
    linked.wait()

    assert linked.statistics().subscriptions == 1200


def test_proxy_keeps_certificates_while_the_link_is_busy(linked: World, peer: Peer) -> None:
    worker = linked.worker(node=linked.a)
    peer.subscribe(worker)
    linked.wait()
    linked.cluster.link(linked.a, linked.b).set_busy(busy=True)
    linked.a.kill(worker)
    linked.wait()
    assert (peer.summaries(), linked.statistics().certificates) == ([], 1)

    linked.cluster.link(linked.a, linked.b).set_busy(busy=False)
    linked.wait()

    assert peer.summaries() == [[(worker, atoms.killed)]]


def test_proxy_ignores_instructions_that_outlived_their_link(linked: World, peer: Peer) -> None:
    link = linked.cluster.link(linked.a, linked.b)
    peer.subscribe(linked.worker(node=linked.a))

    link.way(linked.b).flush(9)
    linked.cluster.cut(linked.a, linked.b)
    linked.wait()

    assert (linked.statistics().subscriptions, linked.statistics().batchers) == (0, 0)
    assert linked.cluster.dials == []


def test_proxy_drops_what_came_over_a_link_that_is_lost_by_now(linked: World, peer: Peer) -> None:
    peer.ping(atoms.tag)
    linked.wait()
    link = linked.cluster.link(linked.a, linked.b)
    peer.subscribe(linked.worker(node=linked.a))

    link.way(linked.b).flush(9)
    linked.cluster.cut(linked.a, linked.b)
    linked.cluster.connect(linked.a, linked.b)
    linked.wait()

    assert linked.statistics().subscriptions == 0


def test_proxy_drops_the_rows_of_a_lost_link_without_the_batcher(linked: World, peer: Peer) -> None:
    peer.subscribe(linked.worker(node=linked.a))
    linked.wait()
    linked.a.kill(peer.batcher())
    linked.cluster.run_until_idle()

    linked.cluster.cut(linked.a, linked.b)
    linked.cluster.run_until_idle()

    assert linked.statistics().subscriptions == 0


def test_proxy_ends_the_batchers_of_a_lost_link(linked: World, peer: Peer) -> None:
    worker = linked.worker(node=linked.a)
    peer.subscribe(worker)
    linked.wait()
    before = peer.batcher()

    # As if the Batcher had not heard of the loss yet, and the Connector, whose pid stays, were back already.
    linked.a.runtime.link_lost(linked.b.name)
    linked.cluster.run_until_idle()
    peer.subscribe(worker)
    linked.wait()

    assert peer.batcher() != before
    assert linked.a.runtime.process(before) is None
    linked.a.kill(worker)
    linked.wait()
    assert peer.summaries() == [[(worker, atoms.killed)]]


def test_proxy_crash_drops_its_rows(linked: World, peer: Peer) -> None:
    peer.subscribe(linked.worker(node=linked.a))
    linked.wait()

    linked.a.kill(PROXY)
    linked.wait()

    sizes = linked.statistics()
    assert (sizes.subscriptions, sizes.watches, sizes.batchers) == (0, 0, 0)


def test_proxy_is_told_of_a_dead_connector_by_its_batcher(linked: World, peer: Peer) -> None:
    dead = linked.b.spawn(Recorder())
    linked.b.kill(dead)
    linked.wait()

    peer.cast((atoms.process, dead, [(atoms.subscribe, linked.worker(node=linked.a))]))
    linked.wait()

    assert linked.statistics().subscriptions == 0


def test_batchers_crash_keeps_rows_and_certificates(linked: World, peer: Peer) -> None:
    dying, living = linked.worker(node=linked.a), linked.worker(node=linked.a)
    peer.subscribe(dying, living)
    linked.wait()
    linked.a.kill(dying)
    linked.cluster.run_until_idle()

    linked.a.kill(BATCHERS)
    linked.wait()
    linked.a.kill(living)
    linked.wait()

    assert peer.summaries() == [[(dying, atoms.killed)], [(living, atoms.killed)]]
