"""ServerTimer: a callback of a server that is due at some time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.runtime import TimerHandle
    from pyzen.actor.server_loop import ServerLoop

__all__ = ["ServerTimer"]


@final
class ServerTimer:
    """A callback of a server that is due at some time."""

    __slots__ = ("_arguments", "_callback", "_handle", "_loop")

    def __init__(
        self, loop: ServerLoop, delay: float, callback: Callable[..., object], arguments: tuple[Any, ...]
    ) -> None:
        self._loop = loop
        self._callback: Callable[..., object] | None = callback
        self._arguments = arguments
        self._handle: TimerHandle = loop.actor.call_later(delay, self._due)

    def _due(self) -> None:
        self._loop.put(self.fire)

    def fire(self) -> object:
        """Be called, unless it was cancelled after it was due."""
        self._loop.forget(self)
        return None if self._callback is None else self._callback(*self._arguments)

    def cancel(self) -> None:
        """Never call the callback."""
        self._loop.forget(self)
        self._callback = None
        self._handle.cancel()
