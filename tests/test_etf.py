"""The external term format: every tag, every limit, and nothing but the documented errors."""

from __future__ import annotations

import array
import collections
import enum
import gc
import itertools
import json
import math
import struct
import threading
import tracemalloc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyzen import etf
from pyzen.config import Limits
from pyzen.errors import DecodeError, EncodeError, LimitExceeded
from pyzen.terms import (
    Atom,
    BitString,
    FrozenList,
    Fun,
    ImproperList,
    Pid,
    Port,
    Record,
    Reference,
    TermMap,
    atoms,
)
from tests import fuzz_etf, reference_etf, strategies

if TYPE_CHECKING:
    from collections.abc import Callable

NODE = Atom("n@h")
PID = Pid(NODE, 1, 0, 7)

HANDMADE: dict[str, Any] = {
    "RECORD_EXT": Record("mod", "rec", {atoms.x: 1, atoms.y: 2}, 1),
    "BIT_BINARY_EXT of whole bytes": b"hi",
    "BIT_BINARY_EXT with unused bits set": BitString(b"\xe0", 3),
    "NEW_PID_EXT of 60 bits": Pid(NODE, 2**32 - 1, 2**28 - 1, 7),
    "NEW_PORT_EXT": Port(NODE, 5, 7),
    "NEWER_REFERENCE_EXT of 5 words": Reference(NODE, 7, [1, 2, 3, 4, 5]),
    "FLOAT_EXT": 1.5,
    "ATOM_EXT": Atom("ét"),
    "REFERENCE_EXT": Reference(NODE, 2, [9]),
    "PORT_EXT": Port(NODE, 9, 2),
    "PID_EXT": Pid(NODE, 9, 8, 2),
    "LARGE_TUPLE_EXT of one": (1,),
    "LIST_EXT of none with a tail": 1,
    "LIST_EXT whose tails are lists": [1, 2, 3],
    "SMALL_BIG_EXT with leading zeros": -5,
    "LARGE_BIG_EXT of a small value": 5,
    "NEW_FUN_EXT": Fun("mod", 2, bytes(range(16)), 3, 3, -5, PID, (9,)),
    "NEW_REFERENCE_EXT": Reference(NODE, 1, [1, 2, 3]),
    "SMALL_ATOM_EXT": Atom("é"),
    "SMALL_ATOM_EXT true": True,
    "ATOM_UTF8_EXT": Atom("€" * 255),
    "MAP_EXT with two zeros": TermMap([(0.0, 1), (-0.0, 2)]),
    "MAP_EXT with keys that Python takes for equal": TermMap([(1, 1), (1.0, 2), (True, 3)]),
    "V4_PORT_EXT": Port(NODE, 2**40, 7),
    "COMPRESSED": [()] * 300,
}


def vectors(name: str) -> list[dict[str, Any]]:
    loaded: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "vectors" / name).read_text())
    return loaded["vectors"]


def decode_hex(text: str) -> Any:
    return etf.decode(bytes.fromhex(text))


# ---- every tag ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("handmade.json"), ids=lambda vector: vector["name"])
def test_decode_reads_handmade_vector(vector: dict[str, Any]) -> None:
    decoded = decode_hex(vector["bytes"])

    assert reference_etf.canonical(decoded) == reference_etf.canonical(HANDMADE[vector["name"]])
    assert type(decoded) is type(HANDMADE[vector["name"]])


@pytest.mark.parametrize("vector", vectors("otp25.json"), ids=lambda vector: vector["term"])
def test_codec_round_trips_what_otp_25_wrote(vector: dict[str, Any]) -> None:
    decoded = decode_hex(vector["bytes"])

    assert reference_etf.canonical(decoded) == reference_etf.decode(bytes.fromhex(vector["bytes"]))
    assert etf.encode(decoded).hex() == vector["utf8"]


def test_vectors_cover_every_tag_that_is_decoded() -> None:
    seen = {vector["tag"] for vector in vectors("handmade.json")} | {vector["tag"] for vector in vectors("otp25.json")}

    assert seen == set(reference_etf.READERS) | {80}


@pytest.mark.parametrize("tag", [82, 117, 121, 80, 0, 131, 255])
def test_decode_refuses_tag_that_starts_no_term(tag: int) -> None:
    with pytest.raises(DecodeError) as caught:
        etf.decode(bytes([131, 104, 1, tag]) + bytes(40))

    assert (caught.value.offset, caught.value.tag) == (3, tag)


@given(strategies.terms())
def test_decode_of_encode_is_the_term(term: Any) -> None:
    decoded = etf.decode(etf.encode(term))

    assert reference_etf.canonical(decoded) == reference_etf.canonical(term)
    assert decoded == term


@given(strategies.terms())
def test_encode_agrees_with_the_oracle(term: Any) -> None:
    assert reference_etf.decode(etf.encode(term)) == reference_etf.canonical(term)


@given(strategies.terms())
def test_encode_of_decode_is_the_bytes(term: Any) -> None:
    data = etf.encode(term)

    assert etf.encode(etf.decode(data)) == data


@given(strategies.terms(), st.integers(1, 9))
def test_decode_reads_compressed_terms(term: Any, level: int) -> None:
    assert etf.decode(etf.encode(term, compressed=level)) == term


def test_fuzz_raises_only_documented_errors() -> None:
    outcomes = fuzz_etf.run(100_000, seed=20_261_123)

    assert outcomes["term"] > 10_000
    assert outcomes["refused"] > 10_000


# ---- bytes that end or lie ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(HANDMADE))
def test_decode_refuses_every_prefix(name: str) -> None:
    data = etf.encode(HANDMADE[name])

    for end in range(len(data)):
        with pytest.raises(DecodeError):
            etf.decode(data[:end])


def test_decode_refuses_bytes_after_the_term() -> None:
    with pytest.raises(DecodeError, match="bytes follow") as caught:
        etf.decode(b"\x83a\x01a")

    assert caught.value.offset == 3


@pytest.mark.parametrize("data", [b"", b"a\x01", b"\x82a\x01"])
def test_decode_refuses_other_version(data: bytes) -> None:
    with pytest.raises(DecodeError):
        etf.decode(data)


@pytest.mark.parametrize("tag", [105, 108, 109, 111, 116, 77, 67])
def test_decode_allocates_nothing_for_declared_length(tag: int) -> None:
    data = bytes([131, tag]) + b"\xff\xff\xff\xff" + bytes(8)

    tracemalloc.start()
    with pytest.raises(DecodeError):
        etf.decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100_000


def test_decode_allocates_nothing_for_lengths_declared_at_each_level() -> None:
    """Each level claims all the bytes that are left: together they claim more than there is."""
    levels = 1000
    data = b"\x83" + b"".join(b"l" + struct.pack(">I", 5 * (levels - level)) for level in range(levels)) + bytes(10)

    tracemalloc.start()
    with pytest.raises(DecodeError, match="more elements are declared"):
        etf.decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 10 * len(data) + 100_000


def test_decode_refuses_length_declared_by_a_tail() -> None:
    with pytest.raises(DecodeError, match="more elements are declared"):
        etf.decode(b"\x83l\0\0\0\x01a\x01" + b"l\xff\xff\xff\xff" + bytes(8))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_decode_refuses_float_that_is_not_finite(value: float) -> None:
    with pytest.raises(DecodeError, match="not finite"):
        etf.decode(b"\x83F" + struct.pack(">d", value))


@pytest.mark.parametrize("text", [b"nan", b"inf", b"0x10", b"", b" 1.0", b"1e999"])
def test_decode_refuses_text_that_is_no_float(text: bytes) -> None:
    with pytest.raises(DecodeError):
        etf.decode(b"\x83c" + text.ljust(31, b"\0"))


@pytest.mark.parametrize("key", [b"a\x01", b"m\0\0\0\x01x", b"j", b"l\0\0\0\x01a\x01j", b"F" + bytes(8), b"t\0\0\0\0"])
def test_decode_refuses_duplicate_key(key: bytes) -> None:
    with pytest.raises(DecodeError, match="same key twice"):
        etf.decode(b"\x83t\0\0\0\x02" + key + b"a\x01" + key + b"a\x02")


def test_decode_refuses_duplicate_key_in_other_encoding() -> None:
    with pytest.raises(DecodeError, match="same key twice"):
        etf.decode(b"\x83t\0\0\0\x02" + b"k\0\x01\x05" + b"a\x01" + b"l\0\0\0\x01a\x05j" + b"a\x02")


def test_decode_refuses_atom_of_256_characters() -> None:
    with pytest.raises(DecodeError, match="255 characters"):
        etf.decode(b"\x83v" + struct.pack(">H", 256) + b"a" * 256)


@pytest.mark.parametrize("words", [0, 6])
def test_decode_refuses_reference_of_other_length(words: int) -> None:
    with pytest.raises(DecodeError):
        etf.decode(b"\x83Z" + struct.pack(">H", words) + b"w\x01n" + bytes(4 + 4 * words))


def test_decode_refuses_records_with_two_fields_of_one_name() -> None:
    with pytest.raises(DecodeError, match="two fields"):
        etf.decode(b"\x83C\0\0\0\x02\x01w\x01mw\x01rw\x01aw\x01aa\x01a\x02")


@pytest.mark.parametrize("change", [-1, 1])
def test_decode_refuses_other_size_of_compressed_term(change: int) -> None:
    term = b"m" + struct.pack(">I", 1000) + bytes(1000)

    with pytest.raises(DecodeError, match="compressed"):
        etf.decode(b"\x83P" + struct.pack(">I", len(term) + change) + zlib.compress(term))


def test_decode_refuses_compressed_term_within_compressed_term() -> None:
    inner = b"P" + struct.pack(">I", 2) + zlib.compress(b"a\x01")

    with pytest.raises(DecodeError):
        etf.decode(b"\x83P" + struct.pack(">I", len(inner)) + zlib.compress(inner))


# ---- limits ------------------------------------------------------------------------------------------


def nested_bytes(levels: int) -> bytes:
    return b"\x83" + b"l\0\0\0\x01" * levels + b"j" + b"j" * levels


def test_decode_reads_nesting_at_the_limit() -> None:
    assert etf.decode(nested_bytes(3), limits=Limits(max_depth=3)) == [[[[]]]]


def test_decode_refuses_nesting_past_the_limit() -> None:
    with pytest.raises(LimitExceeded) as caught:
        etf.decode(nested_bytes(4), limits=Limits(max_depth=3))

    assert (caught.value.limit, caught.value.value, caught.value.maximum) == ("max_depth", 4, 3)


def test_decode_refuses_flat_tuple_past_the_depth_limit() -> None:
    data = b"\x83" + b"h\x01" * 4 + b"a\x01"

    assert etf.decode(data, limits=Limits(max_depth=4)) == ((((1,),),),)
    with pytest.raises(LimitExceeded):
        etf.decode(data, limits=Limits(max_depth=3))


def test_decode_counts_tails_that_are_lists_as_one_level() -> None:
    data = b"\x83" + b"l\0\0\0\x01a\x01" * 20_000 + b"j"

    assert etf.decode(data) == [1] * 20_000


def test_decode_refuses_term_past_the_size_limit() -> None:
    data = etf.encode(b"x" * 94)

    assert etf.decode(data, limits=Limits(max_term_size=100)) == b"x" * 94
    with pytest.raises(LimitExceeded, match="max_term_size"):
        etf.decode(data, limits=Limits(max_term_size=99))


def test_decode_refuses_inflation_past_the_limit() -> None:
    data = etf.encode(b"x" * 995, compressed=9)

    assert etf.decode(data, limits=Limits(max_inflated_size=1000)) == b"x" * 995
    with pytest.raises(LimitExceeded) as caught:
        etf.decode(data, limits=Limits(max_inflated_size=999))
    assert (caught.value.limit, caught.value.value) == ("max_inflated_size", 1000)


def test_decode_makes_no_atom_past_the_limit() -> None:
    known, unknown = etf.encode(Atom("known_here")), b"\x83w\x13never_seen_anywhere"
    atom = Atom("known_here")

    assert etf.decode(known, limits=Limits(max_atoms=1)) is atom
    with pytest.raises(LimitExceeded, match="max_atoms"):
        etf.decode(unknown, limits=Limits(max_atoms=1))


# ---- what decoding answers ---------------------------------------------------------------------------


def test_decode_gives_lists_whatever_the_tag() -> None:
    assert etf.decode(b"\x83k\0\x03abc") == [97, 98, 99]


def test_decode_gives_text_only_when_asked() -> None:
    data = etf.encode(["é".encode(), b"\xff"])

    assert etf.decode(data) == ["é".encode(), b"\xff"]
    assert etf.decode(data, strings=True) == ["é", b"\xff"]


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: array.array("B", data)])
def test_decode_takes_any_contiguous_buffer(kind: Callable[[bytes], Any]) -> None:
    assert etf.decode(kind(etf.encode((1, 2)))) == (1, 2)


def test_decode_gives_hashable_twins_in_keys() -> None:
    data = b"\x83t\0\0\0\x01" + b"h\x02" + b"k\0\x01\x05" + b"t\0\0\0\x01a\x01a\x02" + b"k\0\x01\x05"

    decoded = etf.decode(data)

    assert decoded == {(FrozenList([5]), TermMap({1: 2})): [5]}
    assert etf.encode(decoded) == data


def test_decode_keeps_lists_in_values_after_a_key() -> None:
    decoded = etf.decode(etf.encode({FrozenList([1]): [[2]], (3,): {4: [5]}}))

    assert [type(value) for value in decoded.values()] == [list, dict]
    assert type(decoded[3,][4]) is list


def test_decode_never_hashes_deep_keys() -> None:
    def keyed(levels: int) -> Any:
        return etf.decode(b"\x83t\0\0\0\x01" + b"h\x01" * levels + b"j" + b"a\x01")

    assert type(keyed(100)) is dict
    assert type(keyed(101)) is TermMap
    assert type(keyed(9999)) is TermMap


def test_decode_keeps_apart_keys_that_python_takes_for_equal() -> None:
    pairs = [(1, b"i"), (1.0, b"f"), (True, b"t"), (0.0, b"p"), (-0.0, b"n"), ((1,), b"ti"), ((1.0,), b"tf")]

    decoded = etf.decode(etf.encode(TermMap(pairs)))

    assert type(decoded) is TermMap
    assert [decoded[key] for key, _ in pairs] == [value for _, value in pairs]


def test_decode_leaves_the_collector_as_it_was() -> None:
    assert gc.isenabled()
    etf.decode(etf.encode([1, (2,)]))
    assert gc.isenabled()

    gc.disable()
    try:
        etf.decode(etf.encode([1, (2,)]))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_decode_does_not_start_a_collection() -> None:
    data = etf.encode([(PID, [atoms.a]) for _ in range(5000)])
    started: list[str] = []

    def note(phase: str, _info: dict[str, int]) -> None:
        started.append(phase)

    gc.collect()
    gc.callbacks.append(note)
    try:
        held = etf.decode(data)
        during = len(started)  # nothing that is allocated here comes before this
    finally:
        gc.callbacks.remove(note)

    assert len(held) == 5000
    assert during == 0


def test_decoded_flat_tuples_are_unknown_to_the_collector() -> None:
    decoded = etf.decode(etf.encode([(PID, atoms.normal), (PID, (1, b"x")), (PID, [1])]))

    assert [gc.is_tracked(pair) for pair in decoded] == [False, False, True]


# ---- what encoding takes -----------------------------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        raise AssertionError("never called")


class Number(int):
    def __index__(self) -> int:
        raise AssertionError("never called")

    def to_bytes(self, *_: Any, **__: Any) -> bytes:
        raise AssertionError("never called")

    def __abs__(self) -> int:
        raise AssertionError("never called")

    def __lt__(self, other: object) -> bool:
        raise AssertionError("never called")


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("given_term", "same"),
    [
        ("é", "é".encode()),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (Colour.RED, 1),
        (Text("a"), b"a"),
        (Number(2**70), 2**70),
        (Number(-(2**70)), -(2**70)),
        (Number(3), 3),
        (Point(1, [2]), (1, [2])),
        (collections.OrderedDict(a=1), {b"a": 1}),
        (collections.UserDict, None),
    ],
    ids=repr,
)
def test_encode_takes_subclasses_and_buffers_as_their_base(given_term: Any, same: Any) -> None:
    if same is None:
        with pytest.raises(EncodeError):
            etf.encode(given_term)
    else:
        assert etf.encode(given_term) == etf.encode(same)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "6100"),
        (255, "61ff"),
        (256, "6200000100"),
        (-1, "62ffffffff"),
        (2**31 - 1, "627fffffff"),
        (-(2**31), "6280000000"),
        (2**31, "6e040000000080"),
        (-(2**31) - 1, "6e040101000080"),
        (2**63, "6e08000000000000000080"),
        (-(2**63), "6e08010000000000000080"),
        (2**64, "6e0900000000000000000001"),
        (256**255 - 1, "6eff00" + "ff" * 255),
        (256**255, "6f0000010000" + "00" * 255 + "01"),
    ],
)
def test_encode_chooses_the_smallest_integer(number: int, expected: str) -> None:
    assert etf.encode(number).hex() == "83" + expected


def test_codec_carries_an_integer_of_a_million_bits() -> None:
    number = -(3**640_000)

    assert etf.decode(etf.encode(number)) == number


@pytest.mark.parametrize(
    ("elements", "tag"),
    [
        ([0], 107),
        ([255] * 65_535, 107),
        ([255] * 65_536, 108),
        ([256], 108),
        ([-1], 108),
        ([1, True], 108),
        ([1, 2.0], 108),
        ([], 106),
        ([Colour.RED], 107),
    ],
    ids=lambda value: str(value)[:20],
)
def test_encode_writes_lists_as_beam_does(elements: list[Any], tag: int) -> None:
    assert etf.encode(elements)[1] == tag


@pytest.mark.parametrize("size", [255, 256])
def test_encode_writes_tuples_of_any_size(size: int) -> None:
    assert etf.decode(etf.encode(tuple(range(size)))) == tuple(range(size))


def test_encode_writes_atoms_of_255_characters_of_4_bytes() -> None:
    atom = Atom("😀" * 255)

    assert etf.decode(etf.encode(atom)) is atom


def test_encode_compresses_only_what_shrinks() -> None:
    assert etf.encode([1.0] * 100, compressed=True)[:2] == b"\x83P"
    assert etf.encode(b"abc", compressed=9) == etf.encode(b"abc")


@pytest.mark.parametrize("level", [-1, 10])
def test_encode_refuses_other_levels(level: int) -> None:
    with pytest.raises(ValueError, match="0 to 9"):
        etf.encode(1, compressed=level)


class Unprintable:
    def __repr__(self) -> str:
        raise AssertionError("never called")


@pytest.mark.parametrize(
    ("term", "message", "path"),
    [
        (Unprintable(), "Unprintable has no Erlang form", ""),
        ([1, 2, {"name": [{1}]}], "set has no Erlang form", "[2]['name'][0]"),
        ({(1, Unprintable()): 1}, "Unprintable has no Erlang form", ".key(tuple)[1]"),
        ({Unprintable(): 1}, "Unprintable has no Erlang form", ".key(Unprintable)"),
        ({2**4000: 1j}, "complex has no Erlang form", "[int]"),
        ({atoms.a: {b"b": {7: object()}}}, "object has no Erlang form", "[a][b'b'][7]"),
        ({"k" * 100: object()}, "object has no Erlang form", f"['{'k' * 40}']"),
        (ImproperList([1, object()], 2), "object has no Erlang form", ".elements[1]"),
        (ImproperList([1], object()), "object has no Erlang form", ".tail"),
        (FrozenList([object()]), "object has no Erlang form", "[0]"),
        (TermMap([(1, 2), (1.0, object())]), "object has no Erlang form", "[float]"),
        (TermMap([((object(),), 2)]), "object has no Erlang form", ".key(tuple)[0]"),
        (Fun("m", 0, bytes(16), 0, 0, 0, PID, (1, object())), "object has no Erlang form", ".free_variables[1]"),
        (Record("m", "n", {"f": 1, "g": object()}), "object has no Erlang form", "[g]"),
        ([math.nan], "the float NaN has no Erlang form", "[0]"),
        ((math.inf,), "the float inf has no Erlang form", "[0]"),
        (["\ud800"], "a str with a lone surrogate has no UTF-8 form", "[0]"),
        ([memoryview(b"abcd")[::2]], "memoryview is not contiguous", "[0]"),
        ([{"a": 1, b"a": 2}], "two keys of a dict are the same Erlang term", "[0]"),
        ({("a",): 1, (b"a",): 2}, "two keys of a dict are the same Erlang term", ""),
        (frozenset(), "frozenset has no Erlang form", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_encode_names_object_and_path(term: Any, message: str, path: str) -> None:
    with pytest.raises(EncodeError, match=message.replace("(", "\\(")) as caught:
        etf.encode(term)

    assert caught.value.path == path


def test_encode_takes_text_and_binaries_that_differ_as_keys() -> None:
    assert etf.decode(etf.encode({"a": 1, b"b": 2})) == {b"a": 1, b"b": 2}


def test_encode_refuses_a_list_within_itself() -> None:
    loop: list[Any] = [1]
    loop.append(loop)

    with pytest.raises(EncodeError, match="nested deeper") as caught:
        etf.encode(loop)

    assert len(caught.value.path) < 200


# ---- the stack ---------------------------------------------------------------------------------------

DEPTH = 10_000


def in_small_stack(work: Callable[[], Any]) -> Any:
    """Run ``work`` in a thread with 512 KiB of stack."""
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    if failure:
        raise failure[0]
    return outcome[0]


DEEP = {
    "list": (b"l\0\0\0\x01", b"j"),
    "tuple": (b"h\x01", b""),
    "map value": (b"t\0\0\0\x01a\x01", b""),
    "map key": (b"t\0\0\0\x01", b"a\x01"),
    "map key of two": (b"t\0\0\0\x02a\x01a\x01", b"a\x01"),
    "improper tail": (b"l\0\0\0\x01a\x01h\x01", b""),
    "improper element": (b"l\0\0\0\x01", b"a\x01"),
    "fun": (b"p\0\0\0\0\x01" + bytes(16) + bytes(4) + b"\0\0\0\x01w\x01ma\0a\0X" + b"w\x01n" + bytes(12), b""),
    "record": (b"C\0\0\0\x01\x01w\x01mw\x01nw\x01f", b""),
    "all by turns": (
        b"l\0\0\0\x01" + b"t\0\0\0\x01h\x01" + b"C\0\0\0\x01\x01w\x01mw\x01nw\x01f" + b"l\0\0\0\x01",
        b"a\x01" + b"a\x01" + b"j",
    ),
}
LEVELS = {"improper tail": 2, "all by turns": 5}


@pytest.mark.parametrize("kind", sorted(DEEP))
def test_codec_needs_little_stack_at_the_depth_limit(kind: str) -> None:
    """Decode, encode, compare, hash and free, each in a thread with 512 KiB of stack."""
    head, tail = DEEP[kind]
    levels = DEPTH // LEVELS.get(kind, 1)
    data = b"\x83" + head * levels + b"w\x01z" + tail * levels

    def work() -> bool:
        one, other = etf.decode(data), etf.decode(data)
        same = FrozenList([one]) == FrozenList([other])
        encoded = etf.encode(etf.decode(etf.encode(one))) == etf.encode(other)
        del one, other
        return same and encoded

    assert in_small_stack(work)


@pytest.mark.parametrize("kind", ["list", "tuple", "map value", "map key", "improper element", "fun", "record"])
def test_keys_need_little_stack_at_the_depth_limit(kind: str) -> None:
    head, tail = DEEP[kind]
    levels = DEPTH - 1
    data = b"\x83t\0\0\0\x01" + head * levels + b"w\x01z" + tail * levels + b"a\x01"

    def work() -> bool:
        one, other = etf.decode(data), etf.decode(data)
        encoded = etf.encode(etf.decode(etf.encode(one))) == etf.encode(other)
        return isinstance(one, TermMap) and one == other and hash(one) == hash(other) and encoded

    assert in_small_stack(work)


def test_codec_refuses_one_level_past_the_depth_limit() -> None:
    term: Any = ()
    for _ in range(DEPTH + 1):
        term = (term,)

    with pytest.raises(EncodeError, match="nested deeper than 10000"):
        etf.encode(term)
    with pytest.raises(LimitExceeded):
        etf.decode(b"\x83" + b"h\x01" * (DEPTH + 1) + b"j")


# ---- memory and threads ------------------------------------------------------------------------------


def test_codec_does_not_leak() -> None:
    data = etf.encode([(PID, {b"k": [1.5, 2**80]}), TermMap([(1, 2), (1.0, 3)]), {FrozenList([1]): (2,)}])
    broken = data[:-3]

    def once() -> None:
        etf.encode(etf.decode(data))
        with pytest.raises(DecodeError):
            etf.decode(broken)
        with pytest.raises(EncodeError):
            etf.encode([1, {2: object()}])

    def memory_after(rounds: int) -> int:
        for _ in range(rounds):
            once()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        marks = [memory_after(200) for _ in range(6)]
    finally:
        tracemalloc.stop()

    # What leaks does so in every batch; caches of others grow in some.
    assert min(after - before for before, after in itertools.pairwise(marks)) < 200 * 8


@given(st.binary(max_size=60))
@example(b"\x83")
def test_decode_of_any_bytes_is_a_term_or_a_decode_error(data: bytes) -> None:
    fuzz_etf.check(data, compare=True)
    fuzz_etf.check(b"\x83" + data, compare=True)


def test_codec_works_in_parallel_threads() -> None:
    term = [(Pid(f"n{number}@h", number, 0, 1), {b"k": number}) for number in range(200)]
    outcomes: list[bool] = []

    def work() -> None:
        outcomes.extend(etf.decode(etf.encode(term)) == term for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [True] * 80
