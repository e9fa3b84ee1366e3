"""Messages that are costly to decode, to keep or to free."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import CALL, term

if TYPE_CHECKING:
    from erlang_interop.hostile.stage import Peer, Stage

SAME_HASH: Final = 2**61 - 1
"""What Python takes integers modulo for their hash."""

REFUSED: Final = "refuses a message of foe"
NIL: Final = b"j"
MIB: Final = 1 << 20


def call(peer: Peer, payload: bytes) -> bytes:
    """Return a call of the echo server with a request in bytes."""
    return peer.raw("echo", b"h\x03" + term(CALL) + term((peer.pid, peer.ref())) + payload)


def map_of(keys: list[bytes]) -> bytes:
    """Return a map with keys in bytes."""
    return b"t" + struct.pack(">I", len(keys)) + b"".join(key + b"a\x01" for key in keys)


async def sent(stage: Stage, *packets: bytes, peer: Peer | None = None) -> None:
    """Begin, send, and wait until the node has come to it."""
    peer = peer or await stage.peer()
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()


async def called(stage: Stage, payload: bytes, times: int = 1) -> None:
    """Call the echo server with a request in bytes."""
    peer = await stage.peer()
    await sent(stage, *[call(peer, payload)] * times, peer=peer)


# ---- keys with one hash


@attack("Limits.max_equal_hashes", 64, f"{REFUSED}.*max_equal_hashes")
async def colliding_integers(stage: Stage) -> None:
    """A map of 32 000 integers that Python gives one hash, 0.5 MB; ten of them."""
    await called(stage, map_of([term(number * SAME_HASH) for number in range(1, 32_001)]), 10)


@attack("Limits.max_equal_hashes", 64, f"{REFUSED}.*max_equal_hashes")
async def colliding_floats(stage: Stage) -> None:
    """A map of 900 floats and 20 000 tuples that have one hash each."""
    floats = [term(2.0 ** (61 * power)) for power in range(-16, 16)]
    tuples = [term((number * SAME_HASH,)) for number in range(20_000)]
    await called(stage, map_of([*floats, *tuples]), 10)


@attack("Limits.max_equal_hashes", 128)
async def colliding_below_the_bound(stage: Stage) -> None:
    """5 MB of maps with 100 colliding keys each: as much as the bound lets through."""
    one = map_of([term(number * SAME_HASH) for number in range(100)])
    count = 5 * MIB // len(one)
    await called(stage, b"l" + struct.pack(">I", count) + one * count + NIL)


# ---- depth and size


def nested(levels: int, head: bytes, tail: bytes) -> bytes:
    """Return a term that is nested so deep."""
    return head * levels + NIL + tail * levels


@attack("Limits.max_depth", 64, f"{REFUSED}.*max_depth")
async def deep_lists(stage: Stage) -> None:
    """Lists, tuples, map keys and improper lists, a million levels deep."""
    forms = ((b"l\0\0\0\x01", NIL), (b"h\x01", b""), (b"t\0\0\0\x01", b"a\x01"), (b"l\0\0\0\x01", b"a\x01"))
    peer = await stage.peer()
    await sent(stage, *[call(peer, nested(1_000_000, *form)) for form in forms], peer=peer)


@attack("Limits.max_depth", 256)
async def deep_lists_below_the_bound(stage: Stage) -> None:
    """1000 lists 1900 levels deep, echoed."""
    await called(stage, nested(1900, b"l\0\0\0\x01", NIL), 1000)


@attack("Limits.max_depth", 256)
async def deep_tuples_below_the_bound(stage: Stage) -> None:
    """1000 tuples 1900 levels deep, echoed."""
    await called(stage, nested(1900, b"h\x01", b""), 1000)


@attack("Limits.max_depth", 256)
async def deep_keys_below_the_bound(stage: Stage) -> None:
    """1000 maps that are keys of maps, 1900 levels deep, echoed."""
    await called(stage, nested(1900, b"t\0\0\0\x01", b"a\x01"), 1000)


@attack("Limits.max_term_size of 1 MiB", 64, f"{REFUSED}.*max_term_size", limits={"max_term_size": MIB})
async def terms_past_the_size(stage: Stage) -> None:
    """20 messages of 4 MiB."""
    await called(stage, b"m" + struct.pack(">I", 4 * MIB) + bytes(4 * MIB), 20)


@attack("Limits.max_inflated_size", 16, "lost the link to foe.*compressed")
async def compressed_terms(stage: Stage) -> None:
    """A message of 64 KB that inflates to 64 MiB: between nodes nothing is compressed."""
    peer = await stage.peer()
    bomb = zlib.compress(b"m" + struct.pack(">I", 64 * MIB) + bytes(64 * MIB))
    await sent(stage, peer.raw("echo", b"P" + struct.pack(">I", 64 * MIB + 5) + bomb), peer=peer)
    stage.expect(peer.is_lost, "the link is left")


@attack("nothing is kept of a count alone", 32, "lost the link to foe")
async def counts_of_four_thousand_million(stage: Stage) -> None:
    """Lists, tuples, maps, binaries and integers that declare 4 thousand million elements, each from one peer."""
    payloads = [tag + b"\xff\xff\xff\xff" + b"a\x01" for tag in (b"l", b"i", b"t", b"m", b"o")]
    peers = [await stage.peer() for _ in payloads]
    await stage.begin()
    for peer, payload in zip(peers, payloads, strict=True):
        await peer.push(peer.raw("echo", payload))
    for peer in peers:
        await peer.obeyed()
    stage.expect(all(peer.is_lost for peer in peers), "a link is left that broke the protocol")
