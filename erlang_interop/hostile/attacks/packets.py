"""Packets and fragments: what breaks the protocol, what never ends, what comes in the smallest parts."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any, Final

from erlang_interop.hostile.attack import attack
from erlang_interop.hostile.stage import framed, term
from pyzen.terms import Atom
from tests.malformed import CONTROLS, PACKETS, PAYLOADS, control, fragment, message

if TYPE_CHECKING:
    from erlang_interop.hostile.stage import Peer, Stage

MIB: Final = 1 << 20
LOST_LINK: Final = "lost the link to foe"


def start(peer: Peer, to: str = "mirror") -> bytes:
    """Return what stands before the payload in the first fragment of a message."""
    return b"\0" + term((6, peer.pid, Atom(""), Atom(to)))


async def each_loses_its_link(stage: Stage, packets: list[bytes]) -> None:
    """Send each packet by a peer of its own: every one of them loses its link."""
    peers = [await stage.peer() for _ in packets]
    await stage.begin()
    for peer, packet in zip(peers, packets, strict=True):
        await peer.push(framed(packet))
    for peer in peers:
        await peer.obeyed()
    left = sum(not peer.is_lost for peer in peers)
    stage.expect(not left, f"{left} of {len(peers)} links are left")


@attack("a fault of the protocol ends its link", 32, LOST_LINK)
async def controls_that_break_the_protocol(stage: Stage) -> None:
    """Control messages of every kind that a real node drops the connection for."""
    packets = [control(*elements) + (term([]) if elements[0] == 29 else b"") for elements, _ in CONTROLS.values()]
    await each_loses_its_link(stage, packets)


@attack("a fault of the protocol ends its link", 32, LOST_LINK)
async def payloads_that_are_no_terms(stage: Stage) -> None:
    """Messages whose payload is no term: cut short, of no known tag, compressed, with keys twice."""
    await each_loses_its_link(stage, [message(payload, Atom("echo")) for payload, _ in PAYLOADS.values()])


@attack("a fault of the protocol ends its link", 32, LOST_LINK)
async def packets_of_no_format(stage: Stage) -> None:
    """Packets of no format, headers cut short, fragments out of order."""
    await each_loses_its_link(stage, [packet for packet, _ in PACKETS.values()])


@attack("Limits.max_packet_size", 16, LOST_LINK)
async def packet_of_four_gigabytes(stage: Stage) -> None:
    """A packet that declares four gigabytes."""
    peer = await stage.peer()
    await stage.begin()
    await peer.push(b"\xff\xff\xff\xff" + bytes(1000))
    await peer.obeyed()
    stage.expect(peer.is_lost, "the link is left")


@attack("Limits.max_packet_size", 192)
async def packet_that_never_ends(stage: Stage) -> None:
    """A packet of 500 MiB, of which 128 MiB come and no more."""
    peer = await stage.peer()
    packet = peer.raw("mirror", b"m" + struct.pack(">I", 500 * MIB))
    await stage.begin()
    await peer.push([struct.pack(">I", 500 * MIB) + packet[4:], *[bytes(MIB)] * 128])
    await asyncio.sleep(1)


@attack("Limits.max_fragment_sequences", 64, LOST_LINK)
async def five_thousand_messages_begun(stage: Stage) -> None:
    """5000 messages in fragments, of which none is ended."""
    peer = await stage.peer()
    await stage.begin()
    await peer.push([framed(fragment(b"E", number, 2, start(peer) + b"m")) for number in range(1, 5001)])
    await peer.obeyed()
    stage.expect(peer.is_lost, "the link is left")


@attack("Limits.max_packet_size of 64 MiB", 96, LOST_LINK, limits={"max_packet_size": 64 * MIB})
async def fragments_that_never_end(stage: Stage) -> None:
    """4000 messages in fragments of 64 KB, of which none is ended: 250 MB."""
    peer = await stage.peer()
    piece = bytes(64_000)
    await stage.begin()
    await peer.push(framed(fragment(b"E", number, 2, start(peer) + piece)) for number in range(1, 4000))
    await peer.obeyed()
    stage.expect(peer.is_lost, "the link is left")


@attack("Limits.max_queued_bytes", 128)
async def fragments_of_one_byte(stage: Stage) -> None:
    """A message of 300 000 fragments of one byte."""
    peer, count = await stage.peer(), 300_000
    packets = [framed(fragment(b"F", 1, count - number, b"x")) for number in range(count)]
    first = framed(fragment(b"E", 1, count + 1, start(peer) + b"m" + struct.pack(">I", count)))
    await stage.begin()
    await peer.push([first, *packets])
    await peer.obeyed()


@attack("a tick is no event", 16)
async def ticks(stage: Stage) -> None:
    """Four million ticks, which are empty packets."""
    peer = await stage.peer()
    await stage.begin()
    await peer.push([bytes(MIB)] * 16)
    await peer.obeyed()


@attack("one packet, one answer", 64)
async def three_hundred_thousand_small_messages(stage: Stage) -> None:
    """300 000 small messages to a server, in one go."""
    peer = await stage.peer()
    packets = peer.message("mirror", 1) * 300_000
    await stage.begin()
    await peer.push(packets)
    await peer.obeyed()


@attack("Limits.max_queued_bytes", 512)
async def large_messages(stage: Stage) -> None:
    """Five messages of 64 MiB, echoed."""
    await sent_to_mirror(stage, bytes(64 * MIB), 5)


async def sent_to_mirror(stage: Stage, request: Any, times: int) -> None:
    """Call a server that the honest peer does not ask."""
    peer = await stage.peer()
    packet = peer.gen_call("mirror", request)
    await stage.begin()
    await peer.push([packet] * times)
    await peer.obeyed()


@attack("large messages are decoded in slices", 512)
async def a_long_list_of_small_terms(stage: Stage) -> None:
    """A list of 5 million empty tuples, 10 MB."""
    peer = await stage.peer()
    packet = peer.raw("mirror", b"l" + struct.pack(">I", 5_000_000) + b"h\0" * 5_000_000 + b"j")
    await stage.begin()
    await peer.push(packet)
    await peer.obeyed()


@attack("large messages are decoded in slices", 640)
async def a_long_list_of_integers(stage: Stage) -> None:
    """A list of 2.5 million small tuples, 20 MB, and a map of 400 000 keys."""
    peer = await stage.peer()
    tuples = b"l" + struct.pack(">I", 2_500_000) + b"h\x02a\x01b\0\x01\0\0"[:9] * 2_500_000 + b"j"
    keys = b"".join(b"b" + struct.pack(">I", number) + b"a\x01" for number in range(400_000))
    table = b"t" + struct.pack(">I", 400_000) + keys
    await stage.begin()
    await peer.push([peer.raw("mirror", tuples), peer.raw("mirror", table)])
    await peer.obeyed()


@attack("Limits.max_decoded_size", 640, "refuses a message of foe.*max_decoded_size")
async def empty_lists_by_the_million(stage: Stage) -> None:
    """Three messages of 40 million empty lists, a byte each, of which each would take 64 in Python."""
    peer = await stage.peer()
    packet = peer.raw("mirror", b"l" + struct.pack(">I", 40_000_000) + b"j" * 40_000_001)
    await stage.begin()
    await peer.push([packet] * 3)
    await peer.obeyed()


@attack("large messages are decoded in slices", 768)
async def large_messages_of_many_links(stage: Stage) -> None:
    """Twenty peers that send a list of 2 million small tuples each, at once."""
    peers = [await stage.peer() for _ in range(20)]
    tuples = b"l" + struct.pack(">I", 2_000_000) + b"h\x02a\x01a\x02" * 2_000_000 + b"j"
    await stage.begin()
    await asyncio.gather(*(peer.push(peer.raw("mirror", tuples)) for peer in peers))
    for peer in peers:
        await peer.obeyed()
