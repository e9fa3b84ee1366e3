"""Elixir watches Python: monitors made on the Elixir nodes, whose books are those of ``mix_fixture``."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.chaos.books import BLOCK
from erlang_interop.chaos.members import GONE
from pyzen.terms import atoms

if TYPE_CHECKING:
    from erlang_interop.chaos.members import Member
    from erlang_interop.chaos.run import Run

__all__ = ["ElixirWatcher", "Entry"]

SHARE: Final = 20
"""One monitor on this side for so many asked for on the other."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One monitor of an Elixir node and what came of it.

    Attributes:
        watcher: Life of the node.
        label: Life of the target's node.
        index: The target.
        made: When, in seconds.
        status: ``down``, ``demonitored`` or ``pending``.
        ended: When, in seconds; None while pending.
        reason: Of the DOWN.
    """

    watcher: str
    label: str
    index: int
    made: float
    status: str
    ended: float | None
    reason: Any


class ElixirWatcher:
    """The watching half of an Elixir node.

    Attributes:
        entries: Filled by `close`.
        figures: The balance, likewise.
        lost_with_node: Monitors whose books ended with their node.
    """

    def __init__(self, member: Member, run: Run) -> None:
        self.member = member
        self.entries: list[Entry] = []
        self.figures: dict[str, int] = {}
        self.lost_with_node = 0
        self._run = run
        self._life = ""
        self._aims: list[tuple[str, int]] = []
        self._demonitored = 0
        self._dice = random.Random(f"{run.options.seed} {member.kind} {len(run.watchers)}")

    async def play(self, end: float) -> None:
        """Make and undo monitors until then."""
        while time.monotonic() < end:
            await asyncio.sleep(self._dice.uniform(0.3, 0.7))
            if self.member.is_running:
                try:
                    await self._step()
                except GONE:
                    continue

    async def _step(self) -> None:
        if self._life != self.member.label:
            self.lost_with_node += len(self._aims)
            self._life, self._aims, self._demonitored = self.member.label, [], 0
        balance = await self._balance()
        wanted = self._run.options.monitors // SHARE // len(self._run.watchers)
        for _ in range(min(max(1, (wanted - balance["pending"]) // BLOCK), 10)):
            await self._monitor_block()
        if self._dice.random() < 0.3 and balance["monitors"] > self._demonitored + 10 * BLOCK:
            start = self._dice.randrange(self._demonitored, balance["monitors"] - BLOCK)
            await self.member.call("demonitor", start, start + self._dice.randrange(BLOCK), "flush")

    async def _balance(self) -> dict[str, int]:
        words = (await self.member.call("ledger")).split()
        return {name: int(value) for name, _, value in (word.partition("=") for word in words)}

    async def _monitor_block(self) -> None:
        target = self._dice.choice(self._run.python)
        first = target.pick_block(self._dice)
        if first is None or not target.is_running:
            return
        label = target.label
        pids = await target.call("pids", first, first + BLOCK)
        if self._life != self.member.label:
            return
        self._aims += [(label, first + place) for place in range(BLOCK)]
        await self.member.call("monitor", "zen", pids)

    async def close(self) -> None:
        """Wait for the last DOWNs, and fetch the books of the present life."""
        if self._life != self.member.label:
            self.lost_with_node += len(self._aims)
            return
        deadline = time.monotonic() + 60
        while (await self._balance())["pending"] and time.monotonic() < deadline:
            await asyncio.sleep(0.5)
        self.figures = await self._balance()
        offset = await self._clock_offset()
        for index, made, status, ended, reason in await self.member.term("entries"):
            label, target = self._aims[index]
            at = None if ended is atoms.nil else ended / 1e6 + offset
            self.entries.append(Entry(self._life, label, target, made / 1e6 + offset, str(status), at, reason))

    async def _clock_offset(self) -> float:
        """Return what to add to the node's monotonic seconds to get ours; the quickest answer of five counts."""
        answers = []
        for _ in range(5):
            before = time.monotonic()
            theirs = int(await self.member.call("eval", "System.monotonic_time(:microsecond)")) / 1e6
            after = time.monotonic()
            answers.append((after - before, (before + after) / 2 - theirs))
        return min(answers)[1]
