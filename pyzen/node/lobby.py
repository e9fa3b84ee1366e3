"""Lobby: places for clients that have not said yet what they want.

Anybody can connect and say nothing. When all places are taken the oldest client makes way for a newcomer, unless it
has had less than its time; then the newcomer is turned away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Lobby"]

Client = TypeVar("Client", bound="Hashable")


@final
class Lobby(Generic[Client]):
    """Clients in the order in which they came.

    Args:
        places: How many there may be.
        grace: Seconds in which nobody has to make way.
        clock: Returns monotonic seconds.
        end: Ends a client that has to make way.
    """

    def __init__(self, places: int, grace: float, clock: Callable[[], float], end: Callable[[Client], object]) -> None:
        self._places = places
        self._grace = grace
        self._clock = clock
        self._end = end
        self._since: dict[Client, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def __repr__(self) -> str:
        return f"<Lobby {len(self)} of {self._places}>"

    def admit(self, client: Client) -> bool:
        """Find a place for a new client; false when there is none."""
        now = self._clock()
        if len(self) >= self._places:
            oldest = next(iter(self._since))
            if now - self._since[oldest] < self._grace:
                return False
            del self._since[oldest]
            self._end(oldest)
        self._since[client] = now
        return True

    def leave(self, client: Client) -> None:
        """Give a place back, if the client has one."""
        self._since.pop(client, None)
