"""Asker: a process whose own code has asked for the stop of its node, and waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

from pyzen.tasks import current_task

if TYPE_CHECKING:
    from pyzen.actor.actor import Actor

__all__ = ["Asker"]


@final
class Asker:
    """A process that waits for a stop which can't be done before the process itself has ended.

    So it waits until its own turn has come, goes on, and ends when it next waits, or as it would anyway: a server at
    the end of its callback, with ``terminate``.

    Attributes:
        actor: The process.
        task: The task that waits: the stop does not wait for it.
    """

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.task = current_task()
        self._told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def tell(self, reason: Any) -> bool:
        """Tell the process to end; false when its code waits no more, and nobody will do the rest."""
        if self._told.done():
            return False
        self._told.set_result(reason)
        return True

    async def told(self) -> None:
        """Return when the process is told to end, which it does after this step of its task."""
        try:
            await self._told
        finally:
            self._told.cancel()  # without effect once it is done
            if not self._told.cancelled():
                asyncio.get_running_loop().call_soon(self._finish, self._told.result())

    def _finish(self, reason: Any) -> None:
        if not self.actor.ended:
            self.actor.loop.leave(self.task)
            self.actor.loop.finish(reason)
