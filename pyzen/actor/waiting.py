"""Waiting: an answer that comes later, for which no task waits.

What a function of the node itself returns that a peer has called: thousands of them can be answered in one step, and
each caller's process goes on in a turn of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Waiting"]


def _nothing() -> None:
    """Be told of what nobody waits for."""


@final
class Waiting:
    """An answer to come.

    Attributes:
        is_over: It is there, or nobody waits for it any more.
        value: The answer, once it is there.
    """

    __slots__ = ("_after", "_wake", "is_over", "value")

    def __init__(self) -> None:
        self._after: Callable[[], object] = _nothing
        self._wake: Callable[[], object] = _nothing
        self.is_over = False
        self.value: Any = None

    def after(self, do: Callable[[], object]) -> None:
        """Call something when it is over, however."""
        self._after = do

    def wait(self, wake: Callable[[], object]) -> None:
        """Call ``wake`` when the answer is there, in this step if it is."""
        self._wake = wake
        if self.is_over:
            wake()

    def settle(self, value: Any) -> None:
        """Give the answer; one that comes too late does nothing."""
        if not self.is_over:
            self.value = value
            self._end()()

    def cancel(self) -> None:
        """Wait no more."""
        if not self.is_over:
            self._end()

    def _end(self) -> Callable[[], object]:
        """Be over, and let go of who waits: what wakes him leads back here."""
        after, wake = self._after, self._wake
        self.is_over, self._after, self._wake = True, _nothing, _nothing
        after()
        return wake
