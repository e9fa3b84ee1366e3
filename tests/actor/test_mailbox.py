from __future__ import annotations

import time
from itertools import islice
from typing import Any

import pytest

from pyzen.actor.mailbox import MAX_LOOKED_AT, NOTHING, Mailqueue
from pyzen.monitor_table import MonitorTable, Unreads
from pyzen.terms import Pid, Reference, ReferenceSource, atoms


def ref(number: int) -> Reference:
    return Reference("n@h", 4, [7, 0, 0, number, 0])


def down(number: int) -> tuple[Any, ...]:
    return atoms.DOWN, ref(number)


@pytest.fixture
def unreads() -> Unreads:
    return Unreads(ReferenceSource("n@h", 4))


@pytest.fixture
def queue(unreads: Unreads) -> Mailqueue:
    """Messages 0 to 3, the even ones DOWNs."""
    queue = Mailqueue()
    for number in range(4):
        queue.append(number if number % 2 else unreads.add(ref(number), down(number)))
    return queue


def test_first_is_taken_until_nothing_is_left(queue: Mailqueue) -> None:
    assert [queue.take_first() for _ in range(5)] == [down(0), 1, down(2), 3, NOTHING]


def test_match_leaves_the_others_in_order(queue: Mailqueue) -> None:
    assert queue.take_match(lambda message: message == down(2)) == down(2)
    assert queue.take_match(lambda message: message == 3) == 3

    assert list(queue) == [down(0), 1]


def test_match_is_nothing_where_none_fits(queue: Mailqueue) -> None:
    assert queue.take_match(lambda message: message == 4) is NOTHING
    assert len(queue) == 4


def test_match_that_raises_changes_nothing(queue: Mailqueue, unreads: Unreads) -> None:
    def match(message: Any) -> bool:
        raise ValueError(message)

    with pytest.raises(ValueError, match="DOWN"):
        queue.take_match(match)

    assert list(queue) == [down(0), 1, down(2), 3]
    assert len(unreads) == 2


def test_match_that_withdraws_what_it_accepts_gets_nothing(queue: Mailqueue, unreads: Unreads) -> None:
    assert queue.take_match(lambda message: message == down(2) and unreads.withdraw(ref(2))) is NOTHING

    assert list(queue) == [down(0), 1, 3]


def test_withdrawn_message_is_never_seen(queue: Mailqueue, unreads: Unreads) -> None:
    unreads.withdraw(ref(0))
    unreads.withdraw(ref(2))

    assert (list(queue), len(queue)) == ([1, 3], 2)
    assert queue.take_match(lambda message: message in {down(0), down(2)}) is NOTHING
    assert queue.take_first() == 1


def test_read_message_can_no_longer_be_withdrawn(queue: Mailqueue, unreads: Unreads) -> None:
    queue.take_first()
    queue.take_match(lambda message: message == down(2))

    assert len(unreads) == 0


def test_clear_forgets_what_could_be_withdrawn(queue: Mailqueue, unreads: Unreads) -> None:
    queue.clear()

    assert (len(queue), len(unreads)) == (0, 0)


@pytest.fixture
def plain() -> Mailqueue:
    queue = Mailqueue()
    for number in range(3):
        queue.append(number)
    return queue


def test_taking_yields_what_comes_meanwhile_too(plain: Mailqueue) -> None:
    taken = []
    for message in plain.taking():
        taken.append(message)
        if message == 2:
            plain.append(3)

    assert taken == [0, 1, 2, 3]


def test_taking_leaves_the_rest_when_it_is_given_up(plain: Mailqueue) -> None:
    assert list(islice(plain.taking(), 2)) == [0, 1]

    assert list(plain) == [2]


def test_taking_ends_when_the_queue_is_cleared_meanwhile(plain: Mailqueue) -> None:
    taking = plain.taking()
    next(taking)

    plain.clear()

    assert list(taking) == []


def test_messages_and_downs_are_read_in_turn(queue: Mailqueue) -> None:
    read: list[Any] = []
    for _ in range(2):
        downs = queue.downs()
        assert downs is not None
        assert list(queue.taking()) == []
        read += downs
        assert queue.downs() is None
        read += queue.taking()

    assert read == [down(0), 1, down(2), 3]


def test_downs_that_were_withdrawn_are_not_first(queue: Mailqueue, unreads: Unreads) -> None:
    unreads.withdraw(ref(0))

    assert queue.downs() is None
    assert list(queue.taking()) == [1]


def test_nothing_shows_what_it_is() -> None:
    assert repr(NOTHING) == "NOTHING"


def test_a_long_queue_is_counted_without_a_look_at_its_end(unreads: Unreads) -> None:
    queue = Mailqueue()
    for number in range(MAX_LOOKED_AT):
        queue.append(number)
    downs = unreads.add(ref(1), down(1))
    queue.append(downs)
    assert len(queue) == MAX_LOOKED_AT + 1

    downs.clear()

    assert len(queue) == MAX_LOOKED_AT + 1
    queue.take_first()
    assert len(queue) == MAX_LOOKED_AT - 1


def test_match_looks_from_a_place_on(queue: Mailqueue) -> None:
    asked: list[Any] = []

    def match(message: Any) -> bool:
        asked.append(message)
        return False

    assert queue.take_match(match, start=2) is NOTHING
    assert asked == [down(2), 3]
    assert queue.take_match(lambda message: message == 3, start=3) == 3
    assert queue.take_match(lambda message: message == 1, start=queue.items) is NOTHING
    assert list(queue) == [down(0), 1, down(2)]


def test_a_down_that_was_taken_leaves_no_place(queue: Mailqueue) -> None:
    queue.take_match(lambda message: message == down(2))

    assert queue.items == 3


def seconds_per_down(count: int) -> float:
    """Return what it takes to match one of so many DOWNs that came in one go."""
    source = ReferenceSource("n@h", 4)
    table, unreads, queue = MonitorTable(source), Unreads(source), Mailqueue()
    subscriber, target = Pid("n@h", 1, 0, 4), Pid("far@h", 1, 0, 1)
    for _ in range(count):
        table.add(target, subscriber)
    table.lose(target.node)
    for _, downs in table.take(count, True, unreads)[1]:
        queue.append(downs)
    start = time.process_time()
    for _ in range(count):
        assert queue.take_match(lambda message: message[0] is atoms.DOWN) is not NOTHING
    return (time.process_time() - start) / count


def test_a_match_does_not_pass_downs_that_are_gone() -> None:
    few, many = (min(seconds_per_down(count) for _ in range(3)) for count in (2000, 20_000))

    assert many < 3 * few
