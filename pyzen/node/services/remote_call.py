"""Processes that peers start: each applies one exported function, and ends as ``erpc`` or ``spawn`` expect.

::

    what is started                     with                   how it ends
    erpc:execute_call/4                 [Ref, M, F, Args]      {Ref, return, Value}, {Ref, throw, T}, {Ref, exit, R},
                                                               {Ref, error, R, Stack}
    erpc:execute_cast/3                 [M, F, Args]           as spawned
    any other, as spawned               its arguments          normal, R, {{nocatch, T}, Stack}, {R, Stack}

``erlang:apply/2`` of an external fun and ``erlang:apply/3`` are calls of the function that they name, wherever they
stand. An anonymous fun is refused: its code lives in the module it was made in, which no Python node has.

Source: OTP, ``lib/kernel/src/erpc.erl``; Erlang Reference Manual, "Exit Reasons".
"""

from __future__ import annotations

import contextvars
import inspect
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypeAlias, cast, final

from pyzen.actor.actor import running
from pyzen.actor.call_loop import CallLoop
from pyzen.actor.process import Process
from pyzen.actor.reasons import NORMAL, end_of, exception_reason, is_cancelled, request_in
from pyzen.actor.waiting import Waiting
from pyzen.brief import brief
from pyzen.errors import EncodeError, ProcessExit, RpcError
from pyzen.etf import encode
from pyzen.logs import get_logger
from pyzen.node.services.threads import NoThread
from pyzen.terms import Atom, Export, Fun, Reference, atoms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from pyzen.actor.loop import Loop
    from pyzen.config import Limits
    from pyzen.node.services.exports import Exported, Exports

__all__ = ["FunctionCall", "Outcome", "RemoteCall", "rpc_result"]

log = get_logger("pyzen.node")

RETURN: Final = atoms["return"]
ERROR: Final = atoms.error
EXIT: Final = atoms.exit
THROW: Final = atoms.throw
UNDEF: Final = atoms.undef
ERLANG: Final = atoms.erlang
APPLY: Final = atoms.apply

MAX_ARITY: Final = 255
"""Arguments that a function of Erlang can have."""


Coming: TypeAlias = "Coroutine[Any, Any, Outcome]"


class Outcome(NamedTuple):
    """How a function ended: ``return``, ``throw``, ``exit`` or ``error``."""

    kind: Atom
    value: Any
    stack: list[Any]


def apply(exports: Exports, module: Any, function: Any, args: list[Any]) -> Outcome | Waiting | Coming:
    """Apply an exported function; whatever it does becomes an outcome, and only the end of the process is raised.

    Returns:
        The outcome; what it is to be awaited from; or what will have the result, if it is the node's own function.
    """
    try:
        module, function, args = meant(module, function, args)
    except RpcError as error:
        return raised_again(error, [(ERLANG, APPLY, len(args), [])])
    if len(args) > MAX_ARITY:
        return Outcome(ERROR, atoms.system_limit, [(ERLANG, APPLY, 3, [])])
    exported = exports.find(module, function, len(args))
    if exported is None:
        return Outcome(ERROR, UNDEF, [(module, function, args, [])])
    return call(exports, exported, args, [(module, function, len(args), [])])


def meant(module: Any, function: Any, args: list[Any]) -> tuple[Any, Any, list[Any]]:
    """Return the function that is to be called, which ``erlang:apply`` only names. Raises ``RpcError``."""
    while module is ERLANG and function is APPLY:
        module, function, args = applied(args)
    return module, function, args


def applied(args: list[Any]) -> tuple[Any, Any, list[Any]]:
    """Return the function that ``erlang:apply`` with these arguments calls, and its arguments.

    Raises:
        RpcError: It can't be called.
    """
    match args:
        case [Export() as fun, list() as given] if fun.arity == len(given):
            return fun.module, fun.function, given
        case [Atom() as module, Atom() as function, list() as given]:
            return module, function, given
        case [Export() as fun, list() as given]:
            raise RpcError("error", (atoms.badarity, (fun, given)))
        case [Fun() as fun, list()]:
            raise RpcError("error", why_not(fun))
        case [other, list()]:
            raise RpcError("error", (atoms.badfun, other))
    raise RpcError("error", atoms.badarg)


def why_not(fun: Fun) -> Any:
    """Return the reason for which an anonymous fun does not run here, in words for who has sent it."""
    text = f"the code of an anonymous function of {fun.module} is not here: call an exported function by its name"
    return exception_reason(TypeError(text))[0]


def sendable(outcome: Outcome, limits: Limits) -> Outcome:
    """Return an outcome that can be sent: while somebody can still be told what is wrong with it."""
    try:
        if type(outcome.value) is not bytes:
            encode(outcome.value, limits=limits)
    except EncodeError as error:
        return Outcome(ERROR, exception_reason(error)[0], outcome.stack)
    return outcome


def must_pass(error: BaseException) -> bool:
    """Say whether an error is meant for the process, or for the program: it was told to end, not the function.

    No thread of a function that blocks is told so.
    """
    return is_cancelled(error) or (issubclass(type(error), KeyboardInterrupt) and running.get() is not None)


def outcome_of(error: BaseException, here: list[Any]) -> Outcome:
    """Return what an error of the function is to its caller."""
    if issubclass(type(error), RpcError):
        return raised_again(cast("RpcError", error), here)
    reason, crashed = end_of(error)
    if not crashed or issubclass(type(error), (ProcessExit, SystemExit)) or request_in(error) is not None:
        return Outcome(EXIT, reason, here)
    reason, stack = exception_reason(error)
    return Outcome(ERROR, reason, [frame for frame in stack if frame[1] not in OWN_FRAMES] or here)


def call(exports: Exports, exported: Exported, args: list[Any], here: list[Any]) -> Outcome | Waiting | Coming:
    """Call a function, in a thread if it blocks."""
    if exported.blocking:
        return from_thread(exports, exported, args, here)
    try:
        value = exported.function(*args)
        if type(value) is Waiting:
            return value
        return awaited(value, here) if inspect.isawaitable(value) else Outcome(RETURN, value, here)
    except BaseException as error:
        if must_pass(error):
            raise
        return outcome_of(error, here)


async def awaited(value: Awaitable[Any], here: list[Any]) -> Outcome:
    """Await what a function has answered."""
    try:
        return Outcome(RETURN, await value, here)
    except BaseException as error:
        if must_pass(error):
            raise
        return outcome_of(error, here)


async def from_thread(exports: Exports, exported: Exported, args: list[Any], here: list[Any]) -> Outcome:
    """Call a function in a thread, and await what it answers."""
    ended = await in_thread(exports, exported, args, here)
    return await awaited(ended.value, here) if inspect.isawaitable(ended.value) else ended


async def in_thread(exports: Exports, exported: Exported, args: list[Any], here: list[Any]) -> Outcome:
    """Call a function that blocks. The thread hands over an outcome: there are errors that no future takes."""
    context, process = contextvars.copy_context(), running.get()
    context.run(running.set, None)  # the verbs of a process belong to the event loop's thread
    try:
        holder = None if process is None else process.born_of
        return await exports.threads.run(partial(context.run, called, exported.function, args, here), holder)
    except NoThread as error:
        log.warning("a call of %s is refused: %s", here[0][:2], error)
        return Outcome(ERROR, atoms.system_limit, here)


def called(function: Callable[..., Any], args: list[Any], here: list[Any]) -> Outcome:
    """Call a function: whatever it raises is an outcome."""
    try:
        return Outcome(RETURN, function(*args), here)
    except BaseException as error:
        return outcome_of(error, here)


OWN_FRAMES: Final = frozenset({atoms.call, atoms.called, atoms.awaited, atoms.in_thread})
"""Functions of this module that stand below the exported function in a stack."""


def raised_again(error: RpcError, stack: list[Any]) -> Outcome:
    """Return the outcome that an error of Erlang's kinds stands for."""
    if error.kind == "erpc":
        return Outcome(ERROR, (atoms.erpc, error.reason), stack)
    return Outcome(atoms[error.kind], error.reason, error.stack or stack)


class FunctionCall(Process):
    """A process that calls one exported function for a peer.

    Args:
        exports: What it may call.
        mfa: Module, function and arguments.
    """

    _pyzen_loop: ClassVar[type[Loop]] = CallLoop

    def __init__(self, exports: Exports, mfa: tuple[Any, Any, list[Any]]) -> None:
        super().__init__()
        self._exports = exports
        self._mfa = mfa

    def begin(self) -> Outcome | Waiting | Coming:
        """Call the function."""
        return apply(self._exports, *self._mfa)

    def answered(self, value: Any) -> Outcome:
        """Return what came later."""
        return Outcome(RETURN, value, [])

    def conclude(self, outcome: Outcome) -> None:
        """Tell who wants to know; with an outcome that can be sent."""
        self.ended_with(sendable(outcome, self._exports.limits))

    def ended_with(self, outcome: Outcome) -> None:
        """Do with the outcome what its caller expects."""
        raise NotImplementedError


@final
class RemoteCall(FunctionCall):
    """One process that a peer has started.

    Args:
        exports: What it may call.
        module: As the peer named it, and so on.
        function: Its name.
        args: Its arguments.
    """

    def __init__(self, exports: Exports, module: Any, function: Any, args: list[Any]) -> None:
        self.initial_call = (module, function, args)
        self._ref: Reference | None = None
        match self.initial_call:
            case (atoms.erpc, atoms.execute_call, [Reference() as ref, _, _, list()]):
                self._pyzen_reports = False  # the reason is the answer
                self._ref = ref
                super().__init__(exports, (args[1], args[2], args[3]))
            case (atoms.erpc, atoms.execute_cast, [_, _, list()]):
                super().__init__(exports, (args[0], args[1], args[2]))
            case _:
                super().__init__(exports, self.initial_call)

    @property
    def _pyzen_label(self) -> str:
        """The function that it was started for."""
        module, function, args = self.initial_call
        with suppress(RpcError):
            module, function, args = meant(module, function, args)
        names = (str(one) if isinstance(one, Atom) else brief(one, 60) for one in (module, function))
        return f"{':'.join(names)}/{len(args)}"

    def ended_with(self, outcome: Outcome) -> None:
        """End with the reason that says how it went."""
        self.exit(spawn_reason(outcome) if self._ref is None else call_reason(self._ref, outcome))


def call_reason(ref: Reference, outcome: Outcome) -> Any:
    """Return the exit reason that tells ``erpc`` the outcome."""
    if outcome.kind is ERROR and type(outcome.value) is tuple and outcome.value[:1] == (atoms.erpc,):
        return ref, ERROR, outcome.value
    if outcome.kind is ERROR:
        return ref, ERROR, outcome.value, outcome.stack
    return ref, outcome.kind, outcome.value


def spawn_reason(outcome: Outcome) -> Any:
    """Return the exit reason of a process that has nobody to tell its result."""
    match outcome.kind:
        case kind if kind is RETURN:
            return NORMAL
        case kind if kind is EXIT:
            return outcome.value
        case kind if kind is THROW:
            return (atoms.nocatch, outcome.value), outcome.stack
    return outcome.value, outcome.stack


def rpc_result(outcome: Outcome) -> Any:
    """Return what ``rpc:call`` answers for an outcome.

    Source: OTP, ``rpc.erl``, ``call/4``.
    """
    match outcome.kind:
        case kind if kind is EXIT:
            return atoms.badrpc, (atoms.EXIT, outcome.value)
        case kind if kind is ERROR:
            return atoms.badrpc, (atoms.EXIT, (outcome.value, outcome.stack))
    return outcome.value
