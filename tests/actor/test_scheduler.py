from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.actor.scheduler import BUDGET, SHARE, TURN, Scheduler
from pyzen.terms import atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.terms import Atom


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Worker:
    """Works off a number of messages, each of which takes some time."""

    born_of: Atom | None = None

    def __init__(self, name: str, left: int, log: list[tuple[str, int]], clock: Clock, takes: float = 0.0) -> None:
        self._row = name, log, clock, takes
        self.left = left

    def run(self, budget: int) -> bool:
        name, log, clock, takes = self._row
        done = min(budget, self.left)
        self.left -= done
        clock.now += done * takes
        log.append((name, done))
        return self.left > 0


@pytest.fixture
def turns() -> list[Callable[[], None]]:
    """What the event loop is going to call."""
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scheduler(turns: list[Callable[[], None]], clock: Clock) -> Scheduler:
    return Scheduler(turns.append, clock)


def test_process_runs_in_a_later_turn(scheduler: Scheduler, turns: list[Callable[[], None]], clock: Clock) -> None:
    log: list[tuple[str, int]] = []

    scheduler.ready(Worker("a", 1, log, clock))
    assert log == []
    turns.pop()()

    assert log == [("a", 1)]
    assert turns == []


def test_many_ready_processes_are_one_call_of_the_loop(
    scheduler: Scheduler, turns: list[Callable[[], None]], clock: Clock
) -> None:
    for name in "abc":
        scheduler.ready(Worker(name, 1, [], clock))

    assert len(turns) == 1


def test_held_scheduler_asks_for_no_turn(scheduler: Scheduler, turns: list[Callable[[], None]], clock: Clock) -> None:
    log: list[tuple[str, int]] = []
    scheduler.hold()

    scheduler.ready(Worker("a", 1, log, clock))
    scheduler.run()

    assert log == [("a", 1)]
    assert turns == []


def test_processes_take_turns_by_budget(scheduler: Scheduler, turns: list[Callable[[], None]], clock: Clock) -> None:
    log: list[tuple[str, int]] = []
    scheduler.ready(Worker("a", 2 * BUDGET + 1, log, clock))
    scheduler.ready(Worker("b", 1, log, clock))

    turns.pop()()

    assert log == [("a", BUDGET), ("b", 1), ("a", BUDGET), ("a", 1)]


def test_loop_gets_its_chance_after_a_turn(scheduler: Scheduler, turns: list[Callable[[], None]], clock: Clock) -> None:
    log: list[tuple[str, int]] = []
    scheduler.ready(Worker("a", 3 * BUDGET, log, clock, takes=TURN / BUDGET))

    turns.pop()()

    assert log == [("a", BUDGET)]
    assert len(turns) == 1


def test_exception_of_a_process_leaves_the_others_their_turn(
    scheduler: Scheduler, turns: list[Callable[[], None]], clock: Clock
) -> None:
    class Fatal(Worker):
        def run(self, budget: int) -> bool:
            raise SystemExit

    log: list[tuple[str, int]] = []
    scheduler.ready(Fatal("fatal", 1, log, clock))
    scheduler.ready(Worker("b", 1, log, clock))

    with pytest.raises(SystemExit):
        turns.pop()()
    turns.pop()()

    assert log == [("b", 1)]


def caused_by(node: Atom, worker: Worker) -> Worker:
    worker.born_of = node
    return worker


def test_peers_take_turns(scheduler: Scheduler, turns: list[Callable[[], None]], clock: Clock) -> None:
    log: list[tuple[str, int]] = []
    for number in range(3):
        scheduler.ready(caused_by(atoms.foe, Worker(f"foe {number}", 1, log, clock, takes=SHARE)))
    scheduler.ready(caused_by(atoms.friend, Worker("friend", 1, log, clock)))
    scheduler.ready(Worker("own", 1, log, clock))

    turns.pop()()

    assert [name for name, _ in log] == ["foe 0", "friend", "own", "foe 1", "foe 2"]
    assert turns == []


def test_a_turn_of_a_peer_has_many_that_are_short(
    scheduler: Scheduler, turns: list[Callable[[], None]], clock: Clock
) -> None:
    log: list[tuple[str, int]] = []
    for number in range(50):
        scheduler.ready(caused_by(atoms.foe, Worker("foe", 1, log, clock, takes=SHARE / 10)))
        scheduler.ready(caused_by(atoms.friend, Worker("friend", 1, log, clock, takes=SHARE / 1000 * number)))

    turns.pop()()

    names = [name for name, _ in log]
    assert names[:10] == ["foe"] * 10
    assert names[10] == "friend"
    assert names.index("foe", 11) > 20


def test_a_peer_whose_processes_have_much_to_do_has_its_turn_again(
    scheduler: Scheduler, turns: list[Callable[[], None]], clock: Clock
) -> None:
    log: list[tuple[str, int]] = []
    scheduler.ready(caused_by(atoms.foe, Worker("foe", 3 * BUDGET, log, clock, takes=SHARE / BUDGET)))
    scheduler.ready(caused_by(atoms.friend, Worker("friend", 2 * BUDGET, log, clock, takes=SHARE / BUDGET)))

    while turns:
        turns.pop()()

    assert [name for name, _ in log] == ["foe", "friend", "foe", "friend", "foe"]


def test_exception_of_a_process_leaves_its_peer_its_turn(
    scheduler: Scheduler, turns: list[Callable[[], None]], clock: Clock
) -> None:
    class Fatal(Worker):
        def run(self, budget: int) -> bool:
            raise SystemExit

    log: list[tuple[str, int]] = []
    for worker in Fatal("fatal", 1, log, clock), Worker("b", 1, log, clock), Fatal("last", 1, log, clock):
        scheduler.ready(caused_by(atoms.foe, worker))
    for _ in range(2):
        with pytest.raises(SystemExit):
            turns.pop()()
    scheduler.ready(caused_by(atoms.foe, Worker("c", 1, log, clock)))
    while turns:
        turns.pop()()

    assert log == [("b", 1), ("c", 1)]
