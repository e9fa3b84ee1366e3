"""A slow decoder in plain Python, as the oracle of the native one.

It answers a canonical form instead of terms: nested tuples that tell apart what Erlang tells apart, so that a
comparison does not depend on what Python takes for equal. ``canonical`` brings a term into the same form.

Source: OTP, "External Term Format"; where that is silent, ``external.c`` of OTP 25.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING, Any

from pyzen.terms import (
    Atom,
    BitString,
    Export,
    FrozenList,
    Fun,
    ImproperList,
    Pid,
    Port,
    Record,
    Reference,
    TermMap,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Canonical = tuple[Any, ...]


class NotATermError(Exception):
    """The bytes are not a term."""


def need(condition: bool, what: str) -> None:
    if not condition:
        raise NotATermError(what)


class Bytes:
    """Bytes that are read from the front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        need(self.at + count <= len(self.data), "truncated")
        self.at += count
        return self.data[self.at - count : self.at]

    def unsigned(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def left(self) -> int:
        return len(self.data) - self.at


def decode(data: bytes) -> Canonical:
    """Decode a term with its version byte.

    Raises:
        NotATermError: If the bytes are no term.
    """
    source = Bytes(data)
    need(source.unsigned(1) == 131, "version")
    if data[1:2] == b"P":
        source.take(1)
        source = Bytes(inflate(source))
    term = read(source)
    need(source.left() == 0, "trailing bytes")
    return term


def inflate(source: Bytes) -> bytes:
    size = source.unsigned(4)
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(source.take(source.left()), size + 1)
    except zlib.error as error:
        raise NotATermError(str(error)) from error
    need(len(plain) == size and unpacker.eof and not unpacker.unused_data, "compressed size")
    return plain


def read(source: Bytes) -> Canonical:
    tag = source.unsigned(1)
    reader = READERS.get(tag)
    need(reader is not None, f"tag {tag}")
    assert reader is not None
    return reader(source)


def read_many(source: Bytes, count: int) -> tuple[Canonical, ...]:
    need(count <= source.left(), "count")
    return tuple(read(source) for _ in range(count))


def read_atom(source: Bytes) -> Canonical:
    term = read(source)
    need(term[0] == "atom", "an atom is needed")
    return term


def atom(text: str) -> Canonical:
    need(len(text) <= 255, "long atom")
    return ("atom", text)


def utf8_atom(source: Bytes, length_size: int) -> Canonical:
    try:
        return atom(source.take(source.unsigned(length_size)).decode())
    except UnicodeDecodeError as error:
        raise NotATermError("utf-8") from error


def floating(value: float) -> Canonical:
    need(math.isfinite(value), "finite")
    return ("float", struct.pack(">d", value))


def old_float(source: Bytes) -> Canonical:
    text = source.take(31).split(b"\0")[0]
    need(set(text) <= set(b"0123456789+-.eE"), "float text")
    try:
        return floating(float(text))
    except ValueError as error:
        raise NotATermError("float text") from error


def big(source: Bytes, length_size: int) -> Canonical:
    length = source.unsigned(length_size)
    negative = source.unsigned(1) != 0
    value = int.from_bytes(source.take(length), "little")
    return ("integer", -value if negative else value)


def bits(source: Bytes) -> Canonical:
    length, last = source.unsigned(4), source.unsigned(1)
    data = source.take(length)
    need(last <= 8 and (last == 0) == (length == 0), "bits")
    return bitstring(data, last)


def bitstring(data: bytes, last: int) -> Canonical:
    if last in {0, 8}:
        return ("binary", data)
    return ("bits", data[:-1] + bytes([data[-1] & (0xFF00 >> last & 0xFF)]), last)


def listing(elements: tuple[Canonical, ...], tail: Canonical | None) -> Canonical:
    """A list; ``tail`` None is a proper one."""
    if not elements and tail is not None:
        return tail
    if tail is not None and tail[0] == "list":
        return ("list", elements + tail[1], tail[2])
    return ("list", elements, tail)


def string(source: Bytes) -> Canonical:
    return ("list", tuple(("integer", byte) for byte in source.take(source.unsigned(2))), None)


def read_list(source: Bytes) -> Canonical:
    elements = read_many(source, source.unsigned(4))
    return listing(elements, read(source))


def read_map(source: Bytes) -> Canonical:
    count = source.unsigned(4)
    flat = read_many(source, 2 * count)
    pairs = frozenset(zip(flat[::2], flat[1::2], strict=True))
    need(len(set(flat[::2])) == count, "duplicate key")
    return ("map", pairs)


def tiny(source: Bytes) -> int:
    creation = source.unsigned(1)
    need(creation <= 3, "creation")
    return creation


def read_pid(source: Bytes, *, old: bool) -> Canonical:
    node, number, serial = read_atom(source), source.unsigned(4), source.unsigned(4)
    return ("pid", node, number, serial, tiny(source) if old else source.unsigned(4))


def read_port(source: Bytes, *, id_size: int, old: bool) -> Canonical:
    node, number = read_atom(source), source.unsigned(id_size)
    return ("port", node, number, tiny(source) if old else source.unsigned(4))


def read_reference(source: Bytes, *, old: bool) -> Canonical:
    count = source.unsigned(2)
    need(1 <= count <= 5, "words")
    node = read_atom(source)
    creation = tiny(source) if old else source.unsigned(4)
    return ("reference", node, creation, tuple(source.unsigned(4) for _ in range(count)))


def ancient_reference(source: Bytes) -> Canonical:
    node, word = read_atom(source), source.unsigned(4)
    return ("reference", node, tiny(source), (word,))


def small_number(source: Bytes) -> int:
    term = read(source)
    need(term[0] == "integer" and abs(term[1]) < 2**63, "a small integer is needed")
    value = term[1]
    assert isinstance(value, int)
    return value


def read_fun(source: Bytes) -> Canonical:
    source.take(4)
    arity, uniq, index, free = source.unsigned(1), source.take(16), source.unsigned(4), source.unsigned(4)
    module, old_index, old_uniq, pid = read_atom(source), small_number(source), small_number(source), read(source)
    need(pid[0] == "pid", "a pid is needed")
    return ("fun", module, arity, uniq, index, old_index, old_uniq, pid, read_many(source, free))


def read_export(source: Bytes) -> Canonical:
    module, function, arity = read_atom(source), read_atom(source), small_number(source)
    need(0 <= arity <= 255, "arity")
    return ("export", module, function, arity)


def read_record(source: Bytes) -> Canonical:
    count, flags = source.unsigned(4), source.unsigned(1)
    module, name = read_atom(source), read_atom(source)
    need(2 * count <= source.left(), "count")
    names = tuple(read_atom(source) for _ in range(count))
    need(len(set(names)) == count, "duplicate field")
    return ("record", module, name, flags, names, read_many(source, count))


READERS: dict[int, Callable[[Bytes], Canonical]] = {
    67: read_record,
    70: lambda source: floating(struct.unpack(">d", source.take(8))[0]),
    77: bits,
    88: lambda source: read_pid(source, old=False),
    89: lambda source: read_port(source, id_size=4, old=False),
    90: lambda source: read_reference(source, old=False),
    97: lambda source: ("integer", source.unsigned(1)),
    98: lambda source: ("integer", int.from_bytes(source.take(4), "big", signed=True)),
    99: old_float,
    100: lambda source: atom(source.take(source.unsigned(2)).decode("latin-1")),
    101: ancient_reference,
    102: lambda source: read_port(source, id_size=4, old=True),
    103: lambda source: read_pid(source, old=True),
    104: lambda source: ("tuple", read_many(source, source.unsigned(1))),
    105: lambda source: ("tuple", read_many(source, source.unsigned(4))),
    106: lambda source: ("list", (), None),
    107: string,
    108: read_list,
    109: lambda source: ("binary", source.take(source.unsigned(4))),
    110: lambda source: big(source, 1),
    111: lambda source: big(source, 4),
    112: read_fun,
    113: read_export,
    114: lambda source: read_reference(source, old=True),
    115: lambda source: atom(source.take(source.unsigned(1)).decode("latin-1")),
    116: read_map,
    118: lambda source: utf8_atom(source, 2),
    119: lambda source: utf8_atom(source, 1),
    120: lambda source: read_port(source, id_size=8, old=False),
}


def canonical(term: Any) -> Canonical:  # noqa: PLR0912 - one row per type
    """Bring a term into the form that ``decode`` answers."""
    match term:
        case bool() | None:
            return ("atom", "nil" if term is None else str(term).lower())
        case Atom():
            return ("atom", str(term))
        case int():
            return ("integer", term)
        case float():
            return ("float", struct.pack(">d", term))
        case str():
            return ("binary", term.encode())
        case bytes() | bytearray() | memoryview():
            return ("binary", bytes(term))
        case BitString():
            return ("bits", term.data, term.bits)
        case tuple():
            return ("tuple", tuple(map(canonical, term)))
        case list() | FrozenList():
            return ("list", tuple(map(canonical, term)), None)
        case ImproperList():
            return ("list", tuple(map(canonical, term.elements)), canonical(term.tail))
        case dict() | TermMap():
            return ("map", frozenset((canonical(key), canonical(value)) for key, value in term.items()))
        case Pid():
            return ("pid", canonical(term.node), term.id, term.serial, term.creation)
        case Port():
            return ("port", canonical(term.node), term.id, term.creation)
        case Reference():
            return ("reference", canonical(term.node), term.creation, term.words)
        case Export():
            return ("export", canonical(term.module), canonical(term.function), term.arity)
        case Fun():
            head = (term.arity, term.uniq, term.index, term.old_index, term.old_uniq)
            free = tuple(map(canonical, term.free_variables))
            return ("fun", canonical(term.module), *head, canonical(term.pid), free)
        case Record():
            names = tuple(map(canonical, term.fields))
            values = tuple(map(canonical, term.fields.values()))
            return ("record", canonical(term.module), canonical(term.name), term.flags, names, values)
    raise TypeError(type(term))
