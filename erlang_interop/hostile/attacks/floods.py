"""Events as fast as a peer can cause them: the log can be read afterwards, and no line of it is forged."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import CAST, LOST, framed, term
from pyzen.errors import PyzenError
from pyzen.terms import Atom, Pid, atoms

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


SWALLOWED: Final = atoms.global_name_server
"""Whoever ends a monitor of it is answered by the I/O thread alone, with nothing."""


async def poured(peer: Peer, packets: bytes, seconds: float) -> None:
    """Send the same packets again and again."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while await peer.push(packets):
                pass


@attack("a link has the I/O thread for 0.25 ms at a time", 64)
async def atoms_that_come_and_go(stage: Stage) -> None:
    """Packets that nobody gets, each with 255 new atoms that the next but seven overwrites, for four seconds."""
    peer = await stage.peer()
    control = term((20, peer.pid, SWALLOWED, peer.ref()))
    packets = b"".join(framed(new_atoms(number) + control) for number in range(250))
    await stage.begin()
    await poured(peer, packets, 4)


def new_atoms(number: int) -> bytes:
    """Return a header with 255 atoms, in the segment of the cache that is this packet's."""
    places = bytes([0x88 | number % 8 * 0x11]) * 127 + bytes([8 | number % 8])
    return b"\x83D\xff" + places + b"".join(b"%c\x06%06x" % (k, number * 255 + k) for k in range(255))


@attack("a link has the I/O thread for 0.25 ms at a time", 64)
async def ten_links_of_what_nobody_gets(stage: Stage) -> None:
    """Ends of monitors that there never were, over ten links, for four seconds."""
    peers = [await stage.peer() for _ in range(10)]
    await stage.begin()
    many = [peer.control(20, peer.pid, SWALLOWED, peer.ref()) * 5000 for peer in peers]
    await asyncio.gather(*(poured(peer, packets, 4) for peer, packets in zip(peers, many, strict=True)))
