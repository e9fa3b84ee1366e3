"""Links and exit signals: exit/2, kill, normal, trapping, unlink, large reasons, both ways."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from erlang_interop.conformance.actors import SOON, StartOurs, idle, until
from erlang_interop.conformance.tap import tapped
from erlang_interop.nodes import Epmd
from pyzen.config import EpmdConfig
from pyzen.dist.control import Op
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from erlang_interop.nodes import ErlangCluster, ErlNode
    from erlang_interop.releases import Release
    from pyzen.actor.process import Process
    from pyzen.node.node import Node

REASONS: list[Any] = [
    atoms.normal,
    atoms.shutdown,
    (atoms.shutdown, [1, 2]),
    atoms.kill,
    b"x" * 200_000,  # several fragments
]


async def gone(node: Node) -> Pid:
    """Return the pid of a process of ours that has ended."""
    async with node.mailbox() as me:
        return me.pid


async def ends_once_linked(process: Process, reason: Any) -> None:
    await process.receive(lambda message: message[1] is atoms.linked)
    process.exit(reason)


# ---- they link with ours


@pytest.mark.parametrize("reason", REASONS, ids=["normal", "shutdown", "tuple", "kill", "large"])
async def test_they_see_the_reason_of_ours(ours: Node, theirs: ErlNode, reason: Any) -> None:
    pid = ours.spawn(ends_once_linked, reason)

    assert await theirs.run("conf_signals", "link_until", pid) == reason


async def test_they_link_with_the_missing(ours: Node, theirs: ErlNode) -> None:
    assert await theirs.run("conf_signals", "link_missing", await gone(ours)) is atoms.noproc


async def test_they_lose_us(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox() as me:
        linking = asyncio.create_task(theirs.run("conf_signals", "link_until", me.pid))
        assert (await me.receive(timeout=SOON))[1] is atoms.linked

        ours.disconnect(theirs.name)

        assert await linking is atoms.noconnection


async def test_their_end_ends_ours(ours: Node, theirs: ErlNode) -> None:
    pid = ours.spawn(idle)
    async with ours.mailbox() as me:
        ref = me.monitor(pid)

        assert await theirs.run("conf_signals", "link_then_die", pid, (atoms.bad, 1)) == (atoms.bad, 1)

        assert await me.receive(timeout=SOON) == (atoms.DOWN, ref, atoms.process, pid, (atoms.bad, 1))


@pytest.mark.parametrize("reason", REASONS, ids=["normal", "shutdown", "tuple", "kill", "large"])
async def test_their_end_is_trapped(ours: Node, theirs: ErlNode, reason: Any) -> None:
    async with ours.mailbox() as me:
        me.trap_exit = True

        assert await theirs.run("conf_signals", "link_then_die", me.pid, reason) == reason

        kind, sender, seen = await me.receive(timeout=SOON)
        assert (kind, str(sender.node), seen) == (atoms.EXIT, theirs.name, reason)


@pytest.mark.parametrize("reason", [(atoms.bad, 1), b"x" * 200_000], ids=["small", "large"])
async def test_their_end_is_trapped_with_a_trace_token(ours: Node, theirs: ErlNode, reason: Any) -> None:
    async with ours.mailbox() as me:
        me.trap_exit = True

        await theirs.run("conf_signals", "link_then_die_traced", me.pid, reason)

        kind, _, seen = await me.receive(timeout=SOON)
        assert (kind, seen) == (atoms.EXIT, reason)


async def test_their_normal_end_leaves_ours_alone(ours: Node, theirs: ErlNode) -> None:
    pid = ours.spawn(idle)

    await theirs.run("conf_signals", "link_then_die", pid, atoms.normal)

    await ours.ping(theirs.name)
    assert ours.runtime.process(pid) is not None


async def test_they_unlink(ours: Node, theirs: ErlNode) -> None:
    assert await theirs.run("conf_signals", "unlink_in_time", ours.spawn(idle), atoms.bye) == (atoms.bye, atoms.nothing)


async def test_they_link_and_unlink_in_a_hurry(ours: Node, theirs: ErlNode) -> None:
    assert await theirs.run("conf_signals", "link_many", ours.spawn(ends_once_linked, atoms.bye)) is atoms.bye


async def test_their_unlink_of_the_missing_leaves_no_link(ours: Node, theirs: ErlNode) -> None:
    assert await theirs.run("conf_signals", "unlink_dead", await gone(ours), 100) == (0, atoms.noproc)


async def test_their_unlink_of_one_that_has_just_ended_leaves_no_link(ours: Node, theirs: ErlNode) -> None:
    pid = ours.spawn(idle)

    assert await theirs.run("conf_signals", "unlink_killed", pid) == (0, atoms.noproc)
    assert ours.runtime.process(pid) is None


# The exit signal of the dead clears the link there as well, so that only the wire tells of the acknowledgement.
@pytest.mark.not_applicable("tls", "what is encrypted can't be looked into on its way")
@pytest.mark.parametrize("when", ["long before", "just before"])
async def test_their_unlink_of_the_ended_is_acknowledged(
    start_ours: StartOurs, theirs: ErlNode, cluster: ErlangCluster, release: Release, when: str
) -> None:
    with closing(Epmd.start(release.place)) as elsewhere:
        node = await start_ours(epmd=EpmdConfig(port=elsewhere.port, start=False))
        async with tapped(node, EpmdConfig(port=cluster.epmd_port, start=False)) as tap:
            if when == "long before":
                await theirs.run("conf_signals", "unlink_dead", await gone(node), 100)
            else:
                await theirs.run("conf_signals", "unlink_killed", node.spawn(idle))

            assert tap.received(Op.UNLINK_ID, 4) > 0
            await until(lambda: tap.sent(Op.UNLINK_ID_ACK, 4) == tap.received(Op.UNLINK_ID, 4))


# ---- we link with theirs


@pytest.mark.parametrize("reason", REASONS, ids=["normal", "shutdown", "tuple", "kill", "large"])
async def test_we_see_the_reason_of_theirs(ours: Node, theirs: ErlNode, reason: Any) -> None:
    pid = await theirs.run("conf_signals", "start", atoms.there)
    async with ours.mailbox() as me:
        me.trap_exit = True
        me.link(pid)
        me.send(pid, (atoms.stop, reason))

        assert await me.receive(timeout=SOON) == (atoms.EXIT, pid, reason)


async def test_we_link_with_the_missing(ours: Node, theirs: ErlNode) -> None:
    dead = await theirs.run("erlang", "spawn", atoms.erlang, atoms.node, [])
    async with ours.mailbox() as me:
        me.trap_exit = True
        me.link(dead)

        assert await me.receive(timeout=SOON) == (atoms.EXIT, dead, atoms.noproc)


async def test_we_lose_them(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_signals", "start", atoms.there)
    async with ours.mailbox() as me:
        me.trap_exit = True
        me.link(pid)
        await ours.ping(theirs.name)

        await theirs.kill()

        assert await me.receive(timeout=SOON) == (atoms.EXIT, pid, atoms.noconnection)


async def test_our_end_ends_theirs(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_signals", "start", atoms.there)
    watching = asyncio.create_task(theirs.run("conf_signals", "exit_reason_of", pid))
    our_pid = ours.spawn(ends_once_linked, (atoms.bad, 1))
    async with ours.mailbox() as me:
        me.send(pid, (atoms.link, our_pid))
        while our_pid not in await theirs.run("conf_signals", "linked_to", pid):
            await asyncio.sleep(0.01)

        me.send(our_pid, (me.pid, atoms.linked))

    assert await watching == (atoms.bad, 1)


async def test_we_unlink(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_signals", "start", atoms.there)
    async with ours.mailbox() as me:
        me.trap_exit = True
        me.link(pid)
        me.unlink(pid)
        ref = me.monitor(pid)
        me.send(pid, (atoms.stop, atoms.bye))

        assert await me.receive(timeout=SOON) == (atoms.DOWN, ref, atoms.process, pid, atoms.bye)
        with pytest.raises(TimeoutError):
            await me.receive(timeout=0.2)


async def test_we_link_and_unlink_in_a_hurry(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_signals", "start", atoms.there)
    async with ours.mailbox() as me:
        me.trap_exit = True
        for _ in range(1000):
            me.link(pid)
            me.unlink(pid)
        me.link(pid)
        me.send(pid, (atoms.stop, atoms.bye))

        assert await me.receive(timeout=SOON) == (atoms.EXIT, pid, atoms.bye)
        with pytest.raises(TimeoutError):
            await me.receive(timeout=0.2)


async def test_both_link_at_the_same_time(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox() as me:
        me.trap_exit = True
        pid = await theirs.run("conf_signals", "start", atoms.link, me.pid)
        me.link(pid)
        me.send(pid, (atoms.stop, atoms.bye))

        assert await me.receive(timeout=SOON) == (atoms.EXIT, pid, atoms.bye)
        with pytest.raises(TimeoutError):
            await me.receive(timeout=0.2)


# ---- exit/2


@pytest.mark.parametrize("reason", REASONS[1:], ids=["shutdown", "tuple", "kill", "large"])
async def test_their_exit_ends_ours(ours: Node, theirs: ErlNode, reason: Any) -> None:
    pid = ours.spawn(idle)
    async with ours.mailbox() as me:
        ref = me.monitor(pid)

        await theirs.run("conf_signals", "send_exit", pid, reason)

        seen = atoms.killed if reason is atoms.kill else reason
        assert await me.receive(timeout=SOON) == (atoms.DOWN, ref, atoms.process, pid, seen)


async def test_their_exit_normal_is_ignored(ours: Node, theirs: ErlNode) -> None:
    pid = ours.spawn(idle)

    await theirs.run("conf_signals", "send_exit", pid, atoms.normal)

    await ours.ping(theirs.name)
    assert ours.runtime.process(pid) is not None


@pytest.mark.parametrize("reason", [REASONS[0], *REASONS[2:3], REASONS[4]], ids=["normal", "tuple", "large"])
async def test_their_exit_is_trapped(ours: Node, theirs: ErlNode, reason: Any) -> None:
    async with ours.mailbox() as me:
        me.trap_exit = True

        await theirs.run("conf_signals", "send_exit", me.pid, reason)

        kind, _, seen = await me.receive(timeout=SOON)
        assert (kind, seen) == (atoms.EXIT, reason)


async def test_their_kill_is_not_trapped(ours: Node, theirs: ErlNode) -> None:
    async with ours.mailbox() as watcher, ours.mailbox() as me:
        me.trap_exit = True
        ref = watcher.monitor(me.pid)

        await theirs.run("conf_signals", "send_exit", me.pid, atoms.kill)

        down = await watcher.receive(timeout=SOON)
        assert down == (atoms.DOWN, ref, atoms.process, me.pid, atoms.killed)


@pytest.mark.parametrize("reason", REASONS[1:], ids=["shutdown", "tuple", "kill", "large"])
async def test_our_exit_ends_theirs(ours: Node, theirs: ErlNode, reason: Any) -> None:
    pid = await theirs.run("conf_signals", "start", atoms.there)
    async with ours.mailbox() as me:
        ref = me.monitor(pid)
        me.send_exit(pid, reason)

        seen = atoms.killed if reason is atoms.kill else reason
        assert await me.receive(timeout=SOON) == (atoms.DOWN, ref, atoms.process, pid, seen)


async def test_our_exit_normal_is_ignored(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_signals", "start", atoms.there)
    async with ours.mailbox() as me:
        me.send_exit(pid, atoms.normal)
        await ours.ping(theirs.name)

        assert await theirs.run("conf_signals", "alive", pid) is True


async def test_our_exit_is_trapped(ours: Node, theirs: ErlNode) -> None:
    pid = await theirs.run("conf_signals", "start", atoms.there)
    async with ours.mailbox() as me:
        me.send(pid, (atoms.trap, me.pid))
        assert await me.receive(timeout=SOON) is atoms.trapping

        me.send_exit(pid, atoms.normal)
        assert await me.receive(timeout=SOON) == (atoms.trapped, me.pid, atoms.normal)
        me.send_exit(pid, (atoms.bad, 1))
        assert await me.receive(timeout=SOON) == (atoms.trapped, me.pid, (atoms.bad, 1))

        ref = me.monitor(pid)
        me.send_exit(pid, atoms.kill)
        assert await me.receive(timeout=SOON) == (atoms.DOWN, ref, atoms.process, pid, atoms.killed)
