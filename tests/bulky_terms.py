"""Terms of any size in every shape that could take more time than its bytes are worth, as a peer could send them.

Each function of `SHAPES` is given a number of bytes, and returns a term of about so many in the external form, with its
version byte. Those of `REFUSED` are no terms, or run into a limit.
"""

from __future__ import annotations

import random
import struct
import zlib
from functools import cache
from itertools import count, islice, product
from typing import TYPE_CHECKING, Final

from pyzen.config import Limits
from tests.deep import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PRIME: Final = (1 << 61) - 1
"""Python's hash of an integer is what is left of it by this."""

NIL: Final = b"j"
ATOM: Final = b"w\x01a"
NODE: Final = b"w\x03n@h"


# ---- parts


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


def integer(value: int) -> bytes:
    """Return an integer in the form that BEAM gives it."""
    if 0 <= value < 256:
        return bytes([97, value])
    if -(2**31) <= value < 2**31:
        return b"b" + struct.pack(">i", value)
    magnitude = abs(value).to_bytes((value.bit_length() + 7) // 8, "little")
    return b"n" + bytes([len(magnitude), value < 0]) + magnitude


def many(item: Callable[[int], bytes], size: int) -> list[bytes]:
    """Return items of so many bytes together."""
    items, left = list[bytes](), size
    for number in count():
        items.append(item(number))
        left -= len(items[-1])
        if left <= 0:
            return items
    return items


def listed(items: Iterable[bytes], tail: bytes = NIL) -> bytes:
    items = list(items)
    return b"l" + u32(len(items)) + b"".join(items) + tail


def mapped(pairs: Iterable[bytes]) -> bytes:
    """Return a map of pairs, each a key and a value in one."""
    pairs = list(pairs)
    return b"t" + u32(len(pairs)) + b"".join(pairs)


def list_of(item: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return the shape of a list of such items."""
    return lambda size: b"\x83" + listed(many(item, size))


def map_of(key: Callable[[int], bytes], value: bytes = NIL) -> Callable[[int], bytes]:
    """Return the shape of one map of such keys."""
    return lambda size: b"\x83" + mapped(many(lambda number: key(number) + value, size))


def maps_of(keys: int, key: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return the shape of a list of maps that have the same few keys."""
    one = mapped(key(number) + NIL for number in range(keys))
    return list_of(lambda _: one)


def record(number: int) -> bytes:
    return b"C" + u32(2) + b"\x01" + ATOM + b"w\x01r" + b"w\x01x" + b"w\x01y" + integer(number) + NIL


def wide_record(size: int) -> bytes:
    """One record of distinct fields."""
    names = many(lambda number: b"w\x06%06d" % number, size * 8 // 10)
    return b"\x83C" + u32(len(names)) + b"\x01" + ATOM + ATOM + b"".join(names) + NIL * len(names)


def fun(free: Iterable[bytes]) -> bytes:
    free = list(free)
    head = bytes(4) + b"\x01" + bytes(16) + bytes(4) + u32(len(free))
    return b"p" + head + ATOM + integer(0) + integer(1) + b"X" + NODE + bytes(12) + b"".join(free)


def nested(kind: str) -> Callable[[int], bytes]:
    """Return the shape of many terms, each nested as deep as the limit lets through."""
    head, tail, levels = LEVELS[kind]
    times = (Limits().max_depth - 1) // levels
    one = head * times + b"w\x01z" + tail * times
    return list_of(lambda _: one)


def nested_around(kind: str, times: int, inner: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return the shape of one large term within so many containers."""
    head, tail, _ = LEVELS[kind]
    return lambda size: b"\x83" + head * times + inner(size)[1:] + tail * times


def around(head: bytes, shape: Callable[[int], bytes], tail: bytes) -> Callable[[int], bytes]:
    return lambda size: b"\x83" + head + shape(size)[1:] + tail


def big(size: int) -> bytes:
    return b"\x83o" + u32(size) + b"\x01" + b"\xfe" * size


def long_tail(size: int) -> bytes:
    """A list whose tail is a list of one element, whose tail is one, and so on."""
    times = size // 7
    return b"\x83" + (b"l" + u32(1) + b"a\x07") * times + NIL


def strings(size: int) -> bytes:
    return list_of(lambda _: b"k\xff\xff" + b"x" * 65535)(size)


def compressed(size: int) -> bytes:
    """A term that grows to so many bytes."""
    term = list_of(lambda number: integer(number * 7))(size)[1:]
    return b"\x83P" + u32(len(term)) + zlib.compress(term)


def compressed_twice(size: int) -> bytes:
    inner = compressed(size)[1:]
    return b"\x83P" + u32(len(inner)) + zlib.compress(inner)


# ---- keys of maps


def colliding(number: int) -> int:
    """Return integers of one hash."""
    return (number + 5) * PRIME


def crowded(inner: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return the shape of many maps whose keys have one hash each, as many keys as one hash may have."""
    one = mapped(inner(colliding(number)) + NIL for number in range(Limits().max_equal_hashes))
    return list_of(lambda _: one)


def crowded_long(size: int) -> bytes:
    """One map of as many long keys of one hash: Python compares each with all before it, from the start."""
    return long_keys(size, lambda same, last: b"k" + struct.pack(">H", same) + b"x" * same, listed_pair)


def listed_pair(one: bytes, other: bytes) -> bytes:
    return listed([one, other])


def tuple_pair(one: bytes, other: bytes) -> bytes:
    return b"h\x02" + one + other


def long_keys(size: int, same: Callable[[int, int], bytes], pair: Callable[[bytes, bytes], bytes]) -> bytes:
    keys = Limits().max_equal_hashes
    length = min(size // keys - 20, 65535)
    groups = max(size // (keys * (length + 20)), 1)
    made = (mapped(pair(same(length, g), integer(colliding(n))) + NIL for n in range(keys)) for g in range(groups))
    return b"\x83" + listed(made)


def crowded_tuples(size: int) -> bytes:
    """The same with long tuples of different objects, whose last element makes the difference."""
    keys, each = Limits().max_equal_hashes, size // Limits().max_equal_hashes // 9
    same = b"".join(b"F" + struct.pack(">d", number + 0.5) for number in range(each))
    head = b"i" + u32(each + 1) + same
    return b"\x83" + mapped(head + integer(colliding(number)) + NIL for number in range(keys))


def minus_one_or_two(size: int) -> bytes:
    """Tuples of -1 and -2, which have one hash."""
    keys = islice(product((-1, -2), repeat=20), size // 103)
    return b"\x83" + mapped(b"h\x14" + b"".join(map(integer, key)) + NIL for key in keys)


def orbit_keys(size: int) -> bytes:
    """Integers of different hashes whose ways through a dict's table all lead over places that are taken.

    The first third of them takes places that a search goes to one after the other; the others, put in before the table
    grows again, are searched for along these, each behind all before it.
    """
    return one_way(min(max((size // 9 * 3 // 2).bit_length() - 1, 6), 14))  # more take minutes to be found


@cache
def one_way(bits: int) -> bytes:
    return b"\x83" + mapped(integer(key) + NIL for key in orbit(bits))


def orbit(bits: int) -> Iterator[int]:
    mask = (1 << bits) - 1
    first, place = list[int](), 0
    for _ in range(mask // 3 + 1):
        first.append(place)
        place = 5 * place + 1 & mask
    yield from first
    draw, taken, others = random.Random(bits), set(first), set[int]()
    while len(others) < (mask + 1) // 3 - 2:
        key = way(draw.choice(first[: len(first) // 2]), bits, taken, draw)
        if key is not None and key not in others:
            others.add(key)
            yield key


def way(start: int, bits: int, taken: set[int], draw: random.Random) -> int | None:
    """Return a hash whose way starts there, and goes over places that are taken; five bits more decide each step."""
    mask, key, place, shift = (1 << bits) - 1, start, start, 5
    for known in range(bits, 60, 5):
        choices = [key | choice << known for choice in range(1 << min(5, 60 - known))]
        ways = [one for one in choices if 5 * place + (one >> shift) + 1 & mask in taken]
        if not ways:
            return None
        key = draw.choice(ways)
        place, shift = 5 * place + (key >> shift) + 1 & mask, shift + 5
    while key >> shift:
        place, shift = 5 * place + (key >> shift) + 1 & mask, shift + 5
        if place not in taken:
            return None
    return key


SHAPES: Final[dict[str, Callable[[int], bytes]]] = {
    "small integers": list_of(lambda number: integer(number % 256)),
    "integers": list_of(lambda number: integer(number + 1000)),
    "negative integers": list_of(lambda number: integer(-number - 1)),
    "integers of 64 bits": list_of(lambda number: integer(number + 2**62)),
    "integers of 200 bits": list_of(lambda number: integer(number + 2**200)),
    "one large integer": big,
    "large integers": list_of(lambda _: b"o" + u32(3000) + b"\x00" + b"\x01" * 3000),
    "a large zero": lambda size: b"\x83o" + u32(size) + b"\x01" + bytes(size),
    "floats": list_of(lambda number: b"F" + struct.pack(">d", number + 0.5)),
    "old floats": list_of(lambda number: b"c" + (b"%.20e" % (number + 0.5)).ljust(31, b"\0")),
    "one binary": lambda size: b"\x83m" + u32(size) + b"\xc3\xa9" * (size // 2) + b"x" * (size % 2),
    "binaries": list_of(lambda number: b"m" + u32(6) + b"%06d" % (number % 1_000_000)),
    "empty binaries": list_of(lambda _: b"m" + u32(0)),
    "one bitstring": lambda size: b"\x83M" + u32(size) + b"\x07" + b"\xaa" * size,
    "bitstrings": list_of(lambda number: b"M" + u32(3) + b"\x05" + struct.pack(">I", number)[1:]),
    "strings": strings,
    "empty lists": list_of(lambda _: NIL),
    "empty tuples": list_of(lambda _: b"h\x00"),
    "empty maps": list_of(lambda _: b"t" + u32(0)),
    "lists of one": list_of(lambda _: listed([NIL])),
    "tuples of one": list_of(lambda _: b"h\x01j"),
    "large tuple": lambda size: b"\x83i" + u32(size) + NIL * size,
    "pairs": list_of(lambda number: b"h\x02" + ATOM + integer(number)),
    "improper lists": list_of(lambda number: listed([ATOM], integer(number))),
    "one improper list": lambda size: b"\x83" + listed(many(lambda _: b"a\x07", size), ATOM),
    "tails that are lists": long_tail,
    "one atom": list_of(lambda _: ATOM),
    "one long atom": list_of(lambda _: b"w\xff" + b"x" * 255),
    "atoms in turn": list_of(lambda number: b"w\x05t%04d" % (number % 5000)),
    "distinct atoms": list_of(lambda number: b"w\x09d%08d" % number),
    "latin1 atoms": list_of(lambda number: b"s\x06\xe9%05d" % (number % 5000)),
    "pids": list_of(lambda number: b"X" + NODE + struct.pack(">III", number, 0, 7)),
    "old pids": list_of(lambda number: b"g" + NODE + struct.pack(">II", number, 0) + b"\x03"),
    "ports": list_of(lambda number: b"x" + NODE + struct.pack(">QI", number << 30, 7)),
    "new ports": list_of(lambda number: b"Y" + NODE + struct.pack(">II", number, 7)),
    "old ports": list_of(lambda number: b"f" + NODE + struct.pack(">I", number) + b"\x03"),
    "references": list_of(lambda number: b"Z\x00\x05" + NODE + struct.pack(">6I", 7, number, 0, 0, 0, 0)),
    "new references": list_of(lambda number: b"r\x00\x03" + NODE + b"\x03" + struct.pack(">3I", number, 0, 0)),
    "old references": list_of(lambda number: b"e" + NODE + struct.pack(">I", number) + b"\x03"),
    "exports": list_of(lambda number: b"q" + ATOM + ATOM + integer(number % 256)),
    "funs": list_of(lambda number: fun([integer(number)])),
    "a fun of many free variables": lambda size: b"\x83" + fun(many(integer, size)),
    "records": list_of(record),
    "a wide record": wide_record,
    "compressed": compressed,
    "compressed twice": compressed_twice,
    **{f"nested {kind}": nested(kind) for kind in LEVELS},
    **{f"integers within 300 of {kind}": nested_around(kind, 300, list_of(integer)) for kind in ("list", "map key")},
    "a list in a key": around(b"t" + u32(1), list_of(lambda number: integer(number + 1000)), NIL),
    "a string in a key": around(b"t" + u32(1), strings, NIL),
    "lists of lists in a key": around(b"t" + u32(1), list_of(lambda _: listed([NIL])), NIL),
    "a map in a key": around(b"t" + u32(1), map_of(integer), NIL),
    "maps of one in a key": around(b"t" + u32(1), list_of(lambda _: mapped([ATOM + NIL])), NIL),
    "maps of one": list_of(lambda number: mapped([ATOM + integer(number)])),
    "maps of eight": maps_of(8, integer),
    "maps of 1 and 1.0": list_of(lambda _: mapped([integer(1) + NIL, b"F" + struct.pack(">d", 1.0) + NIL])),
    "a map of integers": map_of(integer),
    "a map of integers far apart": map_of(lambda number: integer(number << 40)),
    "a map of integers and floats": map_of(
        lambda number: integer(number // 2) if number % 2 else b"F" + struct.pack(">d", number // 2)
    ),
    "a map of floats": map_of(lambda number: b"F" + struct.pack(">d", number / 1024)),
    "a map of large integers": map_of(lambda number: integer(number + 2**70)),
    "a map of atoms": map_of(lambda number: b"w\x09k%08d" % number),
    "a map of binaries": map_of(lambda number: b"m" + u32(6) + b"%06d" % (number % 1_000_000)),
    "a map of bitstrings": map_of(lambda number: b"M" + u32(4) + b"\x05" + struct.pack(">I", number << 3)),
    "a map of tuples": map_of(lambda number: b"h\x02" + integer(number // 1000) + integer(number % 1000)),
    "a map of lists": map_of(lambda number: listed([integer(number)])),
    "a map of improper lists": map_of(lambda number: listed([integer(number)], ATOM)),
    "a map of maps": map_of(lambda number: mapped([integer(number) + NIL])),
    "a map of pids": map_of(lambda number: b"X" + NODE + struct.pack(">III", number, 0, 7)),
    "a map of ports": map_of(lambda number: b"x" + NODE + struct.pack(">QI", number << 30, 7)),
    "a map of references": map_of(lambda number: b"Z\x00\x01" + NODE + struct.pack(">2I", 7, number)),
    "a map of exports": map_of(lambda number: b"q" + ATOM + b"w\x05f%04d" % (number % 5000) + integer(number // 5000)),
    "a map of funs": map_of(lambda number: fun([integer(number)])),
    "a map of records": map_of(record),
    "maps of integers of one hash": crowded(integer),
    "maps of tuples of one hash": crowded(lambda value: b"h\x01" + integer(value)),
    "maps of lists of one hash": crowded(lambda value: listed([integer(value)])),
    "maps of improper lists of one hash": crowded(lambda value: listed([integer(value)], ATOM)),
    "maps of records of one hash": crowded(record),
    "maps of funs of one hash": crowded(lambda value: fun([integer(value)])),
    "long lists of one hash": crowded_long,
    "long lists in tuples of one hash": lambda size: long_keys(
        size, lambda same, _: b"k" + struct.pack(">H", same) + b"x" * same, tuple_pair
    ),
    "long tuples of one hash": crowded_tuples,
    "large integers of one hash": lambda size: (
        b"\x83"
        + mapped(
            b"o"
            + u32(size // 100)
            + b"\0"
            + (((1 << 8 * (size // 100)) - 1) // PRIME * PRIME - number * PRIME).to_bytes(size // 100, "little")
            + NIL
            for number in range(100)
        )
    ),
    "a map of integers of one hash": map_of(lambda number: integer(colliding(number))),
    "a map of tuples of one hash": map_of(lambda number: b"h\x01" + integer(colliding(number))),
    "a map of tuples of -1 and -2": minus_one_or_two,
    "a map of integers on one way": orbit_keys,
}

REFUSED: Final = frozenset({
    "compressed twice",
    "a map of integers of one hash",
    "a map of tuples of one hash",
    "a map of integers on one way",
})  # fmt: skip
