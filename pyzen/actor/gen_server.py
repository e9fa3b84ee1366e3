"""GenServer: a process made of callbacks, run by the scheduler without a task of its own.

The user's side: what a subclass overrides. How and when the callbacks run is `pyzen.actor.server_loop`.

Source: OTP, "gen_server"; Elixir, `GenServer`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pyzen.actor.reasons import KILLED, ExitRequest, seconds
from pyzen.actor.remote import Remote
from pyzen.actor.server_loop import ServerLoop, server_loop
from pyzen.actor.states import attributes_of, state_of
from pyzen.actor.verbs import actor_of, make
from pyzen.brief import brief
from pyzen.logs import get_logger
from pyzen.terms import Atom, Pid, atoms
from pyzen.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.actor.actor import Actor
    from pyzen.actor.loop import Loop
    from pyzen.actor.runtime import Runtime, TimerHandle

__all__ = ["GenServer", "Host"]

log = get_logger("pyzen.actor")


class Host(Protocol):
    """What ``start`` needs: a node."""

    @property
    def runtime(self) -> Runtime:
        """The runtime of the node."""


class GenServer(Remote):
    """A server of callbacks. Subclasses override what they need.

    The arguments of ``start`` and ``spawn`` go to ``init``; ``__init__`` gets nothing and may be left out. Attributes
    and methods of a subclass may have any name but those of the verbs, ``pyzen.actor.user_classes.VERBS``, which are
    refused when the class is defined.

    Each callback may be plain or ``async def``, or return anything else that can be awaited; meanwhile the next
    message waits. ``terminate(reason)`` runs when a callback stops or fails, and, with ``trap_exit``, when the process
    that started it by a link ends; not when an exit signal ends the process.

    ::

        class Counter(GenServer):
            def init(self, start):
                self.count = start

            def handle_call(self, request, from_):
                self.count += 1
                return self.count

        pid = await Counter.start(node, 0)
    """

    _pyzen_loop: ClassVar[type[Loop]] = ServerLoop

    @classmethod
    async def start(
        cls,
        node: Host,
        *args: Any,
        name: Atom | str | None = None,
        link: Pid | None = None,
        timeout: float | None = 5.0,
    ) -> Pid:
        """Start a server and return its pid after ``init``, which gets the arguments.

        Raises:
            ProcessExit: ``init`` failed or stopped.
            NameTaken: The name is registered.
            TimeoutError: ``init`` took too long; the server is killed, as after cancellation.
        """
        timeout = None if timeout is None else seconds(timeout)
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        actor = make(cls, args)
        server_loop(actor).started = started
        pid = node.runtime.spawn(actor, name=name, link=link)
        try:
            async with asyncio.timeout(timeout):
                await started
        except (TimeoutError, asyncio.CancelledError):
            actor.end(KILLED)
            raise
        finally:
            del started  # its error knows this frame, and must not be known by it: a cycle
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
        log_stray(actor_of(self), message)

    def handle_continue(self, argument: Any) -> Any:
        """Go on after a callback that returned a `Continue`."""
        raise ExitRequest((atoms.bad_continue, argument))

    def terminate(self, reason: Any) -> Any:
        """Clean up."""

    def get_state(self) -> Any:
        """Return what ``sys:get_state`` shows: the attributes of the object, those without an Erlang form as text.

        Override it to show something else; it must have an Erlang form.
        """
        return state_of(attributes_of(self))

    # ---- timers

    def after(self, delay: float, callback: Callable[..., object], *arguments: Any) -> TimerHandle:
        """Call ``callback`` after ``delay`` seconds as one of the server's own callbacks.

        Never once the server has ended, or ``cancel()`` of what this returns was called.
        """
        return server_loop(actor_of(self)).after(delay, callback, *arguments)


def log_stray(actor: Actor, message: Any) -> None:
    """Ignore a message that no callback handles; one log line per ten seconds."""
    loop = server_loop(actor)
    if loop.strays is None:
        loop.strays = Throttle()
    if count := loop.strays.let(actor.runtime.now()):
        name = actor.registered_name or actor.pid
        log.warning("messages that %r does not handle: %d, the last one %s", name, count, brief(message))
