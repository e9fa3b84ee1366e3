"""``python -m erlang_interop.benchmarks``: measure, print the table, write the JSON and the chart of growth.

Exit status 1 when a row could not be measured or what it timed was wrong; a goal missed is no failure.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.benchmarks import codec, growth, idle, messages, monitors
from erlang_interop.benchmarks.chart import NoChart, draw
from erlang_interop.benchmarks.measure import FULL, QUICK, Mismatch, Options, Result, Row
from erlang_interop.benchmarks.report import save, surroundings, table
from erlang_interop.benchmarks.rig import TOP, compile_fixture, open_rig
from erlang_interop.nodes import CommandError, NodeEnded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

THEMES: Final = (codec, messages, monitors, growth, idle)
ROWS: Final = {row.key: row for theme in THEMES for row in theme.ROWS}
SMALLEST: Final = 1000
FAILURES: Final = (Mismatch, CommandError, NodeEnded, TimeoutError)


async def prepare() -> dict[str, Any]:
    """Compile ``mix_fixture``; return what the figures depend on."""
    compile_fixture()
    async with open_rig() as rig:
        return await surroundings(await rig.elixir())


class Run:
    """One run: what was asked for, and what has come out so far."""

    def __init__(self, options: Options, wanted: Sequence[Row]) -> None:
        self.options = options
        self.wanted = wanted
        self.results: list[Result] = []
        self.failed: dict[Row, str] = {}

    async def measure(self) -> None:
        """Measure every row that is wanted, after `prepare`."""
        for theme in THEMES:
            rows = [row for row in theme.ROWS if row in self.wanted]
            if rows:
                await self._measure_theme(theme, rows)

    async def _measure_theme(self, theme: Any, rows: Sequence[Row]) -> None:
        print(f"measuring {', '.join(row.key for row in rows)} ...", file=sys.stderr, flush=True)
        try:
            async with open_rig() as rig:
                self.results += await theme.run(rig, self.options, rows)
        except FAILURES as failure:
            self.failed |= {row: f"failed: {failure or type(failure).__name__}" for row in rows}

    def left_out(self) -> dict[Row, str]:
        """Rows without a result, and why."""
        return self.failed | {row: "not run" for row in ROWS.values() if row not in self.wanted}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m erlang_interop.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default=",".join(ROWS), help="which, joined by commas (all: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="small sizes, two pairs: a trial, no figures to quote")
    parser.add_argument("--pairs", type=int, help=f"samples of each side ({FULL.pairs})")
    parser.add_argument("--size", type=int, help=f"most monitors at a time ({FULL.size})")
    parser.add_argument("--json", type=Path, help="where the samples go (.build/benchmarks/TIME.json)")
    parser.add_argument("--chart", type=Path, help="where the chart of growth goes (beside the samples, as SVG)")
    options = parser.parse_args(arguments)
    unknown = [key for key in options.rows.split(",") if key not in ROWS]
    if unknown:
        parser.error(f"--rows: {unknown[0]!r} is unknown; there are {', '.join(ROWS)}")
    if options.pairs is not None and options.pairs < 1:
        parser.error("--pairs is at least 1")
    if options.size is not None and options.size < SMALLEST:
        parser.error(f"--size is at least {SMALLEST}")
    return options


def amounts(arguments: argparse.Namespace) -> Options:
    """Return how much is measured."""
    base = QUICK if arguments.quick else FULL
    size = base.size if arguments.size is None else arguments.size
    pairs = base.pairs if arguments.pairs is None else arguments.pairs
    return dataclasses.replace(base, pairs=pairs, size=size, monitors=min(base.monitors, size))


def charted(content: Mapping[str, Any], path: Path) -> str:
    """Draw the chart; where it is, or why there is none."""
    try:
        draw(content, path)
    except NoChart as reason:
        return f"none: {reason}"
    return str(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks."""
    asked = parse(arguments)
    run = Run(amounts(asked), [ROWS[key] for key in asked.rows.split(",")])
    started = time.monotonic()
    around = asyncio.run(prepare())
    asyncio.run(run.measure())
    path = asked.json or TOP / f".build/benchmarks/{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    content = save(path, run.options, around, run.results, run.left_out())
    print(", ".join(f"{name} {value}" for name, value in around.items()))
    print(f"{run.options.pairs} pairs, median (lowest..highest), {time.monotonic() - started:.0f} s\n")
    print(table(run.results, run.left_out()))
    print(f"\nevery sample: {path}\nchart: {charted(content, asked.chart or path.with_suffix('.svg'))}")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
