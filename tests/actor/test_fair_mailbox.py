"""The messages of a process that serves all peers."""

from __future__ import annotations

from typing import Any

from pyzen.actor.answers import Continue
from pyzen.actor.fair_mailbox import FairMailqueue
from pyzen.actor.mailbox import KERNEL, NOTHING, Sourced, told


def filled(*items: Any) -> FairMailqueue:
    mail = FairMailqueue()
    for item in items:
        mail.append(item)
    return mail


def sent(via: int, *messages: Any) -> list[Sourced]:
    return [Sourced(message, via) for message in messages]


def left(mail: FairMailqueue) -> list[Any]:
    return [item.message if type(item) is Sourced else item for item in mail.taking()]


def test_links_take_turns_and_keep_their_order() -> None:
    mail = filled(*sent(1, "a1", "a2", "a3"), *sent(2, "b1", "b2"), *sent(3, "c1"))

    assert len(mail) == 6
    assert list(mail) == ["a1", "a2", "a3", "b1", "b2", "c1"]
    assert left(mail) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert not mail


def test_what_the_node_says_waits_for_nobody() -> None:
    mail = filled(*sent(1, "a1", "a2"), told("nodedown"), Sourced("own", 0), "plain", *sent(2, "next link"))

    assert left(mail) == ["nodedown", "own", "plain", "a1", "next link", "a2"]


def test_what_comes_meanwhile_is_taken_in_its_turn() -> None:
    mail = filled(*sent(1, "a1", "a2", "a3"))
    taking = mail.taking()

    assert next(taking).message == "a1"
    mail.append(Sourced("b1", 2))
    assert next(taking).message == "a2"
    mail.append(told("down"))
    assert [item.message for item in taking] == ["down", "b1", "a3"]


def test_what_a_message_leads_to_stays_before_the_rest_of_its_link() -> None:
    mail = filled(*sent(1, "a1", "a2"), *sent(2, "b1", "b2"))

    first = mail.take_first()
    mail.go_on(Sourced(Continue(1), first.via))
    assert list(mail) == ["a2", "b1", "b2"]  # it is no message any more
    assert left(mail) == ["b1", Continue(1), "b2", "a2"]


def test_what_the_last_message_of_a_link_leads_to_waits_for_its_turn() -> None:
    mail = filled(*sent(1, "a1"), *sent(2, "b1"), *sent(KERNEL, "k1", "k2"))

    assert [mail.take_first().message for _ in range(3)] == ["k1", "k2", "a1"]
    mail.go_on(Sourced(Continue(1), 1))
    mail.go_on(Sourced(Continue(2), 0))
    assert left(mail) == [Continue(2), "b1", Continue(1)]


def test_a_match_is_taken_from_anywhere() -> None:
    mail = filled("own", *sent(1, "a1", "a2"), *sent(2, "b1"))

    assert mail.take_match("b1".__eq__).message == "b1"
    assert mail.take_match("a2".__eq__).message == "a2"
    assert mail.take_match("none".__eq__) is NOTHING
    assert mail.take_match("own".__eq__) == "own"
    assert left(mail) == ["a1"]


def test_nothing_is_left_after_the_end() -> None:
    mail = filled("own", *sent(1, "a1"))

    mail.clear()

    assert (bool(mail), len(mail), list(mail), mail.take_first()) == (False, 0, [], NOTHING)
