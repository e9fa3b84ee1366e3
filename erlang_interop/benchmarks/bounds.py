"""How good the ratios have been, and the judgement of a run by that.

A bound is the ratio of a row as it was recorded: median of the runs of ``--record``. A row fails when it is worse by
more than a quarter in every one of three tries. A slow machine slows both sides, and a busy one both sides of a pair:
what is compared is the median of the ratios of the pairs. The best sample of a side says less, for a machine may be at
its best for one sample and never again.

Bounds hold for what they were recorded with: the amounts (a form of `check`), the build and the rival.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from erlang_interop.benchmarks.measure import Row

    Measured = Mapping[Row, float | str]
    Measure = Callable[[Sequence[Row]], Awaitable[Measured]]

FILE: Final = Path(__file__).parent / "bounds.json"
MARGIN: Final = 1.25
TRIES: Final = 3


def holds(row: Row, ratio: float, bound: float) -> bool:
    """Say whether a ratio is as good as its bound, or worse by at most a quarter."""
    return ratio <= bound * MARGIN if row.goal == "<=" else ratio >= bound / MARGIN


@dataclass(slots=True)
class Verdict:
    """How a row has done.

    Attributes:
        row: The row.
        bound: What is recorded of it; None where nothing is, which is a failure.
        tries: The ratio of each try, or why there was none.
    """

    row: Row
    bound: float | None
    tries: list[float | str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether one of the tries holds."""
        return self.bound is not None and any(
            isinstance(one, float) and holds(self.row, one, self.bound) for one in self.tries
        )

    def __str__(self) -> str:
        if self.bound is None:
            return f"FAILED  {self.row.key}: no bound is recorded"
        tries = ", ".join(one if isinstance(one, str) else f"{one:.2f}" for one in self.tries)
        side = "at most" if self.row.goal == "<=" else "at least"
        limit = self.bound * MARGIN if self.row.goal == "<=" else self.bound / MARGIN
        return f"{'passed' if self.passed else 'FAILED'}  {self.row.key}: {tries} ({side} {limit:.2f})"


async def judge(rows: Sequence[Row], bounds: Mapping[str, float], measure: Measure) -> list[Verdict]:
    """Measure rows until they hold, three times at most; what has held is not measured again."""
    verdicts = [Verdict(row, bounds.get(row.key)) for row in rows]
    for _ in range(TRIES):
        waiting = [one for one in verdicts if one.bound is not None and not one.passed]
        if not waiting:
            break
        found = await measure([one.row for one in waiting])
        for verdict in waiting:
            verdict.tries.append(found.get(verdict.row, "not measured"))
    return verdicts


# ---- the file


@dataclass(frozen=True, slots=True)
class Kind:
    """What bounds hold for.

    Attributes:
        form: The amounts.
        build: Profile of the native module: ``dev`` or ``release``.
        rival: The stand-in, or the real one; with its version.
    """

    form: str
    build: str
    rival: str

    def __str__(self) -> str:
        return f"the {self.form} form, a {self.build} build, {self.rival}"


def load(kind: Kind, path: Path = FILE) -> dict[str, float]:
    """Return the bounds of a kind by the keys of the rows; empty where none are recorded."""
    found = [one["bounds"] for one in _sets(path) if one["kind"] == asdict(kind)]
    return found[0] if found else {}


def record(kind: Kind, bounds: Mapping[str, float], machine: Mapping[str, Any], path: Path = FILE) -> None:
    """Write the bounds of a kind, in place of those that were there, and what they were measured on."""
    others = [one for one in _sets(path) if one["kind"] != asdict(kind)]
    new = {"kind": asdict(kind), "machine": dict(machine), "bounds": dict(bounds)}
    path.write_text(json.dumps([*others, new], indent=2) + "\n")


def _sets(path: Path) -> list[dict[str, Any]]:
    sets: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return sets
