"""The messages of one process, in the order they arrived.

A DOWN is kept in an `Unread` box: any code of the node may withdraw it by its reference until it is read,
without a scan of the mailbox.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyzen.terms import Reference

Unreads = dict["Reference", "Unread"]


class _Nothing:
    """The type of ``NOTHING``: no message."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = _Nothing()


@final
class Unread:
    """A DOWN in a mailbox that can still be withdrawn."""

    __slots__ = ("message", "ref", "registry")

    def __init__(self, ref: Reference, message: Any, registry: Unreads) -> None:
        self.ref = ref
        self.message = message
        self.registry = registry
        registry[ref] = self

    def take(self) -> Any:
        """Return the message, which counts as read from now on; ``NOTHING`` when it was withdrawn."""
        self.registry.pop(self.ref, None)
        return self.message

    def withdraw(self) -> None:
        """Make the message disappear."""
        self.registry.pop(self.ref, None)
        self.message = NOTHING


@final
class Mailqueue:
    """Messages in order; the first that fits can be taken from anywhere."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: deque[Any] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def append(self, item: Any) -> None:
        """Add a message or an ``Unread``."""
        self._items.append(item)

    def take_first(self) -> Any:
        """Remove and return the first message; ``NOTHING`` when there is none."""
        items = self._items
        while items:
            item = items.popleft()
            if type(item) is not Unread:
                return item
            message = item.take()
            if message is not NOTHING:
                return message
        return NOTHING

    def take_match(self, match: Callable[[Any], bool], start: int = 0) -> tuple[Any, int]:
        """Remove and return the first message at or after index ``start`` that ``match`` accepts.

        Returns:
            The message, and the index to go on at; ``NOTHING`` and the length when none fits.

        Raises:
            Exception: Whatever ``match`` raises; nothing is changed then.
        """
        for index, item in enumerate(islice(self._items, start, None), start):
            message = item.message if type(item) is Unread else item
            if message is not NOTHING and match(message):
                del self._items[index]
                return (item.take() if type(item) is Unread else item), index
        return NOTHING, len(self._items)

    def clear(self) -> None:
        """Drop every message."""
        for item in self._items:
            if type(item) is Unread:
                item.withdraw()
        self._items.clear()

    def __iter__(self) -> Iterator[Any]:
        messages = (item.message if type(item) is Unread else item for item in self._items)
        return (message for message in messages if message is not NOTHING)
