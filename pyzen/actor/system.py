"""System messages: what ``sys`` asks of a server, whatever kind it is.

::

    {system, From, Request}       reply
    get_state                     {ok, State}
    {replace_state, Fun}          {error, {callback_failed, ...}}: a fun of Erlang can't run here
    get_status                    {status, Pid, {module, Module}, [PDict, running | suspended, Parent, Debug, Misc]}
    suspend, resume               ok; a suspended server takes system messages only
    {terminate, Reason}           ok, then the server ends
    {debug, Request}              what `pyzen.actor.debugging` says
    anything else                 {error, {unknown_system_msg, Request}}

Source: OTP, "sys"; ``get_state`` is answered with ``{ok, State}`` as from 26.1 on, which older callers print as it is.
"""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from pyzen.actor.debugging import debug, events_of, options_of
from pyzen.actor.reasons import end_of
from pyzen.actor.states import module_of
from pyzen.terms import atoms

if TYPE_CHECKING:
    from pyzen.actor.server_loop import ServerLoop
    from pyzen.terms import Pid

__all__ = ["SYSTEM", "TERMINATE", "is_order", "is_system", "reply_to", "show_failure", "status_of"]

SYSTEM: Final = atoms.system
TERMINATE: Final = atoms.terminate
OK: Final = atoms.ok
QUESTIONS: Final = (
    atoms.get_state,
    atoms.get_status,
    (atoms.debug, (atoms.statistics, atoms.get)),
    (atoms.debug, (atoms.log, atoms.get)),
)


def is_system(message: Any) -> bool:
    """Say whether a message is a system message."""
    return type(message) is tuple and len(message) == 3 and message[0] is SYSTEM


def is_order(request: Any) -> bool:
    """Say whether a system message asks for more than to be shown something."""
    return request not in QUESTIONS


def reply_to(loop: ServerLoop, request: Any, asker: Pid) -> Any:
    """Do what a system message asks, except to end, and return the reply; code of the user that fails is part of it."""
    try:
        return _reply_to(loop, request, asker)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return show_failure(loop, error)


def show_failure(loop: ServerLoop, error: BaseException) -> Any:
    """Return what ``sys`` answers where a server can't show its state.

    Source: OTP, ``sys.erl``, ``do_get_state/3``.
    """
    where = module_of(loop.actor.instance), atoms.system_get_state
    return atoms.error, (atoms.callback_failed, where, (atoms.error, end_of(error)[0]))


def _reply_to(loop: ServerLoop, request: Any, asker: Pid) -> Any:
    match request:
        case atoms.get_state:
            return OK, shown_state(loop)
        case (atoms.replace_state, fun):
            return atoms.error, (atoms.callback_failed, fun, (atoms.error, atoms.undef))
        case atoms.get_status:
            return status_of(loop)
        case atoms.suspend:
            loop.pause()
            return OK
        case atoms.resume:
            loop.unpause()
            return OK
        case (atoms.terminate, _):
            return OK
        case (atoms.debug, asked):
            return debug(loop, asked, asker)
    return atoms.error, (atoms.unknown_system_msg, request)


def shown_state(loop: ServerLoop) -> Any:
    """Return what a server shows of its state.

    Raises:
        TypeError: Its ``get_state`` is async: a system message is answered in the step that takes it.
    """
    state = loop.actor.instance.get_state()
    if type(state) is CoroutineType:
        state.close()
        raise TypeError("get_state has to be a plain function")
    return state


def status_of(loop: ServerLoop) -> Any:
    """Return what ``sys:get_status`` shows, in the shape that ``gen_server`` gives it."""
    actor = loop.actor
    state = atoms.suspended if loop.is_paused else atoms.running
    parent: Any = actor.parent or actor.pid
    name = actor.registered_name or actor.pid
    options = options_of(loop)
    misc = [
        (atoms.header, f"Status for Python server {name!s}"),
        (atoms.data, [("Status", state), ("Parent", parent), ("Logged events", events_of(loop))]),
        (atoms.data, [("State", shown_state(loop))]),
    ]
    return (
        atoms.status,
        actor.pid,
        (atoms.module, module_of(actor.instance)),
        [[], state, parent, options, misc],
    )
