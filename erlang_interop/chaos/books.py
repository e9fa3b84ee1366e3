"""The books of one Python node: every monitor made and everything that came of it, written down as it happens.

The journal is a file of lines, for a node that is killed takes nothing with it that way. Times are those of the
monotonic clock, which all processes of a machine share.

============================================= ==========================================================
line                                          means
============================================= ==========================================================
``m N SUBSCRIBER LABEL INDEX TIME``           monitor number N, of the process at INDEX of a node's life
``d N TIME REASON``                           its DOWN: ``=`` for the reason that belongs to the index, ``=M`` for
                                              that of death M of a named process, else as text
``x N TIME HOW``                              demonitor: ``flush``; ``unread`` if a DOWN lay in the mailbox; ``plain``
``s SUBSCRIBER TIME``                         the subscriber is told to die
``u TIME TEXT``                               a message that nobody expects
``l PEER TIME up|down``                       a link has come or gone
``p PEER TIME LINK STATUS LOSS``              what ZenMonitor takes a peer for, when that has changed
``k TIME WHAT``                               a process of ZenMonitor is told to die
============================================= ==========================================================
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.benchmarks.processes import usual
from pyzen.actor.gen_server import GenServer
from pyzen.terms import Atom, Pid, Reference, atoms

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from pyzen.node.node import Node

BLOCK: Final = 50
"""Targets that live and die together."""

NAMES: Final = 8
"""Registered names of each node; their holders come and go."""

NAMED: Final = "names"
"""In a label, instead of the number of a life: a name outlives its node's lives."""


def name_of(index: int) -> str:
    """Return one of the names."""
    return f"name{index}"


Row = tuple[int, str, int, Pid | tuple[Atom, Atom]]
"""Number of the monitor, label and index of the target, the object of its DOWN."""


class Journal:
    """A file that is written as often as somebody asks for it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._lines: list[str] = []

    def write(self, line: str) -> None:
        """Add a line."""
        self._lines.append(line)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        if self._lines:
            self._lines.append("")
            self._file.write("\n".join(self._lines))
            self._file.flush()
            self._lines = []


class Subscriber(GenServer):
    """Gets DOWNs.

    Attributes:
        number: Its own, never used again.
        open: Its monitors that have had no outcome.
    """

    def __init__(self, books: Books, number: int) -> None:
        super().__init__()
        self.number = number
        self.open: dict[Reference, Row] = {}
        self._books = books
        self._order: list[Reference] = []

    def add(self, ref: Reference, row: Row) -> None:
        """Remember a monitor."""
        self.open[ref] = row
        self._order.append(ref)

    def pick(self, random: random.Random) -> Reference | None:
        """Return one of the open monitors."""
        order = self._order
        while order:
            place = random.randrange(len(order))
            if order[place] in self.open:
                return order[place]
            order[place] = order[-1]
            order.pop()
        return None

    def handle_info(self, message: Any) -> None:
        match message:
            case (atoms.DOWN, Reference() as ref, atoms.process, target, (atoms.zen_monitor, reason)):
                self._books.down(self, ref, target, reason)
            case _:
                self._books.unexpected(message)


class Books:
    """Makes monitors and writes down what comes of them.

    Attributes:
        subscribers: Those that live.
        made: Monitors made so far.
    """

    def __init__(self, node: Node, journal: Journal) -> None:
        self.subscribers: list[Subscriber] = []
        self.made = 0
        self._node = node
        self._journal = journal
        self._closed: dict[Reference, Row] = {}
        self._born = 0

    @property
    def open_count(self) -> int:
        """Monitors without outcome."""
        return sum(len(subscriber.open) for subscriber in self.subscribers)

    def rows(self) -> Iterator[Row]:
        """The monitors without outcome."""
        for subscriber in self.subscribers:
            yield from subscriber.open.values()

    def hire(self) -> None:
        """Start another subscriber."""
        subscriber = Subscriber(self, self._born)
        self._born += 1
        self._node.runtime.spawn(subscriber)
        self.subscribers.append(subscriber)

    def fire(self, subscriber: Subscriber) -> None:
        """Tell a subscriber to die; its monitors have that outcome unless a DOWN is under way to it."""
        self.subscribers.remove(subscriber)
        self._journal.write(f"s {subscriber.number} {time.monotonic():.4f}")
        self._closed.update(subscriber.open)
        subscriber.send_exit(subscriber.pid, atoms.kill)

    def monitor(self, subscriber: Subscriber, label: str, index: int, target: Pid | Atom | tuple[Atom, Atom]) -> None:
        """Make a monitor."""
        number = self.made
        self.made += 1
        self._journal.write(f"m {number} {subscriber.number} {label} {index} {time.monotonic():.4f}")
        ref = self._node.zen.monitor(target, subscriber=subscriber.pid)
        subscriber.add(ref, (number, label, index, (target, self._node.name) if isinstance(target, Atom) else target))

    def demonitor(self, subscriber: Subscriber, ref: Reference, *, flush: bool) -> None:
        """Undo a monitor."""
        row = subscriber.open[ref]
        is_unread = self._node.runtime.unread.get(ref) is not None
        how = "flush" if flush else "unread" if is_unread else "plain"
        self._node.zen.demonitor(ref, flush=flush)
        self._journal.write(f"x {row[0]} {time.monotonic():.4f} {how}")
        del subscriber.open[ref]
        self._closed[ref] = row

    def down(self, subscriber: Subscriber, ref: Reference, target: Any, reason: Any) -> None:
        """A DOWN has come."""
        row = subscriber.open.pop(ref, None) or self._closed.get(ref)
        if row is None:
            self.unexpected((ref, target, reason))
            return
        self._closed[ref] = row
        number, _, index, expected = row
        how = text_of(index, target, reason) if target == expected else f"'{target!r}' instead of the target"
        self._journal.write(f"d {number} {time.monotonic():.4f} {how}")

    def unexpected(self, message: Any) -> None:
        """Something else has come."""
        self._journal.write(f"u {time.monotonic():.4f} {message!r:.300}")


def text_of(index: int, target: Pid | tuple[Atom, Atom], reason: Any) -> str:
    """Return a reason as a line takes it; see above."""
    match reason:
        case atoms.noproc | atoms.nodedown:
            return str(reason)
        case (atoms.named, int() as number) if not isinstance(target, Pid):
            return f"={number}"
        case _ if isinstance(target, Pid) and reason == usual(index):
            return "="
    return f"'{reason!r:.200}'".replace("\n", " ")
