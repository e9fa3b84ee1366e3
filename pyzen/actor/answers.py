"""What the callbacks of a GenServer answer beside a plain reply.

Source: Elixir, `GenServer`: ``{:reply, ...}``, ``{:noreply, ...}``, ``{:stop, ...}``, ``{:continue, ...}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from pyzen.terms import atoms

__all__ = ["NOREPLY", "Continue", "Reply", "Stop"]


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
