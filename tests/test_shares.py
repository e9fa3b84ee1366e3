"""Shares of what is bounded: nobody takes all of it."""

from __future__ import annotations

from itertools import cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzen.shares import Shares

LIMIT = 1020


def taken_by(*peers: str) -> dict[str, int]:
    """Let peers take one after the other until none may take any more."""
    shares, held = Shares(), dict.fromkeys(peers, 0)
    for peer in islice(cycle(peers), LIMIT * len(peers)):
        if shares.may_take(peer, LIMIT - sum(held.values())):
            shares.take(peer)
            held[peer] += 1
    return held


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_peers_that_take_what_they_get_leave_as_much_as_each_has(count: int) -> None:
    held = taken_by(*map(str, range(count)))

    assert set(held.values()) == {LIMIT // (count + 1)}


def test_the_program_takes_what_there_is() -> None:
    shares = Shares()
    assert shares.may_take(None, 1)
    assert not shares.may_take(None, 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_who_gives_back_all_holds_nothing(steps: list[tuple[str, bool]]) -> None:
    shares, model = Shares(), dict.fromkeys("abc", 0)
    for peer, takes in steps:
        if takes:
            shares.take(peer)
            model[peer] += 1
        elif model[peer]:
            shares.give(peer)
            model[peer] -= 1

    for peer, held in model.items():
        assert [shares.may_take(peer, free) for free in range(held + 2)] == [free > held for free in range(held + 2)]
