"""Loop: what becomes of the messages of one actor, and the task that its code runs in, if any."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pyzen.tasks import cancel, current_task

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from pyzen.actor.actor import Actor

__all__ = ["Loop"]


class Loop:
    """What becomes of the messages of one actor. This one leaves them where they are.

    A `GenServer` has another than a body with a task of its own.

    Attributes:
        actor: Whose messages they are.
        task: The task in which code of the process runs; None while none does, or code runs in turns of the scheduler.
        supervises: Its process starts others, and ends them with itself.
    """

    __slots__ = ("actor", "task")

    supervises: ClassVar[bool] = False

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.task: asyncio.Task[Any] | None = None

    def inherit(self, former: Loop) -> None:
        """Take over what the object was made with from the loop of its former life, or of what it is a copy of."""

    def start(self) -> None:
        """Begin; called once, after the process can be found."""

    def work(self, budget: int) -> bool:
        """Do what can be done now, at most ``budget`` messages; true when more is left."""
        return False

    def time_to_stop(self) -> float:
        """Return the seconds that the process may wait, once told to end, for those that it has started."""
        return 0.0

    def finish(self, reason: Any) -> None:
        """End in order: the code of the process has its last word first."""
        self.actor.end(reason)

    def stop(self, reason: Any) -> None:
        """The process has ended, and all others have been told: cancel its task, unless that has ended it."""
        if self.task is not None and self.task is not current_task():
            cancel(self.task)

    def remains(self) -> Loop:
        """Return what is left of the loop after the end of its process: what `inherit` takes, and no way back here."""
        left = type(self).__new__(type(self))
        left.task = None
        return left

    # ---- the task

    def run_task(self, coroutine: Coroutine[Any, Any, None], if_cancelled: Callable[[], object]) -> None:
        """Run code of the process in a task, in place of a task that comes to its end.

        Args:
            coroutine: What ends the process where it has to, unless it was cancelled.
            if_cancelled: Ends the process; it may have ended already. A task that is cancelled before its first step
                says nothing itself.
        """
        self.task = self.actor.runtime.create_task(coroutine, self.actor)
        self.task.add_done_callback(partial(self._over, if_cancelled))

    def _over(self, if_cancelled: Callable[[], object], task: asyncio.Task[Any]) -> None:
        """Let go of a task that is over, and of the process that it was the last of."""
        if self.task is task:
            self.task = None
        if task.cancelled():
            if_cancelled()
        self.actor.bury()

    def leave(self, task: asyncio.Task[Any] | None) -> None:
        """Let a task go on by itself that has waited for the stop of the node; one with a callback comes to its end."""
