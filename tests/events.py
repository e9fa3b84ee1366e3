"""What the native link has to tell, for tests that do not care which messages came together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyzen._native import MESSAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

Event = tuple[int, int, Any, Any, Any]


def delivered(to: Any, *messages: Any, link: int = 0) -> Event:
    """Return the event of messages to one receiver; that of a message to an alias has its link."""
    return (MESSAGE, link, to, [*messages], None)


def separate(events: Iterable[Event]) -> list[Event]:
    """Return the events with one message in each that is about messages, and without its link.

    Both depend on what came in one batch: a message tells its link if an operation of the link lies before it there.
    """
    return [
        single
        for event in events
        for single in ([delivered(event[2], one) for one in event[3]] if event[0] == MESSAGE else [event])
    ]


def payloads(events: Iterable[Event]) -> list[Any]:
    """Return the messages, and the payloads of other signals, in order."""
    return [event[3][0] if event[0] == MESSAGE else event[4] for event in separate(events)]
