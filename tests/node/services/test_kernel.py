"""The processes of the node itself come back, whatever ends them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from pyzen.node.node import Node
    from tests.node.services.conftest import Two

SERVICES = [atoms.user, atoms.net_kernel, atoms.rex]


async def killed(node: Node, name: Atom) -> None:
    """Kill a process of the node, and wait until another has its name."""
    first = node.whereis(name)
    assert first is not None
    async with node.mailbox() as me:
        me.send_exit(first, atoms.kill)
        async with asyncio.timeout(5):
            while node.whereis(name) in {None, first}:
                await asyncio.sleep(0)


@pytest.mark.parametrize("name", SERVICES)
async def test_each_comes_back_each_time(two: Two, quiet: None, name: Atom) -> None:
    for _ in range(3):
        await killed(two.callee, name)

    rows = await two.caller.call(("kernel_sup", two.callee.name), atoms.which_children)
    assert {row[0]: row[1] for row in rows}[name] == two.callee.whereis(name)


async def test_what_they_serve_goes_on(two: Two, quiet: None, capsys: pytest.CaptureFixture[str]) -> None:
    two.callee.export("calc", "add", lambda one, other: one + other)
    for name in SERVICES:
        await killed(two.callee, name)

    async with two.callee.mailbox() as me:
        me.puts("still here")
        request: Any = (atoms.call, atoms.calc, atoms.add, [1, 2], atoms.user)
        assert await two.caller.call(("rex", two.callee.name), request) == 3
        assert await two.callee.call("net_kernel", (atoms.is_auth, two.caller.name)) is atoms.yes

    assert capsys.readouterr().out == "still here\n"


async def test_node_calls_in_the_name_of_a_new_process(two: Two, quiet: None) -> None:
    rows = await two.callee.call("kernel_sup", atoms.which_children)
    caller = {row[0]: row[1] for row in rows}[atoms.caller]
    async with two.callee.mailbox() as me:
        ref = me.monitor(caller)
        me.send_exit(caller, atoms.kill)
        await me.receive(lambda message: message[1] == ref, timeout=5)
    await asyncio.sleep(0)

    assert await two.callee.call("rex", atoms.nonsense) is atoms.ignored


async def test_one_that_fails_again_and_again_is_started_after_a_wait(two: Two, quiet: None) -> None:
    node = two.callee
    for _ in range(3):
        await killed(node, atoms.rex)
    async with node.mailbox() as me:
        ref = me.monitor("rex")
        me.send_exit(node.whereis("rex"), atoms.kill)  # type: ignore[arg-type]
        await me.receive(lambda message: message[1] == ref, timeout=5)

    rows = await node.call("kernel_sup", atoms.which_children)
    assert {row[0]: row[1] for row in rows}[atoms.rex] is atoms.restarting
    async with asyncio.timeout(5):
        while node.whereis("rex") is None:
            await asyncio.sleep(0.01)


async def test_line_that_is_printed_while_user_is_away_is_no_message(two: Two, quiet: None) -> None:
    node = two.callee
    user = node.whereis("user")
    assert user is not None
    async with node.mailbox() as me:
        node.runtime.actor(user).end(atoms.killed)  # type: ignore[union-attr]
        me.puts("to nobody")

        with pytest.raises(TimeoutError):
            await me.receive(timeout=0.05)


@pytest.mark.parametrize("reason", [atoms.kill, atoms.shutdown, atoms.boom])
async def test_exits_of_this_node_mean_nothing_to_their_supervisor(two: Two, quiet: None, reason: Atom) -> None:
    """Nobody would start it again, and with it went ``rex`` and all others for good."""
    node = two.callee
    before = {name: node.whereis(name) for name in ("kernel_sup", "rex")}
    async with node.mailbox() as me:
        me.send_exit(before["kernel_sup"], reason)  # type: ignore[arg-type]

    assert await node.call("rex", atoms.nonsense) is atoms.ignored
    assert {name: node.whereis(name) for name in before} == before


async def test_orders_of_this_node_mean_nothing_to_their_supervisor(two: Two, quiet: None) -> None:
    node = two.callee
    before = node.whereis("kernel_sup")
    async with node.mailbox() as me:
        me.send("kernel_sup", (atoms.system, (me.pid, 1), (atoms.terminate, atoms.boom)))

        assert await me.receive(timeout=5) == (1, (atoms.error, atoms.refused))

    assert node.whereis("kernel_sup") == before
