"""What breaks: one thing after the other, often several at a time, each mended by who broke it."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from typing import TYPE_CHECKING, Final

from erlang_interop.chaos.intruder import intrude
from erlang_interop.chaos.members import GONE
from erlang_interop.chaos.network import pair_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from erlang_interop.chaos.members import Member
    from erlang_interop.chaos.network import FaultyNetwork, Pair
    from erlang_interop.chaos.run import Run
    from erlang_interop.chaos.truth import Kind

__all__ = ["Breaker"]

PAUSE: Final = 1.2
"""Mean seconds between two faults."""

AT_ONCE: Final = 4
ZEN_PAUSE: Final = 2.5
"""Between two ends of ZenMonitor's processes on one node: its supervisors give up at three in five seconds."""

ALL_PAUSE: Final = 70.0
"""Between two ends of all of ZenMonitor on one node: sooner it waits longer before it comes back, up to a minute."""

KILL_PAUSE: Final = 15.0
"""Between two ends of nodes."""

FOR_LONG: Final = 0.3
"""How often a freeze or a stop outlasts the tick time."""

PYTHON_PROCESSES: Final = (
    "local", "dispatcher", "connectors", "connector", "connector", "proxy", "batchers", "batcher", "batcher",
    "local-tables", "local-supervisor", "proxy-tables", "proxy-supervisor", "supervisor",
)  # fmt: skip


class Breaker:
    """Breaks things until a moment that is given."""

    def __init__(self, run: Run, network: FaultyNetwork, members: Sequence[Member], end: float) -> None:
        self._run = run
        self._truth = run.truth
        self._network = network
        self._members = members
        self._end = end
        self._busy: set[str] = set()  # nodes, and pairs of nodes
        self._killed_at = 0.0
        self._faults: list[tuple[int, Callable[[random.Random], Awaitable[None]]]] = [
            (6, self._cut),
            (3, self._refuse),
            (4, self._freeze),
            (3, self._delay),
            (2, self._drop),
            (1, self._disconnect),
            (4, self._stop),
            (3, self._kill),
            (10, self._kill_zen),
            (4, self._block),
            (3, self._burst),
            (6, self._forge),
        ]

    async def play(self) -> None:
        """Break and mend; everything is mended on return."""
        weights, kinds = zip(*self._faults, strict=True)
        running: set[asyncio.Task[None]] = set()
        for number in itertools.count():
            # Dice of its own for each, so that one left out changes nothing about the next.
            dice = random.Random(f"{self._run.options.seed} fault {number}")
            await asyncio.sleep(dice.expovariate(1 / PAUSE))
            if time.monotonic() > self._end:
                break
            (kind,) = dice.choices(kinds, weights)
            running = {task for task in running if not task.done()}
            if len(running) < AT_ONCE:
                running.add(asyncio.create_task(self._guarded(kind, dice)))
        await asyncio.gather(*running)

    async def _guarded(self, kind: Callable[[random.Random], Awaitable[None]], dice: random.Random) -> None:
        try:
            await kind(dice)
        except GONE:
            return  # it broke before we did it

    # ---- choice

    def _two(self, dice: random.Random) -> tuple[Member, Member]:
        """Two nodes, a Python node among them."""
        one = dice.choice(self._run.python)
        return one, dice.choice([member for member in self._members if member is not one])

    def _claim(self, key: str) -> bool:
        if key in self._busy:
            return False
        self._busy.add(key)
        return True

    # ---- links

    async def _cut(self, dice: random.Random) -> None:
        one, other = self._two(dice)
        fault = self._truth.begin("cut", one.alive, other.alive)
        self._network.cut(pair_of(one.alive, other.alive))
        fault.end = time.monotonic()

    async def _refuse(self, dice: random.Random) -> None:
        seconds = dice.uniform(0.5, 6)
        await self._lay(dice, "refuse", seconds, self._network.refuse)

    async def _freeze(self, dice: random.Random) -> None:
        await self._lay(dice, "freeze", length(dice), self._network.freeze)

    async def _delay(self, dice: random.Random) -> None:
        seconds = dice.uniform(0.02, 0.8)
        await self._lay(dice, "delay", dice.uniform(1, 6), lambda pair: self._network.delay(pair, seconds))

    async def _lay(self, dice: random.Random, kind: Kind, seconds: float, lay: Callable[[Pair], None]) -> None:
        """Lay a fault on a pair of nodes, for a while."""
        one, other = self._two(dice)
        pair = pair_of(one.alive, other.alive)
        key = "-".join(sorted(pair))
        if not self._claim(key):
            return
        fault = self._truth.begin(kind, one.alive, other.alive)
        lay(pair)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._network.mend(pair)
            self._busy.discard(key)
            fault.end = time.monotonic()

    async def _drop(self, dice: random.Random) -> None:
        one, other = self._two(dice)
        fault = self._truth.begin("drop", one.alive, other.alive)
        source = dice.choice((one, other))
        pipes = self._network.drop(pair_of(one.alive, other.alive), source.alive)
        fault.detail = f"from {source.alive}"
        while any(not pipe.is_cut and pipe in self._network.pipes for pipe in pipes):
            await asyncio.sleep(0.2)
        fault.end = time.monotonic()

    async def _disconnect(self, dice: random.Random) -> None:
        one, other = self._two(dice)
        fault = self._truth.begin("disconnect", one.alive, other.alive)
        try:
            await one.call("disconnect", other.name)
        finally:
            fault.end = time.monotonic()

    # ---- nodes

    async def _stop(self, dice: random.Random) -> None:
        member = dice.choice(self._members)
        seconds = length(dice)
        if not self._claim(member.alive):
            return
        fault = self._truth.begin("stop", member.alive)
        member.stop()
        try:
            await asyncio.sleep(seconds)
        finally:
            member.go_on()
            self._busy.discard(member.alive)
            fault.end = time.monotonic()

    async def _kill(self, dice: random.Random) -> None:
        now = time.monotonic()
        member = dice.choice(self._members)
        pause = dice.uniform(0.0, 3.0)
        if now - self._killed_at < KILL_PAUSE or not self._claim(member.alive):
            return
        self._killed_at = now
        fault = self._truth.begin("kill", member.alive)
        label = member.label
        try:
            await member.kill()
            self._run.tell("ended", label)
            await asyncio.sleep(pause)
            await self._run.bring_up(member)
        finally:
            self._busy.discard(member.alive)
            fault.end = time.monotonic()

    # ---- what runs on nodes

    async def _kill_zen(self, dice: random.Random) -> None:
        member, what = dice.choice(self._members), dice.choice(PYTHON_PROCESSES)
        peer = dice.choice([other for other in self._members if other is not member])
        now = time.monotonic()
        if not member.is_running or now - member.zen_killed_at < ZEN_PAUSE:
            return
        if what == "supervisor":
            if now - member.all_killed_at < ALL_PAUSE:
                return
            member.all_killed_at = now
        member.zen_killed_at = now
        fault = self._truth.begin("zen", member.alive, detail=what)
        try:
            if member.kind == "elixir":
                process = dice.choice(("Proxy", "Proxy.Tables"))
                fault.detail = f"proxy by {process}"
                await member.call("eval", f"Process.exit(Process.whereis(ZenMonitor.{process}), :kill)")
            else:
                fault.detail = what if what != "connector" else f"connector to {peer.alive}"
                await member.call("kill_zen", what, *([peer.name] if what == "connector" else []))
        finally:
            fault.end = member.zen_killed_at = time.monotonic()

    async def _block(self, dice: random.Random) -> None:
        member = dice.choice(self._run.python)
        how, seconds = dice.choice(("sleep", "hold")), dice.uniform(0.2, 3.0)
        if not member.is_running:
            return
        fault = self._truth.begin("block", member.alive, detail=how)
        try:
            await member.call("block", how, f"{seconds:.2f}")
        finally:
            fault.end = time.monotonic()

    async def _forge(self, dice: random.Random) -> None:
        """Let a third node connect to a Python node, and speak for another of its peers."""
        one, other = self._two(dice)
        if not one.is_running:
            return
        fault = self._truth.begin("forge", one.alive, other.alive)
        try:
            told = await one.term("known", other.name)
            address = self._network.address_of(one.alive)
            tried = await intrude(address, self._run.cookie, (one.name, other.name), told, dice)
            fault.detail = ", ".join(tried)
        finally:
            fault.end = time.monotonic()

    async def _burst(self, dice: random.Random) -> None:
        one, other = self._two(dice)
        if dice.random() < 0.5:
            one, other = other, one
        count, size = dice.choice(((200_000, 10), (3000, 10_000), (60, 1_000_000)))
        if not one.is_running:
            return
        fault = self._truth.begin("burst", one.alive, other.alive, detail=f"{count} of {size} bytes")
        try:
            await one.call("burst", "sink", other.name, count, size)
        finally:
            fault.end = time.monotonic()


def length(dice: random.Random) -> float:
    """Seconds of silence: mostly less than what a link survives, sometimes more."""
    return dice.uniform(11, 14) if dice.random() < FOR_LONG else dice.uniform(0.3, 5.0)
