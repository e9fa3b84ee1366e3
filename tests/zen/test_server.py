from __future__ import annotations

from typing import Any, cast

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.verbs import actor_of
from pyzen.config import ZenConfig
from pyzen.etf import decode, encode
from pyzen.terms import atoms
from pyzen.testing import Cluster, MemoryNode
from pyzen.zen.names import LOCAL
from pyzen.zen.server import Ticker, ZenServer


class Counting:
    def count(self, name: str, number: int = 1) -> None:
        """Count nothing."""


class Ticking(ZenServer):
    def __init__(self) -> None:
        super().__init__(Counting(), LOCAL)
        self.times: list[float] = []
        self.ticker = Ticker(self, self.tick)

    def tick(self) -> None:
        self.times.append(actor_of(self).runtime.now())


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def process(cluster: Cluster) -> Ticking:
    node: MemoryNode = cluster.node("n@memory")
    process = Ticking()
    node.spawn(process)
    return process


def test_ticker_fires_once_per_arming(cluster: Cluster, process: Ticking) -> None:
    process.ticker.arm(1.0)
    cluster.advance(5)

    assert process.times == [1.0]


def test_ticker_keeps_the_earlier_time(cluster: Cluster, process: Ticking) -> None:
    process.ticker.arm(1.0)
    process.ticker.arm(3.0)
    cluster.advance(5)

    assert process.times == [1.0]


def test_ticker_moves_to_an_earlier_time(cluster: Cluster, process: Ticking) -> None:
    process.ticker.arm(3.0)
    process.ticker.arm(1.0)
    cluster.advance(5)

    assert process.times == [1.0]


def test_ticker_shortens_from_when_it_was_armed(cluster: Cluster, process: Ticking) -> None:
    process.ticker.arm(3.0)
    cluster.advance(1.5)
    process.ticker.shorten(2.0)
    cluster.advance(5)

    assert process.times == [2.0]


def test_ticker_is_not_lengthened(cluster: Cluster, process: Ticking) -> None:
    process.ticker.arm(1.0)
    process.ticker.shorten(5.0)
    cluster.advance(9)

    assert process.times == [1.0]


def test_ticker_shorten_does_not_arm(cluster: Cluster, process: Ticking) -> None:
    process.ticker.shorten(1.0)
    cluster.advance(9)

    assert not process.ticker.armed
    assert process.times == []


def test_ticker_cancelled_after_it_was_due_does_not_fire(cluster: Cluster, process: Ticking) -> None:
    process.ticker.arm(0.0)
    cluster.clock.fire_due()

    process.ticker.cancel()
    cluster.advance(1)

    assert process.times == []


def test_ticker_of_an_ended_process_does_not_fire(cluster: Cluster, process: Ticking) -> None:
    process.ticker.arm(1.0)
    actor_of(process).end(Any)
    cluster.advance(5)

    assert process.times == []


def test_state_is_shown_without_what_all_processes_share(cluster: Cluster, process: Ticking) -> None:
    process.ticker.arm(1.0)
    assert process.get_state() == {atoms.times: [], atoms.ticker: "<Ticker armed>"}

    cluster.advance(1)

    assert process.get_state() == {atoms.times: [1.0], atoms.ticker: "<Ticker idle>"}


def test_states_of_all_processes_can_be_sent(cluster: Cluster) -> None:
    node, peer = cluster.node("a@memory", zen=ZenConfig()), cluster.node("b@memory", zen=ZenConfig())
    cluster.connect(node, peer)
    node.zen.connect(peer.name, lambda _: None)
    cluster.advance(1)
    servers = [node.process(pid) for pid in node.runtime.processes()]
    states = [server.get_state() for server in servers if isinstance(server, GenServer)]

    assert decode(encode(states))
    connector = node.zen.connector_pid(peer.name)
    assert connector is not None
    shown = cast("GenServer", node.process(connector)).get_state()
    assert shown[atoms.phase] == "open"
    assert shown[atoms.remote][atoms.status] == "compatible"
