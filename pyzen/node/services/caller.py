"""The process in whose name the node itself sends and calls, when no process is running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, final

from pyzen.actor.verbs import Verbs

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor
    from pyzen.actor.runtime import Loop


@final
class Dropping:
    """The `Loop` of a process that reads no mail."""

    __slots__ = ("_actor",)

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def start(self) -> None:
        """Nothing to start."""

    def work(self, budget: int) -> bool:
        """Drop stray messages."""
        del budget
        self._actor.mail.clear()
        return False

    def stop(self, reason: Any) -> None:
        """Nothing to stop."""


@final
class Caller(Verbs):
    """Has calls under way but reads no mail: replies never pass the mailbox, and no other process knows its pid."""

    async_dist = True

    _pyzen_loop: ClassVar[type[Loop]] = Dropping
