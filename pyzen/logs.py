r"""Loggers of the package: they survive the program's handlers, write what peers say as one line, and know a bound.

**Bound.** Lines of one level and one text, before its arguments are filled in, are one kind. Of a kind at most twenty
are written in ten seconds, whichever node or process they are about; the next one tells how many were left out. A
peer, or a thousand of them, can cause events as fast as it likes.

**Escapes.** Names, reasons and messages are a peer's words. In them a line break or the escape that colours a terminal
is shown as ``\n`` and ``\x1b``: nobody forges a line of the log, or paints the screen of who reads it. In a traceback
the text of the error is one line, too: a program may well raise what a peer has sent.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.brief import brief
from pyzen.contained import contained
from pyzen.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Lazy", "Log", "escaped", "forget_bounds", "get_logger"]

BURST: Final = 20
"""Lines of one kind in `INTERVAL`."""

INTERVAL: Final = 10.0
"""Seconds."""

PLAIN: Final = (int, float, bool, type(None))
"""Types of arguments that are written as they are."""

MAX_TEXT: Final = 500
"""Characters of the text of an error."""

MAX_FRAMES: Final = 30
MAX_CHAIN: Final = 5
PLAIN_TEXTS: Final = (BaseException.__str__, KeyError.__str__)
"""Methods that make a text of all that an error was given, however long."""

_kinds: dict[tuple[int, str], Throttle] = {}


def escaped(text: str) -> str:
    """Return a text on one line, with an escape for each character that can't be printed."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


@final
class Lazy:
    """An argument of a line that is made when the line is written, once.

    Args:
        make: Returns its text.
    """

    __slots__ = ("_make", "_text")

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make
        self._text: str | None = None

    def __str__(self) -> str:
        if self._text is None:
            self._text = self._make()
        return self._text


@final
class _Shown:
    """An argument of a line, shown with escapes."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return _text(str, self._value)

    def __repr__(self) -> str:
        return _text(repr, self._value)


def _text(how: Callable[[object], str], value: object) -> str:
    """Return the text of an argument, which may be of any class, with escapes."""
    with contained:
        return escaped(how(value))
    return "<unreadable>"


@final
class Log:
    """One logger of the package.

    The methods take what those of ``logging.Logger`` take; ``extra`` may be a function that returns it.

    Args:
        name: As for ``logging.getLogger``.
        bounded: Whether lines of one kind have a bound; who says no has a bound of its own.
    """

    def __init__(self, name: str, *, bounded: bool = True) -> None:
        self._logger = logging.getLogger(name)
        self._bounded = bounded

    def is_enabled_for(self, level: int) -> bool:
        """Say whether a line at a level is wanted by anybody."""
        return self._logger.isEnabledFor(level)

    def log(self, level: int, text: str, *args: Any, **options: Any) -> None:
        """Write a line at a level."""
        self._write(level, text, args, options)

    def debug(self, text: str, *args: Any, **options: Any) -> None:
        """Write a line for who looks for a fault."""
        self._write(logging.DEBUG, text, args, options)

    def info(self, text: str, *args: Any, **options: Any) -> None:
        """Write a line about what happens."""
        self._write(logging.INFO, text, args, options)

    def warning(self, text: str, *args: Any, **options: Any) -> None:
        """Write a line about what should not happen."""
        self._write(logging.WARNING, text, args, options)

    def error(self, text: str, *args: Any, **options: Any) -> None:
        """Write a line about what went wrong."""
        self._write(logging.ERROR, text, args, options)

    def exception(self, text: str, *args: Any, **options: Any) -> None:
        """Write a line about what went wrong, with the error that is being handled."""
        self._write(logging.ERROR, text, args, options | {"exc_info": True})

    def _write(self, level: int, text: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        with contained:
            if not self._logger.isEnabledFor(level):
                return
            count = let(level, text) if self._bounded else 1
            if not count:
                return
            if count > 1:
                text, args = text + " (%d more of this kind left out)", (*args, count - 1)
            extra = options.get("extra")
            self._emit(level, text, tuple(map(shown, args)), error_of(options), extra() if callable(extra) else extra)

    def _emit(
        self, level: int, text: str, args: tuple[Any, ...], error: BaseException | None, extra: dict[str, Any] | None
    ) -> None:
        """Hand a record to the handlers: as ``logging`` does, but for the text of a traceback."""
        logger = self._logger
        file, line, function, _ = logger.findCaller(stacklevel=4)
        shown_error = None if error is None else (type(error), error, error.__traceback__)
        record = logger.makeRecord(logger.name, level, file, line, text, args, shown_error, function, extra)
        if error is not None:
            record.exc_text = traceback_of(error)
        logger.handle(record)


def error_of(options: dict[str, Any]) -> BaseException | None:
    """Return the error that a line is about."""
    error = options.get("exc_info")
    if error is True:
        error = sys.exception()
    return error if isinstance(error, BaseException) else None


def traceback_of(error: BaseException, depth: int = 0) -> str:
    """Return the traceback of an error and of what led to it. The text of each is one line, cut: it may be a peer's."""
    text = "<unreadable>"
    before: BaseException | None = None
    with contained:
        text = f"{type(error).__name__}: {escaped(_message_of(error))}"
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    led = "" if before is None or depth >= MAX_CHAIN else f"{traceback_of(before, depth + 1)}\n\nwhich led to\n\n"
    frames = "".join(traceback.format_tb(error.__traceback__, limit=-MAX_FRAMES))
    return f"{led}Traceback (most recent call last):\n{frames}{text}"


def _message_of(error: BaseException) -> str:
    """Return the text of an error, made no longer than it is shown."""
    if type(error).__str__ in PLAIN_TEXTS and not (len(error.args) == 1 and type(error.args[0]) is str):
        return brief(error.args[0] if len(error.args) == 1 else error.args, MAX_TEXT) if error.args else ""
    return str(error)[:MAX_TEXT]


def shown(argument: object) -> object:
    """Return an argument as it is written."""
    return argument if type(argument) in PLAIN else _Shown(argument)


def let(level: int, text: str) -> int:
    """Count one line of a kind: how many it stands for, 0 when it is left out. Debugging has no bound."""
    if level <= logging.DEBUG:
        return 1
    kind = _kinds.get((level, text))
    if kind is None:
        kind = _kinds[level, text] = Throttle(BURST, INTERVAL)
    return kind.let(time.monotonic())


def forget_bounds() -> None:
    """Count all kinds anew, as a test that looks at lines needs."""
    _kinds.clear()


def get_logger(name: str, *, bounded: bool = True) -> Log:
    """Return the logger of a part of the package."""
    return Log(name, bounded=bounded)
