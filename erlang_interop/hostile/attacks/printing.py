"""What a peer has the node print: the I/O protocol, and standard output that nobody reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from erlang_interop.hostile.attack import attack
from pyzen.terms import atoms

if TYPE_CHECKING:
    from erlang_interop.hostile.stage import Peer, Stage


def request(peer: Peer, what: Any) -> bytes:
    """Return a request to the group leader of the node."""
    return peer.message("user", (atoms.io_request, peer.pid, peer.ref(), what))


def formatted(peer: Peer, text: bytes, arguments: list[Any]) -> bytes:
    """Return a request to print by ``io_lib:format``."""
    return request(peer, (atoms.put_chars, atoms.unicode, atoms.io_lib, atoms.format, [text, arguments]))


async def printed(stage: Stage, *what: tuple[bytes, list[Any]], times: int = 1) -> None:
    """Have texts formatted, and wait for the answers."""
    peer = await stage.peer()
    packets = [formatted(peer, *one) for one in what] * times
    await stage.begin()
    await peer.push(packets)
    while peer.replies < len(packets) and not peer.is_lost:
        await asyncio.sleep(0.05)


@attack("user.MAX_FORMATTED", 32)
async def huge_integers(stage: Stage) -> None:
    """io:format of integers of 100 KB, in base 10, 36 and 2."""
    number = 256**100_000 - 1
    await printed(stage, (b"~B", [number]), (b"~.36B", [number]), (b"~p ~w", [number, -number]))


@attack("user.MAX_FORMATTED", 64)
async def line_ends(stage: Stage) -> None:
    """io:format of 600 KB of ~9999n, which is a gigabyte of line ends."""
    await printed(stage, (b"~9999n" * 100_000, []))


@attack("user.MAX_FORMATTED", 64)
async def wide_fields(stage: Stage) -> None:
    """io:format with fields a thousand million characters wide."""
    wide: list[tuple[bytes, list[Any]]] = [
        (b"~1000000000s", [b"x"]),
        (b"~*c", [1_000_000_000, 120]),
        (b"~100000000.99999999p", [[1, 2]]),
    ]
    await printed(stage, *wide, (b"~999999999~" * 1000, []))


@attack("user.MAX_FORMATTED", 128)
async def escapes(stage: Stage) -> None:
    """io:format of a megabyte of directives, and a text of two megabytes of escapes."""
    await printed(
        stage, (b"~~" * 500_000, []), (b"~w~n" * 5000, list(range(5000))), (b"~ts", [b"\x1b\x07" * 1_000_000])
    )


@attack("user.MAX_FORMATTED", 256)
async def long_terms(stage: Stage) -> None:
    """io:format by ~p of long lists, deep lists, and a map of 50 000 keys."""
    deep: Any = []
    for _ in range(1500):
        deep = [deep]
    terms = [list(range(1000, 300_000)), deep, {number: number for number in range(50_000)}]
    await printed(stage, *((b"~p", [one]) for one in terms), *((b"~P", [one, 1_000_000_000]) for one in terms))


@attack("output.MAX_WAITING", 64)
async def nested_requests(stage: Stage) -> None:
    """A request of 200 000 requests, and one 1500 levels deep."""
    peer = await stage.peer()
    many = (atoms.requests, [(atoms.put_chars, atoms.unicode, b"")] * 200_000)
    deep: Any = (atoms.put_chars, b"x")
    for _ in range(700):
        deep = (atoms.requests, [deep])
    packets = [request(peer, many), request(peer, deep)] * 3
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()


@attack("output.MAX_WAITING", 64, "standard output is not read", unread=True)
async def unread_output(stage: Stage) -> None:
    """60 MB to print while nobody reads standard output."""
    peer = await stage.peer()
    text = (atoms.put_chars, atoms.unicode, b"x" * 20_000)
    await stage.begin()
    await peer.push([request(peer, text) for _ in range(3000)])
    await peer.obeyed()


@attack("output.MAX_WAITING", 64, "standard output is not read", unread=True)
async def unread_output_in_small_parts(stage: Stage) -> None:
    """100 000 requests to print one character while nobody reads standard output."""
    peer = await stage.peer()
    await stage.begin()
    await peer.push([request(peer, (atoms.put_chars, atoms.unicode, b"x"))] * 100_000)
    await peer.obeyed()
