"""What the codec uses: memory, threads; how little stack it needs is in `tests.test_deep_terms`."""

from __future__ import annotations

import gc
import itertools
import threading
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyzen import etf
from pyzen.errors import DecodeError, EncodeError
from pyzen.terms import (
    Atom,
    FrozenList,
    Pid,
    TermMap,
)
from tests import fuzz_etf

NODE = Atom("n@h")
PID = Pid(NODE, 1, 0, 7)


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

    # What leaks does so in every batch, by 16 bytes or more each time (a bare object); caches of others grow in some.
    assert min(after - before for before, after in itertools.pairwise(marks)) < 200 * 16


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
