"""One run: nodes come up, monitors are made, things break for a while, everything is mended, the books are closed.

What is done, to whom and for how long follows from the seed; when exactly each node gets round to it does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.chaos.books import BLOCK, NAMED, NAMES
from erlang_interop.chaos.breaker import Breaker
from erlang_interop.chaos.members import GONE, Member
from erlang_interop.chaos.network import FaultyNetwork
from erlang_interop.chaos.truth import Truth
from erlang_interop.chaos.watchers import ElixirWatcher
from erlang_interop.chaos.worker import packed
from erlang_interop.nodes import ErlangCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

__all__ = ["Live", "Options", "Run"]

PUBLISH: Final = 40 * BLOCK
OVERSHOOT: Final = 1.7
"""Live monitors aimed at, by those asked for: what fires is made up for within seconds, not at once."""

FILL_TIMEOUT: Final = 120.0
QUIET_TIMEOUT: Final = 90.0
KEPT: Final = frozenset({"connectors", "batchers", "remote_connectors"})
"""Rows that stay while the link stays."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is.

    Attributes:
        seed: What it follows from.
        minutes: How long things break.
        monitors: Live ones at the least, on average.
        python: Python nodes.
        elixir: Elixir nodes.
    """

    seed: int
    minutes: float = 3.0
    monitors: int = 100_000
    python: int = 2
    elixir: int = 2


@dataclass(slots=True)
class Live:
    """How many monitors were live, over the time in which things broke."""

    samples: list[tuple[float, int]] = field(default_factory=list)

    def add(self, count: int) -> None:
        """Note how many there are now."""
        self.samples.append((time.monotonic(), count))

    @property
    def minimum(self) -> int:
        """The fewest."""
        return min((count for _, count in self.samples), default=0)

    @property
    def maximum(self) -> int:
        """The most."""
        return max((count for _, count in self.samples), default=0)

    @property
    def mean(self) -> float:
        """The mean over time."""
        if len(self.samples) < 2:
            return float(self.maximum)
        area = sum(
            count * (after - now) for (now, count), (after, _) in zip(self.samples, self.samples[1:], strict=False)
        )
        return area / (self.samples[-1][0] - self.samples[0][0])


class Run:
    """One seed.

    Attributes:
        truth: What was done.
        live: The live monitors of the Python nodes.
        failures: What did not end as it has to, apart from single monitors.
        watchers: The books of the Elixir nodes.
    """

    def __init__(self, options: Options, folder: Path, say: Callable[[str], None]) -> None:
        self.options = options
        self.truth = Truth()
        self.live = Live()
        self.failures: list[str] = []
        self.watchers: list[ElixirWatcher] = []
        self._folder = folder
        self._say = say
        self._network = FaultyNetwork()
        self._dice = random.Random(f"{options.seed} deaths")
        self._members: list[Member] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._cluster: ErlangCluster | None = None

    @property
    def cookie(self) -> str:
        """What the nodes share."""
        assert self._cluster is not None
        return self._cluster.cookie

    @property
    def python(self) -> list[Member]:
        """The Python nodes."""
        return [member for member in self._members if member.kind == "python"]

    @property
    def elixir(self) -> list[Member]:
        """The Elixir nodes."""
        return [member for member in self._members if member.kind == "elixir"]

    async def play(self) -> None:
        """Do everything, from the first start to the end of the last node."""
        await self._network.start(0)
        self._cluster = ErlangCluster(self._network.port, self._folder)
        try:
            await self._start()
            await self._fill()
            await self._break()
            await self._mend()
            await self._settle()
            await self._end_all()
        finally:
            self.truth.closing_at = time.monotonic()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for member in self._members:
                await member.kill()
            await self._cluster.close()
            await self._network.stop()
            self.truth.save(self._folder / "truth.json")

    # ---- phases

    async def _start(self) -> None:
        options, suffix = self.options, secrets.token_hex(3)
        kinds = ["python"] * options.python + ["elixir"] * options.elixir
        assert self._cluster is not None
        for number, kind in enumerate(kinds):
            alive = f"{kind[0]}{number}{suffix}"
            await self._network.listen(alive)
            member = Member(self._cluster, self._folder, self.truth, alive, "python" if kind == "python" else "elixir")
            self._members.append(member)
        self.watchers = [ElixirWatcher(member, self) for member in self.elixir]
        await asyncio.gather(*(self.bring_up(member) for member in self._members))
        self._say(f"start: {', '.join(member.name for member in self._members)}")

    async def bring_up(self, member: Member) -> None:
        """Begin another life of a node: targets, what it knows of others, and what others know of it."""
        fault = self.truth.begin("start", member.alive)
        await member.start()
        first, pids = await member.grow(self._targets_each())
        for start in range(0, len(pids), PUBLISH):
            self._publish(member.label, first + start, pids[start : start + PUBLISH])
        if member.kind == "python":
            await self._instruct(member)
        fault.end = time.monotonic()

    def _targets_each(self) -> int:
        return max(10 * BLOCK, self.options.monitors // 10 // BLOCK * BLOCK)

    async def _instruct(self, member: Member) -> None:
        for other in self._members:
            if other is not member and other.process is not None:
                self.spawn(self._tell_all(member, other))
        quota = int(self.options.monitors * OVERSHOOT / self.options.python)
        await member.call("churn", f"{self.options.seed}-{member.label}", quota)

    async def _tell_all(self, member: Member, other: Member) -> None:
        """Let a Python node know the targets of another node."""
        label, blocks = other.label, sorted(other.blocks)
        for start in range(0, len(blocks), PUBLISH // BLOCK):
            for first, end in runs(blocks[start : start + PUBLISH // BLOCK]):
                pids = await other.call("pids", first, end)
                if other.label == label:
                    await member.call("targets", label, first, pids)

    def _publish(self, label: str, first: int, pids: list[Any]) -> None:
        self.tell("targets", label, first, packed(pids))

    def tell(self, command: str, *arguments: object) -> None:
        """Give a command to all Python nodes; those that can't take it don't."""
        for member in self.python:
            if member.process is not None:
                self.spawn(self._try(member, command, *arguments))

    async def _try(self, member: Member, command: str, *arguments: object) -> None:
        await member.call(command, *arguments)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside everything else; that a node is gone meanwhile is no failure."""

        async def guarded() -> None:
            with contextlib.suppress(*GONE):
                await work

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _count(self) -> int:
        return sum(member.live for member in self.python)

    async def _fill(self) -> None:
        wanted = self.options.monitors
        try:
            async with asyncio.timeout(FILL_TIMEOUT):
                while self._count() < wanted:
                    self._check_members()
                    await asyncio.sleep(0.2)
        except TimeoutError:
            self.failures.append(f"only {self._count()} of {wanted} monitors were live after {FILL_TIMEOUT} s")
        self._say(f"fill: {self._count()} monitors are live")

    async def _break(self) -> None:
        end = time.monotonic() + self.options.minutes * 60
        breaker = Breaker(self, self._network, self._members, end)
        workers = [self._watch_live(end), breaker.play()]
        workers += [self._kill_targets(member, end) for member in self._members]
        workers += [self._kill_named(member, end) for member in self._members]
        workers += [watcher.play(end) for watcher in self.watchers]
        await asyncio.gather(*workers)
        self._say("break: " + ", ".join(f"{count} {kind}" for kind, count in self.fault_counts()))

    def fault_counts(self) -> list[tuple[str, int]]:
        """Return how often each sort of fault was laid."""
        return sorted(Counter(fault.kind for fault in self.truth.faults).items())

    async def _watch_live(self, end: float) -> None:
        while time.monotonic() < end:
            self.live.add(self._count())
            self._check_members()
            await asyncio.sleep(0.25)

    def _check_members(self) -> None:
        for member in self._members:
            if words := member.last_words():
                raise RuntimeError(f"{member.name} has ended by itself: {words}")

    async def _kill_targets(self, member: Member, end: float) -> None:
        dice = random.Random(f"{self.options.seed} {member.life} {self._members.index(member)}")
        while time.monotonic() < end:
            await asyncio.sleep(dice.uniform(0.1, 0.6))
            if not member.is_running or not member.blocks:
                continue
            storm = dice.random() < 0.01
            count = min(len(member.blocks) // 2 + 1, 40) if storm else dice.randrange(1, 3)
            try:
                await self._replace(member, [dice.choice(member.blocks) for _ in range(count)])
            except GONE:
                continue

    async def _kill_named(self, member: Member, end: float) -> None:
        dice = random.Random(f"{self.options.seed} names {self._members.index(member)}")
        while time.monotonic() < end:
            await asyncio.sleep(dice.uniform(0.2, 1.5))
            index, pause = dice.randrange(NAMES), dice.choice((0.0, 0.0, 0.3))
            if member.is_running:
                with contextlib.suppress(*GONE):
                    await member.renew_named(index, pause)

    async def _replace(self, member: Member, blocks: list[int]) -> None:
        """End blocks of targets, and start as many."""
        label, ended = member.label, sorted(set(blocks))
        for first in ended:
            if member.label != label or first not in member.blocks:
                return  # it was killed meanwhile
            await member.finish(first)
            # Not at once: some monitors shall be made of the dead.
            asyncio.get_running_loop().call_later(0.3, self.tell, "forget", label, first)
        first, pids = await member.grow(len(ended) * BLOCK)
        if member.label == label:
            self._publish(label, first, pids)

    async def _mend(self) -> None:
        """Everything is repaired already, by who broke it; wait until all nodes know each other again."""
        self.tell("rest")
        pending = {(member, other) for member in self.python for other in self._members if member is not other}
        try:
            async with asyncio.timeout(QUIET_TIMEOUT):
                for member, other in pending:
                    while await member.call("zen_connect", other.name) != ":compatible":
                        await asyncio.sleep(0.3)
        except TimeoutError:
            self.failures.append(f"{member.name} did not find {other.name} compatible within {QUIET_TIMEOUT} s")
        self._say("mend: all nodes are compatible again")

    # ---- the end

    async def _settle(self) -> None:
        """Wait until every monitor of somebody dead has fired and been told; what is left watches the living."""
        left: list[str] = []
        try:
            async with asyncio.timeout(QUIET_TIMEOUT):
                while left := await self._overdue():
                    await asyncio.sleep(0.5)
        except TimeoutError:
            self.failures.append(f"monitors of dead targets have not fired: {'; '.join(left[:5])}")
        self._say(f"settle: {self._count()} monitors are live, all of processes that live")

    async def _overdue(self) -> list[str]:
        living = {(member.label, first) for member in self._members for first in member.blocks}
        overdue = []
        for member in self.python:
            for label, first, count in await member.term("balance"):
                if (str(label), first) not in living and not str(label).endswith(NAMED):
                    overdue.append(f"{member.name} has {count} on {label} {first}")
            # What fired while things were broken may still wait for demand: it is no offence of the end.
            sizes = await self._sizes(member)
            overdue += [f"{member.name} has {sizes[name]} {name}" for name in ("fired", "batches") if sizes[name]]
        return overdue

    async def _sizes(self, member: Member) -> dict[str, int]:
        words = (await member.call("sizes")).split()
        return {name: int(size) for name, _, size in (word.partition("=") for word in words)}

    async def _end_all(self) -> None:
        """End all targets: every monitor that is left has to fire, and all rows have to go."""
        self.truth.ending_at = time.monotonic()
        await asyncio.gather(*(self._end_targets(member) for member in self._members))
        left: dict[str, int] = {}
        try:
            async with asyncio.timeout(QUIET_TIMEOUT):
                while left := await self._rows():
                    await asyncio.sleep(0.5)
        except TimeoutError:
            self.failures.append(f"rows that stay: {left}")
        for watcher in self.watchers:
            await watcher.close()
        for member in self.python:
            await member.call("flush")
        self._say("end: all targets are dead, no rows are left" if not left else f"end: rows are left: {left}")

    async def _end_targets(self, member: Member) -> None:
        for first in list(member.blocks):
            await member.finish(first)
        for index in range(NAMES):
            await member.kill_named(index)

    async def _rows(self) -> dict[str, int]:
        rows: dict[str, int] = {}
        for member in self.python:
            sizes = await self._sizes(member)
            rows |= {f"{member.name} {name}": size for name, size in sizes.items() if name not in KEPT}
            rows[f"{member.name} open"] = sum(count for _, _, count in await member.term("balance"))
        for member in self.elixir:
            code = ":ets.info(ZenMonitor.Proxy.Tables.Subscribers, :size)"
            rows[f"{member.name} subscribers"] = int(await member.call("eval", code))
        return {name: size for name, size in rows.items() if size}


def runs(blocks: list[int]) -> list[tuple[int, int]]:
    """Return adjacent blocks as ranges of indices."""
    found: list[tuple[int, int]] = []
    for first in blocks:
        if found and found[-1][1] == first:
            found[-1] = (found[-1][0], first + BLOCK)
        else:
            found.append((first, first + BLOCK))
    return found
