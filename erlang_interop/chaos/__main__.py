"""Run the chaos: ``python -m erlang_interop.chaos --seed 7 --minutes 3``; the documentation is docs/chaos.md."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erlang_interop.chaos.elixir_oracle import judge_elixir
from erlang_interop.chaos.oracle import judge
from erlang_interop.chaos.report import failures_of, record_of, table, total
from erlang_interop.chaos.run import Options, Run
from erlang_interop.nodes import FIXTURE

if TYPE_CHECKING:
    from collections.abc import Callable

    from erlang_interop.chaos.oracle import Verdict


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m erlang_interop.chaos", description="Breaks things, keeps books.")
    parser.add_argument("--seed", type=int, default=None, help="what a run follows from; random by default")
    parser.add_argument("--seeds", type=int, default=1, help="runs, one after the other, each with the next seed")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long things break, in each run")
    parser.add_argument("--monitors", type=int, default=100_000, help="live monitors, on average")
    parser.add_argument("--nodes", default="2+2", help="Python and Elixir nodes, such as 2+2")
    parser.add_argument("--record", type=Path, help="file to add a line of JSON to, for each run")
    parser.add_argument("--keep", type=Path, help="folder for the journals; else they go unless the run fails")
    return parser.parse_args()


def options_of(asked: argparse.Namespace, seed: int) -> Options:
    """Return what one run is."""
    python, _, elixir = asked.nodes.partition("+")
    return Options(seed, asked.minutes, asked.monitors, int(python), int(elixir))


def judged(run: Run) -> tuple[Verdict, list[str]]:
    """Judge a run that is over; return the balance and what is wrong."""
    gc.disable()  # what is read is kept to the end
    try:
        verdict = judge(run.truth)
        judge_elixir(run.truth, run.watchers, verdict)
    finally:
        gc.enable()
    return verdict, failures_of(run, verdict)


def play(options: Options, folder: Path, say: Callable[[str], None]) -> tuple[dict[str, Any], list[str]]:
    """Run and judge one seed; return its record and what is wrong."""
    say(f"seed {options.seed}: {options.python} Python and {options.elixir} Elixir nodes, {options.minutes:g} minutes")
    run = Run(options, folder, say)
    asyncio.run(run.play())
    verdict, wrong = judged(run)
    live = run.live
    if live.mean < options.monitors:
        wrong.append(f"only {live.mean:,.0f} monitors were live on average")
    say(f"live: {live.mean:,.0f} on average, {live.minimum:,} at least, {live.maximum:,} at most")
    say("\n" + table(verdict))
    for one in wrong:
        say(f"FAILED {one}")
    for one in verdict.slow:
        say(f"note: {one}")
    return record_of(run, verdict, wrong), wrong


def play_seed(asked: argparse.Namespace, seed: int) -> dict[str, Any] | None:
    """Run one seed, and tell; None if the run itself came to an end before its time."""
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} {text}", flush=True)

    folder = asked.keep or Path(tempfile.mkdtemp(prefix="pyzen-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        record, wrong = play(options_of(asked, seed), folder, say)
    except Exception as error:  # the other seeds are worth having
        say(f"FAILED the run itself: {error!r:.3000}; the journals are in {folder}")
        return None
    if asked.record is not None:
        with asked.record.open("a") as file:
            file.write(json.dumps(record) + "\n")
    if wrong:
        say(f"the journals are in {folder}")
    elif asked.keep is None:
        shutil.rmtree(folder)
    return record


def main() -> int:
    """Run the seeds asked for."""
    asked = arguments()
    # As an interrupt: a stopped node never learns that its input has ended, so somebody has to kill it.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    subprocess.run(["mix", "compile"], cwd=FIXTURE, env={**os.environ, "MIX_ENV": "prod"}, check=True)
    first = asked.seed if asked.seed is not None else secrets.randbelow(10**6)
    records = [play_seed(asked, seed) for seed in range(first, first + asked.seeds)]
    if len(records) > 1:
        print(total(records))
    return int(any(record is None or record["failures"] for record in records))


if __name__ == "__main__":
    sys.exit(main())
