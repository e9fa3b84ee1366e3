"""Printing terms in Erlang's syntax; the other half of `consult`, which offers it as ``format``.

Source: OTP, "Erlang Reference Manual", chapter "Data Types", and ``io_lib:format`` with ``~p``.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from pyzen.terms import (
    Atom,
    BitString,
    Export,
    FrozenList,
    Fun,
    ImproperList,
    Pid,
    Port,
    Record,
    Reference,
    TermMap,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzen.terms import Term

__all__ = ["ESCAPES", "KEYWORDS", "format"]

#: Nesting of what is printed.
MAX_DEPTH: Final = 100

#: Letters that stand for a character after a backslash.
ESCAPES: Final = {
    "b": "\b", "d": "\x7f", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "s": " ", "t": "\t", "v": "\v",
}  # fmt: skip

#: Words that are no atoms without quotes.
KEYWORDS: Final = frozenset({
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case", "catch", "cond", "div",
    "else", "end", "fun", "if", "let", "maybe", "not", "of", "or", "orelse", "receive", "rem", "try", "when", "xor",
})  # fmt: skip

SPECIAL: Final[dict[object, str]] = {True: "true", False: "false", None: "nil"}


def format(term: Term, *, texts: bool = True) -> str:
    """Print a term in Erlang's syntax, as ``~p`` does, on one line.

    Without ``texts`` lists and binaries of printable characters are printed as numbers, as ``~w`` does.

    What has no syntax (pids and the like, native records) is printed as the shell does. Containers nested deeper
    than 100 levels end in ``...``.

    Raises:
        TypeError: If an object has no Erlang form.
    """
    return printed(term, 0, texts)


def printed(term: Term, depth: int, texts: bool) -> str:
    """Print a term that stands this deep in another."""
    if depth > MAX_DEPTH:
        return "..."

    def shown(one: Term) -> str:
        return printed(one, depth + 1, texts)

    def inner(terms: Sequence[Term]) -> str:
        return ",".join(shown(one) for one in terms)

    match term:
        case bool() | None | Atom():
            return printed_atom(SPECIAL.get(term, str(term)))
        case int():
            return printed_integer(term)
        case float():
            return printed_float(term)
        case str():
            return printed_binary(term.encode(), texts=texts)
        case bytes() | bytearray() | memoryview():
            return printed_binary(bytes(term), texts=texts)
        case BitString():
            head = "".join(f"{byte}," for byte in term.data[:-1])
            return f"<<{head}{term.data[-1] >> (8 - term.bits)}:{term.bits}>>"
        case tuple():
            return "{" + inner(term) + "}"
        case list() | FrozenList():
            elements = list(term)
            text = printable(elements) if texts else None
            return f"[{inner(elements)}]" if text is None else quoted(text, '"')
        case ImproperList(elements, tail):
            return f"[{inner(elements)}|{shown(tail)}]"
        case dict() | TermMap():
            pairs = (f"{shown(key)} => {shown(value)}" for key, value in term.items())
            return "#{" + ",".join(pairs) + "}"
        case _:
            return printed_opaque(term)


def printed_opaque(term: Term) -> str:
    """Print what can't be read back."""
    match term:
        case Pid():
            return f"<{term.node}.{term.id}.{term.serial}>"
        case Port():
            return f"#Port<{term.node}.{term.id}>"
        case Reference():
            return f"#Ref<{term.node}.{'.'.join(map(str, reversed(term.words)))}>"
        case Export(module, function, arity):
            return f"fun {format(module)}:{format(function)}/{arity}"
        case Fun():
            return f"#Fun<{format(term.module)}.{term.index}.{term.old_uniq}>"
        case Record():
            fields = ",".join(f"{format(name)} = {format(value)}" for name, value in term.fields.items())
            return f"#{format(term.module)}:{format(term.name)}{{{fields}}}"
    raise TypeError(f"{type(term).__name__} has no Erlang form")


def printed_atom(text: str) -> str:
    """Print an atom, quoted where it has to be."""
    plain = re.fullmatch(r"[a-z\u00df-\u00f6\u00f8-\u00ff][0-9A-Za-z_@\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]*", text)
    return text if plain and text not in KEYWORDS else quoted(text, "'")


def printed_integer(value: int) -> str:
    """Print an integer of any size; Python refuses decimals of more than 4300 digits."""
    return str(int(value)) if value.bit_length() < 10_000 else f"{'-' if value < 0 else ''}16#{abs(value):X}"


def printed_float(value: float) -> str:
    """Print a float with the point that Erlang needs."""
    if not math.isfinite(value):
        raise TypeError(f"the float {value} has no Erlang form")
    digits, exponent, power = repr(float(value)).partition("e")
    return (digits if "." in digits else f"{digits}.0") + exponent + power.removeprefix("+")


def printed_binary(data: bytes, *, texts: bool) -> str:
    """Print a binary, as text where all of it is printable."""
    try:
        text = data.decode() if texts else ""
    except UnicodeDecodeError:
        text = ""
    if not text or not all(map(is_printable, text)):
        return "<<" + ",".join(map(str, data)) + ">>"
    return f"<<{quoted(text, chr(34))}{'' if text.isascii() else '/utf8'}>>"


def printable(elements: Sequence[Term]) -> str | None:
    """Return the text of a list of printable code points, None for any other."""
    if not elements or not all(type(one) is int and 0 < one < 0x110000 for one in elements):
        return None
    text = "".join(map(chr, elements))
    return text if all(map(is_printable, text)) else None


def is_printable(character: str) -> bool:
    """Whether Erlang shows a character as it is, or by one of its short escapes."""
    return character.isprintable() or character in "\b\t\n\v\f\r\x1b"


def quoted(text: str, quote: str) -> str:
    """Quote a text, with escapes for what can't be shown."""
    short = {value: f"\\{name}" for name, value in ESCAPES.items() if value != " "} | {
        "\\": "\\\\",
        quote: f"\\{quote}",
    }
    shown = (short.get(one) or (one if one.isprintable() else f"\\x{{{ord(one):X}}}") for one in text)
    return quote + "".join(shown) + quote
