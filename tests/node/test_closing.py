"""The moment after a link was closed by this node: it is not up any more, and all that is asked dials anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.gen_server import GenServer
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from pyzen.node.node import Node

ROUNDS = 20


class Echo(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        return request

    def handle_info(self, message: Any) -> Any:
        self.send(message[0], message[1])


@pytest.fixture
async def echo(a: Node, b: Node) -> Pid:
    assert await a.connect(str(b.name))
    return await Echo.start(b, name="echo")


async def test_peer_is_not_listed(a: Node, b: Node, echo: Pid) -> None:
    a.disconnect(str(b.name))

    assert a.nodes() == []


async def test_connect_makes_a_link_that_stays(a: Node, b: Node, echo: Pid) -> None:
    for _ in range(ROUNDS):
        a.disconnect(str(b.name))

        assert await a.connect(str(b.name))

        async with a.mailbox() as me:
            a.monitor_node(str(b.name), me.pid)
            with pytest.raises(TimeoutError):
                await me.receive(timeout=0.02)
        assert a.nodes() == [b.name]


async def test_rpc_and_ping_and_call_are_answered(a: Node, b: Node, echo: Pid) -> None:
    b.export("calc", "add", lambda one, other: one + other)
    for number in range(ROUNDS):
        a.disconnect(str(b.name))
        assert await a.rpc(str(b.name), "calc", "add", [number, 1]) == number + 1

        a.disconnect(str(b.name))
        assert await a.ping(str(b.name))

        a.disconnect(str(b.name))
        assert await a.call(echo, number) == number


async def test_monitor_of_a_living_process_stands(a: Node, b: Node, echo: Pid) -> None:
    async with a.mailbox() as me:
        for _ in range(ROUNDS):
            a.disconnect(str(b.name))
            ref = me.monitor(echo)
            assert await a.call(echo, 1) == 1

            with pytest.raises(TimeoutError):
                await me.receive(timeout=0.02)
            assert me.demonitor(ref)


async def test_link_with_a_living_process_stands(a: Node, b: Node, echo: Pid) -> None:
    async with a.mailbox() as me:
        me.trap_exit = True
        for _ in range(ROUNDS):
            a.disconnect(str(b.name))
            me.link(echo)
            assert await a.call(echo, 1) == 1

            with pytest.raises(TimeoutError):
                await me.receive(timeout=0.02)
            me.unlink(echo)


async def test_reference_of_zen_monitor_stands(a: Node, b: Node, echo: Pid) -> None:
    async with a.mailbox() as me:
        for _ in range(ROUNDS):
            a.disconnect(str(b.name))
            ref = a.zen.monitor(echo, subscriber=me.pid)
            async with asyncio.timeout(5):
                while not b.zen.statistics().subscriptions:
                    await asyncio.sleep(0.002)

            with pytest.raises(TimeoutError):
                await me.receive(timeout=0.02)
            a.zen.demonitor(ref)


async def test_every_message_arrives(a: Node, b: Node, echo: Pid) -> None:
    async with a.mailbox() as me:
        for number in range(ROUNDS):
            a.disconnect(str(b.name))
            me.send(echo, (me.pid, number))

            assert await me.receive(timeout=5) == number


async def test_what_was_shared_fires_before_the_news_of_the_loss(a: Node, b: Node, echo: Pid) -> None:
    async with a.mailbox() as me:
        me.trap_exit = True
        ref = me.monitor(echo)
        me.link(echo)
        await a.call(echo, 1)
        a.monitor_node(str(b.name), me.pid)

        a.disconnect(str(b.name))
        after = me.monitor(echo)

        heard = [await me.receive(timeout=5) for _ in range(4)]
        assert heard[0] == (atoms.DOWN, ref, atoms.process, echo, atoms.noconnection)
        assert heard[1] == (atoms.EXIT, echo, atoms.noconnection)
        assert heard[2:] == [(atoms.nodedown, b.name), (atoms.nodeup, b.name)]
        assert me.demonitor(after)


async def test_nothing_of_the_old_link_arrives_after_its_loss(a: Node, b: Node, echo: Pid) -> None:
    """It lay unread when the link was closed."""
    async with a.mailbox() as me, b.mailbox() as other:
        a.monitor_node(str(b.name), me.pid)
        for number in range(2000):
            other.send(me.pid, number)
        await me.receive(timeout=5)

        a.disconnect(str(b.name))
        heard = []
        while (message := await me.receive(timeout=5)) != (atoms.nodedown, b.name):
            heard.append(message)

        assert heard == list(range(1, len(heard) + 1))
        with pytest.raises(TimeoutError):
            await me.receive(timeout=0.05)


async def test_process_that_waited_for_a_busy_link_goes_on(a: Node, b: Node, echo: Pid) -> None:
    class Sender(GenServer):
        def handle_cast(self, request: Any) -> None:
            while not self.send(echo, (self.pid, b"x" * 1_000_000)):
                pass

        def handle_info(self, message: Any) -> None:
            """Take what comes back."""

        def handle_call(self, request: Any, from_: Any) -> Any:
            return request

    pid = await Sender.start(a)
    a.cast(pid, atoms.fill)
    await asyncio.sleep(0)

    a.disconnect(str(b.name))

    assert await a.call(pid, atoms.hello) is atoms.hello
