"""Printing terms in Erlang's syntax; the other half of `consult`, which offers it as ``format``.

Source: OTP, "Erlang Reference Manual", chapter "Data Types", and ``io_lib:format`` with ``~p``.
"""

from __future__ import annotations

import codecs
import math
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, final

from pyzen.logs import escaped
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
    from collections.abc import Callable, Iterable, Sequence

    from pyzen.terms import Term

__all__ = ["ESCAPES", "KEYWORDS", "format"]

Parts = TypeVar("Parts", bound="Sequence[Any]")

#: Nesting of what is printed.
MAX_DEPTH: Final = 100

#: Digits of an integer that is printed however little room there is.
MAX_SHORT: Final = 64

#: Letters that stand for a character after a backslash.
ESCAPES: Final = {
    "b": "\b", "d": "\x7f", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "s": " ", "t": "\t", "v": "\v",
}  # fmt: skip

#: Characters that have such a letter.
SHORT: Final = {value: f"\\{name}" for name, value in ESCAPES.items() if value != " "}

UTF8: Final = codecs.getincrementaldecoder("utf-8")

#: Words that are no atoms without quotes.
KEYWORDS: Final = frozenset({
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case", "catch", "cond", "div",
    "else", "end", "fun", "if", "let", "maybe", "not", "of", "or", "orelse", "receive", "rem", "try", "when", "xor",
})  # fmt: skip

SPECIAL: Final[dict[object, str]] = {True: "true", False: "false", None: "nil"}


def format(term: Term, *, texts: bool = True, size: int | None = None) -> str:
    """Print a term in Erlang's syntax, as ``~p`` does, on one line.

    Without ``texts`` lists and binaries of printable characters are printed as numbers, as ``~w`` does. With ``size``
    the text has not many more characters than that, and takes no time for the rest, which is shown as ``...``.

    What has no syntax (pids and the like, native records) is printed as the shell does. Containers nested deeper
    than 100 levels end in ``...``.

    Raises:
        TypeError: If an object has no Erlang form.
    """
    return Printer(math.inf if size is None else size, texts=texts).printed(term, 0)


def shown_character(character: str) -> str:
    """Return a character as it is, or the escape of one that can't be shown."""
    return character if character.isprintable() else SHORT.get(character) or f"\\x{{{ord(character):X}}}"


@final
class Printer:
    """Prints one term.

    Args:
        room: Characters that may come, infinity if there is no bound.
        texts: Show lists and binaries of printable characters as texts.
    """

    def __init__(self, room: float, *, texts: bool) -> None:
        self.room = room
        self.texts = texts

    def printed(self, term: Term, depth: int) -> str:
        """Print a term that stands this deep in another."""
        if depth > MAX_DEPTH or self.room <= 0:
            return "..."
        self.room -= 2  # each part takes something, were it an empty list
        match term:
            case tuple():
                return "{" + self.inner(term, depth) + "}"
            case list() | FrozenList():
                return self.listed(term, depth)
            case ImproperList(elements, tail):
                return f"[{self.inner(elements, depth)}|{self.printed(tail, depth + 1)}]"
            case dict() | TermMap():
                return "#{" + self.joined(term.items(), lambda pair: self.pair(pair, depth)) + "}"
            case Record():
                return self.recorded(term, depth)
        text = self.plain(term)
        self.room -= len(text)
        return text

    def plain(self, term: Term) -> str:
        """Print a term that holds no others."""
        match term:
            case bool() | None | Atom():
                return printed_atom(SPECIAL.get(term, str(term)))
            case int():
                return "..." if term.bit_length() > 4 * max(self.room, MAX_SHORT) else printed_integer(term)
            case float():
                return printed_float(term)
            case str():
                return self.binary(term.encode())
            case bytes() | bytearray() | memoryview():
                return self.binary(term)
            case BitString():
                data, left = self.first(term.data[:-1])
                head = "".join(f"{byte}," for byte in data)
                return f"<<{head}{left or f'{term.data[-1] >> (8 - term.bits)}:{term.bits}'}>>"
        return printed_opaque(term)

    def first(self, parts: Parts) -> tuple[Parts, str]:
        """Return the parts that there is room for, and what stands for the others."""
        if len(parts) <= self.room:
            return parts, ""
        return cast("Parts", parts[: max(int(self.room), 0)]), "..."

    def inner(self, terms: Sequence[Term], depth: int) -> str:
        """Print the parts of a container."""
        return self.joined(terms, lambda term: self.printed(term, depth + 1))

    def pair(self, pair: tuple[Term, Term], depth: int) -> str:
        """Print a pair of a map."""
        key, value = pair
        return f"{self.printed(key, depth + 1)} => {self.printed(value, depth + 1)}"

    def joined(self, parts: Iterable[Any], show: Callable[[Any], str]) -> str:
        """Print the parts of a container, up to the first for which there is no room."""
        texts: list[str] = []
        for part in parts:
            if self.room <= 0:
                texts.append("...")
                break
            texts.append(show(part))
        return ",".join(texts)

    def listed(self, term: Any, depth: int) -> str:
        """Print a list, as a text if it may be one."""
        elements, left = self.first(term)
        text = printable(list(elements)) if self.texts else None
        if text is None:
            return f"[{self.inner(term, depth)}]"
        self.room -= len(text)
        return quoted(text, '"') + left

    def recorded(self, term: Any, depth: int) -> str:
        """Print a native record."""

        def field(pair: tuple[Term, Term]) -> str:
            return f"{format(pair[0])} = {self.printed(pair[1], depth + 1)}"

        return f"#{format(term.module)}:{format(term.name)}{{{self.joined(term.fields.items(), field)}}}"

    def binary(self, data: Any) -> str:
        """Print a binary, as text where all of it is printable."""
        shown, left = self.first(data)
        text = self.text_of(bytes(shown), is_cut=bool(left))
        if text is None:
            return "<<" + ",".join(map(str, bytes(shown))) + (f",{left}" if left else "") + ">>"
        return f"<<{quoted(text, chr(34))}{'' if text.isascii() else '/utf8'}{left}>>"

    def text_of(self, data: bytes, *, is_cut: bool) -> str | None:
        """Return the text of a binary, None for what is none; a cut may go through a character."""
        try:
            text = UTF8().decode(data, final=not is_cut) if self.texts else ""
        except UnicodeDecodeError:
            return None
        return text if text and all(map(is_printable, text)) else None


def printed_opaque(term: Term) -> str:
    """Print what can't be read back."""
    match term:
        case Pid():
            return f"<{escaped(str(term.node))}.{term.id}.{term.serial}>"
        case Port():
            return f"#Port<{escaped(str(term.node))}.{term.id}>"
        case Reference():
            return f"#Ref<{escaped(str(term.node))}.{'.'.join(map(str, reversed(term.words)))}>"
        case Export(module, function, arity):
            return f"fun {format(module)}:{format(function)}/{arity}"
        case Fun():
            return f"#Fun<{format(term.module)}.{term.index}.{term.old_uniq}>"
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
    marks = {"\\": "\\\\", quote: f"\\{quote}"}
    return quote + "".join(marks.get(one) or shown_character(one) for one in text) + quote
