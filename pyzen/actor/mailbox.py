"""The messages of one process, in the order they arrived.

DOWNs come as `Downs`, any number at a time. Any code of the node may withdraw one by its reference until it is read,
without a scan of the mailbox.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.monitor_table import Downs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


KERNEL: Final = -1
"""In place of a link: the kernel of this node has made the message."""

MAX_LOOKED_AT: Final = 10_000
"""Items of a queue that are looked at to tell how many messages there are."""


@final
class Sourced:
    """A message with its source, which no sender can choose.

    What the kernel tells a process (exits, node events, replies to its requests) is a tuple that any peer could send
    as a message, too. The tuple alone is no proof; this is.

    Attributes:
        message: The message.
        via: The epoch of the link it came by, ``KERNEL``, or 0: a process of the node itself speaks for the node.
    """

    __slots__ = ("message", "via")

    def __init__(self, message: Any, via: int) -> None:
        self.message = message
        self.via = via


def told(message: Any) -> Sourced:
    """Return a message that the kernel itself has made."""
    return Sourced(message, KERNEL)


def message_of(item: Any) -> Any:
    """Return the message of an item of the mailbox."""
    return item.message if type(item) is Sourced else item


def itself(item: Any) -> Any:
    """Return an item as it is, source included."""
    return item


class _Nothing:
    """The type of ``NOTHING``: no message."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = _Nothing()


@final
class Mailqueue:
    """Messages in order, some `Sourced`; the first that fits can be taken from anywhere.

    Attributes:
        append: Add a message, or `Downs`.
    """

    __slots__ = ("_items", "append")

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self.append: Final = self._items.append

    def __bool__(self) -> bool:
        """Whether something may wait: DOWNs that were all withdrawn count, too."""
        return bool(self._items)

    def __len__(self) -> int:
        return count(self._items)

    def put_back(self, item: Any) -> None:
        """Add a message before all others."""
        self._items.appendleft(item)

    def taking(self) -> Iterator[Any]:
        """Remove and yield messages in order, those that come meanwhile, too; up to the first `Downs`."""
        items = self._items
        while items and type(items[0]) is not Downs:
            yield items.popleft()

    def downs(self) -> Downs | None:
        """Return the `Downs` that are first, to be read in place; None when a message is."""
        items = self._items
        while items and type(items[0]) is Downs:
            if items[0]:
                return items[0]
            items.popleft()
        return None

    def take_first(self) -> Any:
        """Remove and return the first message; ``NOTHING`` when there is none."""
        return next(self.downs() or self.taking(), NOTHING)

    @property
    def items(self) -> int:
        """How many items there are; those of `Downs` count as one."""
        return len(self._items)

    def _from(self, start: int) -> Iterator[Any]:
        """Return the items from one on, in no time for those before it."""
        if not start:
            return iter(self._items)
        count = max(0, len(self._items) - start)
        return iter(list(islice(reversed(self._items), count))[::-1])

    def take_match(self, match: Callable[[Any], bool], of: Callable[[Any], Any] = message_of, *, start: int = 0) -> Any:
        """Remove and return the first message that ``match`` accepts; ``NOTHING`` when none fits.

        Args:
            match: Predicate.
            of: Returns what the predicate is asked about for an item.
            start: Items that are not looked at.

        Raises:
            Exception: Whatever ``match`` raises; nothing is changed then.
        """
        for index, item in enumerate(self._from(start), start):
            if type(item) is Downs:
                for down in item.peek():
                    if match(down) and item.take(down[1]):
                        if not item:
                            del self._items[index]
                        return down
            elif match(of(item)):
                del self._items[index]
                return item
        return NOTHING

    def clear(self) -> None:
        """Drop every message."""
        withdraw(self._items)
        self._items.clear()

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            if type(item) is Downs:
                yield from item.peek()
            else:
                yield message_of(item)


def count(items: deque[Any]) -> int:
    """Return how many messages there are among messages and `Downs`.

    Takes time for each DOWN, and for the first ``MAX_LOOKED_AT`` items; of `Downs` behind them each counts as one
    message, so that a look at a long queue does not hold up who has to work it off.
    """
    return len(items) + sum(len(item) - 1 for item in islice(items, MAX_LOOKED_AT) if type(item) is Downs)


def withdraw(items: Iterable[Any]) -> None:
    """Let nobody read the DOWNs among messages and `Downs`."""
    for item in items:
        if type(item) is Downs:
            item.clear()
