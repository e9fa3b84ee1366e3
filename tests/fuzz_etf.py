"""Random and mutated inputs for the codec.

Each input either decodes, to a term that encodes to bytes that decode to the same again, or raises ``DecodeError``.
Every tenth is also given to the oracle, which must agree on whether the bytes are a term, and on which.
"""

from __future__ import annotations

import json
import random
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyzen import etf
from pyzen.errors import DecodeError, LimitExceeded
from tests import reference_etf
from tests.fuzzing import Target, behaviour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzzing import Input

VECTORS: Final = Path(__file__).parent / "vectors"
TAGS: Final = [67, 70, 77, 80, 82, *range(88, 91), *range(97, 122)]
COMPARED: Final = 10


class Generator:
    """Writes bytes that are terms, or nearly."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.corpus = corpus()

    def input(self) -> bytes:
        kind = self.random.random()
        if kind < 0.1:
            return self.noise(prefix=b"\x83")
        if kind < 0.4:
            return b"\x83" + self.term(4)
        if kind < 0.45:
            return self.compressed()
        return self.mutated(self.random.choice(self.corpus) if kind < 0.8 else b"\x83" + self.term(3))

    def noise(self, prefix: bytes = b"") -> bytes:
        return prefix + self.random.randbytes(self.random.randrange(30))

    def compressed(self) -> bytes:
        term = self.term(4)
        size = len(term) + self.random.choice([0, 0, 0, 1, -1])
        return b"\x83P" + struct.pack(">I", max(size, 0)) + zlib.compress(term) + self.random.choice([b"", b"", b"x"])

    def mutated(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.random.choice([1, 1, 1, 2, 5])):
            at = self.random.randrange(len(changed)) if changed else 0
            match self.random.randrange(6):
                case 0:
                    changed[at : at + 1] = self.random.randbytes(1)
                case 1:
                    changed[at : at + 1] = bytes([self.random.choice(TAGS)])
                case 2:
                    del changed[at:]
                case 3:
                    changed[at:at] = self.noise()
                case 4:
                    other = self.random.choice(self.corpus)
                    changed[at:] = other[self.random.randrange(len(other)) :]
                case _:
                    changed[at : at + 4] = struct.pack(">I", self.random.choice([0, 1, 2**31, 2**32 - 1]))
        return bytes(changed)

    def atom(self) -> bytes:
        text = self.random.choice([b"", b"a", b"true", b"nil", "é€".encode(), b"x" * 255, b"\xff"])
        return self.random.choice(
            [
                b"w" + bytes([len(text)]) + text,
                b"v" + struct.pack(">H", len(text)) + text,
                b"s" + bytes([len(text)]) + text,
                b"d" + struct.pack(">H", len(text)) + text,
            ]
        )

    def term(self, depth: int) -> bytes:  # noqa: PLR0912 - one row per tag
        """One term of any tag, right in most of its fields."""
        draw = self.random
        count = draw.choice([0, 1, 1, 2, 3]) if depth else 0

        def inner(times: int) -> bytes:
            return b"".join(self.term(depth - 1) for _ in range(times))

        u8, u32 = draw.randbytes(1), draw.randbytes(4)
        tiny = bytes([draw.choice([0, 1, 3, 4])])
        small = bytes([97, draw.randrange(256)])
        data = draw.randbytes(draw.choice([0, 1, 8, 20]))
        match draw.choice(TAGS):
            case 67:
                names = b"".join(self.atom() for _ in range(count))
                return b"C" + struct.pack(">I", count) + u8 + self.atom() + self.atom() + names + inner(count)
            case 70:
                return b"F" + draw.randbytes(8)
            case 77:
                return b"M" + struct.pack(">IB", len(data), draw.randrange(10)) + data
            case 88:
                return self.pid()
            case 89:
                return b"Y" + self.atom() + u32 + u32
            case 90:
                words = draw.randrange(7)
                return b"Z" + struct.pack(">H", words) + self.atom() + u32 + draw.randbytes(4 * words)
            case 97 | 82 | 80:
                return small
            case 98:
                return b"b" + u32
            case 99:
                return b"c" + (b"%.20e" % draw.uniform(-1e300, 1e300)).ljust(31, b"\0")
            case 100 | 115 | 118 | 119:
                return self.atom()
            case 101 | 102:
                return bytes([draw.choice([101, 102])]) + self.atom() + u32 + tiny
            case 103:
                return b"g" + self.atom() + u32 + u32 + tiny
            case 104:
                return bytes([104, count]) + inner(count)
            case 105:
                return b"i" + struct.pack(">I", count) + inner(count)
            case 107:
                return b"k" + struct.pack(">H", len(data)) + data
            case 108:
                tail = draw.choice([b"j", self.term(depth - 1)]) if depth else b"j"
                return b"l" + struct.pack(">I", count) + inner(count) + tail
            case 109:
                return b"m" + struct.pack(">I", len(data)) + data
            case 110:
                return b"n" + bytes([len(data)]) + tiny + data
            case 111:
                return b"o" + struct.pack(">I", len(data)) + tiny + data
            case 112:
                head = u8 + draw.randbytes(16) + u32 + struct.pack(">I", count)
                return b"p" + u32 + head + self.atom() + small + small + self.pid() + inner(count)
            case 113:
                return b"q" + self.atom() + self.atom() + small
            case 114:
                words = draw.randrange(7)
                return b"r" + struct.pack(">H", words) + self.atom() + tiny + draw.randbytes(4 * words)
            case 116:
                return b"t" + struct.pack(">I", count) + inner(2 * count)
            case 120:
                return b"x" + self.atom() + draw.randbytes(8) + u32
            case _:
                return b"j"

    def pid(self) -> bytes:
        return b"X" + self.atom() + self.random.randbytes(12)


def corpus() -> list[bytes]:
    """Return the vectors: recorded from a real node, and made by hand."""
    files = sorted(VECTORS.glob("*.json"))
    return [bytes.fromhex(vector["bytes"]) for file in files for vector in json.loads(file.read_text())["vectors"]]


def check(data: bytes, *, compare: bool) -> str:
    """Decode one input; return what became of it.

    Raises:
        AssertionError: If anything but a term or a documented error came of it.
    """
    try:
        term = etf.decode(data)
    except LimitExceeded as error:
        return behaviour("limit", error.limit)
    except DecodeError as error:
        assert not compare or not is_term(data), "the oracle takes it for a term"
        return behaviour("refused", f"tag {chr(error.tag or 32)}", error)
    again = etf.encode(term)
    assert etf.encode(etf.decode(again)) == again
    if compare:
        assert reference_etf.decode(data) == reference_etf.canonical(term)
        assert reference_etf.decode(again) == reference_etf.canonical(term)
    return behaviour("term", f"tag {data[1:2]!a}".replace("'", ""), type(term).__name__)


def is_term(data: bytes) -> bool:
    try:
        reference_etf.decode(data)
    except (reference_etf.NotATermError, RecursionError):
        return False
    return True


def inputs(draw: random.Random) -> Iterator[Input]:
    generator = Generator(draw.randrange(2**32))
    while True:
        yield [generator.input()]


def check_input(parts: Input) -> str:
    (data,) = parts
    return check(data, compare=zlib.crc32(data) % COMPARED == 0)


TARGETS: Final = {"terms": Target(inputs, check_input)}
