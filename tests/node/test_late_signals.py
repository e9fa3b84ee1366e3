"""Signals that a process comes to when their link is lost already: what they would share fires, and nothing is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.remote import keep_spawned, request_spawn
from pyzen.actor.signals import SpawnReply, SpawnRequest
from pyzen.actor.verbs import actor_of
from pyzen.node.losses import SLICE
from pyzen.terms import Pid, Reference, atoms
from pyzen.testing import Cluster, Recorder


class Scene:
    """A process ``me`` on ``a``, one on ``b``, and a link in between which ends with what is on the way."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.a, self.b = self.cluster.node("a@memory"), self.cluster.node("b@memory")
        self.cluster.connect(self.a, self.b)
        self.me, self.other = Recorder(), Recorder()
        self.me.trap_exit = self.other.trap_exit = True
        self.a.spawn(self.me, name="me")
        self.b.spawn(self.other)
        self.cluster.run_until_idle()
        self.cluster.link(self.a, self.b).freeze()

    def lose(self) -> None:
        """Let what ``b`` has sent arrive together with the end of the link."""
        way = self.b.links.ways[self.a.name]
        way.flush(len(way.waiting))
        self.cluster.cut(self.a, self.b)
        self.cluster.run_until_idle()

    def assert_nothing_is_kept(self) -> None:
        relations, router = actor_of(self.me).relations, self.a.runtime
        assert (relations.links, relations.watchers, relations.monitors, relations.peers) == ({}, {}, {}, {})
        assert not router._named
        assert not any(node is self.b.name for node in router.related())


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_link_brings_noconnection(scene: Scene) -> None:
    scene.other.link(scene.me.pid)

    scene.lose()

    assert scene.me.messages == [(atoms.EXIT, scene.other.pid, atoms.noconnection)]
    scene.assert_nothing_is_kept()


def test_link_ends_a_process_that_does_not_trap(scene: Scene) -> None:
    scene.me.trap_exit = False
    scene.other.link(scene.me.pid)

    scene.lose()

    assert actor_of(scene.me).exit_reason is atoms.noconnection


def test_link_that_was_undone_brings_nothing(scene: Scene) -> None:
    scene.other.link(scene.me.pid)
    scene.other.unlink(scene.me.pid)

    scene.lose()

    assert scene.me.messages == []
    scene.assert_nothing_is_kept()


def test_link_that_both_made_brings_one_exit_signal(scene: Scene) -> None:
    scene.me.link(scene.other.pid)
    scene.other.link(scene.me.pid)

    scene.lose()

    assert scene.me.messages == [(atoms.EXIT, scene.other.pid, atoms.noconnection)]
    scene.assert_nothing_is_kept()


@pytest.mark.parametrize("by", ["pid", "name"])
def test_monitor_leaves_nothing(scene: Scene, by: str) -> None:
    scene.other.monitor(scene.me.pid if by == "pid" else ("me", scene.a.name))

    scene.lose()

    scene.assert_nothing_is_kept()


def test_what_comes_late_leaves_the_next_link_alone(scene: Scene) -> None:
    """The process has a monitor of the next link by the time that it comes to the last signals of the former."""
    scene.other.link(scene.me.pid)
    way = scene.b.links.ways[scene.a.name]
    way.flush(len(way.waiting))
    scene.cluster.cut(scene.a, scene.b)
    scene.cluster.connect(scene.a, scene.b)
    scene.me.monitor(scene.other.pid)

    scene.cluster.run_until_idle()

    assert scene.me.messages == [(atoms.EXIT, scene.other.pid, atoms.noconnection)]
    assert len(actor_of(scene.me).relations.monitors) == 1


class Idle(GenServer):
    """Is asked for by the other node."""


@dataclass
class Asked:
    """A process of ``a`` that has asked for one at ``b``, linked with it."""

    asker: Recorder
    ref: Reference
    spawned: list[Pid] = field(default_factory=list)
    failed: list[Any] = field(default_factory=list)

    @property
    def lost(self) -> list[Any]:
        return [(atoms.EXIT, self.spawned[0], atoms.noconnection)]

    @property
    def down(self) -> list[Any]:
        return [(atoms.DOWN, self.ref, atoms.process, self.spawned[0], atoms.noconnection)]


def ask(scene: Scene, asker: Recorder, *, monitor: bool) -> Asked:
    actor = actor_of(asker)
    asked = Asked(asker, actor.runtime.make_ref())

    def on_reply(reply: SpawnReply) -> None:
        asked.spawned.append(keep_spawned(actor, reply, link=True, monitor=monitor))

    options = [atoms.link, atoms.monitor] if monitor else [atoms.link]
    request = SpawnRequest(scene.b.name, asked.ref, actor.pid, actor.leader, (atoms.m, atoms.f, 0), options, [])
    request_spawn(actor, request, on_reply, asked.failed.append)
    return asked


@pytest.mark.parametrize("count", [1, 3 * SLICE])
@pytest.mark.parametrize("monitor", [False, True])
def test_process_that_was_asked_for_with_a_link_is_lost(scene: Scene, monitor: bool, count: int) -> None:
    """The reply to a spawn request comes with the end of the link; some have not heard of that by then."""
    scene.b.runtime.births.maker = lambda *_: Idle()
    askers = [scene.me, *(Recorder() for _ in range(count - 1))]
    for asker in askers[1:]:
        asker.trap_exit = True
        scene.a.spawn(asker)
    all_asked = [ask(scene, asker, monitor=monitor) for asker in askers]
    out = scene.a.links.ways[scene.b.name]
    out.flush(len(out.waiting))

    scene.lose()

    for asked in all_asked:
        assert asked.failed == []
        assert sorted(asked.asker.messages, key=repr) == (asked.down if monitor else []) + asked.lost
    scene.assert_nothing_is_kept()
