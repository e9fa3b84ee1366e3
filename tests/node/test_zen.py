"""``node.zen`` between real nodes; what it decides is tested in ``tests/zen``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.config import ZenConfig
from pyzen.errors import ConfigError
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox, Process
    from pyzen.node.node import Node
    from pyzen.terms import Reference
    from tests.node.conftest import MakeNode

NOBODY = "nobody@127.0.0.1"


class Idle(GenServer):
    """Waits for its end."""


def quick() -> ZenConfig:
    return ZenConfig(connector_sweep_interval=5, batcher_sweep_interval=5, demand_interval=5)


@pytest.fixture
async def a(make_node: MakeNode) -> Node:
    return await make_node("a", zen=quick())


@pytest.fixture
async def b(make_node: MakeNode) -> Node:
    return await make_node("b", zen=quick())


async def down(me: Mailbox) -> tuple[Reference, Any, Any]:
    tag, ref, kind, target, (wrapper, reason) = await me.receive(timeout=5)
    assert (tag, kind, wrapper) == (atoms.DOWN, atoms.process, atoms.zen_monitor)
    return ref, target, reason


async def test_connect_finds_a_node_with_zen_monitor_compatible(a: Node, b: Node) -> None:
    assert await a.zen.connect(b.name) == "compatible"
    assert a.zen.compatibility_for_node(str(b.name)) == "compatible"
    assert a.zen.cached_compatibility(str(b.name)) == "compatible"


async def test_connect_finds_a_node_without_zen_monitor_incompatible(a: Node, make_node: MakeNode) -> None:
    c = await make_node("c", zen=None)

    assert await a.zen.connect(str(c.name)) == "incompatible"
    assert a.zen.last_loss(str(c.name)) in {None, "no proxy"}


async def test_connect_to_a_node_that_is_not_there_is_incompatible(a: Node) -> None:
    assert await a.zen.connect(NOBODY) == "incompatible"


async def test_connect_that_takes_too_long_is_incompatible_and_goes_on(a: Node, b: Node) -> None:
    assert await a.zen.connect(b.name, timeout=0) == "incompatible"

    assert await a.zen.connect(b.name) == "compatible"


async def test_compatibility_is_told_without_the_network(a: Node, b: Node) -> None:
    assert a.zen.compatibility_for_node(b.name) == "incompatible"
    assert a.zen.compatibility(("worker", b.name)) == "incompatible"
    assert a.zen.cached_compatibility(b.name) == "miss"
    assert a.nodes() == []


@pytest.mark.parametrize("by", ["pid", "name"])
async def test_monitor_tells_the_end_of_a_process(a: Node, b: Node, by: str) -> None:
    pid = b.spawn(Idle, name="worker")
    target = pid if by == "pid" else (atoms.worker, b.name)
    await a.zen.connect(b.name)
    async with a.mailbox() as me:
        ref = a.zen.monitor(target)
        async with asyncio.timeout(5):
            while not b.zen.statistics().watches:
                await asyncio.sleep(0.005)

        me.send_exit(pid, atoms.boom)

        assert await down(me) == (ref, target, atoms.boom)


async def test_monitor_in_a_body_is_for_that_process(a: Node, b: Node) -> None:
    pid = b.spawn(Idle)
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def body(process: Process) -> None:
        ref = a.zen.monitor(pid)
        assert a.zen.monitors(pid, process.pid) == [ref]
        process.send_exit(pid, atoms.boom)
        told.set_result((ref, await process.receive(timeout=5)))

    await a.zen.connect(b.name)
    a.spawn(body)

    async with asyncio.timeout(5):
        ref, message = await told
    assert message[1] == ref


async def test_monitor_without_a_running_process_raises(a: Node, b: Node) -> None:
    with pytest.raises(RuntimeError, match="subscriber"):
        a.zen.monitor(b.spawn(Idle))


async def test_monitor_for_a_subscriber_of_another_node_raises(a: Node, b: Node) -> None:
    pid = b.spawn(Idle)

    with pytest.raises(ValueError, match="subscriber"):
        a.zen.monitor(pid, subscriber=pid)


@pytest.mark.parametrize("target", [5, b"worker", ("worker",), ("worker", "n@h", 1), None])
async def test_monitor_of_what_is_no_target_raises_here(a: Node, target: Any) -> None:
    async with a.mailbox() as me:
        with pytest.raises(TypeError):
            a.zen.monitor(target, subscriber=me.pid)


@pytest.mark.parametrize("name", ["_", "$1"])
async def test_monitor_of_a_name_that_means_something_to_ets_raises(a: Node, name: str) -> None:
    async with a.mailbox() as me:
        with pytest.raises(ValueError, match="name"):
            a.zen.monitor((name, NOBODY), subscriber=me.pid)


async def test_monitor_of_a_node_that_is_lost_fires_nodedown(a: Node, b: Node) -> None:
    pid = b.spawn(Idle)
    await a.zen.connect(b.name)
    async with a.mailbox() as me:
        ref = a.zen.monitor(pid)

        a.disconnect(b.name)

        assert await down(me) == (ref, pid, atoms.nodedown)
    assert a.zen.last_loss(str(b.name)) == "lost"


async def test_demonitor_with_flush_is_the_last_of_a_reference(a: Node, b: Node) -> None:
    pids = [b.spawn(Idle) for _ in range(2)]
    await a.zen.connect(b.name)
    async with a.mailbox() as me:
        dropped, kept = (a.zen.monitor(pid) for pid in pids)

        assert a.zen.demonitor(dropped, flush=True) is True
        for pid in pids:
            me.send_exit(pid, atoms.boom)

        assert (await down(me))[0] == kept
        assert a.zen.monitors(pids[0], me.pid) == []
        assert a.zen.statistics().references == 0


async def test_demonitor_with_flush_takes_back_a_down_that_is_there(a: Node, b: Node) -> None:
    pid = b.spawn(Idle)
    await a.zen.connect(b.name)
    async with a.mailbox() as me:
        ref = a.zen.monitor(pid)
        me.send_exit(pid, atoms.boom)
        async with asyncio.timeout(5):
            while a.zen.statistics().references:
                await asyncio.sleep(0.005)

        assert a.zen.demonitor(ref, flush=True)

        with pytest.raises(TimeoutError):
            await me.receive(timeout=0)


async def test_demonitor_of_an_unknown_reference_is_true(a: Node) -> None:
    assert a.zen.demonitor(a.make_ref()) is True


async def test_settings_are_those_given_and_change_at_run_time(make_node: MakeNode) -> None:
    given = ZenConfig(demand_amount=7)
    node = await make_node(zen=given)

    node.zen.config.demand_interval = 10

    assert (node.zen.config.demand_amount, node.zen.config.demand_interval) == (7, 10)
    assert given.demand_interval == ZenConfig().demand_interval


async def test_setting_out_of_range_raises_and_changes_nothing(a: Node) -> None:
    with pytest.raises(ConfigError, match="demand_amount"):
        a.zen.config.demand_amount = 0

    assert a.zen.config.demand_amount == ZenConfig().demand_amount


async def test_node_without_zen_monitor_says_so(make_node: MakeNode) -> None:
    node = await make_node(zen=None)

    with pytest.raises(RuntimeError, match="without ZenMonitor"):
        _ = node.zen


async def test_zen_of_a_node_that_was_stopped_raises(a: Node) -> None:
    pid = Pid(a.name, 1, 0, 1)
    await a.stop()

    with pytest.raises(RuntimeError, match="not running"):
        a.zen.compatibility(pid)
