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

    from pyzen.actor.server_loop import ServerLoop

__all__ = [
    "SYSTEM",
    "TERMINATE",
    "attributes_of",
    "is_system",
    "module_of",
    "presentable",
    "reply_to",
    "state_of",
    "status_of",
]

SYSTEM: Final = atoms.system
TERMINATE: Final = atoms.terminate
OK: Final = atoms.ok
MAX_DEPTH: Final = 6
MAX_ELEMENTS: Final = 1000


def is_system(message: Any) -> bool:
    """Say whether a message is a system message."""
    return type(message) is tuple and len(message) == 3 and message[0] is SYSTEM


def reply_to(loop: ServerLoop, request: Any) -> Any:
    """Do what a system message asks, except to end, and return the reply."""
    match request:
        case atoms.get_state:
            return OK, loop.actor.instance.get_state()
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
        case (atoms.terminate, _) | (atoms.debug, _):
            return OK
    return atoms.error, (atoms.unknown_system_msg, request)


def status_of(loop: ServerLoop) -> Any:
    """Return what ``sys:get_status`` shows, in the shape that ``gen_server`` gives it."""
    actor = loop.actor
    state = atoms.suspended if loop.is_paused else atoms.running
    parent: Any = actor.parent or actor.pid
    name = actor.registered_name or actor.pid
    misc = [
        (atoms.header, f"Status for Python server {name!s}"),
        (atoms.data, [("Status", state), ("Parent", parent), ("Logged events", [])]),
        (atoms.data, [("State", actor.instance.get_state())]),
    ]
    return atoms.status, actor.pid, (atoms.module, module_of(actor.instance)), [[], state, parent, [], misc]


def module_of(server: object) -> Atom:
    """Return a class as the name of a module."""
    kind = type(server)
    return Atom(f"{kind.__module__}.{kind.__qualname__}"[:255])


def attributes_of(instance: object) -> dict[str, Any]:
    """Return the attributes of an object that are its class's own, those in slots, too."""
    names = {name for base in type(instance).__mro__ for name in _slots_of(base)} | set(
        getattr(instance, "__dict__", ())
    )
    found = {name: getattr(instance, name, None) for name in sorted(names) if not name.startswith("_pyzen_")}
    return found


def _slots_of(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


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
