"""Start and stop of ZenMonitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.config import ZenConfig
from pyzen.errors import NameTaken
from pyzen.terms import atoms
from pyzen.testing import Cluster, Recorder
from pyzen.zen.names import BATCHERS, CONNECTORS, DISPATCHER, LOCAL, PROXY, SUPERVISOR

if TYPE_CHECKING:
    from tests.zen.conftest import World


def test_start_registers_everything_at_once() -> None:
    cluster = Cluster()
    node = cluster.node("n@memory", zen=ZenConfig())

    for name in (SUPERVISOR, LOCAL, CONNECTORS, DISPATCHER, PROXY, BATCHERS):
        assert node.runtime.whereis(name) is not None


def test_a_start_that_fails_leaves_nothing_to_stop(quiet: None) -> None:
    node = Cluster().node("n@memory")
    other = node.spawn(Recorder(), name=SUPERVISOR)

    with pytest.raises(NameTaken):
        node.start_zen(ZenConfig())
    node.zen.stop()

    assert node.runtime.processes() == [other]


def test_stop_ends_everything(linked: World) -> None:
    linked.monitor(linked.worker())
    linked.wait()

    linked.a.zen.stop()
    linked.wait()

    assert linked.a.runtime.processes() == [linked.me]
    assert set(linked.statistics().sizes().values()) == {0}


def test_start_in_the_step_of_stop_begins_anew(linked: World) -> None:
    linked.a.zen.stop()

    linked.a.zen.start()

    assert linked.a.zen.is_running
    assert linked.a.runtime.whereis(PROXY) is not None


def test_start_after_stop_works(linked: World) -> None:
    linked.a.zen.stop()
    linked.wait()
    linked.a.zen.start()
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.wait()

    linked.b.kill(worker)
    linked.wait()

    assert linked.downs() == [(ref, atoms.killed)]


def test_start_right_after_stop_works(linked: World) -> None:
    linked.a.zen.stop()
    linked.a.zen.start()
    worker = linked.worker()
    ref = linked.monitor(worker)
    linked.wait()

    linked.b.kill(worker)
    linked.wait()

    assert linked.downs() == [(ref, atoms.killed)]


def test_stop_answers_who_waits(world: World) -> None:
    world.cluster.connect(world.a, world.b).freeze()
    answers: list[str] = []
    world.a.zen.connect(world.b.name, answers.append)
    world.cluster.run_until_idle()

    world.a.zen.stop()

    assert answers == ["incompatible"]
