from __future__ import annotations

from pyzen.throttle import Throttle


def test_first_line_is_let_through_at_once() -> None:
    assert Throttle().let(0.0) == 1


def test_line_stands_for_all_that_were_kept() -> None:
    throttle = Throttle(interval=10.0)

    assert [throttle.let(now, number) for now, number in ((0.0, 2), (1.0, 3), (9.9, 4), (10.0, 5))] == [2, 0, 0, 12]


def test_burst_is_per_interval() -> None:
    throttle = Throttle(burst=2, interval=10.0)

    assert [throttle.let(now) for now in (0.0, 1.0, 2.0, 10.0, 10.0, 10.0)] == [1, 1, 0, 2, 1, 0]


def test_repr_tells_what_was_left_out() -> None:
    throttle = Throttle()

    throttle.let(0.0)
    throttle.let(1.0, 3)

    assert repr(throttle) == "<Throttle 3 left out>"


def test_interval_begins_with_a_line() -> None:
    throttle = Throttle(interval=10.0)
    throttle.let(0.0)

    assert [throttle.let(now) for now in (35.0, 44.9, 45.0)] == [1, 0, 2]
