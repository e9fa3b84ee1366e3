from __future__ import annotations

import pytest

from pyzen.config import ZenConfig
from pyzen.terms import Atom, atoms
from pyzen.testing import Cluster, Hoarder, MemoryNode, Recorder, VirtualClock


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def pair(cluster: Cluster) -> tuple[MemoryNode, MemoryNode]:
    return cluster.node("a@memory"), cluster.node("b@memory")


def test_clock_fires_in_order_of_time_then_of_making() -> None:
    clock = VirtualClock()
    fired: list[str] = []
    for delay, name in ((2.0, "late"), (1.0, "first"), (1.0, "second")):
        clock.call_later(delay, fired.append, name)

    clock.move_to(1.0)
    while clock.fire_due():
        pass

    assert fired == ["first", "second"]
    assert clock.next_timer() == 2.0


def test_clock_forgets_cancelled_timers() -> None:
    clock = VirtualClock()
    clock.call_later(1.0, print).cancel()

    assert clock.next_timer() is None


def test_clock_never_goes_back() -> None:
    clock = VirtualClock()
    clock.move_to(2.0)
    clock.move_to(1.0)

    assert clock.now() == 2.0


def test_advance_lets_timers_of_timers_happen(cluster: Cluster) -> None:
    fired: list[float] = []

    def again() -> None:
        fired.append(cluster.clock.now())
        if len(fired) < 3:
            cluster.clock.call_later(1.0, again)

    cluster.clock.call_later(1.0, again)
    cluster.advance(2.5)

    assert fired == [1.0, 2.0]
    assert cluster.clock.now() == 2.5


def test_messages_cross_a_link_in_order_and_decoded(cluster: Cluster, pair: tuple[MemoryNode, MemoryNode]) -> None:
    a, b = pair
    sender, receiver = Recorder(), b.spawn(Recorder())
    a.spawn(sender)
    cluster.connect(a, b)

    for number in range(3):
        sender.send(receiver, (number, "text"))
    cluster.run_until_idle()

    assert b.messages(receiver) == [(number, b"text") for number in range(3)]


def test_sending_dials(cluster: Cluster, pair: tuple[MemoryNode, MemoryNode]) -> None:
    a, b = pair
    sender, receiver = Recorder(), b.spawn(Recorder(), name="receiver")
    a.spawn(sender)

    sender.send(("receiver", "b@memory"), atoms.hello)
    cluster.run_until_idle()

    assert b.messages(receiver) == [atoms.hello]
    assert cluster.dials == [(a.name, b.name)]


def test_a_dial_takes_its_time(cluster: Cluster, pair: tuple[MemoryNode, MemoryNode]) -> None:
    a, b = pair
    cluster.dial_time = 3.0
    watcher = a.spawn(Recorder())
    a.runtime.monitor_node(b.name, watcher)
    a.runtime.dial(b.name, watcher)

    cluster.advance(2.9)
    assert a.messages(watcher) == []
    cluster.advance(0.1)

    assert a.messages(watcher) == [(atoms.nodeup, b.name)]


def test_a_dial_across_a_partition_fails(cluster: Cluster, pair: tuple[MemoryNode, MemoryNode]) -> None:
    a, b = pair
    caller = a.spawn(Recorder())
    cluster.partition(a, b)

    a.runtime.dial(b.name, caller)
    cluster.run_until_idle()
    assert a.messages(caller) == [(atoms.dial_failed, b.name, "unreachable")]

    cluster.heal(a, b)
    a.runtime.dial(b.name, caller)
    cluster.run_until_idle()
    assert a.runtime.link(b.name) is not None


def test_each_link_has_an_epoch_of_its_own(cluster: Cluster, pair: tuple[MemoryNode, MemoryNode]) -> None:
    a, b = pair
    cluster.connect(a, b)
    first = a.runtime.link(b.name)
    cluster.cut(a, b)
    assert a.runtime.link(b.name) is None
    cluster.connect(a, b)

    assert first is not None
    assert a.runtime.link(b.name) not in {None, first}


def test_a_cut_link_loses_what_is_on_the_way(cluster: Cluster, pair: tuple[MemoryNode, MemoryNode]) -> None:
    a, b = pair
    sender, receiver = Recorder(), b.spawn(Recorder())
    me = a.spawn(sender)
    cluster.connect(a, b)
    cluster.run_until_idle()
    ref = sender.monitor(receiver)
    cluster.run_until_idle()

    sender.send(receiver, atoms.lost)
    cluster.cut(a, b)
    cluster.run_until_idle()

    assert b.messages(receiver) == []
    assert a.messages(me) == [(atoms.DOWN, ref, atoms.process, receiver, atoms.noconnection)]


def test_a_frozen_link_delivers_when_thawed(cluster: Cluster, pair: tuple[MemoryNode, MemoryNode]) -> None:
    a, b = pair
    sender, receiver = Recorder(), b.spawn(Recorder())
    a.spawn(sender)
    link = cluster.connect(a, b)
    link.freeze()
    sender.send(receiver, atoms.hello)
    cluster.advance(10)
    assert b.messages(receiver) == []

    link.thaw()
    cluster.run_until_idle()

    assert b.messages(receiver) == [atoms.hello]


def test_a_slow_link_delivers_later(cluster: Cluster, pair: tuple[MemoryNode, MemoryNode]) -> None:
    a, b = pair
    sender, receiver = Recorder(), b.spawn(Recorder())
    a.spawn(sender)
    cluster.connect(a, b).set_delay(2.0)

    sender.send(receiver, atoms.hello)
    cluster.advance(1.9)
    assert b.messages(receiver) == []
    cluster.advance(0.1)

    assert b.messages(receiver) == [atoms.hello]


def test_a_busy_link_says_so(cluster: Cluster, pair: tuple[MemoryNode, MemoryNode]) -> None:
    a, b = pair
    cluster.connect(a, b).set_busy(busy=True)

    link = a.runtime.link(b.name)

    assert link is not None
    assert link[1]


def test_a_stopped_node_is_gone_and_its_name_free(cluster: Cluster, pair: tuple[MemoryNode, MemoryNode]) -> None:
    a, b = pair
    watcher = a.spawn(Recorder())
    a.runtime.monitor_node(b.name, watcher)
    cluster.connect(a, b)

    cluster.stop(b)
    cluster.run_until_idle()
    again = cluster.node("b@memory")

    assert a.messages(watcher) == [(atoms.nodeup, b.name), (atoms.nodedown, b.name)]
    assert again.runtime.creation != b.runtime.creation
    assert b.runtime.processes() == []


def test_a_running_name_is_taken(cluster: Cluster, pair: tuple[MemoryNode, MemoryNode]) -> None:
    with pytest.raises(ValueError, match="a@memory is running"):
        cluster.node("a@memory")
    assert len(pair) == 2


def test_a_hoarder_reads_when_told_to(cluster: Cluster) -> None:
    node = cluster.node("n@memory")
    hoarder = Hoarder()
    pid = node.spawn(hoarder)
    node.runtime.send(pid, pid, atoms.one)
    cluster.run_until_idle()

    assert hoarder.messages == [atoms.one]
    assert (hoarder.read(), hoarder.read()) == (atoms.one, None)


def test_kill_ends_a_process_by_pid_or_name(cluster: Cluster) -> None:
    node = cluster.node("n@memory")
    pid = node.spawn(Recorder(), name="named")

    node.kill(Atom("named"))
    cluster.run_until_idle()

    with pytest.raises(LookupError, match="is not alive"):
        node.process(pid)


def test_zen_is_there_when_asked_for(cluster: Cluster) -> None:
    assert cluster.node("with@memory", zen=ZenConfig()).zen.statistics().live == 0
    with pytest.raises(RuntimeError, match="runs without ZenMonitor"):
        _ = cluster.node("without@memory").zen
