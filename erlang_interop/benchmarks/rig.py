"""The nodes of a benchmark: Elixir nodes of ``mix_fixture``, and ours in a process of its own, on one epmd."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from erlang_interop.benchmarks.measure import check
from erlang_interop.benchmarks.worker import COOKIE
from erlang_interop.nodes import FIXTURE, MAX_LINE, BeamNode, ElixirNode, Epmd, ErlangCluster, fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TOP: Final = FIXTURE.parent
SUBSCRIPTIONS: Final = ":ets.info(ZenMonitor.Proxy.Tables.Subscribers, :size)"
PROXY_IS_IDLE: Final = "(:sys.get_state(ZenMonitor.Proxy); :ok)"
POLL: Final = 0.05
START_TIMEOUT: Final = 120.0

NO_SPINNING: Final = ("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none")
"""Schedulers that wait without using the processor: what they burn while idle is no work of the rival."""

MANY_PROCESSES: Final = ("+P", "4000000")


class Rig:
    """Starts nodes that know each other's cookie; see `open_rig`."""

    def __init__(self, cluster: ErlangCluster) -> None:
        self._cluster = cluster
        self._workers: list[BeamNode] = []

    async def elixir(self, *flags: str) -> ElixirNode:
        """Start an Elixir node."""
        return await self._cluster.elixir(flags=(*MANY_PROCESSES, *flags))

    async def pyzen(self) -> BeamNode:
        """Start a node of ours; it answers the same commands."""
        name, cookie = f"p{secrets.token_hex(5)}@127.0.0.1", self._cluster.cookie
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            # Safe path: the package that is installed, not the one of the working directory.
            *(sys.executable, "-P", "-m", "erlang_interop.benchmarks.worker", name, str(self._cluster.epmd_port)),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            limit=MAX_LINE,
            env={**os.environ, COOKIE: cookie},
            cwd=TOP,
        )
        node = BeamNode(name, cookie, process)
        self._workers.append(node)
        return await node.until_ready()

    async def crowd(self, count: int) -> list[str]:
        """Start nodes of ours that share one process; their names."""
        first = await self.pyzen()
        more = await first.call("nodes", count - 1, self._cluster.epmd_port, timeout=START_TIMEOUT)
        return [first.name, *more.split(",")]

    async def close(self) -> None:
        """End every node."""
        workers, self._workers = self._workers, []
        await asyncio.gather(*(worker.kill() for worker in workers), self._cluster.close())


@asynccontextmanager
async def open_rig() -> AsyncIterator[Rig]:
    """Nodes of their own for one group of rows; all end with it."""
    epmd = Epmd.start()
    rig = Rig(ErlangCluster(epmd.port, Path()))
    try:
        yield rig
    finally:
        await rig.close()
        epmd.close()


def compile_fixture() -> None:
    """Compile ``mix_fixture``."""
    environment = {**os.environ, "MIX_ENV": "prod", "LC_ALL": "C.UTF-8"}
    arguments = ["mix", "compile", "--warnings-as-errors"]
    subprocess.run(arguments, check=True, cwd=FIXTURE, env=environment, stdout=subprocess.DEVNULL)


# ---- what rows do with nodes -------------------------------------------------------------------------


async def figures(node: BeamNode, command: str, *arguments: object, timeout: float = 60.0) -> dict[str, int]:
    """Run a command that answers named integers."""
    answer = fields(await node.call(command, *arguments, timeout=timeout))
    return {name: int(value) for name, value in answer.items()}


async def introduce(node: BeamNode, peer: BeamNode) -> None:
    """Connect two nodes and their ZenMonitors."""
    check(await node.call("connect", peer.name) == "true", f"{node.name} does not reach {peer.name}")
    answer = await node.call("zen_connect", peer.name)
    check(answer == ":compatible", f"{peer.name} is {answer} to {node.name}")


async def subscribed(peer: ElixirNode, count: int, *, timeout: float) -> None:
    """Wait until the peer's Proxy has that many subscriptions, and watches all they are about.

    The original's has the rows of a message before it watches the first of their targets.
    """
    await _subscriptions(peer, lambda found: found >= count, timeout=timeout)
    await peer.eval(PROXY_IS_IDLE)


async def unsubscribed(peer: ElixirNode, count: int, *, timeout: float) -> None:
    """Wait until the peer's Proxy has at most that many subscriptions left."""
    await _subscriptions(peer, lambda found: found <= count, timeout=timeout)


async def _subscriptions(peer: ElixirNode, enough: Callable[[int], bool], *, timeout: float) -> None:
    async with asyncio.timeout(timeout):
        while not enough(int(await peer.eval(SUBSCRIPTIONS))):
            await asyncio.sleep(POLL)
