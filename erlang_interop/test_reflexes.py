"""What real nodes ask of a node of ours whose interpreter is blocked: ``:global`` and ``Node.ping`` go on."""

from __future__ import annotations

import asyncio
import ctypes
import secrets
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest

from pyzen.config import EpmdConfig
from pyzen.node.node import Node
from pyzen.terms import atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from erlang_interop.nodes import ElixirNode, ErlangCluster

    StartElixir = Callable[..., Awaitable[ElixirNode]]


class MakeNode(Protocol):
    async def __call__(self, **options: Any) -> Node: ...


@pytest.fixture
async def python_node(cluster: ErlangCluster) -> AsyncIterator[MakeNode]:
    """``await python_node(**options)`` starts a node of ours in the cluster."""
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> Node:
            settings: dict[str, Any] = {
                "cookie": cluster.cookie,
                "epmd": EpmdConfig(port=cluster.epmd_port, start=False),
                "zen": None,
            } | options
            return await stack.enter_async_context(Node(f"p{secrets.token_hex(5)}@127.0.0.1", **settings))

        yield make


# Started before the interpreter is blocked; measures while it is, and tells when it was done.
MEASURE: Final = """
target = :'{name}'
Process.sleep(500)
longest = fn action ->
  Enum.max(for _ <- 1..{times} do
    {{micros, _}} = :timer.tc(action)
    Process.sleep(50)
    micros
  end)
end
result = [
  longest.(fn -> :ok = :global.trans({{:lock, self()}}, fn -> :ok end) end),
  longest.(fn -> :ok = :global.sync() end),
  longest.(fn -> :pong = Node.ping(target) end)
]
result ++ [System.system_time(:millisecond)]
"""


def block(seconds: float) -> float:
    """Hold the interpreter's lock; return the system time in ms at the end."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    return time.time() * 1000


async def blocked_while(running: asyncio.Task[str], seconds: float) -> float:
    await asyncio.sleep(0.2)  # the command is on its way; it waits for half a second before it does anything
    assert not running.done()
    return block(seconds)


@pytest.mark.parametrize(("seconds", "times"), [(5, 5), pytest.param(20, 20, marks=pytest.mark.slow)])
async def test_global_and_ping_of_peers_do_not_wait_for_a_blocked_interpreter(
    python_node: MakeNode, elixir_node: StartElixir, seconds: int, times: int
) -> None:
    node, peer, third = await python_node(), await elixir_node(), await elixir_node()
    assert await peer.eval(f"Node.connect(:'{third.name}')") == "true"
    assert await node.connect(peer.name)
    assert await node.connect(third.name)

    measuring = asyncio.create_task(peer.eval(MEASURE.format(name=node.name, times=times), timeout=60))
    unblocked = await blocked_while(measuring, seconds)

    trans, sync, ping, done = eval(await measuring)
    print(f"blocked for {seconds} s: longest trans {trans} us, sync {sync} us, ping {ping} us")
    assert done < unblocked, "it was not measured while the interpreter was blocked"
    assert max(trans, sync, ping) < 1_000_000
    assert await node.ping(peer.name)


async def test_peers_that_connect_to_each_other_do_not_wait(python_node: MakeNode, elixir_node: StartElixir) -> None:
    """A newcomer's ``:global`` starts with a lock at all nodes that it knows."""
    node, peer, third = await python_node(), await elixir_node(), await elixir_node()
    assert await node.connect(peer.name)
    assert await node.connect(third.name)
    code = f"""
    Process.sleep(500)
    {{micros, :yes}} = :timer.tc(fn ->
      true = Node.connect(:'{third.name}')
      :ok = :global.sync()
      :global.register_name(:somebody, self())
    end)
    [micros, System.system_time(:millisecond)]
    """

    measuring = asyncio.create_task(peer.eval(code, timeout=30))
    unblocked = await blocked_while(measuring, 5)

    micros, done = eval(await measuring)
    print(f"connect, sync and register_name between peers: {micros} us")
    assert done < unblocked
    assert micros < 2_000_000


async def test_other_calls_of_net_kernel_wait_and_are_answered(python_node: MakeNode, elixir_node: StartElixir) -> None:
    node, peer = await python_node(), await elixir_node()
    assert await node.connect(peer.name)
    code = f"Process.sleep(500); :gen_server.call({{:net_kernel, :'{node.name}'}}, :what, :infinity)"

    calling = asyncio.create_task(peer.eval(code, timeout=30))
    await blocked_while(calling, 2)

    assert await calling == ":ignored"
    assert await node.rpc(peer.name, "net_adm", "ping", [node.name]) is atoms.pong
