"""Processes that ask for their messages: an ``async def`` body with a task of its own, and the mailbox.

A message leaves the mailbox in the step that returns it, so cancellation and time-out lose nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
from functools import partial
from inspect import CO_COROUTINE
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

from pyzen.actor.actor import Actor, running
from pyzen.actor.loop import Loop
from pyzen.actor.mailbox import NOTHING, Mailqueue, message_of
from pyzen.actor.reasons import NORMAL, SHUTDOWN, is_cancelled, seconds
from pyzen.actor.remote import Remote
from pyzen.actor.scheduler import BUDGET
from pyzen.errors import ProcessExit
from pyzen.tasks import cancel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType


class Inbox(Loop):
    """The `Loop` of a process that takes its messages by ``await receive()``."""

    __slots__ = ("_arrived", "_changes", "_taken")

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor)
        self._arrived: asyncio.Event = asyncio.Event()
        self._taken = 0
        self._changes = 0

    def work(self, budget: int) -> bool:
        """Wake the task that waits; the messages stay where they are."""
        if self.actor.mail:
            self._arrived.set()
        return False

    def stop(self, reason: Any) -> None:
        """Let a waiting ``receive`` raise ``ProcessExit``."""
        super().stop(reason)
        self._arrived.set()

    async def receive(self, match: Callable[[Any], bool] | None, timeout: float | None) -> Any:
        """Return the first message that fits; see `Receiver.receive`."""
        if match is not None and getattr(getattr(match, "__code__", None), "co_flags", 0) & CO_COROUTINE:
            raise TypeError("match has to be a plain function: a coroutine is true whatever it would find")
        if timeout is not None:
            timeout = seconds(timeout)
        await self._give_way()
        if self.actor.suspended is not None:
            await self.actor.until_released()
        found = self._take(match)
        if found is not NOTHING:
            return found
        if timeout is not None and timeout <= 0:
            raise TimeoutError("no message fits")
        async with asyncio.timeout(timeout):
            return await self._wait(match)

    async def _wait(self, match: Callable[[Any], bool] | None) -> Any:
        looked_at, changes = self._mail.items, self._changes
        while True:
            self._arrived.clear()
            await self._arrived.wait()
            self._taken = 0
            # As in Erlang, what did not fit is not looked at again; unless another task has taken something meanwhile.
            found = self._take(match, looked_at if changes == self._changes else 0)
            if found is not NOTHING:
                return found
            looked_at, changes = self._mail.items, self._changes

    @property
    def _mail(self) -> Mailqueue:
        mail = self.actor.mail
        assert type(mail) is Mailqueue, "the mailbox of a process that asks for its messages"
        return mail

    def _take(self, match: Callable[[Any], bool] | None, start: int = 0) -> Any:
        actor = self.actor
        actor.alive()
        actor.fetch()
        actor.alive()
        found = self._mail.take_first() if match is None else self._mail.take_match(match, start=start)
        self._changes += match is None or found is not NOTHING
        return message_of(found)

    async def _give_way(self) -> None:
        """Let the event loop run once per budget, so that ready messages don't starve it."""
        self._taken += 1
        if self._taken >= BUDGET:
            self._taken = 0
            await asyncio.sleep(0)


class BodyLoop(Inbox):
    """The `Loop` of a process with an ``async def`` body, which one task runs.

    A body that returns ends ``normal``, a task cancelled from outside ``shutdown``, an exception becomes the reason.
    """

    __slots__ = ()

    def start(self) -> None:
        """Start the task."""
        self.run_task(self._live(), partial(self.actor.end, SHUTDOWN))

    async def _live(self) -> None:
        """Run the body and turn its end into an exit reason."""
        actor = self.actor
        try:
            await actor.instance.main(*actor.arguments)
        except BaseException as error:
            actor.fail(error)
            if is_cancelled(error):
                raise
        else:
            actor.end(NORMAL)

    def finish(self, reason: Any) -> None:
        """Cancel the body: it ends ``shutdown`` once it has cleaned up, which no busy link holds up."""
        self.actor.release()
        if self.task is None:
            super().finish(reason)
        else:
            cancel(self.task)

    def leave(self, task: asyncio.Task[Any] | None) -> None:
        """Let the body go on by itself: what it waited for is done, and it has no more to do with the process."""
        if self.task is task:
            self.task = None


class Receiver(Remote):
    """A process whose messages are taken by ``await receive()``."""

    _pyzen_loop: ClassVar[type[Loop]] = Inbox

    async def receive(self, match: Callable[[Any], bool] | None = None, timeout: float | None = None) -> Any:
        """Return the first message that fits; the others stay in order.

        Args:
            match: Predicate, asked once about each message; None takes the first. If it raises, nothing is changed.
            timeout: Seconds; 0 looks once, None waits for ever. They begin when no busy link suspends the process.

        Raises:
            TimeoutError: No message fits within the time.
            ProcessExit: The process has ended.
        """
        return await inbox_of(self).receive(match, timeout)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return await inbox_of(self).receive(None, None)
        except ProcessExit:
            raise StopAsyncIteration from None


def inbox_of(process: Receiver) -> Inbox:
    """Return what takes the messages of a process. Raises as `Actor.alive`."""
    actor = process._pyzen_actor
    actor.alive()
    inbox: Inbox = actor.loop  # type: ignore[assignment]  # set by the class
    return inbox


class Process(Receiver):
    """A process with an ``async def`` body, run by one task.

    Either ``Process(body, *args)`` with ``async def body(process, *args)``, or a subclass that overrides `main`.
    A body that returns ends ``normal``, a task cancelled from outside ``shutdown``, an exception becomes the reason:
    `pyzen.actor.reasons.end_of` has the table. It begins in a later turn than ``spawn``, with eager tasks, too.

    ::

        class Ticker(Process):
            async def main(self, pid, seconds):
                while True:
                    await self.sleep(seconds)
                    self.send(pid, atoms.tick)

        node.spawn(Ticker, pid, 1.0)
    """

    _pyzen_loop: ClassVar[type[Loop]] = BodyLoop

    async def main(self, *args: Any) -> None:
        """Be the process; called once, with the arguments given to ``spawn``."""
        if not args:
            raise NotImplementedError("override main, or give a body")
        await args[0](self, *args[1:])


@final
class Mailbox(Receiver):
    """A process that is driven by the task that opened it: ``async with node.mailbox() as me``."""

    def __init__(self, open_: Callable[[Mailbox], None]) -> None:
        self._open = open_
        self._pyzen_opener: Actor | None = None

    async def __aenter__(self) -> Self:
        self._open(self)
        self._pyzen_opener = running.get()
        running.set(self._pyzen_actor)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        # A token could be reset in the context of its making only: not by another task, a fixture or an exit stack.
        if running.get() is self._pyzen_actor:
            running.set(self._pyzen_opener)
        self._pyzen_actor.end(NORMAL)


def current_process() -> Receiver:
    """Return the process whose body, mailbox context or exported function this is.

    Raises:
        RuntimeError: The code runs in none; a callback of a GenServer has ``self`` instead.
    """
    actor = running.get()
    process = None if actor is None else actor.instance
    if not isinstance(process, Receiver):
        raise RuntimeError("no process is running here: only bodies, mailboxes and exported functions have one")
    return process


def actor_context(actor: Actor) -> contextvars.Context:
    """Return a context in which ``actor`` is the running process."""
    context = contextvars.copy_context()
    context.run(running.set, actor)
    return context
