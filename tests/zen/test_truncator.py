from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzen.etf import decode, encode
from pyzen.terms import Atom, BitString, ImproperList, Pid, TermMap, atoms, struct
from pyzen.zen.truncator import truncate

if TYPE_CHECKING:
    from collections.abc import Callable

PID = Pid("n@h", 1, 2, 3)
T = atoms.truncated


def cut(reason: Any, **settings: int) -> Any:
    return truncate(reason, **settings)[0]


@pytest.mark.parametrize("reason", [atoms.normal, True, None, PID, 7, -(2**70), 1.5, b"short", "text", (), [], {}])
def test_truncate_passes_small_terms(reason: Any) -> None:
    assert cut(reason) == reason


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ((1, 2, 3, 4), (1, 2, 3, 4)),
        ((1, 2, 3, 4, 5), T),
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ([1, 2, 3, 4, 5], T),
        ({1: 1, 2: 2, 3: 3, 4: 4}, {1: 1, 2: 2, 3: 3, 4: 4}),
        (dict.fromkeys(range(5), 1), T),
        (ImproperList([1], 2), T),
        (BitString(b"\x80", 1), T),
        (BitString(b"x" * 1020 + b"\x80", 1), T),
        (BitString(b"x" * 1021 + b"\x80", 1), b"x" * 1021 + b"..."),
        (BitString(b"x" * 3000, 7), b"x" * 1021 + b"..."),
        ([BitString("\u00e9".encode() * 600, 3)], [("\u00e9".encode() * 511)[:1021] + b"..."]),
    ],
)
def test_truncate_keeps_at_most_four_elements(reason: Any, expected: Any) -> None:
    assert cut(reason) == expected


def test_truncate_replaces_everything_at_the_depth_limit() -> None:
    assert cut((1, (2, (3, atoms.x, ())))) == (1, (2, (T, T, T)))
    assert cut([[[[]]]]) == [[[T]]]
    assert cut({1: {2: {3: 4}}}) == {1: {2: {3: T}}}


def test_truncate_counts_depth_from_the_top() -> None:
    assert cut((1, (2,)), depth=1) == (T, T)
    assert cut((1, (2,)), depth=2) == (1, (T,))


def test_truncate_passes_shutdown_whole_at_the_top_only() -> None:
    reason = (atoms.shutdown, [[[[[1, 2, 3, 4, 5, 6]]]]])

    assert cut(reason) == reason
    assert cut((1, reason)) == (1, (atoms.shutdown, [T]))


def test_truncate_counts_structs_without_their_name() -> None:
    four = struct("Some", a=1, b=2, c=3, d=4)

    assert cut(four) == four
    assert cut(struct("Some", a=1, b=2, c=3, d=4, e=5)) is T
    assert cut({**four, Atom("__struct__"): 7}) is T


@pytest.mark.parametrize("name", [True, False, None])
def test_truncate_takes_every_atom_for_the_name_of_a_struct(name: Any) -> None:
    four = {Atom("__struct__"): name, 1: 1, 2: 2, 3: 3, 4: 4}

    assert cut(four) == four
    assert cut({**four, 5: 5}) is T
    assert cut([[{Atom("__struct__"): name}]]) == [[{Atom("__struct__"): name}]]


def test_truncate_keeps_no_atom_at_depth_zero() -> None:
    assert cut(atoms.x, depth=0) is T
    assert cut(True, depth=0) is T


def test_truncate_keeps_maps_of_near_equal_keys() -> None:
    reason = TermMap([(1, b"int"), (1.0, b"float")])

    assert cut(reason) == reason


@pytest.mark.parametrize(("size", "expected"), [(10, b"0123456789"), (9, b"012345..."), (4, b"0...")])
def test_truncate_cuts_long_binaries(size: int, expected: bytes) -> None:
    assert cut(b"0123456789", max_binary_size=size) == expected


def test_truncate_cuts_no_character() -> None:
    text = "aé€😀"  # 1 + 2 + 3 + 4 bytes

    assert cut(text, max_binary_size=9) == "aé€...".encode()
    assert cut(text, max_binary_size=8) == "aé...".encode()
    assert cut(text.encode(), max_binary_size=5) == b"a..."
    assert cut(b"\xff" + text.encode(), max_binary_size=6) == b"\xffa\xc3..."


def test_truncate_takes_a_binary_for_text_by_what_is_near_the_cut() -> None:
    text = "é".encode() * 100_000

    assert cut(text + b"\xff", max_binary_size=10) == "ééé...".encode()
    assert cut(text[:1000] + b"\xff" + text, max_binary_size=10) == text[:7] + b"..."


def test_truncate_refuses_a_buffer_that_was_released() -> None:
    view = memoryview(b"x" * 5000)
    view.release()

    assert cut(view) is T


HUGE = 100 * 1024 * 1024


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: b"x" * HUGE, b"x" * 1021 + b"..."),
        (lambda: bytearray(HUGE), bytes(1021) + b"..."),
        (lambda: memoryview(bytes(HUGE)), bytes(1021) + b"..."),
        (lambda: "\u00e9" * HUGE, ("\u00e9" * 510 + "...").encode()),
        (lambda: BitString(b"x" * HUGE, 1), b"x" * 1021 + b"..."),
        (lambda: 1 << (8 * HUGE), T),
        (lambda: (atoms.shutdown, b"x" * HUGE), (atoms.shutdown, T)),
        (lambda: (atoms.shutdown, "\u00e9" * HUGE), (atoms.shutdown, T)),
        (lambda: (atoms.shutdown, [7] * (HUGE // 10)), (atoms.shutdown, T)),
        (lambda: (atoms.shutdown, (7,) * (HUGE // 10)), (atoms.shutdown, T)),
        (lambda: (atoms.shutdown, {b"x" * HUGE: 1}), (atoms.shutdown, T)),
    ],
    ids=["bytes", "bytearray", "memoryview", "text", "bitstring", "integer", "binary", "str", "list", "tuple", "key"],
)
def test_truncate_takes_no_time_for_a_hundred_megabytes(make: Callable[[], Any], expected: Any) -> None:
    reason = make()
    began = time.process_time()
    cut(((b"x" * 1000,) * 4,) * 4, max_reason_size=100)
    usual = time.process_time() - began

    began = time.process_time()
    result = cut(reason)
    taken = time.process_time() - began

    assert result == expected
    assert taken < 100 * usual + 0.02


def test_truncate_counts_text_in_bytes() -> None:
    assert cut("é" * 10, max_binary_size=20) == "é" * 10
    assert cut("é" * 10, max_binary_size=19) == ("é" * 8 + "...").encode()


@pytest.mark.parametrize("bad", [object(), float("nan"), float("inf"), "\ud800", {1}, lambda: None])
def test_truncate_replaces_what_has_no_erlang_form(bad: Any) -> None:
    assert cut(bad) is T
    assert cut((1, bad)) == (1, T)
    assert cut((atoms.shutdown, bad)) == (atoms.shutdown, T)


def test_truncate_replaces_a_map_with_a_bad_key_as_a_whole() -> None:
    assert cut({object(): 1}) is T


def test_truncate_replaces_the_largest_part_until_it_fits() -> None:
    big, bigger = 2 ** (8 * 600), 2 ** (8 * 800)

    assert cut((1, big, bigger), max_reason_size=1000) == (1, big, T)
    assert cut([bigger, big, 1], max_reason_size=100) == [T, T, 1]
    assert cut({1: big}, max_reason_size=100) == {1: T}
    assert cut({big: 1}, max_reason_size=100) is T
    assert cut(big, max_reason_size=100) is T
    assert cut((atoms.shutdown, big), max_reason_size=100) == (atoms.shutdown, T)


def test_truncate_accepts_a_reason_of_just_the_size() -> None:
    reason = (1, b"x" * 100)
    size = len(encode(reason))

    assert truncate(reason, max_reason_size=size) == (reason, size)
    assert cut(reason, max_reason_size=size - 1) == (1, T)


def test_truncate_survives_deep_and_circular_reasons() -> None:
    deep: Any = ()
    for _ in range(100_000):
        deep = (deep,)
    circle: list[Any] = []
    circle.append(circle)

    assert cut(deep, depth=2**31 - 1) is T
    assert cut(circle, depth=2**31 - 1) is T


def test_truncate_does_not_walk_shared_parts_for_ever() -> None:
    shared: Any = 1
    for _ in range(60):
        shared = [shared] * 4

    reason, size = truncate(shared, depth=100)

    assert size <= 65_536
    assert reason is not None


terms = st.recursive(
    st.integers() | st.binary(max_size=40) | st.text(max_size=20) | st.booleans() | st.floats() | st.just(PID),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.lists(inner, max_size=6).map(tuple)
        | st.dictionaries(st.integers() | st.binary(max_size=9), inner, max_size=6)
    ),
)


@given(terms, st.integers(1, 5), st.integers(4, 30), st.integers(15, 500))
def test_truncate_always_gives_what_fits(reason: Any, depth: int, binary: int, size: int) -> None:
    result, told = truncate(reason, depth=depth, max_binary_size=binary, max_reason_size=size)

    assert len(encode(result)) == told <= size
    assert decode(encode(result)) is not NotImplemented
