"""GenServer: a process made of callbacks, run by the scheduler without a task of its own.

Messages in: ``{'$gen_call', From, Request}`` to `handle_call`, ``{'$gen_cast', Request}`` to `handle_cast`, ``{system,
From, Request}`` as `pyzen.actor.system` says, all others to `handle_info`. Callers of a ``gen_event`` put their own pid
where ``'$gen_call'`` stands.

Each callback may be plain or ``async def``; while an async one runs, the next message waits.

Source: OTP, "gen_server"; Elixir, `GenServer`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, final

from pyzen.actor.mailbox import NOTHING
from pyzen.actor.process import EXIT, GEN_CALL, GEN_CAST, Runtime
from pyzen.actor.reasons import KILLED, NORMAL, SHUTDOWN, ExitRequest, exception_reason, settle
from pyzen.actor.receiver import Waiting
from pyzen.actor.system import SYSTEM, is_system, reply_to, state_of
from pyzen.brief import brief
from pyzen.errors import ProcessExit
from pyzen.terms import Atom, Pid, atoms
from pyzen.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

log = logging.getLogger("pyzen.actor")

Work: TypeAlias = "tuple[Callable[..., Any], tuple[Any, ...], Any]"
"""A callback, its arguments, and whom to reply to."""

Route: TypeAlias = "Callable[[Any], Work | None]"
"""Returns what is to be done with an item; None where it is a message for ``handle_info``."""


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
    """What a callback returns to have ``handle_continue(argument)`` run before the next message."""

    argument: Any


@final
@dataclass(frozen=True, slots=True)
class Reply:
    """What ``handle_call`` returns to reply and go on with ``then``."""

    value: Any
    then: Continue | None = None


class Stop(Exception):  # the word of Elixir's {:stop, reason, reply, state}
    """Raised by a callback to stop the server.

    Attributes:
        reason: The exit reason.
        reply: Sent to the caller first, when raised from ``handle_call``.
    """

    def __init__(self, reason: Any = NORMAL, *, reply: Any = NOREPLY) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply


class Host(Protocol):
    """What ``start`` needs: a node."""

    @property
    def runtime(self) -> Runtime:
        """The runtime of the node."""


class GenServer(Waiting):
    """A server of callbacks. Subclasses override what they need.

    ``terminate(reason)`` runs when a callback stops or fails, and, with ``trap_exit``, when the process that started
    it by a link ends; not when an exit signal ends the process.

    Attributes:
        sys_suspended: ``sys:suspend`` was called: messages wait, system messages excepted.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        self._args = args
        self._next: deque[Work] = deque()
        self._task: asyncio.Task[Any] | None = None
        self._started: asyncio.Future[Any] | None = None
        self._initialised = False
        self._stopping = False
        self.sys_suspended = False
        self._strays: Throttle | None = None  # few servers ever need it

    @classmethod
    async def start(
        cls,
        node: Host,
        *args: Any,
        name: Atom | str | None = None,
        link: Pid | None = None,
        timeout: float | None = 5.0,
    ) -> Pid:
        """Start a server and return its pid after ``init``.

        Raises:
            ProcessExit: ``init`` failed or stopped.
            NameTaken: The name is registered.
            TimeoutError: ``init`` took too long; the server is killed.
        """
        server = cls(*args)
        started = server._started = asyncio.get_running_loop().create_future()
        pid = node.runtime.spawn(server, name=name, link=link)
        try:
            async with asyncio.timeout(timeout):
                await started
        except (TimeoutError, asyncio.CancelledError):
            server.finish(KILLED)
            raise
        return pid

    # ---- callbacks

    def init(self, *args: Any) -> Any:
        """Begin; may return a `Continue`."""

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Answer a call: the reply, a `Reply`, or ``NOREPLY``."""
        raise ExitRequest((atoms.bad_call, request))

    def handle_cast(self, request: Any) -> Any:
        """Take a cast; may return a `Continue`."""
        raise ExitRequest((atoms.bad_cast, request))

    def handle_info(self, message: Any) -> Any:
        """Take any other message; may return a `Continue`. The default logs it, at a bounded rate."""
        self.stray(message)

    def handle_continue(self, argument: Any) -> Any:
        """Go on after a callback that returned a `Continue`."""
        raise ExitRequest((atoms.bad_continue, argument))

    def terminate(self, reason: Any) -> Any:
        """Clean up."""

    def get_state(self) -> Any:
        """Return what ``sys:get_state`` shows: the attributes of this class, those without an Erlang form as text.

        Override it to show something else; it must have an Erlang form.
        """
        return state_of({name: value for name, value in vars(self).items() if name not in self._base_attributes()})

    def _base_attributes(self) -> frozenset[str]:
        return frozenset(vars(GenServer())) | {"pid", "_runtime", "_relations"}

    def stray(self, message: Any) -> None:
        """Ignore a message that nobody handles; one log line per ten seconds."""
        if self._strays is None:
            self._strays = Throttle()
        if count := self._strays.let(self._runtime.now()):
            who = self.registered_name or self.pid
            log.warning("messages that %r does not handle: %d, the last one %s", who, count, brief(message))

    # ---- how they are run

    def start_running(self) -> None:
        """Let ``init`` run in the next turn."""
        self._next.append((self._run_init, self._args, None))
        if not self._scheduled:
            self._enter_run_queue()

    def _run_init(self, *args: Any) -> Any:
        """Run ``init``; always with an answer, for `_done` has to know of it."""
        answer = self.init(*args)
        return NOREPLY if answer is None else answer

    def work(self, budget: int) -> bool:
        """Run callbacks, one message at a time; signals take effect in between."""
        while budget > 0 and self._task is None and not self._suspended and not self._stopping:
            items, route = self._next_items()
            done = self._run(islice(items, budget), route)
            budget -= done
            if self._incoming:
                self._fetch()
            if self.ended or self._slicing or not done:
                return False
        return self._task is None and not self._suspended and not self._stopping

    def _next_items(self) -> tuple[Iterator[Any], Route | None]:
        """Return what is to be done now, in order, and what says how; None where all are for `handle_info`."""
        if self.sys_suspended:
            return iter(partial(self._mail.take_match, is_system), NOTHING), self._route
        if self._next:
            return iter([self._next.popleft()]), as_it_is
        downs = self._mail.downs()
        return (self._mail.taking(), self._route) if downs is None else (downs, None)

    def run_callback(self, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """Run a timer's callback like any other, before the next message."""
        self._next.append((callback, arguments, None))

    def _route(self, message: Any) -> Work | None:
        """Return the callback for a message, its arguments, and whom to reply to; None for `handle_info`."""
        if type(message) is tuple:
            tag = message[0] if message else None
            if tag is GEN_CAST and len(message) == 2:
                return self.handle_cast, message[1:], None
            if tag is GEN_CALL and len(message) == 3 and is_from(message[1]):
                return self.handle_call, (message[2], message[1]), message[1]
            if tag is SYSTEM and len(message) == 3 and is_from(message[1]):
                return self._system, (message[2], message[1]), None
            if type(tag) is Pid and len(message) == 3 and is_from(message[1]) and message[1][0] == tag:
                return self.handle_call, (message[2], message[1]), message[1]
            if tag is EXIT and len(message) == 3 and message[1] == self.parent and self.parent is not None:
                return self._stop, (message[2],), None
        return None

    def _system(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Reply to a system message; always with an answer: what is next depends on it."""
        self.reply(from_, reply_to(self, request))
        match request:
            case (atoms.terminate, reason):
                raise Stop(reason)
        return NOREPLY

    def _stop(self, reason: Any) -> None:
        raise Stop(reason)

    def _run(self, items: Iterator[Any], route: Route | None) -> int:
        """Run callbacks, as long as nothing has to be done between two of them; answers how many it were."""
        scheduler, handle_info = self._runtime.scheduler, self.handle_info
        before, scheduler.current = scheduler.current, self
        done, from_ = 0, None
        try:
            for item in items:
                done += 1
                work = None if route is None else route(item)
                if work is None:
                    answer = handle_info(item)
                else:
                    callback, arguments, from_ = work
                    answer = callback(*arguments)
                if answer is not None or from_ is not None or self._incoming or self._suspended:
                    self._act_on(answer, from_)
                    break
        except BaseException as error:
            self._failed(error, from_)
        finally:
            scheduler.current = before
        return done

    def _act_on(self, answer: Any, from_: Any) -> None:
        """Do what a callback answers, once it does."""
        if type(answer) is CoroutineType:
            self._await_in_task(answer, self._await(answer, from_))
        else:
            self._done(answer, from_)

    def _await_in_task(self, coroutine: Coroutine[Any, Any, Any], body: Coroutine[Any, Any, None]) -> None:
        """Let ``body``, which awaits ``coroutine``, be the task of the server."""
        self._task = self._runtime.create_task(body, self)
        # A task that is cancelled before its first step never gets to what it was to await.
        self._task.add_done_callback(lambda _task: coroutine.close())

    async def _await(self, coroutine: Coroutine[Any, Any, Any], from_: Any) -> None:
        """Run an ``async def`` callback; the next message waits for its end."""
        try:
            answer = await coroutine
        except asyncio.CancelledError:
            if not self.ended:
                self.finish(SHUTDOWN)
            raise
        except BaseException as error:
            self._failed(error, from_)
        else:
            if not self.ended:
                self._done(answer, from_)
        finally:
            if not self._stopping:
                self._task = None
            if not self.ended:
                self.resume()

    def _done(self, answer: Any, from_: Any) -> None:
        """Reply, and remember a `Continue`."""
        if not self._initialised:
            self._initialised = True
            if self._started is not None:
                settle(self._started, None, None)
        if from_ is not None:
            then = answer.then if isinstance(answer, Reply) else None
            value = answer.value if isinstance(answer, Reply) else answer
            if value is not NOREPLY:
                self.reply(from_, value)
            answer = then
        if isinstance(answer, Continue):
            self._next.appendleft((self.handle_continue, (answer.argument,), None))

    def _failed(self, error: BaseException, from_: Any) -> None:
        """End as the exception says; ``terminate`` first."""
        match error:
            case Stop():
                if from_ is not None and error.reply is not NOREPLY:
                    self.reply(from_, error.reply)
                self._terminate(error.reason)
            case ExitRequest():
                self._terminate(error.reason)
            case ProcessExit():
                self._terminate(error.reason, error)
            case Exception():
                self._terminate(exception_reason(error), error)
            case _:
                self.finish(KILLED)
                raise error

    def _terminate(self, reason: Any, error: Exception | None = None) -> None:
        if self.ended or self._stopping:
            return
        self._stopping = True
        cleaning = self.guarded(self.terminate, reason) if self._initialised else None
        if type(cleaning) is CoroutineType:
            self._await_in_task(cleaning, self._clean_up(cleaning, reason, error))
        else:
            self._end(reason, error)

    async def _clean_up(self, cleaning: Coroutine[Any, Any, Any], reason: Any, error: Exception | None) -> None:
        """Run an ``async def terminate``, then end: for what went wrong there, as a plain one does, else as asked."""
        try:
            await cleaning
        except ExitRequest as request:
            self.finish(request.reason)
        except Exception as failure:
            self.crashed(failure, exception_reason(failure))
        finally:
            self._end(reason, error)

    def _end(self, reason: Any, error: Exception | None) -> None:
        if error is None:
            self.finish(reason)
        else:
            self.crashed(error, reason)

    def finish(self, reason: Any) -> None:
        """End; a running callback is cancelled, ``start`` raises."""
        if self.ended:
            return
        super().finish(reason)
        if self._started is not None:
            settle(self._started, None, ProcessExit(reason))
        if self._task is not None and not _is_current(self._task):
            self._task.cancel()


def as_it_is(work: Work) -> Work:
    """Be the `Route` of what is no message."""
    return work


def is_from(value: Any) -> bool:
    """Say whether a term has the shape of a caller: ``{Pid, Tag}``."""
    return type(value) is tuple and len(value) == 2 and isinstance(value[0], Pid)


def _is_current(task: asyncio.Task[Any]) -> bool:
    try:
        return asyncio.current_task() is task
    except RuntimeError:  # no running loop
        return False


__all__ = ["NOREPLY", "Continue", "GenServer", "Reply", "Stop"]
