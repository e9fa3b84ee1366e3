"""Shares: how much each peer holds of something that has a bound.

One bound for all would let one peer take everything, and a bound for each would let many names take more than there is.
So a peer may take more while it holds less than is free. Alone it comes to half of the whole; of n peers that take what
they get each comes to an (n + 1)th part, and there is always something left for who holds nothing yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Shares"]


@final
class Shares:
    """What peers hold.

    Example:
        >>> shares = Shares()
        >>> shares.may_take(peer, free=2)
        True
        >>> shares.take(peer)
        >>> shares.may_take(peer, free=1)
        False
        >>> shares.may_take(other, free=1)
        True
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[Hashable, int] = {}

    def may_take(self, peer: Hashable, free: int) -> bool:
        """Say whether a peer may have one more of those that are free; None, the program, takes what there is."""
        return free > (0 if peer is None else self._held.get(peer, 0))

    def held(self, peer: Hashable) -> int:
        """Return how many a peer holds."""
        return self._held.get(peer, 0)

    def take(self, peer: Hashable, count: int = 1) -> None:
        """Count some more for a peer."""
        if peer is not None and count:
            self._held[peer] = self._held.get(peer, 0) + count

    def give(self, peer: Hashable, count: int = 1) -> None:
        """Count some less for a peer, which has to hold them."""
        if peer is None or not count:
            return
        held = self._held[peer] - count
        if held:
            self._held[peer] = held
        else:
            del self._held[peer]
