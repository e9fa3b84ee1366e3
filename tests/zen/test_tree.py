"""The processes of ZenMonitor end, are stopped and come back; every reference has one outcome."""

from __future__ import annotations

from typing import Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.requests import GEN_CALL
from pyzen.errors import NameTaken
from pyzen.terms import Atom, Pid, atoms
from pyzen.testing import Recorder
from pyzen.zen.names import (
    BATCHERS,
    CONNECTORS,
    DISPATCHER,
    LOCAL,
    LOCAL_SUPERVISOR,
    LOCAL_TABLES,
    NAMES,
    PROXY,
    PROXY_SUPERVISOR,
    PROXY_TABLES,
    SUPERVISOR,
)
from tests.zen.conftest import World

ENDS_ALL = {SUPERVISOR}
"""What takes everything along."""


def ask(world: World, name: Atom, request: Any) -> Any:
    """Call a process of ``a`` from ``b``, as an operator does."""
    operator = Recorder()
    pid = world.b.spawn(operator)
    operator.send((name, world.a.name), (GEN_CALL, (pid, 1), request))
    world.wait(0.05)
    (answer,) = operator.messages
    return answer[1]


def kill(world: World, name: Atom) -> None:
    pid = world.a.runtime.whereis(name)
    assert pid is not None
    world.a.kill(pid)
    world.wait(0.001)


def crash_proxy(world: World, times: int) -> None:
    """End the Proxy of ``a`` so often, forty milliseconds apart, unless it is not there."""
    for _ in range(times):
        pid = world.a.runtime.whereis(PROXY)
        if pid is not None:
            world.a.kill(pid)
        world.wait(0.04)


def is_whole(world: World) -> bool:
    return all(world.a.runtime.whereis(name) is not None for name in NAMES)


# ---- ends


@pytest.mark.parametrize("name", NAMES)
def test_every_process_comes_back(linked: World, quiet: None, name: Atom) -> None:
    before = linked.a.runtime.whereis(name)

    kill(linked, name)
    linked.wait(2)

    assert is_whole(linked)
    assert linked.a.runtime.whereis(name) != before


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_has_one_outcome_whatever_ends(linked: World, quiet: None, name: Atom) -> None:
    """Made before, while it is away, and afterwards."""
    targets = linked.workers(3)
    before = linked.monitor(targets[0])
    linked.wait()
    kill(linked, name)
    meanwhile = linked.monitor(targets[1])
    linked.wait(3)
    after = linked.monitor(targets[2])
    linked.wait()

    for target in targets:
        linked.b.kill(target)
    linked.wait(3)

    reason = atoms.nodedown if name in ENDS_ALL else atoms.killed
    assert sorted(linked.downs()) == sorted([(before, reason), (meanwhile, atoms.killed), (after, atoms.killed)])
    assert linked.statistics().references == 0


@pytest.mark.parametrize("name", NAMES)
def test_reference_can_be_made_in_every_step_of_an_end(linked: World, quiet: None, name: Atom) -> None:
    """A supervisor that ends stops its parts one after the other: none of them is stopped on purpose."""
    zen, failures = linked.a.zen, []
    target = linked.worker()

    class Asking(GenServer):
        def init(self, other: Pid | None = None) -> None:
            if other is not None:
                self.cast(other, (200, self.pid))

        def handle_cast(self, request: tuple[int, Pid]) -> None:
            left, other = request
            try:
                zen.monitor(target)
            except RuntimeError as error:
                failures.append((left, error))
            if left:
                self.cast(other, (left - 1, self.pid))

    linked.a.runtime.spawn(Asking, linked.a.spawn(Asking))
    linked.a.kill(name)
    linked.wait(3)

    assert failures == []


def test_death_while_everything_is_away_is_told_afterwards(linked: World, quiet: None) -> None:
    kill(linked, SUPERVISOR)
    target = linked.worker()
    ref = linked.monitor(target)
    linked.b.kill(target)

    linked.wait(3)

    assert linked.downs() == [(ref, atoms.noproc)]


def test_crashes_of_the_proxy_take_nothing_from_anybody(linked: World, quiet: None) -> None:
    """Sixteen use up what the supervisors above allow; the original's application ends then."""
    ref = linked.monitor(linked.worker())
    linked.wait()

    crash_proxy(linked, 64)
    linked.wait(70)

    assert is_whole(linked)
    assert linked.downs() == [(ref, atoms.nodedown)]
    assert linked.statistics().counters["nodedown_restarted"] == 1
    later = linked.worker()
    ref = linked.monitor(later)
    linked.wait()
    linked.b.kill(later)
    linked.wait()
    assert linked.downs()[1:] == [(ref, atoms.killed)]


def test_failures_of_everything_are_further_and_further_apart(linked: World, quiet: None) -> None:
    """One second, two, four: what crashes at once each time is not started a thousand times."""
    waits = []
    for _ in range(4):
        kill(linked, SUPERVISOR)
        waits.append(0.0)
        while linked.a.runtime.whereis(SUPERVISOR) is None:
            linked.wait(0.25)
            waits[-1] += 0.25

    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_end_of_everything_is_told_once(linked: World, caplog: pytest.LogCaptureFixture) -> None:
    linked.monitor(linked.worker())
    linked.wait()

    kill(linked, SUPERVISOR)
    linked.wait(3)

    (line,) = [record for record in caplog.records if "all of ZenMonitor" in record.getMessage()]
    assert line.levelname == "ERROR"
    assert "1 references fire nodedown" in line.getMessage()


def test_watchers_elsewhere_hear_of_the_end(linked: World, quiet: None) -> None:
    target = linked.a.spawn(Recorder())
    watcher = linked.b.spawn(Recorder())
    linked.b.zen.monitor(target, subscriber=watcher)
    linked.wait()

    kill(linked, SUPERVISOR)
    linked.wait(3)

    assert [message[4] for message in linked.b.messages(watcher)] == [(atoms.zen_monitor, atoms.nodedown)]
    assert linked.statistics().subscriptions == 0


def test_ordinary_monitors_end_with_everything(quiet: None) -> None:
    """Those that stand for references to a node without ZenMonitor."""
    world = World(zen_on_b=False)
    world.a.zen.config.incompatible = "erts"
    world.cluster.connect(world.a, world.b)
    target = world.worker()
    before = world.monitor(target)
    world.wait(5)
    assert world.statistics().erts_monitors == 1
    kill(world, SUPERVISOR)
    after = world.monitor(target)
    world.wait(10)

    world.b.kill(target)
    world.wait(5)

    assert world.downs() == [(before, atoms.nodedown), (after, atoms.killed)]
    assert world.statistics().erts_monitors == 0


# ---- stopped on purpose


def test_children_have_the_names_of_the_original(linked: World) -> None:
    assert [row[0] for row in ask(linked, SUPERVISOR, atoms.which_children)] == [PROXY_SUPERVISOR, LOCAL_SUPERVISOR]
    rows = ask(linked, LOCAL_SUPERVISOR, atoms.which_children)
    assert [(row[0], row[2], row[3]) for row in rows] == [
        (DISPATCHER, atoms.worker, [DISPATCHER]),
        (CONNECTORS, atoms.supervisor, [Atom("Elixir.GenRegistry")]),
        (LOCAL, atoms.worker, [LOCAL]),
        (LOCAL_TABLES, atoms.worker, [LOCAL_TABLES]),
    ]


@pytest.mark.parametrize("half", [LOCAL_SUPERVISOR, PROXY_SUPERVISOR])
def test_half_is_stopped_and_started_again(linked: World, half: Atom) -> None:
    target = linked.worker()
    ref = linked.monitor(target)
    linked.wait()

    assert ask(linked, SUPERVISOR, (atoms.terminate_child, half)) is atoms.ok
    linked.wait(70)
    assert linked.a.runtime.whereis(half) is None
    word, pid = ask(linked, SUPERVISOR, (atoms.restart_child, half))
    linked.wait()
    linked.b.kill(target)
    linked.wait()

    assert word is atoms.ok
    assert isinstance(pid, Pid)
    assert is_whole(linked)
    assert linked.downs() == [(ref, atoms.killed)]


def test_nothing_can_be_monitored_while_the_local_half_is_stopped(linked: World) -> None:
    ask(linked, SUPERVISOR, (atoms.terminate_child, LOCAL_SUPERVISOR))

    with pytest.raises(RuntimeError, match="is stopped"):
        linked.monitor(linked.worker())

    ask(linked, SUPERVISOR, (atoms.restart_child, LOCAL_SUPERVISOR))
    linked.monitor(linked.worker())


def test_nothing_can_be_monitored_while_everything_is_stopped(linked: World) -> None:
    linked.a.zen.stop()

    with pytest.raises(RuntimeError, match="is stopped"):
        linked.monitor(linked.worker())


@pytest.mark.parametrize("part", [LOCAL, CONNECTORS, DISPATCHER])
def test_nothing_can_be_monitored_while_a_part_of_the_local_half_is_stopped(linked: World, part: Atom) -> None:
    """It was possible a moment before."""
    linked.monitor(linked.worker())
    ask(linked, LOCAL_SUPERVISOR, (atoms.terminate_child, part))

    with pytest.raises(RuntimeError, match="is stopped"):
        linked.monitor(linked.worker())

    ask(linked, LOCAL_SUPERVISOR, (atoms.restart_child, part))
    linked.monitor(linked.worker())


@pytest.mark.parametrize(
    ("supervisor", "part"),
    [(SUPERVISOR, LOCAL_SUPERVISOR), (LOCAL_SUPERVISOR, DISPATCHER), (PROXY_SUPERVISOR, BATCHERS)],
)
def test_nobody_elsewhere_deletes_a_part(linked: World, supervisor: Atom, part: Atom) -> None:
    ask(linked, supervisor, (atoms.terminate_child, part))

    assert ask(linked, supervisor, (atoms.delete_child, part)) == (atoms.error, atoms.refused)
    assert ask(linked, supervisor, (atoms.restart_child, part))[0] is atoms.ok


def test_nobody_gives_orders_to_the_guardian(linked: World) -> None:
    top = linked.a.actor(SUPERVISOR)
    assert top.parent is not None
    operator = Recorder()
    pid = linked.b.spawn(operator)
    for number, word in enumerate((atoms.terminate_child, atoms.delete_child)):
        operator.send(top.parent, (GEN_CALL, (pid, number), (word, SUPERVISOR)))
    linked.wait()

    assert operator.messages == [(0, (atoms.error, atoms.refused)), (1, (atoms.error, atoms.refused))]
    assert is_whole(linked)


def test_nobody_at_home_ends_the_guardian(linked: World, quiet: None) -> None:
    top = linked.a.actor(SUPERVISOR)
    assert top.parent is not None
    linked.a.kill(top.parent)
    linked.wait()

    assert linked.a.actor(SUPERVISOR) is top
    assert is_whole(linked)


@pytest.mark.parametrize("name", NAMES)
def test_name_that_is_taken_while_its_process_is_away_costs_no_outcome(linked: World, quiet: None, name: Atom) -> None:
    targets = linked.workers(2)
    before = linked.monitor(targets[0])
    linked.wait()
    actor = linked.a.actor(name)
    actor.end(atoms.killed)
    squatter = linked.a.spawn(Recorder(), name=name)
    linked.wait(30)
    during = linked.monitor(targets[1])
    if linked.a.runtime.actor(squatter) is not None:  # as the Proxy it gets casts that end it
        linked.a.kill(squatter)
    linked.wait(70)
    for target in targets:
        linked.b.kill(target)
    linked.wait(5)

    assert is_whole(linked)
    assert sorted(ref for ref, _ in linked.downs()) == sorted([before, during])


@pytest.mark.parametrize("name", NAMES)
def test_start_right_after_stop_works_whatever_has_just_ended(linked: World, quiet: None, name: Atom) -> None:
    """The parts below it have been told to end, and have not come to it yet."""
    linked.a.actor(name).end(atoms.killed)

    linked.a.zen.stop()
    linked.a.zen.start()

    assert is_whole(linked)


@pytest.mark.parametrize("name", NAMES)
def test_start_says_which_name_is_taken(world: World, name: Atom) -> None:
    world.a.zen.stop()
    world.wait()
    world.a.spawn(Recorder(), name=name)

    with pytest.raises(NameTaken, match=str(name)):
        world.a.zen.start()


def test_connect_is_answered_while_the_local_half_is_stopped(linked: World) -> None:
    answers: list[str] = []
    linked.cluster.link(linked.a, linked.b).freeze()
    linked.a.zen.connect("other@memory", answers.append)
    linked.a.runtime.deliver(SUPERVISOR, [(GEN_CALL, (linked.me, 1), (atoms.terminate_child, LOCAL_SUPERVISOR))])
    linked.wait(0.05)
    linked.a.zen.connect(linked.b.name, answers.append)
    linked.a.zen.stop()
    linked.a.zen.connect(linked.b.name, answers.append)

    assert answers == ["incompatible"] * 3


def test_proxy_half_that_is_stopped_keeps_nobody_from_monitoring(linked: World) -> None:
    ask(linked, SUPERVISOR, (atoms.terminate_child, PROXY_SUPERVISOR))
    target = linked.worker()
    ref = linked.monitor(target)
    linked.wait()

    linked.b.kill(target)
    linked.wait()

    assert linked.downs() == [(ref, atoms.killed)]


def test_stop_ends_the_last_started_first(linked: World) -> None:
    watcher = Recorder()
    linked.a.spawn(watcher)
    refs = {watcher.monitor(name): name for name in NAMES}
    linked.wait(0.001)

    linked.a.zen.stop()
    linked.wait()

    order = [refs[message[1]] for message in watcher.messages]
    assert order == [
        BATCHERS, PROXY, PROXY_TABLES, PROXY_SUPERVISOR, DISPATCHER, CONNECTORS, LOCAL, LOCAL_TABLES, LOCAL_SUPERVISOR,
        SUPERVISOR,
    ]  # fmt: skip
