"""One attack from its beginning to its end: prey, honest peers, what is measured when."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.hostile.attacked import VICTIMS
from erlang_interop.hostile.judge import court
from erlang_interop.hostile.prey import Prey
from erlang_interop.hostile.stage import Stage
from erlang_interop.hostile.verdict import Outcome
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from erlang_interop.hostile.attack import Attack
    from erlang_interop.hostile.judge import Answers, Figures, Judge

__all__ = ["Run", "opened"]

QUIET: Final = 2.0
"""Seconds of measuring before the attack."""

AFTER: Final = 1.0
"""Seconds of measuring after it."""

PATIENCE: Final = 12.0
"""Seconds to wait for answers that are still awaited, and for monitors."""

SOON: Final = 2.0
"""Seconds until monitors fire after the attack; ZenMonitor sweeps ten times a second."""

ATTEMPTS: Final = 3
ENDED: Final = [0, 3, 4, 7]
"""Victims that the honest peer ends after the attack: no other may be down, and these by each monitor once."""

CONTROL: Final = "control"


class Run:
    """Runs attacks against what an interpreter runs.

    Args:
        judge: The honest peers.
        python: Path of the interpreter.
        control: Name of a node that is never attacked.
        quiet: Seconds of measuring before each attack.
    """

    def __init__(self, judge: Judge, python: str, control: str, quiet: float = QUIET) -> None:
        self._judge = judge
        self._python = python
        self._control = control
        self._quiet = quiet

    async def play(self, attack: Attack) -> Outcome:
        """Play an attack; again where the machine was too busy to judge by it."""
        for _ in range(ATTEMPTS):
            outcome = await self._attempt(attack)
            if not outcome.is_doubtful:
                break
        return outcome

    async def _attempt(self, attack: Attack) -> Outcome:
        outcome = Outcome(attack.name)
        with tempfile.TemporaryDirectory(prefix="pyzen-hostile-") as folder:
            async with contextlib.AsyncExitStack() as stack:
                trial = _Trial(self._judge, attack, outcome, stack, (self._control, self._quiet))
                try:
                    await trial.prepare(self._python, Path(folder))
                    await trial.play()
                except (RuntimeError, TimeoutError, OSError) as error:
                    outcome.failures.append(f"broken off: {error!r:.300}")
        return outcome


@contextlib.asynccontextmanager
async def opened(python: str, quiet: float = QUIET) -> AsyncIterator[Run]:
    """Start the honest peers, and a node that is never attacked; arguments as for `Run`."""
    async with court() as judge:
        cluster = judge.cluster
        with tempfile.TemporaryDirectory(prefix="pyzen-hostile-") as folder:
            control = await Prey.node(sys.executable, Path(folder), cluster.cookie, cluster.epmd_port, {}, False)
            try:
                yield Run(judge, python, control.name, quiet)
            finally:
                await control.kill()


class _Trial:
    """One attempt of an attack."""

    def __init__(
        self,
        judge: Judge,
        attack: Attack,
        outcome: Outcome,
        stack: contextlib.AsyncExitStack,
        before: tuple[str, float],
    ) -> None:
        self._judge = judge
        self._attack = attack
        self._outcome = outcome
        self._stack = stack
        self._control, self._quiet = before
        self._begun = 0.0
        self._coming: asyncio.Task[float | str] | None = None

    # ---- before

    async def prepare(self, python: str, folder: Path) -> None:
        """Start what is attacked, and the asking."""
        attack, cluster = self._attack, self._judge.cluster
        self._started = time.monotonic()
        if attack.prey == "command":
            self._prey = self._node = await Prey.command(python, folder, cluster.cookie, cluster.epmd_port)
        else:
            self._prey = self._node = await Prey.node(
                python, folder, cluster.cookie, cluster.epmd_port, attack.limits, attack.unread
            )
        self._stack.push_async_callback(self._node.kill)
        if attack.prey == "epmd":
            self._prey = await Prey.epmd(python, folder)
            self._stack.push_async_callback(self._prey.kill)
        self._stage = Stage(self._prey, self._node, cluster, self._begin)
        self._stack.push_async_callback(self._stage.close)
        if attack.prey == "epmd":
            await self._stage.register("honest")
        await self._judge.start(self._node.name, self._victims, self._probes())
        self._stack.push_async_callback(self._judge.stop)

    @property
    def _victims(self) -> int:
        return 0 if self._attack.prey == "command" else VICTIMS

    def _probes(self) -> Mapping[str, tuple[Any, ...]]:
        node, control = Atom(self._node.name), Atom(self._control)
        probes: dict[str, tuple[Any, ...]] = {CONTROL: (atoms.call, control), "erpc": (atoms.erpc, node)}
        match self._attack.prey:
            case "node":
                return probes | {"call": (atoms.call, node)}
            case "command":
                return probes | {"call": (atoms.net_kernel, node), "http": (atoms.http, self._prey.port)}
            case "epmd":
                return probes | {"call": (atoms.call, node), "lookup": (atoms.lookup, self._prey.port, b"honest")}

    async def _begin(self) -> None:
        """Measure the quiet node; then the attack begins."""
        await self._judge.reset()
        await asyncio.sleep(self._quiet)
        self._outcome.quiet = worst(await self._judge.figures())
        await self._judge.reset()
        self._prey.begin()
        self._coming = asyncio.create_task(self._come())
        self._begun = time.monotonic()

    async def _come(self) -> float | str:
        await asyncio.sleep(self._attack.comes)
        within = self._attack.newcomer
        if self._attack.prey == "epmd":
            return await self._judge.newcomer_at_epmd(self._prey.port, within)
        server = "net_kernel" if self._attack.prey == "command" else "echo"
        return await self._judge.newcomer(self._node.name, server, within)

    # ---- the attack, and after it

    async def play(self) -> None:
        """Attack, and look what has come of it."""
        await self._attacked()
        await asyncio.sleep(AFTER)
        figures = await self._settled()
        self._outcome.worst, self._outcome.control = worst(figures), figures.probes[CONTROL].worst
        self._outcome.answers = sum(one.count for name, one in figures.probes.items() if name != CONTROL)
        self._outcome.judge_time()
        self._outcome.failures += wrong(figures, refuses=self._attack.refuses)
        self._outcome.judge_memory(self._attack, self._prey.grown())
        if self._coming is not None:
            self._outcome.judge_newcomer(self._attack, await self._coming)
        await self._monitors()
        self._outcome.failures += self._stage.failures
        await self._end()

    async def _attacked(self) -> None:
        attacking = asyncio.create_task(self._play())
        try:
            while not attacking.done() and not (self._begun and time.monotonic() > self._begun + self._attack.longest):
                await asyncio.wait([attacking], timeout=0.05)
        finally:
            attacking.cancel()
            await asyncio.wait([attacking])
        self._outcome.seconds = time.monotonic() - (self._begun or time.monotonic())
        if not attacking.cancelled() and (error := attacking.exception()) is not None:
            self._stage.failures.append(f"the attack itself failed: {error!r:.300}")

    async def _play(self) -> None:
        await self._attack.play(self._stage)

    async def _settled(self) -> Figures:
        """Wait until no question from before the end of the attack is open."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            figures = await self._judge.figures()
            if all(one.waiting < AFTER for one in figures.probes.values()):
                return figures
            await asyncio.sleep(0.1)
        return figures

    async def _monitors(self) -> None:
        """End some victims: their monitors fire, once and soon, and no other has fired."""
        if not self._victims:
            return
        expected = sorted((kind, number) for kind in ("erts", "zen") for number in ENDED)
        await self._judge.end_victims(self._node.name, ENDED)
        begun = time.monotonic()
        downs: list[tuple[str, int, str]] = []
        while time.monotonic() < begun + PATIENCE and len(downs) < len(expected):
            await asyncio.sleep(0.1)
            downs = (await self._judge.figures()).downs
        heard, taken = sorted((kind, number) for kind, number, _ in downs), time.monotonic() - begun
        if heard != expected:
            self._outcome.failures.append(f"monitors: {balance(expected, heard)}")
        elif taken > SOON:
            self._outcome.failures.append(f"monitors fired after {taken:.1f} s")

    async def _end(self) -> None:
        await self._judge.stop()
        if not self._prey.is_running:
            self._outcome.failures.append("it has died")
        self._outcome.judge_stop(*await self._prey.stop())
        self._outcome.judge_log(self._attack, self._prey.lines(), time.monotonic() - self._started)


def worst(figures: Figures) -> float:
    """Return the seconds until the worst answer."""
    return max(one.worst for name, one in figures.probes.items() if name != CONTROL)


def wrong(figures: Figures, *, refuses: bool) -> list[str]:
    """Say what the honest peer missed; what was asked may have been refused."""
    lost = [f"the honest peer lost its link {figures.nodedowns} times"] if figures.nodedowns else []
    asked = {} if refuses else figures.probes
    return lost + [failed(name, one) for name, one in asked.items() if one.failures and name != CONTROL]


def failed(name: str, answers: Answers) -> str:
    """Say which questions failed."""
    return f"{answers.failures} of {answers.count} questions failed ({name}): {answers.last_failure}"


def balance(expected: list[tuple[str, int]], heard: list[tuple[str, int]]) -> str:
    """Say which ends are missing, and which nobody should have heard of."""
    missing = [one for one in expected if one not in heard]
    invented = [one for one in heard if one not in expected]
    twice = sorted({one for one in heard if heard.count(one) > 1})
    return f"{len(missing)} lost {missing[:3]}, {len(invented)} invented {invented[:3]}, twice {twice[:3]}"
