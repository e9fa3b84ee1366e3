"""System messages: what ``sys`` asks of a server, whatever kind it is.

::

    {system, From, Request}       reply
    get_state                     {ok, State}
    {replace_state, Fun}          {error, {callback_failed, ...}}: a fun of Erlang can't run here
    get_status                    {status, Pid, {module, Module}, [PDict, running | suspended, Parent, Debug, Misc]}
    suspend, resume               ok; a suspended server takes system messages only
    {terminate, Reason}           ok, then the server ends
    {debug, _}                    ok, without effect
    anything else                 {error, {unknown_system_msg, Request}}

Source: OTP, "sys"; ``get_state`` is answered with ``{ok, State}`` as from 26.1 on, which older callers print as it is.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from pyzen.brief import brief
from pyzen.errors import EncodeError
from pyzen.etf import encode
from pyzen.terms import Atom, FrozenList, Pid, TermMap, atoms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyzen.actor.gen_server import GenServer

__all__ = ["SYSTEM", "is_system", "module_of", "presentable", "reply_to", "state_of", "status_of"]

SYSTEM: Final = atoms.system
OK: Final = atoms.ok
MAX_DEPTH: Final = 6
MAX_ELEMENTS: Final = 1000


def is_system(message: Any) -> bool:
    """Say whether a message is a system message."""
    return type(message) is tuple and len(message) == 3 and message[0] is SYSTEM


def reply_to(server: GenServer, request: Any) -> Any:
    """Do what a system message asks, except to end, and return the reply."""
    match request:
        case atoms.get_state:
            return OK, server.get_state()
        case (atoms.replace_state, fun):
            return atoms.error, (atoms.callback_failed, fun, (atoms.error, atoms.undef))
        case atoms.get_status:
            return status_of(server)
        case atoms.suspend:
            server.sys_suspended = True
            return OK
        case atoms.resume:
            server.sys_suspended = False
            return OK
        case (atoms.terminate, _) | (atoms.debug, _):
            return OK
    return atoms.error, (atoms.unknown_system_msg, request)


def status_of(server: GenServer) -> Any:
    """Return what ``sys:get_status`` shows, in the shape that ``gen_server`` gives it."""
    state = atoms.suspended if server.sys_suspended else atoms.running
    parent: Any = server.parent or server.pid
    who = server.registered_name or server.pid
    misc = [
        (atoms.header, f"Status for Python server {who!s}"),
        (atoms.data, [("Status", state), ("Parent", parent), ("Logged events", [])]),
        (atoms.data, [("State", server.get_state())]),
    ]
    return atoms.status, server.pid, (atoms.module, module_of(server)), [[], state, parent, [], misc]


def module_of(server: object) -> Atom:
    """Return a class as the name of a module."""
    kind = type(server)
    return Atom(f"{kind.__module__}.{kind.__qualname__}"[:255])


def state_of(attributes: Mapping[str, Any]) -> Any:
    """Return attributes as a map of atoms that can be sent."""
    return {atoms[name.lstrip("_")]: presentable(value) for name, value in attributes.items()}


def presentable(value: Any, depth: int = 0) -> Any:
    """Return a value in a form that can be sent: terms as they are, dataclasses as maps, others by their ``repr``."""
    if depth > MAX_DEPTH:
        return atoms["..."]

    def inner(values: Any) -> list[Any]:
        return [presentable(one, depth + 1) for _, one in zip(range(MAX_ELEMENTS), values, strict=False)]

    match value:
        case list() | set() | frozenset() | FrozenList():
            return inner(value)
        case tuple():
            return tuple(inner(value))
        case dict() | TermMap():
            return TermMap(zip(inner(value.keys()), inner(value.values()), strict=True))
        case Enum():
            return presentable(value.value, depth)
    if is_dataclass(value) and not isinstance(value, type):
        return presentable({atoms[one.name]: getattr(value, one.name) for one in fields(value) if one.repr}, depth)
    return value if is_sendable(value) else brief(value)


def is_sendable(value: Any) -> bool:
    """Say whether a value without parts has an Erlang form."""
    if isinstance(value, bool | int | str | bytes | Atom | Pid) or value is None:
        return True
    try:
        encode(value)
    except EncodeError:
        return False
    return True
