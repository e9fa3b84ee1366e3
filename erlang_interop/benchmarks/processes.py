"""The processes of our side: as lean as their twins in ``mix_fixture``, which they correspond to line by line."""

from __future__ import annotations

import asyncio
import gc
import time
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from pyzen.actor.answers import Continue
from pyzen.actor.gen_server import GenServer
from pyzen.terms import Atom, Pid, Reference, Term, atoms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BURST_SLICE: Final = 100
"""Messages sent by one callback; a busy link suspends the process between two of them."""

CHUNK: Final = 1000
"""Targets that are kept together."""

PIECE: Final = 100
"""DOWNs that are kept together: tuples of a thousand cost more to allocate, and make collections of garbage longer."""

TICK: Final = 0.001
"""Seconds between two looks of the probe."""


class Counting(GenServer):
    """Lets others wait until so much has arrived."""

    def __init__(self) -> None:
        super().__init__()
        self._awaited = -1
        self._reached = asyncio.Event()

    @property
    def count(self) -> int:
        """How much has arrived."""
        raise NotImplementedError

    async def reached(self, count: int) -> None:
        """Wait until exactly or more than ``count`` has arrived; one waiter at a time."""
        if self.count < count:
            self._awaited = count
            self._reached.clear()
            await self._reached.wait()


class Echo(Counting):
    """``Fixture.Echo``: answers calls with their request, counts messages ``{seq, Stream, Number, Payload}``."""

    def init(self) -> None:
        self._messages = self._errors = self._first = self._last = 0
        self._expected: dict[Atom, int] = {}

    @property
    def count(self) -> int:
        return self._messages

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        del from_
        return request

    def handle_info(self, message: Any) -> None:
        self._last = time.monotonic_ns()
        if not self._messages:
            self._first = self._last
        self._messages += 1
        _seq, stream, number, _payload = message
        if self._expected.get(stream, 0) != number:
            self._errors += 1
        self._expected[stream] = number + 1
        if self._messages == self._awaited:
            self._reached.set()

    def counter(self) -> dict[str, int]:
        """Return how much has arrived, what was out of order, and the time from the first message to the last."""
        elapsed = (self._last - self._first) // 1000
        return {"messages": self._messages, "sequence_errors": self._errors, "elapsed_us": elapsed}


class Burst(GenServer):
    """``Fixture.Load.burst``: sends numbered messages, as fast as the link takes them.

    Attributes:
        done: Set when the last one is sent.
    """

    def __init__(self, dest: tuple[Atom, Atom], count: int, payload: bytes) -> None:
        super().__init__()
        self.done = asyncio.Event()
        self._dest, self._count, self._payload = dest, count, payload

    def init(self) -> Continue:
        return Continue(0)

    def handle_continue(self, argument: int) -> Continue | None:
        seq, default, send, end = atoms.seq, atoms.default, self.send, min(argument + BURST_SLICE, self._count)
        for number in range(argument, end):
            send(self._dest, (seq, default, number, self._payload))
        if end < self._count:
            return Continue(end)
        self.done.set()
        return None


class Collector(Counting):
    """``Fixture.Collector``: remembers DOWNs, makes the books afterwards.

    What it keeps are long tuples, which the collector of garbage soon leaves alone. A list with a million
    references is walked whole in every full collection, and those pauses would be ours, not the node's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._count = 0
        self._targets: list[tuple[Pid, ...]] = []
        self._references: list[tuple[Reference, ...]] = []
        self._recent: list[Any] = []
        self._arrived: list[tuple[Any, ...]] = []

    @property
    def count(self) -> int:
        return self._count

    @property
    def targets(self) -> Iterator[tuple[Pid, ...]]:
        """The targets, by the thousand."""
        return iter(self._targets)

    def aim(self, targets: Sequence[Pid]) -> None:
        """Add targets."""
        self._targets += (tuple(targets[start : start + CHUNK]) for start in range(0, len(targets), CHUNK))

    def keep(self, references: Iterable[Reference]) -> None:
        """Remember the references of the monitors on the next targets."""
        self._references.append(tuple(references))

    def handle_info(self, message: Any) -> None:
        _down, reference, _process, target, reason = message
        self._recent += reference, target, reason[1]
        self._count += 1
        if self._count % PIECE == 0:
            self._arrived.append(tuple(self._recent))
            self._recent.clear()
        if self._count == self._awaited:
            self._reached.set()

    def balance(self, first: int, *, ended: float) -> dict[str, int]:
        """Return ``monitors downs missing strange wrong``.

        Args:
            first: Index of the first target.
            ended: How many of the targets ended by themselves; the reason of all others has to be ``nodedown``.
        """
        end = first + ended
        references, targets = chain.from_iterable(self._references), chain.from_iterable(self._targets)
        pairs = zip(references, targets, strict=True)
        missing = {reference: (target, index) for index, (reference, target) in enumerate(pairs, first)}
        monitors, strange, wrong = len(missing), 0, 0
        cells = chain(chain.from_iterable(self._arrived), self._recent)
        for reference, target, reason in zip(cells, cells, cells, strict=True):
            expected = missing.pop(reference, None)
            if expected is None:
                strange += 1
            elif target != expected[0] or reason != (usual(expected[1]) if expected[1] < end else atoms.nodedown):
                wrong += 1
        figures = {"monitors": monitors, "downs": self._count, "missing": len(missing)}
        return {**figures, "strange": strange, "wrong": wrong}


def usual(index: int) -> Term:
    """Return the reason that ``Fixture.Reasons.usual`` gives the process at ``index``."""
    turn = index % 20
    if turn < 16:
        return (atoms.normal, atoms.normal, atoms.shutdown, atoms.killed)[turn // 4]
    tuples: tuple[Term, ...] = (
        (atoms.shutdown, atoms.closed),
        (atoms.shutdown, (atoms.timeout, index)),
        (atoms.badmatch, (atoms.error, atoms.closed)),
        (atoms.error, (atoms.request, index)),
    )
    return tuples[turn - 16]


class Probe:
    """How late the event loop is: a timer that compares the time with when it was due.

    The processor time that the loop's thread used between two ticks tells a pause of ours from one in which the
    operating system ran somebody else; the longest garbage collection tells who else was at work.
    """

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._used = self._late = self._busy = self._collecting = self._collected = 0.0
        self._ticks = 0

    def start(self) -> None:
        """Begin to look."""
        self._late = self._busy = self._collected = 0.0
        self._ticks, self._used = 0, time.thread_time()
        gc.callbacks.append(self._garbage)
        self._arm()

    def stop(self) -> dict[str, int]:
        """End; the longest delay, processor time between two ticks, garbage collection (microseconds); the ticks."""
        assert self._timer is not None
        self._timer.cancel()
        gc.callbacks.remove(self._garbage)
        longest = {"late_us": self._late, "busy_us": self._busy, "garbage_us": self._collected}
        return {**{name: round(value * 1e6) for name, value in longest.items()}, "ticks": self._ticks}

    def _garbage(self, phase: str, _info: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._collecting = now
        else:
            self._collected = max(self._collected, now - self._collecting)

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + TICK
        self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        used = time.thread_time()
        self._late = max(self._late, asyncio.get_running_loop().time() - self._due)
        self._busy = max(self._busy, used - self._used)
        self._used = used
        self._ticks += 1
        self._arm()
