"""Processes that ask for their messages: an ``async def`` body with a task of its own, and the mailbox.

A message leaves the mailbox in the step that returns it, so cancellation and time-out lose nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, Self, final

from pyzen.actor.mailbox import NOTHING
from pyzen.actor.process import Actor, Dest, running
from pyzen.actor.reasons import NORMAL, SHUTDOWN, ExitRequest, exception_reason, settle
from pyzen.actor.remote import Remote
from pyzen.actor.scheduler import BUDGET
from pyzen.errors import CallTimeout, ProcessExit
from pyzen.terms import atoms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextvars import Token
    from types import TracebackType


class Waiting(Remote):
    """What processes with a task can do: wait for an answer."""

    async def call(self, dest: Dest, request: Any, timeout: float | None = 5.0) -> Any:
        """Call a GenServer and return its reply.

        Args:
            dest: Pid, local name or ``(name, node)``; a node that is not connected is dialled.
            request: Any term.
            timeout: Seconds; None waits for ever. A late reply is dropped, as after cancellation.

        Raises:
            NoProcess: There is no such process.
            NodeDown: Its node can't be reached, or was lost.
            CallTimeout: No reply in time.
            ProcessExit: It ended before it replied.
        """
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ref = self._request(dest, request, lambda value, error: settle(reply, value, error))
        try:
            async with asyncio.timeout(timeout):
                return await reply
        except TimeoutError:
            raise CallTimeout((atoms.timeout, dest), f"no reply from {dest!r} within {timeout} s") from None
        finally:
            if not self.ended:
                self._forget_request(ref)


class Receiver(Waiting):
    """A process whose messages are taken by ``await receive()``."""

    def __init__(self) -> None:
        super().__init__()
        self._arrived: asyncio.Event = asyncio.Event()
        self._taken = 0

    def work(self, budget: int) -> bool:
        """Wake whoever waits; the messages stay where they are."""
        if self._mail:
            self._arrived.set()
        return False

    def finish(self, reason: Any) -> None:
        """End; a waiting ``receive`` raises ``ProcessExit``."""
        super().finish(reason)
        self._arrived.set()

    async def receive(self, match: Callable[[Any], bool] | None = None, timeout: float | None = None) -> Any:
        """Return the first message that fits; the others stay in order.

        Args:
            match: Predicate on the message; None takes the first. If it raises, nothing is changed.
            timeout: Seconds; 0 looks once, None waits for ever.

        Raises:
            TimeoutError: No message fits within the time.
            ProcessExit: The process has ended.
        """
        await self._give_way()
        found = self._take(match)
        if found is not NOTHING:
            return found
        if timeout is not None and timeout <= 0:
            raise TimeoutError("no message fits")
        async with asyncio.timeout(timeout):
            return await self._wait(match)

    async def _wait(self, match: Callable[[Any], bool] | None) -> Any:
        while True:
            self._arrived.clear()
            await self._arrived.wait()
            self._taken = 0
            found = self._take(match)
            if found is not NOTHING:
                return found

    def _take(self, match: Callable[[Any], bool] | None) -> Any:
        self._alive()
        self._fetch()
        self._alive()
        if self._suspended:
            return NOTHING
        return self._mail.take_first() if match is None else self._mail.take_match(match)

    async def _give_way(self) -> None:
        """Let the loop run once per budget, so that ready messages don't starve it."""
        self._taken += 1
        if self._taken >= BUDGET:
            self._taken = 0
            await asyncio.sleep(0)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except ProcessExit:
            raise StopAsyncIteration from None


class Process(Receiver):
    """A process with an ``async def`` body, run by one task.

    Either ``Process(body, *args)`` with ``async def body(process, *args)``, or a subclass that overrides `main`.
    A body that returns ends ``normal``, a task cancelled from outside ``shutdown``, an exception becomes the reason.
    """

    def __init__(self, body: Callable[..., Awaitable[Any]] | None = None, *args: Any) -> None:
        super().__init__()
        self._body = body
        self.arguments = args
        self._task: asyncio.Task[Any] | None = None

    async def main(self, *args: Any) -> None:
        """Be the process; called once, with the arguments given to ``spawn``."""
        if self._body is None:
            raise NotImplementedError("override main, or give a body")
        await self._body(self, *args)

    def start_running(self) -> None:
        """Start the task."""
        self._task = self._runtime.create_task(self._live(), self)

    async def _live(self) -> None:
        """Run the body and turn its end into an exit reason."""
        try:
            await self.main(*self.arguments)
        except ExitRequest as request:
            self.finish(request.reason)
        except asyncio.CancelledError:
            self.finish(SHUTDOWN)
            raise
        except ProcessExit as error:
            if not self.ended:
                self.crashed(error, error.reason)
        except Exception as error:
            if not self.ended:
                self.crashed(error, exception_reason(error))
        else:
            self.finish(NORMAL)

    def finish(self, reason: Any) -> None:
        """End; the body is cancelled."""
        if self.ended:
            return
        super().finish(reason)
        if self._task is not None and self._task is not _current_task():
            self._task.cancel()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no running loop
        return None


@final
class Mailbox(Receiver):
    """A process that is driven by the task that opened it: ``async with node.mailbox() as me``."""

    def __init__(self, open_: Callable[[Mailbox], None]) -> None:
        super().__init__()
        self._open = open_
        self._token: Token[Actor | None] | None = None

    def start_running(self) -> None:
        """Nothing to start: the caller's task is the process."""

    async def __aenter__(self) -> Self:
        self._open(self)
        self._token = running.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._token is not None:
            running.reset(self._token)
        self.finish(NORMAL)


def current_process() -> Receiver:
    """Return the process whose body, mailbox context or exported function this is.

    Raises:
        RuntimeError: The code runs in none; a callback of a GenServer has ``self`` instead.
    """
    actor = running.get()
    if not isinstance(actor, Receiver):
        raise RuntimeError("no process is running here: only bodies, mailboxes and exported functions have one")
    return actor


def actor_context(actor: Actor) -> contextvars.Context:
    """Return a context in which ``actor`` is the running process."""
    context = contextvars.copy_context()
    context.run(running.set, actor)
    return context
