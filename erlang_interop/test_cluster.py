"""Three Elixir and three Python nodes, visible, with OTP's default settings, that come and go at random.

No Elixir node may ever lose another one because of ours, and `global` has to stay usable throughout. Twenty seconds
here; ``PYZEN_CLUSTER_SECONDS=300`` makes it five minutes, ``PYZEN_CLUSTER_SEED`` repeats one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from erlang_interop.nodes import ElixirNode, ErlangCluster

    StartElixir = Callable[..., Awaitable[ElixirNode]]

SECONDS: Final = float(os.environ.get("PYZEN_CLUSTER_SECONDS", "20"))
SEED: Final = int(os.environ.get("PYZEN_CLUSTER_SEED", str(secrets.randbits(32))))
GLOBAL_TIME: Final = 5.0
"""Seconds that an operation of `global` may take while nodes come and go; a hang is what is looked for."""


class Mixed:
    """A cluster whose nodes are started, stopped and killed by turns.

    Attributes:
        ended: How often each Elixir node was ended by us.
        slowest: Of each operation of `global`, the longest time in ms.
    """

    def __init__(self, cluster: ErlangCluster, start_elixir: StartElixir) -> None:
        self.cluster = cluster
        self.start_elixir = start_elixir
        self.random = random.Random(SEED)
        self.elixir: dict[str, ElixirNode] = {}
        self.python: dict[str, asyncio.subprocess.Process] = {}
        self.ended: Counter[str] = Counter()
        self.losses_allowed: dict[str, Counter[str]] = {}
        self.slowest: dict[str, float] = {}
        self.steps = 0
        self._alive_names = {kind: [f"{kind}{secrets.token_hex(4)}" for _ in range(3)] for kind in ("ex", "py")}

    async def start_all(self) -> None:
        for _ in range(3):
            await self.restart("ex")
        for _ in range(3):
            await self.restart("py")

    async def restart(self, kind: str) -> None:
        """Start a node that is not running, if there is one, and let it join the others."""
        running = {name.partition("@")[0] for name in (self.elixir if kind == "ex" else self.python)}
        missing = [name for name in self._alive_names[kind] if name not in running]
        if not missing:
            return
        alive = self.random.choice(missing)
        if kind == "py":
            await self._start_python(f"{alive}@127.0.0.1")
            return
        others = list(self.elixir)
        node = await self.start_elixir(alive)
        await node.call("monitor_nodes")
        self.elixir[node.name] = node
        self.losses_allowed[node.name] = Counter(self.ended)
        if others:
            await node.call("connect", self.random.choice(others))

    async def _start_python(self, name: str) -> None:
        arguments = ["node", "--name", name, "--cookie", self.cluster.cookie]
        peer = self.random.choice(list(self.elixir)) if self.elixir else None
        if peer is not None:
            arguments += ["--join", peer]
        environment = {**os.environ, "ERL_EPMD_PORT": str(self.cluster.epmd_port)}
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "pyzen", *arguments],
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        self.python[name] = process
        assert (await process.stdout.readline()).startswith(b"ready "), f"{name} did not start"
        if peer is not None:
            await self._joined(name, self.elixir[peer])

    async def _joined(self, name: str, peer: ElixirNode) -> None:
        """Wait until a node has met the one it joins: without that one it would end, as it should."""
        async with asyncio.timeout(10):
            while name not in await peer.call("nodes"):
                await asyncio.sleep(0.01)

    async def end(self, kind: str, *, kill: bool) -> None:
        """End a node, unless it is the last but one of its kind."""
        names = list(self.elixir if kind == "ex" else self.python)
        if len(names) < 3:
            return
        name = self.random.choice(names)
        if kind == "py":
            process = self.python.pop(name)
            process.kill() if kill else process.terminate()
            await process.wait()
            return
        self.ended[name] += 1
        node = self.elixir.pop(name)
        if kill:
            await node.kill()
        else:
            node.close_input()
            await node.wait()

    async def step(self) -> None:
        """Do one thing at random, then use `global`."""
        self.steps += 1
        kind = self.random.choice(("py", "py", "ex"))
        match self.random.choice(("kill", "stop", "restart", "restart")):
            case "restart":
                await self.restart(kind)
            case how:
                await self.end(kind, kill=how == "kill")
        await self.use_global()
        await asyncio.sleep(self.random.uniform(0, 0.5))

    async def use_global(self) -> None:
        node = self.random.choice(list(self.elixir.values()))
        for command, *arguments in (["global_trans"], ["global_register", f"name{self.steps}"], ["global_sync"]):
            answer = await node.call(command, *arguments, timeout=GLOBAL_TIME)
            elapsed = float(answer.partition(" ")[0].rpartition("=")[2])
            self.slowest[command] = max(self.slowest.get(command, 0.0), elapsed)

    def check_losses(self) -> None:
        """Compare the losses that Elixir nodes report of each other with the ends that we brought about."""
        for name, node in self.elixir.items():
            seen: Counter[str] = Counter()
            while not node.events.empty():
                event = node.events.get_nowait()
                if event.startswith("nodedown ex"):
                    seen[event.removeprefix("nodedown ")] += 1
            for lost, count in seen.items():
                allowed = self.ended[lost] - self.losses_allowed[name][lost]
                assert count <= allowed, f"{name} lost {lost} {count} times, which ended {allowed} times"
                self.losses_allowed[name][lost] += count

    async def whole(self) -> bool:
        """Say whether every Elixir node is connected with every node."""
        for name, node in self.elixir.items():
            known = await node.call("nodes")
            if any(other not in known for other in [*self.elixir, *self.python] if other != name):
                return False
        return True

    async def close(self) -> None:
        for process in self.python.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.fixture
async def mixed(cluster: ErlangCluster, elixir_node: StartElixir) -> AsyncIterator[Mixed]:
    mixed = Mixed(cluster, elixir_node)
    try:
        yield mixed
    finally:
        await mixed.close()


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
async def test_a_mixed_cluster_holds_together(mixed: Mixed) -> None:
    await mixed.start_all()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        await mixed.step()
        mixed.check_losses()
    for _ in range(3):
        await mixed.restart("ex")
        await mixed.restart("py")
    async with asyncio.timeout(30):
        while not await mixed.whole():
            await asyncio.sleep(0.1)
    mixed.check_losses()
    await mixed.use_global()
    print(f"seed {SEED}: {mixed.steps} steps, slowest in ms {mixed.slowest}, ended {sum(mixed.ended.values())}")
