from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from pyzen.actor.requests import GEN_CAST
from pyzen.actor.verbs import actor_of
from pyzen.terms import Pid, atoms
from pyzen.testing import Recorder
from pyzen.zen.batcher import END_SLICE, Batcher, Batchers
from pyzen.zen.names import BATCHERS, PROXY

if TYPE_CHECKING:
    from tests.zen.conftest import World

pytestmark = pytest.mark.usefixtures("quiet")


class Subscribed:
    """A Connector on ``b`` that is subscribed to workers of ``a``."""

    def __init__(self, world: World, count: int = 1) -> None:
        self.world = world
        self.recorder = Recorder()
        self.pid = world.b.spawn(self.recorder)
        self.workers = [world.worker(node=world.a) for _ in range(count)]
        items = [(atoms.subscribe, worker) for worker in self.workers]
        self.recorder.send((PROXY, world.a.name), (GEN_CAST, (atoms.process, self.pid, items)))
        world.wait()

    @property
    def registry(self) -> Batchers:
        registry = self.world.a.process(BATCHERS)
        assert isinstance(registry, Batchers)
        return registry

    @property
    def batcher(self) -> Batcher:
        return self.registry.batcher(self.pid)

    def end(self, number: int = 0) -> None:
        self.world.a.kill(self.workers[number], atoms.boom)

    def told(self) -> list[list[tuple[Pid, object]]]:
        return [message[2] for message in self.recorder.messages]


def test_summary_comes_within_an_interval_and_no_sooner(linked: World) -> None:
    peer = Subscribed(linked)
    linked.a.zen.config.batcher_sweep_interval = 1000
    peer.end()

    linked.wait(0.999)
    assert peer.told() == []
    linked.wait(0.001)

    assert peer.told() == [[(peer.workers[0], atoms.boom)]]


def test_deaths_within_an_interval_are_one_summary(linked: World) -> None:
    peer = Subscribed(linked, 3)

    for number in range(3):
        peer.end(number)
    linked.wait()

    assert [len(summary) for summary in peer.told()] == [3]


def test_shorter_interval_counts_at_once(linked: World) -> None:
    peer = Subscribed(linked)
    linked.a.zen.config.batcher_sweep_interval = 60_000
    peer.end()
    linked.wait(0.5)

    linked.a.zen.config.batcher_sweep_interval = 100
    linked.wait(0.001)

    assert len(peer.told()) == 1


def test_summary_is_counted(linked: World) -> None:
    peer = Subscribed(linked, 2)
    before = dict(linked.statistics().counters)

    peer.end(0)
    peer.end(1)
    linked.wait()

    counters = linked.statistics().counters
    assert counters["summaries_sent"] - before.get("summaries_sent", 0) == 1
    assert counters["certificates_sent"] - before.get("certificates_sent", 0) == 2


def test_stray_message_is_ignored(linked: World) -> None:
    peer = Subscribed(linked)
    batcher = peer.batcher

    peer.recorder.send(batcher.pid, atoms.nonsense)
    peer.recorder.send(batcher.pid, (atoms.DOWN, atoms.any, atoms.process, peer.workers[0], atoms.boom))
    linked.wait()

    assert peer.batcher is batcher
    assert linked.statistics().counters["stray_messages"] == 2


def test_batcher_that_crashed_gets_a_successor_that_tells_what_waits(linked: World) -> None:
    peer = Subscribed(linked)
    before = peer.batcher
    peer.end()
    linked.cluster.run_until_idle()

    linked.a.kill(before.pid)
    linked.wait()

    assert peer.batcher is not before
    assert peer.told() == [[(peer.workers[0], atoms.boom)]]


def test_batcher_whose_rows_went_meanwhile_gets_no_successor(linked: World) -> None:
    peer = Subscribed(linked)
    linked.a.kill(peer.batcher.pid)
    linked.cluster.run_until_idle()

    linked.cluster.cut(linked.a, linked.b)
    linked.wait()

    assert linked.statistics().batchers == 0


def test_connector_that_ends_takes_its_rows_along(linked: World) -> None:
    peer = Subscribed(linked)
    keeper = Subscribed(linked)

    linked.b.kill(peer.pid)
    linked.wait()

    assert (linked.statistics().batchers, linked.statistics().subscriptions) == (1, 1)
    keeper.end()
    linked.wait()
    assert len(keeper.told()) == 1


def test_live_batchers_are_listed(linked: World) -> None:
    peers = [Subscribed(linked) for _ in range(2)]

    assert {batcher._connector for batcher in peers[0].registry.live()} >= {peer.pid for peer in peers}


def test_discarded_batcher_is_followed_by_a_fresh_one(linked: World) -> None:
    peer = Subscribed(linked)
    before = peer.batcher

    peer.registry.discard(peer.pid)
    peer.registry.discard(peer.pid)

    assert peer.batcher is not before
    linked.wait(0.0)
    assert actor_of(before).ended
    assert not actor_of(peer.batcher).ended


def test_batchers_of_a_node_that_leaves_end_in_slices(linked: World) -> None:
    peers = [linked.b.spawn(Recorder()) for _ in range(2 * END_SLICE + 1)]
    worker = linked.worker(node=linked.a)
    sender = Recorder()
    linked.b.spawn(sender)
    for pid in peers:
        sender.send((PROXY, linked.a.name), (GEN_CAST, (atoms.process, pid, [(atoms.subscribe, worker)])))
    linked.wait()
    registry = linked.a.process(BATCHERS)
    assert isinstance(registry, Batchers)
    actors = [linked.a.actor(registry.batcher(pid).pid) for pid in peers]

    for pid in peers:
        registry.discard(pid)
    ended = [0]
    while not all(actor.ended for actor in actors):
        assert linked.cluster.clock.fire_due()
        actor_of(registry).run(1)
        ended.append(sum(actor.ended for actor in actors))

    assert registry.keys() == []
    assert max(after - before for before, after in pairwise(ended)) == END_SLICE
