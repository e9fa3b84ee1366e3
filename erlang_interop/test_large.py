"""A message of 100 MB, in either direction, holds up no other process for long."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from pyzen.config import EpmdConfig
from pyzen.node.node import Node
from pyzen.terms import atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from erlang_interop.nodes import ElixirNode, ErlangCluster

    StartElixir = Callable[..., Awaitable[ElixirNode]]

SIZE: Final = 100_000_000
PAUSE: Final = 0.01
ALLOWED: Final = 0.05
TRIES: Final = 3

# BEAM decodes a message in the process that takes it, and holds up other processes of its own meanwhile: 60-90 ms for
# 100 MB. That is not what is measured here, so the sink sleeps until the message has arrived and pings have ended.
SINK = """
loop = fn loop ->
  receive do
    {from, data} -> send(from, {:got, byte_size(data), :binary.part(data, byte_size(data), -1000)})
  end
  :erlang.garbage_collect()
  loop.(loop)
end
guard = fn guard, sink ->
  :erlang.suspend_process(sink)
  receive do {:arrived, from} -> send(from, :arrived) end
  receive do :awake -> :erlang.resume_process(sink) end
  receive do :asleep -> guard.(guard, sink) end
end
spawn(fn ->
  sink = spawn(fn -> loop.(loop) end)
  Process.register(sink, :sink)
  Process.register(self(), :guard)
  guard.(guard, sink)
end)
"""

SOURCE = """
spawn(fn -> send({{:inbox, :'{node}'}}, {{:large, :binary.copy(<<0, 1, 2, 3, 4>>, {size})}}) end)
"""


class Pings:
    """Calls an echo server of the peer every 10 ms; the longest time counts from when a call was due."""

    def __init__(self, node: Node, peer: str) -> None:
        self._node = node
        self._peer = peer
        self.longest = 0.0
        self.count = 0

    async def run(self) -> None:
        while True:
            due = time.perf_counter() + PAUSE
            await asyncio.sleep(PAUSE)
            assert await self._node.call(("there", self._peer), self.count) == self.count
            self.longest = max(self.longest, time.perf_counter() - due)
            self.count += 1

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """Ping while the body runs, beginning before it and ending after it."""
        self.longest, self.count = 0.0, 0
        task = asyncio.create_task(self.run())
        try:
            await self.more(5)
            yield
            await self.more(5)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def more(self, count: int) -> None:
        """Wait for some more pings."""
        until = self.count + count
        while self.count < until:
            await asyncio.sleep(PAUSE)


async def compare(
    pings: Pings, title: str, transfer: Callable[[], Awaitable[None]], check: Callable[[], Awaitable[None]]
) -> None:
    """Check that a transfer makes no ping longer than allowed; noise of the machine may spoil some of the tries."""
    differences: list[float] = []
    for _ in range(TRIES):
        async with pings.going():
            await pings.more(50)
        idle = pings.longest
        async with pings.going():
            start = time.perf_counter()
            await transfer()
            seconds = time.perf_counter() - start
        await check()
        loaded, differences = pings.longest, [*differences, pings.longest - idle]
        print(f"{title}: {seconds:.2f} s, {pings.count} pings, longest {loaded * 1e3:.1f} ms, idle {idle * 1e3:.1f} ms")
        if differences[-1] <= ALLOWED:
            return
    assert min(differences) <= ALLOWED


@pytest.fixture
async def pair(cluster: ErlangCluster, elixir_node: StartElixir) -> AsyncIterator[tuple[Node, ElixirNode]]:
    async with AsyncExitStack() as stack:
        epmd = EpmdConfig(port=cluster.epmd_port, start=False)
        name = f"p{secrets.token_hex(5)}@127.0.0.1"
        node = await stack.enter_async_context(Node(name, cookie=cluster.cookie, epmd=epmd, zen=None))
        peer = await elixir_node()
        await peer.call("echo", "there")
        assert await node.connect(peer.name)
        yield node, peer


async def test_large_message_out_holds_up_nobody(pair: tuple[Node, ElixirNode]) -> None:
    node, peer = pair
    await peer.eval(SINK)
    data = secrets.token_bytes(1000) * (SIZE // 1000)
    async with node.mailbox() as me:

        async def transfer() -> None:
            me.send(("sink", peer.name), (me.pid, data))
            me.send(("guard", peer.name), (atoms.arrived, me.pid))  # goes out after the large one
            assert await me.receive(timeout=30) is atoms.arrived

        async def check() -> None:
            me.send(("guard", peer.name), atoms.awake)
            assert await me.receive(timeout=30) == (atoms.got, SIZE, data[-1000:])
            me.send(("guard", peer.name), atoms.asleep)

        await compare(Pings(node, peer.name), "100 MB out", transfer, check)


async def test_large_message_in_holds_up_nobody(pair: tuple[Node, ElixirNode]) -> None:
    node, peer = pair
    code = SOURCE.format(node=node.name, size=SIZE // 5)
    async with node.mailbox("inbox") as me:
        received = b""

        async def transfer() -> None:
            nonlocal received
            await peer.eval(code)
            kind, received = await me.receive(timeout=30)
            assert kind is atoms.large

        async def check() -> None:
            assert received == bytes(range(5)) * (SIZE // 5)

        await compare(Pings(node, peer.name), "100 MB in", transfer, check)
