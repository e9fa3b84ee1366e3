from __future__ import annotations

from typing import Any

import pytest

from pyzen.brief import brief
from pyzen.errors import ProcessExit, RpcError
from pyzen.terms import BitString, FrozenList, ImproperList, Pid, TermMap, atoms

PID = Pid("n@h", 1, 2, 3)


@pytest.mark.parametrize(
    "term", [7, -(2**200), 1.5, None, True, "text", b"bytes", bytearray(b"x"), PID, atoms.x, (), [1, (2,)], {1: [2]}]
)
def test_brief_of_a_small_term_is_its_repr(term: Any) -> None:
    assert brief(term) == repr(term)


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (b"x" * 100_000_000, repr(b"x" * 60) + "..."),
        (bytearray(b"x" * 100), repr(bytearray(b"x" * 60)) + "..."),
        (1 << 100_000, "<integer of 100001 bits>"),
        (list(range(100_000)), "[0, 1, 2, 3, 4, 5, 6, 7, ...]"),
        (TermMap({n: n for n in range(9)}), "TermMap({0: 0, 1: 1, 2: 2, 3: 3, ...})"),
        (TermMap({1: [2]}), "TermMap({1: [2]})"),
        (FrozenList(range(20)), "FrozenList([0, 1, 2, 3, 4, 5, 6, 7, ...])"),
        (ImproperList([1, 2], 3), "ImproperList([1, 2], 3)"),
        (BitString(b"\x80", 1), "<BitString>"),
    ],
    ids=["bytes", "bytearray", "integer", "list", "map", "small map", "frozen", "improper", "bits"],
)
def test_brief_shortens_long_parts(term: Any, expected: str) -> None:
    assert brief(term) == expected


def test_brief_is_no_longer_than_asked_for() -> None:
    text = brief(["x" * 1000] * 5, 100)

    assert (len(text), text[-3:]) == (100, "...")


def test_brief_survives_deep_and_circular_terms() -> None:
    circle: list[Any] = []
    circle.append(circle)

    assert brief(circle).startswith("[[[")


@pytest.mark.parametrize("reason", [1 << 100_000, (atoms.badmatch, [1 << 100_000])], ids=["bare", "within"])
def test_errors_accept_reasons_that_python_can_not_print(reason: Any) -> None:
    assert "<integer of 100001 bits>" in str(ProcessExit(reason))
    assert "<integer of 100001 bits>" in str(RpcError("error", reason))
