"""Steps that go on whatever code of a user does inside, and calls whose errors are values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["attempt", "contained"]


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


def attempt(function: Callable[..., Any], *arguments: Any) -> tuple[Any, BaseException | None]:
    """Call a function: returns what it returns and None, or None and what it has raised, whatever that is.

    An error knows the frames that it has passed. One that a frame keeps which it has passed is a cycle, and waits for
    the collector; here it has not passed the caller's. Nor is there an error that a coroutine or a future refuses.
    """
    try:
        return function(*arguments), None
    except BaseException as error:
        return None, error
