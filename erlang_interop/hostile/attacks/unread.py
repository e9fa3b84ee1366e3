"""Peers that ask and do not read, or hardly."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import LOST
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from erlang_interop.hostile.stage import Peer, Stage

UNSENT: Final = {"max_unsent_bytes": 64 * 1024 * 1024}
"""A quarter of the default, so that the attack does not take a quarter of an hour."""

ENDS: Final = "lost the link to foe"
"""Signals must not get lost while their link stands, so a link ends on which too many wait."""

LARGE: Final = bytes(100_000)


async def deaf(stage: Stage) -> Peer:
    """Connect a peer that does not read."""
    peer = await stage.peer(reads=False)
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    return peer


async def unread(stage: Stage, peer: Peer, packets: Iterable[bytes]) -> None:
    """Send, without reading, and give the node a second."""
    await stage.begin()
    await peer.push(packets)
    await asyncio.sleep(1)


@attack("Limits.max_unsent_bytes of 64 MiB", 128, limits=UNSENT)
async def large_answers_unread(stage: Stage) -> None:
    """2000 calls of a server whose answers have 100 KB, and none is read."""
    peer = await deaf(stage)
    await unread(stage, peer, [peer.gen_call("mirror", (atoms.large, len(LARGE)))] * 2000)


@attack("Limits.max_unsent_bytes of 64 MiB, max_queued_bytes", 160, limits=UNSENT)
async def small_answers_unread(stage: Stage) -> None:
    """600 000 calls of the node itself with small answers that nobody reads."""
    peer = await deaf(stage)
    await unread(stage, peer, [peer.gen_call("net_kernel", (atoms.is_auth, peer.name))] * 600_000)


@attack("twice Limits.max_unsent_bytes of 64 MiB, max_queued_bytes", 224, ENDS, limits=UNSENT)
async def results_unread(stage: Stage) -> None:
    """6000 calls by erpc whose results have 100 KB, and none is read."""
    peer = await deaf(stage)
    await unread(stage, peer, [peer.call("hostile", "big", len(LARGE)) for _ in range(6000)])


@attack("twice Limits.max_unsent_bytes of 64 MiB, max_queued_bytes", 224, ENDS, limits=UNSENT)
async def downs_unread(stage: Stage) -> None:
    """700 000 monitors of a name that nobody has: each is answered with its end, and none is read."""
    peer = await deaf(stage)
    await unread(stage, peer, [peer.control(19, peer.pid, Atom("nobody"), peer.ref()) for _ in range(700_000)])


@attack("Limits.max_unsent_bytes of 64 MiB", 128, limits=UNSENT)
async def one_byte_at_a_time(stage: Stage) -> None:
    """500 calls with answers of 100 KB, read by the byte."""
    peer = await deaf(stage)
    await stage.begin()
    await peer.push([peer.gen_call("mirror", (atoms.large, len(LARGE)))] * 500)
    peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
    with suppress(*LOST):
        for _ in range(2000):
            await peer.reader.read(1)
            await asyncio.sleep(0.001)


@attack("Limits.max_unsent_bytes of 64 MiB", 160, limits=UNSENT)
async def twenty_that_do_not_read(stage: Stage) -> None:
    """20 peers at once, with 40 calls each for 100 KB."""
    peers = [await deaf(stage) for _ in range(20)]
    await stage.begin()
    for peer in peers:
        await peer.push([peer.gen_call("net_kernel", LARGE)] * 20)
        await peer.push([peer.call("hostile", "big", len(LARGE)) for _ in range(20)])
    await asyncio.sleep(1)
