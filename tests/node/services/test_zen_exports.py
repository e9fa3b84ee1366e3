from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.config import setting_names
from pyzen.errors import RpcError
from pyzen.node.services.zen_exports import SETTINGS
from pyzen.terms import atoms, elixir

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
