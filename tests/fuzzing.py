"""What fuzzers have in common: targets, running them for a time, and a corpus of what behaved like nothing before it.

A target makes inputs from random numbers, and checks them. A check answers what became of the input in words: the
outcome, a colon, and what tells this behaviour from others, such as the kinds of events or the text of an error without
its numbers. Of each behaviour a corpus keeps the shortest input that has shown it.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CORPUS: Final = Path(__file__).parent / "corpus"
MAX_KEPT: Final = 200
"""Inputs that a corpus keeps."""

MAX_SIZE: Final = 400
"""Bytes of an input that is kept."""

MIB: Final = 1 << 20
MAX_GROWTH: Final = 64 * MIB
"""What the process may grow by over any number of inputs."""

BATCH_SECONDS: Final = 5.0

Input: TypeAlias = "list[bytes]"


class Target(NamedTuple):
    """Inputs without end, and what is to hold for each: an ``AssertionError`` says what does not."""

    inputs: Callable[[random.Random], Iterator[Input]]
    check: Callable[[Input], str]


def behaviour(outcome: str, *details: object) -> str:
    """Return the words of a check: numbers, and what is quoted, don't tell one behaviour from another."""
    told = " ".join(map(str, details))
    return f"{outcome}: " + re.sub(r"""b?(['"]).*?\1|[0-9]+""", "0", told)[:150].replace("\n", " ")


class Corpus:
    """The shortest input of each behaviour of a target, a line of hexadecimal parts in a file."""

    def __init__(self, name: str, folder: Path = CORPUS / "kept") -> None:
        self._path = folder / f"{name}.hex"
        self._kept: dict[str, Input] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def replay(self, target: Target) -> Counter[str]:
        """Check all that the file has; return what became of it."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        outcomes: Counter[str] = Counter()
        for line in lines:
            parts = [bytes.fromhex(part) for part in line.split(",")]
            words = target.check(parts)
            self.see(words, parts)
            outcomes[words.partition(":")[0]] += 1
        return outcomes

    def see(self, words: str, parts: Input) -> None:
        """Keep an input if there is none, or only a longer one, of this behaviour."""
        known, size = self._kept.get(words), sum(map(len, parts))
        has_room = len(self._kept) < MAX_KEPT if known is None else size < sum(map(len, known))
        if size <= MAX_SIZE and has_room:
            self._kept[words] = parts

    def write(self) -> None:
        """Write the file anew, the shortest inputs first."""
        lines = sorted(
            (",".join(part.hex() for part in parts) for parts in self._kept.values()), key=lambda one: (len(one), one)
        )
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text("".join(f"{line}\n" for line in lines))


def checked(name: str, target: Target, seed: int) -> Iterator[tuple[Input, str]]:
    """Check one input after another, without end; one that fails is printed before its exception is raised."""
    for number, parts in enumerate(target.inputs(random.Random(seed))):
        try:
            yield parts, target.check(parts)
        except Exception:
            shown = ",".join(part.hex() for part in parts)
            print(f"{name}, seed {seed}, input {number}: {shown}", file=sys.stderr)
            raise


def run(name: str, target: Target, inputs: int, seed: int) -> Counter[str]:
    """Check this many inputs; return how often each outcome was."""
    return Counter(words.partition(":")[0] for _, words in islice(checked(name, target, seed), inputs))


def run_for(seconds: float, name: str, target: Target, seed: int, corpus: Corpus) -> str:
    """Check inputs of one target for a time, with another seed every few seconds, and the size of the process.

    Raises:
        AssertionError: If an input fails, or the process grows.
    """
    start, began, first, at = time.monotonic(), time.process_time(), None, seed
    outcomes: Counter[str] = Counter()
    while time.monotonic() - start < seconds:
        batch = time.monotonic()
        for parts, words in checked(name, target, at):
            outcomes[words.partition(":")[0]] += 1
            corpus.see(words, parts)
            if time.monotonic() - batch > min(BATCH_SECONDS, seconds):
                break
        at += 1
        size = resident_bytes()
        first = first if first is not None else size
        assert size - first < MAX_GROWTH, f"the process has grown from {first} to {size} bytes"
    growth, used = (resident_bytes() - (first or 0)) / MIB, time.process_time() - began
    shown = f"{outcomes.total()} inputs, {dict(outcomes)}, {len(corpus)} behaviours"
    return f"{name}: {shown}, seeds {seed} to {at - 1}, {used:.0f} s of CPU, grown by {growth:.1f} MiB"


def resident_bytes() -> int:
    """Return the memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
