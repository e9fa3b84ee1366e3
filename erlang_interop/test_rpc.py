"""Calls of functions and starts of processes, both ways, between a node of ours and a real Elixir node."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import current_process
from pyzen.config import EpmdConfig
from pyzen.errors import CallTimeout, NodeDown, RpcError
from pyzen.node.node import Node
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from erlang_interop.nodes import ElixirNode, ErlangCluster
    from pyzen.actor.process import Process

    StartElixir = Callable[..., Awaitable[ElixirNode]]


class Pair:
    """A node of ours, and an Elixir node that calls it ``py``."""

    def __init__(self, node: Node, elixir: ElixirNode) -> None:
        self.node = node
        self.elixir = elixir

    async def eval(self, code: str) -> str:
        return await self.elixir.eval(f"py = :'{self.node.name}'; {code}")


@pytest.fixture
async def pair(cluster: ErlangCluster, elixir_node: StartElixir) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        epmd = EpmdConfig(port=cluster.epmd_port, start=False)
        name = f"p{secrets.token_hex(5)}@127.0.0.1"
        node = await stack.enter_async_context(Node(name, cookie=cluster.cookie, epmd=epmd, exports=["math", "time"]))
        pair = Pair(node, await elixir_node())
        assert await node.connect(pair.elixir.name)
        yield pair


def fail() -> None:
    raise ValueError("boom")


def leave() -> None:
    current_process().exit(atoms.done)


def throw() -> None:
    raise RpcError("throw", atoms.ball)


def pid_after_a_second() -> int:
    time.sleep(1)
    return os.getpid()


async def slow(value: Any) -> Any:
    await asyncio.sleep(0.01)
    return value


@pytest.mark.parametrize("api", ["rpc", "erpc"])
async def test_a_call_returns_what_the_function_does(pair: Pair, api: str) -> None:
    pair.node.export("calc", "add", lambda one, other: one + other)
    pair.node.export("calc", "slow", slow)

    assert await pair.eval(f":{api}.call(py, :calc, :add, [1, 2])") == "3"
    assert await pair.eval(f":{api}.call(py, :calc, :slow, [%{{a: 1}}])") == "%{a: 1}"
    assert await pair.eval(f":{api}.call(py, :math, :sqrt, [9])") == "3.0"


async def test_multicall_takes_both_kinds_of_nodes(pair: Pair) -> None:
    code = ":erpc.multicall([node(), py], :erlang, :node, []) == [ok: node(), ok: py]"
    assert await pair.eval(code) == "true"
    assert await pair.eval(":rpc.multicall([node(), py], :erlang, :node, []) == {[node(), py], []}") == "true"


async def test_cast_and_async_call(pair: Pair) -> None:
    arrived = asyncio.Event()
    pair.node.export("calc", "ring", arrived.set)
    pair.node.export("calc", "twice", lambda one: 2 * one)

    assert await pair.eval(":erpc.cast(py, :calc, :ring, [])") == ":ok"
    await asyncio.wait_for(arrived.wait(), 5)
    assert await pair.eval(":rpc.yield(:rpc.async_call(py, :calc, :twice, [4]))") == "8"
    assert await pair.eval(":rpc.block_call(py, :calc, :twice, [5])") == "10"


RUNTIME_ERROR = '%RuntimeError{message: "ValueError: boom"}, [{'
ENCODE_ERROR = '%RuntimeError{message: "EncodeError: '
NOT_THERE = ":undef, [{:bad, :nothing, [], []}"


@pytest.mark.parametrize(
    ("function", "by_rpc", "by_erpc"),
    [
        ("nothing", f"{{:badrpc, {{:EXIT, {{{NOT_THERE}", f"{{:error, {{:exception, {NOT_THERE}"),
        ("leave", "{:badrpc, {:EXIT, :done}}", "{:exit, {:exception, :done}"),
        ("throw", ":ball", "{:throw, :ball"),
        ("fail", f"{{:badrpc, {{:EXIT, {{{RUNTIME_ERROR}", f"{{:error, {{:exception, {RUNTIME_ERROR}"),
        ("formless", f"{{:badrpc, {{:EXIT, {{{ENCODE_ERROR}", f"{{:error, {{:exception, {ENCODE_ERROR}"),
    ],
)
async def test_a_call_that_fails_has_the_outcome_of_a_real_node(
    pair: Pair, function: str, by_rpc: str, by_erpc: str
) -> None:
    for callable_ in (fail, leave, throw):
        pair.node.export("bad", callable_.__name__, callable_)
    pair.node.export("bad", "formless", object)

    assert (await pair.eval(f":rpc.call(py, :bad, :{function}, [])")).startswith(by_rpc)
    code = f"try do :erpc.call(py, :bad, :{function}, []) catch kind, reason -> {{kind, reason}} end"
    assert (await pair.eval(code)).startswith(by_erpc)


async def test_wrong_number_of_arguments_is_undef(pair: Pair) -> None:
    pair.node.export("calc", "add", lambda one, other: one + other)

    code = "try do :erpc.call(py, :calc, :add, [1]) catch _, {_, reason, [{m, f, a, _} | _]} -> {reason, m, f, a} end"
    assert await pair.eval(code) == "{:undef, :calc, :add, [1]}"


async def test_the_stack_of_an_exception_reads_well(pair: Pair) -> None:
    pair.node.export("bad", "fail", fail)

    code = "{:badrpc, {:EXIT, {_, s}}} = :rpc.call(py, :bad, :fail, []); Exception.format_stacktrace(s)"
    shown = await pair.eval(code)

    assert "test_rpc.py:" in shown
    assert ".fail/0" in shown
    assert "remote_call.py" not in shown


async def test_a_blocking_function_runs_in_a_thread(pair: Pair) -> None:
    pair.node.export("calc", "sleep", pid_after_a_second, blocking=True)

    call = asyncio.create_task(pair.eval(":rpc.call(py, :calc, :sleep, [])"))
    begun = time.monotonic()
    assert await pair.node.rpc(pair.elixir.name, "erlang", "node") is atoms[pair.elixir.name]

    assert time.monotonic() - begun < 0.9
    assert await call == str(os.getpid())


async def test_a_call_that_never_returns_ends_by_the_callers_timeout(pair: Pair) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    pair.node.export("calc", "never", never)

    assert await pair.eval(":rpc.call(py, :calc, :never, [], 100)") == "{:badrpc, :timeout}"


async def test_processes_are_started_linked_and_monitored(pair: Pair) -> None:
    async def wait_for_word() -> None:
        me = current_process()
        word = await me.receive()
        me.exit(word)

    pair.node.export("actor", "run", wait_for_word)
    code = (
        "{pid, ref} = Node.spawn_monitor(py, :actor, :run, []); true = node(pid) == py; send(pid, :bye); "
        "receive do {:DOWN, ^ref, :process, ^pid, reason} -> reason end"
    )
    assert await pair.eval(code) == ":bye"
    code = (
        "Process.flag(:trap_exit, true); pid = Node.spawn_link(py, :actor, :run, []); send(pid, :ciao); "
        "receive do {:EXIT, ^pid, reason} -> reason end"
    )
    assert await pair.eval(code) == ":ciao"
    code = (
        "pid = Node.spawn(py, :actor, :run, []); ref = Process.monitor(pid); Process.exit(pid, :kill); "
        "receive do {:DOWN, ^ref, _, _, reason} -> reason end"
    )
    assert await pair.eval(code) == ":killed"


async def test_apply_calls_exported_functions(pair: Pair) -> None:
    pair.node.export("calc", "add", lambda one, other: one + other)
    pair.node.export("calc", "one", lambda: 1)

    for api in ("rpc", "erpc"):
        assert await pair.eval(f":{api}.call(py, :erlang, :apply, [:calc, :add, [1, 2]])") == "3"
        assert await pair.eval(f":{api}.call(py, :erlang, :apply, [&:calc.add/2, [1, 2]])") == "3"
    assert await pair.eval(":erpc.call(py, &:calc.one/0)") == "1"
    assert await pair.eval(":erpc.multicall([py], &:calc.one/0)") == "[ok: 1]"


@pytest.mark.parametrize("called", ["&:calc.nothing/0", "&:calc.add/2", "1, []"])
async def test_apply_of_what_can_not_be_called_is_as_on_a_real_node(pair: Pair, called: str) -> None:
    code = (
        f"args = case [{called}] do [fun] -> [fun, []]; other -> other end; "
        "[ours, theirs] = for node <- [py, node()] do "
        "try do :erpc.call(node, :erlang, :apply, args) catch kind, {:exception, reason, _} -> {kind, reason} end end; "
        "{ours == theirs, ours}"
    )
    assert (await pair.eval(code)).startswith("{true, {:error, ")


async def test_a_fun_from_elixir_is_refused_with_a_reason(pair: Pair) -> None:
    refused = "is not here: call an exported function by its name"
    code = "try do :erpc.call(py, fn -> :ok end) catch :error, {:exception, reason, _} -> reason.message end"
    assert refused in await pair.eval(code)
    code = (
        "{_, ref} = Node.spawn_monitor(py, fn -> :ok end); "
        "receive do {:DOWN, ^ref, _, _, {reason, _}} -> reason.message end"
    )
    assert refused in await pair.eval(code)


async def test_options_about_scheduling_are_taken_without_effect(pair: Pair) -> None:
    code = (
        "ref = :erlang.spawn_request(py, :math, :sqrt, [1.0], [:monitor, {:priority, :high}]); "
        "receive do {:spawn_reply, ^ref, :ok, _} -> :ok end"
    )
    assert await pair.eval(code) == ":ok"


async def test_rex_answers_old_callers(pair: Pair) -> None:
    pair.node.export("calc", "add", lambda one, other: one + other)
    code = "send({:rex, py}, {self(), {:call, :calc, :add, [1, 2], :user}}); receive do {:rex, r} -> r end"
    assert await pair.eval(code) == "3"
    assert await pair.eval("GenServer.call({:rex, py}, {:call, :calc, :add, [3, 2], self()})") == "5"
    assert await pair.eval(":rpc.sbcast([py], :nobody_here, :x)") == f"{{[], [{atom_text(pair)}]}}"


def atom_text(pair: Pair) -> str:
    return f':"{pair.node.name}"'


async def test_output_of_a_called_function_appears_at_the_caller(pair: Pair) -> None:
    def greet() -> None:
        current_process().puts("hello there")

    pair.node.export("talk", "greet", greet)
    # The fixture answers through the group leader, so it is borrowed.
    code = (
        '{:ok, io} = StringIO.open(""); mine = Process.group_leader(); Process.group_leader(self(), io); '
        ":rpc.call(py, :talk, :greet, []); Process.group_leader(self(), mine); "
        "wait = fn wait -> case StringIO.contents(io) do "
        '{_, ""} -> Process.sleep(5); wait.(wait); {_, text} -> text end end; '
        "wait.(wait)"
    )
    assert await pair.eval(code) == '"hello there\\n"'


async def test_output_of_a_function_called_there_appears_here(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    await pair.node.rpc(pair.elixir.name, "io", "format", [b"~p and ~s~n", [{"a": [1, 2]}, b"text"]])
    await pair.node.rpc(pair.elixir.name, "Elixir.IO", "puts", ["gr\u00fc\u00dfe"])

    assert capsys.readouterr().out == '#{<<"a">> => [1,2]} and text\ngr\u00fc\u00dfe\n'


async def test_builtins_answer_what_operators_ask(pair: Pair) -> None:
    assert await pair.eval(":rpc.call(py, :erlang, :whereis, [:nobody])") == ":undefined"
    assert await pair.eval(":rpc.call(py, :erlang, :nodes, []) == [node()]") == "true"
    assert (
        await pair.eval("pid = :rpc.call(py, Process, :whereis, [:rex]); :rpc.call(py, Process, :alive?, [pid])")
        == "true"
    )
    code = (
        "pid = :rpc.call(py, :erlang, :whereis, [:rex]); :rpc.call(py, :erlang, :process_info, [pid, :registered_name])"
    )
    assert await pair.eval(code) == "{:registered_name, :rex}"
    assert await pair.eval(":rpc.call(py, :erlang, :memory, [:total]) > 1_000_000") == "true"
    assert await pair.eval(":rpc.call(py, Process, :sleep, [1])") == ":ok"
    assert (await pair.eval(":rpc.call(py, :erlang, :process_info, [:rex])")).startswith("{:badrpc, {:EXIT, {:badarg, ")


ITEMS = """
    async_dist backtrace binary catchlevel current_function current_location current_stacktrace dictionary
    error_handler fullsweep_after garbage_collection garbage_collection_info group_leader heap_size initial_call label
    last_calls links max_heap_size memory message_queue_data message_queue_len messages min_bin_vheap_size
    min_heap_size monitored_by monitors parent priority priority_messages reductions sequential_trace_token stack_size
    status suspending total_heap_size trace trap_exit
"""


def shape(term: Any) -> Any:
    """Return of what kind a term is; of a map and a list of pairs what it tells about."""
    match term:
        case tuple():
            return tuple(map(shape, term))
        case dict():
            return {key: shape(value) for key, value in term.items() if key is not atoms.include_shared_binaries}
        case [(atoms.file, _), *_]:
            return []  # a place, which functions of the machine itself do not have
        case [(Atom(), _), *_]:
            return [(name, shape(value)) for name, value in term]
        case list():
            return []
    return type(term)


async def test_items_of_process_info_have_the_shape_of_a_real_node(pair: Pair) -> None:
    async def info(pid: Pid) -> dict[str, Any]:
        return {item: await info_of(pid, item) for item in ITEMS.split()}

    async def info_of(pid: Pid, item: str) -> Any:
        try:
            return shape(await pair.node.rpc(pid.node, "erlang", "process_info", [pid, atoms[item]]))
        except RpcError as error:
            return error.reason

    async def wait(process: Process) -> None:
        await process.receive()

    async with pair.node.mailbox() as me:
        # Its function needs no code to be loaded: the process would wait for the loader, and monitor it.
        args = [atoms.timer, atoms.sleep, [60_000]]
        theirs, _ = await me.spawn_request(pair.elixir.name, "erlang", "hibernate", args)
        ours, real = await info(me.spawn_link(wait)), await info(theirs)

    unknown = {item for item, value in real.items() if value is atoms.badarg}
    assert unknown <= {"async_dist", "label", "priority_messages"}
    assert {item for item in ours.keys() - unknown if ours[item] != real[item]} == set()


async def test_our_call_tells_how_a_function_there_ended(pair: Pair) -> None:
    peer = pair.elixir.name
    assert await pair.node.rpc(peer, "lists", "seq", [1, 3]) == [1, 2, 3]

    kinds = []
    for function, args in (("throw", [1]), ("exit", [2]), ("error", [3])):
        with pytest.raises(RpcError) as caught:
            await pair.node.rpc(peer, "erlang", function, args)
        kinds.append((caught.value.kind, caught.value.reason))
    assert kinds == [("throw", 1), ("exit", 2), ("error", 3)]

    with pytest.raises(CallTimeout, match="timer:sleep/1"):
        await pair.node.rpc(peer, "timer", "sleep", [5000], timeout=0.1)
    with pytest.raises(NodeDown):
        await pair.node.rpc("nobody@127.0.0.1", "lists", "seq", [1, 3])


async def test_a_text_of_ours_is_no_atom_there(pair: Pair) -> None:
    assert await pair.node.rpc(pair.elixir.name, "erlang", "is_binary", ["text"]) is True


async def test_our_call_fails_at_once_when_the_node_goes(pair: Pair) -> None:
    call = asyncio.create_task(pair.node.rpc(pair.elixir.name, "timer", "sleep", [60_000], timeout=60))
    await pair.node.rpc(pair.elixir.name, "erlang", "node")

    await pair.elixir.kill()

    with pytest.raises(NodeDown):
        await asyncio.wait_for(call, 5)


async def test_we_start_linked_and_monitored_processes_there(pair: Pair) -> None:
    async with pair.node.mailbox() as me:
        me.trap_exit = True
        pid, ref = await me.spawn_request(pair.elixir.name, "timer", "sleep", [60_000], link=True, monitor=True)
        assert isinstance(pid, Pid)
        me.send_exit(pid, atoms.enough)

        messages = {(await me.receive(timeout=5))[0]: None for _ in range(2)}
        assert list(messages) in ([atoms.EXIT, atoms.DOWN], [atoms.DOWN, atoms.EXIT])
        assert isinstance(ref.node, type(atoms.x))

        with pytest.raises(NodeDown):
            await me.spawn_request("nobody@127.0.0.1", "timer", "sleep", [1])


async def test_a_process_we_started_too_late_is_given_up(pair: Pair) -> None:
    async with pair.node.mailbox() as me:
        pair.elixir.stop_signal()
        with pytest.raises(CallTimeout):
            await me.spawn_request(pair.elixir.name, "timer", "sleep", [60_000], link=True, timeout=0.05)
        pair.elixir.cont_signal()

        sleeping = (
            "Enum.count(Process.list(), &(Process.info(&1, :initial_call) == {:initial_call, {:timer, :sleep, 1}}))"
        )
        async with asyncio.timeout(5):
            while await pair.eval(sleeping) != "0":
                await asyncio.sleep(0.01)


async def test_exit_of_the_caller_ends_a_linked_process_there(pair: Pair) -> None:
    started: asyncio.Future[Pid] = asyncio.get_running_loop().create_future()

    async def body(process: Process) -> None:
        pid, _ = await process.spawn_request(pair.elixir.name, "timer", "sleep", [60_000], link=True)
        started.set_result(pid)
        await process.receive()
        process.exit(atoms.gone)

    parent = pair.node.spawn(body)
    async with pair.node.mailbox() as other:
        ref = other.monitor(await started)
        pair.node.send(parent, atoms.go)
        assert await other.receive(timeout=5) == (atoms.DOWN, ref, atoms.process, await started, atoms.gone)
