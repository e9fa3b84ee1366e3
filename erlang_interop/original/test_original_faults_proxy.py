"""The faults of the original's Proxy half, and those that a peer of it can see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from erlang_interop.directions.elixir_side import ElixirSide, literal
from erlang_interop.directions.sides import Down, until
from erlang_interop.original.conftest import Pair, pid_code, restarted
from pyzen.actor.gen_server import GenServer
from pyzen.terms import Atom, Pid, atoms
from pyzen.zen.names import PROXY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyzen.node.node import Node

    StartSide = Callable[..., Awaitable[ElixirSide]]
    StartPython = Callable[..., Awaitable[Node]]

BOOM = atoms.boom
SLOW = 1000
"""Milliseconds of a Batcher's sweep in which something is done between a death and its summary."""


async def batcher_started(pair: Pair) -> None:
    """Let a first death be reported, so that there is a Batcher."""
    await (await pair.subscriber()).barrier()


async def test_original_fault_3_a_batcher_crash_loses_its_certificates(start_side: StartSide) -> None:
    pair = Pair(await start_side(), await start_side(batcher_sweep_interval=SLOW))
    await pair.open()
    me = await pair.subscriber()
    await me.barrier()
    (pid,) = await pair.watched.spawn(1)
    await me.monitor(pid)
    await pair.watched.await_rows(1)

    await pair.watched.kill([(pid, BOOM)])
    await pair.watched.await_rows(0)
    await pair.watched.eval(f"Process.exit({await pair.batcher()}, :kill)")
    await me.barrier()

    assert await me.downs(0) == []


async def test_original_fault_5_a_late_clean_up_deletes_new_subscriptions(pair: Pair) -> None:
    me = await pair.subscriber()
    await me.barrier()
    (pid,) = await pair.watched.spawn(1)
    batcher = await pair.batcher()
    await pair.watched.eval(f":sys.suspend({batcher})")
    await pair.watcher.unlink(pair.watched.name)
    await pair.open()
    await me.monitor(pid)
    await pair.watched.await_rows(1)

    await pair.watched.eval(f":sys.resume({batcher})")
    await pair.watched.await_rows(0)
    await pair.watched.kill([(pid, BOOM)])
    await me.barrier()

    assert await me.downs(0) == []


async def test_original_fault_7_a_stray_message_kills_a_batcher(pair: Pair) -> None:
    await batcher_started(pair)
    batcher = await pair.batcher()

    await pair.watched.eval(f"send({batcher}, :stray)")

    async def is_dead() -> bool:
        return await pair.watched.eval(f"Process.alive?({batcher})") == "false"

    await until(is_dead)


@pytest.mark.parametrize(
    "instruction", ["{:what, self()}", "{:subscribe, 7}", ":nonsense", "{:subscribe, {:name, :nonode@nohost, 1}}"]
)
async def test_original_fault_8_a_bad_instruction_kills_the_proxy(start_side: StartSide, instruction: str) -> None:
    side = await start_side()
    before = await pid_code(side, "Process.whereis(ZenMonitor.Proxy)")

    await side.eval(f"GenServer.cast(ZenMonitor.Proxy, {{:process, self(), [{instruction}]}})")

    await restarted(side, "ZenMonitor.Proxy", before)


async def test_original_fault_9_the_proxy_waits_for_a_batcher_to_start(start_side: StartSide) -> None:
    pair = Pair(await start_side(), await start_side(batcher_lookup_timeout=2000))
    await pair.open()
    me = await pair.subscriber()
    (pid,) = await pair.watched.spawn(1)
    await me.monitor(pid)
    await pair.watched.await_rows(1)
    before = await pid_code(pair.watched, "Process.whereis(ZenMonitor.Proxy)")

    await pair.watched.eval(":sys.suspend(ZenMonitor.Proxy.Batcher)")
    await pair.watched.kill([(pid, BOOM)])
    ping = "try(do: GenServer.call(ZenMonitor.Proxy, :ping, 1000), catch: (:exit, {reason, _} -> reason))"
    assert await pair.watched.eval(ping) == ":timeout"

    await restarted(pair.watched, "ZenMonitor.Proxy", before)
    assert await me.downs(1) == [Down(0, pid, atoms.nodedown)]


async def test_original_fault_18_rows_of_a_subscriber_that_dies_early_stay(start_side: StartSide) -> None:
    side = await start_side()
    (pid,) = await side.spawn(1)
    code = f"""
    {{subscriber, watch}} = spawn_monitor(fn ->
      GenServer.cast(ZenMonitor.Proxy, {{:process, self(), [{{:subscribe, {literal(pid)}}}]}})
      ZenMonitor.Proxy.ping()
    end)
    receive(do: ({{:DOWN, ^watch, :process, ^subscriber, _}} -> :ok))
    for _ <- 1..10, do: ZenMonitor.Proxy.ping()
    """
    await side.eval(code)

    assert await side.rows() == 1


async def test_original_fault_19_rows_outlive_the_proxy(start_side: StartSide) -> None:
    side = await start_side()
    pids = await side.spawn(10)
    await side.eval(
        f"GenServer.cast(ZenMonitor.Proxy, {{:subscribe, Process.whereis(Fixture.Ledger), {literal(pids)}}})"
    )
    await side.await_rows(10)
    before = await pid_code(side, "Process.whereis(ZenMonitor.Proxy)")

    await side.end_proxy()
    await restarted(side, "ZenMonitor.Proxy", before)
    await side.kill((pid, BOOM) for pid in pids)

    assert await side.eval("ZenMonitor.Proxy.ping()") == ":pong"
    assert await side.rows() == 10


async def test_original_fault_20_the_erts_monitor_stays_after_the_last_unsubscribe(pair: Pair) -> None:
    me = await pair.subscriber()
    (pid,) = await pair.watched.spawn(1)
    await me.monitor(pid)
    await pair.watched.await_rows(1)

    await me.demonitor(0)
    await pair.watched.await_rows(0)

    monitored = await pair.watched.eval("Process.info(Process.whereis(ZenMonitor.Proxy), :monitors)")
    assert monitored.count("#PID") == 1


async def test_original_fault_20_a_name_taken_over_after_an_unsubscribe_is_not_watched(pair: Pair) -> None:
    me, target = await pair.subscriber(), (atoms.worker, pair.watched.name)
    await pair.watched.register(atoms.worker)
    await me.monitor(target)
    await pair.watched.await_rows(1)
    await me.demonitor(0)
    await pair.watched.await_rows(0)

    await pair.watched.eval("Process.unregister(:worker)")
    second = await pair.watched.register(atoms.worker)
    await me.monitor(target)
    await pair.watched.await_rows(1)
    await pair.watched.kill([(second, BOOM)])
    await me.barrier()

    assert await me.downs(0) == []


class FakeProxy(GenServer):
    """Answers pings and keeps the instructions that it gets."""

    def init(self) -> None:
        self.instructions: list[Any] = []

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        del from_
        return atoms.pong if request is atoms.ping else request

    def handle_cast(self, request: Any) -> None:
        self.instructions += request[2]


async def test_original_fault_21_needless_instructions_travel(start_side: StartSide, python_node: StartPython) -> None:
    side, peer = await start_side(connector_sweep_interval=200), await python_node(zen=None)
    proxy = peer.runtime.process(peer.spawn(FakeProxy, name=PROXY))
    assert isinstance(proxy, FakeProxy)
    await side.link(peer.name)
    assert await side.connect(peer.name) == "compatible"
    target = (atoms.name, peer.name)
    code = f"""
    target = {literal(target)}
    ZenMonitor.demonitor(ZenMonitor.monitor(target))
    ZenMonitor.Local.Connector.demonitor(target, make_ref())
    """

    await side.eval(code)

    async def arrived() -> bool:
        return len(proxy.instructions) >= 3

    await until(arrived)
    assert proxy.instructions == [(atoms.subscribe, target), (atoms.unsubscribe, target), (atoms.unsubscribe, target)]


async def test_original_fault_26_some_reasons_pass_whole_and_text_is_cut_inside_a_character(
    start_side: StartSide,
) -> None:
    side = await start_side()
    code = """
    long = String.duplicate("x", 100_000)
    huge = Integer.pow(2, 100_000)
    truncate = &ZenMonitor.Truncator.truncate/1
    {
      truncate.({:shutdown, long}) == {:shutdown, long},
      truncate.(%{long => 1}) == %{long => 1},
      truncate.(huge) == huge,
      String.valid?(truncate.(String.duplicate("\\u20ac", 1000)))
    }
    """

    assert await side.eval(code) == "{true, true, true, false}"


async def test_original_fault_29_a_certificate_fires_a_newer_reference_to_the_name(start_side: StartSide) -> None:
    pair = Pair(await start_side(), await start_side(batcher_sweep_interval=SLOW))
    await pair.open()
    me, target = await pair.subscriber(), (atoms.worker, pair.watched.name)
    await me.barrier()
    first = await pair.watched.register(atoms.worker)
    await me.monitor(target)
    await pair.watched.await_rows(1)

    await pair.watched.kill([(first, BOOM)])
    await pair.watched.await_rows(0)
    living = await pair.watched.register(atoms.worker)
    await me.demonitor(1)
    await me.monitor(target)
    await pair.watched.await_rows(1)

    assert await me.downs(1) == [Down(2, target, BOOM)]
    assert await pair.watched.eval(f"Process.alive?({literal(living)})") == "true"


async def test_original_fault_31_a_monitor_of_one_name_fires_those_of_other_nodes(
    pair: Pair, start_side: StartSide
) -> None:
    third, node = await start_side(), literal(pair.watched.name)
    await Pair(third, pair.watched).open()
    await pair.watched.register(atoms.worker)
    await pair.watcher.eval(f"Fixture.Ledger.monitor(ZenMonitor, [{{:worker, {node}}}])")
    await pair.watched.await_rows(1)

    await third.eval(f"ZenMonitor.monitor({{:_, {node}}})")

    await pair.watcher.eval("Fixture.Ledger.await(1, 10_000)")
    assert await pair.watcher.eval("Fixture.Ledger.reasons()") == "%{{:zen_monitor, :noproc} => 1}"
    assert await pair.watcher.eval("Fixture.Ledger.summary()[:wrong]") == "1"
    assert await pair.watched.eval("is_pid(Process.whereis(:worker))") == "true"


async def test_original_fault_31_a_name_like_a_match_variable_never_fires(pair: Pair) -> None:
    me = await pair.subscriber()
    await me.monitor((Atom("$1"), pair.watched.name))

    for _ in range(5):
        await me.barrier()

    assert await me.downs(0) == []
