"""The external term format: every tag, every limit, and nothing but the documented errors."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
import zlib
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzen import etf
from pyzen.config import Limits
from pyzen.errors import DecodeError, LimitExceeded
from pyzen.terms import (
    Atom,
    BitString,
    Export,
    FrozenList,
    Fun,
    Pid,
    Port,
    Record,
    Reference,
    TermMap,
    atoms,
)
from tests import fuzz_etf, reference_etf, strategies
from tests.bulky_terms import SHAPES
from tests.fuzzing import run

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
    "EXPORT_EXT whose arity is a LARGE_BIG_EXT": Export("lists", "map", 5),
    "EXPORT_EXT whose arity is the tail of a list of none": Export("lists", "map", 1),
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


@given(strategies.terms())
def test_encoded_size_is_that_of_the_bytes_up_to_the_maximum(term: Any) -> None:
    size = len(etf.encode(term))

    assert etf.encoded_size(term, maximum=size) == etf.encoded_size(term, maximum=2**40) == size
    assert etf.encoded_size(term, maximum=size - 1) is None


@pytest.mark.parametrize("length", [0, 1, 45, 46, 47, 127, 128, 255])
def test_encoded_size_counts_of_an_atom_what_it_takes(length: int) -> None:
    term = (Atom("a" * length),)

    assert etf.encoded_size(term, maximum=5 + length) == len(etf.encode(term)) == 5 + length
    assert etf.encoded_size(term, maximum=4 + length) is None


def test_encoded_size_of_what_has_no_form_is_unknown() -> None:
    assert etf.encoded_size([1, object()], maximum=100) is None


def test_fuzz_raises_only_documented_errors() -> None:
    outcomes = run("terms", fuzz_etf.TARGETS["terms"], 100_000, seed=20_261_123)

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


@pytest.mark.parametrize(
    "term",
    [[[]] * 9000, [{}] * 9000, [(1, 2)] * 9000, [1e9] * 9000, [[1000]] * 9000, dict.fromkeys(range(9000))],
    ids=lambda term: str(term)[:12],
)
def test_decode_bounds_what_objects_take(term: Any) -> None:
    data = etf.encode(term)
    tracemalloc.start()
    kept = etf.decode(data)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept == term

    assert etf.decode(data, limits=Limits(max_decoded_size=3 * taken)) == term
    with pytest.raises(LimitExceeded, match="max_decoded_size"):
        etf.decode(data, limits=Limits(max_decoded_size=taken * 8 // 10))


def test_decode_bounds_what_objects_take_apart_from_binaries() -> None:
    assert etf.decode(etf.encode([bytes(100_000)]), limits=Limits(max_decoded_size=1000)) == [bytes(100_000)]


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


# ---- keys that Python gives the same hash

PRIME = 2**61 - 1
"""Python's hash of an integer is its remainder by this."""


def map_of(keys: list[Any]) -> bytes:
    return b"\x83\x74" + len(keys).to_bytes(4, "big") + b"".join(etf.encode(key)[1:] + b"a\x01" for key in keys)


CROWDS: dict[str, Callable[[int], Any]] = {
    "integers": lambda number: number * PRIME,
    "negative integers": lambda number: -number * PRIME,
    "tuples": lambda number: (number * PRIME,),
    "inner": lambda number: (1, (number * PRIME, b"x")),
}


@pytest.mark.parametrize("kind", CROWDS)
def test_crowd_of_keys_with_one_hash_is_refused(kind: str) -> None:
    """Each of 32 000 would be compared with all before it."""
    data = map_of([CROWDS[kind](number) for number in range(1, 32_001)])

    with pytest.raises(LimitExceeded) as caught:
        etf.decode(data)

    assert (caught.value.limit, caught.value.value, caught.value.maximum) == ("max_equal_hashes", 101, 100)


@pytest.mark.parametrize("kind", CROWDS)
def test_as_many_keys_with_one_hash_as_are_let_make_a_dict(kind: str) -> None:
    keys = [CROWDS[kind](number) for number in range(1, 101)] + [*range(1, 1000)]

    assert etf.decode(map_of(keys)) == dict.fromkeys(keys, 1)


def test_large_maps_of_honest_keys_are_dicts() -> None:
    keys: list[Any] = [*range(5000), *(b"%d" % number for number in range(5000)), *map(float, range(5000, 10_000))]

    assert etf.decode(map_of(keys)) == dict.fromkeys(keys, 1)
    assert len(etf.decode(map_of([atoms[f"key{number}"] for number in range(5000)]))) == 5000


def test_bound_on_keys_with_one_hash_can_be_set() -> None:
    data = map_of([number * PRIME for number in range(1, 201)])

    assert len(etf.decode(data, limits=Limits(max_equal_hashes=200))) == 200


def test_keys_of_different_hashes_that_meet_in_a_dict_are_refused() -> None:
    """Each of 14 000 would be looked for past all before it."""
    with pytest.raises(LimitExceeded, match="max_equal_hashes exceeded: 101 is more than 100"):
        etf.decode(SHAPES["a map of integers on one way"](300_000))


def test_long_keys_with_one_hash_make_a_map_that_does_not_compare_them() -> None:
    keys: list[Any] = [(FrozenList([7] * 10_000), number * PRIME) for number in range(1, 51)]

    term = etf.decode(map_of(keys))

    assert type(term) is TermMap
    assert list(term) == keys
    assert term[keys[7]] == 1


def test_a_few_long_keys_with_one_hash_make_a_dict() -> None:
    keys: list[Any] = [(FrozenList([7] * 10_000), sign) for sign in (-1, -2)]
    keys += product((-1, -2), repeat=4)

    assert etf.decode(map_of(keys)) == dict.fromkeys(keys, 1)
