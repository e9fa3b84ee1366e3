from __future__ import annotations

from typing import Any

import pytest

from pyzen.node.services.io_lib import characters, fwrite
from pyzen.terms import ImproperList, atoms


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"gr\xc3\xbc\xc3\x9fe", "gr\u00fc\u00dfe"),
        ([104, [b"e", [108]], 108, 111], "hello"),
        (ImproperList([104, b"i"], b"!"), "hi!"),
        ([], ""),
    ],
)
def test_chardata_is_binaries_and_characters(data: Any, text: str) -> None:
    assert characters(data) == text


def test_binaries_may_be_latin1() -> None:
    assert characters(b"\xfc", latin1=True) == "\u00fc"


def test_deep_chardata_is_read_without_recursion() -> None:
    deep: Any = [120]
    for _ in range(9000):
        deep = [deep]
    assert characters(deep) == "x"


@pytest.mark.parametrize("data", [atoms.a, True, 1.5, b"\xff", [(1,)], -1])
def test_what_is_no_chardata_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"character|chr|decode"):
        characters(data)


# Each was written by `io_lib:format/2` of OTP 25.
WRITTEN = [
    (b"~p ~w~n", [[104, 105], [104, 105]], '"hi" [104,105]\n'),
    (b"~s|~10s|~-6s|~.2s|~5.2s|", [b"ab", b"cd", atoms.ef, b"ghi", b"jkl"], "ab|        cd|ef    |gh|   jk|"),
    (b"~p", [{atoms.a: b"x"}], '#{a => <<"x">>}'),
    (b"~w", [b"x"], "<<120>>"),
    (b"~b ~B ~.16b ~.16B ~.16#", [10, -10, 255, 255, 255], "10 -10 ff FF 16#FF"),
    (b"~.2f|~8.3f|~e|~g", [3.14159, 2.5, 12345.678, 0.5], "3.14|   2.500|1.23457e+4|0.500000"),
    (b"~c~3c~5c", [97, 98, 99], "abbbccccc"),
    (b"~~ ~2n~i.", [atoms.ignored], "~ \n\n."),
    (b"~*s|~5..0b", [4, b"x", 42], "   x|00042"),
    (b"~.16x ~X", [31, b"0x", 12, b"no"], "0x1f no12"),
    (b"~ts ~tp", [b"\xc3\xbc", atoms.ok], "\u00fc ok"),
    (b"~3b", [12345], "***"),
    (b"~5.1c|~.3c|~-5c|", [97, 98, 99], "    a|bbb|ccccc|"),
    (
        b"~12e|~.3e|~.10g|~g|~g",
        [1.5, 1.5, 1.5, 1e100, 1e-5],
        "  1.50000e+0|1.50e+0|1.500000000|1.00000e+100|1.00000e-5",
    ),
    (b"~10p|~-10w|", [atoms.abc, atoms.abc], "abc|abc       |"),
    (b"~P ~W", [[1, 2], 9, (3,), 9], "[1,2] {3}"),
]


@pytest.mark.parametrize(("control", "arguments", "text"), WRITTEN)
def test_formats_are_written_as_by_erlang(control: bytes, arguments: list[Any], text: str) -> None:
    assert fwrite(control, arguments, size=1000) == text


@pytest.mark.parametrize(
    ("control", "arguments"),
    [
        (b"~p", []),
        (b"", [1]),
        (b"~q", [1]),
        (b"~b", [1.0]),
        (b"~f", [1]),
        (b"~.40b", [1]),
        (b"~99999s", [b"x"]),
        (b"~s", [(1,)]),
        (b"~*s", [atoms.a, b"x"]),
    ],
)
def test_a_format_that_does_not_fit_is_refused(control: bytes, arguments: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        fwrite(control, arguments, size=1000)


def test_bounded_chardata_ends_about_where_it_should() -> None:
    assert characters([b"abc", [b"def", 103], b"hij"], size=6) == "abc"
    assert characters(b"\xc3\xbc" * 100, size=5) == "\u00fc" * 4


@pytest.mark.parametrize(
    ("control", "arguments", "text"),
    [
        (b"~p and ~p", [[1] * 100, 2], "[1,1,..."),
        (b"~s", [b"x" * 100], "xxxxxxx"),
        (b"~b|", [1 << 100_000], "...|"),
        (b"~9999c" * 1000, [97] * 1000, "aaaaaaaa..."),
        (b"~p ~p", [1, 2], "1 2"),
    ],
)
def test_a_bounded_format_ends_about_where_it_should(control: bytes, arguments: list[Any], text: str) -> None:
    assert fwrite(control, arguments, size=8) == text


HUGE = (1 << 800_000) + 10


@pytest.mark.parametrize(
    ("control", "start"),
    [(b"~b", "16#10000"), (b"~B", "16#10000"), (b"~p", "16#10000"), (b"~.16b", "10000")],
)
def test_huge_integers_are_written_in_base_16(control: bytes, start: str) -> None:
    """Their decimal digits would take half a minute."""
    arguments = [HUGE]
    text = fwrite(control, arguments, size=1_000_000)

    assert text.startswith(start)
    assert text.lower().endswith("0a")


def test_newlines_count() -> None:
    assert len(fwrite(b"~9999n" * 10_000, [], size=20_000)) == 20_003
