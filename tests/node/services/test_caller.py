from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.actor.answers import NOREPLY
from pyzen.actor.gen_server import GenServer
from pyzen.actor.verbs import actor_of
from pyzen.errors import CallTimeout
from pyzen.terms import Pid, atoms
from tests.node.conftest import until

if TYPE_CHECKING:
    from tests.node.conftest import MakeNode


class Late(GenServer):
    """Answers the last call when it is told to."""

    waiting: Any = None

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        self.waiting = from_
        return NOREPLY

    def handle_cast(self, request: Any) -> None:
        self.reply(self.waiting, request)


class Shown(GenServer):
    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        return from_[0]


async def test_calls_outside_a_process_come_from_one_pid(make_node: MakeNode) -> None:
    node = await make_node()
    pid = node.spawn(Shown)

    callers = {await node.call(pid, atoms.who) for _ in range(2)}

    assert len(callers) == 1
    assert pid not in callers


async def test_stray_message_for_it_is_dropped(make_node: MakeNode) -> None:
    node = await make_node()
    pid = node.spawn(Shown)
    caller = await node.call(pid, atoms.who)

    node.send(caller, atoms.hello)
    await asyncio.sleep(0)

    assert await node.call(pid, atoms.who) == caller
    actor = node.runtime.actor(caller)
    assert actor is not None
    await until(lambda: len(actor.mail) == 0)


async def test_reply_after_the_timeout_is_dropped(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    server = Late()
    pid = b.runtime.spawn(server)
    with pytest.raises(CallTimeout, match=r"no reply from .* within 0.02 s"):
        await a.call(pid, 1, timeout=0.02)
    await until(lambda: server.waiting is not None)
    first = server.waiting
    a.cast(pid, atoms.too_late)

    calling = asyncio.ensure_future(a.call(pid, 2))
    await until(lambda: server.waiting != first)
    a.cast(pid, atoms.answer)

    assert await calling is atoms.answer


async def test_peer_ends_no_calls_of_the_program(make_node: MakeNode, caplog: pytest.LogCaptureFixture) -> None:
    node, peer = await make_node("n"), await make_node("peer")
    pid = node.spawn(Shown)
    caller = await node.call(pid, atoms.who)
    server = Late()
    calling = asyncio.ensure_future(node.call(node.runtime.spawn(server), 1))
    await until(lambda: server.waiting is not None)
    async with peer.mailbox() as me:
        for reason in (atoms.kill, atoms.boom):
            me.send_exit(caller, reason)
        me.link(caller)
    assert await peer.rpc(node.name, "Elixir.Process", "exit", [caller, atoms.kill]) is True
    node.cast(actor_of(server).pid, atoms.answer)

    assert await calling is atoms.answer
    assert await node.call(pid, atoms.who) == caller
    assert f"refuses an exit signal of {peer.name}" in caplog.text
