"""What a peer may not send after the handshake: each item costs its own link, with a log line, and nothing else.

The items are those of `tests.malformed`; a peer played by the test sends them byte by byte.
"""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Any

import pytest

from pyzen.config import Limits
from pyzen.terms import Atom, Pid, atoms
from tests.malformed import CONTROLS, OURS, PACKETS, PAYLOADS, RAW, REF, START, THEIRS, control, fragment, message, term
from tests.node.conftest import until
from tests.raw_peer import RawPeer

if TYPE_CHECKING:
    from tests.node.conftest import MakeNode


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
