"""What decoding answers and encoding takes."""

from __future__ import annotations

import array
import collections
import enum
import gc
import math
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import etf
from pyzen.config import Limits
from pyzen.errors import EncodeError
from pyzen.terms import (
    Atom,
    FrozenList,
    Fun,
    ImproperList,
    Pid,
    Record,
    TermMap,
    atoms,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NODE = Atom("n@h")
PID = Pid(NODE, 1, 0, 7)


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
    assert type(keyed(Limits().max_depth - 1)) is TermMap


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
        ([(1,), (2, object())], "object has no Erlang form", "[1][1]"),
        ([(1,), (2, [3]), (4, object())], "object has no Erlang form", "[2][1]"),
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
