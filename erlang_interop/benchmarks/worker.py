"""Our node for the benchmarks: a process that speaks the line protocol of ``mix_fixture``.

The commands are those of its README, as far as a row needs them, with the same answers; ``probe_start``,
``probe_stop`` and ``crash`` are ours alone. Run by `rig`, which passes the cookie in the environment.
"""

from __future__ import annotations

import asyncio
import base64
import ctypes
import gc
import os
import platform
import sys
import time
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.benchmarks.codecs import CODECS, pyzen, timed
from erlang_interop.benchmarks.processes import Burst, Collector, Echo, Probe
from pyzen.config import EpmdConfig
from pyzen.node.node import Node
from pyzen.terms import Pid, atoms, elixir

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

COOKIE: Final = "PYZEN_BENCHMARK_COOKIE"
MAX_LINE: Final = 1 << 28
FETCH: Final = 100_000
"""Pids in one call."""


class Worker:
    """Does what the lines say."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._first = 0
        self._collector = Collector()
        self._codec = pyzen()
        self._data: dict[str, bytes] = {}
        self._terms: dict[str, Any] = {}
        self._probe = Probe()
        self._more = AsyncExitStack()
        self._commands: Mapping[str, Callable[..., Awaitable[object]]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    async def serve(self) -> None:
        """Answer every line, until standard input ends."""
        reader = asyncio.StreamReader(limit=MAX_LINE)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        print(f"! ready node={self._node.name} python={platform.python_version()} pyzen={version('pyzen-node')}")
        sys.stdout.flush()
        async with self._more, asyncio.TaskGroup() as answers:
            async for line in reader:
                answers.create_task(self._answer(line.decode().split()))

    async def _answer(self, words: list[str]) -> None:
        identity, command, *arguments = words
        try:
            value = await self._commands[command](*arguments)
        except Exception as error:
            print(identity, "error", repr(error).replace("\n", " "), flush=True)
        else:
            print(identity, "ok", text(value), flush=True)

    # ---- the node

    async def do_connect(self, peer: str) -> bool:
        return await self._node.connect(peer)

    async def do_links(self) -> int:
        return len(self._node.nodes())

    async def do_nodes(self, count: str, epmd_port: str) -> str:
        """Start that many more nodes in this process; their names, joined by commas."""
        names = [f"n{number}{self._node.name}" for number in range(int(count))]
        for name in names:
            await self._more.enter_async_context(new_node(name, int(epmd_port)))
        return ",".join(names)

    async def do_zen_connect(self, peer: str) -> str:
        return ":" + await self._node.zen.connect(peer)

    async def do_setting(self, name: str, value: str) -> str:
        setattr(self._node.zen.config, name, int(value))
        return ":ok"

    async def do_tidy(self) -> int:
        """Give back what is free, so that growth of the resident set is growth of the data."""
        collected = gc.collect()
        if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
            ctypes.CDLL(None).malloc_trim(0)
        return collected

    # ---- messages

    async def do_sink(self, name: str) -> Pid:
        return await Echo.start(self._node, name=name)

    async def do_await(self, name: str, count: str, timeout: str) -> dict[str, int]:
        sink = self._process(name)
        assert isinstance(sink, Echo)
        async with asyncio.timeout(int(timeout) / 1000):
            await sink.reached(int(count))
        return sink.counter()

    async def do_burst(self, name: str, peer: str, count: str, size: str) -> dict[str, int]:
        before = time.monotonic_ns()
        burst = Burst((atoms[name], atoms[peer]), int(count), b"x" * int(size))
        self._node.runtime.spawn(burst)
        await burst.done.wait()
        return {"elapsed_us": (time.monotonic_ns() - before) // 1000}

    def _process(self, name: str) -> Any:
        pid = self._node.whereis(name)
        assert pid is not None, f"nobody is called {name}"
        return self._node.runtime.process(pid)

    # ---- monitors

    async def do_targets(self, peer: str, first: str, end: str) -> int:
        if self._node.whereis("collector") is None:
            self._node.runtime.spawn(self._collector, name="collector")
        self._collector.clear()
        self._first = int(first)
        for start in range(int(first), int(end), FETCH):
            part = [start, min(start + FETCH, int(end))]
            self._collector.aim(await self._node.rpc(peer, elixir.Fixture.Processes, "pids", part, timeout=60))
        return sum(map(len, self._collector.targets))

    async def do_collect(self, references: str) -> int:
        monitor, collector, made = self._node.zen.monitor, self._collector, 0
        for targets in collector.targets:
            made_now = [monitor(target, subscriber=collector.pid) for target in targets]
            made += len(made_now)
            if references == "keep":
                collector.keep(made_now)
            await asyncio.sleep(0)
        return made

    async def do_await_collected(self, count: str, timeout: str) -> int:
        async with asyncio.timeout(int(timeout) / 1000):
            await self._collector.reached(int(count))
        return self._collector.count

    async def do_collected(self, ended: str = "inf") -> dict[str, int]:
        return self._collector.balance(self._first, ended=float(ended))

    async def do_statistics(self) -> dict[str, int]:
        return self._node.zen.statistics().sizes()

    async def do_crash(self, name: str) -> str:
        """Kill a process of the node; the answer comes when it has ended."""
        async with self._node.mailbox() as me:
            pid = self._node.whereis(name)
            assert pid is not None, f"nobody is called {name}"
            ref = me.monitor(pid)
            me.send_exit(pid, atoms.kill)
            await me.receive(lambda message: message[1] == ref, timeout=5)
        return ":ok"

    # ---- terms

    async def do_codec_use(self, name: str) -> str:
        self._codec = CODECS[name]()
        return self._codec.version

    async def do_codec_load(self, what: str, data: str) -> int:
        self._data[what] = base64.b64decode(data)
        self._terms[what] = self._codec.decode(self._data[what])
        return len(data)

    async def do_codec_term(self, what: str) -> str:
        return base64.b64encode(self._codec.encode(self._terms[what])).decode()

    async def do_codec_time(self, what: str, work: str, count: str) -> dict[str, int]:
        if work == "decode":
            elapsed = timed(self._codec.decode, self._data[what], int(count))
        else:
            elapsed = timed(self._codec.encode, self._terms[what], int(count))
        return {"elapsed_us": elapsed // 1000}

    # ---- the event loop

    async def do_probe_start(self) -> str:
        self._probe.start()
        return ":ok"

    async def do_probe_stop(self) -> dict[str, int]:
        return self._probe.stop()


def text(value: object) -> str:
    """Return an answer as the fixture writes it."""
    if isinstance(value, dict):
        return " ".join(f"{name}={figure}" for name, figure in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def new_node(name: str, epmd_port: int) -> Node:
    """Return a node of the benchmark, not started yet."""
    return Node(name, cookie=os.environ[COOKIE], epmd=EpmdConfig(port=epmd_port, start=False))


async def main(name: str, epmd_port: int) -> None:
    """Be the node, until standard input ends."""
    async with new_node(name, epmd_port) as node:
        await Worker(node).serve()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
