"""What one node holds in the Proxy's tables has bounds: past them it loses its link, and nobody a subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.config import ZenConfig
from pyzen.monitor_table import SubscriptionTable
from pyzen.terms import Atom, Pid, Reference, atoms
from pyzen.testing import Recorder
from pyzen.zen import proxy
from tests.zen.conftest import Peer

if TYPE_CHECKING:
    from tests.zen.conftest import World

pytestmark = pytest.mark.usefixtures("quiet")

LIMIT = 20


@pytest.fixture
def world(linked: World, monkeypatch: pytest.MonkeyPatch) -> World:
    linked.wait()
    held_by_the_system = linked.a.zen._context.subscriptions.held(linked.b.name)[1]
    monkeypatch.setattr(proxy, "ROW_LIMIT", LIMIT + held_by_the_system)
    monkeypatch.setattr(proxy, "OBEY_SLICE", 5)
    return linked


def targets(world: World, count: int) -> list[Pid]:
    return [world.worker(node=world.a) for _ in range(count)]


def given_up(world: World) -> bool:
    assert world.statistics().counters["peers_given_up"] == (0 if is_linked(world) else 1)
    return not is_linked(world)


def is_linked(world: World) -> bool:
    return world.a.runtime.link(world.b.name) is not None


def test_node_may_hold_as_many_rows_as_the_bound_says(world: World) -> None:
    peers, workers = [Peer(world), Peer(world)], targets(world, LIMIT // 2)

    for peer in peers:
        peer.subscribe(*workers)
    world.wait()

    assert not given_up(world)
    for worker in workers:
        world.a.kill(worker)
    world.wait()
    assert all(peer.certificates() == [(worker, atoms.killed) for worker in workers] for peer in peers)


def test_node_that_holds_more_loses_its_link(world: World) -> None:
    first, second = Peer(world), Peer(world)
    first.subscribe(*targets(world, LIMIT))
    world.wait()
    assert not given_up(world)

    second.subscribe(*targets(world, 1))
    world.wait()

    assert given_up(world)
    assert world.a.zen._context.subscriptions.held(world.b.name) == (0, 0, 0)


def test_long_message_is_not_obeyed_to_its_end(world: World) -> None:
    peer, workers = Peer(world), targets(world, 3 * LIMIT)

    peer.subscribe(*workers)
    world.wait()

    assert given_up(world)
    # The slice that went past the bound, with the probes of the system of the peer.
    assert world.statistics().counters["instructions_received"] <= LIMIT + proxy.OBEY_SLICE + 2


def test_rows_that_are_gone_do_not_count(world: World) -> None:
    peer = Peer(world)
    for _ in range(3):
        workers = targets(world, LIMIT // 2)
        peer.subscribe(*workers)
        world.wait()
        peer.unsubscribe(*workers)
        dying = targets(world, LIMIT // 2)
        peer.subscribe(*dying)
        world.wait()
        for worker in dying:
            world.a.kill(worker)
        world.wait()

    assert not given_up(world)


def test_rows_of_another_node_do_not_count(world: World) -> None:
    other = world.cluster.node("c@memory", zen=ZenConfig())
    world.cluster.connect(world.a, other)
    peer, stranger = Peer(world), Peer(world)
    stranger.recorder = Recorder()
    stranger.pid = other.spawn(stranger.recorder)
    workers = targets(world, LIMIT)

    peer.subscribe(*workers)
    stranger.subscribe(*workers)
    world.wait()

    assert not given_up(world)


def test_reasons_that_nobody_reads_have_a_bound_of_their_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer asks for nothing more: the deaths alone take the room."""
    monkeypatch.setattr(proxy, "WAITING_SIZE_LIMIT", 5000)
    peer, workers = Peer(world), targets(world, LIMIT)
    peer.subscribe(*workers)
    world.wait()
    world.cluster.link(world.a, world.b).set_busy(busy=True)  # as when the peer does not read

    for worker in workers[:8]:
        world.a.kill(worker, b"x" * 500)
    world.wait()
    assert not given_up(world)
    for worker in workers[8:]:
        world.a.kill(worker, b"x" * 500)
    world.wait()

    assert given_up(world)


def test_reasons_have_their_bound_while_no_batcher_looks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next sweep is far away: the deaths themselves tell."""
    monkeypatch.setattr(proxy, "WAITING_SIZE_LIMIT", 5000)
    world.a.zen.config.batcher_sweep_interval = 2**31 - 1
    peer, workers = Peer(world), targets(world, LIMIT)
    peer.subscribe(*workers)
    world.wait()

    for worker in workers[:8]:
        world.a.kill(worker, b"x" * 500)
    world.wait()
    assert not given_up(world)
    for worker in workers[8:]:
        world.a.kill(worker, b"x" * 500)
    world.wait()

    assert given_up(world)


# ---- the count in the table

HERE = Atom("here@test")
THERE = Atom("there@test")


def test_table_knows_what_each_node_holds() -> None:
    table = SubscriptionTable(HERE, 1)
    connectors = [Pid(THERE, number, 0, 1) for number in (1, 2)]
    target, watch = Pid(HERE, 1, 0, 1), Reference(HERE, 1, [0, 0, 0, 1, 0])
    assert table.held(THERE) == (0, 0, 0)

    for connector in connectors:
        table.subscribe(connector, target)
        table.subscribe(connector, target)
    table.certify(connectors[0], atoms.bad, atoms.noproc, 30)
    assert table.held(THERE) == (2, 3, 30)

    table.watch(target, watch)
    table.died(watch, atoms.boom, 4)
    assert table.held(THERE) == (2, 3, 38)
    table.sent(connectors[0], 1)
    assert table.held(THERE) == (2, 2, 8)

    table.drop_connector(connectors[0])
    assert table.held(THERE) == (1, 1, 4)
    table.reap(9)
    table.drop_node(THERE)
    assert table.held(THERE) == (0, 0, 0)
