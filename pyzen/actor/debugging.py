"""Debugging: what ``sys`` can switch on to watch a server while it works.

::

    {debug, Request}                      reply
    {statistics, true | false}            ok
    {statistics, get}                     {ok, no_statistics}, or times and counts
    {log, true | {true, N} | false}       ok; the last N events are kept, 10 unless told, see `Log` for how many
    {log, get}                            {ok, Events}
    {log, print}, {trace, true | false}   ok; printed by the group leader of who asks
    no_debug                              ok
    {install, _}, {remove, _}             {error, undef}: a fun of Erlang can't run here
    {log_to_file, Name}                   {error, open_file}: a peer does not choose files of this machine
    anything else                         unknown_debug

Events are ``{in, Message}``, system messages left out, and ``{out, Reply, From}``; what a callback sends by itself is
none, as in OTP. States are not part of them: here they are objects, which would have been changed since.

A server that nobody watches does not know of this module: its loop gets another class when something is switched on,
and its own back when all is off.

Source: OTP, ``sys.erl``, ``debug_cmd/2``; ``gen_server.erl``, ``print_event/3``.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from datetime import datetime
from functools import cache, partial
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, cast, final

from pyzen.actor.mailbox import message_of
from pyzen.actor.remote import Remote
from pyzen.actor.requests import GEN_CALL, GEN_CAST
from pyzen.actor.states import presentable
from pyzen.brief import brief
from pyzen.contained import contained
from pyzen.etf import encoded_size
from pyzen.logs import escaped
from pyzen.printing import format as format_term
from pyzen.terms import Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyzen.actor.actor import Actor
    from pyzen.actor.server_loop import Route, ServerLoop, Work

    Base = ServerLoop
else:
    Base = object  # the class that a watched loop had before stands behind this one

__all__ = ["Watch", "debug", "events_of", "options_of"]

OK: Final = atoms.ok
IN: Final = atoms["in"]
OUT: Final = atoms.out
SYSTEM: Final = atoms.system

LOG_LENGTH: Final = 10
"""Events that are kept where the caller does not say how many."""

MAX_LOG: Final = 1000
"""Events that are kept at most, whatever the caller says."""

MAX_LOG_SIZE: Final = 1024 * 1024
"""Bytes of the events that are kept for one server, as encoded."""

MAX_EVENT_SIZE: Final = 64 * 1024
"""Bytes of an event past which the start of its ``repr`` is kept."""

MAX_LINE: Final = 2000
"""Characters of a line of a trace."""

MAX_HELD: Final = 100
"""Lines that wait until it is known who prints them; of any more, the first go."""


@final
class Log:
    """The last events of a server: a number of them, and no more than `MAX_LOG_SIZE` together.

    Args:
        length: How many, `MAX_LOG` at most.
        earlier: Events to begin with.
    """

    __slots__ = ("_events", "_length", "_size")

    def __init__(self, length: int, earlier: Iterable[Any] = ()) -> None:
        self._length = min(length, MAX_LOG)
        self._size = 0
        self._events: deque[tuple[int, Any]] = deque()
        for event in earlier:
            self.add(event)

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Any]:
        return (event for _, event in self._events)

    def add(self, event: tuple[Any, ...]) -> None:
        """Keep an event, and forget the oldest that there is no room for."""
        size, kept = _sized(event)
        self._events.append((size, kept))
        self._size += size
        while self._size > MAX_LOG_SIZE or len(self._events) > self._length:
            self._size -= self._events.popleft()[0]


def _sized(event: tuple[Any, ...]) -> tuple[int, Any]:
    """Return the size of an event, and what is kept: of a large one, or one with objects in it, the start of a text."""
    size = encoded_size(event, maximum=MAX_EVENT_SIZE)
    if size is not None:
        return size, event
    kept = event[0], brief(event[1]), *((caller, brief(tag)) for caller, tag in event[2:])
    return encoded_size(kept, maximum=MAX_EVENT_SIZE) or MAX_EVENT_SIZE, kept


@final
class Watch:
    """What is switched on for one server.

    Attributes:
        log: The last events; None while they are not kept.
        statistics: Since when messages are counted, how many came, how many replies left; None while they are not.
        printer: Prints each event; None while there is no trace.
        answering: The message that is being handled is a system message, whose reply is no event.
    """

    __slots__ = ("answering", "log", "printer", "statistics")

    def __init__(self) -> None:
        self.log: Log | None = None
        self.statistics: list[Any] | None = None
        self.printer: Printer | None = None
        self.answering = True

    def __bool__(self) -> bool:
        return not (self.log is None and self.statistics is None and self.printer is None)

    def take(self, event: tuple[Any, ...]) -> None:
        """Note an event."""
        if self.statistics is not None:
            self.statistics[1 if event[0] is IN else 2] += 1
        if self.log is not None:
            self.log.add(event)
        if self.printer is not None:
            self.printer.print(event)


class Watched(Base):
    """The part of a watched loop that tells its `Watch` what goes in and out."""

    __slots__ = ()

    def _next_items(self) -> tuple[Iterator[Any], Route | None]:
        """Let each message be noted when its turn has come; where all is off, be as before."""
        if self.watch is None:
            self.__class__ = type(self).__bases__[1]
            return self._next_items()
        items, route = super()._next_items()
        if route is None or type(route) is MethodType:
            return items, partial(self._noted, route)
        return items, route  # what runs is a callback of the loop itself, and no message

    def _noted(self, route: Route | None, item: Any) -> Work | None:
        message, watch = message_of(item), self.watch
        if watch is not None:
            watch.answering = type(message) is tuple and len(message) == 3 and message[0] is SYSTEM
            if not watch.answering:
                watch.take((IN, message))
        return None if route is None else route(item)

    def reply(self, from_: tuple[Pid, Any], value: Any) -> None:
        super().reply(from_, value)
        if self.watch is not None and not self.watch.answering:
            self.watch.take((OUT, value, from_))


@cache
def watched(kind: Any) -> type[ServerLoop]:
    """Return the class of a watched loop that was of this class."""
    return type(f"Watched{kind.__name__}", (Watched, kind), {"__slots__": ()})


@final
class Printer:
    """Prints events of one server by the group leader of who has asked for it.

    Lines wait while that is being found out. A node that is not connected is not asked: who asks is the asker's word.
    The server is never held up: lines for a link that is busy are lost.

    Args:
        actor: The server.
        asker: Who has asked.
    """

    def __init__(self, actor: Actor, asker: Pid) -> None:
        self._actor = actor
        self._leader: Pid | None = None
        self._held: deque[str] = deque(maxlen=MAX_HELD)
        runtime = actor.runtime
        neighbour = runtime.actor(asker)
        if neighbour is not None:
            self._leader = neighbour.leader
        elif asker.node is runtime.name or runtime.link(asker.node) is None:
            self._leader = actor.leader
        else:
            runtime.create_task(self._find(asker), actor)

    async def _find(self, asker: Pid) -> None:
        """Ask the node of ``asker`` for its group leader; what can't be found out is that of the server."""
        leader = None
        with suppress(Exception):
            args = [asker, atoms.group_leader]
            found = await Remote.erpc(self._actor.instance, asker.node, atoms.erlang, atoms.process_info, args)
            leader = found[1]
        self._leader = leader if type(leader) is Pid else self._actor.leader
        while self._held:
            self._write(self._leader, self._held.popleft())

    def print(self, event: tuple[Any, ...]) -> None:
        """Print one event, whose message may be any object of a user."""
        with contained:
            line = f"*DBG* {_shown(self._actor.registered_name or self._actor.pid)} {_said(event)}\n"
            if self._leader is None:
                self._held.append(line)
            else:
                self._write(self._leader, line)

    def _write(self, leader: Pid, line: str) -> None:
        """Send a line, but not as the process itself, which a busy link would suspend."""
        actor = self._actor
        request = atoms.put_chars, atoms.unicode, line
        sender = actor.runtime.user or actor.pid
        message = atoms.io_request, sender, actor.runtime.make_ref(), request
        with contained:
            actor.runtime.send(actor.pid, leader, message, dial=False)


def _said(event: tuple[Any, ...]) -> str:
    """Return an event as a ``gen_server`` prints it."""
    match event:
        case (_, (tag, (Pid() as caller, _), request)) if tag is GEN_CALL:
            return f"got call {_shown(request)} from {_shown(caller)}"
        case (_, (tag, request)) if tag is GEN_CAST:
            return f"got cast {_shown(request)}"
        case (_, message):
            return f"got {_shown(message)}"
    return f"sent {_shown(event[1])} to {_shown(event[2][0])}"


def _shown(term: Any) -> str:
    return escaped(format_term(presentable(term), size=MAX_LINE))


# ---- what is asked


def debug(loop: ServerLoop, request: Any, asker: Pid) -> Any:
    """Do what ``sys`` asks about debugging, and return the reply."""
    watch = loop.watch or Watch()
    reply = _reply_to(loop, watch, request, asker)
    loop.watch = watch or None
    if watch and not isinstance(loop, Watched):
        loop.__class__ = watched(type(loop))  # type: ignore[arg-type]  # a class can be hashed
    return reply


def _reply_to(loop: ServerLoop, watch: Watch, request: Any, asker: Pid) -> Any:
    match request:
        case (atoms.statistics, atoms.get):
            return OK, _counts(watch)
        case (atoms.statistics, bool() as wanted):
            watch.statistics = (watch.statistics or [_local_time(), 0, 0]) if wanted else None
        case (atoms.log, atoms.get):
            return OK, _events(watch)
        case (atoms.log, atoms.print):
            _print_log(loop, watch, asker)
        case (atoms.log, False):
            watch.log = None
        case (atoms.log, True):
            watch.log = Log(LOG_LENGTH, watch.log or ())
        case (atoms.log, (True, int() as length)) if length is not True and length >= 1:
            watch.log = Log(length, watch.log or ())
        case (atoms.trace, bool() as wanted):
            watch.printer = Printer(loop.actor, asker) if wanted else None
        case atoms.no_debug:
            watch.log = watch.statistics = watch.printer = None
        case _:
            return _refusal(request)
    return OK


def _refusal(request: Any) -> Any:
    match request:
        case (atoms.log_to_file, False):
            return OK
        case (atoms.log_to_file, _):
            return atoms.error, atoms.open_file
        case (atoms.install | atoms.remove, _):
            return atoms.error, atoms.undef
    return atoms.unknown_debug


def _counts(watch: Watch) -> Any:
    if watch.statistics is None:
        return atoms.no_statistics
    start, came, left = watch.statistics
    reductions = atoms.reductions, 0  # Python counts no such thing
    now = atoms.current_time, _local_time()
    return [(atoms.start_time, start), now, reductions, (atoms.messages_in, came), (atoms.messages_out, left)]


def _local_time() -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return what ``erlang:localtime/0`` does."""
    now = datetime.now().timetuple()
    return (now.tm_year, now.tm_mon, now.tm_mday), (now.tm_hour, now.tm_min, now.tm_sec)


def _events(watch: Watch | None) -> list[Any]:
    return [] if watch is None or watch.log is None else cast("list[Any]", presentable(list(watch.log)))


def _print_log(loop: ServerLoop, watch: Watch, asker: Pid) -> None:
    printer = Printer(loop.actor, asker)
    for event in _events(watch):
        if type(event) is tuple:  # where all of them are too much to be shown, the last are not
            printer.print(event)


def events_of(loop: ServerLoop) -> list[Any]:
    """Return the events that are kept, the oldest first, in a form that can be sent."""
    return _events(loop.watch)


def options_of(loop: ServerLoop) -> list[Any]:
    """Return what is switched on, as ``sys:get_status`` shows it."""
    watch = loop.watch
    shown: list[Any] = []
    if watch is not None and watch.printer is not None:
        shown.append((atoms.trace, True))
    if watch is not None and watch.log is not None:
        shown.append((atoms.log, len(watch.log)))
    if watch is not None and watch.statistics is not None:
        shown.append((atoms.statistics, tuple(watch.statistics)))
    return shown
