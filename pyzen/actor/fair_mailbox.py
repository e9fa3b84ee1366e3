"""The messages of a process that serves all peers: they take turns, so that what one sends holds up nobody else.

The messages of one link stay in order. What this node says itself, the loss of a link above all, comes before anything
of a link that has arrived later, and so does not wait for a turn.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, final

from pyzen.actor.answers import Continue
from pyzen.actor.mailbox import NOTHING, Mailqueue, Sourced, message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyzen.monitor_table import Downs

__all__ = ["FairMailqueue"]


@final
class FairMailqueue:
    """As `Mailqueue`, with a queue for each link that something waits of; one message of each in turn."""

    __slots__ = ("_own", "_queues", "_turns")

    def __init__(self) -> None:
        self._own = Mailqueue()
        self._queues: dict[int, deque[Sourced]] = {}
        self._turns: deque[int] = deque()

    def append(self, item: Any) -> None:
        """Add a message, or `Downs`."""
        if type(item) is Sourced and item.via > 0:
            self._queue(item.via).append(item)
        else:
            self._own.append(item)

    def go_on(self, item: Sourced) -> None:
        """Add what a message leads to: before all others of its link, and after those whose turn it is."""
        if item.via > 0:
            self._queue(item.via).appendleft(item)
        else:
            self._own.put_back(item)

    def _queue(self, via: int) -> deque[Sourced]:
        queue = self._queues.get(via)
        if queue is None:
            queue = self._queues[via] = deque()
            self._turns.append(via)
        return queue

    def _take_turn(self) -> Sourced:
        via = self._turns.popleft()
        queue = self._queues[via]
        item = queue.popleft()
        if queue:
            self._turns.append(via)
        else:
            del self._queues[via]
        return item

    def __bool__(self) -> bool:
        """Whether something may wait: DOWNs that were all withdrawn count, too."""
        return bool(self._turns or self._own)

    def __len__(self) -> int:
        return len(self._own) + sum(map(len, self._queues.values()))

    def taking(self) -> Iterator[Any]:
        """Remove and yield messages, up to the first `Downs`; those that come meanwhile are among them."""
        own = self._own
        while True:
            if own:
                yield from own.taking()
            if own or not self._turns:
                return
            yield self._take_turn()

    def downs(self) -> Downs | None:
        """Return the `Downs` that are first, to be read in place; None when a message is."""
        return self._own.downs()

    def take_first(self) -> Any:
        """Remove and return the first message; ``NOTHING`` when there is none."""
        return next(self.downs() or self.taking(), NOTHING)

    def take_match(self, match: Callable[[Any], bool], of: Callable[[Any], Any] = message_of) -> Any:
        """Remove and return a message that ``match`` accepts, as `Mailqueue.take_match` does."""
        found = self._own.take_match(match, of)
        if found is not NOTHING:
            return found
        for via, queue in self._queues.items():
            for index, item in enumerate(queue):
                if match(of(item)):
                    self._remove(via, index)
                    return item
        return NOTHING

    def _remove(self, via: int, index: int) -> None:
        del self._queues[via][index]
        if not self._queues[via]:
            del self._queues[via]
            self._turns.remove(via)

    def clear(self) -> None:
        """Drop every message."""
        self._own.clear()
        self._queues.clear()
        self._turns.clear()

    def __iter__(self) -> Iterator[Any]:
        yield from self._own
        for queue in self._queues.values():
            yield from (item.message for item in queue if type(item.message) is not Continue)
