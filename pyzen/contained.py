"""Steps that go on whatever code of a user does inside, and the loggers, whose handlers are such code."""

from __future__ import annotations

import logging
from typing import Any, Final, final

__all__ = ["SafeLogger", "contained", "get_logger"]


@final
class Contained:
    """Goes on after whatever code of a user raises inside; ``KeyboardInterrupt`` passes.

    For the steps of the kernel that others depend on: a process that ends has to tell every watcher, whatever the
    text of its error, a handler of the log or a future of a user does meanwhile.
    """

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: object, tb: object) -> bool:
        return kind is not None and not issubclass(kind, KeyboardInterrupt)


contained: Final = Contained()


@final
class SafeLogger:
    """A logger whose filters and handlers, which are the user's, can't keep from its next step what writes a line.

    Args:
        name: As for ``logging.getLogger``.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

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
            self._logger.log(level, text, *args, stacklevel=3, **options)


def get_logger(name: str) -> SafeLogger:
    """Return the logger of a part of the package."""
    return SafeLogger(name)
