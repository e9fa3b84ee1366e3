"""The nodes of a run: their lives, one after the other, and their targets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Literal

from erlang_interop.chaos.books import BLOCK, NAMES, name_of
from erlang_interop.chaos.truth import LifeTime, Vacancy
from erlang_interop.chaos.worker import COOKIE, TICKTIME
from erlang_interop.nodes import MAX_LINE, BeamNode, CommandError, NodeEnded
from pyzen import etf

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from erlang_interop.chaos.truth import Truth
    from erlang_interop.nodes import ErlangCluster

__all__ = ["GONE", "Member"]

PATIENCE: Final = 90.0
"""Seconds for an answer: a node may be stopped, or at work."""

GONE: Final = (NodeEnded, CommandError, TimeoutError, ConnectionError)
"""How a command to a node ends that is killed meanwhile."""

LAST_LINES: Final = 10
"""Of what a node wrote before its end that nobody wanted."""

# Elixir's nodes must not cut links of their own accord: the books have to tell who did.
ELIXIR_FLAGS: Final = ("-kernel", "prevent_overlapping_partitions", "false")


class Member:
    """One node of the run, over all of its lives.

    Attributes:
        alive: First half of its name.
        kind: What it is made of.
        process: Its present life, None while it is dead.
        life: Number of the present or last life, from 0; -1 before the first.
        is_stopped: Whether it has been sent SIGSTOP.
        blocks: First indices of the blocks that live, in the present life.
        live: What a Python node has said of its live monitors last.
        zen_killed_at: When a process of its ZenMonitor was killed last.
        all_killed_at: When all of it was.
    """

    def __init__(
        self, cluster: ErlangCluster, folder: Path, truth: Truth, alive: str, kind: Literal["python", "elixir"]
    ) -> None:
        self.alive = alive
        self.kind = kind
        self.process: BeamNode | None = None
        self.life = -1
        self.is_stopped = False
        self.blocks: list[int] = []
        self.live = 0
        self.zen_killed_at = 0.0
        self.all_killed_at = -math.inf
        self._spawned = 0
        self._cluster = cluster
        self._folder = folder
        self._truth = truth
        self._listener: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Its node name."""
        return f"{self.alive}@127.0.0.1"

    @property
    def label(self) -> str:
        """The present life."""
        return f"{self.name}#{self.life}"

    @property
    def is_running(self) -> bool:
        """Whether it can be expected to answer."""
        return self.process is not None and not self.is_stopped

    async def start(self) -> None:
        """Begin another life; the process is up on return, without targets."""
        self.life += 1
        self.blocks, self._spawned, self.live = [], 0, 0
        self._truth.vacancies.setdefault(self.name, [[Vacancy(0.0)] for _ in range(NAMES)])
        self._truth.lives[self.label] = LifeTime(time.monotonic())
        self._truth.deaths[self.label] = {}
        if self.kind == "elixir":
            process: BeamNode = await self._cluster.elixir(self.alive, net_ticktime=TICKTIME, flags=ELIXIR_FLAGS)
            for setting in ("connector_sweep_interval", "batcher_sweep_interval", "demand_interval"):
                await process.call("setting", setting, 20)
            await process.call("setting", "demand_amount", 2000)
        else:
            process = await self._start_worker()
        await process.call("sink", "sink")
        self.process = process
        for index in range(NAMES):
            await self._name(index)
        self._listener = asyncio.create_task(self._listen(process))

    async def _start_worker(self) -> BeamNode:
        journal = self._folder / f"{self.label}.journal"
        self._truth.journals[self.label] = str(journal)
        pipe, epmd_port = asyncio.subprocess.PIPE, str(self._cluster.epmd_port)
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "erlang_interop.chaos.worker", self.name, epmd_port, str(journal)],
            stdin=pipe, stdout=pipe, stderr=pipe, limit=MAX_LINE, env={**os.environ, COOKIE: self._cluster.cookie},
        )  # fmt: skip
        return await BeamNode(self.name, self._cluster.cookie, process).until_ready()

    def last_words(self) -> str:
        """Return how a node has ended by itself and what it wrote last, nothing while it lives."""
        if self.process is None or self.process.is_running:
            return ""
        return "\n".join([f"status {self.process.status}", *list(self.process.stderr)[-LAST_LINES:]])

    async def _listen(self, process: BeamNode) -> None:
        while True:
            event, *figures = (await process.events.get()).split()
            if event == "live":
                self.live = int(figures[0])

    async def kill(self) -> None:
        """End the present life (SIGKILL)."""
        process, self.process = self.process, None
        if process is not None:
            self._truth.lives[self.label].end = time.monotonic()
            for vacancies in self._truth.vacancies[self.name]:
                vacancies.append(Vacancy(time.monotonic()))
            self.blocks, self.live, self.is_stopped = [], 0, False
            await process.kill()
            assert self._listener is not None
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            self.live = 0

    def stop(self) -> None:
        """Send SIGSTOP."""
        if self.process is not None:
            self.is_stopped = True
            self.process.stop_signal()

    def go_on(self) -> None:
        """Send SIGCONT."""
        if self.process is not None and self.is_stopped:
            self.process.cont_signal()
        self.is_stopped = False

    async def call(self, command: str, *arguments: object) -> str:
        """Run a command; raises one of ``GONE`` where the node can't."""
        if self.process is None:
            raise NodeEnded(f"{self.name} is dead")
        return await self.process.call(command, *arguments, timeout=PATIENCE)

    async def term(self, command: str, *arguments: object) -> Any:
        """Run a command that answers a term."""
        return etf.decode(base64.b64decode(await self.call(command, *arguments)))

    # ---- targets

    async def grow(self, count: int) -> tuple[int, list[Any]]:
        """Start targets, a whole number of blocks; return the first index and the pids."""
        first, self._spawned = self._spawned, self._spawned + count
        label = self.label
        await self.call("spawn", count)
        pids = await self.term("pids", first, first + count)
        if label == self.label:
            self.blocks += range(first, first + count, BLOCK)
        return first, pids

    async def finish(self, first: int) -> None:
        """End a block of targets."""
        self.blocks.remove(first)
        deaths, start = self._truth.deaths[self.label], time.monotonic()
        deaths[first] = (start, math.inf)
        await self.call("finish", first, first + BLOCK)
        deaths[first] = (start, time.monotonic())

    # ---- names

    async def _name(self, index: int) -> None:
        """Let somebody have a name, as soon as the last one has let go of it."""
        while True:
            try:
                await self.call("name", name_of(index))
                break
            except CommandError:
                await asyncio.sleep(0.02)
        now = time.monotonic()
        for vacancy in self._truth.vacancies[self.name][index]:
            vacancy.end = min(vacancy.end, now)

    async def kill_named(self, index: int) -> None:
        """End whoever has a name."""
        vacancies = self._truth.vacancies[self.name][index]
        number = len(vacancies)
        vacancies.append(Vacancy(time.monotonic(), number=number))
        await self.call("kill_name", name_of(index), f"{{named,{number}}}")

    async def renew_named(self, index: int, pause: float) -> None:
        """End whoever has a name, and let somebody else have it after a while."""
        label = self.label
        await self.kill_named(index)
        await asyncio.sleep(pause)
        if self.label == label:
            await self._name(index)

    def pick_block(self, dice: random.Random) -> int | None:
        """Return one of the blocks that live."""
        return dice.choice(self.blocks) if self.blocks else None
