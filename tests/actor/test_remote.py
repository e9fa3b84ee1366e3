"""Spawn requests between two nodes in memory; calls of functions are tried in ``tests/node/services``."""

from __future__ import annotations

from typing import Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.remote import keep_spawned, request_spawn, result_of
from pyzen.actor.signals import SpawnReply, SpawnRequest
from pyzen.actor.verbs import actor_of
from pyzen.errors import NodeDown, ProcessExit, RpcError
from pyzen.terms import Atom, Pid, Reference, atoms
from pyzen.testing import Cluster, MemoryNode

REF = Reference("n@h", 1, [1, 2, 3])


class Idle(GenServer):
    pass


class Asker(GenServer):
    """Asks for processes elsewhere and keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []
        self.trap_exit = True

    def ask(self, node: Atom, options: list[Any], *, link: bool = False, monitor: bool = False) -> Reference:
        actor = actor_of(self)
        ref = actor.runtime.make_ref()

        def on_reply(reply: SpawnReply) -> None:
            self.heard.append(keep_spawned(actor, reply, link=link, monitor=monitor))

        mfa = (atoms.m, atoms.f, 1)
        request = SpawnRequest(node, ref, self.pid, self.leader, mfa, options, [7])
        request_spawn(actor, request, on_reply, self.heard.append)
        return ref

    def forget(self, ref: Reference) -> None:
        actor_of(self).forget_request(ref)

    def handle_info(self, message: Any) -> None:
        self.heard.append(message)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def pair(cluster: Cluster) -> tuple[MemoryNode, MemoryNode, Asker]:
    one, other = cluster.node("one@h"), cluster.node("other@h")
    other.runtime.births.maker = lambda _module, _function, _args: Idle()
    cluster.connect(one, other)
    asker = Asker()
    one.spawn(asker)
    cluster.run_until_idle()
    return one, other, asker


def test_a_process_is_started_with_the_askers_group_leader(cluster: Cluster) -> None:
    _one, other, asker = pair(cluster)

    asker.ask(other.name, [])
    cluster.run_until_idle()

    (pid,) = asker.heard
    assert pid.node is other.name
    assert other.process(pid).leader == asker.pid


def test_a_monitored_process_tells_its_end(cluster: Cluster) -> None:
    _one, other, asker = pair(cluster)
    ref = asker.ask(other.name, [atoms.monitor], monitor=True)
    cluster.run_until_idle()
    (pid,) = asker.heard

    other.kill(pid)
    cluster.run_until_idle()

    assert asker.heard[1:] == [(atoms.DOWN, ref, atoms.process, pid, atoms.killed)]


def test_a_linked_process_tells_its_end_and_hears_of_ours(cluster: Cluster) -> None:
    one, other, asker = pair(cluster)
    for _ in range(2):
        asker.ask(other.name, [atoms.link], link=True)
    cluster.run_until_idle()
    first, second = asker.heard

    other.kill(first)
    cluster.run_until_idle()
    assert asker.heard[2:] == [(atoms.EXIT, first, atoms.killed)]

    one.kill(asker.pid)
    cluster.run_until_idle()
    assert other.runtime.process(second) is None


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ([(atoms.reply, True)], atoms.badopt),
        ([atoms.nonsense], atoms.badopt),
        ([], atoms.notsup),
        ([(atoms.priority, atoms.high)] * 65, atoms.badopt),
    ],
)
def test_a_refusal_says_why(cluster: Cluster, options: list[Any], word: Atom) -> None:
    _one, other, asker = pair(cluster)
    if word is atoms.notsup:
        other.runtime.births.maker = None

    asker.ask(other.name, options)
    cluster.run_until_idle()

    (error,) = asker.heard
    assert isinstance(error, ProcessExit)
    assert error.reason == (atoms.spawn_reply, word)


def test_options_of_heaps_are_taken_without_effect(cluster: Cluster) -> None:
    _one, other, asker = pair(cluster)

    asker.ask(other.name, [(atoms.min_heap_size, 233), (atoms.monitor, []), (atoms.priority, atoms.high)])
    cluster.run_until_idle()

    assert isinstance(asker.heard[0], Pid)


def test_too_many_processes_are_a_system_limit(cluster: Cluster) -> None:
    _one, other, asker = pair(cluster)
    other.runtime.births.max_processes = 1

    asker.ask(other.name, [])
    asker.ask(other.name, [])
    cluster.run_until_idle()

    assert isinstance(asker.heard[0], Pid)
    assert asker.heard[1].reason == (atoms.spawn_reply, atoms.system_limit)


def test_a_lost_link_fails_what_was_asked(cluster: Cluster) -> None:
    one, other, asker = pair(cluster)
    cluster.link(one, other).freeze()
    asker.ask(other.name, [])
    cluster.run_until_idle()

    cluster.cut(one, other)
    cluster.run_until_idle()

    assert [type(error) for error in asker.heard] == [NodeDown]


def test_a_node_that_can_not_be_dialled_fails_what_was_asked(cluster: Cluster) -> None:
    _one, _other, asker = pair(cluster)

    asker.ask(Atom("nobody@h"), [])
    cluster.run_until_idle()

    assert [type(error) for error in asker.heard] == [NodeDown]


def test_what_nobody_waits_for_any_more_is_given_up(cluster: Cluster) -> None:
    one, other, asker = pair(cluster)
    link = cluster.link(one, other)
    link.freeze()
    ref = asker.ask(other.name, [atoms.link, atoms.monitor])
    asker.forget(ref)
    before = other.runtime.process_count()

    link.thaw()
    cluster.run_until_idle()

    assert other.runtime.process_count() == before
    assert asker.heard == []


def test_what_a_dead_process_asked_for_is_given_up(cluster: Cluster) -> None:
    one, other, asker = pair(cluster)
    link = cluster.link(one, other)
    link.freeze()
    asker.ask(other.name, [atoms.link, atoms.monitor])
    one.kill(asker.pid)
    cluster.run_until_idle()
    before = other.runtime.process_count()

    link.thaw()
    cluster.run_until_idle()

    assert other.runtime.process_count() == before


def test_a_process_of_the_own_node_is_asked_for_alike(cluster: Cluster) -> None:
    _one, other, _asker = pair(cluster)
    asker = Asker()
    other.spawn(asker)
    cluster.run_until_idle()

    ref = asker.ask(other.name, [atoms.monitor], monitor=True)
    cluster.run_until_idle()
    (pid,) = asker.heard
    other.kill(pid)
    cluster.run_until_idle()

    assert asker.heard[1:] == [(atoms.DOWN, ref, atoms.process, pid, atoms.killed)]


def test_the_group_leader_of_another_process_can_be_set(cluster: Cluster) -> None:
    _one, other, asker = pair(cluster)
    pid = other.spawn(Idle())

    asker.set_group_leader(asker.pid, pid)
    cluster.run_until_idle()

    assert other.process(pid).leader == asker.pid


@pytest.mark.parametrize(
    ("reason", "kind", "told"),
    [
        ((REF, atoms.throw, 1), "throw", 1),
        ((REF, atoms.exit, 2), "exit", 2),
        ((REF, atoms.error, 3, []), "error", 3),
        ((REF, atoms.error, (atoms.erpc, atoms.badarg)), "erpc", atoms.badarg),
        ((atoms.spawn_reply, atoms.notsup), "erpc", atoms.notsup),
        (atoms.killed, "exit", (atoms.signal, atoms.killed)),
    ],
)
def test_the_end_of_a_call_says_how_it_failed(reason: Any, kind: str, told: Any) -> None:
    with pytest.raises(RpcError) as caught:
        result_of(REF, ProcessExit(reason))

    assert (caught.value.kind, caught.value.reason) == (kind, told)


def test_the_end_of_a_call_is_its_result() -> None:
    assert result_of(REF, ProcessExit((REF, atoms["return"], {1: 2}))) == {1: 2}
