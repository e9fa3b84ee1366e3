"""What ``sys``, ``GenServer``, ``Supervisor`` and friends of a real Elixir node see of our servers."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from erlang_interop.test_rpc import Pair
from pyzen.actor.answers import NOREPLY
from pyzen.actor.gen_server import GenServer
from pyzen.actor.supervisor import ChildSpec, Supervisor
from pyzen.config import EpmdConfig
from pyzen.node.node import Node
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from erlang_interop.nodes import ElixirNode, ErlangCluster

    StartElixir = Callable[..., Awaitable[ElixirNode]]


class Counter(GenServer):
    def init(self) -> None:
        self.count = 0

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        match request:
            case atoms.get:
                return self.count
            case atoms.late:
                self.send_after(self.pid, (atoms.reply_now, from_), 0.2)
                return NOREPLY
        return (atoms.echo, request)

    def handle_cast(self, request: Any) -> None:
        self.count += request

    def handle_info(self, message: Any) -> None:
        match message:
            case (atoms.reply_now, from_):
                self.reply(from_, atoms.too_late)
            case (atoms.notify, number):
                self.count += number


@pytest.fixture
async def pair(cluster: ErlangCluster, elixir_node: StartElixir) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        epmd = EpmdConfig(port=cluster.epmd_port, start=False)
        name = f"p{secrets.token_hex(5)}@127.0.0.1"
        node = await stack.enter_async_context(Node(name, cookie=cluster.cookie, epmd=epmd))
        pair = Pair(node, await elixir_node())
        assert await node.connect(pair.elixir.name)
        await Counter.start(node, name="counter")
        yield pair


async def test_gen_server_functions(pair: Pair) -> None:
    assert await pair.eval("GenServer.cast({:counter, py}, 2); GenServer.call({:counter, py}, :get)") == "2"
    assert await pair.eval("GenServer.abcast([py], :counter, 3); GenServer.call({:counter, py}, :get)") == "5"
    code = "GenServer.multi_call([py, :nobody@nowhere], :counter, :get, 2000) == {[{py, 5}], [:nobody@nowhere]}"
    assert await pair.eval(code) == "true"
    assert await pair.eval("GenServer.multi_call([py], :nothing_here, :get) == {[], [py]}") == "true"


async def test_a_late_reply_is_dropped(pair: Pair) -> None:
    code = (
        "try do GenServer.call({:counter, py}, :late, 20) catch :exit, {:timeout, _} -> :ok end; "
        "receive do other -> other after 400 -> :nothing end"
    )
    assert await pair.eval(code) == ":nothing"


async def test_gen_event_shaped_calls(pair: Pair) -> None:
    assert await pair.eval(":gen_event.call({:counter, py}, :handler, :q)") == "{:echo, {:call, :handler, :q}}"
    assert await pair.eval(":gen_event.notify({:counter, py}, 4); GenServer.call({:counter, py}, :get)") == "4"


async def test_sys_get_state_and_status(pair: Pair) -> None:
    assert await pair.eval(":sys.get_state({:counter, py})") in {"{:ok, %{count: 0}}", "%{count: 0}"}
    code = "{:status, pid, {:module, m}, [_, s, p, _, _]} = :sys.get_status({:counter, py}); {pid == p, s, m}"
    assert await pair.eval(code) == '{true, :running, :"erlang_interop.test_sys.Counter"}'


async def test_sys_suspend_and_resume(pair: Pair) -> None:
    code = (
        ":ok = :sys.suspend({:counter, py}); t = Task.async(fn -> GenServer.call({:counter, py}, :get) end); "
        "nil = Task.yield(t, 100); :ok = :sys.resume({:counter, py}); Task.await(t)"
    )
    assert await pair.eval(code) == "0"


async def test_sys_terminate_and_stop(pair: Pair) -> None:
    code = (
        "pid = :rpc.call(py, :erlang, :whereis, [:counter]); ref = Process.monitor(pid); "
        ":ok = :sys.terminate(pid, :enough); receive do {:DOWN, ^ref, _, _, reason} -> reason end"
    )
    assert await pair.eval(code) == ":enough"
    await Counter.start(pair.node, name="counter")
    assert await pair.eval("GenServer.stop({:counter, py})") == ":ok"
    assert pair.node.whereis("counter") is None


async def test_sys_replace_state_says_that_it_can_not(pair: Pair) -> None:
    code = "try do :sys.replace_state({:counter, py}, fn s -> s end) catch kind, _ -> kind end"
    assert await pair.eval(code) == ":error"
    assert await pair.eval("GenServer.call({:counter, py}, :get)") == "0"


async def test_sys_statistics(pair: Pair) -> None:
    assert await pair.eval(":sys.statistics({:counter, py}, :get)") == "{:ok, :no_statistics}"
    code = (
        ":ok = :sys.statistics({:counter, py}, true); GenServer.cast({:counter, py}, 2); "
        "GenServer.call({:counter, py}, :get); {:ok, shown} = :sys.statistics({:counter, py}, :get); "
        ":ok = :sys.statistics({:counter, py}, false); {Keyword.keys(shown), shown[:messages_in], shown[:messages_out]}"
    )
    keys = "[:start_time, :current_time, :reductions, :messages_in, :messages_out]"
    assert await pair.eval(code) == f"{{{keys}, 2, 1}}"


async def test_sys_log(pair: Pair) -> None:
    code = (
        ":ok = :sys.log({:counter, py}, {true, 2}); GenServer.cast({:counter, py}, 1); "
        "2 = GenServer.call({:counter, py}, :get) + 1; {:ok, events} = :sys.log({:counter, py}, :get); "
        ":ok = :sys.log({:counter, py}, false); "
        '[{:in, {:"$gen_call", {pid, _}, :get}}, {:out, 1, {pid, _}}] = events; '
        "{pid == self(), :sys.log({:counter, py}, :get)}"
    )
    assert await pair.eval(code) == "{true, {:ok, []}}"


async def test_sys_trace_is_printed_where_it_was_asked_for(pair: Pair) -> None:
    # The fixture answers through the group leader, so it is borrowed.
    code = (
        '{:ok, io} = StringIO.open(""); mine = Process.group_leader(); Process.group_leader(self(), io); '
        ":ok = :sys.trace({:counter, py}, true); GenServer.cast({:counter, py}, 3); "
        "3 = GenServer.call({:counter, py}, :get); "
        "wait = fn wait -> {_, text} = StringIO.contents(io); "
        'if String.contains?(text, "sent"), do: text, else: (Process.sleep(5); wait.(wait)) end; '
        "text = wait.(wait); Process.group_leader(self(), mine); :ok = :sys.trace({:counter, py}, false); "
        'text |> String.split("\n") |> Enum.map(&(&1 |> String.split(" ") |> Enum.take(5) |> Enum.join(" ")))'
    )
    expected = '["*DBG* counter got cast 3", "*DBG* counter got call get", "*DBG* counter sent 3 to", ""]'
    assert await pair.eval(code) == expected


async def test_sys_no_debug_and_what_can_not_be_installed(pair: Pair) -> None:
    code = (
        ":ok = :sys.statistics({:counter, py}, true); :ok = :sys.no_debug({:counter, py}); "
        "{:ok, :no_statistics} = :sys.statistics({:counter, py}, :get); "
        "{:error, _} = :sys.install({:counter, py}, {fn s, _, _ -> s end, 0}); "
        "{:error, _} = :sys.remove({:counter, py}, fn s, _, _ -> s end); "
        "{:error, :open_file} = :sys.log_to_file({:counter, py}, 'x')"
    )
    assert await pair.eval(code) == "{:error, :open_file}"


async def test_sys_switches_nothing_on_at_a_process_of_the_node(pair: Pair) -> None:
    code = "{:sys.statistics({:rex, py}, :get), :sys.log({:rex, py}, :get), :sys.trace({:rex, py}, true)}"
    assert await pair.eval(code) == "{{:ok, :no_statistics}, {:ok, []}, {:error, :refused}}"


@pytest.mark.parametrize(
    "name", ["ZenMonitor.Local", "ZenMonitor.Proxy", "ZenMonitor.Local.Dispatcher", "ZenMonitor.Supervisor", ":rex"]
)
async def test_system_processes_answer_sys_too(pair: Pair, name: str) -> None:
    assert await pair.eval(f"case :sys.get_state({{{name}, py}}) do {{:ok, m}} -> m; m -> m end |> is_map()") == "true"


async def test_supervisor_functions(pair: Pair) -> None:
    pair.node.spawn(Supervisor, [ChildSpec("worker", Counter)], name="sup")

    code = "[{id, pid, type, [m]}] = Supervisor.which_children({:sup, py}); {id, node(pid) == py, type, m}"
    assert await pair.eval(code) == '{:worker, true, :worker, :"erlang_interop.test_sys.Counter"}'
    code = "Supervisor.count_children({:sup, py}) == %{active: 1, specs: 1, supervisors: 0, workers: 1}"
    assert await pair.eval(code) == "true"


SHAPE = """
shape = fn
  pid when is_pid(pid) -> :pid
  {:ok, pid} when is_pid(pid) -> {:ok, :pid}
  {:error, {:already_started, pid}} when is_pid(pid) -> {:error, {:already_started, :pid}}
  other -> other
end
rows = fn sup -> Supervisor.which_children(sup) |> Enum.map(fn {id, pid, type, _} -> {id, shape.(pid), type} end) end
count = fn sup -> Supervisor.count_children(sup) end
spec = fn sup, id ->
  case :supervisor.get_childspec(sup, id) do
    {:ok, map} -> Map.take(map, [:id, :restart, :shutdown, :type, :significant])
    other -> other
  end
end
"""

THEIR_SUPERVISOR = """
child = fn id, extra ->
  Map.merge(%{id: id, start: {Agent, :start_link, [Function.capture(Map, :new, 0)]}}, extra)
end
{:ok, sup} = Supervisor.start_link(
  [child.(:a, %{}), child.(:b, %{restart: :temporary, shutdown: :infinity}),
   child.(:c, %{restart: :transient, shutdown: :brutal_kill})], strategy: :one_for_one)
"""

ASKED = {
    "children": "[rows.(sup), Supervisor.count_children(sup)]",
    "specifications": "Enum.map([:a, :b, :c, :d], &spec.(sup, &1))",
    "terminate": "Enum.map([:a, :a, :d], &Supervisor.terminate_child(sup, &1)) ++ [rows.(sup), count.(sup)]",
    "terminate a temporary one": "Enum.map([:b, :b], &Supervisor.terminate_child(sup, &1)) ++ [rows.(sup)]",
    "restart": (
        "[Supervisor.restart_child(sup, :a), Supervisor.terminate_child(sup, :a)] ++ "
        "Enum.map([:a, :d], &shape.(Supervisor.restart_child(sup, &1))) ++ [rows.(sup)]"
    ),
    "delete": (
        "[Supervisor.delete_child(sup, :a), Supervisor.terminate_child(sup, :a), Supervisor.delete_child(sup, :a), "
        "Supervisor.delete_child(sup, :a), Supervisor.restart_child(sup, :a), rows.(sup)]"
    ),
    "an exit of a stranger": "[shape.(spawn(fn -> Process.exit(sup, :boom) end)), rows.(sup)]",
    "a stray message": "[send(sup, :stray), rows.(sup)]",
    "an exit as a message": "[shape.(send(sup, {:EXIT, spawn(fn -> :ok end), :boom}) && self()), rows.(sup)]",
    "stop": "[Supervisor.stop(sup), (try do Supervisor.which_children(sup) catch :exit, {reason, _} -> reason end)]",
}


@pytest.mark.parametrize("code", ASKED.values(), ids=ASKED)
async def test_supervisor_answers_as_theirs(pair: Pair, code: str) -> None:
    pair.node.spawn(
        Supervisor,
        [
            ChildSpec("a", Counter),
            ChildSpec("b", Counter, restart="temporary", shutdown=None),
            ChildSpec("c", Counter, restart="transient", shutdown=0),
        ],
        name="sup",
    )

    ours = await pair.eval(f"sup = :rpc.call(py, :erlang, :whereis, [:sup])\n{SHAPE}{code}")

    assert ours == await pair.eval(f"{THEIR_SUPERVISOR}{SHAPE}{code}")


class Neighbour(GenServer):
    def init(self, trap_exit: bool) -> None:
        self.trap_exit = trap_exit


CRASHER = """
defmodule Crasher do
  use GenServer
  def init(pid) do
    if pid, do: Process.link(pid)
    {:ok, pid}
  end
  def handle_cast(:raise, _), do: raise "boom"
end
defmodule Observer do
  def reason(pid) do
    {:ok, server} = GenServer.start(Crasher, pid)
    ref = Process.monitor(server)
    GenServer.cast(server, :raise)
    receive do {:DOWN, ^ref, _, _, reason} -> reason after 10_000 -> :nothing end
  end
end
Enum.each(:logger.get_handler_ids(), &:logger.remove_handler/1)
"""
"""The crash reports have to be made, for then we are asked; nobody has to read them."""


@pytest.mark.parametrize("trap_exit", [False, True])
async def test_a_crash_beside_a_process_of_ours_has_its_own_reason(pair: Pair, trap_exit: bool) -> None:
    for name in ("one", "other"):
        pair.node.spawn(Neighbour, trap_exit, name=name)
    assert await pair.eval(CRASHER) == ":ok"

    code = """
    {%RuntimeError{message: "boom"}, [_ | _]} = alone = Observer.reason(nil)
    for name <- [:one, :other] do
      reason = :rpc.call(py, :erlang, :whereis, [name]) |> Observer.reason()
      if reason == alone, do: :same, else: reason
    end
    """
    assert await pair.eval(code) == "[:same, :same]"
