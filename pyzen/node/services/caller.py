"""The process in whose name the node itself sends and calls, when no process is running."""

from __future__ import annotations

from typing import ClassVar, final

from pyzen.actor.loop import Loop
from pyzen.actor.remote import Remote


@final
class Dropping(Loop):
    """The `Loop` of a process that reads no mail."""

    __slots__ = ()

    def work(self, budget: int) -> bool:
        """Drop stray messages."""
        self.actor.mail.clear()
        return False


@final
class Caller(Remote):
    """Has calls under way but reads no mail: replies never pass the mailbox, and no other process knows its pid."""

    async_dist = True

    _pyzen_loop: ClassVar[type[Loop]] = Dropping
