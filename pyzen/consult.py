"""Erlang term syntax: what ``file:consult`` reads, and what is typed for a term on a command line.

Integers (also ``16#ff``, ``1_000`` and ``$a``), floats, atoms, strings (lists of code points), binaries of strings
and bytes, tuples, lists, improper lists and maps. Pids, ports, references and funs have no such syntax.

Source: OTP, "Erlang Reference Manual", chapter "Data Types", and ``erl_scan``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from pyzen.errors import ConfigError
from pyzen.printing import ESCAPES, KEYWORDS, format
from pyzen.terms import FrozenList, ImproperList, TermMap, atoms

Item = TypeVar("Item")

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.terms import Term

__all__ = ["format", "parse", "parse_all"]

#: Nesting of what is parsed: it is typed by people, and the parser recurses.
MAX_DEPTH: Final = 100

#: A quoted part ends at its quote; a backslash takes the next character with it.
TOKEN: Final = re.compile(
    r"""
    (?P<space>      (?:\s|%[^\n]*)+ )
  | (?P<float>      [0-9]+(?:_[0-9]+)*\.[0-9]+(?:_[0-9]+)*(?:[eE][+-]?[0-9]+)? )
  | (?P<based>      [0-9]{1,2}\#[0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)* )
  | (?P<integer>    [0-9]+(?:_[0-9]+)* )
  | (?P<character>  \$(?:\\(?:x\{[0-9a-fA-F]+\}|x[0-9a-fA-F]{2}|[0-7]{1,3}|\^.|.)|[^\\]) )
  | (?P<atom>       [a-z\u00df-\u00f6\u00f8-\u00ff][0-9A-Za-z_@\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]* )
  | (?P<quoted>     '(?:[^'\\]|\\.)*' )
  | (?P<string>     "(?:[^"\\]|\\.)*" )
  | (?P<variable>   [A-Z_][\w@]* )
  | (?P<mark>       <<|>>|=>|\#\{|\#[A-Z][A-Za-z]*<|\#Fun|[][{}(),|:/+.<>-] )
    """,
    re.VERBOSE | re.DOTALL,
)

ESCAPE: Final = re.compile(r"\\(?:x\{([0-9a-fA-F]+)\}|x([0-9a-fA-F]{2})|([0-7]{1,3})|\^(.)|(.))", re.DOTALL)

IDENTIFIERS: Final = "pids, ports, references and funs have no syntax that can be read"


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the text, and where it starts."""

    kind: str
    text: str
    at: int


def parse(text: str) -> Term:
    """Parse one term; a dot at its end may be left out.

    Raises:
        ConfigError: If the text is no term; tells line and column.
    """
    parser = Parser(text)
    term = parser.term(0)
    parser.skip(".")
    if parser.token.kind != "end":
        parser.fail(f"nothing may follow the term, but {parser.shown()} does")
    return term


def parse_all(text: str) -> list[Term]:
    """Parse the terms of a file, each ended by a dot, as ``file:consult`` does.

    Raises:
        ConfigError: If the text is not a sequence of terms; tells line and column.
    """
    parser = Parser(text)
    terms: list[Term] = []
    while parser.token.kind != "end":
        terms.append(parser.term(0))
        parser.expect(".")
    return terms


class Parser:
    """A recursive descent, one token ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.token = self.scan()

    # ---- tokens

    def scan(self) -> Token:
        """Return the token at the position, past white space and comments."""
        while self.at < len(self.text):
            match = TOKEN.match(self.text, self.at)
            if match is None or match.lastgroup is None:
                self.fail(f"no term goes on with {self.text[self.at]!r}", at=self.at)
            at, self.at = self.at, match.end()
            if match.lastgroup != "space":
                return Token(match.lastgroup, match.group(), at)
        return Token("end", "", len(self.text))

    def next(self) -> Token:
        """Return the current token, and go on to the one after it."""
        token, self.token = self.token, self.scan()
        return token

    def skip(self, mark: str) -> bool:
        """Go past this mark if it is the current token."""
        if self.token.kind != "mark" or self.token.text != mark:
            return False
        self.next()
        return True

    def expect(self, mark: str) -> None:
        """Go past this mark, which has to come."""
        if not self.skip(mark):
            self.fail(f"{mark!r} is needed here, not {self.shown()}")

    def shown(self) -> str:
        """Return the current token as errors name it."""
        return "the end" if self.token.kind == "end" else repr(self.token.text[:20])

    def fail(self, what: str, *, at: int | None = None) -> NoReturn:
        """Raise the error that names this place."""
        place = self.token.at if at is None else at
        line = self.text.count("\n", 0, place) + 1
        column = place - (self.text.rfind("\n", 0, place) + 1) + 1
        raise ConfigError(f"line {line}, column {column}: {what}")

    # ---- terms

    def term(self, depth: int) -> Term:
        """Parse the term that starts with the current token."""
        if depth > MAX_DEPTH:
            self.fail(f"terms are nested deeper than {MAX_DEPTH} levels")
        match self.token.kind:
            case "integer" | "based" | "character" | "float":
                return self.number(sign=1)
            case "string":
                return [ord(character) for character in self.strings()]
            case "atom" | "quoted":
                return self.atom()
            case "mark":
                return self.marked(depth)
            case "variable":
                self.fail(f"{self.shown()} is a variable; an atom of this text is written in single quotes")
            case _:
                self.fail("a term is needed here, not the end")

    def marked(self, depth: int) -> Term:
        """Parse a term that starts with a mark."""
        match self.token.text:
            case "+" | "-":
                return self.number(sign=-1 if self.next().text == "-" else 1)
            case "{":
                self.next()
                return tuple(self.sequence("}", lambda: self.term(depth + 1)))
            case "[":
                return self.list(depth)
            case "#{":
                return self.map(depth)
            case "<<":
                return self.binary()
            case "<" | "#Fun":
                self.fail(IDENTIFIERS)
            case text if text.startswith("#"):
                self.fail(IDENTIFIERS)
            case _:
                self.fail(f"a term is needed here, not {self.shown()}")

    def number(self, *, sign: int) -> int | float:
        """Parse an integer, a float or a character."""
        token = self.token
        digits = token.text.replace("_", "")
        match token.kind:
            case "integer":
                value: int | float = self.integer(digits, 10)
            case "based":
                base, _, digits = digits.partition("#")
                value = self.integer(digits, int(base))
            case "character":
                value = ord(self.unescape(token.text[1:], token.at + 1))
            case "float":
                value = float(digits)
                if value in {float("inf"), float("-inf")}:
                    self.fail("the float is too large")
            case _:
                self.fail(f"a number is needed here, not {self.shown()}")
        self.next()
        return sign * value

    def integer(self, digits: str, base: int) -> int:
        """Return the value of digits in a base from 2 to 36."""
        if not 2 <= base <= 36:
            self.fail(f"the base is from 2 to 36, not {base}")
        try:
            return int(digits, base)
        except ValueError:
            self.fail(f"{self.shown()} is no integer that can be read")

    def atom(self) -> Term:
        """Parse an atom; ``true``, ``false`` and ``nil`` give Python's values."""
        token = self.token
        quoted = token.kind == "quoted"
        if not quoted and token.text in KEYWORDS:
            self.fail(IDENTIFIERS if token.text == "fun" else f"{token.text!r} is a keyword; quote it")
        text = self.unescape(token.text[1:-1], token.at + 1) if quoted else token.text
        try:
            atom = atoms[text]
        except ValueError as error:
            self.fail(str(error))
        self.next()
        return atom

    def strings(self) -> str:
        """Parse string literals; those that follow one another are one."""
        parts: list[str] = []
        while self.token.kind == "string":
            token = self.token
            parts.append(self.unescape(token.text[1:-1], token.at + 1))
            self.next()
        return "".join(parts)

    def unescape(self, text: str, at: int) -> str:
        """Resolve the escapes of a text that starts at a position."""

        def resolve(match: re.Match[str]) -> str:
            braced, two, octal, control, plain = match.groups()
            if plain is not None:
                return ESCAPES.get(plain, plain)
            if control is not None:
                return chr(ord(control) & 31)
            value = int(octal, 8) if octal else int(braced or two, 16)
            if value > 0x10FFFF or 0xD800 <= value < 0xE000:
                self.fail(f"there is no character {match.group()}", at=at + match.start())
            return chr(value)

        return ESCAPE.sub(resolve, text)

    def sequence(self, end: str, item: Callable[[], Item]) -> list[Item]:
        """Parse items between commas, up to and with the mark that ends them."""
        items: list[Item] = []
        if self.skip(end):
            return items
        items.append(item())
        while self.skip(","):
            items.append(item())
        self.expect(end)
        return items

    def list(self, depth: int) -> Term:
        """Parse a list, proper or not."""
        self.next()
        elements: list[Term] = []
        if self.skip("]"):
            return elements
        elements.append(self.term(depth + 1))
        while self.skip(","):
            elements.append(self.term(depth + 1))
        tail: Term = self.term(depth + 1) if self.skip("|") else []
        self.expect("]")
        return [*elements, *tail] if isinstance(tail, list) else ImproperList(elements, tail)

    def map(self, depth: int) -> Term:
        """Parse a map."""
        self.next()

        def pair() -> tuple[Term, Term]:
            key = self.term(depth + 1)
            self.expect("=>")
            return frozen(key), self.term(depth + 1)

        pairs = self.sequence("}", pair)
        term_map = TermMap(pairs)
        if len(term_map) != len(pairs):
            self.fail("a key stands twice in this map")
        plain = dict(pairs)
        return plain if len(plain) == len(pairs) else term_map

    def binary(self) -> bytes:
        """Parse a binary of strings and bytes."""
        self.next()
        return b"".join(self.sequence(">>", self.segment))

    def segment(self) -> bytes:
        """Parse one string or byte of a binary."""
        if self.token.kind == "string":
            token = self.token
            text = self.strings()
            if not self.skip("/"):
                return self.latin1(text, token)
            if self.token.text not in {"utf8", "utf-8"}:
                self.fail(f"of the types only utf8 can be read, not {self.shown()}")
            self.next()
            return text.encode()
        token = self.token
        value = self.number(sign=-1 if self.skip("-") else 1)
        if not isinstance(value, int) or self.token.text in {":", "/"}:
            self.fail("of a binary only strings and whole bytes can be read", at=token.at)
        return bytes([value & 255])

    def latin1(self, text: str, token: Token) -> bytes:
        """Return the bytes of a string without a type."""
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            self.fail('characters above 255 need a type: <<"..."/utf8>>', at=token.at)


def frozen(term: Term) -> Term:
    """Return the hashable twin of a term that becomes a key."""
    match term:
        case list():
            return FrozenList([frozen(element) for element in term])
        case tuple():
            return tuple(frozen(element) for element in term)
        case ImproperList(elements, tail):
            return ImproperList([frozen(element) for element in elements], frozen(tail))
        case dict() | TermMap():
            return TermMap([(key, frozen(value)) for key, value in term.items()])
    return term
