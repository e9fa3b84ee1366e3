"""The table of all the ways in which an exported function can end, with what each is to its caller."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from pyzen import Node, Stop, atoms, current_process
from pyzen.errors import ProcessExit, RpcError
from tests.node.ends import ENDS, Nasty

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EXPORTS", "ExportEnd", "export_all"]


class ExportEnd(NamedTuple):
    """One way to end.

    Attributes:
        function: What is exported.
        kind: ``return``, ``throw``, ``exit``, ``error``; ``signal`` where its process ended instead.
        value: What it returns, or its reason; text for the text of an error in a struct.
        blocking: Whether it runs in a thread.
    """

    function: Callable[[], Any]
    kind: str
    value: Any
    blocking: bool = False


def raising(error: Callable[[], BaseException]) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error()

    return fail


def raising_later(error: Callable[[], BaseException]) -> Callable[[], Any]:
    async def fail() -> NoReturn:
        await asyncio.sleep(0)
        raise error()

    return fail


def leave() -> None:
    current_process().exit(atoms.enough)


def ending(name: str) -> Callable[[], Any]:
    """Return a function that ends its process as the table for processes says."""

    async def end() -> Any:
        return await ENDS[name].how(current_process())

    return end


async def answer() -> int:
    await asyncio.sleep(0)
    return 7


class Refusing(asyncio.Future[Any]):
    """A future that takes no error."""

    def set_exception(self, exception: Any, /) -> None:
        raise RuntimeError("refused")


async def wait_for_what_refuses() -> None:
    loop = asyncio.get_running_loop()
    future = Refusing()
    loop.call_soon(future.cancel)
    await future


def quit_with_code() -> None:
    sys.exit(3)


ERRORS: Final[dict[str, tuple[Callable[[], BaseException], str, Any]]] = {
    "ValueError": (lambda: ValueError("boom"), "error", "ValueError: boom"),
    "a BaseException": (Nasty, "error", "Nasty"),
    "StopAsyncIteration": (StopAsyncIteration, "error", "StopAsyncIteration"),
    "GeneratorExit": (GeneratorExit, "error", "GeneratorExit"),
    "CancelledError": (asyncio.CancelledError, "error", "CancelledError"),
    "sys.exit": (SystemExit, "exit", atoms.normal),
    "sys.exit with a code": (lambda: SystemExit(3), "exit", (atoms.system_exit, b"3")),
    "a BaseExceptionGroup": (
        lambda: BaseExceptionGroup("g", [Nasty()]), "error", "BaseExceptionGroup: g (1 sub-exception)",
    ),
    "Stop": (lambda: Stop(atoms.enough), "exit", atoms.enough),
    "the end of a process called": (lambda: ProcessExit(atoms.elsewhere), "exit", atoms.elsewhere),
    "a throw": (lambda: RpcError("throw", atoms.ball), "throw", atoms.ball),
    "an exit": (lambda: RpcError("exit", atoms.out), "exit", atoms.out),
    "an error": (lambda: RpcError("error", atoms.badarg), "error", atoms.badarg),
}  # fmt: skip

EXPORTS: Final[dict[str, ExportEnd]] = {
    **{f"{name}, plain": ExportEnd(raising(error), kind, value) for name, (error, kind, value) in ERRORS.items()},
    **{f"{name}, async": ExportEnd(raising_later(error), kind, value) for name, (error, kind, value) in ERRORS.items()},
    **{
        f"{name}, blocking": ExportEnd(raising(error), kind, value, blocking=True)
        for name, (error, kind, value) in ERRORS.items()
    },
    "StopIteration, plain": ExportEnd(raising(StopIteration), "error", "StopIteration"),
    "StopIteration, blocking": ExportEnd(raising(StopIteration), "error", "StopIteration", blocking=True),
    "StopIteration, async": ExportEnd(
        raising_later(StopIteration), "error", "RuntimeError: coroutine raised StopIteration"
    ),
    "KeyboardInterrupt, blocking": ExportEnd(raising(KeyboardInterrupt), "exit", atoms.killed, blocking=True),
    "exit, plain": ExportEnd(leave, "exit", atoms.enough),
    "exit in a task group": ExportEnd(ending("exit in a task group"), "exit", atoms.enough),
    "exit in nested task groups": ExportEnd(ending("exit in nested task groups"), "exit", atoms.enough),
    "exit beside an Exception in a task group": ExportEnd(
        ending("exit beside an Exception in a task group"), "exit", (atoms.enough, [1])
    ),
    "an Exception when cancelled": ExportEnd(ending("an Exception when cancelled"), "error", "ValueError: boom"),
    "cancelled": ExportEnd(ending("cancelled"), "signal", atoms.shutdown),
    "cancelled by itself": ExportEnd(ending("cancelled by itself"), "signal", atoms.shutdown),
    "no process, blocking": ExportEnd(
        leave, "error",
        "RuntimeError: no process is running here: only bodies, mailboxes and exported functions have one",
        blocking=True,
    ),
    "a future that refuses": ExportEnd(wait_for_what_refuses, "error", "CancelledError"),
    "returns, plain": ExportEnd(lambda: 7, "return", 7),
    "returns, async": ExportEnd(answer, "return", 7),
    "returns, blocking": ExportEnd(lambda: 7, "return", 7, blocking=True),
    "returns what is awaited, blocking": ExportEnd(answer, "return", 7, blocking=True),
    "no Erlang form": ExportEnd(object, "error", "EncodeError: object has no Erlang form"),
}  # fmt: skip


def export_all(node: Node) -> None:
    """Export each under its number."""
    for number, end in enumerate(EXPORTS.values()):
        node.export("ends", f"end_{number}", end.function, blocking=end.blocking)
