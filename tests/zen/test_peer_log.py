from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from pyzen.config import ZenConfig
from pyzen.terms import Atom, atoms
from pyzen.zen.names import PROXY
from tests.zen.conftest import Peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.testing import MemoryNode
    from tests.zen.conftest import World


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
    """Level and text of what ZenMonitor has logged since the last look."""
    caplog.set_level(logging.INFO, "pyzen.zen")

    def taken() -> list[tuple[str, str]]:
        found = [(one.levelname, one.getMessage()) for one in caplog.records if one.name == "pyzen.zen"]
        caplog.clear()
        return found

    return taken


@pytest.fixture
def plain(world: World) -> MemoryNode:
    """A node without ZenMonitor, linked with ``a``, which monitors one of its processes."""
    plain = world.cluster.node("plain@memory")
    world.cluster.connect(world.a, plain)
    world.a.zen.config.connector_sweep_interval = 100
    return plain


def incompatible(cause: str, seconds: float) -> tuple[str, str]:
    return "WARNING", f"a@memory: plain@memory is incompatible: {cause}, next attempt in {seconds} s"


def test_node_without_a_proxy_is_told_with_cause_and_time(
    world: World, plain: MemoryNode, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    world.a.zen.connect(plain.name, lambda _: None)
    world.wait(0.5)

    assert lines() == [incompatible("no proxy (start zen_monitor there)", 2.0)]


def test_node_that_stays_incompatible_is_told_once(
    world: World, plain: MemoryNode, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    world.a.zen.connect(plain.name, lambda _: None)
    world.wait(0.5)
    lines()

    world.wait(300)
    world.cluster.cut(world.a, plain)
    world.cluster.connect(world.a, plain)
    world.wait(300)

    assert lines() == []


def test_node_that_is_incompatible_for_another_cause_is_told_anew(
    world: World, plain: MemoryNode, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    world.a.zen.connect(plain.name, lambda _: None)
    world.wait(0.5)
    lines()

    world.cluster.link(world.a, plain).freeze()
    world.wait(10)

    assert lines() == [incompatible("ping timeout (is it overloaded?)", 4.0)]


def test_node_that_turns_compatible_is_told(
    world: World, plain: MemoryNode, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    world.a.zen.connect(plain.name, lambda _: None)
    world.wait(0.5)
    lines()

    plain.start_zen(ZenConfig())
    world.wait(10)

    assert lines() == [("INFO", "a@memory: plain@memory is compatible now")]


def test_node_that_turns_incompatible_again_is_told_again(
    linked: World, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    rounds = []
    for _ in range(2):
        linked.b.kill(PROXY)
        linked.wait(10)
        rounds.append(lines())

    once = ["a@memory: b@memory is incompatible: proxy ended (see its log)", "a@memory: b@memory is compatible now"]
    assert [[text.partition(", next")[0] for _, text in one] for one in rounds] == [once, once]


def test_node_that_was_compatible_from_the_start_is_not_told(
    linked: World, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    linked.cluster.cut(linked.a, linked.b)
    linked.connect()

    assert lines() == []


def test_monitors_that_fire_with_a_link_are_told_by_number_and_cause(
    linked: World, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    for _ in range(2):
        for worker in linked.workers(3):
            linked.monitor(worker)
        linked.cluster.cut(linked.a, linked.b)
        linked.connect()

    told = ("INFO", "a@memory: 3 monitors of processes on b@memory fired nodedown: lost")
    assert lines() == [told, told]


def test_monitors_that_fire_with_a_proxy_are_told_by_number_and_cause(
    linked: World, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    for worker in linked.workers(3):
        linked.monitor(worker)
    linked.wait()

    linked.b.kill(PROXY)
    linked.wait(0.05)

    assert lines() == [
        ("WARNING", "a@memory: b@memory is incompatible: proxy ended (see its log), next attempt in 2.0 s"),
        ("INFO", "a@memory: 3 monitors of processes on b@memory fired nodedown: proxy ended"),
    ]


def test_monitors_that_fire_while_a_node_is_out_of_reach_are_told_once_in_ten_seconds(
    world: World, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    world.a.zen.config.auto_connect = False
    for _ in range(9):
        world.monitor((atoms.worker, "nobody@memory"))
        world.wait(1)
    assert len(lines()) == 1

    world.wait(5)
    world.monitor((atoms.worker, "nobody@memory"))
    world.wait(1)

    told = "a@memory: 9 monitors of processes on nobody@memory fired nodedown: never connected"
    assert lines() == [("INFO", told)]


@pytest.fixture
def peer(linked: World) -> Peer:
    return Peer(linked)


def test_proxy_tells_of_instructions_that_make_no_sense_at_a_bounded_rate(
    linked: World, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    senseless = (atoms.process, peer.pid, [(atoms.x, 1), (atoms.subscribe, (Atom("_"), linked.a.name))])

    peer.cast(senseless)
    linked.wait(0.5)
    assert caplog.messages == ["a@memory: instructions of b@memory that make no sense: 1, the last one (Atom('x'), 1)"]
    for _ in range(9):
        peer.cast(senseless)
        linked.wait(0.5)
    assert len(caplog.messages) == 1

    linked.wait(10)
    peer.cast(senseless)
    linked.wait(0.5)

    told = "a@memory: instructions of b@memory that make no sense: 20, the last one (Atom('x'), 1)"
    assert caplog.messages[1:] == [told]
    assert linked.statistics().counters["instructions_skipped"] == 22


def test_proxy_forgets_the_rate_of_a_node_that_is_lost(
    linked: World, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        peer.cast((atoms.process, peer.pid, [(atoms.x, 1)]))
        linked.wait(0.5)
        linked.cluster.cut(linked.a, linked.b)
        linked.connect()

    assert len([line for line in caplog.messages if "make no sense" in line]) == 2
