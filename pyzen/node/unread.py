"""Messages that wait for processes that peers have started: a mailbox that nobody reads is bounded by nothing else.

Those of the program are the program's own. What a process has read is not told here; it is estimated when it matters,
by how many of the messages that came for it still wait.

Source: OTP, ``erlang:process_flag(max_heap_size, _)``, which counts messages on the heap and ends a process likewise.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.etf import encoded_size
from pyzen.shares import Shares

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor

__all__ = ["MAX_UNREAD", "Unread"]

MAX_UNREAD: Final = 64 * 1024 * 1024
"""Bytes, as encoded, that may wait for all the processes that one peer has started."""

OVERHEAD: Final = 200
"""Bytes that each message takes beside that."""


@final
class Unread:
    """What waits for the processes that peers have started, by peer."""

    def __init__(self) -> None:
        self._rows: dict[Actor, tuple[int, int]] = {}
        self._shares = Shares()

    def bears(self, actor: Actor, messages: list[Any]) -> bool:
        """Count messages that come for a process; say whether what its peer's processes have is within the bound."""
        if not actor.mail and not actor.incoming:
            self.forget(actor)
        count, size = self._rows.get(actor, (0, 0))
        self._count(actor, count + len(messages), size + sum(map(size_of, messages)))
        if self._shares.held(actor.born_of) <= MAX_UNREAD:
            return True
        self._look_again(actor, len(messages))
        return self._shares.held(actor.born_of) <= MAX_UNREAD

    def _look_again(self, actor: Actor, coming: int) -> None:
        """Let what a process has read meanwhile not count."""
        count, size = self._rows[actor]
        waiting = min(count, actor.message_queue_len + coming)
        self._count(actor, waiting, size * waiting // count)

    def _count(self, actor: Actor, count: int, size: int) -> None:
        self.forget(actor)
        self._rows[actor] = count, size
        self._shares.take(actor.born_of, size)

    def forget(self, actor: Actor) -> None:
        """Count nothing more for a process that has ended, or read all."""
        row = self._rows.pop(actor, None)
        if row is not None:
            self._shares.give(actor.born_of, row[1])


def size_of(message: Any) -> int:
    """Return how much a message counts; an object of the program, which no peer can send, next to nothing."""
    return OVERHEAD + (encoded_size(message, maximum=sys.maxsize) or 0)
