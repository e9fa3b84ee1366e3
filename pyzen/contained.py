"""Steps that go on whatever code of a user does inside."""

from __future__ import annotations

from typing import Final, final

__all__ = ["contained"]


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
