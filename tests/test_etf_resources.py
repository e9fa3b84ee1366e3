"""What the codec uses: stack, memory, threads."""

from __future__ import annotations

import gc
import itertools
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyzen import etf
from pyzen.errors import DecodeError, EncodeError, LimitExceeded
from pyzen.terms import (
    Atom,
    FrozenList,
    Pid,
    TermMap,
)
from tests import fuzz_etf

if TYPE_CHECKING:
    from collections.abc import Callable

NODE = Atom("n@h")
PID = Pid(NODE, 1, 0, 7)


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
