"""The router's rules between two nodes in memory, and within one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from pyzen.actor.signals import (
    Demonitor,
    Down,
    Exit,
    Exit2,
    GroupLeader,
    Link,
    Monitor,
    SpawnReply,
    Unlink,
    UnlinkAck,
)
from pyzen.actor.verbs import actor_of
from pyzen.errors import NameTaken, NoProcess, ProcessExit
from pyzen.terms import Atom, Pid, atoms
from pyzen.testing import Cluster, MemoryNode, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.terms import Reference


class World:
    """A process ``me`` on ``a``, and processes next to it or on ``b``."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.a = self.cluster.node("a@memory")
        self.b = self.cluster.node("b@memory")
        self.cluster.connect(self.a, self.b)
        self.me = Recorder()
        self.me.trap_exit = True
        self.a.spawn(self.me)

    def other(self, where: MemoryNode, name: str | None = None) -> Recorder:
        process = Recorder()
        where.spawn(process, name=name)
        return process

    def run(self) -> list[Any]:
        """Let everything happen; returns what ``me`` has got since."""
        self.cluster.run_until_idle()
        messages, self.me.messages = self.me.messages, []
        return messages

    def end(self, process: Recorder, reason: Any = atoms.boom) -> None:
        actor_of(process).end(reason)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=["here", "there"])
def where(request: pytest.FixtureRequest, world: World) -> MemoryNode:
    """The node of the other process: the same one, or the other."""
    return world.a if request.param == "here" else world.b


def down(ref: Reference, target: Any, reason: Any) -> tuple[Any, ...]:
    return atoms.DOWN, ref, atoms.process, target, reason


def dead_pid(world: World, where: MemoryNode) -> Pid:
    process = world.other(where)
    world.end(process)
    return process.pid


# ---- monitors


def test_monitor_by_pid_tells_the_reason(world: World, where: MemoryNode) -> None:
    other = world.other(where)
    ref = world.me.monitor(other.pid)
    world.run()

    world.end(other)

    assert world.run() == [down(ref, other.pid, atoms.boom)]


def test_monitor_by_name_tells_name_and_node(world: World, where: MemoryNode) -> None:
    other = world.other(where, "worker")
    ref = world.me.monitor(("worker", where.name))
    world.run()

    world.end(other)

    assert world.run() == [down(ref, (atoms.worker, where.name), atoms.boom)]


def test_monitor_of_a_dead_process_tells_noproc(world: World, where: MemoryNode) -> None:
    pid = dead_pid(world, where)

    ref = world.me.monitor(pid)

    assert world.run() == [down(ref, pid, atoms.noproc)]


def test_monitor_of_a_free_name_tells_noproc(world: World, where: MemoryNode) -> None:
    ref = world.me.monitor(("nobody", where.name))

    assert world.run() == [down(ref, (atoms.nobody, where.name), atoms.noproc)]


@pytest.mark.parametrize("target", [Pid("c@memory", 1, 0, 9), (atoms.worker, Atom("c@memory"))])
def test_monitor_of_a_node_out_of_reach_tells_noconnection(world: World, target: Any) -> None:
    ref = world.me.monitor(target)

    assert world.run() == [down(ref, target, atoms.noconnection)]


def test_monitor_dials(world: World) -> None:
    other = world.other(world.b)
    world.cluster.cut(world.a, world.b)

    world.me.monitor(other.pid)
    assert world.run() == []

    assert world.a.runtime.link(world.b.name) is not None


def test_monitor_fires_once_when_the_link_is_lost(world: World) -> None:
    other = world.other(world.b)
    ref = world.me.monitor(other.pid)
    world.run()

    world.cluster.cut(world.a, world.b)
    assert world.run() == [down(ref, other.pid, atoms.noconnection)]

    world.cluster.connect(world.a, world.b)
    world.end(other)
    assert world.run() == []


@pytest.mark.parametrize("by", ["pid", "name"])
def test_demonitor_reaches_the_monitored_process(world: World, where: MemoryNode, by: str) -> None:
    other = world.other(where, "worker")
    ref = world.me.monitor(other.pid if by == "pid" else ("worker", where.name))
    world.run()
    assert ref in actor_of(other).relations.watchers

    assert world.me.demonitor(ref)
    world.run()

    assert actor_of(other).relations.watchers == {}
    world.end(other)
    assert world.run() == []


def test_demonitor_of_a_lost_node_dials_nobody(world: World) -> None:
    ref = world.me.monitor(world.other(world.b).pid)
    world.cluster.cut(world.a, world.b)

    world.me.demonitor(ref)
    world.run()

    assert world.cluster.dials == []


def test_watcher_on_a_lost_node_is_forgotten(world: World) -> None:
    other = world.other(world.b)
    world.me.monitor(other.pid)
    world.run()

    world.cluster.cut(world.a, world.b)
    world.run()

    assert actor_of(other).relations.watchers == {}


# ---- links


def test_link_brings_the_exit_signal_both_ways(world: World, where: MemoryNode) -> None:
    first, second = world.other(where), world.other(where)
    second.trap_exit = True
    world.me.link(first.pid)
    second.link(world.me.pid)
    world.run()

    world.end(first)
    assert world.run() == [(atoms.EXIT, first.pid, atoms.boom)]
    world.end(world.me)
    world.run()
    assert second.messages == [(atoms.EXIT, world.me.pid, atoms.boom)]


def test_link_ends_a_process_that_does_not_trap(world: World, where: MemoryNode) -> None:
    other = world.other(where)
    other.link(world.me.pid)
    world.run()

    world.end(world.me)
    world.run()

    assert actor_of(other).exit_reason is atoms.boom


def test_link_with_a_dead_process_brings_noproc(world: World, where: MemoryNode) -> None:
    pid = dead_pid(world, where)

    world.me.link(pid)

    assert world.run() == [(atoms.EXIT, pid, atoms.noproc)]


def test_link_with_a_node_out_of_reach_brings_noconnection(world: World) -> None:
    pid = Pid("c@memory", 1, 0, 9)

    world.me.link(pid)

    assert world.run() == [(atoms.EXIT, pid, atoms.noconnection)]


def test_lost_node_breaks_links_at_both_ends(world: World) -> None:
    other = world.other(world.b)
    world.me.link(other.pid)
    world.run()

    world.cluster.cut(world.a, world.b)

    assert world.run() == [(atoms.EXIT, other.pid, atoms.noconnection)]
    assert actor_of(other).exit_reason is atoms.noconnection


def test_unlink_keeps_exit_signals_away_and_is_acknowledged(world: World, where: MemoryNode) -> None:
    other = world.other(where)
    world.me.link(other.pid)
    world.run()

    world.me.unlink(other.pid)
    world.run()

    assert (actor_of(world.me).relations.links, actor_of(other).relations.links) == ({}, {})
    world.end(other)
    assert world.run() == []


def test_unlink_of_a_process_that_ended_meanwhile_is_acknowledged(world: World, where: MemoryNode) -> None:
    other = world.other(where)
    world.me.link(other.pid)
    world.run()
    world.end(other)

    world.me.unlink(other.pid)

    assert world.run() == []
    assert actor_of(world.me).relations.links == {}


def test_spawn_with_a_link_elsewhere_links_over_the_wire(world: World) -> None:
    child = Recorder()
    child.trap_exit = True
    other = world.other(world.b)

    world.a.runtime.spawn(child, link=other.pid)
    world.run()
    world.end(other)
    world.run()

    assert actor_of(child).exit_reason is atoms.boom, "the end of the parent ends a server that traps exits"


# ---- exit/2


def test_exit_signal_ends_a_process(world: World, where: MemoryNode) -> None:
    other = world.other(where)

    world.me.send_exit(other.pid, atoms.boom)
    world.run()

    assert actor_of(other).exit_reason is atoms.boom


def test_exit_signal_to_a_dead_process_does_nothing(world: World, where: MemoryNode) -> None:
    world.me.send_exit(dead_pid(world, where), atoms.boom)

    assert world.run() == []


# ---- messages


@pytest.mark.parametrize("by", ["pid", "name"])
def test_send_reaches_a_process(world: World, where: MemoryNode, by: str) -> None:
    other = world.other(where, "worker")

    world.me.send(other.pid if by == "pid" else ("worker", where.name), atoms.hello)
    world.run()

    assert other.messages == [atoms.hello]


def test_reply_to_an_alias_arrives_once(world: World, where: MemoryNode) -> None:
    other = world.other(where)
    ref = world.me.send_request(other.pid, atoms.question)

    for answer in (1, 2):
        other.send(ref, (ref, answer))

    assert world.run() == [(ref, 1)]


@pytest.mark.parametrize(
    "dest",
    [
        dead_pid,
        lambda _, where: ("nobody", where.name),
        lambda _, where: where.runtime.make_ref(),
        lambda *_: Pid("c@memory", 1, 0, 9),
    ],
)
def test_send_to_nobody_is_dropped(world: World, where: MemoryNode, dest: Callable[[World, MemoryNode], Any]) -> None:
    world.me.send(dest(world, where), atoms.hello)

    assert world.run() == []


def test_send_to_a_free_local_name_raises(world: World) -> None:
    with pytest.raises(NoProcess, match="'nobody'"):
        world.me.send("nobody", atoms.hello)


@pytest.mark.parametrize("dest", [5, b"worker", ("worker",), ("worker", 5), None])
def test_send_to_what_is_no_destination_raises(world: World, dest: Any) -> None:
    with pytest.raises(TypeError, match="a pid, a name"):
        world.me.send(dest, atoms.hello)


def test_send_without_dialling_to_a_lost_node_is_dropped(world: World) -> None:
    world.cluster.cut(world.a, world.b)

    world.me.send(("worker", world.b.name), atoms.hello, dial=False)

    assert world.cluster.dials == []


def test_what_is_sent_during_a_dial_arrives_in_order(world: World) -> None:
    other = world.other(world.b, "worker")
    world.cluster.cut(world.a, world.b)
    world.cluster.dial_time = 1

    for number in range(3):
        world.me.send(("worker", world.b.name), number)
    world.cluster.advance(1)

    assert other.messages == [0, 1, 2]
    assert len(world.cluster.dials) == 1


# ---- names


def test_register_frees_the_name_with_the_process(world: World) -> None:
    other = world.other(world.a)
    world.a.runtime.register("worker", other.pid)
    assert world.a.runtime.whereis("worker") == other.pid

    world.end(other)

    assert world.a.runtime.whereis("worker") is None


def test_register_of_a_taken_name_raises(world: World) -> None:
    world.other(world.a, "worker")

    with pytest.raises(NameTaken, match="'worker' is taken"):
        world.a.runtime.register("worker", world.me.pid)


def test_register_of_undefined_raises(world: World) -> None:
    with pytest.raises(NameTaken):
        world.a.runtime.register("undefined", world.me.pid)


def test_register_under_a_second_name_raises(world: World) -> None:
    other = world.other(world.a, "worker")

    with pytest.raises(NameTaken, match="registered as 'worker' already"):
        world.a.runtime.register("second", other.pid)


def test_register_of_a_process_elsewhere_raises(world: World) -> None:
    with pytest.raises(NoProcess, match="no live process of this node"):
        world.a.runtime.register("worker", world.other(world.b).pid)


@pytest.mark.parametrize("name", [True, 5, None])
def test_register_of_what_is_no_name_raises(world: World, name: Any) -> None:
    with pytest.raises(TypeError):
        world.a.runtime.register(name, world.me.pid)


def test_unregister_frees_the_name_only(world: World) -> None:
    other = world.other(world.a, "worker")

    world.a.runtime.unregister("worker")

    assert world.a.runtime.whereis("worker") is None
    assert not actor_of(other).ended
    world.a.runtime.register("again", other.pid)


def test_unregister_of_a_free_name_raises(world: World) -> None:
    with pytest.raises(NoProcess, match="'worker'"):
        world.a.runtime.unregister("worker")


# ---- nodes


def test_node_monitor_tells_loss_and_return(world: World) -> None:
    world.a.runtime.monitor_node(world.b.name, world.me.pid)

    world.cluster.cut(world.a, world.b)
    world.cluster.connect(world.a, world.b)

    assert world.run() == [(atoms.nodedown, world.b.name), (atoms.nodeup, world.b.name)]


def test_node_monitors_are_counted(world: World) -> None:
    runtime = world.a.runtime
    for _ in range(3):
        runtime.monitor_node(world.b.name, world.me.pid)
    runtime.demonitor_node(world.b.name, world.me.pid)

    world.cluster.cut(world.a, world.b)

    assert world.run() == [(atoms.nodedown, world.b.name)] * 2


def test_node_monitor_undone_more_often_than_made_is_silent(world: World) -> None:
    runtime = world.a.runtime
    runtime.monitor_node(world.b.name, world.me.pid)
    for _ in range(2):
        runtime.demonitor_node(world.b.name, world.me.pid)

    world.cluster.cut(world.a, world.b)

    assert world.run() == []


def test_node_monitor_ends_with_its_process(world: World) -> None:
    other = world.other(world.a)
    world.a.runtime.monitor_node(world.b.name, other.pid)

    world.end(other)

    assert world.b.name not in world.a.runtime._node_monitors


def test_dial_of_a_node_out_of_reach_tells_who_asked(world: World) -> None:
    world.a.runtime.dial(Atom("c@memory"), world.me.pid)

    assert world.run() == [(atoms.dial_failed, Atom("c@memory"), "unreachable")]


def test_dial_of_a_linked_node_does_nothing(world: World) -> None:
    world.a.runtime.dial(world.b.name, world.me.pid)

    assert world.run() == []
    assert world.cluster.dials == []


# ---- what peers say


def test_signals_for_processes_of_other_nodes_are_dropped(world: World) -> None:
    """Also where there is a link to that node: nothing is passed on."""
    theirs, foreign = world.other(world.b).pid, world.other(world.b).pid
    ref = world.b.runtime.make_ref()

    for signal in (
        Link(foreign, theirs),
        Unlink(foreign, theirs, 1),
        UnlinkAck(foreign, theirs, 1),
        Exit(foreign, theirs, atoms.boom),
        Exit2(foreign, theirs, atoms.boom),
        Monitor(foreign, theirs, ref),
        Demonitor(foreign, theirs, ref),
        Down(foreign, ref, theirs, atoms.boom),
        GroupLeader(foreign, theirs),
        SpawnReply(foreign, ref, 0, atoms.notsup),
    ):
        world.a.runtime.route_inward(signal)
    world.run()

    assert world.cluster.dials == []
    assert list(world.cluster.link(world.a, world.b).way(world.a).sent) == []


def test_messages_of_peers_find_a_process_by_number(world: World) -> None:
    world.a.runtime.deliver(world.me.pid.number, [1, 2])
    world.a.runtime.deliver(999_999, [3])

    assert world.run() == [1, 2]


def test_messages_of_peers_find_a_process_by_name(world: World) -> None:
    named = world.other(world.a, "named")

    world.a.runtime.deliver(Atom("named"), [1, 2])
    world.a.runtime.deliver(Atom("nobody"), [3])
    world.run()

    assert named.messages == [1, 2]


def test_message_to_the_name_true_is_not_for_process_number_1(world: World) -> None:
    assert world.me.pid.number == 1

    world.a.runtime.deliver(cast("Any", True), [atoms.lost])

    assert world.run() == []


def test_exit_signal_to_an_alias_ends_the_process_that_has_it(world: World) -> None:
    theirs, ours = world.other(world.b).pid, world.other(world.a)
    alias = world.a.runtime.make_ref()
    world.a.runtime.add_alias(alias, actor_of(ours))

    world.a.runtime.route_inward(Exit2(world.a.runtime.make_ref(), theirs, atoms.boom))
    world.run()
    assert not actor_of(ours).ended

    world.a.runtime.route_inward(Exit2(alias, theirs, atoms.boom))
    world.run()
    assert actor_of(ours).exit_reason is atoms.boom


def test_exit_signal_to_an_alias_of_another_node_goes_there(world: World) -> None:
    other = world.other(world.b)
    alias = world.b.runtime.make_ref()
    world.b.runtime.add_alias(alias, actor_of(other))

    world.me.send_exit(alias, atoms.boom, priority=True)
    world.run()

    assert actor_of(other).exit_reason is atoms.boom


def test_group_leader_changes_nothing(world: World) -> None:
    world.a.runtime.route_inward(GroupLeader(world.me.pid, world.other(world.b).pid))

    assert world.run() == []


def test_signals_that_nobody_waits_for_are_ignored(world: World) -> None:
    theirs, ref = world.other(world.b).pid, world.b.runtime.make_ref()

    for signal in (
        Exit(world.me.pid, theirs, atoms.boom),
        UnlinkAck(world.me.pid, theirs, 7),
        Demonitor(world.me.pid, theirs, ref),
        Demonitor((atoms.nobody, world.a.name), theirs, ref),
        Down(world.me.pid, ref, theirs, atoms.boom),
    ):
        world.a.runtime.route_inward(signal)

    assert world.run() == []
    assert not actor_of(world.me).ended


def test_verbs_of_an_ended_process_raise(world: World) -> None:
    other = world.other(world.a)
    world.end(other)

    with pytest.raises(ProcessExit):
        other.monitor(world.me.pid)
