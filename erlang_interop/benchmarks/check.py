"""``python -m erlang_interop.benchmarks.check``: fail when a ratio is worse than its bound by more than a quarter.

`bounds` says how that is judged. Rows whose goal is an absolute time are left out: they say as much about the machine
as about the node. ``--record`` measures three times and writes the medians as bounds. Exit status: 1 when a row has
failed, 2 when there are no bounds for what was to be checked.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from erlang_interop.benchmarks.__main__ import Run, prepare
from erlang_interop.benchmarks.bounds import FILE, TRIES, Kind, judge, load, record
from erlang_interop.benchmarks.codec import DECODE, ENCODE
from erlang_interop.benchmarks.growth import GROWTH
from erlang_interop.benchmarks.measure import FULL, Options, Row
from erlang_interop.benchmarks.messages import CALL, IN, OUT
from erlang_interop.benchmarks.monitors import DELIVER, ESTABLISH, MEMORY
from pyzen import _native

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Form:
    """How much is checked."""

    options: Options
    rows: Sequence[Row]


SMALL: Final = Options(pairs=7, size=100_000, monitors=20_000, messages=60_000, calls=500, rounds=20)
RATIOS: Final = (DECODE, ENCODE, IN, OUT, CALL, ESTABLISH, DELIVER, MEMORY)
FORMS: Final = {"full": Form(FULL, (*RATIOS, GROWTH)), "short": Form(SMALL, RATIOS)}


async def measure(form: Form, rows: Sequence[Row]) -> dict[Row, float | str]:
    """Measure rows; the ratio of each, or why it could not be measured."""
    run = Run(replace(form.options, peers=False, one_processor=True), rows)
    await run.measure()
    return {result.row: result.paired for result in run.results} | run.failed


async def recorded(form: Form) -> dict[str, float]:
    """Measure all rows three times; the median of each.

    Raises:
        RuntimeError: If a row could not be measured.
    """
    runs = [await measure(form, form.rows) for _ in range(TRIES)]
    return {row.key: statistics.median(_ratio(row, run[row]) for run in runs) for row in form.rows}


def _ratio(row: Row, found: float | str) -> float:
    if isinstance(found, str):
        raise RuntimeError(f"{row.key} {found}")
    return found


async def main(arguments: Sequence[str] | None = None) -> int:
    """Check, or record."""
    parser = argparse.ArgumentParser(
        prog="python -m erlang_interop.benchmarks.check", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--form", choices=FORMS, default="full", help="how much is measured (%(default)s)")
    parser.add_argument("--record", action="store_true", help=f"write the bounds to {FILE.name} instead")
    asked = parser.parse_args(arguments)
    form = FORMS[asked.form]
    machine = await prepare()
    kind = Kind(asked.form, _native.PROFILE, machine["rival"])
    if asked.record:
        bounds = await recorded(form)
        record(kind, {key: round(bound, 3) for key, bound in bounds.items()}, machine)
        print(f"bounds for {kind}:", ", ".join(f"{key} {bound:.2f}" for key, bound in bounds.items()))
        return 0
    return await check(kind, form, load(kind))


async def check(kind: Kind, form: Form, bounds: Mapping[str, float]) -> int:
    """Judge every row of a form; the exit status."""
    if not bounds:
        print(f"no bounds are recorded for {kind}; --record measures them", file=sys.stderr)
        return 2
    verdicts = await judge(form.rows, bounds, partial(measure, form))
    print(f"ratios, with {kind}, each tried up to {TRIES} times:")
    print("\n".join(map(str, verdicts)))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
