"""The process in whose name the node itself sends and calls, when no process is running."""

from __future__ import annotations

from typing import final

from pyzen.actor.mailbox import NOTHING
from pyzen.actor.receiver import Waiting


@final
class Caller(Waiting):
    """Has calls under way but reads no mail: replies never pass the mailbox, and nobody else knows its pid."""

    async_dist = True

    def start_running(self) -> None:
        """Nothing to start."""

    def work(self, budget: int) -> bool:
        """Drop stray messages."""
        while self._mail.take_first() is not NOTHING:
            pass
        return False
