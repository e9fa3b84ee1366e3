"""Random and mutated inputs for what a peer sends over a link.

Targets are ``packets`` (framing, control tuples, payloads), ``headers`` (the atom section and the cache), ``fragments``
and ``handshake``. Whatever comes, a session yields events, the end of the link last, and the same ones however the
bytes are cut; a handshake yields an outcome only for a right proof.

Inputs that once failed, and bytes that real nodes sent, are in ``corpus/``: one in a line, in hexadecimal.
"""

from __future__ import annotations

import random
import struct
import zlib
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from pyzen._native import DOWN, Session
from pyzen.config import Limits
from pyzen.dist.flags import OWN_FLAGS
from pyzen.dist.handshake import Acceptor, Handshake, Initiator, State
from pyzen.dist.handshake_messages import digest
from pyzen.terms import Atom, Pid, Reference
from tests import fuzz_etf
from tests.events import separate
from tests.fuzzing import CORPUS, Target, behaviour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyzen.dist.names import Verdict
    from tests.fuzzing import Input

HERE, THERE = Atom("here@test"), Atom("there@test")
ATOM_CACHE, SEND_SENDER, FRAGMENTS, ALIAS = 0x2000, 0x80000, 0x800000, 1 << 35
FULL: Final = ATOM_CACHE | SEND_SENDER | FRAGMENTS | ALIAS
FORMATS: Final = [FULL, FULL, FULL, SEND_SENDER | FRAGMENTS, SEND_SENDER]
LIMITS: Final = Limits(max_packet_size=1 << 20, max_fragment_sequences=16, max_depth=200)
OUR, THEIR = Pid(HERE, 5, 1, 7), Pid(THERE, 9, 0, 8)
REF: Final = Reference(THERE, 8, [1, 2, 3])


def session(flags: int = FULL) -> Session:
    """Return the end that is tested."""
    return Session(LIMITS, node=HERE, creation=7, peer=THERE, flags=flags)


def lines(name: str) -> list[list[bytes]]:
    """Return the inputs of a file of the corpus; one of several parts has them separated by spaces."""
    texts = (CORPUS / name).read_text().splitlines()
    return [[bytes.fromhex(part) for part in text.split()] for text in texts if text and not text.startswith("#")]


# ---- streams of packets


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def bodies(stream: bytes) -> list[bytes]:
    """Cut a stream into packets."""
    found, at = [], 0
    while at + 4 <= len(stream):
        (length,) = struct.unpack_from(">I", stream, at)
        found.append(stream[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def sent(flags: int, *, apart: bool) -> list[bytes]:
    """Return packets that a session of ours would send, one of most kinds; those sent apart share no cache."""
    one_end = Session(Limits(), node=THERE, creation=8, peer=HERE, flags=flags)
    name, reason = Atom("name"), (Atom("some"), [Atom("reason")])
    alias = Reference(HERE, 7, [4, 5, 6])
    messages = [
        [Atom("one"), b"two"],
        {Atom("k"): 1.5, True: None},
        (REF, THEIR, 2**70),
        [Atom("one"), Atom("é" * 255)],
    ]
    controls: list[tuple[Any, ...]] = [(1, THEIR, OUR), (35, 7, THEIR, OUR), (36, 7, THEIR, OUR)]
    controls += [(op, THEIR, to, REF) for op in (19, 20) for to in (OUR, name)]
    with_payload: list[tuple[Any, ...]] = [
        (24, THEIR, OUR),
        (26, THEIR, OUR),
        (28, name, OUR, REF),
        (29, REF, THEIR, THEIR, (name, name, 1), []),
    ]

    def end() -> Session:
        return Session(Limits(), node=THERE, creation=8, peer=HERE, flags=flags) if apart else one_end

    packets = [end().send(THEIR, to, message) for message in messages for to in (OUR, name, alias)]
    packets += [end().signal(1, control) for control in controls]
    packets += [end().signal(1, control, reason) for control in with_payload]
    return [body for packet in packets for body in bodies(packet)] + [b""]


class Streams:
    """Writes streams that a peer could have sent, or nearly."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.etf = fuzz_etf.Generator(draw.randrange(2**32))
        self.seeds = {flags: sent(flags, apart=True) for flags in set(FORMATS)}
        self.streams = {flags: [sent(flags, apart=False)] for flags in set(FORMATS)}
        self.streams[FULL] += [bodies(stream) for _, stream in lines("packets.hex")]

    def packets(self, flags: int) -> bytes:
        """Packets in or out of order, some of them broken."""
        draw = self.draw
        chosen = draw.choices(self.seeds[flags], k=3)
        if draw.random() < 0.3:
            chosen = draw.choice(self.streams[flags])
            chosen = chosen[: draw.randrange(len(chosen)) + 1]
        rate = draw.choice([0.02, 0.3])
        stream = b"".join(frame(self.broken(body) if draw.random() < rate else body) for body in chosen)
        return self.broken(stream) if draw.random() < 0.1 else stream

    def broken(self, data: bytes) -> bytes:
        """Return data with some bytes changed, removed or added."""
        if self.draw.random() < 0.3:
            return self.etf.mutated(data)
        changed = bytearray(data)
        for _ in range(self.draw.choice([1, 1, 2, 4])):
            at = self.draw.randrange(len(changed) + 1)
            size = self.draw.choice([1, 1, 1, 4])
            match self.draw.randrange(3):
                case 0:
                    changed[at : at + size] = self.draw.randbytes(size)
                case 1:
                    del changed[at : at + size]
                case _:
                    changed[at:at] = self.draw.randbytes(size)
        return bytes(changed)

    def terms(self, names: int) -> bytes:
        """Return a control tuple and a payload that refer to so many atoms of a header."""
        atom = bytes([82, self.draw.randrange(names)]) if names else b"w\x09here@test"
        to = b"X" + atom + struct.pack(">III", 5, 1, 7)
        payload = b"h\x03" + bytes([82, self.draw.randrange(max(names, 1))]) + atom + self.etf.term(2)
        return b"h\x03a\x16" + b"X\x77\x0athere@test" + struct.pack(">III", 9, 0, 8) + to + payload

    def header(self, texts: list[str], filled: set[tuple[int, int]]) -> tuple[bytes, int]:
        """Return an atom section, right in most of its parts, and how many atoms it has."""
        draw = self.draw
        count = draw.choice([0, 1, 2, 3, 5, 20, 255])
        long = draw.random() < 0.2
        nibbles, references = [], b""
        for _ in range(count):
            segment, index = slot = draw.randrange(8), draw.choice([0, 1, 2, 255])
            new = draw.random() < 0.3 or (slot not in filled and draw.random() < 0.995)
            filled.add(slot)
            text = draw.choice(texts).encode()
            text = draw.choice([b"", b"\xff", b"x" * 300]) if draw.random() < 0.005 else text
            length = struct.pack(">H", len(text)) if long else bytes([len(text) % 256])
            nibbles.append(segment | (8 if new else 0))
            references += bytes([index]) + (length + text if new else b"")
        nibbles += [int(long)] + [0] * (1 - count % 2)
        pairs = zip(nibbles[::2], nibbles[1::2], strict=False)
        flags = bytes(low | high << 4 for low, high in pairs) if count else b""
        return bytes([count]) + flags[: count // 2 + 1] + references, count

    def headers(self, flags: int) -> bytes:
        """Packets that share a cache, whose slots are filled, overwritten and left empty."""
        del flags
        stream, filled = b"", set[tuple[int, int]]()
        for _ in range(self.draw.choice([1, 2, 5])):
            header, count = self.header(["here@test", "name", "é", "other"], filled)
            body = b"\x83D" + header + self.terms(count)
            stream += frame(self.broken(body) if self.draw.random() < 0.1 else body)
        return stream

    def fragments(self, flags: int) -> bytes:
        """Messages in pieces that interleave, some lost, repeated or with a wrong number."""
        sequences = []
        for sequence_id in self.draw.sample(
            range(0 if self.draw.random() < 0.02 else 1, 9), self.draw.choice([1, 2, 4])
        ):
            whole = self.draw.choice([body for body in self.seeds[flags | FRAGMENTS] if body[:2] == b"\x83D"])
            sequences.append(self.pieces(sequence_id, whole[2:]))
        stream = b""
        while any(sequences):
            sequence = self.draw.choice([one for one in sequences if one])
            body = sequence.pop(0)
            fate = self.draw.random()
            if fate < 0.02:
                continue
            stream += frame(self.broken(body) if fate < 0.05 else body) * (2 if fate > 0.99 else 1)
        return stream

    def pieces(self, sequence_id: int, data: bytes) -> list[bytes]:
        """Cut a message; most cuts are behind its control tuple."""
        least = min(len(data), self.draw.choice([150, 150, 150, 60]))
        cuts = sorted(self.draw.randrange(least, len(data) + 1) for _ in range(self.draw.choice([0, 1, 3])))
        parts = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        numbers = range(len(parts), 0, -1)
        tags = [69, *[70] * (len(parts) - 1)]
        packed = zip(tags, numbers, parts, strict=True)
        return [struct.pack(">BBQQ", 131, tag, sequence_id, number) + part for tag, number, part in packed]


def check_stream(stream: bytes, flags: int, draw: random.Random) -> str:
    """Feed a stream whole and in pieces; return what became of it.

    Raises:
        AssertionError: If anything but events came of it, or others when it was cut.
    """
    events = session(flags).receive_data(stream)
    kinds = [event[0] for event in events]
    assert DOWN not in kinds[:-1], "something follows the end"
    assert all(kind == DOWN or 0 <= kind < 64 for kind in kinds)
    assert separate(session_in_pieces(stream, flags, draw)) == separate(events), "it depends on how the bytes are cut"
    if DOWN in kinds:
        assert isinstance(events[-1][2], str)
        return behaviour("down", events[-1][2])
    return behaviour("events" if events else "nothing", letters(kinds))


def letters(kinds: list[int]) -> str:
    """Return the kinds of events there were, a letter for each."""
    return "".join(chr(ord("A") + kind % 64) for kind in sorted(set(kinds)))


def session_in_pieces(stream: bytes, flags: int, draw: random.Random) -> list[Any]:
    fed, events, at = session(flags), [], 0
    while at < len(stream):
        size = draw.choice([1, 3, 20, 1000])
        events += fed.receive_data(stream[at : at + size])
        at += size
    return events


# ---- the handshake


def check_handshake(frames: list[bytes], draw: random.Random) -> str:
    """Let two sides shake hands over a line that is broken, or that says these frames; return how it ended.

    Raises:
        AssertionError: If it raised, went on after its end, or ended well without a right proof.
    """
    one = Initiator("here@host", "there@host", flags=OWN_FLAGS, creation=1, cookie=lambda _: "secret")
    verdict: Verdict = draw.choice(["ok", "ok", "ok_simultaneous", "alive", "nok", "not_allowed"])
    other = Acceptor(
        "there@host", flags=OWN_FLAGS, creation=2, cookie=lambda _: "secret", decide=lambda _name, _flags: verdict
    )
    rate = draw.choice([0.0, 0.1, 0.5])
    line: list[tuple[Handshake, bytes]] = [(other, one_frame) for one_frame in one.start()]
    for number in range(20):
        if not line:
            break
        receiver, data = line.pop(0)
        if draw.random() < rate:
            data = draw.choice(frames) if draw.random() < 0.3 else mutated(data, draw)
        before = receiver.ended
        answers = receiver.receive_frame(data)
        assert not (before and answers), "an ended handshake answers"
        if receiver.state is State.DONE and not before:
            assert data[-16:] == digest("secret", receiver.challenge), "the proof is wrong"
            if isinstance(receiver, Acceptor):
                assert receiver.last_frame is not None
                answers = [*answers, receiver.last_frame]
        sender = one if receiver is other else other
        line += [(sender, answer) for answer in answers]
        assert number < 19, "it goes on and on"
    for side in (one, other):
        side.eof()
        assert side.ended
        assert (side.error is None) == (side.state is State.DONE) == (side.outcome is not None)
    return behaviour("done" if one.state is State.DONE else "failed", one.error, "|", other.error)


def mutated(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    at = draw.randrange(len(changed) + 1)
    match draw.randrange(4):
        case 0:
            changed[at : at + 1] = draw.randbytes(1)
        case 1:
            del changed[at:]
        case 2:
            changed[at:at] = draw.randbytes(draw.choice([1, 4, 300]))
        case _:
            changed[: draw.randrange(4)] = draw.choice([b"s", b"N", b"a", b"r", b"n"])
    return bytes(changed)


# ---- the targets


def streams(kind: str, draw: random.Random) -> Iterator[Input]:
    """Yield flags and a stream."""
    writer = Streams(draw)
    while True:
        flags = draw.choice(FORMATS if kind == "packets" else [FULL])
        yield [flags.to_bytes(5), getattr(writer, kind)(flags)]


def check_stream_input(parts: Input) -> str:
    flags, stream = parts
    return check_stream(stream, int.from_bytes(flags), random.Random(zlib.crc32(stream)))


def seeds(draw: random.Random) -> Iterator[Input]:
    while True:
        yield [draw.randbytes(8)]


@cache
def recorded_frames() -> list[bytes]:
    return [frame for line in lines("handshake.hex") for frame in line]


def check_handshake_input(parts: Input) -> str:
    return check_handshake(recorded_frames(), random.Random(parts[0]))


TARGETS: Final = {
    **{kind: Target(partial(streams, kind), check_stream_input) for kind in ("packets", "headers", "fragments")},
    "handshake": Target(seeds, check_handshake_input),
}


def check_corpus() -> int:
    """Check every input of the corpus; return how many there are."""
    draw, inputs = random.Random(0), 0
    for flags, stream in lines("packets.hex"):
        check_stream(stream, int.from_bytes(flags), draw)
        inputs += 1
    for frames in lines("handshake.hex"):
        for _ in range(20):
            check_handshake(frames, draw)
        inputs += 1
    return inputs
