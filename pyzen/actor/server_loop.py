"""ServerLoop: runs the callbacks of a GenServer, one at a time, without a task of its own.

========  ===============================  ================================  ===================================
phase     what runs                        what is taken                     what follows
========  ===============================  ================================  ===================================
NEW       nothing                          nothing                           the first turn -> STARTING
STARTING  ``init``                         nothing                           returns -> READY; fails -> ENDED
READY     plain callbacks                  what is due (a continuation,      a coroutine -> AWAITING;
                                           timers), then messages            `Stop`, an error -> STOPPING
AWAITING  the coroutine of a callback      nothing                           returns -> READY; as above
PAUSED    nothing (``sys:suspend``)        system messages only              ``sys:resume`` -> READY
STOPPING  ``terminate``                    nothing                           returns, fails -> ENDED
ENDED     nothing                          nothing                           -
========  ===============================  ================================  ===================================

An exit signal leads to ENDED from anywhere; a coroutine that runs then is cancelled.

Messages in: ``{'$gen_call', From, Request}`` to ``handle_call``, ``{'$gen_cast', Request}`` to ``handle_cast``,
``{system, From, Request}`` as `pyzen.actor.system` says, all others to ``handle_info``. Callers of a ``gen_event`` put
their own pid where ``'$gen_call'`` stands.

Source: OTP, "gen_server"; Elixir, `GenServer`.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from pyzen.actor.actor import EXIT
from pyzen.actor.answers import NOREPLY, Continue, Reply, Stop, close_unstarted, is_awaitable
from pyzen.actor.fair_mailbox import FairMailqueue
from pyzen.actor.loop import Loop
from pyzen.actor.mailbox import KERNEL, NOTHING, Sourced, itself
from pyzen.actor.process import actor_context
from pyzen.actor.reasons import SHUTDOWN, end_of, is_cancelled, request_in, settle
from pyzen.actor.requests import GEN_CALL, GEN_CAST, send_reply
from pyzen.actor.server_timer import ServerTimer
from pyzen.actor.system import SYSTEM, TERMINATE, is_order, is_system, reply_to, show_failure
from pyzen.actor.verbs import bind
from pyzen.brief import brief
from pyzen.contained import attempt
from pyzen.errors import EncodeError, LinkOverloaded, ProcessExit
from pyzen.logs import get_logger
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterator
    from contextvars import Context

    from pyzen.actor.actor import Actor
    from pyzen.actor.debugging import Watch
    from pyzen.throttle import Throttle

log = get_logger("pyzen.actor")

Work: TypeAlias = "tuple[Callable[..., Any], tuple[Any, ...], Any]"
"""A callback, its arguments, and whom to reply to."""

Route: TypeAlias = "Callable[[Any], Work | None]"
"""Returns what is to be done with an item; None where it is a message for ``handle_info``."""


class Phase(Enum):
    """What a server is doing."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    AWAITING = "awaiting"
    PAUSED = "paused"
    STOPPING = "stopping"
    ENDED = "ended"


NEW, STARTING, READY, AWAITING, PAUSED, STOPPING, ENDED = Phase
"""The members as names of this module: to look one up in the class takes as long as a call."""

TAKING: Final = frozenset({NEW, READY, PAUSED})
"""The phases in which something can be taken."""

SLICE: Final = 10
"""Messages that a server takes between two looks at the clock."""


class ServerLoop(Loop):
    """The `Loop` of a GenServer.

    Attributes:
        phase: See the table above.
        started: What waits for the end of ``init``.
        strays: How often messages that no callback handles are logged.
        via: The link by which the message came that a guarded process is handling; 0 if ZenMonitor of this node itself
            has sent it, None if any other process of this node has.
        watch: What ``sys`` has switched on, if anything: see `pyzen.actor.debugging`.
    """

    __slots__ = ("_due", "_timers", "context", "phase", "started", "strays", "via", "watch")

    hears_first: ClassVar[bool] = False
    """Whether DOWNs pass `_told`."""

    context: Context

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor)
        self.phase: Phase = NEW
        self.started: asyncio.Future[Any] | None = None
        self.via: int | None = None
        self.strays: Throttle | None = None  # few servers ever need it
        self.watch: Watch | None = None
        self._due: deque[Callable[[], Any]] = deque()
        self._timers: set[ServerTimer] = set()

    def start(self) -> None:
        """Let ``init`` run in the next turn."""
        self.context = actor_context(self.actor)
        if not self.actor.scheduled:
            self.actor.wake()

    def after(self, delay: float, callback: Callable[..., object], *arguments: Any) -> ServerTimer:
        """Call ``callback`` after ``delay`` seconds as one of the server's own callbacks; never once it ended."""
        if not callable(callback):
            raise TypeError(f"after needs a function to call, not {brief(callback, 60)}: was it called already?")
        timer = ServerTimer(self, delay, callback, arguments)
        self._timers.add(timer)
        return timer

    def forget(self, timer: ServerTimer) -> None:
        """A timer will not call anything any more."""
        self._timers.discard(timer)

    def put(self, callback: Callable[[], Any]) -> None:
        """Call ``callback`` before the next message."""
        if not self.actor.ended:
            self._due.append(callback)
            if not self.actor.scheduled:
                self.actor.wake()

    @property
    def is_paused(self) -> bool:
        """Whether ``sys:suspend`` was called, and ``sys:resume`` was not."""
        return self.phase is PAUSED

    def pause(self) -> None:
        """Take system messages only; not while the node stops, which would wait for this server."""
        if not self.actor.runtime.is_stopping:
            self.phase = PAUSED

    def unpause(self) -> None:
        """Take all messages."""
        self.phase = READY

    # ---- one turn

    def work(self, budget: int) -> bool:
        """Run callbacks in the context of the server, which nobody else's callbacks see."""
        if not (self.actor.mail or self._due or self.phase is NEW):
            return False  # the turn was for signals alone, as those of monitors are
        return self.context.run(self._work, budget)

    def _work(self, budget: int) -> bool:
        """Run callbacks, one message at a time; signals take effect in between."""
        actor, scheduler = self.actor, self.actor.runtime.scheduler
        while budget > 0 and self.phase in TAKING and actor.suspended is None:
            items, route = self._next_items()
            done = self._run(islice(items, min(budget, SLICE)), route)
            budget -= done
            if actor.incoming and not actor.fetch():
                return True
            if actor.ended or not done:
                return False
            if scheduler.is_over():
                break
        return self.phase in TAKING and actor.suspended is None

    def _next_items(self) -> tuple[Iterator[Any], Route | None]:
        """Return what is to be done now, in order, and what says how; None where all are for ``handle_info``."""
        mail = self.actor.mail
        if self.phase is NEW:
            return iter([self._init]), as_it_is
        if self.phase is PAUSED:
            return iter(partial(mail.take_match, self._is_urgent, itself), NOTHING), self._route
        if self._due:
            return iter([self._due.popleft()]), as_it_is
        downs = mail.downs()
        if downs is None:
            return mail.taking(), self._route
        return downs, self._told if self.hears_first or self.actor.guarded else None

    def _is_urgent(self, item: Any) -> bool:
        """Say whether a suspended server takes an item: a system message, or the exit of its parent."""
        message = item
        if type(item) is Sourced:
            message = item.message
            if item.via == KERNEL:
                return message[0] is EXIT and message[1] == self.actor.parent
        return is_system(message)

    def _route(self, message: Any) -> Work | None:
        """Return the callback for a message, its arguments, and whom to reply to; None for ``handle_info``."""
        if type(message) is tuple:
            tag = message[0] if message else None
            if tag is GEN_CAST and len(message) == 2:
                return self.actor.instance.handle_cast, message[1:], None
            if tag is GEN_CALL and len(message) == 3 and is_from(message[1]):
                return self.actor.instance.handle_call, (message[2], message[1]), message[1]
            if tag is SYSTEM and len(message) == 3 and is_from(message[1]):
                return self._system, (message[2], message[1]), None
            if type(tag) is Pid and len(message) == 3 and is_from(message[1]) and message[1][0] == tag:
                return self.actor.instance.handle_call, (message[2], message[1]), message[1]
        elif type(message) is Sourced:
            return self._told(message.message) if message.via == KERNEL else self._of_link(message)
        return None

    def _told(self, message: tuple[Any, ...]) -> Work:
        """Return the callback for what the kernel tells; only the exit of the parent is an order."""
        if message[0] is EXIT and message[1] == self.actor.parent:
            return self._stop, (message[2],), None
        return self._notice(message)

    def _notice(self, message: tuple[Any, ...]) -> Work:
        """Return the callback for what the kernel tells that is no order."""
        instance = self.actor.instance
        return (instance.handle_notice if self.actor.guarded else instance.handle_info), (message,), None

    def _of_link(self, item: Sourced) -> Work:
        """Return the callback for a message that says which link it came by."""
        if type(item.message) is Continue:
            return self._handle_of_link, (item.via, self.actor.instance.handle_continue, (item.message.argument,)), None
        callback, arguments, from_ = self._route(item.message) or (
            self.actor.instance.handle_info, (item.message,), None,
        )  # fmt: skip
        return self._handle_of_link, (item.via, callback, arguments), from_

    def _handle_of_link(self, via: int, callback: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self.via = via
        try:
            answer = callback(*arguments)
        finally:
            self.via = None
        if type(answer) is Continue and type(self.actor.mail) is FairMailqueue:
            self.actor.mail.go_on(Sourced(answer, via))
            return NOREPLY
        return answer

    def _run(self, items: Iterator[Any], route: Route | None) -> int:
        """Run callbacks, as long as nothing has to be done between two of them; returns how many it were."""
        actor = self.actor
        scheduler = actor.runtime.scheduler
        before, scheduler.current = scheduler.current, actor
        done, from_ = 0, None
        try:
            instance = actor.instance
            for item in items:
                done += 1
                work = None if route is None else route(item)
                if work is None:
                    answer = instance.handle_info(item)
                else:
                    callback, arguments, from_ = work
                    answer = callback(*arguments)
                if answer is not None or from_ is not None or actor.incoming or actor.suspended is not None:
                    self._act_on(answer, from_, NOTHING if route is as_it_is else item)
                    break
        except BaseException as error:
            self._failed(error, from_, NOTHING if route is as_it_is else item)
        finally:
            scheduler.current = before
        return done

    # ---- callbacks of the loop itself

    def _init(self) -> Any:
        """Run ``init``; always with an answer, for `_done` has to know of it."""
        self.phase = STARTING
        answer = self.actor.instance.init(*self.actor.arguments)
        return NOREPLY if answer is None else answer

    def _system(self, request: Any, from_: tuple[Pid, Any]) -> Any:
        """Reply to a system message; always with an answer: what is next depends on it."""
        if (self.via or self.actor.is_root) and is_order(request):
            runtime = self.actor.runtime
            self.actor.instance.refused("a sys message", runtime.peer_of(self.via) if self.via else runtime.name)
            self.reply(from_, (atoms.error, atoms.refused))
            return NOREPLY
        try:
            self.reply(from_, reply_to(self, request, from_[0]))
        except EncodeError as error:
            self.reply(from_, show_failure(self, error))
        if type(request) is tuple and len(request) == 2 and request[0] is TERMINATE:
            self._stop(request[1])
        return NOREPLY

    def _stop(self, reason: Any) -> None:
        """End as told."""
        raise Stop(reason)

    # ---- what a callback answers

    def _act_on(self, answer: Any, from_: Any, message: Any) -> None:
        """Do what a callback answers to a message, once it does."""
        if answer is not None and is_awaitable(answer):
            self._begin_await(answer, from_, message)
        elif not self.actor.ended:
            self._done(answer, from_)

    def _begin_await(self, awaited: Awaitable[Any], from_: Any, message: Any) -> None:
        if self.actor.ended:
            close_unstarted(awaited)
            return
        if self.phase is READY:
            self.phase = AWAITING
        self.run_task(self._await(awaited, from_, message), partial(self._not_begun, awaited, SHUTDOWN))

    def _not_begun(self, awaited: Awaitable[Any], reason: Any) -> None:
        """End for a task that was cancelled, perhaps before it got to what it was to await."""
        close_unstarted(awaited)
        self.actor.end(reason)

    async def _await(self, awaited: Awaitable[Any], from_: Any, message: Any) -> None:
        """Run an ``async def`` callback; the next message waits for its end."""
        try:
            answer = await awaited
            if not self.actor.ended:
                self._done(answer, from_)
        except BaseException as error:
            self._failed(error, from_, message)
            if is_cancelled(error):
                raise
        if not self.actor.scheduled:
            self.actor.wake()

    def _done(self, answer: Any, from_: Any) -> None:
        """Reply, and remember a `Continue`."""
        if self.phase is not PAUSED:
            if self.phase is STARTING:
                self._has_begun()
            self.phase = READY
        if issubclass(type(answer), Stop):  # returned, and surely meant
            raise answer
        if from_ is not None:
            then = None
            if type(answer) is Reply:  # `isinstance` would ask the object of a user
                answer, then = answer.value, answer.then
            elif type(answer) is Continue:
                answer, then = NOREPLY, answer
            if answer is not NOREPLY:
                self.reply(from_, answer)
            answer = then
        elif type(answer) is Reply:
            raise TypeError("a Reply has nobody to reply to: only handle_call answers one")
        if type(answer) is Continue:
            self._due.appendleft(partial(self.actor.instance.handle_continue, answer.argument))

    def _has_begun(self) -> None:
        """Tell who waits for the start; ``init`` may have filled ``__dict__`` from that of a former life."""
        bind(self.actor)
        if self.started is not None:
            settle(self.started, None, None)

    def reply(self, from_: tuple[Pid, Any], value: Any) -> None:
        """Answer a call; one that can't leave, since its caller reads nothing, is dropped and ends nobody."""
        actor = self.actor
        try:
            send_reply(actor, from_, value)
        except LinkOverloaded as error:
            log.warning("%s drops an answer: %s", actor.registered_name or actor.pid, error)
        except EncodeError:
            if not (actor.guarded or self.supervises):
                raise
            send_reply(actor, from_, (atoms.error, atoms.unencodable))

    # ---- the end

    def _failed(self, error: BaseException, from_: Any, message: Any) -> None:
        """End as an error says that a callback did not catch; ``terminate`` first."""
        self._terminate(self._replied(error, from_), message)
        if issubclass(type(error), KeyboardInterrupt):
            raise error

    def _replied(self, error: BaseException, from_: Any) -> BaseException:
        """Send the reply that comes with a stop; returns what the server ends for."""
        try:
            request = request_in(error)
            if from_ is not None and isinstance(request, Stop) and request.reply is not NOREPLY:
                self.reply(from_, request.reply)
        except BaseException as failure:
            return failure
        return error

    def _terminate(self, error: BaseException, message: Any) -> None:
        """Run ``terminate``, then end; a server whose ``init`` has failed has nothing to clean up."""
        if self.actor.ended or self.phase is STOPPING:
            return
        if is_cancelled(error):  # from outside
            self.actor.fail(error)
            return
        is_new, self.phase = self.phase in {NEW, STARTING}, STOPPING
        if is_new:
            self.actor.fail(error, message)
        else:
            self._cleaned(*attempt(self._clean, end_of(error)[0]), error, message)

    def _clean(self, reason: Any) -> Awaitable[Any] | None:
        """Run ``terminate``; returns what is to be awaited of it, if anything."""
        cleaning = self.actor.instance.terminate(reason)
        return cleaning if is_awaitable(cleaning) else None

    def _cleaned(self, cleaning: Any, failure: BaseException | None, error: BaseException, message: Any) -> None:
        """End, once ``terminate`` has: for what went wrong there, else as asked."""
        if cleaning is None:
            self.actor.fail(error if failure is None else failure, message)
        else:
            body = self._clean_up(cleaning, error, message)
            self.run_task(body, partial(self._not_begun, cleaning, end_of(error)[0]))

    async def _clean_up(self, cleaning: Awaitable[Any], error: BaseException, message: Any) -> None:
        """Run an ``async def terminate``, then end: for what went wrong there, as a plain one does, else as asked."""
        try:
            await cleaning
        except BaseException as failure:
            self.actor.fail(error if is_cancelled(failure) else failure, message)
            if is_cancelled(failure):
                raise
        else:
            self.actor.fail(error, message)

    def finish(self, reason: Any) -> None:
        """End before the next message, ``terminate`` first; a callback that runs comes to its end."""
        if self.phase is NEW:
            self.actor.end(reason)
        elif self.phase is PAUSED:
            self.unpause()
        self.actor.release()
        self.put(partial(self._stop, reason))

    def stop(self, reason: Any) -> None:
        """The process has ended: a running callback is cancelled, ``start`` raises."""
        self.phase = ENDED
        self._due.clear()
        while self._timers:
            self._timers.pop().cancel()
        if self.started is not None:
            settle(self.started, None, ProcessExit(reason))
            self.started = None
        super().stop(reason)


def server_loop(actor: Actor) -> ServerLoop:
    """Return the loop of a GenServer's actor. Raises ``ProcessExit`` where that has ended."""
    if actor.ended:
        raise ProcessExit(actor.exit_reason)
    assert isinstance(actor.loop, ServerLoop), "only processes with callbacks have one"
    return actor.loop


def as_it_is(callback: Callable[[], Any]) -> Work:
    """Be the `Route` of what is no message."""
    return callback, (), None


def is_from(value: Any) -> bool:
    """Say whether a term has the shape of a caller: ``{Pid, Tag}``."""
    return type(value) is tuple and len(value) == 2 and type(value[0]) is Pid
