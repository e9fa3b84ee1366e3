from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.actor.states import masked
from pyzen.errors import RpcError
from pyzen.node.services.zen_functions import ZenFunctions
from pyzen.terms import Atom, Pid, Reference, atoms, elixir
from pyzen.zen import calls

if TYPE_CHECKING:
    from tests.node.services.conftest import Two

ZEN = elixir.ZenMonitor
CONNECTOR = elixir.ZenMonitor.Local.Connector
BATCHER = elixir.ZenMonitor.Proxy.Batcher
REFUSED = (atoms.error, atoms.refused)


class Idle(GenServer):
    pass


async def ask(two: Two, module: Any, function: str, *args: Any) -> Any:
    return await two.caller.rpc(two.callee.name, module, function, args)


async def fails(two: Two, module: Any, function: str, *args: Any) -> Any:
    with pytest.raises(RpcError) as caught:
        await ask(two, module, function, *args)
    return caught.value.reason


async def test_the_node_of_a_target_is_found(two: Two) -> None:
    pid = two.caller.spawn(Idle)

    assert await ask(two, ZEN, "find_node", pid) is two.caller.name
    assert await ask(two, ZEN, "find_node", (atoms.name, atoms.there)) is atoms.there
    assert await ask(two, ZEN, "find_node", atoms.name) is two.callee.name


async def test_time_goes_on_in_milliseconds(two: Two) -> None:
    first = await ask(two, ZEN, "now")
    await asyncio.sleep(0.01)

    assert first + 5 < await ask(two, ZEN, "now") < first + 5000


async def test_connect_answers_the_compatibility(two: Two) -> None:
    name = two.caller.name

    for module in (ZEN, CONNECTOR):
        assert await ask(two, module, "connect", name) is atoms.compatible
    assert await ask(two, elixir.ZenMonitor.Local, "compatibility_for_node", name) is atoms.compatible
    assert await ask(two, elixir.ZenMonitor.Local, "compatibility", (atoms.x, name)) is atoms.compatible
    assert await fails(two, ZEN, "connect", b"node") is atoms.function_clause


async def test_a_monitor_belongs_to_the_call_and_ends_with_it(two: Two) -> None:
    pid = two.caller.spawn(Idle)

    for module in (ZEN, elixir.ZenMonitor.Local):
        ref = await ask(two, module, "monitor", pid)
        assert isinstance(ref, Reference)
        assert ref.node is two.callee.name

    async with asyncio.timeout(5):
        while two.callee.zen.statistics().references:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("target", [5, b"name", (5, atoms.b), Atom("_"), (atoms.a, atoms.b, atoms.c)])
async def test_what_can_not_be_monitored_is_badarg(two: Two, target: Any) -> None:
    assert await fails(two, ZEN, "monitor", target) is atoms.badarg


async def test_a_peer_undoes_nobodys_monitor(two: Two) -> None:
    pid = two.caller.spawn(Idle)
    async with two.callee.mailbox() as me:
        ref = two.callee.zen.monitor(pid, subscriber=me.pid)

        for module in (ZEN, elixir.ZenMonitor.Local):
            assert await ask(two, module, "demonitor", ref) is True
            assert await ask(two, module, "demonitor", ref, [atoms.flush]) is True
        assert await ask(two, CONNECTOR, "demonitor", pid, ref) == REFUSED
        assert await ask(two, CONNECTOR, "monitor", pid, ref, me.pid) == REFUSED

        assert two.callee.zen.monitors(pid, me.pid) == [ref]
        assert await ask(two, CONNECTOR, "monitors", pid, me.pid) == [masked(ref)]
    assert await fails(two, ZEN, "demonitor", 5) is atoms.function_clause


async def test_monitors_of_what_can_have_none(two: Two) -> None:
    pid = two.caller.spawn(Idle)

    assert await ask(two, CONNECTOR, "monitors", pid, pid) == []
    assert await ask(two, CONNECTOR, "monitors", pid, atoms.name) == []
    assert await ask(two, CONNECTOR, "monitors", 5, pid) == []


async def test_a_connector_is_found_or_started(two: Two) -> None:
    pid = two.caller.spawn(Idle)

    found = await ask(two, CONNECTOR, "get", pid)

    assert found == two.callee.zen.system.connector_pid(two.caller.name)
    assert await ask(two, CONNECTOR, "get_for_node", two.caller.name) == found
    assert await fails(two, CONNECTOR, "get_for_node", 5) is atoms.function_clause


async def test_a_batcher_is_found_or_started(two: Two) -> None:
    pid = two.caller.spawn(Idle)

    found = await ask(two, BATCHER, "get", pid)

    assert isinstance(found, Pid)
    assert found.node is two.callee.name
    assert await ask(two, BATCHER, "get", pid) == found
    assert await ask(two, BATCHER, "enqueue", found, pid, atoms.forged) == REFUSED
    assert await fails(two, BATCHER, "get", atoms.name) is atoms.badarg


async def test_a_peer_starts_a_bounded_number(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "STARTED_LIMIT", 1)
    assert await ask(two, CONNECTOR, "get_for_node", atoms.first)

    for function, argument in (("get_for_node", atoms.second), ("connect", atoms.second)):
        assert await fails(two, CONNECTOR, function, argument) is atoms.system_limit
    assert await fails(two, ZEN, "monitor", (atoms.name, atoms.second)) is atoms.system_limit


async def test_nobody_enqueues_a_dispatch(two: Two) -> None:
    message = (atoms.DOWN, atoms.forged)

    assert await ask(two, elixir.ZenMonitor.Local, "enqueue", []) is atoms.ok
    assert await ask(two, elixir.ZenMonitor.Local, "enqueue", [(two.callee.spawn(Idle), message)]) == REFUSED


async def test_tables_are_named(two: Two) -> None:
    assert await ask(two, elixir.ZenMonitor.Local.Tables, "nodes") is elixir.ZenMonitor.Local.Tables.Nodes
    assert await ask(two, elixir.ZenMonitor.Local.Tables, "references") is elixir.ZenMonitor.Local.Tables.References
    assert await ask(two, elixir.ZenMonitor.Proxy.Tables, "subscribers") is elixir.ZenMonitor.Proxy.Tables.Subscribers


async def test_a_term_is_truncated_as_a_reason_is(two: Two) -> None:
    two.callee.zen.config.max_binary_size = 10
    truncator = elixir.ZenMonitor.Truncator

    assert await ask(two, truncator, "truncate", [[[[1]]]]) == [[[atoms.truncated]]]
    assert await ask(two, truncator, "truncate", [[1]], 1) == [atoms.truncated]
    assert await ask(two, truncator, "truncate", atoms.x, 0) is atoms.truncated
    assert await ask(two, truncator, "truncate", b"0123456789a") == b"0123456..."
    assert await fails(two, truncator, "truncate", 1, 1.5) is atoms.badarg
    assert await fails(two, truncator, "truncate", 1, 6) is atoms.system_limit


async def test_what_is_stopped_answers_as_there(two: Two) -> None:
    two.callee.zen.system.stop()
    await asyncio.sleep(0.05)
    name = two.caller.name

    for module, request in ((elixir.ZenMonitor.Proxy, atoms.ping), (elixir.ZenMonitor.Local, atoms.batch_length)):
        noproc = (atoms.noproc, (elixir.GenServer, atoms.call, [module, request, 5000]))
        assert await fails(two, module, str(request)) == noproc
    for function in ("get_for_node", "connect"):
        assert await fails(two, CONNECTOR, function, name) is atoms.badarg
    assert await fails(two, ZEN, "monitor", (atoms.name, name)) is atoms.badarg


def test_no_callback_of_the_original_is_a_function(two: Two) -> None:
    functions = ZenFunctions(two.callee.zen.system, two.callee.runtime).functions()

    assert not {name for _, name in functions} & {"init", "handle_call", "handle_cast", "handle_info", "start"}
