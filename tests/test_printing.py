"""Terms in Erlang's syntax; that they can be read back is tested with `consult`."""

from __future__ import annotations

from typing import Any

import pytest

from pyzen.printing import MAX_DEPTH, format
from pyzen.terms import Atom, BitString, Export, ImproperList, Pid, Port, Reference


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (True, "true"),
        (None, "nil"),
        (Atom("ok"), "ok"),
        (Atom("\u00e9t\u00e9@home_1"), "\u00e9t\u00e9@home_1"),
        (Atom("Elixir.Enum"), "'Elixir.Enum'"),
        (Atom("maybe"), "'maybe'"),
        (Atom(""), "''"),
        (Atom("it's\n"), "'it\\'s\\n'"),
    ],
)
def test_atoms_are_quoted_where_they_have_to_be(term: Any, text: str) -> None:
    assert format(term) == text


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (-5, "-5"),
        (10**5000, f"16#{10**5000:X}"),
        (-(10**5000), f"-16#{10**5000:X}"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (1e22, "1.0e22"),
        (1.5e-7, "1.5e-07"),
    ],
    ids=["negative", "huge", "huge and negative", "float", "minus zero", "large", "small"],
)
def test_numbers_are_decimal_while_python_can(term: Any, text: str) -> None:
    assert format(term) == text


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (b"", "<<>>"),
        (b"text", '<<"text">>'),
        ("text", '<<"text">>'),
        (bytearray(b'"\\'), '<<"\\"\\\\">>'),
        ("\u00fc", '<<"\u00fc"/utf8>>'),
        (b"\x00\xff", "<<0,255>>"),
        (memoryview(b"\xc3"), "<<195>>"),
        (BitString(b"\x01\xe0", 3), "<<1,7:3>>"),
    ],
)
def test_binaries_are_text_where_all_of_it_is_printable(term: Any, text: str) -> None:
    assert format(term) == text


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ([], "[]"),
        ([104, 105], '"hi"'),
        ([104, 105, 0], "[104,105,0]"),
        ([104, True], "[104,true]"),
        ([0x110000], "[1114112]"),
        ([27, 34], '"\\e\\""'),
        ((), "{}"),
        ((1, [(2,)]), "{1,[{2}]}"),
        (ImproperList([1, 2], 3), "[1,2|3]"),
        ({Atom("a"): {1: b"x"}}, '#{a => #{1 => <<"x">>}}'),
    ],
)
def test_containers(term: Any, text: str) -> None:
    assert format(term) == text


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (Pid("n@h", 5, 6, 7), "<n@h.5.6>"),
        (Port("n@h", 5, 7), "#Port<n@h.5>"),
        (Reference("n@h", 7, [1, 2, 3]), "#Ref<n@h.3.2.1>"),
        (Export(Atom("Elixir.Enum"), Atom("map"), 2), "fun 'Elixir.Enum':map/2"),
    ],
)
def test_what_can_not_be_read_back_looks_as_in_the_shell(term: Any, text: str) -> None:
    assert format(term) == text


@pytest.mark.parametrize("term", [object(), 1j, {1, 2}, float("nan"), [float("inf")]])
def test_what_has_no_erlang_form_is_refused(term: Any) -> None:
    with pytest.raises(TypeError, match="has no Erlang form"):
        format(term)


@pytest.mark.parametrize(("depth", "ends"), [(MAX_DEPTH, False), (MAX_DEPTH + 1, True)])
def test_depth_is_bounded(depth: int, ends: bool) -> None:
    term: Any = ()
    for _ in range(depth):
        term = (term,)

    assert ("..." in format(term)) is ends


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ([1, 2, 3, 4, 5, 6], "[1,2,3,...]"),
        (b"abcdefghijkl", '<<"abcdefgh"...>>'),
        (bytes(12), "<<0,0,0,0,0,0,0,0,...>>"),
        ("\u00fc" * 12, '<<"\u00fc\u00fc\u00fc\u00fc"/utf8...>>'),
        ([97] * 12, '"aaaaaaaa"...'),
        (1 << 300, "..."),
        ((1, [2, (3, 4, 5)]), "{1,[2,...]}"),
        ({1: 2, 3: 4, 5: 6}, "#{1 => 2,3 => ...,...}"),
    ],
)
def test_a_bounded_text_ends_about_where_it_should(term: Any, text: str) -> None:
    assert format(term, size=10) == text


def test_a_term_that_fits_is_printed_whole() -> None:
    term: Any = [(Atom("a"), b"text", {1: [2.5]}), [[], ()]]

    assert format(term, size=1000) == format(term)
