"""The faults of the original's Local half: what the watching node does wrong."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from erlang_interop.directions.elixir_side import ElixirSide, literal
from erlang_interop.directions.sides import Down, until
from erlang_interop.original.conftest import Pair, original_only, pid_code, restarted
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from erlang_interop.directions.sides import Subscriber
    from erlang_interop.nodes import ErlNode
    from pyzen.terms import Pid

    StartSide = Callable[..., Awaitable[ElixirSide]]
    StartErl = Callable[..., Awaitable[ErlNode]]

BOOM = atoms.boom


async def watched_process(pair: Pair, me: Subscriber) -> Pid:
    """Monitor a new process, and wait until the other node knows."""
    (pid,) = await pair.watched.spawn(1)
    rows = await pair.watched.rows()
    await me.monitor(pid)
    await pair.watched.await_rows(rows + 1)
    return pid


async def assert_never_fires(pair: Pair, me: Subscriber, *pids: Pid) -> None:
    """End processes that are monitored, and see that nothing comes where another monitor is answered."""
    await pair.watched.kill((pid, BOOM) for pid in pids)
    for _ in range(3):
        await me.barrier()
    assert await me.downs(0) == []


async def test_original_fault_1_a_bare_local_name_never_fires(start_side: StartSide) -> None:
    side = await start_side()
    me = await side.subscriber(side.name)
    named = await side.register(atoms.worker)
    await me.monitor(atoms.worker)
    await side.await_rows(1)

    await side.kill([(named, BOOM)])
    await me.barrier()

    assert await me.downs(0) == []
    assert await me.live(0) == [0]


async def test_original_fault_2_a_connector_crash_loses_the_monitors(pair: Pair) -> None:
    me = await pair.subscriber()
    pid = await watched_process(pair, me)

    await pair.watcher.eval(f"Process.exit({await pair.connector()}, :kill)")

    await assert_never_fires(pair, me, pid)


async def test_original_fault_4_a_monitor_goes_to_a_connector_that_is_dead(pair: Pair) -> None:
    me = await pair.subscriber()
    await watched_process(pair, me)
    (pid,) = await pair.watched.spawn(1)

    # The registry has not noticed yet: here it is kept from noticing.
    await pair.watcher.eval(f":sys.suspend(ZenMonitor.Local.Connector); Process.exit({await pair.connector()}, :kill)")
    await me.monitor(pid)
    await pair.watcher.eval(":sys.resume(ZenMonitor.Local.Connector)")

    await assert_never_fires(pair, me, pid)


async def test_original_fault_6_a_restart_of_local_forgets_the_monitors(pair: Pair) -> None:
    me = await pair.subscriber()
    pid = await watched_process(pair, me)
    local = await pid_code(pair.watcher, "Process.whereis(ZenMonitor.Local)")

    await pair.watcher.eval(f"Process.exit({local}, :kill)")
    await restarted(pair.watcher, "ZenMonitor.Local", local)

    await assert_never_fires(pair, me, pid)


@pytest.mark.parametrize("name", ["Local", "Local.Dispatcher", "Proxy"])
async def test_original_fault_7_a_stray_message_kills(start_side: StartSide, name: str) -> None:
    side = await start_side()
    before = await pid_code(side, f"Process.whereis(ZenMonitor.{name})")

    await side.eval(f"send(ZenMonitor.{name}, :stray)")

    await restarted(side, f"ZenMonitor.{name}", before)


async def test_original_fault_10_a_process_on_a_hidden_node_is_down(start_side: StartSide) -> None:
    pair = Pair(await start_side(), await start_side(hidden=True))
    await pair.watcher.link(pair.watched.name)
    me = await pair.subscriber()
    (pid,) = await pair.watched.spawn(1)

    await me.monitor(pid)

    assert await me.downs(1) == [Down(0, pid, atoms.nodedown)]


async def test_original_fault_11_a_process_on_a_node_not_yet_connected_is_down(start_side: StartSide) -> None:
    pair = Pair(await start_side(), await start_side())
    me = await pair.subscriber()
    (pid,) = await pair.watched.spawn(1)

    await me.monitor(pid)

    assert await me.downs(1) == [Down(0, pid, atoms.nodedown)]


async def test_original_fault_12_13_a_living_process_of_a_plain_node_is_down(
    start_side: StartSide, erl_node: StartErl
) -> None:
    side, plain = await start_side(), await erl_node()
    me = await side.subscriber(Atom(plain.name))
    await side.link(Atom(plain.name))
    named = (atoms.kernel_sup, Atom(plain.name))

    await me.monitor(named)

    assert await me.downs(1) == [Down(0, named, atoms.nodedown)]


async def test_original_fault_15_penalties_have_no_jitter(start_side: StartSide, erl_node: StartErl) -> None:
    side = await start_side()
    penalties = []
    for plain in [await erl_node() for _ in range(3)]:
        await side.link(Atom(plain.name))
        penalty = f"""
        before = ZenMonitor.now()
        ZenMonitor.connect({literal(Atom(plain.name))})
        [{{_, {{:incompatible, until, 1}}}}] = :ets.lookup(ZenMonitor.Local.Tables.nodes(), {literal(Atom(plain.name))})
        {{until - before, until - ZenMonitor.now()}}
        """
        penalties.append(await side.eval(penalty))

    for text in penalties:
        longest, shortest = map(int, text.strip("{}").split(", "))
        assert shortest <= 2000 <= longest


async def test_original_fault_16_a_slow_ping_makes_connect_exit_and_stalls_the_connector(start_side: StartSide) -> None:
    # No sweep of its own: it would ping before `connect` does.
    pair = Pair(await start_side(connector_sweep_interval=60_000), await start_side())
    await pair.watcher.link(pair.watched.name)
    await pair.watched.eval(":sys.suspend(ZenMonitor.Proxy)")

    node = literal(pair.watched.name)
    code = f"""
    connect = Task.async(fn ->
      try do
        ZenMonitor.connect({node})
      catch
        :exit, {{reason, _call}} -> {{:exit, reason}}
      end
    end)
    Process.sleep(500)
    {{elapsed, []}} = :timer.tc(fn -> ZenMonitor.Local.Connector.monitors({{:name, {node}}}, self()) end)
    {{Task.await(connect, 10_000), elapsed > 4_000_000}}
    """

    assert await pair.watcher.eval(code) == "{{:exit, :timeout}, true}"


async def test_original_fault_17_only_the_subscriber_itself_can_demonitor(pair: Pair) -> None:
    (pid,) = await pair.watched.spawn(1)
    owner = f"""
    reference = ZenMonitor.monitor({literal(pid)})
    Task.await(Task.async(fn -> ZenMonitor.demonitor(reference, [:flush]) end))
    :erpc.call({literal(pair.watched.name)}, Process, :exit, [{literal(pid)}, :kill])
    receive do
      {{:DOWN, ^reference, :process, _, {{:zen_monitor, reason}}}} -> reason
    after
      5000 -> :silent
    end
    """

    assert await pair.watcher.eval(owner) in {":killed", ":noproc"}


async def test_original_fault_22_a_connector_of_a_node_that_is_gone_sweeps_on(pair: Pair) -> None:
    connector = await pair.connector()

    await pair.watched.end()
    await pair.watcher.await_compatibility(pair.watched.name, "unavailable")

    assert await messages_in(pair.watcher, connector, 500) >= 10


async def messages_in(side: ElixirSide, process: str, milliseconds: int) -> int:
    """Count the messages that a process receives in a while."""
    code = f"""
    :erlang.trace({process}, true, [:receive])
    Process.sleep({milliseconds})
    :erlang.trace({process}, false, [:receive])
    count = fn count, sum -> receive(do: ({{:trace, _, _, _}} -> count.(count, sum + 1)), after: (0 -> sum)) end
    count.(count, 0)
    """
    return int(await side.eval(code))


async def test_original_fault_23_instructions_pile_up_without_a_monitor(pair: Pair) -> None:
    await pair.watcher.set({"connector_chunk_size": 1})
    (pid,) = await pair.watched.spawn(1)

    await pair.watcher.eval(f"for _ <- 1..10_000, do: ZenMonitor.demonitor(ZenMonitor.monitor({literal(pid)}))")

    assert int(await pair.watcher.eval(f":sys.get_state({await pair.connector()}).length")) > 15_000


async def test_original_fault_24_one_subscriber_delays_another(pair: Pair) -> None:
    count, ticks = 1000, 20
    await pair.watcher.set({"demand_interval": 100, "demand_amount": count // ticks})
    greedy, modest = await pair.subscriber(), await pair.subscriber()
    pids = await pair.watched.spawn(count)
    (single,) = await pair.watched.spawn(1)
    await greedy.monitor(*pids)
    await modest.monitor(single)
    await pair.watched.await_rows(count + 1)

    await pair.watched.kill((pid, BOOM) for pid in pids)
    await pair.watched.await_rows(1)
    await pair.watched.kill([(single, BOOM)])

    await modest.downs(1)
    assert len(await greedy.downs(0)) >= count - count // ticks


async def test_original_fault_28_the_loss_of_a_node_after_a_connector_crash_fires_nothing(pair: Pair) -> None:
    me, own = await pair.subscriber(), await pair.watcher.subscriber(pair.watcher.name)
    await watched_process(pair, me)
    await pair.watcher.eval(f"Process.exit({await pair.connector()}, :kill)")
    await watched_process(pair, me)

    await pair.watched.end()
    await until_gone(pair)
    for _ in range(10):
        await own.barrier()

    assert await me.downs(0) == []
    assert await pair.watcher.cached_compatibility(pair.watched.name) == "compatible"


async def until_gone(pair: Pair) -> None:
    """Wait until the watcher's runtime has noticed the loss of the other node."""

    async def is_gone() -> bool:
        return pair.watched.name not in await pair.watcher.nodes()

    await until(is_gone)


@original_only
async def test_original_fault_30_a_dispatcher_crash_stops_delivery_for_as_long_as_it_was_idle(pair: Pair) -> None:
    idle = 3.0
    me = await pair.subscriber()
    pid = await watched_process(pair, me)
    await asyncio.sleep(idle)  # what is measured is time
    dispatcher = await pid_code(pair.watcher, "Process.whereis(ZenMonitor.Local.Dispatcher)")

    await pair.watcher.eval(f"Process.exit({dispatcher}, :kill)")
    await restarted(pair.watcher, "ZenMonitor.Local.Dispatcher", dispatcher)
    start = time.monotonic()
    await pair.watched.kill([(pid, BOOM)])
    await me.downs(1)

    assert time.monotonic() - start > idle / 2


async def test_original_fault_32_a_sweep_from_outside_adds_a_timer(pair: Pair) -> None:
    await pair.watcher.set({"connector_sweep_interval": 100})
    connector = await pair.connector()
    before = await messages_in(pair.watcher, connector, 500)

    await pair.watcher.eval(f"for _ <- 1..20, do: send({connector}, :sweep)")

    assert await messages_in(pair.watcher, connector, 500) > 5 * max(before, 5)
