"""The moment after ``disconnect``: what is asked of the peer then succeeds by a new link, as between Erlang nodes.

Two nodes only, so that no ``global`` of a third one takes part. Each step is done twenty times by a node of ours and by
an Erlang node, and the outcomes are compared. One of the twenty may differ on either side: the peer may dial at that
very moment, and then OTP closes now and then the connection that comes in, between Erlang nodes as well (seen about
once in a thousand dials).
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import etf
from pyzen.errors import ProcessExit
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from erlang_interop.nodes import ErlNode
    from pyzen.node.node import Node

ROUNDS = 20
QUIET = 0.1
"""Seconds in which whatever was going to be told has been told."""

ECHO = (
    "spawn(fun() -> process_flag(trap_exit, true), (fun Loop() -> receive {From, X} -> From ! X, Loop() end end)() end)"
)
"""A process of the peer. It outlives a link that is lost before the signal that undoes a link to it."""

CONNECT = "(fun Again() -> net_kernel:connect_node(B) orelse Again() end)()"

ERLANG = {
    "nodes": "lists:member(B, nodes())",
    "connect": "{net_kernel:connect_node(B), begin timer:sleep(100), lists:member(B, nodes()) end}",
    "rpc": "rpc:call(B, erlang, abs, [-7])",
    "ping": "net_adm:ping(B)",
    "monitor": "R = monitor(process, Echo), X = receive {'DOWN', R, _, _, Why} -> Why after 100 -> quiet end,"
    " demonitor(R, [flush]), X",
    "link": "process_flag(trap_exit, true), link(Echo), X = receive {'EXIT', Echo, Why} -> Why after 100 -> quiet end,"
    " unlink(Echo), X",
    "message": "Echo ! {self(), hello}, receive hello -> arrived after 1000 -> lost end",
}
"""What an Erlang node does after ``erlang:disconnect_node(B)``."""


async def nodes(node: Node, peer: str, echo: Pid) -> Any:
    return Atom(peer) in node.nodes()


async def connect(node: Node, peer: str, echo: Pid) -> Any:
    made = await node.connect(peer)
    await asyncio.sleep(QUIET)
    return made, Atom(peer) in node.nodes()


async def rpc(node: Node, peer: str, echo: Pid) -> Any:
    return await node.rpc(peer, "erlang", "abs", [-7])


async def ping(node: Node, peer: str, echo: Pid) -> Any:
    return atoms.pong if await node.ping(peer) else atoms.pang


async def monitor(node: Node, peer: str, echo: Pid) -> Any:
    async with node.mailbox() as me:
        me.monitor(echo)
        return await told(me)


async def link(node: Node, peer: str, echo: Pid) -> Any:
    async with node.mailbox() as me:
        me.trap_exit = True
        me.link(echo)
        answer = await told(me)
        me.unlink(echo)
        return answer


async def told(me: Any) -> Any:
    try:
        return (await me.receive(timeout=QUIET))[-1]
    except (TimeoutError, ProcessExit):
        return atoms.quiet


async def message(node: Node, peer: str, echo: Pid) -> Any:
    async with node.mailbox() as me:
        me.send(echo, (me.pid, atoms.hello))
        try:
            return atoms.arrived if await me.receive(timeout=1) is atoms.hello else atoms.garbled
        except TimeoutError:
            return atoms.lost


PYTHON: dict[str, Callable[[Node, str, Pid], Awaitable[Any]]] = {
    "nodes": nodes, "connect": connect, "rpc": rpc, "ping": ping, "monitor": monitor, "link": link, "message": message,
}  # fmt: skip


async def evaluate(node: ErlNode, code: str) -> Any:
    return etf.decode(await node.call_etf("eval64", base64.b64encode(code.encode()).decode()))


@pytest.mark.parametrize("step", ERLANG)
async def test_what_follows_a_disconnect_is_as_between_erlang_nodes(
    python_node: Callable[..., Awaitable[Node]], erl_node: Callable[..., Awaitable[ErlNode]], step: str
) -> None:
    erlang, peer, ours = await erl_node(), await erl_node(), await python_node()
    echo = await evaluate(peer, ECHO)
    packed = base64.b64encode(etf.encode(echo)).decode()
    start = f"B = '{peer.name}', Echo = binary_to_term(base64:decode(\"{packed}\"))"

    theirs = await evaluate(
        erlang,
        f"{start}, [begin {CONNECT}, erlang:disconnect_node(B), {ERLANG[step]} end || _ <- lists:seq(1, {ROUNDS})]",
    )
    found = []
    for _ in range(ROUNDS):
        while not await ours.connect(peer.name):
            pass
        ours.disconnect(peer.name)
        found.append(await PYTHON[step](ours, peer.name, echo))

    assert usual(found) == usual(theirs)


def usual(outcomes: list[Any]) -> Any:
    """Return the outcome of all rounds but one at most."""
    ((outcome, count),) = Counter(outcomes).most_common(1)
    assert count >= ROUNDS - 1, outcomes
    return outcome
