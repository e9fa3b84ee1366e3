"""An Elixir node asks a node of ours what an operator asks the original; ``original_functions`` has all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.terms import atoms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from erlang_interop.nodes import ElixirNode
    from pyzen.node.node import Node

    StartElixir = Callable[..., Awaitable[ElixirNode]]
    StartPython = Callable[..., Awaitable[Node]]

REFUSED = "{:error, :refused}"
CONNECTORS = "{ZenMonitor.Local.Connector, there}"
BATCHERS = "{ZenMonitor.Proxy.Batcher, there}"


class Idle(GenServer):
    """Does nothing."""


class Operator:
    """An Elixir node that asks, and ours that answers; each watches a process of the other."""

    def __init__(self, elixir: ElixirNode, node: Node) -> None:
        self.elixir = elixir
        self.node = node

    async def prepare(self) -> None:
        """Let both be compatible, and each watch a process of the other."""
        assert await self.node.zen.connect(self.elixir.name) == "compatible"
        await self.elixir.eval("Process.register(spawn(fn -> Process.sleep(:infinity) end), :worker)")
        worker = await self.node.rpc(self.elixir.name, atoms.erlang, "whereis", [atoms.worker])
        self.node.spawn(Idle, name="target")
        self.ref = self.node.zen.monitor(worker, subscriber=self.node.spawn(Idle, name="subscriber"))
        # A first death starts the Batcher; its DOWN says that the subscription before it is there, too.
        await self.ask("""
        (fn ->
          :compatible = ZenMonitor.connect(there)
          Process.register(spawn(fn -> ZenMonitor.monitor(target); Process.sleep(:infinity) end), :watcher)
          Process.sleep(50)
          ref = ZenMonitor.monitor({:nobody, there})
          receive do {:DOWN, ^ref, _, _, _} -> :ok end
        end).()
        """)

    async def ask(self, code: str) -> str:
        """Return what the operator reads, pids and references without their numbers."""
        there = f':"{self.node.name}"'
        text = await self.elixir.eval(f"""
        there = {there}
        [subscriber, target] = for name <- [:subscriber, :target], do: :rpc.call(there, Process, :whereis, [name])
        worker = Process.whereis(:worker)
        connector = with [{{_, pid}}] <- :ets.lookup(ZenMonitor.Local.Connector, there), do: pid
        _ = {{subscriber, target, worker, connector}}
        Regex.replace(~r/#(PID|Reference)<[^>]*>/, inspect(({code})), "#\\\\1")
        """)
        return text[1:-1].replace('\\"', '"').replace(there, "there")


@pytest.fixture
async def operator(elixir_node: StartElixir, python_node: StartPython) -> Operator:
    operator = Operator(await elixir_node(), await python_node())
    await operator.prepare()
    return operator


async def test_processes_answer_calls(operator: Operator) -> None:
    own = "elem(GenServer.call({ZenMonitor.Local.Connector, there}, {:lookup_or_start, node(), [node()]}), 1)"
    answers = {
        "GenServer.call({ZenMonitor.Local, there}, :batch_length)": "0",
        "GenServer.call({ZenMonitor.Proxy, there}, :ping)": ":pong",
        f"GenServer.call({own}, :connect)": ":compatible",
        f"GenServer.call({own}, {{:monitors, worker, subscriber}})": "[#Reference]",
        f"GenServer.call({CONNECTORS}, {{:start, node(), [node()]}})": "{:error, {:already_started, #PID}}",
        f"GenServer.call({CONNECTORS}, {{:stop, node()}})": REFUSED,
        f"GenServer.call({CONNECTORS}, :anything)": "{:error, GenRegistry}",
        f"GenServer.call({BATCHERS}, {{:lookup_or_start, connector, [connector]}})": "{:ok, #PID}",
        f"Supervisor.which_children({BATCHERS})": "[{:undefined, #PID, :worker, [ZenMonitor.Proxy.Batcher]}]",
        f"Supervisor.count_children({BATCHERS}).workers": "1",
    }

    assert {code: await operator.ask(code) for code in answers} == answers


async def test_functions_answer_by_rpc(operator: Operator) -> None:
    answers = {
        "ZenMonitor, :connect, [node()]": ":compatible",
        "ZenMonitor, :find_node, [target]": "there",
        "ZenMonitor, :monitor, [worker]": "#Reference",
        "ZenMonitor, :demonitor, [make_ref()]": "true",
        "ZenMonitor, :gen_module, []": "GenServer",
        "ZenMonitor.Local, :compatibility, [worker]": ":compatible",
        "ZenMonitor.Local.Connector, :get, [worker]": "#PID",
        "ZenMonitor.Local.Connector, :monitors, [worker, subscriber]": "[#Reference]",
        "ZenMonitor.Local.Connector, :demonitor, [worker, make_ref()]": REFUSED,
        "ZenMonitor.Proxy.Batcher, :get, [connector]": "#PID",
        "ZenMonitor.Supervisor, :start_link, []": "{:error, {:already_started, #PID}}",
        "ZenMonitor.Truncator, :truncate, [[[[1]]], 2]": "[[:truncated]]",
        "GenRegistry, :count, [ZenMonitor.Proxy.Batcher]": "1",
        "Application, :fetch_env, [:zen_monitor, :demand_amount]": "{:ok, 1000}",
        "Application, :ensure_started, [:zen_monitor]": ":ok",
    }

    assert {code: await operator.ask(f":rpc.call(there, {code})") for code in answers} == answers


async def test_tables_are_shown(operator: Operator) -> None:
    answers = {
        ":tab2list, [ZenMonitor.Local.Tables.References]": "[{{#PID, #Reference}, #PID}]",
        ":lookup, [ZenMonitor.Local.Subscribers, subscriber]": "[{#PID}]",
        ":tab2list, [ZenMonitor.Proxy.Tables.Subscribers]": "[{{#PID, #PID}}]",
        ":member, [ZenMonitor.Proxy.Tables.Subscribers, {target, connector}]": "true",
        ":tab2list, [ZenMonitor.Proxy.Batcher]": "[{#PID, #PID}]",
        ":info, [ZenMonitor.Proxy.Tables.Subscribers, :size]": "1",
        ":whereis, [ZenMonitor.Proxy.Tables.Subscribers]": "#Reference",
        ":whereis, [:nothing]": ":undefined",
    }

    assert {code: await operator.ask(f":rpc.call(there, :ets, {code})") for code in answers} == answers


async def test_nobody_undoes_a_monitor_of_ours(operator: Operator) -> None:
    ref = "hd(:rpc.call(there, ZenMonitor.Local.Connector, :monitors, [worker, subscriber]))"

    for module in ("ZenMonitor", "ZenMonitor.Local"):
        assert await operator.ask(f":rpc.call(there, {module}, :demonitor, [{ref}, [:flush]])") == "true"

    assert operator.node.zen.statistics().live == 1
