"""Exit reasons: what an exception looks like to Erlang, and what a reason raises here.

Source: Erlang Reference Manual, "Errors and Error Handling"; `Exception` of Elixir for the struct.
"""

from __future__ import annotations

import asyncio
import traceback
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, final

from pyzen.actor.answers import Stop
from pyzen.brief import brief
from pyzen.contained import contained
from pyzen.errors import NodeDown, NoProcess, ProcessExit
from pyzen.tasks import current_task
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from types import TracebackType

MAX_FRAMES: Final = 20

MAX_TEXT: Final = 10_000
"""Characters of the text of an error in an exit reason: ``KeyError`` and others show all that they were given."""

NORMAL: Final = atoms.normal
NOPROC: Final = atoms.noproc
NOCONNECTION: Final = atoms.noconnection
KILL: Final = atoms.kill
KILLED: Final = atoms.killed
SHUTDOWN: Final = atoms.shutdown


NAME_OF_TYPE: Final = vars(type)["__name__"].__get__
TRACEBACK_OF: Final = vars(BaseException)["__traceback__"].__get__
"""What an object says of itself without asking the code of its class."""

UNREADABLE: Final = atoms.unreadable
"""The exit reason of a process whose error can't be looked at."""


@final
class ExitRequest(BaseException):
    """Raised by ``exit(reason)`` to end the calling process; private, so that ``except Exception`` lets it pass."""

    def __init__(self, reason: Any) -> None:
        super().__init__()
        self.reason = reason


def is_orderly(reason: Any) -> bool:
    """Say whether an exit reason is ``normal``, ``shutdown`` or ``{shutdown, _}``."""
    word = reason[0] if type(reason) is tuple and reason else reason
    return word is SHUTDOWN or reason is NORMAL


def end_of(error: BaseException) -> tuple[Any, bool]:
    """Return the exit reason of a process that did not catch ``error``, and whether it has crashed.

    ==================================  ========================================  =======
    error                               reason                                    crashed
    ==================================  ========================================  =======
    ``exit(reason)``, `Stop`            as given                                  no
    a group with one of them            likewise: it was raised in a task group   if it holds
                                                                                  another
    `ProcessExit` of a call             as that of the process that was called    yes
    ``CancelledError`` of the own task  ``shutdown``                              no
    ``SystemExit``                      ``normal``, or ``{system_exit, Code}``    no, yes
    ``KeyboardInterrupt``               ``killed``; it is raised again            no
    any other                           `exception_reason`                        yes
    ==================================  ========================================  =======

    ``sys.exit()`` ends the process that calls it, never the program: a peer could make the call. In a task or callback
    that a user gives to asyncio itself, asyncio's rule holds: there it ends the program.
    """
    meaning: tuple[Any, bool] = (UNREADABLE, True)
    with contained:
        meaning = _meaning(error)
    return meaning


def _meaning(error: BaseException) -> tuple[Any, bool]:
    match error:
        case ExitRequest() | Stop():
            return error.reason, False
        case BaseExceptionGroup() if (request := request_in(error)) is not None:
            return request.reason, holds_more(error)
        case ProcessExit():
            return error.reason, True
        case asyncio.CancelledError() if is_cancelled(error):
            return SHUTDOWN, False
        case SystemExit():
            return (NORMAL, False) if not error.code else ((atoms.system_exit, str(error.code)), True)
        case KeyboardInterrupt():
            return KILLED, False
    return exception_reason(error), True


def request_in(error: BaseException) -> ExitRequest | Stop | None:
    """Return the request to end that an error is, or that a group holds, at any depth."""
    found: Any = error
    if issubclass(type(error), BaseExceptionGroup):
        found = found.subgroup((ExitRequest, Stop))
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found if isinstance(found, ExitRequest | Stop) else None


def holds_more(group: BaseExceptionGroup[Any]) -> bool:
    """Say whether a group holds an error beside requests to end, which is not to be lost."""
    return group.split((ExitRequest, Stop))[1] is not None


def is_cancelled(error: BaseException) -> bool:
    """Say whether an error means that the running task is told to end; else somebody has awaited what was cancelled."""
    if not issubclass(type(error), asyncio.CancelledError):
        return False
    task = current_task()
    return task is not None and task.cancelling() > 0


def exception_reason(error: BaseException) -> tuple[Any, list[Any]]:
    """Return the exit reason of a process that did not catch ``error``.

    The shape is ``{%RuntimeError{message: "ValueError: boom"}, Stack}``, innermost frame first, at most
    ``MAX_FRAMES`` frames.
    """
    struct = {
        atoms["__struct__"]: atoms["Elixir.RuntimeError"],
        atoms["__exception__"]: True,
        atoms.message: describe(error).encode("utf-8", "replace"),
    }
    return struct, stack_of(TRACEBACK_OF(error))


def describe(error: BaseException) -> str:
    """Return ``Type: text``, cut where it is long, for all watchers get it; the type alone where there is no text."""
    kind: str = NAME_OF_TYPE(type(error))
    described = kind
    with contained:
        text = str(error)
        described = f"{kind}: {text[:MAX_TEXT]}" if text else kind
    return described


def stack_of(tb: TracebackType | None) -> list[Any]:
    """Return ``[{Module, Function, Arity, [{file, charlist}, {line, n}]}]``, innermost first."""
    frames: list[Any] = []
    for frame, line in traceback.walk_tb(tb):
        code = frame.f_code
        module = str(frame.f_globals.get("__name__", "nomodule"))
        location = [(atoms.file, charlist(PurePath(code.co_filename).name)), (atoms.line, line or 0)]
        frames.append((_atom(module), _atom(code.co_name), code.co_argcount, location))
    return frames[::-1][:MAX_FRAMES]


def charlist(text: str) -> list[int]:
    """Return the code points of ``text``, which is what Erlang calls a string."""
    return [ord(character) for character in text]


def _atom(text: str) -> Any:
    return atoms[text[:255]]


def exit_error(reason: Any) -> ProcessExit:
    """Return the exception that tells a caller why the process it waited for ended."""
    if reason is NOPROC:
        return NoProcess(reason, "no such process")
    if reason is NOCONNECTION:
        return NodeDown(reason, "the node is not connected")
    return ProcessExit(reason)


def settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    """Finish a future that nobody may be waiting for any more."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def seconds(value: Any) -> float:
    """Return a time that a timer can have; infinity is one.

    Raises:
        TypeError: It is no number.
        ValueError: It is NaN, or longer than a float can say.
    """
    if isinstance(value, complex | str | bytes):
        raise TypeError(f"a time is a number of seconds, not {brief(value, 60)}")
    try:
        found = float(value)
    except OverflowError:
        raise ValueError(f"a time is a number of seconds, not {brief(value, 60)}") from None
    if found != found:  # noqa: PLR0124  # NaN is what differs from itself
        raise ValueError("a time is a number of seconds, not NaN")
    return found


def check_pid(pid: Any) -> None:
    """Refuse what is no pid. Raises ``TypeError``."""
    if type(pid) is not Pid:
        raise TypeError(f"a pid is needed, not {brief(pid, 100)}")


def as_atom(name: Atom | str) -> Atom:
    """Return ``name`` as an atom; wherever a name is wanted a ``str`` does as well."""
    return name if isinstance(name, Atom) else Atom(name)
