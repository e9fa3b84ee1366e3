"""Monitors: by pid and by name, of the missing, of the lost, taken back, both ways."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from erlang_interop.conformance.actors import SOON, StartOurs, idle
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from erlang_interop.nodes import ErlNode
    from pyzen.actor.process import Process
    from pyzen.node.node import Node

REASON = (atoms.some, [b"reason", {atoms.a: 1.5}])


async def ends_when_told(process: Process) -> None:
    """End with a reason that holds terms of several kinds."""
    await process.receive(lambda message: message[1] is atoms.stop_now)
    process.exit(REASON)


async def answers_to_an_alias(process: Process) -> None:
    _, alias, _ = await process.receive()
    process.send(alias, (atoms.to_alias, 1))
    await idle(process)


async def gone(node: Node) -> Pid:
    """Return the pid of a process of ours that has ended."""
    async with node.mailbox() as me:
        return me.pid


# ---- they monitor


async def test_they_monitor_by_pid_and_by_name(ours: Node, theirs: ErlNode) -> None:
    pid = ours.spawn(ends_when_told, name="here")

    downs = await theirs.run("conf_signals", "monitor_both", pid, atoms.here)

    assert downs == [(pid, REASON), ((atoms.here, ours.name), REASON)]


@pytest.mark.parametrize("name", ["é", "a b", "€" * 255], ids=["latin", "space", "long"])
async def test_they_monitor_by_an_unusual_name(ours: Node, theirs: ErlNode, name: str) -> None:
    pid = ours.spawn(ends_when_told, name=name)

    downs = await theirs.run("conf_signals", "monitor_both", pid, Atom(name))

    assert downs == [(pid, REASON), ((Atom(name), ours.name), REASON)]


async def test_they_monitor_the_missing(ours: Node, theirs: ErlNode) -> None:
    dead = await gone(ours)

    downs = await theirs.run("conf_signals", "monitor_missing", dead, atoms.nobody)

    assert downs == [(dead, atoms.noproc), ((atoms.nobody, ours.name), atoms.noproc)]


async def test_they_lose_us(ours: Node, theirs: ErlNode) -> None:
    pid = ours.spawn(idle, name="here")
    async with ours.mailbox() as me:
        watching = asyncio.create_task(theirs.run("conf_signals", "monitor_until_lost", pid, atoms.here, me.pid))
        assert await me.receive(timeout=SOON) is atoms.watching

    ours.disconnect(theirs.name)

    downs, node = await watching
    assert downs == [(pid, atoms.noconnection), ((atoms.here, ours.name), atoms.noconnection)]
    assert node is atoms.nodedown


async def test_our_node_stops_in_order(start_ours: StartOurs, theirs: ErlNode) -> None:
    node = await start_ours()
    pid = node.spawn(idle, name="here")
    async with node.mailbox() as me:
        watching = asyncio.create_task(theirs.run("conf_signals", "monitor_until_lost", pid, atoms.here, me.pid))
        assert await me.receive(timeout=SOON) is atoms.watching

    await node.stop()

    downs, down = await watching
    assert {reason for _, reason in downs} <= {atoms.noconnection, atoms.shutdown}
    assert down is atoms.nodedown


async def test_they_demonitor(ours: Node, theirs: ErlNode) -> None:
    pid = ours.spawn(idle)

    assert await theirs.run("conf_signals", "demonitor_in_time", pid, REASON) == ((pid, REASON), atoms.nothing)


async def test_they_monitor_with_a_tag(ours: Node, theirs: ErlNode) -> None:
    assert await theirs.run("conf_signals", "monitor_tagged", ours.spawn(idle)) is atoms.bye


async def test_they_monitor_with_an_alias(ours: Node, theirs: ErlNode) -> None:
    assert await theirs.run("conf_signals", "monitor_alias", ours.spawn(answers_to_an_alias)) is atoms.nothing


async def test_they_monitor_two_thousand(ours: Node, theirs: ErlNode) -> None:
    pids = [ours.spawn(idle) for _ in range(2000)]

    assert await theirs.run("conf_signals", "monitor_many", pids, REASON) == [REASON]


# ---- we monitor


async def test_we_monitor_by_pid_and_by_name(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_signals", "start", atoms.there)
    async with ours.mailbox() as me:
        by_pid, by_name = me.monitor(pid), me.monitor((atoms.there, Atom(theirs.name)))

        me.send(pid, (atoms.stop, REASON))

        downs = [await me.receive(timeout=SOON) for _ in range(2)]
    name = (atoms.there, Atom(theirs.name))
    expected: list[Any] = [(atoms.DOWN, by_pid, atoms.process, pid, REASON)]
    expected += [(atoms.DOWN, by_name, atoms.process, name, REASON)]
    assert sorted(downs, key=repr) == sorted(expected, key=repr)


async def test_we_monitor_the_missing(ours: Node, theirs: ErlNode) -> None:
    dead = await theirs.run("erlang", "spawn", atoms.erlang, atoms.node, [])
    async with ours.mailbox() as me:
        by_pid, by_name = me.monitor(dead), me.monitor((atoms.nobody, Atom(theirs.name)))

        name = (atoms.nobody, Atom(theirs.name))
        downs = {down[1]: down for down in [await me.receive(timeout=SOON), await me.receive(timeout=SOON)]}
    assert downs[by_pid] == (atoms.DOWN, by_pid, atoms.process, dead, atoms.noproc)
    assert downs[by_name] == (atoms.DOWN, by_name, atoms.process, name, atoms.noproc)


async def test_we_lose_them(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_signals", "start", atoms.there)
    async with ours.mailbox() as me:
        refs = {me.monitor(pid), me.monitor((atoms.there, Atom(theirs.name)))}
        await ours.ping(theirs.name)

        await theirs.kill()

        downs = [await me.receive(timeout=SOON) for _ in range(2)]
    assert {down[1] for down in downs} == refs
    assert {down[4] for down in downs} == {atoms.noconnection}


async def test_we_monitor_on_a_node_that_is_not_there(ours: Node) -> None:
    async with ours.mailbox() as me:
        ref = me.monitor((atoms.there, "nobody@127.0.0.1"))

        down = await me.receive(timeout=SOON)

    assert down == (atoms.DOWN, ref, atoms.process, (atoms.there, Atom("nobody@127.0.0.1")), atoms.noconnection)


async def test_we_demonitor(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_signals", "start", atoms.there)
    async with ours.mailbox() as me:
        assert me.demonitor(me.monitor(pid), flush=True)
        kept = me.monitor(pid)

        me.send(pid, (atoms.stop, atoms.bye))

        assert await me.receive(timeout=SOON) == (atoms.DOWN, kept, atoms.process, pid, atoms.bye)
        with pytest.raises(TimeoutError):
            await me.receive(timeout=0.2)


async def test_we_monitor_two_thousand(ours: Node, theirs: ErlNode) -> None:
    pids = await theirs.run("conf_signals", "start_many", 2000)
    async with ours.mailbox() as me:
        refs = {me.monitor(pid): pid for pid in pids}
        for pid in pids:
            me.send(pid, (atoms.stop, REASON))

        downs = [await me.receive(timeout=SOON) for _ in range(2000)]
    assert {down[1]: down[3] for down in downs} == refs
    assert all(down[4] == REASON for down in downs)
