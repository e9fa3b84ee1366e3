"""Places for clients that have not said yet what they want."""

from __future__ import annotations

import pytest

from pyzen.node.lobby import Lobby


class Door:
    def __init__(self, places: int) -> None:
        self.now = 0.0
        self.ended: list[str] = []
        self.lobby: Lobby[str] = Lobby(places, 2.0, lambda: self.now, self.ended.append)


@pytest.fixture
def door() -> Door:
    door = Door(2)
    for name in ("first", "second"):
        assert door.lobby.admit(name)
    return door


def test_newcomer_finds_no_place_while_nobody_has_had_its_time(door: Door) -> None:
    door.now = 1.9

    assert not door.lobby.admit("third")
    assert door.ended == []


def test_oldest_makes_way(door: Door) -> None:
    door.now = 2.0

    assert door.lobby.admit("third")
    assert door.ended == ["first"]
    assert len(door.lobby) == 2


def test_place_is_given_back(door: Door) -> None:
    door.lobby.leave("first")
    door.lobby.leave("stranger")

    assert door.lobby.admit("third")
    assert door.ended == []
