"""Reads what a Python node has written down: its monitors, and what it has seen of its peers."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Change", "Entry", "Life", "Outcome", "read"]

SLACK: Final = 0.25
"""Seconds between what happens and the time that is written down for it, such as for a monitor or its DOWN."""


@dataclass(slots=True)
class Outcome:
    """Something that came of a monitor.

    Attributes:
        time: When.
        what: ``down``, ``demonitor`` or ``subscriber``.
        detail: The reason, or how it was undone; see `books`.
    """

    time: float
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.detail} at {self.time:.2f}"


@dataclass(slots=True)
class Entry:
    """One monitor.

    Attributes:
        watcher: Life of the node that made it.
        number: Its number there.
        subscriber: Number of the subscriber.
        label: Life of the target's node.
        index: The target.
        made: When.
        outcomes: In the order in which they came; exactly one is right.
    """

    watcher: str
    number: int
    subscriber: int
    label: str
    index: int
    made: float
    outcomes: list[Outcome] = field(default_factory=list)

    def __str__(self) -> str:
        outcomes = ", ".join(map(str, self.outcomes)) or "nothing"
        return f"{self.watcher} monitor {self.number} of {self.label} {self.index}, made {self.made:.2f}: {outcomes}"


@dataclass(slots=True)
class Change:
    """How a node saw a peer from a moment on.

    Attributes:
        since: When it had looked before: the change came between then and ``time``, however late the look was.
        time: When.
        linked: Whether there was a link.
        status: Entry of the compatibility cache.
        loss: What ``last_loss`` said.
    """

    since: float
    time: float
    linked: bool
    status: str
    loss: str

    @property
    def is_bad(self) -> bool:
        """Whether monitors of its processes may fire with ``nodedown``."""
        return not self.linked or self.is_incompatible

    @property
    def is_incompatible(self) -> bool:
        """Whether it was incompatible; a loop that was busy for long may see only that the penalty is over."""
        return self.status in {"incompatible", "expired"}


@dataclass(slots=True)
class Life:
    """One life of a Python node.

    Attributes:
        entries: Its monitors, by number.
        losses: When it lost its link to a peer, by peer.
        views: How it saw its peers, by peer, in order.
        unexpected: Messages that nobody expected.
    """

    label: str
    entries: list[Entry] = field(default_factory=list)
    losses: dict[str, list[float]] = field(default_factory=dict)
    views: dict[str, list[Change]] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)

    def is_bad(self, peer: str, start: float, end: float) -> bool:
        """Say whether a peer was lost, unlinked or incompatible at some moment of a time."""
        start, end = start - SLACK, end + SLACK
        losses = self.losses.get(peer, ())
        place = bisect_right(losses, start)
        if place < len(losses) and losses[place] <= end:
            return True
        return any(change.is_bad for change in self._views(peer, start, end))

    def _views(self, peer: str, start: float, end: float) -> Iterator[Change]:
        views = self.views.get(peer, [])
        first = max(0, bisect_right(views, start, key=lambda change: change.time) - 1)
        for change in views[first:]:
            if change.since > end:
                return
            yield change


def read(label: str, path: Path) -> Life:
    """Read a journal; its last line may be cut short where the node was killed."""
    life = Life(label)
    subscribers: dict[int, list[Entry]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                _take(life, subscribers, line[:-1].split(" "))
    return life


def _take(life: Life, subscribers: dict[int, list[Entry]], words: list[str]) -> None:
    # The two that are nearly all of them come first, and not by a pattern: there are millions.
    kind = words[0]
    if kind == "m":
        entry = Entry(life.label, int(words[1]), int(words[2]), words[3], int(words[4]), float(words[5]))
        life.entries.append(entry)
        subscribers.setdefault(entry.subscriber, []).append(entry)
    elif kind == "d":
        reason = words[3] if len(words) == 4 else " ".join(words[3:])
        life.entries[int(words[1])].outcomes.append(Outcome(float(words[2]), "down", reason))
    else:
        _take_rare(life, subscribers, words)


def _take_rare(life: Life, subscribers: dict[int, list[Entry]], words: list[str]) -> None:
    match words:
        case ["x", number, time, how]:
            life.entries[int(number)].outcomes.append(Outcome(float(time), "demonitor", how))
        case ["s", subscriber, time]:
            for entry in subscribers.pop(int(subscriber), ()):
                if not entry.outcomes:
                    entry.outcomes.append(Outcome(float(time), "subscriber"))
        case ["l", peer, time, direction]:
            if direction == "down":
                life.losses.setdefault(peer, []).append(float(time))
        case ["p", peer, since, time, link, status, *loss]:
            change = Change(float(since), float(time), link == "linked", status, " ".join(loss))
            life.views.setdefault(peer, []).append(change)
        case ["u", *_]:
            life.unexpected.append(" ".join(words))
        case ["k", *_]:
            pass  # the driver knows
        case _:
            raise ValueError(f"{life.label}: unknown line {words}")
