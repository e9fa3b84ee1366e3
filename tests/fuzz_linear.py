"""What terms of every shape cost: ``python -m tests.fuzz_linear [--shape NAME ...] [--largest BYTES]``.

Each shape of `bulky_terms` is made in two sizes, 0.6 and 5 MB, and decoded, received over a link and used as programs
use what they receive. No byte of the larger may cost more than `GROWTH` times what one of the smaller does,
nor more than `WORTH` times what one of a plain list of small integers takes to be decoded; `WORTH_OF_LONG` times for
uses that take long.

Compared are medians of the thread's own time, within one process; what seems too slow is measured again, three times at
most. Memory that no cache holds makes the last byte of a large dict or list cost up to thrice the first; what is
quadratic comes to eight times.
"""

from __future__ import annotations

import argparse
import copy
import pickle
import struct
import sys
import time
from contextlib import suppress
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyzen import etf, printing
from pyzen.brief import brief
from pyzen.errors import DecodeError
from pyzen.zen.truncator import truncate
from tests.bulky_terms import SHAPES
from tests.fuzz_link import OUR, THEIR, frame, session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

LARGEST: Final = 5_000_000
SMALLER: Final = 8
IN_SMALL: Final = 10
GROWTH: Final = 3.5
WORTH: Final = 80
WORTH_OF_LONG: Final = 500
TRIES: Final = 3

PLAIN: Final = "small integers"
CONTROL: Final = b"\x00" + etf.encode((22, THEIR, OUR))[1:]


# ---- what is done with a term


class Subject(NamedTuple):
    """A term, its bytes, and another one like it."""

    data: bytes
    term: Any
    twin: Any


def receive(packets: Iterable[bytes], piece: int) -> list[Any]:
    """Give a session packets, in pieces of a stream; return the events."""
    end, stream = session(), b"".join(map(frame, packets))
    return [event for at in range(0, len(stream), piece) for event in end.receive_data(stream[at : at + piece])]


def fragments(data: bytes, size: int) -> Iterator[bytes]:
    """Cut a message: what the first fragment holds, and then so many bytes in each."""
    last = -(-len(data) // size)
    yield struct.pack(">BBQQ", 131, 69, 1, last + 1) + CONTROL
    for number in range(last):
        yield struct.pack(">BBQQ", 131, 70, 1, last - number) + data[number * size : (number + 1) * size]


def received(piece: int) -> Callable[[Subject], Any]:
    return lambda subject: receive([b"\x83D" + CONTROL + subject.data[1:]], piece)


def received_in_fragments(size: int) -> Callable[[Subject], Any]:
    return lambda subject: receive(fragments(subject.data[1:], size), 1 << 16)


USES: Final[dict[str, Callable[[Subject], Any]]] = {
    "decode": lambda subject: etf.decode(subject.data),
    "receive": received(1 << 30),
    "receive in pieces": received(1 << 12),
    "receive in fragments": received_in_fragments(1 << 14),
    "receive in fragments of 100": received_in_fragments(100),
    "receive in fragments of 1": received_in_fragments(1),
    "encode": lambda subject: etf.encode(subject.term),
    "size": lambda subject: etf.encoded_size(subject.term, maximum=1 << 30),
    "hash": lambda subject: hash(subject.term),
    "hash as a key": lambda subject: [hash(key) for key in subject.term],
    "equal": lambda subject: subject.term == subject.twin,
    "sort": lambda subject: sorted([subject.term, subject.twin]),
    "repr": lambda subject: repr(subject.term),
    "brief": lambda subject: brief(subject.term),
    "print": lambda subject: printing.format(subject.term),
    "print a little": lambda subject: printing.format(subject.term, size=1000),
    "truncate": lambda subject: truncate(subject.term),
    "copy": lambda subject: copy.copy(subject.term),
    "copy deeply": lambda subject: copy.deepcopy(subject.term),
    "pickle": lambda subject: pickle.dumps(subject.term),
}
LONG: Final = frozenset({
    "repr", "print", "copy deeply", "pickle", "receive in fragments of 100", "receive in fragments of 1",
})  # fmt: skip
"""Uses that run code in Python for each part of a term, or have up to 22 bytes of a stream for each of its bytes: they
are measured with terms a tenth as large."""

HOPELESS: Final = (TypeError, ValueError, RecursionError)
"""What Python's own functions answer for what can't be hashed, compared, or printed by them."""


# ---- measuring


def subject_of(shape: str, size: int) -> Subject:
    """Return a term of a shape; None for it where the codec refuses it."""
    data = SHAPES[shape](size)
    try:
        return Subject(data, etf.decode(data), etf.decode(data))
    except DecodeError:
        return Subject(data, None, None)


def cost(use: Callable[[Subject], Any], subject: Subject) -> float:
    """Return seconds of this thread for each byte: the median of three, or of one where it takes long."""
    times: list[float] = []
    while len(times) < 3 and sum(times) < 1:
        start = time.thread_time()
        with suppress(DecodeError, *HOPELESS):
            use(subject)
        times.append(time.thread_time() - start)
    return median(times) / len(subject.data)


class Verdict(NamedTuple):
    """How much dearer a byte gets, and how much dearer it is than one of a plain list."""

    shape: str
    use: str
    growth: float
    worth: float
    bound: float

    @property
    def passed(self) -> bool:
        return self.growth <= GROWTH and self.worth <= self.bound

    def __str__(self) -> str:
        mark = "" if self.passed else "  TOO SLOW"
        return f"{self.shape:40} {self.use:30} grows {self.growth:5.2f}, costs {self.worth:7.2f}{mark}"


def judge(shape: str, use: str, made: Sequence[Subject], plain: float) -> Verdict:
    """Measure one use of the terms of one shape, until it passes or was tried often enough."""
    bound = WORTH_OF_LONG if use in LONG else WORTH
    verdict = Verdict(shape, use, 0, 0, bound)
    for _ in range(TRIES):
        costs = [cost(USES[use], subject) for subject in made]
        # What takes next to no time is not worth a ratio: half of the plain list's.
        growth, worth = costs[-1] / max(costs[0], plain / 2), costs[-1] / plain
        verdict = Verdict(shape, use, growth, worth, bound)
        if verdict.passed:
            break
    return verdict


def check(shapes: Iterable[str], uses: Sequence[str], largest: int) -> Iterator[Verdict]:
    """Judge all uses of shapes, one after another."""
    plain = cost(USES["decode"], subject_of(PLAIN, largest))
    for shape in shapes:
        made = [subject_of(shape, largest // SMALLER), subject_of(shape, largest)]
        small = [subject_of(shape, size // IN_SMALL) for size in (largest // SMALLER, largest)]
        for use in uses if made[-1].term is not None else ["decode", "receive"]:
            yield judge(shape, use, small if use in LONG else made, plain)


def main() -> None:
    """Run as a program: print what each shape costs, and fail for one that costs too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, action="append")
    parser.add_argument("--use", choices=USES, action="append")
    parser.add_argument("--largest", type=int, default=LARGEST, help="bytes of the largest terms")
    arguments = parser.parse_args()
    failures = 0
    for verdict in check(arguments.shape or SHAPES, arguments.use or list(USES), arguments.largest):
        print(verdict, flush=True)
        failures += not verdict.passed
    sys.exit(f"{failures} are too slow" if failures else 0)


if __name__ == "__main__":
    main()
