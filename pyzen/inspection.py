"""Terms in Elixir's syntax, as ``inspect/1`` prints them, bounded and on one line: for logs.

Whatever is handed in has a text, objects of Python included, and it takes no longer than its first characters do.

Source: Elixir, ``Inspect`` and ``Macro.inspect_atom/2``.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.brief import brief
from pyzen.contained import contained
from pyzen.terms import Atom, BitString, FrozenList, ImproperList, Pid, Port, Reference, TermMap, atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["inspect"]

MAX_DEPTH: Final = 20
STRUCT: Final = atoms["__struct__"]
HIDDEN: Final = frozenset({STRUCT, atoms["__exception__"]})
"""Keys of a struct that are not shown."""
WORDS: Final[dict[object, str]] = {True: "true", False: "false", None: "nil"}
ALIAS: Final = re.compile(r"Elixir((?:\.[A-Z][0-9A-Za-z_]*)+)")
PLAIN: Final = re.compile(r"[A-Za-z_][0-9A-Za-z_@]*[?!]?")
SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e", '"': '\\"', "\\": "\\\\"}


def inspect(term: object, length: int = 500) -> str:
    """Return a term as Elixir prints it, cut to about ``length`` characters."""
    printer = _Printer(length)
    with contained:
        try:
            printer.put(term, 0)
        except _Full:
            printer.pieces.append("...")
    return "".join(printer.pieces)


class _Full(Exception):
    """There is no room for more."""


@final
class _Printer:
    """Prints one term piece by piece, until there is no more room."""

    def __init__(self, length: int) -> None:
        self.pieces: list[str] = []
        self._left = length

    def _add(self, text: str) -> None:
        if len(text) > self._left:
            self.pieces.append(text[: self._left])
            raise _Full
        self._left -= len(text)
        self.pieces.append(text)

    def put(self, term: Any, depth: int) -> None:
        """Print a term that stands this deep in another."""
        if depth > MAX_DEPTH:
            self._add("...")
            return
        match term:
            case bool() | None:
                self._add(WORDS[term])
            case Atom():
                self._add(atom(str(term)))
            case str():
                self._add(quoted(term[: self._left]))
            case bytes() | bytearray():
                self._add(binary(bytes(term[: self._left]), is_cut=len(term) > self._left))
            case tuple():
                self._sequence("{", term, "}", depth)
            case list() | FrozenList():
                self._list(term, depth)
            case ImproperList():
                self._improper(term, depth)
            case dict() | TermMap():
                self._map(term, depth)
            case Pid() | Port() | Reference():
                self._add(repr(term))
            case BitString():
                self._add(bits(term))
            case _:
                self._add(brief(term, max(self._left, 8)))

    def _each(self, items: Iterable[Any], put: Callable[[Any], None]) -> None:
        for number, item in enumerate(items):
            if number:
                self._add(", ")
            put(item)

    def _sequence(self, start: str, items: Iterable[Any], end: str, depth: int) -> None:
        self._add(start)
        self._each(items, lambda item: self.put(item, depth + 1))
        self._add(end)

    def _list(self, items: Any, depth: int) -> None:
        first = items[: self._left]
        if (text := characters(first)) is not None:
            self._add(f"~c{quoted(text)}")
        elif first and all(is_pair(item) for item in first):
            self._add("[")
            self._each(items, lambda item: self._pair(item, depth))
            self._add("]")
        else:
            self._sequence("[", items, "]", depth)

    def _improper(self, items: ImproperList, depth: int) -> None:
        self._sequence("[", items.elements, " | ", depth)
        self.put(items.tail, depth + 1)
        self._add("]")

    def _map(self, items: Any, depth: int) -> None:
        name = items.get(STRUCT)
        hidden, head = (HIDDEN, atom(str(name))) if isinstance(name, Atom) else ((), "")
        pairs = [pair for pair in islice(items.items(), self._left) if pair[0] not in hidden]
        put = self._pair if all(isinstance(key, Atom) for key, _ in pairs) else self._arrow
        self._add(f"%{head}{{")
        self._each(pairs, lambda pair: put(pair, depth))
        self._add("}")

    def _pair(self, pair: tuple[Any, Any], depth: int) -> None:
        text = str(pair[0])
        self._add(f"{text}: " if PLAIN.fullmatch(text) else f"{quoted(text)}: ")
        self.put(pair[1], depth + 1)

    def _arrow(self, pair: tuple[Any, Any], depth: int) -> None:
        self.put(pair[0], depth + 1)
        self._add(" => ")
        self.put(pair[1], depth + 1)


def is_pair(item: object) -> bool:
    """Say whether an element makes a list a keyword list."""
    return type(item) is tuple and len(item) == 2 and isinstance(item[0], Atom)


def atom(text: str) -> str:
    """Return an atom by its text: a module without ``Elixir``, others behind a colon."""
    if (alias := ALIAS.fullmatch(text)) is not None:
        return alias[1][1:]
    return f":{text}" if PLAIN.fullmatch(text) else f":{quoted(text)}"


def quoted(text: str) -> str:
    """Return a text between quotes, with escapes for what can't be shown."""
    shown = (SHORT.get(one) or (one if one.isprintable() else f"\\x{{{ord(one):X}}}") for one in text)
    return '"' + "".join(shown) + '"'


def binary(data: bytes, *, is_cut: bool = False) -> str:
    """Return a binary: as a text where it is one; a cut one may end within a character."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        text = data[: error.start].decode() if is_cut and error.start > len(data) - 4 else ""
    if all(one.isprintable() or one in SHORT for one in text) and (text or not data):
        return quoted(text)
    return f"<<{', '.join(map(str, data))}>>"


def bits(term: BitString) -> str:
    """Return a bitstring that does not end on a byte."""
    head = "".join(f"{byte}, " for byte in term.data[:-1][:100])
    return f"<<{head}{term.data[-1] >> (8 - term.bits)}::size({term.bits})>>"


def characters(items: Any) -> str | None:
    """Return the text of a list of printable characters, None for any other list."""
    if not items or not all(type(one) is int and 31 < one < 127 for one in items):
        return None
    return "".join(map(chr, items))
