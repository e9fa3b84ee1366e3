"""A node in a thread with 512 KiB of stack, and a peer that sends it terms at the depth limit in every place."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from pyzen import etf
from pyzen.actor.gen_server import GenServer
from pyzen.config import EpmdConfig
from pyzen.node.epmd_server import EpmdServer
from pyzen.node.node import Node
from pyzen.terms import Pid, Reference, atoms
from tests.deep import DEPTH, SHAPES, in_small_stack, nested

if TYPE_CHECKING:
    from pyzen.actor.process import Mailbox

ROOM: Final = 10
"""Levels of what stands around a term."""

CALL, CAST = atoms["$gen_call"], atoms["$gen_cast"]


class Stray(GenServer):
    """Knows nothing of what it is sent, and is asked for its state."""

    def init(self) -> None:
        self.trap_exit = True
        self.kept: list[Any] = []

    def handle_cast(self, request: Any) -> Any:
        self.kept.append(request)

    def handle_call(self, request: Any, from_: Any) -> Any:
        return request


def messages(me: Pid, ref: Reference, term: Any) -> list[Any]:
    """Return what a process may be sent, with a term in the place of each of its parts."""
    from_ = (me, ref)
    return [
        term,
        (CALL, from_, term),
        (CALL, (me, term), atoms.ping),
        (CALL, term, atoms.ping),
        (CAST, term),
        (atoms.system, from_, term),
        (atoms.system, from_, (atoms.debug, term)),
        (atoms.system, from_, atoms.get_state),
        (atoms.io_request, me, term, (atoms.put_chars, atoms.unicode, b"x")),
        (atoms.io_request, me, ref, term),
        (atoms.io_request, me, ref, (atoms.put_chars, atoms.unicode, term)),
        (
            atoms.io_request,
            me,
            ref,
            (atoms.put_chars, atoms.unicode, atoms.io_lib, atoms.format, [b"~p~w", [term, term]]),
        ),
        (CALL, from_, (atoms.call, atoms.m, atoms.f, term, me)),
        (CALL, from_, (atoms.call, term, atoms.f, [], me)),
        (CALL, from_, (atoms.call, atoms.lists, atoms.reverse, [[term, term]], me)),
        (atoms.dead, me.node, [(term, term)]),
        (CAST, (atoms.process, me, term)),
        (CAST, (atoms.process, me, [(atoms.subscribe, term)])),
        (atoms.log, atoms.error, term, {}),
        (atoms.log, atoms.error, (b"~p", [term]), {atoms.pid: me}),
        (atoms.EXIT, me, term),
        (atoms.DOWN, ref, atoms.process, me, term),
    ]


async def flood(node: Node, peer: Node, me: Mailbox, stray: Pid, term: Any) -> None:
    """Send a term in every way, and wait until all of it has been taken."""
    for name in node.registered():
        for message in messages(me.pid, peer.make_ref(), term):
            me.send((name, node.name), message)
    for message in messages(me.pid, peer.make_ref(), term):
        me.send(stray, message)
    me.send_exit(stray, term)
    calls = [("m", "f", [term]), ("erlang", "abs", [term]), ("erlang", "apply", [term, [term]])]
    await asyncio.gather(*(peer.rpc(node.name, *call) for call in calls), return_exceptions=True)


async def scene(shape: str) -> bool:
    term = etf.decode(nested(SHAPES[shape], DEPTH - ROOM))
    async with AsyncExitStack() as stack:
        server = EpmdServer()
        epmd = EpmdConfig(port=await server.start(0), start=False)
        stack.push_async_callback(server.stop)
        node, peer = [
            await stack.enter_async_context(Node(f"{name}@127.0.0.1", cookie="secret", epmd=epmd))
            for name in ("n", "m")
        ]
        me = await stack.enter_async_context(peer.mailbox())
        assert await peer.connect(node.name)
        stray = node.spawn(Stray)
        await flood(node, peer, me, stray, term)
        return await node.call(stray, atoms.alive) is atoms.alive and await peer.ping(node.name)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_node_bears_terms_at_the_limit_wherever_they_stand(shape: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    assert in_small_stack(lambda: asyncio.run(scene(shape)))
