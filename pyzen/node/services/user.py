"""``user``: the group leader of this node; what is written to it appears on standard output.

Messages in: ``{io_request, From, ReplyAs, Request}``, each answered by ``{io_reply, ReplyAs, Reply}``, or the writer
would wait for ever. There is no input: reading gets ``eof``.

Source: OTP, STDLIB User's Guide, "The Erlang I/O Protocol".
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from pyzen.actor.gen_server import log_stray
from pyzen.actor.guarded import GuardedServer
from pyzen.actor.mailbox import NOTHING
from pyzen.actor.server_loop import server_loop
from pyzen.actor.verbs import actor_of
from pyzen.contained import contained
from pyzen.etf import encode
from pyzen.logs import escaped, get_logger
from pyzen.node.services.io_lib import characters, fwrite
from pyzen.node.services.output import MAX_WAITING, write
from pyzen.terms import Atom, Pid, atoms
from pyzen.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzen.node.services.output import Output

__all__ = ["User"]

log = get_logger("pyzen.io")

OK: Final = atoms.ok
ERROR: Final = atoms.error
ENOTSUP: Final = (ERROR, atoms.enotsup)
BAD_REQUEST: Final = (ERROR, atoms.request)

MAX_FORMATTED: Final = 1_000_000
"""Characters that one format may make; a longer text is cut."""

HARMLESS: Final = re.compile(r"(\x1b\[[0-9;]*m|[\n\t]|\r\n)|[^\x20-\x7e]")
"""A colour or the end of a line; else a character that may have to be shown by an escape."""

Put: TypeAlias = "Callable[[str], None]"
"""Writes text to where the node's output goes."""


@final
class User(GuardedServer):
    """Writes what processes here and elsewhere print.

    Args:
        output: Does the work, and writes, where it holds up nobody.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._line = Throttle()

    def handle_info(self, message: Any) -> None:
        """Serve an I/O request; answers to what this node's own processes print are dropped."""
        match message:
            case (atoms.io_request, Pid() as from_pid, reply_as, request):
                put = write_of_peer if server_loop(actor_of(self)).via else write
                answer = partial(self._answer, from_pid, reply_as)
                loop = asyncio.get_running_loop()
                work = partial(self._serve_aside, request, put, partial(loop.call_soon_threadsafe, answer))
                if not self._output.offer(size_of(request), work):
                    self._tell(loop.time())
                    answer(OK)
            case (atoms.io_reply, _, _):
                pass
            case _:
                log_stray(actor_of(self), message)

    def _tell(self, now: float) -> None:
        """Tell of a request that was dropped, once in a while."""
        if self._line.let(now):
            dropped = self._output.dropped
            log.warning("standard output is not read: %d requests to print were dropped so far", dropped)

    def _answer(self, from_pid: Pid, reply_as: Any, reply: Any) -> None:
        """Answer who asked; an answer that is no use to anybody, in a node that stops say, is dropped."""
        with contained:
            if from_pid != self.pid:
                self.send(from_pid, (atoms.io_reply, reply_as, reply), dial=False)

    def _serve_aside(self, request: Any, put: Put, answer: Callable[[Any], object]) -> None:
        """Serve a request in the thread that writes."""
        reply: Any = (ERROR, atoms.terminated)
        with contained:
            reply = self.serve(request, put)
        answer(reply)

    def serve(self, request: Any, put: Put) -> Any:
        """Do what one request says, with ``put`` for its text, and return its reply."""
        match request:
            case (atoms.put_chars, Atom() as encoding, data):
                return write_characters(data, put, latin1=encoding is atoms.latin1)
            case (atoms.put_chars, Atom(), module, function, list() as args):
                return write_formatted(request, (module, function, args), put)
            case (atoms.put_chars, data):
                return write_characters(data, put, latin1=True)
            case (atoms.put_chars, module, function, list() as args):
                return write_formatted(request, (module, function, args), put)
            case (atoms.requests, list() as requests):
                return self._serve_all(requests, put)
            case (atoms.get_line | atoms.get_chars | atoms.get_until, *_):
                return atoms.eof
            case (atoms.get_password | atoms.get_geometry, *_):
                return ENOTSUP
            case (atoms.setopts, list()):
                return OK
            case atoms.getopts:
                return [(atoms.binary, False), (atoms.encoding, atoms.unicode)]
        return BAD_REQUEST

    def _serve_all(self, requests: list[Any], put: Put) -> Any:
        """Serve requests in order, nested ones too, up to the first that fails; returns the last reply."""
        reply: Any = OK
        waiting = [iter(requests)]
        while waiting:
            request = next(waiting[-1], NOTHING)
            match request:
                case _ if request is NOTHING:
                    waiting.pop()
                case (atoms.requests, list() as nested):
                    waiting.append(iter(nested))
                case _:
                    reply = self.serve(request, put)
                    if type(reply) is tuple and reply[:1] == (ERROR,):
                        break
        return reply


def write_characters(data: Any, put: Put, *, latin1: bool) -> Any:
    """Write character data."""
    try:
        text = characters(data, latin1=latin1)
    except (ValueError, OverflowError):
        return ERROR, atoms.put_chars
    put(text)
    return OK


def size_of(request: Any) -> int:
    """Return how much a request takes while it waits, as it is sent."""
    data = request[-1] if type(request) is tuple and request else request
    if type(data) in {bytes, str}:
        return len(data)
    with contained:
        return len(encode(request))
    return MAX_WAITING


def write_formatted(request: Any, mfa: tuple[Any, Any, list[Any]], put: Put) -> Any:
    """Write what a function of the writer's module makes; only Erlang's own formatting is known here."""
    module, function, args = mfa
    if (module, function) not in {(atoms.io_lib, atoms.format), (atoms.io_lib, atoms.fwrite)} or len(args) != 2:
        return ERROR, (atoms.put_chars, request[0])
    try:
        text = fwrite(args[0], args[1], size=MAX_FORMATTED)
    except (ValueError, TypeError, OverflowError):
        return ERROR, atoms.format
    put(text)
    return OK


def write_of_peer(text: str) -> None:
    """Write what a peer has to say: in lines and colours, but without power over the terminal."""
    write(HARMLESS.sub(lambda match: match[1] or escaped(match[0]), text))
