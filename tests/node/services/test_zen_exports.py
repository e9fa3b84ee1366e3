from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.config import ZenConfig, setting_names
from pyzen.errors import RpcError
from pyzen.etf import encode
from pyzen.node.services.exports import exported
from pyzen.node.services.zen_exports import SETTINGS, ZenExports
from pyzen.node.services.zen_functions import ZenFunctions
from pyzen.terms import ImproperList, Pid, Reference, atoms, elixir
from pyzen.testing import Cluster

if TYPE_CHECKING:
    from tests.node.services.conftest import Two

SUBSCRIBERS = elixir.ZenMonitor.Proxy.Tables.Subscribers


class Idle(GenServer):
    pass


async def ask(two: Two, module: Any, function: str, *args: Any) -> Any:
    return await two.caller.rpc(two.callee.name, module, function, args)


@pytest.mark.parametrize(("place", "name"), SETTINGS.items())
async def test_a_setting_is_read_and_set_under_its_own_name(two: Two, place: tuple[str, str], name: str) -> None:
    before = await ask(two, *place)

    assert await ask(two, *place, before + 1) is atoms.ok

    assert await ask(two, *place) == before + 1
    assert getattr(two.callee.zen.config, name) == before + 1


@pytest.mark.parametrize("value", [0, -1, 2**31, 1.5, atoms.infinity, b"10"])
async def test_a_value_out_of_range_is_badarg_and_changes_nothing(two: Two, value: Any) -> None:
    for call in (
        ("Elixir.ZenMonitor.Proxy.Batcher", "sweep_interval", value),
        ("Elixir.Application", "put_env", atoms.zen_monitor, atoms.batcher_sweep_interval, value),
    ):
        with pytest.raises(RpcError) as caught:
            await ask(two, *call)
        assert caught.value.reason is atoms.badarg

    assert two.callee.zen.config.batcher_sweep_interval == 100


async def test_maximum_mps_follows_the_demand(two: Two) -> None:
    two.callee.zen.config.demand_interval = 50

    assert await ask(two, elixir.ZenMonitor.Local.Dispatcher, "maximum_mps") == 20_000.0


async def test_the_environment_of_the_application(two: Two) -> None:
    async def env(function: str, *args: Any, module: Any = elixir.Application) -> Any:
        return await ask(two, module, function, atoms.zen_monitor, *args)

    for name in setting_names():
        assert await env("get_env", atoms[name]) is not None
    assert await env("put_env", atoms.incompatible, atoms.erts) is atoms.ok
    assert await env("get_env", atoms.incompatible) is atoms.erts
    assert await env("put_env", atoms.unknown, 1) is atoms.ok
    assert await env("get_env", atoms.unknown) is None
    assert await env("get_env", atoms.unknown, 7) == 7
    assert await env("get_env", atoms.demand_amount, module="application") == (atoms.ok, 1000)
    assert await env("get_env", atoms.unknown, module="application") is atoms.undefined


async def test_the_application_is_stopped_and_started(two: Two) -> None:
    stop = (elixir.Application, "stop", atoms.zen_monitor)
    start = (elixir.Application, "ensure_all_started", atoms.zen_monitor)

    assert await ask(two, *start) == (atoms.ok, [])
    assert await ask(two, *stop) is atoms.ok
    assert await ask(two, *stop) == (atoms.error, (atoms.not_started, atoms.zen_monitor))
    assert await ask(two, "ets", "info", SUBSCRIBERS, atoms.size) is atoms.undefined
    assert await ask(two, *start) == (atoms.ok, [atoms.zen_monitor])
    assert two.callee.whereis(elixir.ZenMonitor.Proxy) is not None


async def test_the_table_of_subscribers_shows_one_until_its_target_dies(two: Two) -> None:
    pid = two.callee.spawn(Idle)
    async with two.caller.mailbox() as me:
        assert await two.caller.zen.connect(two.callee.name) == "compatible"
        two.caller.zen.monitor(pid, subscriber=me.pid)
        connector = two.caller.zen.system.connector_pid(two.callee.name)
        assert connector is not None
        key = (pid, connector)
        async with asyncio.timeout(5):
            while await ask(two, "ets", "lookup", SUBSCRIBERS, key) == []:
                await asyncio.sleep(0.005)

        assert await ask(two, "ets", "lookup", SUBSCRIBERS, key) == [(key,)]
        assert await ask(two, "ets", "info", SUBSCRIBERS, atoms.size) == 1
        await ask(two, "Elixir.Process", "exit", pid, atoms.kill)
        assert await ask(two, "ets", "lookup", SUBSCRIBERS, key) == []


async def test_other_tables_are_not_there(two: Two) -> None:
    assert await ask(two, "ets", "info", atoms.nothing) is atoms.undefined
    with pytest.raises(RpcError, match="badarg"):
        await ask(two, "ets", "lookup", atoms.nothing, 1)
    with pytest.raises(RpcError, match="badarg"):
        await ask(two, "ets", "info", SUBSCRIBERS, atoms.nonsense)
    assert dict(await ask(two, "ets", "info", SUBSCRIBERS))[atoms.size] == 0


async def test_all_settings_are_read_at_once(two: Two) -> None:
    await ask(two, elixir.Application, "put_env", atoms.zen_monitor, atoms.incompatible, atoms.erts)

    for module in (elixir.Application, "application"):
        found = dict(await ask(two, module, "get_all_env", atoms.zen_monitor))
        assert [str(name) for name in found] == setting_names()
        assert (found[atoms.incompatible], found[atoms.fair], found[atoms.demand_amount]) == (atoms.erts, True, 1000)
        assert await ask(two, module, "get_all_env", atoms.kernel) == []


async def test_application_of_erlang_is_stopped_and_started(two: Two) -> None:
    assert await ask(two, "application", "stop", atoms.zen_monitor) is atoms.ok
    assert not two.callee.zen.system.is_running

    assert await ask(two, "application", "ensure_all_started", atoms.zen_monitor) == (atoms.ok, [atoms.zen_monitor])
    assert two.callee.zen.system.is_running


async def test_mailboxes_are_measured_by_name_and_pid(two: Two) -> None:
    metrics = elixir.ZenMonitor.Metrics
    proxy = await ask(two, "erlang", "whereis", elixir.ZenMonitor.Proxy)
    nobody = Pid(two.callee.name, 99_999, 0, proxy.creation)

    for process in (proxy, elixir.ZenMonitor.Proxy):
        assert await ask(two, metrics, "message_queue_len", process) == 0
    for process in (nobody, atoms.nobody, None):
        assert await ask(two, metrics, "message_queue_len", process) is None
    with pytest.raises(RpcError, match="badarg"):
        await ask(two, metrics, "message_queue_len", two.caller.whereis(elixir.ZenMonitor.Proxy))
    for process in (b"proxy", 5):
        with pytest.raises(RpcError, match="function_clause"):
            await ask(two, metrics, "message_queue_len", process)


async def test_sizes_are_those_of_the_statistics(two: Two) -> None:
    async with two.callee.mailbox() as me:
        two.callee.zen.monitor((atoms.worker, two.callee.name), subscriber=me.pid)

        assert await ask(two, elixir.ZenMonitor.Metrics, "table_size", elixir.ZenMonitor.Local.Tables.References) == 1
        assert await ask(two, elixir.ZenMonitor.Metrics, "table_size", atoms.nothing) is None
        assert await ask(two, elixir.ZenMonitor.Local, "batch_length") == two.callee.zen.statistics().fired


async def test_statistics_are_a_map(two: Two) -> None:
    found = await ask(two, "pyzen", "statistics")

    statistics = two.callee.zen.statistics()
    counters = found.pop(atoms.counters)
    assert {str(name): size for name, size in found.items()} == statistics.sizes()
    assert {str(name): count for name, count in counters.items()} == statistics.counters


async def test_compatibility_is_read_under_the_names_of_the_original(two: Two) -> None:
    name, peer = two.caller.name, two.caller.whereis(elixir.ZenMonitor.Proxy)

    async def seen() -> list[Any]:
        return [
            await ask(two, elixir.ZenMonitor, "compatibility", peer),
            await ask(two, elixir.ZenMonitor, "compatibility_for_node", name),
            await ask(two, elixir.ZenMonitor.Local.Connector, "compatibility", name),
            await ask(two, elixir.ZenMonitor.Local.Connector, "cached_compatibility", name),
        ]

    assert await seen() == [*[atoms.incompatible] * 3, atoms.miss]
    assert await two.callee.zen.connect(name) == "compatible"
    assert await seen() == [atoms.compatible] * 4


def test_expired_cache_entry_is_read_with_its_attempts() -> None:
    cluster = Cluster()
    node, plain = cluster.node("a@memory", zen=ZenConfig()), cluster.node("plain@memory")
    exports = ZenFunctions(node.zen, node.runtime)
    cluster.connect(node, plain)
    node.zen.connect(plain.name, lambda _: None)
    cluster.advance(1)
    assert exports.cached_compatibility(plain.name) is atoms.incompatible

    cluster.link(node, plain).freeze()
    cluster.advance(2)

    assert exports.cached_compatibility(plain.name) == (atoms.expired, 1)


@pytest.mark.parametrize("call", [("ets", "info"), ("Elixir.ZenMonitor.Metrics", "table_size")])
async def test_table_that_is_no_name_is_badarg(two: Two, call: tuple[str, str]) -> None:
    with pytest.raises(RpcError, match="badarg"):
        await ask(two, *call, [])


@pytest.mark.parametrize(("function", "argument"), [("compatibility", 5), ("compatibility_for_node", b"n@h")])
async def test_what_has_no_compatibility_is_badarg(two: Two, function: str, argument: Any) -> None:
    with pytest.raises(RpcError, match="badarg"):
        await ask(two, elixir.ZenMonitor, function, argument)


JUNK: list[Any] = [
    *(5, -1, 1.5, b"x", "x", None, True, (), [], {}, [1, 2], (1, 2), (atoms.a, atoms.b), (1, 2, 3), {1: 2}, atoms.x),
    *(Pid("x@h", 1, 2, 3), Reference("x@h", 3, (1, 2, 3)), ImproperList([1], 2), [[]], [(atoms.zen_monitor, 5)]),
    *(atoms.zen_monitor, SUBSCRIBERS, elixir.ZenMonitor.Local.Connector, elixir.ZenMonitor.Proxy.Batcher),
]


async def test_whatever_a_peer_hands_over_is_answered_or_an_error_of_erlang(two: Two) -> None:
    """Nothing ends, no reference is left, and no Python error shows."""
    two.callee.zen.config.auto_connect = False
    names = {name: two.callee.whereis(name) for name in two.callee.runtime.names}
    functions = ZenExports(two.callee.zen.system, two.callee.runtime).functions()
    functions = {place: function for place, function in functions.items() if place[1] not in {"stop", "unload"}}

    for function, arity in itertools.product(functions.values(), range(5)):
        if exported(function).takes(arity):
            mixed = [[first, *JUNK][:arity] for first in (SUBSCRIBERS, atoms.zen_monitor)]
            for args in [[one] * arity for one in JUNK] + mixed:
                with contextlib.suppress(RpcError):
                    encode(await answer(function, args))

    assert {name: two.callee.whereis(name) for name in two.callee.runtime.names} == names
    assert two.callee.zen.statistics().references == 0


async def answer(function: Any, args: list[Any]) -> Any:
    value = function(*args)
    return await value if inspect.isawaitable(value) else value
