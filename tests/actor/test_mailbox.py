from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.mailbox import NOTHING, Mailqueue, Unread
from pyzen.terms import Reference

if TYPE_CHECKING:
    from pyzen.actor.mailbox import Unreads


def ref(number: int) -> Reference:
    return Reference("n@h", 4, [number, 0, 0])


@pytest.fixture
def unreads() -> Unreads:
    return {}


@pytest.fixture
def queue(unreads: Unreads) -> Mailqueue:
    """Messages 0 to 3, the even ones withdrawable."""
    queue = Mailqueue()
    for number in range(4):
        queue.append(number if number % 2 else Unread(ref(number), number, unreads))
    return queue


def test_first_is_taken_until_nothing_is_left(queue: Mailqueue) -> None:
    assert [queue.take_first() for _ in range(5)] == [0, 1, 2, 3, NOTHING]


def test_match_leaves_the_others_in_order(queue: Mailqueue) -> None:
    assert queue.take_match(lambda message: message == 2) == (2, 2)

    assert list(queue) == [0, 1, 3]


def test_match_begins_where_it_is_told(queue: Mailqueue) -> None:
    assert queue.take_match(lambda _: True, 1) == (1, 1)
    assert queue.take_match(lambda message: message == 0, 1) == (NOTHING, 3)


def test_match_that_raises_changes_nothing(queue: Mailqueue, unreads: Unreads) -> None:
    def match(message: Any) -> bool:
        raise ValueError(message)

    with pytest.raises(ValueError, match="0"):
        queue.take_match(match)

    assert list(queue) == [0, 1, 2, 3]
    assert len(unreads) == 2


def test_withdrawn_message_is_never_seen(queue: Mailqueue, unreads: Unreads) -> None:
    unreads[ref(0)].withdraw()
    unreads[ref(2)].withdraw()

    assert list(queue) == [1, 3]
    assert queue.take_match(lambda message: message in {0, 2})[0] is NOTHING
    assert queue.take_first() == 1


def test_read_message_can_no_longer_be_withdrawn(queue: Mailqueue, unreads: Unreads) -> None:
    queue.take_first()
    queue.take_match(lambda message: message == 2)

    assert unreads == {}


def test_clear_forgets_what_could_be_withdrawn(queue: Mailqueue, unreads: Unreads) -> None:
    queue.clear()

    assert (len(queue), unreads) == (0, {})


def test_nothing_shows_what_it_is() -> None:
    assert repr(NOTHING) == "NOTHING"
