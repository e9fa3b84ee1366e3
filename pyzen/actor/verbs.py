"""The verbs: what a process can do, the same for every kind of process.

A user's class has the verbs, its callbacks, and one private attribute: the way to its `Actor`. All else that a class
or an instance defines is the user's own, whatever it is called. Only the names in ``VERBS`` are taken.
"""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from pyzen.actor.actor import Actor
from pyzen.actor.reasons import ExitRequest, check_pid, seconds, settle
from pyzen.actor.requests import GEN_CAST, send_reply, send_request
from pyzen.actor.signals import Exit2, GroupLeader
from pyzen.actor.user_classes import check_class, was_checked
from pyzen.brief import brief
from pyzen.errors import CallTimeout, ProcessExit
from pyzen.terms import Atom, Pid, Reference, atoms

if TYPE_CHECKING:
    from pyzen.actor.loop import Loop
    from pyzen.actor.runtime import Dest, Sent, Target

__all__ = ["Verbs", "actor_of", "bind", "make", "next_life"]

IO_REQUEST: Final = atoms.io_request
PUT_CHARS: Final = atoms.put_chars
UNICODE: Final = atoms.unicode


class Verbs:
    """The verbs of a process. What they work on, and all that happens to a process, is its `Actor`'s.

    The kernel never calls a verb: it has the `Actor`. So a subclass that gives a name of its own to something else
    takes nothing from anybody.

    Attributes:
        async_dist: Never suspend a process of this class when it sends over a busy link.
    """

    async_dist: ClassVar[bool] = False

    _pyzen_loop: ClassVar[type[Loop]]
    _pyzen_guarded: ClassVar[bool] = False
    _pyzen_serves_all: ClassVar[bool] = False
    _pyzen_immune: ClassVar[bool] = False
    _pyzen_module: Atom | None = None
    _pyzen_reports: bool = True
    _pyzen_actor: Actor

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the object and its actor, before any ``__init__`` runs.

        The arguments of a process that is made by hand, and has no ``__init__``, go to ``init`` or ``main``.
        """
        new = super().__new__
        instance: Self = new(cls) if new is object.__new__ else new(cls, *args, **kwargs)
        actor = _new_actor(instance)
        if cls.__init__ is object.__init__:
            actor.arguments = args
        return instance

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a class that defines a verb."""
        super().__init_subclass__(**kwargs)
        check_class(cls)

    # ---- who it is

    @property
    def _pyzen_label(self) -> str | None:
        """What it was started as, where its class does not say so."""
        return None

    @property
    def pid(self) -> Pid:
        """The pid of this process."""
        return self._pyzen_actor.pid

    @property
    def node(self) -> Atom:
        """The name of the node of this process."""
        return self._pyzen_actor.runtime.name

    @property
    def trap_exit(self) -> bool:
        """Whether exit signals become messages ``('EXIT', pid, reason)``; False unless set."""
        return self._pyzen_actor.trap_exit

    @trap_exit.setter
    def trap_exit(self, value: bool) -> None:
        self._pyzen_actor.trap_exit = bool(value)

    # ---- messages

    def send(self, dest: Dest, message: Any, *, dial: bool = True, priority: bool = False) -> Sent:
        """Send a message; never blocks.

        Above the high mark of a link (1 MiB) the process is suspended: once it next waits by `sleep`, `call` or
        ``receive``, or its callback has ended, it goes on only when the peer has read, or is lost.

        Messages to one process arrive in the order sent. To another node the message is encoded now; to a process of
        this node it is passed as it is, and must not be changed afterwards.

        Args:
            dest: A pid, a name, ``(name, node)``, or an alias.
            message: Any term.
            dial: Whether to dial the node where there is no link.
            priority: Ask the receiver to serve it first, as ``erlang:send/3`` with ``[priority]``: it does when
                ``dest`` is a priority alias of a process on OTP 28 or newer. In all other cases, and for a message
                of more than 64 KiB, this is an ordinary message.

        Raises:
            EncodeError: The message has no Erlang form.
            LinkOverloaded: Too much waits for that node already.
            ProcessExit: This process has ended.
        """
        return self._pyzen_actor.send(dest, message, dial=dial, priority=priority)

    def cast(self, dest: Dest, request: Any) -> None:
        """Send ``request`` to a GenServer, without an answer."""
        self._pyzen_actor.send(dest, (GEN_CAST, request))

    def reply(self, from_: tuple[Pid, Any], value: Any) -> None:
        """Answer a call; ``from_`` is what ``handle_call`` was given."""
        send_reply(self._pyzen_actor, from_, value)

    async def call(self, dest: Dest, request: Any, timeout: float | None = 5.0) -> Any:
        """Call a GenServer and return its reply.

        Args:
            dest: Pid, local name or ``(name, node)``; a node that is not connected is dialled.
            request: Any term.
            timeout: Seconds; None waits for ever. A late reply is dropped, as after cancellation. They begin when no
                busy link suspends the process, be it by the request itself.

        Raises:
            NoProcess: There is no such process.
            NodeDown: Its node can't be reached, or was lost.
            CallTimeout: No reply in time.
            ProcessExit: It ended before it replied; or it is this process itself.
        """
        actor = self._pyzen_actor
        timeout = None if timeout is None else seconds(timeout)
        if actor.is_called(dest):
            raise ProcessExit((atoms.calling_self, dest), "a process that calls itself would wait for ever")
        if actor.suspended is not None:
            await actor.until_released()
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ref = send_request(actor, dest, request, partial(settle, reply))
        try:
            if actor.suspended is not None:
                await actor.until_released()
            async with asyncio.timeout(timeout):
                return await reply
        except TimeoutError:
            raise CallTimeout((atoms.timeout, dest), f"no reply from {dest!r} within {timeout} s") from None
        finally:
            if not actor.ended:
                actor.forget_request(ref)
            del reply  # its error knows this frame, and must not be known by it: a cycle

    def send_request(self, dest: Dest, request: Any) -> Reference:
        """Call without waiting: ``(ref, reply)`` or a DOWN with that ref arrives as a message."""
        return send_request(self._pyzen_actor, dest, request)

    def puts(self, text: str) -> None:
        """Write a line to the group leader, as ``IO.puts`` does; does not wait until it is written.

        A process that was started from iex writes there. Lines of one process stay in order.
        """
        actor = self._pyzen_actor
        runtime = actor.alive()
        if actor.leader == actor.pid:
            return  # `user` is on its way back: the process would get the request itself
        # The answer goes to ``user``, which drops it: this process does not wait for it.
        request = (PUT_CHARS, UNICODE, f"{text}\n")
        actor.send(actor.leader, (IO_REQUEST, runtime.user or actor.pid, runtime.make_ref(), request), dial=False)

    @property
    def leader(self) -> Pid:
        """The group leader: who writes what this process prints."""
        return self._pyzen_actor.leader

    def set_group_leader(self, leader: Pid, pid: Pid | None = None) -> None:
        """Set the group leader of a process, of this one by default: ``erlang:group_leader/2``."""
        actor = self._pyzen_actor
        pid = actor.pid if pid is None else pid
        check_pid(leader)
        check_pid(pid)
        actor.alive().route(GroupLeader(pid, leader))

    # ---- monitors, links, exits

    def monitor(self, target: Target) -> Reference:
        """Monitor a process by pid, local name, or ``(name, node)``.

        One message ``(DOWN, ref, process, object, reason)`` follows, unless demonitored; the object is the pid, or
        ``(name, node)`` for a monitor by name. ``noproc`` and ``noconnection`` as in Erlang.
        """
        return self._pyzen_actor.monitor(target)

    def demonitor(self, ref: Reference, *, flush: bool = False) -> bool:
        """Undo a monitor; with ``flush`` no DOWN for it is seen after this returns. True if it stood."""
        return self._pyzen_actor.demonitor(ref, flush=flush)

    def link(self, pid: Pid) -> None:
        """Link with another process; linking with a dead one brings its exit signal ``noproc``."""
        self._pyzen_actor.link(pid)

    def unlink(self, pid: Pid) -> None:
        """Undo a link; no exit signal of it takes effect after this returns."""
        self._pyzen_actor.unlink(pid)

    def exit(self, reason: Any) -> None:
        """End this process with ``reason``. Does not return."""
        raise ExitRequest(reason)

    def send_exit(self, pid: Pid | Reference, reason: Any, *, priority: bool = False) -> None:
        """Send an exit signal to another process: Erlang's ``exit/2``, with ``priority`` its ``exit/3``.

        An alias does as well as a pid, from OTP 28 on; one that is not in use drops the signal. ``priority`` is as
        for `send`.
        """
        actor = self._pyzen_actor
        if type(pid) is not Reference:
            check_pid(pid)
        actor.alive().route(Exit2(pid, actor.pid, reason, priority))
        actor.sent_to(pid)

    # ---- other processes

    def spawn(self, target: Any, *args: Any, name: Atom | str | None = None) -> Pid:
        """Start a process on this node.

        Args:
            target: ``async def body(process, *args)``, a `Process` or `GenServer` class, or an instance of one.
            *args: Given to the body, or to ``main`` or ``init`` of the class.
            name: Registered on return; ``init`` runs in the next turn.

        Raises:
            NameTaken: The name is registered or reserved.
            TypeError: The target can't be started.
        """
        return self._pyzen_actor.alive().spawn(target, *args, name=name)

    def spawn_link(self, target: Any, *args: Any, name: Atom | str | None = None) -> Pid:
        """Start a process on this node, linked with this one from its first moment; else as `spawn`."""
        actor = self._pyzen_actor
        return actor.alive().spawn(target, *args, name=name, link=actor.pid)

    def spawn_monitor(self, target: Any, *args: Any, name: Atom | str | None = None) -> tuple[Pid, Reference]:
        """Start a process on this node and monitor it; else as `spawn`."""
        actor = self._pyzen_actor
        pid = actor.alive().spawn(target, *args, name=name)
        return pid, actor.monitor(pid)

    # ---- time

    async def sleep(self, delay: float) -> None:
        """Wait for ``delay`` seconds, 0 for one turn of the event loop.

        What ``asyncio.sleep`` does, and one thing more: a process that is suspended, see `send`, sleeps on until it
        goes on; the time begins then. So ``while True: process.send(...); await process.sleep(0)`` sends no faster
        than its peer reads. Messages that arrive meanwhile wait.

        Raises:
            ProcessExit: This process has ended.
        """
        actor = self._pyzen_actor
        delay = seconds(delay)
        await actor.until_released()
        actor.alive()
        await asyncio.sleep(delay)

    def send_after(self, dest: Dest, message: Any, delay: float) -> Reference:
        """Send ``message`` to ``dest`` after ``delay`` seconds; returns the reference for ``cancel_timer``."""
        return self._pyzen_actor.send_after(dest, message, delay)

    def cancel_timer(self, ref: Reference) -> bool:
        """Cancel a ``send_after``; false when it has fired or is unknown."""
        timer = self._pyzen_actor.timers.pop(ref, None)
        if timer is not None:
            timer.cancel()
        return timer is not None


def make(cls: type[Verbs], arguments: tuple[Any, ...]) -> Actor:
    """Make a process of a user's class: ``__init__`` gets nothing, ``init`` or ``main`` the arguments.

    Raises:
        TypeError: The class defines a verb, or can't be made without arguments.
        Exception: Whatever ``__init__`` raises.
    """
    if not was_checked(cls):
        check_class(cls)
    try:
        instance = cls()
    except TypeError as error:
        if _wants_arguments(cls):
            error.add_note("__init__ gets nothing: the arguments of spawn and start go to init, or to main")
        raise
    if not issubclass(type(instance), Verbs):
        raise TypeError(f"{cls.__qualname__}() made {brief(instance, 100)}, which is no process")
    actor = next_life(instance)
    if actor.is_started:
        raise RuntimeError(f"this {cls.__qualname__} has been started before: the class has one instance only")
    actor.arguments = arguments
    return actor


def _wants_arguments(cls: type[Verbs]) -> bool:
    try:
        inspect.signature(cls.__init__).bind(None)
    except (TypeError, ValueError):
        return True
    return False


def actor_of(instance: Verbs) -> Actor:
    """Return the kernel's side of a process.

    It is made anew where ``__new__`` or ``__init__`` of the class has lost it, or the object is a copy of one that
    lives. What has ended knows its object no more.
    """
    try:
        actor: Actor = object.__getattribute__(instance, "_pyzen_actor")
    except AttributeError:
        return _new_actor(instance)
    return actor if actor.instance is instance or actor.ended else _new_actor(instance, actor)


def next_life(instance: Verbs) -> Actor:
    """Return the actor of a process that is to be started: a new one where this object has lived before."""
    actor = actor_of(instance)
    return _new_actor(instance, actor) if actor.ended else actor


def _new_actor(instance: Verbs, former: Actor | None = None) -> Actor:
    """Give an object its actor; what it was made with, its former one or that of the original has."""
    actor = Actor(instance, type(instance)._pyzen_loop)
    if former is not None:
        actor.arguments = former.arguments
        actor.loop.inherit(former.loop)
    bind(actor)
    return actor


def bind(actor: Actor) -> None:
    """Let the object lead to its actor, whatever ``__setattr__`` of the class does: a frozen dataclass raises there."""
    object.__setattr__(actor.instance, "_pyzen_actor", actor)
