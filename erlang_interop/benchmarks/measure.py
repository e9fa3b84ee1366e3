"""What is measured and how: options, samples, the operating system's figures of a process."""

from __future__ import annotations

import contextlib
import mmap
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

PROC: Final = Path("/proc")
CERTIFICATES: Final = 5000
"""In the dead summary and in the sweep."""


class Mismatch(Exception):
    """What was to be timed is wrong."""


def check(condition: object, text: object) -> None:
    """Raise `Mismatch` unless ``condition`` holds."""
    if not condition:
        raise Mismatch(str(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much is measured.

    Attributes:
        pairs: How often both sides are measured, in turn.
        size: Monitors of the rows ``pause`` and ``growth``.
        monitors: Monitors of the rows ``establish``, ``deliver``, ``memory``.
        messages: Of one burst.
        calls: Of one series.
        rounds: Times that a term is coded for one sample.
        peers: Whether those are measured, too, whom no goal is about.
        one_processor: Whether the nodes of the rows ``in``, ``out`` and ``call`` share one.
    """

    pairs: int
    size: int
    monitors: int
    messages: int
    calls: int
    rounds: int
    peers: bool = True
    one_processor: bool = False


FULL: Final = Options(pairs=5, size=1_000_000, monitors=100_000, messages=200_000, calls=5000, rounds=300)
QUICK: Final = Options(pairs=2, size=100_000, monitors=20_000, messages=20_000, calls=500, rounds=50)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Attributes:
        key: What ``--rows`` calls it.
        work: What is done.
        rival: Who else does it.
        unit: Of the figures.
        goal: What the ratio ours / rival has to be.
        limit: The number in the goal.
    """

    key: str
    work: str
    rival: str
    unit: str
    goal: Literal["<=", ">="]
    limit: float


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody else who does the work of a row on the same data; no goal is about him.

    Attributes:
        name: And version.
        samples: In the unit of the row.
        missing: Why there are none.
    """

    name: str
    samples: Sequence[float] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came out of a row.

    Attributes:
        row: The row.
        ours: Our figures, in the order they were taken.
        rival: The rival's; none where there is no rival.
        value: What is judged, where it is not the ratio of the medians.
        value_text: How that reads.
        peers: Others who were measured beside the two.
        note: What else has to be said.
        details: Further figures, for the JSON.
    """

    row: Row
    ours: Sequence[float]
    rival: Sequence[float] = ()
    value: float | None = None
    value_text: str = ""
    peers: Sequence[Peer] = ()
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Median of ours by median of the rival's; None without a rival."""
        return statistics.median(self.ours) / statistics.median(self.rival) if self.rival else None

    @property
    def paired(self) -> float:
        """Median of the ratios of the pairs, where there is a rival: a phase of the machine meets both of a pair."""
        if self.value is not None:
            return self.value
        return statistics.median(ours / rival for ours, rival in zip(self.ours, self.rival, strict=True))

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        judged = self.ratio if self.value is None else self.value
        assert judged is not None, "a row without a rival says what is judged"
        return judged <= self.row.limit if self.row.goal == "<=" else judged >= self.row.limit


async def interleave(pairs: int, *sides: Callable[[], Awaitable[float]]) -> list[list[float]]:
    """Measure all sides in turn, so that what disturbs the machine disturbs all; the samples of each side."""
    samples: list[list[float]] = [[] for _ in sides]
    for _ in range(pairs):
        for side, taken in zip(sides, samples, strict=True):
            taken.append(await side())
    return samples


# ---- the operating system's figures, taken from outside, the same way for both sides ------------------


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process so far.

    From the scheduler's own count, in nanoseconds: ``/proc/PID/stat`` and ``os_ms`` count in hundredths of a second.
    A thread that ends takes its time along, which none does here.
    """
    counts = (PROC / f"{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[0]) for one in counts) / 1e9


def keep_on_one_processor(pid: int) -> None:
    """Let all threads of a process run on the same processor, the last that we may use; later threads, too."""
    processor = max(os.sched_getaffinity(0))
    for thread in (PROC / f"{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread.name), {processor})


def resident(pid: int) -> int:
    """Return the bytes of a process that are in memory."""
    return _status(pid, "VmRSS")


def peak_resident(pid: int) -> int:
    """Return the most bytes that were in memory since `forget_peak`."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Let `peak_resident` begin anew."""
    (PROC / f"{pid}/clear_refs").write_text("5")


def median_mb(sizes: Sequence[float]) -> str:
    """Return the median of sizes in bytes, as text in megabytes."""
    return f"{statistics.median(sizes) / 1e6:.0f} MB"


def available() -> int:
    """Return the bytes of memory that the operating system could give."""
    return _kilobytes(PROC / "meminfo", "MemAvailable")


def recycle(size: int) -> None:
    """Use ``size`` bytes of memory, half of what is available at most, and give them back: who comes next gets them.

    The host of a virtual machine gives it a page when it is first touched, and may take it back once it has been free
    for a while. The process that happens to touch it next pays for that, several times what the page fault itself
    costs: large sizes would seem dearer than small ones, for which there is always a page somebody has just left.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    mmap.mmap(-1, max(mmap.PAGESIZE, min(size, available() // 2)), flags=flags).close()


def _status(pid: int, name: str) -> int:
    return _kilobytes(PROC / f"{pid}/status", name)


def _kilobytes(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"{path} has no {name}")
