"""What a real node sends deeper than a node of ours takes: each is refused alone, and the next one arrives."""

from __future__ import annotations

import logging
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.config import EpmdConfig, Limits
from pyzen.node.node import Node
from pyzen.terms import Atom, Pid, atoms
from tests.node.conftest import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from erlang_interop.nodes import ElixirNode, ErlangCluster
    from pyzen.actor.process import Mailbox

    StartElixir = Callable[..., Awaitable[ElixirNode]]

DEPTH: Final = Limits().max_depth
BROKEN: Final = f"max_depth exceeded: {DEPTH + 1} is more than {DEPTH}"

CONTAINERS: Final = {
    "tuple": "{t}",
    "list": "[t]",
    "improper list": "[t | 1]",
    "key": "%{t => 1}",
    "value": "%{1 => t}",
    "fun": "fn -> t end",
}


class Echo(GenServer):
    """Answers with what it was asked."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


class Pair:
    """A node of ours with a mailbox, and an Elixir node that calls them ``py`` and ``me``; what ours logs."""

    def __init__(self, node: Node, elixir: ElixirNode, me: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
        self.node = node
        self.elixir = elixir
        self.me = me
        self._caplog = caplog

    async def eval(self, code: str, *, container: str = "{t}") -> str:
        return await self.elixir.eval(
            f"py = :'{self.node.name}'; me = :erpc.call(py, Kernel, :self_of_test, []);"
            f" deep = Enum.reduce(0..{DEPTH}, :z, fn _, t -> {container} end); {code}"
        )

    def lines(self) -> list[str]:
        """Return the warnings and errors so far, without the name of this node in front."""
        records = [record for record in self._caplog.records if record.levelno >= logging.WARNING]
        return [record.getMessage().removeprefix(f"{self.node.name} ") for record in records]

    async def is_refused(self, what: str) -> bool:
        await until(lambda: bool(self.lines()))
        return self.lines() == [f"refuses {what}: {BROKEN}"] and self.node.nodes() == [Atom(self.elixir.name)]

    async def has_ended(self, receiver: str) -> bool:
        await until(lambda: bool(self.lines()))
        told = f"lost the link to {self.elixir.name}: a message for {receiver}: {BROKEN}"
        return self.lines() == [told] and await self.node.ping(self.elixir.name)

    async def heard(self) -> Any:
        return await self.me.receive(timeout=5)


@pytest.fixture
async def pair(
    cluster: ErlangCluster, elixir_node: StartElixir, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        epmd = EpmdConfig(port=cluster.epmd_port, start=False)
        name = f"p{secrets.token_hex(5)}@127.0.0.1"
        node = await stack.enter_async_context(Node(name, cookie=cluster.cookie, epmd=epmd, exports=["math"]))
        me = await stack.enter_async_context(node.mailbox("inbox"))
        node.export("Elixir.Kernel", "self_of_test", lambda: me.pid)
        pair = Pair(node, await elixir_node(), me, caplog)
        assert await node.connect(pair.elixir.name)
        yield pair


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("to", ["me", "{:inbox, py}"])
async def test_a_message(pair: Pair, to: str, container: str) -> None:
    await pair.eval(f"send({to}, 1); send({to}, deep); send({to}, 2)", container=CONTAINERS[container])

    assert [await pair.heard() for _ in range(2)] == [1, 2]
    assert await pair.is_refused(f"a message of {pair.elixir.name} for inbox")


async def test_an_answer_by_alias(pair: Pair) -> None:
    answers = "receive do {:'$gen_call', from, _} -> GenServer.reply(from, deep) end"
    server = f"spawn(fn -> {answers}; Process.sleep(:infinity) end)"
    await pair.eval(f"send(me, {server})")
    pid = await pair.heard()
    assert isinstance(pid, Pid)

    with pytest.raises(TimeoutError):
        await pair.me.call(pid, atoms.hello, timeout=0.5)

    assert await pair.is_refused(f"a message of {pair.elixir.name} for inbox")


async def test_a_call_of_a_server(pair: Pair) -> None:
    pair.node.spawn(Echo, name="echo")

    first = await pair.eval("try do GenServer.call({:echo, py}, deep, 500) catch :exit, {why, _} -> why end")
    assert first == ":timeout"
    assert await pair.is_refused(f"a message of {pair.elixir.name} for echo")
    assert await pair.eval("GenServer.call({:echo, py}, 7)") == "7"


async def test_a_call_by_rpc(pair: Pair) -> None:
    answer = await pair.eval(
        "send({:rex, py}, {:'$gen_call', {self(), make_ref()}, {:call, :math, :sqrt, [deep], self()}})"
        "; Node.monitor(py, true); receive do {:nodedown, ^py} -> :down end"
    )
    assert answer == ":down"
    assert await pair.has_ended("rex")
    assert await pair.eval(":rpc.call(py, :math, :sqrt, [4])") == "2.0"


@pytest.mark.parametrize("how", [":erpc.call(py, :math, :sqrt, [deep])", ":rpc.call(py, :math, :sqrt, [deep])"])
async def test_a_start_of_a_process(pair: Pair, how: str) -> None:
    answer = await pair.eval(f"try do {how} catch kind, why -> {{kind, why}} end")

    assert "system_limit" in answer
    assert await pair.is_refused(f"a spawn request of {pair.elixir.name}")
    assert await pair.eval(":erpc.call(py, :math, :sqrt, [4])") == "2.0"


@pytest.mark.parametrize("name", ["Elixir.ZenMonitor.Proxy", "Elixir.ZenMonitor.Local", "user"])
async def test_a_message_to_the_node_itself(pair: Pair, name: str) -> None:
    await pair.eval(f"send({{:'{name}', py}}, deep)")

    assert await pair.has_ended(name)
    assert await pair.eval("send(me, 7)") == "7"
    assert await pair.heard() == 7


async def test_an_exit_signal(pair: Pair) -> None:
    pair.me.trap_exit = True

    await pair.eval("Process.exit(me, deep)")

    assert (await pair.heard())[2] is atoms.undecodable
    assert pair.lines() == []


async def test_the_end_of_a_process(pair: Pair) -> None:
    pair.me.trap_exit = True
    await pair.eval("send(me, for(_ <- 1..2, do: spawn(fn -> receive do :go -> exit(deep) end end)))")
    linked, watched = await pair.heard()
    pair.me.link(linked)
    ref = pair.me.monitor(watched)

    for pid in (linked, watched):
        pair.me.send(pid, atoms.go)

    heard = [await pair.heard() for _ in range(2)]
    assert (atoms.EXIT, linked, atoms.undecodable) in heard
    assert (atoms.DOWN, ref, atoms.process, watched, atoms.undecodable) in heard
    assert pair.lines() == []
