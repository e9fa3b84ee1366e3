from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.errors import RpcError
from pyzen.node.services.process_info import MAX_ITEMS
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from tests.node.services.conftest import Two


class Idle(GenServer):
    pass


async def test_who_is_here(two: Two) -> None:
    async def ask(function: str, *args: Any, module: str = "erlang") -> Any:
        return await two.caller.rpc(two.callee.name, module, function, args)

    pid = two.callee.spawn(Idle, name="idle")

    assert await ask("node") is two.callee.name
    assert await ask("nodes") == [two.caller.name]
    assert await ask("nodes", atoms.hidden) == []
    assert await ask("nodes", [atoms.this, atoms.connected]) == [two.callee.name, two.caller.name]
    assert await ask("whereis", atoms.idle) == pid
    assert await ask("whereis", atoms.nobody) is atoms.undefined
    assert await ask("whereis", atoms.nobody, module="Elixir.Process") is None
    assert atoms.idle in await ask("registered")
    assert pid in await ask("processes")
    assert pid in await ask("list", module="Elixir.Process")
    assert await ask("registered", module="Elixir.Process") == await ask("registered")
    assert await ask("is_process_alive", pid) is True
    assert await ask("alive?", Pid(two.callee.name, 9999, 0, 1), module="Elixir.Process") is False


async def test_what_a_process_is_doing(two: Two) -> None:
    pid = two.callee.spawn(Idle, name="idle")
    nameless = two.callee.spawn(Idle)

    async def info(*args: Any, module: str = "erlang", function: str = "process_info") -> Any:
        return await two.caller.rpc(two.callee.name, module, function, args)

    items = dict(await info(pid))
    assert items[atoms.registered_name] is atoms.idle
    assert items[atoms.message_queue_len] == 0
    assert atoms.registered_name not in dict(await info(nameless))
    assert await info(nameless, atoms.registered_name) == []
    assert await info(pid, atoms.status) == (atoms.status, atoms.waiting)
    assert await info(pid, [atoms.trap_exit, atoms.links]) == [(atoms.trap_exit, False), (atoms.links, [])]
    dead = Pid(two.callee.name, 9999, 0, 1)
    assert await info(dead) is atoms.undefined
    assert await info(dead, module="Elixir.Process", function="info") is None


@pytest.mark.parametrize(
    ("module", "function", "args"),
    [
        ("erlang", "whereis", [1]),
        ("erlang", "nodes", [atoms.nonsense]),
        ("erlang", "is_process_alive", [atoms.a]),
        ("erlang", "is_process_alive", [Pid("third@h", 1, 0, 1)]),
        ("erlang", "memory", [atoms.nonsense]),
        ("Elixir.Process", "exit", [atoms.a, atoms.b]),
        ("Elixir.Process", "sleep", [-1]),
    ],
)
async def test_bad_arguments_are_badarg(two: Two, module: str, function: str, args: list[Any]) -> None:
    with pytest.raises(RpcError) as caught:
        await two.caller.rpc(two.callee.name, module, function, args)

    assert (caught.value.kind, caught.value.reason) == ("error", atoms.badarg)


async def test_an_unknown_item_is_badarg(two: Two) -> None:
    pid = two.callee.spawn(Idle)

    with pytest.raises(RpcError, match="badarg"):
        await two.caller.rpc(two.callee.name, "erlang", "process_info", [pid, atoms.nonsense])


async def test_exit_ends_a_process(two: Two) -> None:
    pid = two.callee.spawn(Idle)
    async with two.caller.mailbox() as me:
        ref = me.monitor(pid)

        assert await two.caller.rpc(two.callee.name, "Elixir.Process", "exit", [pid, atoms.enough]) is True

        assert await me.receive(timeout=5) == (atoms.DOWN, ref, atoms.process, pid, atoms.enough)


async def test_memory_is_that_of_the_whole_process(two: Two) -> None:
    sizes = dict(await two.caller.rpc(two.callee.name, "erlang", "memory"))

    assert sizes[atoms.total] > 1_000_000
    assert await two.caller.rpc(two.callee.name, "erlang", "memory", [[atoms.atom]]) == [(atoms.atom, 0)]


async def test_sleep_takes_its_time(two: Two) -> None:
    assert await two.caller.rpc(two.callee.name, "Elixir.Process", "sleep", [1]) is atoms.ok


# ---- answers have bounds


@pytest.mark.parametrize(
    "items",
    [
        [atoms.messages, atoms.messages],
        [(atoms.dictionary, atoms.a)] * 2,
        [atoms.status] * 100_000,
        [(atoms.dictionary, number) for number in range(MAX_ITEMS + 1)],
    ],
    ids=["twice", "twice of the dictionary", "very often", "more than there are"],
)
async def test_process_info_of_ever_more_items_is_refused(two: Two, items: list[Any]) -> None:
    pid = two.callee.spawn(Idle)

    for module, function in (("erlang", "process_info"), ("Elixir.Process", "info")):
        with pytest.raises(RpcError, match="system_limit"):
            await two.caller.rpc(two.callee.name, module, function, [pid, items])


async def test_memory_of_ever_more_kinds_is_refused(two: Two) -> None:
    with pytest.raises(RpcError, match="system_limit"):
        await two.caller.rpc(two.callee.name, "erlang", "memory", [[atoms.total] * 100_000])


async def test_nodes_of_ever_more_kinds_are_refused(two: Two) -> None:
    with pytest.raises(RpcError, match="system_limit"):
        await two.caller.rpc(two.callee.name, "erlang", "nodes", [[atoms.this] * 100_000])


async def test_nodes_of_several_kinds_are_told_once_each(two: Two) -> None:
    """As in OTP, where a list of kinds means any of them."""
    kinds = [atoms.known, atoms.visible, atoms.this, atoms.known]

    found = await two.caller.rpc(two.callee.name, "erlang", "nodes", [kinds * 16])

    assert found == [two.callee.name, two.caller.name]
    with pytest.raises(RpcError, match="badarg"):
        await two.caller.rpc(two.callee.name, "erlang", "nodes", [[[atoms.this]]])
