"""The process in whose name the node itself sends and calls, when no process is running."""

from __future__ import annotations

from typing import ClassVar, final

from pyzen.actor.guarded import Immune
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
class Caller(Immune, Remote):
    """Has calls under way but reads no mail: replies never pass the mailbox.

    No peer can end it, and with it what the program has asked for: any peer can read its pid in ``processes()``.
    """

    async_dist = True

    _pyzen_loop: ClassVar[type[Loop]] = Dropping
