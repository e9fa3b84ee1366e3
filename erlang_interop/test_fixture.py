"""The harness and the stand-in for ZenMonitor, tried on each other before anything else leans on them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from erlang_interop.nodes import CommandError, ElixirNode, Epmd, ErlangCluster, ErlNode, NodeEnded
from pyzen import etf
from pyzen.terms import atoms

StartElixir: TypeAlias = Callable[..., Awaitable[ElixirNode]]
StartErl: TypeAlias = Callable[..., Awaitable[ErlNode]]

MONITORS = 10_000
SUBSCRIPTIONS = ":ets.info(ZenMonitor.Proxy.Tables.Subscribers, :size)"
BALANCED = {"duplicates": 0, "late": 0, "unknown": 0, "wrong": 0}


async def _two_that_know_each_other(start: StartElixir) -> tuple[ElixirNode, ElixirNode]:
    one, other = await asyncio.gather(start(), start())
    assert await one.call("connect", other.name) == "true"
    assert await one.call("zen_connect", other.name) == ":compatible"
    assert await other.call("zen_connect", one.name) == ":compatible"
    return one, other


async def _watch(watcher: ElixirNode, watched: ElixirNode, count: int) -> None:
    assert await watched.call("spawn", count) == str(count)
    assert await watcher.call("monitor_peer", "zen", watched.name, 0, count) == str(count)
    await _until(watched, SUBSCRIPTIONS, str(count))


# ---- the stand-in ------------------------------------------------------------------------------------


async def test_stand_in_reports_every_death_and_the_loss_of_the_node_exactly_once(elixir_node: StartElixir) -> None:
    one, other = await _two_that_know_each_other(elixir_node)
    await asyncio.gather(_watch(one, other, MONITORS), _watch(other, one, MONITORS))

    # Both ways: half of each side's processes die, of eight sorts of reasons.
    half = MONITORS // 2
    assert await one.call("kill", 0, half, "mixed") == str(half)
    assert await other.call("kill", 0, half, "mixed") == str(half)
    for node in (one, other):
        figures = await node.await_downs(half, timeout=30)
        assert figures == {"monitors": MONITORS, "downs": half, "demonitored": 0, "pending": half, **BALANCED}
        await _assert_reasons_are_those_of_the_indexes(node, half)

    # Then one side is gone altogether.
    await other.kill()
    figures = await one.await_downs(MONITORS, timeout=30)
    assert figures == {"monitors": MONITORS, "downs": MONITORS, "demonitored": 0, "pending": 0, **BALANCED}
    lost = "Enum.count(Fixture.Ledger.downs(), fn {i, _, r} -> i >= %d and r == {:zen_monitor, :nodedown} end)"
    assert await one.eval(lost % half) == str(half)


async def _assert_reasons_are_those_of_the_indexes(node: ElixirNode, count: int) -> None:
    code = """
    expected = for i <- 0..%d do
      reason = Fixture.Reasons.mixed(i)
      {i, {:zen_monitor, if(is_binary(reason) and byte_size(reason) > 1024,
        do: binary_part(reason, 0, 1021) <> "...", else: reason)}}
    end
    expected == Fixture.Ledger.downs() |> Enum.map(fn {i, _, r} -> {i, r} end) |> Enum.sort()
    """
    assert await node.eval(code % (count - 1)) == "true"


async def test_stand_in_monitors_anew_after_a_crash_of_its_proxy(elixir_node: StartElixir) -> None:
    one, other = await _two_that_know_each_other(elixir_node)
    await _watch(one, other, 1)
    await other.eval("Process.exit(Process.whereis(ZenMonitor.Proxy), :kill)")
    await one.await_downs(1, timeout=30)
    async with asyncio.timeout(30):
        while await one.call("compatibility", other.name) != ":compatible":
            await asyncio.sleep(0.1)

    await other.call("spawn", 1)
    await one.call("monitor_peer", "zen", other.name, 0, 2)
    await _until(other, SUBSCRIPTIONS, "2")  # the row of the first was there before, that of the second comes after it
    await other.call("kill", 0, 1, "boom")

    await one.await_downs(2, timeout=10)
    assert (await one.call("downs")).endswith("{:zen_monitor, :boom}}]")


async def test_ledger_tells_what_came_of_each_monitor_and_when(elixir_node: StartElixir) -> None:
    one, other = await _two_that_know_each_other(elixir_node)
    await _watch(one, other, 3)
    await one.call("demonitor", 1, 2, "flush")
    await _until(other, SUBSCRIPTIONS, "2")
    await other.call("kill", 2, 3, "boom")
    await one.await_downs(1, timeout=30)

    open_, undone, fired = etf.decode(await one.call_etf("entries"))

    assert open_ == (0, open_[1], atoms.pending, atoms.nil, atoms.nil)
    assert undone == (1, undone[1], atoms.demonitored, undone[3], atoms.nil)
    assert fired == (2, fired[1], atoms.down, fired[3], (atoms.zen_monitor, atoms.boom))
    assert open_[1] <= undone[1] <= fired[1] <= fired[3]
    assert undone[1] <= undone[3] <= fired[3]


async def test_stand_in_forgets_what_is_demonitored(elixir_node: StartElixir) -> None:
    one, other = await _two_that_know_each_other(elixir_node)
    await _watch(one, other, 100)
    await one.call("demonitor", 0, 40, "flush")
    await _until(other, SUBSCRIPTIONS, "60")
    await other.call("kill", 0, 100, "boom")

    assert await one.await_downs(60, timeout=10) == {
        "monitors": 100,
        "downs": 60,
        "demonitored": 40,
        "pending": 0,
        **BALANCED,
    }


async def test_stand_in_watches_names_and_dead_processes(elixir_node: StartElixir) -> None:
    one, other = await _two_that_know_each_other(elixir_node)
    await other.call("name", "worker")
    await other.call("spawn", 1)
    await other.call("stop", 0, 1)
    await _until(other, "Fixture.Processes.alive(0, 1)", "0")

    for name in ("worker", "nobody"):
        await one.eval(f"Fixture.Ledger.monitor(ZenMonitor, [{{:{name}, :'{other.name}'}}])")
    await one.call("monitor_peer", "zen", other.name, 0, 1)
    await one.await_downs(2, timeout=10)
    await other.call("kill_name", "worker", "{because, <<65>>}")
    await one.await_downs(3, timeout=10)

    by_index = await one.eval("for {i, _, {:zen_monitor, r}} <- Enum.sort(Fixture.Ledger.downs()), do: {i, r}")
    assert by_index == '[{0, {:because, "A"}}, {1, :noproc}, {2, :noproc}]'


async def test_stand_in_takes_pids_that_pass_through_the_line_protocol(elixir_node: StartElixir) -> None:
    one, other = await _two_that_know_each_other(elixir_node)
    await other.call("spawn", 1000)

    assert await one.call("monitor", "zen", await other.call("pids", 0, 1000)) == "1000"
    await _until(other, SUBSCRIPTIONS, "1000")
    await other.call("stop", 0, 1000)

    await one.await_downs(1000, timeout=10)
    assert await one.call("reasons") == "%{{:zen_monitor, :normal} => 1000}"


async def test_stand_in_counts_a_hidden_node_as_down(elixir_node: StartElixir) -> None:
    one, hidden = await asyncio.gather(elixir_node(), elixir_node(hidden=True))

    assert await one.call("connect", hidden.name) == "true"

    assert await one.call("nodes") == "[]"
    assert await one.call("zen_connect", hidden.name) == ":incompatible"
    assert await one.call("cached_compatibility", hidden.name) == ":unavailable"


async def test_stand_in_dies_of_an_unknown_instruction_and_takes_the_node_down_for_its_watchers(
    elixir_node: StartElixir,
) -> None:
    one, other = await _two_that_know_each_other(elixir_node)
    await _watch(one, other, 10)

    await one.eval(f"GenServer.cast({{ZenMonitor.Proxy, :'{other.name}'}}, {{:process, self(), [:nonsense]}})")
    await one.await_downs(10, timeout=10)

    assert await one.call("reasons") == "%{{:zen_monitor, :nodedown} => 10}"


async def _until(node: ElixirNode, code: str, value: str) -> None:
    """Wait until an expression has a value; the node does the waiting."""
    loop = f"""
    Enum.find(1..500, fn _ -> inspect({code}) == {value!r} or Process.sleep(20) != :ok end) || raise inspect({code})
    """
    await node.eval(loop.replace("'", '"'))


# ---- the commands ------------------------------------------------------------------------------------


async def test_crash_ends_a_process_with_the_given_term(elixir_node: StartElixir) -> None:
    node = await elixir_node()
    await node.call("spawn", 2)
    await node.call("monitor", "erts", await node.call("pids", 0, 2))

    await node.call("crash", 0, '{reason, [1, <<"two">>], 3.5}')
    await node.call("raise", 1, "went wrong")
    await node.await_downs(2, timeout=10)

    reasons = await node.eval("for {i, _, r} <- Enum.sort(Fixture.Ledger.downs()), do: {i, r}")
    assert reasons.startswith('[{0, {:reason, [1, "two"], 3.5}}, {1, {%RuntimeError{message: "went wrong"}, [')


async def test_echo_answers_counts_and_records_in_order(elixir_node: StartElixir) -> None:
    node = await elixir_node()
    await node.call("echo", "e")

    assert await node.eval("{GenServer.call(:e, {:a, 1}), GenServer.cast(:e, :b), send(:e, {:seq, :s, 1, nil})}") == (
        "{{:a, 1}, :ok, {:seq, :s, 1, nil}}"
    )

    assert await node.call("received", "e") == "[call: {:a, 1}, cast: :b, info: {:seq, :s, 1, nil}]"
    counter = await node.fields("counter", "e")
    assert (counter["calls"], counter["casts"], counter["messages"], counter["sequence_errors"]) == ("1", "1", "1", "1")


async def test_burst_reaches_the_sink_of_another_node_in_order(elixir_node: StartElixir) -> None:
    one, other = await _two_that_know_each_other(elixir_node)
    await other.call("sink", "drain")

    sent = await one.fields("burst", "drain", other.name, 20_000, 100)
    arrived = await other.fields("await", "drain", 20_000, 20_000)

    assert int(sent["elapsed_us"]) > 0
    assert int(sent["reductions"]) >= 20_000
    assert (arrived["messages"], arrived["sequence_errors"]) == ("20000", "0")


async def test_monitor_nodes_reports_nodes_that_come_and_go(elixir_node: StartElixir, erl_node: StartErl) -> None:
    one, other = await asyncio.gather(elixir_node(), erl_node())
    await one.call("monitor_nodes")

    assert await other.eval(f"net_adm:ping('{one.name}')") == "pong"
    await one.event(f"nodeup {other.name}")
    assert await one.call("nodes") == f'[:"{other.name}"]'
    await other.kill()

    await one.event(f"nodedown {other.name}")
    assert await one.call("nodes") == "[]"


async def test_global_commands_tell_how_long_they_took(elixir_node: StartElixir) -> None:
    one, _ = await _two_that_know_each_other(elixir_node)

    answers = [await one.fields(command) for command in ("global_sync", "global_trans", "global_register x")]

    assert [answer["result"] for answer in answers] == [":ok", ":done", ":yes"]
    assert all(0 <= float(answer["elapsed_ms"]) < 5000 for answer in answers)


async def test_answers_come_in_three_forms(elixir_node: StartElixir) -> None:
    node = await elixir_node()

    assert await node.call("eval", '{:a, "é", nil}') == '{:a, "é", nil}'
    assert await node.call("eval/erl", '{:a, "é", nil}') == '{a,<<"é"/utf8>>,nil}'
    assert await node.call_etf("eval", "{1, 2}") == bytes([131, 104, 2, 97, 1, 97, 2])


async def test_wrong_commands_are_answered_with_an_error_and_change_nothing(elixir_node: StartElixir) -> None:
    node = await elixir_node()

    for command in ("nonsense", "spawn", "spawn many", "eval raise <<0>>", "pids/abc 0 1", "kill 0 1 {", "pids 0 1"):
        with pytest.raises(CommandError):
            await node.call(command)

    assert await node.call("node") == f':"{node.name}"'


async def test_figures_of_the_process_are_those_of_this_machine(elixir_node: StartElixir) -> None:
    node = await elixir_node()

    cpu, memory = await node.fields("cpu"), await node.fields("memory")

    assert int(cpu["os_ms"]) > 0
    assert 0.5 < int(memory["rss"]) / (int(_proc(node.pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")) < 2


# ---- the harness -------------------------------------------------------------------------------------


def _proc(pid: int, file: str) -> str:
    """A file of the kernel about a process; empty when there is no such process."""
    path = Path(f"/proc/{pid}/{file}")
    return path.read_text(encoding="ascii") if path.exists() else ""


@pytest.mark.parametrize("kind", ["elixir", "erl"])
async def test_node_is_one_process_that_ends_with_its_input(
    kind: str, elixir_node: StartElixir, erl_node: StartErl
) -> None:
    node = await (elixir_node() if kind == "elixir" else erl_node())
    assert _proc(node.pid, "comm").strip() == "beam.smp"

    node.close_input()

    assert await node.wait() == 0
    assert _proc(node.pid, "comm") == ""


async def test_node_takes_its_options(cluster: ErlangCluster, elixir_node: StartElixir, erl_node: StartErl) -> None:
    one = await elixir_node("given", cookie="biscuit", names="short", hidden=True, net_ticktime=8, flags=["-x", "y"])
    other = await erl_node("taken", cookie="biscuit", names="short", net_ticktime=8)

    assert (one.name, other.name) == ("given@localhost", "taken@localhost")
    assert await one.eval(":net_kernel.get_net_ticktime()") == "8"
    assert await other.eval("net_kernel:get_net_ticktime()") == "8"
    assert await other.eval(f"{{net_adm:ping('{one.name}'), nodes(), nodes(hidden)}}") == (f"{{pong,[],[{one.name}]}}")
    assert await one.eval(":init.get_argument(:x)") == "{:ok, [['y']]}"
    assert cluster.cookie != "biscuit"


async def test_frozen_node_is_down_after_its_ticktime_and_can_be_killed(
    elixir_node: StartElixir, erl_node: StartErl
) -> None:
    one, other = await asyncio.gather(elixir_node(net_ticktime=4), erl_node(net_ticktime=4))
    await one.call("monitor_nodes")
    assert await one.call("connect", other.name) == "true"
    await one.event(f"nodeup {other.name}")

    other.stop_signal()
    await one.event(f"nodedown {other.name}", timeout=8)
    other.cont_signal()
    assert await other.eval("1 + 1") == "2"
    other.stop_signal()

    await other.kill()


async def test_call_fails_when_the_node_ends_and_when_it_is_too_late(erl_node: StartErl) -> None:
    node = await erl_node()

    with pytest.raises(TimeoutError):
        await node.call("eval", "timer:sleep(infinity)", timeout=0.1)
    with pytest.raises(NodeEnded, match="last words"):
        await node.eval("erlang:halt(3, [{flush, false}])")

    assert await node.wait() == 3
    with pytest.raises(NodeEnded):
        await node.eval("1")


async def test_node_that_cannot_start_says_why(cluster: ErlangCluster, elixir_node: StartElixir) -> None:
    await elixir_node("same")

    with pytest.raises(NodeEnded, match="same"):
        await elixir_node("same")

    assert cluster.epmd_port


def test_epmd_ends_and_starts_again_on_its_port(erlang: None) -> None:
    daemon = Epmd.start()
    try:
        first = daemon.pid
        assert daemon.names() == []
        daemon.close()
        assert _proc(first, "comm") == ""

        daemon.open()
        assert daemon.answers(within=10)
        assert daemon.pid != first
    finally:
        daemon.close()


@pytest.mark.parametrize(("required", "outcome"), [("0", "1 skipped"), ("1", "1 error")])
def test_absence_of_erlang_skips_or_fails(required: str, outcome: str) -> None:
    test = f"{Path(__file__)}::test_epmd_ends_and_starts_again_on_its_port"
    environment = {**os.environ, "PATH": "/nonexistent", "PYZEN_REQUIRE_ERLANG": required}

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        env=environment,
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert re.search(rf"\b{outcome}\b", run.stdout), run.stdout
    assert run.returncode == int(required)
    assert "erl, erlc, epmd is not on the path" in run.stdout


def test_unknown_release_is_a_usage_error() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "erlang_interop", "--releases", "12"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 4
    assert "'12' is not available" in run.stderr


async def test_bytes_that_are_no_text_hinder_no_answer(erl_node: StartErl) -> None:
    node = await erl_node()

    await node.eval('ok = file:write_file("/dev/stdout", <<192, 10>>, [append])')

    assert await node.eval("1 + 1") == "2"
    assert "\ufffd" in node.stderr
