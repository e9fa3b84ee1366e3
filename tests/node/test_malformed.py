"""What a peer may not send after the handshake: each item costs its own link, with a log line, and nothing else.

The items are those at which a real node drops the connection; a peer played by the test sends them byte by byte.

Source: OTP, ``erts/emulator/beam/dist.c`` and ``external.c``.
"""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import etf
from pyzen.config import Limits
from pyzen.terms import Atom, Pid, Reference, atoms
from tests.node.conftest import until
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from tests.node.conftest import MakeNode

RAW = "raw@127.0.0.1"
THEIRS = Pid(RAW, 5, 0, 9)
THIRD = Pid("third@h", 1, 0, 3)
REF = Reference(RAW, 9, [1, 2, 3])
INBOX = atoms.inbox
HEADER = b"\x83D\0"


def term(value: Any) -> bytes:
    """Return a term as it stands in a packet: without the version byte."""
    return etf.encode(value)[1:]


def control(*elements: Any) -> bytes:
    return HEADER + term(elements)


def message(payload: bytes) -> bytes:
    """Return a message to a process that lives, with a payload of bytes."""
    return control(6, THEIRS, Atom(""), INBOX) + payload


def fragment(kind: bytes, sequence_id: int, fragment_id: int, rest: bytes) -> bytes:
    return b"\x83" + kind + struct.pack(">QQ", sequence_id, fragment_id) + rest


START = b"\0" + term((6, THEIRS, Atom(""), INBOX))
OURS = "ours"  # stands for a pid or reference of the node, whose creation is known at run time only

CONTROLS: dict[str, tuple[tuple[Any, ...], str]] = {
    "unknown operation": ((99, THEIRS), "unknown control operation"),
    "no operation": ((THEIRS,), "not a tuple that starts with an operation"),
    "wrong arity": ((1, THEIRS), "wrong arity"),
    "unlink id 0": ((35, 0, THEIRS, OURS), "UNLINK_ID Id"),
    "watcher of another node": ((19, THIRD, INBOX, REF), "MONITOR_P Watcher"),
    "monitor without reference": ((19, THEIRS, INBOX, 7), "MONITOR_P Ref"),
    "link from another node": ((1, THIRD, OURS), "LINK From"),
    "exit from another node": ((3, THIRD, OURS, atoms.boom), "EXIT From"),
    "exit2 from another node": ((8, THIRD, OURS, atoms.boom), "EXIT2 From"),
    "unlink from another node": ((35, 1, THIRD, OURS), "UNLINK_ID From"),
    "spawn request without reference": ((29, 7, THEIRS, THEIRS, (atoms.m, atoms.f, 0), []), "SPAWN_REQUEST ReqId"),
    "both name and alias": ((37, 12, THEIRS, INBOX), "both a name and an alias"),
}  # fmt: skip

PAYLOADS = {
    "not a number": (b"F" + struct.pack(">d", float("nan")), "float"),
    "infinite": (b"F" + struct.pack(">d", float("inf")), "float"),
    "duplicate keys": (b"t\0\0\0\x02a\x01a\x01a\x01a\x02", "key"),
    "atom of 256 characters": (b"v\x01\0" + b"a" * 256, "255 characters"),
    "atom that is no UTF-8": (b"w\x01\xff", "UTF-8"),
    "compressed": (etf.encode(b"a" * 1000, compressed=9)[1:], "never in a message between nodes"),
    "reference of 6 words": (b"Z\0\x06" + b"w\x01n" + bytes(4 + 24), "6"),
    "bits 0": (b"M\0\0\0\x01\0a", "bits"),
    "bits 9": (b"M\0\0\0\x01\x09a", "bits"),
    "local term": (b"y\0\0\0\0", "local form"),
    "unknown tag": (b"\x01", "no term starts with this tag"),
    "cut short": (b"m\0\0\0\x05abc", "bytes end within a term"),
    "version byte": (etf.encode(1), "no term starts with this tag"),
    "count of 4 thousand million": (b"l\xff\xff\xff\xff", "more elements are declared"),
}

PACKETS = {
    "pass-through": (b"p" + etf.encode((1, THEIRS, THEIRS)), "pass-through"),
    "neither format": (b"Q", "neither 112 nor 131"),
    "unknown header": (b"\x83Z", "unknown distribution header"),
    "cache slot never filled": (b"\x83D\x01\x00\x05" + term((1,)), "never filled"),
    "header cut short": (b"\x83D\x05", "ends too early"),
    "sequence 0": (fragment(b"E", 0, 2, START), "sequence id 0"),
    "fragment 0": (fragment(b"E", 1, 0, START), "fragment id 0"),
    "continuation without start": (fragment(b"F", 7, 1, b"x"), "not started"),
}


async def loses_its_own_link(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture, packets: list[bytes], words: str, **options: Any
) -> None:
    """Send packets as a peer; assert that this costs its link and that another peer does not notice."""
    node, other = await make_node("n", **options), await make_node("other")
    async with node.mailbox("inbox"):
        assert await other.connect(node.name)
        peer = RawPeer(RAW)
        await peer.connect(node)
        await until(lambda: Atom(RAW) in node.nodes())

        with caplog.at_level(logging.WARNING):
            for packet in packets:
                peer.writer.write(struct.pack(">I", len(packet)) + packet)
            assert await peer.at_end()
            await until(lambda: node.nodes() == [other.name])

        lines = [line for line in caplog.messages if RAW in line]
        assert len(lines) == 1, caplog.messages
        assert words in lines[0]
        assert await other.ping(node.name)
        await peer.close()


@pytest.mark.parametrize("item", CONTROLS)
async def test_a_control_message_that_breaks_the_protocol(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture, item: str
) -> None:
    elements, words = CONTROLS[item]
    ours = Pid("n@127.0.0.1", 1, 0, 1)
    packet = control(*[ours if element is OURS else element for element in elements])
    if elements[0] == 29:
        packet += term([])

    await loses_its_own_link(make_node, caplog, [packet], words)


@pytest.mark.parametrize("item", PAYLOADS)
async def test_a_payload_that_is_no_term(make_node: MakeNode, caplog: pytest.LogCaptureFixture, item: str) -> None:
    payload, words = PAYLOADS[item]

    await loses_its_own_link(make_node, caplog, [message(payload)], words)


@pytest.mark.parametrize("item", PACKETS)
async def test_a_packet_of_no_format(make_node: MakeNode, caplog: pytest.LogCaptureFixture, item: str) -> None:
    packet, words = PACKETS[item]

    await loses_its_own_link(make_node, caplog, [packet], words)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (fragment(b"E", 1, 3, START), "unfinished"),
        (fragment(b"F", 1, 1, b"x"), "skipped or repeated"),
        (fragment(b"F", 1, 3, b"x"), "skipped or repeated"),
    ],
)
async def test_fragments_out_of_order(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture, second: bytes, words: str
) -> None:
    await loses_its_own_link(make_node, caplog, [fragment(b"E", 1, 3, START), second], words)


async def test_a_control_message_cut_by_a_fragment(make_node: MakeNode, caplog: pytest.LogCaptureFixture) -> None:
    packets = [fragment(b"E", 1, 2, START[:9]), fragment(b"F", 1, 1, START[9:] + term(1))]

    await loses_its_own_link(make_node, caplog, packets, "a control tuple ends too early")


async def test_a_packet_over_the_limit(make_node: MakeNode, caplog: pytest.LogCaptureFixture) -> None:
    packets = [message(term(bytes(2000)))]

    await loses_its_own_link(make_node, caplog, packets, "max_packet_size", limits=Limits(max_packet_size=1000))


@pytest.mark.parametrize("receiver", [atoms.nobody, atoms.global_name_server])
async def test_what_nobody_is_there_for_is_dropped_in_silence(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture, receiver: Atom
) -> None:
    node = await make_node("n")
    peer = RawPeer(RAW)
    await peer.connect(node)
    await until(lambda: Atom(RAW) in node.nodes())

    packet = control(6, THEIRS, Atom(""), receiver) + term(1)
    peer.writer.write(struct.pack(">I", len(packet)) + packet)
    packet = control(19, THEIRS, atoms.nobody, REF)
    peer.writer.write(struct.pack(">I", len(packet)) + packet)
    while not any(event[0] == 28 for event in await peer.events()):
        pass

    assert node.nodes() == [Atom(RAW)]
    assert caplog.messages == []
    await peer.close()
