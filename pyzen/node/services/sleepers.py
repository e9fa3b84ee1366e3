"""The calls of ``Process.sleep``: however many come due at one moment, they wake in slices."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING, Final, final

from pyzen.actor.waiting import Waiting
from pyzen.terms import atoms

if TYPE_CHECKING:
    from pyzen.actor.runtime import Runtime, TimerHandle

__all__ = ["Sleepers"]

SLICE: Final = 200
"""Sleepers that wake in one go; the rest waits for the next turn."""

TIDIED: Final = 1000
"""Sleepers that have ended before their time, past which they are removed once they are the greater part."""


@final
class Sleepers:
    """Those that sleep, by the time at which they wake: one timer for all.

    Args:
        runtime: The node.
    """

    born_of: Final = None

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._rows: list[tuple[float, int, Waiting]] = []
        self._numbers = itertools.count()
        self._over = 0
        self._timer: TimerHandle | None = None
        self._due = 0.0
        self._is_ready = False

    def sleep(self, seconds: float) -> Waiting:
        """Return what is answered ``ok`` after a time."""
        waiting = Waiting()
        waiting.after(self._is_over)
        heapq.heappush(self._rows, (self._runtime.now() + seconds, next(self._numbers), waiting))
        self._arm()
        return waiting

    def _arm(self) -> None:
        """Let the timer be that of the first one."""
        if self._is_ready or not self._rows or (self._timer is not None and self._due <= self._rows[0][0]):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = self._rows[0][0]
        self._timer = self._runtime.call_later(max(0.0, self._due - self._runtime.now()), self._ring)

    def _ring(self) -> None:
        self._timer, self._is_ready = None, True
        self._runtime.scheduler.ready(self)

    def run(self, budget: int = SLICE) -> bool:
        """Wake a slice of those that are due; called by the scheduler. True when there are more."""
        del budget
        now = self._runtime.now()
        for _ in range(SLICE):
            if not self._rows or self._rows[0][0] > now:
                self._is_ready = False
                self._arm()
                return False
            self._over -= 1
            heapq.heappop(self._rows)[2].settle(atoms.ok)
        return True

    def _is_over(self) -> None:
        """Count one that is over, and remove those that were ended once they are many, or all."""
        self._over += 1
        if self._over == len(self._rows) or self._over > max(TIDIED, len(self._rows) // 2):
            self._rows = [row for row in self._rows if not row[2].is_over]
            heapq.heapify(self._rows)
            self._over = 0
        if not self._rows and self._timer is not None:
            self._timer.cancel()
            self._timer = None
