from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.errors import RpcError
from pyzen.terms import Atom, atoms, elixir

if TYPE_CHECKING:
    from tests.node.services.conftest import Two

REGISTRY = elixir.GenRegistry
CONNECTOR = elixir.ZenMonitor.Local.Connector
BATCHER = elixir.ZenMonitor.Proxy.Batcher
REFUSED = (atoms.error, atoms.refused)
NAMES = [
    Atom(f"Elixir.ZenMonitor.{name}")
    for name in (
        "Local", "Local.Dispatcher", "Local.Tables", "Proxy", "Proxy.Tables",
        "Supervisor", "Local.Supervisor", "Proxy.Supervisor",
    )
]  # fmt: skip


async def ask(two: Two, module: Any, function: str, *args: Any) -> Any:
    return await two.caller.rpc(two.callee.name, module, function, args)


@pytest.mark.parametrize("name", NAMES)
async def test_what_has_a_name_is_started_already(two: Two, name: Atom) -> None:
    already = (atoms.error, (atoms.already_started, two.callee.whereis(name)))

    assert await ask(two, name, "start_link", []) == already

    two.callee.zen.system.stop()
    await asyncio.sleep(0.05)
    assert await ask(two, name, "start_link", []) == REFUSED


@pytest.mark.parametrize("name", [*NAMES, CONNECTOR, BATCHER])
async def test_a_child_specification_is_data(two: Two, name: Atom) -> None:
    spec = {atoms.id: name, atoms.start: (name, atoms.start_link, [[atoms.a]])}
    if str(name).endswith("Supervisor"):
        spec[atoms.type] = atoms.supervisor

    assert await ask(two, name, "child_spec", [atoms.a]) == spec


async def test_nobody_starts_a_process_beside_a_registry(two: Two) -> None:
    assert await ask(two, CONNECTOR, "start_link", two.caller.name) == REFUSED
    assert await ask(two, BATCHER, "start_link", two.caller.name) == REFUSED


async def test_registries_answer_the_functions_of_gen_registry(two: Two) -> None:
    name = two.caller.name
    assert await ask(two, REGISTRY, "count", CONNECTOR) == 0
    assert await ask(two, REGISTRY, "sample", CONNECTOR) is None
    assert await ask(two, REGISTRY, "lookup", CONNECTOR, name) == (atoms.error, atoms.not_found)

    ok, pid = await ask(two, REGISTRY, "lookup_or_start", CONNECTOR, name, [name])

    assert ok is atoms.ok
    assert await ask(two, REGISTRY, "lookup", CONNECTOR, name) == (ok, pid)
    assert await ask(two, REGISTRY, "lookup_or_start", CONNECTOR, name, [name], 1000) == (ok, pid)
    assert await ask(two, REGISTRY, "start", CONNECTOR, name) == (atoms.error, (atoms.already_started, pid))
    assert await ask(two, REGISTRY, "stop", CONNECTOR, name) == REFUSED
    assert await ask(two, REGISTRY, "stop", CONNECTOR, atoms.other) == (atoms.error, atoms.not_found)
    assert await ask(two, REGISTRY, "count", CONNECTOR) == 1
    assert await ask(two, REGISTRY, "sample", CONNECTOR) == (name, pid)
    assert await ask(two, REGISTRY, "to_list", CONNECTOR) == [(name, pid)]
    assert await ask(two, REGISTRY, "to_list", BATCHER) == []


@pytest.mark.parametrize("table", [atoms.other, [], 5])
async def test_other_registries_are_not_there(two: Two, table: Any) -> None:
    for function, args in (("lookup", (1,)), ("lookup_or_start", (1, [1])), ("stop", (1,)), ("to_list", ())):
        with pytest.raises(RpcError, match="badarg"):
            await ask(two, REGISTRY, function, table, *args)
