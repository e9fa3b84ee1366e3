"""DOWNs that come many at a time are handled one at a time, with everything that may happen in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.answers import Continue
from pyzen.actor.gen_server import GenServer
from pyzen.actor.scheduler import BUDGET
from pyzen.actor.verbs import actor_of
from pyzen.monitor_table import MonitorTable
from pyzen.node.link import Narrow
from pyzen.terms import Pid, Reference, atoms
from pyzen.testing import Cluster, MemoryNode, Recorder

if TYPE_CHECKING:
    from pyzen.node.router import Router

Handle = Callable[[int], Any]

TARGET = Pid("there@memory", 1, 0, 1)


class Watcher(GenServer):
    """Notes the index of each DOWN, and does what the test wants done with it."""

    def init(self, handle: Handle) -> None:
        self.handle = handle
        self.references: list[Reference] = []
        self.seen: list[Any] = []

    def handle_info(self, message: Any) -> Any:
        if message[0] is not atoms.DOWN:
            self.seen.append(message)
            return None
        index = self.references.index(message[1])
        self.seen.append(index)
        return self.handle(index)

    def handle_continue(self, argument: Any) -> None:
        self.seen.append(argument)


def deliver(router: Router, watcher: Watcher, count: int) -> None:
    """Let so many DOWNs come at a time."""
    table = MonitorTable(router.references)
    watcher.references += [table.add(TARGET, watcher.pid)[0] for _ in range(count)]
    table.lose(TARGET.node)
    taken, dispatches = table.take(count, True, router.unread)
    assert (taken, len(dispatches)) == (count, 1)
    router.deliver_many(dispatches)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def node(cluster: Cluster) -> MemoryNode:
    return cluster.node("here@memory")


def watch(cluster: Cluster, node: MemoryNode, handle: Handle) -> Watcher:
    watcher = Watcher(handle)
    node.spawn(watcher)
    cluster.run_until_idle()
    return watcher


def test_downs_and_messages_are_handled_in_the_order_they_came(cluster: Cluster, node: MemoryNode) -> None:
    watcher = watch(cluster, node, lambda _: None)

    deliver(node.runtime, watcher, 2)
    watcher.send(watcher.pid, (atoms.between,))
    deliver(node.runtime, watcher, 2)
    cluster.run_until_idle()

    assert watcher.seen == [0, 1, (atoms.between,), 2, 3]
    assert len(node.runtime.unread) == 0


def test_down_that_a_handler_withdraws_is_not_handled(cluster: Cluster, node: MemoryNode) -> None:
    def withdraw_next(index: int) -> None:
        node.runtime.unread.withdraw(watcher.references[index + 1])

    watcher = watch(cluster, node, withdraw_next)

    deliver(node.runtime, watcher, 4)
    cluster.run_until_idle()

    assert watcher.seen == [0, 2]


def test_exit_signal_takes_effect_between_two_downs(cluster: Cluster, node: MemoryNode) -> None:
    watcher = watch(cluster, node, lambda _: watcher.send_exit(watcher.pid, atoms.kill))

    deliver(node.runtime, watcher, 3)
    cluster.run_until_idle()

    assert (watcher.seen, actor_of(watcher).exit_reason) == ([0], atoms.killed)
    assert len(node.runtime.unread) == 0


def test_server_ended_by_its_own_handler_handles_nothing_more(cluster: Cluster, node: MemoryNode) -> None:
    watcher = watch(cluster, node, lambda _: actor_of(watcher).end(atoms.normal))

    deliver(node.runtime, watcher, 3)
    cluster.run_until_idle()

    assert watcher.seen == [0]
    assert len(node.runtime.unread) == 0


@pytest.mark.usefixtures("quiet")
def test_handler_that_fails_ends_the_server_and_leaves_nothing_unread(cluster: Cluster, node: MemoryNode) -> None:
    watcher = watch(cluster, node, lambda index: 1 // (1 - index) and None)

    deliver(node.runtime, watcher, 3)
    cluster.run_until_idle()

    assert watcher.seen == [0, 1]
    assert actor_of(watcher).ended
    assert len(node.runtime.unread) == 0


def test_continue_runs_before_the_next_down(cluster: Cluster, node: MemoryNode) -> None:
    watcher = watch(cluster, node, lambda index: Continue(atoms.go_on) if index == 0 else None)

    deliver(node.runtime, watcher, 2)
    cluster.run_until_idle()

    assert watcher.seen == [0, atoms.go_on, 1]


def test_server_suspended_by_a_handler_handles_the_rest_later(cluster: Cluster, node: MemoryNode) -> None:
    busy = Narrow()

    def suspend(index: int) -> None:
        if index == 0:
            actor_of(watcher).suspend(busy)

    watcher = watch(cluster, node, suspend)
    deliver(node.runtime, watcher, 3)
    cluster.run_until_idle()
    assert watcher.seen == [0]

    actor_of(watcher).resume(busy)
    cluster.run_until_idle()

    assert watcher.seen == [0, 1, 2]


def test_others_have_their_turn_within_many_downs(cluster: Cluster, node: MemoryNode) -> None:
    other = Recorder()
    node.spawn(other)
    told: list[int] = []
    watcher = watch(cluster, node, lambda index: told.append(index) if other.messages else None)

    deliver(node.runtime, watcher, 3 * BUDGET)
    watcher.send(other.pid, atoms.hello)
    cluster.run_until_idle()

    assert told[0] == BUDGET
    assert watcher.seen == list(range(3 * BUDGET))


async def test_async_handler_is_awaited_before_the_next_down(router: Router) -> None:
    done: list[int] = []

    async def handle(index: int) -> None:
        await asyncio.sleep(0)
        done.append(index)
        assert watcher.seen == done

    watcher = Watcher(handle)
    router.spawn(watcher)
    await asyncio.sleep(0)
    deliver(router, watcher, 3)
    while len(done) < 3:
        await asyncio.sleep(0)

    assert done == [0, 1, 2]


def test_queue_length_counts_downs_one_by_one(cluster: Cluster, node: MemoryNode) -> None:
    watcher = watch(cluster, node, lambda _: None)
    deliver(node.runtime, watcher, 3)
    node.runtime.unread.withdraw(watcher.references[1])

    assert actor_of(watcher).message_queue_len == 2


def test_downs_for_a_dead_process_are_withdrawn(cluster: Cluster, node: MemoryNode) -> None:
    watcher = watch(cluster, node, lambda _: None)
    actor_of(watcher).end(atoms.normal)

    deliver(node.runtime, watcher, 3)

    assert len(node.runtime.unread) == 0


def test_watcher_is_the_running_process_in_a_handler(cluster: Cluster, node: MemoryNode) -> None:
    running: list[Pid | None] = []
    watcher = watch(cluster, node, lambda _: running.append(node.runtime.running()))

    deliver(node.runtime, watcher, 1)
    cluster.run_until_idle()

    assert running == [watcher.pid]
    assert node.runtime.running() is None
