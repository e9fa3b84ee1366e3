"""How often a supervisor may restart its children, and how long it waits where it never gives up.

Source: OTP, "supervisor", "Maximum Restart Intensity". OTP has no waiting: a supervisor there gives up.
"""

from __future__ import annotations

from collections import deque
from typing import Final, final

__all__ = ["BackOff", "Intensity"]

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0


@final
class Intensity:
    """At most so many restarts within so many seconds.

    Args:
        max_restarts: Restarts.
        max_seconds: Seconds.
    """

    def __init__(self, max_restarts: int, max_seconds: float) -> None:
        self._max_restarts = max_restarts
        self._max_seconds = max_seconds
        self._restarts: deque[float] = deque(maxlen=max_restarts + 1)  # older ones tell nothing

    def __repr__(self) -> str:
        return f"<Intensity {len(self._restarts)} of {self._max_restarts} in {self._max_seconds:g} s>"

    def allows(self, now: float) -> bool:
        """Count a restart at ``now``, in monotonic seconds, and say whether it is one of those that may be."""
        self._restarts.append(now)
        while self._restarts and self._restarts[0] < now - self._max_seconds:
            self._restarts.popleft()
        return len(self._restarts) <= self._max_restarts


@final
class BackOff:
    """Waits before restarts: one second, doubled up to sixty; anew after so long without one."""

    __slots__ = ("_until", "_wait")

    def __init__(self) -> None:
        self._wait = FIRST_WAIT
        self._until = 0.0

    def __repr__(self) -> str:
        return f"<BackOff {self._wait:g} s>"

    def next(self, now: float) -> float:
        """Return the seconds to wait before a restart that is due at ``now``."""
        if now > self._until:
            self._wait = FIRST_WAIT
        wait, self._wait = self._wait, min(2 * self._wait, LONGEST_WAIT)
        self._until = now + wait + LONGEST_WAIT
        return wait
