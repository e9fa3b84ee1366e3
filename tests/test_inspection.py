"""Terms as Elixir prints them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given

from pyzen.inspection import inspect
from pyzen.terms import Atom, BitString, FrozenList, ImproperList, Pid, TermMap, atoms, elixir
from tests.strategies import terms

STRUCT = atoms["__struct__"]

TERMS: list[tuple[Any, str]] = [
    (atoms.ok, ":ok"),
    (Atom("a b"), ':"a b"'),
    (Atom("Elixir.Foo.Bar"), "Foo.Bar"),
    (Atom("Elixir"), ":Elixir"),
    (Atom("really?"), ":really?"),
    (True, "true"),
    (None, "nil"),
    (12, "12"),
    (2.5, "2.5"),
    (b"h\xc3\xa9\n", '"hé\\n"'),
    ("text", '"text"'),
    (b"", '""'),
    (b"\xff\x00", "<<255, 0>>"),
    (BitString(b"\x01\xa0", 3), "<<1, 5::size(3)>>"),
    ((), "{}"),
    ((atoms.ok, [1, 2]), "{:ok, [1, 2]}"),
    ([], "[]"),
    (FrozenList([1, 2]), "[1, 2]"),
    ([104, 105], '~c"hi"'),
    ([(atoms.a, 1), (Atom("b c"), 2)], '[a: 1, "b c": 2]'),
    (ImproperList([1, 2], 3), "[1, 2 | 3]"),
    ({atoms.a: 1}, "%{a: 1}"),
    (TermMap([(atoms.a, 1), (b"k", 2)]), '%{:a => 1, "k" => 2}'),
    ({STRUCT: elixir.RuntimeError, atoms["__exception__"]: True, atoms.message: b"no"}, '%RuntimeError{message: "no"}'),
    ({STRUCT: 5, atoms.a: 1}, "%{__struct__: 5, a: 1}"),
    (Pid("a@b", 1, 2, 3), "#PID<0.1.2 a@b>"),
    ("a\x1b[31m\u202e", '"a\\e[31m\\x{202E}"'),
]


@pytest.mark.parametrize(("term", "text"), TERMS, ids=[text for _, text in TERMS])
def test_term_is_printed_as_by_elixir(term: Any, text: str) -> None:
    assert inspect(term) == text


@pytest.mark.parametrize(
    "term",
    [
        b"x" * 10**7,
        [1] * 10**6,
        {number: number for number in range(10**5)},
        10**10**5,
        "é" * 10**6,
        b"\xc3\xa9" * 10**6,
    ],
    ids=["binary", "list", "map", "integer", "text", "characters"],
)
def test_long_terms_are_cut(term: Any) -> None:
    text = inspect(term, 50)

    assert len(text) <= 60


def test_deep_terms_are_cut() -> None:
    term: Any = []
    for _ in range(100_000):
        term = [term]

    assert inspect(term, 10**6) == "[" * 21 + "..." + "]" * 21


def test_cut_takes_no_time_for_the_rest() -> None:
    def seconds(term: Any) -> float:
        start = time.perf_counter()
        inspect(term, 100)
        return time.perf_counter() - start

    short, long = [1] * 1000, [1] * 10**7
    assert min(seconds(long) for _ in range(5)) < 20 * min(seconds(short) for _ in range(5))


class Unreadable:
    def __repr__(self) -> str:
        raise BaseException


def test_object_of_python_is_shown_as_far_as_it_goes() -> None:
    assert inspect([1, Unreadable(), object]) == "[1, <Unreadable>, <class 'object'>]"


@given(terms())
def test_every_term_is_one_line(term: Any) -> None:
    assert inspect(term).isprintable()
