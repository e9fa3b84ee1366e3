"""CallLoop: the `Loop` of a process that calls one function for a peer, in turns that the peers take.

A function that answers at once costs no task. One that is ``async def``, or runs in a thread, goes on in a task from
its first wait on; one that answers by a `Waiting` goes on in another turn.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from pyzen.actor.answers import close_unstarted
from pyzen.actor.process import BodyLoop, actor_context
from pyzen.actor.reasons import NORMAL, SHUTDOWN, is_cancelled
from pyzen.actor.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context

    from pyzen.actor.actor import Actor

__all__ = ["CallLoop"]


class CallLoop(BodyLoop):
    """Runs ``instance.begin()``, waits for what that answers if it is to come, and gives it to ``conclude``."""

    __slots__ = ("_context", "_step", "_waiting")

    _context: Context

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor)
        self._step: Callable[[], Any] | None = actor.instance.begin
        self._waiting: Waiting | None = None

    def start(self) -> None:
        """Let the function be called in a turn of the peer."""
        self._context = actor_context(self.actor)
        if not self.actor.scheduled:
            self.actor.wake()

    def work(self, budget: int) -> bool:
        """Do the next step, if it is time for one."""
        if self._step is None:
            return super().work(budget)
        step, self._step = self._step, None
        scheduler = self.actor.runtime.scheduler
        before, scheduler.current = scheduler.current, self.actor
        try:
            self._context.run(self._go_on, step)
        except BaseException as error:
            self.actor.fail(error)
        finally:
            scheduler.current = before
        return self._step is not None

    def _go_on(self, step: Callable[[], Any]) -> None:
        answer = step()
        if type(answer) is Waiting:
            self._waiting = answer
            answer.wait(partial(self._answered, answer))
        elif inspect.iscoroutine(answer):
            self.run_task(self._await(answer), partial(self._not_begun, answer))
        else:
            self._conclude(answer)

    def _answered(self, waiting: Waiting) -> None:
        """Go on in a turn of the peer."""
        self._waiting = None
        self._step = partial(self.actor.instance.answered, waiting.value)
        if not self.actor.scheduled:
            self.actor.wake()

    def _conclude(self, answer: Any) -> None:
        self.actor.instance.conclude(answer)
        self.actor.end(NORMAL)

    def _not_begun(self, awaited: Any) -> None:
        """End for a task that was cancelled, perhaps before it got to what it was to await."""
        close_unstarted(awaited)
        self.actor.end(SHUTDOWN)

    async def _await(self, awaited: Awaitable[Any]) -> None:
        try:
            self._conclude(await awaited)
        except BaseException as error:
            self.actor.fail(error)
            if is_cancelled(error):
                raise

    def finish(self, reason: Any) -> None:
        """End ``shutdown``, as one that waits in a task does."""
        super().finish(reason if self.task is not None else SHUTDOWN)

    def stop(self, reason: Any) -> None:
        """Wait no more."""
        self._step = None
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        super().stop(reason)
