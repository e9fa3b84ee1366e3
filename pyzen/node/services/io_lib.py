"""``io_lib:format`` for a group leader: BEAM sends format and arguments, and leaves the work to the leader.

Source: OTP, "io", ``fwrite/3``.
"""

from __future__ import annotations

import bisect
import codecs
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from pyzen.printing import format as format_term
from pyzen.terms import Atom, FrozenList, ImproperList

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["characters", "fwrite"]

CONTROL: Final = re.compile(
    r"""~ (?P<width> -?\d+ | \*)?
        (?: \. (?P<precision> \d+ | \*)? (?: \. (?P<pad> .) )? )?
        [tlkK]* (?P<letter> .)""",
    re.DOTALL | re.VERBOSE,
)
MAX_WIDTH: Final = 10_000
MAX_BITS: Final = 10_000
"""Of an integer whose digits are written in any base."""

DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def characters(data: Any, *, latin1: bool = False, size: int = sys.maxsize) -> str:
    """Return the text of Erlang's ``chardata``: binaries, code points, and lists of both.

    Args:
        data: The chardata; deep lists are read without recursion.
        latin1: Binaries are Latin-1 instead of UTF-8.
        size: Characters after which the text may end; what comes then is not looked at.

    Raises:
        ValueError: It is no chardata.
    """
    texts: list[str] = []
    waiting: list[Any] = [data]
    room = size
    while waiting and room > 0:
        room -= 1
        match waiting.pop():
            case bytes() as binary:
                texts.append(decoded(binary, room, "latin-1" if latin1 else "utf-8"))
                room -= len(texts[-1])
            case str() as text:  # of a process of this node: to others it goes as a binary
                texts.append(text)
            case bool():
                raise ValueError("an atom is no character")
            case int() as code:
                texts.append(chr(code))
            case list() | FrozenList() as elements:
                waiting.extend(reversed(list(elements[: room + 1])))
            case ImproperList() as improper:
                waiting.append(improper.tail)
                waiting.extend(reversed(improper.elements[: room + 1]))
            case other:
                raise ValueError(f"{type(other).__name__} is no character data")
    return "".join(texts)


def decoded(binary: bytes, size: int, encoding: str) -> str:
    """Return the text of a binary, up to about ``size`` characters."""
    end = 4 * size  # bytes, of which no character has more than four
    return codecs.getincrementaldecoder(encoding)().decode(binary[:end], final=len(binary) <= end)[:size]


def fwrite(control: Any, arguments: list[Any], *, size: int) -> str:
    """Return what ``io_lib:format(control, arguments)`` gives.

    The text has not many more than ``size`` characters, ends in ``...`` where it was longer, and takes no time for the
    rest: what a wrong format would make there is not found out. Integers of more than 10 000 bits are written as
    ``16#...``: their digits in other bases take a time that is quadratic in their size.

    Raises:
        ValueError: The format does not fit the arguments, as ``badarg``.
    """
    text = str(control) if isinstance(control, Atom) else characters(control, size=size)
    left = iter(arguments)
    try:
        written = "".join(pieces(text, left, size))
    except EndOfArguments:
        raise ValueError("the format has more directives than arguments") from None
    if len(written) >= size:
        return written[:size].rstrip(".") + "..."
    if next(left, None) is not None:
        raise ValueError("the format has fewer directives than arguments")
    return written


class EndOfArguments(Exception):
    """No argument is left for a directive."""


def following(arguments: Iterator[Any]) -> Any:
    """Return the next argument. Raises ``EndOfArguments``."""
    try:
        return next(arguments)
    except StopIteration:
        raise EndOfArguments from None


def pieces(text: str, arguments: Iterator[Any], room: int) -> Iterator[str]:
    """Yield what the parts of a format write, up to about ``room`` characters."""
    at = 0
    for found in CONTROL.finditer(text):
        piece = text[at : found.start()] + directive(found, arguments, room)
        at = found.end()
        room -= len(piece)
        yield piece
        if room <= 0:
            return
    yield text[at:]


def directive(found: re.Match[str], arguments: Iterator[Any], room: int) -> str:
    """Return what one directive writes; of what would be longer than ``room`` only the beginning."""
    letter = found["letter"]
    width, precision = (size(found[name], arguments) for name in ("width", "precision"))
    if letter == "~":
        return "~"
    if letter == "n":
        return "\n" * max(1, width or 1)
    argument = following(arguments)
    if type(argument) is int and argument.bit_length() > 4 * room:
        return "..."
    if letter == "c" and precision is None and width is not None:
        precision = abs(width)
    if letter == "i":
        return ""
    if letter not in WRITERS:
        raise ValueError(f"~{letter} is no directive")
    written: str = WRITERS[letter](argument, precision, arguments, room)
    if letter in "pP":
        return written  # a width is that of the line there, and all is on one line here
    return padded(written, width, precision if letter == "s" else None, found["pad"] or " ")


def size(text: str | None, arguments: Iterator[Any]) -> int | None:
    """Return a width or precision; ``*`` takes it from the arguments."""
    if text is None:
        return None
    number = following(arguments) if text == "*" else int(text)
    if type(number) is not int or abs(number) > MAX_WIDTH:
        raise ValueError("a width is an integer, and no larger than 10000")
    return number


def padded(text: str, width: int | None, precision: int | None, pad: str) -> str:
    """Fit a text into a field: negative widths adjust to the left; what is too wide becomes stars, as there."""
    if precision is not None:
        text = text[:precision].ljust(precision, pad)
    if width is None:
        return text
    if len(text) > abs(width):
        return text[: abs(width)] if precision is not None else "*" * abs(width)
    return text.ljust(-width, pad) if width < 0 else text.rjust(width, pad)


def written_text(argument: Any, room: int) -> str:
    """Return what ``~s`` writes."""
    return str(argument) if isinstance(argument, Atom) else characters(argument, size=room)


def integer(argument: Any, base: int | None, *, upper: bool) -> str:
    """Return an integer in a base from 2 to 36."""
    base = 10 if base is None else base
    if type(argument) is not int or not 2 <= base <= 36:
        raise ValueError("an integer and a base from 2 to 36 are needed")
    digits = digits_of(abs(argument), base)
    return ("-" if argument < 0 else "") + (digits.upper() if upper else digits)


def digits_of(number: int, base: int) -> str:
    """Return the digits of a number; those of a huge one in base 16, with its prefix unless that was asked for."""
    if number.bit_length() > MAX_BITS:
        return f"{number:x}" if base == 16 else f"16#{number:x}"
    digits = ""
    while number or not digits:
        number, digit = divmod(number, base)
        digits = DIGITS[digit] + digits
    return digits


def based(argument: Any, base: int | None, arguments: Iterator[Any], room: int, *, upper: bool) -> str:
    """Return an integer with a prefix that is an argument of its own."""
    prefix = written_text(following(arguments), room)
    digits = integer(argument, base, upper=upper)
    return f"-{prefix}{digits[1:]}" if digits.startswith("-") else prefix + digits


def fixed(argument: Any, precision: int | None) -> str:
    """Return a float as ``~f`` writes it."""
    return format(real(argument), f".{6 if precision is None else precision}f")


def scientific(argument: Any, precision: int | None) -> str:
    """Return a float as ``~e`` writes it: the precision counts all digits, and the exponent has no leading zeros."""
    mantissa, _, exponent = format(real(argument), f".{(6 if precision is None else precision) - 1}e").partition("e")
    return f"{mantissa}e{int(exponent):+d}"


def general(argument: Any, precision: int | None) -> str:
    """Return a float as ``~g`` writes it: fixed from 0.1 to 10000, where the digits suffice, else scientific."""
    digits = 6 if precision is None else precision
    bounds = (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)
    exponent = bisect.bisect_right(bounds, abs(real(argument))) - 2
    if -1 <= exponent < min(4, digits - 1):
        return fixed(argument, digits - 1 - exponent)
    return scientific(argument, max(2, digits))


def real(argument: Any) -> float:
    """Return a float. Raises ``ValueError`` for anything else."""
    if type(argument) is not float:
        raise ValueError("a float is needed")
    return argument


WRITERS: Final[dict[str, Any]] = {
    "s": lambda one, _precision, _rest, room: written_text(one, room),
    "p": lambda one, _precision, _rest, room: format_term(one, size=room),
    "w": lambda one, _precision, _rest, room: format_term(one, texts=False, size=room),
    # A depth is asked for where a term may be huge; ours are cut by their nesting already.
    "P": lambda one, _precision, rest, room: (following(rest), format_term(one, size=room))[1],
    "W": lambda one, _precision, rest, room: (following(rest), format_term(one, texts=False, size=room))[1],
    "c": lambda one, count, _rest, _room: chr(one) * (1 if count is None else count),
    "b": lambda one, base, _rest, _room: integer(one, base, upper=False),
    "B": lambda one, base, _rest, _room: integer(one, base, upper=True),
    "#": lambda one, base, _rest, _room: f"{10 if base is None else base}#{integer(one, base, upper=True)}",
    "+": lambda one, base, _rest, _room: f"{10 if base is None else base}#{integer(one, base, upper=False)}",
    "x": lambda one, base, rest, room: based(one, base, rest, room, upper=False),
    "X": lambda one, base, rest, room: based(one, base, rest, room, upper=True),
    "e": lambda one, precision, _rest, _room: scientific(one, precision),
    "f": lambda one, precision, _rest, _room: fixed(one, precision),
    "g": lambda one, precision, _rest, _room: general(one, precision),
}
