"""Events as fast as a peer can cause them: the log can be read afterwards, and no line of it is forged."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import CAST, LOST
from pyzen.errors import PyzenError
from pyzen.terms import Atom, Pid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from erlang_interop.hostile.stage import Peer, Stage

FORGED: Final = "x\nERROR:root:the node is lost\x1b[31m"
"""As a name it would begin a line of its own, and turn the terminal red."""


async def sent(stage: Stage, packet: Callable[[Peer], bytes], count: int) -> Peer:
    """Send a packet again and again."""
    peer = await stage.peer()
    packets = [packet(peer)] * count
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()
    return peer


async def again(stage: Stage, do: Callable[[Peer], Awaitable[object]], count: int) -> None:
    """Connect anew for each time."""
    await stage.begin()
    for _ in range(count):
        with suppress(PyzenError, *LOST):
            peer = await stage.peer("again@127.0.0.1")
            await do(peer)
            await peer.end()


@attack("logs.BURST", 64)
async def casts_of_forged_names(stage: Stage) -> None:
    """5000 casts by rex of a function whose name forges a line of the log."""
    await sent(stage, lambda peer: peer.rex("cast", FORGED, FORGED), 5000)


@attack("logs.BURST", 64)
async def spawns_of_forged_names(stage: Stage) -> None:
    """5000 starts of a function whose name forges a line of the log."""

    def start(peer: Peer) -> bytes:
        mfa = (Atom(FORGED), Atom(FORGED), 0)
        return peer.control(29, peer.ref(), peer.pid, peer.pid, mfa, [], payload=[])

    await sent(stage, start, 5000)


@attack("logs.BURST", 64)
async def server_that_crashes(stage: Stage) -> None:
    """500 casts that nobody handles, to a server under a supervisor."""
    await sent(stage, lambda peer: peer.message("plain", (CAST, (Atom(FORGED), bytes(1000)))), 500)


@attack("logs.BURST", 64)
async def functions_that_fail(stage: Stage) -> None:
    """3000 calls of functions with arguments that they can't take."""
    arguments: list[Any] = [Atom(FORGED), bytes(5000)]
    await sent(stage, lambda peer: peer.call("offered", "twice", *arguments), 3000)


@attack("logs.BURST", 64, "again@127.0.0.1")
async def connects_and_leaves(stage: Stage) -> None:
    """A peer that connects and leaves 400 times."""

    async def nothing(peer: Peer) -> None:
        del peer

    await again(stage, nothing, 400)


@attack("logs.BURST", 64, "lost the link to again@127.0.0.1")
async def faults_of_the_protocol(stage: Stage) -> None:
    """A peer that connects and breaks the protocol 300 times, with names that forge lines."""

    async def fault(peer: Peer) -> None:
        await peer.push(peer.control(1, Pid(FORGED, 1, 0, 1), peer.pid))
        await peer.obeyed()

    await again(stage, fault, 300)


@attack("logs.BURST", 64, "max_depth")
async def messages_past_a_limit(stage: Stage) -> None:
    """5000 messages that are nested too deep."""
    await sent(stage, lambda peer: peer.raw("echo", b"h\x01" * 2100 + b"j"), 5000)
