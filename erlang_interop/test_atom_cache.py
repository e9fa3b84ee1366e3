"""The atom cache of both directions against a real node: more atoms than it has slots, in any order."""

from __future__ import annotations

import asyncio
import random
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.config import EpmdConfig, Limits
from pyzen.node.node import Node
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from erlang_interop.nodes import ElixirNode, ErlangCluster

    StartElixir = Callable[..., Awaitable[ElixirNode]]
    Pair = tuple[Node, ElixirNode]

COUNT: Final = 6000

# What came is compared as text: a wrong atom in a slot is a wrong text.
READER: Final = """
loop = fn loop ->
  receive do
    {from, names, _rest} -> send(from, Enum.map(names, &Atom.to_string/1))
  end
  loop.(loop)
end
Process.register(spawn(fn -> loop.(loop) end), :reader)
"""


@pytest.fixture(params=[True, False], ids=["cache", "clear"])
async def pair(request: pytest.FixtureRequest, cluster: ErlangCluster, elixir_node: StartElixir) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        epmd = EpmdConfig(port=cluster.epmd_port, start=False)
        name, limits = f"p{secrets.token_hex(5)}@127.0.0.1", Limits(atom_cache=request.param)
        node = Node(name, cookie=cluster.cookie, epmd=epmd, zen=None, limits=limits)
        await stack.enter_async_context(node)
        peer = await elixir_node()
        await peer.eval(READER)
        assert await node.connect(peer.name)
        yield node, peer


def names_of(draw: random.Random, pool: list[str]) -> list[str]:
    return draw.sample(pool, draw.choice([1, 3, 20, 200, 255, 256, 400]))


def pool_of(prefix: str) -> list[str]:
    unusual = ["", "true", "é" * 255, "€" * 200, "\U00010000" * 255, "x" * 255, "undefined"]
    return [f"{prefix}{n}" for n in range(COUNT)] + unusual


def as_term(name: str) -> Any:
    return True if name == "true" else Atom(name)


async def test_atoms_out_are_read_right_amid_fragments(pair: Pair) -> None:
    """Several senders, small and large messages: headers go out in another order than messages are sent."""
    node, peer = pair
    draw, pool = random.Random(1), pool_of("out_")

    async def send(count: int) -> int:
        async with node.mailbox() as me:
            for _ in range(count):
                names = names_of(draw, pool)
                rest = b"x" * draw.choice([0, 10, 100_000, 500_000])
                me.send(("reader", peer.name), (me.pid, [as_term(name) for name in names], rest))
                assert await me.receive(timeout=30) == [name.encode() for name in names]
        return count

    assert sum(await asyncio.gather(*(send(60) for _ in range(5)))) == 300


class Reader(GenServer):
    """Answers with the texts of the atoms it is sent."""

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        names, _rest = request
        return [b"true" if name is True else str(name).encode() for name in names]


async def test_atoms_in_are_read_right(pair: Pair) -> None:
    node, peer = pair
    node.spawn(Reader, name="reader")
    code = f"""
    pool = for(n <- 1..{COUNT}, do: :"in_#{{n}}") ++ [true, :"", :"#{{String.duplicate("é", 255)}}"]
    for size <- [1, 3, 200, 255, 256, 400], _ <- 1..20 do
      names = Enum.take_random(pool, size)
      rest = :binary.copy("x", Enum.random([0, 100_000]))
      read = GenServer.call({{:reader, :'{node.name}'}}, {{names, rest}}, 30_000)
      read == Enum.map(names, &Atom.to_string/1)
    end |> Enum.all?()
    """

    assert await peer.eval(code, timeout=60) == "true"


async def test_signals_with_new_atoms_are_read_right(pair: Pair) -> None:
    """Reasons of exits and monitors of names go through the same cache."""
    node, peer = pair
    await peer.call("echo", "there")
    async with node.mailbox() as me:
        for n in range(0, 3 * COUNT, 9):
            ref = me.monitor((f"nobody_{n % COUNT}", peer.name))
            expected = (atoms.DOWN, ref, atoms.process, (atoms[f"nobody_{n % COUNT}"], atoms[peer.name]), atoms.noproc)
            assert await me.receive(timeout=10) == expected
