"""Erlang term syntax, read and printed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from pyzen import consult
from pyzen.errors import ConfigError
from pyzen.terms import (
    Atom,
    BitString,
    Export,
    FrozenList,
    ImproperList,
    Pid,
    Port,
    Record,
    Reference,
    TermMap,
    atoms,
)
from tests import reference_etf, strategies


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("1", 1),
        ("-5", -5),
        ("+5", 5),
        ("1_000_000", 1_000_000),
        ("16#ff", 255),
        ("-2#1010", -10),
        ("36#Zz", 1295),
        ("$a", 97),
        ("$\\n", 10),
        ("$\\x{20ac}", 0x20AC),
        ("$ ", 32),
        ("1.5", 1.5),
        ("1.5e-3", 0.0015),
        ("-0.0", -0.0),
        ("ok", Atom("ok")),
        ("a_B@9", Atom("a_B@9")),
        ("true", True),
        ("false", False),
        ("nil", None),
        ("'true'", True),
        ("undefined", Atom("undefined")),
        ("''", Atom("")),
        ("'a b'", Atom("a b")),
        (r"'it\'s \x41\101\^A\\'", Atom("it's AA\x01\\")),
        ("'Elixir.Foo'", Atom("Elixir.Foo")),
        ('"abc"', [97, 98, 99]),
        ('"a" "b"', [97, 98]),
        (r'"\"\t"', [34, 9]),
        ('"€"', [0x20AC]),
        ("<<>>", b""),
        ('<<"bin">>', b"bin"),
        ("<<1,2,255>>", b"\x01\x02\xff"),
        ('<<"a", 0, "b">>', b"a\0b"),
        ('<<"é">>', b"\xe9"),
        ('<<"é"/utf8>>', "é".encode()),
        ("<<-1>>", b"\xff"),
        ("{}", ()),
        ("{a,{1,2}}", (Atom("a"), (1, 2))),
        ("[]", []),
        ("[1,[2],x]", [1, [2], Atom("x")]),
        ("[a|b]", ImproperList([Atom("a")], Atom("b"))),
        ("[1|[2,3]]", [1, 2, 3]),
        ("[1|[2|c]]", ImproperList([1, 2], Atom("c"))),
        ("#{}", {}),
        ("#{a => 1, {b} => []}", {Atom("a"): 1, (Atom("b"),): []}),
        ("#{[1] => #{x => [2]}}", {FrozenList([1]): {Atom("x"): [2]}}),
        ("#{#{a => [1]} => 2}", {TermMap({Atom("a"): FrozenList([1])}): 2}),
        ("#{1 => a, 1.0 => b}", TermMap([(1, Atom("a")), (1.0, Atom("b"))])),
        (" % a comment\n {a, % another\n 1} . ", (Atom("a"), 1)),
    ],
)
def test_parse_reads(text: str, term: Any) -> None:
    parsed = consult.parse(text)

    assert reference_etf.canonical(parsed) == reference_etf.canonical(term)
    assert type(parsed) is type(term)


def test_parse_lets_the_final_dot_be_left_out() -> None:
    assert consult.parse("{a}.") == consult.parse("{a}")


def test_parse_all_reads_terms_ended_by_dots() -> None:
    assert consult.parse_all("1.\n{a,\n2}.\n\n% the end\n") == [1, (atoms.a, 2)]
    assert consult.parse_all("") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: a term is needed here, not the end"),
        ("<0.1.2>", "line 1, column 1: pids"),
        ("[#Ref<0.1.2>]", "line 1, column 2: pids"),
        ("#Port<0.1>", "pids"),
        ("fun lists:map/2", "pids"),
        ("#Fun<a.1>", "pids"),
        ("X", "'X' is a variable"),
        ("{a", r"column 3: '\}' is needed here, not the end"),
        ("{a,\n  b c}", r"line 2, column 5: '\}' is needed here, not 'c'"),
        ("[1,]", "column 4: a term is needed here"),
        ("[1|2,3]", r"'\]' is needed"),
        ("a b", "nothing may follow the term"),
        ("'a", "no term goes on with"),
        ('"a', "no term goes on with"),
        ("<<1:4>>", "only strings and whole bytes"),
        ("<<1.0>>", "only strings and whole bytes"),
        ('<<"€">>', "need a type"),
        ('<<"a"/utf16>>', "only utf8"),
        ("#{a => 1, a => 2}", "a key stands twice"),
        ("#{a}", "'=>' is needed"),
        ("37#1", "the base is from 2 to 36, not 37"),
        ("2#9", "no integer"),
        ("1" * 5000, "no integer"),
        ("1.0e999", "too large"),
        ("end", "'end' is a keyword"),
        (r'"\x{d800}"', r"column 2: there is no character"),
        (r'"\x{110000}"', "there is no character"),
        ("a" * 256, "at most 255 characters"),
        ("[" * 200, "nested deeper than 100 levels"),
        ("- a", "a number is needed"),
        ("?", "no term goes on with"),
    ],
    ids=lambda value: value[:20],
)
def test_parse_says_what_is_wrong_and_where(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        consult.parse(text)


def test_parse_all_needs_a_dot_after_each_term() -> None:
    with pytest.raises(ConfigError, match=r"line 2, column 1: '\.' is needed here, not 'b'"):
        consult.parse_all("a\nb.")


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (1, "1"),
        (True, "true"),
        (None, "nil"),
        (1.0, "1.0"),
        (1e300, "1.0e300"),
        (1e-7, "1.0e-07"),
        (Atom("ok"), "ok"),
        (Atom("Ok"), "'Ok'"),
        (Atom("end"), "'end'"),
        (Atom("it's"), r"'it\'s'"),
        (Atom("a\nb"), r"'a\nb'"),
        (b"abc", '<<"abc">>'),
        ("é", '<<"é"/utf8>>'),
        (b"", "<<>>"),
        (b"\xff\x00", "<<255,0>>"),
        ([97, 98], '"ab"'),
        ([1, 2], "[1,2]"),
        ([97, True], "[97,true]"),
        ((1, [atoms.a]), "{1,[a]}"),
        (ImproperList([1], 2), "[1|2]"),
        ({b"k": (1,)}, '#{<<"k">> => {1}}'),
        (TermMap([(1, 2), (1.0, 3)]), "#{1 => 2,1.0 => 3}"),
        (BitString(b"\x01\xa0", 3), "<<1,5:3>>"),
        (Pid("n@h", 1, 2, 3), "<n@h.1.2>"),
        (Port("n@h", 1, 3), "#Port<n@h.1>"),
        (Reference("n@h", 3, [1, 2, 3]), "#Ref<n@h.3.2.1>"),
        (Export("lists", "map", 2), "fun lists:map/2"),
        (Record("m", "r", {"x": 1}), "#m:r{x = 1}"),
        (2**40_000, f"16#1{'0' * 10_000}"),
    ],
    ids=lambda value: str(value)[:30] if not isinstance(value, int) else "",
)
def test_format_prints(term: Any, text: str) -> None:
    assert consult.format(term) == text


def test_format_ends_deep_terms() -> None:
    term: Any = ()
    for _ in range(500):
        term = (term,)

    assert "..." in consult.format(term)


@pytest.mark.parametrize("term", [object(), {1}, float("nan"), [float("inf")]])
def test_format_refuses_what_has_no_erlang_form(term: Any) -> None:
    with pytest.raises(TypeError):
        consult.format(term)


@given(strategies.written_terms())
def test_parse_of_format_is_the_term(term: Any) -> None:
    assert reference_etf.canonical(consult.parse(consult.format(term))) == reference_etf.canonical(term)
