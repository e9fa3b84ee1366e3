"""Log lines at a bounded rate, for what a peer can cause as often as it likes.

Knows no clock and writes nothing: it says whether a line may be written now, and how much one line stands for.
"""

from __future__ import annotations

from typing import final

__all__ = ["Throttle"]


@final
class Throttle:
    """Lets some lines through in each interval, and counts what happens meanwhile.

    Args:
        burst: Lines per interval.
        interval: Seconds.
    """

    __slots__ = ("_burst", "_interval", "_kept", "_lines", "_until")

    def __init__(self, burst: int = 1, interval: float = 10.0) -> None:
        self._burst = burst
        self._interval = interval
        self._until = float("-inf")
        self._lines = 0
        self._kept = 0

    def __repr__(self) -> str:
        return f"<Throttle {self._kept} left out>"

    def let(self, now: float, number: int = 1) -> int:
        """Count what happened at ``now``, in monotonic seconds.

        Returns:
            What has happened since the last line, this included: write one. 0: don't.
        """
        self._kept += number
        if now >= self._until:
            self._until, self._lines = now + self._interval, 0
        if self._lines >= self._burst:
            return 0
        self._lines += 1
        kept, self._kept = self._kept, 0
        return kept
