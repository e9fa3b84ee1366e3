from __future__ import annotations

from pyzen.actor.intensity import BackOff, Intensity


def test_so_many_restarts_are_allowed_within_so_many_seconds() -> None:
    intensity = Intensity(2, 5.0)

    assert [intensity.allows(now) for now in (0.0, 1.0, 2.0, 7.5, 8.0, 8.5)] == [True, True, False, True, True, False]


def test_no_restart_is_allowed_where_there_may_be_none() -> None:
    assert not Intensity(0, 5.0).allows(0.0)


def test_restarts_of_all_times_take_no_more_room_than_are_allowed() -> None:
    intensity = Intensity(3, float("inf"))
    for now in range(1000):
        intensity.allows(now)

    assert repr(intensity) == "<Intensity 4 of 3 in inf s>"


def test_waits_double_up_to_a_minute() -> None:
    back_off, now, waits = BackOff(), 0.0, []
    for _ in range(8):
        waits.append(back_off.next(now))
        now += waits[-1]

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_wait_begins_anew_after_a_minute_without_a_restart() -> None:
    back_off = BackOff()
    for now in (0.0, 1.0):
        back_off.next(now)

    assert back_off.next(1.0 + 2.0 + 60.0) == 4
    assert back_off.next(500.0) == 1
