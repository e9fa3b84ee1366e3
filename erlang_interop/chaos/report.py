"""What a run says at its end: a table for people, a line of JSON for a file."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from erlang_interop.chaos.oracle import Direction, Verdict
    from erlang_interop.chaos.run import Run

__all__ = ["failures_of", "record_of", "table", "total"]

COLUMNS: Final = (
    "made", "died", "noproc", "nodedown", "demonitored", "subscriber died", "watcher killed",
    "lost", "duplicated", "invented",
)  # fmt: skip
OFFENDERS: Final = 5


def table(verdict: Verdict) -> str:
    """Return the balance of all directions."""
    width = max(map(len, verdict.directions), default=0)
    lines = [" " * width + "".join(f"{column:>16}" for column in COLUMNS)]
    for name, direction in sorted(verdict.directions.items()):
        lines.append(f"{name:<{width}}" + "".join(f"{_figure(direction, column):>16,}" for column in COLUMNS))
    return "\n".join(lines)


def _figure(direction: Direction, column: str) -> int:
    match column:
        case "made":
            return direction.made
        case "lost" | "duplicated" | "invented":
            return len(getattr(direction, column))
    return direction.outcomes[column]


def failures_of(run: Run, verdict: Verdict) -> list[str]:
    """Return what is wrong, the first offenders of each sort."""
    wrong = list(run.failures)
    for name, direction in verdict.directions.items():
        for sort in ("lost", "duplicated", "invented"):
            offenders: list[str] = getattr(direction, sort)
            wrong += [f"{name}: {sort}: {one}" for one in offenders[:OFFENDERS]]
            if len(offenders) > OFFENDERS:
                wrong.append(f"{name}: {sort}: {len(offenders) - OFFENDERS} more")
    wrong += [f"unexplained: {one}" for one in verdict.unexplained[:OFFENDERS]]
    return wrong


def record_of(run: Run, verdict: Verdict, wrong: Sequence[str]) -> dict[str, Any]:
    """Return the result as one object."""
    live = run.live
    return {
        **asdict(run.options),
        "live": {"mean": round(live.mean), "minimum": live.minimum, "maximum": live.maximum},
        "directions": {
            name: {column: _figure(direction, column) for column in COLUMNS}
            for name, direction in verdict.directions.items()
        },
        "faults": dict(run.fault_counts()),
        "unexplained": len(verdict.unexplained),
        "slow_pings": len(verdict.slow),
        "failures": len(wrong),
    }


def total(records: Sequence[dict[str, Any] | None]) -> str:
    """Return the sum of several runs in a few lines; None stands for one that broke off."""
    whole = [record for record in records if record is not None]
    minutes = sum(record["minutes"] for record in whole)
    sums = dict.fromkeys(COLUMNS, 0)
    for record in whole:
        for direction in record["directions"].values():
            for column in COLUMNS:
                sums[column] += direction[column]
    mean = sum(record["live"]["mean"] * record["minutes"] for record in whole) / max(minutes, 1e-9)
    figures = ", ".join(f"{value:,} {column}" for column, value in sums.items())
    failed = [record["seed"] for record in whole if record["failures"]]
    return (
        f"total of {len(whole)} seeds, {minutes:g} minutes: {figures}; {mean:,.0f} live on average; "
        f"failed seeds: {failed or 'none'}; broken off: {len(records) - len(whole)}"
    )
