"""``python -m erlang_interop.hostile``: attack a node in every way that is known, and say what came of it.

Exit status 1 when an attack does not pass.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from erlang_interop.hostile import attacks, report
from erlang_interop.hostile.attack import ATTACKS
from erlang_interop.hostile.run import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from erlang_interop.hostile.attack import Attack
    from erlang_interop.hostile.verdict import Outcome

assert attacks.__all__  # imported for what they add to ATTACKS


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m erlang_interop.hostile", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these attacks, or kinds of attacks")
    parser.add_argument("--list", action="store_true", help="list the attacks, and play none")
    parser.add_argument("--python", default=sys.executable, help="interpreter that runs the attacked node (this one)")
    parser.add_argument("--label", default="now", help="name of this run in the record (now)")
    parser.add_argument("--record", type=Path, help="file with the outcomes of runs, to which this one is added")
    parser.add_argument("--table", type=Path, help="file to write the table of the whole record to")
    options = parser.parse_args(arguments)
    known = {*ATTACKS, *(attack.kind for attack in ATTACKS.values())}
    unknown = [name for name in options.only or () if name not in known]
    if unknown:
        parser.error(f"--only: {unknown[0]!r} is unknown; --list lists the attacks")
    if options.table is not None and options.record is None:
        parser.error("--table needs --record")
    return options


def wanted(only: Sequence[str] | None) -> list[Attack]:
    """Return the attacks to play."""
    return [one for one in ATTACKS.values() if only is None or one.name in only or one.kind in only]


async def play(attacks: Sequence[Attack], python: str, note: Callable[[Outcome], object]) -> list[Outcome]:
    """Play attacks, one after the other; each outcome is noted."""
    outcomes = []
    async with opened(python) as run:
        for attack in attacks:
            outcome = await run.play(attack)
            print(report.line(attack, outcome), flush=True)
            note(outcome)
            outcomes.append(outcome)
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack."""
    options = parse(arguments)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of each write to a link that the node has ended
    chosen = wanted(options.only)
    if options.list:
        print("\n".join(f"{one.kind:12} {one.name:32} {one.about}" for one in chosen))
        return 0

    def note(outcome: Outcome) -> None:
        if options.record is not None:
            report.save(options.record, options.label, outcome)

    outcomes = asyncio.run(play(chosen, options.python, note))
    passed = sum(outcome.passed for outcome in outcomes)
    print(f"{passed} of {len(outcomes)} attacks pass")
    if options.table is not None:
        options.table.write_text(report.page(ATTACKS, report.read(options.record)))
    return int(passed < len(outcomes))


if __name__ == "__main__":
    sys.exit(main())
