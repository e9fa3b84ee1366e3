"""What the callbacks of a GenServer answer beside a plain reply.

Source: Elixir, `GenServer`: ``{:reply, ...}``, ``{:noreply, ...}``, ``{:stop, ...}``, ``{:continue, ...}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import CO_ITERABLE_COROUTINE, CORO_CREATED, getcoroutinestate
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.terms import atoms

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["NOREPLY", "Continue", "Reply", "Stop", "close_unstarted", "is_awaitable"]


@final
class _NoReply:
    """The type of ``NOREPLY``."""

    def __repr__(self) -> str:
        return "NOREPLY"


NOREPLY: Final = _NoReply()
"""What ``handle_call`` returns to reply later, by ``self.reply(from_, value)``."""


@final
@dataclass(frozen=True, slots=True)
class Continue:
    """What a callback returns to have ``handle_continue(argument)`` run before the next message.

    From ``handle_call`` it is no reply: `Reply` has room for both, or ``self.reply(from_, value)`` follows.
    """

    argument: Any


@final
@dataclass(frozen=True, slots=True)
class Reply:
    """What ``handle_call`` returns to reply and go on with ``then``."""

    value: Any
    then: Continue | None = None


class Stop(Exception):  # the word of Elixir's {:stop, reason, reply, state}
    """Raised, or returned, by a callback to stop the server.

    Attributes:
        reason: The exit reason.
        reply: Sent to the caller first, when raised from ``handle_call``.
    """

    reason: Any = atoms.normal  # for subclasses that leave `__init__` of this one out
    reply: Any = NOREPLY

    def __init__(self, reason: Any = atoms.normal, *, reply: Any = NOREPLY) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply


def is_awaitable(answer: Any) -> bool:
    """Say whether an answer is to be awaited. Asks its type, for the object may be of any class.

    Raises:
        TypeError: It is a generator: nothing of the callback has run.
    """
    kind = type(answer)
    if kind is CoroutineType or (kind is GeneratorType and answer.gi_code.co_flags & CO_ITERABLE_COROUTINE):
        return True
    if kind is GeneratorType or kind is AsyncGeneratorType:
        raise TypeError(f"{answer.__qualname__} has a yield: a callback answers once, by return")
    try:
        return hasattr(kind, "__await__")
    except Exception:  # of a metaclass
        return False


def close_unstarted(awaited: Awaitable[Any]) -> None:
    """Close a coroutine that has not begun; one that has begun belongs to whoever awaits it."""
    if type(awaited) is CoroutineType and getcoroutinestate(awaited) == CORO_CREATED:
        awaited.close()
